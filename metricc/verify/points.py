"""Where generated code is tested: counts, parameters and batches, all deterministic."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

from mpmath import mp

from metricc import ir, surrogates, syntax
from metricc.numeric import inside
from metricc.verify.batches import Tensors
from metricc.verify.tables import one_against_rest

RANDOM_COUNTS = 60
CLASSES = 3  # of most batches
STEEP = 73.0  # the steepness of the AnyLoss paper
Table = tuple[float, float, float, float]

# Zeros in one or two cells, a single sample; then huge and tiny tables.
EDGES: tuple[Table, ...] = (
    (0, 5, 3, 90),
    (5, 0, 3, 90),
    (5, 3, 0, 90),
    (5, 3, 90, 0),
    (5, 0, 0, 90),
    (0, 5, 90, 0),
    (0, 5, 0, 90),
    (1, 0, 1, 0),
    (1, 1, 1, 1),
)
EXTREMES: tuple[Table, ...] = (
    (1e9, 3e8, 2e8, 5e9),
    (1e-9, 3e-8, 2e-8, 5e-9),
    (1e9, 1e-6, 1e-6, 1e9),
)


def worse(worst: Any, error: Any) -> Any:
    """The larger error; NaN is larger than any, where `max` would lose it."""
    return worst if error <= worst or mp.isnan(worst) else error


def counts() -> Iterator[Table]:
    """Random tables over eight decades, whole tables, then edges and extremes."""
    generator = random.Random(1)
    for index in range(RANDOM_COUNTS):
        if index % 2:
            yield tuple(10 ** generator.uniform(-2, 6) for _ in range(4))  # type: ignore[misc]
        else:
            yield tuple(float(generator.randint(1, 500)) for _ in range(4))  # type: ignore[misc]
    yield from EDGES
    yield from EXTREMES


def with_columns(metric: ir.Metric, table: Table, index: int) -> tuple[float, ...]:
    """A table, then that of every column: each count times a mean of its own. In some a column is
    0 throughout."""
    generator = random.Random(index)
    cells = list(table)
    for column, _ in enumerate(metric.columns):
        unit = 0.0 if index % 13 == 5 + column else 1.0
        cells += [unit * count * 10 ** generator.uniform(-1, 2) for count in table]
    return tuple(cells)


def amounts(column: int, shape: tuple[int, int, int]) -> list[list[list[float]]]:
    """What each element of a batch of shape (N, C, M) counts by a column; the first ones are not 0.
    It depends on the element's place alone."""
    generator = random.Random(40 + column)
    n, c, m = shape
    numbers = [[[0.0] * m for _ in range(c)] for _ in range(n)]
    for place, (i, k, j) in enumerate(product(range(n), range(c), range(m))):
        numbers[i][k][j] = generator.choice((0.5, 1.0, 3.0, 6.0, 40.0, *[0.0] * (place > 5)))
    return numbers


def tables(joint: bool) -> Iterator[tuple[list[Table], bool]]:
    """Tables of 2 to 4 classes, and whether they are extreme.

    `joint` ones are a K x K table seen from each of its classes, some of which are absent.
    """
    generator = random.Random(2)
    for index in range(36):
        size = 2 + index % 3
        if joint:
            draw = [[_count(generator, index) for _ in range(size)] for _ in range(size)]
            if index % 4 == 3:  # class 0 is absent, or never predicted
                for j in range(size):
                    row, column = (0, j) if index % 8 == 3 else (j, 0)
                    draw[row][column] = 0.0
            if index % 12 == 5:  # all predictions are right
                draw = [[x * (i == j) for j, x in enumerate(row)] for i, row in enumerate(draw)]
            yield _against(draw), False
        else:
            some = [tuple(_count(generator, index) for _ in range(4)) for _ in range(size)]
            if index % 4 == 3:
                some[0] = EDGES[index // 4 % len(EDGES)]
            yield some, False  # type: ignore[misc]
    if joint:
        yield [(0.0, 0.0, 3.0, 9.0), (5.0, 3.0, 0.0, 4.0), (4.0, 0.0, 0.0, 8.0)], False
        yield _against([[5.0, 2.0, 1.0], [0.0] * 3, [0.0] * 3]), False  # one class alone
        yield _against([[1e9, 2e8], [3e8, 5e9]]), True
        yield _against([[1e-9, 2e-8, 1e-8], [3e-8, 5e-9, 1e-9], [2e-9, 1e-9, 4e-8]]), True
    else:
        yield [(0, 0, 2, 3), (0, 0, 1, 4)], False  # all are absent
        yield [(2, 3, 0, 0), (0, 0, 1, 4), (5, 3, 4, 90)], False
        yield list(EXTREMES), True
        yield [EXTREMES[0], (5, 3, 4, 90)], True


def _count(generator: random.Random, index: int) -> float:
    return 10 ** generator.uniform(-2, 6) if index % 2 else float(generator.randint(1, 500))


def _against(joint: Sequence[Sequence[float]]) -> list[Table]:
    """Each class's table, rounded once."""
    with mp.workdps(50):
        exact = [[mp.mpf(x) for x in row] for row in joint]
        found = [one_against_rest(exact, k) for k in range(len(joint))]
        return [tuple(map(float, table)) for table in found]  # type: ignore[misc]


def parameter_sets(metric: ir.Metric) -> list[dict[str, float]]:
    """Values for the parameters: the defaults, and a set in which no two are equal."""
    if not metric.parameters:
        return [{}]
    different = {p.name: inside(p, index) for index, p in enumerate(metric.parameters)}
    defaults = {
        p.name: float(p.default) if p.default is not None else different[p.name]
        for p in metric.parameters
    }
    return [defaults, different]


def arguments(surrogate: surrogates.Surrogate) -> list[dict[str, Any]]:
    """The surrogate's defaults and others; where it has a steepness, the paper's too."""
    defaults = surrogate.defaults
    others: dict[str, Any] = {"threshold": 0.25, "mu": 0.375, "delta": 0.3125, "L": 4.0}
    others |= {"thresholds": (0.25, 0.625), "mus": (0.375, 0.625)}
    for index, (name, _, bounds) in enumerate(surrogate.arguments):
        if name not in others and not isinstance(bounds, tuple):  # a formula's own
            others[name] = inside(ir.Parameter(name, None, bounds), index)
    found: list[dict[str, Any]] = [dict(defaults), {name: others[name] for name in defaults}]
    steep = "L" in defaults and surrogate.curve is None
    found += [{**defaults, "L": STEEP}] if steep else []
    return found if defaults else [{}]


def ranges(
    metric: ir.Metric, surrogate: surrogates.Surrogate
) -> Iterator[tuple[str, Any, syntax.Interval]]:
    """Each argument with a range, its default (of a parameter: 1/2), and the range."""
    for parameter in metric.parameters:
        if parameter.interval is not None:
            yield parameter.name, 0.5, parameter.interval
    for name, value, bounds in surrogate.arguments:
        if isinstance(bounds, tuple):
            low, high = (Fraction(end) for end in bounds)
            yield name, value, syntax.Interval(low, high)
        elif bounds is not None:
            yield name, value, bounds


def ends(interval: syntax.Interval, inside: bool) -> Iterator[float]:
    """Numbers at the ends of a range, inside or outside, as near as matters; NaN is outside."""
    for end, is_open, step in (
        (interval.low, interval.low_open, 1e-9),
        (interval.high, interval.high_open, -1e-9),
    ):
        if end is not None:
            near = step * max(1.0, abs(float(end))) * (1 if inside else -1)
            yield float(end) + near * (is_open == inside)
    if not inside:
        yield math.nan


def outside(metric: ir.Metric, surrogate: surrogates.Surrogate) -> list[dict[str, Any]]:
    """Arguments that no loss or objective takes: each outside its range, just and by far."""
    found: list[dict[str, Any]] = []
    for name, value, interval in ranges(metric, surrogate):
        far = [(interval.low, -1), (interval.high, 1)]
        beyond = [float(end) + step for end, step in far if end is not None]
        beyond += ends(interval, inside=False)
        found += [{name: like(value, x)} for x in beyond]
    return found


def like(usual: Any, number: float) -> Any:
    """A number, in a tuple where an argument takes several."""
    return (number,) if isinstance(usual, tuple) else number


def batch(
    task: str,
    shape: tuple[int, int, int],
    spread: float,
    seed: int,
    probabilities: bool,
    weighted: bool = False,
    soft: bool = True,
) -> Tensors:
    """A batch of shape (N, C, M): inputs of that spread, hard labels with a few soft ones.

    Every class has positives and negatives of some weight; in every sample, where M allows it.
    """
    generator = random.Random(seed)
    n, c, m = shape
    places = [(i, j, j if m > c else i * m + j) for i, j in product(range(n), range(m))]
    z = [[[0.0] * m for _ in range(c)] for _ in range(n)]
    y, v = ([[[0.0] * m for _ in range(c)] for _ in range(n)] for _ in range(2))
    for i, j, place in places:
        for k, (x, label) in enumerate(
            zip(
                _inputs(task, c, spread, probabilities, generator),
                _labels(task, c, place, soft, generator),
                strict=True,
            )
        ):
            z[i][k][j], y[i][k][j] = x, label
        free = place >= max(c, 2)
        weights = [generator.choice((0.5, 1.0, 3.0, *[0.0] * free)) for _ in range(c)]
        for k in range(c):
            v[i][k][j] = weights[0] if task == "multiclass" else weights[k]
    return Tensors(z, y, v if weighted else None)


def _inputs(
    task: str, c: int, spread: float, probabilities: bool, generator: random.Random
) -> list[float]:
    logits = [generator.gauss(0, spread) for _ in range(c)]
    if not probabilities:
        return logits
    if task != "multiclass":
        return [generator.uniform(0.01, 0.99) for _ in range(c)]
    powers = [2.0 ** max(min(x, 3), -3) for x in logits]
    return [x / sum(powers) for x in powers]


def _labels(task: str, c: int, place: int, soft: bool, generator: random.Random) -> list[float]:
    """Labels of one place; its number decides those of the first ones."""
    if task == "multiclass":
        label = place if place < c else min(generator.randrange(2 * c), c - 1)
        if soft and place == c:
            return [1 / c if c & c - 1 == 0 else [0.5, 0.25, 0.25][k] for k in range(c)]
        return [float(k == label) for k in range(c)]
    drawn = [float(generator.random() < 0.3) for _ in range(c)]
    if place < 2:
        return [float((place + k) % 2 == 0) for k in range(c)]
    return [(0.25, 0.75)[place - 2]] * c if soft and place < 4 else drawn


def lacking(task: str, data: Tensors, every: bool, negatives: bool = False) -> Tensors:
    """The batch without positives of class 1 (binary: of any), or, under `every`, of all.

    Multiclass labels go to class 0; a binary batch lacks negatives under `every`. `negatives` says
    that they are what class 1 lacks (multilabel).
    """
    target: Any = [[list(row) for row in sample] for sample in data.target]
    if negatives:
        for sample in target:
            sample[1] = [1.0] * len(sample[1])
        return replace(data, target=target)
    for sample in target:
        for j in range(len(sample[0])):
            if task == "binary":
                sample[0][j] = float(every)
                continue
            gone = range(len(sample)) if every else (1,)
            moved = sum(sample[k][j] for k in gone)
            for k in gone:
                sample[k][j] = 0.0
            if task == "multiclass":
                sample[0][j] += moved
    return replace(data, target=target)


def unweighed(data: Tensors) -> Tensors:
    """A binary batch whose columns are 0 for all positives; its labels are 0 and 1."""
    hard = [[[float(y > 0.5) for y in row] for row in sample] for sample in data.target]
    columns = [
        [
            [[c * (y == 0) for c, y in zip(*rows, strict=True)] for rows in zip(*pair, strict=True)]
            for pair in zip(column, hard, strict=True)
        ]
        for column in data.columns
    ]
    return replace(data, target=hard, columns=columns)


def ugly(task: str, probabilities: bool, wide: bool) -> Mapping[str, Tensors]:
    """Batches that break losses: absent classes, one element, no weight, saturated inputs.

    `wide` ones have samples of two places each.
    """
    far = (0.0, 1.0) if probabilities else (-1e4, 1e4)
    mild = (0.3, 0.6, 0.9, 0.2) if probabilities else (-1.0, 0.5, 2.0, -3.0)
    none, every = (0.0,) * 4, (1.0,) * 4
    rows = {
        "no positives": (mild, none, None),
        "no negatives": (mild, every, None),
        "one positive": (mild[:1], (1.0,), None),
        "one negative": (mild[:1], (0.0,), None),
        "no weight": (mild, (1.0, 0.0, 1.0, 0.0), none),
        "all right, saturated": (far, (0.0, 1.0), None),
        "all wrong, saturated": (far[::-1], (0.0, 1.0), None),
        "all positive, saturated": ((far[1],) * 4, (1.0, 0.0, 0.0, 0.0), None),
        "all negative, saturated": ((far[0],) * 4, (1.0, 0.0, 0.0, 0.0), None),
        "saturated, no positives": ((far[1],) * 4, none, None),
        "saturated, no weight": ((far[1],) * 4, none, none),
    }
    return {name: _spread(task, far, wide, *row) for name, row in rows.items()}


def _spread(
    task: str,
    far: tuple[float, float],
    wide: bool,
    inputs: Sequence[float],
    labels: Sequence[float],
    weights: Sequence[float] | None,
) -> Tensors:
    """A row of numbers as a batch: class 0 has them, class 1 the opposite, class 2 nothing."""
    columns: list[list[Sequence[float]]] = []
    for row in (inputs, labels, weights or [1.0] * len(labels)):
        columns.append([row])
    if task != "binary":
        columns[0] += [[sum(far) - x for x in inputs], [far[0]] * len(inputs)]
        columns[1] += [[1 - y for y in labels], [0.0] * len(labels)]
        columns[2] += [columns[2][0]] * 2
    m = 2 if wide and len(labels) > 1 else 1
    parts = [
        [[list(row[i : i + m]) for row in rows] for i in range(0, len(labels), m)]
        for rows in columns
    ]
    return Tensors(parts[0], parts[1], None if weights is None else parts[2])
