"""Exact algebra on metrics: quotients over irreducible factors, with roots as powers of factors.

An element of a `Field` is a sum over root classes, `Σ numerator/Π f^k · Π f^r`, with f irreducible
polynomials in cells and parameters, k whole and 0 < r < 1. A root is split into its factors where
all of them are positive on the domain, so sqrt(ab) is sqrt(a)·sqrt(b). Numerators share no factor
with their denominators, so the form is unique and equality is decided by comparison: for rational
functions, and for roots since different square-free classes are independent over the rationals.
Anything else (logarithms, exponentials, minima, roots of radicands of unknown sign) is a variable
of its own: equality found that way is a proof too, only inequality is not.

Denominators are factored once, when something is divided by them, and cancelled by trial division:
no greatest common divisor of large polynomials is ever taken. All of it runs under a budget
counted in products of terms and in calls, never in seconds, so that results do not depend on the
machine's load: beyond it `TooLarge` is raised and callers keep the raw form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import lcm
from operator import add
from typing import Any, NamedTuple, TypeAlias

import sympy
from sympy.polys.rings import ring as make_ring

from metricc.factoring import TooLarge, factor_list
from metricc.functions import CELLS
from metricc.select import Select

MAX_TERMS = 2_000  # of one numerator
MAX_WORK = 2_000_000  # products of terms over a field's life: a few seconds

Polynomial: TypeAlias = Any  # sympy.polys.rings.PolyElement, which has no type information
RootClass: TypeAlias = frozenset[tuple[Any, Fraction]]  # factors under a root, with 0 < power < 1


class _Opaque(Exception):
    """A subexpression that needs a variable of its own."""

    def __init__(self, expression: sympy.Expr) -> None:
        self.expression = expression


class Quotient(NamedTuple):
    """numerator / Π factor^power, in lowest terms."""

    numerator: Polynomial
    denominator: dict[Polynomial, int]


Element: TypeAlias = dict[RootClass, Quotient]
RATIONAL: RootClass = frozenset()


class Field:
    """The algebra over the symbols, roots and functions that occur in `expressions`.

    `nonnegative` are the names of the symbols that the domain keeps at 0 or above: the cells,
    and the parameters whose range says so.
    """

    def __init__(self, expressions: Iterable[sympy.Expr], nonnegative: frozenset[str]) -> None:
        self.nonnegative = nonnegative
        self.work = 0
        expressions = list(expressions)
        names = {s.name for e in expressions for s in e.free_symbols} or {"TP"}
        self.symbols = [sympy.Symbol(n) for n in sorted(names)]
        self.opaque: list[sympy.Expr] = []
        self._prepare()
        position = 0
        while position < len(expressions):
            try:
                self.element(expressions[position])
            except _Opaque as found:
                self.opaque.append(found.expression)
                self._prepare()
                position = 0
                continue
            except (TooLarge, ZeroDivisionError):
                pass
            position += 1

    def _prepare(self) -> None:
        variables = [sympy.Symbol(f"_{i}") for i in range(len(self.opaque))]
        self.ring: Any = make_ring([*self.symbols, *variables], sympy.QQ)[0]
        self.point = [sympy.prime(100 + i) for i in range(self.ring.ngens)]
        self.cells = [i for i, s in enumerate(self.ring.symbols) if s.name in CELLS]
        stands_for = [*self.symbols, *self.opaque]
        self.variables = dict(zip(stands_for, self.ring.gens, strict=True))
        self.meaning = dict(zip(variables, self.opaque, strict=True))
        self.elements: dict[sympy.Expr, Element] = {}
        self.factorings: dict[Polynomial, tuple[Any, list[tuple[Polynomial, int]]]] = {}

    # -- questions ----------------------------------------------------------------------------

    def equal(self, a: sympy.Expr, b: sympy.Expr) -> bool:
        """Whether two expressions are the same function on the domain; True is a proof.

        Raises `TooLarge` above the budget and `ZeroDivisionError` where one divides by zero.
        """
        try:
            return self.element(a) == self.element(b)
        except _Opaque:
            raise TooLarge("a new function appeared") from None

    def procedure(self, expression: sympy.Expr) -> str:
        """The decision procedure that `equal` is for such an expression, in words."""
        if any(expression.has(atom) for atom in self.opaque):
            return "proved: rational functions, with functions as variables"
        if any(not p.exp.is_Integer for p in expression.atoms(sympy.Pow)):
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
        return coefficient, {self._expression(f): p for f, p in powers.items() if p}

    def _expression(self, factor: Any) -> sympy.Expr:
        if isinstance(factor, int):
            return sympy.Integer(factor)
        return factor.as_expr().xreplace(self.meaning)

    # -- expressions to elements --------------------------------------------------------------

    def element(self, expression: sympy.Expr) -> Element:
        """The element that `expression` is; each repeated part is converted once."""
        if expression not in self.elements:
            self.elements[expression] = self._convert(expression)
        return self.elements[expression]

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
                # x^(p/q) in terms of x^(1/q), so that its powers stay related.
                root = expression.base ** sympy.Rational(1, expression.exp.q)
                if root in self.variables:
                    return self._power(self.element(root), expression.exp.p)
                raise _Opaque(root) from None
        raise _Opaque(expression)

    def _constant(self, value: Any) -> Element:
        return {RATIONAL: Quotient(self.ring(value), {})} if value else {}

    # -- arithmetic ---------------------------------------------------------------------------

    def _charge(self, work: int, terms: int = 0) -> None:
        self.work += work
        if terms > MAX_TERMS or self.work > MAX_WORK:
            raise TooLarge(f"{terms:,} terms, {self.work:,} products of terms")

    def _times(self, a: Polynomial, b: Polynomial) -> Polynomial:
        self._charge(len(a) * len(b), min(len(a) * len(b), MAX_TERMS + 1) if a and b else 0)
        return a * b

    def _add(self, a: Element, b: Element) -> Element:
        result = dict(a)
        for roots, quotient in b.items():
            if roots not in result:
                result[roots] = quotient
                continue
            one, two = result[roots], quotient
            common = {
                f: max(one.denominator.get(f, 0), two.denominator.get(f, 0))
                for f in (*one.denominator, *two.denominator)
            }
            numerator = self._raised(one, common) + self._raised(two, common)
            if numerator:
                result[roots] = self._lowest(numerator, common)
            else:
                del result[roots]
        return result

    def _raised(self, quotient: Quotient, common: dict[Polynomial, int]) -> Polynomial:
        """The numerator over the common denominator."""
        numerator = quotient.numerator
        for factor, power in common.items():
            for _ in range(power - quotient.denominator.get(factor, 0)):
                numerator = self._times(numerator, factor)
        return numerator

    def _lowest(self, numerator: Polynomial, denominator: dict[Polynomial, int]) -> Quotient:
        """Cancel by trial division with the denominator's known factors."""
        left: dict[Polynomial, int] = {}
        for factor, power in denominator.items():
            while power and (quotient := self._divided(numerator, factor)) is not None:
                numerator, power = quotient, power - 1
            if power:
                left[factor] = power
        return Quotient(numerator, left)

    def _divided(self, polynomial: Polynomial, factor: Polynomial) -> Polynomial | None:
        if any(a < b for a, b in zip(polynomial.LM, factor.LM, strict=True)):
            return None
        # A factor's value divides the polynomial's, both being integers (Gauss' lemma): most
        # divisions that leave a rest are seen by that, at a hundredth of their cost.
        divisor, number = self._value(factor), self._value(polynomial)
        if divisor and divisor.denominator == 1 and (number / divisor).denominator != 1:
            whole = lcm(*(int(c.denominator) for c in polynomial.coeffs()))
            if (number * whole / divisor).denominator != 1:
                return None
        (lead, *others), rest = factor.terms(), dict(polynomial)
        quotient: dict[tuple[int, ...], Any] = {}
        while rest:
            self._charge(1 + len(others) + len(rest) // 16)
            top = max(rest)  # the leading term: the ring's order is that of tuples
            power = tuple(a - b for a, b in zip(top, lead[0], strict=True))
            if min(power) < 0:
                return None  # an exact division never meets such a term
            scale = quotient[power] = rest.pop(top) / lead[1]
            for monomial, coefficient in others:
                place = tuple(map(add, monomial, power))
                value = rest.get(place, 0) - scale * coefficient
                if value:
                    rest[place] = value
                else:
                    del rest[place]
        return self.ring.from_dict(quotient)

    def _value(self, polynomial: Polynomial) -> Any:
        """Its value at one point of integers."""
        total = sympy.QQ(0)
        for monomial, coefficient in polynomial.terms():
            for base, exponent in zip(self.point, monomial, strict=True):
                if exponent:
                    coefficient = coefficient * base**exponent
            total += coefficient
        return total

    def _multiply(self, a: Element, b: Element) -> Element:
        result: Element = {}
        for roots_a, one in a.items():
            for roots_b, two in b.items():
                # Each numerator is already prime to its own denominator.
                left = self._lowest(one.numerator, two.denominator)
                right = self._lowest(two.numerator, one.denominator)
                numerator = self._times(left.numerator, right.numerator)
                denominator = dict(right.denominator)
                for factor, power in left.denominator.items():
                    denominator[factor] = denominator.get(factor, 0) + power
                roots = dict(roots_a)
                for root, part in roots_b:
                    total = roots.pop(root, Fraction(0)) + part
                    if total >= 1:
                        numerator = self._times(numerator, self.ring(root))
                        total -= 1
                    if total:
                        roots[root] = total
                product = self._lowest(numerator, denominator)
                result = self._add(result, {frozenset(roots.items()): product})
        return result

    def _power(self, base: Element, exponent: int) -> Element:
        if exponent < 0:
            base, exponent = self._inverse(base), -exponent
        result = self._constant(sympy.QQ(1))
        for _ in range(exponent):
            result = self._multiply(result, base)
        return result

    def _inverse(self, element: Element) -> Element:
        if not element:
            raise ZeroDivisionError("a denominator is zero")
        if len(element) > 1:
            raise TooLarge("the reciprocal of a sum of different roots")
        ((roots, (numerator, denominator)),) = element.items()
        content, factors = self._factor(numerator)
        result: Element = {RATIONAL: Quotient(self.ring(1 / content), dict(factors))}
        for factor, power in denominator.items():
            result = self._multiply(result, {RATIONAL: Quotient(factor**power, {})})
        for root, part in roots:  # f^-r is f^(1-r)/f
            quotient = Quotient(self.ring(1), {root: 1})
            if isinstance(root, int):
                quotient = Quotient(self.ring(sympy.QQ(1, root)), {})
            result = self._multiply(result, {frozenset({(root, 1 - part)}): quotient})
        return result

    def _root(self, base: Element, exponent: Fraction) -> Element:
        """base^exponent, factor by factor; `TooLarge` where a factor's sign is not known."""
        if not base:
            return {}
        if len(base) > 1:
            raise TooLarge("a root of a sum of different roots")
        ((roots, (numerator, denominator)),) = base.items()
        content, factors = self._factor(numerator)
        if content < 0:
            raise TooLarge("the radicand may be negative")
        powers: dict[Any, Fraction] = {f: Fraction(p) for f, p in factors}
        powers |= {f: Fraction(-p) for f, p in denominator.items()}
        for factor, power in roots:
            powers[factor] = powers.get(factor, Fraction(0)) + power
        for number, sign in ((content.numerator, 1), (content.denominator, -1)):
            for prime, count in sympy.factorint(int(number), limit=1_000).items():
                powers[int(prime)] = powers.get(int(prime), Fraction(0)) + sign * count
        result = self._constant(sympy.QQ(1))
        for factor, power in powers.items():
            if not isinstance(factor, int) and not self._positive(factor):
                raise TooLarge("the radicand may be negative")
            whole, part = divmod(power * exponent, 1)
            if whole:
                inner = {RATIONAL: Quotient(self.ring(factor), {})}
                result = self._multiply(result, self._power(inner, int(whole)))
            if part:
                one = {frozenset({(factor, part)}): Quotient(self.ring(1), {})}
                result = self._multiply(result, one)
        return result

    def _factor(self, polynomial: Polynomial) -> tuple[Any, list[tuple[Polynomial, int]]]:
        """Content and irreducible factors, the leading coefficient of each factor positive."""
        if polynomial not in self.factorings:
            self._charge(len(polynomial) ** 2)
            content, factors = factor_list(polynomial, self.cells)
            self.factorings[polynomial] = content, [(f, int(p)) for f, p in factors]
        return self.factorings[polynomial]

    def _positive(self, polynomial: Polynomial) -> bool:
        """Whether every coefficient is positive and every variable is at least 0."""
        signed = any(coefficient < 0 for _, coefficient in polynomial.terms())
        variables = polynomial.as_expr().free_symbols
        return (
            not signed
            and all(
                v.name in self.nonnegative or (v.name.startswith("_") and self._root_variable(v))
                for v in variables
            )
        ) or self._even(polynomial)

    def _root_variable(self, variable: sympy.Symbol) -> bool:
        """Whether a variable stands for an even root or an exponential, which are never below 0."""
        meaning = self.meaning[variable]
        return isinstance(meaning, sympy.exp) or (
            meaning.is_Pow and meaning.exp.is_Rational and meaning.exp.q % 2 == 0
        )

    def _even(self, polynomial: Polynomial) -> bool:
        """Whether a polynomial is positive by its form: even powers, positive coefficients."""
        names = [s.name in self.nonnegative for s in self.ring.symbols]
        return all(
            coefficient > 0
            and all(known or power % 2 == 0 for known, power in zip(names, monomial, strict=True))
            for monomial, coefficient in polynomial.terms()
        )


def product_of(coefficient: Fraction, powers: Mapping[sympy.Expr, Fraction]) -> sympy.Expr:
    """What `Field.factors` found, multiplied out as one product."""
    return sympy.Mul(
        sympy.Rational(coefficient.numerator, coefficient.denominator),
        *(b ** sympy.Rational(e.numerator, e.denominator) for b, e in powers.items()),
    )


def sign_of(expression: sympy.Expr, nonnegative: frozenset[str]) -> int | None:
    """The sign that can be read off an expression: 1, -1 or 0; None where it subtracts.

    A sign that can be read off is a proof, and an expression that has one at every sum is free
    of cancellation. `nonnegative` are the names of the symbols that are at least 0.
    """
    if expression.is_Rational:
        return int(sympy.sign(expression))
    if expression.is_Symbol:
        return 1 if expression.name in nonnegative else None
    if expression.is_Add:
        signs = {sign_of(a, nonnegative) for a in expression.args}
        return signs.pop() if len(signs) == 1 else None
    if expression.is_Mul:
        sign = 1
        for argument in expression.args:
            factor = sign_of(argument, nonnegative)
            if factor is None:
                return None
            sign *= factor
        return sign
    if expression.is_Pow:
        base = sign_of(expression.base, nonnegative)
        if base is None and expression.exp.is_even and expression.base.is_Symbol:
            return 1  # beta^2 for a beta of any sign
        return base if base is None or expression.exp.is_odd else 1 if base else base
    if isinstance(expression, sympy.exp):
        return 1 if sign_of(expression.args[0], nonnegative) is not None else None
    if isinstance(expression, Select):
        signs = {sign_of(branch, nonnegative) for branch in expression.args[2:]}
        return signs.pop() if len(signs) == 1 else None
    if isinstance(expression, sympy.Heaviside):
        return 1  # a step: what it compares is not a difference of near numbers that is kept
    return None
