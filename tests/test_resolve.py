"""Names, parameters and the library: what a resolved text means, by evaluating it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from fractions import Fraction

import pytest
from watchdog import within

import metricc
from metricc import library, syntax
from metricc.errors import MetriccError
from metricc.functions import (
    CELLS,
    FUNCTIONS,
    GENERATED_NAMES,
    MODULE_ATTRIBUTES,
    REDUCTIONS,
    RESERVED,
    SIGNATURE_WORDS,
)
from metricc.parse import parse
from metricc.resolve import resolve

TABLE = {"TP": 40.0, "FN": 7.0, "FP": 13.0, "TN": 140.0}
TP, FN, FP, TN = TABLE.values()
PPV, TPR = TP / (TP + FP), TP / (TP + FN)


def resolved(text: str) -> syntax.Text:
    return resolve(parse(text), library.definitions())


def refusals(text: str) -> list[str]:
    with pytest.raises(MetriccError) as caught:
        resolved(text)
    return [d.code for d in caught.value.diagnostics]


def value(text: str, **parameters: float) -> float:
    """What a text is on TABLE, with defaults for the parameters that are not given."""
    definitions = {d.name: d for d in resolved(text).definitions}
    main = [*definitions.values()][-1]
    given = {p.name: float(p.default) for p in main.parameters if p.default is not None}
    return evaluate(main.body, {**TABLE, **given, **parameters}, definitions)


def evaluate(
    node: syntax.Expression,
    scope: Mapping[str, float],
    definitions: Mapping[str, syntax.Definition],
) -> float:
    inner = [evaluate(child, scope, definitions) for child in syntax.children(node)]
    match node:
        case syntax.Number():
            return float(node.value)
        case syntax.Name():
            return scope[node.id]
        case syntax.Negation():
            return -inner[0]
        case syntax.Power():
            return float(inner[0] ** inner[1])
        case syntax.Sum():
            pairs = zip(node.subtracts, inner[1:], strict=True)
            return inner[0] + sum(-x if minus else x for minus, x in pairs)
        case syntax.Product():
            pairs = zip(node.divides, inner[1:], strict=True)
            return inner[0] * math.prod(1 / x if divides else x for divides, x in pairs)
        case syntax.Call():
            if node.function in FUNCTIONS:
                functions = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp}
                return {**functions, "abs": abs, "min": min, "max": max}[node.function](*inner)
            callee = definitions[node.function]
            names = [p.name for p in callee.parameters]
            cells = {cell: scope[cell] for cell in CELLS}
            return evaluate(
                callee.body, {**cells, **dict(zip(names, inner, strict=True))}, definitions
            )


def check(text: syntax.Text) -> None:
    """Raise unless every name is settled and defined before its use."""
    assert text.metric is None
    known = dict.fromkeys(REDUCTIONS, 1)
    for definition in text.definitions:
        names = {*CELLS, *(p.name for p in definition.parameters)}
        for node in syntax.walk(definition.body):
            match node:
                case syntax.Name():
                    assert node.id in names
                case syntax.Call() if node.function not in FUNCTIONS:
                    assert len(node.arguments) == known[node.function]
                    assert all(a.name is None for a in node.arguments)
        assert definition.name not in known
        known[definition.name] = len(definition.parameters)


# -- the vocabulary ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TP", TP),
        ("FN", FN),
        ("FP", FP),
        ("TN", TN),
        ("P", TP + FN),
        ("N", FP + TN),
        ("PP", TP + FP),
        ("PN", FN + TN),
        ("POP", TP + FN + FP + TN),
        ("TPR", TP / (TP + FN)),
        ("FNR", FN / (TP + FN)),
        ("FPR", FP / (FP + TN)),
        ("TNR", TN / (FP + TN)),
        ("PPV", TP / (TP + FP)),
        ("NPV", TN / (TN + FN)),
        ("FDR", FP / (TP + FP)),
        ("FOR", FN / (TN + FN)),
        ("precision", PPV),
        ("recall", TPR),
        ("sensitivity", TPR),
        ("selectivity", TN / (TN + FP)),
        ("dice", 2 * TP / (2 * TP + FN + FP)),
        ("iou", TP / (TP + FN + FP)),
        ("informedness", TPR + TN / (TN + FP) - 1),
        ("sqrt(TP)", math.sqrt(TP)),
        ("log(TP)", math.log(TP)),
        ("exp(TPR)", math.exp(TPR)),
        ("abs(FN - TP)", TP - FN),
        ("min(TP, FN, FP)", FN),
        ("max(TP, FN)", TP),
    ],
)
def test_vocabulary(name: str, expected: float) -> None:
    assert value(name) == pytest.approx(expected, rel=1e-14)


def test_an_alias_is_the_definition_itself() -> None:
    names = library.definitions()
    assert names["dice"] is names["f1"]
    assert resolved("dice").definitions == resolved("f1").definitions
    assert resolved("f1 + dice") == resolved("f1 + f1")


def test_no_library_name_is_reserved_or_a_cell() -> None:
    assert not set(library.definitions()) & (RESERVED | set(CELLS))


# -- what a resolved text is ------------------------------------------------------------------

SOUND = [
    *library.definitions(),
    "f1 + mcc",
    "fbeta(2)/tversky(0.3, beta = 0.7)",
    "f(b = 2) = fbeta(b) + fbeta(1); f",
    "precision = TP/POP; precision + fbeta(3)",
    "metric = TP/P; metric + f1",
    "metric = TP/P; metric_ = FN/P; metric + metric_",
    "a = b; b = c; c = TP/P; a + b + c",
    "min(f1, max(recall, precision))",
]


@pytest.mark.parametrize("text", SOUND)
def test_resolved_texts_are_settled(text: str) -> None:
    check(resolved(text))


@pytest.mark.parametrize("text", SOUND)
def test_a_resolved_text_printed_needs_no_library(text: str) -> None:
    first = resolved(text)
    again = resolve(parse(str(first)), {})
    assert again == first


# -- definitions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a = TP/P; b = 2*a; b - a",
        "b = 2*a; a = TP/P; b - a",
        "c = b - a; b = 2*a; a = TP/P; c",
        "c = b - a; a = TP/P; b = 2*a; c",
        "a = TP/P\nb = 2*a\nc = b - a",
    ],
)
def test_definitions_stand_in_any_order(text: str) -> None:
    assert value(text) == pytest.approx(TPR)


def test_the_last_definition_is_the_metric() -> None:
    assert value("a = TP; b = a/2; c = b + 1") == TP / 2 + 1
    assert refusals("a = TP; b = a/2; c = a + 1") == ["MC0208"]


def test_a_line_that_begins_with_an_operator_is_a_statement_of_its_own() -> None:
    # A sign may begin an expression: the first line's name is then not used.
    assert refusals("a = TP; b = FN\nc = a\n+ b") == ["MC0208", "MC0208"]


def test_definitions_used_twice_stand_once() -> None:
    names = [d.name for d in resolved("a = TP/P; b = a + 1; c = a + 2; b*c + a").definitions]
    assert names.count("a") == 1
    assert names[-1] == "metric"
    assert names.index("a") < min(names.index("b"), names.index("c"))


# -- hiding -----------------------------------------------------------------------------------


def test_a_definition_hides_a_library_name_in_its_own_text() -> None:
    assert value("precision = TP/POP; precision") == TP / 200
    assert value("precision = TP/POP; 2*precision") == TP / 100
    assert value("f1 = TP; f1 + f1") == 2 * TP


def test_the_library_keeps_its_own_names() -> None:
    # fbeta is made of PPV and TPR: the library's, not the text's.
    assert value("PPV = TP/POP; fbeta(1) + 0*PPV") == pytest.approx(value("f1"))
    assert value("cohen_kappa = TP; hss + cohen_kappa") == pytest.approx(value("hss") + TP)
    assert value("P = TP; P + recall") == pytest.approx(TP + TPR)


def test_hiding_one_text_does_not_change_the_next() -> None:
    before = value("fbeta")
    assert value("TPR = 1/2; PPV = 1/2; fbeta + 0*TPR*PPV") == pytest.approx(before)
    assert value("fbeta") == before
    assert value("TPR") == TPR


def test_a_hidden_and_a_hiding_definition_in_one_text() -> None:
    text = resolved("PPV = TP/POP; fbeta(1) + PPV")
    check(text)
    assert value("PPV = TP/POP; fbeta(1) + PPV") == pytest.approx(value("f1") + TP / 200)


def test_a_text_may_use_the_name_that_a_hidden_one_gets() -> None:
    text = "library_PPV = FN; PPV = TP/POP; fbeta(1) + PPV + library_PPV"
    assert value(text) == pytest.approx(value("f1") + TP / 200 + FN)
    check(resolved(text))


def test_a_definition_may_use_the_library_metric_of_another_name() -> None:
    assert value("sensitivity = recall; sensitivity + 0*recall") == pytest.approx(TPR)


def test_a_definition_of_a_library_name_through_itself_is_refused() -> None:
    assert refusals("precision = 2*precision; precision") == ["MC0204"]


@pytest.mark.parametrize("cell", CELLS)
def test_cells_are_never_hidden(cell: str) -> None:
    assert refusals(f"{cell} = 1; {cell}/P") == ["MC0206"]
    assert refusals(f"f({cell} = 1) = {cell}/P") == ["MC0206"]


def test_a_parameter_hides_a_library_name_and_a_definition() -> None:
    assert value("f(precision = 2) = precision*TP; f") == 2 * TP
    assert value("a = FN; f(a = 2) = a*TP; f + a") == 2 * TP + FN


# -- parameters -------------------------------------------------------------------------------


def fbeta(beta: float) -> float:
    return (1 + beta**2) * PPV * TPR / (beta**2 * PPV + TPR)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fbeta(2)", fbeta(2)),
        ("fbeta(beta = 2)", fbeta(2)),
        ("fbeta(1/2)", fbeta(0.5)),
        ("fbeta()", fbeta(1)),
        ("2*fbeta", 2 * fbeta(1)),
        ("tversky(0.3, 0.7)", TP / (TP + 0.3 * FP + 0.7 * FN)),
        ("tversky(0.3, beta = 0.7)", TP / (TP + 0.3 * FP + 0.7 * FN)),
        ("tversky(beta = 0.7, alpha = 0.3)", TP / (TP + 0.3 * FP + 0.7 * FN)),
        ("f(b = 2) = fbeta(b) + b; f(3)", fbeta(3) + 3),
        ("f(beta = 2) = fbeta(1/beta) + beta; f(3)", fbeta(1 / 3) + 3),
        ("f(a, b = 2) = a*TP + b*FN; f(3)", 3 * TP + 2 * FN),
        ("f(a, b = 2) = a*TP + b*FN; f(b = 5, a = 3)", 3 * TP + 5 * FN),
        ("f(a = 2) = a*TP; f(TP + FN)", (TP + FN) * TP),
        ("f(x = 2) = x^2; g(x = 3) = f(x + 1); g + 0*TP", 16),
    ],
)
def test_arguments(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("fbeta", ["beta"]),
        ("(fbeta)", ["beta"]),
        ("tversky", ["alpha", "beta"]),
        ("f(a = 1) = a*TP/P; f", ["a"]),
        ("f(a = 1) = a*TP/P", ["a"]),
        ("g = TP; f(a = 1) = a*g/P", ["a"]),
        ("fbeta(2)", []),
        ("fbeta()", []),
        ("2*fbeta", []),
        ("-fbeta", []),
        ("f1", []),
        ("g = fbeta; g", []),  # a name inside a larger expression takes its defaults
    ],
)
def test_exported_parameters(text: str, parameters: list[str]) -> None:
    assert [p.name for p in resolved(text).definitions[-1].parameters] == parameters


def test_exported_parameters_keep_defaults_and_ranges() -> None:
    (alpha, beta) = resolved("tversky").definitions[-1].parameters
    assert alpha.default is None and beta.default is None
    assert str(alpha.interval) == "[0, inf)"
    (beta,) = resolved("fbeta").definitions[-1].parameters
    assert beta.default == 1 and str(beta.interval) == "(0, inf)"


def test_parameters_are_seen_in_their_own_body_alone() -> None:
    assert refusals("f(b = 1) = g; g = TP*b; f") == ["MC0201"]
    assert refusals("f(b = 1) = TP*b; f + b") == ["MC0201"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tversky(1)", "MC0203"),
        ("tversky + 1", "MC0203"),
        ("fbeta(1, 2)", "MC0202"),
        ("fbeta(1, beta = 2)", "MC0202"),
        ("fbeta(gamma = 1)", "MC0202"),
        ("f1(1)", "MC0202"),
        ("fbeta(0)", "MC0202"),
        ("f(a = 0 in [0, 1)) = a*TP; f(1)", "MC0202"),
        ("f(a = 1 in (0, 1)) = a*TP", "MC0210"),
        ("f(a = -1 in [0, inf)) = a*TP", "MC0210"),
        ("sqrt()", "MC0202"),
        ("sqrt(TP, FN)", "MC0202"),
        ("min(TP)", "MC0202"),
        ("sqrt(x = TP)", "MC0202"),
        ("sqrt + 1", "MC0202"),
        ("TP(FN)", "MC0202"),
        ("f(a = 1) = a(TP)", "MC0202"),
        ("per_class(f1)", "MC0209"),
        ("ce + f1", "MC0209"),
        ("macro(f1, f1)", "MC0202"),
        ("focal(1, 2) + f1", "MC0202"),
        ("f1 + quadratic_kappa", "MC0215"),
        ("bce = f1; bce", "MC0206"),
        ("f(a, a) = a*TP", "MC0205"),
        ("a = TP; a = FN; a", "MC0205"),
    ],
)
def test_wrong_parameters_and_arguments(text: str, code: str) -> None:
    assert refusals(text) == [code]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("fbeta(-1)"),
        pytest.param("fbeta(beta = -2)"),
        pytest.param("fbeta(1 - 1)"),
        pytest.param("fbeta(-1/2)"),
        pytest.param("tversky(-0.1, 1)"),
        "fbeta(0.0)",
    ],
)
def test_a_constant_argument_outside_its_range_is_refused(text: str) -> None:
    from metricc.lower import lower

    with pytest.raises(MetriccError) as caught:  # arithmetic may be left to the next stage
        lower(resolved(text), "m", text)
    assert [d.code for d in caught.value.diagnostics] == ["MC0202"]


# -- what the generated file can use ----------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        *"lambda class def return None True is yield async".split(),
        *"forward training state_dict register_buffer half T_destination".split(),
        *"input target weight class_weight mask ignore_index reduction smooth absent per".split(),
        *"process_group L threshold thresholds mu delta p z self".split(),
        *"math torch Tensor METRICC value gradient weights loss".split(),
    ],
)
def test_parameters_that_the_generated_file_cannot_have(word: str) -> None:
    assert refusals(f"f({word} = 1) = {word}*TP/P") == ["MC0207"]


@pytest.mark.parametrize("word", ["beta", "E", "I", "N", "S", "Q", "P", "x1", "root", "alpha_"])
def test_parameters_that_it_can_have(word: str) -> None:
    assert value(f"f({word} = 3) = {word}*TP") == 3 * TP


def outcome(word: str) -> tuple[object, ...]:
    """Loss, gradient and value of a metric with a parameter of that name."""
    torch = pytest.importorskip("torch")
    logits = torch.tensor([1.0, -1.0, 0.5, -0.3], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0])
    m = metricc.compile(f"f({word} = 2 in (0, inf)) = sqrt({word}*TPR)")
    loss = m.loss(**{word: 3.0})(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    called = m.module().f_loss(logits, labels, **{word: 3.0})
    return loss.item(), gradient.tolist(), called.item(), m.value(3, 1, 2, 4, **{word: 3.0})


def refused_or_works(word: str) -> None:
    try:
        resolved(f"f({word} = 2) = {word}*TP")
    except MetriccError:
        return
    assert outcome(word) == outcome("beta")


@pytest.mark.parametrize("word", ["A", "y", "a", "x1", "root", "P", "counts", "ctx", "f_loss", "e"])
def test_parameters_named_as_locals_of_the_generated_file(word: str) -> None:
    refused_or_works(word)


@pytest.mark.parametrize("word", ["cells", "kept", "slope", "save_for_backward", "x" * 29])
def test_parameters_that_break_the_generated_file(word: str) -> None:
    refused_or_works(word)


@pytest.mark.slow
def test_every_word_of_the_generated_file_is_refused_or_works() -> None:
    torch = pytest.importorskip("torch")
    source = metricc.compile("f(beta = 2) = log(1 + min(TPR, beta*TNR)) + TPR^beta").source
    words = {*re.findall(r"[A-Za-z]\w*", source), *dir(torch.autograd.Function)}
    for word in sorted(w for w in words if w[0] != "_" and w != "TPR"):  # the formula has TPR
        refused_or_works(word)


def test_definitions_may_have_names_that_parameters_may_not() -> None:
    assert value("weight = TP; weight + 1") == TP + 1


def test_module_attributes_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    public = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    covered = MODULE_ATTRIBUTES | SIGNATURE_WORDS | GENERATED_NAMES | RESERVED
    assert public <= covered, sorted(public - covered)


def test_signature_words_are_those_of_the_specification() -> None:
    words = (
        "input target weight class_weight mask ignore_index reduction smooth absent per "
        "process_group L threshold thresholds mu delta p z"
    )
    assert set(words.split()) <= SIGNATURE_WORDS


def test_signature_words_cover_the_methods_that_take_parameters_and_columns() -> None:
    """A parameter or column of such a name could not be passed."""
    from metricc.compiled import CompiledMetric

    cells = {"TP", "FN", "FP", "TN"}
    for name, method in inspect.getmembers(CompiledMetric, inspect.isfunction):
        taken = inspect.signature(method).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in taken):
            names = {p.name for p in taken if p.kind is not p.VAR_KEYWORD}
            assert names <= SIGNATURE_WORDS | RESERVED | cells, (name, names - SIGNATURE_WORDS)


# -- loops and size ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a = a; a", "a = b; b = a; a", "a = TP + b; b = c; c = 2*a; a", "f(x = 1) = f(x); f"],
)
def test_definitions_do_not_reach_themselves(text: str) -> None:
    assert set(refusals(text)) == {"MC0204"}


def test_doubling_definitions_are_counted_not_inlined() -> None:
    lines = ["a0 = TP/P", *(f"a{i + 1} = a{i}*a{i}" for i in range(200)), "a200"]
    with within(10):
        assert refusals("\n".join(lines)) == ["MC0403"]


def test_long_chains_of_definitions_end() -> None:
    lines = ["a0 = TP/P", *(f"a{i + 1} = a{i} + 1" for i in range(2_000)), "a2000"]
    with within(20):
        assert refusals("\n".join(lines)) == ["MC0403"]


def test_three_errors_are_three_diagnostics_in_source_order() -> None:
    text = "a = TPP/P\nf(lambda = 1) = lambda*a\nf(1, 2) + sqrt(TP, FN)"
    with pytest.raises(MetriccError) as caught:
        resolved(text)
    found = [(d.code, d.position()) for d in caught.value.diagnostics]
    assert found == [
        ("MC0201", (1, 5)),
        ("MC0207", (2, 3)),
        ("MC0202", (3, 6)),
        ("MC0202", (3, 11)),
    ]


def test_long_chains_of_definitions_end_in_any_order() -> None:
    lines = [*(f"a{i + 1} = a{i} + 1" for i in reversed(range(300))), "a0 = TP/P", "a300"]
    assert refusals("\n".join(lines)) == ["MC0403"]


def test_exact_defaults_reach_the_body() -> None:
    (definition,) = resolved("f(a = 0.1) = a*TP").definitions
    assert definition.parameters[0].default == Fraction(1, 10)
