"""Exit statuses, and the one way to fail with a message."""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

import typer


class Status(IntEnum):
    """What the process tells its caller."""

    DONE = 0
    OUR_FAULT = 1
    BAD_INPUT = 2
    NOT_CERTIFIED = 4
    AGENT_FAILED = 5
    NO_DEVICE = 6
    INTERRUPTED = 130
    TERMINATED = 143


def fail(message: str, status: Status) -> NoReturn:
    """Print `message` to stderr and leave with `status`."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(status)
