"""What a built kernel covers, and its C: plain C99 that asks for no library but that of C.

The C does the two passes over a batch and depends on the task, the surrogate and the way in alone;
counts become weights in the generated file itself.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from metricc.emit import c_binary, c_classes
from metricc.emit.c_text import AS, DOUBLE_EXP, FLOAT_EXP, HEAD, TYPES
from metricc.emit.torch_file import fill
from metricc.emit.torch_soft import LOGITS, PROBABILITIES, SOFTMAX
from metricc.errors import MetriccError
from metricc.surrogates import Surrogate, surrogate

COVERED = (
    "losses of counts alone under amplified, soft or score_oriented(uniform), soft for multiclass"
)


def uncovered(options: Mapping[str, Any], forms: Mapping[str, Any]) -> str:
    """What the C has no place for, in a few words; "" where it covers a loss.

    `options` and `forms` are those of the file's record.
    """
    if options.get("target") == "gbdt":
        return "an objective for boosting"
    if options.get("per") != "batch":
        return "a table for each sample"
    names = {name.removeprefix("outer ") for name in forms}
    partials = {name.removeprefix("M_") for name in names if name.startswith("M_")}
    partials -= {"TP", "FN", "FP", "TN"}
    partials = {name for name in partials if not re.fullmatch(r"r\d+", name)}  # tables' terms
    if columns := sorted({name[3:] for name in partials if name.startswith("TP_")}):
        return f"the column {columns[0]}"
    if partials:
        return f"{', '.join(sorted(partials))} beside the counts"
    soft = _named(str(options.get("surrogate")))
    if options.get("task") == "multiclass" and options.get("from_probabilities"):
        return "probabilities of classes"
    if not covers(soft, SOFTMAX if options.get("task") == "multiclass" else LOGITS):
        where = " in multiclass" if options.get("task") == "multiclass" else ""
        return f"the surrogate {options.get('surrogate')}{where}"
    return ""


def covers(soft: Surrogate | None, entry: str) -> bool:
    """Whether the C has a surrogate."""
    if soft is None or soft.hard or soft.averaged:
        return False
    return soft.name == "soft" if entry == SOFTMAX else (soft.name, entry) in c_binary.CURVES


def _named(text: str) -> Surrogate | None:
    try:
        return surrogate(text)
    except MetriccError:
        return None


def render(options: Mapping[str, Any], version: str) -> str:
    """The C of a loss with these options, of which `uncovered` says nothing."""
    soft = surrogate(str(options["surrogate"]))
    entry = PROBABILITIES if options["from_probabilities"] else LOGITS
    task = options["task"]
    tables = {"binary": "one table", "multilabel": "classes", "multiclass": "classes"}[task]
    softmax = task == "multiclass"
    way = "softmax" if softmax else entry
    what = f"{soft.name} of {way}, {tables}"
    first, second = [*soft.defaults, "unused", "unused_too"][:2]
    c0, c1, curve = c_binary.CURVES[soft.name, entry]
    text = fill(HEAD, {"version": version, "what": what})
    text += "" if task == "binary" else c_classes.HEAD
    for kind, exp in zip(TYPES, (FLOAT_EXP, DOUBLE_EXP), strict=True):
        holes = {**kind, "curve": textwrap.indent(fill(curve, kind), " " * 4)}
        text += exp + fill(AS, kind)
        if softmax:
            text += fill(c_classes.SOFTMAX, kind)
        elif task == "multilabel":
            text += fill(c_binary.SOFT + c_classes.SIGMOID, holes)
        else:
            holes["loops"] = "\n".join(_loops(kind)).rstrip()
            text += fill(c_binary.SOFT + c_binary.COUNT, holes)
    names = {"first": first, "second": second, "one": c0, "two": c1}
    if task == "binary":
        return text + fill(c_binary.CALLS, names)
    passes = "softmax" if softmax else "sigmoid"
    names |= {"units": c_classes.UNITS[passes], "last": c_classes.LAST[passes]}
    return text + fill(c_classes.CALLS, names)


def trial(options: Mapping[str, Any]) -> str:
    """Python that calls the library: `library` and `number`, its double, are at hand."""
    return c_binary.TRIAL if options["task"] == "binary" else c_classes.TRIAL


def _loops(kind: Mapping[str, str]) -> list[str]:
    """The loops with and without a weight, with and without a slope to keep."""
    loops = []
    for weighed, kept in ((False, True), (False, False), (True, True), (True, False)):
        test = " && ".join(["vs" if weighed else "!vs", "slope" if kept else "!slope"])
        holes = {
            **kind,
            "if": f"if ({test})",
            "weigh": " " * 16 + "y *= vs[i], no *= vs[i];\n" if weighed else "",
            "keep": " " * 16 + "slope[i] = d;\n" if kept else "",
        }
        loops.append(fill(c_binary.LOOP, holes).rstrip())
    return loops
