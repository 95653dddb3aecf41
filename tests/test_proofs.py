"""What is proved and how: sums of roots by their conjugates, functions as variables, cases.

The identities are known ones; the reciprocals are checked in mpmath; and what is not equal is
never proved equal.
"""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import pytest
import sympy
from mpmath import mp, mpf

from metricc import algebra, elements
from metricc.algebra import Field
from metricc.compiler import analyse
from metricc.factoring import TooLarge
from metricc.verify import derivation

ROOT = Path(__file__).parent.parent
CELLS = ("TP", "FN", "FP", "TN")
TP, FN, FP, TN = CELL_SYMBOLS = sympy.symbols(CELLS)
third, fourth = sympy.Rational(1, 3), sympy.Rational(1, 4)
nested = sympy.sqrt(1 + sympy.sqrt(TP))
u, v = sympy.sqrt(TP * TN), sympy.sqrt(FN * FP)

# Equal functions, by hand.
IDENTITIES = {
    "two roots": (
        1 / (sympy.sqrt(TP) + sympy.sqrt(FN)),
        (sympy.sqrt(TP) - sympy.sqrt(FN)) / (TP - FN),
    ),
    "Yule's Y": ((u - v) / (u + v), (TP * TN + FN * FP - 2 * u * v) / (TP * TN - FN * FP)),
    "cube roots": (
        1 / (TP**third + FN**third),
        (TP ** (2 * third) - (TP * FN) ** third + FN ** (2 * third)) / (TP + FN),
    ),
    "fourth roots": (
        1 / (1 + TP**fourth),
        (1 - TP**fourth) * (1 + sympy.sqrt(TP)) / (1 - TP),
    ),
    "roots of numbers": (1 / (sympy.sqrt(2) + sympy.sqrt(3)), sympy.sqrt(3) - sympy.sqrt(2)),
    "a square": (
        1 / (sympy.sqrt(TP) + sympy.sqrt(FN)) ** 2,
        (TP + FN - 2 * sympy.sqrt(TP * FN)) / (TP - FN) ** 2,
    ),
    "a quotient of quotients": (
        sympy.sqrt(FP / (FP + TN)) / (sympy.sqrt(TP / (TP + FN)) + sympy.sqrt(FP / (FP + TN))),
        1 / (1 + sympy.sqrt(TP * (FP + TN) / (FP * (TP + FN)))),
    ),
    "beside a logarithm": (
        sympy.log(TP) / (sympy.log(TP) + sympy.sqrt(FN)),
        1 - sympy.sqrt(FN) * (sympy.log(TP) - sympy.sqrt(FN)) / (sympy.log(TP) ** 2 - FN),
    ),
    "a root in a root": (1 / (1 + nested), (nested - 1) / sympy.sqrt(TP)),
    "its product with another": (
        sympy.sqrt((1 + sympy.sqrt(TP)) / (FN + FP)) * (1 + nested),
        (nested + 1 + sympy.sqrt(TP)) / sympy.sqrt(FN + FP),
    ),
    "a root of what may be negative": (
        (sympy.sqrt(TP - FN) - 1) * (sympy.sqrt(TP - FN) + 1),
        TP - FN - 1,
    ),
    "a root of a logarithm": (
        1 / (1 + sympy.sqrt(sympy.log(TP))),
        (1 - sympy.sqrt(sympy.log(TP))) / (1 - sympy.log(TP)),
    ),
}


def field(*expressions: sympy.Expr) -> Field:
    return Field(expressions, frozenset(CELLS))


@pytest.mark.parametrize("name", IDENTITIES)
def test_sums_of_roots_in_denominators_are_decided(name: str) -> None:
    one, two = IDENTITIES[name]
    assert field(one, two).equal(one, two)
    for wrong in (two + sympy.sqrt(TP) / 10**6, -two, two * TP, two * sympy.sqrt(FN)):
        assert not field(one, wrong).equal(one, wrong)


def test_a_root_that_is_a_sum_itself_is_not_seen_and_nothing_wrong_follows() -> None:
    """sqrt(a) + sqrt(b) is the root of a + b + 2 sqrt(ab), which no procedure here decides."""
    one, two = sympy.sqrt(TP + FN + 2 * sympy.sqrt(TP * FN)), sympy.sqrt(TP) + sympy.sqrt(FN)
    assert not field(one, two).equal(one, two)
    with pytest.raises(ZeroDivisionError):
        found = field(1 / (one - two))
        found.element(1 / (one - two))


def test_what_has_no_reciprocal_within_the_budget_is_multiplied_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(elements, "MAX_NORM", 1)
    root = sympy.sqrt(TP * (FN + FP))
    one, above = root - FN, root + TP * (FN + FP) - FN - FN * root
    with pytest.raises(TooLarge):
        field(root).element(above / (1 + root))
    assert field(one).equal(one, above / (1 + root))
    assert not field(one).equal(one, above / (2 + root))


def value(expression: sympy.Expr, point: dict[sympy.Symbol, mpf]) -> mpf:
    return mpf(str(expression.subs(point).evalf(40)))


def written(found: Field, element: elements.Element) -> sympy.Expr:
    """An element as an expression."""
    total = sympy.Integer(0)
    for roots, (numerator, denominator) in element.items():
        term = numerator.as_expr()
        for factor, power in denominator.items():
            term /= factor.as_expr() ** power
        for root, part in roots:
            base = sympy.Integer(root) if isinstance(root, int) else root.as_expr()
            term *= base ** sympy.Rational(part.numerator, part.denominator)
        total += term
    return total


@pytest.mark.parametrize("seed", range(12))
def test_reciprocals_of_random_sums_of_roots(seed: int) -> None:
    generator = random.Random(seed)
    parts = [
        generator.randint(1, 5)
        * generator.choice(CELL_SYMBOLS)
        ** sympy.Rational(generator.randint(1, 3), generator.choice((1, 2, 2, 3, 4)))
        * generator.choice((1, sympy.sqrt(TP + FN), sympy.sqrt(3), TN ** sympy.Rational(1, 2)))
        for _ in range(generator.randint(2, 3))
    ]
    whole = sympy.Add(*parts)
    found = field(whole, 1 / whole)
    try:
        element = found.element(1 / whole)
    except TooLarge:
        pytest.skip("beyond the budget")
    assert all(not numerator.degree or denominator for numerator, denominator in element.values())
    with mp.workdps(40):
        point = {s: mpf(generator.randint(1, 99)) / 7 for s in CELL_SYMBOLS}
        exact = {s: sympy.Rational(str(x)) for s, x in point.items()}
        product = value(written(found, element), exact) * value(whole, exact)
        assert abs(product - 1) < mpf(10) ** -25


def test_a_reciprocal_that_is_too_large_leaves_the_budget_for_others() -> None:
    roots = sympy.Add(*(sympy.sqrt(sympy.Symbol(f"x{i}")) for i in range(8)))
    names = frozenset(f"x{i}" for i in range(8))
    square = (TP**2 - FN**2) / (TP - FN)
    found = Field([1 / roots, square], names | set(CELLS))
    with pytest.raises(TooLarge):
        found.element(1 / roots)
    assert found.work < algebra.MAX_WORK / 2 and found.limit == algebra.MAX_WORK
    assert found.equal(square, TP + FN)


def test_other_roots_are_not_decided_but_compared() -> None:
    with pytest.raises(TooLarge, match="2 and 3"):
        one = 1 / (TP ** sympy.Rational(1, 5) + 1)
        field(one).element(one)
    assert analyse("1/(1 + TP^0.2)")[0].forms["value"].proof == "compared: 20 points, 50 digits"


@pytest.mark.parametrize(
    "name",
    ["prevalence_threshold", "yule_y", "digby_h", "baroni_urbani_buser_1", "baroni_urbani_buser_2"],
)
def test_metrics_with_sums_of_roots_are_proved(name: str) -> None:
    assert all(form.proved for form in analyse(name)[0].forms.values())


def test_thresholds_with_sums_of_roots_are_in_lowest_terms() -> None:
    threshold = analyse("prevalence_threshold")[0].program.threshold
    assert threshold == TP / (TP + FP)


RATIONAL = "proved: rational functions"


@pytest.mark.parametrize(
    ("formula", "procedure"),
    [
        ("f1", RATIONAL),
        ("gmean", f"{RATIONAL}, with roots as powers of their factors"),
        ("f1/(1 + mcc)", f"{RATIONAL}, with roots as powers of their factors"),
        ("(TPR*TNR*PPV)^(1/3)", f"{RATIONAL}, with roots as powers of their factors"),
        ("log(f1) + 2*log(1 + TPR)", f"{RATIONAL}, with functions as variables"),
        ("exp(-FN/POP)*f1", f"{RATIONAL}, with functions as variables"),
        ("min(TPR, TNR)*f1", f"{RATIONAL}, with functions as variables"),
        ("max(TPR, TNR, PPV)", f"{RATIONAL}, with functions as variables"),
        ("abs(TPR - TNR)", f"{RATIONAL}, with functions as variables"),
        ("log(1 + f1)/(1 + gmean)", f"{RATIONAL}, with functions as variables"),
        ("sqrt(1 + sqrt(TPR))*mcc", f"{RATIONAL}, with roots as powers of their factors"),
        ("sqrt(TPR - FPR)", f"{RATIONAL}, with roots as powers of their factors"),
        ("if TPR < TNR then f1 else jaccard", f"{RATIONAL}, case by case"),
        (
            "if TPR < TNR then log(f1) else TNR",
            f"{RATIONAL}, with functions as variables, case by case",
        ),
    ],
)
def test_the_procedure_that_decides(formula: str, procedure: str) -> None:
    proofs = {form.proof for form in analyse(formula)[0].forms.values()}
    assert procedure in proofs
    assert all(proof.startswith(RATIONAL) for proof in proofs)


@pytest.mark.parametrize("formula", ["f1", "0.5*min(TPR, TNR) + 0.5/(1 + TP^0.2)"])
def test_verify_names_the_proof_of_every_output(formula: str) -> None:
    plan = analyse(formula)[0]
    rows = [*derivation._proofs(plan)]
    told = {}
    for row in rows:
        inside = row.name.partition("(")[2].rstrip(")")
        for name in inside.split(", ") if inside else plan.forms:
            told[name] = row.measured.split(" ", 3)[3]
    assert told == {name: form.proof for name, form in plan.forms.items()}
    assert len(rows) == len(set(told.values()))


def program() -> ModuleType:
    path = ROOT / "docs" / "tables" / "proofs.py"
    spec = importlib.util.spec_from_file_location("docs_tables_proofs", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_counts_forms_by_procedure() -> None:
    found = {name: analyse(name)[0].forms for name in ("f1", "1/(1 + TP^0.2)")}
    *_, compared, proved = program().table(found)
    assert compared == "| compared: 20 points, 50 digits | 3 | 21.4 % | `1/(1 + TP^0.2)` |"
    assert proved == "| **proved** | **11 of 14** | **78.6 %** | |"


@pytest.mark.slow
def test_at_least_95_of_100_forms_of_the_library_are_proved_and_the_page_says_so() -> None:
    page = program().page()
    assert page == (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
    shares = [line.split("**")[5] for line in page.splitlines() if line.startswith("| **proved**")]
    assert len(shares) == 2
    assert all(float(share.removesuffix(" %")) >= 95 for share in shares)
