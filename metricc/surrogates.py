"""Surrogates: the function A that makes the confusion matrix of a prediction differentiable.

A prediction's soft label is A(p), p = sigmoid(z). A surrogate is named as it is written:
`amplified`, `amplified(L=73)`, `score_oriented(cosine, mu=0.5, delta=0.1)`. How a target spells A,
1 - A and the slope without cancellation is the target's own concern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from metricc.errors import MetriccError, fail


@dataclass(frozen=True, slots=True)
class Surrogate:
    """One surrogate with the defaults of its arguments.

    `formula` is A(p) for readers; `arguments` are the constructor arguments with their defaults
    and the open range that each must lie in. `centre` names the argument where A is 1/2. A
    `kinked` surrogate has a slope that jumps, or that is 0 outside a support.
    """

    name: str
    formula: str
    reference: str
    arguments: tuple[tuple[str, float, tuple[float, float]], ...] = ()
    centre: str = ""
    kinked: bool = False

    @property
    def defaults(self) -> dict[str, float]:
        return {name: default for name, default, _ in self.arguments}

    def __str__(self) -> str:
        """As it is written, with the defaults that differ from the table's."""
        usual = SURROGATES[self.name].defaults
        changed = [f"{n}={x:g}" for n, x in self.defaults.items() if x != usual[n]]
        if not changed:
            return self.name
        head, _, prior = self.name.rstrip(")").partition("(")
        return f"{head}({', '.join([prior] * bool(prior) + changed)})"


_AROUND = (("mu", 0.5, (0.0, 1.0)), ("delta", 0.1, (0.0, 1.0)))

SURROGATES: dict[str, Surrogate] = {
    row.name: row
    for row in (
        Surrogate(
            "amplified",
            "sigmoid(L*(p - threshold))",
            "AnyLoss: Han, Moniz, Chawla 2024, arXiv 2405.14745",
            (("L", 10.0, (0.0, 1e6)), ("threshold", 0.5, (0.0, 1.0))),
            "threshold",
        ),
        Surrogate("soft", "p", "the expected confusion matrix"),
        Surrogate(
            "score_oriented(uniform)",
            "clip((p - mu + delta)/(2*delta), 0, 1)",
            "Marchetti et al. 2022, Score-Oriented Loss (SOL) functions",
            (_AROUND[0], ("delta", 0.25, (0.0, 1.0))),
            "mu",
            kinked=True,
        ),
        Surrogate(
            "score_oriented(cosine)",
            "(1 + u + sin(pi*u)/pi)/2, u = clip((p - mu)/delta, -1, 1)",
            "Marchetti et al. 2022, Score-Oriented Loss (SOL) functions",
            _AROUND,
            "mu",
            kinked=True,
        ),
        Surrogate(
            "heaviside",
            "three straight pieces through (0, 0), (1/2 at threshold) and (1, 1)",
            "Tsoi et al. 2022, Bridging the Gap: Unifying the Training and Evaluation (NeurIPS)",
            (("delta", 0.1, (0.0, 0.5)), ("threshold", 0.5, (0.0, 1.0))),
            "threshold",
            kinked=True,
        ),
    )
}


def surrogate(text: str) -> Surrogate:
    """The surrogate that is written in `text`. Raises `MetriccError` where there is none."""
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", str(text))
    if match is None:
        raise _unknown(text)
    given = [part.strip() for part in (match[2] or "").split(",") if part.strip()]
    words = [part for part in given if "=" not in part]
    name = f"{match[1]}({', '.join(words)})" if words else match[1]
    if name not in SURROGATES:
        raise _unknown(text)
    row = SURROGATES[name]
    chosen = row.defaults
    for part in given:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            continue
        if key not in chosen:
            hint = f"it has {', '.join(chosen)}" if chosen else "it has none"
            raise fail("MC0501", f"{row.name} has no argument {key!r}", hint)
        try:
            chosen[key] = float(value)
        except ValueError:
            raise fail("MC0501", f"{key} = {value} is no number", f"such as {key}=0.5") from None
        low, high = next(bounds for n, _, bounds in row.arguments if n == key)
        if not low < chosen[key] < high:
            fact = f"{key} = {chosen[key]:g} lies outside ({low:g}, {high:g})"
            raise fail("MC0501", fact, "choose a value in the range")
    arguments = tuple((n, chosen[n], bounds) for n, _, bounds in row.arguments)
    return replace(row, arguments=arguments)


def _unknown(text: str) -> MetriccError:
    names = ", ".join(SURROGATES)
    return fail("MC0501", f"surrogate cannot be {text!r}", f"choose one of {names}")
