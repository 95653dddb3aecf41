"""The module metricc/tables.py: Lark's tables of the grammar, so that no command builds them.

python docs/tables/grammar.py > metricc/tables.py
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from metricc.parse import build, digest

GRAMMAR = Path(__file__).parents[2] / "grammar" / "metric.lark"
HEAD = '''"""Lark's tables of the grammar. Made by docs/tables/grammar.py; not to be edited.

They are used where grammar and Lark are those that they were made of (`parse.py`).
"""

# fmt: off
from typing import Any

'''


def main() -> None:
    text = GRAMMAR.read_text(encoding="utf-8")
    data, memo = build(text).memo_serialize([TerminalDef, Rule])
    print(HEAD, end="")
    print(f'DIGEST = "{digest(text)}"')
    print(f'LARK = "{lark.__version__}"')
    for name, value in (("DATA", data), ("MEMO", memo)):
        lines = textwrap.wrap(repr(value), 98, break_long_words=False, break_on_hyphens=False)
        print("\n".join([f"{name}: dict[Any, Any] = (", *lines, ")"]))


if __name__ == "__main__":
    main()
