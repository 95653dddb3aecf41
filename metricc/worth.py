"""What summed counts are worth: the metric, soft and hard, and the weights of its gradient.

The counts are a `Tally`'s, and so are the settings: those of its loss.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from metricc import ir, scoring
from metricc.functions import CELLS
from metricc.reductions import alone
from metricc.tally import Tally

if TYPE_CHECKING:
    from torch import Tensor


def soft(tally: Tally, counts: Tensor) -> Any:
    """1 - loss (the loss, of what is minimized) at soft counts: a float, or one a class."""
    import torch

    options, metric = tally.metric.options, tally.metric.plan.metric
    loss = copy.copy(tally.loss)
    if hasattr(loss, "reduction"):
        loss.reduction = "none"
    shape = (1,) if counts.dim() == 1 else (1, counts.shape[1])
    input = torch.full(shape, 0.5, dtype=torch.float64)
    target = torch.zeros(1, dtype=torch.long)
    if options.task != "multiclass":
        target = torch.zeros(shape, dtype=torch.float64)
    columns = {c: torch.ones(shape[:1]) for c in metric.columns}
    with torch.no_grad():
        found = loss(input, target, counts=counts.cpu(), **columns)
    found = 1 - found if options.goal == "maximize" else found
    return found.item() if found.dim() == 0 else found.numpy()


def hard(tally: Tally, counts: Tensor, zero_division: Any) -> Any:
    """The metric at hard counts, as `score` has it."""
    plan = tally.metric.plan
    share = tally.share(counts)
    weight = None if share is None else share.numpy()
    rules = scoring.Rules(zero_division, None, 0.0, weight, tally.parameters)
    cells = tuple(row.numpy() for row in counts.cpu())
    if plan.metric.single:
        found = scoring.of_counts(plan, tuple(c.reshape(1) for c in cells), rules)
        return float(np.asarray(found))
    return scoring.of_counts(plan, cells, rules)


def weights(tally: Tally, counts: Tensor) -> dict[str, Any]:
    """The weights of the gradient at soft counts, by name: floats, or one number a class.

    w_plus, w_minus and, without columns, their threshold w_minus/(w_plus + w_minus), NaN where
    both are 0; with columns w_plus_amount and so on.
    """
    import torch

    metric, loss = tally.metric.plan.metric, tally.loss
    width = len(metric.cells)
    cells, sums = counts.cpu()[:width], counts.cpu()[width:]
    share = tally.share(counts)
    each = 1.0 if share is None else share
    total = (each * cells[: len(CELLS)].sum(0)).sum()
    means = [float((each * row).sum() / total) if total > 0 else 0.0 for row in sums]
    names = [term.symbol.name for term in metric.elements]
    keywords = {**dict(zip(names, means, strict=True)), **tally.parameters}
    wanted = ir.weights_of(metric)
    if metric.single:
        seen, _ = alone([np.asarray(float(x)) for x in cells], loss.absent, loss.smooth)
        numbers = tally.module.weights(*(float(x) for x in seen), **keywords)
        absent = min(cells[0] + cells[1], cells[2] + cells[3]) == 0
        live = float(loss.absent == "diagonal" or not absent)
        found = {n: live * float(w) for n, w in zip(wanted, numbers, strict=False)}
    else:
        options = {"absent": loss.absent, "smooth": loss.smooth, "class_weight": share}
        numbers = tally.module.weights(*cells, **keywords, **options)
        like = torch.zeros(counts.shape[1], dtype=torch.float64)
        found = {n: (like + w).numpy() for n, w in zip(wanted, numbers, strict=False)}
    if not metric.columns:
        plus, minus = found.values()
        with np.errstate(invalid="ignore", divide="ignore"):
            found["threshold"] = np.divide(minus, np.add(plus, minus))
    return found
