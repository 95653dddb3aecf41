"""A batch that does not fit in memory: the full batch fails, two passes give its gradient.

    python docs/examples/micro_batches.py            # Linux: it caps the memory of its processes

A small convolutional network marks discs in 24 noisy images; the loss is 1 - F1 over all pixels of
the batch, in float64. Three processes compute the gradient of the parameters: one without a cap on
the whole batch; two that may take no more than CAP above what the program takes before the first
batch, the one on the whole batch, the other on micro-batches of 2 images, in two passes.
"""

from __future__ import annotations

import re
import resource
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import metricc

IMAGES, SIDE, MICRO = 24, 96, 2
CAP = 128  # MiB


def network() -> nn.Module:
    """Five convolutions; what autograd keeps of them is some 40 MiB an image."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(1, 32, 3, padding=1), nn.GELU()]
    for _ in range(3):
        layers += [nn.Conv2d(32, 32, 3, padding=1), nn.GELU()]
    return nn.Sequential(*layers, nn.Conv2d(32, 1, 1), nn.Flatten(0)).double()


def data() -> tuple[Tensor, Tensor]:
    """Noisy images (N, 1, side, side) and which pixels are of the disc."""
    generator = torch.Generator().manual_seed(1)
    place = torch.rand(IMAGES, 2, 1, 1, generator=generator, dtype=torch.float64) * SIDE
    axis = torch.arange(SIDE, dtype=torch.float64)
    inside = (axis[:, None] - place[:, :1]) ** 2 + (axis - place[:, 1:]) ** 2 < (SIDE / 10) ** 2
    noise = torch.randn(inside.shape, generator=generator, dtype=torch.float64)
    return inside + noise, inside


def full_batch(model: nn.Module, loss: Any, images: Tensor, labels: Tensor) -> float:
    value = loss(model(images), labels.flatten())
    value.backward()
    return value.item()


def micro_batches(model: nn.Module, loss: Any, images: Tensor, labels: Tensor) -> float:
    micro = [*zip(images.split(MICRO), labels.split(MICRO), strict=True)]
    with torch.no_grad():  # the first pass: counts, which are four numbers
        total = sum(loss.counts(model(x), y.flatten()) for x, y in micro)
    for x, y in micro:  # the second: gradients, which add up in .grad
        value = loss(model(x), y.flatten(), counts=total)
        value.backward()
    return value.item()


def memory(what: str) -> int:
    """VmSize or VmHWM of this process, in MiB."""
    found = re.search(rf"{what}:\s*(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    return int(found[1]) // 1024 if found else 0


def run(way: str, cap: int | None, result: str) -> None:
    """One process: the gradient, or the error, and the memory that it took, in a file."""
    torch.set_num_threads(1)
    model, loss, (images, labels) = network(), metricc.loss("f1"), data()
    # One image, for what libraries and threads allocate the first time.
    full_batch(network(), loss, images[:1], labels[:1])
    before = memory("VmHWM")
    if cap is not None:
        limit = (memory("VmSize") + cap) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found: dict[str, Any] = {}
    try:
        compute = full_batch if way == "full batch" else micro_batches
        found["loss"] = compute(model, loss, images, labels)
        found["gradient"] = torch.cat([p.grad.flatten() for p in model.parameters()])
    except (RuntimeError, MemoryError) as error:  # torch says "can't allocate memory"
        said = re.search(r"tried to allocate \d+ bytes", str(error))
        found["error"] = said[0] if said else str(error)
    found["memory"] = memory("VmHWM") - before
    torch.save(found, result)


def main() -> dict[str, Any]:
    """What the three processes found; "apart" is how far the two gradients are from each other."""
    if sys.platform != "linux":
        raise SystemExit("this program caps the memory of its processes as Linux does it")
    found: dict[str, Any] = {}
    ways = {"no cap": ("full batch", None), "full batch": ("full batch", CAP),
            "micro-batches": ("micro-batches", CAP)}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, (way, cap) in ways.items():
            file = f"{folder}/{name}.pt"
            process = get_context("spawn").Process(target=run, args=(way, cap, file))
            process.start()
            process.join()
            found[name] = torch.load(file) if Path(file).exists() else {"error": "killed"}
    wanted = found["no cap"]["gradient"]
    gradient = found["micro-batches"]["gradient"]
    found["apart"] = ((gradient - wanted).abs().max() / wanted.abs().max()).item()
    for name, (way, cap) in ways.items():
        row = found[name]
        what = f"failed: {row['error']}" if "error" in row else f"loss {row['loss']:.12f}"
        limit = "no cap" if cap is None else f"a cap of {cap} MiB"
        print(f"{way}, {limit}: took {row.get('memory', 0)} MiB; {what}")
    print(f"the gradients differ by {found['apart']:.1e} of the largest element")
    return found


if __name__ == "__main__":
    main()
