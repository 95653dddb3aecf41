"""What the compiler writes, as digests: `python tests/digests.py` prints a line a case.

    file              derivation        case
    5d0c1f…           90ab33…           mcc

`file` is of the text that `metricc compile` writes, `derivation` of what `metricc derive --format
json` prints: the first 16 hex digits of SHA-256. They may depend on nothing but the package. The
lines of this version stand in golden/digests.txt; test_determinism.py compares, and so does

    python tests/digests.py --check

in an environment of any versions, with or without torch: it ends with 1 where a line differs.
Names after it choose cases, `--backwards` works from the last to the first.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "digests.txt"

BINARY = (
    "mcc",
    "fbeta",
    "0.5*bce + 0.5*(1 - f1)",
    "log(f1) + gmean + p4",
    "min(precision, recall)*exp(-FPR)",
    "focal(gamma=1.5) - log(gmean)",
    "if recall < 0.8 then recall else precision",
    "if P < N and PP < PN then f1 else max(mcc, gmean, TPR - FPR)",
    "mixed(w = 0.3 in [0, 1]) = w*f1 + (1 - w)*abs(TPR - FPR)^(1/3)",
    "(FN[amount] + 5*FP)/(P[amount] + 5*N)",
    "0.5*bce + 0.5*(FN[amount] + FP[fee])/(P[amount] + N[fee])",
    "gained(c) = TP[gain]/(TP[gain] + c*FP) + log(1 + TPR)",
)
CLASSES = (
    *(f"{name}(f1)" for name in ("macro", "micro", "weighted", "worst", "geomean")),
    "1 - sum(FN + 2*FP)/100",
    "macro(mcc)*micro(recall) - worst(FPR)",
    "geomean(recall) + weighted(fbeta(2))",
    "(precision + recall)/2",
)
SURROGATES = (
    "amplified(L=73)",
    "soft",
    "score_oriented(uniform)",
    "score_oriented(cosine, mu=0.4)",
    "heaviside",
    "straight_through",
    "p^2*(3 - 2*p)",
    "steep(k = 3 in (0, inf)) = 1/(1 + exp(-k*z))",
)


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Name → formula and options of `metricc.compile`; a name is what both say."""
    from metricc import library

    listed: list[tuple[str, dict[str, Any]]] = []
    for family in library.families().values():
        for metric in family:
            goal = {"maximize": True} if metric.fact("direction") == "mixed" else {}
            listed.append((metric.name, goal))
    listed += [(formula, {"maximize": True}) for formula in BINARY]
    for formula in BINARY[:3]:
        listed += [(formula, {"target": target, "maximize": True}) for target in ("triton", "gbdt")]
        listed.append((formula, {"per": "sample", "from_probabilities": True, "maximize": True}))
    listed += [("f1", {"surrogate": surrogate}) for surrogate in SURROGATES]
    for task in ("multilabel", "multiclass"):
        listed += [(formula, {"task": task, "maximize": True}) for formula in CLASSES]
    listed += [
        ("0.5*ce + 0.5*(1 - macro(f1))", {"task": "multiclass"}),
        ("0.5*focal + 0.5*(1 - f1)", {"task": "multiclass", "per": "sample"}),
        ("0.5*bce + 0.5*(1 - f1)", {"task": "multilabel", "target": "triton"}),
        ("0.5*ce + 0.5*(1 - macro(mcc))", {"task": "multiclass", "target": "triton"}),
        ("macro(f1)", {"task": "multiclass", "target": "gbdt"}),
        ("multiclass_mcc", {"task": "multiclass"}),
        ("samples(f1)", {"task": "multilabel"}),
        ("f1", {"task": "multilabel", "surrogate": "score_oriented(cosine)"}),
        ("f1", {"task": "multiclass", "surrogate": "straight_through"}),
    ]
    return {_name(formula, options): (formula, options) for formula, options in listed}


def _name(formula: str, options: dict[str, Any]) -> str:
    """As on the command line."""
    words = [
        f"--{k.replace('_', '-')}" + ("" if v is True else f" {v!r}") for k, v in options.items()
    ]
    return " ".join([formula, *words])


def line(name: str, formula: str, options: dict[str, Any]) -> str:
    from metricc import compiler, describe
    from metricc.errors import MetriccError

    try:
        made = compiler.compile(formula, **options)
        plan, findings, text = made.plan, made.findings, made.source
    except MetriccError as error:
        text = str(error)  # of P and the like: no prediction changes them
        plan, findings = compiler.analyse(formula)
    derivation = json.dumps(describe.derivation(plan, findings), indent=2)
    digests = (hashlib.sha256(t.encode()).hexdigest()[:16] for t in (text, derivation))
    return "  ".join([*digests, name])


def lines(names: Collection[str] = (), backwards: bool = False) -> list[str]:
    """The lines of the cases of these names, of all if there are none, in the order of `cases`."""
    known = cases()
    if strange := set(names) - set(known):
        raise SystemExit(f"no case of {GOLDEN.name} has the name {min(strange)!r}")
    chosen = [name for name in known if name in names or not names]
    made = {name: line(name, *known[name]) for name in (chosen[::-1] if backwards else chosen)}
    return [made[name] for name in chosen]


def name_of(row: str) -> str:
    return row.split("  ", 2)[2]


def main(words: list[str]) -> int:
    names = [word for word in words if not word.startswith("--")]
    found = lines(names, "--backwards" in words)
    if "--check" not in words:
        print("\n".join(found))
        return 0
    rows = GOLDEN.read_text(encoding="utf-8").splitlines()
    wanted = {name_of(row): row for row in rows}
    wrong = [row for row in found if wanted.get(name_of(row)) != row]
    for row in wrong:
        print(f"- {wanted.get(name_of(row), '')}\n+ {row}")
    packages = ("sympy", "lark", "mpmath", "numpy", "click", "rich")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"{len(found) - len(wrong)} of {len(found)} as in {GOLDEN.name}, with {versions}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
