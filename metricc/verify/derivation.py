"""The derivation: proofs, SymPy's forms and the file's scalar functions against the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.verify.attempt import attempt
from metricc.verify.oracle import DIGITS, Dual, dual_of, every_weight
from metricc.verify.parsed import Parsed
from metricc.verify.points import (
    EXTREMES,
    counts,
    parameter_sets,
    tables,
    with_columns,
    worse,
)
from metricc.verify.scalars import NEAR, Code, Place, scalars
from metricc.verify.tables import Setting, Tables
from metricc.verify.totals import Totals, judged, prepared
from metricc.verify.worst import Worst, verdict

FORMS_ALLOWED = 1e-40  # SymPy at 60 digits
SCALARS_ALLOWED = 1e-12  # the file's float64
# Logarithms of both signs cancel by more than the counts' own rounding tells.
LOGARITHMS_ALLOWED = 1e-10
FORM_POINTS = 20
MINUTE = ((2e-33, 1e-33, 3e-33, 5e-33), (0.0, 1e-33, 3e-33, 5e-33), (2e-33, 1e-33, 0.0, 4e-33))

Point = Mapping[str, Any]


def checks(
    module: ModuleType, plan: ir.Plan, fresh: ModuleType | None = None
) -> Iterator[ir.Check]:
    """Every check of the scalars, each with what it measured.

    `fresh` is what the formula generates now: what it cannot do on extreme tables is excused.
    """
    yield from _proofs(plan)
    yield _forms(plan)
    tested: Callable[..., list[ir.Check]]
    if plan.metric.single:
        tested = partial(
            scalars,
            program=plan.program,
            places=_places(plan.program),
            minute=_minute(plan.program),
            allowed=_allowed([plan.program]),
        )
    else:
        tested = partial(_totals, plan=plan, calls=prepared(plan))
    for function in ("value", "gradient", "weights"):
        code = getattr(module, function, None)
        if code is None:
            yield ir.Check(f"{function}()", "missing", "present", False)
        else:
            own = getattr(fresh, function, None)
            yield from attempt(f"{function}()", tested, function, code, own)


def _proofs(plan: ir.Plan) -> Iterator[ir.Check]:
    """How each output's form was shown equal to the raw derivative, those of one proof together."""
    found: dict[str, list[str]] = {}
    for name, form in plan.forms.items():
        found.setdefault(form.proof, []).append(name)
    for proof, names in found.items():
        which = f" ({', '.join(names)})" if len(found) > 1 else ""
        told = f"{len(names)} of {len(plan.forms)} {proof}"
        yield ir.Check(f"simplified = raw derivative{which}", told, "proved or compared", True)


def _forms(plan: ir.Plan) -> ir.Check:
    """SymPy's simplified forms, of all terms and of what joins them, against dual numbers."""
    worst, points, missed = mpf(0), 0, list[str]()
    for parameters in parameter_sets(plan.metric):
        parsed = Parsed(plan.metric, parameters)
        if not parsed.clear:
            continue
        for name, program, function, places in _functions(plan, parsed):
            reached = 0
            for place in places:
                error = _form_error(program, function, place, parameters)
                if error is not None:
                    worst, reached = worse(worst, error), reached + 1
            points += reached
            missed += [name] * (not reached)
    label = f"SymPy forms, {points} points"
    if missed:
        return ir.Check(label, f"no point for {missed[0]}", f"{FORMS_ALLOWED:.0e}", False)
    return verdict(label, Worst(worst, points=points), FORMS_ALLOWED)


def _functions(
    plan: ir.Plan, parsed: Parsed
) -> list[tuple[str, ir.Program, Callable[[Mapping[str, Dual]], Dual], list[dict[str, float]]]]:
    """Each program, the parsed text's function that it is of, and where to compare them."""
    cells = [
        dict(zip(plan.metric.cells, with_columns(plan.metric, table, index), strict=True))
        for index, table in enumerate(list(counts())[:FORM_POINTS])
    ]
    if plan.metric.single:
        names = list(parsed.elements.values())
        places = [{**table, **_terms(names, i)} for i, table in enumerate(cells)]
        return [("the metric", plan.program, parsed.alone, places)]
    found = [
        (term.symbol.name, program, parsed.inner[term.symbol.name], cells)
        for term, program in zip(plan.metric.tables, plan.programs, strict=True)
        if term.symbol.name in parsed.inner
    ]
    if len(found) < len(plan.programs):
        raise AssertionError("a term of the program is not in the text")
    if plan.outer is not None:
        found.append(("what joins the terms", plan.outer, parsed.outer, _reductions(plan, parsed)))
    return found


def _terms(names: Sequence[str], index: int) -> dict[str, float]:
    """Values for element terms."""
    return {name: (1 + 7 * index % 5 + i) / 4 for i, name in enumerate(names)}


def _reductions(plan: ir.Plan, parsed: Parsed) -> list[dict[str, float]]:
    """Values that the terms take together on real tables."""
    setting = Setting(task=plan.metric.task, absent=None)
    found = []
    for index, (several, extreme) in enumerate(tables(_joint(plan.metric))):
        raw = [[Dual(mpf(x)) for x in table] for table in several]
        numbers = [[mpf(x) for x in table] for table in several]
        of = Tables(setting, raw, numbers, [mpf(1)] * len(several), 0)
        try:
            place = {
                term.symbol.name: float(
                    of.reduction(term.reduction, parsed.inner[term.symbol.name]).value
                )
                for term in plan.metric.tables
            }
        except (ValueError, ZeroDivisionError):
            continue
        if not extreme and all(mp.isfinite(x) for x in place.values()):
            found.append({**place, **_terms(list(parsed.elements.values()), index)})
    return found


def _joint(metric: ir.Metric) -> bool:
    """Whether the tables of a metric are parts of one K x K table."""
    return metric.task == "multiclass" and not metric.by_sample


def _form_error(
    program: ir.Program,
    function: Callable[[Mapping[str, Dual]], Dual],
    place: Mapping[str, float],
    parameters: Mapping[str, float],
) -> Any | None:
    """The largest error of the forms at a point; None where the metric has no value."""
    import sympy

    try:
        value, slopes = dual_of(function, place, limits=False)
    except (ZeroDivisionError, ValueError):
        return None
    expected = _expected(program.metric, value, slopes)
    numbers = {**place, **parameters}
    point = {sympy.Symbol(n): sympy.Rational(v) for n, v in numbers.items()}
    worst = mpf(0)
    with mp.workdps(DIGITS):
        scale = max(abs(e) for e in expected.values() if not mp.isnan(e))
        for name, form in program.forms.items():
            exact = expected[name]
            if not mp.isnan(exact):
                got = mpf(str(sympy.N(form.expression.xreplace(point), 60)))
                size = max(abs(exact), scale * mpf(10) ** -20) or mpf(1)
                worst = worse(worst, abs(got - exact) / size)
    return worst


def _expected(metric: ir.Metric, value: Any, slopes: Sequence[Any]) -> dict[str, Any]:
    """What the outputs of a program should be, by name."""
    found = dict(zip(ir.shared_outputs(metric), (value, *slopes), strict=True))
    if metric.single:
        cells = slopes[: len(metric.cells)]
        found |= dict(zip(ir.weights_of(metric), every_weight(cells), strict=True))
    return found


def _places(program: ir.Program) -> list[Place]:
    """The tables at which the metric has a value."""
    found = []
    for parameters in parameter_sets(program.metric):
        parsed = Parsed(program.metric, parameters)
        for index, table in enumerate(counts() if parsed.clear else ()):
            cells = with_columns(program.metric, table, index)
            if 0 in cells and _powers(program):
                continue  # 0^k: the limit depends on k
            terms = _terms(list(parsed.elements.values()), index)
            place = dict(zip(program.metric.cells, cells, strict=True)) | terms
            try:
                value, slopes = dual_of(parsed.alone, place)
                if program.metric.columns and mp.isnan(value):
                    continue  # the metric has no limit here
                exact = _expected(program.metric, value, slopes)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue  # the metric has no value here
            try:
                near = dual_of(parsed.alone, _moved(program.metric, place))
                beside = _expected(program.metric, *near)
            except (ZeroDivisionError, ValueError):
                beside = exact
            extreme = table in EXTREMES
            found.append(Place(place, parsed.parameters, extreme, slopes, exact, beside))
    return found


def _minute(program: ir.Program) -> list[Place]:
    """Tables with slopes beyond all bounds."""
    found = []
    for parameters in parameter_sets(program.metric)[:1]:
        parsed = Parsed(program.metric, parameters)
        for index, table in enumerate(MINUTE if parsed.clear else ()):
            columns = range(1, 1 + len(program.metric.cells) // 4)
            cells = [x * column for column in columns for x in table]
            terms = _terms(list(parsed.elements.values()), index)
            place = dict(zip(program.metric.cells, cells, strict=True)) | terms
            try:
                value, slopes = dual_of(parsed.alone, place)
                exact = _expected(program.metric, value, slopes)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
            found.append(Place(place, parsed.parameters, True, slopes, exact, exact))
    return found


def _moved(metric: ir.Metric, place: Mapping[str, float]) -> dict[str, Any]:
    """The place with each count moved by its own share of `NEAR`."""
    steps = [1, -2, 3, -5]
    for column, _ in enumerate(metric.columns, 1):
        steps += [(-1) ** column * (column + 1) * step for step in steps[:4]]
    steps += [0] * len(place)
    return {n: mpf(x) * (1 + d * NEAR) for (n, x), d in zip(place.items(), steps, strict=False)}


def _totals(
    name: str, code: Code, fresh: Code | None, plan: ir.Plan, calls: Sequence[Totals]
) -> list[ir.Check]:
    """One of the file's functions of several tables in float64 against the oracle."""
    ordinary, far = judged(code, fresh, name, plan, calls)
    label, allowed = (
        f"{name}(), {ordinary.points} batches of tables, float64",
        _allowed(plan.programs),
    )
    return [verdict(label, ordinary, allowed), *far.checks(name, allowed)]


def _allowed(programs: Sequence[ir.Program]) -> float:
    return LOGARITHMS_ALLOWED if any(map(_logarithms, programs)) else SCALARS_ALLOWED


def _powers(program: ir.Program) -> bool:
    """Whether a parameter stands in an exponent."""
    import sympy

    powers = program.forms["value"].expression.atoms(sympy.Pow)
    return any(power.exp.free_symbols for power in powers)


def _logarithms(program: ir.Program) -> bool:
    import sympy

    return bool(program.forms["value"].expression.has(sympy.log, sympy.exp))
