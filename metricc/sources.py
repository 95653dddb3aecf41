"""What the user hands over → the text to compile, where it comes from, and what to call it.

In Python a string is always text of the language, never a path: it may come from a stranger. Files
are named by `pathlib.Path`. On the command line an argument may also be a file's name or `-`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from metricc.errors import fail, reason
from metricc.parse import MAX_TEXT


@dataclass(frozen=True, slots=True)
class Source:
    """A text, its file if it has one, and its name in diagnostics."""

    text: str
    path: Path | None = None
    origin: str = "<formula>"


def source(formula: str | Path | Source) -> Source:
    """The source of a formula given in Python. Raises `MetriccError` where there is none."""
    if isinstance(formula, Source):
        return formula
    if isinstance(formula, Path):
        return _file(formula)
    if not isinstance(formula, str):
        fact = f"a formula is text, not {type(formula).__name__}"
        raise fail("MC0501", fact, 'pass a string, such as "f1"')
    if any("\ud800" <= character <= "\udfff" for character in formula):
        raise fail("MC0102", "the text is not valid Unicode", "save it as UTF-8")
    if formula.endswith(".metric") and "\n" not in formula:
        fact = "a string is a formula, never a file"
        raise fail("MC0503", fact, 'pass pathlib.Path("mine.metric")')
    return Source(formula)


def argument(word: str) -> Source:
    """The source that a command's argument names: a .metric file, `-`, or the text itself."""
    if word == "-":
        try:
            # Bytes, since the terminal's own decoding may let what is no text through.
            data = sys.stdin.buffer.read(4 * MAX_TEXT + 4)
            return Source(data.decode("utf-8-sig"), None, "<standard input>")
        except UnicodeDecodeError:
            fact = "cannot read standard input: it is not UTF-8 text"
            raise fail("MC0503", fact, "pipe in a formula") from None
    if word.endswith(".metric") and "\n" not in word:
        return _file(Path(word))
    return source(word)


def contents(path: Path) -> str:
    """A file's text, one character above the limit at most.

    Raises `OSError` or `ValueError` where it cannot be read; see `errors.reason`.
    """
    with path.open(encoding="utf-8-sig") as stream:
        return stream.read(MAX_TEXT + 1)


def _file(path: Path) -> Source:
    try:
        return Source(contents(path), path, str(path))
    except (OSError, ValueError) as error:
        hint = "a formula that ends in .metric is read as a file's path"
        raise fail("MC0503", f"cannot read {path}: {reason(error)}", hint) from None
