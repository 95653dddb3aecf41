"""Text → syntax tree. The only importer of Lark.

A text is cut into statements first (at `;` and at newlines outside brackets that do not follow an
operator, `=` or `,`), and each statement is parsed alone, so each reports its own errors. Comments
and the newlines inside a statement are blanked, never removed: offsets stay those of the text.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import lark
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

from metricc import syntax, tables
from metricc.errors import Diagnostic, MetriccError, Span
from metricc.functions import FUNCTIONS, REDUCTIONS, RESERVED
from metricc.phrases import character_hint, expectation, token_hint
from metricc.statements import MAX_NESTING, Reader, Statement, cut

# Limits on what a stranger's text may cost. Brackets stay far under Python's recursion limit.
MAX_TEXT = 64 * 1024
MAX_DIGITS = 60


def parse(source: str, origin: str = "<formula>") -> syntax.Text:
    """Parse a text of the metric language.

    `origin` names the source in diagnostics (a file's name). Raises `MetriccError` with every
    syntax error of the text at once.
    """
    return read(source, origin).checked()


def read(source: str, origin: str = "<formula>", start: str = "start") -> syntax.Text:
    """Parse what can be parsed of a text; its errors are the result's `diagnostics`.

    `start` is what a statement of it is: a formula or definition, or a "condition".
    Raises `MetriccError` for a text above the limit, or with very many errors.
    """
    if len(source) > MAX_TEXT:
        fact = f"the text has {len(source):,} characters; at most {MAX_TEXT:,} are read"
        raise MetriccError(Diagnostic("MC0401", fact, hint="shorten it", origin=origin))
    reader = Reader(source, origin, start)
    statements, trailing = cut(reader)
    imports: list[syntax.Import] = []
    definitions: list[syntax.Definition] = []
    metric: syntax.Metric | None = None
    for index, statement in enumerate(statements):
        errors = len(reader.diagnostics)
        parsed = _statement(reader, statement)
        if len(reader.diagnostics) > errors:
            reader.give_up(statement.span)
        elif isinstance(parsed, syntax.Import):
            imports.append(parsed)
        elif isinstance(parsed, syntax.Definition):
            definitions.append(parsed)
        elif isinstance(parsed, syntax.Metric):
            if index < len(statements) - 1:
                hint = "give it a name (`name = ...`) or move it to the end"
                if statements[index + 1].text[0] in "+-":
                    hint = "end the line with the operator, or put the whole in brackets"
                fact = "a bare expression ends a text, and more follows this one"
                reader.report("MC0107", fact, parsed.span, hint)
            metric = parsed
    if not statements and not reader.diagnostics:
        hint = "write one, for example: 2*TP / (2*TP + FP + FN)"
        reader.report("MC0104", "the text has no formula", None, hint)
    return syntax.Text(
        tuple(definitions),
        metric,
        trailing,
        tuple(imports),
        source,
        origin,
        tuple(reader.diagnostics),
        frozenset(reader.broken),
    )


@cache
def _parser() -> Lark:
    here = Path(__file__).parent
    # Wheels carry the grammar inside the package; a checkout has it beside the package.
    for path in (here / "grammar" / "metric.lark", here.parent / "grammar" / "metric.lark"):
        if path.is_file():
            grammar = path.read_text(encoding="utf-8")
            return _loaded(grammar) or build(grammar)
    raise FileNotFoundError("grammar/metric.lark is missing from this installation of metricc")


def build(grammar: str) -> Lark:
    """The parser of a grammar, its tables made anew."""
    return Lark(
        grammar,
        start=["start", "condition"],
        parser="lalr",
        propagate_positions=True,
        maybe_placeholders=False,
    )


def digest(grammar: str) -> str:
    """What tells whether tables are those of a grammar."""
    return sha256(grammar.encode()).hexdigest()


def _loaded(grammar: str) -> Lark | None:
    """The parser by the tables that stand in the package; None where they are not the grammar's.

    Building them takes longer than all else that a small formula needs.
    """
    if lark.__version__ != tables.LARK or digest(grammar) != tables.DIGEST:
        return None
    return Lark._load_from_dict(tables.DATA, tables.MEMO, propagate_positions=True)  # type: ignore


def _statement(
    reader: Reader, statement: Statement
) -> syntax.Import | syntax.Definition | syntax.Metric | None:
    offset = statement.span.start
    try:
        tree = _parser().parse(statement.text, start=reader.start)
    except UnexpectedCharacters as error:
        _character(reader, statement, error)
        return None
    except (UnexpectedToken, UnexpectedEOF) as error:
        _unexpected(reader, statement, error)
        return None
    builder = _Builder(reader, offset)
    if _depth(tree) > 4 * MAX_NESTING:
        fact = f"the expression nests deeper than {4 * MAX_NESTING} operations"
        hint = "name a part of the formula in a definition"
        reader.report("MC0402", fact, statement.span, hint)
        return None
    if tree.data == "imported":
        return syntax.Import(str(tree.children[-1])[1:-1], statement.span)
    if tree.data == "definition":
        return builder.definition(tree, statement)
    comments = [*statement.comments, *(f"# {key}: {text}" for key, text in statement.record)]
    return syntax.Metric(builder.expression(tree), tuple(comments), statement.span)


def _depth(tree: Tree[Token]) -> int:
    deepest, stack = 0, [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        stack += [(child, depth + 1) for child in node.children if isinstance(child, Tree)]
    return deepest


def _character(reader: Reader, statement: Statement, error: UnexpectedCharacters) -> None:
    position = statement.span.start + (error.pos_in_stream or 0)
    character = reader.source[position]
    before, after = reader.source[:position], reader.source[position + 1 :]
    shown = f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"
    fact = f"{shown} is not a character of the language"
    hint = character_hint(character, before[-1:], after[:1])
    reader.report("MC0102", fact, Span(position, position + 1), hint)


def _unexpected(
    reader: Reader, statement: Statement, error: UnexpectedToken | UnexpectedEOF
) -> None:
    offset = statement.span.start
    token = error.token if isinstance(error, UnexpectedToken) else None
    hint = None
    if token is None or token.type == "$END":
        expected = _acceptable(reader.start, statement.text, len(statement.text))
        end = offset + len(statement.text)
        span, found = Span(max(offset, end - 1), end), "the formula ends too early"
    else:
        expected = _acceptable(reader.start, statement.text, token.start_pos or 0)
        begin = offset + (token.start_pos or 0)
        span, found = Span(begin, begin + len(token)), f"`{token}` is out of place"
        before = reader.source[offset:begin]
        hint = token_hint(token.type, str(token), expected, before)
    reader.report("MC0101", f"{found}; expected {expectation(expected)}", span, hint)


def _acceptable(start: str, text: str, end: int) -> set[str]:
    """The terminals that may follow the text before `end`.

    The error itself knows less: a parser with one token of lookahead reduces before it notices.
    """
    state: Any = _parser().parse_interactive(text, start)
    with suppress(UnexpectedCharacters, UnexpectedToken):
        for token in state.lexer_thread.lex(state.parser_state):
            if (token.start_pos or 0) >= end:
                break
            state.feed_token(token)
    return set(state.accepts())


@dataclass(slots=True)
class _Builder:
    """Lark's tree of one statement → syntax nodes; `offset` is where the statement starts."""

    reader: Reader
    offset: int

    def span(self, node: Tree[Token] | Token) -> Span:
        meta: Any = node if isinstance(node, Token) else node.meta
        return Span(self.offset + meta.start_pos, self.offset + meta.end_pos)

    def name(self, token: Token) -> str:
        if token in RESERVED and token not in self.reader.broken:
            hint = "choose another name" if token not in ("inf", "nan") else "write a number"
            fact = f"`{token}` is a reserved word"
            self.reader.report("MC0105", fact, self.span(token), hint)
        return str(token)

    def number(self, token: Token) -> Fraction:
        mantissa, _, exponent = token.lower().partition("e")
        if len(mantissa) > MAX_DIGITS or len(exponent.lstrip("+-0")) > 2:
            fact = f"a number has more than {MAX_DIGITS} digits or an exponent above 99"
            self.reader.report("MC0404", fact, self.span(token), "round it")
            return Fraction(1)
        return Fraction(str(token))

    def expression(self, tree: Any) -> syntax.Expression:
        span = self.span(tree)
        match tree.data:
            case "number":
                token = tree.children[0]
                return syntax.Number(self.number(token), str(token), span)
            case "name":
                token = tree.children[0]
                if token in FUNCTIONS or token in REDUCTIONS:  # a later stage says how to call it
                    return syntax.Name(str(token), span)
                return syntax.Name(self.name(token), span)
            case "call":
                token, *arguments = tree.children
                # Functions and reductions are reserved words that may be called.
                return syntax.Call(str(token), tuple(map(self.argument, arguments)), span)
            case "indexed":
                operand, *_, column = (
                    c for c in tree.children if isinstance(c, Tree) or c.type == "NAME"
                )
                inner = self.expression(operand)
                return syntax.Indexed(inner, self.name(column), span, self.span(column))
            case "negation":
                return syntax.Negation(self.expression(tree.children[-1]), span)
            case "unary":  # `+x` is x
                return self.expression(tree.children[-1])
            case "power":
                base, exponent = (c for c in tree.children if isinstance(c, Tree))
                return syntax.Power(self.expression(base), self.expression(exponent), span)
            case "conditional":
                condition, then, otherwise = map(self.expression, tree.children)
                return syntax.Conditional(condition, then, otherwise, span)
            case "comparison":
                left, operator, right = tree.children
                return syntax.Comparison(
                    self.expression(left), str(operator), self.expression(right), span
                )
            case "disjunction" | "conjunction" | "inverse":
                word = {"disjunction": "or", "conjunction": "and", "inverse": "not"}[tree.data]
                return syntax.Logic(word, tuple(map(self.expression, tree.children)), span)
        operands = tuple(self.expression(c) for c in tree.children[::2])
        inverse = tuple(operator in "-/" for operator in tree.children[1::2])
        if tree.data == "sum":
            return syntax.Sum(operands, inverse, span)
        return syntax.Product(operands, inverse, span)

    def argument(self, tree: Any) -> syntax.Argument:
        span = self.span(tree)
        if tree.data == "argument":
            return syntax.Argument(None, self.expression(tree.children[0]), span)
        if tree.data != "named":
            hint = "ranges belong in the head of a definition: f(beta = 1 in (0, inf)) = ..."
            self.reader.report("MC0101", "a range stands outside a head", span, hint)
            return syntax.Argument(None, syntax.Number(Fraction(0), span=span), span)
        token, value = tree.children
        return syntax.Argument(self.name(token), self.expression(value), span)

    def definition(self, tree: Any, statement: Statement) -> syntax.Definition | None:
        head, body = (c for c in tree.children if isinstance(c, Tree))
        token, *arguments = head.children
        name = str(token)
        if name in RESERVED:
            fact = f"`{name}` is a reserved word and cannot be defined"
            self.reader.report("MC0105", fact, self.span(token), "choose another name")
        parameters = tuple(p for p in map(self.parameter, arguments) if p is not None)
        return syntax.Definition(
            name,
            parameters,
            self.expression(body),
            statement.record,
            statement.comments,
            statement.span,
            self.span(token),
        )

    def parameter(self, tree: Any) -> syntax.Parameter | None:
        """An argument read as a parameter: `beta`, `beta = 1`, `beta = 1 in (0, inf)`."""
        span = self.span(tree)
        first = tree.children[0]
        if tree.data == "argument":
            if first.data == "name":
                return syntax.Parameter(self.name(first.children[0]), span=span)
            hint = "a head names its parameters: f(beta) = ... or f(beta = 1) = ..."
            self.reader.report("MC0106", "this is not a parameter", span, hint)
            return None
        name = self.name(first)
        default = interval = None
        if tree.data in ("named", "ranged"):
            default = self.constant(tree.children[1])
        if tree.data in ("ranged", "undefaulted"):
            interval = self.interval(tree.children[-1])
        return syntax.Parameter(name, default, interval, span)

    def constant(self, tree: Any) -> Fraction | None:
        """A default: a number, signed or a quotient of two (`-1`, `1/3`)."""
        value = syntax.constant(self.expression(tree))
        if value is None:
            hint = "write a number, such as 1, -0.5 or 1/3"
            self.reader.report("MC0106", "a default is not a number", self.span(tree), hint)
        return value

    def interval(self, tree: Any) -> syntax.Interval:
        opening, low, high, closing = tree.children
        ends = self.bound(low), self.bound(high)
        inverted = _infinite(low) == "inf" or _infinite(high) == "-inf"
        if inverted or (ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]):
            self.reader.report("MC0106", "the range is empty", self.span(tree), "swap its bounds")
        return syntax.Interval(*ends, opening == "(", closing == ")")

    def bound(self, tree: Any) -> Fraction | None:
        *sign, token = tree.children
        if token.type == "INF":
            return None
        return self.number(token) * (-1 if sign == ["-"] else 1)


def _infinite(tree: Any) -> str:
    """ "inf", "-inf" or "" for a bound."""
    *sign, token = tree.children
    return ("-" if sign == ["-"] else "") + "inf" if token.type == "INF" else ""
