"""f1 as an objective for gradient boosting: 1 - f1 of soft predictions.

    f = F1Objective()
    LightGBM   LGBMClassifier(objective=f, metric="None").fit(X, y, eval_set=[(Xv, yv)],
                   eval_metric=f.lightgbm_metric, callbacks=[lightgbm.early_stopping(50)])
               lightgbm.train({"objective": f, "metric": "None"}, data, feval=f.lightgbm_metric)
    XGBoost    XGBClassifier(objective=f, eval_metric=f.xgboost_metric, early_stopping_rounds=50,
                   disable_default_eval_metric=1)
               xgboost.train({"base_score": 0, "disable_default_eval_metric": 1}, data, obj=f,
                   custom_metric=f.xgboost_metric, evals=[(valid, "valid")])
    any        grad, hess = objective(y, raw_score); f1 = metric(y, raw_score)

Metric     f1 = 2*TP/(2*TP + FP + FN)
Loss       1 - f1. The metric is a score (proved from the signs of w_plus and w_minus).
Gradient   grad_i = n d loss/dz_i = -n v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i, z the raw
           score, n the sum of the weights v
           w_plus = dM/dTP - dM/dFN = 2*(TP + FN + FP)/(2*TP + FN + FP)^2
           w_minus = dM/dTN - dM/dFP = 2*TP/(2*TP + FN + FP)^2
Hessian    hess_i = n v_i |y_i w_plus - (1 - y_i) w_minus| p_i (1 - p_i), at least 1e-16: while
           w_plus and w_minus stand still, the loss nowhere curves more in z_i. So a leaf's value
           lies in [-1, 1] before the learning rate. The loss is not convex: its own second
           derivatives are negative in places, and trees that divide by them learn nothing.
Surrogate  soft: A(p) = p, the probability: the counts are the expected confusion matrix.
Start      Boosters start custom objectives at raw score 0, but xgboost.train starts at base_score:
           set it to 0 there, and leave it alone in XGBClassifier. initial_score(y) is the score at
           which A is 1/2 and steepest: 0, unless a threshold is passed. Where it is not 0, pass it
           as LightGBM's init_score (and add it to what the model predicts) or as XGBoost's
           base_margin. Do not start from the log-odds of the classes: there a rare class has nearly
           no slope.
Decision   decide(raw_score) gives labels: 1 where the raw score is above 0. Of custom objectives
           LightGBM's predict gives raw scores; of XGBoost's use output_margin=True.
Undefined  where there are no positives, real or predicted (TP = FN = FP = 0).
Classes    Labels without positives, or without negatives, get one unit of weight in TP and in TN in
           loss and gradient. metric() takes the counts as they are. 0/0 is 0.
Arrays     y_true: labels in [0, 1] of shape (n,); raw_score: margins (log-odds), (n,); weight: at
           least 0, at most 1e30 in all, (n,). All is computed in float64. ValueError for what does
           not fit.

Made by metricc 0.1.0:  metricc compile '2*TP / (2*TP + FP + FN)' --name f1 --target gbdt
Derivatives proved: rational functions.
Check it with `metricc verify`. The file needs NumPy alone and belongs to whoever generated it.
"""

import numpy as np

__all__ = [
    "F1Objective",
    "decide",
    "gradient",
    "initial_score",
    "loss",
    "metric",
    "objective",
    "value",
    "weights",
]

METRICC = {'version': '0.1.0', 'formula': '2*TP / (2*TP + FP + FN)', 'options': {'target': 'gbdt', 'name': 'f1', 'task': 'binary', 'surrogate': 'soft', 'goal': 'maximize'}, 'forms': {'value': 'as written; proved: rational functions', 'M_TP': 'factored; proved: rational functions', 'M_FN': 'as written; proved: rational functions', 'M_FP': 'as written; proved: rational functions', 'M_TN': 'as written; proved: rational functions', 'w_plus': 'factored; proved: rational functions', 'w_minus': 'as written; proved: rational functions'}, 'formula_sha256': '387affbf4a74411fb0938d350596a22f6d74ea4e05c19b29e5f4099739547ffa', 'file_sha256': 'e35642483e30d113b5995903f0a67d90c2ca72001ea5e1d9e3ab3cee5ded460e', 'code_sha256': 'f2c9e5e7ff5bda541946f1e7519c96e51d531bb15969a9556150e1616ce1dce1', 'words_sha256': '1bb923774f851378e3aca75f70403b76fd2f0a9ffafa28836f877bc7b060920d', 'record_sha256': 'b2c8ac9eaa62013575b2d141ef506d14d6fe9470e06f14ae06d5f5eedd77f9ad'}  # fmt: skip  # noqa: E501

_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # boosters keep gradients in float32
_FLOOR = 1e-16  # of the Hessian


def value(TP, FN, FP, TN):
    """The metric on counts."""
    return _ratio(2 * TP, 2 * TP + FN + FP)


def gradient(TP, FN, FP, TN):
    """Its derivatives in TP, FN, FP and TN."""
    x1 = FN + FP
    x2 = 2 * TP + x1
    x3 = _ratio(-2 * TP, x2**2)
    return _ratio(2 * x1, x2**2), x3, x3, 0


def weights(TP, FN, FP, TN):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP."""
    x1 = FN + FP
    x2 = 2 * TP + x1
    return _ratio(2 * (TP + x1), x2**2), _ratio(2 * TP, x2**2)


def objective(y_true, raw_score, weight=None):
    """(grad, hess) of the loss in every raw score, times the sum of the weights: float64, (n,)."""
    y, z, v = _checked(y_true, raw_score, weight)
    a, b, slope, curve = _soft(z)
    plus, minus = weights(*_present(*_counts(y, v, a, b)))
    side = v.sum() * v * (y * plus - (1 - y) * minus)
    grad, hess = -side * slope, np.abs(side) * curve
    return np.clip(grad, -_HUGE, _HUGE), np.clip(hess, _FLOOR, _HUGE)


def metric(y_true, raw_score, weight=None):
    """The metric itself, of decisions at 0: a float."""
    y, z, v = _checked(y_true, raw_score, weight)
    a = 1.0 * (z > 0.0)
    return float(value(*_counts(y, v, a, 1 - a)))


def loss(y_true, raw_score, weight=None):
    """What the objective lowers: 1 - f1 on soft counts, a float."""
    y, z, v = _checked(y_true, raw_score, weight)
    a, b, _, _ = _soft(z)
    return float(1 - value(*_present(*_counts(y, v, a, b))))


def initial_score(y_true, weight=None):
    """The raw score to start from, the same for all rows: where A is 1/2 and steepest."""
    _checked(y_true, np.zeros(np.shape(y_true)), weight)
    return 0.0


def decide(raw_score):
    """Labels from raw scores: 0 or 1, (n,)."""
    return (_scores(raw_score) > 0.0).astype(int)


class F1Objective:
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
        return "f1", metric(*_given(first, second, sample_weight), **self.arguments), True

    def xgboost_metric(self, first, second, sample_weight=None):
        """For `custom_metric` and `eval_metric`: 1 - f1, for XGBoost minimizes such metrics.

        `xgboost.train` shows it as `1-f1`, estimators by the name of this method.
        """
        cost = 1 - metric(*_given(first, second, sample_weight), **self.arguments)
        return ("1-f1", cost) if hasattr(second, "get_label") else cost

    def __repr__(self):
        shown = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"F1Objective({shown})"


def _given(first, second, sample_weight):
    """Labels, scores and weights, as estimators or as `train` hand them over."""
    if not hasattr(second, "get_label"):
        return first, second, sample_weight
    weight = second.get_weight()
    return second.get_label(), first, None if weight is None or len(weight) == 0 else weight


def _checked(y_true, raw_score, weight):
    """Labels, scores and weights as float64 arrays of one shape (n,)."""
    y, z = _array(y_true, "y_true"), _scores(raw_score)
    v = np.ones(y.shape) if weight is None else _array(weight, "weight")
    if not y.shape == z.shape == v.shape:
        shapes = f"y_true {y.shape}, raw_score {z.shape}, weight {v.shape}"
        raise ValueError(f"y_true, raw_score and weight must be of one shape (n,), not {shapes}")
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError("y_true must lie in [0, 1]")
    return y, z, _weights(v)


def _scores(raw_score):
    """Scores (n,) as float64; ValueError for others."""
    z = _array(raw_score, "raw_score")
    if z.ndim != 1:
        raise ValueError(f"raw_score must be (n,), not {z.shape}")
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
    """TP, FN, FP, TN of soft labels a, b = 1 - a."""
    return (v * y * a).sum(), (v * y * b).sum(), (v * (1 - y) * a).sum(), (v * (1 - y) * b).sum()


def _present(TP, FN, FP, TN):
    """The counts that loss and gradient see: without positives or negatives, one more TP and TN."""
    missing = 1.0 * (TP + FN == 0 or FP + TN == 0)
    return TP + missing, FN, FP, TN + missing


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _soft(z):
    """A(p) = p = sigmoid(z), 1 - A(p), dA/dz, and the most that A curves in z."""
    p, q = _sigmoid(z), _sigmoid(-z)
    return p, q, p * q, p * q


def _ratio(a, b):
    """a / b, finite for every b: |b| is at least _TINY, the quotient at most _HUGE."""
    with np.errstate(over="ignore"):
        return np.clip(a / np.where(np.abs(b) < _TINY, _TINY, b), -_HUGE, _HUGE)
