"""Search for texts that crash metricc or keep it busy for long.

    python docs/benchmarks/fuzz.py --seconds 600 --log fuzz.jsonl
    python docs/benchmarks/fuzz.py --report fuzz.jsonl

Hypothesis draws texts of five kinds: library formulas with changed tokens, two of them spliced,
printed random formulas, noise inside formulas, and fragments repeated up to the limit of a text.
Each is read, resolved, lowered and, where it is a formula, derived, simplified, audited and
emitted; a text whose tree was compiled before by the same process is only read. What is not a
result or a `MetriccError` is a crash; what takes more than 10 s of its core's time hangs. A line of
the log is one chunk of texts, so a killed run loses one chunk at most, and a second run with the
same log goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import traceback
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rich.progress import Progress

import metricc
from metricc import library
from metricc.parse import parse

CHUNK = 200  # texts
SECONDS = 10.0  # of a core, for one text
SLOWEST = 5  # kept of each chunk

TOKENS = re.compile(r"\d+(?:\.\d+)?|\w+|\*\*|\S|\s")
SEEDS = [
    *(f"{d.name} = {d.body}" for family in library.families().values() for d in family),
    "fbeta(beta = 1 in (0, inf)) = (1 + beta^2)*PPV*TPR/(beta^2*PPV + TPR)",
    "a = TP/P; b = sqrt(a)\nmin(a, b, 1/2) + log(a)",
    "## description: x\nf(w = 1/2 in [0, 1]) = w*f1 + (1 - w)*mcc # c",
    "if TPR < 1/2 and not PPV >= 0.9 then f1 else (TPR + TNR)/2",
    "clip(f1, 0, 1) - max(0, 0.9 - precision)*harmonic_mean(TPR, TNR, PPV)",
    "2*precision*TPR[amount]/(precision + TPR[amount]) - FN[cost]/P[cost]",
]
INSERTS = [
    *"+-*/^()[],=;#<>",
    *("\n", " ", "2", "0", "1/2", "0.1", "TP", "FN", "FP", "TN", "P", "f1", "mcc", "precision"),
    *("sqrt(", "log(", "abs(", "min(", "exp(", "in", "inf", "beta", "if", "macro", "x", "$", "é"),
    *("then", "else", "and", "or", "not", "==", "mean(", "clip(", "×", "−", '"', "{", "%", "[a]"),
]
FRAGMENTS = [
    *("(", ")", "-", "+", "TP+", "TP*", "TP^", "TP/", "sqrt(", "1", "9^", "a=b;", "\n", "#x\n"),
    *("TP,", "if ", "not ", "if TP<1 then ", "[", '"', "x", "f1 + ", "mcc*", "é", "\0", "## "),
    *("max(TP,", "(TP+1/", "x = TP\n", "a(b=1)=", "1 else ", "TP<", "import "),
]
ATOMS = ["TP", "FN", "FP", "TN", "P", "N", "PP", "POP", "TPR", "TNR", "PPV", "f1", "mcc", "gmean"]
NUMBERS = ["0", "1", "2", "3", "1/2", "0.1", "1e-3", "1e9", "-1", "64"]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid text after one to three changes of its tokens."""
    tokens = TOKENS.findall(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(tokens) - 1))
        change = draw(st.sampled_from(["insert", "delete", "replace", "swap", "double"]))
        if change == "insert":
            tokens.insert(place, draw(st.sampled_from(INSERTS)))
        elif change == "delete" and len(tokens) > 1:
            del tokens[place]
        elif change == "replace":
            tokens[place] = draw(st.sampled_from(INSERTS))
        elif change == "swap":
            other = draw(st.integers(0, len(tokens) - 1))
            tokens[place], tokens[other] = tokens[other], tokens[place]
        else:
            tokens.insert(place, tokens[place])
    return "".join(tokens)


@st.composite
def spliced(draw: st.DrawFn) -> str:
    """The beginning of one valid text and the end of another."""
    one, two = (TOKENS.findall(draw(st.sampled_from(SEEDS))) for _ in range(2))
    left = "".join(one[: draw(st.integers(0, len(one)))])
    return left + "".join(two[draw(st.integers(0, len(two))) :])


@st.composite
def noisy(draw: st.DrawFn) -> str:
    """A valid text with characters of any kind inside."""
    text = draw(st.sampled_from(SEEDS))
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(st.text(max_size=20)) + text[place:]


@st.composite
def repeated(draw: st.DrawFn) -> str:
    """A fragment many times over, then a tail."""
    fragment = "".join(draw(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3)))
    times = draw(st.sampled_from([3, 10, 40, 60, 100, 300, 2_000, 70_000]))
    text = (fragment * times)[: 64 * 1024 - 8]
    return text + draw(st.sampled_from(["", "TP", "TP/P", ")", "TP" + ")" * min(times, 99)]))


def formulas() -> st.SearchStrategy[str]:
    """Random formulas as text: every operator, function and condition."""
    leaf = st.sampled_from(ATOMS) | st.sampled_from(NUMBERS)

    def extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
            st.builds("({}/{})".format, inner, inner),
            st.builds("({})^{}".format, inner, st.sampled_from(["2", "3", "1/2", "-1", "0.3"])),
            st.builds("{}({})".format, st.sampled_from(["sqrt", "log", "exp", "abs"]), inner),
            st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "mean"]), inner, inner),
            st.builds("geometric_mean({}, {})".format, inner, inner),
            st.builds("clip({}, 0, {})".format, inner, inner),
            st.builds(
                "(if {} {} {} then {} else {})".format,
                *(inner, st.sampled_from(["<", "<=", "==", "!="]), inner, inner, inner),
            ),
        )

    return st.recursive(leaf, extend, max_leaves=8)


KINDS = {
    "changed tokens": mutated(),
    "spliced": spliced(),
    "noise": noisy(),
    "repeated fragments": repeated(),
    "random formulas": formulas(),
}
# Of a hundred texts; whole compilations take most of the time, refusals none.
SHARES = {
    "changed tokens": 30,
    "spliced": 15,
    "noise": 30,
    "repeated fragments": 22,
    "random formulas": 3,
}


_COMPILED: dict[str, str] = {}  # how texts ended, by their trees


def chunk(number: int) -> dict[str, Any]:
    """Compile one chunk of texts: the same ones for the same number."""
    found: dict[str, Any] = {"chunk": number, "crashes": [], "slowest": []}
    counts: Counter[str] = Counter()
    kinds = [name for name, share in SHARES.items() for _ in range(share)]
    texts = st.sampled_from(kinds).flatmap(lambda k: st.tuples(st.just(k), KINDS[k]))

    @seed(number)
    @settings(
        max_examples=CHUNK,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(texts)
    def run(drawn: tuple[str, str]) -> None:
        kind, text = drawn
        start, ended = time.process_time(), "compiled"
        try:
            tree = str(parse(text))
            if tree in _COMPILED:
                ended = _COMPILED[tree]
            else:
                metricc.compile(text)
        except metricc.MetriccError as error:
            ended = error.diagnostics[0].code
            with suppress(metricc.MetriccError):
                _COMPILED[str(parse(text))] = ended
        except BaseException as error:
            ended = "crashed"
            trace = traceback.format_exc(limit=-3)
            found["crashes"].append({"text": text[:2000], "error": repr(error), "trace": trace})
        else:
            _COMPILED[tree] = ended
        seconds = time.process_time() - start
        counts[f"{kind}: {ended}"] += 1
        found["slowest"] = sorted(
            [*found["slowest"], [round(seconds, 2), text[:300]]], key=lambda pair: -pair[0]
        )[:SLOWEST]

    run()
    return {**found, "counts": dict(counts)}


def search(seconds: float, log: Path, processes: int) -> None:
    """Run chunks until the time is over, each a line of `log`."""
    done = len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
    numbers = iter(range(done, 10**9))
    end = time.monotonic() + seconds
    with (
        ProcessPoolExecutor(processes) as pool,
        log.open("a", encoding="utf-8") as lines,
        Progress() as progress,
    ):
        task = progress.add_task("fuzzing", total=seconds)
        running: set[Future[dict[str, Any]]] = {
            pool.submit(chunk, next(numbers)) for _ in range(processes)
        }
        while running:
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                lines.write(json.dumps(future.result()) + "\n")
                lines.flush()
                if time.monotonic() < end:
                    running.add(pool.submit(chunk, next(numbers)))
            progress.update(task, completed=seconds - max(0, end - time.monotonic()))


def report(log: Path, since: int) -> str:
    """A log's counts from one chunk on as Markdown, with crashes and the slowest texts."""
    lines = log.read_text(encoding="utf-8").splitlines()
    chunks = [json.loads(line) for line in lines[since:]]
    counts: Counter[tuple[str, str]] = Counter()
    codes: Counter[str] = Counter()
    for each in chunks:
        for name, count in each["counts"].items():
            kind, _, ended = name.partition(": ")
            how = ended if ended in ("compiled", "crashed") else "refused"
            counts[kind, how] += count
            codes[ended] += count
    lines = ["| kind of text | texts | compiled | refused | crashed |", "|---|---|---|---|---|"]
    for kind in (*SHARES, "all"):
        row = {
            how: sum(c for (k, h), c in counts.items() if h == how and kind in (k, "all"))
            for how in ("compiled", "refused", "crashed")
        }
        cells = (sum(row.values()), *row.values())
        lines.append(f"| {kind} | {' | '.join(f'{c:,}' for c in cells)} |")
    refused = ", ".join(
        f"{code} {count:,}" for code, count in sorted(codes.items()) if "MC" in code
    )
    slowest = sorted((pair for each in chunks for pair in each["slowest"]), reverse=True)
    over = sum(pair[0] > SECONDS for pair in slowest)
    lines += ["", f"Refused with: {refused}.", ""]
    lines += [f"Texts over {SECONDS:g} s: {over}. The slowest, in seconds of one core:", ""]
    lines += [f"- {seconds:.2f}: `{_line(text)}`" for seconds, text in slowest[:5]]
    crashes = [crash for each in chunks for crash in each["crashes"]]
    lines += [f"\n{crash['error']}\n{crash['text']!r}\n{crash['trace']}" for crash in crashes[:20]]
    return "\n".join(lines)


def _line(text: str) -> str:
    shown = " ".join(text.split()).replace("`", "'")
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--log", type=Path, default=Path("fuzz.jsonl"))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--report", type=Path, metavar="LOG", help="only print a log's counts")
    parser.add_argument("--since", type=int, default=0, metavar="CHUNK", help="leave out earlier")
    options = parser.parse_args()
    if options.report is None:
        search(options.seconds, options.log, options.processes)
    print(report(options.report or options.log, options.since))


if __name__ == "__main__":
    main()
