"""Syntax errors in the reader's words: what was expected, and what was probably meant.

No name of the grammar's terminals is ever shown; a test holds every terminal against `_PHRASES`.
"""

from __future__ import annotations

import re
import unicodedata

from metricc.functions import FUNCTIONS, RESERVED

# Terminals of the grammar in the reader's words; several terminals may share one phrase.
_PHRASES = {
    "NUMBER": "a number",
    "NAME": "a name",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "COMMA": "`,`",
    "EQUAL": "`=`",
    "IN": "`in`",
    "INF": "`inf`",
    "OPEN": "`(` or `[`",
    "CLOSE": "`)` or `]`",
    "SIGN": "a sign",
    "PLUS": "a sign",
    "MINUS": "a sign",
    "SUM_OPERATOR": "an operator",
    "PRODUCT_OPERATOR": "an operator",
    "_POWER_OPERATOR": "an operator",
    "COMPARATOR": "a comparison",
    "AND": "`and`",
    "OR": "`or`",
    "NOT": "`not`",
    "PATH": "a path in double quotes",
    "IMPORT": "`import`",
    "IF": "`if`",
    "THEN": "`then`",
    "ELSE": "`else`",
    "$END": "the end",
}
_FUNCTION_WORDS = frozenset(FUNCTIONS)
_OPERAND = {"NUMBER", "NAME", "LPAR"}
# Where an operand may stand, all of these may, and one phrase is enough.
_WITH_OPERAND = {"a number", "a name", "`(`", "a sign", "`if`", "`not`", "`import`"}

# What is not a character of the language, and what is written in its place.
_CHARACTERS = {
    **dict.fromkeys("&∧", "conditions are joined with `and`: if a < b and c < d then x else y"),
    "∨": "conditions are joined with `or`: if a < b or c < d then x else y",
    "|": "write abs(x) for |x|, and `or` between conditions",
    **dict.fromkeys("!~¬", "write `not`, or `!=` to compare"),
    "?": "a choice is written: if a < b then x else y",
    ":": "a definition is written `name = ...`, a choice `if a < b then x else y`",
    **dict.fromkeys("\"'`“”‘’«»", "formulas hold no strings: leave the quotes out"),
    **dict.fromkeys("{}", "brackets are round: ( and )"),
    **dict.fromkeys("@", "a product is written `*`"),
    **dict.fromkeys("$\\", "LaTeX is not read: write TP/(TP + FN), sqrt(x), x^2"),
    "%": "a percentage is a division: write /100, or drop the %",
    "_": "names begin with a letter",
    "²": "write `^2`",
    "³": "write `^3`",
    "½": "write `(1/2)`",
    "√": "write `sqrt(...)`",
    "∑": "cells are sums already: write TP",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "≠": "write `!=`",
    "∞": "write `inf`",
    "—": "write `-`",
    "α": "write `alpha`",
    "β": "write `beta`",
    "γ": "write `gamma`",
    "δ": "write `delta_`",
    "κ": "write `kappa`",
    "λ": "write `lambda_`",
    "τ": "write `tau`",
    "φ": "write `phi`",
}


def expectation(expected: set[str]) -> str:
    """Terminals that could stand here, as words: "an operator, `)` or the end"."""
    # A column may stand after every name, and is seldom what is missing.
    shown = expected - {"LSQB"} or expected
    phrases = sorted({_PHRASES[name] for name in shown})
    if expected >= _OPERAND:
        phrases = [p for p in phrases if p not in _WITH_OPERAND]
        phrases.insert(0, "a number, a name or `(`")
    if not phrases:
        return "nothing more"
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} or {phrases[-1]}"


def character_hint(character: str, before: str, after: str) -> str:
    """What to do about a character that the language does not have."""
    if character == "." and re.search(r"\w$", before) and re.match(r"\w", after):
        return "names have no prefix and no attribute: sqrt(TP), never math.sqrt(TP) or TP.sum()"
    if character in "!" and after.startswith("="):
        return "a comparison stands in a condition: if a != b then 1 else 0"
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    if not character.isascii() and (name := unicodedata.name(character, "")):
        return f"this is {name}: type an ASCII character"
    return "formulas are made of numbers, names, + - * / ^ ( ) , and ="


def token_hint(kind: str, token: str, expected: set[str], before: str) -> str | None:
    """What was probably meant by a token that is out of place; `before` is the text up to it."""
    if token == "[" and "PRODUCT_OPERATOR" in expected:
        return "a column stands after a name or a call: hits = TP + FN; hits[amount]"
    if re.search(r"[\w)\]]\s*\[\s*$", before) and expected == {"NAME"}:
        return "a column of weights is named in the brackets: TP[amount]"
    if kind == "COMMA" and expected == {"RSQB"}:
        return "one column at a time: TP[amount] + TP[price]"
    if kind == "COMMA":
        if re.search(r"(?<!\w)\d+$", before):
            return "a decimal is written with a point, 0.5, and thousands without a sign: 1000"
        return "commas stand between arguments, in brackets"
    if kind == "COMPARATOR" and re.search(r"\bif\b[^()]*[<>=]", before):
        return "two comparisons are joined: if a < b and b < c then x else y"
    if kind == "COMPARATOR":
        return f"a comparison stands in a condition: if a {token} b then 1 else 0"
    if kind in ("IF", "THEN", "ELSE", "AND", "OR", "NOT"):
        return "a choice is written: if a < b and c < d then x else y, in brackets inside a formula"
    if re.search(r"(?:^|[\s(*/+-])if$", before.rstrip()) and kind != "EQUAL":
        return "inside a formula a choice stands in brackets: 1 - (if a < b then x else y)"
    if kind == "EQUAL" and "COMPARATOR" in expected:
        return "`=` defines a name; write `==`, `<=` or `>=` to compare"
    if kind == "INF" and "COMMA" in expected:
        return "the bounds of a range are separated by `,`: (0, inf)"
    if kind == "EQUAL":
        return "`=` defines a name at the start of a statement: name = ... or name(beta = 1) = ..."
    if kind == "PRODUCT_OPERATOR" and token == "/" and before.endswith("/"):
        return "a quotient is written with one `/`"
    if kind in _OPERAND and "PRODUCT_OPERATOR" in expected:
        if re.search(r"(?:^|\n)\s*(?:lambda|def|return|from|import|let|var)\s$", before):
            return "a text is made of formulas alone: name = ... or name(beta = 1) = ..."
        last = re.search(r"(\w*)\W*$", before)
        if last is not None and last[1] in _FUNCTION_WORDS:
            return f"functions are called with brackets: {last[1]}({token})"
        bracketed = "(a + b)" if before.rstrip().endswith(")") else last[1] if last else "2"
        product = f"{bracketed}*{'(c + d)' if kind == 'LPAR' else token}"
        return f"is a `*` missing here? products are written out: {product}"
    return f"`{token}` is a reserved word" if token in RESERVED else None
