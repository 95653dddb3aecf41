"""ir.Metric → ir.Gradient: the raw partial derivatives, by SymPy.

dM/dcell = Σ_j (∂outer/∂r_j) · (∂r_j/∂e_j) · (∂e_j/∂cell); in a binary task every reduction is
the identity and its factor is 1. A metric that is a sum is differentiated part by part.
"""

from __future__ import annotations

import sympy

from metricc import ir
from metricc.functions import CELLS
from metricc.select import Select


def derive(metric: ir.Metric) -> ir.Gradient:
    """Differentiate the metric in TP, FN, FP and TN. Nothing is simplified here."""
    parts = sympy.Add.make_args(metric.outer)
    gradient = ir.Gradient(metric, tuple(p for o in parts for p in _parts(o, metric.terms)))
    gradient.validate()
    return gradient


def _parts(outer: sympy.Expr, terms: tuple[ir.Term, ...]) -> list[ir.Part]:
    """The additive parts of one addend of the outer expression."""
    inside = {term.symbol: term.expression for term in terms}
    if outer in inside:  # the binary identity: the parts are those of the term itself
        addends = sympy.Add.make_args(inside[outer])
        return [ir.Part(a, _partials(outer, {outer: a})) for a in addends]
    return [ir.Part(outer.xreplace(inside), _partials(outer, inside))]


def _partials(
    outer: sympy.Expr, inside: dict[sympy.Symbol, sympy.Expr]
) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr, sympy.Expr]:
    a, b, c, d = (
        sympy.Add(
            *(
                sympy.diff(outer, symbol).xreplace(inside)
                * _derivative(expression, sympy.Symbol(cell), {})
                for symbol, expression in inside.items()
            )
        )
        for cell in CELLS
    )
    return a, b, c, d


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
