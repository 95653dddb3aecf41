"""Scalar functions of one table on tensors, and where they are beyond all bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mpmath import mp, mpf

from metricc.verify.points import worse

LARGE = 1e30  # beyond it results saturate
ALIKE = 1e-8  # relative: what is subtracted rounds in two ways


def on_tensors(
    code: Callable[..., Any], rows: Sequence[list[float]], parameters: Mapping[str, float]
) -> Any:
    """0 where the code on tensors, all rows at once, is what it is on floats, and finite at 0/0."""
    import torch

    worst = mpf(0)
    if not rows:
        return worst
    rows = [*rows, [0.0] * len(rows[0])]
    together = code(*torch.tensor(rows, dtype=torch.float64).unbind(1), **parameters)
    together = together if isinstance(together, tuple) else (together,)
    for index, row in enumerate(rows):
        alone = code(*row, **parameters)
        alone = alone if isinstance(alone, tuple) else (alone,)
        for one, several in zip(alone, together, strict=True):
            whole = torch.as_tensor(several, dtype=torch.float64).expand(len(rows))
            got, wanted = mpf(whole[index].item()), mpf(float(one))
            error = abs(got - wanted) / max(abs(wanted), mpf(10) ** -3)
            worst = worse(worst, error if mp.isfinite(got) else mp.nan)
    return mpf(0) if worst <= ALIKE else mp.nan


def saturated(
    results: Mapping[str, Any], exact: Mapping[str, Any], cancels: Callable[[str], bool]
) -> bool:
    """Whether results are finite, and of the right sign where they are beyond all bounds, unless
    their form subtracts."""
    for name, result in results.items():
        wanted = exact[name]
        if not mp.isfinite(mpf(float(result))):
            return False
        far = not (mp.isnan(wanted) or cancels(name)) and abs(wanted) > LARGE
        if far and float(result) * wanted < 0:
            return False
    return True
