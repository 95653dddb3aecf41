"""ir.Gradient → ir.Program: the best of a few forms of each output, proved, with shared code.

The passes, in order:

    kinks        minima, magnitudes and steps by what they have in common (`kinks`)
    candidates   as written; factored, over roots where sums of them have no factors (`radicals`);
                 term by term (each addend factored on its own); weights by partials
    admissible   as written only if it has no singularity that the lowest terms do not have
    logarithms   of quotients near 1 by the difference of both sides (`logarithms`)
    choice       free of cancellation first, then what subtracts least (`cancellation`) without
                 becoming long, then fewest operations, then nearest to the text
    code         fast extract over value and partials together, and over the weights
    proof        the code, inlined, equals the raw derivative: decided exactly, else compared

docs/numerics.md has the measurements that this order of choice stands on.

No pass searches: each does one thing once, under the budget of `algebra`. Where that is exceeded
the raw form is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import zip_longest
from typing import TypeAlias

import sympy

from metricc import ir
from metricc.algebra import Field, product_of, sign_of
from metricc.cancellation import RESULTS, absorbed, collected, subtracts
from metricc.errors import fail
from metricc.extract import extract, inline, operations
from metricc.factoring import TooLarge
from metricc.kinks import settled
from metricc.logarithms import apart, sharp
from metricc.numeric import Tape, mpf, sample
from metricc.radicals import MOST_WORK, Radicals
from metricc.select import Condition, LogRatio, assume, cases, conditions, joined

POINTS = 20  # at which two forms are compared
SPOT_POINTS = 2  # at which proved forms are looked at as well
MAX_POINTS = 400  # that are tried,
FEWEST = 60  # and so many at least where a formula is long:
MAX_STEPS = 1_000_000  # operations of all points together
MAX_CONDITIONS = 4  # of which every combination is simplified on its own
DIGITS = 50
LONGER = 4  # times the operations of the shortest form, where all cancel, for one that loses less
LONG = 2_000  # operations of a form that SymPy does not count
CANCELLED = mpf(10) ** 20  # at most so large
GUARD = 50  # more digits that the comparison's own sums may cancel


def simplify(gradient: ir.Gradient) -> ir.Program:
    """Choose, prove and schedule the forms of value, partials, weights and threshold."""
    metric = gradient.metric
    raw = gradient.raw
    found = conditions(raw["value"])
    found = found if len(found) <= MAX_CONDITIONS else []
    forms = [_Forms(gradient, raw, truths) for truths in cases(found)]
    others = tuple(p.name for p in metric.unknowns if not p.counted)
    choices: dict[str, str] = {}
    final: dict[str, sympy.Expr] = {}
    blocks = []
    for names in (ir.shared_outputs(metric), ir.weight_outputs(metric)):
        variants = []
        for spellings in zip_longest(*(f.spellings() for f in forms), fillvalue={}):
            chosen = [
                [f.choose(name, s) for f, s in zip(forms, spellings, strict=True)] for name in names
            ]
            leaves = [[expression for _, expression in outputs] for outputs in chosen]
            block = extract([joined(found, leaf) for leaf in leaves], others, metric.columns)
            labels = [_label([choice for choice, _ in outputs]) for outputs in chosen]
            variants.append((operations(block), block, labels))
        _, block, labels = min(variants, key=lambda variant: variant[0])
        blocks.append(block)
        choices |= dict(zip(names, labels, strict=True))
        final |= dict(zip(names, inline(block), strict=True))
    shared, weights = blocks
    proofs = _proofs(forms, metric.unknowns, raw, final)
    proved = {
        name: ir.Form(
            expression,
            choices[name],
            proofs[name],
            sign_of(expression, metric.nonnegative) is None,
        )
        for name, expression in final.items()
    }
    program = ir.Program(
        gradient,
        proved,
        _threshold(found, [_cut(f, final, metric) for f in forms]) if metric.single else None,
        shared,
        weights,
        metric.single and all(f.homogeneous(final, metric.cells) for f in forms),
    )
    program.validate()
    return program


def best_forms(gradient: ir.Gradient, names: Sequence[str]) -> dict[str, ir.Form]:
    """The best form of each of these outputs, proved; no code is made of them.

    For what is read and not compiled, such as the outputs of an `ir.Curvature`.
    """
    metric, raw = gradient.metric, gradient.raw
    found = conditions(raw["value"])
    found = found if len(found) <= MAX_CONDITIONS else []
    forms = [_Forms(gradient, raw, truths) for truths in cases(found)]
    spelled = [*zip_longest(*(f.spellings() for f in forms), fillvalue={})]
    choices: dict[str, str] = {}
    final: dict[str, sympy.Expr] = {}
    for name in names:
        options = []
        for spellings in spelled:
            chosen = [f.choose(name, s) for f, s in zip(forms, spellings, strict=True)]
            whole = joined(found, [expression for _, expression in chosen])
            whole = whole.replace(LogRatio, lambda above, below, _: sympy.log(above / below))
            cancels = sign_of(whole, metric.nonnegative) is None
            options.append((cancels, _length(whole), _label([c for c, _ in chosen]), whole))
        *_, choices[name], final[name] = min(options, key=lambda option: option[:2])
    proofs = _proofs(forms, metric.unknowns, {name: raw[name] for name in names}, final)
    return {
        name: ir.Form(
            expression, choices[name], proofs[name], sign_of(expression, metric.nonnegative) is None
        )
        for name, expression in final.items()
    }


def _threshold(
    found: Sequence[Condition], leaves: Sequence[sympy.Expr | None]
) -> sympy.Expr | None:
    """The threshold of every case in one; nan in the cases where no prediction matters."""
    if all(leaf is None for leaf in leaves):
        return None
    return joined(found, [sympy.nan if leaf is None else leaf for leaf in leaves])


def _cut(forms: _Forms, final: Mapping[str, sympy.Expr], metric: ir.Metric) -> sympy.Expr | None:
    """w_minus/(w_plus + w_minus) in lowest terms; None where no prediction matters.

    With columns it is a sample's own: the weights have its numbers in them.
    """
    w_plus, w_minus = (
        sympy.Add(
            assume(final[name], forms.truths),
            *(
                sympy.Symbol(column) * assume(final[f"{name}_{column}"], forms.truths)
                for column in metric.columns
            ),
        )
        for name in ("w_plus", "w_minus")
    )
    known = metric.nonnegative
    w_plus, w_minus = (forms.settle(_stepped(w, known)) for w in (w_plus, w_minus))
    total = w_plus + w_minus
    if total == 0:
        return None
    field = forms.field
    if metric.columns:
        field = Field([w_plus, w_minus], metric.nonnegative | set(metric.columns))
    try:
        coefficient, powers = field.factors(w_minus / total)
    except (TooLarge, ZeroDivisionError):
        return w_minus / total
    return product_of(coefficient, {absorbed(b, known): power for b, power in powers.items()})


def _stepped(expression: sympy.Expr, nonnegative: frozenset[str]) -> sympy.Expr:
    """The expression with the steps decided whose arguments have one sign inside the domain."""
    steps = {step: sign_of(step.args[0], nonnegative) for step in expression.atoms(sympy.Heaviside)}
    return expression.xreplace({s: sympy.Integer(sign > 0) for s, sign in steps.items() if sign})


def _label(labels: Sequence[str]) -> str:
    return labels[0] if len(set(labels)) == 1 else f"by cases: {', '.join(labels)}"


_Factors: TypeAlias = tuple[Fraction, dict[sympy.Expr, Fraction]]  # coefficient and powers


class _Forms:
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
        self.rooted: dict[sympy.Expr, list[_Factors]] = {}
        self.counts = frozenset(gradient.metric.variables)
        self.margins = _margins(gradient.metric.unknowns)
        self.parts = {name: [column[name] for column in columns] for name in raw}
        self.factored: dict[sympy.Expr, _Factors | None] = {}
        # The value's root, so that the partials are written with the same one.
        self.roots: dict[sympy.Expr, Fraction] = {}
        value = self.factors(raw["value"])
        if value is not None:
            self.roots = {b: e - int(e) for b, e in value[1].items() if e.denominator != 1}

    def factors(self, expression: sympy.Expr) -> _Factors | None:
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

    def over_roots(self, expression: sympy.Expr) -> list[_Factors]:
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
        candidates = candidates or [("as written", raw)]
        # A value has a limit of each of its logarithms at the edge, where one of both has none.
        sharp = self.sharp[1:] if name == "value" else self.sharp
        candidates = [(label, sharpened(form)) for sharpened in sharp for label, form in candidates]
        length = _length if any(_length(form) > LONG for _, form in candidates) else sympy.count_ops
        sizes = [length(form) for _, form in candidates]
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
                spelled = absorbed(base, self.nonnegative)
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
            return self.field.equal(euler, sympy.Integer(0))
        except (TooLarge, ZeroDivisionError):
            return False


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


def _length(expression: sympy.Expr) -> int:
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


def _proofs(
    forms: Sequence[_Forms],
    parameters: tuple[ir.Parameter, ...],
    raw: Mapping[str, sympy.Expr],
    final: Mapping[str, sympy.Expr],
) -> dict[str, str]:
    """How each of `final` was shown equal to `raw`; raises `AssertionError` where one is not."""
    proofs = {name: _procedure(forms, raw[name], expression) for name, expression in final.items()}
    # A proof is looked at in numbers too: the procedure could be at fault.
    compared: dict[str, int] = {}
    for wanted in (SPOT_POINTS, POINTS):
        names = [n for n, proof in proofs.items() if (SPOT_POINTS if proof else POINTS) == wanted]
        pairs = [(raw[name], final[name]) for name in names]
        compared |= dict(zip(names, _compared(parameters, pairs, wanted), strict=True))
    for name, proof in proofs.items():
        if not proof and not compared[name]:
            hint = "its roots or logarithms are of negative numbers"
            raise fail("MC0301", "the derivative has no real value anywhere", hint)
        proofs[name] = proof or f"compared: {compared[name]} points, {DIGITS} digits"
    return proofs


def _procedure(forms: Sequence[_Forms], raw: sympy.Expr, final: sympy.Expr) -> str:
    """The procedure that decides two expressions to be equal; empty where none does."""
    try:
        sides = [
            (f, f.settle(assume(raw, f.truths)), f.settle(assume(final, f.truths))) for f in forms
        ]
        if all(f.equal(one, two) for f, one, two in sides):
            procedures = {f.field.procedure(one) for f, one, _ in sides}
            return max(procedures, key=len) + (", case by case" if len(forms) > 1 else "")
    except (TooLarge, ZeroDivisionError):
        pass
    return ""


def _compared(
    parameters: tuple[ir.Parameter, ...],
    pairs: Sequence[tuple[sympy.Expr, sympy.Expr]],
    wanted: int,
) -> list[int]:
    """At how many points the two expressions of each pair were compared; `AssertionError` where
    they differ.

    All are evaluated together, since they share most of their parts.
    """
    compared = [0] * len(pairs)
    tape = Tape(expression for pair in pairs for expression in pair)
    enough = max(FEWEST, MAX_STEPS // max(1, len(tape.steps)))
    for number, point in enumerate(sample(parameters, MAX_POINTS) if pairs else ()):
        if number >= enough and all(compared):
            break
        found = tape.at(point, DIGITS + GUARD)
        for i, (first, second) in enumerate(zip(found[::2], found[1::2], strict=True)):
            if first is None or second is None or compared[i] == wanted:
                continue  # outside the domain of a root or logarithm
            (a, size), (b, other) = first, second
            # What cancels to exactly 0 leaves the rounding errors of what cancelled.
            allowed = max(min(size / 2, CANCELLED), abs(a), abs(b)) * mpf(10) ** -DIGITS
            if max(size, other) * mpf(10) ** -(DIGITS + GUARD) > allowed:
                continue  # more cancels here than the digits hold: such a point decides nothing
            if abs(a - b) > allowed:
                raise AssertionError(f"simplification changed {pairs[i][0]} to {pairs[i][1]}")
            compared[i] += 1
        if min(compared) == wanted:
            break
    return compared
