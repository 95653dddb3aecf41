"""Text → statements: cut at `;` and at newlines outside brackets, comments and records set apart.

A newline after an operator, `=` or `,` does not end a statement. Comments and the newlines inside
a statement are blanked, never removed: offsets stay those of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from metricc.errors import MAX_DIAGNOSTICS, Diagnostic, MetriccError, Span

MAX_NESTING = 50

RECORD_KEYS = ("description", "reference", "range", "direction", "aliases")

_CONTINUES = "+-*/^=,<>"
# Characters that are read as another: of one look, and without another meaning in a formula.
SAME = str.maketrans(
    {
        **dict.fromkeys("×·⋅∙∗✕", "*"),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("−–‐‑", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " "),
        # Full-width forms, as East Asian keyboards write them.
        **{chr(ord(c) + 0xFEE0): c for c in "()[]+-*/^=,;<>.0123456789"},
    }
)
_DEFINITION = re.compile(r"\s*(?:$|[A-Za-z]\w*\s*(?:\([^()]*\))?\s*=(?!=))", re.MULTILINE)
_CLOSING = {"(": ")", "[": "]"}


@dataclass(slots=True)
class Statement:
    """One statement: its place, its text with comments blanked, and what stands before it."""

    span: Span
    text: str
    comments: tuple[str, ...]
    record: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Reader:
    """A source text, the diagnostics found in it so far, and what could not be read of it."""

    source: str
    origin: str
    start: str = "start"  # what the grammar takes a statement for
    diagnostics: list[Diagnostic] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def report(self, code: str, message: str, span: Span | None, hint: str | None = None) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, hint, self.source, self.origin))
        if len(self.diagnostics) == MAX_DIAGNOSTICS:
            raise MetriccError(*self.diagnostics)

    def give_up(self, span: Span) -> None:
        """Keep the names that what cannot be read may define, or import, line by line."""
        for line in re.split("[;\n]", self.source[span.start : span.end]):
            head, equals, _ = line.partition("=")
            if equals or "import" in line.split('"')[0].split():
                self.broken.update(re.findall(r"[A-Za-z]\w*", head))


def cut(reader: Reader) -> tuple[list[Statement], tuple[str, ...]]:
    """The text's statements, and the comments after the last one."""
    source = reader.source.translate(SAME)
    statements: list[Statement] = []
    comments: list[str] = []
    record: list[tuple[str, str]] = []
    brackets: list[int] = []
    broken = False
    start = 0
    body: list[str] = []  # the current statement, comments blanked
    last = " "  # its last character that is not blank
    position = 0

    def finish(end: int) -> None:
        nonlocal start, body, broken, last
        text = "".join(body)
        if text.strip() and not broken and not brackets:
            left = start + len(text) - len(text.lstrip())
            span = Span(left, start + len(text.rstrip()))
            statements.append(Statement(span, text.strip(), tuple(comments), tuple(record)))
            comments.clear()
            record.clear()
        if brackets and not broken:
            opening = brackets[0]
            hint = f"close it with `{_CLOSING[source[opening]]}`"
            place = Span(opening, opening + 1)
            reader.report("MC0103", f"`{source[opening]}` is never closed", place, hint)
        if broken or brackets:
            reader.give_up(Span(start, end))
        brackets.clear()
        start, body, broken, last = end, [], False, " "

    while position < len(source):
        character = source[position]
        if character == "#":
            end = source.find("\n", position)
            end = len(source) if end < 0 else end
            line = reader.source[position:end]
            if line.startswith("##"):
                _record(record, line[2:])
            else:
                comments.append(line[1:].strip())
            body.append(" " * len(line))
            position = end
            continue
        if character in "([":
            brackets.append(position)
            if len(brackets) == MAX_NESTING + 1:
                place = Span(position, position + 1)
                fact = f"brackets nest deeper than {MAX_NESTING}"
                reader.report("MC0402", fact, place, "name a part of the formula in a definition")
                broken = True
        elif character in ")]":
            if brackets:
                brackets.pop()  # `(` may end in `]`: intervals do, and the grammar checks the rest
            elif not broken:
                place = Span(position, position + 1)
                fact = f"`{character}` closes a bracket that was never opened"
                reader.report("MC0103", fact, place, "remove it, or open the bracket before")
                broken = True
        if character == ";" and brackets and not _DEFINITION.match(source, position + 1):
            if not broken:
                place = Span(position, position + 1)
                fact = "`;` ends a statement, and a bracket is open"
                reader.report("MC0103", fact, place, "write `,` between arguments, or close it")
            broken = True
            character = ","
        ends = character == ";" or (character == "\n" and not brackets and last not in _CONTINUES)
        if ends:
            finish(position + 1)
        else:
            last = last if character.isspace() else character
            body.append(" " if character in "\r\n\t" else character)
        position += 1
    finish(len(source))
    trailing = [*comments, *(f"# {key}: {text}" for key, text in record)]
    return statements, tuple(trailing)


def _record(record: list[tuple[str, str]], line: str) -> None:
    """Add a `##` line: `key: text`, or more text for the key before it."""
    line = "".join(c if c.isprintable() else " " for c in line).strip()
    key, colon, text = line.partition(":")
    if colon and key.strip() in RECORD_KEYS:
        record.append((key.strip(), text.strip()))
    else:
        record.append((record[-1][0] if record else "description", line))
