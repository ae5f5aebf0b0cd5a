"""The cut of a fleet, and what a part reads: all rows that concern it, no false alarm. Nothing is solved."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxcpp.cluster.cut import read_cut, write_cut
from jaxcpp.cluster.ids import read_ids
from jaxcpp.fleet.bundle_pack import OrderPacker, bundle_buckets, larger, largest
from jaxcpp.fleet.bundles import Capacity, bundles
from jaxcpp.fleet.contracts import contracts
from jaxcpp.fleet.pack import Packer, Padding
from jaxcpp.tables import FleetError, check_fleet, read_fleet, write_fleet
from jaxcpp.tables.read import read_part
from tests.cluster.samples import mixed
from tests.fleets import shuffled
from tests.tables.fleets import toy_tables, wide_tables

SIZE = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    write_fleet(folder, mixed().tables(), {"name": "mixed", "currency": "EUR"})
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    return read_fleet(folder)[0]


def cut(folder, path, size=SIZE):
    sizes = write_cut(folder, read_ids(folder), size, path)
    return [read_cut(path, part) for part in range(len(sizes))], sizes


@pytest.fixture(scope="module")
def parts(folder, tmp_path_factory):
    return cut(folder, tmp_path_factory.mktemp("cut") / "cut.parquet")


def offers_of(fleet):
    return sorted(
        zip(fleet.vendor_ids[fleet.offers.vendor], fleet.product_ids[fleet.offers.product], strict=True)
    )


def test_every_offer_is_in_one_part_and_no_bundle_in_two(folder, whole, parts):
    chosen, sizes = parts
    fleets = [read_part(folder, part)[0] for part in chosen]
    assert len(fleets) > 3
    assert sorted(offer for fleet in fleets for offer in offers_of(fleet)) == offers_of(whole)
    assert [len(fleet.offers.vendor) for fleet in fleets] == sizes
    part_of = {product: at for at, part in enumerate(chosen) for product in part.products}
    tied = bundles(whole)
    assert len(tied) == 3
    for item in tied.items:
        assert len({part_of[str(name)] for name in whole.product_ids[item.products]}) == 1
    assert sum(len(bundles(fleet)) for fleet in fleets) == len(tied)
    assert max(sizes) <= max(SIZE, *(len(item.offers) for item in tied.items))


def test_parts_follow_the_order_of_contracts(folder, parts):
    firsts = [
        min(contracts(fleet).ids, default=None) for fleet in (read_part(folder, p)[0] for p in parts[0])
    ]
    known = [str(first) for first in firsts if first is not None]
    assert known == sorted(known)


def test_the_cut_is_the_same_whatever_the_order_of_rows_and_the_kind_of_file(folder, parts, tmp_path):
    again = tmp_path / "again"
    write_fleet(again, shuffled(mixed().tables(), 4), {"name": "mixed"})
    for table in ("demand", "sources"):  # a folder of files, two of them with an id in their folder's name
        rows = pq.read_table(again / f"{table}.parquet")
        (again / f"{table}.parquet").unlink()
        column = "vendor_id" if table == "sources" else "week"
        values = rows[column].unique().to_pylist()
        for value in values:
            words = str(value).replace("%", "%25").replace(":", "%3A").replace(" ", "%20")
            mine = rows.filter(pa.compute.equal(rows[column], value)).drop_columns([column])
            path = again / table / f"{column}={words}" / "part-0.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(mine, path, row_group_size=3)
        (again / table / "_SUCCESS").write_text("")
    assert read_fleet(again)[0].fingerprint == read_fleet(folder)[0].fingerprint
    chosen, sizes = cut(again, tmp_path / "cut.parquet")
    assert (chosen, sizes) == parts
    for part in chosen:
        assert read_part(again, part)[0].fingerprint == read_part(folder, part)[0].fingerprint


def leaves(value):
    if is_dataclass(value):
        return [leaf for field in fields(value) for leaf in leaves(getattr(value, field.name))]
    return [value]


def test_a_part_is_packed_as_in_the_whole(folder, whole, parts):
    """The very arrays that are solved, padding and all: equal arrays, equal answers."""
    ids = read_ids(folder)
    fleets = [read_part(folder, part)[0] for part in parts[0]]
    most: dict = {}
    for fleet in fleets:
        most = larger(most, largest(fleet, bundles(fleet)))
    assert most == largest(whole, bundles(whole))
    padding = Padding(len(ids.inbound_ids), ids.most_sources, most)
    alone, tied = packed(whole, None)
    for fleet in fleets:
        mine = packed(fleet, padding)
        for ours, theirs in zip(mine, (alone, tied), strict=True):
            for name, arrays in ours.items():
                for a, b in zip(arrays, theirs.pop(name), strict=True):
                    np.testing.assert_array_equal(a, b)
    assert not alone
    assert not tied


def packed(fleet, padding):
    """The arrays of every contract that stands alone, and of every bundle, by id."""
    tied = bundles(fleet)
    found = contracts(fleet, tied)
    single = {
        (str(found.ids[contract]), bucket.shape): [
            leaf[row] for leaf in leaves(bucket.lanes) if leaf is not None
        ]
        for bucket in Packer(fleet, found, padding=padding).buckets()
        for row, contract in enumerate(bucket.contract)
    }
    if not len(tied):
        return single, {}
    limits = Capacity(fleet)
    packer = OrderPacker(fleet, tied, limits, padding=padding)
    nodes = {int(packer.found.product[at]): packer.lane(at).nodes for at in range(len(packer.found))}
    several = {
        str(fleet.product_ids[piece.bundle.products[0]]): [leaf[row] for leaf in leaves(bucket.lanes)]
        for bucket in bundle_buckets(packer, limits, tied, nodes)
        for row, piece in enumerate(bucket.pieces)
    }
    return single, several


def test_the_bundle_of_a_product_without_capacity_of_its_own_in_some_week(tmp_path):
    """Own capacity in every week, by week or for all, unties a product from a source that others share."""
    tables = wide_tables()
    write_fleet(tmp_path / "fleet", tables, {})
    fleet = read_fleet(tmp_path / "fleet")[0]
    chosen, _ = cut(tmp_path / "fleet", tmp_path / "cut.parquet", 1)
    for item in bundles(fleet).items:
        names = set(map(str, fleet.product_ids[item.products]))
        assert sum(bool(names & set(part.products)) for part in chosen) == 1
    for part in chosen:
        assert read_part(tmp_path / "fleet", part)[0].weeks == fleet.weeks


def spoil(tables, table, column, row, value):
    values = tables[table][column].to_pylist()
    values[row] = value
    at = tables[table].column_names.index(column)
    tables[table] = tables[table].set_column(at, column, pa.array(values, tables[table][column].type))
    return tables


@pytest.mark.parametrize(
    ("table", "column", "row", "value"),
    [
        ("demand", "units", 3, -1.0),
        ("products", "margin", 1, float("nan")),
        ("outbound_lanes", "unit_cost", 0, -2.0),
        ("demand", "product_id", 0, "nobody's"),
        ("sources", "vendor_id", 0, "stranger"),
        ("inbound_lanes", "source_id", 0, "nowhere"),
        ("inbound_lanes", "inbound_id", 1, "nowhere"),
        ("offers", "share", 0, 7.0),
    ],
)
def test_what_is_wrong_is_told_as_in_one_process(tmp_path, table, column, row, value):
    write_wrong(tmp_path, spoil(mixed().tables(), table, column, row, value))
    expected = set(map(str, check_fleet(tmp_path)))
    assert expected
    found: set[str] = set()
    try:
        chosen, _ = cut(tmp_path, tmp_path / "cut.parquet")
    except FleetError as error:  # a row that speaks for every product
        chosen, found = [], set(map(str, error.problems))
    for part in chosen:
        try:
            read_part(tmp_path, part)
        except FleetError as error:
            found |= set(map(str, error.problems))
    assert found == expected


def write_wrong(folder, tables):
    for name, rows in tables.items():
        pq.write_table(rows, folder / f"{name}.parquet", row_group_size=4)


def test_what_is_wrong_with_the_fleet_as_a_whole(tmp_path):
    tables = toy_tables()
    for name, rows in tables.items():
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    (tmp_path / "offers.parquet").unlink()
    with pytest.raises(FleetError, match=r"offers\.parquet: there is no such file"):
        read_ids(tmp_path)
    write_wrong(tmp_path, spoil(tables, "demand", "week", 0, 3))
    with pytest.raises(FleetError, match="week gap, no row for week 1"):
        read_ids(tmp_path)


def test_products_that_nobody_offers_are_checked_too(tmp_path):
    tables = mixed().tables()
    extra: dict[str, list] = {name: [None] for name in tables["products"].column_names}
    extra |= {"product_id": ["idle"], "margin": [-1.0], "weight_kg": [-5.0]}
    tables["products"] = pa.concat_tables(
        [tables["products"], pa.table(extra).cast(tables["products"].schema)]
    )
    write_wrong(tmp_path, tables)
    chosen, sizes = cut(tmp_path, tmp_path / "cut.parquet")
    assert [part.products for part, size in zip(chosen, sizes, strict=True) if not size] == [["idle"]]
    with pytest.raises(FleetError, match="weight_kg"):
        read_part(tmp_path, chosen[-1])
