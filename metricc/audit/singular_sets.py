"""The counts at which a metric has no value, in lowest terms, and how one says that.

Only signs and exact polynomials decide here (`singular_faces`): every file's header says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, product
from typing import Literal, TypeAlias

from metricc import ir
from metricc.audit.singular_faces import Faces
from metricc.audit.singular_parts import (
    ANY,
    POSITIVE,
    ZERO,
    Crossing,
    Found,
    Polynomial,
    Signs,
    State,
    value_of,
    written,
)
from metricc.compose import level
from metricc.functions import CELLS, cells_of
from metricc.numeric import inside

Kind: TypeAlias = Literal["undefined", "infinite"]
KINDS: tuple[tuple[State, Kind], ...] = (("nothing", "undefined"), ("infinite", "infinite"))
MAX_TERMS = 4  # that the outer expression joins

POSITIVES, NEGATIVES = frozenset({"TP", "FN"}), frozenset({"FP", "TN"})
# What it means that exactly these counts are 0.
WORDS = {
    frozenset({"TP"}): "there is no true positive",
    frozenset({"FN"}): "there is no false negative",
    frozenset({"FP"}): "there is no false positive",
    frozenset({"TN"}): "there is no true negative",
    POSITIVES: "there are no positives",
    NEGATIVES: "there are no negatives",
    frozenset({"TP", "FP"}): "nothing is predicted positive",
    frozenset({"FN", "TN"}): "nothing is predicted negative",
    frozenset({"TP", "TN"}): "every prediction is wrong",
    frozenset({"FN", "FP"}): "every prediction is right",
    frozenset({"TP", "FN", "FP"}): "there are no positives, real or predicted",
    frozenset({"FN", "FP", "TN"}): "there are no negatives, real or predicted",
    frozenset({"TP", "FN", "TN"}): "there are no positives, and all is predicted so",
    frozenset({"TP", "FP", "TN"}): "there are no negatives, and all is predicted so",
    frozenset(CELLS): "there is no sample",
}
# At which polynomials are looked at for their signs: parts of samples, too.
NUMBERS = tuple(map(Fraction, ("1/9", "1", "8")))


def zero_sets(plan: ir.Plan) -> tuple[ir.ZeroSet, ...]:
    """All sets of counts at which the metric is 0/0 or infinite, the largest sets first.

    Of a metric of several tables, those of each of its terms on their tables, then those of what
    joins them. Empty where the formula is too long to look at.
    """
    metric = plan.metric
    found: dict[ir.ZeroSet, None] = {}
    for term, program in zip(metric.tables, plan.programs, strict=True):
        found |= dict.fromkeys(of_faces(faces_of(program), metric, table_of(metric, term)))
    if plan.outer is not None and len(metric.tables) <= MAX_TERMS:
        found |= dict.fromkeys(of_outer(plan))
    return tuple(found)


def faces_of(program: ir.Program) -> Faces:
    """The value of one table on the faces of its domain."""
    metric = program.metric
    return Faces(program.forms["value"].expression, variables_of(metric), metric.cells)


def variables_of(metric: ir.Metric) -> dict[str, Signs]:
    """The symbols of a metric of one table with their signs inside the domain."""
    above = metric.nonnegative
    names = (*metric.cells, *(p.name for p in metric.unknowns if not p.counted))
    return {name: POSITIVE if name in above else ANY for name in names}


def table_of(metric: ir.Metric, term: ir.Term) -> str:
    """What a term's counts are of, as `ir.ZeroSet` has it."""
    if metric.single:
        return ""
    if term.reduction == "samples":
        return "sample"
    return "pooled" if level(term.reduction, metric.task) == "pooled" else "class"


def of_faces(faces: Faces, metric: ir.Metric, table: str = "") -> Iterator[ir.ZeroSet]:
    """The zero sets of one expression over the cells."""
    if faces.plain or not faces.readable:
        return
    looked = {zeros: faces.at(zeros) for zeros in faces_in(metric)}
    for zeros, kind, partly, unless in _least(looked):
        more = tuple(tuple(c for c in metric.cells if c in other) for other in unless)
        yield zero_set(metric, zeros, kind, more, partly, table)
    inside = set()
    for crossing in looked[frozenset()].crossings:
        if crosses(crossing, faces, metric):
            sign = "=" if crossing.kind == "zero" else "<"
            inside.add(f"{written(crossing.numerator or {}, faces.names)} {sign} 0")
    for formula in sorted(inside):
        yield ir.ZeroSet((), "undefined", "", formula, (), True, table)


def zero_set(
    metric: ir.Metric,
    zeros: frozenset[str],
    kind: Kind,
    unless: tuple[tuple[str, ...], ...] = (),
    partly: bool = False,
    table: str = "",
) -> ir.ZeroSet:
    """A face in words."""
    cells = tuple(c for c in metric.cells if c in zeros)
    named = _named(cells, metric.columns)
    formula = " = ".join((*named, "0"))
    return ir.ZeroSet(cells, kind, _words(named, metric.columns), formula, unless, partly, table)


def faces_in(metric: ir.Metric) -> list[frozenset[str]]:
    """The faces of the domain, those with fewer zeros first.

    Without samples in a cell its columns count nothing; with some, they may still be 0.
    """
    found = [()] + [cells for n in range(1, 5) for cells in combinations(CELLS, n)]
    zeros = [
        frozenset({*cells, *(f"{c}_{k}" for c in cells for k in metric.columns)}) for cells in found
    ]
    for column in metric.columns:
        zeros += [frozenset(f"{c}_{column}" for c in cells) for cells in found[1:]]
    return zeros


def _least(
    looked: Mapping[frozenset[str], Found],
) -> Iterator[tuple[frozenset[str], Kind, bool, list[frozenset[str]]]]:
    """The faces without a value on which the fewest counts are 0, and where they have one."""
    for state, kind in KINDS:
        least: list[frozenset[str]] = []
        for zeros, found in looked.items():
            if state in found.states and not any(other <= zeros for other in least):
                least.append(zeros)
                inside = [z for z, f in looked.items() if z > zeros and f.states == ("number",)]
                unless = [z for z in inside if not any(other < z for other in inside)]
                partly = len(found.states) > 1
                yield zeros, kind, partly, [z - zeros for z in unless]


def _named(cells: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """The cells that say it: those of columns follow from the plain ones."""
    plain = [c for c in cells if c in CELLS]
    follow = {f"{c}_{column}" for c in plain for column in columns}
    return tuple(c for c in cells if c not in follow)


def _words(cells: Sequence[str], columns: Sequence[str]) -> str:
    if frozenset(cells) in WORDS:
        return WORDS[frozenset(cells)]
    for column in columns:
        sums = {f"TP_{column}", f"FN_{column}"}, {f"FP_{column}", f"TN_{column}"}
        for cell, kind in zip(sums, ("positives", "negatives"), strict=True):
            if set(cells) == cell:
                return f"the {kind}' {column} is 0"
        if set(cells) == set(cells_of(column)):
            return f"{column} is 0 everywhere"
    return ""


def crosses(crossing: Crossing, faces: Faces, metric: ir.Metric) -> bool:
    """Whether a polynomial is seen to take both signs inside the domain: then it is 0 between."""
    if crossing.numerator is None:
        return False
    wanted = {-1} if crossing.kind == "negative" else {1, -1}
    return wanted <= _seen(crossing.numerator, faces, metric)


def _seen(numerator: Polynomial, faces: Faces, metric: ir.Metric) -> set[int]:
    """The signs of a polynomial at points of the domain, exactly."""
    fixed = {p.name: Fraction(inside(p)) for p in metric.unknowns}
    fixed |= {p.name: p.default for p in metric.parameters if p.default is not None}
    seen: set[int] = set()
    for numbers in product(NUMBERS, repeat=len(CELLS)):
        cells = dict(zip(CELLS, numbers, strict=True))
        point = [cells.get(name, fixed.get(name, Fraction(1))) for name in faces.names]
        number = value_of(numerator, point)
        seen.add((number > 0) - (number < 0))
        if {1, -1} <= seen:
            break
    return seen


def of_outer(plan: ir.Plan) -> Iterator[ir.ZeroSet]:
    """Where what joins the terms has no value: where terms are 0 that can be 0.

    A sum of what is never below 0 is 0 where every class's part is. Other terms that are 0 on all
    such tables are 0 with it.
    """
    assert plan.outer is not None
    signs: dict[str, Signs] = {}
    words: dict[str, str] = {}
    zero: dict[str, set[frozenset[str]]] = {}  # the faces on which a term is 0
    for term, program in zip(plan.metric.tables, plan.programs, strict=True):
        table, name = program.metric, term.symbol.name
        own = Faces(program.forms["value"].expression, variables_of(table), table.cells)
        looked = {z: own.at(z) for z in faces_in(table)} if own.readable else {}
        signs[name] = looked[frozenset()].signs if looked else ANY
        gone = {z: None for z, f in looked.items() if f.states == ("number",) and f.signs == ZERO}
        least = [z for z in gone if not any(other < z for other in gone)]
        said = [_words([c for c in table.cells if c in z], ()) for z in least]
        zero[name] = set(gone)
        if plan.metric.task == "multiclass" and term.reduction == "sum":
            one = _OF_CLASSES.get(frozenset(least))
            said = said if one is None else [one]
        whose = _WHOSE.get(term.reduction, "in every class")
        if said and all(said):
            text = " or ".join(said)
            words[name] = text if text in _OF_CLASSES.values() else f"{whose} {text}"
    outer = plan.outer.metric
    others = [p.name for p in outer.unknowns if p.name not in signs]
    known = {name: POSITIVE if name in outer.nonnegative else ANY for name in others}
    terms = [name for name, own in signs.items() if own == POSITIVE and name in words]
    faces = Faces(plan.outer.forms["value"].expression, signs | known, terms)
    if faces.plain or not faces.readable:
        return
    meaning = {t.symbol.name: str(ir.reduced(t, t.expression)) for t in plan.metric.tables}
    some = {t.symbol.name for t in plan.metric.tables if t.reduction in ("worst", "geomean")}
    names: dict[frozenset[str], tuple[str, ...]] = {}
    for count in range(len(terms) + 1):
        for chosen in combinations(terms, count):
            every = [zero[name] for name in chosen if name not in some]
            tables = set.intersection(*every) if every else set()
            joined = {name for name, own in zero.items() if tables and tables <= own}
            names.setdefault(frozenset({*chosen, *joined}), chosen)
    for zeros, kind, partly, _ in _least({z: faces.at(z) for z in names}):
        formula = " and ".join(f"{meaning[name]} = 0" for name in names[zeros])
        whole = " and ".join(words[name] for name in names[zeros])
        cells = CELLS if whole == WORDS[frozenset(CELLS)] else ()
        yield ir.ZeroSet(cells, kind, whole, formula.replace("**", "^"), (), partly, "classes")


# What it means, of several classes of which each sample has one, that every class has one of these.
ONE_CLASS = "all samples are of one class"
_OF_CLASSES = {
    frozenset({POSITIVES, NEGATIVES}): ONE_CLASS,
    frozenset({frozenset({"TP", "FP"}), frozenset({"FN", "TN"})}): "one class alone is predicted",
    frozenset({POSITIVES, frozenset({"FN", "TN"})}): f"{ONE_CLASS}, and predicted so",
    frozenset({frozenset({"TP", "FP"}), NEGATIVES}): f"{ONE_CLASS}, and predicted so",
    frozenset({POSITIVES}): WORDS[frozenset(CELLS)],
}

_WHOSE = {
    "micro": "over all classes",
    "worst": "in some class",
    "geomean": "in some class",
    "samples": "in every sample",
}
