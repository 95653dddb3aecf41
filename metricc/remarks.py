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
    pair = _cells(body)
    if pair in _RATES:
        yield body, f"`{body}` is an odds, not a rate", _RATES[pair]
    for node in syntax.walk(body):
        if not isinstance(node, syntax.Sum):
            continue
        # What follows a quotient, added, was perhaps to stand in its denominator.
        followers = zip(node.operands, node.operands[1:], node.subtracts, strict=False)
        for operand, following, subtracted in followers:
            part = operand.operand if isinstance(operand, syntax.Negation) else operand
            pair = _cells(part)
            if pair is not None and pair[0] == pair[1] and not subtracted:
                over, under = pair
                hint = f"brackets may be missing: {over}/({under} + {following})"
                yield part, f"`{part}` is 1", hint


def _cells(node: syntax.Expression) -> tuple[str, str] | None:
    """Numerator and denominator of a quotient of two cells, else None."""
    if not isinstance(node, syntax.Product) or node.divides != (True,):
        return None
    over, under = node.operands
    if isinstance(over, syntax.Name) and isinstance(under, syntax.Name):
        return over.id, under.id
    return None
