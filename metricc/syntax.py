"""The syntax tree: what the user wrote, node by node, each with its place in the text.

`str()` of any node is text of the language that parses back to an equal node; spans and the
spelling of numbers do not take part in comparison. The generated program is made of the same
expressions (`ir.Program`), so a tree is also how metricc prints what it is about to emit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeAlias

from metricc.errors import Diagnostic, MetriccError, Span

NOWHERE = Span(0, 0)

# How tightly each node binds; a child that binds less tightly is printed in parentheses.
CONDITIONAL, OR, AND, NOT, COMPARISON, SUM, PRODUCT, NEGATION, POWER, ATOM = range(10)


@dataclass(frozen=True, slots=True)
class Number:
    """An exact rational number. `text` is the user's spelling, `value` what it means."""

    value: Fraction
    text: str = field(default="", compare=False)
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return self.text or decimal(self.value)


@dataclass(frozen=True, slots=True)
class Name:
    """A cell, a derived count, a parameter or a metric named without arguments."""

    id: str
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call: positional when `name` is None."""

    name: str | None
    value: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return str(self.value) if self.name is None else f"{self.name} = {self.value}"


@dataclass(frozen=True, slots=True)
class Call:
    """`function(argument, ...)`: a function of the language or a metric with its parameters."""

    function: str
    arguments: tuple[Argument, ...]
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Indexed:
    """`operand[column]`: the operand's value where each sample also counts as its column says."""

    operand: Expression
    column: str
    span: Span = field(default=NOWHERE, compare=False)
    column_span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"{_within(self.operand, ATOM)}[{self.column}]"


@dataclass(frozen=True, slots=True)
class Negation:
    """`-operand`, looser than `^` and tighter than `*`. (Unary plus leaves no node.)"""

    operand: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return "-" + _within(self.operand, NEGATION)


@dataclass(frozen=True, slots=True)
class Power:
    """`base ^ exponent`, to the right."""

    base: Expression
    exponent: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        # The exponent may be signed without parentheses: 2^-1.
        return f"{_within(self.base, ATOM)}^{_within(self.exponent, NEGATION)}"


@dataclass(frozen=True, slots=True)
class Product:
    """`first * second / third ...`: n-ary; `divides[i]` says whether operand i+1 divides."""

    operands: tuple[Expression, ...]
    divides: tuple[bool, ...]
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        text = _within(self.operands[0], NEGATION)
        for divides, operand in zip(self.divides, self.operands[1:], strict=True):
            text += ("/" if divides else "*") + _within(operand, NEGATION)
        return text


@dataclass(frozen=True, slots=True)
class Sum:
    """`first + second - third ...`: n-ary; `subtracts[i]` says whether operand i+1 is taken off."""

    operands: tuple[Expression, ...]
    subtracts: tuple[bool, ...]
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        text = _within(self.operands[0], PRODUCT)
        for subtracts, operand in zip(self.subtracts, self.operands[1:], strict=True):
            text += (" - " if subtracts else " + ") + _within(operand, PRODUCT)
        return text


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left < right` and its like: a condition, never a number."""

    left: Expression
    operator: str
    right: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"{_within(self.left, SUM)} {self.operator} {_within(self.right, SUM)}"


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions under `and`, `or` (n-ary) or `not` (of one)."""

    operator: str
    operands: tuple[Expression, ...]
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        if self.operator == "not":
            return f"not {_within(self.operands[0], NOT)}"
        own = AND if self.operator == "and" else OR
        return f" {self.operator} ".join(_within(o, own + 1) for o in self.operands)


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if condition then value else value`, the loosest of all."""

    condition: Expression
    then: Expression
    otherwise: Expression
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"if {self.condition} then {self.then} else {self.otherwise}"


Condition: TypeAlias = Comparison | Logic
Expression: TypeAlias = (
    Number | Name | Call | Indexed | Negation | Power | Product | Sum | Conditional | Condition
)


@dataclass(frozen=True, slots=True)
class Interval:
    """The range of a parameter. A bound of None is infinite; `*_open` bounds are excluded."""

    low: Fraction | None
    high: Fraction | None
    low_open: bool = True
    high_open: bool = True

    def __contains__(self, value: Fraction) -> bool:
        return self.holds(value)

    def holds(self, value: Fraction | float) -> bool:
        """Whether a number lies in the range."""
        above = self.low is None or value > self.low or (value == self.low and not self.low_open)
        below = (
            self.high is None or value < self.high or (value == self.high and not self.high_open)
        )
        return above and below

    def __str__(self) -> str:
        low = "-inf" if self.low is None else decimal(self.low)
        high = "inf" if self.high is None else decimal(self.high)
        return f"{'(' if self.low_open else '['}{low}, {high}{')' if self.high_open else ']'}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in a definition's head, with its default and range where they are stated."""

    name: str
    default: Fraction | None = None
    interval: Interval | None = None
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        text = self.name
        if self.default is not None:
            text += f" = {decimal(self.default)}"
        return text + (f" in {self.interval}" if self.interval is not None else "")


@dataclass(frozen=True, slots=True)
class Definition:
    """`name(parameters) = body`, with its record: the `## key: text` lines before it."""

    name: str
    parameters: tuple[Parameter, ...]
    body: Expression
    record: tuple[tuple[str, str], ...] = ()
    comments: tuple[str, ...] = ()
    span: Span = field(default=NOWHERE, compare=False)
    name_span: Span = field(default=NOWHERE, compare=False)

    def fact(self, key: str) -> str:
        """The record's entry of that key, joined with blanks; empty where there is none."""
        return " ".join(text for k, text in self.record if k == key)

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(self.fact("aliases").replace(",", " ").split())

    def __str__(self) -> str:
        lines = [f"# {c}".rstrip() for c in self.comments]
        lines += [f"## {key}: {text}" if key else f"## {text}" for key, text in self.record]
        head = self.name
        if self.parameters:
            head += f"({', '.join(map(str, self.parameters))})"
        return "\n".join([*lines, f"{head} = {self.body}"])


@dataclass(frozen=True, slots=True)
class Metric:
    """A bare expression at the end of a text: the metric itself."""

    body: Expression
    comments: tuple[str, ...] = ()
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return "\n".join([*(f"# {c}".rstrip() for c in self.comments), str(self.body)])


@dataclass(frozen=True, slots=True)
class Import:
    """`import "path"`: another file's definitions, by a path relative to this file's folder."""

    path: str
    span: Span = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f'import "{self.path}"'


@dataclass(frozen=True, slots=True)
class Text:
    """A whole text: imports and definitions in the user's order and, in the end, the metric.

    `comments` are the comments after the last statement. What follows takes no part in
    comparison: `source` and `origin` are for diagnostics; `diagnostics` are those found so far,
    warnings too; `broken` are the names that statements with syntax errors may define.
    """

    definitions: tuple[Definition, ...]
    metric: Metric | None
    comments: tuple[str, ...] = ()
    imports: tuple[Import, ...] = ()
    source: str = field(default="", compare=False, repr=False)
    origin: str = field(default="<formula>", compare=False)
    diagnostics: tuple[Diagnostic, ...] = field(default=(), compare=False, repr=False)
    broken: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def checked(self) -> Text:
        """The text itself. Raises `MetriccError` where an error was found in it."""
        errors = [d for d in self.diagnostics if d.severity == "error"]
        if errors:
            raise MetriccError(*errors)
        return self

    def __str__(self) -> str:
        parts = [*map(str, self.imports), *map(str, self.definitions)]
        if self.metric is not None:
            parts.append(str(self.metric))
        parts += [f"# {c}".rstrip() for c in self.comments]
        return "\n".join(parts)


def children(node: Expression) -> tuple[Expression, ...]:
    """The operands of a node, left to right."""
    match node:
        case Number() | Name():
            return ()
        case Call():
            return tuple(a.value for a in node.arguments)
        case Negation() | Indexed():
            return (node.operand,)
        case Power():
            return (node.base, node.exponent)
        case Product() | Sum() | Logic():
            return node.operands
        case Comparison():
            return (node.left, node.right)
        case Conditional():
            return (node.condition, node.then, node.otherwise)


def rebuilt(node: Expression, function: Callable[[Expression], Expression]) -> Expression:
    """The node with `function` applied to each of its operands."""
    new = [function(child) for child in children(node)]
    match node:
        case Number() | Name():
            return node
        case Call():
            pairs = zip(node.arguments, new, strict=True)
            return replace(node, arguments=tuple(replace(a, value=v) for a, v in pairs))
        case Negation() | Indexed():
            return replace(node, operand=new[0])
        case Power():
            return replace(node, base=new[0], exponent=new[1])
        case Product() | Sum() | Logic():
            return replace(node, operands=tuple(new))
        case Comparison():
            return replace(node, left=new[0], right=new[1])
        case Conditional():
            return replace(node, condition=new[0], then=new[1], otherwise=new[2])


def walk(node: Expression) -> Iterator[Expression]:
    """Every node below and including this one, parents first, left to right; no recursion."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(reversed(children(top)))


def substitute(node: Expression, replacements: Mapping[str, Expression]) -> Expression:
    """The expression with names replaced; sums in sums and products in products are merged."""
    match node:
        case Name():
            return replacements.get(node.id, node)
        case Sum():
            operands, signs = _merged(node, node.subtracts, replacements)
            return replace(node, operands=operands, subtracts=signs)
        case Product():
            operands, signs = _merged(node, node.divides, replacements)
            return replace(node, operands=operands, divides=signs)
        case _:
            return rebuilt(node, lambda child: substitute(child, replacements))


def _merged(
    node: Sum | Product, inverse: tuple[bool, ...], replacements: Mapping[str, Expression]
) -> tuple[tuple[Expression, ...], tuple[bool, ...]]:
    operands: list[Expression] = []
    signs: list[bool] = []
    for operand, negative in zip(node.operands, (False, *inverse), strict=True):
        new = substitute(operand, replacements)
        same = new is not operand and type(new) is type(node) and not negative
        inner: tuple[Expression, ...] = (new,)
        flags: tuple[bool, ...] = (negative,)
        if same and isinstance(new, Sum):
            inner, flags = new.operands, (False, *new.subtracts)
        elif same and isinstance(new, Product) and not any(new.divides):
            inner, flags = new.operands, (False, *new.divides)
        operands += inner
        signs += flags
    return tuple(operands), tuple(signs[1:])


def constant(node: Expression) -> Fraction | None:
    """The number that an expression without names and calls is; None for any other."""
    if isinstance(node, Name | Call | Indexed | Power | Conditional | Comparison | Logic):
        return None
    values = [constant(child) for child in children(node)]
    if None in values:
        return None
    numbers = [v for v in values if v is not None]
    match node:
        case Number():
            return node.value
        case Negation():
            return -numbers[0]
        case Sum():
            signs = (1, *(-1 if s else 1 for s in node.subtracts))
            return sum((s * n for s, n in zip(signs, numbers, strict=True)), Fraction(0))
        case Product():
            total = numbers[0]
            for divides, number in zip(node.divides, numbers[1:], strict=True):
                if divides and number == 0:
                    return None
                total = total / number if divides else total * number
            return total
    return None


def decimal(value: Fraction) -> str:
    """A rational as the language writes it: `0.1` where its decimals end, else `1/3`."""
    if value.denominator == 1:
        return _scientific(value.numerator, 0)
    twos = fives = 0
    rest = value.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    if places > 12:
        return _scientific(value.numerator * 10**places // value.denominator, -places)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return ("-" if value < 0 else "") + digits[:-places] + "." + digits[-places:]


def _scientific(digits: int, exponent: int) -> str:
    """`digits` times ten to the `exponent`, zeros at the end moved into the exponent if many."""
    text = str(digits)
    zeros = len(text) - len(text.rstrip("0"))
    if digits and (zeros > 12 or exponent):
        return f"{text[: len(text) - zeros]}e{exponent + zeros}"
    return text


def _binding(node: Expression) -> int:
    match node:
        case Conditional():
            return CONDITIONAL
        case Logic():
            return {"or": OR, "and": AND, "not": NOT}[node.operator]
        case Comparison():
            return COMPARISON
        case Sum():
            return SUM
        case Product():
            return PRODUCT
        case Negation():
            return NEGATION
        case Power():
            return POWER
        case Number(value=value) if value < 0:
            return NEGATION
        case Number(value=value) if "/" in str(node):
            return PRODUCT
        case _:
            return ATOM


def _within(node: Expression, binding: int) -> str:
    return str(node) if _binding(node) >= binding else f"({node})"
