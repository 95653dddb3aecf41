"""skorch: a metricc loss as the criterion, the monitor's numbers in the history, a scorer.

pip install -c constraints.txt '.[recipes]' && python docs/examples/watch_skorch.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetBinaryClassifier
from skorch.callbacks import Callback

import metricc

F1 = metricc.compile("f1")


class Watch(Callback):
    """The numbers of the validation rows, in `net.history`."""

    def __init__(self, metric: Any) -> None:
        self.metric = metric

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.watch = self.metric.monitor(net.criterion_, name="valid")

    def on_batch_end(self, net: Any, batch: Any, training: bool, **given: Any) -> None:
        if not training:
            self.watch.update(given["y_pred"], batch[1])

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        for name, value in self.watch.compute().items():
            net.history.record(name, value)


class Net(torch.nn.Module):
    def __init__(self, features: int = 30) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(features, 1), torch.nn.Flatten(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def probabilities(z: torch.Tensor) -> torch.Tensor:
    """What skorch does by itself for BCEWithLogitsLoss alone."""
    return torch.stack([torch.sigmoid(-z), torch.sigmoid(z)], dim=1)


def network(epochs: int = 5) -> Any:
    return NeuralNetBinaryClassifier(
        Net,
        criterion=type(F1.loss()),
        criterion__L=10.0,
        predict_nonlinearity=probabilities,
        optimizer=torch.optim.Adam,
        lr=0.01,
        batch_size=32,
        max_epochs=epochs,
        callbacks=[("watch", Watch(F1))],
        callbacks__print_log=None,
        verbose=0,
    )


def main(epochs: int = 5) -> dict[str, float]:
    """The last epoch's numbers, and F1 over folds by `F1.scorer()`."""
    torch.manual_seed(0)
    x, y = load_breast_cancer(return_X_y=True)
    x, y = x.astype(np.float32), y.astype(np.float32)
    net = network(epochs).fit(StandardScaler().fit_transform(x), y)
    found = {name: value for name, value in net.history[-1].items() if name.startswith("valid/")}
    model = make_pipeline(StandardScaler(), network(epochs))
    scores = cross_val_score(model, x, y, cv=3, scoring=F1.scorer())
    found["folds"] = float(scores.mean())
    print({name: round(value, 3) for name, value in found.items()})
    return found


if __name__ == "__main__":
    main()
