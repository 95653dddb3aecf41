"""A surrogate as text: `_soft`, which gives A, 1 - A and the slope of every element.

There are three ways in: a logit per element, a probability per element, and probabilities of
classes from a softmax, with q = 1 - p beside them. `scale` is a factor of the slope that is left
out of the elementwise pass and multiplied into the weights.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from metricc import syntax
from metricc.emit.python import expressions
from metricc.surrogates import Surrogate

LOGITS, PROBABILITIES, SOFTMAX = "logits", "probabilities", "softmax"


@dataclass(frozen=True)
class Soft:
    """The text of `_soft`, what its slope lacks, the guards that it calls and whether math.

    `block` is the function that a CPU calls on its blocks: `_soft`, or a faster one in the text.
    Its slope is a new tensor unless `aliased`.
    """

    text: str
    scale: str
    guards: frozenset[str] = frozenset()
    math: bool = False
    block: str = "_soft"
    aliased: bool = False


@dataclass(frozen=True)
class _Curve:
    """Lines that compute a = A(p), b = 1 - A(p) and d = dA/dp / scale from p and q."""

    lines: str
    slope: str
    scale: str = ""
    q: bool = False
    math: bool = False


_CURVES = {
    "amplified": _Curve(
        """\
t = torch.rsub(p, -L * threshold, alpha=-L)  # L (p - threshold), rounded once
a, b = torch.sigmoid(t), t.neg_().sigmoid_()  # each its own: 1 - a would cancel""",
        "a * b",
        "L * ",
    ),
    "score_oriented(uniform)": _Curve(
        """\
u = (p - mu) / (2 * delta)
a, b = (0.5 + u).clamp(0, 1), (0.5 - u).clamp(0, 1)""",
        "((a > 0) & (b > 0)).to(p.dtype)",
        "0.5 / delta * ",
    ),
    "score_oriented(cosine)": _Curve(
        """\
u = ((p - mu) / delta).clamp(-1, 1)
s = u + torch.sin(math.pi * u) / math.pi
a, b = (1 + s) / 2, (1 - s) / 2
c = torch.sin(math.pi / 2 * (1 - u.abs()))  # exactly 0 at the ends of the support""",
        "c * c",
        "1 / delta * ",
        math=True,
    ),
    "heaviside": _Curve("a, b, d = _steps(p, q, delta, threshold)", "d", q=True),
}

# Two exponentials in all, for compilers; nothing cancels, and autograd finds no kink.
_AMPLIFIED = '''\
def _soft(z, L, threshold):
    """A(p), 1 - A(p) and dA/dz, p = sigmoid(z), over L."""
    largest = math.log(torch.finfo(z.dtype).max) - 1.4  # of an exponential's argument
    e = torch.exp(-z.clamp(min=-largest))
    p = 1 / (1 + e)  # and 1 - p is e p
    t = L * (threshold - p)
    f = torch.exp(t if L < 80 else t.clamp(max=largest))
    a = 1 / (1 + f)  # and 1 - A is f a
    return a, f * a, e * p * p * f * a * a


def _soft_block(z, L, threshold):
    """The same on a CPU, where four sigmoids are faster than two exponentials."""
    p, q = torch.sigmoid(z), torch.neg(z).sigmoid_()
    t = torch.rsub(p, -L * threshold, alpha=-L)  # L (p - threshold), rounded once
    a, b = torch.sigmoid(t), t.neg_().sigmoid_()
    return a, b, p.mul_(q).mul_(a).mul_(b)
'''

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

_DOC = {
    LOGITS: "A(p), 1 - A(p) and dA/dz, p = sigmoid(z)",
    PROBABILITIES: "A(p), 1 - A(p) and dA/dp",
    SOFTMAX: "A(p), 1 - A(p) and dA/dp, q = 1 - p",
}
_AVERAGE = """\
parts = [_curve(p, q, {arguments}) for {centre} in {centre}s]
a, b, d = (sum(part) / len(parts) for part in zip(*parts))"""


def soft(surrogate: Surrogate, entry: str) -> Soft:
    """The text of a surrogate's `_soft(z)`, `_soft(p)` or `_soft(p, q)`, by the way in."""
    if surrogate.curve is not None:
        return _formula(surrogate, entry)
    names = [name for name, _, _ in surrogate.arguments]
    plain = not surrogate.hard and not surrogate.averaged
    if surrogate.name == "amplified" and entry == LOGITS and plain:
        return Soft(_AMPLIFIED, "L * ", block="_soft_block")
    if surrogate.name == "soft":
        return Soft(_function(entry, [], _hard(surrogate, entry), "", q=True), "")
    curve = _CURVES[surrogate.name]
    extra = _STEPS if surrogate.name == "heaviside" else ""
    if surrogate.averaged:
        one = surrogate.centre.removesuffix("s")
        single = [one if name == surrogate.centre else name for name in names]
        inner = [curve.lines, *_kept(curve.slope), *_hard(surrogate, entry, one)]
        body = textwrap.indent("\n".join(inner), "    ")
        listed = ", ".join(single)
        helper = f"\n\ndef _curve(p, q, {listed}):\n{body}\n    return a, b, d\n"
        lines = [_AVERAGE.format(arguments=listed, centre=one)]
        text = _function(entry, names, lines, "d", q=True, scale=curve.scale) + helper
    else:
        hard = _hard(surrogate, entry, surrogate.centre)
        lines = [curve.lines, *(_kept(curve.slope) if hard else []), *hard]
        slope = "d" if hard else curve.slope
        text = _function(entry, names, lines, slope, q=curve.q, scale=curve.scale)
    return Soft(text + extra, curve.scale, math=curve.math)


def _kept(slope: str) -> list[str]:
    return [] if slope == "d" else [f"d = {slope}"]


def _hard(surrogate: Surrogate, entry: str, centre: str = "") -> list[str]:
    """Decisions in place of A, once the slope is known."""
    if not surrogate.hard:
        return []
    if entry == SOFTMAX:
        decision = "torch.zeros_like(p).scatter_(1, p.argmax(1, keepdim=True), 1)"
    else:
        decision = f"(p > {centre or 0.5}).to(p.dtype)"
    return [f"a = {decision}  # the decision", "b = 1 - a"]


def _function(
    entry: str, names: list[str], lines: list[str], slope: str, q: bool, scale: str = ""
) -> str:
    """`_soft` from the lines that compute a, b and the slope in p ("" for the slope of p)."""
    doc = _DOC[entry] + (f", over {scale.removesuffix(' * ')}" if scale else "")
    before = []
    if entry == LOGITS:
        before = ["p, q = torch.sigmoid(z), torch.neg(z).sigmoid_()  # each its own, as below"]
    elif entry == PROBABILITIES and q:
        before = ["q = 1 - p"]
    full = {LOGITS: "p * q", PROBABILITIES: "torch.ones_like(p)", SOFTMAX: "torch.ones_like(p)"}
    if not slope:
        slope = full[entry]
    elif entry == LOGITS:
        slope = f"{slope} * p * q"
    answer = "a, b" if lines else "p, q"
    body = textwrap.indent("\n".join([*before, *lines, f"return {answer}, {slope}"]), "    ")
    return _definition(entry, names, doc, body)


def _definition(entry: str, names: list[str], doc: str, body: str) -> str:
    first = {LOGITS: ["z"], PROBABILITIES: ["p"], SOFTMAX: ["p", "q"]}[entry]
    return f'def _soft({", ".join([*first, *names])}):\n    """{doc}."""\n{body}\n'


def _formula(surrogate: Surrogate, entry: str) -> Soft:
    """`_soft` of a formula: its block's lines."""
    assert surrogate.curve is not None
    curve = surrogate.curve
    lines, (a, b, d), called = expressions(curve.block)
    names = [name for name, _, _ in surrogate.arguments]
    slope = f"({d}) * p * q" if entry == LOGITS and curve.variable == "p" else d
    if isinstance(curve.block.results[2], syntax.Number) and "*" not in slope:
        slope = f"{d} * torch.ones_like(p)"
    code = [*lines, f"return {a}, {b}, {slope}"]
    used = set(re.findall(r"\w+", " ".join(code)))
    spelled = {"p": "torch.sigmoid(z)", "q": "torch.sigmoid(-z)"} if entry == LOGITS else {}
    spelled |= {"q": "1 - p"} if entry == PROBABILITIES else {}
    before = [f"{name} = {text}" for name, text in spelled.items() if name in used]
    answer = [*before, *code]
    body = textwrap.indent("\n".join(answer), "    ")
    text = _definition(entry, names, _DOC[entry], body)
    return Soft(text, "", frozenset(called), aliased=True)
