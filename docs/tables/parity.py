"""The library against other packages: the page docs/parity.md, and the table that tests use.

    python docs/tables/parity.py > docs/parity.md

Every statistic is computed on random tables and on tables with zeros, from labels, by the other
package's public function; metricc computes it from the counts.
"""

from __future__ import annotations

import contextlib
import io
import math
import random
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

import metricc

Counts = tuple[int, int, int, int]
TOLERANCE = 1e-12
LOG2 = math.log(2)
# No positives, none predicted, none negative, one class all right or all wrong.
EDGES: dict[str, Counts] = {
    "no positives, some predicted": (0, 0, 3, 7),
    "none predicted positive": (0, 3, 0, 7),
    "all negative and right": (0, 0, 0, 9),
    "all positive and right": (9, 0, 0, 0),
    "all wrong": (0, 4, 5, 0),
}


def tables() -> Iterator[Counts]:
    """Random tables without zeros, on which everything is defined."""
    generator = random.Random(0)
    for _ in range(25):
        a, b, c, d = (generator.randint(1, 60) for _ in range(4))
        if a * d != b * c:  # log odds of exactly 0 and the like have no relative error
            yield a, b, c, d


def labels(counts: Counts) -> tuple[Any, Any]:
    return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)


@cache
def _pycm(counts: Counts) -> Any:
    from pycm import ConfusionMatrix

    tp, fn, fp, tn = counts
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ConfusionMatrix(matrix={1: {1: tp, 0: fn}, 0: {1: fp, 0: tn}})


def pycm(key: str, scale: float = 1) -> Callable[[Counts], Any]:
    def value(counts: Counts) -> Any:
        matrix = _pycm(counts)
        found = matrix.class_stat[key][1] if key in matrix.class_stat else matrix.overall_stat[key]
        return found if isinstance(found, str) else found * scale

    return value


def pycm_call(method: str, *arguments: float) -> Callable[[Counts], Any]:
    return lambda counts: getattr(_pycm(counts), method)(*arguments)[1]


def sklearn(function: str, **keywords: Any) -> Callable[[Counts], Any]:
    def value(counts: Counts) -> Any:
        import sklearn.metrics

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(getattr(sklearn.metrics, function)(*labels(counts), **keywords))

    return value


def likelihood(index: int) -> Callable[[Counts], Any]:
    def value(counts: Counts) -> Any:
        import sklearn.metrics

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(sklearn.metrics.class_likelihood_ratios(*labels(counts))[index])

    return value


def imblearn(function: str, **keywords: Any) -> Callable[[Counts], Any]:
    def value(counts: Counts) -> Any:
        import imblearn.metrics

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(getattr(imblearn.metrics, function)(*labels(counts), **keywords))

    return value


def imblearn_iba(counts: Counts) -> float:
    import imblearn.metrics

    metric = imblearn.metrics.geometric_mean_score
    score = imblearn.metrics.make_index_balanced_accuracy(alpha=0.1, squared=True)(metric)
    return float(score(*labels(counts), average="binary", pos_label=1))


def torchmetrics(name: str, **keywords: Any) -> Callable[[Counts], Any]:
    def value(counts: Counts) -> Any:
        import torch
        import torchmetrics.functional.classification as functional

        true, predicted = (torch.from_numpy(x) for x in labels(counts))
        return getattr(functional, name)(predicted, true, **keywords).item()

    return value


# metric → package → the same statistic there
SHARED: dict[str, dict[str, Callable[[Counts], Any]]] = {
    "precision": {
        "pycm": pycm("PPV"),
        "scikit-learn": sklearn("precision_score"),
        "torchmetrics": torchmetrics("binary_precision"),
    },
    "recall": {
        "pycm": pycm("TPR"),
        "scikit-learn": sklearn("recall_score"),
        "imbalanced-learn": imblearn("sensitivity_score", average="binary"),
        "torchmetrics": torchmetrics("binary_recall"),
    },
    "specificity": {
        "pycm": pycm("TNR"),
        "imbalanced-learn": imblearn("specificity_score", average="binary"),
        "torchmetrics": torchmetrics("binary_specificity"),
    },
    "npv": {
        "pycm": pycm("NPV"),
        "torchmetrics": torchmetrics("binary_negative_predictive_value"),
    },
    "miss_rate": {"pycm": pycm("FNR")},
    "fallout": {"pycm": pycm("FPR")},
    "false_discovery_rate": {"pycm": pycm("FDR")},
    "false_omission_rate": {"pycm": pycm("FOR")},
    "error_rate": {
        "pycm": pycm("Hamming Loss"),
        "scikit-learn": sklearn("zero_one_loss"),
        "torchmetrics": torchmetrics("binary_hamming_distance"),
    },
    "half_total_error_rate": {
        "scikit-learn": lambda c: 1 - sklearn("balanced_accuracy_score")(c),
    },
    "positive_likelihood_ratio": {"pycm": pycm("PLR"), "scikit-learn": likelihood(0)},
    "negative_likelihood_ratio": {"pycm": pycm("NLR"), "scikit-learn": likelihood(1)},
    "diagnostic_odds_ratio": {"pycm": pycm("DOR")},
    "discriminant_power": {"pycm": pycm("DP", math.log(10))},
    "f1": {
        "pycm": pycm("F1"),
        "scikit-learn": sklearn("f1_score"),
        "torchmetrics": torchmetrics("binary_f1_score"),
    },
    "f2": {
        "pycm": pycm("F2"),
        "scikit-learn": sklearn("fbeta_score", beta=2),
        "torchmetrics": torchmetrics("binary_fbeta_score", beta=2.0),
    },
    "f05": {"pycm": pycm("F0.5"), "scikit-learn": sklearn("fbeta_score", beta=0.5)},
    "jaccard": {
        "pycm": pycm("J"),
        "scikit-learn": sklearn("jaccard_score"),
        "torchmetrics": torchmetrics("binary_jaccard_index"),
    },
    "tversky(alpha = 0.3, beta = 0.7)": {"pycm": pycm_call("TI", 0.7, 0.3)},
    "fowlkes_mallows": {"pycm": pycm("G")},
    "overlap_coefficient": {"pycm": pycm("OC")},
    "braun_blanquet": {"pycm": pycm("BB")},
    "kulczynski_2": {"pycm": pycm("AUPR")},
    "classification_success_index": {"pycm": pycm("ICSI")},
    "accuracy": {
        "pycm": pycm("ACC"),
        "scikit-learn": sklearn("accuracy_score"),
        "torchmetrics": torchmetrics("binary_accuracy"),
    },
    "balanced_accuracy": {
        "pycm": pycm("AUC"),
        "scikit-learn": sklearn("balanced_accuracy_score"),
    },
    "gmean": {
        "pycm": pycm("GM"),
        "imbalanced-learn": imblearn("geometric_mean_score", average="binary"),
    },
    "agm": {"pycm": pycm("AGM")},
    "agf": {"pycm": pycm("AGF")},
    "iba(alpha = 0.1)": {
        "pycm": pycm_call("IBA_alpha", 0.1),
        "imbalanced-learn": imblearn_iba,
    },
    "optimized_precision": {"pycm": pycm("OP")},
    "cohen_kappa": {
        "pycm": pycm("Kappa"),
        "scikit-learn": sklearn("cohen_kappa_score"),
        "torchmetrics": torchmetrics("binary_cohen_kappa"),
    },
    "scott_pi": {"pycm": pycm("Scott PI")},
    "krippendorff_alpha": {"pycm": pycm("Krippendorff Alpha")},
    "gwet_ac1": {"pycm": pycm("Gwet AC1")},
    "bennett_s": {"pycm": pycm("Bennett S")},
    "bangdiwala_b": {"pycm": pycm("Bangdiwala B")},
    "class_balance_accuracy": {"pycm": pycm("CBA")},
    "distance_index": {"pycm": pycm("dInd")},
    "similarity_index": {"pycm": pycm("sInd")},
    "bray_curtis": {"pycm": pycm("BCD")},
    "goodman_kruskal_lambda": {"pycm": pycm("Lambda A")},
    "mcc": {
        "pycm": pycm("MCC"),
        "scikit-learn": sklearn("matthews_corrcoef"),
        "torchmetrics": torchmetrics("binary_matthews_corrcoef"),
    },
    "phi_squared": {"pycm": pycm("Phi-Squared")},
    "cramers_v": {"pycm": pycm("Cramer V")},
    "contingency_coefficient": {"pycm": pycm("Pearson C")},
    "markedness": {"pycm": pycm("MK")},
    "yule_q": {"pycm": pycm("Q")},
    "lift": {"pycm": pycm("LS")},
    "youden_j": {"pycm": pycm("BM")},
    "net_benefit(t = 0.2)": {"pycm": pycm_call("NB", 0.25)},
    "mutual_information": {
        "pycm": pycm("Mutual Information", LOG2),
        "scikit-learn": sklearn("mutual_info_score"),
    },
    "homogeneity": {"pycm": pycm("RCI"), "scikit-learn": sklearn("homogeneity_score")},
    "completeness": {"scikit-learn": sklearn("completeness_score")},
    "normalized_mutual_information": {
        "scikit-learn": sklearn("normalized_mutual_info_score"),
    },
    "conditional_entropy": {
        "pycm": lambda c: pycm("Joint Entropy", LOG2)(c) - pycm("Response Entropy", LOG2)(c),
    },
    "joint_entropy": {"pycm": pycm("Joint Entropy", LOG2)},
    "response_entropy": {"pycm": pycm("Response Entropy", LOG2)},
    "kl_divergence": {"pycm": pycm("KL Divergence", LOG2)},
    "confusion_entropy": {"pycm": pycm("CEN")},
    "modified_confusion_entropy": {"pycm": pycm("MCEN")},
    "information_score": {"pycm": pycm("IS")},
    "marginal_cross_entropy": {"pycm": pycm("Cross Entropy", LOG2)},
    "chi_squared": {"pycm": pycm("Chi-Squared")},
    "goodman_kruskal_lambda_b": {"pycm": pycm("Lambda B")},
    "random_accuracy": {"pycm": pycm("RACC")},
    "rand_index": {"scikit-learn": sklearn("rand_score")},
}
# torchmetrics divides counts in float32.
PACKAGES = {"pycm": 1e-12, "scikit-learn": 1e-12, "imbalanced-learn": 1e-12, "torchmetrics": 5e-7}
NOTES = {
    "conditional_entropy": "pycm's own is of the prediction given the label; here joint - response",
    "discriminant_power": "pycm takes decimal logarithms",
    "kl_divergence": "in bits there",
    "marginal_cross_entropy": "in bits there",
    "mutual_information": "pycm in bits",
    "joint_entropy": "in bits there",
    "response_entropy": "in bits there",
}

ABOUT_EDGES = """\
metricc's value is that of `zero_division=0`; `u` marks that the metric is undefined (0/0) in lowest
terms there, so that `zero_division` decides. The packages choose differently, each for one
statistic at a time: scikit-learn's MCC of a single class is 0, torchmetrics' 1 or -1, pycm's
"None"; scikit-learn's balanced accuracy leaves an absent class out of the mean. metricc has one
rule for all: an undefined value is `zero_division`, 0 by default, as scikit-learn's precision,
recall, F and Jaccard have it.""".splitlines()


@cache
def compiled(formula: str) -> metricc.CompiledMetric:
    return metricc.compile(formula, maximize=True)


def largest_difference(formula: str, package: str) -> float:
    """Over the random tables, relative to 1 or the value's own size."""
    worst = 0.0
    for counts in tables():
        ours, theirs = compiled(formula).value(*counts), SHARED[formula][package](counts)
        worst = max(worst, abs(ours - float(theirs)) / max(1.0, abs(float(theirs))))
    return worst


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return "nan" if math.isnan(value) else f"{value:.3g}"


def page() -> str:
    counts = {p: sum(p in others for others in SHARED.values()) for p in PACKAGES}
    lines = [
        "# The library and other packages",
        "",
        "Made by `python docs/tables/parity.py > docs/parity.md`; a test keeps it current.",
        "",
        f"{len(SHARED)} statistics are shared with another package: "
        + ", ".join(f"{n} with {p}" for p, n in counts.items())
        + ".",
        "Equal means: to 1e-12, relative where above 1, on 25 random tables (torchmetrics divides",
        "in float32: to 5e-7). Bits are compared after conversion to nats.",
        "",
        "| statistic | " + " | ".join(PACKAGES) + " | note |",
        "|---" * (len(PACKAGES) + 2) + "|",
    ]
    for formula, others in SHARED.items():
        cells = []
        for package, allowed in PACKAGES.items():
            equal = package in others and largest_difference(formula, package) <= allowed
            cells.append("equal" if equal else "differs" if package in others else "")
        lines.append(f"| `{formula}` | {' | '.join(cells)} | {NOTES.get(formula, '')} |")
    lines += [
        "",
        "## Where they disagree: tables with empty classes",
        "",
        *ABOUT_EDGES,
        "",
        "| table (TP, FN, FP, TN) | statistic | metricc | " + " | ".join(PACKAGES) + " |",
        "|---" * (len(PACKAGES) + 3) + "|",
    ]
    for name, table in EDGES.items():
        for formula in ("precision", "recall", "f1", "jaccard", "balanced_accuracy", "gmean"):
            lines.append(_edge(name, table, formula))
        for formula in ("cohen_kappa", "mcc"):
            lines.append(_edge(name, table, formula))
    return "\n".join(lines) + "\n"


def _edge(name: str, table: Counts, formula: str) -> str:
    metric = compiled(formula)
    undefined = math.isnan(metric.value(*table, zero_division=math.nan))
    ours = _shown(metric.value(*table)) + (" u" if undefined else "")
    cells = [_shown(SHARED[formula][p](table)) if p in SHARED[formula] else "" for p in PACKAGES]
    return f"| {name} {table} | `{formula}` | {ours} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print(page(), end="")
