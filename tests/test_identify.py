"""Identity with library metrics: proved by normal forms, checked here by numbers."""

from __future__ import annotations

import random
import re

import pytest

import metricc
from metricc.compiler import analyse
from metricc.identify import identify


def same(formula: str) -> tuple[str, ...]:
    return identify(analyse(formula)[0].metric)


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("TP/(TP + 0.5*(FP+FN))", "f1"),
        ("tversky(0.5, 0.5)", "f1"),
        ("tversky(1, 1)", "jaccard"),
        ("jaccard", "tversky(alpha = 1, beta = 1)"),
        ("cohen_kappa", "hss"),
        ("hss", "cohen_kappa"),
        ("2*PPV*TPR/(PPV + TPR)", "f1"),
        ("5*TP/(5*TP + 4*FN + FP)", "fbeta(beta = 2)"),
        ("TP/(TP + 2*FP + FN/3)", "tversky(alpha = 2, beta = 1/3)"),
        ("sqrt(TP/P)*sqrt(TP/PP)", "fowlkes_mallows"),
        ("(TP*TN - FP*FN)/sqrt((TP+FP)*(TP+FN)*(TN+FP)*(TN+FN))", "mcc"),
        ("f(b in (0, inf)) = (1 + b^2)*TP/((1 + b^2)*TP + b^2*FN + FP)", "fbeta(beta = b)"),
    ],
)
def test_identities_are_found(formula: str, name: str) -> None:
    assert name in same(formula)


def test_complements_are_found_where_nothing_else_is() -> None:
    assert same("1 - p4") == ("1 - p4",)
    costs = "cost_matrix(c_tp = 0, c_fn = 1, c_fp = 1, c_tn = 0)"
    assert same("(FP + FN)/POP") == ("error_rate", "expected_cost(c_fn = 1, c_fp = 1)", costs)


@pytest.mark.parametrize(
    "formula", ["TPR*TNR + PPV/7", "f1 + 1e-30", "f1 + 1e-30*TPR", "TP/(TP + FP + FN + 1)"]
)
def test_what_is_no_library_metric_is_not_found(formula: str) -> None:
    assert same(formula) == ()


def test_reported_identities_hold_in_numbers() -> None:
    generator = random.Random(3)
    for name in metricc.names():
        for other in same(name):
            if re.search(r"= [a-z]", other):
                continue  # parameters of the metric's own
            one = metricc.compile(name, maximize=True).module().value
            two = metricc.compile(other, maximize=True).module().value
            for _ in range(5):
                table = [generator.randint(1, 50) for _ in range(4)]
                assert one(*table) == pytest.approx(two(*table), rel=1e-12, abs=1e-12)
