"""A surrogate's slope dA/dz at a logit z, by mpmath from its definition, and where it is large.

In a task of classes z is a class's log-odds, log(p/(1 - p)): its own logit moves A by that slope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

from mpmath import mp, mpf

from metricc.surrogates import Surrogate
from metricc.verify.oracle import Dual, DualArithmetic, soft_label, walk

DIGITS = 30
SHARE = 0.01  # of the largest slope, from which on a sample is reached
FARTHEST = 2_000.0  # logits beyond it are not looked at
_NEAR = 40.0
_FEW = 8  # centres around which peaks may be narrow
_HALVINGS = 36
_BESIDE = 1e-7  # of a condition's boundary


@dataclass(frozen=True)
class Slope:
    """The slope of a surrogate at its default arguments; of a `hard` one, what it borrows."""

    surrogate: Surrogate

    def at(self, z: float) -> Any:
        """dA/dz, an mpmath number."""
        return self.both(z)[1]

    def both(self, z: float) -> tuple[Any, Any]:
        """A and dA/dz, mpmath numbers."""
        with mp.workdps(DIGITS + int(abs(z))):
            try:
                return self._both(mpf(z))
            except (ValueError, ZeroDivisionError):  # on the boundary of a condition
                return self._both(mpf(z) + _BESIDE * (1 + abs(z)))

    def _both(self, z: Any) -> tuple[Any, Any]:
        p, q = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z))
        curve = self.surrogate.curve
        if curve is not None:
            scope = {name: Dual(mpf(x)) for name, x in self._arguments[0].items()}
            scope |= {"p": Dual(p, {"z": p * q}), "z": Dual(z, {"z": mpf(1)})}
            found = walk(curve.text, DualArithmetic(), scope)
            return found.value, found.slopes.get("z", mpf(0))
        each = [soft_label(p, q, self.surrogate.name, given) for given in self._arguments]
        a, slope = (mp.fsum(column) / len(each) for column in list(zip(*each, strict=True))[::2])
        return a, slope * p * q

    @cached_property
    def _arguments(self) -> list[dict[str, float]]:
        """The arguments, for each centre of a list."""
        found: list[dict[str, float]] = [{}]
        for name, value in self.surrogate.defaults.items():
            if isinstance(value, tuple):
                found = [{**one, name.removesuffix("s"): x} for x in value for one in found]
            else:
                found = [{**one, name: value} for one in found]
        return found

    @cached_property
    def _grid(self) -> list[float]:
        """Logits: even ones, far ones, and ever closer ones around each centre."""
        centres = {0.0}
        for given in self._arguments:
            centres |= {float(mp.log(x / (1 - x))) for n, x in given.items() if n in _CENTRES}
        far = [_NEAR * 1.25**k for k in range(18)] + [FARTHEST]
        found = {-z for z in far} | set(far) | {z / 2 for z in range(-80, 81)} | centres
        if len(centres) <= _FEW + 1:
            near = [10 ** (k / 6) for k in range(-48, 6)]
            found |= {c + sign * x for c in centres for x in near for sign in (-1, 1)}
        return sorted(found)

    @cached_property
    def peak(self) -> tuple[float, float]:
        """(z, dA/dz) where the slope is largest."""
        grid, numbers = self._grid, self._numbers
        best = max(range(len(grid)), key=lambda i: (numbers[i], -abs(grid[i])))
        left, right = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
        for _ in range(_HALVINGS):
            a, b = left + (right - left) / 3, right - (right - left) / 3
            left, right = (a, right) if self.at(a) < self.at(b) else (left, b)
        found = max((grid[best], (left + right) / 2), key=lambda z: (float(self.at(z)), z == 0))
        return (0.0 if abs(found) < 1e-6 else found), float(self.at(found))

    @cached_property
    def _numbers(self) -> list[Any]:
        return [self.at(z) for z in self._grid]

    def above(self, level: float) -> list[tuple[float, float]]:
        """The intervals of z in which the slope is above a level, in order.

        An end is infinite where it is above it as far as is looked.
        """
        if level not in self._known:
            self._known[level] = self._above(level)
        return self._known[level]

    @cached_property
    def _known(self) -> dict[float, list[tuple[float, float]]]:
        return {}

    def _above(self, level: float) -> list[tuple[float, float]]:
        known = dict(zip(self._grid, self._numbers, strict=True))
        known[self.peak[0]] = self.at(self.peak[0])
        grid = sorted(known)
        ends: list[float] = [float("-inf")] if known[grid[0]] > level else []
        for a, b in pairwise(grid):
            if (known[a] > level) != (known[b] > level):
                ends.append(_crossing(lambda z: self.at(z) > level, a, b))
        ends += [float("inf")] * (len(ends) % 2)
        return list(zip(ends[::2], ends[1::2], strict=True))


@cache
def slope_of(surrogate: Surrogate) -> Slope:
    """The slope of a surrogate, once: what was found out about it is kept."""
    return Slope(surrogate)


_CENTRES = ("threshold", "mu")


def _crossing(holds: Callable[[float], bool], a: float, b: float) -> float:
    """Where a statement turns between two logits."""
    first = holds(a)
    for _ in range(_HALVINGS):
        middle = (a + b) / 2
        a, b = (middle, b) if holds(middle) == first else (a, middle)
    return (a + b) / 2
