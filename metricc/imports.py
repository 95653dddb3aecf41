"""`import "path"` in files: the definitions of other files, each checked in its own file.

A path is relative to the folder of the file that imports it and stays inside that folder. Formula
strings import nothing: their text comes from strangers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metricc import syntax
from metricc.errors import Diagnostic, MetriccError, reason
from metricc.parse import parse
from metricc.resolve import Imported, check_collection
from metricc.sources import contents

MAX_FILES = 20  # that one file may reach


def imports(
    text: syntax.Text, path: Path | None, library: Mapping[str, syntax.Definition]
) -> Imported:
    """Everything that `text`, read from `path`, imports, directly or through others.

    Raises `MetriccError` where there is no path, a file cannot be read, lies outside the folder or
    reaches itself, two files give one name two meanings, and for every error inside the files.
    """
    return _Reader(library).imports(text, path, ())


@dataclass(slots=True)
class _Reader:
    library: Mapping[str, syntax.Definition]
    files: dict[Path, syntax.Text] = field(default_factory=dict)

    def imports(self, text: syntax.Text, path: Path | None, chain: tuple[Path, ...]) -> Imported:
        names: dict[str, syntax.Definition] = {}
        homes: dict[int, Mapping[str, syntax.Definition]] = {}
        for statement in text.imports:
            if path is None:
                hint = "put the formula into a .metric file, or write the definitions out"
                raise _error(text, statement, "only files import files", hint, "MC0211")
            file = self.found(text, statement, path)
            if file in (*chain, path.resolve()):
                raise _error(text, statement, f"{file.name} imports itself", "break the circle")
            other = self.text(text, statement, file)
            inner = self.imports(other, file, (*chain, path.resolve()))
            check_collection(other, self.library, inner)
            homes |= inner.homes
            visible = {**inner.names, **{d.name: d for d in other.definitions}}
            for definition in other.definitions:
                if names.setdefault(definition.name, definition) is not definition:
                    fact = f"`{definition.name}` is imported twice"
                    raise _error(text, statement, fact, "rename it in one of the files")
                homes[id(definition)] = visible
        return Imported(names, homes)

    def found(self, text: syntax.Text, statement: syntax.Import, path: Path) -> Path:
        folder = path.resolve().parent
        try:
            file = (folder / statement.path).resolve()
            outside = Path(statement.path).is_absolute() or not file.is_relative_to(folder)
        except (OSError, ValueError, RuntimeError):
            raise _error(text, statement, "this is no path", "write a relative path") from None
        if outside or file.suffix != ".metric":
            fact = "only .metric files in this file's folder, or below it, are imported"
            raise _error(text, statement, fact, 'such as import "costs.metric"')
        return file

    def text(self, text: syntax.Text, statement: syntax.Import, file: Path) -> syntax.Text:
        if file not in self.files:
            if len(self.files) == MAX_FILES:
                fact = f"more than {MAX_FILES} files are imported"
                raise _error(text, statement, fact, "join some of them", "MC0410")
            try:
                source = contents(file)
            except (OSError, ValueError) as error:
                fact = f"cannot read {file.name}: {reason(error)}"
                raise _error(text, statement, fact, "check the path") from None
            self.files[file] = parse(source, file.name)
        if (metric := self.files[file].metric) is not None:
            other = self.files[file]
            fact = "a file that is imported holds definitions only"
            diagnostic = Diagnostic(
                "MC0107", fact, metric.span, "give it a name", other.source, other.origin
            )
            raise MetriccError(diagnostic)
        return self.files[file]


def _error(
    text: syntax.Text, statement: syntax.Import, fact: str, hint: str, code: str = "MC0509"
) -> MetriccError:
    return MetriccError(Diagnostic(code, fact, statement.span, hint, text.source, text.origin))
