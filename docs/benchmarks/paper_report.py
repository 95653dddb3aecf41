"""The tables of a results file, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import paper_sets
from paper_published import PUBLISHED
from paper_runs import PAPER, RATES, TUNED
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
    interval,
    ranks,
    read,
    valued,
    wins,
)

Arm = tuple[str, str, str]  # its name, the loss, the decision
ARMS: tuple[Arm, ...] = (
    *((name, name, "half") for name in ("MSE", "BCE", "weighted BCE", "focal")),
    ("BCE, tuned threshold", TUNED, "tuned"),
    *((name, name, "half") for name in ("SOL", "soft", "AnyLoss", "metricc", "metricc, skip")),
    *((name, name, "half") for name in ("BCE, then metricc", "BCE + metricc")),
)
AIMED = ("AnyLoss", "SOL", "soft", "metricc", "metricc, skip", "BCE, then metricc", "BCE + metricc")
AGAINST = ("MSE", "BCE", "weighted BCE", "BCE, tuned threshold")
MAIN = ("f1", "gmean", "balanced_accuracy", "mcc")


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
            f"paper's ({PAPER[model]}) for all; the paper's own numbers last:"
        )
        body = []
        for target in self.targets():
            row, counts = [HEADS[target]], []
            for decision in ("half", "fixed"):
                values = by_set(self.rows, [(n, n, decision) for n in ("MSE", "BCE", "AnyLoss")])
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

    def headline(self, model: str) -> Iterator[str]:
        """The claim and its test: wins at 1/2, and what is left against BCE with its cut tuned."""
        yield (
            "Sets won/level/lost at 1/2, with the searched rates and with the paper's, beside the "
            "paper's; then differences with searched rates, 95 % intervals over families:"
        )
        body, rest = [], [other for other in AGAINST[2:] if other in self.values]
        for target in self.targets(MAIN):
            one = PUBLISHED[model].get(target)
            for loss in (n for n in ("AnyLoss", "metricc", "metricc, skip") if n in self.values):
                row = [f"{HEADS[target]}, {loss}"]
                for other in ("BCE", "MSE"):
                    for decision in ("half", "fixed"):
                        values = by_set(self.rows, [(n, n, decision) for n in (loss, other)])
                        pair = values.loc[target]
                        row.append(slashed(wins((pair[loss] - pair[other]).to_numpy())))
                    papers = (one.over_bce if other == "BCE" else one.over_mse) if one else None
                    row.append(slashed(papers) if papers and loss == "AnyLoss" else "")
                families = self.of_families.loc[target]
                for other in rest:
                    ahead = (families[loss] - families[other]).to_numpy()
                    low, high = interval(ahead)
                    row.append(f"{ahead.mean():+.3f} ({low:+.3f} to {high:+.3f})")
                body.append(row)
        kinds = ("", ", its rate", ", paper")
        heads = [f"over {other}{kind}" for other in ("BCE", "MSE") for kind in kinds]
        yield markdown(["target, loss", *heads, *(f"minus {other}" for other in rest)], body)

    def pairs(self, target: str) -> Iterator[str]:
        yield (
            f"{HEADS[target]}: the first minus the second, mean over families, 95 % interval; "
            f"w/t/l of sets and of families (a tie: under {TIE}); p of Wilcoxon's signed-rank; "
            f"the Bayesian sign test's probabilities of better, the same within {ROPE}, worse:"
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
                row = [f"{first} − {second}", f"{c.mean:+.3f} ({c.low:+.3f} to {c.high:+.3f})"]
                body.append([*row, slashed(c.sets), slashed(c.families), f"{c.p:.3f}", chances])
        yield markdown(["pair", "difference", "sets", "families", "p", "better same worse"], body)

    def bands(self, target: str) -> Iterator[str]:
        yield (
            f"{HEADS[target]} by the minority's share: the number of sets and families, then each "
            "loss minus BCE at 1/2 and minus BCE with the tuned threshold, means over families:"
        )
        values, names = self.values.loc[target], [name for name, *_ in self.arms]
        share = values.index.map({name: s.share for name, s in self.sets.items()}).to_numpy(float)
        body, heads = [], []
        for name in (n for n in (*AGAINST, *AIMED) if n in names and n != "BCE"):
            row, heads = [name], ["loss"]
            for low, high in BANDS:
                mine = values[(share >= low) & (share < high)]
                count = len({self.families[n] for n in mine.index})
                heads.append(f"{low:.0%} to {min(high, 0.5):.0%} ({len(mine)}, {count})")
                grouped = mine.groupby(mine.index.map(self.families)).mean()
                pair = [(grouped[name] - grouped[other]).mean() for other in ("BCE", AGAINST[-1])]
                row.append(" ".join(f"{v:+.3f}" for v in pair) if len(mine) else "-")
            body.append(row)
        yield markdown(heads, body)

    def ranked(self) -> Iterator[str]:
        targets = self.targets()
        each = {t: ranks(self.of_families.loc[t]) for t in targets}
        count = len(self.of_families.loc[targets[0]])
        difference = critical_difference(len(self.arms), count)
        yield (
            f"Average ranks over {count} families, 1 is best; differences under {difference:.2f} "
            "(Nemenyi's, 5 %) are not told apart:"
        )
        body = [[name, *(f"{each[t][name]:.2f}" for t in targets)] for name, *_ in self.arms]
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


def paper_sets_table(rows: pd.DataFrame, sets: Sequence[paper_sets.Set]) -> Iterator[str]:
    """The paper's own imbalanced sets, each alone."""
    mine = [s for s in sets if s.group == "paper"]
    for one in mine:
        here = rows[rows["set"] == one.name]
        if here.empty:
            continue
        values = by_set(here, present(here))
        targets = [t for t in TARGETS if t in values.index.get_level_values("target")]
        words = f"{one.name} ({one.rows} rows, {one.share:.1%} positive), means over folds:"
        body = [
            [arm, *(f"{values.loc[(t, one.name), arm]:.3f}" for t in targets)] for arm in values
        ]
        yield words
        yield markdown(["loss", *(HEADS[t] for t in targets)], body)


def sweep_over_l(rows: pd.DataFrame) -> Iterator[str]:
    """F1 by L, where training collapses, and the gradient's reach."""
    body = []
    order = list(dict.fromkeys(rows["loss"]))
    steep = sorted((n for n in order if n.startswith("L=")), key=lambda n: float(n[2:]))
    for name in ("BCE", TUNED, "soft", *steep):
        mine = rows[rows["loss"] == name]
        if mine.empty:
            continue
        decision = "tuned" if name == TUNED else "half"
        row = [name]
        for kind in (decision, "fixed"):
            row.append(f"{mine[kind].mean():.3f}")
            row.append(f"{constant(mine, 'counts_' + kind).mean():.1%}")
        shares = [s for s in mine["reach"] if s and None not in s]
        each = np.mean(np.array(shares, dtype=float), axis=0) if shares else []
        body.append([*row, " ".join(f"{v:.0%}" for v in each)])
    heads = ["loss", "F1", "one class", "F1, paper's rate", "one class", "reach"]
    yield (
        "F1 at 1/2, the share of folds whose predictions are all of one class, both again with the "
        "paper's rate; and the share of training rows with a usable slope at the start, after a "
        "tenth of the steps, at the end:"
    )
    yield markdown(heads, body)


def sweep_over_batches(rows: pd.DataFrame) -> Iterator[str]:
    body = []
    shares = sorted(rows["batch"].unique())
    for name in dict.fromkeys(rows["loss"]):
        mine, decision = rows[rows["loss"] == name], "tuned" if name == TUNED else "half"
        means = mine.groupby("batch")[decision].mean()
        ones = constant(mine, "counts_" + decision).groupby(mine["batch"]).mean()
        body.append([name, *(f"{means[s]:.3f} {ones[s]:.0%}" for s in shares)])
    yield "F1 and the share of folds with predictions of one class, by the batch's share:"
    yield markdown(["loss", *(f"{s:.1%}" for s in shares)], body)


def times(rows: pd.DataFrame) -> Iterator[str]:
    """The time of an epoch of single trainings, over BCE's."""
    losses = list(dict.fromkeys(rows["loss"]))
    places = list(dict.fromkeys(zip(rows["model"], rows["set"], rows["rows"], strict=True)))
    body = []
    for name in losses:
        row = [name]
        for model, one, _ in places:
            here = rows[(rows["model"] == model) & (rows["set"] == one)]
            mine = here[here["loss"] == name]["ms"]
            base = float(here[here["loss"] == "BCE"]["ms"].iloc[0])
            spread = f"{mine.min() / base:.2f} to {mine.max() / base:.2f}"
            row.append(
                "-" if mine.empty else f"{mine.iloc[0] / base:.2f}" if len(mine) == 1 else spread
            )
        body.append(row)
    yield "The time of an epoch over BCE's, single trainings, least and most over the targets:"
    yield markdown(["loss", *(f"{m}, {s} ({n:.0f} rows)" for m, s, n in places)], body)


def sections(path: Path) -> Iterator[str]:
    rows, facts, ended = read(path)
    sets = paper_sets.listed()
    for one in facts[-1:]:
        yield "Versions: " + ", ".join(f"{k} {v}" for k, v in one.items()) + "."
    minutes, cpu = (sum(e[kind] for e in ended) / 60 for kind in ("seconds", "cpu"))
    told = f"{minutes:.0f} minutes of a worker, {cpu:.0f} of a processor"
    yield f"{len(ended)} units, {len(rows)} rows, {told}."
    timings = rows[rows["part"] == "time"]
    trained = rows[rows["part"] != "time"]
    if len(trained):
        kept = {f"counts_{d}": trained[d] for d in ("half", "tuned", "fixed")}
        trained = valued(trained).assign(**kept)
    for model in ("SLP", "MLP"):
        mine = trained[(trained["part"] == "table") & (trained["model"] == model)]
        if mine["set"].isin([s.name for s in sets if s.group == "real"]).any():
            made = Report(mine, sets)
            yield f"## {model}"
            yield from made.means()
            yield from made.headline(model)
            yield from made.papers(model)
            for target in made.targets(MAIN):
                yield from made.pairs(target)
            for target in made.targets(MAIN):
                yield from made.bands(target)
            yield from made.ranked()
            if "f1" in made.targets():
                yield from made.cross()
            yield from made.rates(model)
            yield from paper_sets_table(mine, sets)
        for part, shown, words in (
            ("L", sweep_over_l, "L"),
            ("batch", sweep_over_batches, "The size of the batch"),
        ):
            here = trained[(trained["part"] == part) & (trained["model"] == model)]
            if len(here):
                count = here["set"].nunique()
                yield f"### {words}, {model}: {count} sets, one of each family"
                yield from shown(here)
    if len(timings):
        yield "## Time"
        yield from times(timings)


def report(path: Path, pictures: Path | None = None) -> str:
    """All tables of a results file; its pictures go to the folder `pictures`."""
    if pictures is not None:
        from paper_pictures import draw

        draw(path, pictures)
    return "\n\n".join(sections(path)) + "\n"
