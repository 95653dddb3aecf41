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
RANKS = (
    "process_group: the ranks that share one batch, a ProcessGroup or 'world'; each must call. Their "
    "counts are summed: each has the loss of the whole batch, whose classes are absent where all ranks "
    "lack them, and its part of the gradient times the number of ranks, by which DDP and FSDP divide. "
    "There are no second derivatives then, nor torch.func."
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

_BLOCK = <<block>>  # elements that each thread of a CPU works on at a time: they stay in its cache
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

def _settled(counts, input, target, weight<<settled_args>>, ranks=None):
    """The counts to judge by: those given, or the mean of a `Counts` that takes in the batch's."""
    if type(counts).__name__ == "Counts":  # of this file or another
        counts = counts.add(_over_ranks(_summed(input, target, weight<<settled_args>>), ranks))
    if not isinstance(counts, Tensor) or counts.is_complex() or counts.requires_grad:
        raise ValueError("counts must be a constant real tensor, as counts() gives it, or a Counts")
    if counts.shape != <<counts_size>>:
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be {<<counts_size>>}")
    counts = _tensor(counts, input)
    if _at_once(input, counts):
        keep = counts.isfinite() & (counts >= -1e-5 * counts.abs().sum())
        if not keep.all():
            raise ValueError(f"counts must be finite and not negative, not {counts.tolist()}")
    return counts


def _summed(input, target, weight<<settled_args>>):
    """The counts of a batch as one tensor, without a gradient."""
    with torch.no_grad():
<<summed_at_once>>        return <<summed>>
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


def _policy(absent, smooth, label_smoothing<<policy_arguments>>):
    """ValueError for what is no policy."""
    if absent not in ("diagonal", "skip", "zero"):
        raise ValueError(f'absent must be "diagonal", "skip" or "zero", not {absent!r}')
    if not 0 <= smooth < float("inf"):
        raise ValueError(f"smooth must be at least 0, not {smooth}")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], not {label_smoothing}")
<<policy_checks>>'''

# The slope of a user's formula may be as large as w: sqrt(p) at 0.
BOUND = "    g = g.clamp(-_HUGE, _HUGE)\n"
BOUND_IN_PLACE = ".clamp_(-_HUGE, _HUGE)"

SET_SURROGATE = '''
    def set_surrogate(self, *, {keywords}) -> None:
        """Change the surrogate's arguments, between steps or epochs."""
{lines}'''
