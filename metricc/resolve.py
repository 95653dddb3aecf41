"""Syntax tree → syntax tree in which every name is settled.

Afterwards the text is definitions only, each before its first use, and the last one is the
metric; its parameters are the metric's own. A `Name` is a cell or a parameter of the definition
around it; a `Call` is a function of the language or a definition with all its arguments, by
position. Every semantic error of the text is found here, all at once.
"""

from __future__ import annotations

import builtins
import difflib
import keyword
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from metricc import syntax
from metricc.errors import MAX_DIAGNOSTICS, Diagnostic, MetriccError, Span
from metricc.functions import (
    CELLS,
    ELEMENTS,
    FUNCTIONS,
    GENERATED_NAMES,
    MODULE_ATTRIBUTES,
    NEEDS_PAIRS,
    REDUCTIONS,
    RESERVED,
    SIGNATURE_WORDS,
)
from metricc.remarks import remarks
from metricc.spelling import names_data, suggestion

# Work that inlining may cost, counted without inlining: operators and nesting.
MAX_OPERATORS = 4_000
MAX_DEFINITIONS = 100
MAX_FUNCTIONS = 6  # functions inside functions
MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """What a text imports: definitions by name, and for each imported definition (by identity)
    the names of its own file."""

    names: Mapping[str, syntax.Definition] = field(default_factory=dict)
    homes: Mapping[int, Mapping[str, syntax.Definition]] = field(default_factory=dict)


NOTHING = Imported()


def resolve(
    text: syntax.Text,
    library: Mapping[str, syntax.Definition],
    imported: Imported = NOTHING,
    task: str = "binary",
) -> syntax.Text:
    """Settle every name of `text`, taking what it does not define from `imported`, then `library`.

    Raises `MetriccError` with every error of the text, those of its syntax included.
    """
    return settle(text, library, imported, task).checked()


def settle(
    text: syntax.Text,
    library: Mapping[str, syntax.Definition],
    imported: Imported = NOTHING,
    task: str = "binary",
) -> syntax.Text:
    """Settle what can be settled; the errors are the result's `diagnostics`, after the text's own.

    `task` says which reductions and element losses there are.

    Raises `MetriccError` for a text above a limit.
    """
    if len(text.definitions) > MAX_DEFINITIONS:
        place = text.definitions[MAX_DEFINITIONS].name_span
        fact = (
            f"the text has {len(text.definitions)} definitions; at most {MAX_DEFINITIONS} are read"
        )
        hint = "write some of them into others"
        raise MetriccError(Diagnostic("MC0403", fact, place, hint, text.source, text.origin))
    scope = _Scope(text, library, imported, task)
    main = scope.main()
    scope.check_definitions()
    scope.visit(main)
    scope.check_columns(main)
    scope.check_unused(main)
    ordered = scope.ordered(main)
    if not scope.diagnostics:
        scope.check_size(ordered)
    found = (*text.diagnostics, *scope.diagnostics)
    found = found or remarks(text)  # a wrong text is not remarked on
    return syntax.Text(ordered, None, (), (), text.source, text.origin, found, text.broken)


def check_collection(
    text: syntax.Text, library: Mapping[str, syntax.Definition], imported: Imported
) -> None:
    """Raise `MetriccError` with every semantic error of a file of definitions."""
    scope = _Scope(text, library, imported)
    scope.check_definitions()
    if scope.diagnostics:
        raise MetriccError(*scope.diagnostics)


def parameter_problems(
    definition: syntax.Definition, allowed: frozenset[str] = frozenset()
) -> list[tuple[str, str, Span, str]]:
    """What is wrong with a head's parameters: code, fact, place and hint of each.

    `allowed` are words of the generated signature that the head may have after all.
    """
    found: list[tuple[str, str, Span, str]] = []
    seen: set[str] = set()
    taken = (SIGNATURE_WORDS - allowed) | GENERATED_NAMES
    for parameter in definition.parameters:
        name, span = parameter.name, parameter.span
        other = f"choose another name, such as `{name}_` or `{name}_weight`"
        if name in seen:
            found.append(("MC0205", f"the parameter `{name}` stands twice", span, "rename one"))
        elif name in CELLS:
            found.append(("MC0206", f"the parameter `{name}` hides a cell", span, other))
        elif name in taken or hasattr(builtins, name):
            fact = f"`{name}` is already an argument or a name of the generated file"
            found.append(("MC0207", fact, span, other))
        elif name in MODULE_ATTRIBUTES:
            fact = f"`{name}` is an attribute of torch.nn.Module"
            found.append(("MC0207", fact, span, other))
        elif keyword.iskeyword(name):
            found.append(("MC0207", f"`{name}` is a Python keyword", span, other))
        if (
            parameter.default is not None
            and parameter.interval is not None
            and parameter.default not in parameter.interval
        ):
            shown = syntax.decimal(parameter.default)
            fact = f"the default {shown} lies outside {parameter.interval}"
            found.append(("MC0210", fact, span, "change the default or the range"))
        seen.add(name)
    return found


def column_problem(name: str) -> tuple[str, str] | None:
    """Why a name cannot be a column's, whatever the text defines: fact and hint; None if it can."""
    other = f"choose another name, such as `{name}_` or `{name}_column`"
    if name in CELLS:
        return f"`{name}` is a cell, and a column is data beside the labels", other
    if name in ELEMENTS:
        return f"`{name}` is {ELEMENTS[name].says}", other
    if name.startswith(tuple(f"{cell}_" for cell in CELLS)):
        return f"`{name}` is named like the count of a column", "choose another name"
    if name in SIGNATURE_WORDS | GENERATED_NAMES or hasattr(builtins, name):
        return f"`{name}` is already an argument or a name of the generated file", other
    return (f"`{name}` is a Python keyword", other) if keyword.iskeyword(name) else None


@dataclass(slots=True)
class _Scope:
    text: syntax.Text
    library: Mapping[str, syntax.Definition]
    imported: Imported
    task: str = ""
    own: dict[str, syntax.Definition] = field(default_factory=dict)
    anonymous: syntax.Definition | None = None
    resolved: dict[int, syntax.Definition] = field(default_factory=dict)
    uses: dict[int, list[syntax.Definition]] = field(default_factory=dict)
    open: list[int] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def __post_init__(self) -> None:
        for definition in self.text.definitions:
            self.own.setdefault(definition.name, definition)

    def report(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        if not any(d.span == span and d.code == code for d in self.diagnostics):
            self.diagnostics.append(
                Diagnostic(code, message, span, hint, self.text.source, self.text.origin)
            )
        if len(self.diagnostics) == MAX_DIAGNOSTICS:
            raise MetriccError(*self.diagnostics)

    def main(self) -> syntax.Definition:
        """The metric as a definition: the last one, a named library metric, or the expression."""
        metric = self.text.metric
        if metric is None and self.text.definitions:
            return self.text.definitions[-1]
        if metric is None:  # the text's only statement has errors
            metric = syntax.Metric(syntax.Name("TP"))
        if isinstance(metric.body, syntax.Name) and metric.body.id not in CELLS:
            named = self.find(metric.body.id)
            if named is not None:
                return named
        name = "metric"
        while name in self.own:
            name += "_"
        self.anonymous = syntax.Definition(name, (), metric.body, span=metric.span)
        return self.anonymous

    def from_text(self, definition: syntax.Definition) -> bool:
        """Whether a definition, or the metric itself, stands in this text."""
        return definition is self.anonymous or any(definition is d for d in self.text.definitions)

    def find(self, name: str) -> syntax.Definition | None:
        return self.own.get(name) or self.imported.names.get(name) or self.library.get(name)

    # -- the text's own definitions -----------------------------------------------------------

    def check_definitions(self) -> None:
        for definition in self.text.definitions:
            name, span = definition.name, definition.name_span
            if name in CELLS:
                hint = "cells keep their meaning; choose another name"
                self.report("MC0206", f"`{name}` is a cell and cannot be defined", span, hint)
            elif name in ELEMENTS:
                fact = f"`{name}` is {ELEMENTS[name].says} and cannot be defined"
                self.report("MC0206", fact, span, "choose another name")
            elif self.own[name] is not definition:
                hint = "rename one of the two"
                self.report("MC0205", f"`{name}` is defined twice", span, hint)
            self.check_parameters(definition)
        for definition in self.text.definitions:
            self.visit(definition)

    def check_parameters(self, definition: syntax.Definition) -> None:
        for problem in parameter_problems(definition):
            self.report(*problem)

    def check_unused(self, main: syntax.Definition) -> None:
        if self.diagnostics or self.text.diagnostics:
            return  # an unused definition is then likely only a consequence
        reached, stack = set[int](), [main]
        while stack:
            top = stack.pop()
            if id(top) not in reached:
                reached.add(id(top))
                stack += self.uses.get(id(top), [])
        for definition in self.text.definitions:
            if id(definition) not in reached:
                fact = f"nothing uses `{definition.name}`"
                hint = "remove it, or use it in the metric (the text's last statement)"
                # `recal = ...` beside `recall` of the library is a misspelling.
                borrowed = [
                    d.name for ds in self.uses.values() for d in ds if d.name not in self.own
                ]
                if close := difflib.get_close_matches(definition.name, borrowed, n=1):
                    hint = f"the metric uses `{close[0]}`: is one of the two misspelt?"
                self.report("MC0208", fact, definition.name_span, hint)

    # -- bodies -------------------------------------------------------------------------------

    def visit(self, definition: syntax.Definition) -> None:
        """Resolve a definition and, through it, all that it uses."""
        if id(definition) in self.resolved or id(definition) in self.open:
            return
        self.open.append(id(definition))
        self.uses[id(definition)] = []
        body = self.expression(definition.body, definition)
        self.open.pop()
        self.resolved[id(definition)] = replace(definition, body=body)

    def expression(self, node: syntax.Expression, around: syntax.Definition) -> syntax.Expression:
        match node:
            case syntax.Name():
                return self.name(node, around)
            case syntax.Call():
                return self.call(node, around)
            case syntax.Indexed():
                return self.indexed(node, around)
            case _:
                return syntax.rebuilt(node, lambda child: self.expression(child, around))

    def name(self, node: syntax.Name, around: syntax.Definition) -> syntax.Expression:
        if node.id in CELLS or any(p.name == node.id for p in around.parameters):
            return node
        if node.id in REDUCTIONS:
            fact = f"`{node.id}` is {REDUCTIONS[node.id]} of a metric"
            self.report("MC0202", fact, node.span, f"write {node.id}(f1)")
            return node
        if node.id in ELEMENTS:
            return self.element(syntax.Call(node.id, (), node.span), around)
        if node.id in FUNCTIONS:
            hint = f"functions are called: {node.id}(...)"
            self.report("MC0202", f"`{node.id}` is a function", node.span, hint)
            return node
        definition = self.lookup(node.id, node.span, around)
        return node if definition is None else self.use(definition, (), node.span, around)

    def indexed(self, node: syntax.Indexed, around: syntax.Definition) -> syntax.Expression:
        """`operand[column]`: the column's name is free, and the task has one table."""
        column, parameters = node.column, {p.name for p in around.parameters}
        self.columns[column] = None
        inner = replace(node, operand=self.expression(node.operand, around))
        if not self.from_text(around):
            return inner  # it was checked in its own file
        problem = column_problem(column)
        if column in parameters:
            problem = f"`{column}` is a parameter, and a column is data", "choose another name"
        elif problem is None and self.find(column) is not None:
            problem = f"`{column}` is a metric, and a column is data", "choose another name"
        if problem is not None:
            self.report("MC0216", problem[0], node.column_span, problem[1])
        if self.task not in ("", "binary"):
            fact = f"`{node}`: columns are for binary tasks, and this one is {self.task}"
            hint = "leave the column out, or pass it as `weight` to the loss"
            self.report("MC0218", fact, node.span, hint)
        if isinstance(node.operand, syntax.Name) and node.operand.id in parameters:
            fact = f"`{node.operand}` is a parameter and counts nothing"
            hint = f"leave `[{column}]` out, or put it where the counts are: TP[{column}]"
            self.report("MC0217", fact, node.span, hint)
        return inner

    def check_columns(self, main: syntax.Definition) -> None:
        """Report parameters of the metric that are named like a column or like its counts, and
        columns that a metric of the library brings into a task with classes."""
        if self.columns and self.task not in ("", "binary"):
            span = self.text.metric.span if self.text.metric is not None else main.name_span
            if not any(d.code == "MC0218" for d in self.diagnostics):
                fact = f"the column `{min(self.columns)}` is for binary tasks, not {self.task}"
                self.report("MC0218", fact, span, "compile for a binary task, class by class")
        for parameter in main.parameters:
            for column in self.columns:
                counts = {f"{cell}_{column}" for cell in CELLS}
                if parameter.name in counts or parameter.name == column:
                    what = "the column" if parameter.name == column else "a count of the column"
                    fact = f"the parameter `{parameter.name}` is named like {what} `{column}`"
                    self.report("MC0216", fact, parameter.span, "rename one of the two")

    def call(self, node: syntax.Call, around: syntax.Definition) -> syntax.Expression:
        name = node.function
        if name in REDUCTIONS:
            return self.reduction(node, around)
        if name in ELEMENTS:
            return self.element(node, around)
        if name in FUNCTIONS:
            return self.function(node, around)
        if name in CELLS or any(p.name == name for p in around.parameters):
            kind = "a cell" if name in CELLS else "a parameter"
            hint = f"is a `*` missing here? write {name}*(...)"
            self.report("MC0202", f"`{name}` is {kind} and takes no arguments", node.span, hint)
            return node
        if name in RESERVED:
            self.report("MC0105", f"`{name}` is a reserved word", node.span, "choose another name")
            return node
        span = Span(node.span.start, node.span.start + len(name))
        definition = self.lookup(name, span, around)
        given = [a.value.id for a in node.arguments if isinstance(a.value, syntax.Name)]
        if given and len(given) == len(node.arguments) and all(map(names_data, given)):
            if definition is not None:  # else the name is reported, and the rest follows from it
                hint = f"write {name}; labels go to m.score({', '.join(given)})"
                self.report("MC0202", f"`{name}` is not called with data", node.span, hint)
            return node
        arguments = tuple(
            replace(a, value=self.expression(a.value, around)) for a in node.arguments
        )
        if definition is None:
            return node
        return self.use(definition, arguments, node.span, around)

    def reduction(self, node: syntax.Call, around: syntax.Definition) -> syntax.Expression:
        """`macro(expression)` and the like, of one argument."""
        name = node.function
        if len(node.arguments) != 1 or node.arguments[0].name is not None:
            hint = "add with `+`: a + b" if name == "sum" else f"write {name}(f1)"
            fact = f"`{name}` takes one metric: it is {REDUCTIONS[name]}"
            self.report("MC0202", fact, node.span, hint)
        elif name == "per_class" and self.task == "binary":
            hint = "leave `per_class` out, or compile for multilabel or multiclass (--task)"
            self.report("MC0209", "a binary task has one table, not one a class", node.span, hint)
        return replace(
            node,
            arguments=tuple(
                replace(a, name=None, value=self.expression(a.value, around))
                for a in node.arguments
            ),
        )

    def element(self, node: syntax.Call, around: syntax.Definition) -> syntax.Expression:
        """An element loss with all its arguments; a name where it has none."""
        row = ELEMENTS[node.function]
        if self.task and self.task not in row.tasks:
            other = "ce" if row.name == "bce" else "bce"
            fact = f"`{row.name}` is {row.says}, which a {self.task} task does not have"
            self.report("MC0209", fact, node.span, f"write {other}")
        names = [name for name, _ in row.arguments]
        values = dict(row.arguments)
        given: dict[str, syntax.Expression] = {
            name: syntax.Number(Fraction(default), span=node.span)
            for name, default in values.items()
        }
        for position, argument in enumerate(node.arguments):
            name = argument.name or (names[position] if position < len(names) else "")
            if name not in given:
                takes = f"takes {names[0]} alone" if names else "takes no arguments"
                self.report("MC0202", f"`{row.name}` {takes}", argument.span, f"write {row.name}")
                continue
            given[name] = self.expression(argument.value, around)
        if not names:
            return syntax.Name(row.name, node.span)
        arguments = (syntax.Argument(None, value, node.span) for value in given.values())
        return syntax.Call(row.name, tuple(arguments), node.span)

    def function(self, node: syntax.Call, around: syntax.Definition) -> syntax.Expression:
        row = FUNCTIONS[node.function]
        count = len(node.arguments)
        if not row.least <= count <= row.most:
            wanted = f"{row.least}" if row.most == row.least else f"{row.least} to {row.most}"
            plural = "argument" if wanted == "1" else "arguments"
            fact = f"`{row.name}` takes {wanted} {plural}, not {count}"
            self.report("MC0202", fact, node.span, f"write {row.name}(...) with {wanted} {plural}")
        for argument in node.arguments:
            if argument.name is not None:
                hint = f"leave `{argument.name} =` out"
                fact = f"`{row.name}` takes its arguments by position"
                self.report("MC0202", fact, argument.span, hint)
        return replace(
            node,
            arguments=tuple(
                replace(a, name=None, value=self.expression(a.value, around))
                for a in node.arguments
            ),
        )

    def lookup(self, name: str, span: Span, around: syntax.Definition) -> syntax.Definition | None:
        # A definition of a library or another file means the names there, whatever this text hides.
        home = self.imported.homes.get(id(around), {})
        own = self.from_text(around)
        definition = self.find(name) if own else home.get(name) or self.library.get(name)
        # What a statement with errors may define, or import, is not unknown.
        if definition is None and not self.text.broken & {name, "import"}:
            parameters = [p.name for p in around.parameters]
            others = [*self.own, *self.imported.names]
            known = [
                *CELLS,
                *parameters,
                *others,
                *FUNCTIONS,
                *REDUCTIONS,
                *ELEMENTS,
                *self.library,
            ]
            if name.lower() in NEEDS_PAIRS:
                fact = f"`{name}` needs the counts of single pairs of classes"
                hint = "formulas are over one-vs-rest counts: cohen_kappa, or multiclass_kappa"
                self.report("MC0215", fact, span, hint)
            else:
                self.report("MC0201", f"`{name}` is not known", span, suggestion(name, known))
        return definition

    def use(
        self,
        definition: syntax.Definition,
        arguments: tuple[syntax.Argument, ...],
        span: Span,
        around: syntax.Definition,
    ) -> syntax.Expression:
        """A call of `definition` with every argument settled and in the head's order."""
        if id(definition) in self.open:
            hint = "a definition may only use others, never itself"
            self.report("MC0204", f"`{definition.name}` is defined through itself", span, hint)
            return syntax.Number(Fraction(1), span=span)
        self.visit(definition)
        self.uses[id(around)].append(definition)
        names = [p.name for p in definition.parameters]
        given: dict[str, syntax.Expression] = {}
        head = ", ".join(map(str, definition.parameters))
        signature = f"{definition.name}({head})" if head else definition.name
        extra = [a for a in arguments[len(names) :] if a.name is None]
        if extra:
            fact = f"`{definition.name}` takes {len(names) or 'no'} argument"
            fact += "s" if len(names) != 1 else ""
            hint = f"its head is {signature}"
            if not names:
                hint = f"write {definition.name}: it reads the cells TP FN FP TN by itself"
            self.report("MC0202", fact, Span(extra[0].span.start, extra[-1].span.end), hint)
        for position, argument in enumerate(arguments):
            if argument in extra:
                continue
            name = names[position] if argument.name is None else argument.name
            if name not in names:
                fact = f"`{definition.name}` has no parameter `{name}`"
                self.report("MC0202", fact, argument.span, f"its head is {signature}")
            elif name in given:
                fact = f"`{name}` is given twice"
                self.report("MC0202", fact, argument.span, f"its head is {signature}")
            else:
                given[name] = argument.value
        values = []
        for parameter in definition.parameters:
            value = given.get(parameter.name)
            if value is None and parameter.default is not None:
                value = syntax.Number(parameter.default, span=span)
            if value is None:
                fact = f"`{definition.name}` needs a value for `{parameter.name}`"
                hint = f"write {definition.name}({', '.join(f'{n} = ...' for n in names)})"
                self.report("MC0203", fact, span, hint)
                value = syntax.Number(Fraction(1), span=span)
            number = syntax.constant(value)
            if (
                number is not None
                and parameter.interval is not None
                and number not in parameter.interval
            ):
                shown = syntax.decimal(number)
                fact = f"{parameter.name} = {shown} lies outside {parameter.interval}"
                self.report("MC0202", fact, value.span, f"choose a value in {parameter.interval}")
            values.append(syntax.Argument(None, value, span))
        # The callee is named by identity until `ordered` gives every definition its final name.
        return syntax.Call(f"{definition.name}@{id(definition)}", tuple(values), span)

    # -- the result ---------------------------------------------------------------------------

    def ordered(self, main: syntax.Definition) -> tuple[syntax.Definition, ...]:
        """What `main` needs, each definition once, before its first use, under a unique name."""
        order: list[syntax.Definition] = []
        done: set[int] = set()
        stack: list[tuple[syntax.Definition, Iterator[syntax.Definition]]] = [
            (main, iter(self.uses[id(main)]))
        ]
        while stack:
            top, pending = stack[-1]
            following = next((d for d in pending if id(d) not in done), None)
            if following is not None:
                stack.append((following, iter(self.uses[id(following)])))
                continue
            stack.pop()
            if id(top) not in done:
                done.add(id(top))
                order.append(top)
        names: dict[str, str] = {}
        taken = {d.name for d in order if self.own.get(d.name) is d}
        for definition in order:
            final = definition.name
            kind = "imported" if id(definition) in self.imported.homes else "library"
            mine = self.own.get(definition.name) is definition or definition is self.anonymous
            while not mine and (final in taken or final in names.values()):
                final = f"{kind}_{final}"
            names[f"{definition.name}@{id(definition)}"] = final
        return tuple(
            replace(
                self.resolved[id(d)],
                name=names[f"{d.name}@{id(d)}"],
                body=_renamed(self.resolved[id(d)].body, names),
            )
            for d in order
        )

    def check_size(self, ordered: tuple[syntax.Definition, ...]) -> None:
        """Refuse what would be too large inlined, counting without inlining."""
        operators: dict[str, int] = {}
        depths: dict[str, int] = {}
        nests: dict[str, int] = {}
        uses: dict[str, list[int]] = {}  # how often each parameter stands in the body
        for definition in ordered:
            count, depth, nest = 0, 0, 0
            names: Counter[str] = Counter()
            stack: list[tuple[syntax.Expression, int, int, int]] = [(definition.body, 1, 0, 1)]
            while stack:
                node, level, inner, times = stack.pop()
                children = syntax.children(node)
                repeated = [1] * len(children)
                if isinstance(node, syntax.Call) and node.function in operators:
                    count += times * operators[node.function]
                    # Arguments may stand at the callee's deepest place.
                    level += depths[node.function]
                    inner += nests[node.function]
                    repeated = uses[node.function]
                else:
                    if isinstance(node, syntax.Name):
                        names[node.id] += times
                    elif isinstance(node, syntax.Call):
                        inner += 1
                        # abs(x) is max(x, -x), and each argument of a mean like this stands in all.
                        copies = {"abs": 2, "harmonic_mean": len(children)}.get(node.function, 1)
                        repeated = [copies] * len(children)
                    count += times * (max(0, len(children) - 1) or 1)
                depth, nest = max(depth, level), max(nest, inner)
                stack += [
                    (child, level + 1, inner, times * more)
                    for child, more in zip(children, repeated, strict=True)
                ]
            uses[definition.name] = [names[p.name] for p in definition.parameters]
            operators[definition.name], depths[definition.name] = count, depth
            nests[definition.name] = nest
            span = definition.span if definition.span.end <= len(self.text.source) else None
            name = definition.name
            for code, amount, limit, what in (
                ("MC0406", count, 2 * MAX_OPERATORS, "operators and operands"),
                ("MC0402", depth, MAX_DEPTH, "levels of nesting"),
                ("MC0407", nest, MAX_FUNCTIONS, "functions inside each other"),
            ):
                if amount > limit:
                    fact = f"`{name}` has {amount:,} {what} written out; at most {limit:,} are read"
                    hint = "shorten the formula"
                    source, origin = self.text.source, self.text.origin
                    raise MetriccError(Diagnostic(code, fact, span, hint, source, origin))


def _renamed(node: syntax.Expression, names: Mapping[str, str]) -> syntax.Expression:
    node = syntax.rebuilt(node, lambda child: _renamed(child, names))
    if isinstance(node, syntax.Call):
        return replace(node, function=names.get(node.function, node.function))
    return node
