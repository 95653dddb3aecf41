"""The form that compilers, torch.func and GPUs see: nothing can be looked at while it runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

from metricc import ir
from metricc.verify.agreement import some
from metricc.verify.calling import Calls
from metricc.verify.case import Case, Found, compared, rounded, tensors


def traced(cases: list[Case], dtype: str, allowed: tuple[float, float]) -> ir.Check:
    """Loss and gradient by `torch.func.grad_and_value`, which hides the numbers from the file."""
    import torch

    found = Found()
    for one in cases:
        for seed, spread, soft in ((11, 1.5, True), (12, 8.0, False)):
            data = rounded(one.full(some(one, 24, spread, seed, soft)), dtype)
            input, target, weight = tensors(data, one.setting.task, dtype)
            columns = one.columns(data, dtype)

            def loss(z: torch.Tensor, one=one, given=(target, weight), columns=columns):  # type: ignore[no-untyped-def]
                return one(z, *given, **columns)

            slopes, value = torch.func.grad_and_value(loss)(input.detach())
            found.add(compared(one, data, value, slopes, dtype))
    return found.check(f"{dtype} under torch.func, {found.elements} elements", allowed)


def unseen(calls: Calls) -> ir.Check:
    """Shapes and dtypes of loss and gradient on fake tensors: that is how compilers run a file."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    one, wrong, batches = calls.one, list[str](), 0
    data = calls.data(soft=False)
    given = {**one.parameters, **one.setting.arguments}
    others = {n: x for n, x in calls.others.items() if n in calls.policies}
    chosen: list[dict[str, Any]] = [{}, *({n: x} for n, x in others.items())]
    for dtype in ("float64", "float16"):
        input, target, weight = tensors(data, calls.options.task, dtype)
        columns = one.columns(data, dtype)
        mask = torch.arange(len(target)) % 4 != 1
        counts = (
            {} if one.wide else {"counts": calls.loss(**given).counts(input, target, **columns)}
        )
        input = input.detach()
        several = [{"mask": mask, "weight": weight}, counts, {"weight": weight, **counts}]
        for own in (*chosen, *several):
            with FakeTensorMode() as fake, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a file asks for memory, and gets none

                def unreal(x: Any, fake: Any = fake) -> Any:
                    return fake.from_tensor(x) if isinstance(x, torch.Tensor) else x

                z = unreal(input).requires_grad_()
                passed = {n: unreal(x) for n, x in {**given, **columns, **own}.items()}
                loss = one.loss(z, unreal(target), **passed)
                (slopes,) = torch.autograd.grad(loss.sum(), z)
            working = torch.float64 if dtype == "float64" else torch.float32
            sound = loss.dtype == working and slopes.dtype == input.dtype
            wrong += [] if sound and slopes.shape == input.shape else [f"{dtype}, {[*own]}"]
            batches += 1
    wrong += ["a running mean under torch.func"] * (not one.wide and _differs(calls))
    measured = f"{len(wrong)} wrong" + (f": {wrong[0]}" if wrong else "")
    return ir.Check(f"{batches} batches of fake tensors", measured, "0 wrong", not wrong)


def _differs(calls: Calls) -> bool:
    """Whether a running mean is another one under `torch.func`."""
    import torch

    data = calls.data(soft=False)
    input, target, weight = tensors(data, calls.options.task)
    columns = calls.one.columns(data)

    def loss(z: torch.Tensor) -> Any:
        mean = calls.module.Counts(decay=0.5)
        return calls.one(z, target, weight, counts=mean, **columns).sum()

    slopes, value = torch.func.grad_and_value(loss)(input.detach())
    usual = loss(input)
    usual.backward()
    usual = usual.detach()
    apart = max(float(abs(value - usual)), float(abs(slopes - input.grad).max()))
    return not apart <= 1e-12 * (1 + float(abs(usual)))


@contextmanager
def hidden(module: ModuleType) -> Iterator[bool]:
    """The file as it runs where it cannot look at tensors; False where it has no such form."""
    if not hasattr(module, "_at_once"):
        yield False
        return
    with patch.object(module, "_at_once", lambda *_: False):
        yield True
