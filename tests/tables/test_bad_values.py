"""Every kind of bad value: found in its file, row and column, with words that say what to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jaxcpp.tables import FleetError, check_fleet, read_fleet
from tests.tables.fleets import Rows, save, wide_rows


@dataclass(frozen=True)
class Bad:
    """`changes` of cells (table, column, data row from 1, value) and the one problem they make."""

    name: str
    changes: tuple[tuple[str, str, int, Any], ...]
    table: str
    column: str
    row: int
    says: str
    csv: bool = True  # whether a CSV file can say it

    def rows(self) -> Rows:
        rows = wide_rows()
        for table, column, row, value in self.changes:
            rows[table][column][row - 1] = value
        return rows


def bad(table: str, column: str, row: int, value: Any, says: str, **more: Any) -> Bad:
    """One bad cell, to be found where it is."""
    name = f"{table}.{column}={value}"
    return Bad(name, ((table, column, row, value),), table, column, row, says, **more)


def moved(name: str, *changes: tuple[str, str, int, Any], at: tuple[str, str, int], says: str) -> Bad:
    """Changes that make one problem, at a place of its own."""
    return Bad(name, changes, *at, says)


NUMBERS = {
    "products": ("weight_kg", "margin", "holding_cost", "backlog_cost", "lost_sale_cost", "leftover_cost"),
    "demand": ("units",),
    "inventory": ("units",),
    "targets": ("units",),
    "forecast": ("units",),
    "outbound_lanes": ("unit_cost", "cost_per_kg"),
    "offers": ("margin", "holding_cost"),
    "sources": ("capacity",),
    "inbound_lanes": ("unit_cost", "cost_per_kg"),
}
MAY_BE_INFINITE = {"backlog_cost", "lost_sale_cost", "leftover_cost"}
CELLS = [(table, column) for table, columns in NUMBERS.items() for column in columns]

CASES = [
    *(bad(table, column, 2, math.nan, "NaN") for table, column in CELLS),
    *(bad(t, c, 2, math.inf, "inf is infinite; write a") for t, c in CELLS if c not in MAY_BE_INFINITE),
    *(bad(table, column, 2, -math.inf, "-inf is ") for table, column in CELLS),
    *(
        bad(table, column, 2, -0.5, "-0.5 is negative; write a")
        for table, column in CELLS
        if column != "margin"
    ),
    bad("products", "margin", 3, None, "is empty; write a finite number"),
    bad("demand", "product_id", 1, None, "is empty; write an id"),
    bad("demand", "region_id", 1, None, "is empty; write an id"),
    bad("demand", "week", 4, None, "is empty; write a whole number"),
    bad("demand", "units", 6, None, "is empty"),
    bad("inventory", "inbound_id", 1, None, "is empty"),
    bad("outbound_lanes", "unit_cost", 3, None, "is empty"),
    bad("inbound_lanes", "inbound_id", 3, None, "is empty"),
    bad("offers", "margin", 4, None, "is empty"),
    bad("sources", "capacity", 4, None, "is empty"),
    bad("inventory", "inbound_id", 3, "", "'' cannot be an id", csv=False),
    bad("inventory", "inbound_id", 3, "east\0", "cannot be an id", csv=False),
    bad("offers", "share", 3, 1.5, "1.5 is too large; write a number from 0 to 1, or leave it empty"),
    bad("demand", "week", 5, -1, "-1 is negative; write a whole number, 0 for the first week"),
    bad("sources", "week", 3, -1, "-1 is negative"),
    bad("demand", "week", 5, 2**40, "is too large for a week"),
    bad("demand", "product_id", 7, "999", "products has no product_id '999'; correct it or add it"),
    bad("inventory", "product_id", 1, "999", "products has no product_id '999'"),
    bad("inventory", "inbound_id", 2, "attic", "outbound_lanes has no inbound_id 'attic'"),
    bad("outbound_lanes", "product_id", 5, "999", "products has no product_id '999'"),
    bad("sources", "product_id", 2, "999", "products has no product_id '999'"),
    bad("inbound_lanes", "product_id", 4, "999", "products has no product_id '999'"),
    bad("inbound_lanes", "inbound_id", 4, "attic", "outbound_lanes has no inbound_id 'attic'"),
    bad("targets", "inbound_id", 1, "attic", "outbound_lanes has no inbound_id 'attic'"),
    bad("targets", "product_id", 3, "999", "products has no product_id '999'"),
    bad("targets", "week", 2, -1, "-1 is negative; write a whole number, 0 for the first week, or leave"),
    bad("forecast", "product_id", 3, "999", "products has no product_id '999'"),
    bad("forecast", "made_in", 2, None, "is empty; write a whole number"),
    bad("forecast", "made_in", 4, 0.5, "0.5 is not a whole number"),
    moved(
        "forecast of a week that is over",
        ("forecast", "week", 2, 0),
        at=("forecast", "week", 2),
        says="week 0 is over in week 1, when it was forecast; forecast the week it was made in",
    ),
    moved(
        "forecast of a region without lane",
        ("forecast", "region_id", 4, "mars"),
        at=("forecast", "region_id", 4),
        says="region_id 'mars' for product_id '103'; add a row to outbound_lanes, or take the forecast out",
    ),
    moved(
        "target that no vendor can fill",
        ("inbound_lanes", "product_id", 2, "101"),
        ("inbound_lanes", "inbound_id", 5, "east"),
        ("targets", "units", 3, 5.0),
        at=("targets", "inbound_id", 3),
        says="no vendor of product_id '102' delivers to inbound_id 'west'; add a row to inbound_lanes",
    ),
    moved(
        "product without offer",
        ("offers", "product_id", 4, "101"),
        ("offers", "share", 4, None),
        at=("demand", "product_id", 5),
        says="product_id '103' has demand but no vendor offers it; add a row to offers",
    ),
    moved(
        "region without lane",
        ("demand", "region_id", 3, "mars"),
        at=("demand", "region_id", 3),
        says="no outbound lane reaches region_id 'mars' for product_id '102'; add a row to outbound_lanes",
    ),
    moved(
        "region with another product's lane",
        ("outbound_lanes", "product_id", 1, "101"),
        ("outbound_lanes", "product_id", 3, "103"),
        at=("demand", "region_id", 3),
        says="no outbound lane reaches region_id 'north' for product_id '102'",
    ),
    moved(
        "shares do not sum",
        ("offers", "share", 2, 0.3),
        at=("offers", "share", 2),
        says="the shares of product_id '102' sum to 1.05; make them sum to 1",
    ),
    moved(
        "shares beyond the tolerance",
        ("offers", "share", 4, 0.999998),
        at=("offers", "share", 4),
        says="the shares of product_id '103' sum to 0.999998",
    ),
    moved(
        "shares of some vendors",
        ("offers", "share", 3, None),
        at=("offers", "share", 3),
        says="product_id '102' has offers with a share and offers without; give each",
    ),
    moved(
        "week gap",
        ("demand", "week", 2, 0),
        at=("demand", "week", 3),
        says="week gap, week 1 has no row but week 2 has; number the weeks from 0 on",
    ),
    moved(
        "weeks from 1",
        *(("demand", "week", row, week) for row, week in enumerate([1, 1, 2, 1, 1, 2, 2], start=1)),
        at=("demand", "week", 1),
        says="week gap, week 0 has no row but week 1 has",
    ),
    moved(
        "a lost sale that earns",
        ("products", "margin", 1, -7.0),
        at=("products", "margin", 1),
        says="-7 is a loss beyond the lost_sale_cost 5; raise lost_sale_cost",
    ),
    moved(
        "source after the window",
        ("sources", "week", 1, 3),
        at=("offers", "vendor_id, product_id", 1),
        says="vendor_id 'acme', product_id '101': the vendor has no source for it",
    ),
    moved(
        "capacity for another product",
        ("sources", "product_id", 1, "103"),
        at=("offers", "vendor_id, product_id", 1),
        says="the vendor has no source for it with both a capacity and an inbound lane; add rows",
    ),
    moved(
        "lanes for another product",
        ("inbound_lanes", "product_id", 1, "102"),
        ("inbound_lanes", "product_id", 2, "102"),
        at=("offers", "vendor_id, product_id", 1),
        says="the vendor has no source for it with both a capacity and an inbound lane",
    ),
]


WRITTEN = [
    pytest.param(case, kind, id=f"{case.name}-{kind}")
    for case in CASES
    for kind in (["parquet", "csv"] if case.csv else ["parquet"])
]


@pytest.mark.parametrize(("case", "kind"), WRITTEN)
def test_one_bad_value_makes_one_problem(tmp_path: Path, case: Bad, kind: str) -> None:
    folder = save(tmp_path, {name: pa.table(columns) for name, columns in case.rows().items()}, kind)
    problems = check_fleet(folder)
    assert len(problems) == 1, [str(problem) for problem in problems]
    problem = problems[0]
    assert problem.file == f"{case.table}.{kind}"
    assert (problem.column, problem.row) == (case.column, case.row + (kind == "csv"))
    assert case.says in problem.message
    with pytest.raises(FleetError) as caught:
        read_fleet(folder)
    assert caught.value.problems == (problem,)
    word = "line" if kind == "csv" else "row"
    assert f"{case.table}.{kind}, {word} {problem.row}, column" in str(caught.value)


def test_an_unknown_vendor_and_an_unknown_source(tmp_path: Path) -> None:
    rows = wide_rows()
    for table, row in (
        ("sources", {"vendor_id": "zed", "source_id": "main", "capacity": 1.0}),
        ("inbound_lanes", {"vendor_id": "acme", "source_id": "side", "inbound_id": "east", "unit_cost": 1.0}),
    ):
        for column, values in rows[table].items():
            values.append(row.get(column))
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    vendor, source = check_fleet(save(tmp_path, tables))
    assert (vendor.file, vendor.row, vendor.column) == ("sources.parquet", 6, "vendor_id")
    assert "offers has no vendor_id 'zed'; correct it or add it to offers" in vendor.message
    assert (source.file, source.row, source.column) == ("inbound_lanes.parquet", 6, "vendor_id, source_id")
    assert "sources has no vendor_id 'acme', source_id 'side'; correct it" in source.message


KEYS = {
    "products": "product_id",
    "demand": "product_id, region_id, week",
    "inventory": "product_id, inbound_id",
    "targets": "product_id, inbound_id, week",
    "forecast": "product_id, region_id, made_in, week",
    "outbound_lanes": "inbound_id, region_id, product_id",
    "offers": "vendor_id, product_id",
    "sources": "vendor_id, source_id, week, product_id",
    "inbound_lanes": "vendor_id, source_id, inbound_id, product_id",
}


@pytest.mark.parametrize("table", KEYS)
def test_a_doubled_row_is_a_duplicate_key(tmp_path: Path, table: str) -> None:
    rows = wide_rows()
    if table == "offers":  # else the shares are wrong as well
        del rows["offers"]["share"]
    for values in rows[table].values():
        values.append(values[1])
    count = len(rows[table]["product_id"])
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    (problem,) = check_fleet(save(tmp_path, tables))
    assert (problem.file, problem.row, problem.column) == (f"{table}.parquet", count, KEYS[table])
    assert "duplicate key" in problem.message
    assert "row 2 has it already, keep one" in problem.message


def test_problems_of_a_kind_are_listed_from_the_top_of_the_file(tmp_path: Path) -> None:
    rows = wide_rows()
    for values in rows["demand"].values():
        values.extend([values[2], values[0]])
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    problems = check_fleet(save(tmp_path, tables))
    assert [problem.row for problem in problems] == [8, 9]
    assert ["'102'" in problem.message for problem in problems] == [True, False]


@pytest.mark.parametrize("lane", [None, "102", "103"])
@pytest.mark.parametrize("capacity", [None, "102", "103"])
def test_a_source_is_usable_where_capacity_and_lane_meet(
    tmp_path: Path, capacity: str | None, lane: str | None
) -> None:
    """Product 103 has one source; its capacity and its lane each speak of one product or of every one."""
    rows = wide_rows()
    rows["offers"] = {
        "vendor_id": ["acme", "acme", "solo"],
        "product_id": ["101", "102", "103"],
        "margin": [1.0, 1.0, 1.0],
    }
    for table in ("sources", "inbound_lanes"):
        rows[table] = {column: values[:2] for column, values in rows[table].items()}
    added: tuple[tuple[str, dict[str, Any]], ...] = (
        ("sources", {"vendor_id": "solo", "source_id": "main", "capacity": 5.0, "product_id": capacity}),
        (
            "inbound_lanes",
            {
                "vendor_id": "solo",
                "source_id": "main",
                "inbound_id": "east",
                "unit_cost": 1.0,
                "product_id": lane,
            },
        ),
    )
    for table, row in added:
        for column, values in rows[table].items():
            values.append(row.get(column))
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    problems = check_fleet(save(tmp_path, tables))
    assert len(problems) == ("102" in (capacity, lane))
    assert all("vendor_id 'solo', product_id '103': the vendor has no source" in p.message for p in problems)


def test_a_key_is_more_than_its_parts(tmp_path: Path) -> None:
    """Rows that differ in one part of the key only, or in whether they name a product, are two."""
    rows = wide_rows()
    for name, value in (("vendor_id", "acme"), ("source_id", "main"), ("capacity", 3.0), ("week", 0)):
        rows["sources"][name].extend([value, value])
    rows["sources"]["product_id"].extend([None, "102"])
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    assert check_fleet(save(tmp_path, tables)) == []


@pytest.mark.parametrize(
    ("column", "text", "says"),
    [
        ("units", "many", "'many' is not a number; write a finite number of at least 0"),
        ("units", "1,5", "'1,5' is not a number"),
        ("units", "0x10", "'0x10' is not a number"),
        ("units", " ", "' ' is not a number"),
        ("week", "W1", "'W1' is not a number; write a whole number, 0 for the first week"),
        ("week", "0.5", "0.5 is not a whole number"),
        ("units", "1e999", "inf is infinite"),
    ],
)
def test_text_in_a_csv_number(tmp_path: Path, column: str, text: str, says: str) -> None:
    tables = {name: pa.table(columns) for name, columns in wide_rows().items()}
    words = [str(value) for value in tables["demand"][column].to_pylist()]
    words[4] = text
    place = tables["demand"].schema.get_field_index(column)
    tables["demand"] = tables["demand"].set_column(place, column, pa.array(words))
    (problem,) = check_fleet(save(tmp_path, tables, "csv"))
    assert (problem.file, problem.row, problem.column) == ("demand.csv", 6, column)
    assert says in problem.message


def test_csv_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    tables = {name: pa.table(columns) for name, columns in wide_rows().items()}
    del tables["inventory"]
    folder = save(tmp_path, tables)
    (folder / "inventory.csv").write_text(
        'product_id,inbound_id,units,note\n101,east,-2,"two\nlines"\n\n103,west\n103,west,-4,\n'
    )
    cells, first, last = check_fleet(folder)
    assert (cells.row, first.row, last.row) == (5, 2, 6)
    assert "has 2 cells where the header has 4" in cells.message
    assert "-2 is negative" in first.message
    assert "-4 is negative" in last.message


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    together = [
        "demand.units=nan",
        "sources.week=-1",
        "shares do not sum",
        "week gap",
        "a lost sale that earns",
    ]
    chosen = [case for case in CASES if case.name in together]
    assert len(chosen) == len(together)
    rows = wide_rows()
    for case in chosen:
        for table, column, row, value in case.changes:
            rows[table][column][row - 1] = value
    for values in rows["outbound_lanes"].values():
        values.append(values[0])
    del rows["inbound_lanes"]["unit_cost"]
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    del tables["inventory"]
    folder = save(tmp_path, tables)
    (folder / "inventory.parquet").write_bytes(b"PAR1")
    with pytest.raises(FleetError) as caught:
        read_fleet(folder)
    found = {(problem.file.split(".")[0], problem.column, problem.row) for problem in caught.value.problems}
    expected: set[tuple[str, str, int | None]] = {(case.table, case.column, case.row) for case in chosen}
    expected |= {
        ("outbound_lanes", KEYS["outbound_lanes"], 6),
        ("inbound_lanes", "unit_cost", None),
        ("inventory", "", None),
    }
    assert found == expected
    assert str(caught.value).startswith("8 problems in the fleet:\n")


def test_many_bad_rows_are_counted_not_listed(tmp_path: Path) -> None:
    rows = wide_rows()
    rows["demand"] = {
        "product_id": ["101"] * 4000,
        "region_id": [f"r{number}" for number in range(4000)],
        "week": [0] * 4000,
        "units": [-1.0] * 2000 + [math.nan] * 2000,
    }
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    problems = check_fleet(save(tmp_path, tables))
    assert [problem.row for problem in problems] == [2001, 2002, 2003, 2004, 2005, None, 1, 2, 3, 4, 5, None]
    assert problems[5].message == problems[11].message == "and 1,995 more rows like these"


def test_an_unknown_id_is_told_once_with_its_rows_counted(tmp_path: Path) -> None:
    rows = wide_rows()
    rows["products"] = {name: values[:2] for name, values in rows["products"].items()}
    tables = {name: pa.table(columns) for name, columns in rows.items()}
    problems = check_fleet(save(tmp_path, tables))
    demand = [problem for problem in problems if problem.file == "demand.parquet"]
    assert len(demand) == 1
    assert demand[0].row == 5
    assert "products has no product_id '103' (2 rows have it)" in demand[0].message
