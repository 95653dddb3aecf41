"""ir.Metric → ir.Gradient → ir.Curvature: the raw first and second derivatives, by SymPy.

A metric of one table is differentiated in its cells, one of several terms in the terms:
dM/dcell = Σ_j (∂outer/∂r_j) · (∂r_j/∂e_j) · (∂e_j/∂cell), and `compose` joins the three. A metric
that is a sum is differentiated part by part.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import sympy

from metricc import ir
from metricc.select import Select

MANY = 8  # factors of a product that is differentiated at once


def derive(metric: ir.Metric) -> ir.Gradient:
    """Differentiate the metric in its variables. Nothing is simplified here."""
    addends = sympy.Add.make_args(metric.outer_expression)
    symbols = [sympy.Symbol(name) for name in metric.variables]
    known: list[dict[sympy.Expr, sympy.Expr]] = [{} for _ in symbols]
    parts = tuple(
        ir.Part(
            addend,
            tuple(_derivative(addend, s, seen) for s, seen in zip(symbols, known, strict=True)),
        )
        for addend in addends
    )
    gradient = ir.Gradient(metric, parts)
    gradient.validate()
    return gradient


def derive_twice(gradient: ir.Gradient) -> ir.Curvature:
    """Differentiate the raw partials of a metric of one table once more. Nothing is simplified.

    Where minima, maxima and conditions choose, the second derivative is that of what is chosen: the
    choice itself does not change, but where the branches meet.
    """
    symbols = [sympy.Symbol(name) for name in gradient.metric.variables]
    known: list[dict[sympy.Expr, sympy.Expr]] = [{} for _ in symbols]
    parts = tuple(
        ir.Part(
            part.expression,
            tuple(
                _derivative(partial, symbols[j], known[j])
                for i, partial in enumerate(part.partials)
                for j in range(i, len(symbols))
            ),
        )
        for part in gradient.parts
    )
    curvature = ir.Curvature(gradient.metric, parts)
    curvature.validate()
    return curvature


def _derivative(
    expression: sympy.Expr, symbol: sympy.Symbol, known: dict[sympy.Expr, sympy.Expr]
) -> sympy.Expr:
    """SymPy's derivative, each shared part differentiated once.

    Sums, products and constant powers are spelled out here, since SymPy's own rules walk through
    the whole tree again at every level; functions are SymPy's.
    """
    if expression not in known:
        known[expression] = _rule(expression, symbol, known)
    return known[expression]


def _rule(
    expression: sympy.Expr, symbol: sympy.Symbol, known: dict[sympy.Expr, sympy.Expr]
) -> sympy.Expr:
    arguments = expression.args
    if not arguments:
        return sympy.Integer(expression == symbol)
    if expression.is_Pow:
        base, exponent = arguments  # an exponent never holds a cell
        return exponent * base ** (exponent - 1) * _derivative(base, symbol, known)
    inner = [_derivative(a, symbol, known) for a in arguments]
    if expression.is_Add:
        return sympy.Add(*inner)
    if expression.is_Mul:
        if sum(slope != 0 for slope in inner) > MANY:
            arguments, inner = _evened(arguments, inner)
        return _of_product(arguments, inner)
    if isinstance(expression, Select):
        return Select(arguments[0], arguments[1], inner[2], inner[3])
    if isinstance(expression, sympy.Heaviside):  # a step: flat on both sides
        return sympy.Integer(0)
    slopes = (expression.fdiff(i + 1) * slope for i, slope in enumerate(inner) if slope != 0)
    return sympy.Add(*slopes)


def _of_product(factors: Sequence[sympy.Expr], slopes: Sequence[sympy.Expr]) -> sympy.Expr:
    """The derivative of a product: a sum with one slope in each term.

    Of many factors one half after the other, or a product of n factors would be written n times.
    """
    varying = sum(slope != 0 for slope in slopes)
    if varying > MANY:
        middle = len(factors) // 2
        left, right = factors[:middle], factors[middle:]
        return sympy.Add(
            sympy.Mul(_of_product(left, slopes[:middle]), *right),
            sympy.Mul(*left, _of_product(right, slopes[middle:])),
        )
    parts = (
        sympy.Mul(*factors[:i], slope, *factors[i + 1 :])
        for i, slope in enumerate(slopes)
        if slope != 0
    )
    return sympy.Add(*parts)


def _evened(
    factors: Sequence[sympy.Expr], slopes: Sequence[sympy.Expr]
) -> tuple[list[sympy.Expr], list[sympy.Expr]]:
    """Factors with what divides between them, so that parts of the product stay of its own size."""
    pairs = list(zip(factors, slopes, strict=True))
    below = [pair for pair in pairs if pair[0].is_Pow and pair[0].exp.could_extract_minus_sign()]
    above = [pair for pair in pairs if pair not in below]
    mixed = [pair for both in zip_longest(above, below) for pair in both if pair is not None]
    return [factor for factor, _ in mixed], [slope for _, slope in mixed]
