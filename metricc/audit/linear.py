"""Which metrics are linear costs: their weights do not depend on the predictions.

Then every positive's prediction is worth w_plus and every negative's w_minus, whatever the others
are, and minimizing the expected cost is a matter of single samples: weighted cross-entropy, and a
cut on calibrated probabilities, reach the same optimum (Elkan 2001).
"""

from __future__ import annotations

from operator import mul

import sympy

from metricc import ir
from metricc.algebra import Field
from metricc.factoring import TooLarge
from metricc.functions import CELLS
from metricc.numeric import sample, value_at
from metricc.select import assume, conditions

POINTS = 5  # at which most other metrics are told apart, before anything is proved
DIGITS = 30


def linear_weights(plan: ir.Plan, sign: int) -> tuple[str, ...] | None:
    """What a positive and a negative weigh in a linear cost, as text.

    None where a weight is seen to change with the predictions, empty where nothing is proved.
    Over the classes' totals P and N, parameters and, as a sample's own numbers, columns; `sign` is
    -1 for error rates, whose weights are not above 0. That no prediction changes them is proved by
    exact algebra: their slopes from FN to TP and from FP to TN are 0.
    """
    metric = plan.metric
    if not metric.single or metric.elements or metric.task != "binary":
        return ()
    weights = [plan.program.forms[name].expression for name in ir.weights_of(metric)]
    cells = metric.cells
    moves = [
        (sympy.Symbol(cells[i + to]), sympy.Symbol(cells[i + of]))
        for i in range(0, len(cells), len(CELLS))
        for to, of in ((0, 1), (3, 2))  # TP and FN, TN and FP
    ]
    if any(_moves(metric, weight, moves) for weight in weights):
        return None
    slopes = [sympy.diff(w, to) - sympy.diff(w, of) for w in weights for to, of in moves]
    try:
        field = Field(slopes, metric.nonnegative)
        if not all(field.equal(slope, sympy.Integer(0)) for slope in slopes):
            return ()
    except (TooLarge, ZeroDivisionError):
        return ()
    plain = [_of_classes(metric, weight, moves) for weight in weights]
    own = [sympy.Integer(1), *map(sympy.Symbol, metric.columns)]
    totals = [sum(map(mul, own, plain[side::2])) for side in (0, 1)]
    return tuple(_text(total, sign) for total in totals)


def _text(total: sympy.Expr, sign: int) -> str:
    """A weight as text, case by case where it has conditions."""
    found = conditions(total)
    if not found:
        above, below = sympy.fraction(sympy.together(total))
        return str(sympy.expand(sign * above) / below)
    left, right = found[0]
    then, other = (_text(assume(total, {found[0]: truth}), sign) for truth in (True, False))
    if then == other:
        return then
    then = f"({then})" if " where " in then else then
    return f"{then} where {left} < {right}, else {other}"


Moves = list[tuple[sympy.Symbol, sympy.Symbol]]


def _moves(metric: ir.Metric, weight: sympy.Expr, moves: Moves) -> bool:
    """Whether a weight is seen to change with the predictions."""
    for point in sample(metric.unknowns, POINTS):
        before = value_at(weight, point, DIGITS)
        for to, of in moves:
            moved = {**point, to: point[to] + point[of] / 3, of: point[of] * 2 / 3}
            after = value_at(weight, moved, DIGITS)
            if before is None or after is None:
                continue
            if abs(after - before) > 1e-12 * max(abs(before), abs(after)):
                return True
    return False


def _of_classes(metric: ir.Metric, weight: sympy.Expr, moves: Moves) -> sympy.Expr:
    """A weight over the classes' totals: P for TP + FN, N for FP + TN, P_amount, ..."""
    totals = {to: to.name[1:] for to, _ in moves}  # TP → P, TN_amount → N_amount
    if {*totals.values(), "POP"} & {p.name for p in metric.parameters}:
        return weight
    # Nothing changes where all predictions are right.
    right = {to: sympy.Symbol(total) for to, total in totals.items()}
    found = weight.xreplace({**right, **{of: sympy.Integer(0) for _, of in moves}})
    if found.has(sympy.nan, sympy.zoo, sympy.oo):
        return weight
    P, N, POP = map(sympy.Symbol, ("P", "N", "POP"))
    return sympy.factor_terms(found).xreplace({N + P: POP})
