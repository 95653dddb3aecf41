"""`metricc tune`: the best threshold for a metric, from a file of labels and scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metricc.cli.options import formatting
from metricc.cli.printing import diagnose, print_json, print_table

if TYPE_CHECKING:
    from metricc.crossfit import CrossFit
    from metricc.threshold import Cells, Held, Threshold
    from metricc.tuning import Sweep

ADVICE = """\
It holds for new scores of the same model on rows like these. Scores of rows that the model was
trained on are too good to tune on: use held-out or out-of-fold scores."""
BARELY = """\
A constraint that is only just met here is often missed on new data; --cross-fit 5 says what to
expect."""


@click.command()
@click.argument("file")
@click.option("--target", required=True, metavar="COLUMN", help="The labels, 0 and 1.")
@click.option("--score", required=True, metavar="COLUMN", help="The scores, of any scale.")
@click.option("--metric", required=True, metavar="FORMULA", help="What is to be best.")
@click.option("--constraint", "asked", multiple=True, metavar="C", help="What must hold.")
@click.option("--weight", metavar="COLUMN", help="The weight of each row.")
@click.option("--pos-label", metavar="L", help="The positive label, of two kinds. Default: 1.")
@click.option("--cross-fit", "folds", type=int, metavar="K", help="Judge it on K held-out folds.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the curves.")
@click.option("--maximize", is_flag=True, help="More is better.")
@click.option("--minimize", is_flag=True, help="Less is better.")
@formatting("text", "json")
def tune(
    file: str,
    target: str,
    score: str,
    metric: str,
    asked: tuple[str, ...],
    weight: str | None,
    pos_label: str | None,
    folds: int | None,
    plot: Path | None,
    maximize: bool,
    minimize: bool,
    form: str,
) -> None:
    """Find the threshold at which FORMULA is best on the scores in FILE.

    FILE is CSV or parquet (- for CSV on standard input). All cuts of the scores are tried. Columns
    that the formula names (FN[amount]) are columns of FILE. Needs pandas, and pyarrow and
    matplotlib for parquet and pictures.

    \b
        metricc tune scores.csv --target y --score s --metric "fbeta(2)"
        metricc tune scores.csv --target y --score s --metric recall \\
            --constraint "precision >= 0.9" --cross-fit 5 --plot curves.png
    """
    from metricc import compiler, tuning
    from metricc.chart import draw
    from metricc.cli.table import table
    from metricc.constraint import comparisons
    from metricc.crossfit import cross_fit
    from metricc.figures import check_path
    from metricc.labels import Given
    from metricc.scoring import Rules
    from metricc.sources import argument

    if plot is not None:
        check_path(plot)
    compiled = compiler.compile(argument(metric), maximize=maximize, minimize=minimize)
    constraints = comparisons(asked)
    diagnose([d for d in compiled.warnings if d.code != "MC0305" or not constraints])
    task = tuning.Task(compiled.plan, compiled.options.goal, constraints)
    weights = [] if weight is None else [weight]
    read = table(file, [target, score, *weights, *task.columns])
    columns = {name: read.numbers(name, "column's number", 0) for name in task.columns}
    task = tuning.Task(task.plan, task.goal, constraints, Rules(params=columns))
    given = Given(
        read.positives(target, pos_label),
        read.numbers(score, "score"),
        None if weight is None else read.numbers(weight, "weight", 0),
    )
    (found,) = tuning.samples(task, given)
    swept = tuning.sweep(task, found)
    best = swept.best()
    fit = None if folds is None else cross_fit(task, found, folds)
    usual = 0.5 if found.scores.min() >= 0 and found.scores.max() <= 1 else 0.0
    if plot is not None:
        draw(plot, swept, best, score, () if fit is None else [*map(float, fit.thresholds)])
    missing = _missing(best.counts, target)
    if form == "json":
        print_json({**_data(swept, best, usual, fit), "warnings": missing})
    else:
        _print(swept, best, usual, fit, missing)


def _missing(counts: Cells, target: str) -> list[str]:
    """What there is to say of rows that are all of one class."""
    kinds = (("positive", counts.TP + counts.FN), ("negative", counts.FP + counts.TN))
    return [
        f"no row of column {target} is {kind}: the threshold says nothing about rows of two classes"
        for kind, total in kinds
        if not total
    ]


def _print(
    swept: Sweep, best: Threshold, usual: float, fit: CrossFit | None, missing: list[str]
) -> None:
    heads = [f"{held.text}" for held in best.constraints]
    rows = [["", "threshold", best.metric, "TP", "FN", "FP", "TN", *heads]]
    rows.append(["best", f"{float(best):.6g}", *_cells(best.value, best.counts, best.constraints)])
    cut = swept.cut_at(usual)
    there = _at(swept, cut)
    rows.append(["at 1/2" if usual else "at 0", f"{usual:g}", *_cells(*there)])
    if fit is not None:
        ends = f"{min(fit.thresholds):.6g} to {max(fit.thresholds):.6g}"
        label = f"{len(fit.thresholds)} held-out folds"
        rows.append([label, ends, *_cells(fit.value, fit.counts, fit.constraints)])
    print_table(rows)
    good = "is as good" if best.low < best.high else "is the best alone"
    click.echo(f"\nEvery threshold from {best.low:.6g} to {best.high:.6g} {good}.")
    for line in (*(f"WARNING: {one}." for one in missing), *_missed(best, fit)):
        click.echo(line)
    click.echo(ADVICE)
    if best.constraints and fit is None:
        click.echo(BARELY)


def _missed(best: Threshold, fit: CrossFit | None) -> list[str]:
    """What is met on the rows that were tuned on, and not on others."""
    pairs = zip(best.constraints, fit.constraints if fit is not None else (), strict=False)
    return [
        f"{held.text} is met on the rows that were tuned on and MISSED on held-out rows\n"
        f"({out.left:.6g}): ask for a higher bound."
        for held, out in pairs
        if not out.met
    ]


def _at(swept: Sweep, cut: int) -> tuple[float, Cells, tuple[Held, ...]]:
    return float(swept.values[cut]), swept.cells(cut), swept.held(cut)


def _cells(value: float, counts: Cells, held: tuple[Held, ...]) -> list[str]:
    sides = [f"{h.left:.6g}{'' if h.met else ' (not met)'}" for h in held]
    return [f"{value:.6g}", *(f"{count:.10g}" for count in counts), *sides]


def _data(swept: Sweep, best: Threshold, usual: float, fit: CrossFit | None) -> dict[str, Any]:
    data = {"metric": best.metric, "goal": swept.task.goal, "threshold": float(best)}
    data |= _facts(best.value, best.counts, best.constraints)
    data |= {"low": best.low, "high": best.high}
    data["usual"] = {"threshold": usual, **_facts(*_at(swept, swept.cut_at(usual)))}
    if fit is not None:
        facts = _facts(fit.value, fit.counts, fit.constraints)
        data["cross_fit"] = {"thresholds": [*map(float, fit.thresholds)], **facts}
    return data


def _facts(value: float, counts: Cells, held: tuple[Held, ...]) -> dict[str, Any]:
    found = [
        {"text": h.text, "left": _number(h.left), "right": _number(h.right), "met": h.met}
        for h in held
    ]
    return {"value": _number(value), "counts": counts._asdict(), "constraints": found}


def _number(x: float) -> float | None:
    """JSON has neither infinity nor NaN."""
    return x if math.isfinite(x) else None
