"""The two passes over a batch of a loss over several tables, as text with holes.

Each has two spellings: by operations on whole tensors, which compilers, transforms and autograd can
follow, and in pieces that a CPU does at once. `torch_table_labels` has the second for class labels.
"""

from __future__ import annotations

FUNCTIONS = '''

class _<<pascal>>Function(torch.autograd.Function):
    """Forward reduces the batch to the counts of every <<slice>>, backward maps their weights over it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(<<tensors>>, <<settings>>):
<<count_line>>        loss, pair, share = _scalars(counts<<share_in>>, absent, smooth, ranks<<pair_args>>)
        return loss.to(_dtype(input), copy=True), share.to(_dtype(input)), pair

    @staticmethod
    def setup_context(ctx, inputs, output):
        <<tensors>>, *ctx.settings = inputs
        _, share, pair = output
        ctx.save_for_backward(pair, <<tensors>>)
        ctx.mark_non_differentiable(share, pair)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, *_):
        nothing = (None,) * <<nothings>>
        if grad_loss is None:
            return None, *nothing
        return _traced(grad_loss, *ctx.saved_tensors, *ctx.settings), *nothing


class _<<pascal>>Blocks(torch.autograd.Function):
    """The same at once on a CPU, in pieces that stay in its cache.

    Forward leaves <<kept_what>> where backward makes the gradient of it.
    """

    @staticmethod
    def forward(ctx, <<tensors>>, <<settings>>):
<<count_line_at_once>><<policy>>        loss, ctx.pair, share = _scalars(counts<<share_in>>, <<policy_name>>, smooth, ranks<<pair_args>>)
        ctx.settings = <<settings>>
        ctx.save_for_backward(<<tensors>>)
<<mark_share>>        return <<returned>>

    @staticmethod
    def backward(ctx, grad_loss<<and_share>>):
        <<tensors>> = ctx.saved_tensors
        <<settings>> = ctx.settings
        if torch.is_grad_enabled() or not _at_once(grad_loss):
            g = _traced(grad_loss, ctx.pair, *ctx.saved_tensors, *ctx.settings)
        else:
            kept, ctx.kept = ctx.kept, None
            if kept is None:  # counts are given, or this is a second backward
                _, kept = _over_blocks(input, target, weight, True, label_smoothing<<count_args>>)
            pair = ctx.pair
            pair = (<<upstream>>).clamp(-_HUGE, _HUGE)
<<finish>>            g = _narrow(g, input.dtype)
        return g, *(None,) * <<nothings>>


def _traced(grad_loss, pair, <<tensors>>, <<settings>>):
    """The gradient by operations that compilers, transforms and autograd can follow."""
    if torch.is_grad_enabled()<<unless_given>>:  # create_graph: the weights have gradients
        if ranks is not None:
            raise NotImplementedError("there are no second derivatives over a process_group")
        counts = _count(input, target, weight, label_smoothing<<count_args>>)
        pair = _scalars(counts<<share_in>>, absent, smooth, ranks<<pair_args>>)[1]
    pair = (<<upstream>>).clamp(-_HUGE, _HUGE)
    return _narrow(_map(input, target, weight, pair, label_smoothing<<count_args>>), input.dtype)
'''

# What forward counts, by spelling and by whether counts may be given.
COUNT_LINES = {
    "traced": """\
        counts = _over_ranks(_count(input, target, weight, label_smoothing<<count_args>>), ranks)
""",
    "traced, given": """\
        counts = given
        if given is None:
            counts = _count(input, target, weight, label_smoothing<<count_args>>)
            counts = _over_ranks(counts, ranks)
""",
    "traced, rows": """\
        counts = _count(input, target, weight, label_smoothing<<count_args>>)
""",
    "at once, given": """\
        counts, ctx.kept = given, None
        if given is None:
            keep = ctx.needs_input_grad[0]
            counts, ctx.kept = _over_blocks(input, target, weight, keep, label_smoothing<<count_args>>)
            counts = _over_ranks(counts, ranks)
""",
    "at once, rows": """\
        keep = ctx.needs_input_grad[0]
        counts, ctx.kept = _over_blocks(input, target, weight, keep, label_smoothing<<count_args>>)
""",
}

# Where every class has positives and negatives, no policy is asked for.
POLICY = """\
        policy = None if _complete(counts) else absent
"""
# One table of all classes is absent where one class alone of those that count is there.
POLICY_OF_ALL = """\
        policy = None if _complete(counts) and class_weight is None else absent
"""
COMPLETE = '''

def _complete(counts):
    """Whether all tables have positives and negatives, and there are several classes."""
    margins = counts[0:4:2] + counts[1:4:2]
    return counts.shape[-1] > 1 and margins.numel() > 0 and margins.min().item() > 0
'''

SUMMED_AT_ONCE = """\
        if _at_once(input, target, weight):
            return _over_blocks(input, target, weight, False<<settled_args>>)[0]
"""

COUNT = '''

def _sums(<<soft_in>>z, y, v<<count_args>>):
    """TP, FN, FP, TN<<and_sums>> of every <<table>>, and <<kept_what>>."""
<<soft_lines>><<element_losses>>    n = 1 - y
    if v is not None:
        y, n = y * v, n * v
    # Four sums of their own terms: a count taken as a difference of sums would cancel.
    sums = [(x * w).sum(<<dims>>) for x, w in ((y, a), (y, b), (n, a), (n, b))]
<<element_sums>>    return torch.stack(sums), <<kept_name>>


def _count(input, target, weight, label_smoothing<<count_args>>):
    """The counts of every <<table>> in one expression: of shape <<counts_shape>> each."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    return _sums(<<soft_traced>>z, y, v<<count_args>>)[0].to(_wide(input))


def _over_blocks(input, target, weight, keep, label_smoothing<<count_args>>):
    """The counts, float64, and <<kept_what>> where they are to be kept."""
<<counted_first>><<labels_first>>    pieces = _pieces(input, target, weight)
    kept = torch.empty(input.shape, dtype=_dtype(input)) if keep and len(pieces) > 1 else None
    places = pieces if kept is None else _pieces(kept)
    counts = torch.zeros(<<count>>, <<zeros_shape>>, dtype=torch.float64)
    for (<<rows_name>>, (z, y, v)), (_, (place, *_)) in zip(pieces, places):
        z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
        sums, left = _sums(<<soft_block>>z, y, v<<count_args>>)
        counts<<rows>> += sums
        if kept is not None:
            place.copy_(left)
    cells = counts[:4]
    if cells.numel() and cells.min() < -1e-5 * cells.abs().sum():
        raise ValueError("target must be in [0, 1] (ignore_index leaves labels out), weight at least 0")
    return counts, left<<clone>>.reshape(input.shape) if keep and kept is None else kept
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
        y = torch.zeros_like(z).scatter(1, y, 1)
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
    """The flat tensors in pieces that fit a CPU's cache, each after a slice of its samples."""
    flat = _flat(*tensors)
    N, C, M = flat[0].shape
    size = _BLOCK * torch.get_num_threads() // max(<<share_of_block>>, 1)
    if N * M <= 2 * size:
        return [(slice(None), flat)]
    width = max(1, min(M, size))
    height = max(1, size // width)
    rows = [slice(i, i + height) for i in range(0, N, height) for _ in range(0, M, width)]
    cut = []
    for t in flat:
        parts = [None] * len(rows) if t is None else t.split(height)
        if t is not None and width < M:
            parts = [piece for part in parts for piece in part.split(width, 2)]
        cut.append(parts)
    return [(row, pieces) for row, *pieces in zip(rows, *cut)]


def _spread(pair, rows):
    """The weights of the gradient for a piece: of shape (rows or 1, classes, 1) each."""
    return [w[<<spread_index>>] for w in pair]


def _sides(y, plus, minus):
    """y plus - (1 - y) minus: exact at y = 0 and y = 1, by what is fast for the shape."""
    if y.shape[2] == 1:
        return torch.lerp(-minus, plus, y)
    return y * plus - (1 - y) * minus


def _weighed(g, v):
    return g if v is None else g * v
'''

MAP_SIGMOID = '''

def _map(input, target, weight, pair, label_smoothing<<count_args>>):
    """The gradient in one expression."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    plus, minus<<and_rest>> = _spread(pair.to(z.dtype), ...)
    g = _sides(y, plus, minus) * _soft(z<<soft_args>>)[2]
<<bound>>    g = _weighed(g, v)<<map_losses>>
    return g.reshape(input.shape)


def _finish(slope, <<finish_input>>target, weight, pair, label_smoothing<<finish_args>>):
    """The gradient from the slope, in place."""
<<finished_first>>    pair = pair.to(slope.dtype)
<<spread_once>>    for <<rows_name>>, (s, <<finish_z>>y, v) in _pieces(slope, <<finish_input>>target, weight):
        <<ready_finish>>
<<spread_each>>        s.mul_(_sides(y, plus, minus))<<bound_in_place>>
        if v is not None:
            s.mul_(v)<<finish_losses>>
    return slope
'''

MAP_CLASSES = '''

def _map(input, target, weight, pair, label_smoothing<<count_args>>):
    """The gradient in one expression."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    p = <<to_p>><<q_line_map>>
    plus, minus<<and_rest>> = _spread(pair.to(p.dtype), ...)
    g = _sides(y, plus, minus)<<times_slope>>
<<bound>>    g = <<gradient_of>>
    return g.reshape(input.shape)


def _finish(probabilities, <<finish_input>>target, weight, pair, label_smoothing<<finish_args>>):
    """The gradient from the probabilities, in place."""
<<finished_first>>    pair = pair.to(probabilities.dtype)
<<spread_once>>    for <<rows_name>>, (p, <<finish_z>>y, v) in _pieces(probabilities, <<finish_input>>target, weight):
        <<ready_finish>><<q_line>>
<<spread_each>>        g = _sides(y, plus, minus)<<times_slope>>
<<bound_inside>>        p.copy_(<<gradient_of>>)
    return probabilities
'''

REST = {
    "softmax": '''

def _softmax(z):
    """The softmax over dimension 1, by the kernel that is fastest for the shape."""
    if z.shape[2] == 1:
        return torch.softmax(z[:, :, 0], 1).unsqueeze(2)
    return torch.softmax(z.contiguous(), 1)


def _likely(p):
    """1 for the class with p above 1/2, if there is one, else 0."""
    return torch.nn.functional.threshold(p, 0.5, 0.0).ceil_()


def _rest(p):
    """1 - p; where p is above 1/2, the sum of the others: nothing cancels."""
    likely = _likely(p)
    others = p - p * likely
    return (1 - p) * (1 - likely) + likely * others.sum(1, keepdim=True)
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
    return sum(_weighed(slope, v) * w for w, (_, slope) in zip(rest, losses))
''',
    "softmax": '''

def _losses(z, p, q, y, v, rest<<loss_args>>):
    """The element losses' part of the gradient: p_k sum_j u_j - u_k, without cancellation."""
    losses = <<element_calls>>
    u = sum(_weighed(h, v) * w for w, (_, h) in zip(rest, losses))
    return p * (u.sum(1, keepdim=True) - u) - q * u
''',
    "given": '''

def _losses(z, p, q, y, v, rest<<loss_args>>):
    """The element losses' part of the gradient: -u_k / p_k."""
    losses = <<element_calls>>
    u = sum(_weighed(h, v) * w for w, (_, h) in zip(rest, losses))
    return -u / p.clamp(min=1e-30)
''',
}
