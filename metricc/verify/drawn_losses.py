"""Calls of a loss: value and gradient in every way of asking for them, counts, two ranks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import product
from types import ModuleType
from typing import Any

from metricc.verify.agreement import in_blocks
from metricc.verify.drawn import (
    INPUTS,
    LARGE,
    NUMBERS,
    WHOLE,
    Batch,
    Call,
    Drawn,
    varied,
)
from metricc.verify.points import like
from metricc.verify.ranks import connected

LOSSES, COUNTS, SHARED = 900, 120, 24  # calls of each sort
PLAIN = ["gradient"] * 5 + "module func twice again batched no_grad inference".split()
MODES = [*PLAIN, "vmap", "fake"]
BLOCK = [None, None, 5, 16]  # elements that are worked on at a time: many blocks of few
UPSTREAM = [None] * 6 + [-2.5, 0.0, 1e-300]
EXTREME = (1e36, 1e300, float("inf"), float("nan"))


def losses(drawn: Drawn) -> Iterator[Call]:
    """Losses with their gradients, of batches of all sizes."""
    draw = random.Random(101)
    for dtype, shape in product(("float64", "float32"), LARGE[drawn.sort]):
        batch = drawn.batch(draw, shape, dtype, "hard")
        yield batch.call(
            f"gradient of {batch}", partial(answer, drawn, batch, "gradient", None, None)
        )
    for index in range(LOSSES):
        large, extreme = index % 40 == 39, index % 12 == 5
        batch = drawn.loaded(draw, draw.choice(INPUTS), large)
        if extreme:  # a gradient that is 0 but for rounding would be anything, times 1e300
            batch = drawn.batch(draw, tuple(batch.input.shape), batch.dtype, "hard")
        mode = draw.choice(PLAIN if large else MODES)
        upstream = draw.choice(EXTREME if extreme else UPSTREAM)
        block = None if large else draw.choice(BLOCK)
        told = f"{mode} of {batch}" + ("" if upstream is None else f", times {upstream}")
        told += "" if block is None else f", in blocks of {block}"
        yield batch.call(told, partial(answer, drawn, batch, mode, upstream, block))


def answer(
    drawn: Drawn,
    batch: Batch,
    mode: str,
    upstream: float | None,
    block: int | None,
    module: ModuleType,
) -> Any:
    """What the loss of a file answers, asked in that way; and the tensors as they are then."""
    with in_blocks(module, block) if block else nullcontext():
        return _asked(drawn, batch, mode, upstream, module), batch.after()


def _asked(drawn: Drawn, batch: Batch, mode: str, upstream: Any, module: ModuleType) -> Any:
    import torch

    given = _running(module, batch.given)
    function = getattr(module, f"{drawn.options.name}_loss")
    loss = partial(function, target=batch.target)
    if mode == "module":
        settled = {n: v for n, v in given.items() if n not in drawn.tensors}
        made = getattr(module, f"{drawn.options.pascal}Loss")(**settled)
        loss = partial(made, target=batch.target)
        given = {n: v for n, v in given.items() if n in drawn.tensors}
    loss = partial(loss, **given)
    if mode == "no_grad":
        with torch.no_grad():
            return loss(batch.input)
    if mode == "inference":
        with torch.inference_mode():
            return loss(batch.input)
    if mode == "func":
        return torch.func.grad_and_value(lambda x: loss(x).sum())(batch.input)
    if mode == "fake":
        return _unseen(function, batch, given)
    if mode == "vmap":
        return torch.func.vmap(loss)(torch.stack([batch.input, batch.input.flip(0)]))
    x = batch.input.detach().requires_grad_()
    found = loss(x)
    if mode == "batched":
        factors = torch.stack([torch.ones_like(found), torch.full_like(found, -3.0)])
        return found, torch.autograd.grad(found, x, factors, is_grads_batched=True)
    top = (found if upstream is None else found * upstream).sum()
    kept, twice = mode in ("twice", "again"), mode == "twice"
    (slopes,) = torch.autograd.grad(top, x, retain_graph=kept, create_graph=twice)
    if mode == "again":
        return found, slopes, torch.autograd.grad(top, x)
    if mode == "twice":
        factors = torch.linspace(-1, 2, slopes.numel(), dtype=slopes.dtype)
        top = (slopes * factors.view_as(slopes)).sum()
        return found, slopes, torch.autograd.grad(top, x)
    return found, slopes


def counts(drawn: Drawn) -> Iterator[Call]:
    """The counts of batches, and losses after the surrogate's arguments were set anew."""
    draw = random.Random(102)
    for _ in range(COUNTS if "counts" in drawn.names else 0):
        batch = drawn.loaded(draw, draw.choice(INPUTS))
        batch.given.pop("counts", None)
        odd = {n: like(x, draw.choice(NUMBERS)) for n, x in drawn.arguments[0].items()}
        settings = [varied(draw, drawn.arguments), odd]
        yield batch.call(f"counts of {batch}", partial(_counts, drawn, batch, settings))


def _counts(
    drawn: Drawn, batch: Batch, settings: Sequence[Mapping[str, Any]], module: ModuleType
) -> Any:
    """Counts and loss as they are, and after each setting of the surrogate's arguments."""
    import torch

    called = {n: v for n, v in batch.given.items() if n in drawn.tensors}
    settled = {n: v for n, v in batch.given.items() if n not in called}
    loss = getattr(module, f"{drawn.options.pascal}Loss")(**settled)
    x = batch.input.detach().requires_grad_()
    found: list[Any] = [loss.counts(x, batch.target, **called)]
    for arguments in settings if settings[0] else ():
        try:
            loss.set_surrogate(**arguments)
        except ValueError:
            found.append("refused")
        found += [loss.counts(x, batch.target, **called), loss(x, batch.target, **called)]
    constant = [str(y.requires_grad) for y in found if isinstance(y, torch.Tensor)]
    return [*found, *constant, *batch.after()]


def shared(drawn: Drawn) -> Iterator[Call]:
    """Losses and gradients of two ranks, each with a part of the batch."""
    draw = random.Random(103)
    for _ in range(SHARED):
        batch = drawn.loaded(draw, draw.choice(WHOLE))
        cut = draw.randrange(1 + (len(batch.input) if batch.input.dim() else 0))
        traced = draw.random() < 0.1
        told = f"two ranks with {batch}"
        yield batch.call(told, partial(_ranks, drawn, batch, cut, traced))


def _ranks(drawn: Drawn, batch: Batch, cut: int, traced: bool, module: ModuleType) -> Any:
    import torch

    loss = getattr(module, f"{drawn.options.name}_loss")
    rows = {"weight", "mask", *drawn.columns}
    with connected() as group:

        def part(rank: int) -> Any:
            mine = slice(cut, None) if rank else slice(cut)
            own = {n: v[mine] if n in rows else v for n, v in batch.given.items()}
            own = {**_running(module, own), "process_group": group.handle}
            z, y = batch.input[mine].detach(), batch.target[mine]
            if traced:
                return torch.func.grad_and_value(lambda x: loss(x, y, **own).sum())(z)
            x = z.clone().requires_grad_()
            found = loss(x, y, **own)
            return found, torch.autograd.grad(found.sum(), x)

        return group.run(part)


def _unseen(loss: Callable[..., Any], batch: Batch, given: Mapping[str, Any]) -> Any:
    """dtypes and shapes on fake tensors, as compilers run a loss: nothing can be looked at."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    input = batch.input.detach()
    with FakeTensorMode() as fake:

        def unreal(x: Any) -> Any:
            return fake.from_tensor(x) if isinstance(x, torch.Tensor) else x

        z = unreal(input).requires_grad_()
        found = loss(z, unreal(batch.target), **{n: unreal(x) for n, x in given.items()})
        (slopes,) = torch.autograd.grad(found.sum(), z)
    return [f"{x.dtype} {tuple(x.shape)}" for x in (found, slopes)]


def _running(module: ModuleType, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments; counts that are (decay, tables) as a running mean of the module's."""
    counts = given.get("counts")
    if not isinstance(counts, tuple):
        return dict(given)
    mean = module.Counts(counts[0])
    for table in counts[1]:
        mean.add(table)
    return {**given, "counts": mean}
