"""The group of commands: their order, and the one place where errors become text."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from metricc.cli.printing import diagnose
from metricc.errors import MetriccError

INTERRUPTED, PIPE_CLOSED = 130, 141  # what shells report for SIGINT and SIGPIPE


class Program(click.Group):
    """Commands in the order in which they were added; errors become text here alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MetriccError as error:
            diagnose(error.diagnostics)
            ctx.exit(2)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # What is still buffered must not be written when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)
