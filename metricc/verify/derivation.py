"""The derivation: proofs, SymPy's forms and the file's scalar functions against the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.functions import CELLS
from metricc.verify.oracle import DIGITS, dual, weights_of
from metricc.verify.points import EXTREMES, counts, parameter_sets, worse

FORMS_ALLOWED = 1e-40  # SymPy at 60 digits
SCALARS_ALLOWED = 1e-12  # the file's float64
# Logarithms of both signs cancel by more than the counts' own rounding tells.
LOGARITHMS_ALLOWED = 1e-10
NEAR = mpf(10) ** -40  # how far a count is moved to see the condition


def checks(module: ModuleType, program: ir.Program) -> list[ir.Check]:
    """Every check of the scalars, each with what it measured."""
    found = [_proofs(program), _forms(program)]
    names = {"value": ("value",), "gradient": ir.OUTPUTS[1:5], "weights": ir.OUTPUTS[5:]}
    for function, outputs in names.items():
        code = getattr(module, function, None)
        if code is None:
            found.append(ir.Check(f"{function}()", "missing", "present", False))
        else:
            found += _scalars(function, code, outputs, program)
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
) -> list[ir.Check]:
    """One of the file's scalar functions in float64 against the oracle.

    Errors are relative to the result or to its condition, the change that rounding of the counts
    alone makes, whichever is larger; where the chosen form subtracts, to what is subtracted.
    On extreme tables the intermediate results of a long formula may leave what float64 holds:
    their figure is shown, and judged only where it is within bounds.
    """
    ordinary, far = mpf(0), mpf(0)
    points = extremes = 0
    for parameters in parameter_sets(program.metric):
        for cells in counts():
            if 0 in cells and _powers(program):
                continue  # 0^k: the limit depends on k
            try:
                error = _error(code, outputs, program, cells, parameters)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue  # the metric has no value here
            except Exception as error:
                return [ir.Check(f"{name}()", f"{type(error).__name__}: {error}", "runs", False)]
            if error is None:
                wrong = "another number of results"
                return [ir.Check(f"{name}()", wrong, f"{len(outputs)}", False)]
            if cells in EXTREMES:
                far, extremes = worse(far, error), extremes + 1
            else:
                ordinary, points = worse(ordinary, error), points + 1
    allowed = LOGARITHMS_ALLOWED if _logarithms(program) else SCALARS_ALLOWED
    checks = [_verdict(f"{name}(), {points} points, float64", ordinary, allowed, points)]
    beyond = _verdict(f"{name}(), {extremes} extreme tables", far, allowed, extremes)
    if not beyond.passed:
        beyond = replace(beyond, allowed="any", passed=None)
    return [*checks, beyond] if extremes else checks


def _error(
    code: Callable[..., Any],
    outputs: tuple[str, ...],
    program: ir.Program,
    cells: tuple[float, float, float, float],
    parameters: Mapping[str, float],
) -> Any | None:
    """The largest relative error of the outputs at one table; None for a wrong number of them."""
    largest = getattr(code, "__globals__", {}).get("_HUGE", 1e30)
    text = program.metric.text
    value, slopes = dual(text, cells, parameters)
    moved = [mpf(c) * (1 + step * NEAR) for c, step in zip(cells, (1, -2, 3, -5), strict=True)]
    expected = _expected(value, slopes)
    try:
        beside = _expected(*dual(text, moved, parameters))
    except (ZeroDivisionError, ValueError):
        beside = expected
    results = code(*cells, **parameters)
    results = results if isinstance(results, tuple) else (results,)
    if len(results) != len(outputs):
        return None
    known = [s for s in slopes if not mp.isnan(s)]
    steepest = max((abs(s) for s in known), default=mpf(1))
    size = sum(abs(mpf(c) * s) for c, s in zip(cells, slopes, strict=True) if s in known)
    worst = mpf(0)
    for output, result in zip(outputs, results, strict=True):
        index = ir.OUTPUTS.index(output)
        exact = expected[index]
        if mp.isnan(exact) or abs(exact) > largest / 1e3:
            continue  # no limit here, or it saturates by policy
        scale = abs(exact)
        if index == 0:
            scale = max(abs(exact) + size, mpf(10) ** -3)
        elif program.forms[output].cancels or abs(exact) < steepest * mpf(10) ** -60:
            scale = max(abs(exact), steepest)
        if index and steepest < mpf(10) ** -60:
            scale = 1 / mpf(sum(cells))  # every slope is 0 here: judge by their usual size
        condition = abs(beside[index] - exact) / NEAR
        scale = scale if mp.isnan(condition) else max(scale, condition)
        if scale:
            worst = worse(worst, abs(mpf(float(result)) - exact) / scale)
    return worst


def _powers(program: ir.Program) -> bool:
    """Whether a parameter stands in an exponent."""
    import sympy

    powers = program.forms["value"].expression.atoms(sympy.Pow)
    return any(power.exp.free_symbols for power in powers)


def _logarithms(program: ir.Program) -> bool:
    import sympy

    return bool(program.forms["value"].expression.has(sympy.log, sympy.exp))


def _verdict(name: str, worst: Any, allowed: float, points: int) -> ir.Check:
    measured = f"{float(worst):.1e}"
    passed = points > 0 and bool(worst <= allowed)
    return ir.Check(name, measured, f"{allowed:.0e}", passed)
