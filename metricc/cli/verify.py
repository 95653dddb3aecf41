"""`metricc verify`: one file in full, several files and folders a line each."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metricc.cli.options import formatting
from metricc.cli.printing import diagnose, print_json, print_table
from metricc.errors import Diagnostic, MetriccError

if TYPE_CHECKING:
    from metricc import ir


SHOWN = 3  # failed checks of one file, where there are several files
LINES = 40  # of a diff
WIDTH = 120  # of each: a record is one long line


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option("--skip-others", is_flag=True, help="Pass over files that metricc did not write.")
@click.option(
    "--diff/--no-diff",
    "diff",
    default=True,
    help=f"Show how one file differs from what its formula generates, {LINES} lines at most.",
)
@formatting("text", "json")
def verify(paths: tuple[Path, ...], skip_others: bool, diff: bool, form: str) -> None:
    """Test generated files; this executes them.

    Each file's formula is taken from its METRICC record and derived anew; the file's own code is
    tested as it stands, against computations that share no code with it. An edited file passes if
    its code is right. PATH is a file, or a folder: then every Python file in it and below that has
    a METRICC record, but for hidden folders, caches and virtual environments. Exits 1 where a check
    fails, and 2 where a path cannot be read or a folder has no generated file.

    \b
        metricc verify f1_loss.py
        metricc verify src tests/data/mcc_loss.py
    """
    from metricc import compiler

    if len(paths) == 1 and not paths[0].is_dir() and not skip_others:
        _one(paths[0], compiler.verify_file(paths[0]), form, diff)
        return
    files, refused = _files(paths, skip_others)
    width = max((len(str(file)) for file in files), default=0)
    reports: list[tuple[Path, ir.Report]] = []
    for file in files:
        try:
            report = compiler.verify_file(file)
        except MetriccError as error:
            refused += [dataclasses.replace(d, message=_of(file, d)) for d in error.diagnostics]
            if form == "text":
                codes = ", ".join(d.code for d in error.diagnostics)
                click.echo(f"{str(file).ljust(width)}  not verified  {codes}")
            continue
        reports.append((file, report))
        if form == "text":
            click.echo(_lines(file, report, width))
    failed = sum(not report.passed for _, report in reports)
    if form == "json":
        entries = [{"file": str(file), **_data(report)} for file, report in reports]
        print_json({"files": entries, "passed": not failed and not refused})
    elif files or not refused:
        parts = [f"{len(reports) - failed} passed"]
        parts += [f"{failed} FAILED"] if failed else []
        parts += [f"{len(files) - len(reports)} not verified"] if len(files) > len(reports) else []
        click.echo(f"{len(files)} {'file' if len(files) == 1 else 'files'}: {', '.join(parts)}")
    diagnose(refused)
    sys.exit(2 if refused else 1 if failed else 0)


def _one(file: Path, report: ir.Report, form: str, diff: bool) -> None:
    """Every check of one file, and what was edited."""
    if form == "json":
        print_json(_data(report))
    else:
        rows = [[c.name, c.measured, c.allowed, c.verdict] for c in report.checks]
        print_table([["check", "measured", "allowed", "verdict"], *rows])
        if diff and report.drift:
            click.echo("\n".join(["", *_short(report.drift), ""]))
        click.echo(f"{file}: {'all checks passed' if report.passed else 'a check FAILED'}")
    sys.exit(0 if report.passed else 1)


def _short(lines: Sequence[str]) -> list[str]:
    """A diff of at most `LINES` lines, none of which is long."""
    shown = [line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..." for line in lines[:LINES]]
    more = len(lines) - LINES
    return [*shown, f"... {more} more lines (all: --format json)"] if more > 0 else shown


def _data(report: ir.Report) -> dict[str, Any]:
    return {**dataclasses.asdict(report), "passed": report.passed}


def _files(paths: Sequence[Path], skip_others: bool) -> tuple[list[Path], list[Diagnostic]]:
    """The files of all paths, each once in the order given, and what is wrong with paths."""
    from metricc.folder import generated, has_record

    files: list[Path] = []
    refused: list[Diagnostic] = []
    for path in paths:
        try:
            if path.is_dir():
                files += generated(path)
            elif not skip_others or not path.exists() or has_record(path):
                files.append(path)
        except MetriccError as error:
            refused += [d for d in error.diagnostics if d.code != "MC0515" or not skip_others]
    return [*dict.fromkeys(files)], refused


def _of(file: Path, diagnostic: Diagnostic) -> str:
    """A diagnostic's message that says which file it is about."""
    told = diagnostic.message
    return told if str(file) in told else f"{file}: {told}"


def _lines(file: Path, report: ir.Report, width: int) -> str:
    """The verdict on one file, and what failed below it."""
    first = report.checks[0]
    told = first.measured
    if report.passed and told == "edited since it was generated":
        told = "edited; its code passes"
    verdict = "passed" if report.passed else "FAILED"
    lines = [f"{str(file).ljust(width)}  {verdict}  {told}"]
    failed = [c for c in report.checks if c.passed is False]
    lines += [f"    {c.name}: {c.measured} (allowed: {c.allowed})" for c in failed[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(f"    {len(failed) - SHOWN} more: metricc verify {file}")
    return "\n".join(lines)
