"""Gradient accumulation at the counts of all micro-batches: a model's gradient is the full batch's.

The oracle is the same model on the full batch in one piece, and for F1 its naive spelling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import metricc

CLASSES = 4
SIZES = {"even": [12] * 4, "uneven": [1, 30, 3, 14], "one": [48], "an empty one": [20, 0, 28]}


def model(outputs: int, *, middle: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(3)
    layers = [nn.Linear(5, 8), middle or nn.Tanh(), nn.Linear(8, outputs)]
    return nn.Sequential(*layers, *([nn.Flatten(0)] if outputs == 1 else [])).double()


def data(task: str, size: int = 48) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(17)
    x = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    if task == "multiclass":
        return x, torch.randint(0, CLASSES, (size,), generator=generator)
    shape = (size,) if task == "binary" else (size, CLASSES)
    return x, (torch.rand(shape, generator=generator) < 0.25).double()


def gradients(net: nn.Module) -> Tensor:
    return torch.cat([p.grad.reshape(-1) for p in net.parameters() if p.grad is not None])


def two_passes(net: Callable[[Tensor], Tensor], loss: Any, micro: list[Any]) -> list[float]:
    """The loop of docs/micro-batches.md. The loss of each micro-batch."""
    with torch.random.fork_rng(), torch.no_grad():
        total = sum(loss.counts(net(x), y, **kw) for x, y, kw in micro)
    values = []
    for x, y, kw in micro:
        value = loss(net(x), y, **kw, counts=total)
        value.backward()
        values.append(value.item())
    return values


def near(found: Tensor, wanted: Tensor, tolerance: float = 1e-12) -> None:
    assert wanted.abs().max() > 0
    assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


def compiled(formula: str, task: str) -> Any:
    return metricc.compile(formula, task=task)


LOSSES = [
    ("f1", "binary", {}),
    ("mcc", "binary", {}),
    ("0.5*bce + 0.5*(1 - sqrt(TPR*TNR))", "binary", {}),
    ("-log(f1)", "binary", {"label_smoothing": 0.1}),
    ("recall[amount]", "binary", {}),
    ("macro(f1)", "multilabel", {}),
    ("0.5*bce + 0.5*(1 - micro(jaccard))", "multilabel", {"ignore_index": -1}),
    ("worst(recall)", "multilabel", {}),
    ("weighted(f1)", "multiclass", {}),
    ("multiclass_mcc", "multiclass", {"label_smoothing": 0.1}),
    ("0.5*ce + 0.5*(1 - geomean(recall))", "multiclass", {"class_weight": [1.0, 2.0, 0.0, 1.0]}),
    ("per_class(f1)", "multiclass", {"absent": "zero"}),
]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("formula", "task", "arguments"), LOSSES)
def test_two_passes_give_the_full_batch(
    formula: str, task: str, arguments: dict[str, Any], sizes: str
) -> None:
    loss = compiled(formula, task).loss(**arguments)
    x, y = data(task)
    generator = torch.Generator().manual_seed(5)
    rest = {"weight": torch.rand(48, generator=generator, dtype=torch.float64)}
    if "amount" in formula:
        rest["amount"] = 50 * torch.rand(48, generator=generator, dtype=torch.float64)
    if "ignore_index" in arguments:
        y[torch.rand(y.shape, generator=generator) < 0.2] = -1
    whole = model(1 if task == "binary" else CLASSES)
    value = loss(whole(x), y, **rest)
    value.backward()
    net = model(1 if task == "binary" else CLASSES)
    pieces = [t.split(SIZES[sizes]) for t in (x, y, *rest.values())]
    micro = [
        (a, b, dict(zip(rest, more, strict=True))) for a, b, *more in zip(*pieces, strict=True)
    ]
    values = two_passes(net, loss, micro)
    near(gradients(net), gradients(whole))
    # Every call has the full batch's value: they are not to be added.
    assert values == pytest.approx([value.item()] * len(values), rel=1e-12)


def test_the_gradient_of_f1_by_its_naive_spelling() -> None:
    x, y = data("binary")
    whole, net = model(1), model(1)
    a = torch.sigmoid(10 * (torch.sigmoid(whole(x)) - 0.5))
    (1 - 2 * (y * a).sum() / (y.sum() + a.sum())).backward()
    micro = [(a, b, {}) for a, b in zip(x.split(7), y.split(7), strict=True)]
    two_passes(net, metricc.loss("f1"), micro)
    near(gradients(net), gradients(whole))


def test_the_mean_of_micro_batches_own_losses_is_another_gradient() -> None:
    """What accumulation does without counts: the premise of the page."""
    x, y = data("binary")
    loss = metricc.loss("f1")
    whole, net = model(1), model(1)
    loss(whole(x), y).backward()
    for a, b in zip(x.split(6), y.split(6), strict=True):
        (loss(net(a), b) / 8).backward()
    found, wanted = gradients(net), gradients(whole)
    assert (found - wanted).abs().max() > 0.05 * wanted.abs().max()


@pytest.mark.parametrize("formula", ["samples(f1)", "per sample"])
def test_tables_of_samples_go_through_the_logits(formula: str) -> None:
    """They have no counts that add; the gradient of the logits, taken once, is cut up instead."""
    per = {"per": "sample"} if formula == "per sample" else {}
    formula = "macro(f1)" if per else formula
    loss = metricc.loss(formula, task="multilabel", **per)
    x, y = data("multilabel")
    whole, net = model(CLASSES), model(CLASSES)
    loss(whole(x), y).backward()
    with torch.no_grad():
        z = torch.cat([net(a) for a in x.split(9)]).requires_grad_()
    (g,) = torch.autograd.grad(loss(z, y), z)
    for a, piece in zip(x.split(9), g.split(9), strict=True):
        net(a).backward(piece)
    near(gradients(net), gradients(whole))


class Noise(nn.Module):
    """Tanh, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.4)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(torch.tanh(x))


@pytest.mark.parametrize("recomputed", [False, True])
def test_dropout_draws_the_same_in_both_passes(recomputed: bool) -> None:
    """fork_rng puts the generator back; checkpoint does the same for its third forward."""
    x, y = data("binary")
    loss = metricc.loss("f1")
    micro = [(a, b, {}) for a, b in zip(x.split(10), y.split(10), strict=True)]

    def through(net: nn.Module) -> Callable[[Tensor], Tensor]:
        return lambda a: checkpoint(net, a, use_reentrant=False) if recomputed else net(a)

    whole, net, careless = (model(1, middle=Noise()) for _ in range(3))
    torch.manual_seed(1)  # micro-batch by micro-batch: the same masks, one loss of all logits
    loss(torch.cat([whole(a) for a, _, _ in micro]), y).backward()
    torch.manual_seed(1)
    two_passes(through(net), loss, micro)
    near(gradients(net), gradients(whole))
    torch.manual_seed(2)
    with torch.no_grad():  # without fork_rng the counts are those of other masks
        total = sum(loss.counts(careless(a), b) for a, b, _ in micro)
    torch.manual_seed(1)
    for a, b, _ in micro:
        loss(careless(a), b, counts=total).backward()
    found, wanted = gradients(careless), gradients(whole)
    assert (found - wanted).abs().max() > 1e-3 * wanted.abs().max()


def test_batch_norm_sees_micro_batches() -> None:
    """In training it normalizes by the micro-batch, in both passes alike: the gradient is exact for
    that model, which is not the full batch's. Its running statistics move twice; with momentum 0 in
    the first pass once."""
    x, y = data("binary")
    loss = metricc.loss("f1")
    micro = [(a, b, {}) for a, b in zip(x.split(12), y.split(12), strict=True)]
    each, net, full = (model(1, middle=nn.BatchNorm1d(8)) for _ in range(3))
    loss(torch.cat([each(a) for a, _, _ in micro]), y).backward()
    norm, once = net[1], each[1]
    with torch.no_grad():
        norm.momentum, momentum = 0.0, norm.momentum
        total = sum(loss.counts(net(a), b) for a, b, _ in micro)
        norm.momentum = momentum
    for a, b, _ in micro:
        loss(net(a), b, counts=total).backward()
    near(gradients(net), gradients(each))
    torch.testing.assert_close(norm.running_mean, once.running_mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(norm.running_var, once.running_var, rtol=1e-12, atol=0)
    assert norm.num_batches_tracked == 2 * once.num_batches_tracked
    loss(full(x), y).backward()
    assert (gradients(full) - gradients(each)).abs().max() > 1e-3 * gradients(each).abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(dtype: torch.dtype) -> None:
    """Under autocast, scaled by GradScaler: float32's gradient up to the halves' rounding, which a
    full batch in halves has too."""
    x, y = (t.float() for t in data("binary", size=480))
    loss = metricc.loss("f1")
    exact, whole, net = (model(1).float() for _ in range(3))
    loss(exact(x), y).backward()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.0) for m in (whole, net)]
    with torch.autocast("cpu", dtype):
        z = whole(x)
        assert z.dtype == dtype
        scaler.scale(loss(z, y)).backward()
    micro = [*zip(x.split(100), y.split(100), strict=True)]
    with torch.no_grad(), torch.autocast("cpu", dtype):
        total = sum(loss.counts(net(a), b) for a, b in micro)
    for a, b in micro:
        with torch.autocast("cpu", dtype):
            value = loss(net(a), b, counts=total)
        assert value.dtype == torch.float32
        scaler.scale(value).backward()
    for optimizer in optimizers:
        scaler.unscale_(optimizer)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 3e-3
    near(gradients(net), gradients(whole), tolerance)
    near(gradients(net), gradients(exact), tolerance)
