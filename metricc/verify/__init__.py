"""source, Plan → ir.Report: the generated code against oracles that share nothing with it.

drift        what was edited
derivation   the record, the proofs, SymPy's forms and the file's scalars against mpmath
training     loss and gradient: mpmath, autograd, gradcheck, dtypes, edges
calling      defaults, and the module against the function
given        counts, given counts and running means
edited       an edited file against what its formula generates now
boosting     gradient, Hessian and metric of an objective for boosting, and how it is called
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from metricc import ir
from metricc.load import load
from metricc.save import same_code, state
from metricc.surrogates import Surrogate
from metricc.verify import boosting, derivation, drift, edited, training
from metricc.verify.attempt import attempt, attempts


def check_source(
    text: str,
    fresh: str,
    plan: ir.Plan,
    options: ir.Options,
    surrogate: Surrogate,
    path: Path | None = None,
) -> ir.Report:
    """Test a generated text as it stands; `fresh` is what its record generates now.

    The text is executed. Where the file at `path`, which holds it, has a built kernel, the batches
    are tested once more with that. Nothing raises: code that fails to run is a failed check.
    """
    checks = tuple(each(text, fresh, plan, options, surrogate, path))
    return ir.Report(options.name, checks, drift.diff(text, fresh))


def each(
    text: str,
    fresh: str,
    plan: ir.Plan,
    options: ir.Options,
    surrogate: Surrogate,
    path: Path | None = None,
) -> Iterator[ir.Check]:
    """The checks of `check_source` one after the other, for who stops at the first that fails."""
    yield drift.check(text, fresh)
    loaded: list[ModuleType] = []

    def imported() -> list[ir.Check]:
        try:
            loaded.append(load(text, options.name))
        except SyntaxError as error:
            if Path(error.filename or "").name.startswith("metricc_generated_"):
                error.filename = f"{options.name}_loss.py" if path is None else str(path)
            raise
        return []

    yield from attempt("import", imported)
    tested = boosting if options.target == "gbdt" else training
    with _one_thread():
        for module in loaded:
            original = load(fresh, options.name)
            yield from attempts("scalars", derivation.checks, module, plan, original)
            yield from attempts("batches", tested.checks, module, plan, options, surrogate)
            if not same_code(text, fresh) and state(text) != "as generated":
                given = (module, original, plan, options, surrogate)
                yield from attempts("as generated", edited.checks, *given)
            with _kernel_of(path, module) as found:
                if found is None:
                    told = "there is one that does not run: metricc build --force"
                    yield ir.Check("with the built kernel", told, "any", None)
                elif found:
                    again = attempts("batches", tested.checks, module, plan, options, surrogate)
                    yield from _together([*again])


@contextmanager
def _kernel_of(path: Path | None, module: ModuleType) -> Iterator[bool | None]:
    """The module with the kernel that the file at `path` finds, and whether it finds one.

    None where there is one for this text that it does not take.
    """
    looks = getattr(getattr(module, "_built", None), "__wrapped__", None)
    if path is None or looks is None:
        yield False
        return
    usual, place = vars(module)["_built"], module.__file__
    try:
        module.__file__ = str(path)
        kernel = looks()
        vars(module)["_built"] = lambda: kernel
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        there = (path.parent / "__pycache__" / f"{path.stem}.{digest}.py").exists()
        yield True if kernel is not None else None if there else False
    finally:
        vars(module)["_built"], module.__file__ = usual, place


def _together(checks: Sequence[ir.Check]) -> list[ir.Check]:
    """Checks with a built kernel as one, those that fail also by themselves."""
    failed = [check for check in checks if check.passed is False]
    told = f"{len(checks) - len(failed)} of {len(checks)} checks pass"
    rows = [ir.Check("with the built kernel", told, "all", not failed)]
    return rows + [replace(c, name=f"built kernel: {c.name}") for c in failed]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads of torch only wait for each other on batches as small as the ones here."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
