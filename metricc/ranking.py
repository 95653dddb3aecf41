"""Scores in order: all cuts of them, the counts at every cut, and a number for each cut.

A cut calls the highest k of m distinct scores positive, k from 0 (none) to m (all). Between two
neighbouring scores lies a gap, and in it the thresholds of that cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc.labels import BFLOAT16

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """Samples from the highest score down.

    `order` (n,) sorts them, `ends` (m + 1,) says how many each cut calls positive, `scores` (m,)
    are the distinct scores, descending. `floor` and `ceiling` are where the outermost gaps end,
    `kind` is the type in which scores will be compared.
    """

    order: NDArray[np.intp]
    ends: NDArray[np.intp]
    scores: Array
    floor: float
    ceiling: float
    kind: str

    @property
    def lows(self) -> Array:
        """Where the gap of each cut ends below, (m + 1,)."""
        return np.append(self.scores, self.floor)

    @property
    def highs(self) -> Array:
        """Where the gap of each cut ends above, (m + 1,)."""
        return np.insert(self.scores, 0, self.ceiling)

    def cells(self, positive: Mask, weight: Array | None) -> tuple[Array, Array, Array, Array]:
        """TP, FN, FP and TN at every cut, (m + 1,), of samples that count as `weight` says.

        Of weights, what lies above a cut and what lies below are summed from their own ends, and
        none is the difference of two sums.
        """
        taken = positive[self.order]
        if weight is None:
            hits = np.insert(np.cumsum(taken), 0, 0)[self.ends].astype(np.float64)
            false = self.ends - hits
            return hits, hits[-1] - hits, false, false[-1] - false
        ordered = weight[self.order]
        plus, minus = np.where(taken, ordered, 0.0), np.where(taken, 0.0, ordered)
        (TP, FN), (FP, TN) = (
            (_sums(w)[self.ends], _sums(w[::-1])[::-1][self.ends]) for w in (plus, minus)
        )
        return TP, FN, FP, TN

    def inside(self, first: int, last: int) -> tuple[float, int]:
        """A threshold in the middle of the neighbouring cuts `first` ... `last`, and its cut.

        It lies strictly between two scores, so that `>=` and `>` decide alike, where the type has
        a number there; else it is the higher score, and `>=` decides. Where the middle falls on a
        score, it moves to the middle of the wider gap beside it.
        """
        low, high = float(self.lows[last]), float(self.highs[first])
        middle = low / 2 + high / 2
        cut = int(np.searchsorted(-self.scores, -middle, side="right"))
        if first < cut <= last and self.scores[cut - 1] == middle:
            wide = self.highs[cut - 1 : cut + 1] - self.lows[cut - 1 : cut + 1]
            cut -= int(wide[0] > wide[1])
        cut = min(max(cut, first), last)
        low, high = float(self.lows[cut]), float(self.highs[cut])
        if not low < middle < high:
            middle = low / 2 + high / 2
        nearest, after, _ = _FLOATS.get(self.kind, _numpy(self.kind))
        found = nearest(middle)
        if not low < found < high:
            found = after(low)
        return (found if low < found < high else high), cut


def ranked(scores: NDArray[Any], kind: str = "") -> Ranking:
    """Finite scores (n,) in order; `kind` is their type where it is not NumPy's.

    A score that is the largest number of its type leaves no room above: then the ceiling is
    infinite, and no threshold calls nothing positive.
    """
    order = np.argsort(scores)[::-1]
    down = scores[order].astype(np.float64)
    starts = np.insert(np.flatnonzero(down[1:] != down[:-1]) + 1, 0, 0)
    distinct = down[starts]
    kind = kind or scores.dtype.name
    nearest, after, largest = _FLOATS.get(kind, _numpy(kind))
    top, bottom = float(distinct[0]), float(distinct[-1])
    if bottom >= 0 and top <= 1:
        floor, ceiling = 0.0, 1.0
    else:
        size = len(distinct) - 1
        step = top / size - bottom / size if size else max(1.0, abs(top))
        floor = nearest(max(bottom - step, -largest))
        ceiling = nearest(min(top + step, largest))
        floor = floor if floor < bottom else max(-after(-bottom), -largest)
    ceiling = ceiling if top < ceiling else after(top)
    return Ranking(order, np.append(starts, len(scores)), distinct, floor, ceiling, kind)


def _sums(terms: Array) -> Array:
    """The sums of the first 0, 1, ... n terms, as if added in twice the precision.

    Each step of a running sum loses a remainder that is known exactly (Knuth 1969); the sum of the
    remainders is added back (Ogita, Rump, Oishi 2005, algorithm 4.4, as running sums).
    """
    sums = np.insert(np.cumsum(terms), 0, 0.0)
    before, after = sums[:-1], sums[1:]
    with np.errstate(invalid="ignore"):  # where the sum is infinite, which the caller refuses
        part = after - before
        lost = (before - (after - part)) + (terms - part)
        sums[1:] += np.cumsum(lost)
    return sums


# -- floating-point types: the number near a float, the next one above it, the largest ----------

_Float = tuple[Callable[[float], float], Callable[[float], float], float]


def _numpy(kind: str) -> _Float:
    number = np.dtype(kind if kind != BFLOAT16 else "float64").type

    def after(x: float) -> float:
        with np.errstate(over="ignore"):
            return float(np.nextafter(number(x), number(np.inf)))

    return lambda x: float(number(x)), after, float(np.finfo(number).max)


def _cut_off(x: float) -> float:
    """A float as a bfloat16, the upper half of a float32, rounded towards 0."""
    bits = np.float32(x).view(np.uint32) & np.uint32(0xFFFF0000)
    return float(bits.view(np.float32))


def _after_bfloat16(x: float) -> float:
    bits = int(np.float32(x).view(np.uint32))
    if x == 0:
        bits = 0x00010000
    else:
        bits += 0x00010000 if x > 0 else -0x00010000
    return float(np.uint32(bits).view(np.float32))


_FLOATS: dict[str, _Float] = {BFLOAT16: (_cut_off, _after_bfloat16, _cut_off(3.4e38))}
