"""A plain training loop that logs the epoch's true metric: breast cancer, the MCC loss.

python docs/examples/watch_torch.py
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import metricc


def main(epochs: int = 5) -> dict[str, float]:
    """The last epoch's numbers on the validation rows."""
    torch.manual_seed(0)
    x, y = load_breast_cancer(return_X_y=True)
    parts = train_test_split(x, y, stratify=y, random_state=0)
    scaler = StandardScaler().fit(parts[0])
    x, valid_x = (torch.tensor(scaler.transform(rows)).float() for rows in parts[:2])
    y, valid_y = (torch.tensor(labels).float() for labels in parts[2:])

    metric = metricc.compile("mcc")
    loss = metric.loss()
    watch = metric.monitor(loss, name="train")
    valid = metric.monitor(loss, name="valid")
    model = torch.nn.Sequential(torch.nn.Linear(30, 1), torch.nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    found: dict[str, float] = {}
    for epoch in range(epochs):
        watch.reset()
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            logits = model(x[rows])
            loss(logits, y[rows]).backward()
            optimizer.step()
            watch.update(logits, y[rows])
        valid.reset()
        valid.update(model(valid_x), valid_y)
        found = watch.compute() | valid.compute()
        shown = ("train/soft", "train/singular", "train/reach", "valid/hard", "valid/soft")
        print(epoch, *(f"{key} {found[key]:.3f}" for key in shown))
    return found


if __name__ == "__main__":
    main()
