"""macro_f1 as an objective for gradient boosting: 1 - macro_f1 of soft predictions.

    f = MacroF1Objective()
    LightGBM   LGBMClassifier(objective=f, metric="None").fit(X, y, eval_set=[(Xv, yv)],
                   eval_metric=f.lightgbm_metric, callbacks=[lightgbm.early_stopping(50)])
               lightgbm.train({"objective": f, "metric": "None", "num_class": C}, data,
                   feval=f.lightgbm_metric)
    XGBoost    XGBClassifier(objective=f, eval_metric=f.xgboost_metric, early_stopping_rounds=50,
                   disable_default_eval_metric=1)
               xgboost.train({"num_class": C, "disable_default_eval_metric": 1}, data, obj=f,
                   custom_metric=f.xgboost_metric, evals=[(valid, "valid")])
    any        grad, hess = objective(y, raw_score); macro_f1 = metric(y, raw_score)

Metric     macro_f1 = macro(2*TP/(2*TP + FN + FP))
           harmonic mean of precision and recall; range [0, 1]
           Dice 1945, Measures of the Amount of Ecologic Association Between Species
Loss       1 - macro_f1. The metric is a score (proved from the signs of w_plus and w_minus).
Gradient   grad_ik = n d loss/dz_ik = n p_ik (g_ik - sum_j p_ij g_ij), z the raw scores, p their
           softmax, g_ik = -v_i (y_ik w_plus_k - (1 - y_ik) w_minus_k), n the sum of the weights v
           w_plus = dM/dTP - dM/dFN = d_macro*(2*(TP + FN + FP)/(2*TP + FN + FP)^2)
           w_minus = dM/dTN - dM/dFP = d_macro*(2*TP/(2*TP + FN + FP)^2)
           for each class; d_macro is 1/C where C classes count alike
Hessian    hess_ik = 2 n p_ik (1 - p_ik) (max_j g_ij - min_j g_ij), at least 1e-16: while w_plus and
           w_minus stand still, the loss nowhere curves more than half of it in z_ik; the 2 is
           XGBoost's and LightGBM's for a softmax. The loss is not convex: its own second
           derivatives are negative in places, and trees that divide by them learn nothing.
Surrogate  soft: A(p) = p, the probability: the counts are the expected confusion matrix.
Start      Boosters start custom objectives at equal scores, which is what this one wants;
           initial_score(y, classes=C) gives zeros; without `classes` as many as y shows.
Decision   decide(raw_score) gives the class of the largest score. Of custom objectives LightGBM's
           predict gives raw scores (n, C); of XGBoost's use output_margin=True.
Undefined  of a class, where there are no positives, real or predicted (TP = FN = FP = 0).
Classes    A class without positives, or without negatives, is left out of averages in loss and
           gradient. metric() takes the counts as they are. 0/0 is 0.
Arrays     y_true: classes 0 to C - 1 of shape (n,); raw_score: (n, C); weight: at least 0, at most
           1e30 in all, (n,). All is computed in float64. ValueError for what does not fit.

Made by metricc 0.1.0:  metricc compile f1 --name macro_f1 --target gbdt --task multiclass
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs NumPy alone and belongs to whoever generated it.
"""

import numpy as np

__all__ = [
    "MacroF1Objective",
    "decide",
    "gradient",
    "initial_score",
    "loss",
    "metric",
    "objective",
    "value",
    "weights",
]

METRICC = {'version': '0.1.0', 'formula': 'f1', 'options': {'target': 'gbdt', 'name': 'macro_f1', 'task': 'multiclass', 'surrogate': 'soft', 'goal': 'maximize'}, 'forms': {'value': 'as written; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'as written; proved: rational functions', 'M_FP': 'as written; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'factored; proved: rational functions', 'w_minus': 'as written; proved: rational functions'}, 'formula_sha256': '3f524cdc07a11d7c6220bdb049fe8dd41b27483c96cc59b581e022d547290d69', 'file_sha256': '082251def090e922aa47110e3bc27ad079165179b3b82668804a2443fb433271', 'code_sha256': '0581ad40faca016734cc7dfdf74d73c8f216e93946a9ac1431ae6ca3734ae7d9', 'words_sha256': '8ff38af70a8edfc8ac480fc2f3237732061f59a345b6bc254141db971777c88f', 'record_sha256': 'd70ada90868b77132ed5aa8dee0e5c76e2733c4d57226376dcc280a3d015ddda'}  # fmt: skip  # noqa: E501

_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # boosters keep gradients in float32
_FLOOR = 1e-16  # of the Hessian


def value(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """The metric on counts of shape (..., classes)."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    result = _mean(_ratio(2 * TP, 2 * TP + FN + FP), share, counted)
    return result.squeeze(-1)


def gradient(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """Its derivatives in TP, FN, FP and TN."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    x1 = FN + FP
    x2 = 2 * TP + x1
    x3 = _ratio(-2 * TP, x2**2)
    slope = _mean_slope(share, counted)
    return slope * _ratio(2 * x1, x2**2), slope * x3, slope * x3, 0


def weights(TP, FN, FP, TN, class_weight=None, absent=None, smooth=0.0):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    TP, FN, FP, TN, share, counted = _slices(TP, FN, FP, TN, class_weight, absent, smooth)
    x1 = FN + FP
    x2 = 2 * TP + x1
    slope = _mean_slope(share, counted)
    return slope * _ratio(2 * (TP + x1), x2**2), slope * _ratio(2 * TP, x2**2)


def objective(y_true, raw_score, weight=None):
    """(grad, hess) of the loss in every raw score, times the sum of the weights: float64, (n, C)."""
    y, z, v = _checked(y_true, raw_score, weight)
    p, q, top = _softmax(z)
    plus, minus = weights(*_counts(y, v, p, q), absent="skip")
    g = -v.sum() * v * (y * plus - (1 - y) * minus)
    # Counted from that of the likeliest class, nothing cancels where its p is near 1.
    g = np.clip(g - g[top][:, None], -_HUGE, _HUGE)
    reach = g.max(1, keepdims=True) - g.min(1, keepdims=True)
    grad, hess = p * (g - (p * g).sum(1, keepdims=True)), 2 * p * q * reach
    return np.clip(grad, -_HUGE, _HUGE), np.clip(hess, _FLOOR, _HUGE)


def metric(y_true, raw_score, weight=None):
    """The metric itself, of decisions for the class of the largest score: a float."""
    y, z, v = _checked(y_true, raw_score, weight)
    a = np.eye(z.shape[1])[z.argmax(1)]
    return float(value(*_counts(y, v, a, 1 - a)))


def loss(y_true, raw_score, weight=None):
    """What the objective lowers: 1 - macro_f1 on soft counts, a float."""
    y, z, v = _checked(y_true, raw_score, weight)
    p, q, _ = _softmax(z)
    return float(1 - value(*_counts(y, v, p, q), absent="skip"))


def initial_score(y_true, weight=None, classes=None):
    """The raw scores to start from, the same for all rows: zeros, one a class.

    Without `classes` there are as many as the labels show, which may lack the last one.
    """
    y = _array(y_true, "y_true")
    v = np.ones(y.shape) if weight is None else _array(weight, "weight")
    if y.ndim != 1 or y.shape != _weights(v).shape:
        raise ValueError(f"y_true and weight must be (n,), not {y.shape} and {v.shape}")
    if not ((y >= 0) & (y < np.inf) & (y == np.floor(y))).all():
        raise ValueError("y_true must hold classes: 0, 1, 2, ...")
    shown = int(y.max(initial=-1)) + 1
    classes = shown if classes is None else classes
    if not shown <= classes == int(classes):
        raise ValueError(f"classes must be whole and at least {shown}, not {classes}")
    return np.zeros(int(classes))


def decide(raw_score):
    """Classes from raw scores (n, C): 0 to C - 1, (n,)."""
    return _scores(raw_score).argmax(1)


class MacroF1Objective:
    """The objective and the metric with their arguments, as LightGBM and XGBoost call them.

    An instance is the objective itself, for both libraries' `train` and for their estimators.
    """

    def __init__(self):
        self.arguments = {}

    def __call__(self, first, second, sample_weight=None):
        """(grad, hess) from labels and scores, or from scores and the library's data set."""
        return objective(*_given(first, second, sample_weight), **self.arguments)

    def lightgbm_metric(self, first, second, sample_weight=None):
        """For `feval` and `eval_metric`: the name, the metric, and whether higher is better."""
        return "macro_f1", metric(*_given(first, second, sample_weight), **self.arguments), True

    def xgboost_metric(self, first, second, sample_weight=None):
        """For `custom_metric` and `eval_metric`: 1 - macro_f1, for XGBoost minimizes such metrics.

        `xgboost.train` shows it as `1-macro_f1`, estimators by the name of this method.
        """
        cost = 1 - metric(*_given(first, second, sample_weight), **self.arguments)
        return ("1-macro_f1", cost) if hasattr(second, "get_label") else cost

    def __repr__(self):
        shown = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"MacroF1Objective({shown})"


def _given(first, second, sample_weight):
    """Labels, scores and weights, as estimators or as `train` hand them over."""
    if not hasattr(second, "get_label"):
        return first, second, sample_weight
    weight = second.get_weight()
    return second.get_label(), first, None if weight is None or len(weight) == 0 else weight


def _checked(y_true, raw_score, weight):
    """Labels one-hot (n, C), scores (n, C) and weights (n, 1) as float64 arrays."""
    y, z = _array(y_true, "y_true"), _scores(raw_score)
    v = np.ones(y.shape) if weight is None else _array(weight, "weight")
    if not z.shape[:1] == y.shape == v.shape:
        shapes = f"{y.shape}, {z.shape} and {v.shape}"
        raise ValueError(
            f"y_true, raw_score and weight must be (n,), (n, C) and (n,), not {shapes}"
        )
    if not ((y >= 0) & (y < z.shape[1]) & (y == np.floor(y))).all():
        raise ValueError(f"y_true must hold classes 0 to {z.shape[1] - 1}")
    return np.eye(z.shape[1])[y.astype(int)], z, _weights(v[:, None])


def _scores(raw_score):
    """Scores (n, C) as float64; ValueError for others."""
    z = _array(raw_score, "raw_score")
    if z.ndim != 2:
        raise ValueError(f"raw_score must be (n, C), not {z.shape}")
    if not np.isfinite(z).all():
        raise ValueError("raw_score must be finite")
    return z


def _weights(v):
    """ValueError for weights that are negative, or so large that their products overflow."""
    if not ((v >= 0) & (v <= _HUGE)).all() or v.sum() > _HUGE:
        raise ValueError("weight must be finite and at least 0, and at most 1e30 in all")
    return v


def _array(x, name):
    """x as float64; ValueError where it holds no numbers."""
    try:
        return np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers") from None


def _counts(y, v, a, b):
    """TP, FN, FP, TN of every class, (C,) each, of soft labels a, b = 1 - a."""
    cells = y * a, y * b, (1 - y) * a, (1 - y) * b
    return tuple((v * cell).sum(0) for cell in cells)


def _softmax(z):
    """p, 1 - p, and the place of the largest score in each row."""
    e = np.exp(z - z.max(1, keepdims=True))
    top = np.arange(len(z)), z.argmax(1)
    others = e.copy()
    others[top] = 0
    p = e / e.sum(1, keepdims=True)
    q = 1 - p
    q[top] = others.sum(1) / e.sum(1)  # nothing cancels where p is near 1
    return p, q, top


def _slices(TP, FN, FP, TN, share, absent, smooth):
    """The counts that each class is judged by, its share in averages, and its weight there.

    A class without positives or without negatives is absent.
    """
    TP, FN, FP, TN, share = _tables(TP, FN, FP, TN, share)
    counted = share
    if absent is not None:
        missing = (TP + FN == 0) | (FP + TN == 0)
        TP, TN = TP + missing, TN + missing
        present = share * ~missing
        if absent == "skip":  # an average of nothing is never taken
            share = counted = np.where(present.sum(-1, keepdims=True) > 0, present, share)
        elif absent == "zero":
            share = present
    return TP + smooth, FN + smooth, FP + smooth, TN + smooth, share, counted


def _tables(*tables):
    """Counts and share as float64 arrays of one shape; no share is a share of 1."""
    *cells, share = (None if x is None else np.asarray(x, dtype=np.float64) for x in tables)
    share = np.ones(()) if share is None else share
    return *cells, np.broadcast_to(share, cells[0].shape)


def _mean(e, share, counted):
    """The mean over classes (the last dimension, which is kept)."""
    return _ratio((share * e).sum(-1, keepdims=True), counted.sum(-1, keepdims=True))


def _mean_slope(share, counted):
    """The derivative of the mean in each of its values."""
    return _ratio(share, counted.sum(-1, keepdims=True))


def _ratio(a, b):
    """a / b, finite for every b: |b| is at least _TINY, the quotient at most _HUGE."""
    with np.errstate(over="ignore"):
        return np.clip(a / np.where(np.abs(b) < _TINY, _TINY, b), -_HUGE, _HUGE)
