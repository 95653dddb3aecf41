"""The parsed text of a metric as functions, one for each program that was made of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.functions import CELLS
from metricc.verify.oracle import DIGITS, Dual, Terms, cell_names, walk
from metricc.verify.tables import Setting, Tables

Point = Mapping[str, Any]


@dataclass(frozen=True)
class Parsed:
    """The parsed text of a metric as functions of named numbers, at some values of parameters."""

    metric: ir.Metric
    parameters: Mapping[str, float]

    def fixed(self) -> dict[str, Dual]:
        return {n: Dual(mpf(v)) for n, v in self.parameters.items()}

    @cached_property
    def elements(self) -> dict[tuple[str, float], str]:
        """The symbol of each element term."""
        found = {}
        for term in self.metric.elements:
            given = [a.subs(self.parameters) for a in term.expression.args]
            found[str(term.expression.func), float(given[0]) if given else 0.0] = term.symbol.name
        return found

    @property
    def clear(self) -> bool:
        """Whether no two element terms are one at these parameters."""
        return len(self.elements) == len(self.metric.elements)

    def alone(self, point: Mapping[str, Dual]) -> Dual:
        """A metric of one table, over its cells and the element terms' symbols."""
        return self._walked(point, lambda name, evaluate: _of_both(name, evaluate, point))

    def outer(self, point: Mapping[str, Dual]) -> Dual:
        """What joins the terms, over their symbols."""
        return self._walked(point, lambda name, evaluate: point[self.symbol(name, evaluate)])

    def _walked(self, point: Mapping[str, Dual], reduction: Callable[..., Any]) -> Dual:
        arithmetic = Terms(lambda *key: point[self.elements[key]])
        scope = {**self.fixed(), **point, **arithmetic.scope(self.metric.text)}
        if self.metric.columns:
            names = zip(cell_names(self.metric.columns), self.metric.cells, strict=True)
            scope |= {name: point[cell] for name, cell in names}
        return walk(self.metric.text, arithmetic, scope, reduction)  # type: ignore[no-any-return]

    @cached_property
    def inner(self) -> dict[str, Callable[[Mapping[str, Dual]], Dual]]:
        """What each term takes of a table, by symbol; found along several ways through the text."""
        found: dict[str, Callable[[Mapping[str, Dual]], Dual]] = {}
        generator = random.Random(0)

        def reduction(name: str, evaluate: Callable[[Point], Any]) -> Dual:
            found[self.symbol(name, evaluate)] = evaluate
            return Dual(mpf(generator.uniform(0, 1)))

        names = self.metric.variables
        with mp.workdps(DIGITS):
            for _ in range(20):
                point = {n: Dual(mpf(generator.uniform(0, 1))) for n in names}
                try:
                    self._walked(point, reduction)
                except (ValueError, ZeroDivisionError):
                    continue
                if len(found) == len(self.metric.tables):
                    break
        return found

    def symbol(self, name: str, evaluate: Callable[[Point], Any]) -> str:
        """The term that a reduction in the text is, recognized by its value on one table."""
        probe, wanted = self._probes
        with mp.workdps(DIGITS):
            number = evaluate({cell: Dual(x) for cell, x in probe.items()}).value
        for symbol, (reduction, value) in wanted.items():
            if reduction == name and abs(number - value) < mpf(10) ** -30 * max(1, abs(number)):
                return symbol
        raise AssertionError(f"no term for {name}")

    @cached_property
    def _probes(self) -> tuple[dict[str, Any], dict[str, tuple[str, Any]]]:
        """A table, and what every term's own expression is there."""
        import sympy

        generator = random.Random(3)
        while True:
            probe = {cell: mpf(generator.randint(1, 99)) / 8 for cell in CELLS}
            point = {n: sympy.Rational(x) for n, x in {**self.parameters}.items()}
            point |= {n: sympy.Rational(str(x)) for n, x in probe.items()}
            with mp.workdps(DIGITS):
                found = {
                    term.symbol.name: (term.reduction, term.expression.subs(point).evalf(60))
                    for term in self.metric.tables
                }
                if all(value.is_real for _, value in found.values()):
                    return probe, {s: (r, mpf(str(v))) for s, (r, v) in found.items()}


def _of_both(name: str, evaluate: Callable[[Point], Any], point: Mapping[str, Dual]) -> Dual:
    """A reduction in a binary task."""
    cells = [point[cell] for cell in CELLS]
    both = [cells, cells[::-1]]
    numbers = [[cell.value for cell in table] for table in both]
    setting = Setting(task="binary", absent=None)
    return Tables(setting, both, numbers, [mpf(1)] * 2, 0).reduction(name, evaluate)
