"""verify and single faults: what the mutation benchmark makes, that verify finds it, and drift."""

from __future__ import annotations

import ast
import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import metricc
from metricc.cli import main
from metricc.save import record
from metricc.verify import check_source, each

HERE = Path(__file__).parent.parent / "docs" / "benchmarks"


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_benchmarks_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MUTANTS = program("mutants")
TEXT = metricc.compile("f1").source


@pytest.fixture(scope="module")
def sites() -> list[Any]:
    return list(MUTANTS.sites(TEXT))


def test_every_kind_of_fault_has_a_place(sites: list[Any]) -> None:
    assert {site.kind for site in sites} == {*MUTANTS.KINDS}
    assert len(sites) > 1000
    assert [s.after for s in sites] == [s.after for s in MUTANTS.sites.__wrapped__(TEXT)]


def test_a_fault_is_one_edit_of_the_code_alone(sites: list[Any]) -> None:
    generator = random.Random(1)
    untouched = {ast.get_docstring(ast.parse(TEXT)), str(record(TEXT))}
    made = [MUTANTS.mutant(TEXT, site) for site in generator.sample(sites, 12)]
    for one in filter(None, made):
        same = next(i for i, (a, b) in enumerate(zip(TEXT, one.text, strict=False)) if a != b)
        assert TEXT[:same].count("\n") + 1 >= one.line
        tail = 0
        while TEXT[-1 - tail] == one.text[-1 - tail]:
            tail += 1
        assert len(TEXT) - same - tail <= len(one.before) + 200  # the part that is another
        assert {ast.get_docstring(ast.parse(one.text)), str(record(one.text))} == untouched
        assert one.before != one.after


def test_what_compiles_to_the_same_code_is_no_fault() -> None:
    text = "def f(a):\n    return a + (1 + 1)\n"
    node = ast.parse(text).body[0].body[0].value.right  # type: ignore[attr-defined]
    assert MUTANTS.mutant(text, MUTANTS.Site("constant", "f", node, "2")) is None
    assert MUTANTS.mutant(text, MUTANTS.Site("constant", "f", node, "3")) is not None
    assert MUTANTS.mutant(text, MUTANTS.Site("constant", "f", node, "(")) is None


# Of each kind one that changes results of f1: function, before, after.
FAULTS = {
    "sign": ("gradient", "-2", "(2)"),
    "operator": ("_finish", "s.mul_(v)", "s.div_(v)"),
    "constant": ("_require", "1000000", "1000001"),
    "exponent": ("gradient", "x2**2", "(x2 ** 3)"),
    "names swapped": ("_finish", "torch.lerp(minus, plus, _as(y, s.dtype))", ""),
    "dropped term": ("value", "2 * TP + FN", "(2 * TP)"),
    "comparison": ("_policy", "0 <= label_smoothing <= 1", "(0 < label_smoothing <= 1)"),
    "branch": ("_fit", "tensor is None and name in ('weight', 'mask')", ""),
    "upstream gradient": ("_F1Function.backward", "grad_loss * pair", "pair"),
    "reduction": ("_sums", "torch.dot(y, a)", "(y * a).mean()"),
    "weight": ("_weighed", "g if v is None else g * v", "g"),
    "mask": ("_kept", "keep & ~ignored", "keep"),
    "all-reduce": ("_over_ranks", "group is not None", "False"),
    "ranks' factor": ("_judged", "_size(ranks)", "1"),
    "block boundary": ("_blocks", "i:i + size", "i:i + size - 1"),
    "guard": ("_arrange", "target.shape != input.shape", "False"),
    "dtype": ("_wide", "torch.float64", "torch.float32"),
    "policy": ("_present", "'skip'", "'zero'"),
    "path": ("_F1Blocks.backward", "torch.is_grad_enabled()", "False"),
    "statement": ("F1Loss.__init__", "self.smooth = smooth", "pass"),
    "default": ("Counts.__init__", "0.99", "1.485"),
}


def failed(m: Any, text: str) -> str:
    """The first check that fails."""
    checks = each(text, m.source, m.plan, m.options, m.surrogate)
    return next((c.name for c in checks if c.passed is False), "")


QUICK = ("sign", "names swapped", "upstream gradient", "all-reduce", "guard", "default")
KINDS = [pytest.param(k, marks=[] if k in QUICK else [pytest.mark.slow]) for k in FAULTS]


def test_there_is_one_of_each_kind() -> None:
    assert [*FAULTS] == [*MUTANTS.KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_verify_finds_a_fault_of_each_kind(sites: list[Any], kind: str) -> None:
    function, before, after = FAULTS[kind]
    several = [s for s in sites if s.kind == kind and s.function == function]
    texts = [one for s in several if (one := MUTANTS.mutant(TEXT, s)) is not None]
    texts = [t for t in texts if _squeezed(t.before) == _squeezed(before)]
    texts = [t for t in texts if after in ("", t.after)] or texts
    assert texts
    assert failed(metricc.compile("f1"), texts[0].text)


def _squeezed(text: str) -> str:
    return "".join(text.split()).replace('"', "'")


@pytest.mark.slow
@pytest.mark.parametrize("formula", ["f1", "macro(f1)"])
def test_verify_finds_what_changes_results(formula: str) -> None:
    differences = program("differences")
    options: dict[str, Any] = {} if formula == "f1" else {"task": "multilabel"}
    m = metricc.compile(formula, **options)
    places = MUTANTS.sites(m.source)
    generator = random.Random(11)
    given = {**record(m.source)["options"], "name": m.options.name}  # type: ignore[index]
    original = differences.load(m.source)
    expected = list(differences.outcomes(original, given))
    missed, tried = [], 0
    while tried < 20:
        one = MUTANTS.mutant(m.source, generator.choice(places))
        if one is None:
            continue
        tried += 1
        if failed(m, one.text):
            continue
        changed = differences.outcomes(differences.load(one.text), given)
        for (name, wanted), (_, got) in zip(expected, changed, strict=True):
            if differences.differ(wanted, got):
                missed.append((one.function, one.before, one.after, name))
                break
    assert not missed


# -- drift ----------------------------------------------------------------------------------------


def test_an_edited_file_that_is_right_passes_as_edited() -> None:
    m = metricc.compile("f1")
    old, new = "return _ratio(2 * TP, 2 * TP + FN + FP)", "return _ratio(TP, TP + (FN + FP) / 2)"
    assert TEXT.count(old) == 1
    report = check_source(TEXT.replace(old, new), TEXT, m.plan, m.options, m.surrogate)
    assert report.passed, str(report)
    assert report.checks[0].measured == "edited since it was generated"
    changed = [line for line in report.drift if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == [f"-    {old}", f"+    {new}"]
    assert not check_source(TEXT, TEXT, m.plan, m.options, m.surrogate).drift


def test_verify_shows_what_was_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metricc import compiler, ir

    lines = tuple(f"+{i} {'x' * 200}" for i in range(60))
    report = ir.Report("f1", (ir.Check("file", "edited", "any", None),), lines)
    monkeypatch.setattr(compiler, "verify_file", lambda path: report)
    told = CliRunner().invoke(main, ["verify", "f1.py"])
    assert told.exit_code == 0
    assert [line for line in told.output.splitlines() if line.startswith("+39 ")]
    assert "+40 " not in told.output and "... 20 more lines" in told.output
    assert max(map(len, told.output.splitlines())) <= 120
    without = CliRunner().invoke(main, ["verify", "f1.py", "--no-diff"])
    assert "+0 " not in without.output
    data = json.loads(CliRunner().invoke(main, ["verify", "f1.py", "--format", "json"]).output)
    assert data["drift"] == list(lines)
