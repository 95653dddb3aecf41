"""MC0631: dependence on the size of the batch. MC0632: dependence on the share of positives.

A metric that is homogeneous of degree 0 is the same for a batch and for the same batch twice. One
that is also homogeneous of degree 0 in the positives' counts alone depends on the two rates of the
ROC square and on nothing else. Both are one equation (Euler's): the sum of the counts times the
slopes in them is the degree times the metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import sympy

from metricc import ir
from metricc.algebra import Field
from metricc.audit import brute, terms
from metricc.audit.subject import Subject
from metricc.factoring import TooLarge
from metricc.functions import CELLS
from metricc.numeric import Tape, mp, mpf, sample

POINTS, DIGITS = 20, 80
EULER = "proved: Euler's equation"
RATES = (0.8, 0.1)  # TPR and FPR at which shares of positives are compared
SHARES = (0.5, 0.1, 0.01)
SAMPLES = 1_000
SLACK = 1e-9


def findings(subject: Subject) -> list[ir.Finding]:
    """What the size of the batch does, and what the share of positives."""
    if not subject.audit.depends:
        return []
    found = [_size(subject)]
    view = terms.one_table(subject)
    if view is not None and not view.metric.elements and not terms.pooled(subject.plan):
        found += _share(view)
    return found


# -- the batch's size -----------------------------------------------------------------------------


def _size(subject: Subject) -> ir.Finding:
    plan, name = subject.plan, subject.name
    degree, evidence = _degree(plan)
    data: tuple[tuple[str, ir.Datum], ...]
    if degree == 0:
        data = (("degree", 0.0),)
        fact = f"{name} does not depend on the size of the batch: all counts doubled change nothing"
        return ir.Finding("MC0631", "note", fact, evidence, data=data)
    hint = "keep the batch size fixed: another size means another loss"
    if degree is not None:
        data = (("degree", float(degree)),)
        does, undo = ("grows", "divide") if degree > 0 else ("shrinks", "multiply")
        hint = f"keep the batch size fixed, or {undo} by {_power('POP', abs(degree))}: another "
        hint += "size means another loss"
        fact = f"{name} {does} with the size of the batch: k times the counts give "
        fact += f"{_power('k', degree)} times the value"
        return ir.Finding("MC0631", "warning", fact, evidence, hint=hint, data=data)
    evidence = "computed at two sizes"
    data = (("degree", None),)
    fact = f"{name} depends on the size of the batch"
    view = terms.one_table(subject)
    if view is not None:
        tables = [np.array([count, 4 * count], float) for count in (6.0, 2.0, 4.0, 20.0)]
        once, often = map(float, brute.values(view.program, tables))
        if abs(once - often) <= SLACK * abs(once):
            fact = f"{name} is {brute.number(once)} at TP = 6, FN = 2, FP = 4, TN = 20, and at "
            fact += "four times as many of each: it may be the same for batches of all sizes"
            return ir.Finding("MC0631", "note", fact, evidence, data=data)
        fact += f": it is {brute.number(once)} at TP = 6, FN = 2, FP = 4, TN = 20, and "
        fact += f"{brute.number(often)} at four times as many of each"
        data += (("values", (brute.datum(once), brute.datum(often))),)
    return ir.Finding("MC0631", "warning", fact, evidence, hint=hint, data=data)


def _power(base: str, degree: Fraction) -> str:
    """k, k^2, k^-1 or k^(1/2)."""
    if degree == 1:
        return base
    return f"{base}^{degree}" if degree.denominator == 1 else f"{base}^({degree})"


def _degree(plan: ir.Plan) -> tuple[Fraction | None, str]:
    """The degree of homogeneity; None where there is none, or where it is not proved."""
    if plan.metric.single:
        return _degree_of(plan.program, dict.fromkeys(plan.metric.cells, 1))
    degrees = []
    for term, program in zip(plan.metric.tables, plan.programs, strict=True):
        if term.reduction == "geomean" and plan.outer is not None and not program.homogeneous:
            return None, "sampled"
        degree, evidence = _degree_of(program, dict.fromkeys(CELLS, 1))
        if degree is None:
            return None, evidence
        degrees.append(degree)
    if plan.outer is None:
        return degrees[0], EULER
    named = zip(plan.metric.tables, degrees, strict=True)
    return _degree_of(plan.outer, {term.symbol.name: degree for term, degree in named})


def _degree_of(
    program: ir.Program, weights: Mapping[str, int | Fraction]
) -> tuple[Fraction | None, str]:
    """The degree in some variables, which may count more than once."""
    value = program.forms["value"].expression
    slopes = {name: program.forms[f"M_{name}"].expression for name in weights}
    total = sympy.Add(
        *(sympy.Rational(w) * sympy.Symbol(n) * slopes[n] for n, w in weights.items())
    )
    degree = _seen_degree(program.metric, total, value)
    if degree is None:
        return None, f"sampled at {POINTS} points"
    if degree == 0 and program.homogeneous and {*weights} >= {*CELLS}:
        return degree, EULER
    expected = sympy.Rational(degree) * value
    try:
        if Field([total, expected], program.metric.nonnegative).equal(total, expected):
            return degree, EULER
    except (TooLarge, ZeroDivisionError):
        pass
    return degree, f"sampled at {POINTS} points"


def _seen_degree(metric: ir.Metric, total: sympy.Expr, value: sympy.Expr) -> Fraction | None:
    """The one ratio of two expressions at many points, if it is one."""
    tape = Tape((total, value))
    ratios: set[Fraction] = set()
    for point in sample(metric.unknowns, POINTS):
        found = tape.at(point, DIGITS)
        if None in found:
            continue
        (up, one), (down, other) = found  # type: ignore[misc]
        noise = mpf(10) ** (20 - DIGITS) * max(one, other)
        if abs(down) <= 10**15 * noise:  # a value among rounding errors says nothing
            if abs(up) > 10**16 * noise:
                return None
            continue
        ratio = Fraction(float(up / down)).limit_denominator(12)
        with mp.workdps(DIGITS):
            gap = abs(up - mpf(ratio.numerator) / ratio.denominator * down)
        if gap > 10 * noise + mpf(10) ** -20 * abs(down):
            return None
        ratios.add(ratio)
    return ratios.pop() if len(ratios) == 1 else None


# -- the share of positives -----------------------------------------------------------------------


def _share(view: terms.View) -> list[ir.Finding]:
    metric = view.metric
    positives = [name for name in metric.cells if name.startswith(("TP", "FN"))]
    degree, evidence = _degree_of(view.program, dict.fromkeys(positives, 1))
    if degree == 0 and view.program.homogeneous:
        fact = f"{view.name} does not depend on the share of positives: TPR and FPR settle it"
        return [ir.Finding("MC0632", "note", fact, evidence, data=(("depends", False),))]
    values = _at_shares(view.program, SAMPLES)
    shown = [(s, v) for s, v in zip(SHARES, values, strict=True) if np.isfinite(v)]
    if len(shown) < 2:
        return []
    numbers = [v for _, v in shown]
    if max(numbers) - min(numbers) <= SLACK * max(map(abs, numbers)):
        return []  # nothing is proved, nor seen
    said = ", ".join(f"{v:.3g} at {s:g}" for s, v in shown)
    fact = f"{view.name} depends on the share of positives: with TPR {RATES[0]} and FPR {RATES[1]} "
    fact += f"it is {said}"
    if not np.allclose(values, _at_shares(view.program, 4 * SAMPLES), equal_nan=True):
        fact += f", of {SAMPLES:,} samples"
    data: tuple[tuple[str, ir.Datum], ...] = (("depends", True), ("values", tuple(shown)))
    return [ir.Finding("MC0632", "note", fact, "computed", data=data)]


def _at_shares(program: ir.Program, samples: int) -> Sequence[float]:
    share = np.array(SHARES)
    tpr, fpr = RATES
    rates = (share * tpr, share * (1 - tpr), (1 - share) * fpr, (1 - share) * (1 - fpr))
    return [float(v) for v in brute.values(program, [samples * rate for rate in rates])]
