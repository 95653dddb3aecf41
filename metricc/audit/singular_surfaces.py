"""Where a metric has no value inside its domain: differences that are 0, radicands below 0.

`TP/(TP - FP)` has none where TP = FP; `sqrt(TPR - FPR)` none in half of the domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import sympy

from metricc import interpret, ir
from metricc.audit.brute import chosen
from metricc.audit.singular_faces import Faces
from metricc.audit.singular_parts import written
from metricc.functions import CELLS
from metricc.numeric import Tape, mp, mpf

# Witnesses are looked for among simple numbers first: those that readers can check in their heads.
SIMPLE = ("1", "2", "3", "1/2", "1/4")
DIGITS = 40
SHOWN = 4  # significant digits of a witness that is not simple


@dataclass(frozen=True)
class Surface:
    """A part of the domain without a value: where `formula` holds, as at `witness`.

    `proved`: exact signs say so; else they were seen at points. `exact`: the witness lies on it.
    """

    formula: str
    kind: str
    witness: tuple[tuple[str, float], ...]
    proved: bool
    exact: bool


def surfaces(faces: Faces, program: ir.Program) -> Iterator[Surface]:
    """The crossings inside the domain that are seen, each with a witness."""
    metric = program.metric
    for crossing in faces.at(frozenset()).crossings:
        tape = Tape([crossing.expression])
        found = _negative(tape, metric) if crossing.kind == "negative" else _zero(tape, metric)
        if found is None:
            continue
        point, exact = found
        if exact and _has_value(program, point):
            continue  # what divides there is cancelled elsewhere
        text = str(crossing.expression).replace("**", "^")
        if crossing.numerator is not None:
            text = written(crossing.numerator, faces.names)
        sign = "=" if crossing.kind == "zero" else "<"
        shown = tuple((cell, float(mp.nstr(point[cell], SHOWN))) for cell in metric.cells)
        proved = crossing.numerator is not None
        yield Surface(f"{text} {sign} 0", crossing.kind, shown, proved, exact)


Point = Mapping[str, Any]


def _points(metric: ir.Metric) -> Iterator[dict[str, Any]]:
    fixed = {name: mpf(number) for name, number in chosen(metric).items()}
    numbers = [mpf(f.numerator) / f.denominator for f in map(Fraction, SIMPLE)]
    cases = sorted(
        product(range(len(numbers)), repeat=len(CELLS)),
        key=lambda case: (max(case), sum(case), case),
    )
    for case in cases:
        plain = dict(zip(CELLS, (numbers[i] for i in case), strict=True))
        columns = {c: plain[c.split("_", 1)[0]] for c in metric.cells[len(CELLS) :]}
        yield fixed | plain | columns


def _at(tape: Tape, point: Point) -> Any | None:
    (found,) = tape.at({sympy.Symbol(n): v for n, v in point.items()}, DIGITS)
    return None if found is None else found[0]


def _negative(tape: Tape, metric: ir.Metric) -> tuple[Point, bool] | None:
    for point in _points(metric):
        number = _at(tape, point)
        if number is not None and number < 0:
            return point, True
    return None


def _zero(tape: Tape, metric: ir.Metric) -> tuple[Point, bool] | None:
    """A point at which it is exactly 0; else one between two at which it has both signs."""
    ends: dict[int, Point] = {}
    for point in _points(metric):
        number = _at(tape, point)
        if number is None:
            continue
        if abs(number) < mpf(10) ** (10 - DIGITS):
            return point, True
        ends.setdefault(1 if number > 0 else -1, point)
    if len(ends) < 2:
        return None
    low, high = ends[-1], ends[1]
    with mp.workdps(DIGITS):
        for _ in range(100):
            middle = {name: (low[name] + high[name]) / 2 for name in low}
            number = _at(tape, middle)
            if number is None:
                return None
            low, high = (middle, high) if number < 0 else (low, middle)
    return high, False


def _has_value(program: ir.Program, point: Point) -> bool:
    scope = {name: np.array([float(number)]) for name, number in point.items()}
    number, undefined = interpret.value(program.value, scope)
    return not undefined[0] and bool(np.isfinite(number[0]))
