"""Constraints in the metric language: `precision >= 0.9 and recall > 0.5`.

A constraint is one condition of the language, or several: comparisons joined by `and`, each of two
formulas. They pass the stages that a formula passes, with the same limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc import ir, library, syntax
from metricc.bounded import bounded
from metricc.compose import compose
from metricc.derive import derive
from metricc.errors import Diagnostic, MetriccError, Span, fail
from metricc.functions import REDUCTIONS
from metricc.lower import lower
from metricc.parse import read
from metricc.resolve import settle
from metricc.simplify import simplify

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TOLERANCE = 1e-12
MAX_COMPARISONS = 20
_WANTED = "write comparisons joined by `and`: precision >= 0.9 and recall > 0.5"


@dataclass(frozen=True)
class Comparison:
    """`left operator right` with its texts and its place; the sides are metrics of one table."""

    text: str
    left_text: str
    operator: str
    right_text: str
    left: ir.Plan
    right: ir.Plan
    span: Span
    source: str
    origin: str

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.left.metric.columns, *self.right.metric.columns)))

    @property
    def upward(self) -> bool:
        """Whether the left side is to be the larger one."""
        return self.operator in (">", ">=")

    def met(self, left: Array, right: Array) -> Mask:
        """Where the comparison holds; sides that are equal within rounding are equal.

        Equal is what differs by 1e-12 of the larger side, or of 1 where both sides are proved not
        to depend on the number of samples; infinity equals itself alone. What is undefined (NaN)
        meets nothing.
        """
        rates = self.left.program.homogeneous and self.right.program.homogeneous
        with np.errstate(invalid="ignore"):
            size = np.maximum(np.maximum(abs(left), abs(right)), float(rates))
            near = np.isfinite(size) & (abs(left - right) <= TOLERANCE * size)
            equal = (left == right) | near
            above = left > right if self.upward else left < right
        return np.asarray(equal | above if self.operator.endswith("=") else above & ~equal)

    def error(self, fact: str, hint: str) -> Diagnostic:
        return Diagnostic("MC0510", fact, self.span, hint, self.source, self.origin)


def comparisons(given: str | Sequence[str] | None, task: str = "binary") -> tuple[Comparison, ...]:
    """The comparisons of a constraint, or of a list of them.

    Raises `MetriccError` with every error, each with its place in its own text.
    """
    alone = isinstance(given, str | bytes) or not isinstance(given, Iterable)
    texts: list[Any] = [] if given is None else [given] if alone else list(given)
    if wrong := [text for text in texts if not isinstance(text, str)]:
        fact = f"a constraint is text, not {type(wrong[0]).__name__}"
        raise fail("MC0501", fact, 'pass a string, such as "precision >= 0.9"')
    return bounded(lambda: _all(texts, task))


def _all(texts: list[str], task: str) -> tuple[Comparison, ...]:
    found: list[Comparison] = []
    errors: list[Diagnostic] = []
    for number, source in enumerate(texts, 1):
        origin = "<constraint>" if len(texts) == 1 else f"<constraint {number}>"
        try:
            found += _comparisons(source, origin, task)
        except MetriccError as error:
            errors += error.diagnostics
    if errors:
        raise MetriccError(*errors)
    if len(found) > MAX_COMPARISONS:
        fact = f"the constraint has {len(found)} comparisons; at most {MAX_COMPARISONS} are read"
        raise fail("MC0511", fact, "leave out those that follow from others")
    return tuple(found)


def _comparisons(source: str, origin: str, task: str) -> list[Comparison]:
    text = read(source, origin, "condition")
    errors = [_reworded(d) for d in text.diagnostics]
    if text.metric is None:
        raise MetriccError(*errors)
    found = []
    for node in _joined(text.metric.body):
        span = node.span
        if not isinstance(node, syntax.Comparison) or node.operator in ("==", "!="):
            what = node.operator if isinstance(node, syntax.Comparison | syntax.Logic) else ""
            fact = f"`{what}` stands in a constraint, which is comparisons joined by `and`"
            hint = _WANTED if what in ("or", "not") else "write `<=`, `>=`, `<` or `>`"
            errors.append(Diagnostic("MC0511", fact, span, hint, source, origin))
            continue
        sides = []
        for side in (node.left, node.right):
            try:
                sides.append(_side(text, side, task))
            except MetriccError as error:
                errors += error.diagnostics
        if len(sides) == 2:
            left, right = sides
            if constant(left) and constant(right):
                fact = "both sides are the same at every threshold: this says nothing about one"
                errors.append(Diagnostic("MC0511", fact, span, _WANTED, source, origin))
                continue
            written = (_written(source, part.span) for part in (node, node.left, node.right))
            whole, one, two = written
            found.append(
                Comparison(whole, one, node.operator, two, left, right, span, source, origin)
            )
    if errors:
        raise MetriccError(*errors)
    return found


def _written(source: str, span: Span) -> str:
    return " ".join(source[span.start : span.end].split())


def _reworded(found: Diagnostic) -> Diagnostic:
    """A syntax error whose hint is about formulas, with one about constraints."""
    if found.code == "MC0104":
        return replace(found, message="the constraint is empty", hint=_WANTED)
    found = replace(found, message=found.message.replace("the formula ends", "the constraint ends"))
    about = found.hint is None or "if a" in found.hint or "definition" in found.message
    return replace(found, hint=_WANTED) if about or found.code == "MC0107" else found


def _joined(node: syntax.Expression) -> list[syntax.Expression]:
    if isinstance(node, syntax.Logic) and node.operator == "and":
        return [inner for operand in node.operands for inner in _joined(operand)]
    return [node]


def _side(text: syntax.Text, node: syntax.Expression, task: str) -> ir.Plan:
    """One side of a comparison through the stages of a formula."""
    for inner in syntax.walk(node):
        word = inner.function if isinstance(inner, syntax.Call) else ""
        if word in REDUCTIONS and (task != "binary" or word == "samples"):
            fact = "a constraint is about one table, and holds in each class"
            raise _at(text, inner.span, "MC0511", fact, "leave the reduction out: precision >= 0.9")
    body = node
    if isinstance(node, syntax.Name) and node.id in library.definitions():
        body = syntax.Call(node.id, (), node.span)  # a bare name's parameters are its defaults
    one = replace(text, metric=syntax.Metric(body, (), node.span), diagnostics=())
    metric = lower(settle(one, library.definitions()), "constraint", str(node))
    if metric.elements:
        fact = "an element loss is a mean over probabilities, which a cut does not change"
        raise _at(text, node.span, "MC0511", fact, "write the metric alone")
    return compose(metric, [simplify(derive(metric.of_table(metric.tables[0])))], None)


def constant(side: ir.Plan) -> bool:
    """Whether a side of a comparison is a number."""
    return not side.metric.expression.free_symbols


def _at(text: syntax.Text, span: Span, code: str, fact: str, hint: str) -> MetriccError:
    return MetriccError(Diagnostic(code, fact, span, hint, text.source, text.origin))
