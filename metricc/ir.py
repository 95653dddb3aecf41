"""The data that stages exchange, from the lowered metric to the verified file.

    lower    → Metric     terms over cells, and the outer expression that combines them
    derive   → Gradient   raw partials, as differentiation gives them
    simplify → Program    the chosen forms with their proofs, and straight-line code for them
    compose  → Plan       one program a term and one for what joins them, as code for all classes
    compile  → Options    what was decided beside the formula
    audit    → Audit      what the metric does in training
    verify   → Report     measured against allowed figures

SymPy expressions here are over plain symbols (no assumptions) named as in the language; code is
in the language's own syntax tree. Each class has `validate()`, called where a stage hands over.
SymPy is imported for type checking only, so that reading this module costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Literal, TypeAlias

from metricc import syntax
from metricc.errors import Span
from metricc.functions import CELLS, cells_of

if TYPE_CHECKING:
    from sympy import Expr, Symbol

Direction = Literal["score", "error rate", "mixed"]


@dataclass(frozen=True)
class Parameter:
    """A free parameter of the metric: a constructor argument of its loss.

    Other symbols beside TP, FN, FP and TN are described by it too; `counted` marks the cells of
    a column, which are counts of the same kind.
    """

    name: str
    default: Fraction | None
    interval: syntax.Interval | None
    counted: bool = False


def nonnegative(parameters: tuple[Parameter, ...]) -> frozenset[str]:
    """The names of the symbols that are at least 0: cells, and parameters by their range."""
    ranges = {p.name: p.interval for p in parameters}
    low = {n: i.low for n, i in ranges.items() if i is not None and i.low is not None}
    return frozenset((*CELLS, *(name for name, bound in low.items() if bound >= 0)))


@dataclass(frozen=True)
class Term:
    """One reduction `r_j` that the loss is a function of.

    `kind` is "cells" (an expression over one table's TP, FN, FP, TN) or "element" (a mean over
    elements; the expression is a function named as in `functions.ELEMENTS`). `reduction` is one
    of `functions.REDUCTIONS`, or "identity" where there is one table.
    """

    symbol: Symbol
    kind: Literal["cells", "element"]
    reduction: str
    expression: Expr


@dataclass(frozen=True)
class Metric:
    """`outer` over the terms' symbols, plus the metric's name, parameters and record.

    Where there is one table, the only cells term is the identity, `outer` is its symbol, and the
    element losses stand in its expression, as the cells do.
    """

    name: str
    formula: str
    text: syntax.Text
    terms: tuple[Term, ...]
    outer: Expr
    parameters: tuple[Parameter, ...]
    record: tuple[tuple[str, str], ...] = ()
    task: str = "binary"
    columns: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[str, ...]:
        """TP, FN, FP, TN, then those of every column: TP_amount, ..."""
        return (*CELLS, *(cell for column in self.columns for cell in cells_of(column)))

    @property
    def tables(self) -> tuple[Term, ...]:
        """The terms over cells."""
        return tuple(term for term in self.terms if term.kind == "cells")

    @property
    def elements(self) -> tuple[Term, ...]:
        """The terms that are means over elements."""
        return tuple(term for term in self.terms if term.kind == "element")

    @property
    def single(self) -> bool:
        """Whether the metric is a function of one table."""
        return all(term.reduction == "identity" for term in self.tables)

    @property
    def by_sample(self) -> bool:
        """Whether the terms are means over samples, each with a table of its own."""
        return any(term.reduction == "samples" for term in self.tables)

    @property
    def variables(self) -> tuple[str, ...]:
        """What the metric is differentiated in: cells and element losses, or its terms."""
        elements = tuple(term.symbol.name for term in self.elements)
        tables = self.cells if self.single else tuple(term.symbol.name for term in self.tables)
        return (*tables, *elements)

    @property
    def unknowns(self) -> tuple[Parameter, ...]:
        """All symbols beside TP, FN, FP and TN, with their ranges: parameters, columns' cells,
        losses, other terms."""
        positive = syntax.Interval(Fraction(0), None)
        counted = self.cells[len(CELLS) :]
        others = (v for v in self.variables if v not in CELLS)
        return (*self.parameters, *(Parameter(v, None, positive, v in counted) for v in others))

    @property
    def expression(self) -> Expr:
        """The metric over cells, element losses and parameters, as the user wrote it.

        Reductions over classes are functions of their own: macro(2*TP/(...)).
        """
        return self.outer.xreplace({t.symbol: reduced(t, t.expression) for t in self.tables})

    @property
    def outer_expression(self) -> Expr:
        """The metric over its variables: of one table, over the cells."""
        return self.expression if self.single else self.outer

    def of_table(self, term: Term) -> Metric:
        """What a cells term takes of each table, as a metric of one table."""
        if self.single:
            return self
        one = replace(term, reduction="identity")
        return replace(self, terms=(one,), outer=one.symbol)

    @property
    def written(self) -> str:
        """The metric's own definition as text, names of definitions without empty brackets."""
        return str(self.text.definitions[-1].body).replace("()", "")

    @property
    def nonnegative(self) -> frozenset[str]:
        """The names of the symbols that are at least 0: cells, and others by their range."""
        return nonnegative(self.unknowns)

    def fact(self, key: str) -> str:
        """The library record's entry (description, range, reference ...), or an empty string."""
        return " ".join(text for k, text in self.record if k == key)

    def validate(self) -> None:
        """Raise `AssertionError` unless every symbol is a term's, a cell's or a parameter's."""
        parameters = {p.name for p in self.parameters}
        assert self.single or not self.columns
        inside = {*self.cells, *(t.symbol.name for t in self.elements), *parameters}
        for term in self.terms:
            assert {s.name for s in term.expression.free_symbols} <= inside, term.expression
        known = {t.symbol.name for t in self.terms} | parameters
        assert {s.name for s in self.outer.free_symbols} <= known, self.outer

    def __str__(self) -> str:
        lines = [f"metric {self.name} = {self.outer}"]
        lines += [f"  {t.symbol} = {t.reduction} of {t.kind}: {t.expression}" for t in self.terms]
        lines += [f"  parameter {p.name} = {p.default} in {p.interval}" for p in self.parameters]
        return "\n".join(lines)


def reduced(term: Term, expression: Expr) -> Expr:
    """The reduction of an expression as readers see it: a function named like it."""
    import sympy

    if term.reduction == "identity":
        return expression
    return sympy.Function(term.reduction)(expression)


@dataclass(frozen=True)
class Part:
    """An additive part of the metric, with its own raw partial derivatives."""

    expression: Expr
    partials: tuple[Expr, ...]


@dataclass(frozen=True)
class Gradient:
    """The metric's raw derivatives in its variables, and what they give.

    `w_plus = M_TP - M_FN` and `w_minus = M_TN - M_FP` are all that the batch gradient needs:
    dM/da_i = v_i (y_i w_plus - (1 - y_i) w_minus). A column c has two more, of its own cells, and
    w_plus is then w_plus + c_i w_plus_c. The metric is the sum of `parts`.
    """

    metric: Metric
    parts: tuple[Part, ...]

    @cached_property
    def partials(self) -> tuple[Expr, ...]:
        """The derivatives in `metric.variables`: dM/dTP, dM/dFN, dM/dFP, dM/dTN, ..."""
        import sympy

        columns = zip(*(part.partials for part in self.parts), strict=True)
        return tuple(sympy.Add(*column) for column in columns)

    @property
    def raw(self) -> dict[str, Expr]:
        """Every output of the program, as differentiation gives it."""
        return self.outputs((self.metric.outer_expression, *self.partials))

    def outputs(self, column: tuple[Expr, ...]) -> dict[str, Expr]:
        """The outputs by name, from a value and its partials."""
        value, *partials = column
        named = {f"M_{v}": p for v, p in zip(self.metric.variables, partials, strict=True)}
        for end in ("", *(f"_{column}" for column in self.metric.columns)):
            if self.metric.single:
                named[f"w_plus{end}"] = named[f"M_TP{end}"] - named[f"M_FN{end}"]
                named[f"w_minus{end}"] = named[f"M_TN{end}"] - named[f"M_FP{end}"]
        return {"value": value, **named}

    def validate(self) -> None:
        known = {*CELLS, *(p.name for p in self.metric.unknowns)}
        for partial in self.partials:
            assert {s.name for s in partial.free_symbols} <= known, partial

    def __str__(self) -> str:
        names = zip(self.metric.variables, self.partials, strict=True)
        return "\n".join(f"d/d{name} = {p}" for name, p in names)


@dataclass(frozen=True)
class Curvature(Gradient):
    """The raw second derivatives of a metric of one table: the partials of each part are those of
    `entries`, in that order.

    `moves` are the ways in which predictions change counts: a positive's going up takes from FN and
    gives to TP, a negative's going down takes from FP and gives to TN; with a column, the same in
    its cells. K, the derivatives along two of them, is all that the Hessian in the predictions
    needs: dM/da_i = u_i w and d2M/da_i da_j = u_i K u_j, where w are the weights and
    u_i = v_i (y_i, -(1 - y_i)), then the same times c_i for every column c.
    """

    @property
    def entries(self) -> tuple[tuple[str, str], ...]:
        """The pairs of variables, each once: (TP, TP), (TP, FN), ..."""
        return tuple(combinations_with_replacement(self.metric.variables, 2))

    @property
    def moves(self) -> dict[str, tuple[str, str]]:
        """What each move gives to and takes from, by the weight that is its slope."""
        found = {}
        for end in ("", *(f"_{column}" for column in self.metric.columns)):
            found[f"w_plus{end}"] = f"TP{end}", f"FN{end}"
            found[f"w_minus{end}"] = f"TN{end}", f"FP{end}"
        return found

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """The pairs of moves, each once."""
        return tuple(combinations_with_replacement(self.moves, 2))

    def outputs(self, column: tuple[Expr, ...]) -> dict[str, Expr]:
        """The value, the second derivatives and those along two moves, from the value and the
        second derivatives."""
        value, *second = column
        found = dict(zip(self.entries, second, strict=True))
        found |= {(b, a): entry for (a, b), entry in found.items()}
        named = {pair(*entry): found[entry] for entry in self.entries}
        for one, other in self.turns:
            (up, down), (gain, loss) = self.moves[one], self.moves[other]
            along = found[up, gain] - found[up, loss] - found[down, gain] + found[down, loss]
            named[pair(one, other)] = along
        return {"value": value, **named}


def pair(one: str, other: str) -> str:
    """The name of a second derivative: "(TP, FN)", "(w_plus, w_minus)"."""
    return f"({one}, {other})"


@dataclass(frozen=True)
class Form:
    """One output of the program: its chosen expression, which form won, and its proof.

    `choice` is "as written", "factored", "term by term" or, of weights, "by partials"; `proof`
    names the decision procedure that proved the form equal to the raw expression, or says at how
    many points the two were compared. `cancels` says whether the form subtracts anywhere.
    """

    expression: Expr
    choice: str
    proof: str
    cancels: bool

    @property
    def proved(self) -> bool:
        return self.proof.startswith("proved")


@dataclass(frozen=True)
class Hessian:
    """The second derivatives of a metric of one table, each with its form and proof.

    `forms` are by `pair`: of two variables of the metric, and of two moves of predictions (see
    `Curvature`); each pair once, in the order of `raw.entries` and `raw.turns`.
    """

    raw: Curvature
    forms: dict[str, Form]

    @property
    def metric(self) -> Metric:
        return self.raw.metric

    def entry(self, one: str, other: str) -> Expr:
        """The derivative in two variables, or along two moves, in either order."""
        form = self.forms.get(pair(one, other)) or self.forms[pair(other, one)]
        return form.expression


DEEPEST = 24  # operations inside operations, in code
LARGEST = 2_000  # nodes of an expression with everything written out
OUTPUTS = ("value", "M_TP", "M_FN", "M_FP", "M_TN", "w_plus", "w_minus")  # without columns


def outputs(metric: Metric) -> tuple[str, ...]:
    """Value, the derivatives in the cells, and the weights, of one table."""
    return ("value", *(f"M_{cell}" for cell in metric.cells), *weights_of(metric))


def weights_of(metric: Metric) -> tuple[str, ...]:
    """w_plus and w_minus, then those of every column: w_plus_amount, w_minus_amount."""
    columns = (f"{w}_{column}" for column in metric.columns for w in ("w_plus", "w_minus"))
    return ("w_plus", "w_minus", *columns)


def shared_outputs(metric: Metric) -> tuple[str, ...]:
    """The outputs that are computed together: the value and its partials."""
    return ("value", *(f"M_{v}" for v in metric.variables))


def weight_outputs(metric: Metric) -> tuple[str, ...]:
    """What the batch gradient is made of: w_plus, w_minus, and the slopes in element losses."""
    if not metric.single:
        return tuple(f"M_{v}" for v in metric.variables)
    return (*weights_of(metric), *(f"M_{t.symbol.name}" for t in metric.elements))


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

    def named(self, names: tuple[str, ...]) -> str:
        """The block as text, its results under names."""
        lines = [f"{name} = {expression}" for name, expression in self.assignments]
        lines += [f"{name} = {r}" for name, r in zip(names, self.results, strict=True)]
        return "\n".join(lines)

    def validate(self, known: set[str]) -> None:
        """Raise `AssertionError` unless every name is assigned once, before its first use."""
        known = set(known)
        for name, expression in self.assignments:
            used = {n.id for n in syntax.walk(expression) if isinstance(n, syntax.Name)}
            assert used <= known, (name, used - known)
            assert name not in known, name
            known.add(name)

    def inlined(self, everything: bool = False) -> Block:
        """The same block with assignments that are used once (or all) put where they are used, but
        for what would get too deep, or (of all) too large."""
        places = (*(e for _, e in self.assignments), *self.results)
        uses = Counter(n.id for e in places for n in syntax.walk(e) if isinstance(n, syntax.Name))
        inside: dict[str, syntax.Expression] = {}
        extents: dict[str, tuple[int, int]] = {}
        kept = []
        for name, expression in self.assignments:
            depth, size = _extent(expression, extents)
            expression = syntax.substitute(expression, inside)
            once = uses[name] == 1 or (everything and size <= LARGEST)
            if once and depth <= DEEPEST:
                inside[name], extents[name] = expression, (depth, size)
            else:
                kept.append((name, expression))
        return Block(tuple(kept), tuple(syntax.substitute(r, inside) for r in self.results))


def _extent(expression: syntax.Expression, known: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """How deep an expression is and how many nodes it has, names counted as what they stand for."""
    deepest = size = 0
    stack = [(expression, 1)]
    while stack:
        node, level = stack.pop()
        depth, nodes = known.get(node.id, (0, 1)) if isinstance(node, syntax.Name) else (0, 1)
        deepest, size = max(deepest, level + depth), size + nodes
        stack += [(child, level + 1) for child in syntax.children(node)]
    return deepest, size


@dataclass(frozen=True)
class Program:
    """One expression with its derivatives: forms of each output, and code with shared parts.

    `shared` computes value and partials together; `weights` computes w_plus and w_minus from
    their own simplified forms (and repeats the slopes in element losses). `threshold` is the
    implied threshold on calibrated probabilities, w_minus/(w_plus + w_minus), in the cells (and in
    a sample's own numbers, named like the columns), or None where no prediction changes the metric.
    `homogeneous` says that the metric is proved not to depend on the batch's size.
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

    @property
    def value(self) -> Block:
        return self.shared.slice(0)

    @property
    def partials(self) -> Block:
        return self.shared.slice(*range(1, len(self.shared.results)))

    def validate(self) -> None:
        metric = self.metric
        assert set(self.forms) == {*shared_outputs(metric), *weight_outputs(metric)}
        for block in (self.shared, self.weights):
            block.validate({*CELLS, *(p.name for p in metric.unknowns)})

    def __str__(self) -> str:
        named = (
            (self.shared, shared_outputs(self.metric)),
            (self.weights, weight_outputs(self.metric)),
        )
        return "\n".join(block.named(names) for block, names in named)


@dataclass(frozen=True)
class Plan:
    """The whole loss: a program for each cells term, and one for what joins the terms.

    `value`, `gradient` and `weights` are the code of the generated file's scalar functions. With
    one table they are the program's own. With classes they are over the counts of every class:
    names carry the table's level where there are several (TP_pooled), and calls of reductions
    (`macro(x)`) and of their slopes (`macro_slope(x)`) stand between the parts.
    """

    metric: Metric
    programs: tuple[Program, ...]
    outer: Program | None
    value: Block
    gradient: Block
    weights: Block
    levels: tuple[str, ...] = ()

    @property
    def program(self) -> Program:
        """The first term's: with one table, the metric's own."""
        return self.programs[0]

    @property
    def forms(self) -> dict[str, Form]:
        """Every form with its proof; where there are several terms, by term too."""
        terms = [(f"r{i} ", p) for i, p in enumerate(self.programs, 1)]
        if len(terms) == 1:
            terms = [("", self.program)]
        if self.outer is not None:
            terms.append(("outer ", self.outer))
        return {f"{prefix}{n}": form for prefix, p in terms for n, form in p.forms.items()}

    @property
    def margins(self) -> bool:
        """Whether sums over classes are subtracted, as margins of one table.

        Then all classes count alike: of classes with weights of their own they are no margins.
        """
        return (
            "joint" in self.levels
            and self.outer is not None
            and (self.outer.forms["value"].cancels)
        )

    @cached_property
    def gradients(self) -> dict[str, Expr]:
        """Value, M_TP, M_FN, M_FP, M_TN, w_plus and w_minus of one table, for readers.

        With classes the partials are those in the counts of one class; C is the number of
        classes, and macro(...) and the like stand for the reductions' values.
        """
        if self.metric.single:
            return {n: self.program.forms[n].expression for n in outputs(self.metric)}
        import sympy

        total: dict[str, Expr] = {"value": self.metric.expression}
        inside = {t.symbol: reduced(t, t.expression) for t in self.metric.tables}
        for term, program in zip(self.metric.tables, self.programs, strict=True):
            outer = sympy.Integer(1)
            if self.outer is not None:
                slope = self.outer.forms[f"M_{term.symbol.name}"].expression
                outer = slope.xreplace(inside)
            share = _share(term)
            for name in outputs(self.metric)[1:]:
                part = outer * share * program.forms[name].expression
                total[name] = total.get(name, sympy.Integer(0)) + part
        return total

    def __str__(self) -> str:
        if self.metric.single:
            return str(self.program)
        names = [
            v for v in self.metric.variables if v in {t.symbol.name for t in self.metric.elements}
        ]
        parts = (
            (self.value, ("value",)),
            (self.weights, ("w_plus", "w_minus", *(f"M_{n}" for n in names))),
        )
        return "\n".join(block.named(names) for block, names in parts)


def _share(term: Term) -> Expr:
    """What one class has in a reduction: dr/de_k, for readers."""
    import sympy

    classes, expression = sympy.Symbol("C"), term.expression
    match term.reduction:
        case "macro":
            return 1 / classes
        case "samples":
            return 1 / sympy.Symbol("samples")
        case "weighted":
            positives = sympy.Symbol("TP") + sympy.Symbol("FN")
            return positives / sympy.Function("sum")(positives)
        case "geomean":
            return sympy.Function("geomean")(expression) / (classes * expression)
        case "worst":
            return sympy.Function("is_worst")(expression)
    return sympy.Integer(1)


@dataclass(frozen=True)
class Options:
    """What was decided beside the formula; recorded in the generated file as it stands here.

    `goal` says whether the loss is 1 - metric ("maximize") or the metric ("minimize"). `target`
    ("torch", "triton" or "gbdt") is recorded where it is not "torch".
    """

    name: str
    task: str = "binary"
    per: str = "batch"
    surrogate: str = "amplified"
    from_probabilities: bool = False
    goal: str = "maximize"
    target: str = "torch"

    @property
    def pascal(self) -> str:
        """The name as a class begins with it: balanced_accuracy → BalancedAccuracy."""
        return "".join(part[:1].upper() + part[1:] for part in self.name.split("_"))


@dataclass(frozen=True)
class Place:
    """A part of a formula: the text that it stands in, whose it is, and the offsets there.

    `origin` is "<formula>" for the user's own text, else a library metric's name or a file.
    """

    origin: str
    source: str
    span: Span

    @property
    def text(self) -> str:
        return self.source[self.span.start : self.span.end]

    @property
    def position(self) -> tuple[int, int]:
        """Line and column, both from 1."""
        before = self.source[: self.span.start]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


Severity = Literal["note", "warning", "danger"]
Datum: TypeAlias = "str | float | bool | tuple[Datum, ...] | None"


@dataclass(frozen=True)
class Finding:
    """One fact about a metric as a training target.

    `code` is one of `errors.FINDINGS`. A danger: training will not do what the metric's name says;
    a warning needs a decision or bites in common batches; a note is a fact. `evidence` says how it
    is known: "proved", "sampled at 200 points", "simulated: 2000 batches". `data` are the fact's
    numbers by name, for programs.
    """

    code: str
    severity: Severity
    fact: str
    evidence: str
    place: Place | None = None
    hint: str | None = None
    data: tuple[tuple[str, Datum], ...] = ()

    def __str__(self) -> str:
        return f"{self.severity} {self.code}: {self.fact} ({self.evidence})"


@dataclass(frozen=True)
class ZeroSet:
    """Counts at which a metric has no value, proved: all tables on which `cells` are 0.

    "undefined" is 0/0, "infinite" grows without bound. `words` say it as readers do ("there are no
    positives"), `formula` as an equation ("TP = FN = 0"). `unless` are further cells: where those
    of one entry are 0 too, the metric has a value after all. `partly` says that this is so on a
    part of these tables only. `table` is what the counts are of: "" of the whole batch or sample,
    "class", "sample" or "pooled", where the metric is reduced; "classes" for what joins the terms.
    """

    cells: tuple[str, ...]
    kind: Literal["undefined", "infinite"]
    words: str
    formula: str
    unless: tuple[tuple[str, ...], ...] = ()
    partly: bool = False
    table: str = ""

    @property
    def empty(self) -> bool:
        """Whether only tables without any sample are in it."""
        return set(CELLS) <= set(self.cells)

    def __str__(self) -> str:
        return f"{self.words} ({self.formula})" if self.words else self.formula


@dataclass(frozen=True)
class Audit:
    """What training on this metric means, decided from its derivatives.

    `direction` by the signs of w_plus and w_minus on the domain, `direction_proof` how that was
    decided; `degenerate` names the constant prediction that already reaches the best value, or is
    empty; `depends` is False where no prediction changes the metric. `costs` are what a
    positive and a negative weigh in a linear cost (a metric whose w_plus and w_minus no
    prediction changes) as text, over the classes' totals P and N; empty for all other metrics.
    `bends` is True where a weight was seen to change with the predictions, which no linear cost's
    does. `singular` are the counts at which the metric has no value. `findings` are all facts, for
    people: empty until they are asked for (`m.audit()`).
    """

    direction: Direction
    direction_proof: str
    degenerate: str
    depends: bool
    homogeneous: bool
    costs: tuple[str, ...] = ()
    bends: bool = False
    singular: tuple[ZeroSet, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def linear(self) -> bool:
        """Whether the metric is a linear cost (proved)."""
        return bool(self.costs)


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
    """The checks of one file, in the order they ran.

    `drift` is a unified diff, line by line, from what the file's formula generates to the file;
    metricc's version and the record's digests are left out.
    """

    name: str
    checks: tuple[Check, ...] = field(default_factory=tuple)
    drift: tuple[str, ...] = ()

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
