"""An objective for boosting under test: how it is called, its batches, and what counts there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from mpmath import mpf

from metricc import syntax
from metricc.verify.batches import Element, Tensors, counts_of, elements_of, term_of
from metricc.verify.points import CLASSES, batch, lacking, ugly
from metricc.verify.tables import Setting


@dataclass(frozen=True)
class Case:
    """The generated file with one setting: parameters and surrogate arguments."""

    module: ModuleType
    text: syntax.Text
    parameters: Mapping[str, float]
    setting: Setting

    @property
    def joint(self) -> bool:
        return self.setting.task == "multiclass"

    @property
    def given(self) -> dict[str, Any]:
        return {**self.parameters, **self.setting.arguments}

    @property
    def cut(self) -> Any:
        """The probability from which the answer is positive."""
        return mpf(self.setting.arguments.get("threshold", 0.5))

    def elements(self, data: Tensors) -> list[Element]:
        """Every raw score of a batch, row after row."""
        return elements_of(self.text, data, self.setting, 0)

    def decided(self, data: Tensors) -> list[Element]:
        """The same, A being 1 or 0 by the decision."""
        found = []
        for e in self.elements(data):
            z = [row[0] for row in data.input[e.n]]
            hit = z.index(max(z)) == e.k if self.joint else e.p > self.cut
            found.append(replace(e, a=mpf(hit), b=mpf(not hit)))
        return found

    def call(self, name: str, data: Tensors) -> Any:
        """A function of the file on a batch."""
        return getattr(self.module, name)(*self.arrays(data), **self.given)

    def arrays(self, data: Tensors) -> tuple[Any, Any, Any]:
        """Labels, raw scores and weights as the file takes them."""
        z, y = (np.array(x, dtype=np.float64)[:, :, 0] for x in (data.input, data.target))
        v = None if data.weight is None else np.array(data.weight)[:, 0, 0]
        return (y.argmax(1), z, v) if self.joint else (y[:, 0], z[:, 0], v)


def tables(elements: Sequence[Element]) -> list[list[Any]]:
    """TP, FN, FP, TN of every class."""
    classes = range(1 + max((e.k for e in elements), default=0))
    ones = [mpf(1)] * len(classes)
    return [counts_of([e for e in elements if e.k == k], ones, 0) for k in classes]


def means(case: Case, elements: Sequence[Element]) -> dict[tuple[str, float], Any]:
    """The mean cross-entropy over rows, under the names that element losses have."""
    ones = [mpf(1)] * (1 + max((e.k for e in elements), default=0))
    total, _ = term_of(elements, case.joint, ones, 0.0)
    return {(name, 0.0): total for name in ("bce", "ce")}


def total(data: Tensors) -> Any:
    """n: the sum of the rows' weights."""
    if data.weight is None:
        return mpf(len(data.input))
    return sum((mpf(row[0][0]) for row in data.weight), mpf(0))


def batches(case: Case) -> Iterator[Tensors]:
    """Batches of small and large scores, with weights, and without positives or negatives."""
    task, c = case.setting.task, CLASSES if case.joint else 1
    for spread, seed in ((1.5, 1), (8.0, 2), (0.1, 3)):
        yield batch(task, (30, c, 1), spread, seed, False, seed == 2, soft=not case.joint)
    data = batch(task, (12, c, 1), 1.5, 4, False, soft=False)
    for every in (False, True):
        yield lacking(task, data, every)
    yield batch(task, (8, c, 1), 30.0, 5, False, soft=False)


def all_batches(case: Case) -> Iterator[Tensors]:
    """Also those whose counts float64 does not hold, and the scores before the first tree."""
    yield from batches(case)
    yield from ugly(case.setting.task, False, False).values()
    first = next(batches(case))
    yield replace(first, input=[[[0.0] for _ in row] for row in first.input])
    # Some scores at the cut of decisions, where it is one that float64 holds: ties.
    tied = [[[x * (i % 3 > 0) for x in z] for z in row] for i, row in enumerate(first.input)]
    yield replace(first, input=tied)
