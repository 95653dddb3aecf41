"""Statistics of the results: means over folds, wins, tests with the family as the unit, ranks."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import baycomp
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from paper_scores import metric
from scipy import stats

TIE = 0.0005  # means over folds that differ by less count as equal
ROPE = 0.01  # families that differ by less are practically equal, for the Bayesian sign test
DRAWS = 10_000  # of the bootstrap
SEED = 0
BANDS = ((0.0, 0.05), (0.05, 0.1), (0.1, 0.25), (0.25, 0.51))  # of the minority's share
DECISIONS = ("half", "tuned", "fixed")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Results:
    """What a results file holds: each run's facts, and the units that it has whole.

    A run begins with a line of facts. A unit's rows stand before the line that says that it ended,
    which counts them. What a killed run left torn is passed over.
    """

    facts: list[dict[str, Any]]
    ended: list[dict[str, Any]]
    rows: list[dict[str, Any]]

    @classmethod
    def of(cls, path: Path) -> Results:
        """Raises ValueError for a file with text that begins with no line of facts."""
        found, waiting, known = cls([], [], []), list[dict[str, Any]](), set()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            match record:
                case {"facts": {"experiment": str()}}:
                    found.facts.append(record["facts"])
                    waiting = []
                case _ if line and not found.facts:
                    raise ValueError("not a results file of this program")
                case {"ended": key, "rows": count, "seconds": float(), "cpu": float()}:
                    if count == len(waiting) and repr(key) not in known:
                        found.ended.append(record)
                        found.rows.extend(waiting)
                        known.add(repr(key))
                    waiting = []
                case {"part": str(), "model": str()}:
                    waiting.append(record)
        return found

    @cached_property
    def timings(self) -> pd.DataFrame:
        return pd.DataFrame([row for row in self.rows if row["part"] == "time"])

    @cached_property
    def trained(self) -> pd.DataFrame:
        """All other rows, with the values of their targets."""
        rows = [row for row in self.rows if row["part"] != "time"]
        none = pd.DataFrame(columns=["part", "model", "set"])
        return valued(pd.DataFrame(rows)) if rows else none


def valued(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the target metric in each decision's column, and the counts in counts_*."""
    found = rows.copy()
    for decision in DECISIONS:
        counts = np.stack([np.asarray(c, dtype=float) for c in rows[decision]])
        values = np.empty(len(rows))
        for target in rows["target"].unique():
            mine = (rows["target"] == target).to_numpy()
            values[mine] = metric(str(target), counts[mine])
        found["counts_" + decision] = rows[decision]
        found[decision] = values
    return found


def by_set(rows: pd.DataFrame, arms: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Means over folds: a line for each set and target, a column for each arm (name, loss,
    decision).

    Only sets that all arms have are kept.
    """
    columns = {}
    for name, loss, decision in arms:
        mine = rows[rows["loss"] == loss].groupby(["target", "set"])[decision]
        columns[name] = mine.mean()
    return pd.DataFrame(columns).dropna()


def by_family(values: pd.DataFrame, families: dict[str, str]) -> pd.DataFrame:
    """Means over the sets of each family, of a table with sets as its last index."""
    named = values.index.get_level_values("set").map(families)
    levels: list[Any] = [values.index.get_level_values("target"), named.rename("family")]
    return values.groupby(levels).mean()


def wins(ahead: Array) -> tuple[int, int, int]:
    """How often more than a tie ahead, level, behind."""
    won, lost = int((ahead >= TIE).sum()), int((ahead <= -TIE).sum())
    return won, len(ahead) - won - lost, lost


def best_of(values: pd.DataFrame) -> tuple[list[int], int]:
    """How often each column alone is ahead of the others by more than a tie; how often none."""
    table = values.to_numpy()
    ranked = np.sort(table, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] >= TIE
    each = [int(((table.argmax(1) == k) & clear).sum()) for k in range(table.shape[1])]
    return each, int((~clear).sum())


def interval(ahead: Array) -> tuple[float, float]:
    """A 95 % interval of the mean over families, by the bootstrap's percentiles."""
    draw = np.random.default_rng(SEED)
    means = ahead[draw.integers(len(ahead), size=(DRAWS, len(ahead)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """One arm against another: over sets w/t/l, over families all else."""

    mean: float
    low: float
    high: float
    sets: tuple[int, int, int]
    families: tuple[int, int, int]
    p: float  # Wilcoxon's signed-rank test, two-sided
    better: float  # the Bayesian sign test: probability that more families are better by ROPE ...
    same: float
    worse: float


def compared(of_sets: Array, of_families: Array) -> Comparison:
    """The differences (sets,) and (families,) of two arms."""
    moved = np.abs(of_families) > 1e-12
    p = float(stats.wilcoxon(of_families[moved]).pvalue) if moved.sum() > 1 else 1.0
    zeros = np.zeros(len(of_families))
    better, same, worse = baycomp.SignTest.probs(of_families, zeros, rope=ROPE, random_state=SEED)
    low, high = interval(of_families)
    chances = (float(better), float(same), float(worse))
    mean = float(of_families.mean())
    return Comparison(mean, low, high, wins(of_sets), wins(of_families), p, *chances)


def ranks(values: pd.DataFrame) -> pd.Series:
    """Average ranks of the columns, 1 the best; ties share."""
    return values.round(6).rank(axis=1, ascending=False).mean().sort_values()


def friedman(values: pd.DataFrame) -> float:
    """The p of Friedman's test that all columns are alike; nan below three lines or columns."""
    if min(values.shape) < 3:
        return math.nan
    return float(stats.friedmanchisquare(*(values[name] for name in values)).pvalue)


def critical_difference(arms: int, families: int, level: float = 0.05) -> float:
    """Nemenyi's: average ranks of arms that differ by less are not told apart."""
    q = float(stats.studentized_range.ppf(1 - level, arms, np.inf)) / math.sqrt(2)
    return q * math.sqrt(arms * (arms + 1) / (6 * families))


def constant(rows: pd.DataFrame, decision: str = "half") -> pd.Series:
    """Whether each row's predictions are all of one class."""
    counts = np.stack([np.asarray(c) for c in rows[decision]])
    positive = counts[:, 0] + counts[:, 2]
    return pd.Series((positive == 0) | (positive == counts.sum(1)), index=rows.index)
