"""The loss spelled naively on torch tensors, for autograd to differentiate.

No blocks, no formulas by hand: classes and samples one after the other, reductions as they read.
No class is absent in the batches that this is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from metricc import syntax
from metricc.functions import CELLS
from metricc.verify.oracle import mentions, walk
from metricc.verify.tables import Setting


@dataclass(frozen=True, slots=True)
class _Torch:
    """Plain differentiable torch operations for the oracle's tree walk."""

    term: Callable[[str, float], Any] | None = None

    def number(self, value: Fraction) -> Any:
        import torch

        return torch.tensor(float(value), dtype=torch.float64)

    def power(self, base: Any, exponent: Any) -> Any:
        return base**exponent

    def call(self, function: str, arguments: list[Any]) -> Any:
        import torch

        if function == "focal" and self.term is not None:
            return self.term(function, float(arguments[0]))
        if function in ("min", "max"):
            total = arguments[0]
            for other in arguments[1:]:
                total = (torch.minimum if function == "min" else torch.maximum)(total, other)
            return total
        return getattr(torch, function)(arguments[0])

    def compare(self, left: Any, right: Any) -> int:
        return int((left > right).item()) - int((left < right).item())


@dataclass(frozen=True, slots=True)
class Plain:
    """One loss; `loss` takes tensors of shape (N, C, M), C = 1 in a binary task, and one of the
    same shape for every column."""

    text: syntax.Text
    parameters: Mapping[str, float]
    setting: Setting

    def loss(self, z: Any, y: Any, v: Any, *columns: Any) -> Any:
        import torch

        p = z
        if not self.setting.from_probabilities:
            p = torch.softmax(z, 1) if self.setting.task == "multiclass" else torch.sigmoid(z)
        a = self.label(p, z)
        samples = range(len(z))
        groups = [[n] for n in samples] if self.setting.per == "sample" else [list(samples)]
        losses = []
        for group in groups:
            weights = [v[group] * c[group] for c in columns]
            for value in self.values(p[group], a[group], y[group], v[group], weights):
                losses.append(value if self.setting.minimize else 1 - value)
        return sum(losses) / len(losses)

    def values(self, p: Any, a: Any, y: Any, v: Any, columns: list[Any]) -> list[Any]:
        """The metric of some samples; under per_class one number a class. `columns` are weights of
        their own."""
        parts = [v * y * a, v * y * (1 - a), v * (1 - y) * a, v * (1 - y) * (1 - a)]
        if mentions(self.text, ["samples"]):
            rows = [[x[n].sum() for x in parts] for n in range(len(p))]
        else:
            rows = [[x[:, k].sum() for x in parts] for k in range(p.shape[1])]
        tables = [dict(zip(CELLS, row, strict=True)) for row in rows]
        scope = {n: _Torch().number(Fraction(x)) for n, x in self.parameters.items()}

        def term(name: str, gamma: float) -> Any:
            return _term(self.setting.task, gamma, p, y, v)

        scope |= {n: term(n, 0.0) for n in ("bce", "ce") if mentions(self.text, [n])}
        if self.setting.task == "binary" and not mentions(self.text, ["samples"]):
            scope |= tables[0]
            for name, w in zip(self.setting.columns, columns, strict=True):
                own = (w * y * a, w * y * (1 - a), w * (1 - y) * a, w * (1 - y) * (1 - a))
                scope |= {f"{c}[{name}]": x.sum() for c, x in zip(CELLS, own, strict=True)}
            tables.append(dict(zip(CELLS, rows[0][::-1], strict=True)))
        components = range(len(tables)) if mentions(self.text, ["per_class"]) else [0]
        return [
            walk(self.text, _Torch(term), scope, partial(_reduced, tables, k)) for k in components
        ]

    def label(self, p: Any, z: Any) -> Any:
        """A(p); decisions with its slope for a hard one."""
        import torch

        arguments = dict(self.setting.arguments)
        listed = [name for name, value in arguments.items() if isinstance(value, tuple)]
        each = [arguments]
        centre = self.setting.centre
        if listed:
            several, centre = arguments.pop(listed[0]), listed[0].removesuffix("s")
            each = [{**arguments, centre: x} for x in several]
        total = 0
        for given in each:
            a = self.curve(p, z, given)
            if self.setting.hard:
                hard = (p > given.get(centre, 0.5)).to(p)
                if self.setting.task == "multiclass":
                    hard = torch.nn.functional.one_hot(p.argmax(1), p.shape[1]).movedim(-1, 1)
                a = hard + a - a.detach()
            total = total + a
        return total / len(each)

    def curve(self, p: Any, z: Any, arguments: Mapping[str, Any]) -> Any:
        import torch

        name = self.setting.surrogate
        if not isinstance(name, str):
            scope = {n: _Torch().number(Fraction(x)) for n, x in arguments.items()}
            points = zip(p.flatten(), z.flatten(), strict=True)
            a = [walk(name, _Torch(), {**scope, "p": x, "z": t}) for x, t in points]
            return torch.stack(a).reshape(p.shape)
        if name == "soft":
            return p
        if name == "amplified":
            return torch.sigmoid(arguments["L"] * (p - arguments["threshold"]))
        if name == "heaviside":
            return _steps(p, arguments["delta"], arguments["threshold"])
        u = ((p - arguments["mu"]) / arguments["delta"]).clamp(-1, 1)
        return (1 + u + (torch.sin(torch.pi * u) / torch.pi if "cosine" in name else 0)) / 2


def _steps(p: Any, delta: float, threshold: float) -> Any:
    import torch

    half = min(threshold, 1 - threshold) / 2
    rising = 0.5 + (1 - 2 * delta) * (p - threshold) / (2 * half)
    low = p * delta / (threshold - half)
    high = 1 - (1 - p) * delta / (1 - threshold - half)
    return torch.where(p < threshold - half, low, torch.where(p > threshold + half, high, rising))


def _reduced(
    tables: list[Any], component: int, name: str, evaluate: Callable[[Mapping[str, Any]], Any]
) -> Any:
    import torch

    if name == "micro":
        return evaluate({c: sum(t[c] for t in tables) for c in CELLS})
    e = torch.stack([torch.as_tensor(evaluate(t)) for t in tables])
    if name == "weighted":
        positives = torch.stack([t["TP"] + t["FN"] for t in tables])
        return (positives * e).sum() / positives.sum()
    if name == "worst":
        return e.amin()
    if name == "geomean":
        return e.prod() ** (1 / len(tables))
    if name == "per_class":
        return e[component]
    return e.sum() if name == "sum" else e.mean()


def _term(task: str, gamma: float, p: Any, y: Any, v: Any) -> Any:
    """Focal loss; cross-entropy where gamma is 0."""
    loss = -y * (1 - p) ** gamma * p.log()
    if task == "multiclass":
        return (v * loss).sum() / (v * y).sum()
    loss = loss - (1 - y) * p**gamma * (1 - p).log()
    return (v * loss).sum() / v.sum()
