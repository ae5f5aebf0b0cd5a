"""Vendors that keep their tables at home: what the fleet holds of them, and what their own folder does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from jaxcpp.fleet.data import Fleet
from jaxcpp.tables.assemble import assemble
from jaxcpp.tables.files import RawTable, read_folder, read_toml
from jaxcpp.tables.frames import Frames, frames_of
from jaxcpp.tables.links import check_links
from jaxcpp.tables.problems import FleetError, Report
from jaxcpp.tables.schema import SIDE
from jaxcpp.tables.values import check_values


def read_side(path: str | Path) -> Fleet:
    """One vendor's own tables: `offers`, `sources`, `inbound_lanes`, and `products` for weights.

    A fleet without a retailer: no demand, no outbound lanes; weeks are those that sources name, at least one.

    Raises `FleetError` with all problems found.
    """
    folder, report = Path(path), Report()
    raw = read_folder(folder, report, SIDE)
    texts = read_toml(folder, report)
    if "offers" in raw and "products" not in raw:
        raw["products"] = _weightless(raw["offers"])
    frames = frames_of(raw, report)
    check_values(frames, report)
    check_links(frames, report)
    if frames.has("inbound_lanes", "cost_per_kg") and raw["products"].file == raw["offers"].file:
        lanes = frames.tables["inbound_lanes"]
        heavy = np.flatnonzero(lanes.good["cost_per_kg"] & (lanes.numbers["cost_per_kg"] > 0.0))
        if len(heavy):
            report.findings.append(
                lanes.finding(
                    "cost_per_kg", heavy, "is per kg, and no product has a weight",
                    remedy="add a table products with product_id and weight_kg",
                    many="rows with a cost per kg",
                )
            )  # fmt: skip
    if problems := report.problems():
        raise FleetError(problems)
    weeks = frames.tables["sources"].numbers["week"].max(initial=0.0)
    return assemble(frames, np.zeros(0, dtype=np.int64), texts, int(weeks) + 1)


def _weightless(offers: RawTable) -> RawTable:
    """The products of the offers, nothing known of them."""
    names = offers.table.column_names
    unique = offers.table["product_id"].unique() if "product_id" in names else pa.array([], pa.string())
    lines = np.arange(1, len(unique) + 1)
    return replace(offers, spec=SIDE["products"], table=pa.table({"product_id": unique}), lines=lines)


def check_outside(frames: Frames, outside: Collection[str], report: Report) -> None:
    """An offer has a margin, or its vendor an agent: not both, not neither."""
    offers = frames.tables["offers"]
    names, secret = frames.names["vendor_id"], offers.nulls["margin"]
    theirs = np.append(np.isin(names, list(outside)), False)[offers.codes["vendor_id"]]
    for wrong, what, remedy in (
        (
            secret & ~theirs,
            "is empty, and its vendor has no agent",
            "write a number, or give the vendor an agent",
        ),
        (~secret & theirs, "is given, and its vendor has an agent", "leave it empty: it is the vendor's own"),
    ):
        rows = np.flatnonzero(wrong & offers.good["vendor_id"])
        if len(rows):
            report.findings.append(
                offers.finding("margin", rows, what, remedy=remedy, many="rows like these")
            )
    if (~theirs).any():
        for name in ("sources", "inbound_lanes"):
            if name not in frames.tables:
                report.file(
                    f"{name}.parquet", "there is no such file; vendors without an agent need this table"
                )
