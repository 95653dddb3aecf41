"""How an objective for boosting is called: by libraries, at its defaults, and with no batch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
from mpmath import mp, mpf

from metricc import ir
from metricc.surrogates import Surrogate
from metricc.verify.boosting_case import Case, all_batches, batches
from metricc.verify.calling import NONE, defaults, defaults_check, differing, own_defaults
from metricc.verify.oracle import DIGITS, logistic
from metricc.verify.points import CLASSES, outside, worse

ALLOWED = 1e-12


def repeated(case: Case) -> ir.Check:
    """A row of weight 2 against the same row twice."""
    data = next(batches(case))
    y, z, _ = case.arrays(data)
    twice = 1.0 + np.arange(len(y)) % 2
    index = np.repeat(np.arange(len(y)), twice.astype(int))
    one = case.module.objective(y, z, twice, **case.given)
    two = case.module.objective(y[index], z[index], None, **case.given)
    error = 0.0
    for weighed, single in zip(one, two, strict=True):
        each = twice if weighed.ndim == 1 else twice[:, None]
        wanted = each * single[np.unique(index, return_index=True)[1]]
        error = worse(error, float(np.abs(weighed - wanted).max() / np.abs(wanted).max()))
    return ir.Check("weight 2 = row twice", f"{error:.1e}", "1e-12", error <= ALLOWED)


def decisions(cases: list[Case]) -> ir.Check:
    """The starting score is where A is 1/2; decisions are those of the metric."""
    wrong = 0
    for case in cases:
        soft = {n: x for n, x in case.setting.arguments.items() if n == "threshold"}
        for data in all_batches(case):
            y, z, v = case.arrays(data)
            with mp.workdps(DIGITS):
                decided = [e for e in case.decided(data) if e.a == 1 or not case.joint]
            wanted = [e.k if case.joint else int(e.a) for e in decided]
            wrong += int((case.module.decide(z, **soft) != np.array(wanted)).sum())
            start = case.module.initial_score(y, v, **soft)
            if case.joint:
                wrong += int(np.shape(start) != (y.max() + 1,) or np.any(start))
                start = case.module.initial_score(y[:1], None, CLASSES + 2)
                wrong += int(np.shape(start) != (CLASSES + 2,) or np.any(start))
            else:
                wrong += bool(abs(logistic(mpf(start))[0] - case.cut) > ALLOWED)
    return ir.Check("initial_score() and decide()", f"{wrong} wrong", "0 wrong", not wrong)


@dataclass(frozen=True)
class Held:
    """A library's data set, as far as objectives look at it."""

    y: Any
    v: Any

    def get_label(self) -> Any:
        return self.y

    def get_weight(self) -> Any:
        return self.v


def conventions(cases: list[Case], options: ir.Options) -> ir.Check:
    """The class against the functions, called as estimators and as `train` call it."""
    wrong, calls = [], 0
    maximized = options.goal == "maximize"
    name = f"1-{options.name}" if maximized else options.name
    for case in cases:
        adapter = getattr(case.module, f"{options.pascal}Objective")(**case.given)
        data = list(batches(case))[1]
        y, z, v = case.arrays(data)
        for weight, empty in ((v, None), (None, None), (None, np.empty(0))):
            held = Held(y, weight if weight is not None else empty)
            wanted = case.module.objective(y, z, weight, **case.given)
            score = case.module.metric(y, z, weight, **case.given)
            cost = 1 - score if maximized else score
            pairs = {
                "estimators": (adapter(y, z, weight), wanted),
                "estimators by keyword": (adapter(y, z, sample_weight=weight), wanted),
                "train": (adapter(z, held), wanted),
                "LightGBM's metric": (
                    (adapter.lightgbm_metric(y, z, weight), adapter.lightgbm_metric(z, held)),
                    ((options.name, score, maximized),) * 2,
                ),
                "XGBoost's metric": (
                    (
                        adapter.xgboost_metric(y, z, sample_weight=weight),
                        *adapter.xgboost_metric(z, held),
                    ),
                    (cost, name, cost),
                ),
            }
            for kind, (got, right) in pairs.items():
                calls += 1
                same = all(np.array_equal(a, b) for a, b in zip(got, right, strict=True))
                wrong += [] if same else [kind]
    measured = f"{len(wrong)} differ" + (f": {wrong[0]}" if wrong else "")
    return ir.Check(
        f"LightGBM's and XGBoost's calling conventions, {calls} calls",
        measured,
        "0 differ",
        not wrong,
    )


def finite(cases: list[Case]) -> ir.Check:
    failed, batches = 0, 0
    for case in cases:
        for data in all_batches(case):
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                grad, hess = case.call("objective", data)
                numbers = [grad, hess, case.call("loss", data), case.call("metric", data)]
            shape = case.arrays(data)[1].shape
            sound = np.shape(grad) == np.shape(hess) == shape and bool((hess > 0).all())
            failed += not (sound and all(np.isfinite(x).all() for x in numbers))
            batches += 1
    measured = f"{failed} not"
    return ir.Check(f"finite on {batches} batches, ugly ones too", measured, "0 not", not failed)


def signatures(
    module: ModuleType, plan: ir.Plan, options: ir.Options, surrogate: Surrogate
) -> ir.Check:
    """Defaults of every function and of the class."""
    own = own_defaults(plan.metric, surrogate)
    cut = {n: x for n, x in own.items() if n == surrogate.centre}
    classes = {"classes": None} if options.task == "multiclass" else {}
    batch = {"y_true": NONE, "raw_score": NONE, "weight": None, **own}
    wanted = dict.fromkeys(("objective", "metric", "loss"), batch)
    wanted["initial_score"] = {"y_true": NONE, "weight": None, **classes, **cut}
    wanted["decide"] = {"raw_score": NONE, **cut}
    adapter = getattr(module, f"{options.pascal}Objective")
    wrong = differing(adapter.__name__, defaults(adapter.__init__), own)
    for name, given in wanted.items():
        wrong += differing(name, defaults(getattr(module, name)), given)
    usual = {"class_weight": None, "absent": None, "smooth": 0.0, **own}
    for name in ("value", "gradient", "weights"):
        found = {n: x for n, x in defaults(getattr(module, name)).items() if n in usual}
        wrong += differing(name, found, {n: usual[n] for n in found})
    return defaults_check(wrong)


def refused(case: Case, plan: ir.Plan, surrogate: Surrogate, pascal: str) -> ir.Check:
    """What is no batch raises `ValueError`, and so does an argument outside its range."""
    y, z, _ = case.arrays(next(batches(case)))
    v, module, given = np.ones(len(y)), case.module, case.given
    cut = {n: x for n, x in given.items() if n == surrogate.centre}
    odd = np.arange(len(y)) == 1
    bad_labels = [
        y - 5,
        np.where(odd, np.nan, y),
        np.where(odd, "no", "yes"),
        np.full(len(y), {}, object),
        y[:, None],
    ]
    bad_labels += [y + 0.5 * odd] * case.joint + [y + 2 * odd] * (not case.joint)
    bad_weights = [v[:-1], -v, v * np.inf, v * np.nan, v * 1e80, v * 1e30, v[:, None]]
    missing, beyond = np.where(z == z.max(), np.nan, z), np.where(z == z.max(), np.inf, z)
    bad_scores = [missing, beyond, z[..., None], np.full(z.shape, "no")]
    bad_scores.append(z[:, 0] if case.joint else np.stack([z, z], 1))
    wrong: list[tuple[Any, ...]] = [
        (y[:-1], z, None),
        *((labels, z, None) for labels in bad_labels),
    ]
    wrong += [(y, scores, None) for scores in bad_scores] + [(y, z, w) for w in bad_weights]
    calls = [
        (name, arrays, given) for name, arrays in product(("objective", "metric", "loss"), wrong)
    ]
    starts = [*((labels, None) for labels in bad_labels), *((y, w) for w in bad_weights)]
    calls += [("initial_score", arrays, cut) for arrays in starts]
    calls += [("decide", (scores,), cut) for scores in bad_scores]
    if case.joint:
        few = {"classes": int(y.max())}
        calls += [("initial_score", (y, None), few), ("initial_score", (y, v), {"classes": 2.5})]
    for out in outside(plan.metric, surrogate):
        calls += [(name, (y, z, v), {**given, **out}) for name in ("objective", "metric", "loss")]
        calls.append((f"{pascal}Objective", (), {**given, **out}))
        if {*out} <= {*cut}:
            calls += [("decide", (z,), out), ("initial_score", (y,), out)]
    bad = []
    for name, arrays, keywords in calls:
        try:
            with np.errstate(all="raise"):
                getattr(module, name)(*arrays, **keywords)
        except ValueError:
            continue
        bad.append(name)
    measured = f"{len(bad)} taken" + (f": {bad[0]}()" if bad else "")
    return ir.Check(f"wrong input, {len(calls)} calls", measured, "ValueError", not bad)
