"""A bad product is left out with its reason; what concerns more than one product still stops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcpp.tables import FleetError, check_fleet, read_fleet
from tests.tables.fleets import Rows, Tables, save, wide_rows
from tests.tables.test_read import assert_same

Change = tuple[str, str, int, Any]


def tables_of(rows: Rows) -> Tables:
    return {name: pa.table(columns) for name, columns in rows.items()}


def spoilt(*changes: Change) -> Tables:
    rows = wide_rows()
    for table, column, row, value in changes:
        rows[table][column][row - 1] = value
    return tables_of(rows)


def without(product: str) -> Tables:
    """The fleet from which a product was taken by hand, its weeks and vendors' lanes kept in order."""
    rows = wide_rows()
    for columns in rows.values():
        kept = [place for place, entry in enumerate(columns["product_id"]) if entry != product]
        for column, values in columns.items():
            columns[column] = [values[place] for place in kept]
    for week in range(3):
        for column, value in (("product_id", "102"), ("region_id", "idle"), ("week", week), ("units", 0.0)):
            rows["demand"][column].append(value)
    if product == "103":  # the one source that has a capacity for this product alone
        for values in rows["inbound_lanes"].values():
            del values[2]
    return tables_of(rows)


@pytest.mark.parametrize(
    ("changes", "product", "reason"),
    [
        ([("products", "margin", 1, math.nan)], "101", "products, column margin: is not a number (NaN)"),
        ([("demand", "units", 5, -3.0)], "103", "demand, column units: -3 is negative"),
        ([("demand", "week", 5, -3)], "103", "demand, column week: -3 is negative"),
        ([("inventory", "inbound_id", 2, "attic")], "103", "outbound_lanes has no inbound_id 'attic'"),
        ([("outbound_lanes", "unit_cost", 5, None)], "103", "outbound_lanes, column unit_cost: is empty"),
        ([("offers", "share", 4, 0.5)], "103", "offers, column share: the shares of product_id '103' sum to"),
        ([("sources", "capacity", 3, math.inf)], "103", "sources, column capacity: inf is infinite"),
        ([("inbound_lanes", "unit_cost", 4, -1.0)], "103", "inbound_lanes, column unit_cost: -1 is negative"),
        ([("demand", "region_id", 5, "mars")], "103", "demand, column region_id: no outbound lane reaches"),
        (
            [("sources", "product_id", 1, "103"), ("sources", "week", 1, 0)],
            "101",
            "offers, columns vendor_id, product_id: vendor_id 'acme', product_id '101': the vendor has no",
        ),
    ],
)
def test_the_product_alone_goes(tmp_path: Path, changes: list[Change], product: str, reason: str) -> None:
    fleet, rejected = read_fleet(save(tmp_path / "bad", spoilt(*changes)), skip_bad=True)
    assert [entry.product_id for entry in rejected] == [product]
    assert reason in rejected[0].reason
    assert product not in fleet.product_ids
    assert len(fleet.product_ids) == 2
    rest, _ = read_fleet(save(tmp_path / "rest", without(product)))
    if changes[0][:2] != ("sources", "product_id"):  # that case also changes what stays
        assert_same(fleet, rest)


def test_without_skipping_the_same_fleet_stops(tmp_path: Path) -> None:
    folder = save(tmp_path, spoilt(("products", "margin", 1, math.nan)))
    with pytest.raises(FleetError, match=r"products\.parquet, row 1, column margin"):
        read_fleet(folder)


def test_a_good_fleet_rejects_nothing(tmp_path: Path) -> None:
    folder = save(tmp_path, spoilt())
    fleet, rejected = read_fleet(folder, skip_bad=True)
    assert rejected == []
    assert_same(fleet, read_fleet(folder)[0], but=())


def test_every_reason_of_a_product_is_given(tmp_path: Path) -> None:
    tables = spoilt(
        ("products", "margin", 3, math.inf),
        ("demand", "units", 5, -3.0),
        ("demand", "units", 6, -4.0),
        ("offers", "share", 4, 0.5),
    )
    _, (entry,) = read_fleet(save(tmp_path, tables), skip_bad=True)
    assert entry.reason == (
        "products, column margin: inf is infinite; "
        "demand, column units: -3 is negative (and 1 more rows like these); "
        "offers, column share: the shares of product_id '103' sum to 0.5"
    )


def test_an_unknown_product_is_rejected_under_its_own_name(tmp_path: Path) -> None:
    fleet, rejected = read_fleet(save(tmp_path, spoilt(("demand", "product_id", 7, "999"))), skip_bad=True)
    assert [(entry.product_id, "products has no product_id '999'" in entry.reason) for entry in rejected] == [
        ("999", True)
    ]
    assert fleet.product_ids.tolist() == ["101", "102", "103"]


def test_the_window_is_that_of_all_products(tmp_path: Path) -> None:
    """Leaving out the only product with demand in the last week does not shorten the others' plans."""
    rows = wide_rows()
    rows["demand"]["week"] = [0, 1, 1, 0, 0, 2, 0]
    rows["demand"]["region_id"][6] = "south"
    rows["demand"]["units"][4] = -1.0
    fleet, rejected = read_fleet(save(tmp_path, tables_of(rows)), skip_bad=True)
    assert [entry.product_id for entry in rejected] == ["103"]
    assert fleet.weeks == 3
    assert fleet.demand.week.max() == 1


@pytest.mark.parametrize(
    "change",
    [
        ("outbound_lanes", "unit_cost", 1, -1.0),
        ("sources", "capacity", 1, math.nan),
        ("inbound_lanes", "inbound_id", 1, "attic"),
        ("demand", "product_id", 1, None),
        ("demand", "week", 3, 4),
        ("products", "product_id", 2, None),
    ],
    ids=lambda change: f"{change[0]}.{change[1]}",
)
def test_what_concerns_more_than_one_product_stops(tmp_path: Path, change: Change) -> None:
    folder = save(tmp_path, spoilt(change, ("products", "margin", 1, math.nan)))
    with pytest.raises(FleetError) as caught:
        read_fleet(folder, skip_bad=True)
    files = [problem.file for problem in caught.value.problems]
    assert f"{change[0]}.parquet" in files
    assert len(check_fleet(folder)) > len(files)  # the product's own problem does not stop


def test_a_fleet_of_bad_products_stops(tmp_path: Path) -> None:
    bad = [("products", "margin", row, math.nan) for row in (1, 2, 3)]
    with pytest.raises(FleetError, match="every product has a problem, none is left to plan"):
        read_fleet(save(tmp_path, spoilt(*bad)), skip_bad=True)


@pytest.mark.slow
@given(data=st.data(), kind=st.sampled_from(["csv", "parquet"]))
def test_reasons_do_not_depend_on_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    rows = wide_rows()
    rows["demand"]["units"][0:2] = [-1.0, -2.0]
    rows["offers"]["share"][3] = 0.5
    for values in rows["demand"].values():
        values.extend([values[4], values[4]])
    rows["demand"]["units"][-1] = 5.0
    tables = tables_of(rows)
    straight = read_fleet(save(tmp_path_factory.mktemp("straight"), tables), skip_bad=True)
    assert [entry.product_id for entry in straight[1]] == ["101", "103"]
    for name, table in tables.items():
        tables[name] = table.take(pa.array(data.draw(st.permutations(range(table.num_rows)))))
    fleet, rejected = read_fleet(save(tmp_path_factory.mktemp("shuffled"), tables, kind), skip_bad=True)
    assert rejected == straight[1]
    assert_same(fleet, straight[0])
