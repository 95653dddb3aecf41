"""rk as a PyTorch loss: 1 - rk of soft predictions, with its exact gradient.

    loss = RkLoss()
    loss(logits, target).backward()

Metric     rk = (sum(TP)*sum(P) - sum(P*PP))/sqrt((sum(P)^2 - sum(PP^2))*(sum(P)^2 - sum(P^2))),
           where P = TP + FN; PP = TP + FP
           correlation of true and predicted classes, R_K; MCC in a binary task; range [-1, 1]
           Gorodkin 2004
Loss       1 - rk. The metric is neither score nor error (sampled at 100 points).
Gradient   d loss/dp_ik = -v_i (y_ik w_plus_k - (1 - y_ik) w_minus_k) dA/dp_ik, then through the
           softmax
           r2 = sum(TP + FN)
           P = TP + FN
           PP = TP + FP
           r4 = sum((TP + FP)^2)
           r5 = sum((TP + FN)^2)
           slope2 = (-1/sqrt((r2^2 - r4)*(r2^2 - r5)))*d_sum((TP + FN)*(TP + FP))
           x2 = r2^2 - r5
           x1 = (r2^2 - r4)*x2
           slope3 = x2*(((sum(TP)*r2 - sum((TP + FN)*(TP + FP)))/sqrt(x1))/(2*x1))*d_sum((TP +
           FP)^2)
           w_plus = dM/dTP - dM/dFN = (r2/sqrt((r2^2 - r4)*(r2^2 - r5)))*d_sum(TP) + slope2*P +
           slope3*2*PP
           w_minus = dM/dTN - dM/dFP = slope2*-P + slope3*-2*PP
           for each class; d_sum is 1
Surrogate  soft: A(p) = p, p = softmax(z), z the input; the expected confusion matrix
           The counts are the expected confusion matrix if the probabilities were true; the slope
           dA/dz = p(1 - p) reaches every sample.
Classes    A class without positives, or without negatives, is absent from a batch.
           absent='diagonal' gives it one unit of weight in TP and in TN: the right empty prediction
           is then perfect, a wrong one is not, and gradients push the right way. absent='skip'
           leaves it out of averages (where all are absent, as 'diagonal'), absent='zero' scores it
           0. The default here is 'diagonal'; smooth is added to all four counts. 0/0 is 0; loss and
           gradient are finite for every finite input.
           Sums over classes look at one table of all classes, which is absent where its targets
           hold one class alone; 'diagonal' then adds one right answer in every class.
Tensors    input: logits of shape (N, C, ...); target: class indices of shape (N, ...), or
           probabilities of the input's shape; weight: per position (N, ...) or per sample (N,), at
           least 0; mask: bool, likewise, and ignore_index: a label: what is masked out (False) or
           ignored counts nothing, gets gradient 0, and may be NaN. All classes count alike: their
           sums are margins of one table. float16 and bfloat16 inputs are summed in float32 and give
           a float32 loss; the counts are float64 (float32 on devices without).

Made by metricc 0.1.0:  metricc compile multiclass_mcc --name rk --task multiclass
Derivatives compared: 20 points, 50 digits; proved: rational functions; proved: rational functions,
with roots as powers of their factors.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["RkLoss", "rk_loss", "gradient", "value", "weights"]

METRICC = {'version': '0.1.0', 'formula': 'multiclass_mcc', 'options': {'name': 'rk', 'task': 'multiclass', 'per': 'batch', 'surrogate': 'soft', 'from_probabilities': False, 'goal': 'maximize'}, 'forms': {'r1 value': 'as written; proved: rational functions', 'r1 M_TP': 'as written; proved: rational functions', 'r1 M_FN': 'as written; proved: rational functions', 'r1 M_FP': 'as written; proved: rational functions', 'r1 M_TN': 'as written; proved: rational functions', 'r1 w_plus': 'as written; proved: rational functions', 'r1 w_minus': 'as written; proved: rational functions', 'r2 value': 'as written; proved: rational functions', 'r2 M_TP': 'as written; proved: rational functions', 'r2 M_FN': 'as written; proved: rational functions', 'r2 M_FP': 'as written; proved: rational functions', 'r2 M_TN': 'as written; proved: rational functions', 'r2 w_plus': 'as written; proved: rational functions', 'r2 w_minus': 'as written; proved: rational functions', 'r3 value': 'as written; proved: rational functions', 'r3 M_TP': 'as written; proved: rational functions', 'r3 M_FN': 'as written; proved: rational functions', 'r3 M_FP': 'as written; proved: rational functions', 'r3 M_TN': 'as written; proved: rational functions', 'r3 w_plus': 'as written; proved: rational functions', 'r3 w_minus': 'as written; proved: rational functions', 'r4 value': 'as written; proved: rational functions', 'r4 M_TP': 'as written; proved: rational functions', 'r4 M_FN': 'as written; proved: rational functions', 'r4 M_FP': 'as written; proved: rational functions', 'r4 M_TN': 'as written; proved: rational functions', 'r4 w_plus': 'as written; proved: rational functions', 'r4 w_minus': 'as written; proved: rational functions', 'r5 value': 'as written; proved: rational functions', 'r5 M_TP': 'as written; proved: rational functions', 'r5 M_FN': 'as written; proved: rational functions', 'r5 M_FP': 'as written; proved: rational functions', 'r5 M_TN': 'as written; proved: rational functions', 'r5 w_plus': 'as written; proved: rational functions', 'r5 w_minus': 'as written; proved: rational functions', 'outer value': 'factored; proved: rational functions, with roots as powers of their factors', 'outer M_r1': 'factored; proved: rational functions, with roots as powers of their factors', 'outer M_r2': 'factored; compared: 20 points, 50 digits', 'outer M_r3': 'factored; proved: rational functions, with roots as powers of their factors', 'outer M_r4': 'factored; compared: 20 points, 50 digits', 'outer M_r5': 'factored; compared: 20 points, 50 digits'}, 'formula_sha256': '14ea5b0f1529712005025f50ee6e0854af5e4b47920d034af4d94aa6c9caaa52', 'file_sha256': '61a480272e345217fd0a9122f180be9173af530c5178a1473084ba15bd1258f8'}  # fmt: skip  # noqa: E501

_BLOCK = 65_536  # elements per thread that a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(TP, FN, FP, TN, absent=None, smooth=0.0):
    """The metric on counts of shape (..., classes)."""
    TP, FN, FP, TN, share, counted = _joint(TP, FN, FP, TN, None, absent, smooth)
    r2 = _sum(TP + FN, counted)
    metric = _ratio(
        _sum(TP, counted) * r2 - _sum((TP + FN) * (TP + FP), counted),
        _root((r2**2 - _sum((TP + FP) ** 2, counted)) * (r2**2 - _sum((TP + FN) ** 2, counted))),
    )
    return metric.squeeze(-1)


def gradient(TP, FN, FP, TN, absent=None, smooth=0.0):
    """Its derivatives in TP, FN, FP and TN."""
    TP, FN, FP, TN, share, counted = _joint(TP, FN, FP, TN, None, absent, smooth)
    r1 = _sum(TP, counted)
    r2 = _sum(TP + FN, counted)
    r3 = _sum((TP + FN) * (TP + FP), counted)
    x1 = 2 * (TP + FP)
    r4 = _sum((TP + FP) ** 2, counted)
    x2 = 2 * (TP + FN)
    r5 = _sum((TP + FN) ** 2, counted)
    x3 = (r2**2 - r4) * (r2**2 - r5)
    x4 = r1 * r2 - r3
    x6 = r2 * x4
    slope1 = _ratio(r1 * x3 + r4 * x6 + r5 * x6 - 2 * r2**3 * x4, x3 * _root(x3)) * share
    slope2 = _ratio(-1, _root((r2**2 - r4) * (r2**2 - r5))) * share
    x5 = r2**2 - r5
    x7 = (r2**2 - r4) * x5
    slope3 = x5 * _ratio(_ratio(r1 * r2 - r3, _root(x7)), 2 * x7) * share
    x8 = r2**2 - r4
    x9 = x8 * (r2**2 - r5)
    slope4 = x8 * _ratio(_ratio(r1 * r2 - r3, _root(x9)), 2 * x9) * share
    return (
        _ratio(r2, _root((r2**2 - r4) * (r2**2 - r5))) * share
        + slope1
        + slope2 * (2 * TP + FN + FP)
        + slope3 * x1
        + slope4 * x2,
        slope1 + slope2 * (TP + FP) + slope4 * x2,
        slope2 * (TP + FN) + slope3 * x1,
        0,
    )


def weights(TP, FN, FP, TN, absent=None, smooth=0.0):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    TP, FN, FP, TN, share, counted = _joint(TP, FN, FP, TN, None, absent, smooth)
    r2 = _sum(TP + FN, counted)
    P = TP + FN
    PP = TP + FP
    r4 = _sum((TP + FP) ** 2, counted)
    r5 = _sum((TP + FN) ** 2, counted)
    slope2 = _ratio(-1, _root((r2**2 - r4) * (r2**2 - r5))) * share
    x2 = r2**2 - r5
    x1 = (r2**2 - r4) * x2
    slope3 = (
        x2
        * _ratio(
            _ratio(_sum(TP, counted) * r2 - _sum((TP + FN) * (TP + FP), counted), _root(x1)), 2 * x1
        )
        * share
    )
    return (
        _ratio(r2, _root((r2**2 - r4) * (r2**2 - r5))) * share + slope2 * P + slope3 * 2 * PP,
        slope2 * -P + slope3 * -2 * PP,
    )


def rk_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    smooth: float = 0.0,
    absent: str = "diagonal",
) -> Tensor:
    """The loss of logits of shape (N, C, ...): a scalar. ValueError if they misfit."""
    _policy(absent, smooth, label_smoothing)
    target, weight = _arrange(input, target, weight, mask, ignore_index)
    arguments = (label_smoothing, absent, smooth)
    return _RkFunction.apply(input, target, weight, *arguments)[0]


class RkLoss(torch.nn.Module):
    """`rk_loss` as a module. It holds no state."""

    def __init__(
        self,
        *,
        ignore_index: int = -100,
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
    ) -> Tensor:
        return rk_loss(
            input,
            target,
            weight=weight,
            mask=mask,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            smooth=self.smooth,
            absent=self.absent,
        )

    def extra_repr(self) -> str:
        return ""


class _RkFunction(torch.autograd.Function):
    """Forward reduces the batch to the counts of every class, backward maps their weights over it.

    On a CPU forward also leaves the probabilities where backward makes the gradient of it.
    """

    @staticmethod
    def forward(input, target, weight, label_smoothing, absent, smooth):
        keep = _at_once(input) and input.requires_grad
        kept = input.new_empty(input.shape if keep else 0, dtype=_dtype(input))
        counts = _count(input, target, weight, kept if keep else None, label_smoothing)
        loss, pair, share = _scalars(counts, absent, smooth)
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
        label_smoothing, absent, smooth = ctx.arguments
        if torch.is_grad_enabled():  # create_graph: the weights depend on the input too
            counts = _count(input, target, weight, None, label_smoothing)
            pair = _scalars(counts, absent, smooth)[1]
        pair = pair * grad_loss
        if ctx.kept is None or ctx.kept.shape != input.shape or not _at_once(input):
            g = _map(input, target, weight, pair, label_smoothing)
        else:  # what is kept turns into the gradient; another backward finds none
            kept, ctx.kept = ctx.kept, None
            g = _finish(kept, target, weight, pair, label_smoothing)
        return _narrow(g, input.dtype), *nothing


def _scalars(counts, absent, smooth):
    """The loss, what backward maps over the batch, and how each loss counts in a mean."""
    cells = counts[:4]
    options = {"absent": absent, "smooth": smooth}
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
    if _at_once(input) and len(input) and cells.min() < -1e-5 * cells.abs().sum():
        raise ValueError("target must be in [0, 1] and weight not negative")
    return counts.unbind()


def _ready(z, y, v, label_smoothing):
    """Input, labels and weight of a piece; what weighs nothing is made harmless (it may be NaN)."""
    if v is not None:
        v = v.to(z.dtype)
        z = z.masked_fill(v == 0, 0)
    if y.is_floating_point():
        y = y.to(z.dtype) if v is None else y.to(z.dtype).masked_fill(v == 0, 0)
    else:
        y = torch.zeros_like(z).scatter_(1, y.long(), 1)
    if label_smoothing:
        y = y * (1 - label_smoothing) + label_smoothing / y.shape[1]
    return z, y, v


def _map(input, target, weight, pair, label_smoothing):
    """The gradient in one expression, which compilers and autograd can follow."""
    ((rows, (z, y, v)),) = _pieces(input, target, weight)
    z, y, v = _ready(z.to(_dtype(input)), y, v, label_smoothing)
    p = _softmax(z)
    plus, minus = _spread(pair, rows)
    g = _sides(y, v, plus, minus)
    g = _through(p, g)
    return g.reshape(input.shape)


def _finish(probabilities, target, weight, pair, label_smoothing):
    """The gradient from the probabilities, in place."""
    for rows, (p, y, v) in _pieces(probabilities, target, weight):
        _, y, v = _ready(p, y, v, label_smoothing)
        plus, minus = _spread(pair, rows)
        g = _sides(y, v, plus, minus)
        p.copy_(_through(p, g))
    return probabilities


def _through(p, g):
    """From dL/dp to dL/dz: p_k (g_k - sum_j p_j g_j), g counted from that of the likely class.

    The difference does not change, and nothing cancels where p is near 1.
    """
    g = g - (g * _likely(p)).sum(1, keepdim=True)
    return p * (g - (p * g).sum(1, keepdim=True))


def _pieces(*tensors):
    """The tensors as (samples, classes, positions), with the rows that each piece holds.

    Where this runs at once they are cut into pieces that fit a CPU's cache.
    """
    N, C, M = *tensors[0].shape[:2], math.prod(tensors[0].shape[2:])
    flat = [None if t is None else t.reshape(N, t.shape[1], M) for t in tensors]
    if not _at_once(tensors[0]):
        return [(slice(None), flat)]
    size = _BLOCK * torch.get_num_threads() // max(C, 1)
    width = max(1, min(M, size))
    height = max(1, size // width)
    return [
        (
            slice(i, i + height),
            [None if t is None else t[i : i + height, :, j : j + width] for t in flat],
        )
        for i in range(0, N, height)
        for j in range(0, M, width)
    ]


def _spread(pair, rows):
    """The weights of the gradient for a piece: of shape (rows or 1, classes, 1) each."""
    return [w[:, None] for w in pair]


def _sides(y, v, plus, minus):
    """v (y plus - (1 - y) minus). lerp is exact at y = 0 and y = 1."""
    g = torch.lerp(-minus.to(y.dtype), plus.to(y.dtype), y)
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


def _tables(*tables):
    """Counts and share as floating tensors of one shape; no share is a share of 1."""
    *cells, share = tables
    cells = [x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64) for x in cells]
    share = torch.ones_like(cells[0]) if share is None else share.to(cells[0]).expand_as(cells[0])
    return *cells, share


def _sum(e, share):
    """The sum over classes (the last dimension, which is kept)."""
    return (share * e).sum(-1, keepdim=True)


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
    if not target.is_floating_point():
        target = target.unsqueeze(1)
        keep = target != ignore_index
        target = torch.where(keep, target, 0)
        if _on_cpu(input) and len(target):  # a look at the values would wait for other devices
            if not 0 <= target.min() <= target.max() < input.shape[1]:
                raise ValueError(f"target must hold classes 0 to {input.shape[1] - 1}")
            keep = None if keep.all() else keep
    if weight is not None and weight.shape == input.shape[1:2] != input.shape[:1]:
        raise ValueError("weight is per sample or position; classes are weighed by class_weight")
    weight = _placed(weight, positions, "weight")
    mask = _placed(mask, positions, "mask")
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
