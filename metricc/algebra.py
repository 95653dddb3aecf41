"""Exact algebra on metrics: quotients over irreducible factors, with roots as powers of factors.

A `Field` turns expressions into the elements of `elements`, whose form is unique, so that equality
is decided by comparison: for rational functions, and for roots since different square-free classes
are independent over the rationals. Anything else (logarithms, exponentials, minima, powers with
parameters in exponents) is a variable of its own: equality found that way is a proof too, only
inequality is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any

import sympy

from metricc.elements import RATIONAL, Arithmetic, Element, Quotient, Radicand
from metricc.factoring import TooLarge
from metricc.functions import CELLS
from metricc.polynomials import Ring
from metricc.signs import parts_of

MAX_WORK = 2_000_000  # products of terms over a field's life: a few seconds


class _Opaque(Exception):
    """A subexpression that needs a variable of its own."""

    def __init__(self, expression: sympy.Expr) -> None:
        self.expression = expression


class Field(Arithmetic):
    """The algebra over the symbols, roots and functions that occur in `expressions`.

    `nonnegative` are the names of the symbols that the domain keeps at 0 or above: the cells,
    and the parameters whose range says so.
    """

    def __init__(
        self,
        expressions: Iterable[sympy.Expr],
        nonnegative: frozenset[str],
        limit: int = MAX_WORK,
    ) -> None:
        expressions = list(expressions)
        names = {s.name for e in expressions for s in e.free_symbols} or {"TP"}
        symbols = [sympy.Symbol(n) for n in sorted(names)]
        self.opaque: list[sympy.Expr] = []
        ring = Ring(len(symbols) + _possibly_opaque(expressions))
        cells = [i for i, s in enumerate(symbols) if s.name in CELLS]
        super().__init__(ring, cells, nonnegative, limit)
        self.variables = {s: self.ring.variable(s) for s in symbols}
        self.elements: dict[sympy.Expr, Element | TooLarge | ZeroDivisionError] = {}
        self.written: dict[Any, sympy.Expr] = {}  # factors as expressions
        for expression in expressions:
            self._meet(expression)

    def _meet(self, expression: sympy.Expr) -> None:
        """Convert an expression, each function in it becoming a variable where it is met."""
        while True:
            try:
                self.element(expression)
            except _Opaque as found:
                variable = sympy.Symbol(f"_{len(self.opaque)}")
                self.opaque.append(found.expression)
                self.variables[found.expression] = self.ring.variable(variable)
                self.meaning[variable] = found.expression
                continue
            except (TooLarge, ZeroDivisionError):
                pass
            return

    # -- questions ----------------------------------------------------------------------------

    def equal(self, a: sympy.Expr, b: sympy.Expr) -> bool:
        """Whether two expressions are the same function on the domain; True is a proof.

        Raises `TooLarge` above the budget and `ZeroDivisionError` where one divides by zero.
        """
        try:
            one = self.element(a)
            with suppress(TooLarge):
                return one == self.element(b)
            # What `b` is divided by may have no reciprocal within the budget: multiply instead.
            above, below = _fraction(b)
            divisor = self.element(below)
            if not divisor:
                raise ZeroDivisionError("a denominator is zero")
            return self._multiply(one, divisor) == self.element(above)
        except _Opaque:
            raise TooLarge("a new function appeared") from None

    def procedure(self, expression: sympy.Expr) -> str:
        """The decision procedure that `equal` is for such an expression, in words."""
        parts = parts_of(expression)
        if not parts.isdisjoint(self.opaque):
            return "proved: rational functions, with functions as variables"
        if any(part.is_Pow and not part.exp.is_Integer for part in parts):
            return "proved: rational functions, with roots as powers of their factors"
        return "proved: rational functions"

    def factors(self, expression: sympy.Expr) -> tuple[Fraction, dict[sympy.Expr, Fraction]]:
        """`expression` as coefficient · Π factor^power in lowest terms, factors irreducible.

        Raises `TooLarge` above the budget, and for sums of different roots.
        """
        try:
            element = self.element(expression)
        except _Opaque:
            raise TooLarge("a new function appeared") from None
        if not element:
            return Fraction(0), {}
        if len(element) > 1:
            raise TooLarge("a sum of different roots has no factors")
        ((roots, (numerator, denominator)),) = element.items()
        content, parts = self._factor(numerator)
        powers = {factor: Fraction(power) for factor, power in parts}
        for factor, power in denominator.items():
            powers[factor] = powers.get(factor, Fraction(0)) - power
        for factor, root in roots:
            powers[factor] = powers.get(factor, Fraction(0)) + root
        coefficient = Fraction(int(content.numerator), int(content.denominator))
        found: dict[sympy.Expr, Fraction] = {}
        for factor, exponent in powers.items():  # a radicand may be a factor as well
            written = self._expression(factor)
            found[written] = found.get(written, Fraction(0)) + exponent
        return coefficient, {factor: exponent for factor, exponent in found.items() if exponent}

    def _expression(self, factor: Any) -> sympy.Expr:
        if isinstance(factor, Radicand):
            return factor.expression
        if factor not in self.written:
            whole = isinstance(factor, int)
            written = sympy.Integer(factor) if whole else factor.as_expr().xreplace(self.meaning)
            self.written[factor] = written
        return self.written[factor]

    # -- expressions to elements --------------------------------------------------------------

    def element(self, expression: sympy.Expr) -> Element:
        """The element that `expression` is; each repeated part is converted once."""
        if expression not in self.elements:
            try:
                self.elements[expression] = self._convert(expression)
            except (TooLarge, ZeroDivisionError) as error:
                self.elements[expression] = type(error)(*error.args)  # without its frames
                raise
        found = self.elements[expression]
        if isinstance(found, Exception):
            raise type(found)(*found.args)
        return found

    def _convert(self, expression: sympy.Expr) -> Element:
        if expression.is_Rational:
            return self._constant(sympy.QQ(expression.p, expression.q))
        if expression in self.variables:
            return {RATIONAL: Quotient(self.variables[expression], {})}
        if expression.is_Add:
            total: Element = {}
            for argument in expression.args:
                total = self._add(total, self.element(argument))
            return total
        if expression.is_Mul:
            total = self._constant(sympy.QQ(1))
            for argument in expression.args:
                total = self._multiply(total, self.element(argument))
            return total
        if expression.is_Pow and expression.exp.is_Rational:
            base = self.element(expression.base)
            if expression.exp.is_Integer:
                return self._power(base, int(expression.exp))
            try:
                return self._root(base, Fraction(expression.exp.p, expression.exp.q))
            except TooLarge:
                exponent = Fraction(expression.exp.p, expression.exp.q)
                found = self._radicand(base, expression.base)
                if found is not None:
                    radicand, ratio = found
                    return self._multiply(
                        self._root_of(radicand, exponent), self._root(ratio, exponent)
                    )
                # x^(p/q) in terms of x^(1/q), so that its powers stay related.
                root = expression.base ** sympy.Rational(1, expression.exp.q)
                if root in self.variables:
                    return self._power(self.element(root), expression.exp.p)
                raise _Opaque(root) from None
        raise _Opaque(expression)


def _fraction(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """What stands above and below the bar of a product."""
    above, below = [], []
    for factor in sympy.Mul.make_args(expression):
        if factor.is_Pow and factor.exp.is_Rational and factor.exp < 0:
            below.append(1 / factor)
        else:
            above.append(factor)
    return sympy.Mul(*above), sympy.Mul(*below)


def _possibly_opaque(expressions: Iterable[sympy.Expr]) -> int:
    """How many variables of their own the functions and roots in `expressions` may need."""
    found: set[object] = set()
    for node in parts_of(*expressions):
        if node.is_Pow and node.exp.is_Rational:
            if not node.exp.is_Integer:
                found.add((node.base, node.exp.q))
        elif not (node.is_Add or node.is_Mul or node.is_Rational or node.is_Symbol):
            found.add(node)
    return len(found)


def product_of(coefficient: Fraction, powers: Mapping[sympy.Expr, Fraction]) -> sympy.Expr:
    """What `Field.factors` found, multiplied out as one product."""
    return sympy.Mul(
        sympy.Rational(coefficient.numerator, coefficient.denominator),
        *(b ** sympy.Rational(e.numerator, e.denominator) for b, e in powers.items()),
    )


def factors_of(
    expression: sympy.Expr, nonnegative: frozenset[str]
) -> tuple[Fraction, dict[sympy.Expr, Fraction]] | None:
    """`Field.factors` of one expression without functions; None where it has none, or too many."""
    if expression.has(sympy.Function, sympy.Min, sympy.Max):
        return None
    try:
        return Field([expression], nonnegative).factors(expression)
    except (TooLarge, ZeroDivisionError):
        return None


def canonical(expression: sympy.Expr, nonnegative: frozenset[str]) -> sympy.Expr:
    """An expression in lowest terms, so that what is equal looks alike, where that is found."""
    found = factors_of(expression, nonnegative)
    return expression if found is None else product_of(*found)
