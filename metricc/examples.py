"""For each diagnostic: what raises it, and its repair.

Formulas below MC04; above, where it takes more than a formula, Python or a command.
"""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, str]] = {
    "MC0101": ("2TP / (2*TP + FN)", "2*TP / (2*TP + FN)"),
    "MC0102": ("TP % P", "TP / P"),
    "MC0103": ("TP / (TP + FN", "TP / (TP + FN)"),
    "MC0104": ("# nothing but a comment", "TP / P"),
    "MC0105": ("sqrt = TP / P", "root = sqrt(TP / P)"),
    "MC0106": ("f(2*beta) = TP / P", "f(beta = 2) = TP / (TP + beta*FN)"),
    "MC0107": ("TP / P\nTN / N", "a = TP / P\nmin(a, TN / N)"),
    "MC0201": ("2*tp / (PP + P)", "2*TP / (PP + P)"),
    "MC0202": ("precision(TP, FP)", "precision"),
    "MC0203": ("1 - tversky", "1 - tversky(alpha = 0.3, beta = 0.7)"),
    "MC0204": ("a = 1 + a; a", "a = 1 + TPR; a"),
    "MC0205": ("a = TPR; a = TNR; a", "a = TPR; b = TNR; a + b"),
    "MC0206": ("TP = 2; TP / P", "hits = TP; hits / P"),
    "MC0207": ("f(weight = 1) = TP / (TP + weight*FN)", "f(w = 1) = TP / (TP + w*FN)"),
    "MC0208": ("a = TPR; TNR", "a = TPR; a + TNR"),
    "MC0209": ("per_class(f1)", "f1"),
    "MC0210": (
        "f(b = -1 in (0, inf)) = TP / (TP + b*FN)",
        "f(b = 1 in (0, inf)) = TP / (TP + b*FN)",
    ),
    "MC0211": ('import "costs.metric"\nTP / P', "cost = FN / POP\n1 - cost"),
    "MC0212": ("TP/TP + FN", "TP/(TP + FN)"),
    "MC0213": ("macro(worst(f1))", "worst(f1)"),
    "MC0214": ("f1 + samples(recall)", "samples(f1) + samples(recall)"),
    "MC0215": ("1 - quadratic_kappa", "1 - cohen_kappa"),
    "MC0216": ("TP[weight] / P[weight]", "TP[amount] / P[amount]"),
    "MC0217": ("hits = TPR[amount]; hits[price]", "hits = TPR[amount]; hits + TPR[price]"),
    "MC0218": ("macro(recall[amount])", "mean(recall[amount], specificity[amount])"),
    "MC0301": ("TP * log(1 - 1)", "TP * log(1 + TPR)"),
    "MC0302": ("P / POP", "TP / POP"),
    "MC0303": ("FP / FN", "FP / N + FN / P"),
    "MC0304": ("TPR ^ TNR", "TPR ^ 2"),
    "MC0305": ("recall", "mean(recall, specificity)"),
    "MC0306": (
        'metricc.compile("f1", minimize=True)',
        'metricc.compile("f1")',
    ),
    "MC0307": (
        'metricc.compile("multiclass_mcc", task="multiclass", surrogate="amplified")',
        'metricc.compile("multiclass_mcc", task="multiclass")',
    ),
    "MC0308": (
        'metricc.compile("f1", surrogate="1 - p")',
        'metricc.compile("f1", surrogate="p^2")',
    ),
    "MC0401": ('metricc.compile("f1 + " * 20_000 + "f1")', 'metricc.compile("20001*f1")'),
    "MC0402": (
        'metricc.compile("(" * 60 + "TPR" + ")" * 60)',
        'metricc.compile("(" * 40 + "TPR" + ")" * 40)',
    ),
    "MC0403": (
        'metricc.compile("; ".join(f"a{i} = TPR" for i in range(101)))',
        'metricc.compile("a = TPR; a")',
    ),
    "MC0404": ('metricc.compile("1e100 * TPR")', 'metricc.compile("1e10 * TPR")'),
    "MC0405": ('metricc.compile("TPR ^ 1000")', 'metricc.compile("TPR ^ 10")'),
    "MC0406": ('metricc.compile("f1 + " * 4_000 + "f1")', 'metricc.compile("4001*f1")'),
    "MC0407": (
        'metricc.compile("sqrt(" * 7 + "TPR" + ")" * 7)',
        'metricc.compile("TPR ^ (1/64)")',
    ),
    "MC0408": ('metricc.compile("(10^60)^60 * TPR")', 'metricc.compile("10^60 * TPR")'),
    "MC0409": (
        'metricc.compile(" + ".join(f"(if TP < {i} then 1 else f1)" for i in range(1, 10)))',
        'metricc.compile("if TP < 10 then 1 else f1", maximize=True)',
    ),
    "MC0410": ("21 imports, in a .metric file", "one file that holds their definitions"),
    "MC0411": (
        "a formula within every limit, whose algebra takes more than 8 s of a core",
        "the same formula with fewer or simpler terms",
    ),
    "MC0412": (
        'metricc.compile(" + ".join(f"TPR[a{i}]" for i in range(9)))',
        'metricc.compile(" + ".join(f"TPR[a{i}]" for i in range(8)))',
    ),
    "MC0501": (
        'metricc.compile("f1", surrogate="hard")',
        'metricc.compile("f1", surrogate="soft")',
    ),
    "MC0502": ('metricc.compile("f1", name="f-1")', 'metricc.compile("f1", name="f_1")'),
    "MC0503": ('metricc.compile(Path("absent.metric"))', 'metricc.compile("f1")'),
    "MC0504": (
        "metricc compile f1 -o notes.py  # which somebody else wrote",
        "metricc compile f1 -o f1_loss.py",
    ),
    "MC0505": ("metricc verify notes.py", "metricc verify f1_loss.py"),
    "MC0506": (
        'metricc.score("f1", [1, 0], [0.9, 0.2])',
        'metricc.score("f1", [1, 0], [1, 0])',
    ),
    "MC0507": (
        'metricc.value("precision", 0, 5, 0, 5, zero_division="raise")',
        'metricc.value("precision", 0, 5, 0, 5, zero_division=0)',
    ),
    "MC0508": ("m.torchmetric()  # without torchmetrics", "pip install torchmetrics"),
    "MC0509": (
        'import "/somewhere/else.metric", in a .metric file',
        'import "costs.metric", in the same folder or below',
    ),
    "MC0510": (
        'metricc.compile("f1").tune_threshold([1, 0], [0.4, 0.6], constraint="precision >= 0.9")',
        'metricc.compile("f1").tune_threshold([1, 0], [0.4, 0.6], constraint="recall >= 0.9")',
    ),
    "MC0511": (
        'metricc.compile("f1").tune_threshold([1, 0], [0.6, 0.4], constraint="precision == 1")',
        'metricc.compile("f1").tune_threshold([1, 0], [0.6, 0.4], constraint="precision >= 1")',
    ),
    "MC0512": (
        "metricc tune scores.csv --target y --score p --metric f1  # which has no column p",
        "metricc tune scores.csv --target y --score s --metric f1",
    ),
    "MC0513": (
        'metricc.compile("f1", target="gbdt", surrogate="heaviside")',
        'metricc.compile("f1", target="gbdt")',
    ),
    "MC0514": (
        'metricc.compile("f1", target="gbdt").loss()',
        'metricc.compile("f1", target="gbdt").objective()',
    ),
    "MC0515": ("metricc verify .  # where metricc wrote nothing", "metricc verify losses"),
    "MC0516": ("CC=absent metricc build f1_loss.py", "metricc build f1_loss.py"),
    "MC0517": (
        "metricc build f1_loss.py  # of --surrogate heaviside",
        "metricc build f1_loss.py  # of the default surrogate",
    ),
}

# Formulas of which `metricc audit` finds each of these, and what that means.
FOUND: dict[str, tuple[str, str]] = {
    "MC0601": (
        "cost_by_amount",
        "Whether a more correct prediction raises the metric (a score), lowers it (an error "
        "rate) or may do either (mixed). A mixed metric needs --maximize or --minimize; its "
        "example shows where it misleads.",
    ),
    "MC0602": (
        "tversky",
        "How much one more false negative moves the metric beside one more false positive, "
        "and which of the two a parameter makes count more. Compare it with what you mean: "
        "conventions differ between libraries.",
    ),
    "MC0603": (
        "recall",
        "A model that looks at nothing gets the best value, so training may end there. "
        "Combine the metric with one that punishes constant predictions.",
    ),
    "MC0604": (
        "recall",
        "The best decision is the same for every sample, or goes there as predictions get "
        "better. Combine the metric with one that punishes constant predictions.",
    ),
    "MC0605": (
        "f(a = 1) = a*TP/(a*TP + a*FN + a*FP)",
        "The metric, or its gradient, stays the same or keeps its direction whatever the "
        "parameter is. Leave it out, or look for a slip in the formula.",
    ),
    "MC0606": (
        "P/POP",
        "The gradient is 0 everywhere, so there is nothing to train. Take a metric that right "
        "and wrong predictions change.",
    ),
    "MC0611": (
        "precision",
        "The metric is 0/0 at these counts: a batch like that has a value by a rule, and near "
        "it gradients may be large. Give the loss smooth=..., or larger batches.",
    ),
    "MC0612": (
        "gmean",
        "A batch near these counts dominates training by its value or its gradient. Give the "
        "loss smooth=..., or take a metric with a bound.",
    ),
    "MC0621": (
        "mcc",
        "The least and the largest value of the metric, and which predictions reach them.",
    ),
    "MC0622": (
        "f1",
        "The metric of predictions that take no skill. A model has to beat those of the "
        "constant ones.",
    ),
    "MC0623": (
        "log_odds_ratio",
        "Whether the loss is 0 at the perfect prediction and has a floor. One without a floor "
        "falls without end: take a bounded metric.",
    ),
    "MC0631": (
        "chi_squared",
        "Whether the same predictions on twice as many samples give another value. If they "
        "do, keep batches of one size.",
    ),
    "MC0632": (
        "f1",
        "Whether the share of positives changes the metric of a classifier with the same two "
        "rates. If it does, batches or test data with another share have another metric.",
    ),
    "MC0633": (
        "f1",
        "The mean of the batches' metrics is what is trained, and it is not the metric of all "
        "samples. Take larger batches, or counts beyond the batch: counts=.",
    ),
    "MC0634": (
        "diagnostic_odds_ratio",
        "How many batches have no value and teach what a rule decides. Take larger batches, "
        "or counts beyond the batch: counts=.",
    ),
    "MC0641": (
        "f1",
        "Whether the best predictions cut calibrated probabilities at a threshold that is "
        "known from the metric's best value. Where it is, a threshold tuned on a model "
        "trained by cross-entropy reaches the same optimum.",
    ),
    "MC0642": (
        "accuracy",
        "Each sample has a fixed price, whatever is predicted of the others. Weighted "
        "cross-entropy reaches the same optimum.",
    ),
    "MC0651": (
        "f1",
        "Only samples whose logits are near the threshold get a gradient that matters. A "
        "smaller L, or the surrogate soft, reaches further.",
    ),
    "MC0652": (
        "f1",
        "The slope of samples far from the threshold is rounded to 0, so they stay where they "
        "are. A smaller L, or the surrogate soft, reaches further.",
    ),
    "MC0661": (
        "chi_squared",
        "The largest and the smallest number that the generated code calculates on the way. "
        "Where one overflows, use float64 or divide the counts.",
    ),
    "MC0662": (
        "markedness",
        "The code subtracts, and where the two sides are nearly equal few digits are left. "
        "That matters at the counts named, not everywhere.",
    ),
    "MC0663": (
        "mcc",
        "How far the generated code is from the exact result, where the counts' own rounding "
        "does not matter more. The last digits of the type are what to expect.",
    ),
}
