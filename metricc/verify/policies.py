"""Absent classes, smoothing, shares of classes and reductions."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from metricc import ir
from metricc.verify.agreement import EXACT_ALLOWED, difference, some
from metricc.verify.batches import Tensors
from metricc.verify.calling import POLICIES, SHARES
from metricc.verify.case import Case, Found, judged, tensors
from metricc.verify.points import lacking, unweighed, worse

ALLOWED = (1e-12, 1e-12)  # of loss and gradient in float64


def policies(one: Case) -> ir.Check:
    """Absent classes, smoothing, shares of classes, and reductions, in float64."""
    task = one.setting.task
    data = some(one, 20, 1.5, 4, False)
    soft = some(one, 20, 1.5, 6, True)
    runs: list[tuple[Case, Tensors]] = [(one.changed(label_smoothing=0.1), soft)]
    for absent, every in product(POLICIES, (False, True)):
        smooth = 0.5 if absent == "diagonal" and every else 0.0
        batches = lacking(task, data, every)
        runs.append((one.changed(absent=absent, smooth=smooth), batches))
        if one.wide:  # absent from one sample alone
            mixed = Tensors(data.input, [batches.target[0], *data.target[1:]], data.weight)
            runs.append((one.changed(absent=absent, smooth=0.25), mixed))
    runs.append((one.changed(absent="skip", smooth=0.5), lacking(task, data, True)))
    if task == "multilabel":
        full = lacking(task, data, False, negatives=True)
        runs += [(one.changed(absent=p), full) for p in POLICIES]
    if one.setting.columns:
        light = unweighed(one.full(data))
        runs += [(one.changed(absent=p, smooth=0.25), light) for p in POLICIES]
    if one.shared:
        shared = one.changed(class_weight=SHARES)
        runs.append((shared.changed(label_smoothing=0.2), soft))
        runs += [(shared.changed(absent=p), lacking(task, data, False)) for p in POLICIES]
        alone = one.changed(class_weight=(0.0, 2.0, 0.0))
        runs += [(alone.changed(absent=p), data) for p in POLICIES]
    if one.several:
        shares = SHARES if one.shared else None
        if one.setting.per == "sample":
            soft = replace(
                soft, weight=None, sample_weight=[0.5 + n for n in range(len(soft.input))]
            )
        for reduction in ("sum", "none"):
            runs.append((one.changed(reduction=reduction, class_weight=shares), soft))
    found, twice = Found(), 0.0
    for varied, tested in runs:
        found.add(judged(varied, tested))
        twice = worse(twice, _in_a_graph(varied, tested))
    name = f"absent classes and other policies, {len(runs)} batches"
    if not twice <= EXACT_ALLOWED:
        return ir.Check(name, f"{twice:.1e} with create_graph", f"{EXACT_ALLOWED:.0e}", False)
    return found.check(name, ALLOWED)


def _in_a_graph(one: Case, data: Tensors) -> float:
    """The gradient that may have derivatives itself against the one that may not."""
    import torch

    input, target, weight = tensors(data, one.setting.task)
    loss = one(input, target, weight, **one.columns(data)).sum()
    (alone,) = torch.autograd.grad(loss, input, retain_graph=True)
    (graph,) = torch.autograd.grad(loss, input, create_graph=True)
    return difference(graph.detach(), alone) if alone.any() else float(graph.any())
