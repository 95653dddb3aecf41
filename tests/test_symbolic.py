"""The symbolic pipeline against mpmath: value, partials, weights, threshold, proofs, audit.

The metrics are written here once more, by hand, and differentiated numerically; expressions and
blocks of the package are evaluated by the small interpreters below. Nothing of the package's own
mathematics is used to check it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import sympy
from mpmath import mp, mpf

import metricc
from metricc import ir, simplify, syntax
from metricc.algebra import Field
from metricc.compiler import analyse
from metricc.errors import MetriccError
from metricc.extract import extract, operations
from metricc.parse import parse

ROOT = Path(__file__).parent.parent
CELLS = ("TP", "FN", "FP", "TN")
DIGITS = 50
STEP = mpf(10) ** -16
TOLERANCE = mpf(10) ** -24  # the difference quotient is wrong by about STEP squared

Number = mpmath.mpf
Metric = Callable[..., Number]


# -- the metrics by hand ----------------------------------------------------------------------


def precision(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return TP / (TP + FP)


def recall(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return TP / (TP + FN)


def specificity(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return TN / (TN + FP)


def npv(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return TN / (TN + FN)


def f1(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return 2 / (1 / precision(TP, FN, FP, TN) + 1 / recall(TP, FN, FP, TN))


def fbeta(TP: Number, FN: Number, FP: Number, TN: Number, beta: Number) -> Number:
    square = beta * beta
    return (1 + square) * TP / ((1 + square) * TP + square * FN + FP)


def mcc(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    # The correlation of two binary variables: covariance over standard deviations.
    n = TP + FN + FP + TN
    predicted, actual = (TP + FP) / n, (TP + FN) / n
    covariance = TP / n - predicted * actual
    return covariance / mpmath.sqrt(predicted * (1 - predicted) * actual * (1 - actual))


def kappa(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    n = TP + FN + FP + TN
    agreed = (TP + TN) / n
    chance = ((TP + FP) * (TP + FN) + (TN + FN) * (TN + FP)) / n**2
    return (agreed - chance) / (1 - chance)


def hss(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    n = TP + FN + FP + TN
    expected = ((TP + FN) * (TP + FP) + (TN + FN) * (TN + FP)) / n
    return (TP + TN - expected) / (n - expected)


def p4(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    cells = TP, FN, FP, TN
    parts = precision(*cells), recall(*cells), specificity(*cells), npv(*cells)
    return 4 / sum(1 / part for part in parts)


def balanced(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return (recall(TP, FN, FP, TN) + specificity(TP, FN, FP, TN)) / 2


def gmean(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return mpmath.sqrt(recall(TP, FN, FP, TN)) * mpmath.sqrt(specificity(TP, FN, FP, TN))


def jaccard(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return TP / (TP + FN + FP)


def tversky(TP: Number, FN: Number, FP: Number, TN: Number, alpha: Number, beta: Number) -> Number:
    return TP / (TP + alpha * FP + beta * FN)


def fowlkes_mallows(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
    return mpmath.sqrt(precision(TP, FN, FP, TN)) * mpmath.sqrt(recall(TP, FN, FP, TN))


BY_HAND: dict[str, Metric] = {
    "accuracy": lambda TP, FN, FP, TN: (TP + TN) / (TP + FN + FP + TN),
    "balanced_accuracy": balanced,
    "cohen_kappa": kappa,
    "f1": f1,
    "fbeta": fbeta,
    "fowlkes_mallows": fowlkes_mallows,
    "gmean": gmean,
    "hss": hss,
    "jaccard": jaccard,
    "mcc": mcc,
    "p4": p4,
    "precision": precision,
    "recall": recall,
    "specificity": specificity,
    "tversky": tversky,
    "youden_j": lambda *cells: 2 * balanced(*cells) - 1,
}

COMPOSED: dict[str, Metric] = {
    "-log(f1)": lambda *c: -mpmath.log(f1(*c)),
    "1 - f1 + FPR": lambda *c: 1 - f1(*c) + c[2] / (c[2] + c[3]),
    "log(TPR)/2 + log(TNR)/2": lambda *c: mpmath.log(gmean(*c)),
    "1 - abs(TPR - TNR)": lambda *c: 1 - abs(recall(*c) - specificity(*c)),
    "min(precision, recall)": lambda *c: min(precision(*c), recall(*c)),
    "max(f1, mcc, youden_j)": lambda *c: max(f1(*c), mcc(*c), 2 * balanced(*c) - 1),
    "min(TPR, TNR, PPV)*f1": lambda *c: min(recall(*c), specificity(*c), precision(*c)) * f1(*c),
    "recall - 10*max(0, 0.9 - precision)": (
        lambda *c: recall(*c) - 10 * max(0, mpf(9) / 10 - precision(*c))
    ),
    "(TPR*TNR*PPV)^(1/3)": (lambda *c: mpmath.cbrt(recall(*c) * specificity(*c) * precision(*c))),
    "TP^1.5/(P*PP^0.5)": lambda a, b, c, d: mpmath.sqrt(a) ** 3 / ((a + b) * mpmath.sqrt(a + c)),
    "exp(-(FP + 2*FN)/POP)": lambda a, b, c, d: mpmath.exp(-(c + 2 * b) / (a + b + c + d)),
    "sqrt(1 + TP^2/(P*PP))/(1 + sqrt(FP/POP))": (
        lambda a, b, c, d: (
            mpmath.sqrt(1 + a * a / ((a + b) * (a + c))) / (1 + mpmath.sqrt(c / (a + b + c + d)))
        )
    ),
    "f1 + mcc + jaccard + gmean": lambda *c: f1(*c) + mcc(*c) + jaccard(*c) + gmean(*c),
    "log(TP*TN/(FN*FP))": lambda a, b, c, d: mpmath.log(a * d / (b * c)),
    "FP/FN + (TP - TN)^2/POP": lambda a, b, c, d: c / b + (a - d) ** 2 / (a + b + c + d),
    "f(w = 0.3 in [0, 1]) = w*f1 + (1 - w)*mcc": (
        lambda a, b, c, d, w: w * f1(a, b, c, d) + (1 - w) * mcc(a, b, c, d)
    ),
    "f(k = 2 in [1, inf)) = ((TPR^k + TNR^k)/2)^(1/k)": (
        lambda a, b, c, d, k: (((a / (a + b)) ** k + (d / (c + d)) ** k) / 2) ** (1 / k)
    ),
    "f(cost) = (TP - cost*FP)/POP": lambda a, b, c, d, cost: (a - cost * c) / (a + b + c + d),
}

ARGUMENTS = {
    "beta": ["1", "0.5", "2"],
    "alpha": ["0", "0.5", "3"],
    "w": ["0", "0.3", "1"],
    "k": ["1", "2", "3.5"],
    "cost": ["0.1", "2", "4"],
}

# No two rates are equal in any of them, so that minima and absolute values have slopes.
TABLES = [
    ("40", "7", "13", "140"),
    ("3", "5", "2", "11"),
    ("0.5", "2.25", "1.125", "700"),
    ("900", "30", "2", "5"),
    ("1", "0.001", "0.02", "1.5"),
]

FORMULAS = [*BY_HAND, *COMPOSED]


@cache
def program(formula: str) -> ir.Program:
    return analyse(formula)[0].program


@cache
def audit(formula: str) -> ir.Audit:
    return analyse(formula)[1]


def points(formula: str) -> list[dict[str, Number]]:
    """Tables with arguments for the formula's parameters, at DIGITS digits."""
    parameters = [p.name for p in program(formula).metric.parameters]
    found = []
    for table in TABLES:
        for i in range(3 if parameters else 1):
            values = {name: mpf(ARGUMENTS[name][(i + j) % 3]) for j, name in enumerate(parameters)}
            found.append(dict(zip(CELLS, map(mpf, table), strict=True)) | values)
    return found


def slope(metric: Metric, point: Mapping[str, Number], cell: str) -> Number:
    """The central difference quotient of a metric in a cell."""
    above = {**point, cell: point[cell] + STEP}
    below = {**point, cell: point[cell] - STEP}
    return (metric(*above.values()) - metric(*below.values())) / (2 * STEP)


# -- two interpreters -------------------------------------------------------------------------


def step(x: Number) -> Number:
    return (mpmath.sign(x) + 1) / 2


def number(expression: sympy.Expr, scope: Mapping[str, Number]) -> Number:
    """A SymPy expression in mpmath, without SymPy's own evaluation."""
    inner = [number(e, scope) for e in expression.args]
    if expression.is_Symbol:
        return scope[expression.name]
    if expression.is_Rational:
        return mpf(int(expression.p)) / int(expression.q)
    if expression is sympy.E:
        return mpmath.e
    if expression.is_Add:
        return mpmath.fsum(inner)
    if expression.is_Mul:
        return mpmath.fprod(inner)
    if expression.is_Pow:
        return inner[0] ** inner[1]
    functions = {
        "log": mpmath.log,
        "exp": mpmath.exp,
        "Abs": abs,
        "sign": mpmath.sign,
        "Min": min,
        "Max": max,
        "Heaviside": lambda x, at_zero=None: step(x),
    }
    return functions[type(expression).__name__](*inner)


def run(block: ir.Block, scope: Mapping[str, Number]) -> list[Number]:
    """A block of straight-line code in mpmath."""
    values = dict(scope)
    for name, expression in block.assignments:
        values[name] = execute(expression, values)
    return [execute(result, values) for result in block.results]


def execute(node: syntax.Expression, scope: Mapping[str, Number]) -> Number:
    inner = [execute(child, scope) for child in syntax.children(node)]
    match node:
        case syntax.Number():
            return mpf(node.value.numerator) / node.value.denominator
        case syntax.Name():
            return scope[node.id]
        case syntax.Negation():
            return -inner[0]
        case syntax.Power():
            return inner[0] ** inner[1]
        case syntax.Sum():
            pairs = zip(node.subtracts, inner[1:], strict=True)
            return inner[0] + mpmath.fsum(-x if minus else x for minus, x in pairs)
        case syntax.Product():
            pairs = zip(node.divides, inner[1:], strict=True)
            return inner[0] * mpmath.fprod(1 / x if divides else x for divides, x in pairs)
        case syntax.Call():
            functions = {
                "sqrt": mpmath.sqrt,
                "log_ratio": lambda a, b, d: mpmath.log(a / b),
                "log": mpmath.log,
                "exp": mpmath.exp,
                "abs": lambda x: max(x, -x),  # which has no value where x is complex
                "min": min,
                "max": max,
                "sign": mpmath.sign,
                "step": step,
            }
            return functions[node.function](*inner)


def near(a: Number, b: Number, scale: Number = 1) -> bool:
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b), scale)


# -- value, partials, weights -----------------------------------------------------------------


def test_the_metrics_that_are_written_by_hand_are_in_the_library() -> None:
    assert set(BY_HAND) <= set(metricc.names())  # the others: docs/parity.md, test_library.py


@pytest.mark.parametrize("formula", FORMULAS)
def test_value_and_partials(formula: str) -> None:
    metric = (BY_HAND | COMPOSED)[formula]
    forms = program(formula).forms
    with mp.workdps(DIGITS):
        for point in points(formula):
            value = metric(*point.values())
            slopes = {cell: slope(metric, point, cell) for cell in CELLS}
            wanted = {
                "value": value,
                **{f"M_{cell}": found for cell, found in slopes.items()},
                "w_plus": slopes["TP"] - slopes["FN"],
                "w_minus": slopes["TN"] - slopes["FP"],
            }
            largest = max(map(abs, wanted.values()))
            for name, expected in wanted.items():
                found = number(forms[name].expression, point)
                assert near(found, expected, largest), (name, point)


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_code_computes_the_forms(formula: str) -> None:
    found = program(formula)
    blocks = [*found.shared.results], [*found.weights.results]
    assert [len(b) for b in blocks] == [5, 2]
    with mp.workdps(DIGITS):
        for point in points(formula):
            try:
                values = [*run(found.shared, point), *run(found.weights, point)]
            except ZeroDivisionError:  # the root of what is 0 everywhere has no slope
                continue
            for name, value in zip(ir.OUTPUTS, values, strict=True):
                assert near(value, number(found.forms[name].expression, point)), name
            for i in range(5):  # the generated file has a function for some of the results alone
                (alone,) = run(found.shared.slice(i), point)
                assert near(alone, values[i])


@pytest.mark.parametrize("formula", FORMULAS)
def test_threshold_is_the_share_of_w_minus(formula: str) -> None:
    found = program(formula)
    assert found.threshold is not None
    with mp.workdps(DIGITS):
        for point in points(formula):
            up, down = (number(found.forms[w].expression, point) for w in ("w_plus", "w_minus"))
            assert near(number(found.threshold, point), down / (up + down))


@pytest.mark.parametrize(
    ("formula", "threshold"),
    [
        ("f1", "f1/2"),
        ("jaccard", "jaccard/(1 + jaccard)"),
        ("fbeta", "fbeta/(1 + beta^2)"),
        ("balanced_accuracy", "P/POP"),
        ("gmean", "TP/(TP + TN)"),
        ("accuracy", "1/2"),
    ],
)
def test_known_thresholds(formula: str, threshold: str) -> None:
    found = program(formula)
    assert found.threshold is not None
    parameters = found.metric.parameters
    head = f"t({', '.join(p.name for p in parameters)})" if parameters else "t"
    text = threshold.replace("fbeta", "fbeta(beta)")
    expected = program(f"{head} = {text}").forms["value"].expression
    assert sympy.simplify(found.threshold - expected) == 0


def table(generator: random.Random) -> tuple[int, int, int, int]:
    a, b, c, d = (generator.randint(1, 60) for _ in CELLS)
    return a, b, c, d


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("accuracy", {}),
        ("balanced_accuracy", {}),
        ("cohen_kappa", {}),
        ("f1", {}),
        ("fbeta", {"beta": 0.5}),
        ("fbeta", {"beta": 2.0}),
        ("jaccard", {}),
        ("mcc", {}),
        ("precision", {}),
        ("recall", {}),
        ("specificity", {}),
    ],
)
def test_value_is_that_of_scikit_learn(name: str, parameters: dict[str, float]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    functions = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "cohen_kappa": metrics.cohen_kappa_score,
        "f1": metrics.f1_score,
        "fbeta": lambda t, p: metrics.fbeta_score(t, p, **parameters),
        "jaccard": metrics.jaccard_score,
        "mcc": metrics.matthews_corrcoef,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "specificity": lambda t, p: metrics.recall_score(t, p, pos_label=0),
    }
    expression = program(name).forms["value"].expression
    generator = random.Random(7)
    for _ in range(10):
        cells = table(generator)
        truth = np.repeat([1, 1, 0, 0], cells)
        predicted = np.repeat([1, 0, 1, 0], cells)
        scope = dict(zip(CELLS, map(mpf, cells), strict=True)) | parameters
        expected = functions[name](truth, predicted)
        assert float(number(expression, scope)) == pytest.approx(expected, rel=1e-12, abs=1e-14)


# -- random formulas --------------------------------------------------------------------------

LEAVES = "TP FN FP TN P N PP PN POP TPR TNR PPV FPR NPV f1 1 2 1/3 0.5".split()
SHAPES = (
    *("({} + {})", "({} - {})", "({}*{})", "({}*{})", "({}/{})", "({}/{})"),
    *("sqrt({})", "({})^2", "({})^-1", "({})^1.5", "({})^(1/3)", "log(1 + {})", "exp(-{})"),
    *("min({}, {})", "max({}, {})", "abs({} - {})", "-({})"),
)


def random_formula(generator: random.Random, depth: int) -> str:
    if depth == 0 or generator.random() < 0.2:
        return generator.choice(LEAVES)
    shape = generator.choice(SHAPES)
    return shape.format(*(random_formula(generator, depth - 1) for _ in range(shape.count("{}"))))


def by_tree(formula: str) -> Metric:
    """The metric by the parsed tree alone: neither resolved nor lowered."""
    metric = parse(formula).metric
    assert metric is not None

    def value(TP: Number, FN: Number, FP: Number, TN: Number) -> Number:
        cells = TP, FN, FP, TN
        scope = dict(zip(CELLS, cells, strict=True))
        scope |= {"P": TP + FN, "N": FP + TN, "PP": TP + FP, "PN": FN + TN, "POP": sum(cells)}
        scope |= {"TPR": recall(*cells), "TNR": specificity(*cells), "PPV": precision(*cells)}
        scope |= {"FPR": FP / (FP + TN), "NPV": npv(*cells), "f1": f1(*cells)}
        return execute(metric.body, scope)

    return value


def check_formula(formula: str, generator: random.Random) -> bool:
    """Compare a formula's code with difference quotients; False where nothing was compared."""
    metric = by_tree(formula)
    points = [{cell: mpf(generator.randint(1, 10**6)) / 10_007 for cell in CELLS} for _ in range(2)]
    compared = False
    try:
        plan, audited = analyse(formula)
        found = plan.program
    except MetriccError:
        return False
    with mp.workdps(DIGITS):
        for point in points:
            try:
                value = metric(*point.values())
                slopes = [slope(metric, point, cell) for cell in CELLS]
            except (ZeroDivisionError, TypeError):  # 1/0, or a minimum of complex numbers
                continue
            if any(mpmath.im(x) for x in (value, *slopes)):
                continue
            value, *slopes = map(mpmath.re, (value, *slopes))
            wanted = [value, *slopes, slopes[0] - slopes[1], slopes[3] - slopes[2]]
            try:
                values = [*run(found.shared, point), *run(found.weights, point)]
            except ZeroDivisionError:  # the root of what is 0 everywhere has no slope
                continue
            largest = max(1, *map(abs, wanted))
            for name, a, b in zip(ir.OUTPUTS, values, wanted, strict=True):
                assert abs(a - b) <= 10**6 * TOLERANCE * largest, (formula, name, point)
            sign = {"score": 1, "error rate": -1, "mixed": 0}[audited.direction]
            assert all(sign * w >= -(10**6) * TOLERANCE * largest for w in wanted[5:]), formula
            compared = True
    return compared


@pytest.mark.parametrize(
    "formula",
    [
        "((PP + 0.5)^1.5)^(1/3)",  # a root of 2 meets another
        "(sqrt(2*PP)/4)^(1/3) + sqrt(PP/8)",
        "min(TNR/0.5, NPV^-1)*max(N, -TP)",  # whose derivative cancels to 0
    ],
)
def test_formulas_that_were_once_wrong(formula: str) -> None:
    assert check_formula(formula, random.Random(1))


def test_random_formulas() -> None:
    generator = random.Random(11)
    compared = [check_formula(random_formula(generator, 2), generator) for _ in range(20)]
    assert sum(compared) > 12


@pytest.mark.slow
def test_many_random_formulas() -> None:
    generator = random.Random(12)
    for _ in range(1_000):
        check_formula(random_formula(generator, 3), generator)


# -- kinks ------------------------------------------------------------------------------------


def partials(formula: str, *cells: str) -> list[Number]:
    scope = dict(zip(CELLS, map(mpf, cells), strict=True))
    return run(program(formula).shared, scope)[1:]


def test_the_slope_of_abs_at_zero_is_zero() -> None:
    assert partials("abs(TP - FN)/2", "3", "3", "1", "1") == [0, 0, 0, 0]
    assert partials("abs(TP - FN)/2", "4", "3", "1", "1") == [0.5, -0.5, 0, 0]


def test_the_slope_of_a_tie_of_two_is_the_mean() -> None:
    assert partials("min(TP, 3*FN)", "3", "1", "1", "1") == [0.5, 1.5, 0, 0]
    assert partials("max(TP, 3*FN)", "3", "1", "1", "1") == [0.5, 1.5, 0, 0]
    assert partials("max(0, TP - FN)", "2", "2", "1", "1") == [0.5, -0.5, 0, 0]


@pytest.mark.parametrize(
    "formula",
    ["abs(mcc)", "abs(gmean - 1/2)", "abs(exp(-FNR))", "abs(min(TPR, TNR))", "abs(TPR^(1/3))"],
)
def test_abs_of_roots_and_functions(formula: str) -> None:
    table = dict(zip(CELLS, map(mpf, TABLES[0]), strict=True))
    found = program(formula).forms["M_TP"].expression
    plain = program(formula.removeprefix("abs(").removesuffix(")")).forms
    sign = mpmath.sign(number(plain["value"].expression, table))
    with mp.workdps(DIGITS):
        assert near(number(found, table), sign * number(plain["M_TP"].expression, table))


# -- removable singularities ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "cells", "value"),
    [
        ("fbeta", {"TP": 0, "FN": 5, "FP": 0, "TN": 9, "beta": 2}, 0),
        ("fbeta", {"TP": 0, "FN": 0, "FP": 4, "TN": 9, "beta": 2}, 0),
        ("2*precision*recall/(precision + recall)", {"TP": 0, "FN": 5, "FP": 0, "TN": 9}, 0),
        ("2/(1/precision + 1/recall)", {"TP": 0, "FN": 5, "FP": 1, "TN": 9}, 0),
        ("4/(1/PPV + 1/TPR + 1/TNR + 1/NPV)", {"TP": 0, "FN": 5, "FP": 1, "TN": 9}, 0),
        ("TP*P/P^2", {"TP": 0, "FN": 1, "FP": 1, "TN": 0}, 0),
        ("(TP^2 - FP^2)/(TP - FP)/POP", {"TP": 2, "FN": 1, "FP": 2, "TN": 3}, sympy.Rational(1, 2)),
        ("sqrt(TP^2*P)/sqrt(P*(TP^2))*TP/P", {"TP": 0, "FN": 4, "FP": 1, "TN": 1}, 0),
        ("exp(log(TPR))", {"TP": 0, "FN": 4, "FP": 1, "TN": 1}, 0),
        ("tversky(1/2, 1/2)", {"TP": 0, "FN": 4, "FP": 0, "TN": 1}, 0),
        ("TP/P - FN/P + FN/P", {"TP": 0, "FN": 4, "FP": 0, "TN": 1}, 0),
    ],
)
def test_removable_singularities_take_their_limit(
    formula: str, cells: dict[str, int], value: sympy.Expr
) -> None:
    point = {sympy.Symbol(name): sympy.Integer(count) for name, count in cells.items()}
    for name, form in program(formula).forms.items():
        assert form.expression.xreplace(point).is_finite, (name, form.expression)
    assert program(formula).forms["value"].expression.xreplace(point) == value


def test_true_singularities_stay() -> None:
    point = dict.fromkeys(map(sympy.Symbol, CELLS), sympy.Integer(0))
    for formula in ("precision", "mcc", "f1"):
        assert program(formula).forms["value"].expression.xreplace(point) is sympy.nan


def test_f1_by_precision_and_recall_is_f1() -> None:
    direct, composed = program("f1"), program("2*precision*recall/(precision + recall)")
    for name in ir.OUTPUTS:
        assert direct.forms[name].expression == composed.forms[name].expression


# -- proofs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_HAND)
def test_every_form_of_a_library_metric_is_proved(name: str) -> None:
    for form in program(name).forms.values():
        assert form.proof.startswith("proved")
        assert form.proved


@pytest.mark.parametrize("formula", COMPOSED)
def test_every_proof_names_its_method(formula: str) -> None:
    for form in program(formula).forms.values():
        assert form.proof.startswith(("proved: ", "compared: "))


@pytest.mark.parametrize("formula", ["f1", "mcc", "-log(f1)", "min(precision, recall)"])
def test_a_wrong_simplification_is_detected(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(expressions: list[sympy.Expr], *names: tuple[str, ...]) -> ir.Block:
        changed = [*expressions[:-1], expressions[-1] + sympy.Symbol("TP") / 10**12]
        return extract(changed, *names)

    monkeypatch.setattr(simplify, "extract", wrong)
    with pytest.raises(AssertionError, match="simplification changed"):
        analyse(formula)


def test_a_wrong_simplification_is_detected_without_the_decision_procedure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Field, "equal", lambda self, a, b: False)
    proofs = {form.proof for form in analyse("mcc")[0].forms.values()}
    assert proofs == {"compared: 20 points, 50 digits"}


def test_a_comparison_at_no_point_is_no_proof() -> None:
    raw = sympy.sqrt(-1 - sympy.Symbol("TP"))
    with pytest.raises(MetriccError, match="no real value"):
        forms = SimpleNamespace(truths={}, settle=lambda e: e, equal=lambda a, b: False)
        simplify._proofs([forms], (), {"value": raw}, {"value": 2 * raw})


def test_a_wrong_simplification_is_detected_by_an_optimizing_python_too() -> None:
    code = (
        "import sympy\n"
        "from metricc import simplify\n"
        "from metricc.compiler import analyse\n"
        "right = simplify.extract\n"
        "simplify.extract = lambda e, p: right([*e[:-1], e[-1] + sympy.Symbol('TP')], p)\n"
        "try:\n"
        "    analyse('f1')\n"
        "except Exception:\n"
        "    print('refused')\n"
    )
    assert python(code, flags=("-O",)) == "refused\n"


# -- size of the code -------------------------------------------------------------------------


def convert(node: syntax.Expression) -> sympy.Expr:
    """A node of the language as SymPy, for counting alone."""
    inner = [convert(child) for child in syntax.children(node)]
    match node:
        case syntax.Number():
            return sympy.Rational(node.value.numerator, node.value.denominator)
        case syntax.Name():
            return sympy.Symbol(node.id)
        case syntax.Negation():
            return -inner[0]
        case syntax.Power():
            return inner[0] ** inner[1]
        case syntax.Sum():
            signs = zip(node.subtracts, inner[1:], strict=True)
            return inner[0] + sum(-e if minus else e for minus, e in signs)
        case syntax.Product():
            signs = zip(node.divides, inner[1:], strict=True)
            return inner[0] * sympy.prod(1 / e if divides else e for divides, e in signs)
        case syntax.Call():
            assert node.function == "sqrt"
            return sympy.sqrt(inner[0])


def test_mcc_and_its_partials_are_at_most_38_operations() -> None:
    block = program("mcc").shared
    expressions = [*(e for _, e in block.assignments), *block.results]
    assert operations(block) <= 38
    assert sum(int(sympy.count_ops(convert(e))) for e in expressions) <= 38


@pytest.mark.parametrize("name", BY_HAND)
def test_the_code_is_not_longer_than_the_raw_derivatives(name: str) -> None:
    found = program(name)
    raw = [found.metric.expression, *found.gradient.partials]
    assert operations(found.shared) <= sum(int(sympy.count_ops(e)) for e in raw)


# -- audit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "direction"),
    [
        *((name, "score") for name in BY_HAND),
        ("1 - f1", "error rate"),
        ("FPR", "error rate"),
        ("FNR", "error rate"),
        ("FDR", "error rate"),
        ("FOR", "error rate"),
        ("(FN + FP)/POP", "error rate"),
        ("-log(f1)", "error rate"),
        ("1/(1 + f1)", "error rate"),
        ("sqrt(FPR*FNR)", "error rate"),
        ("log(f1)", "score"),
        ("exp(mcc)", "score"),
        ("min(TPR, TNR)", "score"),
        ("TPR/FPR", "score"),
        ("TP*TN/(FN*FP)", "score"),
        ("f(w = 1/2 in [0, 1]) = w*TPR + (1 - w)*TNR", "score"),
        ("f(w = -1 in (-inf, 0)) = w*FPR", "score"),
        ("FP/FN", "mixed"),
        ("PP/POP", "mixed"),
        ("TPR - TNR", "mixed"),
        ("1 - abs(TPR - TNR)", "mixed"),
        pytest.param("f(w = 2) = w*TPR", "score"),
        pytest.param("f(w = 2) = (TP + w*TN)/(P + w*N)", "score"),
        pytest.param("f(w = -20 in (-inf, -19)) = (w + 19)*FPR", "score"),
    ],
)
def test_direction(formula: str, direction: str) -> None:
    assert audit(formula).direction == direction


@pytest.mark.parametrize("name", BY_HAND)
def test_direction_of_library_metrics_is_proved(name: str) -> None:
    assert audit(name).direction_proof.startswith("proved")


@pytest.mark.parametrize(
    ("formula", "degenerate"),
    [
        ("precision", True),
        ("recall", True),
        ("specificity", True),
        ("NPV", True),
        ("FPR", True),
        ("FNR", True),
        ("FDR", True),
        ("max(TPR, TNR)", True),
        ("f1", False),
        ("fbeta", False),
        ("mcc", False),
        ("gmean", False),
        ("jaccard", False),
        ("accuracy", False),
        ("balanced_accuracy", False),
        ("cohen_kappa", False),
        ("youden_j", False),
        ("p4", False),
        ("fowlkes_mallows", False),
        ("1 - f1", False),
        ("min(precision, recall)", False),
        pytest.param("TPR/FPR", True),
        pytest.param("TP*TN/(FN*FP)", True),
    ],
)
def test_degenerate_metrics(formula: str, degenerate: bool) -> None:
    assert bool(audit(formula).degenerate) is degenerate


@pytest.mark.parametrize(
    ("formula", "homogeneous"),
    [
        *((name, True) for name in BY_HAND),
        ("-log(f1)", True),
        ("FP/FN", True),
        ("min(TPR, TNR)", True),
        ("TP*TN/(FN*FP)", True),
        ("TP", False),
        ("TP*TN", False),
        ("TP/(P + 1)", False),
        ("log(TP)", False),
        ("TP^2/P", False),
    ],
)
def test_homogeneous_metrics(formula: str, homogeneous: bool) -> None:
    assert audit(formula).homogeneous is homogeneous


@pytest.mark.parametrize(
    ("formula", "depends"),
    [("f1", True), ("TP", True), ("P/POP", False), ("1/2", False), ("TP/P + FN/P", False)],
)
def test_what_predictions_change(formula: str, depends: bool) -> None:
    assert audit(formula).depends is depends


# -- the gradient of AnyLoss for the G-mean ---------------------------------------------------


def test_the_published_gmean_gradient_is_four_times_too_large() -> None:
    """The published constant is -2 where the derivative of 1 - G-mean has -1/2."""
    generator = np.random.default_rng(5)
    n, width, L = 40, 3, 10.0
    X = generator.normal(size=(n, width))
    y = (generator.random(n) < 0.3).astype(float)
    theta = generator.normal(size=width)

    def soft(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = 1 / (1 + np.exp(-X @ theta))
        return p, 1 / (1 + np.exp(-L * (p - 0.5)))

    def loss(theta: np.ndarray) -> float:
        _, A = soft(theta)
        recall, specificity = y @ A / y.sum(), (1 - y) @ (1 - A) / (1 - y).sum()
        return float(1 - np.sqrt(recall * specificity))

    h = 1e-6
    differences = np.array(
        [(loss(theta + h * e) - loss(theta - h * e)) / (2 * h) for e in np.eye(width)]
    )

    p, A = soft(theta)
    w = L * A * (1 - A) * p * (1 - p)
    s_y, s_h, s = y.sum(), A.sum(), y @ A
    R1, R2 = X.T @ (y * w), n - s_h - s_y + s
    shape = (R1 * R2 + (R1 - X.T @ w) * s) / np.sqrt(s_y * (n - s_y) * s * R2)
    np.testing.assert_allclose(-shape / 2, differences, rtol=1e-7)
    np.testing.assert_allclose(-2 * shape, 4 * differences, rtol=1e-7)

    table = {"TP": s, "FN": s_y - s, "FP": s_h - s, "TN": R2}
    scope = {cell: mpf(float(count)) for cell, count in table.items()}
    w_plus, w_minus = (float(x) for x in run(program("gmean").weights, scope))
    ours = X.T @ (-(y * w_plus - (1 - y) * w_minus) * w)
    np.testing.assert_allclose(ours, differences, rtol=1e-7)
    np.testing.assert_allclose(ours, -shape / 2, rtol=1e-12)


# -- processes --------------------------------------------------------------------------------


def python(code: str, seed: str = "0", flags: tuple[str, ...] = ()) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *flags, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torch_and_sympy_are_loaded_where_they_are_needed() -> None:
    code = (
        "import sys\n"
        "def loaded(): print(*(m for m in ('torch', 'sympy', 'lark') if m in sys.modules), '.')\n"
        "import metricc; loaded()\n"
        "metricc.names(); loaded()\n"
        "from metricc.compiler import analyse; analyse('f1'); loaded()\n"
        "m = metricc.compile('f1'); m.source; m.partials; m.audit(); loaded()\n"
    )
    assert python(code).splitlines() == [".", "lark .", *["sympy lark ."] * 2]
