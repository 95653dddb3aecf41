"""value, score, scorer and torchmetric with classes, against other packages and the loss itself."""

from __future__ import annotations

import math
import pickle
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import metricc
from metricc.errors import MetriccError

sk = pytest.importorskip("sklearn.metrics")
torch = pytest.importorskip("torch")

Labels = NDArray[Any]
TASKS = ("multiclass", "multilabel")
POLICIES = ("diagonal", "skip", "zero")
NAMES = {"precision": "precision", "recall": "recall", "f1": "f1", "jaccard": "jaccard"}
SCIKIT_LEARN = {
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "fbeta(2)": lambda *a, **k: sk.fbeta_score(*a, beta=2, **k),
    "jaccard": sk.jaccard_score,
}
AVERAGES = {"macro": "macro", "micro": "micro", "weighted": "weighted", "per_class": None}


@cache
def compiled(text: str, task: str, **options: Any) -> metricc.CompiledMetric:
    return metricc.compile(text, task=task, **options)


@cache
def hard(text: str, task: str) -> metricc.CompiledMetric:
    return metricc.compile(text, task=task, surrogate="straight_through", maximize=True)


def quiet(function: Any, *arguments: Any, **keywords: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*arguments, **keywords)


def close(found: Any, wanted: Any, within: float = 1e-12) -> None:
    np.testing.assert_allclose(found, wanted, rtol=within, atol=within)


def some(task: str, seed: int, n: int = 12, size: int = 4) -> tuple[Labels, Labels]:
    """Labels among which classes are absent now and then: from y_true, from y_pred, from both."""
    generator = np.random.default_rng(seed)
    if task == "multilabel":
        often = generator.choice([0, 0.3, 0.7, 1], (2, 1, size))
        true, guess = (generator.random((2, n, size)) < often).astype(int)
        return true, guess
    first, second = (generator.choice(size, generator.integers(1, size + 1)) for _ in range(2))
    return generator.choice(first, n), generator.choice(second, n)


def every(task: str, size: int = 4) -> list[int] | None:
    return list(range(size)) if task == "multiclass" else None


# -- scikit-learn -----------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_averages_are_scikit_learns(name: str, average: str, task: str) -> None:
    metric = compiled(f"{average}({name})", task)
    for seed in range(10):
        true, guess = some(task, seed)
        weight = np.random.default_rng(seed).random(len(true)) if seed % 2 else None
        for zero_division in (0, 1, math.nan):
            if name == "jaccard" and math.isnan(zero_division):
                continue  # scikit-learn's jaccard takes 0 and 1 alone
            keywords: dict[str, Any] = {"sample_weight": weight, "zero_division": zero_division}
            keywords["labels"] = every(task)
            wanted = quiet(SCIKIT_LEARN[name], true, guess, average=AVERAGES[average], **keywords)
            close(metric.score(true, guess, **keywords), wanted)


@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_samples_are_scikit_learns(name: str) -> None:
    metric = compiled(f"samples({name})", "multilabel")
    for seed in range(25):
        true, guess = some("multilabel", seed)
        weight = np.random.default_rng(seed).random(len(true)) if seed % 2 else None
        for zero_division in (0, 1, math.nan):
            if name == "jaccard" and math.isnan(zero_division):
                continue
            keywords = {"sample_weight": weight, "zero_division": zero_division}
            wanted = quiet(SCIKIT_LEARN[name], true, guess, average="samples", **keywords)
            close(metric.score(true, guess, **keywords), wanted)


@pytest.mark.parametrize("task", TASKS)
def test_some_of_the_classes(task: str) -> None:
    for seed in range(10):
        true, guess = some(task, seed)
        for average in AVERAGES:
            wanted = quiet(sk.f1_score, true, guess, average=AVERAGES[average], labels=[2, 0])
            found = compiled(f"{average}(f1)", task).score(true, guess, labels=[2, 0])
            close(found, wanted)


JOINT = {
    "multiclass_mcc": sk.matthews_corrcoef,
    "multiclass_kappa": sk.cohen_kappa_score,
    "multiclass_accuracy": sk.accuracy_score,
    "micro(f1)": sk.accuracy_score,
    "macro(recall)": sk.balanced_accuracy_score,
}
multiclass = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@pytest.mark.parametrize("name", JOINT)
@given(multiclass, st.booleans(), st.integers(0, 2**32 - 1))
def test_metrics_of_the_whole_table_are_scikit_learns(
    name: str, pairs: list[tuple[int, int]], weighted: bool, seed: int
) -> None:
    true, guess = np.array(pairs).T
    weight = np.random.default_rng(seed).random(len(true)) if weighted else None
    keywords = {"sample_weight": weight}
    if name == "macro(recall)":  # classes that only predictions have leave the mean
        keywords["zero_division"] = math.nan
    wanted = quiet(JOINT[name], true, guess, sample_weight=weight)
    found = compiled(name, "multiclass").score(true, guess, **keywords)
    if math.isnan(wanted):  # one class alone: 0/0
        assert found == 0
    else:
        close(found, wanted, 1e-9 if weighted else 1e-12)


def test_constant_answers_with_weights_have_no_correlation() -> None:
    """Rounding must not make a number of 0/0."""
    metric = compiled("multiclass_mcc", "multiclass")
    generator = np.random.default_rng(0)
    for _ in range(200):
        true, weight = generator.integers(0, 5, 40), generator.random(40)
        found = metric.score(true, np.full(40, 3), sample_weight=weight, zero_division=math.nan)
        assert math.isnan(found)


@given(multiclass)
def test_geometric_mean_is_imbalanced_learns(pairs: list[tuple[int, int]]) -> None:
    imblearn = pytest.importorskip("imblearn.metrics")
    true, guess = np.array(pairs).T
    wanted = quiet(imblearn.geometric_mean_score, true, guess, average="multiclass")
    close(compiled("geomean(recall)", "multiclass").score(true, guess), wanted)


@given(st.lists(st.tuples(*[st.booleans()] * 6), min_size=1, max_size=20))
def test_averages_of_hand(rows: list[tuple[bool, ...]]) -> None:
    """Against the definitions, class by class with the binary metric."""
    true, guess = np.array(rows)[:, :3].astype(int), np.array(rows)[:, 3:].astype(int)
    f1 = [metricc_f1(true[:, k], guess[:, k]) for k in range(3)]
    tp, fn, fp = (true * guess).sum(), (true * (1 - guess)).sum(), ((1 - true) * guess).sum()
    wanted = {
        "macro": np.mean(f1),
        "sum": np.sum(f1),
        "worst": np.min(f1),
        "geomean": np.prod(f1) ** (1 / 3),
        "per_class": f1,
        "micro": 2 * tp / (2 * tp + fn + fp) if tp + fn + fp else 0.0,
    }
    for name, number in wanted.items():
        close(compiled(f"{name}(f1)", "multilabel").score(true, guess), number)
    weights = [1.0, 0.0, 3.0]
    found = compiled("macro(f1)", "multilabel").score(true, guess, class_weight=weights)
    close(found, (f1[0] + 3 * f1[2]) / 4)


def metricc_f1(true: Labels, guess: Labels) -> float:
    return float(compiled("f1", "binary").score(true, guess))


# -- torchmetrics -----------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_averages_are_torchmetrics(name: str, average: str, task: str) -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    theirs = getattr(functional, f"{task}_{name}_score".replace("f1_s", "f1_s"), None) or getattr(
        functional, f"{task}_{name}", None
    )
    theirs = theirs or getattr(functional, f"{task}_{name}_index")
    size = {"multiclass": "num_classes", "multilabel": "num_labels"}[task]
    text = f"{'per_class' if average == 'none' else average}({name})"
    for seed in range(5):
        generator = np.random.default_rng(seed)
        if task == "multiclass":  # it leaves absent classes out, which labels here do not have
            true, guess = (np.append(generator.integers(0, 4, 60), range(4)) for _ in range(2))
        else:
            true, guess = generator.integers(0, 2, (2, 20, 4))
        target, preds = torch.tensor(true), torch.tensor(guess)
        wanted = theirs(preds, target, **{size: 4}, average=average)
        close(compiled(text, task).score(true, guess), wanted, 1e-6)
        metric = compiled(text, task).torchmetric(**{size: 4})
        close(metric(preds, target), wanted, 1e-6)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["macro(f1)", "micro(f1)", "multiclass_mcc", "samples(f1)"])
def test_a_torchmetric_adds_counts(name: str, task: str) -> None:
    pytest.importorskip("torchmetrics")
    if (name, task) == ("multiclass_mcc", "multilabel"):
        name = "worst(mcc)"
    metric, size = compiled(name, task), {"multiclass": "num_classes"}.get(task, "num_labels")
    ours = metric.torchmetric(**{size: 4})
    batches = [some(task, seed, n) for seed, n in enumerate((3, 12, 30))]
    alone = [float(ours(torch.tensor(p), torch.tensor(t))) for t, p in batches]
    true, guess = (np.concatenate(x) for x in zip(*batches, strict=True))
    whole = metric.score(true, guess, labels=every(task))
    close(ours.compute(), whole)
    if name.startswith("samples"):
        return  # that is a mean over samples
    assert abs(np.mean(alone) - whole) > 1e-3
    again = pickle.loads(pickle.dumps(ours)).clone()
    close(again.compute(), whole)
    ours.reset()
    assert float(quiet(ours.compute)) == 0


def test_a_torchmetric_adds_over_ranks() -> None:
    """What torchmetrics does with states of several processes: sum them, or join them."""
    pytest.importorskip("torchmetrics")
    for name in ("macro(f1)", "samples(f1)"):
        metric = compiled(name, "multilabel")
        ranks = [metric.torchmetric(num_labels=4) for _ in range(2)]
        data = [some("multilabel", seed) for seed in (4, 5)]
        for rank, (true, guess) in zip(ranks, data, strict=True):
            rank.update(torch.tensor(guess), torch.tensor(true))
        ranks[0].merge_state(ranks[1])
        true, guess = (np.concatenate(x) for x in zip(*data, strict=True))
        close(ranks[0].compute(), metric.score(true, guess))


def test_what_a_torchmetric_takes() -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, 5, 2, generator=generator)
    target = torch.randint(0, 3, (6, 5, 2), generator=generator)
    target[0, 0, 0] = -1
    metric = compiled("macro(f1)", "multiclass").torchmetric(num_classes=3, ignore_index=-1)
    wanted = functional.multiclass_f1_score(
        logits, target, num_classes=3, average="macro", ignore_index=-1
    )
    close(metric(logits, target), wanted, 1e-6)
    close(metric(logits.softmax(1), target), wanted, 1e-6)
    close(metric(logits.argmax(1), target), wanted, 1e-6)
    target = torch.randint(-1, 2, (6, 3, 5), generator=generator)
    for threshold in (0.5, 0.8):
        metric = compiled("macro(f1)", "multilabel").torchmetric(
            num_labels=3, ignore_index=-1, threshold=threshold
        )
        for preds in (logits[..., 0], logits[..., 0].sigmoid()):
            wanted = functional.multilabel_f1_score(
                preds, target, num_labels=3, ignore_index=-1, threshold=threshold
            )
            close(metric(preds, target), wanted, 1e-6)
    binary = compiled("f1", "binary").torchmetric(ignore_index=-1)
    wanted = functional.binary_f1_score(logits[:, 0, :, 0], target[:, 0], ignore_index=-1)
    close(binary(logits[:, 0, :, 0], target[:, 0]), wanted, 1e-6)


@pytest.mark.parametrize(
    ("task", "preds", "target"),
    [
        ("multiclass", [3, 0], [0, 0]),
        ("multiclass", [2, 0], [0, -1]),
        ("multiclass", [0.5, 0.1], [0, 1]),
        ("multiclass", [0, 1], [0.0, 1.0]),
        ("multiclass", [[0.2, 0.8]], [1]),
        ("multiclass", [0, 1, 2], [0, 1]),
        ("multilabel", [[0.2, 0.8]], [[0, 1]]),
        ("multilabel", [[0.2, 0.8, 0.1]], [[0, 1, 2]]),
        ("multilabel", [[0, 2, 1]], [[0, 1, 1]]),
        ("multilabel", [0, 1, 1], [0, 1, 1]),
    ],
)
def test_what_a_torchmetric_refuses(task: str, preds: Any, target: Any) -> None:
    pytest.importorskip("torchmetrics")
    size = {"multiclass": "num_classes", "multilabel": "num_labels"}[task]
    metric = compiled("macro(f1)", task).torchmetric(**{size: 3})
    with pytest.raises(ValueError):
        metric.update(torch.tensor(preds), torch.tensor(target))


def test_samples_with_nothing_in_them() -> None:
    pytest.importorskip("torchmetrics")
    for task, size in (("multiclass", "num_classes"), ("multilabel", "num_labels")):
        metric = compiled("samples(f1)", task).torchmetric(**{size: 3})
        shape = (0, 3) if task == "multilabel" else (0,)
        metric.update(torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long))
        assert float(quiet(metric.compute)) == 0


# -- the loss's own number --------------------------------------------------------------------

FORMULAS = {
    "multiclass": [
        "macro(f1)",
        "micro(f1)",
        "weighted(jaccard)",
        "worst(recall)",
        "geomean(gmean)",
        "multiclass_mcc",
        "multiclass_kappa",
        "multiclass_accuracy",
        "sqrt(macro(TPR)*macro(TNR))",
        "0.5*macro(f1) + 0.5*micro(recall)*weighted(TNR)",
        "samples(f1)",
        "mcc",
    ],
    "multilabel": [
        "macro(f1)",
        "micro(mcc)",
        "weighted(f1)",
        "worst(jaccard)",
        "geomean(recall)",
        "sum(f1)/2",
        "samples(jaccard)",
        "macro(f1) + micro(f1)",
        "if macro(f1) < 1/2 then macro(f1) else macro(f1)^2",
    ],
}


@pytest.mark.parametrize("absent", POLICIES)
@pytest.mark.parametrize("smooth", [0.0, 0.5])
@pytest.mark.parametrize(("task", "text"), [(t, f) for t in TASKS for f in FORMULAS[t]])
def test_scores_are_the_losses_number(task: str, text: str, smooth: float, absent: str) -> None:
    metric = hard(text, task)
    for seed in range(12):
        true, guess = some(task, seed, n=6)
        generator = np.random.default_rng(seed)
        weight = generator.random(6) if seed % 2 else None
        # R_K and kappa are those of one table where all classes weigh the same.
        shares = [None, [1.0, 2.0, 0.0, 0.5]][seed // 2 % 2]
        shares = None if text in ("multiclass_mcc", "multiclass_kappa") else shares
        target, preds = torch.tensor(true), torch.tensor(guess)
        if task == "multiclass":
            preds = torch.nn.functional.one_hot(preds, 4)
        found = metric.score(
            true,
            guess,
            labels=every(task),
            sample_weight=weight,
            class_weight=shares,
            absent=absent,
            smooth=smooth,
        )
        given = {} if shares is None else {"class_weight": shares}
        loss = metric.loss(absent=absent, smooth=smooth, **given)
        weights = None if weight is None else torch.tensor(weight)
        close(found, 1 - loss(20 * preds.double() - 10, target, weight=weights), 1e-9)


@pytest.mark.parametrize("absent", POLICIES)
@pytest.mark.parametrize("text", ["f1", "mcc", "recall", "macro(f1)", "samples(f1)", "worst(TPR)"])
def test_binary_scores_are_the_losses_number(text: str, absent: str) -> None:
    metric = hard(text, "binary")
    tables = [(3, 1, 2, 4), (0, 0, 2, 3), (0, 0, 0, 3), (2, 1, 0, 0), (2, 0, 0, 0), (0, 2, 1, 0)]
    for table in tables:
        true, guess = np.repeat([1, 1, 0, 0], table), np.repeat([1, 0, 1, 0], table)
        for smooth in (0.0, 1.0):
            found = metric.score(true, guess, absent=absent, smooth=smooth)
            logits = 20 * torch.tensor(guess).double() - 10
            loss = metric.loss(absent=absent, smooth=smooth)(logits, torch.tensor(true))
            close(found, 1 - loss, 1e-12)
    if not text.startswith("samples"):
        assert metric.value(0, 0, 2, 3, absent="zero") == 0
        assert metric.value(0, 0, 2, 3, absent="skip") == 1


@pytest.mark.parametrize("absent", [None, *POLICIES])
@pytest.mark.parametrize(("task", "text"), [(t, f) for t in TASKS for f in FORMULAS[t]])
def test_value_is_the_generated_files_value(task: str, text: str, absent: str | None) -> None:
    metric = hard(text, task)
    generator = np.random.default_rng(0)
    # The one-vs-rest tables of 3 x 3 tables, in which classes are absent now and then.
    pairs = generator.integers(0, 9, (5, 2, 3, 3)) * generator.integers(0, 2, (5, 2, 3, 1)) + 1.0
    if absent is not None:
        pairs[2:] -= 1
    hits, true, guess = pairs.diagonal(0, 2, 3), pairs.sum(3), pairs.sum(2)
    whole = pairs.sum((2, 3))[..., None]
    counts = np.stack([hits, true - hits, guess - hits, whole - true - guess + hits])
    by_sample = text.startswith("samples")
    weighted = not by_sample and text not in ("multiclass_mcc", "multiclass_kappa")
    for shares in (None, [1.0, 0.0, 2.5])[: 1 + weighted]:
        found = metric.value(*counts, absent=absent, smooth=0.25, class_weight=shares)
        tensors = [torch.tensor(cell) for cell in counts]
        given = {}
        if shares is not None:
            key = "sample_weight" if by_sample else "class_weight"
            given[key] = torch.tensor(shares, dtype=torch.float64)
        wanted = metric.module().value(*tensors, absent=absent, smooth=0.25, **given)
        assert found.shape == (5, 2)
        close(found, wanted, 1e-11)
        one = metric.value(*counts[:, 1, 1], absent=absent, smooth=0.25, class_weight=shares)
        assert isinstance(one, float) and one == pytest.approx(found[1, 1], rel=1e-12)


# -- counts -----------------------------------------------------------------------------------


def test_value_for_each_class() -> None:
    metric = compiled("per_class(f1)", "multilabel")
    counts = [[3, 0, 0], [1, 0, 0], [2, 0, 0], [4, 10, 10]]
    close(metric.value(*counts), [2 / 3, 0, 0])
    close(metric.value(*counts, zero_division=1), [2 / 3, 1, 1])
    close(metric.value(*counts, zero_division=math.nan), [2 / 3, math.nan, math.nan])
    close(metric.value(*counts, absent="diagonal"), [2 / 3, 1, 1])
    close(metric.value(*counts, absent="zero", zero_division=1), [2 / 3, 0, 0])
    # Left out of averages: 0, as in the generated file, or not a number.
    close(metric.value(*counts, absent="skip"), [2 / 3, 0, 0])
    close(metric.value(*counts, absent="skip", zero_division=math.nan), [2 / 3, *[math.nan] * 2])
    assert metric.value(*np.ones((4, 5, 3))).shape == (5, 3)


def test_undefined_classes() -> None:
    counts = [[3, 0], [1, 0], [2, 0], [4, 10]]
    macro = compiled("macro(f1)", "multilabel")
    assert macro.value(*counts) == pytest.approx(1 / 3)
    assert macro.value(*counts, zero_division=1) == pytest.approx(5 / 6)
    assert macro.value(*counts, zero_division=math.nan) == pytest.approx(2 / 3)
    assert math.isnan(macro.value([0], [0], [0], [9], zero_division=math.nan))
    assert macro.value(*counts, class_weight=[1, 0], zero_division="raise") == pytest.approx(2 / 3)
    assert macro.value(*counts, absent="skip", zero_division="raise") == pytest.approx(2 / 3)
    assert macro.value(*counts, absent="zero", zero_division="raise") == pytest.approx(1 / 3)
    assert macro.value(*counts, class_weight=[0, 0], zero_division=1) == 1
    for text in ("sum(f1)", "worst(f1)", "geomean(f1)", "weighted(f1)"):
        found = compiled(text, "multilabel").value(*counts, zero_division=math.nan)
        assert found == pytest.approx(2 / 3), text
    with pytest.raises(
        MetriccError, match=r"MC0507.*in class 1 at TP = 0, FN = 0, FP = 0, TN = 10"
    ):
        macro.value(*counts, zero_division="raise")
    with pytest.raises(MetriccError, match=r"in class 'b' at TP = 0"):
        compiled("f1", "multiclass").score(
            ["a", "c"], ["a", "c"], labels=["a", "b", "c"], zero_division="raise"
        )
    with pytest.raises(MetriccError, match=r"in sample 1 at"):
        compiled("samples(f1)", "multilabel").score(
            [[1, 0], [0, 0]], [[1, 0], [0, 0]], zero_division="raise"
        )
    with pytest.raises(MetriccError, match=r"MC0507.*at TP = \[3, 0\]"):
        compiled("multiclass_mcc", "multiclass").value([3, 0], 0, 0, [0, 3], zero_division="raise")
    chosen = compiled("if macro(TPR) < 2 then macro(TPR) else macro(f1)", "multilabel")
    close(chosen.value([1, 1], [1, 1], 0, 0, zero_division="raise"), 0.5)


def test_infinite_values_of_classes() -> None:
    odds = compiled("macro(diagnostic_odds_ratio)", "multilabel")
    assert odds.value([3, 5], [1, 0], [2, 0], [4, 5]) == math.inf
    assert odds.value([3, 5], [1, 0], [2, 0], [4, 5], class_weight=[1, 0]) == pytest.approx(6)
    assert compiled("macro(log(TPR))", "multilabel").value([1, 0], [0, 1], 1, 1) == -math.inf
    assert compiled("geomean(mcc)", "multilabel").value([1, 5], [5, 1], [5, 1], [1, 5]) == 0


def test_element_losses_are_given_as_numbers() -> None:
    metric = compiled("0.5*bce + 0.5*(1 - macro(f1))", "multilabel")
    counts = [[3, 1], [1, 1], [2, 1], [4, 1]]
    wanted = 0.5 * 0.3 + 0.5 * (1 - (2 / 3 + 1 / 2) / 2)
    assert metric.value(*counts, bce=0.3) == pytest.approx(wanted)
    binary = compiled("0.5*bce + 0.5*(1 - f1)", "binary")
    assert binary.value(3, 1, 2, 4, bce=0) == pytest.approx(1 / 6)
    assert binary.value(0, 0, 2, 4, bce=2, absent="zero") == 0
    for each, cells in ((metric, counts), (binary, (3, 1, 2, 4))):
        with pytest.raises(MetriccError, match="MC0203") as caught:
            each.value(*cells)
        assert "bce=" in (caught.value.diagnostics[0].hint or "")
        with pytest.raises(MetriccError, match="MC0501"):
            each.value(*cells, bce=-1)
    with pytest.raises(MetriccError, match=r"MC0506.*probabilities"):
        binary.score([1, 0], [1, 0])
    with pytest.raises(MetriccError, match="MC0506"):
        binary.scorer()
    with pytest.raises(MetriccError, match="MC0202"):
        compiled("f1", "binary").value(1, 1, 1, 1, bce=1)


@pytest.mark.parametrize(
    ("text", "counts", "keywords", "code", "words"),
    [
        ("f1", (1, 1, 1, 1), {}, "MC0506", "classes"),
        ("samples(f1)", (1, 1, 1, 1), {}, "MC0506", "samples"),
        ("f1", ([], [], [], []), {}, "MC0506", "classes"),
        ("f1", ([1, 2], [1, 2, 3], 1, 1), {}, "MC0506", "shapes"),
        ("f1", ([1, 2], 1, 1, [-1, 1]), {}, "MC0506", "negative"),
        ("f1", ([1, 2], 1, 1, 1), {"class_weight": [1, 2, 3]}, "MC0501", "2 classes"),
        ("f1", ([1, 2], 1, 1, 1), {"class_weight": [1, -2]}, "MC0501", "class_weight"),
        ("f1", ([1, 2], 1, 1, 1), {"class_weight": {0: 1}}, "MC0501", "class_weight"),
        ("samples(f1)", ([1, 2], 1, 1, 1), {"class_weight": [1, 2]}, "MC0501", "pooled"),
        ("f1", ([1, 2], 1, 1, 1), {"absent": "ignore"}, "MC0501", "absent"),
        ("f1", ([1, 2], 1, 1, 1), {"smooth": -1}, "MC0501", "smooth"),
        ("f1", ([1, 2], 1, 1, 1), {"smooth": "1"}, "MC0501", "smooth"),
        ("f1", ([1, 2], 1, 1, 1), {"zero_division": 2}, "MC0501", "zero_division"),
        ("f1", ([1, 2], 1, 1, 1), {"beta": 2}, "MC0202", "beta"),
    ],
)
def test_what_value_refuses(text: str, counts: Any, keywords: Any, code: str, words: str) -> None:
    with pytest.raises(MetriccError, match=code) as caught:
        metricc.value(text, *counts, task="multilabel", **keywords)
    assert words in str(caught.value)


def test_binary_tasks_have_no_classes() -> None:
    for keywords in ({"class_weight": [1, 2]}, {"labels": [0, 1]}):
        with pytest.raises(MetriccError, match="MC0501"):
            metricc.score("f1", [1, 0], [1, 0], **keywords)


# -- labels -----------------------------------------------------------------------------------


def test_kinds_of_class_labels() -> None:
    metric = compiled("macro(f1)", "multiclass")
    true, guess = [2, 0, 1, 2, 1], [2, 0, 2, 2, 0]
    wanted = sk.f1_score(true, guess, average="macro")
    names = np.array(["cat", "dog", "eel"])
    for one, other in (
        (true, guess),
        (np.array(true, dtype=float), np.array(guess, dtype=np.int8)),
        (names[true], names[guess].tolist()),
        (np.array(names[true], dtype=object), names[guess]),
        (np.array(true)[:, None], guess),
        (torch.tensor(true), torch.tensor(guess)),
        (np.array(true) - 7, np.array(guess) - 7),
    ):
        assert metric.score(one, other) == pytest.approx(wanted)
    found = compiled("per_class(f1)", "multiclass").score(
        names[true], names[guess], labels=["eel", "cow", "cat"]
    )
    close(found, [0.8, 0, 2 / 3])
    assert metricc.score("macro(f1)", true, guess, task="multiclass") == pytest.approx(wanted)


def test_maps_are_counted_all_together() -> None:
    for task in TASKS:
        generator = np.random.default_rng(0)
        shape = (5, 4, 6, 2) if task == "multilabel" else (5, 6, 2)
        true, guess = generator.integers(0, 2 if task == "multilabel" else 3, (2, *shape))
        weight = generator.random((5, 6, 2))
        flat = [true, guess]
        if task == "multilabel":
            flat = [np.moveaxis(x, 1, -1).reshape(-1, 4) for x in flat]
        flat = [x if x.ndim == 2 else x.ravel() for x in flat]
        metric = compiled("macro(f1)", task)
        wanted = sk.f1_score(*flat, average="macro", sample_weight=weight.ravel())
        assert metric.score(true, guess, sample_weight=weight) == pytest.approx(wanted)
        wanted = sk.f1_score(*flat, average="macro", sample_weight=np.repeat(weight[:, 0, 0], 12))
        assert metric.score(true, guess, sample_weight=weight[:, 0, 0]) == pytest.approx(wanted)
        micro = compiled("micro(f1)", task)
        each = [micro.score(t[None], g[None]) for t, g in zip(true, guess, strict=True)]
        assert metricc.score("samples(f1)", true, guess, task=task) == pytest.approx(np.mean(each))
    assert metricc.score("samples(f1)", [[1, 0], [1, 1]], [[1, 1], [1, 1]]) == pytest.approx(5 / 6)


def test_weights_of_single_labels() -> None:
    true, guess = some("multilabel", 3, n=6)
    weight = np.random.default_rng(0).random(true.shape)
    found = compiled("per_class(recall)", "multilabel").score(true, guess, sample_weight=weight)
    wanted = quiet(lambda: (weight * true * guess).sum(0) / (weight * true).sum(0))
    close(found, np.nan_to_num(wanted))
    once = compiled("macro(f1)", "multilabel").score(true, guess, sample_weight=true * 0 + 2.5)
    assert once == pytest.approx(compiled("macro(f1)", "multilabel").score(true, guess))


def test_sparse_labels() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    true, guess = some("multilabel", 1)
    metric = compiled("macro(f1)", "multilabel")
    assert metric.score(sparse.csr_matrix(true), guess) == metric.score(true, guess)


def test_one_class_and_one_sample() -> None:
    for text in ("macro(f1)", "micro(f1)", "weighted(f1)", "worst(f1)", "geomean(f1)"):
        assert compiled(text, "multiclass").score(["x", "x"], ["x", "x"]) == 1
        assert compiled(text, "multiclass").score([5], [5]) == 1
        assert compiled(text, "multilabel").score([[1]], [[1]]) == 1
    assert compiled("multiclass_mcc", "multiclass").score([1, 1], [1, 1]) == 0
    assert compiled("multiclass_mcc", "multiclass").score([1, 1], [1, 1], absent="diagonal") == 0
    two = {"labels": [1, 2], "absent": "diagonal"}
    assert compiled("multiclass_mcc", "multiclass").score([1, 1], [1, 1], **two) == 1
    assert compiled("multiclass_accuracy", "multiclass").score([1, 1], [1, 1]) == 1
    assert compiled("macro(TNR)", "multiclass").score([1], [1], zero_division=1) == 1
    assert compiled("samples(f1)", "multilabel").score([[1, 1]], [[1, 0]]) == pytest.approx(2 / 3)


def test_samples_that_weigh_nothing() -> None:
    metric = compiled("macro(f1)", "multiclass")
    assert metric.score([0, 1], [0, 1], sample_weight=[0, 0], zero_division=1) == 1
    assert math.isnan(metric.score([0], [0], sample_weight=[0], zero_division=math.nan))
    samples = compiled("samples(f1)", "multilabel")
    rows = [[1, 0], [1, 1]]
    assert samples.score(rows, [[1, 0], [0, 0]], sample_weight=[1, 0]) == 1
    assert samples.score(rows, [[1, 0], [0, 0]], sample_weight=[[1, 1], [0, 0]]) == 1
    assert samples.score(rows, rows, sample_weight=[0, 0]) == 0


@pytest.mark.parametrize(
    ("task", "true", "guess", "keywords", "words"),
    [
        ("multiclass", [], [], {}, "empty"),
        ("multiclass", None, None, {}, "shape"),
        ("multiclass", [0, 1, 2], [0.2, 0.9, 0.4], {}, "argmax"),
        ("multiclass", [0, 1], [[0.2, 0.7, 0.1], [0.1, 0.8, 0.1]], {}, "argmax"),
        ("multiclass", [0, 1], [[3, -2, 1], [2, 0, 1]], {}, "argmax"),
        ("multiclass", np.eye(3), np.eye(3)[[0, 2, 1]], {}, "one-hot"),
        ("multiclass", np.eye(3), np.eye(3) * 0.9, {}, "argmax"),
        ("multiclass", [0, 1, math.nan], [0, 1, 2], {}, "NaN"),
        ("multiclass", [0, 1, None], [0, 1, 2], {}, "object"),
        ("multiclass", [0, 1], [0, 1, 2], {}, "2 labels"),
        ("multiclass", [0, 1], ["0", "1"], {}, "text"),
        ("multiclass", [[0, 1], [1, 2]], [[0, 1, 1], [1, 2, 2]], {}, "shape"),
        ("multiclass", [[0], [1, 2]], [0, 1], {}, "y_true"),
        ("multiclass", range(20_000), range(20_000), {}, "different"),
        ("multiclass", [0, 1], [0, 1], {"labels": [0, 0]}, "twice"),
        ("multiclass", [0, 1], [0, 1], {"labels": []}, "labels"),
        ("multiclass", [0, 1], [0, 1], {"labels": 3}, "labels"),
        ("multiclass", [0, 1], [0, 1], {"labels": ["a"]}, "text"),
        ("multiclass", [0, 1], [0, 1], {"sample_weight": [1, -1]}, "negative"),
        ("multiclass", [0, 1], [0, 1], {"sample_weight": [1]}, "(2,)"),
        ("multilabel", [0, 1], [0, 1], {}, "(n, C)"),
        ("multilabel", [], [], {}, "shape"),
        ("multilabel", [[], []], [[], []], {}, "empty"),
        ("multilabel", [[0, 1]], [[0.3, 0.8]], {}, "threshold"),
        ("multilabel", [[0, 1]], [[0, 2]], {}, "holds 2"),
        ("multilabel", [[0, 1]], [[-3, 2]], {}, "0 and 1"),
        ("multilabel", [["a", "b"]], [["a", "b"]], {}, "'a'"),
        ("multilabel", [[0, 1]], [[0, 1, 1]], {}, "shape"),
        ("multilabel", [[0, 1]], [[0, math.inf]], {}, "infinity"),
        ("multilabel", [[0, 1]], [[0, 1]], {"labels": [2]}, "2 columns"),
        ("multilabel", [[0, 1]], [[0, 1]], {"sample_weight": [1, 2]}, "(1,) or (1, 2)"),
    ],
)
def test_what_are_no_class_labels(
    task: str, true: Any, guess: Any, keywords: Any, words: str
) -> None:
    with pytest.raises(MetriccError, match="MC0506") as caught:
        compiled("macro(f1)", task).score(true, guess, **keywords)
    assert words in str(caught.value)


def test_sums_over_classes_need_all_classes() -> None:
    with pytest.raises(MetriccError, match="MC0506") as caught:
        compiled("multiclass_kappa", "multiclass").score([0, 1, 2], [0, 1, 1], labels=[0, 1])
    assert "leaves out 2" in str(caught.value)


@pytest.mark.parametrize("pos_label", [0, "a", None])
def test_a_positive_label_is_for_two_classes(pos_label: Any) -> None:
    with pytest.raises(MetriccError, match="MC0501"):
        compiled("macro(f1)", "multiclass").score([0, 1], [0, 1], pos_label=pos_label)


def test_what_is_compiled_for_each_sample_is_not_scored() -> None:
    for task in ("binary", *TASKS):
        metric = compiled("f1", task, per="sample")
        with pytest.raises(MetriccError, match="MC0501") as caught:
            metric.score([1, 0], [1, 0])
        assert "samples(...)" in (caught.value.diagnostics[0].hint or "")
        with pytest.raises(MetriccError, match="MC0501"):
            metric.scorer()
    counts = np.ones((4, 5, 3))
    assert compiled("f1", "multilabel", per="sample").value(*counts).shape == (5,)


# -- scikit-learn's searches ------------------------------------------------------------------


def test_scorer_of_classes() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    x, y = datasets.make_classification(
        200, n_classes=3, n_informative=4, weights=[0.6, 0.3], random_state=0
    )
    model = LogisticRegression()
    for y_true in (y, np.array(["a", "b", "c"])[y]):
        scorer = compiled("macro(f1)", "multiclass").scorer()
        ours = cross_val_score(model, x, y_true, scoring=scorer)
        assert ours == pytest.approx(cross_val_score(model, x, y_true, scoring="f1_macro"))
    error = compiled("1 - multiclass_accuracy", "multiclass", surrogate="soft").scorer()
    wanted = cross_val_score(model, x, y, scoring="accuracy") - 1
    assert cross_val_score(model, x, y, scoring=error) == pytest.approx(wanted)
    scorer = compiled("macro(f1)", "multiclass").scorer(labels=[0, 1, 2, 3], zero_division=1)
    assert cross_val_score(model, x, y, scoring=scorer) == pytest.approx(
        (3 * cross_val_score(model, x, y, scoring="f1_macro") + 1) / 4
    )


def test_scorer_of_labels() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    x, y = datasets.make_multilabel_classification(120, n_classes=4, random_state=0)
    for ours, theirs in (
        ("macro(f1)", "f1_macro"),
        ("micro(f1)", "f1_micro"),
        ("samples(jaccard)", "jaccard_samples"),
        ("weighted(precision)", "precision_weighted"),
    ):
        scorer = compiled(ours, "multilabel").scorer()
        found = cross_val_score(KNeighborsClassifier(), x, y, scoring=scorer)
        wanted = quiet(cross_val_score, KNeighborsClassifier(), x, y, scoring=theirs)
        assert found == pytest.approx(wanted), ours


def test_what_scorers_and_torchmetrics_refuse_at_once() -> None:
    pytest.importorskip("torchmetrics")
    macro, each = compiled("macro(f1)", "multiclass"), compiled("per_class(f1)", "multiclass")
    for call in (
        lambda: each.scorer(),
        lambda: macro.scorer(absent="none"),
        lambda: macro.torchmetric(),
        lambda: macro.torchmetric(num_classes=0),
        lambda: macro.torchmetric(num_labels=3),
        lambda: macro.torchmetric(num_classes=3, class_weight=[1, 2]),
        lambda: compiled("f1", "binary").torchmetric(num_classes=2),
        lambda: compiled("f1", "binary").scorer(class_weight=[1, 2]),
    ):
        with pytest.raises(MetriccError, match="MC0501"):
            call()
    with pytest.raises(MetriccError, match="MC0202"):
        macro.scorer(beta=2)
    found = each.torchmetric(num_classes=3)(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
    close(found, [1, 2 / 3, 0])
