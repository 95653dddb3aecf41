"""The data that stages exchange, from the lowered metric to the verified file.

    lower    → Metric     terms over cells, and the outer expression that combines them
    derive   → Gradient   raw partials, as differentiation gives them
    simplify → Program    the chosen forms with their proofs, and straight-line code for them
    compile  → Options    what was decided beside the formula
    audit    → Audit      what the metric does in training
    verify   → Report     measured against allowed figures

SymPy expressions here are over plain symbols (no assumptions) named as in the language; code is
in the language's own syntax tree. Each class has `validate()`, called where a stage hands over.
SymPy is imported for type checking only, so that reading this module costs nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from metricc import syntax
from metricc.functions import CELLS

if TYPE_CHECKING:
    from sympy import Expr, Symbol

Direction = Literal["score", "error rate", "mixed"]


@dataclass(frozen=True)
class Parameter:
    """A free parameter of the metric: a constructor argument of its loss."""

    name: str
    default: Fraction | None
    interval: syntax.Interval | None


def nonnegative(parameters: tuple[Parameter, ...]) -> frozenset[str]:
    """The names of the symbols that are at least 0: cells, and parameters by their range."""
    ranges = {p.name: p.interval for p in parameters}
    low = {n: i.low for n, i in ranges.items() if i is not None and i.low is not None}
    return frozenset((*CELLS, *(name for name, bound in low.items() if bound >= 0)))


@dataclass(frozen=True)
class Term:
    """One reduction `r_j` that the loss is a function of.

    `kind` is "cells" (an expression over one class's TP, FN, FP, TN); `reduction` is "identity"
    in a binary task. Element terms and reductions over classes join here.
    """

    symbol: Symbol
    kind: Literal["cells"]
    reduction: Literal["identity"]
    expression: Expr


@dataclass(frozen=True)
class Metric:
    """`outer` over the terms' symbols, plus the metric's name, parameters and record."""

    name: str
    formula: str
    text: syntax.Text
    terms: tuple[Term, ...]
    outer: Expr
    parameters: tuple[Parameter, ...]
    record: tuple[tuple[str, str], ...] = ()

    @property
    def expression(self) -> Expr:
        """The metric over cells and parameters alone, as the user wrote it."""
        return self.outer.xreplace({term.symbol: term.expression for term in self.terms})

    @property
    def written(self) -> str:
        """The metric's own definition as text, names of definitions without empty brackets."""
        return str(self.text.definitions[-1].body).replace("()", "")

    @property
    def nonnegative(self) -> frozenset[str]:
        """The names of the symbols that are at least 0: cells, and parameters by their range."""
        return nonnegative(self.parameters)

    def fact(self, key: str) -> str:
        """The library record's entry (description, range, reference ...), or an empty string."""
        return " ".join(text for k, text in self.record if k == key)

    def validate(self) -> None:
        """Raise `AssertionError` unless every symbol is a term's, a cell's or a parameter's."""
        known = {*CELLS, *(p.name for p in self.parameters)}
        assert {s.name for s in self.expression.free_symbols} <= known, self.expression
        assert {s.name for s in self.outer.free_symbols} <= {t.symbol.name for t in self.terms}

    def __str__(self) -> str:
        lines = [f"metric {self.name} = {self.outer}"]
        lines += [f"  {t.symbol} = {t.reduction} of {t.kind}: {t.expression}" for t in self.terms]
        lines += [f"  parameter {p.name} = {p.default} in {p.interval}" for p in self.parameters]
        return "\n".join(lines)


@dataclass(frozen=True)
class Part:
    """An additive part of the metric, with its own raw partial derivatives."""

    expression: Expr
    partials: tuple[Expr, Expr, Expr, Expr]


@dataclass(frozen=True)
class Gradient:
    """The metric's raw derivatives in the four cells, and what they give.

    `w_plus = M_TP - M_FN` and `w_minus = M_TN - M_FP` are all that the batch gradient needs:
    dM/da_i = v_i (y_i w_plus - (1 - y_i) w_minus). The metric is the sum of `parts`.
    """

    metric: Metric
    parts: tuple[Part, ...]

    @property
    def partials(self) -> tuple[Expr, Expr, Expr, Expr]:
        """dM/dTP, dM/dFN, dM/dFP, dM/dTN."""
        first, *rest = (part.partials for part in self.parts)
        a, b, c, d = first
        for more in rest:
            a, b, c, d = a + more[0], b + more[1], c + more[2], d + more[3]
        return a, b, c, d

    @property
    def w_plus(self) -> Expr:
        return self.partials[0] - self.partials[1]

    @property
    def w_minus(self) -> Expr:
        return self.partials[3] - self.partials[2]

    def validate(self) -> None:
        known = {*CELLS, *(p.name for p in self.metric.parameters)}
        for partial in self.partials:
            assert {s.name for s in partial.free_symbols} <= known, partial

    def __str__(self) -> str:
        return "\n".join(f"d/d{c} = {p}" for c, p in zip(CELLS, self.partials, strict=True))


@dataclass(frozen=True)
class Form:
    """One output of the program: its chosen expression, which form won, and its proof.

    `choice` is "as written", "factored" or "term by term"; `proof` names the decision procedure
    that proved the form equal to the raw expression, or says at how many points the two were
    compared. `cancels` says whether the form subtracts anywhere.
    """

    expression: Expr
    choice: str
    proof: str
    cancels: bool

    @property
    def proved(self) -> bool:
        return self.proof.startswith("proved")


OUTPUTS = ("value", "M_TP", "M_FN", "M_FP", "M_TN", "w_plus", "w_minus")


@dataclass(frozen=True)
class Block:
    """Straight-line code: assignments in order, then the results, in the language's syntax."""

    assignments: tuple[tuple[str, syntax.Expression], ...]
    results: tuple[syntax.Expression, ...]

    def slice(self, *indices: int) -> Block:
        """The block that computes only the results at `indices`, with what they need."""
        results = tuple(self.results[i] for i in indices)
        needed = {n.id for r in results for n in syntax.walk(r) if isinstance(n, syntax.Name)}
        kept: list[tuple[str, syntax.Expression]] = []
        for name, expression in reversed(self.assignments):
            if name in needed:
                kept.append((name, expression))
                names = (n.id for n in syntax.walk(expression) if isinstance(n, syntax.Name))
                needed.update(names)
        return Block(tuple(reversed(kept)), results).inlined()

    def inlined(self, everything: bool = False) -> Block:
        """The same block with assignments that are used once (or all) put where they are used."""
        places = (*(e for _, e in self.assignments), *self.results)
        uses = Counter(n.id for e in places for n in syntax.walk(e) if isinstance(n, syntax.Name))
        inside: dict[str, syntax.Expression] = {}
        kept = []
        for name, expression in self.assignments:
            expression = syntax.substitute(expression, inside)
            if everything or uses[name] == 1:
                inside[name] = expression
            else:
                kept.append((name, expression))
        return Block(tuple(kept), tuple(syntax.substitute(r, inside) for r in self.results))


@dataclass(frozen=True)
class Program:
    """What the generator prints: seven forms, and code for them with shared subexpressions.

    `shared` computes value and the four partials together; `weights` computes w_plus and w_minus
    from its own simplified forms. `threshold` is the implied threshold on calibrated
    probabilities, w_minus/(w_plus + w_minus), in the cells, or None where no prediction changes
    the metric. `homogeneous` says that the metric is proved not to depend on the batch's size.
    """

    gradient: Gradient
    forms: dict[str, Form]
    threshold: Expr | None
    shared: Block
    weights: Block
    homogeneous: bool

    @property
    def metric(self) -> Metric:
        return self.gradient.metric

    def validate(self) -> None:
        assert tuple(self.forms) == OUTPUTS
        for block in (self.shared, self.weights):
            known = {*CELLS, *(p.name for p in self.metric.parameters)}
            for name, expression in block.assignments:
                used = {n.id for n in syntax.walk(expression) if isinstance(n, syntax.Name)}
                assert used <= known, (name, used - known)
                assert name not in known, name
                known.add(name)

    def __str__(self) -> str:
        lines = [f"{name} = {expression}" for name, expression in self.shared.assignments]
        names = OUTPUTS[:5]
        lines += [f"{n} = {r}" for n, r in zip(names, self.shared.results, strict=True)]
        lines += [f"{name} = {expression}" for name, expression in self.weights.assignments]
        lines += [f"{n} = {r}" for n, r in zip(OUTPUTS[5:], self.weights.results, strict=True)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Options:
    """What was decided beside the formula; recorded in the generated file as it stands here.

    `goal` says whether the loss is 1 - metric ("maximize") or the metric ("minimize").
    """

    name: str
    task: str = "binary"
    per: str = "batch"
    surrogate: str = "amplified"
    from_probabilities: bool = False
    goal: str = "maximize"

    @property
    def pascal(self) -> str:
        """The name as a class begins with it: balanced_accuracy → BalancedAccuracy."""
        return "".join(part[:1].upper() + part[1:] for part in self.name.split("_"))


@dataclass(frozen=True)
class Audit:
    """What training on this metric means, decided from its derivatives.

    `direction` by the signs of w_plus and w_minus on the domain, `direction_proof` how that was
    decided; `degenerate` names the constant prediction that already reaches the best value, or is
    empty; `depends` is False where no prediction changes the metric.
    """

    direction: Direction
    direction_proof: str
    degenerate: str
    depends: bool
    homogeneous: bool


@dataclass(frozen=True)
class Check:
    """One line of a verification: what was measured, what is allowed, and the verdict.

    `measured` and `allowed` are errors (dimensionless) or texts; `passed` None marks a note.
    """

    name: str
    measured: str
    allowed: str
    passed: bool | None

    @property
    def verdict(self) -> str:
        return {True: "pass", False: "FAIL", None: "note"}[self.passed]


@dataclass(frozen=True)
class Report:
    """The checks of one file, in the order they ran."""

    name: str
    checks: tuple[Check, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        return all(check.passed is not False for check in self.checks)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return "\n".join(
            f"{check.verdict} {check.name}: {check.measured} (allowed: {check.allowed})"
            for check in self.checks
        )
