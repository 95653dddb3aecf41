"""What compiling costs, counted and never timed; what was made faster, against what it replaces."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sympy
from mpmath import mp, mpf
from sympy.polys.rings import ring

import metricc
from metricc import derive, extract, library, numeric, tables
from metricc.algebra import Field
from metricc.compiler import analyse
from metricc.coprime import coprime
from metricc.errors import MetriccError
from metricc.factoring import factor_list
from metricc.parse import build, digest
from metricc.polynomials import Polynomial, Ring

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "docs" / "benchmarks" / "compile_time.py"
SIZES = 125, 250


def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_benchmarks_compile_time", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = program()
QUICK = "roots and logarithms", "definitions with roots", "continued fraction"


# -- work -----------------------------------------------------------------------------------------


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the stages have done: rules of differentiation, products of terms in exact algebra,
    operations at a point, nodes written.

    Not at all points: they are 2 where the algebra decides and 20 where its budget ends, whatever
    the formula's length.
    """
    counts = dict.fromkeys(("rules", "terms", "steps", "nodes"), 0)
    rule, charge, values = derive._rule, Field._charge, numeric.Tape._values
    written = extract._Writer.expression

    def counted_rule(*given: Any) -> Any:
        counts["rules"] += len(given[0].args)
        return rule(*given)

    def counted_charge(field: Field, work: int, terms: int = 0) -> None:
        counts["terms"] += work
        charge(field, work, terms)

    def counted_values(tape: numeric.Tape, *given: Any) -> Any:
        counts["steps"] = max(counts["steps"], len(tape.steps))
        return values(tape, *given)

    def counted_written(writer: Any, node: str) -> Any:
        counts["nodes"] += 1
        return written(writer, node)

    monkeypatch.setattr(derive, "_rule", counted_rule)
    monkeypatch.setattr(Field, "_charge", counted_charge)
    monkeypatch.setattr(numeric.Tape, "_values", counted_values)
    monkeypatch.setattr(extract._Writer, "expression", counted_written)
    monkeypatch.setattr("metricc.bounded.SECONDS", 60)
    return counts


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in BENCHMARK.FAMILIES
    ],
)
def test_work_grows_no_faster_than_the_square_of_the_operators(
    name: str, work: dict[str, int]
) -> None:
    family, found, operators, lengths = BENCHMARK.FAMILIES[name], [], [], []
    for size in SIZES:
        text = family(size)
        for key in work:
            work[key] = 0
        plan, _ = analyse(text)
        found.append(dict(work))
        operators.append(BENCHMARK.operators(text))
        lengths.append(len(str(plan.gradient)) + len(str(plan.weights)))
    bound = 1.2 * (operators[1] / operators[0]) ** 2
    assert lengths[1] / lengths[0] < bound, lengths
    for key, first in found[0].items():
        if first > (100 if key == "steps" else 1_000):
            assert found[1][key] / first < bound, (key, found)


def test_a_product_of_many_factors_is_not_written_once_for_each() -> None:
    sizes = []
    for count in (20, 40):
        plan, _ = analyse(BENCHMARK.FAMILIES["product of ratios"](6 * count))
        partial = plan.programs[0].gradient.raw["M_TP"]
        sizes.append(sum(len(node.args) for node in sympy.preorder_traversal(partial)))
    assert sizes[1] < 3 * sizes[0]  # by the product rule as it stands in books, four times


def test_the_budget_of_points_leaves_short_formulas_alone() -> None:
    audit = analyse("sqrt(TPR*TNR) - TPR*TNR/3")[1]
    assert audit.direction_proof.startswith(("proved", "sampled at 200"))


def test_limits_are_those_of_the_page() -> None:
    assert all(BENCHMARK.accepted(family(2_000)) for family in BENCHMARK.FAMILIES.values())
    with pytest.raises(MetriccError, match="MC0406"):
        metricc.compile(BENCHMARK.FAMILIES["sum of ratios"](4_200))


# -- the parser's tables and the library's names ---------------------------------------------------


def test_the_tables_are_those_of_the_grammar() -> None:
    text = (ROOT / "grammar" / "metric.lark").read_text(encoding="utf-8")
    assert digest(text) == tables.DIGEST, "python docs/tables/grammar.py > metricc/tables.py"
    made = build(text)
    from metricc.parse import _parser

    for family in library.families().values():
        for definition in family:
            statement = f"{definition.name} = {definition.body}"
            assert _parser().parse(statement, start="start") == made.parse(statement, start="start")


def test_another_lark_or_grammar_builds_its_own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    from metricc import parse

    text = (ROOT / "grammar" / "metric.lark").read_text(encoding="utf-8")
    assert parse._loaded(text) is not None
    assert parse._loaded(text + "\n") is None
    monkeypatch.setattr(tables, "LARK", "0.0")
    assert parse._loaded(text) is None


def test_names_are_found_without_parsing() -> None:
    names = {
        name: definition
        for family in library.families().values()
        for definition in family
        for name in (definition.name, *definition.aliases)
    }
    assert list(library.definitions()) == list(names)
    assert all(library.definitions()[name] is names[name] for name in names)


def test_compile_loads_no_numpy() -> None:
    code = (
        "import sys\nfrom metricc.cli import main\n"
        "try:\n    main(['compile', 'f1'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'numpy', 'torch', 'rich'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- polynomials, against SymPy's ------------------------------------------------------------------

SYMPYS, *GENS = ring("x y z", sympy.QQ)


def both(
    generator: random.Random, own: Ring, variables: list[Polynomial]
) -> tuple[Any, Polynomial]:
    """A random polynomial, by SymPy and by the package."""
    theirs, mine = SYMPYS(0), own.zero
    for _ in range(generator.randint(1, 6)):
        number = sympy.QQ(generator.randint(-9, 9), generator.choice((1, 1, 2, 3)))
        powers = [generator.randint(0, 3) for _ in GENS]
        term = own.constant(number)
        other = SYMPYS(number)
        for gen, variable, power in zip(GENS, variables, powers, strict=True):
            other, term = other * gen**power, term * variable**power
        if number:
            theirs, mine = theirs + other, mine + term
    return theirs, mine


@pytest.mark.parametrize("seed", range(20))
def test_polynomials_are_sympys(seed: int) -> None:
    generator, own = random.Random(seed), Ring(3)
    variables = [own.variable(symbol) for symbol in SYMPYS.symbols]
    (a, mine_a), (b, mine_b) = (both(generator, own, variables) for _ in range(2))
    for theirs, mine in ((a + b, mine_a + mine_b), (a * b, mine_a * mine_b)):
        assert sympy.expand(theirs.as_expr() - mine.as_expr()) == 0
        at = dict(zip(SYMPYS.symbols, own.point, strict=True))
        assert theirs.as_expr().subs(at) == mine.value
    whole = own.from_sympy(b.primitive()[1], range(3))
    if whole:
        assert (mine_a * whole).divided(whole, lambda work: None) == mine_a
        rest = mine_a * whole + own.one
        exact = (a * b.primitive()[1] + 1).rem(b) == 0
        assert (rest.divided(whole, lambda work: None) is not None) == exact


@pytest.mark.parametrize("seed", range(40))
def test_factors_are_sympys(seed: int) -> None:
    generator, own = random.Random(seed), Ring(3)
    variables = [own.variable(symbol) for symbol in SYMPYS.symbols]
    polynomial = SYMPYS(1)
    for _ in range(generator.randint(1, 3)):
        polynomial *= both(generator, own, variables)[0] or SYMPYS(1)
    content, factors = factor_list(polynomial)
    wanted, expected = polynomial.factor_list()
    assert content == wanted
    assert sorted(map(str, factors)) == sorted(map(str, expected))


def terms_of(polynomial: Any) -> Mapping[tuple[int, ...], int]:
    return {monomial: int(coefficient) for monomial, coefficient in polynomial.terms()}


def test_coprime_is_a_proof() -> None:
    x, y, z = GENS
    assert coprime(terms_of(x + y), terms_of(x - y))  # type: ignore[arg-type]
    for one, two in ((x + 1, y + 2), (x * y + 1, x + z), (y**2 + z, y - z)):
        assert not coprime(terms_of(one * (x + y)), terms_of(two * (x + y)))  # type: ignore[arg-type]


# -- tapes, against mpmath -------------------------------------------------------------------------


def test_a_tape_is_the_expressions_at_a_point() -> None:
    TP, FN = sympy.symbols("TP FN")
    root = sympy.sqrt(TP / FN)
    expressions = [
        root + sympy.log(TP),
        sympy.Max(TP, FN) ** sympy.Rational(1, 3) * root,
        1 / (FN - FN * TP / 2),
    ]
    tape = numeric.Tape(expressions)
    with mp.workdps(60):
        point = {TP: mpf(2), FN: mpf(7)}
        first, second, third = tape.at(point, 50)
        assert third is None and first is not None and second is not None
        assert abs(first[0] - (mp.sqrt(mpf(2) / 7) + mp.log(2))) < mpf(10) ** -48
        assert abs(second[0] - mp.cbrt(7) * mp.sqrt(mpf(2) / 7)) < mpf(10) ** -48
        assert 7 <= first[1] <= 14  # the largest on the way, rounded up


@pytest.mark.slow
def test_the_program_prints_its_tables() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--quick"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "times `import sympy`" in done.stdout and "| sum of ratios |" in done.stdout
