"""Search for inputs that make a loss or a gradient infinite or NaN.

    python docs/benchmarks/nasty.py                     # 100,000 batches
    python docs/benchmarks/nasty.py --batches 5000      # fewer of each loss
    python docs/benchmarks/nasty.py --table             # the tables of what is in the results file
    python docs/benchmarks/nasty.py --replay KEY        # one batch, printed: KEY is in the failures

Some hundreds of losses (metrics, tasks, surrogates, logits and probabilities) each get as many
random batches that are valid and meant to be nasty. A failure is a loss or an element of a gradient
that is not finite, a gradient other than 0 where a mask, `ignore_index` or a weight of 0 takes an
element out, or an exception. Failures make the exit code 1. Each block of batches that ends adds
one JSON line to the results file, and is not repeated by a later call unless the code of its loss
has changed. A batch is drawn from its key alone.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

import metricc

BLOCK = 100  # batches
KEPT = 3  # failures of a block that are written out
SHOWN = 10  # failures that are printed

COMMON = [
    *"""f1 mcc gmean cohen_kappa jaccard balanced_accuracy fbeta p4 fowlkes_mallows precision recall
    specificity accuracy markedness youden_j yule_q log_odds_ratio
    diagnostic_odds_ratio""".split(),
    *("tversky(0.3, 0.7)", "-log(f1)", "macro(f1)*macro(gmean)", "weighted(f1)", "micro(mcc)"),
    *("worst(recall)", "geomean(recall)", "samples(f1)", "sqrt(macro(TPR)*macro(TNR))"),
    *("worst(f1) + macro(mcc)", "max(0, 0.9 - precision) + 1 - recall"),
    *("if TPR < 1/2 then f1 else mcc", "0.5*focal + 0.5*(1 - f1)", "focal(5) - log(f1)"),
    "0.3*focal(gamma=1/2) + 0.7*(1 - mcc)",
]
OWN = {
    "binary": ["0.5*bce + 0.5*(1 - f1)", "bce - log(gmean)"],
    "multilabel": ["0.5*bce + 0.5*(1 - f1)", "bce - log(gmean)", "per_class(f1)", "per_class(mcc)"],
    "multiclass": [
        *("0.5*ce + 0.5*(1 - f1)", "ce - log(gmean)", "per_class(f1)", "per_class(mcc)"),
        *(
            "multiclass_mcc",
            "multiclass_kappa",
            "multiclass_accuracy",
            "ce + 1 - multiclass_accuracy",
        ),
    ],
}
HARD = ["straight_through", "straight_through(amplified, L=5)"]
SURROGATES = [
    *("amplified", "soft", "score_oriented(uniform)", "score_oriented(cosine)", "heaviside"),
    *("amplified(L=73)", *HARD, "1/(1 + exp(-L*(p - 0.5)))", "p^2/(p^2 + (1 - p)^2)"),
    *("amplified(thresholds=[0.1, 0.5, 0.9])", "score_oriented(cosine, mus=[0.2, 0.6])"),
    *("s(k = 3 in [1, inf)) = p^k", "sqrt(p)"),
]
OF_LOGITS = ["1/(1 + exp(-3*z))", "(1 + z/(1 + abs(z)))/2"]  # refused where there are none

# What is drawn for an argument of a constructor, where it is not left out.
ARGUMENTS: dict[str, list[Any]] = {
    "beta": [0.5, 2.0, 1e-3, 1e3],
    "L": [1e-3, 10.0, 73.0, 1e3, 1e5],
    "threshold": [1e-3, 0.3, 0.999],
    "thresholds": [(0.5,), (1e-3, 0.999), (0.2, 0.4, 0.6)],
    "mu": [1e-3, 0.3, 0.999],
    "mus": [(0.5,), (1e-3, 0.999)],
    "delta": [1e-3, 0.1, 0.49],
    "k": [1.01, 2.5, 50.0],
    "smooth": [1e-30, 1e-3, 1.0, 1e6],
    "label_smoothing": [1e-6, 0.1, 0.5, 1.0],
    "absent": ["diagonal", "skip", "zero"],
    "reduction": ["mean", "sum", "none"],
}
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
EDGES = (0.5, 5.0, 17.0, 38.0, 88.0, 90.0, 104.0, 710.0, 746.0)  # where exponentials run out


@dataclass(frozen=True)
class Case:
    """One loss: what is compiled."""

    task: str
    formula: str
    per: str
    surrogate: str
    probabilities: bool

    @property
    def name(self) -> str:
        kind = "probabilities" if self.probabilities else "logits"
        return f"{self.task} | {self.formula} | {self.per} | {self.surrogate} | {kind}"

    @property
    def elementary(self) -> bool:
        """Whether the loss grows with the logits."""
        return any(word in self.formula for word in ("bce", "ce +", "*ce", "ce -", "focal"))

    @cached_property
    def source(self) -> str:
        return self._compiled.source

    @cached_property
    def _compiled(self) -> Any:
        return metricc.compile(
            self.formula,
            task=self.task,
            per=self.per,
            surrogate=self.surrogate,
            from_probabilities=self.probabilities,
        )

    @cached_property
    def module(self) -> Callable[..., torch.nn.Module]:
        """The class of the loss, imported once."""
        return type(self._compiled.loss())

    @cached_property
    def arguments(self) -> list[str]:
        """The constructor's keywords."""
        return [name for name in inspect.signature(self.module).parameters if name != "self"]


def cases() -> list[Case]:
    """Every metric per batch and per sample, the surrogates in turn; then f1 with every one."""
    found = []
    for task, own in OWN.items():
        turn = cycle(SURROGATES)
        joint = cycle(["soft", *HARD])
        for i, formula in enumerate([*COMMON, *own]):
            for j, per in enumerate(("batch", "sample")):
                if per == "batch" or not formula.startswith("samples"):
                    surrogate = next(joint if "multiclass_" in formula else turn)
                    found.append(Case(task, formula, per, surrogate, (i + j) % 3 == 0))
        for surrogate in [*SURROGATES, *(OF_LOGITS if task == "binary" else [])]:
            for per in ("batch", "sample"):
                for probabilities in (False, True):
                    if surrogate not in OF_LOGITS or not probabilities:
                        found.append(Case(task, "f1", per, surrogate, probabilities))
    return list(dict.fromkeys(found))


@dataclass
class Batch:
    """One call. `out` is True for the inputs that count nothing; `traits` are for the table."""

    input: Tensor
    target: Tensor
    weight: Tensor | None = None
    mask: Tensor | None = None
    out: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    way: str = "once"
    traits: set[str] = field(default_factory=set)


class Draw:
    """The parts of one batch, from its key."""

    def __init__(self, case: Case, key: str) -> None:
        self.case = case
        self.rng = random.Random(key)
        self.generator = torch.Generator().manual_seed(self.rng.getrandbits(62))
        self.dtype = self.rng.choice(DTYPES)
        self.shape = self._shape()
        multiclass = case.task == "multiclass"
        self.places = (self.shape[0], *self.shape[2:]) if multiclass else self.shape
        self.traits: set[str] = {str(self.dtype).removeprefix("torch.")}

    def likely(self, share: float) -> bool:
        return self.rng.random() < share

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def chosen(self, values: tuple[float, ...], *shape: int) -> Tensor:
        """Each element one of the values."""
        index = torch.randint(len(values), shape, generator=self.generator)
        return torch.tensor(values, dtype=torch.float64)[index]

    def signs(self, *shape: int) -> Tensor:
        return self.chosen((-1.0, 1.0), *shape)

    def _shape(self) -> tuple[int, ...]:
        """(N,), (N, C), ... to (N, C, D, H, W); small, sometimes one element, sometimes none."""
        rng, binary = self.rng, self.case.task == "binary"
        dimensions = rng.randint(1 if binary else 2, 5)
        if self.likely(0.05):
            return (1,) * dimensions
        shape = [rng.randint(1, 6), *(rng.randint(1, 3) for _ in range(dimensions - 1))]
        if not binary:
            shape[1] = rng.choice([1, 2, 2, 3, 3, 4, 5])
            if dimensions == 2 and self.likely(0.03):
                shape[1] = 40
        if self.likely(0.03):
            shape[rng.choice([0, *range(2, dimensions)])] = 0
        together = self.case.per == "batch" and "samples" not in self.case.formula
        if binary and together and self.likely(0.02):
            return ()
        return tuple(shape)

    def batch(self) -> Batch:
        labels, y = self._labels()
        number = self._input(y)
        weight, weightless = self._weight()
        mask = self._taken_out("mask") if self.likely(0.4) else None
        mask = None if mask is None else ~mask
        options = self._options()
        ignored = self._ignore(labels, options)
        labels, ignored = ignored
        gone = ignored if mask is None else ignored | ~self._spread(mask)
        out = gone | weightless
        if self.likely(0.7) and bool(gone.any()):
            self.traits.add("NaN or inf underneath")
            number = self._over(number, self._wide(gone), (math.nan, math.inf, -math.inf))
            if labels.is_floating_point() and mask is not None:
                under = ~self._spread(mask)
                under = self._wide(under) if labels.shape == self.shape else under
                labels = torch.where(under, math.nan, labels)
        if out.numel() and bool(out.all()):
            self.traits.add("nothing counts")
        if len(y.flatten()) == 0:
            self.traits.add("empty")
        elif y.numel() == 1 or (
            self.case.task == "multiclass" and self.places.count(1) == len(self.places)
        ):
            self.traits.add("one element")
        number = number.to(self.dtype)
        if self.likely(0.15) and number.dim() > 1:
            order = range(number.dim() - 1, -1, -1)
            number = number.permute(*order).contiguous().permute(*order)
        scale = 65536.0 if self.likely(0.4) else 1.0
        if scale != 1:
            self.traits.add("loss scale 65536")
        way = self.rng.choices(["once", "again", "create_graph"], [7, 2, 1])[0]
        return Batch(
            number, labels, weight, mask, self._wide(out), options, scale, way, self.traits
        )

    def _labels(self) -> tuple[Tensor, Tensor]:
        """The target, and the labels of the input's shape."""
        soft = self.likely(0.25)
        if soft:
            self.traits.add("soft labels")
        if self.case.task != "multiclass":
            y = self._sides(soft)
            kinds = [self.dtype, torch.float32] + [torch.int64, torch.bool, torch.uint8] * (
                not soft
            )
            return y.to(self.rng.choice(kinds)), y
        classes = self.shape[1]
        kept = sorted(self.rng.sample(range(classes), self.rng.randint(1, classes)))
        if len(kept) < classes:
            self.traits.add("absent class")
        pick = torch.randint(len(kept), self.places, generator=self.generator)
        index = torch.tensor(kept)[pick]
        y = torch.nn.functional.one_hot(index, classes).double().movedim(-1, 1)
        if not soft:
            return index, y
        if self.likely(0.7):
            among = torch.tensor([0.0 if k in kept else -math.inf for k in range(classes)])
            scores = 3 * self.normal(*self.shape).movedim(1, -1) + among
            y = torch.softmax(scores, -1).movedim(-1, 1)
        y = y.to(self.rng.choice([self.dtype, torch.float32]))
        return y, y.double()

    def _sides(self, soft: bool) -> Tensor:
        """Labels of two sides: each class, sample or batch has its own share of positives."""
        along = self.rng.choice([0, 1]) if len(self.shape) > 1 else -1
        size = [n if i == along else 1 for i, n in enumerate(self.shape)]
        share = self.chosen((0.0, 0.0, 0.1, 0.5, 1.0), *size)
        y = (self.uniform(*self.shape) < share).double()
        hard = (share == 0) | (share == 1)
        if bool(hard.any()):
            self.traits.add("absent class")
        if soft:
            tiny = (5e-324, 1e-45, 1e-30, 1e-8, 0.0) if self.likely(0.3) else (0.0, 1.0, 0.2, 0.5)
            y = torch.where(self.uniform(*self.shape) < 0.7, self.chosen(tiny, *self.shape), y)
        return y.to(self.dtype).double()

    def _input(self, y: Tensor) -> Tensor:
        """Logits or probabilities."""
        kinds = ["plain", "plain", "saturated", "right", "wrong", "mixed", "level", "edge", "tiny"]
        kind = self.rng.choice([*kinds, *["largest"] * (not self.case.elementary)])
        if kind in ("saturated", "right", "wrong", "mixed", "largest"):
            self.traits.add("saturated")
        limit = self.rng.choice([6e4 if self.dtype == torch.float16 else 1e4, 50.0, 200.0])
        limit = torch.finfo(self.dtype).max if kind == "largest" else limit
        multiclass = self.case.task == "multiclass"
        right = 2 * y.round() - 1
        if multiclass:
            ones = torch.zeros_like(y)
            right = 2 * (ones.scatter(1, y.argmax(1, keepdim=True), 1) if y.numel() else ones) - 1
        signs = self.signs(*self.shape)
        if kind in ("right", "wrong"):
            signs = right if kind == "right" else -right
        elif self.likely(0.5):
            signs = torch.where(self.uniform(*self.shape) < 0.3, -right, right)
        tiny = torch.finfo(self.dtype)
        z = {
            "plain": 3 * self.normal(*self.shape),
            "mixed": torch.where(
                self.uniform(*self.shape) < 0.3, limit * signs, 3 * self.normal(*self.shape)
            ),
            "level": self.rng.choice([0.0, 1.0, -40.0, 200.0, -limit]) * torch.ones_like(y),
            "edge": self.chosen(EDGES, *self.shape) * signs,
            "tiny": self.chosen((0.0, tiny.tiny, tiny.smallest_normal / 2, 1e-8), *self.shape)
            * signs,
        }.get(kind, limit * signs)
        z = z.double()
        if not self.case.probabilities:
            return z.to(self.dtype).double()
        p = torch.softmax(z, 1) if multiclass else torch.sigmoid(z)
        if kind == "tiny" and not multiclass:  # probabilities next to 0 and next to 1
            near = self.chosen((0.0, tiny.tiny, tiny.smallest_normal / 2, tiny.eps), *self.shape)
            p = torch.where(signs > 0, 1 - near, near)
        return p.to(self.dtype).double().clamp(0, 1)

    def _spread(self, tensor: Tensor) -> Tensor:
        """A tensor per sample, position or element over all places."""
        if tensor.shape == self.places:
            return tensor
        if self.case.task == "multilabel" and tensor.dim() > 1:
            return tensor.unsqueeze(1).expand(self.shape)
        return tensor.reshape(-1, *[1] * (len(self.places) - 1)).expand(self.places)

    def _wide(self, tensor: Tensor) -> Tensor:
        """Over the classes of a multiclass input."""
        if self.case.task != "multiclass":
            return tensor
        return tensor.unsqueeze(1).expand(self.shape)

    def _extent(self) -> tuple[int, ...]:
        """The shape of a weight or mask."""
        choices = [self.places, self.places[:1] if self.places else ()]
        if self.case.task == "multilabel" and len(self.shape) > 2:
            choices.append((self.shape[0], *self.shape[2:]))
        return self.rng.choice(choices)

    def _taken_out(self, trait: str) -> Tensor:
        """True for what is left out: nothing, some, nearly everything or everything."""
        self.traits.add(trait)
        share = self.rng.choice([0.0, 0.3, 0.3, 0.9, 1.0])
        return self.uniform(*self._extent()) < share

    def _weight(self) -> tuple[Tensor | None, Tensor]:
        """Weights, and where they are 0."""
        nothing = torch.zeros(self.places, dtype=torch.bool)
        if self.likely(0.4):
            return None, nothing
        shape = self._extent()
        kind = self.rng.choice(["uniform", "zeros", "all zero", "huge", "huge", "wide", "whole"])
        if kind in ("zeros", "all zero"):
            self.traits.add("zero weights")
        if kind in ("huge", "wide"):
            self.traits.add("weights up to 1e6")
        values = {
            "uniform": self.uniform(*shape),
            "zeros": self.uniform(*shape) * self.chosen((0.0, 1.0), *shape),
            "all zero": torch.zeros(shape),
            "huge": self.chosen((1e6, 1e6, 1.0), *shape),
            "wide": self.chosen((1e6, 1e-6, 1e-30, 0.0), *shape),
            "whole": self.chosen((0.0, 1.0, 3.0), *shape),
        }[kind]
        dtype = self.rng.choice([torch.float64, torch.float32, self.dtype])
        dtype = torch.int64 if kind == "whole" and self.likely(0.3) else dtype
        values = values.clamp(max=6e4) if dtype == torch.float16 else values
        weight = values.to(dtype)
        working = torch.float64 if self.dtype == torch.float64 else torch.float32
        return weight, self._spread(weight.to(working) == 0)

    def _ignore(self, labels: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The target with ignored labels, and where they are."""
        nothing = torch.zeros(self.places, dtype=torch.bool)
        multiclass = self.case.task == "multiclass"
        if (
            self.likely(0.6)
            or labels.dtype == torch.bool
            or (multiclass and labels.is_floating_point())
        ):
            return labels, nothing
        if multiclass:
            value = self.rng.choice([-100, -100, 255, -1, 0])
        elif labels.is_floating_point():
            value = self.rng.choice([-1.0, 255.0, math.nan])
        else:
            value = 255 if labels.dtype == torch.uint8 else self.rng.choice([-1, -100, 255])
        if not multiclass or value != -100:
            options["ignore_index"] = value
        self.traits.add("ignore_index")
        share = self.rng.choice([0.0, 0.3, 0.9, 1.0])
        labels = torch.where(
            self.uniform(*self.places) < share, torch.tensor(value).to(labels), labels
        )
        return labels, labels.isnan() if value != value else labels == value

    def _over(self, number: Tensor, where: Tensor, values: tuple[float, ...]) -> Tensor:
        return torch.where(where, self.rng.choice(values), number)

    def _options(self) -> dict[str, Any]:
        """Constructor keywords."""
        found: dict[str, Any] = {}
        for name in self.case.arguments:
            often = 0.6 if name in ("absent", "reduction") else 0.25
            if name in ARGUMENTS and self.likely(often):
                found[name] = self.rng.choice(ARGUMENTS[name])
        for trait in ("smooth", "label_smoothing"):
            if trait in found:
                self.traits.add(trait)
        if "class_weight" not in self.case.arguments:
            return found
        classes = self.shape[1]
        if self.likely(0.3):
            kind = self.rng.choice([(0.0, 1.0), (0.5, 2.0), (0.0,), (1e6, 1e-6, 0.0)])
            found["class_weight"] = self.chosen(kind, classes).tolist()
            self.traits.add("class_weight")
        if self.likely(0.1):
            found["classes"] = self.rng.sample(range(classes), self.rng.randint(0, classes))
            self.traits.add("class_weight")
        if self.likely(0.15):
            found["exclude_background"] = True
            self.traits.add("class_weight")
        weights = found.get("class_weight", [1.0] * classes)
        listed = [
            k
            for k in found.get("classes", range(classes))
            if k or not found.get("exclude_background")
        ]
        if not any(weights[k] for k in listed):  # one class must count: it is refused else
            for name in ("class_weight", "classes", "exclude_background"):
                found.pop(name, None)
        return found


def gradients(batch: Batch, loss: Tensor) -> Iterator[Tensor]:
    """The gradient, by each way that is asked for."""
    scaled = (loss * batch.scale).sum()
    inside = (scaled, batch.input)
    if batch.way == "create_graph":
        yield torch.autograd.grad(*inside, create_graph=True)[0]
        return
    if batch.way == "again":
        yield torch.autograd.grad(*inside, retain_graph=True)[0]
    yield torch.autograd.grad(*inside)[0]


def judge(case: Case, batch: Batch) -> tuple[list[tuple[str, str]], int]:
    """What is wrong with a batch, as kinds with details, and how many elements were looked at."""
    found: list[tuple[str, str]] = []
    elements = 0
    batch.input.requires_grad_()
    try:
        loss = case.module(**batch.options)(batch.input, batch.target, batch.weight, batch.mask)
        if not bool(loss.isfinite().all()):
            found.append(("loss", f"{loss.detach().tolist()}"))
        for i, gradient in enumerate(gradients(batch, loss)):
            gradient = gradient.detach()
            elements += gradient.numel()
            wrong = ~gradient.isfinite()
            if bool(wrong.any()):
                found.append(("gradient", f"way {i}: {gradient.tolist()}"))
            if bool((gradient[batch.out] != 0).any()):
                found.append(("left out", f"way {i}: {gradient.tolist()}"))
    except Exception as error:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        found.append(("exception", f"{error!r} in {frames[-1]}"))
    return found, elements


def block(case: Case, seed: int, start: int, stop: int) -> dict[str, Any]:
    """The record of a block of batches."""
    began = time.perf_counter()
    counts: Counter[str] = Counter()
    traits: Counter[str] = Counter()
    failures = []
    for index in range(start, stop):
        key = f"{seed}: {case.name}: {index}"
        batch = Draw(case, key).batch()
        found, elements = judge(case, batch)
        traits.update(batch.traits)
        counts["elements"] += elements
        counts.update({kind for kind, _ in found})
        if found and len(failures) < KEPT:
            details = [f"{kind}: {detail[:300]}" for kind, detail in found]
            failures.append({"key": key, "traits": sorted(batch.traits), "details": details})
    return {
        **place(case, seed, start, stop),
        "case": asdict(case),
        "seconds": round(time.perf_counter() - began, 3),
        "counts": dict(counts),
        "traits": dict(traits),
        "failures": failures,
    }


def place(case: Case, seed: int, start: int, stop: int) -> dict[str, Any]:
    """What a record is of; the hash tells whether the loss is still the same."""
    code = hashlib.sha256(case.source.encode()).hexdigest()[:16]
    return {"loss": case.name, "code": code, "seed": seed, "start": start, "stop": stop}


def blocks(batches: int) -> list[tuple[Case, int, int]]:
    """All blocks, the first of every loss first."""
    every = cases()
    found = []
    for i, case in enumerate(every):
        size = batches // len(every) + (i < batches % len(every))
        found += [(case, j, min(size, j + BLOCK)) for j in range(0, size, BLOCK)]
    return sorted(found, key=lambda b: b[1])


def read(output: Path) -> dict[str, dict[str, Any]]:
    """The records of the results file by their places; a torn last line is left out."""
    records = {}
    for line in output.read_text(encoding="utf-8").splitlines() if output.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        names = ("loss", "code", "seed", "start", "stop")
        records[json.dumps([record[name] for name in names])] = record
    return records


KINDS = {
    "loss": "losses not finite",
    "gradient": "gradients not finite",
    "left out": "left out, yet not 0",
    "exception": "exceptions",
}


def report(records: list[dict[str, Any]]) -> int:
    """Print the tables and the first failures; the number of batches that fail."""
    lines = [["task", "per", "losses", "batches", "gradient elements", *KINDS.values()]]
    for task in (*OWN, "all"):
        for per in ("batch", "sample") if task != "all" else ("",):
            mine = [r for r in records if (r["case"]["task"], r["case"]["per"]) == (task, per)]
            mine = records if task == "all" else mine
            total: Counter[str] = Counter()
            for record in mine:
                total.update(record["counts"])
            numbers = [len({r["loss"] for r in mine}), sum(r["stop"] - r["start"] for r in mine)]
            numbers += [total["elements"], *(total[kind] for kind in KINDS)]
            lines.append([task, per, *(f"{n:,}" for n in numbers)])
    click.echo(markdown(lines, 2))
    traits: Counter[str] = Counter()
    for record in records:
        traits.update(record["traits"])
    shown = ", ".join(f"{trait} {count:,}" for trait, count in sorted(traits.items()))
    click.echo(f"\nBatches with: {shown}.")
    click.echo(f"\n{sum(r['seconds'] for r in records) / 60:.0f} minutes of one core.")
    failures = [failure for record in records for failure in record["failures"]]
    for failure in failures[:SHOWN]:
        click.echo(f"\n{failure['key']}\n  {', '.join(failure['traits'])}")
        click.echo("\n".join(f"  {detail}" for detail in failure["details"]))
    return sum(record["counts"].get(kind, 0) for record in records for kind in KINDS)


def markdown(rows: list[list[str]], words: int) -> str:
    """A table in Markdown; the first columns are words, the others numbers."""
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        [
            x.ljust(w) if i < words else x.rjust(w)
            for i, (x, w) in enumerate(zip(row, width, strict=True))
        ]
        for row in rows
    ]
    rule = ["-" * w if i < words else "-" * (w - 1) + ":" for i, w in enumerate(width)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def replay(key: str) -> bool:
    """Print one batch and what comes of it; whether it passes."""
    name = key.partition(": ")[2].rpartition(": ")[0]
    (case,) = (c for c in cases() if c.name == name)
    batch = Draw(case, key).batch()
    found, _ = judge(case, batch)
    for part in (case, batch, *found):
        click.echo(str(part))
    return not found


@click.command(context_settings={"show_default": True})
@click.option("--batches", default=100_000, type=click.IntRange(1), help="Batches of all losses.")
@click.option("--seed", default=0, help="Another seed draws other batches.")
@click.option("--table", is_flag=True, help="Run nothing; print what the results file holds.")
@click.option("--replay", "key", metavar="KEY", help="Only repeat one batch and print it.")
@click.option(
    "--output",
    default=Path("nasty.jsonl"),
    type=click.Path(path_type=Path, dir_okay=False),
    help="The results file: one JSON line per finished block.",
)
def main(batches: int, seed: int, table: bool, key: str | None, output: Path) -> None:
    """Call losses with nasty batches; exit with 1 if a loss or gradient is not finite."""
    torch.set_num_threads(1)
    if key is not None:
        raise SystemExit(0 if replay(key) else 1)
    done, console = read(output), Console(stderr=True)
    if table:
        newest = {(r["loss"], r["seed"], r["start"], r["stop"]): r for r in done.values()}
        raise SystemExit(1 if report(list(newest.values())) else 0)
    wanted = [
        (case, start, stop, json.dumps([*place(case, seed, start, stop).values()]))
        for case, start, stop in track(blocks(batches), "compiling", console=console)
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("a", encoding="utf-8") as file:
        for case, start, stop, where in track(wanted, "batches", console=console):
            if where not in done:
                done[where] = block(case, seed, start, stop)
                file.write(json.dumps(done[where]) + "\n")
                file.flush()
    raise SystemExit(1 if report([done[where] for *_, where in wanted]) else 0)


if __name__ == "__main__":
    main()
