"""Resolved syntax tree → ir.Metric: SymPy expressions over cells and parameters.

Definitions are inlined here. With classes each reduction becomes a term of its own; in a binary
task the second class is the first with its cells swapped, so that reductions become arithmetic.
Nothing of the text is handed to SymPy as text: every node is built
by the constructor that `functions.FUNCTIONS` names for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import sympy

from metricc import ir, syntax
from metricc.errors import MAX_DIAGNOSTICS, Diagnostic, MetriccError
from metricc.functions import CELLS, ELEMENTS, FUNCTIONS, REDUCTIONS, cells_of
from metricc.numeric import sample, value_at
from metricc.select import Select, conditions
from metricc.signs import sign_of

# 9^9^9 never returns; no statistic of a table needs more.
MAX_EXPONENT = 64
MAX_DIGITS = 1_000  # of a number that the formula computes
MAX_CONDITIONS = 8  # different comparisons
POINTS = 200  # at which a formula may have a value
MAX_COLUMNS = 8
REDUCED = "columns are for one table: write the metric without a reduction"


def lower(text: syntax.Text, name: str, formula: str, task: str = "binary") -> ir.Metric:
    """Lower a settled text to its metric.

    Raises `MetriccError` with the errors that the text has already and those that are found here:
    parts that are not a real number (1/0, sqrt(-1)), exponents and numbers above their limits,
    reductions in places where they cannot stand.
    """
    main = text.definitions[-1]
    symbols = {n: sympy.Symbol(n) for n in (*CELLS, *(p.name for p in main.parameters))}
    parameters = tuple(ir.Parameter(p.name, p.default, p.interval) for p in main.parameters)
    lowering = Lowering(text, parameters, task)
    expression = lowering.expression(main.body, symbols)
    lowering.check_reductions(expression)
    replace(text, diagnostics=(*text.diagnostics, *lowering.errors)).checked()
    terms = tuple(t for t in lowering.terms.values() if t.symbol in expression.free_symbols)
    used = {s.name for s in expression.free_symbols}
    columns = tuple(c for c in lowering.columns if used & set(cells_of(c)))
    if not any(term.kind == "cells" for term in terms) and task != "binary":
        fact = "no prediction changes the confusion matrix's part of this formula"
        hint = "add a metric: macro(f1)"
        raise MetriccError(lowering.diagnostic(main.body, fact, hint, "MC0302"))
    if not any(term.kind == "cells" for term in terms):
        one = ir.Term(sympy.Symbol("M"), "cells", "identity", expression)
        terms, expression = (one, *terms), one.symbol
    record = main.record
    metric = ir.Metric(name, formula, text, terms, expression, parameters, record, task, columns)
    metric.validate()
    for term in metric.tables:
        _check_values(lowering, term.expression, metric.of_table(term).unknowns)
    return metric


def _check_values(
    lowering: Lowering, expression: sympy.Expr, unknowns: tuple[ir.Parameter, ...]
) -> None:
    """Raise `MetriccError` for too many conditions, or where there is no real value at all."""
    body = lowering.text.definitions[-1].body
    count = len(conditions(expression))
    if count > MAX_CONDITIONS:
        fact = f"the formula has {count} conditions; at most {MAX_CONDITIONS} are read"
        hint = "write it with min, max or clip"
        raise MetriccError(lowering.diagnostic(body, fact, hint, "MC0409"))
    if all(value_at(expression, point, 20) is None for point in sample(unknowns, POINTS)):
        fact = "the formula has no real value anywhere"
        hint = "its roots or logarithms are of negative numbers, or its values are too large"
        raise MetriccError(lowering.diagnostic(body, fact, hint))


class Lowering:
    """One text's expressions: `expression` lowers a node, errors are noted and collected."""

    def __init__(
        self, text: syntax.Text, parameters: tuple[ir.Parameter, ...], task: str = "binary"
    ) -> None:
        self.text = text
        self.task = task
        self.definitions = {d.name: d for d in text.definitions}
        self.nonnegative = ir.nonnegative(parameters)
        self.taken = {p.name for p in parameters}
        self.inlined: dict[tuple[str, bool, str, tuple[sympy.Expr, ...]], sympy.Expr] = {}
        self.errors: list[Diagnostic] = []
        self.terms: dict[tuple[str, sympy.Expr], ir.Term] = {}
        self.around: syntax.Call | None = None  # the reduction that is being lowered
        self.inside: syntax.Indexed | None = None  # the part of a column that is being lowered
        self.columns: dict[str, None] = {}

    def expression(self, node: syntax.Expression, scope: Mapping[str, sympy.Expr]) -> sympy.Expr:
        """A node's expression; one with an error is noted and becomes a symbol of its own, so that
        nothing follows from it."""
        try:
            result = self.lowered(node, scope)
            endless = result.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I)
            if endless or (result.is_number and result.is_real is False):
                hint = "logarithms and even roots need positive arguments; 1/0 has no value"
                raise _Refused(self.diagnostic(node, "this is not a real number", hint))
            return result
        except _Refused as refused:
            if refused.diagnostic not in self.errors and len(self.errors) < MAX_DIAGNOSTICS:
                self.errors.append(refused.diagnostic)
        return sympy.Dummy()

    def lowered(self, node: syntax.Expression, scope: Mapping[str, sympy.Expr]) -> sympy.Expr:
        match node:
            case syntax.Number():
                return sympy.Rational(node.value.numerator, node.value.denominator)
            case syntax.Name() if node.id in ELEMENTS and node.id not in scope:
                return self.element(syntax.Call(node.id, (), node.span), scope)
            case syntax.Name():
                return scope[node.id] if node.id in scope else sympy.Dummy()  # unknown: reported
            case syntax.Call() if node.function in REDUCTIONS:
                return self.reduction(node, scope)
            case syntax.Call() if node.function in ELEMENTS:
                return self.element(node, scope)
            case syntax.Indexed():
                return self.indexed(node, scope)
            case syntax.Negation():
                return -self.expression(node.operand, scope)
            case syntax.Sum():
                first, *rest = (self.expression(o, scope) for o in node.operands)
                signed = (-e if minus else e for minus, e in zip(node.subtracts, rest, strict=True))
                return sympy.Add(first, *signed)
            case syntax.Product():
                first, *rest = (self.expression(o, scope) for o in node.operands)
                factors = [first]
                for divides, operand, factor in zip(
                    node.divides, node.operands[1:], rest, strict=True
                ):
                    if divides and factor.is_zero:
                        fact = "this divides by zero"
                        raise _Refused(
                            self.diagnostic(operand, fact, "the denominator is 0 in every table")
                        )
                    factors.append(1 / factor if divides else factor)
                return sympy.Mul(*factors)
            case syntax.Power():
                base = self.expression(node.base, scope)
                return self.power(node, base, self.expression(node.exponent, scope))
            case syntax.Call() if node.function in FUNCTIONS:
                arguments = [self.expression(a.value, scope) for a in node.arguments]
                row = FUNCTIONS[node.function]
                if not row.least <= len(arguments) <= row.most:
                    return sympy.Dummy()  # reported
                if node.function == "exp" and arguments[0].has(sympy.exp):
                    hint = "its values leave every floating-point range"
                    fact = "an exponential of an exponential"
                    raise _Refused(self.diagnostic(node, fact, hint, "MC0304"))
                return _applied(node.function, arguments)
            case syntax.Conditional():
                then = self.expression(node.then, scope)
                otherwise = self.expression(node.otherwise, scope)
                return self.conditional(node.condition, then, otherwise, scope)
            case syntax.Call():
                return self.call(node, scope)
        raise AssertionError(node)

    def power(self, node: syntax.Power, base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
        """A power within the limits on exponents and on the numbers that it computes."""
        small = "write a smaller power"
        if exponent.is_Rational and max(abs(exponent.p), exponent.q) > MAX_EXPONENT:
            fact = f"the exponent is above {MAX_EXPONENT}"
            if not exponent.is_Integer:
                fact = f"a part of the exponent's fraction exceeds {MAX_EXPONENT}"
            raise _Refused(self.diagnostic(node.exponent, fact, small, "MC0405"))
        if base.is_zero and not exponent.is_positive:
            fact = "this divides by zero"
            raise _Refused(self.diagnostic(node, fact, "0 has no such power"))
        cells = (*CELLS, *(cell for column in self.columns for cell in cells_of(column)))
        varying = {*map(sympy.Symbol, cells), *(t.symbol for t in self.terms.values())}
        if exponent.free_symbols & varying:
            fact = "the exponent depends on the counts"
            hint = "an exponent is made of numbers and parameters; exp(y*log(x)) is x^y"
            raise _Refused(self.diagnostic(node.exponent, fact, hint, "MC0304"))
        fact = f"the power holds a number of more than {MAX_DIGITS} digits"
        too_long = _Refused(self.diagnostic(node, fact, small, "MC0408"))
        numeric = base.is_Rational and exponent.is_Rational
        if numeric and max(abs(base.p), base.q).bit_length() * abs(exponent) > 3.4 * MAX_DIGITS:
            raise too_long
        result = sympy.Pow(base, exponent)
        numbers = (max(abs(r.p), r.q) for r in result.atoms(sympy.Rational))
        if max((int(n).bit_length() for n in numbers), default=0) > 3.4 * MAX_DIGITS:
            raise too_long
        if result.is_Pow and result.exp.is_Rational and abs(result.exp) > MAX_EXPONENT:
            fact = f"the powers multiply to one above {MAX_EXPONENT}"
            raise _Refused(self.diagnostic(node, fact, small, "MC0405"))
        return result

    def conditional(
        self,
        condition: syntax.Expression,
        then: sympy.Expr,
        otherwise: sympy.Expr,
        scope: Mapping[str, sympy.Expr],
    ) -> sympy.Expr:
        """A condition as nested choices by one comparison, `left < right`, each."""
        match condition:
            case syntax.Logic(operator="not"):
                return self.conditional(condition.operands[0], otherwise, then, scope)
            case syntax.Logic():
                result = then if condition.operator == "and" else otherwise
                for operand in reversed(condition.operands):
                    pair = (result, otherwise) if condition.operator == "and" else (then, result)
                    result = self.conditional(operand, *pair, scope)
                return result
            case syntax.Comparison():
                left = self.expression(condition.left, scope)
                right = self.expression(condition.right, scope)
                match condition.operator:
                    case "<":
                        return self.less(left, right, then, otherwise)
                    case ">":
                        return self.less(right, left, then, otherwise)
                    case "<=":
                        return self.less(right, left, otherwise, then)
                    case ">=":
                        return self.less(left, right, otherwise, then)
                if condition.operator == "!=":
                    then, otherwise = otherwise, then
                above = self.less(right, left, otherwise, then)
                return self.less(left, right, otherwise, above)
        raise AssertionError(condition)

    def less(
        self, left: sympy.Expr, right: sympy.Expr, then: sympy.Expr, otherwise: sympy.Expr
    ) -> sympy.Expr:
        """`then` where left < right; counts are never below 0."""
        if right == 0 and sign_of(left, self.nonnegative) in (0, 1):
            return otherwise
        return Select(left, right, then, otherwise)

    def call(self, node: syntax.Call, scope: Mapping[str, sympy.Expr]) -> sympy.Expr:
        arguments = tuple(self.expression(a.value, scope) for a in node.arguments)
        definition = self.definitions.get(node.function)
        if definition is None or len(definition.parameters) != len(arguments):
            return sympy.Dummy()  # unknown, or called wrongly: reported
        column = "" if self.inside is None else self.inside.column
        key = definition.name, self.around is not None, column, arguments
        if key not in self.inlined:
            inner = _cells(column)
            inner |= dict(zip((p.name for p in definition.parameters), arguments, strict=True))
            self.inlined[key] = self.expression(definition.body, inner)
        return self.inlined[key]

    def indexed(self, node: syntax.Indexed, scope: Mapping[str, sympy.Expr]) -> sympy.Expr:
        """The operand on the table in which each sample counts `weight * column`.

        An argument of a definition around it is a number, which stays as it is.
        """
        if self.inside is not None:
            fact = f"`{self.inside}` holds another column, `{node.column}`".replace("()", "")
            hint = "write the column where the counts are: TP[amount]/P[price]"
            raise _Refused(self.diagnostic(self.inside, fact, hint, "MC0217"))
        if self.around is not None:
            fact = f"`{self.around.function}` holds a column, `{node.column}`"
            raise _Refused(self.diagnostic(self.around, fact, REDUCED, "MC0218"))
        parameter = isinstance(node.operand, syntax.Name) and node.operand.id not in _cells("")
        if parameter and str(node.operand) in scope:
            return sympy.Dummy()  # reported
        self.inside = node
        self.columns.setdefault(node.column)
        if len(self.columns) > MAX_COLUMNS:
            fact = f"the formula has more than {MAX_COLUMNS} columns"
            raise _Refused(self.diagnostic(node, fact, "make one of two of them", "MC0412"))
        try:
            expression = self.expression(node.operand, {**scope, **_cells(node.column)})
        finally:
            self.inside = None
        own = set(cells_of(node.column))
        unread = expression.atoms(sympy.Dummy)  # has an error already
        if not unread and not own & {s.name for s in expression.free_symbols}:
            fact = f"`{node.operand}` counts nothing, and `{node.column}` changes nothing in it"
            fact = fact.replace("()", "")
            hint = f"leave `[{node.column}]` out"
            raise _Refused(self.diagnostic(node, fact, hint, "MC0217"))
        return expression

    # -- reductions and element losses ---------------------------------------------------------

    def reduction(self, node: syntax.Call, scope: Mapping[str, sympy.Expr]) -> sympy.Expr:
        """A term of its own; in a binary task, what the reduction is of the two classes."""
        if self.inside is not None:
            fact = f"`{self.inside}` holds a reduction, `{node.function}`".replace("()", "")
            raise _Refused(self.diagnostic(self.inside, fact, REDUCED, "MC0218"))
        if len(node.arguments) != 1:
            return sympy.Dummy()  # reported
        if self.around is not None:
            fact = f"`{self.around.function}` holds another reduction, `{node.function}`"
            hint = "reduce once: one number a table goes in, one number comes out"
            raise _Refused(self.diagnostic(self.around, fact, hint, "MC0213"))
        self.around = node
        try:
            expression = self.expression(node.arguments[0].value, scope)
        finally:
            self.around = None
        if self.task == "binary" and node.function != "samples":
            return _of_both_classes(node.function, expression)
        return self.term("cells", node.function, expression, "r1")

    def element(self, node: syntax.Call, scope: Mapping[str, sympy.Expr]) -> sympy.Expr:
        if self.inside is not None:
            fact = f"`{node.function}` is a mean over all elements and has no column"
            hint = f"write it outside: 0.5*{node.function} + 0.5*(1 - recall[amount])"
            raise _Refused(self.diagnostic(self.inside, fact, hint, "MC0217"))
        if self.around is not None:
            fact = f"`{node.function}` is a mean over all elements and stands inside a reduction"
            hint = f"write it outside: 0.5*{node.function} + 0.5*(1 - macro(f1))"
            raise _Refused(self.diagnostic(self.around, fact, hint, "MC0213"))
        arguments = [self.expression(a.value, scope) for a in node.arguments]
        counts = {*CELLS, *(cell for column in self.columns for cell in cells_of(column))}
        if any(s.name in counts for a in arguments for s in a.free_symbols):
            fact = f"an argument of `{node.function}` depends on the counts"
            raise _Refused(self.diagnostic(node, fact, "write a number or a parameter", "MC0202"))
        if any(sign_of(argument, self.nonnegative) not in (0, 1) for argument in arguments):
            fact = f"an argument of `{node.function}` may be negative"
            hint = (
                "write a number of at least 0, or a parameter with a range: gamma = 2 in [0, inf)"
            )
            raise _Refused(self.diagnostic(node, fact, hint, "MC0202"))
        loss = sympy.Function(node.function)(*arguments)
        return self.term("element", "identity", loss, node.function)

    def term(
        self, kind: Literal["cells", "element"], reduction: str, expression: sympy.Expr, name: str
    ) -> sympy.Symbol:
        """The symbol of a term, the same one for the same term."""
        key = reduction, expression
        if key not in self.terms:
            taken = self.taken | {t.symbol.name for t in self.terms.values()}
            stem, index = name.rstrip("1"), 1 if name.endswith("1") else 2
            while name in taken:
                name, index = f"{stem}{index}", index + 1
            self.terms[key] = ir.Term(sympy.Symbol(name), kind, reduction, expression)
        return self.terms[key].symbol

    def check_reductions(self, outer: sympy.Expr) -> None:
        """Note reductions that do not go together, and cells that stand beside them."""
        used = {t.reduction for t in self.terms.values() if t.kind == "cells"}
        body = self.text.definitions[-1].body
        alone = sorted(used & {"per_class", "samples"})
        if alone and len(used) > 1:
            other = min(used - {alone[0]})
            fact = f"`{alone[0]}` and `{other}` average over different things"
            hint = "write one of the two, or make two losses and add them"
            self.errors.append(self.diagnostic(body, fact, hint, "MC0214"))
        elif "per_class" in used and any(t.kind == "element" for t in self.terms.values()):
            fact = "a loss for each class stands beside a mean over all elements"
            hint = "use macro(...) in place of per_class(...), or add two losses"
            self.errors.append(self.diagnostic(body, fact, hint, "MC0214"))
        elif used and self.columns:
            fact = f"a column stands beside `{min(used)}`"
            self.errors.append(self.diagnostic(body, fact, REDUCED, "MC0218"))
        elif used and any(s.name in CELLS for s in outer.free_symbols):
            fact = "counts of one class stand beside a reduction"
            example = min(used)
            hint = f"put every metric under one: {example}(f1) + {example}(TPR)"
            self.errors.append(self.diagnostic(body, fact, hint, "MC0214"))

    def diagnostic(
        self, node: syntax.Expression, message: str, hint: str, code: str = "MC0301"
    ) -> Diagnostic:
        return Diagnostic(code, message, node.span, hint, self.text.source, self.text.origin)


def _cells(column: str) -> dict[str, sympy.Expr]:
    """What the names of the cells mean: the cells of a column, or ("") the plain ones."""
    names = cells_of(column) if column else CELLS
    return dict(zip(CELLS, map(sympy.Symbol, names), strict=True))


class _Refused(Exception):
    """A part of the formula with an error."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


def _of_both_classes(reduction: str, first: sympy.Expr) -> sympy.Expr:
    """A reduction in a binary task: the second class is the first with its cells swapped."""
    TP, FN, FP, TN = map(sympy.Symbol, CELLS)
    second = first.xreplace({TP: TN, FN: FP, FP: FN, TN: TP})
    match reduction:
        case "macro":
            return (first + second) / 2
        case "micro":
            return first.xreplace({TP: TP + TN, FN: FN + FP, FP: FN + FP, TN: TP + TN})
        case "weighted":
            return ((TP + FN) * first + (FP + TN) * second) / (TP + FN + FP + TN)
        case "sum":
            return first + second
        case "worst":
            return sympy.Min(first, second)
        case "geomean":
            return sympy.sqrt(first * second)
    return sympy.Dummy()  # per_class: reported


def _applied(function: str, arguments: list[sympy.Expr]) -> sympy.Expr:
    """A function of the language on SymPy arguments."""
    count = sympy.Integer(len(arguments))
    match function:
        case "abs":
            return sympy.Max(arguments[0], -arguments[0])
        case "clip":
            value, least, most = arguments
            return sympy.Min(sympy.Max(value, least), most)
        case "mean":
            return sympy.Add(*arguments) / count
        case "geometric_mean":
            return sympy.Mul(*arguments) ** (1 / count)
        case "harmonic_mean":  # in lowest terms: 0, not 1/0, where an argument is 0
            others = (sympy.Mul(*arguments[:i], *arguments[i + 1 :]) for i in range(len(arguments)))
            return count * sympy.Mul(*arguments) / sympy.Add(*others)
    return getattr(sympy, FUNCTIONS[function].sympy)(*arguments)
