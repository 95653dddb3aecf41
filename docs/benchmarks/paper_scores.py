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
    """All cuts of scores z (..., rows) with labels y (rows,): sorted once, for every metric."""

    def __init__(self, z: Array, y: Array) -> None:
        order = np.argsort(-z, axis=-1, kind="stable")
        self.ranked = np.take_along_axis(z, order, -1).astype(float)
        tp = np.cumsum(y[order], -1)
        places = np.arange(1, len(y) + 1)
        self.counts = np.stack(
            [tp, int(y.sum()) - tp, places - tp, (len(y) - places) - (y.sum() - tp)], -1
        )
        # A cut between equal scores does not exist.
        last = np.ones((*z.shape[:-1], 1), bool)
        self.real = np.concatenate([np.diff(self.ranked, axis=-1) != 0, last], -1)

    def best(self, target: str) -> Array:
        """The cut (...) with the best value of the metric, halfway between two scores.

        Of equally good ones it is the highest; below the lowest score it is that score less one.
        """
        values = np.where(self.real, metric(target, self.counts), -np.inf)
        place = values.argmax(-1)[..., None]
        floor = self.ranked[..., -1:] - 2
        below = np.concatenate([self.ranked[..., 1:], floor], -1)
        pair = [np.take_along_axis(a, place, -1)[..., 0] for a in (self.ranked, below)]
        return np.asarray((pair[0] + pair[1]) / 2)
