"""What rounding does to the generated code: the sizes on the way, what cancels, measured errors.

The code of value, partials and weights runs as the file runs it, in float64 and in float32, at
counts of up to 1e9, and is compared with the raw derivatives at 200 digits (`accuracy`). A file's
scalars are float64 whatever its inputs are, and float32 on a device without float64: never halves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from metricc import ir
from metricc.accuracy import BOUND, CONDITION, Measured, Point, measure
from metricc.audit.brute import datum
from metricc.audit.subject import Subject

POINTS = 60
RANGE = {"float64": "1.8e308", "float32": "3.4e38"}


def findings(subject: Subject) -> list[ir.Finding]:
    """The extremes on the way, cancellation and the worst errors, of each table's code."""
    found: list[ir.Finding] = []
    programs = subject.plan.programs
    for number, program in enumerate(programs, 1):
        prefix = f"r{number}: " if len(programs) > 1 else ""
        metric = program.metric
        blocks = (
            (program.shared, ir.shared_outputs(metric)),
            (program.weights, ir.weight_outputs(metric)),
        )
        measured = measure(program.gradient.raw, blocks, metric, POINTS)
        columns = [list(column) for column in zip(*measured, strict=True)]  # by type
        found += [
            *_range(prefix, columns),
            *_cancellation(prefix, program, columns),
            _error(prefix, columns),
        ]
    return found


def _range(prefix: str, columns: Sequence[Sequence[Measured]]) -> list[ir.Finding]:
    """MC0661, of both types together; nothing where nothing is calculated on the way."""
    both = [m for column in columns for m in column]
    extremes = [m.extremes for m in columns[0]]
    largest = max(extremes, key=lambda e: e.largest)
    smallest = min(extremes, key=lambda e: e.smallest)
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("largest", datum(largest.largest)),
        ("largest_of", largest.largest_of),
        ("smallest", datum(smallest.smallest)),
        ("smallest_of", smallest.smallest_of),
    )
    evidence = f"measured at {POINTS} points, counts of up to 1e9"
    over = [(m.dtype, part, point) for m in both for part, point in m.above.items()]
    if over:
        dtype, part, point = over[0]
        fact = (
            f"{prefix}`{_short(part)}` is too large for {dtype} ({RANGE[dtype]}) at {_text(point)}"
        )
        hint = "scalars are float64 on every device that has it; elsewhere divide the counts"
        data += (("overflow", tuple((d, p) for d, p, _ in over)),)
        return [ir.Finding("MC0661", "warning", fact, evidence, None, hint, data)]
    if not largest.largest_of:
        return []
    fact = (
        f"{prefix}intermediate results lie between {_size(smallest.smallest)} and"
        f" {_size(largest.largest)} (`{_short(largest.largest_of)}`): none overflows in float64 or"
        " float32"
    )
    return [ir.Finding("MC0661", "note", fact, evidence, None, None, data)]


def _cancellation(
    prefix: str, program: ir.Program, columns: Sequence[Sequence[Measured]]
) -> list[ir.Finding]:
    """MC0662: the forms that subtract, with the point at which that cost most."""
    names = [name for name, form in program.forms.items() if form.cancels]
    if not names:
        return []
    errors = {n: e for m in columns[1] for n, e in m.losses.items() if n in names}
    worst = max(names, key=lambda n: errors[n].worst if n in errors else 0.0)
    fact = f"{prefix}{_listed(names)} subtract{'s' if len(names) == 1 else ''}, and differences of"
    fact += " nearly equal numbers lose digits"
    data: tuple[tuple[str, ir.Datum], ...] = (("forms", tuple(names)),)
    if worst in errors and errors[worst].at:
        at = errors[worst]
        fact += (
            f": in float32 {worst} loses most at {_text(at.at)}, where its relative error is"
            f" {_size(at.worst)}; a relative change of the counts there changes it"
            f" {_size(at.condition)} times as much"
        )
        data += (
            ("point", _text(at.at)),
            ("error", datum(at.worst)),
            ("condition", datum(at.condition)),
        )
    evidence = f"proved from the signs; measured at {POINTS} points"
    return [ir.Finding("MC0662", "note", fact, evidence, None, None, data)]


def _error(prefix: str, columns: Sequence[Sequence[Measured]]) -> ir.Finding:
    """MC0663, of both types together."""
    parts, missed = [], []
    data: list[tuple[str, ir.Datum]] = []
    for column in columns:
        dtype = column[0].dtype
        worst = max(m.worst for m in column)
        count = sum(e.points for m in column for e in m.errors.values())
        parts.append(f"{_size(worst)} in {dtype}")
        data += [(dtype, datum(worst)), (f"{dtype}_results", count)]
        if worst > BOUND[dtype]:
            missed.append(dtype)
    fact = f"{prefix}the largest relative error of value, partials and weights is "
    fact += " and ".join(parts)
    evidence = (
        f"measured against mpmath at {POINTS} points, where the condition number is at most"
        f" {CONDITION['float64']:.0f} and {CONDITION['float32']:.0f}"
    )
    hint = None
    if missed:
        name, worst_of = max(
            ((n, e) for m in columns[-1] for n, e in m.errors.items()), key=lambda p: p[1].worst
        )
        hint = f"worst is {name} in {columns[-1][0].dtype} at {_text(worst_of.at)}"
    severity: ir.Severity = "warning" if "float64" in missed else "note"
    return ir.Finding("MC0663", severity, fact, evidence, None, hint, tuple(data))


def _size(number: float) -> str:
    """A number to one digit: 2e-16, 0.003, 70, 4e19."""
    if not math.isfinite(number):
        return f"{number}"
    rounded = float(f"{number:.0e}")
    if rounded == 0 or 1e-4 < rounded < 1e6:
        return f"{rounded:,.0f}" if rounded == int(rounded) else f"{rounded:g}"
    return f"{rounded:.0e}".replace("e+", "e")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _text(point: Point) -> str:
    return ", ".join(f"{name} = {number:.6g}" for name, number in point.items())


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
