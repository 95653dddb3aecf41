"""bce_dice as a PyTorch loss: bce_dice of soft predictions, with its exact gradient.

    loss = BceDiceLoss()
    loss(logits, target).backward()

Metric     bce_dice = 0.5*bce + macro(0.5*(1 - f1)), where f1 = 2*TP/(2*TP + FN + FP)
Loss       bce_dice. The metric is an error rate (proved from the signs of w_plus and w_minus).
Gradient   d loss/dz_ik = v_ik (y_ik w_plus_k - (1 - y_ik) w_minus_k) dA/dz_ik; plus the slopes of
           bce
           w_plus = dM/dTP - dM/dFN = d_macro*(-(TP + FN + FP)/(2*TP + FN + FP)^2)
           w_minus = dM/dTN - dM/dFP = d_macro*(-TP/(2*TP + FN + FP)^2)
           for each class; d_macro is 1/C where C classes count alike
Surrogate  amplified: A(p) = sigmoid(L*(p - threshold)), p = sigmoid(z), z the input; AnyLoss: Han,
           Moniz, Chawla 2024, arXiv 2405.14745
           A(0) = sigmoid(-L*threshold) is not 0: at the defaults (L=10, threshold=0.5) a sure
           negative still counts .0067 in FP, which is .66 of a false positive for each positive
           where one sample in a hundred is positive. A larger L lessens that and flattens the slope
           away from the threshold: at L = 73 (the paper's) it is 1.5e-7 of its peak at |z| = 1.
Outputs    A model trained on this loss decides at `threshold`; its outputs are scores, not
           probabilities: calibrate them on held-out data before reading them as such.
Undefined  of a class, where there are no positives, real or predicted (TP = FN = FP = 0).
Classes    A class without positives, or without negatives, is absent from a sample.
           absent='diagonal' gives it one unit of weight in TP and in TN: the right empty prediction
           is then perfect, a wrong one is not, and gradients push the right way. absent='skip'
           leaves it out of averages (where all are absent, as 'diagonal'), absent='zero' scores it
           0. The default here is 'diagonal'; smooth is added to all four counts. 0/0 is 0; loss and
           gradient are finite for every finite input.
Tensors    input: logits of shape (N, C, ...); target: labels in [0, 1] of the same shape; weight:
           per element, per position (N, ...) or per sample (N,), at least 0; mask: bool, likewise,
           and ignore_index: a label: what is masked out (False) or ignored counts nothing, gets
           gradient 0, and may be NaN. class_weight: how often each class counts in averages;
           classes, exclude_background: those that do. float16 and bfloat16 inputs are summed in
           float32 and give a float32 loss; the counts are float64 (float32 on devices without).
           Every sample has tables and a loss of its own; a weight per sample weighs its loss.
           reduction: 'mean', 'sum' or 'none' of the losses, which are weighed first.
           process_group: the ranks that share one batch, a ProcessGroup or 'world'; each must call.
           Their counts are summed: each has the loss of the whole batch, whose classes are absent
           where all ranks lack them, and its part of the gradient times the number of ranks, by
           which DDP and FSDP divide. There are no second derivatives then, nor torch.func.

Made by metricc 0.1.0:  metricc compile '0.5*bce + 0.5*(1 - f1)' --name bce_dice --task multilabel --per sample --minimize
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["BceDiceLoss", "bce_dice_loss", "gradient", "value", "weights"]

METRICC = {'version': '0.1.0', 'formula': '0.5*bce + 0.5*(1 - f1)', 'options': {'name': 'bce_dice', 'task': 'multilabel', 'per': 'sample', 'surrogate': 'amplified', 'from_probabilities': False, 'goal': 'minimize'}, 'forms': {'value': 'factored; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'as written; proved: rational functions', 'M_FP': 'as written; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'factored; proved: rational functions', 'w_minus': 'as written; proved: rational functions', 'outer value': 'as written; proved: rational functions', 'outer M_r1': 'as written; proved: rational functions', 'outer M_bce': 'as written; proved: rational functions'}, 'formula_sha256': 'b40b1bb7408ea0177732a1ce7642c9ea534dc36a79d24f0345f5672ae763371b', 'file_sha256': '84d7119d7b845bd2160fa93906eafa01f5265ac323072b58d67ddf2faff7abb2', 'code_sha256': '869da200544de3e810f74d96ff068e7e909f91ec04f01be2c291a506218d49a8', 'words_sha256': 'cb9c790c7f212a7e9faa0bc5bcd2b2abe457c7a149c07f118f2d9f0286b94963', 'record_sha256': 'd4e98f09e456abab0fa3c4fcff7652fadd5b62ae1c21d9fee2fa5508926d046a'}  # fmt: skip  # noqa: E501

_BLOCK = 131_072  # elements that each thread of a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(TP, FN, FP, TN, bce, class_weight=None, absent=None, smooth=0.0):
    """The metric on counts of shape (..., classes)."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    x1 = FN + FP
    return (_mean(_ratio(x1, 2 * (2 * TP + x1)), share, counted) + bce / 2).squeeze(-1)


def gradient(TP, FN, FP, TN, bce, class_weight=None, absent=None, smooth=0.0):
    """Its derivatives in TP, FN, FP, TN and bce."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    x1 = FN + FP
    x2 = 2 * TP + x1
    x3 = _ratio(TP, x2**2)
    slope = _mean_slope(share, counted)
    return slope * _ratio(-x1, x2**2), slope * x3, slope * x3, 0, 1 / 2


def weights(TP, FN, FP, TN, bce, class_weight=None, absent=None, smooth=0.0):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP, then the derivatives in bce."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    x1 = FN + FP
    x2 = 2 * TP + x1
    slope = _mean_slope(share, counted)
    return slope * _ratio(-(TP + x1), x2**2), slope * _ratio(-TP, x2**2), 1 / 2


def _require(L, threshold):
    """ValueError for an argument outside its range."""
    if not 0 < L < 1000000:
        raise ValueError(f"L must lie in (0, 1000000), not {L}")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie in (0, 1), not {threshold}")


def bce_dice_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    class_weight: Sequence[float] | Tensor | None = None,
    classes: Sequence[int] | None = None,
    exclude_background: bool = False,
    ignore_index: float | None = None,
    label_smoothing: float = 0.0,
    smooth: float = 0.0,
    absent: str = "diagonal",
    reduction: str = "mean",
    process_group: "torch.distributed.ProcessGroup | str | None" = None,
    L: float = 10.0,
    threshold: float = 0.5,
) -> Tensor:
    """The loss of logits of shape (N, C, ...): a scalar, or one each. ValueError if they misfit."""
    _require(L, threshold)
    _policy(absent, smooth, label_smoothing, reduction)
    target, weight, sample_weight = _arrange(input, target, weight, mask, ignore_index)
    class_weight = _shares(input, class_weight, classes, exclude_background)
    ranks = None if process_group is None else _group(process_group)
    arguments = (class_weight, label_smoothing, absent, smooth, ranks, L, threshold)
    at_once = _at_once(input, target, weight)
    run = _BceDiceBlocks if at_once else _BceDiceFunction
    loss, share, *_ = run.apply(input, target, weight, *arguments)
    return _reduced(loss, share * sample_weight.to(share), reduction, ranks)


class BceDiceLoss(torch.nn.Module):
    """`bce_dice_loss` as a module. It holds no state."""

    def __init__(
        self,
        *,
        L: float = 10.0,
        threshold: float = 0.5,
        class_weight: Sequence[float] | Tensor | None = None,
        classes: Sequence[int] | None = None,
        exclude_background: bool = False,
        ignore_index: float | None = None,
        label_smoothing: float = 0.0,
        smooth: float = 0.0,
        absent: str = "diagonal",
        reduction: str = "mean",
        process_group: "torch.distributed.ProcessGroup | str | None" = None,
    ):
        super().__init__()
        _require(L, threshold)
        _policy(absent, smooth, label_smoothing, reduction)
        self.class_weight = None if class_weight is None else tuple(map(float, class_weight))
        self.classes = None if classes is None else tuple(map(int, classes))
        self.exclude_background = exclude_background
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.smooth = smooth
        self.absent = absent
        self.reduction = reduction
        self.process_group = process_group
        self.L = L
        self.threshold = threshold

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        return bce_dice_loss(
            input,
            target,
            weight=weight,
            mask=mask,
            class_weight=self.class_weight,
            classes=self.classes,
            exclude_background=self.exclude_background,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            smooth=self.smooth,
            absent=self.absent,
            reduction=self.reduction,
            process_group=self.process_group,
            L=self.L,
            threshold=self.threshold,
        )

    def set_surrogate(self, *, L: float | None = None, threshold: float | None = None) -> None:
        """Change the surrogate's arguments, between steps or epochs."""
        L = self.L if L is None else L
        threshold = self.threshold if threshold is None else threshold
        _require(L, threshold)
        self.L, self.threshold = L, threshold

    def extra_repr(self) -> str:
        names = ("L", "threshold", "class_weight", "ignore_index", "absent")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)



class _BceDiceFunction(torch.autograd.Function):
    """Forward reduces the batch to the counts of every class, backward maps their weights over it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        input,
        target,
        weight,
        class_weight,
        label_smoothing,
        absent,
        smooth,
        ranks,
        L,
        threshold,
    ):
        counts = _count(input, target, weight, label_smoothing, L, threshold)
        loss, pair, share = _scalars(counts, class_weight, absent, smooth, ranks, L, threshold)
        return loss.to(_dtype(input), copy=True), share.to(_dtype(input)), pair

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight, class_weight, *ctx.settings = inputs
        _, share, pair = output
        ctx.save_for_backward(pair, input, target, weight, class_weight)
        ctx.mark_non_differentiable(share, pair)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, *_):
        nothing = (None,) * 9
        if grad_loss is None:
            return None, *nothing
        return _traced(grad_loss, *ctx.saved_tensors, *ctx.settings), *nothing


class _BceDiceBlocks(torch.autograd.Function):
    """The same at once on a CPU, in pieces that stay in its cache.

    Forward leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(
        ctx,
        input,
        target,
        weight,
        class_weight,
        label_smoothing,
        absent,
        smooth,
        ranks,
        L,
        threshold,
    ):
        keep = ctx.needs_input_grad[0]
        counts, ctx.kept = _over_blocks(input, target, weight, keep, label_smoothing, L, threshold)
        policy = None if _complete(counts) else absent
        loss, ctx.pair, share = _scalars(counts, class_weight, policy, smooth, ranks, L, threshold)
        ctx.settings = label_smoothing, absent, smooth, ranks, L, threshold
        ctx.save_for_backward(input, target, weight, class_weight)
        ctx.mark_non_differentiable(share)
        return loss.to(_dtype(input), copy=True), share.to(_dtype(input))

    @staticmethod
    def backward(ctx, grad_loss, _):
        input, target, weight, class_weight = ctx.saved_tensors
        label_smoothing, absent, smooth, ranks, L, threshold = ctx.settings
        if torch.is_grad_enabled() or not _at_once(grad_loss):
            g = _traced(grad_loss, ctx.pair, *ctx.saved_tensors, *ctx.settings)
        else:
            kept, ctx.kept = ctx.kept, None
            if kept is None:  # counts are given, or this is a second backward
                _, kept = _over_blocks(input, target, weight, True, label_smoothing, L, threshold)
            pair = ctx.pair
            pair = (pair * grad_loss[:, None]).clamp(-_HUGE, _HUGE)
            g = _finish(kept, input, target, weight, pair, label_smoothing)
            g = _narrow(g, input.dtype)
        return g, *(None,) * 9


def _traced(
    grad_loss,
    pair,
    input,
    target,
    weight,
    class_weight,
    label_smoothing,
    absent,
    smooth,
    ranks,
    L,
    threshold,
):
    """The gradient by operations that compilers, transforms and autograd can follow."""
    if torch.is_grad_enabled():  # create_graph: the weights have gradients
        if ranks is not None:
            raise NotImplementedError("there are no second derivatives over a process_group")
        counts = _count(input, target, weight, label_smoothing, L, threshold)
        pair = _scalars(counts, class_weight, absent, smooth, ranks, L, threshold)[1]
    pair = (pair * grad_loss[:, None]).clamp(-_HUGE, _HUGE)
    return _narrow(_map(input, target, weight, pair, label_smoothing, L, threshold), input.dtype)


def _scalars(counts, class_weight, absent, smooth, ranks, L, threshold):
    """The loss, what backward maps over the batch, and how each loss counts in a mean."""
    cells = counts[:4]
    share = torch.ones_like(cells[0]) if class_weight is None else class_weight
    total = (share * (sum(cells))).sum(-1, keepdim=True)
    means = [_ratio((share * x).sum(-1, keepdim=True), total) for x in counts[4:]]
    options = {"class_weight": class_weight, "absent": absent, "smooth": smooth}
    loss = value(*cells, *means, **options)
    plus, minus, *slopes = weights(*cells, *means, **options)
    pair = [L * plus, L * minus, *((total > 0) * _ratio(slope * share, total) for slope in slopes)]
    pair = torch.stack([_tensor(w, cells[0]).expand_as(cells[0]) for w in pair])
    return loss, pair if ranks is None else pair * _size(ranks), sum(cells).sum(-1) > 0


def _soft(z, L, threshold):
    """A(p), 1 - A(p) and dA/dz, p = sigmoid(z), over L."""
    largest = math.log(torch.finfo(z.dtype).max) - 1.4  # of an exponential's argument
    e = torch.exp(-z.clamp(min=-largest))
    p = 1 / (1 + e)  # and 1 - p is e p
    t = L * (threshold - p)
    f = torch.exp(t if L < 80 else t.clamp(max=largest))
    a = 1 / (1 + f)  # and 1 - A is f a
    return a, f * a, e * p * p * f * a * a


def _soft_block(z, L, threshold):
    """The same on a CPU, where four sigmoids are faster than two exponentials."""
    p, q = torch.sigmoid(z), torch.neg(z).sigmoid_()
    t = torch.rsub(p, -L * threshold, alpha=-L)  # L (p - threshold), rounded once
    a, b = torch.sigmoid(t), t.neg_().sigmoid_()
    return a, b, p.mul_(q).mul_(a).mul_(b)


def _sums(soft, z, y, v, L, threshold):
    """TP, FN, FP, TN and the sums of weighed losses of every class, and the surrogate's slope."""
    a, b, d = soft(z, L, threshold)
    losses = [_bce(z, y)]
    n = 1 - y
    if v is not None:
        y, n = y * v, n * v
    # Four sums of their own terms: a count taken as a difference of sums would cancel.
    sums = [(x * w).sum(2) for x, w in ((y, a), (y, b), (n, a), (n, b))]
    sums += [_weighed(loss, v).sum(2) for loss, _ in losses]
    return torch.stack(sums), d


def _count(input, target, weight, label_smoothing, L, threshold):
    """The counts of every class in one expression: of shape (N, C) each."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    return _sums(_soft, z, y, v, L, threshold)[0].to(_wide(input))


def _over_blocks(input, target, weight, keep, label_smoothing, L, threshold):
    """The counts, float64, and the surrogate's slope where they are to be kept."""
    pieces = _pieces(input, target, weight)
    kept = torch.empty(input.shape, dtype=_dtype(input)) if keep and len(pieces) > 1 else None
    places = pieces if kept is None else _pieces(kept)
    counts = torch.zeros(5, input.shape[0], input.shape[1], dtype=torch.float64)
    for (rows, (z, y, v)), (_, (place, *_)) in zip(pieces, places):
        z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
        sums, left = _sums(_soft_block, z, y, v, L, threshold)
        counts[:, rows] += sums
        if kept is not None:
            place.copy_(left)
    cells = counts[:4]
    if cells.numel() and cells.min() < -1e-5 * cells.abs().sum():
        raise ValueError(
            "target must be in [0, 1] (ignore_index leaves labels out), weight at least 0"
        )
    return counts, left.reshape(input.shape) if keep and kept is None else kept


def _complete(counts):
    """Whether all tables have positives and negatives, and there are several classes."""
    margins = counts[0:4:2] + counts[1:4:2]
    return counts.shape[-1] > 1 and margins.numel() > 0 and margins.min().item() > 0


def _ready(z, y, v, label_smoothing):
    """Input, labels and weight of a piece; what weighs nothing is made harmless (it may be NaN)."""
    y = y.to(z.dtype)
    if v is not None:
        v = v.to(z.dtype)
        z, y = z.masked_fill(v == 0, 0), y.masked_fill(v == 0, 0)
    if label_smoothing:
        y = y * (1 - label_smoothing) + label_smoothing / 2
    return z, y, v


def _map(input, target, weight, pair, label_smoothing, L, threshold):
    """The gradient in one expression."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    plus, minus, *rest = _spread(pair.to(z.dtype), ...)
    g = _sides(y, plus, minus) * _soft(z, L, threshold)[2]
    g = _weighed(g, v) + _losses(z, y, v, rest)
    return g.reshape(input.shape)


def _finish(slope, input, target, weight, pair, label_smoothing):
    """The gradient from the slope, in place."""
    pair = pair.to(slope.dtype)
    for rows, (s, z, y, v) in _pieces(slope, input, target, weight):
        z, y, v = _ready(z.to(s.dtype), y, v, label_smoothing)
        plus, minus, *rest = _spread(pair, rows)
        s.mul_(_sides(y, plus, minus))
        if v is not None:
            s.mul_(v)
        s.add_(_losses(z, y, v, rest))
    return slope


def _flat(*tensors):
    """The tensors as (samples, classes, positions)."""
    N, M = tensors[0].shape[0], math.prod(tensors[0].shape[2:])
    return [None if t is None else t.reshape(N, t.shape[1], M) for t in tensors]


def _pieces(*tensors):
    """The flat tensors in pieces that fit a CPU's cache, each after a slice of its samples."""
    flat = _flat(*tensors)
    N, C, M = flat[0].shape
    size = _BLOCK * torch.get_num_threads() // max(2 * C, 1)
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
    return [w[rows, :, None] for w in pair]


def _sides(y, plus, minus):
    """y plus - (1 - y) minus: exact at y = 0 and y = 1, by what is fast for the shape."""
    if y.shape[2] == 1:
        return torch.lerp(-minus, plus, y)
    return y * plus - (1 - y) * minus


def _weighed(g, v):
    return g if v is None else g * v


def _losses(z, y, v, rest):
    """The element losses' part of the gradient."""
    # The weight first: it and its sum in w may both be tiny.
    losses = [_bce(z, y)]
    return sum(_weighed(slope, v) * w for w, (_, slope) in zip(rest, losses))


def _bce(z, y):
    """Binary cross-entropy of every element, and its derivative in z."""
    log = torch.nn.functional.logsigmoid
    slope = torch.lerp(torch.sigmoid(z), -torch.sigmoid(-z), y)
    return -(y * log(z) + (1 - y) * log(-z)), slope


def _slices(TP, FN, FP, TN, share, absent, smooth):
    """The counts that each class is judged by, its share in averages, and its weight there.

    A class without positives or without negatives is absent.
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


def _tables(*tables):
    """Counts and share as floating tensors of one shape; no share is a share of 1."""
    *cells, share = tables
    cells = [x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64) for x in cells]
    share = torch.ones_like(cells[0]) if share is None else share.to(cells[0]).expand_as(cells[0])
    return *cells, share


def _mean(e, share, counted):
    """The mean over classes (the last dimension, which is kept)."""
    return _ratio((share * e).sum(-1, keepdim=True), counted.sum(-1, keepdim=True))


def _mean_slope(share, counted):
    """The derivative of the mean in each of its values."""
    return _ratio(share, counted.sum(-1, keepdim=True))


def _arrange(input, target, weight, mask, ignore_index):
    """Target and weight as they fit the input: (N, C or 1, ...); weights of samples."""
    _fit(input, target=target, weight=weight, mask=mask)
    if input.dim() < 2:
        raise ValueError(f"input has shape {tuple(input.shape)}; it must be (N, C, ...)")
    if target.shape != input.shape:
        raise ValueError(f"input has shape {tuple(input.shape)}, target {tuple(target.shape)}")
    sample_weight = torch.ones(input.shape[0], dtype=_wide(input), device=input.device)
    if weight is not None and weight.shape == input.shape[:1]:
        sample_weight, weight = weight.to(sample_weight), None
        if _at_once(sample_weight) and not (sample_weight >= 0).all():
            raise ValueError("weight must not be negative")
    weight = _placed(weight, input, "weight")
    mask = _placed(mask, input, "mask")
    keep = None
    if ignore_index is not None:  # NaN ignores NaN
        keep = ~(target.isnan() if ignore_index != ignore_index else target == ignore_index)
    for kept in (keep, mask):
        if kept is not None:
            weight = kept.to(_dtype(input)) if weight is None else torch.where(kept, weight, 0)
    return target, weight, sample_weight


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


def _reduced(loss, share, reduction, ranks):
    """The losses, weighed: as they are, summed, or averaged (0 where none counts)."""
    if reduction == "none":
        return loss * share
    total = (loss * share).sum()
    counted = share.sum()
    if ranks is not None:
        sums = _over_ranks(torch.stack([total.detach(), counted]), ranks)
        total, counted = total + (sums[0] - total.detach()), sums[1]
    return total if reduction == "sum" else total / torch.where(counted > 0, counted, 1)


def _narrow(g, dtype):
    """To the input's type; halves saturate rather than overflow."""
    if g.dtype == dtype:
        return g
    largest = torch.finfo(dtype).max
    return g.clamp(-largest, largest).to(dtype)


def _at_once(*tensors):
    """Whether all are memory of a CPU: not compiled, transformed, fake or spread over devices."""
    if torch.compiler.is_compiling():
        return False
    try:
        for t in tensors:
            if t is not None and not (t.is_cpu and (t.data_ptr() or not t.numel())):
                return False
    except RuntimeError:  # functorch wraps what has no memory of its own
        return False
    return True


def _group(process_group):
    """The ranks that share one batch."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        raise ValueError("process_group: call torch.distributed.init_process_group() first")
    group = torch.distributed.group.WORLD if process_group == "world" else process_group
    if not isinstance(group, torch.distributed.ProcessGroup):
        raise ValueError(f'process_group must be a ProcessGroup or "world", not {process_group!r}')
    if torch.distributed.get_rank(group) < 0:
        raise ValueError("this process is not in the process_group")
    return group


def _size(group):
    """What the gradient is multiplied by: DDP and FSDP divide it by the number of ranks."""
    return 1 if group is None else torch.distributed.get_world_size(group)


def _over_ranks(counts, group):
    """The counts, summed over the ranks in place."""
    if group is not None:
        torch.distributed.all_reduce(counts, group=group)
    return counts


def _dtype(input):
    """The working precision, which the loss has too: half inputs are computed in float32."""
    return torch.float64 if input.dtype == torch.float64 else torch.float32


def _wide(input):
    """The precision of the counts and of all that is computed from them."""
    return torch.float32 if input.device.type == "mps" else torch.float64


def _tensor(x, like):
    return torch.as_tensor(x, dtype=_wide(like), device=like.device)


def _fit(input, **others):
    """ValueError for what is no real tensor on the input's device, or needs a gradient."""
    if not isinstance(input, Tensor) or not input.is_floating_point():
        kind = input.dtype if isinstance(input, Tensor) else type(input).__name__
        raise ValueError(f"input must be a floating-point tensor, not {kind}")
    for name, tensor in others.items():
        if tensor is None and name in ("weight", "mask"):
            continue
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a tensor, not {type(tensor).__name__}")
        if tensor.is_complex():
            raise ValueError(f"{name} cannot have dtype {tensor.dtype}")
        if name == "mask" and tensor.dtype != torch.bool:
            raise ValueError(f"mask must be a bool tensor, not {tensor.dtype}")
        if tensor.device != input.device:
            raise ValueError(f"input is on {input.device}, {name} on {tensor.device}")
        if tensor.requires_grad:
            raise ValueError(f"{name} is a constant of this loss: pass {name}.detach()")


def _policy(absent, smooth, label_smoothing, reduction):
    """ValueError for what is no policy."""
    if absent not in ("diagonal", "skip", "zero"):
        raise ValueError(f'absent must be "diagonal", "skip" or "zero", not {absent!r}')
    if not 0 <= smooth < float("inf"):
        raise ValueError(f"smooth must be at least 0, not {smooth}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], not {label_smoothing}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", not {reduction!r}')


def _ratio(a, b):
    """a / b, finite for every b: |b| is at least _TINY, the quotient at most _HUGE."""
    if isinstance(b, Tensor):
        tiny = torch.finfo(b.dtype).tiny
        return (a / torch.where(b.abs() < tiny, tiny, b)).clamp(-_HUGE, _HUGE)
    quotient = a / (_TINY if abs(b) < _TINY else b)
    if isinstance(quotient, Tensor):
        return quotient.clamp(-_HUGE, _HUGE)
    return quotient if -_HUGE < quotient < _HUGE else min(max(quotient, -_HUGE), _HUGE)
