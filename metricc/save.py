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

_RECORD = re.compile(r"^METRICC = \{.*\}.*\n", re.MULTILINE)
_MADE_BY = re.compile(r"(Made\s+by\s+metricc)\s+\S+:")
State = Literal["as generated", "reformatted", "reworded", "edited"]


def with_record(text: str, line: str, record: dict[str, Any]) -> str:
    """Put the record in place of `line`, with digests of the text without that line.

    `file_sha256` is of the bytes, `code_sha256` of the code and `words_sha256` of comments and
    docstrings: the latter two stay the same when a formatter goes over the file.
    """
    rest = text.replace(line, "")
    digests = {"file_sha256": sha256(rest), "code_sha256": likeness.code(rest)}
    full = {**record, **digests, "words_sha256": likeness.words(rest)}
    return text.replace(line, f"METRICC = {full!a}  # fmt: skip  # noqa: E501\n")


def record(text: str) -> dict[str, Any] | None:
    """The METRICC record of a generated text, read as a literal; None where there is none.

    It may stand on several lines, as formatters leave it. A text that is no Python any more still
    has the one that stands on its line.
    """
    module = likeness.tree(text)
    statement = None if module is None else likeness.record_of(module)
    match = None if module is not None else _RECORD.search(text)
    if statement is None and match is None:
        return None
    try:
        if statement is not None:
            found = ast.literal_eval(statement.value)
        elif match is not None:
            found = ast.literal_eval(match.group().split("=", 1)[1].rsplit("  # fmt", 1)[0].strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def unedited(text: str) -> bool:
    """Whether a text with a record still is as it was generated, byte for byte."""
    found = record(text)
    return found is not None and found.get("file_sha256") == sha256(_RECORD.sub("", text))


def state(text: str) -> State:
    """What happened to a text with a record since it was generated.

    "reformatted": code, comments and docstrings are the same. "reworded": the code is. Files of
    versions that recorded no digest of the code are "as generated" or "edited".
    """
    if unedited(text):
        return "as generated"
    found = record(text) or {}
    if found.get("code_sha256") is None or found["code_sha256"] != likeness.code(text):
        return "edited"
    return "reformatted" if found.get("words_sha256") == likeness.words(text) else "reworded"


def _settled(text: str) -> dict[str, Any]:
    """The record without metricc's version and the digests."""
    found = dict(record(text) or {})
    for key in ("version", "file_sha256", "formula_sha256", "code_sha256", "words_sha256"):
        found.pop(key, None)
    return found


def comparable(text: str) -> str:
    """A generated text without metricc's version and the digests."""
    body = _MADE_BY.sub(r"\1:", text)
    return _RECORD.sub(lambda _: f"METRICC = {_settled(text)!a}\n", body)


def same(one: str, two: str) -> bool:
    """Whether two generated texts agree but for metricc's version and the digests."""
    return comparable(one) == comparable(two)


def same_code(one: str, two: str) -> bool:
    """Whether two texts have the same code, whatever their layout, comments and docstrings."""
    return likeness.code(one) is not None and likeness.code(one) == likeness.code(two)


def alike(one: str, two: str) -> bool:
    """Whether two generated texts differ in layout, metricc's version and the digests alone."""
    if _settled(one) != _settled(two) or not same_code(one, two):
        return False
    return likeness.words(_MADE_BY.sub(r"\1:", one)) == likeness.words(_MADE_BY.sub(r"\1:", two))


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
