"""MC0602: what weighs false positives and what false negatives. MC0605: parameters without effect.

What a prediction is worth is (w_plus, w_minus), so a parameter weighs false positives where it
turns that pair towards w_minus: where the ratio w_minus/w_plus grows with it, which means the same
for scores and error rates. Where it stays, the parameter changes no more than the length of the
pair, and where both weights stay, nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import sympy

from metricc import ir, syntax
from metricc.algebra import Field, product_of
from metricc.audit import places, terms
from metricc.audit.positive import POSITIVE, positive, sign
from metricc.audit.subject import Subject
from metricc.factoring import TooLarge
from metricc.functions import CELLS
from metricc.numeric import Tape, sample
from metricc.select import Select

POINTS = 60
RATIONAL = "proved: rational functions"
MISSES = ("fn", "miss", "misses", "missed", "false_negative", "false_negatives")
ALARMS = ("fp", "fa", "alarm", "alarms", "false_positive", "false_positives")
COUNTS = {1: "false positives", -1: "false negatives"}


def findings(subject: Subject) -> list[ir.Finding]:
    """The price of a false negative in false positives, and what each parameter does."""
    if not subject.audit.depends:
        return []
    plan = subject.plan
    found = [finding for p in plan.metric.parameters for finding in _idle(subject, p)]
    idle = {value for finding in found for key, value in finding.data if key == "parameter"}
    view = terms.one_table(subject)
    if view is not None and not terms.pooled(plan):
        found += _prices(view)
        weighs = {
            p.name: _weighs(subject, view, p) for p in view.metric.parameters if p.name not in idle
        }
        found += [
            f for n, way in weighs.items() if (f := _weight(view, n, way, weighs)) is not None
        ]
    return found


# -- what errors cost -----------------------------------------------------------------------------


def _prices(view: terms.View) -> list[ir.Finding]:
    """How many false positives a false negative costs, where no count changes that."""
    slopes = [view.program.forms[name].expression for name in ("M_FN", "M_FP")]
    ends = [view.program.forms[name].expression for name in ("w_plus", "w_minus")]
    if view.metric.columns or 0 in slopes or 0 in ends:  # nothing to compare of what does not count
        return []
    try:
        price = _quotient(slopes[0], slopes[1], view.metric.nonnegative)
    except (TooLarge, ZeroDivisionError):
        return []
    if {s.name for s in price.free_symbols} & {*CELLS}:
        return []
    above, below = sympy.fraction(price)
    text = str(price) if above != 1 else f"1/{below}" if below != 1 else "1"
    times = "as much" if price == 1 else f"{text} times as much"
    fact = f"one more false negative moves {view.name} {times} as one more false positive, at the "
    fact += "same other counts"
    if price.is_Rational and price < 0:
        fact = f"one more false negative moves {view.name} one way and one more false positive the "
        fact += "other, at the same other counts"
    data: tuple[tuple[str, ir.Datum], ...] = (("fn_per_fp", text),)
    return [ir.Finding("MC0602", "note", fact, RATIONAL, data=data)]


Way = tuple[int | None, str]  # 1: weighs FP, -1: FN, 0: neither, None: either; and the evidence


def _weighs(subject: Subject, view: terms.View, parameter: ir.Parameter) -> Way:
    own = tuple(ir.Parameter(c, None, _POSITIVE) for c in view.metric.columns)
    unknowns = (*view.metric.unknowns, *own)
    symbol = sympy.Symbol(parameter.name)
    pair = [_total(view.program, name) for name in ("w_plus", "w_minus")]
    if subject.audit.direction != "mixed" and not _switched(pair, symbol):
        turn = _turn(pair, symbol, ir.nonnegative(unknowns))
        for given, where in ((unknowns, ""), (positive(unknowns), POSITIVE)):
            proved = sign(turn, given)
            if proved is not None:
                return proved, f"proved: the sign of the slope of w_minus/w_plus in it{where}"
    signs, count = set(), 0
    points = list(sample(unknowns, POINTS + 1))
    tape = Tape(pair)
    for point, other in pairwise(points):
        low, high = sorted((point[symbol], other[symbol]))
        found = [tape.at({**point, symbol: at}, 20) for at in (low, high)]
        if low == high or any(number is None for numbers in found for number in numbers):
            continue
        (one, two), (three, four) = ([n[0] for n in numbers] for numbers in found)  # type: ignore[index]
        if one * two < 0 or three * four < 0:  # being right is punished on one side: no prices
            continue
        count += 1
        turned = one * four - two * three
        if abs(turned) > 1e-12 * (abs(one * four) + abs(two * three)):
            signs.add(1 if turned > 0 else -1)
    evidence = f"sampled at {count} points"
    return (signs.pop() if len(signs) == 1 else None if signs else 0), evidence


_POSITIVE = syntax.Interval(Fraction(0), None)


def _total(program: ir.Program, name: str) -> sympy.Expr:
    """A weight of a sample, with its own numbers in the columns."""
    parts = [program.forms[name].expression]
    for column in program.metric.columns:
        parts.append(sympy.Symbol(column) * program.forms[f"{name}_{column}"].expression)
    return sympy.Add(*parts)


def _turn(
    pair: Sequence[sympy.Expr], symbol: sympy.Symbol, nonnegative: frozenset[str]
) -> sympy.Expr:
    """What has the sign of the slope of w_minus/w_plus in a parameter."""
    plus, minus = pair
    if plus == 0 or minus == 0:
        return sympy.Integer(0)
    try:
        ratio = _quotient(minus, plus, nonnegative)
    except (TooLarge, ZeroDivisionError):
        return plus * minus.diff(symbol) - minus * plus.diff(symbol)
    above, below = sympy.fraction(ratio)
    return above.diff(symbol) * below - above * below.diff(symbol)


def _quotient(above: sympy.Expr, below: sympy.Expr, nonnegative: frozenset[str]) -> sympy.Expr:
    """A quotient in lowest terms. Raises `TooLarge`."""
    field = Field([above, below], nonnegative)
    coefficient, powers = field.factors(above)
    other, inverse = field.factors(below)
    for base, power in inverse.items():
        powers[base] = powers.get(base, Fraction(0)) - power
    return product_of(coefficient / other, {base: p for base, p in powers.items() if p})


def _switched(expressions: Sequence[sympy.Expr], symbol: sympy.Symbol) -> bool:
    """Whether a parameter decides between branches: then slopes do not say what it does."""
    steps = {step for e in expressions for step in e.atoms(sympy.Heaviside, Select)}
    return any(a.has(symbol) for step in steps for a in step.args[:2])


def _weight(view: terms.View, name: str, way: Way, others: dict[str, Way]) -> ir.Finding | None:
    weighs, evidence = way
    data: tuple[tuple[str, ir.Datum], ...] = (("parameter", name),)
    if weighs == 0:
        return None
    if weighs is None:
        fact = f"{name} weighs false positives at some counts and false negatives at others"
        return ir.Finding("MC0602", "note", fact, evidence, data=(*data, ("weighs", "either")))
    weighed, other = COUNTS[weighs], COUNTS[-weighs]
    fact = f"{name} weighs {weighed}: the larger it is, the more they count beside {other}"
    data += (("weighs", "FP" if weighs == 1 else "FN"),)
    expected = _convention(name, {n: w[0] for n, w in others.items()})
    if expected is None or expected[0] == weighs:
        return ir.Finding("MC0602", "note", fact, evidence, data=data)
    hint = f"{expected[1]}: swap what it stands before, or rename it"
    place = places.whole(view.metric)
    return ir.Finding("MC0602", "warning", fact, evidence, place, hint, data)


def _convention(name: str, ways: dict[str, int | None]) -> tuple[int, str] | None:
    """What a parameter of this name usually weighs, and where that is from."""
    if {"alpha", "beta"} <= set(ways) and name in ("alpha", "beta"):
        source = "in Tversky's index alpha weighs false positives and beta false negatives"
        return (1 if name == "alpha" else -1), f"{source} (Salehi et al. 2017)"
    if name == "beta":
        return -1, "in F-beta a larger beta weighs recall, so false negatives (van Rijsbergen 1979)"
    words = name.lower()
    for endings, way in ((MISSES, -1), (ALARMS, 1)):
        if any(words == end or words.endswith(f"_{end}") for end in endings):
            return way, f"its name says {COUNTS[way]}"
    return None


# -- parameters without effect --------------------------------------------------------------------


def _idle(subject: Subject, parameter: ir.Parameter) -> list[ir.Finding]:
    plan, name = subject.plan, subject.name
    symbol = sympy.Symbol(parameter.name)
    data: tuple[tuple[str, ir.Datum], ...] = (("parameter", parameter.name),)
    programs = [*plan.programs, *([plan.outer] if plan.outer is not None else [])]
    forms = [form.expression for program in programs for form in program.forms.values()]
    if _switched(forms, symbol):
        return []
    if all(_zero(p.metric, [p.forms["value"].expression.diff(symbol)]) for p in programs):
        fact = f"{parameter.name} has no effect: it cancels out of {name}"
        return [_without(plan, fact, RATIONAL, (*data, ("effect", "none")))]
    if len(plan.programs) > 1 or plan.outer is not None:
        return []
    program = plan.program
    weights = [program.forms[w].expression for w in ir.weights_of(program.metric)]
    elements = [program.forms[f"M_{t.symbol.name}"].expression for t in program.metric.elements]
    shared = plan.metric.tables[0].reduction != "geomean"  # whose slopes change with the values
    if shared and _zero(program.metric, [w.diff(symbol) for w in (*weights, *elements)]):
        fact = f"{parameter.name} shifts {name} and changes no gradient: training is the same"
        return [_without(plan, fact, RATIONAL, (*data, ("effect", "shift")))]
    if terms.pooled(plan) and (found := _of_one_number(plan, symbol)):
        fact = f"{parameter.name} has no effect: {found}"
        if subject.surrogate.sums_to_one:
            return [_without(plan, fact, RATIONAL, (*data, ("effect", "none in this task")))]
    if program.metric.columns or elements:
        return []
    pair = [program.forms[w].expression for w in ("w_plus", "w_minus")]
    if not _zero(program.metric, [_turn(pair, symbol, program.metric.nonnegative)]):
        return []
    # A geometric mean's slope in a class has the class's value below.
    scaled = pair if shared else [*pair, program.forms["value"].expression]
    if all(_same_everywhere(program.metric, e, symbol) for e in scaled if e != 0):
        fact = f"{parameter.name} scales the gradient of {name} and nothing else: as a change of "
        fact += "the learning rate does"
        return [_without(plan, fact, RATIONAL, (*data, ("effect", "scale")))]
    of = _unit(subject)
    fact = f"{parameter.name} changes the size of each {of}'s gradient, not its direction within "
    fact += f"the {of}"
    data += (("effect", "size"),)
    return [ir.Finding("MC0605", "note", fact, RATIONAL, places.whole(plan.metric), data=data)]


def _same_everywhere(metric: ir.Metric, scaled: sympy.Expr, symbol: sympy.Symbol) -> bool:
    """Whether the factor that a parameter puts before an expression is proved free of counts.

    Its logarithm's slope is e'/e: free of counts where the factor is.
    """
    try:
        slope = _quotient(scaled.diff(symbol), scaled, metric.nonnegative)
    except (TooLarge, ZeroDivisionError):
        return False
    return not {s.name for s in slope.free_symbols} & {*metric.cells}


def _unit(subject: Subject) -> str:
    """Of what there is one table: its samples' gradients keep their proportions."""
    if subject.options.per == "sample":
        return "sample"
    table = subject.plan.metric.tables[0].reduction
    if subject.plan.metric.single or table == "micro":
        return "batch"
    return "sample" if table == "samples" else "class"


def _without(
    plan: ir.Plan, fact: str, evidence: str, data: tuple[tuple[str, ir.Datum], ...]
) -> ir.Finding:
    hint = "leave it out, or see whether the formula is what you mean"
    place = places.whole(plan.metric)
    return ir.Finding("MC0605", "warning", fact, evidence, place, hint, data)


def _of_one_number(plan: ir.Plan, symbol: sympy.Symbol) -> str:
    """Why a parameter drops out of a pooled table of classes, or an empty text: each sample is one
    false positive where it is one false negative."""
    value = plan.program.forms["value"].expression
    tp, fn, fp, tn = map(sympy.Symbol, CELLS)
    pooled = value.xreplace({fp: fn, tn: fn + tp + sympy.Symbol("others")})
    try:
        known = plan.program.metric.nonnegative | {"others"}
        slope = pooled.diff(symbol)
        if Field([slope], known).equal(slope, sympy.Integer(0)):
            return (
                "pooled over classes every miss of one class is a false alarm of another, FP = FN"
            )
    except (TooLarge, ZeroDivisionError):
        pass
    return ""


def _zero(metric: ir.Metric, expressions: Sequence[sympy.Expr]) -> bool:
    """Whether expressions are proved to be 0."""
    if all(e == 0 for e in expressions):
        return True
    try:
        field = Field(expressions, metric.nonnegative)
        return all(field.equal(e, sympy.Integer(0)) for e in expressions)
    except (TooLarge, ZeroDivisionError):
        return False
