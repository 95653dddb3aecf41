"""The built-in metrics: collections in the metric language itself, one family a file.

This module is the only reader of `metrics/*.metric`. It loads Lark, never SymPy or torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from metricc import syntax
from metricc.parse import parse
from metricc.statements import RECORD_KEYS

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
_KEY = re.compile(rf"##\s*({'|'.join(RECORD_KEYS)})\s*:")
_WORD = re.compile(r"[A-Za-z]\w*")


@cache
def families() -> Mapping[str, tuple[syntax.Definition, ...]]:
    """Every definition of the library, by family, in the order of the files."""
    return MappingProxyType({name: _family(name) for name in FAMILIES})


@cache
def _family(name: str) -> tuple[syntax.Definition, ...]:
    return parse(_text(name), f"{name}.metric").definitions


@cache
def _text(family: str) -> str:
    path = Path(__file__).parent / "metrics" / f"{family}.metric"
    return path.read_text(encoding="utf-8")


@cache
def definitions() -> Mapping[str, syntax.Definition]:
    """Every name of the library, aliases too, and the definition it stands for."""
    return _Definitions()


class _Definitions(Mapping[str, syntax.Definition]):
    """The names are found in the text, and a family is parsed when one of its own is asked for."""

    def __init__(self) -> None:
        self.family: dict[str, str] = {}
        self.known: dict[str, syntax.Definition] = {}
        for family in FAMILIES:
            for name in _names(_text(family)):
                if name in self.family:
                    raise ValueError(f"the library defines `{name}` twice")
                self.family[name] = family

    def __getitem__(self, name: str) -> syntax.Definition:
        family = self.family[name]
        if name not in self.known:
            for definition in _family(family):
                for each in (definition.name, *definition.aliases):
                    self.known[each] = definition
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.family)

    def __len__(self) -> int:
        return len(self.family)


def _names(text: str) -> Iterator[str]:
    """The names that a family defines, each before its aliases, which its record holds."""
    words: list[str] = []
    key = ""
    for line in text.splitlines():
        if line.startswith("##"):
            found = _KEY.match(line)
            key = found[1] if found else key
            words += _WORD.findall(line, found.end() if found else 0) if key == "aliases" else []
        elif head := _WORD.match(line):  # what goes on from the line before is indented
            yield from (head[0], *words)
            words.clear()


def home(name: str) -> tuple[str, str] | None:
    """The file that defines a name of the library, and its text; None for other names."""
    known = definitions()
    assert isinstance(known, _Definitions)
    family = known.family.get(name)
    return None if family is None else (f"{family}.metric", _text(family))


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
