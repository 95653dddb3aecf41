"""All tables of a results file, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import paper_sets
from paper_losses import SKIP
from paper_runs import MODELS, TUNED
from paper_scores import HEADS, TARGETS
from paper_statistics import Results, by_set, constant
from paper_sweeps import USABLE
from paper_tables import BESIDE, MAIN, Report, markdown, mean_and_interval, present

DEFAULT_L = "L=10"
TITLE = "The paper's experiment, run again: all tables"


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
    means = rows.groupby(["loss", "set"])["half"].mean()
    body = []
    steep = [n for n in dict.fromkeys(rows["loss"]) if n not in ("BCE", TUNED)]
    for name in ("BCE", TUNED, *sorted(steep, key=lambda n: n.endswith(SKIP))):
        mine = rows[rows["loss"] == name]
        decision = "tuned" if name == TUNED else "half"
        row = [name]
        for kind in (decision, "fixed"):
            known = name != TUNED or kind != "fixed"  # the paper tunes no cut
            row.append(f"{mine[kind].mean():.3f}" if known else "")
            row.append(f"{constant(mine, 'counts_' + kind).mean():.1%}" if known else "")
        default = DEFAULT_L + (SKIP if name.endswith(SKIP) else "")
        of_sets = mine.groupby("set")[decision].mean()
        row.append(
            mean_and_interval((of_sets - means[default]).to_numpy()) if name != default else ""
        )
        shares = [s for s in mine["reach"] if s and None not in s]
        each = np.mean(np.array(shares, dtype=float), axis=0) if shares else []
        body.append([*row, " ".join(f"{v:.0%}" for v in each)])
    heads = ["loss", "F1", "one class", "F1, paper's rate", "one class", f"F1 minus {DEFAULT_L}"]
    heads.append("reach")
    yield (
        f"F1 at 1/2 ({TUNED}: at the tuned cut), the share of folds whose predictions are all of "
        f"one class, both again with the paper's rate; F1 minus that of {DEFAULT_L} with the same "
        "rule for batches without positives, mean and 95 % interval over sets; and the share of a "
        "step's rows (SLP: all, MLP: a batch) where the surrogate's slope is at least "
        f"{USABLE:.0%} of its own largest, at the start, after a tenth of the steps, at the end:"
    )
    yield markdown(heads, body)


def sweep_over_batches(rows: pd.DataFrame) -> Iterator[str]:
    names, shares = list(dict.fromkeys(rows["loss"])), sorted(rows["batch"].unique())
    heads = ["loss", *(f"{s:.1%}" for s in shares)]
    body, of_sets = [], {}
    for name in names:
        mine, decision = rows[rows["loss"] == name], "tuned" if name == TUNED else "half"
        of_sets[name] = mine.groupby(["batch", "set"])[decision].mean()
        ones = constant(mine, "counts_" + decision).groupby(mine["batch"]).mean()
        body.append([name, *(f"{of_sets[name][s].mean():.3f} {ones[s]:.0%}" for s in shares)])
    yield (
        "F1 and the share of folds with predictions of one class, by the batch's share of the "
        "training rows. All take as many steps, so that large batches see more rows:"
    )
    yield markdown(heads, body)
    yield f"F1 minus that of {TUNED}, mean and 95 % interval over sets:"
    body = []
    for name in (n for n in names if n != TUNED):
        ahead = of_sets[name] - of_sets[TUNED]
        body.append([name, *(mean_and_interval(ahead[s].to_numpy()) for s in shares)])
    yield markdown(heads, body)


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


def sections(results: Results) -> Iterator[str]:
    facts, ended, sets = results.facts, results.ended, paper_sets.listed()
    quick = any(one.get("variant") == "quick" for one in facts)
    yield f"# {TITLE}" + (" (the quick variant)" if quick else "")
    yield "What `docs/benchmarks/paper.py` prints; what it means stands in [findings](paper.md)."
    if not results.rows:
        yield "No unit of the experiment has ended."
        return
    for one in facts:
        yield "Versions: " + ", ".join(f"{k} {v}" for k, v in one.items()) + "."
    minutes, cpu = (sum(e[kind] for e in ended) / 60 for kind in ("seconds", "cpu"))
    told = f"{minutes:.0f} minutes of a worker, {cpu:.0f} of a processor"
    count = " of ".join(str(n) for n in (len(ended), facts[-1].get("units")) if n)
    yield f"{count} units, {len(results.rows)} rows, {told}."
    trained = results.trained
    for model in MODELS:
        mine = trained[(trained["part"] == "table") & (trained["model"] == model)]
        if mine["set"].isin([s.name for s in sets if s.group == "real"]).any():
            made = Report(mine, sets)
            yield f"## {model}"
            yield from made.means()
            yield from made.claims(model)
            yield from made.baselines()
            for one in BESIDE:
                if one in made.values:
                    yield from made.beside(one)
            yield from made.with_tuned_cuts()
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
                yield f"### {words}, {model}: one set of each of {count} families"
                yield from shown(here)
    if len(results.timings):
        yield "## Time"
        yield from times(results.timings)


def means_of_sets(results: Results) -> str:
    """The main table's means over folds, as CSV: a line for each model, target and set."""
    table = results.trained[results.trained["part"] == "table"]
    if table.empty:
        return ""
    found = {
        model: by_set(mine, present(mine))
        for model in MODELS
        if len(mine := table[table["model"] == model])
    }
    text: str = pd.concat(found, names=["model"]).to_csv(float_format="%.5f")
    return text


def report(results: Results) -> str:
    """All tables of a results file."""
    return "\n\n".join(sections(results)) + "\n"
