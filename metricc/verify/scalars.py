"""The file's scalar functions of one table in float64 against the oracle: on floats, on tensors,
and where results are beyond all bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.verify.worst import Far, Worst, verdict

NEAR = mpf(10) ** -40  # how far a count is moved to see the condition
LARGE = 1e30  # beyond it results saturate
ALIKE = 1e-8  # relative: what is subtracted rounds in two ways

Code = Callable[..., Any]


@dataclass(frozen=True)
class Place:
    """A table, and what the metric and its slopes are there and beside."""

    cells: Mapping[str, float]
    parameters: Mapping[str, float]
    extreme: bool
    slopes: Sequence[Any]
    exact: Mapping[str, Any]
    beside: Mapping[str, Any]

    def __str__(self) -> str:
        numbers = {**self.cells, **self.parameters}
        return ", ".join(f"{name}={x:.6g}" for name, x in numbers.items())


def scalars(
    name: str,
    code: Code,
    fresh: Code | None,
    program: ir.Program,
    places: Sequence[Place],
    minute: Sequence[Place],
    allowed: float,
) -> list[ir.Check]:
    """One of the file's functions; `fresh` is that of the file that is generated now.

    Errors are relative to the result or to its condition, the change that rounding of the counts
    alone makes, whichever is larger; where the chosen form subtracts, to what is subtracted.
    """
    ordinary, far, outputs = Worst(), Far(), _outputs(name, program.metric)
    of_torch = "torch" in getattr(code, "__globals__", {})  # else NumPy's, of gbdt
    other = None if fresh is None else _of_tensors(fresh)
    for place in places:
        (far.within if place.extreme else ordinary).points += 1
        ways = [(code, fresh, ""), (_of_tensors(code), other, " on tensors")]
        for tested, own, kind in ways if place.extreme and of_torch else ways[:1]:
            try:
                errors = _errors(tested, outputs, program, place)
            except (ZeroDivisionError, ValueError, OverflowError):
                if place.extreme and own is not None and _raises(own, place):
                    continue
                raise
            if errors is None:
                wrong = "another number of results"
                return [ir.Check(f"{name}()", wrong, f"{len(outputs)}", False)]
            for output, error in errors.items():
                where = partial("{}{} at {}".format, output, kind, place)
                if place.extreme:
                    far.take(error, where, partial(_own, own, outputs, program, place, output))
                else:
                    ordinary.take(error, where)
    here = [p for p in places if p.parameters == places[0].parameters and not p.extreme]
    also = ""
    if ordinary.error <= allowed:
        also = _on_tensors(code, outputs, here) or _saturated(code, outputs, program, minute)
    label = f"{name}(), {ordinary.points} points, float64"
    return [verdict(label, ordinary, allowed, also), *far.checks(name, allowed)]


def _outputs(name: str, metric: ir.Metric) -> tuple[str, ...]:
    """What a scalar function of one table returns."""
    shared = ir.shared_outputs(metric)
    return {"value": shared[:1], "gradient": shared[1:], "weights": ir.weight_outputs(metric)}[name]


def _called(code: Code, place: Place) -> tuple[Any, ...]:
    results = code(*place.cells.values(), **place.parameters)
    return results if isinstance(results, tuple) else (results,)


def _of_tensors(code: Code) -> Code:
    """The code on a table of tensors."""
    import torch

    def called(*counts: float, **parameters: float) -> Any:
        return code(*torch.tensor(counts, dtype=torch.float64).unbind(), **parameters)

    return called


def _raises(code: Code, place: Place) -> bool:
    try:
        code(*place.cells.values(), **place.parameters)
    except (ZeroDivisionError, ValueError, OverflowError):
        return True
    return False


def _own(
    fresh: Code | None, outputs: Sequence[str], program: ir.Program, place: Place, output: str
) -> Any:
    """The error of the code that is generated now, NaN where it has no result."""
    try:
        errors = None if fresh is None else _errors(fresh, outputs, program, place)
    except (ZeroDivisionError, ValueError, OverflowError):
        return mp.nan
    return mpf(0) if errors is None else errors[output]


def _errors(
    code: Code, outputs: Sequence[str], program: ir.Program, place: Place
) -> dict[str, Any] | None:
    """The relative error of each output at one table; None for another number of results."""
    results = _called(code, place)
    if len(results) != len(outputs):
        return None
    largest = getattr(code, "__globals__", {}).get("_HUGE", 1e30)
    cells = [place.cells[cell] for cell in program.metric.cells]
    slopes = place.slopes[: len(cells)]
    known = [s for s in slopes if not mp.isnan(s)]
    steepest = max((abs(s) for s in known), default=mpf(1))
    size = sum(abs(mpf(c) * s) for c, s in zip(cells, slopes, strict=True) if s in known)
    errors: dict[str, Any] = {}
    for output, result in zip(outputs, results, strict=True):
        exact = place.exact[output]
        if mp.isnan(exact) or abs(exact) > largest / 1e3:
            continue  # no limit here, or it saturates by policy
        scale = abs(exact)
        if output == "value":
            scale = max(abs(exact) + size, mpf(10) ** -3)
        elif program.forms[output].cancels or abs(exact) < steepest * mpf(10) ** -60:
            scale = max(abs(exact), steepest)
        if output != "value" and steepest < mpf(10) ** -60:
            scale = 1 / mpf(sum(cells))  # every slope is 0 here: judge by their usual size
        condition = abs(place.beside[output] - exact) / NEAR
        scale = scale if mp.isnan(condition) else max(scale, condition)
        if scale:
            errors[output] = abs(mpf(float(result)) - exact) / scale
    return errors


def _on_tensors(code: Code, outputs: Sequence[str], places: Sequence[Place]) -> str:
    """Where the code on tensors, all rows at once, is not what it is on floats; or not finite at
    0/0."""
    import torch

    if not places:
        return ""
    parameters = places[0].parameters
    rows = [[*p.cells.values()] for p in places]
    rows.append([0.0] * len(rows[0]))
    columns = torch.tensor(rows, dtype=torch.float64).unbind(1)
    of_torch = "torch" in getattr(code, "__globals__", {})
    together = code(*(x if of_torch else x.numpy() for x in columns), **parameters)
    together = together if isinstance(together, tuple) else (together,)
    for index, row in enumerate(rows):
        alone = code(*row, **parameters)
        alone = alone if isinstance(alone, tuple) else (alone,)
        for output, one, several in zip(outputs, alone, together, strict=True):
            whole = torch.as_tensor(several, dtype=torch.float64).expand(len(rows))
            got, wanted = mpf(whole[index].item()), mpf(float(one))
            error = abs(got - wanted) / max(abs(wanted), mpf(10) ** -3)
            if not (mp.isfinite(got) and error <= ALIKE):
                where = places[index] if index < len(places) else "counts of 0"
                told = f"{float(got):.6g} on tensors, {float(one):.6g} on floats"
                return f"{told}: {output} at {where}"
    return ""


def _saturated(
    code: Code, outputs: Sequence[str], program: ir.Program, places: Sequence[Place]
) -> str:
    """Where results are not finite, or of the wrong sign where they are beyond all bounds, unless
    their form subtracts."""
    for place in places:
        for output, result in zip(outputs, _called(code, place), strict=True):
            wanted = place.exact[output]
            got = mpf(float(result))
            cancels = output != "value" and program.forms[output].cancels
            far = not (mp.isnan(wanted) or cancels) and abs(wanted) > LARGE
            if not mp.isfinite(got) or (far and got * wanted < 0):
                sign = "the wrong sign" if mp.isfinite(got) else "not finite"
                return f"{sign}, {output} at {place}"
    return ""
