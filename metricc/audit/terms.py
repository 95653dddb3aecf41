"""What of a metric can be said by the expression of one table alone.

A metric of one table is that expression. A mean over classes, the worst class, one value a class
or the pooled table say of each table what the expression says; what several terms are joined to
is another matter.
"""

from __future__ import annotations

from typing import NamedTuple

from metricc import ir
from metricc.audit.subject import Subject


class View(NamedTuple):
    """The program of one table's expression, and what it is called: "f1", "each class's f1"."""

    program: ir.Program
    name: str

    @property
    def metric(self) -> ir.Metric:
        return self.program.metric


CLASS = "each class's"
_SAYS = {"micro": "the pooled table's", "samples": "each sample's"}


def one_table(subject: Subject) -> View | None:
    """The only table's expression; None where several terms are joined."""
    plan, name = subject.plan, subject.options.name
    if plan.metric.single:
        each = subject.options.per == "sample"
        return View(plan.program, f"{_SAYS['samples']} {name}" if each else subject.name)
    if len(plan.programs) > 1 or plan.outer is not None:
        return None
    reduction = plan.metric.tables[0].reduction
    if reduction == "sum":
        return None
    return View(plan.program, f"{_SAYS.get(reduction, CLASS)} {name}")


def pooled(plan: ir.Plan) -> bool:
    """Whether classes of which each sample has one are pooled: then FP and FN are one number."""
    return plan.metric.task == "multiclass" and plan.metric.tables[0].reduction == "micro"
