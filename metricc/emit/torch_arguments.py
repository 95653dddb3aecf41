"""The arguments of the generated loss: keywords, range checks, and how they are passed on."""

from __future__ import annotations

from fractions import Fraction

from metricc import ir, syntax
from metricc.emit import torch_file as file
from metricc.surrogates import Surrogate, Value


def arguments(
    parameters: tuple[ir.Parameter, ...], surrogate: Surrogate, counted: tuple[str, ...] = ()
) -> dict[str, str]:
    """The holes that list arguments: the metric's parameters, then the surrogate's.

    `counted` are the metric's parameters that element losses need too.
    """
    own = [(p.name, "float", _default(p, " = ")) for p in parameters]
    soft = [(name, _kind(value), f" = {value}") for name, value, _ in surrogate.arguments]
    both = sorted([*own, *soft], key=lambda item: item[2] != "")  # required ones first
    names = [name for name, *_ in [*own, *soft]]
    checks = {p.name: _check(p.name, p.interval) for p in parameters}
    for name, value, bounds in surrogate.arguments:
        interval: syntax.Interval | None = None if isinstance(bounds, tuple) else bounds
        if isinstance(bounds, tuple):
            interval = syntax.Interval(Fraction(bounds[0]), Fraction(bounds[1]))
        one = isinstance(value, tuple)
        checks[name] = _each(name, interval) if one else _check(name, interval)
    checked = [name for name, check in checks.items() if check]
    soft_names = [name for name, *_ in surrogate.arguments]

    def listed(form: str, names: list[str]) -> str:
        return "".join(", " + form.format(name) for name in names)

    requires = f"_require({', '.join(checked)})\n" if checked else ""
    shown = ", ".join(f"{name}={{self.{name}}}" for name in names)
    return {
        "ranges": file.RANGES.format(listed=", ".join(checked), checks="".join(checks.values()))
        if checked
        else "",
        "require": f"    {requires}" if requires else "",
        "require_in_module": f"        {requires}" if requires else "",
        "keywords": "".join(f", {name}: {kind}{value}" for name, kind, value in both),
        "assign": "".join(f"        self.{name} = {name}\n" for name in names),
        "stored": listed("{0}=self.{0}", names),
        "shown": f'f"{shown}"' if shown else '""',
        "store": listed("{0}", names),
        "parameters": listed("{0}", [p.name for p in parameters]),
        "soft_args": listed("{0}", soft_names),
        "count_args": listed("{0}", [*soft_names, *counted]),
        "own_count_args": listed("self.{0}", [*soft_names, *counted]),
        "loss_args": listed("{0}", [*counted]),
        "set_surrogate": _set_surrogate(surrogate, checked) if soft_names else "",
    }


def _set_surrogate(surrogate: Surrogate, checked: list[str]) -> str:
    """The method that changes the surrogate's arguments between steps."""
    names = [name for name, *_ in surrogate.arguments]
    kinds = {name: _kind(value) for name, value, _ in surrogate.arguments}
    keywords = ", ".join(f"{name}: {kinds[name]} | None = None" for name in names)
    lines = "".join(f"        {n} = self.{n} if {n} is None else {n}\n" for n in names)
    given = ", ".join(name if name in names else f"self.{name}" for name in checked)
    lines += f"        _require({given})\n" if checked else ""
    lines += f"        {', '.join(f'self.{n}' for n in names)} = {', '.join(names)}\n"
    return file.SET_SURROGATE.format(keywords=keywords, lines=lines)


def positional(parameter: ir.Parameter) -> str:
    """A parameter in the signature of `value`, `gradient` and `weights`."""
    return f"{parameter.name}{_default(parameter, '=')}"


def _default(parameter: ir.Parameter, equals: str) -> str:
    return "" if parameter.default is None else f"{equals}{float(parameter.default)}"


def _kind(value: Value) -> str:
    return "tuple[float, ...]" if isinstance(value, tuple) else "float"


def _bounds(name: str, interval: syntax.Interval | None) -> str:
    if interval is None or (interval.low is None and interval.high is None):
        return ""
    text = name
    if interval.low is not None:
        text = f"{syntax.decimal(interval.low)} {'<' if interval.low_open else '<='} {text}"
    if interval.high is not None:
        text = f"{text} {'<' if interval.high_open else '<='} {syntax.decimal(interval.high)}"
    return text


def _check(name: str, interval: syntax.Interval | None) -> str:
    text = _bounds(name, interval)
    return text and (
        f"    if not {text}:\n"
        f'        raise ValueError(f"{name} must lie in {interval}, not {{{name}}}")\n'
    )


def _each(name: str, interval: syntax.Interval | None) -> str:
    return (
        f"    if not {name} or not all({_bounds('x', interval)} for x in {name}):\n"
        f'        raise ValueError(f"{name} must lie in {interval}, not {{{name}}}")\n'
    )
