"""Functions written so that algebra sees what they have in common.

    min(a, b) = a + min(0, b - a)            one minimum for all that shift its arguments,
    max(a, b) = b - min(0, b - a)            and for maxima
    |x| = x (2 step(x) - 1)                  which cancels against x
    step(-2 x) = 1 - step(x)                 one step for both sides
    step(x/y) = step(x)  for y > 0           beside magnitudes
    log(x y/(x z)) = log(y/z)                every logarithm's argument in lowest terms

All are equal wherever they have a value, ties included: step(0) is 1/2. `cancellation.absorbed`
writes minima as people do again. So where TP/min(TP + FN, TP + FP) is differentiated in TP,
min(FN, FP) over a square is found, and not a difference of two quotients that are nearly equal.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

from metricc.algebra import canonical
from metricc.signs import sign_of

Settle = Callable[[sympy.Expr], sympy.Expr]


def settled(expression: sympy.Expr, nonnegative: frozenset[str]) -> Settle:
    """The rewriting of this module as a function of expressions, which remembers their parts.

    `expression` is the metric's: the steps of one that has magnitudes are to cancel against what
    the magnitudes are of, and lose their denominators.
    """
    magnitudes = [m for m in expression.atoms(sympy.Max) if _magnitude(m)]
    cleared = nonnegative if magnitudes else None
    known: dict[sympy.Expr, sympy.Expr] = {}

    def settle(expression: sympy.Expr) -> sympy.Expr:
        if expression not in known:
            known[expression] = _settled(expression, settle, cleared, nonnegative)
        return known[expression]

    return settle


def _magnitude(node: sympy.Expr) -> bool:
    """Whether a part is max(x, -x)."""
    return isinstance(node, sympy.Max) and len(node.args) == 2 and node.args[0] == -node.args[1]


def _settled(
    expression: sympy.Expr,
    settle: Settle,
    cleared: frozenset[str] | None,
    nonnegative: frozenset[str],
) -> sympy.Expr:
    if not expression.args:
        return expression
    if isinstance(expression, sympy.Heaviside):
        sign, inner = _direction(settle(expression.args[0]), cleared)
        step = sympy.Heaviside(inner)
        return step if sign > 0 else 1 - step
    arguments = [settle(argument) for argument in expression.args]
    if _magnitude(expression):
        inner = max(arguments, key=sympy.default_sort_key)
        return inner * (2 * settle(sympy.Heaviside(inner)) - 1)
    if isinstance(expression, sympy.Min | sympy.Max) and len(arguments) == 2:
        one, two = sorted(arguments, key=sympy.default_sort_key)
        if one.is_polynomial() and two.is_polynomial():
            apart = sympy.expand(two - one)
            turned = -apart
            least = sympy.Min(0, apart)
            if sympy.default_sort_key(turned) < sympy.default_sort_key(apart):
                least = sympy.Min(0, turned) + apart
            return one + least if isinstance(expression, sympy.Min) else two - least
    if isinstance(expression, sympy.log):
        return sympy.log(canonical(arguments[0], nonnegative))
    if all(one is two for one, two in zip(arguments, expression.args, strict=True)):
        return expression
    return expression.func(*arguments)


def _direction(argument: sympy.Expr, nonnegative: frozenset[str] | None) -> tuple[int, sympy.Expr]:
    """A step's argument without a number before it, and its sign: one for x and -2*x.

    `nonnegative`, where given: without denominators of one sign too.
    """
    if nonnegative is not None:
        above, below = sympy.fraction(sympy.together(argument))
        if below.free_symbols and (known := sign_of(below, nonnegative)):
            argument = sympy.expand(known * above)
    _, inner = argument.as_content_primitive()
    sign = 1
    if sympy.default_sort_key(-inner) < sympy.default_sort_key(inner):
        sign, inner = -1, -inner
    return sign, inner
