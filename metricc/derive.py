"""ir.Metric → ir.Gradient: the raw partial derivatives, by SymPy.

A metric of one table is differentiated in its cells, one of several terms in the terms:
dM/dcell = Σ_j (∂outer/∂r_j) · (∂r_j/∂e_j) · (∂e_j/∂cell), and `compose` joins the three. A metric
that is a sum is differentiated part by part.
"""

from __future__ import annotations

import sympy

from metricc import ir
from metricc.select import Select


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
        parts = (
            sympy.Mul(*arguments[:i], slope, *arguments[i + 1 :])
            for i, slope in enumerate(inner)
            if slope != 0
        )
        return sympy.Add(*parts)
    if isinstance(expression, Select):
        return Select(arguments[0], arguments[1], inner[2], inner[3])
    slopes = (expression.fdiff(i + 1) * slope for i, slope in enumerate(inner) if slope != 0)
    return sympy.Add(*slopes)
