"""ir.Plan → ir.Audit: what training on this metric means.

`audit` is what the compiler needs and every generated file says; `findings.examine` is all that can
be found out, for people who ask (`metricc audit`).

In brief, for every file that is compiled:

direction          signs of the weights: score, error rate or mixed
constant           predictions that reach the best value without looking at the input
linear             metrics whose weights no prediction changes
singular_sets      counts at which the metric has no value, in words; by
singular_faces     an expression where some counts are 0, decided by signs, of
singular_parts     numbers with known signs

In full: every topic has `findings(subject)`, and `findings` joins them.

subject            what is examined: a plan, its options and surrogate, a prevalence
terms              what the expression of one table says of the whole metric
brute              the metric on all small tables, and one step from each
positive           signs over the whole domain, proved
germs              exact values and limits where counts are 0 or nearly 0
corners            the metric of the simplest predictions, by germs
stated             the range that a library's record states, as numbers
places             where in the text a fact stands
better             MC0601  what a more correct prediction does
parameters         MC0602, MC0605  what each parameter weighs, and those without effect
degenerate         MC0603, MC0604, MC0606  targets that teach nothing
spread             MC0621, MC0622, MC0623  range, simple predictions, the loss
dependence         MC0631, MC0632  size of the batch, share of positives
fractional         MC0641, MC0642  where the best threshold is
singular           MC0611, MC0612  where there is no value, or no bound; by
singular_surfaces  differences that are 0 inside the domain
singular_limits    limits and growth near zeros, measured with many digits
hard               the metric on hard counts, and the classifiers of simulations
missing            what a batch lacks where the metric has no value, and how often
batches            MC0633, MC0634  what batches make of the metric
slope              a surrogate's slope by mpmath
reach              MC0651, MC0652  how far that slope reaches
rounding           MC0661, MC0662, MC0663  what rounding does to the code
square, picture    the metric drawn over TPR and FPR, beside its surrogate
"""

from __future__ import annotations

from metricc import ir
from metricc.audit.constant import constant_best
from metricc.audit.direction import Signs, signs
from metricc.audit.linear import linear_weights
from metricc.audit.singular_sets import zero_sets
from metricc.signs import sign_of


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
