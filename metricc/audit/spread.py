"""MC0621 the range and where its ends are, MC0622 the simplest predictions, MC0623 the loss.

Where more correct predictions never lower a metric, it is largest at the perfect prediction and
smallest at the worst, whatever else is the case: its ends are two functions of the share of
positives. Other metrics are looked at on tables of many sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy

from metricc import ir
from metricc.audit import better, brute, places, terms
from metricc.audit.corners import COLUMN_MEAN, PREDICTIONS, TYPICAL, Corners, N, P, Reading
from metricc.audit.germs import EPSILON, Corner, Unknown
from metricc.audit.stated import outside
from metricc.audit.subject import Subject
from metricc.functions import CELLS
from metricc.numeric import mpf, value_at

SHARES = 999  # of positives, where an end is no rational function
SIMPLE = {
    "perfect": "the perfect prediction",
    "worst": "the worst",
    "all positive": "all positive",
    "all negative": "all negative",
}
SLACK = 1e-9
ROUNDING = 1e-11  # what is 0 but for rounding


@dataclass(frozen=True)
class End:
    """One end of the range: its number at typical parameters, as text, and where it is."""

    number: float
    text: str
    attained: bool
    where: str
    proved: bool


def findings(subject: Subject) -> list[ir.Finding]:
    """Range, simple predictions, and whether the loss has a floor."""
    if not subject.audit.depends:
        return []
    view = terms.one_table(subject)
    if view is None or view.metric.elements or terms.pooled(subject.plan):
        return _joined(subject)
    corners = Corners(view.program)
    readings = {name: corners.exactly(name) for name in PREDICTIONS}
    low, high, how = _ends(subject, view, corners, readings)
    return [
        _range(subject, view, (low, high), how),
        _simple(view, readings),
        _loss(subject, view, (low, high), how, readings),
    ]


# -- the range ------------------------------------------------------------------------------------


def _ends(
    subject: Subject, view: terms.View, corners: Corners, readings: dict[str, Reading]
) -> tuple[End, End, str]:
    """The ends of the range, and how they are known."""
    settled = better.settled(subject)
    if settled is not None:
        direction, supposed = settled
        other = "worst" if direction == "perfect" else "perfect"
        best = _end(view, corners, readings, direction, True)
        worst = _end(view, corners, readings, other, False)
        if best is not None and worst is not None:
            best, worst = _met(best, readings), _met(worst, readings)
            how = "proved: from the direction" if best.proved and worst.proved else ""
            how = how or f"at {SHARES} shares of positives, from the direction"
            return worst, best, how + supposed
    low, high, count = _seen(view.program)
    return low, high, f"sampled at {count:,} tables"


def _end(
    view: terms.View, corners: Corners, readings: dict[str, Reading], name: str, largest: bool
) -> End | None:
    """The largest (or smallest) value of all perfect (or worst) predictions."""
    exact = readings[name]
    reading = corners.nearly(name) if exact.undefined else exact
    if reading.undefined or not reading.proved:
        return None
    there = f"the {name} prediction"
    if math.isinf(reading.number):
        return End(reading.number, str(reading), False, there, True)
    if reading.fixed:
        return End(reading.number, str(reading), not exact.undefined, there, True)
    if reading.expression is None or not view.program.homogeneous:
        return None
    end = _over_shares(view, corners, reading, name, largest)
    return None if end is None else replace(end, attained=end.attained and not exact.undefined)


def _met(end: End, readings: dict[str, Reading]) -> End:
    """An end that is a limit where another simple prediction has that very value."""
    for name in ("all positive", "all negative"):
        same = math.isfinite(end.number) and readings[name].number == end.number
        if same and readings[name].fixed and not end.attained:
            return replace(end, attained=True, where=f"the {name.replace(' ', '-')} prediction")
    return end


def _over_shares(
    view: terms.View, corners: Corners, reading: Reading, name: str, largest: bool
) -> End | None:
    """The extreme of a value that depends on P/(P + N) alone: that of the prediction `name`."""
    assert reading.expression is not None
    share = sympy.Symbol("share", positive=True)
    typical = reading.expression.xreplace(corners.typical())
    candidates: list[tuple[float, bool, str]] = []
    for counts, where in (((EPSILON, 1), "positives"), ((1, EPSILON), "negatives")):
        point = dict(zip((P, N), map(sympy.sympify, counts), strict=True))
        try:
            limit = Corner(point).limit(typical)
        except Unknown:
            return None
        if limit == sympy.nan:
            return None
        rare = (float(limit), False, f" as {where} get rare")
        without = _without(view, name, where)
        same = math.isfinite(without) and abs(without - rare[0]) < SLACK
        candidates.append((without, True, f" without {where}") if same else rare)
    curve = typical.xreplace({P: share, N: 1 - share})
    shares, proved = _stationary(curve, share)
    flat = proved and not shares and candidates[0][0] == candidates[1][0]
    for at in [mpf(1) / 2] if flat else shares:
        value = value_at(curve, {share: at}, 30)
        if value is not None:
            text = (
                "" if flat else f" where positives are {brute.number(round(float(at), 6))} of all"
            )
            candidates.append((float(value), True, text))
    extreme = (max if largest else min)(number for number, _, _ in candidates)
    close = [c for c in candidates if c[0] == extreme or abs(c[0] - extreme) < 1e-12]
    number, reached, where = max(close, key=lambda c: c[1])
    where = f"the {name} prediction{where}"
    used = {s.name for s in reading.expression.free_symbols - {P, N}}
    if used:
        given = [p for p in view.metric.parameters if p.name in used]
        where += f", at {_chosen(given)}" if given else ""
    # What is infinite is a limit, which needs no search.
    return End(number, brute.number(number), reached, where, proved or math.isinf(number))


def _without(view: terms.View, name: str, kind: str) -> float:
    """The value of the perfect or the worst prediction where there are no positives (negatives)."""
    totals = {P: 0 if kind == "positives" else TYPICAL[P]}
    totals[N] = 0 if kind == "negatives" else TYPICAL[N]
    cells = [np.array([float(totals.get(count, count))]) for count in PREDICTIONS[name]]
    mean = float(COLUMN_MEAN) if view.metric.columns else 1.0
    return float(brute.values(view.program, cells, mean)[0])


def _stationary(curve: sympy.Expr, share: sympy.Symbol) -> tuple[list[Any], bool]:
    """Where a function of the share may have its extremes, and whether these are all."""
    if curve.is_rational_function(share):
        above, _ = sympy.fraction(sympy.together(curve.diff(share)))
        plain = sympy.Dummy()
        polynomial = sympy.Poly(sympy.expand(above).xreplace({share: plain}), plain)
        if all(c.is_Rational for c in polynomial.all_coeffs()) and polynomial.degree() <= 12:
            if polynomial.degree() < 1:  # it does not turn
                return [], True
            roots = (sympy.N(root, 30) for root in polynomial.real_roots())
            return [mpf(str(root)) for root in roots if 0 < root < 1], True
    logits = np.linspace(-12, 12, SHARES)
    return [mpf(float(x)) for x in 1 / (1 + np.exp(-logits))], False


def _seen(program: ir.Program) -> tuple[End, End, int]:
    """The smallest and the largest value on tables of many sizes."""
    cells, found = brute.wide(program)
    defined = ~np.isnan(found)
    ends = []
    for sign in (-1, 1):
        place = int(np.argmax(np.where(defined, sign * found, -np.inf)))
        shown = ", ".join(
            f"{name} = {brute.number(cell[place])}"
            for name, cell in zip(("TP", "FN", "FP", "TN"), cells, strict=True)
        )
        number = float(found[place])
        number = 0.0 if abs(number) < ROUNDING else number
        ends.append(End(number, brute.number(number), math.isfinite(number), shown, False))
    return ends[0], ends[1], int(defined.sum())


def _range(subject: Subject, view: terms.View, ends: tuple[End, End], how: str) -> ir.Finding:
    low, high = ends
    sampled = how.startswith("sampled")
    if sampled:
        fact = f"{view.name} was seen from {low.text} (at {low.where}) to {high.text}"
        fact += f" (at {high.where})"
        if view.metric.parameters:
            fact += f", with {_chosen(view.metric.parameters)}"
        poles = [z.formula for z in subject.audit.singular if not z.cells and "= 0" in z.formula]
        fact += f"; it may go further near {' or '.join(poles)}" if poles else ""
    else:
        left = f"{'[' if low.attained else '('}{low.text}"
        right = f"{high.text}{']' if high.attained else ')'}"
        fact = (
            f"{view.name} lies in {left}, {right}: lowest at {low.where}, highest at {high.where}"
        )
    stated = subject.metric.fact("range")
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("low", brute.datum(low.number)),
        ("high", brute.datum(high.number)),
        ("low_attained", low.attained),
        ("high_attained", high.attained),
        ("low_at", low.where),
        ("high_at", high.where),
    )
    severity: ir.Severity = "note"
    hint = place = None
    if stated:
        data += (("stated", stated),)
        beyond = outside(stated, low.number, high.number)
        if beyond:
            severity, hint = "warning", "correct the range of its record"
            place = places.whole(subject.metric)
            fact += f": outside of the range {stated} that its record states"
        elif sampled:
            fact += f"; its record states {stated}"
    return ir.Finding("MC0621", severity, fact, how, place, hint, data)


def _chosen(parameters: Sequence[ir.Parameter]) -> str:
    return ", ".join(f"{p.name} = {brute.number(float(brute.typical(p)))}" for p in parameters)


# -- simple predictions, and the loss -------------------------------------------------------------


def _simple(view: terms.View, readings: dict[str, Reading]) -> ir.Finding:
    said = ", ".join(f"{readings[name]} for {words}" for name, words in SIMPLE.items())
    nothing, everything = map(str, list(readings.values())[4:])
    empty = f"{nothing} where nothing is predicted and {everything} where all is"
    empty = nothing if nothing == everything else empty
    fact = f"{view.name} is {said}; without positives it is {empty}"
    proved = all(reading.proved for reading in readings.values())
    evidence = "proved: exact values at P positives and N negatives"
    if not proved:
        evidence = f"measured at P = {TYPICAL[P]}, N = {TYPICAL[N]}"
    data: tuple[tuple[str, ir.Datum], ...] = tuple(
        (name, (str(reading), brute.datum(reading.number))) for name, reading in readings.items()
    )
    return ir.Finding("MC0622", "note", fact, evidence, data=data)


def _loss(
    subject: Subject,
    view: terms.View,
    ends: tuple[End, End],
    how: str,
    readings: dict[str, Reading],
) -> ir.Finding:
    low, high = ends
    name, maximized = subject.options.name, subject.options.goal == "maximize"
    loss = f"1 - {name}" if maximized else name
    best, worst = (high, low) if maximized else (low, high)
    floor, ceiling = ((1 - end.number if maximized else end.number) for end in (best, worst))
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("loss_low", brute.datum(floor)),
        ("loss_high", brute.datum(ceiling)),
    )
    perfect = readings["perfect"]
    against = _against(view, maximized) if better.settled(subject) is None else ""
    called = subject.name
    endless = math.isinf(best.number) and (perfect.undefined or perfect.number == best.number)
    if endless:
        fact = (
            f"the loss {loss} has no floor: it falls without end near the perfect prediction, and "
        )
        fact += "the file stops at the largest finite number"
        hint = "train on a bounded metric that orders predictions alike, such as M/(1 + M)"
    elif against:
        fact = f"the loss {loss} is not least at the perfect prediction: {against}"
        hint = "train on a metric that is best at the perfect prediction"
    elif abs(readings["worst"].number - best.number) < SLACK:
        fact = f"the loss {loss} is as low at the worst prediction as at the perfect one"
        hint = "training may end with all labels swapped: see that it starts on the right side"
    else:
        hint = None
        top = f"and at most {brute.number(ceiling)}"
        if worst.text != brute.number(worst.number):  # a text over parameters
            top += f" (with {_chosen(view.metric.parameters)})"
        if math.isinf(ceiling):
            top = "and grows without end"
        if perfect.expression is not None and not perfect.fixed and not perfect.undefined:
            fact = f"the loss {loss} of a perfect prediction depends on the batch: {called} is "
            fact += str(perfect)
            how = "proved: its value at P positives and N negatives" if perfect.proved else how
        elif floor == 0:
            fact = f"the loss {loss} is 0 at the perfect prediction {top}"
        else:
            fact = (
                f"the loss {loss} is {brute.number(floor)} at best, not 0, {top}: a shift, which "
            )
            fact += "changes no gradient"
    severity: ir.Severity = "note" if hint is None else "warning"
    return ir.Finding("MC0623", severity, fact, how, hint=hint, data=data)


def _against(view: terms.View, maximized: bool) -> str:
    """A table on which the metric is better than that of the perfect prediction of as many
    positives and negatives, in words; an empty text where none is seen.
    """
    cells, found = brute.wide(view.program)
    TP, FN, FP, TN = brute.tables(brute.COUNTS)
    none = np.zeros_like(TP)
    means = brute.MEANS if view.metric.columns else (1.0,)
    right = (TP + FN, none, none, FP + TN)
    perfect = np.concatenate([brute.values(view.program, right, mean) for mean in means])
    with np.errstate(invalid="ignore"):
        gap = (found - perfect) * (1 if maximized else -1)
        places = np.flatnonzero(gap > SLACK * np.maximum(1, abs(perfect)))
    if not len(places):
        return ""
    numbers = np.stack(cells, -1)[places]
    # The smallest table without a count of 0, if there is one.
    first = np.lexsort((numbers.sum(1), (numbers == 0).any(1)))[0]
    place, counts = int(places[first]), numbers[first]
    shown = ", ".join(f"{n} = {brute.number(c)}" for n, c in zip(CELLS, counts, strict=True))
    mean = means[place // len(TP)]
    shown += "".join(f", each sample of {c} {brute.number(mean)}" for c in view.metric.columns)
    return (
        f"with {brute.number(counts[0] + counts[1])} positives and "
        f"{brute.number(counts[2] + counts[3])} negatives it is {brute.number(perfect[place])} "
        f"there, and {brute.number(found[place])} at {shown}"
    )


def _joined(subject: Subject) -> list[ir.Finding]:
    """What is seen of several terms on tables of three classes; of element losses nothing."""
    if subject.metric.elements or subject.metric.single:
        return []
    found = brute.class_values(subject.plan)
    if not len(found):
        return []
    low, high = float(found.min()), float(found.max())
    fact = f"{subject.name} was seen from {brute.number(low)} to {brute.number(high)}"
    stated = subject.metric.fact("range")
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("low", brute.datum(low)),
        ("high", brute.datum(high)),
    )
    severity: ir.Severity = "note"
    if stated:
        data += (("stated", stated),)
        beyond = outside(stated, low, high)
        severity = "warning" if beyond else "note"
        fact += f"; its record states {stated}"
    evidence = f"sampled at {len(found):,} tables of {brute.CLASSES} classes"
    place = places.whole(subject.metric) if severity == "warning" else None
    hint = "correct the range of its record" if severity == "warning" else None
    return [ir.Finding("MC0621", severity, fact, evidence, place, hint, data)]
