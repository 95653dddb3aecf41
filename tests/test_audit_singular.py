"""Where metrics have no value: by hand, by limits in mpmath, and by the hard metric on tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy
from mpmath import mp, mpf

import metricc
from metricc import ir, library
from metricc.audit import places, singular, singular_limits
from metricc.audit.singular_faces import Faces
from metricc.audit.singular_limits import Growth, Near
from metricc.audit.singular_sets import of_faces, variables_of
from metricc.audit.subject import Subject
from metricc.compiler import analyse
from metricc.emit.torch_header import singular as header
from metricc.functions import CELLS

P, N, PP, PN = "TP FN", "FP TN", "TP FP", "FN TN"
NONE, NO_OTHER, EMPTY = "TP FN FP", "FN FP TN", "TP FN FP TN"

# Formula → where it is 0/0, and where it is infinite, as the counts that are 0, by hand.
SETS: dict[str, tuple[str, str]] = {
    "f1": (NONE, ""),
    "recall": (P, ""),
    "precision": (PP, ""),
    "specificity": (N, ""),
    "npv": (PN, ""),
    "accuracy": (EMPTY, ""),
    "balanced_accuracy": (f"{P}, {N}", ""),
    "mcc": (f"{P}, {PP}, {PN}, {N}", ""),
    "cohen_kappa": (f"{NONE}, {NO_OTHER}", ""),
    "gmean": (f"{P}, {N}", ""),
    "positive_likelihood_ratio": (f"{P}, {PP}, {N}", "FP"),
    "negative_likelihood_ratio": (f"{P}, {PN}, {N}", "TN"),
    "diagnostic_odds_ratio": (f"{P}, {PP}, {PN}, {N}", "FN, FP"),
    "log_odds_ratio": (f"{P}, {PP}, {PN}, {N}", "TP, FN, FP, TN"),
    "mutual_information": (EMPTY, ""),
    "tversky": (NONE, ""),
    "jaccard": (NONE, ""),
    "fbeta": (NONE, ""),  # not where TP + FP = 0: precision's 0/0 cancels
    "markedness": (f"{PP}, {PN}", ""),
    "p4": (f"TP TN, {NONE}, {NO_OTHER}", ""),
    "yule_y": (f"{P}, {PP}, {PN}, {N}", ""),
    "kulczynski_1": (NONE, "FN FP"),
    "kl_divergence": (EMPTY, f"{PP}, {PN}"),
    "overlap_coefficient": (f"{P}, {PP}", ""),  # a minimum is 0 where one of the two is
    "braun_blanquet": (NONE, ""),  # a maximum where both are
    "agm": (N, ""),  # the condition TP > 0 keeps it away from P = 0
    "log(1 + TP)": ("", ""),
    "TP*log(FN)": ("", "FN"),
    "sqrt(TP) - FN/3": ("", ""),
    "exp(-FP/TP)": (PP, ""),  # exp(-inf) is 0
    "(TP^2 - FN^2)/(TP - FN) + TN": ("", ""),  # removable: TP + FN
    "1/(TP*FN - TP*FN + FP) + TN": ("", "FP"),
    "1/(1 - TPR) + TN": ("TP FN", "FN"),  # P/FN
}


def zeros(text: str) -> set[frozenset[str]]:
    return {frozenset(part.split()) for part in text.split(",") if part.strip()}


@pytest.mark.parametrize("formula", SETS)
def test_the_sets_are_those_of_hand(formula: str) -> None:
    _, audit = analyse(formula)
    undefined, infinite = (
        {frozenset(z.cells) for z in audit.singular if z.kind == kind}
        for kind in ("undefined", "infinite")
    )
    assert undefined == zeros(SETS[formula][0])
    assert infinite == zeros(SETS[formula][1])


def test_a_factor_of_zero_takes_a_logarithm_of_zero_away() -> None:
    """x log(x) is 0 at 0; kl_divergence is infinite where PP = 0, but not where P = 0 too."""
    _, audit = analyse("kl_divergence")
    by_cells = {zeros.cells: zeros for zeros in audit.singular}
    assert by_cells["TP", "FP"].unless == (("FN",),)
    _, audit = analyse("TP*log(FN)")
    assert audit.singular[0].unless == (("TP",),)


# -- against the hard metric ----------------------------------------------------------------------


@cache
def tables(classes: int = 0) -> np.ndarray:
    """Integer tables, every pattern of zeros among them many times, of shape (4, n)."""
    generator = np.random.default_rng(0)
    small = np.array([*product((0, 1, 3), repeat=4)]).T
    mixed = generator.integers(1, 40, (4, 3000)) * (generator.random((4, 3000)) < 0.6)
    found = np.concatenate([small, mixed], 1).astype(float)
    return found if not classes else found[:, : 3000 // classes * classes].reshape(4, -1, classes)


def inside_of(sets: Iterable[ir.ZeroSet], cells: np.ndarray) -> np.ndarray:
    """Which tables lie in the union of zero sets."""
    found = np.zeros(cells.shape[1:], bool)
    for each in sets:
        zero = {c: cells[i] == 0 for i, c in enumerate(CELLS)}
        here = np.all([zero[c] for c in each.cells], 0)
        for more in each.unless:
            here &= ~np.all([zero[c] for c in more], 0)
        found |= here
    return found


def value(plan: ir.Plan, cells: np.ndarray) -> np.ndarray:
    """The hard metric, NaN where it is undefined, parameters at their defaults or 0.7."""
    from metricc import scoring

    params = {p.name: 0.7 for p in plan.metric.parameters if p.default is None}
    rules = scoring.Rules(zero_division=float("nan"), params=params)
    return np.asarray(scoring.value(plan, tuple(cells), rules))


def agrees(plan: ir.Plan, audit: ir.Audit) -> None:
    number = value(plan, tables())
    sets = [z for z in audit.singular if z.cells]
    surface = len(sets) < len(audit.singular)
    undefined = inside_of((z for z in sets if z.kind == "undefined"), tables())
    infinite = inside_of((z for z in sets if z.kind == "infinite"), tables())
    np.testing.assert_array_equal(np.isinf(number), infinite & ~undefined)
    assert not (undefined & ~np.isnan(number)).any()
    if not surface:
        np.testing.assert_array_equal(np.isnan(number), undefined)


ODD = (
    "(if TP > 0 then TPR else NPV)*TN/(1 + TN)",
    "min(TPR, PPV)/max(FN, FP)",
    "exp(-FN/TP) - TNR",
    "TP^0.5*log(PP/P) + TN/POP",
    "sqrt(TPR*PPV) + FN*log(FN/P)",
    "abs(TP - FN)/P + TN*log(TN)/POP",
    "harmonic_mean(TPR, TNR)",
    "geomean(recall)",
    "worst(f1)/PP",
    "log(1 + 1/FN)/P",
)
QUICK = (
    "f1",
    "positive_likelihood_ratio",
    "log_odds_ratio",
    "kl_divergence",
    "edi",
    "agm",
    "mutual_information",
)
BINARY = [name for name in library.metrics() if name not in ("cost_by_amount", "savings_by_amount")]


@pytest.mark.parametrize("name", [*QUICK, *ODD])
def test_undefined_is_where_the_score_is(name: str) -> None:
    agrees(*analyse(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BINARY if name not in QUICK])
def test_undefined_is_where_the_score_is_for_every_metric(name: str) -> None:
    agrees(*analyse(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", BINARY)
def test_macro_is_undefined_where_a_class_is(name: str) -> None:
    plan, audit = analyse(name, task="multiclass")
    if {term.reduction for term in plan.metric.tables} != {"macro"} or plan.outer is not None:
        pytest.skip("no plain mean over classes")
    cells = tables(3)
    rules_number = value_per_class(plan, cells)
    surface = any(not z.cells for z in audit.singular)
    for kind, test in (("undefined", np.isnan), ("infinite", np.isinf)):
        sets = [z for z in audit.singular if z.kind == kind]
        assert all(z.table == "class" for z in sets)
        inside = inside_of(sets, cells)
        if kind == "infinite":
            inside &= ~inside_of((z for z in audit.singular if z.kind == "undefined"), cells)
        if not surface:
            np.testing.assert_array_equal(test(rules_number), inside)


def value_per_class(plan: ir.Plan, cells: np.ndarray) -> np.ndarray:
    """The mean over one class alone, which is the value of that class's table."""
    flat = cells.reshape(4, -1, 1)
    return value(plan, flat).reshape(cells.shape[1:])


# -- limits and growth -----------------------------------------------------------------------------

# Formula, the counts that go to 0, the lowest and the highest limit, by hand.
LIMITS: list[tuple[str, str, float, float]] = [
    ("f1", NONE, 0, 1),
    ("recall", P, 0, 1),
    ("precision", PP, 0, 1),
    ("mcc", P, 0, 0),  # like sqrt(P)
    ("mcc", NONE, -0.0, 1),
    ("cohen_kappa", NONE, -0.0, 1),
    ("gmean", P, 0, 1),
    ("markedness", PP, -1, 1),
    ("positive_likelihood_ratio", PP, 0, math.inf),
    ("positive_likelihood_ratio", "FP", math.inf, math.inf),
    ("log_odds_ratio", "TP", -math.inf, -math.inf),
    ("log_odds_ratio", "FN", math.inf, math.inf),
    ("log_odds_ratio", P, -math.inf, math.inf),
    ("mutual_information", P, 0, 0),
    ("mutual_information", EMPTY, 0, math.log(2)),
    ("p4", "TP TN", 0, 0),
    ("edi", "FP", 1, 1),  # like 1/log(1/FP)
    ("edi", "TP", -1, -1),
    ("homogeneity", P, 0, 0),
    ("distance_index", P, 0, math.sqrt(2)),
    ("4*TP*FN/(TP + FN)^2 + 0*TN", P, 0, 1),  # highest in the middle: TP = FN
    ("modified_confusion_entropy", NONE, 0, 2 / (math.e * math.log(2))),  # where FN = FP = S/e
    ("information_score", PP, -math.inf, math.inf),  # log(POP/P), without bound in the others
]


@pytest.mark.parametrize(("formula", "cells", "low", "high"), LIMITS)
def test_limits_by_hand(formula: str, cells: str, low: float, high: float) -> None:
    plan, _ = analyse(formula)
    found = Near(plan.program).limits(cells.split())
    assert found.low == pytest.approx(low, abs=1e-3)
    assert found.high == pytest.approx(high, abs=1e-3)


# Formula, the counts that go to 0, how the value and how the gradient grow, by hand.
GROWTH: list[tuple[str, str, str, str]] = [
    ("recall", P, "1", "1/t"),
    ("f1", NONE, "1", "1/t"),
    ("sqrt(TP) + TN", "TP", "1", "1/sqrt(t)"),
    ("gmean", "TP", "1", "1/sqrt(t)"),
    ("gmean", P, "1", "1/t"),
    ("mcc", PP, "1", "1/sqrt(t)"),
    ("positive_likelihood_ratio", "FP", "1/t", "1/t^2"),
    ("diagnostic_odds_ratio", "FN FP", "1/t^2", "1/t^3"),
    ("log_odds_ratio", "TP", "log(1/t)", "1/t"),
    ("mutual_information", "TP", "1", "log(1/t)"),
    ("log(TP)^2/TP + TN", "TP", "log(1/t)^2/t", "log(1/t)^2/t^2"),
    ("edi", "FP", "1", "1/(t*log(1/t)^2)"),
    ("(TP + TN)^0.75 + 0*FN", "TP TN", "1", "1/t^(1/4)"),
    ("accuracy", "TP", "1", "1"),
]


@pytest.mark.parametrize(("formula", "cells", "value", "gradient"), GROWTH)
def test_growth_by_hand(formula: str, cells: str, value: str, gradient: str) -> None:
    plan, _ = analyse(formula)
    found = Near(plan.program).growth(cells.split())
    assert tuple(map(str, found)) == (value, gradient)


def test_limits_against_mpmath_by_hand() -> None:
    """The same sets along other ways, each metric written again in mpmath."""
    by_hand: dict[str, Callable[..., Any]] = {
        "f1": lambda a, b, c, d: 2 * a / (2 * a + b + c),
        "mcc": lambda a, b, c, d: (a * d - b * c) / mp.sqrt((a + b) * (a + c) * (d + b) * (d + c)),
        "yule_y": lambda a, b, c, d: (
            (mp.sqrt(a * d) - mp.sqrt(b * c)) / (mp.sqrt(a * d) + mp.sqrt(b * c))
        ),
        "p4": lambda a, b, c, d: 4 * a * d / (4 * a * d + (a + d) * (b + c)),
        "markedness": lambda a, b, c, d: a / (a + c) + d / (b + d) - 1,
    }
    generator = np.random.default_rng(3)
    with mp.workdps(200):
        for name, metric in by_hand.items():
            plan, audit = analyse(name)
            for each in audit.singular:
                found = Near(plan.program).limits(each.cells)
                for _ in range(20):
                    t = mpf(10) ** -60
                    cells = {c: mpf(generator.uniform(0.1, 9)) for c in CELLS}
                    for cell in each.cells:
                        cells[cell] *= t ** mpf(generator.choice([1, 1, 1.5, 2]))
                    number = metric(*(cells[c] for c in CELLS))
                    assert found.low - 1e-9 <= number <= found.high + 1e-9, (name, each)


def test_growth_is_told_from_its_digits() -> None:
    near = Near(analyse("recall")[0].program)
    assert near.growth(("TP", "FN"))[1] == Growth(1, 0)  # type: ignore[arg-type]


# -- findings --------------------------------------------------------------------------------------


def findings(formula: str, **options: Any) -> list[ir.Finding]:
    m = metricc.compile(formula, **options)
    return singular.findings(Subject(m.plan, m.findings, m.options, m.surrogate, 0.1))


def data(finding: ir.Finding) -> dict[str, Any]:
    return dict(finding.data)


def test_f1_is_covered_by_the_rule_for_absent_classes() -> None:
    (found,) = findings("f1")
    assert (found.code, found.severity, found.hint) == ("MC0611", "note", None)
    assert found.fact == (
        "f1 has no value (0/0) where there are no positives, real or predicted (TP = FN = FP = 0): "
        "near there it may be anything from 0 to 1, and its gradient grows like 1/t, t the "
        "distance; the rule for absent classes covers it"
    )
    assert found.evidence.startswith("proved; limits along")
    assert found.place is not None and found.place.text == "2*TP / (2*TP + FN + FP)"


def test_precision_has_no_value_in_batches_that_training_meets() -> None:
    (found,) = findings("precision", maximize=True)
    assert (found.code, found.severity) == ("MC0611", "warning")
    assert "nothing is predicted positive (TP = FP = 0)" in found.fact
    assert found.fact.endswith("the file takes it as 0")
    assert found.hint is not None and "smooth" in found.hint


def test_what_grows_without_bound_is_a_warning() -> None:
    found = [f for f in findings("kulczynski_1") if f.code == "MC0612"]
    assert [f.severity for f in found] == ["warning"]
    assert "every prediction is right (FN = FP = 0)" in found[0].fact
    assert "goes to inf like 1/t" in found[0].fact and "gradient like 1/t^2" in found[0].fact
    assert found[0].fact.endswith("the file takes it as 1e+30")


def test_a_root_of_zero_has_a_value_and_no_bounded_gradient() -> None:
    (found,) = [f for f in findings("gmean") if f.code == "MC0612"]
    assert data(found)["cells"] == (("TP",), ("TN",))
    assert data(found)["gradient"] == "1/sqrt(t)" and data(found)["power"] == 0.5
    assert found.place is not None and found.place.text == "sqrt(TPR * TNR)"


def test_only_the_empty_table_is_a_note() -> None:
    assert {f.severity for f in findings("accuracy")} == {"note"}


def test_a_logarithm_beside_its_argument_is_a_note() -> None:
    found = [f for f in findings("mutual_information", maximize=True) if f.code == "MC0612"]
    assert {data(f)["gradient"] for f in found} == {"log(1/t)"}
    assert {f.severity for f in found} == {"note"}


@pytest.mark.parametrize("formula", ["positive_likelihood_ratio", "diagnostic_odds_ratio"])
def test_the_rule_for_absent_classes_does_not_cover_all(formula: str) -> None:
    """A batch without negatives has FP = 0 after the unit, too: infinite."""
    found = [f for f in findings(formula) if ("FP", "TN") in data(f)["cells"]]
    assert [f.severity for f in found] == ["warning"]


def test_what_the_file_does_is_what_it_does() -> None:
    """`file` is the generated value(), called where the counts are 0."""
    for formula in ("precision", "kulczynski_1", "negative_likelihood_ratio"):
        m = metricc.compile(formula)
        for found in findings(formula):
            for cells in data(found)["cells"]:
                counts = [
                    0.0 if c in cells else n for c, n in zip(CELLS, (6.0, 2, 9, 4), strict=True)
                ]
                taken = data(found).get("file")
                if taken is not None:
                    assert m.module().value(*counts) == pytest.approx(taken, abs=1e-6)


# formula, what is said of where it has no value, and whether it is 0 there or below
INSIDE = [
    ("TP/(TP - FP)", "TP - FP = 0", "zero"),
    ("sqrt(TPR - FPR)", "TP*TN - FN*FP < 0", "negative"),
    ("log(3*TP - FN)", "3*TP - FN < 0", "negative"),
    ("1/(log(TPR) + 1)", "log(TP/(FN + TP)) + 1 = 0", "zero"),
    ("rand_index", "TP + FN + FP + TN - 1 = 0", "zero"),
]


@pytest.mark.parametrize(("formula", "said", "kind"), INSIDE)
def test_surfaces_inside_the_domain_have_a_witness(formula: str, said: str, kind: str) -> None:
    found = [f for f in findings(formula, maximize=True) if "witness" in data(f)]
    assert [data(f)["formula"] for f in found] == [said]
    assert found[0].severity == "warning"
    point = dict(data(found[0])["witness"])
    assert all(number > 0 for number in point.values())
    expression = said.split(" ")[:-2]
    number = eval(" ".join(expression).replace("^", "**"), {"log": math.log}, point)
    assert number < 0 if kind == "negative" else abs(number) < 1e-3


def test_squares_and_sums_of_squares_have_no_surface() -> None:
    for formula in ("TP/(1 + (TP - FN)^2)", "sqrt((TP - FN)^2 + TN)"):
        assert not [f for f in findings(formula, maximize=True) if "witness" in data(f)]


# -- places ----------------------------------------------------------------------------------------


def place(formula: str, cells: str, **options: Any) -> tuple[str, str]:
    plan, _ = analyse(formula, **options)
    found = places.at(plan.metric, tuple(cells.split()))
    assert found is not None
    assert found.source[found.span.start : found.span.end] == found.text
    return found.origin, found.text


def test_places_are_the_smallest_parts() -> None:
    assert place("recall", P) == ("rates.metric", "TPR")
    assert place("fbeta", NONE)[1] == "(1 + beta^2) * PPV * TPR / (beta^2 * PPV + TPR)"
    assert place("fbeta(2) + TPR", NONE) == ("<formula>", "fbeta(2)")
    assert place("fbeta(2) + TPR", P) == ("<formula>", "TPR")
    assert place("a = TP/(TP + FN)\nb = sqrt(a*TNR)\nb", N) == ("<formula>", "TNR")
    assert place("log_odds_ratio", "TP") == ("rates.metric", "log(TP*TN / (FN*FP))")
    assert place("0.5*bce + 0.5*(1 - f1)", NONE, task="multilabel") == ("<formula>", "f1")


def test_a_place_by_factor_and_the_whole() -> None:
    TP, FN = sympy.symbols("TP FN")
    plan, _ = analyse("sokal_sneath_4")
    found = places.of(plan.metric, TP + FN)
    assert found is not None and (found.origin, found.text) == ("similarity.metric", "TPR")
    assert found.position == (21, 25)
    whole = places.whole(plan.metric)
    assert whole is not None and whole.text == "(PPV + TPR + TNR + NPV) / 4"
    unknown = places.of(plan.metric, TP + 7 * FN)
    assert unknown is not None and unknown.text == whole.text


# -- the header ------------------------------------------------------------------------------------


def rows(formula: str, **options: Any) -> dict[str, list[str]]:
    return dict(header(analyse(formula, **options)[1]))


def test_the_header_says_where_there_is_no_value() -> None:
    assert rows("f1") == {
        "Undefined": ["where there are no positives, real or predicted (TP = FN = FP = 0)."]
    }
    assert rows("accuracy") == {}  # an empty table
    assert rows("log(1 + TP)") == {}
    assert rows("log_odds_ratio")["Infinite"] == ["where TP = 0, FN = 0, FP = 0, or TN = 0."]
    assert rows("recall", task="multiclass") == {
        "Undefined": ["of a class, where there are no positives (TP = FN = 0)."]
    }
    said = "where one class alone is predicted, or all samples are of one class."
    assert rows("multiclass_mcc", task="multiclass") == {"Undefined": [said]}
    said = "where all samples are of one class, and predicted so."
    assert rows("multiclass_kappa", task="multiclass") == {"Undefined": [said]}
    assert rows("multiclass_accuracy", task="multiclass") == {}
    assert "Undefined  where nothing is predicted positive" in metricc.compile("precision").source


def test_long_formulas_are_left_alone() -> None:
    TP, FN = sympy.symbols("TP FN")
    plan, _ = analyse("recall")
    long = sympy.Add(*(TP / (TP + i * FN) for i in range(2, 300)))
    faces = Faces(long, variables_of(plan.metric), CELLS)
    assert not faces.readable
    assert list(of_faces(faces, plan.metric)) == []


def test_columns_vanish_with_their_samples_and_alone() -> None:
    _, audit = analyse("FN[amount]/P[amount]")
    assert [str(z) for z in audit.singular] == [
        "there are no positives (TP = FN = 0)",
        "the positives' amount is 0 (TP_amount = FN_amount = 0)",
    ]


def test_a_face_is_looked_at_by_signs() -> None:
    plan, _ = analyse("homogeneity")
    faces = Faces(plan.program.forms["value"].expression, variables_of(plan.metric), CELLS)
    assert faces.at(frozenset({"FP", "TN"})).states == ("nothing",)  # P*log(POP/P) is log(1) there
    assert faces.at(frozenset({"TP", "FP"})).signs == frozenset({0})


def test_every_set_has_its_own_exception() -> None:
    zeros = ir.ZeroSet(("TP",), "undefined", "there is no true positive", "TP = 0", (("FP",),))
    assert singular._set(zeros) == "there is no true positive (TP = 0), unless FP = 0 too"
    partly = ir.ZeroSet(("TN",), "undefined", "", "TN = 0", (), True)
    assert singular._set(partly) == "TN = 0, in part"


def test_a_part_without_a_value_is_said_once() -> None:
    found = findings("sqrt(TPR - FPR)")
    assert "in a part inside the domain" in found[-1].fact
    assert not any("near there it has none either" in f.fact for f in found)


def test_growth_is_that_of_the_branch_that_grows() -> None:
    # d/dTN of TNR is FP/N^2, where TNR is the smaller one.
    found = {data(f)["cells"]: data(f)["gradient"] for f in findings("min(TPR, TNR)")}
    assert found == {(("TP", "FN"),): "1/t", (("FP", "TN"),): "1/t"}


def test_limits_along_ways_that_only_high_powers_need() -> None:
    # Where FP vanishes faster than t^5 it is TP^5/P^5, else 0.
    (found,) = [f for f in findings("TP^5/(P^5 + FP)") if f.code == "MC0611"]
    assert (data(found)["low"], data(found)["high"]) == (0, 1)


def test_many_columns_do_not_take_for_ever() -> None:
    ways = [*singular_limits._ways(15)]
    assert len(ways) < 100 and all(len(powers) == 15 for powers, _ in ways)
