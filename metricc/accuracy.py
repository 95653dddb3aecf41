"""How far generated code is from the exact result, over counts of up to 1e9.

The code runs as the file runs it (`rounded`), the raw derivatives are evaluated at 200 digits, and
where the exact result is a normal number and well-conditioned the two are compared. A result is
well-conditioned in a type if its condition number in the counts,

    Σ |count · d(result)/d(count)| / |result|,

is at most `CONDITION`: rounding every count once, to the type's precision, then moves the exact
result by at most half of `BOUND`. Beyond that no code can be judged: its own input is not so exact.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import sympy
from numpy.typing import NDArray

from metricc import ir
from metricc.functions import CELLS
from metricc.numeric import Tape, inside, mp, mpf
from metricc.rounded import HUGE, Extremes, run
from metricc.select import Select

BOUND = {"float64": 1e-13, "float32": 6e-7}  # of a relative error
CONDITION = {"float64": 450.0, "float32": 5.0}
DIGITS = 200
NUDGE = mpf(10) ** -80  # limits are met this far from the edge,
AGREE = mpf(10) ** -16  # and are limits where another way there ends as near as this
MARGIN = 30  # digits
STEP = mpf(10) ** -30  # of a difference quotient
COARSE = mpf(2) ** -20  # more than float32 code rounds
MOST = 9  # decades of counts

Point: TypeAlias = dict[str, float]


@dataclass
class Errors:
    """The worst relative error of an output, where, and at how many points it was looked for."""

    worst: float = 0.0
    points: int = 0
    at: Point = field(default_factory=dict)
    condition: float = 0.0


@dataclass
class Measured:
    """A block of code in one type: errors by output, extremes, and what left the type's range.

    `errors` are those of well-conditioned results, `losses` those of the others. `above` and
    `below` are the parts of the code, with a point each, that overflow or underflow where every
    result is a normal number or 0, and that no guard is meant for; the extremes are of there.
    """

    dtype: str
    errors: dict[str, Errors]
    losses: dict[str, Errors]
    extremes: Extremes
    above: dict[str, Point]
    below: dict[str, Point]

    @property
    def worst(self) -> float:
        return max((e.worst for e in self.errors.values()), default=0.0)

    @property
    def passed(self) -> bool:
        return self.worst <= BOUND[self.dtype] and not self.above


def measure(
    outputs: Mapping[str, sympy.Expr],
    blocks: Sequence[tuple[ir.Block, Sequence[str]]],
    metric: ir.Metric,
    count: int,
) -> list[list[Measured]]:
    """Each block, with the names of its results, in float64 and float32 at `count` points.

    `outputs` are the exact results by name, expressions in counts and parameters. The points are
    the same ones every time.
    """
    rows = list(points(metric, count))
    exact = _exact(outputs, rows, metric.cells)
    return [
        [_measured(block, names, rows, exact, dtype) for dtype in BOUND] for block, names in blocks
    ]


# -- points -----------------------------------------------------------------------------------


def points(metric: ir.Metric, count: int) -> Iterator[Point]:
    """Counts that float32 holds exactly: any sizes, batches, small whole numbers, edges."""
    generator = random.Random(20)
    for number in range(count):
        cells = _KINDS[number % len(_KINDS)](generator, number // len(_KINDS))
        row = dict(zip(CELLS, cells, strict=True))
        for unknown in metric.unknowns:
            if unknown.counted:
                row[unknown.name] = 10 ** generator.uniform(-3, MOST)
            else:
                given = unknown.default if number % 3 else None
                row[unknown.name] = inside(unknown) if given is None else float(given)
        yield {name: float(np.float32(x)) for name, x in row.items()}


def _sizes(generator: random.Random, turn: int) -> list[float]:
    """Counts of any sizes, soft ones below 1 too."""
    least = -3 if turn % 2 else 0
    return [10 ** generator.uniform(least, MOST) for _ in CELLS]


def _batch(generator: random.Random, turn: int) -> list[float]:
    """A batch with its share of positives and its two error rates."""
    size = 10 ** generator.uniform(1, MOST)
    positives = size * 10 ** generator.uniform(-4, 0) / 2
    missed, alarms = (10 ** generator.uniform(-4, 0) for _ in range(2))
    if turn % 3 == 0:
        missed, alarms = generator.random(), generator.random()
    negatives = size - positives
    rest = positives * (1 - missed), negatives * (1 - alarms)
    return [rest[0], positives * missed, negatives * alarms, rest[1]]


def _whole(generator: random.Random, turn: int) -> list[float]:
    return [float(round(10 ** generator.uniform(0, 3))) for _ in CELLS]


def _edge(generator: random.Random, turn: int) -> list[float]:
    """One count 0, or the two of the errors or of the right answers; counts of 1e9."""
    cells = _sizes(generator, 0) if turn % 2 else [10.0**MOST] * 4
    places = ((0,), (1,), (2,), (3,), (1, 2), (0, 3), ())[turn // 2 % 7]
    return [0.0 if i in places else x for i, x in enumerate(cells)]


_KINDS = (_sizes, _batch, _batch, _whole, _edge)


# -- exact results ----------------------------------------------------------------------------

_Results: TypeAlias = list[dict[str, tuple[Any, Any] | None]]  # a point's: number and condition


def _exact(
    outputs: Mapping[str, sympy.Expr], rows: Sequence[Point], cells: Sequence[str]
) -> _Results:
    """Every output at every point with its condition number; None where it has no limit."""
    tape = Tape(outputs.values())
    kinked = any(e.has(sympy.Heaviside, sympy.Min, sympy.Max, Select) for e in outputs.values())

    def at(point: Mapping[str, Any]) -> list[Any]:
        found = tape.at({sympy.Symbol(n): x for n, x in point.items()}, DIGITS)
        return [None if f is None else _number(*f) for f in found]

    results: _Results = []
    with mp.workdps(DIGITS):
        for row in rows:
            numbers = {n: mpf(x) for n, x in row.items()}
            point = _moved(numbers, cells, NUDGE, 3)
            there = at(numbers) if 0 in row.values() else []
            values = at(point)
            if there:  # a limit is the same from another side
                others = at(_moved(numbers, cells, NUDGE**2, 5))
                limits = [_agreed(*pair) for pair in zip(values, others, strict=True)]
                values = [v if v is not None else x for v, x in zip(there, limits, strict=True)]
            conditions: list[Any] = [mpf(0)] * len(values)
            # A step within rounding's reach is seen with steps of that size alone.
            for size in (STEP, COARSE, -COARSE) if kinked else (STEP,):
                moves = [mpf(0)] * len(values)
                for cell in cells:
                    others = at({**point, cell: point[cell] * (1 + size)})
                    for i, (value, other) in enumerate(zip(values, others, strict=True)):
                        if not value or other is None or conditions[i] is None:
                            conditions[i] = None
                        else:
                            moves[i] += abs((other / value - 1) / size)
                conditions = [
                    None if c is None else max(c, m) for c, m in zip(conditions, moves, strict=True)
                ]
            pairs = zip(values, conditions, strict=True)
            found = [None if v is None or (v and c is None) else (v, c) for v, c in pairs]
            results.append(dict(zip(outputs, found, strict=True)))
    return results


def _number(value: Any, size: Any) -> Any:
    """A result, or 0 where nothing but the rounding of what cancelled is left."""
    return mpf(0) if abs(value) <= size * mpf(10) ** (MARGIN - DIGITS) else value


def _moved(
    numbers: Mapping[str, Any], cells: Sequence[str], nudge: Any, spread: int
) -> dict[str, Any]:
    """A point with its counts of 0 a little above, each by another amount."""
    shifts = {cell: nudge * (1 + place) ** spread for place, cell in enumerate(cells)}
    return {n: shifts.get(n, x) if x == 0 else x for n, x in numbers.items()}


def _agreed(one: Any, two: Any) -> Any:
    """What two numbers near a limit say it is: a number, 0, or None."""
    if one is None or two is None:
        return None
    if abs(one - two) <= AGREE * abs(two):
        return two
    return mpf(0) if abs(two) < AGREE * abs(one) else None


# -- comparing --------------------------------------------------------------------------------


def _measured(
    block: ir.Block, names: Sequence[str], rows: Sequence[Point], exact: _Results, dtype: str
) -> Measured:
    scope = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    results, met = run(block, scope, dtype)
    least = float(np.finfo(dtype).tiny)
    errors = {name: Errors() for name in names}
    losses = {name: Errors() for name in names}
    fair = np.ones(len(rows), dtype=np.bool_)  # where every result is 0 or a normal number
    for name, result in zip(names, results, strict=True):
        for i, row in enumerate(rows):
            known = exact[i][name]
            size = None if known is None else float(abs(known[0]))
            if (
                known is None
                or size is None
                or (size and not least <= size <= min(1 / least, HUGE))
            ):
                fair[i] = False
                continue
            if not size:
                continue
            well = known[1] <= CONDITION[dtype]
            found, computed = (errors if well else losses)[name], float(result[i])
            error = math.inf
            if math.isfinite(computed):
                error = float(abs(mpf(computed) - known[0]) / abs(known[0]))
            found.points += 1
            if error > found.worst:
                found.worst, found.at, found.condition = error, row, float(known[1])
    above, below = (_places(parts, fair, rows) for parts in (met.above, met.below))
    _, extremes = run(block, {name: a[fair] for name, a in scope.items()}, dtype)
    return Measured(dtype, errors, losses, extremes, above, below)


def _places(
    parts: Mapping[str, NDArray[np.bool_]], fair: NDArray[np.bool_], rows: Sequence[Point]
) -> dict[str, Point]:
    """The parts that leave the range at a fair point, with the first such point."""
    found = {part: np.flatnonzero(mask & fair) for part, mask in parts.items()}
    return {part: rows[int(places[0])] for part, places in found.items() if len(places)}
