"""`jaxcpp report`: a page about a run, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaxcpp.cli.options import Names, WrittenRun
from jaxcpp.cli.status import Status, fail


def report(
    run: WrittenRun,
    *,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN", help="An earlier run to compare with: last night's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write to; the run's own by default.")
    ] = None,
    names: Names = None,
) -> None:
    """Write a page about a run: report.html, and its figures in report.json.

    One file that needs no network and no script: gains, payments, units, certificates, what needs a
    person, and how the run compares with an earlier one.
    """
    from jaxcpp.report import MissingLibraryError, ReportError, write_report

    try:
        write_report(run, out or run, before=against, names=names)
    except (ReportError, MissingLibraryError) as error:
        fail(str(error), Status.BAD_INPUT)
    typer.echo(f"written to {(out or run) / 'report.html'}")
