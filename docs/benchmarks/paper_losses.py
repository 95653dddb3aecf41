"""The losses of the paper re-run, for many runs at once.

A *column* is one training run of every group of rows: a loss, a target metric. A metric's loss is
the file that metricc generates from `per_class(metric)` in the task "multilabel", taken with
reduction="sum" of inputs (1, runs, rows): there every class is a run, its table and its loss are
its own, and the gradient of the sum is each run's own gradient (tests/test_paper.py holds it
against the binary loss, run by run). The plain losses are torch's, or written here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import torch
from paper_scores import TARGETS
from torch import Tensor, nn
from torch.nn import functional

import metricc

ANYLOSS = 73.0  # the paper's L
DEFAULT = 10.0  # metricc's
FIRST = 0.2  # the share of the steps that "then" spends on BCE
HALF = 0.5  # the share of BCE in "mixed"
SKIP = ", skip"  # ends the names of the default's variants without a rule for absent classes
GAMMA = 2.0  # of the focal loss
Rule = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """A way to train.

    `kind` is "linear", "brier", "bce", "weighted", "focal", "metric", "then" or "mixed".
    """

    name: str
    kind: str
    surrogate: str = ""
    L: float = 0.0
    absent: str = "diagonal"

    @property
    def aims(self) -> bool:
        """Whether it is made of the target metric."""
        return self.kind in ("metric", "then", "mixed")


# "MSE" is the paper's: of the output itself, against -1 and 1, cut at 0. Brier's is that of
# probabilities. In a batch without positives the published F-beta loss has no gradient (and
# G-mean's is 0/0): that is what "skip" says here of AnyLoss and of SOL. The others have metricc's
# default.
LOSSES = {
    loss.name: loss
    for loss in (
        Loss("MSE", "linear"),
        Loss("Brier", "brier"),
        Loss("BCE", "bce"),
        Loss("weighted BCE", "weighted"),
        Loss("focal", "focal"),
        Loss("SOL", "metric", "score_oriented(cosine)", absent="skip"),
        Loss("soft", "metric", "soft"),
        Loss("AnyLoss", "metric", "amplified", ANYLOSS, "skip"),
        Loss("metricc", "metric", "amplified", DEFAULT),
        Loss("BCE, then metricc", "then", "amplified", DEFAULT),
        Loss("BCE + metricc", "mixed", "amplified", DEFAULT),
        Loss("metricc" + SKIP, "metric", "amplified", DEFAULT, "skip"),
        Loss("BCE, then metricc" + SKIP, "then", "amplified", DEFAULT, "skip"),
    )
}


@dataclass(frozen=True)
class Column:
    """One run of every group: a loss, its target (None of plain losses), and which of several."""

    loss: Loss
    target: str | None
    slot: int

    @property
    def call(self) -> tuple[str, str, float, str]:
        """Columns with one call are trained by one call of one generated loss.

        Accuracy is never singular: it needs no policy for batches without positives.
        """
        absent = "diagonal" if self.target == "accuracy" else self.loss.absent
        return (self.target or "", self.loss.surrogate, self.loss.L, absent)


def columns(losses: Sequence[Loss], targets: Sequence[str], plain: int, aimed: int) -> list[Column]:
    """All runs of a group, those of one call side by side: so many slots of each loss."""
    order = {"then": 0, "metric": 1, "mixed": 2}
    found = [
        Column(loss, target, slot)
        for loss in losses
        for target in (targets if loss.aims else (None,))
        for slot in range(aimed if loss.aims else plain)
    ]
    return sorted(
        found, key=lambda c: (c.loss.aims, c.call, order.get(c.loss.kind, 0), c.loss.name)
    )


@cache
def generated(target: str, surrogate: str, L: float, absent: str) -> nn.Module:
    """The loss of many binary runs: every class is one. Its C kernel where a compiler is present.

    In a sum of classes "skip" would act as "diagonal" where all are absent; "zero" has the gradient
    that a lone binary table has under "skip": none.
    """
    absent = "zero" if absent == "skip" else absent
    m = compiled(target, surrogate)
    options = {"L": L} if L else {}
    loss: nn.Module = m.loss(reduction="sum", absent=absent, **options)
    return loss


@cache
def compiled(target: str, surrogate: str) -> metricc.CompiledMetric:
    m = metricc.compile(f"per_class({target})", name=target, task="multilabel", surrogate=surrogate)
    with suppress(metricc.MetriccError):  # no C compiler, or not covered: torch's operations
        m.build()
    return m


def bce_rows(z: Tensor, y: Tensor, share: Tensor, positive: Tensor) -> Tensor:
    """The sum over the rows of z of each row's mean BCE."""
    total: Tensor = functional.binary_cross_entropy_with_logits(
        z, y, share, reduction="sum", pos_weight=positive
    )
    return total


def linear_rows(z: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Half the squared error of the outputs, whose gradient the paper's code takes."""
    return 0.5 * (share * (z - (2 * y - 1)).square()).sum()


def brier_rows(z: Tensor, y: Tensor, share: Tensor) -> Tensor:
    return (share * (torch.sigmoid(z) - y).square()).sum()


def focal_rows(z: Tensor, y: Tensor, share: Tensor) -> Tensor:
    wrong = torch.sigmoid(torch.where(y > 0.5, -z, z))
    cross = functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    return (share * wrong**GAMMA * cross).sum()


@dataclass
class Gradients:
    """d loss/dz of all columns of all groups: the sum over runs of each run's own loss.

    `pos_weight` (groups,) is negatives over positives of each group's training rows.
    """

    columns: list[Column]
    pos_weight: Tensor

    def __post_init__(self) -> None:
        self.calls: dict[tuple[str, str, float, str], list[int]] = {}
        for k, column in enumerate(self.columns):
            if column.loss.aims:
                self.calls.setdefault(column.call, []).append(k)
        kinds = [c.loss.kind for c in self.columns]
        self.of = {kind: [k for k, x in enumerate(kinds) if x == kind] for kind in set(kinds)}
        groups, width = len(self.pos_weight), len(self.columns)
        self.positive = torch.ones(width, groups, 1).to(self.pos_weight)
        for k in self.of.get("weighted", []):
            self.positive[k, :, 0] = self.pos_weight

    def __call__(self, z: Tensor, y: Tensor, weight: Tensor | None, early: bool) -> Tensor:
        """z (columns, groups, rows), y (groups, rows), weight 0 for rows that fill up; -> as z.

        `early`: the steps that "then" spends on BCE.
        """
        with torch.enable_grad():
            return self._gradient(z.detach(), y, weight, early)

    def _gradient(self, z: Tensor, y: Tensor, weight: Tensor | None, early: bool) -> Tensor:
        out = torch.zeros_like(z)
        groups, rows = y.shape
        share = torch.full_like(y, 1 / rows) if weight is None else weight / weight.sum(1, True)
        most = max((len(ks) for ks in self.calls.values()), default=0)
        labels = y.repeat(most, 1)[None]
        weights = None if weight is None else weight.repeat(most, 1)[None]
        for call, ks in self.calls.items():
            first, last = ks[0], ks[-1] + 1
            if early:
                first += sum(self.columns[k].loss.kind == "then" for k in ks)
            if first == last:
                continue
            count = (last - first) * groups
            loss = generated(*call)
            part = z[first:last].reshape(1, count, rows).requires_grad_()
            v = None if weights is None else weights[:, :count]
            (slope,) = torch.autograd.grad(loss(part, labels[:, :count], weight=v), part)
            out[first:last] = slope.reshape(last - first, groups, rows)
        for k in self.of.get("mixed", []):
            out[k] *= 1 - HALF
        cross = [*self.of.get("bce", []), *self.of.get("weighted", []), *self.of.get("mixed", [])]
        cross += self.of.get("then", []) if early else []
        halves = torch.tensor(
            [HALF if self.columns[k].loss.kind == "mixed" else 1.0 for k in cross]
        )
        rules: tuple[tuple[list[int], Rule], ...] = (
            (cross, lambda p, s: bce_rows(p, y.expand_as(p), s, self.positive[cross])),
            (self.of.get("linear", []), lambda p, s: linear_rows(p, y, s)),
            (self.of.get("brier", []), lambda p, s: brier_rows(p, y, s)),
            (self.of.get("focal", []), lambda p, s: focal_rows(p, y.expand_as(p), s)),
        )
        for ks, rule in rules:
            if not ks:
                continue
            part = z[ks].requires_grad_()
            each = share * halves.to(share)[:, None, None] if ks is cross else share
            (slope,) = torch.autograd.grad(rule(part, each.expand_as(part)), part)
            out[ks] += slope
        return out


def single(loss: Loss, target: str | None, pos_weight: float = 1.0) -> tuple[Rule, Rule]:
    """The loss of one run in two phases, of logits and labels (rows,): for tests and timings.

    The second phase is the loss proper; only "then" has another first one, which is BCE. The
    metric's is the generated binary loss.
    """

    def bce(z: Tensor, y: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(z, y)

    if loss.kind == "bce":
        return bce, bce
    if loss.kind == "weighted":
        factor = torch.tensor(pos_weight)

        def weighted(z: Tensor, y: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(z, y, pos_weight=factor.to(z))

        return weighted, weighted
    if not loss.aims:
        rows = {"linear": linear_rows, "brier": brier_rows, "focal": focal_rows}[loss.kind]

        def plain(z: Tensor, y: Tensor) -> Tensor:
            return rows(z, y, torch.full_like(z, 1 / len(z)))

        return plain, plain
    assert target in TARGETS
    formula = f"{HALF}*bce + {1 - HALF}*(1 - {target})" if loss.kind == "mixed" else target
    absent = "diagonal" if target == "accuracy" else loss.absent
    made = one(formula, loss.surrogate)(absent=absent, **({"L": loss.L} if loss.L else {}))
    return (bce, made) if loss.kind == "then" else (made, made)


@cache
def one(formula: str, surrogate: str) -> Callable[..., nn.Module]:
    made: Callable[..., nn.Module] = metricc.compile(formula, surrogate=surrogate).loss
    return made


def built(target: str) -> nn.Module:
    """The default with its kernel and node compiled, under a name (a file) of its own.

    Raises metricc.MetriccError without a C compiler.
    """
    m = metricc.compile(target, name=f"built_{target}")
    m.build(node=True)
    loss: nn.Module = m.loss()
    return loss
