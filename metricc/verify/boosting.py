"""Gradient, Hessian and metric of an objective for boosting, as its file stands, against oracles.

Loss and gradient are `batches`' in mpmath; the Hessian is compared with what the header says, and
with the second derivatives of the loss while w_plus and w_minus stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
from mpmath import mp, mpf

from metricc import ir, syntax
from metricc.surrogates import Surrogate
from metricc.verify.batches import Tensors, loss_and_gradient
from metricc.verify.case import flat, usual_policy
from metricc.verify.oracle import DIGITS, logistic, soft_label
from metricc.verify.points import CLASSES, arguments, batch, lacking, parameter_sets, ugly, worse
from metricc.verify.tables import Setting, is_absent, values

ALLOWED = 1e-12  # of loss, metric, gradient and Hessian, in float64
DIFFERENCES_ALLOWED = 1e-6  # central differences of the loss in float64
STEP = 1e-5
UNIT = 2.0**-53
SMALLEST = mpf(2) ** -1000  # below it float64 holds no digits of a product
LARGEST = mpf(10) ** 27  # above it weights saturate
NEAR = mpf(10) ** -40  # what is added to counts to see whether the metric jumps there
FLOOR = mpf(10) ** -16  # of the Hessian


@dataclass(frozen=True)
class Case:
    """The generated file with one setting: parameters and surrogate arguments."""

    module: ModuleType
    text: syntax.Text
    parameters: Mapping[str, float]
    setting: Setting

    @property
    def joint(self) -> bool:
        return self.setting.task == "multiclass"

    @property
    def given(self) -> dict[str, Any]:
        return {**self.parameters, **self.setting.arguments}

    @property
    def cut(self) -> Any:
        """The probability from which the answer is positive."""
        return mpf(self.setting.arguments.get("threshold", 0.5))

    def call(self, name: str, data: Tensors) -> Any:
        """A function of the file on a batch."""
        return getattr(self.module, name)(*self.arrays(data), **self.given)

    def arrays(self, data: Tensors) -> tuple[Any, Any, Any]:
        """Labels, raw scores and weights as the file takes them."""
        z, y = (np.array(x, dtype=np.float64)[:, :, 0] for x in (data.input, data.target))
        v = None if data.weight is None else np.array(data.weight)[:, 0, 0]
        return (y.argmax(1), z, v) if self.joint else (y[:, 0], z[:, 0], v)


def checks(
    module: ModuleType, plan: ir.Plan, options: ir.Options, surrogate: Surrogate
) -> list[ir.Check]:
    """Every check of the objective, each with what it measured."""
    text = plan.metric.text
    base = Setting(
        task=options.task,
        minimize=options.goal == "minimize",
        surrogate=surrogate.name,
        centre=surrogate.centre,
        absent=usual_policy(options.task, text),
    )
    cases = [
        Case(module, text, parameters, replace(base, arguments=given))
        for parameters, given in product(parameter_sets(plan.metric), arguments(surrogate))
    ]
    named: list[tuple[str, Callable[[], ir.Check]]] = [
        ("objective() against mpmath", lambda: _gradients(cases)),
        ("Hessian", lambda: _hessians(cases)),
        ("differences of loss()", lambda: _differences(cases[0])),
        ("metric() by hand", lambda: _metrics(cases)),
        ("weight 2 = row twice", lambda: _repeated(cases[0])),
        ("initial_score() and decide()", lambda: _decisions(cases)),
        ("calls of LightGBM and XGBoost", lambda: _conventions(cases, options)),
        ("finite on ugly batches", lambda: _finite(cases)),
        ("wrong input", lambda: _refused(cases[0])),
    ]
    found = []
    for name, check in named:
        try:
            found.append(check())
        except Exception as error:  # the code under test may be anything
            told = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
            found.append(ir.Check(name, told, "runs", False))
    return found


def _batches(case: Case) -> Iterator[Tensors]:
    """Batches of small and large scores, with weights, and without positives or negatives."""
    task, c = case.setting.task, CLASSES if case.joint else 1
    for spread, seed in ((1.5, 1), (8.0, 2), (0.1, 3)):
        yield batch(task, (30, c, 1), spread, seed, False, seed == 2, soft=not case.joint)
    data = batch(task, (12, c, 1), 1.5, 4, False, soft=False)
    for every in (False, True):
        yield lacking(task, data, every)
    yield batch(task, (8, c, 1), 30.0, 5, False, soft=False)


def _all_batches(case: Case) -> Iterator[Tensors]:
    """Also those whose counts float64 does not hold, and the scores before the first tree."""
    yield from _batches(case)
    yield from ugly(case.setting.task, False, False).values()
    first = next(_batches(case))
    yield replace(first, input=[[[0.0] for _ in row] for row in first.input])


def _gradients(cases: list[Case]) -> ir.Check:
    losses, slopes, elements = mpf(0), mpf(0), 0
    for case in cases:
        for data in _batches(case):
            try:
                exact = loss_and_gradient(case.text, data, case.parameters, case.setting, unit=UNIT)
            except (ValueError, ZeroDivisionError):
                continue  # the loss is no finite number here
            grad, _ = case.call("objective", data)
            with mp.workdps(DIGITS):
                size = max(abs(exact.value), abs(1 - exact.value), mpf(10) ** -3)
                loss = case.call("loss", data)
                losses = worse(losses, abs(mpf(loss) - exact.value) / size)
                n = _total(data)
                rows = zip(
                    np.asarray(grad).reshape(-1).tolist(),
                    *map(flat, (exact.gradient, exact.sizes, exact.moves)),
                    strict=True,
                )
                for got, wanted, scale, move in rows:
                    if SMALLEST <= n * scale <= LARGEST and not mp.isnan(wanted):
                        error = max(abs(mpf(got) - n * wanted) - n * move, mpf(0))
                        slopes, elements = worse(slopes, error / (n * scale)), elements + 1
    measured = f"{float(losses):.1e} loss, {float(slopes):.1e} gradient"
    passed = bool(losses <= ALLOWED and slopes <= ALLOWED) and elements > 0
    return ir.Check(f"objective() against mpmath, {elements} elements", measured, "1e-12", passed)


def _total(data: Tensors) -> Any:
    """n: the sum of the rows' weights."""
    if data.weight is None:
        return mpf(len(data.input))
    return sum((mpf(row[0][0]) for row in data.weight), mpf(0))


def _hessians(cases: list[Case]) -> ir.Check:
    """The Hessian as the header states it; not below the second derivatives at fixed weights."""
    off, short, elements = mpf(0), 0, 0
    for case in cases:
        for data in _batches(case):
            _, hess = case.call("objective", data)
            try:
                stated = _stated(case, data)
            except (ValueError, ZeroDivisionError):
                continue
            got = np.asarray(hess).reshape(len(data.input), -1).tolist()
            for row, wanted in zip(got, stated, strict=True):
                for h, (exact, curve, allowed) in zip(row, wanted, strict=True):
                    if mp.isnan(exact) or exact > LARGEST:
                        continue
                    elements += 1
                    exact = max(exact, FLOOR)
                    off = worse(off, max(abs(mpf(h) - exact) - allowed, mpf(0)) / exact)
                    short += bool(mpf(h) < abs(curve) * (1 - mpf(ALLOWED)) - allowed)
    measured = f"{float(off):.1e}; {short} below the curvature"
    passed = bool(off <= ALLOWED) and not short and elements > 0
    return ir.Check(f"Hessian, {elements} elements", measured, "1e-12; 0", passed)


def _stated(case: Case, data: Tensors) -> list[list[tuple[Any, Any, Any]]]:
    """For every row and class: the Hessian that the header states, the second derivative of n
    times the loss while the weights stand still, and what rounding of the counts moves."""
    task = case.setting.task
    with mp.workdps(DIGITS):
        rows = [_soft_row(case, row) for row in data.input]
        tables = _counted(data, [[(a, b) for _, _, a, b, *_ in row] for row in rows])
        near = [[x * (1 + 9 * mpf(UNIT) * (i % 3 - 1)) for i, x in enumerate(t)] for t in tables]
        n, given = _total(data), _means(data, rows)
        found = [
            values(case.text, t, case.parameters, task, case.setting.absent, elements=given)
            for t in (tables, near)
        ]
        weights = [each.weights for each in found]
        steep = sum(found[0].terms.values(), mpf(0))
        stated = []
        for i, row in enumerate(rows):
            v = n * mpf(1 if data.weight is None else data.weight[i][0][0])
            y = [mpf(labels[0]) for labels in data.target[i]]
            sides, moved = (
                [v * (t * plus - (1 - t) * minus) for t, (plus, minus) in zip(y, w, strict=True)]
                for w in weights
            )
            slack = max(abs(a - b) for a, b in zip(sides, moved, strict=True))
            pairs = zip(y, weights[0], strict=True)  # soft labels may cancel
            parts = [v * (abs(t * plus) + abs((1 - t) * minus)) for t, (plus, minus) in pairs]
            slack += 8 * mpf(UNIT) * max(parts)
            pull = v / n * steep if n else mpf(0)
            stated.append(_of_row(case, row, sides, slack, pull))
        return stated


def _means(data: Tensors, rows: list[list[tuple[Any, ...]]]) -> dict[tuple[str, float], Any]:
    """The mean cross-entropy over rows, under the names that element losses have."""
    total, n = mpf(0), _total(data)
    for i, row in enumerate(rows):
        v = mpf(1 if data.weight is None else data.weight[i][0][0])
        for (p, q, *_), (y,) in zip(row, data.target[i], strict=True):
            parts = [(mpf(y), p), (mpf(1 - y) if len(row) == 1 else mpf(0), q)]
            total -= v * sum((label * mp.log(x) for label, x in parts if label), mpf(0))
    return {(name, 0.0): total / n if n else mpf(0) for name in ("bce", "ce")}


def _of_row(
    case: Case, row: list[tuple[Any, ...]], sides: list[Any], slack: Any, pull: Any
) -> list[tuple[Any, Any, Any]]:
    """`pull` is n times the row's part in an element loss, which curves by p (1 - p)."""
    if not case.joint:
        ((p, q, _, _, curve, bound),) = row
        (side,) = sides
        stated = (abs(side) * bound + abs(pull)) * p * q
        return [(stated, pull * p * q - side * curve, 2 * slack * bound * p * q)]
    reach = max(sides) - min(sides)
    mean = sum((p * g for (p, *_), g in zip(row, sides, strict=True)), mpf(0))
    return [
        (
            2 * p * q * (reach + abs(pull)),
            2 * (p * (g - mean) * (q - p) + abs(pull) * p * q),
            8 * slack * p * q,
        )
        for (p, q, *_), g in zip(row, sides, strict=True)
    ]


def _soft_row(case: Case, row: Any) -> list[tuple[Any, ...]]:
    """p, 1 - p, A, 1 - A, the second derivative of A in z, and its bound over p (1 - p)."""
    z = [mpf(x[0]) for x in row]
    if case.joint:
        powers = [mp.exp(x - max(z)) for x in z]
        total = sum(powers, mpf(0))
        pairs = [(x / total, (total - x) / total) for x in powers]
        return [(p, q, p, q) for p, q in pairs]
    L = case.setting.arguments.get("L")
    bound = mpf(1) if L is None else mpf(L) / 4 + mpf(L) ** 2 / (24 * mp.sqrt(3))

    def slope(x: Any) -> tuple[Any, ...]:
        p, q = logistic(x)[:2]
        a, b, rise = soft_label(p, q, str(case.setting.surrogate), case.setting.arguments)
        return p, q, a, b, rise * p * q

    p, q, a, b, here = slope(z[0])
    step = mpf(10) ** -25
    return [(p, q, a, b, (slope(z[0] + step)[4] - here) / step, bound)]


def _counted(data: Tensors, labels: list[list[tuple[Any, Any]]]) -> list[list[Any]]:
    """TP, FN, FP, TN of every class, from labels (a, 1 - a)."""
    tables = [[mpf(0)] * 4 for _ in labels[0]]
    for i, row in enumerate(labels):
        v = mpf(1 if data.weight is None else data.weight[i][0][0])
        for k, (a, b) in enumerate(row):
            y = mpf(data.target[i][k][0])
            for cell, part in enumerate((y * a, y * b, (1 - y) * a, (1 - y) * b)):
                tables[k][cell] += v * part
    return tables


def _differences(case: Case) -> ir.Check:
    """Central differences of the file's own loss, times n."""
    data = next(_batches(case))
    y, z, v = case.arrays(data)
    grad, _ = case.module.objective(y, z, v, **case.given)
    n = float(_total(data))
    error, largest = 0.0, float(np.abs(grad).max())
    for place in np.ndindex(*z.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = z.copy()
            moved[place] += step
            ends.append(case.module.loss(y, moved, v, **case.given))
        slope = n * (ends[0] - ends[1]) / (2 * STEP)
        error = worse(error, abs(slope - float(grad[place])) / largest)
    passed = error <= DIFFERENCES_ALLOWED and largest > 0
    return ir.Check("differences of loss()", f"{error:.1e}", "1e-06", passed)


def _metrics(cases: list[Case]) -> ir.Check:
    """The metric at counts of decisions that are made and counted one by one."""
    error, batches = mpf(0), 0
    for case in cases:
        for data in _all_batches(case):
            got = case.call("metric", data)
            tables = _counted(data, [_decided(case, row) for row in data.input])
            if any(map(is_absent, tables)):
                continue  # 0/0, which formulas settle each in its way
            with mp.workdps(DIGITS):
                given = _means(data, [_soft_row(case, row) for row in data.input])
                near = [[x + NEAR * 7**i for i, x in enumerate(t)] for t in tables]
            task = case.setting.task
            try:
                (wanted,), (beside,) = (
                    values(case.text, t, case.parameters, task, None, elements=given).values
                    for t in (tables, near)
                )
            except (ValueError, ZeroDivisionError):
                continue  # the metric has no value there
            with mp.workdps(DIGITS):
                if abs(wanted - beside) < ALLOWED and abs(wanted) < LARGEST:  # it does not jump
                    error = worse(error, abs(mpf(got) - wanted) / max(abs(wanted), mpf(1)))
                    batches += 1
    passed = bool(error <= ALLOWED) and batches > 0
    return ir.Check(f"metric() by hand, {batches} batches", f"{float(error):.1e}", "1e-12", passed)


def _decided(case: Case, row: Any) -> list[tuple[int, int]]:
    z = [float(x[0]) for x in row]
    hits = [z.index(max(z)) == k for k in range(len(z))]
    if not case.joint:
        hits = [bool(logistic(mpf(z[0]))[0] > case.cut)]
    return [(int(hit), int(not hit)) for hit in hits]


def _repeated(case: Case) -> ir.Check:
    """A row of weight 2 against the same row twice."""
    data = next(_batches(case))
    y, z, _ = case.arrays(data)
    twice = 1.0 + np.arange(len(y)) % 2
    index = np.repeat(np.arange(len(y)), twice.astype(int))
    one = case.module.objective(y, z, twice, **case.given)
    two = case.module.objective(y[index], z[index], None, **case.given)
    error = 0.0
    for weighed, single in zip(one, two, strict=True):
        each = twice if weighed.ndim == 1 else twice[:, None]
        wanted = each * single[np.unique(index, return_index=True)[1]]
        error = worse(error, float(np.abs(weighed - wanted).max() / np.abs(wanted).max()))
    return ir.Check("weight 2 = row twice", f"{error:.1e}", "1e-12", error <= ALLOWED)


def _decisions(cases: list[Case]) -> ir.Check:
    """The starting score is where A is 1/2; decisions are those of the metric."""
    wrong = 0
    for case in cases:
        soft = {n: x for n, x in case.setting.arguments.items() if n == "threshold"}
        for data in _all_batches(case):
            y, z, v = case.arrays(data)
            decided = [_decided(case, row) for row in data.input]
            wanted = [[a for a, _ in row].index(1) if case.joint else row[0][0] for row in decided]
            wrong += int((case.module.decide(z, **soft) != np.array(wanted)).sum())
            start = case.module.initial_score(y, v, **soft)
            if case.joint:
                wrong += int(np.shape(start) != (y.max() + 1,) or np.any(start))
            else:
                wrong += bool(abs(logistic(mpf(start))[0] - case.cut) > ALLOWED)
    return ir.Check("initial_score() and decide()", f"{wrong} wrong", "0 wrong", not wrong)


@dataclass(frozen=True)
class _Data:
    """A library's data set, as far as objectives look at it."""

    y: Any
    v: Any

    def get_label(self) -> Any:
        return self.y

    def get_weight(self) -> Any:
        return self.v


def _conventions(cases: list[Case], options: ir.Options) -> ir.Check:
    """The class against the functions, called as estimators and as `train` call it."""
    wrong, calls = [], 0
    maximized = options.goal == "maximize"
    name = f"1-{options.name}" if maximized else options.name
    for case in cases:
        adapter = getattr(case.module, f"{options.pascal}Objective")(**case.given)
        data = list(_batches(case))[1]
        y, z, v = case.arrays(data)
        for weight, empty in ((v, None), (None, None), (None, np.empty(0))):
            held = _Data(y, weight if weight is not None else empty)
            wanted = case.module.objective(y, z, weight, **case.given)
            score = case.module.metric(y, z, weight, **case.given)
            cost = 1 - score if maximized else score
            pairs = {
                "estimators": (adapter(y, z, weight), wanted),
                "estimators by keyword": (adapter(y, z, sample_weight=weight), wanted),
                "train": (adapter(z, held), wanted),
                "LightGBM's metric": (
                    (adapter.lightgbm_metric(y, z, weight), adapter.lightgbm_metric(z, held)),
                    ((options.name, score, maximized),) * 2,
                ),
                "XGBoost's metric": (
                    (
                        adapter.xgboost_metric(y, z, sample_weight=weight),
                        *adapter.xgboost_metric(z, held),
                    ),
                    (cost, name, cost),
                ),
            }
            for kind, (got, right) in pairs.items():
                calls += 1
                same = all(np.array_equal(a, b) for a, b in zip(got, right, strict=True))
                wrong += [] if same else [kind]
    measured = f"{len(wrong)} differ" + (f": {wrong[0]}" if wrong else "")
    return ir.Check(f"{calls} calls of LightGBM and XGBoost", measured, "0 differ", not wrong)


def _finite(cases: list[Case]) -> ir.Check:
    failed, batches = 0, 0
    for case in cases:
        for data in _all_batches(case):
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                grad, hess = case.call("objective", data)
                numbers = [grad, hess, case.call("loss", data), case.call("metric", data)]
            shape = case.arrays(data)[1].shape
            sound = np.shape(grad) == np.shape(hess) == shape and bool((hess > 0).all())
            failed += not (sound and all(np.isfinite(x).all() for x in numbers))
            batches += 1
    measured = f"{failed} not"
    return ir.Check(f"finite on {batches} batches, ugly ones too", measured, "0 not", not failed)


def _refused(case: Case) -> ir.Check:
    """What is no batch raises `ValueError`."""
    y, z, _ = case.arrays(next(_batches(case)))
    v, bad = np.ones(len(y)), 0
    wrong = (
        (y[:-1], z, None),
        (y, z, v[:-1]),
        (y - 5, z, None),
        (np.where(np.arange(len(y)) == 1, np.nan, y), z, None),
        (y, np.where(z == z.max(), np.nan, z), None),
        (y, z, -v),
        (y, z, v * np.inf),
    )
    for name, given in product(("objective", "metric", "loss"), wrong):
        try:
            getattr(case.module, name)(*given, **case.given)
        except ValueError:
            continue
        bad += 1
    return ir.Check("wrong input", f"{bad} taken", "ValueError", not bad)
