"""Which way more correct predictions move a metric, by the signs of its weights.

`w_plus` is what moving a positive's prediction up is worth, `w_minus` what moving a negative's
down is worth. Both at least 0 everywhere: a score. Both at most 0: an error rate.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import sympy

from metricc import ir
from metricc.functions import CELLS
from metricc.numeric import Tape, mp, mpf, sample, value_at
from metricc.signs import sign_of

POINTS = 200  # at which signs are looked at,
FEWEST = 50  # and at so many at least where a formula is long:
MAX_STEPS = 300_000  # operations of all points together
TABLES = 100  # of several classes


@dataclass(frozen=True)
class Signs:
    """What the signs of the weights say.

    `direction` is the metric's, `own` that of its terms whatever joins them; `points` is at how
    many points they were looked at, 0 where they are proved; `depends` whether any is not 0.
    """

    direction: ir.Direction
    own: ir.Direction
    points: int
    depends: bool

    @property
    def proof(self) -> str:
        if self.points:
            return f"sampled at {self.points} points"
        return "proved from the signs of w_plus and w_minus"


def signs(plan: ir.Plan) -> Signs:
    """Decide the direction; proved by signs where they can be read off.

    With several terms the signs are products: of G's slope in a term, and of the term's weights.
    """
    metric = plan.metric
    found: set[int] = set()
    own: set[int] = set()  # of the terms, whatever G makes of them
    depends, looked = False, [0]
    for term, program in zip(metric.tables, plan.programs, strict=True):
        outer, points = {1}, 0
        if plan.outer is not None:
            ((outer, points),) = _signs(plan.outer, f"M_{term.symbol.name}")
        looked.append(points)
        names = ir.weights_of(metric)
        for name, (taken, points) in zip(names, _signs(program, *names), strict=True):
            looked.append(points)
            depends = depends or program.forms[name].expression != 0
            own |= taken
            found |= {a * b for a in taken for b in outer}
    if plan.outer is not None and _direction(found) == "mixed":
        # Signs of terms one by one say little: look at tables, where the terms belong together.
        found, looked = _on_tables(plan), [TABLES]
    for term in metric.elements:  # a loss that is less is better
        ((taken, points),) = _signs(plan.outer or plan.program, f"M_{term.symbol.name}")
        looked.append(points)
        found |= {-sign for sign in taken}
    points = min(filter(None, looked), default=0)
    return Signs(_direction(found), _direction(own), points, depends)


def _direction(signs: set[int]) -> ir.Direction:
    if signs <= {0, 1}:
        return "score"
    return "error rate" if signs <= {0, -1} else "mixed"


def _signs(program: ir.Program, *names: str) -> list[tuple[set[int], int]]:
    """The signs that each output takes, and at how many points that was looked at; 0 is a proof."""
    metric = program.metric
    slopes = [program.forms[name].expression for name in names]
    signs = [sign_of(slope, metric.nonnegative) for slope in slopes]
    found: list[set[int]] = [set() if sign is None else {sign} for sign in signs]
    sampled = [i for i, sign in enumerate(signs) if sign is None]
    tape = Tape(slopes[i] for i in sampled)
    points = max(FEWEST, min(POINTS, MAX_STEPS // max(1, len(tape.steps))))
    for point in sample(metric.unknowns, points) if sampled else ():
        for i, number in zip(sampled, tape.at(point, 15), strict=True):
            if number is not None and abs(number[0]) > 1e-12:
                found[i].add(1 if number[0] > 0 else -1)
        if all(len(found[i]) == 2 for i in sampled):
            break
    looked = [points if sign is None else 0 for sign in signs]
    return list(zip((each or {0} for each in found), looked, strict=True))


CLASSES = 3


def _on_tables(plan: ir.Plan) -> set[int]:
    """The signs of what a more correct prediction is worth, on random tables of three classes.

    In a multiclass task it moves from a wrong class j to the right one k: w_plus[k] + w_minus[j].
    R_K and kappa fall by some of those moves, one in hundreds and by little: a sign that makes less
    than a hundredth of all moves is left out.
    """
    worth = {1: mpf(0), -1: mpf(0)}
    generator = random.Random(1)
    for point in sample(plan.metric.unknowns, TABLES):
        tables = _tables(generator, plan.metric.task)
        weights = _weights(plan, tables, point)
        if weights is None:
            continue
        moves = [w for pair in weights for w in pair]
        if plan.metric.task == "multiclass":
            moves = [
                weights[k][0] + weights[j][1]
                for k in range(CLASSES)
                for j in range(CLASSES)
                if j != k
            ]
        size = max(abs(w) for pair in weights for w in pair)
        for w in moves:
            if abs(w) > 1e-9 * size:
                worth[1 if w > 0 else -1] += abs(w) / size
    return {sign for sign, part in worth.items() if part > sum(worth.values()) / 100} or {0}


def _tables(generator: random.Random, task: str) -> list[dict[sympy.Symbol, Any]]:
    """One-vs-rest counts of one table of three classes, or of three labels apart."""
    if task != "multiclass":
        return [
            {s: mpf(10 ** generator.uniform(-1, 3)) for s in map(sympy.Symbol, CELLS)}
            for _ in range(CLASSES)
        ]
    size = range(CLASSES)
    joint = [[mpf(10 ** generator.uniform(-1, 3)) for _ in size] for _ in size]
    total = sum(map(sum, joint))
    found = []
    for k in size:
        right, true = joint[k][k], sum(joint[k])
        said = sum(row[k] for row in joint)
        cells = (right, true - right, said - right, total - true - said + right)
        found.append(dict(zip(map(sympy.Symbol, CELLS), cells, strict=True)))
    return found


def _weights(
    plan: ir.Plan, tables: list[dict[sympy.Symbol, Any]], point: dict[Any, Any]
) -> list[tuple[Any, Any]] | None:
    """(w_plus, w_minus) of each class at tables; None outside the domain."""
    assert plan.outer is not None
    point = dict(point)
    parts = []
    for term, program in zip(plan.metric.tables, plan.programs, strict=True):
        own = tables
        if term.reduction == "micro":
            own = [{s: sum(t[s] for t in tables) for s in tables[0]}] * len(tables)
        rows = [
            [value_at(program.forms[n].expression, point | t, 30) for t in own]
            for n in ("value", "w_plus", "w_minus")
        ]
        if any(number is None for row in rows for number in row):
            return None
        positives = [t[sympy.Symbol("TP")] + t[sympy.Symbol("FN")] for t in tables]
        point[term.symbol], shares = _reduced(term.reduction, rows[0], positives)
        parts.append((term, shares, rows[1], rows[2]))
    total = [[mpf(0), mpf(0)] for _ in tables]
    for term, shares, plus, minus in parts:
        slope = value_at(plan.outer.forms[f"M_{term.symbol.name}"].expression, point, 30)
        if slope is None:
            return None
        for k, share in enumerate(shares):
            total[k][0] += slope * share * plus[k]
            total[k][1] += slope * share * minus[k]
    return [(plus, minus) for plus, minus in total]


def _reduced(reduction: str, values: list[Any], positives: list[Any]) -> tuple[Any, list[Any]]:
    """A reduction of the classes' values, and its slope in each."""
    count, ones = len(values), [mpf(1)] * len(values)
    match reduction:
        case "sum":
            return sum(values), ones
        case "micro" | "per_class":
            return values[0], ones
        case "worst":
            least = min(values)
            return least, [mpf(v == least) for v in values]
        case "geomean":
            mean = mp.fprod(values) ** (mpf(1) / count) if min(values) > 0 else mpf(0)
            return mean, [mean / (count * v) if v > 0 else mpf(0) for v in values]
        case "weighted":
            shares = [p / sum(positives) for p in positives]
        case _:
            shares = [mpf(1) / count] * count
    return sum(s * v for s, v in zip(shares, values, strict=True)), shares
