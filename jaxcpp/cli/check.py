"""`jaxcpp check`: every problem of a fleet at once, nothing solved."""

from __future__ import annotations

import dataclasses
import json

import typer

from jaxcpp.cli.options import FleetFolder, Json
from jaxcpp.cli.status import Status


def check(fleet: FleetFolder, *, as_json: Json = False) -> None:
    """Print every problem of a fleet, or what it holds.

    The exit status is 2 where there is a problem. Nothing is solved.
    """
    from jaxcpp import tables

    try:
        read, _ = tables.read_fleet(fleet)
    except tables.FleetError as error:
        if as_json:
            problems = [dataclasses.asdict(problem) for problem in error.problems]
            typer.echo(json.dumps({"problems": problems}, indent=2))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(Status.BAD_INPUT) from None
    facts = tables.describe(read)
    if as_json:
        typer.echo(json.dumps({"problems": [], **facts}, indent=2))
        return
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int | float) else str(value)
        typer.echo(f"{name.replace('_', ' '):<{width}}{shown}")
