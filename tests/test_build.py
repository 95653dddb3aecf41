"""Built kernels: the C against mpmath and NumPy, the cache, and machines without a compiler."""

from __future__ import annotations

import copy
import functools
import importlib.util
import json
import math
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import metricc
from metricc import build as building
from metricc.cli import main
from metricc.compiler import verify_file
from metricc.emit import c, c_kernel
from metricc.errors import MetriccError

has_compiler = any(shutil.which(name) for name in building.COMPILERS["CC"])
pytestmark = pytest.mark.skipif(not has_compiler, reason="there is no C compiler")

LOSSES: dict[str, dict[str, Any]] = {
    "amplified": {},
    "amplified_p": {"from_probabilities": True},
    "soft": {"surrogate": "soft"},
    "soft_p": {"surrogate": "soft", "from_probabilities": True},
    "uniform": {"surrogate": "score_oriented(uniform)"},
    "uniform_p": {"surrogate": "score_oriented(uniform)", "from_probabilities": True},
}


def imported(path: Path) -> ModuleType:
    """The file as a module of its own, however often."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernels(folder: Path) -> list[str]:
    found = folder / "__pycache__"
    return sorted(p.name for p in found.glob("*.so")) if found.exists() else []


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The losses of LOSSES, each with its kernel, in a folder with spaces in its name."""
    made = tmp_path_factory.mktemp("built losses é")
    for name, options in LOSSES.items():
        metricc.compile("f1", name=name, **options).save(made / f"{name}_loss.py")
        building.build(made / f"{name}_loss.py")
    metricc.compile("0.3 + 0.7*fbeta(2)", name="mixed").save(made / "mixed_loss.py")
    building.build(made / "mixed_loss.py")
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return metricc.compile("f1").save(tmp_path / "f1_loss.py")


def loss_of(folder: Path, name: str, **arguments: Any) -> Any:
    """The loss of a file whose kernel is found."""
    module = imported(folder / f"{name}_loss.py")
    assert module._built() is not None
    pascal = "".join(part.capitalize() for part in name.split("_"))
    return getattr(module, f"{pascal}Loss")(**arguments)


# -- numbers: mpmath at single elements -----------------------------------------------------------


def sides(name: str, x: float, first: float, second: float) -> tuple[Any, Any, Any]:
    """A, 1 - A and the slope by its definition, over the factor that goes into the weights."""
    x = mpmath.mpf(x)
    if name.endswith("_p"):
        p, q, inner = x, 1 - x, mpmath.mpf(1)
    else:
        p, q = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
        inner = p * q
    if name.startswith("soft"):
        return p, q, inner
    if name.startswith("uniform"):
        a = min(max((p - first + second) / (2 * second), 0), 1)
        return a, 1 - a, inner * (0 < a < 1)
    t = first * (p - second)
    a, b = 1 / (1 + mpmath.exp(-t)), 1 / (1 + mpmath.exp(t))
    return a, b, a * b * inner


ARGUMENTS = {
    "amplified": [(10.0, 0.5), (73.0, 0.5), (3.0, 0.2)],
    "soft": [(0.0, 0.0)],
    "uniform": [(0.5, 0.25), (0.3, 0.1)],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_elements_against_mpmath(folder: Path, name: str, dtype: torch.dtype) -> None:
    """Counts of one element each and its slope, over the whole range of inputs."""
    if name.endswith("_p"):
        x = torch.cat([torch.linspace(0.001, 0.999, 41), torch.tensor([0.0, 1.0, 0.5])])
    else:
        x = torch.cat([torch.linspace(-r, r, 31) for r in (80, 3, 0.01)])
    x = x.to(dtype).requires_grad_()
    kernel = imported(folder / f"{name}_loss.py")._built()
    bound = 1e-5 if dtype == torch.float32 else 1e-12
    with mpmath.workdps(50):
        for first, second in ARGUMENTS[name.removesuffix("_p")]:
            wanted = [sides(name, value, first, second) for value in x.tolist()]
            counts, slope = kernel.count(x, torch.ones_like(x), None, first, second)
            sums = [math.fsum(map(float, part)) for part in list(zip(*wanted, strict=True))[:2]]
            assert counts == pytest.approx([*sums, 0, 0], rel=bound)
            for value, found, (a, _, d) in zip(x.tolist(), slope.tolist(), wanted, strict=True):
                on_edge = name.startswith("uniform") and min(a, 1 - a) < 1e-6
                if d > 1e-37 and not on_edge:
                    assert abs(found / d - 1) < bound, (value, first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_exponential_is_within_its_bound(folder: Path, dtype: torch.dtype) -> None:
    """Soft counts a negative logit as e/(1 + e): units in the last place of all of it."""
    x = -torch.linspace(0.0, 87.0, 20_001).to(dtype).requires_grad_()
    kernel = imported(folder / "soft_loss.py")._built()
    _, slope = kernel.count(x, torch.ones_like(x), None)
    with mpmath.workdps(40):
        e = [mpmath.exp(mpmath.mpf(value)) for value in x.tolist()]
        worst = max(abs(s * (1 + v) ** 2 / v - 1) for s, v in zip(slope.tolist(), e, strict=True))
    assert worst < (6e-7 if dtype == torch.float32 else 2e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_infinite_and_missing_inputs(folder: Path, dtype: torch.dtype) -> None:
    kernel = imported(folder / "amplified_loss.py")._built()
    ends = torch.tensor([1e4, math.inf, -1e4, -math.inf, 100.0, -100.0], dtype=dtype)
    ends.requires_grad_()
    counts, slope = kernel.count(ends, torch.ones_like(ends), None, 10.0, 0.5)
    assert counts == pytest.approx([3.0, 3.0, 0.0, 0.0])
    assert (slope.abs() < 1e-37).all()  # 0, or a number that float64 still has
    nan = torch.tensor([math.nan, 1.0], dtype=dtype, requires_grad=True)
    counts, slope = kernel.count(nan, torch.ones_like(nan), None, 10.0, 0.5)
    assert all(map(math.isnan, counts)) and slope.isnan().tolist() == [True, False]
    loss = loss_of(folder, "amplified")
    assert loss(nan, torch.ones_like(nan)).isnan()
    assert loss(torch.ones_like(nan), nan.detach()).isnan()


def test_subnormal_numbers_stay_what_they_are(folder: Path) -> None:
    """A library built with -ffast-math would round them to 0 in the whole process."""
    loss_of(folder, "amplified")
    assert np.float32(1e-40) * np.float32(1) != 0
    assert torch.tensor(1e-40).mul(1) != 0


# -- numbers: whole batches -----------------------------------------------------------------------


def batch(n: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(n)
    z = 3 * torch.randn(n, generator=draw, dtype=torch.float64)
    y = torch.rand(n, generator=draw, dtype=torch.float64)
    v = torch.rand(n, generator=draw, dtype=torch.float64)
    return z.to(dtype).requires_grad_(), y, v


def by_hand(z: Any, y: Any, v: Any, L: float = 10.0, threshold: float = 0.5) -> tuple[Any, Any]:
    """The loss 1 - F1 and its gradient in NumPy's float64."""
    z, y, v = (np.asarray(x, dtype=np.float64) for x in (z, y, v))
    p, q = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))
    t = L * (p - threshold)
    a, b = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(t))
    TP, FN = (v * y * a).sum(), (v * y * b).sum()
    FP = (v * (1 - y) * a).sum()
    bottom = 2 * TP + FN + FP
    plus, minus = 2 * (TP + FN + FP) / bottom**2, 2 * TP / bottom**2
    slope = L * a * b * p * q
    return 1 - 2 * TP / bottom, -v * (y * plus - (1 - y) * minus) * slope


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n", [1, 7, 1_024, 1_025, 16_385, 70_001])
def test_batches_against_numpy(folder: Path, n: int, dtype: torch.dtype) -> None:
    loss = loss_of(folder, "amplified")
    z, y, v = batch(n, dtype)
    hard = (y < 0.2).to(torch.float64)
    rtol = 1e-5 if dtype == torch.float32 else 1e-11
    cases: list[tuple[torch.Tensor, torch.Tensor | None]] = [(y, v), (y.float(), v.float())]
    cases += [(y, None), (hard, v)]
    kinds = (torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool)
    cases += [(hard.to(kind), None) for kind in kinds]
    for target, weight in cases:
        if target.sum() == 0 or target.sum() == n:
            continue  # then the policy for absent classes has a say
        value = loss(z, target, weight)
        (gradient,) = torch.autograd.grad(value, z)
        ones = torch.ones(n) if weight is None else weight
        wanted, slope = by_hand(z.detach(), target.double(), ones)
        assert value.dtype == gradient.dtype == dtype
        assert value.item() == pytest.approx(wanted, rel=rtol, abs=rtol / 10)
        # The two sides of a soft label may cancel.
        sides = 1e-2 * rtol * abs(slope).max() if ((target > 0) & (target < 1)).any() else 0
        np.testing.assert_allclose(gradient.numpy(), slope, rtol=rtol, atol=sides + 1e-300)


@pytest.mark.parametrize("name", [*LOSSES, "mixed"])
def test_a_kernel_changes_nothing(folder: Path, name: str, monkeypatch: Any) -> None:
    """Policies, parameters, masks, ignored labels and smoothing, against the same file without."""
    module = imported(folder / f"{name}_loss.py")
    kernel = module._built()
    assert kernel is not None
    (pascal,) = (n for n in module.__all__ if n.endswith("Loss"))
    loss = getattr(module, pascal)()
    draw = torch.Generator().manual_seed(3)
    x = torch.rand(4, 50, generator=draw, dtype=torch.float64)
    x = (x if name.endswith("_p") else 6 * x - 3).requires_grad_()
    y = (torch.rand(4, 50, generator=draw) < 0.3).double()
    mask = torch.rand(4, 50, generator=draw) < 0.8
    weight = torch.rand(4, generator=draw, dtype=torch.float64)
    calls: list[Callable[[], torch.Tensor]] = [
        lambda: loss(x, y),
        lambda: loss(x, y, weight),
        lambda: loss(x, y, mask=mask),
        lambda: loss(x, y, counts=torch.tensor([30.0, 10.0, 5.0, 55.0])),
        lambda: loss(x, 0 * y),
        lambda: loss(x, 0 * y + 1),
    ]
    for changes in ({}, {"absent": "skip"}, {"absent": "zero", "smooth": 1.0}, {"ignore_index": 0}):
        for key, value in changes.items():
            setattr(loss, key, value)
        for call in calls:
            found = call()
            (gradient,) = torch.autograd.grad(found, x)
            with monkeypatch.context() as patch:
                patch.setattr(module, "_built", lambda: None)
                wanted = call()
                (slope,) = torch.autograd.grad(wanted, x)
            torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-14)
    with pytest.raises(ValueError, match="target must be in"):
        loss(x, y - 5)


@pytest.mark.parametrize("n", [100_003, pytest.param(5_000_000, marks=pytest.mark.slow)])
def test_threads_change_no_bit(folder: Path, n: int) -> None:
    """Sums are by pieces of one size; a large gradient stands on large pages."""
    loss = loss_of(folder, "amplified")
    z, y, _ = batch(n, torch.float32)
    y = y < 0.1
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            value = loss(z, y)
            found.append((value.item(), *torch.autograd.grad(value, z)))
    finally:
        torch.set_num_threads(before)
    wanted, slope = by_hand(z.detach(), y, torch.ones(n))
    assert found[0][0] == found[1][0] == found[2][0] == pytest.approx(wanted, rel=1e-6)
    assert torch.equal(found[0][1], found[1][1]) and torch.equal(found[0][1], found[2][1])
    np.testing.assert_allclose(found[0][1].numpy(), slope, rtol=1e-5, atol=1e-37)


def test_empty_batches(folder: Path) -> None:
    z = torch.empty(0, requires_grad=True)
    loss = loss_of(folder, "amplified")(z, torch.empty(0))
    loss.backward()
    assert loss.isfinite() and z.grad is not None and z.grad.shape == (0,)


# -- what autograd is asked for -------------------------------------------------------------------


def check_autograd(loss: Any) -> None:
    """Second derivatives, a second backward, scaled and batched gradients, changed targets."""
    z, y, v = batch(12, torch.float64)
    y = (y < 0.4).double()
    call = lambda x: loss(x, y, v)  # noqa: E731
    assert torch.autograd.gradcheck(call, z) and torch.autograd.gradgradcheck(call, z)
    value = loss(z, y)
    (first,) = torch.autograd.grad(value, z, retain_graph=True)
    (second,) = torch.autograd.grad(value, z, torch.tensor(-3.0, dtype=torch.float64))
    torch.testing.assert_close(second, -3 * first, rtol=1e-12, atol=0.0)
    scaled = torch.tensor([1.0, 2.0], dtype=torch.float64)
    (both,) = torch.autograd.grad(loss(z, y), z, scaled, is_grads_batched=True)
    torch.testing.assert_close(both, scaled[:, None] * first, rtol=1e-12, atol=0.0)
    factor = torch.tensor(1.5, requires_grad=True)
    (factor * loss(z, y)).backward()
    assert factor.grad is not None and factor.grad.item() == pytest.approx(value.item(), rel=1e-6)
    torch.testing.assert_close(z.grad, 1.5 * first, rtol=1e-12, atol=0.0)
    assert not loss(z.detach(), y).requires_grad
    with torch.no_grad():
        assert not loss(z, y).requires_grad
    changed = y.clone()
    value = loss(z, changed)
    changed[0] = 1 - changed[0]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
    with torch.autograd.forward_ad.dual_level():  # refused rather than wrong
        dual = torch.autograd.forward_ad.make_dual(z.detach(), y)  # type: ignore[no-untyped-call]
        with pytest.raises((RuntimeError, NotImplementedError), match="jvp"):
            loss(dual, y)


def test_autograd(folder: Path) -> None:
    check_autograd(loss_of(folder, "amplified"))


def test_what_it_does_not_take_goes_the_usual_way(folder: Path) -> None:
    module = imported(folder / "amplified_loss.py")
    kernel = module._built()
    z, y, v = batch(40, torch.float32)
    wide, narrow = z.detach().reshape(5, 8).t(), z.detach().half().requires_grad_()
    assert kernel.count(wide, y.reshape(8, 5), None, 10.0, 0.5) is None
    assert kernel.count(z, y.half(), None, 10.0, 0.5) is None
    assert kernel.count(z, y, v.half(), 10.0, 0.5) is None
    assert kernel.count(z, y, v[:1].expand(40), 10.0, 0.5) is None
    assert kernel.count(narrow, y, None, 10.0, 0.5) is None
    loss = module.AmplifiedLoss()
    wanted, _ = by_hand(z.detach(), y, torch.ones(40))
    assert loss(narrow, y).item() == pytest.approx(wanted, rel=1e-2)
    assert loss(wide, y.reshape(5, 8).t()).item() == pytest.approx(wanted, rel=1e-5)
    assert loss(z.to("meta"), y.to("meta")).device.type == "meta"
    gradient = torch.func.grad(lambda x: loss(x, y))(z.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(loss(z, y), z)[0], rtol=1e-5, atol=0.0)


def test_losses_pickle_and_copy(folder: Path) -> None:
    name = "metricc_pickled_loss"
    shutil.copy(folder / "amplified_loss.py", folder / f"{name}.py")
    building.build(folder / f"{name}.py")
    sys.modules[name] = module = imported(folder / f"{name}.py")
    try:
        loss = module.AmplifiedLoss(L=4.0)
        z, y, _ = batch(30, torch.float32)
        for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
            assert other(z, y).item() == loss(z, y).item()
    finally:
        del sys.modules[name]


def test_verify_tests_the_kernel_too(file: Path) -> None:
    assert "with the built kernel" not in {check.name for check in verify_file(file).checks}
    building.build(file)
    report = verify_file(file)
    (found,) = (check for check in report.checks if check.name == "with the built kernel")
    assert report.passed and found.measured.startswith(found.measured.split()[2])


@pytest.mark.slow
def test_verify_sees_a_wrong_kernel(file: Path, monkeypatch: Any) -> None:
    right = c.render
    wrong = lambda *given: right(*given).replace("*d = k * h * (l * r)", "*d = k * h * l")  # noqa: E731
    monkeypatch.setattr(c, "render", wrong)
    building.build(file)
    failed = [check.name for check in verify_file(file).checks if check.passed is False]
    assert failed[0] == "with the built kernel" and len(failed) > 1
    assert all("built kernel" in name for name in failed)


# -- building -------------------------------------------------------------------------------------


def test_a_second_build_finds_the_first(file: Path) -> None:
    first = building.build(file)
    assert first.new == (first.library,) and first.library.parent == file.parent / "__pycache__"
    changed = first.library.stat().st_mtime_ns
    assert building.build(file).new == ()
    assert first.library.stat().st_mtime_ns == changed
    assert building.build(file, force=True).new == (first.library,)
    names = {path.suffix for path in first.library.parent.iterdir()}
    assert names == {".so", ".c", ".py"}  # and nothing half-written
    assert first.library.parent.joinpath(first.library.name.rsplit(".", 2)[0] + ".c").exists()


def test_importing_builds_nothing(file: Path) -> None:
    module = imported(file)
    z, y, _ = batch(10, torch.float32)
    module.F1Loss()(z, y).backward()
    assert module._built() is None and kernels(file.parent) == []


def test_an_edited_file_finds_none(file: Path) -> None:
    building.build(file)
    assert imported(file)._built() is not None
    file.write_text(file.read_text() + "# mine\n")
    assert imported(file)._built() is None
    building.build(file)
    assert imported(file)._built() is not None
    assert len(kernels(file.parent)) == 1  # the older one is gone


def test_another_machine_finds_none(file: Path, monkeypatch: Any) -> None:
    library = building.build(file).library
    monkeypatch.setattr(c_kernel, "machine", lambda: "0123abcd")
    assert library.name not in str(c_kernel.machine())
    other = library.with_name(library.name.replace(library.suffixes[-2], ".0123abcd"))
    library.rename(other)
    assert imported(file)._built() is None
    z, y, _ = batch(10, torch.float32)
    imported(file).F1Loss()(z, y).backward()


def test_a_damaged_library_is_none(file: Path) -> None:
    library = building.build(file).library
    library.write_bytes(b"not a library")
    assert imported(file)._built() is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_kernel_of_another_owner_is_not_run(file: Path) -> None:
    building.build(file)
    os.chown(file, 1001, -1)
    os.chown(file.parent / "__pycache__", 1002, -1)
    assert imported(file)._built() is None
    os.chown(file.parent / "__pycache__", 1001, -1)
    assert imported(file)._built() is not None


def test_a_text_without_a_file(file: Path) -> None:
    building.build(file)
    space: dict[str, Any] = {"__name__": "nowhere"}
    exec(compile(file.read_text(), "nowhere", "exec"), space)
    assert space["_built"]() is None
    z, y, _ = batch(10, torch.float32)
    space["f1_loss"](z, y).backward()


def test_build_of_a_compiled_metric(tmp_path: Path) -> None:
    m = metricc.compile("f1", name="built_in_place")
    z, y, _ = batch(100, torch.float32)
    before = m.loss()(z, y)
    library = m.build()
    assert library.exists() and m.module()._built() is not None
    torch.testing.assert_close(m.loss()(z, y), before)
    saved = m.save(tmp_path / "saved_loss.py")
    assert m.build(saved).parent == tmp_path / "__pycache__"


def ran(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def test_command(file: Path) -> None:
    told = ran("build", file).stdout
    assert told.startswith(f"{file}: compiled its kernel, ") and "__pycache__" in told
    assert ran("build", file).stdout.startswith(f"{file}: its kernel is there already, ")
    assert "compiled" in ran("build", file, "--force").stdout
    found = json.loads(ran("build", file, "--format", "json").stdout)
    assert found["new"] == [] and found["node"] is None and Path(found["library"]).exists()


def test_compile_and_build(tmp_path: Path) -> None:
    path = tmp_path / "mcc_loss.py"
    assert "compiled its kernel" in ran("compile", "mcc", "-o", path, "--build").stderr
    assert imported(path)._built() is not None
    assert "--build" in ran("compile", "mcc", "--build", code=2).stderr


def refused(path: Path, code: str, *arguments: object) -> str:
    result = ran("build", path, *arguments, code=2)
    assert code in result.stderr and "Traceback" not in result.output
    assert kernels(path.parent) == []
    return str(result.stderr)


def test_without_a_compiler(file: Path, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "a C compiler (cc, gcc, clang) is not on the path" in refused(file, "MC0516")
    monkeypatch.setenv("CC", "absent -m64")
    assert "of CC, absent, is not on the path" in refused(file, "MC0516")
    z, y, _ = batch(10, torch.float32)
    imported(file).F1Loss()(z, y).backward()


def test_a_compiler_that_fails(file: Path, monkeypatch: Any, tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_text("#!/bin/sh\necho 'x.c:1: error: no such luck' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    assert "failed: x.c:1: error: no such luck" in refused(file, "MC0516")
    script.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho junk > "$2"\n')
    refused(file, "MC0516")  # what it wrote is no library


def test_a_compiler_without_the_fast_flags(file: Path, monkeypatch: Any, tmp_path: Path) -> None:
    script = tmp_path / "plain"
    script.write_text('#!/bin/sh\ncase "$*" in *-fopenmp-simd*) exit 1;; esac\nexec cc "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    building.build(file)
    z, y, _ = batch(3_000, torch.float64)
    module = imported(file)
    assert module._built() is not None
    wanted, _ = by_hand(z.detach(), y, torch.ones(3_000))
    assert module.F1Loss()(z, y).item() == pytest.approx(wanted, rel=1e-12)


def test_a_folder_that_cannot_be_written(file: Path) -> None:
    (file.parent / "__pycache__").write_text("a file")
    assert "cannot write" in refused(file, "MC0503")
    assert "cannot read" in refused(file.with_name("absent.py"), "MC0503")


UNCOVERED: dict[str, tuple[str, dict[str, Any]]] = {
    "the surrogate heaviside": ("f1", {"surrogate": "heaviside"}),
    "the surrogate p^2": ("f1", {"surrogate": "p^2"}),
    "the surrogate straight_through": ("f1", {"surrogate": "straight_through"}),
    "a table for each sample": ("f1", {"per": "sample"}),
    "an objective for boosting": ("f1", {"target": "gbdt"}),
    "bce beside the counts": ("0.5*bce + 0.5*(1 - f1)", {}),
    "the column amount": ("FN[amount] + 5*FP", {}),
}


@pytest.mark.parametrize("what", UNCOVERED)
def test_what_is_not_covered(what: str, tmp_path: Path) -> None:
    formula, options = UNCOVERED[what]
    path = metricc.compile(formula, name="other", **options).save(tmp_path / "other_loss.py")
    told = refused(path, "MC0517")
    assert what in told and c.COVERED in told.replace("\n", " ")


def test_files_that_look_for_no_kernel(tmp_path: Path, file: Path) -> None:
    (tmp_path / "notes.py").write_text("x = 1\n")
    refused(tmp_path / "notes.py", "MC0505")
    file.write_text(file.read_text().replace("_built", "_other"))
    assert "does not look for a kernel" in refused(file, "MC0517")


# -- the node in C++ ------------------------------------------------------------------------------

has_cpp = any(shutil.which(name) for name in building.COMPILERS["CXX"])


@pytest.fixture(scope="module")
def with_node(folder: Path) -> Iterator[Path]:
    built = building.build(folder / "amplified_loss.py", node=True)
    assert built.node is not None and building.build(folder / "soft_loss.py", node=True).new == ()
    yield folder
    built.node.unlink()


@pytest.mark.slow  # half a minute of compiling
@pytest.mark.skipif(not has_cpp, reason="there is no C++ compiler")
def test_node(with_node: Path) -> None:
    loss = loss_of(with_node, "amplified")
    z, y, v = batch(40_000, torch.float32)
    y = y < 0.2
    value = loss(z, y, v)
    assert "CppNode" in repr(value)
    (gradient,) = torch.autograd.grad(value, z)
    wanted, slope = by_hand(z.detach(), y, v)
    assert value.item() == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-5, atol=1e-300)
    check_autograd(loss)
    test_what_it_does_not_take_goes_the_usual_way(with_node)
    test_infinite_and_missing_inputs(with_node, torch.float32)
    test_empty_batches(with_node)


def test_without_a_cpp_compiler(file: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CXX", "absent")
    result = ran("build", file, "--node", code=2)
    assert "MC0516" in result.stderr and "C++" in result.stderr
    assert imported(file)._built() is not None  # the kernel is there without it


def test_errors_are_of_the_api_too(file: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CC", "absent")
    with pytest.raises(MetriccError) as caught:
        metricc.compile("f1", name="of_no_compiler").build()
    assert [d.code for d in caught.value.diagnostics] == ["MC0516"]


# -- classes --------------------------------------------------------------------------------------

TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "labels": ("f1", {"task": "multiclass"}),
    "several": ("f1", {"task": "multilabel"}),
    "several_p": ("micro(f1)", {"task": "multilabel", "from_probabilities": True}),
    "each": ("per_class(f1)", {"task": "multilabel"}),
}
SHAPES = [(1, 1), (700, 3), (5, 7, 3), (2, 3, 17, 50), (1, 2, 70_000), (40, 1_030), (2, 3, 0)]


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables")
    for name, (formula, options) in TABLES.items():
        metricc.compile(formula, name=name, **options).save(made / f"{name}_loss.py")
        building.build(made / f"{name}_loss.py")
    return made


def class_batch(name: str, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(sum(shape))
    x = torch.randn(shape, generator=draw, dtype=torch.float64) * 3
    if TABLES[name][1]["task"] == "multiclass":
        return x, torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=draw)
    x = x.sigmoid() if name.endswith("_p") else x
    return x, torch.rand(shape, generator=draw) < 0.3


def tables_by_hand(name: str, x: Any, target: Any, weight: Any) -> Any:
    """The counts of every class in NumPy's float64, (4, C)."""
    N, C = x.shape[:2]
    x, v = x.reshape(N, C, -1), weight.reshape(N, 1, -1)
    if TABLES[name][1]["task"] == "multiclass":
        e = np.exp(x - x.max(1, keepdims=True))
        a = e / e.sum(1, keepdims=True)
        y = target.reshape(N, 1, -1) == np.arange(C).reshape(1, C, 1)
    else:
        p = x if name.endswith("_p") else 1 / (1 + np.exp(-x))
        a = 1 / (1 + np.exp(-10 * (p - 0.5)))
        y = target.reshape(N, C, -1)
    terms = v * y * a, v * y * (1 - a), v * ~y * a, v * ~y * (1 - a)
    return np.stack([term.sum((0, 2)) for term in terms])


def answering(call: Callable[..., Any], answers: list[bool]) -> Callable[..., Any]:
    """The call, with a note of whether it took the tensors."""

    def noted(*given: Any) -> Any:
        found = call(*given)
        answers.append(found is not None and found is not False)
        return found

    return noted


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", TABLES)
def test_tables(tables: Path, name: str, shape: tuple[int, ...], monkeypatch: Any) -> None:
    """Counts against NumPy; loss and gradient against the file without its kernel in float64."""
    module = imported(tables / f"{name}_loss.py")
    kernel = module._built()
    (pascal,) = (n for n in module.__all__ if n.endswith("Loss"))
    loss = getattr(module, pascal)(**({"reduction": "sum"} if name == "each" else {}))
    wide, target = class_batch(name, shape)
    draw = torch.Generator().manual_seed(1)
    positions = (shape[0], *shape[2:])
    weight = torch.rand(positions, generator=draw, dtype=torch.float64)
    weight = weight * (torch.rand(positions, generator=draw) < 0.8)
    answers: list[bool] = []
    for attribute in ("count", "finish"):
        patched = answering(getattr(kernel, attribute), answers)
        monkeypatch.setattr(kernel, attribute, patched)
    for dtype, bound in ((torch.float32, 1e-5), (torch.float64, 1e-11)):
        for v in (None, weight):
            x = wide.to(dtype).requires_grad_()
            value = loss(x, target, v)
            (found,) = torch.autograd.grad(value, x)
            ones = torch.ones(positions, dtype=torch.float64)
            if wide.numel():
                left = name == "labels" and shape == (40, 1_030)  # torch's softmax is faster
                assert answers[-2:] == [not left] * 2
                given = ones if v is None else v
                exact = x.detach().double().numpy()
                counts = tables_by_hand(name, exact, target.numpy(), given.numpy())
                np.testing.assert_allclose(
                    loss.counts(x, target, v).numpy(), counts, rtol=bound, atol=bound * counts.sum()
                )
            with monkeypatch.context() as patch:
                patch.setattr(module, "_built", lambda: None)
                x = x.detach().double().requires_grad_()
                wanted = loss(x, target, v)
                (gradient,) = torch.autograd.grad(wanted, x)
            torch.testing.assert_close(value.double(), wanted, rtol=bound, atol=bound)
            largest = gradient.abs().max().item() if gradient.numel() else 0.0
            torch.testing.assert_close(
                found.double(), gradient, rtol=bound, atol=bound / 10 * largest + 1e-300
            )


@pytest.mark.parametrize("name", ["labels", "several"])
def test_tables_keep_what_weighs_nothing_out(tables: Path, name: str) -> None:
    """NaN under weight 0, ignored labels, and a missing value that counts."""
    module = imported(tables / f"{name}_loss.py")
    (pascal,) = (n for n in module.__all__ if n.endswith("Loss"))
    loss = getattr(module, pascal)()
    for shape in ((6, 3), (4, 3, 20)):
        x, target = class_batch(name, shape)
        keep = torch.ones(shape[0], *shape[2:], dtype=torch.bool)
        keep[0] = False
        x = x.clone()
        wanted = loss(x[1:], target[1:])
        x[0] = math.nan
        x.requires_grad_()
        value = loss(x, target, mask=keep)
        (gradient,) = torch.autograd.grad(value, x)
        assert value.item() == pytest.approx(wanted.item(), rel=1e-12)
        assert (gradient[0] == 0).all() and gradient[1:].isfinite().all()
        assert loss(x, target).isnan()
        with pytest.raises(ValueError, match="weight"):
            loss(x.detach().nan_to_num(), target, -keep.double())


def test_threads_change_no_bit_of_tables(tables: Path) -> None:
    before = torch.get_num_threads()
    try:
        for name in ("labels", "several"):
            module = imported(tables / f"{name}_loss.py")
            (pascal,) = (n for n in module.__all__ if n.endswith("Loss"))
            x, target = class_batch(name, (4, 21, 40, 41))
            x = x.float().requires_grad_()
            found = []
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                value = getattr(module, pascal)()(x, target)
                found.append((value.item(), torch.autograd.grad(value, x)[0]))
            assert found[0][0] == found[1][0] == found[2][0]
            assert torch.equal(found[0][1], found[1][1]) and torch.equal(found[0][1], found[2][1])
    finally:
        torch.set_num_threads(before)


def test_second_derivatives_of_tables(tables: Path) -> None:
    for name in ("labels", "several"):
        module = imported(tables / f"{name}_loss.py")
        (pascal,) = (n for n in module.__all__ if n.endswith("Loss"))
        x, target = class_batch(name, (5, 3))
        call = functools.partial(getattr(module, pascal)(), target=target)
        x.requires_grad_()
        assert torch.autograd.gradcheck(call, x) and torch.autograd.gradgradcheck(call, x)


def test_classes_that_are_not_covered(tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "the surrogate amplified": {"task": "multiclass", "surrogate": "amplified"},
        "probabilities of classes": {"task": "multiclass", "from_probabilities": True},
        "ce beside the counts": {"task": "multiclass"},
    }
    for what, given in options.items():
        formula = "0.5*ce + 0.5*(1 - macro(f1))" if "ce " in what else "f1"
        path = metricc.compile(formula, name="other", **given).save(tmp_path / "other_loss.py")
        assert what in refused(path, "MC0517")
    path = metricc.compile("samples(f1)", name="other", task="multilabel").save(path)
    assert "does not look for a kernel" in refused(path, "MC0517")
