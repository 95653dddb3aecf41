"""One loss against itself: in blocks, with repeated samples, one class or sample at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

from metricc import ir
from metricc.verify.batches import Tensors
from metricc.verify.case import Case, gradient, tensors
from metricc.verify.points import CLASSES, batch, worse

EXACT_ALLOWED = 1e-12


def some(case: Case, size: int, spread: float, seed: int, weighted: bool) -> Tensors:
    """About `size` elements in the layout (N, C, M) that suits the loss."""
    task, given = case.setting.task, case.setting.from_probabilities
    return batch(task, layout(case, size), spread, seed, given, weighted)


def layout(case: Case, size: int) -> tuple[int, int, int]:
    c = 1 if case.setting.task == "binary" else CLASSES
    if not case.wide:
        return max(2, size // c), c, 1
    m = 5
    return max(2, size // (c * m)), c, m


def difference(got: Any, wanted: Any) -> float:
    """The largest difference, relative to the largest element wanted."""
    largest = wanted.abs().max().item() or 1.0
    return float((got - wanted).abs().max().item() / largest)


def apart(got: Any, wanted: Any) -> float:
    """How far the losses are apart, relative to those above 1: costs may be."""
    return float(((got - wanted).abs() / wanted.abs().clamp(min=1)).max().item())


def small(name: str, error: float) -> ir.Check:
    return ir.Check(name, f"{error:.1e}", f"{EXACT_ALLOWED:.0e}", error <= EXACT_ALLOWED)


def in_blocks(module: ModuleType, size: int) -> AbstractContextManager[Any]:
    """The file as it works on so many elements at a time; one without blocks does as ever."""
    return patch.object(module, "_BLOCK", size, create=True)


def blocks(one: Case, module: ModuleType) -> ir.Check:
    """A batch that is cut into blocks against the same batch in one piece."""
    task, given = one.setting.task, one.setting.from_probabilities
    shapes = [(110, 1, 1)] if task == "binary" else [(20, CLASSES, 1), (3, CLASSES, 17)]
    shapes = [(5, shapes[0][1], 17)] if one.wide else shapes
    error = 0.0
    for shape in shapes:
        data = batch(task, shape, 1.5, 13, given, True)
        loss, found = gradient(one, data)
        for size in (3, 8, 40):  # of which the last block is short, and not by one alone
            with in_blocks(module, size):
                pieces, parts = gradient(one, data)
            error = worse(error, worse(difference(parts, found), apart(pieces, loss)))
    return small("many blocks = one block", error)


def _rows(data: Tensors, indices: list[int]) -> Tensors:
    """Some samples of a batch without weights."""
    columns = [[column[i] for i in indices] for column in data.columns]
    input, target = ([numbers[i] for i in indices] for numbers in (data.input, data.target))
    return Tensors(input, target, columns=columns)


def repeated(one: Case) -> ir.Check:
    data = one.full(some(one, 30, 1.5, 11, False))
    twice = [float(1 + i % 2) for i in range(len(data.input))]
    weighted = replace(data, sample_weight=twice)
    repeated = _rows(data, [i for i, count in enumerate(twice) for _ in range(int(count))])
    error = apart(gradient(one, weighted)[0], gradient(one, repeated)[0])
    return small("weight 2 = sample twice", error)


def classes(one: Case, plan: ir.Plan) -> ir.Check:
    """Classes that are left out against shares of 0; where it is a mean, one class at a time."""
    import torch

    data = some(one, 30, 1.5, 15, False)
    input, target, _ = tensors(data, one.setting.task)

    def found(**options: Any) -> Any:
        loss = one(input, target, **options)
        return torch.cat(
            [loss.reshape(1), *(g.flatten() for g in torch.autograd.grad(loss, input))]
        )

    pairs = [
        (found(classes=[0, 2]), found(class_weight=[1, 0, 1])),
        (found(exclude_background=True), found(class_weight=[0, 1, 1])),
    ]
    name = "classes left out = shares of 0"
    (first, *others) = plan.metric.terms
    if plan.outer is None and not others and first.reduction in ("macro", "per_class"):
        each = torch.stack([found(classes=[k]) for k in range(CLASSES)])
        pairs.append((found(), each.mean(0)))
        name = "all classes = one at a time"
    error = 0.0
    for got, wanted in pairs:
        error = worse(error, difference(got, wanted))
    return small(name, error)


def samples(one: Case) -> ir.Check:
    """A mean over samples against one sample at a time."""
    import torch

    data = some(one, 30, 1.5, 17, False)
    loss, slopes = gradient(one, data)
    parts = [gradient(one, _rows(data, [i])) for i in range(len(data.input))]
    error = abs(loss.item() - sum(part.item() for part, _ in parts) / len(parts))
    joined = torch.cat([slope for _, slope in parts]) / len(parts)
    return small("all samples = one at a time", worse(error, difference(slopes, joined)))
