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

Made by metricc 0.1.0:  metricc compile f1 --name macro_f1 --task multiclass
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Counts", "MacroF1Loss", "gradient", "macro_f1_loss", "value", "weights"]

METRICC = {'version': '0.1.0', 'formula': 'f1', 'options': {'name': 'macro_f1', 'task': 'multiclass', 'per': 'batch', 'surrogate': 'soft', 'from_probabilities': False, 'goal': 'maximize'}, 'forms': {'value': 'as written; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'as written; proved: rational functions', 'M_FP': 'as written; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'factored; proved: rational functions', 'w_minus': 'as written; proved: rational functions'}, 'formula_sha256': '3f524cdc07a11d7c6220bdb049fe8dd41b27483c96cc59b581e022d547290d69', 'file_sha256': '57cee965969fbcdda354b8b417f233bad9c030b0f73e893ce59d9501c914abd6', 'code_sha256': 'cac02f9ca3aa0da28211840c46bff2cb9b5398f2d68fa2ee68ba4a9f5d1f1c17', 'words_sha256': '3355826eb2bd87cfad3f6a6b63532d30d7045f8c2ae72935ba9faa4f1b31b72d', 'record_sha256': 'ff2985d7d37295823421480e1bcf009c9e13a75d3c72c54d790e0e7adad6634f'}  # fmt: skip  # noqa: E501

_BLOCK = 65_536  # elements per thread that a CPU works on at a time: they stay in its cache
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
) -> Tensor:
    """The loss of logits of shape (N, C, ...): a scalar. ValueError if they misfit."""
    _policy(absent, smooth, label_smoothing)
    target, weight = _arrange(input, target, weight, mask, ignore_index)
    class_weight = _shares(input, class_weight, classes, exclude_background)
    if counts is not None:
        counts = _settled(counts, input, target, weight, label_smoothing)
    arguments = (counts, class_weight, label_smoothing, absent, smooth)
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


class _MacroF1Function(torch.autograd.Function):
    """Forward reduces the batch to the counts of every class, backward maps their weights over it.

    On a CPU forward also leaves the probabilities where backward makes the gradient of it.
    """

    @staticmethod
    def forward(input, target, weight, given, class_weight, label_smoothing, absent, smooth):
        keep = _at_once(input) and input.requires_grad and given is None
        kept = input.new_empty(input.shape if keep else 0, dtype=_dtype(input))
        counts = given
        if given is None:
            counts = _count(input, target, weight, kept if keep else None, label_smoothing)
        loss, pair, share = _scalars(counts, class_weight, absent, smooth)
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
        given, class_weight, label_smoothing, absent, smooth = ctx.arguments
        if torch.is_grad_enabled() and given is None:  # create_graph: the weights have gradients
            counts = _count(input, target, weight, None, label_smoothing)
            pair = _scalars(counts, class_weight, absent, smooth)[1]
        pair = (pair * grad_loss).clamp(-_HUGE, _HUGE)
        if ctx.kept is None or ctx.kept.shape != input.shape or not _at_once(input):
            g = _map(input, target, weight, pair, label_smoothing)
        else:  # what is kept turns into the gradient; another backward finds none
            kept, ctx.kept = ctx.kept, None
            g = _finish(kept, target, weight, pair, label_smoothing)
        return _narrow(g, input.dtype), *nothing


def _settled(counts, input, target, weight, label_smoothing):
    """The counts to judge by: those given, or the mean of a `Counts` that takes in the batch's."""
    if type(counts).__name__ == "Counts":  # of this file or another
        counts = counts.add(_summed(input, target, weight, label_smoothing))
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.requires_grad:
        raise ValueError("counts must be a constant real tensor, as counts() gives it, or a Counts")
    if counts.shape != (4, input.shape[1]):
        raise ValueError(
            f"counts has shape {tuple(counts.shape)}; it must be {(4, input.shape[1])}"
        )
    counts = _tensor(counts, input)
    if _on_cpu(input) and not (counts.isfinite() & (counts >= -1e-5 * counts.abs().sum())).all():
        raise ValueError(f"counts must be finite and not negative, not {counts.tolist()}")
    return counts


def _summed(input, target, weight, label_smoothing):
    """The counts of a batch as one tensor, without a gradient."""
    with torch.no_grad():
        return torch.stack(_count(input, target, weight, None, label_smoothing))


def _scalars(counts, class_weight, absent, smooth):
    """The loss, what backward maps over the batch, and how each loss counts in a mean."""
    cells = counts[:4]
    options = {"class_weight": class_weight, "absent": absent, "smooth": smooth}
    loss = 1 - value(*cells, **options)
    plus, minus = weights(*cells, **options)
    pair = [-plus, -minus]
    pair = torch.stack([_tensor(w, cells[0]).expand_as(cells[0]) for w in pair])
    return loss, pair, loss.new_ones(())


def _count(input, target, weight, kept, label_smoothing):
    """TP, FN, FP, TN of every class: float64, of shape (C,) each."""
    counts = torch.zeros(4, input.shape[1], dtype=_wide(input), device=input.device)
    for _, (z, y, v, s) in _pieces(input, target, weight, kept):
        z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
        a = _softmax(z)
        b = _rest(a)
        n = 1 - y
        if v is not None:
            y, n = y * v, n * v
        # Four sums of their own terms: a count taken as a difference of sums would cancel.
        terms = y * a, y * b, n * a, n * b
        counts += torch.stack([term.sum((0, 2)) for term in terms])
        if s is not None:
            s.copy_(a)
    cells = counts[:4]
    if _at_once(input) and cells.numel() and cells.min() < -1e-5 * cells.abs().sum():
        raise ValueError(
            "target must be in [0, 1] (ignore_index leaves labels out), weight at least 0"
        )
    return counts.unbind()


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


def _map(input, target, weight, pair, label_smoothing):
    """The gradient in one expression, which compilers and autograd can follow."""
    rows, (z, y, v) = slice(None), _flat(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    p = _softmax(z)
    plus, minus = _spread(pair, rows)
    g = _sides(y, plus, minus)
    g = _weighed(_through(p, g), v)
    return g.reshape(input.shape)


def _finish(probabilities, target, weight, pair, label_smoothing):
    """The gradient from the probabilities, in place."""
    for rows, (p, y, v) in _pieces(probabilities, target, weight):
        _, y, v = _ready(p, y, v, label_smoothing)
        plus, minus = _spread(pair, rows)
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
    N, M = len(tensors[0]), math.prod(tensors[0].shape[2:])
    return [None if t is None else t.reshape(N, t.shape[1], M) for t in tensors]


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
        (
            slice(i, i + height),
            [None if t is None else t[i : i + height, :, j : j + width] for t in flat],
        )
        for i in range(0, max(N, 1), height)
        for j in range(0, max(M, 1), width)
    ]


def _spread(pair, rows):
    """The weights of the gradient for a piece: of shape (rows or 1, classes, 1) each."""
    return [w[:, None] for w in pair]


def _sides(y, plus, minus):
    """y plus - (1 - y) minus. lerp is exact at y = 0 and y = 1."""
    return torch.lerp(-minus.to(y.dtype), plus.to(y.dtype), y)


def _weighed(g, v):
    return g if v is None else g * v


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
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, share, counted


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
        keep = target == target if ignore_index is None else target != ignore_index
        keep = keep if mask is None else keep & mask
        target = torch.where(keep, target, 0)
        if _on_cpu(input) and target.numel():  # to look at the values, other devices would wait
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
    if _on_cpu(input) and not (share.isfinite().all() and (share >= 0).all() and share.sum() > 0):
        raise ValueError("class weights must be finite and at least 0, and one class must count")
    return share


def _narrow(g, dtype):
    """To the input's type; halves saturate rather than overflow."""
    largest = torch.finfo(dtype).max
    return g if g.dtype == dtype else g.clamp(-largest, largest).to(dtype)


def _on_cpu(input):
    return input.device.type == "cpu" and not torch.compiler.is_compiling()


def _at_once(input):
    """Whether this runs on a CPU now, neither compiled nor recorded by autograd."""
    return _on_cpu(input) and not torch.is_grad_enabled()


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
    for name, tensor in {"input": input, **others}.items():
        if tensor is None and name in ("weight", "mask"):
            continue
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a tensor, not {type(tensor).__name__}")
        if tensor.is_complex() or (name == "input" and not tensor.is_floating_point()):
            raise ValueError(f"{name} cannot have dtype {tensor.dtype}")
        if name == "mask" and tensor.dtype != torch.bool:
            raise ValueError(f"mask must be a bool tensor, not {tensor.dtype}")
        if tensor.device != input.device:
            raise ValueError(f"input is on {input.device}, {name} on {tensor.device}")
        if name != "input" and tensor.requires_grad:
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
    return min(max(quotient, -_HUGE), _HUGE)
