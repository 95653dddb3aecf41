"""The generated loss as a torch user meets it: dtypes, shapes, compilers, pickles, ugly batches."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import metricc

TRAINABLE = ("f1", "fbeta", "jaccard", "gmean", "balanced_accuracy", "mcc", "cohen_kappa", "p4")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def batch(n: int = 200, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    z = torch.randn(n, generator=generator, dtype=torch.float64).to(dtype)
    y = (torch.rand(n, generator=generator) < 0.3).to(dtype)
    return z.requires_grad_(), y


def gradient(loss: Callable[..., Tensor], z: Tensor, *args: Tensor, **kwargs: Tensor) -> Tensor:
    leaf = z.detach().clone().requires_grad_()
    loss(leaf, *args, **kwargs).backward()
    assert leaf.grad is not None
    return leaf.grad


def naive_f1(z: Tensor, y: Tensor, steepness: float = 10.0) -> Tensor:
    h = 1 / (1 + torch.exp(-steepness * (torch.sigmoid(z) - 0.5)))
    tp, fn, fp = (y * h).sum(), (y * (1 - h)).sum(), ((1 - y) * h).sum()
    return 1 - 2 * tp / (2 * tp + fp + fn)


def test_equals_the_naive_loss_and_its_autograd() -> None:
    z, y = batch()
    loss = metricc.loss("f1")
    assert torch.allclose(loss(z, y), naive_f1(z, y), rtol=1e-14)
    wanted = gradient(naive_f1, z, y)
    assert (gradient(loss, z, y) - wanted).abs().max() <= 1e-13 * wanted.abs().max()


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.uint8, torch.float16])
def test_targets_of_any_type(kind: torch.dtype) -> None:
    z, y = batch()
    loss = metricc.loss("mcc")
    # A kernel that was built for this loss, by another test, takes some of the types.
    exact = {"rtol": 1e-13, "atol": 0.0}
    torch.testing.assert_close(loss(z, y.to(kind)), loss(z, y), **exact)
    torch.testing.assert_close(gradient(loss, z, y.to(kind)), gradient(loss, z, y), **exact)


def test_any_shape_is_flattened() -> None:
    z, y = batch(240)
    loss = metricc.loss("gmean")
    flat = gradient(loss, z, y)
    for shape in ((240, 1), (4, 60), (2, 3, 5, 8)):
        shaped = gradient(loss, z.reshape(shape), y.reshape(shape))
        assert shaped.shape == shape
        assert torch.equal(shaped.reshape(-1), flat)
    # not contiguous: the same elements, in another order
    turned, labels = z.detach().reshape(4, 60).T, y.reshape(4, 60).T
    torch.testing.assert_close(gradient(loss, turned, labels).T.reshape(-1), flat)
    assert not turned.is_contiguous()


def test_weight_per_element_and_per_sample() -> None:
    z, y = batch(60)
    loss = metricc.loss("f1")
    per_sample = torch.arange(12.0)
    spread = per_sample.reshape(12, 1).expand(12, 5)
    z2, y2 = z.detach().reshape(12, 5), y.reshape(12, 5)
    one = gradient(loss, z2, y2, weight=per_sample)
    assert torch.equal(one, gradient(loss, z2, y2, weight=spread))
    assert (one[0] == 0).all()
    # weight 0 is the same as not being there
    z3, y3 = z2[1:], y2[1:]
    torch.testing.assert_close(loss(z2, y2, weight=per_sample), loss(z3, y3, weight=per_sample[1:]))


def test_large_batches_go_through_in_blocks() -> None:
    z, y = batch(700_001, torch.float32)
    loss = metricc.loss("f1")
    torch.testing.assert_close(loss(z, y), naive_f1(z.double(), y.double()).float())
    wanted = gradient(naive_f1, z.detach().double(), y.double())
    error = (gradient(loss, z, y) - wanted).abs().max() / wanted.abs().max()
    assert error < 1e-5


def test_nothing_of_the_inputs_size_is_saved_beyond_the_inputs() -> None:
    z, y = batch(5_000)
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        metricc.loss("mcc")(z, y)
    inputs = {z.data_ptr(), y.data_ptr()}
    assert all(t.numel() <= 4 or t.data_ptr() in inputs for t in saved)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: torch.dtype) -> None:
    z, y = batch(500, dtype)
    loss = metricc.loss("f1")
    value = loss(z, y)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    exact = loss(z.detach().double(), y.double())
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=0)
    assert gradient(loss, z, y).dtype == dtype


def test_autocast() -> None:
    torch.manual_seed(0)
    layer, x, y = torch.nn.Linear(3, 1), torch.randn(50, 3), torch.rand(50) < 0.4
    loss = metricc.loss("mcc")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(x).squeeze(1)
        value = loss(logits, y)
    assert logits.dtype == torch.bfloat16 and value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.detach().float(), y))
    value.backward()
    assert layer.weight.grad is not None and torch.isfinite(layer.weight.grad).all()


@pytest.mark.parametrize("surrogate", ["amplified", "soft"])
@pytest.mark.parametrize("name", ["f1", "mcc"])
def test_compiles_into_one_graph(name: str, surrogate: str) -> None:
    loss = metricc.loss(name, surrogate=surrogate)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    z, y = batch()
    torch.testing.assert_close(compiled(z, y), loss(z, y))
    torch.testing.assert_close(gradient(compiled, z, y), gradient(loss, z, y))


@pytest.mark.slow
def test_compiles_with_inductor() -> None:
    loss = metricc.loss("mcc")
    compiled = torch.compile(loss, fullgraph=True)
    z, y = batch(3_000, torch.float32)
    torch.testing.assert_close(compiled(z, y), loss(z, y))
    torch.testing.assert_close(gradient(compiled, z, y), gradient(loss, z, y))


@pytest.mark.parametrize("name", TRAINABLE)
def test_second_derivatives(name: str) -> None:
    z, y = batch(6)
    z, y = z.detach().clone(), torch.tensor([1.0, 0, 1, 0, 0.25, 1])
    z[2] = 0.0
    loss = metricc.loss(name)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, y), (z.requires_grad_(),))


def test_func_grad() -> None:
    z, y = batch()
    loss = metricc.loss("f1")
    one = torch.func.grad(lambda x: loss(x, y))(z.detach())
    torch.testing.assert_close(one, gradient(loss, z, y))


def test_no_graph_is_needed() -> None:
    z, y = batch()
    with torch.no_grad():
        value = metricc.loss("f1")(z, y)
    assert not value.requires_grad
    with torch.inference_mode():
        assert torch.equal(metricc.loss("f1")(z.detach(), y), value)


def test_backward_twice() -> None:
    z, y = batch()
    value = metricc.loss("f1")(z, y)
    (one,) = torch.autograd.grad(value, z, retain_graph=True)
    (two,) = torch.autograd.grad(3 * value, z)
    torch.testing.assert_close(3 * one, two)


def test_module_is_stateless_and_copies() -> None:
    loss = metricc.loss("fbeta", beta=2.0, L=20.0)
    assert loss.state_dict() == {} and not list(loss.parameters())
    twin = copy.deepcopy(loss)
    again = pickle.loads(pickle.dumps(loss))
    z, y = batch()
    assert torch.equal(twin(z, y), loss(z, y)) and torch.equal(again(z, y), loss(z, y))
    assert repr(loss) == "FbetaLoss(beta=2.0, L=20.0, threshold=0.5)"


def test_pickle_of_a_saved_loss_loads_without_metricc(tmp_path: Path) -> None:
    metricc.compile("f1").save(tmp_path / "f1_loss.py")
    write = "import f1_loss, pickle; pickle.dump(f1_loss.F1Loss(L=5.0), open('l.pkl', 'wb'))"
    read = (
        "import pickle, sys, torch\n"
        "loss = pickle.load(open('l.pkl', 'rb'))\n"
        "loss(torch.zeros(3, requires_grad=True), torch.tensor([1.0, 0, 1])).backward()\n"
        "assert not {'metricc', 'sympy', 'lark', 'numpy.sympy'} & set(sys.modules)\n"
        "print(loss)"
    )
    for code in (write, read):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "F1Loss(L=5.0, threshold=0.5)"


def test_source_is_what_runs() -> None:
    m = metricc.compile("f1")
    module = m.module()
    assert inspect.getsource(module) == m.source
    assert inspect.getsource(type(m.loss())) in m.source


def refused(z: object, y: object, weight: object = None, **kwargs: float) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        metricc.loss("f1", **kwargs)(z, y, weight)
    return str(caught.value)


def test_misfits_are_refused_with_their_shapes() -> None:
    z, y = batch(6)
    assert refused(z, y[:5]) == "input has shape (6,), target (5,)"
    assert refused(z.reshape(6, 1), y) == "input has shape (6, 1), target (6,)"
    assert refused(z, y, torch.ones(5)) == "weight has shape (5,); it must be (6,) or (6,)"
    assert "int64" in refused(torch.arange(6), y)
    assert "complex64" in refused(z, y.to(torch.complex64))
    assert "list" in refused([0.5], y)
    assert "NoneType" in refused(z, None)
    assert "meta" in refused(z, y.to("meta"))
    assert "target.detach()" in refused(z, y.clone().requires_grad_())
    assert "L must lie in (0, 1000000)" in refused(z, y, L=0.0)
    assert "threshold must lie in (0, 1)" in refused(z, y, threshold=1.0)


@pytest.mark.parametrize("target", [torch.tensor([-1.0, 1, -1]), torch.tensor([255.0, 0, 1])])
def test_labels_outside_the_unit_interval_are_refused(target: Tensor) -> None:
    assert "target must be in [0, 1]" in refused(torch.tensor([0.1, -0.2, 0.3]), target)


def test_nan_stays_visible() -> None:
    z = torch.tensor([0.5, float("nan"), -0.5])
    assert torch.isnan(metricc.loss("f1")(z, torch.tensor([1.0, 0, 0])))


@pytest.mark.parametrize("name", ["f1", "jaccard", "mcc", "cohen_kappa", "gmean", "p4"])
def test_an_empty_target_is_learned_from(name: str) -> None:
    """Libraries give loss 0 and gradient 0 here, even when everything is predicted positive."""
    loss = metricc.loss(name)
    empty = torch.zeros(8)
    right = loss(torch.full((8,), -20.0), empty)
    wrong = torch.full((8,), 0.5)
    assert loss(wrong, empty) > loss(torch.full((8,), -0.5), empty) > right
    assert right < 0.1
    assert (gradient(loss, wrong, empty) > 0).all()


@given(
    inputs=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8),
    data=st.data(),
    name=st.sampled_from(TRAINABLE),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=150)
def test_loss_and_gradient_are_finite(
    inputs: list[float], data: st.DataObject, name: str, dtype: torch.dtype
) -> None:
    unit = st.sampled_from([0.0, 1.0, 0.5])
    y = data.draw(st.lists(unit, min_size=len(inputs), max_size=len(inputs)))
    v = data.draw(st.lists(unit, min_size=len(inputs), max_size=len(inputs)))
    z = torch.tensor(inputs, dtype=dtype)
    loss = metricc.loss(name, surrogate=data.draw(st.sampled_from(["amplified", "soft"])))
    weight = torch.tensor(v, dtype=dtype)
    assert torch.isfinite(loss(z, torch.tensor(y), weight))
    assert torch.isfinite(gradient(loss, z, torch.tensor(y), weight=weight)).all()


def test_official_fp16_defect_is_absent() -> None:
    """`exp` of half logits overflows in the published notebooks: 43 % of the gradients are NaN."""
    z = torch.linspace(-30, 30, 4_096).half()
    y = (torch.arange(4_096) % 5 == 0).half()
    assert torch.isfinite(gradient(metricc.loss("f1", L=73.0), z, y)).all()


# -- masks and ignored labels -----------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINABLE)
def test_what_is_masked_or_ignored_is_as_if_removed(name: str) -> None:
    z, y = batch(80)
    keep = torch.arange(80) % 3 != 0
    v = torch.linspace(0.1, 2, 80, dtype=torch.float64)
    loss = metricc.loss(name)
    wanted = torch.zeros(80, dtype=torch.float64)
    wanted[keep] = gradient(loss, z[keep], y[keep], weight=v[keep])
    dirty_z = torch.where(keep, z.detach(), torch.nan)
    dirty_y, dirty_v = torch.where(keep, y, 255), torch.where(keep, v, torch.nan)
    ignoring = metricc.loss(name, ignore_index=255)
    for call in (
        lambda x: loss(x, dirty_y, weight=dirty_v, mask=keep),
        lambda x: ignoring(x, dirty_y, weight=dirty_v),
        lambda x: ignoring(x, dirty_y, weight=dirty_v, mask=keep),
    ):
        x = dirty_z.clone().requires_grad_()
        value = call(x)
        (found,) = torch.autograd.grad(value, x)
        torch.testing.assert_close(value, loss(z[keep], y[keep], weight=v[keep]))
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-15)
        assert (found[~keep] == 0).all()


def test_masks_of_samples_labels_of_nan_and_other_dtypes() -> None:
    z, y = batch(60)
    z2, y2 = z.detach().reshape(12, 5), y.reshape(12, 5)
    rows = torch.arange(12) < 7
    loss = metricc.loss("f1")
    torch.testing.assert_close(loss(z2, y2, mask=rows), loss(z2[:7], y2[:7]))
    unknown = torch.where(rows[:, None], y2, torch.nan)
    ignoring = metricc.loss("f1", ignore_index=float("nan"))
    torch.testing.assert_close(ignoring(z2, unknown), loss(z2[:7], y2[:7]))
    classes = torch.where(rows[:, None], y2, -100).to(torch.int64)
    torch.testing.assert_close(
        metricc.loss("f1", ignore_index=-100)(z2, classes), loss(z2[:7], y2[:7].round())
    )
    for dtype in DTYPES:
        half = loss(z2.to(dtype), y2.to(dtype), mask=rows)
        torch.testing.assert_close(half, loss(z2[:7].to(dtype), y2[:7].to(dtype)))


@pytest.mark.parametrize("name", TRAINABLE)
def test_everything_masked_is_finite_and_still(name: str) -> None:
    z = torch.full((6,), torch.nan, requires_grad=True)
    loss = metricc.loss(name)
    value = loss(z, torch.full((6,), torch.nan), mask=torch.zeros(6, dtype=torch.bool))
    value.backward()
    assert torch.isfinite(value) and z.grad is not None and (z.grad == 0).all()


@pytest.mark.parametrize(
    "mask", [torch.ones(7, dtype=torch.bool), torch.ones(6), [True] * 6, torch.ones(2, 3).bool()]
)
def test_wrong_masks_are_refused(mask: Any) -> None:
    with pytest.raises(ValueError, match="mask"):
        metricc.loss("f1")(torch.zeros(6), torch.zeros(6), mask=mask)


def test_masks_under_compilation_and_second_derivatives() -> None:
    z, y = batch(9)
    keep = torch.arange(9) != 4
    loss = metricc.loss("mcc", L=4.0)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, y, mask=keep), (z,))
    compiled = torch.compile(
        lambda x, t, m: loss(x, t, mask=m), fullgraph=True, backend="aot_eager"
    )
    torch.testing.assert_close(compiled(z, y, keep), loss(z, y, mask=keep))
