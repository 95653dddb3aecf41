"""ir.Plan → a standalone PyTorch loss file (standard library and torch only).

The text is put together from fragments with holes: `torch_file` (what every file has, and a loss
of one table), `torch_columns` (what columns add to it), `torch_table` (losses of several tables),
`torch_soft` (surrogates), `torch_elements` and `torch_guards` (functions that are called).
Every hole must have a value and every value a hole. Text of the user's (formula, record) is made
harmless before it goes near a docstring.
"""

from __future__ import annotations

from metricc import ir
from metricc.emit import torch_columns, torch_soft
from metricc.emit import torch_file as file
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
    if plan.metric.single and options.per == "batch":
        text = _of_one_table(plan, options, surrogate)
    else:
        text = of_tables(plan, options, surrogate)
    text = text.replace("<<docstring>>", docstring(plan, audit, options, surrogate, version))
    text = "\n".join(fold(line, WIDTH) for line in text.split("\n"))
    return with_record(text, file.RECORD_LINE, recorded(plan, options, OPTIONS, version))


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
    scale = sign + soft.scale
    fragments = [file.HEAD, file.COUNTS, file.SCALAR, file.SETTLED]
    if metric.columns:
        pair = torch_columns.PAIR_WITH_ELEMENTS if elements else torch_columns.PAIR
        fragments += [torch_columns.PRESENT, torch_columns.AMOUNTS, pair]
    else:
        pair = file.SCALAR_PAIR_WITH_ELEMENTS if elements else file.SCALAR_PAIR
        fragments += [file.PRESENT, pair]
    fragments += [file.SCALAR_MAP, file.LOSSES if elements else ""]
    counted = f"_count(input, target, weight, None{own['count_args']})"
    known = {
        **head(plan, options, scalars, ""),
        **own,
        **more,
        "input": "probabilities" if options.from_probabilities else "logits",
        "direction": "1 - " if options.goal == "maximize" else "",
        "policy_in_module": "        _policy(absent, smooth, label_smoothing)\n",
        "scale": scale,
        "sign": sign,
        "if_wanted": "",
        "bound": file.BOUND if surrogate.curve else "",
        "bound_in_place": file.BOUND_IN_PLACE if surrogate.curve else "",
        "known": (torch_columns.KNOWN if metric.columns else KNOWN) if surrogate.hard else "",
        "pair_args": own["store"],
        "soft": soft.text,
        "settled_args": own["count_args"],
        "counts_size": f"({len(metric.cells) + len(elements)},)",
        "summed": f"torch.stack([_tensor(x, input) for x in {counted}])",
        "four": f"[:{len(metric.cells)}]" if elements else "",
        "weights_end": str(len(ir.weights_of(metric))),
        "means": ", *_means(counts)" if elements else "",
        "the_counts": "The counts, in their order"
        if metric.columns
        else f"TP, FN, FP, TN{' and the sums of element losses' if elements else ''}",
        "element_losses": f"        losses = {elements.calls('z, y')}\n" if elements else "",
        "element_sums": ELEMENT_SUMS if elements else "",
        "element_calls": elements.calls("z, y"),
        "finish_input": "input, " if elements else "",
        "finish_z": "z, " if elements else "",
        "map_losses": f" + _losses(z, y, weight, pair{own['loss_args']})" if elements else "",
        "finish_losses": f"\n        s.add_(_losses(z, y, v, pair{own['loss_args']}))"
        if elements
        else "",
    }
    known["apply"] = file.fill(more["apply"], known)
    text = "".join(file.fill(fragment, known) for fragment in fragments)
    tools = file.fill(file.TOOLS, {"policy_arguments": "", "policy_checks": ""})
    called |= soft.guards | ({"_ratio"} if elements else set())
    text += file.KNOWN if surrogate.hard else ""
    text += elements.text + tools + listed_guards(called)
    return text.replace("<<math>>", "import math\n\n" if soft.math or "math." in text else "")


KNOWN = "    w_plus, w_minus = _known(w_plus), _known(w_minus)\n"
ELEMENT_SUMS = """
        sums += tuple(l.sum() if v is None else torch.dot(l, v.to(dtype)) for l, _ in losses)"""
