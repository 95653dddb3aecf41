"""`metricc verify`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from metricc.cli.options import formatting
from metricc.cli.printing import print_json, print_table


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@formatting("text", "json")
def verify(file: Path, form: str) -> None:
    """Test a generated FILE; this executes it.

    The file's formula is compiled anew and the file's own code is compared with it. Exits 1 where
    a check fails.

    \b
        metricc verify f1_loss.py
    """
    from metricc import compiler

    report = compiler.verify_file(file)
    if form == "json":
        print_json({**dataclasses.asdict(report), "passed": report.passed})
    else:
        rows = [[c.name, c.measured, c.allowed, c.verdict] for c in report.checks]
        print_table([["check", "measured", "allowed", "verdict"], *rows])
        click.echo(f"{file}: {'all checks passed' if report.passed else 'a check FAILED'}")
    sys.exit(0 if report.passed else 1)
