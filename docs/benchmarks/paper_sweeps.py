"""What the main table does not show: L, the size of the batch, and training over time.

All of them are the table's trainings (folds, inner splits, rates) with other losses or settings,
and an observer that looks on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import paper_sets
import torch
from numpy.typing import NDArray
from paper_losses import LOSSES, SKIP, Column, Loss
from paper_runs import MODELS, Settings, Split, Stage, Unit, losses, table, units
from paper_scores import counted
from paper_training import Model
from torch import Tensor

LS = (2, 4, 7, 10, 15, 20, 28, 40, 55, 73, 90, 110)
SHARES = (0.025, 0.05, 0.1, 0.2, 0.5, 1.0)  # of the training rows, in a batch: exactly
IN_BATCHES = ("BCE", "weighted BCE", "AnyLoss", "metricc", "metricc, skip")
POINTS = 40  # of a training curve
CURVES = ("synthetic", "wdbc_357_36", "yeast4", "page_blocks0")
USABLE = 0.01  # a slope of at least this share of the largest, which is at z = 0, is called usable
ROWS = range(300, 2500)  # of the sets of the sweeps, one of each family


def representatives(sets: Sequence[paper_sets.Set], most: int = ROWS.stop) -> list[paper_sets.Set]:
    """Of each family the real set with the fewest rows in ROWS, if it has one below `most`."""
    found: dict[str, paper_sets.Set] = {}
    for one in sorted(sets, key=lambda s: (s.rows, s.name)):
        if one.group == "real" and one.rows in ROWS and one.rows < most:
            found.setdefault(one.family, one)
    return sorted(found.values(), key=lambda s: s.name)


def slope(loss: Loss, z: Tensor) -> Tensor:
    """dA(sigmoid(z))/dz over its value at z = 0, for "amplified" and "soft"."""
    z = z.double()
    found = 4 * torch.sigmoid(z) * torch.sigmoid(-z)
    if loss.surrogate == "amplified":
        t = loss.L * (torch.sigmoid(z) - 0.5)
        found = found * 4 * torch.sigmoid(t) * torch.sigmoid(-t)
    return found


class Reach:
    """The share of the rows of a step that have a usable slope: at the start, a tenth, the end."""

    def begin(self, cols: list[Column], stage: Stage, splits: Sequence[Split], steps: int) -> None:
        self.cols, self.moments = cols, (0, steps // 10, steps - 1)
        self.weight = stage.rows.weight
        self.shares: list[list[list[float] | None]] = []

    def __call__(self, step: int, z: Tensor, model: Model) -> None:
        if step not in self.moments:
            return
        found: list[list[float] | None] = []
        full = self.weight is None or self.weight.shape[1] != z.shape[2]  # a batch, or equal groups
        for k, column in enumerate(self.cols):
            if column.loss.surrogate not in ("amplified", "soft"):
                found.append(None)
                continue
            usable = (slope(column.loss, z[k]) >= USABLE).double()
            weight = torch.ones_like(usable) if full else self.weight.double()  # type: ignore[union-attr]
            found.append(((usable * weight).sum(1) / weight.sum(1)).tolist())
        self.shares.append(found)

    def note(self, column: int, group: int) -> dict[str, Any]:
        each = [share[column] for share in self.shares]
        return {"reach": [None if e is None else round(e[group], 4) for e in each]}


class Curve:
    """The target metric at 1/2 of the held-out fold, at POINTS moments of the training."""

    def begin(self, cols: list[Column], stage: Stage, splits: Sequence[Split], steps: int) -> None:
        self.cols, self.every = cols, stage.every
        self.tests = [(s.y, test) for s in splits for _, test in s.outer]
        moments = np.linspace(0, steps - 1, min(POINTS, steps)).round()
        self.moments = [int(m) for m in dict.fromkeys(moments)]
        self.counts: list[list[NDArray[np.int64]]] = []

    def __call__(self, step: int, z: Tensor, model: Model) -> None:
        if step in self.moments:
            scores = model.scores(self.every).detach().numpy()
            pairs = enumerate(self.tests)
            self.counts.append([counted(scores[:, g, test], y[test]) for g, (y, test) in pairs])

    def note(self, column: int, group: int) -> dict[str, Any]:
        counts = np.stack([moment[group][column] for moment in self.counts])
        return {"steps": self.moments, "curve": counts.tolist()}


def over_l(unit: Unit) -> list[dict[str, Any]]:
    """The table's rows for BCE, the soft metric and every L, with the gradient's reach.

    In mini-batches with either rule for batches without positives.
    """
    rules = {"": "diagonal"} | ({SKIP: "skip"} if unit.model == "MLP" else {})
    losses = [LOSSES["BCE"]]
    for end, absent in rules.items():
        losses.append(Loss("soft" + end, "metric", "soft", absent=absent))
        losses += [Loss(f"L={L}{end}", "metric", "amplified", float(L), absent) for L in LS]
    return table(unit, losses, Reach())


def over_batches(unit: Unit) -> list[dict[str, Any]]:
    rows = table(unit, [LOSSES[name] for name in IN_BATCHES])
    return [{**row, "batch": unit.settings.batch} for row in rows]


def over_time(unit: Unit) -> list[dict[str, Any]]:
    """The table's rows with the counts of the held-out fold during training."""
    return table(unit, losses(unit.model), Curve())


def sweep_units(part: str, sets: Sequence[paper_sets.Set], base: Settings) -> list[Unit]:
    """The units of the parts "L", "batch" and "curves"."""
    if part == "curves":
        few = [s for s in sets if s.name in CURVES]
        return units(part, MODELS, few, replace(base, targets=("f1",)))
    settings = replace(base, folds=min(5, base.folds), targets=("f1",))
    if part == "L":
        return units(part, MODELS, representatives(sets), settings)
    steps = tuple((model, count // 2) for model, count in base.steps)
    small = representatives(sets, 1100)
    made = [replace(settings, batch=share, steps=steps) for share in SHARES]
    return [Unit(part, "MLP", (one.name,), each) for each in made for one in small]
