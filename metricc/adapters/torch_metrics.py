"""A compiled metric as a `torchmetrics.Metric`: four counts that add over batches and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from metricc.functions import CELLS


class ConfusionMetric(Metric):
    """The hard metric of everything that `update` has seen since `reset`."""

    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        metric: Any,
        threshold: float,
        zero_division: Any,
        params: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.metric, self.threshold = metric, threshold
        self.settled = {"zero_division": zero_division, **params}
        for cell in CELLS:
            zero = torch.tensor(0.0, dtype=torch.float64)
            self.add_state(cell, default=zero, dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        return bool(self.metric.options.goal == "maximize")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch: `preds` (labels or scores) and `target` (0 and 1), of one shape."""
        if preds.shape != target.shape:
            raise ValueError(f"preds {tuple(preds.shape)} and target {tuple(target.shape)} differ")
        if ((target != 0) & (target != 1)).any():
            raise ValueError("target must hold 0 and 1 alone")
        if preds.is_floating_point():
            if ((preds < 0) | (preds > 1)).any():
                preds = preds.sigmoid()
            preds = preds > self.threshold
        elif ((preds != 0) & (preds != 1)).any():
            raise ValueError("preds must be scores, or labels that are 0 and 1 alone")
        true, answered = target.bool(), preds.bool()
        for cell, found in zip(
            CELLS,
            (true & answered, true & ~answered, ~true & answered, ~true & ~answered),
            strict=True,
        ):
            setattr(self, cell, getattr(self, cell) + found.sum())

    def compute(self) -> Tensor:
        """The metric, a scalar in the counts' dtype (float64)."""
        number = self.metric.value(*(getattr(self, c).item() for c in CELLS), **self.settled)
        like: Any = self.TP
        return torch.tensor(number, dtype=like.dtype, device=like.device)
