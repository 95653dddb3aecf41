"""How exact losses and gradients are in bfloat16 and float16, next to torch's cross-entropies.

    python docs/benchmarks/half.py            # a minute or so; --full has a line for every metric

Logits are drawn in the half type. The truth of a loss is the same loss in float64 on the same
logits: metricc's own, which for f1 is compared with a plain formula under autograd first, and
torch's own for `binary_cross_entropy_with_logits` (binary, multilabel) and `cross_entropy`
(multiclass). An error is relative to the truth: of the loss; of the gradient, its largest and its
root mean square against the largest element; and the largest relative error of single elements
whose truth is at least the type's smallest normal number. Over several draws the largest is kept,
or the root mean square. Tables show metricc's error over torch's: the largest of the sizes and
metrics, or with --full each. The last column compares with something else: with the error of the
true gradient rounded to the type, below which no gradient of that type can be. A loss scale is what
the gradient is multiplied by on its way back, as training in float16 does.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import click
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional

import metricc

Loss = Callable[[Tensor, Tensor], Tensor]
METRICS = {
    "binary": "f1 mcc balanced_accuracy gmean jaccard -log(f1)".split(),
    "multilabel": "f1 mcc balanced_accuracy gmean weighted(f1) micro(f1)".split(),
    "multiclass": "f1 mcc balanced_accuracy gmean weighted(f1) multiclass_mcc".split(),
}
COMPOSITES = {
    task: f"0.5*{'ce' if task == 'multiclass' else 'bce'} + 0.5*(1 - f1)" for task in METRICS
}
SIZES = {"64": 20, "4,096": 10, "8 x 5 x 64 x 64": 3}  # with the number of draws
SETTINGS = ((torch.bfloat16, 1.0), (torch.float16, 1.0), (torch.float16, 2.0**15))
MEASURES = ("loss", "gradient, largest", "gradient, RMS", "single elements", "RMS over rounding")
CLASSES = 5
LIMIT = 2.0  # the target: no ratio above it


@dataclass(frozen=True)
class Place:
    """One line of the full table, its metric aside."""

    task: str
    size: str
    dtype: torch.dtype
    scale: float

    @property
    def words(self) -> list[str]:
        kind = str(self.dtype).removeprefix("torch.")
        return [self.task, kind, f"{self.scale:g}", self.size]


def shape(task: str, size: str) -> tuple[int, ...]:
    if "x" in size:
        return tuple(int(n) for n in size.split(" x "))
    rows = int(size.replace(",", ""))
    return (rows,) if task == "binary" else (rows, CLASSES)


def draw(place: Place, seed: int) -> tuple[Tensor, Tensor]:
    """Logits in the half type, and labels that they are somewhat right about."""
    generator = torch.Generator().manual_seed(seed)
    size = shape(place.task, place.size)
    z = 2 * torch.randn(size, generator=generator, dtype=torch.float64)
    if place.task == "multiclass":
        noise = torch.rand(size, generator=generator, dtype=torch.float64)
        return z.to(place.dtype), (z - (-noise.log()).log()).argmax(1)
    y = torch.rand(size, generator=generator, dtype=torch.float64) < torch.sigmoid(z - 1.5)
    return z.to(place.dtype), y.to(place.dtype)


def entropy(task: str) -> Loss:
    """What torch has."""
    if task == "multiclass":
        return functional.cross_entropy
    return functional.binary_cross_entropy_with_logits


def plain_f1(task: str) -> Loss:
    """1 - f1 as one would write it, by the surrogate that is metricc's default."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        if task == "multiclass":
            a = torch.softmax(z, 1)
            y = functional.one_hot(y, z.shape[1]).movedim(-1, 1).to(z)
        else:
            a = torch.sigmoid(10 * (torch.sigmoid(z) - 0.5))
        over = list(range(z.dim())) if task == "binary" else [0, *range(2, z.dim())]
        tp, fn, fp = ((x * w).sum(over) for x, w in ((y, a), (y, 1 - a), (1 - y, a)))
        return 1 - (2 * tp / (2 * tp + fn + fp)).mean()

    return loss


def run(loss: Loss, z: Tensor, y: Tensor, scale: float) -> tuple[float, Tensor]:
    """The loss, and the gradient under a loss scale."""
    z = z.detach().clone().requires_grad_()
    value = loss(z, y.to(z.dtype) if y.is_floating_point() else y)
    value.backward(torch.tensor(scale, dtype=value.dtype))
    assert z.grad is not None
    return value.item(), z.grad.double()


def errors(loss: Loss, place: Place) -> list[float]:
    """The four measures, then the third one of the true gradient rounded to the type."""
    found: list[list[float]] = [[] for _ in range(5)]
    for seed in range(SIZES[place.size]):
        z, y = draw(place, seed)
        value, gradient = run(loss, z, y, place.scale)
        truth, right = run(loss, z.double(), y, place.scale)
        off, largest = (gradient - right).abs(), right.abs().max()
        rounded = (right.to(place.dtype).double() - right) / largest
        found[0].append(abs(value - truth) / abs(truth))
        found[1].append((off.max() / largest).item())
        found[2].append((off / largest).square().mean().sqrt().item())
        normal = right.abs() >= torch.finfo(place.dtype).tiny
        found[3] += [(off[normal] / right[normal].abs()).max().item()] if normal.any() else []
        found[4].append(rounded.square().mean().sqrt().item())
    rms = [math.sqrt(statistics.fmean(x * x for x in found[i])) for i in (0, 2, 4)]
    return [rms[0], max(found[1]), rms[1], max(found[3], default=math.nan), rms[2]]


def check(task: str) -> float:
    """The largest relative difference of metricc's f1 in float64 from the plain formula."""
    worst = 0.0
    for size, (dtype, _) in product(SIZES, SETTINGS):
        z, y = draw(Place(task, size, dtype, 1), 0)
        value, gradient = run(metricc.loss("f1", task=task), z.double(), y, 1)
        truth, right = run(plain_f1(task), z.double(), y, 1)
        off = ((gradient - right).abs().max() / right.abs().max()).item()
        worst = max(worst, abs(value - truth) / truth, off)
    return worst


def markdown(rows: list[list[str]], words: int) -> str:
    """A table in Markdown; the first columns are words, the others numbers."""
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        [
            x.ljust(w) if i < words else x.rjust(w)
            for i, (x, w) in enumerate(zip(row, width, strict=True))
        ]
        for row in rows
    ]
    rule = ["-" * w if i < words else "-" * (w - 1) + ":" for i, w in enumerate(width)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


@click.command()
@click.option("--full", is_flag=True, help="Also print every metric, with its errors.")
def main(full: bool) -> None:
    """Errors in bfloat16 and float16 over those of torch's cross-entropies."""
    torch.set_num_threads(1)
    losses = {
        task: {f: metricc.loss(f, task=task) for f in [*METRICS[task], COMPOSITES[task]]}
        for task in METRICS
    }
    full_table = [["task", "type", "loss scale", "size", "loss function", *MEASURES]]
    ratios: dict[tuple[str, ...], list[list[float]]] = {}
    places = [
        Place(task, size, dtype, scale)
        for task, (dtype, scale), size in product(METRICS, SETTINGS, SIZES)
    ]
    for place in track(places, "halves", console=Console(stderr=True)):
        theirs = errors(entropy(place.task), place)
        full_table.append(
            [
                *place.words,
                "torch's",
                *("-" if math.isnan(x) else f"{x:.1e}" for x in theirs[:4]),
                "",
            ]
        )
        for formula, loss in losses[place.task].items():
            ours = errors(loss, place)
            over = [a / b for a, b in zip(ours[:4], theirs, strict=False)] + [ours[2] / ours[4]]
            ratios.setdefault(tuple(place.words[:3]), []).append(over)
            cells = [
                "-" if math.isnan(r) else f"{a:.1e} ({r:.2g})"
                for a, r in zip(ours, over[:4], strict=False)
            ]
            full_table.append([*place.words, formula, *cells, f"{over[4]:.3f}"])
    if full:
        click.echo(markdown(full_table, 5) + "\n")
    rows = [["task", "type", "loss scale", *MEASURES]]
    for words, found in ratios.items():
        columns = [[x for x in column if not math.isnan(x)] for column in zip(*found, strict=True)]
        rows.append([*words, *(f"{max(c):.2g}" for c in columns[:4]), f"{max(columns[4]):.3f}"])
    click.echo(markdown(rows, 3))
    every = [x for found in ratios.values() for over in found for x in over[:4] if x == x]
    click.echo(f"\n{sum(x > LIMIT for x in every)} of {len(every)} ratios are above {LIMIT:g}.")
    for task in METRICS:
        click.echo(f"f1 in float64, {task}: within {check(task):.1e} of the plain formula.")


if __name__ == "__main__":
    main()
