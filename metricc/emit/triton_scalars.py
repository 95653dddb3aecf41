"""The scalar functions of a metric as Triton prints them, and the functions that they call.

They run in float64 on the counts of one table, or on those of all classes side by side. A literal
takes the type of what it meets; what may be one (or a Python float, under Triton's interpreter) is
made float64 by `_gpu_wide`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from metricc import ir, syntax
from metricc.emit.python import Printer, expressions

PREFIX = "_gpu_"


class _Triton(Printer):
    """Python's printer, but for powers, which Triton spells by products."""

    def power(self, node: syntax.Power) -> tuple[str, int]:
        exponent = node.exponent
        if isinstance(exponent, syntax.Number) and exponent.value in (2, 3):
            name = "_square" if exponent.value == 2 else "_cube"
            return self.call(name, self.text(node.base))
        return self.call("_power", self.text(node.base), self.text(exponent))


def lines(block: ir.Block, reductions: Mapping[str, str]) -> tuple[list[str], list[str], set[str]]:
    """A block's assignments as lines, its results, and the functions that both call."""
    assigned, results, _ = expressions(block, reductions, _Triton(reductions))
    texts = [renamed(line) for line in assigned]
    answers = [renamed(result) for result in results]
    return texts, answers, called(" ".join([*texts, *answers]))


def called(text: str) -> set[str]:
    """The functions of this table that a text calls."""
    return set(re.findall(rf"{PREFIX}\w+(?=\()", text)) & set(FUNCTIONS)


def renamed(text: str) -> str:
    """A line of Python with the names of Triton's functions in it."""
    return re.sub(r"(?<![\w.])_([a-z_]+)\(", rf"{PREFIX}\1(", text)


# Each with what it calls itself, in the order of the file.
FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "_gpu_wide": (
        '''
@triton.jit
def _gpu_wide(x):
    """A number as float64."""
    return tl.full((), 0, tl.float64) + x
''',
        (),
    ),
    "_gpu_bounded": (
        '''
@triton.jit
def _gpu_bounded(x):
    """x between -1e30 and 1e30, as _HUGE; NaN stays."""
    return tl.where(x > 1e30, 1e30, tl.where(x < -1e30, -1e30, x))
''',
        (),
    ),
    "_gpu_positive": (
        '''
@triton.jit
def _gpu_positive(x):
    """x as float64, at least the smallest normal number."""
    x = _gpu_wide(x)
    return tl.where(x < 2.2250738585072014e-308, 2.2250738585072014e-308, x)
''',
        ("_gpu_wide",),
    ),
    "_gpu_ratio": (
        '''
@triton.jit
def _gpu_ratio(a, b):
    """a / b, finite for every b, as _ratio."""
    b = _gpu_wide(b)
    tiny = tl.abs(b) < 2.2250738585072014e-308
    return _gpu_bounded(a / tl.where(tiny, 2.2250738585072014e-308, b))
''',
        ("_gpu_wide", "_gpu_bounded"),
    ),
    "_gpu_square": (
        """
@triton.jit
def _gpu_square(x):
    return x * x
""",
        (),
    ),
    "_gpu_cube": (
        """
@triton.jit
def _gpu_cube(x):
    return x * x * x
""",
        (),
    ),
    "_gpu_root": (
        """
@triton.jit
def _gpu_root(x):
    return tl.sqrt(_gpu_positive(x))
""",
        ("_gpu_positive",),
    ),
    "_gpu_log": (
        """
@triton.jit
def _gpu_log(x):
    return tl.log(_gpu_positive(x))
""",
        ("_gpu_positive",),
    ),
    "_gpu_log_ratio": (
        '''
@triton.jit
def _gpu_log_ratio(a, b, d):
    """log(a / b) as _gpu_log gives it, near 1 by d = a - b: Kahan's log1p(x) for x = d / b."""
    d, b = _gpu_wide(d), _gpu_wide(b)
    near = tl.abs(d) < b / 2
    x = tl.where(near, d, 0) / tl.where(near, b, 1)
    u = 1 + x
    close = tl.where(u == 1, x, tl.log(u) * x / tl.where(u == 1, 1, u - 1))
    return tl.where(near, close, _gpu_log(_gpu_ratio(a, b)))
''',
        ("_gpu_wide", "_gpu_positive", "_gpu_log", "_gpu_ratio"),
    ),
    "_gpu_exp": (
        '''
@triton.jit
def _gpu_exp(x):
    """exp(x), at most 1e30."""
    return _gpu_bounded(tl.exp(_gpu_wide(x)))
''',
        ("_gpu_wide", "_gpu_bounded"),
    ),
    "_gpu_power": (
        '''
@triton.jit
def _gpu_power(x, exponent):
    """x**exponent, at most 1e30; where it is not whole, x is at least the smallest normal."""
    x, exponent = _gpu_wide(x), _gpu_wide(exponent)
    whole = exponent == tl.floor(exponent)
    odd = whole & (exponent != 2 * tl.floor(exponent / 2))
    base = _gpu_positive(tl.where(whole, tl.abs(x), x))
    power = _gpu_bounded(tl.exp(exponent * tl.log(base)))
    return tl.where(odd & (x < 0), -power, power)
''',
        ("_gpu_wide", "_gpu_positive", "_gpu_bounded"),
    ),
    "_gpu_abs": (
        """
@triton.jit
def _gpu_abs(x):
    return tl.abs(_gpu_wide(x))
""",
        ("_gpu_wide",),
    ),
    "_gpu_min": (
        """
@triton.jit
def _gpu_min(a, b):
    a, b = _gpu_wide(a), _gpu_wide(b)
    return tl.where(b < a, b, a)
""",
        ("_gpu_wide",),
    ),
    "_gpu_max": (
        """
@triton.jit
def _gpu_max(a, b):
    a, b = _gpu_wide(a), _gpu_wide(b)
    return tl.where(b > a, b, a)
""",
        ("_gpu_wide",),
    ),
    "_gpu_select": (
        '''
@triton.jit
def _gpu_select(x, y, a, b):
    """a where x < y, else b."""
    return tl.where(_gpu_wide(x) < _gpu_wide(y), _gpu_wide(a), _gpu_wide(b))
''',
        ("_gpu_wide",),
    ),
    "_gpu_step": (
        '''
@triton.jit
def _gpu_step(x):
    """0 below 0, 1 above, 1/2 at 0."""
    x = _gpu_wide(x)
    return tl.where(x > 0, 1.0, tl.where(x < 0, 0.0, 0.5))
''',
        ("_gpu_wide",),
    ),
    "_gpu_present": (
        '''
@triton.jit
def _gpu_present(TP, FN, FP, TN, absent: tl.constexpr, smooth):
    """The counts that the metric sees, and whether they are scored and learned from."""
    missing = tl.where((TP + FN == 0) | (FP + TN == 0), 1.0, 0.0)
    perfect = missing if absent == "skip" else 0 * missing
    TP, FN = TP + missing + perfect * FN, FN - perfect * FN
    TN, FP = TN + missing + perfect * FP, FP - perfect * FP
    scored = 1 - missing if absent == "zero" else 1 + 0 * missing
    live = 1 + 0 * missing if absent == "diagonal" else 1 - missing
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, scored, live
''',
        (),
    ),
    "_gpu_slices": (
        '''
@triton.jit
def _gpu_slices(TP, FN, FP, TN, share, absent: tl.constexpr, smooth):
    """The counts that each class is judged by, its share in averages, its weight there."""
    missing = (TP + FN == 0) | (FP + TN == 0)
    one = tl.where(missing, 1.0, 0.0)
    counted = share
    present = tl.where(missing, 0, share)
    if absent == "skip":  # an average of nothing is never taken
        share = tl.where(tl.sum(present, 0) > 0, present, share)
        counted = share
    elif absent == "zero":
        share = present
    return TP + one + smooth, FN + smooth, FP + smooth, TN + one + smooth, share, counted
''',
        (),
    ),
    "_gpu_pooled": (
        '''
@triton.jit
def _gpu_pooled(TP, FN, FP, TN, share, absent: tl.constexpr, smooth):
    """The table summed over classes, each class's share in slopes, whether it is scored."""
    TP, FN = tl.sum(share * TP, 0), tl.sum(share * FN, 0)
    FP, TN = tl.sum(share * FP, 0), tl.sum(share * TN, 0)
    TP, FN, FP, TN, scored, live = _gpu_present(TP, FN, FP, TN, absent, smooth)
    return TP, FN, FP, TN, live * share, scored
''',
        ("_gpu_present",),
    ),
    "_gpu_joint": (
        '''
@triton.jit
def _gpu_joint(TP, FN, FP, TN, share, absent: tl.constexpr, smooth):
    """The counts of the one table of all classes, each class's share in slopes and in sums."""
    others = tl.sum(tl.where(share > 0, 1.0, 0.0), 0) - 1
    held = tl.sum(tl.where((share > 0) & (TP + FN > 0), 1.0, 0.0), 0)
    missing = tl.where(held <= 1, 1.0, 0.0)
    perfect = missing if absent == "skip" else 0 * missing
    TP, FN = TP + missing + perfect * FN, FN - perfect * FN
    TN, FP = TN + missing * others + perfect * FP, FP - perfect * FP
    live = share if absent == "diagonal" else share * (1 - missing)
    scored = share * (1 - missing) if absent == "zero" else share
    TP, FN, FP = TP + smooth, FN + smooth * others, FP + smooth * others
    return TP, FN, FP, TN + smooth * others * others, live, scored
''',
        (),
    ),
    "_gpu_support": (
        '''
@triton.jit
def _gpu_support(TP, FN, share):
    """The weight of each class by its positives; where there are none at all, its share alone."""
    support = share * (TP + FN)
    return tl.where(tl.sum(support, 0) > 0, support, share)
''',
        (),
    ),
    "_gpu_support_slope": (
        '''
@triton.jit
def _gpu_support_slope(e, class_weight, share, counted, absent: tl.constexpr):
    """How the weighted mean of e moves with the positives of each class, which weigh it."""
    weight = tl.where(share > 0, class_weight, 0)
    return _gpu_ratio(weight * (e - _gpu_mean(e, share, counted)), tl.sum(counted, 0))
''',
        ("_gpu_mean", "_gpu_ratio"),
    ),
    "_gpu_mean": (
        """
@triton.jit
def _gpu_mean(e, share, counted):
    return _gpu_ratio(tl.sum(share * e, 0), tl.sum(counted, 0))
""",
        ("_gpu_ratio",),
    ),
    "_gpu_mean_slope": (
        """
@triton.jit
def _gpu_mean_slope(share, counted):
    return _gpu_ratio(share, tl.sum(counted, 0))
""",
        ("_gpu_ratio",),
    ),
    "_gpu_sum": (
        """
@triton.jit
def _gpu_sum(e, share):
    return tl.sum(share * e, 0)
""",
        (),
    ),
    "_gpu_worst": (
        '''
@triton.jit
def _gpu_worst(e, share, counted):
    """The smallest value of the classes that count."""
    return tl.min(tl.where(counted > 0, tl.where(share > 0, e, 0), 1e30), 0)
''',
        (),
    ),
    "_gpu_worst_slope": (
        '''
@triton.jit
def _gpu_worst_slope(e, share, counted):
    """1 for the smallest value; several share it."""
    least = tl.where(share > 0, e, 0) == _gpu_worst(e, share, counted)
    smallest = tl.where(least & (counted > 0), 1.0, 0.0)
    several = tl.sum(smallest, 0)
    return _gpu_wide(tl.where(share > 0, smallest, 0)) / tl.where(several < 1, 1, several)
''',
        ("_gpu_worst", "_gpu_wide"),
    ),
    "_gpu_geomean": (
        '''
@triton.jit
def _gpu_geomean(e, share, counted):
    """The geometric mean of the classes that count."""
    e = tl.where(share > 0, e, 0)
    zeros = tl.sum(tl.where((counted > 0) & (e <= 0), 1, 0), 0)
    log = _gpu_ratio(tl.sum(counted * _gpu_log(e), 0), tl.sum(counted, 0))
    return tl.where(zeros > 0, 0, tl.exp(log))
''',
        ("_gpu_ratio", "_gpu_log"),
    ),
    "_gpu_geomean_slope": (
        '''
@triton.jit
def _gpu_geomean_slope(e, share, counted):
    """The derivative of the geometric mean in each of its values; 0 where a value is 0."""
    slope = _gpu_ratio(_gpu_geomean(e, share, counted) * counted, tl.sum(counted, 0) * e)
    return tl.where((share > 0) & (e > 2.2250738585072014e-308), slope, 0)
''',
        ("_gpu_geomean", "_gpu_ratio"),
    ),
}
