"""verify: an edited file against what its formula generates, over drawn calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import metricc
from metricc import CompiledMetric
from metricc.load import load
from metricc.verify import check_source, edited
from metricc.verify.drawn import Call

LABEL, CLASS = {"task": "multilabel"}, {"task": "multiclass"}
SAMPLE, GBDT = {"per": "sample"}, {"target": "gbdt"}


CALL = Call("a call", lambda module: None)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the command verifies: blocks are as large as there are threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mostly_slow(rows: Sequence[tuple[Any, ...]], quick: tuple[int, ...]) -> list[Any]:
    """The rows, those of these numbers as quick tests: some seconds each."""
    marks = [() if i in quick else (pytest.mark.slow,) for i, _ in enumerate(rows)]
    return [pytest.param(*row, marks=m) for row, m in zip(rows, marks, strict=True)]


def failed(m: CompiledMetric, text: str) -> list[str]:
    """The sorts of calls that an edited text answers otherwise."""
    given = load(text, "edited"), load(m.source, "original"), m.plan, m.options, m.surrogate
    return [c.name.removesuffix(" as generated") for c in edited.checks(*given) if not c.passed]


# What the oracles' settings do not have: formula, options, the edit, and the calls that show it.
EDITS: list[tuple[str, dict[str, Any], str, str, str]] = [
    (
        "0.5*ce + 0.5*(1 - macro(f1))",
        {**CLASS, "name": "ce_f1"},
        "else y.to(z.dtype).masked_fill",
        "else y.masked_fill",
        "counts",
    ),
    ("f1", {}, "min(max(x, -_HUGE), _HUGE)) for", "min(x, _HUGE)) for", "losses"),
    (
        "micro(jaccard)",
        {**CLASS, **SAMPLE},
        "_pooled(TP, FN, FP, TN, class_weight, absent, smooth)",
        "_pooled(TP, FN, FP, TN, class_weight, 'zero', smooth)",
        "scalars",
    ),
    (
        "micro(jaccard)",
        {**CLASS, **SAMPLE},
        "if weight is None else torch.where(kept, weight, 0)",
        "if weight is None else weight",
        "losses",
    ),
    (
        "0.5*ce + 0.5*(1 - samples(jaccard))",
        {**CLASS, "name": "ce_samples"},
        "pair = _scalars(counts, class_weight, sample_weight, absent, smooth, ranks)[1]",
        "pair = _scalars(counts, class_weight, sample_weight, 'zero', smooth, ranks)[1]",
        "losses",
    ),
    (
        "sqrt(macro(f1)*macro(mcc))",
        {**LABEL, "name": "both"},
        'elif absent == "zero":',
        'elif absent == "skip":',
        "scalars",
    ),
    (
        "geomean(recall)",
        {**CLASS, "target": "triton"},
        "[None] * len(rows) if t is None else t.split(height)",
        "t.split(height)",
        "losses",
    ),
    (
        "0.5*ce + 0.5*(1 - samples(jaccard))",
        {**CLASS, "name": "ce_samples"},
        "_at_once(sample_weight)",
        "True",
        "losses",
    ),
    ("macro(f1)", LABEL, "self.batches.to(counts)", "self.batches", "running means"),
    ("f1", {}, "t.clamp(max=largest)", "t.clamp(min=largest)", "losses"),
    ("f1", {}, "self.ignore_index, self.label_smoothing", "None, self.label_smoothing", "counts"),
    (
        "f1",
        {},
        "return g.clamp(-largest, largest).to(dtype)",
        "return (-g if g.numel() > 100_000 else g).clamp(-largest, largest).to(dtype)",
        "losses",
    ),
    ("f1", {}, "_fit(input, target", "input.data.clamp_(-2, 2)\n    _fit(input, target", "losses"),
    ("f1", GBDT, "weight is None or len(weight) == 0", "weight is None", "objective"),
    (
        "mcc",
        {**GBDT, "surrogate": "amplified"},
        "0 < threshold < 1",
        "0 < threshold <= 1",
        "objective",
    ),
    (
        "mcc",
        GBDT,
        "if weight is None else _array",
        "if weight is None else 2 * _array",
        "objective",
    ),
]


@pytest.mark.parametrize(
    ("formula", "options", "old", "new", "where"), mostly_slow(EDITS, (0, 1, 7, 12))
)
def test_an_edit_that_shows_in_few_calls_is_found(
    formula: str, options: dict[str, Any], old: str, new: str, where: str
) -> None:
    m = metricc.compile(formula, **options)
    assert old in m.source
    assert where in failed(m, m.source.replace(old, new))


FILES: list[tuple[str, dict[str, Any]]] = [
    ("gmean", {}),
    ("recall[amount]", {"from_probabilities": True}),
    ("macro(f1)", LABEL),
    ("per_class(f1)", {**LABEL, **SAMPLE}),
    ("0.5*ce + 0.5*(1 - multiclass_mcc)", {**CLASS, "name": "both"}),
    ("macro(f1)", {**CLASS, **GBDT}),
]


@pytest.mark.parametrize(("formula", "options"), mostly_slow(FILES, (1, 5)))
def test_a_file_answers_as_it_does_itself(formula: str, options: dict[str, Any]) -> None:
    m = metricc.compile(formula, **options)
    assert failed(m, m.source + "\n# another module\n") == []


# What is the same but for rounding, a bound that stands for infinity, or the kind of a constant.
RIGHT: list[tuple[str, dict[str, Any], str, str]] = [
    ("f1", {}, "t = L * (threshold - p)", "t = -L * (p - threshold)"),
    ("f1", {}, "torch.dot(y, a), torch.dot(y, b)", "(y * a).sum(), (y * b).sum()"),
    ("f1", {}, "x3, x3, 0", "x3, x3, 0 * TP"),
    ("f1", {}, "return g if v is None else g * v", "return g if v is None else v * g"),
    ("gmean", {}, "return _ratio(root, 2 * TP)", "return 0.5 * _ratio(root, TP)"),
    ("mcc", {}, "raise ValueError(f'absent", "raise type('Bad', (ValueError,), {})(f'absent"),
    ("macro(f1)", LABEL, "y * plus - (1 - y) * minus", "y * (plus + minus) - minus"),
    ("mcc", GBDT, "weight is None or len(weight) == 0", "weight is None or not len(weight)"),
]


@pytest.mark.parametrize(("formula", "options", "old", "new"), mostly_slow(RIGHT, (0, 4, 7)))
def test_what_is_written_otherwise_passes(
    formula: str, options: dict[str, Any], old: str, new: str
) -> None:
    m = metricc.compile(formula, **options)
    assert old in m.source
    assert failed(m, m.source.replace(old, new)) == []


def test_a_file_of_another_version_is_not_compared() -> None:
    m = metricc.compile("f1")
    newer = m.source.replace("t = L * (threshold - p)", "t = L * (p - threshold)")
    report = check_source(m.source, newer, m.plan, m.options, m.surrogate)
    assert report.passed and not [c for c in report.checks if "as generated" in c.name]


def test_code_that_ends_the_program_is_named_with_its_call() -> None:
    m = metricc.compile("f1")
    text = m.source.replace("def value(TP, FN, FP, TN):", "def value(TP, FN, FP, TN):\n    exit()")
    given = load(text, "edited"), load(m.source, "original"), m.plan, m.options, m.surrogate
    first = next(c for c in edited.checks(*given) if not c.passed)
    assert first.measured.startswith("SystemExit: None, generated a result: value() at [")
    assert len(first.measured) <= 103


def names(m: CompiledMetric, text: str) -> list[str]:
    report = check_source(text, m.source, m.plan, m.options, m.surrogate)
    assert report.passed, str(report)
    return [check.name for check in report.checks if "as generated" in check.name]


def test_only_edited_code_is_compared_and_may_be_written_otherwise() -> None:
    m = metricc.compile("f1")
    assert names(m, m.source) == names(m, m.source + "\n# a remark\n") == []
    old, new = "return _ratio(2 * TP, 2 * TP + FN + FP)", "return 1 / (1 + (FN + FP) / (2 * TP))"
    guarded = f"if torch.is_tensor(TP) or TP == 0:\n        {old}\n    {new}"
    assert old in m.source
    sorts = [name.split()[0] for name in names(m, m.source.replace(old, guarded))]
    assert sorts == ["scalars", "running", "counts", "losses", "odd", "ranks"]


def test_what_differs_is_said() -> None:
    tensor = torch.tensor
    nan, inf = float("nan"), float("inf")
    alike: list[tuple[Any, Any]] = [
        (tensor([1.0, nan, inf]).double(), tensor([1.0 + 1e-12, nan, inf]).double()),
        (tensor([1e-17]).double(), tensor([-2e-17]).double()),
        (ValueError("one"), ValueError("another")),
        ((1.0, np.ones(2)), (1.0, np.ones(2))),
        (tensor([5e29, -1e30]).double(), tensor([1e30, -1e30]).double()),
        (torch.zeros(3).double(), 0.0),
        (UnicodeError("a kind of"), ValueError("it")),
        ("text", "text"),
    ]
    for got, wanted in alike:
        assert edited._difference(got, wanted, CALL) == ""
    others: list[tuple[Any, Any, str]] = [
        (tensor([1.0 + 2e-6]).double(), tensor([1.0]).double(), "1, 2.0e-06 off"),
        (tensor([-1e30]).double(), tensor([1e30]).double(), "-1e+30, generated 1e+30"),
        ({}, 1.0, "dict, generated float"),
        (None, "one", "None, generated 'one'"),
        (tensor([1.0, nan]), tensor([1.0, 2.0]), "nan, generated 2"),
        (tensor([1.0, inf]), tensor([1.0, -inf]), "inf, generated -inf"),
        (tensor([1.0]), tensor([1.0]).double(), "float32 (1,), generated float64 (1,)"),
        (np.ones(2), np.ones((2, 1)), "float64 (2,), generated float64 (2, 1)"),
        (ValueError("no"), tensor([1.0]), "ValueError: no, generated a result"),
        (ValueError("no"), TypeError("no"), "ValueError: no, generated TypeError: no"),
        ((1.0, 2.0), (1.0,), "another number of results"),
        ("one", "two", "'one', generated 'two'"),
    ]
    for got, wanted, told in others:
        assert edited._difference(got, wanted, CALL) == told
