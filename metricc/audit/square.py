"""A metric painted over what predictions can do: every TPR and FPR, at a prevalence.

Level curves, arrows along the gradient towards better predictions, values at the corners, and
hatched where it has no value. A metric that depends on how many samples there are is painted over
TP and FP of a thousand. With classes, one of three has the prevalence: it is confused with the
others by TPR and FPR, and they with each other never. Labels are all alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from metricc.audit.hard import CLASSES, Array, Hard, Mask
from metricc.audit.subject import Subject
from metricc.errors import fail
from metricc.figures import COLOURS, INK

SAMPLES = 1000
GRID = 201  # points of a side
ARROWS = 12
LEVELS = 12
STEP = 1e-4  # of differences
BAND = 0.022  # width of a hatched edge
LONGEST = 52  # characters of a title
MAP = "viridis"  # even steps for all kinds of sight
CORNERS = {"perfect": (0, 1), "all negative": (0, 0), "all positive": (1, 1), "all wrong": (1, 0)}


@dataclass(frozen=True)
class Field:
    """A metric at points (FPR, TPR), with where it is undefined."""

    hard: Hard
    scale: float

    def at(self, fpr: Array, tpr: Array) -> tuple[Array, Mask]:
        metric, prevalence = self.hard.subject.metric, self.hard.subject.prevalence
        positives, negatives = prevalence, 1 - prevalence
        fpr, tpr = np.broadcast_arrays(np.asarray(fpr, float), np.asarray(tpr, float))
        if metric.task == "multiclass":
            others = CLASSES - 1
            joint = np.zeros((*fpr.shape, CLASSES, CLASSES))
            joint[..., 0, 0] = positives * tpr
            joint[..., 0, 1:] = (positives * (1 - tpr) / others)[..., None]
            joint[..., 1:, 0] = (negatives * fpr / others)[..., None]
            for k in range(1, CLASSES):
                joint[..., k, k] = negatives * (1 - fpr) / others
            kinds = joint.reshape(*fpr.shape, CLASSES**2)
        else:
            cells = positives * tpr, positives * (1 - tpr), negatives * fpr, negatives * (1 - fpr)
            kinds = np.stack(cells, -1)
        tables = self.hard.tables(self.scale * kinds)
        return self.hard.values(tables), self.hard.undefined(tables)


def paint(made: Any, axes: Any, subject: Subject) -> None:
    """Paint the square of a subject, with its colour bar.

    Raises `MetriccError` for a metric that has no finite value anywhere.
    """
    hard = Hard(subject)
    field = Field(hard, SAMPLES if hard.scales else 1)
    side = np.linspace(0, 1, GRID)
    values, undefined = field.at(side[None, :], side[:, None])
    infinite = ~np.isfinite(values) & ~undefined
    shown = np.where(undefined | infinite, np.nan, values)
    if np.isnan(shown).all():
        fact = (
            f"{subject.metric.name} has no finite value at a prevalence of {subject.prevalence:g}"
        )
        raise fail("MC0501", fact, "choose another --prevalence, or another metric")
    better = -1 if subject.options.goal == "minimize" else 1
    _levels(made, axes, side, shown, subject)
    _arrows(axes, field, better)
    kinds = (("no value", undefined, COLOURS[1]), ("infinite", infinite, COLOURS[3]))
    marks = [_hatched(axes, side, *kind) for kind in kinds if kind[1].any()]
    marks += _corners(axes, values, undefined, better)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    _words(axes, subject, hard)
    axes.legend(
        handles=marks,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        ncols=len(marks),
        frameon=False,
        fontsize=8.5,
        handletextpad=0.5,
        columnspacing=1.2,
    )


def _levels(made: Any, axes: Any, side: Array, shown: Array, subject: Subject) -> None:
    """Filled levels with lines between them, and their colour bar."""
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    found = shown[np.isfinite(shown)]
    low, high = float(found.min()), float(found.max())
    first, *_, last = middle = np.quantile(found, [0.02, 0.25, 0.75, 0.98])
    if high - low > 2 * (last - first) > 0:  # a few large values would hide all others
        low, high = float(first), float(last)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    levels: Any = MaxNLocator(LEVELS).tick_values(low, high)
    if high - low > 12 * (middle[2] - middle[1]) > 0:
        levels = np.unique(np.quantile(found, np.linspace(0.04, 0.96, LEVELS)))
    colours = mpl.colormaps[MAP if subject.options.goal != "minimize" else f"{MAP}_r"]
    below, above = found.min() < levels[0], found.max() > levels[-1]
    extend: Any = ("both" if above else "min") if below else ("max" if above else "neither")
    norm = BoundaryNorm(levels, colours.N, extend=extend)
    grid = (side, side, np.ma.masked_invalid(shown))
    filled = axes.contourf(*grid, levels=levels, cmap=colours, norm=norm, extend=extend)
    axes.contour(*grid, levels=levels, colors="white", linewidths=0.8, linestyles="solid")
    bar = made.colorbar(
        filled, ax=axes, fraction=0.05, pad=0.03, format=FuncFormatter(lambda x, _: _brief(x))
    )
    less = "less is better" if subject.options.goal == "minimize" else "more is better"
    bar.set_label(f"{subject.metric.name} ({less})", color=INK)
    bar.outline.set_visible(False)


def _arrows(axes: Any, field: Field, better: int) -> None:
    """Which way the metric gets better, the longer the faster, from everywhere."""
    side = (np.arange(ARROWS) + 0.5) / ARROWS
    fpr, tpr = (grid.ravel() for grid in np.meshgrid(side, side))
    with np.errstate(invalid="ignore"):
        u, v = (
            better * (field.at(fpr + a, tpr + b)[0] - field.at(fpr - a, tpr - b)[0])
            for a, b in ((STEP, 0), (0, STEP))
        )
        size = np.hypot(u, v)
    bad = field.at(fpr, tpr)[1] | ~np.isfinite(size)
    size = np.where(bad, 0.0, size)
    kept = size > 1e-9 * max(float(size.max()), 1e-300)
    if not kept.any():
        return
    length = 0.35 + 0.65 * np.sqrt(np.minimum(1, size / np.quantile(size[kept], 0.9)))
    length = length / np.where(kept, size, 1.0) * 0.75 / ARROWS
    axes.quiver(
        fpr[kept],
        tpr[kept],
        (u * length)[kept],
        (v * length)[kept],
        angles="xy",
        scale_units="xy",
        scale=1,
        pivot="mid",
        width=0.0055,
        headwidth=4,
        headlength=4.5,
        headaxislength=4,
        color=INK,
        edgecolor="white",
        linewidth=0.5,
        zorder=3,
    )


def _hatched(axes: Any, side: Array, words: str, mask: Mask, colour: str) -> Any:
    """Hatch where a mask holds: inside, and along the edges; crosses in lone corners."""
    from matplotlib.patches import Patch, Rectangle

    style: dict[str, Any] = {"facecolor": "white", "edgecolor": colour, "hatch": "//////"}
    style |= {"linewidth": 0.0, "zorder": 4}
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1]
    if inner.any():
        drawn = axes.contourf(side, side, inner, [0.5, 1.5], colors=["white"], hatches=["//////"])
        drawn.set_edgecolor(colour)
        drawn.set_linewidth(0.0)
    edges = ((mask[0], 0, 0), (mask[-1], 0, 1), (mask[:, 0], 1, 0), (mask[:, -1], 1, 1))
    for line, upright, end in edges:
        for first, last in _runs(line):
            thick = end * (1 - BAND)
            start, length = side[first], side[last] - side[first]
            at, wide, high = (thick, start), BAND, length
            if not upright:
                at, wide, high = (start, thick), length, BAND
            axes.add_patch(Rectangle(at, wide, high, **style))
    cross: dict[str, Any] = {"color": colour, "markeredgecolor": "white", "markersize": 13}
    for x, y in CORNERS.values():
        row, column = -y, -x
        beside = mask[row, -2 if x else 1] or mask[-2 if y else 1, column]
        if mask[row, column] and not beside:
            axes.plot([x], [y], "X", clip_on=False, zorder=6, **cross)
    return Patch(**{**style, "linewidth": 0.8}, label=words)


def _runs(line: Mask) -> list[tuple[int, int]]:
    """First and last places of runs of at least two."""
    padded = np.concatenate([[False], line, [False]])
    turns = np.flatnonzero(padded[1:] != padded[:-1])
    return [(a, b - 1) for a, b in zip(turns[::2], turns[1::2], strict=True) if b - a > 1]


def _corners(axes: Any, values: Array, undefined: Mask, better: int) -> list[Any]:
    """The simplest predictions by name and value, the best and the worst of them marked."""
    from matplotlib.lines import Line2D

    known = {}
    for name, (x, y) in CORNERS.items():
        row, column = -y, -x
        number = None if undefined[row, column] else float(values[row, column])
        known[name] = number
        words = "no value" if number is None else _brief(number)
        axes.annotate(
            f"{name}: {words}",
            (x, y),
            (-14 if x else 14, -14 if y else 14),
            textcoords="offset points",
            ha="right" if x else "left",
            va="top" if y else "bottom",
            fontsize=8.5,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
            zorder=7,
        )
    numbers = [better * n for n in known.values() if n is not None]
    if len(numbers) < 2 or max(numbers) == min(numbers):
        return []
    marks = []
    for word, most, sign in (("best", max(numbers), "*"), ("worst", min(numbers), "v")):
        fill = "white" if word == "best" else "0.35"
        style: dict[str, Any] = {"marker": sign, "markerfacecolor": fill, "color": INK}
        style |= {"linestyle": "none", "markersize": 15 if word == "best" else 10}
        for name, number in known.items():
            if number is not None and _same(better * number, most):
                x, y = CORNERS[name]
                axes.plot([x], [y], clip_on=False, zorder=8, **style)
        marks.append(Line2D([], [], **style, label=f"{word} of the corners"))
    return marks


def _brief(number: float) -> str:
    """A number in few characters."""
    number += 0.0  # -0 is 0
    text = f"{number:.3g}" if abs(number) < 1000 else f"{number:.4g}"
    return text.replace("-", "−").replace("inf", "∞")


def _same(one: float, other: float) -> bool:
    return one == other or (math.isfinite(other) and abs(one - other) <= 1e-9 * max(1, abs(other)))


def _words(axes: Any, subject: Subject, hard: Hard) -> None:
    """Title, what was fixed, and the axes."""
    metric, prevalence = subject.metric, subject.prevalence
    counted = hard.scales
    fixed = [f"prevalence {prevalence:g}"]
    if counted:
        fixed.append(f"{SAMPLES} samples")
    if metric.task == "multiclass":
        fixed.append(f"one class of {CLASSES} against the others")
    elif metric.task == "multilabel":
        fixed.append(f"{CLASSES} labels alike" if not metric.single else "one label")
    fixed += [f"{column} = 1" for column in metric.columns]
    fixed += [hard.given] if hard.given else []
    title = metric.written if metric.name == "metric" else metric.name
    title = title if len(title) <= LONGEST else f"{title[: LONGEST - 1]}…"
    axes.set_title(title, loc="left", x=0.03, fontsize=12, color=INK, pad=27)
    axes.text(0.03, 1.035, ", ".join(fixed), transform=axes.transAxes, fontsize=9, color="0.35")
    ticks = np.linspace(0, 1, 6)
    for which, total, cell, rate, words in (
        ("x", 1 - prevalence, "FP", "FPR", "negatives"),
        ("y", prevalence, "TP", "TPR", "positives"),
    ):
        label = f"{rate}, share of {words} that are predicted positive"
        texts = [f"{tick:g}" for tick in ticks]
        if counted:
            label = f"{cell}, of {SAMPLES * total:.4g} {words}"
            texts = [f"{SAMPLES * total * tick:.4g}" for tick in ticks]
        getattr(axes, f"set_{which}ticks")(ticks, texts)
        getattr(axes, f"set_{which}label")(label)
    axes.tick_params(pad=8)
