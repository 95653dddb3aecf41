"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from metricc.cli.printing import JSON, diagnose

if TYPE_CHECKING:
    from metricc import ir
    from metricc.sources import Source

TASK_HELP = """The kind of labels: binary (default), multilabel or multiclass."""


class OnFormula(click.Command):
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


def _remember(ctx: click.Context, parameter: click.Parameter, form: str) -> str:
    ctx.find_root().meta[JSON] = form == "json"
    return form


def formatting(*choices: str, says: str = "Default: text.") -> Callable[[Any], Any]:
    """`--format`, which also says how diagnostics are printed."""
    kind = click.Choice(choices)
    return click.option(
        "--format", "form", type=kind, default="text", is_eager=True, callback=_remember, help=says
    )


def formula_argument(metavar: str = "FORMULA") -> Callable[[Any], Any]:
    """The argument FORMULA, as a `Source`."""

    def read(ctx: click.Context, parameter: click.Parameter, word: str) -> Source:
        from metricc.sources import argument

        return argument(word)

    return click.argument("formula", callback=read, metavar=metavar)


task_option = click.option("--task", default="binary", help=TASK_HELP)


def analysed(formula: Source, task: str) -> tuple[ir.Plan, ir.Audit]:
    from metricc.compiler import analyse

    plan, findings = analyse(formula, task=task)
    diagnose(plan.metric.text.diagnostics)
    return plan, findings
