"""Calls of a loss, drawn over all that it takes, in any combination.

What the right answer is, nobody says here: `edited` compares two files' answers. All is drawn from
fixed seeds.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from types import ModuleType
from typing import Any
from unittest.mock import patch

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.calling import own_defaults
from metricc.verify.points import arguments, parameter_sets
from metricc.verify.ranks import RANKS, connected

LOSSES, COUNTS, SHARED = 700, 60, 24  # calls of each sort
Call = tuple[str, Callable[[ModuleType], Any]]  # what is called, and calling it
OFTEN = (0.05, 0.2, 0.5)  # how often an argument is given that need not be
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "elements": [(33,), (7,), (6, 5), (2, 3, 4), (1,), (0,)],
    "samples": [(8, 5), (3, 2, 4), (6, 1), (2, 9)],
    "classes": [(21, 3), (5, 3, 4), (2, 3, 3, 2), (4, 3), (2, 3), (12, 2), (9, 4), (0, 3)],
}
LARGE: dict[str, list[tuple[int, ...]]] = {  # several blocks, of which the last is short
    "elements": [(150_001,), (3, 50_001)],
    "samples": [(150_001, 1), (3, 50_001)],
    "classes": [(60_001, 3), (3, 3, 40_001)],
}
INPUTS = ["float64"] * 4 + ["float32"] * 3 + ["float16", "bfloat16"]
LABELS = ["hard"] * 4 + ["soft", "no positives", "no negatives"]
TARGETS = ["float64", "float32", "float16", "int64", "uint8", "bool"]
MODES = ["gradient"] * 5 + "module func twice again batched no_grad inference vmap fake".split()
ARGUMENTS: dict[str, list[Any]] = {  # of surrogates; from L = 80 exponentials are kept in range
    "L": [1.0, 30.0, 100.0, 500.0],
    "threshold": [0.05, 0.5, 0.9],
    "mu": [0.1, 0.5, 0.8],
    "delta": [0.1, 0.2],
    "thresholds": [(0.5,), (0.1, 0.5, 0.9)],
    "mus": [(0.5,), (0.2, 0.5, 0.8)],
}
NUMBERS = (-1.0, -1e-9, 0.0, 1.0, 1.0 + 1e-9, 2.0, 1e7, float("inf"), float("nan"))
BLOCK = [None, None, 5, 16]  # what `_BLOCK` is set to: many blocks of few elements
UPSTREAM = [None] * 6 + [-2.5, 0.0, 1e36, 1e300, 1e-300, float("inf"), float("nan")]


@dataclass
class Batch:
    """Tensors and arguments of one call."""

    input: Any
    target: Any
    given: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shape, dtype = tuple(self.input.shape), str(self.input.dtype).removeprefix("torch.")
        return ", ".join([f"{dtype} {shape}", *map(str, self.given)])


class Drawn:
    """Draws for one loss; `original` is the file whose signatures say what may be given."""

    def __init__(
        self, original: ModuleType, plan: ir.Plan, options: ir.Options, surrogate: Surrogate
    ) -> None:
        self.options, self.columns = options, plan.metric.columns
        self.names = inspect.signature(getattr(original, f"{options.name}_loss")).parameters
        self.sets, self.arguments = parameter_sets(plan.metric), arguments(surrogate)
        self.tensors = ("weight", "mask", "counts", *self.columns)  # of a call, not of the class
        self.own = own_defaults(plan.metric, surrogate)
        wide = "counts" not in self.names
        self.sort = "classes" if options.task != "binary" else "samples" if wide else "elements"

    # -- what is given ------------------------------------------------------------------------

    def batch(self, draw: random.Random, shape: tuple[int, ...], dtype: str, labels: str) -> Batch:
        """Input, target, and what must be given beside them."""
        import torch

        chance = torch.Generator().manual_seed(draw.randrange(2**40))

        def uniform(*size: int) -> Any:
            return torch.rand(size, generator=chance, dtype=torch.float64)

        spread = draw.choice((0.3, 1.5, 1.5, 6.0, 300.0))
        z = spread * torch.randn(shape, generator=chance, dtype=torch.float64)
        joint = self.options.task == "multiclass"
        if self.options.from_probabilities:
            z = z.softmax(1) if joint else z.sigmoid()
        if joint and labels == "soft":
            y = uniform(*shape).softmax(1)
        elif joint:
            y = (shape[1] * uniform(shape[0], *shape[2:])).long()
            y = {"no positives": 0 * y, "no negatives": y.clamp(max=1)}.get(labels, y)
        else:
            y = uniform(*shape) if labels == "soft" else (uniform(*shape) < 0.4).double()
            if labels.startswith("no "):
                rows = y if self.options.task == "binary" else y[:, :1]
                rows.fill_(float(labels == "no negatives"))
        z = z.to(getattr(torch, dtype))
        other = draw.choice(["int64", "uint8", "int32"] if joint else TARGETS)
        if labels != "soft" and draw.random() < 0.4:
            y = y.to(getattr(torch, other))
        elif not joint or labels == "soft":
            y = y.to(z.dtype)
        given: dict[str, Any] = dict(draw.choice(self.sets))
        given |= varied(draw, self.arguments) if draw.random() < 0.5 else {}
        for name in self.columns:
            given[name] = (4 * uniform(*shape) * (uniform(*shape) < 0.8)).to(z.dtype)
        return Batch(z, y, given)

    def optional(self, draw: random.Random, batch: Batch) -> dict[str, list[Any]]:
        """Values of every argument that need not be given."""
        import torch

        chance = torch.Generator().manual_seed(draw.randrange(2**40))

        def uniform(*size: int) -> Any:
            return torch.rand(size, generator=chance, dtype=torch.float64)

        z, y, task = batch.input, batch.target, self.options.task
        n, places = len(z), (len(z), *z.shape[2:])
        index = task == "multiclass" and not y.is_floating_point()
        sizes = [tuple(y.shape) if index or task != "multiclass" else places, (n,)]
        sizes += [places] * (task == "multilabel")
        weight = [(2 * uniform(*s) * (uniform(*s) < 0.8)).to(z.dtype) for s in sizes]
        classes = z.shape[1] if z.dim() > 1 else 1
        last = classes - 1
        joint = self.sort == "classes"
        table = 9 * (uniform(4, classes) if joint else uniform(4 * (1 + len(self.columns))))
        shares = [1.0 + (k % 3) for k in range(classes)]
        found: dict[str, list[Any]] = {
            "weight": [*weight, weight[0].double()],
            "mask": [uniform(*s) < 0.7 for s in sizes],
            "counts": [table, (0.5, [table, 3 * table]), (1.0, [table]), (0.9, [])],
            "class_weight": [
                shares,
                torch.tensor(shares),
                [float(k != last) for k in range(classes)],
            ],
            "classes": [[0, last], [last], [*range(classes)]] if last else [[0]],
            "exclude_background": [True],
            "ignore_index": [0, 1, last] if task == "multiclass" else [0.0, 1.0, 0.5, float("nan")],
            "label_smoothing": [0.07, 0.4],
            "smooth": [0.3, 2.0],
            "absent": ["diagonal", "skip", "zero"],
            "reduction": ["none", "sum", "mean"],
        }
        return {name: values for name, values in found.items() if name in self.names}

    def loaded(self, draw: random.Random, dtype: str, large: bool = False) -> Batch:
        """A batch with some of what may be given."""
        shape = draw.choice((LARGE if large else SHAPES)[self.sort])
        batch = self.batch(draw, shape, dtype, draw.choice(LABELS))
        often = draw.choice(OFTEN)
        for name, values in self.optional(draw, batch).items():
            if draw.random() < often:
                batch.given[name] = draw.choice(values)
        return batch if large else _laid_out(draw, batch)

    # -- calls --------------------------------------------------------------------------------

    def losses(self) -> Iterator[Call]:
        """Losses with their gradients, in every way of asking for these."""
        draw = random.Random(101)
        for dtype, shape in product(INPUTS[3:5], LARGE[self.sort]):
            batch = self.batch(draw, shape, dtype, "hard")
            yield f"gradient of {batch}", partial(self.answer, batch, "gradient", None, None)
        for index in range(LOSSES):
            large = index % 40 == 39
            batch = self.loaded(draw, draw.choice(INPUTS), large)
            mode, upstream = draw.choice(MODES[:8] if large else MODES), draw.choice(UPSTREAM)
            block = None if large else draw.choice(BLOCK)
            told = f"{mode} of {batch}" + ("" if upstream is None else f", times {upstream}")
            told += "" if block is None else f", in blocks of {block}"
            yield told, partial(self.answer, batch, mode, upstream, block)

    def counts(self) -> Iterator[Call]:
        """The counts of batches, and losses after the surrogate's arguments were set anew."""
        draw = random.Random(102)
        for _ in range(COUNTS if "counts" in self.names else 0):
            batch = self.loaded(draw, draw.choice(INPUTS))
            batch.given.pop("counts", None)
            odd = {n: like(x, draw.choice(NUMBERS)) for n, x in self.arguments[0].items()}
            arguments = [varied(draw, self.arguments), odd]
            yield f"counts of {batch}", partial(self._counts, batch, arguments)

    def shared(self) -> Iterator[Call]:
        """Losses and gradients of two ranks, each with a part of the batch."""
        draw = random.Random(103)
        for _ in range(SHARED):
            batch = self.loaded(draw, draw.choice(INPUTS[:7]))
            cut = draw.randrange(1 + (len(batch.input) if batch.input.dim() else 0))
            traced = draw.random() < 0.1
            yield f"two ranks with {batch}", partial(self._ranks, batch, cut, traced)

    def answer(
        self, batch: Batch, mode: str, upstream: Any, block: int | None, module: ModuleType
    ) -> Any:
        """What the loss of a file answers, asked in that way."""
        with patch.object(module, "_BLOCK", block) if block else nullcontext():
            return self._answer(batch, mode, upstream, module)

    def _answer(self, batch: Batch, mode: str, upstream: Any, module: ModuleType) -> Any:
        import torch

        given = _running(module, batch.given)
        loss = partial(getattr(module, f"{self.options.name}_loss"), target=batch.target)
        if mode == "module":
            settled = {n: v for n, v in given.items() if n not in self.tensors}
            loss = getattr(module, f"{self.options.pascal}Loss")(**settled)
            loss = partial(loss, target=batch.target)
            given = {n: v for n, v in given.items() if n in self.tensors}
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
            return _unseen(getattr(module, f"{self.options.name}_loss"), batch, given)
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

    def _counts(
        self, batch: Batch, arguments: Sequence[Mapping[str, Any]], module: ModuleType
    ) -> Any:
        """Counts and loss as they are, and after the surrogate's arguments were set anew."""
        import torch

        called = {n: v for n, v in batch.given.items() if n in self.tensors}
        settled = {n: v for n, v in batch.given.items() if n not in called}
        loss = getattr(module, f"{self.options.pascal}Loss")(**settled)
        x = batch.input.detach().requires_grad_()
        found: list[Any] = [loss.counts(x, batch.target, **called)]
        for some in arguments if arguments[0] else ():
            try:
                loss.set_surrogate(**some)
            except ValueError:
                found.append("refused")
            found += [loss.counts(x, batch.target, **called), loss(x, batch.target, **called)]
        return [*found, *(str(y.requires_grad) for y in found if isinstance(y, torch.Tensor))]

    def _ranks(self, batch: Batch, cut: int, traced: bool, module: ModuleType) -> Any:
        import torch

        loss = getattr(module, f"{self.options.name}_loss")
        rows = {n for n, v in batch.given.items() if n in ("weight", "mask", *self.columns)}
        with connected() as group, ThreadPoolExecutor(RANKS) as pool:

            def part(rank: int) -> Any:
                group.here.rank = rank
                mine = slice(cut, None) if rank else slice(cut)
                own = {n: v[mine] if n in rows else v for n, v in batch.given.items()}
                own = {**_running(module, own), "process_group": group.handle}
                y = batch.target[mine]
                try:
                    if traced:
                        return torch.func.grad_and_value(lambda x: loss(x, y, **own).sum())(
                            batch.input[mine]
                        )
                    x = batch.input[mine].detach().clone().requires_grad_()
                    found = loss(x, y, **own)
                    return found, torch.autograd.grad(found.sum(), x)
                except BaseException:
                    group.barrier.abort()  # the other need not wait
                    raise

            try:
                return [*pool.map(part, range(RANKS))]
            except Exception as error:  # which rank fails first is chance
                raise RuntimeError("on a rank") from error


def varied(draw: random.Random, arguments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A surrogate's arguments: some that oracles have, or steeper ones and other cuts."""
    found = dict(draw.choice(arguments))
    for name, values in ARGUMENTS.items():
        if name in found and draw.random() < 0.5:
            found[name] = draw.choice(values)
    return found


def like(usual: Any, number: float) -> Any:
    """A number, in a tuple where an argument takes several."""
    return (number,) if isinstance(usual, tuple) else number


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


def _laid_out(draw: random.Random, batch: Batch) -> Batch:
    """The batch, at times with an input or a target that is not contiguous, or is repeated."""
    import torch

    kind = draw.choice(("plain", "plain", "plain", "swapped", "strided", "target", "expanded"))
    z, y = batch.input, batch.target
    if kind == "swapped":
        z = z.transpose(0, -1).contiguous().transpose(0, -1)
    elif kind == "strided":
        z = torch.stack([z, z], -1)[..., 0]
    elif kind == "target":
        y = torch.stack([y, y], -1)[..., 1]
    elif kind == "expanded" and len(z):
        z = z[:1].expand_as(z)
    return replace(batch, input=z, target=y)
