"""Numbers of which the sign is known, and often an exact quotient of polynomials in the counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import sympy

MAX_TERMS = 60  # of a polynomial that is kept

Polynomial: TypeAlias = dict[tuple[int, ...], Fraction]  # coefficient by exponents
Ratio: TypeAlias = "tuple[Polynomial, Polynomial] | None"
Signs: TypeAlias = frozenset[int]  # those of -1, 0, 1 that are possible
State: TypeAlias = Literal["number", "infinite", "nothing"]

POSITIVE, ZERO, NEGATIVE = frozenset({1}), frozenset({0}), frozenset({-1})
ANY = POSITIVE | ZERO | NEGATIVE


@dataclass(frozen=True)
class Part:
    """An expression on a face. `signs` are those of the number, or of the infinity.

    `fades`: a factor of 0 beside it makes it 0, as it does a logarithm of 0. `cancels`: it is 0 as
    a difference, from both sides. `ratio` is the number as an exact quotient.
    """

    state: State
    signs: Signs
    fades: bool = False
    cancels: bool = False
    ratio: Ratio = None


@dataclass(frozen=True)
class Crossing:
    """A part that may be 0 ("zero") or below 0 ("negative") inside a face where it must not be.

    `numerator` is what is 0 there, where it is a polynomial.
    """

    expression: sympy.Expr
    kind: Literal["zero", "negative"]
    numerator: Polynomial | None


@dataclass(frozen=True)
class Found:
    """An expression on a face; with min, max or conditions in it there may be several states."""

    states: tuple[State, ...]
    signs: Signs
    crossings: tuple[Crossing, ...]


def summed(a: Polynomial, b: Polynomial) -> Polynomial:
    total = dict(a)
    for exponents, coefficient in b.items():
        total[exponents] = total.get(exponents, Fraction(0)) + coefficient
    return {k: c for k, c in total.items() if c}


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for one, c in a.items():
        for two, d in b.items():
            key = tuple(map(int.__add__, one, two))
            total[key] = total.get(key, Fraction(0)) + c * d
    return {k: c for k, c in total.items() if c}


def _short(a: Polynomial, b: Polynomial) -> bool:
    return len(a) * len(b) <= MAX_TERMS


def multiplied(a: Ratio, b: Ratio) -> Ratio:
    if a is None or b is None or not (_short(a[0], b[0]) and _short(a[1], b[1])):
        return None
    return times(a[0], b[0]), times(a[1], b[1])


def added(a: Ratio, b: Ratio) -> Ratio:
    if a is None or b is None:
        return None
    if a[1] == b[1]:
        return summed(a[0], b[0]), a[1]
    if not (_short(a[0], b[1]) and _short(b[0], a[1]) and _short(a[1], b[1])):
        return None
    return summed(times(a[0], b[1]), times(b[0], a[1])), times(a[1], b[1])


def negated(a: Ratio) -> Ratio:
    return None if a is None else ({k: -c for k, c in a[0].items()}, a[1])


def value_of(polynomial: Polynomial, point: Sequence[Fraction]) -> Fraction:
    """A polynomial at exact numbers, one for each variable."""
    total = Fraction(0)
    for exponents, coefficient in polynomial.items():
        for power, number in zip(exponents, point, strict=True):
            coefficient *= number**power
        total += coefficient
    return total


def written(polynomial: Polynomial, names: Sequence[str]) -> str:
    """A polynomial as text, its terms in the order of the names."""
    text = ""
    for exponents in sorted(polynomial, reverse=True):
        coefficient = polynomial[exponents]
        powers = [
            name if power == 1 else f"{name}^{power}"
            for name, power in zip(names, exponents, strict=True)
            if power
        ]
        size = abs(coefficient)
        factors = [str(size)] * (size != 1 or not powers) + powers
        sign = "-" if coefficient < 0 else "+"
        text += f" {sign} {'*'.join(factors)}" if text else sign.strip("+") + "*".join(factors)
    return text or "0"
