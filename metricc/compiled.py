"""`CompiledMetric`: what `metricc.compile` returns. Everything about one metric, in one object.

What scores and tunes is imported where it is asked for: compiling does not wait for NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from metricc import ir
from metricc.errors import Diagnostic, MetriccError, fail
from metricc.load import load
from metricc.save import save
from metricc.surrogates import Surrogate

if TYPE_CHECKING:
    import sympy

    from metricc.accumulate import Accumulator
    from metricc.monitor import Monitor
    from metricc.threshold import Threshold, Thresholds


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
        """TP, FN, FP, TN, those of the columns (TP_amount, ...), then the parameters."""
        import sympy

        names = (*self.plan.metric.cells, *(p.name for p in self.plan.metric.parameters))
        return tuple(sympy.Symbol(name) for name in names)

    @property
    def partials(self) -> dict[str, sympy.Expr]:
        """The simplified derivatives in TP, FN, FP and TN, by cell; then those of the columns.

        With classes, those in the counts of one class; C is the number of classes.
        """
        return {cell: self.plan.gradients[f"M_{cell}"] for cell in self.plan.metric.cells}

    @property
    def weights(self) -> tuple[sympy.Expr, ...]:
        """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP; then two for each column."""
        return tuple(self.plan.gradients[name] for name in ir.weights_of(self.plan.metric))

    @cached_property
    def second(self) -> ir.Hessian:
        """The second derivatives with their forms and proofs; `hessian` and `curvature` are made of
        them. Raises `MetriccError` for a metric of several tables.
        """
        from metricc.hessian import hessian

        return hessian(self.plan)

    @property
    def hessian(self) -> sympy.Matrix:
        """The second derivatives in TP, FN, FP and TN, a symmetric matrix of shape (4, 4).

        With columns and element losses they have rows and columns too, in the order of
        `plan.metric.variables`. Where minima, maxima and conditions choose, they are those of what
        is chosen. Raises `MetriccError` for a metric of several tables.
        """
        return _matrix(self.second, self.plan.metric.variables)

    @property
    def curvature(self) -> sympy.Matrix:
        """K, how (w_plus, w_minus) change along the moves that they are the slopes of: (2, 2).

        It is all that the Hessian in the predictions needs, d2M/da_i da_j = u_i K u_j with
        u_i = v_i (y_i, -(1 - y_i)), which has rank 2 however many samples there are. With a column
        two more rows, and two more of u_i: the same times the sample's number. Symmetric. Raises
        `MetriccError` for a metric of several tables.
        """
        return _matrix(self.second, ir.weights_of(self.plan.metric))

    @property
    def threshold(self) -> sympy.Expr | None:
        """The implied threshold on calibrated probabilities, w_minus/(w_plus + w_minus).

        It is a fact about another, calibrated model: one that was trained on this loss decides
        at its surrogate's own threshold. With columns it is a sample's own, over its own numbers:
        5/(amount + 5) for FN[amount] + 5*FP. Source: Koyejo et al. 2014, Elkan 2001.
        """
        return self.plan.program.threshold if self.plan.metric.single else None

    def audit(self, *, prevalence: float = 0.1) -> ir.Audit:
        """What training on this metric will do: every finding, proved where that can be.

        Direction, constant predictions that are best, where it has no value, range, what batches
        make of it (simulated at the share of positives `prevalence`, in (0, 1)), where the best
        threshold is, how far the surrogate's gradient reaches, rounding. `findings` of the result
        has them all, with a severity and how each is known; it takes a second or two. Raises
        `MetriccError` for another prevalence, and where the algebra takes too long.
        """
        from metricc.audit.findings import examine
        from metricc.audit.subject import Subject

        subject = Subject(self.plan, self.findings, self.options, self.surrogate, prevalence)
        return examine(subject)

    def same_as(self) -> tuple[str, ...]:
        """The library's metrics that this one is proved equal to, its own name aside.

        As formulas: "f1", "tversky(alpha = 0.5, beta = 0.5)", "1 - accuracy".
        """
        from metricc.identify import identify

        return identify(self.plan.metric)

    def module(self) -> ModuleType:
        """The generated file as an imported module: `value`, `gradient`, `weights` and the loss."""
        return load(self.source, self.name)

    def loss(self, **kwargs: Any) -> Any:
        """The generated `torch.nn.Module`, imported from `source`.

        `kwargs` are its constructor's: the metric's parameters and the surrogate's arguments.
        """
        if self.options.target == "gbdt":
            hint = "call .objective(), or compile for the target torch"
            raise fail("MC0514", f"{self.name} was compiled to an objective, not to a loss", hint)
        return getattr(self.module(), f"{self.options.pascal}Loss")(**kwargs)

    def build(
        self, path: str | Path | None = None, *, node: bool = False, force: bool = False
    ) -> Path:
        """Compile the passes of the loss over a batch for this machine's CPU, with its C compiler.

        Those of `loss()`, or those of the generated file at `path`. Returns the compiled library,
        in __pycache__ beside the file. What is there already is kept, unless `force`; `node` also
        compiles an autograd node in C++, for small batches. The same numbers result, faster.
        Raises `MetriccError`: without a compiler that works (MC0516), for a loss that the kernels
        do not cover (MC0517), and where the folder cannot be written (MC0503).
        """
        from metricc.build import build

        if path is not None:
            return build(Path(path), node=node, force=force).library
        module = self.module()
        built = build(Path(str(module.__file__)), node=node, force=force)
        module._built.cache_clear()
        return built.library

    def objective(self, **kwargs: Any) -> Any:
        """The generated objective for LightGBM and XGBoost, imported from `source`.

        `kwargs` are its constructor's, as in `loss`. Raises `MetriccError` unless this was compiled
        with target="gbdt".
        """
        if self.options.target != "gbdt":
            hint = 'compile with target="gbdt" (--target gbdt)'
            raise fail("MC0514", f"{self.name} was compiled to a loss, not to an objective", hint)
        return getattr(self.module(), f"{self.options.pascal}Objective")(**kwargs)

    def running_counts(self, decay: float = 0.99) -> Any:
        """A `Counts` for the loss's `counts=`: the mean of the batches' counts, in which the share
        of each fades by `decay` in [0, 1] with every other.

        `loss(logits, target, counts=counts)` is then taken at that mean, so that a batch without
        positives has a useful gradient. The generated file holds the class too. Raises
        `MetriccError` for the target gbdt, and where each sample has a table of its own.
        """
        if self.options.target == "gbdt":
            hint = "boosting sees all rows at once: the counts are the set's own"
            raise fail("MC0514", f"{self.name} was compiled to an objective, not to a loss", hint)
        kind = getattr(self.module(), "Counts", None)
        if kind is None:
            fact = "each sample has a table of its own here: there are no counts of batches"
            raise fail("MC0501", fact, 'leave per="sample" and samples(...) out')
        return kind(decay)

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
        **params: Any,
    ) -> Any:
        """The metric on counts: floats give a float, arrays (which broadcast) a float64 array.

        With classes, counts have shape (..., C) and give (...), or (..., C) under per_class;
        under samples(...) they have shape (..., samples). `class_weight` says how often each class
        counts in averages. `zero_division` is what the metric of a table is where it is undefined,
        a division by 0 in lowest terms: 0, 1, nan (the table is left out of averages), or "raise".
        `absent` gives the loss's number where a class has no positives or no negatives:
        "diagonal", "skip" or "zero"; `smooth` is added to the counts as in the loss. `params` are
        the metric's parameters, its element losses (bce=0.3), and the counts of its columns
        (TP_amount=...; those that the formula does not have may be missing, unless `absent` or
        `smooth` need the column's mean). Raises `MetriccError` for negative counts, unknown or
        missing parameters and, with "raise", undefined values.
        """
        from metricc import scoring

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
        **params: Any,
    ) -> Any:
        """The hard metric on labels, in scikit-learn's words and order: a float, or one for each
        class under per_class.

        binary: `y_true` and `y_pred` have shape (n,): booleans, whole numbers or strings, of two
        kinds, of which `pos_label` is the positive one. multiclass: labels of shape (n, ...); the
        classes are `labels` or all that occur, sorted. multilabel: 0 and 1 of shape (n, C, ...);
        `labels` are the columns that count. `sample_weight` has shape (n,) or that of the labels,
        at least 0, and so has each column of the formula, a keyword of its name: amount=array,
        shape (n,). The other keywords are those of `value`. Raises `MetriccError` for scores,
        probabilities or logits in the place of labels, and for shapes that do not match.
        """
        from metricc import scoring
        from metricc.labels import Given

        given = Given(y_true, y_pred, sample_weight, labels, pos_label)
        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        return scoring.score(self.plan, given, rules, self.options.per)

    def tune_threshold(
        self,
        y_true: Any,
        y_score: Any,
        *,
        sample_weight: Any = None,
        constraint: str | Sequence[str] | None = None,
        labels: Any = None,
        pos_label: Any = None,
        zero_division: Any = 0,
        absent: str | None = None,
        smooth: float = 0.0,
        **params: Any,
    ) -> Threshold | Thresholds:
        """The threshold at which the hard metric is best, exactly, among all cuts of the scores.

        The result is a float: `m.score(y_true, y_score >= t)` is `t.value`, up to rounding. Scores
        are finite numbers of any scale and float type, binary of shape (n,), multilabel (n, C),
        which gives an array of C thresholds. `constraint` is one or more comparisons in the metric
        language, "precision >= 0.9 and recall > 0.5"; with classes it holds in each. What is
        undefined (0/0) meets no constraint, and is `zero_division` as the metric's own value; with
        nan such a cut is none. The best cuts often are a plateau: its middle is returned, as a
        number of the scores' type. `pos_label` is needed where the labels are not 0 and 1, or -1
        and 1. Other keywords are those of `score`. Raises `MetriccError` for labels, scores and
        weights that are not what they should be, for a metric that no threshold is the best of, and
        (MC0510) where no threshold meets the constraint, with what is reached.
        """
        from metricc import scoring, tuning
        from metricc.constraint import comparisons
        from metricc.labels import Given

        asked = comparisons(constraint, self.options.task)
        rules = scoring.Rules(zero_division, absent, smooth, None, params)
        given = Given(y_true, y_score, sample_weight, labels, pos_label)
        task = tuning.Task(self.plan, self.options.goal, asked, rules)
        return tuning.tune(task, given, self.options.per)

    def tuned_classifier(
        self,
        estimator: Any,
        *,
        cv: Any = 5,
        constraint: str | Sequence[str] | None = None,
        method: str = "auto",
        refit: bool = True,
        pos_label: Any = None,
        zero_division: Any = 0,
        random_state: Any = 0,
        n_jobs: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """A scikit-learn classifier that decides at the threshold which is best for this metric.

        `fit` tunes it on scores of rows that the scoring model has not seen: out of fold (`cv` a
        number of folds, a splitter that holds every row out once, or its splits), or on a held-out
        share (`cv` a float); `cv="prefit"` takes a fitted estimator and tunes on the rows that
        `fit` is given. Then the estimator is fitted on all rows, unless `refit=False` after a
        held-out share. `method` is "predict_proba", "decision_function" or "auto"; `pos_label` is
        the positive class (default: the larger label); `params` are the metric's parameters.
        Raises `MetriccError` where scikit-learn is not installed and for a metric that labels do
        not settle.
        """
        from metricc import scoring

        try:
            from metricc.adapters.tuned_classifier import TunedClassifier
        except ImportError:
            raise _missing("scikit-learn") from None
        rules = scoring.Rules(zero_division, params=params or {})
        scoring.refuse_columns(self.plan, "a classifier")
        scoring.check(self.plan, rules, self.options.per)
        if self.options.task != "binary":
            fact = f"a tuned classifier is binary, and {self.name} is {self.options.task}"
            raise fail("MC0501", fact, "fit one for each class")
        return TunedClassifier(
            estimator,
            self,
            cv=cv,
            constraint=constraint,
            method=method,
            refit=refit,
            pos_label=pos_label,
            zero_division=zero_division,
            random_state=random_state,
            n_jobs=n_jobs,
            params=params,
        )

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
        from metricc import scoring

        try:
            from metricc.adapters.scikit_learn import scorer
        except ImportError:
            raise _missing("scikit-learn") from None
        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        scoring.refuse_columns(self.plan, "a scorer")
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
        from metricc import scoring

        try:
            from metricc.adapters.torch_metrics import ConfusionMetric
        except ImportError:
            raise _missing("torchmetrics") from None
        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        scoring.refuse_columns(self.plan, "a torchmetrics metric")
        scoring.check(self.plan, rules, self.options.per, single=False)
        task = self.options.task
        size = scoring.classes(task, num_classes, num_labels, class_weight)
        number = partial(scoring.of_counts, self.plan, rules=rules)
        return ConfusionMetric(self, number, size, threshold, ignore_index)

    def soft_torchmetric(
        self, loss: Any = None, *, num_classes: int | None = None, num_labels: int | None = None
    ) -> Any:
        """A `torchmetrics.Metric` of the soft metric: 1 - loss at the counts of all batches and
        ranks (the loss, of what is minimized).

        `update(preds, target, weight=None, mask=None)` takes what the loss takes; `loss` is
        `m.loss()` unless given, and its settings hold. `num_classes` (multiclass) or `num_labels`
        (multilabel) say how many classes there are. Raises `MetriccError` where torchmetrics is
        not installed, and for a loss of another metric.
        """
        from metricc import scoring, worth
        from metricc.tally import Tally

        try:
            from metricc.adapters.torch_metrics import SoftMetric
        except ImportError:
            raise _missing("torchmetrics") from None
        tally = Tally(self, self.loss() if loss is None else loss)
        size = scoring.classes(self.options.task, num_classes, num_labels, None)
        number = partial(worth.soft, tally)
        return SoftMetric(tally, number, None if self.options.task == "binary" else size)

    def monitor(
        self,
        loss: Any = None,
        *,
        name: str | None = None,
        zero_division: Any = 0,
        per_class: bool = True,
    ) -> Monitor:
        """What to log of an epoch: the exact hard and soft metric, and what training on it does.

        `update(logits, target, weight=None, mask=None)` after every batch, `compute()` gives plain
        floats by name, `reset()` before the next epoch. `loss` is `m.loss()` unless given, and its
        settings hold. `name` stands before the keys; `per_class=False` leaves out the numbers of
        single classes. Raises `MetriccError` for a loss of another metric, and where each sample
        has a table of its own.
        """
        from metricc.monitor import Monitor
        from metricc.tally import Tally

        tally = Tally(self, self.loss() if loss is None else loss)
        return Monitor(tally, name or self.name, zero_division, per_class)

    def accumulator(
        self,
        *,
        labels: Any = None,
        pos_label: Any = 1,
        zero_division: Any = 0,
        class_weight: Any = None,
        absent: str | None = None,
        smooth: float = 0.0,
        **params: float,
    ) -> Accumulator:
        """`score` of labels that come batch by batch: `update(y_true, y_pred, sample_weight=None)`,
        then `compute()`; accumulators of workers add (`+`). It needs no torch.

        The keywords are those of `score`. Raises `MetriccError` where `score` would.
        """
        from metricc import scoring
        from metricc.accumulate import Accumulator

        rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
        scoring.check(self.plan, rules, self.options.per, single=False)
        return Accumulator(self.plan, rules, labels, pos_label)

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


def _matrix(second: ir.Hessian, names: Sequence[str]) -> sympy.Matrix:
    import sympy

    return sympy.Matrix([[second.entry(one, other) for other in names] for one in names])


def _missing(package: str) -> MetriccError:
    return fail("MC0508", f"{package} is not installed", f"pip install {package}")
