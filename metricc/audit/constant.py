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
    sign = 1 if direction == "score" else -1

    def at(*cells: Any) -> Any:
        """The value, the larger the better; None outside the domain."""
        # By a column positives count so much on average, and negatives so much.
        means = [(1, 1), *((2**k, mpf(3) ** -k) for k, _ in enumerate(metric.columns, 1))]
        counts = [c * mean[i > 1] for mean in means for i, c in enumerate(cells)]
        point = dict(zip(map(sympy.Symbol, metric.cells), counts, strict=True))
        number = value_at(expression, point | fixed, DIGITS)
        return None if number is None else sign * number

    near, nearer = _predictions(mpf(10) ** -15), _predictions(mpf(10) ** -60)
    best, limit = at(*near["perfect"]), at(*nearer["perfect"])
    for name in (n for n in near if n != "perfect"):
        first, reached = at(*near[name]), at(*nearer[name])
        if None in (best, limit, first, reached):
            continue
        if limit - reached < SLACK or (_endless(best, limit) and _endless(first, reached)):
            return name
    return ""


DIGITS = 200
SLACK = 1e-9


def _predictions(epsilon: Any) -> dict[str, tuple[Any, ...]]:
    """Counts near those of the perfect prediction and of the constant ones."""
    positives, negatives = mpf(3), mpf(7)
    return {
        "perfect": (positives, epsilon, epsilon, negatives),
        "all positive": (positives, 0, negatives, 0),
        "all negative": (0, positives, 0, negatives),
        "almost all negative": (epsilon, positives - epsilon, epsilon**2, negatives),
        "almost all positive": (positives, epsilon**2, negatives - epsilon, epsilon),
    }


def _endless(near: Any, nearer: Any) -> bool:
    """Whether a value grows on and on, as a logarithm does at least."""
    return bool(nearer > near + 1 and nearer > near * mpf("1.5"))


def _typical(parameter: ir.Parameter) -> float:
    return inside(parameter) if parameter.default is None else float(parameter.default)
