"""ir.Metric, ir.Programs → ir.Plan: the code of all terms joined to that of the whole loss.

With one table this is the program's own code. With classes, value and slopes of each term are
computed on tables of its reduction's level, and

    w_plus[k] = Σ_j  dG/dr_j · dr_j/de_j[k] · (e_j,TP - e_j,FN)[k]

is written out: `macro(x)` is a reduction's value, `macro_slope(x)` its derivative dr/de.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from metricc import ir, syntax
from metricc.functions import CELLS, LEVELS

# Reductions whose slope depends on the values that they reduce.
NEED_VALUES = frozenset({"worst", "geomean"})


def compose(metric: ir.Metric, programs: Sequence[ir.Program], outer: ir.Program | None) -> ir.Plan:
    """Join the programs of the terms; `outer` is that of G, None where G is the only term."""
    if not metric.single:
        return _Composition(metric, programs, outer).plan()
    (program,) = programs
    return ir.Plan(metric, (program,), None, program.value, program.partials, program.weights)


def level(reduction: str, task: str) -> str:
    """The tables that a reduction looks at (`functions.LEVELS`)."""
    if reduction == "sum" and task == "multiclass":
        return "joint"
    return {"micro": "pooled", "weighted": "weighted"}.get(reduction, "class")


class _Composition:
    def __init__(
        self, metric: ir.Metric, programs: Sequence[ir.Program], outer: ir.Program | None
    ) -> None:
        self.metric = metric
        self.programs = tuple(programs)
        self.outer = outer
        found = {level(term.reduction, metric.task) for term in metric.tables}
        self.levels = tuple(name for name in LEVELS if name in found)

    def plan(self) -> ir.Plan:
        elements = [term.symbol.name for term in self.metric.elements]
        plan = ir.Plan(
            self.metric,
            self.programs,
            self.outer,
            self.block("value"),
            self.block("gradient"),
            self.block("weights"),
            self.levels,
        )
        known = {*CELLS, *(p.name for p in self.metric.parameters), *elements}
        known |= {f"{c}_{name}" for c in CELLS for name in self.levels}
        for block in (plan.value, plan.gradient, plan.weights):
            block.validate(known)
        return plan

    def block(self, output: str) -> ir.Block:
        """Value, gradient (four partials) or weights (two) of the whole loss."""
        writer = _Writer(self.metric)
        widths = {"value": 0, "gradient": len(CELLS), "weights": 2}
        slopes = widths[output] > 0
        needed = self.needed(slopes)
        sums: list[list[syntax.Expression]] = [[] for _ in range(widths[output])]
        pending = []
        for term, program in zip(self.metric.tables, self.programs, strict=True):
            reduction, name = term.reduction, term.symbol.name
            cells = self.cells(reduction)
            if slopes:
                source = program.weights if output == "weights" else program.partials
                parts = writer.include(source, cells)
            own = reduction in NEED_VALUES or (reduction == "weighted" and output == "gradient")
            if not slopes or name in needed or own:
                (value,) = writer.include(program.value, cells)
                if slopes and own:
                    value = writer.named("e", value)
                if not slopes or name in needed:
                    writer.assign(name, self.call(reduction, value))
            else:
                value = syntax.Number(Fraction(0))
            if slopes:
                share = self.call(f"{reduction}_slope", value)
                pending.append((name, share, parts[: widths[output]]))
                if reduction == "weighted" and output == "gradient":
                    # The weights are counts too: TP and FN change them alike.
                    moved, none = self.call("weighted_support", value), syntax.Number(Fraction(0))
                    one = syntax.Number(Fraction(1))
                    pending.append((name, moved, [one, one, none, none]))
        if not slopes:
            return writer.block(self.joined(writer, "value"))
        for name, share, parts in pending:
            outer = self.joined(writer, f"M_{name}")[0]
            factor = writer.named("slope", _times(outer, share))
            for total, part in zip(sums, parts, strict=True):
                total.append(_times(factor, part))
        results = [_plus(total) for total in sums]
        for term in self.metric.elements:
            results += self.joined(writer, f"M_{term.symbol.name}")
        return writer.block(results)

    def needed(self, slopes: bool) -> set[str]:
        """The terms whose values the slopes of G need."""
        if self.outer is None or not slopes:
            return set()
        names = {term.symbol.name for term in self.metric.terms}
        used = set[str]()
        for variable in self.metric.variables:
            form = self.outer.forms[f"M_{variable}"].expression
            used |= {s.name for s in form.free_symbols} & names
        return used

    def joined(self, writer: _Writer, output: str) -> list[syntax.Expression]:
        """G, or one of its slopes, over the terms' values."""
        if self.outer is None:
            name = self.metric.variables[0]
            return [syntax.Name(name) if output == "value" else syntax.Number(Fraction(1))]
        position = ir.shared_outputs(self.metric).index(output)
        return writer.include(self.outer.shared.slice(position), {})

    def cells(self, reduction: str) -> dict[str, str]:
        """The names of a reduction's cells: plain ones where all terms look at one level."""
        own = level(reduction, self.metric.task)
        return {} if len(self.levels) == 1 else {c: f"{c}_{own}" for c in CELLS}

    def call(self, function: str, value: syntax.Expression) -> syntax.Expression:
        return syntax.Call(function, (syntax.Argument(None, value),))


class _Writer:
    """Blocks put one after the other, their names kept apart."""

    def __init__(self, metric: ir.Metric) -> None:
        self.assignments: list[tuple[str, syntax.Expression]] = []
        # The target brings the counts to each level, with the classes' shares in averages.
        levels = {f"{name}_{own}" for name in ("share", "counted") for own in LEVELS}
        self.taken = {*CELLS, "share", "counted", *levels, *(p.name for p in metric.unknowns)}
        self.known: dict[syntax.Expression, str] = {}

    def include(self, block: ir.Block, cells: dict[str, str]) -> list[syntax.Expression]:
        """A block's code under names of its own; its results."""
        names: dict[str, syntax.Expression] = {c: syntax.Name(n) for c, n in cells.items()}
        for name, expression in block.assignments:
            names[name] = self.named(name, syntax.substitute(expression, names))
        return [syntax.substitute(result, names) for result in block.results]

    def named(self, stem: str, expression: syntax.Expression) -> syntax.Expression:
        """A name for an expression, the one that it has already if it has one."""
        if isinstance(expression, syntax.Name | syntax.Number):
            return expression
        if expression not in self.known:
            name, index = stem, 1
            stem = stem.rstrip("0123456789")
            while name in self.taken:
                name, index = f"{stem}{index}", index + 1
            self.assign(name, expression)
        return syntax.Name(self.known[expression])

    def assign(self, name: str, expression: syntax.Expression) -> None:
        self.taken.add(name)
        self.known[expression] = name
        self.assignments.append((name, expression))

    def block(self, results: Iterable[syntax.Expression]) -> ir.Block:
        whole = ir.Block(tuple(self.assignments), tuple(results))
        return whole.slice(*range(len(whole.results)))


def _times(left: syntax.Expression, right: syntax.Expression) -> syntax.Expression:
    if isinstance(left, syntax.Number) and left.value == 1:
        return right
    if isinstance(right, syntax.Number) and right.value in (0, 1):
        return left if right.value == 1 else right
    if isinstance(right, syntax.Product) and not any(right.divides):
        return syntax.Product((left, *right.operands), (False,) * len(right.operands))
    return syntax.Product((left, right), (False,))


def _plus(parts: Sequence[syntax.Expression]) -> syntax.Expression:
    zero = syntax.Number(Fraction(0))
    kept = [part for part in parts if part != zero] or [zero]
    return kept[0] if len(kept) == 1 else syntax.Sum(tuple(kept), (False,) * (len(kept) - 1))
