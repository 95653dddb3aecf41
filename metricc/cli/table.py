"""Tables of scores: the columns of a CSV or parquet file, with the row in every complaint."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metricc.errors import MetriccError, fail, reason

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": ","}
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Table:
    """Columns of a file as pandas series, and the file's name for messages.

    Rows are counted from 1, below the header.
    """

    name: str
    columns: dict[str, Any]

    def numbers(self, column: str, what: str, least: float = -np.inf) -> NDArray[Any]:
        """A column of finite numbers; raises `MetriccError` with the first other cell."""
        import pandas as pd

        series = self.columns[column]
        numbers = pd.to_numeric(series, errors="coerce")
        kind = numbers.dtype.name if numbers.dtype.name in ("float16", "float32") else "float64"
        array: NDArray[Any] = numbers.to_numpy(dtype=kind, na_value=np.nan)
        wrong = ~np.isfinite(array) | (array < least)
        if wrong.any():
            row = int(np.argmax(wrong))
            hint = f"a {what} is a finite number" + (" of at least 0" if least == 0 else "")
            raise self.complaint(column, row, self.cell(column, row), hint)
        return array

    def positives(self, column: str, pos_label: str | None) -> NDArray[np.bool_]:
        """The labels that are positive: 1, or `pos_label` of two kinds."""
        series = self.columns[column]
        empty = series.isna().to_numpy()
        if empty.any():
            row = int(np.argmax(empty))
            raise self.complaint(column, row, self.cell(column, row), "leave those rows out")
        words = series.map(_word).to_numpy(dtype=object)
        if pos_label is None:
            wrong = ~np.isin(words, ["0", "1"])
            if wrong.any():
                row = int(np.argmax(wrong))
                hint = "labels are 0 and 1; of two other kinds name the positive: --pos-label"
                raise self.complaint(column, row, self.cell(column, row), hint)
            return np.asarray(words == "1")
        positive, wanted = words == _word(pos_label), _word(pos_label)
        kinds = list(dict.fromkeys(words))
        if len(kinds) > 2:
            row = int(np.flatnonzero(words == kinds[2])[0])
            hint = f"labels are of two kinds, of which {pos_label} is the positive one"
            raise self.complaint(column, row, f"{self.cell(column, row)}, a third kind", hint)
        if wanted not in kinds:
            shown = " and ".join(kinds)
            fact = f"{self.name}: column {column} has no label {pos_label}, but {shown}"
            raise fail("MC0512", fact, "name one of them")
        return np.asarray(positive)

    def cell(self, column: str, row: int) -> str:
        """What stands in a cell, in words."""
        found = self.columns[column].iloc[row]
        if found is None or found != found:
            return "nothing, or NaN"
        return str(found) if isinstance(found, int | float | np.number) else repr(str(found)[:80])

    def complaint(self, column: str, row: int, found: str, hint: str) -> MetriccError:
        return fail("MC0512", f"{self.name}: column {column}, row {row + 1} holds {found}", hint)


def _word(label: Any) -> str:
    """A label as text, whole numbers alike in all spellings: 1, 1.0, True."""
    if isinstance(label, bool | np.bool_):
        return str(int(label))
    try:
        number = float(label)
    except (TypeError, ValueError):
        return str(label)
    return str(int(number)) if number.is_integer() else str(number)


def table(file: str, wanted: Iterable[str]) -> Table:
    """Some columns of a CSV or parquet file; `-` is CSV on standard input.

    Raises `MetriccError` where the file cannot be read, a column is missing, twice there or of
    what is no single number or label, a row has more fields than the header, or a package is
    missing.
    """
    try:
        import pandas as pd  # noqa: F401
    except ImportError:
        raise fail("MC0508", "pandas is not installed", "pip install pandas") from None
    needed = list(dict.fromkeys(wanted))
    name = "standard input" if file == "-" else file
    suffix = ".csv" if file == "-" else Path(file.removesuffix(".gz")).suffix.lower()
    try:
        if suffix in PARQUET:
            frame = _parquet(file, needed)
        elif suffix in SEPARATORS:
            frame = _separated(file, name, needed, SEPARATORS[suffix])
        else:
            kinds = ", ".join((*SEPARATORS, *PARQUET))
            raise fail(
                "MC0503", f"cannot read {name}: its name ends in none of {kinds}", "give CSV"
            )
    except (OSError, EOFError, ValueError, csv.Error) as error:
        why = reason(error) if isinstance(error, OSError | ValueError) else str(error)
        why = why.splitlines()[0] if why else type(error).__name__
        raise fail("MC0503", f"cannot read {name}: {why}", "give a CSV or parquet file") from None
    if not len(frame):
        raise fail("MC0512", f"{name} has no rows", "give at least one label and its score")
    return Table(name, {column: frame[column] for column in needed})


def _separated(file: str, name: str, needed: list[str], separator: str) -> Any:
    """Columns of a text file.

    pandas takes a field too many for an index, or cuts it off, so the fields are counted before.
    """
    import pandas as pd

    if file == "-":
        data = sys.stdin.buffer.read()
    else:
        data = Path(file).read_bytes()
        data = gzip.decompress(data) if file.endswith(".gz") else data
    head, wide = _wide(data, separator)
    _check_columns(name, head, needed, separator)
    if wide is not None:
        row, fields = wide
        fact = f"{name}: row {row} has {fields} fields, and the header {len(head)}"
        hint = "write decimal points, quotes around what holds a comma, and none at a row's end"
        hint = hint if separator == "," else "one field for each column"
        raise fail("MC0512", fact, hint)
    places = [head.index(column) for column in needed]
    frame = pd.read_csv(
        io.BytesIO(data), sep=separator, usecols=places, index_col=False, low_memory=False
    )
    return frame.set_axis([head[place] for place in sorted(places)], axis=1)


def _wide(data: bytes, separator: str) -> tuple[list[str], tuple[int, int] | None]:
    """The header's names; the number and the fields of the first row that has more."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    usual = csv.field_size_limit(len(data) + 1)
    try:
        lines = csv.reader(text, delimiter=separator)
        rows = (row for row in lines if len(row) > 1 or "".join(row).strip())
        head = next(rows, None)
        if head is None:
            raise ValueError("it is empty")
        wide = ((n, len(row)) for n, row in enumerate(rows, 1) if len(row) > len(head))
        return head, next(wide, None)
    finally:
        csv.field_size_limit(usual)


def _parquet(file: str, needed: list[str]) -> Any:
    try:
        from pyarrow import parquet, types
    except ImportError:
        raise fail("MC0508", "pyarrow is not installed", "pip install pyarrow") from None
    with parquet.ParquetFile(file) as opened:
        schema = opened.schema_arrow
        _check_columns(file, schema.names, needed)
        for column in needed:
            kind = schema.field(column).type
            kind = kind.value_type if types.is_dictionary(kind) else kind
            if types.is_nested(kind) or types.is_temporal(kind):
                fact = f"{file}: column {column} holds {kind}"
                raise fail("MC0512", fact, "labels, scores and weights are one number or text each")
        return opened.read(columns=needed).to_pandas(ignore_metadata=True)


def _check_columns(name: str, names: list[str], needed: list[str], separator: str = "") -> None:
    """Raise `MetriccError` unless every needed column is there once."""
    for column in needed:
        if names.count(column) > 1:
            fact = f"{name} has {names.count(column)} columns {_shown(column)}"
            raise fail("MC0512", fact, "give each column a name of its own")
        if column in names:
            continue
        others = [other for other in dict.fromkeys(names) if other]
        same = column.strip().lower()
        close = [other for other in others if other.strip().lower() == same]
        close = close or difflib.get_close_matches(column, others, 1)
        hint = f"did you mean {_shown(close[0])}? " if close else ""
        shown = ", ".join(map(_shown, others[:12]))
        hint += f"it has {shown}{', ...' if len(others) > 12 else ''}"
        other = (
            next((mark for mark in ";\t,|" if mark in others[0]), "") if len(others) == 1 else ""
        )
        if other and separator:
            words = {"\t": "tabs", ",": "commas", ";": "`;`", "|": "`|`"}
            hint = f"split the fields by {words[separator]}: its header {_shown(others[0])} is "
            hint += f"split by {words[other]}"
        raise fail("MC0512", f"{name} has no column {_shown(column)}", hint)


def _shown(column: str) -> str:
    """A column's name, in quotes where its ends would not be seen."""
    plain = column and not any(mark.isspace() or mark in ",;" for mark in column)
    return column if plain else repr(column)
