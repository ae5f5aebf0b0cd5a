"""Read the raw year behind the Iowa fleet: real orders, prices, bottle sizes and shop positions.

The folder holds

    iowa_liquor/sales_weekly.parquet    item, store, week (0-based), bottles (net of returns)
    iowa_liquor/products.csv.gz         the state's price list: item, category, vendor, size, cost, retail
    iowa_liquor/store_region.csv        store, county, lat, lon
    iowa_liquor/weeks.csv               week, monday (ISO date)
    us_counties_2019/us_counties_pop_est_2019.csv
    us_trucking_cost/us_trucking_cost_per_mile.csv
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Raw:
    """The raw year: one entry an item sold in it, a county with a shop that bought, and a sale."""

    item: Array  # item numbers, ascending
    description: Array
    category: Array
    vendor: Array  # vendor numbers
    vendor_name: Array
    litres: Array  # per bottle
    cost: Array  # currency / bottle, what the state pays
    retail: Array  # currency / bottle, what shops pay
    county: Array  # names, ascending
    lat: Array  # degrees, bottle-weighted mean of the county's shops
    lon: Array
    sale_item: Array  # position in `item`
    sale_county: Array  # position in `county`
    sale_week: Array
    sale_bottles: Array  # > 0
    monday: Array  # ISO dates, one a week of the year
    gateway_lat: Array  # internal points of the counties asked for
    gateway_lon: Array
    truck_cost: float  # currency / mile

    @cached_property
    def yearly(self) -> Array:
        """Bottles of each item over the year."""
        return np.bincount(self.sale_item, self.sale_bottles, self.item.size)


def read_raw(folder: Path, gateways: Sequence[str], truck_year: int) -> Raw:
    """Read the raw folder; item x shop x week rows with negative net orders count as 0.

    `gateways` are FIPS codes of counties, `truck_year` the year of the trucking cost.

    Raises:
        ValueError: an item sold that the price list lacks or has without vendor, size, cost or
            profit; a shop, gateway county or year without a row; two counties of one name.
    """
    sales = pq.read_table(folder / "iowa_liquor" / "sales_weekly.parquet")
    number, store, week, bottles = (sales[name].to_numpy() for name in ("item", "store", "week", "bottles"))
    kept = bottles > 0
    number, store, week, bottles = number[kept], store[kept], week[kept], bottles[kept].astype(float)
    item, sale_item = np.unique(number, return_inverse=True)
    products = _price_list(folder / "iowa_liquor" / "products.csv.gz", item)
    shops = _read_csv(folder / "iowa_liquor" / "store_region.csv", {"county_fips": pa.string()})
    names = _column(shops, "county")
    if len({*zip(names, _column(shops, "county_fips"), strict=True)}) != len({*names}):
        raise ValueError("store_region.csv: two counties share a name")
    row = _lookup(_column(shops, "store"), store, "store_region.csv: no row for store")
    county, sale_county = np.unique(names[row], return_inverse=True)
    weight = np.bincount(sale_county, bottles)
    lat, lon = (np.bincount(sale_county, bottles * _column(shops, x)[row]) / weight for x in ("lat", "lon"))
    gateway_lat, gateway_lon = _county_points(folder, gateways)
    costs = _read_csv(folder / "us_trucking_cost" / "us_trucking_cost_per_mile.csv", {})
    year = _lookup(_column(costs, "year"), np.array([truck_year]), "no trucking cost for year")
    return Raw(
        item, **products, county=county, lat=lat, lon=lon, sale_item=sale_item, sale_county=sale_county,
        sale_week=week.astype(np.int64), sale_bottles=bottles,
        monday=_column(_read_csv(folder / "iowa_liquor" / "weeks.csv", {"monday": pa.string()}), "monday"),
        gateway_lat=gateway_lat, gateway_lon=gateway_lon,
        truck_cost=float(_column(costs, "usd_per_mile")[year[0]]),
    )  # fmt: skip


def _price_list(path: Path, item: Array) -> dict[str, Array]:
    """The price list's columns for the items sold, in their order."""
    table = _read_csv(path, {})
    row = _lookup(_column(table, "Item Number"), item, f"{path.name}: no row for item")
    cost, retail = _column(table, "State Bottle Cost")[row], _column(table, "State Bottle Retail")[row]
    litres = _column(table, "Bottle Volume (ml)")[row] / 1000.0
    vendor = table["Vendor"].take(row)
    bad = ~((cost > 0) & (retail >= cost) & (litres > 0)) | vendor.is_null().to_numpy()
    if bad.any():
        raise ValueError(f"{path.name}: no vendor, size, cost or profit for items {item[bad].tolist()}")
    return {
        "description": _column(table, "Item Description")[row],
        "category": _column(table, "Category Name")[row],
        "vendor": vendor.to_numpy(),
        "vendor_name": _column(table, "Vendor Name")[row],
        "litres": litres,
        "cost": cost,
        "retail": retail,
    }


def _county_points(folder: Path, wanted: Sequence[str]) -> tuple[Array, Array]:
    """Latitude and longitude of counties by FIPS: the Census' internal points."""
    fips = {"state_fips": pa.string(), "county_fips": pa.string()}
    counties = _read_csv(folder / "us_counties_2019" / "us_counties_pop_est_2019.csv", fips)
    key = np.char.add(*(_column(counties, name).astype(str) for name in fips))
    row = _lookup(key, np.array(wanted), "county file: no county with FIPS")
    return _column(counties, "internal_point_lat")[row], _column(counties, "internal_point_lon")[row]


def _read_csv(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
    return pc.read_csv(path, convert_options=pc.ConvertOptions(column_types=types))


def _column(table: pa.Table, name: str) -> Array:
    return np.asarray(table[name].to_numpy())


def _lookup(keys: Array, wanted: Array, complaint: str) -> Array:
    """Position in `keys` of each wanted key; a ValueError names those that are not there."""
    order = np.argsort(keys, kind="stable")
    spot = np.minimum(np.searchsorted(keys, wanted, sorter=order), keys.size - 1)
    row = order[spot]
    missing = np.unique(wanted[keys[row] != wanted])
    if missing.size:
        raise ValueError(f"{complaint} {missing.tolist()}")
    return np.asarray(row)
