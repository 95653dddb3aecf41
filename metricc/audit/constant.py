"""Constant predictions that reach the best value: nothing is to be learned from such a metric."""

from __future__ import annotations

from typing import Any

import sympy

from metricc import ir
from metricc.numeric import inside, mpf, value_at


def constant_best(program: ir.Program, direction: ir.Direction) -> str:
    """The constant prediction that reaches the best value, or an empty string.

    With P positives and N negatives: all positive is (P, 0, N, 0), all negative (0, P, 0, N);
    a constant prediction but for one sure sample is their limit.
    """
    if direction == "mixed":
        return ""
    expression = program.forms["value"].expression
    metric = program.metric
    fixed = {sympy.Symbol(p.name): _typical(p) for p in metric.unknowns if not p.counted}
    positives, negatives, epsilon = mpf(3), mpf(7), mpf(10) ** -15

    def at(*cells: Any) -> Any | None:
        # By a column positives count so much on average, and negatives so much.
        means = [(1, 1), *((2**k, mpf(3) ** -k) for k, _ in enumerate(metric.columns, 1))]
        counts = [c * mean[i > 1] for mean in means for i, c in enumerate(cells)]
        point = dict(zip(map(sympy.Symbol, metric.cells), counts, strict=True))
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
