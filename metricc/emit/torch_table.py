"""The generated file of a loss over several tables (one a class, one a sample), as text with holes.

What differs by task and averaging stands in fragments of its own; `torch.render` chooses them.
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
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, share, counted
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
<<shares>><<settle>>    arguments = (<<counts_argument>><<share_argument>>label_smoothing, absent, smooth<<store>>)
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


class _<<pascal>>Function(torch.autograd.Function):
    """Forward reduces the batch to the counts of every <<slice>>, backward maps their weights over it.

    On a CPU forward also leaves <<kept_what>> where backward makes the gradient of it.
    """

    @staticmethod
    def forward(input, target, weight<<given_in>><<share_in>>, label_smoothing, absent, smooth<<store>>):
        keep = _at_once(input) and input.requires_grad<<unless_given>>
        kept = input.new_empty(input.shape if keep else 0, dtype=_dtype(input))
<<count_line>>        loss, pair, share = _scalars(counts<<share_in>>, absent, smooth<<pair_args>>)
        return loss.to(kept.dtype), share.to(kept.dtype), pair, kept

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight, *ctx.arguments = inputs
        _, share, pair, ctx.kept = output
        ctx.save_for_backward(input, target, weight, pair)
        ctx.mark_non_differentiable(share, pair, ctx.kept)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, *_):
        nothing = (None,) * (2 + len(ctx.arguments))
        if grad_loss is None:
            return None, *nothing
        input, target, weight, pair = ctx.saved_tensors
        <<given_argument>><<share_argument>>label_smoothing, absent, smooth<<store>> = ctx.arguments
        if torch.is_grad_enabled()<<unless_given>>:  # create_graph: the weights have gradients
            counts = _count(input, target, weight, None, label_smoothing<<count_args>>)
            pair = _scalars(counts<<share_in>>, absent, smooth<<pair_args>>)[1]
        pair = (<<upstream>>).clamp(-_HUGE, _HUGE)
        if ctx.kept is None or ctx.kept.shape != input.shape or not _at_once(input):
            g = _map(input, target, weight, pair, label_smoothing<<count_args>>)
        else:  # what is kept turns into the gradient; another backward finds none
            kept, ctx.kept = ctx.kept, None
            g = _finish(kept, <<finish_input>>target, weight, pair, label_smoothing<<finish_args>>)
        return _narrow(g, input.dtype), *nothing
'''

COUNT = '''

def _count(input, target, weight, kept, label_smoothing<<count_args>>):
    """TP, FN, FP, TN<<and_sums>> of every <<table>>: float64, of shape <<counts_shape>> each."""
    counts = torch.zeros(<<count>>, <<zeros_shape>>, dtype=_wide(input), device=input.device)
    for <<rows_name>>, (z, y, v, s) in _pieces(input, target, weight, kept):
        z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
<<soft_lines>><<element_losses>>        n = 1 - y
        if v is not None:
            y, n = y * v, n * v
        # Four sums of their own terms: a count taken as a difference of sums would cancel.
        terms = y * a, y * b, n * a, n * b<<element_terms>>
        counts<<rows>> += torch.stack([term.sum(<<dims>>) for term in terms])
        if s is not None:
            s.copy_(<<kept_name>>)
    cells = counts[:4]
    if _at_once(input) and cells.numel() and cells.min() < -1e-5 * cells.abs().sum():
        raise ValueError("target must be in [0, 1] (ignore_index leaves labels out), weight at least 0")
    return counts.unbind()
'''

READY = {
    "multiclass": '''

def _ready(z, y, v, label_smoothing):
    """Input, labels and weight of a piece; what weighs nothing is made harmless (it may be NaN)."""
    if v is not None:
        v = v.to(z.dtype)
        z = z.masked_fill(v == 0, 0)
    if y.is_floating_point():
        y = y.to(z.dtype) if v is None else y.to(z.dtype).masked_fill(v == 0, 0)
    else:
        y = torch.zeros_like(z).scatter_(1, y, 1)
    if label_smoothing:
        y = y * (1 - label_smoothing) + label_smoothing / y.shape[1]
    return z, y, v
''',
    "sigmoid": '''

def _ready(z, y, v, label_smoothing):
    """Input, labels and weight of a piece; what weighs nothing is made harmless (it may be NaN)."""
    y = y.to(z.dtype)
    if v is not None:
        v = v.to(z.dtype)
        z, y = z.masked_fill(v == 0, 0), y.masked_fill(v == 0, 0)
    if label_smoothing:
        y = y * (1 - label_smoothing) + label_smoothing / 2
    return z, y, v
''',
}

PIECES = '''

def _flat(*tensors):
    """The tensors as (samples, classes, positions)."""
    N, M = <<sizes>>
    return [None if t is None else t.reshape(N, <<classes_of>>, M) for t in tensors]


def _pieces(*tensors):
    """The flat tensors, where this runs at once cut into pieces that fit a CPU's cache.

    With each piece comes a slice of the samples that it holds.
    """
    flat = _flat(*tensors)
    if not _at_once(tensors[0]):
        return [(slice(None), flat)]
    N, C, M = flat[0].shape
    size = _BLOCK * torch.get_num_threads() // max(C, 1)
    width = max(1, min(M, size))
    height = max(1, size // width)
    return [
        (slice(i, i + height), [None if t is None else t[i : i + height, :, j : j + width] for t in flat])
        for i in range(0, max(N, 1), height)
        for j in range(0, max(M, 1), width)
    ]


def _spread(pair, rows):
    """The weights of the gradient for a piece: of shape (rows or 1, classes, 1) each."""
    return [w[<<spread_index>>] for w in pair]


def _sides(y, plus, minus):
    """y plus - (1 - y) minus. lerp is exact at y = 0 and y = 1."""
    return torch.lerp(-minus.to(y.dtype), plus.to(y.dtype), y)


def _weighed(g, v):
    return g if v is None else g * v
'''

MAP_SIGMOID = '''

def _map(input, target, weight, pair, label_smoothing<<count_args>>):
    """The gradient in one expression, which compilers and autograd can follow."""
    rows, (z, y, v) = slice(None), _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    plus, minus<<and_rest>> = _spread(pair, rows)
    g = _sides(y, plus, minus) * _soft(z<<soft_args>>)[2]
<<bound>>    g = _weighed(g, v)<<map_losses>>
    return g.reshape(input.shape)


def _finish(slope, <<finish_input>>target, weight, pair, label_smoothing<<finish_args>>):
    """The gradient from the slope, in place."""
    for rows, (s, <<finish_z>>y, v) in _pieces(slope, <<finish_input>>target, weight):
        <<ready_finish>>
        plus, minus<<and_rest>> = _spread(pair, rows)
        s.mul_(_sides(y, plus, minus))<<bound_in_place>>
        if v is not None:
            s.mul_(v)<<finish_losses>>
    return slope
'''

MAP_CLASSES = '''

def _map(input, target, weight, pair, label_smoothing<<count_args>>):
    """The gradient in one expression, which compilers and autograd can follow."""
    rows, (z, y, v) = slice(None), _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    p = <<to_p>><<q_line_map>>
    plus, minus<<and_rest>> = _spread(pair, rows)
    g = _sides(y, plus, minus)<<times_slope>>
<<bound>>    g = <<gradient_of>>
    return g.reshape(input.shape)


def _finish(probabilities, <<finish_input>>target, weight, pair, label_smoothing<<finish_args>>):
    """The gradient from the probabilities, in place."""
    for rows, (p, <<finish_z>>y, v) in _pieces(probabilities, <<finish_input>>target, weight):
        <<ready_finish>><<q_line>>
        plus, minus<<and_rest>> = _spread(pair, rows)
        g = _sides(y, plus, minus)<<times_slope>>
<<bound_inside>>        p.copy_(<<gradient_of>>)
    return probabilities
'''

REST = {
    "softmax": '''

def _softmax(z):
    """The softmax over dimension 1, by the kernel that is fastest for the shape."""
    if z.shape[2] == 1 and z.shape[1] > 32:
        return torch.softmax(z[:, :, 0], 1).unsqueeze(2)
    return torch.softmax(z.contiguous(), 1)


def _likely(p):
    """1 for the class with p above 1/2, if there is one, else 0."""
    return torch.nn.functional.threshold(p, 0.5, 0.0).ceil_()


def _rest(p):
    """1 - p; where p is above 1/2, the sum of the others: nothing cancels."""
    likely = _likely(p)
    others = (p - p * likely).sum(1, keepdim=True)
    return torch.lerp(1 - p, others.expand_as(p), likely)
''',
    "given": """

def _rest(p):
    return 1 - p
""",
}

THROUGH = '''

def _through(p, g):
    """From dL/dp to dL/dz: p_k (g_k - sum_j p_j g_j), g counted from that of the likely class.

    The difference does not change, and nothing cancels where p is near 1.
    """
    g = g - (g * _likely(p)).sum(1, keepdim=True)
    return p * (g - (p * g).sum(1, keepdim=True))
'''

LOSSES = {
    "sigmoid": '''

def _losses(z, y, v, rest<<loss_args>>):
    """The element losses' part of the gradient."""
    # The weight first: it and its sum in w may both be tiny.
    losses = <<element_calls>>
    return sum(_weighed(slope, v) * w.to(z.dtype) for w, (_, slope) in zip(rest, losses))
''',
    "softmax": '''

def _losses(z, p, q, y, v, rest<<loss_args>>):
    """The element losses' part of the gradient: p_k sum_j u_j - u_k, without cancellation."""
    losses = <<element_calls>>
    u = sum(_weighed(h, v) * w.to(p.dtype) for w, (_, h) in zip(rest, losses))
    return p * (u.sum(1, keepdim=True) - u) - q * u
''',
    "given": '''

def _losses(z, p, q, y, v, rest<<loss_args>>):
    """The element losses' part of the gradient: -u_k / p_k."""
    losses = <<element_calls>>
    u = sum(_weighed(h, v) * w.to(p.dtype) for w, (_, h) in zip(rest, losses))
    return -u / p.clamp(min=1e-30)
''',
}

# Where counts can be given: the tables are the batch's, not the samples'.
COUNTS_METHOD = '''
    def counts(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """<<cells>> of a batch, (<<count>>, C), without gradient: they add over batches."""
        target, weight = _arrange(input, target, weight, mask, self.ignore_index)
        return _summed(input, target, weight, self.label_smoothing<<own_count_args>>)
'''
COUNT_LINE = """\
        counts = _count(input, target, weight, kept if keep else None, label_smoothing<<count_args>>)
"""
COUNT_UNLESS_GIVEN = """\
        counts = given
        if given is None:
            counts = _count(input, target, weight, kept if keep else None, label_smoothing<<count_args>>)
"""
SETTLE = """\
    if counts is not None:
        counts = _settled(counts, input, target, weight, label_smoothing<<count_args>>)
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
    if _on_cpu(input) and not (share.isfinite().all() and (share >= 0).all() and share.sum() > 0):
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
        keep = target == target if ignore_index is None else target != ignore_index
        keep = keep if mask is None else keep & mask
        target = torch.where(keep, target, 0)
        if _on_cpu(input) and target.numel():  # to look at the values, other devices would wait
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
    sample_weight = torch.ones(len(input), dtype=_wide(input), device=input.device)
    if weight is not None and weight.shape == input.shape[:1]:
        sample_weight, weight = weight.to(sample_weight), None
        if _on_cpu(input) and not (sample_weight >= 0).all():
            raise ValueError("weight must not be negative")
"""

# From counts to the loss and the weights of the gradient, by what the tables are.
SCALARS = {
    "classes": '''

def _scalars(counts, <<class_weight_in>>absent, smooth<<pair_args>>):
    """The loss, what backward maps over the batch, and how each loss counts in a mean."""
    cells = counts[:4]
<<means>>    options = {<<class_weight_option>>"absent": absent, "smooth": smooth}
    loss = <<direction>>value(*cells<<mean_args>><<parameters>>, **options)
    plus, minus<<and_slopes>> = weights(*cells<<mean_args>><<parameters>>, **options)
<<known>>    pair = [<<scale>>plus, <<scale>>minus<<slope_results>>]
    pair = torch.stack([_tensor(w, cells[0]).expand_as(cells[0]) for w in pair])
    return loss, pair, <<share>>
''',
    "binary": '''

def _scalars(counts, absent, smooth<<pair_args>>):
    """The losses, what backward maps over the batch, and how each loss counts in a mean."""
    *cells, scored, live = _present(*counts[:4], absent, smooth)
<<means>>    loss = <<direction>>scored * value(*cells<<mean_args>><<parameters>>)
    plus, minus<<and_slopes>> = weights(*cells<<mean_args>><<parameters>>)
<<known>>    pair = [<<scale>>live * plus, <<scale>>live * minus<<slope_results>>]
    pair = torch.stack([_tensor(w, cells[0]).expand_as(cells[0]) for w in pair])
    counted = sum(counts[:4]) > 0
    return loss, pair, counted & (live > 0) if absent == "skip" else counted
''',
    "samples": '''

def _scalars(counts, <<class_weight_in>>sample_weight, absent, smooth<<pair_args>>):
    """The loss, and what backward maps over the batch."""
<<pool>>    share = sample_weight * (sum(cells) > 0)
<<means>>    options = {"sample_weight": share, "absent": absent, "smooth": smooth}
    loss = <<direction>>value(*cells<<mean_args>><<parameters>>, **options)
    plus, minus<<and_slopes>> = weights(*cells<<mean_args>><<parameters>>, **options)
<<known>>    pair = [<<scale>>plus, <<scale>>minus<<slope_results>>]
    pair = torch.stack([_tensor(w, share).expand_as(share) for w in pair])
    return loss, <<pair_result>>, loss.new_ones(())
''',
}

REDUCED = '''

def _reduced(loss, share, reduction):
    """The losses, weighed: as they are, summed, or averaged (0 where none counts)."""
    if reduction == "none":
        return loss * share
    total = (loss * share).sum()
    counted = share.sum()
    return total if reduction == "sum" else total / torch.where(counted > 0, counted, 1)
'''

REDUCTION_CHECK = """\
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}')
"""
