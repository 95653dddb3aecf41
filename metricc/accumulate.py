"""`Accumulator`: the hard metric of labels that come batch by batch. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metricc import ir, scoring
from metricc.errors import fail
from metricc.functions import CELLS
from metricc.labels import Given, Tables


@dataclass
class Accumulator:
    """Counts of everything that `update` has seen: `compute` is what `score` says of all of it.

    Made by `CompiledMetric.accumulator`. Accumulators of one metric add (`+`), as those of workers
    do, and they pickle. Counts are kept, not labels; under samples(...) those of each sample.
    """

    plan: ir.Plan
    rules: scoring.Rules
    labels: Any = None
    pos_label: Any = 1
    tables: list[Tables] = field(default_factory=list)

    def reset(self) -> None:
        """Forget everything that was seen."""
        self.tables = []

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any = None, **columns: Any) -> None:
        """Count labels, in the words of `score`. Raises `MetriccError` where `score` would."""
        given = Given(y_true, y_pred, sample_weight, self.labels, self.pos_label)
        self._add(scoring.tables(self.plan, given, columns))

    def _add(self, found: Tables) -> None:
        task = self.plan.metric.task
        if self.plan.metric.by_sample:
            _aligned(task, [*self.tables[:1], found])  # refuses what does not go together
            self.tables.append(found)
            return
        tables = _aligned(task, [*self.tables, found])
        cells = tuple(np.sum(cell, axis=0) for cell in zip(*(t.cells for t in tables), strict=True))
        self.tables = [Tables(cells, np.ones(1), tables[0].names)]

    def compute(self) -> Any:
        """The metric of everything seen: a float, or one for each class under per_class.

        Raises `MetriccError` where nothing was seen, and where `score` would.
        """
        if not self.tables:
            hint = "call update(y_true, y_pred) first"
            raise fail("MC0506", f"{self.plan.metric.name} has seen nothing", hint)
        tables = _aligned(self.plan.metric.task, self.tables)
        several = zip(*(t.cells for t in tables), strict=True)
        cells = tuple(np.concatenate(cell) for cell in several)
        weight = np.concatenate([t.sample_weight for t in tables])
        found = Tables(cells, weight, tables[0].names)
        return scoring.of_tables(self.plan, found, self.rules)

    def __add__(self, other: Accumulator) -> Accumulator:
        """What both have seen; neither changes.

        Raises `MetriccError` unless both are of one metric, with the same keywords.
        """
        if not isinstance(other, Accumulator):
            return NotImplemented
        one, two = self.plan.metric, other.plan.metric
        if _meaning(one) != _meaning(two):
            fact = f"{one.name} and {two.name} are two formulas"
            if one.task != two.task:
                fact = f"one is of a {one.task} task, the other of a {two.task} one"
            raise fail("MC0501", fact, "add accumulators of one metric")
        for (name, own), (_, others) in zip(self._settings(), other._settings(), strict=True):
            if not _same(own, others):
                fact = f"one has {name} = {own!r}, the other {others!r}"
                raise fail("MC0501", fact, "add accumulators with the same keywords")
        joined = Accumulator(self.plan, self.rules, self.labels, self.pos_label)
        for found in (*self.tables, *other.tables):
            joined._add(found)
        return joined

    def _settings(self) -> Iterator[tuple[str, Any]]:
        """The keywords by name, parameters with their defaults filled in."""
        yield "labels", self.labels
        yield "pos_label", self.pos_label
        for name in ("zero_division", "absent", "smooth", "class_weight"):
            yield name, getattr(self.rules, name)
        for parameter in self.plan.metric.parameters:
            default = None if parameter.default is None else float(parameter.default)
            yield parameter.name, self.rules.params.get(parameter.name, default)


def _meaning(metric: ir.Metric) -> tuple[Any, ...]:
    """What a formula comes to; two files may mean other things by one name."""
    return metric.formula, metric.task, metric.terms, metric.outer, metric.parameters


def _same(one: Any, two: Any) -> bool:
    """Whether two keywords are equal: numbers, texts, lists or arrays of them; NaN is NaN."""
    if one is None or two is None:
        return one is two
    a, b = np.asarray(one), np.asarray(two)
    numbers = a.dtype.kind in "biuf" and b.dtype.kind in "biuf"
    return bool(np.array_equal(a, b, equal_nan=numbers))


def _aligned(task: str, tables: Sequence[Tables]) -> list[Tables]:
    """Tables of the same classes.

    In multiclass each may hold other classes: where a class does not occur, everything is TN.
    """
    if task == "multilabel" and len({len(t.names) for t in tables}) > 1:
        sizes = [len(t.names) for t in tables]
        fact = f"there are {sizes[-1]} columns of classes, and there were {sizes[0]}"
        raise fail("MC0506", fact, "give all batches the same columns")
    names = _union([t.names for t in tables])
    return [t if list(t.names) == names else _widened(t, names) for t in tables]


def _widened(table: Tables, names: Sequence[Any]) -> Tables:
    cells = np.stack(table.cells)
    found = np.zeros((*cells.shape[:-1], len(names)))
    for block in range(0, len(cells), len(CELLS)):  # the counts, then those of each column
        found[block + _TN] = cells[block : block + len(CELLS), ..., :1].sum(axis=0)
    found[..., [names.index(name) for name in table.names]] = cells
    return Tables(tuple(found), table.sample_weight, names)


def _union(names: list[Any]) -> list[Any]:
    """All classes: in the order given where they are the same everywhere, else sorted."""
    if all(list(each) == list(names[0]) for each in names):
        return list(names[0])
    found = {name for each in names for name in each}
    if len({isinstance(name, str) for name in found}) > 1:
        raise fail("MC0506", "some labels are text, others are not", "use one kind")
    return sorted(found)


_TN = CELLS.index("TN")
