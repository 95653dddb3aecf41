"""What the command prints: diagnostics, tables, JSON."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

import click

from metricc import describe
from metricc.errors import Diagnostic

JSON = "metricc.json"  # whether diagnostics are printed as JSON


def diagnose(diagnostics: Sequence[Diagnostic]) -> None:
    """Print diagnostics to standard error: as text, or as one JSON object where that was asked."""
    if as_json() and diagnostics:
        data = {"diagnostics": [diagnostic.data() for diagnostic in diagnostics]}
        click.echo(json.dumps(data, indent=2), err=True)
        return
    for diagnostic in diagnostics:
        head, *rest = diagnostic.render().split("\n")
        click.echo("\n".join([_alarm(head), *rest]), err=True)


def as_json() -> bool:
    return bool(click.get_current_context().find_root().meta.get(JSON))


def print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2))


def print_table(rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows: on a terminal in its width, else as plain columns of any width."""
    if not _terminal(sys.stdout):
        text = describe.columns(rows)
        click.echo(f"{title}\n{textwrap.indent(text, '  ')}\n" if title else text)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    console = Console()
    console.print(*([Text(title, style="bold")] if title else []), table, sep="\n")


def _alarm(text: str) -> str:
    """Red, where standard error is a terminal that wants colour."""
    colour = _terminal(sys.stderr) and not os.environ.get("NO_COLOR")
    return click.style(text, fg="red") if colour else text


def graded(text: str, severity: str) -> str:
    """A finding's first line in the colour of its severity, where standard output wants colour."""
    colour = {"danger": "red", "warning": "yellow"}.get(severity)
    wanted = colour and _terminal(sys.stdout) and not os.environ.get("NO_COLOR")
    return click.style(text, fg=colour) if wanted else text


def _terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
