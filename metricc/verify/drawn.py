"""What a loss may be called with, drawn in any combination, from fixed seeds.

What the right answer is, nobody says here: `edited` compares the answers of two files.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.calling import own_defaults
from metricc.verify.points import arguments, parameter_sets

OFTEN = (0.05, 0.2, 0.5)  # how often an argument is given that need not be
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "elements": [*[(33,), (7,), (6, 5), (2, 3, 4)] * 3, (1,), (0,)],
    "samples": [(8, 5), (3, 2, 4), (6, 1), (2, 9)],
    "classes": [*[(21, 3), (5, 3, 4), (2, 3, 3, 2), (4, 3), (2, 3), (12, 2), (9, 4)] * 2, (0, 3)],
}
LARGE: dict[str, list[tuple[int, ...]]] = {  # several blocks, of which the last is short
    "elements": [(150_001,), (3, 50_001)],
    "samples": [(150_001, 1), (3, 50_001)],
    "classes": [(60_001, 3), (3, 3, 40_001)],
}
WHOLE = ["float64"] * 4 + ["float32"] * 3
INPUTS = [*WHOLE, "float16", "bfloat16"]
LACKING = ["no positives", "no negatives"]
LABELS = ["hard"] * 4 + ["soft", *LACKING * 2]
FLOATS, INDICES = ["float64", "float32", "float16"], ["int64", "uint8", "int32"]  # of targets
ARGUMENTS: dict[str, list[Any]] = {  # of surrogates; from L = 80 exponentials are kept in range
    "L": [1.0, 30.0, 100.0, 500.0],
    "threshold": [0.05, 0.5, 0.9],
    "mu": [0.1, 0.5, 0.8],
    "delta": [0.1, 0.2],
    "thresholds": [(0.5,), (0.1, 0.5, 0.9)],
    "mus": [(0.5,), (0.2, 0.5, 0.8)],
}
NUMBERS = (-1.0, -1e-9, 0.0, 1.0, 1.0 + 1e-9, 2.0, 1e7, float("inf"), float("nan"))


@dataclass(frozen=True)
class Call:
    """What is asked of a file. Answers are known to the rounding of `dtype`, that of the input, and
    of `unit`, which is what they usually are like: sums that cancel are known to that alone."""

    told: str
    run: Callable[[ModuleType], Any]
    dtype: str = "float64"
    unit: float = 1e-2


@dataclass
class Batch:
    """Tensors and arguments of one call."""

    input: Any
    target: Any
    given: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join([f"{self.dtype} {tuple(self.input.shape)}", *map(str, self.given)])

    @property
    def dtype(self) -> str:
        return str(self.input.dtype).removeprefix("torch.")

    def call(self, told: str, run: Callable[[ModuleType], Any]) -> Call:
        """A call with this batch; a gradient is about as large as one over the elements."""
        return Call(told, run, self.dtype, min(1e-2, 1 / max(1, self.input.numel())))

    def after(self) -> list[Any]:
        """Copies of all tensors: a call must leave them as they are."""
        found = [self.input, self.target, *self.given.values()]
        return [x.detach().clone() for x in found if hasattr(x, "detach")]


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

    def batch(self, draw: random.Random, shape: tuple[int, ...], dtype: str, labels: str) -> Batch:
        """Input, target, and what must be given beside them."""
        import torch

        chance = torch.Generator().manual_seed(draw.randrange(2**40))
        uniform = partial(torch.rand, generator=chance, dtype=torch.float64)
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
            y = (4 * uniform(*shape)).round() / 4 if labels == "soft" else uniform(*shape) < 0.4
            y = y.double()
            if labels in LACKING:
                rows = y if self.options.task == "binary" else y[:, :1]
                rows.fill_(float(labels == "no negatives"))
        z = z.to(getattr(torch, dtype))
        kinds = FLOATS if labels == "soft" else INDICES if joint else [*FLOATS, *INDICES, "bool"]
        other = getattr(torch, draw.choice(kinds))
        usual = y.dtype if joint and labels != "soft" else z.dtype
        y = y.to(other if draw.random() < 0.4 else usual)
        given: dict[str, Any] = dict(draw.choice(self.sets))
        given |= varied(draw, self.arguments) if draw.random() < 0.5 else {}
        for name in self.columns:
            given[name] = (4 * uniform(*shape) * (uniform(*shape) < 0.8)).to(z.dtype)
        return Batch(z, y, given)

    def optional(self, draw: random.Random, batch: Batch) -> dict[str, list[Any]]:
        """Values of every argument that need not be given."""
        import torch

        chance = torch.Generator().manual_seed(draw.randrange(2**40))
        uniform = partial(torch.rand, generator=chance, dtype=torch.float64)
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
            "class_weight": [shares, torch.tensor(shares), [*shares[:-1], 0.0]],
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
        labels = draw.choice(LABELS)
        batch = self.batch(draw, shape, dtype, labels)
        often = draw.choice(OFTEN)
        for name, values in self.optional(draw, batch).items():
            telling = labels in LACKING and name in ("absent", "smooth")  # there it matters
            if draw.random() < (0.7 if telling else often):
                batch.given[name] = draw.choice(values)
        left_out = batch.given.get("ignore_index", 0)
        if left_out != left_out and batch.target.is_floating_point():  # NaN: some labels are
            batch.target.view(-1)[draw.randrange(3) :: 3] = left_out
        return batch if large else _laid_out(draw, batch)


def varied(draw: random.Random, arguments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A surrogate's arguments: some that oracles have, or steeper ones and other cuts."""
    found = dict(draw.choice(arguments))
    for name, values in ARGUMENTS.items():
        if name in found and draw.random() < 0.5:
            found[name] = draw.choice(values)
    return found


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
