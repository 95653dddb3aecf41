"""A picture of a metric as a training target: `square` beside the surrogate and its slope."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from metricc.audit.reach import in_words
from metricc.audit.slope import SHARE, slope_of
from metricc.audit.square import paint
from metricc.audit.subject import Subject
from metricc.errors import fail
from metricc.figures import COLOURS, INK, figure, write
from metricc.figures import check_path as check_path

LEAST, MOST = 4.0, 12.0  # logits to each side
POINTS = 241


def draw(subject: Subject, path: Path) -> None:
    """Write the picture of a metric and its surrogate to a file; `check_path` says of which types.

    The metric over TPR and FPR at the subject's prevalence, or over TP and FP of a thousand samples
    where it depends on how many they are; parameters have their defaults. Raises `MetriccError` for
    a metric that no prediction changes, or that has no value anywhere, and where the file cannot
    be written.
    """
    if not subject.audit.depends:
        hint = "draw a metric that predictions change, such as f1"
        raise fail(
            "MC0501", f"no prediction changes {subject.metric.name}: it has no picture", hint
        )
    made = figure(12.4, 5.5)
    left, right = made.subplots(1, 2, width_ratios=(1.12, 1), gridspec_kw={"wspace": 0.06})
    paint(made, left, subject)
    _surrogate(right, subject)
    write(made, path)


def _surrogate(axes: Any, subject: Subject) -> None:
    """A and dA/dz against the logit, with the reach of the slope."""
    surrogate = subject.surrogate
    slope = slope_of(surrogate)
    reach = slope.above(SHARE * slope.peak[1])
    ends = [abs(z) for pair in reach for z in pair if math.isfinite(z)]
    side = min(MOST, max(LEAST, 1.5 * max(ends, default=LEAST)))
    z = _logits(side, reach)
    numbers = [[float(x) for x in slope.both(one)] for one in z]
    labels, slopes = np.array(numbers).T
    if surrogate.hard:
        labels = np.where(labels > 0.5, 1.0, 0.0)
    multiclass = subject.options.task == "multiclass"
    for low, high in reach:
        axes.axvspan(max(low, -side), min(high, side), color="0.9", linewidth=0, zorder=0)
    axes.plot(z, labels, color=COLOURS[0], linewidth=2.4, zorder=3)
    axes.set_xlim(-side, side)
    axes.set_ylim(-0.03, 1.16)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel("log-odds z of a class, log(p/(1 - p))" if multiclass else "logit z")
    axes.set_ylabel("A, what a sample counts as positive", color=COLOURS[0])
    axes.tick_params(axis="y", colors=COLOURS[0])
    beside = axes.twinx()
    beside.plot(z, slopes, color=COLOURS[1], linewidth=2.0, linestyle=(0, (5, 2)))
    beside.set_ylim(-0.03 * slope.peak[1], 1.16 * slope.peak[1])
    what = "borrowed slope dA/dz" if surrogate.hard else "slope dA/dz"
    beside.set_ylabel(what, color=COLOURS[1])
    beside.tick_params(axis="y", colors=COLOURS[1])
    for each in (axes, beside):
        each.spines["top"].set_visible(False)
    words = f"grey: more than {100 * SHARE:g} % of the largest slope, {in_words(reach)}"
    axes.text(0.5, 0.975, words, transform=axes.transAxes, ha="center", va="top", fontsize=9)
    name = str(surrogate) if len(str(surrogate)) <= 48 else f"{str(surrogate)[:47]}…"
    given = ", ".join(
        f"{key} = {value:g}" for key, value in surrogate.defaults.items() if _told(name, value)
    )
    axes.set_title(f"surrogate {name}", loc="left", fontsize=12, color=INK, pad=27)
    axes.text(0, 1.035, given, transform=axes.transAxes, fontsize=9, color="0.35")


def _told(name: str, value: Any) -> bool:
    """Whether an argument is one number that the surrogate's name does not say."""
    return not isinstance(value, tuple) and f"={value:g}" not in name


def _logits(side: float, reach: list[tuple[float, float]]) -> Any:
    """Even logits, and finer ones where the slope is large."""
    inner = [
        np.linspace(max(low, -side), min(high, side), POINTS)
        for low, high in reach
        if high > -side and low < side
    ]
    return np.unique(np.concatenate([np.linspace(-side, side, POINTS), *inner]))
