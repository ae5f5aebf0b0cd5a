"""`jaxcpp sweep`: a fleet under every fee of a grid."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

import jaxcpp
from jaxcpp.cli import backend
from jaxcpp.cli.fees import SHARES, SIDES, parse_fees
from jaxcpp.cli.options import FleetFolder, Json, RunFolder, Tolerance, Where, check_plot
from jaxcpp.cli.shown import show
from jaxcpp.cli.status import Status, fail
from jaxcpp.fleet.settings import Settings, Units

if TYPE_CHECKING:
    from jaxcpp.fleet.results import Columns
    from jaxcpp.fleet.sweep import Grid

_DEFAULT = Settings()
MOST = 1000
"""Values of a grid."""

SHOWN = {
    "offered": "offered", "accepted": "accepted", "price": "prices", "paid": "paid",
    "fees_paid": "fees paid", "gain": "gain", "efficiency_lost": "efficiency lost",
}  # fmt: skip
"""Columns of the table, and what they are called there."""


WITHOUT_CENTS = 10_000.0
"""Of the currency: from here on the table shows whole units of it; the files hold it all."""


def parse_grid(texts: list[str]) -> tuple[str, tuple[float, ...], list[str]]:
    """The field of `FeeRule` that one value of `--fee` gives a grid to, the grid, and the other fees.

    Raises typer.BadParameter unless exactly one is a grid, KIND=LOW:HIGH:COUNT or
    deviation=SIDE:LOW:HIGH:COUNT.
    """
    grids = [text for text in texts if text.count(":") >= 2 and "," not in text]
    if len(grids) != 1:
        raise typer.BadParameter(
            "give one grid: additive=0:100:11, multiplicative=0:1:11, roi=0:1:11, roi-ex-post=0:1:11 or "
            f"deviation=over:0:1:11; got {', '.join(grids) or 'none'}"
        )
    kind, _, numbers = grids[0].partition("=")
    side, colon, rest = numbers.partition(":")
    if kind == "deviation" and side in SIDES and colon:
        name, numbers = side, rest
    elif kind in SHARES:
        name = SHARES[kind]
    else:
        raise typer.BadParameter(f"unknown grid '{grids[0]}'; known: {', '.join(SHARES)}, deviation=SIDE:")
    return name, _values(numbers, grids[0]), [text for text in texts if text != grids[0]]


def _values(numbers: str, text: str) -> tuple[float, ...]:
    parts = numbers.split(":")
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise typer.BadParameter(f"'{text}' is not LOW:HIGH:COUNT") from None
    if len(parts) != 3 or not (0.0 <= low <= high and math.isfinite(high) and 1 <= count <= MOST):
        raise typer.BadParameter(
            f"'{text}' must have 0 <= LOW <= HIGH, both finite, and COUNT from 1 to {MOST}"
        )
    return tuple(low + (high - low) * step / max(count - 1, 1) for step in range(count))


def _check(texts: list[str]) -> list[str]:
    parse_fees(parse_grid(texts)[2])
    return texts


def sweep(
    fleet: FleetFolder,
    run: RunFolder,
    *,
    fee: Annotated[
        list[str],
        typer.Option(
            "--fee",
            callback=_check,
            metavar="FEE",
            help="One grid, additive=0:100:11, multiplicative=0:1:11, roi=..., roi-ex-post=... or "
            "deviation=over:0:1:11 (from, to, how many); other fees beside it as in jaxcpp plan.",
        ),
    ],
    tolerance: Tolerance = _DEFAULT.tolerance,
    units: Annotated[
        Units, typer.Option(envvar="JAXCPP_UNITS", help="Issue plans in fractions or in whole units.")
    ] = _DEFAULT.units,
    plot: Annotated[
        bool, typer.Option("--plot/--no-plot", help="Draw sweep.svg (needs matplotlib: the extra `plot`).")
    ] = True,
    device: Where = None,
    as_json: Json = False,
) -> None:
    """Plan a fleet under every fee of a grid: prices, acceptance, efficiency lost.

    RUN receives sweep.parquet (a row a fee and vendor), run.json and sweep.svg.
    """
    from rich.console import Console

    from jaxcpp import tables
    from jaxcpp.cli.progress import progress_bar
    from jaxcpp.fleet.contracts import CoupledContractsError
    from jaxcpp.fleet.rules import FeeError
    from jaxcpp.fleet.whole import WholeUnitsError

    check_plot(plot)
    started = time.perf_counter()
    name, values, others = parse_grid(fee)
    settings = Settings(fees=parse_fees(others), tolerance=tolerance, units=units)
    try:
        tables.check_run_folder(run)
        read, _ = tables.read_fleet(fleet)
    except (tables.FleetError, tables.RunFolderError) as error:
        fail(str(error), Status.BAD_INPUT)
    backend.start(device)
    from jaxcpp.fleet.sweep import Grid, sweep_fleet

    grid = Grid(name, values)
    try:
        with progress_bar(Console(stderr=True)) as on_progress:
            columns = sweep_fleet(read, settings, grid, on_progress)
    except (CoupledContractsError, FeeError, WholeUnitsError) as error:
        fail(str(error), Status.BAD_INPUT)
    totals = _totals(columns, values)
    facts = {
        "version": jaxcpp.__version__,
        "fleet_fingerprint": read.fingerprint,
        "settings": {"fee": fee, "tolerance": tolerance, "units": units},
        "currency": read.currency,
        "sweep": totals,
        "seconds": {"total": time.perf_counter() - started},
    }
    tables.write_sweep(columns, run, facts)
    if plot:
        from jaxcpp.cli.sweep_plot import draw

        draw(totals, grid.name, read.currency, run / "sweep.svg")
    if as_json:
        typer.echo(json.dumps(totals, indent=2))
    else:
        show(_table(totals, _title(grid)))
        typer.echo(f"written to {run}; money in {read.currency}")
    if any(totals["not_certified"]):
        typer.echo(f"{max(totals['not_certified']):,} contracts are not certified", err=True)
        raise typer.Exit(Status.NOT_CERTIFIED)


def _title(grid: Grid) -> str:
    return {"over": "charge above", "under": "charge below"}.get(grid.name, grid.name.replace("_", " "))


def _totals(columns: Columns, values: tuple[float, ...]) -> dict[str, list[Any]]:
    """Sums over vendors, one entry a value."""
    import numpy as np

    by_value = {
        name: np.asarray(column).reshape(len(values), -1).sum(axis=1).tolist()
        for name, column in columns.items()
        if name not in ("fee_value", "vendor_id")
    }
    return {"fee_value": list(values), **by_value}


def _table(totals: dict[str, list[Any]], title: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in (title, *SHOWN.values()):
        table.add_column(name, justify="right")
    most = max(abs(cell) for name in SHOWN for cell in totals[name])
    money = ",.2f" if most < WITHOUT_CENTS else ",.0f"  # a terminal has eighty columns
    for row, value in enumerate(totals["fee_value"]):
        cells = [totals[name][row] for name in SHOWN]
        table.add_row(
            f"{value:,.4g}", *(f"{cell:,}" if isinstance(cell, int) else f"{cell:{money}}" for cell in cells)
        )
    return table
