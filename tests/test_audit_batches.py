"""What batches make of a metric: against all sequences of samples, and against closed forms.

The oracles know no multinomial law: they walk through every sequence of samples, one by one, with
the metrics by hand, or they are expectations that can be written down.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import metricc
from metricc import compiler, errors, ir
from metricc.audit import batches
from metricc.audit.hard import CLASSES, CLASSIFIERS, Classifier, Hard, shares
from metricc.audit.missing import WORDS, in_words, missing, share_of
from metricc.audit.subject import Subject

PREVALENCE = 0.1


@cache
def subject(formula: str, **options: Any) -> Subject:
    return compiler.subject(formula, **options)


def hard(formula: str, **options: Any) -> Hard:
    return Hard(subject(formula, **options))


def rows(formula: str, **options: Any) -> dict[str, dict[int, batches.Batches]]:
    on = hard(formula, **options)
    found = batches.measured(on, missing(on) if on.subject.metric.single else None)
    return {name: {b.size: b for b in each} for name, each in found.items()}


def by_code(formula: str, **options: Any) -> dict[str, ir.Finding]:
    return {f.code: f for f in batches.findings(subject(formula, **options))}


def rates(classifier: Classifier, prevalence: float = PREVALENCE) -> tuple[float, float]:
    """TPR and FPR from the words: it knows some labels, and guesses at the prevalence."""
    guess = (1 - classifier.knows) * prevalence
    return classifier.knows + guess, guess


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SIZES", (32, 128, 256))


# -- the metrics by hand, with None where they have no value -----------------------------------


def ratio(a: float, b: float) -> float | None:
    return a / b if b else None


METRICS: dict[str, Callable[[int, int, int, int], float | None]] = {
    "recall": lambda TP, FN, FP, TN: ratio(TP, TP + FN),
    "precision": lambda TP, FN, FP, TN: ratio(TP, TP + FP),
    "f1": lambda TP, FN, FP, TN: ratio(2 * TP, 2 * TP + FP + FN),
    "mcc": lambda TP, FN, FP, TN: ratio(
        TP * TN - FP * FN, math.sqrt((TP + FN) * (FP + TN) * (TP + FP) * (FN + TN))
    ),
    "FN + 5*FP": lambda TP, FN, FP, TN: FN + 5 * FP,
}


def sequences(size: int, kinds: list[float]) -> Iterator[tuple[list[int], float]]:
    """The counts of every sequence of samples, and how probable it is."""
    for sequence in itertools.product(range(len(kinds)), repeat=size):
        yield [sequence.count(k) for k in range(len(kinds))], math.prod(kinds[k] for k in sequence)


def kinds_of(classifier: Classifier, prevalence: float) -> list[float]:
    TPR, FPR = rates(classifier, prevalence)
    return [
        prevalence * TPR,
        prevalence * (1 - TPR),
        (1 - prevalence) * FPR,
        (1 - prevalence) * (1 - FPR),
    ]


def brute(name: str, size: int, classifier: Classifier, prevalence: float) -> tuple[float, float]:
    """The mean under absent="diagonal", and the share of batches without a value."""
    mean, without = 0.0, 0.0
    for cells, probability in sequences(size, kinds_of(classifier, prevalence)):
        TP, FN, FP, TN = cells
        without += probability * (METRICS[name](*cells) is None)
        if TP + FN == 0 or FP + TN == 0:
            TP, TN = TP + 1, TN + 1
        mean += probability * (METRICS[name](TP, FN, FP, TN) or 0.0)
    return mean, without


@pytest.mark.parametrize("name", METRICS)
def test_small_batches_are_those_of_all_sequences(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SIZES", (2, 3, 5))
    found = rows(name, prevalence=0.3)
    for classifier in CLASSIFIERS:
        for size, row in found[classifier.name].items():
            mean, without = brute(name, size, classifier, 0.3)
            assert row.mean == pytest.approx(mean, abs=1e-13) and row.error == 0
            assert row.undefined == pytest.approx(without, abs=1e-13)
            assert row.absent == pytest.approx(0.7**size + 0.3**size, abs=1e-14)


@pytest.mark.parametrize("name", METRICS)
def test_simulated_batches_agree_with_all_sequences(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SIZES", (5, 6))
    monkeypatch.setattr(batches, "ENUMERATED", 1)
    found = rows(name, prevalence=0.3)
    for classifier in CLASSIFIERS:
        for size, row in found[classifier.name].items():
            mean, _ = brute(name, size, classifier, 0.3)
            assert abs(row.mean - mean) <= 4 * row.error + 1e-10
            assert row.error < 0.01


def test_recall_in_closed_form() -> None:
    """Of batches with both classes the mean is TPR: recall has no bias but for absent classes."""
    for name, row in rows("recall").items():
        (classifier,) = (c for c in CLASSIFIERS if c.name == name)
        TPR, _ = rates(classifier)
        for size, batch in row.items():
            no_positives, no_negatives = (1 - PREVALENCE) ** size, PREVALENCE**size
            all_positive = (1 + size * TPR) / (1 + size)
            both = (1 - no_positives - no_negatives) * TPR
            exact = both + no_positives + no_negatives * all_positive
            assert abs(batch.mean - exact) <= 4 * batch.error + 1e-12
            assert batch.reference == pytest.approx(TPR)
            assert batch.undefined == pytest.approx(no_positives, rel=1e-9)


def test_precision_in_closed_form() -> None:
    """E[1/(1 + B)] of a binomial B is (1 - (1 - f)^(n + 1))/((n + 1) f)."""
    for name, row in rows("precision").items():
        (classifier,) = (c for c in CLASSIFIERS if c.name == name)
        TPR, FPR = rates(classifier)
        said = PREVALENCE * TPR + (1 - PREVALENCE) * FPR
        for size, batch in row.items():
            no_positives, no_negatives = (1 - PREVALENCE) ** size, PREVALENCE**size
            own = PREVALENCE * TPR / said * (1 - (1 - said) ** size)
            own -= no_negatives * (1 - (1 - TPR) ** size)
            one = (1 - (1 - FPR) ** (size + 1)) / ((size + 1) * FPR)
            exact = own + no_positives * one + no_negatives
            assert abs(batch.mean - exact) <= 4 * batch.error + 1e-12
            assert batch.undefined == pytest.approx((1 - said) ** size, rel=1e-9)


def test_the_share_without_a_value_is_exact() -> None:
    f1, mcc = (missing(hard(name)) for name in ("f1", "mcc"))
    assert f1 is not None and mcc is not None
    for classifier in CLASSIFIERS:
        kinds = TP, FN, FP, TN = kinds_of(classifier, PREVALENCE)
        for size in batches.SIZES:
            found = share_of(f1.undefined, np.array(kinds), size)
            assert found == pytest.approx(TN**size, rel=1e-9)
            # One of four sums is 0; two of them at once leave one cell.
            sums = ((TP, FN), (FP, TN), (TP, FP), (FN, TN))
            some = sum((1 - a - b) ** size for a, b in sums)
            some -= sum(cell**size for cell in (TP, FN, FP, TN))
            found = share_of(mcc.undefined, np.array(kinds), size)
            assert found == pytest.approx(some, rel=1e-9)


def test_a_linear_cost_has_no_bias_and_needs_no_chance(few: None) -> None:
    for formula in ("FN + 5*FP", "FN[amount] + 5*FP"):
        for row in rows(formula).values():
            for batch in row.values():
                assert batch.error < 1e-9 * batch.reference or batch.size <= batches.ENUMERATED
                assert not batch.sure and not batch.grave
        assert by_code(formula)["MC0633"].fact.startswith("no bias")


def test_a_mean_of_precision_and_recall_is_simulated_well(few: None) -> None:
    """What is linear is taken out of random batches: that makes errors small, and moves no mean."""
    on = hard("gmean")
    kinds = CLASSIFIERS[1].joint(shares(on.subject.metric, PREVALENCE))
    tables = batches.drawn(on, 256, kinds, 1)
    values = on.values(tables, on.absent)
    plain = values.std() / math.sqrt(len(values))
    (row,) = (b for b in batches.measured(on, missing(on))["good"] if b.size == 256)
    assert abs(row.mean - values.mean()) < 4 * plain and row.error < plain / 3


def test_the_classifier_is_what_it_says() -> None:
    for classifier, prevalence in itertools.product(CLASSIFIERS, (0.01, 0.3, 0.9)):
        TPR, FPR = rates(classifier, prevalence)
        assert classifier.rates(prevalence) == pytest.approx((TPR, FPR))
        joint = classifier.joint(shares(subject("f1").metric, prevalence))
        assert joint == pytest.approx(kinds_of(classifier, prevalence))
        TP, FN, FP, TN = joint
        assert TP / (TP + FP) == pytest.approx(TP / (TP + FN)) == pytest.approx(TPR)
        by_chance = prevalence**2 + (1 - prevalence) ** 2
        assert (TP + TN - by_chance) / (1 - by_chance) == pytest.approx(classifier.knows)
        assert METRICS["mcc"](TP, FN, FP, TN) == pytest.approx(classifier.knows)


def test_classes_that_are_missing() -> None:
    on = hard("f1", task="multiclass", prevalence=0.2)
    parts = [0.2, 0.4, 0.4]
    assert shares(on.subject.metric, 0.2) == pytest.approx(parts)
    some = sum(p for counts, p in sequences(5, parts) if min(counts) == 0)
    assert batches.absent_share(on, 5) == pytest.approx(some)
    joint = hard("multiclass_mcc", task="multiclass", prevalence=0.2)
    alone = sum(p for counts, p in sequences(5, parts) if sorted(counts)[1] == 0)
    assert batches.absent_share(joint, 5) == pytest.approx(alone)
    labels = hard("f1", task="multilabel", prevalence=0.2)
    lacking = 0.8**5 + 0.2**5
    assert batches.absent_share(labels, 5) == pytest.approx(1 - (1 - lacking) ** CLASSES)
    assert batches.absent_share(hard("micro(f1)", task="multiclass"), 5) == 0


def test_tables_of_classes() -> None:
    """One-vs-rest counts of a table of three classes, by hand."""
    on = hard("f1", task="multiclass")
    square = np.array([[5.0, 2, 1], [0, 7, 3], [4, 0, 9]])
    TP, FN, FP, TN = on.tables(square.reshape(1, 9))
    assert TP.tolist() == [[5, 7, 9]] and FN.tolist() == [[3, 3, 4]]
    assert FP.tolist() == [[4, 2, 4]] and TN.tolist() == [[19, 19, 14]]
    macro = np.mean([2 * 5 / (10 + 7), 14 / (14 + 5), 18 / (18 + 8)])
    assert on.values(on.tables(square.reshape(1, 9))) == pytest.approx([macro])


def test_random_batches_are_the_same_every_time_and_look_right() -> None:
    on = hard("FN[amount] + 5*FP")
    kinds = CLASSIFIERS[0].joint(shares(on.subject.metric, PREVALENCE))
    one, other = batches.drawn(on, 512, kinds, 0), batches.drawn(on, 512, kinds, 0)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert (sum(one[:4]) == 512).all()
    for cell, amount, kind in zip(one[:4], one[4:], kinds, strict=True):
        deviation = math.sqrt(512 * kind * (1 - kind) / batches.BATCHES)
        assert abs(cell.mean() - 512 * kind) < 4 * deviation
        assert abs((amount - cell).mean()) < 4 * math.sqrt(512 * kind / batches.BATCHES)


def test_values_are_those_of_the_loss() -> None:
    """The default policies, as the generated file has them, on tables without a class too."""
    tables = [(3, 1, 2, 26), (0, 0, 2, 30), (4, 28, 0, 0), (0, 3, 0, 29), (0, 0, 0, 32)]
    for formula, task in (("f1", "binary"), ("mcc", "binary"), ("precision", "binary")):
        loss = metricc.loss(formula, task=task)
        on = hard(formula, task=task)
        cells = tuple(np.array(column, float) for column in zip(*tables, strict=True))
        found = on.values(cells, on.absent)
        for table, number in zip(tables, found, strict=True):
            counts = torch.tensor(table, dtype=torch.float64)
            z, y = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
            assert 1 - loss(z, y, counts=counts).item() == pytest.approx(number, abs=1e-12)


def test_findings_say_what_bites(few: None) -> None:
    rare, common = by_code("f1", prevalence=0.01), by_code("f1", prevalence=0.3)
    for code in ("MC0633", "MC0634"):
        assert rare[code].severity == "warning" and "docs/few-positives.md" in rare[code].hint
        assert common[code].severity == "note" and common[code].hint is None
        assert code in errors.FINDINGS and not rare[code].fact.endswith(".")
    data = dict(rare["MC0634"].data)
    assert data["sizes"] == batches.SIZES and data["prevalence"] == 0.01
    assert data["good_absent"][1] == pytest.approx(0.99**128)
    assert "no positives and none predicted" in rare["MC0634"].fact
    assert rare["MC0634"].evidence.startswith("exact")
    assert by_code("log(TP - FP)")["MC0634"].evidence.startswith("simulated")
    endless = by_code("log_odds_ratio")["MC0633"]
    assert endless.severity == "warning" and "no mean" in endless.fact
    assert by_code("accuracy")["MC0634"].fact.startswith("every batch has a value")
    assert "floor = 0.9" in by_code("precision_at_recall")["MC0633"].fact


def test_every_set_of_zeros_has_its_words() -> None:
    on = hard("mcc")
    found = missing(on)
    assert found is not None and found.infinite == ()
    words = in_words(found.undefined)
    for part in ("no positives", "no negatives", "nothing predicted positive"):
        assert part in words
    assert len(WORDS) == 15
    # Where the value's absence is no matter of zeros, it is simulated.
    assert missing(hard("log(TP - FP)")) is None


def test_shares_add_up() -> None:
    parts = np.array([0.1, 0.2, 0.3, 0.4])
    every = [s for n in range(4) for s in itertools.combinations(range(4), n)]
    assert share_of(every, parts, 7) == pytest.approx(1)
    one = sum(p for counts, p in sequences(5, [*parts]) if counts[1] == 0 and min(counts[::2]) > 0)
    assert share_of([(1,), (1, 3)], parts, 5) == pytest.approx(one)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("0.5*bce + 0.5*(1 - f1)", {}),
        ("fbeta", {}),
        ("f(beta) = TP/(TP + beta*FP + FN)", {}),
        ("per_class(f1)", {"task": "multiclass"}),
        ("geomean(recall)", {"task": "multilabel"}),
        ("0.5*ce + 0.5*(1 - macro(f1))", {"task": "multiclass"}),
        ("weighted(f1)", {"task": "multiclass"}),
    ],
)
def test_every_task(formula: str, options: dict[str, str], few: None) -> None:
    found = batches.findings(subject(formula, prevalence=0.2, **options))
    assert [f.code for f in found] == ["MC0633", "MC0634"]
    assert all("nan" not in f.fact for f in found)
    assert all(json.loads(json.dumps(dict(f.data))) for f in found)


def test_samples_and_steps_that_see_everything() -> None:
    for asked in (
        subject("f1", per="sample"),
        subject("samples(f1)", task="multilabel"),
    ):
        (found,) = batches.findings(asked)
        assert found.severity == "note" and "table of its own" in found.fact
    assert batches.findings(subject("(TP + FN)/(TP + FN + FP + TN)")) == []
