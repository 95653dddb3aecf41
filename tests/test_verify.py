"""verify: passes every metric of the library, and catches seeded faults."""

from __future__ import annotations

import pytest

import metricc
import metricc.library
from metricc.compiled import CompiledMetric
from metricc.verify import check_source

SURROGATES = [
    ("amplified", False),
    pytest.param("amplified", True, marks=pytest.mark.slow),
    pytest.param("soft", False, marks=pytest.mark.slow),
    pytest.param("soft", True, marks=pytest.mark.slow),
]

OTHERS = ["score_oriented(uniform)", "score_oriented(cosine)", "heaviside", "amplified(L=73)"]

COMPOSED = [
    "-log(f1)",
    "(f1 + mcc)/2",
    "1 - sqrt(precision * recall)",
    "(TP/P)^(1/3) * (TN/N)^(2/3)",
    "recall - 10*max(0, 0.9 - precision)",
    "f(k = 2 in (0, 5)) = (TP/P)^k; f",
]


# The others run with the slow tests: a second each.
FIRST = set(
    "accuracy precision recall specificity fbeta f1 gmean balanced_accuracy jaccard tversky mcc "
    "cohen_kappa youden_j fowlkes_mallows p4 mutual_information agm distance_index".split()
)
NAMES = [n if n in FIRST else pytest.param(n, marks=pytest.mark.slow) for n in metricc.names()]


@pytest.mark.parametrize(("surrogate", "from_probabilities"), SURROGATES)
@pytest.mark.parametrize("name", NAMES)
def test_library_metric_verifies(name: str, surrogate: str, from_probabilities: bool) -> None:
    mixed = metricc.library.definitions()[name].fact("direction") == "mixed"
    options = {"surrogate": surrogate, "from_probabilities": from_probabilities}
    report = metricc.compile(name, maximize=mixed, **options).verify()
    assert report.passed, str(report)
    assert len(report.checks) >= 15


@pytest.mark.parametrize("from_probabilities", [False, True])
@pytest.mark.parametrize("surrogate", OTHERS)
@pytest.mark.parametrize("name", ["f1", "mcc", "gmean", "error_rate"])
def test_other_surrogates_verify(name: str, surrogate: str, from_probabilities: bool) -> None:
    options = {"surrogate": surrogate, "from_probabilities": from_probabilities}
    report = metricc.compile(name, **options).verify()
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("surrogate", "old", "new"),
    [
        ("heaviside", "(low - mid) * below", "(mid - low) * below"),
        ("heaviside", "1 - high * q", "high * q"),
        ("score_oriented(cosine)", "-1 / delta", "-0.5 / delta"),
        ("score_oriented(cosine)", "c * c, p * q", "c, p * q"),
        ("score_oriented(uniform)", "0.5 - u", "0.5 + u"),
        ("score_oriented(uniform)", "(a > 0) & (b > 0)", "a > 0"),
    ],
)
def test_faults_in_other_surrogates_are_caught(surrogate: str, old: str, new: str) -> None:
    assert faulty(metricc.compile("f1", surrogate=surrogate), old, new)


@pytest.mark.parametrize("formula", COMPOSED)
def test_composed_metric_verifies(formula: str) -> None:
    report = metricc.compile(formula).verify()
    assert report.passed, str(report)


def faulty(m: CompiledMetric, old: str, new: str) -> list[str]:
    """The names of the checks that fail when `old` is `new` in the generated text."""
    assert m.source.count(old) >= 1, old
    report = check_source(m.source.replace(old, new), m.source, m.plan, m.options, m.surrogate)
    assert report.checks[0].measured == "edited since it was generated"
    return [check.name.split(",")[0] for check in report.checks if check.passed is False]


@pytest.mark.parametrize(
    ("formula", "old", "new"),
    [
        pytest.param("f1", "-L * pair", "L * pair", id="sign of the gradient"),
        pytest.param("f1", "_ratio(-2 * TP", "_ratio(2 * TP", id="sign of a partial"),
        pytest.param("gmean", "_ratio(root, 2 * TP)", "_ratio(2 * root, TP)", id="factor 4"),
        pytest.param(
            "tversky",
            "_ratio(TP, TP + beta * FN + alpha * FP)",
            "_ratio(TP, TP + alpha * FN + beta * FP)",
            id="alpha and beta swapped in value",
        ),
        pytest.param(
            "tversky", "beta * TP + x1", "alpha * TP + x1", id="alpha and beta swapped in weights"
        ),
        pytest.param("mcc", "pair * grad_loss", "pair", id="upstream gradient dropped"),
        pytest.param(
            "mcc", "y * v.to(dtype), n * v.to(dtype)", "y, n", id="weight dropped in the counts"
        ),
        pytest.param("f1", "g if v is None else g * v", "g", id="weight dropped in the gradient"),
        pytest.param("f1", "s.mul_(_sides", "s.copy_(_sides", id="slope dropped"),
        pytest.param("f1", "i : i + size]", "i : i + size - 1]", id="block boundary"),
        pytest.param("f1", "_present(*_count(", "(*_count(", id="absent classes forgotten"),
        pytest.param("f1", "return weights", "return weights", id="nothing"),
    ],
)
def test_seeded_fault_is_caught(formula: str, old: str, new: str) -> None:
    m = metricc.compile(formula)
    if old == new:
        report = check_source(m.source + "\n# a remark\n", m.source, m.plan, m.options, m.surrogate)
        assert report.passed and report.checks[0].measured == "edited since it was generated"
    else:
        assert faulty(m, old, new)


@pytest.mark.parametrize("function", ["value", "gradient", "weights"])
def test_nan_is_never_right(function: str) -> None:
    m = metricc.compile("f1")
    count = {"value": 1, "gradient": 4, "weights": 2}[function]
    nan = ", ".join(["float('nan')"] * count)
    text = m.source + f"\n\n{function}.__code__ = (lambda TP, FN, FP, TN: ({nan})).__code__\n"
    report = check_source(text, m.source, m.plan, m.options, m.surrogate)
    assert any(c.name.startswith(f"{function}()") and c.passed is False for c in report.checks)


def test_a_file_that_exits_is_a_failed_check() -> None:
    m = metricc.compile("f1")
    report = check_source(m.source + "\nraise SystemExit(0)\n", m.source, m.plan, m.options, m.surrogate)
    assert not report.passed


def test_code_that_does_not_run_is_a_failed_check() -> None:
    m = metricc.compile("f1")
    broken = check_source(m.source + "\n1/0\n", m.source, m.plan, m.options, m.surrogate)
    assert [c.name for c in broken.checks if c.passed is False] == ["import"]
    renamed = m.source.replace("def f1_loss(", "def other(")
    report = check_source(renamed, m.source, m.plan, m.options, m.surrogate)
    assert not report.passed
