"""What averages over classes call in the generated NumPy file, as text.

The twin of `torch_table.FUNCTIONS`: the same names, spelled by the same lines of the plan.
"""

from __future__ import annotations

# In the order of the file; each with what it calls itself.
FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "_slices": (
        '''

def _slices(TP, FN, FP, TN, share, absent, smooth):
    """The counts that each class is judged by, its share in averages, and its weight there.

    A class without positives or without negatives is absent.
    """
    TP, FN, FP, TN, share = _tables(TP, FN, FP, TN, share)
    counted = share
    if absent is not None:
        missing = (TP + FN == 0) | (FP + TN == 0)
        TP, TN = TP + missing, TN + missing
        present = share * ~missing
        if absent == "skip":  # an average of nothing is never taken
            share = counted = np.where(present.sum(-1, keepdims=True) > 0, present, share)
        elif absent == "zero":
            share = present
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, share, counted
''',
        ("_tables",),
    ),
    "_pooled": (
        '''

def _pooled(TP, FN, FP, TN, share, absent, smooth):
    """The table summed over classes, each class's share in its slopes, and whether it is scored.

    It is absent without positives or without negatives.
    """
    *cells, share = _tables(TP, FN, FP, TN, share)
    TP, FN, FP, TN = ((share * cell).sum(-1, keepdims=True) for cell in cells)
    missing = ((TP + FN == 0) | (FP + TN == 0)) * (absent is not None)
    perfect = missing if absent == "skip" else 0
    TP, FN = TP + missing + perfect * FN, FN - perfect * FN
    TN, FP = TN + missing + perfect * FP, FP - perfect * FP
    scored = 1 - missing if absent == "zero" else 1
    live = 1 if absent == "diagonal" else 1 - missing
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, live * share, scored
''',
        ("_tables",),
    ),
    "_joint": (
        '''

def _joint(TP, FN, FP, TN, share, absent, smooth):
    """The counts of the one table of all classes, and each class's share in slopes and in sums.

    The table is absent where the labels hold one class alone: one right answer in every class is
    added then.
    """
    TP, FN, FP, TN, share = _tables(TP, FN, FP, TN, share)
    others = (share > 0).sum(-1, keepdims=True) - 1
    missing = ((share > 0) & (TP + FN > 0)).sum(-1, keepdims=True) <= 1
    missing = missing * (absent is not None)
    perfect = missing if absent == "skip" else 0
    TP, FN = TP + missing + perfect * FN, FN - perfect * FN
    TN, FP = TN + missing * others + perfect * FP, FP - perfect * FP
    live = share if absent == "diagonal" else share * (1 - missing)
    scored = share * (1 - missing) if absent == "zero" else share
    TP, FN, FP = TP + smooth, FN + smooth * others, FP + smooth * others
    return TP, FN, FP, TN + smooth * others**2, live, scored
''',
        ("_tables",),
    ),
    "_support": (
        '''

def _support(TP, FN, share):
    """The weight of each class by its positives; where there are none at all, its share alone."""
    TP, FN, _, _, share = _tables(TP, FN, TP, FN, share)
    support = share * (TP + FN)
    return np.where(support.sum(-1, keepdims=True) > 0, support, share)
''',
        ("_tables",),
    ),
    "_support_slope": (
        '''

def _support_slope(e, class_weight, share, counted, absent):
    """How the weighted mean of e moves with the positives of each class, which weigh it."""
    weight = np.ones_like(share) if class_weight is None else np.asarray(class_weight)
    weight = weight if absent is None else weight * (share > 0)
    return _ratio(weight * (e - _mean(e, share, counted)), counted.sum(-1, keepdims=True))
''',
        ("_mean", "_ratio"),
    ),
    "_tables": (
        '''

def _tables(*tables):
    """Counts and share as float64 arrays of one shape; no share is a share of 1."""
    *cells, share = (None if x is None else np.asarray(x, dtype=np.float64) for x in tables)
    share = np.ones(()) if share is None else share
    return *cells, np.broadcast_to(share, cells[0].shape)
''',
        (),
    ),
    "_mean": (
        '''

def _mean(e, share, counted):
    """The mean over classes (the last dimension, which is kept)."""
    return _ratio((share * e).sum(-1, keepdims=True), counted.sum(-1, keepdims=True))
''',
        ("_ratio",),
    ),
    "_mean_slope": (
        '''

def _mean_slope(share, counted):
    """The derivative of the mean in each of its values."""
    return _ratio(share, counted.sum(-1, keepdims=True))
''',
        ("_ratio",),
    ),
    "_sum": (
        '''

def _sum(e, share):
    """The sum over classes (the last dimension, which is kept)."""
    return (share * e).sum(-1, keepdims=True)
''',
        (),
    ),
    "_worst": (
        '''

def _worst(e, share, counted):
    """The smallest value of the classes that count."""
    e = np.where(share > 0, e, 0)
    return np.where(counted > 0, e, _HUGE).min(-1, keepdims=True)
''',
        (),
    ),
    "_worst_slope": (
        '''

def _worst_slope(e, share, counted):
    """1 for the smallest value; several share it."""
    smallest = (np.where(share > 0, e, 0) == _worst(e, share, counted)) & (counted > 0)
    return (smallest & (share > 0)) / np.maximum(smallest.sum(-1, keepdims=True), 1)
''',
        ("_worst",),
    ),
    "_geomean": (
        '''

def _geomean(e, share, counted):
    """The geometric mean of the classes that count."""
    e = np.where(share > 0, e, 0)
    zero = ((counted > 0) & (e <= 0)).any(-1, keepdims=True)
    log = _ratio((counted * _log(e)).sum(-1, keepdims=True), counted.sum(-1, keepdims=True))
    return np.where(zero, 0, np.exp(log))
''',
        ("_ratio", "_log"),
    ),
    "_geomean_slope": (
        '''

def _geomean_slope(e, share, counted):
    """The derivative of the geometric mean in each of its values; 0 where a value is 0."""
    mean = _geomean(e, share, counted)
    slope = _ratio(mean * counted, counted.sum(-1, keepdims=True) * e)
    return np.where((share > 0) & (e > _TINY), slope, 0)
''',
        ("_geomean", "_ratio"),
    ),
}
