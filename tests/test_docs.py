"""The documents: every code block of README.md and docs/*.md does what the text around it says.

```metric             parses, resolves and lowers
```metric fails CODE  is refused with that code, and with no other
```metric warns CODE  compiles with that warning, and with no other
```python             is executed; the blocks of a file share one namespace
```console            lines `$ metricc ...` are run; output below them is compared, `...` skips
```sh and ```text     are not run

The python and console blocks of a file run in order, in one empty folder.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

import metricc
from metricc import library
from metricc.cli import main
from metricc.errors import CATALOGUE, WARNINGS, MetriccError
from metricc.functions import FUNCTIONS, REDUCTIONS, RESERVED
from metricc.lower import lower
from metricc.parse import parse
from metricc.resolve import resolve

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCS = ROOT / "docs"
LANGUAGE = ROOT / "docs" / "language.md"
KINDS = ("metric", "python", "console", "sh", "text")
FENCE = re.compile(r"(?ms)^```([^\n]*)\n(.*?)^```[ \t]*$")


@dataclass(frozen=True)
class Block:
    path: Path
    line: int
    info: str
    text: str

    @property
    def kind(self) -> str:
        return self.info.split()[0] if self.info.strip() else ""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        yield Block(path, text.count("\n", 0, match.start()) + 1, match[1], match[2])


BLOCKS = [block for path in FILES for block in blocks(path)]
METRICS = [block for block in BLOCKS if block.kind == "metric"]


def test_every_block_is_of_a_known_kind() -> None:
    for block in BLOCKS:
        assert block.kind in KINDS, f"{block}: ```{block.info}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_fence_is_closed(path: Path) -> None:
    fences = re.findall(r"(?m)^\s*```", path.read_text(encoding="utf-8"))
    assert len(fences) == 2 * len([*blocks(path)])


# -- metric -----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", METRICS, ids=str)
def test_metric_blocks(block: Block) -> None:
    words = block.info.split()
    if len(words) == 1:
        resolved = resolve(parse(block.text), library.definitions())
        lower(resolved, "metric", block.text)
        return
    assert words[1] in ("fails", "warns") and len(words) == 3, f"{block}: ```{block.info}"
    if words[1] == "warns":
        assert words[2] in {d.code for d in metricc.compile(block.text).warnings}
        return
    with pytest.raises(MetriccError) as caught:
        metricc.compile(block.text)
    assert {d.code for d in caught.value.diagnostics} == {words[2]}


# -- python and console -----------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_python_and_console_blocks(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    namespace: dict[str, object] = {"__name__": f"blocks of {path.name}"}
    try:
        for block in blocks(path):
            if block.kind == "python":
                # As many blank lines above as the block has in its file: tracebacks point there.
                code = compile("\n" * block.line + block.text, str(path), "exec")
                exec(code, namespace)
            elif block.kind == "console":
                console(block)
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(tmp_path):
                del sys.modules[name]


def console(block: Block) -> None:
    """Run the commands of a block and compare what they print."""
    parts = re.split(r"(?m)^\$ (.*)\n?", block.text)
    assert not parts[0].strip(), f"{block}: output before the first command"
    for command, output in zip(parts[1::2], parts[2::2], strict=True):
        program, *arguments = shlex.split(command)
        assert program == "metricc", f"{block}: `{command}` is not run: use ```sh"
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if output.strip():
            assert result.exit_code in (0, 1, 2), f"{block}: {command}"
            compare(f"{block}: {command}", output, result.output)
        else:
            assert result.exit_code == 0, f"{block}: {command}\n{result.output}"


def compare(place: str, expected: str, found: str) -> None:
    lines, printed = stripped(expected), stripped(found)
    pattern = "".join(r"(?:.*\n)*" if x == "..." else re.escape(x) + r"\n" for x in lines)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is None:
        assert printed == lines, place  # for the difference that pytest shows


def stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").split("\n")]


def test_the_comparison_of_console_output() -> None:
    compare("", "a\nb  \n", "a\nb\n\n")
    compare("", "a\n...\nz\n", "a\nb\nc\nz\n")
    compare("", "a\n...\nz\n", "a\nz\n")
    for wrong in ("a\nb\n", "a\n...\ny\n", "...\na\n"):
        with pytest.raises(AssertionError):
            compare("", wrong, "a\nb\nz\n")


def test_a_wrong_console_block_is_found() -> None:
    def block(text: str) -> Block:
        return Block(LANGUAGE, 1, "console", text)

    console(block("$ metricc explain MC0501\n"))
    console(block("$ metricc explain MC0501\nMC0501: an option with an impossible value\n...\n"))
    for wrong in (
        "$ metricc explain MC0501\nMC0502: an option with an impossible value\n",
        "$ metricc derive tp\n",
        "$ ls\n",
        "MC0501\n$ metricc explain MC0501\n",
    ):
        with pytest.raises(AssertionError):
            console(block(wrong))


# -- docs/language.md is complete -------------------------------------------------------------


def section(title: str) -> str:
    """A second-level section of docs/language.md."""
    text = LANGUAGE.read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text)
    assert found is not None, title
    return found[1]


def rows(text: str) -> dict[str, list[str]]:
    """The tables of a section: the first cell's words, without marks, and the other cells."""
    found: dict[str, list[str]] = {}
    for line in re.findall(r"(?m)^\|(.*)\|$", text):
        first, *rest = (cell.strip() for cell in line.split("|"))
        found[first.replace("`", "")] = rest
    return found


def test_every_code_of_a_formula_has_its_sentence_and_an_example() -> None:
    text = section("Diagnostics")
    headings = re.findall(r"(?m)^### (MC\d{4}): (.*)$", text)
    formulas = {code: fact for code, fact in CATALOGUE.items() if code < "MC04"}
    assert dict(headings) == formulas
    assert [code for code, _ in headings] == sorted(formulas)
    for part in re.split(r"(?m)^### (?=MC)", text)[1:]:
        code = part[:6]
        if code in formulas and code not in ("MC0306", "MC0307", "MC0308"):  # options
            verb = "warns" if code in WARNINGS else "fails"
            assert f"```metric {verb} {code}\n" in part, code


def test_every_other_code_is_listed() -> None:
    table = rows(section("Diagnostics"))
    others = {code: fact for code, fact in CATALOGUE.items() if code >= "MC04"}
    assert {code: table[code][0] for code in others} == others


def test_every_function_is_listed_with_its_domain() -> None:
    table = rows(section("Functions"))
    for name, function in FUNCTIONS.items():
        (heading,) = [h for h in table if h.startswith(f"{name}(")]
        assert table[heading][0] == function.domain


def test_every_reserved_word_is_listed() -> None:
    text = section("Names")
    for word in RESERVED - set(FUNCTIONS):
        assert f"`{word}`" in text or re.search(rf"`[^`]*\b{word}\b[^`]*`", text), word
    assert all(re.search(rf"\b{word}\b", text) for word in REDUCTIONS)


def test_every_count_and_rate_is_listed_with_its_formula() -> None:
    table = rows(section("Cells, counts and rates"))
    for family in library.families().values():
        for definition in family:
            if definition.name.isupper():
                formula, description, *_ = (c.replace("`", "") for c in table[definition.name])
                assert formula == str(definition.body)
                assert description == definition.fact("description")


def program(name: str) -> ModuleType:
    """A program of docs/tables as a module."""
    path = DOCS / "tables" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_tables_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metrics", "parity"])
def test_generated_pages_are_current(name: str) -> None:
    pytest.importorskip("pycm")
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert page == program(name).page()


def test_the_page_of_metrics_has_every_metric_as_it_stands() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"(?ms)^### (\w+)[^\n]*\n\n.*?^- formula: `([^\n]*)`$", page))
    wanted = {n: str(library.definitions()[n].body) for n in library.metrics()}
    assert found == wanted
    assert f"{len(wanted)} metrics under" in page


def test_every_limit_is_listed() -> None:
    from metricc import bounded, imports, statements
    from metricc import lower as lowering
    from metricc import parse as parsing
    from metricc import resolve as resolving

    found = {
        "characters in a text": parsing.MAX_TEXT,
        "brackets inside brackets": statements.MAX_NESTING,
        "operations inside operations, as written": 4 * statements.MAX_NESTING,
        "levels of nesting, written out": resolving.MAX_DEPTH,
        "definitions in a text": resolving.MAX_DEFINITIONS,
        "digits of a number as written": parsing.MAX_DIGITS,
        "exponent of a number as written": 99,
        "power": lowering.MAX_EXPONENT,
        "operators and operands, written out": 2 * resolving.MAX_OPERATORS,
        "functions inside functions, written out": resolving.MAX_FUNCTIONS,
        "columns": lowering.MAX_COLUMNS,
        "digits of a number that the formula computes": lowering.MAX_DIGITS,
        "different comparisons": lowering.MAX_CONDITIONS,
        "imported files": imports.MAX_FILES,
        "seconds of one core for the algebra": bounded.SECONDS,
    }
    table = rows(section("Limits"))
    assert {n: int(row[0].replace(",", "")) for n, row in table.items() if n in found} == found
    listed = [row[1].strip("`") for row in table.values() if row[1].startswith("`MC")]
    assert sorted({*listed}) == [code for code in CATALOGUE if code.startswith("MC04")]
