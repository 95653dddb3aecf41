"""`CompiledMetric`: what `metricc.compile` returns. Everything about one metric, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from metricc import ir
from metricc.errors import fail
from metricc.functions import CELLS
from metricc.identify import identify
from metricc.load import load
from metricc.save import save

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True, repr=False)
class CompiledMetric:
    """A metric with its derivatives, its generated loss and the proofs of both.

    Made by `metricc.compile`. SymPy expressions are over plain symbols named as in the language,
    so `m.expression.subs({"TP": 3, "FN": 1, "FP": 2})` works.
    """

    program: ir.Program
    findings: ir.Audit
    options: ir.Options
    source: str

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def expression(self) -> sympy.Expr:
        """The metric over TP, FN, FP, TN and its parameters, as chosen for `value`."""
        return self.program.forms["value"].expression

    @property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """TP, FN, FP, TN, then the parameters."""
        import sympy

        names = (*CELLS, *(p.name for p in self.program.metric.parameters))
        return tuple(sympy.Symbol(name) for name in names)

    @property
    def partials(self) -> dict[str, sympy.Expr]:
        """The simplified derivatives in TP, FN, FP and TN, by cell."""
        return {cell: self.program.forms[f"M_{cell}"].expression for cell in CELLS}

    @property
    def weights(self) -> tuple[sympy.Expr, sympy.Expr]:
        """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
        forms = self.program.forms
        return forms["w_plus"].expression, forms["w_minus"].expression

    @property
    def threshold(self) -> sympy.Expr | None:
        """The implied threshold on calibrated probabilities, w_minus/(w_plus + w_minus).

        It is a fact about another, calibrated model: one that was trained on this loss decides
        at its surrogate's own threshold. Source: Koyejo et al. 2014.
        """
        return self.program.threshold

    def audit(self) -> ir.Audit:
        """What training on this metric means: direction, degeneracy, dependence on batch size."""
        return self.findings

    def same_as(self) -> tuple[str, ...]:
        """The library's metrics that this one is proved equal to, its own name aside.

        As formulas: "f1", "tversky(alpha = 0.5, beta = 0.5)", "1 - accuracy".
        """
        return identify(self.program.metric)

    def module(self) -> ModuleType:
        """The generated file as an imported module: `value`, `gradient`, `weights` and the loss."""
        return load(self.source, self.name)

    def loss(self, **kwargs: Any) -> Any:
        """The generated `torch.nn.Module`, imported from `source`.

        `kwargs` are its constructor's: the metric's parameters and the surrogate's arguments.
        """
        return getattr(self.module(), f"{self.options.pascal}Loss")(**kwargs)

    def value(self, TP: Any, FN: Any, FP: Any, TN: Any, **params: float) -> Any:
        """The metric on counts: floats give a float, arrays (which broadcast) a float64 array.

        0/0 is 0. Raises `MetriccError` for negative counts.
        """
        import numpy as np

        cells = [np.asarray(cell, dtype=np.float64) for cell in (TP, FN, FP, TN)]
        if any((cell < 0).any() for cell in cells):
            raise fail("MC0506", "a count is negative", "counts are sums of weights, at least 0")
        value = self.module().value
        if all(cell.ndim == 0 for cell in cells):
            return float(value(*(float(cell) for cell in cells), **params))
        import torch

        arrays = np.broadcast_arrays(*cells)
        tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
        return torch.as_tensor(value(*tensors, **params)).expand(tensors[0].shape).numpy().copy()

    def verify(self) -> ir.Report:
        """Test the generated code against oracles that share nothing with it."""
        from metricc.verify import check_source

        return check_source(self.source, self.source, self.program, self.options)

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write `source` to a file, atomically.

        Raises `MetriccError` rather than overwrite a file that metricc did not write or that was
        edited since, unless `force` is true.
        """
        return save(self.source, Path(path), force=force)

    def _repr_latex_(self) -> str:
        import sympy

        return f"${sympy.latex(sympy.Symbol(self.name))} = {sympy.latex(self.expression)}$"

    def __repr__(self) -> str:
        return f"<CompiledMetric {self.name} = {self.expression}>"
