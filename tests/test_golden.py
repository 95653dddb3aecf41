"""Golden generated files: reviewed like code, and executed against formulas written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metricc
from metricc.load import load_file

GOLDEN = Path(__file__).parent / "golden"
Counts = tuple[float, float, float, float]


def f1(tp: float, fn: float, fp: float, tn: float) -> float:
    return 2 * tp / (2 * tp + fn + fp)


def f_beta(tp: float, fn: float, fp: float, tn: float) -> float:
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    return 5 * precision * recall / (4 * precision + recall)


def mcc(tp: float, fn: float, fp: float, tn: float) -> float:
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / np.sqrt(margins))


def gmean(tp: float, fn: float, fp: float, tn: float) -> float:
    return float(np.sqrt(tp / (tp + fn) * tn / (tn + fp)))


def tversky(tp: float, fn: float, fp: float, tn: float) -> float:
    return tp / (tp + 0.25 * fp + 0.75 * fn)


def negative_log(tp: float, fn: float, fp: float, tn: float) -> float:
    return float(-np.log(2 * tp / (2 * tp + fn + fp)))


# name → (formula, options, constructor arguments, the metric by hand, whether it is minimized)
CASES: dict[str, tuple[str, dict[str, Any], dict[str, float], Callable[..., float], bool]] = {
    "f1": ("2*TP / (2*TP + FP + FN)", {}, {}, f1, False),
    "fbeta": ("fbeta", {"surrogate": "soft"}, {"beta": 2.0}, f_beta, False),
    "mcc": ("mcc", {}, {}, mcc, False),
    "gmean": ("gmean", {"surrogate": "soft", "from_probabilities": True}, {}, gmean, False),
    "tversky": (
        "tversky",
        {"from_probabilities": True},
        {"alpha": 0.25, "beta": 0.75},
        tversky,
        False,
    ),
    "log_f1": ("# the log-likelihood of F1\n-log(f1)", {}, {}, negative_log, True),
}


# Losses of several tables: name → (formula, options).
CLASS_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "macro_f1": ("f1", {"task": "multiclass"}),
    "rk": ("multiclass_mcc", {"task": "multiclass"}),
    "bce_dice": ("0.5*bce + 0.5*(1 - f1)", {"task": "multilabel", "per": "sample"}),
    "worst_recall": ("worst(recall)", {"task": "multilabel", "surrogate": "p^2*(3 - 2*p)"}),
}

# A loss that reads columns; test_columns.py has it by hand.
COLUMN_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cost": ("0.5*bce + 0.5*(FN[amount] + 5*FP)/(P[amount] + 5*N)", {}),
}


@pytest.mark.parametrize("name", [*CASES, *CLASS_CASES, *COLUMN_CASES])
def test_source_is_the_golden_file(name: str, update_golden: bool) -> None:
    formula, options, *_ = (CASES | CLASS_CASES | COLUMN_CASES)[name]
    source = metricc.compile(formula, name=name, **options).source
    path = GOLDEN / f"{name}_loss.py"
    if update_golden:
        path.write_text(source, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == source, (
        "run pytest --update-golden and read the diff"
    )


@pytest.mark.parametrize("name", CASES)
def test_golden_file_is_right(name: str) -> None:
    """Loss and gradient by hand: NumPy, and central differences of it."""
    _, options, arguments, metric, minimized = CASES[name]
    module = load_file(GOLDEN / f"{name}_loss.py", f"golden_{name}")
    loss = getattr(module, "".join(p.capitalize() for p in name.split("_")) + "Loss")(**arguments)
    generator = np.random.default_rng(0)
    probabilities = options.get("from_probabilities", False)
    z = generator.uniform(0.05, 0.95, 40) if probabilities else generator.normal(size=40)
    y = (generator.random(40) < 0.3).astype(float)
    v = generator.choice([0.5, 1.0, 2.0], 40)

    def by_hand(x: np.ndarray) -> float:
        p = x if probabilities else 1 / (1 + np.exp(-x))
        a = p if options.get("surrogate") == "soft" else 1 / (1 + np.exp(-10 * (p - 0.5)))
        terms = (v * y * a, v * y * (1 - a), v * (1 - y) * a, v * (1 - y) * (1 - a))
        value = metric(*(t.sum() for t in terms))
        return value if minimized else 1 - value

    leaf = torch.tensor(z, requires_grad=True)
    out = loss(leaf, torch.tensor(y), torch.tensor(v))
    out.backward()
    assert leaf.grad is not None
    assert out.item() == pytest.approx(by_hand(z), rel=1e-13)
    step = 1e-6
    for i in range(0, 40, 3):
        shift = step * np.eye(40)[i]
        slope = (by_hand(z + shift) - by_hand(z - shift)) / (2 * step)
        assert leaf.grad[i].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def soft_tables(z: np.ndarray, y: np.ndarray, name: str) -> np.ndarray:
    """(TP, FN, FP, TN) of every class and sample, of shape (samples, classes, 4)."""
    if CLASS_CASES[name][1]["task"] == "multiclass":
        a = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    else:
        p = 1 / (1 + np.exp(-z))
        a = p**2 * (3 - 2 * p) if name == "worst_recall" else 1 / (1 + np.exp(-10 * (p - 0.5)))
    parts = (y * a, y * (1 - a), (1 - y) * a, (1 - y) * (1 - a))
    return np.stack([part.sum(2) for part in parts], -1)


def class_loss(z: np.ndarray, y: np.ndarray, name: str) -> float:
    tables = soft_tables(z, y, name)
    tp, fn, fp, _ = np.moveaxis(tables if name == "bce_dice" else tables.sum(0), -1, 0)
    if name == "worst_recall":
        return float(1 - (tp / (tp + fn)).min())
    if name == "macro_f1":
        return float(1 - (2 * tp / (2 * tp + fn + fp)).mean())
    if name == "rk":
        t, p, s = tp + fn, tp + fp, (tp + fn).sum()
        return float(1 - (tp.sum() * s - (t * p).sum()) / np.sqrt((s**2 - p @ p) * (s**2 - t @ t)))
    bce = (np.log1p(np.exp(z)) - y * z).mean((1, 2))
    return float((0.5 * bce + 0.5 * (1 - (2 * tp / (2 * tp + fn + fp)).mean(1))).mean())


@pytest.mark.parametrize("name", CLASS_CASES)
def test_golden_class_file_is_right(name: str) -> None:
    module = load_file(GOLDEN / f"{name}_loss.py", f"golden_{name}")
    loss = getattr(module, "".join(p.capitalize() for p in name.split("_")) + "Loss")()
    generator = np.random.default_rng(1)
    z = generator.normal(size=(5, 3, 8))
    if CLASS_CASES[name][1]["task"] == "multiclass":
        indices = generator.integers(0, 3, (5, 8))
        y = np.moveaxis(np.eye(3)[indices], -1, 1)
        target = torch.tensor(indices)
    else:
        y = (generator.random((5, 3, 8)) < 0.5).astype(float)
        y[..., 0], y[..., 1] = 0, 1
        target = torch.tensor(y)
    leaf = torch.tensor(z, requires_grad=True)
    out = loss(leaf, target)
    out.backward()
    assert leaf.grad is not None
    assert out.item() == pytest.approx(class_loss(z, y, name), rel=1e-12)
    step = 1e-6
    for place in list(np.ndindex(*z.shape))[::11]:
        shift = np.zeros_like(z)
        shift[place] = step
        slope = (class_loss(z + shift, y, name) - class_loss(z - shift, y, name)) / (2 * step)
        assert leaf.grad[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)
