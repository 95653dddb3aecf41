"""The paper's own results on its 102 sets, to stand beside those of a run.

Counted from the two result files beside the paper's code (github.com/doheonhan/anyloss:
10CV_Perceptron_102datasets(12282023).csv, 10CV_MLP_102datasets(12292023).csv): the losses aimed at
a metric, judged by it at the threshold 1/2, against MSE and BCE. Differences under TIE are ties, as
everywhere in this experiment; the paper's tables count them otherwise. It has no MCC.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Means of MSE, BCE, AnyLoss; AnyLoss's wins/ties/losses; where each is best of the three."""

    means: tuple[float, float, float]
    over_mse: tuple[int, int, int]
    over_bce: tuple[int, int, int]
    best: tuple[int, int, int]


PUBLISHED = {
    "SLP": {
        "accuracy": Published((0.874, 0.881, 0.887), (65, 19, 18), (56, 22, 24), (12, 17, 47)),
        "f1": Published((0.493, 0.560, 0.673), (93, 5, 4), (85, 7, 10), (2, 9, 83)),
        "f05": Published((0.546, 0.606, 0.670), (81, 11, 10), (76, 9, 17), (7, 14, 69)),
        "f2": Published((0.463, 0.534, 0.753), (95, 6, 1), (90, 6, 6), (1, 6, 88)),
        "gmean": Published((0.543, 0.620, 0.810), (93, 5, 4), (88, 8, 6), (1, 5, 88)),
        "balanced_accuracy": Published((0.706, 0.739, 0.814), (87, 6, 9), (84, 8, 10), (3, 8, 81)),
    },
    "MLP": {
        "accuracy": Published((0.895, 0.894, 0.886), (58, 15, 29), (63, 14, 25), (15, 15, 51)),
        "f1": Published((0.607, 0.615, 0.727), (91, 6, 5), (87, 11, 4), (5, 2, 84)),
        "f05": Published((0.650, 0.647, 0.706), (73, 7, 22), (79, 9, 14), (15, 9, 68)),
        "f2": Published((0.582, 0.595, 0.747), (90, 7, 5), (90, 7, 5), (3, 4, 88)),
        "gmean": Published((0.658, 0.666, 0.814), (90, 6, 6), (87, 9, 6), (4, 5, 84)),
        "balanced_accuracy": Published((0.765, 0.771, 0.832), (90, 6, 6), (87, 10, 5), (4, 3, 85)),
    },
}
