"""The two ways through a loss of one table: by blocks on a CPU, and traced, for everything else.

The oracle is autograd over the plain formula in float64.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

import metricc

FORMULAS = ("f1", "mcc", "gmean", "0.5*bce + 0.5*(1 - f1)")


def batch(n: int = 30, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels and weights, float64."""
    random = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(n, generator=random, dtype=torch.float64)
    y = (torch.rand(n, generator=random) < 0.4).double()
    return z, y, 0.5 + torch.rand(n, generator=random, dtype=torch.float64)


def plain_f1(z: Tensor, y: Tensor, v: Tensor) -> Tensor:
    a = torch.sigmoid(10 * (torch.sigmoid(z) - 0.5))
    tp, fn, fp = (v * y * a).sum(), (v * y * (1 - a)).sum(), (v * (1 - y) * a).sum()
    return 1 - 2 * tp / (2 * tp + fn + fp)


def gradient(loss: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(z), z)
    return found


@pytest.mark.parametrize("formula", FORMULAS)
def test_both_ways_agree(formula: str) -> None:
    z, y, v = batch()
    loss = partial(metricc.loss(formula, name="m"), target=y, weight=v)
    slopes, value = torch.func.grad_and_value(loss)(z)
    assert value == pytest.approx(loss(z).item(), rel=1e-14)
    torch.testing.assert_close(slopes, gradient(loss, z), rtol=1e-12, atol=1e-16)


def test_both_ways_are_the_plain_gradient() -> None:
    z, y, v = batch(seed=1)
    loss = metricc.loss("f1")
    wanted = gradient(lambda z: plain_f1(z, y, v), z)
    for found in (gradient(lambda z: loss(z, y, v), z), torch.func.grad(loss)(z, y, v)):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-15)


def test_vmap_over_batches_and_labels() -> None:
    many = [batch(seed=seed) for seed in range(4)]
    z, y, v = (torch.stack(rows) for rows in zip(*many, strict=True))
    for formula in FORMULAS:
        loss = metricc.loss(formula, name="m")
        each = torch.stack([loss(*row) for row in many])
        torch.testing.assert_close(torch.vmap(loss)(z, y, v), each, rtol=1e-13, atol=0)
        slopes = torch.vmap(torch.func.grad(loss))(z, y, v)
        one_by_one = torch.stack([gradient(lambda z: loss(z, *row[1:]), row[0]) for row in many])  # noqa: B023
        torch.testing.assert_close(slopes, one_by_one, rtol=1e-11, atol=1e-16)
    counts = metricc.loss("f1").counts(*many[0][:2])
    at_counts = torch.vmap(partial(metricc.loss("f1"), target=y[0], counts=counts))(z)
    assert torch.equal(at_counts, at_counts[:1].expand(4))


def test_second_derivatives_of_both_ways() -> None:
    z, y, v = batch(12)
    loss = partial(metricc.loss("f1"), target=y, weight=v)
    wanted = torch.autograd.functional.hessian(lambda z: plain_f1(z, y, v), z)
    for found in (
        torch.autograd.functional.hessian(loss, z),
        torch.func.jacrev(torch.func.grad(loss))(z),
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-12)


def test_a_second_backward_has_the_same_bits() -> None:
    for n in (30, 300_000):
        z, y, _ = batch(n)
        z = z.float().requires_grad_()
        loss = metricc.loss("f1")(z, y.float())
        first = torch.autograd.grad(loss, z, retain_graph=True)[0]
        assert torch.equal(first, torch.autograd.grad(loss, z)[0])


def test_batched_upstream_gradients() -> None:
    z, y, _ = batch()
    z.requires_grad_()
    factors = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    loss = metricc.loss("f1")(z, y)
    (found,) = torch.autograd.grad(loss, z, factors, is_grads_batched=True, retain_graph=True)
    (one,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(found, factors[:, None] * one, rtol=1e-12, atol=1e-16)


def test_forward_mode_is_refused() -> None:
    z, y, _ = batch()
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(partial(metricc.loss("f1"), target=y), (z,), (z,))


def test_an_input_that_is_its_own_slope_stays_as_it_is() -> None:
    """A(p) = p^2 has the slope 2p, which must not be made the gradient where the input stands."""
    p = torch.tensor([0.2, 0.7, 0.9], dtype=torch.float64)
    y = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    for surrogate in ("p", "(p^2 + p)/2", "p^2"):
        input = p.clone().requires_grad_()
        loss = metricc.loss("f1", surrogate=surrogate, from_probabilities=True)
        loss(input, y).backward()
        assert torch.equal(input.detach(), p)


def test_compiles_whole_and_once_for_all_sizes() -> None:
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("aot_eager")
    loss = metricc.loss("f1")
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=counter)
    for n in (8, 16, 33, 100, 257, 1000):
        z, y, _ = batch(n)
        found = gradient(lambda z: compiled(z, y), z)  # noqa: B023
        torch.testing.assert_close(found, gradient(lambda z: loss(z, y), z), rtol=1e-11, atol=1e-16)  # noqa: B023
    assert counter.frame_count <= 2
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("world", "init_process_group"),
        (True, "init_process_group"),
    ],
)
def test_a_process_group_needs_ranks(group: object, said: str) -> None:
    z, y, _ = batch()
    with pytest.raises(ValueError, match=re.escape(said)):
        metricc.loss("f1", process_group=group)(z, y)


@pytest.mark.parametrize("L", [10.0, 79.0, 400.0, 1e5])
def test_extreme_logits_have_finite_derivatives_both_ways(L: float) -> None:
    y = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    loss = partial(metricc.loss("f1", L=L), target=y)
    for far in (80.0, 88.0, 1e4, 3e38):
        z = torch.tensor([far, far, -far, -far, 0.0, 0.3])
        slopes, value = torch.func.grad_and_value(loss)(z)
        assert value.isfinite() and slopes.isfinite().all()
        torch.testing.assert_close(slopes, gradient(loss, z), rtol=1e-4, atol=1e-37)
        assert torch.autograd.functional.hessian(loss, z).isfinite().all()


def test_other_devices_and_fake_tensors() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    loss = metricc.loss("f1")
    z, y, _ = batch()
    with torch.device("meta"):  # of what is made, not of what is given
        assert loss(z, y).device.type == "cpu"
        assert gradient(lambda z: loss(z, y), z).device.type == "cpu"
    with FakeTensorMode():
        fake = torch.randn(20, requires_grad=True)
        loss(fake, torch.ones(20)).backward()
        assert fake.grad is not None and fake.grad.shape == (20,)


def test_vmap_over_labels_or_weights_alone() -> None:
    z, y, v = batch()
    loss = metricc.loss("f1")
    labels, weights = torch.stack([y, 1 - y]), torch.stack([v, 2 * v])
    found = torch.vmap(lambda y: loss(z, y))(labels)
    torch.testing.assert_close(found, torch.stack([loss(z, row) for row in labels]))
    found = torch.vmap(lambda v: loss(z, y, v))(weights)
    torch.testing.assert_close(found, torch.stack([loss(z, y, row) for row in weights]))
    counts = torch.stack([loss.counts(z, y), loss.counts(z, 1 - y)])
    found = torch.vmap(lambda counts: loss(z, y, counts=counts))(counts)
    torch.testing.assert_close(found, torch.stack([loss(z, y, counts=row) for row in counts]))


def test_a_loss_above_all_numbers_is_the_largest() -> None:
    loss = metricc.loss("FN*FP*FN", minimize=True, name="m")
    z, y = torch.zeros(400), (torch.arange(400) % 2).float()
    loss = partial(loss, weight=torch.full((400,), 1e15))
    both = loss(z, y), torch.func.grad_and_value(lambda z: loss(z, y))(z)[1]
    for found in both:
        assert found == torch.finfo(torch.float32).max


def test_a_column_that_changes_between_the_passes_is_noticed() -> None:
    z, y, _ = batch()
    amount = torch.ones(30, dtype=torch.float64)
    loss = metricc.loss("recall[amount]*precision", maximize=True, name="m")
    z.requires_grad_()
    value = loss(z, y, amount=amount)
    amount.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_names_of_parameters_that_the_file_uses_are_refused() -> None:
    for name in ("keep", "sums", "found", "kernel", "again"):
        text = (
            f"q({name} = 1 in [0, inf)) = (1 + {name}^2)*TP/((1 + {name}^2)*TP + {name}^2*FN + FP)"
        )
        with pytest.raises(metricc.MetriccError, match="MC0207"):
            metricc.compile(text)
