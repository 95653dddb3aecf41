"""Second derivatives against second-order dual numbers in mpmath, over the parsed tree.

The oracle shares nothing with what it judges: no SymPy, no differentiation of expressions, no
simplification. A number carries its first and second derivatives, and every operation has the rule
of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.functions import CELLS
from metricc.verify.oracle import (
    BOUNDARY,
    DIGITS,
    NUDGE,
    cell_names,
    limit,
    mentions,
    walk,
)
from metricc.verify.parsed import Parsed
from metricc.verify.points import EDGES, counts, parameter_sets, with_columns

AGREED = 40  # digits
NOISE = mpf(10) ** -90
POINTS = 12  # random ones, for each set of parameters; then the edges
WAYS = ((1, 1, 1, 1), (2, 3, 5, 7), (1, 99, 9, 2), (7, 1, 1, 3))  # inside the domain from an edge

Entry = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Jet:
    """A number with its first derivatives by variable and its second ones by two of them, in both
    orders; one that is left out is 0."""

    value: Any
    first: Mapping[str, Any] = field(default_factory=dict)
    second: Mapping[Entry, Any] = field(default_factory=dict)

    def through(self, value: Any, slope: Any, bend: Any) -> Jet:
        """A function of this number, by its value, first and second derivative."""
        second = {entry: slope * x for entry, x in self.second.items()}
        for a, x in self.first.items():
            for b, y in self.first.items():
                second[a, b] = second.get((a, b), 0) + bend * x * y
        return Jet(value, {a: slope * x for a, x in self.first.items()}, second)

    def __add__(self, other: Jet) -> Jet:
        return Jet(
            self.value + other.value,
            _added(self.first, other.first),
            _added(self.second, other.second),
        )

    def __neg__(self) -> Jet:
        return self.through(-self.value, -1, 0)

    def __sub__(self, other: Jet) -> Jet:
        return self + -other

    def __mul__(self, other: Jet) -> Jet:
        one = self.through(self.value * other.value, other.value, 0)
        two = other.through(mpf(0), self.value, 0)
        crossed: dict[Entry, Any] = {}
        for a, x in self.first.items():
            for b, y in other.first.items():
                crossed[a, b] = crossed.get((a, b), 0) + x * y
                crossed[b, a] = crossed.get((b, a), 0) + x * y
        return one + two + Jet(mpf(0), {}, crossed)

    def __truediv__(self, other: Jet) -> Jet:
        x = other.value
        return self * other.through(1 / x, -1 / x**2, 2 / x**3)


def _added(one: Mapping[Any, Any], two: Mapping[Any, Any]) -> dict[Any, Any]:
    total = dict(one)
    for key, number in two.items():
        total[key] = total[key] + number if key in total else number
    return total


@dataclass(frozen=True, slots=True)
class Jets:
    """The tree walk's arithmetic. What ties with the best of the others in a minimum or maximum
    counts half, as it does in the first derivatives."""

    term: Callable[[str, float], Jet]  # an element loss, by its name and gamma

    def number(self, value: Fraction) -> Jet:
        return Jet(mpf(value.numerator) / value.denominator)

    def power(self, base: Jet, exponent: Jet) -> Jet:
        if exponent.first:
            return self.call("exp", [exponent * self.call("log", [base])])
        x, n = base.value, exponent.value
        n = int(n) if n == int(n) else n
        slope = n * x ** (n - 1) if n != 0 else mpf(0)
        bend = n * (n - 1) * x ** (n - 2) if n not in (0, 1) else mpf(0)
        return base.through(x**n, slope, bend)

    def call(self, function: str, arguments: list[Jet]) -> Jet:
        first = arguments[0]
        x = first.value
        match function:
            case "focal":
                return self.term("focal", float(x))
            case "sqrt":
                root = mp.sqrt(x)
                return first.through(root, 1 / (2 * root), -1 / (4 * root**3))
            case "log":
                return first.through(mp.log(x), 1 / x, -1 / x**2)
            case "exp":
                return first.through(mp.exp(x), mp.exp(x), mp.exp(x))
            case "abs":
                return first.through(abs(x), mp.sign(x), 0)
        sign = {"max": 1, "min": -1}[function]
        total = Jet(max(sign * a.value for a in arguments) * sign)
        for i, argument in enumerate(arguments):
            rest = max(sign * a.value for j, a in enumerate(arguments) if j != i) * sign
            share = (1 + mp.sign(sign * (argument.value - rest))) / 2
            total = total + argument.through(mpf(0), share, 0)
        return total

    def compare(self, left: Jet, right: Jet) -> int:
        """The sign of the difference. Raises `ValueError` where rounding may turn it over."""
        difference, size = left.value - right.value, max(abs(left.value), abs(right.value))
        if abs(difference) <= BOUNDARY * size:
            raise ValueError("on the boundary of a condition")
        return int(mp.sign(difference))


def jet(metric: ir.Metric, parameters: Mapping[str, float], point: Mapping[str, Any]) -> Jet:
    """A metric of one table with both orders of derivatives in its variables at a point.

    Raises `ZeroDivisionError` where it, or a derivative, is undefined, and `ValueError` outside the
    real numbers and on the boundary of a condition.
    """
    elements = Parsed(metric, parameters).elements
    variables = {name: Jet(mpf(x), {name: mpf(1)}) for name, x in point.items()}
    arithmetic = Jets(lambda *key: variables[elements[key]])
    scope = {name: Jet(mpf(x)) for name, x in parameters.items()}
    names = zip(cell_names(metric.columns), metric.cells, strict=True)
    scope |= {name: variables[cell] for name, cell in names}
    for name in ("bce", "ce"):
        if mentions(metric.text, [name]):
            scope[name] = arithmetic.term(name, 0.0)

    def reduction(name: str, evaluate: Callable[[Mapping[str, Jet]], Jet]) -> Jet:
        return _of_both(arithmetic, name, evaluate, [scope[cell] for cell in CELLS])

    found: Jet = walk(metric.text, arithmetic, scope, reduction)
    numbers = (found.value, *found.first.values(), *found.second.values())
    if not all(mp.isfinite(n) and mp.im(n) == 0 for n in numbers):
        raise ValueError("not a finite real number")
    return found


def _of_both(
    arithmetic: Jets,
    name: str,
    evaluate: Callable[[Mapping[str, Jet]], Jet],
    cells: Sequence[Jet],
) -> Jet:
    """A reduction in a binary task: over the class of the positives and that of the negatives."""

    def on(table: Sequence[Jet]) -> Jet:
        return evaluate(dict(zip(CELLS, table, strict=True)))

    both = [list(cells), list(cells)[::-1]]
    if name == "micro":
        return on([one + other for one, other in zip(*both, strict=True)])
    values = [on(table) for table in both]
    match name:
        case "weighted":
            (one, other), (first, second) = values, (table[0] + table[1] for table in both)
            return (first * one + second * other) / (first + second)
        case "sum":
            return values[0] + values[1]
        case "worst":
            return arithmetic.call("min", values)
        case "geomean":
            return arithmetic.call("sqrt", [values[0] * values[1]])
    return (values[0] + values[1]) * Jet(mpf(1) / 2)  # macro


def expected(
    hessian: ir.Hessian, parameters: Mapping[str, float], point: Mapping[str, Any]
) -> dict[str, Any]:
    """What each entry should be at a point, by its name; see `jet`."""
    found = jet(hessian.metric, parameters, point).second
    numbers = {}
    for one, other in hessian.raw.entries:
        numbers[ir.pair(one, other)] = found.get((one, other), mpf(0))
    for one, other in hessian.raw.turns:
        (up, down), (gain, loss) = hessian.raw.moves[one], hessian.raw.moves[other]
        parts = ((up, gain, 1), (up, loss, -1), (down, gain, -1), (down, loss, 1))
        numbers[ir.pair(one, other)] = sum(s * found.get((a, b), mpf(0)) for a, b, s in parts)
    return numbers


def check(hessian: ir.Hessian) -> ir.Check:
    """Every entry against the oracle, at random tables, at the edges where it has a value, and at
    the default and other parameters.

    Edges are tables with zeros; where the metric itself is 0/0 in the text, but has one limit from
    all sides, the entries have to be that limit.
    """
    from metricc.numeric import Tape

    metric = hessian.metric
    tape = Tape(form.expression for form in hessian.forms.values())
    worst, points, edges = mpf(0), 0, 0
    random = [table for table in counts() if table not in EDGES][:POINTS]
    for parameters in parameter_sets(metric):
        if not Parsed(metric, parameters).clear:
            continue
        for index, table in enumerate((*random, *EDGES)):
            cells = with_columns(metric, table, index)
            point = dict(zip(metric.cells, cells, strict=True))
            for place, term in enumerate(metric.elements):
                point[term.symbol.name] = (1 + 7 * index % 5 + place) / 4
            error = _error(hessian, tape, parameters, point)
            if error is not None:
                worst = max(worst, error)
                points, edges = points + (table not in EDGES), edges + (table in EDGES)
    name = "second-order dual numbers over the parsed formula"
    if points + edges == 0:
        return ir.Check(name, "no table has second derivatives", "any", None)
    passed = bool(worst <= mpf(10) ** -AGREED)
    measured = f"{points} tables and {edges} with zeros agree to {AGREED} digits"
    if not passed:
        measured = f"off by {float(worst):.1e} at one of {points + edges} tables"
    return ir.Check(name, measured, f"{AGREED} digits", passed)


def _error(
    hessian: ir.Hessian, tape: Any, parameters: Mapping[str, float], point: Mapping[str, float]
) -> Any | None:
    """The largest error of all entries at a point, relative to the largest of them; None where the
    metric has no second derivatives."""
    import sympy

    with mp.workdps(DIGITS):
        try:
            wanted = expected(hessian, parameters, point)
        except ZeroDivisionError:
            wanted = _limits(hessian, parameters, point)
        except ValueError:
            return None
        if not wanted:
            return None
        numbers = {sympy.Symbol(n): x for n, x in {**point, **parameters}.items()}
        # Numbers that cancel leave their rounding errors: beside the others, and beside what second
        # derivatives of such counts usually are.
        least = min(x for x in point.values() if x > 0)
        scale = max(max(map(abs, wanted.values())) * mpf(10) ** -20, mpf(least) ** -2 * NOISE)
        worst = mpf(0)
        for found, exact in zip(tape.at(numbers, DIGITS), wanted.values(), strict=True):
            if found is None:
                return None  # a 0/0 that stands in the form, or a number too large to be one
            worst = max(worst, abs(mpf(found[0]) - exact) / max(abs(exact), scale))
        return worst


def _limits(
    hessian: ir.Hessian, parameters: Mapping[str, float], point: Mapping[str, float]
) -> dict[str, Any]:
    """What the entries tend to from inside the domain; empty where that depends on the way."""
    if 0 not in point.values():
        return {}
    found = []
    for way in WAYS:
        steps = (way * len(point))[: len(point)]
        moved = {n: mpf(x) + d * NUDGE for (n, x), d in zip(point.items(), steps, strict=True)}
        try:
            found.append(expected(hessian, parameters, moved))
        except (ZeroDivisionError, ValueError):
            return {}
    numbers = {name: limit(*(numbers[name] for numbers in found)) for name in found[0]}
    return {} if any(mp.isnan(n) for n in numbers.values()) else numbers
