"""What a loss must refuse, and what it must take though it lies at an end of what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

from metricc import ir
from metricc.verify.batches import Tensors
from metricc.verify.calling import Calls
from metricc.verify.case import tensors
from metricc.verify.points import CLASSES, ends, like, ranges

Call = Callable[[], Any]


def refusals(calls: Calls) -> ir.Check:
    """Each wrong argument raises `ValueError`, in the function and in the class."""
    wrong, number = list[str](), 0
    for name, call in (*_tensors(calls), *_options(calls), *_groups(calls), *_counts(calls)):
        number += 1
        try:
            call()
        except ValueError:
            continue
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}")
            continue
        wrong.append(f"{name} taken")
    for name, call in _allowed(calls):
        number += 1
        try:
            call()
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}")
    measured = f"{len(wrong)} not as said" + (f": {wrong[0]}" if wrong else "")
    return ir.Check(f"wrong input and ends of ranges, {number} calls", measured, "0", not wrong)


def _data(calls: Calls) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Input, target, a weight for each sample, and what is passed beside them."""
    import torch

    data = calls.data(soft=False)
    bare = Tensors(data.input, data.target, columns=data.columns)
    input, target, _ = tensors(bare, calls.options.task)
    weight = torch.linspace(0.5, 2, len(input), dtype=torch.float64)
    given = {**calls.one.parameters, **calls.one.setting.arguments}
    return input, target, weight, {**given, **calls.one.columns(bare)}


def _tensors(calls: Calls) -> Iterator[tuple[str, Call]]:
    """Tensors that do not fit, are none, are elsewhere, or are to have gradients."""
    import torch

    z, y, w, given = _data(calls)
    n, m = len(z), w > 0.7
    rows: list[tuple[str, Any, Any, dict[str, Any]]] = []
    for x in (z.long(), z.to(torch.complex128), z.tolist(), None, z[1:], z[None], z.to("meta")):
        rows.append(("input", x, y, {}))
    if calls.options.task != "binary":
        rows.append(("input without classes", z.reshape(-1), y.reshape(-1), {}))
    if calls.options.task != "binary" or calls.one.wide:
        rows.append(("input of no dimension", z.reshape(-1)[0], y.reshape(-1)[0], {}))
    first = torch.arange(n) == 1
    lone = first.reshape(-1, *[1] * (y.dim() - 1)).to(y.dtype)
    for x in (y[1:], y.tolist(), None, y.to(torch.complex128), y[None], y.unsqueeze(-1)):
        rows.append(("target", z, x, {}))
    rows.append(("target on another device", z, y.to("meta"), {}))
    rows.append(("target with a gradient", z, y.double().clone().requires_grad_(), {}))
    # One label above what is allowed by far, so that no sum of a batch hides it.
    rows += [("label", z, y + lone * size, {}) for size in (1000, -1000)]
    if calls.options.task == "multiclass":
        soft = torch.softmax(z.detach(), 1)
        rows += [("label", z, x, {}) for x in (y.double(), y + CLASSES * lone, y - 5 * lone)]
        rows += [("shape of labels", z, soft[:, :2], {})]
        rows += [("label", z, soft * 1000, {}), ("label", z, -soft, {})]
    weights = [w[1:], w.tolist(), w.to(torch.complex128), w[None], w.clone().requires_grad_()]
    weights += [w.to("meta"), torch.ones(n + 1), 2.0]
    weights += [w - 1e3 * (torch.arange(n) == k) for k in (0, n - 1)]
    rows += [("weight", z, y, {"weight": x}) for x in weights]
    masks = [m[1:], m.double(), m.long(), m.tolist(), m[None], m.to("meta")]
    rows += [("mask", z, y, {"mask": x}) for x in masks]
    for name in calls.one.setting.columns:
        c = given[name]
        bad = [c[1:], -c, c.tolist(), None, c.clone().requires_grad_(), c.to("meta")]
        rows += [(name, z, y, {name: x}) for x in bad]
    for name, x, t, own in rows:
        yield name, partial(calls.one.loss, x, t, **{**given, **own})


def _bad(calls: Calls) -> dict[str, list[Any]]:
    """Values that no loss takes, by argument."""
    found: dict[str, list[Any]] = {
        "absent": ["keep", None],
        "smooth": [-1e-9, math.inf, math.nan],
        "label_smoothing": [-1e-9, 1 + 1e-9, math.nan],
    }
    if calls.one.several:
        found["reduction"] = ["max", None]
    if calls.one.shared:
        found["class_weight"] = [[1.0], [1.0, -1.0, 1.0], [0.0] * CLASSES, [1.0, math.nan, 1.0]]
        found["class_weight"] += [[math.inf, 1.0, 1.0], [1.0] * (CLASSES + 1)]
        found["classes"] = [[CLASSES], [-1], [], [0, CLASSES]]
    return found


def _options(calls: Calls) -> Iterator[tuple[str, Call]]:
    """Policies and parameters outside their ranges, in the function, the class and later."""
    import torch

    z, y, _, given = _data(calls)
    columns = {n: x for n, x in given.items() if n in calls.one.setting.columns}
    own = {n: x for n, x in given.items() if n not in columns}

    def built(name: str, value: Any) -> None:
        loss = calls.loss(**{**own, name: value})
        if name in ("class_weight", "classes"):  # what is wrong with them shows in a batch
            loss(z, y, **columns)

    rows = [(n, x) for n, several in _bad(calls).items() for x in several]
    for name, value, interval in ranges(calls.plan.metric, calls.surrogate):
        several = isinstance(value, tuple)
        rows += [(name, (*value, x) if several else x) for x in ends(interval, inside=False)]
        rows += [(name, ())] * several
    for name, value in rows:
        yield name, partial(calls.one.loss, z, y, **{**given, name: value})
        yield f"{name} of the class", partial(built, name, value)
        if name in calls.surrogate.defaults:
            yield f"{name} later", partial(calls.loss(**own).set_surrogate, **{name: value})
    if calls.one.shared:
        shares = torch.ones(CLASSES, requires_grad=True)
        yield "class_weight", lambda: calls.one.loss(z, y, **{**given, "class_weight": shares})


def _groups(calls: Calls) -> Iterator[tuple[str, Call]]:
    """Process groups that are none, or not this process's."""
    import torch

    z, y, _, given = _data(calls)
    yield "process_group", lambda: calls.one.loss(z, y, process_group="world", **given)
    handle = torch.distributed.ProcessGroup(0, 1)  # type: ignore[call-arg]

    def among(group: Any, rank: int = 0, there: bool = True) -> Any:
        with patch.multiple(
            torch.distributed,
            is_available=lambda: there,
            is_initialized=lambda: True,
            get_rank=lambda *_: rank,
            get_world_size=lambda *_: 1,
            all_reduce=lambda *_, **__: None,
        ):
            return calls.one.loss(z, y, process_group=group, **given)

    for name, group in (("a number", 7), ("a word", "worlds")):
        yield f"process_group, {name}", partial(among, group)
    yield "process_group of others", lambda: among(handle, rank=-1)
    yield "process_group without distributed", lambda: among(handle, there=False)


def _counts(calls: Calls) -> Iterator[tuple[str, Call]]:
    """Counts that are none, and running means that cannot be."""
    import torch

    if calls.one.wide:
        return
    z, y, _, given = _data(calls)
    own = {n: x for n, x in given.items() if n not in calls.one.setting.columns}
    columns = {n: x for n, x in given.items() if n not in own}
    table = calls.loss(**own).counts(z, y, **columns) + 1
    spoiled = []
    for number in (math.nan, math.inf, -1e3 * float(table.sum())):
        for place in (0, table.numel() - 1):
            spoiled.append(table.clone())
            spoiled[-1].view(-1)[place] = number
    for x in (*spoiled, table.to(torch.complex128), table.tolist(), table[None], 3):
        yield "counts", partial(calls.one.loss, z, y, counts=x, **given)
    kind = calls.module.Counts
    for decay in (-1e-9, 1 + 1e-9, math.nan):
        yield "decay", partial(kind, decay=decay)
        state = {**kind(decay=0.5).state_dict(), "decay": decay}
        yield "decay of a checkpoint", partial(kind(decay=0.5).load_state_dict, state)
    full = kind(decay=0.5)
    full.add(table)
    yield "counts of another loss", lambda: full.add(torch.cat([table, table]))


def _allowed(calls: Calls) -> Iterator[tuple[str, Call]]:
    """The ends of what is allowed."""
    import torch

    z, y, w, given = _data(calls)
    columns = {n: x for n, x in given.items() if n in calls.one.setting.columns}
    own = {n: x for n, x in given.items() if n not in columns}

    def built(more: dict[str, Any]) -> Any:
        return calls.loss(**{**own, **more})(z, y, **columns)

    several: list[dict[str, Any]] = [
        *({"smooth": x} for x in (0, 1e6)),
        *({"label_smoothing": x} for x in (0, 1)),
        *({"absent": x} for x in ("diagonal", "skip", "zero")),
    ]
    if calls.one.shared:
        several += [{"classes": [CLASSES - 1]}, {"class_weight": [0.0, 0.0, 1.0]}]
    for name, value, interval in ranges(calls.plan.metric, calls.surrogate):
        inside = ends(interval, inside=True)
        several += [{name: like(value, x)} for x in inside]
    for more in several:
        name = f"{next(iter(more))}={next(iter(more.values()))}"
        yield name, partial(calls.one.loss, z, y, **{**given, **more})
        yield f"{name}, class", partial(built, more)
    if calls.options.task != "binary":  # as many samples as classes: a weight for each place
        square, labels = z[:1].reshape(1, CLASSES, -1)[:, :, :1], y.reshape(len(y), -1)[:1, :1]
        square = square.expand(CLASSES, CLASSES, 2)
        joint = calls.options.task == "multiclass"
        labels = labels.expand(CLASSES, 2) if joint else labels[..., None].expand_as(square)
        ones = torch.ones(CLASSES, 2, dtype=torch.float64)
        bare = {n: x for n, x in given.items() if n not in columns}
        yield "weight of places", partial(calls.one.loss, square, labels, weight=ones, **bare)
    yield "weight 0", lambda: calls.one.loss(z, y, weight=w * (w > 1), **given)
    yield "bool labels", lambda: calls.one.loss(z, y.to(torch.uint8), **given)
    if not calls.one.wide:
        kind = calls.module.Counts
        yield "decay 0", lambda: kind(decay=0)
        yield "decay 1", lambda: kind(decay=1)
        table = calls.loss(**own).counts(z, y, **columns)
        least = -1e-9 * table.sum()  # as rounding leaves it
        slightly = torch.where(table == table.min(), least, table)
        yield "counts below 0 by rounding", lambda: calls.one.loss(z, y, counts=slightly, **given)
        yield "empty counts", lambda: calls.one.loss(z, y, counts=0 * table, **given)
