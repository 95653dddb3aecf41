"""What a form's sums subtract: whether they may lose digits, and whose fault that is.

A sum of counts' products with both signs loses no more than the result's own condition says: its
terms are rounded once or twice, and no algebra makes them meet without subtracting. A sum of what
was divided, rooted or sums itself is of another kind: TP/(TP + FN) + TN/(TN + FP) - 1 loses what
TP*TN - FN*FP over (TP + FN)*(TN + FP) keeps. What subtracts parameters alone, as 1 - t does, is
rounded once and loses nothing; what a step compares decides a side and is not kept.
"""

from __future__ import annotations

import sympy

from metricc.signs import sign_of

NONE, COUNTS, RESULTS = range(3)


def subtracts(
    expression: sympy.Expr, nonnegative: frozenset[str], counts: frozenset[str] | None = None
) -> int:
    """What an expression subtracts: `NONE`, products of `COUNTS` alone, or `RESULTS` of other
    operations, and then more where more of its sums do.

    `nonnegative` are the names of symbols that are at least 0; all symbols but `counts` are
    parameters (None: no symbol is).
    """
    known: dict[sympy.Expr, int] = {}
    signs: dict[sympy.Expr, int | None] = {}
    small: dict[sympy.Expr, bool] = {}

    def of_parameters(node: sympy.Expr) -> bool:
        """Whether a part is a polynomial in parameters alone."""
        if node not in small:
            if node.is_Symbol:
                small[node] = node.name not in (counts or ())
            elif node.is_Pow:
                whole = node.exp.is_Integer and node.exp > 0
                small[node] = bool(whole) and of_parameters(node.base)
            else:
                whole = node.is_Add or node.is_Mul or node.is_Rational
                small[node] = bool(whole) and all(map(of_parameters, node.args))
        return small[node]

    def given(node: sympy.Expr) -> bool:
        """Whether a part is rounded once at most: a step, or a sum of parameters or of steps."""
        if isinstance(node, sympy.Heaviside):
            return True
        if not node.is_Add:
            return False
        steps = (factor for term in node.args for factor in sympy.Mul.make_args(term))
        if all(factor.is_Rational or isinstance(factor, sympy.Heaviside) for factor in steps):
            return True
        return counts is not None and of_parameters(node)

    subtracting = 0

    def look(node: sympy.Expr) -> int:
        if node not in known:
            found = NONE if given(node) else max(map(look, node.args), default=NONE)
            if node.is_Add and not given(node) and sign_of(node, nonnegative, signs) is None:
                own = all(_product(term) for term in node.args)
                nonlocal subtracting
                subtracting += not own
                found = max(found, COUNTS if own else RESULTS)
            known[node] = found
        return known[node]

    def _product(term: sympy.Expr) -> bool:
        """Whether a term is a number times powers of symbols, nothing being divided."""
        return all(
            factor.is_Rational
            or factor.is_Symbol
            or (factor.is_Add and of_parameters(factor) and given(factor))
            or (
                factor.is_Pow and factor.base.is_Symbol and factor.exp.is_Integer and factor.exp > 0
            )
            for factor in (term.args if term.is_Mul else (term,))
        )

    found = look(expression)
    return found + subtracting - 1 if found == RESULTS else found


def collected(
    polynomial: sympy.Expr, nonnegative: frozenset[str], counts: frozenset[str]
) -> sympy.Expr:
    """A polynomial as a sum of products of counts, each with one coefficient of parameters, where
    one of these subtracts: what c_fn*FP - c_fp*FP loses, (c_fn - c_fp)*FP does not."""
    symbols = polynomial.free_symbols
    own = sorted((s for s in symbols if s.name in counts), key=str)
    if not own or len(own) == len(symbols) or not polynomial.is_polynomial(*symbols):
        return polynomial
    terms = sympy.Poly(polynomial, *own).terms()
    if all(sign_of(c, nonnegative) is not None for _, c in terms):
        return polynomial
    products = (c * sympy.Mul(*map(sympy.Pow, own, powers)) for powers, c in terms)
    return sympy.Add(*products)


def absorbed(
    expression: sympy.Expr,
    nonnegative: frozenset[str],
    known: dict[sympy.Expr, sympy.Expr] | None = None,
) -> sympy.Expr:
    """The sums of an expression with a minimum or maximum among their terms as that minimum of
    sums, where less is subtracted so: P + N - max(P, N) is min(N, P). `known` keeps what was found
    from one question to the next."""
    known = {} if known is None else known
    if expression not in known:
        known[expression] = _absorbed(expression, nonnegative, known)
    return known[expression]


def _absorbed(
    expression: sympy.Expr, nonnegative: frozenset[str], known: dict[sympy.Expr, sympy.Expr]
) -> sympy.Expr:
    arguments = [absorbed(a, nonnegative, known) for a in expression.args]
    if any(one is not two for one, two in zip(arguments, expression.args, strict=True)):
        expression = expression.func(*arguments)
    if not expression.is_Add:
        return expression
    best = expression
    for term in expression.args:
        number, inner = term.as_coeff_Mul()
        if isinstance(inner, sympy.Min | sympy.Max) and all(a.is_polynomial() for a in inner.args):
            turned = {sympy.Min: sympy.Max, sympy.Max: sympy.Min}
            kind = type(inner) if number > 0 else turned[type(inner)]
            rest = [a for a in expression.args if a != term and a.is_polynomial()]
            left = [a for a in expression.args if a != term and not a.is_polynomial()]
            if not rest:
                continue
            shifted = (sympy.expand(sympy.Add(*rest, number * a)) for a in inner.args)
            other = sympy.Add(kind(*shifted), *left)
            if subtracts(other, nonnegative) < subtracts(best, nonnegative):
                best = other
    several = _of_sides(expression)
    ranks = [(subtracts(form, nonnegative), sympy.count_ops(form)) for form in (best, several)]
    return several if ranks[1] < ranks[0] else best


def _of_sides(expression: sympy.Expr) -> sympy.Expr:
    """A sum with every min(0, a - b) in it as min(a, b) - b: what is outside may then cancel."""
    minima, rest = [], []
    for term in expression.args:
        number, inner = term.as_coeff_Mul()
        difference = sympy.Add(*inner.args) if isinstance(inner, sympy.Min) else sympy.Integer(0)
        terms = difference.args if difference.is_Add and 0 in inner.args else ()
        below = -sympy.Add(*(t for t in terms if t.could_extract_minus_sign()))
        if below == 0 or len(inner.args) > 2 or not difference.is_polynomial():
            rest.append(term)
            continue
        minima.append(number * sympy.Min(difference + below, below))
        rest.append(-number * below)
    return sympy.Add(*minima, sympy.expand(sympy.Add(*rest))) if len(minima) > 1 else expression
