"""The `metricc` command: arguments in, a call of the API, text out.

Exit codes: 0 done; 1 a check said no; 2 the input is wrong. SymPy and torch are imported inside
the commands that need them: `--help`, `list` and `explain` load neither, `derive` not torch.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from metricc import describe
from metricc.errors import CATALOGUE, WARNINGS, Diagnostic, MetriccError
from metricc.examples import EXAMPLES
from metricc.functions import CELLS
from metricc.version import __version__

if TYPE_CHECKING:
    from metricc import ir
    from metricc.compiled import CompiledMetric
    from metricc.sources import Source

SURROGATE_HELP = """amplified (default), soft (default of multiclass), score_oriented(uniform),
score_oriented(cosine), heaviside or straight_through; with other defaults: "amplified(L=73)"; or a
formula in p: "p^2*(3 - 2*p)"."""
TASK_HELP = """The kind of labels: binary (default), multilabel or multiclass."""
INTERRUPTED, PIPE_CLOSED = 130, 141  # what shells report for SIGINT and SIGPIPE
DIFF_LINES = 40
JSON = "metricc.json"  # whether diagnostics are printed as JSON


class _Program(click.Group):
    """The commands in the order of this file, and the one place where errors become text."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MetriccError as error:
            _diagnose(error.diagnostics)
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
                kept.append(arg)  # -oFILE, or one that click is to refuse
            else:
                formulas.append(arg)
        return super().parse_args(ctx, [*kept, "--", *formulas])


def _misspelt(arg: str) -> bool:
    """Whether `--word` cannot be a formula (`--mcc` can)."""
    from metricc.library import definitions

    words = re.fullmatch(r"--([a-z][a-z-]*)(=.*)?", arg)
    return words is not None and not any(w in definitions() for w in words[1].split("-"))


def _diagnose(diagnostics: Sequence[Diagnostic]) -> None:
    """Print diagnostics to standard error: as text, or as one JSON object where that was asked."""
    if _as_json() and diagnostics:
        data = {"diagnostics": [diagnostic.data() for diagnostic in diagnostics]}
        click.echo(json.dumps(data, indent=2), err=True)
        return
    for diagnostic in diagnostics:
        head, *rest = diagnostic.render().split("\n")
        click.echo("\n".join([_alarm(head), *rest]), err=True)


def _as_json() -> bool:
    return bool(click.get_current_context().find_root().meta.get(JSON))


def _remember(ctx: click.Context, parameter: click.Parameter, form: str) -> str:
    ctx.find_root().meta[JSON] = form == "json"
    return form


def _format(*choices: str, says: str = "Default: text.") -> Callable[[Any], Any]:
    """`--format`, which also says how diagnostics are printed."""
    kind = click.Choice(choices)
    return click.option(
        "--format", "form", type=kind, default="text", is_eager=True, callback=_remember, help=says
    )


def _formula(metavar: str = "FORMULA") -> Callable[[Any], Any]:
    """The argument FORMULA, as a `Source`."""

    def read(ctx: click.Context, parameter: click.Parameter, word: str) -> Source:
        from metricc.sources import argument

        return argument(word)

    return click.argument("formula", callback=read, metavar=metavar)


_task = click.option("--task", default="binary", help=TASK_HELP)


@click.group(cls=_Program)
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


@main.command("compile", cls=_OnFormula)
@_formula()
@click.option("-o", "output", type=click.Path(path_type=Path), metavar="FILE", help="Write FILE.")
@click.option("--name", help="The loss's name. Default: FILE's, without _loss; else the metric's.")
@click.option("--target", default="torch", help="What to generate: torch.")
@_task
@click.option("--surrogate", help=SURROGATE_HELP)
@click.option("--per", default="batch", help="What a confusion matrix counts: batch or sample.")
@click.option("--from-probabilities", is_flag=True, help="Inputs are probabilities, not logits.")
@click.option("--maximize", is_flag=True, help="More is better: the loss is 1 - metric.")
@click.option("--minimize", is_flag=True, help="Less is better: the loss is the metric.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 unless FILE is up to date.")
@click.option("--force", is_flag=True, help="Overwrite FILE though edited or not metricc's.")
@_format("text", "json", says="How diagnostics are printed. Default: text.")
def compile_formula(
    formula: Source,
    output: Path | None,
    name: str | None,
    check: bool,
    force: bool,
    form: str,
    **options: Any,
) -> None:
    """Generate a PyTorch loss from FORMULA.

    It goes to FILE or to standard output.

    \b
        metricc compile mcc -o mcc_loss.py
        metricc compile "fbeta(2)" --name f2 --surrogate soft
        metricc compile mcc -o mcc_loss.py --check
    """
    from metricc import compiler

    if check and output is None:
        raise click.UsageError("--check compares with a file: name it with -o")
    if name is None and output is not None:
        name = output.stem.removesuffix("_loss")
    compiled = compiler.compile(formula, name=name, **options)
    _diagnose(compiled.warnings)
    if output is None:
        click.echo(compiled.source, nl=False)
    elif check:
        _check(compiled.source, output)
    else:
        compiled.save(output, force=force)
        _announce(compiled, output)


def _announce(compiled: CompiledMetric, path: Path) -> None:
    loss, found = compiled.options, compiled.audit()
    goal = f"1 - {loss.name}" if loss.goal == "maximize" else loss.name
    how = f"{found.direction}, {found.direction_proof.split()[0]}"
    if not _as_json():
        click.echo(f"wrote {path}: {loss.pascal}Loss, {goal} ({how})", err=True)


def _check(source: str, path: Path) -> None:
    """Say whether the file at `path` is `source`; exit 1 where it is not."""
    from metricc.save import comparable, same

    try:
        old = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        click.echo(f"{path} is missing or cannot be read: {error.strerror}")
        sys.exit(1)
    if same(old, source):
        click.echo(f"{path} is up to date")
        return
    before, after = comparable(old).splitlines(), comparable(source).splitlines()
    lines = [*difflib.unified_diff(before, after, str(path), "generated", n=1, lineterm="")]
    more = [f"... {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    head = f"{path} differs from what would be generated"
    click.echo("\n".join([head, *lines[:DIFF_LINES], *more]))
    sys.exit(1)


def _analysed(formula: Source, task: str) -> tuple[ir.Plan, ir.Audit]:
    from metricc.compiler import analyse

    plan, findings = analyse(formula, task=task)
    _diagnose(plan.metric.text.diagnostics)
    return plan, findings


@main.command(cls=_OnFormula)
@_formula()
@_task
@_format("text", "latex", "sympy", "json")
def derive(formula: Source, task: str, form: str) -> None:
    """Show FORMULA's derivatives and their proofs.

    \b
        metricc derive "2*TP / (2*TP + FP + FN)"
        metricc derive mcc --format latex
    """
    plan, findings = _analysed(formula, task)
    outputs = describe.outputs_of(plan)
    if form == "json":
        _json(describe.derivation(plan, findings))
    elif form == "latex":
        click.echo(describe.latex_lines(plan.metric.name, outputs))
    elif form == "sympy":
        names = [*CELLS, *(p.name for p in plan.metric.parameters)]
        click.echo(f'{", ".join(names)} = symbols("{" ".join(names)}")')
        click.echo("\n".join(f"{name} = {expression}" for name, expression in outputs.items()))
    else:
        click.echo("\n\n".join(describe.paragraphs(plan, outputs)))


@main.command(cls=_OnFormula)
@_formula()
@_task
@_format("text", "json")
def audit(formula: Source, task: str, form: str) -> None:
    """Say what training on FORMULA means.

    \b
        metricc audit recall
    """
    _, found = _analysed(formula, task)
    if form == "json":
        _json(dataclasses.asdict(found))
        return
    constant = f"yes: predicting {found.degenerate} already reaches the best value"
    rows = [
        ["direction", f"{found.direction} ({found.direction_proof})"],
        ["degenerate", constant if found.degenerate else "no constant prediction found"],
        ["depends", "yes" if found.depends else "no: no prediction changes it"],
        ["homogeneous", "yes: proved" if found.homogeneous else "not proved"],
    ]
    click.echo(describe.columns(rows))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_format("text", "json")
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
        _json({**dataclasses.asdict(report), "passed": report.passed})
    else:
        rows = [[c.name, c.measured, c.allowed, c.verdict] for c in report.checks]
        _table([["check", "measured", "allowed", "verdict"], *rows])
        click.echo(f"{file}: {'all checks passed' if report.passed else 'a check FAILED'}")
    sys.exit(0 if report.passed else 1)


@main.command("list")
@click.argument("words", nargs=-1)
@click.option("--family", help="Only this family, such as overlap.")
@click.option("--direction", type=click.Choice(["score", "error", "mixed"]), help="Only these.")
@_format("text", "json")
def list_library(words: tuple[str, ...], family: str | None, direction: str, form: str) -> None:
    """List the library: metrics, counts and rates.

    With WORDS, those whose name, aliases or description hold all of them.

    \b
        metricc list
        metricc list kappa
        metricc list --family skill --direction score
    """
    from metricc.library import FAMILIES, families

    if family is not None and family not in FAMILIES:
        raise click.UsageError(f"there is no family {family}; there are {', '.join(FAMILIES)}")
    kept = {
        name: [d for d in ds if describe.matches(d, words, direction)]
        for name, ds in families().items()
        if family in (None, name)
    }
    metrics = {f: [d for d in ds if not d.name.isupper()] for f, ds in kept.items()}
    metrics = {f: ds for f, ds in metrics.items() if ds}
    vocabulary = [d for ds in kept.values() for d in ds if d.name.isupper()]
    if form == "json":
        entries = {f: [*map(describe.entry, ds)] for f, ds in metrics.items()}
        _json({"metrics": entries, "vocabulary": [*map(describe.entry, vocabulary)]})
        sys.exit(0 if metrics or vocabulary else 1)
    groups = {**metrics, "counts and rates, for formulas": vocabulary}
    for title, definitions in groups.items():
        rows = [[describe.head(d), str(d.body), d.fact("description")] for d in definitions]
        if rows:
            _table(rows, title)
    if not any(groups.values()):
        click.echo("nothing in the library matches", err=True)
        sys.exit(1)
    click.echo(describe.tally([d for ds in metrics.values() for d in ds], len(metrics)))


@main.command(cls=_OnFormula)
@_formula("NAME_OR_FORMULA")
@click.option("--source", "formatted", is_flag=True, help="Print the formula itself, formatted.")
@click.option(
    "--stage",
    type=click.Choice(["syntax", "metric", "gradient", "program", "file"]),
    help="Print what this stage of the compiler hands over.",
)
@_task
@_format("text", "latex", "json")
def show(formula: Source, formatted: bool, stage: str | None, task: str, form: str) -> None:
    """Describe a metric, format its text, or show a compiler stage.

    \b
        metricc show mcc
        metricc show mine.metric --source
        metricc show "TP / (TP + FP)" --stage program
    """
    if formatted and (stage is not None or form == "latex"):
        raise click.UsageError("--source prints the formula: leave out --stage and --format latex")
    if formatted:
        from metricc.library import formatted as text_of

        text = text_of(formula.text, formula.origin)
        if form == "json":
            _json({"source": text})
        else:
            click.echo(text)
        return
    if stage is not None:
        _show_stage(formula, stage, task, form)
        return
    plan, findings = _analysed(formula, task)
    outputs = describe.outputs_of(plan, partials=False)
    if form == "latex":
        click.echo(describe.latex_lines(plan.metric.name, outputs))
        return
    facts = describe.facts(plan, findings)
    if form == "json":
        _json(facts)
    else:
        _table(describe.rows(plan, findings, facts))
        if "threshold" in outputs:
            click.echo(f"\n{describe.THRESHOLD}")


def _show_stage(formula: Source, stage: str, task: str, form: str) -> None:
    from metricc import compiler

    if form == "latex":
        raise click.UsageError("a stage has no LaTeX form: leave out --stage or --format")
    if stage == "file":
        text = compiler.compile(formula, task=task).source
    else:
        plan, _ = compiler.analyse(formula, task=task)
        gradients = "\n".join(str(program.gradient) for program in plan.programs)
        dumps = {"program": plan, "gradient": gradients, "metric": plan.metric}
        text = str(dumps.get(stage, plan.metric.text))
    if form == "json":
        _json({"stage": stage, "text": text})
    else:
        click.echo(text.removesuffix("\n"))


@main.command()
@click.argument("code")
def explain(code: str) -> None:
    """Say what a diagnostic's CODE means.

    \b
        metricc explain MC0201
    """
    code = code.upper()
    if code not in CATALOGUE:
        raise click.UsageError(f"{code} is not a code; there are {', '.join(CATALOGUE)}")
    click.echo(f"{code}: {CATALOGUE[code]}")
    wrong, right = (textwrap.indent(text, "    ") for text in EXAMPLES[code])
    verb = "is remarked on" if code in WARNINGS else "fails"
    click.echo(f"\n{verb}:\n{wrong}\n\nworks:\n{right}")


def _json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2))


def _table(rows: Sequence[Sequence[str]], title: str = "") -> None:
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


def _terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
