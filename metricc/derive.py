"""ir.Metric → ir.Gradient: the raw partial derivatives, by SymPy.

dM/dcell = Σ_j (∂outer/∂r_j) · (∂r_j/∂e_j) · (∂e_j/∂cell); in a binary task every reduction is
the identity and its factor is 1. A metric that is a sum is differentiated part by part.
"""

from __future__ import annotations

import sympy

from metricc import ir
from metricc.functions import CELLS


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
                * sympy.diff(expression, sympy.Symbol(cell))
                for symbol, expression in inside.items()
            )
        )
        for cell in CELLS
    )
    return a, b, c, d
