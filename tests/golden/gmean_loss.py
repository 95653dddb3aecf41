"""gmean as a PyTorch loss: 1 - gmean of soft predictions, with its exact gradient.

    loss = GmeanLoss()
    loss(logits, target).backward()

Metric     gmean = sqrt(TPR*TNR), where TPR = TP/(TP + FN); TNR = TN/(FP + TN)
           geometric mean of the two classes' recalls; range [0, 1]
           Kubat, Matwin 1997, Addressing the Curse of Imbalanced Training Sets
Loss       1 - gmean. The metric is a score (proved from the signs of w_plus and w_minus).
Gradient   d loss/dz_i = -v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i, over the batch
           w_plus = dM/dTP - dM/dFN = sqrt(TP*TN/((TP + FN)*(FP + TN)))/(2*TP)
           w_minus = dM/dTN - dM/dFP = sqrt(TP*TN/((TP + FN)*(FP + TN)))/(2*TN)
Surrogate  soft: A(p) = p, p the input; the expected confusion matrix
           The counts are the expected confusion matrix if the probabilities were true; the slope
           dA/dz = p(1 - p) reaches every sample.
Outputs    A model trained on this loss decides at p = 1/2; its outputs are scores, not
           probabilities: calibrate them on held-out data before reading them as such. For
           calibrated probabilities of another model the best cut is TP/(TN + TP).
Classes    A batch without positives, or without negatives, gets one unit of weight in TP and in TN:
           the right empty prediction is then perfect, a wrong one is not, and gradients push the
           right way. absent='skip' learns nothing from such a batch, absent='zero' scores it 0;
           smooth is added to all four counts of every batch. 0/0 is 0; loss and gradient are finite
           for every finite input.
Tensors    input: probabilities in [0, 1]; target: labels in [0, 1], float, integer or bool, of the
           same shape (any); weight: per element or per sample (first dimension), at least 0; mask:
           bool, likewise, and ignore_index: a label: what is masked out (False) or ignored counts
           nothing, gets gradient 0, and may be NaN. float16 and bfloat16 inputs are summed in
           float32 and give a float32 loss; the counts are float64 (float32 on devices without).
           counts: the loss and the weights of its gradient are taken at these counts (a tensor, as
           loss.counts(...) gives it and as it adds over batches) in place of the batch's own, or at
           the running mean of a `Counts`, which takes in the batch's: for batches with few
           positives.

Made by metricc 0.1.0:  metricc compile gmean --name gmean --surrogate soft --from-probabilities
Derivatives proved: rational functions, with roots as powers of their factors.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import math

import torch
from torch import Tensor

__all__ = ["Counts", "GmeanLoss", "gmean_loss", "gradient", "value", "weights"]

METRICC = {'version': '0.1.0', 'formula': 'gmean', 'options': {'name': 'gmean', 'task': 'binary', 'per': 'batch', 'surrogate': 'soft', 'from_probabilities': True, 'goal': 'maximize'}, 'forms': {'value': 'as written; proved: rational functions, with roots as powers of their factors', 'M_TP': 'factored; proved: rational functions, with roots as powers of their factors', 'M_FN': 'factored; proved: rational functions, with roots as powers of their factors', 'M_FP': 'factored; proved: rational functions, with roots as powers of their factors', 'M_TN': 'factored; proved: rational functions, with roots as powers of their factors', 'w_plus': 'factored; proved: rational functions, with roots as powers of their factors', 'w_minus': 'factored; proved: rational functions, with roots as powers of their factors'}, 'formula_sha256': 'bf380502489203e12b531670640de31b0ab049d085af3a2315ed4825ec73c61d', 'file_sha256': 'a5e30d3841cef4814713e4cc92a8ff8f07cc502d45112d168ab154b45a1fbd07', 'code_sha256': 'ff0f18f26fa43ee5161577d580b57d15a9447739ac288b902b5b94f60eef6428', 'words_sha256': 'd773281b78cad46b2b6091cb3537dc0c8f7f3e92c3e37bfef1b6cfb269b75515', 'record_sha256': '1112c6e22f376a43db21252d3cd816bd9d000e4974a38b86e78840f0919bd5a1'}  # fmt: skip  # noqa: E501

_BLOCK = 65_536  # elements per thread that a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(TP, FN, FP, TN):
    """The metric on counts (floats or tensors)."""
    return _root(_ratio(TP * TN, (TP + FN) * (FP + TN)))


def gradient(TP, FN, FP, TN):
    """Its derivatives in TP, FN, FP and TN."""
    P = TP + FN
    N = FP + TN
    root = _root(_ratio(TP * TN, P * N))
    x1 = 2 * P
    x2 = -root
    x3 = 2 * N
    return _ratio(FN * root, TP * x1), _ratio(x2, x1), _ratio(x2, x3), _ratio(FP * root, TN * x3)


def weights(TP, FN, FP, TN):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    root = _root(_ratio(TP * TN, (TP + FN) * (FP + TN)))
    return _ratio(root, 2 * TP), _ratio(root, 2 * TN)


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


def gmean_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    counts: Tensor | Counts | None = None,
    ignore_index: float | None = None,
    label_smoothing: float = 0.0,
    smooth: float = 0.0,
    absent: str = "diagonal",
) -> Tensor:
    """The loss of a batch of probabilities: a scalar. ValueError where the tensors do not fit."""
    _policy(absent, smooth, label_smoothing)
    input, target, weight = _arrange(input, target, weight, mask, ignore_index, label_smoothing)
    if counts is not None:
        counts = _settled(counts, input, target, weight)
    return _GmeanFunction.apply(input, target, weight, counts, absent, smooth)[0]


class GmeanLoss(torch.nn.Module):
    """`gmean_loss` as a module. It holds no state."""

    def __init__(
        self,
        *,
        ignore_index: float | None = None,
        label_smoothing: float = 0.0,
        smooth: float = 0.0,
        absent: str = "diagonal",
    ):
        super().__init__()
        _policy(absent, smooth, label_smoothing)
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
        return gmean_loss(
            input,
            target,
            weight=weight,
            mask=mask,
            counts=counts,
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
        """TP, FN, FP, TN of a batch, (4,), without gradient: they add over batches."""
        input, target, weight = _arrange(
            input, target, weight, mask, self.ignore_index, self.label_smoothing
        )
        return _summed(input, target, weight)

    def extra_repr(self) -> str:
        return ""


class _GmeanFunction(torch.autograd.Function):
    """Forward reduces the batch to four counts, backward maps two weights over it.

    On a CPU forward also leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(input, target, weight, given, absent, smooth):
        kept = _at_once(input) and input.requires_grad and given is None
        slope = input.new_empty(input.shape if kept else 0, dtype=_dtype(input))
        counts = given
        if given is None:
            counts = _count(input, target, weight, slope if kept else None)
        *cells, scored, _ = _present(*counts, absent, smooth)
        loss = 1 - scored * value(*cells)
        pair = _pair(input, counts, absent, smooth)
        return _tensor(loss, input).to(slope.dtype), pair, slope

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight, *ctx.arguments = inputs
        _, pair, ctx.slope = output
        ctx.save_for_backward(input, target, weight, pair)
        ctx.mark_non_differentiable(pair, ctx.slope)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, *_):
        nothing = (None,) * (2 + len(ctx.arguments))
        if grad_loss is None:
            return None, *nothing
        input, target, weight, pair = ctx.saved_tensors
        given, absent, smooth = ctx.arguments
        if torch.is_grad_enabled() and given is None:  # create_graph: the weights have gradients
            counts = _count(input, target, weight, None)
            pair = _pair(input, counts, absent, smooth)
        pair = (pair * grad_loss).clamp(-_HUGE, _HUGE)
        if ctx.slope is None or ctx.slope.shape != input.shape or not _at_once(input):
            g = _map(input, target, weight, pair)
        else:  # the slope turns into the gradient; another backward finds none
            slope, ctx.slope = ctx.slope, None
            g = _finish(slope, target, weight, pair)
        return _narrow(g, input.dtype), *nothing


def _soft(p):
    """A(p), 1 - A(p) and dA/dp."""
    q = 1 - p
    return p, q, torch.ones_like(p)


def _count(input, target, weight, slope):
    """TP, FN, FP, TN: floats where this runs at once on a CPU, else tensors."""
    dtype, at_once = _dtype(input), _at_once(input)
    counts = [0.0] * 4
    for z, y, v, s in _pieces(input, target, weight, slope):
        z, y = z.to(dtype), y.to(dtype)
        a, b, d = _soft(z)
        n = 1 - y
        if v is not None:
            y, n = y * v.to(dtype), n * v.to(dtype)
        # Four sums of their own terms: a count taken as a difference of sums would cancel.
        sums = torch.dot(y, a), torch.dot(y, b), torch.dot(n, a), torch.dot(n, b)
        sums = [x.item() if at_once else x.to(_wide(input)) for x in sums]
        counts = [count + x for count, x in zip(counts, sums)]
        if s is not None:
            s.copy_(d)
    if at_once and min(counts) < -1e-5 * sum(map(abs, counts)):
        raise ValueError(
            "target must be in [0, 1] (ignore_index leaves labels out), weight at least 0"
        )
    return counts


def _settled(counts, input, target, weight):
    """The counts to judge by: those given, or the mean of a `Counts` that takes in the batch's."""
    if type(counts).__name__ == "Counts":  # of this file or another
        counts = counts.add(_summed(input, target, weight))
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.requires_grad:
        raise ValueError("counts must be a constant real tensor, as counts() gives it, or a Counts")
    if counts.shape != (4,):
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be {(4,)}")
    counts = _tensor(counts, input)
    if _on_cpu(input) and not (counts.isfinite() & (counts >= -1e-5 * counts.abs().sum())).all():
        raise ValueError(f"counts must be finite and not negative, not {counts.tolist()}")
    return counts


def _summed(input, target, weight):
    """The counts of a batch as one tensor, without a gradient."""
    with torch.no_grad():
        return torch.stack([_tensor(x, input) for x in _count(input, target, weight, None)])


def _present(TP, FN, FP, TN, absent, smooth):
    """The counts that the metric sees, whether they are scored, and whether they are learned from.

    A table without positives or without negatives is absent.
    """
    missing = ((TP + FN == 0) | (FP + TN == 0)) * 1.0
    perfect = missing if absent == "skip" else 0
    TP, FN = TP + missing + perfect * FN, FN - perfect * FN
    TN, FP = TN + missing + perfect * FP, FP - perfect * FP
    scored = 1 - missing if absent == "zero" else 1
    live = 1 if absent == "diagonal" else 1 - missing
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, scored, live


def _pair(input, counts, absent, smooth):
    """What backward maps over the batch: the derivatives of the loss."""
    *cells, _, live = _present(*counts, absent, smooth)
    w_plus, w_minus = weights(*cells)
    return -torch.stack([_tensor(live * w_plus, input), _tensor(live * w_minus, input)])


def _map(input, target, weight, pair):
    """The gradient in one expression, which compilers and autograd can follow."""
    z = input.to(_dtype(input))
    y = target.to(z.dtype)
    g = _sides(y, pair) * _soft(z)[2]
    return _weighed(g, weight)


def _finish(slope, target, weight, pair):
    """The gradient from the slope, in place."""
    for s, y, v in _pieces(slope, target, weight):
        y = y.to(s.dtype)
        s.mul_(_sides(y, pair))
        if v is not None:
            s.mul_(v)
    return slope


def _sides(y, pair):
    """y pair[0] - (1 - y) pair[1]. lerp is exact at y = 0 and y = 1."""
    plus, minus = pair.to(y.dtype)
    return torch.lerp(-minus.expand_as(y), plus.expand_as(y), y)


def _weighed(g, v):
    return g if v is None else g * v


def _pieces(*tensors):
    """The tensors flat, and where this runs at once in pieces that fit a CPU's cache."""
    flat = [None if t is None else t.reshape(-1) for t in tensors]
    size = _BLOCK * torch.get_num_threads() if _at_once(flat[0]) else len(flat[0])
    if len(flat[0]) <= size:
        return [flat]
    starts = range(0, len(flat[0]), size)
    return [[None if t is None else t[i : i + size] for t in flat] for i in starts]


def _arrange(input, target, weight, mask, ignore_index, label_smoothing):
    """The tensors as they are counted. Refuses those that do not fit together."""
    _fit(input, target=target, weight=weight, mask=mask)
    if target.shape != input.shape:
        raise ValueError(f"input has shape {tuple(input.shape)}, target {tuple(target.shape)}")
    weight = weight if weight is None else _spread(weight, input, "weight")
    if mask is not None or ignore_index is not None:
        input, target, weight = _kept(input, target, weight, mask, ignore_index)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / 2
    return input, target, weight


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


def _root(x):
    """sqrt(x) for x of at least _TINY; below it, constant."""
    if isinstance(x, Tensor):
        return x.clamp(min=torch.finfo(x.dtype).tiny).sqrt()
    return math.sqrt(_TINY if x < _TINY else x)
