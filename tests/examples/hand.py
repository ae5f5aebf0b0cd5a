"""The Iowa rules a second time, row by row in plain Python, to check the builder against."""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

SAMPLE = Path(__file__).resolve().parent / "raw_sample"
WEEKS_A_YEAR = 52
TRUCK = 2.251 * 1.2 / 19_000.0  # currency / kg / great-circle mile, trucks full


class Hand:
    """The sample's raw rows, and what the tests ask of them."""

    def __init__(self, folder: Path = SAMPLE) -> None:
        with gzip.open(folder / "iowa_liquor" / "products.csv.gz", "rt") as file:
            self.listed = {row["Item Number"]: row for row in csv.DictReader(file)}
        with (folder / "iowa_liquor" / "store_region.csv").open() as file:
            shops = {int(row["store"]): row for row in csv.DictReader(file)}
        with (folder / "us_counties_2019" / "us_counties_pop_est_2019.csv").open() as file:
            self.points = {
                row["state_fips"] + row["county_fips"]: (
                    float(row["internal_point_lat"]),
                    float(row["internal_point_lon"]),
                )
                for row in csv.DictReader(file)
            }
        self.sales: Counter[tuple[str, str, int]] = Counter()  # (item, county, week) -> bottles
        self.by_county: Counter[str] = Counter()
        lat: Counter[str] = Counter()
        lon: Counter[str] = Counter()
        for row in pq.read_table(folder / "iowa_liquor" / "sales_weekly.parquet").to_pylist():
            bottles, shop = max(row["bottles"], 0), shops[row["store"]]
            county = shop["county"]
            self.sales[str(row["item"]), county, row["week"]] += bottles
            self.by_county[county] += bottles
            lat[county] += bottles * float(shop["lat"])
            lon[county] += bottles * float(shop["lon"])
        self.county = {c: (lat[c] / n, lon[c] / n) for c, n in self.by_county.items() if n}

    def yearly(self, item: str) -> int:
        """Bottles of an item in the year."""
        return sum(n for (i, _, _), n in self.sales.items() if i == item)

    def weekly(self, item: str, first: int = 46, weeks: int = 6) -> list[int]:
        """Bottles of an item in each week of the window."""
        asked = [0] * weeks
        for (i, _, week), n in self.sales.items():
            if i == item and first <= week < first + weeks:
                asked[week - first] += n
        return asked

    def items_of(self, vendor: str) -> list[str]:
        """Every listed item of a vendor."""
        return [item for item, row in self.listed.items() if row["Vendor"] == vendor]

    def less_than_truck(self, vendor: str) -> float:
        """The factor on the miles of a small vendor."""
        kg = sum(
            self.yearly(i) * 1.87 * int(self.listed[i]["Bottle Volume (ml)"]) / 1000
            for i in self.items_of(vendor)
        )
        return min(max(math.sqrt(4 * 19_000 * WEEKS_A_YEAR / kg), 1.0), 8.0)


def miles(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle miles by the angle between two unit vectors."""
    (u, v, w), (x, y, z) = _vector(a), _vector(b)
    cross = math.hypot(v * z - w * y, w * x - u * z, u * y - v * x)
    return 3958.8 * math.atan2(cross, u * x + v * y + w * z)


def _vector(point: tuple[float, float]) -> tuple[float, float, float]:
    lat, lon = map(math.radians, point)
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)
