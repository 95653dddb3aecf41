"""Gradient, Hessian and metric of an objective for boosting, as its file stands, against oracles.

Loss and gradient are `batches`' in mpmath; the Hessian is compared with what the header says, and
with the second derivatives of the loss while w_plus and w_minus stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
from mpmath import mp, mpf

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.attempt import attempt
from metricc.verify.batches import Element, Tensors, loss_and_gradient
from metricc.verify.boosting_calls import (
    conventions,
    decisions,
    finite,
    refused,
    repeated,
    signatures,
)
from metricc.verify.boosting_case import Case, all_batches, batches, means, tables, total
from metricc.verify.case import flat, usual_policy
from metricc.verify.oracle import DIGITS
from metricc.verify.points import arguments, parameter_sets, worse
from metricc.verify.tables import Setting, is_absent, values

ALLOWED = 1e-12  # of loss, metric, gradient and Hessian, in float64
DIFFERENCES_ALLOWED = 1e-6  # central differences of the loss in float64
STEP = 1e-5
UNIT = 2.0**-53
SMALLEST = mpf(2) ** -1000  # below it float64 holds no digits of a product
LARGEST = mpf(10) ** 27  # above it weights saturate
NEAR = mpf(10) ** -40  # what is added to counts to see whether the metric jumps there
FLOOR = mpf(10) ** -16  # of the Hessian


def checks(
    module: ModuleType, plan: ir.Plan, options: ir.Options, surrogate: Surrogate
) -> Iterator[ir.Check]:
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
        ("defaults", lambda: signatures(module, plan, options, surrogate)),
        ("objective() against mpmath", lambda: _gradients(cases)),
        ("Hessian", lambda: _hessians(cases)),
        ("differences of loss()", lambda: _differences(cases[0])),
        ("metric() by hand", lambda: _metrics(cases)),
        ("weight 2 = row twice", lambda: repeated(cases[0])),
        ("initial_score() and decide()", lambda: decisions(cases)),
        ("LightGBM's and XGBoost's calling conventions", lambda: conventions(cases, options)),
        ("finite on ugly batches", lambda: finite(cases)),
        ("wrong input", lambda: refused(cases[0], plan, surrogate, options.pascal)),
    ]
    for name, check in named:
        yield from attempt(name, check)


def _gradients(cases: list[Case]) -> ir.Check:
    losses, slopes, elements = mpf(0), mpf(0), 0
    for case in cases:
        for data in batches(case):
            try:
                exact = loss_and_gradient(case.text, data, case.parameters, case.setting, unit=UNIT)
            except (ValueError, ZeroDivisionError):
                continue  # the loss is no finite number here
            grad, _ = case.call("objective", data)
            with mp.workdps(DIGITS):
                if not mp.isnan(exact.value):  # there is a limit
                    size = max(abs(exact.value), abs(1 - exact.value), mpf(10) ** -3)
                    loss = case.call("loss", data)
                    losses = worse(losses, abs(mpf(loss) - exact.value) / size)
                n = total(data)
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


def _hessians(cases: list[Case]) -> ir.Check:
    """The Hessian as the header states it; not below the second derivatives at fixed weights."""
    off, short, elements = mpf(0), 0, 0
    for case in cases:
        for data in batches(case):
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
        elements = case.elements(data)
        rows = [[e for e in elements if e.n == i] for i, _ in enumerate(data.input)]
        exact = tables(elements)
        near = [[x * (1 + 9 * mpf(UNIT) * (i % 3 - 1)) for i, x in enumerate(t)] for t in exact]
        n, given = total(data), means(case, elements)
        found = [
            values(case.text, t, case.parameters, task, case.setting.absent, elements=given)
            for t in (exact, near)
        ]
        weights = [each.weights for each in found]
        steep = sum(found[0].terms.values(), mpf(0))
        stated = []
        curves = _curves(case, data)
        for i, row in enumerate(rows):
            v, y = n * row[0].v, [e.y for e in row]
            sides, moved = (
                [v * (t * plus - (1 - t) * minus) for t, (plus, minus) in zip(y, w, strict=True)]
                for w in weights
            )
            slack = max(abs(a - b) for a, b in zip(sides, moved, strict=True))
            pairs = zip(y, weights[0], strict=True)  # soft labels may cancel
            parts = [v * (abs(t * plus) + abs((1 - t) * minus)) for t, (plus, minus) in pairs]
            slack += 8 * mpf(UNIT) * max(parts)
            pull = v / n * steep if n else mpf(0)
            stated.append(_of_row(case, row, curves[i], sides, slack, pull))
        return stated


def _curves(case: Case, data: Tensors) -> list[Any]:
    """The second derivative of A in z of every row of a binary batch; none with classes."""
    if case.joint:
        return [None] * len(data.input)
    step = mpf(10) ** -25
    moved = replace(data, input=[[[mpf(x) + step for x in z] for z in row] for row in data.input])
    slopes = [[e.slope * e.p * e.q for e in case.elements(part)] for part in (data, moved)]
    return [(beyond - here) / step for here, beyond in zip(*slopes, strict=True)]


def _of_row(
    case: Case, row: list[Element], curve: Any, sides: list[Any], slack: Any, pull: Any
) -> list[tuple[Any, Any, Any]]:
    """`pull` is n times the row's part in an element loss, which curves by p (1 - p)."""
    if not case.joint:
        (e,), (side,) = row, sides
        L = case.setting.arguments.get("L")
        bound = mpf(1) if L is None else mpf(L) / 4 + mpf(L) ** 2 / (24 * mp.sqrt(3))
        slope = e.p * e.q
        stated = (abs(side) * bound + abs(pull)) * slope
        return [(stated, pull * slope - side * curve, 2 * slack * bound * slope)]
    reach = max(sides) - min(sides)
    mean = sum((e.p * g for e, g in zip(row, sides, strict=True)), mpf(0))
    return [
        (
            2 * e.p * e.q * (reach + abs(pull)),
            2 * (e.p * (g - mean) * (e.q - e.p) + abs(pull) * e.p * e.q),
            8 * slack * e.p * e.q,
        )
        for e, g in zip(row, sides, strict=True)
    ]


def _differences(case: Case) -> ir.Check:
    """Central differences of the file's own loss, times n."""
    data = next(batches(case))
    y, z, v = case.arrays(data)
    grad, _ = case.module.objective(y, z, v, **case.given)
    n = float(total(data))
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
        for data in all_batches(case):
            got = case.call("metric", data)
            with mp.workdps(DIGITS):
                decided = tables(case.decided(data))
                if any(map(is_absent, decided)):
                    continue  # 0/0, which formulas settle each in its way
                given = means(case, case.elements(data))
                near = [[x + NEAR * 7**i for i, x in enumerate(t)] for t in decided]
            task = case.setting.task
            try:
                (wanted,), (beside,) = (
                    values(case.text, t, case.parameters, task, None, elements=given).values
                    for t in (decided, near)
                )
            except (ValueError, ZeroDivisionError):
                continue  # the metric has no value there
            with mp.workdps(DIGITS):
                if abs(wanted - beside) < ALLOWED and abs(wanted) < LARGEST:  # it does not jump
                    error = worse(error, abs(mpf(got) - wanted) / max(abs(wanted), mpf(1)))
                    batches += 1
    passed = bool(error <= ALLOWED) and batches > 0
    return ir.Check(f"metric() by hand, {batches} batches", f"{float(error):.1e}", "1e-12", passed)
