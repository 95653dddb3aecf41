"""Diagnostics: every code's exact text, all errors of a text at once, and hostile input."""

from __future__ import annotations

import importlib.util
import pickle
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from watchdog import within

import metricc
from metricc import bounded, library
from metricc.cli.table import table
from metricc.compiler import analyse, verify_file
from metricc.errors import CATALOGUE, WARNINGS, Diagnostic, MetriccError, Span
from metricc.examples import EXAMPLES
from metricc.folder import generated
from metricc.parse import MAX_TEXT, parse
from metricc.phrases import expectation
from metricc.resolve import resolve
from metricc.save import record

GOLDEN = Path(__file__).parent / "golden" / "diagnostics.txt"

# What a text says wrong, one case for each message. The rendered text is in GOLDEN.
CASES: dict[str, str] = {
    # the text is not a formula
    "ends early": "2*TP /",
    "ends early in a definition": "a = TP +\n",
    "operator twice": "TP */ FN",
    "operator first": "/ TP",
    "product not written out": "2TP / P",
    "product with a bracket not written out": "TP / P (TP + FN)",
    "names side by side": "TP FN",
    "empty brackets": "()",
    "comma outside a call": "TP, FN",
    "decimal comma": "0,5*TP",
    "number before a bracket": "2(TP + FN)",
    "two slashes": "TP // P",
    "a Python definition": "def f(x): return x",
    "import that is none": "import costs",
    "argument missing": "min(TP,)",
    "definition inside an expression": "TP + (a = 2)",
    "definition of an expression": "TP + FN = 3",
    "definition twice": "a = b = TP",
    "range outside a head": "fbeta(beta = 1 in (0, 1))",
    "range without a comma": "f(a in (0 1)) = TP*a",
    "range of a word": "f(a in (0, big)) = TP*a",
    "bracket of the wrong kind": "(TP + FN]",
    "square brackets": "[TP + FN]",
    "word in the middle": "TP if FN else FP",
    "a Python lambda": "lambda x: x",
    # characters
    "character": "TP $ FN",
    "em dash": "TP — FN",
    "power as a character": "TP² / P",
    "fraction as a character": "½*TPR",
    "root as a character": "√(TPR)",
    "comparison as a character": "if TPR ≤ 1 then f1 else 1",
    "logical signs": "if TP > 1 && FN > 1 then f1 else 1",
    "negation sign": "if !TP > 1 then f1 else 1",
    "a Python attribute": "TP.sum()",
    "a Python module": "math.sqrt(TPR)",
    "LaTeX": "\\frac{TP}{P}",
    "braces": "{TP + FN}",
    "question mark": "TP > 1 ? f1 : 0",
    "Greek letter": "f(β = 1) = TP*β",
    "percent": "50% * TP",
    "comparison": "TP > FN",
    "leading underscore": "_tp / P",
    "attribute": "TP.__class__",
    "quote": "open('x')",
    "null byte": "TP\0/P",
    "escape sequence": "TP\x1b[31m/P",
    "right-to-left override": "TP\u202e/P",
    "byte order mark inside": "TP\ufeff/P",
    # brackets
    "bracket never closed": "a = sqrt(TP*TN\na",
    "bracket never opened": "TP + FN) / P",
    "square bracket never closed": "f(a in [0, 1) = TP*a",
    # texts
    "empty text": "",
    "comments alone": "# nothing here",
    "expression before the end": "TP/P\na = FN/P",
    # words
    "reserved definition": "sqrt = TP",
    "reserved parameter": "f(and = 1) = TP",
    "reserved name": "then + TP",
    "import in a formula": 'import "a.metric"\nTP/P',
    "equality in a condition": "if TP = 0 then 1 else f1",
    "choice without brackets": "1 - if TP < FN then 1 else f1",
    "choice without else": "if TP < FN then 1",
    "many conditions": "+".join(f"(if TP < {i} then 1 else f1)" for i in range(1, 10)),
    "many columns": " + ".join(f"TPR[a{i}]" for i in range(9)),
    "reserved constant": "inf * TP",
    "not a number": "nan + TP",
    "reserved call": "not(TP)",
    # heads
    "head with an expression": "f(2*a) = TP",
    "head with a number": "f(1) = TP",
    "default that is no number": "f(a = TP) = TP*a",
    "default that divides by zero": "f(a = 1/0) = TP*a",
    "empty range": "f(a in (1, 0)) = TP*a",
    # names
    "unknown name": "TPP / P",
    "unknown name near a metric": "precison",
    "unknown name far from all": "quux",
    "lower-case cell": "tp / P",
    "unknown call": "foo(2)",
    "parameter of another": "beta * TP",
    "Euler's number": "E * TP",
    "cell spelled out": "true_positives / P",
    "function of another language": "log2(TPR)",
    "metric of scikit-learn": "f1_score(y_true, y_pred)",
    "labels in a formula": "y_true / P",
    # arguments
    "too few arguments": "min(TP)",
    "too many arguments": "sqrt(TP, FN)",
    "named argument of a function": "log(x = TP)",
    "function without brackets": "sqrt * TP",
    "call of a cell": "TP(FN + FP)",
    "call of a parameter": "f(a = 1) = a(TP)",
    "too many arguments of a metric": "fbeta(1, 2)",
    "arguments of a metric without parameters": "f1(2)",
    "cells as arguments": "precision(TP, FP)",
    "labels as arguments": "f1(y_true, y_pred)",
    "unknown parameter": "fbeta(gamma = 2)",
    "parameter given twice": "fbeta(2, beta = 2)",
    "argument outside its range": "fbeta(0)",
    "no value": "tversky(0.5)",
    "no value inside an expression": "1 - tversky",
    # definitions
    "defined through itself": "a = 2*a",
    "defined in a circle": "a = b; b = TP + a; b",
    "defined twice": "a = TP/P; a = FN/P; a",
    "parameter twice": "f(a, a) = a*TP",
    "cell defined": "TP = 1; TP/P",
    "cell as parameter": "f(TP = 1) = TP/P",
    "keyword as parameter": "f(lambda = 1) = lambda*TP",
    "argument of the loss as parameter": "f(weight = 1) = weight*TP",
    "attribute as parameter": "f(training = 1) = training*TP",
    "name of the file as parameter": "f(torch = 1) = torch*TP",
    "unused definition": "a = TP/P; b = FN/P; b",
    "reduction": "per_class(f1)",
    "reduction in a reduction": "macro(1 + worst(f1))",
    "loss in a reduction": "macro(bce + 1 - f1)",
    "cells beside a reduction": "TPR + samples(f1)",
    "loss of another task": "ce + 1 - f1",
    "loss without a metric": "2*bce",
    "loss as a definition": "focal = 1 - f1; focal",
    "arguments of a loss": "focal(1, 2) + bce(3) + 1 - f1",
    "pairs of classes": "weighted_kappa",
    "reduction without brackets": "macro + f1",
    # columns
    "column without a name": "TP[0]",
    "two columns at once": "TP[amount, price]",
    "column of a bracket": "(TP + FN)[amount]",
    "column named like an argument": "TP[weight]/P",
    "column named like a metric": "TP[f1]/P",
    "column named like a parameter": "f(amount = 1) = TP[amount]/P + amount*TPR",
    "column of a parameter": "f(b = 1) = TPR*b[amount]",
    "column of a column": "hits = TPR[amount]; hits[price]",
    "column of a number": "k = 2; f1*k[amount]",
    "column of a loss": "0.5*bce[amount] + 1 - f1",
    "column in a reduction": "macro(recall[amount])",
    "reduction in a column": "macro(recall)[amount]",
    "column beside samples": "samples(f1) + recall[amount]",
    "default outside its range": "f(a = 2 in [0, 1]) = a*TP/P",
    # powers
    "exponent of counts": "TPR^TNR",
    "exponential of an exponential": "exp(exp(TPR))",
    # real numbers
    "division by zero": "TP / (1 - 1)",
    "division by a difference of equals": "TP / (P - TP - FN)",
    "root of a negative number": "sqrt(1 - 2)*TP",
    "logarithm of zero": "log(0)*TP",
    "logarithm of a negative number": "TP*log(-1)",
    "zero to the zero": "0^0 * TP",
    "zero to a negative power": "TP * 0^-1",
    # metrics
    "cells that no prediction changes": "P/POP",
    "constant": "1/2",
    "neither score nor error rate": "FP/FN",
    # limits
    "power of a power": "9^9^9",
    "computed number too long": "(10^60)^60*TPR",
    "functions too deep": "sqrt(" * 7 + "TPR" + ")" * 7,
    "too many definitions": "; ".join(f"a{i} = TPR" for i in range(101)),
    "brackets too deep": "(" * 51 + "TP" + ")" * 51,
    "number too long": "0." + "1" * 61 + "*TP",
    "number too large": "1e100*TP",
    "signs too deep": "-" * 300 + "TP",
    "text too long": "TP + " * (MAX_TEXT // 5) + "FN  ",
    "too many operators": "f1 + " * 2_000 + "f1",
    "definitions that double": "\n".join(f"a{i + 1} = a{i}*a{i}" for i in range(40))
    + "\na0 = TP/P; a40",
    "absolute value in bars": "|TPR - TNR|",
    "chained comparison": "if 0.2 < TPR < 0.5 then f1 else 1",
    "semicolon between arguments": "min(TPR; TNR)",
    "operator at the start of a line": "TP/(TP + FP)\n+ TN/(TN + FN)",
    "misspelt beside the library": "recal = TP/P; 2*precision*recall/(precision + recall)",
    "ranking metric": "roc_auc",
    "sum of arguments": "sum(TP, FP)",
    "brackets side by side": "(TP)(TN)",
    "function without its brackets": "abs TPR",
    "letter of another alphabet": "\u0422P/P",
    "type annotation": "f(w: float = 1) = w*TP",
    "more than one label": "fbeta(y_true, y_pred)",
    "bounds without a comma": "f(b in (0 inf)) = b*TP",
    # all at once
    "syntax and meaning": "a = TP +* FN\nb = TPP/P\nc = log(0)*TP\na + b + c + d",
    "nothing follows from an error": "a = TP +* FN\nb = a/P\nunused = 1/(a - a)\nb",
    # warnings
    "odds for a rate": "TP/FN",
    "best for a constant prediction": "recall",
    "brackets missing in a rate": "TP/TP + FN",
    "odds for a rate in a definition": "precision = TP/FP; precision + f1",
}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# What is wrong beside a formula; the calls get a path in an empty folder.
def tuned(formula: str, scores: list[float], constraint: str | None = None) -> object:
    return metricc.compile(formula).tune_threshold([1, 0], scores, constraint=constraint)


def scores(path: Path) -> Path:
    return written(path / "scores.csv", "y,s\n1,0.4\nyes,high\n")


CALLS: dict[str, Callable[[Path], object]] = {
    "target": lambda path: metricc.compile("f1", target="jax"),
    "surrogate": lambda path: metricc.compile("f1", surrogate="hard"),
    "surrogate of a target": lambda path: metricc.compile(
        "f1", target="gbdt", surrogate="heaviside"
    ),
    "loss of an objective": lambda path: metricc.compile("f1", target="gbdt").loss(),
    "objective of a loss": lambda path: metricc.compile("f1").objective(),
    "falling surrogate": lambda path: metricc.compile("f1", surrogate="1 - p"),
    "surrogate of names": lambda path: metricc.compile("f1", surrogate="1/(1 + exp(-k*p))"),
    "sums of a surrogate": lambda path: metricc.compile(
        "multiclass_mcc", task="multiclass", surrogate="amplified"
    ),
    "samples by sample": lambda path: metricc.compile("samples(f1)", per="sample"),
    "task": lambda path: metricc.compile("f1", task="segmentation"),
    "goal": lambda path: metricc.compile("f1", maximize=True, minimize=True),
    "number for a formula": lambda path: metricc.compile(1),  # type: ignore[arg-type]
    "name": lambda path: metricc.compile("f1", name="2f"),
    "file": lambda path: metricc.compile(path / "missing.metric"),
    "file as a string": lambda path: metricc.compile("mine.metric"),
    "edited file": lambda path: metricc.compile("f1").save(written(path / "f1_loss.py", "# mine")),
    "no record": lambda path: verify_file(written(path / "notes.py", "x = 1")),
    "folder without generated files": lambda path: generated(
        written(path / "notes.py", "x = 1").parent
    ),
    "count": lambda path: metricc.compile("f1").value(-1, 1, 1, 1),
    "scores for labels": lambda path: metricc.score("f1", [1, 0], [0.9, 0.2]),
    "score that is none": lambda path: tuned("f1", [0.4, float("nan")]),
    "length of scores": lambda path: tuned("f1", [0.4]),
    "metric of classes together": lambda path: metricc.compile(
        "micro(f1)", task="multilabel"
    ).tune_threshold([[1, 0]], [[0.4, 0.6]]),
    "constraint that nothing meets": lambda path: tuned(
        "f1", [0.4, 0.6], "precision >= 0.9 and recall >= 0.5"
    ),
    "constraint of alternatives": lambda path: tuned("f1", [0.4, 0.6], "f1 > 0.5 or recall > 0.5"),
    "constraint without a comparison": lambda path: tuned("f1", [0.4, 0.6], "precision"),
    "column of a table": lambda path: table(str(scores(path)), ["z"]),
    "label of a table": lambda path: table(str(scores(path)), ["y"]).positives("y", None),
    "score of a table": lambda path: table(str(scores(path)), ["s"]).numbers("s", "score"),
    "column of a task with classes": lambda path: metricc.compile("f1[amount]", task="multilabel"),
    "column of each sample": lambda path: metricc.compile("f1[amount]", per="sample"),
    "column that is not given": lambda path: metricc.score("f1[amount]", [0, 1], [0, 1]),
    "column of another length": lambda path: metricc.score("f1[a]", [0, 1], [0, 1], a=[1]),
    "column that is negative": lambda path: metricc.score("f1[a]", [0, 1], [0, 1], a=[1, -2]),
    "counts of a column": lambda path: metricc.value("TPR[amount]", 1, 1, 1, 1),
    "scorer of a column": lambda path: metricc.compile("TPR[amount]").scorer(),
    "undefined": lambda path: metricc.value("precision", 0, 5, 0, 5, zero_division="raise"),
    "parameter of a value": lambda path: metricc.value("fbeta", 1, 1, 1, 1, gamma=2),
    "value without a parameter": lambda path: metricc.value("tversky", 1, 1, 1, 1),
    "goal against the direction": lambda path: raise_warnings("f1", minimize=True),
    "package": lambda path: missing("torchmetrics"),
    "compiler": lambda path: without_compiler(),
    "kernel of a surrogate": lambda path: metricc.compile("f1", surrogate="heaviside").build(),
    "import of nothing": lambda path: metricc.compile(
        written(path / "a.metric", 'import "b.metric"\nTP/P')
    ),
    "import from elsewhere": lambda path: metricc.compile(
        written(path / "a.metric", 'import "/b.metric"\nTP/P')
    ),
    "too many imports": lambda path: many(path),
    "too long": lambda path: slow(),
}


def raise_warnings(formula: str, **options: bool) -> None:
    raise MetriccError(*metricc.compile(formula, **options).warnings)  # type: ignore[arg-type]


def importing(folder: Path, path: str) -> Path:
    return written(folder / "a.metric", f'import "{path}"\nTP/P')


def missing(package: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, package, None)
        patch.delitem(sys.modules, "metricc.adapters.torch_metrics", raising=False)
        return metricc.compile("f1").torchmetric()


def without_compiler() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", "absent")
        return metricc.compile("f1", name="f1_of_none").build()


def many(folder: Path) -> object:
    for i in range(21):
        (folder / f"a{i}.metric").write_text(f"a{i} = TPR")
    names = "\n".join(f'import "a{i}.metric"' for i in range(21))
    return metricc.compile(written(folder / "all.metric", f"{names}\na0"))


def slow() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded, "SECONDS", 0.2)
        patch.setattr(bounded, "TICK", 0.05)
        return bounded.bounded(lambda: [None for _ in iter(int, 1)])


def refusal(text: str) -> MetriccError:
    with within(20), pytest.raises(MetriccError) as caught:
        metricc.compile(text)
    return caught.value


def message(name: str, folder: Path) -> str:
    """What a case is answered with; warnings where it is not refused."""
    if name in CASES and name.startswith(("odds", "brackets missing", "best for")):
        return "\n".join(d.render() for d in metricc.compile(CASES[name]).warnings)
    if name in CASES:
        return str(refusal(CASES[name]))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(MetriccError) as caught:
        patch.chdir(folder)  # so that paths in messages are short
        CALLS[name](Path())
    return str(caught.value)


def golden() -> dict[str, str]:
    """The rendered text of each case, by its name."""
    sections = re.split(r"(?m)^== (.*)\n", GOLDEN.read_text(encoding="utf-8"))[1:]
    return {n: t.strip("\n") for n, t in zip(sections[::2], sections[1::2], strict=True)}


@pytest.fixture(scope="session")
def expected(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    if request.config.getoption("--update-golden"):
        texts = (
            f"== {name}\n{message(name, tmp_path_factory.mktemp('case'))}\n"
            for name in (*CASES, *CALLS)
        )
        GOLDEN.write_text("\n".join(texts), encoding="utf-8")
    return golden()


@pytest.mark.parametrize("name", [*CASES, *CALLS])
def test_messages(name: str, expected: dict[str, str], tmp_path: Path) -> None:
    assert message(name, tmp_path) == expected[name]


def test_no_message_is_left_over(expected: dict[str, str]) -> None:
    assert [*expected] == [*CASES, *CALLS]


def test_every_code_has_a_message(expected: dict[str, str]) -> None:
    found = re.findall(
        r"(?m)^(?:\S+:\d+:\d+: )?(?:warning )?(MC\d{4}): ", "\n".join(expected.values())
    )
    assert {*found} == {*CATALOGUE}


def test_messages_have_hints_and_no_jargon(expected: dict[str, str]) -> None:
    for name, text in expected.items():
        # A syntax error says what was expected; every other message says what to do.
        if "MC0101: " not in text:
            assert text.count("hint: ") == len(re.findall(r"MC\d{4}: ", text)), name
        for word in ("Token", "RPAR", "SUM_OPERATOR", "__ANON", "$END", "Traceback", "sympy"):
            assert word not in text, name


def test_every_terminal_of_the_grammar_has_words() -> None:
    grammar = Path(__file__).parent.parent / "grammar" / "metric.lark"
    parser = Lark(grammar.read_text(encoding="utf-8"), parser="lalr")
    ignored = set(parser.ignore_tokens)
    for terminal in {t.name for t in parser.terminals} - ignored | {"$END"}:
        assert not re.search(r"[A-Z]{2}|[$_]", expectation({terminal})), terminal


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("2×TP ÷ (2·TP + FP + FN)", "2*TP / (2*TP + FP + FN)"),
        ("TP − FN – FP", "TP - FN - FP"),
        ("TP\u00a0/\u2009P", "TP / P"),
        ("（TP＋FN）＊2", "(TP+FN)*2"),
        ("a＝TP；a", "a = TP; a"),
    ],
)
def test_look_alikes_are_read(text: str, plain: str) -> None:
    assert parse(text) == parse(plain)


def test_a_formula_with_look_alikes_compiles_and_verifies_itself(tmp_path: Path) -> None:
    m = metricc.compile("2×TP ÷ (2·TP + FP + FN)", name="f1")
    path = m.save(tmp_path / "f1_loss.py")
    assert metricc.compile("2*TP / (2*TP + FP + FN)", name="f1").expression == m.expression
    assert record(path.read_text(encoding="utf-8"))["formula"] == "2×TP ÷ (2·TP + FP + FN)"


def test_a_file_is_named_in_its_diagnostics(tmp_path: Path) -> None:
    path = tmp_path / "mine.metric"
    path.write_text("a = TP/P\nb = a + TPP\n", encoding="utf-8")
    with pytest.raises(MetriccError) as caught:
        metricc.compile(path)
    assert str(caught.value).startswith(f"{path}:2:9: MC0201: `TPP` is not known\n")


# -- diagnostics as data ----------------------------------------------------------------------

THREE = """\
a = TP +* FN
b = 2 $ 3
f(1) = TP
a
"""


def test_a_text_with_three_errors_reports_all_three_in_order() -> None:
    error = refusal(THREE)
    assert [d.code for d in error.diagnostics] == ["MC0101", "MC0102", "MC0106"]
    assert [d.position() for d in error.diagnostics] == [(1, 9), (2, 7), (3, 3)]


def test_three_errors_of_meaning_are_reported_in_order() -> None:
    # The second statement is the last to be looked at.
    error = refusal("a = sqrt(TP, FN) + b\nf(TN = 1) = TPP\nb = fbeta(7, 8)\na + f")
    assert [d.code for d in error.diagnostics] == ["MC0202", "MC0206", "MC0201", "MC0202"]
    spans = [d.span for d in error.diagnostics if d.span is not None]
    assert spans == sorted(spans)


def test_diagnostics_are_data() -> None:
    (diagnostic,) = refusal("a = 1\na + TPP").diagnostics
    assert diagnostic.code == "MC0201"
    assert diagnostic.message == "`TPP` is not known"
    assert diagnostic.span == Span(10, 13)
    assert diagnostic.hint == "did you mean `TP`?"
    assert diagnostic.source == "a = 1\na + TPP"
    assert diagnostic.position() == (2, 5)


def test_errors_survive_pickling() -> None:
    error = refusal(THREE)
    again = pickle.loads(pickle.dumps(error))
    assert again.diagnostics == error.diagnostics
    assert str(again) == str(error)


def test_a_caret_stands_under_its_place_in_a_long_line() -> None:
    text = "TP + " * 100 + "TPP" + " + FN" * 100
    lines = str(refusal(text)).split("\n")
    assert lines[0] == "<formula>:1:501: MC0201: `TPP` is not known"
    start, end = lines[2].index("^"), lines[2].rindex("^") + 1
    assert lines[1][start:end] == "TPP"
    assert lines[1].strip().startswith("…") and lines[1].endswith("…")
    assert max(map(len, lines)) < 200


def test_a_caret_stands_under_its_place_after_tabs_and_wide_text() -> None:
    for text in ("a = 1 # é\n\t\ta + TPP", "\tTP + TPP", "TP + \t TPP # ×"):
        lines = str(refusal(text)).split("\n")
        start = lines[2].index("^")
        assert lines[1][start : start + 3] == "TPP"


@pytest.mark.parametrize(
    "text",
    [
        "(-8)^(1/3)*TPR",
        "sqrt(-TP)",
        "log(-TP)",
        "sqrt(-1 - TP)*FN",
        "TPR - sqrt(-FP)",
    ],
)
def test_what_is_real_in_no_table_is_refused(text: str) -> None:
    assert [d.code for d in refusal(text).diagnostics] == ["MC0301"]


@pytest.mark.parametrize("exponent", ["0.99", "0.33", "65/64"])
def test_the_message_about_an_exponent_is_true(exponent: str) -> None:
    assert "is above 64" not in str(refusal(f"TPR^({exponent})"))


def test_a_byte_order_mark_before_a_file_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.metric"
    path.write_bytes("TP/P\n".encode("utf-8-sig"))
    metricc.compile(path)


@pytest.mark.parametrize("name", ["x" * 65_000, "x" * 1_000])
def test_a_message_does_not_repeat_a_long_name(name: str) -> None:
    assert len(str(refusal(name))) < 1_000


def test_a_message_without_a_span_has_no_caret() -> None:
    assert Diagnostic("MC0501", "no").render() == "MC0501: no"
    assert Diagnostic("MC0501", "no", hint="yes").render() == "MC0501: no\n    hint: yes"


# -- strangers' texts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("true")',
        "eval(1)",
        "exec(1)",
        "open(1)",
        "S",
        "I",
        "E",
        "Q",
        "O",
        "C",
        "pi",
        "oo",
        "zoo",
        "nan",
        "beta",
        "gamma",
        "zeta",
        "lambda",
        "Lambda",
        "Symbol(1)",
        "Integral(TP)",
        "Sum(TP)",
        "diff(TP)",
        "I^2",
        "sin(TP)",
        "sympify(1)",
        "TP.subs",
        "{TP}",
        "%s",
        "{0.__class__}",
        "f'{TP}'",
        "TP; import os",
        "$(true)",
        "`true`",
        "<<name>>",
        "TP\n\nMETRICC = {}",
    ],
)
def test_only_the_language_is_read(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize("name", ["E", "I", "S", "N", "Q", "O", "C", "beta", "gamma", "pi", "oo"])
def test_words_of_sympy_are_plain_names(name: str) -> None:
    plan, _ = analyse(f"f({name} = 2) = TP/(TP + {name}*FN)")
    program = plan.program
    value = program.forms["value"].expression
    assert {s.name for s in value.free_symbols} == {"TP", "FN", name}
    assert value.subs({"TP": 3, "FN": 1, name: 2}) == sympy.Rational(3, 5)
    plan, _ = analyse(f"{name} = TP/P; 1 - {name}")
    program = plan.program
    assert {s.name for s in program.forms["value"].expression.free_symbols} == {"TP", "FN"}


@pytest.mark.parametrize(
    "text",
    [
        "9^9^9",
        "(9^9)^9*TPR",
        "9^(9^9)",
        "2^2^2^2^2^2*TP",
        "-" * (MAX_TEXT - 2) + "TP",
        "+" * (MAX_TEXT - 2) + "TP",
        "(" * MAX_TEXT,
        ")" * MAX_TEXT,
        "(" * 30_000 + "TP" + ")" * 30_000,
        "TP+" * 21_000 + "TP",
        "TP*" * 4_000 + "TP",
        "TP^" * 20_000 + "TP",
        "1" * MAX_TEXT,
        "1." + "0" * 60_000 + "1",
        "1e" + "9" * 60_000,
        "sqrt(" * 10_000 + "TP" + ")" * 10_000,
        "min(" + "TP," * 20_000 + "FN)",
        "f(" + ",".join(f"a{i}" for i in range(9_000)) + ")=TP",
        "x" * MAX_TEXT,
        "(TP + FN + FP + TN)^64/(P^64 + N)",
        "(((TP + FN)^8 + (FP + TN)^8)^8 + 1)/P",
        "exp(exp(exp(TPR)))",
        "f1 + mcc + jaccard + gmean + cohen_kappa + p4",
        "log(" * 5 + "2000 + TPR" + ")" * 5,
        "TP\ud800",
        "\U0001d7d9*TP",
        "\r\n\r\n",
        "TP\r",
        "\0" * 1_000,
        "((9^9)^9)^9*TPR",
        "((9^64)^64)^64*TPR",
        "1e99^64*TPR",
        "(1e99*TP + 1e-99)^64/P",
        "TP^TP^TP",
        "^".join(["TP"] * 150),
        "((TP^64)^64)^64/P",
        "exp(exp(exp(exp(64))))*TPR",
        "a0 = TPR\n" + "\n".join(f"a{i + 1} = max(a{i}, 1 - a{i})" for i in range(6)),
        "log(" * 20 + "2 + TPR" + ")" * 20,
        "f(k = 2) = TPR^(k^k)",
        "min(1, sqrt(TP - FP))",
        # found by fuzzing
        "max(abs(FN), geometric_mean((0.1 * -1), (if 2 == N then 1 else -1)))",
        "clip((1/2/-1)^0.3, 0, geometric_mean((if PP <= -1 then PP else FN), FN))",
        "mean(1/FN, exp(P))^2",
        "TN = 0.5*log(TP*TN (FN*FP))",
        "mutual_information = mccif (TP*log(TP*POP(P*PP)) + FN)/POP",
        "max(0, log(TPR - TNR))",
        "abs(log(TPR - TNR))",
        "a0 = TPR\n" + "\n".join(f"a{i + 1} = sqrt(1 + a{i})" for i in range(20)),
    ],
    ids=lambda text: f"{text[:20]!r}",
)
def test_hostile_texts_end_in_a_result_or_a_diagnostic(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metricc.bounded.SECONDS", 2)  # of 8: what ends there, ends
    with within(20):
        try:
            analyse(text)
        except MetriccError as error:
            message = str(error)
            assert message.startswith(("<formula>:", "MC0"))


def fuzz() -> ModuleType:
    """The program that searches for crashes; tests draw texts from its strategies."""
    path = Path(__file__).parent.parent / "docs" / "benchmarks" / "fuzz.py"
    spec = importlib.util.spec_from_file_location("docs_benchmarks_fuzz", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZ = fuzz()
SEEDS = FUZZ.SEEDS
mutated = FUZZ.mutated


@settings(derandomize=True, max_examples=400)
@given(mutated())
def test_mutated_texts_are_resolved_or_refused(text: str) -> None:
    try:
        resolve(parse(text), library.definitions())
    except MetriccError as error:
        assert {d.code for d in error.diagnostics} <= set(CATALOGUE)


def compiled_or_refused(text: str) -> None:
    with within(20):
        try:
            metricc.compile(text)
        except MetriccError as error:
            assert {d.code for d in error.diagnostics} <= set(CATALOGUE)


@settings(derandomize=True, max_examples=60)
@given(mutated())
def test_mutated_texts_compile_or_are_refused(text: str) -> None:
    compiled_or_refused(text)


@pytest.mark.slow
@settings(max_examples=2_000)
@given(mutated())
def test_many_mutated_texts_compile_or_are_refused(text: str) -> None:
    compiled_or_refused(text)


@settings(derandomize=True, max_examples=200)
@given(st.text(max_size=60), st.randoms(use_true_random=False))
def test_random_insertions_are_read_or_refused(noise: str, choose: random.Random) -> None:
    seed = choose.choice(SEEDS)
    place = choose.randrange(len(seed) + 1)
    try:
        resolve(parse(seed[:place] + noise + seed[place:]), library.definitions())
    except MetriccError as error:
        for diagnostic in error.diagnostics:
            assert all(c.isprintable() or c == "\n" for c in diagnostic.render())


def test_every_code_has_an_example() -> None:
    assert [*EXAMPLES] == [*CATALOGUE]


@pytest.mark.parametrize("code", [code for code in EXAMPLES if code < "MC04"])
def test_examples_fail_and_their_repairs_work(code: str) -> None:
    wrong, right = EXAMPLES[code]
    if wrong.startswith("metricc."):
        return
    if code in WARNINGS:
        assert code in {d.code for d in metricc.compile(wrong).warnings}
    else:
        assert {d.code for d in refusal(wrong).diagnostics} == {code}
    assert metricc.compile(right).source
    assert code not in {d.code for d in metricc.compile(right).warnings}


@pytest.mark.parametrize(
    "code", [code for code, (wrong, _) in EXAMPLES.items() if wrong.startswith("metricc.")]
)
def test_examples_in_python_fail_and_their_repairs_work(code: str) -> None:
    wrong, right = EXAMPLES[code]
    names = {"metricc": metricc, "Path": Path}
    if code in WARNINGS:
        assert [d.code for d in eval(wrong, names).warnings] == [code]
        assert not eval(right, names).warnings
        return
    with pytest.raises(MetriccError) as caught:
        eval(wrong, names)
    assert [d.code for d in caught.value.diagnostics] == [code]
    eval(right, names)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("a = TP +\nb = FN\nb*2/P", ["MC0101"]),
        ("a = (TP\nb = TN; c = b/P; c", ["MC0103"]),
        ("x = TP/P,\ny = 1\ny", ["MC0101"]),
        ("as = TPR; as", ["MC0105"]),
        ("import costs\ncost + TPP", ["MC0101"]),
        ("a = TP $ 2\na + TPP", ["MC0102", "MC0201"]),
        ("(TP; b = TN", ["MC0103"]),
        ("f(x) = x*TPP; f(1, 2, 3)", ["MC0201", "MC0202"]),
        ("sqrt(-1)*TP + log(0)", ["MC0301", "MC0301"]),
    ],
)
def test_each_mistake_is_one_error(text: str, codes: list[str]) -> None:
    assert [d.code for d in refusal(text).diagnostics] == codes


@pytest.mark.parametrize("name", ["formula", "y_true", "zero_division", "maximize", "name"])
def test_parameters_do_not_hide_arguments_of_the_library(name: str) -> None:
    assert [d.code for d in refusal(f"f({name} = 1) = {name}*TP/P").diagnostics] == ["MC0207"]
