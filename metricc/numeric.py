"""SymPy expressions at points, as real numbers of many digits: for comparing, never for proving.

SymPy's own evaluation works in the complex plane, raises its precision until digits are right,
and so may not end. Here the precision is fixed and what is not a finite real number is None.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import sympy
from mpmath import MPContext
from mpmath.libmp import (
    from_int,
    from_rational,
    fzero,
    mpf_abs,
    mpf_e,
    mpf_gt,
    mpf_log,
    mpf_lt,
    mpf_mul,
    mpf_pow,
    mpf_sign,
    mpf_sum,
    to_float,
)

from metricc import ir
from metricc.functions import CELLS
from metricc.select import Select

mp = MPContext()  # with a precision of its own, which no one else sets
mpf = mp.mpf

MAX_LOGARITHM = 10**6  # of a power: far outside every floating-point range


def value_at(expression: sympy.Expr, point: Mapping[sympy.Symbol, Any], digits: int) -> Any | None:
    """The `mpf` that an expression is at a point of real numbers; None outside its domain."""
    (found,) = Tape([expression]).at(point, digits)
    return None if found is None else found[0]


class Tape:
    """Expressions as a list of steps, each part that they share taken once.

    `at` gives, for each expression, its value at a point and the largest number on the way to it,
    rounded up to a power of 2, since rounding errors are of that size; None where it has no real
    value there.
    """

    def __init__(self, expressions: Iterable[sympy.Expr]) -> None:
        self.places: dict[sympy.Expr, int] = {}
        self.steps: list[tuple[_Rule, tuple[int, ...], sympy.Expr]] = []
        self.numbers: dict[int, list[tuple[int, _Raw]]] = {}  # of each precision, by place
        self.results = [self.place(expression) for expression in expressions]

    def place(self, expression: sympy.Expr) -> int:
        if expression not in self.places:
            arguments = () if expression.is_Rational else tuple(map(self.place, expression.args))
            self.steps.append((_rule(expression), arguments, expression))
            self.places[expression] = len(self.steps) - 1
        return self.places[expression]

    def at(self, point: Mapping[sympy.Symbol, Any], digits: int) -> list[tuple[Any, Any] | None]:
        with mp.workdps(digits):
            values, sizes = self._values(point, digits)
            found = ((values[place], sizes[place]) for place in self.results)
            return [v if v is None else (mp.make_mpf(v), mp.ldexp(1, s)) for v, s in found]

    def _values(
        self, point: Mapping[sympy.Symbol, Any], digits: int
    ) -> tuple[list[_Raw | None], list[int]]:
        """Every step's value, and the size of the largest number on the way there."""
        prec, rounding = mp._prec_rounding
        given = {symbol: _number(number)._mpf_ for symbol, number in point.items()}
        least = max(map(_size, given.values()), default=NOTHING)
        values: list[_Raw | None] = [None] * len(self.steps)
        sizes = [least] * len(self.steps)
        if digits not in self.numbers:
            known = ((i, step[2]) for i, step in enumerate(self.steps) if step[0] is _rational)
            self.numbers[digits] = [(i, _number(number)._mpf_) for i, number in known]
        for place, number in self.numbers[digits]:
            values[place] = number
        for place, (rule, inner, expression) in enumerate(self.steps):
            if rule is _rational:
                value = values[place]
            elif rule is _given:
                value = given[expression]
            else:
                if rule is _select:  # the other branch may have no value here
                    inner = _branch(values, inner)
                arguments = [values[i] for i in inner]
                if None in arguments:
                    continue
                try:
                    value = rule(arguments, prec, rounding)
                except (ZeroDivisionError, OverflowError):
                    continue
            if value is not None:
                values[place] = value
                size = value[2] + value[3] if value[1] else least
                for i in inner:
                    if sizes[i] > size:
                        size = sizes[i]
                sizes[place] = max(size, least)
        return values, sizes


NOTHING = -(10**9)  # the size of 0
_Raw: TypeAlias = tuple[int, int, int, int]  # mpmath's number: sign, mantissa, exponent, bits
_Rule: TypeAlias = Callable[[list[Any], int, str], "_Raw | None"]


def _size(number: _Raw) -> int:
    """The least power of 2 that is above a number."""
    return number[2] + number[3] if number[1] else NOTHING


def _branch(values: Sequence[_Raw | None], inner: tuple[int, ...]) -> tuple[int, ...]:
    """The places of what a choice compares and of what it takes."""
    left, right = (values[i] for i in inner[:2])
    if left is None or right is None:
        return inner[:2]
    return (*inner[:2], inner[2] if mpf_lt(left, right) else inner[3])


def _number(value: Any) -> Any:
    if isinstance(value, sympy.Rational):
        return mpf(int(value.p)) / int(value.q)
    return mpf(value)


def _rule(expression: sympy.Expr) -> _Rule:
    """How the value of an expression follows from those of its arguments."""
    for holds, rule in (
        (expression.is_Symbol, _given),
        (expression.is_Rational, _rational),
        (expression.is_Add, _sum),
        (expression.is_Mul, _product),
        (expression.is_Pow, _power),
    ):
        if holds:
            return rule
    for kind, rule in _RULES:
        if isinstance(expression, kind):
            return rule
    raise AssertionError(f"{type(expression).__name__} is no function of the language")


def _given(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    raise AssertionError("a symbol's value is the point's")


def _select(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    return arguments[2]  # one branch alone is there


def _rational(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    raise AssertionError("numbers are known before")


def _sum(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    total: _Raw = mpf_sum(arguments, prec, rounding)
    return total


def _product(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    total, *rest = arguments
    for argument in rest:
        total = mpf_mul(total, argument, prec, rounding)
    return total


def _power(arguments: list[_Raw], prec: int, rounding: str) -> _Raw | None:
    base, exponent = arguments
    sign, mantissa, exp, bits = base
    if not mantissa:
        return fzero if mpf_gt(exponent, fzero) else None
    if sign and exponent[2] < 0:  # the mantissa is odd: it is no integer
        return None
    # A power that is far from the limit is seen by its size, without a logarithm.
    if to_float(mpf_abs(exponent)) * (abs(exp + bits) + 1) > MAX_LOGARITHM:
        logarithm = mpf_log(mpf_abs(base), prec, rounding)
        size = mpf_abs(mpf_mul(exponent, logarithm, prec, rounding))
        if mpf_gt(size, from_int(MAX_LOGARITHM)):
            return None
    power: _Raw = mpf_pow(base, exponent, prec, rounding)
    return power


def _e(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    number: _Raw = mpf_e(prec, rounding)
    return number


def _exp(arguments: list[_Raw], prec: int, rounding: str) -> _Raw | None:
    return _power([mpf_e(prec, rounding), *arguments], prec, rounding)


def _log(arguments: list[_Raw], prec: int, rounding: str) -> _Raw | None:
    (argument,) = arguments
    return mpf_log(argument, prec, rounding) if mpf_gt(argument, fzero) else None


def _step(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    half = 1 + mpf_sign(arguments[0])
    number: _Raw = from_rational(half, 2, prec, rounding)
    return number


def _most(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    best, *rest = arguments
    for argument in rest:
        best = argument if mpf_gt(argument, best) else best
    return best


def _least(arguments: list[_Raw], prec: int, rounding: str) -> _Raw:
    best, *rest = arguments
    for argument in rest:
        best = argument if mpf_lt(argument, best) else best
    return best


_RULES = (
    (Select, _select),
    (type(sympy.E), _e),
    (sympy.exp, _exp),
    (sympy.log, _log),
    (sympy.Heaviside, _step),
    (sympy.Max, _most),
    (sympy.Min, _least),
)


def sample(metric_parameters: tuple[ir.Parameter, ...], count: int) -> Iterator[dict[Any, Any]]:
    """Points of the domain: cells over six decades, so that rare classes and near-perfect
    predictions are met, and parameters all over their ranges. The same ones every time.
    """
    generator = random.Random(0)
    for _ in range(count):
        point = {sympy.Symbol(c): mpf(10 ** generator.uniform(-2, 4)) for c in CELLS}
        for parameter in metric_parameters:
            if parameter.counted:
                number = 10 ** generator.uniform(-2, 4)
            else:
                number = _drawn(parameter, generator)
            point[sympy.Symbol(parameter.name)] = mpf(number)
        yield point


def _drawn(parameter: ir.Parameter, generator: random.Random) -> float:
    interval = parameter.interval
    if interval is None and parameter.default is not None:
        return float(parameter.default) * generator.uniform(0.5, 2)
    low = float(interval.low) if interval is not None and interval.low is not None else None
    high = float(interval.high) if interval is not None and interval.high is not None else None
    if high is None:
        high = (-5 if low is None else low) + 10
    return generator.uniform(high - 10 if low is None else low, high)


def inside(parameter: ir.Parameter, index: int = 0) -> float:
    """A value in the parameter's range, another one for every index; exact in binary."""
    shift = 0.25 + 0.5 * index
    interval = parameter.interval
    low = float(interval.low) if interval is not None and interval.low is not None else None
    high = float(interval.high) if interval is not None and interval.high is not None else None
    if low is not None and high is not None:
        return low + (high - low) * shift / (shift + 1)
    if high is not None:
        return high - shift
    return (low or 0.0) + shift
