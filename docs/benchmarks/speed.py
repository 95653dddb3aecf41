"""Forward and backward of the F1 loss on a CPU: the generated file against what torch offers.

    python docs/benchmarks/speed.py --markdown docs/speed.md

All arms run in one process, float32, L = 10, in turns of 3 to 20 calls: one thread up to n =
32,768, two above. A figure is the median of seven medians; ratios are medians of ratios within
a round, with the least and the greatest. `naive` is the loss spelled with torch's operations
under autograd, `bce` is `binary_cross_entropy_with_logits`, `compiled` is
`torch.compile(naive)`; `metricc` is the file as generated, `built` with the kernel of `metricc
build`, `node` with that and its autograd node (`--node`), `fused` is `torch.compile(loss)`.
`floor` is what any loss of counts must do: read logits and labels once (a dot product) and
write a fresh gradient (`torch.full_like`). Peak memory is measured in a process of its own for
each arm: how far the resident set rises above what it was before the call, after a call on a
small batch.

Targets stand beside the ratios that have one. What was tried where they are missed is in the
decisions (docs/decisions.md, "What was tried for small batches").
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor
from turns import ROUNDS, Loss, in_turns, processor, ratio, rise, step

import metricc
from metricc.load import load_file

SIZES = (32, 256, 4_096, 65_536, 1_000_000, 16_000_000, 64_000_000)
MEMORY_SIZES = (1_000_000, 16_000_000)
STEEPNESS = 10.0
ARMS = ("metricc", "built", "node", "fused")
# At least so much faster than naive, at most this share of BCE's time, at least so much faster than
# compiled.
TARGETS = {
    "metricc": {
        256: (1.8, 2.8, 1.1),
        65_536: (1.5, 1.8, 0.75),
        1_000_000: (3, 1.8, 0.55),
        16_000_000: (8, 0.6, 0.6),
    },
    "built": {
        256: (2.7, 1.9, 1.7),
        65_536: (2.6, 1.0, 1.5),
        1_000_000: (4.5, 0.8, 1.2),
        16_000_000: (15, 0.35, 1.0),
    },
    "node": {
        256: (2.7, 1.0, 1.7),
        65_536: (2.6, 1.0, 1.5),
        1_000_000: (4.5, 0.8, 1.2),
        16_000_000: (15, 0.35, 1.0),
    },
    "fused": {1_000_000: (None, None, 0.95), 16_000_000: (13, 0.4, 0.93)},
}


def naive(z: Tensor, y: Tensor) -> Tensor:
    """The loss as one would write it: eager operations under autograd."""
    h = 1 / (1 + torch.exp(-STEEPNESS * (torch.sigmoid(z) - 0.5)))
    tp, fn, fp = (y * h).sum(), (y * (1 - h)).sum(), ((1 - y) * h).sum()
    return 1 - 2 * tp / (2 * tp + fp + fn)


def built(folder: Path, *options: str) -> Loss:
    """The loss of a saved file whose kernel was built."""
    path = folder / "f1_loss.py"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        metricc.compile("f1").save(path)
        command = [sys.executable, "-m", "metricc", "build", str(path), *options]
        subprocess.run(command, check=True, capture_output=True)
    loss: Loss = load_file(path, f"f1_loss_of_{folder.name}").F1Loss(L=STEEPNESS)
    return loss


def arms(names: list[str], folder: Path) -> dict[str, Loss]:
    makers: dict[str, Callable[[], Loss]] = {
        "naive": lambda: naive,
        "bce": lambda: torch.nn.functional.binary_cross_entropy_with_logits,
        "compiled": lambda: torch.compile(naive),
        "metricc": lambda: metricc.loss("f1", L=STEEPNESS),
        "mcc": lambda: metricc.loss("mcc", L=STEEPNESS),
        "built": lambda: built(folder / "c"),
        "node": lambda: built(folder / "node", "--node"),
        "fused": lambda: torch.compile(metricc.loss("f1", L=STEEPNESS), fullgraph=True),
    }
    return {name: makers[name]() for name in names}


def batch(n: int) -> tuple[Tensor, Tensor]:
    """Logits (n,) and labels (n,), one in ten positive."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, generator=generator).mul_(2).requires_grad_()
    return z, (torch.rand(n, generator=generator) < 0.1).float()


def floor(z: Tensor, y: Tensor) -> float:
    """Seconds of one read of logits and labels and one write of a fresh gradient."""
    z.grad = None
    with torch.no_grad():
        start = time.perf_counter()
        torch.dot(z, y)
        torch.full_like(z, 0.5)
        return time.perf_counter() - start


def check(losses: dict[str, Loss]) -> None:
    """Stop unless the gradients of all arms of F1 agree."""
    z, y = batch(5_000)
    naive(z, y).backward()
    assert z.grad is not None
    wanted = z.grad.clone()
    for name, loss in losses.items():
        step(loss, z, y)
        error = ((z.grad - wanted).abs().max() / wanted.abs().max()).item()
        if name not in ("bce", "mcc") and error > 1e-4:
            sys.exit(f"the gradient of {name} is off by {error:.1e}: nothing was timed")


def measure(losses: dict[str, Loss], n: int, seconds: float) -> dict[str, list[float]]:
    """Seven medians per arm, in seconds, the arms in turns of up to 20 calls."""
    torch.set_num_threads(1 if n <= 32_768 else 2)
    z, y = batch(n)
    steps = {name: lambda loss=loss: step(loss, z, y) for name, loss in losses.items()}
    steps["floor"] = lambda: floor(z, y)
    once = min(sum(call() for call in steps.values()) for _ in range(3))
    turn = max(3, min(20, int(0.02 / once * len(steps))))
    turns = max(1, min(60, int(seconds / ROUNDS / once / turn)))
    return in_turns(steps, turns, turn)


def peak(name: str, n: int, folder: Path) -> float:
    """MiB by which one forward and backward raises the resident set."""
    loss = arms([name], folder)[name]
    torch.set_num_threads(2)
    for size in (64, 128, n if name in ("compiled", "fused") else 64):
        step(loss, *batch(size))
    z, y = batch(n)
    return rise(lambda: step(loss, z, y))


def memory(names: list[str], sizes: tuple[int, ...], folder: Path) -> dict[tuple[str, int], float]:
    found = {}
    for name in track(names, description="memory", transient=True):
        for n in sizes:
            command = [sys.executable, __file__, "--peak", name, str(n), str(folder)]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[name, n] = float(printed.split()[-1])
    return found


def compared(arm: str, results: dict[int, dict[str, list[float]]]) -> list[str]:
    """The rows of one arm's table: each ratio, and its target where there is one."""
    rows = []
    for n, medians in results.items():
        own = medians[arm]
        cells = []
        wanted = TARGETS[arm].get(n, (None, None, None))
        kinds = (("naive", True), ("bce", False), ("compiled", True))
        for (other, faster), target in zip(kinds, wanted, strict=True):
            if other not in medians:
                cells.append("")
                continue
            got, text = ratio(medians[other], own) if faster else ratio(own, medians[other])
            if target is not None:
                met = got >= target if faster else got <= target
                text += f"; {'at least' if faster else 'at most'} {target}: "
                text += "met" if met else "**missed**"
            cells.append(text)
        rows.append(f"| {n:,} | " + " | ".join(cells) + " |")
    return rows


def report(
    results: dict[int, dict[str, list[float]]], peaks: dict[tuple[str, int], float], command: str
) -> str:
    """The tables as Markdown, with what they were measured on."""
    names = list(next(iter(results.values())))
    lines = ["# Speed", "", (__doc__ or "").split("\n\n")[0], ""]
    lines += [f"Made by `{command}` on {dt.date.today()}: metricc {metricc.__version__},"]
    lines += [f"torch {torch.__version__}, Python {platform.python_version()}, {processor()}."]
    lines += [(__doc__ or "").split("\n\n", 2)[2].strip(), "", "Microseconds per step:", ""]
    lines += ["| n | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for n, medians in results.items():
        cells = (f"{statistics.median(medians[name]) * 1e6:,.0f}" for name in names)
        lines.append(f"| {n:,} | " + " | ".join(cells) + " |")
    for arm in ARMS:
        if arm not in names:
            continue
        lines += ["", f"`{arm}`, median (least to greatest of seven rounds):", ""]
        lines += ["| n | naive / it | it / bce | compiled / it |", "|---|---|---|---|"]
        lines += compared(arm, results)
    lines += ["", "Share of the floor's time, and of F1's for MCC:", ""]
    heads = [(arm, "floor") for arm in (*ARMS, "bce") if arm in names]
    heads += [("mcc", "metricc")] * ("mcc" in names)
    lines += ["| n | " + " | ".join(f"{a} / {b}" for a, b in heads) + " |"]
    lines += ["|---|" + "---|" * len(heads)]
    for n, medians in results.items():
        cells = (ratio(medians[a], medians[b])[1] for a, b in heads)
        lines.append(f"| {n:,} | " + " | ".join(cells) + " |")
    sizes = sorted({n for _, n in peaks})
    if sizes:
        lines += ["", "Peak memory beyond the inputs, MiB (the gradient: 4 bytes an element):", ""]
        shown = list(dict.fromkeys(name for name, _ in peaks))
        lines += [
            "| n | gradient | " + " | ".join(shown) + " |",
            "|---|" + "---|" * (len(shown) + 1),
        ]
        for n in sizes:
            cells = (f"{peaks[name, n]:.1f}" for name in shown)
            lines.append(f"| {n:,} | {4 * n / 2**20:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each size")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--no-build", action="store_true", help="leave the built kernels out")
    parser.add_argument("--quick", action="store_true", help="small sizes, a few seconds")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--peak", nargs=3, metavar=("ARM", "N", "DIR"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print(peak(given.peak[0], int(given.peak[1]), Path(given.peak[2])))
        return
    if given.quick:
        given.sizes, given.seconds, given.no_compile = [256, 65_536], 0.5, True
        given.no_build = True
    names = ["naive", "bce", *["compiled"] * (not given.no_compile), "metricc", "mcc"]
    names += ["built", "node"] * (not given.no_build) + ["fused"] * (not given.no_compile)
    with tempfile.TemporaryDirectory() as folder:
        losses = arms(names, Path(folder))
        check(losses)
        sizes = track(given.sizes, description="time", transient=True)
        results = {n: measure(losses, n, given.seconds) for n in sizes}
        kept = [name for name in names if name != "mcc"]
        peaks = {} if given.quick else memory(kept, MEMORY_SIZES, Path(folder))
    command = shlex.join(["python", "docs/benchmarks/speed.py", *sys.argv[1:]])
    text = report(results, peaks, command)
    print(text)
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
