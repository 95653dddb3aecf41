"""Single faults of a generated file, for `mutation.py`: each is one small edit of its code.

`sites` lists every fault that the kinds below make, in the order of the file. Left alone are
docstrings, the record, imports, `__all__`, annotations, the words of messages and `extra_repr`,
which change no result; and what runs on a GPU alone (Triton's kernels and what launches them) or
with a built kernel alone (`_built`, `_by_kernel`), which a verification does not run where there is
none. A fault whose compiled code is the original's is none.
"""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = {
    "sign": "+ and - exchanged, a minus dropped, a result negated",
    "operator": "* and /, & and |, and and or, min and max, all and any exchanged",
    "constant": "a number or truth value is another",
    "exponent": "a power is another",
    "names swapped": "two arguments, or two parts of a tuple, change places; another name",
    "dropped term": "a summand, a factor or a condition is missing",
    "comparison": "< for <=, == for !=, `is None` for `is not None`",
    "branch": "one side of a condition is always taken",
    "upstream gradient": "the gradient from above is not multiplied in",
    "reduction": "mean for sum, max for min, along another dimension",
    "weight": "a weight is not used",
    "mask": "a mask, or what is ignored, is not looked at",
    "all-reduce": "counts are not summed over ranks",
    "ranks' factor": "the gradient is not multiplied by the number of ranks",
    "block boundary": "a slice or a step is off by one",
    "guard": "a clamp or a check of arguments is missing",
    "dtype": "another precision, or a conversion is missing",
    "policy": "the rule for absent classes is another, or not passed on",
    "path": "what decides between the code for a CPU and the traced code is wrong",
    "statement": "a statement is missing",
    "default": "an argument has another default",
}
ON_GPU = ("gpu", "triton", "_most_programs", "_workspace", "_strides")
WORDS = ("extra_repr", "__repr__", "_built", "_by_kernel")
SWAPPED_NAMES = {
    "sum": "mean",
    "mean": "sum",
    "amin": "amax",
    "amax": "amin",
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "all": "any",
    "any": "all",
    "argmax": "argmin",
    "prod": "sum",
}
REDUCES = ("sum", "mean", "amin", "amax", "prod", "argmax", "dot")
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
POLICIES = ("diagonal", "skip", "zero")
UPSTREAM = ("grad_loss", "scale")
WEIGHTS = ("weight", "v", "sample_weight", "share", "class_weight")
MASKS = ("mask", "keep", "ignored", "kept", "ignore_index")
CONVERSIONS = ("to", "_as", "_narrow", "_tensor", "float", "double", "asarray", "astype")
CLAMPS = ("clamp", "clip", "nan_to_num", "maximum", "minimum", "masked_fill")
PATHS = ("_at_once", "is_grad_enabled", "is_compiling")


@dataclass(frozen=True)
class Mutant:
    """One fault: `text` is the whole file with it; `line` counts from 1."""

    kind: str
    function: str
    line: int
    before: str
    after: str
    text: str


@dataclass(frozen=True)
class Site:
    """Where a fault is and what stands there then."""

    kind: str
    function: str
    node: ast.expr | ast.stmt
    after: str


@functools.lru_cache(64)
def sites(text: str) -> list[Site]:
    """Every place of a generated text and what may stand there, in a fixed order."""
    found, seen = [], set()
    for site in _sites(ast.parse(text)):
        key = (site.node.lineno, site.node.col_offset, site.node.end_col_offset, site.after)
        if key not in seen:
            seen.add(key)
            found.append(site)
    return found


def mutant(text: str, site: Site) -> Mutant | None:
    """The text with that fault; None where it is no Python or compiles to the same code."""
    starts, node, whole = [0], site.node, text.encode()
    for line in whole.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    assert node.end_lineno is not None and node.end_col_offset is not None
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[node.end_lineno - 1] + node.end_col_offset
    changed = (whole[:begin] + site.after.encode() + whole[end:]).decode()
    compiled = _compiled(changed)
    if compiled is None or compiled == _compiled(text):
        return None
    before, after = (" ".join(x.split()) for x in (whole[begin:end].decode(), site.after))
    return Mutant(site.kind, site.function, node.lineno, before, after, changed)


@functools.cache
def _compiled(text: str) -> str | None:
    """The code of a text as compared: its tree after constants are folded."""
    try:
        code = compile(text, "file", "exec", optimize=2)
    except (SyntaxError, ValueError):
        return None
    return repr(_parts(code))


def _parts(code: object) -> object:
    if not hasattr(code, "co_code"):
        return (type(code).__name__, repr(code))
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, [_parts(c) for c in code.co_consts], names, code.co_flags)  # type: ignore[attr-defined]


def _sites(tree: ast.Module) -> Iterator[Site]:
    """Every place and what stands there instead."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef():
                yield from _function(statement, statement.name)
            case ast.ClassDef():
                for inner in statement.body:
                    if isinstance(inner, ast.FunctionDef) and "Triton" not in statement.name:
                        yield from _function(inner, f"{statement.name}.{inner.name}")
            case ast.Assign(targets=[ast.Name(id=name)]) if name in ("_TINY", "_HUGE", "_FLOOR"):
                yield from _expressions(statement.value, name)


def _function(node: ast.FunctionDef, name: str) -> Iterator[Site]:
    last = name.rsplit(".", 1)[-1].lower()
    if last in WORDS or any(mark in last for mark in ON_GPU):
        return
    for default in (*node.args.defaults, *node.args.kw_defaults):
        if default is not None:
            for after in _values(default):
                yield Site("default", name, default, after)
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    for statement in body:
        yield from _statement(statement, name)


def _values(node: ast.expr) -> Iterator[str]:
    """Other values of a constant."""
    value = node.value if isinstance(node, ast.Constant) else ...
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int):
        yield repr(value + 1)
        if value:
            yield repr(value - 1)
    elif isinstance(value, float):
        yield repr(value * 1.5 if value else 0.5)
    elif value in POLICIES:
        for other in POLICIES:
            if other != value:
                yield repr(other)


def _statement(node: ast.stmt, name: str) -> Iterator[Site]:
    match node:
        case ast.Raise() | ast.FunctionDef() | ast.Pass() | ast.Import() | ast.ImportFrom():
            if isinstance(node, ast.FunctionDef):
                yield from _function(node, f"{name}.{node.name}")
            return
        case ast.Expr(value=ast.Call()):
            kind = "statement"
            called = _called(node.value)  # type: ignore[arg-type]
            if called in ("_require", "_policy", "_fit"):
                kind = "guard"
            elif called == "all_reduce":
                kind = "all-reduce"
            if called not in ("super", "__init__"):
                yield Site(kind, name, node, "pass")
        case ast.AugAssign():
            yield Site("statement", name, node, "pass")
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield Site("statement", name, node, "pass")
    match node:
        case ast.Return(value=ast.expr() as value):
            if isinstance(value, (ast.Name, ast.BinOp, ast.Call)) and not _wordy(value):
                yield Site("sign", name, value, f"-({_flat(value)})")
        case ast.If():
            only_raises = all(isinstance(x, ast.Raise) for x in node.body)
            kind = "guard" if only_raises else "branch"
            if isinstance(node.test, ast.Compare) and not only_raises:
                tested = _names(node.test)
                kind = "weight" if tested & {*WEIGHTS} else kind
                kind = "mask" if tested & {*MASKS} else kind
                kind = "all-reduce" if tested & {"group", "ranks"} else kind
                kind = "policy" if tested & {"absent"} else kind
            yield Site(kind, name, node.test, "False")
            if not only_raises:
                yield Site("branch", name, node.test, "True")
            yield from _expressions(node.test, name)
            for statement in (*node.body, *node.orelse):
                yield from _statement(statement, name)
            return
        case ast.For() | ast.While() | ast.With() | ast.Try():
            inner: list[ast.stmt] = [*node.body]
            if isinstance(node, ast.For):
                yield from _expressions(node.iter, name)
                inner += node.orelse
            elif isinstance(node, ast.While):
                yield from _expressions(node.test, name)
            elif isinstance(node, ast.Try):
                inner += [s for handler in node.handlers for s in handler.body]
            for statement in inner:
                yield from _statement(statement, name)
            return
    for value in _expressions_of(node):
        yield from _expressions(value, name)


def _expressions_of(node: ast.stmt) -> Iterator[ast.expr]:
    """The expressions that a plain statement evaluates."""
    match node:
        case ast.Return(value=ast.expr() as value) | ast.Expr(value=value):
            yield value
        case ast.Assign():
            for target in node.targets:
                if isinstance(target, ast.Subscript):
                    yield target.slice
            yield node.value
        case ast.AugAssign() | ast.AnnAssign(value=ast.expr()):
            assert node.value is not None
            yield node.value
        case ast.Assert():
            yield node.test


def _expressions(node: ast.expr, name: str) -> Iterator[Site]:
    """The faults of an expression and of its parts; text and its parts are words."""
    if _wordy(node):
        return
    for kind, after in _faults(node):
        yield Site(kind, name, node, after)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _expressions(child, name)
        elif isinstance(child, ast.keyword):
            yield from _keyword(child, name)
        elif isinstance(child, ast.comprehension):
            yield from _expressions(child.iter, name)
            for test in child.ifs:
                yield from _expressions(test, name)


def _keyword(node: ast.keyword, name: str) -> Iterator[Site]:
    value = node.value
    plain = isinstance(value, (ast.Name, ast.Attribute))
    named = node.arg or ""
    if plain and named in WEIGHTS:
        yield Site("weight", name, value, "None")
    elif plain and named in MASKS:
        yield Site("mask", name, value, "None")
    elif plain and named in ("absent", "smooth"):
        yield Site("policy", name, value, "'zero'" if named == "absent" else "0.0")
    elif plain and named in ("group", "process_group"):
        yield Site("all-reduce", name, value, "None")
    if named == "dtype":
        yield from (Site("dtype", name, value, a) for a in _other_dtypes(value))
    yield from _expressions(value, name)


def _other_dtypes(node: ast.expr) -> Iterator[str]:
    told = ast.unparse(node)
    if told == "torch.float64":
        yield "torch.float32"
    elif told == "torch.float32":
        yield "torch.float64"
    elif told.startswith("_dtype("):
        yield told.replace("_dtype", "_wide", 1)
    elif told.startswith("_wide("):
        yield told.replace("_wide", "_dtype", 1)


def _faults(node: ast.expr) -> Iterator[tuple[str, str]]:
    match node:
        case ast.BinOp():
            yield from _binary(node)
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", _atom(node.operand)
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            yield "comparison", _atom(node.operand)
        case ast.BoolOp():
            joint = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "operator", _put(node, op=joint)
            for i in range(len(node.values)):
                rest = node.values[:i] + node.values[i + 1 :]
                kind = "mask" if _names(node.values[i]) & {*MASKS} else "dropped term"
                yield kind, _put(node, values=rest) if len(rest) > 1 else _atom(rest[0])
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for other in COMPARED[type(op)]:
                    ops = [*node.ops]
                    ops[i] = other()
                    yield "comparison", _put(node, ops=ops)
        case ast.IfExp():
            tested = _names(node.test)
            kind = "branch"
            kind = "weight" if tested & {*WEIGHTS} else kind
            kind = "mask" if tested & {*MASKS} else kind
            kind = "policy" if tested & {"absent"} else kind
            kind = "all-reduce" if tested & {"ranks", "group"} else kind
            yield kind, _atom(node.body)
            yield kind, _atom(node.orelse)
        case ast.Constant():
            number = isinstance(node.value, (int, float))
            kind = "constant" if number else "policy"
            yield from ((kind, f"({a})" if a[0] == "-" else a) for a in _values(node))
        case ast.Call():
            yield from _call(node)
        case ast.Attribute(value=ast.Name(id="torch"), attr="float64" | "float32"):
            yield "dtype", "torch.float32" if node.attr == "float64" else "torch.float64"
        case ast.Attribute(value=ast.Name(id="np"), attr="float64"):
            yield "dtype", "np.float32"
        case ast.Tuple(ctx=ast.Load()) if len(node.elts) > 1:
            yield from _swaps(node)
        case ast.Slice():
            for part in ("lower", "upper"):
                bound = getattr(node, part)
                if bound is not None:
                    yield "block boundary", _put(node, **{part: _plus(bound, 1)})
                    yield "block boundary", _put(node, **{part: _plus(bound, -1)})
        case ast.Name(ctx=ast.Load()) if node.id in ("_dtype", "_wide"):
            yield "dtype", "_wide" if node.id == "_dtype" else "_dtype"


def _binary(node: ast.BinOp) -> Iterator[tuple[str, str]]:
    left, right = node.left, node.right
    match node.op:
        case ast.Add() | ast.Sub():
            other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield "sign", _put(node, op=other)
            yield "dropped term", _atom(left)
            if isinstance(node.op, ast.Add):
                yield "dropped term", _atom(right)
        case ast.Pow():
            for step in (1, -1):
                yield "exponent", _put(node, right=_plus(right, step))
        case ast.BitAnd():
            for kept, lost in ((left, right), (right, left)):
                kind = "mask" if _names(lost) & {*MASKS} else "dropped term"
                yield kind, _atom(kept)
        case ast.BitOr():
            yield "dropped term", _atom(left)
            yield "dropped term", _atom(right)
        case ast.Mult():
            for kept, lost in ((left, right), (right, left)):
                names = _names(lost)
                kind = "dropped term"
                kind = "weight" if names & {*WEIGHTS} else kind
                kind = "upstream gradient" if names & {*UPSTREAM} else kind
                kind = "ranks' factor" if "_size" in names else kind
                yield kind, _atom(kept)
        case ast.Div():
            yield "dropped term", _atom(left)
    if type(node.op) in OPERATORS:
        yield "operator", _put(node, op=OPERATORS[type(node.op)]())
    if isinstance(node.op, (ast.Sub, ast.Div)):
        yield "names swapped", _put(node, left=right, right=left)


def _call(node: ast.Call) -> Iterator[tuple[str, str]]:
    called, args = _called(node), node.args
    of = node.func.value if isinstance(node.func, ast.Attribute) else None
    method = of is not None and not (isinstance(of, ast.Name) and of.id in ("torch", "np", "math"))
    names = [a for a in args if not isinstance(a, ast.Starred)]
    if len(names) == len(args) > 1:
        for i in range(len(args) - 1):
            if ast.dump(args[i]) != ast.dump(args[i + 1]):
                order = [*args[:i], args[i + 1], args[i], *args[i + 2 :]]
                yield "names swapped", _put(node, args=order)
    for i, argument in enumerate(args):
        named = argument.id if isinstance(argument, ast.Name) else ""
        named = argument.attr if isinstance(argument, ast.Attribute) else named
        kind = {"absent": "policy", "process_group": "all-reduce", "ranks": "all-reduce"}.get(named)
        kind = "weight" if named in WEIGHTS else "mask" if named in MASKS else kind
        if kind is not None and called not in ("isinstance", "tuple", "float", "len", "append"):
            other = ast.Constant("zero" if kind == "policy" else None)
            yield kind, _put(node, args=[*args[:i], other, *args[i + 1 :]])
    if called == "_over_ranks":
        yield "all-reduce", _atom(args[0])
    if called == "_size" and args:
        yield "ranks' factor", "1"
    if called in PATHS:
        yield "path", "True"
        yield "path", "False"
    if called in SWAPPED_NAMES:
        kind = "reduction" if called in REDUCES else "operator"
        yield kind, _put(node, func=_renamed(node.func, SWAPPED_NAMES[called]))
    if called in REDUCES:
        for i, argument in enumerate(args):
            if isinstance(argument, ast.Constant) and isinstance(argument.value, int):
                other = ast.Constant(0 if argument.value else -1)
                yield "reduction", _put(node, args=[*args[:i], other, *args[i + 1 :]])
    if called == "dot" and len(args) == 2:
        yield "reduction", f"({_flat(args[0])} * {_flat(args[1])}).mean()"
    if called in CLAMPS and of is not None and method:
        yield "guard", _atom(of)
        if called == "clamp" and node.keywords:
            other_name = {"min": "max", "max": "min"}
            words = [
                ast.keyword(other_name.get(k.arg or "", k.arg), k.value) for k in node.keywords
            ]
            yield "guard", _put(node, keywords=words)
    if called in ("min", "max") and len(args) == 2:
        yield "guard", _atom(args[0])
        yield "guard", _atom(args[1])
    if called in CONVERSIONS and not node.keywords:
        if method and of is not None and args:
            yield "dtype", _atom(of)
        elif not method and len(args) == 2:
            yield "dtype", _atom(args[0])
    if called in ("mul_", "add_", "neg_", "sigmoid_", "sub_", "div_") and of is not None:
        yield "dropped term", _atom(of)
        if called in ("mul_", "div_"):
            other_call = {"mul_": "div_", "div_": "mul_"}[called]
            yield "operator", _put(node, func=_renamed(node.func, other_call))
    if called in ("sigmoid", "exp", "log", "sqrt", "neg", "abs", "detach", "log1p", "expm1"):
        value = of if method else args[0] if args else None
        if value is not None:
            yield "dropped term", _atom(value)
    if called == "where" and len(args) == 3:
        kind = "mask" if _names(args[0]) & {*MASKS} else "guard"
        yield kind, _atom(args[1])
        yield kind, _atom(args[2])
    if called == "range" and args:
        for step in (1, -1):
            last = [*args[:-1], _plus(args[-1], step)]
            yield "block boundary", _put(node, args=last)
    if called == "lerp" and len(args) == 3:
        yield "dropped term", _put(node, args=[args[1], args[1], args[2]])


def _swaps(node: ast.Tuple) -> Iterator[tuple[str, str]]:
    for i in range(len(node.elts) - 1):
        one, two = node.elts[i : i + 2]
        plain = not isinstance(one, ast.Starred) and not isinstance(two, ast.Starred)
        if plain and ast.dump(one) != ast.dump(two):
            yield "names swapped", _put(node, elts=[*node.elts[:i], two, one, *node.elts[i + 2 :]])


# -- text of expressions --------------------------------------------------------------------------


def _called(node: ast.Call) -> str:
    func = node.func
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _renamed(func: ast.expr, name: str) -> ast.expr:
    return ast.Attribute(func.value, name) if isinstance(func, ast.Attribute) else ast.Name(name)


def _names(node: ast.expr) -> set[str]:
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name)} | {
        x.attr for x in ast.walk(node) if isinstance(x, ast.Attribute)
    }


def _put(node: ast.expr, **changes: object) -> str:
    """The node with other parts, as text that fits where it stands."""
    made = copy.copy(node)
    for name, value in changes.items():
        setattr(made, name, value)
    return _atom(made)


def _atom(node: ast.expr) -> str:
    told = _flat(node)
    simple = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Slice, ast.List)
    return told if isinstance(node, simple) else f"({told})"


def _flat(node: ast.expr) -> str:
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))


def _plus(node: ast.expr, step: int) -> ast.expr:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return ast.Constant(node.value + step)
    return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), ast.Constant(abs(step)))


def _wordy(node: ast.expr) -> bool:
    """Whether it makes text."""
    if isinstance(node, ast.JoinedStr):
        return True
    text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return text and node.value not in POLICIES  # type: ignore[union-attr]
