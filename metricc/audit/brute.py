"""A metric on thousands of whole-numbered tables at once, as `value` has it: what proofs are
checked with, and what stands in for them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metricc import interpret, ir, scoring
from metricc.functions import CELLS
from metricc.numeric import inside

Array: TypeAlias = NDArray[np.float64]

SMALL = 6  # the largest count of small tables
COUNTS = (0, 1, 2, 3, 5, 10, 30, 100, 1_000, 100_000)  # those of wide ones
MEANS = (0.5, 4.0, 1.0)  # of a column, as a multiple of the counts
CLASSES = 3
ENTRIES = (1, 2, 3, 5, 8, 20, 60)
JOINT = 1_500  # random tables of several classes
NOISE = 1e-9

STEPS = {"TP": ("FN", "true positive in place of a false negative")}
STEPS["TN"] = ("FP", "true negative in place of a false positive")


class Step(NamedTuple):
    """One more correct prediction: the counts before it, what is more correct, and both values."""

    counts: tuple[tuple[str, Any], ...]
    what: str
    before: float
    after: float

    def __str__(self) -> str:
        counts = ", ".join(f"{name} = {_text(count)}" for name, count in self.counts)
        way = "lowers" if self.after < self.before else "raises"
        change = f"{way} it from {number(self.before)} to {number(self.after)}"
        return f"at {counts} one more {self.what} {change}"

    @property
    def data(self) -> tuple[ir.Datum, ...]:
        return (self.counts, self.what, datum(self.before), datum(self.after))


def _text(count: Any) -> str:
    if isinstance(count, tuple):
        return f"[{', '.join(map(number, count))}]"
    return number(count)


@dataclass(frozen=True)
class Steps:
    """What one more correct prediction does: how often it was looked at, how often the metric
    rises and falls, and the smallest example of each."""

    count: int
    rises: int
    falls: int
    rise: Step | None
    fall: Step | None


def number(value: float) -> str:
    """A number as facts show it."""
    value = float(value) + 0.0  # no -0
    if not np.isfinite(value):
        return "undefined" if np.isnan(value) else "inf" if value > 0 else "-inf"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def datum(value: float) -> float | str | None:
    """A number for programs: what is undefined is None, what is infinite a text, as JSON needs."""
    if np.isnan(value):
        return None
    return float(value) + 0.0 if np.isfinite(value) else "inf" if value > 0 else "-inf"


def typical(parameter: ir.Parameter) -> Fraction:
    """The value that stands for a parameter: its default, else one in its range."""
    if parameter.default is None:
        return Fraction(inside(parameter))
    return Fraction(parameter.default)


def chosen(metric: ir.Metric) -> dict[str, Any]:
    """The metric's parameters, each at the value that stands for it, and element losses at 1/2."""
    values = {p.name: float(typical(p)) for p in metric.parameters}
    return values | {term.symbol.name: 0.5 for term in metric.elements}


def elsewhere(metric: ir.Metric) -> Iterator[dict[str, float]]:
    """Other values of the parameters: the ends of their ranges that they may take."""
    for parameter in metric.parameters:
        interval = parameter.interval
        if interval is not None:
            for end in (interval.low, interval.high):
                if end is not None and interval.holds(float(end)):
                    yield {parameter.name: float(end)}


def values(
    program: ir.Program,
    cells: Sequence[Array],
    mean: float = 1.0,
    others: Mapping[str, float] | None = None,
) -> Array:
    """The metric of one table on arrays of counts; NaN where it is undefined (0/0).

    `mean` is that of every column, `others` are values of parameters that replace the usual ones.
    """
    metric = program.metric
    scope = dict(zip(CELLS, cells, strict=True))
    for column in metric.columns:
        for cell, count in zip(CELLS, cells, strict=True):
            scope[f"{cell}_{column}"] = count * mean
    numbers = {**chosen(metric), **(others or {})}
    scope |= {name: np.asarray(value) for name, value in numbers.items()}
    found, undefined = interpret.value(program.value, scope)
    return np.where(undefined, np.nan, found)


def tables(counts: Sequence[float]) -> tuple[Array, ...]:
    """All tables with cells among `counts`: four arrays."""
    return tuple(np.array(list(product(counts, repeat=4)), dtype=np.float64).T)


def wide(program: ir.Program) -> tuple[tuple[Array, ...], Array]:
    """Tables over many sizes, and the metric on them."""
    cells = tables(COUNTS)
    means = MEANS if program.metric.columns else (1.0,)
    found = [values(program, cells, mean) for mean in means]
    repeated = tuple(np.concatenate([cell] * len(means)) for cell in cells)
    return repeated, np.concatenate(found)


def steps(
    program: ir.Program,
    others: Mapping[str, float] | None = None,
    unit: float = 1,
    counts: Sequence[float] = range(SMALL + 1),
) -> Steps:
    """One more correct prediction (of weight `unit`), from all tables of such counts."""
    cells = dict(zip(CELLS, tables([unit * count for count in counts]), strict=True))
    found: list[tuple[Array, Array, dict[str, Array], str]] = []
    at = "".join(f" ({name} = {number(value)})" for name, value in (others or {}).items())
    weight = "" if unit == 1 else f" of weight {number(unit)}"
    for mean in MEANS if program.metric.columns else (1.0,):
        before = values(program, [*cells.values()], mean, others)
        for to, (of, what) in STEPS.items():
            there = cells[of] >= unit
            moved = {**cells, to: cells[to] + unit, of: np.maximum(cells[of] - unit, 0)}
            after = values(program, [*moved.values()], mean, others)
            for column in program.metric.columns:
                what += f", each sample of {column} {number(mean)},"
            shown = {name: cell[there] for name, cell in cells.items()}
            found.append((before[there], after[there], shown, what + weight + at))
    return _counted(found)


def both_ways(program: ir.Program) -> Steps:
    """`steps`, with examples for both ways where small tables have them: of other parameters, too,
    and of samples that weigh little."""
    found = steps(program)
    small = tuple(range(SMALL + 1))
    tries: list[tuple[dict[str, float], float, tuple[int, ...]]] = [
        (others, 1.0, small) for others in elsewhere(program.metric)
    ]
    for others, unit, counts in [*tries, ({}, 0.01, small), ({}, 1.0, COUNTS)]:
        if found.rise is None or found.fall is None:
            other = steps(program, others, unit, counts)
            found = Steps(
                found.count + other.count,
                found.rises + other.rises,
                found.falls + other.falls,
                found.rise or other.rise,
                found.fall or other.fall,
            )
    return found


def class_steps(plan: ir.Plan) -> Steps:
    """One more correct prediction, from random tables of three classes (or samples, or labels)."""
    generator = random.Random(7)
    found = []
    task = "multilabel" if plan.metric.by_sample else plan.metric.task
    for before, after, what in _moves(generator, task):
        numbers = [_scored(plan, cells) for cells in (before, after)]
        found.append((numbers[0], numbers[1], dict(zip(CELLS, before, strict=True)), what))
    return _counted(found)


def class_values(plan: ir.Plan) -> Array:
    """The metric on random tables of several classes, with right and wrong and one-sided ones."""
    generator = random.Random(11)
    joint = _joint(generator)
    eye = np.eye(CLASSES)
    joint = np.concatenate([joint, joint * eye, joint * (1 - eye), joint * eye[0]])
    found = _scored(plan, _one_vs_rest(joint))
    return found[np.isfinite(found)]


def _scored(plan: ir.Plan, cells: Sequence[Array]) -> Array:
    rules = scoring.Rules(zero_division=float("nan"), params=chosen(plan.metric))
    tp, fn, fp, tn = cells
    found = np.asarray(scoring.value(plan, (tp, fn, fp, tn), rules))
    # One number for each class: what is said of them all is said of the first.
    return found if found.ndim == 1 else found[..., 0]


def _joint(generator: random.Random) -> Array:
    size = (JOINT, CLASSES, CLASSES)
    drawn = [generator.choice(ENTRIES) for _ in range(JOINT * CLASSES**2)]
    return np.array(drawn, dtype=np.float64).reshape(size)


def _one_vs_rest(joint: Array) -> tuple[Array, ...]:
    right = np.diagonal(joint, axis1=1, axis2=2)
    true, said = joint.sum(2), joint.sum(1)
    return right, true - right, said - right, joint.sum((1, 2))[:, None] - true - said + right


def _moves(generator: random.Random, task: str) -> Iterator[tuple[Any, Any, str]]:
    if task == "multiclass":
        joint = _joint(generator)
        for true, said in product(range(CLASSES), repeat=2):
            if true != said:
                moved = joint.copy()
                moved[:, true, said] -= 1
                moved[:, true, true] += 1
                what = f"sample of class {true} as {true} in place of {said}"
                yield _one_vs_rest(joint), _one_vs_rest(moved), what
        return
    drawn = [generator.choice(ENTRIES) for _ in range(JOINT * CLASSES * 4)]
    cells = dict(zip(CELLS, np.array(drawn, float).reshape(4, JOINT, CLASSES), strict=True))
    first = np.eye(CLASSES)[0]
    for to, (of, what) in STEPS.items():
        moved = {**cells, to: cells[to] + first, of: cells[of] - first}
        yield tuple(cells.values()), tuple(moved.values()), f"{what} in the first class"


def _counted(found: Sequence[tuple[Array, Array, Mapping[str, Array], str]]) -> Steps:
    count = rises = falls = 0
    best: dict[bool, tuple[Any, Step]] = {}
    for before, after, cells, what in found:
        with np.errstate(all="ignore"):
            size = np.maximum(abs(before), abs(after))
            both = np.isfinite(before) & np.isfinite(after)
            change = np.where(both & (abs(after - before) > NOISE * size), after - before, 0.0)
        count += int(both.sum())
        rises, falls = rises + int((change > 0).sum()), falls + int((change < 0).sum())
        for up in (True, False):
            places = np.flatnonzero(change > 0 if up else change < 0)
            if not len(places):
                continue
            flat = np.stack([cells[c].reshape(len(before), -1) for c in CELLS], axis=-1)
            numbers = flat[places]
            # The smallest table without a count of 0, if there is one.
            edge, total = (numbers == 0).any((1, 2)), numbers.sum((1, 2))
            order = np.lexsort((places, total, edge))
            place = int(places[order[0]])
            key = (bool(edge[order[0]]), float(total[order[0]]))
            shown = tuple((c, _shown(cells[c][place])) for c in CELLS)
            if up not in best or key < best[up][0]:
                step = Step(shown, what, float(before[place]), float(after[place]))
                best[up] = (key, step)
    examples = {up: step for up, (_, step) in best.items()}
    return Steps(count, rises, falls, examples.get(True), examples.get(False))


def _shown(cell: Any) -> Any:
    return float(cell) if np.ndim(cell) == 0 else tuple(float(c) for c in cell)
