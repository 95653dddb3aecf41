"""For each diagnostic that a formula can raise: one that raises it, and its repair."""

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
    "MC0209": ("macro(f1)", "f1"),
    "MC0210": (
        "f(b = -1 in (0, inf)) = TP / (TP + b*FN)",
        "f(b = 1 in (0, inf)) = TP / (TP + b*FN)",
    ),
    "MC0211": ('import "costs.metric"\nTP / P', "cost = FN / POP\n1 - cost"),
    "MC0301": ("TP * log(1 - 1)", "TP * log(1 + TPR)"),
    "MC0302": ("P / POP", "TP / POP"),
    "MC0303": ("FP / FN", "FP / N + FN / P"),
    "MC0304": ("TPR ^ TNR", "TPR ^ 2"),
    "MC0401": ("TPR ^ 1000", "TPR ^ 10"),
}
