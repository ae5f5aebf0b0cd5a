"""The bundled Iowa fleet: its known counts, and what the rules promise of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jaxcpp.tables import check_fleet

IOWA = Path(__file__).resolve().parents[2] / "examples" / "iowa"


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return {file.stem: pq.read_table(file) for file in IOWA.glob("*.parquet")}


def totals(table: pa.Table, keys: list[str], column: str) -> dict[tuple, float]:
    summed = table.group_by(keys).aggregate([(column, "sum")])
    return {tuple(row[key] for key in keys): row[f"{column}_sum"] for row in summed.to_pylist()}


def test_the_reader_has_no_complaint() -> None:
    assert check_fleet(IOWA) == []


def test_known_counts(tables) -> None:
    assert tables["products"].num_rows == tables["offers"].num_rows == 3291
    assert pc.count_distinct(tables["offers"]["vendor_id"]).as_py() == 182
    assert tables["demand"].num_rows == 156_397
    assert pc.all(pc.greater(tables["demand"]["units"], 0)).as_py()
    assert pc.count_distinct(tables["demand"]["region_id"]).as_py() == 99
    assert set(tables["demand"]["week"].to_pylist()) == set(range(6))


def test_the_inbound_nodes_are_the_ten_named(tables) -> None:
    names = "Polk, Linn, Scott, Pottawattamie, Woodbury, Cerro Gordo, Webster, Dickinson, Wapello, Lee"
    for table in ("outbound_lanes", "inbound_lanes"):
        assert set(tables[table]["inbound_id"].to_pylist()) == set(names.split(", "))


@pytest.mark.parametrize("table", ["outbound_lanes", "inbound_lanes"])
def test_every_lane_costs_something_finite(tables, table) -> None:
    for column in ("unit_cost", "cost_per_kg"):
        cost = tables[table][column].to_numpy()
        assert np.isfinite(cost).all()
        assert (cost >= 0).all()


def test_every_source_reaches_every_inbound_node_and_every_node_every_county(tables) -> None:
    general = tables["inbound_lanes"].filter(pc.is_null(tables["inbound_lanes"]["product_id"]))
    lanes = {(row["vendor_id"], row["source_id"], row["inbound_id"]) for row in general.to_pylist()}
    sources = {(row["vendor_id"], row["source_id"]) for row in tables["sources"].to_pylist()}
    assert len(lanes) == 10 * len(sources)
    assert {lane[:2] for lane in lanes} == sources
    pairs = {(row["inbound_id"], row["region_id"]) for row in tables["outbound_lanes"].to_pylist()}
    assert len(pairs) == tables["outbound_lanes"].num_rows == 990


def test_capacity_covers_every_product_s_demand_in_every_week(tables) -> None:
    capacity = totals(tables["sources"], ["product_id", "week"], "capacity")
    asked = totals(tables["demand"], ["product_id", "week"], "units")
    assert all(capacity[key] >= units for key, units in asked.items())
    assert len(capacity) == 6 * 3291


def test_no_vendor_has_more_than_six_sources(tables) -> None:
    pairs = tables["sources"].group_by(["vendor_id", "source_id"]).aggregate([])
    _, counts = np.unique(pairs["vendor_id"].to_numpy(), return_counts=True)
    assert set(counts.tolist()) == {1, 2, 3, 4, 5, 6}


def test_it_is_small_and_says_what_is_hypothetical() -> None:
    assert sum(file.stat().st_size for file in IOWA.iterdir()) < 2e6
    assert "HYPOTHETICAL" in (IOWA / "README.md").read_text()


def test_the_weeks_to_roll() -> None:
    """Weeks 33 to 50 of the year, every eighth of the products with orders in them."""
    folder = IOWA.parent / "iowa-roll"
    assert check_fleet(folder) == []
    assert pq.read_table(folder / "products.parquet").num_rows == 476
    assert set(pq.read_table(folder / "demand.parquet")["week"].to_pylist()) == set(range(18))
