"""What a tuned threshold is worth on samples that it was not tuned on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metricc.errors import MetriccError, fail
from metricc.threshold import Cells, Held, Threshold
from metricc.tuning import Samples, Task, sweep


@dataclass(frozen=True)
class CrossFit:
    """The decisions on all folds together, each made at the threshold of the other folds.

    `value`, `counts` and `constraints` are those of the pooled decisions.
    """

    thresholds: tuple[Threshold, ...]
    value: float
    counts: Cells
    constraints: tuple[Held, ...]


def cross_fit(task: Task, given: Samples, folds: int, seed: int = 0) -> CrossFit:
    """Tune on all folds but one, decide that one, and judge all decisions as one table.

    The folds hold the classes in the shares of the whole and depend on `seed` alone. Raises
    `MetriccError` where a class has fewer samples than there are folds, and where no threshold
    meets the constraints without some fold.
    """
    rare = min(int(given.positive.sum()), int((~given.positive).sum()))
    if folds < 2 or rare < folds:
        fact = f"{folds} folds, and the rarer class has {rare} sample{'s' if rare != 1 else ''}"
        hint = (
            f"choose 2 to {rare} folds" if rare > 1 else "give at least two samples of each class"
        )
        raise fail("MC0501", fact, hint)
    fold = stratified(given.positive, folds, seed)
    decided = np.zeros(len(fold))
    found = []
    for k in range(folds):
        try:
            threshold = sweep(task, given.subset(np.flatnonzero(fold != k))).best()
        except MetriccError as error:
            where = f"without fold {k + 1} of {folds}: "
            raise MetriccError(
                *(replace(d, message=where + d.message) for d in error.diagnostics)
            ) from None
        rows = np.flatnonzero(fold == k)
        decided[rows] = given.scores[rows] >= threshold
        found.append(threshold)
    pooled = sweep(task, replace(given, scores=decided, kind=""))
    cut = pooled.cut_at(0.5)
    return CrossFit(tuple(found), float(pooled.values[cut]), pooled.cells(cut), pooled.held(cut))


def stratified(positive: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.intp]:
    """The fold of each sample: each class is shuffled and dealt out in turn."""
    random = np.random.default_rng(seed)
    fold = np.empty(len(positive), dtype=np.intp)
    dealt = 0
    for mask in (positive, ~positive):
        rows = random.permutation(np.flatnonzero(mask))
        fold[rows] = (dealt + np.arange(len(rows))) % folds
        dealt += len(rows)
    return fold
