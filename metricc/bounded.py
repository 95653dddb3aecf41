"""Work that must end: in a thread with a deep stack, under a clock that ends in a diagnostic.

Limits of the language are counted, never timed. The clock is the watchdog behind them: it counts
the time that the work itself had on a core, so that a loaded machine changes nothing, and works
outside the main thread too. One piece of work runs at a time: SymPy's caches and mpmath's
precision belong to the process, and under Python's lock two would not be faster.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from metricc.errors import fail

T = TypeVar("T")

SECONDS = 8.0  # of a core
STACK = 256 * 1024 * 1024  # bytes of address space; what is not used is never taken
RECURSION = 25_000  # frames, far more than formulas within the limits need
TICK = 0.5  # seconds between looks at the clock

_ONE_AT_A_TIME = threading.RLock()
_WORKER = threading.local()


class _Stop(BaseException):
    """Raised inside the work; not an `Exception`, so that nothing on the way catches it."""


def bounded(work: Callable[[], T]) -> T:
    """Run `work` and return what it returns or raise what it raises.

    Raises `MetriccError` where it takes longer than `SECONDS` of a core, or nests deeper than
    `RECURSION` frames. Inside work that is bounded already, `work` is simply called.
    """
    if getattr(_WORKER, "busy", False):
        return work()
    with _ONE_AT_A_TIME:
        limit = sys.getrecursionlimit()
        size = threading.stack_size(STACK)
        task = _Task(work)
        try:
            sys.setrecursionlimit(max(limit, RECURSION))
            task.start()
        finally:
            threading.stack_size(size)
        try:
            task.wait()
        finally:
            sys.setrecursionlimit(limit)
    return task.result()


class _Task(threading.Thread, Generic[T]):
    """One piece of work and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="metricc", daemon=True)
        self.work = work
        self.over = False
        self.value: T
        self.error: BaseException | None = None
        # Not `join`: interrupted, it takes the thread for ended (CPython 3.11).
        self.ended = threading.Event()
        self.spent: Callable[[], float] = lambda: 0.0

    def run(self) -> None:
        _WORKER.busy = True
        if hasattr(time, "pthread_getcpuclockid"):
            clock = time.pthread_getcpuclockid(threading.get_ident())
            self.spent = lambda: time.clock_gettime(clock)  # a thread's own clock starts at 0
        else:
            start = time.monotonic()
            self.spent = lambda: time.monotonic() - start
        try:
            self.value = self.work()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def wait(self) -> None:
        """Return when the work has ended, stopping it when its time is over or at Ctrl-C."""
        try:
            while self.running(TICK):
                with suppress(OSError):  # the thread, and its clock, may end in between
                    self.over = self.over or self.spent() > SECONDS
                if self.over:
                    self.stop()
        except BaseException:
            while self.running(0.01):
                self.stop()
            raise

    def running(self, seconds: float) -> bool:
        return not self.ended.wait(seconds) and self.is_alive()

    def stop(self) -> None:
        if self.ident is not None and hasattr(ctypes, "pythonapi"):  # CPython alone
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self.ident), ctypes.py_object(_Stop)
            )

    def result(self) -> T:
        if self.over:
            fact = f"the algebra of this formula takes longer than {SECONDS:g} s"
        elif isinstance(self.error, RecursionError | MemoryError):
            fact = "the algebra of this formula nests too deep"
        elif self.error is not None:
            raise self.error  # with the traceback of the work's own frames
        else:
            return self.value
        raise fail("MC0411", fact, "shorten the formula")
