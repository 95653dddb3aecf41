"""Roots as variables of their own: sums of different roots have factors then.

sqrt(a)/(sqrt(a) + sqrt(b)) is no product of powers of counts, and its derivative as differentiation
gives it subtracts quotients. Over r = sqrt(a) and s = sqrt(b) it is rational, and its derivative is
one product of factors in counts, r and s.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import lcm

import sympy

from metricc.algebra import Field
from metricc.signs import parts_of

MOST_WORK = 50_000  # products of terms: formulas whose roots need more are written as they stand


class Radicals:
    """The roots that stand in `expressions`, each one variable, and the algebra over them.

    `above` says that 1/sqrt(a) is sqrt(a)/a, which is singular where a count is 0 and not where a
    root is; else it is the reciprocal of sqrt(a), which cancels more.
    """

    def __init__(
        self, expressions: Iterable[sympy.Expr], nonnegative: frozenset[str], above: bool
    ) -> None:
        self.above = above
        expressions = list(expressions)
        self.exponents: dict[sympy.Expr, sympy.Rational] = {}  # of each base's variable
        powers = [part for part in parts_of(*expressions) if part.is_Pow]
        for part in sorted(powers, key=sympy.default_sort_key):
            if part.exp.is_Rational and not part.exp.is_Integer:
                self._take(part.base, part.exp)
        bases = sorted(self.exponents, key=sympy.default_sort_key)
        self.variables = {b: sympy.Symbol(f"_r{i}") for i, b in enumerate(bases)}
        self.meaning = {v: b ** self.exponents[b] for b, v in self.variables.items()}
        self.known: dict[sympy.Expr, sympy.Expr] = {}
        names = {v.name for v in self.variables.values()}
        self.field = Field(map(self.without, expressions), nonnegative | names, MOST_WORK)

    def _take(self, base: sympy.Expr, exponent: sympy.Rational) -> None:
        """Let a base's variable be its largest power below 1, by which the others can be said."""
        part = exponent - sympy.floor(exponent) if exponent > 0 else sympy.Rational(1, exponent.q)
        known = self.exponents.get(base, part)
        if known.q % part.q:
            known = sympy.Rational(1, lcm(int(known.q), int(part.q)))
        self.exponents[base] = max(known, part) if known.q == part.q else known

    def without(self, expression: sympy.Expr) -> sympy.Expr:
        """The expression over the variables."""
        if expression not in self.known:
            self.known[expression] = self._without(expression)
        return self.known[expression]

    def _without(self, expression: sympy.Expr) -> sympy.Expr:
        if not (expression.is_Add or expression.is_Mul or expression.is_Pow):
            return expression  # a function is a variable of its own, whatever it is of
        if expression.is_Pow and expression.base in self.variables and expression.exp.is_Rational:
            base = expression.base
            if not expression.exp.is_Integer:
                power = self._power(base, expression.exp)
                rest = expression.exp - power * self.exponents[base]
                return self.variables[base] ** power * self.without(base) ** rest
        return expression.func(*map(self.without, expression.args))

    def _power(self, base: sympy.Expr, exponent: sympy.Rational) -> int:
        """The least power of a base's variable that leaves a whole power of the base."""
        one = self.exponents[base]
        sides = (1,) if self.above else ((1, -1) if exponent > 0 else (-1, 1))
        powers = (size * side for size in range(1, int(one.q) + 1) for side in sides)
        return next(p for p in powers if (exponent - p * one).is_Integer)

    def factors(self, expression: sympy.Expr) -> tuple[Fraction, dict[sympy.Expr, Fraction]]:
        """As `Field.factors`, roots standing in the factors."""
        coefficient, powers = self.field.factors(self.without(expression))
        return coefficient, {self.back(f): p for f, p in powers.items()}

    def back(self, expression: sympy.Expr) -> sympy.Expr:
        """The roots in place of their variables."""
        found = expression
        while found.free_symbols & set(self.meaning):  # roots stand in roots
            found = found.xreplace(self.meaning)
        return found
