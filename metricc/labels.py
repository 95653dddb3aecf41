"""Labels → counts, in scikit-learn's words: y_true first, then y_pred."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc.errors import MetriccError, fail

_THRESHOLD = "turn scores into labels first: y_pred = y_score >= threshold"
_COLUMNS = "a multilabel metric takes a column of 0 and 1 for each class: shape (n, C)"
_ARGMAX = "turn scores into labels first: y_pred = y_score.argmax(axis=1)"

BFLOAT16 = "torch.bfloat16"
_MANY = 10_000  # classes; beyond, labels are numbers that somebody took for classes

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Given:
    """What `score` is called with."""

    y_true: Any
    y_pred: Any
    sample_weight: Any = None
    labels: Any = None
    pos_label: Any = 1
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """TP, FN, FP, TN of shape (C,), or (n, C) for tables of samples; a binary task has one class.

    Then four for each column, in which a sample counts its weight times the column's number.
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
    if task == "binary" and given.labels is not None:
        hint = "pass pos_label=..., the positive one"
        raise fail("MC0501", "labels are for tasks with classes", hint)
    if task != "binary" and (not isinstance(given.pos_label, Real) or given.pos_label != 1):
        fact = (
            f"pos_label {given.pos_label!r} is for a binary task; here every class is positive once"
        )
        raise fail("MC0501", fact, "pass labels=[...], the classes that count")
    if task == "multiclass":
        found = _classes(given, joint)
    else:
        found = _columns(given) if task == "multilabel" else _binary(given, by_sample)
    weight, sample_weight = _weights(given.sample_weight, found.shape, task, by_sample)
    if joint and weight is not None:
        weight = _exact(weight, math.prod(found.shape))
    axis = 1 if by_sample else None
    columns = [column(name, data, found.shape[0]) for name, data in given.columns.items()]
    counted = []
    for k in range(len(found.names)):
        true, guess = found.members(k)
        one = None if weight is None else weight[:, min(found.columns[k], weight.shape[1] - 1)]
        cells = (true & guess, true & ~guess, ~true & guess, ~true & ~guess)
        weights = [one]
        for numbers in columns:
            more = numbers.reshape(-1, 1)
            weights.append(more if one is None else one * more)
        counted.append([(c if w is None else c * w).sum(axis=axis) for w in weights for c in cells])
    stacked = (np.stack(cell, axis=-1).astype(np.float64) for cell in zip(*counted, strict=True))
    return Tables(tuple(stacked), sample_weight, found.names)


@dataclass(frozen=True)
class _Found:
    """Labels as all tasks share them: `members(k)` are the two masks of class k, (n, M)."""

    shape: tuple[int, ...]
    names: Sequence[Any]
    columns: Sequence[int]  # of each class among the given ones
    members: Callable[[int], tuple[Mask, Mask]]


# -- scores beside labels ---------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """Scores that are yet to be cut, beside their labels: arrays of shape (n, C).

    `scores` keep their own floating-point type; whole numbers are float64. `weight` is None where
    all samples count alike; `names` are the classes (of a binary task, the positive label).
    """

    positive: Mask
    scores: NDArray[Any]
    weight: Array | None
    names: Sequence[Any]


def scored(given: Given, task: str) -> Scored:
    """Labels with scores in the place of predictions (`y_pred`).

    binary: both of shape (n,), labels of at most two kinds, of which `pos_label` is the positive
    one; where it is None they are 0 and 1, or -1 and 1. multilabel: both (n, C), labels 0 and 1.
    Raises `MetriccError` for other labels, for scores that are no finite numbers, and where there
    is nothing that counts.
    """
    true, scores = _array(given.y_true, "y_true"), _scores(given.y_pred)
    size = 1 if task == "binary" else 2
    for name, array in (("y_true", true), ("y_score", scores)):
        if array.ndim not in (size, 2) or (size == 1 and array.shape[1:] not in ((), (1,))):
            hint = "give one score for each label, that of the positive class: y_score[:, 1]"
            raise fail("MC0506", f"{name} has shape {array.shape}", _COLUMNS if size > 1 else hint)
        if not array.size:
            raise fail("MC0506", f"{name} is empty", "give at least one label and its score")
    if size == 1:
        true, scores = true.reshape(-1), scores.reshape(-1)
    true = _labels(true, "y_true", "labels come first, scores second: (y_true, y_score)")
    if true.shape != scores.shape:
        fact = f"y_true has {len(true)} labels and y_score {len(scores)} scores"
        if len(true) == len(scores):
            fact = f"y_true has shape {true.shape} and y_score {scores.shape}"
        raise fail("MC0506", fact, "give one score for each label")
    weight, _ = _weights(given.sample_weight, true.shape, task, False)
    if weight is not None:
        weight = np.broadcast_to(weight[:, :, 0], (len(true), max(1, true.size // len(true))))
    if size == 1:
        pos_label = 1 if given.pos_label is None else given.pos_label
        positive, names = _positives(true, given, pos_label), [pos_label]
        scores = scores.reshape(-1, 1)
    else:
        _check_columns(true, "y_true")
        names = _listed_columns(given.labels, true.shape[1])
        positive, scores = (true == 1)[:, names], scores[:, names]
        weight = None if weight is None else weight[:, names]
    if weight is not None and (empty := ~(weight > 0).any(axis=0)).any():
        where = "" if size == 1 else f" in column {names[int(np.argmax(empty))]}"
        raise fail("MC0506", f"all weights are 0{where}", "let at least one sample count")
    return Scored(positive.reshape(scores.shape), scores, weight, names)


def _positives(true: NDArray[Any], given: Given, pos_label: Any) -> Mask:
    """Which labels of a binary task are `pos_label`."""
    if given.labels is not None:
        raise fail(
            "MC0501", "labels are for tasks with classes", "pass pos_label=..., the positive one"
        )
    text, kinds = true.dtype.kind in "US", _kinds(true)
    if len(kinds) > 2:
        two = [0, 1] if pos_label == 1 and {0, 1} <= set(kinds) else kinds[:2]
        where, found = _first(~np.isin(true, two), true)
        fact = f"y_true holds {found!r} at {where}, beside {two[0]!r} and {two[1]!r}"
        raise fail("MC0506", fact, "labels of a binary task are 0 and 1, or of two kinds")
    _check_positive(kinds, pos_label, text)
    if given.pos_label is None and not (set(kinds) <= {0, 1} or set(kinds) <= {-1, 1}):
        fact = f"y_true holds {kinds[0]!r} and {kinds[1]!r}, not 0 and 1 or -1 and 1"
        raise fail("MC0506", fact, "pass pos_label=..., the positive one")
    return np.asarray(true == pos_label)


def _scores(data: Any) -> NDArray[Any]:
    """Finite numbers, in their own floating-point type."""
    scores = _array(data, "y_score")
    if scores.dtype == object:
        scores = _array(scores.tolist(), "y_score")
    if scores.dtype.kind not in "biuf":
        fact = f"y_score holds {scores.dtype}, not scores"
        raise fail("MC0506", fact, "scores are numbers: probabilities, logits or ranks")
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    if (wrong := ~np.isfinite(scores)).any():
        where, found = _first(wrong, scores)
        raise fail("MC0506", f"y_score holds {found} at {where}", "leave those samples out")
    return scores


# -- the three tasks --------------------------------------------------------------------------


def _binary(given: Given, by_sample: bool) -> _Found:
    one = "a binary metric takes one label for each sample, shape (n,); columns of classes need "
    one += 'task="multilabel"'
    true, predicted = _pair(given, _THRESHOLD, 1, None if by_sample else 1, one)
    pos_label, kinds = given.pos_label, _kinds(true, predicted)
    if len(kinds) > 2:
        fact = f"y_true and y_pred have {len(kinds)} different labels; a binary metric has two"
        hint = f'{_THRESHOLD}; several classes need task="multiclass"'
        raise fail("MC0506", fact, hint)
    _check_positive(kinds, pos_label, true.dtype.kind in "US")
    rows = len(true)
    masks = (true == pos_label).reshape(rows, -1), (predicted == pos_label).reshape(rows, -1)
    return _Found(true.shape, [pos_label], [0], lambda k: masks)


def _check_positive(kinds: list[Any], pos_label: Any, text: bool) -> None:
    """Raise `MetriccError` unless `pos_label` can be the positive one of at most two kinds."""
    if not isinstance(pos_label, str if text else Real):
        kind = "a text" if text else "a number"
        fact = f"pos_label {pos_label!r} is not {kind}, as the labels are"
        raise fail("MC0506", fact, "pass pos_label=...")
    # A sample without a single positive is one; of two other kinds none can be the positive one.
    negative = len(kinds) == 1 if text else set(kinds) <= {0, -1}
    if pos_label not in kinds and not negative:
        shown = ", ".join(map(repr, kinds))
        raise fail("MC0506", f"pos_label {pos_label!r} is none of {shown}", "pass pos_label=...")


def _classes(given: Given, joint: bool) -> _Found:
    one = "a multiclass metric takes one label for each sample: shape (n,)"
    true, predicted = _pair(given, _ARGMAX, 1, None, one)
    if true.ndim == 2 and true.shape[1] > 2 and _one_hot(true) and _one_hot(predicted):
        hint = "give labels: y.argmax(axis=1); a map of 0 and 1 goes in flat: y.ravel()"
        raise fail("MC0506", "y_true and y_pred are one-hot rows, not labels", hint)
    kinds = _kinds(true, predicted)
    names = kinds if given.labels is None else _listed(given.labels, true.dtype.kind in "US")
    if joint and (others := [kind for kind in kinds if kind not in names]):
        fact = f"labels leaves out {others[0]!r}, which occurs"
        hint = "sums over classes need all of them: list every class, or leave those samples out"
        raise fail("MC0506", fact, hint)
    if len(names) > _MANY and given.labels is None:
        fact = f"y_true and y_pred have {len(names)} different labels"
        raise fail("MC0506", fact, "give class labels; real numbers have no confusion matrix")
    codes = np.searchsorted(np.array(kinds), np.stack([true, predicted]))
    places = {name: code for code, name in enumerate(kinds)}
    left, right = codes.reshape(2, len(true), -1)

    def members(k: int) -> tuple[Mask, Mask]:
        code = places.get(names[k], -1)
        return left == code, right == code

    return _Found(true.shape, names, range(len(names)), members)


def _columns(given: Given) -> _Found:
    true, predicted = _pair(given, _THRESHOLD, 2, None, _COLUMNS)
    for name, array in (("y_true", true), ("y_pred", predicted)):
        _check_columns(array, name)
    names = _listed_columns(given.labels, true.shape[1])
    left, right = (x.reshape(*true.shape[:2], -1).astype(np.bool_) for x in (true, predicted))
    return _Found(true.shape, names, names, lambda k: (left[:, names[k]], right[:, names[k]]))


def _check_columns(array: NDArray[Any], name: str) -> None:
    """Raise `MetriccError` unless there are 0 and 1 alone."""
    text = array.dtype.kind in "US"
    other = np.ones(array.shape, dtype=np.bool_) if text else (array != 0) & (array != 1)
    if other.any():
        where, found = _first(other, array)
        fact = f"{name} holds {found!r} at {where}; a multilabel metric takes 0 and 1"
        raise fail("MC0506", fact, _COLUMNS)


def _listed_columns(given: Any, size: int) -> list[Any]:
    """The columns that count: `labels`, or all."""
    if given is None:
        return list(range(size))
    names = _listed(given, False)
    if wrong := [name for name in names if name not in range(size)]:
        fact = f"labels has {wrong[0]!r}, and there are {size} columns"
        raise fail("MC0506", fact, "labels of a multilabel task are the columns that count")
    return names


def _pair(
    given: Given, scores: str, least: int, most: int | None, words: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """y_true and y_pred as arrays of one shape and kind; `scores` says how scores become labels."""
    arrays = _array(given.y_true, "y_true"), _array(given.y_pred, "y_pred")
    flat = tuple(x[:, 0] if x.ndim == 2 == least + 1 and x.shape[1] == 1 else x for x in arrays)
    for name, array in zip(("y_true", "y_pred"), flat, strict=True):
        if array.ndim < least or (most is not None and array.ndim > most):
            raise fail("MC0506", f"{name} has shape {array.shape}", words)
        if not array.size:
            raise fail("MC0506", f"{name} is empty", "give at least one label")
    true, predicted = flat
    if predicted.ndim == true.ndim + 1 and predicted.shape[0] == true.shape[0]:
        fact = f"y_true has shape {true.shape} and y_pred {predicted.shape}: scores, not labels"
        raise fail("MC0506", fact, scores)
    true, predicted = _labels(true, "y_true", scores), _labels(predicted, "y_pred", scores)
    if true.shape != predicted.shape:
        fact = f"y_true has {len(true)} labels and y_pred {len(predicted)}"
        if len(true) == len(predicted):
            fact = f"y_true has shape {true.shape} and y_pred {predicted.shape}"
        raise fail("MC0506", fact, "give one prediction for each label")
    if (true.dtype.kind in "US") != (predicted.dtype.kind in "US"):
        raise fail("MC0506", "one of y_true and y_pred is text, the other is not", "use one kind")
    return true, predicted


def _labels(array: NDArray[Any], name: str, scores: str) -> NDArray[Any]:
    """Labels as whole numbers or texts."""
    if array.dtype == object:
        array = _array(array.tolist(), name)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            where, found = _first(~np.isfinite(array), array)
            fact = f"{name} holds NaN or infinity: {found} at {where}"
            raise fail("MC0506", fact, "leave those samples out")
        if (array != np.floor(array)).any():
            where, found = _first(array != np.floor(array), array)
            fact = f"{name} holds scores, such as {found:.6g} at {where}, not labels"
            raise fail("MC0506", fact, scores)
        array = array.astype(np.int64) if (abs(array) < 2**53).all() else array
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.dtype.kind not in "iufUS":
        hint = "labels are booleans, whole numbers or strings"
        raise fail("MC0506", f"{name} holds {array.dtype}, not labels", hint)
    return array


def _first(wrong: Mask, array: NDArray[Any]) -> tuple[str, Any]:
    """The first wrong place of an array in words, and what stands there."""
    place = np.unravel_index(np.argmax(wrong), wrong.shape)
    indices = ", ".join(str(int(i)) for i in place)
    return f"index {indices if len(place) == 1 else f'({indices})'}", array[place].item()


def _kinds(*arrays: NDArray[Any]) -> list[Any]:
    """The different labels, sorted."""
    found = np.unique(np.concatenate([np.unique(array) for array in arrays]))
    return [x.item() for x in found]


def _listed(given: Any, text: bool) -> list[Any]:
    """`labels`: the classes that count, in their order."""
    array = _array(given, "labels")
    if array.ndim != 1 or not array.size:
        fact = f"labels has shape {array.shape}"
        raise fail("MC0506", fact, "give a list of the classes that count")
    names = [x.item() for x in _labels(array, "labels", "list the labels themselves")]
    if len(set(names)) < len(names):
        raise fail("MC0506", "labels names a class twice", "name each class once")
    if isinstance(names[0], str | bytes) != text:
        raise fail("MC0506", "one of labels and y_true is text, the other is not", "use one kind")
    return names


def _one_hot(array: NDArray[Any]) -> bool:
    if array.dtype.kind in "US":
        return False
    return bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


# -- weights ----------------------------------------------------------------------------------


def _weights(
    sample_weight: Any, shape: tuple[int, ...], task: str, by_sample: bool
) -> tuple[Array | None, Array]:
    """The weight of each element, (n, 1 or C, M) or None, and that of each sample's table."""
    size = shape[0]
    even = np.ones(size)
    if sample_weight is None:
        return None, even
    positions = (size, *shape[2:]) if task == "multilabel" else shape
    shapes = list(dict.fromkeys([(size,), positions, shape]))
    weight = _array(sample_weight, "sample_weight")
    if weight.dtype.kind not in "biuf" or weight.shape not in shapes:
        fact = f"sample_weight has shape {weight.shape} and holds {weight.dtype}"
        wanted = " or ".join(map(str, shapes))
        raise fail("MC0506", fact, f"give one number for each sample: shape {wanted}")
    weight = weight.astype(np.float64)
    if (wrong := ~np.isfinite(weight) | (weight < 0)).any():
        where, found = _first(wrong, weight)
        hint = "weights are finite and at least 0"
        fact = f"sample_weight holds a negative or infinite number or NaN: {found:g} at {where}"
        raise fail("MC0506", fact, hint)
    if by_sample and weight.shape == (size,):
        return None, weight
    if weight.shape == (size,):
        return weight.reshape(-1, 1, 1), even
    columns = shape[1] if task == "multilabel" and weight.shape == shape else 1
    return weight.reshape(size, columns, -1), even


def column(name: str, data: Any, size: int) -> Array:
    """A column of weights, shape (n,): finite numbers of at least 0, one for each sample.

    Raises `MetriccError`, which names the column and the place, for anything else.
    """
    numbers = _array(data, name)
    if numbers.dtype == object:
        numbers = _array(numbers.tolist(), name)
    if numbers.shape == (size, 1):
        numbers = numbers[:, 0]
    if numbers.dtype.kind not in "biuf" or numbers.shape != (size,):
        fact = f"{name} has shape {numbers.shape} and holds {numbers.dtype}"
        if numbers.dtype.kind in "biuf" and numbers.ndim == 1:
            fact = f"{name} has length {len(numbers)}, and there are {size} labels"
        raise fail("MC0506", fact, f"give one number for each sample: shape ({size},)")
    numbers = numbers.astype(np.float64)
    if (wrong := ~np.isfinite(numbers) | (numbers < 0)).any():
        where, found = _first(wrong, numbers)
        hint = "a column's numbers are finite and at least 0"
        raise fail("MC0506", f"{name} holds {found:g} at {where}", hint)
    return numbers


def _exact(weight: Array, elements: int) -> Array:
    """Weights whose sums are exact in any order, rounded to 1e-16 of the sum over all elements.

    Where all predictions are one class, sum(P)^2 - sum(PP^2) is 0 then, and not nearly.
    """
    total = weight.sum() * (elements / weight.size)
    step = 2.0 ** (np.ceil(np.log2(total)) - 52) if total > 0 else 1.0
    return np.asarray(np.round(weight / step) * step)


def _array(data: Any, name: str) -> NDArray[Any]:
    if hasattr(data, "detach"):  # a torch tensor, wherever it lives
        data = data.detach().cpu()
        if str(data.dtype) == BFLOAT16:  # which NumPy does not have
            data = data.float()
    if hasattr(data, "toarray"):  # a sparse matrix
        data = data.toarray()
    try:
        return np.asarray(data)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _no_array(name, error) from None


def _no_array(name: str, error: Exception) -> MetriccError:
    return fail("MC0506", f"{name} is no sequence of labels: {error}", "give a list or an array")
