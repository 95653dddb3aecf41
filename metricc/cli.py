"""The `metricc` command: arguments in, a call of the API, text out.

Exit codes: 0 done; 1 a check said no; 2 the input is wrong. SymPy and torch are imported inside
the commands that need them: `--help`, `list` and `explain` load neither, `derive` not torch.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from metricc.errors import CATALOGUE, MetriccError, fail
from metricc.version import __version__

if TYPE_CHECKING:
    from metricc import ir, syntax

INTERRUPTED, PIPE_CLOSED = 130, 141  # what a shell reports for SIGINT and SIGPIPE
DIFF_LINES = 40
THRESHOLD_NOTE = (
    "The implied threshold is the best cut on calibrated scores of another model; a model that\n"
    "was trained on this metric decides at its surrogate's own threshold."
)

Command = TypeVar("Command", bound=Callable[..., Any])


class _Program(click.Group):
    """The commands in the order of this file, and the one place where errors become text."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MetriccError as error:
            for diagnostic in error.diagnostics:
                head, *rest = diagnostic.render().split("\n")
                click.echo("\n".join([_alarm(head), *rest]), err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # What is still buffered must not be written when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)


class _OnFormula(click.Command):
    """A command on a formula, which may begin with `-`: what is no option of it is a formula."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        values = {name: 0 if o.is_flag else o.nargs for o in options for name in o.opts}
        kept: list[str] = []
        formulas: list[str] = []
        rest = iter(args)
        for arg in rest:
            name, equals, _ = arg.partition("=")
            if arg == "--":
                formulas += rest
            elif name in values:
                kept += [arg, *islice(rest, 0 if equals else values[name])]
            elif arg[:2] in values or _misspelt(arg):
                kept.append(arg)  # -oFILE, or click's to refuse
            else:
                formulas.append(arg)
        return super().parse_args(ctx, [*kept, "--", *formulas])


def _misspelt(arg: str) -> bool:
    """Whether `--word` can be no formula, such as `--mcc` is one."""
    from metricc.library import definitions

    words = re.fullmatch(r"--([a-z][a-z-]*)(=.*)?", arg)
    return words is not None and not any(w in definitions() for w in words[1].split("-"))


def _format(*choices: str) -> Callable[[Command], Command]:
    kind = click.Choice(choices)
    return click.option("--format", "form", type=kind, default="text", help="Default: text.")


_formula = click.argument("formula")


@click.group(cls=_Program, context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="metricc", message="%(prog)s %(version)s")
def main() -> None:
    """Compile a confusion-matrix metric to a verified PyTorch loss.

    FORMULA is text of the metric language, a library name (`metricc list`), the path of a .metric
    file, or - for standard input.

    \b
        metricc compile "2*TP / (2*TP + FP + FN)" -o f1_loss.py
        metricc derive mcc
        metricc verify f1_loss.py
    """


@main.command(cls=_OnFormula)
@_formula
@click.option("-o", "output", type=click.Path(path_type=Path), metavar="FILE", help="Write FILE.")
@click.option("--name", help="The loss's name. Default: FILE's without _loss, or the metric's.")
@click.option("--target", default="torch", help="What to generate: torch (default).")
@click.option("--task", default="binary", help="Kind of labels: binary (default).")
@click.option("--surrogate", default="amplified", help="amplified (default) or soft.")
@click.option("--per", default="batch", help="What one matrix counts: batch (default).")
@click.option("--from-probabilities", is_flag=True, help="Inputs are probabilities, not logits.")
@click.option("--maximize", is_flag=True, help="The metric is to grow: the loss is 1 - metric.")
@click.option("--minimize", is_flag=True, help="The metric is to shrink: it is the loss.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 unless FILE is up to date.")
@click.option("--force", is_flag=True, help="Overwrite a file that is edited or not metricc's.")
def compile(
    formula: str, output: Path | None, name: str | None, check: bool, force: bool, **options: Any
) -> None:
    """Generate a PyTorch loss from FORMULA, to FILE or to standard output.

    \b
        metricc compile mcc -o mcc_loss.py
        metricc compile "fbeta(2)" --name f2 --surrogate soft
        metricc compile mcc -o mcc_loss.py --check
    """
    from metricc import compiler

    if check and output is None:
        raise click.UsageError("--check compares with a file: give it with -o")
    if name is None and output is not None:
        name = output.stem.removesuffix("_loss")
    compiled = compiler.compile(formula, name=name, **options)
    if output is None:
        click.echo(compiled.source, nl=False)
    elif check:
        _check(compiled.source, output)
    else:
        compiled.save(output, force=force)
        loss, found = compiled.options, compiled.audit()
        goal = f"1 - {loss.name}" if loss.goal == "maximize" else loss.name
        how = found.direction_proof.split()[0]
        fact = f"{loss.pascal}Loss, {goal} ({found.direction}, {how})"
        click.echo(f"wrote {output}: {fact}", err=True)
        if found.degenerate:
            fact = f"predicting {found.degenerate} already reaches the best {loss.name}"
            click.echo(_alarm(f"warning: {fact}"), err=True)


def _check(source: str, path: Path) -> None:
    """Say whether the file at `path` is what would be generated; exit 1 where it is not."""
    import difflib

    from metricc.save import same

    try:
        old = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        click.echo(f"{path} is missing")
        sys.exit(1)
    except OSError as error:
        hint = "give the path of a file"
        raise fail("MC0503", f"cannot read {path.name}: {error.strerror}", hint) from None
    if same(old, source):
        click.echo(f"{path} is up to date")
        return
    click.echo(f"{path} differs from what would be generated")
    texts = old.splitlines(), source.splitlines()
    lines = list(difflib.unified_diff(*texts, f"{path}", "generated", n=1, lineterm=""))
    click.echo("\n".join(lines[:DIFF_LINES]))
    if len(lines) > DIFF_LINES:
        click.echo(f"... {len(lines) - DIFF_LINES} more lines")
    sys.exit(1)


@main.command(cls=_OnFormula)
@_formula
@_format("text", "latex", "sympy", "json")
def derive(formula: str, form: str) -> None:
    """Show FORMULA's derivatives, their proofs and the implied threshold.

    \b
        metricc derive "2*TP / (2*TP + FP + FN)"
        metricc derive mcc --format latex
    """
    from metricc.compiler import analyse

    program, findings = analyse(formula)
    if form == "json":
        _json(_derivation(program, findings))
    elif form == "text":
        _derive_text(program)
    else:
        click.echo("\n".join(_latex(program) if form == "latex" else _sympy(program)))


def _derive_text(program: ir.Program) -> None:
    from metricc.extract import operations

    metric = program.metric
    rows = [[_label(program, n), f"= {form.expression}"] for n, form in program.forms.items()]
    rows += [["threshold", f"= {_threshold(program)}"]]
    rows += [["parameter", str(p)] for p in _parameters(metric)]
    click.echo(_columns(rows))
    if program.threshold is not None:
        click.echo(f"\n{THRESHOLD_NOTE}")
    count = operations(program.shared)
    click.echo(f"\nThe metric and its four partials together take {count} operations.\n")
    proofs = [[_label(program, n), f.choice, f.proof] for n, f in program.forms.items()]
    click.echo(_columns([["output", "form", "proof"], *proofs]))


def _label(program: ir.Program, output: str) -> str:
    """An output's name as people read it."""
    return program.metric.name if output == "value" else output.replace("M_", "dM/d")


def _threshold(program: ir.Program) -> str:
    return (
        "none: no prediction changes this" if program.threshold is None else str(program.threshold)
    )


def _parameters(metric: ir.Metric) -> list[syntax.Parameter]:
    from metricc.syntax import Parameter

    return [Parameter(p.name, p.default, p.interval) for p in metric.parameters]


def _sympy(program: ir.Program) -> list[str]:
    from metricc.functions import CELLS

    names = (*CELLS, *(p.name for p in program.metric.parameters))
    lines = [f'{", ".join(names)} = symbols("{" ".join(names)}")']
    lines += [f"{name} = {form.expression}" for name, form in program.forms.items()]
    return lines + ([f"threshold = {program.threshold}"] if program.threshold is not None else [])


def _latex(program: ir.Program, *outputs: str) -> list[str]:
    """A line for each of the outputs (all of them where none is named) and for the threshold."""
    import sympy

    labels = {name: rf"\frac{{\partial M}}{{\partial {name[2:]}}}" for name in program.forms}
    labels |= {"w_plus": "w_{+}", "w_minus": "w_{-}"}
    labels["value"] = sympy.latex(sympy.Symbol(program.metric.name))
    shown = {n: program.forms[n].expression for n in outputs or program.forms}
    lines = [f"{labels[name]} = {sympy.latex(e)}" for name, e in shown.items()]
    if program.threshold is not None:
        lines.append(rf"\mathrm{{threshold}} = {sympy.latex(program.threshold)}")
    return lines


def _derivation(program: ir.Program, findings: ir.Audit) -> dict[str, Any]:
    text = {name: str(form.expression) for name, form in program.forms.items()}
    return {
        "formula": program.metric.formula,
        "name": program.metric.name,
        "parameters": _parameter_facts(_parameters(program.metric)),
        "value": text["value"],
        "partials": {name[2:]: e for name, e in text.items() if name.startswith("M_")},
        "weights": {name: text[name] for name in ("w_plus", "w_minus")},
        "threshold": None if program.threshold is None else str(program.threshold),
        "forms": {
            name: {"choice": f.choice, "proof": f.proof, "cancels": f.cancels}
            for name, f in program.forms.items()
        },
        "direction": findings.direction,
    }


def _parameter_facts(parameters: Sequence[syntax.Parameter]) -> list[dict[str, Any]]:
    return [
        {
            "name": p.name,
            "default": None if p.default is None else float(p.default),
            "range": None if p.interval is None else str(p.interval),
        }
        for p in parameters
    ]


@main.command(cls=_OnFormula)
@_formula
@_format("text", "json")
def audit(formula: str, form: str) -> None:
    """Say what training on FORMULA means: its direction, and whether a constant satisfies it.

    \b
        metricc audit recall
    """
    import dataclasses

    from metricc.compiler import analyse

    _, found = analyse(formula)
    if form == "json":
        _json(dataclasses.asdict(found))
        return
    constant = f"predicting {found.degenerate} already reaches the best value"
    rows = [
        ["direction", f"{found.direction} ({found.direction_proof})"],
        ["degenerate", constant if found.degenerate else "no"],
        ["depends", "yes" if found.depends else "no: no prediction changes it"],
        ["homogeneous", "yes: proved" if found.homogeneous else "not proved"],
    ]
    click.echo(_columns(rows))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_format("text", "json")
def verify(file: Path, form: str) -> None:
    """Test the generated FILE against its formula. This executes FILE.

    Exits 1 where a check fails.

    \b
        metricc verify f1_loss.py
    """
    import dataclasses

    from metricc import compiler

    report = compiler.verify_file(file)
    if form == "json":
        _json({**dataclasses.asdict(report), "passed": report.passed})
    else:
        header, verdicts = ("check", "measured", "allowed", "verdict"), ("FAIL", "pass", "note")
        places = [2 if c.passed is None else int(c.passed) for c in report.checks]
        rows = [
            (c.name, c.measured, c.allowed, verdicts[place])
            for c, place in zip(report.checks, places, strict=True)
        ]
        _table("", header, rows)
        click.echo(f"{file}: {places.count(1)} passed, {places.count(0)} failed")
    sys.exit(0 if report.passed else 1)


@main.command()
@_format("text", "json")
def list(form: str) -> None:
    """List the library: its metrics by family, then the counts and rates for use in formulas.

    \b
        metricc list
    """
