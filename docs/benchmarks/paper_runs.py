"""Units of the experiment: sets of like sizes that are trained together, and the rows of results.

For every fold the rates are compared on a quarter of the training part, by the target metric, with
models trained on the other three quarters; then the models that are judged are trained on all of
it. Scaling is fitted to the rows that a model is trained on. Nothing passes from one fold to
another. The SLP takes 1,000 steps, the MLP 2,000 with batches of 3.4 to 5 % of the training rows:
68 to 100 epochs (the paper: 100 epochs at 5 %).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import paper_sets
import torch
from numpy.typing import NDArray
from paper_losses import LOSSES, SKIP, Column, Loss, columns
from paper_scores import TARGETS, Cuts, counted, metric
from paper_training import Mlp, Model, Rows, Slp, Watch
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor

MODELS = ("SLP", "MLP")
# Gradient descent's rates and Adam's. Of equally good ones that is taken whose scores can be cut
# best, then the first.
RATES = {"SLP": (0.3, 3.0, 0.03, 30.0, 0.003), "MLP": (0.01, 0.03, 0.1, 0.001)}
# The paper's: of MSE, of cross-entropies, of metric losses.
PAPER = {"SLP": (0.01, 0.1, 0.005), "MLP": (0.005, 0.003, 0.001)}
PAPER_F1 = {"SLP": 0.01, "MLP": 0.001}
TUNED = "BCE, tuned"  # BCE whose rate is chosen, and which is judged, at the cut tuned in training
INNER = 0.25  # the share of the training part that rates are compared on
GRID = 1.4  # batch sizes are 9, 9 * 1.4, ...: sets of like sizes share one, and one training
# Rows of the sets of a unit, unless it is a single set. All rows of the SLP's are in every step:
# more of them would leave the processor's cache.
TOGETHER = {"SLP": 4500, "MLP": 8000}
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Settings:
    """What all units of a part have in common: folds, steps, the MLP's batch as a share of n."""

    folds: int = 10
    steps: tuple[tuple[str, int], ...] = (("SLP", 1000), ("MLP", 2000))
    batch: float = 0.05
    seed: int = 0
    targets: tuple[str, ...] = TARGETS

    def of(self, model: str) -> int:
        return dict(self.steps)[model]


@dataclass(frozen=True)
class Unit:
    """Sets that are trained together in a part of the experiment."""

    part: str
    model: str
    sets: tuple[str, ...]
    settings: Settings


def paper_rate(model: str, loss: Loss, target: str | None) -> float:
    """The rate in the paper's code. Losses that it lacks take that of their kin."""
    of_mse, of_entropy, of_metric = PAPER[model]
    if loss.aims:
        return PAPER_F1[model] if target == "f1" else of_metric
    return of_mse if loss.kind in ("linear", "brier") else of_entropy


def batch_size(rows: int, settings: Settings) -> int:
    """The share of a fold's training rows, rounded down to 9 * GRID^k; below 9 exactly."""
    exact = exact_batch(rows, settings)
    size = 9.0
    while size * GRID <= exact:
        size *= GRID
    return min(exact, int(size))


def exact_batch(rows: int, settings: Settings) -> int:
    return max(2, int((1 - 1 / settings.folds) * rows * settings.batch + 1e-9))


def units(
    part: str, models: Sequence[str], sets: Sequence[paper_sets.Set], settings: Settings
) -> list[Unit]:
    """The sets in units of at most TOGETHER rows: of like numbers of rows and of features.

    Smaller sets are filled up with rows and columns that do nothing. The MLP's units have one batch
    size. Those with most rows come first, so that none of them is left for the end.
    """

    def size(one: paper_sets.Set) -> int:
        return one.rows if model == "SLP" else batch_size(one.rows, settings)

    def alike(one: paper_sets.Set, first: paper_sets.Set) -> bool:
        few, many = sorted((one.features, first.features))
        same = one.rows <= 1.5 * first.rows if model == "SLP" else size(one) == size(first)
        return same and many <= 3 * few + 16

    found = []
    for model in models:
        left = sorted(sets, key=lambda one: (size(one), one.features, one.name))
        while left:
            bundle = left[:1]
            for one in left[1:]:
                rows = sum(s.rows for s in bundle)
                if rows + one.rows <= TOGETHER[model] and alike(one, bundle[0]):
                    bundle.append(one)
            left = [one for one in left if one not in bundle]
            unit = Unit(part, model, tuple(s.name for s in bundle), settings)
            found.append((sum(s.rows for s in bundle), unit))
    return [unit for _, unit in sorted(found, key=lambda pair: -pair[0])]


def losses(model: str) -> list[Loss]:
    """The full batch of the SLP lacks no class: "skip" would change nothing there."""
    return [loss for loss in LOSSES.values() if model == "MLP" or not loss.name.endswith(SKIP)]


class Split:
    """A set; of every fold, its training and held-out rows, and the two parts of the former."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.x, self.y = paper_sets.load(name)
        seed = settings.seed
        folds = StratifiedKFold(settings.folds, shuffle=True, random_state=seed)
        self.outer: list[tuple[Places, Places]] = list(folds.split(self.x, self.y))
        self.inner: list[tuple[Places, Places]] = [
            tuple(train_test_split(t, test_size=INNER, stratify=self.y[t], random_state=seed))
            for t, _ in self.outer
        ]


@dataclass
class Stage:
    """The groups of a training: every fold of every set, and all rows of the sets, scaled alike."""

    rows: Rows
    every: Tensor  # (G, n, d)

    @classmethod
    def of(
        cls, splits: Sequence[Split], part: str, seed: int, dtype: torch.dtype = torch.float32
    ) -> Stage:
        groups = [
            (s, fold, rows) for s in splits for fold, (rows, _) in enumerate(getattr(s, part))
        ]
        most = max(len(rows) for *_, rows in groups)
        wide = max(s.x.shape[1] for s in splits)
        x = torch.zeros(len(groups), most, wide, dtype=dtype)
        y = torch.zeros(len(groups), most, dtype=dtype)
        every = torch.zeros(len(groups), max(len(s.y) for s in splits), wide, dtype=dtype)
        for g, (s, _, rows) in enumerate(groups):
            scaled = torch.tensor(StandardScaler().fit(s.x[rows]).transform(s.x)).to(dtype)
            every[g, : len(s.y), : scaled.shape[1]] = scaled
            x[g, : len(rows), : scaled.shape[1]] = scaled[rows]
            y[g, : len(rows)] = torch.tensor(s.y[rows]).to(dtype)
        sizes = [len(rows) for *_, rows in groups]
        features = [s.x.shape[1] for s, *_ in groups]
        seeds = [zlib.crc32(f"{s.name} {fold} {seed}".encode()) for s, fold, _ in groups]
        return cls(Rows(x, y, sizes, features, seeds), every)


def train(
    unit: Unit, stage: Stage, cols: list[Column], rates: Tensor, watch: Watch | None = None
) -> NDArray[np.float32]:
    """The logits (K, G, n) of all rows after training at the rates (G, K); 0 if it diverged."""
    z = trained(unit, stage, cols, rates, watch).numpy()
    z[~np.isfinite(z).all(-1)] = 0
    return z


def trained(
    unit: Unit, stage: Stage, cols: list[Column], rates: Tensor, watch: Watch | None
) -> Tensor:
    steps, settings = unit.settings.of(unit.model), unit.settings
    if unit.model == "SLP":
        slp = Slp(stage.rows, len(cols))
        slp.train(stage.rows, cols, rates, steps, watch)
        return slp.scores(stage.every)
    smallest = min(len(paper_sets.load(name)[1]) for name in unit.sets)
    size = exact_batch if unit.part == "batch" else batch_size
    batch = min(size(smallest, settings), *stage.rows.sizes)
    mlp = Mlp(stage.rows, len(cols))
    mlp.train(stage.rows, cols, rates, steps, batch, watch)
    return mlp.scores(stage.every)


Choice = dict[tuple[str, str], int]  # (loss, target) -> the index of the chosen rate


def choices(
    split: Split,
    fold: int,
    z: NDArray[np.float32],
    cols: list[Column],
    targets: Sequence[str],
    rates: int,
) -> Choice:
    """Of the logits z (K, n) after training on the inner part: the best rate of each loss."""
    (inside, held), y = split.inner[fold], split.y
    place = {(c.loss.name, c.target, c.slot): k for k, c in enumerate(cols)}
    found: Choice = {}
    for name, aims in dict.fromkeys((c.loss.name, c.loss.aims) for c in cols):
        for group in [(target,) for target in targets] if aims else [targets]:
            ks = [place[name, group[0] if aims else None, r] for r in range(rates)]
            scores = z[ks][:, held]
            counts, ranked = counted(scores, y[held]), Cuts(scores, y[held])
            for target in group:
                found[name, target] = first_of(metric(target, counts), ranked, target)
    if ("BCE", None, 0) in place:
        ks = [place["BCE", None, r] for r in range(rates)]
        scores = z[ks][:, held]
        cuts, ranked = Cuts(z[ks][:, inside], y[inside]), Cuts(scores, y[held])
        for target in targets:
            values = metric(target, counted(scores, y[held], cuts.best(target)))
            found[TUNED, target] = first_of(values, ranked, target)
    return found


def first_of(values: NDArray[np.float64], scores: Cuts, target: str) -> int:
    """The best of some rates by their values (rates,), then by the best cut of their scores."""
    within = scores.values(target).max(-1)
    return int(np.lexsort((-within, -values))[0])


def search(
    unit: Unit, splits: Sequence[Split], of: Sequence[Loss], rates: Sequence[float]
) -> list[Choice]:
    """The choices of every fold of every set, from trainings on the inner parts at all rates."""
    stage = Stage.of(splits, "inner", unit.settings.seed)
    cols = columns(of, unit.settings.targets, len(rates), len(rates))
    speeds = torch.tensor([rates[c.slot] for c in cols]).expand(len(stage.rows.sizes), -1)
    z = train(unit, stage, cols, speeds)
    folds, found = unit.settings.folds, []
    for s, split in enumerate(splits):
        for fold in range(folds):
            mine = z[:, s * folds + fold, : len(split.y)]
            found.append(choices(split, fold, mine, cols, unit.settings.targets, len(rates)))
    return found


def final_rates(
    model: str, cols: list[Column], found: Sequence[Choice], rates: Sequence[float]
) -> Tensor:
    """(G, K): plain losses at every rate and the paper's, others at the chosen and the paper's."""

    def rate(c: Column, choice: Choice) -> float:
        of_slot = rates if not c.loss.aims else (rates[choice[c.loss.name, c.target or ""]],)
        return (*of_slot, paper_rate(model, c.loss, c.target))[c.slot]

    return torch.tensor([[rate(c, choice) for c in cols] for choice in found])


def judged(
    split: Split,
    fold: int,
    z: NDArray[np.float32],
    cols: list[Column],
    choice: Choice,
    rates: Sequence[float],
) -> list[dict[str, Any]]:
    """A fold's rows of results, one for each loss and target, from the logits z (K, n) at the end.

    `half` and `tuned` are TP, FN, FP, TN of the held-out fold at 1/2 and at the cut that is best
    for the target on the training part; `fixed` those at 1/2 with the paper's rate; `column` is the
    run's column.
    """
    (seen, test), y = split.outer[fold], split.y
    place = {(c.loss.name, c.target, c.slot): k for k, c in enumerate(cols)}
    kinds = {c.loss.name: c.loss for c in cols}
    lines = []
    for (name, target), rate in choice.items():
        if name in kinds and kinds[name].aims:
            lines.append((name, target, rate, place[name, target, 0], place[name, target, 1]))
        else:
            base = "BCE" if name == TUNED else name
            paper = place[base, None, len(rates)]
            lines.append((name, target, rate, place[base, None, rate], paper))
    ks = [k for *_, k, _ in lines]
    cuts = Cuts(z[ks][:, seen], y[seen])
    best = {target: cuts.best(target) for target in dict.fromkeys(t for _, t, *_ in lines)}
    tests = counted(z[:, test], y[test])
    return [
        {
            "fold": fold,
            "column": k,
            "loss": name,
            "target": target,
            "rate": rates[rate],
            "half": tests[k].tolist(),
            "cut": round(float(best[target][row]), 5),
            "tuned": counted(z[k, test], y[test], best[target][row]).tolist(),
            "fixed": tests[paper].tolist(),
        }
        for row, (name, target, rate, k, paper) in enumerate(lines)
    ]


class Observer(Protocol):
    """Looks at the final training of a unit, step by step, and adds to the rows of results."""

    def begin(
        self, cols: list[Column], stage: Stage, splits: Sequence[Split], steps: int
    ) -> None: ...

    def __call__(self, step: int, z: Tensor, model: Model) -> None: ...

    def note(self, column: int, group: int) -> dict[str, Any]: ...


def table(
    unit: Unit, of: Sequence[Loss] | None = None, observer: Observer | None = None
) -> list[dict[str, Any]]:
    """The rows of a unit: all folds of its sets, for the losses `of` (None: all)."""
    splits = [Split(name, unit.settings) for name in unit.sets]
    rates = RATES[unit.model]
    of = losses(unit.model) if of is None else of
    found = search(unit, splits, of, rates)
    stage = Stage.of(splits, "outer", unit.settings.seed)
    cols = columns(of, unit.settings.targets, len(rates) + 1, 2)
    if observer is not None:
        observer.begin(cols, stage, splits, unit.settings.of(unit.model))
    z = train(unit, stage, cols, final_rates(unit.model, cols, found, rates), observer)
    rows = []
    for g, choice in enumerate(found):
        split, fold = splits[g // unit.settings.folds], g % unit.settings.folds
        mine = z[:, g, : len(split.y)]
        for line in judged(split, fold, mine, cols, choice, rates):
            column = line.pop("column")
            noted = observer.note(column, g) if observer is not None else {}
            rows.append(
                {"part": unit.part, "set": split.name, "model": unit.model, **line, **noted}
            )
    return rows
