"""`process_group=`: 2 and 4 gloo processes against one process on the concatenated batch.

All cases of a world size run in one set of processes, as torchrun starts them: each rank loads the
generated files (which need torch alone), goes through the cases in order, and writes down how far
its loss and its gradient are from those of the whole batch, which it computes without a group. The
processes' averaged gradient is what DistributedDataParallel makes of them, so a rank's gradient is
divided by their number. Errors are relative: to the loss, and to the gradient's largest element.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist

CLASSES = 4
TOLERANCE = 1e-12
LIMIT = 300  # seconds that the ranks of one world may take
Batch = dict[str, Tensor]  # input, target, and what else the loss is called with


@dataclass(frozen=True)
class Case:
    """A loss, a batch and how its rows are split over the ranks."""

    name: str
    formula: str
    task: str = "binary"
    compile: dict[str, Any] = field(default_factory=dict)  # options of metricc.compile
    init: dict[str, Any] = field(default_factory=dict)  # arguments of the loss's constructor
    split: str = "uneven"
    size: int = 37
    share: float = 0.3  # of positives
    positions: tuple[int, ...] = ()
    extra: tuple[str, ...] = ()  # weight, mask, ignore, soft, alone, or a column
    dtype: str = "float64"
    tolerance: float = TOLERANCE

    def key(self) -> str:
        """The file of the loss: cases with the same formula share one."""
        options = sorted({**self.compile, "formula": self.formula, "task": self.task}.items())
        return f"case_{abs(hash_of(options)):x}"


def hash_of(options: Any) -> int:
    """A hash that all processes agree on."""
    return int.from_bytes(repr(options).encode(), "big") % (2**61 - 1)


def binary() -> Iterator[Case]:
    for split in ("even", "uneven", "empty", "no positives", "one row"):
        yield Case(f"f1, {split}", "f1", split=split)
    for formula in ("mcc", "sqrt(TPR*TNR)", "-log(f1)", "kappa", "0.5*focal(2) + 0.5*(1 - mcc)"):
        yield Case(formula, formula)
    composite = "0.5*bce + 0.5*(1 - f1)"
    for split in ("even", "uneven", "empty", "no positives"):
        yield Case(f"composite, {split}", composite, split=split)
    yield Case("composite, weighted", composite, extra=("weight", "mask"))
    yield Case("column", "recall[amount]", extra=("amount",))
    yield Case("column, empty rank", "recall[amount]", extra=("amount",), split="empty")
    yield Case("costs", "FN[amount] + 5*FP", extra=("amount", "weight"))
    for extra in ("weight", "mask", "ignore", "soft"):
        init = {"ignore_index": 255} if extra == "ignore" else {}
        yield Case(f"f1, {extra}", "f1", extra=(extra,), init=init)
    yield Case("f1, rank masked out", "f1", extra=("alone",))
    yield Case("f1, smooth", "f1", init={"smooth": 1.0})
    yield Case("f1, smoothed labels", "f1", init={"label_smoothing": 0.1})
    yield Case("f1, sharp", "f1", init={"L": 40.0, "threshold": 0.3})
    yield Case("f1, soft surrogate", "f1", compile={"surrogate": "soft"})
    yield Case("f1, images", "f1", positions=(5, 3), split="uneven")
    for absent in ("diagonal", "skip", "zero"):  # of the global batch, not of a rank
        yield Case(f"f1, positives on one rank, {absent}", "f1", init={"absent": absent},
                   split="no positives")  # fmt: skip
        yield Case(f"f1, no positives at all, {absent}", "f1", init={"absent": absent}, share=0)
    yield Case("f1, many elements", "f1", size=150_000, share=0.01)
    # Of a mean over ranks that is not weighted by 1/2 exactly, half precision keeps 11 and 8 bits.
    yield Case("f1, float32", "f1", dtype="float32", tolerance=2e-6)
    yield Case("f1, float16", "f1", dtype="float16", tolerance=2e-3)
    yield Case("f1, bfloat16", "f1", dtype="bfloat16", tolerance=2e-2)


def multilabel() -> Iterator[Case]:
    for formula in ("macro(f1)", "micro(jaccard)", "weighted(f1)", "worst(recall)",
                    "geomean(recall)", "0.5*bce + 0.5*(1 - macro(f1))"):  # fmt: skip
        yield Case(formula, formula, "multilabel")
    f1 = "macro(f1)"
    for split in ("even", "empty", "no positives", "one row"):
        yield Case(f"{f1}, {split}", f1, "multilabel", split=split)
    for extra in ("weight", "elements", "mask", "ignore", "soft"):
        init = {"ignore_index": -1} if extra == "ignore" else {}
        yield Case(f"{f1}, {extra}", f1, "multilabel", extra=(extra,), init=init)
    yield Case("class weights", f1, "multilabel", init={"class_weight": [1.0, 2.0, 0.0, 0.5]})
    yield Case("no background", f1, "multilabel", init={"exclude_background": True})
    yield Case("images", "macro(jaccard)", "multilabel", positions=(3, 2))
    for absent in ("diagonal", "skip", "zero"):
        yield Case(f"classes absent, {absent}", f1, "multilabel", init={"absent": absent}, size=9,
                   share=0.06)  # fmt: skip
    for reduction in ("mean", "sum", "none"):
        yield Case(f"per_class, {reduction}", "per_class(f1)", "multilabel",
                   init={"reduction": reduction})  # fmt: skip
    yield Case("float32", f1, "multilabel", dtype="float32", tolerance=2e-6)
    yield Case("bfloat16", f1, "multilabel", dtype="bfloat16", tolerance=2e-2)


def multiclass() -> Iterator[Case]:
    for formula in ("macro(f1)", "micro(f1)", "weighted(f1)", "worst(recall)", "geomean(recall)",
                    "multiclass_mcc", "multiclass_kappa", "0.5*ce + 0.5*(1 - macro(f1))",
                    "-log(geomean(recall))"):  # fmt: skip
        yield Case(formula, formula, "multiclass")
    f1 = "macro(f1)"
    for split in ("even", "empty", "no positives", "one row"):
        yield Case(f"{f1}, {split}", f1, "multiclass", split=split)
        composite = "0.5*ce + 0.5*(1 - multiclass_mcc)"
        yield Case(f"ce and R_K, {split}", composite, "multiclass", split=split)
    for extra in ("weight", "elements", "mask", "ignore", "soft"):
        yield Case(f"{f1}, {extra}", f1, "multiclass", extra=(extra,), positions=(3,))
    yield Case("class weights", f1, "multiclass", init={"class_weight": [1.0, 2.0, 0.0, 0.5]})
    yield Case("smoothed labels", f1, "multiclass", init={"label_smoothing": 0.1})
    for absent in ("diagonal", "skip", "zero"):
        yield Case(f"classes absent, {absent}", f1, "multiclass", init={"absent": absent}, size=6)
    yield Case("per_class", "per_class(f1)", "multiclass")
    yield Case("float32", f1, "multiclass", dtype="float32", tolerance=2e-6)
    yield Case("float16", f1, "multiclass", dtype="float16", tolerance=2e-3)


def samples() -> Iterator[Case]:
    """Tables of samples."""
    for split in ("even", "uneven", "empty"):
        yield Case(f"f1, {split}", "f1", compile={"per": "sample"}, positions=(6,), split=split)
        yield Case(f"samples(f1), {split}", "samples(f1)", "multilabel", split=split)
    for task, formula in (("multilabel", "macro(jaccard)"), ("multiclass", "geomean(recall)"),
                          ("multiclass", "0.5*ce + 0.5*(1 - macro(f1))")):  # fmt: skip
        yield Case(f"{formula}, {task}", formula, task, compile={"per": "sample"}, positions=(6,))
    for reduction in ("sum", "none"):
        yield Case(reduction, "f1", compile={"per": "sample"}, positions=(6,),
                   init={"reduction": reduction}, extra=("weight",))  # fmt: skip
    for absent in ("diagonal", "skip", "zero"):
        yield Case(f"absent, {absent}", "f1", compile={"per": "sample"}, positions=(6,),
                   init={"absent": absent}, share=0.08)  # fmt: skip
    yield Case("weight", "f1", compile={"per": "sample"}, positions=(6,), extra=("weight",))
    yield Case("mask", "samples(f1)", "multilabel", extra=("elements", "mask"))


CASES = {
    f"{room.__name__}: {case.name}": case
    for room in (binary, multilabel, multiclass, samples)
    for case in room()
}
# Losses that the programs below take beside the cases' own.
LOSSES = {
    case.name: case
    for case in (
        Case("f1", "f1"),
        Case("composite", "0.5*bce + 0.5*(1 - f1)"),
        Case("macro", "0.5*ce + 0.5*(1 - macro(f1))", "multiclass"),
        Case("labels", "macro(f1)", "multilabel"),
        Case("samples", "samples(f1)", "multilabel"),
    )
}


# -- what one rank does -------------------------------------------------------------------------


@dataclass(frozen=True)
class Rank:
    """This process, and the folder of the generated files."""

    number: int
    world: int
    folder: Path

    def module(self, case: Case, folder: str = ".") -> ModuleType:
        path = self.folder / folder / f"{case.key()}.py"
        spec = importlib.util.spec_from_file_location(case.key(), path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def loss(self, name: str, **arguments: Any) -> Any:
        module = self.module(CASES.get(name) or LOSSES[name])
        return module.CaseLoss(**arguments)

    def rows(self, size: int, split: str) -> slice:
        """The rows of this rank."""
        parts = {"even": [1] * self.world, "uneven": [2 * k + 1 for k in range(self.world)]}
        parts["empty"] = [0] + [2 * k + 1 for k in range(self.world - 1)]
        parts["no positives"] = parts["uneven"]
        if split == "one row":
            edges = [*range(self.world), size]
        else:
            shares = parts[split]
            edges = [size * sum(shares[:k]) // sum(shares) for k in range(self.world + 1)]
        return slice(edges[self.number], edges[self.number + 1])


def batch_of(case: Case, rank: Rank) -> Batch:
    """The whole batch, the same on every rank."""
    generator = torch.Generator().manual_seed(hash_of((case.name, case.formula)) % 2**31)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    N, where = case.size, case.positions
    shape = (N, *where) if case.task == "binary" else (N, CLASSES, *where)
    places = (N, *where)
    found: Batch = {"input": 3 * torch.randn(shape, generator=generator, dtype=torch.float64)}
    if case.task == "multiclass":
        target = (uniform(*places) * CLASSES).long()
        if case.split == "no positives":  # of the first class
            target = target.sort(0, descending=True).values
        if "ignore" in case.extra:
            target[uniform(*places) < 0.2] = -100
    else:
        target = (uniform(*shape) < case.share).double()
        if case.split == "no positives":
            target = target.sort(0).values
        if "soft" in case.extra:
            target = uniform(*shape)
        if "ignore" in case.extra:
            target[uniform(*shape) < 0.2] = case.init["ignore_index"]
    if "soft" in case.extra and case.task == "multiclass":
        target = torch.softmax(uniform(*shape), 1)
    found["target"] = target
    if "weight" in case.extra:
        found["weight"] = uniform(N)
    if "elements" in case.extra:
        found["weight"] = uniform(*(places if case.task == "multiclass" else shape))
    if "mask" in case.extra:
        found["mask"] = uniform(*(places if case.task == "multiclass" else shape)) < 0.7
    if "alone" in case.extra:  # the first rank's rows are masked out
        first = Rank(0, rank.world, rank.folder).rows(N, case.split)
        found["mask"] = torch.ones(N, dtype=torch.bool)
        found["mask"][first] = False
    if "amount" in case.extra:
        found["amount"] = 100 * uniform(N)
    found["input"] = found["input"].to(getattr(torch, case.dtype))
    return found


def own(batch: Batch, rows: slice) -> Batch:
    return {name: tensor[rows].clone() for name, tensor in batch.items()}


def gradient(loss: Any, batch: Batch, **arguments: Any) -> tuple[Tensor, Tensor]:
    """The loss and its gradient in the input."""
    input = batch["input"].clone().requires_grad_()
    rest = {name: tensor for name, tensor in batch.items() if name != "input"}
    found = loss(input, **rest, **arguments)
    found.sum().backward()
    assert input.grad is not None
    return found.detach(), input.grad


def apart(found: Tensor, wanted: Tensor, scale: Tensor | None = None) -> float:
    """The largest difference, relative to the largest element of what it is measured by."""
    if found.shape != wanted.shape or found.isnan().any():
        return float("inf")
    largest = (wanted if scale is None else scale).double().abs().max().item()
    difference = (found.double() - wanted.double()).abs()
    return difference.max().item() / (largest or 1.0) if difference.numel() else 0.0


def run_case(case: Case, rank: Rank) -> dict[str, float]:
    """How far this rank's loss and gradient are from the whole batch's."""
    module = rank.module(case)
    batch, rows = batch_of(case, rank), rank.rows(case.size, case.split)
    value, whole = gradient(module.CaseLoss(**case.init), batch)
    loss = module.CaseLoss(**case.init, process_group="world")
    found, mine = gradient(loss, own(batch, rows))
    if value.shape == (case.size,):  # reduction="none": each rank has its own samples' losses
        value = value[rows]
    return {
        "value": apart(found, value),
        "gradient": apart(mine.double() / rank.world, whole[rows].double(), whole),
    }


PROGRAMS: dict[str, Callable[[Rank], dict[str, float]]] = {}


def program(function: Callable[[Rank], dict[str, float]]) -> Callable[[Rank], dict[str, float]]:
    PROGRAMS[function.__name__.replace("_", " ")] = function
    return function


def refused(error: type[Exception], says: str, call: Callable[[], Any]) -> float:
    """0 where the call raises the error with these words in it."""
    try:
        call()
    except error as caught:
        return 0.0 if says in str(caught) else float("inf")
    return float("inf")


@program
def by_hand(rank: Rank) -> dict[str, float]:
    """F1 and macro F1 as their authors write them, under autograd, on the whole batch."""
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(31, generator=generator, dtype=torch.float64)
    y = (torch.rand(31, generator=generator) < 0.3).double()
    rows = rank.rows(31, "uneven")
    x = z.clone().requires_grad_()
    a = torch.sigmoid(10 * (torch.sigmoid(x) - 0.5))
    naive = 1 - 2 * (y * a).sum() / (y.sum() + a.sum())
    (wanted,) = torch.autograd.grad(naive, x)
    loss = rank.loss("f1", process_group="world")
    value, found = gradient(loss, {"input": z[rows], "target": y[rows]})
    errors = {"f1": apart(value, naive.detach())}
    errors["f1, gradient"] = apart(found / rank.world, wanted[rows], wanted)
    z = torch.randn(31, CLASSES, generator=generator, dtype=torch.float64)
    t = torch.randint(0, CLASSES, (31,), generator=generator)
    x = z.clone().requires_grad_()
    p, one_hot = torch.softmax(x, 1), nn.functional.one_hot(t, CLASSES).double()
    scores = 2 * (one_hot * p).sum(0) / (one_hot.sum(0) + p.sum(0))
    naive = 0.5 * nn.functional.cross_entropy(x, t) + 0.5 * (1 - scores.mean())
    (wanted,) = torch.autograd.grad(naive, x)
    loss = rank.loss("macro", process_group="world")
    value, found = gradient(loss, {"input": z[rows], "target": t[rows]})
    errors["macro"] = apart(value, naive.detach())
    return errors | {"macro, gradient": apart(found / rank.world, wanted[rows], wanted)}


@program
def forms_of_the_argument(rank: Rank) -> dict[str, float]:
    """A group, a word, the function, a copy that was pickled: all the same."""
    case = LOSSES["f1"]
    module, batch = rank.module(case), batch_of(case, rank)
    mine = own(batch, rank.rows(case.size, "uneven"))
    value, _ = gradient(module.CaseLoss(), batch)
    wanted = gradient(module.CaseLoss(process_group="world"), mine)
    world = module.CaseLoss(process_group=dist.group.WORLD)
    import sys

    sys.modules[case.key()] = module  # for pickle
    copied = pickle.loads(pickle.dumps(module.CaseLoss(process_group="world")))
    errors = {"value": apart(wanted[0], value)}
    for name, loss in {"group": world, "pickled": copied}.items():
        found = gradient(loss, mine)
        errors[name] = max(map(apart, found, wanted))
    found = gradient(module.case_loss, mine, process_group="world")
    errors["function"] = max(map(apart, found, wanted))
    with torch.no_grad():  # validation: the value needs no gradient
        errors["no_grad"] = apart(world(mine["input"], mine["target"]), value)
    return errors


@program
def scaled_losses(rank: Rank) -> dict[str, float]:
    """The gradient of 3.5 times the loss, of two losses added, of a second backward."""
    case = LOSSES["composite"]
    batch, rows = batch_of(case, rank), rank.rows(case.size, "uneven")
    mine = own(batch, rows)
    _, whole = gradient(rank.loss("composite"), batch)
    loss = rank.loss("composite", process_group="world")
    x = mine["input"].requires_grad_()
    value = 3.5 * loss(x, mine["target"])
    (g,) = torch.autograd.grad(value, x, retain_graph=True)
    (again,) = torch.autograd.grad(value, x)
    errors = {"scaled": apart(g / 3.5 / rank.world, whole[rows], whole)}
    errors["twice"] = apart(again, g, whole)
    value = loss(x, mine["target"]) + loss(x, mine["target"])
    (g,) = torch.autograd.grad(value, x)
    return errors | {"added": apart(g / 2 / rank.world, whole[rows], whole)}


@program
def second_derivatives_are_refused(rank: Rank) -> dict[str, float]:
    errors = {}
    for name in ("f1", "macro", "labels"):
        case = LOSSES[name]
        mine = own(batch_of(case, rank), rank.rows(case.size, "uneven"))
        x = mine["input"].requires_grad_()
        value = rank.loss(name, process_group="world")(x, mine["target"])

        def twice(value: Tensor = value, x: Tensor = x) -> None:
            (g,) = torch.autograd.grad(value, x, create_graph=True)
            torch.autograd.grad(g.sum(), x)

        errors[name] = refused(NotImplementedError, "process_group", twice)
    return errors


@program
def what_is_not_finite_on_one_rank(rank: Rank) -> dict[str, float]:
    """It is so on all: a GradScaler skips the step everywhere."""
    case = LOSSES["composite"]
    mine = own(batch_of(case, rank), rank.rows(case.size, "uneven"))
    if rank.number == 0:
        mine["input"][:1] = torch.nan
    loss = rank.loss("composite", process_group="world")
    value, _ = gradient(loss, mine)
    return {"value": 0.0 if value.isnan() else float("inf")}


@program
def compiled_by_torch(rank: Rank) -> dict[str, float]:
    """The all-reduce is in the graph; that of samples' tables breaks it."""
    errors: dict[str, float] = {}
    for name in ("f1", "macro", "samples"):
        case = LOSSES[name]
        batch, rows = batch_of(case, rank), rank.rows(case.size, "uneven")
        value, whole = gradient(rank.loss(name), batch)
        loss = rank.loss(name, process_group="world")
        compiled = torch.compile(loss, backend="aot_eager", fullgraph=name != "samples")
        found, mine = gradient(compiled, own(batch, rows))
        errors[name] = apart(found, value)
        errors[f"{name}, gradient"] = apart(mine / rank.world, whole[rows], whole)
    return errors


@program
def a_built_kernel_on_one_rank(rank: Rank) -> dict[str, float]:
    """Where a C compiler was at hand: the others take the torch path, the counts are the same."""
    if not (rank.folder / "built" / "__pycache__").exists():
        return {}
    case = LOSSES["f1"]
    batch, rows = batch_of(case, rank), rank.rows(case.size, "uneven")
    value, whole = gradient(rank.loss("f1"), batch)
    module = rank.module(case, "built" if rank.number == 0 else ".")
    assert (module._built() is not None) == (rank.number == 0)
    found, mine = gradient(module.CaseLoss(process_group="world"), own(batch, rows))
    return {
        "value": apart(found, value),
        "gradient": apart(mine / rank.world, whole[rows], whole),
    }


@program
def groups_within_the_world(rank: Rank) -> dict[str, float]:
    """Two groups of ranks: each sees its own global batch (data parallel within a mesh)."""
    if rank.world < 4:
        return {}
    halves = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    half = rank.number // 2
    case = LOSSES["macro"]
    batch = batch_of(case, rank)
    parts = [slice(0, 17), slice(17, 37)]
    part = own(batch, parts[half])
    rows = Rank(rank.number % 2, 2, rank.folder).rows(len(part["input"]), "uneven")
    value, whole = gradient(rank.loss("macro"), part)
    found = gradient(rank.loss("macro", process_group=halves[half]), own(part, rows))
    return {
        "value": apart(found[0], value),
        "gradient": apart(found[1] / 2, whole[rows], whole),
    }


@program
def given_counts(rank: Rank) -> dict[str, float]:
    """Counts of micro-batches, added up and all-reduced by hand: no communication in the loss."""
    errors = {}
    for name in ("f1", "composite", "macro", "labels"):
        case = LOSSES[name]
        batch, rows = batch_of(case, rank), rank.rows(case.size, "uneven")
        mine = own(batch, rows)
        value, whole = gradient(rank.loss(name), batch)
        loss = rank.loss(name, process_group="world")
        half = len(mine["input"]) // 2
        micro = [own(mine, slice(0, half)), own(mine, slice(half, None))]
        total = sum(loss.counts(m["input"], m["target"]) for m in micro)
        assert isinstance(total, Tensor)
        dist.all_reduce(total)
        found = [gradient(loss, m, counts=total) for m in micro]
        errors[f"{name}, value"] = max(apart(v, value) for v, _ in found)
        g = torch.cat([g for _, g in found])
        errors[f"{name}, gradient"] = apart(g / rank.world, whole[rows], whole)
    return errors


@program
def running_counts(rank: Rank) -> dict[str, float]:
    """Three steps at a running mean, which is the same on every rank and in one process."""
    errors = {}
    for name in ("f1", "macro"):
        case = LOSSES[name]
        module, rows = rank.module(case), rank.rows(case.size, "uneven")
        counts, alone = module.Counts(0.8), module.Counts(0.8)
        loss, one = module.CaseLoss(process_group="world"), module.CaseLoss()
        batch = batch_of(case, rank)
        for step in range(3):
            batch["input"] = batch["input"].roll(step, 0)
            value, whole = gradient(one, batch, counts=alone)
            found, mine = gradient(loss, own(batch, rows), counts=counts)
            errors[f"{name}, value {step}"] = apart(found, value)
            errors[f"{name}, {step}"] = apart(mine / rank.world, whole[rows], whole)
        errors[f"{name}, state"] = apart(counts.total, alone.total)
    return errors


SLOW = {"compiled by torch"}


def network(outputs: int = 1) -> nn.Module:
    """A small model, the same on every rank."""
    torch.manual_seed(7)
    last: list[nn.Module] = [nn.Flatten(0)] if outputs == 1 else []
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, outputs), *last).double()


def table(outputs: int, size: int = 41) -> tuple[Tensor, Tensor]:
    """Features and labels."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    if outputs > 1:
        return x, torch.randint(0, outputs, (size,), generator=generator)
    return x, (torch.rand(size, generator=generator) < 0.3).double()


def gradients(model: nn.Module) -> Tensor:
    found = [p.grad for p in model.parameters()]
    whole = [g.full_tensor() if hasattr(g, "full_tensor") else g for g in found if g is not None]
    assert len(whole) == len(found)
    return torch.cat([g.reshape(-1) for g in whole])


def of_the_whole(rank: Rank, name: str, outputs: int) -> Tensor:
    """The parameters' gradients of one process on the global batch."""
    model, (x, y) = network(outputs), table(outputs)
    rank.loss(name)(model(x), y).backward()
    return gradients(model)


DATA_PARALLEL = {"f1": 1, "composite": 1, "macro": CLASSES}  # the losses and the model's outputs


@program
def distributed_data_parallel(rank: Rank) -> dict[str, float]:
    errors = {}
    for name, outputs in DATA_PARALLEL.items():
        x, y = table(outputs)
        wanted = of_the_whole(rank, name, outputs)
        for split in ("even", "uneven", "empty"):
            rows = rank.rows(len(x), split)
            model = nn.parallel.DistributedDataParallel(network(outputs))
            rank.loss(name, process_group="world")(model(x[rows]), y[rows]).backward()
            errors[f"{name}, {split}"] = apart(gradients(model), wanted)
        # What the group is for: without it the ranks' own losses are averaged.
        model = nn.parallel.DistributedDataParallel(network(outputs))
        rows = rank.rows(len(x), "uneven")
        rank.loss(name)(model(x[rows]), y[rows]).backward()
        assert apart(gradients(model), wanted) > 1e-3
    return errors


@program
def gradient_accumulation(rank: Rank) -> dict[str, float]:
    """Two passes over uneven micro-batches, a different number on each rank, and no_sync."""
    errors = {}
    for name, outputs in DATA_PARALLEL.items():
        x, y = table(outputs)
        wanted = of_the_whole(rank, name, outputs)
        rows = rank.rows(len(x), "uneven")
        model = nn.parallel.DistributedDataParallel(network(outputs))
        loss = rank.loss(name, process_group="world")
        micro = [*zip(x[rows].split(4), y[rows].split(4), strict=True)]
        with torch.no_grad():
            total = sum(loss.counts(model.module(a), b) for a, b in micro)
        assert isinstance(total, Tensor)
        dist.all_reduce(total)
        with model.no_sync():
            for a, b in micro[:-1]:
                loss(model(a), b, counts=total).backward()
        a, b = micro[-1]
        loss(model(a), b, counts=total).backward()
        errors[name] = apart(gradients(model), wanted)
    return errors


@program
def fully_sharded(rank: Rank) -> dict[str, float]:
    """FSDP2, plain and with gradient accumulation."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (rank.world,))
    errors = {}
    for name, outputs in DATA_PARALLEL.items():
        x, y = table(outputs)
        wanted = of_the_whole(rank, name, outputs)
        loss = rank.loss(name, process_group=mesh.get_group())
        for split in ("even", "uneven", "empty"):
            model = network(outputs)
            for layer in (model[0], model[2]):  # type: ignore[index]
                fully_shard(layer, mesh=mesh)
            fully_shard(model, mesh=mesh)
            rows = rank.rows(len(x), split)
            loss(model(x[rows]), y[rows]).backward()
            errors[f"{name}, {split}"] = apart(gradients(model), wanted)
        model = network(outputs)
        fully_shard(model, mesh=mesh)
        rows = rank.rows(len(x), "even")
        # Every forward gathers parameters: the ranks need equally many micro-batches.
        micro = [*zip(x[rows].chunk(3), y[rows].chunk(3), strict=True)]
        with torch.no_grad():
            total = sum(loss.counts(model(a), b) for a, b in micro)
        assert isinstance(total, Tensor)
        dist.all_reduce(total)
        for k, (a, b) in enumerate(micro):
            model.set_requires_gradient_sync(k == len(micro) - 1)
            loss(model(a), b, counts=total).backward()
        errors[f"{name}, accumulated"] = apart(gradients(model), wanted)
    return errors


def work(number: int, world: int, folder: str, name: str) -> None:
    """The program of that name on one rank, or all that is quick; what it finds lies in a file."""
    torch.set_num_threads(1)
    rank = Rank(number, world, Path(folder))
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store{world}",
        rank=number,
        world_size=world,
        timeout=timedelta(seconds=30),
    )
    found: dict[str, dict[str, Any]] = {}
    store = dist.FileStore(f"{folder}/steps{world}", world)
    store.set_timeout(timedelta(seconds=60))
    everything: dict[str, Callable[[], dict[str, float]]] = {
        name: lambda case=case: run_case(case, rank)  # type: ignore[misc]
        for name, case in CASES.items()
    }
    everything |= {n: lambda f=f: f(rank) for n, f in PROGRAMS.items()}  # type: ignore[misc]
    chosen = {name} if name else everything.keys() - SLOW
    everything = {n: call for n, call in everything.items() if n in chosen}
    for name, call in everything.items():
        begun = time.perf_counter()
        try:
            found[name] = {"errors": call()}
        except Exception:
            found[name] = {"raised": traceback.format_exc()}
        found[name]["seconds"] = time.perf_counter() - begun
        # A rank that failed alone has left the others in the middle of an exchange: stop there.
        store.set(f"{name}/{number}", "raised" if "raised" in found[name] else "ended")
        if len({store.get(f"{name}/{other}") for other in range(world)}) > 1:
            break
    path = rank.folder / f"found{world}-{number}.json"
    path.with_suffix(".part").write_text(json.dumps(found))
    path.with_suffix(".part").rename(path)
    # Gloo may abort a rank whose peer has gone: all stay until `spawned` has what it needs.
    time.sleep(LIMIT)


# -- the tests ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated files of all cases."""
    import metricc
    from metricc.build import build

    place = tmp_path_factory.mktemp("ranks")
    for case in [*CASES.values(), *LOSSES.values()]:
        path = place / f"{case.key()}.py"
        if not path.exists():
            m = metricc.compile(case.formula, task=case.task, name="case", **case.compile)
            path.write_text(m.source, encoding="utf-8")
    built = place / "built" / f"{LOSSES['f1'].key()}.py"
    built.parent.mkdir()
    built.write_bytes((place / built.name).read_bytes())
    with contextlib.suppress(metricc.MetriccError):  # no compiler
        build(built)
    return place


def spawned(world: int, folder: Path, slow: str = "") -> list[dict[str, Any]]:
    """What every rank found: in all that is quick, or in one slow program."""
    from torch import multiprocessing

    context = multiprocessing.start_processes(
        work, (world, str(folder), slow), nprocs=world, join=False, start_method="spawn"
    )
    assert context is not None
    paths = [folder / f"found{world}-{number}.json" for number in range(world)]
    try:
        end = time.monotonic() + LIMIT
        while not all(path.exists() for path in paths):
            assert time.monotonic() < end, "the ranks wait for each other"
            context.join(timeout=0.1)  # raises what a rank raised
    finally:
        for process in context.processes:
            process.kill()
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="module")
def two(folder: Path) -> list[dict[str, Any]]:
    return spawned(2, folder)


@pytest.fixture(scope="module")
def four(folder: Path) -> list[dict[str, Any]]:
    return spawned(4, folder)


def check(found: list[dict[str, Any]], name: str) -> None:
    tolerance = CASES[name].tolerance if name in CASES else TOLERANCE
    for number, rank in enumerate(found):
        assert name in rank, f"rank {number} stopped before it"
        assert "raised" not in rank[name], f"rank {number}:\n{rank[name]['raised']}"
        for what, error in rank[name]["errors"].items():
            assert error <= tolerance, f"rank {number}, {what}: {error:.2g}"


@pytest.mark.parametrize("name", [n for n in (*CASES, *PROGRAMS) if n not in SLOW])
def test_two_ranks(two: list[dict[str, Any]], name: str) -> None:
    check(two, name)


@pytest.mark.parametrize("name", [n for n in (*CASES, *PROGRAMS) if n not in SLOW])
def test_four_ranks(four: list[dict[str, Any]], name: str) -> None:
    check(four, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_two_ranks_slowly(folder: Path, tmp_path: Path, name: str) -> None:
    for file in folder.glob("case_*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    check(spawned(2, tmp_path, name), name)


@pytest.mark.parametrize(("group", "says"), [("world", "init_process_group"), ("wrold", "init")])
def test_without_a_process_group_it_is_refused(folder: Path, group: Any, says: str) -> None:
    loss = Rank(0, 1, folder).loss("f1", process_group=group)
    with pytest.raises(ValueError, match=says):
        loss(torch.zeros(3), torch.ones(3))
