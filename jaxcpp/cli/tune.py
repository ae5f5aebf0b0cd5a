"""`jaxcpp tune`: the additive fee that is best on a prior over the vendors' costs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import jaxcpp
from jaxcpp.cli import backend
from jaxcpp.cli.options import Device, FleetFolder, Json, RunFolder, Tolerance, check_plot
from jaxcpp.cli.status import Status, fail
from jaxcpp.cli.toml import read_toml
from jaxcpp.fleet.settings import Settings

if TYPE_CHECKING:
    from jaxcpp.fleet.prior import Prior
    from jaxcpp.fleet.results import Columns
    from jaxcpp.fleet.tune import By

TOLERANCE = 1e-4
MOST_SHOWN = 20
"""Groups in the printed table; the file holds them all."""


def parse_prior(path: Path) -> Prior:
    """The prior that a TOML file describes. Raises typer.BadParameter where it is none."""
    from jaxcpp.fleet.prior import Prior

    held = read_toml(path)
    if unknown := sorted(set(held) - {"common", "own", "segments"}):
        raise typer.BadParameter(f"{path} sets {', '.join(unknown)}; known names: common, own, segments")
    named = held.get("segments", {})
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise typer.BadParameter(f'{path}: [segments] holds vendor = "segment"')
    numbers = {name: held.get(name, 0.0) for name in ("common", "own")}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise typer.BadParameter(f"{path}: {name} must be a number")
    return Prior(float(numbers["common"]), float(numbers["own"]), named)


def _check_fee(text: str) -> str:
    if text != "additive":
        raise typer.BadParameter(f"'{text}' cannot be tuned: only additive can, which moves no plan")
    return text


def tune(
    fleet: FleetFolder,
    run: RunFolder,
    *,
    prior: Annotated[
        Path,
        typer.Option(
            metavar="PRIOR.toml", help="What is believed of the vendors' costs: common, own, [segments]."
        ),
    ],
    fee: Annotated[str, typer.Option(callback=_check_fee, help="What is tuned: additive.")] = "additive",
    by: Annotated[
        str,
        typer.Option(help="One fee for the whole fleet, or one a segment or vendor (fleet|segment|vendor)."),
    ] = "fleet",
    weight: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of what vendors keep, beside the fees taken.")
    ] = 0.0,
    floor: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Least share of the contracts with a gain that must accept."),
    ] = 0.0,
    draws: Annotated[int, typer.Option(min=2, metavar="N", help="Draws of the prior to tune on.")] = 16,
    fresh: Annotated[int, typer.Option(min=2, metavar="N", help="Fresh draws to judge the fee on.")] = 16,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the draws.")] = 0,
    tolerance: Tolerance = TOLERANCE,
    plot: Annotated[
        bool, typer.Option("--plot/--no-plot", help="Draw tune.svg (needs matplotlib: the extra `plot`).")
    ] = True,
    device: Annotated[
        Device | None, typer.Option(envvar="JAXCPP_DEVICE", help="Where to solve; JAX's choice by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tune an additive fee on a prior over the vendors' costs, and judge it on fresh draws.

    RUN receives tune.parquet, curve.parquet, run.json and tune.svg.
    """
    from rich.console import Console
    from rich.progress import Progress

    from jaxcpp import tables
    from jaxcpp.fleet.contracts import CoupledContractsError
    from jaxcpp.fleet.prior import PriorError, segments

    if by not in ("fleet", "segment", "vendor"):
        raise typer.BadParameter(f"'{by}' is none of fleet, segment, vendor", param_hint="--by")
    check_plot(plot)
    started = time.perf_counter()
    believed = parse_prior(prior)
    try:
        tables.check_run_folder(run)
        read, _ = tables.read_fleet(fleet)
        segments(believed, read)
    except (tables.FleetError, tables.RunFolderError, PriorError) as error:
        fail(str(error), Status.BAD_INPUT)
    backend.start(device)
    from jaxcpp.fleet.tune import Goal, gains, groups_of, tune_fees

    settings, console = Settings(tolerance=tolerance), Console(stderr=True)
    kind: By = by  # type: ignore[assignment]
    try:
        names, group = groups_of(read, believed, kind)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("draws of the prior", total=draws + fresh)
            seen, judged = (
                gains(read, believed, count, at, settings, lambda: bar.advance(task))
                for count, at in ((draws, 2 * seed), (fresh, 2 * seed + 1))
            )
    except CoupledContractsError as error:
        fail(str(error), Status.BAD_INPUT)
    tuned = tune_fees(seen, judged, names, group, Goal(kind, weight, floor), seed)
    totals = {name: float(sum(tuned.groups[name])) for name in ("take", "kept", "grid_take", "grid_kept")}
    facts = {
        "version": jaxcpp.__version__,
        "fleet_fingerprint": read.fingerprint,
        "settings": {
            "fee": fee, "by": by, "weight": weight, "floor": floor, "draws": draws, "fresh": fresh,
            "seed": seed, "tolerance": tolerance, "common": believed.common, "own": believed.own,
            "segments": dict(believed.segments),
        },
        "currency": read.currency,
        "tuned": totals,
        "seconds": {"total": time.perf_counter() - started},
    }  # fmt: skip
    tables.write_tune({"tune": tuned.groups, "curve": tuned.curve}, run, facts)
    if plot:
        from jaxcpp.cli.tune_plot import draw

        draw(tuned, read.currency, run / "tune.svg")
    if as_json:
        typer.echo(json.dumps(facts["tuned"], indent=2))
        return
    Console().print(_table(tuned.groups))
    typer.echo(
        f"on fresh draws the fees take {totals['take']:,.2f} {read.currency} and leave the vendors "
        f"{totals['kept']:,.2f}; a plain grid of fees takes {totals['grid_take']:,.2f}"
    )
    typer.echo(f"written to {run}")


def _table(groups: Columns) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("group")
    for name in ("fee", "+-", "take", "+-", "accept %", "grid's fee", "its take"):
        table.add_column(name, justify="right")
    shown = ("fee", "fee_error", "take", "take_error")
    for row in range(min(len(groups["group"]), MOST_SHOWN)):
        table.add_row(
            str(groups["group"][row]),
            *(f"{groups[name][row]:,.2f}" for name in shown),
            f"{100.0 * groups['participation'][row]:.1f}",
            *(f"{groups[name][row]:,.2f}" for name in ("grid_fee", "grid_take")),
        )
    if len(groups["group"]) > MOST_SHOWN:
        table.add_row(f"and {len(groups['group']) - MOST_SHOWN:,} more")
    return table
