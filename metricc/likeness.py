"""What a Python text says, whatever its layout: its code, and its comments and docstrings.

Formatters change quotes, brackets, line breaks, commas and the order of imports; none of that is
in the digests here, which are the same under every version of Python. Nothing is executed.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator
from typing import Any

NAME = "METRICC"  # the statement that is left out: it holds the digests
TRAILING = " fmt: skip  # noqa: E501"  # the comment behind it
_SILENT = frozenset({"kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def tree(text: str) -> ast.Module | None:
    """The text's syntax tree, or None where it is no Python."""
    try:
        return ast.parse(text.removeprefix("\ufeff"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def record_of(module: ast.Module) -> ast.Assign | None:
    """The first statement METRICC = {...}."""
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            (target, *others) = node.targets
            if not others and isinstance(target, ast.Name) and target.id == NAME:
                return node
    return None


def code(text: str) -> str | None:
    """The digest of the code, without docstrings; None where the text is no Python."""
    module = tree(text)
    if module is None:
        return None
    own = record_of(module)
    statements = [node for node in _without_docstring(module.body) if node is not own]
    try:
        return sha256(ascii(_sorted_imports([*map(_plain, statements)])))
    except (ValueError, RecursionError, MemoryError):
        return None


def words(text: str) -> str | None:
    """The digest of comments and docstrings, white space aside; None where it is no Python.

    The comment that metricc puts behind its record is left out.
    """
    module = tree(text)
    if module is None:
        return None
    own = record_of(module)
    lines = range(own.lineno, (own.end_lineno or own.lineno) + 1) if own is not None else range(0)
    try:
        found = sorted(_comments(text.removeprefix("\ufeff"), lines))
        return sha256(ascii([found, [*_docstrings(module)]]))
    except (tokenize.TokenError, SyntaxError, RecursionError):
        return None


def _comments(text: str, besides: range) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        words = _squeezed(token.string.lstrip("#"))
        if words != _squeezed(TRAILING) or token.start[0] not in besides:
            yield words


def _docstrings(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, _DOCUMENTED):
            yield _squeezed(ast.get_docstring(node, clean=False) or "")


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return body[1:] if isinstance(first.value.value, str) else body
    return body


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples, without what is empty or differs between Pythons."""
    if isinstance(node, list):
        return tuple(_plain(one) for one in node)
    if not isinstance(node, ast.AST):
        return node
    fields = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _DOCUMENTED):
            value = _without_docstring(node.body)
        constant = isinstance(node, ast.Constant) and name == "value"
        if name not in _SILENT and (constant or value not in (None, [])):
            fields.append((name, _plain(value)))
    return type(node).__name__, tuple(fields)


def _sorted_imports(statements: list[Any]) -> list[Any]:
    """The statements with each run of imports as a sorted list of the names they bring."""
    found: list[Any] = []
    run: list[Any] = []
    for kind, fields in statements:
        if kind in ("Import", "ImportFrom"):
            known = dict(fields)
            source = (known.get("module", ""), known.get("level", 0))
            run += [(kind, source, name) for name in known["names"]]
            continue
        found += [*sorted(run), (kind, fields)]
        run = []
    return [*found, *sorted(run)]
