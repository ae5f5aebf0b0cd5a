"""Checks that everything asked for can be offered, shipped and delivered at all."""

from __future__ import annotations

import numpy as np

from jaxcpp.tables.frames import NULL, Frame, Frames, Mask
from jaxcpp.tables.keys import first_rows, occurs
from jaxcpp.tables.problems import Positions, Report

PAIR = ("vendor_id", "source_id")


def check_coverage(frames: Frames, report: Report) -> None:
    """Runs each check whose columns are there."""
    if frames.has("demand", "product_id", "units") and frames.has("offers", "product_id"):
        _check_offered(frames, _asked(frames, frames.tables["demand"]), report)
    if frames.has("outbound_lanes", "region_id", "product_id"):
        for table in ("demand", "forecast"):
            if frames.has(table, "product_id", "region_id", "units"):
                _check_regions(frames, frames.tables[table], report)
    if (
        frames.has("targets", "product_id", "inbound_id", "units")
        and frames.has("offers", "vendor_id", "product_id")
        and frames.has("inbound_lanes", "vendor_id", "inbound_id", "product_id")
        and frames.has("outbound_lanes", "inbound_id")
    ):
        _check_targets(frames, report)
    if (
        frames.has("offers", "vendor_id", "product_id")
        and frames.has("sources", *PAIR, "product_id", "week")
        and frames.has("inbound_lanes", *PAIR, "product_id")
        and frames.has("demand", "week")
    ):
        _check_sources(frames, report)


def window(frames: Frames) -> int:
    """The number of weeks: one more than the last week that `demand` names, in the whole fleet."""
    if frames.part is not None:
        return frames.part.weeks
    demand = frames.tables["demand"]
    return int(demand.numbers["week"][demand.good["week"]].max(initial=-1)) + 1


def _known(frames: Frames, frame: Frame) -> Mask:
    """Rows of a known product; any product is known where `products` does not say."""
    if not frames.has("products", "product_id"):
        return frame.good["product_id"]
    return frame.good["product_id"] & np.isin(
        frame.codes["product_id"], frames.tables["products"].codes["product_id"]
    )


def _asked(frames: Frames, frame: Frame) -> Positions:
    """Rows for more than 0 units of a known product."""
    return np.flatnonzero(_known(frames, frame) & frame.good["units"] & (frame.numbers["units"] > 0))


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


def _check_regions(frames: Frames, frame: Frame, report: Report) -> None:
    """Every region that demand or a forecast speaks of has a lane."""
    lanes, asked, word = frames.tables["outbound_lanes"], _asked(frames, frame), frame.spec.name
    rows = asked[frame.good["region_id"][asked]]
    product, region = frame.codes["product_id"], frame.codes["region_id"]
    open_ = lanes.usable("region_id", "product_id")
    reached = _reached(
        region[rows], product[rows], lanes.codes["region_id"][open_], lanes.codes["product_id"][open_]
    )
    bad, _ = first_rows([product, region], rows[~reached])
    if len(bad):
        report.findings.append(
            frame.finding(
                "region_id",
                bad,
                lambda k: (
                    "no outbound lane reaches "
                    f"{frames.label(frame, ['region_id'], int(bad[k]))} for "
                    f"{frames.label(frame, ['product_id'], int(bad[k]))}"
                ),
                remedy=f"add a row to outbound_lanes, or take the {word} out",
                many=f"regions with {word} that no lane reaches",
            )
        )


def _check_targets(frames: Frames, report: Report) -> None:
    """A position can be raised only where a vendor of the product delivers."""
    targets, offers, lanes = (frames.tables[name] for name in ("targets", "offers", "inbound_lanes"))
    asked = _asked(frames, targets)
    product, inbound = targets.codes["product_id"], targets.codes["inbound_id"]
    serves = frames.tables["outbound_lanes"].codes["inbound_id"]  # else the id is told of already
    known = targets.good["inbound_id"] & np.isin(inbound, serves)
    rows = asked[known[asked]]
    usable = lanes.usable("vendor_id", "inbound_id", "product_id")
    reached = np.zeros(len(rows), dtype=bool)
    for vendor in np.unique(offers.codes["vendor_id"][offers.usable("vendor_id", "product_id")]):
        goes = usable & (lanes.codes["vendor_id"] == vendor)
        here = _reached(
            inbound[rows], product[rows], lanes.codes["inbound_id"][goes], lanes.codes["product_id"][goes]
        )
        sold = offers.codes["product_id"][offers.codes["vendor_id"] == vendor]
        reached |= here & np.isin(product[rows], sold)
    bad, _ = first_rows([product, inbound], rows[~reached])
    if len(bad):
        report.findings.append(
            targets.finding(
                "inbound_id",
                bad,
                lambda k: (
                    f"no vendor of {frames.label(targets, ['product_id'], int(bad[k]))} delivers to "
                    f"{frames.label(targets, ['inbound_id'], int(bad[k]))}"
                ),
                remedy="add a row to inbound_lanes, or take the target out",
                many="targets that no vendor can fill",
            )
        )


def _reached(place: Positions, product: Positions, places: Positions, products: Positions) -> Mask:
    """Whether (place, product) is among the rows, where a row may speak for every product."""
    shared = np.isin(place, places[products == NULL])
    return shared | occurs([place, product], [places, products])


def _check_sources(frames: Frames, report: Report) -> None:
    """Every offer needs a source with a capacity in the window and an inbound lane."""
    offers = frames.tables["offers"]
    ours = offers.good["vendor_id"] & _known(frames, offers)
    if offers.has("margin") and not offers.spec.by_name["margin"].required:
        ours &= ~offers.nulls["margin"]  # the others' vendors keep their sources at home
    rows = np.flatnonzero(ours)
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
