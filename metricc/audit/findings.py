"""Every fact that can be found out about a metric as a training target, topic by topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from metricc import ir
from metricc.audit import (
    batches,
    better,
    degenerate,
    dependence,
    fractional,
    parameters,
    reach,
    rounding,
    singular,
    spread,
)
from metricc.audit.subject import Subject
from metricc.bounded import bounded

TOPICS: tuple[Callable[[Subject], list[ir.Finding]], ...] = (
    better.findings,
    degenerate.findings,
    parameters.findings,
    spread.findings,
    dependence.findings,
    fractional.findings,
    singular.findings,
    batches.findings,
    reach.findings,
    rounding.findings,
)

ORDER = ("danger", "warning", "note")


def examine(subject: Subject) -> ir.Audit:
    """The audit with all findings, the gravest first, then in the order of the topics.

    Raises `MetriccError` (MC0411) where the formula's algebra takes too long.
    """
    found = bounded(lambda: [finding for topic in TOPICS for finding in topic(subject)])
    found.sort(key=lambda finding: ORDER.index(finding.severity))
    return replace(subject.audit, findings=tuple(found))
