"""F1 of the global batch under DistributedDataParallel, on two processes.

    python docs/examples/ddp.py                              # starts two processes itself
    torchrun --nproc-per-node 2 docs/examples/ddp.py         # or as many as you like

Every rank has rows of its own, not equally many. The averaged gradient is compared with that of one
process that has them all: first with a loss of each rank's own counts, whose mean over ranks is
not the F1 loss of anything, then with `process_group="world"`, which all-reduces the counts. Then a
few steps of training, in which all ranks report the same loss.
"""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from itertools import pairwise

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import metricc

RANKS, ROWS, FEATURES = 2, 200, 8


def network() -> nn.Module:
    """The same on every rank."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))


def data() -> tuple[Tensor, Tensor]:
    """The global batch: one row in twelve is positive."""
    generator = torch.Generator().manual_seed(1)
    y = (torch.rand(ROWS, generator=generator) < 1 / 12).double()
    x = torch.randn(ROWS, FEATURES, generator=generator, dtype=torch.float64)
    return x + y[:, None], y


def gradient(model: nn.Module, loss: Tensor) -> Tensor:
    """Of the parameters, after backward: under DistributedDataParallel the mean over ranks."""
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def work(rank: int, world: int, steps: int = 20) -> dict[str, float]:
    """What one rank does, in a process group that is there. The two differences, and the losses."""
    torch.set_num_threads(1)
    x, y = data()
    cut = [ROWS * k * (k + 1) // (world * (world + 1)) for k in range(world + 1)]  # uneven
    mine = slice(cut[rank], cut[rank + 1])
    one = network().double()
    wanted = gradient(one, metricc.loss("f1")(one(x), y))
    found = {}
    for name, group in {"own counts": None, "process_group": "world"}.items():
        model = DistributedDataParallel(network().double())
        loss = metricc.loss("f1", process_group=group)
        averaged = gradient(model, loss(model(x[mine]), y[mine]))
        found[name] = ((averaged - wanted).norm() / wanted.norm()).item()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(steps):
        optimizer.zero_grad()
        value = loss(model(x[mine]), y[mine])
        value.backward()
        optimizer.step()
        found["first" if step == 0 else "last"] = value.item()
    if rank == 0:
        print(f"{world} ranks with {', '.join(str(b - a) for a, b in pairwise(cut))} rows")
        print(f"each rank its own F1: the gradient is {found['own counts']:.0%} off")
        print(f'process_group="world": {found["process_group"]:.0e}')
        print(f"training: the loss of the global batch from {found['first']:.3f} ", end="")
        print(f"to {found['last']:.3f}")
    return found


def start(rank: int, store: str) -> None:
    """One of the processes that `main` starts."""
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank,
                                   world_size=RANKS, timeout=timedelta(minutes=1))  # fmt: skip
    work(rank, RANKS)
    distributed.destroy_process_group()


def main() -> None:
    if "RANK" in os.environ:  # torchrun started this process, and others
        distributed.init_process_group("gloo")
        work(distributed.get_rank(), distributed.get_world_size())
        distributed.destroy_process_group()
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(start, (f"{folder}/store",), nprocs=RANKS)


if __name__ == "__main__":
    main()
