"""Forward and backward of the F1 loss on a CPU: the generated file against what torch offers.

    python docs/benchmarks/speed.py --markdown docs/speed.md

All arms run interleaved in one process, float32, L = 10: one thread up to n = 32,768, two above.
A figure is the median of seven medians; ratios are medians of ratios within a round. Peak memory is
measured in a process of its own for each arm: how far the resident set rises above what it was
before the call, after a call on a small batch.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

import metricc

Loss = Callable[[Tensor, Tensor], Tensor]
SIZES = (256, 10_000, 65_536, 1_000_000, 16_000_000)
ROUNDS = 7
MEMORY_SIZES = (1_000_000, 16_000_000)
STEEPNESS = 10.0


def naive(z: Tensor, y: Tensor) -> Tensor:
    """The loss as one would write it: eager operations under autograd."""
    h = 1 / (1 + torch.exp(-STEEPNESS * (torch.sigmoid(z) - 0.5)))
    tp, fn, fp = (y * h).sum(), (y * (1 - h)).sum(), ((1 - y) * h).sum()
    return 1 - 2 * tp / (2 * tp + fp + fn)


def arms(compiled: bool) -> dict[str, Loss]:
    loss: Loss = metricc.loss("f1", L=STEEPNESS)
    found: dict[str, Loss] = {
        "naive": naive,
        "bce": torch.nn.functional.binary_cross_entropy_with_logits,
        "metricc": loss,
    }
    if compiled:
        found["compiled naive"] = torch.compile(naive)
        found["compiled metricc"] = torch.compile(loss, fullgraph=True)
    return found


def batch(n: int) -> tuple[Tensor, Tensor]:
    """Logits (n,) and labels (n,), one in ten positive."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, generator=generator).mul_(2).requires_grad_()
    return z, (torch.rand(n, generator=generator) < 0.1).float()


def step(loss: Loss, z: Tensor, y: Tensor) -> float:
    """Seconds of one forward and backward."""
    z.grad = None
    start = time.perf_counter()
    loss(z, y).backward()
    return time.perf_counter() - start


def check(losses: dict[str, Loss]) -> None:
    """Stop unless the gradients of all arms but cross-entropy agree."""
    z, y = batch(5_000)
    naive(z, y).backward()
    assert z.grad is not None
    wanted = z.grad.clone()
    for name, loss in losses.items():
        step(loss, z, y)
        error = ((z.grad - wanted).abs().max() / wanted.abs().max()).item()
        if name != "bce" and error > 1e-4:
            sys.exit(f"the gradient of {name} is off by {error:.1e}: nothing was timed")


def measure(losses: dict[str, Loss], n: int, seconds: float) -> dict[str, list[float]]:
    """Seven medians per arm, in seconds, the arms interleaved call by call."""
    torch.set_num_threads(1 if n <= 32_768 else 2)
    z, y = batch(n)
    once = max(sum(step(loss, z, y) for loss in losses.values()) for _ in range(3))
    repetitions = max(3, min(300, int(seconds / ROUNDS / once)))
    medians: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(ROUNDS):
        times: dict[str, list[float]] = {name: [] for name in losses}
        for _ in range(repetitions):
            for name, loss in losses.items():
                times[name].append(step(loss, z, y))
        for name, taken in times.items():
            medians[name].append(statistics.median(taken))
    return medians


def peak(name: str, n: int) -> float:
    """MiB by which one forward and backward raises the resident set, sampled every 0.2 ms."""
    page = 4096 / 2**20
    loss = arms("compiled" in name)[name]
    torch.set_num_threads(2)
    for size in (64, 128, n if "compiled" in name else 64):
        step(loss, *batch(size))
    z, y = batch(n)
    statm = Path("/proc/self/statm")
    highest, done = [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            highest[0] = max(highest[0], int(statm.read_text().split()[1]))
            time.sleep(0.0002)

    before = int(statm.read_text().split()[1])
    watcher = threading.Thread(target=watch)
    watcher.start()
    step(loss, z, y)
    done.set()
    watcher.join()
    return max(highest[0], int(statm.read_text().split()[1]), before) * page - before * page


def memory(names: list[str], sizes: tuple[int, ...]) -> dict[tuple[str, int], float]:
    found = {}
    for name in track(names, description="memory", transient=True):
        for n in sizes:
            command = [sys.executable, __file__, "--peak", name, str(n)]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[name, n] = float(printed.split()[-1])
    return found


def ratio(over: list[float], under: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(over, under, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def report(
    results: dict[int, dict[str, list[float]]], peaks: dict[tuple[str, int], float], command: str
) -> str:
    """The tables as Markdown, with what they were measured on."""
    names = list(next(iter(results.values())))
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    lines = ["# Speed", "", (__doc__ or "").split("\n\n")[0], ""]
    lines += [f"Made by `{command}` on {dt.date.today()}: metricc {metricc.__version__},"]
    lines += [f"torch {torch.__version__}, Python {platform.python_version()}, {cpu}."]
    lines += [(__doc__ or "").split("\n\n", 2)[2].strip(), "", "Microseconds per step:", ""]
    lines += ["| n | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for n, medians in results.items():
        cells = (f"{statistics.median(medians[name]) * 1e6:,.0f}" for name in names)
        lines.append(f"| {n:,} | " + " | ".join(cells) + " |")
    lines += ["", "Ratios of times, median (least to greatest of seven rounds):", ""]
    heads = ["naive / metricc", "metricc / bce"]
    heads += ["compiled naive / metricc", "compiled naive / compiled metricc"]
    heads = [h for h in heads if all(part in names for part in h.split(" / "))]
    lines += ["| n | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for n, medians in results.items():
        cells = (ratio(*(medians[part] for part in head.split(" / "))) for head in heads)
        lines.append(f"| {n:,} | " + " | ".join(cells) + " |")
    sizes = sorted({n for _, n in peaks})
    if sizes:
        lines += [
            "",
            "Peak memory beyond the inputs, MiB (the gradient alone: 4 bytes an element):",
        ]
        lines += [
            "",
            "| n | gradient | " + " | ".join(names) + " |",
            "|---|" + "---|" * (len(names) + 1),
        ]
        for n in sizes:
            cells = (f"{peaks[name, n]:.0f}" for name in names)
            lines.append(f"| {n:,} | {4 * n / 2**20:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each size")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--peak", nargs=2, metavar=("ARM", "N"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print(peak(given.peak[0], int(given.peak[1])))
        return
    if given.quick:
        given.sizes, given.seconds, given.no_compile = [256, 65_536], 0.5, True
    losses = arms(not given.no_compile)
    check(losses)
    sizes = track(given.sizes, description="time", transient=True)
    results = {n: measure(losses, n, given.seconds) for n in sizes}
    peaks = {} if given.quick else memory(list(losses), MEMORY_SIZES)
    command = shlex.join(["python", "docs/benchmarks/speed.py", *sys.argv[1:]])
    text = report(results, peaks, command)
    print(text)
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
