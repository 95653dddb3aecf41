"""A compiled metric as a scikit-learn scorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.metrics import make_scorer


@dataclass(frozen=True)
class Score:
    """`metric.score` with its keywords settled; it pickles, as parallel searches need."""

    metric: Any
    settled: Mapping[str, Any]

    @property
    def __name__(self) -> str:  # scikit-learn shows it
        return str(self.metric.name)

    def __call__(self, y_true: Any, y_pred: Any, **keywords: Any) -> float:
        return float(self.metric.score(y_true, y_pred, **self.settled, **keywords))


def scorer(metric: Any, settled: Mapping[str, Any]) -> Any:
    """A scorer of a `CompiledMetric` on predicted labels, negated for an error rate."""
    score = Score(metric, dict(settled))
    return make_scorer(score, greater_is_better=metric.options.goal == "maximize")
