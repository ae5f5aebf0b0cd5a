"""Checks that everything asked for can be offered, shipped and delivered at all."""

from __future__ import annotations

import numpy as np

from jaxcpp.tables.frames import NULL, Frame, Frames, Mask
from jaxcpp.tables.keys import first_rows, occurs
from jaxcpp.tables.problems import Positions, Report

PAIR = ("vendor_id", "source_id")


def check_coverage(frames: Frames, report: Report) -> None:
    """Runs each check whose columns are there."""
    if frames.has("demand", "product_id", "units"):
        asked = _asked(frames)
        if frames.has("offers", "product_id"):
            _check_offered(frames, asked, report)
        if frames.has("demand", "region_id") and frames.has("outbound_lanes", "region_id", "product_id"):
            _check_regions(frames, asked, report)
    if (
        frames.has("offers", "vendor_id", "product_id")
        and frames.has("sources", *PAIR, "product_id", "week")
        and frames.has("inbound_lanes", *PAIR, "product_id")
        and frames.has("demand", "week")
    ):
        _check_sources(frames, report)


def window(frames: Frames) -> int:
    """The number of weeks: one more than the last week that `demand` names."""
    demand = frames.tables["demand"]
    return int(demand.numbers["week"][demand.good["week"]].max(initial=-1)) + 1


def _known(frames: Frames, frame: Frame) -> Mask:
    """Rows of a known product; any product is known where `products` does not say."""
    if not frames.has("products", "product_id"):
        return frame.good["product_id"]
    return frame.good["product_id"] & np.isin(
        frame.codes["product_id"], frames.tables["products"].codes["product_id"]
    )


def _asked(frames: Frames) -> Positions:
    """Rows of demand for more than 0 units of a known product."""
    demand = frames.tables["demand"]
    return np.flatnonzero(_known(frames, demand) & demand.good["units"] & (demand.numbers["units"] > 0))


def _check_offered(frames: Frames, asked: Positions, report: Report) -> None:
    demand, product = frames.tables["demand"], frames.tables["demand"].codes["product_id"]
    missing = ~np.isin(product[asked], frames.tables["offers"].codes["product_id"])
    bad, _ = first_rows([product], asked[missing])
    if len(bad):
        report.findings.append(
            demand.finding(
                "product_id",
                bad,
                lambda k: (
                    f"{frames.label(demand, ['product_id'], int(bad[k]))} has demand but no vendor offers it"
                ),
                remedy="add a row to offers, or take its demand out",
                many="products with demand but without an offer",
            )
        )


def _check_regions(frames: Frames, asked: Positions, report: Report) -> None:
    demand, lanes = frames.tables["demand"], frames.tables["outbound_lanes"]
    rows = asked[demand.good["region_id"][asked]]
    product, region = demand.codes["product_id"], demand.codes["region_id"]
    open_ = lanes.usable("region_id", "product_id")
    reached = _reached(
        region[rows], product[rows], lanes.codes["region_id"][open_], lanes.codes["product_id"][open_]
    )
    bad, _ = first_rows([product, region], rows[~reached])
    if len(bad):
        report.findings.append(
            demand.finding(
                "region_id",
                bad,
                lambda k: (
                    "no outbound lane reaches "
                    f"{frames.label(demand, ['region_id'], int(bad[k]))} for "
                    f"{frames.label(demand, ['product_id'], int(bad[k]))}"
                ),
                remedy="add a row to outbound_lanes, or take the demand out",
                many="regions with demand that no lane reaches",
            )
        )


def _reached(place: Positions, product: Positions, places: Positions, products: Positions) -> Mask:
    """Whether (place, product) is among the rows, where a row may speak for every product."""
    shared = np.isin(place, places[products == NULL])
    return shared | occurs([place, product], [places, products])


def _check_sources(frames: Frames, report: Report) -> None:
    """Every offer needs a source with a capacity in the window and an inbound lane."""
    offers = frames.tables["offers"]
    rows = np.flatnonzero(offers.good["vendor_id"] & _known(frames, offers))
    vendors, products = _shipping(frames)
    reached = _reached(offers.codes["vendor_id"][rows], offers.codes["product_id"][rows], vendors, products)
    bad = rows[~reached]
    if len(bad):
        report.findings.append(
            offers.finding(
                "vendor_id, product_id",
                bad,
                lambda k: (
                    f"{frames.label(offers, ['vendor_id', 'product_id'], int(bad[k]))}: "
                    "the vendor has no source for it with both a capacity and an inbound lane"
                ),
                remedy="add rows to sources and inbound_lanes, or take the offer out",
                many="offers without a usable source",
            )
        )


def _shipping(frames: Frames) -> tuple[Positions, Positions]:
    """(vendor, product or NULL for every one) of the sources that have both a capacity and a lane.

    A capacity and a lane of one source meet when either speaks for every product or both name the same.
    """
    sources, lanes = frames.tables["sources"], frames.tables["inbound_lanes"]
    past = sources.good["week"] & (sources.numbers["week"] >= window(frames))
    room = _columns(sources, sources.usable(*PAIR, "product_id") & ~past)
    ways = _columns(lanes, lanes.usable(*PAIR, "product_id"))
    room_open, ways_open = [part[room[2] == NULL] for part in room], [part[ways[2] == NULL] for part in ways]
    met_room = occurs(room[:2], ways_open[:2]) | occurs(room, ways)
    met_ways = occurs(ways[:2], room_open[:2])
    vendors = np.concatenate([room[0][met_room], ways[0][met_ways]])
    return vendors, np.concatenate([room[2][met_room], ways[2][met_ways]])


def _columns(frame: Frame, rows: Mask) -> list[Positions]:
    return [frame.codes[name][rows] for name in (*PAIR, "product_id")]
