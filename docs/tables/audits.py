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

What `metricc audit` says of every metric, in a binary task with the default surrogate and batches of
one positive in ten ([audit](audit.md) explains the words and the codes). **danger**: training will
not do what the metric's name says. **warning**: it needs a decision, or bites in common batches.
What is a fact alone stands below these.
"""


def entry(name: str) -> list[str]:
    """One metric's findings as Markdown."""
    found = examine(compiler.subject(name)).findings
    lines = [f"### {name}", "", f"`{library.definitions()[name].body}`", ""]
    return [*lines, *(_line(finding) for finding in found), ""]


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
            of_it = [n for n, fs in pages.items() for f in fs if (f.code, f.severity) == (code, severity)]
            counts.append(str(len({*of_it})) if of_it else "")
        rows.append(f"| {code} | {meaning} | " + " | ".join(counts) + " |")
    return rows


def page() -> str:
    names = [d.name for ds in library.families().values() for d in ds if not d.name.isupper()]
    found, bodies = {}, []
    for number, name in enumerate(names, 1):
        print(f"\r{number} of {len(names)}: {name:<40}", end="", file=sys.stderr)
        found[name] = examine(compiler.subject(name)).findings
        lines = [f"### {name}", "", f"`{library.definitions()[name].body}`", ""]
        bodies += [*lines, *map(_line, found[name]), ""]
    print(file=sys.stderr)
    return "\n".join([HEAD, *summary(found), "", *bodies]).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
