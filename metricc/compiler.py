"""The pipeline, once: stages meet only in the data types of `syntax` and `ir`.

stage       from               to                what it does
source      argument           Source            a text, its file, its name in diagnostics
read        text               syntax.Text       statements, each with its place
imports     syntax.Text        Imported          definitions of other files
settle      syntax.Text        syntax.Text       names, parameters, the library
lower       syntax.Text        ir.Metric         SymPy over cells and parameters; all errors
derive      ir.Metric          ir.Gradient       raw partials
simplify    ir.Gradient        ir.Program        best forms, proofs, shared code
audit       ir.Program         ir.Audit          direction, degeneracy
render      Program, Audit     source text       one standalone file
verify      source, Program    ir.Report         measured against allowed
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Any

from metricc import ir, library, surrogates, syntax
from metricc.audit import audit
from metricc.bounded import bounded
from metricc.compiled import CompiledMetric
from metricc.derive import derive
from metricc.emit.torch import render
from metricc.errors import Diagnostic, MetriccError, fail, reason
from metricc.imports import imports
from metricc.lower import lower
from metricc.parse import read
from metricc.resolve import Imported, settle
from metricc.save import record
from metricc.simplify import simplify
from metricc.sources import Source, source
from metricc.version import __version__

CHOICES = {"target": ("torch",), "task": ("binary",), "per": ("batch",)}


def analyse(formula: str | Path | Source, name: str | None = None) -> tuple[ir.Program, ir.Audit]:
    """A formula's derivatives and what they mean; nothing is emitted.

    `formula` is text of the metric language, a library name, or a `Path` of a .metric file. Raises
    `MetriccError` for every error of the user's, and where the work takes too long.
    """
    return bounded(lambda: _analysed(source(formula), name))


def _analysed(given: Source, name: str | None) -> tuple[ir.Program, ir.Audit]:
    text = read(given.text, given.origin)
    known = library.definitions()
    settled = settle(text, known, _imported(text, given.path))
    # What is recorded in the generated file stands by itself.
    recorded = str(settled) if text.imports else given.text
    metric = lower(settled, name or _name(text, settled), recorded)
    program = simplify(derive(metric))
    return program, audit(program)


def _imported(text: syntax.Text, path: Path | None) -> Imported:
    try:
        return imports(text, path, library.definitions())
    except MetriccError as error:
        raise MetriccError(*text.diagnostics, *error.diagnostics) from None


def compile(
    formula: str | Path | Source,
    *,
    name: str | None = None,
    target: str = "torch",
    task: str = "binary",
    surrogate: str = "amplified",
    per: str = "batch",
    from_probabilities: bool = False,
    maximize: bool = False,
    minimize: bool = False,
) -> CompiledMetric:
    """Compile a metric formula to a PyTorch loss.

    `formula` is text of the metric language ("2*TP / (2*TP + FP + FN)"), a library name ("mcc")
    or a `Path` of a .metric file. `name` names the loss (default: the metric's own name);
    `surrogate` is "amplified", "soft", "score_oriented(uniform)", "score_oriented(cosine)" or
    "heaviside", each also with other defaults ("amplified(L=73)"); `from_probabilities` says that
    inputs are probabilities rather than logits; `maximize` or `minimize` is needed for a metric
    that is neither a score nor an error rate. Raises `MetriccError` with every diagnostic.
    """
    chosen = {"target": target, "task": task, "per": per}
    for option, value in chosen.items():
        _choice(option, value, CHOICES[option])
    soft = str(surrogates.surrogate(surrogate))
    if maximize and minimize:
        raise fail("MC0501", "a metric is maximized or minimized, not both", "give one of the two")
    if name is not None:
        _identifier(name)

    def work() -> CompiledMetric:
        program, findings = analyse(formula, name)
        goal = _goal(program, findings, maximize, minimize)
        options = ir.Options(program.metric.name, task, per, soft, from_probabilities, goal)
        text = render(program, findings, options, __version__)
        remarks = (*program.metric.text.diagnostics, *_warnings(findings, options))
        return CompiledMetric(program, findings, options, text, remarks)

    return bounded(work)


def verify_file(path: Path) -> ir.Report:
    """Re-derive a generated file from its record and test the code as it stands in the file.

    The file is executed. Raises `MetriccError` where it cannot be read or has no record.
    """
    from metricc.verify import check_source

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        fact = f"cannot read {path}: {reason(error)}"
        raise fail("MC0503", fact, "give a generated file") from None
    found = record(text)
    formula = None if found is None else found.get("formula")
    if found is None or not isinstance(formula, str):
        hint = "give a file that `metricc compile` wrote"
        raise fail("MC0505", f"{path} has no METRICC record", hint)
    fresh = compile(formula, **_options(found))
    return check_source(text, fresh.source, fresh.program, fresh.options)


def _options(found: dict[str, Any]) -> dict[str, Any]:
    options = found.get("options")
    if not isinstance(options, dict):
        raise fail("MC0505", "the METRICC record has no options", "compile the file anew")
    options = dict(options)
    goal = options.pop("goal", "maximize")
    try:
        return {
            k: options[k] for k in ("name", "task", "per", "surrogate", "from_probabilities")
        } | {"minimize" if goal == "minimize" else "maximize": True}
    except KeyError as missing:
        fact = f"the METRICC record lacks the option {missing}"
        raise fail("MC0505", fact, "compile the file anew") from None


def _name(text: syntax.Text, resolved: syntax.Text) -> str:
    """The metric's own name: the one that the text is or ends in, else "metric"."""
    if text.metric is None:
        name = resolved.definitions[-1].name
        return f"{name}_" if keyword.iskeyword(name) else name
    if isinstance(text.metric.body, syntax.Name):
        return text.metric.body.id
    return "metric"


def _goal(program: ir.Program, findings: ir.Audit, maximize: bool, minimize: bool) -> str:
    if not findings.depends:
        hint = "a loss needs a metric that TP and FN, or FP and TN, change differently"
        fact = f"no prediction changes {program.metric.name}"
        raise fail("MC0302", fact, hint)
    if maximize or minimize:
        return "minimize" if minimize else "maximize"
    if findings.direction == "mixed":
        hint = "pass --maximize or --minimize (maximize=True or minimize=True)"
        fact = f"{program.metric.name} is neither a score nor an error rate: a more correct "
        raise fail("MC0303", fact + "prediction raises it in places and lowers it in others", hint)
    return "maximize" if findings.direction == "score" else "minimize"


def _warnings(findings: ir.Audit, options: ir.Options) -> tuple[Diagnostic, ...]:
    """What training on this loss will probably not do."""
    found = []
    if findings.degenerate:
        fact = f"predicting {findings.degenerate} already reaches the best {options.name}"
        hint = "combine it with a metric that punishes that, as f1 combines precision and recall"
        found.append(Diagnostic("MC0305", fact, hint=hint, origin=""))
    proved = {"score": "maximize", "error rate": "minimize"}.get(findings.direction)
    if proved is not None and proved != options.goal:
        kind = "a score" if proved == "maximize" else "an error rate"
        fact = f"{options.name} is {kind}, and is {options.goal}d here"
        hint = f"leave --{options.goal} out: it is {proved}d by itself"
        found.append(Diagnostic("MC0306", fact, hint=hint, origin=""))
    return tuple(found)


def _choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = f"choose {' or '.join(choices)}"
        raise fail("MC0501", f"{option} cannot be {value!r}", hint)


def _identifier(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", str(name)) or keyword.iskeyword(name):
        hint = (
            "pass --name (name=...): letters, digits and _, first a letter, such as f1 or my_metric"
        )
        raise fail("MC0502", f"{name!r} cannot be the name of a loss", hint)
