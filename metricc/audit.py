"""ir.Plan → ir.Audit: what training on this metric means, from the signs of its weights.

`w_plus` is what moving a positive's prediction up is worth, `w_minus` what moving a negative's
down is worth. Both at least 0 everywhere: a score. Both at most 0: an error rate.
"""

from __future__ import annotations

from typing import Any

import sympy

from metricc import ir
from metricc.algebra import sign_of
from metricc.functions import CELLS
from metricc.numeric import inside, mpf, sample, value_at

POINTS = 200


def audit(plan: ir.Plan) -> ir.Audit:
    """Decide direction and degeneracy; proved by signs where they can be read off.

    With several terms the signs are products: of G's slope in a term, and of the term's weights.
    """
    metric = plan.metric
    found: set[int] = set()
    proved, depends = True, False
    for term, program in zip(metric.tables, plan.programs, strict=True):
        outer, how = {1}, "proved"
        if plan.outer is not None:
            outer, how = _signs(plan.outer, f"M_{term.symbol.name}")
        proved = proved and how == "proved"
        for name in ("w_plus", "w_minus"):
            signs, how = _signs(program, name)
            proved = proved and how == "proved"
            depends = depends or program.forms[name].expression != 0
            found |= {a * b for a in signs for b in outer}
    for term in metric.elements:  # a loss that is less is better
        signs, how = _signs(plan.outer or plan.program, f"M_{term.symbol.name}")
        proved = proved and how == "proved"
        found |= {-sign for sign in signs}
    direction: ir.Direction = "mixed"
    if found <= {0, 1}:
        direction = "score"
    elif found <= {0, -1}:
        direction = "error rate"
    how = "proved from the signs of w_plus and w_minus"
    # In a multiclass task no prediction is all positive in every class.
    constant = depends and len(plan.programs) == 1 and metric.task != "multiclass"
    return ir.Audit(
        direction=direction,
        direction_proof=how if proved else f"sampled at {POINTS} points",
        degenerate=_degenerate(plan.program, direction) if constant else "",
        depends=depends,
        homogeneous=all(program.homogeneous for program in plan.programs),
    )


def _signs(program: ir.Program, name: str) -> tuple[set[int], str]:
    metric, slope = program.metric, program.forms[name].expression
    sign = sign_of(slope, metric.nonnegative)
    if sign is not None:
        return {sign}, "proved"
    found: set[int] = set()
    for point in sample(metric.unknowns, POINTS):
        number = value_at(slope, point, 15)
        if number is not None and abs(number) > 1e-12:
            found.add(1 if number > 0 else -1)
    return found or {0}, "sampled"


def _degenerate(program: ir.Program, direction: ir.Direction) -> str:
    """The constant prediction that reaches the best value, or an empty string.

    With P positives and N negatives: all positive is (P, 0, N, 0), all negative (0, P, 0, N);
    a constant prediction but for one sure sample is their limit.
    """
    if direction == "mixed":
        return ""
    expression = program.forms["value"].expression
    fixed = {sympy.Symbol(p.name): _typical(p) for p in program.metric.unknowns}
    positives, negatives, epsilon = mpf(3), mpf(7), mpf(10) ** -15

    def at(*cells: Any) -> Any | None:
        point = dict(zip(map(sympy.Symbol, CELLS), cells, strict=True))
        return value_at(expression, point | fixed, 40)

    best = at(positives, epsilon, epsilon, negatives)
    constant = {
        "all positive": (positives, 0, negatives, 0),
        "all negative": (0, positives, 0, negatives),
        "almost all negative": (epsilon, positives - epsilon, epsilon**2, negatives),
        "almost all positive": (positives, epsilon**2, negatives - epsilon, epsilon),
    }
    for name, cells in constant.items():
        reached = at(*cells)
        if best is None or reached is None:
            continue
        sign = 1 if direction == "score" else -1
        unbounded = min(sign * best, sign * reached) > 1e9  # both go to infinity
        if unbounded or sign * (best - reached) < 1e-9:
            return name
    return ""


def _typical(parameter: ir.Parameter) -> float:
    return inside(parameter) if parameter.default is None else float(parameter.default)
