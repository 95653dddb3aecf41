"""The forms that an output of a metric's gradient may take, and which of them is the best.

    candidates   as written; factored, over roots where sums of them have no factors (`radicals`);
                 term by term (each addend factored on its own); weights by partials; by the
                 sides of steps
    admissible   as written only if it has no singularity that the lowest terms do not have
    logarithms   of quotients near 1 by the difference of both sides (`logarithms`)
    choice       free of cancellation first, then what subtracts least (`cancellation`) without
                 becoming long, then fewest operations, then nearest to the text

docs/numerics.md has the measurements that this order of choice stands on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import product
from typing import TypeAlias

import sympy

from metricc import ir
from metricc.algebra import Field
from metricc.cancellation import RESULTS, absorbed, collected, subtracts
from metricc.factoring import TooLarge
from metricc.kinks import settled
from metricc.logarithms import apart, sharp
from metricc.radicals import MOST_WORK, Radicals
from metricc.select import Condition, assume
from metricc.signs import parts_of

LONGER = 4  # times the operations of the shortest form, where all cancel, for one that loses less
STEPS = 3  # in each other, of which every side is spelled on its own
LONG = 2_000  # operations of a form that SymPy does not count

Factors: TypeAlias = tuple[Fraction, dict[sympy.Expr, Fraction]]  # coefficient and powers


class Forms:
    """The candidate forms of each output of one gradient, where its conditions hold or do not."""

    def __init__(
        self,
        gradient: ir.Gradient,
        raw: Mapping[str, sympy.Expr],
        truths: Mapping[Condition, bool],
    ) -> None:
        self.truths = truths
        self.raw = raw = {name: assume(e, truths) for name, e in raw.items()}
        self.nonnegative = gradient.metric.nonnegative
        columns = [
            gradient.outputs(tuple(assume(e, truths) for e in (p.expression, *p.partials)))
            for p in gradient.parts
        ]
        everything = [*raw.values(), *(column["value"] for column in columns)]
        self.settle = settled(raw["value"], self.nonnegative)
        self.field = Field(map(self.settle, everything), self.nonnegative)
        self.sharp = [sharp(self.nonnegative, merging) for merging in (2, 1, 0)]
        self.radicals: list[Radicals] = []
        self.lost: dict[sympy.Expr, int] = {}
        self.absorbing: dict[sympy.Expr, sympy.Expr] = {}
        self.rooted: dict[sympy.Expr, list[Factors]] = {}
        self.counts = frozenset(gradient.metric.variables)
        self.margins = _margins(gradient.metric.unknowns)
        self.parts = {name: [column[name] for column in columns] for name in raw}
        self.factored: dict[sympy.Expr, Factors | None] = {}
        # The value's root, so that the partials are written with the same one.
        self.roots: dict[sympy.Expr, Fraction] = {}
        value = self.factors(raw["value"])
        if value is not None:
            self.roots = {b: e - int(e) for b, e in value[1].items() if e.denominator != 1}

    def factors(self, expression: sympy.Expr) -> Factors | None:
        """Coefficient and factors in lowest terms, or None above the budget."""
        if expression not in self.factored:
            try:
                self.factored[expression] = self.field.factors(self.settle(expression))
            except (TooLarge, ZeroDivisionError):
                self.factored[expression] = None
        return self.factored[expression]

    def equal(self, one: sympy.Expr, two: sympy.Expr) -> bool:
        """Whether two settled expressions are proved to be the same function."""
        with suppress(TooLarge):
            if self.field.equal(one, two):
                return True
        if not one.has(sympy.log):
            return False
        one, two = apart(one, self.nonnegative), apart(two, self.nonnegative)
        return Field([one, two], self.nonnegative, MOST_WORK).equal(one, two)

    def over_roots(self, expression: sympy.Expr) -> list[Factors]:
        """The same with roots as variables: where a sum of different roots has no factors."""
        if not self.radicals:
            given = [self.settle(raw) for raw in self.raw.values()]
            self.radicals = [Radicals(given, self.nonnegative, above) for above in (True, False)]
        if expression not in self.rooted:
            found = self.rooted[expression] = []
            for radicals in self.radicals:
                with suppress(TooLarge, ZeroDivisionError):
                    found.append(radicals.factors(self.settle(expression)))
        return self.rooted[expression]

    def loses(self, expression: sympy.Expr) -> int:
        """How a form cancels (`cancellation`), ranges of parameters being known."""
        if expression not in self.lost:
            self.lost[expression] = self._loses(expression)
        return self.lost[expression]

    def _loses(self, expression: sympy.Expr) -> int:
        for margin, positive in self.margins.items():
            expression = expression.xreplace({margin: positive, -margin: -positive})
        known = self.nonnegative | {positive.name for positive in self.margins.values()}
        return subtracts(expression, known, self.counts)

    def spellings(self) -> list[dict[sympy.Expr, sympy.Expr]]:
        """How factors may be spelled: expanded, and as sums that stand in the user's text."""
        written: dict[sympy.Expr, sympy.Expr] = {}
        value = self.raw["value"]
        rooted = _rooted(value)
        for node in _in_order(value):
            if node.is_Add and node not in rooted:
                found = self.factors(node)
                if found is not None and list(found[1].values()) == [1]:
                    (factor,) = found[1]
                    scale = sympy.Rational(found[0].numerator, found[0].denominator)
                    if node != scale * factor and self.loses(node) <= self.loses(factor):
                        written[factor] = node / scale
        return [written, {}] if written else [{}]

    def choose(
        self, name: str, spellings: Mapping[sympy.Expr, sympy.Expr]
    ) -> tuple[str, sympy.Expr]:
        """The best form of an output and what the choice is called."""
        raw = self.raw[name]
        candidates: list[tuple[str, sympy.Expr]] = []
        if self.admissible(raw):
            candidates.append(("as written", raw))
        whole = self.spelled(raw, spellings)
        if whole is not None:
            candidates.append(("factored", whole))
        parts = [self.spelled(part, spellings) for part in self.parts[name]]
        if len(parts) > 1 and None not in parts:
            total = sympy.Add(*(p for p in parts if p is not None))
            if self.admissible(total):
                candidates.append(("term by term", total))
        least = min((self.loses(form) for _, form in candidates), default=RESULTS + 1)
        if name.startswith("w_") and least:
            total = self.of_partials(name, spellings)
            if self.loses(total) < least and self.admissible(total):
                candidates.append(("by partials", total))
        sides = self.by_sides(self.settle(raw), spellings)
        if sides is not None and self.loses(sides) <= least:
            candidates.append(("by sides", sides))
        candidates = candidates or [("as written", raw)]
        # A value has a limit of each of its logarithms at the edge, where one of both has none.
        sharp = self.sharp[1:] if name == "value" else self.sharp
        candidates = [(label, sharpened(form)) for sharpened in sharp for label, form in candidates]
        measure = length if any(length(form) > LONG for _, form in candidates) else sympy.count_ops
        sizes = [measure(form) for _, form in candidates]
        # What cancels anyway may not become long for the sake of where it does.
        fair = [
            (self.loses(form), size, place)
            for place, ((_, form), size) in enumerate(zip(candidates, sizes, strict=True))
            if not self.loses(form) or size <= LONGER * min(sizes)
        ]
        return candidates[min(fair)[2]]

    def of_partials(self, name: str, spellings: Mapping[sympy.Expr, sympy.Expr]) -> sympy.Expr:
        """A weight as the difference of the best forms of its two partials."""
        _, side, *column = name.split("_", 2)
        up, down = ("TP", "FN") if side == "plus" else ("TN", "FP")
        ending = "".join(f"_{c}" for c in column)
        (_, one), (_, two) = (self.choose(f"M_{cell}{ending}", spellings) for cell in (up, down))
        return one - two

    def by_sides(
        self, expression: sympy.Expr, spellings: Mapping[sympy.Expr, sympy.Expr], deep: int = 0
    ) -> sympy.Expr | None:
        """What stands on either side of a step, each in its own form, times the step to that side.

        None where the expression is not linear in its steps, or has too many.
        """
        found = (part for part in parts_of(expression) if isinstance(part, sympy.Heaviside))
        steps = sorted(found, key=sympy.default_sort_key)
        if not steps:
            return self.spelled(expression, spellings) if deep else None
        if deep == STEPS:
            return None
        with suppress(TooLarge, ZeroDivisionError):
            alone = self.one_by_one(expression, steps, spellings) if len(steps) > 1 else None
            if alone is not None:
                return alone
            step = steps[0]
            above, below = (expression.xreplace({step: sympy.Integer(side)}) for side in (1, 0))
            if self.field.equal(expression, step * above + (1 - step) * below):
                one, two = (self.by_sides(side, spellings, deep + 1) for side in (above, below))
                if one is not None and two is not None:
                    return step * one + sympy.Heaviside(-step.args[0]) * two
        return None

    def one_by_one(
        self,
        expression: sympy.Expr,
        steps: Sequence[sympy.Expr],
        spellings: Mapping[sympy.Expr, sympy.Expr],
    ) -> sympy.Expr | None:
        """A sum of steps, each to a side of its own and times something of its own, as the
        derivative of minima is, or of such sums' difference; None where it is none."""
        sides = [(side,) * len(steps) for side in (0, 1)]
        if len(steps) <= STEPS:
            sides = [*product((0, 1), repeat=len(steps))]
        for base in sides:
            off = {s: sympy.Integer(side) for s, side in zip(steps, base, strict=True)}
            if not self.field.equal(expression.xreplace(off), sympy.Integer(0)):
                continue
            own = [expression.xreplace({**off, step: 1 - off[step]}) for step in steps]
            taken = [1 - s if off[s] else s for s in steps]
            if self.field.equal(expression, sympy.Add(*map(sympy.Mul, taken, own))):
                on = [sympy.Heaviside(-s.args[0]) if off[s] else s for s in steps]
                found = self.times(on, own, spellings)
                if found is not None:
                    return found
        # Differences of such sums are sums of signs, 1 - 2 step.
        half = dict.fromkeys(steps, sympy.Rational(1, 2))
        own = [expression.xreplace({**half, step: sympy.Integer(0)}) for step in steps]
        signs = [1 - 2 * step for step in steps]
        if self.field.equal(expression, sympy.Add(*map(sympy.Mul, signs, own))):
            return self.times(signs, own, spellings)
        return None

    def times(
        self,
        steps: Sequence[sympy.Expr],
        own: Sequence[sympy.Expr],
        spellings: Mapping[sympy.Expr, sympy.Expr],
    ) -> sympy.Expr | None:
        """The sum of steps, or signs, times what is their own, spelled; None above the budget."""
        parts = [self.spelled(part, spellings) for part in own]
        return None if None in parts else _over_one(steps, parts)

    def admissible(self, expression: sympy.Expr) -> bool:
        """Whether every denominator in `expression` is one of its lowest terms too.

        A removable 0/0 takes its limit, and only the lowest terms compute it.
        """
        lowest = self.factors(expression)
        if lowest is None:
            return True  # not decided; the raw form is all there is
        allowed = {base for base, exponent in lowest[1].items() if exponent < 0}
        for node in _in_order(expression):
            if node.is_Pow and node.exp.is_negative:
                found = self.factors(node.base)
                if found is None or not {b for b in found[1] if b.free_symbols} <= allowed:
                    return False
        return True

    def spelled(
        self, expression: sympy.Expr, spellings: Mapping[sympy.Expr, sympy.Expr]
    ) -> sympy.Expr | None:
        """The factored form: coefficient · rational factors · one root."""
        found = self.factors(expression)
        options = [found] if found is not None else []
        if found is None and _rooted(expression):
            options = self.over_roots(expression)
        forms = [self._spelled(*option, spellings) for option in options]
        return min(forms, key=self.loses, default=None)

    def _spelled(
        self,
        coefficient: Fraction,
        powers: Mapping[sympy.Expr, Fraction],
        spellings: Mapping[sympy.Expr, sympy.Expr],
    ) -> sympy.Expr:
        roots = {b: e - int(e) for b, e in powers.items() if e.denominator != 1}
        rest = (powers.get(base, Fraction(0)) - root for base, root in self.roots.items())
        if roots and set(roots) <= set(self.roots) and all(r.denominator == 1 for r in rest):
            roots = self.roots
        above: list[sympy.Expr] = []
        below: list[sympy.Expr] = []
        outside = [sympy.Rational(coefficient.numerator, coefficient.denominator)]
        for base in sorted({*powers, *roots}, key=sympy.default_sort_key):
            spelled = spellings.get(base)
            if spelled is None:
                spelled = absorbed(base, self.nonnegative, self.absorbing)
                spelled = collected(spelled, self.nonnegative, self.counts)
            root = roots.get(base, Fraction(0))
            whole = powers.get(base, Fraction(0)) - root
            outside.append(spelled ** sympy.Rational(whole.numerator, whole.denominator))
            if abs(root) == Fraction(1, 2):
                (above if root > 0 else below).append(spelled)
            elif root:
                outside.append(spelled ** sympy.Rational(root.numerator, root.denominator))
        if above:
            outside.append(sympy.sqrt(sympy.Mul(*above) / sympy.Mul(*below)))
        elif below:
            outside.append(1 / sympy.sqrt(sympy.Mul(*below)))
        return sympy.Mul(*outside)

    def homogeneous(self, final: Mapping[str, sympy.Expr], cells: Sequence[str]) -> bool:
        """Whether the metric is proved independent of the batch's size (Euler: Σ c·M_c = 0)."""
        partials = (sympy.Symbol(c) * assume(final[f"M_{c}"], self.truths) for c in cells)
        euler = sympy.Add(*partials)
        try:
            return self.field.equal(self.settle(euler), sympy.Integer(0))
        except (TooLarge, ZeroDivisionError):
            return False


def _over_one(steps: Sequence[sympy.Expr], parts: Sequence[sympy.Expr]) -> sympy.Expr:
    """The sum of steps, or signs, times parts; over one denominator where one part's holds those of
    the others, so that what vanishes together is one 0/0."""
    fractions = [sympy.fraction(part) for part in parts]
    powers = [below.as_powers_dict() for _, below in fractions]
    for (_, below), own in zip(fractions, powers, strict=True):
        # Of powers with counts in the exponent nothing is known.
        spare = (sympy.Add(own[b], -power) for other in powers for b, power in other.items())
        if all(left.is_nonnegative for left in spare):
            above = (s * n * (below / d) for s, (n, d) in zip(steps, fractions, strict=True))
            return sympy.Add(*above) / below
    return sympy.Add(*map(sympy.Mul, steps, parts))


def _margins(unknowns: Sequence[ir.Parameter]) -> dict[sympy.Expr, sympy.Symbol]:
    """high - p for every parameter p of at most `high`, with a symbol that stands for it."""
    ranges = ((p.name, p.interval) for p in unknowns)
    highest = {name: i.high for name, i in ranges if i is not None and i.high is not None}
    return {
        sympy.Rational(high.numerator, high.denominator) - sympy.Symbol(name): sympy.Symbol(
            f"_{name}"
        )
        for name, high in highest.items()
    }


def length(expression: sympy.Expr) -> int:
    """Operations of an expression, much as `sympy.count_ops` counts them; a part that stands in
    several places is walked through once."""
    known: dict[sympy.Expr, int] = {}

    def count(node: sympy.Expr) -> int:
        if node not in known:
            known[node] = len(node.args) - 1 + sum(map(count, node.args)) if node.args else 0
        return known[node]

    return count(expression)


def _in_order(expression: sympy.Expr) -> list[sympy.Expr]:
    """The parts of an expression in the order in which a reader meets them, each once."""
    seen: dict[sympy.Expr, None] = {}
    stack = [expression]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack += reversed(node.args)
    return [*seen]


def _rooted(expression: sympy.Expr) -> set[sympy.Expr]:
    """The parts of an expression that hold a power whose exponent is no integer."""
    found: dict[sympy.Expr, bool] = {}

    def look(node: sympy.Expr) -> bool:
        if node not in found:
            inner = [look(argument) for argument in node.args]
            found[node] = any(inner) or bool(node.is_Pow and not node.exp.is_Integer)
        return found[node]

    look(expression)
    return {node for node, holds in found.items() if holds}
