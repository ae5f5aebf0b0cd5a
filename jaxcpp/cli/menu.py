"""`jaxcpp menu`: price a list of plans for one vendor and product, and see which one the vendor picks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxcpp.cli import backend
from jaxcpp.cli.fees import parse_fees
from jaxcpp.cli.options import Device, Fees, FleetFolder
from jaxcpp.cli.shown import show
from jaxcpp.cli.status import Status, fail

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from jaxcpp.fleet.data import Floats
    from jaxcpp.fleet.results import Columns


def menu(
    fleet: FleetFolder,
    *,
    vendor: Annotated[str, typer.Option(metavar="ID", help="The vendor that picks.")],
    product: Annotated[str, typer.Option(metavar="ID", help="The product whose plans are priced.")],
    hint: Annotated[
        str | None, typer.Option(metavar="NODE", help="More and more of the order through this inbound node.")
    ] = None,
    plans: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Plans to price: plan_id, inbound_id, week, units (CSV or Parquet)."
        ),
    ] = None,
    fee: Fees = [],  # noqa: B006  (typer copies it)
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where menu.parquet and plans.parquet are written.")
    ] = Path("menu"),
    device: Annotated[Device | None, typer.Option(help="Where to solve; JAX's choice by default.")] = None,
) -> None:
    """Price plans for one vendor and product, and show which one the vendor picks.

    Prices come from the retailer's side alone: nothing the vendor says moves them. Without --hint and
    --plans, plans lead from just-in-time towards each inbound node in turn.
    """
    from jaxcpp import tables

    if hint is not None and plans is not None:
        fail("--hint and --plans are two ways to say which plans; give one", Status.BAD_INPUT)
    try:
        read, _ = tables.read_fleet(fleet)
    except tables.FleetError as error:
        fail(str(error), Status.BAD_INPUT)
    backend.start(device)
    from jaxcpp.fleet.contracts import CoupledContractsError
    from jaxcpp.fleet.menu import MenuError, lay, served, towards
    from jaxcpp.fleet.rules import FeeError

    try:
        table = lay(read, vendor, product, parse_fees(fee))
        if plans is None:
            ids, units = towards(table, hint)
        else:
            ids, units = tables.read_plans(plans, table.inbound_ids, table.weeks)
    except (MenuError, FeeError, CoupledContractsError, tables.FleetError) as error:
        fail(str(error), Status.BAD_INPUT)
    columns, listed = served(table, ids, units)
    tables.write_menu(columns, listed, out)
    show(_shown(columns, units, table.inbound_ids, table.order, read.currency))
    typer.echo(f"written to {out}")


def _shown(
    columns: Columns, plans: Floats, inbound_ids: list[str], order: Floats, currency: str
) -> RichTable:
    """The menu as a table: units by node over all weeks, money, and the vendor's pick."""
    import numpy as np
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column("plan")
    names = (*inbound_ids, "cbt", "fee", "price", "vendor's cost", "vendor nets")
    for name in names:
        shown.add_column(name, justify="right")
    shown.add_column(currency)
    units = np.concatenate([order[None], plans]).sum(axis=2)
    for row, plan in enumerate(columns["plan_id"]):
        money = [columns[name][row] for name in ("cbt", "fee", "price", "supplier_cost", "supplier_net")]
        possible = np.isfinite(columns["price"][row]), np.isfinite(columns["supplier_utility"][row])
        verdict = "picked" if columns["choice"][row] else ""
        if not all(possible):
            verdict = "the vendor cannot ship it" if possible[0] else "the retailer cannot use it"
        amounts = [f"{amount:,.2f}" if np.isfinite(amount) else "-" for amount in money]
        shown.add_row(plan, *(f"{amount:,.10g}" for amount in units[row]), *amounts, verdict)
    return shown
