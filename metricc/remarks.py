"""Warnings about what a text says but probably does not mean. They refuse nothing."""

from __future__ import annotations

from collections.abc import Iterator

from metricc import syntax
from metricc.errors import Diagnostic

# Quotients of two cells that share a class or a prediction: the rates that were likely meant.
_RATES = {
    ("TP", "FN"): "the true positive rate is TP/(TP + FN), named TPR or recall",
    ("FN", "TP"): "the false negative rate is FN/(TP + FN), named FNR",
    ("TP", "FP"): "precision is TP/(TP + FP), named PPV or precision",
    ("FP", "TP"): "the false discovery rate is FP/(TP + FP), named FDR",
    ("TN", "FP"): "the true negative rate is TN/(TN + FP), named TNR or specificity",
    ("FP", "TN"): "the false positive rate is FP/(FP + TN), named FPR",
    ("TN", "FN"): "the negative predictive value is TN/(TN + FN), named NPV",
    ("FN", "TN"): "the false omission rate is FN/(FN + TN), named FOR",
}


def remarks(text: syntax.Text) -> tuple[Diagnostic, ...]:
    """Warnings about the text's own statements, in their order."""
    bodies = [d.body for d in text.definitions]
    bodies += [text.metric.body] if text.metric is not None else []
    return tuple(
        Diagnostic("MC0212", fact, node.span, hint, text.source, text.origin)
        for body in bodies
        for node, fact, hint in _quotients(body)
    )


def _quotients(body: syntax.Expression) -> Iterator[tuple[syntax.Expression, str, str]]:
    for node in syntax.walk(body):
        for part in (node, *(node.operands if isinstance(node, syntax.Sum) else ())):
            pair = _cells(part)
            if pair is None:
                continue
            over, under = pair
            if over == under and isinstance(node, syntax.Sum):
                rest = " + ".join(str(o) for o in node.operands if o is not part)
                yield part, f"`{part}` is 1", f"brackets may be missing: {over}/({under} + {rest})"
            elif part is body and pair in _RATES:
                yield part, f"`{part}` is an odds, not a rate", _RATES[pair]


def _cells(node: syntax.Expression) -> tuple[str, str] | None:
    """Numerator and denominator of a quotient of two cells, else None."""
    if not isinstance(node, syntax.Product) or node.divides != (True,):
        return None
    over, under = node.operands
    if isinstance(over, syntax.Name) and isinstance(under, syntax.Name):
        return over.id, under.id
    return None
