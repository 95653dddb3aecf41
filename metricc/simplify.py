"""ir.Gradient → ir.Program: the best of a few forms of each output, proved, with shared code.

The passes, in order:

    kinks        minima, magnitudes and steps by what they have in common (`kinks`)
    forms        the best one of each output where its conditions hold or do not (`forms`)
    code         fast extract over value and partials together, and over the weights
    proof        the code, inlined, equals the raw derivative: decided exactly, else compared

No pass searches: each does one thing once, under the budget of `algebra`. Where that is exceeded
the raw form is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import sympy

from metricc import ir
from metricc.algebra import Field, product_of
from metricc.cancellation import absorbed
from metricc.errors import fail
from metricc.extract import extract, inline, operations
from metricc.factoring import TooLarge
from metricc.forms import Forms, length
from metricc.numeric import Tape, mpf, sample
from metricc.select import Condition, LogRatio, assume, cases, conditions, joined
from metricc.signs import parts_of, sign_of

POINTS = 20  # at which two forms are compared
SPOT_POINTS = 2  # at which proved forms are looked at as well
MAX_POINTS = 400  # that are tried,
FEWEST = 60  # and so many at least where a formula is long:
MAX_STEPS = 1_000_000  # operations of all points together
MAX_CONDITIONS = 4  # of which every combination is simplified on its own
DIGITS = 50
CANCELLED = mpf(10) ** 20  # at most so large
GUARD = 50  # more digits that the comparison's own sums may cancel


def simplify(gradient: ir.Gradient) -> ir.Program:
    """Choose, prove and schedule the forms of value, partials, weights and threshold."""
    metric = gradient.metric
    raw = gradient.raw
    found, forms = _by_cases(gradient)
    others = tuple(p.name for p in metric.unknowns if not p.counted)
    choices: dict[str, str] = {}
    final: dict[str, sympy.Expr] = {}
    blocks = []
    for names in (ir.shared_outputs(metric), ir.weight_outputs(metric)):
        variants = []
        for spellings in zip_longest(*(f.spellings() for f in forms), fillvalue={}):
            chosen = [
                [f.choose(name, s) for f, s in zip(forms, spellings, strict=True)] for name in names
            ]
            leaves = [[expression for _, expression in outputs] for outputs in chosen]
            block = extract([joined(found, leaf) for leaf in leaves], others, metric.columns)
            labels = [_label([choice for choice, _ in outputs]) for outputs in chosen]
            variants.append((operations(block), block, labels))
        _, block, labels = min(variants, key=lambda variant: variant[0])
        blocks.append(block)
        choices |= dict(zip(names, labels, strict=True))
        final |= dict(zip(names, inline(block), strict=True))
    shared, weights = blocks
    program = ir.Program(
        gradient,
        _proved(forms, metric, raw, final, choices),
        _threshold(found, [_cut(f, final, metric) for f in forms]) if metric.single else None,
        shared,
        weights,
        metric.single and all(f.homogeneous(final, metric.cells) for f in forms),
    )
    program.validate()
    return program


def best_forms(gradient: ir.Gradient, names: Sequence[str]) -> dict[str, ir.Form]:
    """The best form of each of these outputs, proved; no code is made of them.

    For what is read and not compiled, such as the outputs of an `ir.Curvature`.
    """
    metric, raw = gradient.metric, gradient.raw
    found, forms = _by_cases(gradient)
    spelled = [*zip_longest(*(f.spellings() for f in forms), fillvalue={})]
    choices: dict[str, str] = {}
    final: dict[str, sympy.Expr] = {}
    for name in names:
        options = []
        for spellings in spelled:
            chosen = [f.choose(name, s) for f, s in zip(forms, spellings, strict=True)]
            whole = joined(found, [expression for _, expression in chosen])
            whole = whole.replace(LogRatio, lambda above, below, _: sympy.log(above / below))
            cancels = sign_of(whole, metric.nonnegative) is None
            options.append((cancels, length(whole), _label([c for c, _ in chosen]), whole))
        *_, choices[name], final[name] = min(options, key=lambda option: option[:2])
    return _proved(forms, metric, raw, final, choices)


def _by_cases(gradient: ir.Gradient) -> tuple[Sequence[Condition], list[Forms]]:
    """The conditions of a metric that are decided, and its forms in every case of them."""
    raw = gradient.raw
    found = conditions(raw["value"])
    found = found if len(found) <= MAX_CONDITIONS else []
    return found, [Forms(gradient, raw, truths) for truths in cases(found)]


def _proved(
    forms: Sequence[Forms],
    metric: ir.Metric,
    raw: Mapping[str, sympy.Expr],
    final: Mapping[str, sympy.Expr],
    choices: Mapping[str, str],
) -> dict[str, ir.Form]:
    """The chosen forms with their proofs."""
    proofs = _proofs(forms, metric.unknowns, raw, final)
    cancels = {name: sign_of(e, metric.nonnegative) is None for name, e in final.items()}
    return {
        name: ir.Form(expression, choices[name], proofs[name], cancels[name])
        for name, expression in final.items()
    }


def _threshold(
    found: Sequence[Condition], leaves: Sequence[sympy.Expr | None]
) -> sympy.Expr | None:
    """The threshold of every case in one; nan in the cases where no prediction matters."""
    if all(leaf is None for leaf in leaves):
        return None
    return joined(found, [sympy.nan if leaf is None else leaf for leaf in leaves])


def _cut(forms: Forms, final: Mapping[str, sympy.Expr], metric: ir.Metric) -> sympy.Expr | None:
    """w_minus/(w_plus + w_minus) in lowest terms; None where no prediction matters.

    With columns it is a sample's own: the weights have its numbers in them.
    """
    w_plus, w_minus = (
        sympy.Add(
            assume(final[name], forms.truths),
            *(
                sympy.Symbol(column) * assume(final[f"{name}_{column}"], forms.truths)
                for column in metric.columns
            ),
        )
        for name in ("w_plus", "w_minus")
    )
    known = metric.nonnegative
    w_plus, w_minus = (forms.settle(_stepped(w, known)) for w in (w_plus, w_minus))
    total = w_plus + w_minus
    if total == 0:
        return None
    field = forms.field
    if metric.columns:
        field = Field([w_plus, w_minus], metric.nonnegative | set(metric.columns))
    try:
        coefficient, powers = field.factors(w_minus / total)
    except (TooLarge, ZeroDivisionError):
        return w_minus / total
    return product_of(coefficient, {absorbed(b, known): power for b, power in powers.items()})


def _stepped(expression: sympy.Expr, nonnegative: frozenset[str]) -> sympy.Expr:
    """The expression with the steps decided whose arguments have one sign inside the domain."""
    steps = [part for part in parts_of(expression) if isinstance(part, sympy.Heaviside)]
    signs = {step: sign_of(step.args[0], nonnegative) for step in steps}
    decided = {step: sympy.Integer(sign > 0) for step, sign in signs.items() if sign}
    return expression.xreplace(decided) if decided else expression


def _label(labels: Sequence[str]) -> str:
    return labels[0] if len(set(labels)) == 1 else f"by cases: {', '.join(labels)}"


def _proofs(
    forms: Sequence[Forms],
    parameters: tuple[ir.Parameter, ...],
    raw: Mapping[str, sympy.Expr],
    final: Mapping[str, sympy.Expr],
) -> dict[str, str]:
    """How each of `final` was shown equal to `raw`; raises `AssertionError` where one is not."""
    proofs = {name: _procedure(forms, raw[name], expression) for name, expression in final.items()}
    # A proof is looked at in numbers too: the procedure could be at fault.
    compared: dict[str, int] = {}
    for wanted in (SPOT_POINTS, POINTS):
        names = [n for n, proof in proofs.items() if (SPOT_POINTS if proof else POINTS) == wanted]
        pairs = [(raw[name], final[name]) for name in names]
        compared |= dict(zip(names, _compared(parameters, pairs, wanted), strict=True))
    for name, proof in proofs.items():
        if not proof and not compared[name]:
            hint = "its roots or logarithms are of negative numbers"
            raise fail("MC0301", "the derivative has no real value anywhere", hint)
        proofs[name] = proof or f"compared: {compared[name]} points, {DIGITS} digits"
    return proofs


def _procedure(forms: Sequence[Forms], raw: sympy.Expr, final: sympy.Expr) -> str:
    """The procedure that decides two expressions to be equal; empty where none does."""
    try:
        sides = [
            (f, f.settle(assume(raw, f.truths)), f.settle(assume(final, f.truths))) for f in forms
        ]
        if all(f.equal(one, two) for f, one, two in sides):
            procedures = {f.field.procedure(one) for f, one, _ in sides}
            return max(procedures, key=len) + (", case by case" if len(forms) > 1 else "")
    except (TooLarge, ZeroDivisionError):
        pass
    return ""


def _compared(
    parameters: tuple[ir.Parameter, ...],
    pairs: Sequence[tuple[sympy.Expr, sympy.Expr]],
    wanted: int,
) -> list[int]:
    """At how many points the two expressions of each pair were compared; `AssertionError` where
    they differ.

    All are evaluated together, since they share most of their parts.
    """
    compared = [0] * len(pairs)
    tape = Tape(expression for pair in pairs for expression in pair)
    enough = max(FEWEST, MAX_STEPS // max(1, len(tape.steps)))
    for number, point in enumerate(sample(parameters, MAX_POINTS) if pairs else ()):
        if number >= enough and all(compared):
            break
        found = tape.at(point, DIGITS + GUARD)
        for i, (first, second) in enumerate(zip(found[::2], found[1::2], strict=True)):
            if first is None or second is None or compared[i] == wanted:
                continue  # outside the domain of a root or logarithm
            (a, size), (b, other) = first, second
            # What cancels to exactly 0 leaves the rounding errors of what cancelled.
            allowed = max(min(size / 2, CANCELLED), abs(a), abs(b)) * mpf(10) ** -DIGITS
            if max(size, other) * mpf(10) ** -(DIGITS + GUARD) > allowed:
                continue  # more cancels here than the digits hold: such a point decides nothing
            if abs(a - b) > allowed:
                raise AssertionError(f"simplification changed {pairs[i][0]} to {pairs[i][1]}")
            compared[i] += 1
        if min(compared) == wanted:
            break
    return compared
