"""The generated files in a folder, found without running any."""

from __future__ import annotations

import os
from pathlib import Path

from metricc import save
from metricc.errors import fail, reason
from metricc.likeness import NAME

SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


def generated(path: Path) -> list[Path]:
    """The Python files in a folder and below that have a METRICC record, sorted by path.

    A record that cannot be read counts: `metricc verify` says so.
    Hidden folders, caches and virtual environments are skipped, and links to folders are not
    followed. Raises `MetriccError` where a folder or file cannot be read, and where none is found.
    """

    def refuse(error: OSError) -> None:
        raise fail("MC0503", f"cannot read {error.filename}: {reason(error)}", "check its rights")

    found, seen = [], 0
    for folder, below, names in os.walk(path, onerror=refuse):
        below[:] = [name for name in below if not _skipped(Path(folder, name))]
        files = [Path(folder, name) for name in names if name.endswith(".py")]
        seen += len(files)
        found += [file for file in files if has_record(file)]
    if not found:
        hint = "give a folder that holds files that `metricc compile` wrote"
        fact = f"no file in {path} has a METRICC record; Python files looked at: {seen}"
        raise fail("MC0515", fact, hint)
    return sorted(found)


def _skipped(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in SKIPPED
    return hidden or (folder / "pyvenv.cfg").exists()


def has_record(file: Path) -> bool:
    """Whether a file has a METRICC record; `MetriccError` where it cannot be read."""
    if not file.is_file():  # a link to nothing
        return False
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise fail("MC0503", f"cannot read {file}: {reason(error)}", "check its rights") from None
    return NAME in text and save.has_record(text)
