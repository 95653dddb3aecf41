"""macro_f1 as a PyTorch loss: 1 - macro_f1 of soft predictions, with its exact gradient.

    loss = MacroF1Loss()
    loss(logits, target).backward()

Metric     macro_f1 = macro(2*TP/(2*TP + FN + FP))
           harmonic mean of precision and recall; range [0, 1]
           Dice 1945, Measures of the Amount of Ecologic Association Between Species
Loss       1 - macro_f1. The metric is a score (proved from the signs of w_plus and w_minus).
Gradient   d loss/dp_ik = -v_i (y_ik w_plus_k - (1 - y_ik) w_minus_k) dA/dp_ik, then through the
           softmax
           w_plus = dM/dTP - dM/dFN = d_macro*(2*(TP + FN + FP)/(2*TP + FN + FP)^2)
           w_minus = dM/dTN - dM/dFP = d_macro*(2*TP/(2*TP + FN + FP)^2)
           for each class; d_macro is 1/C where C classes count alike
Surrogate  soft: A(p) = p, p = softmax(z), z the input; the expected confusion matrix
           The counts are the expected confusion matrix if the probabilities were true; the slope
           dA/dz = p(1 - p) reaches every sample.
Outputs    A model trained on this loss decides for its largest output; its outputs are scores, not
           probabilities: calibrate them on held-out data before reading them as such.
Undefined  of a class, where there are no positives, real or predicted (TP = FN = FP = 0).
Classes    A class without positives, or without negatives, is absent from a batch.
           absent='diagonal' gives it one unit of weight in TP and in TN: the right empty prediction
           is then perfect, a wrong one is not, and gradients push the right way. absent='skip'
           leaves it out of averages (where all are absent, as 'diagonal'), absent='zero' scores it
           0. The default here is 'skip'; smooth is added to all four counts. 0/0 is 0; loss and
           gradient are finite for every finite input.
Tensors    input: logits of shape (N, C, ...); target: class indices of shape (N, ...), or
           probabilities of the input's shape; weight: per position (N, ...) or per sample (N,), at
           least 0; mask: bool, likewise, and ignore_index: a label: what is masked out (False) or
           ignored counts nothing, gets gradient 0, and may be NaN. class_weight: how often each
           class counts in averages; classes, exclude_background: those that do. float16 and
           bfloat16 inputs are summed in float32 and give a float32 loss; the counts are float64
           (float32 on devices without).
           counts: the loss and the weights of its gradient are taken at these counts (a tensor, as
           loss.counts(...) gives it and as it adds over batches) in place of the batch's own, or at
           the running mean of a `Counts`, which takes in the batch's: for batches with few
           positives.
           process_group: the ranks that share one batch, a ProcessGroup or 'world'; each must call.
           Their counts are summed: each has the loss of the whole batch, whose classes are absent
           where all ranks lack them, and its part of the gradient times the number of ranks, by
           which DDP and FSDP divide. There are no second derivatives then, nor torch.func.

Made by metricc 0.1.0:  metricc compile f1 --name macro_f1 --task multiclass
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import functools
import hashlib
import math
import pathlib
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Counts", "MacroF1Loss", "gradient", "macro_f1_loss", "value", "weights"]

METRICC = {'version': '0.1.0', 'formula': 'f1', 'options': {'name': 'macro_f1', 'task': 'multiclass', 'per': 'batch', 'surrogate': 'soft', 'from_probabilities': False, 'goal': 'maximize'}, 'forms': {'value': 'as written; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'as written; proved: rational functions', 'M_FP': 'as written; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'factored; proved: rational functions', 'w_minus': 'as written; proved: rational functions'}, 'formula_sha256': '3f524cdc07a11d7c6220bdb049fe8dd41b27483c96cc59b581e022d547290d69', 'file_sha256': 'c553a45704e34707e874b897eb8cdfdbf3439a737d8b97cf270c0d6eb364a6b1', 'code_sha256': '21118a71b384e5e9aa2050dd30b4b7fb6a63433799f90ec9cd85fee7770c8de3', 'words_sha256': '0cd915392dcf8b22bb9d489989b9e2154273a4909227b8dcbe0643d9448c0aca', 'record_sha256': 'ff2985d7d37295823421480e1bcf009c9e13a75d3c72c54d790e0e7adad6634f'}  # fmt: skip  # noqa: E501

_BLOCK = 131_072  # elements that each thread of a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """The metric on counts of shape (..., classes)."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    return _mean(_ratio(2 * TP, 2 * TP + FN + FP), share, counted).squeeze(-1)


def gradient(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """Its derivatives in TP, FN, FP and TN."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    x1 = FN + FP
    x2 = 2 * TP + x1
    x3 = _ratio(-2 * TP, x2**2)
    slope = _mean_slope(share, counted)
    return slope * _ratio(2 * x1, x2**2), slope * x3, slope * x3, 0


def weights(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    x1 = FN + FP
    x2 = 2 * TP + x1
    slope = _mean_slope(share, counted)
    return slope * _ratio(2 * (TP + x1), x2**2), slope * _ratio(2 * TP, x2**2)


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


def macro_f1_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    counts: Tensor | Counts | None = None,
    class_weight: Sequence[float] | Tensor | None = None,
    classes: Sequence[int] | None = None,
    exclude_background: bool = False,
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
    smooth: float = 0.0,
    absent: str = "skip",
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
        return _MacroF1Blocks.apply(input, target, weight, *arguments)
    return _MacroF1Function.apply(input, target, weight, *arguments)[0]


class MacroF1Loss(torch.nn.Module):
    """`macro_f1_loss` as a module. It holds no state."""

    def __init__(
        self,
        *,
        class_weight: Sequence[float] | Tensor | None = None,
        classes: Sequence[int] | None = None,
        exclude_background: bool = False,
        ignore_index: int | None = -100,
        label_smoothing: float = 0.0,
        smooth: float = 0.0,
        absent: str = "skip",
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
        return macro_f1_loss(
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



@functools.cache
def _built():
    """The kernel that `metricc build` made of this very text for this machine; None without one."""
    path = pathlib.Path(globals().get("__file__", ""))
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        kernel = path.parent / "__pycache__" / f"{path.stem}.{digest}.py"
        if kernel.parent.stat().st_uid not in (0, path.stat().st_uid):
            return None
        made = {"__name__": kernel.stem, "__file__": str(kernel)}
        exec(compile(kernel.read_bytes(), kernel, "exec"), made)
        return made["kernel"]()
    except Exception:  # there is none, or what is left of one
        return None


class _MacroF1Function(torch.autograd.Function):
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


class _MacroF1Blocks(torch.autograd.Function):
    """The same at once on a CPU, in pieces that stay in its cache.

    Forward leaves the probabilities where backward makes the gradient of it.
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
            if not (target.is_floating_point() or label_smoothing):
                g = _finish_labels(kept, target, weight, pair)
            else:
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


def _sums(z, y, v):
    """TP, FN, FP, TN of every class, and the probabilities."""
    a = _softmax(z)
    b = _rest(a)
    n = 1 - y
    if v is not None:
        y, n = y * v, n * v
    # Four sums of their own terms: a count taken as a difference of sums would cancel.
    sums = [(x * w).sum((0, 2)) for x, w in ((y, a), (y, b), (n, a), (n, b))]
    return torch.stack(sums), a


def _count(input, target, weight, label_smoothing):
    """The counts of every class in one expression: of shape (C,) each."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    return _sums(z, y, v)[0].to(_wide(input))


def _over_blocks(input, target, weight, keep, label_smoothing):
    """The counts, float64, and the probabilities where they are to be kept."""
    kernel = _built()
    found = None if kernel is None else kernel.count(input, target, weight, keep, label_smoothing)
    if found is not None:
        return found
    if not (target.is_floating_point() or label_smoothing):
        return _over_labels(input, target, weight, keep)
    pieces = _pieces(input, target, weight)
    kept = torch.empty(input.shape, dtype=_dtype(input)) if keep and len(pieces) > 1 else None
    places = pieces if kept is None else _pieces(kept)
    counts = torch.zeros(4, input.shape[1], dtype=torch.float64)
    for (_, (z, y, v)), (_, (place, *_)) in zip(pieces, places):
        z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
        sums, left = _sums(z, y, v)
        counts += sums
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


def _over_labels(input, target, weight, keep):
    """The counts from class labels, and the probabilities where they are to be kept."""
    kept = torch.empty(input.shape, dtype=_dtype(input)) if keep else None
    sums = torch.zeros(3, input.shape[1], dtype=torch.float64)
    for _, (z, y, v, place) in _pieces(input, target, weight, kept):
        p = _softmax(z.to(_dtype(input)))
        if v is not None:
            v = v.to(p.dtype)
            p.masked_fill_(v == 0, 0)  # what weighs nothing may be NaN
        if place is not None:
            place.copy_(p)
        sums += _label_sums(p, y, v)
    positives = _by_label(weight, *_flat(target), input.shape[1])
    negatives = positives.sum(-1, keepdim=True) - positives
    TP, FN, FP = sums
    counts = torch.stack([TP, FN, FP, negatives - FP])
    if weight is not None and counts.numel() and counts.min() < -1e-5 * counts.abs().sum():
        raise ValueError("weight must be at least 0")
    return counts, kept


def _label_sums(p, y, v):
    """Sums over the labels' own class and over the others, each of its own terms; p is used up."""
    C = p.shape[1]
    hit = p.gather(1, y)
    p.scatter_(1, y, 0)
    miss = p.sum(1, keepdim=True)
    FP = _weighed(p, v).sum((0, 2))
    hit, miss = _weighed(hit, v), _weighed(miss, v)
    return torch.stack([_by_label(hit, y, C), _by_label(miss, y, C), FP.double()])


def _by_label(x, y, C):
    """The sums of x, or of 1, over the positions with each label."""
    x = None if x is None else x.double().flatten()
    return torch.bincount(y.flatten(), x, minlength=C).double()


def _finish_labels(probabilities, target, weight, pair):
    """The gradient from the probabilities, in place; compare `_through`."""
    kernel = _built()
    if kernel is not None and kernel.finish(probabilities, target, weight, pair):
        return probabilities
    pair = pair.to(probabilities.dtype)
    plus, minus = _spread(pair, ...)
    for _, (p, y, v) in _pieces(probabilities, target, weight):
        g = torch.gt(p, 0.5, out=torch.empty_like(p))
        own, base = plus.expand_as(p).gather(1, y), g.mul_(minus).sum(1, keepdim=True).neg_()
        base = torch.where(p.gather(1, y) > 0.5, own, base)
        torch.sub(base.neg(), minus.expand_as(p), out=g)
        g.scatter_(1, y, own - base).mul_(p)
        p.mul_(g.sum(1, keepdim=True))
        torch.sub(g, p, out=p)
        if v is not None:
            p.mul_(v)
    return probabilities


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


def _map(input, target, weight, pair, label_smoothing):
    """The gradient in one expression."""
    z, y, v = _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    p = _softmax(z)
    plus, minus = _spread(pair.to(p.dtype), ...)
    g = _sides(y, plus, minus)
    g = _weighed(_through(p, g), v)
    return g.reshape(input.shape)


def _finish(probabilities, target, weight, pair, label_smoothing):
    """The gradient from the probabilities, in place."""
    kernel = _built()
    if kernel is not None and kernel.finish(probabilities, target, weight, pair, label_smoothing):
        return probabilities
    pair = pair.to(probabilities.dtype)
    plus, minus = _spread(pair, ...)
    for _, (p, y, v) in _pieces(probabilities, target, weight):
        _, y, v = _ready(p, y, v, label_smoothing)
        g = _sides(y, plus, minus)
        p.copy_(_weighed(_through(p, g), v))
    return probabilities


def _through(p, g):
    """From dL/dp to dL/dz: p_k (g_k - sum_j p_j g_j), g counted from that of the likely class.

    The difference does not change, and nothing cancels where p is near 1.
    """
    g = g - (g * _likely(p)).sum(1, keepdim=True)
    return p * (g - (p * g).sum(1, keepdim=True))


def _flat(*tensors):
    """The tensors as (samples, classes, positions)."""
    N, M = tensors[0].shape[0], math.prod(tensors[0].shape[2:])
    return [None if t is None else t.reshape(N, t.shape[1], M) for t in tensors]


def _pieces(*tensors):
    """The flat tensors in pieces that fit a CPU's cache, each after a slice of its samples."""
    flat = _flat(*tensors)
    N, C, M = flat[0].shape
    size = _BLOCK * torch.get_num_threads() // max(C, 1)
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
    """Target and weight as they fit the input: (N, C or 1, ...)."""
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
    weight = _placed(weight, positions, "weight")
    for kept in (keep, mask):
        if kept is not None:
            weight = kept.to(_dtype(input)) if weight is None else torch.where(kept, weight, 0)
    return target, weight


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
