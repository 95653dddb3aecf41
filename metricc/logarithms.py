"""Logarithms of quotients near 1: `LogRatio(a, b, d)` is log(a/b) with d = a - b known by itself.

Of log((TP + FN)/TP) hardly a digit is left where FN is small: the quotient is rounded to 1. With
the difference FN, from which no rounding comes, generated code says log1p(FN/TP) there.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import sympy

from metricc.algebra import canonical, factors_of, product_of
from metricc.select import LogRatio
from metricc.signs import sign_of

MAX_TERMS = 40  # of the products of a quotient, multiplied out


def apart(expression: sympy.Expr, nonnegative: frozenset[str]) -> sympy.Expr:
    """An expression with every logarithm as those of the factors of its argument, which have one
    sign: what a proof compares."""
    logs = sorted(expression.atoms(sympy.log), key=sympy.default_sort_key)
    parts = {}
    for log in logs:
        found = factors_of(log.args[0], nonnegative)
        if found is not None and found[0] > 0:
            coefficient, powers = found
            if all(sign_of(factor, nonnegative) == 1 for factor in powers):
                number = sympy.Rational(coefficient.numerator, coefficient.denominator)
                terms = (sympy.Rational(p) * sympy.log(f) for f, p in powers.items())
                parts[log] = sympy.Add(sympy.log(number), *terms)
    return expression.xreplace(parts)


def sharp(nonnegative: frozenset[str], merging: int) -> Callable[[sympy.Expr], sympy.Expr]:
    """Expressions with the logarithms of quotients that share terms above and below the bar as
    `LogRatio`, as a function that remembers what it met.

    Before, differences of logarithms become one logarithm: none (`merging` 0), those of sums of
    counts (1), or all that `_merged` finds (2).
    """
    known: dict[sympy.Expr, sympy.Expr] = {}

    def sharpened(expression: sympy.Expr) -> sympy.Expr:
        if not expression.has(sympy.log):
            return expression
        if expression not in known:
            merge = merging and expression.is_Add
            merged = _merged(expression, nonnegative, merging) if merge else expression
            whole = merged.func(*map(sharpened, merged.args))
            if isinstance(whole, sympy.log):
                whole = _sharp(whole.args[0], nonnegative) or whole
            known[expression] = whole
        return known[expression]

    return sharpened


def _merged(total: sympy.Expr, nonnegative: frozenset[str], merging: int) -> sympy.Expr:
    """A sum with log(a) - log(b) as log(a/b), where a and b are whole, or that has no more factors
    than one of them: what both have in common cancels exactly."""
    logs: list[tuple[sympy.Expr, sympy.Expr]] = []
    rest = []
    for term in total.args:
        number, product = term.as_coeff_Mul()
        if isinstance(product, sympy.log):
            logs.append((number, product.args[0]))
        else:
            rest.append(term)
    logs.sort(key=lambda pair: sympy.default_sort_key(pair[1]))
    while logs:
        number, argument = logs.pop(0)
        for opposite, other in logs:
            joined = canonical(argument / other, nonnegative) if opposite == -number else None
            if joined is None:
                continue
            whole = argument.is_polynomial() and other.is_polynomial()
            shorter = _length(joined) <= max(_length(argument), _length(other))
            if whole or (shorter and merging > 1):
                argument = joined
                logs.remove((opposite, other))
                break
        rest.append(number * sympy.log(argument))
    return sympy.Add(*rest)


def _length(argument: sympy.Expr) -> int:
    """How many factors, above and below the bar."""
    return len(sympy.Mul.make_args(argument))


def _sharp(argument: sympy.Expr, nonnegative: frozenset[str]) -> sympy.Expr | None:
    found = factors_of(argument, nonnegative)
    if found is None or found[0] <= 0 or not argument.free_symbols:
        return None
    coefficient, powers = found
    if any(power.denominator != 1 for power in powers.values()):
        return None
    above = {f: p for f, p in powers.items() if p > 0}
    below = {f: -p for f, p in powers.items() if p < 0}
    one = product_of(Fraction(coefficient.numerator), above)
    two = product_of(Fraction(coefficient.denominator), below)
    if sign_of(two, nonnegative) != 1:  # both sides may be below 0, and the code takes none such
        return None
    sides = [sympy.expand(side) for side in (one, two)]
    terms = [len(sympy.Add.make_args(side)) for side in sides]
    if sum(terms) > MAX_TERMS:
        return None
    apart = sympy.expand(sides[0] - sides[1])
    if apart == 0 or len(sympy.Add.make_args(apart)) >= sum(terms):
        return None
    return LogRatio(one, two, apart)
