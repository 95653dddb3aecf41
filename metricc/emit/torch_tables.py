"""The file of a loss over several tables: the fragments of `torch_table`, chosen and filled."""

from __future__ import annotations

import re
from dataclasses import dataclass

from metricc import ir
from metricc.emit import c, torch_kernel, torch_soft
from metricc.emit import torch_file as file
from metricc.emit import torch_guards as guards
from metricc.emit import torch_table as table
from metricc.emit import torch_table_labels as labels
from metricc.emit import torch_table_passes as passes
from metricc.emit.torch_arguments import arguments
from metricc.emit.torch_header import WIDTH
from metricc.emit.torch_parts import (
    Elements,
    bodies,
    closure,
    head,
    listed_guards,
    reductions,
)
from metricc.functions import CELLS
from metricc.surrogates import Surrogate

KNOWN = "    plus, minus = (_known(torch.as_tensor(w)) for w in (plus, minus))\n"
PROCESS_GROUP = '"torch.distributed.ProcessGroup | str | None" = None'


@dataclass(frozen=True)
class _Shape:
    """What the tables are: one a class, one a sample, or one for each class of each sample."""

    classes: bool  # the input has a dimension of classes
    softmax: bool
    rows: bool  # counts are kept by sample
    vector: bool  # there are several losses, which `reduction` brings together
    each: bool  # ... one a class
    pooled: bool  # the mean over samples is the metric's own
    weighed: bool  # classes may count differently

    @property
    def kind(self) -> str:
        if self.pooled:
            return "samples"
        return "classes" if self.classes else "binary"

    @property
    def slice(self) -> str:
        return "sample" if self.pooled or not self.classes else "class"


def of_tables(plan: ir.Plan, options: ir.Options, surrogate: Surrogate) -> str:
    """The text of the file, but for its docstring."""
    metric = plan.metric
    each = any(term.reduction == "per_class" for term in metric.tables)
    shape = _Shape(
        options.task != "binary",
        options.task == "multiclass",
        options.per == "sample" or metric.by_sample,
        options.per == "sample" or each,
        each,
        metric.by_sample,
        options.task != "binary" and not plan.margins,
    )
    entry = torch_soft.PROBABILITIES if options.from_probabilities else torch_soft.LOGITS
    entry = torch_soft.SOFTMAX if shape.softmax else entry
    soft = torch_soft.soft(surrogate, entry)
    given = shape.softmax and options.from_probabilities
    elements = Elements(metric, f"{entry} given" if given else entry)
    scalars, called = bodies(plan, reductions(plan))
    by_label = shape.softmax and not given and not elements and surrogate.name == "soft"
    by_label = by_label and not surrogate.hard
    uses_tn = re.search(r"\bTN\b", "\n".join(scalars["value"] + scalars["weights"])) is not None
    # The kernel takes TN for what is left of the negatives.
    built = c.covers(surrogate, entry) and not (shape.rows or elements or given)
    built = built and not (shape.softmax and uses_tn)
    scalars, levels = _with_levels(plan, shape, scalars)
    called |= levels | soft.guards
    if elements or shape.vector:
        called.add("_ratio")
    if shape.kind == "binary":
        called.add("_present")
    used = closure(called, table.FUNCTIONS) & {*table.FUNCTIONS, *guards.GUARDS, "_present"}
    own = arguments(metric.parameters, surrogate, elements.parameters)
    holes = {
        **head(plan, options, scalars, _keywords(shape), not shape.rows),
        **own,
        **_signature(options, shape, own, "joint" in plan.levels),
        "block": "131_072",  # a class has a part of it, and each operation its own costs
        "known": KNOWN if surrogate.hard else "",
        "bound": file.BOUND if surrogate.curve else "",
        "bound_inside": f"    {file.BOUND}" if surrogate.curve else "",
        "bound_in_place": file.BOUND_IN_PLACE if surrogate.curve else "",
        **_counting(shape, soft, surrogate, elements, given),
        **_scalar_code(options, shape, soft, elements, own),
    }
    holes |= _passes(shape, soft, given, own, holes)
    if "joint" in plan.levels and shape.weighed:
        holes["policy"] = passes.POLICY_OF_ALL
    holes |= _by_label(shape, uses_tn, holes) if by_label else {}
    holes |= _by_kernel(shape, own) if built else {}
    holes |= _given_counts(shape, own, holes)
    holes["counts"] = (
        " of shape (...)"
        if shape.kind == "binary"
        else (f" of shape (..., {'samples' if shape.pooled else 'classes'})")
    )
    mapped = passes.MAP_CLASSES if shape.softmax else passes.MAP_SIGMOID
    fragments = [file.HEAD, "" if shape.rows else file.COUNTS, table.SIGNATURE]
    fragments += [torch_kernel.BUILT] * built
    fragments += [passes.FUNCTIONS, "" if shape.rows else file.SETTLED]
    fragments += [table.SCALARS[shape.kind], "<<soft>>", passes.COUNT]
    fragments += [passes.COMPLETE] * shape.classes + [labels.LABELS] * by_label
    fragments += [passes.READY["multiclass" if shape.softmax else "sigmoid"], mapped]
    fragments += [passes.THROUGH if shape.softmax and not given else "", passes.PIECES]
    fragments += [passes.REST["given" if given else "softmax"] if shape.softmax else ""]
    kind = "given" if given else "softmax" if shape.softmax else "sigmoid"
    fragments += [passes.LOSSES[kind] if elements else ""]
    text = "".join(file.fill(fragment, holes) for fragment in fragments)
    text += elements.text + (file.KNOWN if surrogate.hard else "")
    wanted = " * (absent is not None)" if shape.classes else ""
    if "_present" in used:
        text += file.fill(file.PRESENT, {"if_wanted": wanted})
    words = {"slice": shape.slice, "slices": "samples" if shape.slice == "sample" else "classes"}
    for name, (function, _) in table.FUNCTIONS.items():
        if name in used:
            text += function.format(**words) if "{slice" in function else function
    text += file.fill(table.ARRANGE[options.task], holes)
    text += table.SHARES if shape.weighed else ""
    if shape.vector:
        across = table.REDUCED_OVER_RANKS if shape.rows else ""
        group = {"group_in": ", ranks" if shape.rows else "", "reduced_over_ranks": across}
        text += file.fill(table.REDUCED, group)
    policy = ", reduction" if shape.vector else ""
    checks = table.REDUCTION_CHECK if shape.vector else ""
    text += file.fill(file.TOOLS, {"policy_arguments": policy, "policy_checks": checks})
    text += listed_guards(used)
    modules = ["math", *[*torch_kernel.IMPORTS] * built]
    imports = "".join(f"import {name}\n" for name in sorted(modules))
    imports += "from collections.abc import Sequence\n" if shape.classes else ""
    return text.replace("<<math>>", f"{imports}\n")


def _with_levels(
    plan: ir.Plan, shape: _Shape, scalars: dict[str, list[str]]
) -> tuple[dict[str, list[str]], set[str]]:
    """The lines that bring the counts to each level, before those that compute on them."""
    called = set[str]()
    if shape.kind == "binary":
        return scalars, called
    share = "sample_weight" if shape.pooled else "class_weight" if shape.weighed else "None"
    before = []
    for level in plan.levels:
        suffix = f"_{level}" if len(plan.levels) > 1 else ""
        names = ", ".join(f"{n}{suffix}" for n in (*CELLS, "share", "counted"))
        call = table.LEVELS[level].format(cells=", ".join(CELLS), share=share)
        before.append(f"{names} = {call}")
        called |= {call.split("(")[0]} | ({"_support"} if level == "weighted" else set())
    value = scalars["value"]
    if not shape.each:
        result = value[-1].removeprefix("return ")
        short = f"return {result if _one_call(result) else f'({result})'}.squeeze(-1)"
        named = [f"metric = {result}", "return metric.squeeze(-1)"]
        value = [*value[:-1], *([short] if len(short) < WIDTH - 4 else named)]
    # What a function does not use of a level is left in its tuple: one line serves all three.
    return {
        "value": [*before, *value],
        "gradient": [*before, *scalars["gradient"]],
        "weights": [*before, *scalars["weights"]],
    }, called


def _one_call(text: str) -> bool:
    """Whether a text is one call, `_mean(...)`, and nothing beside it."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and character == ")":
            return position == len(text) - 1 and text[: text.index("(")].isidentifier()
    return False


def _keywords(shape: _Shape) -> str:
    """Arguments of the scalar functions after the parameters."""
    if shape.kind == "binary":
        return ""
    share = "sample_weight=None, " if shape.pooled else "class_weight=None, " * shape.weighed
    return f", {share}absent=None, smooth=0.0"


def _signature(
    options: ir.Options, shape: _Shape, own: dict[str, str], joint: bool
) -> dict[str, str]:
    """The holes of the loss function, its module and its autograd function."""
    index = "int | None = -100" if shape.softmax else "float | None = None"
    given = [("ignore_index", index), ("label_smoothing", "float = 0.0"), ("smooth", "float = 0.0")]
    given.append(("absent", f'str = "{file.absent_default(options.task, joint)}"'))
    if shape.weighed:
        given.insert(0, ("class_weight", "Sequence[float] | Tensor | None = None"))
        given.insert(1, ("classes", "Sequence[int] | None = None"))
        given.insert(2, ("exclude_background", "bool = False"))
    if shape.vector:
        given.append(("reduction", 'str = "mean"'))
    given.append(("process_group", PROCESS_GROUP))
    names = [name for name, _ in given]
    assigned = {name: name for name in names}
    if shape.weighed:
        weight = "None if class_weight is None else tuple(map(float, class_weight))"
        assigned["class_weight"] = weight
        assigned["classes"] = "None if classes is None else tuple(map(int, classes))"
    shares = [*["class_weight"] * shape.weighed, *["sample_weight"] * shape.pooled]
    listed = "".join(f"{name}, " for name in shares)
    names_of = [f"_{options.pascal}{kind}" for kind in ("Blocks", "Function")]
    if shape.vector:
        each = "share"
        if options.per == "sample":
            each = "share * sample_weight.to(share)" + ("[:, None]" if shape.each else "")
        across = ", ranks" if shape.rows else ""
        apply = f"    run = {' if at_once else '.join(names_of)}\n"
        apply += "    loss, share, *_ = run.apply(input, target, weight, *arguments)\n"
        apply += f"    return _reduced(loss, {each}, reduction{across})"
    else:
        apply = "    if at_once:\n"
        apply += f"        return {names_of[0]}.apply(input, target, weight, *arguments)\n"
        apply += f"    return {names_of[1]}.apply(input, target, weight, *arguments)[0]"
    what = "a scalar" if not shape.vector else "a scalar, or one each"
    shown = [*re.findall(r"(\w+)=", own["shown"]), *["class_weight"] * shape.weighed]
    shown += ["ignore_index", "absent"]
    share_line = "    class_weight = _shares(input, class_weight, classes, exclude_background)\n"
    sample = options.per == "sample" or shape.pooled
    return {
        "options": "".join(f", {name}: {kind}" for name, kind in given),
        "assign": "".join(f"        self.{n} = {v}\n" for n, v in assigned.items()) + own["assign"],
        "stored": "".join(f", {name}=self.{name}" for name in names) + own["stored"],
        "shown": ", ".join(f'"{name}"' for name in shown),
        "input": "probabilities" if options.from_probabilities else "logits",
        "shape": "(N, C, ...)" if shape.classes else "(N, ...)",
        "what": what,
        "reduction_argument": ", reduction" if shape.vector else "",
        "and_sample_weight": ", sample_weight" if sample else "",
        "and_sample_weights": "; weights of samples" if sample else "",
        "sample_weight": table.SAMPLE_WEIGHT if sample else "",
        "sample_weight_result": ", sample_weight" if sample else "",
        "shares": share_line if shape.weighed else "",
        "share_argument": listed,
        "share_in": "".join(f", {name}" for name in shares),
        "apply": apply,
        "slice": shape.slice,
    }


def _given_counts(shape: _Shape, own: dict[str, str], known: dict[str, str]) -> dict[str, str]:
    """The holes of counts that are given in place of the batch's: not for tables of samples."""
    holes = {
        "counts_keyword": ", counts: Tensor | Counts | None = None",
        "counts_passed": ", counts=counts",
        "counts_method": file.fill(table.COUNTS_METHOD, {**own, **known}),
        "counts_argument": "counts, ",
        "settle": file.fill(table.SETTLE, own),
    }
    args = f", label_smoothing{own['count_args']}"
    return {
        **(dict.fromkeys(holes, "") if shape.rows else holes),
        "settled_args": args,
        "counts_size": f"({known['count']}, input.shape[1])",
        "summed_at_once": file.fill(passes.SUMMED_AT_ONCE, {"settled_args": args}),
        "summed": f"_count(input, target, weight{args})",
    }


def _passes(
    shape: _Shape, soft: torch_soft.Soft, given: bool, own: dict[str, str], known: dict[str, str]
) -> dict[str, str]:
    """The holes of the autograd functions: their arguments, and what each counts."""
    count = "rows" if shape.rows else "given"
    tensors = f"input, target, weight{'' if shape.rows else ', given'}{known['share_in']}"
    settings = f"label_smoothing, absent, smooth, ranks{own['store']}"
    finish = "            g = _finish(kept, <<finish_input>>target, weight, pair, "
    finish += "label_smoothing<<finish_args>>)\n"
    share = "loss.to(_dtype(input), copy=True), share.to(_dtype(input))"
    mark = "        ctx.mark_non_differentiable(share)\n"
    return {
        "tensors": tensors,
        "settings": settings,
        "nothings": str(f"{tensors}, {settings}".count(",")),
        "unless_given": "" if shape.rows else " and given is None",
        "count_line": file.fill(passes.COUNT_LINES[f"traced, {count}"], own),
        "count_line_at_once": file.fill(passes.COUNT_LINES[f"at once, {count}"], own),
        "returned": share if shape.vector else "loss.to(_dtype(input), copy=True)",
        "policy": passes.POLICY if shape.classes else "",
        "policy_name": "policy" if shape.classes else "absent",
        "mark_share": mark if shape.vector else "",
        "and_share": ", _" if shape.vector else "",
        "finish": file.fill(finish, known),
        "soft_in": "" if shape.softmax else "soft, ",
        "soft_traced": "" if shape.softmax else "_soft, ",
        "soft_block": "" if shape.softmax else f"{soft.block}, ",
        "clone": ".clone()" if soft.aliased or given else "",
        "counted_first": "",
        "labels_first": "",
        "finished_first": "",
        "finished_labels": "",
    }


def _by_kernel(shape: _Shape, own: dict[str, str]) -> dict[str, str]:
    """The holes where a built kernel is asked first."""
    kept = "probabilities" if shape.softmax else "slope"
    finished = torch_kernel.FINISHED
    return {
        "counted_first": torch_kernel.COUNTED.format(arguments=own["count_args"]),
        "finished_first": finished.format(kept=kept, smoothing=", label_smoothing"),
        "finished_labels": finished.format(kept=kept, smoothing=""),
    }


def _by_label(shape: _Shape, uses_tn: bool, known: dict[str, str]) -> dict[str, str]:
    """The holes of the passes over class labels."""
    return {
        "labels_first": file.fill(
            labels.FIRST, {"or_weighed": " or weight is not None" if uses_tn else ""}
        ),
        "finish": labels.FINISH,
        "label_sums": file.fill(labels.SUMS_WITH_TN if uses_tn else labels.SUMS, known),
        "label_count": "6" if uses_tn else "3",
        "true_negatives": labels.TRUE_NEGATIVES_WITH_TN if uses_tn else labels.TRUE_NEGATIVES,
        "by_label": labels.BY_LABEL_ROWS if shape.rows else labels.BY_LABEL,
    }


def _counting(
    shape: _Shape, soft: torch_soft.Soft, surrogate: Surrogate, elements: Elements, given: bool
) -> dict[str, str]:
    """The holes of the two passes over the batch."""
    names = "".join(f", {name}" for name, _, _ in surrogate.arguments)
    identity = shape.softmax and surrogate.name == "soft" and not surrogate.hard
    own_slope = shape.softmax and surrogate.name != "soft"  # dA/dp is not 1
    to_p = "z" if given else "_softmax(z)"
    if identity:
        soft_lines = f"    p = a = {to_p}\n    q = b = _rest(p)\n"
    elif shape.softmax:
        soft_lines = f"    p = {to_p}\n    q = _rest(p)\n"
        soft_lines += f"    a, b, _ = _soft(p, q{names})\n"
    else:
        soft_lines = f"    a, b, d = soft(z{names})\n"
    if identity and not elements:
        soft_lines = f"    a = {to_p}\n    b = _rest(a)\n"
    before = "z, p, q, y" if shape.softmax else "z, y"
    calls = elements.calls(before)
    needs_q = own_slope or bool(elements)
    losses = ""
    if elements:
        inside = "z, p, q, y, v" if shape.softmax else "z, y, v"
        losses = f" + _losses({inside}, rest{{args}})"
    loss_args = "".join(f", {name}" for name in elements.parameters)
    through = "_weighed(g, v)" if given else "_weighed(_through(p, g), v)"
    gradient = through + losses.replace("{args}", loss_args)
    spread = ":, None"
    if shape.rows:
        spread = "rows, :, None" if shape.classes else "rows, None, None"
    cells = "(N, C)" if shape.classes else "(N,)"
    dims = ("2" if shape.classes else "(1, 2)") if shape.rows else "(0, 2)"
    sums = "weighed losses" if elements else ""
    q = "\n        q = _rest(p)" if needs_q else ""
    ready = "_, y, v = _ready({}, y, v, label_smoothing)".format("p" if shape.softmax else "s")
    if elements:
        dtype = "p" if shape.softmax else "s"
        ready = f"z, y, v = _ready(z.to({dtype}.dtype), y, v, label_smoothing)"
    rest = ", *rest" if elements else ""
    finish_args = loss_args + (names if own_slope else "")
    return {
        "kept_what": "the probabilities" if shape.softmax else "the surrogate's slope",
        "kept_name": ("a" if identity and not elements else "p") if shape.softmax else "d",
        "soft": "" if identity else f"\n\n{soft.text}",
        "soft_lines": soft_lines,
        "element_losses": f"    losses = {calls}\n" if elements else "",
        "element_sums": f"    sums += [_weighed(loss, v).sum({dims}) for loss, _ in losses]\n"
        if elements
        else "",
        "element_calls": calls,
        "and_sums": f" and the sums of {sums}" if elements else "",
        "table": "class" if shape.classes else "sample",
        "counts_shape": cells if shape.rows else "(C,)",
        "zeros_shape": ("input.shape[0], input.shape[1]" if shape.classes else "input.shape[0]")
        if shape.rows
        else "input.shape[1]",
        "dims": dims,
        "rows": "[:, rows]" if shape.rows else "",
        "spread_once": "" if shape.rows else f"    plus, minus{rest} = _spread(pair, ...)\n",
        "spread_each": f"        plus, minus{rest} = _spread(pair, rows)\n" if shape.rows else "",
        "share_of_block": "C" if shape.softmax else "2 * C",
        "rows_name": "rows" if shape.rows else "_",
        "sizes": "tensors[0].shape[0], math.prod(tensors[0].shape[2:])"
        if shape.classes
        else "tensors[0].shape[0], math.prod(tensors[0].shape[1:])",
        "classes_of": "t.shape[1]" if shape.classes else "1",
        "spread_index": spread,
        "to_p": to_p,
        "q_line": q,
        "q_line_map": q.replace("\n        ", "\n    "),
        "times_slope": f" * _soft(p, q{names})[2]" if own_slope else "",
        "gradient_of": gradient,
        "and_rest": rest,
        "finish_input": "input, " if elements else "",
        "finish_z": "z, " if elements else "",
        "finish_args": finish_args,
        "ready_finish": ready,
        "map_losses": losses.replace("{args}", loss_args),
        "finish_losses": f"\n        s.add_({losses[3:].replace('{args}', loss_args)})"
        if elements
        else "",
    }


def _scalar_code(
    options: ir.Options,
    shape: _Shape,
    soft: torch_soft.Soft,
    elements: Elements,
    own: dict[str, str],
) -> dict[str, str]:
    """The holes of what turns counts into the loss and the weights of the gradient."""
    sign = "-" if options.goal == "maximize" else ""
    means = ""
    weighed = " if class_weight is None else class_weight" if shape.weighed else ""
    if elements and shape.kind == "classes":
        total = "cells[0] + cells[1]" if shape.softmax else "sum(cells)"
        means = (
            f"    share = torch.ones_like(cells[0]){weighed}\n"
            f"    total = (share * ({total})).sum(-1, keepdim=True)\n"
            "    means = [_ratio((share * x).sum(-1, keepdim=True), total) for x in counts[4:]]\n"
        )
        slope = f"(total > 0) * _ratio({sign}slope * share, total)"
    elif elements and shape.kind == "binary":
        means = "    total = sum(counts[:4])\n    means = [_ratio(x, total) for x in counts[4:]]\n"
        slope = f"(total > 0) * _ratio({sign}scored * slope, total)"
    elif elements:
        counted = "positives" if shape.softmax else "sum(cells)"
        means = (
            f"    total = (share * {counted}).sum()\n"
            f"    means = [_ratio((share * x).sum(), total) for x in counts[{len(CELLS)}:]]\n"
        )
        slope = f"(total > 0) * _ratio({sign}slope * share, total)"
    else:
        slope = ""
    if shape.classes:
        pool = (
            "    share = 1 if class_weight is None else class_weight\n"
            "    counts = [(share * x).sum(-1) for x in counts]\n"
        )
        if shape.softmax and elements:
            pool = pool.replace(
                "    counts = [",
                "    positives = (share * (counts[0] + counts[1])).sum(-1)\n    counts = [",
            )
        result = "pair[..., None] * (1 if class_weight is None else class_weight)"
    else:
        pool = ""
        result = "pair"
    upstream = "pair * grad_loss"
    if shape.kind == "classes" and shape.vector and not shape.each:
        upstream = "pair * grad_loss[:, None]"
    share = "loss.new_ones(())"
    if shape.kind == "classes" and shape.each:
        share = "counted"
        means += (
            "    *_, counted = _slices(*cells, class_weight, absent, smooth)\n"
            "    counted = counted * (sum(cells).sum(-1, keepdim=True) > 0)\n"
        )
    elif shape.kind == "classes" and shape.vector:
        share = "sum(cells).sum(-1) > 0"
    return {
        "direction": "1 - " if options.goal == "maximize" else "",
        "scale": sign + soft.scale,
        "pair_args": own["store"],
        "means": means,
        "mean_args": ", *means" if elements else "",
        "and_slopes": ", *slopes" if elements else "",
        "slope_results": f", *({slope} for slope in slopes)" if elements else "",
        "share": share,
        "upstream": upstream,
        "pool": pool,
        "gathered": "*counts, positives" if shape.softmax and elements else "*counts",
        "pair_result": result,
        "class_weight_in": "class_weight, " if shape.weighed else "",
        "class_weight_option": '"class_weight": class_weight, ' if shape.weighed else "",
    }
