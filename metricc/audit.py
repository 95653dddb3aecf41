"""ir.Program → ir.Audit: what training on this metric means, from the signs of its weights.

`w_plus` is what moving a positive's prediction up is worth, `w_minus` what moving a negative's
down is worth. Both at least 0 everywhere: a score. Both at most 0: an error rate.
"""

from __future__ import annotations

import random

import sympy

from metricc import ir
from metricc.algebra import sign_of

POINTS = 200


def audit(program: ir.Program) -> ir.Audit:
    """Decide direction and degeneracy; proved by signs where they can be read off."""
    metric = program.metric
    weights = [program.forms[name].expression for name in ("w_plus", "w_minus")]
    signs = [_signs(w, metric) for w in weights]
    proved = all(how == "proved" for _, how in signs)
    found = signs[0][0] | signs[1][0]
    depends = any(w != 0 for w in weights)
    direction: ir.Direction = "mixed"
    if found <= {0, 1}:
        direction = "score"
    elif found <= {0, -1}:
        direction = "error rate"
    how = "proved from the signs of w_plus and w_minus" if proved else f"{POINTS} points"
    return ir.Audit(
        direction=direction,
        direction_proof=how if proved else f"sampled at {how}",
        degenerate=_degenerate(program, direction) if depends else "",
        depends=depends,
        homogeneous=program.homogeneous,
    )


def _signs(weight: sympy.Expr, metric: ir.Metric) -> tuple[set[int], str]:
    sign = sign_of(weight, metric.nonnegative)
    if sign is not None:
        return {sign}, "proved"
    generator = random.Random(0)
    found: set[int] = set()
    for _ in range(POINTS):
        # Cells over six decades, so that rare classes and near-perfect predictions are met.
        point = {
            s: sympy.Float(10 ** generator.uniform(-2, 4)) for s in weight.free_symbols
        } | _parameters(metric, generator)
        number = sympy.N(weight.xreplace(point), 15)
        if number.is_real and abs(number) > 1e-12:
            found.add(int(sympy.sign(number)))
    return found or {0}, "sampled"


def _parameters(
    metric: ir.Metric, generator: random.Random | None = None
) -> dict[sympy.Symbol, sympy.Expr]:
    """A value in range for each parameter: its default, or one inside its range."""
    values: dict[sympy.Symbol, sympy.Expr] = {}
    for parameter in metric.parameters:
        low = parameter.interval.low if parameter.interval is not None else None
        high = parameter.interval.high if parameter.interval is not None else None
        if generator is None:
            chosen = parameter.default if parameter.default is not None else inside(parameter)
        else:
            if parameter.interval is None and parameter.default is not None:
                chosen = float(parameter.default) * generator.uniform(0.5, 2)
            else:
                top = float(high) if high is not None else float(low or -5) + 10
                chosen = generator.uniform(float(low) if low is not None else top - 10, top)
        values[sympy.Symbol(parameter.name)] = sympy.Rational(str(chosen))
    return values


def inside(parameter: ir.Parameter) -> float:
    """A value that the parameter's range allows: its middle, or one step from its finite bound."""
    interval = parameter.interval
    if interval is None or (interval.low is None and interval.high is None):
        return 1.0
    if interval.low is not None and interval.high is not None:
        return float(interval.low + interval.high) / 2
    if interval.low is not None:
        return float(interval.low) + 0.5
    assert interval.high is not None
    return float(interval.high) - 0.5


def _degenerate(program: ir.Program, direction: ir.Direction) -> str:
    """The constant prediction that reaches the best value, or an empty string.

    With P positives and N negatives: all positive is (P, 0, N, 0), all negative (0, P, 0, N);
    a constant prediction but for one sure sample is their limit.
    """
    if direction == "mixed":
        return ""
    expression = program.forms["value"].expression
    fixed = _parameters(program.metric)
    positives, negatives, epsilon = sympy.Integer(3), sympy.Integer(7), sympy.Rational(1, 10**15)

    def at(*cells: sympy.Expr) -> float | None:
        names = sympy.symbols("TP FN FP TN")
        try:
            number = sympy.N(expression.xreplace(dict(zip(names, cells, strict=True)) | fixed), 30)
        except ValueError:  # a minimum or maximum of something undefined
            return None
        return float(number) if number.is_real and number.is_finite else None

    best = at(positives, epsilon, epsilon, negatives)
    constant = {
        "all positive": (positives, sympy.Integer(0), negatives, sympy.Integer(0)),
        "all negative": (sympy.Integer(0), positives, sympy.Integer(0), negatives),
        "almost all negative": (epsilon, positives - epsilon, epsilon**2, negatives),
        "almost all positive": (positives, epsilon**2, negatives - epsilon, epsilon),
    }
    for name, cells in constant.items():
        reached = at(*cells)
        if best is None or reached is None:
            continue
        sign = 1 if direction == "score" else -1
        unbounded = min(sign * best, sign * reached) > 1e9  # both go to infinity
        if unbounded or sign * (best - reached) < 1e-9:
            return name
    return ""
