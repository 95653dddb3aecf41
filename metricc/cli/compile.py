"""`metricc compile`."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metricc.cli.options import OnFormula, formatting, formula_argument, task_option
from metricc.cli.printing import as_json, diagnose

if TYPE_CHECKING:
    from metricc.compiled import CompiledMetric
    from metricc.sources import Source

SURROGATE_HELP = """amplified (default), soft (default of multiclass and gbdt),
score_oriented(uniform), score_oriented(cosine), heaviside or straight_through; with other defaults:
"amplified(L=73)"; or a formula in p: "p^2*(3 - 2*p)"."""
NAME_HELP = """Its name. Default: FILE's, without _loss or _objective; else the metric's."""
TARGET_HELP = """What to generate: torch, a PyTorch loss (default); triton, the same with CUDA
kernels; or gbdt, a NumPy objective for LightGBM and XGBoost."""
DIFF_LINES = 40


@click.command("compile", cls=OnFormula)
@formula_argument()
@click.option("-o", "output", type=click.Path(path_type=Path), metavar="FILE", help="Write FILE.")
@click.option("--name", help=NAME_HELP)
@click.option("--target", default="torch", help=TARGET_HELP)
@task_option
@click.option("--surrogate", help=SURROGATE_HELP)
@click.option("--per", default="batch", help="What a confusion matrix counts: batch or sample.")
@click.option("--from-probabilities", is_flag=True, help="Inputs are probabilities, not logits.")
@click.option("--maximize", is_flag=True, help="More is better: the loss is 1 - metric.")
@click.option("--minimize", is_flag=True, help="Less is better: the loss is the metric.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 unless FILE is up to date.")
@click.option("--force", is_flag=True, help="Overwrite FILE though edited or not metricc's.")
@click.option("--build", "kernel", is_flag=True, help="Build FILE's kernel too (metricc build).")
@formatting("text", "json", says="How diagnostics are printed. Default: text.")
def compile_formula(
    formula: Source,
    output: Path | None,
    name: str | None,
    check: bool,
    force: bool,
    kernel: bool,
    form: str,
    **options: Any,
) -> None:
    """Generate a PyTorch loss, or a boosting objective, from FORMULA.

    It goes to FILE or to standard output.

    \b
        metricc compile mcc -o mcc_loss.py
        metricc compile "fbeta(2)" --name f2 --surrogate soft
        metricc compile mcc -o mcc_loss.py --check
        metricc compile f1 --target triton -o f1_loss.py
        metricc compile f1 --target gbdt -o f1_objective.py
    """
    from metricc import compiler

    if check and output is None:
        raise click.UsageError("--check compares with a file: name it with -o")
    if kernel and (check or output is None):
        raise click.UsageError("--build goes with a file that is written: -o, and no --check")
    if name is None and output is not None:
        name = output.stem.removesuffix("_loss").removesuffix("_objective")
    compiled = compiler.compile(formula, name=name, **options)
    diagnose(compiled.warnings)
    if output is None:
        click.echo(compiled.source, nl=False)
    elif check:
        _check(compiled.source, output)
    else:
        compiled.save(output, force=force)
        _announce(compiled, output)
        if kernel:
            _build(output)


def _announce(compiled: CompiledMetric, path: Path) -> None:
    loss, found = compiled.options, compiled.audit()
    goal = f"1 - {loss.name}" if loss.goal == "maximize" else loss.name
    how = f"{found.direction}, {found.direction_proof.split()[0]}"
    if not as_json():
        kind = "Objective" if loss.target == "gbdt" else "Loss"
        click.echo(f"wrote {path}: {loss.pascal}{kind}, {goal} ({how})", err=True)


def _build(path: Path) -> None:
    from metricc import build as building
    from metricc.cli.build import told

    built = building.build(path)
    if not as_json():
        click.echo(told(path, built), err=True)


def _check(source: str, path: Path) -> None:
    """Say whether the file at `path` is `source`; exit 1 where it is not."""
    from metricc.save import alike, comparable, same

    try:
        old = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        click.echo(f"{path} is missing or cannot be read: {error.strerror}")
        sys.exit(1)
    if same(old, source):
        click.echo(f"{path} is up to date")
        return
    if alike(old, source):
        click.echo(f"{path} is up to date (reformatted)")
        return
    before, after = comparable(old).splitlines(), comparable(source).splitlines()
    lines = [*difflib.unified_diff(before, after, str(path), "generated", n=1, lineterm="")]
    more = [f"... {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    head = f"{path} differs from what would be generated"
    click.echo("\n".join([head, *lines[:DIFF_LINES], *more]))
    sys.exit(1)
