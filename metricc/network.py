"""A network of sums of products, and the extraction of what its sums share.

Each node is a sum of products of cells, parameters and other nodes, or a call. As long as it saves
operations, the best divisor is taken out and becomes a node: a sum of two terms that occurs in
several places up to a factor, `FN*FP*TP + FN*FP*TN = FN*FP*(TP + TN)`, or a product of two factors
that several terms share. This is the fast-extract algorithm of multi-level logic synthesis
(Rajski and Vasudevamurthy 1992), applied to polynomials: it factors and eliminates common
subexpressions in one go. Everything is ordered by keys of our own, not by SymPy's term order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import gcd, lcm
from typing import TypeAlias

import sympy

from metricc.functions import CELLS, DERIVED_COUNTS, DERIVED_FUNCTIONS, FUNCTIONS

# Extraction looks at pairs of terms again and again; beyond this many terms code stays as it is.
MAX_TERMS = 260
MAX_PAIRS = 15_000  # pairs of terms looked at, over all rounds: well under a second
MAX_BITS = 1_000  # of a number taken out of a power
# Of a product that becomes a node: 1e9 to the fifth is more than float32 holds.
MAX_DEGREE = 4

Term: TypeAlias = tuple[tuple[str, int], ...]  # ((atom, exponent), ...), sorted by atom
Sum: TypeAlias = dict[Term, Fraction]
Literal: TypeAlias = tuple[str, int]
Pair: TypeAlias = frozenset[tuple[Term, Fraction]]  # a sum of two terms

_LANGUAGE_NAMES = {
    row.sympy: name
    for name, row in {**FUNCTIONS, **DERIVED_FUNCTIONS}.items()
    if row.sympy and name != "abs"
}


@dataclass(slots=True)
class Call:
    """A node that is a function of other nodes; "power" is base and exponent."""

    function: str
    arguments: tuple[str, ...]


@dataclass(slots=True)
class Network:
    """Nodes by name ("%1", "%2" ...), each a `Sum` or a `Call`; equal content is one node."""

    parameters: tuple[str, ...]
    nodes: dict[str, Sum | Call] = field(default_factory=dict)
    known: dict[object, str] = field(default_factory=dict)
    count: int = 0
    met: dict[sympy.Expr, tuple[Fraction, str]] = field(default_factory=dict)  # atoms by expression
    degrees: dict[str, Fraction] = field(default_factory=dict)

    # -- building -----------------------------------------------------------------------------

    def node(self, content: Sum | Call) -> str:
        """The node with this content, made if there is none: equal content is one node."""
        key: object
        if isinstance(content, Call):
            key = (content.function, content.arguments)
        else:
            key = frozenset(content.items())
        if key not in self.known:
            self.count += 1
            self.known[key] = f"%{self.count}"
            self.nodes[self.known[key]] = content
        return self.known[key]

    def degree(self, atom: str) -> Fraction:
        """How an atom grows with the counts: what power of their number it is like."""
        if atom not in self.degrees:
            content = self.nodes.get(atom)
            if content is None:
                self.degrees[atom] = Fraction(atom not in self.parameters)
            elif isinstance(content, Call):
                self.degrees[atom] = self._degree(content)
            else:
                self.degrees[atom] = max(map(self.degree_of, content), default=Fraction(0))
        return self.degrees[atom]

    def degree_of(self, term: Term) -> Fraction:
        """The degree of a product."""
        return sum((self.degree(atom) * power for atom, power in term), Fraction(0))

    def _degree(self, call: Call) -> Fraction:
        first, *rest = (self.degree(argument) for argument in call.arguments)
        match call.function:
            case "sqrt":
                return first / 2
            case "power":
                exponent = self.nodes[call.arguments[1]]
                number = exponent.get((), Fraction(0)) if isinstance(exponent, dict) else 0
                return first * number
            case "abs" | "min" | "max":
                return max([first, *rest])
            case "select":
                return max(rest[1:])
        return Fraction(0)

    def sum(self, expression: sympy.Expr) -> Sum:
        arguments = expression.args if expression.is_Add else (expression,)
        total: Sum = {}
        for argument in arguments:
            term, coefficient = self.term(argument)
            total[term] = total.get(term, Fraction(0)) + coefficient
        return {t: c for t, c in total.items() if c}

    def term(self, expression: sympy.Expr) -> tuple[Term, Fraction]:
        coefficient = Fraction(1)
        powers: Counter[str] = Counter()
        for factor in expression.args if expression.is_Mul else (expression,):
            if factor.is_Rational:
                coefficient *= Fraction(factor.p, factor.q)
                continue
            base, exponent = factor.as_base_exp() if factor.is_Pow else (factor, sympy.Integer(1))
            if exponent.is_Integer:
                scale, atom = self.atom(base)
                size = max(abs(scale.numerator), scale.denominator).bit_length()
                if size * abs(int(exponent)) > MAX_BITS:  # its power would fill pages
                    scale, atom = Fraction(1), self.node(self.sum(base))
                powers[atom] += int(exponent)
                coefficient *= scale ** int(exponent)
            elif exponent.is_Rational and exponent.q == 2:
                # x^(3/2) is x * sqrt(x): one square root, whatever the power.
                whole = int(exponent - sympy.Rational(1 if exponent > 0 else -1, 2))
                scale, atom = self.atom(base)
                powers[atom] += whole
                coefficient *= scale**whole
                powers[self.call("sqrt", base)] += 1 if exponent > 0 else -1
            else:
                inverse = exponent.is_Rational and exponent < 0
                root = self.call("power", base, -exponent if inverse else exponent)
                powers[root] += -1 if inverse else 1
        return term_of(powers), coefficient

    def atom(self, base: sympy.Expr) -> tuple[Fraction, str]:
        """A factor as (content, atom): sums are made primitive so that multiples are one node."""
        if base.is_Symbol:
            return Fraction(1), base.name
        if base not in self.met:
            self.met[base] = self._atom(base)
        return self.met[base]

    def _atom(self, base: sympy.Expr) -> tuple[Fraction, str]:
        if base.is_Add:
            content = self.sum(base)
            scale = _content(content)
            return scale, self.node({t: c / scale for t, c in content.items()})
        if base is sympy.E:
            return Fraction(1), self.call("exp", sympy.Integer(1))
        if base.is_Function or isinstance(base, sympy.Min | sympy.Max):
            arguments = base.args[:1] if isinstance(base, sympy.Heaviside) else base.args
            name = _LANGUAGE_NAMES[type(base).__name__]
            ordered = [*arguments]
            if len(ordered) > 1 and name not in ("select", "log_ratio"):
                ordered.sort(key=str)
            if name == "max" and len(ordered) == 2 and ordered[0] == -ordered[1]:
                name, ordered = "abs", ordered[:1]
            return Fraction(1), self.call(name, *ordered)
        return Fraction(1), self.node(self.sum(base))

    def call(self, function: str, *arguments: sympy.Expr) -> str:
        return self.node(Call(function, tuple(self.node(self.sum(a)) for a in arguments)))

    # -- extraction ---------------------------------------------------------------------------

    def sums(self) -> list[tuple[str, Sum]]:
        return [(n, s) for n, s in self.nodes.items() if isinstance(s, dict)]

    def extract(self) -> None:
        """Take out divisors, the one that saves most operations first, until none saves any."""
        pairs = 0
        found: dict[str, _Divisors] = {}
        while sum(len(s) for _, s in self.sums()) <= MAX_TERMS and pairs <= MAX_PAIRS:
            for name, content in self.sums():
                pairs += len(content) * (len(content) - 1) // 2
                if name not in found or found[name].content is not content:
                    found[name] = _Divisors(content)
            best = self.best(found.values())
            if best is None:
                return
            self.substitute(best, found)

    def best(self, found: Iterable[_Divisors]) -> Sum | None:
        """The divisor that saves most; None where none saves any. No product of a high degree."""
        saved: dict[Pair, int] = {}
        places: Counter[Pair] = Counter()
        products: Counter[tuple[Literal, Literal]] = Counter()
        for divisors in found:
            for key, savings in divisors.sums.items():
                saved[key] = saved.get(key, 0) + sum(savings)
                places[key] += len(savings)
            products.update(divisors.products)
        products = Counter({key: n for key, n in products.items() if n > 1 and self.low(key)})
        options = {key: total - _price(key) for key, total in saved.items() if places[key] > 1}
        most = max((0, *options.values(), *(count - 1 for count in products.values())))
        if most == 0:
            return None
        alike = [dict(key) for key, total in options.items() if total == most]
        alike += [_product(key) for key, count in products.items() if count - 1 == most]
        return max(alike, key=_preference)

    def low(self, key: tuple[Literal, Literal]) -> bool:
        """Whether a product of two factors is of a degree that a float32 holds."""
        factors = [(a, power) for a, power in key if a[0] not in "#-"]
        above = sum((self.degree(a) * p for a, p in factors if p > 0), Fraction(0))
        below = sum((self.degree(a) * p for a, p in factors if p < 0), Fraction(0))
        return max(above, -below, abs(above + below)) <= MAX_DEGREE

    def substitute(self, divisor: Sum, found: Mapping[str, _Divisors]) -> None:
        name, wanted = self.node(divisor), frozenset(divisor.items())
        for other, content in self.sums():
            if other == name:
                continue
            if len(divisor) == 1:
                replaced = _replace_product(content, divisor, name)
            elif wanted in found[other].sums:
                replaced = _replace_sum(content, divisor, name)
            else:
                replaced = None
            if replaced is not None:
                self.nodes[other] = replaced


class _Divisors:
    """The divisors of one node's content: they are the same until something is taken out of it."""

    def __init__(self, content: Sum) -> None:
        self.content = content
        self.sums = _sum_divisors(content)
        self.products = _product_divisors(content)


def _sum_divisors(content: Sum) -> dict[Pair, list[int]]:
    """Sums of two terms that stand, times something, in a node: what each place saves."""
    places: dict[Pair, list[int]] = {}
    used: set[tuple[Pair, Term]] = set()
    costs = {t: _cost(t, c) for t, c in content.items()}
    for one, two in combinations(sorted(content.items(), key=_order), 2):
        base, key, scale = _divide(one, two)
        if (key, one[0]) in used or (key, two[0]) in used:
            continue
        used |= {(key, one[0]), (key, two[0])}
        saved = costs[one[0]] + costs[two[0]] + 1
        if len(content) > 2 or base or scale != 1:  # else the node itself is the divisor
            saved -= _kept(base, scale)
        places.setdefault(key, []).append(saved)
    return places


def _product_divisors(content: Sum) -> Counter[tuple[Literal, Literal]]:
    """Products of two factors (either may be -1 or a number) in a node's terms."""
    counts: Counter[tuple[Literal, Literal]] = Counter()
    for term, coefficient in content.items():
        for pair in combinations(_literals(term, coefficient), 2):
            if key := _pair(*pair):
                counts[key] += 1
    return counts


# -- terms ------------------------------------------------------------------------------------


def term_of(powers: Counter[str]) -> Term:
    return tuple(sorted((a, e) for a, e in powers.items() if e))


def _join(term: Term, literal: Literal) -> Term:
    powers = Counter(dict(term))
    powers[literal[0]] += literal[1]
    return term_of(powers)


def _order(item: tuple[Term, Fraction]) -> tuple[Term, Fraction]:
    return item


def _natural(item: tuple[Term, Fraction]) -> list[tuple[int, str, int]]:
    """Terms as people order them: TP before FN before FP before TN, then other names."""
    return sorted((CELLS.index(a) if a in CELLS else len(CELLS), a, -e) for a, e in item[0])


@lru_cache(maxsize=1 << 12)
def _kept(base: Term, scale: Fraction) -> int:
    """Operations of base · scale · divisor, the divisor being a name."""
    return _cost(_join(base, ("%", 1)), scale)


@lru_cache(maxsize=1 << 12)
def _cost(term: Term, coefficient: Fraction) -> int:
    """Operations that a term takes: products, quotients, powers, a negation."""
    factors = sum(1 if abs(e) == 1 else 2 for _, e in term)
    if not term:
        return 0
    above = any(e > 0 for _, e in term) or abs(coefficient.numerator) != 1
    numbers = (abs(coefficient.numerator) != 1) + (coefficient.denominator != 1)
    return factors + numbers - (1 if above else 0) + (coefficient < 0 and not above)


def _content(content: Sum) -> Fraction:
    """The rational that makes the coefficients coprime integers, the first one positive."""
    values = list(content.values())
    scale = Fraction(gcd(*(v.numerator for v in values)), lcm(*(v.denominator for v in values)))
    first = min(content.items(), key=_natural)[1]
    positive = sum(v > 0 for v in values) * 2
    negative = positive < len(values) or (positive == len(values) and first < 0)
    return -scale if negative else scale


def _price(divisor: Pair) -> int:
    return sum(_cost(t, c) for t, c in divisor) + 1


@lru_cache(maxsize=1 << 15)  # every round looks at almost the same pairs
def _divide(one: tuple[Term, Fraction], two: tuple[Term, Fraction]) -> tuple[Term, Pair, Fraction]:
    """Two terms as base · scale · divisor, the divisor primitive and without common factors."""
    first, second = dict(one[0]), dict(two[0])
    base: Counter[str] = Counter()
    for atom in first.keys() & second.keys():
        a, b = first[atom], second[atom]
        if a * b > 0:
            base[atom] = min(a, b) if a > 0 else max(a, b)
    divisor: Sum = {}
    for powers, coefficient in ((first, one[1]), (second, two[1])):
        rest = Counter(powers)
        rest.subtract(base)
        divisor[term_of(rest)] = coefficient
    scale = _content(divisor)
    if scale != 1:
        divisor = {t: c / scale for t, c in divisor.items()}
    return term_of(base), frozenset(divisor.items()), scale


def _preference(divisor: Sum) -> tuple[int, int, str]:
    """Among equal savings: sums that the field has names for, sums of cells, then by text."""
    atoms = frozenset(a for term in divisor for a, _ in term)
    named = atoms in DERIVED_COUNTS and len(divisor) == 2 and set(divisor.values()) == {1}
    # Negated text would be ideal; the reversed order of a fixed string is just as deterministic.
    return int(named), int(atoms <= set(CELLS)), repr(sorted(divisor.items()))


# Literals of a term: its factors with exponents, -1 as ("-", 1) and numbers as ("#7", 1).


def _literals(term: Term, coefficient: Fraction) -> list[Literal]:
    literals = list(term)
    if abs(coefficient.numerator) != 1:
        literals.append((f"#{abs(coefficient.numerator)}", 1))
    if coefficient.denominator != 1:
        literals.append((f"#{coefficient.denominator}", -1))
    if coefficient < 0:
        literals.append(("-", 1))
    return literals


def _pair(one: Literal, two: Literal) -> tuple[Literal, Literal] | None:
    """The key of two factors as a divisor, or None where a name for them would not help.

    Two factors below the bar are one above it, turned over. A quotient keeps its direction: its
    reciprocal could divide by zero. Numbers join denominators (2*root) and signs join numerators
    (-x); 2*TP, -2 and 2/x are not worth a name.
    """
    first, second = sorted((one, two), key=lambda literal: (literal[0][0] not in "#-", literal))
    if first[0][0] in "#-":
        below = second[1] < 0
        if (
            not second[0].startswith("%")
            or below != (first[0][0] == "#")
            or below != (first[1] < 0)
        ):
            return None
    if first[1] < 0 and second[1] < 0:
        return (first[0], -first[1]), (second[0], -second[1])
    return first, second


def _product(key: tuple[Literal, Literal]) -> Sum:
    coefficient = Fraction(1)
    powers: Counter[str] = Counter()
    for atom, exponent in key:
        if atom == "-":
            coefficient = -coefficient
        elif atom.startswith("#"):
            coefficient *= Fraction(int(atom[1:])) ** exponent
        else:
            powers[atom] += exponent
    return {term_of(powers): coefficient}


def _replace_sum(content: Sum, divisor: Sum, name: str) -> Sum | None:
    result, wanted = dict(content), frozenset(divisor.items())
    for one, two in combinations(sorted(content.items(), key=_order), 2):
        if one[0] not in result or two[0] not in result:
            continue
        base, found, scale = _divide(one, two)
        if found == wanted:
            del result[one[0]], result[two[0]]
            joined = _join(base, (name, 1))
            result[joined] = result.get(joined, Fraction(0)) + scale
    return result if result != content else None


def _replace_product(content: Sum, divisor: Sum, name: str) -> Sum | None:
    ((part, number),) = divisor.items()
    wanted = _literals(part, number)
    result: Sum = {}
    changed = False
    for term, coefficient in content.items():
        literals = _literals(term, coefficient)
        for sign in (1, -1) if all(e > 0 for _, e in wanted) and number > 0 else (1,):
            turned = [(a, e * sign) for a, e in wanted if a != "-"]
            turned += [("-", 1)] if number < 0 else []
            if all(literal in literals for literal in turned):
                rest = [literal for literal in literals if literal not in turned]
                powers: Counter[str] = Counter()
                coefficient = Fraction(1)
                for atom, exponent in rest:
                    if atom == "-":
                        coefficient = -coefficient
                    elif atom.startswith("#"):
                        coefficient *= Fraction(int(atom[1:])) ** exponent
                    else:
                        powers[atom] += exponent
                powers[name] += sign
                term, changed = term_of(powers), True
                break
        result[term] = result.get(term, Fraction(0)) + coefficient
    return result if changed else None
