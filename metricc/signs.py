"""The sign that can be read off an expression, and the parts that it has."""

from __future__ import annotations

from collections.abc import Callable

import sympy

from metricc.select import LogRatio, Select


def parts_of(*expressions: sympy.Expr) -> set[sympy.Expr]:
    """The parts of expressions, each once: SymPy's own walks meet a part as often as it is used."""
    seen: set[sympy.Expr] = set()
    stack = [*expressions]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += node.args
    return seen


def sign_of(
    expression: sympy.Expr,
    nonnegative: frozenset[str],
    known: dict[sympy.Expr, int | None] | None = None,
) -> int | None:
    """The sign that can be read off an expression: 1, -1 or 0; None where it subtracts.

    A sign that can be read off is a proof, and an expression that has one at every sum is free
    of cancellation. `nonnegative` are the names of the symbols that are at least 0. `known` keeps
    the signs of parts from one question to the next.
    """
    known = {} if known is None else known
    if expression not in known:
        known[expression] = _read(
            expression, lambda part: sign_of(part, nonnegative, known), nonnegative
        )
    return known[expression]


def _read(
    expression: sympy.Expr, sign: Callable[[sympy.Expr], int | None], nonnegative: frozenset[str]
) -> int | None:
    if expression.is_Rational:
        return int(sympy.sign(expression))
    if expression.is_Symbol:
        return 1 if expression.name in nonnegative else None
    if expression.is_Add:
        signs = {sign(a) for a in expression.args}
        return signs.pop() if len(signs) == 1 else None
    if expression.is_Mul:
        product = 1
        for argument in expression.args:
            factor = sign(argument)
            if factor is None:
                return None
            product *= factor
        return product
    if expression.is_Pow:
        base = sign(expression.base)
        if base is None and expression.exp.is_even and expression.base.is_Symbol:
            return 1  # beta^2 for a beta of any sign
        return base if base is None or expression.exp.is_odd else 1 if base else base
    if isinstance(expression, sympy.exp):
        return 1 if sign(expression.args[0]) is not None else None
    if isinstance(expression, Select):
        signs = {sign(branch) for branch in expression.args[2:]}
        return signs.pop() if len(signs) == 1 else None
    if isinstance(expression, sympy.Min | sympy.Max):
        found = [sign(argument) for argument in expression.args]
        if None in found:  # an argument subtracts, and that is what |x| is made of
            return None
        return (min if isinstance(expression, sympy.Min) else max)(
            s for s in found if s is not None
        )
    if isinstance(expression, LogRatio):
        return sign(expression.args[2])
    if isinstance(expression, sympy.Heaviside):
        return 1  # a step: what it compares is not a difference of near numbers that is kept
    return None
