"""From checked frames to a Fleet: canonical order, positions for ids, shares, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.data import (
    EVERY,
    Demand,
    Fleet,
    Floats,
    Forecasts,
    InboundLanes,
    Ints,
    Inventory,
    Offers,
    OutboundLanes,
    Products,
    Sources,
    Targets,
)
from jaxcpp.tables.coverage import window
from jaxcpp.tables.frames import NULL, Frame, Frames, Mask
from jaxcpp.tables.keys import occurs
from jaxcpp.tables.problems import Positions
from jaxcpp.tables.schema import FLEET


@dataclass
class _Cut:
    """The rows of a frame that stay, as positions; without a frame there are none."""

    frame: Frame | None
    rows: Positions

    def keep(self, chosen: Mask) -> None:
        self.rows = self.rows[chosen]

    def codes(self, column: str) -> Positions:
        return self.rows if self.frame is None else self.frame.codes[column][self.rows]

    def numbers(self, column: str) -> Floats:
        if self.frame is None:
            return np.zeros(0)
        return self.frame.numbers[column][self.rows] + 0.0  # turns -0.0 into 0.0


Cuts = Mapping[str, _Cut]


def _names_of(frames: Frames, column: str) -> NDArray[np.str_]:
    """The names of an identifier column; none where no table has it."""
    return frames.names.get(column, np.zeros(0, dtype=str))


class _Ids:
    """The ids that the kept rows use, sorted, and where each stands; as codes into the frames' names."""

    def __init__(self, cuts: Cuts, frames: Frames) -> None:
        self.base = len(_names_of(frames, "source_id")) + 1
        self.product = np.unique(cuts["products"].codes("product_id"))
        self.vendor = np.unique(cuts["offers"].codes("vendor_id"))
        self.region = _union(cuts, "region_id", "demand", "outbound_lanes", "forecast")
        self.inbound = _union(cuts, "inbound_id", "outbound_lanes", "inbound_lanes", "inventory", "targets")
        self.source = np.unique(self.pair(cuts["sources"]))

    def pair(self, cut: _Cut) -> Positions:
        """One integer for each row's vendor and source, in the order of (vendor, source)."""
        return cut.codes("vendor_id") * self.base + cut.codes("source_id")

    def place(self, codes: Positions, kind: Positions) -> Ints:
        """Positions of the codes in one of the lists; EVERY where a code is null."""
        return np.where(codes == NULL, EVERY, np.searchsorted(kind, codes)).astype(np.int32)

    def columns(self, cut: _Cut, *names: str) -> dict[str, Ints]:
        """The id columns of the rows, by the names that they have in the Fleet."""
        found = {}
        for name in names:
            codes = self.pair(cut) if name == "source" else cut.codes(f"{name}_id")
            found[name] = self.place(codes, getattr(self, name))
        return found


def assemble(
    frames: Frames, rejected: Positions, texts: Mapping[str, str], weeks: int | None = None
) -> Fleet:
    """The fleet without the rejected products (positions in the names); `texts` is its `fleet.toml`.

    Every row of a product that stays must be free of problems. The window stays the one of all
    rows of demand: leaving a product out does not move the last week of the others. A vendor's own side
    has no demand: it says how many `weeks` its sources speak of.
    """
    weeks = window(frames) if weeks is None else weeks
    cuts = {
        name: _Cut(frame, np.flatnonzero(~np.isin(frame.codes["product_id"], rejected)))
        for name, frame in frames.tables.items()
    }
    for name in FLEET:
        cuts.setdefault(name, _Cut(None, np.zeros(0, dtype=np.int64)))
    _drop_idle(cuts, weeks)
    ids = _Ids(cuts, frames)
    fleet = Fleet(
        name=texts["name"],
        currency=texts["currency"],
        first_week=texts["first_week"],
        weeks=weeks,
        product_ids=_names_of(frames, "product_id")[ids.product],
        region_ids=_names_of(frames, "region_id")[ids.region],
        inbound_ids=_names_of(frames, "inbound_id")[ids.inbound],
        vendor_ids=_names_of(frames, "vendor_id")[ids.vendor],
        source_ids=_names_of(frames, "source_id")[ids.source % ids.base],
        source_vendor=ids.place(ids.source // ids.base, ids.vendor),
        products=_products(cuts["products"]),
        demand=_demand(cuts["demand"], ids),
        inventory=_inventory(cuts["inventory"], ids),
        targets=_targets(cuts["targets"], ids),
        forecast=_forecast(cuts["forecast"], ids),
        outbound_lanes=_outbound_lanes(cuts["outbound_lanes"], ids),
        offers=_offers(cuts["offers"], ids),
        sources=_sources(cuts["sources"], ids),
        inbound_lanes=_inbound_lanes(cuts["inbound_lanes"], ids),
        fingerprint="",
    )
    return replace(fleet, fingerprint=fingerprint(fleet))


def fingerprint(fleet: Fleet) -> str:
    """sha256 [hex] over the window, the ids and the columns; names and units of money do not count."""
    digest = hashlib.sha256(f"{fleet.weeks}".encode())
    for entry in fields(fleet):
        value = getattr(fleet, entry.name)
        if is_dataclass(value):
            for column in fields(value):
                _digest_column(digest, f"{entry.name}.{column.name}", getattr(value, column.name))
        elif isinstance(value, np.ndarray):
            _digest_column(digest, entry.name, value)
    return digest.hexdigest()


def _digest_column(digest: Any, name: str, column: np.ndarray[Any, Any]) -> None:
    if column.dtype.kind == "U":
        data = "\0".join(column.tolist()).encode()  # ids hold no NUL
    else:
        data = column.astype(column.dtype.newbyteorder("<")).tobytes()
    digest.update(f"\n{name} {column.dtype.kind} {len(column)}\n".encode())
    digest.update(data)


def _union(cuts: Cuts, column: str, *tables: str) -> Positions:
    return np.unique(np.concatenate([cuts[name].codes(column) for name in tables]))


def _drop_idle(cuts: Cuts, weeks: int) -> None:
    """Takes out rows that say nothing: zeros, weeks after the window, vendors and sources of no offer."""
    for name in ("demand", "inventory"):
        cuts[name].keep(cuts[name].numbers("units") > 0)
    sources, lanes = cuts["sources"], cuts["inbound_lanes"]
    sources.keep(sources.numbers("week") < weeks)
    sources.keep(np.isin(sources.codes("vendor_id"), cuts["offers"].codes("vendor_id")))
    pair = ("vendor_id", "source_id")
    lanes.keep(occurs([lanes.codes(name) for name in pair], [sources.codes(name) for name in pair]))


def _sort(cut: _Cut, *keys: Positions | Ints) -> None:
    """Brings the rows into the order of the keys, the first one foremost."""
    cut.rows = cut.rows[np.lexsort(keys[::-1])]


def _products(cut: _Cut) -> Products:
    _sort(cut, cut.codes("product_id"))
    return Products(
        weight=cut.numbers("weight_kg"),
        margin=cut.numbers("margin"),
        holding_cost=cut.numbers("holding_cost"),
        backlog_cost=cut.numbers("backlog_cost"),
        lost_sale_cost=cut.numbers("lost_sale_cost"),
        leftover_cost=cut.numbers("leftover_cost"),
    )


def _weeks(cut: _Cut, column: str = "week") -> Ints:
    return cut.numbers(column).astype(np.int32)


def _demand(cut: _Cut, ids: _Ids) -> Demand:
    _sort(cut, cut.codes("product_id"), _weeks(cut), cut.codes("region_id"))
    return Demand(**ids.columns(cut, "product", "region"), week=_weeks(cut), units=cut.numbers("units"))


def _inventory(cut: _Cut, ids: _Ids) -> Inventory:
    _sort(cut, cut.codes("product_id"), cut.codes("inbound_id"))
    return Inventory(**ids.columns(cut, "product", "inbound"), units=cut.numbers("units"))


def _targets(cut: _Cut, ids: _Ids) -> Targets:
    _sort(cut, cut.codes("product_id"), cut.codes("inbound_id"), _weeks(cut))
    return Targets(**ids.columns(cut, "product", "inbound"), week=_weeks(cut), units=cut.numbers("units"))


def _forecast(cut: _Cut, ids: _Ids) -> Forecasts:
    _sort(cut, cut.codes("product_id"), _weeks(cut, "made_in"), _weeks(cut), cut.codes("region_id"))
    return Forecasts(
        **ids.columns(cut, "product", "region"),
        made_in=_weeks(cut, "made_in"),
        week=_weeks(cut),
        units=cut.numbers("units"),
    )


def _outbound_lanes(cut: _Cut, ids: _Ids) -> OutboundLanes:
    _sort(cut, cut.codes("product_id"), cut.codes("inbound_id"), cut.codes("region_id"))
    return OutboundLanes(
        **ids.columns(cut, "product", "inbound", "region"),
        unit_cost=cut.numbers("unit_cost"),
        cost_per_kg=cut.numbers("cost_per_kg"),
    )


def _offers(cut: _Cut, ids: _Ids) -> Offers:
    _sort(cut, cut.codes("vendor_id"), cut.codes("product_id"))
    columns = ids.columns(cut, "vendor", "product")
    product, share = columns["product"], cut.numbers("share")
    equal = 1.0 / np.bincount(product, minlength=len(ids.product))[product]
    total = np.bincount(product, share, minlength=len(ids.product))[product]
    return Offers(
        **columns,
        margin=cut.numbers("margin"),
        holding_cost=cut.numbers("holding_cost"),
        share=np.where(np.isnan(share), equal, share / total),
    )


def _sources(cut: _Cut, ids: _Ids) -> Sources:
    _sort(cut, ids.pair(cut), cut.codes("product_id"), _weeks(cut))
    return Sources(
        **ids.columns(cut, "source", "product"), week=_weeks(cut), capacity=cut.numbers("capacity")
    )


def _inbound_lanes(cut: _Cut, ids: _Ids) -> InboundLanes:
    _sort(cut, ids.pair(cut), cut.codes("product_id"), cut.codes("inbound_id"))
    return InboundLanes(
        **ids.columns(cut, "source", "product", "inbound"),
        unit_cost=cut.numbers("unit_cost"),
        cost_per_kg=cut.numbers("cost_per_kg"),
    )
