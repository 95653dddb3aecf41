"""What all pictures share: file types, colours, and a file whose bytes are the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metricc.errors import fail, reason

SUFFIXES = (".png", ".svg", ".pdf")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe, Ito 2008
INK = "0.12"  # a grey that is nearly black
DPI = 150

# Dates and random names would make every file another one.
_METADATA = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "ModDate": None},
}


def check_path(path: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Raise `MetriccError` for a picture of unknown type, in no folder, or without matplotlib."""
    if path.suffix.lower() not in suffixes:
        hint = f"end its name in {', '.join(suffixes)}"
        raise fail("MC0501", f"{path} is no picture that can be drawn", hint)
    if not path.parent.is_dir():
        fact = f"cannot write {path}: there is no folder {path.parent}"
        raise fail("MC0503", fact, "choose another file")
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError:
        raise fail("MC0508", "matplotlib is not installed", "pip install matplotlib") from None


def figure(width: float, height: float) -> Any:
    """An empty figure of a size in inches; no window is opened and no global state is used."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def write(made: Any, path: Path) -> None:
    """Save a figure. Raises `MetriccError` where the file cannot be written."""
    import matplotlib as mpl

    try:
        with mpl.rc_context({"svg.hashsalt": "metricc"}):
            made.savefig(path, dpi=DPI, metadata=_METADATA[path.suffix.lower()])
    except OSError as error:
        fact = f"cannot write {path}: {reason(error)}"
        raise fail("MC0503", fact, "choose another file") from None
