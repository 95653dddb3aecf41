"""One loss under test: how it is called, what it should be, and how far off it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mpmath import mp, mpf

from metricc import ir, syntax
from metricc.surrogates import Surrogate
from metricc.verify.batches import Loss, Tensors, loss_and_gradient
from metricc.verify.oracle import DIGITS, mentions
from metricc.verify.plain import Plain
from metricc.verify.points import amounts, worse
from metricc.verify.tables import Setting


@dataclass(frozen=True)
class Case:
    """The generated function with one setting: parameters, surrogate arguments, policies."""

    loss: Callable[..., Any]
    text: syntax.Text
    parameters: Mapping[str, float]
    setting: Setting
    rough: bool  # the slope jumps, or rounding p changes it by more than its own rounding
    shared: bool = False  # classes may have weights of their own

    def __call__(self, input: Any, target: Any, weight: Any = None, **others: Any) -> Any:
        """The loss; only what differs from the constructor's defaults is passed."""
        usual = Setting(absent=usual_policy(self.setting.task, self.text))
        given = {**self.parameters, **self.setting.arguments}
        for name in ("absent", "smooth", "label_smoothing", "class_weight", "reduction"):
            chosen = getattr(self.setting, name)
            if chosen != getattr(usual, name):
                given[name] = chosen
        return self.loss(input, target, weight=weight, **{**given, **others})

    def changed(self, **changes: Any) -> Case:
        return replace(self, setting=replace(self.setting, **changes))

    @property
    def pooled(self) -> bool:
        """Whether the tables are of samples."""
        return mentions(self.text, ["samples"])

    @property
    def wide(self) -> bool:
        """Whether a weight per sample is another thing than one per element."""
        return self.pooled or self.setting.per == "sample"

    @property
    def several(self) -> bool:
        """Whether there are several losses, which `reduction` brings together."""
        return self.setting.per == "sample" or mentions(self.text, ["per_class"])

    def full(self, data: Tensors) -> Tensors:
        """The batch with the columns that the metric reads, where it has none yet."""
        if len(data.columns) == len(self.setting.columns):
            return data
        sample = data.input[0] if data.input else [[]]
        shape = (len(data.input), len(sample), len(sample[0]))
        made = [amounts(index, shape) for index, _ in enumerate(self.setting.columns)]
        return replace(data, columns=made)

    def columns(self, data: Tensors, dtype: str = "float64") -> dict[str, Any]:
        """The columns as keywords of the loss, shaped like the input (`tensors`)."""
        import torch

        found = {}
        for name, numbers in zip(self.setting.columns, self.full(data).columns, strict=True):
            tensor = torch.tensor(numbers, dtype=getattr(torch, dtype))
            tensor = tensor.squeeze(2) if tensor.shape[2] == 1 else tensor
            found[name] = tensor.squeeze(1)
        return found

    def exact(self, data: Tensors, unit: float = 2.0**-53) -> Loss:
        given = (self.text, self.full(data), self.parameters, self.setting)
        return loss_and_gradient(*given, rounding=8 * unit if self.rough else 0, unit=unit)

    def plain(self) -> Plain:
        return Plain(self.text, self.parameters, self.setting)


def usual_policy(task: str, text: syntax.Text) -> str:
    """What happens to absent classes where nothing is said."""
    return "skip" if task == "multiclass" and not mentions(text, ["sum"]) else "diagonal"


def case(
    loss: Callable[..., Any],
    plan: ir.Plan,
    options: ir.Options,
    surrogate: Surrogate,
    parameters: Mapping[str, float],
    arguments: Mapping[str, Any],
) -> Case:
    curve = surrogate.curve
    setting = Setting(
        task=options.task,
        per=options.per,
        from_probabilities=options.from_probabilities,
        minimize=options.goal == "minimize",
        surrogate=surrogate.name if curve is None else curve.text,
        hard=surrogate.hard,
        centre=surrogate.centre,
        arguments=arguments,
        absent=usual_policy(options.task, plan.metric.text),
        columns=plan.metric.columns,
    )
    rough = surrogate.kinked or curve is not None
    shared = options.task != "binary" and not plan.margins
    return Case(loss, plan.metric.text, parameters, setting, rough, shared)


def rounded(data: Tensors, dtype: str) -> Tensors:
    """The batch as a dtype holds it; class indices stay what they are."""
    import torch

    kind = getattr(torch, dtype)

    def held(numbers: Any) -> Any:
        return None if numbers is None else torch.tensor(numbers, dtype=kind).double().tolist()

    columns = [held(column) for column in data.columns]
    weights = held(data.weight), held(data.sample_weight)
    return Tensors(held(data.input), held(data.target), *weights, columns)


def tensors(data: Tensors, task: str, dtype: str = "float64") -> tuple[Any, Any, Any]:
    """Input (a leaf), target and weight as the loss takes them: M is left out where it is 1.

    Multiclass targets that are one-hot become class indices.
    """
    import torch

    kind = getattr(torch, dtype)
    input = torch.tensor(data.input, dtype=kind)
    target = torch.tensor(data.target, dtype=kind)
    weight = None if data.weight is None else torch.tensor(data.weight, dtype=kind)
    if task == "multiclass":
        if bool(((target == 0) | (target == 1)).all()):
            target = target.argmax(1, keepdim=True)
        weight = None if weight is None else weight[:, :1]
    found: list[Any] = [input, target, weight]
    single = input.shape[2] == 1
    for i, tensor in enumerate(found):
        if tensor is not None:
            tensor = tensor.squeeze(2) if single else tensor
            joint = task == "multiclass" and tensor.shape[1] == 1 and i > 0
            found[i] = tensor.squeeze(1) if task == "binary" or joint else tensor
    if data.sample_weight is not None:
        found[2] = torch.tensor(data.sample_weight, dtype=kind)
    return found[0].requires_grad_(), found[1], found[2]


def gradient(case: Case, data: Tensors, dtype: str = "float64") -> tuple[Any, Any]:
    """The loss and its gradient (of the sum, where there are several)."""
    input, target, weight = tensors(data, case.setting.task, dtype)
    loss = case(input, target, weight, **case.columns(data, dtype))
    loss.sum().backward()
    return loss.detach(), input.grad


@dataclass
class Found:
    """The largest errors of losses and of gradient elements, and how many were judged.

    Nothing is judged where the loss is no finite real number, nor elements without a slope.
    """

    loss: Any = 0
    gradient: Any = 0
    losses: int = 0
    elements: int = 0

    def add(self, other: Found) -> None:
        self.loss = worse(self.loss, other.loss)
        self.gradient = worse(self.gradient, other.gradient)
        self.losses += other.losses
        self.elements += other.elements

    def check(self, name: str, allowed: tuple[float, float]) -> ir.Check:
        measured = f"{float(self.loss):.1e} loss, {float(self.gradient):.1e} gradient"
        passed = bool(self.loss <= allowed[0] and self.gradient <= allowed[1]) and self.losses > 0
        return ir.Check(name, measured, f"{allowed[0]:.0e}, {allowed[1]:.1e}", passed)


def judged(case: Case, data: Tensors, dtype: str = "float64") -> Found:
    """What the loss and the gradient of a batch are off by."""
    data = rounded(case.full(data), dtype)
    return compared(case, data, *gradient(case, data, dtype), dtype)


def compared(case: Case, data: Tensors, loss: Any, slopes: Any, dtype: str = "float64") -> Found:
    """What was found for a batch against what the oracle says."""
    import torch

    kind = getattr(torch, dtype)
    smallest = mpf(torch.finfo(kind).tiny)
    found = Found()
    working = torch.float64 if dtype == "float64" else torch.float32
    if loss.dtype != working or slopes.dtype != kind:
        raise TypeError(f"of {dtype} a {loss.dtype} loss and a {slopes.dtype} gradient")
    with mp.workdps(DIGITS):
        unit = 2.0**-53 if dtype == "float64" else 2.0**-24  # halves run in float32
        try:
            exact = case.exact(data, unit)
        except (ValueError, ZeroDivisionError):
            return found
        for got, wanted in zip(loss.double().reshape(-1).tolist(), flat(exact.value), strict=True):
            if not mp.isnan(wanted):
                size = max(abs(wanted), abs(1 - wanted), mpf(10) ** -3)
                found.loss = worse(found.loss, abs(mpf(got) - wanted) / size)
                found.losses += 1
        columns = map(flat, (exact.gradient, exact.sizes, exact.moves))
        for got, wanted, size, move in zip(
            slopes.double().reshape(-1).tolist(), *columns, strict=True
        ):
            if size >= smallest and not mp.isnan(wanted):
                error = max(abs(mpf(got) - wanted) - move, mpf(0)) / size
                found.gradient = worse(found.gradient, error)
                found.elements += 1
            elif size == 0:  # nothing is learned here: not much less than an element's usual share
                found.gradient = worse(found.gradient, abs(mpf(got)) * slopes.numel())
    return found


def flat(numbers: Any) -> list[Any]:
    """Nested lists as one."""
    if not isinstance(numbers, list):
        return [numbers]
    return [x for inner in numbers for x in flat(inner)]
