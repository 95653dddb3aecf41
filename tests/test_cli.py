"""The command line: what each command prints, where, and its exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import sympy
from click.testing import CliRunner, Result

from metricc import compiler, ir
from metricc.cli import main, printing
from metricc.errors import CATALOGUE, FINDINGS
from metricc.examples import FOUND
from metricc.library import definitions, families, metrics
from metricc.save import record
from metricc.version import __version__

ROOT = Path(__file__).parent.parent
FORMULA_COMMANDS = ("compile", "derive", "audit", "show")


def run(*args: str | Path, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def out(*args: str | Path, stdin: str | None = None) -> str:
    """Standard output of a run that must succeed."""
    result = run(*args, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(*args: str | Path) -> str:
    """Standard error of a run that must refuse its input."""
    result = run(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def process(*args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, *args]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def on_terminal(*args: str, width: int) -> str:
    """What a process shows where standard output and error are a terminal."""
    leader, follower = pty.openpty()
    variables = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": str(width), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "metricc", *args]
    with subprocess.Popen(
        command, stdout=follower, stderr=follower, env={**os.environ, **variables}
    ):
        os.close(follower)
        chunks = [b" "]
        while chunks[-1]:
            try:
                chunks.append(os.read(leader, 65536))
            except OSError:  # how Linux says that the other end is closed
                break
    os.close(leader)
    return b"".join(chunks).decode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- the program ------------------------------------------------------------------------------


def test_version_and_help() -> None:
    assert out("--version") == f"metricc {__version__}\n"
    text = out("--help")
    order = ["compile", "derive", "audit", "verify", "list", "show", "explain"]
    places = [text.index(f"\n  {name} ") for name in order]
    assert places == sorted(places)
    assert "..." not in text.split("Commands:")[1]


@pytest.mark.parametrize("command", [*FORMULA_COMMANDS, "verify", "list", "explain"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert f"metricc {command}" in out(command, "--help").split("\n", 1)[1]


def test_verify_says_that_it_executes_the_file() -> None:
    assert "executes" in out("verify", "--help")


def test_python_m_is_the_same_program() -> None:
    done = process("-m", "metricc", "explain", "MC0201")
    assert (done.returncode, done.stdout) == (0, out("explain", "MC0201"))


@pytest.mark.parametrize(
    ("args", "absent"),
    [
        (["--help"], {"sympy", "torch", "rich"}),
        (["compile", "--help"], {"sympy", "torch", "rich"}),
        (["list"], {"sympy", "torch", "rich"}),
        (["list", "--format", "json"], {"sympy", "torch", "rich"}),
        (["explain", "MC0101"], {"sympy", "torch", "rich"}),
        (["derive", "f1"], {"torch"}),
        (["compile", "f1"], {"torch"}),
    ],
)
def test_commands_import_only_what_they_need(args: list[str], absent: set[str]) -> None:
    code = (
        "import sys\nfrom metricc.cli import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = {absent!r} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = process("-c", code)
    assert done.returncode == 0, done.stderr


# -- the formula argument ---------------------------------------------------------------------


@pytest.mark.parametrize("command", FORMULA_COMMANDS)
@pytest.mark.parametrize("formula", ["-log(f1)", "--f1", "-hss"])
def test_a_formula_may_begin_with_a_minus(command: str, formula: str) -> None:
    assert out(command, formula) == out(command, "--", formula)


def test_options_may_stand_around_a_formula_with_a_minus(folder: Path) -> None:
    out("compile", "--surrogate", "soft", "-log(f1)", "-o", "a_loss.py", "--from-probabilities")
    out("compile", "-oa2_loss.py", "-log(f1)", "--surrogate=soft", "--name=a", "--force")
    for name in ("a_loss.py", "a2_loss.py"):
        found = record((folder / name).read_text())
        assert found is not None
        assert (found["formula"], found["options"]["name"]) == ("-log(f1)", "a")
        assert found["options"]["surrogate"] == "soft"


def test_a_misspelt_option_is_named() -> None:
    text = refused("compile", "f1", "--surogate", "soft")
    assert "--surogate" in text
    assert "--surrogate" in text
    assert "--verbose" in refused("derive", "--verbose")


@pytest.mark.parametrize("command", FORMULA_COMMANDS)
def test_a_formula_is_needed_and_one_is_enough(command: str) -> None:
    refused(command)
    refused(command, "f1", "mcc")
    refused(command, "")


def test_standard_input() -> None:
    data = json.loads(out("derive", "-", "--format", "json", stdin="2*TP/(2*TP + FN + FP)\n"))
    assert data["formula"] == "2*TP/(2*TP + FN + FP)"
    result = run("derive", "-", stdin="TP +* FP")
    assert result.exit_code == 2
    assert "<standard input>:1:" in result.stderr


def test_metric_file(folder: Path) -> None:
    text = "# Mine.\nprec = TP / (TP + FP)\nmine(w = 2 in (0, 9)) = prec + w*TPR\n"
    (folder / "mine.metric").write_text(text)
    data = json.loads(out("derive", "mine.metric", "--format", "json"))
    assert data["name"] == "mine"
    assert data["parameters"] == [{"name": "w", "default": 2.0, "range": "(0, 9)"}]
    assert "cannot read absent.metric" in refused("derive", "absent.metric")


def test_unknown_names_are_shown_with_a_caret_and_a_hint() -> None:
    lines = refused("derive", "2*Tp / TQX").splitlines()
    assert lines[0].startswith("<formula>:1:3: MC0201: ")
    assert lines[1:4] == ["    2*Tp / TQX", "      ^^", "    hint: cells are upper case: TP"]
    assert lines[4].startswith("<formula>:1:8: MC0201: ")


# -- compile ----------------------------------------------------------------------------------


def test_compile_writes_to_standard_output() -> None:
    result = run("compile", "f1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == compiler.compile("f1").source


def test_compile_writes_a_file(folder: Path) -> None:
    result = run("compile", "2*TP/(2*TP + FN + FP)", "-o", "f1_loss.py")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "wrote f1_loss.py: F1Loss, 1 - f1 (score, proved)\n"
    source = compiler.compile("2*TP/(2*TP + FN + FP)", name="f1").source
    assert (folder / "f1_loss.py").read_text() == source
    assert [p.name for p in folder.iterdir()] == ["f1_loss.py"]


def test_compile_says_where_a_loss_is_the_metric_itself(folder: Path) -> None:
    result = run("compile", "1 - accuracy", "-o", "mistakes.py")
    assert result.stderr == "wrote mistakes.py: MistakesLoss, mistakes (error rate, proved)\n"


def test_compile_warns_where_a_constant_prediction_is_best(folder: Path) -> None:
    lines = run("compile", "recall", "-o", "recall_loss.py").stderr.splitlines()
    fact = "warning MC0305: predicting all positive already reaches the best recall"
    assert lines[0] == fact and len(lines) == 3


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["mcc", "--name", "mine", "-o", "b_loss.py"], "mine"),
        (["mcc", "-o", "b_loss.py"], "b"),
        (["mcc", "-o", "b.py"], "b"),
        (["mcc"], "mcc"),
        (["TP/(TP + FP)"], "metric"),
    ],
)
def test_the_name_of_a_loss(folder: Path, args: list[str], name: str) -> None:
    text = out("compile", *args)
    found = record(text or (folder / args[-1]).read_text())
    assert found is not None
    assert found["options"]["name"] == name


@pytest.mark.parametrize("stem", ["1_loss", "my-loss", "f1.v2", "lambda_loss"])
def test_a_file_whose_stem_is_no_name(folder: Path, stem: str) -> None:
    text = refused("compile", "f1", "-o", f"{stem}.py")
    assert text.startswith("MC0502: ")
    assert "hint:" in text
    assert not [*folder.iterdir()]
    out("compile", "f1", "-o", f"{stem}.py", "--name", "f1")


def test_options_reach_the_compiler(folder: Path) -> None:
    found = record(out("compile", "TPR - FPR*TPR", "--minimize", "--surrogate", "soft"))
    assert found is not None
    assert found["options"]["goal"] == "minimize"
    assert "MC0303" in refused("compile", "TPR*FPR")
    assert "MC0501" in refused("compile", "f1", "--maximize", "--minimize")
    for option in ("target", "task", "surrogate", "per"):
        assert "MC0501" in refused("compile", "f1", f"--{option}", "nothing")


@pytest.mark.parametrize("edited", [False, True])
def test_a_foreign_or_edited_file_is_kept(folder: Path, edited: bool) -> None:
    path = folder / "f1_loss.py"
    text = "print('mine')\n"
    if edited:
        out("compile", "f1", "-o", path)
        text = path.read_text().replace("import torch\n", "import torch  # mine\n", 1)
    path.write_text(text)
    assert "MC0504" in refused("compile", "f1", "-o", path)
    assert path.read_text() == text
    assert [*folder.iterdir()] == [path]
    out("compile", "f1", "-o", path, "--force")
    assert path.read_text() == compiler.compile("f1").source
    assert [*folder.iterdir()] == [path]


def test_an_unedited_file_is_replaced(folder: Path) -> None:
    out("compile", "f1", "-o", "a_loss.py")
    out("compile", "mcc", "-o", "a_loss.py")
    assert (folder / "a_loss.py").read_text() == compiler.compile("mcc", name="a").source


def test_a_failed_write_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out("compile", "f1", "-o", "a_loss.py")
    before = (folder / "a_loss.py").read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", fail)
    assert "MC0503" in refused("compile", "mcc", "-o", "a_loss.py")
    assert (folder / "a_loss.py").read_bytes() == before
    assert [p.name for p in folder.iterdir()] == ["a_loss.py"]


def test_an_output_that_cannot_be_written(folder: Path) -> None:
    assert "MC0503" in refused("compile", "f1", "-o", "absent/f1_loss.py")
    (folder / "taken").mkdir()
    assert "MC0503" in refused("compile", "f1", "-o", "taken")


def test_check(folder: Path) -> None:
    path = folder / "f1_loss.py"
    result = run("compile", "f1", "-o", "f1_loss.py", "--check")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "missing" in result.stdout
    assert not [*folder.iterdir()]

    out("compile", "f1", "-o", "f1_loss.py")
    assert out("compile", "f1", "-o", "f1_loss.py", "--check") == "f1_loss.py is up to date\n"

    path.write_text(path.read_text().replace(f"metricc {__version__}:", "metricc 0.0.0:"))
    out("compile", "f1", "-o", "f1_loss.py", "--check")

    text = path.read_text().replace("import torch\n", "import torch  # mine\n", 1)
    path.write_text(text)
    result = run("compile", "f1", "-o", "f1_loss.py", "--check", "--force")
    assert result.exit_code == 1
    assert "-import torch  # mine\n+import torch\n" in result.stdout
    assert path.read_text() == text

    result = run("compile", "mcc", "-o", "f1_loss.py", "--check")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) < 50
    assert "-o" in refused("compile", "f1", "--check")
    assert run("compile", "f1", "-o", folder, "--name", "f1", "--check").exit_code == 1


# -- derive, audit, show ----------------------------------------------------------------------


def test_derive_as_text() -> None:
    text = out("derive", "2*TP/(2*TP + FN + FP)")
    for part in ("metric ", "dM/dTP ", "dM/dFN ", "dM/dFP ", "dM/dTN ", "w_plus ", "w_minus "):
        assert f"\n{part}" in f"\n{text}"
    assert "threshold  = TP/(FN + FP + 2*TP)" in text
    assert "calibrated scores of another model" in text
    assert "four partials together: " in text
    assert "factored" in text
    assert "proved: rational functions" in text
    assert "No prediction changes this metric." in out("derive", "P")


def test_derive_as_sympy_runs_in_sympy() -> None:
    scope: dict[str, object] = {}
    exec("from sympy import *\n" + out("derive", "fbeta", "--format", "sympy"), scope)
    plan, _ = compiler.analyse("fbeta")
    program = plan.program
    for name, form in program.forms.items():
        assert sympy.simplify(scope[name] - form.expression) == 0
    assert sympy.simplify(scope["threshold"] - program.threshold) == 0


def test_derive_as_latex() -> None:
    lines = out("derive", "jaccard", "--format", "latex").splitlines()
    assert lines[0] == r"jaccard = \frac{TP}{FN + FP + TP}"
    assert lines[1].startswith(r"\frac{\partial M}{\partial TP} = ")
    assert len(lines) == 8


def test_derive_as_json() -> None:
    data = json.loads(out("derive", "tversky", "--format", "json"))
    keys = "formula name task parameters columns value partials weights threshold forms direction"
    assert [*data] == [*keys.split(), "costs"]
    assert [*data["partials"]] == ["TP", "FN", "FP", "TN"]
    assert [*data["weights"]] == ["w_plus", "w_minus"]
    assert [*data["forms"]] == [*ir.OUTPUTS]
    assert data["parameters"][0] == {"name": "alpha", "default": None, "range": "[0, inf)"}
    assert data["direction"] == "score"
    assert json.loads(out("derive", "P", "--format", "json"))["threshold"] is None


def test_audit() -> None:
    text = out("audit", "recall")
    assert "score (proved from the signs of w_plus and w_minus)" in text
    assert "danger MC0603: " in text
    data = json.loads(out("audit", "mcc", "--format", "json"))
    assert data["direction"] == "score"
    assert data["degenerate"] == ""
    assert data["depends"] is data["homogeneous"] is True
    (grave,) = [
        f
        for f in json.loads(out("audit", "recall", "--format", "json"))["findings"]
        if f["severity"] == "danger"
    ]
    assert grave["code"] == "MC0603"
    assert grave["place"]["text"] == "TPR"
    assert "\n1 danger, " in text and "\nnote MC" in text
    least = out("audit", "recall", "--severity", "danger")
    assert least.count("\ndanger ") == 1 and "\nwarning MC" not in least
    assert "\nnote MC" not in least


def test_audit_draws_nothing_into_no_folder(tmp_path: Path) -> None:
    where = tmp_path / "absent" / "x.svg"
    assert "there is no folder" in refused("audit", "f1", "--plot", str(where))


def test_show() -> None:
    text = out("show", "dice")
    for fact in ("f1 (or dice, ", "2*TP/(2*TP + FN + FP)", "harmonic mean", "[0, 1]", "Dice 1945"):
        assert fact in text
    for row in ("direction ", "reference ", "w_plus ", "w_minus ", "threshold "):
        assert f"\n{row}" in text
    assert json.loads(out("show", "dice", "--format", "json"))["aliases"] == list(
        definitions()["f1"].aliases
    )
    assert out("show", "f1", "--format", "latex").count("\n") == 4
    assert "calibrated" not in out("show", "P")


def test_show_prints_each_stage() -> None:
    formula = "PPV*TPR"
    plan, _ = compiler.analyse(formula)
    program = plan.program
    stages = {
        "syntax": str(program.metric.text),
        "metric": str(program.metric),
        "gradient": str(program.gradient),
        "program": str(program),
        "file": compiler.compile(formula).source.rstrip("\n"),
    }
    for stage, text in stages.items():
        assert out("show", formula, "--stage", stage) == text + "\n"
    data = json.loads(out("show", formula, "--stage", "program", "--format", "json"))
    assert data == {"stage": "program", "text": stages["program"]}
    refused("show", formula, "--stage", "program", "--format", "latex")
    refused("show", formula, "--stage", "nothing")


# -- verify -----------------------------------------------------------------------------------


@pytest.mark.parametrize("passed", [True, False])
def test_verify(passed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    checks = (ir.Check("value()", "1e-16", "1e-12", passed), ir.Check("gpu", "none", "any", None))

    def verify_file(path: Path) -> ir.Report:
        seen.append(path)
        return ir.Report("f1", checks)

    monkeypatch.setattr(compiler, "verify_file", verify_file)
    result = run("verify", "f1_loss.py")
    assert result.exit_code == (0 if passed else 1)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["check", "measured", "allowed", "verdict"]
    assert rows[1] == ["value()", "1e-16", "1e-12", "pass" if passed else "FAIL"]
    assert rows[2][-1] == "note"
    result = run("verify", "f1_loss.py", "--format", "json")
    assert result.exit_code == (0 if passed else 1)
    assert json.loads(result.stdout)["passed"] is passed
    assert seen == [Path("f1_loss.py")] * 2


def test_verify_runs_the_code_that_stands_in_the_file(folder: Path) -> None:
    path = folder / "f1_loss.py"
    out("compile", "f1", "-o", path)
    text = path.read_text()
    path.write_text(text.replace("return _ratio(2 * TP,", "return _ratio(3 * TP,", 1))
    assert path.read_text() != text
    result = run("verify", path)
    assert result.exit_code == 1
    assert "FAIL" in result.stdout


def test_verify_refuses_what_metricc_did_not_write(folder: Path) -> None:
    (folder / "mine.py").write_text("raise SystemExit('executed')\n")
    assert "MC0505" in refused("verify", "mine.py")
    assert "MC0503" in refused("verify", "absent.py")
    assert "MC0515" in refused("verify", folder)


# -- list and explain -------------------------------------------------------------------------


def test_list() -> None:
    text = out("list")
    lines = text.splitlines()
    starts = [line.split()[0].split("(")[0] for line in lines if line.startswith("  ")]
    assert sorted(starts) == sorted(d.name for ds in families().values() for d in ds)
    headings = [line for line in lines if line and not line.startswith(" ")]
    named = [f for f, ds in families().items() if any(not d.name.isupper() for d in ds)]
    count = f"{len(metrics())} metrics under"
    assert headings[:-1] == [*named, "counts and rates, for formulas"]
    assert headings[-1].startswith(count) and headings[-1].endswith(f"{len(named)} families")
    assert text.index("\n  TPR ") > text.index("counts and rates, for formulas")
    assert "f1 (or dice, " in text
    for definition in definitions().values():  # nothing is cut off or wrapped
        assert f"  {definition.fact('description')}\n" in text


@pytest.mark.parametrize(
    ("args", "found", "not_found"),
    [
        (["kappa"], "cohen_kappa", "f1 (or"),
        (["KAPPA", "chance"], "cohen_kappa", "f1 (or"),
        (["--family", "overlap"], "f1 (or", "cohen_kappa"),
        (["--direction", "error"], "fallout", "f1 (or"),
        (["dice", "--family", "overlap", "--direction", "score"], "f1 (or", "tversky"),
    ],
)
def test_list_filters(args: list[str], found: str, not_found: str) -> None:
    text = out("list", *args)
    assert found in text
    assert not_found not in text


def test_list_says_when_nothing_matches() -> None:
    done = CliRunner().invoke(main, ["list", "nothing-like-it"])
    assert (done.exit_code, done.stdout, done.stderr) == (
        1,
        "",
        "nothing in the library matches\n",
    )
    assert "there is no family foo" in refused("list", "--family", "foo")


def test_show_formats_a_text() -> None:
    assert out("show", "2*TP/P+FN  *3 # why", "--source") == "# why\n2*TP/P + FN*3\n"
    assert out("show", "dice", "--source").endswith("\nf1 = 2*TP/(2*TP + FN + FP)\n")
    assert "MC0101" in refused("show", "2TP", "--source")


def test_show_prints_latex() -> None:
    (line,) = (x for x in out("show", "f1").splitlines() if x.startswith("latex "))
    assert line.split(maxsplit=1)[1] == r"\frac{2 TP}{FN + FP + 2 TP}"


@pytest.mark.parametrize("command", ["derive", "compile", "show", "audit"])
def test_diagnostics_as_json(command: str) -> None:
    done = CliRunner().invoke(main, [command, "a = TPP\na +* 2", "--format", "json"])
    assert (done.exit_code, done.stdout) == (2, "")
    first, second = json.loads(done.stderr)["diagnostics"]
    assert (first["code"], first["line"], first["column"], first["end_column"]) == (
        "MC0201",
        1,
        5,
        8,
    )
    assert (first["start"], first["end"], first["severity"]) == (4, 7, "error")
    assert second["code"] == "MC0101" and second["line"] == 2


def test_warnings_are_printed_and_the_work_goes_on() -> None:
    done = CliRunner().invoke(main, ["derive", "TP/FN"])
    assert done.exit_code == 0 and "dM/dTP" in done.stdout
    assert done.stderr.startswith("<formula>:1:1: warning MC0212: ")
    done = CliRunner().invoke(main, ["derive", "TP/FN", "--format", "json"])
    assert json.loads(done.stdout) and json.loads(done.stderr)["diagnostics"][0]["code"] == "MC0212"


def test_list_as_json() -> None:
    data = json.loads(out("list", "--format", "json"))
    entry = next(e for e in data["metrics"]["overlap"] if e["name"] == "fbeta")
    assert entry["parameters"] == [{"name": "beta", "default": 1.0, "range": "(0, inf)"}]
    assert entry["formula"] == "(1 + beta^2)*PPV*TPR/(beta^2*PPV + TPR)"
    assert {"P", "TPR"} <= {e["name"] for e in data["vocabulary"]}
    assert "counts" not in data["metrics"]


def test_explain() -> None:
    for code, meaning in CATALOGUE.items():
        assert out("explain", code).startswith(f"{code}: {meaning}\n")
    for code, meaning in FINDINGS.items():
        text = out("explain", code)
        assert text.startswith(f"{code}: {meaning}\n\n") and "docs/" not in text
        assert " ".join(text.split()).count(FOUND[code][1]) == 1
    assert out("explain", "mc0201") == out("explain", "MC0201")
    assert "MC0209" in refused("explain", "MC0299")
    assert "MC0101" in refused("explain", "nothing")


# -- terminals, pipes and interrupts ----------------------------------------------------------


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        return CliRunner().invoke(main, ["derive", "Tp"], color=True).stderr

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in shown()
    monkeypatch.setattr(printing, "_terminal", lambda stream: True)
    assert shown().startswith("\x1b[31m<formula>:1:1: MC0201: ")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in shown()


def test_a_table_fits_its_terminal() -> None:
    text = on_terminal("list", width=70)
    assert all(len(line) <= 70 for line in text.splitlines())
    assert "tversky(alpha, beta)" in text
    assert "…" not in text


@pytest.mark.parametrize("args", [["list"], ["compile", "f1"], ["--help"]])
def test_a_closed_pipe_is_silent(args: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "metricc", *args]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode != 0


def test_an_interrupt_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(compiler, "analyse", interrupt)
    result = run("derive", "f1")
    assert (result.exit_code, result.output) == (130, "")


def test_a_bug_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object, **__: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(compiler, "analyse", bug)
    with pytest.raises(AssertionError, match="a bug"):
        run("derive", "f1")


# -- standard input is bytes of strangers ------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"TP/P # \xff\n", 2, "not UTF-8"),
        (b"\xff", 2, "not UTF-8"),
        (b"\xef\xbb\xbfTP/P", 0, ""),
        (b"TP/P\n", 0, ""),
    ],
)
@pytest.mark.parametrize("command", ["derive", "compile"])
def test_bytes_of_standard_input(data: bytes, code: int, words: str, command: str) -> None:
    done = CliRunner().invoke(main, [command, "-"], input=data)
    assert done.exit_code == code
    assert words in done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_json_is_all_that_stands_on_standard_error(folder: Path) -> None:
    done = run("compile", "TP/FN", "--format", "json", "-o", "a_loss.py")
    codes = [d["code"] for d in json.loads(done.stderr)["diagnostics"]]
    assert codes == ["MC0212", "MC0305"]


def test_names_of_files_are_harmless_on_a_terminal(folder: Path) -> None:
    name = "\x1b[31m\u202ex.metric"
    (folder / name).write_text("TPP/P")
    for args in (["derive", name], ["derive", "no" + name]):
        text = CliRunner().invoke(main, args).stderr
        assert "MC0" in text
        assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize(
    "args",
    [
        ["show", "f1", "--source", "--stage", "file"],
        ["show", "f1", "--source", "--format", "latex"],
        ["list", "--direction", "up"],
    ],
)
def test_options_that_do_not_go_together(args: list[str]) -> None:
    assert CliRunner().invoke(main, args).exit_code == 2


def test_a_metric_named_by_a_keyword_compiles_and_verifies(folder: Path) -> None:
    source = out("compile", "class = TP/PP")
    (folder / "k.py").write_text(source)
    assert "class class_Loss" not in source
    assert CliRunner().invoke(main, ["verify", "k.py"]).exit_code == 0
