"""Options that several commands share, and where their values come from.

A flag wins over the environment (`JAXCPP_...`), the environment over the file named by `--config`,
and that over the default.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import typer

from jaxcpp.cli.fees import parse_fees
from jaxcpp.cli.status import Status, fail
from jaxcpp.cli.toml import read_toml

Device = Literal["cpu", "gpu"]

_NOT_IN_A_FILE = ("config", "as_json", "help")


def _check_fees(texts: list[str]) -> list[str]:
    parse_fees(texts)
    return texts


def _check_tolerance(value: float) -> float:
    if not 0 < value < 1:
        raise typer.BadParameter(f"{value:g} is not between 0 and 1 (a fraction of a contract's chain cost)")
    return value


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the values in a TOML file the defaults of this command."""
    if path is None or context.resilient_parsing:
        return path
    values = read_toml(path)
    named = {key.replace("-", "_"): value for key, value in values.items()}
    options = (p for p in context.command.params if p.param_type_name == "option")
    known = sorted(str(p.name) for p in options if p.name not in _NOT_IN_A_FILE)
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise typer.BadParameter(f"{path} sets {', '.join(unknown)}; known names: {', '.join(known)}")
    if isinstance(named.get("fee"), str):
        named["fee"] = [named["fee"]]  # an option that may be given several times takes a list
    context.default_map = {**(context.default_map or {}), **named}
    return path


Where = Annotated[
    Device | None, typer.Option(envvar="JAXCPP_DEVICE", help="Where to solve; JAX's choice by default.")
]
FleetFolder = Annotated[Path, typer.Argument(metavar="FLEET", help="Folder of the fleet's tables.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder to write the run's tables to.")]
FleetAddress = Annotated[
    str, typer.Argument(metavar="FLEET", help="Folder of the fleet's tables, or its address (s3://...).")
]
RunAddress = Annotated[
    str, typer.Argument(metavar="RUN", help="Folder to write the run's tables to, or its address.")
]
WrittenRun = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run's tables.")]
Config = Annotated[
    Path | None,
    typer.Option(
        envvar="JAXCPP_CONFIG",
        callback=_read_config,
        is_eager=True,
        metavar="FILE",
        help="TOML file with values for these options, by the same names.",
    ),
]
Fees = Annotated[
    list[str],
    typer.Option(
        "--fee",
        envvar="JAXCPP_FEE",
        callback=_check_fees,
        metavar="FEE",
        help="What the supplier pays beyond the transfer: additive=50, multiplicative=0.1, roi=0.1, "
        "roi-ex-post=0.1, deviation=over:0.2,under:0.1, or FILE.toml with fees by vendor. Several add up.",
    ),
]
Tolerance = Annotated[
    float,
    typer.Option(
        envvar="JAXCPP_TOLERANCE",
        callback=_check_tolerance,
        metavar="FRACTION",
        help="Certified efficiency gap to reach, as a fraction of a contract's chain cost.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Names = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="CSV file with names: vendor_id, vendor_name; product_id, description."
    ),
]


def check_plot(asked: bool) -> None:
    """Leave in words where a picture is asked for and nothing can draw it."""
    if asked and importlib.util.find_spec("matplotlib") is None:
        fail("the plot needs matplotlib: pip install 'jaxcpp[plot]', or ask for --no-plot", Status.BAD_INPUT)
