"""The metric of the simplest predictions, as expressions in the numbers of positives and negatives.

P and N are the class totals; every parameter is a symbol of its own, and so is the mean of every
column. What the symbols leave open is taken at P = 3, N = 7 and typical parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import sympy

from metricc import ir
from metricc.audit import brute
from metricc.audit.germs import EPSILON, Corner, Unknown
from metricc.audit.positive import bounds
from metricc.functions import CELLS
from metricc.numeric import mpf, value_at

P, N = sympy.symbols("P N", positive=True)
TYPICAL = {P: 3, N: 7}
NEAR = mpf(10) ** -15
COLUMN_MEAN = 2  # of a column's numbers, where they are to be numbers
LONGEST = 44  # characters of an expression in a fact

e = EPSILON
# TP, FN, FP, TN of predictions, and of what comes close to them.
PREDICTIONS: dict[str, tuple[Any, Any, Any, Any]] = {
    "perfect": (P, 0, 0, N),
    "worst": (0, P, N, 0),
    "all positive": (P, 0, N, 0),
    "all negative": (0, P, 0, N),
    "empty target, nothing predicted": (0, 0, 0, N),
    "empty target, all predicted": (0, 0, N, 0),
}
NEARLY: dict[str, tuple[Any, Any, Any, Any]] = {
    "perfect": (P - e, e, e, N - e),
    "worst": (e, P - e, N - e, e),
    # but for one sure sample
    "almost all positive": (P - e**2, e**2, N - e, e),
    "almost all negative": (e, P - e, e**2, N - e**2),
}


class Reading(NamedTuple):
    """A value: an expression in P, N and parameters (oo, -oo; nan: undefined), a number at typical
    ones, and whether that is proved."""

    expression: sympy.Expr | None
    number: float
    proved: bool

    @property
    def undefined(self) -> bool:
        return math.isnan(self.number)

    @property
    def fixed(self) -> bool:
        """Whether neither P nor N changes it."""
        return self.expression is not None and not self.expression.free_symbols & {P, N}

    def __str__(self) -> str:
        if self.undefined:
            return "undefined"
        if math.isinf(self.number):
            return "inf" if self.number > 0 else "-inf"
        text = "" if self.expression is None else str(self.expression)
        if text and len(text) <= LONGEST:
            return text
        return f"{brute.number(self.number)} at P = {TYPICAL[P]}, N = {TYPICAL[N]}"


@dataclass(frozen=True)
class Corners:
    """The corners of one table's expression."""

    program: ir.Program

    def exactly(self, prediction: str) -> Reading:
        """The value at one of `PREDICTIONS`, as `value` has it."""
        return self._read(PREDICTIONS[prediction], self.expression)

    def nearly(self, prediction: str) -> Reading:
        """The limit at one of `NEARLY`."""
        return self._read(NEARLY[prediction], self.expression)

    def at(self, prediction: str, expression: sympy.Expr) -> Reading:
        """Another expression over the same symbols at one of `PREDICTIONS`."""
        return self._read(PREDICTIONS[prediction], expression)

    @property
    def expression(self) -> sympy.Expr:
        return self.program.forms["value"].expression

    def symbols(self) -> dict[sympy.Symbol, sympy.Expr]:
        """What stands for parameters, element losses and the means of columns."""
        metric = self.program.metric
        signs = metric.nonnegative
        names = [p.name for p in metric.unknowns if not p.counted]
        return {sympy.Symbol(n): _symbol(n, n in signs) for n in (*names, *metric.columns)}

    def typical(self) -> dict[sympy.Symbol, sympy.Expr]:
        """Numbers for the symbols, P and N aside."""
        metric = self.program.metric
        numbers: dict[str, Any] = {p.name: brute.typical(p) for p in metric.parameters}
        numbers |= {t.symbol.name: sympy.Rational(1, 2) for t in metric.elements}
        numbers |= dict.fromkeys(metric.columns, COLUMN_MEAN)
        return {s: sympy.Rational(numbers[plain.name]) for plain, s in self.symbols().items()}

    def _read(self, cells: tuple[Any, ...], expression: sympy.Expr) -> Reading:
        counts = dict(zip(map(sympy.Symbol, CELLS), map(sympy.sympify, cells), strict=True))
        symbols = self.symbols()
        for column in self.program.metric.columns:
            mean = symbols[sympy.Symbol(column)]
            for cell in CELLS:
                counts[sympy.Symbol(f"{cell}_{column}")] = counts[sympy.Symbol(cell)] * mean
        limits = {s: b.xreplace(symbols) for s, b in bounds(self.program.metric.unknowns).items()}
        limits = {symbols[s]: b for s, b in limits.items() if s in symbols}
        numbers = self.typical()
        for point in (symbols, {plain: numbers[s] for plain, s in symbols.items()}):
            try:
                found = Corner({**counts, **point}, limits).limit(expression)
            except (Unknown, RecursionError):
                continue
            found = _short(found)
            number = _number(found, numbers)
            # With numbers for parameters it is no statement about all of them.
            return Reading(found if point is symbols or not symbols else None, number, True)
        there = {**counts, **{plain: numbers[s] for plain, s in symbols.items()}}
        point = {s: _near(count, numbers) for s, count in there.items()}
        value = value_at(expression, point, 50)
        return Reading(None, math.nan if value is None else float(value), False)


def _symbol(name: str, nonnegative: bool) -> sympy.Symbol:
    name = f"{name}_" if name in (P.name, N.name) else name  # a parameter may be called P
    if nonnegative:
        return sympy.Symbol(name, positive=True)
    return sympy.Symbol(name, real=True)


def _short(found: sympy.Expr) -> sympy.Expr:
    """The shorter one of an expression and its factors."""
    if not found.free_symbols:
        return found
    for one, other in ((sympy.Max, sympy.Min), (sympy.Min, sympy.Max)):  # max(-a, -b) is -min(a, b)
        for node in sorted(found.atoms(one), key=sympy.default_sort_key):
            if all(a.could_extract_minus_sign() for a in node.args):
                found = found.xreplace({node: -other(*(-a for a in node.args))})
    forms = [found, sympy.factor(sympy.together(found))]
    return min(forms, key=lambda form: len(str(form)))


def _number(found: sympy.Expr, numbers: dict[sympy.Symbol, sympy.Expr]) -> float:
    if found in (sympy.oo, -sympy.oo, sympy.nan):
        return float(found)
    value = value_at(found, _plain({**TYPICAL, **numbers}), 30)
    return math.nan if value is None else float(value)


def _plain(numbers: dict[sympy.Symbol, Any]) -> dict[sympy.Symbol, Any]:
    return {s: mpf(int(n)) if isinstance(n, int) else n for s, n in numbers.items()}


def _near(count: Any, numbers: dict[sympy.Symbol, sympy.Expr]) -> Any:
    """A count as a number, epsilon being small."""
    expression = sympy.sympify(count)
    if expression.is_Rational:
        return expression
    value = value_at(expression, {**_plain({**TYPICAL, **numbers}), e: NEAR}, 50)
    return 0 if value is None else value
