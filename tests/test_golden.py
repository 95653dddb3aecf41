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


@pytest.mark.parametrize("name", CASES)
def test_source_is_the_golden_file(name: str, update_golden: bool) -> None:
    formula, options, *_ = CASES[name]
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
