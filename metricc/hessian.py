"""ir.Plan → ir.Hessian: the second derivatives in the counts, in their best forms, proved.

They are not part of what is compiled: a loss needs the gradient alone, and autograd differentiates
its backward pass. They are for people, and for optimizers of their own.
"""

from __future__ import annotations

from metricc import ir
from metricc.bounded import bounded
from metricc.derive import derive_twice
from metricc.errors import fail
from metricc.simplify import best_forms


def hessian(plan: ir.Plan) -> ir.Hessian:
    """The second derivatives of a metric of one table.

    Raises `MetriccError` for a metric of several tables, and where the algebra takes too long.
    """
    metric = plan.metric
    if not metric.single:
        reduction = metric.tables[0].reduction
        fact = f"second derivatives are those of one table, and {reduction}(...) joins several"
        hint = f"differentiate what stands in it: {metric.tables[0].expression}"
        raise fail("MC0501", fact, hint)

    def work() -> ir.Hessian:
        raw = derive_twice(plan.program.gradient)
        names = [ir.pair(*two) for two in (*raw.entries, *raw.turns)]
        return ir.Hessian(raw, best_forms(raw, names))

    return bounded(work)
