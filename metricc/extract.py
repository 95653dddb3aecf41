"""SymPy expressions → straight-line code with shared sums and products.

The expressions become a network of nodes, each a sum of products of cells, parameters and other
nodes. As long as it saves operations, the best divisor is taken out and becomes a node: a sum of
two terms that occurs in several places up to a factor, `FN*FP*TP + FN*FP*TN = FN*FP*(TP + TN)`,
or a product of two factors that several terms share. This is the fast-extract algorithm of
multi-level logic synthesis (Rajski and Vasudevamurthy 1992), applied to polynomials. It factors
and eliminates common subexpressions in one go. Nodes used once are put back where they are used.

Everything is ordered by our own keys, so the code does not depend on SymPy's term order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from math import gcd, lcm
from typing import TypeAlias

import sympy

from metricc import ir, syntax
from metricc.functions import CELLS, DERIVED_COUNTS, DERIVED_FUNCTIONS, FUNCTIONS

# Extraction looks at pairs of terms again and again; beyond this many terms code stays as it is.
MAX_TERMS = 260

Term: TypeAlias = tuple[tuple[str, int], ...]  # ((atom, exponent), ...), sorted by atom
Sum: TypeAlias = dict[Term, Fraction]
Literal: TypeAlias = tuple[str, int]

_LANGUAGE_NAMES = {row.sympy: name for name, row in {**FUNCTIONS, **DERIVED_FUNCTIONS}.items()}


@dataclass(slots=True)
class _Call:
    function: str
    arguments: tuple[str, ...]


@dataclass(slots=True)
class _Network:
    parameters: tuple[str, ...]
    nodes: dict[str, Sum | _Call] = field(default_factory=dict)
    known: dict[object, str] = field(default_factory=dict)
    count: int = 0

    # -- building -----------------------------------------------------------------------------

    def node(self, content: Sum | _Call) -> str:
        """The node with this content, made if there is none: equal content is one node."""
        key: object
        if isinstance(content, _Call):
            key = (content.function, content.arguments)
        else:
            key = frozenset(content.items())
        if key not in self.known:
            self.count += 1
            self.known[key] = f"%{self.count}"
            self.nodes[self.known[key]] = content
        return self.known[key]

    def sum(self, expression: sympy.Expr) -> Sum:
        arguments = expression.args if expression.is_Add else (expression,)
        total: Sum = {}
        for argument in arguments:
            term, coefficient = self.term(argument)
            total[term] = total.get(term, Fraction(0)) + coefficient
        return {t: c for t, c in total.items() if c}

    def term(self, expression: sympy.Expr) -> tuple[Term, Fraction]:
        coefficient = Fraction(1)
        powers: Counter[str] = Counter()
        for factor in expression.args if expression.is_Mul else (expression,):
            if factor.is_Rational:
                coefficient *= Fraction(factor.p, factor.q)
                continue
            base, exponent = factor.as_base_exp() if factor.is_Pow else (factor, sympy.Integer(1))
            if exponent.is_Integer:
                scale, atom = self.atom(base)
                powers[atom] += int(exponent)
                coefficient *= scale ** int(exponent)
            elif exponent.is_Rational and exponent.q == 2:
                # x^(3/2) is x * sqrt(x): one square root, whatever the power.
                whole = int(exponent - sympy.Rational(1 if exponent > 0 else -1, 2))
                scale, atom = self.atom(base)
                powers[atom] += whole
                coefficient *= scale**whole
                powers[self.call("sqrt", base)] += 1 if exponent > 0 else -1
            else:
                inverse = exponent.is_Rational and exponent < 0
                root = self.call("power", base, -exponent if inverse else exponent)
                powers[root] += -1 if inverse else 1
        return _term(powers), coefficient

    def atom(self, base: sympy.Expr) -> tuple[Fraction, str]:
        """A factor as (content, atom): sums are made primitive so that multiples are one node."""
        if base.is_Symbol:
            return Fraction(1), base.name
        if base.is_Add:
            content = self.sum(base)
            scale = _content(content)
            return scale, self.node({t: c / scale for t, c in content.items()})
        if base is sympy.E:
            return Fraction(1), self.call("exp", sympy.Integer(1))
        if base.is_Function or isinstance(base, sympy.Min | sympy.Max):
            arguments = base.args[:1] if isinstance(base, sympy.Heaviside) else base.args
            ordered = sorted(arguments, key=str)
            name = _LANGUAGE_NAMES[type(base).__name__]
            return Fraction(1), self.call(name, *ordered)
        return Fraction(1), self.node(self.sum(base))

    def call(self, function: str, *arguments: sympy.Expr) -> str:
        return self.node(_Call(function, tuple(self.node(self.sum(a)) for a in arguments)))

    # -- extraction ---------------------------------------------------------------------------

    def sums(self) -> list[tuple[str, Sum]]:
        return [(n, s) for n, s in self.nodes.items() if isinstance(s, dict)]

    def extract(self) -> None:
        """Take out divisors, the one that saves most operations first, until none saves any."""
        while sum(len(s) for _, s in self.sums()) <= MAX_TERMS:
            options = [*self.sum_divisors(), *self.product_divisors()]
            if not options:
                return
            _, divisor = max(options, key=lambda o: (o[0], _preference(o[1])))
            self.substitute(divisor)

    def sum_divisors(self) -> Iterable[tuple[int, Sum]]:
        """Sums of two terms that stand, times something, in more than one place."""
        places: dict[frozenset[tuple[Term, Fraction]], list[tuple[str, int]]] = defaultdict(list)
        used: dict[frozenset[tuple[Term, Fraction]], set[tuple[str, Term]]] = defaultdict(set)
        for name, content in self.sums():
            for (t1, c1), (t2, c2) in combinations(sorted(content.items(), key=_order), 2):
                base, divisor, scale = _divide((t1, c1), (t2, c2))
                key = frozenset(divisor.items())
                if (name, t1) in used[key] or (name, t2) in used[key]:
                    continue
                used[key] |= {(name, t1), (name, t2)}
                if len(content) == 2 and not base and scale == 1:
                    saved = _cost(t1, c1) + _cost(t2, c2) + 1  # the node itself is the divisor
                else:
                    kept = _cost(_join(base, ("%", 1)), scale)
                    saved = _cost(t1, c1) + _cost(t2, c2) + 1 - kept
                places[key].append((name, saved))
        for key, found in places.items():
            divisor = dict(key)
            price = sum(_cost(t, c) for t, c in divisor.items()) + 1
            total = sum(saved for _, saved in found) - price
            if len(found) > 1 and total > 0:
                yield total, divisor

    def product_divisors(self) -> Iterable[tuple[int, Sum]]:
        """Products of two factors (either may be -1 or a number) that several terms share."""
        counts: Counter[tuple[Literal, Literal]] = Counter()
        whole: set[tuple[Literal, Literal]] = set()
        for _, content in self.sums():
            for term, coefficient in content.items():
                literals = _literals(term, coefficient)
                for pair in combinations(literals, 2):
                    if key := _pair(*pair):
                        counts[key] += 1
                        if len(literals) == 2 and len(content) == 1:
                            whole.add(key)
        for key, count in counts.items():
            if count > 1:
                yield count - 1, _product(key)

    def substitute(self, divisor: Sum) -> None:
        name = self.node(divisor)
        for other, content in self.sums():
            if other == name:
                continue
            if len(divisor) == 2:
                replaced = _replace_sum(content, divisor, name)
            else:
                replaced = _replace_product(content, divisor, name)
            if replaced is not None:
                self.nodes[other] = replaced


def extract(expressions: Sequence[sympy.Expr], parameters: Sequence[str]) -> ir.Block:
    """Straight-line code for `expressions` over cells and `parameters`.

    Names are the field's where a sum of cells has one (P, PP, POP ...), else x1, x2 ...
    """
    network = _Network(tuple(parameters))
    outputs = [network.node(network.sum(e)) for e in expressions]
    network.extract()
    return _Writer(network, outputs).block()


def operations(block: ir.Block) -> int:
    """Additions, products, quotients, powers, negations and calls, as `sympy.count_ops` does."""
    total = 0
    for expression in (*(e for _, e in block.assignments), *block.results):
        for node in syntax.walk(expression):
            match node:
                case syntax.Sum() | syntax.Product():
                    total += len(node.operands) - 1
                case syntax.Negation() | syntax.Power() | syntax.Call():
                    total += 1
    return total


# -- terms ------------------------------------------------------------------------------------


def _term(powers: Counter[str]) -> Term:
    return tuple(sorted((a, e) for a, e in powers.items() if e))


def _join(term: Term, literal: Literal) -> Term:
    powers = Counter(dict(term))
    powers[literal[0]] += literal[1]
    return _term(powers)


def _order(item: tuple[Term, Fraction]) -> tuple[Term, Fraction]:
    return item


def _natural(item: tuple[Term, Fraction]) -> list[tuple[int, str, int]]:
    """Terms as people order them: TP before FN before FP before TN, then other names."""
    return sorted((CELLS.index(a) if a in CELLS else len(CELLS), a, -e) for a, e in item[0])


def _cost(term: Term, coefficient: Fraction) -> int:
    """Operations that a term takes: products, quotients, powers, a negation."""
    factors = sum(1 if abs(e) == 1 else 2 for _, e in term)
    if not term:
        return 0
    above = any(e > 0 for _, e in term) or abs(coefficient.numerator) != 1
    numbers = (abs(coefficient.numerator) != 1) + (coefficient.denominator != 1)
    return factors + numbers - (1 if above else 0) + (coefficient < 0 and not above)


def _content(content: Sum) -> Fraction:
    """The rational that makes the coefficients coprime integers, the first one positive."""
    values = list(content.values())
    scale = Fraction(gcd(*(v.numerator for v in values)), lcm(*(v.denominator for v in values)))
    first = min(content.items(), key=_natural)[1]
    positive = sum(v > 0 for v in values) * 2
    negative = positive < len(values) or (positive == len(values) and first < 0)
    return -scale if negative else scale


def _divide(one: tuple[Term, Fraction], two: tuple[Term, Fraction]) -> tuple[Term, Sum, Fraction]:
    """Two terms as base · scale · divisor, the divisor primitive and without common factors."""
    first, second = dict(one[0]), dict(two[0])
    base: Counter[str] = Counter()
    for atom in first.keys() & second.keys():
        a, b = first[atom], second[atom]
        if a * b > 0:
            base[atom] = min(a, b) if a > 0 else max(a, b)
    divisor: Sum = {}
    for powers, coefficient in ((first, one[1]), (second, two[1])):
        rest = Counter(powers)
        rest.subtract(base)
        divisor[_term(rest)] = coefficient
    scale = _content(divisor)
    return _term(base), {t: c / scale for t, c in divisor.items()}, scale


def _preference(divisor: Sum) -> tuple[int, int, str]:
    """Among equal savings: sums that the field has names for, sums of cells, then by text."""
    atoms = frozenset(a for term in divisor for a, _ in term)
    named = atoms in DERIVED_COUNTS and len(divisor) == 2 and set(divisor.values()) == {1}
    # Negated text would be ideal; the reversed order of a fixed string is just as deterministic.
    return int(named), int(atoms <= set(CELLS)), repr(sorted(divisor.items()))


# Literals of a term: its factors with exponents, -1 as ("-", 1) and numbers as ("#7", 1).


def _literals(term: Term, coefficient: Fraction) -> list[Literal]:
    literals = list(term)
    if abs(coefficient.numerator) != 1:
        literals.append((f"#{abs(coefficient.numerator)}", 1))
    if coefficient.denominator != 1:
        literals.append((f"#{coefficient.denominator}", -1))
    if coefficient < 0:
        literals.append(("-", 1))
    return literals


def _pair(one: Literal, two: Literal) -> tuple[Literal, Literal] | None:
    """The key of two factors as a divisor, or None where a name for them would not help.

    Two factors below the bar are one above it, turned over. A quotient keeps its direction: its
    reciprocal could divide by zero. Numbers join denominators (2*root) and signs join numerators
    (-x); 2*TP, -2 and 2/x are not worth a name.
    """
    first, second = sorted((one, two), key=lambda literal: (literal[0][0] not in "#-", literal))
    if first[0][0] in "#-":
        below = second[1] < 0
        if (
            not second[0].startswith("%")
            or below != (first[0][0] == "#")
            or below != (first[1] < 0)
        ):
            return None
    if first[1] < 0 and second[1] < 0:
        return (first[0], -first[1]), (second[0], -second[1])
    return first, second


def _product(key: tuple[Literal, Literal]) -> Sum:
    coefficient = Fraction(1)
    powers: Counter[str] = Counter()
    for atom, exponent in key:
        if atom == "-":
            coefficient = -coefficient
        elif atom.startswith("#"):
            coefficient *= Fraction(int(atom[1:])) ** exponent
        else:
            powers[atom] += exponent
    return {_term(powers): coefficient}


def _replace_sum(content: Sum, divisor: Sum, name: str) -> Sum | None:
    result = dict(content)
    for one, two in combinations(sorted(content.items(), key=_order), 2):
        if one[0] not in result or two[0] not in result:
            continue
        base, found, scale = _divide(one, two)
        if found == divisor:
            del result[one[0]], result[two[0]]
            joined = _join(base, (name, 1))
            result[joined] = result.get(joined, Fraction(0)) + scale
    return result if result != content else None


def _replace_product(content: Sum, divisor: Sum, name: str) -> Sum | None:
    ((part, number),) = divisor.items()
    wanted = _literals(part, number)
    result: Sum = {}
    changed = False
    for term, coefficient in content.items():
        literals = _literals(term, coefficient)
        for sign in (1, -1) if all(e > 0 for _, e in wanted) and number > 0 else (1,):
            turned = [(a, e * sign) for a, e in wanted if a != "-"]
            turned += [("-", 1)] if number < 0 else []
            if all(literal in literals for literal in turned):
                rest = [literal for literal in literals if literal not in turned]
                powers: Counter[str] = Counter()
                coefficient = Fraction(1)
                for atom, exponent in rest:
                    if atom == "-":
                        coefficient = -coefficient
                    elif atom.startswith("#"):
                        coefficient *= Fraction(int(atom[1:])) ** exponent
                    else:
                        powers[atom] += exponent
                powers[name] += sign
                term, changed = _term(powers), True
                break
        result[term] = result.get(term, Fraction(0)) + coefficient
    return result if changed else None


# -- writing ----------------------------------------------------------------------------------


class _Writer:
    """The network as code: nodes used once inline, the others as named assignments."""

    def __init__(self, network: _Network, outputs: list[str]) -> None:
        self.network = network
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
        if isinstance(content, _Call):
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
        if atom in CELLS:
            return 1, CELLS.index(atom), ""
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
        if isinstance(content, _Call):
            return False
        if len(content) > 1:
            return False
        ((term, coefficient),) = content.items() or [((), Fraction(0))]
        return not term or (len(term) == 1 and term[0][1] == 1 and coefficient == 1)

    def block(self) -> ir.Block:
        for name in self.order:
            if self.uses[name] > 1 and not self.trivial(name):
                expression = self.expression(name)
                self.names[name] = self.name(name)
                self.assignments.append((self.names[name], expression))
        results = tuple(self.reference(output) for output in self.outputs)
        return ir.Block(tuple(self.assignments), results)

    def name(self, node: str) -> str:
        taken = {*self.names.values(), *self.network.parameters}
        cells = self.cells(node)
        if cells is not None and (named := DERIVED_COUNTS.get(cells)) and named not in taken:
            return named
        content = self.network.nodes[node]
        if isinstance(content, _Call) and content.function == "sqrt" and "root" not in taken:
            return "root"
        index = 1
        while f"x{index}" in taken:
            index += 1
        return f"x{index}"

    def cells(self, node: str) -> frozenset[str] | None:
        """The cells that a node is the plain sum of, or None."""
        content = self.network.nodes[node]
        if isinstance(content, _Call) or set(content.values()) != {Fraction(1)}:
            return None
        found: set[str] = set()
        for term in content:
            if len(term) != 1 or term[0][1] != 1:
                return None
            atom = term[0][0]
            part = frozenset({atom}) if atom in CELLS else None
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
        if isinstance(content, _Call):
            arguments = [self.reference(a) for a in content.arguments]
            if content.function == "power":
                return syntax.Power(arguments[0], arguments[1])
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
            coefficient *= number**exponent
            for name, power in part:
                powers[name] += power * exponent
        return _term(powers), coefficient

    def product(self, term: Term, coefficient: Fraction) -> syntax.Expression:
        term, coefficient = self.merged(term, coefficient)
        above: list[syntax.Expression] = []
        below: list[syntax.Expression] = []
        if abs(coefficient.numerator) != 1:
            above.append(syntax.Number(Fraction(abs(coefficient.numerator))))
        if coefficient.denominator != 1:
            below.append(syntax.Number(Fraction(coefficient.denominator)))
        for atom, exponent in sorted(term, key=self.literal_key):
            base = self.reference(atom)
            if abs(exponent) != 1:
                base = syntax.Power(base, syntax.Number(Fraction(abs(exponent))))
            (above if exponent > 0 else below).append(base)
        if not above:
            above.append(syntax.Number(Fraction(1)))
        if coefficient < 0:
            above[0] = syntax.Negation(above[0])
        if not below:
            return _times(above)
        return syntax.Product((*above, _times(below)), (*(False,) * (len(above) - 1), True))


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
            return getattr(sympy, row.sympy)(*(_sympy(a.value, scope) for a in node.arguments))
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
