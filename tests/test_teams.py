"""Generated files in teams: formatters go over them, hooks and CI verify folders of them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import metricc
from metricc import compiler, ir, likeness
from metricc.cli import main
from metricc.errors import MetriccError
from metricc.folder import generated
from metricc.save import alike, record, same_code, state
from metricc.verify import drift

ROOT = Path(__file__).parent.parent
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "f1": ("f1", {}),
    "macro": ("macro(f1)", {"task": "multiclass"}),
    "composite": ("0.5*bce + 0.5*(1 - f1)", {"task": "multilabel", "per": "sample"}),
}
SOURCES = {name: metricc.compile(f, name=name, **options) for name, (f, options) in KINDS.items()}
F1 = SOURCES["f1"].source


def ruff(text: str, *options: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", *options, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def black(text: str) -> str:
    module = pytest.importorskip("black")
    return str(module.format_str(text, mode=module.Mode(line_length=60, preview=True)))


def yapf(text: str) -> str:
    module = pytest.importorskip("yapf.yapflib.yapf_api")
    return str(module.FormatCode(text, style_config="google")[0])


def isort(text: str) -> str:
    return str(pytest.importorskip("isort").code(text, force_sort_within_sections=True))


def unparsed(text: str) -> str:
    """What a formatter without any respect for layout would write: comments are lost too."""
    return ast.unparse(ast.parse(text))


FORMATTERS: dict[str, Callable[[str], str]] = {
    "ruff": ruff,
    "ruff, short lines": lambda text: ruff(text, "--line-length", "50"),
    "ruff, tabs and quotes": lambda text: ruff(
        text, "--config", "format.indent-style='tab'", "--config", "format.quote-style='single'"
    ),
    "black": black,
    "yapf": yapf,
    "isort": isort,
    "line endings": lambda text: text.replace("\n", "\r\n"),
    "blanks": lambda text: text.replace("\n\n", "\n \n\n") + "\n\n",
    "docstring wrapped anew": lambda text: text.replace("Check it with", "Check it\nwith"),
    "record on many lines": lambda text: text.replace("METRICC = {", "METRICC = {\n\n    "),
    "brackets": lambda text: (
        text.replace("import torch\n", "(1, 2)\nimport torch\n")
        .replace("(1, 2)\n", "")
        .replace("return _ratio(", "return (_ratio)(")
    ),
}


def run(*args: Any) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- what a formatter leaves ------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_reformatted_file_is_known(formatter: str, name: str, folder: Path) -> None:
    source = SOURCES[name].source
    text = FORMATTERS[formatter](source)
    assert state(text) in ("reformatted", "as generated")
    assert state(text) == "reformatted" or text == source or formatter == "isort"
    assert record(text) == record(source)
    assert alike(text, source) and same_code(text, source)
    path = folder / f"{name}_loss.py"
    path.write_text(text, encoding="utf-8", newline="")
    SOURCES[name].save(path)
    assert path.read_text(encoding="utf-8") == source


def test_the_formatters_do_something() -> None:
    assert ruff(F1, "--line-length", "50") != F1


def test_a_file_without_comments_is_reworded() -> None:
    text = unparsed(F1)
    assert state(text) == "reworded"
    assert record(text) == record(F1)
    assert "METRICC = {'version'" in text and "# fmt: skip" not in text


def test_another_version_s_reformatted_file_is_replaced(folder: Path) -> None:
    """Its digests tell: what this version would write is not needed for that."""
    path = folder / "f1_loss.py"
    path.write_text(ruff(SOURCES["macro"].source, "--line-length", "60"))
    SOURCES["f1"].save(path)
    assert path.read_text() == F1


def test_a_file_without_digests_of_its_code_is_compared() -> None:
    """As earlier versions wrote them: reformatted, it is known by what is generated now."""
    found = record(F1)
    assert found is not None
    old = {k: v for k, v in found.items() if k not in ("code_sha256", "words_sha256")}
    text = F1.replace(f"{found!a}", f"{old!a}")
    assert state(text) == "as generated"
    text = ruff(text, "--line-length", "60")
    assert state(text) == "edited" and alike(text, F1)


EDITS: dict[str, tuple[str, str, str]] = {
    "comment": ("import torch\n", "import torch  # mine\n", "reworded"),
    "changed comment": ("# the smallest normal float64", "# small", "reworded"),
    "docstring": ("The metric on counts", "Our metric on counts", "reworded"),
    "code": ("2 * TP", "3 * TP", "edited"),
    "number": ("32_768", "32_769", "edited"),
    "string": ('"diagonal"', '"skip"', "edited"),
    "statement": ("import torch\n", "import torch\nimport os\n", "edited"),
    "order": (
        "return _ratio(2 * TP, 2 * TP + FN + FP)",
        "return _ratio(2 * TP + FN + FP, 2 * TP)",
        "edited",
    ),
}


@pytest.mark.parametrize("layout", ["as it was", "reformatted"])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_is_kept(edit: str, layout: str, folder: Path) -> None:
    old, new, wanted = EDITS[edit]
    assert old in F1
    text = F1.replace(old, new, 1)
    text = ruff(text, "--line-length", "60") if layout == "reformatted" else text
    assert state(text) == wanted and not alike(text, F1)
    path = folder / "f1_loss.py"
    path.write_text(text)
    with pytest.raises(MetriccError, match=r"MC0504.*edited since"):
        SOURCES["f1"].save(path)
    assert path.read_text() == text
    assert run("compile", "f1", "-o", path, "--check").exit_code == 1
    SOURCES["f1"].save(path, force=True)
    assert path.read_text() == F1


END = "  # fmt: skip  # noqa: E501\n"
SLIPPED: dict[str, tuple[str, str, str]] = {
    "behind the record": (END, '; print("injected")' + END, "edited"),
    "before the record": ("\nMETRICC = {", "\nPRECIOUS = 3; METRICC = {", "edited"),
    "another record": (END, END + 'METRICC = {"mine": 1}\n', "edited"),
    "another record with code": (END, END + "METRICC = {}; import os; PRECIOUS = 3\n", "edited"),
    "a record before it": ("\nMETRICC = {", "\nMETRICC = {}\nMETRICC = {", "edited"),
    "a statement in the record": ("\nMETRICC = {", "\nMETRICC = {print: 1, ", "edited"),
    "a comment behind it": (END, END[:-1] + "  # mine\n", "reworded"),
    "another comment": (END, "  # mine\n", "reworded"),
    "a key of one's own": ("\nMETRICC = {", "\nMETRICC = {'mine': 1, ", "edited"),
    "options": ("'goal': 'maximize'", "'goal': 'minimize'", "edited"),
    "an option of one's own": ("'goal': 'maximize'", "'goal': 'maximize', 'mine': 1", "edited"),
    "a form": ("'value': 'as written", "'value': 'as I like it", "edited"),
}


@pytest.mark.parametrize("layout", ["as it was", "reformatted"])
@pytest.mark.parametrize("edit", SLIPPED)
def test_what_stands_beside_the_record_is_the_users(edit: str, layout: str, folder: Path) -> None:
    old, new, wanted = SLIPPED[edit]
    assert F1.count(old) == 1
    text = F1.replace(old, new)
    text = ruff(text, "--line-length", "60") if layout == "reformatted" else text
    assert state(text) == wanted and not alike(text, F1)
    path = folder / "f1_loss.py"
    path.write_text(text)
    with pytest.raises(MetriccError, match="MC0504"):
        SOURCES["f1"].save(path)
    result = run("compile", "f1", "-o", path, "--check")
    assert result.exit_code == 1 and "differs" in result.stdout
    assert path.read_text() == text
    told = drift.check(text, F1).measured
    assert told.startswith("edited, equivalent" if wanted == "reworded" else "edited since")


def test_a_record_without_its_digest_is_edited() -> None:
    found = record(F1)
    assert found is not None
    without = {k: v for k, v in found.items() if k != "record_sha256"}
    assert state(F1.replace(f"{found!a}", f"{without!a}")) == "edited"


@pytest.mark.parametrize("huge", ["0x" + "f" * 5000, "-1e999", "10**9", "1" + "0" * 16, "[1]"])
def test_a_record_of_other_values_is_refused(huge: str, folder: Path) -> None:
    text = F1.replace("\nMETRICC = {", "\nMETRICC = {'a': " + huge + ", ")
    assert record(text) is None and state(text) == "edited"
    (folder / "f1_loss.py").write_text(text)
    for path in ("f1_loss.py", "."):
        result = run("verify", path)
        assert result.exit_code == 2 and "MC0505" in result.stderr
    assert run("compile", "f1", "-o", "f1_loss.py", "--check").exit_code == 1
    with pytest.raises(MetriccError, match="MC0504"):
        SOURCES["f1"].save(folder / "f1_loss.py")


def test_check_says_that_a_file_was_reformatted(folder: Path) -> None:
    path = folder / "f1_loss.py"
    path.write_text(ruff(F1, "--line-length", "60"))
    result = run("compile", "f1", "-o", "f1_loss.py", "--check")
    assert result.stdout == "f1_loss.py is up to date (reformatted)\n" and result.exit_code == 0
    assert run("compile", "f1", "--surrogate", "soft", "-o", path, "--check").exit_code == 1


@pytest.mark.parametrize(
    "text",
    [
        "METRICC = __import__('os').system('touch ran')\n",
        "METRICC = {'a': __import__('os').system('touch ran')}\n",
        "METRICC = {'a': open('ran', 'w')}\n",
        "METRICC = {**{}}\n",
        "METRICC = {[]: 1}\n",
        "METRICC: dict = {}\n",
        "x = METRICC = {}\n",
        "def f():\n    METRICC = {'a': 1}\n",
        '"""\nMETRICC = {\'a\': 1}\n"""\n',
        "METRICC = {" + "(" * 5000 + "\n",
        "METRICC = {'a': " + "-" * 100_000 + "1}\n",
        "\0METRICC = {}",
        "",
    ],
)
def test_a_record_is_read_and_never_run(text: str, folder: Path) -> None:
    assert not record(text)
    assert state(text) == "edited"
    (folder / "f1_loss.py").write_text(text)
    with pytest.raises(MetriccError, match="MC0504"):
        SOURCES["f1"].save(folder / "f1_loss.py")
    assert [p.name for p in folder.iterdir()] == ["f1_loss.py"]


def test_the_digest_of_code_is_the_same_in_every_python() -> None:
    """Written down once: a Python that dumps trees otherwise would not find it."""
    text = '"""A file."""\nimport b, a\n\n\ndef f(x, *, y=None):\n    return f"{x!r}" "s", 1e-3\n'
    one = "adc5c16b"
    assert likeness.code(text)[:8] == one  # type: ignore[index]
    assert likeness.code(text.replace("import b, a", "import a\nimport b")) == likeness.code(text)


# -- verify -----------------------------------------------------------------------------------


def test_verify_says_what_happened_to_each_file(folder: Path) -> None:
    source = metricc.compile("accuracy").source
    body = "return _ratio(x1, x1 + FN + FP)"
    edited = {
        "a_loss.py": source,
        "b_loss.py": ruff(source, "--line-length", "60"),
        "sub/c_loss.py": source.replace(body, f"total = 0\n    {body}", 1),
        "sub/d_loss.py": source.replace(body, body.replace("(x1,", "(2 * x1,"), 1),
    }
    assert len({*edited.values()}) == 4
    (folder / "sub").mkdir()
    for name, text in edited.items():
        (folder / name).write_text(text)
    (folder / "mine.py").write_text("raise SystemExit('executed')\n")
    result = run("verify", folder)
    assert result.exit_code == 1
    lines = [line.split("  ") for line in result.stdout.splitlines() if line[0] != " "]
    assert [[part for part in line if part][1:] for line in lines[:4]] == [
        ["passed", "as its formula generates"],
        ["passed", "edited, equivalent: reformatted"],
        ["passed", "edited; its code passes"],
        ["FAILED", "edited since it was generated"],
    ]
    assert lines[4] == ["4 files: 3 passed, 1 FAILED"]
    assert "value(), " in result.stdout  # what failed


def test_a_file_that_exits_ends_nothing_else(folder: Path) -> None:
    ends = F1 + "\n\ndef value(TP, FN, FP, TN):\n    raise SystemExit(0)\n"
    names = ["a_loss.py", "b_loss.py", "c_loss.py"]
    for name, text in zip(names, (ends, "METRICC = {'formula': 2}\n", F1), strict=True):
        (folder / name).write_text(text)
    result = run("verify", ".")
    lines = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in lines] == [*names, "3"]
    assert [line.split()[1] for line in lines] == ["FAILED", "not", "passed", "files:"]
    assert result.exit_code == 2 and "MC0505" in result.stderr
    assert "SystemExit" in result.stdout
    assert run("verify", "a_loss.py").exit_code == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Verification that only notes which file it is for."""
    seen: list[Path] = []

    def verify_file(path: Path) -> ir.Report:
        seen.append(path)
        if not path.exists():
            fact = f"cannot read {path}: No such file"
            raise MetriccError(metricc.Diagnostic("MC0503", fact, origin=""))
        if record(path.read_text()) is None:
            raise MetriccError(metricc.Diagnostic("MC0505", "no record", origin=""))
        return ir.Report("f1", (ir.Check("file", "as its formula generates", "any", None),))

    monkeypatch.setattr(compiler, "verify_file", verify_file)
    return seen


def test_a_folder_is_searched(folder: Path, quick: list[Path]) -> None:
    for name in ("a", ".hidden", "__pycache__", "env", "pkg/deep", "node_modules"):
        (folder / name).mkdir(parents=True)
        (folder / name / "f1_loss.py").write_text(F1)
    (folder / "env" / "pyvenv.cfg").write_text("")
    (folder / "pkg" / "link").symlink_to(folder, target_is_directory=True)
    (folder / "pkg" / "gone.py").symlink_to(folder / "nothing.py")
    (folder / "pkg" / "text.txt").write_text(F1)
    (folder / "pkg" / "latin.py").write_bytes(b"# \xe9 METRICC\n")
    found = [Path("a/f1_loss.py"), Path("pkg/deep/f1_loss.py")]
    assert generated(Path()) == found
    result = run("verify", ".")
    assert (result.exit_code, quick) == (0, found)
    assert result.stdout.splitlines()[-1] == "2 files: 2 passed"
    # a folder that is named is searched, whatever its name is; a file is verified once
    result = run("verify", ".hidden", "a/f1_loss.py", "a")
    assert result.stdout.splitlines()[-1] == "2 files: 2 passed" and result.exit_code == 0


def test_what_cannot_be_verified_is_said_and_the_rest_is_done(
    folder: Path, quick: list[Path]
) -> None:
    (folder / "empty").mkdir()
    (folder / "notes.py").write_text("x = 1\n")
    (folder / "f1_loss.py").write_text(F1)
    result = run("verify", "empty")
    assert result.exit_code == 2 and result.stdout == ""
    assert "no file in empty has a METRICC record" in result.stderr
    result = run("verify", "empty", "notes.py", "f1_loss.py")
    assert result.exit_code == 2
    assert result.stdout.splitlines()[-1] == "2 files: 1 passed, 1 not verified"
    assert "MC0515" in result.stderr and "MC0505: notes.py" in result.stderr
    result = run("verify", "--skip-others", "empty", "notes.py", "f1_loss.py")
    assert result.exit_code == 0 and result.stdout.splitlines()[-1] == "1 file: 1 passed"
    assert run("verify", "--skip-others", "notes.py").exit_code == 0
    assert run("verify").exit_code == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_said(folder: Path, quick: list[Path]) -> None:
    (folder / "sub").mkdir(mode=0o000)
    (folder / "f1_loss.py").write_text(F1)
    result = run("verify", ".")
    assert result.exit_code == 2 and "MC0503" in result.stderr


def test_verify_as_json(folder: Path, quick: list[Path]) -> None:
    (folder / "f1_loss.py").write_text(F1)
    (folder / "g_loss.py").write_text(F1)
    one = json.loads(run("verify", "f1_loss.py", "--format", "json").stdout)
    assert [*one] == ["name", "checks", "drift", "passed"]
    result = run("verify", ".", "--format", "json")
    data = json.loads(result.stdout)
    assert [entry.pop("file") for entry in data["files"]] == ["f1_loss.py", "g_loss.py"]
    assert data == {"files": [one, one], "passed": True}
    result = run("verify", ".", "absent.py", "gone.py", "--format", "json")
    assert result.exit_code == 2 and not json.loads(result.stdout)["passed"]
    found = json.loads(result.stderr)["diagnostics"]
    assert [d["message"].split()[:3] for d in found] == [
        ["cannot", "read", "absent.py:"],
        ["cannot", "read", "gone.py:"],
    ]


# -- the hook ---------------------------------------------------------------------------------


def test_the_hook_is_the_command() -> None:
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    entries = [line.split(": ", 1)[1] for line in text.splitlines() if "entry:" in line]
    assert entries == ["metricc verify --skip-others"]
    assert "language: system" in text
    program, command, *options = entries[0].split()
    assert program == "metricc" and command in main.commands
    known = {name for p in main.commands[command].params for name in p.opts}
    assert {*options} <= known


@pytest.mark.slow
def test_the_hook_runs_in_a_repository(folder: Path) -> None:
    pytest.importorskip("pre_commit")
    manifest = ROOT / ".pre-commit-hooks.yaml"
    command = [sys.executable, "-m", "pre_commit"]
    subprocess.run([*command, "validate-manifest", str(manifest)], check=True)
    environment = os.environ | {"PRE_COMMIT_HOME": str(folder / "cache")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    hooks, work = folder / "hooks", folder / "work"
    for path in (hooks, work):
        path.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=path, check=True)
    (hooks / ".pre-commit-hooks.yaml").write_bytes(manifest.read_bytes())
    for step in (["add", "."], [*who, "commit", "-qm", "hooks"]):
        subprocess.run(["git", *step], cwd=hooks, check=True)
    (work / "f1_loss.py").write_text(ruff(F1, "--line-length", "60"))
    (work / "mine.py").write_text("x = 1\n")
    subprocess.run(["git", "add", "."], cwd=work, check=True)

    def tried() -> subprocess.CompletedProcess[str]:
        call = [*command, "try-repo", str(hooks), "metricc-verify", "--all-files", "--verbose"]
        return subprocess.run(call, cwd=work, env=environment, capture_output=True, text=True)

    result = tried()
    assert result.returncode == 0 and "1 file: 1 passed" in result.stdout, result.stdout
    (work / "f1_loss.py").write_text(F1.replace("_ratio(2 * TP,", "_ratio(3 * TP,", 1))
    result = tried()
    assert result.returncode == 1 and "1 FAILED" in result.stdout
