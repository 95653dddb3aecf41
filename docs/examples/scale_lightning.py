"""Lightning: gradient accumulation that is exact, on one process or several.

    pip install -c constraints.txt '.[recipes]' && python docs/examples/scale_lightning.py
    torchrun --nproc-per-node 2 docs/examples/scale_lightning.py

`accumulate_grad_batches=k` averages the gradients of k small batches' own metrics, which is not
that of their metric. Exact is a batch that the loader gives whole and `training_step` cuts up,
under manual optimization: two passes, clipping and the step in one place. Both are run for one
step, and their gradients compared with the batch's in one piece. On several processes the loss has
`process_group="world"`, and the counts are all-reduced between the passes.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import lightning
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader, TensorDataset

import metricc

BATCH, MICRO = 128, 16
RANKS = int(os.environ.get("WORLD_SIZE", 1))  # torchrun sets it
F1 = metricc.compile("f1")


class Model(lightning.LightningModule):
    """One loss a batch, as automatic optimization has it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(30, 16), nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))
        self.loss = F1.loss(process_group="world" if RANKS > 1 else None)
        self.first: Tensor | None = None  # the gradient of the first step

    def training_step(self, batch: Any, index: int) -> Tensor | None:
        x, y = batch
        return self.loss(self.net(x), y)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.first is None:
            self.first = torch.cat([p.grad.flatten() for p in self.parameters()])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TwoPasses(Model):
    """The batch, or this rank's share of it, cut into micro-batches."""

    automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        x, y = batch
        micro = [*zip(x.split(MICRO), y.split(MICRO), strict=True)]
        with torch.random.fork_rng(), torch.no_grad():
            total = sum(self.loss.counts(self.net(a), b) for a, b in micro)
        if RANKS > 1:
            distributed.all_reduce(total)
        optimizer = self.optimizers()
        optimizer.zero_grad()
        for a, b in micro:
            value = self.loss(self.net(a), b, counts=total)
            self.manual_backward(value)
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimizer.step()
        self.log("loss", value)


def fit(model: Model, data: TensorDataset, batch: int, accumulate: int) -> Tensor:
    """The gradient of the one step of an epoch."""
    trainer = lightning.Trainer(
        accelerator="cpu",
        accumulate_grad_batches=accumulate,
        barebones=True,
        devices=RANKS,
        max_epochs=1,
        precision="64-true",
        strategy="ddp" if RANKS > 1 else "auto",
    )
    trainer.fit(model, DataLoader(data, batch_size=batch // RANKS))  # each rank its share
    assert model.first is not None
    return model.first


def main() -> dict[str, float]:
    """How far each gradient is from that of the batch in one piece, relative to its length."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    features, labels = load_breast_cancer(return_X_y=True)
    x = torch.tensor(StandardScaler().fit_transform(features))[:BATCH]
    y = torch.tensor(1 - labels)[:BATCH].double()
    whole = Model().double()
    F1.loss()(whole.net(x), y).backward()
    wanted = torch.cat([p.grad.flatten() for p in whole.parameters()])
    data = TensorDataset(x, y)
    gradients = {
        "accumulate_grad_batches": fit(Model(), data, MICRO, BATCH // MICRO),
        "two passes": fit(TwoPasses(), data, BATCH, 1),
    }
    found = {n: ((g - wanted).norm() / wanted.norm()).item() for n, g in gradients.items()}
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"accumulate_grad_batches: {found['accumulate_grad_batches']:.0%} off")
        print(f"two passes: {found['two passes']:.0e}")
    return found


if __name__ == "__main__":
    main()
