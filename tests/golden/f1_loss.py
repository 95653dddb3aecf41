"""f1 as a PyTorch loss: 1 - f1 of soft predictions, with its exact gradient.

    loss = F1Loss()
    loss(logits, target).backward()

Metric     f1 = 2*TP/(2*TP + FP + FN)
Loss       1 - f1. The metric is a score (proved from the signs of w_plus and w_minus).
Gradient   d loss/dz_i = -v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i, over the batch
           w_plus = dM/dTP - dM/dFN = 2*(TP + FN + FP)/(2*TP + FN + FP)^2
           w_minus = dM/dTN - dM/dFP = 2*TP/(2*TP + FN + FP)^2
Surrogate  amplified: A(p) = sigmoid(L*(p - threshold)), p = sigmoid(z), z the input; AnyLoss: Han,
           Moniz, Chawla 2024, arXiv 2405.14745
           A(0) = sigmoid(-L*threshold) is not 0: at the defaults (L=10, threshold=0.5) a sure
           negative still counts .0067 in FP, which is .66 of a false positive for each positive
           where one sample in a hundred is positive. A larger L lessens that and flattens the slope
           away from the threshold: at L = 73 (the paper's) it is 1.5e-7 of its peak at |z| = 1.
Outputs    A model trained on this loss decides at `threshold`; its outputs are scores, not
           probabilities: calibrate them on held-out data before reading them as such. For
           calibrated probabilities of another model the best cut is TP/(FN + FP + 2*TP).
Classes    A batch without positives, or without negatives, gets one unit of weight in TP and in TN:
           the right empty prediction is then perfect, a wrong one is not, and gradients push the
           right way. absent='skip' learns nothing from such a batch, absent='zero' scores it 0;
           smooth is added to all four counts of every batch. 0/0 is 0; loss and gradient are finite
           for every finite input.
Tensors    input: logits; target: labels in [0, 1], float, integer or bool, of the same shape (any);
           weight: per element or per sample (first dimension), at least 0; mask: bool, likewise,
           and ignore_index: a label: what is masked out (False) or ignored counts nothing, gets
           gradient 0, and may be NaN. float16 and bfloat16 inputs are summed in float32 and give a
           float32 loss; the counts are float64 (float32 on devices without).
           counts: the loss and the weights of its gradient are taken at these counts (a tensor, as
           loss.counts(...) gives it and as it adds over batches) in place of the batch's own, or at
           the running mean of a `Counts`, which takes in the batch's: for batches with few
           positives.

Made by metricc 0.1.0:  metricc compile '2*TP / (2*TP + FP + FN)' --name f1
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import torch
from torch import Tensor

__all__ = ["Counts", "F1Loss", "f1_loss", "gradient", "value", "weights"]

METRICC = {'version': '0.1.0', 'formula': '2*TP / (2*TP + FP + FN)', 'options': {'name': 'f1', 'task': 'binary', 'per': 'batch', 'surrogate': 'amplified', 'from_probabilities': False, 'goal': 'maximize'}, 'forms': {'value': 'as written; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'as written; proved: rational functions', 'M_FP': 'as written; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'factored; proved: rational functions', 'w_minus': 'as written; proved: rational functions'}, 'formula_sha256': '387affbf4a74411fb0938d350596a22f6d74ea4e05c19b29e5f4099739547ffa', 'file_sha256': '71ab0647dd95d797ec0bbef1fbba2331c11902ba65acad11691499fbf9574c08', 'code_sha256': '9f69ee699596dc7a82e6b4e228f3118ea74f9e7a9e6cf2a1fd321964b2b449d3', 'words_sha256': '0a061c39f844db75d9830c10419a2aae9e42e793b0273d24ed14febba2983ded', 'record_sha256': '388d54fba502c022fb2475fb7178feb6d939084b3b2fcd6e22dd0f5ccaf6a813'}  # fmt: skip  # noqa: E501

_BLOCK = 65_536  # elements per thread that a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(TP, FN, FP, TN):
    """The metric on counts (floats or tensors)."""
    return _ratio(2 * TP, 2 * TP + FN + FP)


def gradient(TP, FN, FP, TN):
    """Its derivatives in TP, FN, FP and TN."""
    x1 = FN + FP
    x2 = 2 * TP + x1
    x3 = _ratio(-2 * TP, x2**2)
    return _ratio(2 * x1, x2**2), x3, x3, 0


def weights(TP, FN, FP, TN):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    x1 = FN + FP
    x2 = 2 * TP + x1
    return _ratio(2 * (TP + x1), x2**2), _ratio(2 * TP, x2**2)


def _require(L, threshold):
    """ValueError for an argument outside its range."""
    if not 0 < L < 1000000:
        raise ValueError(f"L must lie in (0, 1000000), not {L}")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie in (0, 1), not {threshold}")


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


def f1_loss(
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
    L: float = 10.0,
    threshold: float = 0.5,
) -> Tensor:
    """The loss of a batch of logits: a scalar. ValueError where the tensors do not fit."""
    _require(L, threshold)
    _policy(absent, smooth, label_smoothing)
    input, target, weight = _arrange(input, target, weight, mask, ignore_index, label_smoothing)
    if counts is not None:
        counts = _settled(counts, input, target, weight, L, threshold)
    return _F1Function.apply(input, target, weight, counts, absent, smooth, L, threshold)[0]


class F1Loss(torch.nn.Module):
    """`f1_loss` as a module. It holds no state."""

    def __init__(
        self,
        *,
        L: float = 10.0,
        threshold: float = 0.5,
        ignore_index: float | None = None,
        label_smoothing: float = 0.0,
        smooth: float = 0.0,
        absent: str = "diagonal",
    ):
        super().__init__()
        _require(L, threshold)
        _policy(absent, smooth, label_smoothing)
        self.L = L
        self.threshold = threshold
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
        return f1_loss(
            input,
            target,
            weight=weight,
            mask=mask,
            counts=counts,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            smooth=self.smooth,
            absent=self.absent,
            L=self.L,
            threshold=self.threshold,
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
        return _summed(input, target, weight, self.L, self.threshold)

    def set_surrogate(self, *, L: float | None = None, threshold: float | None = None) -> None:
        """Change the surrogate's arguments, between steps or epochs."""
        L = self.L if L is None else L
        threshold = self.threshold if threshold is None else threshold
        _require(L, threshold)
        self.L, self.threshold = L, threshold

    def extra_repr(self) -> str:
        return f"L={self.L}, threshold={self.threshold}"


class _F1Function(torch.autograd.Function):
    """Forward reduces the batch to four counts, backward maps two weights over it.

    On a CPU forward also leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(input, target, weight, given, absent, smooth, L, threshold):
        kept = _at_once(input) and input.requires_grad and given is None
        slope = input.new_empty(input.shape if kept else 0, dtype=_dtype(input))
        counts = given
        if given is None:
            counts = _count(input, target, weight, slope if kept else None, L, threshold)
        *cells, scored, _ = _present(*counts, absent, smooth)
        loss = 1 - scored * value(*cells)
        pair = _pair(input, counts, absent, smooth, L, threshold)
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
        given, absent, smooth, L, threshold = ctx.arguments
        if torch.is_grad_enabled() and given is None:  # create_graph: the weights have gradients
            counts = _count(input, target, weight, None, L, threshold)
            pair = _pair(input, counts, absent, smooth, L, threshold)
        pair = (pair * grad_loss).clamp(-_HUGE, _HUGE)
        if ctx.slope is None or ctx.slope.shape != input.shape or not _at_once(input):
            g = _map(input, target, weight, pair, L, threshold)
        else:  # the slope turns into the gradient; another backward finds none
            slope, ctx.slope = ctx.slope, None
            g = _finish(slope, target, weight, pair)
        return _narrow(g, input.dtype), *nothing


def _soft(z, L, threshold):
    """A(p), 1 - A(p) and dA/dz, p = sigmoid(z), over L."""
    p, q = torch.sigmoid(z), torch.neg(z).sigmoid_()  # each its own, as below
    t = torch.rsub(p, -L * threshold, alpha=-L)  # L (p - threshold), rounded once
    a, b = torch.sigmoid(t), t.neg_().sigmoid_()  # each its own: 1 - a would cancel
    return a, b, a * b * p * q


def _count(input, target, weight, slope, L, threshold):
    """TP, FN, FP, TN: floats where this runs at once on a CPU, else tensors."""
    dtype, at_once = _dtype(input), _at_once(input)
    counts = [0.0] * 4
    for z, y, v, s in _pieces(input, target, weight, slope):
        z, y = z.to(dtype), y.to(dtype)
        a, b, d = _soft(z, L, threshold)
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


def _settled(counts, input, target, weight, L, threshold):
    """The counts to judge by: those given, or the mean of a `Counts` that takes in the batch's."""
    if type(counts).__name__ == "Counts":  # of this file or another
        counts = counts.add(_summed(input, target, weight, L, threshold))
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.requires_grad:
        raise ValueError("counts must be a constant real tensor, as counts() gives it, or a Counts")
    if counts.shape != (4,):
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be {(4,)}")
    counts = _tensor(counts, input)
    if _on_cpu(input) and not (counts.isfinite() & (counts >= -1e-5 * counts.abs().sum())).all():
        raise ValueError(f"counts must be finite and not negative, not {counts.tolist()}")
    return counts


def _summed(input, target, weight, L, threshold):
    """The counts of a batch as one tensor, without a gradient."""
    with torch.no_grad():
        return torch.stack(
            [_tensor(x, input) for x in _count(input, target, weight, None, L, threshold)]
        )


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


def _pair(input, counts, absent, smooth, L, threshold):
    """What backward maps over the batch: the derivatives of the loss."""
    *cells, _, live = _present(*counts, absent, smooth)
    w_plus, w_minus = weights(*cells)
    return -L * torch.stack([_tensor(live * w_plus, input), _tensor(live * w_minus, input)])


def _map(input, target, weight, pair, L, threshold):
    """The gradient in one expression, which compilers and autograd can follow."""
    z = input.to(_dtype(input))
    y = target.to(z.dtype)
    g = _sides(y, pair) * _soft(z, L, threshold)[2]
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
