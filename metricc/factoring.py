"""Factoring under a budget: SymPy's `factor_list` with its calls counted.

SymPy's algorithm for several variables (Wang's) evaluates at random points. Most take some
milliseconds, an unlucky one minutes. So it starts from a fixed seed, ends after a fixed number of
function calls, and starts again from the next seed: what comes out never depends on the clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from sympy.core import random

MAX_TERMS = 120
MAX_SIZE = 60_000  # bits of the integers that SymPy's heuristic divisors evaluate it to
SMALL = 16  # terms of a polynomial that is factored without counting, which triples the time
MAX_CALLS = 1_000_000  # of Python functions in one attempt: about a second
ATTEMPTS = 3


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
    state = random.rng.getstate()
    try:
        for attempt in range(ATTEMPTS):
            random.seed(attempt)
            try:
                with _counted() if len(polynomial) > SMALL else nullcontext():
                    return polynomial.factor_list()  # type: ignore[no-any-return]
            except _TooMany:
                continue
    finally:
        random.rng.setstate(state)
    raise TooLarge(f"{ATTEMPTS} attempts of {MAX_CALLS:,} calls each were not enough")


@contextmanager
def _counted() -> Iterator[None]:
    """Raise `_TooMany` inside the block after `MAX_CALLS` calls of Python functions."""
    if sys.getprofile() is not None:  # somebody measures metricc: leave them their hook
        yield
        return
    sys.setprofile(_counter())
    try:
        yield
    finally:
        sys.setprofile(None)


def _counter() -> Callable[[FrameType, str, Any], None]:
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"
        if calls > MAX_CALLS:
            raise _TooMany

    return count
