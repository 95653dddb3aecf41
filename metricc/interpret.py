"""Straight-line code on counts in NumPy, with the places where it has no value.

The loss guards its divisions; a score must not. Where the metric is 0/0 in lowest terms it is
undefined, and the caller decides what that means. Where it grows without bound (5/0, log 0) it is
infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from metricc import ir, syntax
from metricc.functions import REDUCTIONS

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

NOISE = 1e-12  # of a radicand below 0, relative to its largest addend


@dataclass(frozen=True, slots=True)
class Partial:
    """Numbers, infinite ones too, and where they are none: `undefined` (0/0, a root of a negative
    number). `vanishing` are logarithms of 0, 1/0 or 0/0, which a factor of exactly 0 makes 0.

    `size` is that of the largest addend, by which rounding below 0 is told from a negative number,
    and a denominator that is 0 from one side from one that changes its sign there.
    """

    number: Array
    undefined: Mask
    vanishing: Mask
    size: Array


Reduce: TypeAlias = Callable[[str, Partial], Partial]


def value(
    block: ir.Block, scope: Mapping[str, Array], reduce: Reduce | None = None
) -> tuple[Array, Mask]:
    """The first result of a block on arrays of one shape, and where it is undefined.

    `reduce(name, values)` is what a reduction makes of its argument, of the same shape. Undefined
    places hold arbitrary finite numbers, others may be infinite.
    """
    no = np.zeros(np.broadcast_shapes(*(a.shape for a in scope.values())), dtype=np.bool_)
    full = {name: np.broadcast_to(a, no.shape) for name, a in scope.items()}
    names = {name: Partial(a, no, no, abs(a)) for name, a in full.items()}
    with np.errstate(all="ignore"):
        for name, expression in block.assignments:
            names[name] = _evaluate(expression, names, no, reduce)
        found = _evaluate(block.results[0], names, no, reduce)
    undefined = found.undefined | np.isnan(found.number)
    return np.where(undefined, 0.0, found.number), undefined


def _evaluate(
    node: syntax.Expression, names: Mapping[str, Partial], no: Mask, reduce: Reduce | None
) -> Partial:
    if isinstance(node, syntax.Name):
        return names[node.id]
    if isinstance(node, syntax.Number):
        return _constant(float(node.value), no.shape)
    parts = [_evaluate(child, names, no, reduce) for child in syntax.children(node)]
    match node:
        case syntax.Negation():
            (part,) = parts
            return Partial(-part.number, part.undefined, part.vanishing, part.size)
        case syntax.Sum():
            signs = (1, *(-1 if s else 1 for s in node.subtracts))
            number = sum(s * p.number for s, p in zip(signs, parts, strict=True))
            size = np.maximum.reduce([p.size for p in parts])
            return _joined(parts, np.asarray(number), size)
        case syntax.Product():
            return _product(parts, (False, *node.divides))
        case syntax.Power():
            return _power(*parts)
        case syntax.Call() if node.function in REDUCTIONS:
            assert reduce is not None, node.function
            return reduce(node.function, parts[0])
        case syntax.Call():
            return _call(node.function, parts)
        case syntax.Comparison():
            left, right = parts
            none = np.isnan(left.number) | np.isnan(right.number)
            found = _joined(parts, (left.number < right.number).astype(np.float64))
            return replace(found, undefined=found.undefined | none)
        case syntax.Conditional():
            condition, then, otherwise = parts
            holds = condition.number == 1
            return Partial(
                np.where(holds, then.number, otherwise.number),
                condition.undefined | np.where(holds, then.undefined, otherwise.undefined),
                np.where(holds, then.vanishing, otherwise.vanishing),
                np.where(holds, then.size, otherwise.size),
            )
    raise AssertionError(node)


def _joined(parts: list[Partial], number: Array, size: Array | None = None) -> Partial:
    undefined = np.logical_or.reduce([p.undefined for p in parts])
    vanishing = np.logical_or.reduce([p.vanishing for p in parts])
    return Partial(number, undefined, vanishing, abs(number) if size is None else size)


def _product(parts: list[Partial], divides: tuple[bool, ...]) -> Partial:
    above = [p for p, below in zip(parts, divides, strict=True) if not below]
    below = [p for p, under in zip(parts, divides, strict=True) if under]
    undefined = np.logical_or.reduce([p.undefined for p in parts])
    vanishing = np.logical_or.reduce([p.vanishing for p in parts])
    # x log(x) is 0 at 0: beside a factor of 0, a logarithm of 0 counts as 1.
    absorbed = np.logical_or.reduce([(p.number == 0) & ~p.vanishing for p in above])
    factors = [np.where(absorbed & p.vanishing, 1.0, p.number) for p in above]
    number = np.prod(factors, axis=0)
    size = np.prod([p.size for p in above], axis=0)
    if below:
        divisor = np.prod([p.number for p in below], axis=0)
        # A sum of counts is 0 from above; one that changes its sign there has no limit.
        crossing = np.logical_or.reduce([(p.number == 0) & (p.size > 0) for p in below])
        undefined = undefined | ((divisor == 0) & ((number == 0) | crossing))
        number, size = number / abs(divisor) * np.where(divisor < 0, -1, 1), size / abs(divisor)
    return Partial(number, undefined, vanishing & ~absorbed, size)


def _power(base: Partial, exponent: Partial) -> Partial:
    whole = exponent.number == np.floor(exponent.number)
    noise = (base.number < 0) & (-base.number <= NOISE * base.size) & ~whole
    number = np.where(noise, 0.0, base.number)
    crossing = (base.size > 0) & (exponent.number < 0)
    bad = (number < 0) & ~whole
    bad |= (number == 0) & ((exponent.number == 0) | crossing)
    found = _joined([base, exponent], np.power(np.where(bad, 1.0, number), exponent.number))
    # What rounding made 0 has no sign: 1/0 is undefined there, not infinite.
    size = np.where(noise, np.maximum(found.size, np.finfo(np.float64).tiny), found.size)
    return replace(found, undefined=found.undefined | bad, size=size)


def _call(function: str, parts: list[Partial]) -> Partial:
    first = parts[0]
    x = first.number
    match function:
        case "sqrt":
            return _power(first, _constant(0.5, first.number.shape))
        case "log":
            unknown = first.undefined | np.isnan(x)  # 0/0, or 0 times what is infinite
            negative = (x < 0) & (-x > NOISE * first.size) & ~unknown
            zero = (x <= 0) & ~negative & ~unknown
            number = np.log(np.where(zero, 0.0, np.where(negative | unknown, 1.0, x)))
            number = np.where(unknown, np.nan, number)  # until a factor of 0 stands beside
            endless = zero | unknown | np.isinf(number)
            return Partial(number, negative, endless, abs(number))
        case "log_ratio":
            above, below, apart = parts
            far = _call("log", [_product([above, below], (False, True))])
            near = abs(apart.number) < below.number / 2
            ratio = np.divide(apart.number, below.number, out=np.zeros_like(x), where=near)
            return replace(far, number=np.where(near, np.log1p(ratio), far.number))
        case "exp":
            return _joined(parts, np.exp(x))
        case "abs":
            return _joined(parts, abs(x), first.size)
        case "step":
            return _joined(parts, (1 + np.sign(x)) / 2)
        case "min":
            return _joined(parts, np.minimum.reduce([p.number for p in parts]))
        case "max":
            return _joined(parts, np.maximum.reduce([p.number for p in parts]))
    raise AssertionError(function)


def _constant(number: float, shape: tuple[int, ...]) -> Partial:
    no = np.zeros(shape, dtype=np.bool_)
    return Partial(np.full(shape, number), no, no, np.full(shape, abs(number)))
