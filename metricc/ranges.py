"""Labels outside [0, 1] and weights below 0: a look at values that a loss does not afford."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def look(input: Tensor, target: Tensor, given: Mapping[str, Any], ignore_index: Any) -> None:
    """Raise `ValueError` at the first label or weight outside its range, with place and value.

    `given` are the mask and the weights, by name. What is masked out, ignored or of weight 0 may
    be anything. On a CPU alone, since other devices would wait; tensors that do not fit together
    are left to the loss, which refuses them.
    """
    import torch

    tensors = {"target": target, **{n: t for n, t in given.items() if t is not None}}
    every = (input, *tensors.values())
    if not all(isinstance(t, torch.Tensor) and t.device.type == "cpu" for t in every):
        return
    mask = tensors.pop("mask", None)
    if mask is not None and mask.dtype != torch.bool:
        return
    for name, tensor in tensors.items():
        labels = name == "target"
        whole = tensor.shape != input.shape and not tensor.is_floating_point()  # class indices
        if labels and whole:
            continue
        outside = ~((tensor >= 0) & (tensor <= 1 if labels else tensor < float("inf")))
        if not outside.any():
            continue
        wrong = _over(outside, input)
        for other in (mask, _kept(target, ignore_index), _live(tensors) if labels else None):
            kept = None if other is None else _over(other, input)
            wrong = wrong if wrong is None or kept is None else wrong & kept
        if wrong is not None and wrong.any():
            place = _own(wrong.nonzero()[0].tolist(), tensor, input)
            where = str(place) if place else ""
            rule = "in [0, 1]" if labels else "finite and at least 0"
            raise ValueError(f"{name} must be {rule}: {name}{where} = {tensor[tuple(place)]:g}")


def _kept(target: Tensor, ignore_index: Any) -> Tensor | None:
    if ignore_index is None:
        return None
    return ~target.isnan() if ignore_index != ignore_index else target != ignore_index


def _live(tensors: Mapping[str, Tensor]) -> Tensor | None:
    return tensors["weight"] != 0 if "weight" in tensors else None


def _over(tensor: Tensor, input: Tensor) -> Tensor | None:
    """A tensor of samples, or of their positions, over all elements; None where it does not fit."""
    shape = input.shape
    if tensor.shape == shape:
        return tensor
    if tensor.shape == shape[:1]:
        return tensor.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
    if tensor.shape == (*shape[:1], *shape[2:]):
        return tensor.unsqueeze(1).expand(shape)
    return None


def _own(place: list[int], tensor: Tensor, input: Tensor) -> list[int]:
    """The index into a tensor of an element of the input."""
    if tensor.shape == input.shape:
        return place
    return place[:1] if tensor.shape == input.shape[:1] else [*place[:1], *place[2:]]
