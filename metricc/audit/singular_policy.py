"""What a generated file computes where the metric has no value: its guards, on exact counts.

Denominators, and arguments of roots and logarithms, are at least the smallest normal number;
results are at most 1e30. These are the rules of `emit/torch_guards.py`, on floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from metricc import ir, syntax

TINY = 2.2250738585072014e-308
HUGE = 1e30


def results(block: ir.Block, scope: Mapping[str, float]) -> list[float]:
    """The results of straight-line code at counts and parameters, as the file has them."""
    names = dict(scope)
    for name, expression in block.assignments:
        names[name] = _number(expression, names)
    return [_number(result, names) for result in block.results]


def _number(node: syntax.Expression, names: Mapping[str, float]) -> float:
    if isinstance(node, syntax.Name):
        return names[node.id]
    if isinstance(node, syntax.Number):
        return float(node.value)
    parts = [_number(child, names) for child in syntax.children(node)]
    match node:
        case syntax.Negation():
            return -parts[0]
        case syntax.Sum():
            signs = (1, *(-1 if s else 1 for s in node.subtracts))
            total = 0.0
            for sign, part in zip(signs, parts, strict=True):
                total += sign * part
            return total
        case syntax.Product():
            divides = (False, *node.divides)
            above = math.prod(p for p, d in zip(parts, divides, strict=True) if not d)
            if not any(divides):
                return above
            return _ratio(above, math.prod(p for p, d in zip(parts, divides, strict=True) if d))
        case syntax.Power():
            return _power(*parts)
        case syntax.Comparison():
            return float(parts[0] < parts[1])
        case syntax.Conditional():
            return parts[1] if parts[0] else parts[2]
        case syntax.Call():
            return _call(node.function, parts)
    raise AssertionError(node)


def _ratio(a: float, b: float) -> float:
    quotient = a / (TINY if abs(b) < TINY else b)
    return quotient if -HUGE < quotient < HUGE else min(max(quotient, -HUGE), HUGE)


def _power(x: float, exponent: float) -> float:
    if exponent in (2, 3):
        return float(x**exponent)
    x = TINY if not exponent.is_integer() and x < TINY else x
    try:
        return float(min(max(x**exponent, -HUGE), HUGE))
    except (OverflowError, ZeroDivisionError):
        return -HUGE if x < 0 and exponent % 2 else HUGE


def _call(function: str, parts: list[float]) -> float:
    x = parts[0]
    match function:
        case "sqrt":
            return math.sqrt(max(x, TINY))
        case "log":
            return math.log(max(x, TINY))
        case "log_ratio":
            above, below, apart = parts
            if abs(apart) < below / 2:
                return math.log1p(apart / below)
            return math.log(min(max(above / max(below, TINY), TINY), HUGE))
        case "exp":
            return math.exp(min(x, math.log(HUGE)))
        case "abs":
            return abs(x)
        case "step":
            return 0.5 * (x > 0) + 0.5 * (x >= 0)
        case "min":
            return min(parts)
        case "max":
            return max(parts)
    raise AssertionError(function)
