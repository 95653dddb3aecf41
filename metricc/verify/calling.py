"""How a loss is called: the defaults of its functions, and the module against the function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.agreement import apart, difference, layout, small
from metricc.verify.batches import Tensors
from metricc.verify.case import Case, tensors, usual_policy
from metricc.verify.points import arguments, batch, lacking, outside, parameter_sets, worse

POLICIES = ("diagonal", "skip", "zero")
SHARES = (1.0, 0.0, 2.5)  # of the classes
NONE = ...  # stands for an argument without a default


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Each argument's default."""
    found = inspect.signature(function).parameters.values()
    return {p.name: NONE if p.default is p.empty else p.default for p in found if p.name != "self"}


def own_defaults(metric: ir.Metric, surrogate: Surrogate) -> dict[str, Any]:
    """The defaults of the metric's parameters and of the surrogate's arguments."""
    own = {p.name: NONE if p.default is None else float(p.default) for p in metric.parameters}
    return {**own, **surrogate.defaults}


def differing(name: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The arguments whose defaults are others, or which are missing or too many."""
    names = [*dict.fromkeys((*wanted, *found))]
    return [f"{name}({n})" for n in names if found.get(n, KeyError) != wanted.get(n, KeyError)]


def defaults_check(wrong: list[str]) -> ir.Check:
    measured = f"{len(wrong)} differ" + (f": {wrong[0]}" if wrong else "")
    return ir.Check("defaults", measured, "0 differ", not wrong)


@dataclass(frozen=True)
class Calls:
    """A generated loss with one setting, and what it was made of."""

    one: Case
    module: ModuleType
    plan: ir.Plan
    options: ir.Options
    surrogate: Surrogate

    @property
    def loss(self) -> Any:
        """The class."""
        return getattr(self.module, f"{self.options.pascal}Loss")

    @property
    def own(self) -> dict[str, Any]:
        return own_defaults(self.plan.metric, self.surrogate)

    @property
    def policies(self) -> dict[str, Any]:
        """The defaults of what every loss has."""
        task = self.options.task
        found: dict[str, Any] = {"ignore_index": -100 if task == "multiclass" else None}
        found |= {"label_smoothing": 0.0, "smooth": 0.0, "process_group": None}
        found["absent"] = usual_policy(task, self.one.text)
        if self.one.shared:
            found |= {"class_weight": None, "classes": None, "exclude_background": False}
        return found | ({"reduction": "mean"} if self.one.several else {})

    @property
    def required(self) -> dict[str, Any]:
        """Values of the parameters that have no default."""
        return {n: self.others[n] for n, value in self.own.items() if value is NONE}

    @property
    def others(self) -> dict[str, Any]:
        """A value other than the default for every argument but the tensors."""
        task, usual = self.options.task, self.policies
        found = {**parameter_sets(self.plan.metric)[-1], **arguments(self.surrogate)[:2][-1]}
        found |= {"ignore_index": 1 if task == "multiclass" else 0.25, "label_smoothing": 0.15}
        found |= {"smooth": 0.5, "absent": "zero" if usual["absent"] != "zero" else "skip"}
        if self.one.shared:
            found |= {"class_weight": SHARES, "classes": [0, 2], "exclude_background": True}
        return found | ({"reduction": "sum"} if self.one.several else {})

    def data(self, soft: bool = True) -> Tensors:
        """A weighted batch with labels that may be ignored."""
        task, given = self.options.task, self.one.setting.from_probabilities
        shape = layout(self.one, 30)
        return self.one.full(
            batch(task, shape, 1.5, 23, given, True, soft=soft and task != "multiclass")
        )


def signatures(calls: Calls) -> ir.Check:
    """Defaults of the function, of the class and its methods, and of the scalar functions."""
    one, module = calls.one, calls.module
    columns = dict.fromkeys(one.setting.columns, NONE)
    batch = {"input": NONE, "target": NONE, "weight": None, "mask": None, **columns}
    counted = {} if one.wide else {"counts": None}
    wanted: list[tuple[str, Any, dict[str, Any]]] = [
        (f"{calls.options.name}_loss", one.loss, {**batch, **counted, **calls.policies}),
        (calls.loss.__name__, calls.loss.__init__, calls.policies),
    ]
    wanted = [(name, code, {**given, **calls.own}) for name, code, given in wanted]
    wanted.append(("forward", calls.loss.forward, {**batch, **counted}))
    if counted:
        wanted.append(("counts", calls.loss.counts, batch))
        wanted.append(("Counts", module.Counts.__init__, {"decay": 0.99}))
    if soft := dict.fromkeys(calls.surrogate.defaults):
        wanted.append(("set_surrogate", calls.loss.set_surrogate, soft))
    wrong = [x for name, code, w in wanted for x in differing(name, defaults(code), w)]
    usual = {"class_weight": None, "sample_weight": None, "absent": None, "smooth": 0.0}
    usual |= own_defaults(calls.plan.metric, calls.surrogate)
    for name in ("value", "gradient", "weights"):
        found = {n: x for n, x in defaults(getattr(module, name)).items() if n in usual}
        wrong += differing(name, found, {n: usual[n] for n in found})
    for beyond in outside(calls.plan.metric, calls.surrogate):
        wrong += [f"{calls.loss.__name__}({beyond})"] * (not _refuses(calls, beyond))
    return defaults_check(wrong)


def _refuses(calls: Calls, beyond: Mapping[str, Any]) -> bool:
    given = {**calls.required, **beyond}
    try:
        calls.loss(**given)
    except ValueError:
        return True
    return False


def modules(calls: Calls) -> ir.Check:
    """The module, called by position, against the function: each argument for itself, and all."""
    import torch

    one, error = calls.one, 0.0
    whole = calls.data()
    batches = [whole, lacking(calls.options.task, whole, True)]
    others, required = calls.others, calls.required
    chosen = [required, *({**required, name: others[name]} for name in others)]
    chosen.append({n: x for n, x in others.items() if n != "ignore_index"})
    for data in batches:
        input, target, weight = tensors(data, calls.options.task)
        mask = torch.arange(len(target)) % 4 != 1
        columns = one.columns(data)

        def gradients(call: Callable[..., Any], z: Any = input) -> tuple[Any, Any]:
            z = z.detach().clone().requires_grad_()
            loss = call(z)
            loss.sum().backward()
            return loss.detach(), z.grad

        def off(loss: Any, given: Mapping[str, Any], *more: Any) -> float:
            tensors = (target, weight, mask, *more)  # noqa: B023
            names = dict(zip(("weight", "mask", "counts"), tensors[1:], strict=False))
            by_position = gradients(lambda z: loss(z, *tensors, **columns))  # noqa: B023
            wanted = gradients(lambda z: one.loss(z, target, **columns, **names, **given))  # noqa: B023
            return float(
                worse(apart(by_position[0], wanted[0]), difference(by_position[1], wanted[1]))
            )

        for given in chosen:
            error = worse(error, off(calls.loss(**given), given))
        if not one.wide:
            loss = calls.loss(**required)
            with torch.no_grad():
                counts = 2 * loss.counts(input, target, weight, **columns) + 1
            error = worse(error, off(loss, required, counts))
        names = [*calls.surrogate.defaults]
        for some in [[n] for n in names] + [names] * (len(names) > 1):
            usual = {**required, **calls.surrogate.defaults}
            other = {**usual, **{n: others[n] for n in names}}
            for before, after in ((usual, other), (other, usual)):
                loss = calls.loss(**before)
                loss.set_surrogate(**{n: after[n] for n in some})
                error = worse(error, off(loss, {**before, **{n: after[n] for n in some}}))
    return small("module = function", error)
