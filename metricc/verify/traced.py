"""The form that compilers, torch.func and GPUs see: nothing can be looked at while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

from metricc import ir
from metricc.verify.agreement import some
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


@contextmanager
def hidden(module: ModuleType) -> Iterator[bool]:
    """The file as it runs where it cannot look at tensors; False where it has no such form."""
    if not hasattr(module, "_at_once"):
        yield False
        return
    with patch.object(module, "_at_once", lambda *_: False):
        yield True
