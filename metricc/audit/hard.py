"""A metric on thousands of tables at once: of the batches of a stated classifier, of a picture.

The classifier knows the label of a share of all samples, and guesses the others, each class as
often as it occurs. So it predicts as many positives as there are, its precision and recall are
equal, and the share that it knows is its kappa and its MCC, whatever the prevalence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metricc import ir, scoring
from metricc.audit.subject import Subject
from metricc.emit.torch_file import absent_default
from metricc.numeric import inside

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Tables: TypeAlias = tuple[Array, ...]  # in the order of `Metric.cells`; with classes (..., C)

CLASSES = 3  # of a table of classes, one of them with the prevalence; labels have it all
LOSS = 0.5  # every element loss


@dataclass(frozen=True)
class Hard:
    """A subject's metric on hard counts, parameters at their defaults or else in their ranges."""

    subject: Subject

    @cached_property
    def params(self) -> dict[str, float]:
        metric = self.subject.metric
        found = {
            p.name: inside(p) if p.default is None else float(p.default) for p in metric.parameters
        }
        return found | {term.symbol.name: LOSS for term in metric.elements}

    @property
    def given(self) -> str:
        """The parameters in words: "beta = 1, bce = 0.5"; empty where there are none."""
        return ", ".join(f"{name} = {number:g}" for name, number in self.params.items())

    @cached_property
    def scales(self) -> bool:
        """Whether the metric depends on how many samples there are: proved not to, or seen."""
        if self.subject.audit.homogeneous:
            return False
        parts = shares(self.subject.metric, self.subject.prevalence)
        kinds = np.stack([Classifier("", k / 8).joint(parts) for k in range(1, 8)])
        few, many = (self.values(self.tables(size * kinds)) for size in (10, 1000))
        with np.errstate(invalid="ignore"):
            return not bool((abs(few - many) <= 1e-9 * abs(few)).all())

    @property
    def absent(self) -> str:
        """What the loss does about an absent class, by default."""
        plan = self.subject.plan
        return absent_default(plan.metric.task, "joint" in plan.levels)

    def values(self, tables: Tables, absent: str | None = None) -> Array:
        """The metric on tables, 0 where it is undefined; it may be infinite.

        Of a metric for each class, that of the first.
        """
        rules = self._rules(tables, absent)
        return self._first(scoring.value(self.subject.plan, tables[:4], rules))

    def undefined(self, tables: Tables) -> Mask:
        """Where the metric is undefined (0/0), by no policy."""
        rules = self._rules(tables)
        return self._first(scoring.undefined(self.subject.plan, tables[:4], rules)) > 0

    def _rules(self, tables: Tables, absent: str | None = None) -> scoring.Rules:
        columns = dict(zip(self.subject.metric.cells[4:], tables[4:], strict=True))
        return scoring.Rules(0, absent, 0.0, None, {**self.params, **columns})

    def _first(self, found: Any) -> Array:
        each = any(term.reduction == "per_class" for term in self.subject.metric.tables)
        return np.asarray(found[..., 0] if each else found, dtype=np.float64)

    def tables(self, joint: Array) -> Tables:
        """The tables of joint counts of truth and prediction, shape (..., kinds).

        Binary: kinds are TP, FN, FP, TN, and columns count each sample as 1. multilabel: the same
        of all labels. multiclass: kinds are pairs of classes, true and predicted.
        """
        metric = self.subject.metric
        if metric.task == "multiclass":
            own = np.eye(CLASSES)
            true, said = own.repeat(CLASSES, 0), np.tile(own, (CLASSES, 1))
            kinds = (true * said, true * (1 - said), (1 - true) * said, (1 - true) * (1 - said))
            return tuple(joint @ kind for kind in kinds)  # sums alone: none is below 0
        cells = tuple(joint[..., i] for i in range(4))
        if not metric.single:
            cells = tuple(np.repeat(cell[..., None], CLASSES, -1) for cell in cells)
        return (*cells, *cells * len(metric.columns))


@dataclass(frozen=True)
class Classifier:
    """A classifier that knows the label of the share `knows` of samples and guesses the others."""

    name: str
    knows: float

    def rates(self, prevalence: float) -> tuple[float, float]:
        """TPR and FPR, of a class that makes up `prevalence`."""
        guessed = (1 - self.knows) * prevalence
        return self.knows + guessed, guessed

    def joint(self, shares: Array) -> Array:
        """The share of each pair of true and predicted class, flat: TP, FN, FP, TN of two."""
        square = np.outer(shares, shares) * (1 - self.knows) + np.diag(shares) * self.knows
        return np.asarray(square.ravel())


CLASSIFIERS = (Classifier("early", 0.2), Classifier("good", 0.8))


def shares(metric: ir.Metric, prevalence: float) -> Array:
    """The share of each class: of positives and negatives, or of one class and equal others."""
    if metric.task == "multiclass":
        rest = (1 - prevalence) / (CLASSES - 1)
        return np.array([prevalence, *[rest] * (CLASSES - 1)])
    return np.array([prevalence, 1 - prevalence])
