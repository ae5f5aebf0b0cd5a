"""Files with the same bytes for the same content, never half written under their own name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from jaxcpp.tables.places import Folder, filesystem_of, rename

ROWS: Final = 2**17
"""Rows of a group in a Parquet file: what a reader holds at once."""


def write_parquet(table: pa.Table, path: Folder, mark: str = "") -> None:
    """Writes a table [zstd, checksummed pages]; nothing in the file depends on when or where."""
    write_stream([table], table.schema, path, mark)


def write_stream(
    tables: Iterable[pa.Table], schema: pa.Schema, path: Folder, mark: str = "", rows: int | None = None
) -> None:
    """Writes tables one after the other as one, holding a group of `rows` at a time.

    The bytes depend on the rows alone, not on which table held them.
    """
    size = ROWS if rows is None else rows

    def write(hidden: Folder) -> None:
        filesystem, where = filesystem_of(hidden)
        with (
            filesystem.open_output_stream(where) as sink,
            pq.ParquetWriter(
                sink,
                schema,
                compression="zstd",
                compression_level=9,
                write_page_checksum=True,
                version="2.6",
            ) as writer,
        ):
            for group in _groups(tables, size):
                writer.write_table(group, row_group_size=size)

    _write_whole(path, write, mark)


def _groups(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The rows of all tables in groups of one size, the last one smaller."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        while count + table.num_rows >= size:
            yield pa.concat_tables([*held, table.slice(0, size - count)]).combine_chunks()
            table, held, count = table.slice(size - count), [], 0
        if table.num_rows:
            held.append(table)
            count += table.num_rows
    if held:
        yield pa.concat_tables(held).combine_chunks()


def write_text(text: str, path: Folder, mark: str = "") -> None:
    """Writes UTF-8 text with the line ends that it has."""

    def write(hidden: Folder) -> None:
        filesystem, where = filesystem_of(hidden)
        with filesystem.open_output_stream(where, compression=None) as sink:
            sink.write(text.encode())

    _write_whole(path, write, mark)


def _write_whole(path: Folder, write: Callable[[Folder], None], mark: str) -> None:
    """Writes a file under a temporary name in the same folder, then gives it its own.

    `mark` makes the temporary name the writer's own, where there may be two.
    """
    hidden = path.with_name(f".{path.name}.{mark}.tmp" if mark else f".{path.name}.tmp")
    try:
        write(hidden)
        rename(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
