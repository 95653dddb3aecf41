"""The page docs/metrics.md: every metric of the library with what derivation says of it.

python docs/tables/metrics.py > docs/metrics.md
"""

from __future__ import annotations

from metricc import library, syntax
from metricc.compiler import analyse
from metricc.describe import costs, head
from metricc.identify import identify

LONG = 160  # characters of a weight that is shown


def entry(definition: syntax.Definition) -> list[str]:
    plan, findings = analyse(definition.name)
    program = plan.program
    weights = [program.forms[name].expression for name in ("w_plus", "w_minus")]
    rows = {
        "formula": f"`{definition.body}`",
        "range": definition.fact("range"),
        "direction": f"{findings.direction} ({findings.direction_proof})",
        "w₊": _code(str(weights[0])),
        "w₋": _code(str(weights[1])),
        "δ*": "none" if program.threshold is None else _code(str(program.threshold)),
        "linear cost": costs(findings),
        "same as": ", ".join(f"`{name}`" for name in identify(program.metric)),
        "aliases": ", ".join(f"`{alias}`" for alias in definition.aliases),
        "reference": definition.fact("reference"),
    }
    name = head(definition).split(" (or")[0]
    text = [f"### {name}", "", definition.fact("description").capitalize() + ".", ""]
    return [*text, *(f"- {key}: {value}" for key, value in rows.items() if value), ""]


def _code(text: str) -> str:
    if len(text) > LONG:
        return f"{len(text)} characters: `metricc derive` prints it"
    return f"`{text}`"


def page() -> str:
    metrics = library.metrics()
    names = {n for n in library.definitions() if not n.isupper()}
    lines = [
        "# The metrics of the library",
        "",
        "Made by `python docs/tables/metrics.py > docs/metrics.md`; a test keeps it current.",
        "",
        f"{len(metrics)} metrics under {len(names)} names.",
        "w₊ and w₋ are what the gradient needs of each; δ* = w₋/(w₊ + w₋) is the best cut on",
        "calibrated probabilities of another model. The weights of a `linear cost` no prediction",
        "changes ([costs](costs.md)). `same as` lists the library's other metrics",
        "that it was proved equal to.",
        "",
    ]
    for family, definitions in library.families().items():
        found = [d for d in definitions if not d.name.isupper()]
        if found:
            lines += [f"## {family.capitalize()}", ""]
            lines += [line for definition in found for line in entry(definition)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
