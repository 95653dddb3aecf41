"""`metricc build`: the kernel of a generated file, compiled on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metricc.cli.options import formatting
from metricc.cli.printing import as_json, print_json

if TYPE_CHECKING:
    from metricc.build import Built


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--node", is_flag=True, help="Also its autograd node, in C++ (half a minute).")
@click.option("--force", is_flag=True, help="Compile it though it is there already.")
@formatting("text", "json")
def build(file: Path, node: bool, force: bool, form: str) -> None:
    """Compile the passes of the generated FILE for this machine's CPU.

    FILE finds the kernel in __pycache__ beside it, as long as it is not edited; without one, or on
    another CPU, it takes torch's operations. Needs a C compiler: $CC, or cc, gcc or clang. --node
    makes steps of small batches faster: it needs a C++ compiler and Python's headers, and serves
    all kernels of the folder.

    \b
        metricc build f1_loss.py
        metricc build f1_loss.py --node
    """
    from metricc import build as building

    built = building.build(file, node=node, force=force)
    if as_json():
        named = {"library": str(built.library), "node": built.node and str(built.node)}
        print_json({**named, "new": [str(path) for path in built.new]})
    else:
        click.echo(told(file, built))
        if node and built.node is None:
            click.echo(f"{file}: the autograd node is for binary losses, and was not compiled")


def told(file: Path, built: Built) -> str:
    """What was done for a file, a line each."""
    lines = []
    for name, path in (("kernel", built.library), ("autograd node", built.node)):
        if path in built.new:
            lines.append(f"{file}: compiled its {name}, {path}")
        elif path is not None:
            lines.append(f"{file}: its {name} is there already, {path}")
    return "\n".join(lines)
