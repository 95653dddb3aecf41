"""How far from its threshold a surrogate teaches: the reach of its gradient, and its dead zone.

A sample's gradient is a weight, w_plus or w_minus, times the surrogate's slope dA/dz. Reached are
samples with more than a hundredth of the largest slope, as a monitor counts them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from metricc import ir
from metricc.audit.slope import FARTHEST, SHARE, Slope, slope_of
from metricc.audit.subject import Subject
from metricc.surrogates import Surrogate, surrogate

SPREADS = (1.0, 2.0, 4.0)  # standard deviations of logits around 0
CLASSES = (3, 10, 100, 1000)  # of a softmax that begins uniform
NARROW = 1.0  # half the length of a reach
PAPER = "amplified(L=73)"  # as the AnyLoss paper has it

# The smallest normal number of each type, and the one up to which all is rounded to 0.
DTYPES = {
    "float64": (2.0**-1022, 2.0**-1074),
    "float32": (2.0**-126, 2.0**-150),
    "bfloat16": (2.0**-126, 2.0**-134),
    "float16": (2.0**-14, 2.0**-25),
}

Interval: TypeAlias = tuple[float, float]


def findings(subject: Subject) -> list[ir.Finding]:
    """The reach of the surrogate's gradient, and its dead zone."""
    if not subject.audit.depends:
        return []
    slope = slope_of(subject.surrogate)
    reach = slope.above(SHARE * slope.peak[1])
    return [_reach(subject, slope, reach), _dead_zone(subject, slope)]


def reached(reach: Sequence[Interval], spread: float) -> float:
    """The share of normal logits around 0, of a standard deviation, that lie in intervals."""
    return sum(_below(high / spread) - _below(low / spread) for low, high in reach)


def _below(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def half(reach: Sequence[Interval]) -> float:
    """Half the length of intervals: r of |z| < r."""
    return sum(high - low for low, high in reach) / 2


def _reach(subject: Subject, slope: Slope, reach: list[Interval]) -> ir.Finding:
    where, largest = slope.peak
    shares = [reached(reach, spread) for spread in SPREADS]
    letter = "log-odds" if subject.options.task == "multiclass" else "logits"
    spreads = ", ".join(
        f"{_percent(share)} {f'of {letter} with a spread of' if i == 0 else 'of'} {spread:g}"
        for i, (share, spread) in enumerate(zip(shares, SPREADS, strict=True))
    )
    fact = f"samples with {in_words(reach)} get more than {100 * SHARE:g} % of the largest slope, "
    fact += f"{largest:.3g} at z = {where:.3g}: {spreads}"
    paper = surrogate(PAPER)
    one = float(slope.at(1.0)) / largest
    if subject.surrogate.name == paper.name and subject.surrogate.defaults != paper.defaults:
        sharp = slope_of(paper)
        other = in_words(sharp.above(SHARE * sharp.peak[1]))
        fact += f"; with L = {paper.defaults['L']:g}, as published, it is {other}"
    elif subject.surrogate.name == paper.name:
        fact += f"; at z = 1 the slope is {float(slope.at(1.0)):.1g}"
    starts = [float(slope.at(-math.log(k - 1))) / largest for k in CLASSES]
    if subject.options.task == "multiclass":
        shown = ", ".join(f"{s:.2g} with {k}" for s, k in zip(starts, CLASSES, strict=True))
        fact += f"; where classes are equally likely it is a share of {shown} classes"
    narrow = half(reach) < NARROW
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("surrogate", str(subject.surrogate)),
        ("peak", largest),
        ("peak_at", where),
        ("reach", tuple((_finite(low), _finite(high)) for low, high in reach)),
        ("spreads", SPREADS),
        ("reached", tuple(shares)),
        ("share_at_1", one),
        *((f"share_at_uniform_{k}", s) for k, s in zip(CLASSES, starts, strict=True)),
    )
    hint = _hint(subject.surrogate) if narrow else None
    severity: ir.Severity = "warning" if narrow else "note"
    return ir.Finding("MC0651", severity, fact, "computed at 30 digits", None, hint, data)


def _dead_zone(subject: Subject, slope: Slope) -> ir.Finding:
    zones = {d: (slope.above(least), slope.above(zero)) for d, (least, zero) in DTYPES.items()}
    support = slope.above(0)
    bounded = support[0][0] > -FARTHEST or support[-1][1] < FARTHEST
    if bounded:
        fact = f"samples get no gradient at all unless {in_words(support)}"
    else:
        kinds = list(zones.items())[::-1]
        shown = _listed([(_outside(zero), d) for d, (_, zero) in kinds])
        poor = _listed([(_outside(least), d) for d, (least, _) in kinds])
        fact = f"no logit up to {FARTHEST:g} has a slope that is rounded to 0"
        if shown:
            fact = f"the slope is rounded to 0 for {shown}; "
            fact += f"it is below the smallest normal number for {poor}"
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("support", tuple((_finite(low), _finite(high)) for low, high in support)),
        *(
            (f"{dtype}_{kind}", tuple((_finite(low), _finite(high)) for low, high in zone))
            for dtype, pair in zones.items()
            for kind, zone in zip(("normal", "nonzero"), pair, strict=True)
        ),
    )
    hint = _hint(subject.surrogate) if bounded else None
    severity: ir.Severity = "warning" if bounded else "note"
    return ir.Finding("MC0652", severity, fact, "computed at 30 digits", None, hint, data)


def in_words(reach: Sequence[Interval]) -> str:
    """Intervals of z: "|z| < 2.81", "-1.2 < z < 3"."""
    return " or ".join(_between(low, high, "<") for low, high in reach)


def _outside(inner: Sequence[Interval]) -> str:
    """Where the slope is below a level for good: beyond the first and the last interval."""
    return _between(inner[0][0], inner[-1][1], ">") if inner else "all z"


def _listed(zones: list[tuple[str, str]]) -> str:
    """Zones by type: "|z| > 14.6 in float16, 90.2 in bfloat16"."""
    known = [(zone, dtype) for zone, dtype in zones if zone]
    head = "|z| > "
    short = all(zone.startswith(head) for zone, _ in known)
    return ", ".join(
        f"{zone.removeprefix(head) if short and i else zone} in {dtype}"
        for i, (zone, dtype) in enumerate(known)
    )


def _between(low: float, high: float, sign: str) -> str:
    """Inside an interval (<), or outside (>)."""
    middle, radius = (low + high) / 2, (high - low) / 2
    if math.isfinite(radius) and abs(middle) < 1e-6 * radius:
        return f"|z| {sign} {radius:.3g}"
    if radius < abs(middle) / 20:
        return f"|z {'-' if middle > 0 else '+'} {abs(middle):.4g}| {sign} {radius:.2g}"
    if math.isfinite(radius):
        return f"{low:.3g} < z < {high:.3g}" if sign == "<" else f"z < {low:.3g} or z > {high:.3g}"
    inside = [f"z > {low:.3g}"] * (low > -math.inf) + [f"z < {high:.3g}"] * (high < math.inf)
    beyond = [f"z < {low:.3g}"] * (low > -math.inf) + [f"z > {high:.3g}"] * (high < math.inf)
    return "".join(inside if sign == "<" else beyond) or ("any z" if sign == "<" else "")


def _hint(given: Surrogate) -> str:
    """A surrogate that reaches further."""
    if "L" in given.defaults:
        return 'take a smaller L, or soft: --surrogate "amplified(L=10)", loss.set_surrogate(L=10)'
    if "delta" in given.defaults:
        return "take a larger delta, or heaviside, amplified or soft, whose slope is 0 nowhere"
    return "take a flatter surrogate: soft, or amplified with L = 10"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 0.9995 else "all"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
