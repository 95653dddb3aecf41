"""The training pass: loss and gradient of the generated code, in every dtype, against oracles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any

from mpmath import mp, mpf

from metricc import ir
from metricc.functions import CELLS
from metricc.surrogates import surrogate
from metricc.verify.oracle import DIGITS, Batch, loss_and_gradient, walk
from metricc.verify.points import batch, parameter_sets, ugly, worse

# dtype → (allowed error of the loss, allowed relative error of a gradient element): float64 and
# float32 as the project promises; halves are computed in float32 and rounded once at the end.
BUDGET = {
    "float64": (1e-12, 1e-12),
    "float32": (1e-5, 1e-5),
    "bfloat16": (1e-5, 2.0**-8),
    "float16": (1e-5, 2.0**-10),
}
AUTOGRAD_ALLOWED = 1e-10


@dataclass(frozen=True)
class _Case:
    """One setting of the loss under test: parameters and surrogate arguments."""

    loss: Callable[..., Any]
    parameters: Mapping[str, float]
    arguments: Mapping[str, float]
    program: ir.Program
    options: ir.Options

    def __call__(self, inputs: Any, targets: Any, weights: Any = None) -> Any:
        return self.loss(inputs, targets, weight=weights, **self.parameters, **self.arguments)

    def exact(self, data: Batch, rounding: float) -> tuple[Any, list[Any], list[Any], list[Any]]:
        soft = surrogate(self.options.surrogate)
        return loss_and_gradient(
            self.program.metric.text,
            data,
            self.parameters,
            soft.name,
            self.arguments,
            self.options.from_probabilities,
            self.options.goal == "minimize",
            # Where the slope jumps, rounding p alone may choose the other side.
            rounding if soft.kinked else 0,
        )


def checks(module: ModuleType, program: ir.Program, options: ir.Options) -> list[ir.Check]:
    """Every check of the training pass, each with what it measured."""
    loss = getattr(module, f"{options.name}_loss", None)
    if loss is None:
        return [ir.Check(f"{options.name}_loss()", "missing", "present", False)]
    cases = [
        _Case(loss, parameters, arguments, program, options)
        for parameters in parameter_sets(program.metric)
        for arguments in _arguments(options.surrogate)
    ]
    named: list[tuple[str, Callable[[], ir.Check]]] = [
        *((f"{dtype} against mpmath", lambda d=dtype: _accuracy(cases, d)) for dtype in BUDGET),
        ("autograd of the plain forward", lambda: _autograd(cases[0])),
        ("gradcheck", lambda: _gradcheck(cases[-1], second=False)),
        ("gradgradcheck", lambda: _gradcheck(cases[-1], second=True)),
        ("upstream gradient", lambda: _upstream(cases[0])),
        ("blocks", lambda: _blocks(cases[0], module)),
        ("weight 2 = sample twice", lambda: _repeated(cases[0])),
        ("finite on ugly batches", lambda: _finite(cases)),
    ]
    results = []
    for name, check in named:
        try:
            results.append(check())
        except Exception as error:  # the code under test may be anything
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
            results.append(ir.Check(name, text, "runs", False))
    return results


def _arguments(text: str) -> list[Mapping[str, float]]:
    """The surrogate's defaults and others; where it has a steepness, the paper's too."""
    defaults = surrogate(text).defaults
    others = {"threshold": 0.25, "mu": 0.375, "delta": 0.3125, "L": 4.0}
    found: list[Mapping[str, float]] = [defaults, {name: others[name] for name in defaults}]
    found += [{"L": 73.0, "threshold": 0.5}] if "L" in defaults else []
    return found if defaults else [defaults]


def _tensors(data: Batch, dtype: str) -> tuple[Any, Any, Any]:
    import torch

    kind = getattr(torch, dtype)
    inputs = torch.tensor(data.inputs, dtype=kind, requires_grad=True)
    targets = torch.tensor(data.targets, dtype=kind)
    weights = None if data.weights is None else torch.tensor(data.weights, dtype=kind)
    return inputs, targets, weights


def _gradient(case: _Case, data: Batch, dtype: str) -> tuple[Any, Any, Batch]:
    """Loss, gradient, and the batch as the dtype holds it."""
    inputs, targets, weights = _tensors(data, dtype)
    loss = case(inputs, targets, weights)
    loss.backward()
    held = Batch(
        inputs.detach().double().tolist(),
        targets.double().tolist(),
        None if weights is None else weights.double().tolist(),
    )
    return loss.detach(), inputs.grad, held


def _accuracy(cases: list[_Case], dtype: str) -> ir.Check:
    import torch

    allowed_loss, allowed_gradient = BUDGET[dtype]
    smallest = mpf(torch.finfo(getattr(torch, dtype)).tiny)
    worst_loss = worst_gradient = mpf(0)
    elements = 0
    for case in cases:
        probabilities = case.options.from_probabilities
        for spread, seed, weighted in ((1.5, 1, False), (8.0, 2, True), (0.1, 3, False)):
            data = batch(40, spread, seed, probabilities, weighted)
            loss, gradient, held = _gradient(case, data, dtype)
            with mp.workdps(DIGITS):
                unit = 2.0**-53 if dtype == "float64" else 2.0**-24  # halves run in float32
                exact, slopes, sizes, moves = case.exact(held, 8 * unit)
                size = max(abs(exact), abs(1 - exact), mpf(10) ** -3)
                worst_loss = worse(worst_loss, abs(mpf(loss.double().item()) - exact) / size)
                rows = zip(gradient.double().tolist(), slopes, sizes, moves, strict=True)
                for got, slope, part, move in rows:
                    if part >= smallest:
                        error = max(abs(mpf(got) - slope) - move, mpf(0)) / part
                        worst_gradient = worse(worst_gradient, error)
                        elements += 1
    measured = f"{float(worst_loss):.1e} loss, {float(worst_gradient):.1e} gradient"
    allowed = f"{allowed_loss:.0e}, {allowed_gradient:.1e}"
    passed = bool(worst_loss <= allowed_loss and worst_gradient <= allowed_gradient)
    return ir.Check(f"{dtype} against mpmath, {elements} elements", measured, allowed, passed)


class _TorchArithmetic:
    """Plain differentiable torch operations for the oracle's tree walk."""

    def number(self, value: Fraction) -> Any:
        import torch

        return torch.tensor(float(value), dtype=torch.float64)

    def power(self, base: Any, exponent: Any) -> Any:
        return base**exponent

    def call(self, function: str, arguments: list[Any]) -> Any:
        import torch

        if function in ("min", "max"):
            total = arguments[0]
            for other in arguments[1:]:
                total = (torch.minimum if function == "min" else torch.maximum)(total, other)
            return total
        return getattr(torch, function)(arguments[0])

    def compare(self, left: Any, right: Any) -> int:
        return int((left > right).item()) - int((left < right).item())


def plain_loss(case: _Case, inputs: Any, targets: Any, weights: Any) -> Any:
    """The loss spelled naively, for autograd to differentiate: no blocks, no formulas by hand."""
    import torch

    p = inputs if case.options.from_probabilities else torch.sigmoid(inputs)
    a = _plain_surrogate(p, surrogate(case.options.surrogate).name, case.arguments)
    v = torch.ones_like(targets) if weights is None else weights
    cells = [
        (v * targets * a).sum(),
        (v * targets * (1 - a)).sum(),
        (v * (1 - targets) * a).sum(),
        (v * (1 - targets) * (1 - a)).sum(),
    ]
    scope = dict(zip(CELLS, cells, strict=True))
    scope |= {n: torch.tensor(x, dtype=torch.float64) for n, x in case.parameters.items()}
    value = walk(case.program.metric.text, _TorchArithmetic(), scope)
    return value if case.options.goal == "minimize" else 1 - value


def _plain_surrogate(p: Any, name: str, arguments: Mapping[str, float]) -> Any:
    """A(p) as its definition reads."""
    import torch

    if name == "soft":
        return p
    if name == "amplified":
        return torch.sigmoid(arguments["L"] * (p - arguments["threshold"]))
    if name == "heaviside":
        delta, threshold = arguments["delta"], arguments["threshold"]
        half = min(threshold, 1 - threshold) / 2
        rising = 0.5 + (1 - 2 * delta) * (p - threshold) / (2 * half)
        low = p * delta / (threshold - half)
        high = 1 - (1 - p) * delta / (1 - threshold - half)
        return torch.where(
            p < threshold - half, low, torch.where(p > threshold + half, high, rising)
        )
    u = ((p - arguments["mu"]) / arguments["delta"]).clamp(-1, 1)
    return (1 + u + (torch.sin(torch.pi * u) / torch.pi if "cosine" in name else 0)) / 2


def _autograd(case: _Case) -> ir.Check:
    data = batch(200, 1.5, 5, case.options.from_probabilities, True)
    loss, gradient, _ = _gradient(case, data, "float64")
    inputs, targets, weights = _tensors(data, "float64")
    plain = plain_loss(case, inputs, targets, weights)
    plain.backward()
    error = _difference(gradient, inputs.grad)
    error = worse(error, abs(loss.item() - plain.item()))
    passed = error <= AUTOGRAD_ALLOWED
    return ir.Check("autograd of the plain forward", f"{error:.1e}", "1e-10", passed)


def _difference(got: Any, wanted: Any) -> float:
    """The largest difference, relative to the largest element wanted."""
    largest = wanted.abs().max().item() or 1.0
    return float((got - wanted).abs().max().item() / largest)


def _gradcheck(case: _Case, second: bool) -> ir.Check:
    import torch

    data = batch(7, 1.0, 7, case.options.from_probabilities, True)
    weights = [1.0, 2.0, 0.5, 1.0, 0.0, 1.0, 3.0]
    inputs, targets, weight = _tensors(Batch(data.inputs, data.targets, weights), "float64")
    if not case.options.from_probabilities:
        inputs = inputs.detach().clone()
        inputs[0] = 0.0  # where |z| has a kink
        inputs.requires_grad_()
    name = "gradgradcheck" if second else "gradcheck"
    check = getattr(torch.autograd, name)
    passed = bool(check(lambda x: case(x, targets, weight), (inputs,), raise_exception=False))
    return ir.Check(name, "agrees" if passed else "differs", "agrees", passed)


def _upstream(case: _Case) -> ir.Check:
    """Losses are scaled before backward; a gradient that ignores the scale is wrong."""
    data = batch(50, 1.5, 9, case.options.from_probabilities, False)
    _, gradient, _ = _gradient(case, data, "float64")
    inputs, targets, weights = _tensors(data, "float64")
    (-3.75 * case(inputs, targets, weights)).backward()
    error = _difference(inputs.grad / -3.75, gradient)
    return ir.Check("upstream gradient -3.75", f"{error:.1e}", "1e-12", error <= 1e-12)


def _blocks(case: _Case, module: ModuleType) -> ir.Check:
    """A batch that is cut into blocks against the same batch in one piece."""
    data = batch(101, 1.5, 13, case.options.from_probabilities, True)
    loss, gradient, _ = _gradient(case, data, "float64")
    whole = getattr(module, "_BLOCK", 1)
    try:
        module._BLOCK = 3  # type: ignore[attr-defined]
        pieces, parts, _ = _gradient(case, data, "float64")
    finally:
        module._BLOCK = whole  # type: ignore[attr-defined]
    error = worse(_difference(parts, gradient), abs(loss.item() - pieces.item()))
    return ir.Check("many blocks = one block", f"{error:.1e}", "1e-12", error <= 1e-12)


def _repeated(case: _Case) -> ir.Check:
    data = batch(30, 1.5, 11, case.options.from_probabilities, False)
    twice = [float(1 + i % 2) for i in range(30)]
    weighted = Batch(data.inputs, data.targets, twice)
    indices = [i for i in range(30) for _ in range(int(twice[i]))]
    repeated = Batch([data.inputs[i] for i in indices], [data.targets[i] for i in indices])
    one, two = (_gradient(case, d, "float64")[0].item() for d in (weighted, repeated))
    error = abs(one - two)
    return ir.Check("weight 2 = sample twice", f"{error:.1e}", "1e-12", error <= 1e-12)


def _finite(cases: list[_Case]) -> ir.Check:
    import torch

    failed: list[str] = []
    batches = 0
    for case in cases:
        for name, data in ugly(case.options.from_probabilities).items():
            for dtype in BUDGET:
                loss, gradient, _ = _gradient(case, data, dtype)
                batches += 1
                if not (torch.isfinite(loss) and torch.isfinite(gradient).all()):
                    failed.append(f"{name} in {dtype}")
    measured = f"{len(failed)} not" + (f": {failed[0]}" if failed else "")
    return ir.Check(f"finite on {batches} ugly batches", measured, "0 not", not failed)
