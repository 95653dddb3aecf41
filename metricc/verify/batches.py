"""The oracle for a batch: the loss and its derivative in every input, in mpmath.

From the definitions: probabilities, surrogates, soft counts of each class or sample, element
terms. What the metric is at those counts is `tables`'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mpmath import mp, mpf

from metricc import syntax
from metricc.verify.oracle import (
    DIGITS,
    Dual,
    DualArithmetic,
    every_weight,
    logistic,
    mentions,
    soft_label,
    walk,
)
from metricc.verify.tables import TERMS, Metric, Setting, cells_of, is_absent, live, mean


@dataclass(frozen=True, slots=True)
class Tensors:
    """Nested lists (N, C, M) as the dtype holds them; binary has C = 1.

    Class indices are given one-hot. Ignored and masked elements weigh 0. `sample_weight` has N
    numbers; `columns` are in the order of `Setting.columns`.
    """

    input: Sequence[Sequence[Sequence[float]]]
    target: Sequence[Sequence[Sequence[float]]]
    weight: Sequence[Sequence[Sequence[float]]] | None = None
    sample_weight: Sequence[float] | None = None
    columns: Sequence[Sequence[Sequence[Sequence[float]]]] = ()


@dataclass(frozen=True, slots=True)
class Loss:
    """The reduced loss (a list under "none") and, nested (N, C, M): its gradient (under "none"
    that of the sum), the size that each error is judged by, and how far rounding of p moves it."""

    value: Any
    gradient: list[list[list[Any]]]
    sizes: list[list[list[Any]]]
    moves: list[list[list[Any]]]


@dataclass(slots=True)
class Element:
    """One input. `v` weighs in the counts, `u` in the element terms; `jump` is how much rounding
    of p moves the slope A'. `derivative`, `size` and `move` are of the loss in p."""

    n: int
    k: int
    m: int
    y: Any
    v: Any
    u: Any
    p: Any
    q: Any
    a: Any
    b: Any
    slope: Any
    jump: Any
    columns: Sequence[Any]
    derivative: Any = 0
    size: Any = 0
    move: Any = 0


def loss_and_gradient(
    text: syntax.Text,
    tensors: Tensors,
    parameters: Mapping[str, float],
    setting: Setting,
    rounding: float = 0,
    unit: float = 0,
) -> Loss:
    """The loss of a batch and its derivative in every input. Raises `ValueError` where the loss
    is no finite real number; a derivative without a limit is NaN.

    `moves` are what rounding p by a relative `rounding` changes through the surrogate's slope, and
    rounding the counts by about a relative `unit` through the metric's."""
    with mp.workdps(DIGITS):
        split, apart = mentions(text, ["per_class"]), setting.per == "sample"
        elements = elements_of(text, tensors, setting, rounding)
        size = range(len(tensors.input))
        groups = [
            _group(text, tensors, parameters, setting, elements, samples)
            for samples in ([[n] for n in size] if apart else [list(size)])
        ]
        parts = [[g.share * c for c in g.shares] for g in groups]
        whole = sum(map(sum, parts)) if setting.reduction == "mean" else mpf(1)
        losses = []
        for group, row in zip(groups, parts, strict=True):
            shares = [part / whole if whole else mpf(0) for part in row]
            found = group.metric.results() if any(shares) else [Dual(mpf(0))] * len(shares)
            found = found if setting.minimize else [Dual(mpf(1)) - f for f in found]
            losses.append([c * f.value if c else c for c, f in zip(shares, found, strict=True)])
            loss = mean(found, shares, whole=False)
            group.spread(loss)
            if unit and any(shares):
                group.move(loss, mean(group.rounded(unit), shares, whole=False))
        value: Any = losses if split else [row[0] for row in losses]
        value = value if apart else value[0]
        if setting.reduction != "none":
            value = sum(map(sum, losses))
        shape = tensors.input
        gradient = _nested(shape, _chained(elements, setting, lambda e: e.derivative, sign=-1))
        sizes = _nested(shape, _chained(elements, setting, lambda e: e.size))
        return Loss(
            value, gradient, sizes, _nested(shape, _chained(elements, setting, lambda e: e.move))
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """What one value of the metric is of: the batch or a sample. `rows` are the elements of each
    table, `pool` the factor of each class in it; `share` is the sample's in the mean over
    samples, `shares` those of the metric's values, several under per_class."""

    metric: Metric
    rows: list[list[Element]]
    pool: list[Any]
    term: Callable[[float], tuple[Any, list[tuple[Element, Any, Any]]]]
    share: Any
    shares: list[Any]

    def spread(self, loss: Dual) -> None:
        """Add the loss's derivatives to the elements'."""
        for index, row in enumerate(self.rows):
            weights = every_weight(cells_of(loss, index, self.metric.setting.cells))
            for e in row:
                for share, plus, minus in zip(
                    (mpf(1), *e.columns), weights[::2], weights[1::2], strict=True
                ):
                    reach = e.v * self.pool[e.k] * share
                    positive, negative = _times(reach * e.y, plus), _times(reach * (1 - e.y), minus)
                    parts = abs(positive) + abs(negative)
                    e.derivative += _times(e.slope, positive - negative)
                    e.size += _times(abs(e.slope), parts)
                    e.move += _times(e.jump, parts)
        for key, slope in loss.slopes.items():
            if isinstance(key, tuple) and key[0] in TERMS:
                for e, positive, negative in self.term(key[1])[1]:
                    e.derivative += slope * (positive + negative)
                    e.size += abs(slope) * (abs(positive) + abs(negative))

    def rounded(self, unit: float) -> list[Dual]:
        """The metric where each count is off by a few units; as it is where that has no value."""
        counts = [
            [x * (1 + mpf(unit) * _step(i, k)) for i, x in enumerate(table)]
            for k, table in enumerate(self.metric.counts)
        ]
        try:
            return replace(self.metric, counts=counts).results()
        except (ValueError, ZeroDivisionError):
            return self.metric.results()

    def move(self, loss: Dual, near: Dual) -> None:
        """Add to the elements' moves what the metric's slopes differ by; `near` is unsigned."""
        for index, row in enumerate(self.rows):
            cells = self.metric.setting.cells
            one, two = (every_weight(cells_of(number, index, cells)) for number in (loss, near))
            changes = [abs(abs(a) - abs(b)) for a, b in zip(one, two, strict=True)]
            changes = [mpf(0) if mp.isnan(change) else change for change in changes]
            for e in row:
                for share, plus, minus in zip(
                    (mpf(1), *e.columns), changes[::2], changes[1::2], strict=True
                ):
                    reach = e.v * self.pool[e.k] * abs(e.slope) * share
                    e.move += _times(reach * e.y, plus) + _times(reach * (1 - e.y), minus)


def _step(cell: int, table: int) -> int:
    """How many units a count is off by; a column's as the cell's own, on the other side."""
    return ((3 * (cell % 4) + 5 * table) % 7 - 3 or 4) * (1 - 2 * (cell // 4 % 2))


def _times(factor: Any, number: Any) -> Any:
    return factor * number if factor else mpf(0)


def _group(
    text: syntax.Text,
    tensors: Tensors,
    parameters: Mapping[str, float],
    setting: Setting,
    elements: Sequence[Element],
    samples: Sequence[int],
) -> _Group:
    own = [e for e in elements if e.n in samples]
    columns = len(tensors.input[0]) if tensors.input else len(setting.class_weight or [1])
    ones = [mpf(1)] * columns
    classes = ones
    if setting.class_weight and setting.task != "binary":
        classes = [mpf(c) for c in setting.class_weight]
    given = tensors.sample_weight or [1.0] * len(tensors.input)
    importance = [mpf(given[n]) * any(e.v for e in own if e.n == n) for n in samples]
    pooled = mentions(text, ["samples"])
    rows = [[e for e in own if e.k == k] for k in range(columns)]
    if pooled:
        rows = [[e for e in own if e.n == n] for n in samples]
    pool = classes if pooled else ones
    counts = [counts_of(row, pool, len(setting.columns)) for row in rows]
    gone = [is_absent(table) for table in counts]

    def term(gamma: float) -> tuple[Any, list[tuple[Element, Any, Any]]]:
        return term_of(own, setting.task == "multiclass", classes, gamma)

    weights = importance if pooled else classes
    metric = Metric(text, parameters, setting, counts, weights, lambda _, gamma: term(gamma)[0])
    share, shares = mpf(1), [mpf(1)]
    if setting.per == "sample":
        leaves = setting.task == "binary" and setting.absent == "skip" and gone[0]
        share = mpf(0) if leaves else importance[0]
    if mentions(text, ["per_class"]):
        shares = live(gone, classes, setting.absent)
    return _Group(metric, rows, pool, term, share, shares)


def counts_of(row: Sequence[Element], pool: Sequence[Any], columns: int) -> list[Any]:
    """The four cells, then those of every column."""
    cells = [mpf(0)] * 4 * (1 + columns)
    for e in row:
        parts = (e.y * e.a, e.y * e.b, (1 - e.y) * e.a, (1 - e.y) * e.b)
        for column, share in enumerate((mpf(1), *e.columns)):
            for i, part in enumerate(parts):
                cells[4 * column + i] += pool[e.k] * e.v * share * part
    return cells


def term_of(
    elements: Sequence[Element], joint: bool, classes: Sequence[Any], gamma: float
) -> tuple[Any, list[tuple[Element, Any, Any]]]:
    """Focal loss, which under gamma = 0 is cross-entropy, and for each element its derivative in
    p, the part of y and that of 1 - y. Multiclass (`joint`) has the first part alone."""
    total, size, g = mpf(0), mpf(0), mpf(gamma)
    slopes = []
    for e in elements:
        c = e.u * classes[e.k]
        size += c * e.y if joint else c
        sides = []
        for y, p, q in ((e.y, e.p, e.q), (mpf(0) if joint else 1 - e.y, e.q, e.p)):
            slope = mpf(0)
            if c * y != 0:
                if p == 0:
                    raise ValueError("an element term is infinite")
                log = mp.log(p)
                total -= c * y * q**g * log
                slope = c * y * ((g * q ** (g - 1) * log if g and q else 0) - q**g / p)
            sides.append(slope)
        slopes.append((e, sides[0], -sides[1]))
    if size == 0:
        return mpf(0), []
    return total / size, [(e, one / size, other / size) for e, one, other in slopes]


def elements_of(
    text: syntax.Text, tensors: Tensors, setting: Setting, rounding: float
) -> list[Element]:
    """Every input, class after class within each place."""
    found = []
    joint, pooled = setting.task == "multiclass", mentions(text, ["samples"])
    for n, sample in enumerate(tensors.input):
        sample_weight = mpf(tensors.sample_weight[n]) if tensors.sample_weight else mpf(1)
        for m in range(len(sample[0])):
            z = [mpf(row[m]) for row in sample]
            pairs = _probabilities(z, joint, setting.from_probabilities)
            for k, (p, q) in enumerate(pairs):
                smoothing = mpf(setting.label_smoothing)
                y = mpf(tensors.target[n][k][m]) * (1 - smoothing)
                y += smoothing / (len(z) if joint else 2)
                v = mpf(tensors.weight[n][k][m] if tensors.weight else 1)
                u = v if setting.per == "sample" else v * sample_weight
                a, b, slope = _label(p, q, setting)
                if setting.hard and joint:
                    a = mpf(z.index(max(z)) == k)
                    b = 1 - a
                jump = mpf(0)
                if rounding:
                    near = [p * (1 + d * mpf(rounding)) for d in (-1, 1)]
                    slopes = [slope, *(_label(x, q, setting)[2] for x in near)]
                    jump = max(slopes) - min(slopes)
                counted = v if pooled else u
                own = [mpf(column[n][k][m]) for column in tensors.columns]
                found.append(Element(n, k, m, y, counted, u, p, q, a, b, slope, jump, own))
    return found


def _probabilities(z: Sequence[Any], joint: bool, given: bool) -> list[tuple[Any, Any]]:
    """p and 1 - p, neither by subtraction from the other."""
    if given:
        return [(p, 1 - p) for p in z]
    if not joint:
        return [logistic(x)[:2] for x in z]
    powers = [mp.exp(x - max(z)) for x in z]
    others = [sum((x for j, x in enumerate(powers) if j != k), mpf(0)) for k in range(len(z))]
    return [(x / (x + rest), rest / (x + rest)) for x, rest in zip(powers, others, strict=True)]


def _label(p: Any, q: Any, setting: Setting) -> tuple[Any, Any, Any]:
    """A, 1 - A and A' of the surrogate; the mean of them over a list of centres."""
    arguments = dict(setting.arguments)
    listed = [name for name, value in arguments.items() if isinstance(value, tuple)]
    if listed:
        one, several = listed[0].removesuffix("s"), arguments.pop(listed[0])
        inner = replace(setting, centre=one)
        each = [replace(inner, arguments={**arguments, one: x}) for x in several]
        columns = zip(*(_label(p, q, one) for one in each), strict=True)
        a, b, slope = (sum(column) / len(each) for column in columns)
        return a, b, slope
    if isinstance(setting.surrogate, str):
        a, b, slope = soft_label(p, q, setting.surrogate, arguments)
        if setting.hard:
            a = mpf(p > arguments[setting.centre] if setting.centre else p > q)
            b = 1 - a
        return a, b, slope
    scope = {name: Dual(mpf(value)) for name, value in arguments.items()}
    scope["p"] = Dual(p, {"p": mpf(1)})
    if mentions(setting.surrogate, ["z"]):
        scope["z"] = Dual(mp.log(p / q), {"p": 1 / (p * q)})
    found = walk(setting.surrogate, DualArithmetic(), scope)
    return found.value, 1 - found.value, found.slopes.get("p", mpf(0))


def _chained(
    elements: Sequence[Element],
    setting: Setting,
    part: Callable[[Element], Any],
    sign: int = 1,
) -> list[Any]:
    """Derivatives in p → derivatives in the inputs; under sign = 1 the sizes of their parts."""
    if setting.from_probabilities:
        return [part(e) for e in elements]
    if setting.task != "multiclass":
        return [part(e) * e.p * e.q for e in elements]
    places: dict[tuple[int, int], list[Element]] = {}
    for e in elements:
        places.setdefault((e.n, e.m), []).append(e)
    found = []
    for e in elements:
        others = sum(o.p * part(o) for o in places[e.n, e.m] if o is not e)
        found.append(e.p * (e.q * part(e) + sign * others))
    return found


def _nested(
    shape: Sequence[Sequence[Sequence[float]]], numbers: list[Any]
) -> list[list[list[Any]]]:
    """Numbers in the order of the elements, (N, M, C), as (N, C, M)."""
    rest = iter(numbers)
    found = []
    for sample in shape:
        places = [[next(rest) for _ in sample] for _ in sample[0]]
        found.append([[place[k] for place in places] for k in range(len(sample))])
    return found
