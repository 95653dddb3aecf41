"""The oracle for several tables: classes, samples, averages and element terms, in mpmath.

Written from the language's rules alone, with the dual numbers of `oracle`. A number's variables
are the cells of every raw table, `(table, cell)`, and the element terms, `(term, gamma)`. The
tables are those of the classes (binary: the one) or, under `samples(...)`, of the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any

from mpmath import mp, mpf

from metricc import syntax
from metricc.functions import CELLS, REDUCTIONS
from metricc.verify.oracle import (
    DIGITS,
    NUDGE,
    Dual,
    DualArithmetic,
    limit,
    logistic,
    soft_label,
    walk,
    weights_of,
)

TERMS = ("bce", "ce", "focal")
PATHS = ((1, 1, 1, 1), (2, 3, 5, 7))
TIE = mpf(10) ** (20 - DIGITS)  # closer than this by rounding alone


@dataclass(frozen=True, slots=True)
class Setting:
    """What a loss is compiled and constructed with. A `surrogate` is a name of the table, whose
    `arguments` may hold `thresholds`, or a text whose last definition is A over p and z; under
    `hard` the counts are of decisions, and it gives the slope alone (straight_through)."""

    task: str = "multilabel"
    per: str = "batch"
    from_probabilities: bool = False
    minimize: bool = False
    surrogate: str | syntax.Text = "soft"
    hard: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    absent: str = "diagonal"
    smooth: float = 0.0
    class_weight: Sequence[float] | None = None  # 0 for a class that is left out
    reduction: str = "mean"
    label_smoothing: float = 0.0


@dataclass(frozen=True, slots=True)
class Tensors:
    """Nested lists (N, C, M) as the dtype holds them; binary has C = 1.

    Multiclass index targets are given one-hot with `indices`, which says how cross-entropy is
    normalised. Ignored and masked elements weigh 0. `sample_weight` has N numbers.
    """

    input: Sequence[Sequence[Sequence[float]]]
    target: Sequence[Sequence[Sequence[float]]]
    weight: Sequence[Sequence[Sequence[float]]] | None = None
    sample_weight: Sequence[float] | None = None
    indices: bool = True


@dataclass(frozen=True, slots=True)
class Values:
    """A metric on raw counts. `values` has one number, or one a table under per_class; `slopes`
    (TP, FN, FP, TN) and `weights` (plus, minus) are of their sum, table by table; `terms` its
    slopes in the element terms by (name, gamma)."""

    values: list[Any]
    slopes: list[list[Any]]
    weights: list[tuple[Any, Any]]
    terms: dict[tuple[str, float], Any]


@dataclass(frozen=True, slots=True)
class Loss:
    """The reduced loss (a list under "none") and, nested (N, C, M): its gradient (under "none"
    that of the sum), the size that each error is judged by, and how far rounding of p moves it."""

    value: Any
    gradient: list[list[list[Any]]]
    sizes: list[list[list[Any]]]
    moves: list[list[list[Any]]]


def values(
    text: syntax.Text,
    tables: Sequence[Sequence[float]],
    parameters: Mapping[str, float],
    task: str,
    absent: str = "diagonal",
    smooth: float = 0.0,
    class_weight: Sequence[float] | None = None,
    elements: Mapping[str, float] | None = None,
) -> Values:
    """The metric at raw counts (TP, FN, FP, TN) of every class (binary: of the first; under
    samples(...): of every sample, whose weights are `class_weight` then) and at the values of
    the element terms, by name. Raises `ValueError` outside the real numbers."""
    with mp.workdps(DIGITS):
        given = elements or {}
        counts = [[mpf(c) for c in table] for table in tables]
        shares = [mpf(c) for c in class_weight] if class_weight else [mpf(1)] * len(counts)
        setting = Setting(task=task, absent=absent, smooth=smooth)
        metric = _Metric(text, parameters, setting, counts, shares, lambda name, _: given[name])
        found = metric.results()
        total = reduce(add, found)
        slopes = [_cells(total, index) for index in range(len(counts))]
        terms = {k: s for k, s in total.slopes.items() if isinstance(k, tuple) and k[0] in TERMS}
        return Values([f.value for f in found], slopes, [weights_of(s) for s in slopes], terms)


def _cells(number: Dual, table: int) -> list[Any]:
    return [number.slopes.get((table, cell), mpf(0)) for cell in CELLS]


def mentions(
    text: syntax.Text, words: Sequence[str], node: syntax.Expression | None = None
) -> bool:
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

    return found(text.definitions[-1].body if node is None else node)


@dataclass(frozen=True, slots=True)
class _Terms(DualArithmetic):
    """Dual numbers, and the one element term that is a call."""

    term: Callable[[str, float], Any]

    def call(self, function: str, arguments: list[Dual]) -> Dual:
        if function == "focal":
            return self.variable("focal", float(arguments[0].value))
        return DualArithmetic.call(self, function, arguments)

    def variable(self, name: str, gamma: float) -> Dual:
        return Dual(mpf(self.term(name, gamma)), {(name, gamma): mpf(1)})


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric at the raw counts of some tables, each with its share in averages."""

    text: syntax.Text
    parameters: Mapping[str, float]
    setting: Setting
    counts: list[list[Any]]
    shares: list[Any]
    term: Callable[[str, float], Any]

    def results(self) -> list[Dual]:
        """The metric; under per_class one number a table."""
        split = mentions(self.text, ["per_class"])
        return [self._component(k) for k in (range(len(self.counts)) if split else (0,))]

    def _component(self, component: int) -> Dual:
        still = [[mpf(0)] * 4 for _ in self.counts]
        paths = [self._path(*step) for step in ((0, 0, 1), (3, 5, 2))]
        return _settled(lambda shift: self._at(shift, component), still, paths)

    def _path(self, row: int, column: int, start: int) -> list[list[Any]]:
        """A way into the domain: a K x K table of small counts, seen from each class."""
        size = range(len(self.counts) + 1)  # a class more, so that no cell stays 0
        joint = [[start + row * i + column * j + i * j % start for j in size] for i in size]
        whole = sum(map(sum, joint))
        found = []
        for k in size[:-1]:
            hits, true, said = joint[k][k], sum(joint[k]), sum(r[k] for r in joint)
            cells = (hits, true - hits, said - hits, whole - true - said + hits)
            found.append([cell * NUDGE for cell in cells])
        return found

    def _at(self, shift: list[list[Any]], component: int) -> Dual:
        raw = [
            [
                Dual(count + moved, {(k, cell): mpf(1)})
                for cell, count, moved in zip(CELLS, table, moves, strict=True)
            ]
            for k, (table, moves) in enumerate(zip(self.counts, shift, strict=True))
        ]
        arithmetic = _Terms(self.term)
        scope = {n: Dual(mpf(v)) for n, v in self.parameters.items()}
        for name in ("bce", "ce"):
            if mentions(self.text, [name]):
                scope[name] = arithmetic.variable(name, 0.0)
        text, counts, shares = self.text, self.counts, self.shares
        if self.setting.task == "binary" and not mentions(text, ["samples"]):
            if not mentions(text, list(REDUCTIONS)) and mentions(text, CELLS):
                cells = _alone(raw[0], counts[0], self.setting)
                text = text if cells else _zeroed(text)
                scope |= dict(zip(CELLS, cells or raw[0], strict=True))
            # The second class is the first with what is positive and what is negative swapped.
            raw, counts, shares = [raw[0], raw[0][::-1]], [counts[0], counts[0][::-1]], [mpf(1)] * 2
        tables = _Tables(self.setting, raw, counts, shares, component)
        return walk(text, arithmetic, scope, tables.reduction)  # type: ignore[no-any-return]


def _settled(function: Callable[[Any], Dual], here: Any, paths: Sequence[Any]) -> Dual:
    """The function here; where it is 0/0, what it tends to along both paths, else NaN."""

    def checked(point: Any) -> Dual:
        found = function(point)
        numbers = [found.value, *found.slopes.values()]
        if any(mp.im(n) != 0 or mp.isinf(n) for n in numbers):
            raise ValueError("not a finite real number")
        return found

    try:
        return checked(here)
    except ZeroDivisionError:
        one, two = (checked(path) for path in paths)
        names = {**one.slopes, **two.slopes}
        slopes = {n: limit(one.slopes.get(n, 0), two.slopes.get(n, 0)) for n in names}
        return Dual(limit(one.value, two.value), slopes)


def _absent(table: Sequence[Any]) -> bool:
    return bool(table[0] + table[1] == 0 or table[2] + table[3] == 0)


def _added(cells: Sequence[Dual], amounts: Sequence[Any]) -> list[Dual]:
    return [cell + Dual(mpf(amount)) for cell, amount in zip(cells, amounts, strict=True)]


def _alone(raw: list[Dual], counts: Sequence[Any], setting: Setting) -> list[Dual] | None:
    """The cells that a table which stands alone is judged by; None where its value is 0."""
    smooth = [mpf(setting.smooth)] * 4
    if not _absent(counts):
        return _added(raw, smooth)
    if setting.absent == "skip":
        perfect = (counts[0] + counts[1] + 1, mpf(0), mpf(0), counts[2] + counts[3] + 1)
        return _added([Dual(count) for count in perfect], smooth)
    return None if setting.absent == "zero" else _added(_added(raw, (1, 0, 0, 1)), smooth)


def _live(absent: Sequence[bool], shares: Sequence[Any], policy: str) -> list[Any]:
    """Each table's share in an average: absent ones may leave it, if others stay."""
    shares = shares if any(shares) else [mpf(1)] * len(shares)
    if policy != "skip":
        return list(shares)
    kept = [mpf(0) if gone else share for gone, share in zip(absent, shares, strict=True)]
    return kept if any(kept) else list(shares)


@dataclass(frozen=True, slots=True)
class _Tables:
    """The reductions over tables; `counts` are those that say which are absent."""

    setting: Setting
    raw: list[list[Dual]]
    counts: list[list[Any]]
    shares: list[Any]
    component: int

    def reduction(self, name: str, evaluate: Callable[[Mapping[str, Any]], Any]) -> Dual:
        def on(cells: Sequence[Dual] | None) -> Dual:
            if cells is None:
                return Dual(mpf(0))
            paths = [[d * NUDGE for d in path] for path in PATHS]
            return _settled(
                lambda shift: evaluate(dict(zip(CELLS, _added(cells, shift), strict=True))),
                [mpf(0)] * 4,
                paths,
            )

        if name == "micro":
            rows = list(zip(self.raw, self.counts, self.shares, strict=True))
            raw = [_total([t[i] * Dual(c) for t, _, c in rows]) for i in range(4)]
            counts = [sum(t[i] * c for _, t, c in rows) for i in range(4)]
            return on(_alone(raw, counts, self.setting))
        if name == "sum" and self.setting.task != "multilabel":
            parts = zip(self._joint(), self.shares, strict=True)
            return _mean([on(cells if c else None) for cells, c in parts], self.shares, whole=False)
        absent = [_absent(table) for table in self.counts]
        shares = _live(absent, self.shares, self.setting.absent)
        if name == "per_class":
            return on(self._own(self.component, absent))
        numbers = [on(self._own(k, absent)) if c else Dual(mpf(0)) for k, c in enumerate(shares)]
        if name == "sum":
            return _mean(numbers, shares, whole=False)
        if name == "weighted":
            weights = [(t[0] + t[1]) * Dual(mpf(c)) for t, c in zip(self.raw, shares, strict=True)]
            if any((t[0] + t[1]) * c for t, c in zip(self.counts, shares, strict=True)):
                products = [w * n for w, n in zip(weights, numbers, strict=True)]
                return _total(products) / _total(weights)
        numbers = [n for n, c in zip(numbers, shares, strict=True) if c]
        shares = [c for c in shares if c]
        if name == "worst":
            return _smallest(numbers)
        if name == "geomean":
            return _geometric_mean(numbers, shares)
        return _mean(numbers, shares)  # macro, samples, and weighted without positives

    def _own(self, k: int, absent: Sequence[bool]) -> list[Dual] | None:
        """The cells of one table of several; None where its value is 0."""
        if absent[k] and self.setting.absent == "zero":
            return None
        right = 1 if absent[k] else 0
        return _added(_added(self.raw[k], (right, 0, 0, right)), [self.setting.smooth] * 4)

    def _joint(self) -> list[list[Dual] | None]:
        """The cells of every class as parts of one K x K table; None where the sums are 0."""
        live = [k for k, share in enumerate(self.shares) if share]
        others, s = len(live) - 1, mpf(self.setting.smooth)
        smooth = (s, s * others, s * others, s * others**2)
        if sum(self.counts[k][0] + self.counts[k][1] > 0 for k in live) > 1:
            return [_added(table, smooth) for table in self.raw]
        if self.setting.absent == "zero":
            return [None] * len(self.raw)
        if self.setting.absent == "diagonal":
            return [_added(_added(table, (1, 0, 0, others)), smooth) for table in self.raw]
        perfect = [(t[0] + t[1] + 1, 0, 0, t[2] + t[3] + others) for t in self.counts]
        return [_added([Dual(mpf(c)) for c in table], smooth) for table in perfect]


def _total(numbers: Sequence[Dual]) -> Dual:
    return reduce(add, numbers)


def _mean(numbers: Sequence[Dual], shares: Sequence[Any], whole: bool = True) -> Dual:
    """The mean by shares, or else the sum; a share of 0 takes no part, NaN or not."""
    parts = [Dual(mpf(0))]
    size = sum(shares) if whole else mpf(1)
    parts += [n * Dual(c / size) for n, c in zip(numbers, shares, strict=True) if c]
    return _total(parts)


def _smallest(numbers: Sequence[Dual]) -> Dual:
    """The smallest; numbers that tie share its slope equally."""
    least = min(n.value for n in numbers)
    tied = [n for n in numbers if n.value - least <= TIE * max(1, abs(least))]
    return _mean(tied, [mpf(1)] * len(tied))


def _geometric_mean(numbers: Sequence[Dual], shares: Sequence[Any]) -> Dual:
    """Where a number is 0 the mean is 0: it does not feel the others, and its slope in that
    number has no limit."""
    zero = [n for n in numbers if n.value == 0]
    if zero:
        names = [name for n in zero for name, slope in n.slopes.items() if slope != 0]
        return numbers[0] if len(numbers) == 1 else Dual(mpf(0), dict.fromkeys(names, mp.nan))
    on = DualArithmetic()
    return on.call("exp", [_mean([on.call("log", [n]) for n in numbers], shares)])


def _zeroed(text: syntax.Text) -> syntax.Text:
    """The text with 0 for its largest parts over cells that hold no element term."""
    zero = syntax.Number(Fraction(0))

    def part(node: syntax.Expression) -> syntax.Expression:
        if not mentions(text, TERMS, node):
            return zero if mentions(text, CELLS, node) else node
        if isinstance(node, syntax.Sum):
            signs = zip(node.operands, (False, *node.subtracts), strict=True)
            kept = [(o, s) for o, s in signs if mentions(text, TERMS, o)]
            plain = [o for o in node.operands if not mentions(text, TERMS, o)]
            if any(mentions(text, CELLS, o) for o in plain):
                operands = (zero, *(part(o) for o, _ in kept))
                return replace(node, operands=operands, subtracts=tuple(s for _, s in kept))
        return syntax.rebuilt(node, part)

    last = text.definitions[-1]
    return replace(text, definitions=(*text.definitions[:-1], replace(last, body=part(last.body))))


@dataclass(slots=True)
class _Element:
    """One input. `v` weighs in the counts, `u` in the element terms; `jump` is how much rounding
    of p moves the slope A'. `derivative`, `size` and `move` are of the loss in p."""

    n: int
    k: int
    m: int
    hot: Any
    y: Any
    v: Any
    u: Any
    p: Any
    q: Any
    a: Any
    b: Any
    slope: Any
    jump: Any
    derivative: Any = 0
    size: Any = 0
    move: Any = 0


def loss_and_gradient(
    text: syntax.Text,
    tensors: Tensors,
    parameters: Mapping[str, float],
    setting: Setting,
    rounding: float = 0,
) -> Loss:
    """The loss of a batch and its derivative in every input. Raises `ValueError` where the loss
    is no finite real number; a derivative without a limit is NaN."""
    with mp.workdps(DIGITS):
        split, apart = mentions(text, ["per_class"]), setting.per == "sample"
        elements = _elements(text, tensors, setting, rounding)
        size = range(len(tensors.input))
        groups = [
            _group(text, tensors, parameters, setting, elements, samples)
            for samples in ([[n] for n in size] if apart else [list(size)])
        ]
        losses = []
        for group, share in zip(
            groups, _portions([g.share for g in groups], setting.reduction), strict=True
        ):
            shares = [share * c for c in _portions(group.shares, setting.reduction)]
            found = group.metric.results() if share else [Dual(mpf(0))] * len(shares)
            found = found if setting.minimize else [Dual(mpf(1)) - f for f in found]
            losses.append([c * f.value if c else c for c, f in zip(shares, found, strict=True)])
            group.spread(_mean(found, shares, whole=False))
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

    metric: _Metric
    rows: list[list[_Element]]
    pool: list[Any]
    term: Callable[[float], tuple[Any, list[tuple[_Element, Any, Any]]]]
    share: Any
    shares: list[Any]

    def spread(self, loss: Dual) -> None:
        """Add the loss's derivatives to the elements'."""
        for index, row in enumerate(self.rows):
            plus, minus = weights_of(_cells(loss, index))
            for e in row:
                reach = e.v * self.pool[e.k]
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


def _times(factor: Any, number: Any) -> Any:
    return factor * number if factor else mpf(0)


def _portions(shares: Sequence[Any], reduction: str) -> list[Any]:
    """What multiplies each loss before they are added up."""
    whole = sum(shares) if reduction == "mean" else 1
    return [share / whole if whole else mpf(0) for share in shares]


def _group(
    text: syntax.Text,
    tensors: Tensors,
    parameters: Mapping[str, float],
    setting: Setting,
    elements: Sequence[_Element],
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
    counts = [_counts(row, pool) for row in rows]
    gone = [_absent(table) for table in counts]

    def term(gamma: float) -> tuple[Any, list[tuple[_Element, Any, Any]]]:
        return _term(own, setting.task == "multiclass", classes, tensors.indices, gamma)

    weights = importance if pooled else classes
    metric = _Metric(text, parameters, setting, counts, weights, lambda _, gamma: term(gamma)[0])
    share, shares = mpf(1), [mpf(1)]
    if setting.per == "sample":
        leaves = setting.task == "binary" and setting.absent == "skip" and gone[0]
        share = mpf(0) if leaves else importance[0]
    if mentions(text, ["per_class"]):
        shares = _live(gone, classes, setting.absent)
    return _Group(metric, rows, pool, term, share, shares)


def _counts(row: Sequence[_Element], pool: Sequence[Any]) -> list[Any]:
    cells = [mpf(0)] * 4
    for e in row:
        for i, part in enumerate((e.y * e.a, e.y * e.b, (1 - e.y) * e.a, (1 - e.y) * e.b)):
            cells[i] += pool[e.k] * e.v * part
    return cells


def _term(
    elements: Sequence[_Element], joint: bool, classes: Sequence[Any], indices: bool, gamma: float
) -> tuple[Any, list[tuple[_Element, Any, Any]]]:
    """Focal loss, which under gamma = 0 is cross-entropy, and for each element its derivative in
    p, the part of y and that of 1 - y. Multiclass (`joint`) has the first part alone."""
    total, size, g = mpf(0), mpf(0), mpf(gamma)
    slopes = []
    for e in elements:
        c = e.u * classes[e.k]
        if not joint:
            size += c
        elif indices or e.k == 0:
            size += c * e.hot if indices else e.u
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


def _elements(
    text: syntax.Text, tensors: Tensors, setting: Setting, rounding: float
) -> list[_Element]:
    """Every input, class after class within each place."""
    found = []
    joint, pooled = setting.task == "multiclass", mentions(text, ["samples"])
    for n, sample in enumerate(tensors.input):
        sample_weight = mpf(tensors.sample_weight[n]) if tensors.sample_weight else mpf(1)
        for m in range(len(sample[0])):
            z = [mpf(row[m]) for row in sample]
            pairs = _probabilities(z, joint, setting.from_probabilities)
            for k, (p, q) in enumerate(pairs):
                hot = mpf(tensors.target[n][k][m])
                smoothing = mpf(setting.label_smoothing)
                y = hot * (1 - smoothing) + smoothing / (len(z) if joint else 2)
                v = mpf(tensors.weight[n][k][m] if tensors.weight else 1)
                u = v if setting.per == "sample" else v * sample_weight
                a, b, slope = _label(p, q, setting)
                if setting.hard:
                    a = mpf(z.index(max(z)) == k if joint else p > q)
                    b = 1 - a
                jump = mpf(0)
                if rounding:
                    near = [p * (1 + d * mpf(rounding)) for d in (-1, 1)]
                    slopes = [slope, *(_label(x, 1 - x, setting)[2] for x in near)]
                    jump = max(slopes) - min(slopes)
                counted = v if pooled else u
                found.append(_Element(n, k, m, hot, y, counted, u, p, q, a, b, slope, jump))
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
    """A, 1 - A and A' of the surrogate; the mean of them over several thresholds."""
    arguments = dict(setting.arguments)
    thresholds = arguments.pop("thresholds", None)
    if thresholds is not None:
        each = [replace(setting, arguments={**arguments, "threshold": t}) for t in thresholds]
        columns = zip(*(_label(p, q, one) for one in each), strict=True)
        a, b, slope = (sum(column) / len(each) for column in columns)
        return a, b, slope
    if isinstance(setting.surrogate, str):
        return soft_label(p, q, setting.surrogate, arguments)
    scope = {name: Dual(mpf(value)) for name, value in arguments.items()}
    scope["p"] = Dual(p, {"p": mpf(1)})
    if mentions(setting.surrogate, ["z"]):
        scope["z"] = Dual(mp.log(p / q), {"p": 1 / (p * q)})
    found = walk(setting.surrogate, DualArithmetic(), scope)
    return found.value, 1 - found.value, found.slopes.get("p", mpf(0))


def _chained(
    elements: Sequence[_Element],
    setting: Setting,
    part: Callable[[_Element], Any],
    sign: int = 1,
) -> list[Any]:
    """Derivatives in p → derivatives in the inputs; under sign = 1 the sizes of their parts."""
    if setting.from_probabilities:
        return [part(e) for e in elements]
    if setting.task != "multiclass":
        return [part(e) * e.p * e.q for e in elements]
    places: dict[tuple[int, int], list[_Element]] = {}
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
