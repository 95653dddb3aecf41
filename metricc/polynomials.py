"""Polynomials with rational coefficients, as fast as plain Python makes them.

A monomial is one integer that holds an exponent a variable, the first variable in the highest bits:
a product of monomials is a sum, the lexicographic order is that of integers, and with a bit to
spare in each field whether one divides another is seen by one subtraction. Coefficients are
integers wherever they can be. Every polynomial knows its value at one point of primes, which costs
a multiplication where the polynomial is a product, and refutes most divisions.

SymPy's polynomials take over for factoring alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from heapq import heapify, heappop, heappush
from math import lcm
from operator import or_
from typing import Any, TypeAlias

import sympy
from sympy.polys.rings import ring as make_ring

from metricc.factoring import TooLarge

WIDTH = 32  # bits of an exponent, one of which stays 0
MAX_DEGREE = 2 ** (WIDTH - 2)

Number: TypeAlias = Any  # an int, or an element of sympy.QQ that is none


class Ring:
    """Polynomials in variables that may be added one by one, at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.symbols: list[sympy.Symbol] = []
        self.point: list[int] = []
        self.guard = sum(1 << (i * WIDTH + WIDTH - 1) for i in range(capacity))
        self.one = Polynomial(self, {0: 1}, 1, 0, True)
        self.zero = Polynomial(self, {}, 0, 0, True)

    def variable(self, symbol: sympy.Symbol) -> Polynomial:
        """A new variable, the last one in the order."""
        assert len(self.symbols) < self.capacity
        monomial = 1 << self._place(len(self.symbols))
        self.symbols.append(symbol)
        self.point.append(int(sympy.prime(99 + len(self.symbols))))
        return Polynomial(self, {monomial: 1}, self.point[-1], 1, True)

    def constant(self, number: Any) -> Polynomial:
        """A number as a polynomial."""
        number = _whole(sympy.QQ(number))
        return Polynomial(self, {0: number}, number, 0, type(number) is int)

    def _place(self, variable: int) -> int:
        return (self.capacity - 1 - variable) * WIDTH

    def exponents(self, monomial: int) -> tuple[int, ...]:
        """The exponent of every variable."""
        mask = (1 << WIDTH) - 1
        return tuple(monomial >> self._place(i) & mask for i in range(len(self.symbols)))

    # -- SymPy's ------------------------------------------------------------------------------

    def as_sympy(self, polynomial: Polynomial) -> Any:
        """The polynomial as an element of SymPy's ring over the variables that occur in it."""
        used = polynomial.variables()
        terms = {}
        for monomial, coefficient in polynomial.terms.items():
            powers = self.exponents(monomial)
            terms[tuple(powers[i] for i in used)] = sympy.QQ(coefficient)
        return make_ring([self.symbols[i] for i in used], sympy.QQ)[0].from_dict(terms)

    def from_sympy(self, element: Any, used: Sequence[int]) -> Polynomial:
        """An element of SymPy's ring over these variables as a polynomial of this one."""
        terms = {}
        for exponents, coefficient in element.terms():
            places = (e << self._place(i) for i, e in zip(used, exponents, strict=True))
            terms[sum(places)] = _whole(coefficient)
        return self.made(terms, max((max(m, default=0) for m in element.monoms()), default=0))

    def made(self, terms: dict[int, Number], degree: int) -> Polynomial:
        """A polynomial of these terms, whose value is not known yet."""
        whole = all(type(c) is int for c in terms.values())
        value: Number = 0
        for monomial, coefficient in terms.items():
            for base, exponent in zip(self.point, self.exponents(monomial), strict=True):
                if exponent:
                    coefficient = coefficient * base**exponent
            value = value + coefficient
        return Polynomial(self, terms, _whole(value), degree, whole)


class Polynomial:
    """Terms by monomial; equal polynomials of one ring are equal and hash alike."""

    __slots__ = ("_hash", "degree", "ring", "terms", "value", "whole")

    def __init__(
        self, ring: Ring, terms: dict[int, Number], value: Number, degree: int, whole: bool
    ) -> None:
        self.ring = ring
        self.terms = terms
        self.value = value  # at the ring's point
        self.degree = degree  # no exponent is above it
        self.whole = whole  # whether all coefficients are integers
        self._hash: int | None = None

    def __len__(self) -> int:
        return len(self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Polynomial) and self.terms == other.terms

    def __add__(self, other: Polynomial) -> Polynomial:
        small, large = (self, other) if len(self) < len(other) else (other, self)
        whole = self.whole and other.whole
        terms = dict(large.terms)
        get = terms.get
        for monomial, coefficient in small.terms.items():
            value = get(monomial, 0) + coefficient
            if value:
                terms[monomial] = value if whole else _whole(value)
            else:
                del terms[monomial]
        value = self.value + other.value
        degree = max(self.degree, other.degree)
        return Polynomial(self.ring, terms, value if whole else _whole(value), degree, whole)

    def __mul__(self, other: Polynomial) -> Polynomial:
        small, large = (self, other) if len(self) < len(other) else (other, self)
        degree = self.degree + other.degree
        if degree > MAX_DEGREE:
            raise TooLarge(f"a polynomial of degree {degree:,}")
        if len(small) == 1:
            ((monomial, scale),) = small.terms.items()
            if scale == 1:
                terms = {m + monomial: c for m, c in large.terms.items()}
            else:
                terms = {m + monomial: c * scale for m, c in large.terms.items()}
        else:
            terms = {}
            get = terms.get
            items = [*large.terms.items()]
            for monomial, scale in small.terms.items():
                for m, c in items:
                    place = m + monomial
                    terms[place] = get(place, 0) + c * scale
            if not all(terms.values()):
                terms = {m: c for m, c in terms.items() if c}
        whole = self.whole and other.whole
        value = self.value * other.value
        if not whole:
            terms = {m: _whole(c) for m, c in terms.items()}
            value = _whole(value)
            whole = all(type(c) is int for c in terms.values())
        return Polynomial(self.ring, terms, value, degree, whole)

    def __pow__(self, exponent: int) -> Polynomial:
        result = self.ring.one
        for _ in range(exponent):
            result = result * self
        return result

    def variables(self) -> list[int]:
        """The places of the variables that occur."""
        together = self.ring.exponents(reduce(or_, self.terms, 0))
        return [i for i, bits in enumerate(together) if bits]

    def as_expr(self) -> sympy.Expr:
        """The polynomial as an expression."""
        return self.ring.as_sympy(self).as_expr()

    def divided(self, factor: Polynomial, charge: Callable[[int], None]) -> Polynomial | None:
        """The quotient, or None where a rest is left; `factor` has coprime integer coefficients.

        `charge` is told of the work of each step.
        """
        guard = self.ring.guard
        lead = max(factor.terms)
        top = max(self.terms)
        if ((top | guard) - lead) & guard != guard:
            return None
        # A factor's value divides the polynomial's, both being integers (Gauss' lemma): most
        # divisions that leave a rest are seen by that, at a hundredth of their cost.
        divisor, number = factor.value, self.value
        if divisor and type(divisor) is int and _remains(number, divisor):
            scale = lcm(*(int(c.denominator) for c in self.terms.values()))
            if _remains(number * scale, divisor):
                return None
        first = factor.terms[lead]
        others = [(m, c) for m, c in factor.terms.items() if m != lead]
        rest, quotient = dict(self.terms), {}
        order = [-m for m in rest]
        heapify(order)
        steps = 1 + len(others)
        while rest:
            charge(steps + len(rest) // 16)
            while (top := -heappop(order)) not in rest:
                pass
            if ((top | guard) - lead) & guard != guard:
                return None  # an exact division never meets such a term
            power = top - lead
            scale = quotient[power] = _quotient(rest.pop(top), first)
            for monomial, coefficient in others:
                place = monomial + power
                before = rest.get(place)
                if before is None:
                    rest[place] = _whole(-scale * coefficient)
                    heappush(order, -place)
                else:
                    value = before - scale * coefficient
                    if value:
                        rest[place] = _whole(value)
                    else:
                        del rest[place]
        if not divisor:
            return self.ring.made(quotient, self.degree)
        whole = all(type(c) is int for c in quotient.values())
        value = _quotient(number, divisor)
        return Polynomial(self.ring, quotient, value, self.degree, whole)


def _whole(number: Number) -> Number:
    """A number as an int where it is one."""
    if type(number) is int:
        return number
    return int(number.numerator) if number.denominator == 1 else number


def _quotient(one: Number, two: Number) -> Number:
    if type(one) is int and type(two) is int:
        whole, rest = divmod(one, two)
        return sympy.QQ(one, two) if rest else whole
    return _whole(one / two)


def _remains(one: Number, two: int) -> bool:
    """Whether a quotient is no integer."""
    if type(one) is int:
        return one % two != 0
    return bool((one / two).denominator != 1)
