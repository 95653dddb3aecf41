"""metricc: a symbolic compiler from confusion-matrix metrics to verified PyTorch losses.

    import metricc

    m = metricc.compile("2*TP / (2*TP + FP + FN)", name="f1")
    m.partials["TP"]           # SymPy
    m.loss()(logits, target)   # the generated torch.nn.Module
    m.save("f1_loss.py")       # a file that needs torch alone

Importing this package loads neither SymPy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metricc.errors import Diagnostic, MetriccError
from metricc.version import __version__

if TYPE_CHECKING:
    from metricc.compiled import CompiledMetric
    from metricc.compiler import compile

__all__ = [
    "CompiledMetric",
    "Diagnostic",
    "MetriccError",
    "__version__",
    "compile",
    "loss",
    "names",
    "score",
    "value",
]

_COMPILE_OPTIONS = frozenset(
    "name target task surrogate per from_probabilities maximize minimize".split()
)


def names() -> tuple[str, ...]:
    """The names of the library's metrics; each can be used as a formula, or inside one."""
    from metricc.library import metrics

    return metrics()


def loss(formula: str, **options: Any) -> Any:
    """Compile `formula` and construct its loss: `compile(formula, ...).loss(...)` in one call.

    `options` are `compile`'s and the generated constructor's, told apart by name:
    `metricc.loss("fbeta", beta=2, surrogate="soft")`.
    """
    from metricc.compiler import compile

    chosen = {k: v for k, v in options.items() if k in _COMPILE_OPTIONS}
    rest = {k: v for k, v in options.items() if k not in _COMPILE_OPTIONS}
    return compile(formula, **chosen).loss(**rest)


def value(
    formula: str,
    TP: Any,
    FN: Any,
    FP: Any,
    TN: Any,
    *,
    task: str = "binary",
    zero_division: Any = 0,
    class_weight: Any = None,
    absent: str | None = None,
    smooth: float = 0.0,
    **params: Any,
) -> Any:
    """Any formula on counts, also one that no loss can be made of: `value("P/POP", 3, 1, 2, 4)`.

    Floats give a float, arrays (which broadcast) a float64 array; see `CompiledMetric.value`. The
    formula is compiled on every call: keep `compile`'s result where that counts.
    """
    from metricc import scoring
    from metricc.compiler import analyse

    rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
    return scoring.value(analyse(formula, task=task)[0], (TP, FN, FP, TN), rules)


def score(
    formula: str,
    y_true: Any,
    y_pred: Any,
    *,
    task: str = "binary",
    sample_weight: Any = None,
    labels: Any = None,
    pos_label: Any = 1,
    zero_division: Any = 0,
    class_weight: Any = None,
    absent: str | None = None,
    smooth: float = 0.0,
    **params: Any,
) -> Any:
    """Any formula on labels, also one that no loss can be made of; see `CompiledMetric.score`."""
    from metricc import scoring
    from metricc.compiler import analyse
    from metricc.labels import Given

    given = Given(y_true, y_pred, sample_weight, labels, pos_label)
    rules = scoring.Rules(zero_division, absent, smooth, class_weight, params)
    return scoring.score(analyse(formula, task=task)[0], given, rules)


def __getattr__(name: str) -> Any:
    if name == "compile":
        from metricc.compiler import compile

        return compile
    if name == "CompiledMetric":
        from metricc.compiled import CompiledMetric

        return CompiledMetric
    raise AttributeError(f"module 'metricc' has no attribute {name!r}")
