"""The forms that the compiler picks: measured errors, operations, and the executor that measures.

The executor is compared with NumPy by hand; the exact results with finite differences in mpmath of
metrics that are written here once more.
"""

from __future__ import annotations

import math
import re
import runpy
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy
from mpmath import mpf

import metricc
from metricc import accuracy, ir, library
from metricc.audit import rounding
from metricc.cancellation import COUNTS, NONE, RESULTS, absorbed, collected, subtracts
from metricc.compiler import analyse
from metricc.extract import extract, operations
from metricc.kinks import settled
from metricc.load import load_file
from metricc.rounded import run
from metricc.signs import sign_of

ROOT = Path(__file__).parent.parent
CELLS = frozenset({"TP", "FN", "FP", "TN"})
TP, FN, FP, TN = sympy.symbols("TP FN FP TN")
QUICK = ("f1", "mcc", "cohen_kappa", "youden_j", "yule_y", "mutual_information", "iba")
# Those that miss a bound, with the figure that docs/numerics.md gives the reason for.
MISSED64 = frozenset(
    "similarity_index normalized_mcc savings savings_by_amount goodman_kruskal_lambda agm "
    "goodman_kruskal_lambda_b kl_divergence eds seds consonni_todeschini_1 optimized_precision "
    "consonni_todeschini_2 consonni_todeschini_3 consonni_todeschini_4 homogeneity completeness "
    "normalized_mutual_information".split()
)
MISSED32 = MISSED64 | frozenset(
    "mutual_information conditional_entropy joint_entropy confusion_entropy edi sedi "
    "modified_confusion_entropy recall_at_precision sensitivity_at_specificity".split()
)


def measured(name: str, count: int) -> list[list[accuracy.Measured]]:
    program = analyse(name)[0].program
    blocks = (
        (program.shared, ir.shared_outputs(program.metric)),
        (program.weights, ir.weight_outputs(program.metric)),
    )
    return accuracy.measure(program.gradient.raw, blocks, program.metric, count)


@pytest.mark.parametrize("name", QUICK)
def test_the_chosen_form_is_within_the_bounds(name: str) -> None:
    for wide, narrow in measured(name, 60):
        assert wide.worst <= 1e-13 and not wide.above
        assert narrow.worst <= (1e-6 if name in MISSED32 else 6e-7) and not narrow.above


@pytest.mark.slow
@pytest.mark.parametrize("name", library.metrics())
def test_every_metric_is_within_the_bounds(name: str) -> None:
    for wide, narrow in measured(name, 400):
        assert wide.worst <= (1e-5 if name in MISSED64 else 1e-13)
        assert name in MISSED32 or narrow.worst <= 6e-7
        assert not wide.above and not narrow.above  # no overflow at counts of 1e9


def test_mcc_and_its_partials_are_at_most_37_operations() -> None:
    program = analyse("mcc")[0].program
    assert operations(program.shared) <= 37
    parts = [sympy.count_ops(_sympy(e)) for _, e in program.shared.assignments]
    assert sum(parts) + sum(sympy.count_ops(_sympy(r)) for r in program.shared.results) <= 37


def _sympy(expression: object) -> sympy.Expr:
    """A line of code as SymPy reads it."""
    text = str(expression).replace("^", "**")
    names = {n: sympy.Symbol(n) for n in re.findall(r"[A-Za-z]\w*", text) if n != "sqrt"}
    return sympy.sympify(text, locals=names, evaluate=False)


# -- the executor -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_executor_rounds_as_numpy_by_hand(dtype: str) -> None:
    kind = np.dtype(dtype).type
    generator = np.random.default_rng(0)
    a, b, c, d = (10 ** generator.uniform(-3, 9, (4, 50))).astype(dtype)
    block = extract([sympy.sqrt(TP * TN / ((TP + FN) * (FP + TN))), TP**2 / 3 - FN], ())
    found, _ = run(block, dict(zip(("TP", "FN", "FP", "TN"), (a, b, c, d), strict=True)), dtype)
    assert all(x.dtype == kind for x in found)
    assert np.array_equal(found[0], np.sqrt(a * d / ((a + b) * (c + d))))
    assert np.array_equal(found[1], a**2 / kind(3) - b)


def test_the_executor_agrees_with_a_generated_file_on_floats(tmp_path: Path) -> None:
    from metricc.compiler import compile as build

    for name in ("yule_y", "information_score"):
        made = build(name, name=name, maximize=True)
        path = tmp_path / f"{name}_loss.py"
        path.write_text(made.source)
        module = load_file(path, name)
        program = made.plan.program
        rows = list(accuracy.points(program.metric, 40))
        scope = {c: np.array([row[c] for row in rows]) for c in rows[0]}
        values, _ = run(program.shared, scope, "float64")
        weights, _ = run(program.weights, scope, "float64")
        for i, row in enumerate(rows):
            given = [row[c] for c in ("TP", "FN", "FP", "TN")]
            assert module.value(*given) == pytest.approx(values[0][i], rel=1e-14, abs=1e-300)
            for one, two in zip(module.weights(*given), weights, strict=True):
                assert one == pytest.approx(two[i], rel=1e-13, abs=1e-300)


def test_what_leaves_the_range_of_float32_is_seen() -> None:
    x = np.array([1.0, 1e9])
    scope = dict.fromkeys(("TP", "FN", "FP", "TN"), x)
    code = extract([TP**5], ())
    narrow, wide = run(code, scope, "float32")[1], run(code, scope, "float64")[1]
    places = [mask.tolist() for mask in narrow.above.values()]
    assert places and all(place == [False, True] for place in places)
    assert not wide.above and wide.largest == pytest.approx(1e45)


def test_points_reach_the_edges_and_1e9_and_are_the_same_ones_every_time() -> None:
    metric = analyse("f1")[0].metric
    rows = list(accuracy.points(metric, 100))
    assert rows == list(accuracy.points(metric, 100))
    assert all(float(np.float32(x)) == x for row in rows for x in row.values())
    assert {"TP": 1e9, "FN": 1e9, "FP": 1e9, "TN": 1e9} in rows
    assert any(row["FN"] == row["FP"] == 0 < row["TP"] for row in rows)


def test_the_condition_number_is_that_of_finite_differences() -> None:
    metric = analyse("mcc")[0].metric
    row = {"TP": 40.0, "FN": 7.0, "FP": 13.0, "TN": 140.0}

    def mcc(TP: mpf, FN: mpf, FP: mpf, TN: mpf) -> mpf:
        return (TP * TN - FN * FP) / mpmath.sqrt((TP + FP) * (TP + FN) * (TN + FP) * (TN + FN))

    with mpmath.workdps(60):
        exact = {c: mpf(x) for c, x in row.items()}
        step = mpf(10) ** -20
        wanted = sum(
            abs(mcc(**{**exact, c: x * (1 + step)}) - mcc(**exact)) / step for c, x in exact.items()
        ) / abs(mcc(**exact))
        raw = {"value": analyse("mcc")[0].program.gradient.raw["value"]}
        ((number, condition),) = [r["value"] for r in accuracy._exact(raw, [row], metric.cells)]
        assert abs(number - mcc(**exact)) < mpf(10) ** -50
        assert abs(condition - wanted) < mpf(10) ** -12


# -- what the rule sees -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (TP / (TP + FN), NONE),
        ((TP * TN - FN * FP) / (TP + FN), COUNTS),
        (TP / (TP + FN) + TN / (TN + FP) - 1, RESULTS),
        (sympy.Heaviside(TP - FN) * TP, NONE),
        (sympy.sqrt(TP) - sympy.sqrt(FN), RESULTS),
        ((TP / (TP + FN) - TP / (TP + FP)) * (TP / FN - 1), RESULTS + 1),
        ((2 * sympy.Heaviside(TP - FN) - 1) * TP, NONE),
    ],
)
def test_what_a_form_subtracts(expression: sympy.Expr, found: int) -> None:
    assert subtracts(expression, CELLS, CELLS) == found


def test_what_is_shared_is_looked_at_once() -> None:
    expression = TP
    for _ in range(60):  # written out, 2^60 times its first part
        expression = (expression + FN) / (expression * FP + 1)
    assert sign_of(expression, CELLS) == 1
    assert subtracts(expression, CELLS, CELLS) == NONE
    assert subtracts(1 - expression, CELLS, CELLS) == RESULTS


def test_parameters_that_subtract_are_collected() -> None:
    a, b = sympy.symbols("a b")
    polynomial = sympy.expand((a - b) * FP + (a + b) * FN - b * TN)
    found = collected(polynomial, CELLS | {"a", "b"}, CELLS)
    assert (a - b) * FP in found.args
    assert sympy.expand(found - polynomial) == 0


def test_minima_are_written_as_people_do() -> None:
    settle = settled(sympy.Min(TP, FN), CELLS)
    shifted = settle(sympy.Min(TP + FN, TP + FP)) - TP
    assert absorbed(sympy.expand(shifted), CELLS) == sympy.Min(FN, FP)
    assert absorbed(TP + FN - sympy.Max(TP, FN), CELLS) == sympy.Min(TP, FN)
    assert settle(sympy.Heaviside(FN - TP)) + settle(sympy.Heaviside(TP - FN)) == 1


@pytest.mark.parametrize(
    ("name", "output", "point", "wanted"),
    [
        # by hand: min(FN, FP)/min(P, PP)^2, TP*FP*N*P-wise sums, log1p of small shares
        ("overlap_coefficient", "M_TP", (1e8, 0.5, 6e6, 4e7), 0.5 / (1e8 + 0.5) ** 2),
        ("youden_j", "value", (0.01, 6e8, 0.003, 1e6), 0.01 / (6e8 + 0.01) - 0.003 / (1e6 + 0.003)),
        ("markedness", "value", (5.0, 3.0, 1e9, 7e8), 5 / (1e9 + 5) - 3 / (7e8 + 3)),
    ],
)
def test_digits_that_the_formula_as_written_loses(
    name: str, output: str, point: tuple[float, ...], wanted: float
) -> None:
    program = analyse(name)[0].program
    scope = {c: np.array(x) for c, x in zip(("TP", "FN", "FP", "TN"), point, strict=True)}
    results, _ = run(program.shared, scope, "float64")
    place = ir.shared_outputs(program.metric).index(output)
    assert float(results[place]) == pytest.approx(wanted, rel=1e-13)


def test_the_implied_code_of_logarithms_is_checked() -> None:
    from metricc.extract import inline
    from metricc.select import LogRatio

    right = extract([LogRatio(TP + FN, TP, FN)], ())
    assert inline(right) == [sympy.log((TP + FN) / TP)]
    with pytest.raises(AssertionError):
        inline(extract([LogRatio(TP + FN, TP, FP)], ()))


# -- audit and page ---------------------------------------------------------------------------


class _Subject:
    def __init__(self, formula: str) -> None:
        self.plan = analyse(formula)[0]


def test_the_audit_says_what_rounding_does() -> None:
    found = {f.code: f for f in rounding.findings(_Subject("mcc"))}  # type: ignore[arg-type]
    assert set(found) == {"MC0661", "MC0662", "MC0663"}
    assert found["MC0661"].severity == "note" and "none overflows" in found["MC0661"].fact
    assert dict(found["MC0662"].data)["forms"] == ("value",)
    data = dict(found["MC0663"].data)
    assert isinstance(data["float64"], float) and data["float64"] < 1e-13
    assert isinstance(data["float32"], float) and data["float32"] < 6e-7
    f1 = [f.code for f in rounding.findings(_Subject("f1"))]  # type: ignore[arg-type]
    assert f1 == ["MC0661", "MC0663"]  # it subtracts nowhere
    over = {f.code: f for f in rounding.findings(_Subject("TP^3*TN^3/POP^3"))}  # type: ignore[arg-type]
    assert over["MC0661"].severity == "note"  # as quotients of quotients


def test_logarithms_of_quotients_of_negative_sides_are_kept(tmp_path: Path) -> None:
    for sides, formula in (("TP - FN", "TP - 2*FN"), ("1 + TP", "1 + TP + FN")):
        compiled = metricc.compile(f"log(({sides})/({formula}))", maximize=True)
        compiled.save(tmp_path / "made.py")
        made = runpy.run_path(str(tmp_path / "made.py"))
        found = made["value"](1.0, 5.0, 2.0, 4.0), made["value"](9.0, 1.0, 2.0, 3.0)
        wanted = (
            (math.log(4 / 9), math.log(8 / 7))
            if sides == "TP - FN"
            else (math.log(2 / 7), math.log(10 / 11))
        )
        assert found == pytest.approx(wanted, rel=1e-14)


def test_the_page_has_every_metric_with_its_forms_and_operations() -> None:
    page = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")
    for name in library.metrics():
        assert f"| `{name}` |" in page
    program = ROOT / "docs" / "benchmarks" / "forms.py"
    code = (
        "import runpy, sys; from metricc.compiler import analyse\n"
        f"forms = runpy.run_path({str(program)!r})\n"
        f"for name in {QUICK!r}:\n    print(forms['fixed'](name, analyse(name)[0].program))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        assert line in page, line
