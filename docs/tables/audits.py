"""The page docs/audits.md: what `metricc audit` finds of every metric of the library.

python docs/tables/audits.py > docs/audits.md
"""

from __future__ import annotations

import sys

from metricc import compiler, ir, library
from metricc.audit.findings import ORDER, examine
from metricc.describe import place
from metricc.errors import FINDINGS

HEAD = """\
# The audits of the library

Made by `python docs/tables/audits.py > docs/audits.md`; a slow test keeps it current.

What `metricc audit` says of every metric, in a binary task with the default surrogate and batches
of one positive in ten ([audit](audit.md) explains the words and the codes). **danger**: training
will not do what the metric's name says. **warning**: it needs a decision, or bites in common
batches. Facts alone follow. MC0651 and MC0652 are the surrogate's, the same for all, and stand
there.
"""


OF_THE_SURROGATE = ("MC0651", "MC0652")


def findings(name: str) -> tuple[ir.Finding, ...]:
    """What is found of a metric, whatever the surrogate."""
    found = examine(compiler.subject(name)).findings
    return tuple(finding for finding in found if finding.code not in OF_THE_SURROGATE)


def entry(name: str, found: tuple[ir.Finding, ...]) -> list[str]:
    """A metric's findings as Markdown."""
    lines = [f"### {name}", "", f"`{library.definitions()[name].body}`", ""]
    return [*lines, *map(_line, found), ""]


def _line(finding: ir.Finding) -> str:
    grave = f"**{finding.severity}** " if finding.severity != "note" else ""
    where = f"; at {place(finding.place)}" if finding.place else ""
    hint = f" *{finding.hint}*" if finding.hint and finding.severity != "note" else ""
    return f"- {grave}{finding.code} {finding.fact} ({finding.evidence}{where}){hint}"


def summary(pages: dict[str, tuple[ir.Finding, ...]]) -> list[str]:
    """How many metrics have each finding, by severity."""
    rows = ["| code | what it is about | " + " | ".join(ORDER) + " |", "|---|---|---|---|---|"]
    for code, meaning in FINDINGS.items():
        counts = []
        for severity in ORDER:
            kinds = [{(f.code, f.severity) for f in found} for found in pages.values()]
            counts.append(str(sum((code, severity) in kind for kind in kinds) or ""))
        if any(counts):
            rows.append(f"| {code} | {meaning} | " + " | ".join(counts) + " |")
    return rows


def page() -> str:
    found = {}
    for number, name in enumerate(library.metrics(), 1):
        print(f"\r{number}: {name:<40}", end="", file=sys.stderr)
        found[name] = findings(name)
    bodies = [line for name, each in found.items() for line in entry(name, each)]
    print(file=sys.stderr)
    return "\n".join([HEAD, *summary(found), "", *bodies]).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
