"""What an unknown name was probably meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from metricc.functions import CELLS

LONGEST = 60  # characters of a name that is compared with others

_CELL_WORDS = {"truepositive": "TP", "falsenegative": "FN", "falsepositive": "FP"}
_CELL_WORDS |= {"truenegative": "TN", "hits": "TP", "misses": "FN", "falsealarms": "FP"}

# Functions of other languages, and how they are written in this one.
_ELSEWHERE = {
    "ln": "`log` is the natural logarithm: log(x)",
    "log2": "write log(x)/log(2)",
    "log10": "write log(x)/log(10)",
    "pow": "write x^y",
    "power": "write x^y",
    "square": "write x^2",
    "cbrt": "write x^(1/3)",
    "fabs": "write abs(x)",
    "avg": "write mean(x, y)",
    "average": "write mean(x, y)",
    "hmean": "write harmonic_mean(x, y)",
    "where": "write if a < b then x else y",
    "ifelse": "write if a < b then x else y",
    "minimum": "write min(x, y)",
    "maximum": "write max(x, y)",
    "sigmoid": "write 1/(1 + exp(-x))",
    "tanh": "write 1 - 2/(exp(2*x) + 1)",
    "e": "write exp(1)",
    "true": "write 1",
    "false": "write 0",
    **dict.fromkeys(
        "auc roc_auc auroc roc pr_auc auprc average_precision ap log_loss logloss brier".split(),
        "it needs scores, not the four cells; balanced_accuracy is the AUC of one cut",
    ),
}

_DATA = re.compile(
    r"y|yhat|y_\w+|preds?|predict\w*|targets?|truth|labels?|logits?|inputs?|outputs?|scores?|prob\w*"
)

# What people call the numbers that a sample has beside its label.
_COLUMN = re.compile(r"amounts?|(sample_)?weights?|prices?|costs?|money|revenues?|\w+_amount")


def names_data(name: str) -> bool:
    """Whether a name is one that people give to labels and predictions."""
    return _DATA.fullmatch(name) is not None


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to do about `name`, which is none of `known`; the first of two equals is preferred."""
    if name.upper() in CELLS:
        return f"cells are upper case: {name.upper()}"
    if len(name) > LONGEST:
        return "`metricc list` shows every name"
    plain = name.lower().replace("_", "")
    for cell in (plain, plain.removesuffix("s")):
        if cell in _CELL_WORDS:
            return f"did you mean `{_CELL_WORDS[cell]}`?"
    if name.lower() in _ELSEWHERE:
        return _ELSEWHERE[name.lower()]
    if _COLUMN.fullmatch(name.lower()):
        return f"a column of numbers stands in brackets: FN[{name}]"
    if names_data(name):
        return "formulas read counts, TP FN FP TN; labels go to m.score(y_true, y_pred)"
    folded = {k.lower(): k for k in reversed([*known])}
    whole, stem = name.lower(), re.sub(r"_(score|loss|coef|metric)$", "", name.lower())
    for word in (whole,) if stem not in folded else (stem,):
        if close := difflib.get_close_matches(word, folded, n=1, cutoff=0.6):
            return f"did you mean `{folded[close[0]]}`?"
    return "cells are TP FN FP TN; `metricc list` shows every other name"
