"""Elements of the exact algebra and their arithmetic, roots included.

An element is a sum over root classes, `Σ numerator/Π f^k · Π f^r`, f being irreducible polynomials,
k whole and 0 < r < 1. A root is split into its factors where all of them are positive on the
domain. Numerators share no factor with their denominators, so the form is unique. A sum of roots in
a denominator is multiplied by its conjugates.

Denominators are factored once, when something is divided by them, and cancelled by trial division:
no greatest common divisor of large polynomials is taken. The budget is in products of terms and in
calls, never in seconds, so that results do not depend on the machine's load: beyond it `TooLarge`
is raised and callers keep the raw form.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple, TypeAlias

import sympy

from metricc.factoring import TooLarge, factor_list
from metricc.polynomials import Polynomial, Ring

MAX_TERMS = 2_000  # of one numerator
MAX_RADICANDS = 8  # that another one is compared with
MAX_NORM = 60  # terms of a sum of roots times its conjugates, which is then factored

# What stands under a root, with 0 < power < 1: factors, prime numbers, radicands.
RootClass: TypeAlias = frozenset[tuple[Any, Fraction]]


class Radicand:
    """What stands under a root and has no factors of known sign: an element of the field itself.

    Equal elements are one radicand. `place` counts them: one may hold roots of earlier ones.
    """

    __slots__ = ("element", "expression", "place", "reciprocal")

    def __init__(
        self, element: Element, reciprocal: Element, expression: sympy.Expr, place: int
    ) -> None:
        self.element, self.reciprocal = element, reciprocal
        self.expression, self.place = expression, place

    def __hash__(self) -> int:  # not of the address: orders of sets are the same everywhere
        return self.place


class Quotient(NamedTuple):
    """numerator / Π factor^power, in lowest terms."""

    numerator: Polynomial
    denominator: dict[Polynomial, int]


Element: TypeAlias = dict[RootClass, Quotient]
RATIONAL: RootClass = frozenset()


class Arithmetic:
    """Sums, products, reciprocals and roots of elements over one ring, under one budget.

    `nonnegative` are the names of the symbols that are at least 0; `cells` are the places of those
    of them among the ring's variables that are counts.
    """

    def __init__(
        self, ring: Ring, cells: list[int], nonnegative: frozenset[str], limit: int
    ) -> None:
        self.ring = ring
        self.cells = cells
        self.nonnegative = nonnegative
        self.work = 0
        self.limit = limit
        self.conjugating = limit // 4  # of the work, what sums of roots in denominators may take
        self.radicands: dict[Any, tuple[Radicand, Element] | None] = {}
        self.meaning: dict[sympy.Symbol, sympy.Expr] = {}  # of variables that stand for functions
        self.factorings: dict[Polynomial, tuple[Any, list[tuple[Polynomial, int]]]] = {}

    def _constant(self, value: Any) -> Element:
        return {RATIONAL: Quotient(self.ring.constant(value), {})} if value else {}

    def _charge(self, work: int, terms: int = 0) -> None:
        self.work += work
        if terms > MAX_TERMS or self.work > self.limit:
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
        if not numerator.degree:  # a number
            return Quotient(numerator, denominator)
        self._charge(len(denominator) // 16)
        left: dict[Polynomial, int] = {}
        for factor, power in denominator.items():
            while power and (quotient := numerator.divided(factor, self._charge)) is not None:
                numerator, power = quotient, power - 1
            if power:
                left[factor] = power
        return Quotient(numerator, left)

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
                whole: list[Radicand] = []
                for root, part in roots_b:
                    total = roots.pop(root, Fraction(0)) + part
                    if total >= 1:
                        total -= 1
                        if isinstance(root, Radicand):
                            whole.append(root)
                        else:
                            numerator = self._times(numerator, self._base(root))
                    if total:
                        roots[root] = total
                product = {frozenset(roots.items()): self._lowest(numerator, denominator)}
                for radicand in sorted(whole, key=_place):
                    product = self._multiply(product, radicand.element)
                result = self._add(result, product)
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
            return self._rationalized(element)
        ((roots, (numerator, denominator)),) = element.items()
        content, factors = self._factor(numerator)
        result: Element = {RATIONAL: Quotient(self.ring.constant(1 / content), dict(factors))}
        for factor, power in denominator.items():
            result = self._multiply(result, {RATIONAL: Quotient(factor**power, {})})
        for root, part in sorted(roots, key=lambda item: _place(item[0])):  # f^-r is f^(1-r)/f
            if isinstance(root, Radicand):
                result = self._multiply(result, self._root_of(root, -part))
                continue
            quotient = Quotient(self.ring.one, {root: 1})
            if isinstance(root, int):
                quotient = Quotient(self.ring.constant(sympy.QQ(1, root)), {})
            result = self._multiply(result, {frozenset({(root, 1 - part)}): quotient})
        return result

    def _rationalized(self, element: Element) -> Element:
        """The reciprocal of a sum of different roots: its conjugates over the product of all.

        The work has a budget of its own: one such sum may need any amount, and what else is to be
        decided shall not go without.
        """
        start, limit = self.work, self.limit
        self.limit = min(limit, start + self.conjugating)
        try:
            above, below = self._constant(sympy.QQ(1)), element
            while len(below) > 1:
                conjugate = self._conjugate(below)
                above, below = self._multiply(above, conjugate), self._multiply(below, conjugate)
            if any(len(numerator) > MAX_NORM for numerator, _ in below.values()):
                raise TooLarge("the product of all conjugates of a sum of roots")
            return self._multiply(above, self._inverse(below))
        finally:
            self.conjugating -= self.work - start
            self.limit = limit

    def _conjugate(self, element: Element) -> Element:
        """What a sum of roots is multiplied by to be rid of one root of order 2 or 3.

        In f^(1/q), p being a prime that divides q, the element is a sum of p parts by the exponent
        modulo p. Its conjugates turn the k-th part by the k-th power of a p-th root of unity.
        """
        orders: dict[Any, int] = {}
        for roots in element:
            for root, part in roots:
                orders[root] = lcm(orders.get(root, 1), part.denominator)
        root = max(orders, key=_place)  # a radicand comes after the roots in it
        prime = next((p for p in (2, 3) if orders[root] % p == 0), 0)
        if not prime:
            raise TooLarge("a sum of roots of an order with other primes than 2 and 3")
        parts: list[Element] = [{} for _ in range(prime)]
        for roots, quotient in element.items():
            exponent = int(dict(roots).get(root, Fraction(0)) * orders[root])
            parts[exponent % prime][roots] = quotient
        if prime == 2:
            return self._add(parts[0], self._negative(parts[1]))
        # (a + bw + cw^2)(a + bw^2 + cw) for a third root of unity w
        total: Element = {}
        for i, one in enumerate(parts):
            total = self._add(total, self._multiply(one, one))
            total = self._add(total, self._negative(self._multiply(one, parts[i - 1])))
        return total

    def _negative(self, element: Element) -> Element:
        return self._multiply(element, self._constant(sympy.QQ(-1)))

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
            if isinstance(factor, Radicand):  # at least 0 where it has a root
                result = self._multiply(result, self._root_of(factor, power * exponent))
                continue
            if not isinstance(factor, int) and not self._positive(factor):
                raise TooLarge("the radicand may be negative")
            whole, part = divmod(power * exponent, 1)
            if whole:
                inner = {RATIONAL: Quotient(self._base(factor), {})}
                result = self._multiply(result, self._power(inner, int(whole)))
            if part:
                one = {frozenset({(factor, part)}): Quotient(self.ring.one, {})}
                result = self._multiply(result, one)
        return result

    def _radicand(
        self, element: Element, expression: sympy.Expr
    ) -> tuple[Radicand, Element] | None:
        """An element under a root as a radicand times what has factors of known sign.

        None where its reciprocal, which negative powers need, is too large.
        """
        items = ((roots, *q[:1], frozenset(q.denominator.items())) for roots, q in element.items())
        key = frozenset(items)
        if key not in self.radicands:
            self.radicands[key] = None
            with suppress(TooLarge, ZeroDivisionError):
                self.radicands[key] = self._new_radicand(element, expression)
        return self.radicands[key]

    def _new_radicand(self, element: Element, expression: sympy.Expr) -> tuple[Radicand, Element]:
        known = dict.fromkeys(found[0] for found in self.radicands.values() if found is not None)
        for radicand in [*known][:MAX_RADICANDS]:
            with suppress(TooLarge):
                ratio = self._multiply(element, radicand.reciprocal)
                self._root(ratio, Fraction(1, 2))  # which is refused where its sign is not known
                return radicand, ratio
        one = self._constant(sympy.QQ(1))
        return Radicand(element, self._inverse(element), expression, len(known)), one

    def _root_of(self, radicand: Radicand, exponent: Fraction) -> Element:
        whole, part = divmod(exponent, 1)
        one = {frozenset({(radicand, part)} if part else ()): Quotient(self.ring.one, {})}
        base = radicand.element if whole > 0 else radicand.reciprocal
        return self._multiply(one, self._power(base, abs(int(whole))))

    def _factor(self, polynomial: Polynomial) -> tuple[Any, list[tuple[Polynomial, int]]]:
        """Content and irreducible factors, the leading coefficient of each factor positive."""
        if polynomial not in self.factorings:
            self._charge(len(polynomial) ** 2)
            used = polynomial.variables()
            alike = [place for place, i in enumerate(used) if i in self.cells]
            content, factors = factor_list(self.ring.as_sympy(polynomial), alike)
            found = [(self.ring.from_sympy(f, used), int(p)) for f, p in factors]
            self.factorings[polynomial] = content, found
        return self.factorings[polynomial]

    def _base(self, root: Any) -> Polynomial:
        """What stands under a root: a factor, or a prime number."""
        return root if isinstance(root, Polynomial) else self.ring.constant(root)

    def _positive(self, polynomial: Polynomial) -> bool:
        """Whether every coefficient is positive and every variable is at least 0."""
        signed = any(coefficient < 0 for coefficient in polynomial.terms.values())
        variables = (self.ring.symbols[i] for i in polynomial.variables())
        return (not signed and all(map(self._known, variables))) or self._even(polynomial)

    def _known(self, variable: sympy.Symbol) -> bool:
        """Whether a variable is at least 0: by the domain, as an even root, or an exponential."""
        meaning = self.meaning.get(variable)
        if meaning is None:
            return variable.name in self.nonnegative
        return isinstance(meaning, sympy.exp) or (
            meaning.is_Pow and meaning.exp.is_Rational and meaning.exp.q % 2 == 0
        )

    def _even(self, polynomial: Polynomial) -> bool:
        """Whether a polynomial is positive by its form: even powers, positive coefficients."""
        names = [s.name in self.nonnegative for s in self.ring.symbols]
        return all(
            coefficient > 0
            and all(
                known or power % 2 == 0
                for known, power in zip(names, self.ring.exponents(monomial), strict=True)
            )
            for monomial, coefficient in polynomial.terms.items()
        )


def _place(root: Any) -> tuple[Any, ...]:
    """An order of what stands under roots: numbers, polynomials by their terms, radicands."""
    if isinstance(root, Radicand):
        return 2, root.place
    return (1, *sorted(root.terms.items())) if isinstance(root, Polynomial) else (0, root)
