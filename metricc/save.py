"""Writing generated files without losing anything of the user's, and reading their record."""

from __future__ import annotations

import ast
import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

from metricc import likeness
from metricc.errors import fail, reason
from metricc.likeness import sha256 as sha256

_RECORD = re.compile(r"^METRICC = \{.*\}.*\n", re.MULTILINE)  # of a text that is no Python
_DIGESTS = ("file_sha256", "code_sha256", "words_sha256", "record_sha256")
_LARGEST = 10**15  # of the numbers in a record
_DEEPEST = 4  # dicts in it
_MADE_BY = re.compile(r"(Made\s+by\s+metricc)\s+\S+:")
State = Literal["as generated", "reformatted", "reworded", "edited"]


def with_record(text: str, line: str, record: dict[str, Any]) -> str:
    """Put the record in place of `line`, with digests of the text without that line.

    `file_sha256` is of the bytes, `code_sha256` of the code and `words_sha256` of comments and
    docstrings: the latter two stay the same when a formatter goes over the file. `record_sha256` is
    of what else the record holds.
    """
    rest = text.replace(line, "")
    digests = {"file_sha256": sha256(rest), "code_sha256": likeness.code(rest)}
    digests |= {"words_sha256": likeness.words(rest), "record_sha256": _digest(record)}
    return text.replace(line, _line({**record, **digests}))


def _line(found: dict[str, Any]) -> str:
    """The line that a record is written on."""
    return f"METRICC = {found!a}  #{likeness.TRAILING}\n"


def _digest(found: dict[str, Any]) -> str:
    """The digest of a record but for its digests of the file."""
    return sha256(ascii({k: v for k, v in found.items() if k not in _DIGESTS}))


def record(text: str) -> dict[str, Any] | None:
    """The METRICC record of a generated text, read as a literal; None where there is none.

    It may stand on several lines, as formatters leave it. A text that is no Python any more still
    has the one that stands on its line. One that holds anything but text, truth values, None, small
    numbers and dicts of them is none of metricc's.
    """
    literal = _literal(text)
    if literal is None:
        return None
    try:
        found = ast.literal_eval(literal)
        return found if isinstance(found, dict) and _plain(found) else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def has_record(text: str) -> bool:
    """Whether a record stands in the text, whatever it holds."""
    return _literal(text) is not None


def _literal(text: str) -> ast.expr | str | None:
    """What the record is, unread."""
    module = likeness.tree(text)
    if module is not None:
        statement = likeness.record_of(module)
        return None if statement is None else statement.value
    match = _RECORD.search(text)
    return match and match.group().split("=", 1)[1].rsplit("  # fmt", 1)[0].strip()


def _plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict):
        inner = (isinstance(k, str) and _plain(v, depth + 1) for k, v in value.items())
        return depth < _DEEPEST and all(inner)
    if isinstance(value, (int, float)):
        return abs(value) < _LARGEST
    return value is None or isinstance(value, str)


def unedited(text: str) -> bool:
    """Whether a text with a record still is as it was generated, byte for byte."""
    found = record(text)
    if found is None or not _own(found):
        return False
    before, line, after = text.partition(_line(found))
    begins = not before or before.endswith("\n")
    return bool(line) and begins and found.get("file_sha256") == sha256(before + after)


def _own(found: dict[str, Any]) -> bool:
    """Whether a record is what was recorded. The first versions had no such digest, nor of code."""
    if "record_sha256" not in found:
        return "code_sha256" not in found
    return bool(found["record_sha256"] == _digest(found))


def record_edited(text: str) -> bool:
    """Whether the text's record is another than was recorded."""
    found = record(text)
    return found is not None and not _own(found)


def state(text: str) -> State:
    """What happened to a text with a record since it was generated.

    "reformatted": code, comments and docstrings are the same. "reworded": the code is. The record
    itself counts as code. Files of versions that recorded no digest of the code are "as generated"
    or "edited".
    """
    if unedited(text):
        return "as generated"
    found = record(text) or {}
    if not _own(found):
        return "edited"
    if found.get("code_sha256") is None or found["code_sha256"] != likeness.code(text):
        return "edited"
    return "reformatted" if found.get("words_sha256") == likeness.words(text) else "reworded"


def _settled(text: str) -> dict[str, Any]:
    """The record without metricc's version and the digests."""
    found = dict(record(text) or {})
    for key in ("version", "formula_sha256", *_DIGESTS):
        found.pop(key, None)
    return found


def comparable(text: str) -> str:
    """A generated text without metricc's version and the digests."""
    found = record(text)
    if found is not None:  # only the line as metricc writes it: all else on it is the user's
        text = text.replace(_line(found), f"METRICC = {_settled(text)!a}\n", 1)
    return _MADE_BY.sub(r"\1:", text)


def same(one: str, two: str) -> bool:
    """Whether two generated texts agree but for metricc's version and the digests."""
    return comparable(one) == comparable(two)


def same_code(one: str, two: str) -> bool:
    """Whether two texts have the same code, whatever their layout, words and record."""
    return likeness.code(one) is not None and likeness.code(one) == likeness.code(two)


def equivalent(one: str, two: str) -> bool:
    """Whether two generated texts have the same code, and records that agree in all but metricc's
    version and the digests."""
    return _settled(one) == _settled(two) and same_code(one, two)


def alike(one: str, two: str) -> bool:
    """Whether two generated texts differ in layout, metricc's version and the digests alone."""
    return equivalent(one, two) and likeness.words(_MADE_BY.sub(r"\1:", one)) == likeness.words(
        _MADE_BY.sub(r"\1:", two)
    )


def save(text: str, path: Path, *, force: bool = False) -> Path:
    """Write `text` to `path` atomically.

    A file that a formatter has gone over since metricc wrote it is replaced too: nothing of the
    user's is in it. Raises `MetriccError` where the path cannot be written, and, unless `force`,
    where it holds a file that metricc did not write, or whose code, comments or docstrings were
    edited since.
    """
    try:
        path = path.resolve()
        if path.is_dir():
            raise fail("MC0503", f"{path} is a folder", "name a file in it, such as f1_loss.py")
        if path.exists() and not force:
            old = path.read_text(encoding="utf-8-sig", errors="replace")
            if record(old) is None:
                hint = "choose another path, or pass --force to overwrite it"
                raise fail("MC0504", f"{path.name} exists and metricc did not write it", hint)
            found = state(old)
            if found in ("edited", "reworded") and not alike(old, text):
                what = "comments or docstrings of " if found == "reworded" else ""
                verb = "were" if found == "reworded" else "was"
                hint = "keep your edits under another name, or pass --force to overwrite them"
                fact = f"{what}{path.name} {verb} edited since metricc wrote it"
                raise fail("MC0504", fact, hint)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(text, encoding="utf-8", newline="\n")
            if path.exists():
                shutil.copymode(path, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        hint = "check that the folder exists and can be written"
        raise fail("MC0503", f"cannot write {path}: {reason(error)}", hint) from None
    return path
