"""What the Triton kernels compute, against NumPy by hand: on a GPU, or under Triton's interpreter.

`test_triton.py` runs this file in a process of its own, because TRITON_INTERPRET is read when
Triton is imported. Derivatives of the metrics are complex steps, sigmoids are taken in long double.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import metricc

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip("needs CUDA, or TRITON_INTERPRET=1", allow_module_level=True)

Array = np.ndarray[Any, Any]
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
ALLOWED = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}


# The metrics by hand, on counts that may be complex.


def f1(tp: Any, fn: Any, fp: Any, tn: Any) -> Any:
    return 2 * tp / (2 * tp + fn + fp)


def f_beta(tp: Any, fn: Any, fp: Any, tn: Any) -> Any:
    return 1.49 * tp / (1.49 * tp + 0.49 * fn + fp)  # beta = 0.7


def mcc(tp: Any, fn: Any, fp: Any, tn: Any) -> Any:
    return (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))


def strange(tp: Any, fn: Any, fp: Any, tn: Any) -> Any:
    return np.log(1 + tp / (tp + fn)) * (tn / (tn + fp)) ** 1.5 + (tp / (tp + fp)) ** 3


def recall(tp: Any, fn: Any, fp: Any, tn: Any) -> Any:
    return tp / (tp + fn)


STRANGE = "log(1 + TP/(TP + FN))*(TN/(TN + FP))^1.5 + (TP/(TP + FP))^3"
BINARY: dict[str, tuple[str, dict[str, Any], Callable[..., Any]]] = {
    "f1": ("f1", {}, f1),
    "fbeta": ("fbeta", {"beta": 0.7}, f_beta),
    "mcc": ("mcc", {}, mcc),
    "strange": (STRANGE, {}, strange),
}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.longdouble)))


def softmax(z: Array) -> Array:
    e = np.exp(z.astype(np.longdouble) - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def others(p: Array) -> Array:
    """1 - p by class without cancellation."""
    return np.stack([np.delete(p, k, 1).sum(1) for k in range(p.shape[1])], 1)


def curve(p: Array, q: Array, surrogate: str, L: float, tau: float) -> tuple[Array, Array, Array]:
    """A(p), 1 - A(p) and dA/dp."""
    if surrogate == "soft":
        return p, q, np.ones_like(p)
    t = np.longdouble(L) * (p - np.longdouble(tau))
    a, b = sigmoid(t), sigmoid(-t)
    return a, b, L * a * b


def slopes(metric: Callable[..., Any], counts: Array) -> Array:
    """The derivatives of a metric in each of its counts, (4, ...)."""
    found = np.zeros(counts.shape)
    for at in np.ndindex(*counts.shape):
        moved = counts.astype(complex)
        moved[at] += 1e-30j
        found[at] = np.imag(metric(*moved)) / 1e-30
    return found


def by_hand(
    metric: Callable[..., Any],
    z: Array,
    y: Array,
    v: Array | None = None,
    *,
    axes: tuple[int, ...] | None = None,
    surrogate: str = "amplified",
    L: float = 10.0,
    threshold: float = 0.5,
    smax: bool = False,
    given: bool = False,
    added: Callable[[Array], Array] | None = None,
) -> tuple[float, Array]:
    """1 - metric of the counts, summed over `axes` (all), and its gradient in z.

    `added` is what an absent class adds to the counts, constant in them.
    """
    axes = tuple(range(z.ndim)) if axes is None else axes
    v = np.ones_like(y) if v is None else np.broadcast_to(v, y.shape)
    if given:
        p, q, inner = z.astype(np.longdouble), 1 - z.astype(np.longdouble), np.ones_like(z)
    elif smax:
        p = softmax(z)
        q, inner = others(p), np.ones_like(z)
    else:
        p, q = sigmoid(z), sigmoid(-z)
        inner = p * q
    a, b, slope = curve(p, q, surrogate, L, threshold)
    parts = (v * y * a, v * y * b, v * (1 - y) * a, v * (1 - y) * b)
    counts = np.stack([part.sum(axes) for part in parts]).astype(float)
    seen = counts + (0 if added is None else added(counts))
    d = slopes(metric, seen)
    plus, minus = d[0] - d[1], d[3] - d[2]
    if len(axes) < z.ndim:
        wide = [1 if i in axes else size for i, size in enumerate(z.shape)]
        plus, minus = plus.reshape(wide), minus.reshape(wide)
    g = -(y * plus - (1 - y) * minus) * slope
    if smax:  # g_k - sum_j p_j g_j, by differences
        C = range(g.shape[1])
        g = p * sum(p[:, j : j + 1] * (g - g[:, j : j + 1]) for j in C)
    return float(1 - np.real(metric(*seen))), (v * g * inner).astype(float)


def diagonal(counts: Array) -> Array:
    """One unit in TP and TN where there are no positives or no negatives."""
    tp, fn, fp, tn = counts
    missing = ((tp + fn == 0) | (fp + tn == 0)).astype(float)
    return np.stack([missing, 0 * missing, 0 * missing, missing])


# Running and comparing.


@cache
def generated(formula: str, **options: Any) -> ModuleType:
    compiled = metricc.compile(formula, name="x", target="triton", maximize=True, **options)
    assert "class _XTriton" in compiled.source
    module = compiled.module()
    # On a GPU there are several of both anyway.
    if INTERPRETED:
        module._TILE, module._PROGRAMS = 32, 3
    return module


def kernels(module: ModuleType, z: Any, *args: Any, **kwargs: Any) -> tuple[float, Array]:
    """Loss and gradient of twice the loss, halved again, by the kernels."""
    z = z.detach().to(DEVICE).requires_grad_()
    moved = {k: v.to(DEVICE) if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}
    loss = module.x_loss(z, *(a.to(DEVICE) for a in args), **moved)
    assert type(loss.grad_fn).__name__ == "_XTritonBackward"
    (2 * loss).backward()
    assert z.grad.shape == z.shape and z.grad.dtype == z.dtype
    return loss.item(), z.grad.double().cpu().numpy() / 2


def close(
    found: tuple[float, Array], wanted: tuple[float, Array], dtype: torch.dtype, row: bool = False
) -> None:
    """`row`: a softmax subtracts gradients of a row, which cancel to that row's precision."""
    allowed = ALLOWED[dtype]
    loss = 1e-12 if dtype == torch.float64 else 2e-6  # of a float32 loss
    assert abs(found[0] - wanted[0]) <= loss * max(1, abs(wanted[0]))
    least = max(1e-36, float(torch.finfo(dtype).tiny))  # exp(-|z|) of float32 ends there
    size = np.abs(wanted[1])
    size = np.maximum(size, size.max(1, keepdims=True) / 10) if row else size
    measured = np.abs(found[1] - wanted[1])
    assert (measured <= allowed * size + 2 * least / allowed).all(), (measured / size).max()


def batch(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
    """Logits of a type, and labels."""
    rng = np.random.default_rng(seed)
    z = torch.tensor(3 * rng.normal(size=shape)).to(dtype)
    return z, torch.tensor(rng.random(shape) < 0.3)


def exact(x: Any) -> Array:
    """A tensor's numbers in float64."""
    return x.double().numpy()


# One table.


OF_TYPES = [(name, torch.float64) for name in BINARY] + [("f1", d) for d in DTYPES[1:]]


@pytest.mark.parametrize("name, dtype", [*OF_TYPES, ("mcc", torch.float32)], ids=str)
def test_one_table(name: str, dtype: torch.dtype) -> None:
    formula, parameters, metric = BINARY[name]
    z, y = batch(300, dtype=dtype)
    wanted = by_hand(metric, exact(z), exact(y))
    close(kernels(generated(formula), z, y, **parameters), wanted, dtype)


@pytest.mark.parametrize(
    "n", [1, 32, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 31, 33))]
)
def test_sizes_around_a_tile(n: int) -> None:
    z, y = batch(n)
    y[0], y[-1] = True, n == 1
    added = diagonal if n == 1 else None
    close(kernels(generated("f1"), z, y), by_hand(f1, exact(z), exact(y), added=added), z.dtype)


def test_parameters_named_as_the_kernels_name_their_own() -> None:
    names = [
        "a",
        "n",
        "x",
        "g",
        "size",
        "partial",
        "program",
        "block",
        "graph",
        "M",
        "tl",
        "triton",
    ]
    heads = ", ".join(f"{name} = {i + 1}" for i, name in enumerate(names))
    weights = " + ".join(f"{name}*{'TP FN FP TN'.split()[i % 4]}" for i, name in enumerate(names))
    formula = f"h({heads}) = (TP + tl*TN)/({weights})"

    def h(tp: Any, fn: Any, fp: Any, tn: Any) -> Any:
        return (tp + 11 * tn) / (15 * tp + 18 * fn + 21 * fp + 24 * tn)

    z, y = batch(100)
    close(kernels(generated(formula), z, y), by_hand(h, exact(z), exact(y)), torch.float64)


@pytest.mark.parametrize("L, threshold", [(1.0, 0.5), (73.0, 0.5), (10.0, 0.3), (73.0, 0.9)])
@pytest.mark.parametrize("given", [False, True])
def test_arguments_of_the_surrogate(L: float, threshold: float, given: bool) -> None:
    module = generated("f1", from_probabilities=given)
    for dtype in (torch.float64, torch.float32):
        z, y = batch(100, dtype=dtype)
        z = torch.sigmoid(z) if given else z
        wanted = by_hand(f1, exact(z), exact(y), L=L, threshold=threshold, given=given)
        found = kernels(module, z, y, L=L, threshold=threshold)
        if dtype == torch.float64:
            close(found, wanted, dtype)
        else:  # L p is rounded to float32
            np.testing.assert_allclose(found[1], wanted[1], rtol=1e-7 * L + 1e-5)


@pytest.mark.parametrize("given", [False, True])
def test_soft(given: bool) -> None:
    z, y = batch(100)
    z = torch.sigmoid(z) if given else z
    wanted = by_hand(mcc, exact(z), exact(y), surrogate="soft", given=given)
    found = kernels(generated("mcc", surrogate="soft", from_probabilities=given), z, y)
    close(found, wanted, torch.float64)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float16], ids=str)
def test_targets_of_every_type(dtype: torch.dtype) -> None:
    z, y = batch(50)
    found = kernels(generated("f1"), z, y.to(dtype))
    close(found, by_hand(f1, exact(z), exact(y)), torch.float64)


def test_soft_labels_weights_masks_and_ignored_labels() -> None:
    module = generated("mcc")
    rng = np.random.default_rng(1)
    z, _ = batch(20, 5)
    y, v = rng.random((20, 5)), rng.random((20, 5))
    keep = rng.random((20, 5)) < 0.8
    y[3, 2] = -7
    z[~torch.tensor(keep)] = float("nan")
    found = kernels(
        module,
        z,
        torch.tensor(y),
        weight=torch.tensor(v),
        mask=torch.tensor(keep),
        ignore_index=-7,
    )
    kept = keep & (y != -7)
    z[~torch.tensor(kept)] = 0
    wanted = by_hand(mcc, exact(z), np.where(kept, y, 0), np.where(kept, v, 0))
    close(found, wanted, torch.float64)
    # Weights of samples, and smoothed labels.
    z, y = batch(20, 5)
    y = y.double()
    found = kernels(module, z, y, weight=torch.tensor(v[:, 0]), label_smoothing=0.1)
    wanted = by_hand(mcc, exact(z), exact(y) * 0.9 + 0.05, v[:, :1])
    close(found, wanted, torch.float64)


@pytest.mark.parametrize("absent", ["diagonal", "skip", "zero"])
@pytest.mark.parametrize("label", [0, 1])
def test_no_positives_or_no_negatives(absent: str, label: int) -> None:
    z, _ = batch(40)
    y = torch.full((40,), label)
    found = kernels(generated("f1"), z, y, absent=absent, smooth=0.5)
    if absent == "diagonal":
        wanted = by_hand(f1, exact(z), exact(y), added=lambda c: diagonal(c) + 0.5)
        close(found, wanted, torch.float64)
    else:  # learned from by neither; skipped as a perfect answer
        right = 40.0 + 1.5
        counts = (right, 0.5, 0.5, 1.5) if label else (1.5, 0.5, 0.5, right)
        total = 1 - f1(*counts) if absent == "skip" else 1.0
        assert found[0] == pytest.approx(total, abs=1e-12)
        assert not found[1].any()


def test_an_empty_batch() -> None:
    z, y = batch(0)
    loss, gradient = kernels(generated("f1"), z, y)
    assert loss == 0 and gradient.shape == (0,)
    loss, gradient = kernels(generated("f1"), z.reshape(0, 4), y.reshape(0, 4), absent="zero")
    assert loss == 1 and gradient.shape == (0, 4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_huge_logits(dtype: torch.dtype) -> None:
    z = torch.tensor([1e4, -1e4, 1e4, -1e4, 0.0, 88.0, -88.0, 700.0]).to(dtype)
    y = torch.tensor([1, 0, 0, 1, 1, 0, 1, 0])
    for name, (formula, parameters, metric) in BINARY.items():
        found = kernels(generated(formula), z, y, **parameters)
        assert np.isfinite(found[0]) and np.isfinite(found[1]).all(), name
        if dtype == torch.float64:
            close(found, by_hand(metric, exact(z), exact(y)), dtype)


def test_memory_in_another_order() -> None:
    module = generated("f1")
    z, y = batch(12, 9)
    v = torch.rand(9, 12, dtype=torch.float64)
    wanted = by_hand(f1, exact(z.T), exact(y.T), v.numpy())
    close(kernels(module, z.T, y.T, weight=v), wanted, torch.float64)
    wide, labels = batch(40, 3)
    wanted = by_hand(f1, exact(wide[::2]), exact(labels[::2]))
    close(kernels(module, wide[::2], labels[::2]), wanted, torch.float64)


def test_the_same_bits_every_time_and_programs_are_counted_anew() -> None:
    module = generated("mcc")
    z, y = batch(1000 if INTERPRETED else 3_000_000, dtype=torch.float32)
    first = kernels(module, z, y)
    small, few = batch(5, dtype=torch.float32)
    kernels(module, small, few)  # another number of programs between
    for _ in range(2):
        again = kernels(module, z, y)
        assert again[0] == first[0] and (again[1] == first[1]).all()
    close(first, by_hand(mcc, exact(z), exact(y)), torch.float32)
    assert all(arrived.item() == 0 for _, arrived in module._WORKSPACES.values())


def test_upstream_gradients() -> None:
    module = generated("f1")
    z, y = batch(20)
    z = z.to(DEVICE).requires_grad_()
    y = y.to(DEVICE)
    (one,) = torch.autograd.grad(module.x_loss(z, y), z)
    (scaled,) = torch.autograd.grad(-3.5 * module.x_loss(z, y), z)
    torch.testing.assert_close(scaled, -3.5 * one, rtol=1e-14, atol=0)
    (none,) = torch.autograd.grad(float("nan") * module.x_loss(z, y), z)
    assert none.isnan().all()  # GradScaler looks for it
    loss = module.x_loss(z, y)
    loss.backward(retain_graph=True)
    loss.backward()
    torch.testing.assert_close(z.grad, 2 * one, rtol=1e-14, atol=0)


def test_half_gradients_saturate() -> None:
    module = generated("f1")
    z = torch.zeros(2, dtype=torch.float16, device=DEVICE, requires_grad=True)
    y = torch.tensor([1, 0], device=DEVICE)
    (1e7 * module.x_loss(z, y)).backward()
    assert z.grad is not None and z.grad.tolist() == [-65504.0, 65504.0]


def test_binary_cross_entropy_beside_the_metric() -> None:
    module = generated("0.5*f1 - 0.5*bce")
    for dtype in (torch.float64, torch.float32):
        z, y = batch(100, dtype=dtype)
        v = torch.rand(100, dtype=torch.float64)
        loss, gradient = by_hand(f1, exact(z), exact(y), v.numpy())
        x, labels, w = exact(z), exact(y), v.numpy()
        bce = (w * (np.logaddexp(0, x) - labels * x)).sum() / w.sum()
        slope = w * (sigmoid(x) - labels) / w.sum()
        wanted = (1 - (0.5 * (1 - loss) - 0.5 * bce), 0.5 * gradient + 0.5 * slope.astype(float))
        close(kernels(module, z, y, weight=v), wanted, dtype)


# Classes.


def macro(metric: Callable[..., Any], share: Array | None = None) -> Callable[..., Any]:
    def mean(*counts: Array) -> Any:
        values = metric(*counts)
        weight = np.ones(len(values)) if share is None else share
        return (weight * values).sum() / weight.sum()

    return mean


def weighted(*counts: Array) -> Any:
    support = counts[0] + counts[1]
    return (support * f1(*counts)).sum() / support.sum()


def micro(*counts: Array) -> Any:
    return f1(*(count.sum() for count in counts))


def geomean(*counts: Array) -> Any:
    return np.exp(np.log(recall(*counts)).mean())


def worst(*counts: Array) -> Any:
    values = recall(*counts)
    return values[np.argmin(values.real)]


def rk(tp: Array, fn: Array, fp: Array, tn: Array) -> Any:
    """Gorodkin's correlation by the margins."""
    total, right = (tp + fn).sum(), tp.sum()
    true, predicted = tp + fn, tp + fp
    top = right * total - (true * predicted).sum()
    return top / np.sqrt((total**2 - (predicted**2).sum()) * (total**2 - (true**2).sum()))


CLASSES: dict[str, tuple[str, Callable[..., Any]]] = {
    "macro": ("macro(f1)", macro(f1)),
    "weighted": ("weighted(f1)", weighted),
    "micro": ("micro(f1)", micro),
    "geomean": ("geomean(recall)", geomean),
    "worst": ("worst(recall)", worst),
    "two": ("(macro(mcc) + micro(f1))/2", lambda *c: (macro(mcc)(*c) + micro(*c)) / 2),
}


def axes_of(z: Any) -> tuple[int, ...]:
    return (0, *range(2, z.ndim))


SHAPES = ((40, 5), (3, 5, 7), (2, 3, 9, 9))
NAMED = [(name, SHAPES[i % 2]) for i, name in enumerate(CLASSES)]


@pytest.mark.parametrize(
    "name, shape",
    [
        *(pytest.param(*case, marks=[pytest.mark.slow] * (i % 2)) for i, case in enumerate(NAMED)),
        ("macro", SHAPES[2]),
    ],
)
def test_sigmoid_classes(name: str, shape: tuple[int, ...]) -> None:
    formula, metric = CLASSES[name]
    z, y = batch(*shape)
    found = kernels(generated(formula, task="multilabel"), z, y)
    close(found, by_hand(metric, exact(z), exact(y), axes=axes_of(z)), torch.float64)


def labels_of(*shape: int, classes: int) -> Any:
    rng = np.random.default_rng(2)
    y = rng.integers(0, classes, shape)
    y.reshape(-1)[:classes] = np.arange(min(classes, y.size))
    hot = np.moveaxis(np.eye(classes)[y], -1, 1)
    return torch.tensor(y), hot


@pytest.mark.parametrize(
    "name, shape, surrogate",
    [
        *(
            pytest.param(*case, "soft", marks=[pytest.mark.slow] * (i % 2 == 0))
            for i, case in enumerate(NAMED)
        ),
        ("macro", SHAPES[2], "soft"),
        ("macro", SHAPES[1], "amplified"),
    ],
)
def test_softmax_classes(name: str, shape: tuple[int, ...], surrogate: str) -> None:
    formula, metric = CLASSES[name]
    z, _ = batch(*shape)
    y, hot = labels_of(shape[0], *shape[2:], classes=shape[1])
    found = kernels(generated(formula, task="multiclass", surrogate=surrogate), z, y)
    wanted = by_hand(metric, exact(z), hot, axes=axes_of(z), surrogate=surrogate, smax=True)
    close(found, wanted, torch.float64, row=True)


def test_margins_of_one_table_of_classes() -> None:
    z, _ = batch(30, 4)
    y, hot = labels_of(30, classes=4)
    found = kernels(generated("multiclass_mcc", task="multiclass"), z, y)
    wanted = by_hand(rk, exact(z), hot, axes=(0,), surrogate="soft", smax=True)
    close(found, wanted, torch.float64)


@pytest.mark.parametrize(
    "classes, dtype",
    [
        (3, torch.float32),
        (21, torch.float16),
        pytest.param(21, torch.bfloat16, marks=pytest.mark.slow),
        pytest.param(1000, torch.float32, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_many_classes_in_every_type(classes: int, dtype: torch.dtype) -> None:
    z, y = batch(12, classes, dtype=dtype)
    y[0], y[1] = True, False
    close(
        kernels(generated("f1", task="multilabel"), z, y),
        by_hand(macro(f1), exact(z), exact(y), axes=(0,)),
        dtype,
    )
    labels, hot = labels_of(12, classes=classes)
    present = hot.sum(0) > 0  # an absent class is left out of the average
    wanted = by_hand(
        macro(f1, present), exact(z), hot, axes=(0,), surrogate="soft", smax=True, added=diagonal
    )
    close(kernels(generated("f1", task="multiclass"), z, labels), wanted, dtype, row=True)


def test_soft_targets_weights_and_smoothing_of_classes() -> None:
    rng = np.random.default_rng(3)
    z, _ = batch(6, 4, 5)
    y = rng.dirichlet(np.ones(4), (6, 5)).transpose(0, 2, 1)
    v = rng.random((6, 5))
    module = generated("f1", task="multiclass")
    keep = rng.random((6, 5)) < 0.8
    z.transpose(1, 2)[~torch.tensor(keep)] = float("nan")
    found = kernels(
        module,
        z,
        torch.tensor(y),
        weight=torch.tensor(v),
        mask=torch.tensor(keep),
        label_smoothing=0.2,
        class_weight=torch.tensor([1.0, 2.0, 0.5, 3.0]),
        exclude_background=True,
    )
    z[z.isnan()] = 0
    share = np.array([0, 2.0, 0.5, 3.0])
    wanted = by_hand(
        macro(f1, share),
        exact(z),
        y * 0.8 + 0.05,
        (v * keep)[:, None],
        axes=(0, 2),
        surrogate="soft",
        smax=True,
    )
    close(found, wanted, torch.float64)
    # An element's own weight, and a sample's.
    module = generated("f1", task="multilabel")
    z, labels = batch(6, 4, 5)
    labels = labels.double()
    v = rng.random((6, 4, 5))
    for given, full in ((v, v), (v[:, 0], v[:, :1]), (v[:, 0, 0], v[:, :1, :1])):
        found = kernels(module, z, labels, weight=torch.tensor(given), label_smoothing=0.2)
        wanted = by_hand(macro(f1), exact(z), exact(labels) * 0.8 + 0.1, full, axes=(0, 2))
        close(found, wanted, torch.float64)


def test_ignored_classes_and_classes_from_probabilities() -> None:
    z, _ = batch(30, 4)
    y, hot = labels_of(30, classes=4)
    y[10:13] = -100
    keep = (y != -100).numpy().astype(float)[:, None]
    found = kernels(generated("f1", task="multiclass"), z, y)
    wanted = by_hand(
        macro(f1), exact(z), hot, keep, axes=(0,), surrogate="soft", smax=True, added=diagonal
    )
    close(found, wanted, torch.float64)
    p = torch.softmax(z, 1)
    found = kernels(generated("f1", task="multiclass", from_probabilities=True), p, y)
    wanted = by_hand(macro(f1), exact(p), hot, keep, axes=(0,), surrogate="soft", given=True)
    close(found, wanted, torch.float64)


@pytest.mark.parametrize("absent", ["diagonal", "skip", "zero"])
def test_absent_classes(absent: str) -> None:
    z, y = batch(20, 3)
    y[:, 1] = False
    found = kernels(generated("f1", task="multilabel"), z, y, absent=absent)
    one = diagonal if absent == "diagonal" else None

    def metric(*counts: Array) -> Any:
        values = f1(*counts)
        if absent == "diagonal":
            return values.mean()
        return (values[0] + values[2]) / (2 if absent == "skip" else 3)

    wanted = by_hand(metric, exact(z), exact(y), axes=(0,), added=one)
    close(found, wanted, torch.float64)


def test_cross_entropy_beside_the_metric() -> None:
    z, _ = batch(6, 4, 5)
    y, hot = labels_of(6, 5, classes=4)
    v = np.random.default_rng(4).random((6, 1, 5))
    found = kernels(
        generated("0.5*macro(f1) - 0.5*ce", task="multiclass"), z, y, weight=torch.tensor(v[:, 0])
    )
    soft = {"axes": (0, 2), "surrogate": "soft", "smax": True}
    loss, gradient = by_hand(macro(f1), exact(z), hot, v, **soft)
    p = softmax(exact(z)).astype(float)
    ce = -(v * hot * np.log(p)).sum() / v.sum()
    wanted = (
        1 - (0.5 * (1 - loss) - 0.5 * ce),
        0.5 * gradient + 0.5 * v * (p - hot) / v.sum(),
    )
    close(found, wanted, torch.float64)


def test_huge_logits_of_classes() -> None:
    z = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0]], dtype=torch.float32)
    for formula in ("(macro(mcc) + micro(f1))/2", "geomean(recall)"):
        for task, y in (("multiclass", torch.tensor([1, 0, 2])), ("multilabel", z > 0)):
            loss, gradient = kernels(generated(formula, task=task), z, y)
            assert np.isfinite(loss) and np.isfinite(gradient).all(), (formula, task)


# What the kernels leave to PyTorch's operators.


@pytest.mark.parametrize(
    "task",
    ["binary", *(pytest.param(t, marks=pytest.mark.slow) for t in ("multilabel", "multiclass"))],
)
def test_second_derivatives_and_transforms(task: str) -> None:
    module = generated("f1", task=task, surrogate="soft")
    z, y = batch(3, 3)
    y = torch.tensor([0, 2, 1]) if task == "multiclass" else y
    z, y = z.to(DEVICE).requires_grad_(), y.to(DEVICE)

    def loss(x: Any) -> Any:
        return module.x_loss(x, y)

    assert torch.autograd.gradcheck(loss, z)
    assert torch.autograd.gradgradcheck(loss, z)
    (wanted,) = torch.autograd.grad(loss(z), z)
    torch.testing.assert_close(torch.func.grad(loss)(z.detach()), wanted)
    several = torch.tensor([1.0, 3.0], dtype=z.dtype, device=DEVICE)
    (found,) = torch.autograd.grad(loss(z), z, several, is_grads_batched=True)
    torch.testing.assert_close(found, torch.stack([wanted, 3 * wanted]))


def test_given_counts_and_very_many_classes() -> None:
    module = generated("f1")
    z, y = batch(20)
    z, y = z.to(DEVICE).requires_grad_(), y.to(DEVICE)
    loss = module.x_loss(z, y, counts=torch.tensor([3.0, 2, 1, 4], dtype=z.dtype, device=DEVICE))
    assert type(loss.grad_fn).__name__ != "_XTritonBackward"
    assert loss.item() == pytest.approx(1 - 6 / 9)
    module = generated("f1", task="multilabel")
    z, y = batch(2, 5000)
    z, y = z.to(DEVICE).requires_grad_(), y.to(DEVICE)
    assert type(module.x_loss(z, y).grad_fn).__name__ != "_XTritonBackward"


@pytest.mark.slow
def test_under_torch_compile() -> None:
    module = generated("f1")
    z, y = batch(200, dtype=torch.float32)
    z, y = z.to(DEVICE).requires_grad_(), y.to(DEVICE)
    loss = torch.compile(module.x_loss, fullgraph=True)(z, y)
    (found,) = torch.autograd.grad(loss, z)
    (wanted,) = torch.autograd.grad(module.x_loss(z, y), z)
    torch.testing.assert_close(found, wanted)
