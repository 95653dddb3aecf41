"""Audits, end to end: facts that are known of metrics, each as a reader of the audit meets it."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import metricc
from metricc import compiler, ir
from metricc.audit.findings import ORDER, examine
from metricc.describe import audited, in_short
from metricc.errors import FINDINGS
from metricc.examples import FOUND


@cache
def audit(formula: str, surrogate: str | None = None, prevalence: float = 0.1) -> ir.Audit:
    return examine(compiler.subject(formula, surrogate=surrogate, prevalence=prevalence))


def of(formula: str, code: str, **options: Any) -> list[ir.Finding]:
    return [f for f in audit(formula, **options).findings if f.code == code]


def one(formula: str, code: str, **options: Any) -> ir.Finding:
    (finding,) = of(formula, code, **options)
    return finding


def data(formula: str, code: str, **options: Any) -> dict[str, Any]:
    return dict(one(formula, code, **options).data)


def test_1_f1_is_a_score_and_that_is_proved() -> None:
    assert data("f1", "MC0601")["direction"] == "score"
    assert one("f1", "MC0601").evidence.startswith("proved")


def test_2_a_cost_of_amounts_below_the_price_of_an_alarm_is_mixed() -> None:
    finding = one("cost_by_amount", "MC0601")
    assert finding.severity == "warning"


def test_3_tversky_weighs_false_positives_by_alpha_and_false_negatives_by_beta() -> None:
    weighs = {
        dict(f.data).get("parameter"): dict(f.data).get("weighs") for f in of("tversky", "MC0602")
    }
    assert (weighs["alpha"], weighs["beta"]) == ("FP", "FN")


def test_4_swapped_tversky_is_seen_to_be_swapped() -> None:
    swapped = "f(alpha = 0.3, beta = 0.7) = TP/(TP + alpha*FN + beta*FP)"
    weighs = {
        dict(f.data).get("parameter"): dict(f.data).get("weighs") for f in of(swapped, "MC0602")
    }
    assert (weighs["alpha"], weighs["beta"]) == ("FN", "FP")


@pytest.mark.parametrize(
    ("name", "constant"),
    [
        ("recall", "all positive"),
        ("specificity", "all negative"),
        ("precision", "almost all negative"),
        ("npv", "almost all positive"),
        ("positive_likelihood_ratio", "almost all negative"),
        ("diagnostic_odds_ratio", "almost all negative"),
    ],
)
def test_5_degenerate_metrics(name: str, constant: str) -> None:
    assert constant in data(name, "MC0603")["predictions"]
    assert one(name, "MC0603").severity == "danger"


@pytest.mark.parametrize("name", ["f1", "mcc", "gmean", "cohen_kappa", "balanced_accuracy"])
def test_6_metrics_that_are_not_degenerate(name: str) -> None:
    assert not of(name, "MC0603")


@pytest.mark.parametrize(("name", "end"), [("recall", 0.0), ("specificity", 1.0)])
def test_7_thresholds_at_an_end(name: str, end: float) -> None:
    assert data(name, "MC0604")["threshold"] == end


def test_8_a_parameter_that_scales_both_errors_and_the_hits_has_no_effect() -> None:
    assert one("f(a = 1) = a*TP/(a*TP + a*FN + a*FP)", "MC0605").severity == "warning"


def test_9_no_prediction_changes_the_share_of_positives() -> None:
    assert one("P/POP", "MC0606").severity == "danger"


def test_10_recall_has_no_value_without_positives_and_may_be_anything_near() -> None:
    found = data("recall", "MC0611")
    assert found["cells"] == (("TP", "FN"),)
    assert (float(found["low"]), float(found["high"]), found["gradient"]) == (0, 1, "1/t")


def test_11_f1_has_no_value_where_nothing_is_positive_real_or_predicted() -> None:
    assert data("f1", "MC0611")["cells"] == (("TP", "FN", "FP"),)


def test_12_the_gradient_of_gmean_grows_like_a_root_without_true_positives() -> None:
    found = [dict(f.data) for f in of("gmean", "MC0612")]
    assert any(("TP",) in f["cells"] and f["gradient"] == "1/sqrt(t)" for f in found)


def test_13_the_log_odds_ratio_has_no_bound() -> None:
    assert data("log_odds_ratio", "MC0621")["high"] == "inf"
    assert one("log_odds_ratio", "MC0623").severity == "warning"


def test_14_mcc_lies_between_minus_1_and_1() -> None:
    found = data("mcc", "MC0621")
    assert (found["low"], found["high"]) == (-1, 1)
    assert (found["low_at"], found["high_at"]) == ("the worst prediction", "the perfect prediction")


def test_15_constant_predictions_have_balanced_accuracy_one_half_and_f1_2p_of_n_and_2p() -> None:
    assert "1/2 for all positive, 1/2 for all negative" in one("balanced_accuracy", "MC0622").fact
    assert "2*P/(N + 2*P) for all positive, 0 for all negative" in one("f1", "MC0622").fact


def test_16_chi_squared_grows_with_the_batch() -> None:
    assert data("chi_squared", "MC0631")["degree"] == 1
    assert one("chi_squared", "MC0631").severity == "warning"
    assert data("mcc", "MC0631")["degree"] == 0


@pytest.mark.parametrize(
    ("name", "depends"),
    [("f1", True), ("mcc", True), ("balanced_accuracy", False), ("gmean", False)],
)
def test_17_dependence_on_prevalence(name: str, depends: bool) -> None:
    assert data(name, "MC0632")["depends"] is depends


@pytest.mark.parametrize(
    ("name", "law"), [("f1", "M/2"), ("f2", "M/5"), ("jaccard", "M/(M + 1)"), ("precision", "M")]
)
def test_18_threshold_laws(name: str, law: str) -> None:
    assert data(name, "MC0641")["threshold"] == law


def test_19_mcc_and_gmean_are_no_ratios_of_linear_functions() -> None:
    assert not data("mcc", "MC0641")["linear_fractional"]
    assert not data("gmean", "MC0641")["linear_fractional"]


def test_20_accuracy_is_a_linear_cost() -> None:
    assert "linear cost" in one("accuracy", "MC0642").fact
    assert not of("f1", "MC0642")


def test_21_the_published_steepness_teaches_near_the_threshold_alone() -> None:
    assert one("f1", "MC0651", surrogate="amplified(L=73)").severity == "warning"
    ((low, high),) = data("f1", "MC0651", surrogate="amplified(L=73)")["reach"]
    assert high == -low and 0.3 < high < 0.35
    assert one("f1", "MC0651", surrogate="soft").severity == "note"


def test_22_half_of_small_batches_lack_positives_where_one_in_fifty_is_positive() -> None:
    fact = one("recall", "MC0634", prevalence=0.02).fact
    assert f"{100 * 0.98**32:.0f} % of batches of 32" in fact  # (1 - prevalence)^32 = 52 %


def test_23_the_mean_f1_of_batches_is_not_the_f1_of_all() -> None:
    assert "-0.023 at batches of 32" in one("f1", "MC0633").fact


def test_findings_are_in_order_known_and_plain_data() -> None:
    for name in ("recall", "mcc", "log_odds_ratio"):
        found = audit(name).findings
        assert [f.severity for f in found] == sorted((f.severity for f in found), key=ORDER.index)
        assert {f.code for f in found} <= {*FINDINGS}
        assert all(f.evidence and not f.fact.endswith(".") for f in found)
        subject = compiler.subject(name)
        plain = audited(subject, audit(name))
        assert json.loads(json.dumps(plain))["findings"][0]["code"] == found[0].code


@pytest.mark.parametrize("code", FINDINGS)
def test_every_code_has_a_formula_that_shows_it(code: str) -> None:
    assert of(FOUND[code][0], code)


def test_the_table_says_of_the_direction_what_the_finding_says() -> None:
    formula = "own(a = 2, b = 3) = a*TP/(a*TP + b*FN + FP)"
    finding = one(formula, "MC0601")
    rows = dict(in_short(compiler.subject(formula).plan, audit(formula)))
    assert rows["direction"] == f"score ({finding.evidence})"
    assert finding.hint == "give ranges in the formula: a in (0, inf), b in (0, inf)"


def test_a_metric_of_classes_is_no_linear_cost_and_none_is_looked_for() -> None:
    subject = compiler.subject("accuracy", task="multilabel")
    assert dict(in_short(subject.plan, subject.audit)).get("linear cost") in (
        None,
        "does not apply",
    )


def test_an_unbounded_metric_is_bounded_first() -> None:
    assert "take a bounded metric" in str(one("TP/(FP*FN)", "MC0603").hint)


def test_a_compiled_metric_has_the_same_audit() -> None:
    assert metricc.compile("recall").audit() == audit("recall")


def test_a_prevalence_is_a_share() -> None:
    with pytest.raises(metricc.MetriccError, match="the prevalence cannot be 1"):
        metricc.compile("f1").audit(prevalence=1.0)


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return type(value) in (str, int, float, bool, type(None))


@pytest.mark.parametrize("formula", ["f1", "TP/(TP - FP)", "log(TP)", "TP^5/(P^5 + FP)"])
def test_data_are_plain_python_and_strict_json(formula: str) -> None:
    subject = compiler.subject(formula)
    found = audited(subject, audit(formula))
    assert plain(found)
    json.dumps(found, allow_nan=False)


# Of what is measured the last digit may be another's processor's.
MEASURED = ("MC0661", "MC0662", "MC0663")


@pytest.mark.parametrize(
    "name",
    [
        "recall",
        *(pytest.param(n, marks=pytest.mark.slow) for n in metricc.names() if n != "recall"),
    ],
)
def test_the_page_of_audits_is_current(name: str) -> None:
    tables = Path(__file__).parent.parent / "docs" / "tables" / "audits.py"
    page = (Path(__file__).parent.parent / "docs" / "audits.md").read_text(encoding="utf-8")
    spec = importlib.util.spec_from_file_location("docs_tables_audits", tables)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [f for f in module.findings(name) if f.code not in MEASURED]
    own = page.split(f"### {name}\n")[1].split("\n### ")[0].splitlines()
    kept = [line for line in own if not any(code in line for code in MEASURED)]
    assert "\n".join(kept).strip() == "\n".join(module.entry(name, found)[2:]).strip()
