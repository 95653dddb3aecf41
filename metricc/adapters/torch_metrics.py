"""A compiled metric as a `torchmetrics.Metric`: counts that add over batches and ranks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from metricc.functions import CELLS


class ConfusionMetric(Metric):
    """The hard metric of everything that `update` has seen since `reset`.

    The states TP, FN, FP and TN have a number for each class; under samples(...) they are lists
    of such rows, one a sample.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        metric: Any,
        number: Callable[[tuple[Any, ...]], Any],
        size: int,
        threshold: float,
        ignore_index: int | None,
    ) -> None:
        super().__init__()
        self.metric, self.number, self.size = metric, number, size
        self.threshold, self.ignore_index = threshold, ignore_index
        self.task = metric.options.task
        self.by_sample = metric.plan.metric.by_sample
        for cell in CELLS:
            if self.by_sample:
                self.add_state(cell, default=[], dist_reduce_fx="cat")
            else:
                zero = torch.zeros(size, dtype=torch.float64)
                self.add_state(cell, default=zero, dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        return bool(self.metric.options.goal == "maximize")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch: `preds` (labels or scores) and `target` (labels).

        binary: of one shape, labels are 0 and 1; multilabel: likewise, (N, C, ...); multiclass:
        labels (N, ...), preds also as scores (N, C, ...).
        """
        kept = torch.ones_like(target, dtype=torch.bool)
        if self.ignore_index is not None:
            kept = target != self.ignore_index
            target = target.masked_fill(~kept, 0)
        if self.task == "multiclass":
            found = self._count_classes(*self._classes(preds, target, kept), kept)
        else:
            found = self._count(*self._binary(preds, target, kept), kept)
        for cell, count in zip(CELLS, found, strict=True):
            count = count if self.by_sample else count.sum(0)
            state = getattr(self, cell)
            added = count.to(torch.float64)
            setattr(self, cell, [*state, added] if self.by_sample else state + added)

    def _count(self, preds: Tensor, target: Tensor, kept: Tensor) -> tuple[Tensor, ...]:
        """TP, FN, FP, TN of each sample and class: (N, C)."""
        shape = target.shape if target.dim() else (1,)
        rest = math.prod(shape[2:] if self.task == "multilabel" else shape[1:])
        true, answered, counts = (
            x.bool().reshape(shape[0], self.size, rest) for x in (target, preds, kept)
        )
        hits = (true & answered, true & ~answered, ~true & answered, ~true & ~answered)
        return tuple((hit & counts).sum(2) for hit in hits)

    def _count_classes(self, preds: Tensor, target: Tensor, kept: Tensor) -> tuple[Tensor, ...]:
        rows = len(target) if self.by_sample else 1
        start = torch.arange(rows, device=target.device).reshape(-1, 1) * self.size
        size = target.numel() // max(rows, 1)
        preds, target, kept = (x.reshape(rows, size) for x in (preds, target, kept))

        def each(labels: Tensor, where: Tensor) -> Tensor:
            places = (labels + start)[where & kept]
            return places.bincount(minlength=rows * self.size).reshape(rows, self.size)

        right = preds == target
        tp, fn, fp = each(target, right), each(target, ~right), each(preds, ~right)
        return tp, fn, fp, kept.sum(1, keepdim=True) - tp - fn - fp

    def _binary(self, preds: Tensor, target: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        if preds.shape != target.shape:
            raise ValueError(f"preds {tuple(preds.shape)} and target {tuple(target.shape)} differ")
        if self.task == "multilabel" and (preds.dim() < 2 or preds.shape[1] != self.size):
            raise ValueError(f"preds {tuple(preds.shape)} must be (N, {self.size}, ...)")
        if ((target != 0) & (target != 1)).any():
            raise ValueError("target must hold 0 and 1 alone")
        if preds.is_floating_point():
            if (((preds < 0) | (preds > 1)) & kept).any():
                preds = preds.sigmoid()
            preds = preds > self.threshold
        elif ((preds != 0) & (preds != 1) & kept).any():
            raise ValueError("preds must be scores, or labels that are 0 and 1 alone")
        return preds, target

    def _classes(self, preds: Tensor, target: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        if target.is_floating_point():
            raise ValueError("target must hold class labels: whole numbers, target.long()")
        if preds.dim() == target.dim() + 1:
            if preds.shape[1] != self.size:
                raise ValueError(f"preds {tuple(preds.shape)} must be (N, {self.size}, ...)")
            preds = preds.argmax(1)
        elif preds.is_floating_point():
            raise ValueError("preds must be scores (N, C, ...), or labels: whole numbers")
        if preds.shape != target.shape:
            raise ValueError(f"preds {tuple(preds.shape)} and target {tuple(target.shape)} differ")
        for name, labels in (("preds", preds), ("target", target)):
            if (((labels < 0) | (labels >= self.size)) & kept).any():
                raise ValueError(f"{name} must hold class labels from 0 to {self.size - 1}")
        return preds, target

    def compute(self) -> Tensor:
        """The metric, a scalar (per_class: a number a class) in float64."""
        states: list[Any] = [getattr(self, cell) for cell in CELLS]
        if self.by_sample:  # lists, or after a reduction over ranks tensors
            lists = [[s] if isinstance(s, Tensor) else s for s in states]
            # A sample in which nothing counts leaves the mean; without any there is one such.
            device = lists[0][0].device if lists[0] else self.device
            none = torch.zeros(1, self.size, dtype=torch.float64, device=device)
            states = [torch.cat([*rows, none]) for rows in lists]
        cells = tuple(state.cpu().numpy() for state in states)
        number = self.number(cells)
        return torch.as_tensor(number, dtype=torch.float64, device=states[0].device)


class SoftMetric(Metric):
    """The soft metric of everything that `update` has seen since `reset`.

    The state `counts` holds the loss's counts, (cells,) or (cells, C), and the sums of element
    losses; it adds over batches and ranks.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, tally: Any, number: Callable[[Tensor], Any], size: int | None) -> None:
        super().__init__()
        self.tally, self.number, self.size = tally, number, size
        metric = tally.metric.plan.metric
        rows = len(metric.cells) + len(metric.elements)
        shape = (rows,) if size is None else (rows, size)
        self.add_state("counts", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        return bool(self.tally.metric.options.goal == "maximize")

    def update(
        self,
        preds: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
        **columns: Tensor,
    ) -> None:
        """Count a batch; the arguments are those of the loss.

        Raises `ValueError` where the loss would, and, on a CPU, where what counts has an input that
        is NaN, a label outside [0, 1] or a weight below 0.
        """
        if self.size is not None and (preds.dim() < 2 or preds.shape[1] != self.size):
            raise ValueError(f"preds {tuple(preds.shape)} must be (N, {self.size}, ...)")
        counts = self.tally.soft(preds, target, weight=weight, mask=mask, **columns)
        self.counts: Tensor = self.counts + counts.to(self.counts)

    def compute(self) -> Tensor:
        """1 - loss at the counts (the loss, of what is minimized), in float64.

        NaN where nothing was seen that counts, as in torchmetrics' own means.
        """
        device = self.counts.device
        found = torch.as_tensor(self.number(self.counts), dtype=torch.float64, device=device)
        seen = self.counts[: len(CELLS)].sum() > 0
        return torch.where(seen, found, torch.nan)
