"""What a good fleet becomes, whatever its files look like."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcpp.fleet.data import EVERY, Fleet
from jaxcpp.tables import check_fleet, describe, read_fleet
from tests.tables.fleets import Tables, save, toy_tables, wide_rows, wide_tables


def read(folder: Path, tables: Tables, kind: str = "parquet") -> Fleet:
    fleet, rejected = read_fleet(save(folder, tables, kind))
    assert rejected == []
    return fleet


def assert_same(one: Fleet, other: Fleet, *, but: tuple[str, ...] = ("name",)) -> None:
    for field in dataclasses.fields(Fleet):
        if field.name in but:
            continue
        left, right = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(left):
            for column in dataclasses.fields(left):
                name = column.name
                np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
        else:
            np.testing.assert_array_equal(left, right, err_msg=field.name)


@pytest.fixture
def wide(tmp_path: Path) -> Fleet:
    return read(tmp_path / "wide", wide_tables())


def test_toy_is_the_papers_example(tmp_path: Path) -> None:
    fleet = read(tmp_path, toy_tables())
    assert fleet.weeks == 1
    assert fleet.region_ids.tolist() == ["r1", "r2"]
    assert fleet.demand.units.tolist() == [40.0, 60.0]
    assert fleet.outbound_lanes.unit_cost.reshape(2, 2).tolist() == [[1, 5], [2, 3]]
    assert fleet.inbound_lanes.unit_cost.reshape(2, 2).tolist() == [[10, 5], [1, 2]]
    assert fleet.sources.capacity.tolist() == [100.0, 10.0]
    assert fleet.offers.share.tolist() == [1.0]


def test_absent_columns_take_their_defaults(tmp_path: Path) -> None:
    fleet = read(tmp_path, toy_tables())
    products = fleet.products
    assert (products.weight.item(), products.holding_cost.item()) == (0.0, 0.0)
    for cost in (products.backlog_cost, products.lost_sale_cost, products.leftover_cost):
        assert cost.tolist() == [np.inf]
    assert fleet.offers.holding_cost.tolist() == [0.0]
    for lanes in (fleet.outbound_lanes, fleet.inbound_lanes):
        assert lanes.cost_per_kg.tolist() == [0.0] * 4
        assert lanes.product.tolist() == [EVERY] * 4
    assert fleet.sources.week.tolist() == [EVERY] * 2
    assert fleet.sources.product.tolist() == [EVERY] * 2
    assert len(fleet.inventory.units) == 0
    assert (fleet.currency, fleet.first_week) == ("", "")


def test_null_cells_take_their_defaults(wide: Fleet) -> None:
    assert wide.products.weight.tolist() == [1.5, 0.0, 2.0]
    assert wide.products.backlog_cost.tolist() == [2.0, np.inf, np.inf]
    assert wide.products.leftover_cost.tolist() == [np.inf, 3.0, 4.0]
    assert wide.offers.holding_cost.tolist() == [0.05, 0.0, 0.1, 0.0]
    assert wide.inbound_lanes.cost_per_kg.tolist() == [0.0, 0.01, 0.02, 0.0, 0.0]


def test_rows_come_in_canonical_order_without_zeros(wide: Fleet) -> None:
    demand = wide.demand
    rows = list(zip(demand.product.tolist(), demand.week.tolist(), demand.region.tolist(), strict=True))
    assert rows == sorted(rows)
    assert demand.units.tolist() == [10.0, 4.0, 3.0, 7.5, 6.0, 2.0]
    assert wide.inventory.product.tolist() == [0, 2]
    assert wide.inventory.inbound.tolist() == [0, 1]


def test_targets_and_forecasts(wide: Fleet) -> None:
    """Week -1 is every week; a forecast of nothing says something, and stays."""
    assert wide.targets.product.tolist() == [1, 1, 1]
    assert wide.targets.inbound.tolist() == [0, 0, 1]
    assert wide.targets.week.tolist() == [-1, 1, 0]
    assert wide.targets.units.tolist() == [6.0, 8.0, 0.0]
    rows = zip(
        *(getattr(wide.forecast, name).tolist() for name in ("product", "region", "made_in", "week")),
        strict=True,
    )
    assert list(rows) == [(0, 1, 0, 1), (0, 0, 1, 2), (1, 1, 0, 2), (2, 0, 1, 1)]
    assert wide.forecast.units.tolist() == [4.0, 3.0, 0.0, 2.5]


def test_sources_are_pairs_of_vendor_and_name(wide: Fleet) -> None:
    assert wide.source_ids.tolist() == ["main", "main", "side"]
    assert wide.vendor_ids[wide.source_vendor].tolist() == ["acme", "bolt", "bolt"]
    assert wide.sources.source.tolist() == [0, 0, 1, 1, 2]
    assert wide.sources.product.tolist() == [EVERY, 1, 2, 2, EVERY]
    assert wide.sources.week.tolist() == [EVERY, EVERY, 0, 1, EVERY]
    assert wide.sources.capacity.tolist() == [100.0, 40.0, 50.0, 60.0, 0.0]
    assert wide.inbound_lanes.source.tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(
    ("given_shares", "expected"),
    [
        ([None, None, None, None], [1.0, 0.5, 0.5, 1.0]),
        ([1.0, 0.2, 0.8, None], [1.0, 0.2, 0.8, 1.0]),
        ([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]),
    ],
)
def test_shares(tmp_path: Path, given_shares: list[float | None], expected: list[float]) -> None:
    rows = wide_rows()
    rows["offers"]["share"] = given_shares
    fleet = read(tmp_path, {name: pa.table(columns) for name, columns in rows.items()})
    assert fleet.offers.share.tolist() == pytest.approx(expected, abs=1e-15)


def test_shares_within_the_tolerance_are_rescaled(tmp_path: Path) -> None:
    rows = wide_rows()
    rows["offers"]["share"] = [None, 0.25, 0.7500009, None]
    fleet = read(tmp_path, {name: pa.table(columns) for name, columns in rows.items()})
    total = 0.25 + 0.7500009
    assert fleet.offers.share.tolist() == [1.0, 0.25 / total, 0.7500009 / total, 1.0]


def test_csv_reads_as_parquet_does(tmp_path: Path, wide: Fleet) -> None:
    assert_same(read(tmp_path / "csv", wide_tables(), "csv"), wide)


def test_csv_and_parquet_in_one_folder(tmp_path: Path, wide: Fleet) -> None:
    tables = wide_tables()
    text = {name: tables.pop(name) for name in ("demand", "sources")}
    save(tmp_path / "mixed", text, "csv")
    assert_same(read(tmp_path / "mixed", tables), wide)


@pytest.mark.slow
@given(data=st.data(), kind=st.sampled_from(["csv", "parquet"]))
def test_the_order_of_rows_and_columns_never_matters(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    tables = wide_tables()
    straight = read(tmp_path_factory.mktemp("straight"), tables)
    for name, table in tables.items():
        rows = data.draw(st.permutations(range(table.num_rows)))
        columns = data.draw(st.permutations(table.column_names))
        tables[name] = table.take(pa.array(rows)).select(columns)
    assert_same(read(tmp_path_factory.mktemp("shuffled"), tables, kind), straight)


def test_the_fingerprint_is_of_the_numbers_not_of_the_name(tmp_path: Path, wide: Fleet) -> None:
    again = save(tmp_path / "again", wide_tables())
    (again / "fleet.toml").write_text('name = "Other"\ncurrency = "EUR"\n')
    assert read_fleet(again)[0].fingerprint == wide.fingerprint
    seen = {wide.fingerprint}
    for table, column in (("demand", "units"), ("outbound_lanes", "cost_per_kg"), ("offers", "margin")):
        rows = wide_rows()
        rows[table][column][0] = 77.0
        tables = {name: pa.table(columns) for name, columns in rows.items()}
        seen.add(read(tmp_path / f"{table}", tables).fingerprint)
    rows = wide_rows()
    rows["sources"]["source_id"][0:2] = rows["inbound_lanes"]["source_id"][0:2] = ["plant"] * 2
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    seen.add(read(tmp_path / "renamed", tables).fingerprint)
    assert len(seen) == 5


def test_zero_has_one_sign(tmp_path: Path) -> None:
    prints = []
    for zero in (0.0, -0.0):
        rows = wide_rows()
        rows["products"]["weight_kg"][0] = rows["sources"]["capacity"][3] = zero
        tables = {name: pa.table(columns) for name, columns in rows.items()}
        prints.append(read(tmp_path / str(zero), tables).fingerprint)
    assert prints[0] == prints[1]


def retyped(tables: Tables, column: str, kind: pa.DataType) -> Tables:
    """The tables with one column stored in another type wherever it occurs."""
    result = {}
    for name, table in tables.items():
        place = table.schema.get_field_index(column)
        if place >= 0:
            if pa.types.is_dictionary(kind):
                values = table[column].cast(kind.value_type).dictionary_encode()
            else:
                values = table[column].cast(kind)
            table = table.set_column(place, column, values)
        result[name] = table
    return result


@pytest.mark.parametrize(
    "kind",
    [
        pa.int64(),
        pa.uint8(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int32(), pa.int64()),
    ],
    ids=str,
)
def test_ids_of_any_type_are_strings(tmp_path: Path, wide: Fleet, kind: pa.DataType) -> None:
    tables = wide_tables()
    fleet = read(tmp_path / "typed", retyped(tables, "product_id", kind))
    assert fleet.product_ids.tolist() == ["101", "102", "103"]
    assert_same(fleet, wide)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.int64(), pa.float32(), pa.float64()], ids=str)
def test_weeks_of_any_width(tmp_path: Path, wide: Fleet, kind: pa.DataType) -> None:
    assert_same(read(tmp_path / "typed", retyped(wide_tables(), "week", kind)), wide)


@pytest.mark.parametrize(
    "kind",
    [pa.int16(), pa.uint64(), pa.float32(), pa.decimal128(21, 2), pa.dictionary(pa.int32(), pa.float64())],
    ids=str,
)
def test_numbers_of_any_width(tmp_path: Path, kind: pa.DataType) -> None:
    fleet = read(tmp_path, retyped(toy_tables(), "units", kind))
    assert fleet.demand.units.tolist() == [40.0, 60.0]


def test_an_optional_column_without_any_value_is_absent(tmp_path: Path) -> None:
    tables = toy_tables()
    plain = read(tmp_path / "plain", tables)
    empty = pa.nulls(2, pa.null())
    tables["sources"] = tables["sources"].append_column("product_id", empty).append_column("week", empty)
    assert_same(read(tmp_path / "nulls", tables), plain)


def test_extra_columns_tables_and_files_are_no_error(tmp_path: Path, wide: Fleet) -> None:
    tables = wide_tables()
    for name, table in tables.items():
        extra = pa.array([{"a": row} for row in range(table.num_rows)])
        tables[name] = table.append_column("units?", extra).append_column("notes", pa.nulls(table.num_rows))
    folder = save(tmp_path / "extra", tables)
    (folder / "weather.csv").write_text("not ours")
    (folder / "fleet.toml").write_text("colour = 3\n")
    assert_same(read_fleet(folder)[0], wide)


CSV = "product_id,region_id,week,units\n"


@pytest.mark.parametrize(
    "text",
    [
        CSV + "007,r1,0,40\n007,r2,0,60\n",
        CSV + "007,r1,0,40\n007,r2,0,60",
        "\ufeff" + CSV.replace("\n", "\r\n") + "007,r1,0,40\r\n\r\n007,r2,0, 60 \r\n,,,\r\n",
        '"product_id","region_id","week","units"\n"007","r1","0","+4e1"\n"007","r2","0.0","60."\n',
        "note," + CSV + '"two\nlines, quoted",007,r1,0,40\n\xe9,007,r2,0,60\n',
    ],
    ids=["plain", "no line end", "spreadsheet", "quoted", "extra column"],
)
def test_csv_in_the_shapes_people_write(tmp_path: Path, text: str) -> None:
    tables = toy_tables()
    del tables["demand"]
    for name in ("products", "offers"):
        tables[name] = tables[name].set_column(
            tables[name].schema.get_field_index("product_id"), "product_id", pa.array(["007"])
        )
    save(tmp_path, tables)
    (tmp_path / "demand.csv").write_bytes(text.encode())
    fleet, _ = read_fleet(tmp_path)
    assert fleet.product_ids.tolist() == ["007"]
    assert fleet.demand.units.tolist() == [40.0, 60.0]


def test_an_extra_csv_column_may_hold_any_bytes(tmp_path: Path) -> None:
    save(tmp_path, {name: table for name, table in toy_tables().items() if name != "products"})
    (tmp_path / "products.csv").write_bytes(b"product_id,note,margin\nwidget,\xff\xfe,20\n")
    assert check_fleet(tmp_path) == []


def test_weeks_of_a_source_after_the_window_are_left_out(tmp_path: Path, wide: Fleet) -> None:
    rows = wide_rows()
    late = {"vendor_id": "bolt", "source_id": "later", "capacity": 9.0, "week": 3, "product_id": None}
    lane = {"vendor_id": "bolt", "source_id": "later", "inbound_id": "east", "unit_cost": 1.0}
    for column in rows["sources"]:
        rows["sources"][column].append(late[column])
    for column in rows["inbound_lanes"]:
        rows["inbound_lanes"][column].append(lane.get(column))
    fleet = read(tmp_path / "late", {name: pa.table(columns) for name, columns in rows.items()})
    assert_same(fleet, wide)


def test_weeks_of_zero_units_count_for_the_window(tmp_path: Path) -> None:
    tables = toy_tables()
    more = pa.table({"product_id": ["widget"], "region_id": ["nowhere"], "week": [1], "units": [0.0]})
    tables["demand"] = pa.concat_tables([tables["demand"], more])
    fleet = read(tmp_path, tables)
    assert fleet.weeks == 2
    assert fleet.region_ids.tolist() == ["r1", "r2"]


@pytest.mark.parametrize("week", ["2024-01-29", '"2024-01-29"'], ids=["date", "text"])
def test_fleet_toml(tmp_path: Path, week: str) -> None:
    folder = save(tmp_path, toy_tables())
    (folder / "fleet.toml").write_text(f'name = "Toy"\ncurrency = "USD"\nfirst_week = {week}\n')
    fleet, _ = read_fleet(folder)
    assert (fleet.name, fleet.currency, fleet.first_week) == ("Toy", "USD", "2024-01-29")


def test_without_a_name_the_folder_gives_it(tmp_path: Path) -> None:
    assert read(tmp_path / "night", toy_tables()).name == "night"


def test_describe(wide: Fleet) -> None:
    facts = describe(wide)
    assert {name: facts[name] for name in ("products", "vendors", "regions", "inbound_nodes", "weeks")} == {
        "products": 3,
        "vendors": 2,
        "regions": 2,
        "inbound_nodes": 2,
        "weeks": 3,
    }
    assert (facts["demand_rows"], facts["demand_units"], facts["inventory_units"]) == (6, 32.5, 3.0)
    assert (facts["sources"], facts["sources_shared_by_products"]) == (3, 2)
    assert facts["products_of_several_vendors"] == 1
    assert facts["fingerprint"] == wide.fingerprint


def test_reading_does_not_start_jax() -> None:
    code = "import sys, jaxcpp.tables; print(sorted({'jax', 'equinox', 'jaxlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
