"""Losses and scores of other packages and papers, and the defects that such losses are known for.

The peers' numbers are in peers.json, which docs/tables/peers.py makes: no peer is needed here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import metricc

TABLE = json.loads((Path(__file__).parent / "peers.json").read_text())
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in TABLE["cases"]}
Ours = tuple[str, dict[str, Any]]
S = "1e-5"


def task_of(data: str) -> str:
    return next((t for t in ("binary", "multilabel") if t in data), "multiclass")


def tensor(row: dict[str, Any], dtype: torch.dtype) -> Tensor:
    return torch.tensor(row["values"], dtype=dtype).reshape(row["shape"])


def batch(data: str) -> tuple[Tensor, Tensor]:
    row = TABLE["data"][data]
    return tensor(row["input"], torch.float64), tensor(row["target"], torch.int64)


def pushed(loss: Callable[..., Tensor], z: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    """The loss and its gradient."""
    leaf = z.detach().clone().requires_grad_()
    value = loss(leaf, *rest)
    value.sum().backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


@cache
def compiled(text: str, task: str, per: str, from_probabilities: bool) -> Any:
    options: dict[str, Any] = {"per": per, "from_probabilities": from_probabilities}
    return metricc.compile(text, task=task, surrogate="soft", **options)


def soft(text: str, task: str = "binary", **options: Any) -> Any:
    choices = options.pop("per", "batch"), options.pop("from_probabilities", False)
    return compiled(text, task, *choices).loss(**options)


def close(found: Any, wanted: Any, within: float = 1e-10) -> None:
    """Equal to `within`, relative to the largest number that is wanted."""
    a, b = (torch.as_tensor(x, dtype=torch.float64).reshape(-1) for x in (found, wanted))
    assert a.shape == b.shape
    assert (a - b).abs().max() <= within * b.abs().max(), (found, wanted)


# -- the same losses --------------------------------------------------------------------------


def losses() -> dict[str, Ours]:
    """What each peer's loss is in metricc's language."""
    made: dict[str, Ours] = {}
    dice = f"(2*TP + {S})/(2*TP + FP + FN + {S})"
    for task in ("multilabel", "multiclass"):
        for per in ("batch", "sample"):
            end, options = f"{task} {per}", {"per": per}
            made[f"monai dice {end}"] = dice, options
            made[f"monai foreground dice {end}"] = dice, {**options, "exclude_background": True}
            made[f"monai jaccard {end}"] = f"(2*TP + {S})/(2*(TP + FP + FN) + {S})", options
            made[f"monai tversky {end}"] = f"(TP + {S})/(TP + 0.3*FP + 0.7*FN + {S})", options
            for kind, weight in (("square", "/P^2"), ("simple", "/P"), ("uniform", "")):
                above, below = f"2*sum(TP{weight})", f"sum((2*TP + FP + FN){weight})"
                text = f"({above} + {S})/({below} + {S})"
                made[f"monai generalized {kind} {end}"] = text, {**options, "maximize": True}
    # Its class weights multiply the losses and are not divided by.
    made["monai weighted dice"] = f"sum(1 - {dice})/3", {"class_weight": [0.5, 2.0, 1.0]}
    made["monai ignored dice"] = dice, {"ignore_index": 255}

    for task in ("binary", "multilabel", "multiclass"):
        mean = "({})" if task == "binary" else "macro({})"
        made[f"smp dice {task}"] = "(TP + 0.5)/(TP + FP/2 + FN/2 + 0.5)", {}
        made[f"smp jaccard {task}"] = "jaccard", {}
        made[f"smp tversky {task}"] = "tversky(alpha = 0.3, beta = 0.7)", {}
        made[f"smp log dice {task}"] = "-log(f1)", {}
        focal = mean.format("1 - tversky(0.3, 0.7)") + "^0.75"
        made[f"smp focal tversky {task}"] = focal, {}
    made["smp dice classes"] = "f1", {"classes": [1, 3]}
    made["smp dice weighted"] = "f1", {"class_weight": [0.5, 2.0, 1.0, 4.0]}
    made["smp dice ignored"] = "f1", {"ignore_index": 255}
    made["smp mcc of probabilities"] = "mcc", {"smooth": 1e-5}

    sample = {"per": "sample", "absent": "skip"}
    for data in ("multiclass", "absent in a sample"):
        made[f"kornia tversky {data}"] = "TP/(TP + 0.3*FP + 0.7*FN + 1e-8)", sample
        made[f"kornia dice macro {data}"] = "macro(2*TP/(2*TP + FP + FN + 1e-8))", sample
        made[f"kornia dice micro {data}"] = "micro(2*TP/(2*TP + FP + FN + 1e-8))", sample
    weighted = {**sample, "class_weight": [0.5, 2.0, 1.0, 4.0]}
    for average in ("macro", "micro"):
        text = f"{average}(2*TP/(2*TP + FP + FN + 1e-8))"
        made[f"kornia dice {average} weighted"] = text, weighted
    tversky = "TP/(TP + 0.3*FP + 0.7*FN + 1e-8)"
    made["kornia tversky ignored"] = tversky, {**sample, "ignore_index": 255}

    for mu, delta in ((0.5, 0.1), (0.4, 0.3)):
        around = {"mu": mu, "delta": delta}
        cosine = {"surrogate": "score_oriented(cosine)", **around}
        for name in ("f1", "accuracy", "tss", "csi", "mcc"):
            made[f"sol cosine {name} {mu}"] = name, cosine
        made[f"sol cosine macro f1 {mu}"] = "f1", cosine
        made[f"sol uniform f1 {mu}"] = "f1", {"surrogate": "score_oriented(uniform)", **around}
    for delta, threshold in ((0.1, 0.5), (0.2, 0.3), (0.05, 0.8)):
        pieces = {"surrogate": "heaviside", "delta": delta, "threshold": threshold}
        for name in ("f1", "accuracy", "mcc"):
            made[f"heaviside {name} {threshold}"] = name, pieces
        made[f"heaviside macro f1 {threshold}"] = "f1", pieces
    for beta, eta in ((1.0, 0.0), (10.0, -0.5)):
        for label, x in (("", "z"), ("twice ", "p")):
            curve = f"s(beta = 1, eta = 0) = 1/(1 + exp(-beta*({x} + eta)))"
            slopes = {"surrogate": curve, "beta": beta, "eta": eta}
            made[f"sigmoidf1 {label}{beta:g}"] = "f1", slopes
    made["gorodkin"] = "multiclass_mcc", {}
    made["cohen"] = "multiclass_kappa", {}
    return made


LOSSES = losses()
NOT_EQUAL = {"smp mcc of logits", "smp dice absent"}


def ours(name: str) -> Any:
    text, options = LOSSES[name]
    task = task_of(CASES[name]["data"])
    return metricc.loss(text, **{"task": task, "surrogate": "soft"} | options)


def test_every_loss_of_the_table_is_compared() -> None:
    assert {n for n, case in CASES.items() if "loss" in case} == set(LOSSES) | NOT_EQUAL


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_peers(name: str) -> None:
    case = CASES[name]
    value, gradient = pushed(ours(name), *batch(case["data"]))
    within = 1e-10 if case["precision"] == "float64" else 1e-5
    close(value, case["loss"], within)
    close(gradient, case["gradient"], within)


def test_a_class_that_smp_leaves_at_loss_zero() -> None:
    """There an absent class has loss 0, here score 0: a constant apart."""
    case = CASES["smp dice absent"]
    value, gradient = pushed(soft("f1", "multiclass", absent="zero"), *batch(case["data"]))
    close(value - 1 / 4, case["loss"])
    close(gradient, case["gradient"])


def test_mcc_takes_logits_as_logits() -> None:
    """The peer's loss takes probabilities and its name does not say so: of logits it is wrong."""
    z, y = batch("binary")
    right, wrong = (CASES[f"smp mcc of {x}"]["loss"] for x in ("probabilities", "logits"))
    assert abs(right - wrong) > 0.1
    given = soft("mcc", from_probabilities=True, smooth=1e-5)
    close(given(torch.sigmoid(z), y), right)
    close(ours("smp mcc of probabilities")(z, y), right)


# -- the same scores --------------------------------------------------------------------------

HARD = {name: name for name in ("precision", "recall", "specificity", "accuracy")}
HARD |= {"f1_score": "f1", "jaccard_index": "jaccard"}


def scores() -> dict[str, str]:
    made = {}
    for task in ("multiclass", "multilabel"):
        for theirs, name in HARD.items():
            # Of several classes, "accuracy" there is each class's recall.
            text = "recall" if (task, name) == ("multiclass", "accuracy") else name
            for average in ("micro", "macro", "weighted", "none"):
                reduction = "per_class" if average == "none" else average
                made[f"torchmetrics {task}_{theirs} {average}"] = f"{reduction}({text})"
    others = {
        "multiclass_fbeta_score 2.0 macro": "macro(fbeta(2))",
        "multilabel_fbeta_score 0.5 micro": "micro(fbeta(0.5))",
        "multiclass_matthews_corrcoef": "multiclass_mcc",
        "multilabel_matthews_corrcoef": "micro(mcc)",
        "multiclass_cohen_kappa": "multiclass_kappa",
    }
    return made | {f"torchmetrics {name}": text for name, text in others.items()}


SCORES = scores()
SAMPLES = {f"torchmetrics multilabel_f1_score {a} samples": f"{a}(f1)" for a in ("macro", "micro")}


@cache
def hard(text: str, task: str, per: str = "batch") -> Any:
    return metricc.compile(text, task=task, per=per, surrogate="straight_through", maximize=True)


def as_logits(labels: Tensor, task: str) -> Tensor:
    one_hot = torch.nn.functional.one_hot
    return (one_hot(labels) if task == "multiclass" else labels).double() - 0.5


def test_every_score_of_the_table_is_compared() -> None:
    assert {n for n, case in CASES.items() if "score" in case} == set(SCORES) | set(SAMPLES)


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_peers(name: str) -> None:
    case, task = CASES[name], task_of(CASES[name]["data"])
    predicted, true = (x.long() for x in batch(case["data"]))
    metric = hard(SCORES[name], task)
    close(metric.score(true.numpy(), predicted.numpy()), case["score"], 1e-6)
    reduction = {"reduction": "none"} if name.endswith("none") else {}
    value = metric.loss(**reduction)(as_logits(predicted, task), true)
    close(1 - value, case["score"], 1e-6)


@pytest.mark.parametrize("name", SAMPLES)
def test_scores_of_peers_for_each_sample(name: str) -> None:
    predicted, true = batch(CASES[name]["data"])
    loss = hard(SAMPLES[name], "multilabel", "sample").loss(reduction="none", absent="zero")
    close(1 - loss(as_logits(predicted, "multilabel"), true), CASES[name]["score"], 1e-6)


# -- defects that such losses are known for ---------------------------------------------------

TASKS = ("binary", "multilabel", "multiclass")
LEARNED = "f1 jaccard mcc cohen_kappa gmean balanced_accuracy dice tversky(0.3,0.7)".split()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_backward_honours_what_comes_from_above(task: str, per: str) -> None:
    z, y = batch(task)
    loss = soft("mcc", task, per=per)
    _, once = pushed(loss, z, y)
    _, tenfold = pushed(lambda x: 10 * loss(x, y), z)
    close(tenfold, 10 * once, 1e-14)


@pytest.mark.parametrize("task", TASKS)
def test_each_sample_honours_what_comes_from_above(task: str) -> None:
    z, y = batch(task)
    loss = soft("f1", task, per="sample", reduction="none")
    factors = torch.tensor([2.0, -3.0], dtype=torch.float64)
    assert loss(z, y).shape == (2,)
    _, together = pushed(lambda x: loss(x, y) * factors, z)
    for n in range(2):
        value, alone = pushed(soft("f1", task), z[n : n + 1], y[n : n + 1])
        close(loss(z, y)[n], value)
        close(together[n], factors[n] * alone)


@pytest.mark.parametrize("text", ["f1", "mcc"])
@pytest.mark.parametrize("task", TASKS)
def test_a_map_of_large_halves_is_finite(task: str, text: str) -> None:
    channels = {"binary": 1, "multilabel": 2, "multiclass": 3}[task]
    generator = torch.Generator().manual_seed(0)
    signs = torch.rand(1, channels, 512, 512, generator=generator) < 0.4
    z = torch.where(signs, 1e4, -1e4).half()
    y = (torch.rand(z.shape, generator=generator) < 0.01).long()
    y = y[:, 0] + y[:, 1] if task == "multiclass" else y
    for x in (z, z / 1e4):
        value, gradient = pushed(soft(text, task), x, y)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


@pytest.mark.parametrize("task", TASKS)
def test_probabilities_are_made_once(task: str) -> None:
    """Losses that apply a sigmoid to a sigmoid stay between .27 and .5 where they should be 0."""
    _, y = batch(task)
    labels = torch.nn.functional.one_hot(y).movedim(-1, 1) if task == "multiclass" else y
    right = 40.0 * labels - 20
    wrong = right.roll(1, 1) if task == "multiclass" else -right
    assert soft("f1", task)(right, y) < 0.01
    assert soft("f1", task)(wrong, y) > 0.99


def test_two_losses_keep_their_own_arguments() -> None:
    for task in ("binary", "multilabel"):
        z, y = batch(task)
        options = {"task": task, "surrogate": "score_oriented(cosine)", "delta": 0.3}
        before = {mu: pushed(metricc.loss("f1", mu=mu, **options), z, y) for mu in (0.4, 0.6)}
        one, two = (metricc.loss("f1", mu=mu, **options) for mu in (0.4, 0.6))
        x1, x2 = (z.clone().requires_grad_() for _ in range(2))
        first, second = one(x1, y), two(x2, y)
        two.set_surrogate(mu=0.5)
        second.backward()
        first.backward()
        for found, x, mu in ((first, x1, 0.4), (second, x2, 0.6)):
            close(found.detach(), before[mu][0], 1e-14)
            close(x.grad, before[mu][1], 1e-14)
        assert two(z, y) != second and torch.equal(one(z, y), first.detach())


@pytest.mark.parametrize("task", TASKS)
def test_alpha_weighs_false_positives_and_beta_false_negatives(task: str) -> None:
    z, y = batch(task)
    loss = soft("tversky", task, alpha=0.2, beta=0.9)
    close(loss(z, y), soft("TP/(TP + 0.2*FP + 0.9*FN)", task)(z, y), 1e-14)
    value = metricc.compile("tversky").value(3, 5, 7, 0, alpha=0.2, beta=0.9)
    close(value, 3 / (3 + 0.2 * 7 + 0.9 * 5), 1e-14)
    for name in ("alpha", "beta"):
        other = soft("tversky", task, **{"alpha": 0.2, "beta": 0.9, name: 0.5})
        assert (other(z, y) - loss(z, y)).abs() > 1e-3


@pytest.mark.parametrize("beta", [0.5, 1, 2])
def test_constants_of_fbeta(beta: float) -> None:
    b = beta**2
    value = metricc.compile("fbeta").value(3, 5, 7, 11, beta=beta)
    close(value, (1 + b) * 3 / ((1 + b) * 3 + b * 5 + 7), 1e-14)
    z, y = batch("multilabel")
    text = f"{1 + b}*TP/({1 + b}*TP + {b}*FN + FP)"
    one, two = soft("fbeta", "multilabel", beta=beta), soft(text, "multilabel")
    close(one(z, y), two(z, y), 1e-13)
    close(pushed(one, z, y)[1], pushed(two, z, y)[1], 1e-13)


@pytest.mark.parametrize("text", LEARNED)
def test_an_empty_target_is_learned_from(text: str) -> None:
    empty, away, toward = torch.zeros(8), torch.full((8,), -20.0), torch.full((8,), 2.0)
    loss = soft(text)
    value, gradient = pushed(loss, toward, empty)
    assert loss(away, empty) < 0.01 < value and (gradient > 0).all()
    # of two labels one is empty, and the other is right
    y = torch.tensor([[1.0, 0], [0, 0]] * 4)
    right = 40 * y - 20
    wrong = right.clone()
    wrong[:, 1] = 2
    loss = soft(text, "multilabel")
    value, gradient = pushed(loss, wrong, y)
    assert loss(right, y) < 0.01 < value and (gradient[:, 1] > 0).all()


@pytest.mark.parametrize("text", [*LEARNED, "multiclass_mcc", "multiclass_kappa"])
def test_nothing_but_background_is_learned_from(text: str) -> None:
    # A joint table that is skipped, as by default, has no gradient.
    options = {"absent": "diagonal"} if text.startswith("multiclass") else {}
    loss = soft(text, "multiclass", **options)
    target = torch.zeros(2, 3, 3, dtype=torch.int64)
    right, wrong = torch.zeros(2, 3, 3, 3), torch.zeros(2, 3, 3, 3)
    right[:, 0] = 20
    wrong[:, 1] = 2
    value, gradient = pushed(loss, wrong, target)
    assert loss(right, target) < 0.01 < value and (gradient[:, 0] < 0).all()


@pytest.mark.parametrize("absent", ["diagonal", "skip", "zero"])
@pytest.mark.parametrize("text", LEARNED)
def test_one_kind_of_label_is_finite(text: str, absent: str) -> None:
    z = torch.tensor([[3.0, -4, 1e4], [0.5, 2, -1e4]])
    for task, y in (
        ("binary", torch.zeros(2, 3)),
        ("binary", torch.ones(2, 3)),
        ("multilabel", torch.zeros(2, 3)),
        ("multilabel", torch.ones(2, 3)),
        ("multiclass", torch.full((2,), 2)),
    ):
        value, gradient = pushed(soft(text, task, absent=absent), z, y)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


KINDS = [*(("mcc", task) for task in TASKS), ("multiclass_mcc", "multiclass")]


@pytest.mark.parametrize(("text", "task"), KINDS)
def test_a_batch_of_one_class_moves_a_correlation(text: str, task: str) -> None:
    for label in (0, 1):
        y = torch.full((6,) if task == "multiclass" else (6, 2), label)
        z = torch.full((6, 2), 1.0 - 2 * label)
        if task == "multiclass":
            z[:, label] = -2
        for absent in ("skip", "zero", "diagonal"):
            value, gradient = pushed(soft(text, task, absent=absent), z, y)
            assert torch.isfinite(value) and torch.isfinite(gradient).all()
        assert value > 0.1 and (gradient != 0).all()


def test_parameters_of_a_metric_are_not_trained() -> None:
    for task in TASKS:
        loss = soft("tversky", task, alpha=0.3, beta=0.7)
        assert not list(loss.parameters()) and not list(loss.buffers()) and not loss.state_dict()


@pytest.mark.parametrize("task", TASKS)
def test_a_minus_is_a_minus(task: str) -> None:
    z, y = batch(task)
    assert metricc.compile("-f1", task=task).options.goal == "minimize"
    value, gradient = pushed(soft("-f1", task), z, y)
    other, slopes = pushed(soft("f1", task), z, y)
    close(value, other - 1, 1e-14)
    close(gradient, slopes, 1e-14)


def tables(z: Tensor, y: Tensor) -> Any:
    """TP, FN, FP, TN of each class under a softmax, in NumPy."""
    e = np.exp(z.numpy())
    p = np.moveaxis(e / e.sum(1, keepdims=True), 1, -1).reshape(-1, z.shape[1])
    t = np.eye(z.shape[1])[y.numpy().reshape(-1)]
    return [x.sum(0) for x in (t * p, t * (1 - p), (1 - t) * p, (1 - t) * (1 - p))]


def test_two_macro_gmeans() -> None:
    z, y = batch("multiclass")
    tp, fn, fp, tn = tables(z, y)
    tpr, tnr = tp / (tp + fn), tn / (tn + fp)
    outer = math.sqrt(tpr.mean() * tnr.mean())
    inner = np.sqrt(tpr * tnr).mean()
    assert abs(outer - inner) > 1e-4
    close(1 - soft("sqrt(macro(TPR)*macro(TNR))", "multiclass")(z, y), outer, 1e-13)
    close(1 - soft("macro(sqrt(TPR*TNR))", "multiclass")(z, y), inner, 1e-13)


def test_weighted_specificity_is_a_share() -> None:
    z, y = batch("multiclass")
    tp, fn, fp, tn = tables(z, y)
    wanted = ((tp + fn) * tn / (tn + fp)).sum() / (tp + fn).sum()
    assert 0 < wanted < 1
    close(1 - soft("weighted(specificity)", "multiclass")(z, y), wanted, 1e-13)
    for scale in (-20.0, 0.0, 20.0):
        for task in TASKS:
            z, y = batch(task)
            assert 0 <= soft("weighted(specificity)", task)(scale * z, y) <= 1


@pytest.mark.parametrize("text", ["mcc", "f1", "cohen_kappa", "jaccard", "gmean", "p4"])
def test_counts_of_a_hundred_million_in_float32(text: str) -> None:
    module = metricc.compile(text).module()
    counts = (6e7, 1e7, 5e6, 2.5e7)
    singles = [torch.tensor(c, dtype=torch.float32) for c in counts]
    for function in (module.value, module.gradient, module.weights):
        found, wanted = function(*singles), np.atleast_1d(function(*counts))
        found = [float(x) for x in (found if len(wanted) > 1 else [found])]
        assert found == pytest.approx(wanted, rel=1e-5)


HALVES = [("sum(f1)", "macro(f1)"), ("micro(balanced_accuracy)", "macro(f1)")]


@pytest.mark.parametrize(("one", "two"), HALVES)
def test_halves_of_two_reductions(one: str, two: str) -> None:
    z, y = batch("multilabel")
    value, gradient = pushed(soft(f"0.5*{one} + 0.5*{two}", "multilabel"), z, y)
    parts = [pushed(soft(text, "multilabel"), z, y) for text in (one, two)]
    close(value, sum(v for v, _ in parts) / 2)
    close(gradient, sum(g for _, g in parts) / 2)


def test_smoothing_of_a_joint_table_is_exact() -> None:
    z, y = batch("multiclass")
    tp, fn, fp, _ = tables(z, y)
    wanted = (2 * (tp + 0.1) / (2 * tp + fn + fp + 0.2 + 2 * 0.3)).sum()
    close(1 - soft("sum(f1)", "multiclass", smooth=0.1)(z, y), wanted, 1e-13)
