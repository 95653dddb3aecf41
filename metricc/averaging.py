"""Where a task has classes, a metric without a reduction is averaged: macro(...) goes around it.

The rule is written into the syntax tree, so that all later stages, the generated file's header and
the oracle read the same sentence.
"""

from __future__ import annotations

from dataclasses import replace

from metricc import syntax
from metricc.functions import CELLS, ELEMENTS, REDUCTIONS


def averaged(text: syntax.Text) -> syntax.Text:
    """A settled text with macro(...) around its metric, unless it has a reduction already.

    Element losses stay outside: 0.5*bce + 0.5*f1 becomes 0.5*bce + macro(0.5*f1).
    """
    averaging = _Averaging(text)
    *_, main = text.definitions
    if averaging.holds(main.body, frozenset(REDUCTIONS)):
        return text
    definitions = (
        replace(d, body=averaging.wrapped(d.body))
        if d is main or averaging.holds(d.body, frozenset(ELEMENTS))
        else d
        for d in text.definitions
    )
    return replace(text, definitions=tuple(definitions))


class _Averaging:
    def __init__(self, text: syntax.Text) -> None:
        self.bodies = {d.name: d.body for d in text.definitions}
        self.known: dict[tuple[str, frozenset[str]], bool] = {}

    def holds(self, node: syntax.Expression, words: frozenset[str]) -> bool:
        """Whether a name or call of `words` stands in an expression or in what it uses."""
        for inner in syntax.walk(node):
            word = inner.id if isinstance(inner, syntax.Name) else ""
            word = inner.function if isinstance(inner, syntax.Call) else word
            if word in words or (word in self.bodies and self.used(word, words)):
                return True
        return False

    def used(self, name: str, words: frozenset[str]) -> bool:
        """The same of a definition, looked at once."""
        if (name, words) not in self.known:
            self.known[name, words] = self.holds(self.bodies[name], words)
        return self.known[name, words]

    def wrapped(self, node: syntax.Expression) -> syntax.Expression:
        """macro(...) around the largest parts with cells and without element losses."""
        if not self.holds(node, frozenset(CELLS)):
            return node
        condition = isinstance(node, syntax.Comparison | syntax.Logic)
        if not condition and not self.holds(node, frozenset(ELEMENTS)):
            return syntax.Call("macro", (syntax.Argument(None, node, node.span),), node.span)
        # Of a definition's call the arguments are wrapped; what it stands for is wrapped itself.
        return syntax.rebuilt(node, self.wrapped)
