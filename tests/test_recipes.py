"""The programs of docs/examples that watch training: each runs, and the page shows its own lines.

Where a package is not installed its program is skipped: the extra `recipes` brings them all.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("sklearn")
EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
PAGE = EXAMPLES.parent / "watching.md"

# What each program needs beside torch and scikit-learn, and the least that it reaches.
PROGRAMS = {
    "torch": ("torch", {"valid/hard": 0.85, "train/soft": 0.8}),
    "lightning": ("lightning", {"valid/hard": 0.9, "train/hard": 0.9}),
    "skorch": ("skorch", {"valid/hard": 0.9, "folds": 0.9}),
    "transformers": ("transformers", {"eval_f1/hard": 0.4}),
}


def program(name: str) -> ModuleType:
    path = EXAMPLES / f"watch_{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.recipes
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, least = PROGRAMS[name]
    pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    found = program(name).main()
    for key, number in least.items():
        assert found[key] > number, found
    soft = [key for key in found if key.endswith("/soft")]
    assert soft and all(0 <= found[key] <= 1 for key in soft)


def test_the_page_shows_the_programs_lines() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in EXAMPLES.glob("watch_*.py"))
    shown = re.findall(r"(?ms)^```text\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))
    assert len(shown) == 4
    for block in shown:
        assert block in sources, block
