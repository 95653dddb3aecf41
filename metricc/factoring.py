"""Factoring under a budget: SymPy's `factor_list` with its calls counted.

SymPy's algorithm for several variables (Wang's) evaluates at random points. Most take some
milliseconds, an unlucky one minutes. So it starts from a fixed seed, ends after a fixed number of
function calls, and starts again from the next seed: what comes out never depends on the clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import gcd, lcm, prod
from operator import sub
from types import FrameType
from typing import Any

from sympy import QQ
from sympy.core import random

from metricc.coprime import coprime

MAX_TERMS = 120
MAX_SIZE = 60_000  # bits of the integers that SymPy's heuristic divisors evaluate it to
SMALL = 16  # terms of a polynomial that is factored without counting, which triples the time
MAX_CALLS = 1_000_000  # of Python functions in one attempt: about a second
ATTEMPTS = 3
HIGH = 30  # above this degree a fifth of the calls must do: hardly anything so large has factors


class TooLarge(Exception):
    """A step would exceed the budget; the caller keeps what it had."""


class _TooMany(BaseException):
    """Not an `Exception`: nothing inside SymPy may catch it."""


def factor_list(polynomial: Any, alike: Sequence[int] = ()) -> tuple[Any, list[tuple[Any, int]]]:
    """Content and irreducible factors with their powers. Raises `TooLarge` above the budget.

    `alike` are the places of generators that are counted in one unit. Where the polynomial has one
    degree in them, as most derivatives of metrics have, one of them is set to 1 and put back into
    the factors afterwards: one variable less makes most of the difference.
    """
    degrees = {sum(monomial[i] for i in alike) for monomial in polynomial.monoms()}
    if len(degrees) != 1 or degrees == {0}:
        return _factored(polynomial)
    (degree,) = degrees
    unit = max(alike, key=lambda i: max(m[i] for m in polynomial.monoms()))
    content, factors = _factored(_raised(polynomial, unit, alike, 0))
    result = []
    for factor, power in factors:
        own = max(sum(m[i] for i in alike) for m in factor.monoms())
        result.append((_raised(factor, unit, alike, own), power))
        degree -= own * power
    if degree:
        result.append((polynomial.ring.gens[unit], degree))
    return content, result


def _raised(polynomial: Any, unit: int, alike: Sequence[int], degree: int) -> Any:
    """The polynomial with the exponents of `unit` that give each term this degree; 0 removes it."""
    terms = {}
    for monomial, coefficient in polynomial.terms():
        rest = sum(monomial[i] for i in alike if i != unit)
        exponent = degree - rest if degree else 0
        key = (*monomial[:unit], exponent, *monomial[unit + 1 :])
        terms[key] = coefficient
    return polynomial.ring.from_dict(terms)


def _factored(polynomial: Any) -> tuple[Any, list[tuple[Any, int]]]:
    bits = max(max(abs(c.numerator), c.denominator).bit_length() for c in polynomial.coeffs())
    for degree in map(max, zip(*polynomial.monoms(), strict=True)):
        bits *= degree + 1
    if len(polynomial) > MAX_TERMS or bits > MAX_SIZE:
        raise TooLarge(f"{len(polynomial)} terms that need {bits} bits are not factored")
    return _linear(polynomial) or _searched(polynomial)


def _linear(polynomial: Any) -> tuple[Any, list[tuple[Any, int]]] | None:
    """The factors of a polynomial that is of degree 1 in some variable, as most here are.

    In `a x + b` there is nothing to factor but the common factor of a and b. None where no
    variable, but for those that all terms share, is of degree 1, and where the divisor takes too
    long.
    """
    scale = lcm(*(int(c.denominator) for c in polynomial.coeffs()))
    terms = {m: int(c * scale) for m, c in polynomial.terms()}  # the leading one comes first
    content = gcd(*terms.values()) * (1 if next(iter(terms.values())) > 0 else -1)
    common = [min(powers) for powers in zip(*terms, strict=True)]
    terms = {
        tuple(map(sub, monomial, common)): coefficient // content
        for monomial, coefficient in terms.items()
    }
    gens = polynomial.ring.gens
    factors = [(gens[i], power) for i, power in enumerate(common) if power]
    if len(terms) > 1:
        degrees = map(max, zip(*terms, strict=True))
        counts = [(sum(m[i] for m in terms), i) for i, degree in enumerate(degrees) if degree == 1]
        if not counts:
            return None
        _, variable = min(counts)
        parts: tuple[dict[Any, int], dict[Any, int]] = {}, {}
        for monomial, coefficient in terms.items():
            key = (*monomial[:variable], 0, *monomial[variable + 1 :])
            parts[monomial[variable]][key] = coefficient
        rest = _from_integers(polynomial.ring, terms)
        if not coprime(*parts):
            slope, constant = (_from_integers(polynomial.ring, part) for part in parts)
            try:
                with _counted(MAX_CALLS) if len(rest) > SMALL else nullcontext():
                    divisor = slope.gcd(constant)
            except _TooMany:
                return None
            _, found = _factored(divisor)
            factors += found
            rest = rest.quo(prod((f**power for f, power in found), start=polynomial.ring.one))
        factors.append((rest, 1))
    return QQ(content, scale), factors


def _from_integers(ring: Any, terms: dict[Any, int]) -> Any:
    return ring.from_dict({monomial: QQ(coefficient) for monomial, coefficient in terms.items()})


def _searched(polynomial: Any) -> tuple[Any, list[tuple[Any, int]]]:
    """The factors that SymPy finds, in so many calls."""
    degrees = [*map(max, zip(*polynomial.monoms(), strict=True))]
    high = max(degrees, default=0) > HIGH
    # In one variable nothing is drawn: another attempt would be the same.
    attempts = ATTEMPTS if sum(degree > 0 for degree in degrees) > 1 else 1
    calls = MAX_CALLS // 5 if high else MAX_CALLS
    state = random.rng.getstate()
    try:
        for attempt in range(attempts):
            random.seed(attempt)
            try:
                with _counted(calls) if len(polynomial) > SMALL else nullcontext():
                    return polynomial.factor_list()  # type: ignore[no-any-return]
            except _TooMany:
                continue
    finally:
        random.rng.setstate(state)
    raise TooLarge(f"{attempts} attempts of {calls:,} calls each were not enough")


@contextmanager
def _counted(most: int) -> Iterator[None]:
    """Raise `_TooMany` inside the block after so many calls of Python functions."""
    if sys.getprofile() is not None:  # somebody measures metricc: leave them their hook
        yield
        return
    sys.setprofile(_counter(most))
    try:
        yield
    finally:
        sys.setprofile(None)


def _counter(most: int) -> Callable[[FrameType, str, Any], None]:
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"
        if calls > most:
            raise _TooMany

    return count
