"""The sign of an expression over the whole domain, proved: harder than `algebra.sign_of` tries.

A factor whose coefficients all have one sign has that sign where its variables are at least 0. So
an expression is split into factors; logarithms become variables of the sign that their argument's
distance from 1 has; parameters are written over variables that are at least 0 (w in [0, 1] as
t/(1 + t)); minima, maxima and conditions are decided case by case, and what a case supposes is put
in (where TP > FN, TP = FN + d); what is still mixed is split by the order of two counts. Every step
is a proof; where none succeeds, the answer is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import lcm

import sympy

from metricc import ir, syntax
from metricc.algebra import Field
from metricc.factoring import TooLarge
from metricc.functions import CELLS
from metricc.select import LogRatio, Select
from metricc.signs import sign_of

POSITIVE = ", for parameters of at least 0"
MAX_CASES = 24  # of minima, maxima and conditions
MAX_TERMS = 150  # of a factor that is split by orders
MAX_NODES = 800  # of an expression that is taken apart
DEEPEST = 12


class _Undecided(Exception):
    pass


def sign(expression: sympy.Expr, unknowns: Sequence[ir.Parameter]) -> int | None:
    """1 where an expression is at least 0 all over the domain, -1 where at most 0, 0 where it is 0.

    None where neither is proved. `unknowns` are the symbols beside the cells.
    """
    plain = sign_of(expression, ir.nonnegative(tuple(unknowns)))
    return plain if plain is not None else _proved(expression, tuple(unknowns))


@lru_cache(maxsize=64)  # several topics ask for the same signs
def _proved(expression: sympy.Expr, unknowns: tuple[ir.Parameter, ...]) -> int | None:
    prover = _Prover(unknowns)
    try:
        return prover.cases(_logs(expression).xreplace(prover.bounds), DEEPEST)
    except (_Undecided, TooLarge, ZeroDivisionError, ValueError, RecursionError):
        return None


def positive(unknowns: Sequence[ir.Parameter]) -> tuple[ir.Parameter, ...]:
    """The same, parameters without a stated range being at least 0."""
    at_least = syntax.Interval(Fraction(0), None, low_open=False)
    return tuple(replace(u, interval=u.interval or at_least) for u in unknowns)


def _logs(expression: sympy.Expr) -> sympy.Expr:
    if not expression.has(LogRatio):
        return expression
    return expression.replace(LogRatio, lambda above, below, gap: sympy.log(above / below))


def bounds(unknowns: Sequence[ir.Parameter]) -> dict[sympy.Symbol, sympy.Expr]:
    """Parameters with bounds, written over symbols of the same name that are at least 0."""
    found = {}
    for parameter in unknowns:
        symbol, interval = sympy.Symbol(parameter.name), parameter.interval
        low = None if interval is None or interval.low is None else sympy.Rational(interval.low)
        high = None if interval is None or interval.high is None else sympy.Rational(interval.high)
        if low is not None and high is not None:
            found[symbol] = (low + high * symbol) / (1 + symbol)
        elif low is not None and low != 0:
            found[symbol] = low + symbol
        elif high is not None:
            found[symbol] = high - symbol
    return found


class _Prover:
    def __init__(self, unknowns: Sequence[ir.Parameter]) -> None:
        self.bounds = bounds(unknowns)
        names = {s.name for s in self.bounds} | ir.nonnegative(tuple(unknowns))
        self.nonnegative = frozenset(names)
        self.count = 0
        self.fresh = 0

    # -- cases ----------------------------------------------------------------------------------

    def cases(self, expression: sympy.Expr, depth: int) -> int:
        """The sign, all minima, maxima, steps and conditions decided one after the other."""
        self.count += 1
        if self.count > MAX_CASES or depth == 0:
            raise _Undecided
        try:
            return self.structure(expression)
        except _Undecided:
            if not expression.has(*_SWITCHES):
                raise
        switches = [
            node
            for node in sympy.preorder_traversal(expression)
            if isinstance(node, (sympy.Max, sympy.Min, sympy.Heaviside, Select))
        ]
        inner = [s for s in switches if not any(a.has(*_SWITCHES) for a in _decides(s))]
        switch = min(inner, key=sympy.default_sort_key)
        if isinstance(switch, Select):
            gap = switch.args[1] - switch.args[0]
            ways = [(gap, switch.args[2]), (-gap, switch.args[3])]
        elif isinstance(switch, sympy.Heaviside):
            gap = switch.args[0]
            ways = [(gap, sympy.Integer(1)), (-gap, sympy.Integer(0))]
        else:
            one, two, *rest = switch.args
            gap = one - two if isinstance(switch, sympy.Max) else two - one
            ways = [(gap, switch.func(one, *rest)), (-gap, switch.func(two, *rest))]
        known = self._known(gap)
        counts = {s.name for s in gap.free_symbols} <= set(CELLS)
        if known and counts:  # 0 at the edge of the domain only
            ways = [ways[0] if known > 0 else ways[1]]
        return _together(
            self.cases(self._supposed(expression.xreplace({switch: value}), gap), depth - 1)
            for gap, value in ways
        )

    def _known(self, gap: sympy.Expr) -> int | None:
        try:
            return self.structure(gap)
        except (_Undecided, TooLarge, ZeroDivisionError):
            return None

    def _supposed(self, expression: sympy.Expr, gap: sympy.Expr) -> sympy.Expr:
        """An expression where gap >= 0: some variable written over others, if that is simple."""
        above, below = sympy.fraction(sympy.together(gap))
        if self._known(below) != 1:
            return expression
        above = sympy.expand(above)
        for variable in sorted(above.free_symbols, key=lambda s: s.name):
            if variable.name not in self.nonnegative or not above.is_polynomial(variable):
                continue
            polynomial = sympy.Poly(above, variable)
            if polynomial.degree() != 1:
                continue
            slope, rest = polynomial.all_coeffs()
            if self._known(slope) == 1 and self._known(-rest) == 1:
                return expression.xreplace({variable: (self._new() - rest) / slope})
        return expression

    def _new(self) -> sympy.Symbol:
        self.fresh += 1
        name = f"d{self.fresh}_"
        self.nonnegative |= {name}
        return sympy.Symbol(name)

    # -- one case -------------------------------------------------------------------------------

    def structure(self, expression: sympy.Expr) -> int:
        """The sign of an expression without choices, part by part."""
        plain = sign_of(expression, self.nonnegative)
        if plain is not None:
            return plain
        if expression.is_Mul:
            total = 1
            for factor in expression.args:
                total *= self.structure(factor)
            return total
        if expression.is_Pow:
            if expression.exp.is_Rational and expression.exp.q % 2 == 0:
                return 1
            even = expression.exp.is_Integer and expression.exp % 2 == 0
            return 1 if even else self.structure(expression.base)
        if isinstance(expression, (sympy.Max, sympy.Min)):
            signs = [self.structure(argument) for argument in expression.args]
            if {-1, 1} <= set(signs):
                raise _Undecided
            return (max if isinstance(expression, sympy.Max) else min)(signs)
        if isinstance(expression, Select):
            return _together(map(self.structure, expression.args[2:]))
        if isinstance(expression, sympy.log):
            return self.structure(sympy.together(expression.args[0] - 1))
        if not expression.is_Add:
            raise _Undecided
        try:
            return _together(self.structure(part) for part in expression.args)
        except _Undecided:
            return self._joined(expression)

    def _joined(self, expression: sympy.Expr) -> int:
        """The sign of a sum, by the factors of all of it over one denominator."""
        if sum(1 for _ in sympy.preorder_traversal(expression)) > MAX_NODES:
            raise _Undecided
        if expression.has(*_SWITCHES):
            raise _Undecided
        expression = _without_roots(self._without_logarithms(expression))
        field = Field([expression], self.nonnegative)
        coefficient, factors = field.factors(expression)
        total = (coefficient > 0) - (coefficient < 0)
        for factor, power in factors.items():
            if power.denominator % 2 == 0 or power % 2 == 0:
                continue  # a root is at least 0, and so is a square
            total *= self._polynomial(factor, 2)
        return total

    def _without_logarithms(self, expression: sympy.Expr) -> sympy.Expr:
        """Logarithms as variables that are at least 0, or as their negatives."""
        found = sorted(expression.atoms(sympy.log), key=sympy.default_sort_key)
        return expression.xreplace({part: self.structure(part) * self._new() for part in found})

    def _polynomial(self, factor: sympy.Expr, splits: int) -> int:
        """The sign of a polynomial: that of all of its coefficients, or of all parts of a split."""
        polynomial = sympy.Poly(sympy.expand(factor))
        signs = set()
        for powers, coefficient in polynomial.terms():
            if not coefficient.is_Rational:
                raise _Undecided
            for base, power in zip(polynomial.gens, powers, strict=True):
                if power % 2 and self._known_base(base) != 1:
                    raise _Undecided
            signs.add(1 if coefficient > 0 else -1)
        if len(signs) == 1:
            return signs.pop()
        if not splits or len(polynomial.terms()) > MAX_TERMS:
            raise _Undecided
        symbols = [g for g in polynomial.gens if g.is_Symbol]
        for one, two in combinations(symbols, 2):
            gap = self._new()
            try:
                return _together(
                    self._polynomial(factor.xreplace({large: small + gap}), splits - 1)
                    for large, small in ((one, two), (two, one))
                )
            except _Undecided:
                continue
        raise _Undecided

    def _known_base(self, base: sympy.Expr) -> int | None:
        if base.is_Pow and base.exp.is_Rational and base.exp.q % 2 == 0:
            return 1
        return sign_of(base, self.nonnegative)


_SWITCHES = (sympy.Max, sympy.Min, sympy.Heaviside, Select)


def _decides(switch: sympy.Expr) -> Sequence[sympy.Expr]:
    """The arguments that decide a choice."""
    args: Sequence[sympy.Expr] = switch.args
    return args[:2] if isinstance(switch, Select) else args


def _together(signs: object) -> int:
    """The sign of a sum, or of all cases: one sign, beside which there may be zeros."""
    found = set(signs) - {0}  # type: ignore[call-overload]
    if len(found) > 1:
        raise _Undecided
    return int(found.pop()) if found else 0


def _without_roots(expression: sympy.Expr) -> sympy.Expr:
    """Roots of products of counts as powers of variables: sqrt(TP*TN) as a*b, TP = a^2."""
    roots = [n for n in sympy.preorder_traversal(expression) if n.is_Pow and not n.exp.is_Integer]
    roots = [n for n in roots if n.exp.is_Rational and not n.base.has(sympy.Add)]
    degree = lcm(*(int(n.exp.q) for n in roots)) if roots else 1
    if degree == 1 or degree > 12:
        return expression
    symbols = sorted({s for n in roots for s in n.base.free_symbols}, key=lambda s: s.name)
    powers = {s: sympy.Symbol(s.name, positive=True) ** degree for s in symbols}
    plain = {sympy.Symbol(s.name, positive=True): s for s in symbols}
    return expression.xreplace(powers).xreplace(plain)
