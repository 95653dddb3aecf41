"""verify: passes every metric of the library, and catches seeded faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import metricc
import metricc.library
from metricc import compiler, ir
from metricc.compiled import CompiledMetric
from metricc.load import load
from metricc.verify import check_source, derivation, drift
from metricc.verify.points import worse


def mostly_slow(rows: list[Any]) -> list[Any]:
    """The rows, two of three with the slow tests: a second or two each."""
    marks = [[pytest.mark.slow] * (i % 3 > 0) for i, _ in enumerate(rows)]
    return [pytest.param(*r.values, id=r.id, marks=m) for r, m in zip(rows, marks, strict=True)]


SURROGATES = [
    ("amplified", False),
    pytest.param("amplified", True, marks=pytest.mark.slow),
    pytest.param("soft", False, marks=pytest.mark.slow),
    pytest.param("soft", True, marks=pytest.mark.slow),
]

OTHERS = ["score_oriented(uniform)", "score_oriented(cosine)", "heaviside", "amplified(L=73)"]

COMPOSED = [
    "-log(f1)",
    "(f1 + mcc)/2",
    "1 - sqrt(precision * recall)",
    "(TP/P)^(1/3) * (TN/N)^(2/3)",
    "recall - 10*max(0, 0.9 - precision)",
    "f(k = 2 in (0, 5)) = (TP/P)^k; f",
]


# The others run with the slow tests: a second each.
FIRST = set(
    "accuracy recall fbeta f1 tversky mcc cohen_kappa mutual_information agm distance_index".split()
)
NAMES = [n if n in FIRST else pytest.param(n, marks=pytest.mark.slow) for n in metricc.names()]


@pytest.mark.parametrize(("surrogate", "from_probabilities"), SURROGATES)
@pytest.mark.parametrize("name", NAMES)
def test_library_metric_verifies(name: str, surrogate: str, from_probabilities: bool) -> None:
    mixed = metricc.library.definitions()[name].fact("direction") == "mixed"
    options = {"surrogate": surrogate, "from_probabilities": from_probabilities}
    report = metricc.compile(name, maximize=mixed, **options).verify()
    assert report.passed, str(report)
    assert len(report.checks) >= 15


# Every surrogate by logits and by probabilities, every metric with two of the surrogates.
PAIRED = [
    pytest.param(
        name,
        surrogate,
        from_probabilities,
        marks=[pytest.mark.slow] * ((i + j + 2 * from_probabilities) % 4 > 0),
    )
    for i, name in enumerate(["f1", "mcc", "gmean", "error_rate"])
    for j, surrogate in enumerate(OTHERS)
    for from_probabilities in (False, True)
]


@pytest.mark.parametrize(("name", "surrogate", "from_probabilities"), PAIRED)
def test_other_surrogates_verify(name: str, surrogate: str, from_probabilities: bool) -> None:
    options = {"surrogate": surrogate, "from_probabilities": from_probabilities}
    report = metricc.compile(name, **options).verify()
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("surrogate", "old", "new"),
    [
        ("heaviside", "(low - mid) * below", "(mid - low) * below"),
        ("heaviside", "1 - high * q", "high * q"),
        ("score_oriented(cosine)", "-1 / delta", "-0.5 / delta"),
        ("score_oriented(cosine)", "c * c * p * q", "c * p * q"),
        ("score_oriented(uniform)", "0.5 - u", "0.5 + u"),
        ("score_oriented(uniform)", "(a > 0) & (b > 0)", "a > 0"),
    ],
)
def test_faults_in_other_surrogates_are_caught(surrogate: str, old: str, new: str) -> None:
    assert faulty(metricc.compile("f1", surrogate=surrogate), old, new)


@pytest.mark.parametrize(
    "formula", [*COMPOSED[:3], *(pytest.param(f, marks=pytest.mark.slow) for f in COMPOSED[3:])]
)
def test_composed_metric_verifies(formula: str) -> None:
    report = metricc.compile(formula).verify()
    assert report.passed, str(report)


# Formula, options: the first few run always, a second or two each.
VARIED: list[tuple[str, dict[str, Any]]] = [
    ("min(recall, precision)", {}),
    ("macro(f1)", {"task": "multiclass"}),
    ("0.5*bce + 0.5*(1 - f1)", {}),
    ("sqrt(macro(f1)*macro(mcc))", {"task": "multilabel", "maximize": True}),
    ("0.5*bce + 0.5*(1 - weighted(f1))", {"task": "multilabel"}),
    ("mcc", {"surrogate": "straight_through(amplified, L=5)"}),
    ("f1", {"surrogate": "amplified(thresholds=[0.1, 0.5])", "per": "sample"}),
    ("multiclass_mcc", {"task": "multiclass", "surrogate": "straight_through"}),
    ("multiclass_kappa", {"task": "multiclass", "from_probabilities": True}),
    ("weighted(mcc)", {"task": "multiclass"}),
    ("weighted(f1)", {"task": "multilabel", "per": "sample"}),
    ("micro(jaccard)", {"task": "multiclass", "per": "sample"}),
    ("macro(f1) - 0.1*worst(f1)", {"task": "multiclass", "maximize": True}),
    ("worst(recall)", {"task": "multilabel"}),
    ("worst(recall)", {"task": "multiclass"}),
    ("geomean(recall)", {"task": "multilabel", "from_probabilities": True}),
    ("per_class(f1)", {"task": "multilabel", "per": "sample"}),
    ("per_class(tversky(0.3, 0.7))", {"task": "multiclass"}),
    ("samples(f1)", {}),
    ("sqrt(samples(recall)*samples(precision))", {"task": "multilabel", "maximize": True}),
    ("0.5*ce + 0.5*(1 - samples(f1))", {"task": "multiclass"}),
    ("sum(f1)", {"task": "multilabel", "maximize": True}),
    ("weighted(f1) + micro(recall) + macro(precision)", {"task": "multiclass", "maximize": True}),
    (
        "g(k = 2 in (0, 5)) = 0.5*focal(k) + 0.5*(1 - macro(f1)) + 0.1*ce; g",
        {"task": "multiclass"},
    ),
    (
        "g(k = 2 in (0, 5)) = 0.5*focal(k) + 0.5*(1 - f1) + 0.1*bce; g",
        {"from_probabilities": True},
    ),
    ("0.5*focal(3) + 0.5*(1 - mcc)", {"task": "multilabel", "per": "sample"}),
    (
        "if macro(f1) > 0.5 then macro(recall) else micro(f1)",
        {"task": "multilabel", "maximize": True},
    ),
    ("f1", {"surrogate": "s(k = 3) = p^k", "task": "multiclass"}),
    ("f1", {"surrogate": "1/(1 + exp(-2*z))"}),
    ("f1", {"surrogate": "clip((p - mu + delta)/(2*delta), 0, 1)", "task": "multilabel"}),
    ("macro(f1)", {"surrogate": "heaviside(thresholds=[0.25, 0.5])", "task": "multiclass"}),
    ("mcc", {"surrogate": "score_oriented(cosine)", "task": "multilabel", "per": "sample"}),
    ("(macro(f1) + geomean(f1))/2", {}),
]
QUICK = 8


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        pytest.param(*row, marks=[pytest.mark.slow] * (i >= QUICK), id=f"{row[0]}, {row[1]}")
        for i, row in enumerate(VARIED)
    ],
)
def test_every_kind_of_file_verifies(formula: str, options: dict[str, Any]) -> None:
    report = metricc.compile(formula, **options).verify()
    assert report.passed, str(report)
    assert len(report.checks) <= 40  # about a screen


@pytest.mark.parametrize("name", ["macro", "per_class", "micro"])
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("surrogate", ["amplified", "soft", "heaviside"])
def test_classes_are_binary_losses(name: str, task: str, surrogate: str) -> None:
    """Each class's loss is that of a binary file on its probabilities."""
    several = metricc.compile(f"{name}(f1)", task=task, surrogate=surrogate).loss()
    alone = metricc.compile("f1", surrogate=surrogate, from_probabilities=True).loss()
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    index = torch.randint(3, (20, 4), generator=generator)
    y = torch.nn.functional.one_hot(index, 3).movedim(-1, 1).double()
    weight = torch.rand(20, dtype=torch.float64, generator=generator)
    loss = several(z, index if task == "multiclass" else y, weight)
    p = torch.softmax(z, 1) if task == "multiclass" else torch.sigmoid(z)
    if name == "micro":
        wanted = alone(p.reshape(20, -1), y.reshape(20, -1), weight)
    else:
        wanted = torch.stack([alone(p[:, k], y[:, k], weight) for k in range(3)]).mean()
    assert abs(loss - wanted) < 1e-12
    (found,), (right,) = (torch.autograd.grad(x, z, retain_graph=True) for x in (loss, wanted))
    assert (found - right).abs().max() < 1e-12 * right.abs().max()


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_samples_are_binary_losses(task: str) -> None:
    per = {"per": "sample"} if task == "binary" else {}
    formula = "f1" if task == "binary" else "samples(f1)"
    several, alone = metricc.compile(formula, task=task, **per).loss(), metricc.compile("f1").loss()
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    y = (torch.rand(20, 5, dtype=torch.float64, generator=generator) < 0.4).double()
    loss = several(z, y)
    wanted = torch.stack([alone(z[n], y[n]) for n in range(20)]).mean()
    assert abs(loss - wanted) < 1e-12
    (found,), (right,) = (torch.autograd.grad(x, z, retain_graph=True) for x in (loss, wanted))
    assert (found - right).abs().max() < 1e-12 * right.abs().max()


def faulty(m: CompiledMetric, old: str, new: str) -> list[str]:
    """The names of the checks that fail when `old` is `new` in the generated text."""
    assert m.source.count(old) >= 1, old
    report = check_source(m.source.replace(old, new), m.source, m.plan, m.options, m.surrogate)
    assert report.checks[0].measured == "edited since it was generated"
    return [check.name.split(",")[0] for check in report.checks if check.passed is False]


@pytest.mark.parametrize(
    ("formula", "old", "new"),
    [
        pytest.param("f1", "return weights", "return weights", id="nothing"),
        *mostly_slow(
            [
                pytest.param(
                    "f1", "-L * live * w_plus", "L * live * w_plus", id="sign of the gradient"
                ),
                pytest.param(
                    "f1", "return a, f * a, e", "return a, f, e", id="counts of compilers"
                ),
                pytest.param("f1", "e * p * p * f", "e * p * f", id="slope of compilers"),
                pytest.param("f1", "(1 - y) * minus", "minus", id="map of compilers"),
                pytest.param("f1", "lerp(minus, plus", "lerp(plus, plus", id="map of blocks"),
                pytest.param("f1", "[n : n + d.numel()]", "[: d.numel()]", id="second block"),
                pytest.param("f1", "if slope is None:", "if False:", id="second backward"),
                pytest.param("f1", "x * _size(ranks)", "x", id="not times the ranks"),
                pytest.param("f1", "elif ranks is not None:", "elif False:", id="a rank by itself"),
                pytest.param("f1", "_ratio(-2 * TP", "_ratio(2 * TP", id="sign of a partial"),
                pytest.param(
                    "gmean", "_ratio(root, 2 * TP)", "_ratio(2 * root, TP)", id="factor 4"
                ),
                pytest.param(
                    "tversky",
                    "_ratio(TP, TP + beta * FN + alpha * FP)",
                    "_ratio(TP, TP + alpha * FN + beta * FP)",
                    id="alpha and beta swapped in value",
                ),
                pytest.param(
                    "tversky",
                    "beta * TP + x1",
                    "alpha * TP + x1",
                    id="alpha and beta swapped in weights",
                ),
                pytest.param(
                    "mcc",
                    "scale * x for x in ctx.pair",
                    "x for x in ctx.pair",
                    id="upstream dropped",
                ),
                pytest.param("mcc", "grad_loss * pair", "pair", id="upstream dropped by compilers"),
                pytest.param(
                    "mcc", "y, n = y * v, n * v", "pass", id="weight dropped in the counts"
                ),
                pytest.param(
                    "f1", "g if v is None else g * v", "g", id="weight dropped in the gradient"
                ),
                pytest.param("f1", "s.mul_(torch.lerp", "s.copy_(torch.lerp", id="slope dropped"),
                pytest.param("f1", "i : i + size]", "i : i + size - 1]", id="block boundary"),
                pytest.param(
                    "f1",
                    "FP + TN == 0)) * 1.0",
                    "FP + TN == 0)) * 0.0",
                    id="absent classes forgotten",
                ),
            ]
        ),
    ],
)
def test_seeded_fault_is_caught(formula: str, old: str, new: str) -> None:
    m = metricc.compile(formula)
    if old == new:
        report = check_source(m.source + "\n# a remark\n", m.source, m.plan, m.options, m.surrogate)
        wanted = "edited, equivalent: comments or docstrings differ"
        assert report.passed and report.checks[0].measured == wanted
    else:
        assert faulty(m, old, new)


LABEL, CLASS = {"task": "multilabel"}, {"task": "multiclass"}
SKIP_ALL = "torch.where(present.sum(-1, keepdim=True) > 0, present, share)"


@pytest.mark.parametrize(
    ("formula", "options", "old", "new"),
    mostly_slow(
        [
            pytest.param("macro(f1)", LABEL, "[-L * plus,", "[L * plus,", id="sign"),
            pytest.param(
                "macro(f1)",
                LABEL,
                "missing = (TP + FN == 0) | (FP + TN == 0)",
                "missing = (TP + FN < 0)",
                id="absent classes forgotten",
            ),
            pytest.param(
                "macro(f1)",
                CLASS,
                "return p * (g - (p * g).sum(1, keepdim=True))",
                "return p * g",
                id="softmax Jacobian dropped",
            ),
            pytest.param(
                "macro(f1)",
                LABEL,
                "return _ratio(share, counted.sum(-1, keepdim=True))",
                "return share",
                id="wrong share",
            ),
            pytest.param("macro(f1)", CLASS, SKIP_ALL, "present", id="all classes skipped"),
            pytest.param("macro(f1)", CLASS, ' = "skip"', ' = "zero"', id="another default"),
            pytest.param("macro(f1)", CLASS, "/ y.shape[1]", "/ 2", id="label smoothing"),
            pytest.param("macro(f1)", LABEL, "in (keep, mask)", "in (keep,)", id="mask dropped"),
            pytest.param(
                "macro(f1)",
                LABEL,
                "background and k == 0",
                "background and k == 1",
                id="background",
            ),
            pytest.param(
                "macro(f1)", LABEL, "in zip(rows, *cut)", "in zip(rows[1:], *cut)", id="blocks"
            ),
            pytest.param(
                "weighted(f1)",
                LABEL,
                "_support(TP, FN, class_weight)",
                "class_weight",
                id="support",
            ),
            pytest.param("micro(f1)", LABEL, "live * share", "live + 0 * share", id="pooled share"),
            pytest.param(
                "worst(f1)", LABEL, ".amin(-1, keepdim=True)", ".amax(-1, keepdim=True)", id="best"
            ),
            pytest.param(
                "multiclass_mcc",
                CLASS,
                "keepdim=True) <= 1",
                "keepdim=True) <= 0",
                id="joint table",
            ),
            pytest.param(
                "multiclass_mcc", CLASS, "FN + smooth * others", "FN + smooth", id="joint smooth"
            ),
            pytest.param(
                "per_class(f1)", LABEL, "return loss * share", "return loss", id="reduction"
            ),
            pytest.param(
                "f1",
                {"per": "sample"},
                "= weight.to(sample_weight), None",
                "= sample_weight, weight",
                id="weight of samples in the counts",
            ),
            pytest.param("f1", {"per": "sample"}, "& (live > 0)", "", id="sample that is skipped"),
            pytest.param(
                "0.5*ce + 0.5*(1 - macro(f1))",
                CLASS,
                "(cells[0] + cells[1])",
                "sum(cells)",
                id="size of cross-entropy",
            ),
            pytest.param(
                "0.5*bce + 0.5*(1 - f1)", {}, "-torch.sigmoid(-z)", "-z", id="slope of bce"
            ),
            pytest.param(
                "f1", {"surrogate": "straight_through"}, "(p > 0.5)", "(p > 0.6)", id="step"
            ),
            pytest.param(
                "f1",
                {"surrogate": "amplified(thresholds=[0.1, 0.5])"},
                "for threshold in thresholds]",
                "for threshold in thresholds[:1]]",
                id="thresholds",
            ),
        ]
    ),
)
def test_seeded_fault_in_other_files_is_caught(
    formula: str, options: dict[str, Any], old: str, new: str
) -> None:
    assert faulty(metricc.compile(formula, **options), old, new)


SET = "self.L, self.threshold = L, threshold"


@pytest.mark.parametrize(
    ("formula", "options", "old", "new"),
    mostly_slow(
        [
            pytest.param("f1", {}, "return f1_loss(", "return -f1_loss(", id="sign of the module"),
            pytest.param(
                "f1", {}, "            weight=weight,", "            weight=None,", id="weight"
            ),
            pytest.param("f1", {}, "            mask=mask,", "            mask=None,", id="mask"),
            pytest.param(
                "f1", {}, "            counts=counts,", "            counts=None,", id="counts"
            ),
            pytest.param("f1", {}, "absent=self.absent", "absent='skip'", id="absent"),
            pytest.param("f1", {}, "smooth=self.smooth,", "smooth=0.0,", id="smooth"),
            pytest.param("f1", {}, "L=self.L,\n", "L=1.0,\n", id="steepness"),
            pytest.param("tversky", {}, "alpha=self.alpha,", "alpha=self.beta,", id="parameters"),
            pytest.param(
                "f1", {}, SET, "self.threshold, self.L = L, threshold", id="set_surrogate"
            ),
            pytest.param(
                "f1", {}, "L = self.L if L is None", "L = 10.0 if L is None", id="its own L"
            ),
            pytest.param(
                "f1", {}, "threshold: float = 0.5,\n)", "threshold: float = 0.9,\n)", id="t"
            ),
            pytest.param(
                "f1",
                {},
                "threshold: float = 0.5,\n   ",
                "threshold: float = 0.9,\n   ",
                id="t of class",
            ),
            pytest.param("fbeta", LABEL, "classes=self.classes", "classes=None", id="classes"),
            pytest.param(
                "fbeta",
                LABEL,
                "FN, FP, TN, beta=1.0,",
                "FN, FP, TN, beta=2.0,",
                id="default of value",
            ),
            pytest.param("f1", CLASS, "= -100", "= 255", id="ignored index"),
            pytest.param(
                "per_class(f1)", LABEL, "n=self.reduction", 'n="mean"', id="reduction of class"
            ),
            pytest.param(
                "f1", {}, "        _require(L, threshold)\n        _p", "        _p", id="range"
            ),
        ]
    ),
)
def test_seeded_fault_in_calls_is_caught(
    formula: str, options: dict[str, Any], old: str, new: str
) -> None:
    found = faulty(metricc.compile(formula, **options), old, new)
    assert {"defaults", "module = function"} & {*found}


OWN = "weight, self.L, self.threshold)"
SMOOTHED = "input, target, weight, mask, self.ignore_index, self.label_smoothing\n"


@pytest.mark.parametrize(
    ("formula", "options", "old", "new"),
    mostly_slow(
        [
            pytest.param("f1", {}, "self.decay * total + counts", "total + counts", id="no fading"),
            pytest.param(
                "f1", {}, "self.decay * batches + 1", "self.decay * batches + 1.5", id="size"
            ),
            pytest.param(
                "f1", CLASS, "self.decay * batches + 1", "batches + 1", id="size in classes"
            ),
            pytest.param("f1", {}, "counts = counts.detach()", "counts = counts", id="no detach"),
            pytest.param("f1", {}, "return dict(vars(self))", "return {}", id="no state"),
            pytest.param(
                "f1",
                {},
                "self.total, self.batches = (state",
                "self.batches, self.total = (state",
                id="s",
            ),
            pytest.param("f1", {}, "self.total = self.batches = torch", "_ = torch", id="no reset"),
            pytest.param("f1", {}, "counts.shape != (4,)", "False", id="shape"),
            pytest.param("f1", {}, " or counts.requires_grad", "", id="gradient of counts"),
            pytest.param(
                "f1", {}, "_enabled() and counts is None", "_enabled()", id="create_graph"
            ),
            pytest.param("f1", {}, "sums = counts.tolist()", "pass", id="counts dropped"),
            pytest.param("f1", {}, SMOOTHED, SMOOTHED.replace("mask", "None"), id="mask of counts"),
            pytest.param(
                "f1",
                {},
                SMOOTHED,
                SMOOTHED.replace("self.ig", "None or self.x and self.ig"),
                id="x",
            ),
            pytest.param(
                "f1", {}, SMOOTHED, SMOOTHED.replace("self.label_smoothing", "0.0"), id="soft"
            ),
            pytest.param("f1", {}, OWN, "weight, 10.0, self.threshold)", id="L of counts"),
            pytest.param("f1", {}, OWN, "weight, self.L, 0.5)", id="threshold of counts"),
            pytest.param(
                "f1", {}, "-1, *[1] * (input.dim() - 1))", "*[1] * (input.dim() - 1), -1)", id="up"
            ),
            pytest.param(
                "f1",
                CLASS,
                "mask, self.ignore_index)",
                "None, self.ignore_index)",
                id="mask in classes",
            ),
        ]
    ),
)
def test_seeded_fault_in_counts_is_caught(
    formula: str, options: dict[str, Any], old: str, new: str
) -> None:
    assert faulty(metricc.compile(formula, **options), old, new)


@pytest.mark.parametrize("function", ["value", "gradient", "weights"])
def test_nan_is_never_right(function: str) -> None:
    m = metricc.compile("f1")
    count = {"value": 1, "gradient": 4, "weights": 2}[function]
    nan = ", ".join(["float('nan')"] * count)
    text = m.source + f"\n\n{function}.__code__ = (lambda TP, FN, FP, TN: ({nan})).__code__\n"
    assert rows(m, text)[f"{function}()"].passed is False


def test_nan_is_the_largest_error() -> None:
    nan = float("nan")
    for found in (worse(nan, 0.1), worse(0.1, nan), worse(nan, nan), worse(worse(0.1, nan), 0.2)):
        assert found != found
    assert (worse(0.1, 0.2), worse(0.2, 0.1)) == (0.2, 0.2)


def rows(m: CompiledMetric, text: str) -> dict[str, ir.Check]:
    """The checks of the scalar functions by name, without the number of points."""
    made = load(text, "edited"), m.plan, load(m.source, "original")
    end = {True: ", extreme", False: ""}
    return {c.name.split(",")[0] + end["extreme" in c.name]: c for c in derivation.checks(*made)}


HUGE = """
_usual = {function}
def {function}(TP, *others, **options):
    found = _usual(TP, *others, **options)
    if {when}:
        return tuple(7.0 + 0 * TP for _ in found) if isinstance(found, tuple) else 7.0 + 0 * TP
    return found
"""


@pytest.mark.parametrize(
    ("formula", "when"),
    [
        ("fbeta(2)", "isinstance(TP, float) and TP + sum(others[:3]) > 2e8"),
        ("fbeta(2)", "isinstance(TP, Tensor) and not TP.dim() and TP + sum(others[:3]) > 2e8"),
        ("similarity_index", "isinstance(TP, float) and TP + sum(others[:3]) > 2e8"),
        ("macro(f1)", "(TP > 2e8).any()"),
    ],
)
@pytest.mark.parametrize("function", ["value", "gradient", "weights"])
def test_a_fault_at_huge_counts_alone_is_caught(formula: str, when: str, function: str) -> None:
    options = {"task": "multilabel"} if formula == "macro(f1)" else {}
    m = metricc.compile(formula, **options)
    found = rows(m, m.source + HUGE.format(function=function, when=when))
    failed = [name for name, check in found.items() if check.passed is False]
    assert failed == [f"{function}(), extreme"]
    check = found[failed[0]]
    assert float(check.measured.split(",")[0]) > 0.1 and check.allowed == "1e-06"
    place = "(TP, FN, FP, TN) = (1e+09, " if options else "TP=1e+09, FN="
    assert place in check.measured


def test_what_the_generated_code_cannot_do_at_extremes_is_a_note() -> None:
    m = metricc.compile("similarity_index")  # 1 - sqrt(1 - x): it subtracts
    found = rows(m, m.source)["gradient(), extreme"]
    assert (found.verdict, found.allowed) == ("note", "any")


def test_a_failed_row_says_how_far_off_which_output_is_and_where() -> None:
    m = metricc.compile("fbeta(2)")
    old = "20 * x3, 5 * x3, 0"
    assert m.source.count(old) == 1
    found = rows(m, m.source.replace(old, "20 * x3, -5 * x3, 0"))
    assert found["gradient()"].measured.startswith("2.0e+00, M_FP at TP=")
    assert found["gradient()"].passed is False and found["weights()"].measured.count(",") == 0
    found = rows(m, m.source.replace(old, "20 * x3, 5 * x3 if TP != 391 else math.nan, 0"))
    assert found["gradient()"].measured == "nan, M_FP at TP=391, FN=393, FP=2, TN=357"
    m = metricc.compile("macro(f1)", task="multilabel")
    text = m.source + "\n\n_usual = value\ndef value(*a, **k):\n    return 1 - _usual(*a, **k)\n"
    assert "value at (TP, FN, FP, TN) = (" in rows(m, text)["value()"].measured


def test_code_on_tensors_that_is_not_that_on_floats_is_named() -> None:
    m = metricc.compile("f1")
    text = m.source + HUGE.format(function="gradient", when="isinstance(TP, Tensor) and TP.dim()")
    told = rows(m, text)["gradient()"].measured
    assert told.startswith("7 on tensors, ") and "floats: M_TP at TP=" in told


def test_a_file_of_wrong_syntax_is_named_as_the_user_names_it(tmp_path: Path) -> None:
    m = metricc.compile("f1")
    path = tmp_path / "my_f1.py"
    path.write_text(m.source + "\nx = (\n")
    report = compiler.verify_file(path)
    assert [c.name for c in report.checks if c.passed is False] == ["import"]
    assert f"(my_f1.py, line {m.source.count(chr(10)) + 2})" in report.checks[-1].measured


def test_a_deleted_or_edited_record_is_said(tmp_path: Path) -> None:
    source = metricc.compile("fbeta(2)", name="f2").source
    path = tmp_path / "f2.py"
    path.write_text("".join(x for x in source.splitlines(True) if not x.startswith("METRICC")))
    with pytest.raises(metricc.MetriccError, match="no METRICC record") as raised:
        compiler.verify_file(path)
    hint = raised.value.diagnostics[0].hint
    assert hint is not None and "restore" in hint and "compile the formula again" in hint
    edited = source.replace("'formula': 'fbeta(2)'", "'formula': 'fbeta(3)'")
    assert edited != source
    fresh = metricc.compile("fbeta(3)", name="f2").source
    assert drift.check(edited, fresh).measured.endswith("its record was edited")
    assert drift.check(source, source).measured == "as its formula generates"


def test_the_diff_shows_the_users_own_lines() -> None:
    source = metricc.compile("f1").source
    (made,) = [x for x in source.splitlines() if x.startswith("Made by metricc ")]
    text = source.replace(made, made.replace("metricc ", "metricc 0.0.", 1))
    assert text != source and drift.diff(text, source) == ()
    (beside,) = [x for x in source.splitlines() if x.startswith("Derivatives ")]
    (all_,) = [x for x in source.splitlines() if x.startswith("__all__")]
    text = text.replace(beside, "Mine.").replace(all_, "__all__ = []")
    found = drift.diff(text, source)
    told = [x for x in found if x[0] == " " and x[1:].strip()]
    assert {x[1:] for x in told} <= {*text.splitlines()} and len(told) > 5
    changed = [x for x in found if x[0] in "+-" and x[:3] not in ("+++", "---")]
    assert changed == [f"-{beside}", "+Mine.", f"-{all_}", "+__all__ = []"]


def test_a_file_that_exits_is_a_failed_check() -> None:
    m = metricc.compile("f1")
    report = check_source(
        m.source + "\nraise SystemExit(0)\n", m.source, m.plan, m.options, m.surrogate
    )
    assert not report.passed


@pytest.mark.parametrize(
    "raised",
    [
        "SystemExit(0)",
        pytest.param("GeneratorExit", marks=pytest.mark.slow),
        pytest.param("BaseException('no')", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("target", ["torch", "gbdt"])
def test_code_that_ends_the_program_is_a_failed_check(target: str, raised: str) -> None:
    m = metricc.compile("f1", target=target)
    functions = ["value", "objective", "decide"] if target == "gbdt" else ["value", "f1_loss"]
    for name in functions:
        text = f"{m.source}\n\ndef {name}(*_, **__):\n    raise {raised}\n"
        report = check_source(text, m.source, m.plan, m.options, m.surrogate)
        assert not report.passed and len(report.checks) > 10
        assert any(raised.split("(")[0] in check.measured for check in report.checks)


def test_an_interrupt_is_the_users_own() -> None:
    m = metricc.compile("f1")
    text = m.source + "\n\ndef value(*_):\n    raise KeyboardInterrupt\n"
    with pytest.raises(KeyboardInterrupt):
        check_source(text, m.source, m.plan, m.options, m.surrogate)


def test_code_that_does_not_run_is_a_failed_check() -> None:
    m = metricc.compile("f1")
    broken = check_source(m.source + "\n1/0\n", m.source, m.plan, m.options, m.surrogate)
    assert [c.name for c in broken.checks if c.passed is False] == ["import"]
    renamed = m.source.replace("def f1_loss(", "def other(")
    report = check_source(renamed, m.source, m.plan, m.options, m.surrogate)
    assert not report.passed
