"""A fleet without its outside vendors' tables, and a vendor's own folder: read, or refused in words."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxcpp.tables import FleetError, read_fleet, read_side
from tests.remote.sides import VENDORS, write_apart, write_whole


def without_rows(path, keep):
    table = pq.read_table(path)
    pq.write_table(table.filter([keep(row) for row in table.to_pylist()]), path)


def with_column(path, name, values):
    table = pq.read_table(path)
    column = table.schema.get_field_index(name)
    field = table.schema.field(column)
    changed = dict.fromkeys(range(table.num_rows), values) if not callable(values) else {}
    rows = table.to_pylist()
    for at, row in enumerate(rows):
        row[name] = values(row) if callable(values) else changed[at]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema.set(column, field)), path)


def test_a_fleet_whose_vendors_all_keep_theirs_at_home(tmp_path):
    folder, _ = write_apart(tmp_path)
    assert not (folder / "sources.parquet").exists()
    fleet, rejected = read_fleet(folder, outside=VENDORS)
    assert rejected == []
    assert fleet.vendor_ids.tolist() == ["hops", "malt"]
    assert np.isnan(fleet.offers.margin).all()
    assert len(fleet.sources.source) == len(fleet.inbound_lanes.inbound) == 0


def test_a_side_is_read_by_itself(tmp_path):
    _, sides = write_apart(tmp_path)
    side = read_side(sides["hops"])
    assert side.product_ids.tolist() == ["ale", "bock"]
    assert side.source_ids.tolist() == ["w1", "w2"]
    assert side.inbound_ids.tolist() == ["a", "b"]
    assert side.weeks == 1, "its capacity is for every week"
    assert len(side.demand.units) == 0
    assert side.currency == "USD"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda fleet: with_column(fleet / "offers.parquet", "margin", 3.0), r"offers.*margin.*has an agent"),
        (lambda fleet: (fleet / "sources.parquet").unlink(), r"sources.*without an agent need this table"),
        (
            lambda fleet: with_column(fleet / "offers.parquet", "margin", None),
            r"offers.*margin: is empty, and its vendor has no agent",
        ),
        (
            lambda fleet: without_rows(fleet / "sources.parquet", lambda row: row["vendor_id"] != "malt"),
            r"malt.*no source",
        ),
    ],
    ids=["margin given", "no table", "margin missing", "no source"],
)
def test_what_does_not_fit_is_said(tmp_path, spoil, words):
    folder, _ = write_apart(tmp_path, ("hops",))
    read_fleet(folder, outside=("hops",))
    spoil(folder)
    with pytest.raises(FleetError, match=words):
        read_fleet(folder, outside=("hops",))


def test_without_agents_a_margin_must_be_given(tmp_path):
    folder, _ = write_apart(tmp_path, ("hops",))
    with pytest.raises(FleetError, match=r"offers.*margin: is empty"):
        read_fleet(folder)


def test_a_lane_that_costs_by_weight_needs_weights(tmp_path):
    _, sides = write_apart(tmp_path)
    with_column(sides["malt"] / "inbound_lanes.parquet", "cost_per_kg", 0.5)
    with pytest.raises(FleetError, match=r"inbound_lanes.*cost_per_kg.*table products"):
        read_side(sides["malt"])


def test_a_side_with_a_hole_is_refused(tmp_path):
    _, sides = write_apart(tmp_path)
    (sides["malt"] / "sources.parquet").unlink()
    with pytest.raises(FleetError, match=r"sources.*there is no such file"):
        read_side(sides["malt"])


def test_the_whole_fleet_has_the_fingerprint_that_it_had(tmp_path):
    """Agents or none, a fleet that needs none is the same."""
    folder = write_whole(tmp_path / "whole")
    fleet, _ = read_fleet(folder)
    assert fleet.fingerprint == read_fleet(folder, skip_bad=True)[0].fingerprint
    assert (fleet.sources.capacity > 0).all()
