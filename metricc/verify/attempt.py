"""Running a check of code that may be anything: what the code raises is the check's result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from metricc import ir

LONGEST = 80  # of a message that is shown


def attempt(
    name: str, check: Callable[..., ir.Check | Sequence[ir.Check]], *arguments: Any
) -> Sequence[ir.Check]:
    """What `check` finds, or one failed check of that name.

    Code under test may also raise what ends a program, `SystemExit` and the like: that would end
    the verification of every other file with it. Only the user's own interrupt does.
    """
    try:
        found = check(*arguments)
        return [found] if isinstance(found, ir.Check) else found
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return [ir.Check(name, told(error), "runs", False)]


def attempts(
    name: str, checks: Callable[..., Iterable[ir.Check]], *arguments: Any
) -> Iterator[ir.Check]:
    """What `checks` finds, one after the other; where it raises, one failed check of that name."""

    def each() -> Iterator[ir.Check]:
        yield from checks(*arguments)  # what the call itself raises is met below, too

    found = each()
    while True:
        try:
            check = next(found)
        except StopIteration:
            return
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            yield ir.Check(name, told(error), "runs", False)
            return
        yield check


def told(error: BaseException) -> str:
    """An exception on one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST]}"
