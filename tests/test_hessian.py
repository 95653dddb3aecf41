"""Second derivatives: against difference quotients, torch, identities and dual numbers.

The metrics are written here once more by hand, and differentiated numerically.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations_with_replacement, product
from pathlib import Path

import mpmath
import pytest
import sympy
from click.testing import CliRunner
from mpmath import mp, mpf

import metricc
from metricc import hessian, ir, simplify
from metricc.cli import main
from metricc.compiled import CompiledMetric
from metricc.compiler import analyse
from metricc.errors import MetriccError
from metricc.verify import second
from metricc.verify.oracle import DIGITS, Dual, DualArithmetic, walk

ROOT = Path(__file__).parent.parent
CELLS = ("TP", "FN", "FP", "TN")
STEP = mpf(10) ** -20
Number = mpmath.mpf


def gmean(a: Number, b: Number, c: Number, d: Number) -> Number:
    return mpmath.sqrt(a * d / ((a + b) * (c + d)))


def mcc(a: Number, b: Number, c: Number, d: Number) -> Number:
    return (a * d - b * c) / mpmath.sqrt((a + b) * (a + c) * (d + b) * (d + c))


def f1(a: Number, b: Number, c: Number, d: Number) -> Number:
    return 2 * a / (2 * a + b + c)


BY_HAND: dict[str, Callable[..., Number]] = {
    "f1": f1,
    "2*precision*recall/(precision + recall)": f1,
    "mcc": mcc,
    "gmean": gmean,
    "accuracy": lambda a, b, c, d: (a + d) / (a + b + c + d),
    "cohen_kappa": lambda a, b, c, d: 2 * (a * d - b * c) / ((a + c) * (c + d) + (a + b) * (b + d)),
    "-log(f1)": lambda *x: -mpmath.log(f1(*x)),
    "exp(-FN/POP)*TNR": lambda a, b, c, d: mpmath.exp(-b / (a + b + c + d)) * d / (c + d),
    "min(f1, TNR)*gmean": lambda a, b, c, d: min(f1(a, b, c, d), d / (c + d)) * gmean(a, b, c, d),
    "abs(TPR - TNR)^1.5": lambda a, b, c, d: abs(a / (a + b) - d / (c + d)) ** mpf("1.5"),
    "if TPR < TNR then mcc else f1": lambda a, b, c, d: (
        mcc(a, b, c, d) if a / (a + b) < d / (c + d) else f1(a, b, c, d)
    ),
    "yule_y": lambda a, b, c, d: (
        (mpmath.sqrt(a * d) - mpmath.sqrt(b * c)) / (mpmath.sqrt(a * d) + mpmath.sqrt(b * c))
    ),
    "f(beta = 2 in (0, inf)) = fbeta(beta)": lambda a, b, c, d, s=2: (
        (1 + s * s) * a / ((1 + s * s) * a + s * s * b + c)
    ),
    "macro(f1)": lambda a, b, c, d: (f1(a, b, c, d) + f1(d, c, b, a)) / 2,
    "TP*TN/POP": lambda a, b, c, d: a * d / (a + b + c + d),
}
TABLES = [("40", "7", "13", "140"), ("3", "5", "2", "11"), ("0.5", "2.25", "1.125", "700")]


@cache
def compiled(formula: str, task: str = "binary") -> CompiledMetric:
    return metricc.compile(formula, maximize=True, task=task)


def at(expression: sympy.Expr, point: Mapping[str, str]) -> Number:
    """An expression at a table of exact numbers."""
    exact = {sympy.Symbol(name): sympy.Rational(text) for name, text in point.items()}
    return mpf(str(expression.xreplace(exact).evalf(40)))


def quotient(metric: Callable[..., Number], table: tuple[str, ...], i: int, j: int) -> Number:
    """The central difference quotient in two cells."""
    total = mpf(0)
    for s, t in product((1, -1), repeat=2):
        cells = [mpf(x) for x in table]
        cells[i] += s * STEP
        cells[j] += t * STEP
        total += s * t * metric(*cells)
    return total / (4 * STEP**2)


@pytest.mark.parametrize("formula", BY_HAND)
def test_every_entry_is_a_difference_quotient(formula: str) -> None:
    found = compiled(formula).hessian
    assert found.shape == (4, 4) and found == found.T
    for table in TABLES[:2]:
        point = {**dict(zip(CELLS, table, strict=True)), "beta": "2"}
        with mp.workdps(80):
            places = [*combinations_with_replacement(range(4), 2)]
            wanted = [quotient(BY_HAND[formula], table, *place) for place in places]
            largest = max(map(abs, wanted))
            for place, expected in zip(places, wanted, strict=True):
                assert abs(at(found[place], point) - expected) <= largest * mpf(10) ** -25


def test_the_entries_of_f1_by_hand() -> None:
    TP, FN, FP, _ = symbols = sympy.symbols(CELLS)
    below = (2 * TP + FN + FP) ** 3
    same, mixed = 4 * TP / below, (4 * TP - 2 * FN - 2 * FP) / below
    wanted = sympy.Matrix(
        [
            [-8 * (FN + FP) / below, mixed, mixed, 0],
            [mixed, same, same, 0],
            [mixed, same, same, 0],
            [0, 0, 0, 0],
        ]
    )
    assert compiled("f1").symbols == symbols
    assert sympy.simplify(compiled("f1").hessian - wanted) == sympy.zeros(4, 4)


@pytest.mark.parametrize(("formula", "degree"), [("f1", 0), ("mcc", 0), ("TP*TN/POP", 1)])
def test_eulers_identity(formula: str, degree: int) -> None:
    """A metric of degree k has partials of degree k - 1: H (TP, FN, FP, TN) = (k - 1) grad M."""
    m = compiled(formula)
    product_ = m.hessian * sympy.Matrix(m.symbols)
    slopes = sympy.Matrix([m.partials[cell] for cell in CELLS])
    difference = product_ - (degree - 1) * slopes
    for table in TABLES:
        point = dict(zip(m.symbols, map(sympy.Rational, table), strict=True))
        assert all(sympy.simplify(entry.xreplace(point)) == 0 for entry in difference)


# -- in the predictions ---------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["f1", "mcc", "TPR[amount]*TNR", "f1[amount] + gmean"])
def test_the_hessian_in_the_predictions_is_made_of_the_curvature(formula: str) -> None:
    """d2M/da_i da_j = u_i K u_j, with labels and weights that are no whole numbers."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(3)
    a, y, v, c = torch.rand(4, 7, dtype=torch.float64, generator=generator)

    def counts(a: object, v: object) -> list[object]:
        return [
            (v * y * a).sum(),
            (v * y * (1 - a)).sum(),
            (v * (1 - y) * a).sum(),
            (v * (1 - y) * (1 - a)).sum(),
        ]

    def metric(a: object) -> object:
        TP, FN, FP, TN = counts(a, v)
        tp, fn, fp, _ = counts(a, v * c)
        root = (TP / (TP + FN) * TN / (TN + FP)) ** 0.5
        return {
            "f1": lambda: 2 * TP / (2 * TP + FN + FP),
            "mcc": lambda: (
                (TP * TN - FP * FN) / ((TP + FN) * (TP + FP) * (TN + FN) * (TN + FP)) ** 0.5
            ),
            "TPR[amount]*TNR": lambda: tp / (tp + fn) * TN / (TN + FP),
            "f1[amount] + gmean": lambda: 2 * tp / (2 * tp + fn + fp) + root,
        }[formula]()

    m = compiled(formula)
    numbers = [*counts(a, v), *counts(a, v * c)][: len(m.plan.metric.cells)]
    K = torch.tensor(sympy.lambdify(m.symbols, m.curvature)(*map(float, numbers)))
    u = torch.stack([v * y, -v * (1 - y)], 1)
    if m.plan.metric.columns:
        u = torch.cat([u, u * c[:, None]], 1)
    wanted = torch.func.hessian(metric)(a)
    torch.testing.assert_close(u @ K @ u.T, wanted, rtol=1e-10, atol=1e-12)


def test_shapes_with_columns_and_element_losses() -> None:
    m = compiled("0.5*bce + 0.5*(1 - f1[amount]*TNR)")
    assert m.plan.metric.variables[-1] == "bce"
    assert m.hessian.shape == (9, 9) and m.hessian == m.hessian.T
    assert m.curvature.shape == (4, 4) and m.curvature == m.curvature.T
    assert not any(m.hessian[8, :])
    slopes = sympy.Matrix([*compiled("f1").partials.values()])
    assert slopes == compiled("bce*f1").hessian[:4, 4]


def test_parameters_stay_symbols() -> None:
    beta = sympy.Symbol("beta")
    found = compiled("fbeta").hessian
    assert beta in found.free_symbols
    difference = found.subs(beta, 1) - compiled("f1").hessian
    assert sympy.simplify(difference) == sympy.zeros(4, 4)


# -- where minima, maxima and conditions choose ---------------------------------------------------


def test_a_choice_itself_does_not_bend() -> None:
    point = dict(zip(sympy.symbols(CELLS), (4, 6, 3, 7), strict=True))
    lower = compiled("TPR").hessian.xreplace(point)
    assert compiled("min(TPR, TNR)").hessian.xreplace(point) == lower
    assert compiled("if TPR < TNR then TPR else TNR").hessian.xreplace(point) == lower


def test_at_a_tie_of_two_it_is_the_mean() -> None:
    point = dict(zip(sympy.symbols(CELLS), (4, 6, 6, 4), strict=True))
    both = (compiled("TPR").hessian + compiled("TNR").hessian) / 2
    assert compiled("max(TPR, TNR)").hessian.xreplace(point) == both.xreplace(point)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "task"),
    [("f1", "multiclass"), ("macro(f1)", "multilabel"), ("samples(f1)", "binary")],
)
def test_several_tables_are_refused(formula: str, task: str) -> None:
    with pytest.raises(MetriccError, match="those of one table") as caught:
        _ = compiled(formula, task).hessian
    (found,) = caught.value.diagnostics
    assert found.code == "MC0501" and found.hint is not None
    result = CliRunner().invoke(main, ["derive", formula, "--order", "2", "--task", task])
    assert result.exit_code == 2 and "MC0501" in result.stderr


# -- the oracle, and that it catches --------------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    ["mcc", "-log(f1)", "exp(-FNR)*abs(TPR - TNR)", "(TPR*TNR*PPV)^(1/3)", "max(f1, mcc)^2"],
)
def test_second_order_dual_numbers_are_slopes_of_first_order_ones(formula: str) -> None:
    metric = analyse(formula)[0].metric

    def slopes(point: Mapping[str, Number]) -> Mapping[object, Number]:
        scope = {name: Dual(x, {name: mpf(1)}) for name, x in point.items()}
        found: Dual = walk(metric.text, DualArithmetic(), scope)
        return found.slopes

    with mp.workdps(DIGITS):
        step = mpf(10) ** -40
        for table in TABLES[1:2]:
            point = dict(zip(CELLS, map(mpf, table), strict=True))
            found = second.jet(metric, {}, point).second
            for one, other in product(CELLS, repeat=2):
                above, below = (slopes({**point, other: point[other] + s * step}) for s in (1, -1))
                wanted = (above.get(one, mpf(0)) - below.get(one, mpf(0))) / (2 * step)
                assert abs(found.get((one, other), mpf(0)) - wanted) < mpf(10) ** -60


@pytest.mark.parametrize("formula", ["f1", "mcc", "min(precision, recall)"])
def test_a_wrong_entry_is_caught(formula: str) -> None:
    found = compiled(formula).second
    assert second.check(found).passed
    for name, form in [*found.forms.items()][::5]:
        factor = 1 + sympy.Rational(1, 10**36)
        wrong = replace(form, expression=form.expression * factor + sympy.Symbol("TP") / 10**30)
        assert second.check(replace(found, forms={**found.forms, name: wrong})).passed is False


@pytest.mark.parametrize("formula", ["f1", "-log(f1)"])
def test_a_wrong_simplification_is_caught(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = simplify.Forms.choose

    def wrong(forms: simplify.Forms, name: str, *rest: object) -> tuple[str, sympy.Expr]:
        choice, expression = right(forms, name, *rest)
        return choice, expression + sympy.Symbol("TP") / 10**12

    plan = analyse(formula)[0]
    monkeypatch.setattr(simplify.Forms, "choose", wrong)
    with pytest.raises(AssertionError, match="simplification changed"):
        hessian.hessian(plan)


def test_edges_with_a_limit_are_compared() -> None:
    found = compiled("2*precision*recall/(precision + recall)").second
    assert second.check(found).measured == "12 tables and 9 with zeros agree to 40 digits"


@pytest.mark.parametrize(
    "formula",
    ["weighted(recall)", "micro(f1)", "worst(recall)", "geomean(TPR)", "sum(f1)*focal(2)"],
)
def test_reductions_over_both_classes(formula: str) -> None:
    assert second.check(hessian.hessian(analyse(formula)[0])).passed


def test_where_no_table_has_a_value_nothing_is_judged() -> None:
    check = second.check(hessian.hessian(analyse("log(0.5 - POP)")[0]))
    assert check.passed is None and check.measured == "no table has second derivatives"


@pytest.mark.slow
@pytest.mark.parametrize("name", metricc.names())
def test_every_metric_of_the_library(name: str) -> None:
    metric = analyse(name)[0]
    if not metric.metric.single:
        pytest.skip("several tables")
    found = hessian.hessian(metric)
    check = second.check(found)
    assert check.passed, check.measured
    compared = [n for n, form in found.forms.items() if not form.proved]
    assert len(compared) <= 2, compared


# -- the command ----------------------------------------------------------------------------------


def out(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["derive", *arguments, "--order", "2"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_derive_as_text() -> None:
    text = out("f1")
    assert "d2M/dTP dFN          = -2*(FN + FP - 2*TP)/(FN + FP + 2*TP)**3\n" in text
    assert "K[w_minus, w_minus]  = 4*TP/(FN + FP + 2*TP)**3\n" in text
    assert "\nThe other 4 are 0.\n" in text
    assert "second-order dual numbers" in text and "agree to 40 digits." in text
    for one, other in ir.Curvature(analyse("f1")[0].metric, ()).entries:
        name = f"d2M/d{one}2" if one == other else f"d2M/d{one} d{other}"
        assert f"\n{name} " in text and f"{name}  " in text.split("output ")[1]
    assert text.count("proved: rational functions") == 13
    assert "The metric is linear in the counts." in out("TP - FP")


def test_derive_as_sympy_runs_in_sympy() -> None:
    scope: dict[str, object] = {}
    exec("from sympy import *\n" + out("fbeta", "--format", "sympy"), scope)
    m = compiled("fbeta")
    assert sympy.simplify(scope["hessian"] - m.hessian) == sympy.zeros(4, 4)
    assert sympy.simplify(scope["curvature"] - m.curvature) == sympy.zeros(2, 2)


def test_derive_as_latex() -> None:
    lines = out("jaccard", "--format", "latex").splitlines()
    assert len(lines) == 13
    assert lines[0].startswith(r"\frac{\partial^{2} M}{\partial {TP}^{2}} = ")
    assert lines[1].startswith(r"\frac{\partial^{2} M}{\partial TP\, \partial FN} = ")
    assert lines[-1].startswith("K_{--} = ")
    assert r"K_{+^{amount}-^{amount}} = " in out("recall[amount]", "--format", "latex")


def test_derive_as_json() -> None:
    data = json.loads(out("tversky", "--format", "json"))
    keys = "formula name task parameters columns hessian curvature forms check"
    assert [*data] == keys.split()
    assert [*data["hessian"]] == [*data["hessian"]["TN"]] == [*CELLS]
    assert data["hessian"]["TP"]["FN"] == data["hessian"]["FN"]["TP"]
    assert [*data["curvature"]] == ["w_plus", "w_minus"]
    assert len(data["forms"]) == 13
    assert data["forms"]["(TP, FN)"]["proof"] == "proved: rational functions"
    assert data["check"]["passed"] is True


def test_a_third_order_is_refused() -> None:
    result = CliRunner().invoke(main, ["derive", "f1", "--order", "3"])
    assert result.exit_code == 2 and "--order" in result.stderr


@pytest.mark.slow
def test_the_same_bytes_in_every_process_and_no_torch() -> None:
    code = (
        "import sys\nfrom metricc.cli import main\n"
        "try:\n    main(['derive', 'mcc', '--order', '2'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    found = set()
    for seed in ("0", "1", "31337"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
