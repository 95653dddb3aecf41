"""`Select(l, r, a, b)`: a where l < r, else b. What every condition of the language becomes.

SymPy's own Piecewise folds, reorders and decides conditions by rules that differ between
versions; this function does nothing by itself. Its derivative is that of the branch that is
taken, also where the branches meet: at l = r that is b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import sympy

from metricc.errors import fail

Condition: TypeAlias = tuple[sympy.Expr, sympy.Expr]  # left < right


class Select(sympy.Function):  # type: ignore[misc]
    """a where l < r, else b; decided at once where both sides are numbers or the branches agree."""

    nargs = 4

    @classmethod
    def eval(
        cls, left: sympy.Expr, right: sympy.Expr, then: sympy.Expr, otherwise: sympy.Expr
    ) -> sympy.Expr | None:
        if then == otherwise:
            return then
        if left == right:
            return otherwise
        if left.is_number and right.is_number and left.is_real and right.is_real:
            return then if bool(left < right) else otherwise
        return None

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        left, right, then, otherwise = self.args
        return Select(left, right, then.diff(symbol), otherwise.diff(symbol))

    def _eval_rewrite(self, rule: Any, args: Sequence[sympy.Expr], **hints: Any) -> Any:
        return self._as_piecewise() if rule is sympy.Piecewise else None

    def _as_piecewise(self) -> sympy.Expr:
        left, right, then, otherwise = self.args
        return sympy.Piecewise((then, sympy.Lt(left, right)), (otherwise, True))

    def _latex(self, printer: Any, exp: Any = None) -> str:
        left, right, then, otherwise = map(printer._print, self.args)
        text = (
            rf"\begin{{cases}} {then} & \text{{for}}\: {left} < {right} \\"
            rf"{otherwise} & \text{{otherwise}} \end{{cases}}"
        )
        return rf"\left({text}\right)^{{{exp}}}" if exp is not None else text

    def _sympystr(self, printer: Any) -> str:
        left, right, then, otherwise = map(printer._print, self.args)
        return f"Piecewise(({then}, {left} < {right}), ({otherwise}, True))"


class LogRatio(sympy.Function):  # type: ignore[misc]
    """log(a/b), with d = a - b as a third argument that has no rounding of a and b in it.

    For code alone: what people read says log(a/b).
    """

    nargs = 3


def conditions(expression: sympy.Expr) -> list[Condition]:
    """The distinct conditions of an expression, in an order that does not depend on hashes."""
    found = {select.args[:2] for select in expression.atoms(Select)}
    return sorted(found, key=lambda pair: [sympy.default_sort_key(side) for side in pair])


def assume(expression: sympy.Expr, truths: Mapping[Condition, bool]) -> sympy.Expr:
    """The expression with every condition in `truths` decided."""
    if not truths:
        return expression
    decided = {}
    for select in expression.atoms(Select):
        if select.args[:2] in truths:
            taken = select.args[2 if truths[select.args[:2]] else 3]
            decided[select] = assume(taken, truths)
    try:
        return expression.xreplace(decided)
    except ValueError:  # SymPy's Min and Max refuse what is not real
        hint = "roots and logarithms need positive arguments in every branch"
        raise fail("MC0301", "a branch of a condition is not a real number", hint) from None


def cases(found: Sequence[Condition]) -> list[dict[Condition, bool]]:
    """Every way in which conditions may hold."""
    return [
        dict(zip(found, truths, strict=True))
        for truths in product((True, False), repeat=len(found))
    ]


def joined(found: Sequence[Condition], leaves: Sequence[sympy.Expr]) -> sympy.Expr:
    """One expression of what holds in each of `cases(found)`."""
    if not found:
        return leaves[0]
    half = len(leaves) // 2
    (left, right), *rest = found
    return Select(left, right, joined(rest, leaves[:half]), joined(rest, leaves[half:]))
