"""What a roll is told of the weeks to come: forecasts and target positions from the fleet's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import EVERY, Fleet, Floats, Ints
from jaxcpp.fleet.roll_settings import RollError, RollSettings, check_weeks

NAMED = 5
"""Products named in a message; the others are counted."""


@dataclass(frozen=True)
class Told:
    """Forecasts of a group's contracts, one entry for each row of the table."""

    lane: Index
    region: Index  # position among the lane's regions
    made_in: Ints
    week: Ints
    units: Floats

    def of(self, week: int, into: Floats, weeks: int) -> Floats:
        """`into` (lane, region, window) with what the last forecasts made by `week` say [units].

        What such a forecast does not speak of is not expected; nothing is after the table's last week.
        """
        last = np.full(len(into), -1, np.int32)
        known = self.made_in <= week
        np.maximum.at(last, self.lane[known], self.made_in[known])
        ahead = self.week - week
        now = (self.made_in == last[self.lane]) & (ahead >= 0) & (ahead < into.shape[2]) & (self.week < weeks)
        into[self.lane[now], self.region[now], ahead[now]] = self.units[now]
        return into


def check_roll(settings: RollSettings, fleet: Fleet) -> None:
    """Refuse what cannot be rolled on a fleet's tables.

    Raises:
        RollError: says which weeks, forecasts or settings there are, and what to ask for instead.
    """
    check_weeks(settings, fleet.weeks)
    if settings.forecast != "table":
        return
    if not len(fleet.forecast.product):
        raise RollError(
            "the fleet has no forecast table; add forecast.parquet or forecast.csv with the columns "
            "product_id, region_id, made_in, week and units, or take another --forecast"
        )
    early = fleet.forecast.product[fleet.forecast.made_in <= settings.start]
    missing = fleet.product_ids[np.setdiff1d(fleet.offers.product, early)]
    if len(missing):
        more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
        raise RollError(
            f"the forecast table has no row made in week {settings.start} or before for product_id "
            f"{', '.join(map(repr, missing[:NAMED].tolist()))}{more}; add one (of 0 units where nothing is "
            f"expected), or say a later --start"
        )


def regions_of(fleet: Fleet, product: int, settings: RollSettings) -> Ints:
    """The regions that a product's demand, or where they are used its forecasts, speak of; sorted."""
    known = fleet.demand.region[_rows(fleet.demand.product, product)]
    if settings.forecast == "table":
        known = np.append(known, fleet.forecast.region[_rows(fleet.forecast.product, product)])
    return np.unique(known)


def forecasts_of(
    fleet: Fleet, product: int, lane: int, regions: Ints, settings: RollSettings
) -> tuple[Any, ...]:
    """The columns of `Told` for one lane; no rows where the table is not used."""
    table = fleet.forecast
    rows = _rows(table.product, product) if settings.forecast == "table" else slice(0)
    region = np.searchsorted(regions, table.region[rows])
    return np.full(len(region), lane), region, table.made_in[rows], table.week[rows], table.units[rows]


def targets_of(fleet: Fleet, product: int, weeks: int) -> Floats:
    """A product's targets (inbound node of the fleet, week) [units].

    NaN where the table does not speak of the product at all; where it does, nothing is wanted but what
    it says, and nothing after the demand table's last week. A week's own row wins.
    """
    table = fleet.targets
    rows = _rows(table.product, product)
    found = np.full((len(fleet.inbound_ids), weeks), np.nan if rows.start == rows.stop else 0.0)
    inbound, week, units = table.inbound[rows], table.week[rows], table.units[rows]
    always, own = week == EVERY, (week != EVERY) & (week < fleet.weeks)
    found[inbound[always], : fleet.weeks] = units[always, None]
    found[inbound[own], week[own]] = units[own]
    return found


def _rows(product: Ints, wanted: int) -> slice:
    """The rows of one product in a table that is sorted by product first."""
    return slice(*np.searchsorted(product, (wanted, wanted + 1)).tolist())
