"""A scikit-learn classifier that decides at the threshold which is best for a compiled metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import (
    StratifiedKFold,
    check_cv,
    cross_val_predict,
    train_test_split,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _num_samples,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
)

from metricc.errors import fail

METHODS = ("predict_proba", "decision_function")


def _has(name: str) -> Callable[[Any], bool]:
    def check(self: Any) -> bool:
        return hasattr(getattr(self, "estimator_", self.estimator), name)

    return check


class TunedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Made by `CompiledMetric.tuned_classifier`, which says what the parameters are.

    After `fit`: `threshold_` (a `metricc.threshold.Threshold`), `best_score_` (the metric at it, on
    the scores it was tuned on), `estimator_`, `classes_`, and `method_`, which gives the scores.
    """

    def __init__(
        self,
        estimator: Any,
        metric: Any,
        *,
        cv: Any = 5,
        constraint: Any = None,
        method: str = "auto",
        refit: bool = True,
        pos_label: Any = None,
        zero_division: Any = 0,
        random_state: Any = 0,
        n_jobs: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.estimator = estimator
        self.metric = metric
        self.cv = cv
        self.constraint = constraint
        self.method = method
        self.refit = refit
        self.pos_label = pos_label
        self.zero_division = zero_division
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.params = params

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **fit_params: Any) -> TunedClassifier:
        """Tune the threshold and fit the estimator.

        `sample_weight` (n,) goes to the estimator and to the tuning; `fit_params` go to the
        estimator alone. Where its `fit` has no such argument, as that of a pipeline, name the
        step's: `logisticregression__sample_weight=w` beside `sample_weight=w`.
        """
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        check_consistent_length(X, labels)
        kind = type_of_target(labels, input_name="y")
        if kind != "binary":
            fact = "Only binary classification is supported. The type of the target is"
            raise ValueError(f"{fact} {kind}.")
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise ValueError("y has one class; a classifier needs samples of two classes")
        self._positive = self._position()
        fit_params = self._weighted(sample_weight, fit_params)
        self.method_ = self._method()
        rows, scores = self._scores_to_tune_on(X, labels, fit_params)
        weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
        self.threshold_ = self.metric.tune_threshold(
            labels[rows] == self.classes_[self._positive],
            scores,
            sample_weight=weight,
            constraint=self.constraint,
            zero_division=self.zero_division,
            **(self.params or {}),
        )
        self.best_score_ = self.threshold_.value
        held_out = isinstance(self.cv, Real) and not isinstance(self.cv, Integral)
        if self.cv != "prefit" and (self.refit or not held_out):
            self.estimator_ = clone(self.estimator).fit(X, labels, **fit_params)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def predict(self, X: Any) -> Any:
        """The classes that the threshold decides for, shape (n,)."""
        check_is_fitted(self, "threshold_")
        positive = self._scores(self.estimator_, X) >= self.threshold_
        return self.classes_[np.where(positive, self._positive, 1 - self._positive)]

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """The estimator's own probabilities; they know nothing of the threshold."""
        check_is_fitted(self, "threshold_")
        return self.estimator_.predict_proba(X)

    @available_if(_has("predict_log_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of the estimator's own probabilities."""
        check_is_fitted(self, "threshold_")
        return self.estimator_.predict_log_proba(X)

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Any:
        """The estimator's own scores; they know nothing of the threshold."""
        check_is_fitted(self, "threshold_")
        return self.estimator_.decision_function(X)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags

        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator).input_tags
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse, tags.input_tags.allow_nan = inner.sparse, inner.allow_nan
        return tags

    # -- what fit needs ------------------------------------------------------------------------

    def _position(self) -> int:
        """Which of the classes is the positive one."""
        if self.pos_label is None:
            return 1
        found = np.flatnonzero(self.classes_ == self.pos_label)
        if not len(found):
            shown = " and ".join(repr(c.item()) for c in self.classes_)
            fact = f"pos_label {self.pos_label!r} is none of {shown}"
            raise fail("MC0506", fact, "pass pos_label=..., one of the classes")
        return int(found[0])

    def _method(self) -> str:
        wanted = METHODS if self.method == "auto" else (self.method,)
        for name in wanted:
            if name in METHODS and hasattr(self.estimator, name):
                return name
        if self.method not in ("auto", *METHODS):
            hint = "choose auto, predict_proba or decision_function"
            raise fail("MC0501", f"method cannot be {self.method!r}", hint)
        name = type(self.estimator).__name__
        raise fail("MC0501", f"{name} has no {' and no '.join(wanted)}", "give one with scores")

    def _weighted(self, sample_weight: Any, fit_params: dict[str, Any]) -> dict[str, Any]:
        """The estimator's fit arguments, with the weights where it takes them."""
        if sample_weight is None or any(name.endswith("sample_weight") for name in fit_params):
            return fit_params
        if self.cv == "prefit":
            return fit_params
        if not has_fit_parameter(self.estimator, "sample_weight"):
            name = type(self.estimator).__name__
            hint = "name the step's argument too: logisticregression__sample_weight=w"
            raise fail("MC0501", f"fit of {name} takes no sample_weight", hint)
        return {**fit_params, "sample_weight": sample_weight}

    def _scores_to_tune_on(
        self, X: Any, labels: Any, fit_params: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Rows, and the scores that a model which has not seen them gives them."""
        rows = np.arange(_num_samples(X))
        if isinstance(self.cv, str):
            if self.cv != "prefit":
                hint = 'choose a number of folds, a splitter, a share such as 0.2, or "prefit"'
                raise fail("MC0501", f"cv cannot be {self.cv!r}", hint)
            check_is_fitted(self.estimator)
            self._check_fitted()
            self.estimator_ = self.estimator
            return rows, self._scores(self.estimator_, X)
        if isinstance(self.cv, Real) and not isinstance(self.cv, Integral):
            return self._held_out(X, labels, rows, fit_params)
        folds = self.cv
        if isinstance(folds, Integral):
            folds = StratifiedKFold(int(folds), shuffle=True, random_state=self.random_state)
        scores = cross_val_predict(
            clone(self.estimator),
            X,
            labels,
            cv=self._partition(check_cv(folds, labels, classifier=True), X, labels),
            method=self.method_,
            params=fit_params or None,
            n_jobs=self.n_jobs,
        )
        return rows, self._of_positive(scores, self.classes_)

    def _check_fitted(self) -> None:
        """Raise `MetriccError` unless the fitted estimator knows the two classes of y."""
        known = np.asarray(getattr(self.estimator, "classes_", ()))
        if not np.array_equal(known, self.classes_):
            shown, given = (", ".join(map(repr, c.tolist())) for c in (known, self.classes_))
            fact = (
                f"the estimator was fitted on the labels {shown or '(none)'}, and y holds {given}"
            )
            raise fail("MC0506", fact, "give the two labels that it was fitted on")

    def _partition(self, folds: Any, X: Any, labels: Any) -> list[tuple[Any, Any]]:
        """The splits of a splitter, in which every row is held out once."""
        name = type(folds).__name__
        try:
            splits = list(folds.split(X, labels))
        except (TypeError, ValueError) as error:
            if "groups" not in str(error):
                raise
            hint = f"pass its splits: cv=list({name}(...).split(X, y, groups))"
            raise fail("MC0501", f"{name} needs groups, which fit does not take", hint) from None
        times = np.zeros(len(labels), dtype=np.intp)
        for _, held in splits:
            np.add.at(times, held, 1)
        if (other := times != 1).any():
            row = int(np.argmax(other))
            fact = f"the splits of cv hold row {row} out {times[row]} times"
            hint = "every row needs one score from a model that has not seen it: KFold and the like"
            raise fail("MC0501", fact, f"{hint}; a share is cv=0.25")
        return splits

    def _held_out(
        self, X: Any, labels: Any, rows: Any, fit_params: dict[str, Any]
    ) -> tuple[Any, Any]:
        from sklearn.utils import _safe_indexing as chosen
        from sklearn.utils.validation import _check_method_params as split

        share = float(self.cv)
        if not 0 < share < 1:
            raise fail("MC0501", f"cv cannot be {self.cv!r}", "a held-out share lies in (0, 1)")
        train, rest = train_test_split(
            rows, test_size=share, stratify=labels, random_state=self.random_state
        )
        part = split(X, fit_params, indices=train)
        fitted = clone(self.estimator).fit(chosen(X, train), labels[train], **part)
        self.estimator_ = fitted
        return rest, self._scores(fitted, chosen(X, rest))

    def _scores(self, fitted: Any, X: Any) -> Any:
        return self._of_positive(getattr(fitted, self.method_)(X), fitted.classes_)

    def _of_positive(self, scores: Any, classes: Any) -> Any:
        """The scores of the positive class, shape (n,)."""
        positive = self.classes_[self._positive]
        if np.ndim(scores) == 2:
            return np.asarray(scores)[:, int(np.flatnonzero(classes == positive)[0])]
        return scores if classes[1] == positive else -scores
