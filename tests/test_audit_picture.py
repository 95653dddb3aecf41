"""The picture of an audit: what is drawn, by hand; the files; what is refused."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metricc import compiler
from metricc.audit.hard import Hard
from metricc.audit.picture import check_path, draw
from metricc.audit.square import Field, paint
from metricc.audit.subject import Subject
from metricc.errors import MetriccError

HEADS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@cache
def subject(formula: str, **options: Any) -> Subject:
    return compiler.subject(formula, **options)


def axes_of(asked: Subject) -> Any:
    figures = pytest.importorskip("matplotlib.figure")
    made = figures.Figure()
    axes = made.add_subplot()
    paint(made, axes, asked)
    return axes


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("suffix", HEADS)
def test_files(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"one.{suffix}"
    check_path(path)
    draw(subject("f1"), path)
    data = path.read_bytes()
    assert data.startswith(HEADS[suffix]) and len(data) > 20_000
    if suffix != "svg":
        return
    draw(subject("f1"), tmp_path / "other.svg")
    assert data == (tmp_path / "other.svg").read_bytes()
    parts = ["f1", "prevalence 0.1", "perfect: 1", "all positive: 0.182", "surrogate amplified"]
    parts += ["slope dA/dz", "L = 10, threshold = 0.5", "|z| &lt; 2.81", "FPR, share"]
    for part in parts:
        assert part in data.decode(), part


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_files_are_the_same_every_time(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
    for path in (one, other):
        draw(subject("f1"), path)
    assert one.read_bytes() == other.read_bytes()


def test_values_and_gradients_by_hand() -> None:
    """F1 = 2 pi t/(pi t + pi + (1 - pi) f), and its slopes in f and t."""
    field = Field(Hard(subject("f1", prevalence=0.2)), 1)
    f, t = np.array([0.1, 0.6, 0.9]), np.array([0.7, 0.2, 0.5])
    below = 0.2 * t + 0.2 + 0.8 * f
    assert field.at(f, t)[0] == pytest.approx(2 * 0.2 * t / below)
    axes = axes_of(subject("f1", prevalence=0.2))
    (arrows,) = (c for c in axes.collections if type(c).__name__ == "Quiver")
    f, t = arrows.XY.T
    below = 0.2 * t + 0.2 + 0.8 * f
    by_f, by_t = -2 * 0.2 * t * 0.8 / below**2, 0.4 / below - 2 * 0.2 * t * 0.2 / below**2
    assert len(f) == 144
    assert np.arctan2(arrows.V, arrows.U) == pytest.approx(np.arctan2(by_t, by_f), abs=1e-6)


def test_arrows_point_to_what_is_better() -> None:
    axes = axes_of(subject("FN + 5*FP"))
    (arrows,) = (c for c in axes.collections if type(c).__name__ == "Quiver")
    assert (arrows.U < 0).all() and (arrows.V > 0).all()
    # 100 positives and 900 negatives of a thousand; a positive costs 1, a negative 5.
    assert np.tan(np.arctan2(arrows.V, arrows.U)) == pytest.approx(-100 / (5 * 900), rel=1e-6)
    assert axes.get_xlabel() == "FP, of 900 negatives"
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "100"
    assert "perfect: 0" in texts(axes) and "all wrong: 4600" in texts(axes)


def test_where_there_is_no_value() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.patches import Rectangle

    def hatched(formula: str) -> tuple[int, int]:
        axes = axes_of(subject(formula))
        bands = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_hatch()]
        crosses = [line for line in axes.lines if line.get_marker() == "X"]
        return len(bands), len(crosses)

    assert hatched("f1") == (0, 0)
    assert hatched("mcc") == (0, 2)  # all positive, all negative
    assert hatched("log_odds_ratio") == (4, 2)
    assert hatched("precision") == (0, 1)
    words = texts(axes_of(subject("log_odds_ratio")))
    assert {"perfect: ∞", "all wrong: −∞", "all negative: no value"} <= set(words)


def test_best_and_worst() -> None:
    """Recall's best is reached by the perfect prediction, and by all positive."""
    axes = axes_of(subject("recall"))
    places: dict[str, set[tuple[float, float]]] = {"*": set(), "v": set()}
    for line in axes.lines:
        if line.get_marker() in places:
            places[line.get_marker()].add((line.get_xdata()[0], line.get_ydata()[0]))
    assert places == {"*": {(0, 1), (1, 1)}, "v": {(0, 0), (1, 0)}}


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("f1", {"task": "multiclass"}),
    ("per_class(f1)", {"task": "multilabel"}),
    ("f(beta) = TP/(TP + beta*FP + FN)", {"surrogate": "straight_through"}),
    ("0.5*bce + 0.5*(1 - f1)", {"surrogate": "amplified(thresholds=[0.2, 0.8])"}),
    ("FN[amount] + 5*FP", {"surrogate": "s(k = 3) = p^k"}),
    ("log(TP*TN - FN*FP)", {"surrogate": "score_oriented(cosine)"}),
    ("diagnostic_odds_ratio", {"prevalence": 0.001}),
]


@pytest.mark.parametrize(("formula", "options"), KINDS)
def test_every_kind_is_painted(formula: str, options: dict[str, Any]) -> None:
    axes = axes_of(subject(formula, **options))
    assert len(texts(axes)) == 5 and axes.get_legend() is not None


@pytest.mark.slow
@pytest.mark.parametrize(("formula", "options"), KINDS)
def test_every_kind_is_drawn(formula: str, options: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(subject(formula, **options), tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 20_000


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(MetriccError, match=r"MC0501.*\n.*png"):
        check_path(tmp_path / "x.gif")
    with pytest.raises(MetriccError, match="MC0501: no prediction changes"):
        draw(subject("(TP + FN)/(TP + FN + FP + TN)"), tmp_path / "x.png")
    with pytest.raises(MetriccError, match="MC0501: metric has no finite value"):
        draw(subject("log(TP - FP - TN)"), tmp_path / "x.png")
    with pytest.raises(MetriccError, match="MC0503: cannot write"):
        draw(subject("f1"), tmp_path / "missing" / "x.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MetriccError, match=r"MC0508.*\n.*pip install matplotlib"):
        check_path(tmp_path / "x.png")
