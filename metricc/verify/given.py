"""Counts of a batch, counts that are given to a loss in place of the batch's, and running means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.verify.agreement import apart, difference, small, some
from metricc.verify.batches import Tensors, counts_of, elements_of
from metricc.verify.calling import Calls
from metricc.verify.case import Case, gradient, tensors
from metricc.verify.oracle import DIGITS
from metricc.verify.points import batch, worse

PARTS = (slice(0, 7), slice(7, 12), slice(12, None))


def counted(calls: Calls) -> ir.Check:
    """`counts` of the module against mpmath: with a mask, and at other arguments than the usual."""
    import torch

    task, error, cells = calls.options.task, mpf(0), 0
    data = _counting(calls.data())
    every = range(len(data.input))
    left_out = [[[float(n % 4 != 1)] * len(row) for row in data.input[n]] for n in every]
    index = calls.others["ignore_index"]
    kept = [[[float(x != index) for x in row] for row in sample] for sample in data.target]
    if task == "multiclass":  # its index is that of the class
        kept = [[[1 - x for x in sample[index]] for _ in sample] for sample in data.target]
    none: dict[str, Any] = {}
    runs: list[tuple[dict[str, Any], Any, bool]] = [(none, None, False), (none, left_out, True)]
    runs += [({"ignore_index": index}, kept, False), ({"label_smoothing": 0.15}, None, False)]
    runs += [({n: calls.others[n]}, None, False) for n in calls.surrogate.defaults]
    input, target, weight = tensors(data, task)
    mask = torch.arange(len(target)) % 4 != 1
    columns = calls.one.columns(data)
    for given, weighs, masked in runs:
        loss = calls.loss(**{**calls.required, **given})
        found = loss.counts(input, target, weight, mask if masked else None, **columns)
        halves = {n: x.float() for n, x in columns.items()}
        single = loss.counts(input.float(), target, **halves)
        if any(x.requires_grad or x.dtype != torch.float64 for x in (found, single)):
            return ir.Check("counts() against mpmath", "not constant float64", "constant", False)
        wanted = _exact(calls.one, _weighed(data, weighs), given)
        found = found.reshape(found.shape[0], -1)[: len(wanted[0])]
        with mp.workdps(DIGITS):
            for k, table in enumerate(wanted):
                for got, right in zip(found[:, k].tolist(), table, strict=True):
                    error = worse(error, abs(mpf(got) - right) / (right or mpf(1)))
                    cells += 1
    return replace(small("", float(error)), name=f"counts() against mpmath, {cells} cells")


def _counting(data: Tensors) -> Tensors:
    """The batch without weights of 0: each of its parts counts."""
    weight = [[[x or 2.0 for x in row] for row in sample] for sample in data.weight or ()]
    return replace(data, weight=weight)


def _weighed(data: Tensors, factors: Any) -> Tensors:
    """The batch with each weight times a factor."""
    if factors is None or data.weight is None:
        return data
    weight = [
        [[x * f for x, f in zip(*rows, strict=True)] for rows in zip(*samples, strict=True)]
        for samples in zip(data.weight, factors, strict=True)
    ]
    return replace(data, weight=weight)


def _exact(one: Case, data: Tensors, given: dict[str, Any]) -> list[list[Any]]:
    """The cells of every class."""
    policy = {n: x for n, x in given.items() if n == "label_smoothing"}
    soft = {n: x for n, x in given.items() if n in one.setting.arguments}
    setting = replace(one.setting, arguments={**one.setting.arguments, **soft}, **policy)
    with mp.workdps(DIGITS):
        found = elements_of(one.text, data, setting, 0)
        classes = range(len(data.input[0]))
        ones = [mpf(1)] * len(classes)
        rows = [[e for e in found if e.k == k] for k in classes]
        return [counts_of(row, ones, len(setting.columns)) for row in rows]


def parts(calls: Calls, looks: bool = True) -> ir.Check:
    """Parts of a batch at the counts of the whole against the whole, and a running mean by hand.

    `looks` says that the file can look at the counts, and refuses those that are none.
    """
    import torch

    one = calls.one
    data = _counting(one.full(some(one, 60, 1.5, 19, True)))
    loss, slopes = gradient(one, data)
    input, target, weight = tensors(data, one.setting.task)
    settled = calls.loss(**one.parameters, **one.setting.arguments)
    whole = one.columns(data)
    cut = [(input[r], target[r], weight[r]) for r in PARTS]
    columns = [{name: column[r] for name, column in whole.items()} for r in PARTS]
    pairs = list(zip(cut, columns, strict=True))
    each = [settled.counts(*part, **own) for part, own in pairs]
    counts = sum(each)
    error = difference(counts, settled.counts(input, target, weight, **whole))

    def at(counts: Any, of: Any = pairs, twice: bool = False) -> tuple[Any, Any]:
        """The losses of some parts and the gradient of their sum."""
        losses = torch.stack([one(*part, counts=counts, **own) for part, own in of])
        (found,) = torch.autograd.grad(losses.sum(), input, create_graph=twice)
        return losses.detach(), found.detach()

    for twice in (False, True):  # a second derivative may be wanted: the first is the same
        losses, found = at(counts, twice=twice)
        error = worse(error, difference(found, slopes))
        for other in losses:
            error = worse(error, apart(other, loss))
    one_third, two = (0.5 * each[0] + each[1]) / 1.5, (0.25 * each[0] + 0.5 * each[1] + each[2])
    means = (each[0], one_third, two / 1.75)
    running, added = calls.module.Counts(decay=0.5), calls.module.Counts(decay=0.5)
    for pair, own, mean in zip(pairs, each, means, strict=True):
        error = worse(error, difference(added.add(own), mean))
        (losses, found), (right, wanted) = at(running, [pair]), at(mean, [pair])
        error = worse(error, worse(apart(losses, right), difference(found, wanted)))
    error = worse(error, _kept(calls.module.Counts, each))
    if looks and (bad := _taken(lambda counts: at(counts), counts)):
        return ir.Check("parts at given counts = the whole", f"{bad} taken", "ValueError", False)
    return small("parts at given counts = the whole", error)


def _kept(kind: Callable[..., Any], each: list[Any]) -> float:
    """What a running mean keeps: all batches alike under decay = 1, its state in a checkpoint,
    nothing after a reset, and never a gradient."""
    import torch

    running, other = kind(decay=1.0), kind(decay=0.25)
    for counts in each:
        mean = running.add(counts.clone().requires_grad_())
    error = difference(mean.detach(), sum(each) / len(each))
    error = worse(error, float(mean.requires_grad))
    other.add(each[1])
    other.load_state_dict(running.state_dict())
    for number in (float("nan"), float("inf")):  # such a batch is left out
        error = worse(error, difference(running.add(each[0] * number), sum(each) / len(each)))
    again = (sum(each) + each[0]) / (len(each) + 1)
    for one in (running, other):
        error = worse(error, difference(one.add(each[0]), again))
    other.reset()
    error = worse(error, difference(other.add(each[2]), each[2]))
    error = worse(error, difference(other.add(each[0]), (each[2] + each[0]) / 2))
    error = worse(error, difference(running.add(again), again))
    if running.add(each[0].float()).dtype != torch.float32:
        raise TypeError("a mean of another dtype than the counts")
    return float(error)


def _taken(call: Callable[[Any], Any], counts: Any) -> int:
    """How many counts that are none do not raise `ValueError`."""
    taken = 0
    for wrong in (counts[:-1], counts[None], counts.clone().requires_grad_()):
        try:
            call(wrong)
        except ValueError:
            continue
        taken += 1
    return taken


def samples_as_elements(one: Case) -> ir.Check:
    """Weights, masks and columns of samples against the same for each of their elements.

    There are as many samples as places, so that the wrong direction fits too.
    """
    import torch

    task = one.setting.task
    size = 4 if task == "binary" else 3
    shape = (size, 1 if task == "binary" else size, size)
    data = one.full(batch(task, shape, 1.5, 27, one.setting.from_probabilities, soft=False))
    input, target, _ = tensors(data, task)
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)[:size]
    mask = torch.tensor([True, True, False, True])[:size]
    columns = {n: 1.0 + (i + 2) * weight.flip(0) for i, n in enumerate(one.setting.columns)}

    def same(tensor: Any) -> Any:
        return tensor

    def wide(tensor: Any) -> Any:
        return tensor.reshape(-1, *[1] * (target.dim() - 1)).expand(target.shape).clone()

    found = []
    for each in (same, wide):
        own = {n: each(column) for n, column in columns.items()}
        loss = one(input, target, each(weight), mask=each(mask), **own)
        found.append((loss.detach(), torch.autograd.grad(loss.sum(), input)[0]))
    (loss, slopes), (other, wanted) = found
    return small("of samples = of elements", worse(apart(loss, other), difference(slopes, wanted)))
