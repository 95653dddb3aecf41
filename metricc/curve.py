"""Text → Surrogate: a formula in p or z as a surrogate, derived, checked, and made into code.

    1/(1 + exp(-L*(p - 0.5)))          p, L at its usual default
    power(k = 3 in (1, inf)) = p^k     arguments of its own, in a head

A must rise from at least 0 to at most 1. Its slope and 1 - A are simplified by the same algebra as
metrics are: 1 - A is E/(1 + E) rather than a difference.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product

import sympy

from metricc import ir, syntax
from metricc.algebra import Field, product_of
from metricc.errors import Diagnostic, MetriccError, fail
from metricc.extract import extract, inline
from metricc.factoring import TooLarge
from metricc.functions import ELEMENTWISE, FUNCTIONS
from metricc.lower import Lowering
from metricc.numeric import inside, mpf, value_at
from metricc.parse import parse
from metricc.resolve import parameter_problems
from metricc.select import Select
from metricc.signs import sign_of
from metricc.surrogates import USUAL, Bounds, Curve, Surrogate, Value
from metricc.syntax import Interval

P, Q, Z = sympy.symbols("p q z")
MAX_PARAMETERS = 4
GRID = 64  # steps over the variable at which A is looked at
SLACK = 1e-9  # by which rounding may leave [0, 1]
DIGITS = 30


def curve(text: str) -> Surrogate:
    """Read a formula surrogate. Raises `MetriccError` where it is none."""
    read = parse(text, "<surrogate>")
    definition = _definition(read)
    names = {n.id: n for n in syntax.walk(definition.body) if isinstance(n, syntax.Name)}
    parameters = _parameters(read, definition, names)
    if not {"p", "z"} & set(names):
        hint = "p is the probability of a prediction, z its logit"
        raise _wrong(read, definition.body, "the surrogate has neither p nor z in it", hint)
    scope = {n: sympy.Symbol(n) for n in ("p", "z", *(p.name for p in parameters))}
    lowering = Lowering(read, parameters)
    a = lowering.expression(definition.body, scope)
    replace(read, diagnostics=(*read.diagnostics, *lowering.errors)).checked()
    variable = "z" if "z" in names else "p"
    slope = a.diff(P) if variable == "p" else a.diff(Z) + a.diff(P) * P * Q
    ends = _ends(read, definition.body, a, variable, parameters)
    given = _defaults(parameters)
    if all(value_at(slope, point | given, DIGITS) in (0, None) for point in _points(variable)):
        hint = "steps teach nothing; straight_through counts decisions and borrows a slope"
        raise _wrong(read, definition.body, "the surrogate's slope is 0 everywhere", hint, "MC0308")
    raw = (a, 1 - a, slope)
    others = ("p", "q", "z", *(p.name for p in parameters))
    block = _stepwise(extract(_forms(raw, parameters), others))
    _compare(raw, inline(block), parameters)
    arguments: list[tuple[str, Value, Bounds]] = [
        (p.name, float(p.default or 0), p.interval) for p in parameters
    ]
    kinked = a.has(sympy.Max, sympy.Min, Select)
    shown = str(definition.body)
    found = Curve(replace(read, definitions=(definition,), metric=None), block, variable, ends)
    return Surrogate(
        text.strip(), shown, "given as a formula", tuple(arguments), "", kinked, False, found
    )


def _definition(read: syntax.Text) -> syntax.Definition:
    """The text's only statement as a definition."""
    read.checked()
    if read.metric is not None and not read.definitions:
        return syntax.Definition("surrogate", (), read.metric.body, span=read.metric.span)
    if read.metric is None and len(read.definitions) == 1:
        return read.definitions[0]
    hint = "write one formula, or one definition: s(k = 3) = p^k"
    raise fail("MC0501", "a surrogate is one statement", hint)


def _parameters(
    read: syntax.Text, definition: syntax.Definition, names: dict[str, syntax.Name]
) -> tuple[ir.Parameter, ...]:
    """The head's parameters, then the usual arguments that the body names without a head."""
    head = {p.name: p for p in definition.parameters}
    for code, fact, span, hint in parameter_problems(definition, frozenset(USUAL)):
        raise MetriccError(Diagnostic(code, fact, span, hint, read.source, read.origin))
    for parameter in definition.parameters:
        if parameter.name in ELEMENTWISE:
            fact = f"`{parameter.name}` is a name of the generated file"
            hint = f"choose another name, such as `{parameter.name}_`"
            raise _wrong(read, parameter, fact, hint, "MC0207")
        if parameter.default is None:
            hint = f"write {parameter.name} = ... in the head"
            raise _wrong(read, parameter, f"`{parameter.name}` has no default", hint, "MC0203")
    if len(head) > MAX_PARAMETERS:
        fact = f"the surrogate has {len(head)} parameters; at most {MAX_PARAMETERS} are read"
        raise _wrong(read, definition.body, fact, "write numbers for the others")
    found = [ir.Parameter(p.name, p.default, p.interval) for p in head.values()]
    for name, node in names.items():
        if name in head or name in ("p", "z"):
            continue
        if name not in USUAL:
            hint = f"a surrogate is made of p, z, {', '.join(USUAL)} and numbers"
            raise _wrong(read, node, f"`{name}` is not known", hint, "MC0201")
        usual, (low, high) = USUAL[name]
        interval = Interval(Fraction(low), Fraction(high))
        found.append(ir.Parameter(name, Fraction(usual), interval))
    for part in syntax.walk(definition.body):
        if isinstance(part, syntax.Call) and part.function not in FUNCTIONS:
            hint = f"a surrogate calls {', '.join(FUNCTIONS)} alone"
            raise _wrong(read, part, f"`{part.function}` is not known", hint, "MC0201")
    return tuple(found)


def _defaults(parameters: tuple[ir.Parameter, ...]) -> dict[sympy.Symbol, object]:
    return {sympy.Symbol(p.name): mpf(float(p.default or 0)) for p in parameters}


def _other(parameter: ir.Parameter) -> float:
    """Another value than the default: one in the range, for the usual arguments a near one."""
    if parameter.name in USUAL:
        return float(parameter.default or 0) * 1.5
    return inside(parameter)


def _points(variable: str) -> list[dict[sympy.Symbol, object]]:
    """p from 0 to 1, or z from far below to far above with its p."""
    if variable == "p":
        return [{P: mpf(i) / GRID} for i in range(GRID + 1)]
    found: list[dict[sympy.Symbol, object]] = []
    for i in range(-GRID, GRID + 1):
        z = mpf(i) / 2
        p = 1 / (1 + mpf(math.e) ** -z)
        found.append({Z: z, P: p, Q: 1 - p})
    return found


def _ends(
    read: syntax.Text,
    body: syntax.Expression,
    a: sympy.Expr,
    variable: str,
    parameters: tuple[ir.Parameter, ...],
) -> tuple[float, float]:
    """A at both ends. Raises `MetriccError` unless it rises between 0 and 1."""
    choices = [[float(p.default or 0), _other(p)] for p in parameters]
    ends = None
    for values in product(*choices):
        given = {sympy.Symbol(p.name): mpf(v) for p, v in zip(parameters, values, strict=True)}
        numbers = [value_at(a, point | given, DIGITS) for point in _points(variable)]
        shown = ", ".join(f"{s}={float(v):g}" for s, v in given.items())
        where = f" at {shown}" if shown else ""
        known = [float(number) for number in numbers if number is not None]
        if len(known) < len(numbers):
            fact = f"the surrogate has no value somewhere in 0 <= p <= 1{where}"
            raise _wrong(read, body, fact, "A(p) is a number for every probability", "MC0308")
        if min(known) < -SLACK or max(known) > 1 + SLACK:
            fact = f"the surrogate reaches from {min(known):g} to {max(known):g}{where}"
            raise _wrong(read, body, fact, "A(p) lies between 0 and 1: scale it", "MC0308")
        falls = [x for x, y in pairwise(known) if y < x - SLACK]
        if falls or known[-1] <= known[0]:
            hint = "a larger probability must count as more positive"
            raise _wrong(read, body, f"the surrogate falls, or stays level{where}", hint, "MC0308")
        ends = ends or (known[0], known[-1])
    assert ends is not None
    return ends


def _forms(raw: tuple[sympy.Expr, ...], parameters: tuple[ir.Parameter, ...]) -> list[sympy.Expr]:
    """Each expression as written or factored; 1 - p is q, which is exact near p = 1."""
    nonnegative = ir.nonnegative(parameters) | {"p", "q"}
    field = Field(raw, nonnegative)
    found = []
    for expression in raw:
        try:
            factored = product_of(*field.factors(expression))
        except (TooLarge, ZeroDivisionError):
            found.append(expression)
            continue
        forms = [form.xreplace({1 - P: Q, P - 1: -Q}) for form in (expression, factored)]
        found.append(min(forms, key=lambda e: (_cancels(e, nonnegative), sympy.count_ops(e))))
    return found


def _cancels(expression: sympy.Expr, nonnegative: frozenset[str]) -> bool:
    """Whether a form subtracts: E/(1 + E) does not, 1 - 1/(1 + E) does."""
    positive = dict.fromkeys(expression.atoms(sympy.exp), Q)
    return sign_of(expression.xreplace(positive), nonnegative) is None


def _stepwise(block: ir.Block) -> ir.Block:
    """x/y^2 as (x/y)/y: the square of a large exponential leaves float32."""

    def rewritten(node: syntax.Expression) -> syntax.Expression:
        node = syntax.rebuilt(node, rewritten)
        if not isinstance(node, syntax.Product) or not node.divides[-1]:
            return node
        above, below = node.operands[:-1], node.operands[-1]
        twice = isinstance(below, syntax.Power) and below.exponent == syntax.Number(Fraction(2))
        if any(node.divides[:-1]) or not twice or not isinstance(below, syntax.Power):
            return node
        inner = syntax.Product((*above, below.base), node.divides)
        return syntax.Product((inner, below.base), (True,))

    assignments = tuple((name, rewritten(e)) for name, e in block.assignments)
    return ir.Block(assignments, tuple(map(rewritten, block.results)))


def _compare(
    raw: tuple[sympy.Expr, ...], final: list[sympy.Expr], parameters: tuple[ir.Parameter, ...]
) -> None:
    """`AssertionError` where simplification changed a value."""
    given = {sympy.Symbol(p.name): mpf(inside(p)) for p in parameters}
    for one, other in zip(raw, final, strict=True):
        for i in range(1, 8):
            point = given | {P: mpf(i) / 8, Q: 1 - mpf(i) / 8, Z: mpf(i) - 4}
            a, b = value_at(one, point, DIGITS), value_at(other, point, DIGITS)
            assert a is None or b is None or abs(a - b) < 1e-20 * max(1, abs(a)), (one, other)


def _wrong(
    read: syntax.Text,
    node: syntax.Expression | syntax.Parameter,
    message: str,
    hint: str,
    code: str = "MC0501",
) -> MetriccError:
    return MetriccError(Diagnostic(code, message, node.span, hint, read.source, read.origin))
