"""Labels → counts, in scikit-learn's words: y_true first, then y_pred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc.errors import MetriccError, fail

_THRESHOLD = "turn scores into labels first: y_pred = y_score >= threshold"
_ARGMAX = "turn scores into labels first: y_pred = y_score.argmax(axis=1)"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Given:
    """What `score` is called with."""

    y_true: Any
    y_pred: Any
    sample_weight: Any = None
    labels: Any = None
    pos_label: Any = 1


@dataclass(frozen=True)
class Tables:
    """TP, FN, FP, TN of shape (C,), or (n, C) for tables of samples; a binary task has one class.

    `sample_weight` (n,) is what each sample's table weighs; `names` are the classes.
    """

    cells: tuple[Array, ...]
    sample_weight: Array
    names: Sequence[Any]


def tables(given: Given, task: str, by_sample: bool = False, joint: bool = False) -> Tables:
    """The counts of labels.

    binary: labels of shape (n,), by sample (n, ...), of at most two kinds, of which `pos_label` is
    the positive one. multiclass: labels of shape (n, ...); the classes are `labels`, or all that
    occur. multilabel: 0 and 1, of shape (n, C, ...); `labels` are the columns that count.

    `sample_weight` has shape (n,), or that of the labels, and is finite and at least 0. By sample,
    weights of shape (n,) are those of the tables. `joint` says that sums over classes are compared
    with each other. Raises `MetriccError` for anything else, above all for scores, probabilities
    or logits in the place of labels.
    """
    if task == "multilabel":
        true, guess, names = _columns(given)
    elif task == "multiclass":
        true, guess, names = _classes(given)
    else:
        true, guess, names = _binary(given, by_sample)
    weight, sample_weight = _weights(given.sample_weight, true.shape, task, by_sample)
    if joint and weight is not None:
        weight = _exact(weight)
    axes = (1,) if by_sample else (0, 1)
    found = [_count(t, p, weight, axes) for t, p in _each(true, guess, weight, names, task)]
    cells = tuple(np.stack(cell, axis=-1) for cell in zip(*found, strict=True))
    return Tables(cells, sample_weight, names)




#REST

def _array(data: Any, name: str) -> NDArray[Any]:
    if hasattr(data, "detach"):  # a torch tensor, wherever it lives
        data = data.detach().cpu()
    try:
        return np.asarray(data)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _no_array(name, error) from None


def _no_array(name: str, error: Exception) -> MetriccError:
    return fail("MC0506", f"{name} is no sequence of labels: {error}", "give a list or an array")
