"""The oracle: a metric and its training gradient by dual numbers in mpmath, over the parsed tree.

It shares nothing with what it judges: no SymPy, no torch, no simplification, no emitted code. The
tree walk takes its arithmetic as an argument, so the same walk also evaluates the plain forward on
torch tensors for autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from operator import add, eq, ge, gt, le, lt, mul, ne
from typing import Any, Protocol

from mpmath import mp, mpf

from metricc import syntax
from metricc.functions import CELLS, REDUCTIONS

DIGITS = 150
# Removable 0/0 are met this far from the edge: far enough for 150 digits, near enough for 1e-12.
NUDGE = mpf(10) ** -100
BOUNDARY = mpf(10) ** -9  # float64 need not agree with itself on which side of one it is

# Names that a definition sees without taking them: counts, element terms, a surrogate's variables.
SEEN = (*CELLS, "bce", "ce", "p", "z")
# A reduction of the language from its name and from its argument as a function of the cells.
Reduce = Callable[[str, Callable[[Mapping[str, Any]], Any]], Any]


class Arithmetic(Protocol):
    """What a tree walk needs of numbers; operators are the numbers' own."""

    def number(self, value: Fraction) -> Any: ...

    def power(self, base: Any, exponent: Any) -> Any: ...

    def call(self, function: str, arguments: list[Any]) -> Any: ...

    def compare(self, left: Any, right: Any) -> int: ...


def walk(
    text: syntax.Text,
    arithmetic: Arithmetic,
    scope: Mapping[str, Any],
    reduction: Reduce | None = None,
) -> Any:
    """The metric of a resolved text; `scope` holds cells, those of columns ("TP[amount]"), and
    parameters."""
    definitions = {d.name: d for d in text.definitions}

    def value(node: syntax.Expression, names: Mapping[str, Any]) -> Any:
        match node:
            case syntax.Number():
                return arithmetic.number(node.value)
            case syntax.Name():
                return names[node.id]
            case syntax.Negation():
                return -value(node.operand, names)
            case syntax.Power():
                return arithmetic.power(value(node.base, names), value(node.exponent, names))
            case syntax.Sum():
                total = value(node.operands[0], names)
                for minus, operand in zip(node.subtracts, node.operands[1:], strict=True):
                    term = value(operand, names)
                    total = total - term if minus else total + term
                return total
            case syntax.Product():
                total = value(node.operands[0], names)
                for divides, operand in zip(node.divides, node.operands[1:], strict=True):
                    factor = value(operand, names)
                    total = total / factor if divides else total * factor
                return total
            case syntax.Indexed():
                cells = {cell: names[f"{cell}[{node.column}]"] for cell in CELLS}
                return value(node.operand, {**names, **cells})
            case syntax.Call(function=function) if reduction and function in REDUCTIONS:
                argument = node.arguments[0].value
                return reduction(function, lambda cells: value(argument, {**names, **cells}))
            case syntax.Call():
                arguments = [value(a.value, names) for a in node.arguments]
                if node.function in _COMPOSED:
                    return _COMPOSED[node.function](arithmetic, arguments)
                if node.function not in definitions:
                    return arithmetic.call(node.function, arguments)
                inner = definitions[node.function]
                seen = {name: x for name, x in names.items() if name in SEEN or "[" in name}
                own = zip((p.name for p in inner.parameters), arguments, strict=True)
                return value(inner.body, {**seen, **dict(own)})

            case syntax.Conditional():
                taken = node.then if holds(node.condition, names) else node.otherwise
                return value(taken, names)
        raise AssertionError(node)

    def holds(node: syntax.Expression, names: Mapping[str, Any]) -> bool:
        match node:
            case syntax.Logic(operator="not"):
                return not holds(node.operands[0], names)
            case syntax.Logic(operator="and"):
                return all(holds(o, names) for o in node.operands)
            case syntax.Logic():
                return any(holds(o, names) for o in node.operands)
            case syntax.Comparison():
                sign = arithmetic.compare(value(node.left, names), value(node.right, names))
                return bool(_OPERATORS[node.operator](sign, 0))
        raise AssertionError(node)

    return value(text.definitions[-1].body, scope)


def mentions(text: syntax.Text, words: Sequence[str]) -> bool:
    """Whether one of the words stands in the metric or in what it calls."""
    bodies = {d.name: d.body for d in text.definitions}

    def found(node: syntax.Expression) -> bool:
        for part in syntax.walk(node):
            if isinstance(part, syntax.Name) and part.id in words:
                return True
            if isinstance(part, syntax.Call):
                name = part.function
                if name in words or (name in bodies and found(bodies[name])):
                    return True
        return False

    return found(text.definitions[-1].body)


_OPERATORS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}


def _product(numbers: Sequence[Any]) -> Any:
    return reduce(mul, numbers)


def _harmonic_mean(arithmetic: Arithmetic, numbers: list[Any]) -> Any:
    others = [_product(numbers[:i] + numbers[i + 1 :]) for i in range(len(numbers))]
    return arithmetic.number(Fraction(len(numbers))) * _product(numbers) / reduce(add, others)


# Functions that are written by others.
_COMPOSED: Mapping[str, Callable[[Arithmetic, list[Any]], Any]] = {
    "clip": lambda on, x: on.call("min", [on.call("max", [x[0], x[1]]), x[2]]),
    "mean": lambda on, x: reduce(add, x) * on.number(Fraction(1, len(x))),
    "geometric_mean": lambda on, x: on.power(_product(x), on.number(Fraction(1, len(x)))),
    "harmonic_mean": _harmonic_mean,
}


@dataclass(frozen=True, slots=True)
class Dual:
    """A number with its derivatives by variable, all mpmath; a variable left out has slope 0."""

    value: Any
    slopes: Mapping[Hashable, Any] = field(default_factory=dict)

    def _map(self, value: Any, slope: Any) -> Dual:
        return Dual(value, {name: slope * s for name, s in self.slopes.items()})

    def __add__(self, other: Dual) -> Dual:
        slopes = dict(self.slopes)
        for name, slope in other.slopes.items():
            slopes[name] = slopes[name] + slope if name in slopes else slope
        return Dual(self.value + other.value, slopes)

    def __neg__(self) -> Dual:
        return self._map(-self.value, -1)

    def __sub__(self, other: Dual) -> Dual:
        return self + -other

    def __mul__(self, other: Dual) -> Dual:
        slopes = self._map(mpf(0), other.value) + other._map(mpf(0), self.value)
        return Dual(self.value * other.value, slopes.slopes)

    def __truediv__(self, other: Dual) -> Dual:
        return self * other._map(1 / other.value, -1 / other.value**2)


class DualArithmetic:
    """Dual numbers at `DIGITS` digits. Ties and kinks take the mean of the one-sided slopes."""

    def number(self, value: Fraction) -> Dual:
        return Dual(mpf(value.numerator) / value.denominator)

    def power(self, base: Dual, exponent: Dual) -> Dual:
        if all(s == 0 for s in exponent.slopes.values()):
            n = exponent.value
            if n == int(n):
                n = int(n)
            slope = n * base.value ** (n - 1) if n != 0 else mpf(0)
            return base._map(base.value**n, slope)
        return self.call("exp", [exponent * self.call("log", [base])])

    def call(self, function: str, arguments: list[Dual]) -> Dual:
        first = arguments[0]
        x = first.value
        if function == "sqrt":
            root = mp.sqrt(x)
            return first._map(root, 1 / (2 * root))
        if function == "log":
            return first._map(mp.log(x), 1 / x)
        if function == "exp":
            return first._map(mp.exp(x), mp.exp(x))
        if function == "abs":
            if (seen := _KINKS.get()) is not None:
                seen.append([x])
            return first._map(abs(x), mp.sign(x))
        return _extreme(arguments, 1 if function == "max" else -1)

    def compare(self, left: Dual, right: Dual) -> int:
        """The sign of the difference. Raises `ValueError` where rounding may turn it over."""
        difference, size = left.value - right.value, max(abs(left.value), abs(right.value))
        if abs(difference) <= BOUNDARY * size:
            raise ValueError("on the boundary of a condition")
        return int(mp.sign(difference))


_KINKS: ContextVar[list[list[Any]] | None] = ContextVar("kinks", default=None)


@contextmanager
def kinks() -> Iterator[list[list[Any]]]:
    """What each min, max and abs was of, one after the other."""
    seen: list[list[Any]] = []
    token = _KINKS.set(seen)
    try:
        yield seen
    finally:
        _KINKS.reset(token)


def settled(seen: Sequence[Sequence[Any]], ways: int) -> bool:
    """Whether all that meets at a kink has a limit, seen along several ways to one point.

    min(recall, precision) is recall beside TP = FP = 0, whatever precision is there. But precision
    is 0/0 at the point, which the file takes for 0, and so for a tie: the slope is by that rule.
    """
    if len(seen) % ways:
        return False  # the ways lead through different branches
    size = len(seen) // ways
    for kink in zip(*(seen[i * size : (i + 1) * size] for i in range(ways)), strict=True):
        if any(mp.isnan(limit(*column)) for column in zip(*kink, strict=False)):
            return False
    return True


def _extreme(arguments: list[Dual], sign: int) -> Dual:
    """The largest or smallest; an argument that ties with the best of the others counts half."""
    seen = _KINKS.get()
    if seen is not None:
        seen.append([a.value for a in arguments])
    best = max(sign * a.value for a in arguments) * sign
    total = Dual(best)
    for i, argument in enumerate(arguments):
        rest = max(sign * a.value for j, a in enumerate(arguments) if j != i) * sign
        share = (1 + mp.sign(sign * (argument.value - rest))) / 2
        total = total + argument._map(mpf(0), share)
    return total


@dataclass(frozen=True, slots=True)
class Terms(DualArithmetic):
    """Dual numbers, and the element terms by name and gamma (0 where there is none)."""

    term: Callable[[str, float], Dual]

    def call(self, function: str, arguments: list[Dual]) -> Dual:
        if function == "focal":
            return self.term("focal", float(arguments[0].value))
        return DualArithmetic.call(self, function, arguments)

    def scope(self, text: syntax.Text) -> dict[str, Dual]:
        """The element terms that are names."""
        return {name: self.term(name, 0.0) for name in ("bce", "ce") if mentions(text, [name])}


def cell_names(columns: Sequence[str] = ()) -> tuple[str, ...]:
    """TP, FN, FP, TN, then those of every column: "TP[amount]"."""
    return (*CELLS, *(f"{cell}[{column}]" for column in columns for cell in CELLS))


def every_weight(slopes: Sequence[Any]) -> list[Any]:
    """w_plus and w_minus of every four derivatives: of the cells, then of every column."""
    return [w for i in range(0, len(slopes), 4) for w in weights_of(slopes[i : i + 4])]


def weights_of(slopes: Sequence[Any]) -> tuple[Any, Any]:
    """(w_plus, w_minus) of four derivatives; what is left of equal ones by rounding is 0."""
    with mp.workdps(DIGITS):
        pairs = ((slopes[0], slopes[1]), (slopes[3], slopes[2]))
        floor = mpf(10) ** (20 - DIGITS)
        w_plus, w_minus = (
            mpf(0) if abs(a - b) <= floor * (abs(a) + abs(b)) else a - b for a, b in pairs
        )
        return w_plus, w_minus


def dual(
    text: syntax.Text, cells: Sequence[Any], parameters: Mapping[str, float]
) -> tuple[Any, list[Any]]:
    """Value and four derivatives of a metric at four counts, as mpmath numbers; see `dual_of`."""
    fixed = {n: Dual(mpf(v)) for n, v in parameters.items()}
    return dual_of(
        lambda scope: walk(text, DualArithmetic(), {**fixed, **scope}),
        dict(zip(CELLS, cells, strict=True)),
    )


def dual_of(
    function: Callable[[Mapping[str, Dual]], Dual], point: Mapping[str, Any], limits: bool = True
) -> tuple[Any, list[Any]]:
    """Value and derivatives of a function of named numbers at a point, in the names' order.

    Where the function itself is 0/0, each is its limit along different paths from `NUDGE`
    inside the domain; one that the paths disagree on has no limit and is NaN. So are the
    derivatives where the function has a kink between numbers without a limit (`settled`). Without
    `limits` it raises `ZeroDivisionError`; `ValueError` outside the real numbers.
    """
    with mp.workdps(DIGITS):
        try:
            found = _at(function, point)
        except ZeroDivisionError:
            if not limits:
                raise
            # The last two are far from the others: a comparison may come out otherwise there.
            ways: list[list[Any]] = [[1, 1, 1, 1], [2, 3, 5, 7], [1, 999, 999, 1], [999, 1, 1, 999]]
            if len(point) > len(CELLS):
                ways = [beside_columns(i, ways[i > 0], len(point)) for i in range(WAYS)]
            moved = (
                {n: mpf(x) + d * NUDGE for (n, x), d in zip(point.items(), way, strict=True)}
                for way in ways
            )
            with kinks() as seen:
                columns = zip(*(_at(function, place) for place in moved), strict=True)
                found = [limit(*column) for column in columns]
            if not settled(seen, len(ways)):
                found[1:] = [mp.nan] * len(found[1:])
        return found[0], found[1:]


WAYS = 9  # into the domain, where there are columns


def beside_columns(way: int, cells: Sequence[Any], size: int) -> list[Any]:
    """How all numbers leave the edge, over `NUDGE`, where the four cells do so as `cells`.

    Each column has a rate of its own. A quotient of products, one of counts and one of a column's,
    may agree on all straight ways and yet have no limit: so one cell is of higher order on each
    way but the first.
    """
    rates = [(1 + i // 4 * (1 + way * way)) * (1, 2, 3, 5)[i % 4] for i in range(4, size)]
    slow = [min(i, 4 + i % 4) == way - 1 for i in range(size)]
    return [x * NUDGE if s else x for x, s in zip((*cells, *rates), slow, strict=True)]


def limit(a: Any, b: Any, *others: Any) -> Any:
    """What values near a point share. A fourth root brings them to 1e-25 of their limit."""
    if any(not abs(a - x) <= mpf(10) ** -15 * max(1, abs(a)) for x in (b, *others)):
        return mp.nan
    return mpf(0) if abs(a) < mpf(10) ** -15 else (a + b) / 2


def _at(function: Callable[[Mapping[str, Dual]], Dual], point: Mapping[str, Any]) -> list[Any]:
    result = function({name: Dual(mpf(x), {name: mpf(1)}) for name, x in point.items()})
    numbers = [result.value, *(result.slopes.get(name, mpf(0)) for name in point)]
    if not all(mp.isfinite(n) and mp.im(n) == 0 for n in numbers):
        raise ValueError("not a finite real number")
    return numbers


def soft_label(
    p: Any, q: Any, surrogate: str, arguments: Mapping[str, float]
) -> tuple[Any, Any, Any]:
    """A, 1 - A and A' at p = 1 - q, from their definitions."""
    if surrogate == "soft":
        return p, q, mpf(1)
    given = {name: mpf(value) for name, value in arguments.items()}
    if surrogate == "amplified":
        a, b, slope = logistic(given["L"] * (p - given["threshold"]))
        return a, b, given["L"] * slope
    if surrogate == "heaviside":
        a, slope = _pieces(p, given["delta"], given["threshold"])
        return a, 1 - a, slope
    u = (p - given["mu"]) / given["delta"]
    if abs(u) >= 1:
        return mpf(u > 0), mpf(u < 0), mpf(0)
    if surrogate == "score_oriented(uniform)":
        return (1 + u) / 2, (1 - u) / 2, 1 / (2 * given["delta"])
    a = (1 + u + mp.sin(mp.pi * u) / mp.pi) / 2
    return a, 1 - a, (1 + mp.cos(mp.pi * u)) / (2 * given["delta"])


def _pieces(p: Any, delta: Any, threshold: Any) -> tuple[Any, Any]:
    """Tsoi et al. 2022, eq. 6: the linear Heaviside approximation and its slope."""
    width = min(threshold, 1 - threshold)
    m1 = delta / (threshold - width / 2)
    m2 = (1 - 2 * delta) / width
    m3 = delta / (1 - threshold - width / 2)
    if p < threshold - width / 2:
        return m1 * p, m1
    if p > threshold + width / 2:
        return m3 * p + (1 - delta - m3 * (threshold + width / 2)), m3
    return m2 * p + mpf(1) / 2 - m2 * threshold, m2


def logistic(x: Any) -> tuple[Any, Any, Any]:
    a, b = 1 / (1 + mp.exp(-x)), 1 / (1 + mp.exp(x))
    return a, b, a * b
