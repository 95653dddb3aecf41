"""Calls of a loss with one wrong argument, drawn like those of `drawn`.

Which of them are refused, and by what exception, nobody says here: two files are compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from metricc.verify.drawn import NUMBERS, WHOLE, Call, Drawn
from metricc.verify.drawn_losses import answer
from metricc.verify.points import like

WRONG = 250
OPTIONS: dict[str, tuple[Any, ...]] = {
    "absent": ("keep", "", None),
    "smooth": NUMBERS,
    "label_smoothing": NUMBERS,
    "reduction": ("max", None),
    "class_weight": ([1.0], [1.0, -1.0, 1.0], [0.0] * 3, [1.0, float("nan"), 1.0], 2.0, "three"),
    "classes": ([3], [-1], [], [0, 7], [0, 0], 1),
    "ignore_index": (-1, 5, float("nan"), float("inf")),
    "process_group": ("world", "worlds", 7),
}


def spoiled(drawn: Drawn) -> Iterator[Call]:
    """A batch that is taken, then one thing of it that is odd; by the function and the class."""
    draw = random.Random(106)
    for _ in range(WRONG):
        batch = drawn.loaded(draw, draw.choice(WHOLE))
        call = batch.call  # of the batch as it should be
        told = str(batch)
        tensors = ["input", "target", *(n for n in drawn.tensors if n in drawn.names)]
        numbers = [n for n in drawn.own if n in drawn.names]
        name = draw.choice([*tensors, *tensors, *OPTIONS, *numbers])
        if name in ("input", "target"):
            batch = replace(batch, **{name: _odd(draw, getattr(batch, name))})
        elif name in tensors:
            usual = batch.given.get(name, drawn.optional(draw, batch).get(name, [None])[0])
            batch.given[name] = _odd(draw, usual)
        elif name in drawn.names:
            value = draw.choice(OPTIONS.get(name, NUMBERS))
            batch.given[name] = like(drawn.own.get(name), value)
        else:
            continue
        for mode in ("gradient", "module"):
            run = partial(answer, drawn, batch, mode, None, None)
            yield call(f"{mode} of an odd {name}, {told}", run)


def _odd(draw: random.Random, usual: Any) -> Any:
    """A tensor that is not as it should be, or no tensor."""
    import torch

    if not isinstance(usual, torch.Tensor) or draw.random() < 0.15:
        return draw.choice((None, 2.0, "text", [0.5, 1.0]))
    x: Any = usual.clone()
    kinds: dict[str, Callable[[], Any]] = {
        "short": lambda: x[:-1] if x.dim() else x,
        "deep": lambda: x[None],
        "wide": lambda: x.unsqueeze(-1),
        "flat": lambda: x.reshape(-1),
        "complex": lambda: x.to(torch.complex128),
        "whole": lambda: x.long(),
        "double": lambda: x.double(),
        "logical": lambda: x.bool(),
        "list": lambda: x.tolist(),
        "NaN": lambda: x * float("nan"),
        "infinite": lambda: x * float("inf"),
        "negative": lambda: -1 - x.double(),
        "large": lambda: x + 7,
        "elsewhere": lambda: x.to("meta"),
        "learned": lambda: x.double().requires_grad_(),
    }
    return kinds[draw.choice([*kinds])]()
