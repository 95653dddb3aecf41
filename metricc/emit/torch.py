"""ir.Program → a standalone PyTorch loss file (standard library and torch only).

`render` fills the holes of `torch_file.TEMPLATE`; every hole must have a value and every value a
hole. Text of the user's (formula, record) is made harmless before it goes near a docstring.
"""

from __future__ import annotations

import shlex
import textwrap
from fractions import Fraction

from metricc import ir, syntax
from metricc.emit import torch_file as file
from metricc.emit.python import fold, statements
from metricc.functions import CELLS
from metricc.save import sha256, with_record
from metricc.statements import SAME
from metricc.surrogates import Surrogate, surrogate

WIDTH = 100


def render(program: ir.Program, audit: ir.Audit, options: ir.Options, version: str) -> str:
    """The text of the generated file. The same arguments always give the same bytes."""
    soft = surrogate(options.surrogate)
    bodies, called = _bodies(program)
    holes = {
        "docstring": _docstring(program, audit, options, soft, version),
        "name": options.name,
        "pascal": options.pascal,
        "signature": ", ".join((*CELLS, *map(_positional, program.metric.parameters))),
        "value": bodies[0],
        "gradient": bodies[1],
        "weights": bodies[2],
        "direction": "1 - " if options.goal == "maximize" else "",
        "scale": ("-" if options.goal == "maximize" else "") + file.SCALES.get(soft.name, ""),
        "guards": "".join(file.GUARDS[g] for g in file.GUARDS if g in called),
        "math": "import math\n\n" if called & file.NEED_MATH or "cosine" in soft.name else "",
        **_arguments(program.metric.parameters, soft),
        **file.SURROGATES[soft.name, options.from_probabilities],
    }
    text = file.fill(file.TEMPLATE, holes)
    text = "\n".join(fold(line, WIDTH) for line in text.split("\n"))
    record = {
        "version": version,
        "formula": program.metric.formula,
        "options": {
            "name": options.name,
            "task": options.task,
            "per": options.per,
            "surrogate": options.surrogate,
            "from_probabilities": options.from_probabilities,
            "goal": options.goal,
        },
        "forms": {name: f"{form.choice}; {form.proof}" for name, form in program.forms.items()},
        "formula_sha256": sha256(program.metric.formula),
    }
    return with_record(text, file.RECORD_LINE, record)


# -- code -------------------------------------------------------------------------------------


def _bodies(program: ir.Program) -> tuple[list[str], set[str]]:
    blocks = (program.shared.slice(0), program.shared.slice(1, 2, 3, 4), program.weights)
    bodies, called = [], set[str]()
    for block in blocks:
        lines, functions = statements(block)
        bodies.append("\n".join("    " + line for line in lines))
        called |= functions
    return bodies, called


def _positional(parameter: ir.Parameter) -> str:
    return f"{parameter.name}{_default(parameter, '=')}"


def _default(parameter: ir.Parameter, equals: str) -> str:
    return "" if parameter.default is None else f"{equals}{float(parameter.default)}"


def _arguments(parameters: tuple[ir.Parameter, ...], surrogate: Surrogate) -> dict[str, str]:
    """The holes that list arguments: the metric's parameters, then the surrogate's."""
    own = [(p.name, _default(p, " = ")) for p in parameters]
    soft = [(name, f" = {default}") for name, default, _ in surrogate.arguments]
    both = sorted([*own, *soft], key=lambda item: item[1] != "")  # required ones first
    names = [name for name, _ in [*own, *soft]]
    checks = {p.name: _check(p.name, p.interval) for p in parameters}
    for name, _, (low, high) in surrogate.arguments:
        upper = None if high == float("inf") else Fraction(high)
        checks[name] = _check(name, syntax.Interval(Fraction(low), upper))
    checked = [name for name, check in checks.items() if check]

    def listed(form: str, names: list[str]) -> str:
        return "".join(", " + form.format(name) for name in names)

    own_names = [p.name for p in parameters]
    soft_names = [name for name, _, _ in surrogate.arguments]
    keywords = "".join(f", {name}: float{default}" for name, default in both)
    shown = ", ".join(f"{name}={{self.{name}}}" for name in names)
    return {
        "ranges": file.RANGES.format(listed=", ".join(checked), checks="".join(checks.values()))
        if checked
        else "",
        "require": f"    _require({', '.join(checked)})\n" if checked else "",
        "require_in_module": f"        _require({', '.join(checked)})\n" if checked else "",
        "keywords": keywords,
        "assign": "".join(f"        self.{name} = {name}\n" for name in names),
        "stored": listed("{0}=self.{0}", names),
        "shown": f'f"{shown}"' if shown else '""',
        "store": listed("{0}", names),
        "rest": ", *ctx.arguments" if names else "",
        "unpack": f"        {', '.join(names)}{',' * (len(names) == 1)} = ctx.arguments\n"
        if names
        else "",
        "parameters": listed("{0}", own_names),
        "soft_args": listed("{0}", soft_names),
        "nones": listed("None", ["", "", *names]),
    }


def _check(name: str, interval: syntax.Interval | None) -> str:
    if interval is None or (interval.low is None and interval.high is None):
        return ""
    text = name
    if interval.low is not None:
        text = f"{syntax.decimal(interval.low)} {'<' if interval.low_open else '<='} {text}"
    if interval.high is not None:
        text = f"{text} {'<' if interval.high_open else '<='} {syntax.decimal(interval.high)}"
    return (
        f"    if not {text}:\n"
        f'        raise ValueError(f"{name} must lie in {interval}, not {{{name}}}")\n'
    )


# -- the header -------------------------------------------------------------------------------


def _docstring(
    program: ir.Program, audit: ir.Audit, options: ir.Options, surrogate: Surrogate, version: str
) -> str:
    metric = program.metric
    name = options.name
    goal = f"1 - {name}" if options.goal == "maximize" else name
    facts: list[tuple[str, list[str]]] = [("Metric", _metric_lines(metric, name))]
    about = "; ".join(f for f in map(_plain, (metric.fact("description"), _range(metric))) if f)
    if about:
        facts[0][1].append(about)
    if metric.fact("reference"):
        facts[0][1].append(_plain(metric.fact("reference")))
    facts += [
        ("Loss", [_loss_line(goal, audit)]),
        ("Gradient", _gradient_lines(program, options)),
        ("Surrogate", _surrogate_lines(surrogate, options)),
    ]
    if program.threshold is not None and audit.direction == "score":
        facts.append(("Threshold", _threshold_lines(program, surrogate)))
    if audit.degenerate:
        fact = f"Warning: predicting {audit.degenerate} already reaches the best {name}; "
        facts.append(("Training", [fact + "combine it with a metric that punishes that."]))
    facts += [("Classes", file.ABSENT), ("Tensors", _tensor_lines(options))]
    lines = [file.TITLE.format(name=name, goal=goal), ""]
    lines += [
        line.format(name=name, pascal=options.pascal, required=_required(metric))
        for line in file.USAGE
    ]
    lines.append("")
    for label, texts in facts:
        for index, text in enumerate(texts):
            wrapped = textwrap.wrap(text, WIDTH - 11, break_long_words=False) or [""]
            for offset, line in enumerate(wrapped):
                head = label if index == offset == 0 else ""
                lines.append(f"{head:<11}{line}".rstrip())
    lines += ["", *_made_by(program, options, version)]
    return "\n".join(lines)


def _metric_lines(metric: ir.Metric, name: str) -> list[str]:
    """The formula as it was written, and the definitions that it uses."""
    used = [f"{d.name} = {d.body}".replace("()", "") for d in metric.text.definitions[:-1]]
    where = f", where {'; '.join(used)}" if used else ""
    return [_plain(f"{name} = {metric.written}{where}")]


def _required(metric: ir.Metric) -> str:
    missing = [p.name for p in metric.parameters if p.default is None]
    return ", ".join(f"{name}=..." for name in missing)


def _range(metric: ir.Metric) -> str:
    return f"range {metric.fact('range')}" if metric.fact("range") else ""


def _loss_line(goal: str, audit: ir.Audit) -> str:
    kind = {"score": "a score", "error rate": "an error rate", "mixed": "neither score nor error"}
    return f"{goal}. The metric is {kind[audit.direction]} ({audit.direction_proof})."


def _gradient_lines(program: ir.Program, options: ir.Options) -> list[str]:
    sign = "-" if options.goal == "maximize" else ""
    written_out = program.weights.inlined(everything=True)
    short = all(len(str(result)) < WIDTH - 24 for result in written_out.results)
    block = written_out if short else program.weights
    lines = [f"d loss/dz_i = {sign}v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i, over the batch"]
    lines += [f"{name} = {expression}" for name, expression in block.assignments]
    lines.append(f"w_plus = dM/dTP - dM/dFN = {block.results[0]}")
    lines.append(f"w_minus = dM/dTN - dM/dFP = {block.results[1]}")
    return lines


def _surrogate_lines(surrogate: Surrogate, options: ir.Options) -> list[str]:
    inside = "p the input" if options.from_probabilities else "p = sigmoid(z), z the input"
    lines = [f"{surrogate.name}: A(p) = {surrogate.formula}, {inside}; {surrogate.reference}"]
    return lines + file.SURROGATE_NOTES[surrogate.name]


def _threshold_lines(program: ir.Program, surrogate: Surrogate) -> list[str]:
    where = f"`{surrogate.centre}`" if surrogate.centre else "p = 1/2"
    return [
        f"A model trained on this loss decides at {where}. For calibrated probabilities of another "
        f"model the best cut is {program.threshold}."
    ]


def _tensor_lines(options: ir.Options) -> list[str]:
    kind = "probabilities in [0, 1]" if options.from_probabilities else "logits"
    return [f"input: {kind}; {file.TENSORS}"]


def _made_by(program: ir.Program, options: ir.Options, version: str) -> list[str]:
    formula = _plain(program.metric.formula.translate(SAME))
    words = ["metricc", "compile", formula, "--name", options.name]
    if options.surrogate != "amplified":
        words += ["--surrogate", options.surrogate]
    if options.from_probabilities:
        words.append("--from-probabilities")
    if options.goal == "minimize":
        words.append("--minimize")
    proofs = {form.proof for form in program.forms.values()}
    how = "; ".join(sorted(proofs))
    note = f"Derivatives {how}."
    return [
        f"Made by metricc {version}:  {shlex.join(words)}",
        *textwrap.wrap(note, WIDTH),
        f"Check it with `metricc verify`. {file.OWNERSHIP}",
    ]


def _plain(text: str) -> str:
    """One line of printable ASCII that cannot end a docstring or start an escape."""
    flat = " ".join(text.split())
    ascii_only = flat.encode("ascii", "replace").decode("ascii")
    printable = "".join(c if c.isprintable() else "?" for c in ascii_only)
    return printable.replace("\\", "/").replace('"""', "'''").replace('"', "'")
