"""What columns add to the file of one table: keywords, four counts and two weights for each.

The holes are those of `torch_file`; all are as good as empty where a metric has no columns.
"""

from __future__ import annotations

from metricc import ir
from metricc.emit import torch_single as single
from metricc.functions import CELLS


def holes(metric: ir.Metric) -> dict[str, str]:
    """The holes of `torch_file` that columns fill, or leave empty."""
    columns, cells = metric.columns, len(metric.cells)
    end = f"[:{cells}]" if metric.elements else ""
    if not columns:
        return {
            **dict.fromkeys(EMPTY, ""),
            "how_many_constants": "3",
            "how_many_counts": "four",
            "how_many_weights": "two",
            "sides": "",
            "negative": single.NEGATIVE.format(four=end),
        }
    typed = ", ".join(f"{name}: Tensor" for name in columns)
    named = ", ".join(f'"{name}": {name}' for name in columns)
    weights = 2 + 2 * len(columns)
    return {
        "columns": ", columns",
        "columns_first": f", {typed}",
        "columns_last": f", *, {typed}",
        "named_columns": f", {{{named}}}",
        "passed_columns": "".join(f", {name}={name}" for name in columns),
        "star_columns": ", *columns",
        "star_pieces": ", *cs",
        "plus_columns": f" + {len(columns)}",
        "how_many_constants": str(3 + len(columns)),
        "apart_columns": _APART.format(count=len(columns)),
        "column_sums": _SUMS,
        "fit_columns": ", **columns",
        "spread_columns": _SPREAD,
        "kept_columns": _KEPT,
        "how_many_counts": str(cells),
        "how_many_weights": str(weights),
        "sides": _SIDES,
        "negative": _NEGATIVE.format(cells=cells),
    }


EMPTY = (
    "columns columns_first columns_last named_columns passed_columns star_columns star_pieces "
    "plus_columns apart_columns column_sums fit_columns spread_columns "
    "kept_columns"
).split()

_APART = """\
        columns, ctx.arguments = ctx.arguments[-{count}:], ctx.arguments[:-{count}]
"""

_SUMS = """
    for c in columns:
        yc, nc = y * _as(c, z.dtype), n * _as(c, z.dtype)
        sums += torch.dot(yc, a), torch.dot(yc, b), torch.dot(nc, a), torch.dot(nc, b)"""

_SPREAD = """\
    columns = {name: _spread(column, input, name) for name, column in columns.items()}
"""

_KEPT = """\
        columns = {name: torch.where(weight > 0, x, 0) for name, x in columns.items()}
    columns = _amounts(input, columns)
"""

_NEGATIVE = """\
    groups = [counts[i : i + 4] for i in range(0, {cells}, 4)]
    if any(min(group) < -1e-5 * sum(map(abs, group)) for group in groups):
        fact = "target must be in [0, 1] (ignore_index leaves labels out)"
        raise ValueError(fact + ", weight at least 0")
"""

_SIDES = '''\
def _sides(columns, dtype, positive, negative, *more):
    """The derivatives at a positive and at a negative, each w + c w_c over the columns."""
    for c, plus, minus in zip(columns, more[::2], more[1::2]):
        c = _as(c, dtype)
        positive, negative = positive + plus * c, negative + minus * c
    return positive.clamp(-_HUGE, _HUGE), negative.clamp(-_HUGE, _HUGE)


'''

PRESENT = '''

def _present(TP, FN, FP, TN, *others):
    """The counts that the metric sees, whether they are scored, and whether they are learned from.

    A table without positives or without negatives is absent; a column's own gets its unit then too,
    which is the column's mean.
    """
    *columns, absent, smooth = others
    missing = ((TP + FN == 0) | (FP + TN == 0)) * 1.0
    perfect = missing if absent == "skip" else 0
    cells, seen = [TP, FN, FP, TN, *columns], []
    for i in range(0, len(cells), 4):
        unit = 1 if i == 0 else _mean(sum(cells[i : i + 4]), sum(cells[:4]))
        TP, FN, FP, TN = cells[i : i + 4]
        gone = ((missing > 0) | (TP + FN == 0) | (FP + TN == 0)) * 1.0
        TP, FN = TP + unit * gone + perfect * FN, FN - perfect * FN
        TN, FP = TN + unit * gone + perfect * FP, FP - perfect * FP
        seen += [cell + smooth * unit for cell in (TP, FN, FP, TN)]
    scored = 1 - missing if absent == "zero" else 1
    live = 1 if absent == "diagonal" else 1 - missing
    return *seen, scored, live


def _mean(total, counted):
    """A column's mean over the batch; 1 where nothing counts, or where it is 0."""
    none = ((total == 0) | (counted == 0)) * 1.0
    return ((1 - none) * total + none) / ((1 - none) * counted + none)
'''

SCALARS = """\
    *cells, scored, live = _present(*counts, absent, smooth)
    pair = weights(*cells<<parameters>>)
<<known>>    loss = <<direction>>scored * value(*cells<<parameters>>)
    return loss, *(side * live * w for side, w in zip((<<scale_of>>, <<flipped_of>>) * len(pair), pair))
"""

SCALARS_WITH_ELEMENTS = """\
    total = sum(counts[:4])
    means = [_ratio(x, total) for x in counts<<losses_from>>]
    *cells, scored, live = _present(*counts<<four>>, absent, smooth)
    found = weights(*cells, *means<<parameters>>)
    pair, slopes = found[:<<weights_end>>], found[<<weights_end>>:]
<<known>>    loss = <<direction>>scored * value(*cells, *means<<parameters>>)
    pair = [side * live * w for side, w in zip((<<scale_of>>, <<flipped_of>>) * len(pair), pair)]
    slopes = [(total > 0) * _ratio(<<sign>>scored * slope, total) for slope in slopes]
    return loss, *pair, *slopes
"""

KNOWN = "    pair = [_known(w) for w in pair]\n"


AMOUNTS = '''

def _amounts(input, columns):
    """The columns. On a CPU, ValueError for a number that is negative or not finite."""
    for name, column in columns.items() if _at_once(input) else ():
        wrong = ~((column >= 0) & (column < float("inf")))
        if wrong.any():
            first = wrong.flatten().nonzero()[0].item()
            number = column.flatten()[first].item()
            raise ValueError(f"{name} must be finite and at least 0; element {first} is {number}")
    return list(columns.values())
'''


def unit() -> str:
    """What the header says of the rule for absent classes."""
    return (
        "A column that is 0 for all positives, or for all negatives, gets a unit in its own "
        "counts. A column's unit is its mean over the batch, 1 where that is 0."
    )


def tensors(metric: ir.Metric) -> str:
    """What the header says of the columns."""
    names = ", ".join(metric.columns)
    first, cell = metric.columns[0], f"TP_{metric.columns[0]}"
    return (
        f"{names}: per element or per sample, at least 0, constant: a sample counts weight*{first} "
        f"in {cell} where it counts weight in TP; what is masked out or ignored may be NaN "
        "(a weight of 0 is not enough)."
    )


def gradient(metric: ir.Metric) -> list[str]:
    """The lines of the gradient that columns add."""
    plus = " + ".join(["w_plus", *(f"{c}_i w_plus_{c}" for c in metric.columns)])
    minus = " + ".join(["w_minus", *(f"{c}_i w_minus_{c}" for c in metric.columns)])
    return [f"W_plus_i = {plus}", f"W_minus_i = {minus}"]


def names_of(metric: ir.Metric) -> list[str]:
    """Each weight's name with what it is: w_plus_amount = dM/dTP_amount - dM/dFN_amount."""
    found = []
    for end in ("", *(f"_{column}" for column in metric.columns)):
        TP, FN, FP, TN = (f"dM/d{cell}{end}" for cell in CELLS)
        found += [f"w_plus{end} = {TP} - {FN}", f"w_minus{end} = {TN} - {FP}"]
    return found
