"""`metricc derive` and `show`: what a formula is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from metricc import describe
from metricc.cli.options import OnFormula, analysed, formatting, formula_argument, task_option
from metricc.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from metricc import ir
    from metricc.sources import Source


@click.command(cls=OnFormula)
@formula_argument()
@click.option("--order", type=click.Choice(["1", "2"]), default="1", help="Default: 1.")
@task_option
@formatting("text", "latex", "sympy", "json")
def derive(formula: Source, order: str, task: str, form: str) -> None:
    """Show FORMULA's derivatives and their proofs.

    \b
        metricc derive "2*TP / (2*TP + FP + FN)"
        metricc derive mcc --format latex
        metricc derive f1 --order 2
    """
    plan, findings = analysed(formula, task)
    if order == "2":
        _derive_twice(plan, form)
        return
    outputs = describe.outputs_of(plan)
    if form == "json":
        print_json(describe.derivation(plan, findings))
    elif form == "latex":
        click.echo(describe.latex_lines(plan.metric.name, outputs))
    elif form == "sympy":
        metric = plan.metric
        names = [*metric.cells, *metric.columns, *(p.name for p in metric.parameters)]
        click.echo(f'{", ".join(names)} = symbols("{" ".join(names)}")')
        click.echo("\n".join(f"{name} = {expression}" for name, expression in outputs.items()))
    else:
        click.echo("\n\n".join(describe.paragraphs(plan, outputs)))


def _derive_twice(plan: ir.Plan, form: str) -> None:
    from metricc.hessian import hessian
    from metricc.verify import second

    found = hessian(plan)
    if form == "latex":
        click.echo(describe.second_latex(found))
    elif form == "sympy":
        click.echo(describe.second_sympy(found))
    else:
        check = second.check(found)
        if form == "json":
            print_json(describe.second_derivation(found, check))
        else:
            click.echo("\n\n".join(describe.second_paragraphs(found, check)))
        if check.passed is False:
            click.get_current_context().exit(1)


@click.command(cls=OnFormula)
@formula_argument("NAME_OR_FORMULA")
@click.option("--source", "formatted", is_flag=True, help="Print the formula itself, formatted.")
@click.option(
    "--stage",
    type=click.Choice(["syntax", "metric", "gradient", "program", "file"]),
    help="Print what this stage of the compiler hands over.",
)
@task_option
@formatting("text", "latex", "json")
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
            print_json({"source": text})
        else:
            click.echo(text)
        return
    if stage is not None:
        _show_stage(formula, stage, task, form)
        return
    plan, findings = analysed(formula, task)
    outputs = describe.outputs_of(plan, partials=False)
    if form == "latex":
        click.echo(describe.latex_lines(plan.metric.name, outputs))
        return
    facts = describe.facts(plan, findings)
    if form == "json":
        print_json(facts)
    else:
        print_table(describe.rows(plan, findings, facts))
        if "threshold" in outputs:
            own = f" {describe.own_numbers(plan)}" if plan.metric.columns else ""
            click.echo(f"\n{describe.THRESHOLD}{own}")


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
        print_json({"stage": stage, "text": text})
    else:
        click.echo(text.removesuffix("\n"))
