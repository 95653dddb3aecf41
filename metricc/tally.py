"""What a batch of logits adds to an epoch's sums: counts, hard and soft, and how many are reached.

The counts are those of generated code. Soft counts are the loss's own; hard ones are those of the
same file with the surrogate `soft`, which is given decisions (0 or 1) as probabilities: so masks,
weights and ignored labels mean the same to both, and are refused alike.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metricc import ir, surrogates
from metricc.emit.torch import render
from metricc.errors import fail
from metricc.functions import CELLS
from metricc.load import load
from metricc.ranges import look
from metricc.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

REACHED = 0.01  # of the surrogate's steepest slope
_PIECE = 65_536  # elements that a CPU works on at a time: they stay in its cache
_GRID = 20_001  # points among which the steepest slope is looked for


class Tally:
    """One loss and its metric: what it counts of a batch.

    It pickles where the loss does not: the loss is then made anew with the same settings.
    """

    def __init__(self, metric: Any, loss: Any) -> None:
        self.metric, self.loss = metric, unwrapped(loss)
        _check(metric, self.loss)

    def __getstate__(self) -> dict[str, Any]:
        return {"metric": self.metric, "settings": dict(vars(self.loss))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.metric = state["metric"]
        kind = getattr(self.metric.module(), f"{self.metric.options.pascal}Loss")
        self.loss = kind.__new__(kind)
        vars(self.loss).update(state["settings"])

    def soft(self, input: Tensor, target: Tensor, **given: Any) -> Tensor:
        """The loss's counts, float64: (cells,) or (cells, C), element losses' sums last.

        On a CPU labels outside [0, 1] and weights below 0 are refused where they count.
        """
        if not hasattr(input, "detach"):
            raise ValueError(f"input must be a tensor, not {type(input).__name__}")
        look(input, target, given, self.loss.ignore_index)
        return self._finite(self.loss.counts(input, target, **given))

    def hard(self, decided: Tensor, target: Tensor, **given: Any) -> Tensor:
        """The counts of decisions, float64: (cells,) or (cells, C); labels are not smoothed."""
        return self._of_answers(decided.to(_wide(decided)), target, **given)

    def reached(
        self, input: Tensor, hard: Tensor, target: Tensor, **given: Any
    ) -> tuple[Tensor, Tensor]:
        """How many elements feel the gradient, and how many count at all: () or (C,) each.

        `hard` are the batch's hard counts. In a softmax a sample is reached where one of its
        classes is: two numbers that all classes share. Weights count as 1, and as 0 where they
        are 0.
        """
        steep = self.slope(input) > REACHED * self.steepest
        if self.metric.options.task == "multiclass":
            steep = steep.any(1, keepdim=True).expand_as(steep)
        answers = steep.to(self._working(input).dtype)
        every = hard
        if (weight := given.get("weight")) is not None:
            given = {**given, "weight": (weight > 0).to(weight.dtype)}
            every = self._of_answers(0 * answers, target, **given)
        felt = self._of_answers(answers, target, **given)
        return felt[0] + felt[2], every[: len(CELLS)].sum(0)

    def decided(self, input: Tensor) -> Tensor:
        """Decisions, 0 or 1, in the shape of the input: above the surrogate's threshold.

        In multiclass the largest is decided for. A surrogate without one threshold decides where
        A(p) is above 1/2.
        """
        import torch

        z = self._working(input)
        if self.metric.options.task == "multiclass":
            one = z.argmax(1, keepdim=True)
            return torch.zeros_like(z).scatter_(1, one, 1)
        surrogate = self.metric.surrogate
        if surrogate.curve is not None or surrogate.averaged:
            a, b, _ = self._curve(z)
            return (a > b).to(z.dtype)
        p = z if self.metric.options.from_probabilities else z.sigmoid()
        cut = self._argument(surrogate.centre) if surrogate.centre else 0.5
        return (p > cut).to(z.dtype)

    def slope(self, input: Tensor) -> Tensor:
        """|dA/dz| of every element (|dA/dp| from probabilities), up to a factor."""
        import torch

        z = self._working(input)
        if self.metric.options.task == "multiclass":
            if self.metric.options.from_probabilities:
                return self._curve(z)[2].abs()
            p = z.softmax(1)
            return (self._curve(p)[2] * p * (1 - p)).abs()
        pieces = torch.split(z.reshape(-1), _PIECE) if z.device.type == "cpu" else (z,)
        found = [self._curve(piece)[2].abs() for piece in pieces]
        return (torch.cat(found) if len(found) > 1 else found[0]).reshape(z.shape)

    @property
    def steepest(self) -> float:
        """The largest slope over all inputs, at the loss's present arguments."""
        arguments = tuple(self._argument(name) for name in self.metric.surrogate.defaults)
        if arguments not in self._steepest:
            self._steepest[arguments] = self._largest()
        return self._steepest[arguments]

    @cached_property
    def _steepest(self) -> dict[tuple[Any, ...], float]:
        return {}

    def _largest(self) -> float:
        import torch

        p = torch.linspace(0, 1, _GRID, dtype=torch.float64)
        if self._in_p:
            slope = self._curve(p)[2]
            given = self.metric.options.from_probabilities
            return float((slope if given else slope * p * (1 - p)).abs().max())
        # Even in p near the middle, even in z far out: narrow slopes are met by one of them.
        z = torch.cat([p[1:-1].logit(), torch.linspace(-60, 60, _GRID, dtype=torch.float64)])
        return float(self._curve(z)[2].abs().max())

    @property
    def _in_p(self) -> bool:
        options = self.metric.options
        return options.task == "multiclass" or bool(options.from_probabilities)

    def _curve(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A, 1 - A and the slope, as the generated file has them."""
        import torch

        soft = getattr(self.module, "_soft", None)
        if soft is None:  # of a softmax, A(p) = p
            return z, 1 - z, torch.ones_like(z)
        arguments = {name: self._argument(name) for name in self.metric.surrogate.defaults}
        given = (z, 1 - z) if self.metric.options.task == "multiclass" else (z,)
        a, b, slope = soft(*given, **arguments)
        return a, b, slope

    def _of_answers(self, answers: Tensor, target: Tensor, **given: Any) -> Tensor:
        counts: Tensor = self._judge.counts(answers, target, **given)
        return counts[: len(self.metric.plan.metric.cells)]

    @cached_property
    def _judge(self) -> Any:
        """The loss that counts decisions: probabilities that are 0 or 1."""
        metric = self.metric
        options = replace(metric.options, surrogate="soft", from_probabilities=True)
        row = surrogates.SURROGATES["soft"]
        text = render(metric.plan, metric.findings, options, row, __version__)
        kind = getattr(load(text, options.name), f"{options.pascal}Loss")
        unset = {p.name: 0.5 for p in metric.plan.metric.parameters if p.default is None}
        return kind(ignore_index=self.loss.ignore_index, **unset)

    def _working(self, input: Tensor) -> Tensor:
        import torch

        return input.detach().to(torch.float64 if input.dtype == torch.float64 else torch.float32)

    @staticmethod
    def _finite(counts: Tensor) -> Tensor:
        # On other devices a look at the values would wait for them: compute() looks instead.
        if counts.device.type == "cpu" and not counts.isfinite().all():
            raise not_finite()
        return counts

    def absent(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Of a batch's hard counts: which tables are absent (1), and the share of absent ones.

        (C,) and (); without classes () and (). Sums over classes look at one table, which is
        absent where at most one class has positives; `micro` looks at the sum of all.
        """
        import torch

        tables = counts[: len(CELLS)].double() if counts.device.type != "mps" else counts
        if not self.metric.plan.metric.single:
            share = self.share(counts)
            share = None if share is None else share.to(tables)
        positives, negatives = tables[0] + tables[1], tables[2] + tables[3]
        each = ((positives == 0) | (negatives == 0)).to(tables.dtype)
        if self.metric.plan.metric.single:
            return each, each
        levels = self.metric.plan.levels
        weight = torch.ones_like(each) if share is None else (share > 0).to(each)
        if {"class", "weighted"} & set(levels):
            return each, (each * weight).sum() / weight.sum()
        if "joint" in levels:
            few = ((positives > 0) * weight).sum() <= 1
        else:
            few = ((positives * weight).sum() == 0) | ((negatives * weight).sum() == 0)
        return each, few.to(each)

    def share(self, counts: Tensor) -> Tensor | None:
        """How often each class counts in averages, as in the loss; None where all count once."""
        import torch

        loss = self.loss
        if counts.dim() == 1 or not hasattr(loss, "class_weight"):
            return None
        like = torch.empty(1, counts.shape[1])
        settings = (loss.class_weight, loss.classes, loss.exclude_background)
        found: Tensor | None = self.module._shares(like, *settings)
        return found

    @property
    def parameters(self) -> dict[str, float]:
        """The metric's parameters, as the loss has them."""
        parameters = self.metric.plan.metric.parameters
        return {p.name: float(getattr(self.loss, p.name)) for p in parameters}

    def _argument(self, name: str) -> Any:
        return getattr(self.loss, name)

    @property
    def module(self) -> Any:
        """The generated file that the loss is from."""
        return sys.modules[type(self.loss).__module__]


def unwrapped(loss: Any) -> Any:
    """The loss itself where `torch.compile` was put around it."""
    return getattr(loss, "_orig_mod", loss)


def not_finite() -> ValueError:
    return ValueError("input is NaN where it counts: mask out (mask=) what has no prediction")


def _wide(input: Tensor) -> Any:
    import torch

    return torch.float32 if input.device.type == "mps" else torch.float64


def _check(metric: Any, loss: Any) -> None:
    """Raise `MetriccError` unless `loss` is a loss of `metric` that has counts."""
    if metric.plan.metric.by_sample or metric.options.per == "sample":
        fact = f"{metric.name} has a table for each sample: an epoch has no counts of its own"
        hint = 'leave per="sample" and samples(...) out, or average the loss over samples'
        raise fail("MC0501", fact, hint)
    module = sys.modules.get(type(loss).__module__)
    record = getattr(module, "METRICC", None)
    if not isinstance(record, dict) or not hasattr(loss, "counts"):
        fact = f"{type(loss).__name__} is no loss that this metricc generates"
        raise fail("MC0501", fact, "pass m.loss(...), or the loss of a file compiled anew")
    wanted: ir.Options = metric.options
    options = record.get("options", {})
    same = ("task", "per", "surrogate", "from_probabilities", "goal")
    differs = [name for name in same if options.get(name) != getattr(wanted, name)]
    if record.get("formula") != metric.plan.metric.formula or differs:
        fact = f"{type(loss).__name__} was compiled from another formula than {metric.name}"
        if differs:
            name = differs[0]
            fact = f"{type(loss).__name__} has {name} {options.get(name)!r}"
            fact += f", and {metric.name} {getattr(wanted, name)!r}"
        raise fail("MC0501", fact, "watch the metric that the loss was compiled from")
