"""How many single faults of generated files `metricc verify` finds.

    python docs/benchmarks/mutation.py                      # 1,000 faults, seed 1, two processes
    python docs/benchmarks/mutation.py --seed 2 --faults 500
    python docs/benchmarks/mutation.py --table              # the page's tables, of the results file
    python docs/benchmarks/mutation.py --again              # what was missed, with verify as it is
    python docs/benchmarks/mutation.py --show KEY           # one fault: its diff

Faults are drawn from the seed, as evenly over kinds and files as there are places for them
(`mutants.py`). Each stands alone in its file, whose code is then tested as it stands, by the checks
of `metricc verify` up to the first that fails. A fault that none of them finds is put through some
hundreds of other calls (`differences.py`): one that changes nothing there is equivalent, one that
does was missed. Misses make the exit code 1. A fault runs in a process of its own, with a limit of
time and memory; every one that is done adds a line to the results file and is not repeated, unless
its file or verify has changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pickle
import platform
import random
import resource
import select
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import mutants  # noqa: E402

SECONDS = 120  # of a processor, that verify or the other calls may take for one fault
PATIENCE = 15 * SECONDS  # of the clock
MEMORY = 4 << 30  # bytes more than before

LABEL, CLASS, MAX = {"task": "multilabel"}, {"task": "multiclass"}, {"maximize": True}
GBDT, SAMPLE = {"target": "gbdt"}, {"per": "sample"}
# Formula and options of each file.
FILES: list[tuple[str, dict[str, Any]]] = [
    ("f1", {}),
    ("tversky", {}),
    ("mcc", {"surrogate": "straight_through(amplified, L=5)"}),
    ("gmean", {"from_probabilities": True}),
    ("cohen_kappa", {"surrogate": "score_oriented(cosine)"}),
    ("balanced_accuracy", {"surrogate": "heaviside"}),
    ("fbeta", {"surrogate": "soft", "target": "triton"}),
    ("-log(jaccard)", {"name": "log_jaccard", "surrogate": "1/(1 + exp(-2*z))"}),
    ("p4", {"surrogate": "amplified(thresholds=[0.1, 0.5])"}),
    ("0.5*bce + 0.5*(1 - f1)", {"name": "bce_f1"}),
    ("g(k = 2 in (0, 5)) = 0.5*focal(k) + 0.5*(1 - f1); g", {"from_probabilities": True}),
    ("(FN[amount] + 5*FP)/(P[amount] + 5*N)", {"name": "cost"}),
    ("min(recall, precision)", {"name": "weaker"}),
    ("fowlkes_mallows", {**SAMPLE}),
    ("macro(f1)", {**LABEL}),
    ("macro(f1)", {**CLASS}),
    ("weighted(mcc)", {**CLASS}),
    ("micro(jaccard)", {**CLASS, **SAMPLE}),
    ("worst(recall)", {**LABEL, "surrogate": "s(k = 3) = p^k"}),
    ("geomean(recall)", {**CLASS, "target": "triton"}),
    ("per_class(tversky(0.3, 0.7))", {**LABEL, **SAMPLE}),
    ("sum(f1)", {**LABEL, **MAX}),
    ("0.5*ce + 0.5*(1 - macro(f1))", {**CLASS, "name": "ce_f1"}),
    ("multiclass_mcc", {**CLASS, "surrogate": "straight_through"}),
    ("multiclass_kappa", {**CLASS, "from_probabilities": True}),
    ("sqrt(macro(f1)*macro(mcc))", {**LABEL, **MAX, "name": "both"}),
    ("samples(f1)", {"name": "samples_f1"}),
    ("0.5*ce + 0.5*(1 - samples(jaccard))", {**CLASS, "name": "ce_samples"}),
    ("f1", {**GBDT}),
    ("mcc", {**GBDT, "surrogate": "amplified"}),
    ("macro(f1)", {**GBDT, **CLASS}),
    ("0.5*bce + 0.5*(1 - gmean)", {**GBDT, "name": "bce_gmean"}),
]


def title(index: int) -> str:
    """A file as its row of the tables names it."""
    formula, options = FILES[index]
    parts = [v for k, v in options.items() if k in ("task", "per", "target", "surrogate")]
    parts = [f"per {p}" if p == "sample" else p for p in parts]
    parts += ["probabilities"] if options.get("from_probabilities") else []
    return ", ".join([formula, *parts])


# -- faults ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fault:
    file: int
    kind: str
    number: int  # of its place among those of the file
    key: str
    first: str = ""  # what came of it when it was first tried, where this is another time


def drawn(seed: int, wanted: int, chosen: list[int]) -> list[Fault]:
    """Faults of a seed: one of each kind in each file, then a second, until there are enough."""
    cells: dict[tuple[str, int], list[Fault]] = {}
    texts = {i: compiled(i).source for i in chosen}
    for index, text in texts.items():
        for number, site in enumerate(mutants.sites(text)):
            fault = Fault(index, site.kind, number, f"{seed}-{index}-{number}")
            cells.setdefault((site.kind, index), []).append(fault)
    order = sorted(cells)
    for cell in order:
        random.Random(f"{seed} {cell}").shuffle(cells[cell])
    random.Random(seed).shuffle(order)
    found: list[Fault] = []
    while len(found) < wanted and any(cells.values()):
        for cell in order:
            while cells[cell] and len(found) < wanted:
                fault = cells[cell].pop()
                text = texts[fault.file]
                if mutants.mutant(text, mutants.sites(text)[fault.number]) is not None:
                    found.append(fault)
                    break
    return found


@functools.cache
def compiled(index: int) -> Any:
    import metricc

    formula, options = FILES[index]
    return metricc.compile(formula, **options)


# -- one file and its faults ----------------------------------------------------------------------


def worker(index: int, faults: list[Fault], told: Any) -> None:
    """Try faults of one file, each in a process of its own; rows go to `told`."""
    import differences
    import torch

    from metricc import verify
    from metricc.load import load as metricc_load
    from metricc.verify import boosting, derivation, edited, ranks, training
    from metricc.verify.attempt import attempts

    ranks.PATIENCE = 600  # of wall time: a process that waits for a processor is not stuck
    torch.set_num_threads(1)
    made = compiled(index)
    options = dataclasses.asdict(made.options)
    remember()
    given = (made.source, made.plan, made.options, made.surrogate)
    report = verify.check_source(made.source, *given)
    wrong = [c for c in report.checks if c.passed is False]
    if wrong:
        told({"key": f"file {index}", "error": f"{title(index)} itself fails: {wrong[0]}"})
        return
    expected: list[tuple[str, Any]] = []
    original = metricc_load(made.source, made.options.name)
    places = mutants.sites(made.source)

    def verified(text: str) -> str:
        """The first check that fails; batches come first here, which most faults show in."""
        module = metricc_load(text, made.options.name)
        tested = boosting if made.options.target == "gbdt" else training
        batches = attempts("batches", tested.checks, module, *given[1:])
        scalars = attempts("scalars", derivation.checks, module, made.plan, original)
        alike = attempts("as generated", edited.checks, module, original, *given[1:])
        for check in chain(batches, scalars, alike):
            if check.passed is False:
                return f"{check.name}: {check.measured}"
        return ""

    def different(text: str) -> str:
        try:
            module = differences.load(text)
        except Exception as error:
            return f"import: {type(error).__name__}"
        found = differences.outcomes(module, options)
        for (name, wanted), (_, got) in zip(expected, found, strict=True):
            if differences.differ(wanted, got):
                return name
        return ""

    for fault in faults:
        one = mutants.mutant(made.source, places[fault.number])
        assert one is not None
        row = {**dataclasses.asdict(one), "file": index, "title": title(index), "key": fault.key}
        row |= {"first": fault.first} if fault.first else {}
        row.pop("text")
        started = time.monotonic()
        by = apart(lambda text=one.text: verified(text))
        row["seconds"] = round(time.monotonic() - started, 2)
        if by:
            row |= {"verdict": "caught", "by": by}
        else:
            if not expected:
                expected += differences.outcomes(differences.load(made.source), options)
            change = apart(lambda text=one.text: different(text))
            if by is None and change is None:  # it does not end: whoever calls it sees that
                row |= {"verdict": "timed out", "by": ""}
            else:
                told_by = "slower: a call runs into the limit" if change is None else change
                row |= {"verdict": "equivalent" if change == "" else "missed", "by": told_by}
        told(row)


def apart(call: Callable[[], str]) -> str | None:
    """What `call` returns in a process of its own; None where it takes too long or too much."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        with contextlib.suppress(BaseException):
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
            used = int(time.process_time()) + SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (used, used))
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.write(into, b"=" + call().encode(errors="replace")[:4000])
        os._exit(0)
    os.close(into)
    ready, _, _ = select.select([out], [], [], PATIENCE)
    said = os.read(out, 5000) if ready else b""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(out)
    return said[1:].decode() if said else None


def remember() -> None:
    """Keep what the oracles find: it is the same for every fault of a file."""
    from metricc import ir, syntax
    from metricc.verify import boosting, boosting_case, case, derivation

    def known(value: Any) -> Any:
        """What tells one argument from another; plans and formulas are the same objects."""
        if isinstance(value, boosting_case.Case):  # of its module nothing is computed here
            return id(value.text), value.parameters, value.setting
        return id(value) if isinstance(value, (ir.Plan, ir.Program, syntax.Text)) else value

    def kept(holder: Any, name: str) -> None:
        function, found = getattr(holder, name), {}

        def call(*given: Any, **more: Any) -> Any:
            rest = [known(x) for x in given], {n: known(x) for n, x in more.items()}
            key = pickle.dumps(rest)
            if key not in found:
                try:
                    found[key] = (True, function(*given, **more))
                except (ValueError, ZeroDivisionError) as error:
                    found[key] = (False, error)
            fine, result = found[key]
            if not fine:
                raise result
            return result

        setattr(holder, name, call)

    for holder, name in (
        (case, "loss_and_gradient"),
        (boosting, "loss_and_gradient"),
        (boosting, "values"),
        (boosting, "means"),
        (derivation, "prepared"),
        (derivation, "_forms"),
        (derivation, "_places"),
    ):
        kept(holder, name)


# -- the run --------------------------------------------------------------------------------------


def state() -> str:
    """A digest of what decides about a fault: metricc's code and these programs."""
    import metricc

    digest = hashlib.sha256()
    package = Path(metricc.__file__).parent
    for path in sorted([*package.rglob("*.py"), *HERE.glob("mut*.py"), HERE / "differences.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def rows_of(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # a line that was cut off
            row = json.loads(line)
            found[row["key"]] = row
    return list(found.values())


def run(faults: list[Fault], path: Path, workers: int) -> None:
    from multiprocessing import get_context

    from rich.progress import Progress

    context = get_context("fork")
    by_file: dict[int, list[Fault]] = defaultdict(list)
    for fault in faults:
        by_file[fault.file].append(fault)
    jobs = sorted(by_file.items(), key=lambda job: -len(job[1]))
    queue = context.SimpleQueue()
    code = state()
    busy: dict[Any, int] = {}
    with path.open("a", encoding="utf-8") as out, Progress(transient=True) as progress:
        bar = progress.add_task("faults", total=len(faults))
        while jobs or busy:
            while jobs and len(busy) < workers:
                index, several = jobs.pop(0)
                process = context.Process(target=_job, args=(index, several, queue))
                process.start()
                busy[process] = index
            while not queue.empty():
                row = queue.get()
                if "error" in row:
                    print(row["error"], file=sys.stderr)
                    continue
                out.write(json.dumps({**row, "state": code}) + "\n")
                out.flush()
                progress.advance(bar)
            for process in [p for p in busy if not p.is_alive()]:
                process.join()
                if process.exitcode:
                    raise SystemExit(f"{title(busy[process])}: exit {process.exitcode}")
                del busy[process]
            time.sleep(0.05)
        while not queue.empty():
            out.write(json.dumps({**queue.get(), "state": code}) + "\n")


def _job(index: int, faults: list[Fault], queue: Any) -> None:
    worker(index, faults, queue.put)


# -- what is printed ------------------------------------------------------------------------------


def verdicts(rows: list[dict[str, Any]]) -> str:
    """The score in one line."""
    counts = Counter(row["verdict"] for row in rows)
    faults = len(rows) - counts["equivalent"]
    found = counts["caught"] + counts["timed out"]
    told = f"{len(rows):,} faults: {counts['caught']:,} caught"
    told += f", {counts['timed out']} ran into the time limit" if counts["timed out"] else ""
    told += f", {counts['missed']} missed, {counts['equivalent']} change no result"
    told += f"; score {100 * found / max(faults, 1):.1f} % of {faults:,}"
    if later := sum(row.get("first") == "missed" and row["verdict"] == "caught" for row in rows):
        told += f" ({100 * (found - later) / max(faults, 1):.1f} % when first tried)"
    return told


def table(rows: list[dict[str, Any]], name: str, key: Callable[[dict[str, Any]], str]) -> str:
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        groups[key(row)][row["verdict"]] += 1
    lines = [f"| {name} | faults | change no result | caught | missed |", "|---|--:|--:|--:|--:|"]
    for group in sorted(groups):
        c = groups[group]
        caught = c["caught"] + c["timed out"]
        told = f"| {group} | {sum(c.values())} | {c['equivalent']} | {caught} | {c['missed']} |"
        lines.append(told)
    return "\n".join(lines)


def task(row: dict[str, Any]) -> str:
    options = FILES[row["file"]][1]
    told = options.get("task", "binary")
    told += ", per sample" if options.get("per") else ""
    told += f", {options['target']}" if options.get("target") else ""
    return str(told)


def cell(text: str) -> str:
    text = text if len(text) <= 70 else f"{text[:67]}..."
    return f"`{text}`".replace("|", "\\|")


def listed(rows: list[dict[str, Any]], verdict: str) -> Iterator[str]:
    for row in rows:
        if row["verdict"] == verdict:
            place = f"{row['title']}: {row['function']}"
            yield f"{row['key']} {row['kind']}: {place}, line {row['line']}"
            yield f"    {row['before']}  ->  {row['after']}"
            if row["by"]:
                yield f"    {row['by']}"


def _equivalent(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The faults that change no result, each with where it is."""
    yield "| function | fault |"
    yield "|---|---|"
    same = {}
    for row in rows:
        if row["verdict"] == "equivalent":
            key = row["function"].rsplit(".", 1)[-1], row["before"], row["after"]
            same.setdefault(key, row)
    for function, before, after in sorted(same):
        yield f"| `{function}` | {cell(before)} → {cell(after)} |"


@click.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--faults", "wanted", default=1000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--file", "chosen", multiple=True, type=int, help="Only files of these numbers.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("mutation.jsonl"),
    show_default=True,
)
@click.option("--table", "tables", is_flag=True, help="Print the tables of the results file.")
@click.option("--again", is_flag=True, help="Try what was missed once more.")
@click.option("--show", help="The key of a fault: print its diff.")
def main(
    seed: int,
    wanted: int,
    workers: int,
    chosen: tuple[int, ...],
    results: Path,
    tables: bool,
    again: bool,
    show: str | None,
) -> None:
    """Put single faults into generated files and see which `metricc verify` finds."""
    if show is not None:
        _show(show)
        return
    if again:
        missed = [row for row in rows_of(results) if row["verdict"] == "missed"]
        run([_fault(row) for row in missed], results, workers)
        rows = rows_of(results)
    elif not tables:
        code = state()
        done = {row["key"] for row in rows_of(results) if row.get("state") == code}
        faults = drawn(seed, wanted, list(chosen) or list(range(len(FILES))))
        run([f for f in faults if f.key not in done], results, workers)
        keys = {f.key for f in faults}
        rows = [row for row in rows_of(results) if row["key"] in keys]
    else:
        rows = rows_of(results)
    if not rows:
        raise click.ClickException(f"no results in {results}: run with --seed and --faults first")
    import torch

    import metricc

    versions = f"metricc {metricc.__version__}, torch {torch.__version__}"
    print(f"{verdicts(rows)} ({versions}, Python {platform.python_version()})\n")
    print(table(rows, "kind", lambda row: str(row["kind"])), "\n")
    print(table(rows, "task", task), "\n")
    if tables:
        print(table(rows, "file", lambda row: cell(row["title"])), "\n")
    if tables:
        print("\n".join(_equivalent(rows)), "\n")
    print("\n".join(listed(rows, "missed")))
    sys.exit(any(row["verdict"] == "missed" for row in rows))


def _fault(row: dict[str, Any]) -> Fault:
    number = int(row["key"].rsplit("-", 1)[1])
    return Fault(row["file"], row["kind"], number, row["key"], row.get("first", row["verdict"]))


def _show(key: str) -> None:
    import difflib

    try:
        _, index, number = map(int, key.split("-"))
        text = compiled(index).source
        one = mutants.mutant(text, mutants.sites(text)[number])
    except (ValueError, IndexError):
        one = None
    if one is None:
        raise click.ClickException(f"{key} is no fault: keys are SEED-FILE-NUMBER, as in 8-11-586")
    old, new = text.splitlines(), one.text.splitlines()
    print("\n".join(difflib.unified_diff(old, new, "generated", "faulty", lineterm="", n=6)))


if __name__ == "__main__":
    main()
