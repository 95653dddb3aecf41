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


def statements(block: ir.Block, reductions: Mapping[str, str] = _NONE) -> tuple[list[str], set[str]]:
    """The assignments of a block as lines of Python, then `return` of its results.

    Also returns the guarded functions that the lines call (`_ratio`, `_root` ...). `reductions`
    spells calls of reductions, `{}` standing for what is reduced.
    """
    lines, results, called = expressions(block, reductions)
    return [*lines, "return " + ", ".join(results)], called


def expressions(
    block: ir.Block, reductions: Mapping[str, str] = _NONE
) -> tuple[list[str], list[str], set[str]]:
    """The assignments of a block as lines, its results, and the functions that both call."""
    printer = _Printer(reductions)
    lines = [f"{name} = {printer.text(expression)}" for name, expression in block.assignments]
    return lines, [printer.text(result) for result in block.results], printer.called


class _Printer:
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
                    spelled = self.reductions[node.function].format(*arguments)
                    self.called |= set(re.findall(r"\b_[a-z]\w*(?=\()", spelled))
                    return spelled, PRODUCT if " * " in spelled.split("(")[0] else ATOM
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
            return f"{self.text(node.base, ATOM)}**{exponent.value}", POWER
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
    if len(line) <= width:
        return line
    depth, start, pieces, begin = 0, -1, [], 0
    end = max(line.rfind(")"), line.rfind("]"))
    for position in range(end, -1, -1):
        depth += (line[position] in ")]") - (line[position] in "([")
        if depth == 0:
            start = position
            break
    if start < 0:
        return line
    inside = line[start + 1 : end]
    quote = ""
    for position, character in enumerate(inside):
        if character in "\"'" and quote in ("", character):
            quote = "" if quote else character
        elif not quote:
            depth += (character in "([{") - (character in ")]}")
            if character == "," and depth == 0:
                pieces.append(inside[begin:position].strip())
                begin = position + 1
    pieces.append(inside[begin:].strip())
    if len(pieces) == 1:
        return line
    margin = line[: len(line) - len(line.lstrip())]
    one = f"{margin}    {', '.join(pieces)}"
    if len(one) <= width:
        return f"{line[: start + 1]}\n{one}\n{margin}{line[end:]}"
    rows = "".join(f"{margin}    {piece},\n" for piece in pieces)
    return f"{line[: start + 1]}\n{rows}{margin}{line[end:]}"


def number(value: Fraction) -> tuple[str, int]:
    """A rational as Python: whole numbers and short decimals as such, else a quotient."""
    text = syntax.decimal(value)
    if "/" in text:
        return text.replace("/", " / "), PRODUCT
    return text, UNARY if value < 0 else ATOM
