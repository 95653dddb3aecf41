"""The generated PyTorch file as text with holes: `<<name>>` is a hole, the rest is emitted."""

from __future__ import annotations

import re
from collections.abc import Mapping

from metricc import ir

RECORD_LINE = "METRICC = {}\n"


def fill(template: str, holes: Mapping[str, str]) -> str:
    """Fill every hole of a fragment. Raises `AssertionError` for one without a value."""
    wanted = set(re.findall(r"<<([a-z_]+)>>", template))
    assert wanted <= set(holes), wanted - set(holes)
    return re.sub(r"<<([a-z_]+)>>", lambda match: holes[match.group(1)], template)


TITLE = "{name} as a PyTorch loss: {goal} of soft predictions, with its exact gradient."

USAGE = (
    "    loss = {pascal}Loss({required})",
    "    loss(logits, target{columns}).backward()",
)

ONE_TABLE = (
    "A batch without positives, or without negatives, gets one unit of weight in TP and in TN: "
    "the right empty prediction is then perfect, a wrong one is not, and gradients push the right "
    "way. absent='skip' learns nothing from such a batch, absent='zero' scores it 0; smooth is added "
    "to all four counts of every batch. 0/0 is 0; loss and gradient are finite for every finite input."
)
CLASSES = (
    "A class without positives, or without negatives, is absent from {where}. absent='diagonal' "
    "gives it one unit of weight in TP and in TN: the right empty prediction is then perfect, a wrong "
    "one is not, and gradients push the right way. absent='skip' leaves it out of averages (where all "
    "are absent, as 'diagonal'), absent='zero' scores it 0. The default here is '{default}'; smooth "
    "is added to all four counts. 0/0 is 0; loss and gradient are finite for every finite input."
)
JOINT = (
    "Sums over classes look at one table of all classes, which is absent where its targets hold one "
    "class alone; 'diagonal' then adds one right answer in every class."
)


def absent_default(task: str, joint: bool) -> str:
    """The policy for absent classes where the user names none."""
    return "skip" if task == "multiclass" and not joint else "diagonal"


def absent(options: ir.Options, joint: bool) -> list[str]:
    """The rule for absent classes, as the header states it."""
    where = "a sample" if options.per == "sample" else "a batch"
    if options.task == "binary":
        return [ONE_TABLE if options.per == "batch" else ONE_TABLE.replace("batch", "sample")]
    default = absent_default(options.task, joint)
    return [CLASSES.format(where=where, default=default), *[JOINT] * joint]


_IGNORED = (
    "mask: bool, likewise, and ignore_index: a label: what is masked out (False) or ignored counts "
    "nothing, gets gradient 0, and may be NaN."
)
COUNTS_GIVEN = (
    "counts: the loss and the weights of its gradient are taken at these counts (a tensor, as "
    "loss.counts(...) gives it and as it adds over batches) in place of the batch's own, or at the "
    "running mean of a `Counts`, which takes in the batch's: for batches with few positives."
)
TENSORS = {
    "binary": "input: {kind}; target: labels in [0, 1], float, integer or bool, of the same shape "
    "(any); weight: per element or per sample (first dimension), at least 0; " + _IGNORED,
    "multilabel": "input: {kind} of shape (N, C, ...); target: labels in [0, 1] of the same shape; "
    "weight: per element, per position (N, ...) or per sample (N,), at least 0; " + _IGNORED + " "
    "class_weight: how often each class counts in averages; classes, exclude_background: those that do.",
    "multiclass": "input: {kind} of shape (N, C, ...); target: class indices of shape (N, ...), or "
    "probabilities of the input's shape; weight: per position (N, ...) or per sample (N,), at least 0; "
    + _IGNORED
    + " class_weight: how often each class counts in averages; classes, exclude_background: those "
    "that do.",
}
HALVES = (
    " float16 and bfloat16 inputs are summed "
    "in float32 and give a float32 loss; the counts are float64 (float32 on devices without)."
)
PER_SAMPLE = "Every sample has tables and a loss of its own; a weight per sample weighs its loss."
BY_SAMPLE = "Every sample has a table of its own; a weight per sample weighs it in the mean."
REDUCTION = "reduction: 'mean', 'sum' or 'none' of the losses, which are weighed first."

OWNERSHIP = "The file needs torch alone and belongs to whoever generated it."

SURROGATE_NOTES = {
    "amplified": [
        "A(0) = sigmoid(-L*threshold) is not 0: at the defaults (L=10, threshold=0.5) a sure "
        "negative still counts .0067 in FP, which is .66 of a false positive for each positive "
        "where one sample in a hundred is positive. A larger L lessens that and flattens the slope "
        "away from the threshold: at L = 73 (the paper's) it is 1.5e-7 of its peak at |z| = 1."
    ],
    "score_oriented(uniform)": [
        "The expected confusion matrix over thresholds that are uniform on [mu - delta, mu + "
        "delta]. Predictions outside it have slope 0: they learn nothing from this loss."
    ],
    "score_oriented(cosine)": [
        "The expected confusion matrix over thresholds with a raised cosine on [mu - delta, mu + "
        "delta]. Predictions outside it have slope 0: they learn nothing from this loss."
    ],
    "heaviside": [
        "A step in three straight pieces: its slope is never 0, jumps at threshold +- "
        "min(threshold, 1 - threshold)/2, and is delta/(that piece's width) in the outer ones."
    ],
    "soft": [
        "The counts are the expected confusion matrix if the probabilities were true; the slope "
        "dA/dz = p(1 - p) reaches every sample."
    ],
}


RANGES = '''\
def _require({listed}):
    """ValueError for an argument outside its range."""
{checks}

'''

# What every generated file begins with.
HEAD = '''"""<<docstring>>
"""

<<math>>import torch
from torch import Tensor

__all__ = [<<exports>>]

METRICC = {}

_BLOCK = 65_536  # elements per thread that a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(<<signature>>):
    """The metric on counts<<counts>>."""
<<value>>


def gradient(<<signature>>):
    """Its derivatives in <<variables>>."""
<<gradient>>


def weights(<<signature>>):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP<<weights_doc>>"""
<<weights>>


<<ranges>>'''

PRESENT = '''

def _present(TP, FN, FP, TN, absent, smooth):
    """The counts that the metric sees, whether they are scored, and whether they are learned from.

    A table without positives or without negatives is absent.
    """
    missing = ((TP + FN == 0) | (FP + TN == 0))<<if_wanted>> * 1.0
    perfect = missing if absent == "skip" else 0
    TP, FN = TP + missing + perfect * FN, FN - perfect * FN
    TN, FP = TN + missing + perfect * FP, FP - perfect * FP
    scored = 1 - missing if absent == "zero" else 1
    live = 1 if absent == "diagonal" else 1 - missing
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, scored, live
'''

# Counts that are given in place of the batch's, where its tables are those of the batch.
COUNTS = '''\
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


'''

SETTLED = '''

def _settled(counts, input, target, weight<<settled_args>>):
    """The counts to judge by: those given, or the mean of a `Counts` that takes in the batch's."""
    if type(counts).__name__ == "Counts":  # of this file or another
        counts = counts.add(_summed(input, target, weight<<settled_args>>))
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.requires_grad:
        raise ValueError("counts must be a constant real tensor, as counts() gives it, or a Counts")
    if counts.shape != <<counts_size>>:
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be {<<counts_size>>}")
    counts = _tensor(counts, input)
    if _on_cpu(input) and not (counts.isfinite() & (counts >= -1e-5 * counts.abs().sum())).all():
        raise ValueError(f"counts must be finite and not negative, not {counts.tolist()}")
    return counts


def _summed(input, target, weight<<settled_args>>):
    """The counts of a batch as one tensor, without a gradient."""
    with torch.no_grad():
        return <<summed>>
'''

# With hard counts a root or logarithm of 0 is common, and its slope would drown all others.
KNOWN = """

def _known(w):
    \"\"\"w, or 0 where it has no bound: at a root or logarithm of a hard count of 0.\"\"\"
    return w * (abs(w) < 1e15)
"""

# Small functions that every file ends with.
TOOLS = '''

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


def _policy(absent, smooth, label_smoothing<<policy_arguments>>):
    """ValueError for what is no policy."""
    if absent not in ("diagonal", "skip", "zero"):
        raise ValueError(f'absent must be "diagonal", "skip" or "zero", not {absent!r}')
    if not 0 <= smooth < float("inf"):
        raise ValueError(f"smooth must be at least 0, not {smooth}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], not {label_smoothing}")
<<policy_checks>>'''

# One table: four counts, as floats where this runs at once on a CPU.
SCALAR = '''\
def <<name>>_loss(input: Tensor, target: Tensor, *<<columns_first>>, weight: Tensor | None = None, mask: Tensor | None = None, counts: Tensor | Counts | None = None, ignore_index: float | None = None, label_smoothing: float = 0.0, smooth: float = 0.0, absent: str = "diagonal"<<keywords>>) -> Tensor:
    """The loss of a batch of <<input>>: a scalar. ValueError where the tensors do not fit."""
<<require>>    _policy(absent, smooth, label_smoothing)
    input, target, weight<<columns>> = _arrange(input, target, weight, mask, ignore_index, label_smoothing<<named_columns>>)
    if counts is not None:
        counts = _settled(counts, input, target, weight<<count_args>>)
<<apply>>


class <<pascal>>Loss(torch.nn.Module):
    """`<<name>>_loss` as a module. It holds no state."""

    def __init__(self, *<<keywords>>, ignore_index: float | None = None, label_smoothing: float = 0.0, smooth: float = 0.0, absent: str = "diagonal"):
        super().__init__()
<<require_in_module>><<policy_in_module>><<assign>>        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.smooth = smooth
        self.absent = absent

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None, counts: Tensor | Counts | None = None<<columns_last>>) -> Tensor:
        return <<name>>_loss(input, target<<passed_columns>>, weight=weight, mask=mask, counts=counts, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, smooth=self.smooth, absent=self.absent<<stored>>)

    def counts(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None<<columns_last>>) -> Tensor:
        """<<cells>> of a batch, (<<count>>,), without gradient: they add over batches."""
        input, target, weight<<columns>> = _arrange(input, target, weight, mask, self.ignore_index, self.label_smoothing<<named_columns>>)
        return _summed(input, target, weight<<own_count_args>>)
<<set_surrogate>>
    def extra_repr(self) -> str:
        return <<shown>>


class _<<pascal>>Function(torch.autograd.Function):
    """Forward reduces the batch to <<how_many_counts>> counts, backward maps <<how_many_weights>> weights over it.

    On a CPU forward also leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(input, target, weight, given, absent, smooth<<store>><<star_columns>>):
        kept = _at_once(input) and input.requires_grad and given is None
        slope = input.new_empty(input.shape if kept else 0, dtype=_dtype(input))
        counts = given
        if given is None:
            counts = _count(input, target, weight, slope if kept else None<<count_args>>)
        *cells, scored, _ = _present(*counts<<four>>, absent, smooth)
        loss = <<direction>>scored * value(*cells<<means>><<parameters>>)
        pair = _pair(input, counts, absent, smooth<<pair_args>>)
        return _tensor(loss, input).to(slope.dtype), pair, slope

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight, *ctx.arguments = inputs
<<apart_columns>>        _, pair, ctx.slope = output
        ctx.save_for_backward(input, target, weight, pair<<star_columns>>)
        ctx.mark_non_differentiable(pair, ctx.slope)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, *_):
        nothing = (None,) * (2 + len(ctx.arguments)<<plus_columns>>)
        if grad_loss is None:
            return None, *nothing
        input, target, weight, pair<<star_columns>> = ctx.saved_tensors
        given, absent, smooth<<store>> = ctx.arguments
        if torch.is_grad_enabled() and given is None:  # create_graph: the weights have gradients
            counts = _count(input, target, weight, None<<count_args>>)
            pair = _pair(input, counts, absent, smooth<<pair_args>>)
        pair = (pair * grad_loss).clamp(-_HUGE, _HUGE)
        if ctx.slope is None or ctx.slope.shape != input.shape or not _at_once(input):
            g = _map(input, target, weight, pair<<count_args>>)
        else:  # the slope turns into the gradient; another backward finds none
            slope, ctx.slope = ctx.slope, None
            g = _finish(slope, <<finish_input>>target, weight, pair<<finish_args>>)
        return _narrow(g, input.dtype), *nothing


<<soft>>

def _count(input, target, weight, slope<<count_args>>):
    """<<the_counts>>: floats where this runs at once on a CPU, else tensors."""
    dtype, at_once = _dtype(input), _at_once(input)
    counts = [0.0] * <<count>>
    for z, y, v, s<<star_pieces>> in _pieces(input, target, weight, slope<<star_columns>>):
        z, y = z.to(dtype), y.to(dtype)
        a, b, d = _soft(z<<soft_args>>)
<<element_losses>>        n = 1 - y
        if v is not None:
            y, n = y * v.to(dtype), n * v.to(dtype)
        # Four sums of their own terms: a count taken as a difference of sums would cancel.
        sums = torch.dot(y, a), torch.dot(y, b), torch.dot(n, a), torch.dot(n, b)<<column_sums>><<element_sums>>
        sums = [x.item() if at_once else x.to(_wide(input)) for x in sums]
        counts = [count + x for count, x in zip(counts, sums)]
        if s is not None:
            s.copy_(d)
<<negative>>    return counts
'''

NEGATIVE = """\
    if at_once and min(counts{four}) < -1e-5 * sum(map(abs, counts{four})):
        raise ValueError("target must be in [0, 1] (ignore_index leaves labels out), weight at least 0")
"""

SCALAR_PAIR = '''

def _pair(input, counts, absent, smooth<<pair_args>>):
    """What backward maps over the batch: the derivatives of the loss<<and_losses>>."""
    *cells, _, live = _present(*counts, absent, smooth)
    w_plus, w_minus = weights(*cells<<parameters>>)
<<known>>    return <<scale>>torch.stack([_tensor(live * w_plus, input), _tensor(live * w_minus, input)])
'''

MEANS = '''\
def _means(counts):
    """The element losses' means over the batch."""
    total = sum(counts[:4])
    return [_ratio(x, total) for x in counts[{end}:]]


'''

SCALAR_PAIR_WITH_ELEMENTS = '''

<<means_function>>def _pair(input, counts, absent, smooth<<pair_args>>):
    """What backward maps over the batch: the derivatives of the loss<<and_losses>>."""
    *cells, scored, live = _present(*counts[:4], absent, smooth)
    w_plus, w_minus, *slopes = weights(*cells, *_means(counts)<<parameters>>)
<<known>>    total = sum(counts[:4])
    slopes = [(total > 0) * _ratio(<<sign>>scored * slope, total) for slope in slopes]
    pair = [<<scale>>live * w_plus, <<scale>>live * w_minus, *slopes]
    return torch.stack([_tensor(x, input) for x in pair])
'''

SIDES = '''\
def _sides(y, pair):
    """y pair[0] - (1 - y) pair[1]. lerp is exact at y = 0 and y = 1."""
    plus, minus = pair{two}.to(y.dtype)
    return torch.lerp(-minus.expand_as(y), plus.expand_as(y), y)


'''

SCALAR_MAP = '''

def _map(input, target, weight, pair<<count_args>>):
    """The gradient in one expression, which compilers and autograd can follow."""
    z = input.to(_dtype(input))
    y = target.to(z.dtype)
    g = _sides(y, pair<<columns>>) * _soft(z<<soft_args>>)[2]
<<bound>>    return _weighed(g, weight)<<map_losses>>


def _finish(slope, <<finish_input>>target, weight, pair<<finish_args>>):
    """The gradient from the slope, in place."""
    for s, <<finish_z>>y, v<<star_pieces>> in _pieces(slope, <<finish_input>>target, weight<<star_columns>>):
        y = y.to(s.dtype)
        s.mul_(_sides(y, pair<<pieces>>))<<bound_in_place>>
        if v is not None:
            s.mul_(v)<<finish_losses>>
    return slope


<<sides>>def _weighed(g, v):
    return g if v is None else g * v


def _pieces(*tensors):
    """The tensors flat, and where this runs at once in pieces that fit a CPU's cache."""
    flat = [None if t is None else t.reshape(-1) for t in tensors]
    size = _BLOCK * torch.get_num_threads() if _at_once(flat[0]) else len(flat[0])
    if len(flat[0]) <= size:
        return [flat]
    starts = range(0, len(flat[0]), size)
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
        target = target * (1 - label_smoothing) + label_smoothing / 2
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

# The slope of a user's formula may be as large as w: sqrt(p) at 0.
BOUND = "    g = g.clamp(-_HUGE, _HUGE)\n"
BOUND_IN_PLACE = ".clamp_(-_HUGE, _HUGE)"

LOSSES = '''

def _losses(z, y, v, pair<<loss_args>>):
    """The element losses' part of the gradient."""
    z, weights = z.to(y.dtype), pair[<<weights_end>>:].to(y.dtype)
    # The weight first: it and its sum in w may both be tiny.
    losses = <<element_calls>>
    return sum(_weighed(slope, v) * w for w, (_, slope) in zip(weights, losses))
'''

SET_SURROGATE = '''
    def set_surrogate(self, *, {keywords}) -> None:
        """Change the surrogate's arguments, between steps or epochs."""
{lines}'''
