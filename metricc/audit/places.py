"""Where in the user's text a fact about the metric stands: parts of formulas, with their offsets.

A text that is a library metric's name has its parts in the library's own definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import sympy

from metricc import ir, library, syntax
from metricc.algebra import Field, product_of
from metricc.audit.singular_faces import Faces
from metricc.audit.singular_parts import ZERO
from metricc.audit.singular_sets import variables_of
from metricc.errors import MetriccError
from metricc.factoring import TooLarge
from metricc.functions import CELLS, ELEMENTS, REDUCTIONS
from metricc.lower import Lowering
from metricc.signs import parts_of


def whole(metric: ir.Metric) -> ir.Place | None:
    """The metric's definition: the user's formula, or the library's; None for imported ones."""
    main = metric.text.definitions[-1]
    return _place(metric, main, main.body)


def of(metric: ir.Metric, factor: sympy.Expr) -> ir.Place | None:
    """The smallest part of the metric's definition with this factor in a denominator, a root or the
    argument of a logarithm, in lowest terms; the whole definition where no part alone has it.
    """
    return smallest(metric, lambda part: factor in _below(part, metric.nonnegative))


def at(metric: ir.Metric, cells: tuple[str, ...]) -> ir.Place | None:
    """The smallest part that has no value where these cells are 0, and no fewer of them.

    Where none is that exactly, the smallest without a value there.
    """
    zeros = frozenset(cells)
    signs = variables_of(metric)

    def nowhere(part: sympy.Expr, least: bool) -> bool:
        if not {s.name for s in part.free_symbols} <= signs.keys():
            return False
        faces = Faces(lowest(part, metric.nonnegative), signs, metric.cells)
        if faces.plain or not faces.readable or faces.at(zeros).states == ("number",):
            return False
        fewer = (zeros - {cell} for cell in cells) if least else ()
        return all(faces.at(other).states == ("number",) for other in fewer)

    return smallest(metric, lambda part: nowhere(part, True), False) or smallest(
        metric, lambda part: nowhere(part, False)
    )


def rooted(metric: ir.Metric, cells: tuple[str, ...]) -> ir.Place | None:
    """The smallest part with a root or a logarithm of what is 0 where these cells are 0."""
    zeros, signs = frozenset(cells), variables_of(metric)

    def vanishes(part: sympy.Expr) -> bool:
        if not {s.name for s in part.free_symbols} <= signs.keys():
            return False
        for inner in parts_of(lowest(part, metric.nonnegative)):
            root = inner.is_Pow and not inner.exp.is_Integer
            if root or isinstance(inner, sympy.log):
                faces = Faces(inner.args[0], signs, metric.cells)
                if not faces.readable:
                    continue
                found = faces.at(zeros)
                if found.states == ("number",) and found.signs == ZERO:
                    return True
        return False

    return smallest(metric, vanishes)


def smallest(
    metric: ir.Metric, holds: Callable[[sympy.Expr], bool], otherwise_whole: bool = True
) -> ir.Place | None:
    """The smallest part of the metric's definition whose expression, over the cells, `holds`.

    Of several the first. Without any the whole definition, or None.
    """
    main = metric.text.definitions[-1]
    lowering = Lowering(metric.text, metric.parameters, metric.task)
    scope = {name: sympy.Symbol(name) for name in (*CELLS, *(p.name for p in metric.parameters))}
    for node in _inside_out(main.body):
        try:
            found = holds(lowering.expression(node, scope))
        except (MetriccError, ValueError, TypeError):
            continue
        if found:
            return _place(metric, main, node)
    return whole(metric) if otherwise_whole else None


def lowest(expression: sympy.Expr, nonnegative: frozenset[str]) -> sympy.Expr:
    """An expression in lowest terms, where the budget suffices; else as it is."""
    try:
        return product_of(*Field([expression], nonnegative).factors(expression))
    except (TooLarge, ZeroDivisionError):
        return expression


def _below(part: sympy.Expr, nonnegative: frozenset[str]) -> set[sympy.Expr]:
    """The factors of denominators, and of arguments of roots and logarithms."""
    found: set[sympy.Expr] = set()
    if isinstance(part, sympy.log):
        return set(_powers(part.args[0], nonnegative))
    for base, power in _powers(part, nonnegative).items():
        if power < 0 or power.denominator != 1:
            found.add(base)
    return found


def _powers(part: sympy.Expr, nonnegative: frozenset[str]) -> dict[sympy.Expr, Fraction]:
    try:
        return dict(Field([part], nonnegative).factors(part)[1])
    except (TooLarge, ZeroDivisionError):
        return {}


def _inside_out(node: syntax.Expression) -> Iterator[syntax.Expression]:
    """The parts of an expression that may divide or have an argument, the inner ones first."""
    if isinstance(node, syntax.Comparison | syntax.Logic):
        return
    for child in syntax.children(node):
        yield from _inside_out(child)
    divides = isinstance(node, syntax.Product) and any(node.divides)
    called = isinstance(node, syntax.Call) and node.function not in {*REDUCTIONS, *ELEMENTS}
    if divides or called or isinstance(node, syntax.Power):
        yield node


def _place(
    metric: ir.Metric, definition: syntax.Definition, node: syntax.Expression
) -> ir.Place | None:
    """A node of a definition, in the text that the definition stands in."""
    name, head, text = definition.name, definition.name_span, metric.text
    texts = [(text.origin, text.source), library.home(name)]
    for found in texts:
        if found is None:
            continue
        origin, source = found
        # The metric at the end of a text has no head.
        own = head == syntax.NOWHERE or source[head.start : head.end] == name
        if own and node.span.start < node.span.end <= len(source):
            return ir.Place(origin, source, node.span)
    return None
