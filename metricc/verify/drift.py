"""What became of a file since its formula generated it: a fact, which no check judges."""

from __future__ import annotations

import difflib
import re

from metricc import ir
from metricc.save import comparable, equivalent, record, record_edited, same, state

_MADE_BY = re.compile(r"Made\s+by\s+metricc\s+\S+:")
_BARE = re.compile(r"Made\s+by\s+metricc:")  # as `comparable` leaves it


def check(text: str, fresh: str) -> ir.Check:
    """Whether the file is what its formula generates. An edit is a fact, not a failure: the
    other checks judge the code as it stands."""
    told = state(text)
    version = (record(text) or {}).get("version")
    if same(text, fresh):
        what = "as its formula generates"
    elif record_edited(text):
        what = "edited since it was generated: its record was edited"
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
    """A unified diff from what the formula generates now to the file, where the two versions of
    metricc and the record's digests count nothing; empty where they agree."""
    made = _MADE_BY.search(text) or _MADE_BY.search(fresh)
    kept = "Made by metricc:" if made is None else made.group()
    one, two = (_BARE.sub(lambda _: kept, comparable(x)).splitlines() for x in (fresh, text))
    found = difflib.unified_diff(one, two, "generated", "the file", lineterm="")
    line = next((x for x in text.splitlines() if x.startswith("METRICC = {")), "")
    return tuple(f" {line}" if x.startswith(" METRICC = {") else x for x in found)
