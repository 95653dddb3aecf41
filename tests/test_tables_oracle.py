"""The oracle for classes against naive float64 NumPy, scikit-learn, torch and differences."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from mpmath import mp, mpf
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, f1_score, matthews_corrcoef

from metricc import syntax
from metricc.parse import parse
from metricc.verify import oracle
from metricc.verify.batches import Loss, Tensors, loss_and_gradient
from metricc.verify.tables import Setting, values

Array = NDArray[np.float64]
Table = tuple[Any, Any, Any, Any]

F1 = "2*TP/(2*TP + FP + FN)"
RECALL = "TP/(TP + FN)"
TNR = "TN/(TN + FP)"
MCC = (
    "(sum(TP)*(TP + FN + FP + TN) - sum((TP + FP)*(TP + FN)))"
    "/sqrt(((TP + FN + FP + TN)^2 - sum((TP + FP)^2))*((TP + FN + FP + TN)^2 - sum((TP + FN)^2)))"
)
# The size of the whole K x K table from its classes: every element is in one class's P.
SIZE = "sum(TP + FN)"
R_K = MCC.replace("(TP + FN + FP + TN)", SIZE)
KAPPA = f"({SIZE}*sum(TP) - sum((TP + FP)*(TP + FN)))/({SIZE}^2 - sum((TP + FP)*(TP + FN)))"


def text(formula: str) -> syntax.Text:
    """A text over cells alone, which needs no resolving."""
    parsed = parse(formula)
    assert parsed.metric is not None
    return syntax.Text((*parsed.definitions, syntax.Definition("m", (), parsed.metric.body)), None)


def f1(t: Table) -> Any:
    return 2 * t[0] / (2 * t[0] + t[2] + t[1])


def recall(t: Table) -> Any:
    return t[0] / (t[0] + t[1])


def tensors(
    task: str, shape: tuple[int, int, int] = (3, 4, 5), seed: int = 0, weighted: bool = False
) -> Tensors:
    generator = random.Random(seed)
    n, c, m = shape
    z = [[[generator.gauss(0, 1.5) for _ in range(m)] for _ in range(c)] for _ in range(n)]
    y = [[[float(generator.random() < 0.4) for _ in range(m)] for _ in range(c)] for _ in range(n)]
    v = [
        [[generator.choice((0.0, 0.5, 1.0, 2.0)) for _ in range(m)] for _ in range(c)]
        for _ in range(n)
    ]
    if task == "multiclass":
        for i in range(n):
            for j in range(m):
                label = generator.randrange(c)
                for k in range(c):
                    y[i][k][j], v[i][k][j] = float(k == label), v[i][0][j]
    return Tensors(z, y, v if weighted else None)


def arrays(data: Tensors, task: str) -> tuple[Array, Array, Array]:
    """p, y and v, (N, C, M)."""
    z, y = np.array(data.input), np.array(data.target)
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True) if task == "multiclass" else 1 / (1 + np.exp(-z))
    return p, y, np.ones_like(z) if data.weight is None else np.array(data.weight)


def counts(a: Array, y: Array, v: Array, axes: tuple[int, ...] = (0, 2)) -> list[Array]:
    """TP, FN, FP, TN, each an array of what is left."""
    parts = (y * a, y * (1 - a), (1 - y) * a, (1 - y) * (1 - a))
    return [(v * part).sum(axes) for part in parts]


def number(found: Loss) -> float:
    return float(found.value)


REDUCED: dict[str, Callable[[list[Array], Callable[[Any], Any], Array], Any]] = {
    "macro": lambda t, e, c: (c * e(t)).sum() / c.sum(),
    "micro": lambda t, e, c: e([(c * x).sum() for x in t]),
    "weighted": lambda t, e, c: (c * (t[0] + t[1]) * e(t)).sum() / (c * (t[0] + t[1])).sum(),
    "worst": lambda t, e, c: e(t)[c > 0].min(),
    "geomean": lambda t, e, c: np.prod(e(t) ** (c / c.sum())),
    "sum": lambda t, e, c: (c * e(t)).sum(),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("formula", "naive"), [(F1, f1), (RECALL, recall)])
@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_reductions(
    task: str, name: str, formula: str, naive: Callable[[Any], Any], weighted: bool
) -> None:
    data = tensors(task, weighted=weighted)
    c = np.array([1.0, 0.0, 2.0, 0.5]) if weighted else np.ones(4)
    wanted = 1 - REDUCED[name](counts(*arrays(data, task)), naive, c)
    setting = Setting(task=task, absent="diagonal", class_weight=c.tolist() if weighted else None)
    found = number(loss_and_gradient(text(f"{name}({formula})"), data, {}, setting))
    assert found == pytest.approx(wanted, rel=1e-13)


def hard_labels(seed: int) -> tuple[Tensors, list[int], list[int]]:
    generator = random.Random(seed)
    true = [generator.randrange(4) for _ in range(30)]
    said = [t if generator.random() < 0.6 else generator.randrange(4) for t in true]
    one_hot = [[[[float(k == x) for x in row] for k in range(4)]] for row in (said, true)]
    return Tensors(one_hot[0], one_hot[1]), true, said


@pytest.mark.parametrize("seed", range(3))
def test_multiclass_statistics_against_sklearn(seed: int) -> None:
    data, true, said = hard_labels(seed)
    setting = Setting(task="multiclass", from_probabilities=True, minimize=True)
    for formula, wanted in (
        (R_K, matthews_corrcoef(true, said)),
        (KAPPA, cohen_kappa_score(true, said)),
        (f"macro({F1})", f1_score(true, said, average="macro")),
        (f"micro({F1})", f1_score(true, said, average="micro")),
        (f"weighted({F1})", f1_score(true, said, average="weighted")),
    ):
        found = number(loss_and_gradient(text(formula), data, {}, setting))
        assert found == pytest.approx(wanted, abs=1e-13)
    decided = replace(setting, from_probabilities=False, hard=True)
    found = number(loss_and_gradient(text(R_K), data, {}, decided))
    assert found == pytest.approx(matthews_corrcoef(true, said), abs=1e-13)


def absent_class(task: str) -> Tensors:
    """Class 1 has no positives."""
    data = tensors(task, seed=3)
    y = [[list(row) for row in sample] for sample in data.target]
    for sample in y:
        for j, label in enumerate(sample[1]):
            sample[1][j] = 0.0
            if task == "multiclass" and label:
                sample[0][j] = 1.0
    return replace(data, target=y)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("absent", ["diagonal", "skip", "zero"])
def test_absent_classes(task: str, absent: str) -> None:
    data = absent_class(task)
    t = counts(*arrays(data, task))
    gone = np.array([False, True, False, False])
    raw = [x.copy() for x in t]
    t[0], t[3] = t[0] + gone, t[3] + gone
    if absent == "zero":
        scores = np.where(gone, 0, f1(t))
    elif absent == "skip":
        scores = f1(t)[~gone]
    else:
        scores = f1(t)
    setting = Setting(task=task, absent=absent, minimize=True)
    wanted = {
        "macro": scores.mean(),
        "worst": scores.min(),
        "geomean": scores.prod() ** (1 / len(scores)),
        "micro": f1([x.sum() for x in raw]),
        "weighted": ((raw[0] + raw[1])[~gone] * f1(raw)[~gone]).sum() / (raw[0] + raw[1]).sum(),
        # the joint table of multiclass has several classes and is not absent
        "sum": f1(raw).sum() if task == "multiclass" else scores.sum(),
    }
    for name, value in wanted.items():
        found = loss_and_gradient(text(f"{name}({F1})"), data, {}, setting)
        assert number(found) == pytest.approx(value, rel=1e-13), name
        if absent != "diagonal" and name in ("macro", "worst", "geomean"):
            rows = [sample[1] for sample in found.gradient]
            if task == "multilabel" or (absent == "zero" and name != "macro"):
                assert all(slope == 0 for row in rows for slope in row)


def test_where_every_class_is_absent() -> None:
    table = [[0.0, 0.0, 1.0, 3.0], [0.0, 0.0, 2.0, 3.0]]
    one = [2 / (2 + fp) for fp in (1, 2)]
    for absent in ("diagonal", "skip"):
        found = values(text(f"macro({F1})"), table, {}, "multilabel", absent)
        assert float(found.values[0]) == pytest.approx(sum(one) / 2, rel=1e-14)
        assert any(s != 0 for row in found.slopes for s in row)
        weighted = values(text(f"weighted({F1})"), table, {}, "multilabel", absent)
        assert float(weighted.values[0]) == pytest.approx(sum(one) / 2, rel=1e-14)
    zero = values(text(f"macro({F1})"), table, {}, "multilabel", "zero")
    assert zero.values == [0] and zero.weights == [(0, 0)] * 2


def test_a_joint_table_of_one_class() -> None:
    """Only class 0 has positives: accuracy is the part of right answers."""
    table = [[3.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 3.0], [0.0, 0.0, 0.0, 5.0]]
    accuracy = text(f"sum(TP)/{SIZE}")
    for absent, smooth, wanted in (
        ("diagonal", 0, 6 / 8),
        ("diagonal", 2, (6 + 6) / (8 + 6 * 3)),
        ("skip", 0, 1),
        ("skip", 1, (8 + 3) / (8 + 9)),
    ):
        found = values(accuracy, table, {}, "multiclass", absent, smooth)
        assert float(found.values[0]) == pytest.approx(wanted, rel=1e-14)
        assert all(s == 0 for w in found.weights for s in w) == (absent == "skip")
    # nothing is lost in a one-class table: the confusion matrix stays one
    found = values(text("sum(TP + FN + FP + TN)/3 - sum(TP + FN)"), table, {}, "multiclass")
    assert found.values[0] == 0
    zero = values(text("1 + sum(TP)"), table, {}, "multiclass", "zero")
    assert zero.values == [1] and zero.weights == [(0, 0)] * 3
    # a class without share does not count among the three
    two = values(accuracy, table, {}, "multiclass", class_weight=[1, 1, 0])
    assert float(two.values[0]) == pytest.approx(5 / 7, rel=1e-14)


def test_binary_reductions() -> None:
    t = (7.0, 3.0, 2.0, 20.0)
    swapped = t[::-1]
    positives, negatives = 10.0, 22.0
    wanted = {
        "macro": (f1(t) + f1(swapped)) / 2,
        "sum": f1(t) + f1(swapped),
        "weighted": (positives * f1(t) + negatives * f1(swapped)) / 32,
        "micro": 27 / 32,
        "worst": min(f1(t), f1(swapped)),
        "geomean": (f1(t) * f1(swapped)) ** 0.5,
    }
    for name, value in wanted.items():
        found = values(text(f"{name}({F1})"), [t], {}, "binary")
        assert float(found.values[0]) == pytest.approx(value, rel=1e-14), name
        assert len(found.slopes) == 1
    plain = values(text(f"macro({RECALL})"), [t], {}, "binary")
    alone = oracle.dual(text(f"({RECALL} + {TNR})/2"), t, {})
    for one, two in zip(plain.slopes[0], alone[1], strict=True):
        assert abs(one - two) < mpf(10) ** -140
    tie = values(text("worst((TP*TN - FP*FN)/(TP + TN + FP + FN)^2)"), [t], {}, "binary")
    alone = oracle.dual(text("(TP*TN - FP*FN)/(TP + TN + FP + FN)^2"), t, {})
    assert all(abs(a - b) < mpf(10) ** -140 for a, b in zip(tie.slopes[0], alone[1], strict=True))


@pytest.mark.parametrize("surrogate", ["amplified", "heaviside", "score_oriented(cosine)"])
@pytest.mark.parametrize("from_probabilities", [False, True])
def test_binary_gradients(surrogate: str, from_probabilities: bool) -> None:
    """Against differences, and the loss against naive NumPy."""
    given = {
        "amplified": {"L": 4.0, "threshold": 0.25},
        "heaviside": {"delta": 0.3125, "threshold": 0.25},
        "score_oriented(cosine)": {"mu": 0.375, "delta": 0.3125},
    }[surrogate]
    generator = random.Random(4)
    z = [generator.uniform(0.01, 0.99) * (1 if from_probabilities else 3) for _ in range(20)]
    y = [generator.choice((0.0, 0.25, 1.0)) for _ in range(20)]
    data = Tensors([[z]], [[y]])
    setting = Setting(
        task="binary",
        surrogate=surrogate,
        arguments=given,
        from_probabilities=from_probabilities,
    )
    check_differences(F1, data, setting)
    p = np.array(z) if from_probabilities else 1 / (1 + np.exp(-np.array(z)))
    a = {
        "amplified": lambda: 1 / (1 + np.exp(-4 * (p - 0.25))),
        "heaviside": lambda: np.where(
            p < 0.125, 2.5 * p, np.where(p > 0.375, 1 - 0.5 * (1 - p), 0.5 + 1.5 * (p - 0.25))
        ),
        "score_oriented(cosine)": lambda: (1 + u(p) + np.sin(np.pi * u(p)) / np.pi) / 2,
    }[surrogate]()
    wanted = 1 - f1(counts(a, np.array(y), np.ones(20), axes=(0,)))
    assert number(loss_and_gradient(text(F1), data, {}, setting)) == pytest.approx(
        wanted, rel=1e-13
    )


def u(p: Array) -> Array:
    return np.clip((p - 0.375) / 0.3125, -1, 1)


def test_a_lonely_table_that_is_absent() -> None:
    table = [[0.0, 0.0, 2.0, 3.0]]
    for absent, smooth, wanted in (
        ("diagonal", 0, 2 / 4),
        ("diagonal", 1, 4 / 8),
        ("skip", 0, 1),
        ("skip", 1, 4 / 6),
        ("zero", 0, 0),
    ):
        for task, formula in (("binary", F1), ("multilabel", f"micro({F1})")):
            found = values(text(formula), table, {}, task, absent, smooth)
            assert float(found.values[0]) == pytest.approx(wanted, rel=1e-14)
            assert all(s == 0 for s in found.weights[0]) == (absent != "diagonal")
    mixed = text(f"0.5*bce + 0.5*(1 - {F1}) + 3")
    zero = values(mixed, table, {}, "binary", "zero", elements={("bce", 0.0): 0.5})
    assert zero.values == [0] and zero.terms == {}  # a composite is 0 as a whole
    skipped = values(mixed, table, {}, "binary", "skip", elements={("bce", 0.0): 0.5})
    assert skipped.values == [mpf("3.25")] and skipped.terms == {("bce", 0.0): 0.5}
    free = values(text(F1), table, {}, "binary", None, 1.0)
    assert float(free.values[0]) == pytest.approx(1 / 3, rel=1e-14)


def sample_tables(data: Tensors, task: str) -> list[Array]:
    return counts(*arrays(data, task), axes=(2,))


def diagonal(t: list[Array]) -> list[Array]:
    gone = (t[0] + t[1] == 0) | (t[2] + t[3] == 0)
    return [t[0] + gone, t[1], t[2], t[3] + gone]


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_per_sample(task: str) -> None:
    data = replace(tensors(task, (4, 3, 9), 8), sample_weight=[1.0, 0.0, 2.0, 0.5])
    setting = Setting(task=task, per="sample", minimize=True)
    scores = f1(diagonal(sample_tables(data, task))).mean(1)
    w = np.array(data.sample_weight)
    wanted = {"mean": (w * scores).sum() / w.sum(), "sum": (w * scores).sum()}
    metric = text(f"macro({F1})")
    for reduction, value in wanted.items():
        found = loss_and_gradient(metric, data, {}, replace(setting, reduction=reduction))
        assert number(found) == pytest.approx(value, rel=1e-13)
        assert all(s == 0 for row in found.gradient[1] for s in row)
    each = loss_and_gradient(metric, data, {}, replace(setting, reduction="none")).value
    assert [float(x) for x in each] == pytest.approx((w * scores).tolist(), rel=1e-13)


def test_samples_without_weight_or_absent() -> None:
    z = [[[0.5, -1.0, 2.0]], [[1.0, 1.0, -2.0]], [[3.0, -3.0, 0.1]]]
    y = [[[1.0, 0.0, 0.0]], [[1.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]]]
    v = [[[1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0]]]
    data = Tensors(z, y, v)
    p = 1 / (1 + np.exp(-np.array(z)))
    t = counts(p, np.array(y), np.array(v), axes=(1, 2))
    first, last = f1([x[0] for x in t]), 2 / (2 + t[2][2])
    for absent, wanted in (("skip", first), ("diagonal", (first + last) / 2), ("zero", first / 2)):
        for per, formula in (("sample", F1), ("batch", f"samples({F1})")):
            setting = Setting(task="binary", per=per, absent=absent, minimize=True)
            found = loss_and_gradient(text(formula), data, {}, setting)
            assert number(found) == pytest.approx(wanted, rel=1e-13)
            assert all(s == 0 for s in found.gradient[1][0])


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_samples(task: str) -> None:
    data = replace(tensors(task, (4, 3, 9), 8, True), sample_weight=[1.0, 3.0, 2.0, 0.5])
    c = np.array([1.0, 2.0, 0.0])
    t = [(x * c).sum(1) for x in sample_tables(data, task)]
    wanted = np.average(f1(t), weights=data.sample_weight)
    setting = Setting(task=task, minimize=True, class_weight=c.tolist())
    found = loss_and_gradient(text(f"samples({F1})"), data, {}, setting)
    assert number(found) == pytest.approx(wanted, rel=1e-13)
    check_differences(f"samples({F1})", data, setting)


def test_per_class_of_each_sample() -> None:
    """One mean over all losses, with the shares of samples times those of classes."""
    data = tensors("multilabel", (3, 3, 9), seed=2)
    z, y = np.array(data.input), np.array(data.target)
    y[0, 1] = 0  # class 1 is absent from sample 0
    data = replace(data, target=y.tolist(), sample_weight=[1.0, 3.0, 0.5])
    t = counts(1 / (1 + np.exp(-z)), y, np.ones_like(z), axes=(2,))
    scores = 1 - f1(diagonal(t))
    c = np.array([1.0, 2.0, 0.5])
    for absent in ("diagonal", "skip", "zero"):
        shares = np.array(data.sample_weight)[:, None] * c
        shares[0, 1] *= absent != "skip"
        losses = scores.copy()
        losses[0, 1] = 1 if absent == "zero" else losses[0, 1]
        wanted = {
            "mean": (shares * losses).sum() / shares.sum(),
            "sum": (shares * losses).sum(),
        }
        setting = Setting(per="sample", absent=absent, class_weight=c.tolist())
        for reduction, value in wanted.items():
            found = loss_and_gradient(
                text(f"per_class({F1})"), data, {}, replace(setting, reduction=reduction)
            )
            assert number(found) == pytest.approx(value, rel=1e-13)


def test_per_class() -> None:
    data = tensors("multilabel", seed=2)
    scores = 1 - f1(counts(*arrays(data, "multilabel")))
    c = np.array([1.0, 2.0, 0.0, 0.5])
    setting = Setting(task="multilabel", class_weight=c.tolist())
    metric = text(f"per_class({F1})")
    for reduction, wanted in (("mean", (c * scores).sum() / c.sum()), ("sum", (c * scores).sum())):
        found = loss_and_gradient(metric, data, {}, replace(setting, reduction=reduction))
        assert number(found) == pytest.approx(wanted, rel=1e-13)
    each = loss_and_gradient(metric, data, {}, replace(setting, reduction="none")).value
    assert [float(x) for x in each] == pytest.approx((c * scores).tolist(), rel=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_torchs(smoothing: float, weighted: bool) -> None:
    """torch counts class weights of labels before they are smoothed; apart from that it agrees."""
    data = tensors("multiclass", seed=5)
    weight = torch.tensor([1.0, 0.5, 2.0, 0.0] if weighted else [1.0] * 4, dtype=torch.float64)
    z = torch.tensor(data.input, dtype=torch.float64, requires_grad=True)
    y = torch.tensor(data.target, dtype=torch.float64)
    wanted = torch.nn.functional.cross_entropy(
        z, y.argmax(1), weight, label_smoothing=smoothing, reduction="sum"
    )
    smooth = y * (1 - smoothing) + smoothing / 4
    wanted = wanted / (weight[:, None] * smooth).sum()
    wanted.backward()
    setting = Setting(
        task="multiclass",
        minimize=True,
        class_weight=weight.tolist(),
        label_smoothing=smoothing,
    )
    found = loss_and_gradient(text("ce"), data, {}, setting)
    assert number(found) == pytest.approx(wanted.item(), rel=1e-13)
    assert z.grad is not None
    np.testing.assert_allclose(np.array(found.gradient, float), z.grad.numpy(), atol=1e-14)


def test_binary_cross_entropy_is_torchs() -> None:
    data = tensors("multilabel", seed=6, weighted=True)
    z, y, v = (torch.tensor(x, dtype=torch.float64) for x in (data.input, data.target, data.weight))
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y, v, reduction="sum")
    found = loss_and_gradient(text("bce"), data, {}, Setting(minimize=True))
    assert number(found) == pytest.approx((loss / v.sum()).item(), rel=1e-13)
    p = torch.sigmoid(z)
    focal = v * (y * (1 - p) ** 2 * -p.log() + (1 - y) * p**2 * -(1 - p).log())
    found = loss_and_gradient(text("focal(2)"), data, {}, Setting(minimize=True))
    assert number(found) == pytest.approx((focal.sum() / v.sum()).item(), rel=1e-13)


def check_differences(
    formula: str,
    data: Tensors,
    setting: Setting,
    parameters: Mapping[str, float] | None = None,
    places: int = 6,
) -> None:
    """The gradient at some inputs against central differences of the loss, to 1e-40."""
    metric, given, step = text(formula), parameters or {}, mpf(10) ** -45
    found = loss_and_gradient(metric, data, given, setting)
    n, c, m = (len(data.input), len(data.input[0]), len(data.input[0][0]))
    generator = random.Random(1)
    for _ in range(places):
        i, k, j = (generator.randrange(s) for s in (n, c, m))
        ends = []
        for d in (-1, 1):
            z: Any = [[list(row) for row in sample] for sample in data.input]
            with mp.workdps(150):
                z[i][k][j] = mpf(z[i][k][j]) + d * step
            value = loss_and_gradient(metric, replace(data, input=z), given, setting).value
            ends.append(total(value))
        with mp.workdps(150):
            slope = (ends[1] - ends[0]) / (2 * step)
            assert abs(slope - found.gradient[i][k][j]) < mpf(10) ** -50
            assert abs(slope) <= found.sizes[i][k][j] * (1 + mpf(10) ** -50)


def total(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    with mp.workdps(150):
        return sum((total(x) for x in value), mpf(0))


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize(
    ("formula", "changes"),
    [
        (f"macro({F1})", {"surrogate": "amplified", "arguments": {"L": 7.0, "threshold": 0.4}}),
        (f"micro({F1})", {"class_weight": (1.0, 2.0, 0.0, 0.5), "smooth": 1.0}),
        (f"weighted({F1})", {"label_smoothing": 0.1}),
        (f"worst({F1})", {}),
        (f"geomean({RECALL})", {"class_weight": (1.0, 2.0, 0.0, 0.5)}),
        (f"sum({F1})", {"surrogate": "heaviside", "arguments": {"delta": 0.2, "threshold": 0.4}}),
        (f"per_class({F1})", {"reduction": "none"}),
        (f"sqrt(macro({RECALL})*macro({TNR}))", {"per": "sample", "absent": "skip"}),
        (f"0.5*{{ce}} + 0.5*(1 - macro({F1})) + focal(k)", {"minimize": True}),
        (f"0.5*{{ce}} + 0.5*(1 - macro({F1}))", {"per": "sample", "minimize": True}),
        (R_K, {"class_weight": (1.0, 1.0, 1.0, 1.0)}),
        (
            "f(k) = (1 + k^2)*TP/((1 + k^2)*TP + k^2*FN + FP); macro(f(k)) - samples_(2)".replace(
                " - samples_(2)", ""
            ),
            {"arguments": {"L": 5.0, "thresholds": (0.1, 0.5, 0.9)}, "surrogate": "amplified"},
        ),
    ],
)
def test_gradients(task: str, formula: str, changes: Mapping[str, Any]) -> None:
    data = tensors(task, (3, 4, 4), seed=11, weighted=True)
    setting = replace(Setting(task=task), **changes)
    formula = formula.replace("{ce}", "ce" if task == "multiclass" else "bce")
    check_differences(formula, data, setting, {"k": 1.5})
    p = np.array(arrays(data, task)[0])
    data = replace(data, input=p.tolist())
    check_differences(formula, data, replace(setting, from_probabilities=True), {"k": 1.5}, 3)


def test_removable_zeros_class_by_class() -> None:
    """What oracle.dual says of each class, also where the formula is 0/0."""
    for formula in (F1, "TP/sqrt((TP + FP)*(TP + FN))", "TP*TN/(TP*TN + FP*FN)"):
        tables = [(5.0, 2.0, 3.0, 9.0), (0.0, 4.0, 0.0, 7.0), (4.0, 0.0, 0.0, 7.0)]
        found = values(text(f"macro({formula})"), tables, {}, "multilabel")
        each = [oracle.dual(text(formula), t, {}) for t in tables]
        with mp.workdps(150):
            if formula.startswith("TP*TN"):  # its second table has no limit
                assert mp.isnan(found.values[0])
            else:
                assert abs(found.values[0] - sum(v for v, _ in each) / 3) < mpf(10) ** -60
            for slopes, (_, exact) in zip(found.slopes, each, strict=True):
                for one, two in zip(slopes, exact, strict=True):
                    assert mp.isnan(one) if mp.isnan(two) else abs(one - two / 3) < mpf(10) ** -60


def test_a_kink_between_numbers_without_a_limit() -> None:
    """min(recall, precision) is recall beside TP = FP = 0, whatever precision is: 0 has no doubt.

    The slope there is 1/(TP + FN) on the way, but the file takes precision for 0 and has a tie.
    """
    both = f"min({RECALL}, TP/(TP + FP))"
    value, slopes = oracle.dual(text(both), (0, 5, 0, 90), {})
    assert value == 0 and all(mp.isnan(s) for s in slopes)
    (found,) = values(text(f"macro({both})"), [(0, 5, 0, 90)], {}, "multilabel", None).values
    assert found == 0
    for table in ((0, 5, 3, 90), (5, 0, 0, 90), (5, 3, 0, 90)):  # nothing is 0/0
        assert not any(mp.isnan(s) for s in oracle.dual(text(both), table, {})[1])
    # both arguments have a limit at TP = FN = 0 under this numerator: the kink is no doubt
    smooth = "min(TP*FN/(TP + FN), 2 + FP)"
    assert not mp.isnan(oracle.dual(text(smooth), (0, 0, 3, 90), {})[1][2])


def test_zeros_outside_the_classes() -> None:
    # every element is taken for class 0: R_K tends to 0, with no slope that all ways agree on
    tables = [(4.0, 0.0, 5.0, 0.0), (0.0, 2.0, 0.0, 7.0), (0.0, 3.0, 0.0, 6.0)]
    found = values(text(R_K), tables, {}, "multiclass")
    assert found.values == [0] and any(mp.isnan(w) for pair in found.weights for w in pair)
    with pytest.raises(ValueError, match="real"):
        values(text("sqrt(0 - 1 - macro(TP))"), tables, {}, "multilabel")


def test_geometric_mean_of_a_zero() -> None:
    tables = [(0.0, 4.0, 1.0, 7.0), (4.0, 1.0, 0.0, 7.0)]
    found = values(text(f"geomean({RECALL})"), tables, {}, "multilabel")
    assert found.values == [0] and mp.isnan(found.slopes[0][0])
    assert found.weights[1] == (0, 0)


def test_the_worst_share_their_slope() -> None:
    tables = [
        (3.0, 1.0, 2.0, 4.0),
        (6.0, 2.0, 0.0, 1.0),
        (3.0, 1.0, 9.0, 4.0),
        (9.0, 1.0, 1.0, 1.0),
    ]
    found = values(text(f"worst({RECALL})"), tables, {}, "multilabel")
    alone = [oracle.dual(text(RECALL), t, {})[1] for t in tables]
    for k, slopes in enumerate(found.slopes):
        share = mpf(0) if k == 3 else mpf(1) / 3
        assert all(abs(a - share * b) < 1e-14 for a, b in zip(slopes, alone[k], strict=True))


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_straight_through(task: str) -> None:
    """Counts of decisions; slopes are those weights times the surrogate's slope."""
    data = tensors(task, (3, 1 if task == "binary" else 3, 6), seed=2)
    p, y, v = arrays(data, task)
    hot = (p > 0.5).astype(float)
    if task == "multiclass":
        hot = (np.arange(3)[None, :, None] == p.argmax(1)[:, None, :]).astype(float)
    t = counts(hot, y, v)
    formula = F1 if task == "binary" else f"macro({F1})"
    setting = Setting(task=task, hard=True, minimize=True)
    found = loss_and_gradient(text(formula), data, {}, setting)
    assert number(found) == pytest.approx(f1(t).mean(), rel=1e-13)
    size = (2 * t[0] + t[1] + t[2])[None, :, None]
    g = (2 * y / size - 2 * t[0][None, :, None] * (1 / size**2)) / len(t[0])
    wanted = p * (1 - p) * g
    if task == "multiclass":
        wanted = p * (g - (p * g).sum(1, keepdims=True))
    np.testing.assert_allclose(np.array(found.gradient, float), wanted, atol=1e-14)


def test_the_first_maximum_is_the_decision() -> None:
    data = Tensors([[[1.0], [1.0], [0.0]]], [[[1.0], [0.0], [0.0]]])
    setting = Setting(task="multiclass", hard=True, minimize=True)
    assert loss_and_gradient(text("sum(TP)/sum(TP + FN)"), data, {}, setting).value == 1


@pytest.mark.parametrize(
    ("formula", "name", "arguments"),
    [
        ("1/(1 + exp(-L*(p - threshold)))", "amplified", {"L": 6.0, "threshold": 0.375}),
        ("1/(1 + exp(-z))", "soft", {}),
    ],
)
def test_a_surrogate_of_ones_own(formula: str, name: str, arguments: dict[str, float]) -> None:
    data = tensors("multilabel", seed=9)
    metric = text(f"macro({F1})")
    setting = Setting(surrogate=name, arguments=arguments)
    named = loss_and_gradient(metric, data, {}, setting)
    own = loss_and_gradient(metric, data, {}, replace(setting, surrogate=text(formula)))
    assert abs(named.value - own.value) < mpf(10) ** -140
    assert abs(named.gradient[1][2][3] - own.gradient[1][2][3]) < mpf(10) ** -140


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_far_inputs_keep_their_digits(task: str) -> None:
    """p next to 1: the sizes and the gradient are neither 0 nor lost to rounding."""
    data = Tensors([[[900.0, -1.0], [-900.0, 0.5]]], [[[0.0, 1.0], [1.0, 0.0]]])
    found = loss_and_gradient(text(f"macro({F1})"), data, {}, Setting(task=task))
    assert all(size > 0 for sample in found.sizes for row in sample for size in row)
    assert found.gradient[0][0][0] > 0 > found.gradient[0][1][0]
    assert found.gradient[0][0][0] < mpf(10) ** -300
