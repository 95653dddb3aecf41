"""The reductions of hard metrics: which tables they look at, and what they make of the values.

The policies for absent tables are those of the generated files, in NumPy. What is undefined on a
table (0/0) becomes a number before it is averaged, or is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from metricc.compose import level
from metricc.interpret import NOISE, Array, Mask, Partial

Cells = Sequence[Array]  # TP, FN, FP, TN


@dataclass(frozen=True, slots=True)
class Level:
    """Tables as a reduction looks at them.

    `share` is what the value of each is multiplied by, `counted` what a mean divides by: under
    absent="zero" an absent table has no share and counts. `even` is the share of tables where no
    table that counts has a value.
    """

    cells: tuple[Array, ...]
    share: Array
    counted: Array
    even: Array | None = None


def of_level(name: str, cells: Cells, share: Array, absent: str | None, smooth: float) -> Level:
    """The tables of one of `functions.LEVELS`, from the raw counts of shape (..., classes).

    `share` is the weight of each class. Absence is judged on the raw counts; with absent=None
    they stay as they are.
    """
    match name:
        case "weighted":
            support = share * (cells[0] + cells[1])
            none = support.sum(-1, keepdims=True) == 0
            made = _slices(cells, np.where(none, share, support), absent, smooth)
            return replace(made, even=share if absent is None else None)
        case "pooled":
            summed = [(share * cell).sum(-1, keepdims=True) for cell in cells]
            seen, scored = alone(summed, absent, smooth)
            return Level(seen, scored, scored)
        case "joint":
            return _joint(cells, share, absent, smooth)
    return _slices(cells, share, absent, smooth)


def alone(cells: Cells, absent: str | None, smooth: float) -> tuple[tuple[Array, ...], Array]:
    """The counts that a single table is judged by, and whether it is scored (1) or is 0 (0).

    After the four cells come those of columns, whose unit is the column's mean over the table; one
    without positives or without negatives of its own gets its unit too.
    """
    missing = _missing(cells[:4]) * float(absent is not None)
    perfect = missing if absent == "skip" else 0 * missing
    seen: list[Array] = []
    for place in range(0, len(cells), 4):
        TP, FN, FP, TN = cells[place : place + 4]
        unit = _unit(cells[place : place + 4], cells[:4]) if place else np.ones(missing.shape)
        gone = np.maximum(missing, _missing((TP, FN, FP, TN)) * float(absent is not None))
        TP, FN = TP + unit * gone + perfect * FN, FN - perfect * FN
        TN, FP = TN + unit * gone + perfect * FP, FP - perfect * FP
        seen += _smoothed((TP, FN, FP, TN), smooth * unit)
    scored = 1 - missing if absent == "zero" else np.ones(missing.shape)
    return tuple(seen), scored


def _unit(column: Cells, cells: Cells) -> Array:
    """A column's mean over a table; 1 where it has none, or where it is 0."""
    total, counted = sum(column), sum(cells)
    none = (total == 0) | (counted == 0)
    return np.where(none, 1.0, total / np.where(counted == 0, 1.0, counted))


def _missing(cells: Cells) -> Array:
    """1 for tables without positives or without negatives."""
    TP, FN, FP, TN = cells
    return np.where((TP + FN == 0) | (FP + TN == 0), 1.0, 0.0)


def _smoothed(cells: Cells, smooth: float | Array) -> tuple[Array, ...]:
    return tuple(cell + smooth for cell in cells)


def _slices(cells: Cells, share: Array, absent: str | None, smooth: float) -> Level:
    """One table a class, or one a sample."""
    TP, FN, FP, TN = cells
    counted = share
    if absent is not None:
        missing = _missing(cells)
        TP, TN = TP + missing, TN + missing
        present = share * (1 - missing)
        if absent == "skip":
            some = present.sum(-1, keepdims=True) > 0
            share = counted = np.where(some, present, share)
        elif absent == "zero":
            share = present
    return Level(_smoothed((TP, FN, FP, TN), smooth), share, counted)


def _joint(cells: Cells, share: Array, absent: str | None, smooth: float) -> Level:
    """The class tables of one table of all classes: its sums stay those of one table."""
    TP, FN, FP, TN = cells
    others = (share > 0).sum(-1, keepdims=True) - 1
    few = ((share > 0) & (TP + FN > 0)).sum(-1, keepdims=True) <= 1
    missing = few * float(absent is not None)
    perfect = missing if absent == "skip" else 0 * missing
    TP, FN = TP + missing + perfect * FN, FN - perfect * FN
    TN, FP = TN + missing * others + perfect * FP, FP - perfect * FP
    scored = share * (1 - missing) if absent == "zero" else share
    TP, FN, FP = TP + smooth, FN + smooth * others, FP + smooth * others
    return Level((TP, FN, FP, TN + smooth * others**2), scored, scored)


@dataclass
class Reducer:
    """What reductions make of the values of their tables; called by `interpret.value`.

    `settled` is a table's value where it is undefined: a number, NaN (the table is left out, and
    where all are the reduction is undefined) or None (the reduction is undefined).
    `undefined` notes for messages which tables had no value, by level.
    """

    levels: dict[str, Level]
    task: str
    settled: float | None
    undefined: list[tuple[str, Mask]] = field(default_factory=list)

    def __call__(self, reduction: str, part: Partial) -> Partial:
        name = level(reduction, self.task)
        tables = self.levels[name]
        share, counted = (
            np.broadcast_to(x, part.number.shape) for x in (tables.share, tables.counted)
        )
        none = part.undefined | np.isnan(part.number)
        bad = none & (share > 0)
        self.undefined.append((name, bad))
        unknown = np.zeros_like(bad)
        if self.settled is None:
            unknown = bad if reduction == "per_class" else _any(bad)
        elif np.isnan(self.settled):
            unknown = counted == 0 if reduction == "per_class" else unknown
            share, counted = np.where(bad, 0, share), np.where(bad, 0, counted)
            if tables.even is not None:  # as scikit-learn: the mean of those that have one
                lost = (counted.sum(-1, keepdims=True) == 0) & ~none
                share = counted = np.where(lost, tables.even, counted)
            unknown = unknown | bad if reduction in ("per_class", "micro") else unknown
            if reduction == "sum":
                unknown = _any(bad) & ~_any(share > 0)
        fill = 0.0 if self.settled is None or np.isnan(self.settled) else self.settled
        values = Partial(
            np.where(share > 0, np.where(none, fill, part.number), 0.0),
            none & False,
            part.vanishing & (share > 0) & ~none,
            np.where((share > 0) & ~none, part.size, 0.0),
        )
        found = _reduced(reduction, values, share, counted)
        found = replace(found, undefined=found.undefined | unknown)
        return Partial(
            np.broadcast_to(found.number, bad.shape),
            np.broadcast_to(found.undefined, bad.shape),
            np.broadcast_to(found.vanishing, bad.shape),
            np.broadcast_to(found.size, bad.shape),
        )


def _reduced(reduction: str, values: Partial, share: Array, counted: Array) -> Partial:
    e = values.number
    total = counted.sum(-1, keepdims=True)
    vanishing = _any(values.vanishing)
    match reduction:
        case "per_class" | "micro":
            return values
        case "sum":
            number, size = _sum(share, e), _sum(share, values.size)
            return Partial(number, np.zeros_like(vanishing), vanishing, size)
        case "worst":
            number = np.where(counted > 0, e, np.inf).min(-1, keepdims=True)
            return Partial(number, total == 0, vanishing, abs(number))
        case "geomean":
            negative = (e < 0) & (-e > NOISE * values.size) & (counted > 0)
            logs = np.log(np.maximum(e, 0))
            number = np.exp(_sum(counted, logs) / total)
            none = _any(negative) | (total == 0)
            return Partial(number, none, np.zeros_like(vanishing), abs(number))
    number, size = _sum(share, e) / total, _sum(share, values.size) / total
    return Partial(number, total == 0, vanishing, size)


def _sum(share: Array, e: Array) -> Array:
    """The weighted sum over tables; what has no share adds nothing, infinite or not."""
    return np.asarray(np.where(share > 0, share * e, 0.0).sum(-1, keepdims=True))


def _any(mask: Mask) -> Mask:
    return np.asarray(mask.any(-1, keepdims=True))
