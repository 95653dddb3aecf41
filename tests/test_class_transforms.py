"""Losses of several tables under torch's transforms: one file, two ways through it.

A CPU goes through the batch in pieces; compilers, functorch and second derivatives go through
operations on whole tensors. Both must give the same loss and gradient.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

import metricc
from metricc.load import load

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "classes": ("f1", {"task": "multiclass"}),
    "classes, TN": ("macro(mcc)", {"task": "multiclass"}),
    "classes, ce": ("0.5*ce + 0.5*(1 - macro(f1))", {"task": "multiclass"}),
    "classes, probabilities": ("f1", {"task": "multiclass", "from_probabilities": True}),
    "classes by sample": ("f1", {"task": "multiclass", "per": "sample"}),
    "each class": ("per_class(f1)", {"task": "multiclass"}),
    "all classes": ("multiclass_mcc", {"task": "multiclass"}),
    "samples of classes": ("samples(f1)", {"task": "multiclass"}),
    "labels": ("f1", {"task": "multilabel"}),
    "labels, bce": ("0.5*bce + 0.5*(1 - macro(f1))", {"task": "multilabel"}),
    "samples of labels": ("samples(f1)", {"task": "multilabel"}),
    "samples": ("f1", {"per": "sample"}),
}
CLOSE = {"rtol": 1e-11, "atol": 1e-14}


class Batch:
    """A loss, two batches, and what plain calls make of them."""

    def __init__(self, name: str) -> None:
        formula, options = CASES[name]
        self.loss = metricc.loss(formula, **options)
        generator = torch.Generator().manual_seed(7)
        self.z = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=generator)
        if options.get("from_probabilities"):
            self.z = torch.softmax(self.z, 2)
        self.y = torch.randint(0, 3, (2, 5, 4), generator=generator)
        if options.get("task") != "multiclass":
            self.y = (torch.rand(2, 5, 3, 4, generator=generator) < 0.5).double()
        calls = [self.plain(z, y) for z, y in zip(self.z, self.y, strict=True)]
        self.values, self.gradients = (torch.stack(part) for part in zip(*calls, strict=True))

    def one(self, z: Tensor, y: Tensor) -> Tensor:
        return self.loss(z, y).sum()

    def plain(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        leaf = z.clone().requires_grad_()
        value = self.one(leaf, y)
        return value.detach(), torch.autograd.grad(value, leaf)[0]


@pytest.fixture(params=CASES)
def batch(request: pytest.FixtureRequest) -> Batch:
    return Batch(request.param)


def test_functorch_gives_the_gradient_of_plain_calls(batch: Batch) -> None:
    z, y = batch.z, batch.y
    torch.testing.assert_close(grad(batch.one)(z[0], y[0]), batch.gradients[0], **CLOSE)
    torch.testing.assert_close(vmap(batch.one)(z, y), batch.values, **CLOSE)
    torch.testing.assert_close(vmap(grad(batch.one))(z, y), batch.gradients, **CLOSE)
    found = vmap(batch.one, in_dims=(None, 0))(z[0], y)
    torch.testing.assert_close(found[0], batch.values[0], **CLOSE)
    found = vmap(grad(batch.one), in_dims=(0, None))(z, y[1])
    torch.testing.assert_close(found[1], batch.gradients[1], **CLOSE)


def test_forward_mode_is_refused(batch: Batch) -> None:
    with pytest.raises(NotImplementedError, match="forward mode"):
        jvp(lambda z: batch.one(z, batch.y[0]), (batch.z[0],), (batch.z[0],))


def test_second_derivatives_two_ways(batch: Batch) -> None:
    z, y = batch.z[0], batch.y[0]
    leaf = z.clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: batch.one(x, y), (leaf,))
    (g,) = torch.autograd.grad(batch.one(leaf, y), leaf, create_graph=True)
    (twice,) = torch.autograd.grad((g**2).sum(), leaf)
    wanted = grad(lambda x: (grad(batch.one)(x, y) ** 2).sum())(z)
    torch.testing.assert_close(twice, wanted, rtol=1e-9, atol=1e-12)


def test_backward_again_and_with_many_upstream_gradients(batch: Batch) -> None:
    leaf = batch.z[0].clone().requires_grad_()
    value = batch.one(leaf, batch.y[0])
    first, second = (torch.autograd.grad(value, leaf, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    upstream = torch.tensor([1.0, -2.0], dtype=torch.float64)
    (found,) = torch.autograd.grad(value, leaf, upstream, is_grads_batched=True)
    wanted = torch.stack([batch.gradients[0], -2 * batch.gradients[0]])
    torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("name", ["classes", "samples of labels"])
def test_compiles_without_a_break(name: str) -> None:
    batch = Batch(name)
    torch._dynamo.reset()
    compiled = torch.compile(batch.loss, fullgraph=True, backend="aot_eager")
    leaf = batch.z[0].clone().requires_grad_()
    value = compiled(leaf, batch.y[0]).sum()
    value.backward()
    assert leaf.grad is not None
    torch.testing.assert_close(value.detach(), batch.values[0], **CLOSE)
    torch.testing.assert_close(leaf.grad, batch.gradients[0], **CLOSE)


def test_shapes_go_through_without_memory(batch: Batch) -> None:
    z = torch.empty(batch.z[0].shape, device="meta", requires_grad=True)
    batch.one(z, torch.empty_like(batch.y[0], device="meta")).backward()
    assert z.grad is not None and z.grad.shape == z.shape


@pytest.mark.parametrize("formula", ["macro(f1)", "macro(mcc)"])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_class_labels_count_like_their_one_hot_probabilities(formula: str, scale: float) -> None:
    """Sure and wrong predictions too, where 1 - p is the sum of the other classes."""
    module = load(metricc.compile(formula, task="multiclass", name="m").source, "labels")
    generator = torch.Generator().manual_seed(1)
    z = scale * torch.randn(40, 5, 3, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 5, (40, 3), generator=generator)
    one_hot = torch.nn.functional.one_hot(y, 5).movedim(-1, 1).double()
    for block in (module._BLOCK, 7):
        module._BLOCK = block
        loss = module.MLoss()
        labels, given = loss.counts(z, y), loss.counts(z, one_hot)
        p = torch.softmax(z, 1)
        rest = torch.stack([p[:, [j for j in range(5) if j != k]].sum(1) for k in range(5)], 1)
        parts = (one_hot * p, one_hot * rest, (1 - one_hot) * p, (1 - one_hot) * rest)
        wanted = torch.stack([part.sum((0, 2)) for part in parts])
        rows = 4 if formula == "macro(mcc)" else 3  # F1 does not use TN
        torch.testing.assert_close(labels[:rows], wanted[:rows], rtol=1e-12, atol=0)
        torch.testing.assert_close(given, wanted, rtol=1e-12, atol=0)
        torch.testing.assert_close(labels[3], wanted[3], rtol=1e-12, atol=1e-11)
        gradients = []
        for target in (y, one_hot):
            leaf = z.clone().requires_grad_()
            loss(leaf, target).backward()
            assert leaf.grad is not None
            gradients.append(leaf.grad)
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=0)


def test_large_class_batches_leave_nothing_but_the_gradient() -> None:
    """No tensor of the input's size is made but the one that becomes the gradient."""
    loss = metricc.loss("f1", task="multiclass")
    z = torch.randn(4, 11, 300, 100, requires_grad=True)
    y = torch.randint(0, 11, (4, 300, 100))
    with torch.profiler.profile(profile_memory=True) as profile:
        loss(z, y).backward()
    made = [event.self_cpu_memory_usage for event in profile.events()]
    assert sum(size >= z.numel() * 4 for size in made) == 1
