"""The page docs/proofs.md: how the forms of the library's derivatives are proved.

python docs/tables/proofs.py > docs/proofs.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from metricc import ir, library
from metricc.compiler import analyse
from metricc.hessian import hessian

RARE = 12  # metrics that are named


def table(found: Mapping[str, Mapping[str, ir.Form]]) -> list[str]:
    """One row for every procedure, from the forms by metric."""
    counts: Counter[str] = Counter()
    metrics: dict[str, dict[str, None]] = {}
    for name, forms in found.items():
        for form in forms.values():
            counts[form.proof] += 1
            metrics.setdefault(form.proof, {})[name] = None
    lines = ["| how | forms | share | metrics |", "|---|---|---|---|"]
    for proof in sorted(counts, key=lambda proof: (not proof.startswith("proved"), -counts[proof])):
        share = f"{100 * counts[proof] / counts.total():.1f} %"
        lines.append(f"| {proof} | {counts[proof]} | {share} | {_named(metrics[proof])} |")
    proved = sum(counts[proof] for proof in counts if proof.startswith("proved"))
    share = f"{100 * proved / counts.total():.1f} %"
    return [*lines, f"| **proved** | **{proved} of {counts.total()}** | **{share}** | |"]


def _named(metrics: Iterable[str]) -> str:
    names = [*metrics]
    return f"{len(names)}" if len(names) > RARE else ", ".join(f"`{name}`" for name in names)


TEXT = """\
# How derivatives are proved

Made by `python docs/tables/proofs.py > docs/proofs.md`; a test keeps it current.

Every form that metricc chooses, of the value, each partial and each weight, is shown equal to what
differentiation gave. Where a decision procedure covers it, that is a proof; else both are compared
at 20 points with 50 digits. `metricc derive` lists which, for every output, and so do `derive
--format json` and the report of `metricc verify`.

The procedures, all in one algebra:

- **rational functions**: quotients over irreducible factors in lowest terms, which are unique.
- **roots as powers of their factors**: `sqrt(P*PP)` is `P^(1/2)*PP^(1/2)`. Different products of
  such powers are linearly independent over the rational functions, so sums of them are equal where
  their coefficients are. A sum of roots in a denominator is multiplied by its conjugates, for roots
  whose order has no primes but 2 and 3: 1/(sqrt(a) + sqrt(b)) is (sqrt(a) - sqrt(b))/(a - b). What
  has no such factors, as in sqrt(1 + sqrt(a)) and sqrt(a - b), is one itself: its root's square.
- **functions as variables**: logarithms, exponentials, minima, maxima and their steps, and powers
  with a parameter in the exponent, each a variable of its own. Equality found so holds for any
  values of theirs.
- **case by case**: both branches of every condition, each by the above.

All of it is counted work with a budget; a form beyond it is compared. The library
has {metrics} metrics.

## First derivatives

{first}

## Second derivatives

Of the {single} metrics of one table, in the counts and along the moves of predictions
([second derivatives](second-derivatives.md)).

{second}
"""


def page() -> str:
    plans = {name: analyse(name)[0] for name in library.metrics()}
    single = {name: plan for name, plan in plans.items() if plan.metric.single}
    return TEXT.format(
        metrics=len(plans),
        single=len(single),
        first="\n".join(table({name: plan.forms for name, plan in plans.items()})),
        second="\n".join(table({name: hessian(plan).forms for name, plan in single.items()})),
    )


if __name__ == "__main__":
    print(page(), end="")
