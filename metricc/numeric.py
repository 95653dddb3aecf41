"""SymPy expressions at points, as real numbers of many digits: for comparing, never for proving.

SymPy's own evaluation works in the complex plane, raises its precision until digits are right,
and so may not end. Here the precision is fixed and what is not a finite real number is None.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import sympy
from mpmath import MPContext

from metricc import ir
from metricc.functions import CELLS
from metricc.select import Select

mp = MPContext()  # with a precision of its own, which no one else sets
mpf = mp.mpf

MAX_LOGARITHM = 10**6  # of a power: far outside every floating-point range


class _OutsideDomain(Exception):
    """A root or logarithm of a negative number, or a division by zero."""


def value_at(expression: sympy.Expr, point: Mapping[sympy.Symbol, Any], digits: int) -> Any | None:
    """The `mpf` that an expression is at a point of real numbers; None outside its domain."""
    found = value_and_size(expression, point, digits)
    return None if found is None else found[0]


def value_and_size(
    expression: sympy.Expr, point: Mapping[sympy.Symbol, Any], digits: int
) -> tuple[Any, Any] | None:
    """The value and the largest number on the way to it: rounding errors are of that size."""
    with mp.workdps(digits):
        known: dict[sympy.Expr, Any] = {s: _number(x) for s, x in point.items()}
        try:
            value = _evaluate(expression, known)
        except (_OutsideDomain, ZeroDivisionError, OverflowError):
            return None
        return value, max(map(abs, known.values()))


def _number(value: Any) -> Any:
    if isinstance(value, sympy.Rational):
        return mpf(int(value.p)) / int(value.q)
    return mpf(value)


def _evaluate(expression: sympy.Expr, known: dict[sympy.Expr, Any]) -> Any:
    if expression not in known:
        arguments = expression.args
        if isinstance(expression, Select):  # the other branch may have no value here
            left, right, then, otherwise = arguments
            less = _evaluate(left, known) < _evaluate(right, known)
            known[expression] = _evaluate(then if less else otherwise, known)
        else:
            known[expression] = _apply(expression, [_evaluate(a, known) for a in arguments])
    return known[expression]


def _apply(expression: sympy.Expr, arguments: list[Any]) -> Any:
    if expression.is_Rational:
        return _number(expression)
    if expression.is_Add:
        return mp.fsum(arguments)
    if expression.is_Mul:
        return mp.fprod(arguments)
    if expression is sympy.E:
        return mp.e()
    if expression.is_Pow:
        return _power(*arguments)
    if isinstance(expression, sympy.exp):
        return _power(mp.e(), *arguments)
    if isinstance(expression, sympy.log):
        if arguments[0] <= 0:
            raise _OutsideDomain
        return mp.log(arguments[0])
    if isinstance(expression, sympy.Heaviside):
        return (1 + mp.sign(arguments[0])) / 2
    if isinstance(expression, sympy.Max | sympy.Min):
        return (max if isinstance(expression, sympy.Max) else min)(arguments)
    raise AssertionError(f"{type(expression).__name__} is no function of the language")


def _power(base: Any, exponent: Any) -> Any:
    if base == 0:
        if exponent <= 0:
            raise _OutsideDomain
        return mpf(0)
    if base < 0 and exponent != int(exponent):
        raise _OutsideDomain
    if abs(exponent * mp.log(abs(base))) > MAX_LOGARITHM:
        raise _OutsideDomain
    return mp.power(base, int(exponent) if exponent == int(exponent) else exponent)


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
