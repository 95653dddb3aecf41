"""The pipeline, once: stages meet only in the data types of `syntax` and `ir`.

stage       from               to                what it does
source      argument           Source            a text, its file, its name in diagnostics
read        text               syntax.Text       statements, each with its place
imports     syntax.Text        Imported          definitions of other files
settle      syntax.Text        syntax.Text       names, parameters, the library
averaged    syntax.Text        syntax.Text       macro(...) where a task has classes
lower       syntax.Text        ir.Metric         SymPy over cells and parameters; all errors
derive      ir.Metric          ir.Gradient       raw partials, of each term and of what joins them
simplify    ir.Gradient        ir.Program        best forms, proofs, shared code
compose     ir.Programs        ir.Plan           the whole loss, of one table or of one a class
audit       ir.Plan            ir.Audit          direction, degeneracy
render      Plan, Audit        source text       one standalone file
verify      source, Plan       ir.Report         measured against allowed
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Any

from metricc import ir, library, surrogates, syntax
from metricc.audit import audit
from metricc.audit.subject import Subject
from metricc.averaging import averaged
from metricc.bounded import bounded
from metricc.compiled import CompiledMetric
from metricc.compose import compose
from metricc.curve import curve
from metricc.derive import derive
from metricc.emit import gbdt, torch, triton
from metricc.errors import Diagnostic, MetriccError, fail, reason
from metricc.functions import ELEMENTWISE, TASKS
from metricc.imports import imports
from metricc.lower import lower
from metricc.parse import read
from metricc.resolve import Imported, settle
from metricc.save import record
from metricc.simplify import simplify
from metricc.sources import Source, source
from metricc.version import __version__

TARGETS = {"torch": torch.render, "triton": triton.render, "gbdt": gbdt.render}
CHOICES = {"target": tuple(TARGETS), "task": TASKS, "per": ("batch", "sample")}


def analyse(
    formula: str | Path | Source, name: str | None = None, task: str = "binary"
) -> tuple[ir.Plan, ir.Audit]:
    """A formula's derivatives and what they mean; nothing is emitted.

    `formula` is text of the metric language, a library name, or a `Path` of a .metric file. Raises
    `MetriccError` for every error of the user's, and where the work takes too long.
    """
    _choice("task", task, TASKS)
    return bounded(lambda: _analysed(source(formula), name, task))


def _analysed(given: Source, name: str | None, task: str) -> tuple[ir.Plan, ir.Audit]:
    text = read(given.text, given.origin)
    settled = settle(text, library.definitions(), _imported(text, given.path), task)
    # What is recorded in the generated file stands by itself.
    recorded = str(settled) if text.imports else given.text.strip()
    sound = not any(d.severity == "error" for d in settled.diagnostics)
    settled = averaged(settled) if task != "binary" and sound else settled
    metric = lower(settled, name or _name(text, settled), recorded, task)
    programs = [simplify(derive(metric.of_table(term))) for term in metric.tables]
    alone = metric.single or metric.outer == metric.tables[0].symbol
    outer = None if alone else simplify(derive(metric))
    plan = compose(metric, programs, outer)
    return plan, audit(plan)


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
    surrogate: str | None = None,
    per: str = "batch",
    from_probabilities: bool = False,
    maximize: bool = False,
    minimize: bool = False,
) -> CompiledMetric:
    """Compile a metric formula to a PyTorch loss, or to an objective for gradient boosting.

    `formula` is text of the metric language ("2*TP / (2*TP + FP + FN)"), a library name ("mcc")
    or a `Path` of a .metric file. `name` names the loss (default: the metric's own name); `task` is
    "binary" (inputs of any shape), "multilabel" or "multiclass" (inputs of shape (N, C, ...));
    `per` is what one confusion matrix counts: the "batch", or each "sample". `target` is "torch",
    "triton" for the same with Triton kernels for CUDA tensors in it, or "gbdt" for a NumPy file in
    the conventions of LightGBM and XGBoost. `surrogate` is
    "amplified" (the default), "soft" (that of multiclass and "gbdt"), "score_oriented(uniform)",
    "score_oriented(cosine)", "heaviside" or "straight_through", each also with other defaults
    ("amplified(L=73)"), or a formula in p or z; `from_probabilities` says that inputs are
    probabilities rather than logits; `maximize` or `minimize` is needed for a metric that is
    neither a score nor an error rate. Raises `MetriccError` with every diagnostic.
    """
    chosen = {"target": target, "task": task, "per": per}
    for option, value in chosen.items():
        _choice(option, value, CHOICES[option])
    if maximize and minimize:
        raise fail("MC0501", "a metric is maximized or minimized, not both", "give one of the two")
    if name is not None:
        _identifier(name)

    def work() -> CompiledMetric:
        usual = surrogates.default(task, target)
        soft = _surrogate(usual if surrogate is None else str(surrogate))
        plan, findings = analyse(formula, name, task)
        goal = _goal(plan, findings, maximize, minimize)
        metric = plan.metric
        options = ir.Options(metric.name, task, per, str(soft), from_probabilities, goal, target)
        _check_surrogate(soft, plan, options)
        text = TARGETS[target](plan, findings, options, soft, __version__)
        remarks = (*metric.text.diagnostics, *_warnings(findings, options))
        return CompiledMetric(plan, findings, options, soft, text, remarks)

    return bounded(work)


def _surrogate(text: str) -> surrogates.Surrogate:
    return curve(text) if surrogates.is_formula(text) else surrogates.surrogate(text)


def _check_surrogate(soft: surrogates.Surrogate, plan: ir.Plan, options: ir.Options) -> None:
    """Raise `MetriccError` where the surrogate does not go with the metric or the options."""
    metric = plan.metric
    if "joint" in plan.levels and not soft.sums_to_one:
        fact = f"sums over classes of `{soft.name}` are no counts: its classes do not sum to 1"
        hint = "use soft or straight_through (--surrogate), or average: macro(...)"
        raise fail("MC0307", fact, hint)
    if metric.by_sample and options.per == "sample":
        hint = 'leave per="sample" (--per) out, or write the metric without samples(...)'
        raise fail("MC0501", "samples(...) has a table for each sample already", hint)
    logits = options.task != "multiclass" and not options.from_probabilities
    if soft.curve is not None and soft.curve.variable == "z" and not logits:
        hint = "write the surrogate in p"
        raise fail("MC0501", "there are no logits z of single elements here", hint)
    if metric.columns and options.per == "sample":
        fact = f"the column `{metric.columns[0]}` is for the table of a batch"
        raise fail("MC0218", fact, 'leave per="sample" (--per) out')
    if taken := {f"{options.name}_loss", f"{options.pascal}Loss"} & set(metric.columns):
        raise fail("MC0216", f"`{min(taken)}` is a name of the generated file", "rename the column")
    used = {s.name for t in metric.elements for s in t.expression.free_symbols}
    if hidden := sorted(used & ELEMENTWISE):
        fact = f"`{hidden[0]}` is a name of the generated file"
        raise fail("MC0207", fact, f"choose another name, such as `{hidden[0]}_` or `gamma`")
    arguments = {*metric.columns, *(p.name for p in metric.parameters)}
    if clash := arguments & set(soft.defaults):
        fact = f"`{min(clash)}` is an argument of the metric and of the surrogate"
        raise fail("MC0501", fact, "rename it in the surrogate's head")


def subject(
    formula: str | Path | Source,
    *,
    task: str = "binary",
    surrogate: str | None = None,
    per: str = "batch",
    prevalence: float = 0.1,
) -> Subject:
    """A formula as `audit.findings.examine` takes it; one that no loss can be made of, too.

    The options are those of `compile`; `prevalence` is the share of positives of simulated
    batches, in (0, 1). Raises `MetriccError` as `compile` does, and for another prevalence.
    """
    _choice("task", task, TASKS)
    _choice("per", per, CHOICES["per"])

    def work() -> Subject:
        soft = _surrogate(surrogates.default(task, "torch") if surrogate is None else surrogate)
        plan, findings = analyse(formula, task=task)
        goal = "minimize" if findings.direction == "error rate" else "maximize"
        options = ir.Options(plan.metric.name, task, per, str(soft), goal=goal)
        _check_surrogate(soft, plan, options)
        return Subject(plan, findings, options, soft, prevalence)

    return bounded(work)


def verify_file(path: Path) -> ir.Report:
    """Re-derive a generated file from its record and test the code as it stands in the file.

    The file is executed. Raises `MetriccError` where it cannot be read or has no record.
    """
    from metricc.verify import check_source

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        fact = f"cannot read {path}: {reason(error)}"
        raise fail("MC0503", fact, "give a generated file") from None
    found = record(text)
    formula = None if found is None else found.get("formula")
    if found is None or not isinstance(formula, str):
        hint = "give a file that `metricc compile` wrote"
        if re.search(r"Made\s+by\s+metricc", text):
            hint = "restore its METRICC line, or compile the formula again"
        raise fail("MC0505", f"{path} has no METRICC record", hint)
    fresh = compile(formula, **_options(found))
    return check_source(text, fresh.source, fresh.plan, fresh.options, fresh.surrogate, path)


def _options(found: dict[str, Any]) -> dict[str, Any]:
    options = found.get("options")
    if not isinstance(options, dict):
        raise fail("MC0505", "the METRICC record has no options", "compile the file anew")
    options = dict(options)
    goal = options.pop("goal", "maximize")
    try:
        wanted = ["name", "task", "surrogate"]
        if "target" in options:
            wanted.append("target")
        if options.get("target") != "gbdt":
            wanted += ["per", "from_probabilities"]
        return {k: options[k] for k in wanted} | {
            "minimize" if goal == "minimize" else "maximize": True
        }
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


def _goal(plan: ir.Plan, findings: ir.Audit, maximize: bool, minimize: bool) -> str:
    if not findings.depends and plan.metric.elements:
        losses = ", ".join(term.symbol.name for term in plan.metric.elements)
        hint = "torch has that loss; add a metric: 0.5*bce + 0.5*(1 - f1)"
        raise fail("MC0302", f"there is no confusion matrix in this formula, only {losses}", hint)
    if not findings.depends:
        hint = "a loss needs a metric that TP and FN, or FP and TN, change differently"
        fact = f"no prediction changes {plan.metric.name}"
        raise fail("MC0302", fact, hint)
    if maximize or minimize:
        return "minimize" if minimize else "maximize"
    if findings.direction == "mixed":
        hint = "pass --maximize or --minimize (maximize=True or minimize=True)"
        fact = f"{plan.metric.name} is neither a score nor an error rate: a more correct "
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
