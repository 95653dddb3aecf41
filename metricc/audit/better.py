"""MC0601: whether more correct predictions raise the metric, lower it, or do either.

The signs of the weights decide (`direction`), proved with more effort here than the compiler
spends; where nothing is proved, one more correct prediction is tried at all small tables.
"""

from __future__ import annotations

import sympy

from metricc import ir
from metricc.audit import brute, places, terms
from metricc.audit.positive import POSITIVE, positive, sign
from metricc.audit.subject import Subject
from metricc.select import Select

PROVED = "proved: the signs of w_plus and w_minus"
HALVES = tuple(k / 2 for k in range(9))
SAYS = {"score": ("lowers", "a score"), "error rate": ("raises", "an error rate")}


def findings(subject: Subject) -> list[ir.Finding]:
    """The direction, with an example against it where there is one."""
    plan, audit, name = subject.plan, subject.audit, subject.name
    if not audit.depends:
        return []
    view = terms.one_table(subject)
    if audit.direction == "mixed":
        return [_mixed(subject, view)]
    wrong, kind = SAYS[audit.direction]
    fact = f"a more correct prediction never {wrong} {name}: it is {kind}{_half(plan)}"
    data: tuple[tuple[str, ir.Datum], ...] = (("direction", audit.direction),)
    proof = _proof(subject)
    if proof and _continuous(plan, proof):
        hint = _ranges(subject.metric) if proof.endswith(POSITIVE) else None
        return [ir.Finding("MC0601", "note", fact, proof, hint=hint, data=data)]
    steps = brute.class_steps(plan) if view is None else brute.steps(view.program)
    against = steps.fall if audit.direction == "score" else steps.rise
    if against is None and view is not None:  # steps across a pole may miss whole numbers
        steps = brute.steps(view.program, counts=HALVES)
        against = steps.fall if audit.direction == "score" else steps.rise
    signs = f"{proof}, on each side of a jump" if proof else audit.direction_proof
    evidence = f"{signs}, and {steps.count:,} single steps"
    if against is None:
        return [ir.Finding("MC0601", "note", fact, evidence, data=data)]
    count = steps.falls if audit.direction == "score" else steps.rises
    share = count / steps.count
    fact = f"{name} is {kind} nearly everywhere: {against}; {share:.2g} of all steps do"
    data += (("against", against.data), ("share_against", share))
    hint = "a model may be punished for being right: see whether your data have such counts"
    place = places.whole(subject.metric)
    return [ir.Finding("MC0601", "warning", fact, evidence, place, hint, data)]


def _ranges(metric: ir.Metric) -> str | None:
    """What to state in the formula, for a proof that supposes nothing."""
    free = [f"{p.name} in (0, inf)" for p in metric.parameters if p.interval is None]
    return f"give ranges in the formula: {', '.join(free)}" if free else None


def settled(subject: Subject) -> tuple[str, str] | None:
    """Which prediction is proved to have the largest value, "perfect" or "worst", and for what.

    None where neither is; the second text names what the proof supposes, or is empty.
    """
    if subject.audit.direction == "mixed":
        return None
    proof = _proof(subject)
    if not proof or not _continuous(subject.plan, proof):
        return None
    best = "perfect" if subject.audit.direction == "score" else "worst"
    return best, proof.removeprefix(PROVED)


def _continuous(plan: ir.Plan, proof: str) -> bool:
    """Whether nothing jumps inside the domain: then signs of slopes say what single steps do."""
    for program in plan.programs:
        value, unknowns = program.forms["value"].expression, program.metric.unknowns
        unknowns = positive(unknowns) if proof.endswith(POSITIVE) else unknowns
        if value.has(Select):
            return False
        parts = sympy.preorder_traversal(value)
        below = {p.base for p in parts if p.is_Pow and p.exp.could_extract_minus_sign()}
        if not all(sign(base, unknowns) in (1, -1) for base in below):
            return False
    return True


def _half(plan: ir.Plan) -> str:
    """What is left out where one of the weights is 0."""
    if not plan.metric.single or plan.metric.columns:
        return ""
    for weight, what in (("w_minus", "negatives"), ("w_plus", "positives")):
        if plan.program.forms[weight].expression == 0:
            return f", and predictions of {what} do not count"
    return ""


def _proof(subject: Subject) -> str:
    """How all weights are proved to have the direction's sign; an empty text where they are not."""
    plan, audit = subject.plan, subject.audit
    metric = plan.metric
    if audit.direction_proof.startswith("proved"):
        return PROVED
    if metric.elements or metric.columns or len(plan.programs) > 1 or plan.outer is not None:
        return ""
    wanted = 1 if audit.direction == "score" else -1
    forms = [plan.program.forms[name].expression for name in ir.weights_of(metric)]
    # Of a metric without parameters both are the same, and the answer is remembered.
    for unknowns, supposed in ((metric.unknowns, ""), (positive(metric.unknowns), POSITIVE)):
        if all(sign(form, unknowns) in (wanted, 0) for form in forms):
            return f"{PROVED}{supposed}"
    return ""


def _of_positive(subject: Subject) -> ir.Finding | None:
    """A metric that is mixed for want of a range: parameters that are at least 0 make it one."""
    metric = subject.metric
    free = [p.name for p in metric.parameters if p.interval is None]
    below = any(brute.typical(p) < 0 for p in metric.parameters)
    if not free or below or not metric.single or metric.elements or metric.columns:
        return None
    forms = [subject.plan.program.forms[name].expression for name in ir.weights_of(metric)]
    signs = {sign(form, positive(metric.unknowns)) for form in forms} - {0}
    if len(signs) != 1 or None in signs or not _continuous(subject.plan, POSITIVE):
        return None
    kind = "a score" if signs == {1} else "an error rate"
    named = " and ".join(free)
    fact = f"{subject.name} is {kind} where {named} {'is' if len(free) == 1 else 'are'} at least "
    fact += "0, and may be neither elsewhere: no range is stated"
    hint = f"state the range in the formula: {free[0]} in [0, inf)"
    data: tuple[tuple[str, ir.Datum], ...] = (("direction", "mixed"), ("positive", kind))
    place = places.whole(metric)
    return ir.Finding("MC0601", "warning", fact, PROVED, place, hint, data)


def _mixed(subject: Subject, view: terms.View | None) -> ir.Finding:
    open_ended = _of_positive(subject)
    if open_ended is not None:
        return open_ended
    name, goal = subject.name, subject.options.goal
    steps = brute.class_steps(subject.plan) if view is None else brute.both_ways(view.program)
    evidence = f"examples among {steps.count:,} single steps"
    data: tuple[tuple[str, ir.Datum], ...] = (("direction", "mixed"),)
    examples = [step for step in (steps.fall, steps.rise) if step is not None]
    if not examples:
        fact = f"{name} is neither a score nor an error rate"
        return ir.Finding("MC0601", "warning", fact, subject.audit.direction_proof, data=data)
    fact = f"{name} is neither a score nor an error rate: "
    fact += "; ".join(map(str, examples))
    of = "" if view is None or view.name == name else f", of {view.name}"
    for key, step in (("falls", steps.fall), ("rises", steps.rise)):
        data += ((key, None if step is None else step.data),)
    hint = f"it is {goal}d here; compile it with --maximize or --minimize, whichever is meant, "
    hint += "after a look at such counts in your data"
    place = places.whole(subject.metric)
    return ir.Finding("MC0601", "warning", fact, evidence + of, place, hint, data)
