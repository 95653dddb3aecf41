"""MC0603: constant predictions that reach the best value. MC0604: a threshold at 0 or 1. MC0606: a
metric that no prediction changes.

Where a model that does not look at its input is as good as a perfect one, training has nothing to
learn. The candidates are all positive, all negative, and either but for one sure sample, as limits.
"""

from __future__ import annotations

import sympy

from metricc import ir
from metricc.audit import better, places, terms
from metricc.audit.corners import Corners, Reading
from metricc.audit.germs import Unknown, vanishes
from metricc.audit.subject import Subject

CONSTANT = ("all positive", "all negative", "almost all positive", "almost all negative")
HINT = "combine it with a metric that punishes that, as f1 combines precision and recall"
UNBOUNDED = "take a bounded metric that orders predictions alike, then combine that with another"
SLACK = 1e-9


def findings(subject: Subject) -> list[ir.Finding]:
    """What is degenerate about the metric as a target."""
    if not subject.audit.depends:
        return [_nothing(subject)]
    found = _reached(subject)
    view = terms.one_table(subject)
    if view is not None and subject.metric.task != "multiclass" and not subject.metric.elements:
        found += _threshold(subject, view)
    return found


def _nothing(subject: Subject) -> ir.Finding:
    fact = f"no prediction changes {subject.name}"
    if subject.metric.elements:
        fact = f"no confusion matrix changes {subject.name}, element losses alone do"
    hint = "a loss needs a metric that TP and FN, or FP and TN, change differently"
    evidence = "proved: w_plus and w_minus are 0"
    return ir.Finding("MC0606", "danger", fact, evidence, places.whole(subject.metric), hint)


def _reached(subject: Subject) -> list[ir.Finding]:
    """The constant predictions that reach the best value."""
    audit, metric = subject.audit, subject.metric
    view = terms.one_table(subject)
    other = metric.task == "multiclass" or bool(metric.elements)
    if view is None or other or better.settled(subject) is None:
        # In a multiclass task no prediction is all positive in every class.
        return [_seen(subject)] if audit.degenerate else []
    corners = Corners(view.program)
    best = corners.exactly("perfect")
    best = corners.nearly("perfect") if best.undefined else best
    ways: dict[str, Reading] = {}
    for prediction in CONSTANT:
        almost = prediction.startswith("almost")
        reading = corners.nearly(prediction) if almost else corners.exactly(prediction)
        if prediction.removeprefix("almost ") not in ways and _same(reading, best):
            ways[prediction] = reading
    if not ways:
        return [_seen(subject)] if audit.degenerate else []
    attained = [not prediction.startswith("almost") for prediction in ways]
    fact = f"predicting {' or '.join(ways)} already reaches the best value of {view.name}"
    fact += f"{'' if any(attained) else ' in the limit'}, {best}"
    evidence = "proved: values and limits at P positives and N negatives"
    if not (best.proved and all(reading.proved for reading in ways.values())):
        evidence = "measured at P = 3, N = 7"
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("predictions", tuple(ways)),
        ("attained", tuple(attained)),
        ("best", str(best)),
    )
    hint = UNBOUNDED if best.expression in (sympy.oo, -sympy.oo) else HINT
    place = places.whole(metric)
    return [ir.Finding("MC0603", "danger", fact, evidence, place, hint, data)]


def _seen(subject: Subject) -> ir.Finding:
    """What the compiler has seen in numbers."""
    degenerate = subject.audit.degenerate
    fact = f"predicting {degenerate} is at least as good as predicting perfectly, by {subject.name}"
    data: tuple[tuple[str, ir.Datum], ...] = (("predictions", (degenerate,)),)
    place = places.whole(subject.metric)
    return ir.Finding("MC0603", "danger", fact, "measured at P = 3, N = 7", place, HINT, data)


def _same(one: Reading, two: Reading) -> bool:
    """Whether two values are the same whatever P, N and the parameters are."""
    if one.undefined or two.undefined or one.number != two.number:
        close = abs(one.number - two.number) < SLACK
        if not close:
            return False
    if one.expression is None or two.expression is None:
        return True
    if sympy.oo in (one.expression, -one.expression):
        return bool(one.expression == two.expression)
    try:
        return vanishes(one.expression - two.expression)
    except Unknown:
        return True


def _threshold(subject: Subject, view: terms.View) -> list[ir.Finding]:
    threshold = view.program.threshold
    if threshold is None or threshold.has(sympy.nan, sympy.zoo, sympy.oo):
        return []
    if subject.audit.direction == "mixed":
        return []  # a threshold says what is best only where right answers are
    says = {0: "positive", 1: "negative"}
    ends = {sympy.Integer(0): 0, sympy.Integer(1): 1}
    plain = sympy.cancel(threshold) if threshold.is_rational_function() else threshold
    if plain in ends:
        end = ends[plain]
        fact = f"the implied threshold of {view.name} is {end} whatever is predicted: it is best "
        fact += f"to call every sample {says[end]}"
        evidence = "proved: w_plus and w_minus"
    else:
        perfect = Corners(view.program).at("perfect", threshold)
        if better.settled(subject) is None or perfect.expression not in ends:
            return []
        end = ends[perfect.expression]
        fact = f"the implied threshold of {view.name} goes to {end} where predictions are perfect: "
        fact += f"the better a model is, the more samples are best called {says[end]}"
        evidence = "proved: its value at the perfect prediction"
    data: tuple[tuple[str, ir.Datum], ...] = (("threshold", float(end)),)
    place = places.whole(subject.metric)
    return [ir.Finding("MC0604", "warning", fact, evidence, place, HINT, data)]
