"""The file's functions of several tables, `value`, `gradient` and `weights`, against the oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.verify.oracle import DIGITS
from metricc.verify.points import Table, parameter_sets, tables
from metricc.verify.tables import Values, is_absent, values
from metricc.verify.worst import Far, Worst

NEAR = mpf(10) ** -40  # how far a count is moved to see the condition
POLICIES = (None, "diagonal", "skip", "zero")
SHARES = (2.0, 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class Totals:
    """One call of the three functions, and what the metric is there and beside."""

    tables: list[Table]
    extreme: bool
    arguments: dict[str, Any]
    terms: tuple[tuple[str, float], ...]
    elements: tuple[float, ...]
    exact: Values
    beside: Values


def prepared(plan: ir.Plan) -> list[Totals]:
    """The calls: tables of several classes (or samples) under all policies."""
    metric, found = plan.metric, []
    share = "sample_weight" if metric.by_sample else "class_weight"
    joint = metric.task == "multiclass" and not metric.by_sample
    sets = parameter_sets(metric)
    for index, (several, extreme) in enumerate(tables(joint)):
        parameters = sets[index % len(sets)]
        terms = tuple(
            (
                str(t.expression.func),
                float(a[0].subs(parameters)) if (a := t.expression.args) else 0.0,
            )
            for t in metric.elements
        )
        elements = tuple((1 + 7 * index % 5 + i) / 4 for i in range(len(terms)))
        if len(set(terms)) < len(terms):
            continue
        policies = POLICIES if any(map(is_absent, several)) else (POLICIES[index % 4],)
        for step, absent in enumerate(policies):
            smooth = 0.5 * ((index + step) % 5 == 2)
            chosen = (index + step) % 3 == 1 and not plan.margins
            shares = SHARES[: len(several)] if chosen else None

            given = (parameters, metric.task, absent, smooth, shares)
            known = dict(zip(terms, elements, strict=True))
            try:
                exact = values(metric.text, several, *given, known)
                joins = NEAR if plan.outer is not None else 0
                beside = values(metric.text, _moved(several), *given, known, joins)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue  # the metric has no value here
            options: dict[str, Any] = {**parameters, "absent": absent, "smooth": smooth}
            if not plan.margins:
                options[share] = shares
            found.append(Totals(several, extreme, options, terms, elements, exact, beside))
    return found


def _moved(several: Sequence[Table]) -> list[list[Any]]:
    """Each count moved by its own share of `NEAR`."""
    with mp.workdps(DIGITS):
        return [
            [mpf(x) * (1 + NEAR * ((7 * k + 3 * i) % 11 - 5)) for i, x in enumerate(table)]
            for k, table in enumerate(several)
        ]


def judged(
    code: Callable[..., Any],
    fresh: Callable[..., Any] | None,
    name: str,
    plan: ir.Plan,
    calls: Sequence[Totals],
) -> tuple[Worst, Far]:
    """The errors on ordinary tables and on extreme ones; `fresh` is the code generated now.

    Raises what the code raises, and `ValueError` where it returns other things than it should.
    """
    ordinary, far = Worst(), Far()
    for index, call in enumerate(calls):
        found = _error(name, _called(code, call, stacked=index % 2 == 1), call, plan)
        (far.within if call.extreme else ordinary).points += 1
        where = partial(str, found.where)
        if call.extreme:
            far.take(found.error, where, partial(_own, fresh, name, call, plan))
        else:
            ordinary.take(found.error, where)
    return ordinary, far


def _own(fresh: Callable[..., Any] | None, name: str, call: Totals, plan: ir.Plan) -> Any:
    """The error of the code that is generated now, NaN where it has no result."""
    if fresh is None:
        return mpf(0)
    try:
        return _error(name, _called(fresh, call, stacked=False), call, plan).error
    except (ZeroDivisionError, ValueError, OverflowError):
        return mp.nan


def _called(code: Callable[..., Any], call: Totals, stacked: bool) -> list[Any]:
    """The results; `stacked` puts another batch beside the one that is looked at."""
    import torch

    counts = torch.tensor(call.tables, dtype=torch.float64)
    if stacked:
        counts = torch.stack([counts, counts.flip(0) + 1])
    options = {
        n: torch.tensor(x, dtype=torch.float64) if isinstance(x, tuple) else x
        for n, x in call.arguments.items()
    }
    results = code(*counts.unbind(-1), *call.elements, **options)
    results = results if isinstance(results, tuple) else (results,)
    results = [torch.as_tensor(r, dtype=torch.float64) for r in results]
    several = [r.dim() > 0 and len(r) == 2 and stacked for r in results]
    return [r[0] if two else r for r, two in zip(results, several, strict=True)]


def _error(name: str, results: list[Any], call: Totals, plan: ir.Plan) -> Worst:
    """The largest relative error of one function's results."""
    shapes, wanted, others, scales, labels = [], [], [], [], list[str]()
    exact, beside, size = call.exact, call.beside, range(len(call.tables))
    cancels = len(plan.programs) > 1 or plan.outer is not None
    weighted = any(t.reduction == "weighted" for t in plan.metric.tables)
    cancels = cancels or weighted
    cancels = cancels or any(form.cancels for form in plan.forms.values())
    if name == "value":
        each = len(exact.values) > 1
        shapes, labels = [len(exact.values)] if each else [0], [name]
        reach = sum(_reach(s, t) for s, t in zip(exact.slopes, call.tables, strict=True))
        wanted, others = [exact.values], [beside.values]
        scales = [[max(abs(v) + reach, mpf(10) ** -3) for v in exact.values]]
    else:
        rows = exact.slopes if name == "gradient" else exact.weights
        near = beside.slopes if name == "gradient" else beside.weights
        if plan.outer is not None and any(mp.isnan(x) for row in exact.slopes for x in row):
            return Worst()  # what joins the terms has no slope here
        columns = range(len(rows[0]))
        cells = [f"M_{cell}" for cell in plan.metric.cells]
        names = cells if name == "gradient" else [*ir.weights_of(plan.metric)]
        for column in columns:
            shapes.append(len(size))
            labels.append(names[column])
            # Where a class is weighed by its positives and has none, the metric jumps.
            jumps = [
                weighted and name == "gradient" and column < 2 and t[0] + t[1] == 0
                for t in call.tables
            ]
            wanted.append([mp.nan if jumps[k] else rows[k][column] for k in size])
            others.append([row[column] for row in near])
            allowed = [
                _scale(exact.slopes[k], call.tables[k], rows[k][column], cancels) for k in size
            ]
            for k, i in product(size, columns if cancels else ()):
                change = abs(near[k][i] - rows[k][i]) / NEAR  # of what is subtracted
                allowed[k] = allowed[k] if mp.isnan(change) else max(allowed[k], change)
            scales.append(allowed)
        for key in call.terms:
            shapes.append(0)
            labels.append(f"M_{key[0]}")
            wanted.append([exact.terms.get(key, mpf(0)) / len(exact.values)])
            others.append([beside.terms.get(key, mpf(0)) / len(exact.values)])
            scales.append([max(abs(wanted[-1][0]), mpf(10) ** -3)])
    if len(results) != len(wanted):
        raise ValueError(f"{len(results)} results, not {len(wanted)}")
    worst = Worst()
    for result, shape, label, right, other, scale in zip(
        results, shapes, labels, wanted, others, scales, strict=True
    ):
        numbers = result.reshape(-1).tolist()
        if shape == 0:
            if len(set(numbers)) > 1:
                raise ValueError("more than one number")
            numbers = numbers[:1]
        if len(numbers) == 1 < len(right):
            numbers = numbers * len(right)  # the same for each class
        for k, (got, number, beyond, allowed) in enumerate(
            zip(numbers, right, other, scale, strict=True)
        ):
            if mp.isnan(number) or abs(number) > 1e27:
                continue  # no limit here, or it saturates by policy
            condition = abs(beyond - number) / NEAR
            allowed = allowed if mp.isnan(condition) else max(allowed, condition)
            where = partial(_where, label, call, k if shape else None)
            worst.take(abs(mpf(got) - number) / allowed, where)
    return worst


def _where(label: str, call: Totals, k: int | None) -> str:
    """An output, of table `k` or of all, and the tables."""
    several = "), (".join(", ".join(f"{x:.6g}" for x in table) for table in call.tables)
    which = "" if k is None else f" of table {k + 1}"
    return f"{label}{which} at (TP, FN, FP, TN) = ({several})"


def _reach(slopes: Sequence[Any], table: Table) -> Any:
    known = zip(table, slopes, strict=True)
    return sum((abs(mpf(c) * s) for c, s in known if not mp.isnan(s)), mpf(0))


def _scale(slopes: Sequence[Any], table: Table, exact: Any, cancels: bool) -> Any:
    """What an error of a slope in one table is judged by."""
    steepest = max((abs(s) for s in slopes if not mp.isnan(s)), default=mpf(1))
    if steepest < mpf(10) ** -60:
        return 1 / max(mpf(sum(table)), mpf(1))  # every slope is 0 here: their usual size
    if mp.isnan(exact) or cancels or abs(exact) < steepest * mpf(10) ** -60:
        return steepest
    return abs(exact)
