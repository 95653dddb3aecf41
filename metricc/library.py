"""The built-in metrics: collections in the metric language itself, one family a file.

This module is the only reader of `metrics/*.metric`. It loads Lark, never SymPy or torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from metricc import syntax
from metricc.parse import parse

FAMILIES = (
    "counts",
    "rates",
    "overlap",
    "agreement",
    "correlation",
    "classes",
    "similarity",
    "skill",
    "costs",
    "constraints",
    "information",
)


@cache
def families() -> Mapping[str, tuple[syntax.Definition, ...]]:
    """Every definition of the library, by family, in the order of the files."""
    folder = Path(__file__).parent / "metrics"
    texts = {f: (folder / f"{f}.metric").read_text(encoding="utf-8") for f in FAMILIES}
    return MappingProxyType({f: parse(t, f"{f}.metric").definitions for f, t in texts.items()})


@cache
def definitions() -> Mapping[str, syntax.Definition]:
    """Every name of the library, aliases too, and the definition it stands for."""
    table: dict[str, syntax.Definition] = {}
    for family in families().values():
        for definition in family:
            for name in (definition.name, *definition.aliases):
                if name in table:
                    raise ValueError(f"the library defines `{name}` twice")
                table[name] = definition
    return MappingProxyType(table)


def metrics() -> tuple[str, ...]:
    """The names of the metrics, without aliases and without the upper-case vocabulary."""
    return tuple(
        definition.name
        for family in families().values()
        for definition in family
        if not definition.name.isupper()
    )


def formatted(source: str, origin: str = "<formula>") -> str:
    """A text as the formatter writes it; for the name of a library metric, its definition.

    Raises `MetriccError` for errors of syntax. Names are not looked at.
    """
    text = parse(source, origin)
    if not text.definitions and text.metric is not None:
        name = str(text.metric.body)
        if name in definitions():
            return str(definitions()[name])
    return str(text)
