"""Straight-line code → Python text, the printer that every Python target shares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from metricc import ir, syntax
from metricc.functions import DERIVED_FUNCTIONS, FUNCTIONS

_PYTHON = {name: row.python for name, row in {**FUNCTIONS, **DERIVED_FUNCTIONS}.items()}

_NONE: Mapping[str, str] = MappingProxyType({})

SUM, PRODUCT, UNARY, POWER, ATOM = range(5)


def statements(
    block: ir.Block, reductions: Mapping[str, str] = _NONE
) -> tuple[list[str], set[str]]:
    """The assignments of a block as lines of Python, then `return` of its results.

    Also returns the guarded functions that the lines call (`_ratio`, `_root` ...). `reductions`
    spells calls of reductions, `{}` standing for what is reduced.
    """
    lines, results, called = expressions(block, reductions)
    return [*lines, "return " + ", ".join(results)], called


def expressions(
    block: ir.Block, reductions: Mapping[str, str] = _NONE, printer: Printer | None = None
) -> tuple[list[str], list[str], set[str]]:
    """The assignments of a block as lines, its results, and the functions that both call."""
    printer = printer or Printer(reductions)
    lines = [f"{name} = {printer.text(expression)}" for name, expression in block.assignments]
    return lines, [printer.text(result) for result in block.results], printer.called


class Printer:
    """Expressions as Python. A target that spells some otherwise overrides their methods."""

    def __init__(self, reductions: Mapping[str, str]) -> None:
        self.reductions = reductions
        self.called: set[str] = set()

    def text(self, node: syntax.Expression, binding: int = SUM) -> str:
        text, own = self.bound(node)
        return text if own >= binding else f"({text})"

    def call(self, function: str, *arguments: str) -> tuple[str, int]:
        self.called.add(function)
        return f"{function}({', '.join(arguments)})", ATOM

    def bound(self, node: syntax.Expression) -> tuple[str, int]:
        """A node's text and how tightly its outermost operator binds."""
        match node:
            case syntax.Number():
                return number(node.value)
            case syntax.Name():
                return node.id, ATOM
            case syntax.Negation():
                return "-" + self.text(node.operand, UNARY), UNARY
            case syntax.Call():
                arguments = [self.text(a.value) for a in node.arguments]
                if node.function in self.reductions:
                    template = self.reductions[node.function]
                    if template.startswith("{}"):  # a factor
                        arguments = [self.text(a.value, UNARY) for a in node.arguments]
                    spelled = template.format(*arguments)
                    self.called |= set(re.findall(r"\b_[a-z]\w*(?=\()", spelled))
                    return spelled, PRODUCT if template.startswith("{}") else ATOM
                name = _PYTHON[node.function]
                if name in ("_min", "_max"):  # two at a time
                    text = arguments[0]
                    for argument in arguments[1:]:
                        text, _ = self.call(name, text, argument)
                    return text, ATOM
                return self.call(name, *arguments)
            case syntax.Power():
                return self.power(node)
            case syntax.Conditional(condition=syntax.Comparison(left=left, right=right)):
                parts = (left, right, node.then, node.otherwise)
                return self.call("_select", *map(self.text, parts))
            case syntax.Product():
                return self.product(node)
            case syntax.Sum():
                text = self.text(node.operands[0])
                for minus, operand in zip(node.subtracts, node.operands[1:], strict=True):
                    text += (" - " if minus else " + ") + self.text(operand, PRODUCT)
                return text, SUM
        raise AssertionError(node)

    def power(self, node: syntax.Power) -> tuple[str, int]:
        exponent = node.exponent
        if isinstance(exponent, syntax.Number) and exponent.value in (2, 3):
            base = self.text(node.base, ATOM)
            power = " ** " if base.startswith("(") else "**"
            return f"{base}{power}{exponent.value}", POWER
        # Other powers can overflow or leave the real numbers.
        return self.call("_power", self.text(node.base), self.text(exponent))

    def product(self, node: syntax.Product) -> tuple[str, int]:
        above = [node.operands[0]]
        below: list[syntax.Expression] = []
        for divides, operand in zip(node.divides, node.operands[1:], strict=True):
            (below if divides else above).append(operand)
        top = self.times(above)
        if not below:
            return top, PRODUCT
        if all(isinstance(b, syntax.Number) for b in below):
            return f"{top} / {self.times(below)}", PRODUCT
        if len(above) == 1:
            top = self.text(above[0])
        bottom = self.times(below) if len(below) > 1 else self.text(below[0])
        return self.call("_ratio", top, bottom)

    def times(self, factors: list[syntax.Expression]) -> str:
        return " * ".join(self.text(factor, UNARY) for factor in factors)


def fold(line: str, width: int) -> str:
    """A line that is too long for `width`, its last outermost brackets opened as ruff does."""
    if len(line) <= width or line.lstrip().startswith('"""'):
        return line
    margin = line[: len(line) - len(line.lstrip())]
    comma = "," if line.endswith(",") else ""
    results = _pieces(line.strip().removesuffix(",").removeprefix("return "))
    if line.lstrip().startswith("return ") and len(results) > 1:
        return _opened(f"{margin}return (", results, f"{margin})", width)
    operands = _operands(results[0]) if line.startswith(" ") and len(results) == 1 else [line]
    name, equals, right = line.strip().partition(" = ")
    if len(operands) > 1 and equals and name.isidentifier():
        return _opened(f"{margin}{name} = (", ["\n".join(_operands(right))], f"{margin})", width)
    if len(operands) > 1 and not line.lstrip().startswith("return "):
        operands[-1] += comma
        return "\n".join(fold(f"{margin}{operand}", width) for operand in operands)
    bare = _unquoted(line)
    end = max(bare.rfind(")"), bare.rfind("]"))
    start, depth = -1, 0
    for position in range(end, -1, -1):
        depth += (bare[position] in ")]") - (bare[position] in "([")
        if depth == 0:
            start = position
            break
    if start < 0:
        return line
    head, pieces, tail = line[: start + 1], _pieces(line[start + 1 : end]), line[end:]
    one = f"{margin}    {', '.join(pieces)}"
    if len(one) <= width and not line.endswith(":"):
        return f"{head}\n{one}\n{margin}{tail}"
    return _opened(head, pieces, margin + tail, width)


def _opened(head: str, pieces: list[str], tail: str, width: int) -> str:
    """Brackets with one piece a line, each folded in turn."""
    margin = tail[: len(tail) - len(tail.lstrip())] + "    "
    comma = "," if len(pieces) > 1 else ""
    lines = [f"{margin}{line}" for piece in pieces for line in f"{piece}{comma}".split("\n")]
    rows = "".join(f"{fold(line, width)}\n" for line in lines)
    return f"{head}\n{rows}{tail}"


def _operands(text: str) -> list[str]:
    """A sum's terms, or a product's factors, each but the first with its operator before it."""
    for operators in ((" + ", " - "), (" * ",)):
        found = _split(text, operators)
        if len(found) > 1:
            return [found[0], *(part.removeprefix(" ") for part in found[1:])]
    return [text]


def _pieces(text: str) -> list[str]:
    """The parts between the commas that stand outside brackets and quotes."""
    return [part.removeprefix(",").strip() for part in _split(text, (",",))]


def _split(text: str, marks: tuple[str, ...]) -> list[str]:
    """A text cut before each of `marks` that stands outside brackets and quotes."""
    bare = _unquoted(text)
    found, begin, depth = [], 0, 0
    for position, character in enumerate(bare):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and position and bare.startswith(marks, position):
            found.append(text[begin:position])
            begin = position
    return [*found, text[begin:]]


def _unquoted(text: str) -> str:
    """The text with what stands in quotes blanked."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", lambda match: "_" * len(match[0]), text)


def number(value: Fraction) -> tuple[str, int]:
    """A rational as Python: whole numbers and short decimals as such, else a quotient."""
    text = syntax.decimal(value)
    if "/" in text:
        return text.replace("/", " / "), PRODUCT
    return text, UNARY if value < 0 else ATOM
