"""Factoring under a budget: SymPy's `factor_list` with its calls counted.

SymPy's algorithm for several variables (Wang's) evaluates at random points. Most take some
milliseconds, an unlucky one minutes. So it starts from a fixed seed, ends after a fixed number of
function calls, and starts again from the next seed: what comes out never depends on the clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
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


def factor_list(polynomial: Any) -> tuple[Any, list[tuple[Any, int]]]:
    """Content and irreducible factors with their powers. Raises `TooLarge` above the budget."""
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
