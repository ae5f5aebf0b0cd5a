"""`jaxcpp roll`: a fleet planned a window ahead, every week, on the demand as it comes."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import jaxcpp
from jaxcpp.cli import backend
from jaxcpp.cli.fees import parse_fees
from jaxcpp.cli.options import Config, Device, Fees, FleetFolder, Json, RunFolder, Tolerance
from jaxcpp.cli.shown import show
from jaxcpp.cli.status import Status, fail
from jaxcpp.fleet.roll_settings import Capacity, Forecast, Policy, RollError, RollSettings
from jaxcpp.fleet.settings import Settings

if TYPE_CHECKING:
    from jaxcpp.fleet.data import Fleet
    from jaxcpp.fleet.results import Columns
    from jaxcpp.fleet.roll import WeekDone

_SOLVE = Settings()
_MOST_ROUNDS = 2000  # a forecast may ask for far more than there is: few contracts, but long searches


def parse_forecast(text: str) -> tuple[Forecast, int]:
    """The kind of forecast and the weeks it looks back that `perfect`, `trailing=N` or `table` asks for."""
    kind, _, back = text.partition("=")
    if text == "perfect":
        return "perfect", 0
    if text == "table":
        return "table", 0
    if kind != "trailing" or not back.isdigit() or int(back) < 1:
        raise typer.BadParameter(f"unknown forecast '{text}'; known: perfect, trailing=WEEKS, table")
    return "trailing", int(back)


def _check_forecast(text: str) -> str:
    parse_forecast(text)
    return text


def _check_commit(weeks: int) -> int:
    if weeks not in (1, 6):
        raise typer.BadParameter(f"{weeks}: 1 (this week's order) or 6 (the whole window)")
    return weeks


def _check_churn(price: float) -> float:
    if not 0.0 <= price < math.inf:
        raise typer.BadParameter(f"{price:g}: a finite price of at least 0 [currency/unit]")
    return price


def roll(
    fleet: FleetFolder,
    run: RunFolder,
    *,
    weeks: Annotated[int, typer.Option(min=1, help="How many weeks to place orders in.")] = 9,
    start: Annotated[
        int, typer.Option(min=0, help="Week of the demand table in which the first order is placed.")
    ] = 0,
    window: Annotated[int, typer.Option(min=1, help="Weeks planned ahead, this one first.")] = 6,
    commit: Annotated[
        int,
        typer.Option(
            callback=_check_commit,
            metavar="1|6",
            help="What binds: 1, this week's order; 6, all weeks of the window.",
        ),
    ] = 1,
    policy: Annotated[
        Policy,
        typer.Option(
            help="Just in time: the retailer's best plan, or up to a target position, FLEET's or by --cover."
        ),
    ] = "best",
    cover: Annotated[
        int, typer.Option(min=1, help="Weeks of forecast that a position covers where FLEET has no target.")
    ] = 1,
    forecast: Annotated[
        str,
        typer.Option(
            callback=_check_forecast,
            metavar="perfect|trailing=WEEKS|table",
            help="What is known of demand: all of it, the mean of the weeks before, or FLEET's forecasts.",
        ),
    ] = "perfect",
    capacity: Annotated[
        Capacity,
        typer.Option(
            help="What is expected of vendors' capacity in later weeks: what FLEET says, or this week's."
        ),
    ] = "known",
    churn: Annotated[
        float,
        typer.Option(
            callback=_check_churn,
            metavar="PRICE",
            help="What moving a unit of the plan of record costs the retailer.",
        ),
    ] = 0.0,
    fee: Fees = [],  # noqa: B006  (typer copies it)
    tolerance: Tolerance = _SOLVE.tolerance,
    max_rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Rounds before a contract is given up for a week.")
    ] = _MOST_ROUNDS,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last whole week in RUN.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad products out.")] = False,
    device: Annotated[Device | None, typer.Option(help="Where to solve; JAX's choice by default.")] = None,
    config: Config = None,  # noqa: ARG001  (its callback reads the file)
    as_json: Json = False,
) -> None:
    """Plan week after week: orders, transfers, and what then happens.

    FLEET's demand table spans the weeks to come; RUN receives a folder a week, summary and run.json.
    Every week is planned a window ahead on the forecast, one order is issued, demand comes as the
    table says, and the same weeks without coordination are kept beside it.
    """
    kind, back = parse_forecast(forecast)
    settings = RollSettings(
        weeks=weeks, start=start, window=window, commit=1 if commit == 1 else window, policy=policy,
        cover=cover, forecast=kind, trailing=back, capacity=capacity, churn=churn,
        solve=Settings(fees=parse_fees(fee), tolerance=tolerance, max_rounds=max_rounds),
    )  # fmt: skip
    document, currency = _roll(fleet, run, settings, resume=resume, skip_bad=skip_bad, device=device)
    status = _report(document, currency, run, as_json=as_json)
    if status is not Status.DONE:
        raise typer.Exit(status)


def _roll(
    fleet_folder: Path,
    run_folder: Path,
    settings: RollSettings,
    *,
    resume: bool,
    skip_bad: bool,
    device: Device | None,
) -> tuple[dict[str, Any], str]:
    """Read, roll, write week by week; run.json's content and the currency."""
    from jaxcpp import tables
    from jaxcpp.fleet.contracts import CoupledContractsError, contracts_alone
    from jaxcpp.fleet.fees import check_fees
    from jaxcpp.fleet.rules import FeeError
    from jaxcpp.fleet.told import check_roll

    started = time.perf_counter()
    try:
        fleet, _ = tables.read_fleet(fleet_folder, skip_bad=skip_bad)
        check_roll(settings, fleet)
        check_fees(settings.solve.fees, fleet)
        contracts_alone(fleet)
        info = {
            "version": jaxcpp.__version__,
            "settings": dataclasses.asdict(settings),
            "fleet_fingerprint": fleet.fingerprint,
        }
        last = tables.begin_roll(run_folder, info, resume=resume)
    except (
        tables.FleetError, tables.RunFolderError, tables.ResumeError,
        RollError, CoupledContractsError, FeeError,
    ) as error:  # fmt: skip
        fail(str(error), Status.BAD_INPUT)
    backend.start(device)
    seconds = _weeks(fleet, run_folder, settings, last)
    summary = _summary(run_folder, settings)
    facts = info | {
        "fleet": fleet.name,
        "currency": fleet.currency,
        "first_week": fleet.first_week,
        "seconds": {**seconds, "total": time.perf_counter() - started},
        "contracts": int(summary["contracts"][0]),
        "not_certified": int((summary["contracts"] - summary["certified"]).sum()),
        "worst_efficiency_gap": float(summary["worst_efficiency_gap"].max()),
        "weeks": [
            {name: values[row].item() for name, values in summary.items()}
            for row in range(len(summary["week"]))
        ],
    }
    tables.finish_roll(run_folder, summary, facts)
    return facts, fleet.currency


def _weeks(fleet: Fleet, folder: Path, settings: RollSettings, last: int | None) -> dict[str, float]:
    """Roll and write the weeks that are not there yet; the seconds of each."""
    from rich.console import Console

    from jaxcpp import tables
    from jaxcpp.cli.progress import progress_bar
    from jaxcpp.fleet.roll import Roll
    from jaxcpp.fleet.roll_layout import states_of, week_columns

    seconds: dict[str, float] = {}
    rolling = Roll(fleet, settings)
    first = settings.start if last is None else last + 1
    states = rolling.start() if last is None else states_of(rolling, tables.read_week(folder, last, "state"))
    begun = time.perf_counter()

    def write(week: int, done: list[WeekDone]) -> None:
        nonlocal begun
        tables.write_week(folder, week, week_columns(rolling, week, done))
        seconds[f"week {week}"], begun = time.perf_counter() - begun, time.perf_counter()

    with progress_bar(Console(stderr=True)) as on_progress:
        rolling.all_weeks(states, first, write, on_progress)
    return seconds


def _summary(folder: Path, settings: RollSettings) -> Columns:
    """One row a week, from what the weeks' own tables hold."""
    from jaxcpp import tables
    from jaxcpp.fleet.roll_layout import summary_columns, summary_row

    rows: list[Columns] = []
    for week in range(settings.start, settings.start + settings.weeks):
        contracts, plans = (tables.read_week(folder, week, name) for name in ("contracts", "plans"))
        rows.append(summary_row(week, contracts, plans, rows[-1] if rows else None))
    return summary_columns(rows)


def _report(document: dict[str, Any], currency: str, folder: Path, *, as_json: bool) -> Status:
    """Print the weeks; the exit status."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        shown = {
            "week": "week", "gain so far": "cumulative_gain", "vendors so far": "cumulative_supplier_surplus",
            "retailer so far": "cumulative_retailer_gain", "transfers": "cbt", "paid": "paid",
            "settled": "settled", "churn": "churn",
        }  # fmt: skip
        for name in shown:
            table.add_column(name, justify="right")
        for row in document["weeks"]:
            numbers = (round(row[name], 2) + 0.0 for name in list(shown.values())[1:])  # never -0.00
            table.add_row(str(row["week"]), *(f"{number:,.2f}" for number in numbers))
        show(table)
        console = Console()
        money = f" {currency}" if currency else ""
        console.print(
            f"{document['contracts']:,} contracts, {len(document['weeks'])} weeks; money in{money}, against "
            f"the same demand just in time; churn in units; worst certificate "
            f"{document['worst_efficiency_gap']:.1e} of chain cost; "
            f"{document['seconds']['total']:.1f} seconds"
        )
        typer.echo(f"written to {folder}")
    if document["not_certified"]:
        typer.echo(f"{document['not_certified']:,} contracts and weeks are not certified", err=True)
        return Status.NOT_CERTIFIED
    return Status.DONE
