"""Files that are missing, damaged, doubled, or of another shape."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxcpp.tables import FleetError, Problem, check_fleet, read_fleet, write_fleet
from tests.tables.fleets import save, toy_tables, wide_tables

NEEDED = ["products", "demand", "outbound_lanes", "offers", "sources", "inbound_lanes"]


def only(folder: Path) -> Problem:
    """The one problem of a fleet, which must also stop a reading that skips bad products."""
    problems = check_fleet(folder)
    assert len(problems) == 1, [str(problem) for problem in problems]
    with pytest.raises(FleetError) as caught:
        read_fleet(folder, skip_bad=True)
    assert list(caught.value.problems) == problems
    return problems[0]


def test_no_folder(tmp_path: Path) -> None:
    problem = only(tmp_path / "nothing")
    assert problem.file == str(tmp_path / "nothing")
    assert "there is no such folder" in problem.message


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "fleet").write_text("")
    assert "is a file, not a folder" in only(tmp_path / "fleet").message


def test_an_empty_folder_lacks_every_table(tmp_path: Path) -> None:
    problems = check_fleet(tmp_path)
    assert [problem.file for problem in problems] == [f"{name}.parquet" for name in NEEDED]
    assert all("there is no such file, nor" in problem.message for problem in problems)


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_table(tmp_path: Path, name: str) -> None:
    tables = wide_tables()
    del tables[name]
    assert only(save(tmp_path, tables)).message.startswith(f"there is no such file, nor {name}.csv")


@pytest.mark.parametrize("name", wide_tables())
def test_a_table_in_two_files(tmp_path: Path, name: str) -> None:
    tables = wide_tables()
    save(tmp_path, tables)
    save(tmp_path, {name: tables[name]}, "csv")
    problem = only(tmp_path)
    assert problem.file == f"{name}.parquet"
    assert f"{name}.csv is there too; keep one of the two" in problem.message


REQUIRED = {
    "products": ["product_id", "margin"],
    "demand": ["product_id", "region_id", "week", "units"],
    "inventory": ["product_id", "inbound_id", "units"],
    "outbound_lanes": ["inbound_id", "region_id", "unit_cost"],
    "offers": ["vendor_id", "product_id", "margin"],
    "sources": ["vendor_id", "source_id", "capacity"],
    "inbound_lanes": ["vendor_id", "source_id", "inbound_id", "unit_cost"],
}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize(("name", "column"), [(n, c) for n, columns in REQUIRED.items() for c in columns])
def test_a_missing_column(tmp_path: Path, name: str, column: str, kind: str) -> None:
    tables = wide_tables()
    tables[name] = tables[name].drop_columns([column])
    problem = only(save(tmp_path, tables, kind))
    assert (problem.file, problem.row, problem.column) == (f"{name}.{kind}", None, column)
    assert "is missing; the file has" in problem.message
    assert tables[name].column_names[0] in problem.message


@pytest.mark.parametrize(
    ("column", "kind", "says"),
    [
        ("units", pa.string(), "holds string; store it as numbers"),
        ("units", pa.bool_(), "holds bool; store it as numbers"),
        ("week", pa.string(), "holds string; store it as whole numbers"),
        ("week", pa.date32(), "holds date32[day]; store it as whole numbers"),
        ("product_id", pa.float64(), "holds double; store it as text (ids may be whole numbers, too)"),
        ("region_id", pa.binary(), "holds binary; store it as text"),
    ],
)
def test_a_wrong_type(tmp_path: Path, column: str, kind: pa.DataType, says: str) -> None:
    tables = wide_tables()
    demand = tables["demand"]
    values = demand[column].cast(pa.int32() if column == "week" else demand[column].type).cast(kind)
    tables["demand"] = demand.set_column(demand.schema.get_field_index(column), column, values)
    problem = only(save(tmp_path, tables))
    assert (problem.file, problem.row, problem.column) == ("demand.parquet", None, column)
    assert says in problem.message


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_doubled_column(tmp_path: Path, kind: str) -> None:
    tables = toy_tables()
    tables["offers"] = tables["offers"].append_column("margin", pa.array([3.0]))
    problem = only(save(tmp_path, tables, kind))
    assert (problem.file, problem.column) == (f"offers.{kind}", "margin")
    assert "occurs 2 times; keep one" in problem.message


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("name", NEEDED)
def test_an_empty_table(tmp_path: Path, name: str, kind: str) -> None:
    tables = wide_tables()
    tables[name] = tables[name].slice(0, 0)
    problems = check_fleet(save(tmp_path, tables, kind))
    assert Problem(f"{name}.{kind}", None, "", "has no rows; a fleet needs at least one") in problems


def test_an_empty_inventory_is_none(tmp_path: Path) -> None:
    tables = wide_tables()
    tables["inventory"] = tables["inventory"].slice(0, 0)
    assert check_fleet(save(tmp_path, tables)) == []


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("name", wide_tables())
def test_a_truncated_parquet_file(tmp_path: Path, name: str, share: float) -> None:
    path = save(tmp_path, wide_tables()) / f"{name}.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    problem = only(tmp_path)
    assert (problem.file, problem.row) == (path.name, None)
    assert "cannot be read as Parquet, it is damaged or cut off" in problem.message
    assert "write it again" in problem.message


def test_a_damaged_page_of_a_written_fleet_is_noticed(tmp_path: Path) -> None:
    """Files of `write_fleet` carry checksums: no byte of the data can change unseen."""
    write_fleet(tmp_path, toy_tables(), {})
    path = tmp_path / "inbound_lanes.parquet"
    data = bytearray(path.read_bytes())
    metadata = pq.read_metadata(path)
    columns = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    prices = next(column for column in columns if column.path_in_schema == "unit_cost")
    data[prices.data_page_offset + prices.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(data)
    assert "cannot be read as Parquet" in only(tmp_path).message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "this column of ids is missing; the file has no columns"),
        (b"product_id,margin\n", "has no rows"),
        (b"product_id;margin\nwidget;20\n", "separate the columns by commas, not ';'"),
        (b"product_id\tmargin\nwidget\t20\n", "separate the columns by commas, not '\\t'"),
        (b"product_id,margin\nwidg\xe9t,20\n", "cannot be read as CSV (UTF-8, comma-separated)"),
        ("product_id,margin\nwidget,20\n".encode("utf-16"), "cannot be read as CSV (UTF-8"),
        (b"product_id,margin\nwidget,20,5\n", "has 3 cells where the header has 2"),
    ],
    ids=["no bytes", "header only", "semicolons", "tabs", "latin-1", "utf-16", "cells"],
)
def test_a_csv_file_that_is_none(tmp_path: Path, data: bytes, says: str) -> None:
    tables = toy_tables()
    del tables["products"]
    save(tmp_path, tables)
    (tmp_path / "products.csv").write_bytes(data)
    found = [problem for problem in check_fleet(tmp_path) if problem.file == "products.csv"]
    assert any(says in problem.message for problem in found), found


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("name = ", "", "cannot be read as TOML"),
        ("name = 3", "name", "3 is not text; write it in quotes"),
        ('first_week = "next week"', "first_week", "'next week' is not an ISO date"),
        ("first_week = 2024-01-29T00:00:00", "first_week", "is not text"),
        ('currency = ["USD"]', "currency", "is not text"),
    ],
)
def test_a_bad_fleet_toml(tmp_path: Path, text: str, column: str, says: str) -> None:
    folder = save(tmp_path, toy_tables())
    (folder / "fleet.toml").write_text(text)
    problem = only(folder)
    assert (problem.file, problem.column) == ("fleet.toml", column)
    assert says in problem.message
