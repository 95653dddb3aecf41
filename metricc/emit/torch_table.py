"""The generated file of a loss over several tables (one a class, one a sample), as text with holes.

What differs by task and averaging stands in fragments of its own; `torch_tables` chooses them. The
passes over a batch are in `torch_table_passes`.
"""

from __future__ import annotations

# How a reduction and its slope are spelled, by the level of its tables.
REDUCTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "class": {
        "macro": ("_mean({}, share{s}, counted{s})", "_mean_slope(share{s}, counted{s})"),
        "samples": ("_mean({}, share{s}, counted{s})", "_mean_slope(share{s}, counted{s})"),
        "sum": ("_sum({}, share{s})", "share{s}"),
        "worst": ("_worst({}, share{s}, counted{s})", "_worst_slope({}, share{s}, counted{s})"),
        "geomean": (
            "_geomean({}, share{s}, counted{s})",
            "_geomean_slope({}, share{s}, counted{s})",
        ),
        "per_class": ("_each({}, share{s})", "_each(1, share{s})"),
    },
    "weighted": {
        "weighted": ("_mean({}, share{s}, counted{s})", "_mean_slope(share{s}, counted{s})"),
    },
    "pooled": {"micro": ("{} * counted{s}", "share{s}")},
    "joint": {"sum": ("_sum({}, counted{s})", "share{s}")},
}
SUPPORT = "_support_slope({}, class_weight, share{s}, counted{s}, absent)"

LEVELS = {
    "class": "_slices({cells}, {share}, absent, smooth)",
    "weighted": "_slices({cells}, _support(TP, FN, {share}), absent, smooth)",
    "pooled": "_pooled({cells}, {share}, absent, smooth)",
    "joint": "_joint({cells}, {share}, absent, smooth)",
}

# What expressions and levels call, in the order of the file; each with what it calls itself.
FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "_slices": (
        '''

def _slices(TP, FN, FP, TN, share, absent, smooth):
    """The counts that each {slice} is judged by, its share in averages, and its weight there.

    A {slice} without positives or without negatives is absent.
    """
    TP, FN, FP, TN, share = _tables(TP, FN, FP, TN, share)
    counted = share
    if absent is not None:
        missing = (TP + FN == 0) | (FP + TN == 0)
        TP, TN = TP + missing.to(TP), TN + missing.to(TP)
        present = share * ~missing
        if absent == "skip":  # an average of nothing is never taken
            share = counted = torch.where(present.sum(-1, keepdim=True) > 0, present, share)
        elif absent == "zero":
            share = present
    if smooth:
        TP, FN, FP, TN = (cell + smooth for cell in (TP, FN, FP, TN))
    return TP, FN, FP, TN, share, counted
''',
        ("_tables",),
    ),
    "_pooled": (
        '''

def _pooled(TP, FN, FP, TN, share, absent, smooth):
    """The table summed over classes, each class's share in its slopes, and whether it is scored."""
    *cells, share = _tables(TP, FN, FP, TN, share)
    summed = ((share * cell).sum(-1, keepdim=True) for cell in cells)
    *cells, scored, live = _present(*summed, absent, smooth)
    return *cells, live * share, scored
''',
        ("_tables", "_present"),
    ),
    "_joint": (
        '''

def _joint(TP, FN, FP, TN, share, absent, smooth):
    """The counts of the one table of all classes, and each class's share in slopes and in sums.

    The table is absent where the targets hold one class alone: one right answer in every class is
    added then.
    """
    TP, FN, FP, TN, share = _tables(TP, FN, FP, TN, share)
    others = (share > 0).to(TP).sum(-1, keepdim=True) - 1
    missing = ((share > 0) & (TP + FN > 0)).sum(-1, keepdim=True) <= 1
    missing = missing.to(TP) * (absent is not None)
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
    share = torch.ones_like(TP) if share is None else share
    support = share * (TP + FN)
    return torch.where(support.sum(-1, keepdim=True) > 0, support, share)
''',
        (),
    ),
    "_support_slope": (
        '''

def _support_slope(e, class_weight, share, counted, absent):
    """How the weighted mean of e moves with the positives of each class, which weigh it."""
    weight = torch.ones_like(share) if class_weight is None else class_weight
    weight = weight if absent is None else weight * (share > 0)
    mean = _mean(e, share, counted)
    return _ratio(weight * (e - mean), counted.sum(-1, keepdim=True))
''',
        ("_mean", "_ratio"),
    ),
    "_tables": (
        '''

def _tables(*tables):
    """Counts and share as floating tensors of one shape; no share is a share of 1."""
    *cells, share = tables
    cells = [x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64) for x in cells]
    share = torch.ones_like(cells[0]) if share is None else share.to(cells[0]).expand_as(cells[0])
    return *cells, share
''',
        (),
    ),
    "_mean": (
        '''

def _mean(e, share, counted):
    """The mean over {slices} (the last dimension, which is kept)."""
    return _ratio((share * e).sum(-1, keepdim=True), counted.sum(-1, keepdim=True))
''',
        ("_ratio",),
    ),
    "_mean_slope": (
        '''

def _mean_slope(share, counted):
    """The derivative of the mean in each of its values."""
    return _ratio(share, counted.sum(-1, keepdim=True))
''',
        ("_ratio",),
    ),
    "_sum": (
        '''

def _sum(e, share):
    """The sum over classes (the last dimension, which is kept)."""
    return (share * e).sum(-1, keepdim=True)
''',
        (),
    ),
    "_worst": (
        '''

def _worst(e, share, counted):
    """The smallest value of the classes that count."""
    e = torch.where(share > 0, e, 0)
    return torch.where(counted > 0, e, _HUGE).amin(-1, keepdim=True)
''',
        (),
    ),
    "_worst_slope": (
        '''

def _worst_slope(e, share, counted):
    """1 for the smallest value; several share it."""
    smallest = (torch.where(share > 0, e, 0) == _worst(e, share, counted)) & (counted > 0)
    return (smallest & (share > 0)).to(e) / smallest.sum(-1, keepdim=True).clamp(min=1)
''',
        ("_worst",),
    ),
    "_geomean": (
        '''

def _geomean(e, share, counted):
    """The geometric mean of the classes that count."""
    e = torch.where(share > 0, e, 0)
    zero = ((counted > 0) & (e <= 0)).any(-1, keepdim=True)
    log = _ratio((counted * _log(e)).sum(-1, keepdim=True), counted.sum(-1, keepdim=True))
    return torch.where(zero, 0, torch.exp(log))
''',
        ("_ratio", "_log"),
    ),
    "_geomean_slope": (
        '''

def _geomean_slope(e, share, counted):
    """The derivative of the geometric mean in each of its values; 0 where a value is 0."""
    mean = _geomean(e, share, counted)
    slope = _ratio(mean * counted, counted.sum(-1, keepdim=True) * e)
    return torch.where((share > 0) & (e > torch.finfo(e.dtype).tiny), slope, 0)
''',
        ("_geomean", "_ratio"),
    ),
    "_each": (
        '''

def _each(e, share):
    """The value of each class that counts."""
    return torch.where(share > 0, e, torch.zeros_like(share))
''',
        (),
    ),
}

SIGNATURE = '''\
def <<name>>_loss(input: Tensor, target: Tensor, *, weight: Tensor | None = None, mask: Tensor | None = None<<counts_keyword>><<options>><<keywords>>) -> Tensor:
    """The loss of <<input>> of shape <<shape>>: <<what>>. ValueError if they misfit."""
<<require>>    _policy(absent, smooth, label_smoothing<<reduction_argument>>)
    target, weight<<and_sample_weight>> = _arrange(input, target, weight, mask, ignore_index)
<<shares>>    ranks = None if process_group is None else _group(process_group)
<<settle>>    arguments = (<<counts_argument>><<share_argument>>label_smoothing, absent, smooth, ranks<<store>>)
    at_once = _at_once(input, target, weight)
<<apply>>


class <<pascal>>Loss(torch.nn.Module):
    """`<<name>>_loss` as a module. It holds no state."""

    def __init__(self, *<<keywords>><<options>>):
        super().__init__()
<<require_in_module>>        _policy(absent, smooth, label_smoothing<<reduction_argument>>)
<<assign>>
    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None<<counts_keyword>>) -> Tensor:
        return <<name>>_loss(input, target, weight=weight, mask=mask<<counts_passed>><<stored>>)
<<counts_method>><<set_surrogate>>
    def extra_repr(self) -> str:
        names = (<<shown>>)
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)

'''

# Where counts can be given: the tables are the batch's, not the samples'.
COUNTS_METHOD = '''
    def counts(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """<<cells>> of a batch, (<<count>>, C), without gradient: they add over batches."""
        target, weight = _arrange(input, target, weight, mask, self.ignore_index)
        return _summed(input, target, weight, self.label_smoothing<<own_count_args>>)
'''
SETTLE = """\
    if counts is not None:
        counts = _settled(counts, input, target, weight, label_smoothing<<count_args>>, ranks)
"""

SHARES = '''

def _shares(input, class_weight, classes, exclude_background):
    """The weight of each class in averages; None where all weigh 1."""
    if class_weight is None and classes is None and not exclude_background:
        return None
    C = input.shape[1]
    share = _tensor([1.0] * C if class_weight is None else class_weight, input)
    if share.shape != (C,) or share.requires_grad:
        raise ValueError(f"class_weight must be {C} constant numbers, one a class")
    counted = range(C) if classes is None else classes
    if not all(0 <= k < C for k in counted):
        raise ValueError(f"classes must lie between 0 and {C - 1}, not {classes}")
    counted = [float(k in counted and not (exclude_background and k == 0)) for k in range(C)]
    share = share * _tensor(counted, input)
    if _at_once(share) and not (share.isfinite().all() and (share >= 0).all() and share.sum() > 0):
        raise ValueError("class weights must be finite and at least 0, and one class must count")
    return share
'''

# Labels of the input's shape, which multilabel and binary targets both are.
_LABELS = """\
    if target.shape != input.shape:
        raise ValueError(f"input has shape {tuple(input.shape)}, target {tuple(target.shape)}")
<<sample_weight>>    weight = _placed(weight, input, "weight")
    mask = _placed(mask, input, "mask")
    keep = None
    if ignore_index is not None:  # NaN ignores NaN
        keep = ~(target.isnan() if ignore_index != ignore_index else target == ignore_index)
    for kept in (keep, mask):
        if kept is not None:
            weight = kept.to(_dtype(input)) if weight is None else torch.where(kept, weight, 0)
    return target, weight<<sample_weight_result>>
"""

ARRANGE = {
    "multiclass": '''

def _arrange(input, target, weight, mask, ignore_index):
    """Target and weight as they fit the input: (N, C or 1, ...)<<and_sample_weights>>."""
    _fit(input, target=target, weight=weight, mask=mask)
    if input.dim() < 2:
        raise ValueError(f"input has shape {tuple(input.shape)}; it must be (N, C, ...)")
    positions = (input.shape[0], *input.shape[2:])
    keep = None
    shapes = f"probabilities {tuple(input.shape)} or class indices {positions}"
    if target.shape != (input.shape if target.is_floating_point() else positions):
        kind = f"{target.dtype} of shape {tuple(target.shape)}"
        raise ValueError(f"target is {kind}; it must be {shapes}, as integers (target.long())")
    mask = _placed(mask, positions, "mask")
    if not target.is_floating_point():
        target = target.long().unsqueeze(1)
        if mask is not None or not _plain(target, input.shape[1], ignore_index):
            keep = target == target if ignore_index is None else target != ignore_index
            keep = keep if mask is None else keep & mask
            target = torch.where(keep, target, 0)
            if _at_once(target) and target.numel():
                if not 0 <= target.min() <= target.max() < input.shape[1]:
                    raise ValueError(f"target must hold classes 0 to {input.shape[1] - 1}")
                keep = None if keep.all() else keep
    if weight is not None and weight.shape == input.shape[1:2] != input.shape[:1]:
        raise ValueError("weight is per sample or position; classes are weighed by class_weight")
<<sample_weight>>    weight = _placed(weight, positions, "weight")
    for kept in (keep, mask):
        if kept is not None:
            weight = kept.to(_dtype(input)) if weight is None else torch.where(kept, weight, 0)
    return target, weight<<sample_weight_result>>


def _plain(target, C, ignore_index):
    """Whether all labels are classes that count; False where to look at them would be to wait."""
    if not _at_once(target) or not target.numel():
        return False
    low, high = (x.item() for x in torch.aminmax(target))
    return 0 <= low and high < C and (ignore_index is None or not low <= ignore_index <= high)


def _placed(tensor, positions, name):
    """A weight or mask per sample, or per position, with a dimension for the classes."""
    if tensor is None:
        return None
    if tensor.shape == positions[:1]:
        tensor = tensor.reshape(-1, *[1] * (len(positions) - 1)).expand(positions)
    if tensor.shape != positions:
        shapes = f"{positions} or {positions[:1]}"
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; it must be {shapes}")
    return tensor.unsqueeze(1)
''',
    "multilabel": '''

def _arrange(input, target, weight, mask, ignore_index):
    """Target and weight as they fit the input: (N, C or 1, ...)<<and_sample_weights>>."""
    _fit(input, target=target, weight=weight, mask=mask)
    if input.dim() < 2:
        raise ValueError(f"input has shape {tuple(input.shape)}; it must be (N, C, ...)")
'''
    + _LABELS
    + '''

def _placed(tensor, input, name):
    """A weight or mask per element, per position or per sample, as (N, C or 1, ...)."""
    if tensor is None or tensor.shape == input.shape:
        return tensor
    positions = (input.shape[0], *input.shape[2:])
    if tensor.shape == input.shape[:1]:
        tensor = tensor.reshape(-1, *[1] * (input.dim() - 2)).expand(positions)
    if tensor.shape != positions:
        shapes = f"{tuple(input.shape)}, {positions} or {tuple(input.shape[:1])}"
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; it must be {shapes}")
    return tensor.unsqueeze(1)
''',
    "binary": '''

def _arrange(input, target, weight, mask, ignore_index):
    """Target and weight as they fit the input, and the weight of each sample."""
    _fit(input, target=target, weight=weight, mask=mask)
    if input.dim() < 1:
        raise ValueError("input must have a dimension for its samples: (N, ...)")
'''
    + _LABELS
    + '''

def _placed(tensor, input, name):
    """A weight or mask per element or per sample, of the input's shape."""
    if tensor is None or tensor.shape == input.shape:
        return tensor
    if tensor.shape != input.shape[:1]:
        shapes = f"{tuple(input.shape)} or {tuple(input.shape[:1])}"
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; it must be {shapes}")
    return tensor.reshape(-1, *[1] * (input.dim() - 1)).expand_as(input)
''',
}

# A weight per sample weighs the sample in a mean over samples; it is no part of its counts.
SAMPLE_WEIGHT = """\
    sample_weight = torch.ones(input.shape[0], dtype=_wide(input), device=input.device)
    if weight is not None and weight.shape == input.shape[:1]:
        sample_weight, weight = weight.to(sample_weight), None
        if _at_once(sample_weight) and not (sample_weight >= 0).all():
            raise ValueError("weight must not be negative")
"""

# From counts to the loss and the weights of the gradient, by what the tables are.
SCALARS = {
    "classes": '''

def _scalars(counts, <<class_weight_in>>absent, smooth, ranks<<pair_args>>):
    """The loss, what backward maps over the batch, and how each loss counts in a mean."""
    cells = counts[:4]
<<means>>    options = {<<class_weight_option>>"absent": absent, "smooth": smooth}
    loss = <<direction>>value(*cells<<mean_args>><<parameters>>, **options)
    plus, minus<<and_slopes>> = weights(*cells<<mean_args>><<parameters>>, **options)
<<known>>    pair = [<<scale>>plus, <<scale>>minus<<slope_results>>]
    pair = torch.stack([_tensor(w, cells[0]).expand_as(cells[0]) for w in pair])
    return loss, pair if ranks is None else pair * _size(ranks), <<share>>
''',
    "binary": '''

def _scalars(counts, absent, smooth, ranks<<pair_args>>):
    """The losses, what backward maps over the batch, and how each loss counts in a mean."""
    *cells, scored, live = _present(*counts[:4], absent, smooth)
<<means>>    loss = <<direction>>scored * value(*cells<<mean_args>><<parameters>>)
    plus, minus<<and_slopes>> = weights(*cells<<mean_args>><<parameters>>)
<<known>>    pair = [<<scale>>live * plus, <<scale>>live * minus<<slope_results>>]
    pair = torch.stack([_tensor(w, cells[0]).expand_as(cells[0]) for w in pair])
    pair = pair if ranks is None else pair * _size(ranks)
    counted = sum(counts[:4]) > 0
    return loss, pair, counted & (live > 0) if absent == "skip" else counted
''',
    "samples": '''

def _scalars(counts, <<class_weight_in>>sample_weight, absent, smooth, ranks<<pair_args>>):
    """The loss, and what backward maps over the batch."""
<<pool>>    if ranks is not None:
        (<<gathered>>, sample_weight), own = _gathered([<<gathered>>, sample_weight], ranks)
    cells = counts[:4]
    share = sample_weight * (sum(cells) > 0)
<<means>>    options = {"sample_weight": share, "absent": absent, "smooth": smooth}
    loss = <<direction>>value(*cells<<mean_args>><<parameters>>, **options)
    plus, minus<<and_slopes>> = weights(*cells<<mean_args>><<parameters>>, **options)
<<known>>    pair = [<<scale>>plus, <<scale>>minus<<slope_results>>]
    pair = torch.stack([_tensor(w, share).expand_as(share) for w in pair])
    pair = pair if ranks is None else pair[:, own] * _size(ranks)
    return loss, <<pair_result>>, loss.new_ones(())


def _gathered(tables, ranks):
    """The tables of all ranks' samples, and the slice of them that is this rank's."""
    tables = torch.stack(tables)
    rank, N = torch.distributed.get_rank(ranks), tables.shape[1]
    sizes = tables.new_zeros(_size(ranks))
    sizes[rank] = N
    sizes = [int(size) for size in _over_ranks(sizes, ranks).tolist()]
    own = slice(sum(sizes[:rank]), sum(sizes[:rank]) + N)
    everything = tables.new_zeros(len(tables), sum(sizes))
    everything[:, own] = tables
    return _over_ranks(everything, ranks).unbind(), own
''',
}

REDUCED = '''

def _reduced(loss, share, reduction<<group_in>>):
    """The losses, weighed: as they are, summed, or averaged (0 where none counts)."""
    if reduction == "none":
        return loss * share
    total = (loss * share).sum()
    counted = share.sum()
<<reduced_over_ranks>>    return total if reduction == "sum" else total / torch.where(counted > 0, counted, 1)
'''

# The value of all ranks' samples, with the gradient of this rank's.
REDUCED_OVER_RANKS = """\
    if ranks is not None:
        sums = _over_ranks(torch.stack([total.detach(), counted]), ranks)
        total, counted = total + (sums[0] - total.detach()), sums[1]
"""

REDUCTION_CHECK = """\
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}')
"""
