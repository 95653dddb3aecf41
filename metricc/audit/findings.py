"""Every fact that can be found out about a metric as a training target, topic by topic."""

from __future__ import annotations

from collections.abc import Callable

from metricc import ir
from metricc.audit.subject import Subject

TOPICS: tuple[Callable[[Subject], list[ir.Finding]], ...] = ()

ORDER = ("danger", "warning", "note")


def examine(subject: Subject) -> tuple[ir.Finding, ...]:
    """All findings, the gravest first, then in the order of the topics."""
    found = [finding for topic in TOPICS for finding in topic(subject)]
    return tuple(sorted(found, key=lambda finding: ORDER.index(finding.severity)))
