"""`metricc audit`: what training on a formula will do."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metricc import describe
from metricc.cli.compile import SURROGATE_HELP
from metricc.cli.options import OnFormula, formatting, formula_argument, task_option
from metricc.cli.printing import diagnose, graded, print_json

if TYPE_CHECKING:
    from metricc import ir
    from metricc.audit.subject import Subject
    from metricc.sources import Source

WIDTH = 96  # of a finding's text
PLOT_HELP = "Draw it: png, svg or pdf."
SEVERITIES = ("danger", "warning", "note")
SEVERITY_HELP = "The least severity shown, of the text alone. Default: note."
PREVALENCE_HELP = "The share of positives of simulated batches, in (0, 1). Default: 0.1."


@click.command(cls=OnFormula)
@formula_argument()
@task_option
@click.option("--surrogate", help=SURROGATE_HELP)
@click.option("--per", default="batch", help="What a confusion matrix counts: batch or sample.")
@click.option("--prevalence", type=float, default=0.1, metavar="SHARE", help=PREVALENCE_HELP)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help=PLOT_HELP)
@click.option("--severity", type=click.Choice(SEVERITIES), default="note", help=SEVERITY_HELP)
@formatting("text", "json")
def audit(
    formula: Source,
    task: str,
    surrogate: str | None,
    per: str,
    prevalence: float,
    plot: Path | None,
    severity: str,
    form: str,
) -> None:
    """Say what training on FORMULA will do.

    Every finding has a code, a severity and how it is known: proved, sampled, simulated or
    measured. A danger: training will not do what the metric's name says. A warning: it needs a
    decision, or bites in common batches.

    \b
        metricc audit recall
        metricc audit f1 --prevalence 0.01
        metricc audit recall --severity warning
        metricc audit mcc --plot mcc.png
    """
    from metricc import compiler
    from metricc.audit.findings import examine
    from metricc.bounded import bounded

    if plot is not None:
        from metricc.audit.picture import check_path

        check_path(plot)

    def work() -> tuple[Subject, ir.Audit]:
        subject = compiler.subject(
            formula, task=task, surrogate=surrogate, per=per, prevalence=prevalence
        )
        return subject, examine(subject)

    subject, found = bounded(work)  # both under one clock
    diagnose(subject.metric.text.diagnostics)
    if form == "json":
        print_json(describe.audited(subject, found))
    else:
        click.echo(describe.columns(describe.in_short(subject.plan, found)))
        if describe.outputs_of(subject.plan, partials=False).get("threshold") is not None:
            click.echo(f"\n{describe.THRESHOLD}")
        click.echo(f"\n{_counted(found.findings)}")
        for finding in found.findings:
            if SEVERITIES.index(finding.severity) <= SEVERITIES.index(severity):
                click.echo(f"\n{_text(finding)}")
    if plot is not None:
        from metricc.audit.picture import draw

        draw(subject, plot)
        click.echo(f"drew {plot}", err=True)


def _counted(findings: Sequence[ir.Finding]) -> str:
    """How many there are of each severity: 1 danger, 2 warnings, 12 notes."""
    counts = {s: sum(f.severity == s for f in findings) for s in SEVERITIES}
    return ", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in counts.items() if n)


def _text(finding: ir.Finding) -> str:
    """A finding as people read it: severity, code, fact and evidence; its place; what to do."""
    head = f"{finding.severity} {finding.code}: {finding.fact} ({finding.evidence})"
    first, *rest = _wrapped(head, "", "    ")
    lines = [graded(first, finding.severity), *rest]
    told = {"at": describe.place(finding.place), "hint:": finding.hint or ""}
    for word, text in told.items():
        if text:
            lines += _wrapped(f"{word} {text}", "    ", "          ")
    return "\n".join(lines)


def _wrapped(text: str, first: str, others: str) -> list[str]:
    """A text in lines; a number stays with its per cent sign."""
    lines = textwrap.wrap(
        text.replace(" %", "\N{NO-BREAK SPACE}%"),
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
