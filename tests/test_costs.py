"""Costs and constraints: linear costs are found and are what is said of them; entries by hand."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import metricc
from metricc import library, scoring
from metricc.cli import main
from metricc.compiler import analyse

RANDOM = np.random.default_rng(7)


# Metrics without columns; a second each, so most run with the slow tests.
COUNTED = [name for name in metricc.names() if "[" not in str(library.definitions()[name].body)]
QUICK = set(
    "accuracy balanced_accuracy recall f1 mcc youden_j dispersion expected_cost net_benefit "
    "standardized_net_benefit detection_cost normalized_expected_cost cost_matrix savings gmean "
    "weighted_accuracy faith recall_at_precision specificity_at_sensitivity p4".split()
)


# -- linear costs -----------------------------------------------------------------------------


def bends(name: str) -> float:
    """How far the metric is from affine in TP and FP, at fixed P and N: by second differences."""
    plan, _ = analyse(name)
    params = {p.name: 0.3 for p in plan.metric.parameters if p.default is None}
    worst = 0.0
    for positives, negatives in ((40.0, 60.0), (7.0, 93.0), (55.0, 45.0)):
        u, v = np.meshgrid(np.linspace(0.05, 0.98, 12), np.linspace(0.02, 0.9, 12), indexing="ij")
        cells = (u * positives, (1 - u) * positives, v * negatives, (1 - v) * negatives)
        table = scoring.value(plan, cells, scoring.Rules(params=params))
        second = [np.diff(table, 2, axis=0), np.diff(table, 2, axis=1)]
        second.append(np.diff(np.diff(table, axis=0), axis=1))
        worst = max(worst, *(float(np.abs(d).max()) for d in second)) / float(np.abs(table).max())
    return worst


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in COUNTED]
)
def test_a_metric_is_linear_where_its_second_differences_vanish(name: str) -> None:
    plan, findings = analyse(name)
    if plan.metric.single:
        assert findings.linear == (bends(name) < 1e-9)
    else:
        assert not findings.linear


@pytest.mark.parametrize(
    ("formula", "costs"),
    [
        ("accuracy", ("1/POP", "1/POP")),
        ("1 - accuracy", ("1/POP", "1/POP")),
        ("balanced_accuracy", ("1/(2*P)", "1/(2*N)")),
        ("youden_j", ("1/P", "1/N")),
        ("expected_cost", ("c_fn/POP", "c_fp/POP")),
        ("net_benefit", ("1/POP", "t/(POP*(1 - t))")),
        ("TP - 3*FP", ("1", "3")),
        ("c(a = 2) = recall + a*specificity", ("1/P", "a/N")),
        ("(TP*TN - FP*FN)/(P*N)", ("1/P", "1/N")),  # cancels to a linear one
        ("FN[amount] + 5*FP", ("amount", "5")),
        ("FN[amount] + FP[delay] + FN", ("amount + 1", "delay")),
        ("cost_by_amount", ("(amount - c)/POP", "c/POP")),
        ("savings_by_amount", ("(amount - c)/Min(P_amount, POP*c)", "c/Min(P_amount, POP*c)")),
    ],
)
def test_weights_of_linear_costs(formula: str, costs: tuple[str, str]) -> None:
    assert analyse(formula)[1].costs == costs


@pytest.mark.parametrize(
    "formula",
    [
        "f1",
        "mcc",
        "jaccard",
        "gmean",
        "recall^2",
        "max(recall, specificity)",
        "recall_at_precision",
        "0.5*bce + 0.5*(1 - accuracy)",
        "accuracy + 0.001*f1",
        "f1[amount]",
        "precision + FN[amount]",
    ],
)
def test_what_is_no_linear_cost(formula: str) -> None:
    assert not analyse(formula)[1].linear


def test_classes_have_no_linear_cost() -> None:
    assert not analyse("macro(recall)", task="multiclass")[1].linear


@pytest.mark.parametrize("formula", ["c(k = 3) = (k*FN + FP)/POP", "balanced_accuracy", "youden_j"])
def test_the_cut_and_weighted_bce_reach_the_best_of_all_decisions(formula: str) -> None:
    """Groups of samples with known probabilities: every decision is tried."""
    metric = metricc.compile(formula)
    p = np.array([0.03, 0.11, 0.2, 0.26, 0.41, 0.55, 0.7, 0.93])
    size = np.array([50, 40, 30, 20, 15, 12, 9, 7.0])
    positives, negatives = size * p, size * (1 - p)

    def worth(alarm: np.ndarray) -> float:
        tp, fp = (positives * alarm).sum(), (negatives * alarm).sum()
        value = metric.value(tp, positives.sum() - tp, fp, negatives.sum() - fp)
        return float(value if metric.options.goal == "maximize" else -value)

    decisions = [np.array(d) for d in itertools.product((0.0, 1.0), repeat=len(p))]
    best = max(decisions, key=worth)
    symbols = {"P": positives.sum(), "N": negatives.sum(), "POP": size.sum(), "k": 3.0}
    plus, minus = (eval(c, {}, symbols) for c in metric.audit().costs)
    assert ((p > minus / (plus + minus)) == (best == 1)).all()
    assert 0 < best.sum() < len(p)
    # BCE with these weights has its optimum at p w+/(p w+ + (1 - p) w-): found by Newton's method.
    z = torch.zeros(len(p), dtype=torch.float64, requires_grad=True)
    y = torch.tensor(np.stack([np.ones(len(p)), np.zeros(len(p))]))
    weight = torch.tensor(np.stack([positives * plus, negatives * minus]))
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            z.expand(2, -1), y, weight=weight, reduction="sum"
        )
        (slope,) = torch.autograd.grad(loss, z)
        a = torch.sigmoid(z).detach()
        with torch.no_grad():
            z -= slope / (weight.sum(0) * a * (1 - a)).clamp(min=1e-12)
    assert ((z.detach().numpy() > 0) == (best == 1)).all()


def test_the_command_says_what_a_linear_cost_weighs() -> None:
    out = CliRunner().invoke(main, ["audit", "balanced_accuracy"]).stdout
    assert "linear cost  yes: positives weigh 1/(2*P), negatives 1/(2*N)\n" in out
    assert "cross-entropy with these weights" in out
    out = CliRunner().invoke(main, ["audit", "f1"]).stdout
    assert "linear cost  no: what a prediction is worth depends on the others\n" in out
    assert "with these weights" not in out
    out = CliRunner().invoke(main, ["audit", "macro(recall)", "--task", "multiclass"]).stdout
    assert "linear cost" not in out  # classes have no weights of their own
    data = json.loads(CliRunner().invoke(main, ["audit", "accuracy", "--format", "json"]).stdout)
    assert data["costs"] == ["1/POP", "1/POP"]
    data = json.loads(CliRunner().invoke(main, ["show", "accuracy", "--format", "json"]).stdout)
    assert data["linear_cost"] == "positives weigh 1/POP, negatives 1/POP"
    out = CliRunner().invoke(main, ["show", "accuracy"]).stdout
    assert "linear cost  positives weigh 1/POP, negatives 1/POP\n" in out
    # a constant prediction is best: there is nothing to weigh
    assert "with these weights" not in CliRunner().invoke(main, ["audit", "recall"]).stdout
    assert "weights below 0" in CliRunner().invoke(main, ["audit", "cost_by_amount"]).stdout


def test_a_linear_cost_with_conditions_is_said_in_words() -> None:
    out = CliRunner().invoke(main, ["audit", "if P > N then FN else 3*FP"]).stdout
    assert "positives weigh 1 where N < P, else 0, negatives 0 where N < P, else 3\n" in out
    nested = analyse("if P > N then FN else (if P > 2 then FN + FP else FP)")[1]
    assert not any("Piecewise" in cost for cost in nested.costs) and nested.costs


def test_steps_that_the_domain_decides_are_not_in_the_threshold() -> None:
    """max(TP, TP + FP) is TP + FP, of which nothing is the best cut."""
    for formula in ("max(TP, TP + FP)", "TP + FP"):
        out = CliRunner().invoke(main, ["derive", formula]).stdout
        assert "threshold" not in out.replace("No threshold: a prediction is worth the same", "")
        assert "No threshold" in out and "No prediction changes" not in out
        out = CliRunner().invoke(main, ["audit", formula]).stdout
        assert "Heaviside" not in out and "threshold" not in out
    assert "No prediction changes" in CliRunner().invoke(main, ["derive", "P"]).stdout
    cut = metricc.compile("max(TP, TP - FP)", name="m").threshold  # is TP: a false alarm is free
    assert cut == 0
    assert "Heaviside" in str(metricc.compile("recall_at_precision").threshold)


def test_the_header_says_what_a_linear_cost_weighs() -> None:
    def header(formula: str, **options: Any) -> str:
        return " ".join(metricc.compile(formula, **options).source.split('"""')[1].split())

    fact = "BCE with weights 1/POP for positives and 1/POP for negatives, and that cut, reach the"
    assert fact in header("accuracy")
    assert "linear cost" not in header("f1") and "linear cost" not in header("recall")
    assert "BCE with" not in header("cost_by_amount", minimize=True)
    assert "A linear cost" in header("cost_by_amount", minimize=True)


# -- entries by hand --------------------------------------------------------------------------


def drawn(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and amounts."""
    y = (RANDOM.random(n) < 0.2).astype(int)
    predicted = (RANDOM.random(n) < np.where(y == 1, 0.7, 0.15)).astype(int)
    return y, predicted, RANDOM.lognormal(2, 1, n)


def cost_of(y: np.ndarray, a: np.ndarray, cell: dict[tuple[int, int], Any]) -> float:
    """The cost of every sample by (label, prediction), one after the other."""
    total = 0.0
    for i in range(len(y)):
        price = cell[int(y[i]), int(a[i])]
        total += float(price[i] if isinstance(price, np.ndarray) else price)
    return total


def test_savings_and_costs_by_hand() -> None:
    savings, expected, matrix = map(metricc.compile, ("savings", "expected_cost", "cost_matrix"))
    for _ in range(20):
        y, a, _ = drawn()
        c_fn, c_fp = RANDOM.uniform(0.2, 9, 2)
        cells = {(1, 1): 0, (1, 0): c_fn, (0, 1): c_fp, (0, 0): 0}
        trivial = min(cost_of(y, np.full(len(y), k), cells) for k in (0, 1))
        wanted = 1 - cost_of(y, a, cells) / trivial
        assert savings.score(y, a, c_fn=c_fn, c_fp=c_fp) == pytest.approx(wanted, 1e-12)
        mean = cost_of(y, a, cells) / len(y)
        found = expected.score(y, a, c_fn=c_fn, c_fp=c_fp)
        assert found == pytest.approx(mean, rel=1e-12)
        cells |= {(1, 1): RANDOM.uniform(0, c_fn), (0, 0): RANDOM.uniform(0, c_fp)}
        four = {"c_tp": cells[1, 1], "c_fn": c_fn, "c_fp": c_fp, "c_tn": cells[0, 0]}
        found = matrix.score(y, a, **four)
        assert found == pytest.approx(cost_of(y, a, cells) / len(y), rel=1e-12)


def test_costs_by_amount_by_hand() -> None:
    mean = metricc.compile("cost_by_amount", minimize=True)
    savings = metricc.compile("savings_by_amount", maximize=True)
    for _ in range(20):
        y, a, amount = drawn()
        c = float(RANDOM.uniform(0.2, 9))
        cells = {(1, 1): c, (1, 0): amount, (0, 1): c, (0, 0): 0}
        cost = cost_of(y, a, cells)
        trivial = min(cost_of(y, np.full(len(y), k), cells) for k in (0, 1))
        found = mean.score(y, a, c=c, amount=amount)
        assert found == pytest.approx(cost / len(y), rel=1e-12)
        found = savings.score(y, a, c=c, amount=amount)
        assert found == pytest.approx(1 - cost / trivial, rel=1e-12)


def test_costs_against_scikit_learn() -> None:
    judge = pytest.importorskip("sklearn.metrics")
    y, a, amount = drawn()
    tn, fp, fn, tp = judge.confusion_matrix(y, a).ravel()
    assert metricc.score("cost_matrix", y, a, c_tp=1, c_fn=9, c_fp=4, c_tn=0.5) == pytest.approx(
        (tp + 9 * fn + 4 * fp + 0.5 * tn) / len(y), rel=1e-12
    )
    # Misses by amount are weighted recall; what is saved of the amounts without alarm costs.
    recall = judge.recall_score(y, a, sample_weight=amount)
    assert metricc.score("recall[amount]", y, a, amount=amount) == pytest.approx(recall, rel=1e-12)
    found = metricc.score("FN[amount]", y, a, amount=amount)
    assert found == pytest.approx((1 - recall) * amount[y == 1].sum(), rel=1e-12)
    benefit = (tp - fp * 0.2 / 0.8) / len(y)
    assert metricc.score("net_benefit", y, a, t=0.2) == pytest.approx(benefit, rel=1e-12)
    standardized = benefit / y.mean()
    found = metricc.score("standardized_net_benefit", y, a, t=0.2)
    assert found == pytest.approx(standardized, rel=1e-12)
    misses, falls = 1 - judge.recall_score(y, a), 1 - judge.recall_score(y, a, pos_label=0)
    found = metricc.score("detection_cost", y, a, c_miss=7, c_fa=2, prior=0.1)
    assert found == pytest.approx(7 * 0.1 * misses + 2 * 0.9 * falls, rel=1e-12)
    found = metricc.score("normalized_expected_cost", y, a, c_fn=7, c_fp=2)
    wanted = (7 * fn + 2 * fp) / (7 * y.sum() + 2 * (1 - y).sum())
    assert found == pytest.approx(wanted, rel=1e-12)


PAIRS = {
    "recall_at_precision": ("recall_score", "precision_score", 1),
    "precision_at_recall": ("precision_score", "recall_score", 1),
    "sensitivity_at_specificity": ("recall_score", "recall_score", 0),
    "specificity_at_sensitivity": ("specificity", "recall_score", 1),
}


@pytest.mark.parametrize("name", PAIRS)
def test_constraints_against_scikit_learn(name: str) -> None:
    judge = pytest.importorskip("sklearn.metrics")
    objective, limited, label = PAIRS[name]
    y, a, _ = drawn()

    def rate(function: str, label: int) -> float:
        label = 0 if function == "specificity" else label
        function = "recall_score" if function == "specificity" else function
        return float(getattr(judge, function)(y, a, pos_label=label))

    metric, met, missed = metricc.compile(name), set(), 0
    for floor in (0.1, 0.5, 0.8, 0.99):
        lacks = max(0.0, floor - rate(limited, label))
        wanted = rate(objective, 1) - 7 * lacks
        found = metric.score(y, a, floor=floor, penalty=7)
        assert found == pytest.approx(wanted, rel=1e-12)
        met.add(lacks == 0)
        missed += lacks > 0
    assert met == {True, False} and missed


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_of_a_constraint(name: str) -> None:
    """Central differences of the formula by hand, met and missed."""
    objective, limited, label = PAIRS[name]
    z = RANDOM.normal(size=60)
    y = (RANDOM.random(60) < 0.3).astype(float)

    def by_hand(z: np.ndarray, floor: float) -> float:
        a = 1 / (1 + np.exp(-z))
        tp, fn, fp, tn = (y * a).sum(), (y * (1 - a)).sum(), ((1 - y) * a).sum(), 0.0
        tn = ((1 - y) * (1 - a)).sum()
        rates = {"recall_score": tp / (tp + fn), "precision_score": tp / (tp + fp)}
        second = tn / (tn + fp) if label == 0 else rates[limited]
        first = tn / (tn + fp) if objective == "specificity" else rates[objective]
        return float(1 - (first - 3 * max(0.0, floor - second)))

    metric = metricc.compile(name, surrogate="soft")
    for floor in (0.05, 0.95):
        loss = metric.loss(floor=floor, penalty=3.0)
        x = torch.tensor(z, requires_grad=True)
        value = loss(x, torch.tensor(y))
        value.backward()
        assert value.item() == pytest.approx(by_hand(z, floor), rel=1e-12)
        for i in range(0, 60, 7):
            step = np.zeros(60)
            step[i] = 1e-6
            slope = (by_hand(z + step, floor) - by_hand(z - step, floor)) / 2e-6
            assert float(x.grad[i]) == pytest.approx(slope, rel=1e-5, abs=1e-9)  # type: ignore[index]


VERIFIED = ["cost_matrix", "recall_at_precision"]
SLOW = ["savings", "cost_by_amount", "savings_by_amount", *list(PAIRS)[1:]]


@pytest.mark.parametrize(
    "name", [*VERIFIED, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)]
)
def test_entries_verify(name: str) -> None:
    mixed = library.definitions()[name].fact("direction") == "mixed"
    report = metricc.compile(name, minimize=mixed).verify()
    assert report.passed, str(report)


def test_every_entry_of_both_families_is_looked_at_here() -> None:
    names = {d.name for family in ("costs", "constraints") for d in library.families()[family]}
    by_hand = {"savings", "expected_cost", "cost_matrix", "cost_by_amount", "savings_by_amount"}
    judged = {"normalized_expected_cost", "detection_cost", "standardized_net_benefit"}
    assert names == by_hand | judged | {"net_benefit", *PAIRS}
