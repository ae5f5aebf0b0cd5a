"""A fleet of any size to plan in parts: `python -m bench.big_fleet DIR --contracts 200000`.

Copies of the bundled fleet under other names, every demand times a factor of its own between a half and one,
in whole units. Each table is a folder with a file a copy, written one after the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.machine import ROOT
from jaxcpp.tables.schema import FLEET
from jaxcpp.tables.whole import write_parquet, write_text

IOWA = ROOT / "examples" / "iowa"
RENAMED = ("vendor_id", "product_id")
ONCE = "outbound_lanes"
"""The retailer's lanes are the same for all copies."""


def write_big_fleet(folder: Path, contracts: int, seed: int = 0) -> None:
    """Write a fleet of so many contracts; equal seeds, equal fleets."""
    tables = {name: pq.read_table(IOWA / f"{name}.parquet") for name in FLEET if _path(name).exists()}
    offers = tables["offers"].sort_by([(name, "ascending") for name in RENAMED])
    for copy in range(-(-contracts // offers.num_rows)):
        wanted = offers["product_id"].slice(0, contracts - copy * offers.num_rows)
        for name, table in tables.items():
            if name == ONCE and copy:
                continue
            if "product_id" in table.column_names:
                ours = pc.is_in(table["product_id"], value_set=wanted.combine_chunks())
                table = table.filter(pc.or_(ours, pc.is_null(table["product_id"])))
            if "vendor_id" in table.column_names:
                vendors = offers["vendor_id"].slice(0, len(wanted)).unique()
                table = table.filter(pc.is_in(table["vendor_id"], value_set=vendors))
            if name == "demand":
                table = _less(table, np.random.default_rng([seed, copy]))
            path = folder / name / f"copy-{copy:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_parquet(_renamed(table, f"{copy:05d}."), path)
    write_text('name = "Iowa, copied"\ncurrency = "USD"\n', folder / "fleet.toml")


def _path(name: str) -> Path:
    return IOWA / f"{name}.parquet"


def _less(demand: pa.Table, rng: np.random.Generator) -> pa.Table:
    units = np.asarray(demand["units"]) * rng.uniform(0.5, 1.0, demand.num_rows)
    return demand.set_column(
        demand.column_names.index("units"), demand.schema.field("units"), pa.array(np.ceil(units))
    )


def _renamed(table: pa.Table, prefix: str) -> pa.Table:
    for at, name in enumerate(table.column_names):
        if name in RENAMED:
            names = pc.binary_join_element_wise(prefix, table[name], "")
            table = table.set_column(at, table.schema.field(name), names)
    return table


def main() -> None:
    """Write the fleet that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--contracts", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    write_big_fleet(asked.folder, asked.contracts, asked.seed)


if __name__ == "__main__":
    main()
