"""The audit's facts about direction, constants, parameters, range, batches and thresholds.

The oracles are formulas by hand, NumPy over whole-numbered tables, and SymPy limits: nothing of the
audit's own machinery.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy

from metricc import ir, library, surrogates
from metricc.audit import (
    better,
    degenerate,
    dependence,
    fractional,
    parameters,
    spread,
    terms,
)
from metricc.audit.corners import Corners
from metricc.audit.germs import EPSILON, Corner, Endless, Unknown
from metricc.audit.positive import sign
from metricc.audit.subject import Subject
from metricc.compiler import analyse
from metricc.errors import FINDINGS
from metricc.numeric import sample, value_at

TOPICS = (better, degenerate, parameters, spread, dependence, fractional)
TP, FN, FP, TN = sympy.symbols("TP FN FP TN")


@cache
def subject(formula: str, task: str = "binary", goal: str | None = None) -> Subject:
    plan, audit = analyse(formula, None, task)
    if goal is None:
        goal = "minimize" if audit.direction == "error rate" else "maximize"
    surrogate = surrogates.surrogate(surrogates.default(task, "torch"))
    options = ir.Options(plan.metric.name, task, "batch", str(surrogate), False, goal)
    return Subject(plan, audit, options, surrogate, 0.1)


@cache
def every(topic: Any, formula: str, task: str) -> list[ir.Finding]:
    return topic.findings(subject(formula, task))


def found(topic: Any, formula: str, code: str, task: str = "binary") -> list[ir.Finding]:
    return [f for f in every(topic, formula, task) if f.code == code]


def only(topic: Any, formula: str, code: str, task: str = "binary") -> ir.Finding:
    (finding,) = found(topic, formula, code, task)
    return finding


def data(finding: ir.Finding) -> dict[str, Any]:
    return dict(finding.data)


# Formulas by hand, over arrays of counts.
HAND: dict[str, Callable[..., Any]] = {
    "f1": lambda a, b, c, d: 2 * a / (2 * a + b + c),
    "f2": lambda a, b, c, d: 5 * a / (5 * a + 4 * b + c),
    "recall": lambda a, b, c, d: a / (a + b),
    "precision": lambda a, b, c, d: a / (a + c),
    "specificity": lambda a, b, c, d: d / (c + d),
    "npv": lambda a, b, c, d: d / (b + d),
    "jaccard": lambda a, b, c, d: a / (a + b + c),
    "accuracy": lambda a, b, c, d: (a + d) / (a + b + c + d),
    "error_rate": lambda a, b, c, d: (b + c) / (a + b + c + d),
    "balanced_accuracy": lambda a, b, c, d: (a / (a + b) + d / (c + d)) / 2,
    "gmean": lambda a, b, c, d: np.sqrt(a / (a + b) * d / (c + d)),
    "youden_j": lambda a, b, c, d: a / (a + b) + d / (c + d) - 1,
    "mcc": lambda a, b, c, d: (a * d - b * c) / np.sqrt((a + b) * (a + c) * (b + d) * (c + d)),
    "cohen_kappa": lambda a, b, c, d: 2 * (a * d - b * c) / ((a + c) * (c + d) + (a + b) * (b + d)),
    "positive_likelihood_ratio": lambda a, b, c, d: a / (a + b) / (c / (c + d)),
    "diagnostic_odds_ratio": lambda a, b, c, d: a * d / (b * c),
    "optimized_precision": lambda a, b, c, d: (
        (a + d) / (a + b + c + d) - abs(d / (c + d) - a / (a + b)) / (d / (c + d) + a / (a + b))
    ),
    "overlap_coefficient": lambda a, b, c, d: a / np.minimum(a + b, a + c),
    "frequency_bias": lambda a, b, c, d: (a + c) / (a + b),
    "yule_y": lambda a, b, c, d: (
        (np.sqrt(a * d) - np.sqrt(b * c)) / (np.sqrt(a * d) + np.sqrt(b * c))
    ),
    "class_balance_accuracy": lambda a, b, c, d: (
        (a / np.maximum(a + b, a + c) + d / np.maximum(c + d, b + d)) / 2
    ),
    "net_benefit": lambda a, b, c, d: (a - c) / (a + b + c + d),
    "dispersion": lambda a, b, c, d: (a * d - b * c) / (a + b + c + d) ** 2,
}


def at(name: str, *cells: Any) -> Any:
    with np.errstate(all="ignore"):
        return HAND[name](*(np.asarray(cell, dtype=np.float64) for cell in cells))


TABLES = np.array(list(itertools.product(range(8), repeat=4)), dtype=np.float64).T


# -- MC0601 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HAND)
def test_direction_agrees_with_single_steps_on_all_small_tables(name: str) -> None:
    before = at(name, *TABLES)
    signs = set()
    for to, of in ((0, 1), (3, 2)):
        there = TABLES[of] >= 1
        moved = TABLES.copy()
        moved[to] += 1
        moved[of] -= 1
        with np.errstate(all="ignore"):
            change = (at(name, *np.maximum(moved, 0)) - before)[there]
        change = change[np.isfinite(change)]
        signs |= {int(s) for s in np.sign(np.where(abs(change) > 1e-9, change, 0))}
    finding = only(better, name, "MC0601")
    expected = {1: "score", -1: "error rate"}.get(sum(signs), "mixed")
    assert data(finding)["direction"] == expected
    assert finding.severity == ("warning" if expected == "mixed" else "note")
    if expected != "mixed":
        assert finding.evidence.startswith("proved")


@pytest.mark.parametrize("name", ["optimized_precision", "frequency_bias"])
def test_a_mixed_metric_has_an_example_of_both_ways_that_holds_by_hand(name: str) -> None:
    finding = only(better, name, "MC0601")
    for key, way in (("falls", -1), ("rises", 1)):
        counts, what, before, after = data(finding)[key]
        cells = [count for _, count in counts]
        to, of = (0, 1) if "true positive" in what else (3, 2)
        moved = list(cells)
        moved[to] += 1
        moved[of] -= 1
        assert before == pytest.approx(float(at(name, *cells)))
        assert after == pytest.approx(float(at(name, *moved)))
        assert np.sign(after - before) == way
        assert all(count == int(count) and count <= 7 for count in cells)


def test_examples_reach_into_ranges_of_parameters_and_into_samples_of_little_weight() -> None:
    alpha = data(only(better, "iba", "MC0601"))["falls"]
    assert "alpha = 1" in alpha[1]  # (1 + 1(TPR - TNR)) TPR TNR falls where TNR passes 3/4
    light = data(only(better, "krippendorff_alpha", "MC0601"))["falls"]
    assert "weight 0.01" in light[1]


def test_a_jump_between_branches_is_no_proved_score() -> None:
    finding = only(better, "if recall < 0.5 then recall else 0.4*recall", "MC0601")
    assert finding.severity == "warning"
    counts, _, before, after = data(finding)["against"]
    cells = dict(counts)
    recall = cells["TP"] / (cells["TP"] + cells["FN"])
    assert before == pytest.approx(recall) and recall < 0.5 and after < before


@pytest.mark.parametrize("formula", ["-1/(TP - FN)", "1/(TP - FN)"])
def test_a_pole_inside_the_domain_is_no_proved_direction(formula: str) -> None:
    finding = only(better, formula, "MC0601")
    assert finding.severity == "warning" and 0 < data(finding)["share_against"] < 1
    assert not only(spread, formula, "MC0621").evidence.startswith("proved")
    assert not any(f.evidence.startswith("proved") for f in found(degenerate, formula, "MC0603"))
    assert "threshold" not in data(only(fractional, formula, "MC0641"))


def test_directions_of_parameters_without_a_range_say_what_they_suppose() -> None:
    formula = "t(alpha = 0.3, beta = 0.7) = TP/(TP + alpha*FP + beta*FN)"
    finding = only(better, formula, "MC0601")
    assert finding.evidence.endswith("for parameters of at least 0")
    facts = data(only(spread, formula, "MC0621"))
    assert (facts["low"], facts["high"]) == (0, 1)


def test_columns_have_examples_with_samples_of_one_size() -> None:
    finding = only(better, "cost_by_amount", "MC0601")
    assert finding.severity == "warning" and "amount 0.5" in data(finding)["rises"][1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TP^2 - TP*FN + FN^2", 1),  # no square, but above 0: by the order of TP and FN
        ("TP*FN - TP^2 - FN^2", -1),
        ("TP - FN", None),
        ("TP^2*FN - 3*TP*FN*FP + FN^2*FP + FP^2*TP", None),  # 0 at TP = FN = FP alone: not tried
        ("max(TP, FN) - FN", 1),
        ("max(TP, FN) - min(TP, FN)", 1),
        ("log((TP + FN)/(TP + FN + FP))", -1),
        ("TP*log(1 + FN) + FP", 1),
        ("sqrt(TP*TN) + TP - sqrt(TP*TN)", 1),
        ("abs(TP - FN) - TP", None),
    ],
)
def test_signs_are_proved_or_not_said(text: str, expected: int | None) -> None:
    plan, _ = analyse(text)
    expression = plan.metric.expression
    got = sign(expression, plan.metric.unknowns)
    assert got == expected
    numbers = [value_at(expression, p, 30) for p in sample(plan.metric.unknowns, 300)]
    if got is not None:
        assert all(number * got >= -1e-25 for number in numbers)


def test_signs_know_the_ranges_of_parameters() -> None:
    plan, _ = analyse("m(w = 0.5 in [0, 1]) = w*TP + (1 - w)*FN")
    assert sign(plan.metric.expression, plan.metric.unknowns) == 1
    plan, _ = analyse("m(w = 0.5) = w*TP + (1 - w)*FN")
    assert sign(plan.metric.expression, plan.metric.unknowns) is None


@pytest.mark.slow
def test_no_proved_sign_is_wrong_anywhere_in_the_library() -> None:
    for name in library.metrics():
        plan, _ = analyse(name)
        for weight in ir.weights_of(plan.metric):
            expression = plan.program.forms[weight].expression
            proved = sign(expression, plan.metric.unknowns)
            if proved is None:
                continue
            for point in sample(plan.metric.unknowns, 100):
                number = value_at(expression, point, 40)
                if number is not None:
                    assert number * proved >= 0 or abs(number) < 1e-25, (name, weight, point)
                    assert proved or abs(number) < 1e-25, (name, weight, point)


# -- MC0603, MC0604, MC0606 -------------------------------------------------------------------

DEGENERATE = {
    "recall": ("all positive",),
    "precision": ("almost all negative",),
    "specificity": ("all negative",),
    "npv": ("almost all positive",),
    "positive_likelihood_ratio": ("almost all negative",),
    "diagnostic_odds_ratio": ("almost all positive", "almost all negative"),
    "log_odds_ratio": ("almost all positive", "almost all negative"),
    "yule_y": ("almost all positive", "almost all negative"),
    "overlap_coefficient": ("all positive", "almost all negative"),
    "russell_rao": ("all positive",),
    "lift": ("almost all negative",),
}
SOUND = ("f1", "f2", "mcc", "gmean", "balanced_accuracy", "accuracy", "jaccard", "cohen_kappa")


@pytest.mark.parametrize("name", DEGENERATE)
def test_constant_predictions_that_reach_the_best_value(name: str) -> None:
    finding = only(degenerate, name, "MC0603")
    assert data(finding)["predictions"] == DEGENERATE[name]
    assert finding.severity == "danger" and finding.evidence.startswith("proved")
    assert data(finding)["attained"] == tuple(
        not way.startswith("almost") for way in DEGENERATE[name]
    )


@pytest.mark.parametrize("name", SOUND)
def test_no_constant_prediction_reaches_the_best_value(name: str) -> None:
    assert not found(degenerate, name, "MC0603")


@pytest.mark.parametrize("name", [n for n in (*DEGENERATE, *SOUND) if n in HAND])
def test_degenerate_by_numbers(name: str) -> None:
    """Near constant predictions, as epsilon shrinks: the gap to the best shrinks or does not."""
    gaps = []
    for tiny in (1e-4, 1e-6):
        positives, negatives = 3.0, 7.0
        best = at(name, positives - tiny, tiny, tiny, negatives - tiny)
        ways = (
            (positives - tiny**2, tiny**2, negatives - tiny, tiny),
            (tiny, positives - tiny, tiny**2, negatives - tiny**2),
        )
        bounded = [float(v / (1 + abs(v))) for v in (best, *(at(name, *way) for way in ways))]
        gaps.append(bounded[0] - max(bounded[1:]))
    shrinks = gaps[1] < 0.2 * abs(gaps[0]) or gaps[1] <= 1e-12
    assert shrinks == bool(found(degenerate, name, "MC0603"))


def test_the_criterion_is_met_wherever_the_compiler_has_seen_it() -> None:
    for name in ("recall", "npv", "false_discovery_rate", "f1", "mcc", "conviction", "eds", "sedi"):
        one = subject(name)
        codes = {f.code for f in degenerate.findings(one)}
        assert ("MC0603" in codes) >= bool(one.audit.degenerate), name


@pytest.mark.parametrize(
    ("name", "end"),
    [("recall", 0), ("specificity", 1), ("precision", 1), ("npv", 0), ("fallout", 1)],
)
def test_thresholds_at_an_end(name: str, end: float) -> None:
    assert data(only(degenerate, name, "MC0604"))["threshold"] == end


@pytest.mark.parametrize("name", ["f1", "mcc", "jaccard", "accuracy", "balanced_accuracy"])
def test_thresholds_between(name: str) -> None:
    assert not found(degenerate, name, "MC0604")


def test_no_prediction_changes_the_share_of_positives() -> None:
    assert only(degenerate, "P/POP", "MC0606").severity == "danger"
    assert "element losses" in only(degenerate, "bce + P/POP", "MC0606").fact
    for topic in TOPICS:
        assert not [f for f in topic.findings(subject("P/POP")) if f.code != "MC0606"]


# -- MC0602, MC0605 ---------------------------------------------------------------------------


def weighs(formula: str, task: str = "binary") -> dict[str, str]:
    findings = found(parameters, formula, "MC0602", task)
    return {data(f)["parameter"]: data(f)["weighs"] for f in findings if "weighs" in data(f)}


def test_what_parameters_weigh() -> None:
    assert weighs("tversky") == {"alpha": "FP", "beta": "FN"}
    assert weighs("fbeta") == {"beta": "FN"}
    assert weighs("expected_cost") == {"c_fn": "FN", "c_fp": "FP"}
    assert weighs("detection_cost") == {"c_miss": "FN", "c_fa": "FP", "prior": "FN"}
    assert weighs("weighted_accuracy") == {"w": "FN"}
    assert weighs("net_benefit") == {"t": "FP"}
    assert weighs("recall_at_precision") == {"floor": "FP", "penalty": "FP"}
    assert weighs("tversky", "multiclass") == {"alpha": "FP", "beta": "FN"}
    assert weighs("cost_by_amount") == {"c": "FP"}


def test_tversky_with_its_weights_swapped_is_seen() -> None:
    swapped = "t(alpha = 0.3, beta = 0.7) = TP/(TP + alpha*FN + beta*FP)"
    findings = found(parameters, swapped, "MC0602")
    assert weighs(swapped) == {"alpha": "FN", "beta": "FP"}
    warned = [f for f in findings if f.severity == "warning"]
    assert [data(f)["parameter"] for f in warned] == ["alpha", "beta"]
    assert all(f.evidence.startswith("proved") for f in warned)
    right = found(parameters, "tversky", "MC0602")
    assert all(f.severity == "note" for f in right)
    assert all(f.evidence.startswith("proved") for f in right)


def test_beta_and_costs_on_the_wrong_side_are_seen() -> None:
    beta = "g(beta = 2) = (1 + beta^2)*PPV*TPR/(PPV + beta^2*TPR)"
    assert [f.severity for f in found(parameters, beta, "MC0602")] == ["note", "warning"]
    costs = "c(c_fn = 1, c_fp = 2) = (c_fn*FP + c_fp*FN)/POP"
    warned = [f for f in found(parameters, costs, "MC0602") if f.severity == "warning"]
    assert len(warned) == 2 and "its name says false negatives" in str(warned[0].hint)


@pytest.mark.parametrize(
    ("formula", "price"),
    [("f1", "1"), ("f2", "4"), ("fbeta", "beta**2"), ("tversky", "beta/alpha"), ("jaccard", "1")],
)
def test_the_price_of_a_false_negative(formula: str, price: str) -> None:
    prices = [data(f).get("fn_per_fp") for f in found(parameters, formula, "MC0602")]
    assert prices[0] == price


@pytest.mark.parametrize(
    ("formula", "effect"),
    [
        ("f(a = 1) = a*TP/(a*TP + a*FN + a*FP)", "none"),
        ("f(a = 1) = 2*TP/(2*TP + FN + FP) + a", "shift"),
        ("f(a = 1 in (0, inf)) = a*2*TP/(2*TP + FN + FP)", "scale"),
    ],
)
def test_parameters_without_effect(formula: str, effect: str) -> None:
    finding = only(parameters, formula, "MC0605")
    assert data(finding) == {"parameter": "a", "effect": effect}
    assert finding.severity == "warning" and finding.evidence.startswith("proved")


@pytest.mark.parametrize(
    ("formula", "task", "unit"),
    [
        ("own(a = 2, b = 3) = a*TP/(a*TP + b*FN + FP)", "binary", "batch"),
        ("own(a = 2, b = 3) = macro(a*TP/(a*TP + b*FN + FP))", "multilabel", "class"),
    ],
)
def test_a_parameter_that_scales_by_the_counts_turns_no_gradient(
    formula: str, task: str, unit: str
) -> None:
    finding = only(parameters, formula, "MC0605", task)
    assert data(finding) == {"parameter": "a", "effect": "size"}
    assert (finding.severity, finding.hint) == ("note", None)
    assert (
        f"the size of each {unit}'s gradient, not its direction within the {unit}" in finding.fact
    )


def test_jaccard_and_f1_differ_by_a_factor_that_depends_on_the_counts() -> None:
    def weights(a: float, tp: float, fn: float, fp: float) -> tuple[float, float]:
        def at(tp: float, fn: float, fp: float) -> float:
            return a * tp / (a * tp + fn + fp)

        h = 1e-5  # a positive's prediction up, and a negative's down
        plus = at(tp + h, fn - h, fp) - at(tp - h, fn + h, fp)
        return plus, at(tp, fn, fp - h) - at(tp, fn, fp + h)

    lengths = []
    for counts in ((6.0, 2.0, 4.0), (1.0, 9.0, 3.0)):
        jaccard, f1 = weights(1, *counts), weights(2, *counts)
        assert jaccard[1] / jaccard[0] == pytest.approx(f1[1] / f1[0], rel=1e-6)
        lengths.append(f1[0] / jaccard[0])
    assert lengths[0] != pytest.approx(lengths[1], rel=0.1)


def test_a_geometric_mean_over_classes_is_scaled_but_not_shifted() -> None:
    """Its slope in a class is mean/(C*x): a shift changes how much each class counts."""
    shift = only(parameters, "f(a = 1 in (0, inf)) = geomean(recall + a)", "MC0605", "multilabel")
    assert data(shift)["effect"] == "size" and "within the class" in shift.fact
    scale = only(parameters, "f(a = 1 in (0, inf)) = geomean(a*recall)", "MC0605", "multilabel")
    assert data(scale)["effect"] == "scale"


def test_nothing_is_compared_of_predictions_that_do_not_count() -> None:
    assert not found(parameters, "TP/(TP + FN + FP + TN)", "MC0602")


@pytest.mark.parametrize(
    "name", ["fbeta", "tversky", "iba", "detection_cost", "recall_at_precision"]
)
def test_parameters_with_effect(name: str) -> None:
    assert not found(parameters, name, "MC0605")


def test_beta_has_no_effect_on_pooled_classes() -> None:
    formula = "g(beta = 2) = micro((1 + beta^2)*TP/((1 + beta^2)*TP + beta^2*FN + FP))"
    assert data(only(parameters, formula, "MC0605", "multiclass"))["parameter"] == "beta"
    assert not found(parameters, formula, "MC0605", "multilabel")
    joint = np.random.default_rng(0).integers(1, 20, (3, 3)).astype(float)
    right = np.trace(joint)
    wrong = joint.sum() - right  # of all classes together: as many FN as FP
    f2, f1 = 5 * right / (5 * right + 4 * wrong + wrong), right / (right + wrong)
    assert f2 == pytest.approx(f1)


def test_a_condition_on_a_parameter_is_an_effect() -> None:
    formula = "g(a = 0.5 in [0, 1]) = if recall < a then 0.5*f1 else f1"
    assert not found(parameters, formula, "MC0605")


# -- MC0621, MC0622, MC0623 -------------------------------------------------------------------

RANGES: dict[str, tuple[float, float, bool, bool]] = {
    "f1": (0, 1, True, True),
    "mcc": (-1, 1, True, True),
    "cohen_kappa": (-1, 1, True, True),
    "accuracy": (0, 1, True, True),
    "gmean": (0, 1, True, True),
    "balanced_accuracy": (0, 1, True, True),
    "youden_j": (-1, 1, True, True),
    "positive_likelihood_ratio": (0, math.inf, True, False),
    "diagnostic_odds_ratio": (0, math.inf, True, False),
    "dispersion": (-0.25, 0.25, True, True),
    "equitable_threat_score": (-1 / 3, 1, True, True),
    "lift": (0, math.inf, True, False),
    "error_rate": (0, 1, True, True),
    "distance_index": (0, math.sqrt(2), True, True),
    "added_value": (-1, 1, False, False),
    "detection_cost": (0, 1.09, True, True),
    "standardized_net_benefit": (-math.inf, 1, False, True),
    "johnson": (0, 2, True, True),
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges_by_hand(name: str) -> None:
    finding = only(spread, name, "MC0621")
    low, high, reached_low, reached_high = RANGES[name]
    facts = data(finding)
    assert float(facts["low"]) == pytest.approx(low)
    assert float(facts["high"]) == pytest.approx(high)
    assert (facts["low_attained"], facts["high_attained"]) == (reached_low, reached_high)
    assert finding.severity == "note" and finding.evidence.startswith("proved")


@pytest.mark.parametrize("name", HAND)
def test_no_table_lies_outside_of_the_range(name: str) -> None:
    facts = data(only(spread, name, "MC0621"))
    generator = np.random.default_rng(0)
    cells = np.concatenate([TABLES, 10 ** generator.uniform(-2, 4, (4, 3_000))], axis=1)
    values = at(name, *cells)
    values = values[np.isfinite(values)]
    low, high = float(facts["low"]), float(facts["high"])
    slack = 1e-5 if name == "optimized_precision" else 1e-9  # the range is what was seen
    assert values.min() >= low - slack and values.max() <= high + slack
    if math.isfinite(low):
        assert values.min() <= low + 0.02 * max(1, abs(low))
    if math.isfinite(high):
        assert values.max() >= high - 0.02 * max(1, abs(high))


def test_a_record_whose_range_is_wrong_is_seen() -> None:
    text = "## range: [0, 1]\nm = TP/(TP + FN) + TN/(TN + FP) - 1"
    finding = only(spread, text, "MC0621")
    assert finding.severity == "warning" and "[0, 1]" in finding.fact


SIMPLE = {
    "perfect": lambda p, n: (p, 0, 0, n),
    "worst": lambda p, n: (0, p, n, 0),
    "all positive": lambda p, n: (p, 0, n, 0),
    "all negative": lambda p, n: (0, p, 0, n),
    "empty target, nothing predicted": lambda p, n: (0, 0, 0, n),
    "empty target, all predicted": lambda p, n: (0, 0, n, 0),
}


@pytest.mark.parametrize("name", [n for n in HAND if n not in ("yule_y", "net_benefit")])
def test_simple_predictions_by_numpy(name: str) -> None:
    finding = only(spread, name, "MC0622")
    assert finding.evidence.startswith("proved")
    for prediction, cells in SIMPLE.items():
        text, number = data(finding)[prediction]
        expected = float(at(name, *cells(3, 7)))
        if math.isnan(expected):
            assert number is None and "undefined" in text
        else:
            assert float(number) == pytest.approx(expected, abs=1e-12)
        if number is not None and " at " not in text:
            for p, n in ((2, 9), (5, 5)):
                symbols = {sympy.Symbol(k): v for k, v in (("P", p), ("N", n), ("inf", sympy.oo))}
                shown = float(sympy.sympify(text, {k.name: k for k in symbols}).subs(symbols))
                assert shown == pytest.approx(float(at(name, *cells(p, n))), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "severity", "words"),
    [
        ("f1", "note", "0 at the perfect prediction and at most 1"),
        ("mcc", "note", "0 at the perfect prediction and at most 2"),
        ("error_rate", "note", "the loss error_rate is 0"),
        ("johnson", "note", "-1 at best, not 0"),
        ("diagnostic_odds_ratio", "warning", "no floor"),
        ("frequency_bias", "warning", "not least at the perfect prediction"),
        ("phi_squared", "warning", "as low at the worst prediction"),
        ("russell_rao", "note", "depends on the batch"),
    ],
)
def test_whether_the_loss_is_sensible(name: str, severity: str, words: str) -> None:
    finding = only(spread, name, "MC0623")
    assert finding.severity == severity and words in finding.fact


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ("TP/(TP + FP)", (EPSILON, 1, EPSILON**2, 1), 1),
        ("TP*TN/(FN*FP)", (1, EPSILON, EPSILON, 1), sympy.oo),
        ("(TP - FN)/(FP + TN)", (1 + EPSILON, 1, EPSILON, 0), 1),
        ("log(1 + TP)/TP", (EPSILON, 1, 1, 1), 1),
        ("TP*log(TP)", (EPSILON, 1, 1, 1), 0),
        ("log(TP)/log(FN)", (EPSILON, EPSILON**2, 1, 1), sympy.Rational(1, 2)),
        ("sqrt(TP)/(sqrt(TP) + FN)", (EPSILON, EPSILON, 1, 1), 1),
        ("max(TP, FN)/FN", (2 * EPSILON, EPSILON, 1, 1), 2),
        ("exp(-1*TP/FN)", (1, 2, 1, 1), sympy.exp(-sympy.Rational(1, 2))),
        ("if TP < FN then TP/FN else 3", (EPSILON, 2 * EPSILON, 1, 1), sympy.Rational(1, 2)),
    ],
)
def test_limits_agree_with_sympy(text: str, cells: tuple[Any, ...], expected: Any) -> None:
    plan, _ = analyse(text)
    point = dict(zip((TP, FN, FP, TN), map(sympy.sympify, cells), strict=True))
    expression = plan.metric.expression
    assert sympy.simplify(Corner(point).limit(expression) - expected) in (0, sympy.nan)
    if "if" not in text:
        assert sympy.limit(expression.subs(point), EPSILON, 0, "+") == expected


def test_exact_corners_follow_the_rules_of_value() -> None:
    one, none = sympy.Integer(1), sympy.Integer(0)
    corner = Corner(dict(zip((TP, FN, FP, TN), (none, none, one, one), strict=True)))
    assert corner.limit(TP / (TP + FN)) == sympy.nan  # 0/0
    assert corner.limit(FP / (TP + FN)) == sympy.oo
    assert corner.limit(FP / (TP - FN)) == sympy.nan  # it changes its sign there
    assert corner.limit(TP * sympy.log(TP)) == 0
    assert corner.limit(sympy.log(TP) / sympy.log(FN)) == sympy.nan
    assert isinstance(corner.germ(sympy.log(TP)), Endless)
    wide = Corner({TP: sympy.Symbol("P", positive=True), FN: sympy.Symbol("N", positive=True)})
    with pytest.raises(Unknown):
        wide.limit(1 / (TP - FN) * 0 + sympy.log(TP - FN))


# -- MC0631, MC0632 ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "degree"),
    [
        ("f1", 0.0),
        ("mcc", 0.0),
        ("chi_squared", 1.0),
        ("dennis", 0.5),
        ("mountford", -1.0),
        ("rand_index", None),
        ("krippendorff_alpha", None),
        ("consonni_todeschini_1", None),
    ],
)
def test_dependence_on_the_size_of_the_batch(formula: str, degree: float | None) -> None:
    finding = only(dependence, formula, "MC0631")
    assert data(finding)["degree"] == degree
    assert finding.severity == ("note" if degree == 0 else "warning")


@pytest.mark.parametrize(
    ("formula", "does", "by"),
    [
        ("TP/(FP*FN)", "shrinks", "multiply by POP:"),
        ("1/(FP*FN + FN^2)", "shrinks", "multiply by POP^2:"),
        ("TP*TN", "grows", "divide by POP^2:"),
        ("sqrt(TP)", "grows", "divide by POP^(1/2):"),
    ],
)
def test_a_power_of_the_batch_takes_its_size_out(formula: str, does: str, by: str) -> None:
    finding = only(dependence, formula, "MC0631")
    assert f" {does} with the size" in finding.fact and by in str(finding.hint)


@pytest.mark.parametrize(
    ("formula", "task", "degree"),
    [
        ("multiclass_mcc", "multiclass", 0.0),
        ("multiclass_accuracy", "multiclass", 0.0),
        ("macro(f1)*macro(recall)", "multilabel", 0.0),
        ("sum(TP)", "multiclass", 1.0),
        ("0.5*ce + 0.5*(1 - macro(f1))", "multiclass", 0.0),
    ],
)
def test_sums_over_classes_are_of_a_degree_too(formula: str, task: str, degree: float) -> None:
    assert data(only(dependence, formula, "MC0631", task))["degree"] == degree


@pytest.mark.parametrize("name", [n for n in HAND if n != "net_benefit"])
def test_dependence_on_the_share_of_positives(name: str) -> None:
    tpr, fpr = 0.8, 0.1
    values = [
        float(at(name, s * tpr, s * (1 - tpr), (1 - s) * fpr, (1 - s) * (1 - fpr)))
        for s in (0.5, 0.1, 0.01)
    ]
    depends = max(values) - min(values) > 1e-9
    finding = only(dependence, name, "MC0632")
    assert data(finding)["depends"] == depends
    if depends:
        assert [v for _, v in data(finding)["values"]] == pytest.approx(values)
    else:
        assert finding.evidence.startswith("proved")


# -- MC0641, MC0642 ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("f1", "M/2"),
        ("f2", "M/5"),
        ("fbeta", "M/(beta**2 + 1)"),
        ("jaccard", "M/(M + 1)"),
        ("precision", "M"),
        ("npv", "1 - M"),
        ("sokal_sneath_2", "1/2"),
    ],
)
def test_threshold_laws(name: str, law: str) -> None:
    finding = only(fractional, name, "MC0641")
    names = {n: sympy.Symbol(n) for n in ("M", "beta")}
    gap = sympy.sympify(data(finding)["threshold"], names) - sympy.sympify(law, names)
    assert sympy.simplify(gap) == 0
    assert finding.evidence.startswith("proved")


@pytest.mark.parametrize("name", ["f1", "f2", "jaccard", "cohen_kappa"])
def test_threshold_laws_by_brute_force(name: str) -> None:
    """On calibrated probabilities the best cut of all lies at the law's threshold."""
    probabilities = (np.arange(2_000) + 0.5) / 2_000 * 0.7
    order = probabilities[::-1]
    tp, fp = np.cumsum(order), np.cumsum(1 - order)
    positives, negatives = tp[-1], fp[-1]
    values = at(name, tp, positives - tp, fp, negatives - fp)
    best = int(np.argmax(values))
    law = sympy.sympify(
        data(only(fractional, name, "MC0641"))["threshold"], {"N": sympy.Symbol("N")}
    )
    symbols = {"M": values[best], "P": positives, "N": negatives}
    cut = float(law.subs({sympy.Symbol(k): v for k, v in symbols.items()}))
    assert order[best] == pytest.approx(cut, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("accuracy", "1/2"),
        ("balanced_accuracy", "P/(P + N)"),
        ("expected_cost", "c_fp/(c_fn + c_fp)"),
        ("net_benefit", "t"),
        ("savings", "c_fp/(c_fn + c_fp)"),
        ("cost_by_amount", "c/amount"),
    ],
)
def test_linear_costs(name: str, threshold: str) -> None:
    finding = only(fractional, name, "MC0642")
    names = {n: sympy.Symbol(n) for n in ("N", "P")}
    gap = sympy.sympify(data(finding)["threshold"], names) - sympy.sympify(threshold, names)
    assert sympy.simplify(gap) == 0 and not found(fractional, name, "MC0641")


@pytest.mark.parametrize("name", ["mcc", "gmean", "kulczynski_2", "p4", "diagnostic_odds_ratio"])
def test_what_is_no_ratio_of_linear_functions(name: str) -> None:
    finding = only(fractional, name, "MC0641")
    assert data(finding)["linear_fractional"] is False and "Narasimhan" in str(finding.hint)


def test_tasks_without_thresholds_have_no_law() -> None:
    assert not fractional.findings(subject("f1", "multiclass"))
    assert "each class's f1" in only(fractional, "f1", "MC0641", "multilabel").fact


# -- what a review found --------------------------------------------------------------------------


def test_losses_are_compared_at_the_same_positives_and_negatives() -> None:
    # More positives raise TP - FP; no prediction of the same ones beats the perfect one.
    assert only(spread, "TP - FP", "MC0623").severity == "note"
    assert only(spread, "log(TP)", "MC0623").severity == "note"
    worse = only(spread, "min(TP, FN)", "MC0623")
    assert worse.severity == "warning"
    assert "2 positives and 2 negatives it is 0 there, and 1 at TP = 1, FN = 1" in worse.fact


def test_an_end_without_negatives_is_attained() -> None:
    facts = data(only(spread, "(5*FN + FP)/POP", "MC0621"))  # 5 at FN = POP
    assert (facts["high"], facts["high_attained"]) == (5, True)
    assert str(facts["high_at"]).endswith("without negatives")


def test_a_bounded_sample_beside_a_pole_says_so() -> None:
    assert "may go further near TP - FP = 0" in only(spread, "TP/(TP - FP)", "MC0621").fact


def test_a_step_across_a_pole_is_seen_between_whole_numbers() -> None:
    finding = only(better, "TP/(TP - FP)", "MC0601")
    counts, _, before, after = data(finding)["against"]
    (tp, fn, fp, tn) = (float(n) for _, n in counts)
    assert before == tp / (tp - fp) and after > before and tn + fn > 0


def test_a_root_of_a_difference_is_no_quotient_of_zeros() -> None:
    assert "0/0" not in only(spread, "sqrt(TPR - FPR)", "MC0622").fact


def test_thresholds_say_nothing_of_mixed_metrics() -> None:
    assert not found(degenerate, "min(TP, FN)", "MC0604")  # all positive is worst there


def test_high_powers_depend_on_the_share_and_not_on_the_size() -> None:
    power = "*".join(["mcc"] * 30)  # about 1e-20: far below the numbers on the way
    assert data(only(dependence, power, "MC0632"))["depends"] is True
    assert data(only(dependence, power, "MC0631"))["degree"] == 0


@pytest.mark.parametrize("name", ["f1", "fbeta", "cohen_kappa", "lift", "tversky", "agf"])
def test_cross_ratios_tell_ratios_of_linear_functions(name: str) -> None:
    view = terms.one_table(subject(name))
    assert view is not None
    if name == "agf":
        assert fractional._bent(view)
    else:
        assert not fractional._bent(view)


def test_ranges_that_are_not_stated_are_asked_for() -> None:
    finding = only(better, "q(a) = TPR^2 - a*FPR", "MC0601")
    assert finding.severity == "warning" and finding.hint is not None
    assert "a in [0, inf)" in finding.hint
    assert only(better, "q(a in [0, inf)) = TPR^2 - a*FPR", "MC0601").severity == "note"


def test_facts_of_a_formula_without_a_name() -> None:
    assert only(spread, "TP/(TP + FN)", "MC0621").fact.startswith("the metric lies in")
    macro = only(spread, "macro(f1)", "MC0621", "multilabel")
    assert macro.fact.startswith("each class's metric lies in")


# -- everything -------------------------------------------------------------------------------

MANY = [
    ("0.5*bce + 0.5*(1 - f1)", "binary"),
    ("cost_by_amount", "binary"),
    ("agm", "binary"),
    ("-log(f1)", "binary"),
    ("min(precision, recall)", "binary"),
    ("if TP > 3 then f1 else 0", "binary"),
    ("exp(-1*FP/POP)*recall", "binary"),
    ("f1", "multiclass"),
    ("0.5*ce + 0.5*(1 - macro(f1))", "multiclass"),
    ("worst(recall)", "multilabel"),
    ("geomean(recall) + micro(mcc)", "multiclass"),
    ("samples(f1)", "multilabel"),
    ("per_class(tversky(0.3, 0.7))", "multiclass"),
    ("weighted(f1) - 0.1*macro(fallout)", "multilabel"),
]


def checked(formula: str, task: str) -> None:
    one = subject(formula, task)
    findings = [finding for topic in TOPICS for finding in topic.findings(one)]
    assert findings, formula
    for finding in findings:
        assert finding.code in FINDINGS
        assert finding.fact[0].islower() or finding.fact.startswith(one.options.name[:1])
        assert not finding.fact.endswith(".") and finding.evidence
        assert finding.severity in ("note", "warning", "danger")
        json.dumps(dict(finding.data), allow_nan=False)
        if finding.severity == "danger":
            assert finding.hint


@pytest.mark.parametrize(("formula", "task"), MANY)
def test_every_kind_of_formula_has_findings(formula: str, task: str) -> None:
    checked(formula, task)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_every_metric_of_the_library_has_findings(task: str) -> None:
    for name in library.metrics():
        if (name.startswith("multiclass_") and task == "multilabel") or (
            task != "binary" and name.endswith("_by_amount")
        ):
            continue
        checked(name, task)


@pytest.mark.slow
def test_no_table_is_outside_of_any_range_of_the_library() -> None:
    generator = np.random.default_rng(1)
    for name in library.metrics():
        one = subject(name)
        facts = data(next(f for f in spread.findings(one) if f.code == "MC0621"))
        assert "outside" not in str(facts)
        if one.metric.columns or facts["low"] is None:
            continue
        program = Corners(one.plan.program).program
        expression = program.forms["value"].expression
        low, high = float(facts["low"]), float(facts["high"])
        proved = next(f for f in spread.findings(one) if f.code == "MC0621").evidence
        if not proved.startswith("proved"):
            continue
        given = {
            sympy.Symbol(p.name): 0.5 if p.default is None else float(p.default)
            for p in one.metric.parameters
        }
        for _ in range(200):
            cells = 10 ** generator.uniform(-2, 4, 4)
            point = dict(zip((TP, FN, FP, TN), map(float, cells), strict=True)) | given
            value = value_at(expression, point, 30)
            if value is not None:
                slack = 1e-9 * max(1, abs(float(value)))
                assert low - slack <= float(value) <= high + slack, (name, cells)
