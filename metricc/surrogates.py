"""Surrogates: the function A that makes the confusion matrix of a prediction differentiable.

A prediction's soft label is A(p), p its probability. A surrogate is named as it is written:
`amplified`, `amplified(L=73)`, `score_oriented(cosine, mu=0.5, delta=0.1)`,
`heaviside(thresholds=[0.2, 0.5])`, `straight_through(amplified)`; a formula in p or z is read by
`curve`. How a target spells A, 1 - A and the slope without cancellation is its own concern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from metricc.errors import MetriccError, fail

if TYPE_CHECKING:
    from metricc import ir, syntax

Value: TypeAlias = float | tuple[float, ...]
Bounds: TypeAlias = "tuple[float, float] | syntax.Interval | None"


@dataclass(frozen=True)
class Curve:
    """A surrogate that was given as a formula: the tree, its code, and what was found out.

    `block` computes A, 1 - A and the slope; `variable` is "p" where the slope is dA/dp, and "z"
    where it is dA/dz. `ends` are A at p = 0 and p = 1, at the default arguments.
    """

    text: syntax.Text
    block: ir.Block
    variable: str
    ends: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Surrogate:
    """One surrogate with the defaults of its arguments.

    `formula` is A(p) for readers; `arguments` are the constructor arguments with their defaults
    and the range that each must lie in (an open one, or the interval of a head). `centre` names
    the argument where A is 1/2. A `kinked` surrogate has a slope that jumps, or that is 0 outside a
    support. A `hard` one counts decisions and borrows the slope of the surrogate that its name
    stands for.
    """

    name: str
    formula: str
    reference: str
    arguments: tuple[tuple[str, Value, Bounds], ...] = ()
    centre: str = ""
    kinked: bool = False
    hard: bool = False
    curve: Curve | None = None

    @property
    def defaults(self) -> dict[str, Value]:
        return {name: default for name, default, _ in self.arguments}

    @property
    def averaged(self) -> bool:
        """Whether A is the mean over a list of centres."""
        return any(isinstance(default, tuple) for default in self.defaults.values())

    @property
    def sums_to_one(self) -> bool:
        """Whether A of probabilities that sum to 1 sums to 1."""
        return self.name == "soft" or self.hard

    def __str__(self) -> str:
        """As it is written, with the defaults that differ from the table's."""
        if self.curve is not None:
            return self.name
        usual = SURROGATES[self.name].defaults
        changed = [
            f"{n}={_shown(x)}" for n, x in self.defaults.items() if n not in usual or x != usual[n]
        ]
        head, _, prior = self.name.rstrip(")").partition("(")
        inside = [prior] * bool(prior) + changed
        text = f"{head}({', '.join(inside)})" if inside else head
        if not self.hard:
            return text
        if self.name == "soft":
            return "straight_through"
        return f"straight_through({', '.join([head, *inside])})"


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


_AROUND = (("mu", 0.5, (0.0, 1.0)), ("delta", 0.1, (0.0, 1.0)))

# Arguments that a formula may use without a head, with their usual defaults and ranges.
USUAL: dict[str, tuple[float, tuple[float, float]]] = {
    "L": (10.0, (0.0, 1e6)),
    "threshold": (0.5, (0.0, 1.0)),
    "mu": (0.5, (0.0, 1.0)),
    "delta": (0.1, (0.0, 1.0)),
}

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
HEADS = ("amplified", "soft", "score_oriented", "heaviside", "straight_through")
MAX_LENGTH = 4_000  # characters of a surrogate
MAX_CENTRES = 100
_NAMED = re.compile(r"([A-Za-z]\w*)(?: ?\((.*)\))?", re.DOTALL)


def default(task: str, target: str = "torch") -> str:
    """The surrogate of a task: classes of a softmax should keep summing to 1.

    Trees do best with the surrogate whose slope reaches every row.
    """
    return "soft" if task == "multiclass" or target == "gbdt" else "amplified"


def is_formula(text: str) -> bool:
    """Whether `text` is a formula rather than the name of a surrogate."""
    if len(text) > MAX_LENGTH:
        fact = f"the surrogate has {len(text):,} characters; at most {MAX_LENGTH:,} are read"
        raise fail("MC0401", fact, "write a shorter formula")
    match = _NAMED.fullmatch(text.strip())
    if match is None or text.strip() in ("p", "z"):
        return True
    return match[1] not in HEADS and bool(set(text) & set("=+-*/^("))


def surrogate(text: str) -> Surrogate:
    """The surrogate that is named in `text`. Raises `MetriccError` where there is none."""
    match = _NAMED.fullmatch(text.strip())
    if match is None:
        raise _unknown(text)
    given = [part.strip() for part in re.split(r",(?![^\[]*\])", match[2] or "") if part.strip()]
    words = [part for part in given if "=" not in part]
    hard = match[1] == "straight_through"
    inner = _NAMED.fullmatch((match[2] or "").strip())
    if hard and inner is not None and inner[2] is not None:  # straight_through(amplified(L=5))
        return replace(surrogate(inner[0]), hard=True)
    head, *words = [*words, "soft"] if hard and not words else words if hard else [match[1], *words]
    name = f"{head}({', '.join(words)})" if words else head
    if name not in SURROGATES:
        raise _unknown(text)
    row = replace(SURROGATES[name], hard=hard)
    for part in given:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if equals:
            row = _with(row, key, value)
    return row


def _with(row: Surrogate, key: str, text: str) -> Surrogate:
    """The surrogate with another default: a number, or a list of its centre's values."""
    listed = f"{row.centre}s" if row.centre else ""
    bounds = {n: between for n, _, between in row.arguments if isinstance(between, tuple)}
    known = [*bounds, *[listed] * bool(listed and listed not in bounds)]
    if key not in known:
        hint = f"it has {', '.join(known)}" if known else "it has none"
        raise fail("MC0501", f"{row.name} has no argument {key!r}", hint)
    old = row.centre if key == listed else key
    low, high = bounds.get(key, bounds.get(old, (0.0, 1.0)))
    several = key == listed
    pieces = text.removeprefix("[").removesuffix("]").split(",") if several else [text]
    try:
        numbers = tuple(float(piece) for piece in pieces)
    except ValueError:
        example = f"{key}=[0.2, 0.5]" if several else f"{key}=0.5"
        raise fail("MC0501", f"{key} = {text} is no number", f"such as {example}") from None
    if len(numbers) > MAX_CENTRES:
        fact = f"{key} has {len(numbers)} values; at most {MAX_CENTRES} are read"
        raise fail("MC0501", fact, "write fewer")
    for number in numbers:
        if not low < number < high:
            fact = f"{key} = {number:g} lies outside ({low:g}, {high:g})"
            raise fail("MC0501", fact, "choose a value in the range")
    value: Value = numbers if several else numbers[0]
    arguments = tuple(
        (key, value, between) if name in (old, key) else (name, usual, between)
        for name, usual, between in row.arguments
    )
    return replace(row, arguments=arguments, centre=key if several else row.centre)


def _unknown(text: str) -> MetriccError:
    names = ", ".join([*SURROGATES, "straight_through"])
    hint = f"choose one of {names}, or write a formula in p"
    return fail("MC0501", f"surrogate cannot be {text!r}", hint)
