"""Small fleets to read, spoil and write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

Tables = dict[str, pa.Table]
Rows = dict[str, dict[str, list[Any]]]


def toy_tables() -> Tables:
    """The worked example of the paper's section 7: one product, two nodes, two regions, one week."""
    return {name: pa.table(columns) for name, columns in _TOY.items()}


def wide_tables() -> Tables:
    """Three products, two vendors, three weeks, every optional table and column in use."""
    return {name: pa.table(columns) for name, columns in wide_rows().items()}


def wide_rows() -> Rows:
    """`wide_tables` as lists, to be spoilt."""
    return {
        "products": {
            "product_id": ["101", "102", "103"],
            "weight_kg": [1.5, None, 2.0],
            "margin": [20.0, 12.5, 8.0],
            "holding_cost": [0.1, 0.2, None],
            "backlog_cost": [2.0, None, math.inf],
            "lost_sale_cost": [5.0, math.inf, None],
            "leftover_cost": [None, 3.0, 4.0],
        },
        "demand": {
            "product_id": ["101", "101", "102", "102", "103", "103", "101"],
            "region_id": ["north", "south", "north", "south", "south", "north", "north"],
            "week": [0, 1, 2, 0, 0, 2, 2],
            "units": [10.0, 4.0, 7.5, 3.0, 6.0, 2.0, 0.0],
        },
        "inventory": {
            "product_id": ["101", "103", "102"],
            "inbound_id": ["east", "west", "west"],
            "units": [2.0, 1.0, 0.0],
        },
        "targets": {
            "product_id": ["102", "102", "102"],
            "inbound_id": ["east", "east", "west"],
            "week": [None, 1, 0],
            "units": [6.0, 8.0, 0.0],
        },
        "forecast": {
            "product_id": ["101", "101", "102", "103"],
            "region_id": ["south", "north", "south", "north"],
            "made_in": [0, 1, 0, 1],
            "week": [1, 2, 2, 1],
            "units": [4.0, 3.0, 0.0, 2.5],
        },
        "outbound_lanes": {
            "inbound_id": ["east", "east", "west", "west", "east"],
            "region_id": ["north", "south", "north", "south", "south"],
            "unit_cost": [1.0, 2.0, 3.0, 0.5, 9.0],
            "cost_per_kg": [0.1, None, 0.0, 0.2, 0.3],
            "product_id": [None, None, None, None, "103"],
        },
        "offers": {
            "vendor_id": ["acme", "acme", "bolt", "bolt"],
            "product_id": ["101", "102", "102", "103"],
            "margin": [3.0, 2.0, 2.5, 4.0],
            "holding_cost": [0.05, None, 0.1, 0.0],
            "share": [None, 0.25, 0.75, 1.0],
        },
        "sources": {
            "vendor_id": ["acme", "acme", "bolt", "bolt", "bolt"],
            "source_id": ["main", "main", "main", "side", "main"],
            "capacity": [100.0, 40.0, 60.0, 0.0, 50.0],
            "week": [None, None, 1, None, 0],
            "product_id": [None, "102", "103", None, "103"],
        },
        "inbound_lanes": {
            "vendor_id": ["acme", "acme", "bolt", "bolt", "bolt"],
            "source_id": ["main", "main", "main", "main", "side"],
            "inbound_id": ["east", "west", "east", "east", "west"],
            "unit_cost": [0.7, 0.8, 0.9, 0.6, 1.1],
            "cost_per_kg": [None, 0.01, 0.02, 0.0, 0.0],
            "product_id": [None, None, None, "103", None],
        },
    }


def save(folder: Path, tables: Mapping[str, pa.Table], kind: str = "parquet") -> Path:
    """Writes the tables as they stand, right or wrong, and gives the folder back."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        if kind == "csv":
            pa_csv.write_csv(table, folder / f"{name}.csv")
        else:
            pq.write_table(table, folder / f"{name}.parquet")
    return folder


_TOY: Rows = {
    "products": {"product_id": ["widget"], "margin": [20.0]},
    "demand": {
        "product_id": ["widget"] * 2,
        "region_id": ["r1", "r2"],
        "week": [0, 0],
        "units": [40.0, 60.0],
    },
    "outbound_lanes": {
        "inbound_id": ["n1", "n1", "n2", "n2"],
        "region_id": ["r1", "r2"] * 2,
        "unit_cost": [1.0, 5.0, 2.0, 3.0],
    },
    "offers": {"vendor_id": ["maker"], "product_id": ["widget"], "margin": [20.0]},
    "sources": {"vendor_id": ["maker"] * 2, "source_id": ["s1", "s2"], "capacity": [100.0, 10.0]},
    "inbound_lanes": {
        "vendor_id": ["maker"] * 4,
        "source_id": ["s1", "s1", "s2", "s2"],
        "inbound_id": ["n1", "n2"] * 2,
        "unit_cost": [10.0, 5.0, 1.0, 2.0],
    },
}
