"""The oracle for several tables: a metric of classes or samples at their counts, in mpmath.

Written from the language's rules alone, with the dual numbers of `oracle`. A number's variables
are the cells of every raw table, `(table, cell)`, and the element terms, `(term, gamma)`. The
tables are those of the classes (binary: the one) or, under `samples(...)`, of the samples. The
loss of a batch is `batches`'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from mpmath import mp, mpf

from metricc import syntax
from metricc.functions import CELLS
from metricc.verify.oracle import (
    DIGITS,
    NUDGE,
    WAYS,
    Dual,
    DualArithmetic,
    Terms,
    beside_columns,
    cell_names,
    kinks,
    limit,
    mentions,
    settled,
    walk,
    weights_of,
)

TERMS = ("bce", "ce", "focal")
PATHS = ((1, 1, 1, 1), (2, 3, 5, 7))
TIE = mpf(10) ** (20 - DIGITS)  # closer than this by rounding alone


@dataclass(frozen=True, slots=True)
class Setting:
    """What a loss is compiled and constructed with.

    A `surrogate` is a name of the table, whose `arguments` may hold a list (`thresholds`, `mus`)
    in place of its centre, or a text whose last definition is A over p and z. Under `hard` the
    counts are of decisions, which change at the argument `centre` (at 1/2 without), and it gives
    the slope alone (straight_through). `absent` None takes the counts as they are.
    """

    task: str = "multilabel"
    per: str = "batch"
    from_probabilities: bool = False
    minimize: bool = False
    surrogate: str | syntax.Text = "soft"
    hard: bool = False
    centre: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    absent: str | None = "diagonal"
    smooth: float = 0.0
    class_weight: Sequence[float] | None = None  # 0 for a class that is left out
    reduction: str = "mean"
    label_smoothing: float = 0.0
    columns: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[str, ...]:
        return cell_names(self.columns)


@dataclass(frozen=True, slots=True)
class Values:
    """A metric on raw counts. `values` has one number, or one a table under per_class; `slopes`
    (TP, FN, FP, TN) and `weights` (plus, minus) are of their sum, table by table; `terms` its
    slopes in the element terms by (name, gamma)."""

    values: list[Any]
    slopes: list[list[Any]]
    weights: list[tuple[Any, Any]]
    terms: dict[tuple[str, float], Any]


def values(
    text: syntax.Text,
    tables: Sequence[Sequence[Any]],
    parameters: Mapping[str, float],
    task: str,
    absent: str | None = "diagonal",
    smooth: float = 0.0,
    class_weight: Sequence[float] | None = None,
    elements: Mapping[tuple[str, float], float] | None = None,
    moved: Any = 0,
) -> Values:
    """The metric at raw counts (TP, FN, FP, TN) of every class (binary: of the first; under
    samples(...): of every sample, whose weights are `class_weight` then) and at the values of
    the element terms, by name and gamma. Each reduction is `moved` by a relative step of its own
    before the numbers are joined. Raises `ValueError` outside the real numbers."""
    with mp.workdps(DIGITS):
        given = elements or {}
        counts = [[mpf(c) for c in table] for table in tables]
        shares = [mpf(c) for c in class_weight] if class_weight else [mpf(1)] * len(counts)
        setting = Setting(task=task, absent=absent, smooth=smooth)
        metric = Metric(text, parameters, setting, counts, shares, lambda *key: given[key], moved)
        found = metric.results()
        total = reduce(add, found)
        slopes = [cells_of(total, index) for index in range(len(counts))]
        terms = {k: s for k, s in total.slopes.items() if isinstance(k, tuple) and k[0] in TERMS}
        return Values([f.value for f in found], slopes, [weights_of(s) for s in slopes], terms)


def cells_of(number: Dual, table: int, cells: Sequence[str] = CELLS) -> list[Any]:
    """The slopes in a table's cells."""
    return [number.slopes.get((table, cell), mpf(0)) for cell in cells]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric at the raw counts of some tables, each with its share in averages."""

    text: syntax.Text
    parameters: Mapping[str, float]
    setting: Setting
    counts: list[list[Any]]
    shares: list[Any]
    term: Callable[[str, float], Any]
    moved: Any = 0  # how far each reduction is moved before the numbers are joined

    def results(self) -> list[Dual]:
        """The metric; under per_class one number a table."""
        split = mentions(self.text, ["per_class"])
        return [self._component(k) for k in (range(len(self.counts)) if split else (0,))]

    def _component(self, component: int) -> Dual:
        still = [[mpf(0)] * len(table) for table in self.counts]
        steps = ((0, 0, 1), *((3, 5, 2),) * (WAYS - 1 if self.setting.columns else 1))
        paths = [self._path(*step, way) for way, step in enumerate(steps)]
        return _settled(lambda shift: self._at(shift, component), still, paths)

    def _path(self, row: int, column: int, start: int, way: int) -> list[list[Any]]:
        """A way into the domain: a K x K table of small counts, seen from each class."""
        size = range(len(self.counts) + 1)  # a class more, so that no cell stays 0
        joint = [[start + row * i + column * j + i * j % start for j in size] for i in size]
        paths = [list(one_against_rest(joint, k)) for k in size[:-1]]
        if self.setting.columns:
            paths = [beside_columns(way, path, len(self.setting.cells)) for path in paths]
        return [[cell * NUDGE for cell in path] for path in paths]

    def _at(self, shift: list[list[Any]], component: int) -> Dual:
        raw = [
            [
                Dual(count + moved, {(k, cell): mpf(1)})
                for cell, count, moved in zip(self.setting.cells, table, moves, strict=True)
            ]
            for k, (table, moves) in enumerate(zip(self.counts, shift, strict=True))
        ]
        arithmetic = Terms(lambda *key: Dual(mpf(self.term(*key)), {key: mpf(1)}))
        scope = {n: Dual(mpf(v)) for n, v in self.parameters.items()} | arithmetic.scope(self.text)
        tables = Tables(self.setting, raw, self.counts, self.shares, component)
        if self.setting.task == "binary" and not mentions(self.text, ["samples"]):
            cells = _alone(raw[0], self.counts[0], self.setting)
            if cells is None:
                return Dual(mpf(0))
            scope |= dict(zip(self.setting.cells, cells, strict=True))
            # The second class is the first with what is positive and what is negative swapped.
            both = [cells[:4], cells[:4][::-1]]
            counts = [[cell.value for cell in table] for table in both]
            settled = Setting(task="binary", absent=None)
            tables = Tables(settled, both, counts, [mpf(1)] * 2, component)

        def reduction(name: str, evaluate: Callable[[Mapping[str, Any]], Any]) -> Dual:
            found = tables.reduction(name, evaluate)
            if not self.moved or mp.isnan(found.value):
                return found
            step = 2 * (int(abs(found.value) * 10**6) % 6) - 5  # the same for the same number
            return found * Dual(1 + self.moved * step)

        return walk(self.text, arithmetic, scope, reduction)  # type: ignore[no-any-return]


def one_against_rest(joint: Sequence[Sequence[Any]], k: int) -> tuple[Any, Any, Any, Any]:
    """(TP, FN, FP, TN) of class k of a K x K table of counts, true classes in its rows."""
    cells = [(i == k, j == k, x) for i, row in enumerate(joint) for j, x in enumerate(row)]
    tp, fn, fp, tn = (
        sum(x for true, said, x in cells if (true, said) == which)
        for which in ((True, True), (True, False), (False, True), (False, False))
    )
    return tp, fn, fp, tn


def _settled(function: Callable[[Any], Dual], here: Any, paths: Sequence[Any]) -> Dual:
    """The function here; where it is 0/0, what it tends to along both paths, else NaN. Where it has
    a kink between numbers without a limit, it has no slopes."""

    def checked(point: Any) -> Dual:
        found = function(point)
        numbers = [found.value, *found.slopes.values()]
        if any(mp.im(n) != 0 or mp.isinf(n) for n in numbers):
            raise ValueError("not a finite real number")
        return found

    try:
        return checked(here)
    except ZeroDivisionError:
        with kinks() as seen:
            found = [checked(path) for path in paths]
        names = {name for one in found for name in one.slopes}
        slopes = {n: limit(*(one.slopes.get(n, mpf(0)) for one in found)) for n in names}
        if not settled(seen, len(paths)):
            slopes = dict.fromkeys(names, mp.nan)
        return Dual(limit(*(one.value for one in found)), slopes)


def is_absent(table: Sequence[Any]) -> bool:
    return bool(table[0] + table[1] == 0 or table[2] + table[3] == 0)


def _units(counts: Sequence[Any]) -> list[Any]:
    """The unit of every cell: 1, and a column's mean over the table (1 where that is 0)."""
    found: list[Any] = []
    size = sum(counts[:4])
    for i in range(0, len(counts), 4):
        total = sum(counts[i : i + 4])
        found += [total / size if i and total and size else mpf(1)] * 4
    return found


def _added(cells: Sequence[Dual], amounts: Sequence[Any]) -> list[Dual]:
    return [cell + Dual(mpf(amount)) for cell, amount in zip(cells, amounts, strict=True)]


def _alone(raw: list[Dual], counts: Sequence[Any], setting: Setting) -> list[Dual] | None:
    """The cells that a table which stands alone is judged by; None where its value is 0."""
    units = _units(counts)
    smooth = [setting.smooth * unit for unit in units]
    if setting.absent is None:
        return _added(raw, smooth)
    whole = is_absent(counts)
    gone = [whole or is_absent(counts[i : i + 4]) for i in range(0, len(counts), 4)]
    if whole and setting.absent == "skip":
        perfect: list[Any] = []
        for i in range(0, len(counts), 4):
            tp, fn, fp, tn = counts[i : i + 4]
            perfect += [tp + fn + units[i], mpf(0), mpf(0), fp + tn + units[i]]
        return _added([Dual(count) for count in perfect], smooth)
    right = [unit * (gone[i // 4] and i % 4 in (0, 3)) for i, unit in enumerate(units)]
    return None if whole and setting.absent == "zero" else _added(_added(raw, right), smooth)


def live(absent: Sequence[bool], shares: Sequence[Any], policy: str | None) -> list[Any]:
    """Each table's share in an average: absent ones may leave it, if others stay."""
    shares = shares if any(shares) else [mpf(1)] * len(shares)
    if policy != "skip":
        return list(shares)
    kept = [mpf(0) if gone else share for gone, share in zip(absent, shares, strict=True)]
    return kept if any(kept) else list(shares)


@dataclass(frozen=True, slots=True)
class Tables:
    """The reductions over tables; `counts` are those that say which are absent."""

    setting: Setting
    raw: list[list[Dual]]
    counts: list[list[Any]]
    shares: list[Any]
    component: int

    def reduction(self, name: str, evaluate: Callable[[Mapping[str, Any]], Any]) -> Dual:
        def on(cells: Sequence[Dual] | None) -> Dual:
            if cells is None:
                return Dual(mpf(0))
            paths = [[d * NUDGE for d in path] for path in PATHS]
            return _settled(
                lambda shift: evaluate(dict(zip(CELLS, _added(cells, shift), strict=True))),
                [mpf(0)] * 4,
                paths,
            )

        if name == "micro":
            rows = list(zip(self.raw, self.counts, self.shares, strict=True))
            raw = [_total([t[i] * Dual(c) for t, _, c in rows]) for i in range(4)]
            counts = [sum(t[i] * c for _, t, c in rows) for i in range(4)]
            return on(_alone(raw, counts, self.setting))
        if name == "sum" and self.setting.task != "multilabel":
            parts = zip(self._joint(), self.shares, strict=True)
            return mean([on(cells if c else None) for cells, c in parts], self.shares, whole=False)
        absent = [self.setting.absent is not None and is_absent(t) for t in self.counts]
        shares = live(absent, self.shares, self.setting.absent)
        if name == "per_class":
            k = self.component
            return on(self._own(k, absent) if shares[k] else None)
        numbers = [on(self._own(k, absent)) if c else Dual(mpf(0)) for k, c in enumerate(shares)]
        if name == "sum":
            return mean(numbers, shares, whole=False)
        if name == "weighted":
            weights = [(t[0] + t[1]) * Dual(mpf(c)) for t, c in zip(self.raw, shares, strict=True)]
            if any((t[0] + t[1]) * c for t, c in zip(self.counts, shares, strict=True)):
                products = [w * n for w, n in zip(weights, numbers, strict=True)]
                return _total(products) / _total(weights)
        numbers = [n for n, c in zip(numbers, shares, strict=True) if c]
        shares = [c for c in shares if c]
        if name == "worst":
            return _smallest(numbers)
        if name == "geomean":
            return _geometricmean(numbers, shares)
        return mean(numbers, shares)  # macro, samples, and weighted without positives

    def _own(self, k: int, absent: Sequence[bool]) -> list[Dual] | None:
        """The cells of one table of several; None where its value is 0."""
        if absent[k] and self.setting.absent == "zero":
            return None
        right = 1 if absent[k] else 0
        return _added(_added(self.raw[k], (right, 0, 0, right)), [self.setting.smooth] * 4)

    def _joint(self) -> list[list[Dual] | None]:
        """The cells of every class as parts of one K x K table; None where the sums are 0."""
        some = [k for k, share in enumerate(self.shares) if share]
        others, s = len(some) - 1, mpf(self.setting.smooth)
        smooth = (s, s * others, s * others, s * others**2)
        present = sum(self.counts[k][0] + self.counts[k][1] > 0 for k in some)
        if self.setting.absent is None or present > 1:
            return [_added(table, smooth) for table in self.raw]
        if self.setting.absent == "zero":
            return [None] * len(self.raw)
        if self.setting.absent == "diagonal":
            return [_added(_added(table, (1, 0, 0, others)), smooth) for table in self.raw]
        perfect = [(t[0] + t[1] + 1, 0, 0, t[2] + t[3] + others) for t in self.counts]
        return [_added([Dual(mpf(c)) for c in table], smooth) for table in perfect]


def _total(numbers: Sequence[Dual]) -> Dual:
    return reduce(add, numbers)


def mean(numbers: Sequence[Dual], shares: Sequence[Any], whole: bool = True) -> Dual:
    """The mean by shares, or else the sum; a share of 0 takes no part, NaN or not."""
    parts = [Dual(mpf(0))]
    size = sum(shares) if whole else mpf(1)
    parts += [n * Dual(c / size) for n, c in zip(numbers, shares, strict=True) if c]
    return _total(parts)


def _smallest(numbers: Sequence[Dual]) -> Dual:
    """The smallest; numbers that tie share its slope equally."""
    if any(mp.isnan(n.value) for n in numbers):  # nobody knows which is the smallest
        return Dual(mp.nan, {name: mp.nan for n in numbers for name in n.slopes})
    least = min(n.value for n in numbers)
    tied = [n for n in numbers if n.value - least <= TIE * max(1, abs(least))]
    return mean(tied, [mpf(1)] * len(tied))


def _geometricmean(numbers: Sequence[Dual], shares: Sequence[Any]) -> Dual:
    """Where a number is 0 the mean is 0: it does not feel the others, and its slope in that
    number has no limit."""
    zero = [n for n in numbers if n.value == 0]
    if zero:
        names = [name for n in zero for name, slope in n.slopes.items() if slope != 0]
        return numbers[0] if len(numbers) == 1 else Dual(mpf(0), dict.fromkeys(names, mp.nan))
    on = DualArithmetic()
    return on.call("exp", [mean([on.call("log", [n]) for n in numbers], shares)])
