"""The two passes over class labels at once on a CPU, as text with holes.

For integer labels, the softmax itself as surrogate and no element losses. No one-hot labels are
made: what a label's own class needs is gathered, and the class is taken out of the rest.
"""

from __future__ import annotations

# At the start of `_over_blocks`, and around `_finish`.
FIRST = """\
    if not (target.is_floating_point() or label_smoothing<<or_weighed>>):
        return _over_labels(input, target, weight, keep)
"""
FINISH = """\
            if not (target.is_floating_point() or label_smoothing):
                g = _finish_labels(kept, target, weight, pair)
            else:
                g = _finish(kept, target, weight, pair, label_smoothing)
"""

LABELS = '''

def _over_labels(input, target, weight, keep):
    """The counts from class labels, and the probabilities where they are to be kept."""
    kept = torch.empty(input.shape, dtype=_dtype(input)) if keep else None
    sums = torch.zeros(<<label_count>>, <<zeros_shape>>, dtype=torch.float64)
    for <<rows_name>>, (z, y, v, place) in _pieces(input, target, weight, kept):
        p = _softmax(z.to(_dtype(input)))
        if v is not None:
            v = v.to(p.dtype)
            p.masked_fill_(v == 0, 0)  # what weighs nothing may be NaN
        if place is not None:
            place.copy_(p)
        sums<<rows>> += _label_sums(p, y, v)
    positives = _by_label(weight, *_flat(target), input.shape[1])
    negatives = positives.sum(-1, keepdim=True) - positives
<<true_negatives>>    if weight is not None and counts.numel() and counts.min() < -1e-5 * counts.abs().sum():
        raise ValueError("weight must be at least 0")
    return counts, kept


def _label_sums(p, y, v):
    """Sums over the labels' own class and over the others, each of its own terms; p is used up."""
    C = p.shape[1]
    hit = p.gather(1, y)
    p.scatter_(1, y, 0)
<<label_sums>>

def _by_label(x, y, C):
    """The sums of x, or of 1, over the positions with each label."""
<<by_label>>

def _finish_labels(probabilities, target, weight, pair):
    """The gradient from the probabilities, in place; compare `_through`."""
<<finished_labels>>    pair = pair.to(probabilities.dtype)
<<spread_once>>    for <<rows_name>>, (p, y, v) in _pieces(probabilities, target, weight):
<<spread_each>>        g = torch.gt(p, 0.5, out=torch.empty_like(p))
        own, base = plus.expand_as(p).gather(1, y), g.mul_(minus).sum(1, keepdim=True).neg_()
        base = torch.where(p.gather(1, y) > 0.5, own, base)
        torch.sub(base.neg(), minus.expand_as(p), out=g)
        g.scatter_(1, y, own - base).mul_(p)
        p.mul_(g.sum(1, keepdim=True))
        torch.sub(g, p, out=p)
        if v is not None:
            p.mul_(v)
    return probabilities
'''

# FP alone: TN, which this metric does not use, is what is left of the negatives.
SUMS = """\
    miss = p.sum(1, keepdim=True)
    FP = _weighed(p, v).sum(<<dims>>)
    hit, miss = _weighed(hit, v), _weighed(miss, v)
    return torch.stack([_by_label(hit, y, C), _by_label(miss, y, C), FP.double()])
"""
TRUE_NEGATIVES = """\
    TP, FN, FP = sums
    counts = torch.stack([TP, FN, FP, negatives - FP])
"""

# The metric uses TN: where a wrong class is likely, 1 - p is the sum of the others.
SUMS_WITH_TN = """\
    wrong = torch.nn.functional.threshold(p, 0.5, 0.0)
    p.sub_(wrong)
    rest = p.sum(1, keepdim=True)
    miss = rest + wrong.sum(1, keepdim=True)
    FP = [p.sum(<<dims>>), wrong.sum(<<dims>>)]
    wrong.ceil_()
    TN = [wrong.sum(<<dims>>), wrong.mul_(rest + hit).sum(<<dims>>)]
    sums = torch.stack(FP + TN).double()
    return torch.cat([torch.stack([_by_label(hit, y, C), _by_label(miss, y, C)]), sums])
"""
TRUE_NEGATIVES_WITH_TN = """\
    TP, FN, unlikely, likely, number, left = sums  # the last three of classes that are wrong
    counts = torch.stack([TP, FN, unlikely + likely, negatives - number - unlikely + left])
"""

BY_LABEL = """\
    x = None if x is None else x.double().flatten()
    return torch.bincount(y.flatten(), x, minlength=C).double()
"""
BY_LABEL_ROWS = """\
    x = torch.ones((), dtype=torch.float64).expand_as(y) if x is None else x.double()
    return torch.zeros(len(y), C, dtype=x.dtype).scatter_add_(1, y.flatten(1), x.flatten(1))
"""
