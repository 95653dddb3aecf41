"""Counts, the seven metrics of them, and the exact best cut of a score.

Nothing here is metricc's: what judges the losses shares no code with them. All functions work on
arrays of counts and on rows of scores at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TARGETS = ("accuracy", "f1", "f05", "f2", "gmean", "balanced_accuracy", "mcc")
HEADS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "f05": "F0.5",
    "f2": "F2",
    "gmean": "G-mean",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "MCC",
}


def ratio(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0, as in scikit-learn with zero_division=0."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0)


def metric(target: str, counts: Array) -> Array:
    """The metric of TP, FN, FP, TN along the last axis (..., 4)."""
    tp, fn, fp, tn = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    if target == "accuracy":
        return ratio(tp + tn, tp + fn + fp + tn)
    if target in ("f1", "f05", "f2"):
        square = {"f1": 1.0, "f05": 0.25, "f2": 4.0}[target]
        return ratio((1 + square) * tp, (1 + square) * tp + square * fn + fp)
    if target == "mcc":
        margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return ratio(tp * tn - fp * fn, np.sqrt(margins))
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    return np.sqrt(recall * specificity) if target == "gmean" else (recall + specificity) / 2


def counted(z: Array, y: Array, cut: Array | float = 0.0) -> Array:
    """TP, FN, FP, TN (..., 4) of scores z (..., rows) above the cut (...), labels y (rows,)."""
    above = z > np.asarray(cut)[..., None]
    tp = (above & (y == 1)).sum(-1)
    fp = (above & (y == 0)).sum(-1)
    return np.stack([tp, int(y.sum()) - tp, fp, int((1 - y).sum()) - fp], -1)


class Cuts:
    """All cuts of scores z (..., rows) with labels y (rows,): sorted once, for every metric.

    Place k predicts the k highest positive: none at 0, all at the last.
    """

    def __init__(self, z: Array, y: Array) -> None:
        order = np.argsort(-z, axis=-1, kind="stable")
        ranked = np.take_along_axis(z, order, -1).astype(float)
        none = np.zeros((*z.shape[:-1], 1), dtype=np.int64)
        tp = np.concatenate([none, np.cumsum(y[order], -1)], -1)
        fp = np.arange(len(y) + 1) - tp
        positives = int(y.sum())
        self.counts = np.stack([tp, positives - tp, fp, len(y) - positives - fp], -1)
        # Halfway between two scores; a step of 1 beyond the highest and the lowest.
        ends = [ranked[..., :1] + 2, ranked, ranked[..., -1:] - 2]
        self.edges = np.concatenate(ends, -1)

    def values(self, target: str) -> Array:
        """The metric at every place (..., rows + 1); equal scores cannot be cut between."""
        real = np.diff(self.edges, axis=-1) != 0
        return np.where(real, metric(target, self.counts), -np.inf)

    def best(self, target: str) -> Array:
        """The cut (...) with the best value of the metric: of equally good ones the highest."""
        place = self.values(target).argmax(-1)[..., None]
        pair = [np.take_along_axis(self.edges, place + k, -1)[..., 0] for k in (0, 1)]
        return np.asarray((pair[0] + pair[1]) / 2)
