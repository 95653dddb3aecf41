"""`Monitor`: the true metric of an epoch, and what training on it does, as plain numbers to log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metricc import worth
from metricc.errors import fail
from metricc.tally import Tally, not_finite

if TYPE_CHECKING:
    from torch import Tensor

# What is summed over batches, in float64: each is a tensor that adds over batches and workers.
SUMS = ("soft", "hard", "absent", "singular", "reached", "counted", "batches")


@dataclass
class Monitor:
    """Counts of everything that `update` has seen since `reset`; `compute` gives numbers to log.

    Made by `CompiledMetric.monitor`. It keeps sums alone, so the metric is that of the epoch and
    not a mean of batches' metrics. It pickles, and `state_dict` is for checkpoints.
    """

    tally: Tally
    name: str
    zero_division: Any = 0
    per_class: bool = True
    sums: dict[str, Tensor] | None = None

    def reset(self) -> None:
        """Forget everything that was seen."""
        self.sums = None

    def update(
        self,
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
        **columns: Tensor,
    ) -> None:
        """Count a batch: the arguments are those of the loss, and nothing gets a gradient.

        `input` are logits (probabilities where the loss takes them), `target` labels; `columns`
        are the metric's named weights. Raises `ValueError` where the loss would, and, on a CPU,
        where what counts has an input that is NaN, a label outside [0, 1] or a weight below 0.
        A batch in which nothing counts (empty, masked out, weights of 0) leaves no trace.
        """
        import torch

        given: dict[str, Any] = {"weight": weight, "mask": mask, **columns}
        with torch.no_grad():
            soft = self.tally.soft(input, target, **given)
            hard = self.tally.hard(self.tally.decided(input), target, **given)
            absent, singular = self.tally.absent(hard)
            reached, counted = self.tally.reached(input, hard, target, **given)
            seen = (counted.sum() > 0).to(singular)  # no look at the number: devices would wait
            batch = soft, hard, seen * absent, seen * singular, reached, counted, seen
            self._add(dict(zip(SUMS, batch, strict=True)))

    def _add(self, batch: Mapping[str, Tensor]) -> None:
        if self.sums is None:
            self.sums = dict(batch)
            return
        if self.sums["soft"].shape != batch["soft"].shape:
            sizes = [sums["soft"].shape[-1] for sums in (self.sums, batch)]
            raise ValueError(f"input has {sizes[1]} classes, and had {sizes[0]}: reset() first")
        self.sums = {name: self.sums[name].to(batch[name]) + batch[name] for name in SUMS}

    def compute(self, sync: bool = False) -> dict[str, float]:
        """What was seen since `reset`, as plain floats.

        `NAME/hard` is the metric of the decisions, `NAME/soft` 1 - loss at the summed soft counts;
        `NAME/singular` the share of batches in which the metric is absent (no positives or no
        negatives; with classes, of batches times classes), `NAME/reach` the share of samples at
        which the surrogate's slope is above 1 % of its steepest; `NAME/w_plus` and `NAME/w_minus`
        the weights of the gradient and `NAME/threshold` their w_minus/(w_plus + w_minus), NaN where
        both are 0. With classes there is a number for each beside, or instead: NAME/w_plus/0. A
        metric of columns has NAME/w_plus_amount and no threshold, which each sample has of its own;
        one of element losses has no hard metric.

        `sync` adds the sums of all processes of torch.distributed first: call it on all of them.
        Raises `MetriccError` where nothing was seen that counts.
        """
        sums = self._synced() if sync else self.sums
        if sums is None or not sums["batches"]:
            raise fail("MC0506", f"{self.name} has seen nothing", "call update(...) first")
        if not sums["soft"].isfinite().all():
            raise not_finite()
        sums = {name: x.cpu().double() for name, x in sums.items()}
        return {f"{self.name}/{key}": value for key, value in self._numbers(sums)}

    def _numbers(self, sums: dict[str, Tensor]) -> Iterator[tuple[str, float]]:
        if not self.tally.metric.plan.metric.elements:
            yield from _flat("hard", worth.hard(self.tally, sums["hard"], self.zero_division))
        yield from _flat("soft", worth.soft(self.tally, sums["soft"]))
        weights = worth.weights(self.tally, sums["soft"])
        batches = sums["batches"].item()
        classes = sums["soft"].dim() > 1
        yield "singular", sums["singular"].item() / batches
        share = sums["reached"].sum() / sums["counted"].sum()
        yield "reach", share.item()
        if classes and not self.per_class:
            return
        if classes:
            yield from _flat("singular", (sums["absent"] / batches).numpy())
            if self.tally.metric.options.task != "multiclass":  # there all classes share it
                yield from _flat("reach", (sums["reached"] / sums["counted"]).numpy())
        for key, value in weights.items():
            yield from _flat(key, value)

    def _synced(self) -> dict[str, Tensor] | None:
        """The sums of all processes; one that has seen nothing adds zeros."""
        import torch
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return self.sums
        device = torch.device("cpu")
        if distributed.get_backend() == "nccl":
            device = torch.device("cuda", torch.cuda.current_device())
        own = {} if self.sums is None else self.sums
        size = torch.zeros(2, dtype=torch.long, device=device)
        if own:  # rows and columns, which are the same wherever there is something
            shape = own["soft"].shape
            size = torch.tensor([shape[0], *shape[1:], 0][:2], device=device)
        distributed.all_reduce(size, distributed.ReduceOp.MAX)
        rows, classes = size.tolist()
        if rows == 0:
            return None
        wide = (classes,) if classes else ()
        cells = len(self.tally.metric.plan.metric.cells)
        shapes = {"soft": (rows, *wide), "hard": (cells, *wide)}
        shapes |= dict.fromkeys(("absent", "reached", "counted"), wide)
        found = {}
        for name in SUMS:
            empty = torch.zeros(shapes.get(name, ()), dtype=torch.float64)
            found[name] = own.get(name, empty).to(device, copy=True).contiguous()
            distributed.all_reduce(found[name])
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint in the middle of an epoch; empty where nothing was seen."""
        return {} if self.sums is None else {n: x.clone() for n, x in self.sums.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the sums of `state_dict`. Raises `MetriccError` for anything else."""
        if state and set(state) != set(SUMS):
            found = ", ".join(map(str, state))
            raise fail("MC0506", f"these are no sums of a monitor: {found}", "pass state_dict()")
        width = len(self.tally.metric.plan.metric.cells)
        if state and len(state["hard"]) != width:
            fact = f"the sums have {len(state['hard'])} cells, and {self.name} {width}"
            raise fail("MC0506", fact, "load the state of a monitor of the same metric")
        self.sums = {n: state[n].clone() for n in SUMS} if state else None


def _flat(key: str, value: Any) -> Iterator[tuple[str, float]]:
    """One number under the key, an array's numbers under key/0, key/1, ..."""
    if getattr(value, "ndim", 0) == 0:
        yield key, float(value)
        return
    for k, x in enumerate(value):
        yield f"{key}/{k}", float(x)
