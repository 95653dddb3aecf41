"""ir.Plan → a standalone PyTorch loss file (standard library and torch only).

The text is put together from fragments with holes: `torch_file` (what every file has),
`torch_single` (a loss of one table), `torch_columns` (what columns add to it), `torch_table` and
`torch_table_passes` (losses of several tables), `torch_kernel` (how a file finds its built kernel),
`torch_soft` (surrogates), `torch_elements` and `torch_guards` (functions that are called).
Every hole must have a value and every value a hole. Text of the user's (formula, record) is made
harmless before it goes near a docstring.
"""

from __future__ import annotations

from typing import Any

from metricc import ir
from metricc.emit import c, torch_columns, torch_kernel, torch_soft
from metricc.emit import torch_file as file
from metricc.emit import torch_single as single
from metricc.emit.python import fold
from metricc.emit.torch_arguments import arguments
from metricc.emit.torch_header import WIDTH, docstring
from metricc.emit.torch_parts import Elements, bodies, head, listed_guards, recorded
from metricc.emit.torch_tables import of_tables
from metricc.save import with_record
from metricc.surrogates import Surrogate

# That are recorded.
OPTIONS = ("name", "task", "per", "surrogate", "from_probabilities", "goal")


def render(
    plan: ir.Plan, audit: ir.Audit, options: ir.Options, surrogate: Surrogate, version: str
) -> str:
    """The text of the generated file. The same arguments always give the same bytes."""
    words = docstring(plan, audit, options, surrogate, version)
    return finished(
        text_of(plan, options, surrogate), words, recorded(plan, options, OPTIONS, version)
    )


def text_of(plan: ir.Plan, options: ir.Options, surrogate: Surrogate) -> str:
    """The text of the file but for its docstring, its record and the folding of long lines."""
    if plan.metric.single and options.per == "batch":
        return _of_one_table(plan, options, surrogate)
    return of_tables(plan, options, surrogate)


def finished(text: str, words: str, record: dict[str, Any]) -> str:
    """A file with its docstring and its record, long lines folded."""
    text = text.replace("<<docstring>>", words)
    text = "\n".join(fold(line, WIDTH) for line in text.split("\n"))
    return with_record(text, file.RECORD_LINE, record)


def _of_one_table(plan: ir.Plan, options: ir.Options, surrogate: Surrogate) -> str:
    """The file of a loss over one table a batch."""
    entry = torch_soft.PROBABILITIES if options.from_probabilities else torch_soft.LOGITS
    soft = torch_soft.soft(surrogate, entry)
    metric = plan.metric
    elements = Elements(metric, entry)
    scalars, called = bodies(plan, {})
    own = arguments(metric.parameters, surrogate, elements.parameters)
    more = torch_columns.holes(metric)
    own["finish_args"] = own["loss_args"] + more["columns"]
    for name in ("count_args", "own_count_args"):
        own[name] += more["columns"]
    sign = "-" if options.goal == "maximize" else ""
    scale, flipped = sign + soft.scale, ("" if sign else "-") + soft.scale
    part = torch_columns if metric.columns else single
    scalars_of = part.SCALARS_WITH_ELEMENTS if elements else part.SCALARS
    fragments = [file.HEAD, file.COUNTS, single.SCALAR, file.SETTLED]
    fragments += [torch_columns.PRESENT if metric.columns else file.PRESENT]
    fragments += [torch_columns.AMOUNTS] * bool(metric.columns)
    fragments += [single.PASSES, single.LOSSES if elements else ""]
    built = not elements and not metric.columns and c.covers(surrogate, entry)
    fragments += [torch_kernel.BUILT, torch_kernel.ONE_TABLE] * built
    weights_end = len(ir.weights_of(metric))
    columns = ", columns" if metric.columns else ""
    known = {
        **head(plan, options, scalars, ""),
        **own,
        **more,
        "block": "32_768",
        "input": "probabilities" if options.from_probabilities else "logits",
        "direction": "1 - " if options.goal == "maximize" else "",
        "scale": scale,
        "flipped": flipped,
        "scale_of": scale.removesuffix(" * ") if soft.scale else f"{sign}1",
        "flipped_of": flipped.removesuffix(" * ") if soft.scale else f"{'' if sign else '-'}1",
        "sign": sign,
        "if_wanted": "",
        "bound": file.BOUND if surrogate.curve else "",
        "bound_in_place": file.BOUND_IN_PLACE if surrogate.curve else "",
        "known": (torch_columns.KNOWN if metric.columns else KNOWN) if surrogate.hard else "",
        "pair_args": own["store"],
        "soft": soft.text,
        "soft_block": soft.block,
        "clone": ".clone()" if soft.aliased else "",
        "settled_args": own["count_args"],
        "sum_args": own["count_args"].removesuffix(columns) + (", cs" if columns else ""),
        "counts_size": f"({len(metric.cells) + len(elements)},)",
        "four": f"[:{len(metric.cells)}]" if elements else "",
        "losses_from": f"[{len(metric.cells)}:]",
        "weights_end": str(weights_end),
        "the_counts": "The counts, in their order"
        if metric.columns
        else f"TP, FN, FP, TN{' and the sums of element losses' if elements else ''}",
        "element_losses": f"    losses = {elements.calls('z, y')}\n" if elements else "",
        "element_sums": ELEMENT_SUMS if elements else "",
        "element_calls": elements.calls("z, y"),
        "finish_input": "input, " if elements else "",
        "finish_z": "z, " if elements else "",
        "and_rest": ", *slopes" if elements else "",
        "by_kernel": torch_kernel.FIRST if built else "",
        **_sides(metric, weights_end),
        "map_losses": f" + _losses(z, y, weight, slopes{own['loss_args']})" if elements else "",
        "finish_losses": FINISH_LOSSES.format(own["loss_args"]) if elements else "",
    }
    known["scalars"] = file.fill(scalars_of, known)
    known["summed_at_once"] = file.fill(SUMMED_AT_ONCE, known)
    known["summed"] = f"_count(input, target, weight{own['count_args']})"
    text = "".join(file.fill(fragment, known) for fragment in fragments)
    tools = file.fill(file.TOOLS, {"policy_arguments": "", "policy_checks": ""})
    called |= soft.guards | ({"_ratio"} if elements else set())
    text += file.KNOWN if surrogate.hard else ""
    text += elements.text + tools + listed_guards(called)
    modules = ["math"] * (soft.math or "math." in text) + [*torch_kernel.IMPORTS] * built
    imports = "".join(f"import {name}\n" for name in sorted(modules))
    return text.replace("<<math>>", f"{imports}\n" if imports else "")


def _sides(metric: ir.Metric, weights_end: int) -> dict[str, str]:
    """What gives the derivatives at a positive and at a negative of `pair`."""
    if not metric.columns:
        return {"sides_of_pair": "pair", "sides_of_block": "pair"}
    found = {}
    for name, columns, dtype in (("pair", "columns", "y"), ("block", "cs", "s")):
        part = "pair" if not metric.elements else f"pair[:{weights_end}]"
        sides = f"_sides({columns}, {dtype}.dtype, *{part})"
        rest = f", *pair[{weights_end}:]" if metric.elements else ""
        found[f"sides_of_{name}"] = f"(*{sides}{rest})" if rest else sides
    return found


KNOWN = "    w_plus, w_minus = _known(w_plus), _known(w_minus)\n"
ELEMENT_SUMS = """
    sums += tuple(l.sum() if v is None else torch.dot(l, v) for l, _ in losses)"""
SUMMED_AT_ONCE = """\
        if _at_once(input, target, weight):
            counts, _ = _over_blocks(input, target, weight, False<<settled_args>>)
            return _tensor(counts, input)
"""
FINISH_LOSSES = """
        s.add_(_losses(_as(z, s.dtype), _as(y, s.dtype), v, slopes{}))"""
