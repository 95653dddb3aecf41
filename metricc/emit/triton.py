"""ir.Plan → the PyTorch loss file with Triton kernels in it, for CUDA tensors.

The file is that of target "torch", and what stands here is added: a guarded import, an autograd
function of two kernels, what launches them, and the kernels (`triton_kernels`) over the metric's
scalars (`triton_scalars`). A loss that the kernels do not cover stays as it is.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from metricc import ir
from metricc.emit import torch
from metricc.emit import torch_table as table
from metricc.emit import triton_host as host
from metricc.emit import triton_kernels as kernels
from metricc.emit import triton_scalars as scalars
from metricc.emit.torch_file import fill
from metricc.emit.torch_header import WIDTH, docstring
from metricc.emit.torch_parts import closure, recorded, reductions
from metricc.functions import CELLS
from metricc.surrogates import Surrogate

OPTIONS = (*torch.OPTIONS, "target")
_NUMBERS = {4: "Four", 5: "Five"}
_MADE_BY = "\nMade by metricc "

COVERED = (
    "On CUDA tensors two Triton kernels make loss and gradient: one sums the batch and finishes "
    "the loss, one maps its weights. Nothing waits for the GPU, and one GPU gives the same bits "
    "every time. PyTorch's own operators do it instead on other devices, without Triton, under "
    "torch.compile and torch.func, with counts= or process_group=, for second derivatives{more}."
)
MOST_CLASSES = ", and above 4,096 classes"
PORTABLE = (
    "None: there are Triton kernels for the surrogates amplified and soft, over one table a batch "
    "or one a class, with bce or ce, without columns. PyTorch's operators compute this loss on "
    "every device."
)


def render(
    plan: ir.Plan, audit: ir.Audit, options: ir.Options, surrogate: Surrogate, version: str
) -> str:
    """The text of the generated file. The same arguments always give the same bytes."""
    loss = _Kernels(plan, options, surrogate)
    more = "" if loss.single else MOST_CLASSES
    fact = COVERED.format(more=more) if loss.covered else PORTABLE
    lines = textwrap.wrap(fact, WIDTH - 11, break_long_words=False)
    label = "".join(f"{'Kernels' * (i == 0):<11}{line}\n" for i, line in enumerate(lines))
    words = docstring(plan, audit, options, surrogate, version)
    words = words.replace(_MADE_BY, f"{label}{_MADE_BY}", 1)
    text = torch.text_of(plan, options, surrogate)
    text = loss.added_to(text) if loss.covered else text
    return torch.finished(text, words, recorded(plan, options, OPTIONS, version))


@dataclass(frozen=True)
class _Kernels:
    """The kernels of one loss, and what their fragments are filled with."""

    plan: ir.Plan
    options: ir.Options
    surrogate: Surrogate

    @property
    def covered(self) -> bool:
        """Whether the kernels compute this loss."""
        metric, surrogate = self.plan.metric, self.surrogate
        losses = {str(term.expression.func) for term in metric.elements}
        return (
            self.options.per == "batch"
            and not (metric.columns or metric.by_sample)
            and all(term.reduction != "per_class" for term in metric.tables)
            and len(metric.elements) <= 1
            and losses <= {"bce", "ce"}
            and not (losses and self.options.from_probabilities)
            and surrogate.name in ("amplified", "soft")
            and not (surrogate.hard or surrogate.averaged)
        )

    @property
    def single(self) -> bool:
        return self.plan.metric.single

    @property
    def softmax(self) -> bool:
        return self.options.task == "multiclass" and not self.options.from_probabilities

    @property
    def element(self) -> list[str]:
        """The element loss, if there is one."""
        return [str(term.expression.func) for term in self.plan.metric.elements]

    @property
    def parameters(self) -> list[str]:
        return [p.name for p in self.plan.metric.parameters]

    @property
    def renamed(self) -> list[str]:
        """The parameters' names where variables of the kernels' own stand beside them."""
        return [f"p_{name}" for name in self.parameters]

    @property
    def curve(self) -> list[str]:
        """The surrogate's arguments."""
        return [name for name, _, _ in self.surrogate.arguments]

    @property
    def sums(self) -> list[str]:
        return ["tp", "fn", "fp", "tn", *self.element]

    def added_to(self, text: str) -> str:
        """The torch file with the kernels in it, and with calls of them."""
        name = self.options.pascal
        line = re.search(r"^    (\w+) = \((counts, .*)\)\n", text, re.MULTILINE)
        assert line is not None
        passed, listed = line.groups()
        group = min({"group", "ranks"} & {*listed.split(", ")})
        fits = "" if self.single else " and _few_classes(input)"
        call = fill(host.CALL, {"pascal": name, "passed": passed, "group": group, "fits": fits})
        text = text[: line.end()] + call + text[line.end() :]
        torch_line = "import torch\nfrom torch import Tensor\n"
        assert text.count(torch_line) == 1
        return text.replace(torch_line, f"{torch_line}\n{kernels.IMPORT}") + self.added(listed)

    def added(self, arguments: str) -> str:
        """What stands at the end of the file; `arguments` are the autograd function's."""
        names = dict(zip(self.parameters, self.renamed, strict=True))
        unpacked = ", ".join(names.get(name, name) for name in arguments.split(", "))
        holes = {**self.holes(), "arguments": unpacked}
        value, weights = self.bodies()
        code = [value, weights, self.soft, kernels.LAST, kernels.NARROW]
        code += [kernels.SOFTMAX] * self.softmax
        code += [{"bce": kernels.BCE, "ce": kernels.CE}[name] for name in self.element]
        code.append(kernels.ONE_TABLE if self.single else kernels.CLASSES)
        text = "\n".join(fill(part, holes) for part in code if part)
        used = closure(scalars.called(text), scalars.FUNCTIONS)
        before = [code for name, (code, _) in scalars.FUNCTIONS.items() if name in used]
        jitted = "".join([*before, text]).strip("\n").replace("\n\n\n", "\n\n")
        launches = host.ONE_TABLE if self.single else host.CLASSES
        found = [fill(part, holes) for part in (host.FUNCTION, launches, host.TOOLS)]
        indented = textwrap.indent(jitted, "    ")
        return f"{''.join(found)}\n\nif triton is not None:\n\n{indented}\n"

    @property
    def soft(self) -> str:
        """The surrogate's function. The probabilities of a softmax need none."""
        if self.softmax and self.surrogate.name == "soft":
            return ""
        given = self.softmax or self.options.from_probabilities
        return kernels.SOFT[self.surrogate.name, "probabilities" if given else "logits"]

    def bodies(self) -> list[str]:
        """The metric and its weights as functions of Triton's."""
        names = [*CELLS, *self.element, *self.parameters]
        before = []
        if not self.single:
            names += ["class_weight", "absent: tl.constexpr", "smooth"]
        for level in self.plan.levels:
            suffix = f"_{level}" if len(self.plan.levels) > 1 else ""
            left = ", ".join(f"{n}{suffix}" for n in (*CELLS, "share", "counted"))
            right = table.LEVELS[level].format(cells=", ".join(CELLS), share="class_weight")
            before.append(f"{left} = {scalars.renamed(right)}")
        found = []
        for name, block in (("value", self.plan.value), ("weights", self.plan.weights)):
            assigned, results, _ = scalars.lines(block, reductions(self.plan))
            lines = [*before, *assigned, f"return {', '.join(results)}"]
            body = "".join(f"    {line}\n" for line in lines)
            says = f'    """`{name}`, in float64."""\n'
            found.append(f"\n@triton.jit\ndef _gpu_{name}({', '.join(names)}):\n{says}{body}")
        return found

    def holes(self) -> dict[str, str]:
        """What all fragments are filled with."""
        sign = "-" if self.options.goal == "maximize" else ""
        factor = "L * " if "L" in self.curve else ""
        smoothing = [] if self.single else ["smoothing", "spread"]
        smoothed = [] if self.single else ["label_smoothing"]
        spread = f"label_smoothing / {'C' if self.options.task == 'multiclass' else '2'}"
        floats = [*smoothed, spread] if smoothed else []
        shape = "(BLOCK,)" if self.single else "(R, K)"
        terms = ["yes * a", "yes * b", "no * a", "no * b", *["losses"] * len(self.element)]
        sums = list(zip(self.sums, terms, strict=True))
        common = {
            "pascal": self.options.pascal,
            "how_many": _NUMBERS[len(sums)],
            "count": str(len(sums)),
            "programs": "3" if self.single else "2",
            "size": str(2 + len(self.element)),
            "typed": _listed(", {}: tl.float64", [*self.renamed, *self.curve]),
            "soft_typed": _listed(", {}: tl.float64", self.curve),
            "wide": _wide([*self.renamed, *self.curve, *smoothing, "smooth"]),
            "soft_wide": _wide([*self.curve, *smoothing]),
            "zeros": _listed(f"    {{}} = tl.zeros({shape}, dtype)\n", self.sums),
            "adds": "".join(f"        {name} += {term}\n" for name, term in sums),
            "softly": _lines(8, self.softly()),
            "map_lines": _lines(4, self.mapped()),
            "direction": "1 - " if sign else "",
            "scale": f"{sign}{factor}",
            "flipped": f"{'' if sign else '-'}{factor}",
            "mean_args": ", mean" * len(self.element),
            "indices": kernels.INDICES,
            "and_slope": ", slope" * len(self.element),
            "parameters": _listed(", {}", self.renamed),
            "floats": _listed("float({}), ", [*self.renamed, *self.curve, *floats, "smooth"]),
            "soft_floats": _listed("float({}), ", [*self.curve, *floats]),
            **self.passed(smoothed),
        }
        return {**common, **(self.of_one_table(sign) if self.single else self.of_classes(sign))}

    def passed(self, smoothed: list[str]) -> dict[str, str]:
        """The holes of what launches the kernels: arguments."""
        own = _listed(", {}", [*self.renamed, *self.curve])
        share = [] if self.single or self.plan.margins else ["class_weight"]
        between = _listed("{}, ", [*share, *smoothed])
        return {
            "reduce_args": f", {between}absent, smooth{own}",
            "map_args": _listed(", {}", [*smoothed, *self.curve]),
        }

    def softly(self) -> list[str]:
        """Lines of the reduction: what each element adds to the counts, before it is weighed."""
        arguments = _listed(", {}", self.curve)
        if not self.softmax:
            losses = ["losses, _ = _gpu_bce(x, yes, no)"] * len(self.element)
            return [f"a, b, _ = _gpu_soft(x{arguments})", *losses]
        names = "p, q" if self.soft else "a, b"
        lines = [f"{names}, {'log' if self.element else '_'} = _gpu_softmax(x, (k < C)[None, :])"]
        lines += [f"a, b, _ = _gpu_soft(p{arguments})"] * bool(self.soft)
        return [*lines, *["losses = -yes * log"] * len(self.element)]

    def mapped(self) -> list[str]:
        """Lines of the map: the gradient s of every element."""
        sides, arguments = "yes * positive + no * negative", _listed(", {}", self.curve)
        at = "tl.load(pair + 2)" if self.single else "tl.load(pair + 2 * C + k, k < C, 0)"
        row = "" if self.single else "[None, :]"
        rest = [f"rest = _gpu_bounded({at} * scale).to(dtype){row}"] * len(self.element)
        if not self.softmax:
            lines = [f"_, _, slope = _gpu_soft(x{arguments})", f"s = ({sides}) * slope", *rest]
            if self.element:
                lines += ["_, slope = _gpu_bce(x, yes, no)", "s += rest * slope"]
            return lines
        q = "q" if self.element else "_"
        lines = [f"p, {q}, _ = _gpu_softmax(x, (k < C)[None, :])", f"s = {sides}"]
        if self.soft:
            lines += [f"_, _, slope = _gpu_soft(p{arguments})", "s = s * slope"]
        lines += ["s = _gpu_through(p, s)", *rest]
        return [*lines, *["s += _gpu_ce_slope(p, q, rest * yes)"] * len(self.element)]

    def of_one_table(self, sign: str) -> dict[str, str]:
        """The holes of the kernels over one table."""
        totals = [
            f"{name} = _gpu_total({_row('sums', i, 'ROWS')}, programs, ROWS)"
            for i, name in enumerate([*CELLS, *["losses"] * len(self.element)])
        ]
        slope = []
        if self.element:
            totals += ["total = TP + FN + FP + TN", "mean = _gpu_ratio(losses, total)"]
            each = f"_gpu_ratio({sign}scored * slope, total)"
            slope = [f"tl.store(pair + 2, tl.where(total > 0, {each}, 0))"]
        stores = [
            f"tl.store({_row('sums', i, 'ROWS')} + program, tl.sum({name}.to(tl.float64), 0))"
            for i, name in enumerate(self.sums)
        ]
        return {
            "stores": _lines(4, stores),
            "totals": _lines(8, totals),
            "store_slope": _lines(8, slope),
        }

    def of_classes(self, sign: str) -> dict[str, str]:
        """The holes of the kernels over one table a class."""
        totals = [
            f"{name} = _gpu_total({_row('sums', i, 'size')}, splits, C, ROWS, CLASSES)"
            for i, name in enumerate([*CELLS, *["losses"] * len(self.element)])
        ]
        means, slope = [], []
        if self.element:
            counted = "TP + FN" if self.softmax else "TP + FN + FP + TN"
            means = [f"total = tl.sum(share * ({counted}), 0)"]
            means += ["mean = _gpu_ratio(tl.sum(share * losses, 0), total)"]
            each = f"_gpu_ratio({sign}slope * share, total)"
            slope = [f"slope = tl.where(total > 0, {each}, 0)"]
            slope += ["tl.store(pair + 2 * C + c, slope, c < C)"]
        stores = [
            f"tl.store({_row('at', i, 'size')}, tl.sum({name}.to(tl.float64), 0), k < C)"
            for i, name in enumerate(self.sums)
        ]
        width = "K = min(_power_of_2(C), 64 if M < 64 else 1)  # along what is contiguous"
        if self.softmax:
            width = "K = _power_of_2(C)"
        share = "" if self.plan.margins else "class_weight, "
        return {
            "stores": _lines(4, stores),
            "totals": _lines(8, totals),
            "means": _lines(8, means),
            "store_slope": _lines(8, slope),
            "width": width,
            "labels": "not target.is_floating_point()"
            if self.options.task == "multiclass"
            else "False",
            "class_weight": share.removesuffix(", ") or "None",
        }


def _listed(form: str, names: list[str]) -> str:
    return "".join(form.format(name) for name in names)


def _lines(margin: int, lines: list[str]) -> str:
    return "".join(f"{' ' * margin}{line}\n" for line in lines)


def _wide(names: list[str]) -> str:
    """Arguments as float64: they are Python's floats under Triton's interpreter."""
    return _lines(4, [f"{name} = _gpu_wide({name})" for name in names])


def _row(start: str, index: int, size: str) -> str:
    """Where the row of a sum starts."""
    step = size if index == 1 else f"{index} * {size}"
    return f"{start} + {step}" if index else start
