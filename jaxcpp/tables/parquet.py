"""A table in Parquet: one file, or a folder of files as other tools write it, read a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from jaxcpp.tables.chosen import Chosen
from jaxcpp.tables.places import Folder, filesystem_of
from jaxcpp.tables.problems import Positions
from jaxcpp.tables.schema import Kind, TableSpec

NOTHING: Final = "__HIVE_DEFAULT_PARTITION__"
"""How the name of a folder says null."""


@dataclass(frozen=True)
class _File:
    path: str
    fixed: Mapping[str, str | None]  # columns that the names of the folders give: `vendor_id=maker`


class ParquetTable:
    """The files of a table, in the order of their paths; rows are counted through all of them."""

    def __init__(self, path: Folder, spec: TableSpec) -> None:
        self._filesystem, root = filesystem_of(path)
        self._spec = spec
        self._files = list(_files(self._filesystem, root))
        if not self._files:
            raise ValueError("the folder holds no Parquet file")

    @property
    def names(self) -> list[str]:
        """The columns of the first file."""
        first = self._files[0]
        with self._open(first) as file:
            return [*file.schema_arrow.names, *first.fixed]

    def read(self, columns: Sequence[str], part: Chosen | None) -> tuple[pa.Table, Positions, int]:
        """Columns of all rows, or of a part's; the rows' numbers, from 1; and how many there are in all."""
        tables, lines, total = [], [], 0
        for table, count in self._pieces(columns, part):
            if table is not None:
                mine = np.ones(count, dtype=bool) if part is None else part.rows(table)
                tables.append(table.filter(pa.array(mine)) if part else table)
                lines.append(total + 1 + np.flatnonzero(mine))
            total += count
        if not tables:  # columns without rows, of the right types
            with self._open(self._files[0]) as file:
                empty = file.schema_arrow.empty_table()
            tables, lines = [self._with(empty, self._files[0], columns)], [np.zeros(0, dtype=np.int64)]
        return pa.concat_tables(tables), np.concatenate(lines), total

    def stream(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Those of the columns that the files have, a row group at a time."""
        known = self.names
        for table, _ in self._pieces([name for name in columns if name in known], None):
            if table is not None:
                yield table

    def _pieces(self, columns: Sequence[str], part: Chosen | None) -> Iterator[tuple[pa.Table | None, int]]:
        """Row groups with their number of rows; None for one that holds none of the part's."""
        for entry in self._files:
            with self._open(entry) as file:
                wanted = [name for name in columns if name not in entry.fixed]
                for group in range(file.num_row_groups):
                    facts = file.metadata.row_group(group)
                    if part is not None and not (_may_hold(facts, part) and _fixed(entry, part)):
                        yield None, facts.num_rows
                        continue
                    table = file.read_row_group(group, columns=wanted)
                    if not wanted:  # columns of the folders' names alone
                        table = pa.table({"": pa.nulls(facts.num_rows)})
                    table = self._with(table, entry, columns)
                    for name in columns:
                        table[name].validate(full=True)
                    yield table, facts.num_rows

    def _open(self, entry: _File) -> Any:
        return pq.ParquetFile(
            entry.path, filesystem=self._filesystem, page_checksum_verification=True, pre_buffer=False
        )

    def _with(self, table: pa.Table, entry: _File, columns: Sequence[str]) -> pa.Table:
        """The columns, with those that the folders' names give."""
        for name, text in entry.fixed.items():
            if name in columns:
                kind = pa.string() if self._spec.by_name[name].kind is Kind.ID else pa.float64()
                value = pa.scalar(text, pa.string()).cast(kind)
                table = table.append_column(name, pa.repeat(value, table.num_rows))
        return table.select(list(columns))


def _files(filesystem: fs.FileSystem, root: str) -> Iterator[_File]:
    info = filesystem.get_file_info(root)
    if info.type != fs.FileType.Directory:
        yield _File(root, {})
        return
    found = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    for path in sorted(entry.path for entry in found if entry.type == fs.FileType.File):
        inside = path[len(root) :].strip("/").split("/")
        if any(name.startswith(("_", ".")) for name in inside) or not path.endswith(".parquet"):
            continue
        pairs = [name.partition("=") for name in inside[:-1] if "=" in name]
        yield _File(path, {key: None if text == NOTHING else unquote(text) for key, _, text in pairs})


def _may_hold(facts: Any, part: Chosen) -> bool:
    """Whether a row group may hold rows of a part, by the least and greatest ids in it."""
    for at in range(facts.num_columns):
        column = facts.column(at)
        if column.path_in_schema in ("product_id", "vendor_id") and column.is_stats_set:
            known = column.statistics
            if (
                known.has_min_max
                and isinstance(known.min, str)
                and known.has_null_count
                and not known.null_count
                and not part.may_hold(column.path_in_schema, known.min, known.max)
            ):
                return False
    return True


def _fixed(entry: _File, part: Chosen) -> bool:
    """Whether a file's folders may hold rows of a part."""
    given = ((name, entry.fixed.get(name)) for name in ("product_id", "vendor_id"))
    return all(text is None or part.may_hold(name, text, text) for name, text in given)
