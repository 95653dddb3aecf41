"""What an expression is where some counts are 0: a number, infinite, or nothing (0/0).

Counts are never below 0, so a metric can lose its value only where some of them are 0 (a face of
the domain), or where a difference in it is 0. On a face every other count is above 0, and signs
decide: a sum of positive parts is positive, 0 where all its parts are 0. Rational parts are kept as
exact quotients of polynomials, so that log(POP/P) is seen to be log(1) where N = 0. The rules for
0/0, for logarithms of 0 and for their products with 0 are those of `interpret`, the hard metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Literal

import sympy

from metricc.audit.singular_parts import (
    ANY,
    MAX_TERMS,
    NEGATIVE,
    POSITIVE,
    ZERO,
    Crossing,
    Found,
    Part,
    Polynomial,
    Ratio,
    Signs,
    added,
    multiplied,
    negated,
    summed,
)
from metricc.select import LogRatio, Select
from metricc.signs import parts_of

MAX_PARTS = 400  # of an expression that is looked at
MAX_CHOICES = 4  # of min, max and conditions, whose cases are looked at one by one


class Faces:
    """One expression on the faces of its domain.

    `variables` are its symbols with the signs that they have inside; `counts` are those that may
    be 0, the others are parameters.
    """

    def __init__(
        self, expression: sympy.Expr, variables: Mapping[str, Signs], counts: Sequence[str]
    ) -> None:
        self.expression = expression
        self.names = [*variables]
        self.signs = variables
        self.counts = frozenset(counts)
        self.one: Polynomial = {(0,) * len(self.names): Fraction(1)}
        parts = parts_of(expression)
        choices = [p for p in parts if isinstance(p, sympy.Max | sympy.Min | Select)]
        self.choices = sorted(choices, key=str)
        self.readable = len(parts) <= MAX_PARTS and len(choices) <= MAX_CHOICES
        # What neither holds a choice nor notes a crossing is the same in every case.
        rational = {p for p in parts if p.is_Symbol or p.is_Add or p.is_Mul or p.is_Rational}
        self.simple = _closed(
            rational | {p for p in parts if p.is_Pow and p.exp.is_Integer and p.exp > 0}
        )
        # What has neither quotients nor logarithms nor roots is a number everywhere.
        self.plain = not any(
            isinstance(p, sympy.log | LogRatio)
            or (p.is_Pow and not (p.exp.is_Integer and p.exp > 0))
            for p in parts
        )

    def at(self, zeros: frozenset[str]) -> Found:
        """The expression where these symbols are 0 and all others are not; `readable` ones only."""
        found: list[tuple[Part, tuple[Crossing, ...]]] = []
        known: dict[sympy.Expr, Part] = {}  # of what holds no choice
        for taken in product(*(range(_branches(choice)) for choice in self.choices)):
            look = _Look(self, zeros, dict(zip(self.choices, taken, strict=True)), known)
            for choice in self.choices:
                look.part(choice)
            if look.possible:
                part = look.part(self.expression)
                found.append((part, tuple(look.crossings.values())))
        states = dict.fromkeys(part.state for part, _ in found)
        signs = frozenset().union(*(part.signs for part, _ in found)) if found else ANY
        crossings = {c.expression: c for _, each in found for c in each}
        return Found(tuple(states), signs, tuple(crossings.values()))


def _closed(parts: set[sympy.Expr]) -> set[sympy.Expr]:
    """The parts all of whose own parts are among them."""
    known: dict[sympy.Expr, bool] = {}

    def inside(node: sympy.Expr) -> bool:
        if node not in known:
            known[node] = node in parts and all(map(inside, node.args))
        return known[node]

    return {node for node in parts if inside(node)}


def _branches(choice: sympy.Expr) -> int:
    return 2 if isinstance(choice, Select) else len(choice.args)


class _Look:
    """One look at an expression on one face, every choice taken in one way."""

    def __init__(
        self,
        faces: Faces,
        zeros: frozenset[str],
        taken: Mapping[sympy.Expr, int],
        shared: dict[sympy.Expr, Part],
    ) -> None:
        self.faces = faces
        self.zeros = zeros
        self.taken = taken
        self.shared = shared
        self.possible = True
        self.crossings: dict[sympy.Expr, Crossing] = {}
        self.known: dict[sympy.Expr, Part] = {}

    def part(self, node: sympy.Expr) -> Part:
        known = self.shared if node in self.faces.simple else self.known
        if node not in known:
            known[node] = self.looked(node)
        return known[node]

    def looked(self, node: sympy.Expr) -> Part:
        if node.is_Symbol:
            return self.symbol(node.name)
        if node.is_Rational:
            number = {(0,) * len(self.faces.names): Fraction(int(node.p), int(node.q))}
            return self.number(number if node else {}, self.faces.one)
        if node.is_Add:
            return self.sum([self.part(a) for a in node.args])
        if node.is_Mul:
            return self.product(node.args)
        if node.is_Pow:
            if node.exp.is_Rational and node.exp < 0:
                return self.product((node,))
            return self.power(node.base, node.exp)
        if isinstance(node, sympy.log):
            return self.log(self.part(node.args[0]), node.args[0])
        if isinstance(node, LogRatio):
            above, below, _ = node.args
            return self.log(self.product((above, 1 / below)), above / below)
        if isinstance(node, sympy.exp):
            inner = self.part(node.args[0])
            if inner.state == "infinite":
                return Part(
                    *(("infinite", POSITIVE) if inner.signs == POSITIVE else ("number", ZERO))
                )
            return replace(inner, signs=POSITIVE, ratio=None, cancels=False)
        if isinstance(node, Select):
            return self.select(node)
        if isinstance(node, sympy.Max | sympy.Min):
            return self.largest(node, 1 if isinstance(node, sympy.Max) else -1)
        if node.is_number and node.is_real:
            return Part("number", frozenset({int(sympy.sign(node))}))
        return Part("number", ANY)

    def symbol(self, name: str) -> Part:
        if name in self.zeros:
            return self.number({}, self.faces.one)
        place = self.faces.names.index(name)
        own = {tuple(int(i == place) for i in range(len(self.faces.names))): Fraction(1)}
        return Part("number", self.faces.signs[name], ratio=(own, self.faces.one))

    def number(self, above: Polynomial, below: Polynomial, cancels: bool = False) -> Part:
        """A quotient of polynomials, the lower one not 0."""
        signs = frozenset(a * b for a in self.signs(above) for b in self.signs(below) - ZERO)
        short = max(len(above), len(below)) <= MAX_TERMS
        return Part("number", signs, False, cancels, (above, below) if short else None)

    def signs(self, polynomial: Polynomial) -> Signs:
        """The signs that a polynomial may have inside the face, read off its coefficients."""
        if not polynomial:
            return ZERO
        found: set[int] = set()
        for exponents, coefficient in polynomial.items():
            signs = POSITIVE if coefficient > 0 else NEGATIVE
            for name, power in zip(self.faces.names, exponents, strict=True):
                if power and self.faces.signs[name] != POSITIVE:
                    own = self.faces.signs[name]
                    own = frozenset({abs(s) for s in own}) if power % 2 == 0 else own
                    signs = frozenset(a * b for a in signs for b in own)
            found |= signs
        if {1, -1} <= found:
            return ANY
        # A sum of parts that may be 0 beside one that may not is not 0.
        return frozenset(found) if len(polynomial) == 1 else frozenset(found - ZERO or found)

    # -- arithmetic, by the rules of `interpret` --------------------------------------------------

    def sum(self, parts: Sequence[Part]) -> Part:
        fades = any(p.fades for p in parts)
        if any(p.state == "nothing" for p in parts):
            return Part("nothing", ANY, fades)
        infinite = [p.signs for p in parts if p.state == "infinite"]
        if infinite:
            signs = frozenset().union(*infinite)
            return Part("infinite" if len(signs) == 1 else "nothing", signs, fades)
        real = [p for p in parts if p.signs != ZERO]
        if not real:
            return Part("number", ZERO, fades, any(p.cancels for p in parts), ({}, self.faces.one))
        total = real[0].ratio
        for other in real[1:]:
            total = added(total, other.ratio)
        signs = frozenset().union(*(p.signs for p in real))
        if {1, -1} <= signs:
            signs = ANY
        elif any(0 not in p.signs for p in real):
            signs = signs - ZERO
        if total is None:
            return Part("number", signs, fades)
        found = self.number(*total, cancels=not total[0])
        return replace(found, signs=found.signs & signs, fades=fades)

    def product(self, factors: Sequence[sympy.Expr]) -> Part:
        """Factors above, and those with a negative power below."""
        above: list[Part] = []
        below: list[Part] = []
        for factor in factors:
            if factor.is_Pow and factor.exp.is_Rational and factor.exp < 0:
                divisor = self.power(factor.base, -factor.exp)
                if 0 in divisor.signs and divisor.signs != ZERO and divisor.state == "number":
                    self.cross(factor.base, "zero")
                    divisor = replace(divisor, signs=divisor.signs - ZERO)
                below.append(divisor)
            else:
                above.append(self.part(factor))
        absorbed = any(p.state == "number" and p.signs == ZERO and not p.fades for p in above)
        fades = any(p.fades for p in (*above, *below)) and not absorbed
        if absorbed:
            above = [p for p in above if not p.fades]
        if any(p.state == "nothing" for p in (*above, *below)):
            return Part("nothing", ANY, fades)
        signs = POSITIVE
        for p in (*above, *below):
            signs = frozenset(a * b for a in signs for b in (p.signs - ZERO or POSITIVE))
        zero = [p for p in above if p.state == "number" and p.signs == ZERO]
        infinite = any(p.state == "infinite" for p in above)
        if infinite and (zero or any(p.state == "infinite" for p in below)):
            return Part("nothing", ANY, fades)
        if gone := [p for p in below if p.state == "number" and p.signs == ZERO]:
            if zero or any(p.cancels for p in gone):
                return Part("nothing", ANY, fades)
            if any(0 in p.signs for p in above):
                signs = signs | ZERO
            return Part("infinite", signs, fades)
        if infinite:
            return Part("infinite", signs, fades)
        if zero or any(p.state == "infinite" for p in below):
            cancels = any(p.cancels for p in zero)
            return Part("number", ZERO, fades, cancels, ({}, self.faces.one))
        if any(0 in p.signs for p in above):
            signs = signs | ZERO
        ratio: Ratio = (self.faces.one, self.faces.one)
        for p in above:
            ratio = multiplied(ratio, p.ratio)
        for p in below:
            ratio = multiplied(ratio, p.ratio and p.ratio[::-1])
        return Part("number", signs, fades, ratio=ratio)

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> Part:
        """A power above 0, or of a parameter."""
        inner = self.part(base)
        if inner.state != "number":
            return inner if inner.state == "nothing" else replace(inner, signs=POSITIVE)
        whole = exponent.is_Integer
        if not whole and -1 in inner.signs:
            if inner.signs == NEGATIVE:
                return Part("nothing", ANY)
            self.cross(base, "negative")
            inner = replace(inner, signs=inner.signs - NEGATIVE, ratio=None)
        if inner.signs == ZERO:
            return replace(inner, fades=False)
        signs = inner.signs
        if whole and int(exponent) % 2 == 0:
            signs = frozenset(abs(s) for s in signs)
        ratio = None
        if whole and inner.ratio is not None:
            ratio = inner.ratio
            for _ in range(int(exponent) - 1):
                ratio = multiplied(ratio, inner.ratio)
        return Part("number", signs, inner.fades, False, ratio)

    def log(self, inner: Part, argument: sympy.Expr) -> Part:
        if inner.state == "nothing":
            return Part("nothing", ANY, fades=True)
        if inner.state == "infinite":
            return Part("infinite", POSITIVE, fades=True)
        if inner.signs == ZERO:
            return Part("infinite", NEGATIVE, fades=True)
        if -1 in inner.signs:
            if inner.signs == NEGATIVE:
                return Part("nothing", ANY)
            self.cross(argument, "negative")
        elif 0 in inner.signs:
            self.cross(argument, "zero")
        signs = ANY
        if inner.ratio is not None:  # it is log(1) where numerator and denominator are equal
            above, below = inner.ratio
            signs = self.signs(summed(above, {k: -c for k, c in below.items()}))
            sides = self.signs(below)
            signs = frozenset(a * b for a in signs for b in sides) if 0 not in sides else ANY
        return Part("number", signs, ratio=({}, self.faces.one) if signs == ZERO else None)

    def largest(self, node: sympy.Expr, sign: int) -> Part:
        """The largest argument, or (-1) the smallest: the one that is taken, if it may be."""
        parts = [self.part(a) for a in node.args]
        if any(p.state == "nothing" for p in parts):
            return Part("nothing", ANY, any(p.fades for p in parts))
        taken = parts[self.taken[node]]
        for place, other in enumerate(parts):
            if place == self.taken[node]:
                continue
            difference = self.difference(taken, other)
            # Of two that are equal the first is taken.
            ties = ZERO if place > self.taken[node] else frozenset()
            if not difference & (frozenset({sign}) | ties):
                self.possible = False
        return taken

    def select(self, node: sympy.Expr) -> Part:
        left, right, then, otherwise = (self.part(a) for a in node.args)
        if left.state == "nothing" or right.state == "nothing":
            return Part("nothing", ANY, left.fades or right.fades)
        below = self.difference(left, right)
        self.possible = self.possible and bool(
            below & NEGATIVE if self.taken[node] == 0 else below - NEGATIVE
        )
        return then if self.taken[node] == 0 else otherwise

    def difference(self, a: Part, b: Part) -> Signs:
        """The signs that a - b may have."""
        minus = replace(b, signs=frozenset(-s for s in b.signs), ratio=negated(b.ratio))
        if a.state == b.state == "infinite" and a.signs == b.signs:
            return ZERO
        return self.sum([a, minus]).signs

    def cross(self, expression: sympy.Expr, kind: Literal["zero", "negative"]) -> None:
        """Note what may be 0 or negative here, unless it is a parameter's affair."""
        inner = self.part(expression)
        if self.faces.counts & {s.name for s in expression.free_symbols} - self.zeros:
            above = None if inner.ratio is None else inner.ratio[0]
            self.crossings.setdefault(expression, Crossing(expression, kind, above))
