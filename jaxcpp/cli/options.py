"""Options that several commands share, and where their values come from.

A flag wins over the environment (`JAXCPP_...`), the environment over the file named by `--config`,
and that over the default.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import typer

Device = Literal["cpu", "gpu"]

_NO_FEE = "none"
_NOT_IN_A_FILE = ("config", "as_json", "help")


def parse_fee(text: str) -> float:
    """The additive fee [currency per contract] that `text` ("none" or "additive=AMOUNT") asks for.

    Raises typer.BadParameter on any other text.
    """
    kind, _, amount = text.partition("=")
    if text == _NO_FEE:
        return 0.0
    if kind != "additive":
        raise typer.BadParameter(f"unknown fee '{text}'; known fees: none, additive=AMOUNT")
    try:
        fee = float(amount)
    except ValueError:
        raise typer.BadParameter(f"'{amount}' in '{text}' is not a number") from None
    if not (math.isfinite(fee) and fee >= 0):
        raise typer.BadParameter(f"the amount in '{text}' must be finite and at least 0")
    return fee


def _check_fee(text: str) -> str:
    parse_fee(text)
    return text


def _check_tolerance(value: float) -> float:
    if not 0 < value < 1:
        raise typer.BadParameter(f"{value:g} is not between 0 and 1 (a fraction of a contract's chain cost)")
    return value


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the values in a TOML file the defaults of this command."""
    if path is None or context.resilient_parsing:
        return path
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is not TOML: {error}") from None
    named = {key.replace("-", "_"): value for key, value in values.items()}
    options = (p for p in context.command.params if p.param_type_name == "option")
    known = sorted(str(p.name) for p in options if p.name not in _NOT_IN_A_FILE)
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise typer.BadParameter(f"{path} sets {', '.join(unknown)}; known names: {', '.join(known)}")
    context.default_map = {**(context.default_map or {}), **named}
    return path


FleetFolder = Annotated[Path, typer.Argument(metavar="FLEET", help="Folder of the fleet's tables.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder to write the run's tables to.")]
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
Fee = Annotated[
    str,
    typer.Option(
        envvar="JAXCPP_FEE",
        callback=_check_fee,
        metavar="none|additive=AMOUNT",
        help="What the supplier pays beyond the cost-benefit transfer, in currency per contract.",
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
