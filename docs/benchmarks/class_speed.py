"""Forward and backward of class losses on a CPU: the generated file against other libraries' Dice.

    python docs/benchmarks/class_speed.py --markdown docs/class-speed.md

All arms run in one process, float32, on two threads or `--threads`, in turns of a few calls. A
figure is the median of seven medians; ratios are medians of ratios within a round, with the least
and the greatest. `metricc` is `f1` averaged over classes, which is Dice, `built` the same with the
kernel of `metricc build`, `mcc` another metric, and `amplified` Dice with the default surrogate of
several labels, where the others take the probabilities as they are. `naive` is Dice as one would
write it with torch's operations; `monai` and `smp` are the
DiceLoss of MONAI and of segmentation_models_pytorch, left out where they are not installed. Peak
memory is measured in a process of its own for each arm: how far the resident set rises above what
it was before the call, after a call on a small batch.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import importlib.metadata
import importlib.util
import itertools
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor
from turns import ROUNDS, Loss, in_turns, processor, ratio, rise, step

import metricc
from metricc.load import load_file

CASES = {
    "classes, images": ("multiclass", (8, 21, 256, 256)),
    "classes, many": ("multiclass", (256, 1000)),
    "classes, few": ("multiclass", (32, 10)),
    "labels, large": ("multilabel", (4096, 1000)),
    "labels, many": ("multilabel", (256, 1000)),
    "labels, few": ("multilabel", (32, 10)),
}
LARGE = ("classes, images", "labels, large")  # whose memory is measured
SMALL = 1_000_000
# At least so many times faster than MONAI's and SMP's, with at most this share of their memory.
TARGETS = dict.fromkeys(LARGE, (4.0, 0.5))


def naive(z: Tensor, y: Tensor) -> Tensor:
    """Dice of class labels, or of several labels, under autograd."""
    if y.is_floating_point():
        p, h = torch.sigmoid(z), y
    else:
        p = torch.softmax(z, 1)
        h = torch.nn.functional.one_hot(y, z.shape[1]).movedim(-1, 1).to(z.dtype)
    dims = [0, *range(2, z.dim())]
    return 1 - (2 * (p * h).sum(dims) / (p.sum(dims) + h.sum(dims))).mean()


def monai(task: str) -> Loss | None:
    """MONAI's Dice over the batch, or None without the package."""
    try:
        dice: Any = importlib.import_module("monai.losses").DiceLoss
    except ImportError:
        return None
    if task == "multilabel":
        loss: Loss = dice(sigmoid=True, batch=True)
        return loss
    classes = dice(softmax=True, to_onehot_y=True, batch=True)
    return lambda z, y: classes(z, y.unsqueeze(1))


def smp(task: str) -> Loss | None:
    """SMP's Dice, or None without the package. Its losses need torch alone, its models more."""
    name = "segmentation_models_pytorch"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            return None
        package = types.ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules[name] = package
    loss: Loss = importlib.import_module(f"{name}.losses").DiceLoss(task)
    return loss


def built(task: str, folder: Path) -> Loss | None:
    """The loss of a saved file whose kernel was built, or None without a compiler."""
    if shutil.which("cc") is None:
        return None
    path = folder / f"{task}_loss.py"
    if not path.exists():
        metricc.compile("f1", name=task, task=task, surrogate="soft").save(path)
        command = [sys.executable, "-m", "metricc", "build", str(path)]
        subprocess.run(command, check=True, capture_output=True)
    module = load_file(path, f"{task}_loss")
    loss: Loss = getattr(module, f"{task.capitalize()}Loss")()
    return loss


def arms(task: str, folder: Path) -> dict[str, Loss]:
    options = {"task": task, "surrogate": "soft"}
    found: dict[str, Loss | None] = {
        "naive": naive,
        "monai": monai(task),
        "smp": smp(task),
        "metricc": metricc.loss("f1", **options),
        "built": built(task, folder),
        "mcc": metricc.loss("mcc", **options),
    }
    if task == "multilabel":
        found["amplified"] = metricc.loss("f1", task=task)
    return {name: loss for name, loss in found.items() if loss is not None}


def batch(task: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Logits, and every class among the labels."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, generator=generator).mul_(2).requires_grad_()
    if task == "multilabel":
        y = (torch.rand(shape, generator=generator) < 0.1).float()
        y[0], y[1] = 1, 0
        return z, y
    places = (shape[0], *shape[2:])
    y = torch.arange(torch.Size(places).numel()) % shape[1]
    return z, y[torch.randperm(len(y), generator=generator)].reshape(places)


def check(losses: dict[str, Loss], task: str) -> None:
    """Stop unless the gradients of those that are the same Dice agree."""
    z, y = batch(task, (64, 7, 9))
    step(losses["naive"], z, y)
    assert z.grad is not None
    wanted = z.grad.clone()
    for name in {"monai", "smp", "metricc", "built"} & {*losses}:
        step(losses[name], z, y)
        error = ((z.grad - wanted).abs().max() / wanted.abs().max()).item()
        if error > 1e-4:
            sys.exit(f"the gradient of {name} is off by {error:.1e}: nothing was timed")


def measure(
    losses: dict[str, Loss], task: str, shape: tuple[int, ...], seconds: float
) -> dict[str, list[float]]:
    """Seven medians per arm, in seconds, the arms in turns."""
    z, y = batch(task, shape)
    burst = 1 if z.numel() >= SMALL else 20
    once = min(sum(step(loss, z, y) for loss in losses.values()) for _ in range(3))
    repetitions = max(2, min(50, int(seconds / ROUNDS / once / burst)))
    calls = {name: lambda loss=loss: step(loss, z, y) for name, loss in losses.items()}
    return in_turns(calls, repetitions, burst)


def peak(name: str, case: str, folder: Path) -> float:
    """MiB by which one forward and backward raises the resident set."""
    task, shape = CASES[case]
    loss = arms(task, folder)[name]
    step(loss, *batch(task, (64, *shape[1:2])))
    z, y = batch(task, shape)
    return rise(lambda: step(loss, z, y))


def memory(
    results: dict[str, dict[str, list[float]]], folder: Path
) -> dict[tuple[str, str], float]:
    found = {}
    for case in track([c for c in LARGE if c in results], description="memory", transient=True):
        for name in results[case]:
            command = [sys.executable, __file__, "--peak", name, case, str(folder)]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[case, name] = float(printed.split()[-1])
    return found


def shown(case: str) -> str:
    task, shape = CASES[case]
    return f"{task} {shape}"


def versions() -> str:
    found = [f"metricc {metricc.__version__}", f"torch {torch.__version__}"]
    for name in ("monai", "segmentation_models_pytorch"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join([*found, f"Python {platform.python_version()}"])


def report(
    results: dict[str, dict[str, list[float]]], peaks: dict[tuple[str, str], float], command: str
) -> str:
    """The tables as Markdown, with what they were measured on."""
    doc = (__doc__ or "").split("\n\n")
    names = [*dict.fromkeys(name for medians in results.values() for name in medians)]
    lines = ["# Speed of class losses", "", doc[0], ""]
    lines += [f"Made by `{command}` on {dt.date.today()}:", f"{versions()}, {processor()}."]
    lines += [doc[2].strip(), "", "Milliseconds per step:", ""]
    lines += ["| batch | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for case, medians in results.items():
        cells = (
            f"{statistics.median(medians[name]) * 1e3:,.2f}" if name in medians else ""
            for name in names
        )
        lines.append(f"| {shown(case)} | " + " | ".join(cells) + " |")
    others = [name for name in ("naive", "monai", "smp") if name in names]
    heads = [f"{name} / metricc" for name in others] + ["mcc / metricc"]
    heads += [f"{name} / built" for name in others] if "built" in names else []
    lines += ["", "Ratios of times, median (least to greatest of seven rounds):", ""]
    lines += ["| batch | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for case, medians in results.items():
        cells = (ratio(*(medians[part] for part in head.split(" / ")))[1] for head in heads)
        lines.append(f"| {shown(case)} | " + " | ".join(cells) + " |")
    if peaks:
        lines += ["", "Peak memory beyond the inputs, MiB:", ""]
        lines += ["| batch | gradient | " + " | ".join(names) + " |"]
        lines += ["|---|---|" + "---|" * len(names)]
        for case in dict.fromkeys(case for case, _ in peaks):
            gradient = torch.Size(CASES[case][1]).numel() * 4 / 2**20
            cells = (f"{peaks[case, name]:.1f}" if (case, name) in peaks else "" for name in names)
            lines.append(f"| {shown(case)} | {gradient:.1f} | " + " | ".join(cells) + " |")
    lines += [*targets(results, peaks)]
    return "\n".join(lines) + "\n"


def targets(
    results: dict[str, dict[str, list[float]]], peaks: dict[tuple[str, str], float]
) -> list[str]:
    """What was aimed at, and whether it is met."""
    lines = []
    compared = [(arm, name) for arm in ("metricc", "built") for name in ("monai", "smp")]
    for case, (arm, name) in itertools.product(TARGETS, compared):
        faster, share = TARGETS[case]
        medians = results.get(case, {})
        if arm in medians and name in medians:
            times, _ = ratio(medians[name], medians[arm])
            text = f"| {shown(case)} | {arm} | {name} "
            text += f"| {faster:g} | {times:.2f} | {said(times >= faster)} |"
            if (case, name) in peaks:
                part = peaks[case, arm] / peaks[case, name]
                text += f" {share:g} | {part:.2f} | {said(part <= share)} |"
            else:
                text += " | | |"
            lines.append(text)
    head = [
        "| batch | | against | times faster, at least | measured | | memory, at most | measured | |"
    ]
    return (
        ["", "Targets:", "", *head, "|---|---|---|---|---|---|---|---|---|", *lines]
        if lines
        else []
    )


def said(met: bool) -> str:
    return "met" if met else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small batches, a few seconds")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument(
        "--peak", nargs=3, metavar=("ARM", "CASE", "FOLDER"), help=argparse.SUPPRESS
    )
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(given.threads)
    if given.peak:
        print(peak(*given.peak[:2], Path(given.peak[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(given, Path(folder))


def compare(given: argparse.Namespace, folder: Path) -> None:
    """Measure, print, and write the page that is asked for."""
    cases = [case for case in CASES if not (given.quick and case in LARGE)]
    results = {}
    for case in track(cases, description="time", transient=True):
        task, shape = CASES[case]
        losses = arms(task, folder)
        check(losses, task)
        results[case] = measure(losses, task, shape, 0.5 if given.quick else given.seconds)
    command = shlex.join(["python", "docs/benchmarks/class_speed.py", *sys.argv[1:]])
    text = report(results, memory(results, folder), command)
    print(text)
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
