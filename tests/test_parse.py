"""Text → syntax tree: precedence, exact numbers, statements, comments, spans, round trips."""

from __future__ import annotations

import operator
import random
import re
import string
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from watchdog import within

from metricc import library, syntax
from metricc.errors import MetriccError, Span
from metricc.functions import FUNCTIONS, REDUCTIONS, RESERVED
from metricc.parse import MAX_DIGITS, MAX_TEXT, parse
from metricc.statements import MAX_NESTING, RECORD_KEYS

ROOT = Path(__file__).parent.parent
GRAMMAR = (ROOT / "grammar" / "metric.lark").read_text(encoding="utf-8")
LIBRARY = sorted((ROOT / "metricc" / "metrics").glob("*.metric"))

settings.register_profile("parse", derandomize=True, max_examples=200)
QUICK = settings.get_profile("parse")


def body(text: str) -> syntax.Expression:
    """The expression that a text of one expression is."""
    metric = parse(text).metric
    assert metric is not None
    return metric.body


def codes(text: str) -> list[str]:
    with pytest.raises(MetriccError) as caught:
        parse(text)
    return [d.code for d in caught.value.diagnostics]


def evaluate(node: syntax.Expression) -> Fraction:
    """The value of an expression of numbers."""
    match node:
        case syntax.Number():
            return node.value
        case syntax.Negation():
            return -evaluate(node.operand)
        case syntax.Power():
            return evaluate(node.base) ** int(evaluate(node.exponent))
        case syntax.Product():
            steps = (operator.truediv if d else operator.mul for d in node.divides)
        case syntax.Sum():
            steps = (operator.sub if s else operator.add for s in node.subtracts)
        case _:
            raise AssertionError(node)
    first, *rest = map(evaluate, node.operands)
    for step, operand in zip(steps, rest, strict=True):
        first = step(first, operand)
    return first


# -- the grammar ------------------------------------------------------------------------------


def test_grammar_has_no_conflicts() -> None:
    # strict: Lark raises on shift/reduce and reduce/reduce conflicts and on colliding terminals.
    Lark(GRAMMAR, parser="lalr", strict=True)


def test_strict_grammar_check_finds_conflicts() -> None:
    with pytest.raises(Exception, match=r"(?i)conflict"):
        Lark('start: e\n e: e "+" e | "a"\n', parser="lalr", strict=True)


# -- precedence -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("2^3^2", 512),
        ("(2^3)^2", 64),
        ("2**3**2", 512),
        ("2^-1", Fraction(1, 2)),
        ("2^-2^2", Fraction(1, 16)),
        ("2^+2", 4),
        ("-2^-2", Fraction(-1, 4)),
        ("24/4/2", 3),
        ("24/(4/2)", 12),
        ("24/4*2", 12),
        ("24*4/2", 48),
        ("9-4-3", 2),
        ("9-(4-3)", 8),
        ("9-4+3", 8),
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("2*3^2", 18),
        ("-2*3", -6),
        ("2*-3", -6),
        ("2/-4", Fraction(-1, 2)),
        ("2--3", 5),
        ("2-+3", -1),
        ("--3", 3),
        ("-+-3", 3),
        ("+3", 3),
        ("-2*3-4", -10),
        ("1-2/4^1/2", Fraction(3, 4)),
    ],
)
def test_precedence(text: str, value: int | Fraction) -> None:
    assert evaluate(body(text)) == value


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("-TP^2", "-(TP^2)"),
        ("2^3^2", "2^(3^2)"),
        ("TP**2", "TP^2"),
        ("-TP*FN", "(-TP)*FN"),
        ("+TP", "TP"),
        ("((TP))", "TP"),
        ("TP/P-FN/N", "(TP/P) - (FN/N)"),
        ("sqrt(TP)^2", "(sqrt(TP))^2"),
        ("TP\t/\tP", "TP/P"),
    ],
)
def test_parentheses_that_change_nothing_leave_no_node(text: str, same: str) -> None:
    assert body(text) == body(same)


def test_sums_and_products_are_flat() -> None:
    assert body("a - b + c - d") == syntax.Sum(tuple(map(syntax.Name, "abcd")), (True, False, True))
    assert body("a / b * c / d") == syntax.Product(
        tuple(map(syntax.Name, "abcd")), (True, False, True)
    )
    assert body("a - (b - c)") != body("a - b - c")
    assert body("(a - b) - c") != body("a - b - c")  # what the user wrote is kept


# -- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", Fraction(1)),
        ("0", Fraction(0)),
        ("007", Fraction(7)),
        ("0.1", Fraction(1, 10)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("1.", Fraction(1)),
        ("1.e2", Fraction(100)),
        ("1e-3", Fraction(1, 1000)),
        ("1E+2", Fraction(100)),
        ("2.5e1", Fraction(25)),
        ("0.30000000000000004", Fraction(30000000000000004, 10**17)),
        ("1e99", Fraction(10**99)),
        ("1e-99", Fraction(1, 10**99)),
        ("1e0099", Fraction(10**99)),
        ("9" * MAX_DIGITS, Fraction(10**MAX_DIGITS - 1)),
    ],
)
def test_numbers_are_exact(text: str, value: Fraction) -> None:
    node = body(text)
    assert node == syntax.Number(value)
    assert str(node) == text  # the user's spelling is kept


@pytest.mark.parametrize("text", ["9" * (MAX_DIGITS + 1), "1e100", "1e-100", "1e1000000000000"])
def test_numbers_have_a_limit(text: str) -> None:
    assert codes(text) == ["MC0404"]


@pytest.mark.parametrize("text", ["1.2.3", "1_000", "0x10", "1e", "1e+", "2TP", "1 2", ".", "1j"])
def test_what_is_no_number(text: str) -> None:
    assert set(codes(text)) <= {"MC0101", "MC0102"}


# -- statements -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("a = TP; a", ["a = TP", "a"]),
        ("a = TP\na", ["a = TP", "a"]),
        ("a = TP\r\na\r\n", ["a = TP", "a"]),
        ("a = TP;;\n\n;a;", ["a = TP", "a"]),
        ("a = TP\n+ FN", ["a = TP", "FN"]),  # a line may end in an operator, not begin with one
        ("(TP +\n FN)", ["TP + FN"]),
        ("(TP\n + FN)", ["TP + FN"]),
        ("sqrt(\n\nTP\n)", ["sqrt(TP)"]),
        ("TP +\nFN", ["TP + FN"]),
        ("TP -\nFN", ["TP - FN"]),
        ("TP *\nFN", ["TP*FN"]),
        ("TP /\nFN", ["TP/FN"]),
        ("TP ^\n2", ["TP^2"]),
        ("TP **\n2", ["TP^2"]),
        ("-\nTP", ["-TP"]),
        ("a =\nTP\na", ["a = TP", "a"]),
        ("a =\n\n\nTP\na", ["a = TP", "a"]),
        ("TP +  \n  FN", ["TP + FN"]),
        ("TP + # why\n FN", ["TP + FN"]),
        ("f(x,\ny) = TP*x*y", ["f(x, y) = TP*x*y"]),
        ("f(x = 1 in (0,\ninf)) = TP*x", ["f(x = 1 in (0, inf)) = TP*x"]),
        pytest.param("TP + " + " " * 500 + "\nFN", ["TP + FN"]),
        pytest.param("TP +" + "\n" * 500 + "FN", ["TP + FN"]),
        ("TP + #" + "x" * 500 + "\nFN", ["TP + FN"]),
    ],
)
def test_statements(text: str, statements: list[str]) -> None:
    parsed = parse(text)
    found = [*parsed.definitions, *([parsed.metric] if parsed.metric is not None else [])]
    assert [str(s).split("\n")[-1] for s in found] == statements


def test_a_text_ends_in_an_expression_or_a_definition() -> None:
    assert parse("a = TP").metric is None
    assert parse("a = TP; a").metric == syntax.Metric(syntax.Name("a"))
    assert codes("TP; a = FN") == ["MC0107"]
    assert codes("TP; FN; FP") == ["MC0107", "MC0107"]


@pytest.mark.parametrize("text", ["", " ", "\n\n", ";;;", "# a comment", "## description: x"])
def test_a_text_without_a_statement(text: str) -> None:
    assert codes(text) == ["MC0104"]


def test_every_statement_reports_its_own_error() -> None:
    text = "a = TP +* FN\nb = FP $ 2\nc = TP)\na"
    with pytest.raises(MetriccError) as caught:
        parse(text)
    found = [(d.code, d.position()) for d in caught.value.diagnostics]
    assert found == [("MC0101", (1, 9)), ("MC0102", (2, 8)), ("MC0103", (3, 7))]


# -- comments and records ---------------------------------------------------------------------

COMMENTED = """\
# first
# second
## description: one
## and the rest of it
## reference: A 1999
## aliases: u, v
a = TP + # inside
    FN   # at the end
# before the metric
a
# after it
## description: of nothing
"""


def test_comments_are_kept() -> None:
    text = parse(COMMENTED)
    (definition,) = text.definitions
    assert definition.comments == ("first", "second", "inside", "at the end")
    assert text.metric is not None
    assert text.metric.comments == ("before the metric",)
    assert text.comments == ("after it", "# description: of nothing")


def test_records_belong_to_the_next_definition() -> None:
    (definition,) = parse(COMMENTED).definitions
    assert definition.record == (
        ("description", "one"),
        ("description", "and the rest of it"),
        ("reference", "A 1999"),
        ("aliases", "u, v"),
    )
    assert definition.fact("description") == "one and the rest of it"
    assert definition.fact("range") == ""
    assert definition.aliases == ("u", "v")


def test_a_record_line_without_a_key_is_a_description() -> None:
    (definition,) = parse("## 2 : 1 odds\na = TP").definitions
    assert definition.record == (("description", "2 : 1 odds"),)


def test_control_characters_in_records_are_blanks() -> None:
    (definition,) = parse("## reference: d\x00e\x1b[0m\u202ef\r\na = TP").definitions
    assert definition.record == (("reference", "d e [0m f"),)


@pytest.mark.parametrize("text", ["## \0x\na = TP", "## d\n##\x1bx\na = TP"])
def test_control_characters_at_the_beginning_of_a_record_round_trip(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)


def test_a_comment_ends_nothing_and_hides_everything() -> None:
    assert body("(TP # ; ) $ \n)") == syntax.Name("TP")
    assert body("TP # + \n") == syntax.Name("TP")


# -- definitions and parameters ---------------------------------------------------------------


def test_parameters() -> None:
    head = "f(a, b = 1, c in [0, inf), d = -0.5 in (-inf, 2], e = 1/3, g = +2)"
    (definition,) = parse(f"{head} = TP").definitions
    below_two = syntax.Interval(None, Fraction(2), True, False)
    assert definition.parameters == (
        syntax.Parameter("a"),
        syntax.Parameter("b", Fraction(1)),
        syntax.Parameter("c", None, syntax.Interval(Fraction(0), None, False, True)),
        syntax.Parameter("d", Fraction(-1, 2), below_two),
        syntax.Parameter("e", Fraction(1, 3)),
        syntax.Parameter("g", Fraction(2)),
    )


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("(0, 1)", ["0.5"], ["0", "1", "-1"]),
        ("[0, 1]", ["0", "0.5", "1"], ["-0.1", "1.1"]),
        ("[0, 1)", ["0"], ["1"]),
        ("(0, 1]", ["1"], ["0"]),
        ("(0, inf)", ["0.001", "1e9"], ["0", "-1"]),
        ("(-inf, 0]", ["0", "-1e9"], ["0.001"]),
        ("(-inf, inf)", ["0", "-1e9", "1e9"], []),
        ("(-2, -1)", ["-1.5"], ["-1", "-2", "1.5"]),
        ("(+1, +2)", ["1.5"], ["1"]),
    ],
)
def test_ranges(interval: str, inside: list[str], outside: list[str]) -> None:
    (definition,) = parse(f"f(a in {interval}) = TP").definitions
    found = definition.parameters[0].interval
    assert found is not None
    assert all(Fraction(x) in found for x in inside)
    assert not any(Fraction(x) in found for x in outside)


@pytest.mark.parametrize(
    "interval",
    [
        "(1, 0)",
        "(0, 0)",
        "[0, 0)",
        pytest.param("(0, -inf)"),
        pytest.param("(inf, 0)"),
        pytest.param("(inf, -inf)"),
        pytest.param("(inf, inf)"),
    ],
)
def test_empty_ranges_are_refused(interval: str) -> None:
    assert codes(f"f(a in {interval}) = TP*a") == ["MC0106"]


def test_keyword_arguments() -> None:
    assert body("f(1, beta = 2)") == syntax.Call(
        "f",
        (
            syntax.Argument(None, syntax.Number(Fraction(1))),
            syntax.Argument("beta", syntax.Number(Fraction(2))),
        ),
    )


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_reserved_words_are_no_names(word: str) -> None:
    assert codes(f"{word} = TP")[0] in ("MC0105", "MC0101")
    assert codes(f"f({word} = 1) = TP")[0] in ("MC0105", "MC0101")
    callable_word = word in FUNCTIONS or word in REDUCTIONS
    if not callable_word:  # what a function's bare name means is said by resolve
        assert codes(f"TP + {word}")[0] in ("MC0105", "MC0101")


# -- limits -----------------------------------------------------------------------------------


def test_text_length() -> None:
    assert body("TP" + " " * (MAX_TEXT - 2)) == syntax.Name("TP")
    assert codes("TP" + " " * (MAX_TEXT - 1)) == ["MC0401"]


def test_bracket_nesting() -> None:
    assert body("(" * MAX_NESTING + "TP" + ")" * MAX_NESTING) == syntax.Name("TP")
    assert codes("(" * (MAX_NESTING + 1) + "TP" + ")" * (MAX_NESTING + 1)) == ["MC0402"]


def test_operator_nesting() -> None:
    assert isinstance(body("-" * 150 + "TP"), syntax.Negation)
    assert codes("-" * 300 + "TP") == ["MC0402"]
    assert codes("^".join(["TP"] * 300)) == ["MC0402"]


# -- round trips ------------------------------------------------------------------------------

WORDS = st.sampled_from(["TP", "FN", "FP", "TN", "P", "x1", "beta", "precision", "lambda", "E"])
NUMBERS = st.sampled_from(["0", "1", "2", "0.1", "1.5", ".5", "1.", "1e-3", "2E+5", "10", "99"])


def _operands(inner: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[object]:
    return st.lists(st.tuples(inner, st.booleans()), min_size=2, max_size=4)


def _extend(inner: st.SearchStrategy[syntax.Expression]) -> st.SearchStrategy[syntax.Expression]:
    arguments = st.lists(
        st.builds(syntax.Argument, st.none() | st.sampled_from(["beta", "x"]), inner), max_size=3
    )
    calls = st.sampled_from(["sqrt", "log", "min", "fbeta", "macro", "f"])
    return st.one_of(
        st.builds(syntax.Negation, inner),
        st.builds(syntax.Power, inner, inner),
        st.builds(syntax.Call, calls, arguments.map(tuple)),
        _operands(inner).map(lambda p: _flat(syntax.Sum, p)),
        _operands(inner).map(lambda p: _flat(syntax.Product, p)),
        st.builds(syntax.Conditional, _conditions(inner), inner, inner),
    )


@st.composite
def _conditions(
    draw: st.DrawFn, inner: st.SearchStrategy[syntax.Expression], depth: int = 2
) -> syntax.Expression:
    word = draw(st.sampled_from(["", "", "and", "or", "not"])) if depth else ""
    if word == "not":
        return syntax.Logic(word, (draw(_conditions(inner, depth - 1)),))
    if word:
        operands = draw(_conditions(inner, depth - 1)), draw(_conditions(inner, depth - 1))
        return syntax.Logic(word, operands)
    sign = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
    return syntax.Comparison(draw(inner), sign, draw(inner))


def _flat(
    kind: type[syntax.Sum] | type[syntax.Product], parts: list[tuple[syntax.Expression, bool]]
) -> syntax.Expression:
    return kind(tuple(p for p, _ in parts), tuple(inverse for _, inverse in parts[1:]))


EXPRESSIONS = st.recursive(
    NUMBERS.map(lambda text: syntax.Number(Fraction(text), text)) | WORDS.map(syntax.Name),
    _extend,
    max_leaves=12,
)


@QUICK
@given(EXPRESSIONS)
def test_str_of_an_expression_parses_back(tree: syntax.Expression) -> None:
    assert body(str(tree)) == tree


def check_spans(source: str, tree: syntax.Expression) -> None:
    """Every node's span is text that reads as that node again."""
    for node in syntax.walk(tree):
        # In brackets, since a node may hold newlines of a statement that stands in brackets.
        text = source[node.span.start : node.span.end]
        if isinstance(node, syntax.Comparison | syntax.Logic):
            choice = body(f"(if {text} then 1 else 2)")
            assert isinstance(choice, syntax.Conditional) and choice.condition == node
        else:
            assert body(f"({text})") == node
        if isinstance(node, syntax.Call):
            assert source[node.span.start :].startswith(node.function)
            for argument in node.arguments:
                text = source[argument.span.start : argument.span.end]
                call = body(f"f({text}\n)")
                assert isinstance(call, syntax.Call)
                assert call.arguments == (argument,)


@QUICK
@given(EXPRESSIONS)
def test_spans_read_as_their_nodes(tree: syntax.Expression) -> None:
    source = str(tree)
    check_spans(source, body(source))


@QUICK
@given(EXPRESSIONS, st.randoms(use_true_random=False))
def test_blanks_and_comments_in_brackets_change_nothing(
    tree: syntax.Expression, choose: random.Random
) -> None:
    tokens = re.findall(r"[0-9.]+(?:[eE][+-]?[0-9]+)?|[A-Za-z]\w*|\*\*|[<>=!]=|\S", str(tree))
    blanks = ["", " ", "\n", "\t", "\r\n", "  ", " # (;\n", "\n## description: ) x\n"]
    source = "(" + "".join(choose.choice(blanks[1:]) + token for token in tokens) + "\n)"
    parsed = body(source)
    assert parsed == tree
    check_spans(source, parsed)


# Control characters in records are read as blanks.
LINES = st.text(max_size=20).map(lambda t: "".join(filter(str.isprintable, t)).strip())
IDS = st.sampled_from(["a", "b", "f1x", "E", "beta", "lambda", "x_1", "Z"])
VALUES = st.builds(Fraction, st.integers(-999, 999), st.sampled_from([1, 2, 3, 7, 10, 1000]))
BOUNDS = st.builds(Fraction, st.integers(-99, 99), st.sampled_from([1, 2, 10, 1000]))


@st.composite
def intervals(draw: st.DrawFn) -> syntax.Interval:
    low, high = sorted(draw(st.tuples(BOUNDS, BOUNDS).filter(lambda b: b[0] != b[1])))
    ends = draw(st.tuples(st.just(low) | st.none(), st.just(high) | st.none()))
    return syntax.Interval(*ends, draw(st.booleans()), draw(st.booleans()))


PARAMETERS = st.builds(syntax.Parameter, IDS, st.none() | VALUES, st.none() | intervals())
RECORDS = st.lists(st.tuples(st.sampled_from(RECORD_KEYS), LINES), max_size=3).map(tuple)
COMMENTS = st.lists(LINES.filter(lambda line: not line.startswith("#")), max_size=3).map(tuple)
DEFINITIONS = st.builds(
    syntax.Definition,
    IDS,
    st.lists(PARAMETERS, max_size=3).map(tuple),
    EXPRESSIONS,
    RECORDS,
    COMMENTS,
)
METRICS = st.builds(syntax.Metric, EXPRESSIONS, COMMENTS)
TEXTS = st.builds(
    syntax.Text, st.lists(DEFINITIONS, min_size=1, max_size=3).map(tuple), METRICS, COMMENTS
)


@settings(QUICK, max_examples=100)
@given(TEXTS)
def test_str_of_a_text_parses_back(text: syntax.Text) -> None:
    assert parse(str(text)) == text


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: p.name)
def test_library_files_round_trip(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    text = parse(source, path.name)
    assert parse(str(text)) == text
    for definition in text.definitions:
        check_spans(source, definition.body)
        span, name = definition.span, definition.name_span
        assert source[name.start : name.end] == definition.name
        (again,) = parse(source[span.start : span.end]).definitions
        assert (again.name, again.parameters, again.body) == (
            definition.name,
            definition.parameters,
            definition.body,
        )
        for parameter in definition.parameters:
            assert source[parameter.span.start : parameter.span.end] == str(parameter)


def test_library_files_are_all_read() -> None:
    assert sorted(library.FAMILIES) == [path.stem for path in LIBRARY]


@pytest.mark.parametrize("default", ["0.0000000000001", "1e-50", "1/3", "-1/3"])
def test_parameters_with_small_defaults_round_trip(default: str) -> None:
    text = parse(f"f(a = {default}) = TP*a")
    assert parse(str(text)) == text


@pytest.mark.parametrize("default", ["1e-70", "1e70", "-1e-99", "1e99"])
def test_parameters_with_extreme_defaults_round_trip(default: str) -> None:
    text = parse(f"f(a = {default}) = TP*a")
    assert parse(str(text)) == text


@pytest.mark.parametrize("bound", ["1e-13", "1e-70", "1e70", "0.00000000000001"])
def test_ranges_with_extreme_bounds_round_trip(bound: str) -> None:
    text = parse(f"f(a in ({bound}, 1e99)) = TP*a")
    assert parse(str(text)) == text


# -- hostile text -----------------------------------------------------------------------------

ALPHABET = "TPFN+-*/^()[]=,;#.eE0129 \n\r\t_inf\\'\"$%{}<>\0\x1b\u202e\u00d7\u03b2\ufeff"


@settings(QUICK, max_examples=400)
@given(st.text(st.sampled_from(ALPHABET), max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except MetriccError as error:
        assert error.diagnostics
        for diagnostic in error.diagnostics:
            assert diagnostic.source == text
            if diagnostic.span is not None:
                assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
            rendered = diagnostic.render()
            assert all(c.isprintable() or c == "\n" for c in rendered), rendered
    else:
        assert parse(str(parsed)) == parsed


@pytest.mark.parametrize("unit", [*string.punctuation, "1", "a", "\n", "\r", " ", "()", "a+"])
def test_long_texts_end_quickly(unit: str) -> None:
    text = (unit * MAX_TEXT)[:MAX_TEXT]
    with within(10):
        try:
            parse(text)
        except MetriccError as error:
            size = len(str(error))
            assert size < 200_000


def test_a_text_full_of_errors_reports_the_first_ones() -> None:
    # 32,768 diagnostics take two minutes and 10 MB to render.
    with pytest.raises(MetriccError) as caught:
        parse("a;" * 1_000)
    assert len(caught.value.diagnostics) <= 100


def test_spans_are_ordered() -> None:
    assert Span(1, 2) < Span(1, 3) < Span(2, 2)
