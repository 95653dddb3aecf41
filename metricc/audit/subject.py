"""What is examined: a metric as it is going to be trained on."""

from __future__ import annotations

from dataclasses import dataclass

from metricc import ir
from metricc.surrogates import Surrogate


@dataclass(frozen=True)
class Subject:
    """A plan with what was found out about it already, and how it becomes a loss.

    `prevalence` is the share of positives in (0, 1) for which batches are simulated.
    """

    plan: ir.Plan
    audit: ir.Audit
    options: ir.Options
    surrogate: Surrogate
    prevalence: float

    @property
    def metric(self) -> ir.Metric:
        return self.plan.metric
