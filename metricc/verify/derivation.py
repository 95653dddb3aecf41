"""The derivation: proofs, SymPy's forms and the file's scalar functions against the oracle."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.functions import CELLS
from metricc.verify.oracle import DIGITS, dual, weights_of
from metricc.verify.points import counts, parameter_sets, worse

FORMS_ALLOWED = 1e-40  # SymPy at 60 digits
SCALARS_ALLOWED = 1e-12  # the file's float64


def checks(module: ModuleType, program: ir.Program) -> list[ir.Check]:
    """Every check of the scalars, each with what it measured."""
    found = [_proofs(program), _forms(program)]
    names = {"value": ("value",), "gradient": ir.OUTPUTS[1:5], "weights": ir.OUTPUTS[5:]}
    for function, outputs in names.items():
        code = getattr(module, function, None)
        if code is None:
            found.append(ir.Check(f"{function}()", "missing", "present", False))
        else:
            found.append(_scalars(function, code, outputs, program))
    return found


def _proofs(program: ir.Program) -> ir.Check:
    proved = sum(form.proved for form in program.forms.values())
    rest = [f"{name} {form.proof}" for name, form in program.forms.items() if not form.proved]
    measured = f"{proved} of {len(program.forms)} proved" + "".join(f"; {r}" for r in rest)
    return ir.Check("simplified = raw derivative", measured, "proved or compared", True)


def _expected(value: Any, slopes: list[Any]) -> list[Any]:
    """What the seven outputs should be, in the order of `ir.OUTPUTS`."""
    return [value, *slopes, *weights_of(slopes)]


def _forms(program: ir.Program) -> ir.Check:
    """SymPy's simplified forms against dual numbers over the parsed tree."""
    import sympy

    worst, points = mpf(0), 0
    for parameters in parameter_sets(program.metric):
        for cells in list(counts())[:20]:
            try:
                expected = _expected(*dual(program.metric.text, cells, parameters))
            except (ZeroDivisionError, ValueError):
                continue
            numbers = dict(zip(CELLS, cells, strict=True)) | parameters
            point = {sympy.Symbol(n): sympy.Rational(v) for n, v in numbers.items()}
            with mp.workdps(DIGITS):
                scale = max(abs(e) for e in expected if not mp.isnan(e))
                for form, exact in zip(program.forms.values(), expected, strict=True):
                    if mp.isnan(exact):
                        continue
                    got = mpf(str(sympy.N(form.expression.xreplace(point), 60)))
                    size = max(abs(exact), scale * mpf(10) ** -20) or mpf(1)
                    worst = worse(worst, abs(got - exact) / size)
            points += 1
    return _verdict(f"SymPy forms, {points} points", worst, FORMS_ALLOWED, points)


def _scalars(
    name: str, code: Callable[..., Any], outputs: tuple[str, ...], program: ir.Program
) -> ir.Check:
    """One of the file's scalar functions in float64 against the oracle.

    Errors are relative to the result; where the chosen form subtracts, to the size of what is
    subtracted (the metric's own condition): value + count · derivative for the value, the largest
    partial for a derivative.
    """
    indices = [ir.OUTPUTS.index(output) for output in outputs]
    largest = getattr(code, "__globals__", {}).get("_HUGE", 1e30)
    worst, points = mpf(0), 0
    for parameters in parameter_sets(program.metric):
        for cells in counts():
            if 0 in cells and _powers(program):
                continue  # 0^k: the limit depends on k
            try:
                value, slopes = dual(program.metric.text, cells, parameters)
                results = code(*cells, **parameters)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue  # the metric has no value here
            except Exception as error:
                return ir.Check(f"{name}()", f"{type(error).__name__}: {error}", "runs", False)
            results = results if isinstance(results, tuple) else (results,)
            if len(results) != len(outputs):
                wrong = f"{len(results)} results"
                return ir.Check(f"{name}()", wrong, f"{len(outputs)}", False)
            known = [s for s in slopes if not mp.isnan(s)]
            steepest = max((abs(s) for s in known), default=mpf(1))
            size = sum(abs(mpf(c) * s) for c, s in zip(cells, slopes, strict=True) if s in known)
            for index, result in zip(indices, results, strict=True):
                exact = _expected(value, slopes)[index]
                if mp.isnan(exact) or abs(exact) > largest / 1e3:
                    continue  # no limit here, or it saturates by policy
                cancels = program.forms[ir.OUTPUTS[index]].cancels
                scale = abs(exact)
                if index == 0:
                    scale = max(abs(exact) + size, mpf(10) ** -3)
                elif cancels or abs(exact) < steepest * mpf(10) ** -60:
                    scale = max(abs(exact), steepest)
                if scale:
                    worst = worse(worst, abs(mpf(float(result)) - exact) / scale)
            points += 1
    return _verdict(f"{name}(), {points} points, float64", worst, SCALARS_ALLOWED, points)


def _powers(program: ir.Program) -> bool:
    """Whether a parameter stands in an exponent."""
    import sympy

    powers = program.forms["value"].expression.atoms(sympy.Pow)
    return any(power.exp.free_symbols for power in powers)


def _verdict(name: str, worst: Any, allowed: float, points: int) -> ir.Check:
    measured = f"{float(worst):.1e}"
    passed = points > 0 and bool(worst <= allowed)
    return ir.Check(name, measured, f"{allowed:.0e}", passed)
