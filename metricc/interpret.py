"""Straight-line code on counts in NumPy, with the places where it has no value.

The loss guards its divisions; a score must not: where a denominator is 0 in lowest terms the
metric is undefined, and the caller decides what that means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from metricc import ir, syntax

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

NOISE = 1e-12  # of a radicand below 0, relative to its largest addend


@dataclass(frozen=True, slots=True)
class Partial:
    """Numbers, and where they are none: `undefined` (1/0, 0/0, a root of a negative number) or
    `unbounded` (the logarithm of 0 or of 0/0), which a factor of exactly 0 makes 0.

    `size` is that of the largest addend, by which rounding below 0 is told from a negative number.
    """

    number: Array
    undefined: Mask
    unbounded: Mask
    size: Array

    @property
    def missing(self) -> Mask:
        return self.undefined | self.unbounded


def value(block: ir.Block, scope: Mapping[str, Array]) -> tuple[Array, Mask]:
    """The first result of a block on arrays of one shape, and where it is undefined.

    Undefined places hold arbitrary finite numbers.
    """
    no = np.zeros(np.broadcast_shapes(*(a.shape for a in scope.values())), dtype=np.bool_)
    full = {name: np.broadcast_to(a, no.shape) for name, a in scope.items()}
    names = {name: Partial(a, no, no, abs(a)) for name, a in full.items()}
    with np.errstate(all="ignore"):
        for name, expression in block.assignments:
            names[name] = _evaluate(expression, names, no)
        found = _evaluate(block.results[0], names, no)
    finite = np.isfinite(found.number)
    return np.where(finite, found.number, 0.0), found.missing | ~finite


def _evaluate(node: syntax.Expression, names: Mapping[str, Partial], no: Mask) -> Partial:
    if isinstance(node, syntax.Name):
        return names[node.id]
    if isinstance(node, syntax.Number):
        return _constant(float(node.value), no.shape)
    parts = [_evaluate(child, names, no) for child in syntax.children(node)]
    match node:
        case syntax.Negation():
            (part,) = parts
            return Partial(-part.number, part.undefined, part.unbounded, part.size)
        case syntax.Sum():
            signs = (1, *(-1 if s else 1 for s in node.subtracts))
            number = sum(s * p.number for s, p in zip(signs, parts, strict=True))
            size = np.maximum.reduce([p.size for p in parts])
            return _joined(parts, np.asarray(number), size)
        case syntax.Product():
            return _product(parts, (False, *node.divides))
        case syntax.Power():
            return _power(*parts)
        case syntax.Call():
            return _call(node.function, parts)
        case syntax.Comparison():
            left, right = parts
            return _joined(parts, (left.number < right.number).astype(np.float64))
        case syntax.Conditional():
            condition, then, otherwise = parts
            holds = condition.number == 1
            return Partial(
                np.where(holds, then.number, otherwise.number),
                condition.missing | np.where(holds, then.undefined, otherwise.undefined),
                np.where(holds, then.unbounded, otherwise.unbounded),
                np.where(holds, then.size, otherwise.size),
            )
    raise AssertionError(node)


def _joined(parts: list[Partial], number: Array, size: Array | None = None) -> Partial:
    undefined = np.logical_or.reduce([p.undefined for p in parts])
    unbounded = np.logical_or.reduce([p.unbounded for p in parts])
    return Partial(number, undefined, unbounded, abs(number) if size is None else size)


def _product(parts: list[Partial], divides: tuple[bool, ...]) -> Partial:
    above = [p for p, below in zip(parts, divides, strict=True) if not below]
    below = [p for p, under in zip(parts, divides, strict=True) if under]
    number = np.prod([p.number for p in above], axis=0)
    size = np.prod([p.size for p in above], axis=0)
    undefined = np.logical_or.reduce([p.undefined for p in parts])
    unbounded = np.logical_or.reduce([p.unbounded for p in parts])
    # x log(x) is 0 at 0.
    absorbed = np.logical_or.reduce([(p.number == 0) & ~p.missing for p in above])
    if below:
        divisor = np.prod([p.number for p in below], axis=0)
        undefined = undefined | (divisor == 0)
        safe = np.where(divisor == 0, 1.0, divisor)
        number, size = number / safe, size / abs(safe)
    return Partial(np.where(absorbed, 0.0, number), undefined, unbounded & ~absorbed, size)


def _power(base: Partial, exponent: Partial) -> Partial:
    whole = exponent.number == np.floor(exponent.number)
    noise = (base.number < 0) & (-base.number <= NOISE * base.size) & ~whole
    number = np.where(noise, 0.0, base.number)
    bad = ((number < 0) & ~whole) | ((number == 0) & (exponent.number <= 0))
    found = _joined([base, exponent], np.power(np.where(bad, 1.0, number), exponent.number))
    return Partial(found.number, found.undefined | bad, found.unbounded, found.size)


def _call(function: str, parts: list[Partial]) -> Partial:
    first = parts[0]
    x = first.number
    match function:
        case "sqrt":
            return _power(first, _constant(0.5, first.number.shape))
        case "log":
            none = (x <= 0) | first.missing
            number = np.log(np.where(none, 1.0, x))
            negative = (x < 0) & (-x > NOISE * first.size) & ~first.missing
            return Partial(number, negative, none & ~negative, abs(number))
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
