"""The file of a loss over one table a batch, as text with holes: four counts, two weights."""

from __future__ import annotations

SCALAR = '''\
def <<name>>_loss(input: Tensor, target: Tensor, *<<columns_first>>, weight: Tensor | None = None, mask: Tensor | None = None, counts: Tensor | Counts | None = None, ignore_index: float | None = None, label_smoothing: float = 0.0, smooth: float = 0.0, absent: str = "diagonal", process_group: "torch.distributed.ProcessGroup | str | None" = None<<keywords>>) -> Tensor:
    """The loss of a batch of <<input>>: a scalar. ValueError where the tensors do not fit."""
<<require>>    _policy(absent, smooth, label_smoothing)
    input, target, weight<<columns>> = _arrange(input, target, weight, mask, ignore_index, label_smoothing<<named_columns>>)
    ranks = None if process_group is None else _group(process_group)
    if counts is not None:
        counts = _settled(counts, input, target, weight<<count_args>>, ranks)
    options = (counts, ranks, absent, smooth<<store>>)
    if _at_once(input, target, weight, counts):
<<by_kernel>>        return _<<pascal>>Blocks.apply(input, target, weight, options<<star_columns>>)
    return _<<pascal>>Function.apply(input, target, weight, *options<<star_columns>>)[0]


class <<pascal>>Loss(torch.nn.Module):
    """`<<name>>_loss` as a module. It holds no state."""

    def __init__(self, *<<keywords>>, ignore_index: float | None = None, label_smoothing: float = 0.0, smooth: float = 0.0, absent: str = "diagonal", process_group: "torch.distributed.ProcessGroup | str | None" = None):
        super().__init__()
<<require_in_module>>        _policy(absent, smooth, label_smoothing)
<<assign>>        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.smooth = smooth
        self.absent = absent
        self.process_group = process_group

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None, counts: Tensor | Counts | None = None<<columns_last>>) -> Tensor:
        return <<name>>_loss(input, target<<passed_columns>>, weight=weight, mask=mask, counts=counts, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, smooth=self.smooth, absent=self.absent, process_group=self.process_group<<stored>>)

    def counts(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None<<columns_last>>) -> Tensor:
        """<<cells>> of a batch, (<<count>>,), without gradient: they add over batches and ranks."""
        input, target, weight<<columns>> = _arrange(input, target, weight, mask, self.ignore_index, self.label_smoothing<<named_columns>>)
        return _summed(input, target, weight<<own_count_args>>)
<<set_surrogate>>
    def extra_repr(self) -> str:
        return <<shown>>


class _<<pascal>>Function(torch.autograd.Function):
    """Forward reduces the batch to <<how_many_counts>> counts, backward maps <<how_many_weights>> weights over it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(input, target, weight, counts, ranks, absent, smooth<<store>><<star_columns>>):
        if counts is None:
            counts = _over_ranks(_count(input, target, weight<<count_args>>), ranks)
        loss, *pair = _scalars(counts, absent, smooth<<pair_args>>)
        pair = torch.stack([_tensor(x, input) for x in pair]) * _size(ranks)
        return _bounded(_tensor(loss, input), _dtype(input)), pair

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight, counts, *ctx.arguments = inputs
<<apart_columns>>        ctx.save_for_backward(input, target, weight, counts, output[1]<<star_columns>>)
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, _):
        nothing = (None,) * (3 + len(ctx.arguments)<<plus_columns>>)
        if grad_loss is None:
            return None, *nothing
        input, target, weight, counts, pair<<star_columns>> = ctx.saved_tensors
        ranks, absent, smooth<<store>> = ctx.arguments
        if torch.is_grad_enabled() and counts is None:
            pair = _again(input, target, weight, ranks, absent, smooth<<store>><<columns>>)
        return _map(input, target, weight, grad_loss * pair<<count_args>>), *nothing


class _<<pascal>>Blocks(torch.autograd.Function):
    """The same for tensors of a CPU, at once: block by block, with counts and weights as floats.

    Forward leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(ctx, input, target, weight, options<<star_columns>>):
        counts, ranks, absent, smooth<<store>> = options
        keep = ctx.needs_input_grad[0]
        sums, ctx.slope = _over_blocks(input, target, weight, keep<<count_args>>)
        loss, *ctx.pair = _judged(sums, input, counts, ranks, absent, smooth<<pair_args>>)
        ctx.save_for_backward(input, target, weight<<star_columns>>)
        ctx.options = options
        return input.new_full((), loss, dtype=_dtype(input))

    @staticmethod
    def backward(ctx, grad_loss):
        input, target, weight<<star_columns>> = ctx.saved_tensors
        counts, ranks, absent, smooth<<store>> = ctx.options
        slope, ctx.slope = ctx.slope, None
        if _at_once(grad_loss) and not torch.is_grad_enabled():
            if slope is None:  # this is a second backward
                _, slope = _over_blocks(input, target, weight, True<<count_args>>)
            scale = grad_loss.item()
            g = _finish(slope, <<finish_input>>target, weight, [scale * x for x in ctx.pair]<<finish_args>>)
            g = _narrow(g.view(input.shape), input.dtype)
        else:
            pair = _tensor(ctx.pair, input)
            if torch.is_grad_enabled() and counts is None:
                pair = _again(input, target, weight, ranks, absent, smooth<<store>><<columns>>)
            g = _map(input, target, weight, grad_loss * pair<<count_args>>)
        return g, *(None,) * <<how_many_constants>>


def _judged(sums, input, counts, ranks, absent, smooth<<pair_args>>):
    """As floats, the loss and what backward maps, at counts that are given or those of all ranks."""
    if counts is not None:
        sums = counts.tolist()
    elif ranks is not None:
        sums = _over_ranks(_tensor(sums, input), ranks).tolist()
    loss, *pair = _scalars(sums, absent, smooth<<pair_args>>)
    if ranks is not None:
        pair = [x * _size(ranks) for x in pair]
    if not -3e38 < loss < 3e38:
        largest = torch.finfo(_dtype(input)).max
        loss = min(max(loss, -largest), largest)
    return loss, *pair


def _scalars(counts, absent, smooth<<pair_args>>):
    """The loss, and its derivatives in A at a positive and at a negative<<and_losses>>."""
<<scalars>>

def _again(input, target, weight, ranks, absent, smooth<<store>><<columns>>):
    """What backward maps, with derivatives of its own."""
    if _size(ranks) != 1:
        raise NotImplementedError("a process_group has no second derivatives, and no torch.func")
    _, *pair = _scalars(_count(input, target, weight<<count_args>>), absent, smooth<<pair_args>>)
    return torch.stack([_tensor(x, input) for x in pair])


<<soft>>

def _sums(soft, z, y, v<<count_args>>):
    """<<the_counts>>, as 0-d tensors, and the surrogate's slope."""
    y = _as(y, z.dtype)
    a, b, d = soft(z<<soft_args>>)
<<element_losses>>    n = 1 - y
    if v is not None:
        v = _as(v, z.dtype)
        y, n = y * v, n * v
    # Four sums of their own terms: a count taken as a difference of sums would cancel.
    sums = torch.dot(y, a), torch.dot(y, b), torch.dot(n, a), torch.dot(n, b)<<column_sums>><<element_sums>>
    return sums, d


def _count(input, target, weight<<count_args>>):
    """The counts as a tensor."""
    z, y, v<<star_pieces>> = _flat(input, target, weight<<star_columns>>)
    sums, _ = _sums(_soft, _as(z, _dtype(z)), y, v<<sum_args>>)
    return torch.stack([x.to(_wide(input)) for x in sums])


def _over_blocks(input, target, weight, keep<<count_args>>):
    """The counts as floats and, where it is to be kept, the surrogate's slope."""
    dtype = _dtype(input)
    parts = _blocks(input, target, weight<<star_columns>>)
    slope = input.new_empty(input.numel(), dtype=dtype) if keep and len(parts) > 1 else None
    counts, n = None, 0
    for z, y, v<<star_pieces>> in parts:
        sums, d = _sums(<<soft_block>>, _as(z, dtype), y, v<<sum_args>>)
        sums = [x.item() for x in sums]
        counts = sums if counts is None else [count + x for count, x in zip(counts, sums)]
        if slope is not None:
            slope[n : n + d.numel()] = d
            n += d.numel()
    if keep and slope is None:
        slope = d<<clone>>
<<negative>>    return counts, slope
'''

NEGATIVE = """\
    if min(counts{four}) < 0 and min(counts{four}) < -1e-5 * sum(map(abs, counts{four})):
        raise ValueError("target must be in [0, 1] (ignore_index leaves labels out), weight at least 0")
"""

SCALARS = """\
    *cells, scored, live = _present(*counts, absent, smooth)
    w_plus, w_minus = weights(*cells<<parameters>>)
<<known>>    loss = <<direction>>scored * value(*cells<<parameters>>)
    return loss, <<scale>>live * w_plus, <<flipped>>live * w_minus
"""

SCALARS_WITH_ELEMENTS = """\
    total = sum(counts[:4])
    means = [_ratio(x, total) for x in counts<<losses_from>>]
    *cells, scored, live = _present(*counts<<four>>, absent, smooth)
    w_plus, w_minus, *slopes = weights(*cells, *means<<parameters>>)
<<known>>    loss = <<direction>>scored * value(*cells, *means<<parameters>>)
    slopes = [(total > 0) * _ratio(<<sign>>scored * slope, total) for slope in slopes]
    return loss, <<scale>>live * w_plus, <<flipped>>live * w_minus, *slopes
"""

PASSES = '''

def _map(input, target, weight, pair<<count_args>>):
    """The gradient in one expression, which compilers and autograd can follow."""
    z = _as(input, _dtype(input))
    y = _as(target, z.dtype)
    pair = pair.clamp(-_HUGE, _HUGE).to(y.dtype).unbind()
    plus, minus<<and_rest>> = <<sides_of_pair>>
    g = (y * plus + (1 - y) * minus) * _soft(z<<soft_args>>)[2]
<<bound>>    return _narrow(_weighed(g, weight)<<map_losses>>, input.dtype)


def _finish(slope, <<finish_input>>target, weight, pair<<finish_args>>):
    """The gradient from the slope, in place."""
    parts = _blocks(slope, <<finish_input>>target, weight<<star_columns>>)
    size = parts[0][0].numel()
    pair = [slope.new_full((size,), min(max(x, -_HUGE), _HUGE)) for x in pair]
    for s, <<finish_z>>y, v<<star_pieces>> in parts:
        if s.numel() < size:  # the last
            pair = [x[: s.numel()] for x in pair]
        plus, minus<<and_rest>> = <<sides_of_block>>
        s.mul_(torch.lerp(minus, plus, _as(y, s.dtype)))<<bound_in_place>>
        if v is not None:
            s.mul_(v)<<finish_losses>>
    return slope


<<sides>>def _bounded(loss, dtype):
    """To the loss's type; what is larger than all its numbers is the largest."""
    largest = torch.finfo(dtype).max
    return loss.clamp(-largest, largest).to(dtype)


def _weighed(g, v):
    return g if v is None else g * v


def _as(tensor, dtype):
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def _flat(*tensors):
    return [t if t is None or t.dim() == 1 else t.reshape(-1) for t in tensors]


def _blocks(*tensors):
    """The tensors flat, cut into blocks that stay in a CPU's cache."""
    flat = _flat(*tensors)
    n, size = flat[0].numel(), _BLOCK * torch.get_num_threads()
    if n <= size:
        return [flat]
    starts = range(0, n, size)
    return [[None if t is None else t[i : i + size] for t in flat] for i in starts]


def _arrange(input, target, weight, mask, ignore_index, label_smoothing<<columns>>):
    """The tensors as they are counted. Refuses those that do not fit together."""
    _fit(input, target=target, weight=weight, mask=mask<<fit_columns>>)
    if target.shape != input.shape:
        raise ValueError(f"input has shape {tuple(input.shape)}, target {tuple(target.shape)}")
    weight = weight if weight is None else _spread(weight, input, "weight")
<<spread_columns>>    if mask is not None or ignore_index is not None:
        input, target, weight = _kept(input, target, weight, mask, ignore_index)
<<kept_columns>>    if label_smoothing:
        target = _as(target, _dtype(input)) * (1 - label_smoothing) + label_smoothing / 2
    return input, target, weight<<columns>>


def _spread(tensor, input, name):
    """A tensor per element as it is; one per sample over the elements of each sample."""
    if tensor.shape == input.shape:
        return tensor
    if tensor.shape != input.shape[:1]:
        shapes = f"{tuple(input.shape)} or {tuple(input.shape[:1])}"
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; it must be {shapes}")
    return tensor.reshape(-1, *[1] * (input.dim() - 1)).expand_as(input)


def _kept(input, target, weight, mask, ignore_index):
    """Weight 0, and a harmless input and target, for what is masked out or ignored."""
    keep = torch.ones_like(target, dtype=torch.bool)
    if mask is not None:
        keep = _spread(mask, input, "mask")
    if ignore_index is not None:  # NaN ignores NaN
        ignored = target.isnan() if ignore_index != ignore_index else target == ignore_index
        keep = keep & ~ignored
    weight = keep.to(_dtype(input)) if weight is None else torch.where(keep, weight, 0)
    return torch.where(keep, input, 0), torch.where(keep, target, 0), weight
'''

LOSSES = '''

def _losses(z, y, v, pair<<loss_args>>):
    """The element losses' part of the gradient; `pair` are their weights."""
    # The weight first: it and its sum in w may both be tiny.
    losses = <<element_calls>>
    return sum(_weighed(slope, v) * w for w, (_, slope) in zip(pair, losses))
'''
