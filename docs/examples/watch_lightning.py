"""Lightning: the epoch's true metric in the log, in early stopping and in the best checkpoint.

pip install -c constraints.txt '.[recipes]' && python docs/examples/watch_lightning.py
"""

from __future__ import annotations

import tempfile
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, TensorDataset

import metricc

F1 = metricc.compile("f1")


class Model(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(30, 1), torch.nn.Flatten(0))
        self.loss = F1.loss()
        self.watch = F1.monitor(self.loss, name="train")
        self.valid = F1.monitor(self.loss, name="valid")

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        x, y = batch
        logits = self.net(x)
        self.watch.update(logits, y)
        return self.loss(logits, y)

    def on_train_epoch_end(self) -> None:
        self.log_dict(self.watch.compute(sync=True))
        self.watch.reset()

    def validation_step(self, batch: Any, index: int) -> None:
        x, y = batch
        self.valid.update(self.net(x), y)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.valid.compute(sync=True))
        self.valid.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def loader(x: Any, y: Any, shuffle: bool = False) -> DataLoader[Any]:
    data = TensorDataset(torch.tensor(x).float(), torch.tensor(y).float())
    return DataLoader(data, batch_size=32, shuffle=shuffle)


def main(epochs: int = 5) -> dict[str, float]:
    """The last epoch's numbers, as Lightning logged them."""
    lightning.seed_everything(0, verbose=False)
    x, y = load_breast_cancer(return_X_y=True)
    x, valid_x, y, valid_y = train_test_split(x, y, stratify=y, random_state=0)
    scaler = StandardScaler().fit(x)
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, monitor="valid/hard", mode="max")
        trainer = lightning.Trainer(
            accelerator="cpu",
            callbacks=[best, EarlyStopping("valid/soft", mode="max")],
            max_epochs=epochs,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        held_out = loader(scaler.transform(valid_x), valid_y)
        trainer.fit(Model(), loader(scaler.transform(x), y, shuffle=True), held_out)
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        print(f"best valid/hard {best.best_model_score:.3f}")
    print({name: round(value, 3) for name, value in found.items()})
    return found


if __name__ == "__main__":
    main()
