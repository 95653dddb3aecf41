"""Calls of a file's scalar functions and of its running mean, drawn as `drawn` draws losses."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from metricc import ir
from metricc.verify.drawn import Call
from metricc.verify.points import CLASSES, parameter_sets

TABLES, MEANS = 300, 40
FUNCTIONS = ("value", "gradient", "weights")
UNIT = 1e-2  # of values, and of slopes at counts around 1
# Which of TP, FN, FP and TN are 0: none, one, all of a row or a column, or the whole table.
EMPTY = [()] * 4 + [(0,), (1,), (2,), (3,), (0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (0, 1, 2, 3)]
POLICIES: dict[str, list[Any]] = {
    "absent": ["diagonal", "skip", "zero"],
    "smooth": [0.5, 2.0],
    "class_weight": [[1.0, 0.0, 2.0]],
    "sample_weight": [[2.0, 1.0, 0.0]],
}


def cells_of(draw: random.Random, columns: int = 0) -> tuple[list[list[float]], float]:
    """TP, FN, FP and TN of several classes, then those of columns; and their unit."""
    scale = draw.choice((1.0, 1.0, 1.0, 1e-25, 1e6))
    empty = [draw.choice(EMPTY) for _ in range(CLASSES)]
    cells = [
        [scale * draw.randrange(1, 300) * (place % 4 not in without) for without in empty]
        for place in range(4 * (1 + columns))
    ]
    return cells, scale


def unit_of(name: str, scale: float) -> float:
    """What a function's results are usually like at counts of that unit: slopes shrink with it."""
    return UNIT if name == "value" else UNIT / scale


def policies(draw: random.Random) -> dict[str, Any]:
    """Some of what the scalar functions of classes take."""
    return {n: draw.choice(values) for n, values in POLICIES.items() if draw.random() < 0.5}


def tables(plan: ir.Plan, options: ir.Options) -> Iterator[Call]:
    """`value`, `gradient` and `weights` at one table and at several, some of them empty."""
    draw, sets = random.Random(104), parameter_sets(plan.metric)
    for index in range(TABLES):
        name = FUNCTIONS[index % 3]
        cells, scale = cells_of(draw, len(plan.metric.columns))
        given = {**draw.choice(sets), **policies(draw)}
        single = options.task == "binary" and draw.random() < 0.5
        told = f"{name}() at {[row[0] for row in cells] if single else cells}, {given}"
        run = partial(_scalars, name, cells, given, single, draw.uniform(0.1, 9))
        yield Call(told, run, unit=unit_of(name, scale))


def _scalars(
    name: str,
    cells: Sequence[Sequence[float]],
    given: Mapping[str, Any],
    single: bool,
    other: float,
    module: ModuleType,
) -> Any:
    """A scalar function; what it needs beside counts, as a mean of element losses, is `other`."""
    import torch

    function = getattr(module, name)
    known = inspect.signature(function).parameters
    table = torch.tensor(cells, dtype=torch.float64)
    counts: list[Any] = [row[0] for row in cells] if single else [*table]
    rest = {n: v for n, v in given.items() if n in known}
    rest |= {n: torch.tensor(v).double() for n, v in rest.items() if isinstance(v, list)}
    needed = [p.name for p in [*known.values()][len(cells) :] if p.default is p.empty]
    return function(*counts, **{**dict.fromkeys(needed, other), **rest})


def means() -> Iterator[Call]:
    """Running means: what they return, keep, load and refuse, over counts of several dtypes."""
    draw = random.Random(107)
    steps = ["add"] * 8 + ["NaN", "reset", "reload", "single", "other shape"]
    for _ in range(MEANS):
        decay = draw.choice((0.0, 0.3, 0.99, 1.0, None, -0.1, 1.1, float("nan")))
        chosen = [draw.choice(steps) for _ in range(7)]
        yield Call(f"Counts({decay}): {', '.join(chosen)}", partial(_mean, decay, chosen))


def _mean(decay: float | None, steps: Sequence[str], module: ModuleType) -> Any:
    import torch

    mean = module.Counts() if decay is None else module.Counts(decay)
    found: list[Any] = []
    for number, step in enumerate(steps):
        table = torch.arange(1.0, 13.0, dtype=torch.float64).reshape(4, 3) * (1 + number % 4)
        if step == "reset":
            mean.reset()
        elif step == "reload":
            kept, mean = mean.state_dict(), module.Counts(0.5)
            mean.load_state_dict(kept)
            found.append(str(sorted(kept)))
        else:
            table = table[:, :2] if step == "other shape" else table
            table = table.float() if step == "single" else table
            table = table * (float("nan") if step == "NaN" else 1)
            try:
                found.append(mean.add(table.requires_grad_()))
            except ValueError:
                found.append("refused")
        found += [mean.decay, mean.total, mean.batches, str(mean.total.requires_grad)]
    return found
