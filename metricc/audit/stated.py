"""The range that a metric's record states, "[0, log(2)]", as numbers."""

from __future__ import annotations

import math

from metricc import syntax
from metricc.errors import MetriccError
from metricc.parse import parse

SLACK = 1e-9


def outside(stated: str, low: float, high: float) -> bool:
    """Whether a number lies outside of a range that is written as "[0, log(2)]"."""
    ends = [_stated(text) for text in stated.strip("[]()").rsplit(", ", 1)]
    if len(ends) != 2 or None in ends:
        return False
    least, most = ends
    assert least is not None and most is not None
    return low < least - SLACK * max(1, abs(least)) or high > most + SLACK * max(1, abs(most))


def _stated(text: str) -> float | None:
    """The number that one end of a record's range is."""
    text = text.strip()
    if text in ("inf", "-inf"):
        return float(text)
    try:
        body = parse(text).metric
        return None if body is None else _evaluated(body.body)
    except (MetriccError, ArithmeticError, ValueError):
        return None


def _evaluated(node: syntax.Expression) -> float | None:
    parts = [_evaluated(child) for child in syntax.children(node)]
    if any(part is None for part in parts):
        return None
    numbers = [part for part in parts if part is not None]
    match node:
        case syntax.Number():
            return float(node.value)
        case syntax.Negation():
            return -numbers[0]
        case syntax.Product():
            total = numbers[0]
            for number, divides in zip(numbers[1:], node.divides, strict=True):
                total = total / number if divides else total * number
            return total
        case syntax.Call() if node.function in ("sqrt", "log"):
            return math.sqrt(numbers[0]) if node.function == "sqrt" else math.log(numbers[0])
    return None
