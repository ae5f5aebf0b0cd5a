"""Build the Iowa fleet from a year of public wholesale orders, by the rules of `examples/iowa/README.md`.

    python -m examples.build_iowa RAW examples/iowa             # the bundled nightly fleet
    python -m examples.build_iowa RAW examples/iowa-roll --first-week 33 --weeks 18 --every 8
    python -m examples.build_iowa RAW somewhere/else --shared   # one capacity a vendor source

RAW is a folder laid out as `iowa_raw.py` says. Orders, prices, sizes and shop positions are real.
Where goods enter, where vendors ship from, freight, capacity and the weekly costs are not in the
data: they follow from the rules and are hypothetical.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from examples.iowa_raw import Array, Raw, read_raw
from jaxcpp.tables import write_fleet

EARTH_RADIUS_MILES = 3958.8
ROAD_FACTOR = 1.2  # road miles per great-circle mile
KG_PER_LITRE = 1.87  # liquid and glass, per litre of bottle volume
TRUCK_KG = 19_000.0
TRUCK_COST_YEAR = 2022
ROUND_FILL = 0.35  # the retailer's delivery rounds run this full
HANDLING = 0.15  # currency / bottle sent to a region
INBOUND_NODES = 10
INBOUND_SPACING_MILES = 60.0  # great circle
VENDOR_MARGIN = 0.30  # of the bottle's cost
RETAILER_HOLDING, VENDOR_HOLDING, BACKLOG = 0.003, 0.002, 0.02  # of the bottle's cost, per week
SOURCE_SHARE, SOURCES_AT_MOST = 0.05, 6
DECIMALS = 6
RATE_DECIMALS = 9  # currency / kg

GATEWAYS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Johnson IA", "19103", ("IOWA",)),
    ("Wayne MI", "26163", ("CANADIAN",)),
    ("Moore TN", "47127", ("TENNESSEE",)),
    ("Webb TX", "48479", ("TEQUILA", "MEZCAL")),
    ("Duval FL", "12031", ("RUM",)),
    ("Union NJ", "34039", ("IMPORTED", "SCOTCH", "IRISH", "CREAM LIQ", "COFFEE", "TRIPLE")),
    ("Stanislaus CA", "06099", ("BRAND", "COCKTAIL")),
    ("Nelson KY", "21179", ("BOURBON", "RYE", "WHISKEY LIQ", "CORN")),
    ("Dearborn IN", "18029", ("BLENDED", "NEUTRAL", "GIN")),
    ("Platte MO", "29165", ("AMERICAN",)),
)
"""Source id, county FIPS, words of a category: the first row with a word in the category wins."""

NO_GATEWAY = -1


def gateway_of(category: str) -> int:
    """The row of `GATEWAYS` that a product category comes from, or `NO_GATEWAY`."""
    name = category.upper()
    for row, (_, _, words) in enumerate(GATEWAYS):
        if any(word in name for word in words):
            return row
    return NO_GATEWAY


def great_circle(lat_a: Array, lon_a: Array, lat_b: Array, lon_b: Array) -> Array:
    """Great-circle miles between points in degrees, by the haversine formula; broadcasts."""
    a, b, c, d = np.radians(lat_a), np.radians(lon_a), np.radians(lat_b), np.radians(lon_b)
    h = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_MILES * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0))))


@dataclass(frozen=True)
class Network:
    """The hypothetical part: where goods enter, and where each vendor ships from."""

    inbound: Array  # positions in Raw.county, largest first
    sources: dict[int, list[int]]  # vendor number -> rows of GATEWAYS, largest first
    home: Array  # row of GATEWAYS of each item: always a source of its vendor
    less_than_truck: dict[int, float]  # vendor number -> factor on its miles to the inbound nodes


def lay_out(raw: Raw) -> Network:
    """Inbound nodes, vendor sources and home gateways, from the whole year's bottles."""
    sold = np.bincount(raw.sale_county, raw.sale_bottles)
    inbound: list[int] = []
    for county in np.argsort(-sold, kind="stable"):
        there = great_circle(raw.lat[inbound], raw.lon[inbound], raw.lat[county], raw.lon[county])
        if len(inbound) < INBOUND_NODES and np.all(there >= INBOUND_SPACING_MILES):
            inbound.append(int(county))
    gateway = np.array([gateway_of(str(category)) for category in raw.category])
    known = gateway != NO_GATEWAY
    state_largest = np.argmax(np.bincount(gateway[known], raw.yearly[known], len(GATEWAYS)))
    sources: dict[int, list[int]] = {}
    factor: dict[int, float] = {}
    home = gateway.copy()
    for vendor in np.unique(raw.vendor).tolist():
        mine = raw.vendor == vendor
        bottles = np.bincount(gateway[mine & known], raw.yearly[mine & known], len(GATEWAYS))
        largest = int(np.argmax(bottles)) if bottles.any() else int(state_largest)
        bottles[largest] += raw.yearly[mine & ~known].sum()
        order = np.argsort(-bottles, kind="stable")[:SOURCES_AT_MOST]
        sources[vendor] = [int(g) for g in order if bottles[g] >= SOURCE_SHARE * bottles.sum()]
        home[mine & ~np.isin(gateway, sources[vendor])] = largest
        weekly_kg = np.sum(raw.yearly[mine] * KG_PER_LITRE * raw.litres[mine]) / raw.monday.size
        factor[vendor] = float(np.clip(np.sqrt(4 * TRUCK_KG / weekly_kg), 1.0, 8.0))
    return Network(np.array(inbound), sources, home, factor)


@dataclass(frozen=True)
class Window:
    """Demand in the weeks planned: one entry a (product, region, week) with bottles."""

    weeks: int
    product: Array  # positions in Raw.item of the products, ascending
    row_product: Array  # positions in `product`
    row_region: Array
    row_week: Array
    units: Array

    def weekly(self) -> Array:
        """Bottles by (product, week)."""
        shape = (self.product.size, self.weeks)
        flat = np.bincount(self.row_product * self.weeks + self.row_week, self.units, shape[0] * shape[1])
        return flat.reshape(shape)


def cut(raw: Raw, first_week: int, weeks: int, every: int = 1) -> Window:
    """The orders of weeks `first_week .. first_week + weeks - 1`, summed over a county's shops.

    Of the products with orders, by item number, one in `every` is kept, the first one foremost.
    """
    if weeks < 1 or not 0 <= first_week <= raw.monday.size - weeks:
        last = first_week + weeks - 1
        raise ValueError(f"weeks {first_week}..{last} are not within 0..{raw.monday.size - 1}")
    now = (raw.sale_week >= first_week) & (raw.sale_week < first_week + weeks)
    kept = np.unique(raw.sale_item[now])
    now &= np.isin(raw.sale_item, kept[np.argsort(raw.item[kept], kind="stable")][::every])
    product, at = np.unique(raw.sale_item[now], return_inverse=True)
    key = (at * raw.county.size + raw.sale_county[now]) * weeks + raw.sale_week[now] - first_week
    rows, inverse = np.unique(key, return_inverse=True)
    at, week = np.divmod(rows, weeks)
    at, region = np.divmod(at, raw.county.size)
    return Window(weeks, product, at, region, week, np.bincount(inverse, raw.sale_bottles[now]))


def build(raw: Raw, first_week: int, weeks: int, shared: bool = False, every: int = 1) -> dict[str, pa.Table]:
    """Every table of the fleet, by name, rows sorted by their key; one in `every` product is kept."""
    network, window = lay_out(raw), cut(raw, first_week, weeks, every)
    return {
        "products": _products(raw, window),
        "demand": _demand(raw, window),
        "outbound_lanes": _outbound_lanes(raw, network),
        "offers": _offers(raw, window),
        "sources": (_shared_sources if shared else _sources)(raw, network, window),
        "inbound_lanes": _inbound_lanes(raw, network, window),
    }


def _table(columns: dict[str, Any], key: list[str]) -> pa.Table:
    """Arrow columns, numbers rounded, rows sorted by `key` (nulls first)."""
    rounded: dict[str, Any] = {}
    for name, column in columns.items():
        decimals = RATE_DECIMALS if name == "cost_per_kg" else DECIMALS
        number = isinstance(column, np.ndarray) and column.dtype == np.float64
        rounded[name] = np.round(column, decimals) if number else column
    table = pa.table(rounded)
    return table.sort_by([(name, "ascending", "at_start") for name in key])


def _ids(numbers: Array) -> Array:
    return np.asarray(numbers).astype(str).astype(object)


def _products(raw: Raw, window: Window) -> pa.Table:
    p = window.product
    margin = raw.retail[p] - raw.cost[p]
    columns = {
        "product_id": _ids(raw.item[p]),
        "weight_kg": KG_PER_LITRE * raw.litres[p],
        "margin": margin,
        "holding_cost": RETAILER_HOLDING * raw.cost[p],
        "backlog_cost": BACKLOG * raw.cost[p],
        "lost_sale_cost": margin,
        "leftover_cost": np.full(p.size, np.inf),
    }
    return _table(columns, ["product_id"])


def names(raw: Raw, first_week: int, weeks: int, every: int = 1) -> pa.Table:
    """What the products and vendors of the window are called, beside the fleet's own tables."""
    p = cut(raw, first_week, weeks, every).product
    columns = {
        "product_id": _ids(raw.item[p]),
        "description": raw.description[p],
        "category": raw.category[p],
        "vendor_id": _ids(raw.vendor[p]),
        "vendor_name": raw.vendor_name[p],
    }
    return _table(columns, ["product_id"])


def _demand(raw: Raw, window: Window) -> pa.Table:
    columns = {
        "product_id": _ids(raw.item[window.product])[window.row_product],
        "region_id": raw.county[window.row_region],
        "week": window.row_week.astype(np.int32),
        "units": window.units,
    }
    return _table(columns, ["product_id", "region_id", "week"])


def _outbound_lanes(raw: Raw, network: Network) -> pa.Table:
    i, j = (x.ravel() for x in np.meshgrid(network.inbound, np.arange(raw.county.size), indexing="ij"))
    miles = great_circle(raw.lat[i], raw.lon[i], raw.lat[j], raw.lon[j])
    columns = {
        "inbound_id": raw.county[i],
        "region_id": raw.county[j],
        "unit_cost": np.full(i.size, HANDLING),
        "cost_per_kg": raw.truck_cost * ROAD_FACTOR * miles / (TRUCK_KG * ROUND_FILL),
    }
    return _table(columns, ["inbound_id", "region_id"])


def _offers(raw: Raw, window: Window) -> pa.Table:
    p = window.product
    columns = {
        "vendor_id": _ids(raw.vendor[p]),
        "product_id": _ids(raw.item[p]),
        "margin": VENDOR_MARGIN * raw.cost[p],
        "holding_cost": VENDOR_HOLDING * raw.cost[p],
    }
    return _table(columns, ["vendor_id", "product_id"])


def _sources(raw: Raw, network: Network, window: Window) -> pa.Table:
    """Each product's own capacity at each of its vendor's sources, week by week."""
    mean = raw.yearly[window.product] / raw.monday.size
    blocks: list[tuple[str, str, str, Array]] = []
    for p, asked, usual in zip(window.product, window.weekly(), mean, strict=True):
        gateways = network.sources[int(raw.vendor[p])]
        if len(gateways) == 1:
            capacity = {gateways[0]: np.maximum(1.5 * asked, 1.0)}
        else:
            home = np.maximum(np.minimum(1.2 * usual, 0.9 * asked), 0.5 * asked)
            other = np.maximum(1.2 * asked - home, 0.1 * asked) / (len(gateways) - 1)
            capacity = {g: home if g == network.home[p] else other for g in gateways}
        vendor, product = str(raw.vendor[p]), str(raw.item[p])
        blocks += [(vendor, GATEWAYS[g][0], product, units) for g, units in capacity.items()]
    vendors, names, products, units = zip(*blocks, strict=True)
    columns = {
        "vendor_id": np.repeat(np.array(vendors, object), window.weeks),
        "source_id": np.repeat(np.array(names, object), window.weeks),
        "product_id": np.repeat(np.array(products, object), window.weeks),
        "week": np.tile(np.arange(window.weeks, dtype=np.int32), len(blocks)),
        "capacity": np.concatenate(units),
    }
    return _table(columns, ["vendor_id", "source_id", "product_id", "week"])


def _shared_sources(raw: Raw, network: Network, window: Window) -> pa.Table:
    """One capacity a vendor source and week, for all products of the vendor together.

    1.2 x the yearly mean of the products at home there, and at least 1.05 x the source's part of
    the vendor's largest week, so that just-in-time orders can always be filled. The parts are
    the products' demand over the window by home.
    """
    weekly = window.weekly()
    mean = raw.yearly[window.product] / raw.monday.size
    rows: list[tuple[str, str, float]] = []
    for vendor in np.unique(raw.vendor[window.product]).tolist():
        mine = raw.vendor[window.product] == vendor
        peak, total = weekly[mine].sum(axis=0).max(), weekly[mine].sum()
        for gateway in network.sources[vendor]:
            here = mine & (network.home[window.product] == gateway)
            floor = 1.05 * peak * weekly[here].sum() / total
            rows.append((str(vendor), GATEWAYS[gateway][0], max(1.2 * mean[here].sum(), floor)))
    vendors, names, units = zip(*rows, strict=True)
    columns = {"vendor_id": list(vendors), "source_id": list(names), "capacity": np.array(units)}
    return _table(columns, ["vendor_id", "source_id"])


def _inbound_lanes(raw: Raw, network: Network, window: Window) -> pa.Table:
    """Vendor lanes: a row without a product for the vendor's commonest home, products' own else."""
    home_of, vendor_of = network.home[window.product], raw.vendor[window.product]
    lat, lon = raw.gateway_lat[:, None], raw.gateway_lon[:, None]
    to_inbound = great_circle(lat, lon, raw.lat[network.inbound], raw.lon[network.inbound])
    between = great_circle(lat, lon, raw.gateway_lat, raw.gateway_lon)
    blocks: list[tuple[str, str, str | None, Array]] = []
    for vendor in np.unique(vendor_of).tolist():
        mine = vendor_of == vendor
        commonest = int(np.argmax(np.bincount(home_of[mine])))
        others = window.product[mine & (home_of != commonest)]
        lanes = [(None, commonest), *((str(raw.item[p]), int(network.home[p])) for p in others)]
        for gateway in network.sources[vendor]:
            legs = network.less_than_truck[vendor] * to_inbound[gateway]
            for product, home in lanes:
                rate = raw.truck_cost * ROAD_FACTOR / TRUCK_KG * (legs + between[home, gateway])
                blocks.append((str(vendor), GATEWAYS[gateway][0], product, rate))
    vendors, names, products, rates = zip(*blocks, strict=True)
    nodes = network.inbound.size
    columns = {
        "vendor_id": np.repeat(np.array(vendors, object), nodes),
        "source_id": np.repeat(np.array(names, object), nodes),
        "inbound_id": np.tile(raw.county[network.inbound], len(blocks)),
        "unit_cost": np.zeros(len(blocks) * nodes),
        "cost_per_kg": np.concatenate(rates),
        "product_id": pa.array(np.repeat(np.array(products, object), nodes), pa.string()),
    }
    return _table(columns, ["vendor_id", "source_id", "product_id", "inbound_id"])


def main(arguments: list[str] | None = None) -> None:
    """Read, build, write; raw data that is not fit ends the program with one line and status 2."""
    parser = argparse.ArgumentParser(description="Build the Iowa fleet from the raw orders.")
    parser.add_argument("raw", type=Path, help="folder with the raw data")
    parser.add_argument("fleet", type=Path, help="folder to write the fleet to")
    parser.add_argument("--first-week", type=int, default=46, help="first week planned, 0 = the year's first")
    parser.add_argument("--weeks", type=int, default=6, help="weeks planned")
    parser.add_argument("--every", type=int, default=1, help="keep one in so many products")
    parser.add_argument("--shared", action="store_true", help="one capacity a source for all products")
    options = parser.parse_args(arguments)
    try:
        raw = read_raw(options.raw, [fips for _, fips, _ in GATEWAYS], TRUCK_COST_YEAR)
        tables = build(raw, options.first_week, options.weeks, options.shared, options.every)
        called = names(raw, options.first_week, options.weeks, options.every)
    except (OSError, KeyError, ValueError) as problem:
        parser.error(f"{options.raw}: {problem}")
    toml = {
        "name": "Iowa, shared capacity" if options.shared else "Iowa",
        "currency": "USD",
        "first_week": str(raw.monday[options.first_week]),
    }
    write_fleet(options.fleet, tables, toml)
    pc.write_csv(called, options.fleet / "names.csv", pc.WriteOptions(quoting_style="needed"))


if __name__ == "__main__":
    main()
