"""What a built kernel covers, and its C: plain C99 that asks for no library but that of C.

The C does the two passes over a batch and depends on the task, the surrogate and the way in alone;
counts become weights in the generated file itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from metricc.emit import c_binary
from metricc.emit.c_text import AS, DOUBLE_EXP, FLOAT_EXP, HEAD, TYPES
from metricc.emit.torch_file import fill
from metricc.emit.torch_soft import LOGITS, PROBABILITIES
from metricc.errors import MetriccError
from metricc.surrogates import Surrogate, surrogate

COVERED = "binary losses of a batch under amplified, soft or score_oriented(uniform), of counts alone"

TRIAL = c_binary.TRIAL


def uncovered(options: Mapping[str, Any], forms: Mapping[str, Any]) -> str:
    """What the C has no place for, in a few words; "" where it covers a loss.

    `options` and `forms` are those of the file's record.
    """
    if options.get("target") == "gbdt":
        return "an objective for boosting"
    if options.get("task") != "binary":
        return f"the task {options.get('task')}"
    if options.get("per") != "batch":
        return "a table for each sample"
    cells = {"TP", "FN", "FP", "TN"}
    partials = {name.removeprefix("outer ") for name in forms}
    partials = {name.removeprefix("M_") for name in partials if name.startswith("M_")} - cells
    if partials:
        return f"{', '.join(sorted(partials))} beside the counts"
    if not covers(_named(str(options.get("surrogate"))), LOGITS):
        return f"the surrogate {options.get('surrogate')}"
    return ""


def covers(soft: Surrogate | None, entry: str) -> bool:
    """Whether the C has a surrogate."""
    plain = soft is not None and not soft.hard and not soft.averaged
    return plain and soft is not None and (soft.name, entry) in c_binary.CURVES


def _named(text: str) -> Surrogate | None:
    try:
        return surrogate(text)
    except MetriccError:
        return None


def render(options: Mapping[str, Any], version: str) -> str:
    """The C of a loss with these options, of which `uncovered` says nothing."""
    soft = surrogate(str(options["surrogate"]))
    entry = PROBABILITIES if options["from_probabilities"] else LOGITS
    c0, c1, curve = c_binary.CURVES[soft.name, entry]
    text = fill(HEAD, {"version": version, "what": f"{soft.name} of {entry}, one table"})
    for kind, exp in zip(TYPES, (FLOAT_EXP, DOUBLE_EXP), strict=True):
        holes = {**kind, "curve": textwrap.indent(fill(curve, kind), " " * 4)}
        holes["loops"] = "\n".join(_loops(kind)).rstrip()
        text += exp + fill(AS + c_binary.SOFT + c_binary.COUNT, holes)
    first, second = [*soft.defaults, "unused", "unused_too"][:2]
    return text + fill(c_binary.CALLS, {"first": first, "second": second, "one": c0, "two": c1})


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
