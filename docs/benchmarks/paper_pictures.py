"""Pictures of a results file: win rates, ranks, gain against imbalance, curves over training, L.

SVG files whose bytes depend on the numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import paper_sets
from paper_runs import MODELS, TUNED
from paper_scores import HEADS, metric
from paper_statistics import Results, constant, critical_difference, ranks, wins
from paper_tables import AIMED, MAIN, Report

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

IN_CURVES = ("BCE", "weighted BCE", "soft", "metricc", "AnyLoss")


def of_models(rows: pd.DataFrame) -> list[str]:
    return [model for model in MODELS if (rows["model"] == model).any()]


def win_rates(reports: dict[str, Report]) -> Figure:
    """The share of sets won against BCE at 1/2 and against tuned BCE, ties as half."""
    figure, axes = plt.subplots(len(reports), 2, figsize=(9, 3 * len(reports)), squeeze=False)
    for line, (model, made) in zip(axes, reports.items(), strict=True):
        for ax, other in zip(line, ("BCE", "BCE, tuned threshold"), strict=True):
            names = [n for n in (*AIMED, "BCE, tuned threshold") if n in made.values and n != other]
            for i, target in enumerate(made.targets(MAIN)):
                table = made.values.loc[target]
                rates = []
                for name in names:
                    won, tied, lost = wins((table[name] - table[other]).to_numpy())
                    rates.append((won + tied / 2) / max(won + tied + lost, 1))
                ax.barh(np.arange(len(names)) - 0.3 + 0.2 * i, rates, 0.2, label=HEADS[target])
            ax.axvline(0.5, color="black", linewidth=0.8)
            ax.set(title=f"{model}: wins against {other}", xlim=(0, 1), yticks=range(len(names)))
            ax.set_yticklabels(names, fontsize=8)
            ax.set_xlabel(
                f"share of {len(made.values.loc['f1'])} sets; ties count half", fontsize=8
            )
    axes[0, 1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def rank_lines(reports: dict[str, Report]) -> Figure:
    """Average ranks over families for F1, with the critical difference."""
    figure, axes = plt.subplots(len(reports), 1, figsize=(8, 3 * len(reports)), squeeze=False)
    for ax, (model, made) in zip(axes[:, 0], reports.items(), strict=True):
        families = made.of_families.loc["f1"]
        order = ranks(families)
        width = critical_difference(len(order), len(families))
        ax.plot(order.to_numpy(), np.arange(len(order)), "o", color="black")
        for place, (name, rank) in enumerate(order.items()):
            ax.annotate(f"  {name} {rank:.1f}", (rank, place), fontsize=8, va="center")
        ax.hlines(-1, order.iloc[0], order.iloc[0] + width, color="tab:red")
        ax.annotate(
            f"critical difference {width:.1f}", (order.iloc[0], -1.1), fontsize=8, va="bottom"
        )
        ax.set(title=f"{model}: average rank for F1", yticks=[], xlim=(1, len(order) + 2))
        ax.set_ylim(-2.2, len(order))
        ax.set_xlabel(f"rank over {len(families)} families; 1 is best", fontsize=8)
        ax.invert_yaxis()
    return figure


def gains(reports: dict[str, Report]) -> Figure:
    """F1 less BCE's at 1/2, against the minority's share."""
    figure, axes = plt.subplots(1, len(reports), figsize=(5 * len(reports), 3.5), squeeze=False)
    for ax, (model, made) in zip(axes[0], reports.items(), strict=True):
        table = made.values.loc["f1"]
        share = [made.sets[name].share for name in table.index]
        for name in ("metricc", "AnyLoss", "BCE, tuned threshold"):
            ax.plot(share, table[name] - table["BCE"], ".", label=name, alpha=0.7)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(title=f"{model}: F1 at 1/2 less BCE's, each set", xscale="log")
        ax.set_xlabel("share of the minority")
        ax.legend(fontsize=7)
    return figure


def curves(rows: pd.DataFrame) -> Figure:
    """F1 of the held-out folds during training, mean over folds."""
    sets, models = list(dict.fromkeys(rows["set"])), of_models(rows)
    size = (3.2 * len(sets), 2.6 * len(models))
    figure, axes = plt.subplots(len(models), len(sets), figsize=size, squeeze=False)
    for line, model in zip(axes, models, strict=True):
        for ax, name in zip(line, sets, strict=True):
            here = rows[(rows["set"] == name) & (rows["model"] == model) & (rows["target"] == "f1")]
            for loss in IN_CURVES:
                mine = here[here["loss"] == loss]
                if len(mine):
                    values = metric("f1", np.stack([np.asarray(c) for c in mine["curve"]]))
                    ax.plot(mine["steps"].iloc[0], values.mean(0), label=loss, linewidth=1)
            ax.set_title(f"{model}, {name}", fontsize=8)
            ax.set_xlabel("step", fontsize=7)
            ax.set_ylabel("F1, held-out folds", fontsize=7)
    axes[0, 0].legend(fontsize=6)
    return figure


def over_l(rows: pd.DataFrame) -> Figure:
    """F1, one-class predictions and the gradient's reach by L."""
    models = of_models(rows)
    figure, axes = plt.subplots(1, len(models), figsize=(5 * len(models), 3.5), squeeze=False)
    for ax, model in zip(axes[0], models, strict=True):
        here = rows[rows["model"] == model]
        steep = here[here["loss"].str.fullmatch(r"L=\d+")]
        by = steep.assign(L=steep["loss"].str[2:].astype(float), one=constant(steep, "counts_half"))
        by = by.assign(reach=[r[1] for r in by["reach"]])
        means = by.groupby("L")[["half", "one", "reach"]].mean()
        names = {
            "half": "F1",
            "one": "folds with predictions of one class",
            "reach": "rows with a usable slope, after a tenth of the steps",
        }
        for column, words in names.items():
            ax.plot(means.index, means[column], marker=".", label=words)
        for loss, decision, style in (("BCE", "half", ":"), (TUNED, "tuned", "--")):
            mean = here[here["loss"] == loss][decision].mean()
            ax.axhline(mean, linestyle=style, color="grey", label=f"F1 of {loss}")
        ax.set(title=model, xlabel="L", ylabel="F1, or share", xscale="log", ylim=(0, 1))
        ax.legend(fontsize=6)
    return figure


def figures(results: Results) -> Iterator[tuple[str, Figure]]:
    trained = results.trained
    table, sets = trained[trained["part"] == "table"], paper_sets.listed()
    reports = {m: Report(table[table["model"] == m], sets) for m in of_models(table)}
    if reports:
        yield "wins", win_rates(reports)
        if all("f1" in made.targets() for made in reports.values()):
            yield "ranks", rank_lines(reports)
            yield "gains", gains(reports)
    for part, drawn in (("curves", curves), ("L", over_l)):
        mine = trained[trained["part"] == part]
        if len(mine):
            yield part, drawn(mine)


def draw(results: Results, folder: Path) -> None:
    """Write paper_<name>.svg for each picture into the folder."""
    with plt.rc_context({"svg.hashsalt": "metricc", "svg.fonttype": "none"}):
        for name, figure in figures(results):
            figure.tight_layout()
            figure.savefig(folder / f"paper_{name}.svg", metadata={"Date": None})
            plt.close(figure)
