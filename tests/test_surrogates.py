"""Surrogates: the functions A, by hand in NumPy, and how they are written."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import metricc
from metricc.errors import MetriccError
from metricc.functions import ELEMENTWISE, GENERATED_NAMES, SIGNATURE_WORDS
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
        ("straight_through(hard(L=2))", "surrogate cannot be"),
        ("if p < 0.5 then 0 else 1", "slope is 0 everywhere"),
        ("s(a = 2) = p^a", "`a` is a name of the generated file"),
        ("s(lambda = 2) = p^lambda", "Python keyword"),
        ("s(forward = 2) = p^forward", "attribute of torch.nn.Module"),
        ("s(k = 2, k = 3) = p^k", "MC0205"),
        ("s(k = 9 in (1, 5)) = p^k", "MC0210"),
        ("s(k) = p^k", "has no default"),
        ("s(i=1, j=1, k=1, r=1, o=1) = p^(i*j*k*r*o)", "at most 4"),
        ("p^(9^9^9)", "MC0405"),
        ("a" + " " * 50_000 + "!", "MC0401"),
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


# -- lists of centres, decisions, formulas ---------------------------------------------------------


def random_batch(task: str = "binary") -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    if task == "multiclass":
        return z, torch.randint(0, 3, (40,), generator=generator)
    return z, (torch.rand(40, 3, generator=generator) < 0.3).double()


def gradient(loss: Callable[..., torch.Tensor], z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    leaf = z.clone().requires_grad_()
    loss(leaf, y).backward()
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize(
    ("name", "centre", "by_hand"),
    [
        ("heaviside", "threshold", heaviside),
        ("score_oriented(cosine)", "mu", cosine),
        ("score_oriented(uniform)", "mu", uniform),
    ],
)
def test_a_list_of_centres_is_the_mean(
    name: str, centre: str, by_hand: Callable[..., Array]
) -> None:
    centres = (0.3, 0.5, 0.6)
    text = f"{name.rstrip(')')}{', ' if '(' in name else '('}{centre}s=[0.3, 0.5, 0.6])"
    p = P[1:-1] + 1e-4
    values, slopes = soft_counts(text, p)
    assert values == pytest.approx(
        np.mean([by_hand(p, **{centre: c}) for c in centres], axis=0), abs=2e-4
    )
    one = [soft_counts(name, p, **{centre: c}) for c in centres]
    assert slopes == pytest.approx(np.mean([s for _, s in one], axis=0), abs=1e-12)
    assert str(surrogate(text)) == text
    loss = metricc.loss("f1", surrogate=text)
    assert getattr(loss, f"{centre}s") == centres
    loss.set_surrogate(**{f"{centre}s": (0.25,)})
    z, y = random_batch()
    assert loss(z, y) == metricc.loss("f1", surrogate=name, **{centre: 0.25})(z, y)


@pytest.mark.parametrize("inner", ["soft", "amplified", "heaviside", "score_oriented(cosine)"])
@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_straight_through_counts_decisions(task: str, inner: str) -> None:
    """Forward the hard metric, backward the gradient of hard + soft - soft.detach()."""
    z, y = random_batch(task)
    head, _, prior = inner.rstrip(")").partition("(")
    text = f"straight_through({', '.join([head, *[prior] * bool(prior)])})"
    loss = metricc.loss("macro(f1)", task=task, surrogate=text)
    labels = torch.nn.functional.one_hot(y, 3).double() if task == "multiclass" else y

    def plain(z: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        p = torch.softmax(z, 1) if task == "multiclass" else torch.sigmoid(z)
        hard = (p > 0.5).double()
        if task == "multiclass":
            hard = torch.nn.functional.one_hot(p.argmax(1), 3).double()
        soft = {
            "soft": lambda: p,
            "amplified": lambda: torch.sigmoid(10 * (p - 0.5)),
            "heaviside": lambda: torch.where(
                p < 0.25, 0.4 * p, torch.where(p > 0.75, 0.6 + 0.4 * p, 0.5 + 1.6 * (p - 0.5))
            ),
            "score_oriented(cosine)": lambda: sol(((p - 0.5) / 0.1).clamp(-1, 1)),
        }[inner]()
        a = hard + soft - soft.detach()
        dims = None if task == "binary" else 0
        tp, fn = (labels * a).sum(dims), (labels * (1 - a)).sum(dims)
        fp, tn = ((1 - labels) * a).sum(dims), ((1 - labels) * (1 - a)).sum(dims)
        f1 = 2 * tp / (2 * tp + fn + fp)
        f1 = (f1 + 2 * tn / (2 * tn + fn + fp)) / 2 if task == "binary" else f1
        return 1 - f1.mean()

    assert loss(z, y).item() == pytest.approx(plain(z, y).item(), rel=1e-12)
    torch.testing.assert_close(gradient(loss, z, y), gradient(plain, z, y), rtol=1e-10, atol=1e-14)


def sol(u: torch.Tensor) -> torch.Tensor:
    return (1 + u + torch.sin(torch.pi * u) / torch.pi) / 2


def test_hard_counts_of_zero_do_not_explode() -> None:
    """The slope of a root has no bound at 0, where hard counts often are."""
    z, y = torch.tensor([-3.0, -2, -1, -4]), torch.tensor([1.0, 1, 0, 0])
    for formula in ("gmean", "fowlkes_mallows", "-log(f1)"):
        grads = gradient(metricc.loss(formula, surrogate="straight_through"), z, y)
        assert grads.abs().max() < 1e3


@pytest.mark.parametrize(
    ("formula", "named"),
    [
        ("1/(1+exp(-L*(p-0.5)))", "amplified"),
        ("1/(1+exp(-L*(p-threshold)))", "amplified"),
        ("p", "soft"),
        ("1/(1 + exp(-z))", "soft"),
        ("min(1, max(0, (p - mu + width)/(2*width)))", "score_oriented(uniform)"),
    ],
)
@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_a_formula_is_the_surrogate_that_it_says(formula: str, named: str, task: str) -> None:
    if task == "multiclass" and "z" in formula:
        with pytest.raises(MetriccError, match="write the surrogate in p"):
            metricc.compile("f1", task=task, surrogate=formula)
        return
    text = f"s(width = 0.25, mu = 0.5) = {formula}" if "width" in formula else formula
    z, y = random_batch(task)
    one, other = (metricc.loss("f1", task=task, surrogate=s) for s in (text, named))
    assert one(z, y).item() == pytest.approx(other(z, y).item(), rel=1e-12)
    torch.testing.assert_close(gradient(one, z, y), gradient(other, z, y), rtol=1e-10, atol=1e-15)


def test_a_formula_is_accurate_far_from_its_centre() -> None:
    """1 - A and the slope of a steep logistic in float32, where p is 1e-13 away from 0."""
    z = torch.tensor([-30.0, 30.0, 0.2, -0.1], requires_grad=True)
    y = torch.tensor([1.0, 0.0, 1.0, 0.0])
    one = metricc.loss("f1", surrogate="1/(1+exp(-L*(p-0.5)))", L=73.0)
    exact = gradient(metricc.loss("f1", L=73.0), z.detach().double(), y.double())
    found = gradient(one, z.detach(), y)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


def test_no_argument_is_overwritten_by_a_local() -> None:
    """Every name that is assigned where arguments of surrogates and losses come is refused."""
    known = ELEMENTWISE | GENERATED_NAMES | SIGNATURE_WORDS
    for task in ("binary", "multilabel", "multiclass"):
        for per in ("batch", "sample"):
            for probabilities in (False, True):
                source = metricc.compile(
                    "m(marked = 2 in [0, inf)) = focal(marked) + 1 - f1",
                    task=task,
                    per=per,
                    from_probabilities=probabilities,
                    surrogate="s(steep = 3 in (1, 9)) = p^steep",
                ).source
                for function in ast.walk(ast.parse(source)):
                    if not isinstance(function, ast.FunctionDef):
                        continue
                    own = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
                    if not own & {"marked", "steep", "gamma"} or function.name == "set_surrogate":
                        continue
                    stored = {
                        node.id
                        for node in ast.walk(function)
                        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                    }
                    inner = {"marked", "steep", "gamma", "x1", "x2", "x3", "x4", "x5"}
                    assert stored - own - inner <= known, function.name


def test_arguments_of_a_formula() -> None:
    m = metricc.compile("f1", surrogate="power(k = 3 in (1, inf)) = p^k", name="p3")
    assert "A(p) = p^k" in m.source and "It rises from 0 to 1." in m.source
    loss = m.loss(k=2.0)
    loss.set_surrogate(k=4.0)
    z, y = random_batch()
    assert loss(z, y) == m.loss(k=4.0)(z, y)
    with pytest.raises(ValueError, match="k must lie in"):
        m.loss(k=0.5)
    with pytest.raises(MetriccError, match="argument of the metric and of the surrogate"):
        metricc.compile("fbeta", surrogate="s(beta = 1 in (0, inf)) = p^beta")
