"""value, score, scorer and torchmetric against scikit-learn, torchmetrics and numbers by hand."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import metricc
from metricc.errors import MetriccError

sklearn_metrics = pytest.importorskip("sklearn.metrics")
ROOT = Path(__file__).parent.parent
Counts = tuple[int, int, int, int]


def labels(tp: int, fn: int, fp: int, tn: int) -> tuple[NDArray[Any], NDArray[Any]]:
    true = np.repeat([1, 1, 0, 0], (tp, fn, fp, tn))
    return true, np.repeat([1, 0, 1, 0], (tp, fn, fp, tn))


TABLES = [t for t in product((0, 1, 5), repeat=4) if sum(t)]
SCIKIT_LEARN = {
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
    "f1": sklearn_metrics.f1_score,
    "fbeta(2)": lambda *a, **k: sklearn_metrics.fbeta_score(*a, beta=2, **k),
    "jaccard": sklearn_metrics.jaccard_score,
}


# -- value ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", metricc.names())
def test_value_is_the_generated_files_value(name: str) -> None:
    metric = metricc.compile(name, maximize=True)
    generator = np.random.default_rng(1)
    code = metric.module().value
    params = {p.name: 0.5 for p in metric.program.metric.parameters}
    names = metric.plan.metric.cells
    tables = generator.integers(1, 500, (20, len(names))).astype(float)
    found = metric.value(**dict(zip(names, tables.T, strict=True)), **params)
    for table, number in zip(tables, found, strict=True):
        assert number == pytest.approx(float(code(*table, **params)), rel=1e-12, abs=1e-12)
        counts = dict(zip(names, table, strict=True))
        assert metric.value(**counts, **params) == pytest.approx(number, rel=1e-14)


def test_value_broadcasts() -> None:
    found = metricc.compile("f1").value([[1], [2]], [0, 1, 2], 1, 0)
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(4 / 7)


@pytest.mark.parametrize(
    ("text", "table", "wanted"),
    [
        ("TPR*log(TPR)", (0, 3, 1, 1), 0.0),  # x log(x) is 0 at 0
        ("TP*log(TPR)", (0, 0, 1, 1), 0.0),
        ("log(TPR)", (0, 3, 1, 1), -math.inf),
        ("if P > 0 then TPR else 1/2", (0, 0, 1, 1), 0.5),
        ("sqrt(TP/P)*sqrt(TP/PP)", (0, 0, 3, 1), math.nan),
        ("TP/P + FN/P - 1 + TPR", (0, 3, 1, 1), 0.0),
        ("sqrt(TPR*TNR)", (0, 3, 1, 1), 0.0),
        ("1/TP", (0, 3, 1, 1), math.inf),
        ("diagnostic_odds_ratio", (5, 0, 0, 5), math.inf),
        ("-1/TP", (0, 3, 1, 1), -math.inf),
        ("1/(1 + 1/TP)", (0, 3, 1, 1), 0.0),
        ("TP/(FN - FP)", (5, 1, 1, 1), math.nan),
        ("FP*(1 + TN/FP)*(TP/FP)", (5, 1, 0, 1), math.inf),
        ("confusion_entropy", (5, 0, 0, 5), 0.0),
        ("min(TPR, 1/2)", (0, 0, 1, 1), math.nan),
        ("sqrt(TP - FN)", (1, 2, 1, 1), math.nan),
        ("precision*recall", (0, 0, 0, 5), math.nan),
        ("mcc", (5, 0, 0, 0), math.nan),
        ("TP/sqrt(FP - TN)", (5, 1, 0.3, 0.1 + 0.2), math.nan),  # a root of -6e-17: rounding
    ],
)
def test_where_a_metric_is_undefined(text: str, table: tuple[float, ...], wanted: float) -> None:
    metric = metricc.compile(text, maximize=True)
    assert metric.value(*table, zero_division=math.nan) == pytest.approx(wanted, nan_ok=True)
    if math.isnan(wanted):
        assert metric.value(*table) == 0
        assert metric.value(*table, zero_division=1) == 1
        with pytest.raises(MetriccError, match="MC0507"):
            metric.value(*table, zero_division="raise")
    else:
        assert metric.value(*table, zero_division="raise") == pytest.approx(wanted)


@pytest.mark.parametrize("wrong", [2, "warn", None, "0", -1])
def test_other_values_of_zero_division_are_refused(wrong: Any) -> None:
    with pytest.raises(MetriccError, match="MC0501"):
        metricc.compile("f1").value(1, 2, 3, 4, zero_division=wrong)


def test_parameters_are_checked() -> None:
    metric = metricc.compile("fbeta")
    assert metric.value(1, 2, 3, 4) == pytest.approx(2 / 7)
    with pytest.raises(MetriccError, match="MC0202"):
        metric.value(1, 2, 3, 4, alpha=1)
    with pytest.raises(MetriccError, match="MC0501"):
        metric.value(1, 2, 3, 4, beta=-1)
    with pytest.raises(MetriccError, match="MC0203"):
        metricc.compile("tversky").value(1, 2, 3, 4, alpha=1)


# -- score ------------------------------------------------------------------------------------


@pytest.mark.parametrize("zero_division", [0, 1, math.nan])
@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_zero_division_is_scikit_learns(name: str, zero_division: float) -> None:
    metric = metricc.compile(name)
    for table in TABLES:
        true, predicted = labels(*table)
        if name == "jaccard" and math.isnan(zero_division):
            continue  # scikit-learn's jaccard takes 0 and 1 alone
        wanted = SCIKIT_LEARN[name](true, predicted, zero_division=zero_division)
        found = metric.score(true, predicted, zero_division=zero_division)
        assert found == pytest.approx(wanted, rel=1e-12, nan_ok=True), table


weights = st.lists(st.floats(0.01, 100), min_size=12, max_size=12)
binary = st.lists(st.integers(0, 1), min_size=10, max_size=10)


@given(binary, binary, weights)
def test_weighted_scores_are_scikit_learns(
    true: list[int], guess: list[int], w: list[float]
) -> None:
    true, guess = [*true, 1, 0], [*guess, 1, 0]  # where everything is defined
    others = {
        **SCIKIT_LEARN,
        "mcc": sklearn_metrics.matthews_corrcoef,
        "accuracy": sklearn_metrics.accuracy_score,
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score,
        "cohen_kappa": sklearn_metrics.cohen_kappa_score,
    }
    for name, other in others.items():
        found = metricc_score(name, true, guess, w)
        wanted = other(true, guess, sample_weight=w)
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12), name


def metricc_score(name: str, true: Any, guess: Any, weight: Any) -> float:
    if name not in _COMPILED:
        _COMPILED[name] = metricc.compile(name)
    return float(_COMPILED[name].score(true, guess, sample_weight=weight))


_COMPILED: dict[str, metricc.CompiledMetric] = {}


@pytest.mark.parametrize(
    ("true", "predicted"),
    [
        ([1, 0, 1, 0], [1, 1, 1, 0]),
        ([True, False, True, False], [True, True, True, False]),
        ([1.0, 0.0, 1.0, 0.0], np.array([1, 1, 1, 0], dtype=np.int8)),
        ([1, -1, 1, -1], [1, 1, 1, -1]),
        (np.array([[1], [0], [1], [0]]), [1, 1, 1, 0]),
        (np.array([1, 0, 1, 0], dtype=object), [1, 1, 1, 0]),
    ],
)
def test_kinds_of_labels(true: Any, predicted: Any) -> None:
    assert metricc.compile("f1").score(true, predicted) == pytest.approx(0.8)


def test_text_labels_and_another_positive_label() -> None:
    metric = metricc.compile("recall")
    assert metric.score(["a", "b", "b"], ["a", "b", "a"], pos_label="b") == 0.5
    assert metric.score([0, 1, 1], [0, 1, 0], pos_label=0) == 1.0
    with pytest.raises(MetriccError, match="pos_label"):
        metric.score(["a", "b", "b"], ["a", "b", "a"])


def test_tensors_are_labels_too() -> None:
    torch = pytest.importorskip("torch")
    assert metricc.compile("f1").score(torch.tensor([1, 0]), torch.tensor([1.0, 0.0])) == 1


@pytest.mark.parametrize(
    ("true", "predicted", "keywords", "words"),
    [
        ([1, 0, 1], [0.2, 0.9, 0.4], {}, "scores"),
        ([1, 0, 1], [-3.5, 2.0, 7.0], {}, "scores"),
        ([1, 0, 1], [3, -2, 7], {}, "different labels"),
        ([0.5, 0, 1], [1, 0, 1], {}, "scores"),
        ([1, 0, 2], [1, 0, 2], {}, "different labels"),
        ([1, 0, math.nan], [1, 0, 1], {}, "NaN"),
        ([1, 0], [1, 0, 1], {}, "2 labels"),
        ([], [], {}, "empty"),
        ([[1, 0], [0, 1]], [[1, 0], [0, 1]], {}, "shape"),
        ([2, 3], [2, 3], {}, "pos_label"),
        ([1, 0], ["1", "0"], {}, "text"),
        ([1, 0], [1, 0], {"sample_weight": [1, -1]}, "negative"),
        ([1, 0], [1, 0], {"sample_weight": [1]}, "shape"),
        ([1, 0], [1, 0], {"sample_weight": [1, math.inf]}, "infinite"),
        (None, None, {}, "shape"),
        ([1j, 0], [1, 0], {}, "complex"),
    ],
)
def test_what_is_no_label_is_refused(true: Any, predicted: Any, keywords: Any, words: str) -> None:
    with pytest.raises(MetriccError, match="MC0506") as caught:
        metricc.compile("f1").score(true, predicted, **keywords)
    assert words in str(caught.value)


def test_scoring_does_not_load_torch() -> None:
    code = (
        "import sys, metricc\n"
        "m = metricc.compile('mcc')\n"
        "assert m.score([1, 0, 1], [1, 0, 0]) == 0.5\n"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# -- scikit-learn and torchmetrics ------------------------------------------------------------


@pytest.fixture
def data() -> tuple[NDArray[Any], NDArray[Any]]:
    datasets = pytest.importorskip("sklearn.datasets")
    made = datasets.make_classification(300, weights=[0.9], random_state=0)
    return made[0], made[1]


def test_scorer_in_cross_validation(data: tuple[NDArray[Any], NDArray[Any]]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    model = LogisticRegression()
    ours = cross_val_score(model, *data, scoring=metricc.compile("f1").scorer(), n_jobs=2)
    assert ours == pytest.approx(cross_val_score(model, *data, scoring="f1"), rel=1e-12)
    error = cross_val_score(model, *data, scoring=metricc.compile("1 - f1").scorer())
    assert error == pytest.approx(ours - 1, rel=1e-12)


def test_scorer_tunes_a_threshold(data: tuple[NDArray[Any], NDArray[Any]]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import TunedThresholdClassifierCV

    scorer = metricc.compile("fbeta").scorer(beta=2)
    tuned = TunedThresholdClassifierCV(LogisticRegression(), scoring=scorer).fit(*data)
    assert tuned.best_score_ > 0.5
    assert "fbeta" in repr(scorer)


def test_scorer_refuses_wrong_parameters_at_once() -> None:
    with pytest.raises(MetriccError, match="MC0202"):
        metricc.compile("f1").scorer(beta=2)


def test_torchmetric() -> None:
    torch = pytest.importorskip("torch")
    torchmetrics = pytest.importorskip("torchmetrics")
    ours, theirs = metricc.compile("f1").torchmetric(), torchmetrics.classification.BinaryF1Score()
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 5.0):
        preds = torch.rand(50, generator=generator) * scale - (scale - 1) / 2
        target = torch.randint(0, 2, (50,), generator=generator)
        assert ours(preds, target).item() == pytest.approx(theirs(preds, target).item(), rel=1e-6)
    assert ours.compute().item() == pytest.approx(theirs.compute().item(), rel=1e-6)
    again = pickle.loads(pickle.dumps(ours)).clone()
    assert again.compute() == ours.compute()
    assert ours.higher_is_better
    together = torchmetrics.MetricCollection({"a": ours, "b": theirs})
    together.reset()
    together.update(torch.tensor([0.9, 0.2]), torch.tensor([1, 1]))
    assert together.compute()["a"].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("preds", "target"), [([0.5], [0.0, 1.0]), ([0.5, 0.1], [2, 1]), ([3, 1], [0, 1])]
)
def test_torchmetric_refuses(preds: list[Any], target: list[Any]) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchmetrics")
    with pytest.raises(ValueError):
        metricc.compile("f1").torchmetric().update(torch.tensor(preds), torch.tensor(target))


@pytest.mark.parametrize(
    ("package", "method"), [("sklearn", "scorer"), ("torchmetrics", "torchmetric")]
)
def test_a_missing_package_is_named(
    package: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith(("metricc.adapters", package))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.metrics", None)
    with pytest.raises(MetriccError, match="MC0508"):
        getattr(metricc.compile("f1"), method)()


def test_compiled_metrics_pickle() -> None:
    metric = metricc.compile("if TPR < 1/2 then mcc else f1", maximize=True)
    assert pickle.loads(pickle.dumps(metric)).value(1, 2, 3, 4) == metric.value(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("counts", "keywords", "code"),
    [
        (("a", 1, 1, 1), {}, "MC0506"),
        (("1", 1, 1, 1), {}, "MC0506"),
        ((1j, 1, 1, 1), {}, "MC0506"),
        ((10**400, 1, 1, 1), {}, "MC0506"),
        ((math.inf, 1, 1, 1), {}, "MC0506"),
        (([1, 2], [1, 2, 3], 1, 1), {}, "MC0506"),
        (([[1], [1, 2]], 1, 1, 1), {}, "MC0506"),
        ((1, 1, 1, 1), {"beta": "2"}, "MC0501"),
        ((1, 1, 1, 1), {"beta": [1, 2]}, "MC0501"),
        ((1, 1, 1, 1), {"zero_division": np.array([0, 1])}, "MC0501"),
    ],
)
def test_what_is_no_count_is_refused(counts: Any, keywords: Any, code: str) -> None:
    with pytest.raises(MetriccError, match=code):
        metricc.value("fbeta", *counts, **keywords)


def test_numbers_of_numpy_are_numbers() -> None:
    found = metricc.value("fbeta", 0, 0, 0, 1, beta=np.float32(2), zero_division=np.int64(1))
    assert found == 1.0


def test_any_formula_on_counts_and_labels() -> None:
    assert metricc.value("P/POP", 3, 1, 2, 4) == 0.4
    assert metricc.value("1/2", 3, 1, 2, 4) == 0.5
    assert metricc.score("P/POP", [1, 0, 0, 0], [1, 1, 1, 1]) == 0.25
    assert metricc.value("fbeta", [3, 0], 1, 2, 4, beta=2.0).shape == (2,)
    with pytest.raises(MetriccError, match="MC0302"):
        metricc.compile("P/POP")


def test_scorer_of_text_labels(data: tuple[NDArray[Any], NDArray[Any]]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    x, y = data
    scorer, model = metricc.compile("f1").scorer(pos_label="yes"), LogisticRegression()
    words = np.where(y == 1, "yes", "no")
    numbers = cross_val_score(model, x, y, scoring=metricc.compile("f1").scorer())
    assert cross_val_score(model, x, words, scoring=scorer) == pytest.approx(numbers)
    assert metricc.score("f1", ["no", "no"], ["no", "no"], pos_label="yes") == 0.0
