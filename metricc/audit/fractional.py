"""MC0641: ratios of linear functions, and where their best threshold is. MC0642: linear costs.

With P and N fixed a metric is a function of TP and FP. Where that is a ratio of two linear
functions, the best predictions cut the probability of the positive class at a threshold that
follows from the best value alone (Koyejo et al. 2014). Any metric that more correct predictions
never lower is best at some threshold (Narasimhan et al. 2014), which then depends on the counts.
"""

from __future__ import annotations

from fractions import Fraction

import sympy

from metricc import ir
from metricc.algebra import Field, product_of
from metricc.audit import better, terms
from metricc.audit.corners import N, P
from metricc.audit.subject import Subject
from metricc.factoring import TooLarge
from metricc.numeric import Tape, mp, mpf, sample

TP, FN, FP, TN = map(sympy.Symbol, ("TP", "FN", "FP", "TN"))
KOYEJO = "Koyejo et al. 2014"
POINTS, DIGITS = 10, 80  # at which cross-ratios are looked at
CROSS_RATIO = f"proved: a cross-ratio of four values, at {DIGITS} digits"
LOWEST_TERMS = "proved: rational functions in lowest terms"
OF_EACH = "each class has its own best value and cut:"
TUNED = (
    "a threshold tuned on the scores of a model trained by cross-entropy reaches the same optimum"
)


def findings(subject: Subject) -> list[ir.Finding]:
    """The threshold law, where the task has thresholds."""
    audit = subject.audit
    if not audit.depends or subject.metric.task == "multiclass" or subject.metric.elements:
        return []
    if audit.linear:
        return [_linear(subject)]
    view = terms.one_table(subject)
    taken = {P.name, N.name} & {parameter.name for parameter in subject.metric.parameters}
    each = subject.metric.by_sample or subject.options.per == "sample"
    if view is None or view.metric.columns or each or taken:
        return []
    if not _rational(view) and _bent(view):
        return [_other(subject, view, CROSS_RATIO)]
    try:
        law = _law(view)
    except TooLarge:
        return [_other(subject, view, CROSS_RATIO)] if _bent(view) else []
    if law is None:
        return [_other(subject, view, LOWEST_TERMS)] if _rational(view) else []
    threshold, best = law
    evidence = f"proved: rational functions ({KOYEJO})"
    data: tuple[tuple[str, ir.Datum], ...] = (("linear_fractional", True),)
    fact = f"{view.name} is a ratio of linear functions of TP and FP"
    if better.settled(subject) is None:
        return [ir.Finding("MC0641", "note", fact, evidence, data=data)]
    fact += f": its best predictions cut calibrated probabilities at {threshold}"
    if threshold.has(best):
        fact += f", {best} being its best value"
    data += (("threshold", str(threshold)),)
    hint = TUNED if view.name == subject.name else f"{OF_EACH} {TUNED}"
    return [ir.Finding("MC0641", "note", fact, evidence, None, hint, data)]


def _rational(view: terms.View) -> bool:
    return bool(view.program.forms["value"].expression.is_rational_function())


def _bent(view: terms.View) -> bool:
    """Whether values along a line are not those of a ratio of linear functions.

    Those have the cross-ratio of the four points. TP goes up by 1, 2, 3 with P and N fixed, or FP.
    """
    tape = Tape([view.program.forms["value"].expression])
    for point in sample(view.metric.unknowns, POINTS):
        for to, of in ((TP, FN), (FP, TN)):
            with mp.workdps(DIGITS):  # TP + FN is the same at all four
                gone = [k * point[of] / 4 for k in range(4)]
                moved = [{**point, to: point[to] + x, of: point[of] - x} for x in gone]
                found = [number for at in moved for number in tape.at(at, DIGITS) if number]
                if len(found) < len(moved):
                    continue
                (a, _), (b, _), (c, _), (d, _) = found
                noise = mpf(10) ** (10 - DIGITS) * max(size for _, size in found) ** 2
                if abs(3 * (a - c) * (b - d) - 4 * (a - d) * (b - c)) > noise:
                    return True
    return False


def _law(view: terms.View) -> tuple[sympy.Expr, sympy.Symbol] | None:
    """The best threshold over the metric's best value, P, N and parameters; None where the metric
    is no ratio of linear functions, or is not seen to be one. Raises `TooLarge`."""
    value = view.program.forms["value"].expression
    for total, parts in ((P, (TP, FN)), (N, (FP, TN))):
        value = value.xreplace({parts[1]: sympy.Symbol(total.name) - parts[0]})
        # P as it is written: TP + (P - TP)
    held = {sympy.Symbol(total.name): total for total in (P, N)}
    value = _fixed(value.xreplace(held))
    names = frozenset(s.name for s in value.free_symbols) - {TP.name, FP.name}
    known = {P.name, N.name} | (view.metric.nonnegative & names) | {TP.name, FP.name}
    plain = value.xreplace({P: sympy.Symbol(P.name), N: sympy.Symbol(N.name)})
    try:
        coefficient, powers = Field([plain], frozenset(known)).factors(plain)
    except ZeroDivisionError:
        return None
    above = {b: p for b, p in powers.items() if p > 0}
    below = {b: -p for b, p in powers.items() if p < 0}
    ratio = [product_of(Fraction(1), part) for part in (above, below)]
    linear = [_linear_in_counts(part) for part in ratio]
    if None in linear:
        return None
    (a_tp, a_fp), (b_tp, b_fp) = linear  # type: ignore[misc]
    scale = sympy.Rational(coefficient)
    taken = {s.name for s in value.free_symbols}
    best = next(sympy.Symbol(n) for n in ("M", "M_best", "best_") if n not in taken)
    # w_plus and w_minus but for the common denominator, where the metric is M.
    plus, minus = scale * a_tp - best * b_tp, best * b_fp - scale * a_fp
    if sympy.expand(plus + minus) == 0:
        return None
    return _readable(minus, plus + minus), best


def _readable(above: sympy.Expr, below: sympy.Expr) -> sympy.Expr:
    found = sympy.factor(sympy.cancel(sympy.together(above / below)))
    expanded = sympy.cancel(found)
    return min((found, expanded), key=lambda e: (len(str(e)), str(e)))


def _fixed(value: sympy.Expr) -> sympy.Expr:
    """Minima, roots and logarithms that no prediction changes, each as one symbol."""
    found = {}
    for node in sympy.preorder_traversal(value):
        plain = node.is_Add or node.is_Mul or node.is_Symbol or node.is_Rational
        if plain or (node.is_Pow and node.exp.is_Integer) or node.has(TP) or node.has(FP):
            continue
        found[node] = sympy.Symbol(f"{node}")
    return value.xreplace(found)


def _linear_in_counts(part: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """The slopes in TP and FP of what is linear in them."""
    if any(node.has(TP) or node.has(FP) for node in part.atoms(sympy.Function)):
        return None
    try:
        polynomial = sympy.Poly(part, TP, FP)
    except sympy.PolynomialError:
        return None
    if polynomial.total_degree() > 1:
        return None
    return polynomial.coeff_monomial(TP), polynomial.coeff_monomial(FP)


def _linear(subject: Subject) -> ir.Finding:
    plus, minus = subject.audit.costs
    threshold = _of_totals(subject.plan)
    fact = f"{subject.name} is a linear cost: each positive weighs {plus} and each negative "
    fact += f"{minus}, whatever is predicted of others"
    hint = None
    if threshold is not None:
        fact += f"; its best predictions cut calibrated probabilities at {threshold}"
        hint = "cross-entropy with these weights, or that cut of a model without them, is as good"
        if threshold in (0, 1):
            hint = None  # MC0604 says what that is
        elif subject.audit.direction == "mixed":
            hint = "that cut reaches the optimum; weights below 0 are none for cross-entropy"
    data: tuple[tuple[str, ir.Datum], ...] = (
        ("positive", plus),
        ("negative", minus),
        ("threshold", None if threshold is None else str(threshold)),
    )
    evidence = "proved: rational functions (Elkan 2001)"
    return ir.Finding("MC0642", "note", fact, evidence, None, hint, data)


def _of_totals(plan: ir.Plan) -> sympy.Expr | None:
    """The threshold over P and N: it is the same for all predictions, and so for the right ones."""
    threshold = plan.program.threshold
    if threshold is None:
        return None
    right = {}
    for column in ("", *(f"_{column}" for column in plan.metric.columns)):
        for total, of in ((P, FN), (N, FP)):
            right[sympy.Symbol(f"T{total.name}{column}")] = sympy.Symbol(f"{total.name}{column}")
            right[sympy.Symbol(f"{of.name}{column}")] = sympy.Integer(0)
    found = threshold.xreplace(right)
    if found.has(sympy.nan, sympy.zoo, sympy.oo):
        return threshold
    return _readable(*sympy.fraction(sympy.together(_fixed(found))))


def _other(subject: Subject, view: terms.View, evidence: str) -> ir.Finding:
    fact = f"{view.name} is no ratio of linear functions of TP and FP"
    hint = None
    if better.settled(subject) is not None:
        fact += ": some threshold is the best, and where it is depends on the counts there, by "
        fact += "w_minus/(w_plus + w_minus)"
        hint = "tune the threshold on scores: some threshold is optimal (Narasimhan et al. 2014)"
    data: tuple[tuple[str, ir.Datum], ...] = (("linear_fractional", False),)
    return ir.Finding("MC0641", "note", fact, evidence, None, hint, data)
