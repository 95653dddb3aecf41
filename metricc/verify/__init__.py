"""source, Plan → ir.Report: the generated code against oracles that share nothing with it.

derivation   the record, the proofs, SymPy's forms and the file's scalars against mpmath
training     loss and gradient: mpmath, autograd, gradcheck, dtypes, edges
calling      defaults, and the module against the function
given        counts, given counts and running means
boosting     gradient, Hessian and metric of an objective for boosting, and how it is called
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from metricc import ir
from metricc.load import load
from metricc.save import equivalent, record, same, state
from metricc.surrogates import Surrogate
from metricc.verify import boosting, derivation, training
from metricc.verify.attempt import attempt


def check_source(
    text: str, fresh: str, plan: ir.Plan, options: ir.Options, surrogate: Surrogate
) -> ir.Report:
    """Test a generated text as it stands; `fresh` is what its record generates now.

    The text is executed. Nothing raises: code that fails to run is a failed check.
    """
    checks = [_drift(text, fresh)]
    loaded: list[ModuleType] = []

    def imported() -> list[ir.Check]:
        loaded.append(load(text, options.name))
        return []

    checks += attempt("import", imported)
    tested = boosting if options.target == "gbdt" else training
    with _one_thread():
        for module in loaded:
            checks += attempt("scalars", derivation.checks, module, plan)
            checks += attempt("batches", tested.checks, module, plan, options, surrogate)
    return ir.Report(options.name, tuple(checks))


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


def _drift(text: str, fresh: str) -> ir.Check:
    """Whether the file is what its formula generates. An edit is a fact, not a failure: the
    other checks judge the code as it stands."""
    told = state(text)
    version = (record(text) or {}).get("version")
    if same(text, fresh):
        what = "as its formula generates"
    elif told == "as generated":
        what = f"made by version {version}"
    elif told == "reformatted":
        what = "edited, equivalent: reformatted"
    elif told == "reworded" or equivalent(text, fresh):
        what = "edited, equivalent: comments or docstrings differ"
    else:
        what = "edited since it was generated"
    return ir.Check("file", what, "any", None)
