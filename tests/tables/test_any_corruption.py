"""Whatever single thing goes wrong with a good fleet, it is found where it is."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcpp.tables import FleetError, check_fleet, read_fleet
from tests.tables.fleets import save, wide_rows, wide_tables

pytestmark = pytest.mark.slow

REQUIRED_IDS = {
    "products": ["product_id"],
    "demand": ["product_id", "region_id"],
    "inventory": ["product_id", "inbound_id"],
    "targets": ["product_id", "inbound_id"],
    "forecast": ["product_id", "region_id"],
    "outbound_lanes": ["inbound_id", "region_id"],
    "offers": ["vendor_id", "product_id"],
    "sources": ["vendor_id", "source_id"],
    "inbound_lanes": ["vendor_id", "source_id", "inbound_id"],
}
REQUIRED_NUMBERS = {
    "products": ["margin"],
    "demand": ["units", "week"],
    "inventory": ["units"],
    "targets": ["units"],
    "forecast": ["units", "made_in", "week"],
    "outbound_lanes": ["unit_cost"],
    "offers": ["margin"],
    "sources": ["capacity"],
    "inbound_lanes": ["unit_cost"],
}
OPTIONAL_NUMBERS = {
    "products": ["weight_kg", "holding_cost", "backlog_cost", "lost_sale_cost", "leftover_cost"],
    "outbound_lanes": ["cost_per_kg"],
    "offers": ["holding_cost", "share"],
    "sources": ["week"],
    "targets": ["week"],
    "inbound_lanes": ["cost_per_kg"],
}
MAY_BE_INFINITE = ("backlog_cost", "lost_sale_cost", "leftover_cost")


class Corruption(NamedTuple):
    table: str
    column: str
    row: int
    value: Any


def _columns(*groups: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(table, column) for group in groups for table, columns in group.items() for column in columns]


@st.composite
def corruptions(draw: st.DrawFn) -> Corruption:
    """A cell of the fleet and a value that may not stand there."""
    kind = draw(st.sampled_from(["null", "nan", "negative", "infinite", "unknown"]))
    if kind == "null":
        table, column = draw(st.sampled_from(_columns(REQUIRED_IDS, REQUIRED_NUMBERS)))
        value: Any = None
    elif kind == "unknown":
        known = [name for name in REQUIRED_IDS if name != "products"]
        table, column = draw(st.sampled_from([(name, "product_id") for name in known] + UNKNOWN))
        value = draw(st.sampled_from(["0101", "101 ", "Acme", "ÄÖ", "nowhere", "null", "NaN"]))
    else:
        cells = _columns(REQUIRED_NUMBERS, OPTIONAL_NUMBERS)
        if kind == "negative":
            cells = [cell for cell in cells if cell[1] != "margin"]
        if kind == "infinite":
            cells = [cell for cell in cells if cell[1] not in MAY_BE_INFINITE]
        table, column = draw(st.sampled_from(cells))
        number = st.floats(max_value=0, exclude_max=True, allow_nan=False)
        value = {"nan": math.nan, "infinite": math.inf}.get(kind) or draw(number)
    return Corruption(table, column, draw(st.integers(0, len(wide_rows()[table][column]) - 1)), value)


UNKNOWN = [
    ("inventory", "inbound_id"),
    ("targets", "inbound_id"),
    ("inbound_lanes", "inbound_id"),
    ("inbound_lanes", "source_id"),
]


@given(corruption=corruptions(), kind=st.sampled_from(["csv", "parquet"]))
def test_a_bad_cell_is_found_in_its_place(
    tmp_path_factory: pytest.TempPathFactory, corruption: Corruption, kind: str
) -> None:
    table, column, row, value = corruption
    rows = wide_rows()
    if isinstance(value, float):
        rows[table][column] = [None if cell is None else float(cell) for cell in rows[table][column]]
    rows[table][column][row] = value
    tables = {name: _table(columns, kind) for name, columns in rows.items()}
    folder = save(tmp_path_factory.mktemp("fleet"), tables, kind)
    problems = check_fleet(folder)
    places = {(problem.file, problem.row) for problem in problems if column in problem.column.split(", ")}
    assert (f"{table}.{kind}", row + (2 if kind == "csv" else 1)) in places, problems
    with pytest.raises(FleetError):
        read_fleet(folder)


def _table(columns: dict[str, list[Any]], kind: str) -> pa.Table:
    """A CSV file gets its numbers as Python writes them, so that NaN and inf come through."""
    if kind == "parquet":
        return pa.table({name: pa.array(values, from_pandas=False) for name, values in columns.items()})
    texts = {name: [None if cell is None else str(cell) for cell in cells] for name, cells in columns.items()}
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in texts.items()})


@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["csv", "parquet"]))
def test_damaged_bytes_never_come_out_as_another_error(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    """A file with lost, changed or cut bytes is read or reported; nothing else can happen."""
    chance = random.Random(seed)
    folder = save(tmp_path_factory.mktemp("fleet"), wide_tables(), kind)
    path: Path = chance.choice(sorted(folder.iterdir()))
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    how = chance.choice(["cut", "lose", "change"])
    if how == "cut":
        del data[place:]
    elif how == "lose":
        del data[place : place + chance.randrange(1, 9)]
    else:
        data[place] ^= chance.randrange(1, 256)
    path.write_bytes(data)
    problems = check_fleet(folder)
    if problems:
        with pytest.raises(FleetError):
            read_fleet(folder)
    else:
        assert read_fleet(folder)[0].product_ids.size
    if how == "cut" and kind == "parquet":
        assert [problem.file for problem in problems] == [path.name]
