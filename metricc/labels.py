"""Labels → the four counts, in scikit-learn's words: y_true first, then y_pred."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc.errors import MetriccError, fail

_THRESHOLD = "turn scores into labels first: y_pred = y_score >= threshold"


def counts(
    y_true: Any, y_pred: Any, sample_weight: Any = None, pos_label: Any = 1
) -> tuple[float, float, float, float]:
    """TP, FN, FP, TN of two sequences of labels, of shape (n,) or (n, 1), n at least 1.

    Labels are booleans, whole numbers or strings, of at most two kinds; `pos_label` is the
    positive one. `sample_weight` has shape (n,), finite and at least 0. Raises `MetriccError` for
    anything else, above all for scores, probabilities or logits in the place of labels.
    """
    true, predicted = _labels(y_true, "y_true"), _labels(y_pred, "y_pred")
    if true.shape != predicted.shape:
        fact = f"y_true has {len(true)} labels and y_pred {len(predicted)}"
        raise fail("MC0506", fact, "give one prediction for each label")
    if (true.dtype.kind in "US") != (predicted.dtype.kind in "US"):
        raise fail("MC0506", "one of y_true and y_pred is text, the other is not", "use one kind")
    kinds = {x.item() for x in np.unique(np.concatenate([true, predicted]))}
    text = true.dtype.kind in "US"
    if len(kinds) > 2:
        fact = f"y_true and y_pred have {len(kinds)} different labels; a binary metric has two"
        hint = f"{_THRESHOLD}; of several classes, score one at a time: y_true == c, y_pred == c"
        raise fail("MC0506", fact, hint)
    if not isinstance(pos_label, str if text else Real):
        kind = "a text" if text else "a number"
        fact = f"pos_label {pos_label!r} is not {kind}, as the labels are"
        raise fail("MC0506", fact, "pass pos_label=...")
    # A sample without a single positive is one; of two other kinds none can be the positive one.
    negative = len(kinds) == 1 if text else kinds <= {0, -1}
    if pos_label not in kinds and not negative:
        shown = ", ".join(map(repr, sorted(kinds)))
        raise fail("MC0506", f"pos_label {pos_label!r} is none of {shown}", "pass pos_label=...")
    weight = _weights(sample_weight, len(true))
    positive, answered = true == pos_label, predicted == pos_label
    cells = (positive & answered, positive & ~answered, ~positive & answered, ~positive & ~answered)
    tp, fn, fp, tn = (float(weight[cell].sum()) for cell in cells)
    return tp, fn, fp, tn


def _labels(labels: Any, name: str) -> NDArray[Any]:
    array = _array(labels, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        fact = f"{name} has shape {array.shape}"
        raise fail("MC0506", fact, "a binary metric takes one label for each sample: shape (n,)")
    if not len(array):
        raise fail("MC0506", f"{name} is empty", "give at least one label")
    if array.dtype == object:
        array = np.array(list(array))
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise fail("MC0506", f"{name} holds NaN or infinity", "leave those samples out")
        if (array != np.floor(array)).any():
            shown = array[array != np.floor(array)][0]
            raise fail(
                "MC0506", f"{name} holds scores, such as {shown:.6g}, not labels", _THRESHOLD
            )
        array = array.astype(np.int64) if (abs(array) < 2**53).all() else array
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.dtype.kind not in "iufUS":
        hint = "labels are booleans, whole numbers or strings"
        raise fail("MC0506", f"{name} holds {array.dtype}, not labels", hint)
    return array


def _weights(sample_weight: Any, size: int) -> NDArray[np.float64]:
    if sample_weight is None:
        return np.ones(size)
    weight = _array(sample_weight, "sample_weight")
    if weight.dtype.kind not in "biuf" or weight.shape != (size,):
        fact = f"sample_weight has shape {weight.shape} and holds {weight.dtype}"
        raise fail("MC0506", fact, f"give one number for each sample: shape ({size},)")
    weight = weight.astype(np.float64)
    if not np.isfinite(weight).all() or (weight < 0).any():
        hint = "weights are finite and at least 0"
        raise fail("MC0506", "sample_weight holds a negative or infinite number or NaN", hint)
    return weight


def _array(data: Any, name: str) -> NDArray[Any]:
    if hasattr(data, "detach"):  # a torch tensor, wherever it lives
        data = data.detach().cpu()
    try:
        return np.asarray(data)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _no_array(name, error) from None


def _no_array(name: str, error: Exception) -> MetriccError:
    return fail("MC0506", f"{name} is no sequence of labels: {error}", "give a list or an array")
