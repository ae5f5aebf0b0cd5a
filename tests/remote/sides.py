"""A fleet cut in two: what the retailer keeps, and each vendor's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from jaxcpp.tables.schema import FLEET
from jaxcpp.tables.whole import write_parquet

VENDORS = ("hops", "malt")

PRODUCTS = {
    # product: vendor, margin, lanes by (source, dock), capacity by source
    "ale": ("hops", 20.7130001, {("w1", "a"): 10.3130001, ("w1", "b"): 5.1790001, ("w2", "a"): 1.2370001,
                                 ("w2", "b"): 2.4190001}, {"w1": 103.0, "w2": 11.0}),
    "bock": ("hops", 18.3370001, {("w1", "b"): 3.3310001, ("w2", "a"): 2.9710001, ("w2", "b"): 4.7730001},
             {"w1": 91.0, "w2": 37.0}),
    "cider": ("malt", 15.1930001, {("m", "a"): 6.6130001, ("m", "b"): 1.7870001}, {"m": 157.0}),
}  # fmt: skip


def rows() -> dict[str, list[dict[str, Any]]]:
    """All tables of the whole fleet; two products of one vendor, one of another; two weeks."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in FLEET}
    for (dock, region), cost in {("a", "n"): 1.0, ("a", "s"): 5.0, ("b", "n"): 2.0, ("b", "s"): 3.0}.items():
        found["outbound_lanes"].append({"inbound_id": dock, "region_id": region, "unit_cost": cost})
    for at, (product, (vendor, margin, lanes, capacity)) in enumerate(PRODUCTS.items()):
        found["products"].append({"product_id": product, "margin": 20.0, "holding_cost": 0.5})
        found["offers"].append(
            {"vendor_id": vendor, "product_id": product, "margin": margin, "holding_cost": 0.3}
        )
        for week in range(2):
            for region, units in (("n", 40.0 + at), ("s", 60.0 - 7 * week)):
                found["demand"].append(
                    {"product_id": product, "region_id": region, "week": week, "units": units}
                )
        for (source, dock), cost in lanes.items():
            found["inbound_lanes"].append(
                {"vendor_id": vendor, "source_id": source, "inbound_id": dock, "unit_cost": cost,
                 "product_id": product}
            )  # fmt: skip
        for source, units in capacity.items():
            found["sources"].append(
                {"vendor_id": vendor, "source_id": source, "capacity": units, "product_id": product}
            )
    return found


def write_whole(folder: Path) -> Path:
    """The fleet in one place."""
    return _write(folder, rows())


def write_apart(folder: Path, outside: tuple[str, ...] = VENDORS) -> tuple[Path, dict[str, Path]]:
    """The retailer's folder without the outside vendors' tables, and theirs."""
    ours = rows()
    for name in ("sources", "inbound_lanes"):
        ours[name] = [row for row in ours[name] if row["vendor_id"] not in outside]
    for row in ours["offers"]:
        if row["vendor_id"] in outside:
            row |= {"margin": None, "holding_cost": None}
    ours = {name: found for name, found in ours.items() if found}
    theirs = {}
    for vendor in outside:
        side = {
            name: [row for row in rows()[name] if row["vendor_id"] == vendor]
            for name in ("offers", "sources", "inbound_lanes")
        }
        theirs[vendor] = _write(folder / f"side-of-{vendor}", side)
    return _write(folder / "fleet", ours), theirs


def _write(folder: Path, found: dict[str, list[dict[str, Any]]]) -> Path:
    folder.mkdir(parents=True)
    for name, some in found.items():
        if some:
            write_parquet(pa.Table.from_pylist(some, schema=FLEET[name].arrow), folder / f"{name}.parquet")
    (folder / "fleet.toml").write_text('name = "sample"\ncurrency = "USD"\n')
    return folder
