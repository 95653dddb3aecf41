"""What docs/samplers.md says of samplers, as exact expectations: all batches are enumerated."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import metricc

ROWS, BATCH = 7, 3  # 343 batches with replacement
KEEP = ("recall", "specificity", "balanced_accuracy", "gmean", "informedness", "fpr", "fnr")
CHANGE = ("precision", "npv", "f1", "fbeta", "jaccard", "mcc", "kappa", "accuracy")


@cache
def compiled(name: str) -> Any:
    return metricc.compile(name)


def data() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, generator=g, dtype=torch.float64), torch.tensor(
        [1.0] * 2 + [0.0] * 5
    ).double()


def drawn(y: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """How probably each row is drawn, and the weight that corrects it."""
    natural = y.mean()
    q = torch.where(y > 0, share / y.sum(), (1 - share) / (1 - y).sum()).double()
    return q, torch.where(y > 0, natural / share, (1 - natural) / (1 - share)).double()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["f1", "mcc", "kappa", "npv"])
def test_weights_put_the_counts_the_loss_and_the_gradient_back(name: str, share: float) -> None:
    """E over all batches of the weighted counts, and of the gradient at the data's counts."""
    z, y = data()
    q, v = drawn(y, share)
    loss = compiled(name).loss()
    whole = loss.counts(z, y)
    exact = z.clone().requires_grad_()
    loss(exact, y).backward()
    counts, gradient, value = torch.zeros(4).double(), torch.zeros(ROWS).double(), 0.0
    for batch in product(range(ROWS), repeat=BATCH):
        rows = torch.tensor(batch)
        probability = q[rows].prod()
        one = z.clone().requires_grad_()
        found = loss(one[rows], y[rows], weight=v[rows], counts=whole)
        found.backward()
        counts += probability * loss.counts(z[rows], y[rows], weight=v[rows])
        gradient += probability * one.grad
        value += (probability * found).item()
    torch.testing.assert_close(counts * ROWS / BATCH, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient * ROWS / BATCH, exact.grad, rtol=1e-12, atol=1e-12)
    assert value == pytest.approx(loss(z, y).item(), rel=1e-12)
    plain = sum(
        q[torch.tensor(b)].prod() * loss.counts(z[[*b]], y[[*b]])
        for b in product(range(ROWS), repeat=BATCH)
    )
    assert float(plain[0] / plain.sum()) != pytest.approx(float(whole[0] / whole.sum()), rel=0.1)


@pytest.mark.parametrize("name", KEEP + CHANGE)
def test_which_metrics_a_sampler_changes(name: str) -> None:
    """Positives drawn k times as often, on tables of whole numbers."""
    g = np.random.default_rng(0)
    tp, fn, fp, tn = g.integers(1, 50, (4, 20))
    m = compiled(name)
    before, after = m.value(tp, fn, fp, tn), m.value(9 * tp, 9 * fn, fp, tn)
    if name in KEEP:
        np.testing.assert_allclose(after, before, rtol=1e-12)
    else:
        assert (abs(after - before) > 1e-3).mean() > 0.8


def test_gradients_at_the_counts_of_everything_add_to_its_gradient() -> None:
    """A partition into batches, some without positives, in all three tasks."""
    for task, formula in (("binary", "mcc"), ("multilabel", "f1"), ("multiclass", "f1")):
        g = torch.Generator().manual_seed(1)
        shape = (50,) if task == "binary" else (50, 3)
        z = torch.randn(*shape, generator=g, dtype=torch.float64)
        y = (torch.rand(*shape, generator=g) < 0.1).double()
        if task == "multiclass":
            y = torch.randint(0, 3, (50,), generator=g)
        loss = metricc.compile(formula, task=task).loss()
        parts = [*zip(z.split(4), y.split(4), strict=True)]
        whole = sum(loss.counts(a, b) for a, b in parts)
        torch.testing.assert_close(whole, loss.counts(z, y), rtol=1e-12, atol=1e-12)
        at_once, apart = z.clone().requires_grad_(), z.clone().requires_grad_()
        loss(at_once, y).backward()
        for i in range(0, 50, 4):
            loss(apart[i : i + 4], y[i : i + 4], counts=whole).backward()
        torch.testing.assert_close(apart.grad, at_once.grad, rtol=1e-12, atol=1e-14)
