"""Writing generated files without losing anything of the user's, and reading their record."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

from metricc.errors import fail, reason

_RECORD = re.compile(r"^METRICC = \{.*\}.*\n", re.MULTILINE)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def with_record(text: str, line: str, record: dict[str, Any]) -> str:
    """Put the record in place of `line`, with the digest of the text without that line."""
    full = {**record, "file_sha256": sha256(text.replace(line, ""))}
    return text.replace(line, f"METRICC = {full!a}  # fmt: skip  # noqa: E501\n")


def record(text: str) -> dict[str, Any] | None:
    """The METRICC record of a generated text, read as a literal; None where there is none."""
    match = _RECORD.search(text)
    if match is None:
        return None
    try:
        found = ast.literal_eval(match.group().split("=", 1)[1].rsplit("  # fmt", 1)[0].strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def unedited(text: str) -> bool:
    """Whether a text with a record still is as it was generated."""
    found = record(text)
    return found is not None and found.get("file_sha256") == sha256(_RECORD.sub("", text))


def comparable(text: str) -> str:
    """A generated text without metricc's version and the digests."""
    found = dict(record(text) or {})
    for key in ("version", "file_sha256", "formula_sha256"):
        found.pop(key, None)
    body = re.sub(r"^Made by metricc \S+:", "Made by metricc:", text, flags=re.MULTILINE)
    return _RECORD.sub(lambda _: f"METRICC = {found!a}\n", body)


def same(one: str, two: str) -> bool:
    """Whether two generated texts agree but for metricc's version and the digests."""
    return comparable(one) == comparable(two)


def save(text: str, path: Path, *, force: bool = False) -> Path:
    """Write `text` to `path` atomically.

    Raises `MetriccError` where the path cannot be written, and, unless `force`, where it holds a
    file that metricc did not write or that was edited since.
    """
    try:
        path = path.resolve()
        if path.is_dir():
            raise fail("MC0503", f"{path} is a folder", "name a file in it, such as f1_loss.py")
        if path.exists() and not force:
            old = path.read_text(encoding="utf-8", errors="replace")
            if record(old) is None:
                hint = "choose another path, or pass --force to overwrite it"
                raise fail("MC0504", f"{path.name} exists and metricc did not write it", hint)
            if not unedited(old):
                hint = "keep your edits under another name, or pass --force to overwrite them"
                raise fail("MC0504", f"{path.name} was edited since metricc wrote it", hint)
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
