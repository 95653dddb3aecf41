"""The header of a generated file: how it was made, the metric, its gradient, what it takes."""

from __future__ import annotations

import re
import shlex
import textwrap
from typing import Any

from metricc import ir, syntax
from metricc.emit import torch_columns
from metricc.emit import torch_file as file
from metricc.functions import REDUCTIONS
from metricc.statements import SAME
from metricc.surrogates import Surrogate, default

WIDTH = 100
LONGEST = 1_000  # parts of an expression that is shown


def docstring(
    plan: ir.Plan, audit: ir.Audit, options: ir.Options, surrogate: Surrogate, version: str
) -> str:
    """The module docstring, without its quotes."""
    metric = plan.metric
    name = options.name
    goal = f"1 - {name}" if options.goal == "maximize" else name
    facts: list[tuple[str, list[str]]] = [("Metric", metric_lines(metric, name))]
    about = "; ".join(f for f in map(plain, (metric.fact("description"), range_of(metric))) if f)
    if about:
        facts[0][1].append(about)
    if metric.fact("reference"):
        facts[0][1].append(plain(metric.fact("reference")))
    facts += [
        ("Loss", [loss_line(goal, audit)]),
        ("Gradient", gradient_lines(plan, options)),
        ("Surrogate", _surrogate_lines(surrogate, options)),
    ]
    facts.append(("Outputs", [_outputs(plan, audit, options, surrogate)]))
    if audit.linear and not audit.degenerate:
        facts.append(("Cost", [_cost(audit)]))
    if audit.degenerate:
        fact = f"Warning: predicting {audit.degenerate} already reaches the best {name}; "
        facts.append(("Training", [fact + "combine it with a metric that punishes that."]))
    facts += [
        *singular(audit),
        ("Classes", _absent(plan, options)),
        ("Tensors", _tensor_lines(plan, options)),
    ]
    columns = "".join(f", {column}={column}" for column in metric.columns)
    lines = [file.TITLE.format(name=name, goal=goal), ""]
    lines += [
        line.format(name=name, pascal=options.pascal, required=required(metric), columns=columns)
        for line in file.USAGE
    ]
    lines.append("")
    for label, texts in facts:
        for index, text in enumerate(texts):
            wrapped = lines_of(text) or [""]
            for offset, line in enumerate(wrapped):
                head = label if index == offset == 0 else ""
                lines.append(f"{head:<11}{line}".rstrip())
    lines += ["", *made_by(plan, options, surrogate, version, file.OWNERSHIP)]
    return "\n".join(lines)


def lines_of(text: str) -> list[str]:
    """A text in lines beside the labels; `(TP = FN = 0)` stays on one."""
    glued = re.sub(r"\((?:\w+ = )+0\)", lambda found: found[0].replace(" ", "\xa0"), text)
    wrapped = textwrap.wrap(glued, WIDTH - 11, break_long_words=False)
    return [line.replace("\xa0", " ") for line in wrapped]


def metric_lines(metric: ir.Metric, name: str) -> list[str]:
    """The formula as it was written, and the definitions that it uses."""
    used = [f"{d.name} = {d.body}".replace("()", "") for d in metric.text.definitions[:-1]]
    where = f", where {'; '.join(used)}" if used else ""
    return [plain(f"{name} = {metric.written}{where}")]


def required(metric: ir.Metric) -> str:
    missing = [p.name for p in metric.parameters if p.default is None]
    return ", ".join(f"{name}=..." for name in missing)


def range_of(metric: ir.Metric) -> str:
    return f"range {metric.fact('range')}" if metric.fact("range") else ""


def loss_line(goal: str, audit: ir.Audit) -> str:
    kind = {"score": "a score", "error rate": "an error rate", "mixed": "neither score nor error"}
    return f"{goal}. The metric is {kind[audit.direction]} ({audit.direction_proof})."


def gradient_lines(plan: ir.Plan, options: ir.Options) -> list[str]:
    sign = "-" if options.goal == "maximize" else ""
    written_out = plan.weights.inlined(everything=True)
    short = all(len(str(result)) < WIDTH - 24 for result in written_out.results)
    block = written_out if short else plan.weights
    part = "v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i"
    tables = options.task != "binary" or options.per == "sample" or plan.metric.by_sample
    lines = [f"d loss/dz_i = {sign}{part}, over the batch"]
    if options.task == "multiclass":
        lines = [f"d loss/dp_ik = {sign}v_i (y_ik w_plus_k - (1 - y_ik) w_minus_k) dA/dp_ik, then"]
        lines[0] += " through the softmax"
    elif tables:
        lines = [f"d loss/dz_ik = {sign}v_ik (y_ik w_plus_k - (1 - y_ik) w_minus_k) dA/dz_ik"]
    if plan.metric.elements:
        losses = " and ".join(term.symbol.name for term in plan.metric.elements)
        lines[0] += f"; plus the slopes of {losses}"
    if plan.metric.columns:
        lines += torch_columns.gradient(plan.metric)
        for name in ("w_plus", "w_minus"):
            lines[0] = lines[0].replace(name, f"{name.capitalize()}_i")
    lines += [f"{name} = {_readable(expression)}" for name, expression in block.assignments]
    named = zip(torch_columns.names_of(plan.metric), block.results, strict=False)
    lines += [f"{name} = {_readable(result)}" for name, result in named]
    if not plan.metric.single:
        lines.append("for each class; " + "; ".join(_SLOPES[t] for t in _reductions(plan)))
    return lines


_SLOPES = {
    "macro": "d_macro is 1/C where C classes count alike",
    "samples": "d_samples is 1/N where N samples count alike",
    "weighted": "d_weighted is a class's share of the positives",
    "sum": "d_sum is 1",
    "micro": "d_micro is 1, on the table summed over classes",
    "worst": "d_worst is 1 for the worst class, else 0",
    "geomean": "d_geomean is geomean/(C*x)",
    "per_class": "each class has a loss of its own",
}


def _reductions(plan: ir.Plan) -> list[str]:
    return sorted({term.reduction for term in plan.metric.tables})


def _readable(expression: syntax.Expression) -> str:
    """An expression as text, slopes of reductions as `d_macro`."""
    text = str(expression)
    for name in REDUCTIONS:
        text = text.replace(f"{name}_slope(0)", f"d_{name}").replace(f"{name}_slope(", f"d_{name}(")
    return text


def _surrogate_lines(surrogate: Surrogate, options: ir.Options) -> list[str]:
    logits = (
        "p = softmax(z), z the input"
        if options.task == "multiclass"
        else ("p = sigmoid(z), z the input")
    )
    inside = "p the input" if options.from_probabilities else logits
    if surrogate.curve is not None:
        low, high = surrogate.curve.ends
        facts = f"A({surrogate.curve.variable}) = {surrogate.formula}, {inside}; given as a formula"
        return [plain(f"{facts}. It rises from {low:.3g} to {high:.3g}.")]
    notes = list(file.SURROGATE_NOTES[surrogate.name])
    text = f"{surrogate.name}: A(p) = {surrogate.formula}, {inside}; {surrogate.reference}"
    if surrogate.averaged:
        notes.insert(0, f"A is the mean over the values of `{surrogate.centre}`.")
    if surrogate.hard:
        text = f"straight_through: hard decisions are counted, with the slope of {text}"
        notes = ["The loss is the metric of the decisions; its gradient is not the loss's own."]
    return [text, *notes]


def _outputs(plan: ir.Plan, audit: ir.Audit, options: ir.Options, surrogate: Surrogate) -> str:
    """What a model's outputs are after training, and where they are cut."""
    where = f"at `{surrogate.centre}`" if surrogate.centre else "at p = 1/2"
    where = "for its largest output" if options.task == "multiclass" else where
    text = (
        f"A model trained on this loss decides {where}; its outputs are scores, not probabilities: "
        "calibrate them on held-out data before reading them as such."
    )
    cut = plan.program.threshold if plan.metric.single else None
    if cut is not None and audit.direction != "mixed" and _brief(cut):
        text += f" For calibrated probabilities of another model the best cut is {cut}"
        text += "." if not plan.metric.columns else ", at each sample's own numbers."
    return text


def _brief(expression: Any) -> bool:
    """Whether an expression is short enough to be read."""
    stack, count = [expression], 0
    while stack and count <= LONGEST:
        stack += stack.pop().args
        count += 1
    return not stack


def _cost(audit: ir.Audit) -> str:
    """What else reaches the optimum of a linear cost."""
    plus, minus = audit.costs
    fact = "A linear cost: what a prediction is worth does not depend on the others. "
    if audit.direction == "mixed":
        return f"{fact}A cut of calibrated probabilities reaches the same optimum."
    weights = f"weights {plus} for positives and {minus} for negatives"
    return f"{fact}BCE with {weights}, and that cut, reach the same optimum."


TABLES = {"class": "of a class, ", "sample": "of a sample, ", "pooled": "of all classes' sums, "}


def singular(audit: ir.Audit) -> list[tuple[str, list[str]]]:
    """Where the metric has no value: a row for 0/0 and one for what grows without bound.

    An empty table has no value under most metrics, and is not worth a row.
    """
    rows = []
    for label, kind in (("Undefined", "undefined"), ("Infinite", "infinite")):
        found = [zeros for zeros in audit.singular if zeros.kind == kind and not zeros.empty]
        lines = []
        for table in dict.fromkeys(zeros.table for zeros in found):
            shown = [_zero_set(zeros) for zeros in found if zeros.table == table]
            *most, last = shown
            text = f"{', '.join(most)}, or {last}" if most else last
            lines.append(f"{TABLES.get(table, '')}where {text}.")
        if lines:
            rows.append((label, lines))
    return rows


def _zero_set(zeros: ir.ZeroSet) -> str:
    """Some counts in words and as an equation; one of the two where it says enough."""
    if zeros.words and zeros.table == "classes":
        return zeros.words
    return zeros.formula if len(zeros.cells) == 1 else str(zeros)


def _absent(plan: ir.Plan, options: ir.Options) -> list[str]:
    """The rule for absent classes."""
    lines = file.absent(options, "joint" in plan.levels)
    return [*lines, torch_columns.unit()] if plan.metric.columns else lines


def _tensor_lines(plan: ir.Plan, options: ir.Options) -> list[str]:
    kind = "probabilities in [0, 1]" if options.from_probabilities else "logits"
    texts = file.TENSORS[options.task].format(kind=kind)
    if plan.margins:
        start = texts.index(" class_weight:")
        texts = texts[:start] + " All classes count alike: their sums are margins of one table."
    found = [texts + file.HALVES]
    vector = "per_class" in {term.reduction for term in plan.metric.tables}
    if plan.metric.columns:
        found.append(torch_columns.tensors(plan.metric))
    if options.per == "batch" and not plan.metric.by_sample:
        found.append(file.COUNTS_GIVEN)
    if options.per == "sample":
        found.append(file.PER_SAMPLE)
    elif plan.metric.by_sample:
        found.append(file.BY_SAMPLE)
    if vector or options.per == "sample":
        found.append(file.REDUCTION)
    return [*found, file.RANKS]


def made_by(
    plan: ir.Plan, options: ir.Options, surrogate: Surrogate, version: str, ownership: str
) -> list[str]:
    """The command that makes the file, how it was proved, and whose it is."""
    formula = plain(plan.metric.formula.translate(SAME))
    words = ["metricc", "compile", formula, "--name", options.name]
    if options.target != "torch":
        words += ["--target", options.target]
    if options.task != "binary":
        words += ["--task", options.task]
    if options.per != "batch":
        words += ["--per", options.per]
    if str(surrogate) != default(options.task, options.target):
        words += ["--surrogate", plain(options.surrogate)]
    if options.from_probabilities:
        words.append("--from-probabilities")
    if options.goal == "minimize":
        words.append("--minimize")
    how = "; ".join(sorted({form.proof for form in plan.forms.values()}))
    return [
        f"Made by metricc {version}:  {shlex.join(words)}",
        *textwrap.wrap(f"Derivatives {how}.", WIDTH),
        f"Check it with `metricc verify`. {ownership}",
    ]


def plain(text: str) -> str:
    """One line of printable ASCII that cannot end a docstring or start an escape."""
    flat = " ".join(text.split())
    ascii_only = flat.encode("ascii", "replace").decode("ascii")
    printable = "".join(c if c.isprintable() else "?" for c in ascii_only)
    return printable.replace("\\", "/").replace('"""', "'''").replace('"', "'")
