"""Objectives for boosting: by hand in NumPy, by scikit-learn, and in LightGBM and XGBoost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn import datasets, metrics
from sklearn.base import clone
from sklearn.model_selection import train_test_split

import metricc
from metricc.cli import main
from metricc.emit.gbdt import NAMES
from metricc.functions import GENERATED_NAMES, MODULE_ATTRIBUTES, SIGNATURE_WORDS
from metricc.load import load, load_file
from metricc.save import record
from metricc.verify import boosting

GOLDEN = Path(__file__).parent / "golden"
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "f1": ("2*TP / (2*TP + FP + FN)", {}),
    "macro_f1": ("f1", {"task": "multiclass"}),
}
Metric = Callable[[float, float, float, float], float]


@pytest.mark.parametrize("name", FILES)
def test_source_is_the_golden_file(name: str, update_golden: bool) -> None:
    formula, options = FILES[name]
    source = metricc.compile(formula, name=name, target="gbdt", **options).source
    path = GOLDEN / f"{name}_objective.py"
    if update_golden:
        path.write_text(source, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == source, "run pytest --update-golden"


def test_the_file_needs_numpy_alone() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import f1_objective as f, macro_f1_objective;"
        "assert not {'torch', 'metricc', 'sympy'} & set(sys.modules);"
        "print(f.objective([1, 0], [0.0, 0.0]))"
    )
    command = [sys.executable, "-c", code, str(GOLDEN)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=GOLDEN)
    assert done.returncode == 0, done.stderr


# -- by hand ----------------------------------------------------------------------------------


def f1(tp: float, fn: float, fp: float, tn: float) -> float:
    return 2 * tp / (2 * tp + fn + fp)


def f2(tp: float, fn: float, fp: float, tn: float) -> float:
    return 5 * tp / (5 * tp + 4 * fn + fp)


def mcc(tp: float, fn: float, fp: float, tn: float) -> float:
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / np.sqrt(margins))


def error_rate(tp: float, fn: float, fp: float, tn: float) -> float:
    return (fn + fp) / (tp + fn + fp + tn)


# formula, its loss by hand, options, constructor arguments
BY_HAND: list[tuple[str, Metric, dict[str, Any], dict[str, float]]] = [
    ("f1", lambda *c: 1 - f1(*c), {}, {}),
    ("fbeta", lambda *c: 1 - f2(*c), {}, {"beta": 2.0}),
    ("mcc", lambda *c: 1 - mcc(*c), {}, {}),
    ("error_rate", error_rate, {}, {}),
    ("-log(f1)", lambda *c: -np.log(f1(*c)), {}, {}),
    ("f1", lambda *c: 1 - f1(*c), {"surrogate": "amplified"}, {"L": 5.0, "threshold": 0.25}),
]


def drawn(seed: int = 0, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = (generator.random(n) < 0.3).astype(float)
    y[:2] = 0, 1
    return y, generator.normal(size=n), generator.choice([0.5, 1.0, 2.0], n)


def softened(z: np.ndarray, arguments: dict[str, float]) -> np.ndarray:
    p = 1 / (1 + np.exp(-z))
    if "L" not in arguments:
        return p
    return np.asarray(1 / (1 + np.exp(-arguments["L"] * (p - arguments["threshold"]))))


def counted(y: np.ndarray, a: np.ndarray, v: np.ndarray) -> tuple[float, ...]:
    parts = (y * a, y * (1 - a), (1 - y) * a, (1 - y) * (1 - a))
    return tuple(float((v * part).sum()) for part in parts)


@pytest.mark.parametrize(("formula", "by_hand", "options", "arguments"), BY_HAND)
def test_gradient_is_n_times_that_of_the_loss(
    formula: str, by_hand: Metric, options: dict[str, Any], arguments: dict[str, float]
) -> None:
    module = metricc.compile(formula, target="gbdt", **options).module()
    y, z, v = drawn()

    def loss(scores: np.ndarray) -> float:
        return by_hand(*counted(y, softened(scores, arguments), v))

    grad, hess = module.objective(y, z, v, **arguments)
    assert module.loss(y, z, v, **arguments) == pytest.approx(loss(z), rel=1e-13)
    step = 1e-6
    for i in range(len(z)):
        shift = step * np.eye(len(z))[i]
        slope = (loss(z + shift) - loss(z - shift)) / (2 * step)
        assert grad[i] == pytest.approx(v.sum() * slope, rel=1e-5, abs=1e-7)
    assert (hess > 0).all()


def test_f1_gradient_and_hessian_in_closed_form() -> None:
    module = load_file(GOLDEN / "f1_objective.py", "golden_f1_objective")
    y, z, v = drawn(1)
    p = 1 / (1 + np.exp(-z))
    tp, fn, fp, _ = counted(y, p, v)
    size = (2 * tp + fn + fp) ** 2
    weights = v.sum() * v * np.where(y == 1, 2 * (tp + fn + fp), 2 * tp) / size
    grad, hess = module.objective(y, z, v)
    np.testing.assert_allclose(grad, np.where(y == 1, -1, 1) * weights * p * (1 - p), rtol=1e-12)
    np.testing.assert_allclose(hess, weights * p * (1 - p), rtol=1e-12)
    # The curvature in each score, its weight held fixed, never exceeds the Hessian.
    curvature = np.abs(weights * p * (1 - p) * (1 - 2 * p))
    assert (hess >= curvature).all()


def test_a_mixture_with_logloss_by_differences() -> None:
    m = metricc.compile("0.5*bce + 0.5*(1 - f1)", name="mix", target="gbdt")
    y, z, v = drawn(2)
    for scores in (z, z + 5):
        grad, hess = m.module().objective(y, scores, v)
        p = 1 / (1 + np.exp(-scores))
        logloss = v * (p - y) / 2
        alone, bound = metricc.compile("f1", target="gbdt").module().objective(y, scores, v)
        np.testing.assert_allclose(grad, logloss + alone / 2, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(hess, v * p * (1 - p) / 2 + bound / 2, rtol=1e-9)
    hard = metrics.log_loss(y, 1 / (1 + np.exp(-z)), sample_weight=v)
    score = metrics.f1_score(y, z > 0, sample_weight=v)
    assert m.objective().xgboost_metric(y, z, v) == pytest.approx(0.5 * hard + 0.5 * (1 - score))


@pytest.mark.parametrize("options", [{}, {"surrogate": "amplified"}])
def test_the_hessian_bounds_the_curvature_at_fixed_weights(options: dict[str, Any]) -> None:
    module = metricc.compile("f1", target="gbdt", **options).module()
    for L in (1.0, 4.0, 10.0, 73.0) if options else (None,):
        given = {} if L is None else {"L": L}
        z = np.linspace(-9, 9, 400)
        y = (np.arange(400) % 7 == 0).astype(float)
        _, hess = module.objective(y, z, **given)
        a = softened(z, {"L": L, "threshold": 0.5} if L is not None else {})
        plus, minus = module.weights(*counted(y, a, np.ones(400)))
        sides = 400 * np.where(y == 1, plus, minus)
        step = 1e-4
        arguments = {"L": L, "threshold": 0.5} if L is not None else {}
        up, down = softened(z + step, arguments), softened(z - step, arguments)
        assert (hess >= sides * np.abs(up - 2 * a + down) / step**2 - 1e-5).all()


def test_multiclass_gradient_by_differences() -> None:
    module = load_file(GOLDEN / "macro_f1_objective.py", "golden_macro_f1_objective")
    generator = np.random.default_rng(3)
    y, z = generator.integers(0, 3, 30), generator.normal(size=(30, 3))
    v = generator.choice([0.5, 1.0, 2.0], 30)

    def loss(scores: np.ndarray) -> float:
        p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        each = [f1(*counted((y == k).astype(float), p[:, k], v)) for k in range(3)]
        return 1 - float(np.mean(each))

    grad, hess = module.objective(y, z, v)
    assert grad.shape == hess.shape == (30, 3)
    np.testing.assert_allclose(grad.sum(1), 0, atol=1e-15)
    assert (hess > 0).all() and (hess >= np.abs(grad)).all()
    step = 1e-6
    for place in np.ndindex(*z.shape):
        shift = np.zeros_like(z)
        shift[place] = step
        slope = (loss(z + shift) - loss(z - shift)) / (2 * step)
        assert grad[place] == pytest.approx(v.sum() * slope, rel=1e-5, abs=1e-7)


EDGES = {
    "no positives": (np.zeros(4), np.array([-1.0, 0.5, 2.0, -3.0]), None),
    "no negatives": (np.ones(4), np.array([-1.0, 0.5, 2.0, -3.0]), None),
    "one row": (np.ones(1), np.zeros(1), None),
    "nothing": (np.zeros(0), np.zeros(0), None),
    "far scores": (np.array([1.0, 0, 1, 0]), np.array([1e4, -1e4, -1e4, 1e4]), None),
    "no weight": (np.array([1.0, 0.0]), np.zeros(2), np.zeros(2)),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("formula", ["f1", "mcc", "gmean", "-log(f1)"])
def test_edges_are_finite(name: str, formula: str) -> None:
    module = metricc.compile(formula, target="gbdt").module()
    y, z, v = EDGES[name]
    with np.errstate(all="raise", under="ignore"):
        grad, hess = module.objective(y, z, v)
        numbers = module.metric(y, z, v), module.loss(y, z, v)
    assert np.isfinite(grad).all() and np.isfinite(hess).all() and np.isfinite(numbers).all()
    assert (hess > 0).all() and grad.shape == hess.shape == y.shape
    assert np.isfinite(grad.astype(np.float32)).all()


def test_without_positives_every_row_is_pushed_down() -> None:
    module = metricc.compile("f1", target="gbdt").module()
    grad, _ = module.objective(np.zeros(5), np.linspace(-2, 2, 5))
    assert (grad > 0).all()


# -- the metric -------------------------------------------------------------------------------


SCORED: list[tuple[str, Callable[..., float]]] = [
    ("f1", metrics.f1_score),
    ("fbeta(2)", lambda *a, **k: metrics.fbeta_score(*a, beta=2, **k)),
    ("mcc", metrics.matthews_corrcoef),
    ("balanced_accuracy", metrics.balanced_accuracy_score),
    ("jaccard", metrics.jaccard_score),
]


@pytest.mark.parametrize(("formula", "theirs"), SCORED)
def test_metric_is_scikit_learns(formula: str, theirs: Callable[..., float]) -> None:
    module = metricc.compile(formula, target="gbdt").module()
    for seed in range(5):
        y, z, v = drawn(seed)
        z[:4] = 0  # not above 0: negative
        assert module.metric(y, z, v) == pytest.approx(theirs(y, z > 0, sample_weight=v), rel=1e-12)
        assert module.metric(y, z) == pytest.approx(theirs(y, module.decide(z)), rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "theirs"),
    [
        ("f1", lambda *a, **k: metrics.f1_score(*a, average="macro", **k)),
        ("weighted(f1)", lambda *a, **k: metrics.f1_score(*a, average="weighted", **k)),
        ("micro(f1)", lambda *a, **k: metrics.f1_score(*a, average="micro", **k)),
        ("multiclass_mcc", metrics.matthews_corrcoef),
        ("multiclass_kappa", metrics.cohen_kappa_score),
        ("macro(recall)", metrics.balanced_accuracy_score),
    ],
)
def test_multiclass_metric_is_scikit_learns(formula: str, theirs: Callable[..., float]) -> None:
    module = metricc.compile(formula, task="multiclass", target="gbdt").module()
    generator = np.random.default_rng(0)
    y, z = generator.integers(0, 4, 60), generator.normal(size=(60, 4))
    v = generator.choice([0.5, 1.0, 2.0], 60)
    assert module.metric(y, z, v) == pytest.approx(
        theirs(y, z.argmax(1), sample_weight=v), rel=1e-12
    )
    assert module.metric(y, z) == pytest.approx(theirs(y, module.decide(z)), rel=1e-12)


def test_the_starting_score_is_the_surrogates_threshold() -> None:
    soft = metricc.compile("f1", target="gbdt").module()
    assert soft.initial_score([0, 1]) == 0
    module = metricc.compile("f1", target="gbdt", surrogate="amplified").module()
    start = module.initial_score([0, 1], threshold=0.2)
    assert 1 / (1 + np.exp(-start)) == pytest.approx(0.2)
    assert module.decide([start - 1e-9, start + 1e-9], threshold=0.2).tolist() == [0, 1]
    with pytest.raises(ValueError, match="threshold"):
        module.decide([0.0], threshold=1.0)


def test_a_fold_without_the_last_class_has_a_start() -> None:
    module = metricc.compile("f1", task="multiclass", target="gbdt").module()
    assert module.initial_score([0, 1, 1], classes=4).tolist() == [0.0] * 4
    assert module.initial_score([0, 1, 1]).tolist() == [0.0, 0.0]
    assert module.initial_score([0, 3], [1.0, 2.0]).shape == (4,)


@pytest.mark.parametrize("formula", ["f1", "mcc", "gmean", "-log(f1)", "p4"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_the_largest_weights_overflow_nowhere(formula: str, task: str) -> None:
    module = metricc.compile(formula, task=task, target="gbdt").module()
    y, z, v = drawn()
    z = np.stack([-z, z], 1) if task == "multiclass" else z
    with np.errstate(all="raise", under="ignore"):
        grad, hess = module.objective(y, z, v * 1e30 / v.sum() * (1 - 1e-9))
        once = module.metric(y, z, v * 1e28)
    assert np.isfinite(grad).all() and (hess > 0).all()
    assert once == pytest.approx(module.metric(y, z, v))


def test_wrong_input_says_what_and_where() -> None:
    binary = metricc.compile("f1", target="gbdt").module()
    several = metricc.compile("f1", task="multiclass", target="gbdt").module()
    for call, told in (
        (lambda: binary.objective([0, 2], [0, 0]), "y_true must lie in"),
        (lambda: binary.objective([0, 1], [0.0]), r"\(2,\), raw_score \(1,\)"),
        (lambda: binary.metric([0, 1], [0.0, np.nan]), "raw_score must be finite"),
        (lambda: binary.loss([0, 1], [0.0, 0.0], [1, -1]), "weight must be"),
        (lambda: several.objective([0, 3], np.zeros((2, 3))), "classes 0 to 2"),
        (lambda: several.objective([0, 0.5], np.zeros((2, 3))), "classes 0 to 2"),
        (lambda: several.objective([0, 1], np.zeros(6)), r"\(n, C\)"),
        (lambda: several.objective(["cat", "dog"], np.zeros((2, 3))), "y_true must hold numbers"),
        (lambda: binary.metric([{}], [0.0]), "y_true must hold numbers"),
        (lambda: binary.objective([0, 1], [0.0, 0.0], [1e80, 1e80]), "weight must be"),
        (lambda: binary.initial_score([0, 2]), "y_true must lie in"),
        (lambda: several.initial_score([-1, 2]), "must hold classes"),
        (lambda: several.initial_score([0, np.nan]), "must hold classes"),
        (lambda: several.initial_score([0.5, 1]), "must hold classes"),
        (lambda: several.initial_score(["cat"]), "y_true must hold numbers"),
        (lambda: several.initial_score([0, 2], classes=2), "at least 3, not 2"),
        (lambda: several.initial_score([0, 2], [1.0]), r"must be \(n,\)"),
        (lambda: binary.decide([np.nan]), "raw_score must be finite"),
        (lambda: binary.decide(np.zeros((2, 3))), r"must be \(n,\), not \(2, 3\)"),
        (lambda: several.decide(np.zeros(3)), r"must be \(n, C\), not \(3,\)"),
        (lambda: several.decide([[0.0, np.inf]]), "raw_score must be finite"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
    with pytest.raises(ValueError, match="beta must lie"):
        metricc.compile("fbeta", target="gbdt").objective(beta=-1.0)


# -- verify -----------------------------------------------------------------------------------

MUTATIONS = {
    "sign": ("hess = -side * slope", "hess = side * slope"),
    "n": ("v.sum() * v *", "len(v) * v *"),
    "weight": ("_ratio(2 * TP, x2**2)", "_ratio(TP, x2**2)"),
    "own second derivative": ("np.abs(side) * curve", "side * slope * (1 - 2 * a)"),
    "its absolute value": ("np.abs(side) * curve", "np.abs(side * slope * (1 - 2 * a))"),
    "half the Hessian": ("return p, q, p * q, p * q", "return p, q, p * q, p * q / 2"),
    "no floor": ("_FLOOR, _HUGE)", "0, _HUGE)"),
    "cut": ("1.0 * (z > 0.0)", "1.0 * (z >= 0.0)"),
    "absent": ("missing = 1.0 *", "missing = 0.0 *"),
    "cancellation": ("_sigmoid(z), _sigmoid(-z)", "_sigmoid(z), 1 - _sigmoid(z)"),
    "direction": ("self.arguments), True", "self.arguments), False"),
    "cost": ("cost = 1 - metric", "cost = metric"),
    "weights of the data": ("weight = second.get_weight()", "weight = None"),
    "start": ("    return 0.0\n", "    return -2.0\n"),
    "checks": ("if not np.isfinite(z).all()", "if False"),
    "checks of labels": ("if not ((y >= 0) & (y <= 1)).all()", "if False"),
    "huge weights": (" or v.sum() > _HUGE", ""),
    "checks of the start": ("    _checked(y_true, np.zeros(np.shape(y_true)), weight)\n", ""),
    "checks of decisions": ("(_scores(raw_score) > 0.0)", "(np.asarray(raw_score) > 0.0)"),
    "letters": ("except (TypeError, ValueError):", "except ZeroDivisionError:"),
}
AMPLIFIED = {"surrogate": "amplified"}
SEVERAL = {"task": "multiclass"}
# formula, options, what stands in the file, what takes its place; "mcc" has ties in metric()
MORE_MUTATIONS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "ties": ("mcc", {}, "1.0 * (z > 0.0)", "1.0 * (z >= 0.0)"),
    "L of objective": ("f1", AMPLIFIED, "objective(y_true, raw_score, weight=None, *, L=", "+1"),
    "L of metric": ("f1", AMPLIFIED, "metric(y_true, raw_score, weight=None, *, L=", "+1"),
    "L of the class": ("f1", AMPLIFIED, "__init__(self, *, L=", "+1"),
    "threshold of decide": ("f1", AMPLIFIED, "decide(raw_score, *, threshold=", "+1"),
    "threshold of the start": ("f1", AMPLIFIED, "weight=None, *, threshold=", "+1"),
    "beta": ("fbeta", {}, "value(TP, FN, FP, TN, beta=", "+1"),
    "range of L": ("f1", AMPLIFIED, "if not 0 < L < 1000000:", "if False:"),
    "range of the threshold": ("f1", AMPLIFIED, "    if not 0 < threshold < 1:", "    if False:"),
    "range in the class": (
        "f1",
        AMPLIFIED,
        "        _require(L, threshold)\n        self",
        "        self",
    ),
    "halves of classes": (
        "f1",
        SEVERAL,
        " & (y == np.floor(y))).all():\n        raise ValueError(f",
        "O",
    ),
    "halves at the start": ("f1", SEVERAL, " & (y < np.inf) & (y == np.floor(y))", ""),
    "given classes": ("f1", SEVERAL, "shown if classes is None else classes", "shown"),
    "fewer classes": ("f1", SEVERAL, "if not shown <= classes == int(classes)", "if False"),
    "weights at the start": (
        "f1",
        SEVERAL,
        "y.ndim != 1 or y.shape != _weights(v).shape",
        "y.ndim != 1",
    ),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (i % 3 > 0)) for i, n in enumerate(MUTATIONS)],
)
def test_mutations_are_found(name: str) -> None:
    m = metricc.compile("f1", target="gbdt")
    old, new = MUTATIONS[name]
    assert m.source.count(old) == 1
    module = load(m.source.replace(old, new), "f1")
    checks = boosting.checks(module, m.plan, m.options, m.surrogate)
    assert any(check.passed is False for check in checks)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (i % 3 > 0)) for i, n in enumerate(MORE_MUTATIONS)],
)
def test_mutations_of_other_files_are_found(name: str) -> None:
    formula, options, old, new = MORE_MUTATIONS[name]
    m = metricc.compile(formula, target="gbdt", **options)
    if new == "+1":  # another default
        new = f"{old}0.25 + "
    elif new == "O":  # the check of labels without its last part
        new = old.removeprefix(" & (y == np.floor(y))")
    assert old in m.source
    module = load(m.source.replace(old, new), "f1")
    checks = boosting.checks(module, m.plan, m.options, m.surrogate)
    assert any(check.passed is False for check in checks)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("f1", {"surrogate": "amplified"}),
        pytest.param("fbeta", {"surrogate": "amplified"}, marks=pytest.mark.slow),
        ("f1", {"task": "multiclass"}),
        ("0.5*bce + 0.5*(1 - f1)", {}),
        pytest.param("f1 - 0.3*bce", {"maximize": True}, marks=pytest.mark.slow),
        pytest.param(
            "0.5*ce + 0.5*(1 - macro(f1))", {"task": "multiclass"}, marks=pytest.mark.slow
        ),
        pytest.param("mcc", {}, marks=pytest.mark.slow),
        pytest.param("-log(f1)", {}, marks=pytest.mark.slow),
        pytest.param(
            "recall - 10*max(0, 0.9 - precision)", {"maximize": True}, marks=pytest.mark.slow
        ),
        pytest.param("if f1 > 0.5 then recall else f1", {"maximize": True}, marks=pytest.mark.slow),
        pytest.param("multiclass_mcc", {"task": "multiclass"}, marks=pytest.mark.slow),
        pytest.param("geomean(recall)", {"task": "multiclass"}, marks=pytest.mark.slow),
        pytest.param(
            "weighted(f1) + micro(recall) + macro(precision)",
            {"task": "multiclass", "maximize": True},
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_every_kind_of_file_verifies(formula: str, options: dict[str, Any]) -> None:
    report = metricc.compile(formula, target="gbdt", **options).verify()
    assert report.passed, str(report)


@pytest.mark.slow
def test_the_whole_library_verifies() -> None:
    failed = {}
    for name in metricc.names():
        try:
            m = metricc.compile(name, target="gbdt")
        except metricc.MetriccError as error:
            assert error.diagnostics[0].code in ("MC0203", "MC0302", "MC0303", "MC0513"), name
            continue
        report = m.verify()
        wrong = [str(check) for check in report.checks if check.passed is False]
        failed |= {name: wrong} if wrong else {}
    assert not failed


# -- the command line and the API -------------------------------------------------------------


def test_the_command_line_writes_and_verifies(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    command = ["compile", "f1", "--target", "gbdt", "-o", "f1_objective.py"]
    assert run(main, command).exit_code == 0
    assert run(main, [*command, "--check"]).exit_code == 0
    text = Path("f1_objective.py").read_text(encoding="utf-8")
    found = record(text)
    assert found is not None and found["options"]["target"] == "gbdt"
    assert found["options"]["name"] == "f1"
    assert run(main, ["verify", "f1_objective.py"]).exit_code == 0
    old, new = MUTATIONS["sign"]
    Path("f1_objective.py").write_text(text.replace(old, new), encoding="utf-8")
    assert run(main, ["verify", "f1_objective.py"]).exit_code == 1


def test_a_loss_records_no_target() -> None:
    found = record(metricc.compile("f1").source)
    assert found is not None and "target" not in found["options"]


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("f1", {"surrogate": "heaviside"}),
        ("f1", {"surrogate": "straight_through"}),
        ("f1", {"surrogate": "amplified(thresholds=[0.2, 0.5])"}),
        ("f1", {"surrogate": "p^2"}),
        ("f1", {"surrogate": "amplified", "task": "multiclass"}),
        ("f1", {"task": "multilabel"}),
        ("f1", {"per": "sample"}),
        ("f1", {"from_probabilities": True}),
        ("0.5*focal + 0.5*(1 - f1)", {}),
        ("per_class(f1)", {"task": "multiclass"}),
        ("samples(f1)", {"task": "multiclass"}),
        ("TP[amount]/(TP[amount] + FN[amount])", {}),
    ],
)
def test_what_boosters_have_no_place_for_is_refused(formula: str, options: dict[str, Any]) -> None:
    with pytest.raises(metricc.MetriccError) as caught:
        metricc.compile(formula, target="gbdt", **options)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "MC0513" and diagnostic.hint


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_parameters_cannot_hide_names_of_the_file(task: str) -> None:
    with pytest.raises(metricc.MetriccError) as caught:
        metricc.compile("t(a = 1) = f1^a; t", task=task, target="gbdt")
    assert caught.value.diagnostics[0].code == "MC0207"
    module = metricc.compile("fbeta", task=task, target="gbdt").module()
    own = module.FbetaObjective.__init__
    loss = "ce" if task == "multiclass" else "bce"
    mixed = metricc.compile(f"1 - f1 + {loss}", task=task, target="gbdt", minimize=True).module()
    for function in (module.objective, module.metric, module.loss, mixed.objective, own):
        code = function.__code__
        for name in {*code.co_varnames, *code.co_names} - {"beta"}:
            taken = NAMES | SIGNATURE_WORDS | GENERATED_NAMES | MODULE_ATTRIBUTES
            method = hasattr(np.ndarray, name) or hasattr(np, name)
            assert name in taken or name.startswith("_") or method, name


def test_a_loss_is_no_objective() -> None:
    for call in (
        lambda: metricc.compile("f1", target="gbdt").loss(),
        lambda: metricc.compile("f1").objective(),
    ):
        with pytest.raises(metricc.MetriccError) as caught:
            call()
        assert caught.value.diagnostics[0].code == "MC0514"


def test_names_of_an_error_rate() -> None:
    f = metricc.compile("error_rate", target="gbdt").objective()
    y, z, _ = drawn()
    wrong = float(((z > 0) != y).mean())
    assert f.lightgbm_metric(y, z) == ("error_rate", pytest.approx(wrong), False)
    assert f.xgboost_metric(y, z) == pytest.approx(wrong)


# -- in the libraries -------------------------------------------------------------------------


def imbalanced() -> tuple[np.ndarray, ...]:
    """Breast cancer, its malignant class thinned to a tenth: X, Xv, y, yv, weights."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    y = 1 - y
    kept = (y == 0) | (np.cumsum(y) % 5 == 0)
    x, y = x[kept], y[kept]
    w = np.random.default_rng(0).choice([0.5, 1.0, 2.0], len(y))
    x, xv, y, yv, w, _ = train_test_split(x, y, w, stratify=y, random_state=0)
    return x, xv, y, yv, w


def test_lightgbm_native_and_estimator_agree() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    x, xv, y, yv, w = imbalanced()
    f = metricc.compile("f1", target="gbdt").objective()
    settings = {"verbose": -1, "num_threads": 1, "metric": "None", "min_child_samples": 5}
    data = lightgbm.Dataset(x, y, weight=w)
    valid = lightgbm.Dataset(xv, yv, reference=data)
    seen: dict[str, Any] = {}
    native = lightgbm.train(
        {**settings, "objective": f},
        data,
        60,
        valid_sets=[valid],
        feval=f.lightgbm_metric,
        callbacks=[lightgbm.early_stopping(20, verbose=False), lightgbm.record_evaluation(seen)],
    )
    model = lightgbm.LGBMClassifier(
        objective=f, n_estimators=60, n_jobs=1, verbose=-1, metric="None", min_child_samples=5
    )
    model = clone(model).fit(
        x,
        y,
        sample_weight=w,
        eval_set=[(xv, yv)],
        eval_metric=f.lightgbm_metric,
        callbacks=[lightgbm.early_stopping(20, verbose=False)],
    )
    raw = native.predict(xv)
    np.testing.assert_allclose(raw, model.predict(xv, raw_score=True))
    curve = seen["valid_0"]["f1"]
    assert native.best_iteration == int(np.argmax(curve)) + 1 == model.best_iteration_
    assert (
        max(curve) == pytest.approx(metrics.f1_score(yv, raw > 0), rel=1e-12) and max(curve) > 0.7
    )
    unweighted = lightgbm.train({**settings, "objective": f}, lightgbm.Dataset(x, y), 60)
    assert not np.allclose(unweighted.predict(xv), raw)


def test_lightgbm_starts_at_a_score() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    x, xv, y, yv, _ = imbalanced()
    m = metricc.compile("f1", target="gbdt", surrogate="amplified")
    f = m.objective(L=4.0, threshold=0.3)
    start = m.module().initial_score(y, threshold=0.3)
    data = lightgbm.Dataset(x, y, init_score=np.full(len(y), start))
    model = lightgbm.train({"objective": f, "verbose": -1, "num_threads": 1}, data, 60)
    raw = model.predict(xv) + start
    decided = m.module().decide(raw, threshold=0.3)
    assert metrics.f1_score(yv, decided) > 0.7
    assert f.lightgbm_metric(yv, raw)[1] == pytest.approx(metrics.f1_score(yv, decided))


def test_xgboost_native_and_estimator_agree() -> None:
    xgboost = pytest.importorskip("xgboost")
    x, xv, y, yv, w = imbalanced()
    f = metricc.compile("f1", target="gbdt").objective()
    seen: dict[str, Any] = {}
    valid = xgboost.DMatrix(xv, yv)
    native = xgboost.train(
        {"base_score": 0, "disable_default_eval_metric": 1, "nthread": 1},
        xgboost.DMatrix(x, y, weight=w),
        40,
        obj=f,
        custom_metric=f.xgboost_metric,
        evals=[(valid, "valid")],
        evals_result=seen,
        early_stopping_rounds=20,
        verbose_eval=False,
    )
    model = xgboost.XGBClassifier(
        objective=f,
        eval_metric=f.xgboost_metric,
        disable_default_eval_metric=1,
        early_stopping_rounds=20,
        n_estimators=40,
        learning_rate=0.3,
        n_jobs=1,
    )
    model = clone(model).fit(x, y, sample_weight=w, eval_set=[(xv, yv)], verbose=False)
    assert [*model.evals_result()["validation_0"]] == ["xgboost_metric"]
    beside = xgboost.XGBClassifier(objective=f, eval_metric=f.xgboost_metric, n_estimators=1)
    beside.fit(x, y, eval_set=[(xv, yv)], verbose=False)
    assert [*beside.evals_result()["validation_0"]] == ["logloss", "xgboost_metric"]
    last = (0, native.best_iteration + 1)
    raw = native.predict(valid, output_margin=True, iteration_range=last)
    np.testing.assert_allclose(raw, model.predict(xv, output_margin=True), rtol=1e-4, atol=1e-5)
    curve = seen["valid"]["1-f1"]
    assert native.best_iteration == int(np.argmin(curve)) == model.best_iteration
    assert 1 - min(curve) == pytest.approx(metrics.f1_score(yv, raw > 0), abs=1e-6)
    assert 1 - min(curve) > 0.7
    assert (model.predict(xv) == (raw > 0)).all()


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_multiclass_in_both_interfaces(library: str) -> None:
    package: Any = pytest.importorskip(library)
    x, y = datasets.load_wine(return_X_y=True)
    x, xv, y, yv = train_test_split(x, y, stratify=y, random_state=0)
    m = metricc.compile("f1", task="multiclass", target="gbdt", name="macro_f1")
    f, module = m.objective(), m.module()
    if library == "lightgbm":
        settings = {"num_class": 3, "verbose": -1, "num_threads": 1, "metric": "None"}
        data = package.Dataset(x, y)
        valid = package.Dataset(xv, yv, reference=data)
        seen: dict[str, Any] = {}
        kept = package.record_evaluation(seen)
        native = package.train(
            {**settings, "objective": f},
            data,
            40,
            valid_sets=[valid],
            feval=f.lightgbm_metric,
            callbacks=[kept],
        )
        raw, curve = native.predict(xv), seen["valid_0"]["macro_f1"]
        model = package.LGBMClassifier(objective=f, n_estimators=40, n_jobs=1, verbose=-1)
        other = model.fit(x, y).predict(xv, raw_score=True)
    else:
        settings = {"num_class": 3, "nthread": 1, "disable_default_eval_metric": 1}
        table, seen = package.DMatrix(xv, yv), {}
        native = package.train(
            settings,
            package.DMatrix(x, y),
            40,
            obj=f,
            custom_metric=f.xgboost_metric,
            evals=[(table, "valid")],
            evals_result=seen,
            verbose_eval=False,
        )
        raw = native.predict(table, output_margin=True)
        curve = [1 - cost for cost in seen["valid"]["1-macro_f1"]]
        model = package.XGBClassifier(objective=f, n_estimators=40, n_jobs=1, learning_rate=0.3)
        other = model.fit(x, y).predict(xv, output_margin=True)
    assert raw.shape == (len(yv), 3)
    np.testing.assert_allclose(raw - raw[:, :1], other - other[:, :1], rtol=1e-3, atol=1e-4)
    expected = metrics.f1_score(yv, module.decide(raw), average="macro")
    assert curve[-1] == pytest.approx(expected, abs=1e-6) and expected > 0.9
