"""The house: modules import only from lower floors; heavy packages stay where they belong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "metricc"

# From the ground up; modules on one floor do not know each other.
FLOORS = (
    {"errors", "version", "examples", "coprime", "tables"},
    {"syntax", "functions", "select", "factoring", "bounded", "likeness", "threshold", "ranges"},
    {
        "ir",
        "polynomials",
        "network",
        "save",
        "statements",
        "phrases",
        "spelling",
        "remarks",
        "averaging",
        "figures",
        "signs",
    },
    {"elements", "extract", "numeric", "interpret", "rounded", "labels", "folder"},
    {
        *("parse", "resolve", "lower", "derive", "surrogates", "load", "compose"),
        *("algebra", "cancellation", "accuracy"),
    },
    {"library", "sources", "reductions", "kinks", "logarithms", "radicals"},
    {"forms"},
    {"simplify"},
    {"imports", "curve", "constraint", "ranking", "hessian"},
    {"emit", "verify", "identify", "adapters", "scoring"},
    {"accumulate", "tally", "tuning", "build", "audit"},
    {"worth", "crossfit", "chart"},
    {"monitor"},
    {"compiled", "describe"},
    {"compiler"},
    {""},
    {"cli"},
    {"__main__"},
)
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))

# Who may import what at the top of the module; inside functions it is anyone's who needs it.
ONLY = {
    "lark": {"parse"},
    "sympy": {
        *("lower", "derive", "simplify", "audit", "algebra", "network", "extract", "numeric"),
        *("select", "identify", "factoring", "curve", "polynomials"),
        *(
            "cancellation",
            "kinks",
            "logarithms",
            "radicals",
            "accuracy",
            "elements",
            "signs",
            "forms",
        ),
    },
    "torch": {"adapters"},
    "click": {"cli"},
}


def room(path: Path) -> str:
    """The room of a module: its name, or its folder's below the package; "" is the package."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py").replace("__init__", "")


def imports(path: Path, top_level: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[ast.AST] = list(ast.walk(tree))
    if top_level:
        guarded = [n for n in tree.body if isinstance(n, ast.If)]
        nodes = [n for n in tree.body if n not in guarded]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_has_a_floor() -> None:
    assert {room(path) for path in MODULES} == set(HEIGHT)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_from_lower_floors(path: Path) -> None:
    own = room(path)
    for name in imports(path, top_level=False):
        if name.split(".")[0] != "metricc":
            continue
        rest = name.split(".")[1:]
        other = rest[0] if rest and rest[0] in HEIGHT else ""
        assert other == own or HEIGHT[other] < HEIGHT[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_belong(path: Path) -> None:
    for name in imports(path, top_level=True):
        package = name.split(".")[0]
        assert package not in ONLY or room(path) in ONLY[package], f"{path.name} imports {name}"


def test_the_rule_catches_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "errors.py"
    wrong.write_text("from metricc.ir import Metric\n")
    assert imports(wrong, top_level=False) == {"metricc.ir.Metric"}
    assert HEIGHT["ir"] > HEIGHT["errors"]
