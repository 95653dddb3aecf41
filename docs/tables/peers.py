"""Other packages' losses and scores on fixed inputs: the table that tests/test_peers.py reads.

    pip install -c constraints.txt torch torchmetrics tqdm huggingface_hub kornia_rs pillow
    pip install --no-deps monai segmentation-models-pytorch kornia
    python docs/tables/peers.py > tests/peers.json

The packages are called by their public names, in float64 where they allow it, and autograd makes
their gradients. What has no package, or none that installs beside this torch, is written here from
its paper in NumPy, with gradients by complex steps (exact to rounding). metricc takes no part.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import platform
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

SEED = 2405  # of numpy.random.default_rng; the numbers themselves are in the table
EPS = 1e-5
RECIPE = (
    "numpy.random.default_rng(seed): logits are 1.5 * standard_normal, rounded to 2 decimals; "
    "binary and multilabel targets are random < .4, class targets integers, drawn again until "
    "every class is present and missing in every sample"
)
Case = dict[str, Any]


# -- inputs -----------------------------------------------------------------------------------


def inputs() -> dict[str, Any]:
    """Every class is present and missing in every sample, save where the name says otherwise."""
    rng = np.random.default_rng(SEED)
    made: dict[str, Any] = {}

    def logits(*shape: int) -> Any:
        return np.round(1.5 * rng.standard_normal(shape), 2)

    def both(*shape: int) -> Any:
        while True:
            y = (rng.random(shape) < 0.4).astype(int)
            share = y.mean(axis=tuple(range(2, len(shape))))
            if ((share > 0) & (share < 1)).all():
                return y

    def classes(count: int, *shape: int) -> Any:
        while True:
            y = rng.integers(0, count, shape)
            if all(len(np.unique(sample)) == count for sample in y):
                return y

    made["binary"] = {"input": logits(2, 1, 3, 4), "target": both(2, 1, 3, 4)}
    made["multilabel"] = {"input": logits(2, 3, 2, 4), "target": both(2, 3, 2, 4)}
    z, y = logits(2, 4, 3, 4), classes(4, 2, 3, 4)
    made["multiclass"] = {"input": z, "target": y}
    one, two = y.copy(), y.copy()
    one[0][one[0] == 3] = 0
    one[1][one[1] == 1] = 2
    made["absent in a sample"] = {"input": z, "target": one}
    two[two == 3] = 1
    made["absent"] = {"input": z, "target": two}
    ignored = y.copy()
    ignored[:, 0, 1] = 255
    made["ignored"] = {"input": z, "target": ignored}
    true = classes(4, 1, 40)[0]
    made["hard multiclass"] = {
        "target": true,
        "input": np.where(rng.random(40) < 0.6, true, rng.integers(0, 4, 40)),
    }
    true = (rng.random((16, 3)) < (0.3, 0.5, 0.7)).astype(int)
    made["hard multilabel"] = {
        "target": true,
        "input": np.where(rng.random((16, 3)) < 0.7, true, 1 - true),
    }
    true = both(3, 2, 9)
    made["hard multilabel samples"] = {
        "target": true,
        "input": np.where(rng.random((3, 2, 9)) < 0.7, true, 1 - true),
    }
    return made


INPUTS = inputs()


def number(x: Any) -> Any:
    """For JSON: a number, or a flat list of them."""
    x = x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return x.reshape(-1).tolist() if x.ndim else x.item()


# -- packages ---------------------------------------------------------------------------------


def differentiated(
    name: str,
    package: str,
    callable: str,
    arguments: dict[str, Any],
    data: str,
    function: Callable[[Tensor, Tensor], Tensor],
    precision: str = "float64",
) -> Case:
    """A loss of logits and its gradient in them."""
    z = torch.tensor(INPUTS[data]["input"], dtype=torch.float64, requires_grad=True)
    y = torch.tensor(INPUTS[data]["target"])
    loss = function(z, y)
    loss.backward()
    return {
        "name": name,
        "peer": f"{package} {importlib.metadata.version(package)}",
        "callable": callable,
        "arguments": arguments,
        "data": data,
        "precision": precision,
        "loss": number(loss),
        "gradient": number(z.grad),
    }


def monai() -> Iterator[Case]:
    import monai.losses

    smooth = {"smooth_nr": EPS, "smooth_dr": EPS}

    def case(name: str, loss: str, data: str, precision: str = "float64", **given: Any) -> Case:
        arguments = {"sigmoid" if data == "multilabel" else "softmax": True, **smooth, **given}
        softmax = "softmax" in arguments
        arguments |= {"to_onehot_y": True} if softmax else {}
        peer = getattr(monai.losses, loss)(**arguments)

        def call(z: Tensor, y: Tensor) -> Tensor:
            return peer(z, y.unsqueeze(1) if softmax else y.double())

        where = f"monai.losses.{loss}"
        return differentiated(f"monai {name}", "monai", where, arguments, data, call, precision)

    for data in ("multilabel", "multiclass"):
        for batch in (True, False):
            which = f"{data} {'batch' if batch else 'sample'}"
            yield case(f"dice {which}", "DiceLoss", data, batch=batch)
            yield case(f"jaccard {which}", "DiceLoss", data, batch=batch, jaccard=True)
            alphas = {"alpha": 0.3, "beta": 0.7}
            yield case(f"tversky {which}", "TverskyLoss", data, batch=batch, **alphas)
            foreground = {"batch": batch, "include_background": False}
            yield case(f"foreground dice {which}", "DiceLoss", data, **foreground)
            for kind in ("square", "simple", "uniform"):
                # It takes the weights from class counts in float32.
                precision = "float64" if kind == "uniform" else "float32"
                rest = {"batch": batch, "w_type": kind}
                yield case(
                    f"generalized {kind} {which}", "GeneralizedDiceLoss", data, precision, **rest
                )
    yield case("weighted dice", "DiceLoss", "multilabel", batch=True, weight=[0.5, 2.0, 1.0])
    yield case("ignored dice", "DiceLoss", "ignored", batch=True, ignore_index=255)


def segmentation_models() -> Iterator[Case]:
    # The package's own front imports its networks, and with them torchvision: go round it.
    name = "segmentation_models_pytorch"
    found = importlib.util.find_spec(name)
    assert found is not None
    front = types.ModuleType(name)
    front.__path__ = list(found.submodule_search_locations or [])
    sys.modules[name] = front
    losses = importlib.import_module(f"{name}.losses")

    def case(label: str, loss: str, data: str, **arguments: Any) -> Case:
        mode = data if data in ("binary", "multilabel") else "multiclass"
        peer = getattr(losses, loss)(mode=mode, **arguments)
        return differentiated(
            f"smp {label}",
            "segmentation-models-pytorch",
            f"{name}.losses.{loss}",
            {"mode": mode, **arguments},
            data,
            lambda z, y: peer(z, y),
        )

    for data in ("binary", "multilabel", "multiclass"):
        yield case(f"dice {data}", "DiceLoss", data, smooth=0.5)
        yield case(f"jaccard {data}", "JaccardLoss", data)
        yield case(f"tversky {data}", "TverskyLoss", data, alpha=0.3, beta=0.7)
        yield case(f"log dice {data}", "DiceLoss", data, log_loss=True)
        yield case(f"focal tversky {data}", "TverskyLoss", data, alpha=0.3, beta=0.7, gamma=0.75)
    yield case("dice classes", "DiceLoss", "multiclass", classes=[1, 3])
    yield case("dice weighted", "DiceLoss", "multiclass", class_weights=[0.5, 2.0, 1.0, 4.0])
    yield case("dice ignored", "DiceLoss", "ignored", ignore_index=255)
    yield case("dice absent", "DiceLoss", "absent")
    # It takes probabilities, whatever it is called with.
    for label, given in (("of probabilities", torch.sigmoid), ("of logits", lambda z: z)):
        mcc = losses.MCCLoss(eps=EPS)
        yield differentiated(
            f"smp mcc {label}",
            "segmentation-models-pytorch",
            f"{name}.losses.MCCLoss",
            {"eps": EPS},
            "binary",
            lambda z, y, mcc=mcc, given=given: mcc(given(z), y.double()),
        )


def kornia() -> Iterator[Case]:
    import kornia.losses

    def case(label: str, loss: str, data: str, **arguments: Any) -> Case:
        peer = getattr(kornia.losses, loss)
        given = {k: torch.tensor(v).double() if k == "weight" else v for k, v in arguments.items()}
        return differentiated(
            f"kornia {label}",
            "kornia",
            f"kornia.losses.{loss}",
            arguments,
            data,
            lambda z, y: peer(z, y, **given),
        )

    for data in ("multiclass", "absent in a sample"):
        yield case(f"tversky {data}", "tversky_loss", data, alpha=0.3, beta=0.7, eps=1e-8)
        yield case(f"dice macro {data}", "dice_loss", data, average="macro", eps=1e-8)
        yield case(f"dice micro {data}", "dice_loss", data, average="micro", eps=1e-8)
    weight = [0.5, 2.0, 1.0, 4.0]
    for average in ("macro", "micro"):
        yield case(
            f"dice {average} weighted", "dice_loss", "multiclass", average=average, weight=weight
        )
    yield case("tversky ignored", "tversky_loss", "ignored", alpha=0.3, beta=0.7, ignore_index=255)


def torchmetrics() -> Iterator[Case]:
    import torchmetrics.functional.classification as functional

    version = importlib.metadata.version("torchmetrics")

    def case(function: str, data: str, **arguments: Any) -> Case:
        count = {"hard multiclass": ("num_classes", 4), "hard multilabel": ("num_labels", 3)}
        key, size = count.get(data, ("num_labels", 2))
        x, y = (torch.tensor(INPUTS[data][k]) for k in ("input", "target"))
        score = getattr(functional, function)(x, y, **{key: size}, **arguments)
        words = [str(v) for k, v in arguments.items() if k != "multidim_average"]
        ending = ["samples"] if "multidim_average" in arguments else []
        return {
            "name": " ".join(["torchmetrics", function, *words, *ending]),
            "peer": f"torchmetrics {version}",
            "callable": f"torchmetrics.functional.classification.{function}",
            "arguments": {key: size, **arguments},
            "data": data,
            "precision": "float32",
            "score": number(score),
        }

    for task in ("multiclass", "multilabel"):
        for metric in (
            "f1_score",
            "precision",
            "recall",
            "specificity",
            "accuracy",
            "jaccard_index",
        ):
            for average in ("micro", "macro", "weighted", "none"):
                yield case(f"{task}_{metric}", f"hard {task}", average=average)
    yield case("multiclass_fbeta_score", "hard multiclass", beta=2.0, average="macro")
    yield case("multilabel_fbeta_score", "hard multilabel", beta=0.5, average="micro")
    yield case("multiclass_matthews_corrcoef", "hard multiclass")
    yield case("multilabel_matthews_corrcoef", "hard multilabel")
    yield case("multiclass_cohen_kappa", "hard multiclass")
    for average in ("macro", "micro"):
        samples = {"average": average, "multidim_average": "samplewise"}
        yield case("multilabel_f1_score", "hard multilabel samples", **samples)


# -- papers -----------------------------------------------------------------------------------


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: Any) -> Any:
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def cosine_sol(mu: float, delta: float) -> Callable[[Any], Any]:
    """The distribution function of a threshold with density (1 + cos(pi (t - mu)/delta))/(2 delta)
    on [mu - delta, mu + delta]."""

    def share(z: Any) -> Any:
        p = sigmoid(z)
        inside = (1 + (p - mu) / delta + np.sin(np.pi * (p - mu) / delta) / np.pi) / 2
        return np.where(p.real <= mu - delta, 0, np.where(p.real >= mu + delta, 1, inside))

    return share


def uniform_sol(mu: float, delta: float) -> Callable[[Any], Any]:
    """The same for a threshold that is uniform there."""

    def share(z: Any) -> Any:
        p = sigmoid(z)
        inside = (p - (mu - delta)) / (2 * delta)
        return np.where(p.real <= mu - delta, 0, np.where(p.real >= mu + delta, 1, inside))

    return share


def heaviside(delta: float, threshold: float) -> Callable[[Any], Any]:
    """Straight lines through five points, by interpolation between neighbours."""
    half = min(threshold, 1 - threshold) / 2
    points = [
        (0.0, 0.0),
        (threshold - half, delta),
        (threshold, 0.5),
        (threshold + half, 1 - delta),
        (1.0, 1.0),
    ]

    def share(z: Any) -> Any:
        p = sigmoid(z)
        result = np.zeros_like(p)
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            line = y0 + (y1 - y0) * (p - x0) / (x1 - x0)
            result = np.where((p.real >= x0) & (p.real < x1), line, result)
        return result

    return share


def shifted(beta: float, eta: float, twice: bool = False) -> Callable[[Any], Any]:
    """sigmoidF1's S(u) = 1/(1 + exp(-beta (u + eta))) of the raw score; the published code
    passes what has been through a sigmoid already."""
    return lambda z: sigmoid(beta * ((sigmoid(z) if twice else z) + eta))


Cells = tuple[Any, Any, Any, Any]
SCORES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "f1": lambda tp, fn, fp, tn: 2 * tp / (2 * tp + fn + fp),
    "accuracy": lambda tp, fn, fp, tn: (tp + tn) / (tp + fn + fp + tn),
    "tss": lambda tp, fn, fp, tn: tp / (tp + fn) + tn / (tn + fp) - 1,
    "csi": lambda tp, fn, fp, tn: tp / (tp + fp + fn),
    "mcc": lambda tp, fn, fp, tn: (
        (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    ),
}


def expected(score: str, share: Callable[[Any], Any], axis: Any) -> Callable[[Any, Any], Any]:
    """1 - score of the expected confusion matrix, the mean over what `axis` leaves."""

    def loss(z: Any, y: Any) -> Any:
        a = share(z)
        cells = (y * a, y * (1 - a), (1 - y) * a, (1 - y) * (1 - a))
        return 1 - np.mean(SCORES[score](*(c.sum(axis=axis) for c in cells)))

    return loss


def confusion(z: Any, y: Any) -> Any:
    """The expected confusion matrix of a softmax: true classes down, predicted ones across."""
    p = softmax(z).swapaxes(0, 1).reshape(z.shape[1], -1)
    return np.eye(z.shape[1])[y.reshape(-1)].T @ p.T


def correlation(z: Any, y: Any) -> Any:
    """1 - R_K, term by term as Gorodkin 2004 writes it."""
    c = confusion(z, y)
    k = range(len(c))
    numerator = sum(c[i, i] * c[j, m] - c[i, j] * c[m, i] for i in k for j in k for m in k)
    down = sum(c[:, i].sum() * sum(c[:, j].sum() for j in k if j != i) for i in k)
    across = sum(c[i].sum() * sum(c[j].sum() for j in k if j != i) for i in k)
    return 1 - numerator / np.sqrt(down * across)


def agreement(z: Any, y: Any) -> Any:
    """1 - kappa, as Cohen 1960 writes it, in shares."""
    c = confusion(z, y)
    c = c / c.sum()
    chance = (c.sum(axis=0) * c.sum(axis=1)).sum()
    return 1 - (np.trace(c) - chance) / (1 - chance)


def papers() -> Iterator[Case]:
    def case(
        name: str, paper: str, arguments: dict[str, float], data: str, loss: Callable[..., Any]
    ) -> Case:
        z, y = INPUTS[data]["input"], INPUTS[data]["target"]
        slopes = []
        for i in range(z.size):
            step = np.zeros(z.size, dtype=complex)
            step[i] = 1e-40j
            slopes.append(loss(z + step.reshape(z.shape), y).imag / 1e-40)
        return {
            "name": name,
            "peer": f"NumPy {np.__version__}, by hand",
            "callable": paper,
            "arguments": arguments,
            "data": data,
            "precision": "float64",
            "loss": number(loss(z, y)),
            "gradient": slopes,
        }

    sol = "Marchetti, Guastavino, Piana, Campi 2022: score-oriented loss"
    for mu, delta in ((0.5, 0.1), (0.4, 0.3)):
        given = {"mu": mu, "delta": delta}
        for score in SCORES:
            loss = expected(score, cosine_sol(mu, delta), None)
            yield case(f"sol cosine {score} {mu}", sol, given, "binary", loss)
        loss = expected("f1", uniform_sol(mu, delta), None)
        yield case(f"sol uniform f1 {mu}", sol, given, "binary", loss)
        loss = expected("f1", cosine_sol(mu, delta), (0, 2, 3))
        yield case(f"sol cosine macro f1 {mu}", sol, given, "multilabel", loss)
    tsoi = "Tsoi et al. 2022: Heaviside approximation"
    for delta, threshold in ((0.1, 0.5), (0.2, 0.3), (0.05, 0.8)):
        given = {"delta": delta, "threshold": threshold}
        for score in ("f1", "accuracy", "mcc"):
            loss = expected(score, heaviside(delta, threshold), None)
            yield case(f"heaviside {score} {threshold}", tsoi, given, "binary", loss)
        loss = expected("f1", heaviside(delta, threshold), (0, 2, 3))
        yield case(f"heaviside macro f1 {threshold}", tsoi, given, "multilabel", loss)
    benedict = "Benedict et al. 2021: sigmoidF1"
    for beta, eta in ((1.0, 0.0), (10.0, -0.5)):
        for twice in (False, True):
            label = f"sigmoidf1 {'twice ' if twice else ''}{beta:g}"
            loss = expected("f1", shifted(beta, eta, twice), (0, 2, 3))
            yield case(label, benedict, {"beta": beta, "eta": eta}, "multilabel", loss)
    yield case("gorodkin", "Gorodkin 2004: R_K", {}, "multiclass", correlation)
    yield case("cohen", "Cohen 1960: kappa", {}, "multiclass", agreement)


def table() -> str:
    """JSON with a case on each line."""
    made = [
        *monai(),
        *segmentation_models(),
        *kornia(),
        *torchmetrics(),
        *papers(),
    ]
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    data = {
        name: {k: {"shape": list(x.shape), "values": number(x)} for k, x in row.items()}
        for name, row in INPUTS.items()
    }
    lines = [
        "{",
        '"made by": "python docs/tables/peers.py > tests/peers.json",',
        f'"versions": {json.dumps(versions)},',
        f'"seed": {SEED},',
        f'"recipe": {json.dumps(RECIPE)},',
        '"data": {',
        ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in data.items()),
        "},",
        '"cases": [',
        ",\n".join(map(json.dumps, made)),
        "]",
        "}",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
