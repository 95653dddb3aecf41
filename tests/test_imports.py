"""Imports between .metric files."""

from __future__ import annotations

from pathlib import Path

import pytest

import metricc
from metricc.compiler import verify_file
from metricc.errors import MetriccError
from metricc.parse import parse


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.metric"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "main.metric"


def refusal(path: Path) -> MetriccError:
    with pytest.raises(MetriccError) as caught:
        metricc.compile(path)
    return caught.value


def test_imports_round_trip() -> None:
    text = parse('import "a/b.metric"\nTP/P')
    assert parse(str(text)) == text


def test_definitions_of_other_files_are_used(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import "shared/costs.metric"\n1 - cost(2)',
        shared__costs='import "units.metric"\ncost(miss = 1) = (miss*FN + FP) / unit',
        shared__units="unit = POP",
    )
    assert metricc.compile(main).value(1, 2, 3, 4) == pytest.approx(1 - 7 / 10)


def test_names_mean_what_they_mean_in_their_own_file(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import "a.metric"\nhalf = 1/4; TPR = 1/8\nhalf + TPR + own + f1',
        a="half = 1/2\nTPR = TP/PP\nown = half + TPR",
    )
    tp, fn, fp, tn = 3, 1, 2, 5
    wanted = 1 / 4 + 1 / 8 + (1 / 2 + tp / (tp + fp)) + 2 * tp / (2 * tp + fn + fp)
    assert metricc.compile(main).value(tp, fn, fp, tn) == pytest.approx(wanted)


def test_two_files_may_use_the_same_name_inside(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import "a.metric"\nimport "b.metric"\na + b',
        a='import "inner/x.metric"\na = x*TPR',
        b='import "other/x.metric"\nb = x*TNR',
        inner__x="x = 2",
        other__x="x = 3",
    )
    assert metricc.compile(main).value(1, 1, 1, 1) == pytest.approx(2.5)


def test_the_generated_file_stands_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    main = write(tmp_path, main='import "a.metric"\nscore', a="score = (TPR + 2*TNR)/3")
    path = metricc.compile(main, name="s").save(tmp_path / "s_loss.py")
    (tmp_path / "a.metric").unlink()
    main.unlink()
    assert verify_file(path).passed


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({"main": 'import "no.metric"\nTP/P'}, "MC0509", "cannot read no.metric"),
        ({"main": 'import "../x.metric"\nTP/P'}, "MC0509", "folder"),
        ({"main": 'import "/etc/passwd"\nTP/P'}, "MC0509", "folder"),
        ({"main": 'import "a.txt"\nTP/P'}, "MC0509", "folder"),
        ({"main": 'import "main.metric"\nTP/P'}, "MC0509", "imports itself"),
        (
            {
                "main": 'import "a.metric"\na',
                "a": 'import "b.metric"\na = b',
                "b": 'import "a.metric"\nb = TP',
            },
            "MC0509",
            "imports itself",
        ),
        ({"main": 'import "a.metric"\na', "a": "TP/P"}, "MC0107", "definitions only"),
        ({"main": 'import "a.metric"\na', "a": "a = TP/Q"}, "MC0201", "a.metric:1:8"),
        ({"main": 'import "a.metric"\na', "a": "a = TP/"}, "MC0101", "a.metric:1:7"),
        (
            {"main": 'import "a.metric"\nimport "b.metric"\nx', "a": "x = TPR", "b": "x = TNR"},
            "MC0509",
            "imported twice",
        ),
    ],
)
def test_wrong_imports_are_refused(
    tmp_path: Path, files: dict[str, str], code: str, words: str
) -> None:
    error = refusal(write(tmp_path, **files))
    assert [d.code for d in error.diagnostics] == [code]
    assert words in str(error)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.metric").write_text("a = TPR")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.metric").symlink_to(tmp_path / "outside.metric")
    (tmp_path / "in" / "main.metric").write_text('import "a.metric"\na')
    assert "folder" in str(refusal(tmp_path / "in" / "main.metric"))


def test_formula_strings_import_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a="a = TPR")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetriccError, match="MC0211"):
        metricc.compile('import "a.metric"\na')


def test_a_long_chain_of_files_ends(tmp_path: Path) -> None:
    files = {f"f{i}": f'import "f{i + 1}.metric"\na{i} = TPR' for i in range(40)}
    error = refusal(write(tmp_path, main='import "f0.metric"\na0', **files))
    assert [d.code for d in error.diagnostics] == ["MC0410"]
