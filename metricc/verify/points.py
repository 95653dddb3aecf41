"""Where generated code is tested: counts, parameters and batches, all deterministic."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from metricc import ir
from metricc.numeric import inside
from metricc.verify.oracle import Batch

RANDOM_COUNTS = 60

# Zeros in one or two cells, a single sample; then huge and tiny tables.
EDGES: tuple[tuple[float, float, float, float], ...] = (
    (0, 5, 3, 90),
    (5, 0, 3, 90),
    (5, 3, 0, 90),
    (5, 3, 90, 0),
    (5, 0, 0, 90),
    (0, 5, 90, 0),
    (0, 5, 0, 90),
    (1, 0, 1, 0),
    (1, 1, 1, 1),
)
EXTREMES: tuple[tuple[float, float, float, float], ...] = (
    (1e9, 3e8, 2e8, 5e9),
    (1e-9, 3e-8, 2e-8, 5e-9),
    (1e9, 1e-6, 1e-6, 1e9),
)


def worse(worst: Any, error: Any) -> Any:
    """The larger error; NaN is larger than any, where `max` would lose it."""
    return worst if error <= worst else error


def counts() -> Iterator[tuple[float, float, float, float]]:
    """Random tables over eight decades, whole tables, then edges and extremes."""
    generator = random.Random(1)
    for index in range(RANDOM_COUNTS):
        if index % 2:
            yield tuple(10 ** generator.uniform(-2, 6) for _ in range(4))  # type: ignore[misc]
        else:
            yield tuple(float(generator.randint(1, 500)) for _ in range(4))  # type: ignore[misc]
    yield from EDGES
    yield from EXTREMES


def parameter_sets(metric: ir.Metric) -> list[dict[str, float]]:
    """Values for the parameters: the defaults, and a set in which no two are equal."""
    if not metric.parameters:
        return [{}]
    different = {p.name: inside(p, index) for index, p in enumerate(metric.parameters)}
    defaults = {
        p.name: float(p.default) if p.default is not None else different[p.name]
        for p in metric.parameters
    }
    return [defaults, different]


def batch(size: int, spread: float, seed: int, probabilities: bool, weighted: bool) -> Batch:
    """A batch of `size`: inputs of that spread, hard labels with a few soft ones."""
    generator = random.Random(seed)
    inputs = [generator.gauss(0, spread) for _ in range(size)]
    if probabilities:
        inputs = [generator.uniform(0.001, 0.999) for _ in range(size)]
    targets = [float(generator.random() < 0.3) for _ in range(size)]
    targets[:4] = [1.0, 0.0, 0.25, 0.75][: len(targets)]
    weights = [generator.choice((0.0, 0.5, 1.0, 3.0)) for _ in range(size)] if weighted else None
    return Batch(inputs, targets, weights)


def ugly(probabilities: bool) -> Mapping[str, Batch]:
    """Batches that break losses: absent classes, one element, no weight, saturated inputs."""
    far = (0.0, 1.0) if probabilities else (-1e4, 1e4)
    mild = (0.3, 0.6, 0.9, 0.2) if probabilities else (-1.0, 0.5, 2.0, -3.0)
    return {
        "no positives": Batch(mild, (0.0,) * 4),
        "no negatives": Batch(mild, (1.0,) * 4),
        "one positive": Batch(mild[:1], (1.0,)),
        "one negative": Batch(mild[:1], (0.0,)),
        "no weight": Batch(mild, (1.0, 0.0, 1.0, 0.0), (0.0,) * 4),
        "all right, saturated": Batch((far[0], far[1]), (0.0, 1.0)),
        "all wrong, saturated": Batch((far[1], far[0]), (0.0, 1.0)),
        "all positive, saturated": Batch((far[1],) * 4, (1.0, 0.0, 0.0, 0.0)),
        "all negative, saturated": Batch((far[0],) * 4, (1.0, 0.0, 0.0, 0.0)),
        "saturated, no positives": Batch((far[1],) * 4, (0.0,) * 4),
        "nothing": Batch((), ()),
    }
