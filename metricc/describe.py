"""What the commands print of a metric: columns, paragraphs, LaTeX and plain data for JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from metricc import ir

if TYPE_CHECKING:
    from sympy import Expr

    from metricc import syntax
    from metricc.audit.subject import Subject

LONGEST = 64  # characters of a formula's part in a place

THRESHOLD = """\
The threshold is the best cut on calibrated scores of another model; a model trained on this
metric decides at its surrogate's own threshold."""


NO_THRESHOLD = """\
No threshold: a prediction is worth the same whatever the label is, w_plus + w_minus = 0."""


CLASSES = """\
These are the derivatives in the counts of one class; C is the number of classes, and functions
named like reductions are their values."""


def costs(findings: ir.Audit) -> str:
    """What the samples weigh in a linear cost; an empty text for other metrics."""
    if not findings.linear:
        return ""
    return "positives weigh {}, negatives {}".format(*findings.costs)


def linear(findings: ir.Audit) -> str:
    """Whether the metric is a linear cost."""
    if findings.bends:
        return "no: what a prediction is worth depends on the others"
    return f"yes: {costs(findings)}" if findings.linear else "not proved"


def in_short(plan: ir.Plan, findings: ir.Audit) -> list[list[str]]:
    """An audit's main facts as the rows of a table."""
    if not findings.depends:
        return [["direction", "none: no prediction changes it"]]
    rows = [["direction", _direction(findings)]]
    if plan.metric.single:
        applies = plan.metric.task == "binary" and not plan.metric.elements
        rows.append(["linear cost", linear(findings) if applies else "does not apply"])
    threshold = outputs_of(plan, partials=False).get("threshold")
    return rows if threshold is None else [*rows, ["threshold", str(threshold)]]


def _direction(findings: ir.Audit) -> str:
    """The direction, known as the audit's finding knows it where that is better known."""
    proof = findings.direction_proof
    for found in findings.findings:
        if found.code == "MC0601" and findings.direction != "mixed":
            if found.severity != "note":
                return f"{findings.direction} nearly everywhere (MC0601)"
            proof = proof if proof.startswith("proved") else found.evidence
    return f"{findings.direction} ({proof})"


def place(found: ir.Place | None) -> str:
    """A finding's place in words: `TP/(TP + FN)` (recall, column 10)."""
    if found is None:
        return ""
    line, column = found.position
    where = f"line {line}, column {column}" if "\n" in found.source else f"column {column}"
    text = " ".join(found.text.split())
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    return f"`{text}` ({found.origin}, {where})"


def audited(subject: Subject, findings: ir.Audit) -> dict[str, Any]:
    """An audit as plain data."""
    brief = dataclasses.asdict(dataclasses.replace(findings, findings=()))
    return {
        "formula": subject.metric.formula,
        "name": subject.metric.name,
        "task": subject.options.task,
        "surrogate": subject.options.surrogate,
        "prevalence": subject.prevalence,
        **brief,
        "findings": [_finding(finding) for finding in findings.findings],
    }


def _finding(finding: ir.Finding) -> dict[str, Any]:
    found = finding.place
    where = None
    if found is not None:
        line, column = found.position
        where = {"origin": found.origin, "line": line, "column": column, "text": found.text}
    data = {name: _plain(datum) for name, datum in finding.data}
    return {**vars(finding), "place": where, "data": data}


def _plain(datum: ir.Datum) -> ir.Datum:
    """A datum as JSON has it: what is infinite as a text, and no number as None."""
    if isinstance(datum, tuple):
        return tuple(map(_plain, datum))
    if isinstance(datum, float) and not math.isfinite(datum):
        return None if math.isnan(datum) else str(datum)
    return datum


def own_numbers(plan: ir.Plan) -> str:
    """What the columns' names mean in the threshold."""
    return f"Each sample has its own, at its own {' and '.join(plan.metric.columns)}."


def outputs_of(plan: ir.Plan, partials: bool = True) -> dict[str, Expr]:
    """Value, partials if wanted, weights, and the threshold where there is one."""
    outputs = {n: e for n, e in plan.gradients.items() if partials or not n.startswith("M_")}
    threshold = plan.program.threshold if plan.metric.single else None
    return outputs if threshold is None else {**outputs, "threshold": threshold}


def derivation(plan: ir.Plan, findings: ir.Audit) -> dict[str, Any]:
    text = {name: str(expression) for name, expression in outputs_of(plan).items()}
    return {
        "formula": plan.metric.formula,
        "name": plan.metric.name,
        "task": plan.metric.task,
        "parameters": parameters_of(plan.metric.parameters),
        "columns": list(plan.metric.columns),
        "value": text["value"],
        "partials": {name[2:]: e for name, e in text.items() if name.startswith("M_")},
        "weights": {name: text[name] for name in ir.weights_of(plan.metric)},
        "threshold": text.get("threshold"),
        "forms": {n: {"choice": f.choice, "proof": f.proof} for n, f in plan.forms.items()},
        "direction": findings.direction,
        "costs": list(findings.costs),
    }


def latex_lines(metric: str, outputs: dict[str, Expr]) -> str:
    from sympy import Symbol, latex

    labels = {n: rf"\frac{{\partial M}}{{\partial {latex(Symbol(n[2:]))}}}" for n in outputs}
    labels |= {"value": latex(Symbol(metric)), "threshold": r"\mathrm{threshold}"}
    for name in outputs:
        weight, _, column = name.removeprefix("w_").partition("_")
        if name.startswith("w_"):
            sign = "+" if weight == "plus" else "-"
            labels[name] = f"w_{{{sign}}}" + (f"^{{{latex(Symbol(column))}}}" if column else "")
    return "\n".join(f"{labels[name]} = {latex(e)}" for name, e in outputs.items())


def paragraphs(plan: ir.Plan, outputs: dict[str, Expr]) -> list[str]:
    from metricc.extract import operations

    labels = {name: name.replace("M_", "dM/d") for name in outputs}
    labels["value"] = plan.metric.name
    proofs = [
        [labels.get(n, n.replace("M_", "dM/d")), form.choice, form.proof]
        for n, form in plan.forms.items()
    ]
    note = CLASSES if not plan.metric.single else "No prediction changes this metric."
    if plan.metric.single and any(outputs[name] != 0 for name in ir.weights_of(plan.metric)):
        note = THRESHOLD if "threshold" in outputs else NO_THRESHOLD
    if plan.metric.columns and "threshold" in outputs:
        note += f" {own_numbers(plan)}"
    found = [columns([[labels[name], f"= {e}"] for name, e in outputs.items()]), note]
    if plan.metric.single:
        count = operations(plan.program.shared)
        plain = not plan.metric.elements and not plan.metric.columns
        partials = "its four partials" if plain else "its partials"
        found.append(f"Operations of {labels['value']} and {partials} together: {count}")
    return [*found, columns([["output", "form", "proof"], *proofs])]


CURVATURE = """\
K is how w_plus and w_minus change along the moves that they are the slopes of: a positive's
prediction going up, d/dTP - d/dFN, and a negative's going down, d/dTN - d/dFP. It is all that the
Hessian in the predictions a_i needs: d2M/da_i da_j = u_i K u_j with u_i = v_i (y_i, -(1 - y_i))."""


def second_outputs(hessian: ir.Hessian, label: Callable[[str, str], str]) -> dict[str, Expr]:
    """Every second derivative by its label, of its two variables or moves."""
    pairs = (*hessian.raw.entries, *hessian.raw.turns)
    return {label(*two): hessian.entry(*two) for two in pairs}


def second_paragraphs(hessian: ir.Hessian, check: ir.Check) -> list[str]:
    outputs = second_outputs(hessian, _second_label)
    rows = [[name, f"= {expression}"] for name, expression in outputs.items() if expression != 0]
    none = [name for name, expression in outputs.items() if expression == 0]
    shown = columns(rows) if rows else "The metric is linear in the counts."
    if rows and none:
        shown += f"\n\nThe other {len(none)} are 0."
    note = CURVATURE
    if hessian.metric.columns:
        note += "\nA column c makes u_i longer: by the same two numbers times c_i."
    proofs = [
        [label, form.choice, form.proof]
        for label, form in zip(outputs, hessian.forms.values(), strict=True)
    ]
    proved = columns([["output", "form", "proof"], *proofs])
    return [shown, note, proved, f"Checked against {check.name}:\n{check.measured}."]


def _second_label(one: str, other: str) -> str:
    if one.startswith("w_"):
        return f"K[{one}, {other}]"
    return f"d2M/d{one}2" if one == other else f"d2M/d{one} d{other}"


def second_latex(hessian: ir.Hessian) -> str:
    from sympy import Symbol, latex

    def label(one: str, other: str) -> str:
        if one.startswith("w_"):
            return f"K_{{{_move(one)}{_move(other)}}}"
        a, b = latex(Symbol(one)), latex(Symbol(other))
        below = rf"\partial {{{a}}}^{{2}}" if a == b else rf"\partial {a}\, \partial {b}"
        return rf"\frac{{\partial^{{2}} M}}{{{below}}}"

    def _move(weight: str) -> str:
        sign, _, column = weight.removeprefix("w_").partition("_")
        return {"plus": "+", "minus": "-"}[sign] + (f"^{{{latex(Symbol(column))}}}" * bool(column))

    outputs = second_outputs(hessian, label)
    return "\n".join(f"{name} = {latex(e)}" for name, e in outputs.items())


def second_sympy(hessian: ir.Hessian) -> str:
    """The matrices as Python that SymPy reads."""
    metric = hessian.metric
    names = [*metric.variables, *(p.name for p in metric.parameters)]
    lines = [f'{", ".join(names)} = symbols("{" ".join(names)}")']
    for title, table in second_matrices(hessian).items():
        rows = ",\n".join(f"    [{', '.join(row.values())}]" for row in table.values())
        lines.append(f"{title} = Matrix([\n{rows},\n])")
    return "\n".join(lines)


def second_matrices(hessian: ir.Hessian) -> dict[str, dict[str, dict[str, str]]]:
    sides = {"hessian": hessian.metric.variables, "curvature": ir.weights_of(hessian.metric)}
    return {
        title: {one: {other: str(hessian.entry(one, other)) for other in names} for one in names}
        for title, names in sides.items()
    }


def second_derivation(hessian: ir.Hessian, check: ir.Check) -> dict[str, Any]:
    metric = hessian.metric
    return {
        "formula": metric.formula,
        "name": metric.name,
        "task": metric.task,
        "parameters": parameters_of(metric.parameters),
        "columns": list(metric.columns),
        **second_matrices(hessian),
        "forms": {n: {"choice": f.choice, "proof": f.proof} for n, f in hessian.forms.items()},
        "check": dataclasses.asdict(check),
    }


def head(definition: syntax.Definition) -> str:
    """The name with its parameters and aliases."""
    parameters = (str(dataclasses.replace(p, interval=None)) for p in definition.parameters)
    head = definition.name + (f"({', '.join(parameters)})" if definition.parameters else "")
    return head + (f" (or {', '.join(definition.aliases)})" if definition.aliases else "")


def matches(definition: syntax.Definition, words: Sequence[str], direction: str | None) -> bool:
    """Whether a definition's name, aliases or description hold all words, in any case."""
    facts = (definition.name, *definition.aliases, definition.fact("description"))
    text = " ".join(facts).lower()
    kind = definition.fact("direction")
    return (direction is None or kind.startswith(direction)) and all(
        word.lower() in text for word in words
    )


def tally(definitions: Sequence[syntax.Definition], families: int) -> str:
    """How many metrics, names and families are listed."""
    names = sum(1 + len(d.aliases) for d in definitions)
    family = "family" if families == 1 else "families"
    metric = "metric" if len(definitions) == 1 else "metrics"
    return f"{len(definitions)} {metric} under {names} names, {families} {family}"


def facts(plan: ir.Plan, findings: ir.Audit) -> dict[str, Any]:
    """Everything that `show` says of a metric, as plain data."""
    from sympy import latex

    from metricc.identify import identify

    outputs = outputs_of(plan, partials=False)
    found = {**entry(plan.metric.text.definitions[-1]), "direction": findings.direction}
    found["same_as"] = identify(plan.metric)
    found["linear_cost"] = costs(findings)
    found |= {name: str(expression) for name, expression in outputs.items()}
    return {**found, "latex": latex(outputs["value"])}


def rows(plan: ir.Plan, findings: ir.Audit, found: dict[str, Any]) -> list[list[str]]:
    """The same facts as the rows of a table, empty ones left out."""
    shown = {**found, "name": head(plan.metric.text.definitions[-1])}
    shown["direction"] += f" ({findings.direction_proof})"
    shown["same as"] = ", ".join(shown.pop("same_as"))
    shown["linear cost"] = shown.pop("linear_cost")
    return [[key, text] for key, text in shown.items() if isinstance(text, str) and text]


def entry(definition: syntax.Definition) -> dict[str, Any]:
    facts = {k: definition.fact(k) for k in ("description", "range", "direction", "reference")}
    formula = str(definition.body).replace("()", "")  # resolved names are calls
    entry = {"name": definition.name, "aliases": definition.aliases, "formula": formula}
    return {**entry, "parameters": parameters_of(definition.parameters), **facts}


def parameters_of(parameters: Sequence[ir.Parameter | syntax.Parameter]) -> list[dict[str, Any]]:
    defaults = [None if p.default is None else float(p.default) for p in parameters]
    ranges = [None if p.interval is None else str(p.interval) for p in parameters]
    facts = zip(parameters, defaults, ranges, strict=True)
    return [{"name": p.name, "default": default, "range": range_} for p, default, range_ in facts]


def columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (zip(row, widths, strict=True) for row in rows)
    return "\n".join("  ".join(c.ljust(w) for c, w in line).rstrip() for line in lines)
