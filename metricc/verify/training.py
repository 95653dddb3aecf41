"""The training pass: loss and gradient of the generated code, in every dtype, against oracles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from types import ModuleType

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.agreement import (
    apart,
    blocks,
    classes,
    difference,
    layout,
    repeated,
    samples,
    small,
    some,
)
from metricc.verify.attempt import attempt
from metricc.verify.calling import POLICIES, Calls, modules, signatures
from metricc.verify.case import Case, Found, case, compared, flat, gradient, judged, tensors
from metricc.verify.given import counted, parts, samples_as_elements
from metricc.verify.points import (
    CLASSES,
    STEEP,
    arguments,
    batch,
    parameter_sets,
    ugly,
    worse,
)
from metricc.verify.policies import policies
from metricc.verify.ranks import ranks
from metricc.verify.refusals import refusals
from metricc.verify.traced import hidden, traced, unseen

# dtype → (allowed error of the loss, allowed relative error of a gradient element): float64 and
# float32 as the project promises; halves are computed in float32 and rounded once at the end.
BUDGET = {
    "float64": (1e-12, 1e-12),
    "float32": (1e-5, 1e-5),
    "bfloat16": (1e-5, 2.0**-8),
    "float16": (1e-5, 2.0**-10),
}
AUTOGRAD_ALLOWED = 1e-10


def checks(
    module: ModuleType, plan: ir.Plan, options: ir.Options, surrogate: Surrogate
) -> Iterator[ir.Check]:
    """Every check of the training pass, each with what it measured."""
    loss = getattr(module, f"{options.name}_loss", None)
    if loss is None:
        yield ir.Check(f"{options.name}_loss()", "missing", "present", False)
        return
    sets, others = parameter_sets(plan.metric), arguments(surrogate)
    chosen = list(product(sets, others))
    if options.task != "binary":  # each once, not each with each
        both = range(max(len(sets), len(others)))
        chosen = [(sets[i % len(sets)], others[i % len(others)]) for i in both]
    cases = [case(loss, plan, options, surrogate, *one) for one in chosen]
    first = cases[0]
    # Differences of a steep surrogate's gradients tell little: the last that is not the steepest.
    last = next((c for c in reversed(cases) if c.setting.arguments.get("L") != STEEP), first)
    calls = Calls(first, module, plan, options, surrogate)
    named: list[tuple[str, Callable[[], ir.Check]]] = [
        *((f"{dtype} against mpmath", lambda d=dtype: _accuracy(cases, d)) for dtype in BUDGET),
        *(
            (f"{dtype} under torch.func", lambda d=dtype: traced(cases, d, BUDGET[d]))
            for dtype in ("float64", "float32")
        ),
        ("defaults", lambda: signatures(calls)),
        ("module = function", lambda: modules(calls)),
        ("wrong input and ends of ranges", lambda: refusals(calls)),
        ("fake tensors", lambda: unseen(calls)),
        ("policies", lambda: policies(first)),
        ("masked and ignored", lambda: _masked(first)),
        ("autograd of the plain forward", lambda: _autograd(cases)),
        ("gradcheck", lambda: _gradcheck(last, second=False)),
        ("gradgradcheck", lambda: _gradcheck(last, second=True)),
        ("upstream gradient", lambda: _upstream(first)),
        ("two ranks", lambda: ranks(calls)),
        ("blocks", lambda: blocks(first, module)),
        ("weight 2 = sample twice", lambda: repeated(first)),
    ]
    if not first.wide:
        named += [
            ("counts()", lambda: counted(calls)),
            ("given counts", lambda: parts(calls)),
            ("weights of samples", lambda: samples_as_elements(first)),
        ]
    if first.shared:
        named.append(("classes", lambda: classes(first, plan)))
    if first.wide and plan.outer is None:
        named.append(("samples", lambda: samples(first)))
    named.append(("finite on ugly batches", lambda: _finite(cases)))
    for name, check in named:
        yield from attempt(name, check)
    with hidden(module) as other:
        for name, check in _without_looking(cases, calls) if other else ():
            for found in attempt(name, check):
                yield replace(found, name=f"traced: {found.name}")


def _without_looking(cases: list[Case], calls: Calls) -> list[tuple[str, Callable[[], ir.Check]]]:
    """What is tested of the traced form too, in eager mode."""
    first = cases[0]
    found: list[tuple[str, Callable[[], ir.Check]]] = [
        ("policies", lambda: policies(first)),
        ("upstream gradient", lambda: _upstream(first)),
        ("two ranks", lambda: ranks(calls)),
        ("finite on ugly batches", lambda: _finite(cases)),
    ]
    if not first.wide:
        found.append(("given counts", lambda: parts(calls, False)))
        found.append(("counts()", lambda: counted(calls)))
    return found


def _accuracy(cases: list[Case], dtype: str) -> ir.Check:
    found = Found()
    for one in cases:
        task, given = one.setting.task, one.setting.from_probabilities
        shapes = [layout(one, 40)] * 3
        if task != "binary":
            shapes = [shapes[0], (3, 4, 5), (4, 2, 4)]
        elif one.wide:
            shapes = [shapes[0], (4, 1, 7), (10, 1, 3)]
        for shape, (spread, seed) in zip(shapes, ((1.5, 1), (8.0, 2), (0.1, 3)), strict=True):
            data = batch(task, shape, spread, seed, given, seed == 2, soft=seed != 3)
            if one.wide and seed == 3:
                weights = [0.5 * (1 + i % 4) for i in range(shape[0])]
                data = replace(data, sample_weight=weights)
            found.add(judged(one, data, dtype))
    return found.check(f"{dtype} against mpmath, {found.elements} elements", BUDGET[dtype])


def _masked(one: Case) -> ir.Check:
    """What is masked out or ignored is NaN here: nothing is learned there, all else as ever.

    The mask has an entry for each element, place or sample.
    """
    import torch

    task = one.setting.task
    found, touched = Found(), 0
    for kind in ("element", "sample", *["place"] * (task == "multilabel")):
        shape = (24, 1, 1) if task == "binary" and not one.wide else (4, CLASSES, 5)
        shape = (5, 1, 5) if task == "binary" and one.wide else shape
        data = batch(
            task, shape, 1.5, 20, one.setting.from_probabilities, soft=task != "multiclass"
        )
        input, target, _ = tensors(data, task)
        sizes = {"sample": shape[:1], "place": (shape[0], shape[2]), "element": target.shape}
        keep = torch.ones(sizes[kind], dtype=torch.bool)
        keep.view(-1)[1::7] = False
        if one.wide:
            keep[1] = False  # a whole sample
        ignored = torch.zeros_like(target, dtype=torch.bool)
        ignored.view(-1)[3::8] = True
        kept = keep.unsqueeze(1) if kind == "place" else keep
        kept = kept.reshape(*kept.shape, *[1] * (target.dim() - kept.dim())) & ~ignored
        kept = kept.unsqueeze(1) if task == "multiclass" else kept
        kept = kept.expand_as(input)
        spoiled = torch.where(kept, input.detach(), torch.nan).requires_grad_()
        index, left_out = {}, -100.0
        if task != "multiclass":
            left_out = float("nan") if kind == "sample" else -1.0
            index = {"ignore_index": left_out}
        labels = target.masked_fill(ignored, left_out)
        columns = {
            name: torch.where(kept, column, torch.nan) for name, column in one.columns(data).items()
        }
        loss = one(spoiled, labels, mask=keep, **index, **columns)
        loss.backward()
        weighed = replace(data, weight=kept.reshape(shape).double().tolist())
        slopes = spoiled.grad if spoiled.grad is not None else torch.full_like(input, torch.nan)
        found.add(compared(one, weighed, loss.detach(), slopes))
        touched += int((slopes[~kept] != 0).sum())
    name = f"masked and ignored elements, {touched} with a gradient"
    verdict = found.check(name, BUDGET["float64"])
    return verdict if touched == 0 else replace(verdict, passed=False)


def _autograd(cases: list[Case]) -> ir.Check:
    """The first case whose plain forward autograd can differentiate: a root has no slope at 0."""
    import torch

    for one in cases:
        data = some(one, 120, 1.5, 5, True)
        loss, found = gradient(one, data)
        z, y, v = (
            torch.tensor(x, dtype=torch.float64) for x in (data.input, data.target, data.weight)
        )
        columns = [torch.tensor(c, dtype=torch.float64) for c in one.full(data).columns]
        plain = one.plain().loss(z.requires_grad_(), y, v, *columns)
        plain.backward()
        if z.grad is not None and torch.isfinite(z.grad.sum() + plain):
            error = difference(found, z.grad.reshape(found.shape))
            error = worse(error, apart(plain.detach(), loss))
            passed = error <= AUTOGRAD_ALLOWED
            return ir.Check("autograd of the plain forward", f"{error:.1e}", "1e-10", passed)
    return ir.Check("autograd of the plain forward", "it has no slope here", "any", None)


def _gradcheck(one: Case, second: bool) -> ir.Check:
    import torch

    name = "gradgradcheck" if second else "gradcheck"
    if one.setting.hard:
        return ir.Check(name, "decisions are steps: not comparable", "any", None)
    task, given = one.setting.task, one.setting.from_probabilities
    c = 1 if task == "binary" else CLASSES
    data = batch(task, (2, c, 4) if one.wide else (7 if c == 1 else 4, c, 1), 1.0, 7, given)
    flat_input = [float(x) for x in flat(data.input)]
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    input, target, _ = tensors(data, task)
    shape = target.shape if task != "multiclass" else (input.shape[0], *input.shape[2:])
    weight = weights.repeat(len(flat_input))[: target.numel()].reshape(target.shape)
    if len(shape) < target.dim():
        weight = weight[:, 0]
    if not given and not one.rough:
        input = input.detach().clone()
        input.view(-1)[0] = 0.0  # where |z| has a kink
        input.requires_grad_()
    one = one.changed(smooth=0.25) if second else one  # it is in both derivatives
    check = getattr(torch.autograd, name)
    columns = one.columns(data)
    called = partial(one, target=target, weight=weight, **columns)
    passed = bool(check(called, (input,), raise_exception=False))
    return ir.Check(name, "agrees" if passed else "differs", "agrees", passed)


def _upstream(one: Case) -> ir.Check:
    """Losses are scaled before backward; a gradient that ignores the scale is wrong."""
    import torch

    data = some(one, 50, 1.5, 9, False)
    _, found = gradient(one, data)
    input, target, weight = tensors(data, one.setting.task)
    (-3.75 * one(input, target, weight, **one.columns(data))).backward()
    error = difference(input.grad / -3.75, found)
    (batched,) = torch.autograd.grad(
        one(input, target, weight, **one.columns(data)),
        input,
        torch.tensor([2.0, -0.5], dtype=torch.float64),
        is_grads_batched=True,
    )
    error = worse(error, difference(batched, torch.stack([2 * found, -0.5 * found])))
    if one.several:  # each loss has an upstream gradient of its own
        input.grad = None
        losses = one.changed(reduction="none")(input, target, weight)
        factors = torch.arange(1, losses.numel() + 1, dtype=torch.float64).reshape(losses.shape)
        parts = torch.zeros_like(found)
        for factor, loss in zip(factors.flatten(), losses.flatten(), strict=True):
            parts += factor * torch.autograd.grad(loss, input, retain_graph=True)[0]
        losses = one.changed(reduction="none")(input, target, weight)
        (factors * losses).sum().backward()
        error = worse(error, difference(input.grad, parts))
    half, target, _ = tensors(data, one.setting.task, "float16")
    (1e30 * one(half, target, **one.columns(data, "float16")).sum()).backward()
    if not torch.isfinite(half.grad).all():
        return ir.Check("upstream gradient 1e30", "not finite in float16", "finite", False)
    return small("upstream gradient -3.75", error)


def _finite(cases: list[Case]) -> ir.Check:
    import torch

    failed: list[str] = []
    batches = 0
    for one in cases:
        task, given = one.setting.task, one.setting.from_probabilities
        several = dict(ugly(task, given, wide=one.wide))
        if one.setting.columns:  # of nothing, and of very different sizes
            some = one.full(several["no weight"])
            sizes = {"columns of 0": [0.0] * 4, "columns from 0 to 6e4": [6e4, 0.0, 6e-4, 6e4]}
            for name, row in sizes.items():
                columns = [[[[x]] for x in row]] * len(some.columns)
                several[name] = replace(some, weight=None, columns=columns)
        policies = POLICIES if task != "binary" or one.wide else POLICIES[:1]
        for policy, (name, data), dtype in product(policies, several.items(), BUDGET):
            loss, slopes = gradient(one.changed(absent=policy), data, dtype)
            batches += 1
            if not (torch.isfinite(loss) and torch.isfinite(slopes).all()):
                failed.append(f"{name} in {dtype}")
        for dtype in BUDGET:
            shape = (0,) if task == "binary" else (0, CLASSES)
            input = torch.zeros(shape, dtype=getattr(torch, dtype), requires_grad=True)
            target = torch.zeros(shape[:1], dtype=torch.long) if task == "multiclass" else input
            none = dict.fromkeys(one.setting.columns, input.detach())
            loss = one(input, target.detach(), **none)
            loss.backward()
            batches += 1
            if not torch.isfinite(loss):
                failed.append(f"nothing in {dtype}")
    measured = f"{len(failed)} not" + (f": {failed[0]}" if failed else "")
    return ir.Check(f"finite on {batches} ugly batches", measured, "0 not", not failed)
