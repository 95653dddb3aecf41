"""What became of a file since its formula generated it: a fact, which no check judges."""

from __future__ import annotations

import difflib

from metricc import ir
from metricc.save import comparable, equivalent, record, same, state


def check(text: str, fresh: str) -> ir.Check:
    """Whether the file is what its formula generates. An edit is a fact, not a failure: the
    other checks judge the code as it stands."""
    told = state(text)
    version = (record(text) or {}).get("version")
    if same(text, fresh):
        what = "as its formula generates"
    elif told == "as generated":
        what = f"made by version {version}"
    elif told == "reformatted":
        what = "edited, equivalent: reformatted"
    elif told == "reworded" or equivalent(text, fresh):
        what = "edited, equivalent: comments or docstrings differ"
    else:
        what = "edited since it was generated"
    return ir.Check("file", what, "any", None)


def diff(text: str, fresh: str) -> tuple[str, ...]:
    """A unified diff from what the formula generates now to the file, without the two versions of
    metricc and the record's digests; empty where they agree."""
    lines = (comparable(fresh).splitlines(), comparable(text).splitlines())
    return tuple(difflib.unified_diff(*lines, "generated", "the file", lineterm=""))
