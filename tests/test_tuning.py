"""Thresholds: against brute force over all cuts by hand-written NumPy, and against scikit-learn.

Nothing here takes metricc's own score for an oracle. `brute` walks through the cuts one by one,
counts with `math.fsum`, and values the counts with the formulas below.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_recall_curve

import metricc
from metricc.cli import main
from metricc.constraint import comparisons
from metricc.crossfit import stratified
from metricc.errors import MetriccError
from metricc.ranking import _sums, ranked
from metricc.threshold import Threshold

Formula = Callable[[float, float, float, float], float]


def ratio(above: float, below: float, undefined: float = 0.0) -> float:
    return above / below if below else undefined


def unbounded(above: float, below: float, undefined: float = 0.0) -> float:
    return above / below if below else math.inf if above else undefined


def mcc(TP: float, FN: float, FP: float, TN: float) -> float:
    sides = (TP + FN, FP + TN, TP + FP, FN + TN)
    if not all(sides):
        return 0.0
    return (TP * TN - FP * FN) / math.prod(math.sqrt(side) for side in sides)


FORMULAS: dict[str, Formula] = {
    "f1": lambda TP, FN, FP, TN: ratio(2 * TP, 2 * TP + FP + FN),
    "fbeta(2)": lambda TP, FN, FP, TN: ratio(5 * TP, 5 * TP + FP + 4 * FN),
    "mcc": mcc,
    "precision": lambda TP, FN, FP, TN: ratio(TP, TP + FP),
    "accuracy": lambda TP, FN, FP, TN: (TP + TN) / (TP + FN + FP + TN),
    "specificity": lambda TP, FN, FP, TN: ratio(TN, TN + FP),
    "jaccard": lambda TP, FN, FP, TN: ratio(TP, TP + FP + FN),
    "diagnostic_odds_ratio": lambda TP, FN, FP, TN: unbounded(TP * TN, FP * FN),
    "TP/FP": lambda TP, FN, FP, TN: unbounded(TP, FP),
    "(FN*5 + FP)/POP": lambda TP, FN, FP, TN: (5 * FN + FP) / (TP + FN + FP + TN),
}
ERRORS = {"(FN*5 + FP)/POP"}
M = {name: metricc.compile(name, name="m") for name in FORMULAS}


def every_cut(y: Any, s: Any, w: Any = None) -> list[tuple[float, tuple[float, ...]]]:
    """(lowest score that is called positive, counts) of every cut, from none to all."""
    y, s = np.asarray(y, dtype=bool), np.asarray(s, dtype=np.float64)
    w = np.ones(len(s)) if w is None else np.asarray(w, dtype=np.float64)
    found = []
    for least in [np.inf, *sorted(set(s.tolist()), reverse=True)]:
        d = s >= least
        cells = (y & d, y & ~d, ~y & d, ~y & ~d)
        found.append((least, tuple(math.fsum(w[cell]) for cell in cells)))
    return found


def brute(
    formula: Formula, cuts: list[tuple[float, tuple[float, ...]]], least: bool = False
) -> float:
    values = [formula(*counts) for _, counts in cuts]
    return min(values) if least else max(values)


def same(a: float, b: float) -> bool:
    return a == b or abs(a - b) <= 1e-12 * min(max(abs(a), abs(b)), sys.float_info.max)


def check(name: str, y: Any, s: Any, w: Any = None) -> Threshold:
    """Tune, and hold everything that the result says against brute force."""
    t = M[name].tune_threshold(y, s, sample_weight=w)
    cuts = every_cut(y, s, w)
    assert same(t.value, brute(FORMULAS[name], cuts, name in ERRORS))
    scores = np.asarray(s)
    decided = scores >= t
    mine = [counts for least, counts in cuts if ((scores >= least) == decided).all()]
    assert len(mine) == 1, "no cut of the scores"
    assert all(same(a, b) for a, b in zip(t.counts, mine[0], strict=True))
    assert same(t.value, FORMULAS[name](*mine[0]))
    assert t.low <= t <= t.high
    check_plateau(name, t, cuts, scores)
    return t


def check_plateau(name: str, t: Threshold, cuts: Any, scores: Any) -> None:
    """`low` and `high` are the ends of the run of equally good cuts around the threshold."""
    good = [same(FORMULAS[name](*counts), t.value) for _, counts in cuts]
    distinct = sorted(set(np.asarray(scores, dtype=np.float64).tolist()), reverse=True)
    first = last = sum(score >= t for score in distinct)
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(distinct) and good[last + 1]:
        last += 1
    if first > 0:
        assert t.high == distinct[first - 1]
    else:
        assert distinct[0] < t.high < np.inf
    if last < len(distinct):
        assert t.low == distinct[last]
    else:
        assert -np.inf < t.low < distinct[-1] or t.low == distinct[-1] in (0, -np.finfo(float).max)


WEIGHTS = st.sampled_from([0.0, 1.0, 2.5, 1e-9, 1e9, 0.1, 1 / 3])
SCORES = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(0, 1, allow_nan=False),
    st.floats(allow_nan=False, allow_infinity=False),
)


@st.composite
def problems(draw: Any) -> tuple[list[int], list[float], list[float] | None]:
    n = draw(st.integers(1, 14))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    kind = draw(st.sampled_from([SCORES, st.integers(0, 2).map(float), st.floats(0, 1)]))
    s = draw(st.lists(kind, min_size=n, max_size=n))
    w = draw(st.none() | st.lists(WEIGHTS, min_size=n, max_size=n).filter(lambda w: sum(w) > 0))
    return y, s, w


@pytest.mark.parametrize("name", FORMULAS)
@settings(max_examples=100, deadline=None)
@given(problem=problems())
def test_brute_force(name: str, problem: Any) -> None:
    y, s, w = problem
    if max(s) < np.finfo(float).max:
        check(name, y, s, w)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["f1", "mcc"])
def test_random_data_in_every_float_type(kind: Any, name: str) -> None:
    random = np.random.default_rng(3)
    for n in (2, 30, 300):
        y = random.random(n) < 0.3
        s = (random.normal(size=n) + y).astype(kind)
        for w in (None, random.random(n), 10.0 ** random.uniform(-12, 12, n)):
            t = check(name, y, s, w)
            assert float(kind(float(t))) == float(t), "not a number of the scores' type"


def test_strictly_between_two_scores() -> None:
    """`>=` and `>` decide alike, in the scores' own type, wherever there is room."""
    random = np.random.default_rng(0)
    for kind in (np.float16, np.float32, np.float64):
        for _ in range(200):
            s = random.random(12).astype(kind)
            if random.random() < 0.5:  # two neighbouring numbers
                s[0] = np.nextafter(s[1], kind(1))
            y = random.random(12) < 0.5
            t = M["f1"].tune_threshold(y, s)
            assert 0 <= t <= 1
            above, below = s[s >= t], s[s < t]
            neighbours = len(above) and len(below) and np.nextafter(below.max(), kind(2))
            if len(below) == 0 and s.min() == 0:
                continue
            if not (len(above) and len(below)) or neighbours < above.min():
                assert ((s >= t) == (s > t)).all(), (s, t)
            else:
                assert t == above.min()


def test_no_room_between_the_scores() -> None:
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    t = M["f1"].tune_threshold([0, 1], np.array([low, high]))
    assert t == high and t.counts == (1, 0, 0, 1)


def test_the_middle_of_the_plateau_by_hand() -> None:
    # The positives are at .8 and .9, negatives at .2 and .1: every cut in (.2, .8] is perfect.
    t = M["f1"].tune_threshold([1, 0, 1, 0], [0.9, 0.2, 0.8, 0.1])
    assert (t.low, t.high, float(t), t.value) == (0.2, 0.8, 0.5, 1.0)
    # No weight at .5: cuts on both sides are as good, and the middle falls on it. It moves to the
    # middle of the wider gap, (.5, .8].
    t = M["f1"].tune_threshold([1, 1, 0], [0.8, 0.4, 0.0], sample_weight=[1, 0, 1])
    assert (t.low, t.high) == (0.0, 0.8) and t in (0.2, pytest.approx(0.6))
    assert ((np.array([0.8, 0.4, 0.0]) >= t) == (np.array([0.8, 0.4, 0.0]) > t)).all()
    # Two plateaus, (.1, .2] and (.6, .9]: the wider one. Equally wide ones: the lower one.
    s, y = [0.9, 0.6, 0.2, 0.1], [1, 0, 1, 0]
    t = M["accuracy"].tune_threshold(y, s)
    assert t.counts == (1, 1, 0, 2) and float(t) == pytest.approx(0.75)
    t = M["accuracy"].tune_threshold(y, [0.75, 0.5, 0.25, 0.0])
    assert t.counts == (2, 0, 1, 1) and float(t) == 0.125


def test_ends() -> None:
    """All positive and all negative are cuts too, finite, in [0, 1] where the scores are."""
    t = M["f1"].tune_threshold([1, 1], [0.3, 0.6])
    assert (t.low, t.high, float(t)) == (0.0, 0.3, 0.15)
    t = M["accuracy"].tune_threshold([0, 0], [0.3, 0.6])
    assert (t.low, t.high, float(t)) == (0.6, 1.0, 0.8)
    t = M["accuracy"].tune_threshold([0, 0], [0.0, 1.0])
    assert 1 < t < 1 + 1e-15  # no number of [0, 1] is above all scores
    t = M["f1"].tune_threshold([1, 1], [0.0, 1.0])
    assert t == 0 and t.counts == (2, 0, 0, 0)
    t = M["accuracy"].tune_threshold([0, 0], [-3.0, 5.0])
    assert (t.low, t.high, float(t)) == (5.0, 13.0, 9.0)
    t = M["f1"].tune_threshold([1, 1], [-3.0, 5.0])
    assert (t.low, t.high, float(t)) == (-11.0, -3.0, -7.0)
    t = M["f1"].tune_threshold([1], [7])
    assert (float(t), t.value) == (3.5, 1.0)
    most = np.finfo(np.float16).max
    t = M["accuracy"].tune_threshold([0, 0, 0], np.array([most, 1, 0], np.float16))
    assert 1 < t <= most and t.counts == (0, 0, 1, 2)  # no float16 is above it


def test_error_rates_are_minimized() -> None:
    y, s = [1, 0, 1, 0], [0.9, 0.2, 0.8, 0.1]
    assert metricc.compile("FP/N + FN/P").tune_threshold(y, s).value == 0
    assert metricc.compile("1 - f1").tune_threshold(y, s) == 0.5
    backwards = metricc.compile("f1", minimize=True).tune_threshold(y, s)
    assert backwards.value == 0 and backwards.counts.TP == 0


def test_weights_do_not_drift() -> None:
    """Running sums of weights of all sizes equal exact ones."""
    random = np.random.default_rng(0)
    w = 10.0 ** random.uniform(-14, 14, 20_000)
    for terms in (w, np.sort(w), np.sort(w)[::-1]):
        sums = _sums(terms)
        for k in (0, 1, 2, 500, 19_999, 20_000):
            assert same(sums[k], math.fsum(terms[:k]))
    # A positive of 1e-9 below a million of weight 1e9: FN must not drown in rounding.
    n = 100_000
    y, s = np.zeros(n + 1, bool), np.linspace(1, 0, n + 1)
    y[[0, -1]] = True
    w = np.full(n + 1, 1e9)
    w[-1] = 1e-9
    t = metricc.compile("FN*1e12 + FP", minimize=True).tune_threshold(y, s, sample_weight=w)
    assert t.counts.FN == 1e-9 and t.counts.FP == 0


def test_many_scores_against_scikit_learn() -> None:
    random = np.random.default_rng(1)
    n = 200_000
    y = random.random(n) < 0.03
    s = np.round(random.normal(size=n) + 1.5 * y, 4)
    w = random.exponential(size=n)
    for weight in (None, w):
        precision, recall, cuts = precision_recall_curve(y, s, sample_weight=weight)
        with np.errstate(invalid="ignore"):
            f1 = np.nan_to_num(2 * precision * recall / (precision + recall))[:-1]
        t = M["f1"].tune_threshold(y, s, sample_weight=weight)
        assert same(t.value, f1.max())
        assert same(t.value, f1_score(y, s >= t, sample_weight=weight))
        best = cuts[f1 >= f1.max() * (1 - 1e-12)]
        assert best.min() <= t.high and t.low < best.max()
        assert M["f1"].score(y, s >= t, sample_weight=weight) == pytest.approx(t.value, rel=1e-12)


# -- undefined values -------------------------------------------------------------------------


def test_undefined_cuts_follow_zero_division() -> None:
    y, s = [0, 0, 0], [0.2, 0.4, 0.6]
    m = metricc.compile("precision")
    assert m.tune_threshold(y, s).value == 0
    t = m.tune_threshold(y, s, zero_division=1)
    assert t.value == 1 and t.counts == (0, 0, 0, 3)
    t = m.tune_threshold(y, s, zero_division=math.nan)
    assert t.value == 0 and t.counts.FP > 0
    refused("MC0507", "undefined", m.tune_threshold, y, s, zero_division="raise")
    recall = metricc.compile("recall")
    refused("MC0507", "every threshold", recall.tune_threshold, y, s, zero_division=math.nan)


def test_an_infinite_value_is_the_best() -> None:
    m = metricc.compile("diagnostic_odds_ratio")
    t = m.tune_threshold([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1])
    assert t.value == math.inf and t == 0.5
    y, s = [1, 1, 0, 1, 0, 0, 0, 1, 0, 0], [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    t = m.tune_threshold(y, s)  # .45 gives 3, which is not as good as infinity
    # No false alarm in (.8, .95], no miss in (.1, .3]: the widest run of infinity is (.1, .3].
    assert t.value == math.inf and (t.low, t.high) == (0.1, 0.3)


# -- constraints ------------------------------------------------------------------------------

SIDES: dict[str, Formula] = {
    "precision": lambda TP, FN, FP, TN: ratio(TP, TP + FP, math.nan),
    "recall": lambda TP, FN, FP, TN: ratio(TP, TP + FN, math.nan),
    "FPR": lambda TP, FN, FP, TN: ratio(FP, FP + TN, math.nan),
    "fbeta(2)": lambda TP, FN, FP, TN: ratio(5 * TP, 5 * TP + FP + 4 * FN, math.nan),
    "TP/FP": lambda TP, FN, FP, TN: unbounded(TP, FP, math.nan),
    "diagnostic_odds_ratio": lambda TP, FN, FP, TN: unbounded(TP * TN, FP * FN, math.nan),
}
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b - 1e-12,
    ">": lambda a, b: a > b + 1e-12,
    "<=": lambda a, b: a <= b + 1e-12,
    "<": lambda a, b: a < b - 1e-12,
}


@settings(max_examples=80, deadline=None)
@given(problem=problems(), data=st.data())
def test_constraints_by_brute_force(problem: Any, data: Any) -> None:
    y, s, w = problem
    if max(s) == np.finfo(float).max:
        return
    bounds = st.sampled_from(["0", "0.1", "0.5", "2/3", "0.9", "1"])
    sides = st.tuples(st.sampled_from([*SIDES]), st.sampled_from([*OPERATORS]), bounds)
    asked = data.draw(st.lists(sides, min_size=1, max_size=2))
    text = " and ".join(" ".join(one) for one in asked)
    allowed = []
    for least, counts in every_cut(y, s, w):
        if all(
            OPERATORS[operator](SIDES[side](*counts), eval(bound))
            for side, operator, bound in asked
        ):
            allowed.append((least, counts))
    if not allowed:
        with pytest.raises(MetriccError) as caught:
            M["f1"].tune_threshold(y, s, sample_weight=w, constraint=text)
        found = caught.value.diagnostics
        assert [d.code for d in found] == ["MC0510"] * len(asked)
        assert len({d.span for d in found}) == len(asked)
        return
    t = M["f1"].tune_threshold(y, s, sample_weight=w, constraint=text)
    assert same(t.value, brute(FORMULAS["f1"], allowed))
    for held, (side, operator, bound) in zip(t.constraints, asked, strict=True):
        assert held.met and held.text == f"{side} {operator} {bound}"
        assert same(held.left, SIDES[side](*t.counts)) and held.right == eval(bound)
        assert OPERATORS[operator](held.left, held.right)


def test_equality_holds_at_the_boundary() -> None:
    """9/10 meets 0.9, and every k/n meets k/n and its decimals."""
    y, s = [1] * 9 + [0] * 5, [*np.linspace(1, 0.6, 9), 0.5, 0.4, 0.3, 0.2, 0.1]
    t = M["f1"].tune_threshold(y, s, constraint="FP >= 1 and precision >= 0.9")
    assert t.counts == (9, 0, 1, 4) and t.constraints[1].left == 0.9
    assert M["f1"].tune_threshold(y, s, constraint=["FP >= 1", "0.9 <= precision"]) == t
    refused(
        "MC0510",
        "`precision` is 0.9",
        M["f1"].tune_threshold,
        y,
        s,
        constraint="FP >= 1 and precision > 0.9",
    )
    for n in range(1, 60, 7):
        for k in range(0, n + 1, 5):
            (c,) = comparisons(f"TP/(TP + FP) >= {k}/{n}")
            left = np.array([k / n, (k / n) * (1 - 1e-9), 1 - (n - k) / n])
            right = np.full(3, float(k) / float(n))
            assert c.met(left, right).tolist() == [True, k == 0, True]


def test_counts_are_compared_relative_to_themselves() -> None:
    (c,) = comparisons("FN <= 1e-15")
    assert c.met(np.array([0, 1e-15, 2e-15]), np.full(3, 1e-15)).tolist() == [True, True, False]
    (c,) = comparisons("informedness >= 0")
    assert c.met(np.array([-1e-16]), np.array([0.0])).all()


def test_infinity_equals_itself_alone() -> None:
    for operator, wanted in (
        (">=", [True, False, True]),
        (">", [False, False, True]),
        ("<=", [True, True, False]),
        ("<", [False, True, False]),
    ):
        (c,) = comparisons(f"TP/FP {operator} TN/FN")
        left, right = np.array([math.inf, 3.0, math.inf]), np.array([math.inf, math.inf, 3.0])
        assert c.met(left, right).tolist() == wanted


def test_the_sides_of_a_comparison_are_shown() -> None:
    for text, left, right in (
        ("(if TP > 1 then f1 else 0) > 0.5", "if TP > 1 then f1 else 0", "0.5"),
        ("0.5<=recall - \n FPR", "0.5", "recall - FPR"),
    ):
        (c,) = comparisons(text)
        assert (c.left_text, c.right_text) == (left, right)
    asked = "(if TP > 9 then f1 else 0) > 0.9"
    refused("MC0510", "`if TP > 9 then f1 else 0` is 0 at best", M["f1"].tune_threshold, [1, 0],
            [0.4, 0.6], constraint=asked)  # fmt: skip


def test_what_is_undefined_meets_no_constraint() -> None:
    """An empty prediction has no precision; FDR <= .1 and precision >= .9 say the same."""
    y, s = [0, 1, 0], [0.9, 0.8, 0.7]
    for text in ("precision >= 0.9", "FDR <= 0.1"):
        for zero_division in (0, 1, math.nan):
            call = {"constraint": text, "zero_division": zero_division}
            refused("MC0510", "at best", M["f1"].tune_threshold, y, s, **call)


def test_an_infeasible_constraint_names_the_best() -> None:
    y, s = [1, 0, 1, 0], [0.9, 0.8, 0.6, 0.1]
    text = "precision >= 0.9 and recall >= 0.9"
    with pytest.raises(MetriccError) as caught:
        M["f1"].tune_threshold(y, s, constraint=text)
    first, second = caught.value.diagnostics
    # With all positives found, precision is 2/3 in (.1, .6]; precise cuts find one of two.
    assert "`precision` is 0.666667 at best, at threshold 0.35" in first.message
    assert "`recall` is 0.5 at best, at threshold 0.85" in second.message
    assert text[first.span.start : first.span.end] == "precision >= 0.9"
    assert "^" in first.render() and "<constraint>:1:22" in second.render()
    error = refused("MC0510", "f1", M["f1"].tune_threshold, y, s, constraint="f1 > 0.9")
    assert "`f1` is 0.8 at best, at threshold 0.35" in error.diagnostics[0].message
    error = refused("MC0510", "", M["f1"].tune_threshold, y, s, constraint="recall < FPR")
    assert "`recall` is" in str(error) and "`FPR` is" in str(error)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("precision", "MC0101", 8),
        ("precision >=", "MC0101", 11),
        ("0.5 <= recall <= 0.9", "MC0101", 14),
        ("recal >= 0.5", "MC0201", 0),
        ("f1 > 0 and recal >= 0.5", "MC0201", 11),
        ("precision >= 0.9 or f1 > 0.2", "MC0511", 0),
        ("not f1 > 0.3", "MC0511", 0),
        ("f1 == 0.3", "MC0511", 0),
        ("f1 > 0 and precision != 0.3", "MC0511", 11),
        ("samples(f1) > 0.3", "MC0511", 0),
        ("bce < 0.3", "MC0511", 0),
        ("0 >= 1", "MC0511", 0),
        ("f1 > 0 and 1/2 < 1", "MC0511", 11),
        ("tversky > 0.3", "MC0203", 0),
        ("TP/0 > 1", "MC0301", 3),
        ("precision ≥ 0.9", "MC0102", 10),
        ("precision >= 0.9; recall > 0.1", "MC0107", 0),
        ("(" * 60 + "f1 > 0" + ")" * 60, "MC0402", 50),
        ("__import__('os') > 0", "MC0102", 0),
    ],
)
def test_a_wrong_constraint_is_shown_its_place(text: str, code: str, place: int) -> None:
    with pytest.raises(MetriccError) as caught:
        M["f1"].tune_threshold([1, 0], [0.9, 0.1], constraint=text)
    first = caught.value.diagnostics[0]
    assert first.code == code and first.span is not None and first.span.start == place
    assert first.source == text and "if a" not in (first.hint or "")


def test_other_wrong_constraints() -> None:
    call = M["f1"].tune_threshold
    refused("MC0104", "empty", call, [1, 0], [0.9, 0.1], constraint="")
    for wrong in ([0.9], 5, 0.9, True, b"f1 > 0", lambda: 0):
        refused("MC0501", "text", call, [1, 0], [0.9, 0.1], constraint=wrong)
    many = " and ".join(["f1 >= 0"] * 21)
    refused("MC0511", "21 comparisons", call, [1, 0], [0.9, 0.1], constraint=many)
    with pytest.raises(MetriccError) as caught:
        call([1, 0], [0.9, 0.1], constraint=["f1 > 0", "recal > 0", "precisio > 0"])
    assert [d.origin for d in caught.value.diagnostics] == ["<constraint 2>", "<constraint 3>"]


# -- what is given ----------------------------------------------------------------------------


def refused(code: str, words: str, call: Any, *arguments: Any, **keywords: Any) -> MetriccError:
    with pytest.raises(MetriccError) as caught:
        call(*arguments, **keywords)
    assert caught.value.diagnostics[0].code == code, caught.value
    assert words in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("y", "s", "w", "words"),
    [
        ([1, 0, 1], [0.1, math.nan, 0.2], None, "y_score holds nan at index 1"),
        ([1, 0, 1], [0.1, 0.3, -math.inf], None, "y_score holds -inf at index 2"),
        ([1, 0, 1], [0.1, 0.2], None, "y_true has 3 labels and y_score 2 scores"),
        ([1, 0, 2], [0.1, 0.2, 0.3], None, "y_true holds 2 at index 2, beside 0 and 1"),
        ([1, 0, -1], [0.1, 0.2, 0.3], None, "y_true holds -1 at index 2"),
        ([1, 0, 0.5], [0.1, 0.2, 0.3], None, "0.5 at index 2"),
        ([1, 0, math.nan], [0.1, 0.2, 0.3], None, "nan at index 2"),
        ([1, 0, None], [0.1, 0.2, 0.3], None, "y_true"),
        ([2, 3, 2], [0.1, 0.2, 0.3], None, "pos_label 1 is none of 2, 3"),
        ([1, 2, 2], [0.1, 0.2, 0.3], None, "y_true holds 1 and 2, not 0 and 1 or -1 and 1"),
        ([0, -1, 0], [0.1, 0.2, 0.3], None, "y_true holds -1 and 0"),
        (["a", "b", "a"], [0.1, 0.2, 0.3], None, "pos_label"),
        ([1, 0, 1], [0.1, 0.2, 0.3], [1, -2, 1], "-2 at index 1"),
        ([1, 0, 1], [0.1, 0.2, 0.3], [1, 1, math.nan], "nan at index 2"),
        ([1, 0, 1], [0.1, 0.2, 0.3], [0, 0, 0], "all weights are 0"),
        ([1, 0, 1], [0.1, 0.2, 0.3], [1, 1], "sample_weight has shape (2,)"),
        ([1, 0, 1], [0.1, 0.2, 0.3], [1e308, 1e308, 1e308], "adds up to infinity"),
        ([], [], None, "empty"),
        ([1, 0], [[0.1, 0.9], [0.7, 0.3]], None, "y_score[:, 1]"),
        ([1, 0], 0.5, None, "shape ()"),
        ([1, 0], ["0.1", "high"], None, "not scores"),
        ([1, 0], [1j, 2], None, "complex128"),
        ([1, 0], ["a", None], None, "not scores"),
    ],
)
def test_what_is_given_wrong(y: Any, s: Any, w: Any, words: str) -> None:
    refused("MC0506", words, M["f1"].tune_threshold, y, s, sample_weight=w)


def test_metrics_without_a_threshold() -> None:
    y, s = [1, 0], [0.9, 0.1]
    refused("MC0506", "bce", metricc.compile("0.5*bce + 0.5*(1 - f1)").tune_threshold, y, s)
    per = metricc.compile("f1", per="sample")
    refused("MC0501", "each sample", per.tune_threshold, y, s)
    many = metricc.compile("f1", task="multiclass")
    refused("MC0501", "largest score", many.tune_threshold, y, s)
    joined = metricc.compile("macro(f1)*macro(recall)", task="multilabel")
    refused("MC0501", "macro", joined.tune_threshold, [[1, 0]], [[0.1, 0.2]])
    micro = metricc.compile("micro(f1)", task="multilabel")
    refused("MC0501", "others", micro.tune_threshold, [[1, 0]], [[0.1, 0.2]])
    by_sample = metricc.compile("samples(f1)", task="multilabel")
    refused("MC0501", "samples", by_sample.tune_threshold, [[1, 0]], [[0.1, 0.2]])
    refused("MC0202", "gamma", M["f1"].tune_threshold, y, s, gamma=2)
    refused("MC0501", "labels", M["f1"].tune_threshold, y, s, labels=[0, 1])


def test_forms_of_labels_and_scores() -> None:
    pd = pytest.importorskip("pandas")
    y, s = [1, 0, 1, 0], [0.9, 0.2, 0.8, 0.1]
    t = M["f1"].tune_threshold(y, s)
    names = ["pos" if one else "neg" for one in y]
    logits = torch.tensor(s, dtype=torch.float64, requires_grad=True)
    assert M["f1"].tune_threshold(names, s, pos_label="pos") == t
    assert M["f1"].tune_threshold([-1 if one == 0 else 1 for one in y], s) == t
    assert M["f1"].tune_threshold([2 if one else 1 for one in y], s, pos_label=2) == t
    assert M["f1"].tune_threshold([1 if one else 2 for one in y], s, pos_label=1) == t
    assert M["f1"].tune_threshold([-1] * 4, s).counts.TP == 0
    assert M["f1"].tune_threshold(torch.tensor(y), logits) == t
    assert M["f1"].tune_threshold(pd.Series(y, index=[7, 8, 9, 3]), pd.Series(s)) == t
    assert M["f1"].tune_threshold(np.array(y, bool)[:, None], np.array(s)[:, None]) == t
    assert M["f1"].tune_threshold(y, np.array(s, object)) == t
    ranks = M["f1"].tune_threshold(y, [4, 2, 3, 1])
    assert ranks == 2.5 and (np.array([4, 2, 3, 1], np.uint8) >= ranks).tolist() == [1, 0, 1, 0]
    half = torch.tensor([0.9, 0.2, 0.2002, 0.1], dtype=torch.bfloat16)
    for labels in ([1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]):
        at = M["f1"].tune_threshold(labels, half)
        assert torch.tensor(float(at), dtype=torch.bfloat16).double() == float(at)
        counts = torch.tensor(labels).bool()
        assert float((counts & (half >= float(at))).sum()) == at.counts.TP


def test_a_threshold_is_a_float() -> None:
    y, s = np.array([1, 0, 1, 0]), np.array([0.9, 0.2, 0.8, 0.1])
    t = M["f1"].tune_threshold(y, s, constraint="precision >= 0.9")
    assert isinstance(t, float) and t == 0.5 and f"{t:.2f}" == "0.50" and str(t) == "0.5"
    assert repr(t).startswith("<Threshold 0.5: m = 1, from 0.2 to 0.8, TP=2")
    assert "precision >= 0.9: 1" in repr(t)
    assert t.counts._asdict() == {"TP": 2, "FN": 0, "FP": 0, "TN": 2}
    assert M["f1"].value(*t.counts) == t.value == M["f1"].score(y, s >= t)
    for again in (pickle.loads(pickle.dumps(t)), copy.deepcopy(t)):
        assert again == t and again.counts == t.counts and again.constraints == t.constraints
    assert json.dumps({"t": t}) == '{"t": 0.5}'


def test_parameters_are_those_of_the_metric() -> None:
    random = np.random.default_rng(5)
    y = random.random(60) < 0.3
    s = random.random(60) + 0.3 * y
    m = metricc.compile("fbeta")
    assert m.tune_threshold(y, s, beta=2).value == M["fbeta(2)"].tune_threshold(y, s).value
    assert metricc.compile("1 - f1").tune_threshold(y, s, smooth=1.0).value < 1


def test_columns() -> None:
    """Weights of the formula, and of a constraint, count as columns of the samples."""
    random = np.random.default_rng(2)
    y = random.random(50) < 0.4
    s, amount = random.random(50) + 0.4 * y, random.exponential(100, 50)
    m = metricc.compile("cost = FN[amount] + 5*FP", minimize=True)
    t = m.tune_threshold(y, s, amount=amount)
    costs = [amount[y & (s < c)].sum() + 5 * (~y & (s >= c)).sum() for c in [*s, 9.0]]
    assert same(t.value, min(costs))
    asked = M["f1"].tune_threshold(y, s, constraint="recall[amount] >= 0.95", amount=amount)
    found = amount[y & (s >= asked)].sum() / amount[y].sum()
    assert same(asked.constraints[0].left, found) and found >= 0.95
    refused("MC0506", "amount", m.tune_threshold, y, s)
    refused("MC0506", "index 3", m.tune_threshold, y, s, amount=np.where(np.arange(50) == 3, -1, 1))


# -- classes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("around", ["macro", "weighted", "sum", "worst", "per_class"])
def test_each_label_has_its_own_threshold(around: str) -> None:
    random = np.random.default_rng(4)
    y = random.random((80, 3)) < [0.2, 0.5, 0.7]
    s = (random.random((80, 3)) + 0.5 * y).astype(np.float32)
    w = random.random((80, 3))
    m = metricc.compile(f"{around}(f1)", task="multilabel")
    for weight in (None, w, w[:, 0]):
        t = m.tune_threshold(y, s, sample_weight=weight)
        assert t.dtype == np.float32 and t.shape == (3,)
        for k in range(3):
            column = None if weight is None else weight[:, k] if weight.ndim == 2 else weight
            best = brute(FORMULAS["f1"], every_cut(y[:, k], s[:, k], column))
            assert same(t.classes[k].value, best)
        scored = m.score(y, s >= t, sample_weight=weight)
        assert np.allclose(t.value, scored, rtol=1e-12, atol=0)
    for again in (pickle.loads(pickle.dumps(t)), copy.copy(t), copy.deepcopy(t), t.copy()):
        assert (again == t).all() and again.classes == t.classes and again.dtype == t.dtype
        assert np.array_equal(again.value, t.value) and type(again) is type(t)
        again[0] = 9
        assert t[0] != 9 and (pickle.loads(pickle.dumps(again)) == again).all()
    assert type(t[1:]) is np.ndarray and (pickle.loads(pickle.dumps(t[1:])) == t[1:]).all()
    assert type(t + 1) is np.ndarray and isinstance((t * 2)[0], np.float32)
    some = m.tune_threshold(y, s, labels=[2, 0])
    assert some.shape == (2,) and some[0] == m.tune_threshold(y, s)[2]


def test_constraints_hold_in_each_class() -> None:
    random = np.random.default_rng(6)
    y = random.random((60, 2)) < 0.4
    s = random.random((60, 2)) + 0.3 * y
    m = metricc.compile("macro(recall)", task="multilabel")
    t = m.tune_threshold(y, s, constraint="precision >= 0.7")
    assert all(c.constraints[0].met for c in t.classes)
    error = refused("MC0510", "class 0: ", m.tune_threshold, ~y, s, constraint="precision > 0.99")
    assert error.diagnostics[0].span is not None
    refused("MC0511", "each class", m.tune_threshold, y, s, constraint="macro(precision) > 0.9")
    refused("MC0506", "(1, 0)", m.tune_threshold, [[0, 1], [2, 0]], [[0.1, 0.2], [0.1, 0.2]])
    refused("MC0506", "all weights are 0 in column 1", m.tune_threshold, y, s,
            sample_weight=np.ones((60, 2)) * [1, 0])  # fmt: skip


# -- the classifier ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cancer() -> tuple[Any, Any]:
    x, y = load_breast_cancer(return_X_y=True)
    return (x - x.mean(0)) / x.std(0), y


def test_a_classifier_tunes_on_scores_of_unseen_rows(cancer: Any) -> None:
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split

    x, y = cancer
    c = M["fbeta(2)"].tuned_classifier(LogisticRegression(), cv=4, random_state=3).fit(x, y)
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    scores = cross_val_predict(LogisticRegression(), x, y, cv=folds, method="predict_proba")[:, 1]
    assert c.threshold_ == check("fbeta(2)", y, scores) and c.best_score_ == c.threshold_.value
    whole = LogisticRegression().fit(x, y)
    assert (c.predict(x) == (whole.predict_proba(x)[:, 1] >= c.threshold_)).all()
    assert (c.predict_proba(x) == whole.predict_proba(x)).all()
    assert (pickle.loads(pickle.dumps(c)).predict(x) == c.predict(x)).all()
    assert clone(c).get_params()["cv"] == 4

    held = M["f1"].tuned_classifier(LogisticRegression(), cv=0.25, refit=False).fit(x, y)
    train, rest = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=0)
    part = LogisticRegression().fit(x[train], y[train])
    assert held.threshold_ == check("f1", y[rest], part.predict_proba(x[rest])[:, 1])
    assert (held.estimator_.coef_ == part.coef_).all()
    assert (held.set_params(refit=True).fit(x, y).estimator_.coef_ == whole.coef_).all()

    ready = M["f1"].tuned_classifier(whole, cv="prefit", method="decision_function").fit(x, y)
    assert ready.estimator_ is whole
    assert ready.threshold_ == check("f1", y, whole.decision_function(x))


def test_a_classifier_of_text_labels_and_weights(cancer: Any) -> None:
    x, y = cancer
    names = np.array(["malignant", "benign"])[y]
    w = np.random.default_rng(0).random(len(y))
    for method in ("predict_proba", "decision_function"):
        c = M["f1"].tuned_classifier(LogisticRegression(), pos_label="benign", method=method)
        c.fit(x, names, sample_weight=w)
        assert set(c.predict(x)) == {"benign", "malignant"} and c.score(x, names) > 0.9
        assert pytest.approx(w[y == 1].sum()) == c.threshold_.counts.TP + c.threshold_.counts.FN
    plain = M["f1"].tuned_classifier(LogisticRegression())
    refused("MC0506", "pos_label", plain.set_params(pos_label="b").fit, x, names)
    other = M["f1"].tuned_classifier(LogisticRegression(), pos_label="malignant").fit(x, names)
    assert (y == 0).sum() == other.threshold_.counts.TP + other.threshold_.counts.FN
    assert (other.predict(x) == names).mean() > 0.95


def test_a_classifier_in_pipelines_and_searches(cancer: Any) -> None:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = cancer
    w = np.ones(len(y))
    c = M["f1"].tuned_classifier(make_pipeline(StandardScaler(), LogisticRegression()), cv=3)
    grid = {"estimator__logisticregression__C": [0.1, 1.0]}
    search = GridSearchCV(c, grid, cv=3, scoring=M["f1"].scorer()).fit(x, y)
    assert search.best_score_ > 0.9
    c.fit(x, y, sample_weight=w, logisticregression__sample_weight=w)
    refused("MC0501", "takes no sample_weight", c.fit, x, y, sample_weight=w)


def test_a_ready_classifier_knows_the_labels(cancer: Any) -> None:
    x, y = cancer
    for labels in (2 * y + 1, np.arange(len(y)) % 3, np.array(["a", "b"])[y]):
        ready = LogisticRegression().fit(x, labels)
        c = M["f1"].tuned_classifier(ready, cv="prefit")
        refused("MC0506", "the estimator was fitted on the labels", c.fit, x, y)
    ready = LogisticRegression().fit(x, y == 1)
    assert set(M["f1"].tuned_classifier(ready, cv="prefit").fit(x, y).predict(x)) == {0, 1}


def test_splitters_of_a_classifier(cancer: Any) -> None:
    from sklearn import model_selection as ms

    x, y = cancer
    groups = np.arange(len(y)) % 7
    plain = LogisticRegression()
    for cv in (ms.GroupKFold(3), ms.StratifiedGroupKFold(3), ms.LeaveOneGroupOut()):
        refused("MC0501", "needs groups", M["f1"].tuned_classifier(plain, cv=cv).fit, x, y)
        splits = list(cv.split(x, y, groups))
        scores = ms.cross_val_predict(plain, x, y, cv=splits, method="predict_proba")[:, 1]
        c = M["f1"].tuned_classifier(plain, cv=splits).fit(x, y)
        assert c.threshold_ == check("f1", y, scores)
    for cv in (ms.TimeSeriesSplit(3), ms.ShuffleSplit(3), ms.RepeatedKFold(n_splits=3)):
        refused("MC0501", "times", M["f1"].tuned_classifier(plain, cv=cv).fit, x, y)
    M["f1"].tuned_classifier(plain, cv=ms.KFold(3, shuffle=True)).fit(x, y)


def test_a_classifier_refuses(cancer: Any) -> None:
    from sklearn.svm import LinearSVC

    x, y = cancer
    make = M["f1"].tuned_classifier
    refused("MC0501", "no predict_proba", make(LinearSVC(), method="predict_proba").fit, x, y)
    refused("MC0501", "method", make(LinearSVC(), method="predict").fit, x, y)
    refused("MC0501", "cv", make(LinearSVC(), cv="folds").fit, x, y)
    refused("MC0501", "cv", make(LinearSVC(), cv=1.5).fit, x, y)
    refused("MC0501", "binary", metricc.compile("f1", task="multiclass").tuned_classifier, None)
    refused("MC0202", "gamma", make, LinearSVC(), params={"gamma": 1})
    impossible = make(LinearSVC(), constraint="precision > 1")
    refused("MC0510", "at best", impossible.fit, x, y)
    with pytest.raises(ValueError, match="binary"):
        make(LinearSVC()).fit(x, np.arange(len(y)) % 3)
    with pytest.raises(ValueError, match="one class"):
        make(LinearSVC()).fit(x, np.ones(len(y)))


@pytest.mark.slow
def test_a_classifier_passes_scikit_learns_own_checks() -> None:
    from sklearn.utils import estimator_checks

    c = M["f1"].tuned_classifier(LogisticRegression(max_iter=200))
    found = estimator_checks.check_estimator(c, on_fail=None)
    failed = {one["check_name"] for one in found if one["status"] == "failed"}
    # That one holds decisions against 1/2; scikit-learn excuses its own tuned classifier from it.
    assert failed <= {"check_classifiers_train"}


def test_scikit_learns_tuner_is_no_better(cancer: Any) -> None:
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import TunedThresholdClassifierCV

    x, y = cancer
    model = LogisticRegression().fit(x[:300], y[:300])
    theirs = TunedThresholdClassifierCV(
        model, scoring=make_scorer(f1_score), cv="prefit", refit=False, thresholds=1000
    ).fit(x[300:], y[300:])
    ours = M["f1"].tune_threshold(y[300:], model.predict_proba(x[300:])[:, 1])
    assert ours.value >= theirs.best_score_ - 1e-12


# -- the command ------------------------------------------------------------------------------


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """200 rows: y, s, w, name."""
    pd = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    y = (random.random(200) < 0.3).astype(int)
    s = np.round(1 / (1 + np.exp(1 - random.normal(size=200) - 2 * y)), 4)
    frame = pd.DataFrame({"y": y, "s": s, "w": random.random(200), "name": np.array(["n", "p"])[y]})
    frame.to_csv("scores.csv", index=False)
    return frame


BASE = ("tune", "scores.csv", "--target", "y", "--score", "s", "--metric")


def run(*arguments: str, code: int = 0, given: str | None = None) -> str:
    result = CliRunner().invoke(main, [*arguments], input=given)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def test_the_command(scores: Any) -> None:
    t = M["fbeta(2)"].tune_threshold(scores.y, scores.s)
    data = json.loads(run(*BASE, "f2", "--format", "json"))
    assert (data["threshold"], data["value"]) == (float(t), t.value)
    assert data["counts"] == t.counts._asdict() and data["low"] == t.low
    usual = FORMULAS["fbeta(2)"](
        *(
            int(((scores.y == a) & ((scores.s >= 0.5) == b)).sum())
            for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))
        )
    )
    assert same(data["usual"]["value"], usual)
    text = run(*BASE, "f2")
    assert f"{float(t):.6g}" in text and "at 1/2" in text and "held-out" in text
    weighted = M["fbeta(2)"].tune_threshold(scores.y, scores.s, sample_weight=scores.w)
    data = json.loads(run(*BASE, "f2", "--weight", "w", "--format", "json"))
    assert data["threshold"] == float(weighted)
    named = ("tune", "scores.csv", "--target", "name", "--score", "s", "--metric", "f2")
    data = json.loads(run(*named, "--pos-label", "p", "--format", "json"))
    assert data["threshold"] == float(t)
    read = json.loads(
        run("tune", "-", *BASE[2:], "f2", "--format", "json", given=Path("scores.csv").read_text())
    )
    assert read["threshold"] == float(t)
    by_amount = run(*BASE, "FN[w] + FP/9", "--format", "json", "--minimize")
    assert json.loads(by_amount)["goal"] == "minimize"


def test_the_command_on_parquet(scores: Any) -> None:
    pytest.importorskip("pyarrow")
    scores.astype({"s": "float32"}).to_parquet("scores.parquet")
    t = M["f1"].tune_threshold(scores.y, scores.s.to_numpy().astype(np.float32))
    data = json.loads(run("tune", "scores.parquet", *BASE[2:], "f1", "--format", "json"))
    assert data["threshold"] == float(t) == float(np.float32(float(t)))
    error = run("tune", "scores.parquet", *BASE[2:4], "--score", "z", "--metric", "f1", code=2)
    assert "scores.parquet has no column z" in error
    Path("no.parquet").write_text("no")
    assert "MC0503" in run("tune", "no.parquet", *BASE[2:], "f1", code=2)


def test_cross_fitting_by_hand(scores: Any) -> None:
    constraint = "precision >= 0.8"
    data = json.loads(
        run(*BASE, "recall", "--constraint", constraint, "--cross-fit", "4", "--format", "json")
    )
    y, s = scores.y.to_numpy() == 1, scores.s.to_numpy()
    fold = stratified(y, 4, 0)
    decided = np.zeros(len(y), bool)
    for k in range(4):
        rest = fold != k
        allowed = [
            (least, counts)
            for least, counts in every_cut(y[rest], s[rest])
            if SIDES["precision"](*counts) >= 0.8
        ]
        best = max(SIDES["recall"](*counts) for _, counts in allowed)
        t = data["cross_fit"]["thresholds"][k]
        recall = (y & (s >= t))[rest].sum() / y[rest].sum()
        assert same(recall, best)
        decided[~rest] = s[~rest] >= t
    assert same(data["cross_fit"]["value"], (y & decided).sum() / y.sum())
    precision = (y & decided).sum() / decided.sum()
    (held,) = data["cross_fit"]["constraints"]
    assert same(held["left"], precision) and held["met"] == (precision >= 0.8)
    text = run(*BASE, "recall", "--constraint", constraint, "--cross-fit", "4")
    assert ("MISSED" in text) == (precision < 0.8)
    assert all(
        0 <= int(one) <= 1 for one in np.ptp([fold[y].tolist().count(k) for k in range(4)])[None]
    )


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("2,0.5,1,n", "column y, row 201 holds 2"),
        ("1,,1,n", "column s, row 201 holds nothing, or NaN"),
        ("1,high,1,n", "column s, row 201 holds 'high'"),
        ("1,inf,1,n", "column s, row 201 holds inf"),
        (",0.5,1,n", "column y, row 201 holds nothing, or NaN"),
        ("1,0.5,-1,n", "column w, row 201 holds -1"),
        ("1,0.5,,n", "column w, row 201 holds nothing, or NaN"),
    ],
)
def test_the_command_shows_the_row(scores: Any, edit: str, words: str) -> None:
    with Path("scores.csv").open("a") as file:
        file.write(edit + "\n")
    error = run(*BASE, "f1", "--weight", "w", code=2)
    assert words in error and "scores.csv" in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y,s\n1,0,5\n0,0,1\n", "row 1 has 3 fields, and the header 2"),
        ("y,s\n1,0.5\n\n0,0.2\n0,0.3,7\n", "row 3 has 3 fields, and the header 2"),
        ("y,s\n1,0.5,\n0,0.1,\n", "row 1 has 3 fields"),
        ("y,s,s\n1,0.5,3\n0,0.1,2\n", "has 2 columns s"),
        ("y;s\n1;0.5\n", "split the fields by commas: its header 'y;s' is split by `;`"),
        ("y, s\n1,0.5\n", "did you mean ' s'? it has y, ' s'"),
        ("y,s\n1\n0,0.1\n", "column s, row 1 holds nothing, or NaN"),
    ],
)
def test_a_table_of_another_form_is_refused(text: str, words: str) -> None:
    pytest.importorskip("pandas")
    error = run("tune", "-", *BASE[2:], "f1", code=2, given=text)
    assert "MC0512" in error and words in error


def test_forms_of_a_table() -> None:
    pytest.importorskip("pandas")
    for text in (
        "y,s\n1,0.5\n0,0.1\n",
        "\ufeffy,s\r\n1,0.5\r\n0,0.1\r\n",
        '\n"y",t,"s"\n1,"a,b\nc",0.5\n\n0,"d ""e"" f",0.1',
        "s,y,\n0.5,1,\n0.1,0,\n",
        "y,s,t\n1,0.5\n0,0.1,3\n",
        "y,s,t,t\n1,0.5," + "x" * 200_000 + ",1\n0,0.1,2,2\n",
    ):
        data = json.loads(run("tune", "-", *BASE[2:], "f1", "--format", "json", given=text))
        assert (data["threshold"], data["low"], data["high"]) == (0.3, 0.1, 0.5)
        assert data["counts"] == {"TP": 1, "FN": 0, "FP": 0, "TN": 1} and data["warnings"] == []


def test_forms_of_parquet(scores: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    call = ("tune", "x.parquet", *BASE[2:], "f1")
    t = M["f1"].tune_threshold(scores.y, scores.s)
    scores.set_index("y").to_parquet("x.parquet")
    assert json.loads(run(*call, "--format", "json"))["threshold"] == float(t)
    y, s = pa.array(scores.y), pa.array(scores.s)
    dates = pa.array(range(200), pa.timestamp("ns"))
    for columns, words in (
        ([y, s, s], "x.parquet has 2 columns s"),
        ([y, pa.array([[x] for x in scores.s])], "column s holds list"),
        ([y, pa.array([{"x": x} for x in scores.s])], "column s holds struct"),
        ([y, dates], "column s holds timestamp[ns]"),
        ([y, dates.dictionary_encode()], "column s holds timestamp[ns]"),
    ):
        table = pa.Table.from_arrays(columns, names=["y", "s", "s"][: len(columns)])
        parquet.write_table(table, "x.parquet")
        error = run(*call, code=2)
        assert "MC0512" in error and words in error


def test_rows_of_one_class_are_warned_of() -> None:
    pytest.importorskip("pandas")
    for label, kind in ((0, "positive"), (1, "negative")):
        text = f"y,s\n{label},0.5\n{label},0.1\n"
        words = f"no row of column y is {kind}"
        assert f"WARNING: {words}" in run("tune", "-", *BASE[2:], "f1", given=text)
        data = json.loads(run("tune", "-", *BASE[2:], "f1", "--format", "json", given=text))
        assert len(data["warnings"]) == 1 and words in data["warnings"][0]


def test_the_command_refuses(scores: Any) -> None:
    named = ("tune", "scores.csv", "--target", "name", "--score", "s", "--metric", "f1")
    assert "did you mean s?" in run(*BASE[:4], "--score", "S", "--metric", "f1", code=2)
    assert "MC0503" in run("tune", "absent.csv", *BASE[2:], "f1", code=2)
    assert "MC0503" in run("tune", "scores.xlsx", *BASE[2:], "f1", code=2)
    assert "column name, row 1 holds" in run(*named, code=2)
    assert "no label q" in run(*named, "--pos-label", "q", code=2)
    assert "MC0501" in run(*BASE, "f1", "--plot", "x.gif", code=2)
    assert "MC0501" in run(*BASE, "f1", "--cross-fit", "1", code=2)
    assert "MC0501" in run(*BASE, "f1", "--cross-fit", "200", code=2)
    assert "MC0303" in run(*BASE, "FP/FN", code=2)
    assert "MC0201" in run(*BASE, "f11", code=2)
    assert "<constraint>:1:1" in run(*BASE, "f1", "--constraint", "recal > 1", code=2)
    assert "MC0510" in run(*BASE, "f1", "--constraint", "recall > 1", code=2)
    Path("empty.csv").write_text("")
    assert "MC0503" in run("tune", "empty.csv", *BASE[2:], "f1", code=2)
    Path("head.csv").write_text("y,s\n")
    assert "no rows" in run("tune", "head.csv", *BASE[2:], "f1", code=2)
    Path("latin.csv").write_bytes("y,s\n1,é\n".encode("latin-1"))
    assert "UTF-8" in run("tune", "latin.csv", *BASE[2:], "f1", code=2)
    kinds = "\n".join(["y,s", "a,1", "b,2", "c,3"])
    error = run("tune", "-", *BASE[2:], "f1", "--pos-label", "a", code=2, given=kinds)
    assert "column y, row 3 holds 'c', a third kind" in error
    error = json.loads(CliRunner().invoke(main, [*BASE, "f11", "--format", "json"]).stderr)
    assert error["diagnostics"][0]["code"] == "MC0201"


@pytest.mark.parametrize(
    ("suffix", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_picture(scores: Any, suffix: str, head: bytes) -> None:
    pytest.importorskip("matplotlib")
    asked = ("--constraint", "precision >= 0.5 and FPR <= 0.2", "--cross-fit", "3")
    run(*BASE, "f1", *asked, "--plot", f"x.{suffix}")
    data = Path(f"x.{suffix}").read_bytes()
    assert data.startswith(head) and len(data) > 5_000


@pytest.mark.parametrize("size", [20, 4_000])
def test_a_picture_of_huge_scores(size: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    lines = [f"{k % 2},{(2 * k / size - 1) * 1.7e308!r},{1e300!r}" for k in range(size)]
    (tmp_path / "s.csv").write_text("y,s,w\n" + "\n".join(lines))
    picture = tmp_path / "x.png"
    asked = ("--metric", "FN[w] + FP", "--minimize", "--constraint", "recall >= 0.5")
    run("tune", str(tmp_path / "s.csv"), *BASE[2:-1], *asked, "--plot", str(picture))
    assert picture.stat().st_size > 5_000


def test_a_picture_of_many_scores_keeps_the_cut() -> None:
    pytest.importorskip("matplotlib")
    from metricc import tuning
    from metricc.chart import POINTS, _kept
    from metricc.labels import Given

    random = np.random.default_rng(0)
    y = random.random(50_000) < 0.1
    task = tuning.Task(M["f1"].plan, "maximize")
    (found,) = tuning.samples(task, Given(y, random.normal(size=50_000) + y))
    swept = tuning.sweep(task, found)
    best = swept.best()
    cuts, edges = _kept(swept, best)
    assert len(cuts) + 1 == len(edges) <= 2 * POINTS and (np.diff(edges) > 0).all()
    assert swept.cut_at(float(best)) in cuts


def test_a_missing_package_is_named(scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "pip install pandas" in run(*BASE, "f1", code=2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in run(*BASE, "f1", "--plot", "x.png", code=2)


def test_ranking() -> None:
    order = ranked(np.array([0.5, 0.1, 0.5, 0.9]))
    assert order.scores.tolist() == [0.9, 0.5, 0.1] and order.ends.tolist() == [0, 1, 3, 4]
    assert (order.floor, order.ceiling) == (0.0, 1.0)
    cells = order.cells(np.array([True, False, False, True]), None)
    assert [cell.tolist() for cell in cells] == [
        [0, 1, 2, 2],
        [2, 1, 0, 0],
        [0, 0, 1, 2],
        [2, 2, 1, 0],
    ]
