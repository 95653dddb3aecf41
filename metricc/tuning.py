"""The best cut of scores by the hard metric, exactly, over all distinct scores.

The counts at every cut come from one sort (`ranking`), the metric at every cut from the code that
scores labels (`scoring.value`), constraints from the same code. Nothing is a loop over cuts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc import ir, labels, scoring
from metricc.constraint import Comparison, constant
from metricc.errors import Diagnostic, MetriccError, fail
from metricc.functions import CELLS, cells_of
from metricc.ranking import Ranking, ranked
from metricc.threshold import Cells, Held, Threshold, Thresholds

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

EQUAL = 1e-12  # relative: cuts that are as good as the best
CHUNK = 1 << 16  # cuts that are valued at once, so that the work stays in the cache
SEPARABLE = ("macro", "weighted", "sum", "worst", "per_class")
_UNDEFINED = scoring.Rules(zero_division=float("nan"))


@dataclass(frozen=True)
class Task:
    """What is tuned: a metric, its direction ("maximize" or "minimize"), and what must hold."""

    plan: ir.Plan
    goal: str
    constraints: tuple[Comparison, ...] = ()
    rules: scoring.Rules = field(default_factory=scoring.Rules)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of weights that the metric and its constraints read."""
        names = [*self.plan.metric.columns, *(n for c in self.constraints for n in c.columns)]
        return tuple(dict.fromkeys(names))


Counts = Mapping[str, Array]  # TP, FN, FP, TN, TP_amount, ...: arrays over cuts


def tune(task: Task, given: labels.Given, per: str = "batch") -> Threshold | Thresholds:
    """The best threshold; with classes one for each, which together are the best of all.

    `given.y_pred` holds the scores. Raises `MetriccError` for labels, scores and weights that are
    not what they should be, for metrics that have no threshold of their own, and where no
    threshold meets the constraints.
    """
    found = samples(task, given, per)
    sweeps = [sweep(task, one) for one in found]
    if task.plan.metric.task == "binary":
        return sweeps[0].best()
    best = []
    for one, swept in zip(found, sweeps, strict=True):
        try:
            best.append(swept.best())
        except MetriccError as error:
            where = (
                replace(d, message=f"class {one.name}: {d.message}") for d in error.diagnostics
            )
            raise MetriccError(*where) from None
    together = tuple(np.array(cell) for cell in zip(*(t.counts for t in best), strict=True))
    value = scoring.value(task.plan, together, task.rules)
    dtype = np.dtype("float32" if found[0].kind == labels.BFLOAT16 else found[0].scores.dtype)
    return Thresholds.of(best, dtype, value)


@dataclass(frozen=True)
class Samples:
    """The scores of one class beside its labels, checked: arrays of shape (n,).

    `kind` is the scores' type where NumPy has none of it; `columns` are weights by name.
    """

    name: Any
    scores: NDArray[Any]
    positive: Mask
    weight: Array | None
    columns: Mapping[str, Array]
    kind: str = ""

    def subset(self, rows: NDArray[Any]) -> Samples:
        """Some of the samples."""
        return replace(
            self,
            scores=self.scores[rows],
            positive=self.positive[rows],
            weight=None if self.weight is None else self.weight[rows],
            columns={name: numbers[rows] for name, numbers in self.columns.items()},
        )


def samples(task: Task, given: labels.Given, per: str = "batch") -> list[Samples]:
    """What is given, checked, a `Samples` for each class (in a binary task one)."""
    _check_task(task, per)
    found = labels.scored(given, task.plan.metric.task)
    columns = {}
    for name in task.columns:
        if task.rules.params.get(name) is None:
            hint = f"pass {name}=..., one number of at least 0 for each sample"
            raise fail("MC0506", f"the column {name} is read and was not given", hint)
        columns[name] = labels.column(name, task.rules.params[name], len(found.scores))
    kind = str(getattr(given.y_pred, "dtype", ""))
    return [
        Samples(
            name,
            found.scores[:, k],
            found.positive[:, k],
            None if found.weight is None else found.weight[:, k],
            columns,
            kind if kind == labels.BFLOAT16 else "",
        )
        for k, name in enumerate(found.names)
    ]


def _check_task(task: Task, per: str) -> None:
    """Raise `MetriccError` for a metric that no threshold is the best of."""
    metric = task.plan.metric
    rest = {n: v for n, v in task.rules.params.items() if n not in task.columns}
    scoring.check(task.plan, replace(task.rules, params=rest), per, single=False)
    if metric.task == "multiclass":
        fact = "a multiclass decision is the largest score, which has no threshold"
        raise fail("MC0501", fact, "tune one class against the others: y == k and scores[:, k]")
    if metric.by_sample:
        fact = f"{metric.name} is a mean over samples, and a threshold is one for all of them"
        raise fail("MC0501", fact, "leave samples(...) out")
    if metric.task == "binary":
        return
    (first, *others) = metric.tables
    alone = not others and metric.outer == first.symbol
    if not alone or first.reduction not in SEPARABLE:
        fact = f"{metric.name} joins the classes, so that the best threshold of one depends on "
        fact += "those of the others"
        hint = f"write one of {', '.join(SEPARABLE)} around one formula: macro(1 - f1)"
        raise fail("MC0501", fact, hint)


# -- all cuts of one class --------------------------------------------------------------------


def sweep(task: Task, given: Samples) -> Sweep:
    """The metric and the constraints at every cut of one class's scores."""
    order = ranked(given.scores, given.kind)
    counts = counted(order, given)
    values = valued(task.plan, counts, task.rules)
    sides = [
        (valued(c.left, counts, _UNDEFINED), valued(c.right, counts, _UNDEFINED))
        for c in task.constraints
    ]
    return Sweep(task, order, counts, values, tuple(sides))


def counted(order: Ranking, given: Samples) -> dict[str, Array]:
    """The counts at every cut by name: TP, FN, FP, TN, and those of the columns."""
    weights: dict[str, Array | None] = {"": given.weight}
    for name, numbers in given.columns.items():
        weights[name] = numbers if given.weight is None else numbers * given.weight
    counts: dict[str, Array] = {}
    for name, weight in weights.items():
        with np.errstate(over="ignore"):
            cells = order.cells(given.positive, weight)
        if not all(np.isfinite(cell[[0, -1]]).all() for cell in cells):
            what = name or "sample_weight"
            raise fail("MC0506", f"{what} adds up to infinity", "divide it by its largest number")
        counts |= zip(cells_of(name) if name else CELLS, cells, strict=True)
    return counts


def valued(plan: ir.Plan, counts: Counts, rules: scoring.Rules) -> Array:
    """A metric on counts, one number a cut; it sees those counts alone that it reads."""
    metric = plan.metric
    params = {n: v for n, v in rules.params.items() if n in {p.name for p in metric.parameters}}
    found = []
    for start in range(0, len(counts["TP"]), CHUNK):
        piece = {n: cell[start : start + CHUNK] for n, cell in counts.items()}
        if metric.task != "binary":
            piece = {n: cell[:, None] for n, cell in piece.items()}
        columns = {n: piece[n] for n in metric.cells[len(CELLS) :]}
        table = piece["TP"], piece["FN"], piece["FP"], piece["TN"]
        values = scoring.value(plan, table, replace(rules, params=params | columns))
        found.append(np.asarray(values, dtype=np.float64).reshape(len(table[0])))
    return np.concatenate(found)


@dataclass(frozen=True)
class Sweep:
    """The metric (`values`) and both sides of every constraint at every cut of a ranking."""

    task: Task
    ranking: Ranking
    counts: Counts
    values: Array
    sides: tuple[tuple[Array, Array], ...]

    @property
    def possible(self) -> Mask:
        """The cuts that a threshold of the scores' type makes."""
        found = np.ones(len(self.values), dtype=np.bool_)
        found[0] = np.isfinite(self.ranking.ceiling)
        return found

    def cut_at(self, threshold: float) -> int:
        """The cut that `scores >= threshold` makes."""
        return int((self.ranking.scores >= threshold).sum())

    def cells(self, cut: int) -> Cells:
        """The confusion matrix of a cut."""
        return Cells(*(float(self.counts[cell][cut]) for cell in CELLS))

    def held(self, cut: int) -> tuple[Held, ...]:
        """The constraints at a cut."""
        return tuple(
            Held(c.text, float(left[cut]), float(right[cut]), bool(c.met(left, right)[cut]))
            for c, (left, right) in zip(self.task.constraints, self.sides, strict=True)
        )

    def best(self) -> Threshold:
        """The middle of the best plateau among the cuts that meet the constraints.

        A plateau is a run of neighbouring cuts that are as good as the best. Of several the widest
        is taken, of equally wide ones the lowest.
        """
        met = [
            c.met(left, right)
            for c, (left, right) in zip(self.task.constraints, self.sides, strict=True)
        ]
        feasible = np.logical_and.reduce([self.possible, *met])
        if not feasible.any():
            raise self.infeasible(met)
        if np.isnan(self.values[feasible]).all():
            name = self.task.plan.metric.name
            fact = f"{name} is undefined (0/0) at every threshold"
            fact += " that meets the constraint" if met else ""
            raise fail("MC0507", fact, "pass zero_division=0 or 1 for a number there")
        upward = self.task.goal == "maximize"
        first, last = plateau(self.values if upward else -self.values, feasible, self.ranking)
        return self.threshold(first, last)

    def threshold(self, first: int, last: int) -> Threshold:
        """The threshold in the middle of neighbouring cuts."""
        number, cut = self.ranking.inside(first, last)
        return Threshold(
            number,
            self.task.plan.metric.name,
            float(self.values[cut]),
            float(self.ranking.lows[last]),
            float(self.ranking.highs[first]),
            self.cells(cut),
            self.held(cut),
        )

    def infeasible(self, met: Sequence[Mask]) -> MetriccError:
        """For each comparison, what is reached at best and where; if it is met alone, with the
        others."""
        found: list[Diagnostic] = []
        for index, comparison in enumerate(self.task.constraints):
            others = [m for i, m in enumerate(met) if i != index]
            alone = bool((met[index] & self.possible).any())
            allowed = np.logical_and.reduce([self.possible, *(others if alone else [])])
            reached = self._reached(index, allowed)
            if alone and allowed.any():
                fact = f"this is met alone, but not together with the rest: there {reached}"
            elif alone:
                reached = self._reached(index, self.possible)
                fact = f"this is met alone, and the rest is not: {reached}"
            else:
                fact = f"no threshold meets this: {reached}"
            hint = "ask for less, or give other scores"
            found.append(comparison.error(fact, hint))
        if not found:
            hint = "scale the scores down"
            raise fail("MC0506", "no threshold lies above a score that is its type's largest", hint)
        return MetriccError(*found)

    def _reached(self, index: int, allowed: Mask) -> str:
        """The best that a comparison comes to among some cuts, in words."""
        comparison, (left, right) = self.task.constraints[index], self.sides[index]
        with np.errstate(invalid="ignore"):
            margin = left - right if comparison.upward else right - left
        if np.isnan(margin[allowed]).all():
            return "it is undefined at every threshold"
        at = self.threshold(*plateau(margin, allowed, self.ranking))
        here = at.constraints[index]
        sides = [
            f"`{text}` is {number:.6g}"
            for text, number, plan in (
                (comparison.left_text, here.left, comparison.left),
                (comparison.right_text, here.right, comparison.right),
            )
            if not constant(plan)
        ]
        return f"{' and '.join(sides)} at best, at threshold {float(at):.6g}"


def plateau(values: Array, allowed: Mask, order: Ranking) -> tuple[int, int]:
    """The first and last cut of the widest run of cuts with the largest value."""
    kept = allowed & ~np.isnan(values)
    best = values[kept].max()
    with np.errstate(invalid="ignore"):
        near = np.isfinite(best) & (abs(values - best) <= EQUAL * abs(best))
    good = kept & ((values == best) | near)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    firsts, lasts = edges[::2], edges[1::2] - 1
    with np.errstate(over="ignore"):
        widths = order.highs[firsts] / 2 - order.lows[lasts] / 2
    widest = len(widths) - 1 - int(np.argmax(widths[::-1]))
    return int(firsts[widest]), int(lasts[widest])
