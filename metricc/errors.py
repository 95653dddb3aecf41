"""Diagnostics: what is wrong with the user's input, where, and what to do about it.

`Diagnostic` is data; `MetriccError` carries one or more of them; `render` draws the source line
with a caret. `CATALOGUE` lists every code once: nothing else in the package invents one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of character offsets, `start <= end`, in one source text."""

    start: int
    end: int


MAX_DIAGNOSTICS = 50  # more of one text help nobody
MAX_SHOWN = 240  # characters of one message or hint, which may repeat a stranger's names

CATALOGUE: dict[str, str] = {
    "MC0101": "the text is not a formula of the language",
    "MC0102": "a character that the language does not have",
    "MC0103": "a bracket without its partner",
    "MC0104": "a text without a metric",
    "MC0105": "a reserved word used as a name",
    "MC0106": "a definition's head is not `name` or `name(parameter, ...)`",
    "MC0107": "a metric before the end of the text",
    "MC0201": "an unknown name",
    "MC0202": "the wrong arguments for a function or metric",
    "MC0203": "a parameter without a value",
    "MC0204": "a definition that reaches itself",
    "MC0205": "a name defined twice",
    "MC0206": "a definition that hides a cell or a function",
    "MC0207": "a parameter name that the generated file cannot use",
    "MC0208": "a definition that nothing uses",
    "MC0209": "a reduction or an element loss that this task does not have",
    "MC0210": "a default outside its own range",
    "MC0211": "an import outside a file",
    "MC0212": "a quotient that was probably meant as a rate",
    "MC0213": "a reduction inside another, or an element loss inside a reduction",
    "MC0214": "reductions that do not go together, or cells beside them",
    "MC0215": "a metric of single pairs of classes",
    "MC0216": "a column named like something that the formula or the generated file has",
    "MC0217": "a column of what counts nothing, or inside another column",
    "MC0218": "a column beside classes, samples or a reduction",
    "MC0301": "a formula that is not a real number",
    "MC0302": "a metric that does not depend on the predictions",
    "MC0303": "a metric that is neither a score nor an error rate",
    "MC0304": "an exponent that depends on the counts, or an exponential of an exponential",
    "MC0305": "a metric whose best value a constant prediction reaches",
    "MC0306": "a goal against the metric's proved direction",
    "MC0307": "sums over classes of a surrogate whose classes do not sum to 1",
    "MC0308": "a surrogate that does not rise from 0 to 1",
    "MC0401": "a text that is too long",
    "MC0402": "brackets or operations that nest too deep",
    "MC0403": "too many definitions",
    "MC0404": "a number with too many digits",
    "MC0405": "an exponent that is too large",
    "MC0406": "a formula that is too long, written out",
    "MC0407": "too many functions inside each other",
    "MC0408": "a computed number with too many digits",
    "MC0409": "too many conditions",
    "MC0410": "too many imported files",
    "MC0411": "algebra that takes too long",
    "MC0412": "too many columns",
    "MC0501": "an option with an impossible value",
    "MC0502": "a name that is not an identifier",
    "MC0503": "a file that cannot be read or written",
    "MC0504": "a file that metricc did not write, or that was edited since",
    "MC0505": "a file without a metricc record",
    "MC0506": "counts or labels that are not what they should be",
    "MC0507": "a metric that is undefined, where that was to be an error",
    "MC0508": "a package that is not installed",
    "MC0509": "a file that cannot be imported",
    "MC0510": "a constraint that no threshold meets",
    "MC0511": "a constraint that is not comparisons joined by `and`",
    "MC0512": "a table without the column, or with a cell that is none of what it should be",
    "MC0513": "a formula or option that the target has no place for",
    "MC0514": "a loss asked of an objective for boosting, or the other way round",
    "MC0515": "a folder without generated files",
    "MC0516": "a C or C++ compiler that is missing or fails",
    "MC0517": "a loss that built kernels do not cover",
}

# What an audit finds: facts about a formula that compiles.
FINDINGS: dict[str, str] = {
    "MC0601": "which way more correct predictions move the metric",
    "MC0602": "what weighs false positives, and what false negatives",
    "MC0603": "a best value that constant predictions reach",
    "MC0604": "an implied threshold at 0 or 1",
    "MC0605": "a parameter without effect",
    "MC0606": "a metric that no prediction changes",
    "MC0611": "counts at which the metric has no value",
    "MC0612": "counts near which the metric or its gradient grows without bound",
    "MC0621": "the range of the metric, and where its ends are reached",
    "MC0622": "the metric of the simplest predictions",
    "MC0623": "whether 1 - metric is a sensible loss",
    "MC0631": "dependence on the size of the batch",
    "MC0632": "dependence on the share of positives",
    "MC0633": "what batches make of the metric of all samples",
    "MC0634": "batches in which the metric has no value",
    "MC0641": "a ratio of linear functions: where the best threshold is",
    "MC0642": "a linear cost",
    "MC0651": "how far from the threshold samples still learn",
    "MC0652": "samples that do not learn at all",
    "MC0661": "intermediate results that leave what a floating-point type holds",
    "MC0662": "differences of nearly equal numbers",
    "MC0663": "the measured error of the generated code",
}

# Said, and the work goes on; all others refuse the input.
WARNINGS = frozenset({"MC0212", "MC0305", "MC0306"})


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fact about the input: a code of `CATALOGUE`, a sentence, its place and a hint.

    An error refuses the input; a warning is said and the work goes on.
    """

    code: str
    message: str
    span: Span | None = None
    hint: str | None = None
    source: str = ""
    origin: str = "<formula>"

    @property
    def severity(self) -> Literal["error", "warning"]:
        return "warning" if self.code in WARNINGS else "error"

    def position(self) -> tuple[int, int] | None:
        """Line and column, both from 1, or None for a fact without a place."""
        if self.span is None:
            return None
        before = self.source[: self.span.start]
        return before.count("\n") + 1, self.span.start - (before.rfind("\n") + 1) + 1

    def render(self) -> str:
        """The diagnostic as people read it: place, fact, source line with caret, hint."""
        place = self.position()
        warning = "warning " if self.severity == "warning" else ""
        head = f"{warning}{self.code}: {_brief(self.message)}"
        if place is None or self.span is None:
            lines = [head]
        else:
            line, column = place
            start = self.span.start - (column - 1)
            text = _printable(self.source[start:].split("\n", 1)[0])
            width = max(1, min(self.span.end - self.span.start, len(text) - column + 1, 80))
            before, after = max(0, column - 1 - 60), column - 1 + width + 40
            shown = (
                ("…" if before else "") + text[before:after] + ("…" if after < len(text) else "")
            )
            indent = column - 1 - before + (1 if before else 0)
            caret = "^" * width
            head = f"{_brief(self.origin)}:{line}:{column}: {head}"
            lines = [head, "    " + shown, "    " + " " * indent + caret]
        if self.hint:
            lines.append(f"    hint: {_brief(self.hint)}")
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """The diagnostic as plain data, for editors.

        `start` and `end` are offsets in characters; lines and columns count from 1, and the end
        is behind the last character.
        """
        place = {}
        if self.span is not None:
            ends = {"": self.span.start, "end_": self.span.end}
            for name, offset in ends.items():
                before = self.source[:offset]
                place[f"{name}line"] = before.count("\n") + 1
                place[f"{name}column"] = offset - before.rfind("\n")
            place |= {"start": self.span.start, "end": self.span.end}
        facts = {"code": self.code, "severity": self.severity, "message": self.message}
        return {**facts, "hint": self.hint, "origin": self.origin, **place}


def _brief(text: str) -> str:
    """At most `MAX_SHOWN` characters, all harmless on a terminal."""
    return _printable(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")


def _printable(text: str) -> str:
    """One source line with control and bidirectional characters made harmless, width kept."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "�" for c in text)


class MetriccError(Exception):
    """The user's input is wrong. `diagnostics` says where and what to do, in source order."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = tuple(
            sorted(
                diagnostics,
                key=lambda d: (d.origin, d.span.start if d.span is not None else -1),
            )
        )
        super().__init__("\n".join(d.render() for d in self.diagnostics))

    def __reduce__(self) -> tuple[type[MetriccError], tuple[Diagnostic, ...]]:
        return type(self), self.diagnostics


def fail(code: str, message: str, hint: str | None = None) -> MetriccError:
    """A `MetriccError` with one diagnostic that has no place in a text (options, files)."""
    return MetriccError(Diagnostic(code, message, hint=hint, origin=""))


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read or written, in words."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return getattr(error, "strerror", None) or str(error)
