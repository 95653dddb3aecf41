"""Calls of an objective for boosting, drawn over all that it takes, as in `drawn`."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from types import ModuleType
from typing import Any

import numpy as np

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.boosting_calls import Held
from metricc.verify.drawn import Call, varied
from metricc.verify.drawn_tables import FUNCTIONS as SCALARS
from metricc.verify.drawn_tables import cells_of, policies, unit_of
from metricc.verify.points import CLASSES, arguments, outside, parameter_sets

BATCHES, TABLES, WRONG = 120, 150, 150
FUNCTIONS = ("objective", "loss", "metric", "initial_score", "decide")
Arrays = tuple[Any, Any, Any]  # labels, raw scores, weights


class Boosted:
    """Draws for one objective."""

    def __init__(self, plan: ir.Plan, options: ir.Options, surrogate: Surrogate) -> None:
        self.adapter = f"{options.pascal}Objective"
        self.joint = options.task == "multiclass"
        self.sets, self.arguments = parameter_sets(plan.metric), arguments(surrogate)
        self.outside = outside(plan.metric, surrogate)
        self.draw, self.numbers = random.Random(105), np.random.default_rng(105)

    def calls(self) -> Iterator[Call]:
        return chain(self.batches(), self.spoiled(), self.tables())

    def batches(self) -> Iterator[Call]:
        """Batches through every function and the class."""
        for _ in range(BATCHES):
            arrays = self.arrays()
            given = {**self.draw.choice(self.sets), **varied(self.draw, self.arguments)}
            yield from self._all(f"{len(arrays[0])} rows", arrays, given)

    def spoiled(self) -> Iterator[Call]:
        """A batch that is taken, but for one array or argument."""
        for _ in range(WRONG):
            arrays = self.arrays()
            given = {**self.draw.choice(self.sets), **varied(self.draw, self.arguments)}
            if self.outside and self.draw.random() < 0.3:
                given |= self.draw.choice(self.outside)
                yield from self._all(f"arguments {given}", arrays, given)
                continue
            place = self.draw.randrange(3)
            odd = self._odd(np.ones(len(arrays[0])) if arrays[place] is None else arrays[place])
            arrays = (*arrays[:place], odd, *arrays[place + 1 :])
            yield from self._all(("wrong labels", "scores", "weights")[place], arrays, given)

    def tables(self) -> Iterator[Call]:
        """The scalar functions at tables, some of them empty."""
        for index in range(TABLES):
            name = SCALARS[index % 3]
            cells, scale = cells_of(self.draw)
            given: dict[str, Any] = {**self.draw.choice(self.sets), **policies(self.draw)}
            given = {n: np.array(v) if isinstance(v, list) else v for n, v in given.items()}
            given |= {"bce": 0.4, "ce": 0.4}
            counts = [np.array(row) if self.joint else row[0] for row in cells]
            run = partial(_function, name, counts, given)
            yield Call(f"{name}() at {cells}", run, unit=unit_of(name, scale))

    def arrays(self) -> Arrays:
        """Labels of all kinds, scores near and far, weights or none."""
        draw, numbers, joint = self.draw, self.numbers, self.joint
        n = draw.choice((1, 2, 9, 40, 300, 3000))
        z = draw.choice((0.0, 0.2, 1.5, 12.0, 300.0)) * numbers.normal(size=(n, 3) if joint else n)
        y: Any = numbers.integers(CLASSES, size=n) if joint else 1.0 * (numbers.random(n) < 0.4)
        kind = draw.choice(("drawn", "drawn", "first", "last", "soft"))
        y = {"first": 0 * y, "last": 0 * y + (CLASSES - 1 if joint else 1)}.get(kind, y)
        y = y.astype(draw.choice((np.float64, np.float32, np.int32)))
        y = numbers.random(n) if kind == "soft" and not joint else y
        v = draw.choice((None, numbers.random(n), 2.0 * (numbers.random(n) < 0.5), np.zeros(0)))
        return y, z.astype(draw.choice((np.float64, np.float64, np.float32))), v

    def _odd(self, x: Any) -> Any:
        """An array that is not as it should be, or no array."""
        kinds: dict[str, Callable[[], Any]] = {
            "short": lambda: x[:-1],
            "deep": lambda: x[None],
            "wide": lambda: x[..., None],
            "complex": lambda: x.astype(complex),
            "words": lambda: x.astype("U8"),
            "logical": lambda: x.astype(bool),
            "small": lambda: x.astype(np.int8),
            "list": lambda: x.tolist(),
            "none": lambda: None,
            "number": lambda: 2.0,
            "NaN": lambda: x * np.nan,
            "infinite": lambda: np.full(x.shape, np.inf),
            "negative": lambda: -1.0 - x,
            "large": lambda: x + 7.0,
            "huge": lambda: x.astype(float) * self.draw.choice((1e28, 1e30, 1e80)),
            "between": lambda: x + 0.5,
        }
        return kinds[self.draw.choice([*kinds])]()

    def _all(self, told: str, arrays: Arrays, given: Mapping[str, Any]) -> Iterator[Call]:
        y, z, v = arrays
        some = _direct(v)
        for name in FUNCTIONS:
            own = {"initial_score": (y, some), "decide": (z,)}.get(name, (y, z, some))
            yield Call(f"{name} of {told}", partial(_function, name, own, given))
        yield Call(f"{self.adapter} of {told}", partial(_adapter, self.adapter, arrays, given))


def _direct(weight: Any) -> Any:
    """Weights as functions take them: a data set's alone may be empty, where it has none."""
    return None if isinstance(weight, np.ndarray) and not weight.size else weight


def _function(name: str, arrays: Any, given: Mapping[str, Any], module: ModuleType) -> Any:
    function = getattr(module, name)
    known = inspect.signature(function).parameters
    return function(*arrays, **{n: v for n, v in given.items() if n in known})


def _adapter(name: str, arrays: Arrays, given: Mapping[str, Any], module: ModuleType) -> Any:
    y, z, v = arrays
    made, held = getattr(module, name)(**given), Held(y, v)
    some = _direct(v)
    found = [made(y, z, some), made(y, z, sample_weight=some), made(z, held)]
    for metric in (made.lightgbm_metric, made.xgboost_metric):
        found += [metric(y, z, some), metric(z, held)]
    return found
