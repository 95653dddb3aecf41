"""The time of an epoch of single trainings, one after the other, relative to BCE.

An epoch is one step of the SLP, on all rows, and a pass over the rows of the MLP, in batches. The
models are torch's own modules, the losses the binary ones that a user would take, and the default
with a built kernel besides; the arms are interleaved.
"""

from __future__ import annotations

import statistics
import time
from contextlib import suppress
from typing import Any

import paper_sets
import torch
from paper_losses import FIRST, built, single
from paper_runs import MODELS, Split, Stage, Unit, batch_size, losses
from paper_training import BETAS, EPSILON, HIDDEN, MOMENTUM, TINY
from torch import Tensor, nn

import metricc

SETS = ("ecoli3", "yeast4", "page_blocks0")
ROUNDS, EPOCHS = 15, 20  # a round has so many epochs of the SLP, one of the MLP


def network(model: str, features: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The model as torch's modules, with its optimizer."""
    if model == "SLP":
        linear = nn.Linear(features, 1)
        return linear, torch.optim.SGD(linear.parameters(), lr=0.01)
    layers = nn.Sequential(
        nn.Linear(features, HIDDEN, bias=False),
        nn.BatchNorm1d(HIDDEN, eps=EPSILON, momentum=MOMENTUM),
        nn.Sigmoid(),
        nn.Linear(HIDDEN, 1),
    )
    return layers, torch.optim.Adam(layers.parameters(), lr=0.001, betas=BETAS, eps=TINY)


def step(made: tuple[nn.Module, torch.optim.Optimizer], rule: Any, x: Tensor, y: Tensor) -> None:
    layers, optimizer = made
    optimizer.zero_grad()
    rule(layers(x)[:, 0], y).backward()
    optimizer.step()


def timed(unit: Unit) -> list[dict[str, Any]]:
    """A row for each loss and target: the median time of an epoch, ms."""
    torch.set_num_threads(1)
    rows = []
    for name in unit.sets:
        split = Split(name, unit.settings)
        part = Stage.of([split], "outer", unit.settings.seed).rows
        x, y = part.x[0, : part.sizes[0]], part.y[0, : part.sizes[0]]
        if unit.model == "MLP":
            size = batch_size(len(split.y), unit.settings)
            parts = list(zip(torch.split(x, size), torch.split(y, size), strict=True))
        else:
            parts = [(x, y)] * EPOCHS
        fifth = round(1 / FIRST)  # of the steps are the first phase's, for losses that have two
        epochs = 1 if unit.model == "MLP" else EPOCHS
        arms = {
            (loss.name, target): single(loss, target, float(part.pos_weight[0]))
            for loss in losses(unit.model)
            for target in (unit.settings.targets if loss.aims else ("",))
        }
        with suppress(metricc.MetriccError):  # no C compiler
            for target in unit.settings.targets:
                made = built(target)
                arms["metricc, built", target] = made, made
        took: dict[tuple[str, str], list[float]] = {arm: [] for arm in arms}
        networks = {arm: network(unit.model, x.shape[1]) for arm in arms}
        for _ in range(ROUNDS):
            for arm, (early, late) in arms.items():
                begin = time.perf_counter()
                for at, (rows_x, rows_y) in enumerate(parts):
                    step(networks[arm], late if at % fifth else early, rows_x, rows_y)
                took[arm].append((time.perf_counter() - begin) / epochs)
        for (loss, target), seconds in took.items():
            facts = {"part": unit.part, "set": name, "model": unit.model, "loss": loss}
            ms = round(1e3 * statistics.median(seconds[2:] or seconds), 5)
            rows.append({**facts, "target": target, "rows": len(y), "ms": ms})
    return rows


def timing_units(settings: Any) -> list[Unit]:
    known = {s.name: s for s in paper_sets.listed()}
    names = tuple(name for name in SETS if name in known)
    return [Unit("time", model, names, settings) for model in MODELS]
