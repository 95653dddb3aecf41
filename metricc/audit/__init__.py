"""ir.Plan → ir.Audit: what training on this metric means.

`audit` is what the compiler needs and every generated file says; `findings.examine` is all that can
be found out, for people who ask (`metricc audit`).

direction      signs of the weights: score, error rate or mixed
constant       predictions that reach the best value without looking at the input
linear         metrics whose weights no prediction changes
singular_sets  counts at which the metric has no value
"""

from __future__ import annotations

from metricc import ir
from metricc.algebra import sign_of
from metricc.audit.constant import constant_best
from metricc.audit.direction import Signs, signs
from metricc.audit.linear import linear_weights
from metricc.audit.singular_sets import zero_sets


def audit(plan: ir.Plan) -> ir.Audit:
    """Decide direction, degeneracy, homogeneity and linearity; proved where that can be."""
    metric = plan.metric
    found = signs(plan)
    # In a multiclass task no prediction is all positive in every class.
    constant = found.depends and len(plan.programs) == 1 and metric.task != "multiclass"
    constant = constant and not metric.elements  # which punish constants
    costs = _costs(plan, found) if found.depends else ()
    return ir.Audit(
        direction=found.direction,
        direction_proof=found.proof,
        degenerate=constant_best(plan.program, found.own) if constant else "",
        depends=found.depends,
        homogeneous=all(program.homogeneous for program in plan.programs),
        costs=costs or (),
        bends=costs is None,
        singular=zero_sets(plan),
    )


def _costs(plan: ir.Plan, found: Signs) -> tuple[str, ...] | None:
    """The weights of a linear cost, as those of a score; None for what is seen to be none."""
    if not plan.metric.single:
        return ()
    sign: int | None = {"score": 1, "error rate": -1}.get(found.direction)
    if sign is None:  # amounts below the cost of an alarm, say: right answers are not worth it
        sign = sign_of(plan.program.forms["w_minus"].expression, plan.metric.nonnegative)
    return linear_weights(plan, sign or 1)
