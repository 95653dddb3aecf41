"""The largest error of a check, which output and counts it is at, and what it may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mpmath import mp

from metricc import ir
from metricc.verify.points import worse

EXTREMES_ALLOWED = 1e-6  # on extreme tables, where the generated code does as well
BESIDE_FRESH = 1000  # times the error of the generated code, where that is the larger


@dataclass
class Worst:
    """The largest error so far, where it is, and of how many points."""

    error: Any = 0.0
    where: str = ""
    points: int = 0

    def take(self, error: Any, where: Callable[[], str]) -> None:
        """Take in an error; `where` says what it is of."""
        if worse(self.error, error) is not self.error:
            self.error, self.where = error, where()


@dataclass
class Far:
    """Errors on extreme tables, where a long formula may leave what float64 holds.

    What float64 can do there is what the code does that the formula generates now: an error that
    is neither small nor near that code's own is beyond excuse.
    """

    within: Worst = field(default_factory=Worst)
    beyond: Worst = field(default_factory=Worst)

    def take(self, error: Any, where: Callable[[], str], fresh: Callable[[], Any]) -> None:
        """Take in an error; `fresh` is that of the generated code at the same place."""
        excused = error <= EXTREMES_ALLOWED
        if not excused:
            own = fresh()
            excused = mp.isnan(own) or (not mp.isnan(error) and error <= BESIDE_FRESH * own)
        (self.within if excused else self.beyond).take(error, where)

    def checks(self, name: str, allowed: float) -> list[ir.Check]:
        """One check, a note where errors are out of bounds and excused; none without points."""
        if not self.within.points:
            return []
        label = f"{name}(), {self.within.points} extreme tables"
        if self.beyond.where:
            self.beyond.points = self.within.points
            return [verdict(label, self.beyond, EXTREMES_ALLOWED)]
        check = verdict(label, self.within, allowed)
        if check.passed:
            return [check]
        return [ir.Check(label, f"{float(self.within.error):.1e}", "any", None)]


def verdict(name: str, worst: Worst, allowed: float, also: str = "") -> ir.Check:
    """A check of the largest error; `also` is what failed beside it."""
    passed = worst.points > 0 and bool(worst.error <= allowed)
    measured = f"{float(worst.error):.1e}"
    if not passed and worst.where:
        measured += f", {worst.where}"
    elif passed and also:
        passed, measured = False, also
    return ir.Check(name, measured, f"{allowed:.0e}", passed)
