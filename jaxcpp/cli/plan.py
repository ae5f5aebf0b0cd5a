"""`jaxcpp plan`: the main job, a fleet in, certified contracts out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import jaxcpp
from jaxcpp.cli import backend
from jaxcpp.cli.agents import read_agents
from jaxcpp.cli.fees import parse_fees
from jaxcpp.cli.files_told import files_told
from jaxcpp.cli.options import (
    Config,
    Device,
    Fees,
    FleetAddress,
    Json,
    RunAddress,
    Tolerance,
    Where,
)
from jaxcpp.cli.status import Status, fail
from jaxcpp.fleet.settings import Absent, JustInTime, Method, Settings, Units

if TYPE_CHECKING:
    from jaxcpp.cli.agents import Agents
    from jaxcpp.fleet.totals import Totals

_DEFAULT = Settings()
Outcome = tuple["Totals", list[tuple[str, str]]]
"""A run's totals, and the products left out with the reason."""


def plan(
    fleet: FleetAddress,
    run: RunAddress,
    *,
    fee: Fees = [],  # noqa: B006  (typer copies it)
    tolerance: Tolerance = _DEFAULT.tolerance,
    method: Annotated[
        Method,
        typer.Option(
            envvar="JAXCPP_METHOD",
            help="newton: price steps with the agents' slopes; admm: the protocol for black-box agents.",
        ),
    ] = _DEFAULT.method,
    units: Annotated[
        Units, typer.Option(envvar="JAXCPP_UNITS", help="Issue plans in fractions or in whole units.")
    ] = _DEFAULT.units,
    flows: Annotated[
        bool, typer.Option("--flows", envvar="JAXCPP_FLOWS", help="Write the private transport plans too.")
    ] = _DEFAULT.flows,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            envvar="JAXCPP_SKIP_BAD",
            help="Leave bad products out (rejected.parquet lists them).",
        ),
    ] = False,
    absent: Annotated[
        Absent,
        typer.Option(
            envvar="JAXCPP_ABSENT",
            help="Several vendors of a product: what one delivers that stays out of the mechanism: its "
            "share of the just-in-time orders (jit), or nothing (excluded).",
        ),
    ] = _DEFAULT.absent,
    just_in_time: Annotated[
        JustInTime,
        typer.Option(
            envvar="JAXCPP_JUST_IN_TIME",
            help="Orders that a vendor without a contract fills: all that its capacity allows (obliged), or "
            "what suits it best (voluntary): then no lie about capacity pays.",
        ),
    ] = _DEFAULT.just_in_time,
    batch: Annotated[
        int | None,
        typer.Option(envvar="JAXCPP_BATCH", min=1, metavar="N", help="Contracts solved together."),
    ] = _DEFAULT.batch,
    max_rounds: Annotated[
        int | None,
        typer.Option(
            envvar="JAXCPP_MAX_ROUNDS", min=1, metavar="N", help="Rounds before a contract is given up."
        ),
    ] = _DEFAULT.max_rounds,
    warm_start: Annotated[
        str | None,
        typer.Option(
            envvar="JAXCPP_WARM_START",
            metavar="RUN",
            help="Begin at the prices of an earlier run; what they do not fit begins as usual.",
        ),
    ] = None,
    agents: Annotated[
        Path | None,
        typer.Option(
            envvar="JAXCPP_AGENTS",
            metavar="FILE",
            help="TOML file of vendors that keep their tables at home, and where their agents answer.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            envvar="JAXCPP_CLUSTER",
            metavar="ADDRESS|local:N",
            help="Solve in parts on Dask workers: N processes of this machine, or those of the scheduler at "
            "HOST:PORT. Needs the extra `cluster`.",
        ),
    ] = None,
    part_size: Annotated[
        int | None,
        typer.Option(
            envvar="JAXCPP_PART_SIZE",
            min=1,
            metavar="N",
            help="Solve in parts of about so many contracts, in this process if there is no cluster.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Do what is missing of a run in parts that was cut off.")
    ] = False,
    device: Where = None,
    config: Config = None,  # noqa: ARG001  (its callback reads the file)
    as_json: Json = False,
) -> None:
    """Plan a fleet: plans, prices, payments, certified.

    FLEET is a folder of Parquet or CSV tables; RUN receives contracts, plans and run.json. Either may be an
    address as s3://bucket/folder. Options can also be set in the environment (JAXCPP_TOLERANCE, ...) and in a
    TOML file.
    """
    settings = Settings(
        fees=parse_fees(fee),
        tolerance=tolerance,
        method=method,
        units=units,
        flows=flows,
        absent=absent,
        just_in_time=just_in_time,
        max_rounds=max_rounds,
        batch=batch,
    )
    in_parts = cluster is not None or part_size is not None or resume
    if in_parts and agents is not None:
        fail("--agents: vendors' agents are asked by one process; leave out --cluster, --part-size and "
             "--resume", Status.BAD_INPUT)  # fmt: skip
    with files_told(
        fleet, run, afterwards="parts that are whole stay: go on with --resume" if in_parts else ""
    ):
        if in_parts:
            from jaxcpp.cli.plan_parts import plan_parts

            outcome = plan_parts(
                fleet,
                run,
                settings,
                cluster=cluster,
                part_size=part_size,
                resume=resume,
                skip_bad=skip_bad,
                device=device,
                warm_start=warm_start,
            )
        else:
            outcome = _plan(
                fleet,
                run,
                settings,
                agents=None if agents is None else read_agents(agents),
                skip_bad=skip_bad,
                device=device,
                warm_start=warm_start,
            )
        status = _report(*outcome, folder=run, as_json=as_json)
    if status is not Status.DONE:
        raise typer.Exit(status)


def _plan(
    fleet_folder: str,
    run_folder: str,
    settings: Settings,
    *,
    agents: Agents | None,
    skip_bad: bool,
    device: Device | None,
    warm_start: str | None,
) -> Outcome:
    """Read, solve, write."""
    from rich.console import Console

    from jaxcpp import tables
    from jaxcpp.cli.progress import progress_bar

    started = time.perf_counter()
    names = () if agents is None else tuple(agents.vendors)
    try:
        tables.check_run_folder(run_folder)
        yesterday = None if warm_start is None else tables.read_prices(warm_start)
        fleet, rejected = tables.read_fleet(fleet_folder, skip_bad=skip_bad, outside=names)
    except (tables.FleetError, tables.RunFolderError, tables.PlaceError) as error:
        fail(str(error), Status.BAD_INPUT)
    read = time.perf_counter() - started
    backend.start(device)
    from jaxcpp.fleet.contracts import CoupledContractsError
    from jaxcpp.fleet.rules import FeeError
    from jaxcpp.fleet.solve import plan_fleet
    from jaxcpp.fleet.totals import totals_of
    from jaxcpp.fleet.vendors import OutsideVendorsError
    from jaxcpp.fleet.whole import WholeUnitsError

    try:
        with progress_bar(Console(stderr=True)) as on_progress:
            if agents is None:
                run = plan_fleet(fleet, settings, on_progress, yesterday)
            else:
                from jaxcpp.fleet.outside import plan_with_outside

                run = plan_with_outside(
                    fleet, agents.vendors, settings, on_progress, agents.deadline, yesterday
                )
    except (CoupledContractsError, WholeUnitsError, FeeError, OutsideVendorsError) as error:
        fail(str(error), Status.BAD_INPUT)
    info = {
        "version": jaxcpp.__version__,
        "settings": settings,
        "fleet_fingerprint": fleet.fingerprint,
        "warm_start": None if warm_start is None else str(tables.place(warm_start)),
        "fleet": fleet.name,
        "currency": fleet.currency,
        "first_week": fleet.first_week,
        "seconds": {"read": read},
        "started": started,
    }
    tables.write_run(run, rejected, run_folder, info=info)
    return totals_of(run.contracts, run.worst_gap), [(row.product_id, row.reason) for row in rejected]


def _report(totals: Totals, rejected: list[tuple[str, str]], *, folder: str, as_json: bool) -> Status:
    """Print what came out; the exit status."""
    from rich.console import Console

    from jaxcpp.agents.border import FAULTS
    from jaxcpp.cli.summary import attention, listed, summary
    from jaxcpp.fleet.totals import UNCERTIFIED
    from jaxcpp.tables import place

    text = (place(folder) / "run.json").read_text(encoding="utf-8")
    if as_json:
        typer.echo(text.rstrip())
    else:
        facts = json.loads(text)
        Console().print(summary(totals, facts, facts["currency"]))
        typer.echo(f"written to {place(folder)}")
    left_out = (f"{product}: {reason}" for product, reason in rejected)
    for lines in (
        listed(f"{len(rejected):,} products left out", left_out),
        attention(totals, "infeasible", "contracts are infeasible"),
        *(attention(totals, name, "contracts are not certified") for name in UNCERTIFIED),
        *(attention(totals, name, f"contracts: {what}") for name, what in FAULTS.items()),
    ):
        for line in lines:
            typer.echo(line, err=True)
    found = set(totals.status)
    if found & set(FAULTS):
        return Status.AGENT_FAILED
    return Status.NOT_CERTIFIED if found & set(UNCERTIFIED) else Status.DONE
