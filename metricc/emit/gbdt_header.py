"""The header of a generated objective: how it is called, the metric, its gradient and Hessian."""

from __future__ import annotations

import shlex
import textwrap

from metricc import ir
from metricc.emit import gbdt_file as file
from metricc.emit.torch_header import (
    WIDTH,
    gradient_lines,
    loss_line,
    metric_lines,
    plain,
    range_of,
    required,
)
from metricc.statements import SAME
from metricc.surrogates import Surrogate, default


def docstring(
    plan: ir.Plan, audit: ir.Audit, options: ir.Options, surrogate: Surrogate, version: str
) -> str:
    """The module docstring, without its quotes."""
    metric, name, task = plan.metric, options.name, options.task
    goal = f"1 - {name}" if options.goal == "maximize" else name
    sign = "-" if options.goal == "maximize" else ""
    about = "; ".join(f for f in (metric.fact("description"), range_of(metric)) if f)
    _, *derivatives = gradient_lines(plan, options)
    joint = "joint" in plan.levels
    losses = [term.symbol.name for term in metric.elements]
    more = "".join(f"; plus n d loss/d{loss} times the gradient of {loss}" for loss in losses)
    bound = file.HESSIANS["softmax" if task == "multiclass" else surrogate.name]
    if losses:  # logloss bounds no leaf
        bound = bound.replace(file.LEAF, "") + " Of the element loss its own is added."
    facts = [
        ("Metric", [*metric_lines(metric, name), plain(about), plain(metric.fact("reference"))]),
        ("Loss", [loss_line(goal, audit)]),
        ("Gradient", [file.GRADIENTS[task].format(sign=sign) + more, *derivatives]),
        ("Hessian", [bound]),
        ("Surrogate", [file.SURROGATES["softmax" if task == "multiclass" else surrogate.name]]),
        ("Start", [file.START[task]]),
        ("Decision", [file.DECISION[task].format(cut=file.CUT_WORDS[surrogate.name])]),
        ("Classes", [file.ABSENT["joint" if joint else task]]),
        ("Arrays", [file.ARRAYS[task]]),
    ]
    if audit.degenerate:
        fact = f"Warning: predicting {audit.degenerate} already reaches the best {name}; "
        facts.insert(5, ("Training", [fact + "combine it with a metric that punishes that."]))
    usage = file.USAGE[task].format(name=name, pascal=options.pascal, required=required(metric))
    lines = [file.TITLE.format(name=name, goal=goal), "", *usage.split("\n"), ""]
    for label, texts in facts:
        wrapped = [line for text in texts for line in _wrapped(text)]
        lines += [f"{label * (i == 0):<11}{line}" for i, line in enumerate(wrapped)]
    return "\n".join([*lines, "", *_made_by(plan, options, surrogate, version)])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 11, break_long_words=False)


def _made_by(plan: ir.Plan, options: ir.Options, surrogate: Surrogate, version: str) -> list[str]:
    formula = plain(plan.metric.formula.translate(SAME))
    words = ["metricc", "compile", formula, "--name", options.name, "--target", "gbdt"]
    if options.task != "binary":
        words += ["--task", options.task]
    if str(surrogate) != default(options.task, "gbdt"):
        words += ["--surrogate", plain(options.surrogate)]
    if options.goal == "minimize":
        words.append("--minimize")
    how = "; ".join(sorted({form.proof for form in plan.forms.values()}))
    return [
        f"Made by metricc {version}:  {shlex.join(words)}",
        *textwrap.wrap(f"Derivatives {how}.", WIDTH),
        f"Check it with `metricc verify`. {file.OWNERSHIP}",
    ]
