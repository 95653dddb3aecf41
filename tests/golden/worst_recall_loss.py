"""worst_recall as a PyTorch loss: 1 - worst_recall of soft predictions, with its exact gradient.

    loss = WorstRecallLoss()
    loss(logits, target).backward()

Metric     worst_recall = worst(recall), where TPR = TP/(TP + FN); recall = TPR
Loss       1 - worst_recall. The metric is a score (proved from the signs of w_plus and w_minus).
Gradient   d loss/dz_ik = -v_ik (y_ik w_plus_k - (1 - y_ik) w_minus_k) dA/dz_ik
           w_plus = dM/dTP - dM/dFN = d_worst(TP/(TP + FN))*(1/(TP + FN))
           w_minus = dM/dTN - dM/dFP = 0
           for each class; d_worst is 1 for the worst class, else 0
Surrogate  A(p) = p^2*(3 - 2*p), p = sigmoid(z), z the input; given as a formula. It rises from 0 to
           1.
Outputs    A model trained on this loss decides at p = 1/2; its outputs are scores, not
           probabilities: calibrate them on held-out data before reading them as such.
Training   Warning: predicting all positive already reaches the best worst_recall; combine it with a
           metric that punishes that.
Undefined  of a class, where there are no positives (TP = FN = 0).
Classes    A class without positives, or without negatives, is absent from a batch.
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
           counts: the loss and the weights of its gradient are taken at these counts (a tensor, as
           loss.counts(...) gives it and as it adds over batches) in place of the batch's own, or at
           the running mean of a `Counts`, which takes in the batch's: for batches with few
           positives.
           process_group: the ranks that share one batch, a ProcessGroup or 'world'; each must call.
           Their counts are summed: each has the loss of the whole batch, whose classes are absent
           where all ranks lack them, and its part of the gradient times the number of ranks, by
           which DDP and FSDP divide. There are no second derivatives then, nor torch.func.

Made by metricc 0.1.0:  metricc compile 'worst(recall)' --name worst_recall --task multilabel --surrogate 'p^2*(3 - 2*p)'
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Counts", "WorstRecallLoss", "gradient", "value", "weights", "worst_recall_loss"]

METRICC = {'version': '0.1.0', 'formula': 'worst(recall)', 'options': {'name': 'worst_recall', 'task': 'multilabel', 'per': 'batch', 'surrogate': 'p^2*(3 - 2*p)', 'from_probabilities': False, 'goal': 'maximize'}, 'forms': {'value': 'as written; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'as written; proved: rational functions', 'M_FP': 'as written; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'as written; proved: rational functions', 'w_minus': 'as written; proved: rational functions'}, 'formula_sha256': 'cba572266e7d9bad5992bc9b1a4a9987238fd0813c403383d4bd84c872cc51ab', 'file_sha256': '164c6207dc669db5ce0476b4710278442e0918f813aba544c9e6956cbf231457', 'code_sha256': 'a4ae8537c713b384e7ed3f4bbaeeba3d27031e8d0d0cb24cad4ce2bccb889e1a', 'words_sha256': 'ee5c5142643edde86842b54160c279940f25965f94955db33feb97504893bb38', 'record_sha256': '1b22ef65aad05e1b79ba1aad8201f86c0da211d357c5d3c45c1169f83da80c79'}  # fmt: skip  # noqa: E501

_BLOCK = 131_072  # elements that each thread of a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """The metric on counts of shape (..., classes)."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    return _worst(_ratio(TP, TP + FN), share, counted).squeeze(-1)


def gradient(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """Its derivatives in TP, FN, FP and TN."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    P = TP + FN
    slope = _worst_slope(_ratio(TP, TP + FN), share, counted)
    return slope * _ratio(FN, P**2), slope * _ratio(-TP, P**2), 0, 0


def weights(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    return _worst_slope(_ratio(TP, TP + FN), share, counted) * _ratio(1, TP + FN), 0


class Counts:
    """The mean counts of the batches so far, the share of each fading by `decay` with every other.

    For `counts=`, where batches hold few positives. With decay=1 nothing fades until `reset()`.
    Keep one for each loss, beside the optimizer: it pickles; `state_dict()` is for checkpoints.
    """

    def __init__(self, decay: float = 0.99):
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must lie in [0, 1], not {decay}")
        self.decay = decay
        self.reset()

    def reset(self) -> None:
        self.total = self.batches = torch.zeros((), dtype=torch.float64)

    def add(self, counts: Tensor) -> Tensor:
        """Take in a batch's counts, if they are finite. The mean, with these in it."""
        counts = counts.detach()
        finite = counts.isfinite().all()
        total, batches = self.total.to(counts), self.batches.to(counts)
        if total.dim() and total.shape != counts.shape:
            raise ValueError(f"Counts of shape {tuple(total.shape)}: keep one for each loss")
        self.total = torch.where(finite, self.decay * total + counts, total)
        self.batches = torch.where(finite, self.decay * batches + 1, batches)
        return self.total / self.batches.clamp(min=1)

    def state_dict(self) -> dict:
        return dict(vars(self))

    def load_state_dict(self, state: dict) -> None:
        Counts(state["decay"])  # checks it
        self.decay, self.total, self.batches = (state[k] for k in ("decay", "total", "batches"))


def worst_recall_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    counts: Tensor | Counts | None = None,
    class_weight: Sequence[float] | Tensor | None = None,
    classes: Sequence[int] | None = None,
    exclude_background: bool = False,
    ignore_index: float | None = None,
    label_smoothing: float = 0.0,
    smooth: float = 0.0,
    absent: str = "diagonal",
    process_group: "torch.distributed.ProcessGroup | str | None" = None,
) -> Tensor:
    """The loss of logits of shape (N, C, ...): a scalar. ValueError if they misfit."""
    _policy(absent, smooth, label_smoothing)
    target, weight = _arrange(input, target, weight, mask, ignore_index)
    class_weight = _shares(input, class_weight, classes, exclude_background)
    ranks = None if process_group is None else _group(process_group)
    if counts is not None:
        counts = _settled(counts, input, target, weight, label_smoothing, ranks)
    arguments = (counts, class_weight, label_smoothing, absent, smooth, ranks)
    at_once = _at_once(input, target, weight)
    if at_once:
        return _WorstRecallBlocks.apply(input, target, weight, *arguments)
    return _WorstRecallFunction.apply(input, target, weight, *arguments)[0]


class WorstRecallLoss(torch.nn.Module):
    """`worst_recall_loss` as a module. It holds no state."""

    def __init__(
        self,
        *,
        class_weight: Sequence[float] | Tensor | None = None,
        classes: Sequence[int] | None = None,
        exclude_background: bool = False,
        ignore_index: float | None = None,
        label_smoothing: float = 0.0,
        smooth: float = 0.0,
        absent: str = "diagonal",
        process_group: "torch.distributed.ProcessGroup | str | None" = None,
    ):
        super().__init__()
        _policy(absent, smooth, label_smoothing)
        self.class_weight = None if class_weight is None else tuple(map(float, class_weight))
        self.classes = None if classes is None else tuple(map(int, classes))
        self.exclude_background = exclude_background
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.smooth = smooth
        self.absent = absent
        self.process_group = process_group

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
        counts: Tensor | Counts | None = None,
    ) -> Tensor:
        return worst_recall_loss(
            input,
            target,
            weight=weight,
            mask=mask,
            counts=counts,
            class_weight=self.class_weight,
            classes=self.classes,
            exclude_background=self.exclude_background,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            smooth=self.smooth,
            absent=self.absent,
            process_group=self.process_group,
        )

    def counts(
        self,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """TP, FN, FP, TN of a batch, (4, C), without gradient: they add over batches."""
        target, weight = _arrange(input, target, weight, mask, self.ignore_index)
        return _summed(input, target, weight, self.label_smoothing)

    def extra_repr(self) -> str:
        names = ("class_weight", "ignore_index", "absent")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)



class _WorstRecallFunction(torch.autograd.Function):
    """Forward reduces the batch to the counts of every class, backward maps their weights over it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(input, target, weight, given, class_weight, label_smoothing, absent, smooth, ranks):
        counts = given
        if given is None:
            counts = _count(input, target, weight, label_smoothing)
            counts = _over_ranks(counts, ranks)
        loss, pair, share = _scalars(counts, class_weight, absent, smooth, ranks)
        return loss.to(_dtype(input), copy=True), share.to(_dtype(input)), pair

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight, given, class_weight, *ctx.settings = inputs
        _, share, pair = output
        ctx.save_for_backward(pair, input, target, weight, given, class_weight)
        ctx.mark_non_differentiable(share, pair)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, *_):
        nothing = (None,) * 8
        if grad_loss is None:
            return None, *nothing
        return _traced(grad_loss, *ctx.saved_tensors, *ctx.settings), *nothing


class _WorstRecallBlocks(torch.autograd.Function):
    """The same at once on a CPU, in pieces that stay in its cache.

    Forward leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(
        ctx,
        input,
        target,
        weight,
        given,
        class_weight,
        label_smoothing,
        absent,
        smooth,
        ranks,
    ):
        counts, ctx.kept = given, None
        if given is None:
            keep = ctx.needs_input_grad[0]
            counts, ctx.kept = _over_blocks(input, target, weight, keep, label_smoothing)
            counts = _over_ranks(counts, ranks)
        policy = None if _complete(counts) else absent
        loss, ctx.pair, share = _scalars(counts, class_weight, policy, smooth, ranks)
        ctx.settings = label_smoothing, absent, smooth, ranks
        ctx.save_for_backward(input, target, weight, given, class_weight)
        return loss.to(_dtype(input), copy=True)

    @staticmethod
    def backward(ctx, grad_loss):
        input, target, weight, given, class_weight = ctx.saved_tensors
        label_smoothing, absent, smooth, ranks = ctx.settings
        if torch.is_grad_enabled() or not _at_once(grad_loss):
            g = _traced(grad_loss, ctx.pair, *ctx.saved_tensors, *ctx.settings)
        else:
            kept, ctx.kept = ctx.kept, None
            if kept is None:  # counts are given, or this is a second backward
                _, kept = _over_blocks(input, target, weight, True, label_smoothing)
            pair = ctx.pair
            pair = (pair * grad_loss).clamp(-_HUGE, _HUGE)
            g = _finish(kept, target, weight, pair, label_smoothing)
            g = _narrow(g, input.dtype)
        return g, *(None,) * 8


def _traced(
    grad_loss,
    pair,
    input,
    target,
    weight,
    given,
    class_weight,
    label_smoothing,
    absent,
    smooth,
    ranks,
):
    """The gradient by operations that compilers, transforms and autograd can follow."""
    if torch.is_grad_enabled() and given is None:  # create_graph: the weights have gradients
        if ranks is not None:
            raise NotImplementedError("there are no second derivatives over a process_group")
        counts = _count(input, target, weight, label_smoothing)
        pair = _scalars(counts, class_weight, absent, smooth, ranks)[1]
    pair = (pair * grad_loss).clamp(-_HUGE, _HUGE)
    return _narrow(_map(input, target, weight, pair, label_smoothing), input.dtype)


def _settled(counts, input, target, weight, label_smoothing, ranks=None):
    """The counts to judge by: those given, or the mean of a `Counts` that takes in the batch's."""
    if type(counts).__name__ == "Counts":  # of this file or another
        counts = counts.add(_over_ranks(_summed(input, target, weight, label_smoothing), ranks))
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.requires_grad:
        raise ValueError("counts must be a constant real tensor, as counts() gives it, or a Counts")
    if counts.shape != (4, input.shape[1]):
        raise ValueError(
            f"counts has shape {tuple(counts.shape)}; it must be {(4, input.shape[1])}"
        )
    counts = _tensor(counts, input)
    if _at_once(input, counts):
        keep = counts.isfinite() & (counts >= -1e-5 * counts.abs().sum())
        if not keep.all():
            raise ValueError(f"counts must be finite and not negative, not {counts.tolist()}")
    return counts


def _summed(input, target, weight, label_smoothing):
    """The counts of a batch as one tensor, without a gradient."""
    with torch.no_grad():
        if _at_once(input, target, weight):
            return _over_blocks(input, target, weight, False, label_smoothing)[0]
        return _count(input, target, weight, label_smoothing)


def _scalars(counts, class_weight, absent, smooth, ranks):
    """The loss, what backward maps over the batch, and how each loss counts in a mean."""
    cells = counts[:4]
    options = {"class_weight": class_weight, "absent": absent, "smooth": smooth}
    loss = 1 - value(*cells, **options)
    plus, minus = weights(*cells, **options)
    pair = [-plus, -minus]
    pair = torch.stack([_tensor(w, cells[0]).expand_as(cells[0]) for w in pair])
    return loss, pair if ranks is None else pair * _size(ranks), loss.new_ones(())


def _soft(z):
    """A(p), 1 - A(p) and dA/dz, p = sigmoid(z)."""
    p = torch.sigmoid(z)
    q = torch.sigmoid(-z)
    return p**2 * (3 - 2 * p), q**2 * (2 * p + 1), (6 * p * q) * p * q


def _sums(soft, z, y, v):
    """TP, FN, FP, TN of every class, and the surrogate's slope."""
    a, b, d = soft(z)
    n = 1 - y
    if v is not None:
        y, n = y * v, n * v
    # Four sums of their own terms: a count taken as a difference of sums would cancel.
    sums = [(x * w).sum((0, 2)) for x, w in ((y, a), (y, b), (n, a), (n, b))]
    return torch.stack(sums), d


def _count(input, target, weight, label_smoothing):
    """The counts of every class in one expression: of shape (C,) each."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    return _sums(_soft, z, y, v)[0].to(_wide(input))


def _over_blocks(input, target, weight, keep, label_smoothing):
    """The counts, float64, and the surrogate's slope where they are to be kept."""
    pieces = _pieces(input, target, weight)
    kept = torch.empty(input.shape, dtype=_dtype(input)) if keep and len(pieces) > 1 else None
    places = pieces if kept is None else _pieces(kept)
    counts = torch.zeros(4, input.shape[1], dtype=torch.float64)
    for (_, (z, y, v)), (_, (place, *_)) in zip(pieces, places):
        z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
        sums, left = _sums(_soft, z, y, v)
        counts += sums
        if kept is not None:
            place.copy_(left)
    cells = counts[:4]
    if cells.numel() and cells.min() < -1e-5 * cells.abs().sum():
        raise ValueError(
            "target must be in [0, 1] (ignore_index leaves labels out), weight at least 0"
        )
    return counts, left.clone().reshape(input.shape) if keep and kept is None else kept


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


def _map(input, target, weight, pair, label_smoothing):
    """The gradient in one expression."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    plus, minus = _spread(pair.to(z.dtype), ...)
    g = _sides(y, plus, minus) * _soft(z)[2]
    g = g.clamp(-_HUGE, _HUGE)
    g = _weighed(g, v)
    return g.reshape(input.shape)


def _finish(slope, target, weight, pair, label_smoothing):
    """The gradient from the slope, in place."""
    pair = pair.to(slope.dtype)
    plus, minus = _spread(pair, ...)
    for _, (s, y, v) in _pieces(slope, target, weight):
        _, y, v = _ready(s, y, v, label_smoothing)
        s.mul_(_sides(y, plus, minus)).clamp_(-_HUGE, _HUGE)
        if v is not None:
            s.mul_(v)
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
    return [w[:, None] for w in pair]


def _sides(y, plus, minus):
    """y plus - (1 - y) minus: exact at y = 0 and y = 1, by what is fast for the shape."""
    if y.shape[2] == 1:
        return torch.lerp(-minus, plus, y)
    return y * plus - (1 - y) * minus


def _weighed(g, v):
    return g if v is None else g * v


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


def _worst(e, share, counted):
    """The smallest value of the classes that count."""
    e = torch.where(share > 0, e, 0)
    return torch.where(counted > 0, e, _HUGE).amin(-1, keepdim=True)


def _worst_slope(e, share, counted):
    """1 for the smallest value; several share it."""
    smallest = (torch.where(share > 0, e, 0) == _worst(e, share, counted)) & (counted > 0)
    return (smallest & (share > 0)).to(e) / smallest.sum(-1, keepdim=True).clamp(min=1)


def _arrange(input, target, weight, mask, ignore_index):
    """Target and weight as they fit the input: (N, C or 1, ...)."""
    _fit(input, target=target, weight=weight, mask=mask)
    if input.dim() < 2:
        raise ValueError(f"input has shape {tuple(input.shape)}; it must be (N, C, ...)")
    if target.shape != input.shape:
        raise ValueError(f"input has shape {tuple(input.shape)}, target {tuple(target.shape)}")
    weight = _placed(weight, input, "weight")
    mask = _placed(mask, input, "mask")
    keep = None
    if ignore_index is not None:  # NaN ignores NaN
        keep = ~(target.isnan() if ignore_index != ignore_index else target == ignore_index)
    for kept in (keep, mask):
        if kept is not None:
            weight = kept.to(_dtype(input)) if weight is None else torch.where(kept, weight, 0)
    return target, weight


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


def _policy(absent, smooth, label_smoothing):
    """ValueError for what is no policy."""
    if absent not in ("diagonal", "skip", "zero"):
        raise ValueError(f'absent must be "diagonal", "skip" or "zero", not {absent!r}')
    if not 0 <= smooth < float("inf"):
        raise ValueError(f"smooth must be at least 0, not {smooth}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], not {label_smoothing}")


def _ratio(a, b):
    """a / b, finite for every b: |b| is at least _TINY, the quotient at most _HUGE."""
    if isinstance(b, Tensor):
        tiny = torch.finfo(b.dtype).tiny
        return (a / torch.where(b.abs() < tiny, tiny, b)).clamp(-_HUGE, _HUGE)
    quotient = a / (_TINY if abs(b) < _TINY else b)
    if isinstance(quotient, Tensor):
        return quotient.clamp(-_HUGE, _HUGE)
    return quotient if -_HUGE < quotient < _HUGE else min(max(quotient, -_HUGE), _HUGE)
