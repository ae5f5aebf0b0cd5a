"""`jaxcpp serve-agent`: one vendor's own tables behind an agent; they never leave the vendor."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Literal

import typer

from jaxcpp.cli import backend
from jaxcpp.cli.agents import TOKEN, credentials, read_token
from jaxcpp.cli.options import Where
from jaxcpp.cli.status import Status, fail


def serve_agent(
    *,
    fleet: Annotated[
        Path,
        typer.Option(
            metavar="MY_SIDE", help="Folder of the vendor's tables: offers, sources, inbound_lanes, products."
        ),
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ],
    tls: Annotated[
        tuple[Path, Path, Path],
        typer.Option(
            metavar="CERT KEY CA",
            help="Our certificate and key, and who vouches for those that may ask; PEM.",
        ),
    ],
    transport: Annotated[
        Literal["flight", "https"],
        typer.Option(help="Arrow Flight, or HTTPS for agents behind a gateway; the messages are the same."),
    ] = "flight",
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"The token that they must show; by default ${TOKEN} holds it."),
    ] = None,
    device: Where = None,
) -> None:
    """Answer a coordinator's questions about one vendor's products, until interrupted.

    Certificates on both sides, and a token. Whoever asks learns plans and what they
    earn the vendor at the prices asked about: never a table.
    """
    from jaxcpp import tables

    try:
        side = tables.read_side(fleet)
    except tables.FleetError as error:
        fail(str(error), Status.BAD_INPUT)
    own = credentials(*tls, read_token(token_file))
    backend.start(device)
    from jaxcpp.fleet.contracts import CoupledContractsError
    from jaxcpp.fleet.vendor_side import VendorSide
    from jaxcpp.remote.flight import FlightAgent
    from jaxcpp.remote.https import HttpsAgent
    from jaxcpp.remote.server import Answers

    try:
        vendor = VendorSide(side)
    except (CoupledContractsError, ValueError) as error:
        fail(f"{fleet}: {error}", Status.BAD_INPUT)
    try:
        serve = FlightAgent if transport == "flight" else HttpsAgent
        agent = serve(Answers(vendor.vendor_id, vendor), listen, own)
    except Exception as error:  # noqa: BLE001 - pyarrow raises its own kinds
        fail(f"cannot listen on {listen}: {error}", Status.BAD_INPUT)
    host = listen.rpartition(":")[0]
    typer.echo(f"agent of {vendor.vendor_id} listening on {host}:{agent.port}")
    try:
        threading.Event().wait()  # Flight's own wait would not let Python see a signal
    finally:
        agent.shutdown()
