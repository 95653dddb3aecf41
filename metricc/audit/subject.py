"""What is examined: a metric as it is going to be trained on."""

from __future__ import annotations

from dataclasses import dataclass

from metricc import ir
from metricc.errors import fail
from metricc.surrogates import Surrogate

UNNAMED = "metric"  # what the metric at the end of a text is called


@dataclass(frozen=True)
class Subject:
    """A plan with what was found out about it already, and how it becomes a loss.

    `prevalence` is the share of positives in (0, 1) for which batches are simulated. Raises
    `MetriccError` for another one.
    """

    plan: ir.Plan
    audit: ir.Audit
    options: ir.Options
    surrogate: Surrogate
    prevalence: float

    def __post_init__(self) -> None:
        if not 0 < self.prevalence < 1:
            fact = f"the prevalence cannot be {self.prevalence}"
            raise fail("MC0501", fact, "give the share of positives, between 0 and 1")

    @property
    def metric(self) -> ir.Metric:
        return self.plan.metric

    @property
    def name(self) -> str:
        """What facts call the metric: its name, or "the metric" where a formula has none."""
        return called(self.options.name)


def called(name: str) -> str:
    """A metric's name as a sentence has it."""
    return "the metric" if name == UNNAMED else name
