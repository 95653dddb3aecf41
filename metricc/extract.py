"""SymPy expressions → straight-line code with shared sums and products, and back.

`network` finds what the expressions share; here the nodes that are used more than once become
assignments and the others are written where they are used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

import sympy

from metricc import ir, syntax
from metricc.errors import fail
from metricc.functions import CELLS, DERIVED_COUNTS, DERIVED_FUNCTIONS, FUNCTIONS, cells_of
from metricc.network import MAX_DEGREE, Call, Literal, Network, Sum, Term, term_of
from metricc.select import Select

MAX_DEPTH = 8  # nodes inside nodes, without a name for one of them: deeper code cannot be read


def extract(
    expressions: Sequence[sympy.Expr], parameters: Sequence[str], columns: Sequence[str] = ()
) -> ir.Block:
    """Straight-line code for `expressions` over cells, those of `columns` too, and `parameters`.

    Names are the field's where a sum of cells has one (P, PP, P_amount ...), else x1, x2 ...
    """
    network = Network(tuple(parameters))
    outputs = [network.node(network.sum(e)) for e in expressions]
    network.extract()
    return _Writer(network, outputs, columns).block()


def operations(block: ir.Block) -> int:
    """Additions, products, quotients, powers, negations and calls, as `sympy.count_ops` does."""
    total = 0
    for expression in (*(e for _, e in block.assignments), *block.results):
        for node in syntax.walk(expression):
            match node:
                case syntax.Sum() | syntax.Product():
                    total += len(node.operands) - 1
                case syntax.Negation() | syntax.Power() | syntax.Call() | syntax.Conditional():
                    total += 1
    return total


# -- writing ----------------------------------------------------------------------------------


class _Writer:
    """The network as code: nodes used once inline, the others as named assignments."""

    def __init__(self, network: Network, outputs: list[str], columns: Sequence[str]) -> None:
        self.network = network
        self.counts = (*CELLS, *(cell for column in columns for cell in cells_of(column)))
        self.sums = dict(DERIVED_COUNTS)
        for column in columns:
            for cells, name in DERIVED_COUNTS.items():
                self.sums[frozenset(f"{cell}_{column}" for cell in cells)] = f"{name}_{column}"
        self.outputs = outputs
        self.order: list[str] = []
        self.uses: Counter[str] = Counter(outputs)
        seen: set[str] = set()
        for output in outputs:
            self.visit(output, seen)
        self.names: dict[str, str] = {}
        self.assignments: list[tuple[str, syntax.Expression]] = []

    def atoms(self, name: str) -> list[str]:
        content = self.network.nodes[name]
        if isinstance(content, Call):
            return list(content.arguments)
        ordered = sorted(content.items(), key=lambda item: self.term_key(*item))
        return [a for term, _ in ordered for a, _ in sorted(term, key=self.literal_key)]

    def visit(self, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        for atom in self.atoms(name):
            if atom.startswith("%"):
                self.uses[atom] += 1
                self.visit(atom, seen)
        self.order.append(name)

    def atom_key(self, atom: str) -> tuple[int, int, str]:
        if atom in self.network.parameters:
            return 0, self.network.parameters.index(atom), ""
        if atom in self.counts:
            return 1, self.counts.index(atom), ""
        return 2, int(atom[1:]), ""

    def literal_key(self, literal: Literal) -> tuple[int, int, str]:
        return self.atom_key(literal[0])

    def term_key(self, term: Term, coefficient: Fraction) -> tuple[object, ...]:
        cells = sorted((self.atom_key(a), -e) for a, e in term if a not in self.network.parameters)
        rest = sorted((self.atom_key(a), -e) for a, e in term if a in self.network.parameters)
        return coefficient < 0, not term, cells, [(k, e) for k, e in rest]

    def trivial(self, name: str) -> bool:
        """Whether a node is shorter than a name for it: one factor, or a number."""
        content = self.network.nodes[name]
        if isinstance(content, Call):
            return False
        if len(content) > 1:
            return False
        ((term, coefficient),) = content.items() or [((), Fraction(0))]
        return not term or (len(term) == 1 and term[0][1] == 1 and coefficient == 1)

    def block(self) -> ir.Block:
        depths: dict[str, int] = {}
        for name in self.order:
            depths[name] = 1 + max((depths.get(atom, 0) for atom in self.atoms(name)), default=0)
            shared = self.uses[name] > 1 or (depths[name] > MAX_DEPTH and name not in self.outputs)
            if shared and not self.trivial(name):
                depths[name] = 0
                expression = self.expression(name)
                self.names[name] = self.name(name)
                self.assignments.append((self.names[name], expression))
        results = tuple(self.reference(output) for output in self.outputs)
        return ir.Block(tuple(self.assignments), results)

    def name(self, node: str) -> str:
        taken = {*self.names.values(), *self.network.parameters}
        cells = self.cells(node)
        if cells is not None and (named := self.sums.get(cells)) and named not in taken:
            return named
        content = self.network.nodes[node]
        if isinstance(content, Call) and content.function == "sqrt" and "root" not in taken:
            return "root"
        index = 1
        while f"x{index}" in taken:
            index += 1
        return f"x{index}"

    def cells(self, node: str) -> frozenset[str] | None:
        """The cells that a node is the plain sum of, or None."""
        content = self.network.nodes[node]
        if isinstance(content, Call) or set(content.values()) != {Fraction(1)}:
            return None
        found: set[str] = set()
        for term in content:
            if len(term) != 1 or term[0][1] != 1:
                return None
            atom = term[0][0]
            part = frozenset({atom}) if atom in self.counts else None
            if atom.startswith("%"):
                part = self.cells(atom)
            if part is None or part & found:
                return None
            found |= part
        return frozenset(found)

    def reference(self, atom: str) -> syntax.Expression:
        if not atom.startswith("%"):
            return syntax.Name(atom)
        if atom in self.names:
            return syntax.Name(self.names[atom])
        return self.expression(atom)

    def expression(self, node: str) -> syntax.Expression:
        content = self.network.nodes[node]
        if isinstance(content, Call):
            arguments = [self.reference(a) for a in content.arguments]
            if content.function == "power":
                return syntax.Power(arguments[0], arguments[1])
            if content.function == "select":
                left, right, then, otherwise = arguments
                less = syntax.Comparison(left, "<", right)
                return syntax.Conditional(less, then, otherwise)
            return syntax.Call(content.function, tuple(syntax.Argument(None, a) for a in arguments))
        terms = sorted(self.flattened(content).items(), key=lambda item: self.term_key(*item))
        if not terms:
            return syntax.Number(Fraction(0))
        first, *rest = terms
        head = self.product(*first)
        if not rest:
            return head
        tail = tuple(self.product(t, abs(c)) for t, c in rest)
        return syntax.Sum((head, *tail), tuple(c < 0 for _, c in rest))

    def flattened(self, content: Sum) -> Sum:
        """A sum with the sums that stand in it bare, used once, put in place of their node."""
        result: Sum = {}
        for term, coefficient in content.items():
            inner = self.network.nodes.get(term[0][0]) if len(term) == 1 else None
            bare = len(term) == 1 and term[0][1] == 1 and term[0][0] not in self.names
            if bare and isinstance(inner, dict) and abs(coefficient) == 1:
                parts = {t: c * coefficient for t, c in self.flattened(inner).items()}
            else:
                parts = {term: coefficient}
            for part, value in parts.items():
                result[part] = result.get(part, Fraction(0)) + value
        return {t: c for t, c in result.items() if c}

    def merged(self, term: Term, coefficient: Fraction) -> tuple[Term, Fraction]:
        """A product with the products that stand in it, used once, put in place of their node."""
        powers: Counter[str] = Counter()
        for atom, exponent in term:
            inner = self.network.nodes.get(atom)
            if atom in self.names or not isinstance(inner, dict) or len(inner) != 1:
                powers[atom] += exponent
                continue
            ((part, number),) = inner.items()
            part, number = self.merged(part, number)
            if number == 0 and exponent < 0:  # SymPy did not see that the divisor is 0
                hint = "a denominator of the formula or of its derivative is 0 in every table"
                raise fail("MC0301", "the formula divides by zero", hint)
            coefficient *= number**exponent
            for name, power in part:
                powers[name] += power * exponent
        return term_of(powers), coefficient

    def product(self, term: Term, coefficient: Fraction) -> syntax.Expression:
        term, coefficient = self.merged(term, coefficient)
        above: list[_Factor] = []
        below: list[_Factor] = []
        if abs(coefficient.numerator) != 1:
            above.append((Fraction(0), syntax.Number(Fraction(abs(coefficient.numerator)))))
        if coefficient.denominator != 1:
            below.append((Fraction(0), syntax.Number(Fraction(coefficient.denominator))))
        for atom, exponent in sorted(term, key=self.literal_key):
            base, power = self.reference(atom), abs(exponent)
            degree = self.network.degree(atom)
            for part in _parts(power, degree):
                factor = base if part == 1 else syntax.Power(base, syntax.Number(Fraction(part)))
                (above if exponent > 0 else below).append((degree * part, factor))
        if not above:
            above.append((Fraction(0), syntax.Number(Fraction(1))))
        first, *others = _balanced(above, below)
        whole = _quotient(*first)
        if coefficient < 0:
            whole = _negated(whole)
        for top, bottom in others:
            whole = _times([whole, _quotient(top, bottom)]) if top else _quotient([whole], bottom)
        return whole


_Factor: TypeAlias = tuple[Fraction, syntax.Expression]  # with its degree in the counts


def _parts(power: int, degree: Fraction) -> list[int]:
    """A power of counts as powers that are products in every target and that float32 holds."""
    if degree <= 0 or (power <= 3 and degree * power <= MAX_DEGREE) or power > 8:
        return [power]
    size = min(3, max(1, int(MAX_DEGREE / degree)))
    whole, rest = divmod(power, size)
    return [size] * whole + [rest] * (rest > 0)


def _balanced(
    above: list[_Factor], below: list[_Factor]
) -> list[tuple[list[syntax.Expression], list[syntax.Expression]]]:
    """Factors above and below the bar as quotients of degrees that a float32 holds.

    One quotient, but where five counts or more would be multiplied: then factors of about the same
    degree stand above each other.
    """
    if all(sum(d for d, _ in factors) <= MAX_DEGREE for factors in (above, below)):
        return [([f for _, f in above], [f for _, f in below])]
    found = []
    left, right = list(above), list(below)
    while left or right:
        top = _taken(left, Fraction(MAX_DEGREE))
        degree = sum((d for d, _ in top), Fraction(0))
        bottom = _taken(right, min(Fraction(MAX_DEGREE), max(degree, Fraction(1))))
        if not left:  # the rest goes below what there is, a part at a time
            bottom += _taken(right, MAX_DEGREE - sum((d for d, _ in bottom), Fraction(0)), 0)
        found.append(([f for _, f in top], [f for _, f in bottom]))
    return found


def _taken(factors: list[_Factor], most: Fraction, least: int = 1) -> list[_Factor]:
    """The first factors, taken out of the list, of `most` degrees together; at least so many."""
    taken: list[_Factor] = []
    total = Fraction(0)
    while factors and (len(taken) < least or total + factors[0][0] <= most):
        total += factors[0][0]
        taken.append(factors.pop(0))
    return taken


def _quotient(above: list[syntax.Expression], below: list[syntax.Expression]) -> syntax.Expression:
    if not below:
        return _times(above)
    return syntax.Product((*above, _times(below)), (*(False,) * (len(above) - 1), True))


def _negated(product: syntax.Expression) -> syntax.Expression:
    """A product with its first factor negated; -(a - b) is b - a."""
    if isinstance(product, syntax.Sum) and product.subtracts == (True,):
        return syntax.Sum(product.operands[::-1], (True,))
    if isinstance(product, syntax.Product):
        first, rest = _negated(product.operands[0]), product.operands[1:]
        return syntax.Product((first, *rest), product.divides)
    return syntax.Negation(product)


def _times(factors: list[syntax.Expression]) -> syntax.Expression:
    if len(factors) == 1:
        return factors[0]
    return syntax.Product(tuple(factors), (False,) * (len(factors) - 1))


def inline(block: ir.Block) -> list[sympy.Expr]:
    """The results of a block as SymPy expressions over cells and parameters."""
    scope: dict[str, sympy.Expr] = {}
    for name, expression in block.assignments:
        scope[name] = _sympy(expression, scope)
    return [_sympy(result, scope) for result in block.results]


def _sympy(node: syntax.Expression, scope: dict[str, sympy.Expr]) -> sympy.Expr:
    match node:
        case syntax.Number():
            return sympy.Rational(node.value.numerator, node.value.denominator)
        case syntax.Name():
            return scope.get(node.id, sympy.Symbol(node.id))
        case syntax.Negation():
            return -_sympy(node.operand, scope)
        case syntax.Power():
            return sympy.Pow(_sympy(node.base, scope), _sympy(node.exponent, scope))
        case syntax.Call():
            row = {**FUNCTIONS, **DERIVED_FUNCTIONS}[node.function]
            values = [_sympy(a.value, scope) for a in node.arguments]
            if node.function == "log_ratio":
                above, below, apart = values
                assert sympy.expand(above - below - apart) == 0, node
                return sympy.log(above / below)
            if node.function == "abs":
                values.append(-values[0])
            return getattr(sympy, row.sympy)(*values)
        case syntax.Conditional(condition=syntax.Comparison(left=left, right=right)):
            parts = (left, right, node.then, node.otherwise)
            return Select(*(_sympy(part, scope) for part in parts))
        case syntax.Product():
            first, *rest = (_sympy(o, scope) for o in node.operands)
            return sympy.Mul(
                first, *(1 / e if d else e for d, e in zip(node.divides, rest, strict=True))
            )
        case syntax.Sum():
            first, *rest = (_sympy(o, scope) for o in node.operands)
            return sympy.Add(
                first, *(-e if s else e for s, e in zip(node.subtracts, rest, strict=True))
            )
    raise AssertionError(node)
