"""An edited file against what its formula generates now: called alike, they answer alike.

The other checks judge a file by oracles, at settings that these can compute. An edit may show
elsewhere, in a combination of arguments that none of them has: there the generated code, which the
oracles hold for right at every setting of theirs, is what the edited one is compared with.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.attempt import attempt, told
from metricc.verify.drawn import Drawn
from metricc.verify.drawn_boosting import Boosted
from metricc.verify.drawn_tables import means, tables
from metricc.verify.spoiled import spoiled

Call = tuple[str, Callable[[ModuleType], Any]]
LONGEST = 160  # of a call that is shown

# dtype → what may differ: of an element, and of the largest one. An edit may round elsewhere.
ALLOWED = {
    "float64": (1e-9, 1e-11),
    "float32": (1e-4, 1e-6),
    "bfloat16": (2.0**-6, 2.0**-8),
    "float16": (2.0**-7, 2.0**-10),
}
FLOOR = 1e-2  # of what the second is taken of: sums that cancel are known to rounding alone


def checks(
    module: ModuleType,
    original: ModuleType,
    plan: ir.Plan,
    options: ir.Options,
    surrogate: Surrogate,
) -> Iterator[ir.Check]:
    """One check for each sort of calls."""
    if options.target == "gbdt":
        calls = Boosted(plan, options, surrogate).calls()
        yield from _each("objective", calls, module, original)
        return
    drawn = Drawn(original, plan, options, surrogate)
    yield from _each("scalars", tables(plan, options), module, original)
    if hasattr(original, "Counts"):
        yield from _each("running means", means(), module, original)
    yield from _each("counts", drawn.counts(), module, original)
    yield from _each("losses", drawn.losses(), module, original)
    yield from _each("wrong arguments", spoiled(drawn), module, original)
    yield from _each("ranks", drawn.shared(), module, original)


def _each(
    name: str, calls: Iterable[Call], module: ModuleType, original: ModuleType
) -> Iterable[ir.Check]:
    return attempt(f"{name} as generated", lambda: _compared(name, calls, module, original))


def _compared(
    name: str, calls: Iterable[Call], module: ModuleType, original: ModuleType
) -> list[ir.Check]:
    number = 0
    for what, call in calls:
        number += 1
        got, wanted = (_outcome(call, one) for one in (module, original))
        if difference := _difference(got, wanted):
            measured = f"{difference}: {what[:LONGEST]}"
            return [ir.Check(f"{name} as generated", measured, "alike", False)]
    label = f"{name} as generated, {number} calls"
    return [ir.Check(label, "alike", "alike", True)] if number else []


def _outcome(call: Callable[[ModuleType], Any], module: ModuleType) -> Any:
    """What a call returns, or the exception it raises."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return call(module)
    except Exception as error:
        return error


def _difference(got: Any, wanted: Any) -> str:
    """How two outcomes differ, or nothing."""
    if isinstance(got, Exception) or isinstance(wanted, Exception):
        if type(got) is type(wanted):
            return ""
        return f"{_shown(got)} for {_shown(wanted)}"
    if isinstance(wanted, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(got) != len(wanted):
            return "another number of results"
        return next(filter(None, map(_difference, got, wanted)), "")
    if isinstance(wanted, str) or wanted is None:
        return "" if got == wanted else f"{got!r} for {wanted!r}"
    return _apart(got, wanted)


def _shown(outcome: Any) -> str:
    return told(outcome) if isinstance(outcome, Exception) else "a result"


def _apart(got: Any, wanted: Any) -> str:
    """How two tensors, arrays or numbers differ, or nothing."""
    (kind, shape, a), (wanted_kind, wanted_shape, b) = _numbers(got), _numbers(wanted)
    if (kind, shape) != (wanted_kind, wanted_shape):
        return f"{kind} {shape} for {wanted_kind} {wanted_shape}"
    near, small = ALLOWED.get(kind, ALLOWED["float64"])
    with np.errstate(all="ignore"):
        largest = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        close = np.abs(a - b) <= near * np.abs(b) + small * (largest + FLOOR)
    close &= np.isfinite(a) & np.isfinite(b)
    off = ~(close | (a == b) | (np.isnan(a) & np.isnan(b)))
    if not off.any():
        return ""
    place = int(off.argmax())
    return f"{a[place]:.6g} for {b[place]:.6g}"


def _numbers(value: Any) -> tuple[str, tuple[int, ...], Any]:
    """dtype, shape and numbers of a tensor, an array or a number."""
    if hasattr(value, "detach"):
        plain = value.detach().double().reshape(-1).numpy()
        return str(value.dtype).removeprefix("torch."), (*value.shape,), plain
    array = np.asarray(value)
    kind = type(value).__name__ if array.ndim == 0 else str(array.dtype)
    kind = "float" if isinstance(value, (bool, int, float)) else kind
    return kind, array.shape, array.astype(float).reshape(-1)
