"""`jaxcpp tune`: the fee that is best on a prior over the vendors' costs."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import jaxcpp
from jaxcpp.cli import backend
from jaxcpp.cli.fees import fee_file
from jaxcpp.cli.options import FleetFolder, Json, RunFolder, Tolerance, Where, check_plot
from jaxcpp.cli.shown import show
from jaxcpp.cli.status import Status, fail
from jaxcpp.cli.toml import read_toml
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from jaxcpp.fleet.prior import Prior
    from jaxcpp.fleet.tune import By, Tuned
    from jaxcpp.fleet.worlds import Number, Worlds

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


KINDS: dict[str, tuple[Number, ...]] = {
    "additive": ("additive",),
    "multiplicative": ("multiplicative",),
    "roi": ("roi",),
    "deviation": ("over", "under"),
    "deviation=over": ("over",),
    "deviation=under": ("under",),
}
"""Fees that can be tuned, and their numbers."""

_ADDITIVE = ["additive"]


def parse_kinds(texts: list[str]) -> tuple[Number, ...]:
    """The numbers that the values of `--fee` leave to be tuned. Raises typer.BadParameter for other words."""
    for text in texts:
        if text == "roi-ex-post":
            raise typer.BadParameter("'roi-ex-post' cannot be tuned: vendors would not answer truthfully")
        if text not in KINDS:
            raise typer.BadParameter(f"'{text}' cannot be tuned; what can: {', '.join(KINDS)}")
    if {"multiplicative", "roi"} <= set(texts):
        raise typer.BadParameter("multiplicative and roi charge the same: tune one of them")
    return tuple(dict.fromkeys(number for text in texts for number in KINDS[text]))


def _check_kinds(texts: list[str]) -> list[str]:
    parse_kinds(texts)
    return texts


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
    fee: Annotated[
        list[str],
        typer.Option(
            "--fee",
            callback=_check_kinds,
            metavar="KIND",
            help="What is tuned: additive, multiplicative, roi, deviation, deviation=over or "
            "deviation=under. Several add up.",
        ),
    ] = _ADDITIVE,
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
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Contracts looked at in each draw; all by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the draws.")] = 0,
    tolerance: Tolerance = TOLERANCE,
    plot: Annotated[
        bool, typer.Option("--plot/--no-plot", help="Draw tune.svg (needs matplotlib: the extra `plot`).")
    ] = True,
    device: Where = None,
    as_json: Json = False,
) -> None:
    """Tune a fee on a prior over the vendors' costs, and judge it on fresh draws.

    RUN receives tune.parquet, fees.parquet, curve.parquet, run.json, tune.svg, and fees.toml for jaxcpp plan.
    """
    from rich.console import Console

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
    from jaxcpp.fleet.tune import Goal, groups_of, tune_fees
    from jaxcpp.fleet.worlds import draw_worlds

    settings, numbers = Settings(tolerance=tolerance), parse_kinds(fee)
    kind: By = by  # type: ignore[assignment]
    try:
        names, group = groups_of(read, believed, kind)
        with progress(Console(stderr=True), read.currency) as tell:

            def worlds(count: int, at: int, before: int) -> Worlds:
                drawn = itertools.count(before + 1)
                return draw_worlds(
                    read, believed, count, at, settings, numbers, (group, len(names)), sample,
                    lambda: tell("draws of the prior", next(drawn), draws + fresh, None),
                )  # fmt: skip

            seen, judged = worlds(draws, 2 * seed, 0), worlds(fresh, 2 * seed + 1, draws)
            tuned = tune_fees(seen, judged, numbers, names, Goal(kind, weight, floor), seed, tell)
    except CoupledContractsError as error:
        fail(str(error), Status.BAD_INPUT)
    totals = {name: float(sum(tuned.groups[name])) for name in ("take", "kept", "grid_take", "grid_kept")}
    facts = {
        "version": jaxcpp.__version__,
        "fleet_fingerprint": read.fingerprint,
        "settings": {
            "fee": fee, "by": by, "weight": weight, "floor": floor, "draws": draws, "fresh": fresh,
            "sample": sample, "seed": seed, "tolerance": tolerance,
            "common": believed.common, "own": believed.own, "segments": dict(believed.segments),
        },
        "currency": read.currency,
        "tuned": totals,
        "seconds": {"total": time.perf_counter() - started},
    }  # fmt: skip
    tables.write_tune({"tune": tuned.groups, "fees": tuned.fees, "curve": tuned.curve}, run, facts)
    (run / "fees.toml").write_text(fee_file(_rules(tuned, numbers, by, believed)), encoding="utf-8")
    if plot:
        from jaxcpp.cli.tune_plot import draw

        draw(tuned, numbers, read.currency, run / "tune.svg")
    if as_json:
        typer.echo(json.dumps(facts["tuned"], indent=2))
        return
    show(_table(tuned, numbers))
    typer.echo(
        f"on fresh draws the fees take {totals['take']:,.2f} {read.currency} and leave the vendors "
        f"{totals['kept']:,.2f}; a plain grid of fees takes {totals['grid_take']:,.2f}"
    )
    typer.echo(f"written to {run}")


@contextmanager
def progress(console: Console, currency: str) -> Iterator[Callable[[str, int, int, float | None], None]]:
    """A bar with the objective, fed by the function it yields; without a terminal it shows nothing."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}"), TextColumn("{task.fields[state]}")
    columns = text[0], BarColumn(bar_width=24), MofNCompleteColumn(), text[1], TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("draws of the prior", total=None, state="")

        def tell(what: str, done: int, total: int, objective: float | None) -> None:
            state = "" if objective is None else f"objective {objective:,.2f} {currency}"
            bar.update(task, description=what, total=total, completed=done, state=state)

        yield tell


def _rules(tuned: Tuned, numbers: tuple[Number, ...], by: str, prior: Prior) -> list[FeeRule]:
    """The fees chosen, as rules for everyone and by vendor."""
    from jaxcpp.fleet.prior import OTHERS

    rules = []
    for row, name in enumerate(tuned.groups["group"]):
        fee = tuned.fees["fee"][row * len(numbers) : (row + 1) * len(numbers)]
        amounts: dict[str, Any] = dict(zip(numbers, map(float, fee), strict=True))
        members = [vendor for vendor, segment in prior.segments.items() if segment == name]
        everyone = by == "fleet" or (by == "segment" and name == OTHERS)
        vendors = [""] if everyone else [name] if by == "vendor" else members
        rules += [FeeRule(vendor=str(vendor), **amounts) for vendor in vendors]
    return rules


def _table(tuned: Tuned, numbers: tuple[Number, ...]) -> Any:
    from rich.table import Table

    groups, fees = tuned.groups, tuned.fees
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("group")
    for name in (
        *(part for number in numbers for part in (number, "+-")),
        "take",
        "+-",
        "accept %",
        "grid's take",
    ):
        table.add_column(name, justify="right")
    for row in range(min(len(groups["group"]), MOST_SHOWN)):
        mine = range(row * len(numbers), (row + 1) * len(numbers))
        table.add_row(
            str(groups["group"][row]),
            *(f"{fees[name][at]:,.4g}" for at in mine for name in ("fee", "fee_error")),
            *(f"{groups[name][row]:,.2f}" for name in ("take", "take_error")),
            f"{100.0 * groups['participation'][row]:.1f}",
            f"{groups['grid_take'][row]:,.2f}",
        )
    if len(groups["group"]) > MOST_SHOWN:
        table.add_row(f"and {len(groups['group']) - MOST_SHOWN:,} more")
    return table
