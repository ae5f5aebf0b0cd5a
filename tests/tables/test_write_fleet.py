"""A fleet that is written reads back, in the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxcpp.tables import check_fleet, read_fleet, write_fleet
from tests.tables.fleets import Tables, save, toy_tables, wide_tables
from tests.tables.test_read import assert_same

TOML = {"name": 'A "fleet" of Zürich', "currency": "CHF", "first_week": "2024-01-29"}


def test_round_trip(tmp_path: Path) -> None:
    write_fleet(tmp_path / "written", wide_tables(), TOML)
    fleet, _ = read_fleet(tmp_path / "written")
    assert (fleet.name, fleet.currency, fleet.first_week) == tuple(TOML.values())
    plain, _ = read_fleet(save(tmp_path / "plain", wide_tables()))
    assert_same(fleet, plain, but=("name", "currency", "first_week"))


def test_types_and_units_are_the_contracts(tmp_path: Path) -> None:
    write_fleet(tmp_path, wide_tables(), {})
    schema = pq.read_schema(tmp_path / "sources.parquet")
    assert schema.names == ["vendor_id", "source_id", "capacity", "week", "product_id"]
    assert [str(kind) for kind in schema.types] == ["string", "string", "double", "int32", "string"]
    assert schema.field("capacity").metadata[b"unit"] == b"units/week"
    weight = pq.read_schema(tmp_path / "outbound_lanes.parquet").field("cost_per_kg")
    assert weight.metadata[b"unit"] == b"currency/kg"


def test_the_same_fleet_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_fleet(tmp_path / name, wide_tables(), TOML)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_a_fleet_replaces_an_earlier_one(tmp_path: Path) -> None:
    write_fleet(tmp_path, wide_tables(), TOML)
    (tmp_path / "README.md").write_text("about")
    write_fleet(tmp_path, toy_tables(), {})
    assert not (tmp_path / "inventory.parquet").exists()
    assert (tmp_path / "README.md").exists()
    assert check_fleet(tmp_path) == []
    assert read_fleet(tmp_path)[0].currency == ""


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all my work")
    with pytest.raises(FileExistsError, match="holds something else than a fleet"):
        write_fleet(tmp_path, toy_tables(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def changed(table: str, column: str, values: pa.Array | None) -> Tables:
    tables = toy_tables()
    old = tables[table]
    place = old.schema.get_field_index(column)
    if values is None:
        tables[table] = old.drop_columns([column])
    elif place < 0:
        tables[table] = old.append_column(column, values)
    else:
        tables[table] = old.set_column(place, column, values)
    return tables


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({}, "a fleet needs the table 'products'"),
        (toy_tables() | {"weather": pa.table({"a": [1]})}, "a fleet has no table 'weather'"),
        (changed("demand", "units", None), "demand needs the column 'units'"),
        (changed("demand", "color", pa.array(["red"] * 2)), "demand has no column 'color'"),
        (changed("demand", "units", pa.array([1.0, None])), "demand.units holds 1 nulls and may hold none"),
        (changed("demand", "units", pa.array(["a", "b"])), "demand.units cannot be stored as double"),
        (changed("demand", "week", pa.array([0.5, 1.0])), "demand.week cannot be stored as int32"),
    ],
    ids=["no table", "unknown table", "no column", "unknown column", "null", "text", "half a week"],
)
def test_tables_of_another_shape_are_refused(tmp_path: Path, tables: Tables, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        write_fleet(tmp_path / "fleet", tables, {})
    assert not (tmp_path / "fleet").exists()


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fleet.toml has no key 'colour'"):
        write_fleet(tmp_path / "fleet", toy_tables(), {"colour": "red"})
