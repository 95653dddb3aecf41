"""What all kinds of generated files are put together from: scalar functions, element losses, how
reductions are spelled, the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metricc import ir
from metricc.emit import torch_guards as guards
from metricc.emit import torch_table as table
from metricc.emit.python import expressions, statements
from metricc.emit.torch_arguments import positional
from metricc.emit.torch_elements import ELEMENTS
from metricc.extract import extract
from metricc.functions import CELLS
from metricc.save import sha256

ALL = ("value", "gradient", "weights")


@dataclass
class Elements:
    """The element losses of a metric: their functions, and how they are called."""

    metric: ir.Metric
    entry: str
    parameters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = {s.name for t in self.metric.elements for s in t.expression.free_symbols}
        names = (p.name for p in self.metric.parameters)
        self.parameters = tuple(name for name in names if name in found)

    def __len__(self) -> int:
        return len(self.metric.elements)

    @property
    def names(self) -> list[str]:
        """The losses' names as arguments of `value`."""
        return [term.symbol.name for term in self.metric.elements]

    @property
    def text(self) -> str:
        """The functions, each once."""
        functions = {str(term.expression.func): None for term in self.metric.elements}
        return "".join(ELEMENTS[name, self.entry] for name in functions)

    def calls(self, before: str) -> str:
        """A list of calls, such as [_bce(z, y), _focal(z, y, gamma)]."""
        return f"[{', '.join(self._call(term, before) for term in self.metric.elements)}]"

    def _call(self, term: ir.Term, before: str) -> str:
        names = tuple(p.name for p in self.metric.parameters)
        _, given, _ = expressions(extract(term.expression.args, names).inlined(everything=True))
        return f"_{term.expression.func}({', '.join([before, *given])})"


def bodies(plan: ir.Plan, reductions: Mapping[str, str]) -> tuple[dict[str, list[str]], set[str]]:
    """The lines of value, gradient and weights, and the functions that they call."""
    found: dict[str, list[str]] = {}
    called = set[str]()
    for name, block in zip(ALL, (plan.value, plan.gradient, plan.weights), strict=True):
        found[name], functions = statements(block, reductions)
        called |= functions
    return found, called


def head(
    plan: ir.Plan,
    options: ir.Options,
    scalars: Mapping[str, list[str]],
    keywords: str,
    counted: bool = True,
) -> dict[str, str]:
    """The holes of the scalar functions; `keywords` are arguments after the parameters.

    `counted` says that counts may be given in place of a batch's.
    """
    metric = plan.metric
    losses = [term.symbol.name for term in metric.elements]
    signature = [*metric.cells, *losses, *map(positional, metric.parameters)]
    variables = [*CELLS, *losses]
    slopes = f", then the derivatives in {', '.join(losses)}" if losses else ""
    exports = [f"{options.pascal}Loss", f"{options.name}_loss", *ALL]
    exports = sorted([*exports, *["Counts"] * counted], key=lambda n: (n.islower(), n))
    bodies = {name: "\n".join("    " + line for line in lines) for name, lines in scalars.items()}
    return {
        **bodies,
        "name": options.name,
        "pascal": options.pascal,
        "exports": ", ".join(f'"{name}"' for name in exports),
        "cells": "The counts"
        if metric.columns
        else ", ".join(CELLS) + (f" and the sums of {', '.join(losses)}" if losses else ""),
        "count": str(len(metric.cells) + len(losses)),
        "signature": ", ".join(signature) + keywords,
        "variables": "its arguments, in their order"
        if metric.columns
        else f"{', '.join(variables[:-1])} and {variables[-1]}",
        "and_losses": slopes,
        "weights_doc": f".\n\n    Then two for each column{slopes}.\n    "
        if metric.columns
        else f"{slopes}.",
        "counts": " (floats or tensors)",
        "docstring": "<<docstring>>",
        "math": "<<math>>",
    }


def listed_guards(called: set[str]) -> str:
    """The guarded functions that are called, in the order of their table."""
    return "".join(text for name, text in guards.GUARDS.items() if name in called)


def closure(called: set[str], functions: Mapping[str, tuple[str, tuple[str, ...]]]) -> set[str]:
    """The functions that are called, and those that they call; `functions` name what each calls."""
    found, stack = set[str](), list(called)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += functions.get(name, ("", ()))[1]
    return found


def reductions(plan: ir.Plan) -> dict[str, str]:
    """How each reduction, and its slope, is spelled in a file of several tables."""
    found: dict[str, str] = {}
    for level in plan.levels:
        suffix = f"_{level}" if len(plan.levels) > 1 else ""
        for name, (value, slope) in table.REDUCTIONS[level].items():
            found[name] = value.replace("{s}", suffix)
            found[f"{name}_slope"] = slope.replace("{s}", suffix)
        if level == "weighted":
            found["weighted_support"] = table.SUPPORT.replace("{s}", suffix)
    return found


def recorded(
    plan: ir.Plan, options: ir.Options, names: tuple[str, ...], version: str
) -> dict[str, Any]:
    """What a file's METRICC holds, but for the digests of the file; `names` are options."""
    return {
        "version": version,
        "formula": plan.metric.formula,
        "options": {name: getattr(options, name) for name in names},
        "forms": {name: f"{form.choice}; {form.proof}" for name, form in plan.forms.items()},
        "formula_sha256": sha256(plan.metric.formula),
    }
