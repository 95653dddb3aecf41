"""Forward and backward of a loss on a GPU: the file of target triton against torch.compile.

    python docs/benchmarks/gpu_speed.py --check

All arms run in one process, float32, in turns of a few calls. A figure is the median of seven
rounds; ratios are medians of ratios within a round, with the least and the greatest. `triton` is
the loss as generated with `--target triton`, `naive` is its formula in torch's operations under
autograd, `compiled` is `torch.compile(naive)`, `fused` is `torch.compile` of the generated loss,
`bce` is `binary_cross_entropy_with_logits`. The floor is the time in which the GPU, at the
bandwidth of a copy measured here, reads input and target twice and writes the gradient once.
`--check` exits with 1 where a target is missed: 1.25 of the floor at 64 M elements, and no slower
than `compiled` or `fused` anywhere. Without CUDA nothing is measured, and the exit is 2.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

import metricc

Loss = Callable[[Tensor, Tensor], Tensor]
SIZES = (1_000, 16_000, 256_000, 1_000_000, 4_000_000, 16_000_000, 64_000_000)
IMAGES = (8, 21, 256, 256)
ROUNDS = 7
FLOOR = 1.25  # at the largest size
SLACK = 1.02  # what timing alone makes of equal times


def naive(z: Tensor, y: Tensor) -> Tensor:
    h = 1 / (1 + torch.exp(-10.0 * (torch.sigmoid(z) - 0.5)))
    tp, fn, fp = (y * h).sum(), (y * (1 - h)).sum(), ((1 - y) * h).sum()
    return 1 - 2 * tp / (2 * tp + fn + fp)


def naive_dice(z: Tensor, y: Tensor) -> Tensor:
    p = torch.softmax(z, 1)
    hot = torch.nn.functional.one_hot(y, z.shape[1]).movedim(-1, 1).to(p.dtype)
    tp, true, predicted = ((t).sum((0, 2, 3)) for t in (p * hot, hot, p))
    return 1 - (2 * tp / (true + predicted)).mean()


def step(loss: Loss, z: Tensor, y: Tensor) -> None:
    z.grad = None
    loss(z, y).backward()


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], calls: int, device: str) -> float:
    """Of one call, the GPU's work included, in a burst of calls."""
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(calls):
        work()
    synchronize(device)
    return (time.perf_counter() - begin) / calls


def rounds(arms: dict[str, Callable[[], object]], device: str) -> dict[str, list[float]]:
    """Seconds of each arm in each round, interleaved."""
    calls = {}
    for name, work in arms.items():
        for _ in range(3):
            work()
        calls[name] = max(1, min(50, int(0.05 / max(seconds(work, 1, device), 1e-6))))
    found: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(ROUNDS):
        for name, work in arms.items():
            found[name].append(seconds(work, calls[name], device))
    return found


def ratio(times: dict[str, list[float]], one: str, other: str) -> tuple[float, str]:
    """How many times longer `one` takes than `other`."""
    found = [a / b for a, b in zip(times[one], times[other], strict=True)]
    middle = statistics.median(found)
    return middle, f"{middle:.2f} ({min(found):.2f} to {max(found):.2f})"


def arms_of(losses: dict[str, Loss], z: Tensor, y: Tensor) -> dict[str, Callable[[], object]]:
    return {name: lambda loss=loss: step(loss, z, y) for name, loss in losses.items()}


def binary(n: int, device: str) -> tuple[dict[str, list[float]], float]:
    """The arms' times at n elements, and the bytes' floor."""
    z = torch.randn(n, device=device, requires_grad=True)
    y = (torch.rand(n, device=device) < 0.1).float()
    loss = metricc.compile("f1", target="triton").loss(L=10.0)
    losses: dict[str, Loss] = {
        "triton": loss,
        "fused": torch.compile(loss, dynamic=False),
        "compiled": torch.compile(naive, dynamic=False),
        "naive": naive,
        "bce": torch.nn.functional.binary_cross_entropy_with_logits,
    }
    torch._dynamo.reset()
    copy = torch.empty_like(y)
    arms = arms_of(losses, z, y) | {"copy": lambda: copy.copy_(y)}
    times = rounds(arms, device)
    # A copy moves 8 bytes an element; the loss must move 20.
    return times, statistics.median(times["copy"]) * 20 / 8


def images(device: str, shape: tuple[int, ...] = IMAGES) -> dict[str, list[float]]:
    """The arms' times for macro F1 (Dice) over a softmax."""
    z = torch.randn(shape, device=device, requires_grad=True)
    y = torch.randint(0, shape[1], (shape[0], *shape[2:]), device=device)
    loss = metricc.compile("f1", task="multiclass", target="triton").loss()
    losses: dict[str, Loss] = {
        "triton": loss,
        "fused": torch.compile(loss, dynamic=False),
        "compiled": torch.compile(naive_dice, dynamic=False),
        "naive": naive_dice,
    }
    torch._dynamo.reset()
    return rounds(arms_of(losses, z, y), device)


def peak(n: int) -> float:
    """MiB that the loss takes beyond its inputs and the gradient."""
    z = torch.randn(n, device="cuda", requires_grad=True)
    y = (torch.rand(n, device="cuda") < 0.1).float()
    loss = metricc.compile("f1", target="triton").loss()
    step(loss, z, y)
    z.grad = None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    loss(z, y).backward()
    return (torch.cuda.max_memory_allocated() - before - 4 * n) / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--device", default="cuda", help="cpu tries the program, not the GPU")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    device: str = given.device
    if device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing was measured", file=sys.stderr)
        return 2
    where = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    versions = f"metricc {metricc.__version__}, torch {torch.__version__}"
    try:
        import triton

        versions += f", triton {triton.__version__}"
    except ImportError:
        print("triton is not installed: nothing was measured", file=sys.stderr)
        return 2
    print(f"{versions}, Python {platform.python_version()}, {where}\n")
    print("| n | triton µs | floor µs | triton / floor | / fused | / compiled | / naive | / bce |")
    print("|---|---|---|---|---|---|---|---|")
    missed = []
    for n in given.sizes:
        times, floor = binary(n, device)
        times["floor"] = [floor] * ROUNDS
        columns = [ratio(times, "triton", name) for name in ("floor", "fused", "compiled")]
        more = [ratio(times, "triton", name)[1] for name in ("naive", "bce")]
        figures = [f"{1e6 * statistics.median(times['triton']):,.1f}", f"{1e6 * floor:,.1f}"]
        print(
            f"| {n:,} |", " | ".join([*figures, *(c[1] for c in columns), *more]), "|", flush=True
        )
        if n == max(SIZES) and columns[0][0] > FLOOR:
            missed.append(f"{columns[0][0]:.2f} of the floor at {n:,} (target: {FLOOR})")
        for name, (middle, _) in zip(("fused", "compiled"), columns[1:], strict=True):
            if middle > SLACK:
                missed.append(f"{middle:.2f} of {name}'s time at {n:,} (target: 1)")
    shape = IMAGES if device == "cuda" else (2, 3, 4, 4)
    times = images(device, shape)
    for name in ("fused", "compiled", "naive"):
        print(f"\nsoftmax {shape}: triton / {name}: {ratio(times, 'triton', name)[1]}", end="")
    print()
    if device == "cuda":
        print(f"memory beyond inputs and gradient at 16 M: {peak(16_000_000):.2f} MiB")
    print("\n".join(f"missed: {fact}" for fact in missed))
    return 1 if given.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
