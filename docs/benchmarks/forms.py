"""The page docs/numerics.md: how exactly generated code computes, and which forms were scored.

python docs/benchmarks/forms.py > docs/numerics.md

It measures every metric of the library (about four minutes; progress on standard error). With names
of metrics it prints their rows alone, and `--forms` what the other forms of theirs give.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import sympy

from metricc import ir, library, syntax
from metricc.accuracy import BOUND, Measured, measure
from metricc.algebra import Field, product_of
from metricc.compiler import analyse
from metricc.extract import extract, operations
from metricc.factoring import TooLarge
from metricc.functions import CELLS

POINTS = 400
SCORED = (
    *("mcc", "cohen_kappa", "fbeta", "gmean", "yule_y", "digby_h", "markedness", "youden_j"),
    *("prevalence_threshold", "iba", "optimized_precision", "overlap_coefficient"),
    *("mutual_information", "normalized_mutual_information"),
)
WHY = {
    "similarity_index": "1 - sqrt(x) at x near 1: the worst predictions",
    "normalized_mcc": "(1 + MCC)/2 at MCC near -1: the worst predictions",
    "savings": "a minimum under a difference: two cases would need two forms",
    "savings_by_amount": "a minimum under a difference: two cases would need two forms",
    "goodman_kruskal_lambda": "three maxima that cancel: 2 of 4 counts would do in each case",
    "goodman_kruskal_lambda_b": "three maxima that cancel: 2 of 4 counts would do in each case",
    "optimized_precision": "a rate less the magnitude of another difference",
    "agm": "a root and a rate of opposite sign",
    "kl_divergence": "log(1 + x) - x: two terms that cancel to second order",
    "eds": "a difference of two logarithms, each times a count",
    "seds": "a difference of sums of logarithms",
    "consonni_todeschini_1": "log(1 + x)/(1 + x) against log(1 + n)/(1 + n) at x near n",
    "consonni_todeschini_2": "log(1 + x)/(1 + x) against log(1 + n)/(1 + n) at x near n",
    "consonni_todeschini_3": "log(1 + x)/(1 + x) against log(1 + n)/(1 + n) at x near n",
    "consonni_todeschini_4": "log(1 + x)/(1 + x) against log(1 + n)/(1 + n) at x near n",
    "homogeneity": "products of logarithms that cancel to second order near independence",
    "completeness": "products of logarithms that cancel to second order near independence",
    "normalized_mutual_information": (
        "products of logarithms that cancel to second order near independence"
    ),
}


def shared(program: ir.Program) -> tuple[ir.Block, Sequence[str]]:
    return program.shared, ir.shared_outputs(program.metric)


def measured(program: ir.Program, count: int = POINTS) -> list[list[Measured]]:
    """Value and partials, then the weights, each in float64 and float32."""
    blocks = [shared(program), (program.weights, ir.weight_outputs(program.metric))]
    return measure(program.gradient.raw, blocks, program.metric, count)


# -- the table of the library -----------------------------------------------------------------


def fixed(name: str, program: ir.Program) -> str:
    """The columns that no measurement is in: forms and operations."""
    choices = sorted({form.choice for form in program.forms.values()})
    size = f"{operations(program.shared)} + {operations(program.weights)}"
    return f"| `{name}` | {', '.join(choices)} | {size} |"


def row(name: str, program: ir.Program, found: list[list[Measured]]) -> str:
    (both64, both32), (weights64, weights32) = found
    value = both32.errors["value"].worst
    partials = max(e.worst for n, e in both32.errors.items() if n != "value")
    least, most = both64.extremes.smallest, both64.extremes.largest
    leaves = "yes" if both32.above or weights32.above else "no"
    errors = (max(both64.worst, weights64.worst), value, partials, weights32.worst)
    texts = " | ".join(f"{e:.1e}" for e in errors)
    count = sum(e.points for m in (both64, weights64) for e in m.errors.values())
    return f"{fixed(name, program)} {texts} | {count} | {least:.0e} … {most:.0e} | {leaves} |"


def passes(found: list[list[Measured]]) -> bool:
    return all(m.passed for block in found for m in block)


# -- other forms of the same ------------------------------------------------------------------


def candidates(program: ir.Program) -> Iterator[tuple[str, ir.Block]]:
    """Forms of value and partials, as code, by what they are called."""
    metric = program.metric
    others = tuple(p.name for p in metric.unknowns if not p.counted)
    names = ir.shared_outputs(metric)
    raw = [program.gradient.raw[name] for name in names]
    final = [program.forms[name].expression for name in names]
    written = extract(raw, others, metric.columns)
    yield "as written", written
    yield "as written, nothing shared", written.inlined(everything=True)
    if not any(e.has(sympy.log, sympy.Heaviside, sympy.Min, sympy.Max) for e in raw):
        quotients = [sympy.fraction(sympy.together(e)) for e in raw]
        expanded = [sympy.expand(a) / sympy.expand(b) for a, b in quotients]
        yield "expanded", extract(expanded, others, metric.columns)
        if all(a.is_polynomial() and b.is_polynomial() for a, b in quotients):
            nested = [sympy.horner(sympy.expand(a)) / sympy.expand(b) for a, b in quotients]
            yield "Horner", extract(nested, others, metric.columns)
    try:
        field = Field(raw, metric.nonnegative)
        factored = [product_of(*field.factors(e)) for e in raw]
        yield "factored", extract(factored, others, metric.columns)
    except (TooLarge, ZeroDivisionError):
        pass
    paired = [_in_pairs(e) for e in final]
    if paired != final:
        yield "chosen, roots by pairs", extract(paired, others, metric.columns)
    if program.homogeneous and not metric.columns:
        yield "chosen, of rates", _of_rates(program.shared)
    yield "chosen, nothing shared", program.shared.inlined(everything=True)
    yield "chosen", program.shared


def _in_pairs(expression: sympy.Expr) -> sympy.Expr:
    """sqrt(a*b*c*d) as sqrt(a*b)*sqrt(c*d)."""
    half = sympy.Rational(1, 2)

    def wanted(node: sympy.Expr) -> bool:
        return bool(node.is_Pow and abs(node.exp) == half and len(node.base.args) > 3)

    def pairs(node: sympy.Expr) -> sympy.Expr:
        factors = sorted(sympy.Mul.make_args(node.base), key=sympy.default_sort_key)
        split = (sympy.Mul(*factors[i : i + 2]) ** node.exp for i in range(0, len(factors), 2))
        return sympy.Mul(*split)

    return expression.replace(wanted, pairs)


def _of_rates(block: ir.Block) -> ir.Block:
    """The same code on the shares of the counts; partials are divided by their total."""
    cells = [syntax.Name(cell) for cell in CELLS]
    total = syntax.Sum(tuple(cells), (False,) * 3)
    share = {c: syntax.Name(f"share_{c}") for c in CELLS}
    size = syntax.Name("size")
    head: list[tuple[str, syntax.Expression]] = [("size", total)]
    head += [
        (share[c].id, syntax.Product((cell, size), (True,)))
        for c, cell in zip(CELLS, cells, strict=True)
    ]
    body = [(n, syntax.substitute(e, share)) for n, e in block.assignments]
    value, *partials = (syntax.substitute(r, share) for r in block.results)
    scaled = [syntax.Product((p, size), (True,)) for p in partials]
    return ir.Block((*head, *body), (value, *scaled))


def scored(name: str, count: int = POINTS) -> list[str]:
    """One row a form: its operations and its worst errors."""
    program = analyse(name)[0].program
    names = ir.shared_outputs(program.metric)
    forms = dict(candidates(program))
    blocks = [(block, names) for block in forms.values()]
    found = measure(program.gradient.raw, blocks, program.metric, count)
    lines = []
    for (label, block), (wide, narrow) in zip(forms.items(), found, strict=True):
        size = operations(block)
        over = "overflows" if narrow.above else ""
        lines.append(
            f"| `{name}` | {label} | {size} | {wide.worst:.0e} | {narrow.worst:.0e} | {over} |"
        )
    return lines


# -- the page ---------------------------------------------------------------------------------

HEAD = """# Numerics

Made by `python docs/benchmarks/forms.py > docs/numerics.md`; measured on 2026-11-25 with Python
3.11, SymPy 1.14, NumPy 2.4 and mpmath 1.3 on an AMD EPYC, 2 cores.

A file's scalars (value, partials, weights) are a few operations on four counts, in float64, or in
float32 on a device that has no float64; never in half precision, whatever the inputs are. Written
as the formula stands, and differentiated as it stands, most metrics lose digits, and some lose all
([below](#the-forms-that-were-scored)). So the compiler chooses among equal forms.

## The rule

Decided from the symbols alone, the same on every machine; no measurement is in a file's bytes:

1. **Free of cancellation first.** Where nothing is, a form that subtracts products of counts alone
   goes before one with few sums that subtract results of other operations, and that before one with
   many; but not at four times the operations. Products of counts are rounded once or twice: their
   difference loses no more than the result's own condition says. `1 - t` of parameters, and what a
   step compares, lose nothing.
2. **Then fewest operations**, of value and partials together after what they share was taken out.
3. No product of more than four counts: 1e9 to the fifth is more than float32 holds (3.4e38). Longer
   ones become quotients of quotients.

The forms that are tried: as written; factored in lowest terms; factored with roots as variables,
where different roots are added (`sqrt(a)/(sqrt(a) + sqrt(b))`); term by term; weights as
differences of the best partials; what stands on each side of a step on its own. Before that,
`min(TP + FN, TP + FP)` is `TP + min(FN, FP)` and
`|x|` is `x` with a sign. In all of them the logarithm of a quotient that shares terms above and
below the bar, `log((TP + FN)/TP)`, is computed with the difference of the two, `FN`: near 1 as
`log1p(FN/TP)`. All of it is proved equal (`metricc derive` says how).

## What is measured

The code runs as the file runs it, guards included, at {points} points: counts of any sizes from
1e-3 to 1e9, batches of up to 1e9 samples with prevalences and error rates down to 1e-4, small whole
counts, and edges (one count 0, no errors, no right answers, all counts 1e9), each a float32. It is
compared with the raw derivative at 200 digits, in the limit at edges, wherever

- the exact result and its reciprocal are normal numbers of the type, the result at most 1e30, and
- it is well-conditioned: Σ |count · d(result)/d(count)| / |result| is at most 450 in float64 and 5
  in float32. Rounding every count once then moves the exact result by up to 5e-14 or 3e-7, half of
  what is allowed: 1e-13 in float64, 6e-7 in float32.

"""


def page(names: Sequence[str]) -> str:
    rows, missed = [], []
    for number, name in enumerate(names, 1):
        print(f"{number}/{len(names)} {name}", file=sys.stderr)
        program = analyse(name)[0].program
        found = measured(program)
        rows.append(row(name, program, found))
        if not passes(found):
            missed.append((name, found))
    lines = [HEAD.format(points=POINTS), "## The library\n"]
    over = [n for n, found in missed if any(m.above for b in found for m in b)]
    wide = [n for n, f in missed if any(b[0].worst > BOUND["float64"] for b in f)]
    met = len(names) - len(missed)
    lines.append(
        f"{met} of {len(names)} metrics are within both bounds, {len(names) - len(wide)} within"
        f" that of float64; {', '.join(over) or 'none'} overflows in float32. Columns: operations\n"
        "of value and partials together + of the weights; the worst relative errors; how many\n"
        "results were compared in float64; the smallest and the largest number on the way.\n"
    )
    lines.append(
        "| metric | forms | operations | float64 | float32 value | partials | weights | results"
        " | on the way | overflow |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    lines += rows
    lines.append("\n## Where a bound is missed\n")
    lines.append(
        "Each is a difference that none of the forms avoids; another function would, or two cases\n"
        "with a form each, for counts that differ by many orders of magnitude. The files'\n"
        "scalars are float64: their gradients are right to the column of float64 there.\n"
    )
    lines.append("| metric | float64 | float32 | output | at | why |\n|---|---|---|---|---|---|")
    for name, found in missed:
        narrow = [(n, e) for block in found for n, e in block[1].errors.items()]
        output, error = max(narrow, key=lambda pair: pair[1].worst)
        at = ", ".join(f"{c} = {error.at[c]:.3g}" for c in CELLS)
        worst = max(block[0].worst for block in found)
        why = WHY.get(name, "rounding alone, a little more than allowed")
        lines.append(f"| `{name}` | {worst:.0e} | {error.worst:.0e} | {output} | {at} | {why} |")
    lines.append("\n## The forms that were scored\n")
    lines.append(
        "Value and partials of a few instructive metrics, in each form that they have. What is\n"
        "chosen is as exact as the best, but for rounding, and the shortest of those that are.\n"
        "Sharing parts does not cost digits; rates cost operations, and would be needed only for\n"
        "counts above 1e9; expanding costs both where signs are mixed, and overflows.\n"
    )
    lines.append("| metric | form | operations | float64 | float32 | |\n|---|---|---|---|---|---|")
    for name in SCORED:
        print(f"forms of {name}", file=sys.stderr)
        lines += scored(name)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--forms", action="store_true")
    given = parser.parse_args()
    if not given.names:
        print(page(library.metrics()), end="")
    for asked in given.names:
        if given.forms:
            print("\n".join(scored(asked)))
            continue
        its = analyse(asked)[0].program
        print(row(asked, its, measured(its)))
