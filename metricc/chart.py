"""A picture of tuning: the metric and the constraints against the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc.constraint import constant
from metricc.figures import COLOURS, figure, write
from metricc.threshold import Threshold
from metricc.tuning import Sweep

POINTS = 3_000  # of a curve; more are no longer seen
LARGEST = 1e100  # matplotlib's own sums and products of coordinates must stay finite


def draw(
    path: Path, swept: Sweep, best: Threshold, label: str, folds: Sequence[float] = ()
) -> None:
    """Write the picture of a sweep; `label` names the scores, `folds` are cross-fit thresholds.

    Raises `MetriccError` where the file cannot be written.
    """
    drawn = figure(8, 4.8)
    axes = drawn.add_subplot()
    kept, edges = _kept(swept, best)
    unit = _unit(edges)
    edges = edges / unit
    height = _unit(np.concatenate([swept.values, *(side for pair in swept.sides for side in pair)]))
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    axes.grid(True, color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    name = swept.task.plan.metric.name
    style: dict[str, Any] = {"color": COLOURS[0], "linewidth": 2.2, "zorder": 3}
    _stairs(axes, swept.values[kept] / height, edges, label=name, **style)
    met = np.ones(len(swept.values), dtype=np.bool_)
    for number, (comparison, sides) in enumerate(
        zip(swept.task.constraints, swept.sides, strict=True), 1
    ):
        met &= comparison.met(*sides)
        colour = COLOURS[number % len(COLOURS)]
        for text, values, plan in (
            (comparison.left_text, sides[0], comparison.left),
            (comparison.right_text, sides[1], comparison.right),
        ):
            varies = not constant(plan)
            style = {"color": colour, "linewidth": 1.3 if varies else 1.0}
            style["linestyle"] = "-" if varies else (0, (4, 3))
            _stairs(axes, values[kept] / height, edges, label=text if varies else None, **style)
    if not met.all():
        _stairs_between(axes, ~met[kept], edges, label="constraint not met")
    low, at, high = (x / unit for x in (best.low, float(best), best.high))
    axes.axvspan(low, high, color=COLOURS[0], alpha=0.15, linewidth=0, label="as good")
    axes.axvline(at, color="0.15", linewidth=1.0)
    style = {"color": COLOURS[0], "markeredgecolor": "white", "zorder": 5}
    axes.plot([at], [best.value / height], "o", **style)
    if folds:
        style = {"color": "0.15", "linestyle": "none", "clip_on": False, "markersize": 5}
        where = axes.get_xaxis_transform()
        own = [fold / unit for fold in folds]
        axes.plot(own, [0] * len(own), "^", transform=where, label="without one fold", **style)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"threshold on {label}{_in(unit)}")
    axes.set_ylabel(_in(height).strip())
    axes.set_title(f"{name} = {best.value:.4g} at {float(best):.4g}", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    write(drawn, path)


def _kept(swept: Sweep, best: Threshold) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Cuts from the lowest threshold up, and the edges of their gaps; few of very many cuts."""
    order = swept.ranking
    high = order.ceiling if np.isfinite(order.ceiling) else order.scores[0]
    all_edges = np.concatenate([[order.floor], order.scores[::-1], [high]])
    cuts = np.arange(len(swept.values))[::-1]
    if len(cuts) > POINTS:
        even = np.linspace(0, len(cuts) - 1, POINTS // 2).astype(np.intp)
        across = 2 * np.linspace(all_edges[0] / 2, all_edges[-1] / 2, POINTS)  # finite
        near = len(cuts) - 1 - swept.cut_at(float(best)) + np.arange(-50, 51)
        some = np.concatenate([even, np.searchsorted(all_edges, across), near])
        some = np.unique(np.clip(some, 0, len(cuts) - 1))
        return cuts[some], np.append(all_edges[some], all_edges[-1])
    return cuts, all_edges


def _unit(numbers: NDArray[np.float64]) -> float:
    """What numbers are divided by to be drawn: 1, or a power of ten where they are huge."""
    size = float(np.max(abs(numbers), where=np.isfinite(numbers), initial=0.0))
    return float(10.0 ** np.floor(np.log10(size))) if size > LARGEST else 1.0


def _in(unit: float) -> str:
    return "" if unit == 1 else f" in {unit:.0e}"


def _stairs(axes: Any, values: Any, edges: Any, **style: Any) -> None:
    axes.stairs(np.where(np.isfinite(values), values, np.nan), edges, baseline=None, **style)


def _stairs_between(axes: Any, mask: Any, edges: Any, label: str) -> None:
    """Grey where the mask holds."""
    axes.fill_between(
        edges,
        0,
        1,
        where=np.append(mask, mask[-1]),
        step="post",
        transform=axes.get_xaxis_transform(),
        color="0.5",
        alpha=0.14,
        linewidth=0,
        label=label,
    )
