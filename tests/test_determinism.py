"""The bytes of what is written depend on the package alone, not on the process that writes them.

The digests of golden/digests.txt are made anew in processes of two hash seeds and in two orders: a
choice of them here, all with `-m slow`. Environments of other versions compare themselves with the
same file by `python tests/digests.py --check` (docs/versions.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import digests
import pytest
from click.testing import CliRunner

import metricc
from metricc.cli import main

ROOT = Path(__file__).parent.parent
# Roots, logarithms, conditions, columns, element losses, ties of names; every target and task.
QUICK = [
    "mcc",
    "fbeta",
    "log(f1) + gmean + p4 --maximize",
    "min(precision, recall)*exp(-FPR) --maximize",
    "focal(gamma=1.5) - log(gmean) --maximize",
    "if recall < 0.8 then recall else precision --maximize",
    "0.5*bce + 0.5*(FN[amount] + FP[fee])/(P[amount] + N[fee]) --maximize",
    "f1 --surrogate 'score_oriented(cosine, mu=0.4)'",
    "f1 --surrogate 'steep(k = 3 in (0, inf)) = 1/(1 + exp(-k*z))'",
    "mcc --target 'triton' --maximize",
    "fbeta --target 'gbdt' --maximize",
    "geomean(recall) + weighted(fbeta(2)) --task 'multilabel' --maximize",
    "macro(mcc)*micro(recall) - worst(FPR) --task 'multiclass' --maximize",
    "0.5*focal + 0.5*(1 - f1) --task 'multiclass' --per 'sample'",
    "multiclass_mcc --task 'multiclass'",
]
CASES = digests.cases()


def golden() -> dict[str, str]:
    rows = digests.GOLDEN.read_text(encoding="utf-8").splitlines()
    return {digests.name_of(row): row for row in rows}


def in_two_processes(names: Iterable[str]) -> list[list[str]]:
    """The lines by two processes at once: of two hash seeds, from the first and from the last."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    running = [
        subprocess.Popen(
            [sys.executable, digests.__file__, *words, *names],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed, words in (("1", []), ("31337", ["--backwards"]))
    ]
    found = []
    for process in running:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        found.append(output.splitlines())
    return found


def test_the_file_has_a_line_for_every_case(update_golden: bool) -> None:
    """`pytest --update-golden tests/test_determinism.py` writes all of them, in half a minute."""
    if update_golden:
        text = "".join(f"{line}\n" for line in digests.lines())
        digests.GOLDEN.write_text(text, encoding="utf-8")
    assert list(golden()) == list(CASES)
    assert set(metricc.names()) <= {formula for formula, _ in CASES.values()}


def test_bytes_are_the_same_in_every_process() -> None:
    one, other = in_two_processes(QUICK)
    assert len(one) == len(QUICK)
    assert one == other
    wanted = golden()
    assert one == [wanted[digests.name_of(row)] for row in one], (
        "run pytest --update-golden tests/test_determinism.py"
    )


@pytest.mark.slow
def test_bytes_of_all_are_the_same_in_every_process() -> None:
    one, other = in_two_processes([])
    assert one == other == list(golden().values())


def test_a_digest_is_of_what_the_commands_write(tmp_path: Path) -> None:
    path = tmp_path / "mcc_loss.py"
    for command in (["compile", "mcc", "-o", str(path)], ["derive", "mcc", "--format", "json"]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    derivation = json.dumps(json.loads(result.output), indent=2)
    texts = path.read_text(encoding="utf-8"), derivation
    found = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
    assert digests.line("mcc", "mcc", {}).split() == [*found, "mcc"]


def test_a_difference_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = digests.line("f1", "f1", {})
    path = tmp_path / "digests.txt"
    monkeypatch.setattr(digests, "GOLDEN", path)
    path.write_text(f"{row}\n", encoding="utf-8")
    assert digests.main(["--check", "f1"]) == 0
    wrong = ("0" if row[0] != "0" else "1") + row[1:]
    path.write_text(f"{wrong}\n", encoding="utf-8")
    assert digests.main(["--check", "f1"]) == 1
    assert f"- {wrong}\n+ {row}\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no case"):
        digests.main(["nonsense"])


# -- the versions that are tested --------------------------------------------------------------


def pinned(path: Path) -> dict[str, tuple[int, ...]]:
    pins = re.findall(r"(?m)^(\w+)==([\d.]+)", path.read_text(encoding="utf-8"))
    return {name: numbers(version) for name, version in pins[::-1]}  # the first of two


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def test_both_ends_of_the_ranges_are_tested() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("dependencies = [", 1)[1].split("]", 1)[0]
    ranges = {n: (low, high) for n, low, high in re.findall(r'"(\w+)>=([\d.]+),<([\d.]+)"', block)}
    lowest, highest = pinned(ROOT / "tests" / "lowest.txt"), pinned(ROOT / "constraints.txt")
    assert {*lowest, "torch"} == set(ranges) == set(ranges) & set(highest)
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    for name, (low, high) in ranges.items():
        first = lowest.get(name, highest[name])
        assert first[: len(numbers(low))] == numbers(low) and not any(first[len(numbers(low)) :])
        # The version that CI installs is of the last series below the upper end.
        bound = numbers(high)
        series = highest[name][: len(bound)]
        assert series[:-1] == bound[:-1] and series[-1] == bound[-1] - 1, name
        row = next(row for row in page.splitlines() if row.lower().startswith(f"| {name} |"))
        assert row.endswith(f"| {dotted(first)} | {dotted(highest[name])} |"), row
