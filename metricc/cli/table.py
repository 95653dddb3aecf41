"""Tables of scores: the columns of a CSV or parquet file, with the row in every complaint."""

from __future__ import annotations

import difflib
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
        return str(found) if isinstance(found, int | float | np.number) else repr(str(found))

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

    Raises `MetriccError` where the file cannot be read, a column is missing, or a package is.
    """
    try:
        import pandas as pd
    except ImportError:
        raise fail("MC0508", "pandas is not installed", "pip install pandas") from None
    needed = list(dict.fromkeys(wanted))
    name = "standard input" if file == "-" else file
    suffix = ".csv" if file == "-" else Path(file.removesuffix(".gz")).suffix.lower()
    seen: list[str] = []
    try:
        if suffix in PARQUET:
            frame = _parquet(file, needed, seen)
        elif suffix in SEPARATORS:

            def chosen(column: Any) -> bool:
                seen.append(str(column))
                return str(column) in needed

            source = sys.stdin.buffer if file == "-" else file
            frame = pd.read_csv(source, sep=SEPARATORS[suffix], usecols=chosen, low_memory=False)
        else:
            kinds = ", ".join((*SEPARATORS, *PARQUET))
            raise fail(
                "MC0503", f"cannot read {name}: its name ends in none of {kinds}", "give CSV"
            )
    except (OSError, ValueError) as error:
        why = reason(error).splitlines()[0] if reason(error) else type(error).__name__
        raise fail("MC0503", f"cannot read {name}: {why}", "give a CSV or parquet file") from None
    for column in needed:
        if column not in seen:
            others = list(dict.fromkeys(seen))
            close = [other for other in others if other.lower() == column.lower()]
            close = close or difflib.get_close_matches(column, others, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            hint += f"it has {', '.join(others[:12])}{', ...' if len(others) > 12 else ''}"
            raise fail("MC0512", f"{name} has no column {column}", hint)
    if not len(frame):
        raise fail("MC0512", f"{name} has no rows", "give at least one label and its score")
    return Table(name, {column: frame[column] for column in needed})


def _parquet(file: str, needed: list[str], seen: list[str]) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise fail("MC0508", "pyarrow is not installed", "pip install pyarrow") from None
    with parquet.ParquetFile(file) as opened:
        seen += opened.schema_arrow.names
        columns = [column for column in needed if column in seen]
        return opened.read(columns=columns).to_pandas()
