"""The generated PyTorch file as text with holes: `<<name>>` is a hole, the rest is emitted."""

from __future__ import annotations

import re
from collections.abc import Mapping

RECORD_LINE = "METRICC = {}\n"


def fill(template: str, holes: Mapping[str, str]) -> str:
    """Fill every hole once. Raises `AssertionError` unless holes and values are the same set."""
    wanted = set(re.findall(r"<<([a-z_]+)>>", template))
    assert wanted == set(holes), wanted ^ set(holes)
    return re.sub(r"<<([a-z_]+)>>", lambda match: holes[match.group(1)], template)


TITLE = "{name} as a PyTorch loss: {goal} of soft predictions, with its exact gradient."

USAGE = (
    "    loss = {pascal}Loss({required})",
    "    loss(logits, target).backward()",
)

ABSENT = [
    "A batch without positives, or without negatives, gets one unit of weight in TP and in TN: "
    "the right empty prediction is then perfect, a wrong one is not, and gradients push the right "
    "way. Nothing is ever added to other batches. 0/0 is 0; loss and gradient are finite for every "
    "finite input."
]

TENSORS = (
    "target: labels in [0, 1], float, integer or bool, of the same shape (any); weight: per "
    "element or per sample (first dimension), at least 0; mask: bool, likewise, and ignore_index: a "
    "label: what is masked out (False) or ignored counts nothing, gets gradient 0, and may be NaN. "
    "float16 and bfloat16 inputs are summed "
    "in float32 and give a float32 loss; the four counts are float64 (float32 on devices without)."
)

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

# Guarded scalars, for floats (counts on a CPU) and tensors (elsewhere) alike.
GUARDS = {
    "_ratio": '''

def _ratio(a, b):
    """a / b, finite for every b: |b| is at least _TINY, the quotient at most _HUGE."""
    if isinstance(b, Tensor):
        tiny = torch.finfo(b.dtype).tiny
        return (a / torch.where(b.abs() < tiny, tiny, b)).clamp(-_HUGE, _HUGE)
    quotient = a / (_TINY if abs(b) < _TINY else b)
    return min(max(quotient, -_HUGE), _HUGE)
''',
    "_root": '''

def _root(x):
    """sqrt(x) for x of at least _TINY; below it, constant."""
    if isinstance(x, Tensor):
        return x.clamp(min=torch.finfo(x.dtype).tiny).sqrt()
    return math.sqrt(_TINY if x < _TINY else x)
''',
    "_log": '''

def _log(x):
    """log(x) for x of at least _TINY; below it, constant."""
    if isinstance(x, Tensor):
        return x.clamp(min=torch.finfo(x.dtype).tiny).log()
    return math.log(_TINY if x < _TINY else x)
''',
    "_exp": '''

def _exp(x):
    """exp(x), at most _HUGE."""
    return x.clamp(max=math.log(_HUGE)).exp() if isinstance(x, Tensor) else math.exp(
        min(x, math.log(_HUGE))
    )
''',
    "_power": '''

def _power(x, exponent):
    """x**exponent, at most _HUGE; where it is not whole, x is at least _TINY."""
    whole = not isinstance(exponent, Tensor) and float(exponent).is_integer()
    if isinstance(x, Tensor):
        x = x if whole else x.clamp(min=torch.finfo(x.dtype).tiny)
        return (x**exponent).clamp(-_HUGE, _HUGE)
    x = _TINY if not whole and x < _TINY else x
    try:
        return min(max(x**exponent, -_HUGE), _HUGE)
    except (OverflowError, ZeroDivisionError):
        return -_HUGE if x < 0 and exponent % 2 else _HUGE
''',
    "_abs": """

def _abs(x):
    return abs(x)
""",
    "_min": """

def _min(a, b):
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        like = a if isinstance(a, Tensor) else b
        return torch.minimum(torch.as_tensor(a).to(like), torch.as_tensor(b).to(like))
    return min(a, b)
""",
    "_max": """

def _max(a, b):
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        like = a if isinstance(a, Tensor) else b
        return torch.maximum(torch.as_tensor(a).to(like), torch.as_tensor(b).to(like))
    return max(a, b)
""",
    "_select": '''

def _select(x, y, a, b):
    """a where x < y, else b."""
    like = next((t for t in (x, y, a, b) if isinstance(t, Tensor)), None)
    if like is None:
        return a if x < y else b
    x, y, a, b = (torch.as_tensor(t).to(like) for t in (x, y, a, b))
    return torch.where(x < y, a, b)
''',
    "_step": '''

def _step(x):
    """0 below 0, 1 above, 1/2 at 0."""
    return (torch.sign(x) + 1) / 2 if isinstance(x, Tensor) else ((x > 0) - (x < 0) + 1) / 2
''',
}
RANGES = '''\
def _require({listed}):
    """ValueError for an argument outside its range."""
{checks}

'''
NEED_MATH = {"_root", "_log", "_exp"}

# What the slope of a surrogate lacks of dA/dz, as a factor of the whole gradient.
SCALES = {
    "amplified": "L * ",
    "score_oriented(uniform)": "0.5 / delta * ",
    "score_oriented(cosine)": "1 / delta * ",
}

_STEPS = '''

def _steps(p, q, delta, threshold):
    """A, 1 - A and dA/dp: slope `low` up to delta, `mid` to 1 - delta, `high` to 1."""
    half = min(threshold, 1 - threshold) / 2
    low, mid = delta / (threshold - half), (1 - 2 * delta) / (2 * half)
    high = delta / (1 - threshold - half)
    below, above = p < threshold - half, p > threshold + half
    inside = mid * (p - threshold)
    a = torch.where(below, low * p, torch.where(above, 1 - high * q, 0.5 + inside))
    b = torch.where(below, 1 - low * p, torch.where(above, high * q, 0.5 - inside))
    return a, b, mid + (low - mid) * below.to(p.dtype) + (high - mid) * above.to(p.dtype)
'''

# What a surrogate is in code, by name and by whether the input is a probability already.
SURROGATES: dict[tuple[str, bool], dict[str, str]] = {
    ("amplified", False): {
        "input": "logits",
        "soft": """\
def _soft(z, L, threshold):
    \"\"\"A(p), 1 - A(p) and p. Each is a sigmoid of its own: subtracting from 1 would cancel.\"\"\"
    p = torch.sigmoid(z)
    t = torch.rsub(p, -L * threshold, alpha=-L)  # L (p - threshold), rounded once
    return torch.sigmoid(t), t.neg_().sigmoid_(), p


def _slope(z, a, b, p, out=None):
    \"\"\"dA/dz / L = A (1 - A) p (1 - p).\"\"\"
    s = torch.mul(torch.mul(a, b, out=out), p, out=out)
    return torch.mul(s, torch.neg(z).sigmoid_(), out=out)
""",
    },
    ("amplified", True): {
        "input": "probabilities",
        "soft": """\
def _soft(p, L, threshold):
    \"\"\"A(p) and 1 - A(p). Each is a sigmoid of its own: subtracting from 1 would cancel.\"\"\"
    t = torch.rsub(p, -L * threshold, alpha=-L)  # L (p - threshold), rounded once
    return torch.sigmoid(t), t.neg_().sigmoid_()


def _slope(p, a, b, out=None):
    \"\"\"dA/dp / L = A (1 - A).\"\"\"
    return torch.mul(a, b, out=out)
""",
    },
    ("soft", False): {
        "input": "logits",
        "soft": """\
def _soft(z):
    \"\"\"p and 1 - p. Each is a sigmoid of its own: subtracting from 1 would cancel.\"\"\"
    return torch.sigmoid(z), torch.neg(z).sigmoid_()


def _slope(z, p, q, out=None):
    \"\"\"dp/dz = p (1 - p).\"\"\"
    return torch.mul(p, q, out=out)
""",
    },
    ("soft", True): {
        "input": "probabilities",
        "soft": """\
def _soft(p):
    return p, 1 - p


def _slope(p, a, b, out=None):
    return torch.ones_like(p) if out is None else out.fill_(1)
""",
    },
    ("score_oriented(uniform)", False): {
        "input": "logits",
        "soft": """\
def _soft(z, mu, delta):
    \"\"\"A(p), 1 - A(p), p and 1 - p. A rises from 0 at mu - delta to 1 at mu + delta.\"\"\"
    p = torch.sigmoid(z)
    u = (p - mu) / (2 * delta)
    return (0.5 + u).clamp(0, 1), (0.5 - u).clamp(0, 1), p, torch.neg(z).sigmoid_()


def _slope(z, a, b, p, q, out=None):
    \"\"\"dA/dz * 2 delta = p (1 - p) where A is between 0 and 1, else 0.\"\"\"
    return torch.mul(torch.mul(p, q, out=out), (a > 0) & (b > 0), out=out)
""",
    },
    ("score_oriented(uniform)", True): {
        "input": "probabilities",
        "soft": """\
def _soft(p, mu, delta):
    \"\"\"A(p) and 1 - A(p). A rises from 0 at mu - delta to 1 at mu + delta.\"\"\"
    u = (p - mu) / (2 * delta)
    return (0.5 + u).clamp(0, 1), (0.5 - u).clamp(0, 1)


def _slope(p, a, b, out=None):
    \"\"\"dA/dp * 2 delta = 1 where A is between 0 and 1, else 0.\"\"\"
    inside = ((a > 0) & (b > 0)).to(p.dtype)
    return inside if out is None else out.copy_(inside)
""",
    },
    ("score_oriented(cosine)", False): {
        "input": "logits",
        "soft": """\
def _soft(z, mu, delta):
    \"\"\"A(p), 1 - A(p), the place u of p in the support, p and 1 - p.\"\"\"
    p = torch.sigmoid(z)
    u = ((p - mu) / delta).clamp(-1, 1)
    s = u + torch.sin(math.pi * u) / math.pi
    return (1 + s) / 2, (1 - s) / 2, u, p, torch.neg(z).sigmoid_()


def _slope(z, a, b, u, p, q, out=None):
    \"\"\"dA/dz * delta = cos(pi u / 2)^2 p (1 - p), exactly 0 at the ends of the support.\"\"\"
    c = torch.sin(math.pi / 2 * (1 - u.abs()))
    return torch.mul(c * c, p * q, out=out)
""",
    },
    ("score_oriented(cosine)", True): {
        "input": "probabilities",
        "soft": """\
def _soft(p, mu, delta):
    \"\"\"A(p), 1 - A(p) and the place u of p in the support.\"\"\"
    u = ((p - mu) / delta).clamp(-1, 1)
    s = u + torch.sin(math.pi * u) / math.pi
    return (1 + s) / 2, (1 - s) / 2, u


def _slope(p, a, b, u, out=None):
    \"\"\"dA/dp * delta = cos(pi u / 2)^2, exactly 0 at the ends of the support.\"\"\"
    c = torch.sin(math.pi / 2 * (1 - u.abs()))
    return torch.mul(c, c, out=out)
""",
    },
    ("heaviside", False): {
        "input": "logits",
        "soft": """\
def _soft(z, delta, threshold):
    \"\"\"A(p), 1 - A(p), dA/dp, p and 1 - p.\"\"\"
    p, q = torch.sigmoid(z), torch.neg(z).sigmoid_()
    return *_steps(p, q, delta, threshold), p, q


def _slope(z, a, b, m, p, q, out=None):
    \"\"\"dA/dz = dA/dp p (1 - p).\"\"\"
    return torch.mul(torch.mul(m, p, out=out), q, out=out)
"""
        + _STEPS,
    },
    ("heaviside", True): {
        "input": "probabilities",
        "soft": """\
def _soft(p, delta, threshold):
    \"\"\"A(p), 1 - A(p) and dA/dp.\"\"\"
    return _steps(p, 1 - p, delta, threshold)


def _slope(p, a, b, m, out=None):
    return m if out is None else out.copy_(m)
"""
        + _STEPS,
    },
}

TEMPLATE = '''"""<<docstring>>
"""

<<math>>import torch
from torch import Tensor

__all__ = ["<<pascal>>Loss", "<<name>>_loss", "gradient", "value", "weights"]

METRICC = {}

_BLOCK = 65_536  # elements per thread that a CPU works on at a time: they stay in its cache
_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # far above any statistic, and a float32 times weights and loss scales


def value(<<signature>>):
    """The metric on counts (floats or tensors)."""
<<value>>


def gradient(<<signature>>):
    """Its derivatives in TP, FN, FP and TN."""
<<gradient>>


def weights(<<signature>>):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
<<weights>>


<<ranges>>def <<name>>_loss(input: Tensor, target: Tensor, *, weight: Tensor | None = None, mask: Tensor | None = None, ignore_index: float | None = None<<keywords>>) -> Tensor:
    """The loss of a batch of <<input>>: a scalar. ValueError where the tensors do not fit."""
<<require>>    weight = _check(input, target, weight)
    if mask is not None or ignore_index is not None:
        input, target, weight = _kept(input, target, weight, mask, ignore_index)
    return _<<pascal>>Function.apply(input, target, weight<<store>>)[0]


class <<pascal>>Loss(torch.nn.Module):
    """`<<name>>_loss` as a module. It holds no state."""

    def __init__(self, *<<keywords>>, ignore_index: float | None = None):
        super().__init__()
<<require_in_module>><<assign>>        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor, weight: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return <<name>>_loss(input, target, weight=weight, mask=mask, ignore_index=self.ignore_index<<stored>>)

    def extra_repr(self) -> str:
        return <<shown>>


class _<<pascal>>Function(torch.autograd.Function):
    """Forward reduces the batch to four counts, backward maps two weights over it.

    On a CPU forward also leaves the surrogate's slope where backward makes the gradient of it.
    """

    @staticmethod
    def forward(input, target, weight<<store>>):
        kept = _at_once(input) and input.requires_grad
        slope = input.new_empty(input.shape if kept else 0, dtype=_dtype(input))
        cells = _present(*_count(input, target, weight, slope if kept else None<<soft_args>>))
        loss = <<direction>>value(*cells<<parameters>>)
        return _tensor(loss, input).to(slope.dtype), _pair(input, cells<<parameters>>), slope

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, target, weight<<rest>> = inputs
        _, pair, ctx.slope = output
        ctx.save_for_backward(input, target, weight, pair)
        ctx.mark_non_differentiable(pair, ctx.slope)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad_loss, *_):
        if grad_loss is None:
            return None<<nones>>
        input, target, weight, pair = ctx.saved_tensors
<<unpack>>        if torch.is_grad_enabled():  # create_graph: the weights depend on the input too
            cells = _present(*_count(input, target, weight, None<<soft_args>>))
            pair = _pair(input, cells<<parameters>>)
        pair = <<scale>>pair * grad_loss
        if ctx.slope is None or ctx.slope.shape != input.shape or not _at_once(input):
            return _map(input, target, weight, pair<<soft_args>>)<<nones>>
        # The slope turns into the gradient; another backward finds none and computes it anew.
        slope, ctx.slope = ctx.slope, None
        return _finish(slope, target, weight, pair, input.dtype)<<nones>>


<<soft>>

def _count(input, target, weight, slope<<soft_args>>):
    """TP, FN, FP, TN: floats where this runs at once on a CPU, else tensors."""
    dtype, at_once = _dtype(input), _at_once(input)
    counts = [0.0, 0.0, 0.0, 0.0]
    for z, y, v, s in _pieces(input, target, weight, slope):
        z, y = z.to(dtype), y.to(dtype)
        soft = a, b, *_ = _soft(z<<soft_args>>)
        n = 1 - y
        if v is not None:
            y, n = y * v.to(dtype), n * v.to(dtype)
        # Four sums of their own terms: a count taken as a difference of sums would cancel.
        sums = torch.dot(y, a), torch.dot(y, b), torch.dot(n, a), torch.dot(n, b)
        sums = [x.item() if at_once else x.to(_wide(input)) for x in sums]
        counts = [count + x for count, x in zip(counts, sums)]
        if s is not None:
            _slope(z, *soft, out=s)
    if at_once and min(counts) < -1e-5 * sum(map(abs, counts)):
        raise ValueError(f"target must be in [0, 1] and weight not negative; counts: {counts}")
    return counts


def _present(TP, FN, FP, TN):
    """A class without any weight is absent: one unit is added to TP and to TN."""
    absent = (TP + FN == 0) | (FP + TN == 0)
    return TP + absent, FN, FP, TN + absent


def _pair(input, cells<<parameters>>):
    return torch.stack([_tensor(w, input) for w in weights(*cells<<parameters>>)])


def _map(input, target, weight, pair<<soft_args>>):
    """The gradient in one expression, which compilers and autograd can follow."""
    z = input.to(_dtype(input))
    g = _sides(target.to(z.dtype), weight, pair) * _slope(z, *_soft(z<<soft_args>>))
    return _narrow(g, input.dtype)


def _finish(slope, target, weight, pair, dtype):
    """The gradient from the slope, in place."""
    for s, y, v in _pieces(slope, target, weight):
        s.mul_(_sides(y.to(s.dtype), v, pair))
    return _narrow(slope, dtype)


def _sides(y, v, pair):
    """v (y pair[0] - (1 - y) pair[1]). lerp is exact at y = 0 and y = 1."""
    plus, minus = pair.to(y.dtype)
    g = torch.lerp(-minus.expand_as(y), plus.expand_as(y), y)
    return g if v is None else g * v


def _narrow(g, dtype):
    """To the input's type; halves saturate rather than overflow."""
    largest = torch.finfo(dtype).max
    return g if g.dtype == dtype else g.clamp(-largest, largest).to(dtype)


def _pieces(*tensors):
    """The tensors flat, and where this runs at once in pieces that fit a CPU's cache."""
    flat = [None if t is None else t.reshape(-1) for t in tensors]
    size = _BLOCK * torch.get_num_threads() if _at_once(flat[0]) else len(flat[0])
    if len(flat[0]) <= size:
        return [flat]
    starts = range(0, len(flat[0]), size)
    return [[None if t is None else t[i : i + size] for t in flat] for i in starts]


def _at_once(input):
    """Whether this runs on a CPU now, neither compiled nor recorded by autograd."""
    at_once = not (torch.compiler.is_compiling() or torch.is_grad_enabled())
    return at_once and input.device.type == "cpu"


def _dtype(input):
    """The working precision, which the loss has too: half inputs are computed in float32."""
    return torch.float64 if input.dtype == torch.float64 else torch.float32


def _wide(input):
    """The precision of the counts and of all that is computed from them."""
    return torch.float32 if input.device.type == "mps" else torch.float64


def _tensor(x, like):
    return torch.as_tensor(x, dtype=_wide(like), device=like.device)


def _check(input, target, weight):
    """Refuse tensors that do not fit together; a weight per sample is spread over its elements."""
    for name, tensor in (("input", input), ("target", target), ("weight", weight)):
        if name == "weight" and tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a tensor, not {type(tensor).__name__}")
        if tensor.is_complex() or (name == "input" and not tensor.is_floating_point()):
            raise ValueError(f"{name} cannot have dtype {tensor.dtype}")
        if tensor.device != input.device:
            raise ValueError(f"input is on {input.device}, {name} on {tensor.device}")
        if name != "input" and tensor.requires_grad:
            raise ValueError(f"{name} is a constant of this loss: pass {name}.detach()")
    if target.shape != input.shape:
        raise ValueError(f"input has shape {tuple(input.shape)}, target {tuple(target.shape)}")
    return weight if weight is None else _spread(weight, input, "weight")


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
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.device != input.device:
            raise ValueError(f"mask must be a bool tensor on {input.device}")
        keep = _spread(mask, input, "mask")
    if ignore_index is not None:  # NaN ignores NaN
        ignored = target.isnan() if ignore_index != ignore_index else target == ignore_index
        keep = keep & ~ignored
    weight = keep.to(_dtype(input)) if weight is None else torch.where(keep, weight, 0)
    return torch.where(keep, input, 0), torch.where(keep, target, 0), weight
<<guards>>'''
