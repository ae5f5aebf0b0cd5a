"""`jaxcpp audit`: random lies of every vendor, and which of them pay."""

from __future__ import annotations

from typing import Annotated

import typer

from jaxcpp.cli import backend
from jaxcpp.cli.fees import parse_fees
from jaxcpp.cli.options import Device, Fees, FleetFolder, Tolerance
from jaxcpp.cli.status import Status, fail
from jaxcpp.fleet.settings import JustInTime, Settings

_DEFAULT = Settings()


def audit(
    fleet: FleetFolder,
    *,
    lies: Annotated[int, typer.Option(min=1, metavar="N", help="Misreports of every vendor.")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", help="Other numbers, other lies.")] = 0,
    fee: Fees = [],  # noqa: B006  (typer copies it)
    just_in_time: Annotated[
        JustInTime,
        typer.Option(
            help="obliged: lies that change whether a vendor can fill its orders are left out; "
            "voluntary: all count."
        ),
    ] = _DEFAULT.just_in_time,
    tolerance: Tolerance = _DEFAULT.tolerance,
    device: Annotated[Device | None, typer.Option(help="Where to solve; JAX's choice by default.")] = None,
) -> None:
    """Let every vendor misreport costs, margins and capacities, and count the lies that pay.

    A lie pays where it gains the vendor more than the certificates leave open.
    """
    import numpy as np

    from jaxcpp import tables
    from jaxcpp.cli.summary import listed

    try:
        read, _ = tables.read_fleet(fleet)
    except tables.FleetError as error:
        fail(str(error), Status.BAD_INPUT)
    backend.start(device)
    from jaxcpp.fleet.audit import audit_fleet
    from jaxcpp.fleet.contracts import CoupledContractsError
    from jaxcpp.fleet.rules import FeeError

    asked = Settings(fees=parse_fees(fee), tolerance=tolerance, just_in_time=just_in_time)
    try:
        found = audit_fleet(read, asked, lies, seed)
    except (CoupledContractsError, FeeError) as error:
        fail(str(error), Status.BAD_INPUT)
    gained = np.flatnonzero(found["gained"])
    typer.echo(f"{len(found['tried']):,} contracts, {int(found['tried'].sum()):,} lies that leave a plan")
    typer.echo(f"{len(gained):,} contracts where some lie pays beyond the certified slack")
    worst = sorted(gained, key=lambda row: -found["regret"][row])
    lines = (
        f"{found['contract_id'][row]}: gained up to {found['regret'][row]:,.2f} {read.currency}, "
        f"slack {found['slack'][row]:,.2g}"
        for row in worst
    )
    for line in listed("a lie pays", lines):
        typer.echo(line)
