"""What tuning hands back: a threshold that is a float and says what it does."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Cells(NamedTuple):
    """The confusion matrix of a cut: numbers of samples, or sums of their weights."""

    TP: float
    FN: float
    FP: float
    TN: float


@dataclass(frozen=True)
class Held:
    """A comparison of a constraint at a cut: its text, both sides' values (NaN: undefined), and
    whether it is met."""

    text: str
    left: float
    right: float
    met: bool


class Threshold(float):
    """A cut of scores: `y_score >= t` is the decision, and `t` a float like any other.

    `value` is the metric there (its name is `metric`), `counts` the confusion matrix,
    `constraints` the comparisons that were asked for. Every cut from `low` to `high` makes the
    metric as good, within 1e-12: (low, high] for `>=`. Scores that all lie in [0, 1] have these
    ends too; others end one mean step beyond the outermost score.
    """

    metric: str
    value: float
    low: float
    high: float
    counts: Cells
    constraints: tuple[Held, ...]

    def __new__(
        cls,
        cut: float,
        metric: str,
        value: float,
        low: float,
        high: float,
        counts: Cells,
        constraints: tuple[Held, ...] = (),
    ) -> Threshold:
        self = super().__new__(cls, cut)
        self.metric, self.value, self.low, self.high = metric, value, low, high
        self.counts, self.constraints = counts, constraints
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        facts = (self.metric, self.value, self.low, self.high, self.counts, self.constraints)
        return type(self), (float(self), *facts)

    def __str__(self) -> str:
        return float.__repr__(self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n}={count:g}" for n, count in self.counts._asdict().items())
        held = "".join(f", {h.text}: {h.left:.6g}" for h in self.constraints)
        plateau = f"from {self.low:.6g} to {self.high:.6g}"
        return f"<Threshold {self!s}: {self.metric} = {self.value:.6g}, {plateau}, {counts}{held}>"


class Thresholds(np.ndarray[Any, Any]):
    """One threshold for each class, shape (C,): `y_score >= t` decides all of them.

    `classes` holds the `Threshold` of each, `value` the metric of all classes together.
    """

    classes: tuple[Threshold, ...] = ()
    value: Any = None

    @classmethod
    def of(cls, classes: Sequence[Threshold], dtype: np.dtype[Any], value: Any) -> Thresholds:
        return cls._made(np.array([float(t) for t in classes], dtype=dtype), tuple(classes), value)

    @classmethod
    def _made(cls, numbers: NDArray[Any], classes: tuple[Threshold, ...], value: Any) -> Thresholds:
        self = numbers.view(cls)
        self.classes, self.value = classes, value
        return self

    def __getitem__(self, key: Any) -> Any:
        """Some of the thresholds are numbers without what all of them say together."""
        found = super().__getitem__(key)
        return found.view(np.ndarray) if isinstance(found, np.ndarray) else found

    def copy(self, order: Any = "C") -> Thresholds:
        return Thresholds._made(np.array(self, order=order), self.classes, deepcopy(self.value))

    def __copy__(self) -> Thresholds:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Thresholds:
        return self.copy()

    def __array_wrap__(
        self, array: NDArray[Any], context: Any = None, return_scalar: bool = False
    ) -> Any:
        """What is computed from thresholds is an array, no thresholds."""
        return array[()] if return_scalar else np.asarray(array)

    def __reduce__(self) -> Any:
        return Thresholds._made, (np.array(self), self.classes, self.value)
