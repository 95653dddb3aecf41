"""Which kinds of samples a batch must lack for a metric to have no value, and how often it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np

from metricc.audit.hard import Array, Hard
from metricc.functions import CELLS

Kinds: TypeAlias = tuple[int, ...]  # places among TP, FN, FP, TN

TRIES = 24  # tables with the same cells at 0

WORDS = {
    "TP FN": "no positives",
    "FP TN": "no negatives",
    "TP FP": "nothing predicted positive",
    "FN TN": "nothing predicted negative",
    "TP TN": "nothing predicted right",
    "FN FP": "nothing predicted wrong",
    "TP": "no true positives",
    "FN": "no false negatives",
    "FP": "no false positives",
    "TN": "no true negatives",
    "TP FN FP": "no positives and none predicted",
    "FN FP TN": "no negatives and none predicted",
    "TP FN TN": "no positives and all predicted positive",
    "TP FP TN": "no negatives and all predicted negative",
    "": "always",
}
SUBSETS = tuple(cells for size in range(4) for cells in combinations(range(4), size))


@dataclass(frozen=True)
class Missing:
    """The sets of cells at 0, all others above, at which a metric is undefined or infinite."""

    undefined: tuple[Kinds, ...]
    infinite: tuple[Kinds, ...]


def missing(hard: Hard) -> Missing | None:
    """Where a metric of one table has no value, if that is decided by which counts are 0.

    It is None where tables with the same cells at 0 differ in that.
    """
    random = np.random.RandomState(0)
    counts = np.floor(10 ** random.uniform(0, 3.5, (TRIES, 4)))
    joint = np.stack([np.where(np.isin(range(4), cells), 0.0, counts) for cells in SUBSETS])
    tables = hard.tables(joint)
    undefined = hard.undefined(tables)
    infinite = ~np.isfinite(hard.values(tables)) & ~undefined
    found = []
    for mask in (undefined, infinite):
        every = np.asarray(mask.all(-1))
        if (mask.any(-1) != every).any():
            return None
        found.append(tuple(c for c, one in zip(SUBSETS, every, strict=True) if one))
    return Missing(*found)


def share_of(sets: Iterable[Kinds], shares: Array, size: int) -> float:
    """The share of batches in which exactly the kinds of one of the sets do not occur.

    `shares` are those of all kinds of samples. Counts are multinomial; by inclusion and exclusion
    over what may be missing too.
    """
    total = 0.0
    for kinds in sets:
        others = [i for i in range(len(shares)) if i not in kinds]
        for more in (m for count in range(len(others)) for m in combinations(others, count)):
            gone = float(shares[[*kinds, *more]].sum()) if kinds or more else 0.0
            total += (-1) ** len(more) * (1 - gone) ** size
    return min(1.0, max(0.0, total))


def in_words(sets: Iterable[Kinds]) -> str:
    """The smallest sets that others contain: "no positives, or nothing predicted positive"."""
    known = [set(kinds) for kinds in sets]
    least = [kinds for kinds in known if not any(other < kinds for other in known)]
    return ", or ".join(WORDS[" ".join(CELLS[i] for i in sorted(kinds))] for kinds in least)
