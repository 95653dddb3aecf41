"""The tables of the main part of the experiment, one model at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
import paper_sets
from numpy.typing import NDArray
from paper_published import PUBLISHED
from paper_runs import RATES, TUNED
from paper_scores import HEADS, TARGETS, metric
from paper_statistics import (
    BANDS,
    ROPE,
    TIE,
    best_of,
    by_family,
    by_set,
    compared,
    constant,
    critical_difference,
    friedman,
    interval,
    ranks,
    wins,
)

DEFAULTS = ("metricc", "metricc, skip")
THEN = ("BCE, then metricc", "BCE, then metricc, skip")
OURS = ("AnyLoss", *DEFAULTS, *THEN)
Arm = tuple[str, str, str]  # its name, the loss, the decision
ARMS: tuple[Arm, ...] = (
    *((name, name, "half") for name in ("MSE", "Brier", "BCE", "weighted BCE", "focal")),
    ("BCE, tuned threshold", TUNED, "tuned"),
    *((name, name, "half") for name in ("SOL", "soft", *OURS, "BCE + metricc")),
)
AIMED = ("AnyLoss", "SOL", "soft", *DEFAULTS, *THEN, "BCE + metricc")
AGAINST = ("MSE", "BCE", "weighted BCE", "BCE, tuned threshold")
MAIN = ("f1", "gmean", "balanced_accuracy", "mcc")
BESIDE = (*DEFAULTS, THEN[0])  # the other metric losses are compared with each
TUNED_ARM = AGAINST[-1]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its first column words on the left."""
    lines = [list(head), *map(list, rows)]
    width = [max(len(line[i]) for line in lines) for i in range(len(head))]

    def cells(line: Sequence[str]) -> str:
        pairs = enumerate(zip(line, width, strict=True))
        return f"| {' | '.join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in pairs)} |"

    rule = "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(width))
    return "\n".join([cells(lines[0]), f"|{rule}|", *map(cells, lines[1:])])


def present(rows: pd.DataFrame, arms: Sequence[Arm] = ARMS) -> list[Arm]:
    known = set(rows["loss"])
    return [arm for arm in arms if arm[1] in known]


def mean_and_interval(differences: NDArray[np.float64]) -> str:
    """The mean of differences over families, and its interval."""
    return ranged(differences.mean(), *interval(differences))


def ranged(mean: float, low: float, high: float) -> str:
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def chance(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def share_won(numbers: Sequence[int]) -> str:
    """The share that is won, of (won, level, lost)."""
    return f"{numbers[0] / sum(numbers):.0%} ({slashed(numbers)})"


def slashed(numbers: Sequence[int]) -> str:
    return "/".join(map(str, numbers))


class Report:
    """The real sets' rows of the main table, ready for the tables of one model."""

    def __init__(self, rows: pd.DataFrame, sets: Sequence[paper_sets.Set]) -> None:
        self.sets = {s.name: s for s in sets if s.group == "real"}
        self.families = {name: s.family for name, s in self.sets.items()}
        self.rows = rows[rows["set"].isin(list(self.sets))]
        self.arms = present(self.rows)
        self.values = by_set(self.rows, self.arms)
        self.of_families = by_family(self.values, self.families)

    @cached_property
    def tuned(self) -> pd.DataFrame:
        """Means of families where every loss is judged at the cut tuned on the training part."""
        return by_family(self.at("tuned"), self.families)

    @cached_property
    def fixed(self) -> pd.DataFrame:
        """Means of sets with the paper's rates."""
        return self.at("fixed")

    def at(self, decision: str) -> pd.DataFrame:
        """Means of sets with all losses judged alike: at 1/2, with tuned cuts, the paper's rate."""
        return by_set(self.rows, [(name, loss, decision) for name, loss, _ in self.arms])

    def targets(self, names: Sequence[str] = TARGETS) -> list[str]:
        known = set(self.values.index.get_level_values("target"))
        return [t for t in names if t in known]

    def means(self) -> Iterator[str]:
        sets = len(self.values.index.get_level_values("set").unique())
        families = len(self.of_families.index.get_level_values("family").unique())
        targets = self.targets()
        body = []
        for name, *_ in self.arms:
            row = [name]
            for target in targets:
                pair = (self.values.loc[target, name], self.of_families.loc[target, name])
                row.append(" ".join(f"{v.mean():.3f}" for v in pair))
            body.append(row)
        yield f"Means of the target metric over {sets} sets, and over {families} families:"
        yield markdown(["loss", *(HEADS[t] for t in targets)], body)

    def papers(self, model: str) -> Iterator[str]:
        known = PUBLISHED[model]
        yield (
            "As in the paper's tables, at 1/2: means of MSE, BCE, AnyLoss; then on how many sets "
            "each is best of the three, and on how many none; with searched rates, and with the "
            "paper's rates; the paper's own numbers, of its own sets, last:"
        )
        body, three = [], ["MSE", "BCE", "AnyLoss"]
        tables = [self.values[three], self.fixed[three]]
        for target in self.targets():
            row, counts = [HEADS[target]], []
            for values in tables:
                row.append(" ".join(f"{v:.3f}" for v in values.loc[target].mean()))
                each, none = best_of(values.loc[target])
                counts.append(f"{slashed(each)}, {none}")
            one = known.get(target)
            means = " ".join(f"{v:.3f}" for v in one.means) if one else ""
            best = f"{slashed(one.best)}, {102 - sum(one.best)}" if one else ""
            body.append([*row, means, *counts, best])
        kinds = ("rates searched", "paper's rate", "paper")
        heads = [f"{what}, {kind}" for what in ("means", "best") for kind in kinds]
        yield markdown(["target", *heads], body)

    def claims(self, model: str) -> Iterator[str]:
        """What the paper claims: wins at 1/2."""
        yield (
            "Share of sets won at 1/2 (won/level/lost), with the searched rates, with the paper's "
            "rates, and in the paper (on its own 102 sets); families won/level/lost with the "
            "searched rates:"
        )
        body, tables = [], [self.values, self.fixed]
        for target, loss in self.metric_losses():
            one, row = PUBLISHED[model].get(target), [f"{HEADS[target]}, {loss}"]
            for other in ("BCE", "MSE"):
                row += [self.won(values.loc[target], loss, other) for values in tables]
                papers = (one.over_bce if other == "BCE" else one.over_mse) if one else None
                row.append(share_won(papers) if papers and loss == "AnyLoss" else "")
            families = self.of_families.loc[target]
            row.append(self.won(self.values.loc[target], loss, "Brier"))
            row.append(slashed(wins((families[loss] - families["BCE"]).to_numpy())))
            body.append(row)
        kinds = ("", ", paper's rate", ", in the paper")
        heads = [f"over {other}{kind}" for other in ("BCE", "MSE") for kind in kinds]
        yield markdown(["target, loss", *heads, "over Brier", "families, BCE"], body)

    @staticmethod
    def won(values: pd.DataFrame, loss: str, other: str) -> str:
        if other not in values:
            return ""
        return share_won(wins((values[loss] - values[other]).to_numpy()))

    def baselines(self) -> Iterator[str]:
        """What is left of it beside weighted BCE and BCE with its cut tuned."""
        rest = [other for other in AGAINST[1:] if other in self.values]
        yield (
            "Differences of means over families, 95 % intervals: at 1/2 minus the baselines; and "
            "both with cuts tuned on the training part, both with the rates that were chosen at "
            "1/2:"
        )
        body = []
        for target, loss in self.metric_losses():
            families, tuned = self.of_families.loc[target], self.tuned.loc[target]
            pairs = [(families[loss], families[other]) for other in rest]
            pairs.append((tuned[loss], tuned["BCE"]))
            each = [mean_and_interval((one - other).to_numpy()) for one, other in pairs]
            body.append([f"{HEADS[target]}, {loss}", *each])
        heads = [*(f"minus {other}" for other in rest), "both cuts tuned, minus BCE"]
        yield markdown(["target, loss", *heads], body)

    def metric_losses(self) -> Iterator[tuple[str, str]]:
        """The targets, each with AnyLoss and metricc's."""
        for target in self.targets():
            yield from ((target, n) for n in OURS if n in self.values)

    def with_tuned_cuts(self) -> Iterator[str]:
        targets, cut = self.targets(), self.tuned
        yield (
            "Every loss with its cut tuned on the training part, means over families. Rates were "
            f'chosen at 1/2, those of "{TUNED_ARM}" at the tuned cut:'
        )
        body = [[name, *(f"{cut.loc[t, name].mean():.3f}" for t in targets)] for name in cut]
        yield markdown(["loss", *(HEADS[t] for t in targets)], body)

    def beside(self, base: str) -> Iterator[str]:
        """The other metric losses less one."""
        targets = self.targets(MAIN)
        each = [self.of_families.loc[t] for t in targets]
        yield f"Minus {base}: means over families, 95 % intervals:"
        body = [
            [name, *(mean_and_interval((f[name] - f[base]).to_numpy()) for f in each)]
            for name in AIMED
            if name in self.values and name != base
        ]
        yield markdown(["loss", *(HEADS[t] for t in targets)], body)

    def pairs(self, target: str) -> Iterator[str]:
        yield (
            f"{HEADS[target]}: the first minus the second, mean over families, 95 % interval; "
            f"w/t/l of sets and of families (a tie: under {TIE}); p of Wilcoxon's signed-rank, not "
            "corrected for the number of pairs; the Bayesian sign test's probabilities of better, "
            f"the same within {ROPE}, worse:"
        )
        names, body = [name for name, *_ in self.arms], []
        sets, families = self.values.loc[target], self.of_families.loc[target]
        for first in AIMED:
            for second in AGAINST:
                if first not in names or second not in names:
                    continue
                pair = [(t[first] - t[second]).to_numpy() for t in (sets, families)]
                c = compared(*pair)
                chances = " ".join(f"{v:.2f}" for v in (c.better, c.same, c.worse))
                row = [f"{first} − {second}", ranged(c.mean, c.low, c.high)]
                body.append([*row, slashed(c.sets), slashed(c.families), chance(c.p), chances])
        yield markdown(["pair", "difference", "sets", "families", "p", "better same worse"], body)

    def bands(self, target: str) -> Iterator[str]:
        values = self.values.loc[target]
        share = values.index.map({name: s.share for name, s in self.sets.items()}).to_numpy(float)
        parts = [values[(share >= low) & (share < high)] for low, high in BANDS]
        grouped = [part.groupby(part.index.map(self.families)).mean() for part in parts]
        heads = [
            f"{low:.0%} to {min(high, 0.5):.0%} ({len(part)}, {len(families)})"
            for (low, high), part, families in zip(BANDS, parts, grouped, strict=True)
        ]
        for other in ("BCE", TUNED_ARM):
            if other not in values:
                continue
            yield (
                f"{HEADS[target]} by the minority's share (sets, families): minus {other}, means "
                "over families, 95 % intervals:"
            )
            body = []
            for name in (n for n in (*AGAINST, *AIMED) if n in values and n != other):
                ahead = [(f[name] - f[other]).to_numpy() for f in grouped]
                body.append([name, *(mean_and_interval(a) if len(a) else "-" for a in ahead)])
            yield markdown(["loss", *heads], body)

    def ranked(self) -> Iterator[str]:
        targets = self.targets()
        each = {t: ranks(self.of_families.loc[t]) for t in targets}
        count = len(self.of_families.loc[targets[0]])
        difference = critical_difference(len(self.arms), count)
        yield (
            f"Average ranks over {count} families, 1 is best; differences under {difference:.2f} "
            "(Nemenyi's, 5 %) are not told apart. The last line is the p of Friedman's test that "
            "all are alike:"
        )
        body = [[name, *(f"{each[t][name]:.2f}" for t in targets)] for name, *_ in self.arms]
        body.append(["p", *(chance(friedman(self.of_families.loc[t])) for t in targets)])
        yield markdown(["loss", *(HEADS[t] for t in targets)], body)

    def cross(self, target: str = "f1") -> Iterator[str]:
        """What the losses aimed at one target do to all metrics."""
        rows = self.rows[self.rows["target"] == target]
        body = []
        for name, loss, decision in self.arms:
            mine = rows[rows["loss"] == loss]
            counts = np.stack([np.asarray(c) for c in mine["counts_" + decision]])
            each = [f"{metric(t, counts).mean():.3f}" for t in TARGETS]
            body.append([name, *each, f"{constant(mine, 'counts_' + decision).mean():.1%}"])
        yield (
            f"Losses, rates and cuts aimed at {HEADS[target]}: means of all metrics over folds and "
            "sets, and the share of folds where all predictions are of one class:"
        )
        yield markdown(["loss", *(HEADS[t] for t in TARGETS), "one class"], body)

    def rates(self, model: str) -> Iterator[str]:
        body = []
        for name, loss, _ in self.arms:
            taken = self.rows[self.rows["loss"] == loss]["rate"].value_counts(normalize=True)
            body.append([name, *(f"{taken.get(rate, 0):.0%}" for rate in sorted(RATES[model]))])
        yield "How often each rate was chosen:"
        yield markdown(["loss", *map(str, sorted(RATES[model]))], body)
