"""Calls of an objective for boosting, drawn over all that it takes (see `drawn`)."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.boosting_calls import Held
from metricc.verify.points import CLASSES, arguments, parameter_sets

BATCHES, TABLES = 120, 150
FUNCTIONS = ("objective", "loss", "metric", "initial_score", "decide")


def boosted(
    original: ModuleType, plan: ir.Plan, options: ir.Options, surrogate: Surrogate
) -> Iterator[tuple[str, Callable[[ModuleType], Any]]]:
    """Batches through every function and the class, then the scalar functions at tables."""
    draw, numbers = random.Random(105), np.random.default_rng(105)
    sets, others = parameter_sets(plan.metric), arguments(surrogate)
    joint = options.task == "multiclass"
    for _ in range(BATCHES):
        n = draw.choice((1, 2, 9, 40, 300))
        z = draw.choice((0.0, 0.2, 1.5, 12.0, 300.0)) * numbers.normal(size=(n, 3) if joint else n)
        y: Any = numbers.integers(CLASSES, size=n) if joint else 1.0 * (numbers.random(n) < 0.4)
        kind = draw.choice(("drawn", "drawn", "first", "last", "soft"))
        y = {"first": 0 * y, "last": 0 * y + (CLASSES - 1 if joint else 1)}.get(kind, y)
        y = numbers.random(n) if kind == "soft" and not joint else y
        v = draw.choice((None, numbers.random(n), 2.0 * (numbers.random(n) < 0.5), np.zeros(0)))
        z = z.astype(draw.choice((np.float64, np.float64, np.float32)))
        y = y.astype(draw.choice((np.float64, np.float32, np.int32))) if kind != "soft" else y
        given = {**draw.choice(sets), **draw.choice(others)}
        for name in FUNCTIONS:
            arrays = {"initial_score": (y, v), "decide": (z,)}.get(name, (y, z, v))
            told = f"{name} of {n} rows, {kind}, {given}"
            yield told, partial(_function, name, arrays, given)
        told = f"{options.pascal}Objective of {n} rows, {kind}, {given}"
        yield told, partial(_adapter, f"{options.pascal}Objective", (y, z, v), given)
    for index in range(TABLES):
        name = ("value", "gradient", "weights")[index % 3]
        scale = draw.choice((1.0, 1.0, 1e-25, 1e6))
        cells = [[scale * draw.randrange(300) for _ in range(CLASSES)] for _ in range(4)]
        given = {**draw.choice(sets), "absent": draw.choice(("diagonal", "skip", "zero"))}
        given |= {"smooth": draw.choice((0.0, 0.5)), "class_weight": np.array([1.0, 0.0, 2.0])}
        given |= {"bce": 0.4, "ce": 0.4}
        counts = [np.array(row) if joint else row[0] for row in cells]
        yield (
            f"{name}() at {cells}",
            partial(_function, name, counts, given),
        )


def _function(name: str, arrays: Any, given: Mapping[str, Any], module: ModuleType) -> Any:
    function = getattr(module, name)
    known = inspect.signature(function).parameters
    return function(*arrays, **{n: v for n, v in given.items() if n in known})


def _adapter(name: str, arrays: Any, given: Mapping[str, Any], module: ModuleType) -> Any:
    y, z, v = arrays
    made, held = getattr(module, name)(**given), Held(y, v)
    found = [made(y, z, v), made(y, z, sample_weight=v), made(z, held)]
    for metric in (made.lightgbm_metric, made.xgboost_metric):
        found += [metric(y, z, v), metric(z, held)]
    return found
