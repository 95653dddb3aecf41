"""Straight-line code on counts as a generated file runs it, rounded to float32 or float64.

The guards are those of the files (`emit/torch_guards.py`), in NumPy and for whole arrays of points.
What comes out are the results and what happened on the way: the largest and the smallest number,
where a number left the range of the type, and which part of the code that was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metricc import ir, syntax

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]

DTYPES = ("float64", "float32")
HUGE = 1e30  # what the guards of generated files bound quotients and powers by


@dataclass
class Extremes:
    """The largest and the smallest number on the way that is not 0, with their places in the code.

    `above` and `below` are the parts of the code, as text and in the order in which they are met,
    that are too large for the type, and that are not 0 and smaller than its normal numbers; each
    with the points where that happens.
    """

    largest: float = 0.0
    smallest: float = np.inf
    largest_of: str = ""
    smallest_of: str = ""
    above: dict[str, Mask] = field(default_factory=dict)
    below: dict[str, Mask] = field(default_factory=dict)


def run(block: ir.Block, scope: Mapping[str, Array], dtype: str) -> tuple[list[Array], Extremes]:
    """The results of a block on arrays of counts and parameters of one shape.

    `dtype` is that of every number on the way, "float32" or "float64": what the counts are
    rounded to first, too.
    """
    machine = _Machine(np.dtype(dtype), scope)
    with np.errstate(all="ignore"):
        for name, expression in block.assignments:
            machine.names[name] = machine.value(expression)
        found = [machine.value(result) for result in block.results]
    return [np.broadcast_to(x, machine.shape) for x in found], machine.extremes


class _Machine:
    def __init__(self, dtype: np.dtype[Any], scope: Mapping[str, Array]) -> None:
        self.type = dtype.type
        self.tiny = self.type(np.finfo(dtype).tiny)
        self.huge = self.type(HUGE)
        self.shape = np.broadcast_shapes(*(np.shape(a) for a in scope.values()))
        self.names: dict[str, Array] = {n: np.asarray(a, dtype) for n, a in scope.items()}
        self.extremes = Extremes()

    def seen(self, number: Array, node: syntax.Expression, exact: Mask | None = None) -> Array:
        """A number of the way, looked at before any guard; `exact` is where it is 0 by right."""
        found, size = self.extremes, np.abs(number)
        below = (size < self.tiny) & (size > 0 if exact is None else ~exact)
        for parts, mask in ((found.above, ~np.isfinite(size)), (found.below, below)):
            if mask.any():
                mask = np.broadcast_to(mask, self.shape)
                parts[str(node)] = parts.get(str(node), False) | mask
        finite = size[np.isfinite(size) & (size > 0)]
        if finite.size:
            if (most := float(finite.max())) > found.largest:
                found.largest, found.largest_of = most, str(node)
            if (least := float(finite.min())) < found.smallest:
                found.smallest, found.smallest_of = least, str(node)
        return number

    def value(self, node: syntax.Expression) -> Array:
        match node:
            case syntax.Name():
                return self.names[node.id]
            case syntax.Number():
                return np.asarray(float(node.value), self.type)
            case syntax.Negation():
                return -self.value(node.operand)
            case syntax.Sum():
                total = self.value(node.operands[0])
                for minus, operand in zip(node.subtracts, node.operands[1:], strict=True):
                    total = total - self.value(operand) if minus else total + self.value(operand)
                return self.seen(total, node)
            case syntax.Product():
                return self.product(node)
            case syntax.Power():
                return self.power(node)
            case syntax.Call():
                return self.call(node.function, [self.value(a.value) for a in node.arguments], node)
            case syntax.Conditional(condition=syntax.Comparison(left=left, right=right)):
                less = self.value(left) < self.value(right)
                return np.where(less, self.value(node.then), self.value(node.otherwise))
        raise AssertionError(node)

    def product(self, node: syntax.Product) -> Array:
        above, below = [node.operands[0]], list[syntax.Expression]()
        for divides, operand in zip(node.divides, node.operands[1:], strict=True):
            (below if divides else above).append(operand)
        top = self.times(above)
        if not below:
            return top
        bottom = self.times(below)
        if all(isinstance(b, syntax.Number) for b in below):
            return self.seen(top / bottom, node, top == 0)
        quotient = top / np.where(np.abs(bottom) < self.tiny, self.tiny, bottom)
        by_right = (top == 0) | ~np.isfinite(bottom) | (bottom == 0)  # 1/0 is what guards are for
        self.seen(np.where(bottom == 0, self.type(0), quotient), node, by_right)
        return np.clip(quotient, -self.huge, self.huge)

    def times(self, factors: list[syntax.Expression]) -> Array:
        total = self.value(factors[0])
        for place, factor in enumerate(factors[1:], 2):
            other = self.value(factor)
            none = (total == 0) | (other == 0)
            part = syntax.Product(tuple(factors[:place]), (False,) * (place - 1))
            total = self.seen(total * other, part, none)
        return total

    def power(self, node: syntax.Power) -> Array:
        base, exponent = self.value(node.base), self.value(node.exponent)
        if isinstance(node.exponent, syntax.Number) and node.exponent.value in (2, 3):
            return self.seen(base ** int(node.exponent.value), node, base == 0)
        whole = isinstance(node.exponent, syntax.Number) and node.exponent.value.denominator == 1
        if not whole:
            base = np.maximum(base, self.tiny)
        found = self.seen(np.power(base, exponent).astype(self.type), node, base == 0)
        return np.clip(found, -self.huge, self.huge)

    def call(self, function: str, x: list[Array], node: syntax.Expression) -> Array:
        match function:
            case "sqrt":
                return np.asarray(np.sqrt(np.maximum(x[0], self.tiny)))
            case "log":
                return self.seen(np.log(np.maximum(x[0], self.tiny)), node)
            case "log_ratio":
                above, below, apart = np.broadcast_arrays(*x)
                near = np.abs(apart) < below / 2
                ratio = np.divide(apart, below, out=np.zeros_like(below), where=near)
                self.seen(ratio, node, (apart == 0) | ~near)
                quotient = above / np.where(np.abs(below) < self.tiny, self.tiny, below)
                far = np.clip(quotient, self.tiny, self.huge)
                return np.where(near, np.log1p(ratio), np.log(far))
            case "exp":
                limit = self.type(np.log(HUGE))
                return self.seen(np.exp(np.minimum(x[0], limit)), node)
            case "abs":
                return np.abs(x[0])
            case "min":
                return np.asarray(np.minimum.reduce(np.broadcast_arrays(*x)))
            case "max":
                return np.asarray(np.maximum.reduce(np.broadcast_arrays(*x)))
            case "step":
                return ((np.sign(x[0]) + 1) / 2).astype(self.type)
        raise AssertionError(function)
