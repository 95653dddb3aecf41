"""Which metrics of the library a formula is, decided by normal forms.

Numbers at a few points only choose the candidates; a match is reported where `algebra.Field`
proves the two expressions equal. Parameters are found by setting the difference's coefficients
in the cells to zero: 5*TP/(5*TP + 4*FN + FP) is fbeta(beta = 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import sympy

from metricc import ir, library, syntax
from metricc.algebra import Field
from metricc.elements import RATIONAL
from metricc.factoring import TooLarge
from metricc.lower import lower
from metricc.numeric import mpf, sample, value_at
from metricc.parse import parse
from metricc.resolve import resolve

POINTS = 4
MAX_EQUATIONS = 200  # coefficients of one difference


def identify(metric: ir.Metric) -> tuple[str, ...]:
    """The library's metrics that `metric` is proved equal to, as formulas, its own name aside.

    "f1", "tversky(alpha = 0.5, beta = 0.5)"; where there is none, those that it is one less:
    "1 - accuracy".
    """
    if not metric.single or metric.elements:
        return ()
    expression = metric.expression
    found = sorted(_matches(metric, expression), key=_with_parameters)
    if not found:
        found = [f"1 - {n}" for n in sorted(_matches(metric, 1 - expression), key=_with_parameters)]
    return tuple(found)


def _with_parameters(name: str) -> bool:
    return "(" in name


def _matches(metric: ir.Metric, expression: sympy.Expr) -> Iterator[str]:
    for known in _library():
        if known.columns != metric.columns:
            continue
        own = library.definitions().get(metric.formula)
        if own is not None and own.name == known.name:  # also by an alias
            continue
        values = _values(known, expression, metric)
        if values is None:
            continue
        names = zip((p.name for p in known.parameters), values, strict=True)
        arguments = ", ".join(f"{name} = {value}" for name, value in names)
        yield f"{known.name}({arguments})" if arguments else known.name


@cache
def _library() -> tuple[ir.Metric, ...]:
    """Every metric of the library, lowered."""
    definitions = library.definitions()
    return tuple(lower(resolve(parse(n), definitions), n, n) for n in library.metrics())


def _values(known: ir.Metric, expression: sympy.Expr, metric: ir.Metric) -> tuple[str, ...] | None:
    """The values of the known metric's parameters at which it is `expression`, if there are any."""
    candidate, own = known.expression, metric.parameters
    if len(own) == len(known.parameters):  # the same parameters, perhaps under other names
        renamed = {
            sympy.Symbol(k.name): sympy.Symbol(p.name)
            for k, p in zip(known.parameters, own, strict=True)
        }
        candidate = candidate.xreplace(renamed)
        if _agree(candidate, expression, metric) and _equal(candidate, expression, metric):
            return tuple(p.name for p in own)
    elif not own:
        for values in _solved(known, expression):
            candidate = known.expression.subs(values)
            if _agree(candidate, expression, metric) and _equal(candidate, expression, metric):
                exact = (values[sympy.Symbol(p.name)] for p in known.parameters)
                return tuple(syntax.decimal(Fraction(int(v.p), int(v.q))) for v in exact)
    return None


def _agree(one: sympy.Expr, other: sympy.Expr, metric: ir.Metric) -> bool:
    """Whether two expressions have the same value at a few points."""
    for point in sample(metric.unknowns, POINTS):
        a, b = value_at(one, point, 40), value_at(other, point, 40)
        if (a is None) != (b is None):
            return False
        if a is not None and b is not None and abs(a - b) > mpf(10) ** -25 * max(abs(a), 1):
            return False
    return True


def _equal(one: sympy.Expr, other: sympy.Expr, metric: ir.Metric) -> bool:
    try:
        return Field([one, other], frozenset(metric.cells)).equal(one, other)
    except (TooLarge, ZeroDivisionError):
        return False


def _solved(known: ir.Metric, expression: sympy.Expr) -> Iterator[dict[sympy.Symbol, Any]]:
    """Values in range of the known metric's parameters that may make it `expression`."""
    difference = known.expression - expression
    parameters = {sympy.Symbol(p.name): p.interval for p in known.parameters}
    field = Field([difference], known.nonnegative)
    try:
        element = field.element(difference)
    except (TooLarge, ZeroDivisionError):
        return
    if set(element) != {RATIONAL} or field.opaque:
        return
    numerator = element[RATIONAL].numerator.as_expr()
    cells = [sympy.Symbol(c) for c in known.cells]
    equations = sympy.Poly(numerator, *cells).coeffs()
    if len(equations) <= MAX_EQUATIONS:
        yield from _roots(equations, parameters)


def _roots(
    equations: list[sympy.Expr], unknown: dict[sympy.Symbol, syntax.Interval | None]
) -> Iterator[dict[sympy.Symbol, Any]]:
    """Rational solutions, one unknown after the other; each needs an equation of its own."""
    if not unknown:
        if all(e == 0 for e in equations):
            yield {}
        return
    for equation in equations:
        symbols = equation.free_symbols
        if len(symbols) != 1:
            continue
        (symbol,) = symbols
        for factor, _ in sympy.Poly(equation, symbol).factor_list()[1]:
            if factor.degree() != 1:
                continue
            slope, constant = factor.all_coeffs()
            root = -constant / slope
            interval = unknown[symbol]
            if interval is None or Fraction(int(root.p), int(root.q)) in interval:
                rest = {s: i for s, i in unknown.items() if s != symbol}
                for more in _roots([sympy.expand(e.subs(symbol, root)) for e in equations], rest):
                    yield {symbol: root, **more}
        return
