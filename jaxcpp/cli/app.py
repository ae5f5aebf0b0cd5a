"""The command `jaxcpp`: its commands, its version, and what a signal does to it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

import jaxcpp
from jaxcpp.cli.audit import audit
from jaxcpp.cli.check import check
from jaxcpp.cli.example import example
from jaxcpp.cli.explain import explain
from jaxcpp.cli.info import info
from jaxcpp.cli.menu import menu
from jaxcpp.cli.plan import plan
from jaxcpp.cli.report import report
from jaxcpp.cli.roll import roll
from jaxcpp.cli.serve_agent import serve_agent
from jaxcpp.cli.status import Status
from jaxcpp.cli.sweep import sweep
from jaxcpp.cli.tune import tune

HELP = """Coordinate a fleet of retailer-supplier contracts: plans, payments and certified bounds.

Exit status: 0 done; 1 a fault of jaxcpp; 2 usage or bad input; 4 done, but some contracts are not
certified; 5 done, but an outside agent failed; 6 the device asked for is not there; 130 or 143 interrupted.
"""

# Plain help and plain messages: a box drawn around an error breaks its text at the width of a
# terminal that may not be there, and rich would double the time to the first line of help.
app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (plan, sweep, tune, roll, report, explain, menu, audit, check, serve_agent, example, info):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"jaxcpp {jaxcpp.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (a signal handler's shape)
    sys.exit(Status.TERMINATED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, `sys.argv` by default, and leave with one of the statuses of `Status`."""
    signal.signal(signal.SIGTERM, _terminated)
    app(args=arguments, prog_name="jaxcpp")
