"""Surrogates: the functions A, by hand in NumPy, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import metricc
from metricc.errors import MetriccError
from metricc.surrogates import SURROGATES, surrogate

torch = pytest.importorskip("torch")
Array = NDArray[np.float64]
P = np.linspace(0, 1, 401)


def uniform(p: Array, mu: float = 0.5, delta: float = 0.25) -> Array:
    """Marchetti et al. 2022: the share of thresholds around mu, up to delta away, below p."""
    grid = np.linspace(mu - delta, mu + delta, 20_001)
    return np.asarray([(grid < x).mean() for x in p])


def cosine(p: Array, mu: float = 0.5, delta: float = 0.1) -> Array:
    """The integral of the raised cosine density, summed numerically."""
    grid = np.linspace(mu - delta, mu + delta, 20_001)
    density = (1 + np.cos(np.pi * (grid - mu) / delta)) / (2 * delta)
    mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    return np.interp(p, grid, mass, left=0, right=1)


def heaviside(p: Array, delta: float = 0.1, threshold: float = 0.5) -> Array:
    """Tsoi et al. 2022: straight lines through four points."""
    width = min(threshold, 1 - threshold)
    knots = [0, threshold - width / 2, threshold + width / 2, 1]
    return np.interp(p, knots, [0, delta, 1 - delta, 1])


def soft_counts(name: str, p: Array, **arguments: float) -> tuple[Array, Array]:
    """A of each probability and its slope, by the loss of a metric that is A itself."""
    loss = metricc.loss("TP/POP", surrogate=name, from_probabilities=True, **arguments)
    x = torch.tensor(p, requires_grad=True)
    values = torch.stack([1 - loss(e.reshape(1).repeat(2), torch.tensor([1.0, 0.0])) for e in x])
    (slopes,) = torch.autograd.grad(values.sum(), x)
    return 2 * values.detach().numpy(), 2 * slopes.numpy()


@pytest.mark.parametrize(
    ("name", "by_hand", "arguments"),
    [
        ("score_oriented(uniform)", uniform, {}),
        ("score_oriented(uniform)", uniform, {"mu": 0.3, "delta": 0.2}),
        ("score_oriented(cosine)", cosine, {}),
        ("score_oriented(cosine)", cosine, {"mu": 0.6, "delta": 0.3}),
        ("heaviside", heaviside, {}),
        ("heaviside", heaviside, {"delta": 0.05, "threshold": 0.2}),
        ("heaviside", heaviside, {"delta": 0.4, "threshold": 0.8}),
    ],
)
def test_the_function(
    name: str, by_hand: Callable[..., Array], arguments: dict[str, float]
) -> None:
    p = P[1:-1] + 1e-4
    values, slopes = soft_counts(name, p, **arguments)
    assert values == pytest.approx(by_hand(p, **arguments), abs=2e-4)
    step = 1e-5
    difference = (by_hand(p + step, **arguments) - by_hand(p - step, **arguments)) / (2 * step)
    if by_hand is not uniform:  # whose share by hand comes in steps
        assert np.median(abs(slopes - difference)) < 1e-3
    assert (slopes >= 0).all()


@pytest.mark.parametrize("name", SURROGATES)
def test_shape(name: str) -> None:
    values, slopes = soft_counts(name, P)
    assert (np.diff(values) >= 0).all() and (slopes >= 0).all()
    assert values[0] < 0.01 and values[-1] > 0.99
    assert values[200] == pytest.approx(0.5)
    assert values + values[::-1] == pytest.approx(np.ones_like(P))


def test_heaviside_never_stops_learning() -> None:
    _, slopes = soft_counts("heaviside", P)
    assert slopes.min() > 0.1


@pytest.mark.parametrize(
    ("text", "written", "defaults"),
    [
        ("amplified", "amplified", {"L": 10.0, "threshold": 0.5}),
        ("amplified(L=10)", "amplified", {"L": 10.0, "threshold": 0.5}),
        (" amplified( L = 73 ) ", "amplified(L=73)", {"L": 73.0, "threshold": 0.5}),
        (
            "score_oriented(cosine, delta=0.2)",
            "score_oriented(cosine, delta=0.2)",
            {"mu": 0.5, "delta": 0.2},
        ),
        (
            "heaviside(threshold=.3,delta=.2)",
            "heaviside(delta=0.2, threshold=0.3)",
            {"delta": 0.2, "threshold": 0.3},
        ),
    ],
)
def test_how_they_are_written(text: str, written: str, defaults: dict[str, float]) -> None:
    row = surrogate(text)
    assert (str(row), row.defaults) == (written, defaults)
    assert surrogate(str(row)) == row


def test_other_defaults_are_the_constructors(tmp_path: Any) -> None:
    m = metricc.compile("f1", surrogate="amplified(L=73)", name="sharp")
    assert m.loss().L == 73.0 and m.loss(L=4.0).L == 4.0
    z, y = torch.tensor([0.3, -0.2]), torch.tensor([1.0, 0.0])
    assert m.loss()(z, y) == metricc.loss("f1", L=73.0)(z, y)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hard", "surrogate cannot be 'hard'"),
        ("score_oriented", "surrogate cannot be"),
        ("score_oriented(square)", "surrogate cannot be"),
        ("amplified(L=-1)", "L = -1 lies outside (0, 1e+06)"),
        ("amplified(L=x)", "L = x is no number"),
        ("amplified(L=nan)", "L = nan lies outside"),
        ("amplified(delta=1)", "no argument 'delta'"),
        ("soft(L=1)", "it has none"),
        ("__import__('os')", "MC0102"),
        ("amplified(thresholds=[0.2, 2])", "thresholds = 2 lies outside (0, 1)"),
        ("amplified(thresholds=[a])", "such as thresholds=[0.2, 0.5]"),
        ("straight_through(hard)", "surrogate cannot be"),
        ("soft + 1", "`soft` is not known"),
        ("p^", "MC0101"),
        ("p/TP", "`TP` is not known"),
        ("0.5", "neither p nor z"),
        ("1 - p", "MC0308"),
        ("2*p", "reaches from 0 to 2"),
        ("0.5 + 0*p", "stays level"),
        ("sqrt(p - 0.5)", "has no value somewhere"),
        ("s(weight = 2) = p^weight", "MC0207"),
        ("s(k = 2) = p^k; s(3)", "one statement"),
        ("p\np", "MC0107"),
        ("macro(p)", "`macro` is not known"),
    ],
)
def test_what_is_no_surrogate_is_refused(text: str, words: str) -> None:
    with pytest.raises(MetriccError) as caught:
        metricc.compile("f1", surrogate=text)
    assert words in str(caught.value)
