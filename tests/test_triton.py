"""Files of the target triton: what stands in them, and what they do without a GPU.

The kernels' numbers are in `triton_cases.py`, run here under Triton's interpreter, and on a GPU
where there is one (`pytest -m gpu`).
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import metricc
from metricc.cli import main
from metricc.load import load_file

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
HAS_TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="needs triton")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

# What the kernels do not compute: formula, options.
UNCOVERED: dict[str, tuple[str, dict[str, Any]]] = {
    "surrogate": ("f1", {"surrogate": "score_oriented(cosine)"}),
    "formula": ("f1", {"surrogate": "p^2*(3 - 2*p)"}),
    "decisions": ("f1", {"surrogate": "straight_through"}),
    "focal": ("0.5*f1 - 0.5*focal", {}),
    "columns": ("FN[amount] + 5*FP", {}),
    "samples": ("f1", {"per": "sample"}),
    "mean of samples": ("samples(f1)", {"task": "multilabel"}),
    "each class": ("per_class(f1)", {"task": "multilabel"}),
}


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=TESTS.parent
    )


def cases(*options: str, **variables: str) -> None:
    """Run `triton_cases.py` in a process of its own."""
    file = str(TESTS / "triton_cases.py")
    done = run(sys.executable, "-W", "ignore", "-m", "pytest", file, "-x", *options, **variables)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


@needs_triton
@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_the_kernels_under_tritons_interpreter(which: str) -> None:
    cases("-m", which, TRITON_INTERPRET="1", OMP_NUM_THREADS="1")


@pytest.mark.gpu
@needs_triton
@needs_gpu
def test_the_kernels_on_a_gpu() -> None:
    cases("-m", "", TRITON_INTERPRET="0")


@pytest.mark.gpu
@needs_triton
@needs_gpu
def test_the_speed_targets_on_a_gpu() -> None:
    """64 M elements within 1.25 of the bytes' floor; never slower than torch.compile."""
    done = run(sys.executable, str(TESTS.parent / "docs/benchmarks/gpu_speed.py"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_triton
@pytest.mark.parametrize("processor", ["90", pytest.param("80", marks=pytest.mark.slow)])
def test_the_kernels_compile_for_gpus(processor: str, tmp_path: Path) -> None:
    """That needs no GPU. The code loads vectors, and the last program sees what others stored."""
    script = TESTS / "triton_compiled.py"
    command = (sys.executable, "-W", "ignore", str(script), processor)
    done = run(*command, TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    for line in done.stdout.splitlines():
        name, *found = line.split()
        assert "ld.global.v4.b32" in found, line
        if "_reduce" in name:
            assert "atom.global.gpu.acq_rel.add.u32" in found, line
    assert len(done.stdout.splitlines()) == 6


@pytest.mark.parametrize("name, task", [("f1", "binary"), ("macro_f1", "multiclass")])
def test_the_added_part_is_the_golden_one(name: str, task: str, update_golden: bool) -> None:
    source = metricc.compile("f1", name=name, task=task, target="triton").source
    added = source[source.index("Triton(torch.autograd.Function)") :]
    for waiting in (".item(", ".tolist(", ".cpu(", "synchronize"):
        assert waiting not in added
    path = GOLDEN / f"{name}_kernels.txt"
    if update_golden:
        path.write_text(added, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == added, "run pytest --update-golden, read the diff"


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_without_triton_the_file_is_the_portable_one(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    path = tmp_path / "x_loss.py"
    path.write_text(metricc.compile("f1", name="x", task=task, target="triton").source)
    module = load_file(path, f"without_triton_{task}")
    assert module.triton is None
    portable = metricc.compile("f1", name="x", task=task).module()
    z = torch.randn(8, 3, dtype=torch.float64)
    y = torch.randint(0, 3, (8,)) if task == "multiclass" else torch.rand(8, 3) < 0.4
    found, wanted = (z.clone().requires_grad_() for _ in range(2))
    module.XLoss()(found, y).backward()
    portable.XLoss()(wanted, y).backward()
    assert found.grad is not None
    assert torch.equal(found.grad, wanted.grad)


def test_other_targets_know_nothing_of_triton() -> None:
    for task in ("binary", "multilabel", "multiclass"):
        source = metricc.compile("f1", task=task).source
        assert "triton" not in source.lower() and "_gpu_" not in source


@pytest.mark.parametrize("which", UNCOVERED)
def test_what_the_kernels_do_not_compute_says_so(which: str) -> None:
    formula, options = UNCOVERED[which]
    compiled = metricc.compile(formula, name="x", target="triton", maximize=True, **options)
    portable = metricc.compile(formula, name="x", maximize=True, **options)
    assert "\nKernels    None: there are Triton kernels for " in compiled.source
    assert "import triton" not in compiled.source
    code, other = (m.source[m.source.index("\n_BLOCK = ") :] for m in (compiled, portable))
    assert code == other


def test_the_header_and_the_record_name_the_target() -> None:
    compiled = metricc.compile("f1", target="triton")
    assert "metricc compile f1 --name f1 --target triton\n" in compiled.source
    assert compiled.module().METRICC["options"]["target"] == "triton"
    assert "\nKernels    On CUDA tensors two Triton kernels make loss and" in compiled.source


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(main, ["compile", "f1", "--target", "triton", "-o", "f1_loss.py"])
    assert made.exit_code == 0 and "F1Loss" in made.output
    check = ["compile", "f1", "--target", "triton", "-o", "f1_loss.py", "--check"]
    assert CliRunner().invoke(main, check).exit_code == 0
    assert CliRunner().invoke(main, [*check[:2], *check[4:]]).exit_code == 1
    verified = CliRunner().invoke(main, ["verify", "f1_loss.py"])
    assert verified.exit_code == 0, verified.output
    assert "as its formula generates" in verified.output


@pytest.mark.slow
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_files_of_classes_verify(task: str) -> None:
    report = metricc.compile("f1", task=task, target="triton").verify()
    assert report.passed, str(report)
