"""Two ranks against one process: two threads, each with a part of the batch, that exchange sums."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from metricc import ir
from metricc.verify.agreement import apart, difference, small, some
from metricc.verify.calling import Calls
from metricc.verify.case import tensors
from metricc.verify.points import worse

RANKS = 2
PATIENCE = 30  # seconds that a rank waits for the other


def ranks(calls: Calls) -> ir.Check:
    """Loss and gradient with `process_group=`, where one rank has a third of the batch, or none.

    At the batch's own counts, at counts that are given, and at a running mean; and that second
    derivatives, which would need more than these sums, are refused.
    """
    import torch

    one = calls.one
    data = one.full(some(one, 24, 1.5, 17, True))
    input, target, weight = tensors(data, one.setting.task)
    columns = one.columns(data)
    whole = one(input, target, weight, **columns)
    whole.backward()
    kinds: list[Any] = [lambda: None]
    if not one.wide:
        settled = calls.loss(**one.parameters, **one.setting.arguments)
        total = settled.counts(input, target, weight, **columns)
        kinds += [lambda: total, lambda: calls.module.Counts(decay=0.5)]
    error: Any = 0
    for cut, kind in ((len(input) // 3, kinds[0]), *((0, kind) for kind in kinds)):
        with connected() as group:

            def part(rank: int, cut: int = cut, kind: Any = kind, group: Any = group) -> Any:
                mine = slice(cut, None) if rank else slice(cut)
                z, y = input.detach()[mine].clone().requires_grad_(), target[mine]
                v = None if weight is None else weight[mine]
                own: dict[str, Any] = {name: column[mine] for name, column in columns.items()}
                own |= {"process_group": group.handle}
                own |= {} if one.wide else {"counts": kind()}
                loss = one(z, y, v, **own)
                loss.backward()
                again = one(z, y, v, **own) if kind is kinds[0] else None
                return loss.detach(), z.grad, again is None or _refuses(again, z)

            found = group.run(part)
        for loss, _, refused in found:
            error = worse(error, apart(loss, whole.detach()) if refused else float("inf"))
        slopes = torch.cat([slopes for _, slopes, _ in found])
        error = worse(error, difference(slopes / RANKS, input.grad))
    return small("two ranks = one process", error)


def _refuses(loss: Any, input: Any) -> bool:
    import torch

    try:
        torch.autograd.grad(loss, input, create_graph=True)
    except NotImplementedError:
        return True
    return False


class _Group:
    """What stands for a process group of two: sums wait until both ranks have come."""

    def __init__(self) -> None:
        import torch

        self.handle = torch.distributed.ProcessGroup(0, RANKS)  # type: ignore[call-arg]
        self.here = threading.local()
        self.barrier = threading.Barrier(RANKS, timeout=PATIENCE)
        self.brought: list[Any] = [None] * RANKS

    def run(self, part: Callable[[int], Any]) -> list[Any]:
        """What each rank, a thread, returns. Where one raises, the other need not wait for it."""

        def alone(rank: int) -> Any:
            self.here.rank = rank
            try:
                return part(rank)
            except BaseException:
                self.barrier.abort()
                raise

        with ThreadPoolExecutor(RANKS) as pool:
            found = [pool.submit(alone, rank) for rank in range(RANKS)]
        errors = [error for f in found if (error := f.exception()) is not None]
        # That the other was waited for in vain is not what went wrong.
        errors.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError))
        if errors:
            raise errors[0]
        return [f.result() for f in found]

    def get_rank(self, group: Any = None) -> int:
        assert group is self.handle, "the process group is another"
        return int(self.here.rank)

    def get_world_size(self, group: Any = None) -> int:
        assert group is self.handle, "the process group is another"
        return RANKS

    def all_reduce(self, tensor: Any, group: Any = None) -> None:
        assert group is self.handle, "the process group is another"
        self.brought[self.here.rank] = tensor.detach().clone()
        self.barrier.wait()
        tensor.detach().copy_(sum(self.brought))
        self.barrier.wait()


@contextmanager
def connected() -> Iterator[_Group]:
    """`torch.distributed` as two ranks see it, each in a thread of its own."""
    import torch

    group = _Group()
    with patch.multiple(
        torch.distributed,
        is_initialized=lambda: True,
        get_rank=group.get_rank,
        get_world_size=group.get_world_size,
        all_reduce=group.all_reduce,
    ):
        yield group
