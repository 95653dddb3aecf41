"""`CompiledMetric`: what `metricc.compile` returns. Everything about one metric, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from metricc import ir, scoring
from metricc.errors import Diagnostic, MetriccError, fail
from metricc.functions import CELLS
from metricc.identify import identify
from metricc.labels import Given
from metricc.load import load
from metricc.save import save
from metricc.surrogates import Surrogate

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True, repr=False)
class CompiledMetric:
    """A metric with its derivatives, its generated loss and the proofs of both.

    Made by `metricc.compile`. SymPy expressions are over plain symbols named as in the language,
    so `m.expression.subs({"TP": 3, "FN": 1, "FP": 2})` works. `warnings` are what the formula says
    but probably does not mean (`TP/FN` for a rate), and what training on it will probably not do.
    """

    plan: ir.Plan
    findings: ir.Audit
    options: ir.Options
    surrogate: Surrogate
    source: str
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def program(self) -> ir.Program:
        """The first term's derivatives: with one table, the metric's own."""
        return self.plan.program

    @property
    def expression(self) -> sympy.Expr:
        """The metric over TP, FN, FP, TN and its parameters, as chosen for `value`.

        With classes, reductions are functions: macro(2*TP/(2*TP + FN + FP)).
        """
        return self.plan.gradients["value"]

    @property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """TP, FN, FP, TN, then the parameters."""
        import sympy

        names = (*CELLS, *(p.name for p in self.plan.metric.parameters))
        return tuple(sympy.Symbol(name) for name in names)

    @property
    def partials(self) -> dict[str, sympy.Expr]:
        """The simplified derivatives in TP, FN, FP and TN, by cell.

        With classes, those in the counts of one class; C is the number of classes.
        """
        return {cell: self.plan.gradients[f"M_{cell}"] for cell in CELLS}

    @property
    def weights(self) -> tuple[sympy.Expr, sympy.Expr]:
        """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
        return self.plan.gradients["w_plus"], self.plan.gradients["w_minus"]

    @property
    def threshold(self) -> sympy.Expr | None:
        """The implied threshold on calibrated probabilities, w_minus/(w_plus + w_minus).

        It is a fact about another, calibrated model: one that was trained on this loss decides
        at its surrogate's own threshold. Source: Koyejo et al. 2014.
        """
        return self.plan.program.threshold if self.plan.metric.single else None

    def audit(self) -> ir.Audit:
        """What training on this metric means: direction, degeneracy, dependence on batch size."""
        return self.findings

    def same_as(self) -> tuple[str, ...]:
        """The library's metrics that this one is proved equal to, its own name aside.

        As formulas: "f1", "tversky(alpha = 0.5, beta = 0.5)", "1 - accuracy".
        """
        return identify(self.plan.metric)

    def module(self) -> ModuleType:
        """The generated file as an imported module: `value`, `gradient`, `weights` and the loss."""
        return load(self.source, self.name)

    def loss(self, **kwargs: Any) -> Any:
        """The generated `torch.nn.Module`, imported from `source`.

        `kwargs` are its constructor's: the metric's parameters and the surrogate's arguments.
        """
        return getattr(self.module(), f"{self.options.pascal}Loss")(**kwargs)

    def value(
        self,
        TP: Any,
        FN: Any,
        FP: Any,
        TN: Any,
        *,
        zero_division: Any = 0,
        class_weight: Any = None,
        absent: str | None = None,
        smooth: float = 0.0,
        **params: float,
    ) -> Any:
        """The metric on counts: floats give a float, arrays (which broadcast) a float64 array.

        With classes, counts have shape (..., C) and give (...), or (..., C) under per_class;
        under samples(...) they have shape (..., samples). `class_weight` says how often each class
        counts in averages. `zero_division` is what the metric of a table is where it is undefined,
        a division by 0 in lowest terms: 0, 1, nan (the table is left out of averages), or "raise".
        `absent` gives the loss's number where a class has no positives or no negatives:
        "diagonal", "skip" or "zero"; `smooth` is added to the counts as in the loss. `params` are
        the metric's parameters, and its element losses: bce=0.3. Raises `MetriccError` for
        negative counts, unknown or missing parameters and, with "raise", undefined values.
        """
        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        return scoring.value(self.plan, (TP, FN, FP, TN), rules)

    def score(
        self,
        y_true: Any,
        y_pred: Any,
        *,
        sample_weight: Any = None,
        labels: Any = None,
        pos_label: Any = 1,
        zero_division: Any = 0,
        class_weight: Any = None,
        absent: str | None = None,
        smooth: float = 0.0,
        **params: float,
    ) -> Any:
        """The hard metric on labels, in scikit-learn's words and order: a float, or one for each
        class under per_class.

        binary: `y_true` and `y_pred` have shape (n,): booleans, whole numbers or strings, of two
        kinds, of which `pos_label` is the positive one. multiclass: labels of shape (n, ...); the
        classes are `labels` or all that occur, sorted. multilabel: 0 and 1 of shape (n, C, ...);
        `labels` are the columns that count. `sample_weight` has shape (n,) or that of the labels,
        at least 0. The other keywords are those of `value`. Raises `MetriccError` for scores,
        probabilities or logits in the place of labels, and for shapes that do not match.
        """
        given = Given(y_true, y_pred, sample_weight, labels, pos_label)
        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        return scoring.score(self.plan, given, rules, self.options.per)

    def scorer(
        self,
        *,
        labels: Any = None,
        pos_label: Any = 1,
        zero_division: Any = 0,
        class_weight: Any = None,
        absent: str | None = None,
        smooth: float = 0.0,
        **params: float,
    ) -> Any:
        """A scikit-learn scorer, for `cross_val_score`, searches and `TunedThresholdClassifierCV`.

        A metric to be minimized is negated, as scikit-learn's own are; the keywords are those of
        `score`. Name all classes in `labels` where a fold may lack one. Raises `MetriccError`
        where scikit-learn is not installed.
        """
        try:
            from metricc.adapters.scikit_learn import scorer
        except ImportError:
            raise _missing("scikit-learn") from None
        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        scoring.check(self.plan, rules, self.options.per)  # refuse what is wrong now
        settled = {"zero_division": zero_division, "absent": absent, "smooth": smooth, **params}
        settled |= {"labels": labels, "pos_label": pos_label, "class_weight": class_weight}
        return scorer(self, settled)

    def torchmetric(
        self,
        *,
        num_classes: int | None = None,
        num_labels: int | None = None,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        zero_division: Any = 0,
        class_weight: Any = None,
        absent: str | None = None,
        smooth: float = 0.0,
        **params: float,
    ) -> Any:
        """A `torchmetrics.Metric` of the hard metric, which adds counts over batches and ranks.

        `update(preds, target)` takes what torchmetrics' own metrics take. binary and multilabel
        (`num_labels`): labels, or scores that are cut at `threshold` (logits, where one lies
        outside [0, 1], pass a sigmoid first). multiclass (`num_classes`): labels (N, ...), or
        scores (N, C, ...) of which the largest is the answer. Where target is `ignore_index`,
        nothing counts. Raises `MetriccError` where torchmetrics is not installed.
        """
        try:
            from metricc.adapters.torch_metrics import ConfusionMetric
        except ImportError:
            raise _missing("torchmetrics") from None
        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        scoring.check(self.plan, rules, self.options.per, single=False)
        task = self.options.task
        size = scoring.classes(task, num_classes, num_labels, class_weight)
        number = partial(scoring.of_counts, self.plan, rules=rules)
        return ConfusionMetric(self, number, size, threshold, ignore_index)

    def verify(self) -> ir.Report:
        """Test the generated code against oracles that share nothing with it."""
        from metricc.verify import check_source

        return check_source(self.source, self.source, self.plan, self.options, self.surrogate)

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


def _missing(package: str) -> MetriccError:
    return fail("MC0508", f"{package} is not installed", f"pip install {package}")
