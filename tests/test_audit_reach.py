"""How far a surrogate's gradient reaches: against surrogates by hand, differentiated by mpmath and
SymPy, closed forms, and the gradients of generated files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from statistics import NormalDist
from typing import Any

import pytest
import sympy
import torch
from mpmath import mp, mpf

import metricc
from metricc import compiler, errors, ir, tally
from metricc.audit import reach
from metricc.audit.slope import SHARE, Slope
from metricc.audit.subject import Subject


@cache
def subject(surrogate: str, task: str = "binary", formula: str = "f1") -> Subject:
    return compiler.subject(formula, task=task, surrogate=surrogate)


def slope(surrogate: str) -> Slope:
    return Slope(subject(surrogate).surrogate)


def by_code(surrogate: str, task: str = "binary") -> dict[str, ir.Finding]:
    return {f.code: f for f in reach.findings(subject(surrogate, task))}


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def cosine(p: Any, mu: float, delta: float) -> Any:
    u = max(-1, min(1, (p - mu) / delta))
    return (1 + u + mp.sin(mp.pi * u) / mp.pi) / 2


def heaviside(p: Any) -> Any:
    """Straight through (0, 0), (1/4, .1), (3/4, .9), (1, 1)."""
    if p < 0.25:
        return p * mpf("0.4")
    return (
        mpf("0.1") + (p - 0.25) * mpf("1.6") if p < 0.75 else mpf("0.9") + (p - 0.75) * mpf("0.4")
    )


BY_HAND: dict[str, Callable[[Any], Any]] = {
    "amplified(L=73)": lambda z: sigmoid(73 * (sigmoid(z) - 0.5)),
    "amplified(L=10, threshold=0.25)": lambda z: sigmoid(10 * (sigmoid(z) - 0.25)),
    "amplified(thresholds=[0.25, 0.75])": lambda z: (
        (sigmoid(10 * (sigmoid(z) - 0.25)) + sigmoid(10 * (sigmoid(z) - 0.75))) / 2
    ),
    "soft": sigmoid,
    "straight_through": sigmoid,
    "straight_through(amplified(L=8))": lambda z: sigmoid(8 * (sigmoid(z) - 0.5)),
    "score_oriented(uniform)": lambda z: max(0, min(1, 2 * (sigmoid(z) - 0.25))),
    "score_oriented(cosine, delta=0.25)": lambda z: cosine(sigmoid(z), 0.5, 0.25),
    "heaviside": lambda z: heaviside(sigmoid(z)),
    "p^2*(3 - 2*p)": lambda z: 3 * sigmoid(z) ** 2 - 2 * sigmoid(z) ** 3,
    "s(k = 3) = p^k": lambda z: sigmoid(z) ** 3,
    "0.5 + z/(2*(1 + abs(z)))": lambda z: mpf(1) / 2 + z / (2 * (1 + abs(z))),
    "if p < 0.5 then p else 2*p - p^2 - 0.25": lambda z: (
        sigmoid(z) if z < 0 else 2 * sigmoid(z) - sigmoid(z) ** 2 - 0.25
    ),
}


@pytest.mark.parametrize("text", BY_HAND)
def test_slopes(text: str) -> None:
    found = slope(text)
    with mp.workdps(60):
        for z in (-30, -4.1, -1.3, -0.6, 0.3, 1.05, 3.7, 12):
            a, own = found.both(z)
            assert abs(a - BY_HAND[text](mpf(z))) < mpf(10) ** -16
            exact = mp.diff(BY_HAND[text], mpf(z))
            assert abs(own - exact) <= mpf(10) ** -14 * abs(exact) + mpf(10) ** -40


def test_slopes_by_sympy() -> None:
    z = sympy.Symbol("z")
    p = 1 / (1 + sympy.exp(-z))
    u = (p - sympy.Rational(1, 2)) * 10
    a = (1 + u + sympy.sin(sympy.pi * u) / sympy.pi) / 2
    exact = sympy.diff(a, z)
    for at in (-0.4, -0.1, 0.25):
        assert float(slope("score_oriented(cosine)").at(at)) == pytest.approx(
            float(exact.subs(z, at)), rel=1e-12
        )


def test_the_published_surrogate() -> None:
    sharp = slope("amplified(L=73)")
    known = ((0, 4.5625), (1, 6.785e-7), (4, 6.743e-16))
    assert all(float(sharp.at(z)) == pytest.approx(x, rel=1e-3) for z, x in known)
    assert sharp.peak == pytest.approx((0, 73 / 16))
    found = by_code("amplified(L=73)")
    assert found["MC0651"].severity == "warning" and "amplified(L=10)" in (
        found["MC0651"].hint or ""
    )
    data = dict(found["MC0651"].data)
    assert data["share_at_1"] == pytest.approx(6.785e-7 / 4.5625, rel=1e-3)
    ((low, high),) = data["reach"]
    with mp.workdps(30):
        relative = mp.diff(BY_HAND["amplified(L=73)"], mpf(high)) / (mpf(73) / 16)
    assert float(relative) == pytest.approx(SHARE, rel=1e-9) and low == -high
    assert f"|z| < {high:.3g}" in by_code("amplified")["MC0651"].fact  # what L = 73 would reach
    # A uniform softmax over 21 classes, as in the first measurements of the defaults.
    start = sharp.at(-math.log(20))
    assert float(start) == pytest.approx(73 * math.exp(-73 * (0.5 - 1 / 21)) * 20 / 441, rel=1e-6)


def test_reach_in_closed_form() -> None:
    """p q is 1/400 at cosh z = 199; supports end where p does."""
    ((low, high),) = slope("soft").above(SHARE * 0.25)
    assert -low == pytest.approx(high) == pytest.approx(math.acosh(199))
    ((low, high),) = slope("score_oriented(uniform)").above(0)
    assert -low == pytest.approx(high) == pytest.approx(math.log(3))
    ((low, high),) = slope("score_oriented(cosine)").above(0)
    assert -low == pytest.approx(high) == pytest.approx(math.log(1.5))
    # Narrow peaks beside 0 are found: dA/dz is at most L/4 threshold (1 - threshold).
    narrow = slope("amplified(L=100000, threshold=0.2)")
    assert narrow.peak == pytest.approx((-math.log(4), 1e5 / 4 * 0.16), rel=1e-4)
    ((low, high),) = narrow.above(SHARE * narrow.peak[1])
    half = 2 * math.acosh(10) / 1e5 / 0.16  # 4 s(t) s(-t) = 1/100 at cosh(t/2) = 10
    assert (high - low) / 2 == pytest.approx(half, rel=1e-3)
    assert "|z + 1.386| <" in by_code("amplified(L=100000, threshold=0.2)")["MC0651"].fact


def test_shares_of_normal_logits() -> None:
    data = dict(by_code("s(k = 3) = p^k")["MC0651"].data)
    ((low, high),) = data["reach"]
    for spread, share in zip(data["spreads"], data["reached"], strict=True):
        normal = NormalDist(0, spread)
        assert share == pytest.approx(normal.cdf(high) - normal.cdf(low), rel=1e-9)
    two = reach.reached([(-9.0, -1.0), (1.0, 2.0)], 1.0)
    normal = NormalDist()
    assert two == pytest.approx(normal.cdf(-1) + normal.cdf(2) - normal.cdf(1), abs=1e-12)


@pytest.mark.parametrize("text", ["amplified(L=73)", "amplified"])
def test_the_dead_zone_is_that_of_the_generated_file(text: str) -> None:
    """TP - FP has weights of 1: the gradient of a positive is the slope itself."""
    loss = metricc.loss("TP - FP", surrogate=text, maximize=True)
    data = dict(by_code(text)["MC0652"].data)
    for dtype in ("float16", "bfloat16", "float32"):
        ((_, edge),) = data[f"{dtype}_nonzero"]
        near, far = 0.93 * edge, 1.07 * edge
        z = torch.tensor([near, far], dtype=getattr(torch, dtype), requires_grad=True)
        if dtype != "float16" and edge > 80:
            continue  # the file holds logits beyond 87 for 87 in its exponentials
        loss(z, torch.tensor([1.0, 1.0])).backward()
        assert z.grad is not None and z.grad[0] != 0 and z.grad[1] == 0, (dtype, z.grad)


def test_dead_zones_in_closed_form() -> None:
    """p q is about exp(-|z|) far out."""
    data = dict(by_code("soft")["MC0652"].data)
    smallest = {"float64": (-1022, -1075), "float32": (-126, -150), "bfloat16": (-126, -134)}
    for dtype, (normal, zero) in smallest.items():
        for kind, power in (("normal", normal), ("nonzero", zero if dtype != "float64" else -1074)):
            ((_, edge),) = data[f"{dtype}_{kind}"]
            assert edge == pytest.approx(-power * math.log(2), rel=1e-6)
        info = torch.finfo(getattr(torch, dtype))
        assert reach.DTYPES[dtype][0] == info.tiny
    assert reach.DTYPES["float16"][0] == torch.finfo(torch.float16).tiny
    for dtype, (_, zero) in reach.DTYPES.items():
        if dtype != "float64":  # in which half of the smallest number cannot be written
            kind = getattr(torch, dtype)
            assert torch.tensor(zero, dtype=torch.float64).to(kind) == 0
            assert torch.tensor(1.01 * zero, dtype=torch.float64).to(kind) > 0


def test_findings() -> None:
    wide, narrow = by_code("soft"), by_code("score_oriented(cosine)")
    assert {f.severity for f in wide.values()} == {"note"}
    assert {f.severity for f in narrow.values()} == {"warning"}
    assert "no gradient at all unless |z| < 0.405" in narrow["MC0652"].fact
    assert "delta" in (narrow["MC0651"].hint or "")
    assert all(code in errors.FINDINGS for code in wide)
    classes = by_code("amplified(L=73)", "multiclass")["MC0651"]
    assert "with 1000 classes" in classes.fact
    assert "log-odds" in classes.fact
    tail = by_code("0.5 + z/(2*(1 + abs(z)))")
    assert "rounded to 0" in tail["MC0652"].fact and "no logit" in tail["MC0652"].fact
    assert reach.findings(subject("soft", formula="(TP + FN)/(TP + FN + FP + TN)")) == []
    for each in (*wide.values(), classes, *tail.values()):
        assert "NaN" not in json.dumps(dict(each.data)) and "inf" not in json.dumps(dict(each.data))
    assert tally.REACHED == SHARE  # what a monitor counts
