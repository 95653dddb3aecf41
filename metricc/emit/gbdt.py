"""ir.Plan → a standalone NumPy file: an objective for gradient boosting (NumPy alone).

The text is put together from fragments with holes: `gbdt_file`, and with classes `gbdt_table`.
The scalar functions are the same straight-line code as in a loss.
"""

from __future__ import annotations

from metricc import ir
from metricc.emit import gbdt_file as file
from metricc.emit import gbdt_table as table
from metricc.emit.gbdt_header import docstring
from metricc.emit.python import fold
from metricc.emit.torch_arguments import arguments, positional
from metricc.emit.torch_file import RECORD_LINE, absent_default, fill
from metricc.emit.torch_header import WIDTH
from metricc.emit.torch_parts import bodies, closure, recorded, reductions
from metricc.emit.torch_table import LEVELS
from metricc.errors import MetriccError, fail
from metricc.functions import CELLS
from metricc.save import with_record
from metricc.surrogates import Surrogate

# What functions of the file that take the metric's parameters call their own.
NAMES = frozenset(
    "a arguments b curve dict first g grad hess metric minus np objective plus pull q raw_score "
    "reach result sample_weight second side slope steep top v wrong y".split()
)
OPTIONS = ("target", "name", "task", "surrogate", "goal")  # that are recorded
SURROGATES = {"binary": ("soft", "amplified"), "multiclass": ("soft",)}


def render(
    plan: ir.Plan, audit: ir.Audit, options: ir.Options, surrogate: Surrogate, version: str
) -> str:
    """The text of the generated file. The same arguments always give the same bytes.

    Raises `MetriccError` for what boosters have no place for.
    """
    _check(plan, options, surrogate)
    several = options.task == "multiclass"
    scalars, called = bodies(plan, reductions(plan))
    if several:
        scalars = _with_levels(plan, scalars)
        called |= {name for level in plan.levels for name in _calls(LEVELS[level])}
    loss = next((term.symbol.name for term in plan.metric.elements), "")
    called |= {"_ratio"} if loss else set()
    holes = _holes(plan, options, surrogate, loss)
    holes |= {name: "\n".join(f"    {line}" for line in lines) for name, lines in scalars.items()}
    text = fill(file.HEAD, holes) + fill(file.CLASSES if several else file.BINARY, holes)
    text += fill(file.ADAPTER, holes) + file.CHECKED[options.task]
    text += fill(file.FINITE, holes)
    text += file.MEANS[loss] if loss else ""
    text += file.COUNTS[options.task] + (file.SOFTMAX if several else file.PRESENT + file.SIGMOID)
    text += "" if several else file.SOFT[surrogate.name]
    text += file.CUT if surrogate.centre else ""
    used = closure(called, table.FUNCTIONS)
    text += "".join(function for name, (function, _) in table.FUNCTIONS.items() if name in used)
    text += "".join(function for name, function in file.GUARDS.items() if name in used)
    text = text.replace("<<math>>", "import math\n\n" if "math." in text else "")
    text = text.replace("<<docstring>>", docstring(plan, audit, options, surrogate, version))
    text = "\n".join(fold(line, WIDTH) for line in text.split("\n"))
    return with_record(text, RECORD_LINE, recorded(plan, options, OPTIONS, version))


def _check(plan: ir.Plan, options: ir.Options, surrogate: Surrogate) -> None:
    """Raise `MetriccError` for what boosters have no place for."""
    metric = plan.metric
    reductions = {term.reduction for term in metric.tables}
    if options.task not in SURROGATES:
        hint = "compile the binary task and boost one model a label"
        raise _refused(f"boosters have no {options.task} task in common", hint)
    if options.from_probabilities:
        raise _refused("boosters hand over raw scores", "leave from_probabilities out")
    if options.per == "sample" or metric.by_sample:
        raise _refused("rows of a table have no tables of their own", "take the batch's metric")
    if "per_class" in reductions:
        hint = "average: macro(...) in place of per_class(...)"
        raise _refused(f"{metric.name} is one number for each class", hint)
    if other := [n for t in metric.elements if (n := str(t.expression.func)) not in file.ELEMENTS]:
        hint = (
            f"use {'ce' if options.task == 'multiclass' else 'bce'}, or boost on the metric alone"
        )
        raise _refused(f"the objective has no element loss {other[0]}", hint)
    if metric.columns:
        hint = "pass the column as weight, where it weighs all cells alike; or target torch"
        raise _refused(f"boosters pass no columns ({', '.join(metric.columns)})", hint)
    if hidden := NAMES & {parameter.name for parameter in metric.parameters}:
        name = min(hidden)
        raise fail("MC0207", f"`{name}` is a name of the generated file", f"call it `{name}_`")
    known = SURROGATES[options.task]
    if surrogate.name not in known or surrogate.hard or surrogate.averaged:
        hint = f"choose {' or '.join(known)} (--surrogate)"
        raise _refused(f"there is no objective of {surrogate} for the {options.task} task", hint)


def _refused(fact: str, hint: str) -> MetriccError:
    return fail("MC0513", fact, hint)


def _holes(plan: ir.Plan, options: ir.Options, surrogate: Surrogate, loss: str) -> dict[str, str]:
    """What the fragments lack, scalar functions aside; `loss` is the element loss or empty."""
    metric, name = plan.metric, options.name
    own = arguments(metric.parameters, surrogate)
    soft = [f"{n}={value}" for n, value, _ in surrogate.arguments]
    given = sorted([*map(positional, metric.parameters), *soft], key=lambda text: "=" in text)
    names = [text.partition("=")[0] for text in given]
    several = options.task == "multiclass"
    levels = ["class_weight=None"] * (not plan.margins) + ["absent=None", "smooth=0.0"]
    variables = [*CELLS, *[loss] * bool(loss)]
    signature = [*variables, *map(positional, metric.parameters), *(levels if several else [])]
    functions = "decide gradient initial_score loss metric objective value weights".split()
    maximized = options.goal == "maximize"
    sign = "-" if maximized else ""
    centred = bool(surrogate.centre)
    return {
        "docstring": "<<docstring>>",
        "math": "<<math>>",
        "name": name,
        "pascal": options.pascal,
        "all": ", ".join(f'"{n}"' for n in [f"{options.pascal}Objective", *functions]),
        "signature": ", ".join(signature),
        "variables": f"{', '.join(variables[:-1])} and {variables[-1]}",
        "and_loss": f", then the derivative in {loss}" if loss else "",
        "and_steep": ", steep" if loss else "",
        "mean": ", _mean_loss(y, z, v)" if loss else "",
        "element": file.ELEMENTS[loss].replace("<<sign>>", sign) if loss else "",
        "scores_shape": "(n, C)" if several else "(n,)",
        "dimensions": "2" if several else "1",
        "counts": " of shape (..., classes)" if several else "",
        "ranges": own["ranges"],
        "require": own["require"],
        "require_in_class": own["require_in_module"],
        "parameters": own["parameters"],
        "soft_args": own["soft_args"],
        "keywords": f", *, {', '.join(given)}" if given else "",
        "arguments": f"dict({', '.join(f'{n}={n}' for n in names)})" if names else "{}",
        "cut_keywords": f", *, threshold={surrogate.defaults['threshold']}" if centred else "",
        "cut": "_cut(threshold)" if centred else "0.0",
        "cut_words": file.CUT_WORDS[surrogate.name],
        "sign": sign,
        "direction": "1 - " if maximized else "",
        "goal": f"1 - {name}" if maximized else name,
        "cost_name": f"1-{name}" if maximized else name,
        "higher": str(maximized),
        "absent": absent_default(options.task, "joint" in plan.levels),
    }


def _with_levels(plan: ir.Plan, scalars: dict[str, list[str]]) -> dict[str, list[str]]:
    """The lines that bring the counts to each level, before those that compute on them."""
    share, before = "None" if plan.margins else "class_weight", []
    for level in plan.levels:
        suffix = f"_{level}" if len(plan.levels) > 1 else ""
        names = ", ".join(f"{n}{suffix}" for n in (*CELLS, "share", "counted"))
        before.append(f"{names} = {LEVELS[level].format(cells=', '.join(CELLS), share=share)}")
    *lines, last = scalars["value"]
    value = [*lines, f"result = {last.removeprefix('return ')}", "return result.squeeze(-1)"]
    return {name: [*before, *code] for name, code in {**scalars, "value": value}.items()}


def _calls(text: str) -> set[str]:
    return {name for name in table.FUNCTIONS if f"{name}(" in text}
