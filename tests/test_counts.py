"""Counts given in place of a batch's: parts of an epoch, running means, NumPy by hand."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import metricc

GENERATOR = torch.Generator().manual_seed(5)
FORMULAS = [
    ("f1", "binary"),
    ("mcc", "binary"),
    ("0.5*bce + 0.5*(1 - gmean)", "binary"),
    ("f1", "multilabel"),
    ("micro(jaccard) - 0.1*bce", "multilabel"),
    ("f1", "multiclass"),
    ("multiclass_mcc", "multiclass"),
    ("0.5*ce + 0.5*(1 - macro(f1))", "multiclass"),
    ("per_class(f1)", "multiclass"),
]


def data(task: str, size: int = 40, share: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (size,) if task == "binary" else (size, 4)
    input = torch.randn(shape, generator=GENERATOR, dtype=torch.float64)
    if task == "multiclass":
        return input, torch.randint(0, 4, (size,), generator=GENERATOR)
    return input, (torch.rand(shape, generator=GENERATOR) < share).double()


def compiled(formula: str, task: str) -> Any:
    return metricc.compile(formula, task=task, maximize="bce" in formula and "jacc" in formula)


def by_hand(z: np.ndarray, y: np.ndarray, v: np.ndarray | float = 1.0) -> np.ndarray:
    """TP, FN, FP, TN of the amplified sigmoid, L = 10."""
    p = 1 / (1 + np.exp(-z))
    a = 1 / (1 + np.exp(-10 * (p - 0.5)))
    cells = (y * a, y * (1 - a), (1 - y) * a, (1 - y) * (1 - a))
    return np.array([(v * cell).sum() for cell in cells])


def test_counts_by_hand() -> None:
    input, target = data("binary")
    weight = torch.rand(40, generator=GENERATOR, dtype=torch.float64)
    mask = torch.rand(40, generator=GENERATOR) < 0.7
    loss = metricc.compile("f1").loss()
    z, y, v, m = (x.numpy() for x in (input, target, weight, mask))
    np.testing.assert_allclose(loss.counts(input, target), by_hand(z, y), rtol=1e-13)
    found = loss.counts(input, target, weight, mask)
    np.testing.assert_allclose(found, by_hand(z[m], y[m], v[m]), rtol=1e-13)
    assert found.dtype == torch.float64 and not found.requires_grad


@pytest.mark.parametrize(("formula", "task"), FORMULAS)
def test_parts_of_an_epoch_add_up_to_the_full_batch(formula: str, task: str) -> None:
    input, target = data(task)
    loss = compiled(formula, task).loss(reduction="sum") if "per_class" in formula else None
    loss = loss or compiled(formula, task).loss()
    input.requires_grad_()
    whole = loss(input, target)
    (wanted,) = torch.autograd.grad(whole, input)
    parts = [slice(0, 3), slice(3, 20), slice(20, 21), slice(21, 40)]
    counts = sum(loss.counts(input[part], target[part]) for part in parts)
    for part in parts:
        one = loss(input[part], target[part], counts=counts)
        assert abs(one.item() - whole.item()) < 1e-12
        one.backward()
    torch.testing.assert_close(input.grad, wanted, rtol=1e-12, atol=1e-15)


def test_the_gradient_at_counts_by_hand() -> None:
    """F1 at the counts (30, 10, 5, 55): w_plus = 2(TP + FN + FP)/D^2, w_minus = 2 TP/D^2."""
    input, target = data("binary")
    input.requires_grad_()
    loss = metricc.compile("f1", surrogate="soft").loss()
    found = loss(input, target, counts=torch.tensor([30.0, 10.0, 5.0, 55.0]))
    assert found.item() == pytest.approx(1 - 60 / 75, abs=1e-15)
    found.backward()
    p, y = torch.sigmoid(input.detach()).numpy(), target.numpy()
    slope = y * 2 * 45 / 75**2 - (1 - y) * 60 / 75**2
    np.testing.assert_allclose(input.grad.numpy(), -slope * p * (1 - p), rtol=1e-12)


def test_a_batch_without_positives_learns_from_running_counts() -> None:
    m = metricc.compile("f1")
    loss, counts = m.loss(), m.running_counts(decay=0.5)
    input, target = data("binary", share=0.3)
    first = loss(input, target, counts=counts)
    assert first.item() == pytest.approx(loss(input, target).item(), abs=1e-15)
    empty = torch.zeros(8, dtype=torch.float64)
    wrong = torch.full((8,), 0.3, dtype=torch.float64, requires_grad=True)
    loss(wrong, empty, counts=counts).backward()
    one, two = loss.counts(input, target), loss.counts(wrong, empty)
    TP, FN, FP, _ = ((0.5 * one + two) / 1.5).tolist()
    p = 1 / (1 + np.exp(-0.3))
    a = 1 / (1 + np.exp(-10 * (p - 0.5)))
    wanted = 2 * TP / (2 * TP + FN + FP) ** 2 * 10 * a * (1 - a) * p * (1 - p)
    np.testing.assert_allclose(wrong.grad.numpy(), wanted, rtol=1e-12)


def test_epoch_wide_counts_and_checkpoints() -> None:
    m = metricc.compile("mcc")
    counts = m.running_counts(decay=1)
    batches = [torch.tensor([1.0, 2.0, 3.0, k]) for k in (4.0, 8.0, 9.0)]
    for batch in batches:
        mean = counts.add(batch)
    torch.testing.assert_close(mean, torch.tensor([1.0, 2.0, 3.0, 7.0]))
    other = m.running_counts(decay=0.1)
    other.load_state_dict(pickle.loads(pickle.dumps(counts.state_dict())))
    torch.testing.assert_close(other.add(batches[0]), counts.add(batches[0]))
    counts.reset()
    torch.testing.assert_close(counts.add(batches[1]), batches[1])
    torch.testing.assert_close(copy.deepcopy(counts).add(batches[1]), batches[1])


def test_counts_pickle_with_a_saved_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    metricc.compile("f1").save(tmp_path / "kept_f1_loss.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    import kept_f1_loss  # type: ignore[import-not-found]

    counts = kept_f1_loss.Counts(decay=0.8)
    counts.add(torch.ones(4))
    again = pickle.loads(pickle.dumps(counts))
    assert vars(again).keys() == vars(counts).keys() and again.decay == 0.8


def test_the_module_stays_stateless() -> None:
    m = metricc.compile("f1")
    loss = m.loss()
    before = dict(vars(loss))
    loss(*data("binary"), counts=m.running_counts())
    assert vars(loss) == before and not loss.state_dict()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_dtypes_and_a_second_derivative(dtype: torch.dtype) -> None:
    input, target = data("binary")
    loss = metricc.compile("f1").loss()
    counts = loss.counts(input, target)
    low = input.to(dtype).requires_grad_()
    loss(low, target, counts=counts).backward()
    assert low.grad is not None and low.grad.dtype == dtype and torch.isfinite(low.grad).all()
    input.requires_grad_()
    (g,) = torch.autograd.grad(loss(input, target, counts=counts), input, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), input)
    step = 1e-6
    moved = (input.detach() + step).requires_grad_()
    (g2,) = torch.autograd.grad(loss(moved, target, counts=counts), moved)
    np.testing.assert_allclose(((g2 - g.detach()) / step).numpy(), h.numpy(), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (torch.ones(3), r"counts has shape \(3,\); it must be \(4,\)"),
        (torch.ones(4, requires_grad=True), "counts must be a constant real tensor"),
        (torch.ones(4) * 1j, "counts must be a constant real tensor"),
        ("abc", "counts must be a constant real tensor"),
        (-torch.ones(4), "counts must be finite and not negative"),
        (torch.full((4,), torch.nan), "counts must be finite and not negative"),
    ],
)
def test_counts_that_are_none_are_refused(counts: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        metricc.compile("f1").loss()(*data("binary"), counts=counts)
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\]"):
        metricc.compile("f1").running_counts(decay=1.5)
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\]"):
        metricc.compile("f1").running_counts().load_state_dict({"decay": 5})


def test_tables_of_samples_have_no_counts() -> None:
    with pytest.raises(metricc.MetriccError, match="MC0501"):
        metricc.compile("f1", per="sample").running_counts()
    assert "class Counts" not in metricc.compile("samples(f1)", task="multilabel").source


def test_running_counts_under_torch_compile() -> None:
    """Twenty steps: a state of Python numbers would be compiled anew for each."""
    m = metricc.compile("f1")
    loss, counts, plain = m.loss(), m.running_counts(decay=0.9), m.running_counts(decay=0.9)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for _ in range(20):
        input, target = data("binary", size=16)
        input.requires_grad_()
        (found,) = torch.autograd.grad(compiled(input, target, counts=counts), input)
        (wanted,) = torch.autograd.grad(loss(input, target, counts=plain), input)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-15)


def test_a_batch_with_nan_is_not_taken_in() -> None:
    m = metricc.compile("f1")
    loss, counts = m.loss(), m.running_counts()
    input, target = data("binary")
    loss(input, target, counts=counts)
    before = counts.state_dict()
    loss(torch.full_like(input, torch.nan), target, counts=counts)
    assert all(torch.equal(before[k], counts.state_dict()[k]) for k in ("total", "batches"))
    fresh = m.running_counts()
    assert torch.isfinite(fresh.add(torch.full((4,), torch.nan))).all()


def test_counts_of_another_file_are_counts() -> None:
    input, target = data("binary")
    other = metricc.compile("f1", name="other").running_counts()
    loss = metricc.compile("f1").loss()
    assert loss(input, target, counts=other).item() == pytest.approx(loss(input, target).item())


def test_counts_under_torch_compile() -> None:
    input, target = data("binary")
    loss = metricc.compile("f1").loss()
    counts = loss.counts(input, target)
    input.requires_grad_()
    (wanted,) = torch.autograd.grad(loss(input, target, counts=counts), input)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    (found,) = torch.autograd.grad(compiled(input, target, counts=counts), input)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-15)
