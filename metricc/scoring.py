"""The hard metric, on counts and on labels, from a program's own code. No torch, no SymPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc import interpret, ir, labels, syntax
from metricc.errors import MetriccError, fail
from metricc.functions import CELLS, cells_of
from metricc.reductions import Reducer, alone, of_level

Array = NDArray[np.float64]
_LOSS = syntax.Interval(Fraction(0), None, low_open=False)  # the range of an element loss
ABSENT = ("diagonal", "skip", "zero")


@dataclass(frozen=True)
class Rules:
    """What is decided beside the counts: the keywords that `value` and `score` share."""

    zero_division: Any = 0
    absent: Any = None
    smooth: Any = 0.0
    class_weight: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Judge:
    """The rules of one metric, checked: numbers and policies that a table is judged by."""

    settled: float | None  # None: what is undefined stays undefined, and is an error
    absent: str | None
    smooth: float
    class_weight: Array | None
    params: Mapping[str, Array]


def value(plan: ir.Plan, cells: tuple[Any, ...], rules: Rules) -> Any:
    """The metric on (TP, FN, FP, TN): floats give a float, arrays a float64 array.

    The counts of columns are among `rules.params`, by name; those that the formula does not have
    may be missing, unless a policy needs the column's mean. With classes the last dimension is
    theirs, or the samples' under samples(...). Raises `MetriccError` for negative counts, unknown
    or missing parameters and, with `zero_division="raise"`, undefined values.
    """
    counted, rules = _apart(rules, plan.metric.cells[len(CELLS) :])
    judge = _judge(plan.metric, rules)
    tables = _tables(plan.metric, (*cells, *_column_cells(plan, counted, judge)))
    share = judge.class_weight
    if share is not None and plan.metric.by_sample:
        hint = "pool the counts with the weights: TP = (class_weight * TP).sum(-1)"
        fact = "the tables of samples(...) are those of samples, already pooled over classes"
        raise fail("MC0501", f"{fact}; class_weight has no classes here", hint)
    return _judged(plan, tables, share, judge, None)


def undefined(plan: ir.Plan, cells: tuple[Any, ...], rules: Rules) -> NDArray[np.bool_]:
    """Where the metric is undefined on counts as `value` takes them: of several tables, where one
    that counts is. Infinite values are none of these.
    """
    counted, rules = _apart(rules, plan.metric.cells[len(CELLS) :])
    judge = _judge(plan.metric, replace(rules, zero_division="raise"))
    tables = _tables(plan.metric, (*cells, *_column_cells(plan, counted, judge)))
    return _valued(plan, tables, judge.class_weight, judge)[1]


def score(plan: ir.Plan, given: labels.Given, rules: Rules, per: str = "batch") -> Any:
    """The metric on (y_true, y_pred): a float, or an array with a number for each class.

    Raises `MetriccError` where `value` does, for scores or logits in the place of labels, and for
    metrics that labels do not settle.
    """
    columns, rules = _apart(rules, plan.metric.columns)
    judge = _judge(plan.metric, rules, scored=True)
    _scorable(plan.metric, per, single=False)
    return _counted(plan, judge, tables(plan, given, columns))


def of_counts(plan: ir.Plan, cells: tuple[Array, ...], rules: Rules) -> Any:
    """The metric on counts as labels give them: (C,), or (n, C) under samples(...).

    `cells` are in the order of `Metric.cells`: TP, FN, FP, TN, then those of every column.
    """
    names = range(cells[0].shape[-1])
    return of_tables(plan, labels.Tables(cells, np.ones(len(cells[0])), names), rules)


def of_tables(plan: ir.Plan, found: labels.Tables, rules: Rules) -> Any:
    """The metric on tables of labels, as `score` has it."""
    return _counted(plan, _judge(plan.metric, rules, scored=True), found)


def tables(plan: ir.Plan, given: labels.Given, columns: Mapping[str, Any]) -> labels.Tables:
    """The tables of labels that a metric looks at; `columns` are the numbers of its columns.

    Raises `MetriccError` for labels and columns that are not what they should be.
    """
    if unknown := [name for name in columns if name not in plan.metric.columns]:
        hint = (
            f"it reads {', '.join(plan.metric.columns)}" if plan.metric.columns else "it has none"
        )
        raise fail("MC0202", f"{plan.metric.name} has no column {unknown[0]}", hint)
    given = replace(given, columns=_columns(plan.metric, columns))
    return labels.tables(given, plan.metric.task, plan.metric.by_sample, "joint" in plan.levels)


def check(plan: ir.Plan, rules: Rules, per: str = "batch", single: bool = True) -> None:
    """Raise `MetriccError` for what `score` would refuse whatever the labels are."""
    _judge(plan.metric, rules, scored=True)
    _scorable(plan.metric, per, single)


def refuse_columns(plan: ir.Plan, what: str) -> None:
    """Raise `MetriccError` for a metric with columns: `what` is given no more than labels."""
    if plan.metric.columns:
        column = plan.metric.columns[0]
        fact = f"{plan.metric.name} reads the column {column}, and {what} is given labels alone"
        raise fail("MC0501", fact, f"call m.score(y_true, y_pred, {column}=...)")


def classes(task: str, num_classes: Any, num_labels: Any, class_weight: Any) -> int:
    """How many classes a task has, of which one keyword tells: 1 in a binary task."""
    wanted = {"multiclass": "num_classes", "multilabel": "num_labels"}.get(task)
    given = {"num_classes": num_classes, "num_labels": num_labels}
    if other := [n for n, size in given.items() if size is not None and n != wanted]:
        hint = "leave it out" if wanted is None else f"pass {wanted}=..."
        raise fail("MC0501", f"{other[0]} is not for a {task} task", hint)
    if wanted is None:
        return 1
    size = given[wanted]
    if not isinstance(size, Integral) or size < 1:
        fact = f"{wanted} cannot be {size!r}"
        raise fail("MC0501", fact, f"pass {wanted}=..., the number of classes")
    if class_weight is not None and len(class_weight) != size:
        fact = f"class_weight has {len(class_weight)} numbers, and there are {size} classes"
        raise fail("MC0501", fact, f"give {size} numbers, one a class")
    return int(size)


def _scorable(metric: ir.Metric, per: str, single: bool) -> None:
    if metric.elements:
        names = ", ".join(term.symbol.name for term in metric.elements)
        fact = f"{names}: a mean over probabilities, which labels do not have"
        hint = "score the metric in the formula alone, or give value(...) counts and the losses"
        raise fail("MC0506", fact, hint)
    if per == "sample":
        fact = f"{metric.name} was compiled for each sample, and labels are scored all together"
        hint = 'leave per="sample" out, or write samples(...): the mean over samples'
        raise fail("MC0501", fact, hint)
    if single and any(term.reduction == "per_class" for term in metric.tables):
        fact = f"{metric.name} is one number for each class, and one number is needed"
        raise fail("MC0501", fact, "average: macro(...) in place of per_class(...)")


# -- one metric on tables ---------------------------------------------------------------------


def _counted(plan: ir.Plan, judge: _Judge, found: labels.Tables) -> Any:
    """The metric on the counts of labels."""
    if plan.metric.single:
        return _judged(plan, tuple(cell[0] for cell in found.cells), None, judge, None)
    if not plan.metric.by_sample:
        return _judged(plan, found.cells, judge.class_weight, judge, found.names)
    # Each sample's counts are pooled over classes; samples in which nothing counts leave the mean.
    weights = _share(judge.class_weight, found.cells)
    pooled = tuple((weights * cell).sum(-1) for cell in found.cells)
    return _judged(plan, pooled, found.sample_weight * (sum(pooled) > 0), judge, None)


def _judged(
    plan: ir.Plan,
    tables: tuple[Array, ...],
    share: Array | None,
    judge: _Judge,
    names: Sequence[Any] | None,
) -> Any:
    """The metric on raw counts; `share` weighs classes (or samples), `names` are theirs."""
    number, undefined, reducer = _valued(plan, tables, share, judge)
    if judge.settled is None and undefined.any():
        raise _undefined(plan.metric, tables, undefined, reducer, names)
    if judge.settled is not None:
        number = np.where(undefined, judge.settled, number)
    return number if number.ndim else float(number)


def _valued(
    plan: ir.Plan, tables: tuple[Array, ...], share: Array | None, judge: _Judge
) -> tuple[Array, NDArray[np.bool_], Reducer | None]:
    """The metric on raw counts, where it is undefined, and what reduced it over classes."""
    metric = plan.metric
    if plan.margins and share is not None:
        fact = f"{metric.name} subtracts sums over classes: they are margins of one table"
        raise fail("MC0501", fact, "leave class_weight out: all classes count alike")
    scored: Array | float = 1.0
    reducer = None
    if metric.single:
        seen, scored = alone(tables, judge.absent, judge.smooth)
        scope = dict(zip(metric.cells, seen, strict=True))
    else:
        weights = _share(share, tables)
        made = {n: of_level(n, tables, weights, judge.absent, judge.smooth) for n in plan.levels}
        reducer = Reducer(made, metric.task, judge.settled)
        scope = {
            f"{cell}_{name}" if len(made) > 1 else cell: count
            for name, tabled in made.items()
            for cell, count in zip(CELLS, tabled.cells, strict=True)
        }
    number, undefined = interpret.value(plan.value, scope | dict(judge.params), reducer)
    if reducer is not None and not any(t.reduction == "per_class" for t in metric.tables):
        number, undefined = number[..., 0], undefined[..., 0]
    return np.where(scored == 0, 0.0, number), undefined & (scored != 0), reducer


def _undefined(
    metric: ir.Metric,
    tables: tuple[Array, ...],
    undefined: NDArray[np.bool_],
    reducer: Reducer | None,
    names: Sequence[Any] | None,
) -> MetriccError:
    """What is undefined, at the first place: the table where one alone is at fault."""
    place = np.unravel_index(np.argmax(undefined), undefined.shape)
    if reducer is not None:
        place = place[: tables[0].ndim - 1]
    where, at = "", tuple(cell[place] for cell in tables)
    masks = () if reducer is None else (m[place] for n, m in reducer.undefined if n != "pooled")
    for mask in masks:
        if mask.any() and not where:
            index = int(np.argmax(mask))
            label = index if names is None else names[index]
            where = f" in {'sample' if metric.by_sample else 'class'} {label!r}"
            at = tuple(cell[index] for cell in at)
    named = zip(metric.cells, at, strict=True)
    shown = ", ".join(f"{cell} = {_brief(count)}" for cell, count in named)
    hint = "pass zero_division=0, 1 or nan for a number there"
    return fail("MC0507", f"{metric.name} is undefined (0/0){where} at {shown}", hint)


def _brief(count: Any) -> str:
    if np.ndim(count) == 0:
        return f"{count:g}"
    shown = [f"{c:g}" for c in count[:6]]
    return f"[{', '.join(shown)}{', ...' if len(count) > 6 else ''}]"


def _share(share: Array | None, tables: tuple[Array, ...]) -> Array:
    """The weight of each class, one for each table."""
    size = tables[0].shape[-1]
    if share is None:
        return np.ones(size)
    if share.shape != (size,):
        fact = f"class_weight has shape {share.shape}, and there are {size} classes"
        raise fail("MC0501", fact, f"give {size} numbers, one a class")
    return share


# -- what is given ----------------------------------------------------------------------------


def _apart(rules: Rules, names: Sequence[str]) -> tuple[dict[str, Any], Rules]:
    """The keywords of some names, and the rules without them."""
    taken = {name: rules.params[name] for name in names if name in rules.params}
    rest = {name: value for name, value in rules.params.items() if name not in taken}
    return taken, replace(rules, params=rest) if taken else rules


def _columns(metric: ir.Metric, given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a metric reads, all of them, in its order."""
    for name in metric.columns:
        if given.get(name) is None:
            hint = f"pass {name}=..., one number of at least 0 for each sample"
            raise fail("MC0506", f"{metric.name} reads the column {name}", hint)
    return {name: given[name] for name in metric.columns}


def _column_cells(plan: ir.Plan, given: Mapping[str, Any], judge: _Judge) -> list[Any]:
    """The counts of columns in their order; those that are not needed may be missing."""
    code = (*(e for _, e in plan.value.assignments), *plan.value.results)
    used = {node.id for e in code for node in syntax.walk(e) if isinstance(node, syntax.Name)}
    found = []
    for name in plan.metric.cells[len(CELLS) :]:
        policy = judge.absent is not None or judge.smooth > 0
        if name not in given and (name in used or policy):
            cell, _, column = name.partition("_")
            fact = f"{plan.metric.name} needs {name}, the sum of {column} over {cell}"
            if name not in used:
                fact = f"absent and smooth need {name}: their unit is the mean of {column}"
            raise fail("MC0506", fact, f"pass {name}=...")
        found.append(given.get(name, 0.0))
    return found


def _tables(metric: ir.Metric, cells: tuple[Any, ...]) -> tuple[Array, ...]:
    """The counts as arrays of one shape; with classes they have a dimension of classes."""
    counts = {name: _counts(name, count) for name, count in zip(metric.cells, cells, strict=True)}
    try:
        tables = np.broadcast_arrays(*counts.values())
    except ValueError:
        shapes = ", ".join(f"{name} {count.shape}" for name, count in counts.items())
        raise fail("MC0506", f"the shapes differ: {shapes}", "give arrays of one shape") from None
    if not metric.single and (tables[0].ndim == 0 or tables[0].shape[-1] == 0):
        what = "samples" if metric.by_sample else "classes"
        fact = f"counts of shape {tables[0].shape} have no dimension of {what}"
        hint = f"give counts of shape (..., {what}): TP=[3, 5, 2] for three"
        raise fail("MC0506", fact, hint)
    return tuple(tables)


def _counts(cell: str, count: Any) -> Array:
    try:
        array = np.asarray(count)
        if array.dtype.kind not in "biufO" or isinstance(count, str):
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise fail("MC0506", f"{cell} is no number", "counts are numbers, or arrays") from None
    if not ((array >= 0) & np.isfinite(array)).all():
        raise fail("MC0506", f"{cell} is negative, infinite or NaN", "counts are sums, at least 0")
    return array


def _judge(metric: ir.Metric, rules: Rules, scored: bool = False) -> _Judge:
    raising = isinstance(rules.zero_division, str) and rules.zero_division == "raise"
    settled = None if raising else _settled(rules.zero_division)
    absent, smooth = rules.absent, rules.smooth
    if absent is not None and absent not in ABSENT:
        fact = f"absent cannot be {absent!r}"
        raise fail("MC0501", fact, f"choose None, {', '.join(map(repr, ABSENT))}")
    if not isinstance(smooth, Real) or not 0 <= float(smooth) < float("inf"):
        raise fail("MC0501", f"smooth cannot be {smooth!r}", "choose a number of at least 0")
    weights = _class_weight(metric, rules.class_weight)
    params = _parameters(metric, rules.params, scored)
    return _Judge(settled, absent, float(smooth), weights, params)


def _class_weight(metric: ir.Metric, class_weight: Any) -> Array | None:
    if class_weight is None:
        return None
    if metric.task == "binary":
        hint = 'compile with task="multiclass" or "multilabel"'
        raise fail("MC0501", "class_weight is for tasks with classes", hint)
    try:
        weights = np.asarray(class_weight, dtype=np.float64)
        if weights.ndim != 1 or not ((weights >= 0) & np.isfinite(weights)).all():
            raise ValueError
    except (TypeError, ValueError):
        hint = "give one finite number of at least 0 for each class"
        raise fail("MC0501", f"class_weight cannot be {class_weight!r}", hint) from None
    return weights


def _parameters(metric: ir.Metric, params: Mapping[str, Any], scored: bool) -> dict[str, Array]:
    """Every parameter's value as an array without axes, defaults filled in and ranges kept.

    Element losses are parameters too, but for labels, which do not have them.
    """
    for column in metric.columns:
        if column in params and not scored:
            hint = f"pass its counts: TP_{column}=..., or labels to score(..., {column}=...)"
            raise fail("MC0202", f"{column} is a column, which counts do not hold", hint)
        if wrong := [name for name in params if scored and name in cells_of(column)]:
            hint = f"pass {column}=..., one number for each sample"
            raise fail("MC0202", f"{wrong[0]} is a count, and here are labels", hint)
    known = {p.name: p for p in metric.parameters}
    losses = {term.symbol.name for term in metric.elements}
    if not scored:
        known |= {name: ir.Parameter(name, None, _LOSS) for name in sorted(losses)}
    if unknown := [name for name in params if name not in known]:
        names = [*known, *(metric.columns if scored else metric.cells[len(CELLS) :])]
        hint = f"it has {', '.join(names)}" if names else "it has none"
        raise fail("MC0202", f"{metric.name} has no parameter {unknown[0]}", hint)
    values = {}
    for name, parameter in known.items():
        chosen = params.get(name, parameter.default)
        if chosen is None and name in losses:
            hint = f"{name} is a mean over elements, which counts do not hold: pass {name}=..."
            raise fail("MC0203", f"{metric.name} needs a value for {name}", hint)
        if chosen is None:
            raise fail("MC0203", f"{metric.name} needs a value for {name}", f"pass {name}=...")
        if not isinstance(chosen, Real):
            raise fail("MC0501", f"{name} = {chosen!r} is no number", "pass a number")
        number, interval = float(chosen), parameter.interval
        if number != number or not (interval is None or interval.holds(number)):
            fact = f"{name} = {number:g} lies outside {interval or '(-inf, inf)'}"
            raise fail("MC0501", fact, "choose a value in the range")
        values[name] = np.asarray(number)
    return values


def _settled(zero_division: Any) -> float:
    if isinstance(zero_division, Real) and (
        zero_division in (0, 1) or zero_division != zero_division
    ):
        return float(zero_division)
    hint = 'choose 0, 1, float("nan") or "raise"'
    raise fail("MC0501", f"zero_division cannot be {zero_division!r}", hint)
