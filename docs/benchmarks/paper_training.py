"""The paper's two models, trained for many columns (losses) and groups (parts of sets) at once.

Shapes: K columns, G groups, m rows of a group, d features. Every column of every group is a model
of its own: nothing is shared but the rows, the first weights and the order of the batches of a
group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from paper_losses import FIRST, Column, Gradients
from torch import Tensor
from torch.nn import functional

HIDDEN = 2
EPSILON, MOMENTUM = 1e-3, 0.01  # of BatchNorm: Keras's, whose momentum is one less torch's
BETAS, TINY = (0.9, 0.999), 1e-7  # of Adam: Keras's
Watch = Callable[
    [int, Tensor, "Model"], None
]  # the step, logits (K, G, rows) of its rows, the model


@dataclass
class Rows:
    """The training rows of every group: x (G, m, d) scaled, y (G, m).

    Smaller groups end in rows of zeros, those with fewer features in columns of zeros. A group's
    first weights and batches are drawn by its seed.
    """

    x: Tensor
    y: Tensor
    sizes: list[int]
    features: list[int]
    seeds: list[int]

    @property
    def weight(self) -> Tensor | None:
        """0 for the rows that only fill up; None where all groups are as large."""
        if min(self.sizes) == self.y.shape[1]:
            return None
        places = torch.arange(self.y.shape[1])
        return (places < torch.tensor(self.sizes)[:, None]).to(self.y)

    @property
    def pos_weight(self) -> Tensor:
        positives = self.y.sum(1)
        return (torch.tensor(self.sizes).to(positives) - positives) / positives


class Model(Protocol):
    def scores(self, x: Tensor) -> Tensor:
        """The logits (K, G, rows) of x (G, rows, d), in evaluation."""
        ...


class Slp:
    """A single-layer perceptron: z = w x + b, from zeros as in the paper's code."""

    def __init__(self, rows: Rows, width: int) -> None:
        groups, _, features = rows.x.shape
        self.theta = torch.zeros(groups, width, features + 1, dtype=rows.x.dtype)

    @staticmethod
    def extended(x: Tensor) -> Tensor:
        """x with a column of ones, for the bias."""
        return torch.cat((x, torch.ones_like(x[..., :1])), -1)

    def scores(self, x: Tensor) -> Tensor:
        return self._scores(self.extended(x).transpose(1, 2))

    def _scores(self, across: Tensor) -> Tensor:
        return torch.bmm(self.theta, across).transpose(0, 1).contiguous()

    def train(
        self,
        rows: Rows,
        columns: list[Column],
        rates: Tensor,
        steps: int,
        watch: Watch | None = None,
    ) -> None:
        """Gradient descent on all rows at once, at the rates (G, K)."""
        gradients = Gradients(columns, rows.pos_weight)
        x, weight = self.extended(rows.x), rows.weight
        across = x.transpose(1, 2).contiguous()
        for step in range(steps):
            z = self._scores(across)
            if watch is not None:
                watch(step, z, self)
            slope = gradients(z, rows.y, weight, early=step < FIRST * steps)
            self.theta -= rates[..., None] * torch.bmm(slope.transpose(0, 1), x)


class Mlp:
    """Dense(2), BatchNorm, sigmoid, Dense(1), by Adam; its output is a logit.

    The first layer starts from He's normal numbers, the second from Glorot's uniform ones, as in
    the paper's code; a group's models start from the same. The bias of the first layer, which
    BatchNorm takes away again, is left out.
    """

    def __init__(self, rows: Rows, width: int) -> None:
        most, dtype = rows.x.shape[2], rows.x.dtype
        self.parts = [HIDDEN * most, HIDDEN, HIDDEN, HIDDEN, 1]
        first = []
        for seed, features in zip(rows.seeds, rows.features, strict=True):
            draw = torch.Generator().manual_seed(seed)
            dense = torch.zeros(HIDDEN, most)
            normal = torch.randn(HIDDEN, features, generator=draw)
            dense[:, :features] = normal * math.sqrt(2 / features)
            limit = math.sqrt(6 / (HIDDEN + 1))
            out = (2 * torch.rand(HIDDEN, generator=draw) - 1) * limit
            gamma, zero = torch.ones(HIDDEN), torch.zeros(HIDDEN)
            first.append(torch.cat((dense.reshape(-1), gamma, zero, out, torch.zeros(1))))
        self.theta = torch.stack(first)[:, None].repeat(1, width, 1).to(dtype)
        self.mean = torch.zeros(len(first) * width * HIDDEN, dtype=dtype)
        self.variance = torch.ones_like(self.mean)

    def forward(self, theta: Tensor, x: Tensor, training: bool) -> Tensor:
        """The logits (K, G, rows) of x (G, rows, d)."""
        groups, width, _ = theta.shape
        dense, gamma, beta, out, bias = theta.split(self.parts, 2)  # type: ignore[no-untyped-call]
        h = torch.bmm(dense.reshape(groups, width * HIDDEN, -1), x.transpose(1, 2))
        h = functional.batch_norm(
            h.reshape(1, -1, x.shape[1]),
            self.mean,
            self.variance,
            gamma.reshape(-1),
            beta.reshape(-1),
            training,
            MOMENTUM,
            EPSILON,
        )
        h = torch.sigmoid(h).reshape(groups, width, HIDDEN, -1)
        z = out[:, :, :1] * h[:, :, 0] + out[:, :, 1:] * h[:, :, 1] + bias
        runs: Tensor = z.transpose(0, 1)
        return runs.contiguous()

    def scores(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.forward(self.theta, x, training=False)

    def train(
        self,
        rows: Rows,
        columns: list[Column],
        rates: Tensor,
        steps: int,
        batch: int,
        watch: Watch | None = None,
    ) -> None:
        """Adam on batches of `batch` rows, at the rates (G, K).

        An epoch leaves out the rows that fill no batch.
        """
        gradients, rates = Gradients(columns, rows.pos_weight), rates[..., None]
        mean, square = torch.zeros_like(self.theta), torch.zeros_like(self.theta)
        group = torch.arange(len(rows.sizes))[:, None]
        theta = self.theta.requires_grad_()
        for step, taken in enumerate(batches(rows, batch, steps)):
            z = self.forward(theta, rows.x[group, taken], training=True)
            if watch is not None:
                watch(step, z.detach(), self)
            slope = gradients(z, rows.y[group, taken], None, early=step < FIRST * steps)
            (g,) = torch.autograd.grad(z, theta, slope)
            with torch.no_grad():
                mean.lerp_(g, 1 - BETAS[0])
                square.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
                size = (square / (1 - BETAS[1] ** (step + 1))).sqrt_().add_(TINY)
                theta.sub_(mean.div(size).mul_(rates / (1 - BETAS[0] ** (step + 1))))
        self.theta = theta.detach()


def batches(rows: Rows, batch: int, steps: int) -> Iterator[Tensor]:
    """The rows (G, batch) of each step: every group goes through its own rows in a new order."""
    draws = [np.random.default_rng(seed) for seed in rows.seeds]
    orders = [draw.permutation(size) for draw, size in zip(draws, rows.sizes, strict=True)]
    at = [0] * len(orders)
    for _ in range(steps):
        taken = np.empty((len(orders), batch), dtype=np.int64)
        for g, size in enumerate(rows.sizes):
            if at[g] + batch > size:
                orders[g], at[g] = draws[g].permutation(size), 0
            taken[g] = orders[g][at[g] : at[g] + batch]
            at[g] += batch
        yield torch.from_numpy(taken)
