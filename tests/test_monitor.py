"""Accumulators, monitors, the soft torchmetric: against scikit-learn, the loss, numbers by hand."""

from __future__ import annotations

import copy
import importlib.util
import math
import pickle
import subprocess
import sys
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import metricc
from metricc.errors import MetriccError

sk = pytest.importorskip("sklearn.metrics")
ROOT = Path(__file__).parent.parent


@cache
def compiled(formula: str, task: str = "binary", **options: Any) -> Any:
    return metricc.compile(formula, task=task, name="m", maximize=True, **options)


def batches(size: int, *tensors: Any) -> Any:
    """Batches of uneven length, one of them empty."""
    cuts = [0, 1, 1, 8, 40, size]
    for a, b in pairwise(cuts):
        yield tuple(None if t is None else t[a:b] for t in tensors)


# -- labels -----------------------------------------------------------------------------------

SCIKIT_LEARN = {
    ("f1", "binary"): sk.f1_score,
    ("mcc", "binary"): sk.matthews_corrcoef,
    ("macro(f1)", "multiclass"): lambda t, p, **k: sk.f1_score(t, p, average="macro", **k),
    ("weighted(precision)", "multiclass"): lambda t, p, **k: sk.precision_score(
        t, p, average="weighted", zero_division=0, **k
    ),
    ("micro(jaccard)", "multiclass"): lambda t, p, **k: sk.jaccard_score(
        t, p, average="micro", **k
    ),
    ("per_class(recall)", "multiclass"): lambda t, p, **k: sk.recall_score(
        t, p, average=None, zero_division=0, **k
    ),
    ("multiclass_mcc", "multiclass"): sk.matthews_corrcoef,
    ("multiclass_kappa", "multiclass"): sk.cohen_kappa_score,
    ("macro(f1)", "multilabel"): lambda t, p, **k: sk.f1_score(t, p, average="macro", **k),
    ("samples(f1)", "multilabel"): lambda t, p, **k: sk.f1_score(
        t, p, average="samples", zero_division=0, **k
    ),
}


@pytest.mark.parametrize(("formula", "task"), SCIKIT_LEARN, ids=lambda x: x)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_an_accumulator_is_scikit_learn_on_everything(
    formula: str, task: str, weighted: bool, seed: int
) -> None:
    """Batches hold one sample, or lack classes that others have; workers' counts add."""
    g = np.random.default_rng(seed)
    size = (60, 4) if task == "multilabel" else (60,)
    most = 5 if task == "multiclass" else 2
    true, guess = g.integers(0, most, size), g.integers(0, most, size)
    if task == "multiclass":
        true[:30], guess[:30] = true[:30] // 2, guess[:30] // 2  # classes 3 and 4 come late
    weight = g.random(60) if weighted else None
    metric = compiled(formula, task)
    workers = [metric.accumulator() for _ in range(3)]
    for i in range(0, 60, 3):
        rows = slice(i, i + 3)
        w = None if weight is None else weight[rows]
        workers[i % 2].update(true[rows], guess[rows], sample_weight=w)
    total = workers[0] + workers[1] + workers[2]
    wanted = SCIKIT_LEARN[formula, task](true, guess, sample_weight=weight)
    assert total.compute() == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    assert total.compute() == pytest.approx(metric.score(true, guess, sample_weight=weight), 1e-12)
    again = pickle.loads(pickle.dumps(total))
    np.testing.assert_array_equal(again.compute(), total.compute())
    total.reset()
    with pytest.raises(MetriccError, match="has seen nothing"):
        total.compute()


def test_an_accumulator_settles_what_score_settles() -> None:
    m = compiled("fbeta(beta = 1) = (1 + beta^2)*TP/((1 + beta^2)*TP + beta^2*FN + FP)")
    for keywords in (
        {"zero_division": 1},
        {"zero_division": math.nan},
        {"absent": "diagonal"},
        {"absent": "zero"},
        {"smooth": 1.0},
        {"beta": 2.0},
        {"pos_label": 0},
    ):
        watch = m.accumulator(**keywords)
        for rows in ([0, 0], [1, 0], [0, 0]) if "pos_label" in keywords else ([0, 0], [0, 0]):
            watch.update(rows, [0, 0])
        seen = [0, 0, 1, 0, 0, 0] if "pos_label" in keywords else [0] * 4
        wanted = m.score(seen, [0] * len(seen), **keywords)
        assert watch.compute() == pytest.approx(wanted, nan_ok=True), keywords
    text = compiled("f1", "multiclass").accumulator(labels=["eel", "dog"])
    text.update(["cat", "dog"], ["cat", "cat"])
    text.update(["eel"], ["eel"])
    seen = ["cat", "dog", "eel"], ["cat", "cat", "eel"]
    assert text.compute() == compiled("f1", "multiclass").score(*seen, labels=["eel", "dog"])


def test_what_an_accumulator_refuses() -> None:
    watch = compiled("f1").accumulator()
    watch.update([1, 0], [1, 1])
    for wrong in (
        ([0.2, 0.9], [1, 0]),
        ([1, 0], [1]),
        ([1, math.nan], [1, 0]),
        ([], []),
        ([1, 0], [1, 0], [-1, 1]),
        ([0, 1, 2], [0, 1, 2]),
    ):
        with pytest.raises(MetriccError, match="MC0506"):
            watch.update(*wrong)
    assert watch.compute() == pytest.approx(2 / 3)  # what was refused left no trace
    with pytest.raises(MetriccError, match="MC0202"):
        watch.update([1], [1], amount=[1])
    with pytest.raises(MetriccError, match="MC0501"):
        watch + compiled("mcc").accumulator()
    with pytest.raises(TypeError):
        watch + 1
    other = (
        metricc.compile("mine = TP/(TP + FP)\nmine", name="m"),
        metricc.compile("mine = TP/(TP + FN)\nmine", name="m"),
    )
    f2 = compiled("fbeta")
    for one, two, words in (
        (compiled("f1").accumulator(), compiled("f1", "multiclass").accumulator(), "a binary task"),
        (other[0].accumulator(), other[1].accumulator(), "two formulas"),
        (watch, compiled("f1").accumulator(zero_division=1), "zero_division = 0, the other 1"),
        (watch, compiled("f1").accumulator(absent="zero"), "absent = None, the other 'zero'"),
        (watch, compiled("f1").accumulator(smooth=1.0), "smooth"),
        (watch, compiled("f1").accumulator(pos_label=0), "pos_label = 1, the other 0"),
        (f2.accumulator(beta=2.0), f2.accumulator(beta=1.0), "beta = 2.0, the other 1.0"),
        (
            compiled("macro(f1)", "multiclass").accumulator(labels=[1, 2]),
            compiled("macro(f1)", "multiclass").accumulator(labels=[2, 1]),
            "labels",
        ),
        (
            compiled("macro(f1)", "multiclass").accumulator(class_weight=[1, 2]),
            compiled("macro(f1)", "multiclass").accumulator(),
            "class_weight",
        ),
    ):
        with pytest.raises(MetriccError, match=words):
            one + two
    macro = compiled("macro(f1)", "multiclass")
    alike = [macro.accumulator(labels=n, class_weight=w, zero_division=math.nan) for n, w in (
        ([0, 1], [1, 2]), (np.array([0, 1]), np.array([1.0, 2.0])),
    )]  # fmt: skip
    for one in alike:
        one.update([0, 1], [1, 1])
    assert (alike[0] + alike[1]).compute() == alike[0].compute()
    columns = compiled("macro(f1)", "multilabel").accumulator()
    columns.update([[1, 0]], [[1, 1]])
    with pytest.raises(MetriccError, match="3 columns of classes, and there were 2"):
        columns.update([[1, 0, 1]], [[1, 1, 1]])
    classes = compiled("macro(f1)", "multiclass").accumulator()
    classes.update([1], [2])
    with pytest.raises(MetriccError, match="some labels are text"):
        classes.update(["a"], ["b"])
    with pytest.raises(MetriccError, match="MC0501"):
        compiled("f1", per="sample").accumulator()


@pytest.mark.parametrize(("heavy", "off"), [(1.0, 1e-11), (1e6, 1e-5)])
def test_how_far_off_sums_over_classes_are_where_one_weight_dwarfs_the_others(
    heavy: float, off: float
) -> None:
    """What docs/scoring.md says, against exact fractions; scikit-learn's is as far off."""
    g, metric, worst = np.random.default_rng(0), compiled("multiclass_mcc", "multiclass"), 0.0
    for _ in range(40):
        true, guess = g.integers(0, 3, 30), g.integers(0, 3, 30)
        weight = 10 ** g.uniform(-9, -3, 30)
        weight[0], guess[0] = heavy, true[0]
        table = [[Fraction(0)] * 3 for _ in range(3)]
        for t, p, w in zip(true, guess, weight, strict=True):
            table[t][p] += Fraction(float(w))
        rows, columns = [sum(r) for r in table], [sum(c) for c in zip(*table, strict=True)]
        total = sum(rows)
        above = total * sum(table[k][k] for k in range(3))
        above -= sum(a * b for a, b in zip(rows, columns, strict=True))
        below = [total**2 - sum(x * x for x in sides) for sides in (rows, columns)]
        wanted = math.copysign(math.sqrt(above**2 / (below[0] * below[1])), above)
        watch = metric.accumulator()
        for i in range(0, 30, 5):
            part = slice(i, i + 5)
            watch.update(true[part], guess[part], sample_weight=weight[part])
        for found in (
            watch.compute(),
            metric.score(true, guess, sample_weight=weight),
            sk.matthews_corrcoef(true, guess, sample_weight=weight),
        ):
            worst = max(worst, abs(found - wanted))
    assert 1e-14 < worst < off


def test_an_accumulator_loads_no_torch(tmp_path: Path) -> None:
    code = "import sys, metricc; a = metricc.compile('f1').accumulator(); a.update([1, 0], [1, 1]);"
    code += " print(a.compute()); assert 'torch' not in sys.modules"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert float(found.stdout) == pytest.approx(2 / 3)


# -- logits -----------------------------------------------------------------------------------

CASES = [
    ("f1", "binary", {}, {}),
    ("mcc", "binary", {}, {"L": 4.0, "threshold": 0.3}),
    ("fbeta", "binary", {}, {"beta": 2.0, "smooth": 0.5}),
    ("f1", "binary", {}, {"ignore_index": 1, "label_smoothing": 0.1}),
    ("gmean", "binary", {"surrogate": "score_oriented(cosine)"}, {"mu": 0.4}),
    ("f1", "binary", {"surrogate": "heaviside(thresholds=[0.2, 0.5])"}, {}),
    ("f1", "binary", {"surrogate": "straight_through(amplified)"}, {}),
    ("f1", "binary", {"surrogate": "p^2/(p^2 + (1 - p)^2)"}, {}),
    ("f1", "binary", {"surrogate": "soft", "from_probabilities": True}, {}),
    ("0.5*bce + 0.5*(1 - f1)", "binary", {}, {}),
    ("macro(f1)", "multilabel", {}, {"class_weight": [1.0, 0.0, 2.0, 0.5]}),
    ("micro(f1)", "multilabel", {}, {"ignore_index": -1, "classes": [1, 2]}),
    ("per_class(jaccard)", "multilabel", {}, {}),
    ("0.5*bce + 0.5*(1 - macro(f1))", "multilabel", {}, {"class_weight": [1.0, 0.0, 2.0, 0.5]}),
    ("macro(f1)", "multiclass", {}, {"exclude_background": True}),
    ("macro(f1)", "multiclass", {"surrogate": "amplified"}, {"ignore_index": 3}),
    ("f1", "multiclass", {"from_probabilities": True}, {}),
    ("weighted(recall)", "multiclass", {}, {"absent": "diagonal"}),
    ("multiclass_mcc", "multiclass", {}, {}),
    ("0.7*focal + 0.3*(1 - macro(f1))", "multiclass", {}, {}),
    ("geomean(recall)", "multiclass", {}, {"label_smoothing": 0.1}),
]  # fmt: skip


def data(task: str, options: dict[str, Any], seed: int) -> tuple[Tensor, Tensor]:
    """60 samples; in multilabel and multiclass 4 classes at 3 positions."""
    g = torch.Generator().manual_seed(seed)
    shape = (60,) if task == "binary" else (60, 4, 3)
    z = 3 * torch.randn(*shape, generator=g, dtype=torch.float64)
    if options.get("from_probabilities"):
        z = z.softmax(1) if task == "multiclass" else z.sigmoid()
    if task == "multiclass":
        return z, torch.randint(0, 4, (60, 3), generator=g)
    return z, (torch.rand(*shape, generator=g) < 0.2).double()


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: f"{CASES[i][0]} {i}")
@pytest.mark.parametrize("extra", ["plain", "weight", "mask"])
def test_the_soft_metric_is_the_loss_of_the_epoch(case: int, extra: str) -> None:
    formula, task, options, settings = CASES[case]
    metric = compiled(formula, task, **options)
    loss = metric.loss(**settings)
    z, y = data(task, options, case)
    g = torch.Generator().manual_seed(case + 100)
    weight = torch.rand(60, generator=g, dtype=torch.float64) if extra == "weight" else None
    mask = torch.rand(60, generator=g) < 0.8 if extra == "mask" else None
    if mask is not None:
        z = torch.where(mask.reshape(-1, *[1] * (z.dim() - 1)), z, math.nan)
    watch = metric.monitor(loss)
    for batch in batches(60, z, y, weight, mask):
        watch.update(*batch)
    found = watch.compute()
    whole = copy.copy(loss)
    if hasattr(whole, "reduction"):
        whole.reduction = "none"
    wanted = (1 - whole(z, y, weight=weight, mask=mask)).reshape(-1)
    keys = ["m/soft"] if "m/soft" in found else [f"m/soft/{k}" for k in range(len(wanted))]
    for key, number in zip(keys, wanted.tolist(), strict=True):
        assert found[key] == pytest.approx(number, rel=1e-12, abs=1e-12)
    assert all(type(number) is float for number in found.values())
    assert ("m/hard" in found or "m/hard/0" in found) == (not metric.plan.metric.elements)


def mean_of_steps(p: Any, thresholds: tuple[float, ...], delta: float = 0.1) -> Any:
    """The heaviside surrogate: straight pieces, averaged over thresholds."""
    found = 0.0
    for t in thresholds:
        half = min(t, 1 - t) / 2
        found = found + np.interp(p, [0, t - half, t + half, 1], [0, delta, 1 - delta, 1])
    return found / len(thresholds)


@pytest.mark.parametrize("case", [c for c in range(len(CASES)) if "- " not in CASES[c][0]])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_hard_metric_is_the_score_of_all_decisions(case: int, weighted: bool) -> None:
    formula, task, options, settings = CASES[case]
    metric = compiled(formula, task, **options)
    loss = metric.loss(**settings)
    z, y = data(task, options, case)
    g = np.random.default_rng(case)
    weight = torch.tensor(g.random(60)) if weighted else None
    watch = metric.monitor(loss)
    for batch in batches(60, z, y, weight):
        watch.update(*batch)
    found = watch.compute()
    if task == "multiclass":
        decided = z.argmax(1).numpy()
    else:
        p = z.numpy() if options.get("from_probabilities") else 1 / (1 + np.exp(-z.numpy()))
        decided = (p > settings.get("threshold", settings.get("mu", 0.5))).astype(int)
        if "thresholds" in options.get("surrogate", ""):
            decided = (mean_of_steps(p, (0.2, 0.5)) > 0.5).astype(int)
    true = y.numpy().astype(int)
    weights = np.ones(true.shape)
    if weight is not None:
        weights = weights * weight.numpy().reshape(-1, *[1] * (true.ndim - 1))
    kept = true != settings.get("ignore_index", -100)
    share = None
    if task != "binary":
        share = np.array(settings.get("class_weight", [1.0] * 4))
        counted = settings.get("classes", range(4))
        first = int(settings.get("exclude_background", False))
        share = share * np.array([k in counted and k >= first for k in range(4)])
    names = {"labels": range(4)} if task == "multiclass" else {}
    params = {"beta": 2.0} if formula == "fbeta" else {}
    wanted = metric.score(
        np.where(kept, true, 0), np.where(kept, decided, 0), sample_weight=kept * weights,
        class_weight=share, **names, **params,
    )  # fmt: skip
    keys = ["m/hard"] if "m/hard" in found else [f"m/hard/{k}" for k in range(4)]
    numbers = np.atleast_1d(wanted)
    for key, number in zip(keys, numbers, strict=True):
        assert found[key] == pytest.approx(number, rel=1e-12, abs=1e-12)


def test_the_numbers_of_f1_by_hand() -> None:
    """A = sigmoid(L (p - t)); w_plus = 2 (P + FP)/(...)^2 and so on, in NumPy."""
    L, t = 10.0, 0.4
    z, y = data("binary", {}, 3)
    v = torch.tensor(np.random.default_rng(0).integers(0, 3, 60)).double()
    watch = compiled("f1").monitor(compiled("f1").loss(L=L, threshold=t), name="train/f1")
    cuts = [0, 2, 20, 41, 60]
    rows = [slice(a, b) for a, b in pairwise(cuts)]
    for r in rows:
        watch.update(z[r], y[r].bool(), weight=v[r])
    z, y, v = z.numpy(), y.numpy(), v.numpy()
    p = 1 / (1 + np.exp(-z))
    a = 1 / (1 + np.exp(-L * (p - t)))
    tp, fn, fp = (v * y * a).sum(), (v * y * (1 - a)).sum(), (v * (1 - y) * a).sum()
    whole = 2 * tp + fn + fp
    plus, minus = 2 * (tp + fn + fp) / whole**2, 2 * tp / whole**2
    slope = L * a * (1 - a) * p * (1 - p)
    grid = np.linspace(0, 1, 1_000_001)
    b = 1 / (1 + np.exp(-L * (grid - t)))
    steepest = (L * b * (1 - b) * grid * (1 - grid)).max()
    wanted = {
        "hard": sk.f1_score(y, p > t, sample_weight=v),
        "soft": 2 * tp / whole,
        "singular": np.mean([(v * y)[r].sum() == 0 or (v * (1 - y))[r].sum() == 0 for r in rows]),
        "reach": np.mean(slope[v > 0] > 0.01 * steepest),
        "w_plus": plus,
        "w_minus": minus,
        "threshold": minus / (plus + minus),
    }
    assert watch.compute() == pytest.approx({f"train/f1/{k}": x for k, x in wanted.items()}, 1e-12)
    assert 0 < wanted["singular"] < 1 and 0.2 < wanted["reach"] < 0.9


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_the_numbers_of_macro_f1_by_hand(task: str) -> None:
    metric = compiled("macro(f1)", task, surrogate="soft")
    z, y = data(task, {}, 5)
    z = 3 * z  # some are out of reach
    watch = metric.monitor(metric.loss(absent="skip"))
    for i in range(0, 60, 4):
        watch.update(z[i : i + 4], y[i : i + 4])
    found = watch.compute()
    p = z.softmax(1).numpy() if task == "multiclass" else z.sigmoid().numpy()
    one = np.eye(4)[y.numpy()].transpose(0, 2, 1) if task == "multiclass" else y.numpy()
    tp, fn, fp = ((x * q).sum((0, 2)) for x, q in ((one, p), (one, 1 - p), (1 - one, p)))
    whole = 2 * tp + fn + fp
    plus, minus = 2 * (tp + fn + fp) / whole**2 / 4, 2 * tp / whole**2 / 4
    near = p * (1 - p) > 0.01 * 0.25
    reach = near.any(1).mean() if task == "multiclass" else near.mean()
    share = one.reshape(15, 4, 4, 3).sum((1, 3))  # of positives: batches, classes
    absent = ((share == 0) | (share == 12)).mean(0)
    assert 0 < absent.mean() < 1 and 0.3 < reach < 1
    for k in range(4):
        assert found[f"m/w_plus/{k}"] == pytest.approx(plus[k], rel=1e-12)
        assert found[f"m/w_minus/{k}"] == pytest.approx(minus[k], rel=1e-12)
        assert found[f"m/threshold/{k}"] == pytest.approx((minus / (plus + minus))[k], rel=1e-12)
        assert found[f"m/singular/{k}"] == pytest.approx(absent[k])
        if task == "multilabel":
            assert found[f"m/reach/{k}"] == pytest.approx(near.mean((0, 2))[k])
    assert found["m/singular"] == pytest.approx(absent.mean())
    assert found["m/reach"] == pytest.approx(reach)
    brief = metric.monitor(per_class=False)
    brief.update(z, y)
    assert {k.count("/") for k in brief.compute()} == {1}


def test_singular_batches_are_those_of_the_metrics_tables() -> None:
    """Sums over classes look at one table, micro at the sum of all."""
    z = torch.randn(2, 3)
    for formula, task, settings, labels, wanted in (
        ("multiclass_mcc", "multiclass", {}, [1, 1], 1.0),
        ("multiclass_mcc", "multiclass", {}, [1, 0], 0.0),
        ("macro(f1)", "multiclass", {}, [1, 0], 1 / 3),
        ("macro(f1)", "multiclass", {"exclude_background": True}, [1, 0], 1 / 2),
        ("macro(f1)", "multiclass", {"classes": [0, 1]}, [1, 0], 0.0),
        ("micro(f1)", "multilabel", {}, [[0, 0, 0], [0, 0, 0]], 1.0),
        ("micro(f1)", "multilabel", {}, [[0, 0, 0], [1, 1, 1]], 0.0),
        ("micro(f1)", "multilabel", {"classes": [0]}, [[0, 1, 1], [0, 1, 1]], 1.0),
        ("macro(f1)", "multilabel", {"classes": [0]}, [[0, 1, 1], [1, 1, 1]], 0.0),
    ):
        metric = compiled(formula, task)
        watch = metric.monitor(metric.loss(**settings))
        watch.update(z, torch.tensor(labels))
        assert watch.compute()["m/singular"] == pytest.approx(wanted), (formula, labels)


def test_columns_are_watched() -> None:
    """Precision by count and recall by amount, in NumPy; the weights by finite differences."""
    metric = compiled("precision*recall[amount]")
    g = np.random.default_rng(0)
    z, y, amount = 2 * g.standard_normal(60), (g.random(60) < 0.3) * 1.0, 100 * g.random(60)
    tensors = [torch.tensor(x) for x in (z, y, amount)]
    watch, labels = metric.monitor(), metric.accumulator()
    soft = metric.soft_torchmetric() if importlib.util.find_spec("torchmetrics") else None
    for i in range(0, 60, 7):
        one, two, three = (x[i : i + 7] for x in tensors)
        watch.update(one, two, amount=three)
        labels.update(two.int(), (one > 0).int(), amount=three)
        if soft is not None:
            soft.update(one, two, amount=three)
    found = watch.compute()

    def value(a: Any) -> float:
        hits = y * a
        return hits.sum() / a.sum() * (hits * amount).sum() / (y * amount).sum()

    a = 1 / (1 + np.exp(-10 * (1 / (1 + np.exp(-z)) - 0.5)))
    assert found["m/soft"] == pytest.approx(value(a), rel=1e-12)
    assert found["m/hard"] == pytest.approx(value((z > 0) * 1.0), rel=1e-12)
    assert labels.compute() == pytest.approx(value((z > 0) * 1.0), rel=1e-12)
    assert soft is None or soft.compute().item() == pytest.approx(value(a), rel=1e-12)
    assert "m/threshold" not in found
    for i in range(4):
        step = np.eye(60)[i] * 1e-6
        slope = (value(a + step) - value(a - step)) / 2e-6
        sign, side = (1, "plus") if y[i] else (-1, "minus")
        weight = found[f"m/w_{side}"] + amount[i] * found[f"m/w_{side}_amount"]
        assert sign * weight == pytest.approx(slope, rel=1e-6, abs=1e-12)
    with pytest.raises((MetriccError, ValueError, TypeError), match="amount"):
        watch.update(*tensors[:2])
    with pytest.raises(MetriccError, match="amount"):
        labels.update([1], [1])


EDGES = {
    "no positives": (torch.randn(5), torch.zeros(5)),
    "no negatives": (torch.randn(5), torch.ones(5)),
    "one element": (torch.tensor([0.3]), torch.tensor([1.0])),
    "a scalar": (torch.tensor(0.3), torch.tensor(1.0)),
    "half": (torch.tensor([2.0, -1.0, 3.0, 0.1]).half(), torch.tensor([1, 0, 0, 1])),
    "bfloat16": (torch.tensor([2.0, -1.0, 3.0, 0.1]).bfloat16(), torch.tensor([1, 0, 0, 1])),
    "huge": (torch.tensor([1e4, -1e4, 1e4, -1e4]), torch.tensor([1.0, 0.0, 0.0, 1.0])),
    "infinite": (torch.tensor([math.inf, -math.inf]), torch.tensor([1.0, 0.0])),
    "soft labels": (torch.tensor([2.0, -1.0, 3.0]), torch.tensor([0.5, 0.25, 1.0])),
    "on the fence": (torch.zeros(4), torch.tensor([1.0, 0.0, 0.0, 1.0])),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("absent", ["diagonal", "skip", "zero"])
def test_edges(edge: str, absent: str) -> None:
    z, y = EDGES[edge]
    loss = compiled("f1").loss(absent=absent)
    watch = compiled("f1").monitor(loss)
    watch.update(z, y)
    found = watch.compute()
    assert found["m/soft"] == pytest.approx(1 - loss(z, y).item(), abs=1e-6)
    a, yes = (z.reshape(-1) > 0).double(), y.reshape(-1).double()
    tp, fn, fp = ((x * q).sum().item() for x, q in ((yes, a), (yes, 1 - a), (1 - yes, a)))
    assert found["m/hard"] == pytest.approx(2 * tp / max(2 * tp + fn + fp, 1e-9))
    singular = yes.sum() == 0 or (1 - yes).sum() == 0
    assert found["m/singular"] == float(singular)
    assert 0 <= found["m/reach"] <= 1
    if singular and absent != "diagonal":  # then nothing is learned
        assert found["m/w_plus"] == found["m/w_minus"] == 0
        assert math.isnan(found["m/threshold"])
    else:
        weights = [found["m/w_plus"], found["m/w_minus"]]
        assert found["m/threshold"] == pytest.approx(weights[1] / sum(weights))


NOTHING = {
    "empty": (torch.zeros(0), torch.zeros(0), {}),
    "masked": (torch.full((3,), math.nan), torch.ones(3), {"mask": torch.zeros(3).bool()}),
    "weights of 0": (torch.randn(3), torch.tensor([1.0, 0.0, 1.0]), {"weight": torch.zeros(3)}),
    "ignored": (torch.randn(2), torch.tensor([-1.0, -1.0]), {}),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_a_batch_in_which_nothing_counts_leaves_no_trace(kind: str) -> None:
    loss = compiled("f1").loss(ignore_index=-1)
    z, y, given = NOTHING[kind]
    watch = compiled("f1").monitor(loss)
    watch.update(z, y, **given)
    with pytest.raises(MetriccError, match="has seen nothing"):
        watch.compute()
    real = torch.randn(6), torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    watch.update(real[0][3:], real[1][3:])  # no positives: singular
    watch.update(*real)
    once = watch.compute()
    assert once["m/singular"] == 0.5
    watch.update(z, y, **given)
    assert watch.compute() == once
    if importlib.util.find_spec("torchmetrics"):
        soft = compiled("f1").soft_torchmetric(loss)
        soft.update(z, y, **given)
        assert math.isnan(soft.compute())
        assert math.isnan(soft(z, y, **given))
        soft.update(*real)
        whole = 1 - loss(*real).item()
        assert soft.compute().item() == pytest.approx(whole, rel=1e-6)
        soft(z, y, **given)
        assert soft.compute().item() == pytest.approx(whole, rel=1e-6)


def test_what_is_never_seen_has_no_soft_torchmetric() -> None:
    pytest.importorskip("torchmetrics")
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert math.isnan(compiled("f1").soft_torchmetric().compute())
    each = compiled("per_class(f1)", "multilabel").soft_torchmetric(num_labels=3)
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert each.compute().isnan().tolist() == [True] * 3


WRONG = [
    # what a loss's own look at its counts cannot see, since sums stay above 0
    ("f1", "binary", [1.0, 0.0, 2.0, 0.0], {}, r"target must be in \[0, 1\]: target\[2\] = 2$"),
    ("f1", "binary", [1, 0, 0, -1], {}, r"target\[3\] = -1$"),
    ("f1", "binary", [1.0, 0.0, math.nan, 0.0], {}, r"target\[2\] = nan$"),
    ("f1", "binary", [1.0, 0.0, 0.0, 1.0], {"weight": [5.0, -0.1, 5.0, 5.0]},
     r"weight must be finite and at least 0: weight\[1\] = -0.1$"),
    ("f1", "binary", [1.0, 0.0, 0.0, 1.0], {"weight": [1, math.inf, 1, 1]}, r"weight\[1\] = inf$"),
    ("FN[cost] + FP", "binary", [1.0, 0.0, 0.0, 1.0], {"cost": [9.0, 9.0, -1.0, 9.0]},
     r"cost\[2\] = -1$"),
    ("macro(f1)", "multilabel", [[1.0, 0.0], [0.0, 1.0], [0.0, 3.0], [1.0, 1.0]], {},
     r"target\[2, 1\] = 3$"),
    ("macro(f1)", "multilabel", [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]],
     {"weight": [1.0, -1.0, 3.0, 3.0]}, r"weight\[1\] = -1$"),
    ("macro(f1)", "multiclass", [0, 1, 1, 0], {"weight": [3.0, 3.0, 3.0, -1.0]},
     r"weight\[3\] = -1$"),
    ("macro(f1)", "multiclass", [[1.0, 0.0], [0.5, 0.5], [-0.5, 1.5], [0.0, 1.0]], {},
     r"target\[2, 0\] = -0.5$"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_values_out_of_range_are_refused_with_their_place(case: int) -> None:
    formula, task, labels, given, words = WRONG[case]
    metric = metricc.compile(formula, task=task, name="m")
    z = torch.randn(*([4] if task == "binary" else [4, 2]))
    y = torch.tensor(labels)
    tensors = {name: torch.tensor(numbers) for name, numbers in given.items()}
    if metric.plan.metric.columns and "cost" not in tensors:
        tensors["cost"] = torch.ones(4)
    watch = metric.monitor()
    with pytest.raises(ValueError, match=words):
        watch.update(z, y, **tensors)
    assert watch.state_dict() == {}
    if importlib.util.find_spec("torchmetrics"):
        size = {"multiclass": {"num_classes": 2}, "multilabel": {"num_labels": 2}}.get(task, {})
        with pytest.raises(ValueError, match=words):
            metric.soft_torchmetric(**size).update(z, y, **tensors)
    keep = torch.ones(4, dtype=torch.bool)  # what is masked out may be anything
    keep[int(words.split("[")[-1][0])] = False
    watch.update(z, y, mask=keep, **tensors)
    if task != "multiclass" and not given:
        (bad,) = {x for x in y.reshape(-1).tolist() if not 0 <= x <= 1}
        metric.monitor(metric.loss(ignore_index=bad)).update(z, y, **tensors)
        if bad == bad:  # and so may labels of weight 0, but for NaN
            watch.update(z, y, weight=keep.double(), **tensors)


def test_weights_are_those_of_the_gradient() -> None:
    """dL/dz of the epoch in one batch is -v (y w_plus - (1 - y) w_minus) dA/dz, edges too."""
    for name, (z, y) in EDGES.items():
        for absent in ("diagonal", "skip", "zero"):
            loss = compiled("mcc", surrogate="soft").loss(absent=absent)
            watch = compiled("mcc", surrogate="soft").monitor(loss)
            z = z.double().requires_grad_()
            watch.update(z, y)
            found = watch.compute()
            (g,) = torch.autograd.grad(loss(z, y), z)
            p, yes = z.detach().sigmoid(), y.double()
            w = yes * found["m/w_plus"] - (1 - yes) * found["m/w_minus"]
            torch.testing.assert_close(g, -w * p * (1 - p), rtol=1e-9, atol=1e-12, msg=name)


def test_a_monitor_refuses_what_is_wrong() -> None:
    m = compiled("f1")
    watch = m.monitor()
    with pytest.raises(MetriccError, match="has seen nothing"):
        watch.compute()
    z, y = torch.randn(4), torch.tensor([1.0, 0.0, 1.0, 0.0])
    nan = torch.tensor([0.1, math.nan, 1.0, 2.0])
    with pytest.raises(ValueError, match="input is NaN where it counts"):
        watch.update(nan, y)
    with pytest.raises(ValueError, match="target"):
        watch.update(z, y[:3])
    with pytest.raises(ValueError, match="weight"):
        watch.update(z, y, weight=torch.ones(3))
    with pytest.raises(ValueError, match="mask must be a bool"):
        watch.update(z, y, mask=torch.ones(4))
    with pytest.raises(ValueError, match=r"target must be in \[0, 1\]"):
        watch.update(z, 3 * y)
    with pytest.raises(ValueError, match="must be a tensor"):
        watch.update([0.1], y)
    with pytest.raises(MetriccError, match="has seen nothing"):
        watch.compute()  # what was refused left no trace
    watch.update(nan, y, mask=~nan.isnan())
    assert watch.compute()["m/hard"] == pytest.approx(0.8)
    for loss, words in (
        (compiled("mcc").loss(), "another formula"),
        (compiled("f1", surrogate="soft").loss(), "surrogate 'soft'"),
        (torch.nn.BCEWithLogitsLoss(), "no loss that this metricc generates"),
    ):
        with pytest.raises(MetriccError, match=words):
            m.monitor(loss)
    for metric in (compiled("f1", per="sample"), compiled("samples(f1)", "multilabel")):
        with pytest.raises(MetriccError, match="table for each sample"):
            metric.monitor()
    classes = compiled("macro(f1)", "multilabel").monitor()
    classes.update(torch.randn(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match="4 classes, and had 3"):
        classes.update(torch.randn(2, 4), torch.ones(2, 4))
    with pytest.raises(MetriccError, match="no sums of a monitor"):
        watch.load_state_dict({"soft": z})
    multiclass = compiled("macro(f1)", "multiclass").monitor()
    with pytest.raises(ValueError, match="classes 0 to 2"):
        multiclass.update(torch.randn(2, 3), torch.tensor([0, 3]))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_monitor_survives_checkpoints(task: str, tmp_path: Path) -> None:
    metric = compiled("macro(f1)" if task == "multiclass" else "f1", task)
    settings = {"absent": "zero"} if task == "multiclass" else {"L": 3.0}
    z, y = data(task, {}, 0)
    watch = metric.monitor(metric.loss(**settings))
    assert watch.state_dict() == {}
    watch.update(z[:30], y[:30])
    torch.save(watch.state_dict(), tmp_path / "watch.pt")
    others = [metric.monitor(metric.loss(**settings)), copy.deepcopy(watch)]
    others[0].load_state_dict(torch.load(tmp_path / "watch.pt", weights_only=True))
    others.append(pickle.loads(pickle.dumps(watch)))
    for one in (watch, *others):
        one.update(z[30:], y[30:])
        assert one.compute() == watch.compute()
    watch.reset()
    watch.update(z, y)
    assert watch.compute()["m/soft"] == pytest.approx(others[0].compute()["m/soft"], rel=1e-12)


def test_a_monitor_pickles_into_another_process(tmp_path: Path) -> None:
    watch = compiled("f1").monitor(compiled("f1").loss(L=3.0))
    watch.update(*data("binary", {}, 0))
    (tmp_path / "watch.pkl").write_bytes(pickle.dumps(watch))
    code = f"import pickle; w = pickle.load(open({str(tmp_path / 'watch.pkl')!r}, 'rb'));"
    code += " print(w.compute()['m/soft'], w.tally.loss.L)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.split() == [str(watch.compute()["m/soft"]), "3.0"]


def test_the_loss_of_a_saved_file_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    metric = metricc.compile("f1", name="watched")
    metric.save(tmp_path / "watched_loss.py")
    import watched_loss  # type: ignore[import-not-found]

    loss = watched_loss.WatchedLoss(L=4.0)
    z, y = data("binary", {}, 0)
    watch = metric.monitor(loss)
    watch.update(z, y)
    assert watch.compute()["watched/soft"] == pytest.approx(1 - loss(z, y).item(), rel=1e-12)
    loss.set_surrogate(L=8.0)
    watch.reset()
    watch.update(z, y)
    assert watch.compute()["watched/soft"] == pytest.approx(1 - loss(z, y).item(), rel=1e-12)


def test_updates_leave_no_graph() -> None:
    z, y = data("binary", {}, 0)
    z.requires_grad_()
    watch = compiled("f1").monitor()
    watch.update(z, y)
    assert not any(x.requires_grad for x in watch.state_dict().values())
    assert z.grad is None


def test_an_objective_has_no_running_counts() -> None:
    with pytest.raises(MetriccError, match=r"MC0514.*objective"):
        compiled("f1", target="gbdt").running_counts()


# -- torchmetrics and processes ---------------------------------------------------------------


@pytest.mark.parametrize(("formula", "task"), [
    ("f1", "binary"), ("0.5*bce + 0.5*(1 - mcc)", "binary"), ("macro(f1)", "multiclass"),
    ("per_class(f1)", "multilabel"),
])  # fmt: skip
def test_the_soft_torchmetric_adds_counts(formula: str, task: str) -> None:
    pytest.importorskip("torchmetrics")
    metric = compiled(formula, task)
    size = {"multiclass": "num_classes", "multilabel": "num_labels"}.get(task)
    ours = metric.soft_torchmetric(**({size: 4} if size else {}))
    z, y = data(task, {}, 0)
    w = torch.rand(60, dtype=torch.float64)
    for batch in batches(60, z, y, w):
        ours.update(*batch)
    loss = metric.loss(**({"reduction": "none"} if "per_class" in formula else {}))
    wanted = 1 - loss(z, y, w)
    torch.testing.assert_close(ours.compute(), wanted, rtol=1e-12, atol=1e-12)
    assert ours.higher_is_better
    for other in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        torch.testing.assert_close(other.compute(), wanted, rtol=1e-12, atol=1e-12)
    ours.reset()
    torch.testing.assert_close(ours(z, y, weight=w), wanted, rtol=1e-12, atol=1e-12)


def test_the_hard_and_soft_torchmetrics_agree_with_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    z, y = data("binary", {}, 0)
    metric = compiled("f1", surrogate="straight_through(amplified)")
    soft, watch = metric.soft_torchmetric(), metric.monitor()
    soft.update(z, y)
    watch.update(z, y)
    wanted = functional.binary_f1_score(z, y.long()).item()
    assert soft.compute().item() == pytest.approx(wanted, abs=1e-6)
    assert watch.compute()["m/hard"] == pytest.approx(wanted, abs=1e-6)


def test_what_the_soft_torchmetric_refuses() -> None:
    pytest.importorskip("torchmetrics")
    macro = compiled("macro(f1)", "multilabel")
    for wrong in (
        lambda: macro.soft_torchmetric(),
        lambda: macro.soft_torchmetric(num_classes=3),
        lambda: compiled("f1").soft_torchmetric(num_classes=2),
        lambda: compiled("f1").soft_torchmetric(compiled("mcc").loss()),
        lambda: compiled("f1", per="sample").soft_torchmetric(),
    ):
        with pytest.raises(MetriccError, match="MC0501"):
            wrong()
    ours = macro.soft_torchmetric(num_labels=3)
    with pytest.raises(ValueError, match="must be"):
        ours.update(torch.randn(2, 4), torch.ones(2, 4))
    with pytest.raises(ValueError, match="input is NaN"):
        ours.update(torch.full((2, 3), math.nan), torch.ones(2, 3))


def rank(own: int, store: str, answers: str) -> None:
    """One of two processes: rows 0, 2, ... or 1, 3, ... of everything."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=own, world_size=2
    )
    found: dict[str, Any] = {}
    for task in ("binary", "multiclass"):
        metric = compiled("mcc" if task == "binary" else "macro(f1)", task)
        z, y = data(task, {}, 7)
        soft = metric.soft_torchmetric(**({} if task == "binary" else {"num_classes": 4}))
        watch, idle = metric.monitor(), metric.monitor()
        for i in range(own, 60, 2):
            soft.update(z[i : i + 1], y[i : i + 1])
            watch.update(z[i : i + 1], y[i : i + 1])
        if own == 1:  # the other process has seen nothing
            idle.update(z, y)
        found[task] = (float(soft.compute()), watch.compute(sync=True), idle.compute(sync=True))
        found[f"{task} again"] = watch.compute(sync=True)  # the sums were not changed
    torch.save(found, f"{answers}{own}")
    torch.distributed.barrier()  # a rank whose peer has gone before it may be aborted
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_value_of_one(tmp_path: Path) -> None:
    pytest.importorskip("torchmetrics")
    torch.multiprocessing.spawn(rank, (str(tmp_path / "store"), str(tmp_path / "answer")), nprocs=2)
    for own in range(2):
        found = torch.load(tmp_path / f"answer{own}", weights_only=True)
        for task in ("binary", "multiclass"):
            metric = compiled("mcc" if task == "binary" else "macro(f1)", task)
            z, y = data(task, {}, 7)
            single = metric.monitor()
            single.update(z, y)
            one = single.compute()
            soft, watched, idle = found[task]
            assert soft == pytest.approx(1 - metric.loss()(z, y).item(), rel=1e-12)
            assert idle == pytest.approx(one, rel=1e-12)
            assert found[f"{task} again"] == watched
            shared = [k for k in one if "singular" not in k]  # each saw batches of one row
            assert {k: watched[k] for k in shared} == pytest.approx(
                {k: one[k] for k in shared}, 1e-12
            )
