"""What batches make of a metric: the bias of its mean over batches, and those without a value.

A batch is samples drawn independently, at a prevalence and with a stated classifier
(`hard.CLASSIFIERS`); so its hard counts are multinomial. Small batches are enumerated, larger ones
simulated, the same ones every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from metricc import ir
from metricc.audit.hard import CLASSES, CLASSIFIERS, Array, Hard, Tables, shares
from metricc.audit.missing import Missing, in_words, missing, share_of
from metricc.audit.subject import Subject

SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
ENUMERATED = 64  # the largest batch of which every table is looked at: 47,905 of them
BATCHES = 20_000  # of every larger size,
OF_CLASSES = 4_000  # and where each of them has a table a class
ERRORS = 3  # standard errors that are no chance, where some hundred biases are looked at
SMALL = 1e-4  # a smaller bias is none, relative to the metric where that is above 1
BIASED = {32: 0.1, 256: 0.05}  # is large, relative to the metric where that is above 1
OFTEN = {128: 0.05}  # of batches
SHOWN = (32, 256, 4096)
RARE = 1e-4

HINT = (
    "take larger batches, or counts beyond the batch: loss(logits, target, counts=counts), "
    "docs/few-positives.md"
)


@dataclass(frozen=True)
class Batches:
    """What is known of batches of one size under one classifier.

    The `mean` of the metric over those in which it is finite, as the loss has it, with its
    standard `error` (0: enumerated); `reference`, the metric at a batch's mean counts, which is
    that of all samples where it does not depend on the size. Of all batches, the shares in which
    the metric is `undefined` or `infinite`, in which the loss is `endless`, and in which it falls
    to the rule for `absent` classes.
    """

    size: int
    mean: float
    error: float
    reference: float
    undefined: float
    infinite: float
    endless: float
    absent: float

    @property
    def bias(self) -> float:
        return self.mean - self.reference

    @property
    def sure(self) -> bool:
        """Whether the bias is more than chance, and than what matters to anybody."""
        small = SMALL * max(1.0, abs(self.reference))
        return abs(self.bias) > max(ERRORS * self.error, small)

    @property
    def grave(self) -> bool:
        """Whether the bias is large, or the loss often has no mean."""
        limit = BIASED.get(self.size, float("inf")) * max(1.0, abs(self.reference))
        large = self.sure and abs(self.bias) > limit
        return large or self.endless > OFTEN.get(self.size, 1.0)

    @property
    def often(self) -> bool:
        """Whether the metric often has no value of its own."""
        return max(self.undefined + self.infinite, self.absent) > OFTEN.get(self.size, 1.0)


def findings(subject: Subject) -> list[ir.Finding]:
    """The bias of batches, and the share of those without a value."""
    if not subject.audit.depends or subject.options.target == "gbdt":
        return []  # boosting sees all samples at once
    if subject.options.per == "sample" or subject.metric.by_sample:
        fact = "each sample has a table of its own: the size of the batch does not bias their mean"
        return [ir.Finding("MC0633", "note", fact, "by construction")]
    hard = Hard(subject)
    patterns = missing(hard) if subject.metric.single else None
    found = measured(hard, patterns)
    return [_bias(hard, found), _without_value(hard, found, patterns)]


def measured(hard: Hard, patterns: Missing | None) -> dict[str, list[Batches]]:
    """Batches of all `SIZES`, by the name of the classifier."""
    metric, prevalence = hard.subject.metric, hard.subject.prevalence
    found: dict[str, list[Batches]] = {}
    for size in SIZES:
        listed = None
        if metric.single and not metric.columns and size <= ENUMERATED:
            joint, logarithms = enumerated(size)
            listed = hard.tables(joint), hard.values(hard.tables(joint), hard.absent)
        for seed, classifier in enumerate(CLASSIFIERS):
            kinds = classifier.joint(shares(metric, prevalence))
            if listed is not None:
                tables, values = listed
                weight = np.exp(logarithms + joint @ np.log(kinds))
            else:
                tables = drawn(hard, size, kinds, seed)
                values = hard.values(tables, hard.absent)
                weight = np.full(len(values), 1 / len(values))
            centre = hard.tables(size * kinds[None])
            mean, error, endless = _weighed(tables, values, weight, centre, listed is None)
            undefined, infinite = _valueless(hard, tables, weight, patterns, kinds, size)
            (reference,) = map(float, hard.values(centre))
            absent = absent_share(hard, size)
            row = Batches(size, mean, error, reference, undefined, infinite, endless, absent)
            found.setdefault(classifier.name, []).append(row)
    return found


def enumerated(size: int) -> tuple[Array, Array]:
    """All tables of a batch, and the logarithms of in how many orders each comes about."""
    a, b, c = np.indices((size + 1,) * 3, dtype=np.int64).reshape(3, -1)
    inside = a + b + c <= size
    a, b, c = a[inside], b[inside], c[inside]
    joint = np.stack([a, b, c, size - a - b - c], -1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])
    return joint.astype(np.float64), factorials[size] - factorials[joint].sum(-1)


def drawn(hard: Hard, size: int, kinds: Array, seed: int) -> Tables:
    """Tables of random batches, the same every time; what columns hold is exponential, mean 1."""
    metric = hard.subject.metric
    # The stream of RandomState is fixed for all versions of NumPy.
    random = np.random.RandomState(size + seed)
    if metric.single:
        cells = random.multinomial(size, kinds, BATCHES).astype(np.float64).T
        amounts = [random.gamma(cell) for _ in metric.columns for cell in cells]
        return (*cells, *amounts)
    if metric.task == "multiclass":
        return hard.tables(random.multinomial(size, kinds, OF_CLASSES).astype(np.float64))
    labels = random.multinomial(size, kinds, (OF_CLASSES, CLASSES)).astype(np.float64)
    return tuple(np.moveaxis(labels, -1, 0))


def absent_share(hard: Hard, size: int) -> float:
    """The share of batches with a table that lacks positives or negatives."""
    metric, prevalence = hard.subject.metric, hard.subject.prevalence
    parts = shares(metric, prevalence)
    levels = hard.subject.plan.levels
    if metric.task == "multiclass" and not {"class", "weighted"} & set(levels):
        # One table of all classes lacks something where one class alone is there.
        return float((parts**size).sum()) if "joint" in levels else 0.0
    if metric.task == "multiclass":
        return 1 - share_of([()], parts, size)
    alone = float((parts**size).sum())
    return alone if metric.single else 1 - (1 - alone) ** CLASSES


def _weighed(
    tables: Tables, values: Array, weight: Array, centre: Tables, random: bool
) -> tuple[float, float, float]:
    """The mean of the finite values, its standard error, and the share of the others.

    Of random batches, what is linear in the counts is known to have no bias, and is taken out
    before the mean is: what is left varies less, and nothing at all in a linear metric.
    """
    finite = np.isfinite(values)
    weight = weight / weight.sum()
    share = float(weight[finite].sum())
    if not share:
        return float("nan"), 0.0, 1.0
    endless = max(0.0, float(weight[~finite].sum()))
    if not random:
        return float(weight[finite] @ values[finite]) / share, 0.0, endless
    left = values[finite]
    if finite.all():
        pairs = zip(tables, centre, strict=True)
        columns = [((c - m) / (1 + m)).reshape(len(values), -1) for c, m in pairs]
        counts = np.concatenate(columns, 1)
        design = counts - counts.mean(0)
        inverse = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
        left = left - counts @ (inverse @ (design.T @ (left - left.mean())))
    return float(left.mean()), float(left.std() / np.sqrt(len(left))), endless


def _valueless(
    hard: Hard, tables: Tables, weight: Array, patterns: Missing | None, kinds: Array, size: int
) -> tuple[float, float]:
    """The shares of batches in which the metric is undefined and infinite, exact where known."""
    if patterns is not None:
        return share_of(patterns.undefined, kinds, size), share_of(patterns.infinite, kinds, size)
    undefined = hard.undefined(tables)
    infinite = ~np.isfinite(hard.values(tables)) & ~undefined
    return float(weight[undefined].sum()), float(weight[infinite].sum())


# -- in words ---------------------------------------------------------------------------------


def _bias(hard: Hard, found: dict[str, list[Batches]]) -> ir.Finding:
    """The bias under the classifier where it is the larger one."""
    worst = max(found, key=lambda name: _badness(found[name]))
    rows = found[worst]
    grave = any(b.grave for rows in found.values() for b in rows)
    setting = f"prevalence {hard.subject.prevalence:g}"
    setting += f", {hard.given}" if hard.given else ""
    biased = [b for b in rows if b.sure]
    whole = "at mean counts" if hard.scales else "of all samples"
    both = f"(an early and a good classifier; {setting})"
    setting = f"({_classifier(worst)}; {setting})"
    if any(b.endless for b in rows):
        shown = _falling([(b.size, b.endless) for b in rows])
        fact = f'batches have no mean: with absent="{hard.absent}" the metric is infinite in '
        fact += f"{shown} {setting}"
    elif not biased:
        fact = f"no bias is seen: the mean over batches of {SIZES[0]} to {SIZES[-1]} is the metric "
        fact += f"{whole} {both}"
    else:
        numbers = ", ".join(
            f"{b.bias:+.2g} at {'batches of ' if i == 0 else ''}{b.size}"
            for i, b in enumerate([b for b in biased if b.size in SHOWN] or biased[:1])
        )
        later = [b.size for b in rows if b.size > biased[-1].size]
        rest = f", none from {later[0]} on" if later else ""
        fact = f"the mean over batches differs from the metric {whole}, "
        fact += f"{biased[0].reference:.3g}: {numbers}{rest} {setting}"
    evidence = _simulated(hard)
    if not any(b.error for b in rows if b.size <= ENUMERATED) and hard.subject.metric.single:
        evidence = f"all batches up to {ENUMERATED}, {evidence} above"
    data = (*_setting(hard), *_columns(found, "reference", "mean", "error", "endless"))
    hint = HINT if grave else None
    return ir.Finding("MC0633", "warning" if grave else "note", fact, evidence, None, hint, data)


def _without_value(
    hard: Hard, found: dict[str, list[Batches]], patterns: Missing | None
) -> ir.Finding:
    """How often batches have no value, under the classifier where that is more often."""
    total = {name: sum(b.undefined + b.infinite for b in rows) for name, rows in found.items()}
    worst = max(total, key=lambda name: total[name])
    rows = found[worst]
    often = any(b.often for rows in found.values() for b in rows)
    facts = []
    for kind, words in (("undefined", "undefined"), ("infinite", "infinite")):
        sets = getattr(patterns, kind) if patterns is not None else ()
        if shown := _falling([(b.size, getattr(b, kind)) for b in rows]):
            facts.append(f"{words} in {shown}" + (f" ({in_words(sets)})" if sets else ""))
    exact = patterns is not None
    fact = "every batch has a value" if exact else "every batch drawn has a value"
    if facts:
        of = {"multiclass": " of some class", "multilabel": " of some label"}
        fact = f"under {_classifier(worst)}, "
        fact += f"the metric{of.get(hard.subject.metric.task, '')} is {'; '.join(facts)}"
    shown = _falling([(b.size, b.absent) for b in rows])
    if rows[0].absent >= RARE:
        fact += f'; absent="{hard.absent}" decides what batches {_lacking(hard)} teach: {shown}'
    fact += f" (prevalence {hard.subject.prevalence:g})"
    evidence = "exact: counts of batches are multinomial" if exact else _simulated(hard)
    data = (*_setting(hard), *_columns(found, "undefined", "infinite", "absent"))
    hint = HINT if often else None
    return ir.Finding("MC0634", "warning" if often else "note", fact, evidence, None, hint, data)


def _lacking(hard: Hard) -> str:
    """What batches lack where `absent` decides."""
    if hard.subject.metric.task == "binary":
        return "without positives or without negatives"
    if hard.subject.metric.task == "multilabel":
        return f"with one of {CLASSES} labels on no sample or on all"
    if "joint" in hard.subject.plan.levels:
        return f"of one class alone, of {CLASSES},"
    return f"without one of {CLASSES} classes"


def _badness(rows: list[Batches]) -> tuple[float, float]:
    """The share of batches that have no mean, then the largest bias."""
    return max(b.endless for b in rows), max(abs(b.bias) if b.sure else 0.0 for b in rows)


def _falling(shares: list[tuple[int, float]]) -> str:
    """Shares of batches by size, up to those where they are rare; empty where there are none."""
    if not any(share for _, share in shares):
        return ""
    shown: list[str] = []
    for size, share in shares:
        if share < RARE:
            number = "none" if not share else f"under {100 * RARE:g} %"
            shown.append(f"{number} of {size} and more" if shown else f"{number} of all batches")
            break
        if size in (32, 128, 512, 2048):
            shown.append(f"{_percent(share)} of {size if shown else f'batches of {size}'}")
    return ", ".join(shown)


def _percent(share: float) -> str:
    return f"{100 * share:.{2 if share < 0.95 else 4}g} %"


def _classifier(name: str) -> str:
    (knows,) = (c.knows for c in CLASSIFIERS if c.name == name)
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name} classifier that knows {100 * knows:g} % of labels"


def _simulated(hard: Hard) -> str:
    count = BATCHES if hard.subject.metric.single else OF_CLASSES
    return f"simulated: {count:,} batches of each size"


def _setting(hard: Hard) -> tuple[tuple[str, ir.Datum], ...]:
    knows = tuple((f"{c.name}_knows", c.knows) for c in CLASSIFIERS)
    sizes = ("sizes", tuple(map(float, SIZES)))
    return (("prevalence", hard.subject.prevalence), ("absent", hard.absent), *knows, sizes)


def _columns(
    found: dict[str, list[Batches]], *columns: str
) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    """Numbers by size, under each classifier: early_mean, good_mean; None where there is none."""
    for name, rows in found.items():
        for column in columns:
            numbers = [getattr(b, column) for b in rows]
            yield f"{name}_{column}", tuple(x if np.isfinite(x) else None for x in numbers)
