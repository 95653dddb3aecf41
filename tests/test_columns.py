"""Columns: `TP[amount]`. What they mean is written out by hand here, in NumPy and plain torch."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from click.testing import CliRunner
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

import metricc
from metricc.cli import main
from metricc.compiled import CompiledMetric
from metricc.compiler import analyse
from metricc.functions import CELLS, GENERATED_NAMES, SIGNATURE_WORDS
from metricc.load import load
from metricc.parse import parse
from metricc.verify import check_source

Table = tuple[Any, Any, Any, Any]


def f1(t: Table) -> Any:
    return 2 * t[0] / (2 * t[0] + t[1] + t[2])


def recall(t: Table) -> Any:
    return t[0] / (t[0] + t[1])


def precision(t: Table) -> Any:
    return t[0] / (t[0] + t[2])


def harmonic(a: Any, b: Any) -> Any:
    return 2 * a * b / (a + b)


# Formulas over the columns amount and price, and the same by hand: of a table that counts
# samples, one that counts amounts, one that counts prices.
BY_HAND: dict[str, Callable[[Table, Table, Table], Any]] = {
    "FN[amount] + 5*FP": lambda t, a, p: a[1] + 5 * t[2],
    "recall[amount]": lambda t, a, p: recall(a),
    "f1[price]": lambda t, a, p: f1(p),
    "2*precision*recall[amount]/(precision + recall[amount])": lambda t, a, p: harmonic(
        precision(t), recall(a)
    ),
    "fbeta(2)[amount]": lambda t, a, p: 5 * a[0] / (5 * a[0] + 4 * a[1] + a[2]),
    "sqrt(TPR[amount]*TNR[price])": lambda t, a, p: (recall(a) * p[3] / (p[2] + p[3])) ** 0.5,
    "(FN[amount] + FP[price])/POP": lambda t, a, p: (a[1] + p[2]) / sum(t),
    "1 - FN[amount]/(P[amount] + N[price]) - FP/POP": lambda t, a, p: (
        1 - a[1] / (a[0] + a[1] + p[2] + p[3]) - t[2] / sum(t)
    ),
    "hits = TP/P; hits[amount]*hits + TN[amount]/POP[amount]": lambda t, a, p: (
        recall(a) * recall(t) + a[3] / sum(a)
    ),
    "f(x) = sqrt(x)*recall; f(precision)[amount]": lambda t, a, p: precision(a) ** 0.5 * recall(a),
    "g(x) = recall[amount]*x; g(precision)": lambda t, a, p: recall(a) * precision(t),
}
ERRORS = {"FN[amount] + 5*FP", "(FN[amount] + FP[price])/POP"}


def compiled(formula: str) -> CompiledMetric:
    return metricc.compile(formula, name="m")


def labels(n: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "y": random.integers(0, 2, n),
        "p": random.integers(0, 2, n),
        "v": random.integers(0, 4, n).astype(float),
        "amount": random.exponential(50, n).round(2),
        "price": random.uniform(0, 3, n),
    }


def hard(data: dict[str, Any], column: str | None, weighted: bool) -> Table:
    """TP, FN, FP, TN by loops."""
    table = [0.0] * 4
    for i, (y, p) in enumerate(zip(data["y"], data["p"], strict=True)):
        weight = data["v"][i] if weighted else 1.0
        weight *= 1.0 if column is None else data[column][i]
        table[{(1, 1): 0, (1, 0): 1, (0, 1): 2, (0, 0): 3}[int(y), int(p)]] += weight
    return tuple(table)  # type: ignore[return-value]


def used(formula: str) -> list[str]:
    return [name for name in ("amount", "price") if f"[{name}]" in formula]


# -- values and scores ------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", BY_HAND)
def test_score_is_the_metric_by_hand(formula: str, weighted: bool) -> None:
    m = compiled(formula)
    for seed in range(5):
        data = labels(40 + seed, seed)
        columns = {name: data[name] for name in used(formula)}
        weight = data["v"] if weighted else None
        found = m.score(data["y"], data["p"], sample_weight=weight, **columns)
        tables = [hard(data, column, weighted) for column in (None, "amount", "price")]
        assert found == pytest.approx(BY_HAND[formula](*tables), rel=1e-12)
        assert metricc.score(
            formula, data["y"], data["p"], sample_weight=weight, **columns
        ) == pytest.approx(found, rel=1e-15)


@pytest.mark.parametrize("formula", BY_HAND)
def test_value_is_the_metric_by_hand(formula: str) -> None:
    random = np.random.default_rng(3)
    t, a, p = random.uniform(0, 9, (3, 4, 6))
    cells = {f"{c}_amount": x for c, x in zip(CELLS, a, strict=True)}
    cells |= {f"{c}_price": x for c, x in zip(CELLS, p, strict=True)}
    m = compiled(formula)
    given = {n: x for n, x in cells.items() if n.partition("_")[2] in used(formula)}
    wanted = BY_HAND[formula](tuple(t), tuple(a), tuple(p))
    assert m.value(*t, **given) == pytest.approx(wanted, rel=1e-12)
    assert metricc.value(formula, *t, **given) == pytest.approx(wanted, rel=1e-12)
    point = dict(zip(map(str, m.symbols), [*t[:, 0], *[x[0] for x in given.values()]], strict=True))
    assert float(m.expression.subs(point)) == pytest.approx(wanted[0], rel=1e-12)
    # Counts that the formula does not have may be missing.
    needed = {n: x for n, x in given.items() if sympy.Symbol(n) in m.expression.free_symbols}
    assert m.value(*t, **needed) == pytest.approx(wanted, rel=1e-12)


def test_a_column_of_ones_is_no_column() -> None:
    data = labels(50, 1)
    ones = np.ones(50)
    for formula, plain in (("f1[w]", "f1"), ("mcc[w]", "mcc"), ("recall[w]*TNR", "recall*TNR")):
        found = metricc.score(formula, data["y"], data["p"], w=ones)
        assert found == pytest.approx(metricc.score(plain, data["y"], data["p"]), rel=1e-14)


def test_the_score_of_a_column_is_that_of_its_weights() -> None:
    data = labels(50, 2)
    for name in ("f1", "mcc", "cohen_kappa", "informedness", "jaccard", "p4"):
        found = metricc.score(f"{name}[w]", data["y"], data["p"], w=data["amount"])
        plain = metricc.score(name, data["y"], data["p"], sample_weight=data["amount"])
        assert found == pytest.approx(plain, rel=1e-12)


# -- derivatives ------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", BY_HAND)
def test_derivatives_by_central_differences(formula: str) -> None:
    m = compiled(formula)
    random = np.random.default_rng(4)
    cells = [str(s) for s in m.symbols]
    point = dict(zip(cells, random.uniform(1, 9, len(cells)), strict=True))

    def at(**changes: float) -> float:
        counts = {**point, **changes}
        rest = {n: x for n, x in counts.items() if n not in CELLS}
        return float(m.value(*(counts[c] for c in CELLS), **rest))

    h = 1e-6
    slopes = {c: (at(**{c: point[c] + h}) - at(**{c: point[c] - h})) / (2 * h) for c in cells}
    assert list(m.partials) == cells
    for cell, slope in m.partials.items():
        assert float(slope.subs(point)) == pytest.approx(slopes[cell], abs=1e-7, rel=1e-6)
    pairs = [(f"TP{e}", f"FN{e}", f"TN{e}", f"FP{e}") for e in ("", *(f"_{n}" for n in used_by(m)))]
    wanted = [slopes[a] - slopes[b] for tp, fn, tn, fp in pairs for a, b in ((tp, fn), (tn, fp))]
    assert [float(w.subs(point)) for w in m.weights] == pytest.approx(wanted, abs=1e-7, rel=1e-6)
    module = m.module()
    assert list(inspect.signature(module.value).parameters) == cells
    numbers = list(point.values())
    assert module.value(*numbers) == pytest.approx(at(), rel=1e-12)
    assert list(module.gradient(*numbers)) == pytest.approx(list(slopes.values()), abs=1e-7)
    assert list(module.weights(*numbers)) == pytest.approx(wanted, abs=1e-7)


def used_by(m: CompiledMetric) -> tuple[str, ...]:
    return m.plan.metric.columns


def test_the_implied_threshold_is_each_samples_own() -> None:
    """Elkan 2001: with costs of its own a sample is positive from cost FP / (cost FN + cost FP)."""
    assert str(metricc.compile("FN[amount] + 5*FP").threshold) == "5/(amount + 5)"
    amount, price = sympy.symbols("amount price")
    m = metricc.compile("(FN[amount] + FP[price])/POP")
    assert sympy.simplify(m.threshold - price / (amount + price)) == 0
    # Predicting by it is best for every sample on its own: brute force over the decision.
    random = np.random.default_rng(5)
    for p, a in zip(random.uniform(0, 1, 99), random.exponential(9, 99), strict=True):
        positive = (1 - p) * 5 < p * a  # the expected costs of the two answers
        assert positive == (p > 5 / (a + 5))
    at = metricc.compile("f1[w]").threshold
    score = {"TP_w": 3, "FN_w": 2, "FP_w": 4}
    assert at is not None and float(at.subs(score)) == pytest.approx(f1((3, 2, 4, 0)) / 2)


def test_direction_and_degeneracy() -> None:
    for formula, direction in (
        ("FN[amount] + 5*FP", "error rate"),
        ("f1[amount]", "score"),
        ("recall[amount]*specificity", "score"),
        ("TP[amount] + FN", "mixed"),
        ("TP[amount]/P[amount] - TN/N", "mixed"),
    ):
        _, audit = analyse(formula)
        assert audit.direction == direction
        assert audit.direction_proof.startswith("proved")
    assert analyse("recall[amount]")[1].degenerate == "all positive"
    assert analyse("f1[amount]")[1].degenerate == ""
    assert analyse("2*precision*recall[amount]/(precision + recall[amount])")[1].degenerate == ""
    assert analyse("recall[amount] + precision")[1].homogeneous
    assert not analyse("TP[amount] + FP")[1].homogeneous


def test_removable_singularities_take_their_limits() -> None:
    direct, composed = (
        compiled("f1[w]"),
        compiled("2*precision[w]*recall[w]/(precision[w] + recall[w])"),
    )
    assert direct.expression == composed.expression
    assert composed.value(0, 5, 0, 9, TP_w=0, FN_w=3, FP_w=0) == 0
    # A pivot that both columns share does not cancel: TP_amount/TP is 0/0 at nothing found.
    m = metricc.compile("TP[amount]/TP", maximize=True)
    assert m.value(0, 5, 1, 9, TP_amount=0) == 0
    with pytest.raises(metricc.MetriccError, match="MC0507"):
        m.value(0, 5, 1, 9, TP_amount=0, zero_division="raise")


# -- the loss ---------------------------------------------------------------------------------


def batch(n: int = 120, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.rand(n, generator=random, dtype=torch.float64)

    y = (draw() < 0.3).double()
    y[:2] = torch.tensor([0.0, 1.0])
    return {
        "z": torch.randn(n, generator=random, dtype=torch.float64),
        "y": y,
        "v": draw(),
        "amount": 100 * draw() * (draw() < 0.9),
        "price": draw(),
    }


def soft(data: dict[str, Tensor], z: Tensor, column: str | None) -> Table:
    a = torch.sigmoid(10 * (torch.sigmoid(z) - 0.5))
    w = data["v"] if column is None else data["v"] * data[column]
    y = data["y"]
    parts = (w * y * a, w * y * (1 - a), w * (1 - y) * a, w * (1 - y) * (1 - a))
    return tuple(part.sum() for part in parts)  # type: ignore[return-value]


def plain(formula: str, data: dict[str, Tensor], z: Tensor) -> Tensor:
    value = BY_HAND[formula](*(soft(data, z, c) for c in (None, "amount", "price")))
    return value if formula in ERRORS else 1 - value  # type: ignore[no-any-return]


def gradient(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[float, Tensor]:
    leaf = z.detach().clone().requires_grad_()
    found = loss(leaf)
    found.backward()
    assert leaf.grad is not None
    return found.item(), leaf.grad


@pytest.mark.parametrize("formula", BY_HAND)
def test_loss_and_gradient_are_those_of_plain_torch(formula: str) -> None:
    module = compiled(formula).loss()
    for seed in range(3):
        data = batch(100 + seed, seed)
        columns = {name: data[name] for name in used(formula)}
        given = partial(module, target=data["y"], weight=data["v"], **columns)
        found, slopes = gradient(given, data["z"])
        wanted, naive = gradient(partial(plain, formula, data), data["z"])
        assert found == pytest.approx(wanted, rel=1e-12)
        assert (slopes - naive).abs().max() <= 1e-12 * naive.abs().max()


def test_gradient_by_finite_differences() -> None:
    data = batch(30)
    loss = metricc.loss("2*precision*recall[amount]/(precision + recall[amount])")
    _, slopes = gradient(lambda z: loss(z, data["y"], amount=data["amount"]), data["z"])
    h = 1e-6
    for i in range(30):
        step = torch.zeros(30, dtype=torch.float64)
        step[i] = h
        up, down = (
            loss(data["z"] + s, data["y"], amount=data["amount"]).item() for s in (step, -step)
        )
        assert slopes[i].item() == pytest.approx((up - down) / (2 * h), abs=1e-8)


def test_second_derivatives() -> None:
    data = batch(12)
    loss = metricc.loss("f1[amount] + recall[price]")
    z = data["z"].clone().requires_grad_()
    call = lambda z: loss(z, data["y"], data["v"], amount=data["amount"], price=data["price"])  # noqa: E731
    assert torch.autograd.gradcheck(call, (z,))
    assert torch.autograd.gradgradcheck(call, (z,))


def test_a_column_is_a_weight_of_its_own() -> None:
    """`f1[w]` without another weight is f1 with weight=w; with one, weight*w."""
    data = batch()
    own, base = metricc.loss("f1[w]"), metricc.loss("f1")
    for v in (None, data["v"]):
        both = data["amount"] if v is None else v * data["amount"]
        one = gradient(lambda z: own(z, data["y"], v, w=data["amount"]), data["z"])  # noqa: B023
        two = gradient(lambda z: base(z, data["y"], both), data["z"])  # noqa: B023
        assert one[0] == pytest.approx(two[0], rel=1e-12)
        assert (one[1] - two[1]).abs().max() <= 1e-12 * two[1].abs().max()


def test_ones_and_twice() -> None:
    data = batch()
    ones = torch.ones_like(data["z"])
    mixed, base = metricc.loss("f1[w]*recall"), metricc.loss("f1*recall")
    one = gradient(lambda z: mixed(z, data["y"], w=ones), data["z"])
    two = gradient(lambda z: base(z, data["y"]), data["z"])
    assert one[0] == pytest.approx(two[0], rel=1e-12)
    assert torch.allclose(one[1], two[1], rtol=1e-12, atol=0)
    # An amount of 2 is the sample twice, where all cells are the column's.
    loss = metricc.loss("mcc[w]")
    twice = torch.ones_like(data["z"])
    twice[::3] = 2
    index = torch.arange(len(twice)).repeat_interleave(twice.long())
    whole = loss(data["z"], data["y"], w=twice)
    assert whole.item() == pytest.approx(
        loss(data["z"][index], data["y"][index], w=ones.new_ones(len(index))).item(), rel=1e-12
    )


@pytest.mark.parametrize("policy", ["diagonal", "skip", "zero"])
@pytest.mark.parametrize("formula", ["f1[amount]", "recall[amount]*precision", "mcc[amount]"])
def test_the_unit_of_the_amounts_does_not_matter(formula: str, policy: str) -> None:
    data = batch(60)
    for target in (data["y"], 0 * data["y"], 0 * data["y"] + 1):
        loss = metricc.loss(formula, absent=policy, smooth=0.5)
        call = lambda z, k: loss(z, target, data["v"], amount=k * data["amount"])  # noqa: E731, B023
        one = gradient(lambda z: call(z, 1), data["z"])  # noqa: B023
        other = gradient(lambda z: call(z, 1e-4), data["z"])  # noqa: B023
        assert one[0] == pytest.approx(other[0], rel=1e-12)
        assert (one[1] - other[1]).abs().max() <= 1e-11 * max(one[1].abs().max(), 1e-300)


@pytest.mark.parametrize("policy", ["diagonal", "skip", "zero"])
@pytest.mark.parametrize("smooth", [0.0, 0.5])
def test_policies_by_hand(policy: str, smooth: float) -> None:
    """A unit of weight in TP and TN, and of the mean amount in those of the column."""
    data = batch(40)
    z, v, amount = data["z"], data["v"], data["amount"]
    for target in (data["y"], 0 * data["y"]):
        data["y"] = target
        tables = [list(soft(data, z, None)), list(soft(data, z, "amount"))]
        missing = bool(target.sum() == 0)
        mean = ((v * amount).sum() / v.sum()).item()
        for table, unit in zip(tables, (1.0, mean), strict=True):
            if missing and policy == "skip":
                table[:] = [table[0] + table[1], 0.0, 0.0, table[2] + table[3]]
            table[0] += unit * missing
            table[3] += unit * missing
            table[:] = [x + smooth * unit for x in table]
        value = recall(tuple(tables[1])) * precision(tuple(tables[0]))  # type: ignore[arg-type]
        wanted = 1 - value * (not (missing and policy == "zero"))
        loss = metricc.loss("recall[amount]*precision", absent=policy, smooth=smooth)
        assert loss(z, target, v, amount=amount).item() == pytest.approx(wanted.item(), rel=1e-12)
        # score and value have the same rules
        hit = (z > 0).long().numpy()
        score = metricc.score(
            "recall[amount]*precision",
            target.long().numpy(),
            hit,
            sample_weight=v.numpy(),
            amount=amount.numpy(),
            absent=policy,
            smooth=smooth,
        )
        sure = torch.where(z > 0, 400.0, -400.0).double()
        sharp = metricc.loss(
            "recall[amount]*precision", absent=policy, smooth=smooth, surrogate="soft"
        )
        assert 1 - sharp(sure, target, v, amount=amount).item() == pytest.approx(score, rel=1e-12)


def test_nothing_counts_in_the_column() -> None:
    z = torch.randn(9, dtype=torch.float64)
    y = (torch.arange(9) % 2).double()
    for formula in ("f1[a]", "recall[a] + precision", "0.5*bce + FN[a]"):
        for policy in ("diagonal", "skip", "zero"):
            loss = metricc.loss(formula, absent=policy)
            for target in (y, 0 * y):
                value, slopes = gradient(lambda z: loss(z, target, a=0 * y), z)  # noqa: B023
                assert np.isfinite(value) and bool(slopes.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.int64, torch.bool])
def test_amounts_of_any_type(dtype: torch.dtype, kind: torch.dtype) -> None:
    data = batch(50)
    z, amount = data["z"].to(dtype), (10 * data["price"]).round()
    amount = amount.to(kind)
    loss = metricc.loss("f1[amount] + recall")
    value, slopes = gradient(lambda z: loss(z, data["y"], amount=amount), z)
    exact, wanted = gradient(lambda z: loss(z, data["y"], amount=amount.double()), z.double())
    assert slopes.dtype == dtype
    assert value == pytest.approx(exact, rel=2e-5)
    accuracy = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3}[dtype]
    assert (slopes.double() - wanted).abs().max() <= accuracy * wanted.abs().max()


@pytest.mark.parametrize("policy", ["diagonal", "skip", "zero"])
def test_other_devices_have_the_same_numbers(policy: str) -> None:
    """What runs where counts are tensors, on a CPU that passes for another device."""
    data = batch(50)
    module = compiled("0.5*bce + 0.5*(1 - f1[amount]*recall)").module()
    loss = module.MLoss(absent=policy, smooth=0.25)
    found = []
    for at_once in (module._at_once, lambda *tensors: False):
        module._at_once = at_once  # type: ignore[attr-defined]
        for target in (data["y"], 0 * data["y"]):
            given = partial(loss, target=target, weight=data["v"], amount=data["amount"])
            found.append(gradient(given, data["z"]))
    for one, other in zip(found[:2], found[2:], strict=True):
        assert one[0] == pytest.approx(other[0], rel=1e-13)
        assert torch.allclose(one[1], other[1], rtol=1e-12, atol=0)


def test_amounts_of_samples_and_of_elements() -> None:
    random = torch.Generator().manual_seed(3)
    z = torch.randn(6, 4, 5, generator=random, dtype=torch.float64)
    y = (torch.rand(6, 4, 5, generator=random) < 0.4).double()
    amount = torch.rand(6, generator=random, dtype=torch.float64)
    loss = metricc.loss("f1[amount]*recall")
    one = gradient(lambda z: loss(z, y, amount=amount), z)
    every = amount.reshape(6, 1, 1).expand(6, 4, 5)
    two = gradient(lambda z: loss(z, y, amount=every), z)
    assert one[0] == two[0] and torch.equal(one[1], two[1])


def test_what_is_masked_or_ignored_may_be_nan() -> None:
    data = batch(60)
    keep = torch.arange(60) % 3 != 0
    spoilt = torch.where(keep, data["amount"], torch.nan)
    loss = metricc.loss("f1[amount] + precision")
    one = gradient(lambda z: loss(z, data["y"], mask=keep, amount=spoilt), data["z"])
    two = gradient(lambda z: loss(z, data["y"], keep.double(), amount=data["amount"]), data["z"])
    assert one[0] == pytest.approx(two[0], rel=1e-14)
    assert torch.allclose(one[1], two[1], rtol=1e-14, atol=0)
    assert (one[1][~keep] == 0).all()
    ignoring = metricc.loss("f1[amount] + precision", ignore_index=255)
    labels = torch.where(keep, data["y"], 255.0)
    three = gradient(lambda z: ignoring(z, labels, amount=spoilt), data["z"])
    assert three[0] == one[0] and torch.equal(three[1], one[1])


def test_given_and_running_counts() -> None:
    data = batch(90)
    loss = metricc.loss("f1[amount]*recall")
    counts = loss.counts(data["z"], data["y"], amount=data["amount"])
    assert counts.shape == (8,)
    wanted = [*soft({**data, "v": data["v"] * 0 + 1}, data["z"], None)]
    wanted += soft({**data, "v": data["v"] * 0 + 1}, data["z"], "amount")
    assert torch.allclose(counts, torch.stack(wanted), rtol=1e-13)
    whole = gradient(lambda z: loss(z, data["y"], amount=data["amount"]), data["z"])
    parts = []
    for rows in (slice(0, 31), slice(31, 32), slice(32, 90)):
        y, amount = data["y"][rows], data["amount"][rows]
        part = gradient(lambda z: loss(z, y, amount=amount, counts=counts), data["z"][rows])  # noqa: B023
        assert part[0] == pytest.approx(whole[0], rel=1e-12)
        parts.append(part[1])
    assert (torch.cat(parts) - whole[1]).abs().max() <= 1e-12 * whole[1].abs().max()


def test_what_is_refused_by_the_loss() -> None:
    z, y = torch.zeros(5), torch.tensor([0.0, 1, 0, 1, 1])
    loss = metricc.loss("f1[amount]")
    with pytest.raises(TypeError, match="amount"):
        loss(z, y)
    for amount, message in (
        (None, "amount must be a tensor"),
        ([1.0] * 5, "amount must be a tensor"),
        (torch.ones(4), "amount has shape"),
        (-torch.ones(5), "amount must be finite and at least 0; element 0"),
        (torch.ones(5, requires_grad=True), "amount is a constant"),
        (torch.ones(5, dtype=torch.complex64), "amount cannot have dtype"),
    ):
        with pytest.raises(ValueError, match=message):
            loss(z, y, amount=amount)


def test_it_compiles_copies_and_pickles(tmp_path: Path) -> None:
    data = batch(40)
    loss = metricc.loss("2*precision*recall[amount]/(precision + recall[amount])", name="cost")
    wanted = gradient(lambda z: loss(z, data["y"], amount=data["amount"]), data["z"])
    for other in (
        torch.compile(loss, backend="aot_eager"),
        copy.deepcopy(loss),
        pickle.loads(pickle.dumps(loss)),
    ):
        found = gradient(lambda z: other(z, data["y"], amount=data["amount"]), data["z"])  # noqa: B023
        assert found[0] == pytest.approx(wanted[0], rel=1e-12)
        assert torch.allclose(found[1], wanted[1], rtol=1e-10)
    m = metricc.compile("f1[amount]", name="cost")
    m.save(tmp_path / "cost_loss.py")
    program = (
        "import sys, torch, cost_loss\n"
        "z = torch.zeros(4, requires_grad=True)\n"
        "cost_loss.CostLoss()(z, torch.tensor([0., 1, 0, 1]), amount=torch.ones(4)).backward()\n"
        "assert not {'metricc', 'sympy', 'lark', 'numpy'} & {*sys.modules} - {'numpy'}\n"
        "print(z.grad.tolist())\n"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[1] < 0 < json.loads(done.stdout)[0]


def test_the_golden_file_by_hand() -> None:
    """tests/golden/cost_loss.py, as it stands."""
    path = Path(__file__).parent / "golden" / "cost_loss.py"
    module = load(path.read_text(encoding="utf-8"), "golden_cost")
    data = batch(80)

    def by_hand(z: Tensor) -> Tensor:
        t, a = soft(data, z, None), soft(data, z, "amount")
        logarithms = torch.nn.functional.binary_cross_entropy_with_logits
        bce = logarithms(z, data["y"], weight=data["v"], reduction="sum") / data["v"].sum()
        return 0.5 * bce + 0.5 * (a[1] + 5 * t[2]) / (a[0] + a[1] + 5 * (t[2] + t[3]))

    given = partial(module.CostLoss(), target=data["y"], weight=data["v"], amount=data["amount"])
    found, slopes = gradient(given, data["z"])
    wanted, naive = gradient(by_hand, data["z"])
    assert found == pytest.approx(wanted, rel=1e-12)
    assert (slopes - naive).abs().max() <= 1e-12 * naive.abs().max()


# -- the language -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "TP[amount]",
        "fbeta(2)[amount]^2",
        "-TP[a]/(P[a] + 1)",
        "f(a = 1 in [0, 1]) = a*TP[b]/P[b]\nf",
        "if TPR[a] < 1/2 then TPR[b] else 1",
        "sqrt(f1)[w]",
        "min(TP[a], TP[b])",
        "f1[a][b]",  # refused later
    ],
)
def test_the_formatter_round_trips(text: str) -> None:
    tree = parse(text)
    assert parse(str(tree)) == tree
    assert str(parse(str(tree))) == str(tree)


def test_spaces_and_comments_around_brackets() -> None:
    assert str(parse("TP [ amount ] / # hits\nP\uff3bamount\uff3d")).endswith("P[amount]")


NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)


@drawn(column=NAME, other=NAME)
@settings(max_examples=60)
def test_a_column_of_any_name_works_or_is_refused(column: str, other: str) -> None:
    formula = f"f1[{column}] + recall[{other}]/2"
    try:
        plan, _ = analyse(formula)
    except metricc.MetriccError as error:
        assert {d.code for d in error.diagnostics} <= {"MC0216", "MC0105", "MC0101"}
        return
    names = tuple(dict.fromkeys((column, other)))
    assert plan.metric.columns == names
    data = labels(20, 0)
    columns = dict(zip(names, (data["amount"], data["price"]), strict=False))
    tables = {n: hard({**data, "amount": x}, "amount", False) for n, x in columns.items()}
    wanted = f1(tables[column]) + recall(tables[other]) / 2
    assert metricc.score(formula, data["y"], data["p"], **columns) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "column",
    [
        *(
            "a",
            "c",
            "w",
            "z1",
            "x1",
            "x2",
            "root",
            "P1",
            "cs",
            "fact",
            "M",
            "M_TP",
            "dtype",
        ),
        *("groups", "unit", "seen", "others", "named", "y", "v", "n", "N1", "E", "I", "S", "beta"),
        *("weights_", "half", "train", "type_", "Function", "w_plus_a", "amount_TP", "pi"),
    ],
)
def test_hostile_names_of_columns(column: str) -> None:
    """Names that generated code, SymPy or torch have for themselves."""
    data = batch(20)
    formula = f"sqrt(f1[{column}]*recall[{column}])*precision"
    loss = metricc.compile(formula, name="m").loss()
    table, plain = soft({**data, "w": data["price"]}, data["z"], "w"), soft(data, data["z"], None)
    wanted = 1 - (f1(table) * recall(table)) ** 0.5 * precision(plain)
    found = loss(data["z"], data["y"], data["v"], **{column: data["price"]})
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)


@pytest.mark.parametrize("name", sorted((SIGNATURE_WORDS | GENERATED_NAMES) - {"L"}))
def test_words_of_the_generated_file_are_refused(name: str) -> None:
    with pytest.raises(metricc.MetriccError) as refused:
        analyse(f"f1[{name}]")
    assert {d.code for d in refused.value.diagnostics} == {"MC0216"}


REFUSED = {
    "TP[TN]": "MC0216",
    "TP[f1]/P": "MC0216",
    "cost = FN; cost + TP[cost]": "MC0216",
    "TP[bce]": "MC0216",
    "TP[print]": "MC0216",
    "TP[lambda]": "MC0216",
    "TP[TP_a]": "MC0216",
    "f(a = 1) = a*TP[a]/P": "MC0216",
    "g = TP[a]/P; f(a = 1) = a*g": "MC0216",
    "g = TP[a]/P; f(FN_a = 1) = FN_a*g": "MC0216",
    "TP[sqrt]": "MC0105",
    "TP[macro]": "MC0105",
    "TP[1]": "MC0101",
    "TP[]": "MC0101",
    "TP[a, b]": "MC0101",
    "(TP + FN)[a]": "MC0101",
    "2[a]": "MC0101",
    "TP[a": "MC0103",
    "f1[a][b]": "MC0217",
    "hits = TP[a]/P; hits[b]": "MC0217",
    "hits = TP[a]/P; hits[a]": "MC0217",
    "fbeta(TPR[a])[b]": "MC0217",
    "f(b = 1) = TPR*b[amount]": "MC0217",
    "k = 2; f1*k[a]": "MC0217",
    "f1 + bce[a]": "MC0217",
    "x = bce + f1; x[a]": "MC0217",
    " + ".join(f"TP[a{i}]" for i in range(9)): "MC0412",
    "macro(recall[a])": "MC0218",
    "macro(recall)[a]": "MC0218",
    "m = macro(recall); m[a]": "MC0218",
    "samples(f1) + recall[a]": "MC0218",
    "TPR^TP[a]": "MC0304",
    "focal(TP[a])*0.5 + f1": "MC0202",
    "qq[a]": "MC0201",
}


@pytest.mark.parametrize("formula", REFUSED)
def test_refused_with_a_code_a_place_and_a_hint(formula: str) -> None:
    with pytest.raises(metricc.MetriccError) as refused:
        analyse(formula)
    (found,) = {d.code for d in refused.value.diagnostics}
    assert found == REFUSED[formula]
    for diagnostic in refused.value.diagnostics:
        assert diagnostic.span is not None and "^" in diagnostic.render()
        assert diagnostic.hint
        assert "()" not in diagnostic.render()


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_tasks_with_classes_have_no_columns(task: str) -> None:
    for formula in ("recall[amount]", "macro(recall[amount])", "cost_by_amount"):
        with pytest.raises(metricc.MetriccError, match="MC0218"):
            metricc.compile(formula, task=task, maximize=True)


def test_other_refusals() -> None:
    with pytest.raises(metricc.MetriccError, match="MC0218"):
        metricc.compile("recall[amount]", per="sample")
    with pytest.raises(metricc.MetriccError, match="MC0216"):
        metricc.compile("recall[m_loss]", name="m")
    with pytest.raises(metricc.MetriccError, match="MC0501"):
        metricc.compile("f1[k]", surrogate="A(k = 2 in (0, 9)) = p^k/(p^k + (1 - p)^k)")
    m = metricc.compile("recall[amount]")
    with pytest.raises(metricc.MetriccError, match="amount"):
        m.scorer()


def test_data_that_is_wrong_is_named() -> None:
    m = compiled("f1[amount]")
    y, p, amount = np.array([0, 1, 1, 0]), np.array([1, 1, 0, 0]), np.arange(4.0)
    for columns, message in (
        ({}, "reads the column amount"),
        ({"amount": amount[:3]}, "amount has length 3, and there are 4 labels"),
        ({"amount": -amount}, "amount holds -1 at index 1"),
        ({"amount": amount * np.nan}, "amount holds nan at index 0"),
        ({"amount": amount + np.array([0, 0, np.inf, 0])}, "amount holds inf at index 2"),
        ({"amount": ["a"] * 4}, "amount has shape"),
        ({"amount": np.ones((2, 2))}, "amount has shape"),
        ({"amount": amount, "price": amount}, "no parameter price"),
        ({"TP_amount": 3}, "TP_amount is a count"),
    ):
        with pytest.raises(metricc.MetriccError, match=message):
            m.score(y, p, **columns)
    for counts, message in (
        ({}, "needs TP_amount"),
        ({"amount": 3}, "amount is a column"),
        ({"TP_amount": -1, "FN_amount": 1, "FP_amount": 1}, "TP_amount is negative"),
        ({"TP_amount": [1, 2], "FN_amount": [1, 2, 3], "FP_amount": 1}, "shapes differ"),
        ({"TP_amount": 1, "FN_amount": 1, "FP_amount": 1, "absent": "skip"}, "need TN_amount"),
    ):
        with pytest.raises(metricc.MetriccError, match=message):
            m.value(1, 2, 3, 4, **counts)


def test_columns_as_lists_tensors_and_columns_of_a_table() -> None:
    y, p = [0, 1, 1, 0], [1, 1, 0, 0]
    wanted = 2 * 1 / (2 * 1 + 2 + 3)
    for amount in ([3, 1, 2, 5], torch.tensor([3.0, 1, 2, 5]), np.array([[3], [1], [2], [5]])):
        assert metricc.score("f1[amount]", y, p, amount=amount) == pytest.approx(wanted)


def test_identities_are_found_for_columns_too() -> None:
    assert metricc.compile("TP[a]/(TP[a] + 0.5*(FN[a] + FP[a]))").same_as() == ()
    assert "accuracy" not in metricc.compile("recall[a]").same_as()


# -- the command line -------------------------------------------------------------------------


def out(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_derive_in_every_format() -> None:
    formula = "(FN[amount] + 5*FP)/POP"
    text = out("derive", formula)
    assert "dM/dFN_amount" in text and "w_minus_amount" in text
    assert "threshold" in text and "5/(amount + 5)" in text and "its own amount" in text
    latex = out("derive", formula, "--format", "latex")
    assert r"w_{+}^{amount}" in latex and r"FN_{amount}" in latex
    data = json.loads(out("derive", formula, "--format", "json"))
    assert data["columns"] == ["amount"]
    assert [*data["weights"]] == ["w_plus", "w_minus", "w_plus_amount", "w_minus_amount"]
    assert [*data["partials"]][4:] == [f"{c}_amount" for c in CELLS]
    scope: dict[str, Any] = {"symbols": sympy.symbols, "sqrt": sympy.sqrt}
    exec(out("derive", formula, "--format", "sympy"), scope)
    assert scope["threshold"] == 5 / (scope["amount"] + 5)
    assert "columns" in out("derive", "f1", "--format", "json")
    assert "5/(amount + 5)" in out("show", formula)
    assert "w_plus_amount" in out("show", formula, "--stage", "program")
    assert out("show", formula, "--source").strip() == "(FN[amount] + 5*FP)/POP"
    assert "MC0218" in out("derive", "f1[a]", "--task", "multilabel", code=2)


def test_compile_and_verify(tmp_path: Path) -> None:
    path = tmp_path / "cost_loss.py"
    out("compile", "FN[amount] + 5*FP", "-o", str(path))
    assert "loss(logits, target, amount=amount).backward()" in path.read_text()
    report = out("verify", str(path))
    assert "all checks passed" in report
    path.write_text(path.read_text().replace("return 0, -5", "return 0, -4"))
    out("verify", str(path), code=1)


@pytest.mark.parametrize(
    "formula",
    [
        "2*precision*recall[amount]/(precision + recall[amount])",
        pytest.param("0.5*bce + 0.3*FN[a]/P[a] + 0.2*(1 - f1[b])", marks=pytest.mark.slow),
        pytest.param("sqrt(TPR[a]*TNR[b])", marks=pytest.mark.slow),
        pytest.param("f(k = 2 in (0, 5)) = recall[a]^k + precision; f", marks=pytest.mark.slow),
        pytest.param("recall[a] - 10*max(0, 0.9 - precision)", marks=pytest.mark.slow),
        pytest.param("macro(f1) + log(1 + recall[a])", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"surrogate": "straight_through"}, marks=pytest.mark.slow),
        pytest.param({"from_probabilities": True}, marks=pytest.mark.slow),
        pytest.param({"surrogate": "p^2/(p^2 + (1 - p)^2)"}, marks=pytest.mark.slow),
    ],
)
def test_verify_passes(formula: str, options: dict[str, Any]) -> None:
    report = metricc.compile(formula, name="m", **options).verify()
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("formula", "old", "new"),
    [
        pytest.param("FN[a] + 5*FP", "return 0, -5, -1, 0", "return 0, -5, 1, 0", id="sign"),
        pytest.param(
            "f1[a] + f1", "(missing > 0) | (TP", "(missing > 0) & (TP", id="column absent"
        ),
        pytest.param("f1[a] + f1", "torch.where(weight > 0, x, 0)", "x", id="masked amounts"),
        pytest.param(
            "f1[a] + f1",
            "input, target, weight, mask, self.ignore_index,",
            "input, target, weight, None, self.ignore_index,",
            id="mask of counts()",
        ),
        pytest.param("f1[a] + f1", "            a=a,", "            a=a + 1,", id="module"),
        pytest.param("f1[a] + f1", "_blocks", "_blocks", id="nothing"),
        *(
            pytest.param("f1[a] + f1", old, new, id=id, marks=pytest.mark.slow)
            for old, new, id in (
                ("positive + plus * c", "positive + minus * c", "weights of a column"),
                ("negative + minus * c", "negative", "weight dropped"),
                ("y * _as(c, z.dtype), n", "y, n", "column not in the counts"),
                ("+ unit * gone + perfect * FN", "+ gone", "unit"),
                ("cell + smooth * unit", "cell + smooth", "smooth"),
                ("sum(cells[:4]))", "sum(cells))", "mean"),
                ("_spread(column, input, name)", "column.expand_as(input)", "spread"),
            )
        ),
    ],
)
def test_seeded_fault_is_caught(formula: str, old: str, new: str) -> None:
    m = compiled(formula)
    text = m.source.replace(old, new)
    assert (text == m.source) == (old == new), old
    report = check_source(text, m.source, m.plan, m.options, m.surrogate)
    assert report.passed == (old == new), str(report)


def test_files_without_columns_know_nothing_of_them() -> None:
    for formula in ("f1", "0.5*bce + 0.5*(1 - f1)"):
        text = metricc.compile(formula, name="m").source
        assert "column" not in text and "<<" not in text


# -- a column without positives, and numbers that are none ---------------------------------------


def test_a_column_that_is_zero_for_all_positives_gets_its_unit() -> None:
    """A group that a batch does not hold: the right answer is perfect, and gradients go on."""
    m = metricc.compile("recall[group]*TNR", name="grouped")
    z = torch.tensor([3.0, 2.0, -3.0, 1.0], dtype=torch.float64, requires_grad=True)
    y, group = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 3.0, 4.0])
    loss = m.loss()(z, y, group=group)
    p = 1 / (1 + np.exp(-z.detach().numpy()))
    a = 1 / (1 + np.exp(-10 * (p - 0.5)))
    assert loss.item() == pytest.approx(1 - (1 - a[2:]).sum() / 2, abs=1e-12)  # recall[group] is 1
    loss.backward()
    assert z.grad is not None and z.grad[3] > 0
    right = m.loss()(torch.tensor([9.0, 9.0, -9.0, -9.0]), y, group=group)
    assert right < 0.02
    labels = ([1, 1, 0, 0], [1, 0, 0, 0])
    assert m.score(*labels, group=group.numpy(), absent="diagonal") == 1
    assert m.score(*labels, group=group.numpy()) == 0


@pytest.mark.parametrize("number", [-5.0, float("nan"), float("inf")])
def test_numbers_that_are_no_amounts_are_refused_with_their_place(number: float) -> None:
    z, y = torch.zeros(4, requires_grad=True), torch.tensor([1.0, 1.0, 0.0, 0.0])
    amount = torch.tensor([1.0, number, 3.0, 4.0])
    loss = metricc.compile("recall[amount]", maximize=True).loss()
    with pytest.raises(ValueError, match=f"amount must be finite.*; element 1 is {number}"):
        loss(z, y, amount=amount)
    keep = torch.tensor([True, False, True, True])
    assert torch.isfinite(loss(z, y, mask=keep, amount=amount))
