"""A step with all of them: micro-batches, checkpointing, mixed precision, a scaled loss, clipping.

    python docs/examples/scale_torch.py

Two passes over micro-batches: the counts of all without gradients, then a backward for each at
those counts. The blocks of the network are recomputed in backward (torch.utils.checkpoint), it has
dropout, matrix products are in bfloat16 (torch.autocast), GradScaler scales the loss and skips
steps that overflow, and the gradient of the whole batch is clipped once it is complete.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import metricc

BATCH, MICRO = 128, 32


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (30, 64, 64)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.GELU(), nn.Dropout(0.1)) for a, b in pairwise(widths)
        )
        self.head = nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False)  # the random state is kept for it
        return self.head(x).squeeze(1)


def step(
    model: nn.Module,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    x: Tensor,
    y: Tensor,
) -> Tensor:
    """One optimizer step on a batch; its loss."""
    micro = [*zip(x.split(MICRO), y.split(MICRO), strict=True)]
    half = torch.autocast(x.device.type, torch.bfloat16)
    with torch.random.fork_rng(), torch.no_grad(), half:  # both passes draw the same dropout
        total = sum(loss.counts(model(a), b) for a, b in micro)
    optimizer.zero_grad()
    for a, b in micro:
        with half:
            value = loss(model(a), b, counts=total)
        scaler.scale(value).backward()  # gradients add up
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    return value.detach()


def main(epochs: int = 10) -> list[float]:
    """The mean loss of each epoch."""
    torch.manual_seed(0)
    features, labels = load_breast_cancer(return_X_y=True)
    x = torch.tensor(StandardScaler().fit_transform(features)).float()
    y = torch.tensor(1 - labels).float()  # 1: malignant
    model, loss = Network(), metricc.loss("f1")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    means = []
    for _ in range(epochs):
        batches = torch.randperm(len(x)).split(BATCH)
        losses = [step(model, loss, optimizer, scaler, x[rows], y[rows]) for rows in batches]
        means.append(torch.stack(losses).mean().item())
    print(f"1 - F1 by epoch: {' '.join(f'{mean:.3f}' for mean in means)}")
    return means


if __name__ == "__main__":
    main()
