"""Two ranks against one process: two threads, each with a part of the batch, that exchange sums."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from metricc import ir
from metricc.verify.agreement import apart, difference, small, some
from metricc.verify.case import Case, tensors
from metricc.verify.points import worse

RANKS = 2
PATIENCE = 30  # seconds that a rank waits for the other


def ranks(one: Case) -> ir.Check:
    """Loss and gradient with `process_group=`, where one rank has a third of the batch, or none."""
    import torch

    data = one.full(some(one, 24, 1.5, 17, True))
    input, target, weight = tensors(data, one.setting.task)
    columns = one.columns(data)
    whole = one(input, target, weight, **columns)
    whole.backward()
    error: Any = 0
    for cut in (len(input) // 3, 0):
        with _connected() as group, ThreadPoolExecutor(RANKS) as pool:

            def part(rank: int, cut: int = cut, group: Any = group) -> tuple[Any, Any]:
                group.here.rank = rank
                mine = slice(cut, None) if rank else slice(cut)
                z, y = input.detach()[mine].clone().requires_grad_(), target[mine]
                v = None if weight is None else weight[mine]
                own = {name: column[mine] for name, column in columns.items()}
                try:
                    loss = one(z, y, v, process_group=group.handle, **own)
                    loss.backward()
                except BaseException:
                    group.barrier.abort()  # the other need not wait
                    raise
                return loss.detach(), z.grad

            found = list(pool.map(part, range(RANKS)))
        for loss, _ in found:
            error = worse(error, apart(loss, whole.detach()))
        slopes = torch.cat([slopes for _, slopes in found])
        error = worse(error, difference(slopes / RANKS, input.grad))
    return small("two ranks = one process", error)


class _Group:
    """What stands for a process group of two: sums wait until both ranks have come."""

    def __init__(self) -> None:
        import torch

        self.handle = torch.distributed.ProcessGroup(0, RANKS)  # type: ignore[call-arg]
        self.here = threading.local()
        self.barrier = threading.Barrier(RANKS, timeout=PATIENCE)
        self.brought: list[Any] = [None] * RANKS

    def all_reduce(self, tensor: Any, group: Any = None) -> None:
        self.brought[self.here.rank] = tensor.detach().clone()
        self.barrier.wait()
        tensor.detach().copy_(sum(self.brought))
        self.barrier.wait()


@contextmanager
def _connected() -> Iterator[_Group]:
    """`torch.distributed` as two ranks see it, each in a thread of its own."""
    import torch

    group = _Group()
    with patch.multiple(
        torch.distributed,
        is_initialized=lambda: True,
        get_rank=lambda group_=None: group.here.rank,
        get_world_size=lambda group_=None: RANKS,
        all_reduce=group.all_reduce,
    ):
        yield group
