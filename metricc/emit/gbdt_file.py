"""The generated file of an objective for boosting as text with holes (`torch_file.fill`)."""

from __future__ import annotations

CUT_WORDS = {"soft": "0", "amplified": "log(threshold/(1 - threshold))"}

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
    return (_scores(raw_score) > <<cut>>).astype(int)

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
        """For `custom_metric` and `eval_metric`: <<goal>>, for XGBoost minimizes such metrics.

        `xgboost.train` shows it as `<<cost_name>>`, estimators by the name of this method.
        """
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
    y, z = _array(y_true, "y_true"), _scores(raw_score)
    v = np.ones(y.shape) if weight is None else _array(weight, "weight")
    if not y.shape == z.shape == v.shape:
        shapes = f"y_true {y.shape}, raw_score {z.shape}, weight {v.shape}"
        raise ValueError(f"y_true, raw_score and weight must be of one shape (n,), not {shapes}")
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError("y_true must lie in [0, 1]")
    return y, z, _weights(v)
''',
    "multiclass": '''

def _checked(y_true, raw_score, weight):
    """Labels one-hot (n, C), scores (n, C) and weights (n, 1) as float64 arrays."""
    y, z = _array(y_true, "y_true"), _scores(raw_score)
    v = np.ones(y.shape) if weight is None else _array(weight, "weight")
    if not z.shape[:1] == y.shape == v.shape:
        shapes = f"{y.shape}, {z.shape} and {v.shape}"
        raise ValueError(f"y_true, raw_score and weight must be (n,), (n, C) and (n,), not {shapes}")
    if not ((y >= 0) & (y < z.shape[1]) & (y == np.floor(y))).all():
        raise ValueError(f"y_true must hold classes 0 to {z.shape[1] - 1}")
    return np.eye(z.shape[1])[y.astype(int)], z, _weights(v[:, None])
''',
}

# What is no number, is infinite or of another shape.
FINITE = '''

def _scores(raw_score):
    """Scores <<scores_shape>> as float64; ValueError for others."""
    z = _array(raw_score, "raw_score")
    if z.ndim != <<dimensions>>:
        raise ValueError(f"raw_score must be <<scores_shape>>, not {z.shape}")
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
    "_log_ratio": '''

def _log_ratio(a, b, d):
    """log(a / b) as _log of _ratio gives it, near 1 by d = a - b, which has more digits."""
    near = np.abs(d) < b / 2
    with np.errstate(over="ignore"):
        far = np.clip(a / np.maximum(b, _TINY), _TINY, _HUGE)
    return np.where(near, np.log1p(np.where(near, d, 0) / np.maximum(b, _TINY)), np.log(far))
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
