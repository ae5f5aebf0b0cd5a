"""Parts' tables as one, in the order of contract ids, holding a few groups of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jaxcpp.cluster.manifest import Row, part_file
from jaxcpp.fleet.totals import NEEDED, Totals
from jaxcpp.tables.places import Folder, opened
from jaxcpp.tables.runs import columns_of
from jaxcpp.tables.schema import RUN
from jaxcpp.tables.whole import write_parquet, write_stream

BATCH: Final = 2**14
"""Rows of a part that are held at once."""


def join_parts(run: Folder, rows: Mapping[int, Row]) -> Totals:
    """Write a run's tables from its parts'; what they add up to. Tables that no part has are taken away."""
    totals = Totals()
    for name in ("contracts", "plans", "flows", "prices"):
        path = run / f"{name}.parquet"
        parts = [(row["first"], part) for part, row in rows.items() if row[f"{name}_bytes"] is not None]
        if not parts and name not in ("contracts", "plans"):
            path.unlink(missing_ok=True)
            continue
        # Flows have no contract id, and none of their parts lie among each other: nothing there is tied.
        order = None if name == "flows" else "contract_id"
        pieces = merged([(first, part_file(run, part, name)) for first, part in sorted(parts)], order)
        schema = RUN[name].arrow
        write_stream(_counted(pieces, totals) if name == "contracts" else pieces, schema, path)
    totals.worst_gap = max((row["worst_gap"] for row in rows.values()), default=0.0)
    _join_rejected(run, rows)
    return totals


def _counted(pieces: Iterator[pa.Table], totals: Totals) -> Iterator[pa.Table]:
    for piece in pieces:
        totals.add(columns_of(piece.select(list(NEEDED))))
        yield piece


def _join_rejected(run: Folder, rows: Mapping[int, Row]) -> None:
    path = run / "rejected.parquet"
    names = [part_file(run, part, "rejected") for part, row in rows.items() if row["rejected_bytes"]]
    if not names:
        path.unlink(missing_ok=True)
        return
    table = pa.concat_tables([pq.read_table(opened(name)) for name in names]).cast(RUN["rejected"].arrow)
    write_parquet(table.sort_by([("product_id", "ascending"), ("reason", "ascending")]), path)


class _Part:
    """A part's rows, sorted by contract, a batch at a time."""

    def __init__(self, path: Folder) -> None:
        self._file = pq.ParquetFile(opened(path), pre_buffer=False)
        self._batches = self._file.iter_batches(BATCH)
        self.held: pa.Table | None = None
        self.more()

    def more(self) -> None:
        """The next batch, where nothing is held."""
        while self.held is None or not self.held.num_rows:
            batch = next(self._batches, None)
            if batch is None:
                self.held = None
                self._file.close()
                return
            self.held = pa.Table.from_batches([batch])

    def last(self, column: str) -> str:
        """The last contract of what is held."""
        assert self.held is not None
        return str(self.held[column][-1].as_py())

    def until(self, column: str, bound: str) -> pa.Table:
        """Hands over the rows up to a contract."""
        assert self.held is not None
        count = int(np.count_nonzero(pc.less_equal(self.held[column], bound).to_numpy()))
        given, self.held = self.held.slice(0, count), self.held.slice(count)
        self.more()
        return given


def merged(parts: list[tuple[str, Folder]], column: str | None) -> Iterator[pa.Table]:
    """The rows of parts, each sorted by `column`, as one sorted stream; without a column one after the other.

    `parts` holds, sorted, what no row of a part comes before, and its file. A part is open only from the
    first row that may be its own to its last.
    """
    waiting, open_ = list(reversed(parts)), list[_Part]()
    while waiting or open_:
        if not open_:
            open_.append(_Part(waiting.pop()[1]))
        if column is None:
            while (part := open_[0]).held is not None:
                yield part.held
                part.held = None
                part.more()
            open_ = []
            continue
        open_ = [part for part in open_ if part.held is not None]
        if not open_:
            continue
        bound = min(part.last(column) for part in open_)
        if waiting and waiting[-1][0] <= bound:
            open_.append(_Part(waiting.pop()[1]))
            continue
        pieces = [piece for part in open_ if (piece := part.until(column, bound)).num_rows]
        table = pa.concat_tables(pieces)
        yield table if len(pieces) == 1 else table.take(_in_order(table, column))


def _in_order(table: pa.Table, column: str) -> Any:
    """The places of rows by `column`; rows of one value stay as they are."""
    return pc.sort_indices(table, sort_keys=[(column, "ascending")])
