"""Surrogates: the function A that makes the confusion matrix of a prediction differentiable.

A prediction's soft label is A(p), p = sigmoid(z). Each row states A and dA/dp in SymPy over p and
the surrogate's own arguments, and how a target spells A, 1 - A and the slope without cancellation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sympy import Expr


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A row of `SURROGATES`.

    `formula` is A(p) for readers; `arguments` are the constructor arguments with their defaults
    and the open range that each must lie in.
    """

    name: str
    formula: str
    reference: str
    arguments: tuple[tuple[str, float, tuple[float, float]], ...]

    @property
    def defaults(self) -> dict[str, float]:
        return {name: default for name, default, _ in self.arguments}

    def expression(self) -> Expr:
        """A(p) over the symbol p and the arguments' symbols."""
        import sympy

        p, steepness, threshold = sympy.symbols("p L threshold")
        if self.name == "soft":
            return p
        return 1 / (1 + sympy.exp(-steepness * (p - threshold)))

    def slope(self) -> Expr:
        """dA/dp over the same symbols."""
        import sympy

        return sympy.diff(self.expression(), sympy.Symbol("p"))


SURROGATES: Mapping[str, Surrogate] = MappingProxyType(
    {
        row.name: row
        for row in (
            Surrogate(
                "amplified",
                "sigmoid(L*(p - threshold))",
                "AnyLoss: Han, Moniz, Chawla 2024, arXiv 2405.14745",
                (("L", 10.0, (0.0, 1e6)), ("threshold", 0.5, (0.0, 1.0))),
            ),
            Surrogate("soft", "p", "the expected confusion matrix", ()),
        )
    }
)
