"""The generated file of an objective for boosting as text with holes (`torch_file.fill`)."""

from __future__ import annotations

TITLE = "{name} as an objective for gradient boosting: {goal} of soft predictions."

USAGE = {
    "binary": """\
    f = {pascal}Objective({required})
    LightGBM   LGBMClassifier(objective=f, metric="None").fit(X, y, eval_set=[(Xv, yv)],
                   eval_metric=f.lightgbm_metric, callbacks=[lightgbm.early_stopping(50)])
               lightgbm.train({{"objective": f, "metric": "None"}}, data, feval=f.lightgbm_metric)
    XGBoost    XGBClassifier(objective=f, eval_metric=f.xgboost_metric, early_stopping_rounds=50)
               xgboost.train({{"base_score": 0, "disable_default_eval_metric": 1}}, data, obj=f,
                   custom_metric=f.xgboost_metric, evals=[(valid, "valid")])
    any        grad, hess = objective(y, raw_score); {name} = metric(y, raw_score)""",
    "multiclass": """\
    f = {pascal}Objective({required})
    LightGBM   LGBMClassifier(objective=f, metric="None").fit(X, y, eval_set=[(Xv, yv)],
                   eval_metric=f.lightgbm_metric, callbacks=[lightgbm.early_stopping(50)])
               lightgbm.train({{"objective": f, "metric": "None", "num_class": C}}, data,
                   feval=f.lightgbm_metric)
    XGBoost    XGBClassifier(objective=f, eval_metric=f.xgboost_metric, early_stopping_rounds=50)
               xgboost.train({{"num_class": C, "disable_default_eval_metric": 1}}, data, obj=f,
                   custom_metric=f.xgboost_metric, evals=[(valid, "valid")])
    any        grad, hess = objective(y, raw_score); {name} = metric(y, raw_score)""",
}

SURROGATES = {
    "softmax": "soft: A(p) = p, the probability: the counts are the expected confusion matrix.",
    "soft": "soft: A(p) = p, the probability: the counts are the expected confusion matrix.",
    "amplified": "amplified: A(p) = sigmoid(L*(p - threshold)), p = sigmoid(z); AnyLoss: Han, "
    "Moniz, Chawla 2024, arXiv 2405.14745",
}

GRADIENTS = {
    "binary": "grad_i = n d loss/dz_i = {sign}n v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i, "
    "z the raw score, n the sum of the weights v",
    "multiclass": "grad_ik = n d loss/dz_ik = n p_ik (g_ik - sum_j p_ij g_ij), z the raw scores, p "
    "their softmax, g_ik = {sign}v_i (y_ik w_plus_k - (1 - y_ik) w_minus_k), n the sum of the weights v",
}

LEAF = " So a leaf's value lies in [-1, 1] before the learning rate."
HESSIANS = {
    "soft": "hess_i = n v_i |y_i w_plus - (1 - y_i) w_minus| p_i (1 - p_i), at least 1e-16: while "
    "w_plus and w_minus stand still, the loss nowhere curves more in z_i." + LEAF + " The loss is "
    "not convex: its own second derivatives are negative in places, and trees that divide by them "
    "learn nothing.",
    "amplified": "hess_i = n v_i |y_i w_plus - (1 - y_i) w_minus| p_i (1 - p_i) (L/4 + .0241 L^2), "
    "at least 1e-16: while w_plus and w_minus stand still, the loss nowhere curves more in z_i. The "
    "loss is not convex: its own second derivatives are negative in places, and trees that divide by "
    "them learn nothing.",
    "softmax": "hess_ik = 2 n p_ik (1 - p_ik) (max_j g_ij - min_j g_ij), at least 1e-16: while "
    "w_plus and w_minus stand still, the loss nowhere curves more than half of it in z_ik; the 2 is "
    "XGBoost's and LightGBM's for a softmax. The loss is not convex: its own second derivatives are "
    "negative in places, and trees that divide by them learn nothing.",
}

CUT_WORDS = {"soft": "0", "amplified": "log(threshold/(1 - threshold))"}

START = {
    "binary": "Boosters start custom objectives at raw score 0, but xgboost.train starts at base_score: "
    "set it to 0 there, and leave it alone in XGBClassifier. initial_score(y) is the score at which A "
    "is 1/2 and steepest: 0, unless a threshold is passed. Where it is not 0, pass it as LightGBM's "
    "init_score (and add it to what the model predicts) or as XGBoost's base_margin. Do not start from "
    "the log-odds of the classes: there a rare class has nearly no slope.",
    "multiclass": "Boosters start custom objectives at equal scores, which is what this one wants; "
    "initial_score(y) gives zeros.",
}

DECISION = {
    "binary": "decide(raw_score) gives labels: 1 where the raw score is above {cut}. Of custom "
    "objectives LightGBM's predict gives raw scores; of XGBoost's use output_margin=True.",
    "multiclass": "decide(raw_score) gives the class of the largest score. Of custom objectives "
    "LightGBM's predict gives raw scores (n, C); of XGBoost's use output_margin=True.",
}

ABSENT = {
    "binary": "Labels without positives, or without negatives, get one unit of weight in TP and in "
    "TN in loss and gradient. metric() takes the counts as they are. 0/0 is 0.",
    "multiclass": "A class without positives, or without negatives, is left out of averages in loss "
    "and gradient. metric() takes the counts as they are. 0/0 is 0.",
    "joint": "Labels of one class alone get one right answer in every class in loss and gradient. "
    "metric() takes the counts as they are. 0/0 is 0.",
}

ARRAYS = {
    "binary": "y_true: labels in [0, 1] of shape (n,); raw_score: margins (log-odds), (n,); weight: at "
    "least 0, (n,). All is computed in float64. ValueError for what does not fit.",
    "multiclass": "y_true: classes 0 to C - 1 of shape (n,); raw_score: (n, C); weight: at least 0, "
    "(n,). All is computed in float64. ValueError for what does not fit.",
}

OWNERSHIP = "The file needs NumPy alone and belongs to whoever generated it."

HEAD = '''"""<<docstring>>
"""

<<math>>import numpy as np

__all__ = [<<all>>]

METRICC = {}

_TINY = 2.2250738585072014e-308  # the smallest normal float64
_HUGE = 1e30  # boosters keep gradients in float32
_FLOOR = 1e-16  # of the Hessian


def value(<<signature>>):
    """The metric on counts<<counts>>."""
<<value>>


def gradient(<<signature>>):
    """Its derivatives in <<variables>>."""
<<gradient>>


def weights(<<signature>>):
    """(w_plus, w_minus): dM/dTP - dM/dFN and dM/dTN - dM/dFP<<and_loss>>."""
<<weights>>


<<ranges>>'''

BINARY = '''\
def objective(y_true, raw_score, weight=None<<keywords>>):
    """(grad, hess) of the loss in every raw score, times the sum of the weights: float64, (n,)."""
<<require>>    y, z, v = _checked(y_true, raw_score, weight)
    a, b, slope, curve = _soft(z<<soft_args>>)
    plus, minus<<and_steep>> = weights(*_present(*_counts(y, v, a, b))<<mean>><<parameters>>)
    side = v.sum() * v * (y * plus - (1 - y) * minus)
    grad, hess = <<sign>>side * slope, np.abs(side) * curve
<<element>>    return np.clip(grad, -_HUGE, _HUGE), np.clip(hess, _FLOOR, _HUGE)


def metric(y_true, raw_score, weight=None<<keywords>>):
    """The metric itself, of decisions at <<cut_words>>: a float."""
<<require>>    y, z, v = _checked(y_true, raw_score, weight)
    a = 1.0 * (z > <<cut>>)
    return float(value(*_counts(y, v, a, 1 - a)<<mean>><<parameters>>))


def loss(y_true, raw_score, weight=None<<keywords>>):
    """What the objective lowers: <<goal>> on soft counts, a float."""
<<require>>    y, z, v = _checked(y_true, raw_score, weight)
    a, b, _, _ = _soft(z<<soft_args>>)
    return float(<<direction>>value(*_present(*_counts(y, v, a, b))<<mean>><<parameters>>))


def initial_score(y_true, weight=None<<cut_keywords>>):
    """The raw score to start from, the same for all rows: where A is 1/2 and steepest."""
    _checked(y_true, np.zeros(np.shape(y_true)), weight)
    return <<cut>>


def decide(raw_score<<cut_keywords>>):
    """Labels from raw scores: 0 or 1, (n,)."""
    return (np.asarray(raw_score) > <<cut>>).astype(int)

'''

CLASSES = '''\
def objective(y_true, raw_score, weight=None<<keywords>>):
    """(grad, hess) of the loss in every raw score, times the sum of the weights: float64, (n, C)."""
<<require>>    y, z, v = _checked(y_true, raw_score, weight)
    p, q, top = _softmax(z)
    plus, minus<<and_steep>> = weights(*_counts(y, v, p, q)<<mean>><<parameters>>, absent="<<absent>>")
    g = <<sign>>v.sum() * v * (y * plus - (1 - y) * minus)
    # Counted from that of the likeliest class, nothing cancels where its p is near 1.
    g = np.clip(g - g[top][:, None], -_HUGE, _HUGE)
    reach = g.max(1, keepdims=True) - g.min(1, keepdims=True)
    grad, hess = p * (g - (p * g).sum(1, keepdims=True)), 2 * p * q * reach
<<element>>    return np.clip(grad, -_HUGE, _HUGE), np.clip(hess, _FLOOR, _HUGE)


def metric(y_true, raw_score, weight=None<<keywords>>):
    """The metric itself, of decisions for the class of the largest score: a float."""
<<require>>    y, z, v = _checked(y_true, raw_score, weight)
    a = np.eye(z.shape[1])[z.argmax(1)]
    return float(value(*_counts(y, v, a, 1 - a)<<mean>><<parameters>>))


def loss(y_true, raw_score, weight=None<<keywords>>):
    """What the objective lowers: <<goal>> on soft counts, a float."""
<<require>>    y, z, v = _checked(y_true, raw_score, weight)
    p, q, _ = _softmax(z)
    return float(<<direction>>value(*_counts(y, v, p, q)<<mean>><<parameters>>, absent="<<absent>>"))


def initial_score(y_true, weight=None):
    """The raw scores to start from, the same for all rows: zeros, one a class."""
    y = np.asarray(y_true)
    return np.zeros(int(y.max()) + 1 if y.size else 0)


def decide(raw_score):
    """Classes from raw scores (n, C): 0 to C - 1, (n,)."""
    return np.asarray(raw_score).argmax(1)

'''

ADAPTER = '''
class <<pascal>>Objective:
    """The objective and the metric with their arguments, as LightGBM and XGBoost call them.

    An instance is the objective itself, for both libraries' `train` and for their estimators.
    """

    def __init__(self<<keywords>>):
<<require_in_class>>        self.arguments = <<arguments>>

    def __call__(self, first, second, sample_weight=None):
        """(grad, hess) from labels and scores, or from scores and the library's data set."""
        return objective(*_given(first, second, sample_weight), **self.arguments)

    def lightgbm_metric(self, first, second, sample_weight=None):
        """For `feval` and `eval_metric`: the name, the metric, and whether higher is better."""
        return "<<name>>", metric(*_given(first, second, sample_weight), **self.arguments), <<higher>>

    def xgboost_metric(self, first, second, sample_weight=None):
        """For `custom_metric` and `eval_metric`: <<goal>>, for XGBoost minimizes such metrics."""
        cost = <<direction>>metric(*_given(first, second, sample_weight), **self.arguments)
        return ("<<cost_name>>", cost) if hasattr(second, "get_label") else cost

    def __repr__(self):
        shown = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"<<pascal>>Objective({shown})"


def _given(first, second, sample_weight):
    """Labels, scores and weights, as estimators or as `train` hand them over."""
    if not hasattr(second, "get_label"):
        return first, second, sample_weight
    weight = second.get_weight()
    return second.get_label(), first, None if weight is None or len(weight) == 0 else weight
'''

CHECKED = {
    "binary": '''

def _checked(y_true, raw_score, weight):
    """Labels, scores and weights as float64 arrays of one shape (n,)."""
    y, z = np.asarray(y_true, dtype=np.float64), np.asarray(raw_score, dtype=np.float64)
    v = np.ones(y.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if y.ndim != 1 or not y.shape == z.shape == v.shape:
        shapes = f"y_true {y.shape}, raw_score {z.shape}, weight {v.shape}"
        raise ValueError(f"y_true, raw_score and weight must be of one shape (n,), not {shapes}")
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError("y_true must lie in [0, 1]")
    return y, *_finite(z, v)
''',
    "multiclass": '''

def _checked(y_true, raw_score, weight):
    """Labels one-hot (n, C), scores (n, C) and weights (n, 1) as float64 arrays."""
    y, z = np.asarray(y_true), np.asarray(raw_score, dtype=np.float64)
    v = np.ones(y.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if z.ndim != 2 or not z.shape[:1] == y.shape == v.shape:
        shapes = f"{y.shape}, {z.shape} and {v.shape}"
        raise ValueError(f"y_true, raw_score and weight must be (n,), (n, C) and (n,), not {shapes}")
    if not ((y >= 0) & (y < z.shape[1]) & (y == np.floor(y))).all():
        raise ValueError(f"y_true must hold classes 0 to {z.shape[1] - 1}")
    return np.eye(z.shape[1])[y.astype(int)], *_finite(z, v[:, None])
''',
}

FINITE = '''

def _finite(z, v):
    """ValueError for what is no number, and for weights below 0."""
    if not np.isfinite(z).all():
        raise ValueError("raw_score must be finite")
    if not ((v >= 0) & (v < np.inf)).all():
        raise ValueError("weight must be finite and at least 0")
    return z, v
'''

COUNTS = {
    "binary": '''

def _counts(y, v, a, b):
    """TP, FN, FP, TN of soft labels a, b = 1 - a."""
    return (v * y * a).sum(), (v * y * b).sum(), (v * (1 - y) * a).sum(), (v * (1 - y) * b).sum()
''',
    "multiclass": '''

def _counts(y, v, a, b):
    """TP, FN, FP, TN of every class, (C,) each, of soft labels a, b = 1 - a."""
    cells = y * a, y * b, (1 - y) * a, (1 - y) * b
    return tuple((v * cell).sum(0) for cell in cells)
''',
}

# Element losses: what they add in objective(), and their mean over the rows. A steepness that the
# metric has in the loss, `steep`, is one number a batch.
ELEMENTS = {
    "bce": """\
    p, q = _sigmoid(z), _sigmoid(-z)
    pull = <<sign>>v * steep
    grad, hess = grad + pull * ((1 - y) * p - y * q), hess + np.abs(pull) * p * q
""",
    "ce": """\
    pull = <<sign>>v * steep
    wrong = (1 - y) * p - y * q
    grad, hess = grad + pull * wrong, hess + 2 * np.abs(pull) * p * q
""",
}

MEANS = {
    "bce": '''

def _mean_loss(y, z, v):
    """The mean cross-entropy over the rows."""
    loss = y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
    return _ratio((v * loss).sum(), v.sum())
''',
    "ce": '''

def _mean_loss(y, z, v):
    """The mean cross-entropy over the rows."""
    top = z.max(1, keepdims=True)
    log = z - top - np.log(np.exp(z - top).sum(1, keepdims=True))
    return _ratio(-(v * y * log).sum(), v.sum())
''',
}

PRESENT = '''

def _present(TP, FN, FP, TN):
    """The counts that loss and gradient see: without positives or negatives, one more TP and TN."""
    missing = 1.0 * (TP + FN == 0 or FP + TN == 0)
    return TP + missing, FN, FP, TN + missing
'''

SIGMOID = """

def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)
"""

SOFT = {
    "soft": '''

def _soft(z):
    """A(p) = p = sigmoid(z), 1 - A(p), dA/dz, and the most that A curves in z."""
    p, q = _sigmoid(z), _sigmoid(-z)
    return p, q, p * q, p * q
''',
    "amplified": '''

def _soft(z, L, threshold):
    """A(p), 1 - A(p), p = sigmoid(z), dA/dz, and a bound of how much A curves in z."""
    p, q = _sigmoid(z), _sigmoid(-z)
    t = L * (p - threshold)
    a, b = _sigmoid(t), _sigmoid(-t)  # each its own: 1 - a would cancel
    # |A''| is at most L^2/(6 sqrt(3)), A' at most L/4, and p q at most 1/4.
    return a, b, L * a * b * p * q, (L / 4 + L**2 / (24 * math.sqrt(3))) * p * q
''',
}

CUT = '''

def _cut(threshold):
    """The raw score at which p is the threshold."""
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie in (0, 1), not {threshold}")
    return math.log(threshold / (1 - threshold))
'''

SOFTMAX = '''

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
'''

GUARDS = {
    "_ratio": '''

def _ratio(a, b):
    """a / b, finite for every b: |b| is at least _TINY, the quotient at most _HUGE."""
    with np.errstate(over="ignore"):
        return np.clip(a / np.where(np.abs(b) < _TINY, _TINY, b), -_HUGE, _HUGE)
''',
    "_root": '''

def _root(x):
    """sqrt(x) for x of at least _TINY; below it, constant."""
    return np.sqrt(np.maximum(x, _TINY))
''',
    "_log": '''

def _log(x):
    """log(x) for x of at least _TINY; below it, constant."""
    return np.log(np.maximum(x, _TINY))
''',
    "_exp": '''

def _exp(x):
    """exp(x), at most _HUGE."""
    return np.exp(np.minimum(x, math.log(_HUGE)))
''',
    "_power": '''

def _power(x, exponent):
    """x**exponent, at most _HUGE; where it is not whole, x is at least _TINY."""
    x = np.asarray(x, dtype=np.float64)
    x = x if float(exponent).is_integer() else np.maximum(x, _TINY)
    with np.errstate(over="ignore", divide="ignore"):
        return np.clip(x**exponent, -_HUGE, _HUGE)
''',
    "_abs": """

def _abs(x):
    return np.abs(x)
""",
    "_min": """

def _min(a, b):
    return np.minimum(a, b)
""",
    "_max": """

def _max(a, b):
    return np.maximum(a, b)
""",
    "_select": '''

def _select(x, y, a, b):
    """a where x < y, else b."""
    return np.where(x < y, a, b)
''',
    "_step": '''

def _step(x):
    """0 below 0, 1 above, 1/2 at 0."""
    return (np.sign(x) + 1) / 2
''',
}
