"""A clock for tests of "this ends": the call is stopped, and the test fails, after some seconds."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooSlow(BaseException):
    """Not an `Exception`: code under test must not catch it."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` inside the block after `seconds`, where the system has such an alarm."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TooSlow(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
