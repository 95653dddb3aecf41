"""The built kernel of a generated file: its C, compiled into `__pycache__` beside it.

Nothing is built but on request, and the file is not executed: its record says what it computes. It
finds the kernel by the sha256 of its own bytes, and only on the kind of machine that built it.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metricc.emit import c, c_kernel, c_node
from metricc.errors import MetriccError, fail, reason
from metricc.save import record
from metricc.version import __version__

COMPILERS = {"CC": ("cc", "gcc", "clang"), "CXX": ("c++", "g++", "clang++")}  # without $CC, $CXX
SECONDS = {"CC": 120, "CXX": 600}  # that a compiler may take
# Without any of -ffast-math: infinite and NaN logits keep their meaning, and loading the library
# does not change how the whole process rounds.
FAST = ("-march=native", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math")
PLAIN = ("-O3", "-std=gnu99", "-ffp-contract=fast", "-fPIC", "-shared")
HOOK = "def _built("  # what looks for a kernel in a generated file

_TRIAL = """
import ctypes, sys
number, library = ctypes.c_double, ctypes.CDLL(sys.argv[1])
{trial}
"""
_NODE_TRIAL = """
import sys, importlib.machinery, importlib.util
import torch
loader = importlib.machinery.ExtensionFileLoader("metricc_node", sys.argv[1])
spec = importlib.util.spec_from_file_location("metricc_node", sys.argv[1], loader=loader)
loader.exec_module(importlib.util.module_from_spec(spec))
"""


@dataclass(frozen=True)
class Built:
    """A kernel's library, that of its node (or None), and those of both that are new."""

    library: Path
    node: Path | None
    new: tuple[Path, ...]


def build(path: Path, *, node: bool = False, force: bool = False) -> Built:
    """Compile the kernel of the generated file at `path`, unless it is there already.

    `node` also compiles an autograd node in C++, which serves all kernels of a folder, for the
    torch that is installed; `force` compiles anew. Raises `MetriccError`: MC0503 where the file
    cannot be read or its folder not be written, MC0505 where metricc did not write it, MC0516
    without a compiler that works, MC0517 for a loss that the C does not cover.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        fact = f"cannot read {path}: {reason(error)}"
        raise fail("MC0503", fact, "give a generated file") from None
    options = _options(path, text)
    code = c.render(options, __version__)
    stem = f"{path.stem}.{_sha256(data)[:16]}"
    marks = {"LIBRARY": f"{stem}.{_sha256(code.encode())[:8]}"}
    marks["NODE"] = f"{c_node.NAME}.{_sha256(c_node.TEXT.encode())[:8]}"
    module = inspect.getsource(c_kernel)
    for name, mark in marks.items():
        module = module.replace(f'{name} = ""', f"{name} = {mark!a}", 1)
    for name, holds in (
        ("CLASSES", options["task"] != "binary"),
        ("LABELS", options["task"] == "multiclass"),
    ):
        module = module.replace(f"{name} = False", f"{name} = {holds}", 1)

    def of_size(library: Path) -> str:
        size = library.stat().st_size if library.exists() else 0
        return module.replace("SIZE = 0", f"SIZE = {size}", 1)

    folder = path.parent / "__pycache__"
    library = folder / f"{marks['LIBRARY']}.{c_kernel.machine()}.so"
    found = folder / f"{stem}.py"
    new = []
    try:
        there = library.exists() and _holds(found, of_size(library))
        trial = _TRIAL.format(trial=c.trial(options))
        if force or not there or _fails(library, trial):
            compiler = _compiler("CC")
            folder.mkdir(exist_ok=True)
            _clear(folder, path.stem, stem)
            with _room(folder) as room:
                source, made = room / f"{marks['LIBRARY']}.c", room / library.name
                source.write_text(code, encoding="utf-8", newline="\n")
                _compile("CC", compiler, _commands(source, made))
                _try(made, trial, "CC")
                loader = room / found.name
                loader.write_text(of_size(made), encoding="utf-8", newline="\n")
                source.replace(folder / source.name)
                made.replace(library)
                loader.replace(found)  # last: who finds it finds the library
            new.append(library)
        wanted = node and options["task"] == "binary"  # others have no use for it
        extension = _node(folder, marks["NODE"], force, new) if wanted else None
    except OSError as error:
        fact = f"cannot write {error.filename or folder}: {reason(error)}"
        raise fail("MC0503", fact, "check that the folder can be written") from None
    return Built(library, extension, tuple(new))


def _node(folder: Path, mark: str, force: bool, new: list[Path]) -> Path:
    """The C++ node in the folder, compiled unless it is there already."""
    try:
        import torch
    except ImportError:
        raise fail("MC0508", "torch is not installed", "pip install torch") from None
    path = folder / f"{mark}.{c_kernel.torch_and_python(torch)}.so"
    if path.exists() and not force:
        return path
    try:
        return _made_node(folder, mark, path, torch, new)
    except MetriccError as error:
        start = "its kernel is there, without the node; "
        told = (replace(d, hint=f"{start}{d.hint}") for d in error.diagnostics)
        raise MetriccError(*told) from None


def _made_node(folder: Path, mark: str, path: Path, torch: Any, new: list[Path]) -> Path:
    """The node, compiled."""
    compiler = _compiler("CXX")
    with _room(folder) as room:
        source, made = room / f"{mark}.cpp", room / path.name
        source.write_text(c_node.TEXT, encoding="utf-8", newline="\n")
        _compile("CXX", compiler, _node_commands(torch, source, made))
        _try(made, _NODE_TRIAL, "CXX")
        made.replace(path)
    new.append(path)
    return path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _room(folder: Path) -> Iterator[Path]:
    """A folder of one build inside `folder`: what is moved from there appears whole."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".metricc-") as room:
        yield Path(room)


def _options(path: Path, text: str) -> dict[str, Any]:
    """The options that a generated text was made with. Raises `MetriccError` if C has none."""
    found = record(text)
    options, forms = (found or {}).get("options"), (found or {}).get("forms")
    if not isinstance(options, dict) or not isinstance(forms, dict):
        hint = "give a file that `metricc compile` wrote"
        raise fail("MC0505", f"{path} has no METRICC record", hint)
    what = c.uncovered(options, forms)
    if not what and HOOK not in text:
        what = "this file, which does not look for a kernel"
    if what:
        fact = f"built kernels do not cover {what}"
        raise fail("MC0517", fact, f"the file works without one; covered are {c.COVERED}")
    return options


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except OSError:
        return False


def _compiler(variable: str) -> list[str]:
    """The command of a C or C++ compiler."""
    named = shlex.split(os.environ.get(variable, ""))
    for command in [named] if named else [[name] for name in COMPILERS[variable]]:
        if shutil.which(command[0]):
            return command
    language = "C" if variable == "CC" else "C++"
    told = f"the {language} compiler of {variable}, {named[0]}, is" if named else ""
    told = told or f"a {language} compiler ({', '.join(COMPILERS[variable])}) is"
    hint = f"install gcc or clang, or set {variable} to a command; the file works without"
    raise fail("MC0516", f"{told} not on the path", hint)


def _commands(source: Path, library: Path) -> list[list[str]]:
    """Arguments to try in turn, the fastest code first."""
    native = FAST if sys.platform == "linux" else FAST[1:]
    ends = [str(source), "-o", str(library), "-lm"]
    return [[*PLAIN, *native, *ends], [*PLAIN, *ends]]


def _node_commands(torch: Any, source: Path, library: Path) -> list[list[str]]:
    home = Path(torch.__file__).parent
    headers = [home / "include", home / "include" / "torch" / "csrc" / "api" / "include"]
    headers.append(Path(sysconfig.get_path("include")))
    options = ["-O2", "-fPIC", "-shared", *(f"-I{path}" for path in headers)]
    options.append(f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}")
    if sys.platform == "darwin":
        options += ["-undefined", "dynamic_lookup"]
    ends = [str(source), "-o", str(library), f"-L{home / 'lib'}"]
    ends += ["-lc10", "-ltorch_cpu", "-ltorch_python"]
    return [[*options, f"-std=c++{year}", *ends] for year in ("20", "17")]


def _compile(variable: str, compiler: list[str], tries: list[list[str]]) -> None:
    """Run the first command that works. Raises `MetriccError` (MC0516) where none does."""
    told = ""
    for arguments in tries:
        command = [*compiler, *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS[variable]
            )
        except subprocess.TimeoutExpired:
            told = f"it took more than {SECONDS[variable]} s"
            break
        except OSError as error:
            told = reason(error)
            break
        if done.returncode == 0:
            return
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        wrong = [line for line in lines if "error" in line.lower()]
        told = told or [*wrong, *lines, "no message"][0]
    hint = f"set {variable} to another compiler; the file works without"
    raise fail("MC0516", f"{shlex.join(compiler)} failed: {told}", hint)


def _try(library: Path, trial: str, variable: str) -> None:
    """Raise `MetriccError` (MC0516) for a library that does not run."""
    if told := _fails(library, trial):
        hint = f"set {variable} to another compiler; the file works without"
        raise fail("MC0516", f"what was compiled does not run here: {told}", hint)


def _fails(library: Path, trial: str) -> str:
    """What goes wrong with a library in another process: a wrong instruction ends it."""
    command = [sys.executable, "-c", trial, str(library.resolve())]
    try:  # not in the user's folder, whose files would be imported
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=library.parent
        )
    except subprocess.TimeoutExpired:
        return "it runs for more than 60 s"
    except OSError as error:
        return f"cannot run {sys.executable}: {reason(error)}"
    if done.returncode == 0:
        return ""
    return [*done.stderr.strip().splitlines(), f"exit code {done.returncode}"][-1]


def _clear(folder: Path, stem: str, kept: str) -> None:
    """Remove the kernels of earlier texts of the file."""
    ours = re.compile(rf"{re.escape(stem)}\.([0-9a-f]{{16}})(\.[0-9a-f]{{8}}){{0,2}}\.(py|c|so)")
    for path in folder.iterdir():
        match = ours.fullmatch(path.name)
        if match and f"{stem}.{match[1]}" != kept:
            try:
                path.unlink()
            except OSError:  # in use, on Windows
                continue
