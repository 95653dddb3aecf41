"""fbeta as a PyTorch loss: 1 - fbeta of soft predictions, with its exact gradient.

    loss = FbetaLoss()
    loss(logits, target).backward()

Metric     fbeta = (1 + beta^2)*PPV*TPR/(beta^2*PPV + TPR), where PPV = TP/(TP + FP); TPR = TP/(TP +
           FN)
           weighted harmonic mean of precision and recall; recall counts beta times as much; range
           [0, 1]
           van Rijsbergen 1979, Information Retrieval, 2nd edition, chapter 7
Loss       1 - fbeta. The metric is a score (proved from the signs of w_plus and w_minus).
Gradient   d loss/dz_i = -v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i, over the batch
           w_plus = dM/dTP - dM/dFN = (FP + beta^2*(TP + FN))*((beta^2 + 1)/(TP + FP + beta^2*(TP +
           FN))^2)
           w_minus = dM/dTN - dM/dFP = TP*((beta^2 + 1)/(TP + FP + beta^2*(TP + FN))^2)
Surrogate  soft: A(p) = p, p = sigmoid(z), z the input; the expected confusion matrix
           The counts are the expected confusion matrix if the probabilities were true; the slope
           dA/dz = p(1 - p) reaches every sample.
Outputs    A model trained on this loss decides at p = 1/2; its outputs are scores, not
           probabilities: calibrate them on held-out data before reading them as such. For
           calibrated probabilities of another model the best cut is TP/(FN*beta**2 + FP +
           TP*beta**2 + TP).
Undefined  where there are no positives, real or predicted (TP = FN = FP = 0).
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
           process_group: the ranks that share one batch, a ProcessGroup or 'world'; each must call.
           Their counts are summed: each has the loss of the whole batch, whose classes are absent
           where all ranks lack them, and its part of the gradient times the number of ranks, by
           which DDP and FSDP divide. There are no second derivatives then, nor torch.func.

Made by metricc 0.1.0:  metricc compile fbeta --name fbeta --surrogate soft
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs torch alone and belongs to whoever generated it.
"""

import functools
import hashlib
import pathlib

import torch
from torch import Tensor

__all__ = ["Counts", "FbetaLoss", "fbeta_loss", "gradient", "value", "weights"]

METRICC = {'version': '0.1.0', 'formula': 'fbeta', 'options': {'name': 'fbeta', 'task': 'binary', 'per': 'batch', 'surrogate': 'soft', 'from_probabilities': False, 'goal': 'maximize'}, 'forms': {'value': 'factored; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'factored; proved: rational functions', 'M_FP': 'factored; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'factored; proved: rational functions', 'w_minus': 'factored; proved: rational functions'}, 'formula_sha256': 'b51f85d0a2d9c405a7a115a3a70d5b26055564d747be9c0ae0895cebf0822012', 'file_sha256': '8cf8dbacb1607df601a93ed2ae8bb70e414fcdb2d1237f8ba9febddd59abffa3', 'code_sha256': '5b62c708980acc710ba97985ccc6075e59b85c46612f63104ff67408d0c4dee7', 'words_sha256': '698598f1e2b1f80dd5305a74cbc0073a93aa750aab565e5ebb8dcc05c96631ab', 'record_sha256': 'cb9e4ce7be9357f0a31e72d5bc8ed3ecff44173c98cc2e5754e23f2beb52f676'}  # fmt: skip  # noqa: E501

_BLOCK = 32_768  # elements that each thread of a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(TP, FN, FP, TN, beta=1.0):
    """The metric on counts (floats or tensors)."""
    x3 = TP * (beta**2 + 1)
    return _ratio(x3, beta**2 * FN + FP + x3)


def gradient(TP, FN, FP, TN, beta=1.0):
    """Its derivatives in TP, FN, FP and TN."""
    x1 = beta**2 * FN + FP
    x2 = beta**2 + 1
    x3 = TP * x2
    x4 = x1 + x3
    x5 = _ratio(-x3, x4**2)
    return _ratio(x2 * x1, x4**2), beta**2 * x5, x5, 0


def weights(TP, FN, FP, TN, beta=1.0):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    x1 = FP + beta**2 * (TP + FN)
    x2 = _ratio(beta**2 + 1, (TP + x1) ** 2)
    return x1 * x2, TP * x2


def _require(beta):
    """ValueError for an argument outside its range."""
    if not 0 < beta:
        raise ValueError(f"beta must lie in (0, inf), not {beta}")


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


def fbeta_loss(
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
    process_group: "torch.distributed.ProcessGroup | str | None" = None,
    beta: float = 1.0,
) -> Tensor:
    """The loss of a batch of logits: a scalar. ValueError where the tensors do not fit."""
    _require(beta)
    _policy(absent, smooth, label_smoothing)
    input, target, weight = _arrange(input, target, weight, mask, ignore_index, label_smoothing)
    ranks = None if process_group is None else _group(process_group)
    if counts is not None:
        counts = _settled(counts, input, target, weight, ranks)
    options = (counts, ranks, absent, smooth, beta)
    if _at_once(input, target, weight, counts):
        by_kernel = _by_kernel(input, target, weight, *options)
        if by_kernel is not None:
            return by_kernel
        return _FbetaBlocks.apply(input, target, weight, options)
    return _FbetaFunction.apply(input, target, weight, *options)[0]


class FbetaLoss(torch.nn.Module):
    """`fbeta_loss` as a module. It holds no state."""

    def __init__(
        self,
        *,
        beta: float = 1.0,
        ignore_index: float | None = None,
        label_smoothing: float = 0.0,
        smooth: float = 0.0,
        absent: str = "diagonal",
        process_group: "torch.distributed.ProcessGroup | str | None" = None,
    ):
        super().__init__()
        _require(beta)
        _policy(absent, smooth, label_smoothing)
        self.beta = beta
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
        return fbeta_loss(
            input,
            target,
            weight=weight,
            mask=mask,
            counts=counts,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            smooth=self.smooth,
            absent=self.absent,
            process_group=self.process_group,
            beta=self.beta,
        )

    def counts(
        self,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """TP, FN, FP, TN of a batch, (4,), without gradient: they add over batches and ranks."""
        input, target, weight = _arrange(
            input, target, weight, mask, self.ignore_index, self.label_smoothing
        )
        return _summed(input, target, weight)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class _FbetaFunction(torch.autograd.Function):
    """Forward reduces the batch to four counts, backward maps two weights over it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(input, target, weight, counts, ranks, absent, smooth, beta):
        if counts is None:
            counts = _over_ranks(_count(input, target, weight), ranks)
        loss, *pair = _scalars(counts, absent, smooth, beta)
        pair = torch.stack([_tensor(x, input) for x in pair]) * _size(ranks)
        return _bounded(_tensor(loss, input), _dtype(input)), pair

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight, counts, *ctx.arguments = inputs
        ctx.save_for_backward(input, target, weight, counts, output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, _):
        nothing = (None,) * (3 + len(ctx.arguments))
        if grad_loss is None:
            return None, *nothing
        input, target, weight, counts, pair = ctx.saved_tensors
        ranks, absent, smooth, beta = ctx.arguments
        if torch.is_grad_enabled() and counts is None:
            pair = _again(input, target, weight, ranks, absent, smooth, beta)
        return _map(input, target, weight, grad_loss * pair), *nothing


class _FbetaBlocks(torch.autograd.Function):
    """The same for tensors of a CPU, at once: block by block, with counts and weights as floats.

    Forward leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(ctx, input, target, weight, options):
        counts, ranks, absent, smooth, beta = options
        keep = ctx.needs_input_grad[0]
        sums, ctx.slope = _over_blocks(input, target, weight, keep)
        loss, *ctx.pair = _judged(sums, input, counts, ranks, absent, smooth, beta)
        ctx.save_for_backward(input, target, weight)
        ctx.options = options
        return input.new_full((), loss, dtype=_dtype(input))

    @staticmethod
    def backward(ctx, grad_loss):
        input, target, weight = ctx.saved_tensors
        counts, ranks, absent, smooth, beta = ctx.options
        slope, ctx.slope = ctx.slope, None
        if _at_once(grad_loss) and not torch.is_grad_enabled():
            if slope is None:  # this is a second backward
                _, slope = _over_blocks(input, target, weight, True)
            scale = grad_loss.item()
            g = _finish(slope, target, weight, [scale * x for x in ctx.pair])
            g = _narrow(g.view(input.shape), input.dtype)
        else:
            pair = _tensor(ctx.pair, input)
            if torch.is_grad_enabled() and counts is None:
                pair = _again(input, target, weight, ranks, absent, smooth, beta)
            g = _map(input, target, weight, grad_loss * pair)
        return g, *(None,) * 3


def _judged(sums, input, counts, ranks, absent, smooth, beta):
    """As floats, the loss and what backward maps, at counts that are given or those of all ranks."""
    if counts is not None:
        sums = counts.tolist()
    elif ranks is not None:
        sums = _over_ranks(_tensor(sums, input), ranks).tolist()
    loss, *pair = _scalars(sums, absent, smooth, beta)
    if ranks is not None:
        pair = [x * _size(ranks) for x in pair]
    if not -3e38 < loss < 3e38:
        largest = torch.finfo(_dtype(input)).max
        loss = min(max(loss, -largest), largest)
    return loss, *pair


def _scalars(counts, absent, smooth, beta):
    """The loss, and its derivatives in A at a positive and at a negative."""
    *cells, scored, live = _present(*counts, absent, smooth)
    w_plus, w_minus = weights(*cells, beta)
    loss = 1 - scored * value(*cells, beta)
    return loss, -live * w_plus, live * w_minus


def _again(input, target, weight, ranks, absent, smooth, beta):
    """What backward maps, with derivatives of its own."""
    if _size(ranks) != 1:
        raise NotImplementedError("a process_group has no second derivatives, and no torch.func")
    _, *pair = _scalars(_count(input, target, weight), absent, smooth, beta)
    return torch.stack([_tensor(x, input) for x in pair])


def _soft(z):
    """A(p), 1 - A(p) and dA/dz, p = sigmoid(z)."""
    p, q = torch.sigmoid(z), torch.neg(z).sigmoid_()  # each its own, as below
    return p, q, p * q


def _sums(soft, z, y, v):
    """TP, FN, FP, TN, as 0-d tensors, and the surrogate's slope."""
    y = _as(y, z.dtype)
    a, b, d = soft(z)
    n = 1 - y
    if v is not None:
        v = _as(v, z.dtype)
        y, n = y * v, n * v
    # Four sums of their own terms: a count taken as a difference of sums would cancel.
    sums = torch.dot(y, a), torch.dot(y, b), torch.dot(n, a), torch.dot(n, b)
    return sums, d


def _count(input, target, weight):
    """The counts as a tensor."""
    z, y, v = _flat(input, target, weight)
    sums, _ = _sums(_soft, _as(z, _dtype(z)), y, v)
    return torch.stack([x.to(_wide(input)) for x in sums])


def _over_blocks(input, target, weight, keep):
    """The counts as floats and, where it is to be kept, the surrogate's slope."""
    dtype = _dtype(input)
    parts = _blocks(input, target, weight)
    slope = input.new_empty(input.numel(), dtype=dtype) if keep and len(parts) > 1 else None
    counts, n = None, 0
    for z, y, v in parts:
        sums, d = _sums(_soft, _as(z, dtype), y, v)
        sums = [x.item() for x in sums]
        counts = sums if counts is None else [count + x for count, x in zip(counts, sums)]
        if slope is not None:
            slope[n : n + d.numel()] = d
            n += d.numel()
    if keep and slope is None:
        slope = d
    if min(counts) < 0 and min(counts) < -1e-5 * sum(map(abs, counts)):
        raise ValueError(
            "target must be in [0, 1] (ignore_index leaves labels out), weight at least 0"
        )
    return counts, slope


def _settled(counts, input, target, weight, ranks=None):
    """The counts to judge by: those given, or the mean of a `Counts` that takes in the batch's."""
    if type(counts).__name__ == "Counts":  # of this file or another
        counts = counts.add(_over_ranks(_summed(input, target, weight), ranks))
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.requires_grad:
        raise ValueError("counts must be a constant real tensor, as counts() gives it, or a Counts")
    if counts.shape != (4,):
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be {(4,)}")
    counts = _tensor(counts, input)
    if _at_once(input, counts):
        keep = counts.isfinite() & (counts >= -1e-5 * counts.abs().sum())
        if not keep.all():
            raise ValueError(f"counts must be finite and not negative, not {counts.tolist()}")
    return counts


def _summed(input, target, weight):
    """The counts of a batch as one tensor, without a gradient."""
    with torch.no_grad():
        if _at_once(input, target, weight):
            counts, _ = _over_blocks(input, target, weight, False)
            return _tensor(counts, input)
        return _count(input, target, weight)


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


def _map(input, target, weight, pair):
    """The gradient in one expression, which compilers and autograd can follow."""
    z = _as(input, _dtype(input))
    y = _as(target, z.dtype)
    pair = pair.clamp(-_HUGE, _HUGE).to(y.dtype).unbind()
    plus, minus = pair
    g = (y * plus + (1 - y) * minus) * _soft(z)[2]
    return _narrow(_weighed(g, weight), input.dtype)


def _finish(slope, target, weight, pair):
    """The gradient from the slope, in place."""
    parts = _blocks(slope, target, weight)
    size = parts[0][0].numel()
    pair = [slope.new_full((size,), min(max(x, -_HUGE), _HUGE)) for x in pair]
    for s, y, v in parts:
        if s.numel() < size:  # the last
            pair = [x[: s.numel()] for x in pair]
        plus, minus = pair
        s.mul_(torch.lerp(minus, plus, _as(y, s.dtype)))
        if v is not None:
            s.mul_(v)
    return slope


def _bounded(loss, dtype):
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


def _arrange(input, target, weight, mask, ignore_index, label_smoothing):
    """The tensors as they are counted. Refuses those that do not fit together."""
    _fit(input, target=target, weight=weight, mask=mask)
    if target.shape != input.shape:
        raise ValueError(f"input has shape {tuple(input.shape)}, target {tuple(target.shape)}")
    weight = weight if weight is None else _spread(weight, input, "weight")
    if mask is not None or ignore_index is not None:
        input, target, weight = _kept(input, target, weight, mask, ignore_index)
    if label_smoothing:
        target = _as(target, _dtype(input)) * (1 - label_smoothing) + label_smoothing / 2
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


def _by_kernel(input, target, weight, given, ranks, absent, smooth, beta):
    """The loss by the built kernel; None without one, or where it does not take the tensors."""
    kernel = _built()
    found = None if kernel is None else kernel.count(input, target, weight)
    if found is None:
        return None
    counts, slope = found
    if min(counts) < 0 and min(counts) < -1e-5 * sum(map(abs, counts)):
        raise ValueError(
            "target must be in [0, 1] (ignore_index leaves labels out), weight at least 0"
        )
    loss, *pair = _judged(counts, input, given, ranks, absent, smooth, beta)

    def again(input, target, weight, grad_loss):
        weights = _tensor(pair, input)
        if torch.is_grad_enabled() and given is None:
            weights = _again(input, target, weight, ranks, absent, smooth, beta)
        return _map(input, target, weight, grad_loss * weights)

    return kernel.loss(input, target, weight, slope, loss, *pair, again)


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
