"""What a fleet must be known by as a whole before it can be cut: ids and weeks, no quantities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import fs

from jaxcpp.tables.chosen import Chosen, as_text
from jaxcpp.tables.files import find_table, stream_table
from jaxcpp.tables.places import Folder, filesystem_of
from jaxcpp.tables.problems import FleetError, Problem, Report
from jaxcpp.tables.read import read_part
from jaxcpp.tables.schema import FLEET
from jaxcpp.tables.values import LAST_WEEK

CHUNK: Final = 2**22
"""Bytes of a file that are held at once while it is hashed."""


@dataclass(frozen=True)
class Ids:
    """The ids of a fleet; text, nulls left out."""

    weeks: int
    offers: pa.Table  # vendor_id, product_id; one row an offer
    sources: pa.Table  # vendor_id, source_id: every source that has a capacity, once
    most_sources: int  # of a vendor, in the weeks of the fleet
    inbound_ids: list[str]  # that outbound lanes leave from, sorted
    spare_products: list[str]  # without an offer, sorted
    spare_vendors: list[str]  # that have sources or lanes and offer nothing, sorted: an error


def read_ids(fleet: Folder) -> Ids:
    """The ids of a fleet, its tables read a row group at a time.

    Raises `FleetError` where a table or a column is not there, cannot be read or has the wrong type, for
    rows without a product that are wrong, and for gaps between weeks.
    """
    read_part(fleet, Chosen([], [], 0, frozenset(), frozenset()))
    offers = _distinct(fleet, "offers", "vendor_id", "product_id")
    vendors, products = (pc.unique(offers[name]) for name in ("vendor_id", "product_id"))
    spare = {
        column: sorted({text for name in FLEET for text in _others(fleet, name, column, known)})
        for column, known in (("product_id", products), ("vendor_id", vendors))
    }
    weeks = _weeks(fleet)
    return Ids(
        weeks=weeks,
        offers=offers,
        most_sources=_most_sources(fleet, weeks, vendors),
        sources=_distinct(fleet, "sources", "vendor_id", "source_id"),
        inbound_ids=sorted(_distinct(fleet, "outbound_lanes", "inbound_id")["inbound_id"].to_pylist()),
        spare_products=spare["product_id"],
        spare_vendors=spare["vendor_id"],
    )


def digest(fleet: Folder) -> str:
    """sha256 [hex] over the bytes of a fleet's files, by their names in the folder."""
    filesystem, root = filesystem_of(fleet)
    found = hashlib.sha256()
    for path in sorted(_files(fleet, filesystem)):
        found.update(f"{path[len(root) :]} {file_digest(filesystem, path)}\n".encode())
    return found.hexdigest()


def file_digest(filesystem: fs.FileSystem, path: str) -> str:
    """sha256 [hex] over the bytes of a file."""
    found = hashlib.sha256()
    with filesystem.open_input_stream(path, compression=None) as file:
        while data := file.read(CHUNK):
            found.update(data)
    return found.hexdigest()


def columns_of(fleet: Folder, table: str, *columns: str) -> Iterator[pa.Table]:
    """Columns of ids as text, a row group at a time; those that the table lacks as nulls."""
    for piece in stream_table(fleet, FLEET[table], columns):
        yield texts(piece, columns)


def texts(piece: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Columns of ids as text; those that are not there as nulls."""
    nulls = pa.nulls(piece.num_rows, pa.string())
    return pa.table({name: as_text(piece[name]) if name in piece.column_names else nulls for name in columns})


def distinct(pieces: Iterator[pa.Table], *columns: str) -> pa.Table:
    """Each combination of columns once."""
    empty = pa.table({name: pa.array([], pa.string()) for name in columns})
    held, count = [empty], 0
    for piece in pieces:
        held.append(piece.group_by(list(columns)).aggregate([]))
        count += held[-1].num_rows
        if count > 2 * max(held[0].num_rows, CHUNK // 64):
            held = [pa.concat_tables(held).group_by(list(columns)).aggregate([])]
            count = held[0].num_rows
    return pa.concat_tables(held).group_by(list(columns)).aggregate([]).combine_chunks()


def _distinct(fleet: Folder, table: str, *columns: str) -> pa.Table:
    return distinct((piece.drop_null() for piece in columns_of(fleet, table, *columns)), *columns)


def _most_sources(fleet: Folder, weeks: int, vendors: pa.Array) -> int:
    """The most sources that a vendor has in the fleet's weeks."""
    columns = ("vendor_id", "source_id")

    def some() -> Iterator[pa.Table]:
        for piece in stream_table(fleet, FLEET["sources"], (*columns, "week")):
            names, late = texts(piece, columns), weeks_of(piece) >= weeks
            ours = pc.is_in(names["vendor_id"], value_set=vendors)
            yield names.filter(pc.and_(ours, pa.array(~late))).drop_null()

    counts = pc.value_counts(distinct(some(), *columns)["vendor_id"])
    return max((entry["counts"].as_py() for entry in counts), default=0)


def _others(fleet: Folder, table: str, column: str, known: pa.Array) -> Iterator[str]:
    """Ids in a table's column that are not among the known ones."""
    if column in FLEET[table].by_name:
        for piece in columns_of(fleet, table, column):
            values = pc.unique(piece[column].drop_null())
            yield from values.filter(pc.invert(pc.is_in(values, value_set=known))).to_pylist()


def _weeks(fleet: Folder) -> int:
    """One more than the last week that demand names; raises `FleetError` where one before it is not named."""
    found: set[int] = set()
    for piece in stream_table(fleet, FLEET["demand"], ["week"]):
        week = weeks_of(piece)
        good = (week >= 0) & (week <= LAST_WEEK) & (week == np.floor(week))
        found |= set(np.unique(week[good]).astype(np.int64).tolist())
    missing = sorted(set(range(max(found, default=-1))) - found)
    if missing:
        path = find_table(fleet, FLEET["demand"], Report())
        what = f"week gap, no row for week {missing[0]} but for later ones; number the weeks from 0 on"
        more = "; a week in which nothing is asked for needs a row of 0 units"
        raise FleetError([Problem(path.name if path else "demand", None, "week", what + more)])
    return max(found, default=-1) + 1


def weeks_of(piece: pa.Table) -> NDArray[np.float64]:
    """A row's week, NaN for every week; -1 for what is none, which is the part's own matter."""
    if "week" not in piece.column_names:
        return np.full(piece.num_rows, np.nan)
    week = piece["week"]
    if pa.types.is_dictionary(week.type):
        week = week.cast(week.type.value_type)
    if pa.types.is_string(week.type):  # a CSV file
        week = pa.array([None if text is None else _number(text) for text in week.to_pylist()], pa.float64())
    return np.asarray(week.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _number(text: str) -> float:
    """A week written as text; -1 for what is no number."""
    try:
        return float(text)
    except ValueError:
        return -1.0


def _files(fleet: Folder, filesystem: fs.FileSystem) -> Iterator[str]:
    for spec in FLEET.values():
        path = find_table(fleet, spec, Report())
        if path is not None and path.is_dir():
            inside = filesystem.get_file_info(fs.FileSelector(filesystem_of(path)[1], recursive=True))
            yield from (entry.path for entry in inside if entry.type == fs.FileType.File)
        elif path is not None:
            yield filesystem_of(path)[1]
    if (fleet / "fleet.toml").exists():
        yield filesystem_of(fleet / "fleet.toml")[1]
