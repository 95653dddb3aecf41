"""Where a metric has no value, what it tends to there, and how fast its gradient grows.

That a set of counts is one without a value is proved by signs (`singular_sets`); what the metric
tends to and how it grows is measured with many digits (`singular_limits`); what a generated file
does there is computed as it computes it (`rounded`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isinf

import numpy as np
import sympy

from metricc import ir
from metricc.audit import places
from metricc.audit.brute import datum
from metricc.audit.singular_faces import Faces
from metricc.audit.singular_limits import Growth, Limits, Near, simple
from metricc.audit.singular_sets import (
    NEGATIVES,
    ONE_CLASS,
    POSITIVES,
    faces_of,
    of_faces,
    of_outer,
    table_of,
    zero_set,
)
from metricc.audit.singular_surfaces import Surface, surfaces
from metricc.audit.subject import Subject, called
from metricc.functions import CELLS, cells_of
from metricc.rounded import run
from metricc.select import LogRatio

# Counts that no sensible batch has; a batch without samples is none either.
RARE = frozenset({frozenset({"TP", "TN"})})
TABLES = {"class": " of a class", "sample": " of a sample", "pooled": " of all classes' sums"}
COUNTS = (5.0, 7.0, 11.0, 3.0), (1.0, 1.0, 1.0, 1.0), (40.0, 2.0, 900.0, 13.0)  # of the file
MEASURED = "growth measured on a line down to t = 1e-64"
ABSENT = "the rule for absent classes covers it"
SMOOTH = "smooth=... in the loss keeps its counts away from 0"


@dataclass(frozen=True)
class Row:
    """What is known of one zero set, or of several that are alike but for their counts."""

    sets: tuple[ir.ZeroSet, ...]
    kind: str  # "undefined", "infinite" or "steep": the gradient alone grows
    limits: Limits | None
    value: Growth
    gradient: Growth
    covered: bool
    file: float | None  # what the file takes it as, where that is one number
    place: ir.Place | None
    quotient: bool = True  # 0/0, rather than logarithms of 0
    seen: bool = False  # whether the limits are no more than those that were seen
    given: str = ""  # the parameters at which it was measured


def findings(subject: Subject) -> list[ir.Finding]:
    """A finding for each kind of counts without a value, or with a gradient that has no bound."""
    metric, plan = subject.metric, subject.plan
    found: dict[str, ir.Finding] = {}  # terms may share theirs
    for term, program in zip(metric.tables, plan.programs, strict=True):
        faces, table = faces_of(program), table_of(metric, term)
        if not faces.readable:
            continue
        inside = [*surfaces(faces, program)]
        rows = [*_without_value(metric, program, faces, table)]
        if any(surface.kind == "negative" for surface in inside):
            # Faces of a part of the domain that has no value say nothing beside it.
            rows = [row for row in rows if row.limits is None or row.limits.ways]
        rows += _steep(metric, program, faces, table, [z for row in rows for z in row.sets])
        for row in _joined(rows):
            one = _finding(metric, row)
            found.setdefault(one.fact, one)
        for surface in inside:
            one = _inside(metric, program, surface, table)
            found.setdefault(one.fact, one)
    if plan.outer is not None:
        for zeros in of_outer(plan):
            one = _joining(metric, zeros)
            found.setdefault(one.fact, one)
    return list(found.values())


def _without_value(
    metric: ir.Metric, program: ir.Program, faces: Faces, table: str
) -> Iterator[Row]:
    near = Near(program)
    quotient = not faces.expression.has(sympy.log, LogRatio)
    for zeros in of_faces(faces, metric, table):
        if not zeros.cells:
            continue  # inside the domain: a surface
        value, gradient = near.growth(zeros.cells)
        yield Row(
            (zeros,),
            zeros.kind,
            near.limits(zeros.cells),
            value,
            gradient,
            covered(faces, metric, zeros.cells),
            _in_file(program, near, zeros.cells),
            places.at(metric, zeros.cells),
            quotient,
            bool(faces.at(frozenset()).crossings),
            _given(near),
        )


def _steep(
    metric: ir.Metric, program: ir.Program, faces: Faces, table: str, known: Sequence[ir.ZeroSet]
) -> Iterator[Row]:
    """Sets on which the metric has a value and near which its gradient grows without bound."""
    near = Near(program)
    least = [frozenset(zeros.cells) for zeros in known]
    for cells in (c for n in range(1, 5) for c in combinations(CELLS, n)):
        zeros = frozenset(cells)
        if any(other <= zeros for other in least) or "number" not in faces.at(zeros).states:
            continue
        _, gradient = near.growth(cells)
        if gradient.unbounded:
            least.append(zeros)
            one = replace(zero_set(metric, zeros, "infinite"), table=table)
            place = places.rooted(metric, cells)
            rule = covered(faces, metric, cells)
            row = Row((one,), "steep", None, Growth.none(), gradient, rule, None, place)
            yield replace(row, given=_given(near))


def covered(faces: Faces, metric: ir.Metric, cells: Sequence[str]) -> bool:
    """Whether tables with these zeros are absent ones, and have a value by the rule for them."""
    left = by_rule(metric, cells)
    return left != frozenset(cells) and faces.at(left).states == ("number",)


def by_rule(metric: ir.Metric, cells: Sequence[str]) -> frozenset[str]:
    """The counts that are 0 after the rule for absent classes: it adds one unit to TP and to TN."""
    zeros = frozenset(cells)
    missing = zeros >= POSITIVES or zeros >= NEGATIVES
    left = set(zeros)
    for own in (CELLS, *map(cells_of, metric.columns)):
        TP, FN, FP, TN = own
        if missing or {TP, FN} <= zeros or {FP, TN} <= zeros:
            left -= {TP, TN}
    return frozenset(left)


def _in_file(program: ir.Program, near: Near, cells: Sequence[str]) -> float | None:
    """What the file's value is where these cells are 0; None where that depends on the others."""
    fixed = {name: float(number) for name, number in near.fixed.items()}
    found = set()
    for counts in COUNTS:
        plain = dict(zip(CELLS, counts, strict=True))
        columns = {c: 1.5 * plain[c.split("_", 1)[0]] for c in program.metric.cells[len(CELLS) :]}
        table = {c: 0.0 if c in cells else n for c, n in (plain | columns).items()}
        scope = {name: np.asarray(number) for name, number in (fixed | table).items()}
        ((value,), _) = run(program.value, scope, "float64")
        found.add(round(float(value), 6) + 0.0)  # never -0
    return found.pop() if len(found) == 1 else None


def _given(near: Near) -> str:
    """The parameters in words: " at beta = 1"."""
    named = ", ".join(f"{name} = {float(number):g}" for name, number in near.fixed.items())
    return f" at {named}" if named else ""


# -- in words --------------------------------------------------------------------------------------


def _joined(rows: Sequence[Row]) -> list[Row]:
    """Rows that differ in nothing but their counts, as one."""
    found: dict[Row, Row] = {}
    for row in rows:
        alike = row.limits and replace(row.limits, ways=0)
        (zeros,) = row.sets
        rare = _rare(zeros), bool(zeros.unless), zeros.partly
        key = replace(row, sets=(ir.ZeroSet((), "undefined", str(rare), ""),), limits=alike)
        other = found.get(key)
        if other is None:
            found[key] = row
        else:
            limits = (
                row.limits
                and other.limits
                and replace(row.limits, ways=row.limits.ways + other.limits.ways)
            )
            found[key] = replace(other, sets=(*other.sets, *row.sets), limits=limits)
    return list(found.values())


def _rare(zeros: ir.ZeroSet) -> bool:
    return zeros.empty or frozenset(zeros.cells) in RARE


def _finding(metric: ir.Metric, row: Row) -> ir.Finding:
    zeros = row.sets[0]
    left = by_rule(metric, zeros.cells)
    where = _listed([_set(z) for z in row.sets])
    name = f"{called(metric.name)}{TABLES.get(zeros.table, '')}"
    if row.kind == "undefined":
        zero = " (0/0)" if row.quotient and row.limits is not None and row.limits.ways else ""
        fact = f"{name} has no value{zero} where {where}: {_tends(row)}"
    elif row.kind == "infinite":
        fact = f"{name} has no bound where {where}: {_grows(row)}"
    else:
        fact = f"{name} has a gradient without bound where {where}: it grows like {row.gradient}"
        fact += ", t the distance"
    policy = _policy(row, left)
    mild = row.kind == "steep" and not row.gradient.power
    severity: ir.Severity = "note" if row.covered or _rare(zeros) or mild else "warning"
    evidence = MEASURED + row.given
    if row.limits is not None:
        evidence = f"proved; limits along {row.limits.ways} ways, {evidence}"
    if row.limits is not None and not row.limits.ways:
        evidence = "proved"
    return ir.Finding(
        "MC0611" if row.kind == "undefined" else "MC0612",
        severity,
        f"{fact}; {policy}" if policy else fact,
        evidence,
        row.place,
        _hint(row) if severity == "warning" else None,
        _data(row),
    )


def _set(zeros: ir.ZeroSet) -> str:
    """A zero set with what is excepted of it."""
    text = str(zeros)
    if zeros.unless:
        text += f", unless {' or '.join(_equation(cells) for cells in zeros.unless)} too"
    return f"{text}, in part" if zeros.partly else text


def _tends(row: Row) -> str:
    limits = row.limits
    assert limits is not None
    if not limits.ways:
        text = "near there it has none either"
    elif limits.low == limits.high:
        text = f"near there it tends to {_number(limits.low)}"
    elif row.seen:
        text = f"near there values from {_number(limits.low)} to {_number(limits.high)} were seen"
    elif limits.one:
        text = f"it has a limit at each such table, from {_number(limits.low)} to "
        text += _number(limits.high)
    else:
        text = f"near there it may be anything from {_number(limits.low)} to "
        text += f"{_number(limits.high)}"
    if row.gradient.unbounded:
        text += f", and its gradient grows like {row.gradient}, t the distance"
    return text


def _grows(row: Row) -> str:
    text = f"it grows like {row.value}, t the distance"
    if row.limits is not None and row.limits.low == row.limits.high:
        text = f"it goes to {_number(row.limits.low)} like {row.value}, t the distance"
    return f"{text}, and its gradient like {row.gradient}" if row.gradient.unbounded else text


def _policy(row: Row, left: frozenset[str]) -> str:
    if row.covered:
        return ABSENT
    if left != frozenset(row.sets[0].cells):
        still = [cell for cell in row.sets[0].cells if cell in left]
        return (
            f"the rule for absent classes takes it where {_equation(still)}: no value there either"
        )
    if row.kind == "steep":
        return "the file keeps arguments of roots and logarithms above 0, and its gradient finite"
    if row.file is None:
        return "the file takes it as a finite number that depends on the other counts"
    return f"the file takes it as {row.file:g}"


def _hint(row: Row) -> str:
    if row.kind == "undefined":
        return f"{SMOOTH}; of labels score(..., zero_division=...) says what it is"
    if row.kind == "infinite":
        return f"{SMOOTH}; or take a metric with a bound"
    return SMOOTH


def _inside(metric: ir.Metric, program: ir.Program, surface: Surface, table: str) -> ir.Finding:
    """A surface or a part inside the domain."""
    at = ", ".join(f"{cell} = {number:g}" for cell, number in surface.witness)
    near = "as at" if surface.exact else "as near"
    what = "on a surface" if surface.kind == "zero" else "in a part"
    metric_of = f"{called(metric.name)}{TABLES.get(table, '')}"
    fact = (
        f"{metric_of} has no value {what} inside the domain, where {surface.formula}, {near} {at}"
    )
    evidence = "proved" if surface.proved else "seen at points"
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("kind", "surface" if surface.kind == "zero" else "part"),
        ("formula", surface.formula),
        ("witness", surface.witness),
        ("table", table),
    )
    hint = "write it so that nothing is subtracted in a denominator, a root or a logarithm"
    return ir.Finding("MC0611", "warning", fact, evidence, places.whole(metric), hint, data)


def _joining(metric: ir.Metric, zeros: ir.ZeroSet) -> ir.Finding:
    """A zero set of what joins the terms."""
    undefined = zeros.kind == "undefined"
    what = "has no value (0/0)" if undefined else "has no bound"
    fact = f"{called(metric.name)} {what} where {zeros.words}"
    ruled = zeros.words == ONE_CLASS  # such a table gets a unit in every class
    fact += f"; {ABSENT}" if ruled else ""
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("kind", zeros.kind),
        ("formula", zeros.formula),
        ("table", zeros.table),
    )
    mild = zeros.empty or ruled
    severity: ir.Severity = "note" if mild else "warning"
    hint = None if mild else SMOOTH
    code = "MC0611" if undefined else "MC0612"
    return ir.Finding(code, severity, fact, "proved", places.whole(metric), hint, data)


def _data(row: Row) -> tuple[tuple[str, ir.Datum], ...]:
    found: list[tuple[str, ir.Datum]] = [
        ("kind", row.kind),
        ("cells", tuple(zeros.cells for zeros in row.sets)),
        ("unless", tuple(zeros.unless for zeros in row.sets)),
        ("table", row.sets[0].table),
        ("gradient", str(row.gradient) if row.gradient.unbounded else "bounded"),
        ("power", float(row.gradient.power)),
        ("logs", row.gradient.logs),
        ("covered", row.covered),
    ]
    if row.limits is not None:
        found += [("low", datum(row.limits.low)), ("high", datum(row.limits.high))]
        found += [("ways", row.limits.ways), ("value", str(row.value))]
        found += [("file", row.file)]
    return tuple(found)


def _number(number: float) -> str:
    if isinf(number):
        return "inf" if number > 0 else "-inf"
    return f"{number:.4g}" if simple(number) else f"about {number:.3g}"


def _equation(cells: Sequence[str]) -> str:
    return " = ".join((*cells, "0"))


def _listed(texts: Sequence[str]) -> str:
    *most, last = texts
    return f"{', '.join(most)} or {last}" if most else last
