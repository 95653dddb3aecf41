"""How long `metricc compile` takes: the library's metrics, and formulas of up to 2,000 operators.

    python docs/benchmarks/compile_time.py --markdown docs/compile-time.md

A figure is the wall clock of a whole command in a process of its own, its files in the cache and
its bytecode compiled, as pip leaves it. Each command of the first table is run next to
`python -c "import sympy"`, in turns; a ratio is the median of the ratios of the turns. In the
second table the exponent is the slope of log(time) over log(operators), by least squares over the
three largest sizes, after the time of a formula of two operators has been taken off.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from rich.progress import track

from metricc import library
from metricc.errors import MetriccError
from metricc.parse import parse
from metricc.resolve import resolve

SIZES = (125, 250, 500, 1_000, 2_000)
FITTED = 3  # of the largest
PAIRS = 3
AGAIN = 11  # pairs of those that were slowest
WORST = 10
AT_MOST = 4.0  # times `import sympy`
SECONDS = 10.0  # for the largest formula
EXPONENT = 2.0
LIMIT = 8_000  # operators and operands that the language reads


# -- formulas of so many operators ----------------------------------------------------------------


def ratios(n: int) -> str:
    """A sum of ratios, 7 operators each."""
    return " + ".join(
        f"{i + 1}*TP/(TP + {2 * i + 3}*FN + {3 * i + 2}*FP)" for i in range(max(1, (n + 1) // 7))
    )


def product(n: int) -> str:
    """A product of ratios, 6 operators each."""
    return "*".join(f"((TP + {i + 1}*FN)/(TP + {i + 2}*FP))" for i in range(max(1, (n + 1) // 6)))


def roots(n: int) -> str:
    """A sum of roots times logarithms, 12 operators each."""
    return " + ".join(
        f"{i + 1}*sqrt(TP/(TP + {i + 2}*FN))*log(1 + TN/(TN + {i + 3}*FP))"
        for i in range(max(1, (n + 1) // 12))
    )


def nested(n: int) -> str:
    """Definitions in definitions, each a mean of the one before and of ratios."""
    return _chain(n, "({before} + {terms})/2", 2, "{}*{}/(TP + {}*FN)", 5)


def fractions(n: int) -> str:
    """A continued fraction of definitions."""
    return _chain(n, "TP/({before} + {terms})", 2, "{}*{}*({} + FP)", 4)


def deep(n: int) -> str:
    """Definitions in definitions with roots in each."""
    step = "(1 + {before}*TN/(TN + FP) + {terms})/2"
    return _chain(n, step, 6, "{}*sqrt({}/({} + TP + TN))", 6)


def _chain(n: int, step: str, own: int, term: str, each: int) -> str:
    """Up to 40 definitions, each of which uses the one before once: `own` operators of its own and
    `each` for a term, the sign before it included."""
    links = max(1, min(40, n // 25))
    count = max(1, round((n / links - own + 1) / each))
    lines = ["d0 = TP/(TP + FN)"]
    for link in range(links):
        numbers = range(link * count, (link + 1) * count)
        terms = " + ".join(
            term.format(i + 1, ("TP", "TN", "FN", "FP")[i % 4], i + 2) for i in numbers
        )
        lines.append(f"d{link + 1} = {step.format(before=f'd{link}', terms=terms)}")
    return "\n".join([*lines, f"d{links}"])


SHAPES = (
    *("({} + {})", "({}*{})", "({}*{})", "({}/{})", "({}/{})"),
    *("sqrt({})", "({})^2", "({})^-1", "({})^1.5", "({})^(1/3)", "log(1 + {})"),
    *("min({}, {})", "max({}, {})"),
)
LEAVES = "TP FN FP TN TP/(TP+FN) TN/(TN+FP) TP/(TP+FP) 1 2 0.5".split()


def randomly(n: int) -> str:
    """A weighted sum of random formulas, as the tests draw them, but without differences: roots of
    negative numbers would be refused."""
    generator = random.Random(0)

    def drawn(depth: int) -> str:
        if depth == 0 or generator.random() < 0.2:
            return f"({generator.choice(LEAVES)})"
        shape = generator.choice(SHAPES)
        return shape.format(*(drawn(depth - 1) for _ in range(shape.count("{}"))))

    terms: list[str] = []
    while operators(" + ".join([*terms, "1"])) < n:
        terms.append(f"{len(terms) + 1}*{drawn(3)}/(TP + FN + FP + TN)")
    return " + ".join(terms)


FAMILIES: Mapping[str, Callable[[int], str]] = {
    "sum of ratios": ratios,
    "product of ratios": product,
    "roots and logarithms": roots,
    "definitions in definitions": nested,
    "continued fraction": fractions,
    "definitions with roots": deep,
    "random formulas": randomly,
}


def operators(text: str) -> int:
    """The operators and functions of a text as it is written; no definition here is used twice."""
    signs = sum(text.count(sign) for sign in "+-*/^")
    return signs + sum(
        text.count(f"{name}(") for name in ("sqrt", "log", "exp", "min", "max", "abs")
    )


def accepted(text: str) -> bool:
    """Whether the language reads a text: all its limits are counted before any algebra."""
    try:
        resolve(parse(text), library.definitions())
    except MetriccError:
        return False
    return True


def largest(family: Callable[[int], str]) -> str:
    """The largest formula of a family that the language reads."""
    low, high = 125, LIMIT
    while high - low > 25:
        middle = (low + high) // 2
        low, high = (middle, high) if accepted(family(middle)) else (low, middle)
    return family(low)


# -- commands ------------------------------------------------------------------------------------


class Clock:
    """Runs commands in processes of their own, with bytecode in a folder of theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        program = Path(sys.executable).with_name("metricc")
        self.program = [str(program)] if program.is_file() else [sys.executable, "-m", "metricc"]
        for _ in range(2):  # compiles the bytecode, and warms the files' cache
            self.sympy()
            self.compile("f1")

    def run(self, *command: str) -> tuple[float, str]:
        """Seconds of a command, and what it wrote to standard error where it failed."""
        start = time.perf_counter()
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        return time.perf_counter() - start, done.stderr if done.returncode else ""

    def sympy(self) -> float:
        return self.run(sys.executable, "-c", "import sympy")[0]

    def compile(self, *arguments: str) -> tuple[float, str]:
        target = str(self.folder / "any_loss.py")
        return self.run(*self.program, "compile", *arguments, "-o", target, "--force")

    def pairs(self, name: str, count: int) -> tuple[float, float]:
        """A library metric: the median ratio to `import sympy`, and the median seconds."""
        goal = ["--maximize"] if library.definitions()[name].fact("direction") == "mixed" else []
        ratios, seconds = [], []
        for _ in range(count):
            base = self.sympy()
            took, failed = self.compile(name, *goal)
            if failed:
                raise RuntimeError(f"{name}: {failed}")
            ratios.append(took / base)
            seconds.append(took)
        return statistics.median(ratios), statistics.median(seconds)

    def formula(self, text: str) -> tuple[float, str]:
        """Seconds of a formula, and the code of the diagnostic where it is refused."""
        path = self.folder / "formula.metric"
        path.write_text(text + "\n", encoding="utf-8")
        seconds, failed = self.compile(str(path), "--maximize")
        if not failed:
            return seconds, ""
        codes = [word.rstrip(":") for word in failed.split() if word.startswith("MC")]
        return seconds, codes[0] if codes else failed


# -- the two tables ------------------------------------------------------------------------------


def library_table(clock: Clock, quick: bool) -> str:
    names = library.metrics()[:3] if quick else library.metrics()
    count = 1 if quick else PAIRS
    found = {name: clock.pairs(name, count) for name in track(names, "metrics", transient=True)}
    slow = sorted(found, key=lambda name: -found[name][0])[: 2 if quick else WORST]
    again = {name: clock.pairs(name, count if quick else AGAIN) for name in slow}
    found |= again
    middle = statistics.median(ratio for ratio, _ in found.values())
    worst = max(found, key=lambda name: found[name][0])
    inside = sum(ratio <= AT_MOST for ratio, _ in found.values())
    lines = [
        f"| metric ({len(found)} compiled) | times `import sympy` | seconds |",
        "|---|---|---|",
        f"| median of all | {middle:.2f} | "
        f"{statistics.median(seconds for _, seconds in found.values()):.2f} |",
    ]
    for name in sorted(again, key=lambda name: -found[name][0]):
        ratio, seconds = found[name]
        lines.append(f"| `{name}` | {ratio:.2f} | {seconds:.2f} |")
    verdict = "met" if found[worst][0] <= AT_MOST else "missed"
    lines += [
        "",
        f"Target: at most {AT_MOST:g} times. {verdict.capitalize()}: {inside} of {len(found)} are "
        f"within it; the slowest is `{worst}` at {found[worst][0]:.2f}.",
    ]
    return "\n".join(lines)


def growth_table(clock: Clock, quick: bool) -> str:
    sizes = SIZES[:2] if quick else SIZES
    start = statistics.median(clock.formula("TP/(TP + FN)")[0] for _ in range(1 if quick else 5))
    families = dict([*FAMILIES.items()][:2]) if quick else FAMILIES
    head = " | ".join(f"{size:,}" for size in sizes)
    lines = [
        f"| formula | {head} | exponent | largest that is read |",
        "|---|" + "---|" * (len(sizes) + 2),
    ]
    missed: list[str] = []
    for name, family in track(families.items(), "families", transient=True):
        cells, points = [], []
        for size in sizes:
            text = family(size)
            seconds, refused = clock.formula(text)
            cells.append(refused or f"{seconds:.1f}")
            points.append((operators(text), seconds))
            if refused or seconds > SECONDS:
                missed.append(f"{name} of {size:,} operators: {refused or f'{seconds:.1f} s'}")
        exponent = slope([(n, t - start) for n, t in points[-FITTED:]])
        if exponent > EXPONENT:
            missed.append(f"{name}: the exponent is {exponent:.2f}")
        cells.append(f"{exponent:.2f}")
        if quick:
            cells.append("")
        else:
            text = largest(family)
            seconds, refused = clock.formula(text)
            cells.append(f"{operators(text):,}: {refused or f'{seconds:.1f} s'}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    verdict = "Met." if not missed else "Missed by " + "; ".join(missed) + "."
    lines += [
        "",
        f"Seconds of whole commands, of which {start:.2f} are those of `TP/(TP + FN)`. Target: "
        f"{sizes[-1]:,} operators within {SECONDS:g} s, exponents of at most {EXPONENT:g}. "
        f"{verdict}",
    ]
    return "\n".join(lines)


def slope(points: list[tuple[int, float]]) -> float:
    """The exponent of a power law through points, by least squares of logarithms."""
    xs = [math.log(n) for n, _ in points]
    ys = [math.log(max(t, 1e-3)) for _, t in points]
    x, y = statistics.fmean(xs), statistics.fmean(ys)
    above = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return above / sum((a - x) ** 2 for a in xs)


def machine() -> str:
    """Date, versions and hardware, in one line."""
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        names = [s.split(":", 1)[1] for s in cpus.read_text().splitlines() if "model name" in s]
        model = names[0].strip() if names else model
    parts = [f"{p} {version(p)}" for p in ("metricc", "sympy", "mpmath", "lark")]
    parts = [dt.date.today().isoformat(), f"Python {platform.python_version()}", *parts]
    return ", ".join([*parts, f"{model}, {os.cpu_count()} cores"])


PAGE = """# Compile time

How long `metricc compile` takes, whole commands in processes of their own:

```sh
python docs/benchmarks/compile_time.py --markdown docs/compile-time.md
```

{machine}.

## Metrics of the library

Each beside `python -c "import sympy"`, in turns: the median of the ratios of {pairs} turns, of
{again} for the ten that were slowest.

{library}

## Long formulas

{growth}

Operators are those of the formula with its definitions written out. The language reads at most
8,000 operators and operands, which is about 4,000 operators, and 200 levels of nesting
([limits](language.md#limits)): the last column is the largest formula of the family that it reads,
found by halving. MC0411 is the watchdog over the algebra, 8 s of a core.

What a formula costs is counted, so that its file depends neither on the machine nor on its load.
Exact algebra has a budget: sums of many different ratios exceed it, and their derivative is kept
as differentiation gave it and compared in numbers. Where a formula is long, so many points are
tried that the operations of all of them stay under a bound, 60 at least, and signs are sampled at
50 points at least instead of 200. A derivative of a product of more than eight factors is taken one
half after the other, or its text would grow with the square of their number.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three metrics, two short families")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(Path(folder))
        tables = {
            "library": library_table(clock, options.quick),
            "growth": growth_table(clock, options.quick),
        }
    text = PAGE.format(machine=machine(), pairs=PAIRS, again=AGAIN, **tables)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
