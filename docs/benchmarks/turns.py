"""What the measurements of speed have in common: arms in turns, ratios, the peak of the memory."""

from __future__ import annotations

import platform
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
ROUNDS = 7


def step(loss: Loss, z: Tensor, y: Tensor) -> float:
    """Seconds of one forward and backward."""
    z.grad = None
    start = time.perf_counter()
    loss(z, y).backward()
    return time.perf_counter() - start


def in_turns(
    calls: Mapping[str, Callable[[], float]], turns: int, turn: int
) -> dict[str, list[float]]:
    """Of each arm a median a round, in seconds; in each of the turns, every arm is called `turn`
    times in a row."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(turns):
            for name, call in calls.items():
                times[name] += [call() for _ in range(turn)]
        for name, taken in times.items():
            found[name].append(statistics.median(taken))
    return found


def ratio(over: list[float], under: list[float]) -> tuple[float, str]:
    """The median ratio within rounds, and as text with the least and the greatest."""
    ratios = sorted(a / b for a, b in zip(over, under, strict=True))
    middle = statistics.median(ratios)
    return middle, f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def rise(call: Callable[[], object]) -> float:
    """MiB by which a call raises the resident set, sampled every 0.2 ms."""
    statm = Path("/proc/self/statm")
    highest, done = [0], threading.Event()

    def resident() -> int:
        return int(statm.read_text().split()[1])

    def watch() -> None:
        while not done.is_set():
            highest[0] = max(highest[0], resident())
            time.sleep(0.0002)

    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return (max(highest[0], resident(), before) - before) * 4096 / 2**20


def processor() -> str:
    """The processor's own name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
