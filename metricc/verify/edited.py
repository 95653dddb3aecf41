"""An edited file against what its formula generates now: called alike, they answer alike.

The other checks judge a file by oracles, at settings that these can compute. An edit may show
elsewhere, in a combination of arguments that none of them has: there the generated code, which the
oracles hold for right at every setting of theirs, is what the edited one is compared with.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.attempt import attempt, told
from metricc.verify.drawn import Call, Drawn
from metricc.verify.drawn_boosting import Boosted
from metricc.verify.drawn_losses import counts, losses, shared
from metricc.verify.drawn_tables import means, tables
from metricc.verify.spoiled import spoiled

LONGEST = 100  # of what is shown

# dtype → what may differ: of an element, and of the largest one; an edit may round elsewhere. The
# last is what rounding to a subnormal number leaves.
ALLOWED = {
    "float64": (1e-9, 1e-11, 0.0),
    "float32": (1e-4, 1e-6, 0.0),
    "bfloat16": (2.0**-6, 2.0**-8, 0.0),
    "float16": (2.0**-7, 2.0**-10, 2.0**-24),
}
LARGE = 1e25  # beyond it results are taken to a bound, and alike if they are of one sign


def checks(
    module: ModuleType,
    original: ModuleType,
    plan: ir.Plan,
    options: ir.Options,
    surrogate: Surrogate,
) -> Iterator[ir.Check]:
    """One check for each sort of calls."""
    if options.target == "gbdt":
        sorts = [("objective", Boosted(plan, options, surrogate).calls())]
    else:
        drawn = Drawn(original, plan, options, surrogate)
        sorts = [("scalars", tables(plan, options))]
        sorts += [("running means", means())] * hasattr(original, "Counts")
        sorts += [("counts", counts(drawn)), ("losses", losses(drawn))]
        sorts += [("odd arguments", spoiled(drawn)), ("ranks", shared(drawn))]
    for name, calls in sorts:
        label = f"{name} as generated"
        yield from attempt(label, lambda c=calls, n=label: _compared(n, c, module, original))


def _compared(
    label: str, calls: Iterable[Call], module: ModuleType, original: ModuleType
) -> list[ir.Check]:
    number = 0
    for call in calls:
        number += 1
        # The generated file first: what the edited one does to its arguments shows then.
        wanted, got = (_outcome(call, one) for one in (original, module))
        if difference := _difference(got, wanted, call):
            measured = f"{difference}: {call.told}"
            measured = measured if len(measured) <= LONGEST else f"{measured[:LONGEST]}..."
            return [ir.Check(label, measured, "alike", False)]
    return [ir.Check(f"{label}, {number} calls", "alike", "alike", True)] if number else []


def _outcome(call: Call, module: ModuleType) -> Any:
    """What a call returns, or the exception it raises: whatever ends a program, too."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return call.run(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error


def _difference(got: Any, wanted: Any, call: Call) -> str:
    """How two outcomes differ, or nothing."""
    if isinstance(got, BaseException) or isinstance(wanted, BaseException):
        if isinstance(got, type(wanted)):
            return ""
        return f"{_shown(got)}, generated {_shown(wanted)}"
    if isinstance(wanted, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(got) != len(wanted):
            return "another number of results"
        pairs = zip(got, wanted, strict=True)
        return next(filter(None, (_difference(a, b, call) for a, b in pairs)), "")
    if isinstance(wanted, str) or wanted is None:
        return (
            "" if type(got) is type(wanted) and got == wanted else f"{got!r}, generated {wanted!r}"
        )
    try:
        return _apart(got, wanted, call)
    except (TypeError, ValueError):
        return f"{type(got).__name__}, generated {type(wanted).__name__}"


def _shown(outcome: Any) -> str:
    return told(outcome) if isinstance(outcome, BaseException) else "a result"


def _apart(got: Any, wanted: Any, call: Call) -> str:
    """How two tensors, arrays or numbers differ, or nothing. For a number, numbers may stand."""
    (kind, shape, a), (wanted_kind, wanted_shape, b) = _numbers(got), _numbers(wanted)
    if wanted_kind != "number" and (kind, shape) != (wanted_kind, wanted_shape):
        return f"{kind} {shape}, generated {wanted_kind} {wanted_shape}"
    working = "float64" if call.dtype == "float64" else "float32"  # of halves too
    limits = [ALLOWED[kind] for kind in (wanted_kind, working) if kind in ALLOWED]
    near, small, least = map(max, zip(*limits, strict=True))
    with np.errstate(all="ignore"):
        largest = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        close = np.abs(a - b) <= near * np.abs(b) + small * (largest + call.unit) + least
        close |= (np.abs(a) >= LARGE) & (np.abs(b) >= LARGE) & (np.sign(a) == np.sign(b))
    close &= np.isfinite(a) & np.isfinite(b)
    off = ~(close | (a == b) | (np.isnan(a) & np.isnan(b)))
    if not off.any():
        return ""
    place = int(off.argmax())
    x, y = float(a[place]), float(np.broadcast_to(b, a.shape)[place])
    if f"{x:.6g}" == f"{y:.6g}":
        return f"{x:.6g}, {x - y:.1e} off"
    return f"{x:.6g}, generated {y:.6g}"


def _numbers(value: Any) -> tuple[str, tuple[int, ...], Any]:
    """dtype, shape and numbers of a tensor, an array or a number."""
    if hasattr(value, "detach"):
        plain = value.detach().double().reshape(-1).numpy()
        return str(value.dtype).removeprefix("torch."), (*value.shape,), plain
    array = np.asarray(value)
    kind = "number" if isinstance(value, (bool, int, float)) else str(array.dtype)
    return kind, array.shape, array.astype(float).reshape(-1)
