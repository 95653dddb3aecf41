"""The header of a generated objective: how it is called, the metric, its gradient and Hessian."""

from __future__ import annotations

from metricc import ir
from metricc.emit import gbdt_file as file
from metricc.emit.torch_header import (
    gradient_lines,
    lines_of,
    loss_line,
    made_by,
    metric_lines,
    plain,
    range_of,
    required,
    singular,
)
from metricc.surrogates import Surrogate

TITLE = "{name} as an objective for gradient boosting: {goal} of soft predictions."

USAGE = {
    "binary": """\
    f = {pascal}Objective({required})
    LightGBM   LGBMClassifier(objective=f, metric="None").fit(X, y, eval_set=[(Xv, yv)],
                   eval_metric=f.lightgbm_metric, callbacks=[lightgbm.early_stopping(50)])
               lightgbm.train({{"objective": f, "metric": "None"}}, data, feval=f.lightgbm_metric)
    XGBoost    XGBClassifier(objective=f, eval_metric=f.xgboost_metric, early_stopping_rounds=50,
                   disable_default_eval_metric=1)
               xgboost.train({{"base_score": 0, "disable_default_eval_metric": 1}}, data, obj=f,
                   custom_metric=f.xgboost_metric, evals=[(valid, "valid")])
    any        grad, hess = objective(y, raw_score); {name} = metric(y, raw_score)""",
    "multiclass": """\
    f = {pascal}Objective({required})
    LightGBM   LGBMClassifier(objective=f, metric="None").fit(X, y, eval_set=[(Xv, yv)],
                   eval_metric=f.lightgbm_metric, callbacks=[lightgbm.early_stopping(50)])
               lightgbm.train({{"objective": f, "metric": "None", "num_class": C}}, data,
                   feval=f.lightgbm_metric)
    XGBoost    XGBClassifier(objective=f, eval_metric=f.xgboost_metric, early_stopping_rounds=50,
                   disable_default_eval_metric=1)
               xgboost.train({{"num_class": C, "disable_default_eval_metric": 1}}, data, obj=f,
                   custom_metric=f.xgboost_metric, evals=[(valid, "valid")])
    any        grad, hess = objective(y, raw_score); {name} = metric(y, raw_score)""",
}

SURROGATES = {
    "softmax": "soft: A(p) = p, the probability: the counts are the expected confusion matrix.",
    "soft": "soft: A(p) = p, the probability: the counts are the expected confusion matrix.",
    "amplified": "amplified: A(p) = sigmoid(L*(p - threshold)), p = sigmoid(z); AnyLoss: Han, "
    "Moniz, Chawla 2024, arXiv 2405.14745",
}

GRADIENTS = {
    "binary": "grad_i = n d loss/dz_i = {sign}n v_i (y_i w_plus - (1 - y_i) w_minus) dA/dz_i, "
    "z the raw score, n the sum of the weights v",
    "multiclass": "grad_ik = n d loss/dz_ik = n p_ik (g_ik - sum_j p_ij g_ij), z the raw scores, p "
    "their softmax, g_ik = {sign}v_i (y_ik w_plus_k - (1 - y_ik) w_minus_k), n the sum of the weights v",
}

LEAF = " So a leaf's value lies in [-1, 1] before the learning rate."
HESSIANS = {
    "soft": "hess_i = n v_i |y_i w_plus - (1 - y_i) w_minus| p_i (1 - p_i), at least 1e-16: while "
    "w_plus and w_minus stand still, the loss nowhere curves more in z_i." + LEAF + " The loss is "
    "not convex: its own second derivatives are negative in places, and trees that divide by them "
    "learn nothing.",
    "amplified": "hess_i = n v_i |y_i w_plus - (1 - y_i) w_minus| p_i (1 - p_i) (L/4 + .0241 L^2), "
    "at least 1e-16: while w_plus and w_minus stand still, the loss nowhere curves more in z_i. The "
    "loss is not convex: its own second derivatives are negative in places, and trees that divide by "
    "them learn nothing.",
    "softmax": "hess_ik = 2 n p_ik (1 - p_ik) (max_j g_ij - min_j g_ij), at least 1e-16: while "
    "w_plus and w_minus stand still, the loss nowhere curves more than half of it in z_ik; the 2 is "
    "XGBoost's and LightGBM's for a softmax. The loss is not convex: its own second derivatives are "
    "negative in places, and trees that divide by them learn nothing.",
}

START = {
    "binary": "Boosters start custom objectives at raw score 0, but xgboost.train starts at base_score: "
    "set it to 0 there, and leave it alone in XGBClassifier. initial_score(y) is the score at which A "
    "is 1/2 and steepest: 0, unless a threshold is passed. Where it is not 0, pass it as LightGBM's "
    "init_score (and add it to what the model predicts) or as XGBoost's base_margin. Do not start from "
    "the log-odds of the classes: there a rare class has nearly no slope.",
    "multiclass": "Boosters start custom objectives at equal scores, which is what this one wants; "
    "initial_score(y, classes=C) gives zeros; without `classes` as many as y shows.",
}

DECISION = {
    "binary": "decide(raw_score) gives labels: 1 where the raw score is above {cut}. Of custom "
    "objectives LightGBM's predict gives raw scores; of XGBoost's use output_margin=True.",
    "multiclass": "decide(raw_score) gives the class of the largest score. Of custom objectives "
    "LightGBM's predict gives raw scores (n, C); of XGBoost's use output_margin=True.",
}

ABSENT = {
    "binary": "Labels without positives, or without negatives, get one unit of weight in TP and in "
    "TN in loss and gradient. metric() takes the counts as they are. 0/0 is 0.",
    "multiclass": "A class without positives, or without negatives, is left out of averages in loss "
    "and gradient. metric() takes the counts as they are. 0/0 is 0.",
    "joint": "Labels of one class alone get one right answer in every class in loss and gradient. "
    "metric() takes the counts as they are. 0/0 is 0.",
}

ARRAYS = {
    "binary": "y_true: labels in [0, 1] of shape (n,); raw_score: margins (log-odds), (n,); weight: at "
    "least 0, at most 1e30 in all, (n,). All is computed in float64. ValueError for what does not fit.",
    "multiclass": "y_true: classes 0 to C - 1 of shape (n,); raw_score: (n, C); weight: at least 0, "
    "at most 1e30 in all, (n,). All is computed in float64. ValueError for what does not fit.",
}

OWNERSHIP = "The file needs NumPy alone and belongs to whoever generated it."


def docstring(
    plan: ir.Plan, audit: ir.Audit, options: ir.Options, surrogate: Surrogate, version: str
) -> str:
    """The module docstring, without its quotes."""
    metric, name, task = plan.metric, options.name, options.task
    goal = f"1 - {name}" if options.goal == "maximize" else name
    sign = "-" if options.goal == "maximize" else ""
    about = "; ".join(f for f in (metric.fact("description"), range_of(metric)) if f)
    _, *derivatives = gradient_lines(plan, options)
    joint = "joint" in plan.levels
    losses = [term.symbol.name for term in metric.elements]
    more = "".join(f"; plus n d loss/d{loss} times the gradient of {loss}" for loss in losses)
    bound = HESSIANS["softmax" if task == "multiclass" else surrogate.name]
    if losses:  # logloss bounds no leaf
        bound = bound.replace(LEAF, "") + " Of the element loss its own is added."
    facts = [
        ("Metric", [*metric_lines(metric, name), plain(about), plain(metric.fact("reference"))]),
        ("Loss", [loss_line(goal, audit)]),
        ("Gradient", [GRADIENTS[task].format(sign=sign) + more, *derivatives]),
        ("Hessian", [bound]),
        ("Surrogate", [SURROGATES["softmax" if task == "multiclass" else surrogate.name]]),
        ("Start", [START[task]]),
        ("Decision", [DECISION[task].format(cut=file.CUT_WORDS[surrogate.name])]),
        *singular(audit),
        ("Classes", [ABSENT["joint" if joint else task]]),
        ("Arrays", [ARRAYS[task]]),
    ]
    if audit.degenerate:
        fact = f"Warning: predicting {audit.degenerate} already reaches the best {name}; "
        facts.insert(5, ("Training", [fact + "combine it with a metric that punishes that."]))
    usage = USAGE[task].format(name=name, pascal=options.pascal, required=required(metric))
    lines = [TITLE.format(name=name, goal=goal), "", *usage.split("\n"), ""]
    for label, texts in facts:
        wrapped = [line for text in texts for line in lines_of(text)]
        lines += [f"{label * (i == 0):<11}{line}" for i, line in enumerate(wrapped)]
    return "\n".join([*lines, "", *made_by(plan, options, surrogate, version, OWNERSHIP)])
