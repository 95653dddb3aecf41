"""What a metric tends to near counts of 0, and how fast it or its gradient grows there.

The counts that are to vanish go to 0 along many ways, all as t (each with a factor) and some as t^2
or t^3, at t = 1e-8, 1e-16 and 1e-32 and with so many digits that nothing cancels. What converges
with a power of t is then exact in all that is shown; what converges with 1/log(t) is extrapolated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, permutations, product
from math import inf, isinf, log2
from typing import Any

import sympy

from metricc import ir
from metricc.audit.brute import chosen
from metricc.functions import CELLS
from metricc.numeric import Tape, mp, mpf
from metricc.select import Select

STEPS = 8, 16, 32  # t is 10^-step
SLOW = 64, 128, 256  # further steps of what converges slowly
GROWTH = 16, 32, 64
DIGITS = 60  # and three times those of t, since differences of differences may cancel
NEAR = 1e-6
MOST = 12  # a small denominator
SLOWLY = 2e-3  # what is extrapolated is as near as that
CLIMB = mpf(3), mpf("1.5"), mpf("1.2"), mpf("1.05"), mpf("1.01")  # factors to climb with
ALL, SOME = 8, 64  # counts of which all combinations of powers are taken, else so many
FAR = 9  # a power of t beside which t is large, as other powers of it are
RANDOM = 5  # ways with random factors
OTHERS = "1e-5", "1", "1e5"  # counts that stay
LARGE = 1e4  # what grows as these do has no bound
CASES = 8  # combinations of these
STAY = 5, 7, 11, 13, 3, 17, 19, 23, 29, 31, 37, 41  # counts that stay where growth is measured
CHOICES = sympy.Max, sympy.Min, Select


@dataclass(frozen=True)
class Limits:
    """The lowest and the highest limit, over all ways and all values of the counts that stay.

    `one`: the limit does not depend on the way, whatever the other counts are. `ways` is how many
    were looked at, 0 where there is no value near these counts either.
    """

    low: float
    high: float
    one: bool
    ways: int


@dataclass(frozen=True)
class Growth:
    """Like t^-power · log(1/t)^logs, t the distance; (0, 0) is bounded."""

    power: Fraction
    logs: int

    @classmethod
    def none(cls) -> Growth:
        """Of what stays bounded."""
        return cls(Fraction(0), 0)

    @property
    def unbounded(self) -> bool:
        return self.power > 0 or (self.power == 0 and self.logs > 0)

    def __str__(self) -> str:
        logs = "" if not self.logs else "log(1/t)"
        logs += f"^{self.logs}" if self.logs > 1 else ""
        if not self.power:
            return logs or "1"
        below = "t" if self.power == 1 else f"t^{self.power}"
        if self.power == Fraction(1, 2):
            below = "sqrt(t)"
        elif self.power.denominator != 1:
            below = f"t^({self.power})"
        if self.logs < 0:
            logs, below = "", f"({below}*log(1/t){'' if self.logs == -1 else f'^{-self.logs}'})"
        return f"{logs or '1'}/{below}"


@dataclass(frozen=True)
class _Way:
    """The counts that stay, and with which factors and powers of t the others go to 0."""

    stay: Mapping[str, Any]
    powers: tuple[int, ...]
    factors: tuple[Any, ...]


class Near:
    """The metric of one table, with its partials, near faces of its domain."""

    def __init__(self, program: ir.Program) -> None:
        self.metric = program.metric
        names = ("value", *(f"M_{cell}" for cell in self.metric.cells))
        self.value = Tape([program.forms["value"].expression])
        self.all = Tape(program.forms[name].expression for name in names)
        self.fixed = {name: mpf(number) for name, number in chosen(self.metric).items()}

    def limits(self, cells: Sequence[str]) -> Limits:
        """What the metric tends to where these cells go to 0."""
        ends: dict[int, tuple[float, _Way]] = {}  # by sign: the lowest, the highest
        one, count = True, 0
        others = [cell for cell in self.metric.cells if cell not in cells]
        for stay in _stays(others):
            found = []
            for powers, factors in _ways(len(cells)):
                way = _Way(stay, tuple(powers), tuple(factors))
                limit = self._limit(cells, way)
                if limit is not None:
                    found.append(limit)
                    for sign in (-1, 1):
                        if sign not in ends or sign * limit > sign * ends[sign][0]:
                            ends[sign] = limit, way
            count += len(found)
            one = one and (not found or _same(min(found), max(found)))
        if not ends:
            return Limits(inf, -inf, one, 0)
        low, high = (self._end(cells, sign, *ends[sign]) for sign in (-1, 1))
        return Limits(low, high, one, count)

    def _end(self, cells: Sequence[str], sign: int, best: float, way: _Way) -> float:
        """The lowest (-1) or highest (1) limit, from the one that was met."""
        wide = replace(way, stay={cell: number**2 for cell, number in way.stay.items()})
        further = self._limit(cells, wide)
        if further is not None and sign * further > 1.5 * sign * best > 1:
            return sign * inf  # it goes on with the counts that stay
        best = nice(best)
        if isinf(best) or simple(best):
            return best
        for step in CLIMB:  # along factors, to the top of a hill that was met
            for place in range(len(cells)):
                for factor in (step, 1 / step):
                    factors = [f * factor if i == place else f for i, f in enumerate(way.factors)]
                    beside = replace(way, factors=tuple(factors))
                    limit = self._limit(cells, beside)
                    if limit is not None and sign * limit > sign * best:
                        best, way = limit, beside
        return nice(best)

    def _limit(
        self,
        cells: Sequence[str],
        way: _Way,
    ) -> float | None:
        def at(step: int) -> Any | None:
            digits = DIGITS + 3 * step * max(way.powers)
            point = self._point(cells, way, step, digits)
            found = self.value.at(point, digits)[0]
            return None if found is None else found[0]

        first, second, third = map(at, STEPS)
        if first is None or second is None or third is None:
            return None
        before, after = abs(second - first), abs(third - second)
        if after <= before / 10 or after <= NEAR * max(1, abs(third)) / 100:
            return float(third)  # faster than with a logarithm
        if after >= 1.5 * before and abs(third) > 1:
            return inf if third > 0 else -inf
        if max(way.powers) == FAR:
            return None  # too many digits to go on
        row = [third, *map(at, SLOW[: 4 - max(way.powers)])]
        if None in row:
            return None
        for order in range(1, len(row)):  # Richardson, in powers of 1/log(t)
            row = [(2**order * b - a) / (2**order - 1) for a, b in pairwise(row)]
        return nice(float(row[0]), SLOWLY)

    def growth(self, cells: Sequence[str]) -> tuple[Growth, Growth]:
        """How the value, and how the longest partial, grow as these cells go to 0 alike.

        Minima, maxima and conditions may take another branch elsewhere: then it is the fastest
        growth of several lines.
        """
        others = [cell for cell in self.metric.cells if cell not in cells]
        stay = {cell: mpf(STAY[i] if i < len(STAY) else 2 + i) for i, cell in enumerate(others)}
        factors = tuple(mpf(2 * i + 3) / 2 for i in range(len(cells)))
        lines = [(stay, factors)]
        if any(expression.has(*CHOICES) for expression in self.all.places):
            other = dict(zip(stay, reversed(stay.values()), strict=True))
            lines += [(stay, factors[::-1]), (other, factors), (other, factors[::-1])]
        found = [self._growth(cells, _Way(s, (1,) * len(cells), f)) for s, f in lines]
        value, gradient = (max(each, key=_speed) for each in zip(*found, strict=True))
        return value, gradient

    def _growth(self, cells: Sequence[str], way: _Way) -> tuple[Growth, Growth]:
        rows = []
        for step in GROWTH:
            digits = DIGITS + 3 * step
            point = self._point(cells, way, step, digits)
            value, *partials = self.all.at(point, digits)
            found = [abs(p[0]) for p in partials if p is not None]
            rows.append((None if value is None else abs(value[0]), max(found, default=None)))
        return _growth([row[0] for row in rows]), _growth([row[1] for row in rows])

    def _point(
        self,
        cells: Sequence[str],
        way: _Way,
        step: int,
        digits: int,
    ) -> dict[sympy.Symbol, Any]:
        with mp.workdps(digits):
            t = mpf(10) ** -step
            gone = {c: f * t**p for c, p, f in zip(cells, way.powers, way.factors, strict=True)}
        return {sympy.Symbol(n): v for n, v in (self.fixed | dict(way.stay) | gone).items()}


def _speed(growth: Growth) -> tuple[Fraction, int]:
    return growth.power, growth.logs


def _growth(sizes: Sequence[Any | None]) -> Growth:
    first, second, third = sizes
    if first is None or second is None or third is None or not second or not third or not first:
        return Growth.none()
    # t^-p log(1/t)^m: steps double, so a logarithm doubles.
    earlier = mp.log10(second / first) / (GROWTH[1] - GROWTH[0])
    later = mp.log10(third / second) / (GROWTH[2] - GROWTH[1])
    power = Fraction(float(2 * later - earlier)).limit_denominator(12)
    rest = (
        later * (GROWTH[2] - GROWTH[1])
        - power.numerator * mpf(GROWTH[2] - GROWTH[1]) / power.denominator
    )
    logs = round(float(rest) / log2(10) ** -1) if abs(rest) < 2 else 0
    if power < 0:
        return Growth.none()
    return Growth(power, logs if power or logs > 0 else 0)


def _ways(count: int) -> Iterator[tuple[Sequence[int], list[Any]]]:
    """The powers of t, and factors before them, with which `count` cells go to 0."""
    ones = [mpf(1)] * count
    yield [1] * count, ones
    if count == 1:
        return
    generator = random.Random(count)
    if count <= ALL:
        every = [*product((1, 2), repeat=count)]
    else:  # of columns: their number would double with every one
        every = [tuple(generator.choices((1, 2), k=count)) for _ in range(SOME)]
    for powers in every:
        if len(set(powers)) > 1:
            yield powers, ones
    if 2 < count <= 4:
        for order in permutations(range(1, count + 1)):
            yield order, ones
    if count <= 4:  # TP^5/(P^5 + FP) is 0 unless FP is far smaller
        for powers in product((1, FAR), repeat=count):
            if len(set(powers)) > 1:
                yield powers, ones
    for _ in range(RANDOM):
        yield [1] * count, [mpf(10 ** generator.uniform(-2, 2)) for _ in range(count)]


def _stays(others: Sequence[str]) -> list[dict[str, Any]]:
    """The counts that stay, in several sizes; those of columns are as many as the samples."""
    plain = [cell for cell in others if cell in CELLS]
    cases = [*product(map(mpf, OTHERS), repeat=len(plain))]
    if len(cases) > CASES:
        cases = [(mpf(1),) * len(plain), *random.Random(0).sample(cases, CASES)]
    found = []
    for case in cases:
        stay = dict(zip(plain, case, strict=True))
        for cell in others:
            if cell not in stay:
                stay[cell] = stay.get(cell.split("_", 1)[0], mpf(1))
        found.append(stay)
    return found


def _same(low: float, high: float) -> bool:
    return low == high or high - low < NEAR


def simple(number: float) -> bool:
    """Whether a number is a fraction with a small denominator."""
    return abs(number - Fraction(number).limit_denominator(MOST)) < NEAR**2


def nice(number: float, near: float = 1e-4) -> float:
    """A limit as the fraction with a small denominator that it is next to, or in four digits."""
    if isinf(number):
        return number
    if abs(number) > LARGE:
        return inf if number > 0 else -inf
    fraction = Fraction(number).limit_denominator(MOST)
    if abs(number - fraction) < near:
        return float(fraction)
    return float(f"{number:.4g}")
