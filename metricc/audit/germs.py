"""What an expression becomes where some counts are 0 or nearly 0: exact values and limits.

Every number is a *germ*: `c · e^k · l^m` to leading order as e goes to 0 from above, where
l = log(1/e). Counts are germs (P, e, P - e, 0), and sums, products, powers, logarithms and choices
of germs are germs again. Where leading terms cancel, rational functions are expanded, and `Unknown`
is raised for others. A count of exactly 0 follows the rules of `value` and `score`: 1/0 is
infinite, 0/0 is undefined, 0 log 0 is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

import sympy

from metricc.select import LogRatio, Select

MAX_PARTS = 400  # of an expression that is expanded or compared with 0
EPSILON = sympy.Symbol("epsilon", positive=True)


class Unknown(Exception):
    """Leading terms cancel, or a comparison is not decided: the caller samples."""


@dataclass(frozen=True)
class Germ:
    """c · e^power · log(1/e)^logs, to leading order; `exact` where there are no other terms.

    `c` is over positive symbols, and 0 only where the number is exactly 0; a 0 that is not `exact`
    is 1 over something infinite.
    """

    c: sympy.Expr
    power: Fraction = Fraction(0)
    logs: int = 0
    exact: bool = True

    @property
    def zero(self) -> bool:
        return bool(self.c == 0)

    @property
    def size(self) -> tuple[Fraction, int]:
        """Orders germs: the smallest one dominates a sum."""
        return (self.power, -self.logs)

    @property
    def flat(self) -> bool:
        """Whether it is a number like 1: neither small nor large."""
        return not self.power and not self.logs


@dataclass(frozen=True)
class Endless:
    """1/0 or log 0 (`sign` 1 or -1), or what has no value at all (`sign` 0): 0/0.

    `vanishing` are logarithms, which a factor of exactly 0 makes 0.
    """

    sign: int
    vanishing: bool = False


Value: TypeAlias = "Germ | Endless"
Symbols: TypeAlias = Mapping[sympy.Symbol, sympy.Expr]
ZERO = Germ(sympy.Integer(0))
UNDEFINED = Endless(0)


class Corner:
    """A place in the domain: each symbol is a polynomial in `EPSILON` over positive symbols.

    `bounds` writes symbols with an upper bound over others that are only positive (w as t/(1 + t)),
    for signs.
    """

    def __init__(self, point: Symbols, bounds: Symbols | None = None) -> None:
        self.point = dict(point)
        self.bounds = dict(bounds or {})
        self.known: dict[sympy.Expr, Value] = {}

    def germ(self, expression: sympy.Expr) -> Value:
        """The germ of an expression here. Raises `Unknown`."""
        if expression not in self.known:
            try:
                self.known[expression] = self._germ(expression)
            except Unknown:
                self.known[expression] = self._rational(expression)
        return self.known[expression]

    def limit(self, expression: sympy.Expr) -> sympy.Expr:
        """The limit here as an expression: oo, -oo, or nan where there is no value at all."""
        found = self.germ(expression)
        if isinstance(found, Endless):
            return {1: sympy.oo, -1: -sympy.oo, 0: sympy.nan}[found.sign]
        if found.zero or found.power > 0 or (found.power == 0 and found.logs < 0):
            return sympy.Integer(0)
        if found.flat:
            return found.c
        return sympy.oo if self.sign(found.c) > 0 else -sympy.oo

    def sign(self, c: sympy.Expr) -> int:
        """The sign of a coefficient. Raises `Unknown` where it depends on the symbols."""
        for short in (sympy.sympify(c), c.xreplace(self.bounds)):
            if short.is_zero or short.is_positive or short.is_negative:
                return 0 if short.is_zero else 1 if short.is_positive else -1
            if _size(short) > MAX_PARTS:
                break
            short = sympy.factor(sympy.together(short))
            if short.is_zero or short.is_positive or short.is_negative:
                return 0 if short.is_zero else 1 if short.is_positive else -1
        raise Unknown

    # -- rules ----------------------------------------------------------------------------------

    def _germ(self, node: sympy.Expr) -> Value:
        if node.is_Symbol:
            return _count(self.point[node])
        if node.is_Rational or node == sympy.E:
            return Germ(node)
        if node.is_Add:
            return _sum([self.germ(a) for a in node.args])
        if node.is_Mul:
            return self._product([self.germ(a) for a in node.args])
        if node.is_Pow:
            return self._power(node.base, node.exp)
        if isinstance(node, LogRatio):
            return self._logarithm(node.args[0] / node.args[1])
        if isinstance(node, sympy.log):
            return self._logarithm(node.args[0])
        if isinstance(node, Select):
            below = self._order(node.args[0], node.args[1]) < 0
            return self.germ(node.args[2 if below else 3])
        if isinstance(node, (sympy.Max, sympy.Min)):
            return self._extreme(node.args, isinstance(node, sympy.Max))
        inner = self.germ(node.args[0])
        if isinstance(inner, Endless):
            raise Unknown
        if isinstance(node, sympy.exp):
            if inner.power < 0 or (inner.power == 0 and inner.logs > 0):
                raise Unknown
            flat = inner.flat and not inner.zero
            c = sympy.exp(inner.c) if flat else sympy.Integer(1)
            return Germ(c, exact=inner.exact and (flat or inner.zero))
        if isinstance(node, sympy.Heaviside):
            return Germ(sympy.Rational(1 + self.sign(inner.c), 2))
        raise Unknown

    def _rational(self, node: sympy.Expr) -> Value:
        """The germ of a rational function, whatever cancels in it."""
        if not node.is_rational_function() or _size(node) > MAX_PARTS:
            raise Unknown
        there = node.xreplace(self.point)
        if there.has(sympy.zoo, sympy.nan, sympy.oo):
            raise Unknown
        above, below = map(_leading, sympy.fraction(sympy.together(there)))
        if above.zero or below.zero:
            if below.zero:
                raise Unknown
            return ZERO
        exact = above.exact and below.exact
        return Germ(above.c / below.c, above.power - below.power, exact=exact)

    def _product(self, parts: Sequence[Value]) -> Value:
        zeros = [p for p in parts if isinstance(p, Germ) and p.zero]
        endless = [p for p in parts if isinstance(p, Endless)]
        if endless:
            if zeros:  # x log(x) is 0 at 0
                absorbed = all(p.vanishing for p in endless) and all(z.exact for z in zeros)
                return ZERO if absorbed else UNDEFINED
            total = 1
            for part in parts:
                total *= part.sign if isinstance(part, Endless) else self.sign(part.c)
            return Endless(total, any(p.vanishing for p in endless))
        if zeros:
            return Germ(sympy.Integer(0), exact=any(z.exact for z in zeros))
        germs = [p for p in parts if isinstance(p, Germ)]
        return Germ(
            sympy.Mul(*(g.c for g in germs)),
            sum((g.power for g in germs), Fraction(0)),
            sum(g.logs for g in germs),
            all(g.exact for g in germs),
        )

    def _power(self, below: sympy.Expr, exponent: sympy.Expr) -> Value:
        base = self.germ(below)
        if not exponent.is_Rational:
            raise Unknown
        even = exponent.is_Integer and exponent % 2 == 0
        if isinstance(base, Endless):
            if base.sign == 0:
                return base
            if exponent < 0:
                return Germ(sympy.Integer(0), exact=False)
            if base.sign < 0 and not exponent.is_Integer:
                return UNDEFINED
            return Endless(1 if even else base.sign, base.vanishing)
        if base.zero:
            if exponent > 0:
                return base
            # A difference that is 0 changes its sign there.
            return Endless(1) if even or not _subtracts(below) else UNDEFINED
        if not exponent.is_Integer:
            if base.logs:
                raise Unknown
            if self.sign(base.c) < 0:
                return UNDEFINED
        power = base.power * Fraction(int(exponent.p), int(exponent.q))
        logs = base.logs * int(exponent) if base.logs else 0
        return Germ(base.c**exponent, power, logs, base.exact)

    def _logarithm(self, argument: sympy.Expr) -> Value:
        inner = self.germ(argument)
        if isinstance(inner, Endless):
            return Endless(max(inner.sign, 0), True)
        if inner.zero:
            return Endless(-1, True)
        if self.sign(inner.c) < 0:
            return UNDEFINED
        if inner.power:
            c = sympy.Rational(-inner.power.numerator, inner.power.denominator)
            return Germ(c, logs=1, exact=False)
        if inner.logs:
            raise Unknown
        if not vanishes(inner.c - 1):
            return Germ(sympy.log(sympy.factor(sympy.together(inner.c))), exact=inner.exact)
        if inner.exact:
            return ZERO
        found = self._rational(argument - 1)  # log(1 + x) is x
        return replace(found, exact=False) if isinstance(found, Germ) else found

    def _order(self, left: sympy.Expr, right: sympy.Expr) -> int:
        """The sign of left - right."""
        found = self.germ(left - right)
        if isinstance(found, Endless):
            if not found.sign:
                raise Unknown
            return found.sign
        return self.sign(found.c)

    def _extreme(self, arguments: Sequence[sympy.Expr], most: bool) -> Value:
        best, *rest = arguments
        germ = self.germ(best)
        if UNDEFINED.sign in (p.sign for p in map(self.germ, arguments) if isinstance(p, Endless)):
            return UNDEFINED
        joined: list[sympy.Expr] = []  # what may be larger and what may be smaller
        for argument in rest:
            other = self.germ(argument)
            try:
                order = self._order(argument, best)
            except Unknown:
                pair = (germ, other)
                if not all(isinstance(p, Germ) and p.flat and p.exact for p in pair):
                    raise
                assert isinstance(other, Germ)
                joined.append(other.c)
                continue
            if order and (order > 0) == most:
                best, germ = argument, other
        if joined:
            assert isinstance(germ, Germ)
            return replace(germ, c=(sympy.Max if most else sympy.Min)(germ.c, *joined))
        return germ


def vanishes(c: sympy.Expr) -> bool:
    """Whether a coefficient is 0: decided for rational functions, by expansion."""
    if c == 0 or c.is_Symbol or c.is_Rational:
        return bool(c == 0)
    if _size(c) > MAX_PARTS:
        raise Unknown
    above, _ = sympy.fraction(sympy.together(c))
    return bool(sympy.expand(above) == 0)


def _count(count: sympy.Expr) -> Germ:
    return _leading(count) if count.has(EPSILON) else Germ(count)


def _leading(polynomial: sympy.Expr) -> Germ:
    terms = sympy.Poly(polynomial, EPSILON).terms()
    (power,), c = min(terms, key=lambda term: term[0])
    return Germ(c, Fraction(power), exact=len(terms) == 1)


def _sum(parts: Sequence[Value]) -> Value:
    endless = [p for p in parts if isinstance(p, Endless)]
    if endless:
        signs = {p.sign for p in endless}
        vanishing = all(p.vanishing for p in endless)
        return Endless(signs.pop() if len(signs) == 1 else 0, vanishing)
    germs = [p for p in parts if isinstance(p, Germ) and not p.zero]
    if not germs:
        return Germ(sympy.Integer(0), exact=all(isinstance(p, Germ) and p.exact for p in parts))
    least = min(g.size for g in germs)
    leading = [g for g in germs if g.size == least]
    total = sympy.Add(*(g.c for g in leading))
    exact = all(g.exact for g in germs)
    if len(leading) > 1 and vanishes(total):
        if not exact:
            raise Unknown
        return _sum([g for g in germs if g.size != least])
    return Germ(total, leading[0].power, leading[0].logs, exact and len(leading) == len(germs))


def _size(c: sympy.Expr) -> int:
    return sum(1 for _ in sympy.preorder_traversal(c))


def _subtracts(base: sympy.Expr) -> bool:
    """Whether a difference stands in an expression."""
    sums = (part for part in sympy.preorder_traversal(base) if part.is_Add)
    return any(a.could_extract_minus_sign() for total in sums for a in total.args)
