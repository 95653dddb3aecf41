"""The library: counts, records, directions, parity with other packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import metricc
from metricc import library
from metricc.compiler import analyse

pytest.importorskip("pycm")
PATH = Path(__file__).parent.parent / "docs" / "tables" / "parity.py"


def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_tables_parity", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PARITY = parity()
PAIRS = [(formula, package) for formula, others in PARITY.SHARED.items() for package in others]


def test_there_are_at_least_75_metrics_of_different_formulas() -> None:
    bodies = {str(library.definitions()[name].body) for name in metricc.names()}
    assert len(bodies) >= 75


@pytest.mark.parametrize("name", metricc.names())
def test_records_are_complete_and_true(name: str) -> None:
    definition = library.definitions()[name]
    for key in ("description", "range", "direction", "reference"):
        assert definition.fact(key), key
    _, findings = analyse(name)
    assert definition.fact("direction") == findings.direction


@pytest.mark.parametrize(("formula", "package"), PAIRS)
def test_parity(formula: str, package: str) -> None:
    pytest.importorskip(
        {"scikit-learn": "sklearn", "imbalanced-learn": "imblearn"}.get(package, package)
    )
    assert PARITY.largest_difference(formula, package) <= PARITY.PACKAGES[package]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("ts", "jaccard"),
        ("csi", "jaccard"),
        ("iou", "jaccard"),
        ("sensitivity", "recall"),
        ("tpr", "recall"),
        ("dice", "f1"),
        ("dor", "diagnostic_odds_ratio"),
        ("kappa", "cohen_kappa"),
    ],
)
def test_usual_names_are_found(alias: str, name: str) -> None:
    assert library.definitions()[alias] is library.definitions()[name]


def inside(text: str) -> tuple[float, float]:
    numbers = {"inf": 1e300, "-inf": -1e300, "sqrt(2)": 2**0.5, "sqrt(1/2)": 0.5**0.5}
    numbers |= {"log(2)": 0.6931471805599454, "log(4)": 1.3862943611198908, "-1/3": -1 / 3}
    low, high = (part.strip() for part in text[1:-1].split(","))
    return tuple(numbers[b] if b in numbers else float(b) for b in (low, high))  # type: ignore[return-value]


@pytest.mark.parametrize("name", metricc.names())
def test_values_lie_in_the_stated_range(name: str) -> None:
    metric = metricc.compile(name, maximize=True)
    low, high = inside(library.definitions()[name].fact("range"))
    params = {p.name: 0.5 for p in metric.program.metric.parameters if p.default is None}
    columns = metric.plan.metric.cells[4:]
    for counts in PARITY.tables():
        amounts = {name: 3 * count for name, count in zip(columns, counts, strict=False)}
        value = metric.value(*counts, **params, **amounts)
        assert low - 1e-12 <= value <= high + 1e-12, counts
