"""Work that must end: the watchdog, deep recursion, threads, and factoring under a budget."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import sympy
from sympy.core.random import rng
from sympy.polys.rings import ring
from watchdog import TooSlow, within

import metricc
from metricc import factoring
from metricc.bounded import bounded
from metricc.errors import MetriccError
from metricc.factoring import TooLarge, factor_list


def forever() -> None:
    while True:
        with suppress(Exception):  # what SymPy does in places must not stop the watchdog
            sum(range(1_000))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metricc.bounded.SECONDS", 0.3)
    monkeypatch.setattr("metricc.bounded.TICK", 0.05)


def codes(work: Callable[[], object]) -> list[str]:
    with pytest.raises(MetriccError) as caught:
        bounded(work)
    return [d.code for d in caught.value.diagnostics]


@pytest.mark.usefixtures("short")
def test_work_without_end_is_stopped() -> None:
    with within(20):
        assert codes(forever) == ["MC0411"]


@pytest.mark.usefixtures("short")
def test_work_without_end_is_stopped_in_other_threads() -> None:
    with within(20), ThreadPoolExecutor(3) as pool:
        assert [*pool.map(codes, [forever] * 3)] == [["MC0411"]] * 3


@pytest.mark.usefixtures("short")
def test_waiting_is_not_working() -> None:
    assert bounded(lambda: time.sleep(0.6) or 1) == 1


def test_results_and_errors_come_through() -> None:
    assert bounded(lambda: bounded(lambda: 1) + 1) == 2
    with pytest.raises(KeyError, match="x"):
        bounded(lambda: {}["x"])


def test_work_may_nest_deep_but_not_without_end() -> None:
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + depth(n - 1)

    before = sys.getrecursionlimit(), threading.stack_size()
    assert bounded(lambda: depth(15_000)) == 15_000
    assert codes(lambda: depth(10**9)) == ["MC0411"]
    assert (sys.getrecursionlimit(), threading.stack_size()) == before


def test_an_interrupt_ends_the_work() -> None:
    running = threading.Event()

    def work() -> None:
        running.set()
        forever()

    with pytest.raises(TooSlow), within(0.5):
        bounded(work)
    assert running.is_set()
    for thread in threading.enumerate():
        if thread.name == "metricc":
            thread.join(5)
            assert not thread.is_alive()


def test_threads_compile_at_once() -> None:
    names = ["mcc", "f1", "gmean", "cohen_kappa"] * 2
    alone = [metricc.compile(name).source for name in names]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda name: metricc.compile(name).source, names)] == alone


@pytest.mark.parametrize(
    "part", ["1/(1 + {})", "TP/(FN + {})", "({})", "(1 - {})", "(FN*TP)/({} + PPV)"]
)
def test_forty_eight_levels_compile(part: str) -> None:
    text = "TPR"
    for _ in range(48):
        text = part.format(text)
    assert metricc.value(text, 3, 2, 1, 4) == pytest.approx(value(part), rel=1e-12)


def value(part: str) -> float:
    number = 3 / 5
    names = {"TP": 3.0, "FN": 2.0, "FP": 1.0, "TN": 4.0, "PPV": 3 / 4}
    for _ in range(48):
        number = eval(part.format("x"), {**names, "x": number})
    return number


@pytest.mark.parametrize("text", ["*".join(["mcc"] * n) for n in (6, 12, 30)])
def test_high_powers_end(text: str) -> None:
    with within(20):
        assert metricc.compile(text, maximize=True).source


def test_minima_in_minima_end() -> None:
    inner = "log((TP/(TP + FN) - TP)/(f1 - 2*TN))"
    with within(20):
        text = f"min(sqrt(TP + FN + abs(TN - 0.5)), min(max(0.5, FP), {inner}))"
        assert metricc.compile(text, maximize=True).source


# -- factoring --------------------------------------------------------------------------------

RING, X, Y, Z = ring("x y z", sympy.QQ)


def test_factors_multiply_to_their_polynomial() -> None:
    polynomial = 6 * (X + Y) ** 2 * (X * Y - Z) * (X - 2 * Z)
    content, factors = factor_list(polynomial)
    product = RING(content)
    for factor, power in factors:
        product *= factor**power
    assert product == polynomial
    assert sorted(power for _, power in factors) == [1, 1, 2]


def test_the_randomness_of_others_is_left_alone() -> None:
    rng.seed(7)
    state = rng.getstate()
    own = random.getstate()
    factor_list((X + Y + Z) ** 3 * (X - Y) - 1)
    assert (rng.getstate(), random.getstate()) == (state, own)
    assert sys.getprofile() is None


def test_factoring_ends_after_so_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factoring, "MAX_CALLS", 50)
    polynomial = (X + Y + Z) ** 3 * (X - Y + 2) + 1
    assert len(polynomial) > factoring.SMALL
    with pytest.raises(TooLarge, match="attempts"):
        factor_list(polynomial)
    assert sys.getprofile() is None


def test_polynomials_of_huge_values_are_not_factored() -> None:
    with pytest.raises(TooLarge, match="bits"):
        factor_list((X * Y - Z) ** 40 + X * Y * Z)
