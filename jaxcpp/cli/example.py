"""`jaxcpp example`: a bundled fleet, written where the user wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from jaxcpp.cli.status import Status, fail

Name = Literal["iowa", "iowa-roll", "iowa-shared", "toy"]


def example(
    name: Annotated[
        Name,
        typer.Argument(
            help="iowa: a real nightly fleet; iowa-roll: weeks of it; iowa-shared: with shared capacity; "
            "toy: the paper's two by two."
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write the fleet to.")],
) -> None:
    """Write a bundled fleet to a folder."""
    from jaxcpp.examples import write_example

    try:
        write_example(name, folder)
    except FileExistsError as error:
        fail(str(error), Status.BAD_INPUT)
    typer.echo(f"written to {folder}")
