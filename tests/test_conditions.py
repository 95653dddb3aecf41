"""Conditions and means: parsing, value, slopes, proofs and losses against numbers by hand."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import pytest

import metricc
from metricc.compiler import analyse
from metricc.parse import parse

TABLES = [t for t in product((0, 1, 2, 5), repeat=4) if t[0] + t[1] and t[2] + t[3]]


@pytest.mark.parametrize(
    "text",
    [
        "if TP < FN then TPR else TNR",
        "1 - (if TP <= FN and not FP == TN then 1/2 else f1)",
        "if TP < 1 or FN < 1 and FP != 2 then 1 else if TN > 3 then 2 else 3",
        "if (TP < 1 or FN < 1) and not (FP >= 2 or TN < 1) then 1 else 2",
        "if (if TP < 1 then 2 else 3) < FN then 1 else 2",
        "max(if TP < 1 then 2 else 3, clip(f1, 0.1, 0.9))",
    ],
)
def test_conditions_round_trip(text: str) -> None:
    tree = parse(text)
    assert parse(str(tree)) == tree
    assert str(parse(str(tree))) == str(tree)


def chosen(tp: int, fn: int, fp: int, tn: int) -> Fraction:
    if (tp < fn and fp >= 1) or tn == 2:
        return Fraction(tp, tp + fn)
    return Fraction(tn, fp + tn)


def test_every_connective_on_every_small_table() -> None:
    metric = metricc.compile("if TP < FN and FP >= 1 or not TN != 2 then TPR else TNR")
    for table in TABLES:
        assert metric.value(*table) == pytest.approx(float(chosen(*table)), rel=1e-15)


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_comparisons_are_pythons(operator: str) -> None:
    metric = metricc.compile(f"if TP {operator} FN then TPR else 2 + TPR")
    holds: Callable[[int, int], bool] = eval(f"lambda a, b: a {operator} b")
    for tp, fn, fp, tn in TABLES:
        wanted = tp / (tp + fn) + (0 if holds(tp, fn) else 2)
        assert metric.value(tp, fn, fp, tn) == pytest.approx(wanted, rel=1e-15)


def test_the_slope_is_that_of_the_branch_that_is_taken() -> None:
    metric = metricc.compile("if TP < FN then TP/10 else TP/5", maximize=True)
    slope = metric.partials["TP"]
    assert [slope.subs({"TP": t, "FN": 3}) for t in (2, 3, 4)] == [
        Fraction(1, 10),
        Fraction(1, 5),
        Fraction(1, 5),
    ]


def test_branches_are_simplified_and_proved_case_by_case() -> None:
    plan, _ = analyse("if TPR < 1/2 then 2*PPV*TPR/(PPV + TPR) else (TPR + TNR)/2")
    program = plan.program
    assert all("case by case" in form.proof for form in program.forms.values() if form.cancels)
    assert all(form.proved for form in program.forms.values())


def test_more_conditions_than_are_simplified_still_compile() -> None:
    text = "+".join(f"(if TP < {i} then TPR else f1)" for i in range(1, 7))
    plan, found = analyse(text)
    program = plan.program
    assert found.direction == "score"
    assert all(f.proof for f in program.forms.values())


@pytest.mark.parametrize(
    "text",
    [
        "if TPR < 0.5 and TNR < 0.5 or FP == 0 then f1 else sqrt(TPR*TNR)",
        "clip(2*f1 - 1/2, 0, 1)",
        "geometric_mean(TPR, TNR, PPV)",
        pytest.param("if P > 0 then TPR else 0", marks=pytest.mark.slow),
        pytest.param("if TPR < TNR then 2*TPR - TNR else TNR", marks=pytest.mark.slow),
        pytest.param("harmonic_mean(TPR, TNR, PPV)", marks=pytest.mark.slow),
        pytest.param("mean(TPR, mcc)", marks=pytest.mark.slow),
    ],
)
def test_verify_passes(text: str) -> None:
    report = metricc.compile(text, maximize=True).verify()
    assert report, str(report)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("harmonic_mean(PPV, TPR)", "f1"),
        ("geometric_mean(TPR, TNR)", "gmean"),
        ("mean(TPR, TNR)", "balanced_accuracy"),
        ("clip(TPR, 0, 1)", "min(max(TPR, 0), 1)"),
        ("harmonic_mean(PPV, TPR, TNR, NPV)", "p4"),
    ],
)
def test_means_are_the_metrics_that_they_define(one: str, other: str) -> None:
    first, second = metricc.compile(one), metricc.compile(other)
    for table in TABLES:
        assert first.value(*table) == pytest.approx(second.value(*table), rel=1e-14, abs=1e-15)


def test_a_harmonic_mean_with_a_zero_is_zero() -> None:
    assert metricc.compile("harmonic_mean(TPR, TNR, PPV)").value(0, 3, 2, 5) == 0


def test_a_choice_in_create_graph_and_under_compile() -> None:
    torch = pytest.importorskip("torch")
    loss = metricc.compile("if TPR < 0.9 then f1 else mcc").loss(L=4)
    logits = torch.linspace(-1.0, 1.5, 12, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0.0, 1.0] * 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), (logits,))
    assert torch.autograd.gradgradcheck(lambda x: loss(x, labels), (logits,))
