"""The hard metric, on counts and on labels, from a program's own code. No torch, no SymPy."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc import interpret, ir
from metricc.errors import fail
from metricc.functions import CELLS
from metricc.labels import counts


def value(
    plan: ir.Plan, cells: tuple[Any, ...], zero_division: Any, params: Mapping[str, float]
) -> Any:
    """The metric on (TP, FN, FP, TN): floats give a float, arrays a float64 array.

    Raises `MetriccError` for negative counts, unknown or missing parameters and, with
    `zero_division="raise"`, undefined values.
    """
    name = plan.metric.name
    raising = isinstance(zero_division, str) and zero_division == "raise"
    settled = None if raising else _settled(zero_division)
    scope = {cell: _counts(cell, count) for cell, count in zip(CELLS, cells, strict=True)}
    try:
        np.broadcast_shapes(*(count.shape for count in scope.values()))
    except ValueError:
        shapes = ", ".join(f"{cell} {count.shape}" for cell, count in scope.items())
        raise fail("MC0506", f"the shapes differ: {shapes}", "give arrays of one shape") from None
    scope |= _parameters(plan.metric, params)
    number, undefined = interpret.value(plan.value, scope)
    if raising and undefined.any():
        place = np.argmax(undefined)
        at = (np.broadcast_to(scope[cell], number.shape).flat[place] for cell in CELLS)
        shown = ", ".join(f"{cell} = {count:g}" for cell, count in zip(CELLS, at, strict=True))
        hint = "pass zero_division=0, 1 or nan for a number there"
        raise fail("MC0507", f"{name} is undefined (0/0) at {shown}", hint)
    if settled is not None:
        number = np.where(undefined, settled, number)
    return number if number.ndim else float(number)


def score(
    plan: ir.Plan,
    labels: tuple[Any, Any],
    sample_weight: Any,
    pos_label: Any,
    zero_division: Any,
    params: Mapping[str, float],
) -> float:
    """The metric on (y_true, y_pred).

    Raises `MetriccError` where `value` does, and for scores or logits in the place of labels.
    """
    cells = counts(*labels, sample_weight, pos_label)
    return float(value(plan, cells, zero_division, params))


def _counts(cell: str, count: Any) -> NDArray[np.float64]:
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


def _parameters(metric: ir.Metric, params: Mapping[str, float]) -> dict[str, Any]:
    """Every parameter's value as an array without axes, defaults filled in and ranges kept."""
    known = {p.name: p for p in metric.parameters}
    if unknown := [name for name in params if name not in known]:
        hint = f"it has {', '.join(known)}" if known else "it has none"
        raise fail("MC0202", f"{metric.name} has no parameter {unknown[0]}", hint)
    values = {}
    for name, parameter in known.items():
        chosen = params.get(name, parameter.default)
        if chosen is None:
            raise fail("MC0203", f"{metric.name} needs a value for {name}", f"pass {name}=...")
        if not isinstance(chosen, Real):
            raise fail("MC0501", f"{name} = {chosen!r} is no number", "pass a number")
        number, interval = float(chosen), parameter.interval
        if number != number or (interval is not None and not interval.holds(number)):
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
