"""Losses over classes and samples: layouts, averages, weights, masks, absent classes, modules."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import metricc
from metricc import MetriccError

# Layouts by name, with C = 3 classes.
LAYOUTS = {
    "(N, C)": (12, 3),
    "(N, C, L)": (4, 3, 5),
    "(N, C, H, W)": (3, 3, 4, 2),
    "(N, C, D, H, W)": (2, 3, 2, 3, 2),
}
CLASS_TASKS = ("multilabel", "multiclass")
REDUCED = (
    "macro(f1)",
    "micro(f1)",
    "weighted(f1)",
    "worst(recall)",
    "geomean(recall)",
    "sum(f1)/3",
    "sqrt(macro(TPR)*macro(TNR))",
    "macro(sqrt(TPR*TNR))",
)


def data(task: str, shape: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits and targets in which every class is present."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(*shape, generator=generator, dtype=torch.float64)
    if task == "multiclass":
        y = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
        y.view(-1)[: shape[1]] = torch.arange(shape[1])
        return z, y
    y = (torch.rand(*shape, generator=generator) < 0.4).double()
    y[0], y[1] = 0.0, 1.0
    return z, y


def gradient(loss: Callable[..., Tensor], z: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    leaf = z.detach().clone().requires_grad_()
    loss(leaf, *args, **kwargs).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def same(one: Tensor, other: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def by_hand(task: str, z: Tensor, y: Tensor) -> np.ndarray[Any, Any]:
    """Soft counts (classes, 4) of the default surrogate, in NumPy."""
    x = np.moveaxis(z.numpy(), 1, -1).reshape(-1, z.shape[1])
    if task == "multiclass":
        e = np.exp(x - x.max(1, keepdims=True))
        a, labels = e / e.sum(1, keepdims=True), np.eye(z.shape[1])[y.numpy().reshape(-1)]
    else:
        a = 1 / (1 + np.exp(-10 * (1 / (1 + np.exp(-x)) - 0.5)))
        labels = np.moveaxis(y.numpy(), 1, -1).reshape(-1, z.shape[1])
    parts = (labels * a, labels * (1 - a), (1 - labels) * a, (1 - labels) * (1 - a))
    return np.stack([part.sum(0) for part in parts], 1)


def f1_of(table: np.ndarray[Any, Any]) -> Any:
    tp, fn, fp, _ = np.moveaxis(table, -1, 0)
    return 2 * tp / (2 * tp + fn + fp)


def value_by_hand(formula: str, table: np.ndarray[Any, Any]) -> float:
    tp, fn, fp, tn = table.T
    recall, specificity = tp / (tp + fn), tn / (tn + fp)
    return float(
        {
            "macro(f1)": lambda: f1_of(table).mean(),
            "micro(f1)": lambda: f1_of(table.sum(0)),
            "weighted(f1)": lambda: np.average(f1_of(table), weights=tp + fn),
            "worst(recall)": recall.min,
            "geomean(recall)": lambda: np.prod(recall) ** (1 / len(table)),
            "sum(f1)/3": lambda: f1_of(table).sum() / 3,
            "sqrt(macro(TPR)*macro(TNR))": lambda: np.sqrt(recall.mean() * specificity.mean()),
            "macro(sqrt(TPR*TNR))": lambda: np.sqrt(recall * specificity).mean(),
        }[formula]()
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("task", CLASS_TASKS)
def test_layouts_and_reductions_by_hand(task: str, layout: str) -> None:
    z, y = data(task, LAYOUTS[layout])
    table = by_hand(task, z, y)
    for formula in REDUCED:
        loss = metricc.loss(formula, task=task)
        assert loss(z, y).item() == pytest.approx(1 - value_by_hand(formula, table), rel=1e-12)
        step = 1e-6
        grad = gradient(loss, z, y)
        for place in list(np.ndindex(*z.shape))[:: max(1, z.numel() // 7)]:
            shift = torch.zeros_like(z)
            shift[place] = step
            ends = [1 - value_by_hand(formula, by_hand(task, z + s * shift, y)) for s in (1, -1)]
            slope = (ends[0] - ends[1]) / (2 * step)
            assert grad[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_a_metric_without_a_reduction_is_averaged_and_the_header_says_so() -> None:
    for task in CLASS_TASKS:
        m = metricc.compile("2*TP/(2*TP + FP + FN)", task=task, name="f1")
        assert "f1 = macro(2*TP/(2*TP + FP + FN))" in m.source
        z, y = data(task, (9, 3))
        assert m.loss()(z, y) == metricc.loss("macro(f1)", task=task)(z, y)
    assert str(metricc.compile("f1", task="multilabel").expression).startswith("macro(")


# -- one-vs-rest --------------------------------------------------------------------------------


METRICS = ("f1", "mcc", "gmean", "cohen_kappa", "balanced_accuracy", "jaccard", "tversky(0.3, 0.7)")


@pytest.mark.parametrize("formula", METRICS)
def test_losses_per_class_are_a_loop_of_binary_losses(formula: str) -> None:
    z, y = data("multilabel", (4, 3, 6))
    y[:, 2] = 0  # absent
    binary = metricc.loss(formula)
    losses = metricc.loss(f"per_class({formula})", task="multilabel", reduction="none")
    wanted = torch.stack([binary(z[:, k], y[:, k]) for k in range(3)])
    same(losses(z, y), wanted)
    grads = torch.stack([gradient(binary, z[:, k], y[:, k]) for k in range(3)], 1)
    same(gradient(losses, z, y), grads)
    macro = metricc.loss(formula, task="multilabel")
    same(macro(z, y), wanted.mean())
    same(gradient(macro, z, y), grads / 3)


@pytest.mark.parametrize("formula", METRICS)
def test_losses_per_sample_are_a_loop_over_samples(formula: str) -> None:
    z, y = data("multilabel", (5, 3, 6))
    y[2] = 0
    whole = metricc.loss(formula, task="multilabel")
    each = metricc.loss(formula, task="multilabel", per="sample", reduction="none")
    wanted = torch.stack([whole(z[i : i + 1], y[i : i + 1]) for i in range(5)])
    same(each(z, y), wanted)
    grads = torch.cat([gradient(whole, z[i : i + 1], y[i : i + 1]) for i in range(5)])
    same(gradient(each, z, y), grads)
    mean = metricc.loss(formula, task="multilabel", per="sample")
    same(gradient(mean, z, y), grads / 5)
    binary, by_sample = metricc.loss(formula), metricc.loss(formula, per="sample", reduction="sum")
    wanted = torch.stack([binary(z[i], y[i]) for i in range(5)]).sum()
    same(by_sample(z, y), wanted)


@pytest.mark.parametrize("surrogate", ["soft", "amplified(L=4)", "heaviside"])
@pytest.mark.parametrize("formula", METRICS)
def test_multiclass_losses_are_one_vs_rest_through_the_softmax(
    formula: str, surrogate: str
) -> None:
    z, y = data("multiclass", (6, 4, 3))
    labels = functional.one_hot(y, 4).movedim(-1, 1).double()
    binary = metricc.loss(formula, surrogate=surrogate, from_probabilities=True)

    def loop(z: Tensor) -> Tensor:
        p = torch.softmax(z, 1)
        return torch.stack([binary(p[:, k], labels[:, k]) for k in range(4)]).mean()

    loss = metricc.loss(formula, task="multiclass", surrogate=surrogate)
    same(loss(z, y), loop(z))
    same(gradient(loss, z, y), gradient(loop, z))
    same(loss(z, labels), loop(z))  # targets as probabilities
    p = torch.softmax(z, 1)
    given = metricc.loss(formula, task="multiclass", surrogate=surrogate, from_probabilities=True)
    same(given(p, y), loop(z))


def test_multiclass_metrics_in_a_binary_task_are_the_binary_ones() -> None:
    for name, binary in (
        ("multiclass_mcc", "mcc"),
        ("multiclass_kappa", "cohen_kappa"),
        ("multiclass_accuracy", "accuracy"),
    ):
        assert binary in metricc.compile(name).same_as()
        two = metricc.loss(name, task="multiclass")
        z, y = data("multiclass", (20, 2))
        one = metricc.loss(binary, surrogate="soft")
        same(two(z, y), one(z[:, 1] - z[:, 0], y.double()))


@pytest.mark.parametrize("formula", ["multiclass_mcc", "multiclass_kappa", "multiclass_accuracy"])
def test_sums_over_classes_need_classes_that_sum_to_one(formula: str) -> None:
    for surrogate in ("amplified", "score_oriented(cosine)", "heaviside", "p^2"):
        with pytest.raises(MetriccError, match="MC0307"):
            metricc.compile(formula, task="multiclass", surrogate=surrogate)
    for surrogate in ("soft", "straight_through", "straight_through(amplified)"):
        metricc.compile(formula, task="multiclass", surrogate=surrogate)
    metricc.compile("sum(f1)", task="multilabel", surrogate="amplified")


def test_macro_in_a_binary_task_averages_both_classes() -> None:
    z, y = data("multilabel", (30, 1))
    z, y = z[:, 0], y[:, 0]
    f1, both = metricc.loss("f1"), metricc.loss("macro(f1)")
    same(both(z, y), (f1(z, y) + f1(-z, 1 - y)) / 2)  # A(1 - p) = 1 - A(p) at threshold 1/2
    same(metricc.loss("worst(f1)")(z, y), torch.maximum(f1(z, y), f1(-z, 1 - y)))
    assert "accuracy" in metricc.compile("micro(recall)").same_as()
    assert "balanced_accuracy" in metricc.compile("macro(recall)").same_as()
    assert "gmean" in metricc.compile("geomean(recall)").same_as()
    assert "accuracy" in metricc.compile("weighted(recall)").same_as()
    assert "gmean" in metricc.compile("sqrt(TPR*TNR)").same_as()


def test_samples_is_the_mean_of_tables_of_their_own() -> None:
    z, y = data("multilabel", (6, 4))
    loss = metricc.loss("samples(f1)", task="multilabel")
    tables = [by_hand("multilabel", z[i : i + 1], y[i : i + 1]).sum(0) for i in range(6)]
    tables = [t + np.array([1, 0, 0, 1]) if 0 in (t[0] + t[1], t[2] + t[3]) else t for t in tables]
    same(loss(z, y), torch.tensor(1 - np.mean([f1_of(t) for t in tables])))
    whole = metricc.loss("samples(f1)")
    same(whole(z, y), metricc.loss("f1", per="sample")(z, y))


# -- what comes with the data ---------------------------------------------------------------------


def joined(*pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat([z for z, _ in pairs]), torch.cat([y for _, y in pairs])


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("task", ["binary", *CLASS_TASKS])
@pytest.mark.parametrize("formula", ["f1", "mcc", "0.5*focal + 0.5*(1 - f1)"])
def test_weight_two_is_the_sample_twice_and_zero_is_removed(
    formula: str, task: str, per: str
) -> None:
    z, y = data(task, (5, 3, 4))
    loss = metricc.loss(formula, task=task, per=per)
    weight = torch.tensor([2.0, 1, 0, 1, 3], dtype=torch.float64)
    repeats = torch.tensor([2, 1, 0, 1, 3])
    z2, y2 = z.repeat_interleave(repeats, 0), y.repeat_interleave(repeats, 0)
    same(loss(z, y, weight), loss(z2, y2))
    first = torch.tensor([0, 2, 3, 4])  # of each sample that is left
    grads = gradient(loss, z, y, weight)
    same(grads[[0, 1, 3, 4]], gradient(loss, z2, y2)[first] * weight[[0, 1, 3, 4], None, None])
    assert (grads[2] == 0).all()


@pytest.mark.parametrize("task", ["binary", *CLASS_TASKS])
@pytest.mark.parametrize("formula", ["f1", "mcc", "micro(f1)", "samples(f1)"])
def test_masked_and_ignored_positions_are_removed(formula: str, task: str) -> None:
    if task == "binary" and formula == "micro(f1)":
        formula = "macro(f1)"
    z, y = data(task, (4, 3, 6))
    keep = torch.tensor([1, 1, 0, 1, 0, 1]).bool()
    loss = metricc.loss(formula, task=task)
    nan = z.clone()
    nan[:, :, ~keep] = math.nan
    mask = keep.expand(4, 6) if task != "binary" else keep.expand(4, 3, 6)
    wanted, grads = loss(z[:, :, keep], y[..., keep]), gradient(loss, z[:, :, keep], y[..., keep])
    same(loss(nan, y, mask=mask), wanted)
    found = gradient(loss, nan, y, mask=mask)
    same(found[:, :, keep], grads)
    assert (found[:, :, ~keep] == 0).all()
    label = -100 if task == "multiclass" else -1.0
    ignored = y.clone()
    ignored[..., ~keep] = label
    ignoring = metricc.loss(formula, task=task, ignore_index=label)
    same(ignoring(nan, ignored), wanted)
    same(gradient(ignoring, nan, ignored)[:, :, keep], grads)
    if task != "multiclass":  # unknown labels as NaN
        ignored[..., ~keep] = math.nan
        same(metricc.loss(formula, task=task, ignore_index=math.nan)(nan, ignored), wanted)
    everything = torch.zeros(mask.shape, dtype=torch.bool)
    assert (gradient(loss, nan, y, mask=everything) == 0).all()


def test_multiclass_ignores_minus_100_by_default() -> None:
    z, y = data("multiclass", (4, 3, 6))
    y[:, 2] = -100
    loss = metricc.loss("f1", task="multiclass")
    keep = torch.tensor([0, 1, 3, 4, 5])
    same(loss(z, y), loss(z[..., keep], y[..., keep]))


@pytest.mark.parametrize("formula", REDUCED[:5])
def test_class_weight_two_is_the_class_twice_and_zero_is_left_out(formula: str) -> None:
    z, y = data("multilabel", (8, 3, 2))
    again = torch.tensor([0, 0, 2])
    weighted = metricc.loss(formula, task="multilabel", class_weight=[2, 0, 1])
    plain = metricc.loss(formula, task="multilabel")
    same(weighted(z, y), plain(z[:, again], y[:, again]))
    left_out = metricc.loss(formula, task="multilabel", class_weight=[0, 1, 1])
    same(left_out(z, y), plain(z[:, 1:], y[:, 1:]))
    for kept in ({"exclude_background": True}, {"classes": [1, 2]}):
        loss = metricc.loss(formula, task="multilabel", **kept)
        same(loss(z, y), left_out(z, y))
        assert (gradient(loss, z, y)[:, 0] == 0).all()


def element(text: str, task: str, **options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """An element loss alone: a composite without its metric."""
    mixed = metricc.loss(f"{text} + 1 - f1", task=task, **options)
    metric = metricc.loss("f1", task=task, **options)
    return lambda z, y: mixed(z, y) - metric(z, y)


def test_elements_of_weighted_classes() -> None:
    z, y = data("multilabel", (8, 3))
    c = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    wanted = functional.binary_cross_entropy_with_logits(z, y, weight=c, reduction="sum")
    same(element("bce", "multilabel", class_weight=c)(z, y), wanted / (8 * c.sum()))
    z, y = data("multiclass", (8, 3, 2))
    y[0] = -100
    same(element("ce", "multiclass")(z, y), functional.cross_entropy(z, y))
    found = element("ce", "multiclass", class_weight=c)(z, y)
    same(found, functional.cross_entropy(z, y, weight=c))
    found = element("ce", "multiclass", label_smoothing=0.2)(z, y)
    same(found, functional.cross_entropy(z, y, label_smoothing=0.2))


@pytest.mark.parametrize("task", ["binary", *CLASS_TASKS])
def test_label_smoothing_is_soft_labels(task: str) -> None:
    z, y = data(task, (6, 3, 2))
    classes = 3 if task == "multiclass" else 2
    labels = functional.one_hot(y, 3).movedim(-1, 1).double() if task == "multiclass" else y
    smoothed = labels * 0.7 + 0.3 / classes
    loss, smoothing = (metricc.loss("mcc", task=task, label_smoothing=e) for e in (0.0, 0.3))
    same(smoothing(z, y), loss(z, smoothed))
    same(gradient(smoothing, z, y), gradient(loss, z, smoothed))


def test_weighted_counts_never_leave_their_range() -> None:
    from metricc.load import load

    module = load(metricc.compile("f1", task="multilabel").source, "f1")
    generator = torch.Generator().manual_seed(3)
    for _ in range(200):
        z = torch.randn(6, 3, generator=generator) * 50
        y = (torch.rand(6, 3, generator=generator) < 0.5).float()
        v = (
            torch.rand(6, 3, generator=generator)
            * 1e6
            * (torch.rand(6, 3, generator=generator) < 0.5)
        )
        with torch.no_grad():
            counts = torch.stack(module._over_blocks(z, y, v, False, 0.0, 10.0, 0.5)[0].unbind())
        total = v.double().sum(0)
        assert (counts >= 0).all()
        assert (counts <= total * (1 + 1e-6)).all()
        torch.testing.assert_close(counts.sum(0), total, rtol=1e-6, atol=0)


# -- absent classes -------------------------------------------------------------------------------

SYMMETRIC = ("f1", "jaccard", "mcc", "cohen_kappa", "gmean", "balanced_accuracy")


@pytest.mark.parametrize("formula", SYMMETRIC)
@pytest.mark.parametrize("task", ["binary", *CLASS_TASKS])
def test_an_empty_target_teaches_by_default(formula: str, task: str) -> None:
    """A right empty prediction is the best one, a positive one is worse and is pushed down."""
    shape = (2, 3, 4)
    z = torch.full(shape, -8.0, dtype=torch.float64)
    y = torch.zeros(shape, dtype=torch.float64)
    if task == "multiclass":
        z[:, 0], y = 8.0, torch.zeros(2, 4, dtype=torch.long)
    wrong = -z if task != "multiclass" else z.roll(1, 1)
    loss = metricc.loss(formula, task=task)
    assert loss(z, y) < 0.15
    assert loss(wrong, y) > loss(z, y) + 0.1
    mild = torch.where(wrong > 0, 1.0, -1.0).double()
    grads = gradient(loss, mild, y)
    if task == "multiclass":
        assert (grads[:, 0] < 0).all()
    else:
        assert (grads > 0).all()


def test_absent_policies_of_averages() -> None:
    z, y = data("multilabel", (8, 3))
    y[:, 1] = 0
    f1 = metricc.loss("f1")
    losses = torch.stack([f1(z[:, k], y[:, k]) for k in range(3)])

    def loss(absent: str, formula: str = "f1", **options: Any) -> Any:
        return metricc.loss(formula, task="multilabel", absent=absent, **options)

    same(loss("diagonal")(z, y), losses.mean())
    same(loss("skip")(z, y), losses[[0, 2]].mean())
    same(loss("zero")(z, y), (losses[0] + losses[2] + 1) / 3)
    for policy in ("skip", "zero"):
        assert (gradient(loss(policy), z, y)[:, 1] == 0).all()
    each = loss("skip", "per_class(f1)", reduction="none")(z, y)
    same(each, losses * torch.tensor([1.0, 0, 1]))
    same(loss("skip", "per_class(f1)")(z, y), losses[[0, 2]].mean())
    empty = torch.zeros_like(y)  # an average of nothing is never taken
    same(loss("skip")(z, empty), loss("diagonal")(z, empty))
    worst = loss("zero", "worst(f1)")
    assert worst(z, y) == 1
    smooth = loss("diagonal", smooth=1.0)
    hand = by_hand("multilabel", z, y) + np.array([[0] * 4, [1, 0, 0, 1], [0] * 4]) + 1
    same(smooth(z, y), torch.tensor(1 - f1_of(hand).mean()))


def test_absent_policies_of_one_table() -> None:
    z, y = data("multilabel", (4, 6))
    y[:, :2] = torch.tensor([0.0, 1.0])
    y[1] = 0

    def whole(absent: str) -> Any:
        return metricc.loss("f1", absent=absent)

    def by_sample(absent: str, **options: Any) -> Any:
        return metricc.loss("f1", per="sample", absent=absent, **options)

    assert whole("skip")(z, torch.zeros_like(y)) == 0
    assert (gradient(whole("skip"), z, torch.zeros_like(y)) == 0).all()
    assert whole("zero")(z, torch.zeros_like(y)) == 1
    assert (gradient(whole("zero"), z, torch.zeros_like(y)) == 0).all()
    rest = torch.tensor([0, 2, 3])
    same(by_sample("skip")(z, y), by_sample("diagonal")(z[rest], y[rest]))
    assert by_sample("skip", reduction="none")(z, y)[1] == 0
    assert by_sample("zero", reduction="none")(z, y)[1] == 1
    composite = metricc.loss("0.5*bce + 0.5*(1 - f1)", absent="skip")
    empty = torch.zeros_like(y)
    wanted = 0.5 * functional.binary_cross_entropy_with_logits(z, empty)
    same(composite(z, empty), wanted)


def test_one_class_alone_teaches_the_joint_metrics() -> None:
    for formula in ("multiclass_mcc", "multiclass_kappa"):
        loss = metricc.loss(formula, task="multiclass")
        right = torch.zeros(5, 3, dtype=torch.float64)
        right[:, 1] = 9
        y = torch.ones(5, dtype=torch.long)
        assert loss(right, y) < 0.01 < 0.3 < loss(right.roll(1, 1), y)
        grads = gradient(loss, right.roll(1, 1) / 9, y)
        assert (grads[:, 1] < 0).all() and (grads[:, 2] > 0).all()


# -- composites -----------------------------------------------------------------------------------


@pytest.mark.parametrize("probabilities", [False, True])
def test_composites_are_sums_of_losses(probabilities: bool) -> None:
    z, y = data("multilabel", (12, 3))
    z = torch.sigmoid(z) if probabilities else z
    options = {"from_probabilities": probabilities}
    f1 = metricc.loss("f1", **options)
    bce = (
        functional.binary_cross_entropy
        if probabilities
        else (functional.binary_cross_entropy_with_logits)
    )
    mixed = metricc.loss("0.3*bce + 0.7*(1 - f1)", **options)

    def wanted(z: Tensor, y: Tensor) -> Tensor:
        return 0.3 * bce(z, y) + 0.7 * f1(z, y)

    same(mixed(z, y), wanted(z, y))
    same(gradient(mixed, z, y), gradient(wanted, z, y))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("task", ["binary", *CLASS_TASKS])
def test_focal_by_hand(task: str, probabilities: bool, gamma: float) -> None:
    z, y = data(task, (7, 3, 2))
    text = "f(gamma = 2 in [0, inf)) = 0.25*focal(gamma) + 1 - f1"
    options = {"task": task, "from_probabilities": probabilities}
    metric = metricc.loss("f1", **options)
    mixed = metricc.loss(text, **options, gamma=gamma)

    def wanted(x: Tensor, y: Tensor) -> Tensor:
        if task == "multiclass":
            p = x if probabilities else torch.softmax(x, 1)
            hit = p.gather(1, y.unsqueeze(1))
            return 0.25 * ((1 - hit) ** gamma * -hit.log()).mean() + metric(x, y)
        p = x if probabilities else torch.sigmoid(x)
        hit = torch.where(y == 1, p, 1 - p)
        return 0.25 * ((1 - hit) ** gamma * -hit.log()).mean() + metric(x, y)

    if probabilities:
        z = torch.softmax(z, 1) if task == "multiclass" else torch.sigmoid(z)
    same(mixed(z, y), wanted(z, y), 1e-11)
    same(gradient(mixed, z, y), gradient(wanted, z, y), 1e-10)


def test_a_transform_of_the_metric_is_a_loss() -> None:
    z, y = data("multilabel", (12, 3))
    f1 = metricc.loss("f1", task="multilabel")
    log = metricc.loss("-log(macro(f1))", task="multilabel")
    same(log(z, y), -torch.log(1 - f1(z, y)))
    assert metricc.compile("-log(f1)").options.goal == "minimize"


# -- modules --------------------------------------------------------------------------------------


def test_class_modules_hold_no_state_and_pickle() -> None:
    loss = metricc.loss("f1", task="multiclass", class_weight=torch.tensor([1.0, 2, 3]))
    assert not loss.state_dict() and not list(loss.parameters())
    z, y = data("multiclass", (9, 3))
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other(z, y) == loss(z, y)


def test_a_saved_class_loss_needs_torch_alone(tmp_path: Path) -> None:
    metricc.compile("f1", task="multiclass").save(tmp_path / "f1_loss.py")
    code = (
        "import sys, torch\nfrom f1_loss import F1Loss\n"
        "z = torch.randn(8, 4, requires_grad=True)\n"
        "F1Loss()(z, torch.arange(8) % 4).backward()\n"
        "assert not {'metricc', 'sympy', 'lark'} & set(sys.modules), 'imported too much'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("task", ["binary", *CLASS_TASKS])
def test_set_surrogate_anneals(task: str) -> None:
    z, y = data(task, (9, 3))
    loss = metricc.loss("f1", task=task, surrogate="amplified")
    for steepness in (2.0, 8.0, 32.0):
        loss.set_surrogate(L=steepness)
        fresh = metricc.loss("f1", task=task, surrogate="amplified", L=steepness)
        assert loss(z, y) == fresh(z, y)
    with pytest.raises(ValueError, match="L must lie in"):
        loss.set_surrogate(L=-1.0)
    assert loss.L == 32.0
    assert not hasattr(metricc.loss("f1", surrogate="soft"), "set_surrogate")


@pytest.mark.parametrize("task", CLASS_TASKS)
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_upstream_gradients_and_retained_graphs(task: str, per: str) -> None:
    z, y = data(task, (5, 3, 4))
    loss = metricc.loss("f1", task=task, per=per)
    wanted = gradient(loss, z, y)
    same(gradient(lambda *args: -3.75 * loss(*args), z, y), -3.75 * wanted)
    leaf = z.clone().requires_grad_()
    out = loss(leaf, y)
    for times in (1, 2):
        out.backward(retain_graph=True)
        assert leaf.grad is not None
        same(leaf.grad, times * wanted)
    if per == "sample":
        each = metricc.loss("f1", task=task, per=per, reduction="none")
        scales = torch.arange(5.0, dtype=torch.float64)
        found = gradient(lambda *args: each(*args) * scales, z, y)
        same(found, gradient(each, z, y) * scales[:, None, None])


@pytest.mark.parametrize("task", CLASS_TASKS)
def test_compiles_without_graph_breaks(task: str) -> None:
    loss = metricc.loss("f1", task=task)
    compiled = torch.compile(loss, fullgraph=True)
    z, y = data(task, (6, 3, 4))
    same(compiled(z, y), loss(z, y))
    same(gradient(compiled, z, y), gradient(loss, z, y))


@pytest.mark.parametrize(
    ("task", "shapes", "words"),
    [
        ("multiclass", {"input": (4,), "target": (4,)}, "must be \\(N, C"),
        ("multiclass", {"input": (4, 3), "target": (4, 3, 1)}, "class indices \\(4,\\)"),
        ("multiclass", {"input": (4, 3), "target": (3,)}, "class indices \\(4,\\)"),
        ("multiclass", {"input": (4, 3), "target": (4,), "weight": (3,)}, "class_weight"),
        ("multiclass", {"input": (4, 3, 5), "target": (4, 5), "weight": (5,)}, "weight has shape"),
        ("multiclass", {"input": (4, 3), "target": (4,), "mask": (4,)}, "mask must be a bool"),
        ("multilabel", {"input": (4,), "target": (4,)}, "must be \\(N, C"),
        ("multilabel", {"input": (4, 3), "target": (4,)}, "target \\(4,\\)"),
        ("multilabel", {"input": (4, 3), "target": (4, 3), "weight": (3,)}, "weight has shape"),
    ],
)
def test_misfits_are_refused(task: str, shapes: dict[str, tuple[int, ...]], words: str) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    if task == "multiclass":
        tensors["target"] = tensors["target"].long()
    with pytest.raises(ValueError, match=words):
        metricc.loss("f1", task=task)(**tensors)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"absent": "drop"}, "absent must be"),
        ({"smooth": -1.0}, "smooth must be"),
        ({"label_smoothing": 2.0}, "label_smoothing must lie"),
        ({"reduction": "max", "per": "sample"}, "reduction must be"),
    ],
)
@pytest.mark.parametrize("task", ["binary", *CLASS_TASKS])
def test_wrong_policies_are_refused(task: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        metricc.loss("f1", task=task, **options)


def test_wrong_values_are_refused() -> None:
    loss = metricc.loss("f1", task="multiclass")
    with pytest.raises(ValueError, match="classes 0 to 2"):
        loss(torch.zeros(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 3]))
    with pytest.raises(ValueError, match="as integers"):
        loss(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(ValueError, match="class_weight must be 3"):
        metricc.loss("f1", task="multiclass", class_weight=[1, 2])(
            torch.zeros(4, 3), torch.zeros(4).long()
        )
    with pytest.raises(ValueError, match="target must be in"):
        metricc.loss("f1", task="multilabel")(torch.zeros(4, 3), torch.full((4, 3), -1.0))


def test_halves_and_integers() -> None:
    z, y = data("multiclass", (6, 3, 4))
    loss = metricc.loss("f1", task="multiclass")
    for dtype in (torch.float16, torch.bfloat16):
        out = loss(z.to(dtype), y.int())
        assert out.dtype == torch.float32
        torch.testing.assert_close(out.double(), loss(z.to(dtype).double(), y), rtol=1e-6, atol=0)
        assert gradient(loss, z.to(dtype), y).dtype == dtype
    labels, logits = data("multilabel", (6, 3))[1], z[:, :, 0]
    multilabel = metricc.loss("f1", task="multilabel")
    for kind in (torch.bool, torch.uint8, torch.int64):
        assert torch.equal(multilabel(logits, labels.to(kind)), multilabel(logits, labels))


# -- what reviewers found --------------------------------------------------------------------------


@pytest.mark.parametrize("task", CLASS_TASKS)
def test_a_second_backward_of_many_blocks(task: str) -> None:
    z, y = data(task, (90_000, 3))
    loss = metricc.loss("f1", task=task)
    leaf = z.clone().requires_grad_()
    out = loss(leaf, y)
    out.backward(retain_graph=True)
    assert leaf.grad is not None
    first = leaf.grad.clone()
    out.backward()
    same(leaf.grad, 2 * first)


def test_uint8_targets_do_not_wrap_around() -> None:
    z = torch.zeros(6, 200, requires_grad=True)
    loss = metricc.loss("f1", task="multiclass")
    y = torch.full((6,), 156, dtype=torch.uint8)
    assert loss(z, y) == loss(z, y.long()) > 0
    nothing = metricc.loss("f1", task="multiclass", ignore_index=None)
    assert nothing(z, y) == loss(z, y)


@pytest.mark.parametrize(
    "options",
    [
        {"classes": [7]},
        {"classes": [-1]},
        {"classes": []},
        {"class_weight": [0, 0, 0]},
        {"class_weight": [math.inf, 1, 1]},
        {"class_weight": [-1, 1, 1]},
        {"classes": [0], "exclude_background": True},
    ],
)
def test_class_options_that_leave_nothing_are_refused(options: dict[str, Any]) -> None:
    z, y = data("multiclass", (6, 3))
    with pytest.raises(ValueError, match="class"):
        metricc.loss("worst(f1)", task="multiclass", **options)(z, y)


def test_class_weights_compile() -> None:
    z, y = data("multiclass", (6, 3))
    loss = metricc.loss("f1", task="multiclass", class_weight=[1, 2, 3], exclude_background=True)
    same(torch.compile(loss, fullgraph=True)(z, y), loss(z, y))


def test_masked_classes_and_huge_logits_are_finite() -> None:
    loss = metricc.loss("0.5*ce + 0.25*focal + 1 - f1", task="multiclass")
    for row in ([3e38, -3e38, 0.0], [0.0, -math.inf, 1.0]):
        z, y = torch.tensor([row, [0.0, 1, 2]]), torch.tensor([0, 2])
        assert loss(z, y).isfinite()
        assert gradient(loss, z, y).isfinite().all()


@pytest.mark.parametrize(
    ("formula", "task", "code"),
    [
        ("macro(f1)^macro(TPR)", "multilabel", "MC0304"),
        ("f1^bce", "binary", "MC0304"),
        ("macro(f1) - macro(f1) + 0.5", "multilabel", "MC0302"),
        ("bce", "multilabel", "MC0302"),
        ("PP", "multilabel", "MC0303"),
        ("ce + macro(f1)", "multiclass", "MC0303"),
        ("focal(-1) + 1 - f1", "binary", "MC0202"),
        ("m(gamma = 2) = focal(gamma) + 1 - f1", "binary", "MC0202"),
        ("m(b = 2 in [0, 9]) = focal(b) + 1 - f1", "binary", "MC0207"),
        ("bce + 1 - per_class(f1)", "multilabel", "MC0214"),
    ],
)
def test_formulas_without_a_gradient_that_can_be_trusted(
    formula: str, task: str, code: str
) -> None:
    with pytest.raises(MetriccError, match=code):
        metricc.compile(formula, task=task)


def test_directions_of_class_metrics() -> None:
    for formula, task, direction in (
        ("multiclass_mcc", "multiclass", "score"),
        ("0.5*ce + 0.5*(1 - multiclass_kappa)", "multiclass", "error rate"),
        ("2*sum(TP)/sum(2*TP + FP + FN)", "multilabel", "score"),
        ("1 - macro(recall)", "multilabel", "error rate"),
    ):
        assert metricc.compile(formula, task=task).audit().direction == direction
    assert not metricc.compile("0.5*bce + 0.5*(1 - macro(f1))", task="multilabel").warnings
    found = metricc.compile("1 - macro(recall)", task="multilabel").warnings
    assert [warning.code for warning in found] == ["MC0305"]


def test_averages_reach_the_arguments_of_definitions() -> None:
    z, y = data("multilabel", (8, 3))
    one = metricc.loss("g(x) = 0.5*bce + 0.5*(1 - x)\ng(f1)", task="multilabel")
    same(one(z, y), metricc.loss("0.5*bce + 0.5*(1 - f1)", task="multilabel")(z, y))
    branch = "if TPR < 2 then 1 - f1 else bce"
    same(metricc.loss(branch, task="multilabel")(z, y), metricc.loss("f1", task="multilabel")(z, y))


def test_two_reductions_with_factors_have_their_own_slopes() -> None:
    z, y = data("multilabel", (8, 3))
    for formula in (
        "0.5*sum(f1) + 0.5*macro(f1)",
        "0.5*micro(balanced_accuracy) + 0.5*macro(f1)",
        "weighted(p4)*weighted(jaccard)",
        "macro(f1)*macro(gmean)",
    ):
        loss = metricc.loss(formula, task="multilabel", maximize=True)
        assert torch.autograd.gradcheck(lambda x, own=loss: own(x, y), (z.requires_grad_(),))


def test_the_options_of_a_loss_are_shown() -> None:
    loss = metricc.loss("f1", task="multilabel", class_weight=[1, 2], absent="zero", L=4.0)
    assert all(word in repr(loss) for word in ("L=4.0", "class_weight=(1.0, 2.0)", "absent=zero"))
