"""The `metricc` command: arguments in, a call of the API, text out.

Exit codes: 0 done; 1 a check said no; 2 the input is wrong. SymPy and torch are imported inside
the commands that need them: `--help`, `list` and `explain` load neither, `derive` not torch.
"""

from __future__ import annotations

import click

from metricc.cli.audit import audit
from metricc.cli.build import build
from metricc.cli.compile import compile_formula
from metricc.cli.derive import derive, show
from metricc.cli.library import explain, list_library
from metricc.cli.program import Program
from metricc.cli.tune import tune
from metricc.cli.verify import verify
from metricc.version import __version__


@click.group(cls=Program)
@click.version_option(__version__, prog_name="metricc", message="%(prog)s %(version)s")
def main() -> None:
    """Compile a confusion-matrix metric to a verified PyTorch loss.

    FORMULA is text of the metric language, a library name, the path of a .metric file, or - for
    standard input.

    \b
        metricc compile "2*TP / (2*TP + FP + FN)" -o f1_loss.py
        metricc derive mcc
        metricc verify f1_loss.py
    """


for command in (compile_formula, build, derive, audit, verify, tune, list_library, show, explain):
    main.add_command(command)
