"""From a folder to raw tables: finds each table's file, opens it, and knows what people call its rows."""

from __future__ import annotations

import csv
import datetime as dt
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from jaxcpp.tables.chosen import Chosen
from jaxcpp.tables.parquet import ParquetTable
from jaxcpp.tables.places import Folder, Place, cure, missing_bucket
from jaxcpp.tables.problems import Finding, Positions, Report
from jaxcpp.tables.schema import FLEET, FLEET_TOML, Kind, TableSpec

UNREADABLE = (pa.ArrowException, OSError, ValueError, csv.Error)
"""What pyarrow raises on a file that is damaged or of another kind."""


@dataclass(frozen=True)
class RawTable:
    """The columns of one table that its spec names, as they lie in the file."""

    spec: TableSpec
    file: str
    table: pa.Table
    lines: Positions  # the number by which a person finds each row
    text: bool  # a CSV file: every value is text


def read_folder(
    folder: Folder,
    report: Report,
    specs: Mapping[str, TableSpec] = FLEET,
    part: Chosen | None = None,
) -> dict[str, RawTable]:
    """The fleet's tables that can be opened, or a part's rows of them; what cannot goes into the report."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "there is no such folder"
        if bucket := missing_bucket(folder):
            what = f"there is no bucket {bucket!r}"
        report.file(str(folder), f"{what}; name the folder that holds the fleet's tables")
        return {}
    raw = (_read_table(folder, spec, report, part) for spec in specs.values())
    return {table.spec.name: table for table in raw if table is not None}


def read_toml(folder: Folder, report: Report) -> dict[str, str]:
    """The known keys of `fleet.toml`, "" where the file does not give them; a week as an ISO date.

    A fleet without a name has that of its folder.
    """
    path = folder / "fleet.toml"
    try:
        given: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        report.file(path.name, f"cannot be read as TOML: {error}")
        return dict.fromkeys(FLEET_TOML, "")
    values = {}
    for key in FLEET_TOML:
        value = given.get(key, "")
        if key == "first_week" and type(value) is dt.date:
            value = value.isoformat()
        if not isinstance(value, str):
            report.file(path.name, f"{value!r} is not text; write it in quotes", column=key)
            value = ""
        values[key] = value
    if values["first_week"]:
        try:
            values["first_week"] = dt.date.fromisoformat(values["first_week"]).isoformat()
        except ValueError:
            what = f"{values['first_week']!r} is not an ISO date; write it like 2024-01-29"
            report.file(path.name, what, column="first_week")
    values["name"] = values["name"] or (folder.resolve() if isinstance(folder, Path) else folder).name
    return values


def find_table(folder: Folder, spec: TableSpec, report: Report) -> Folder | None:
    """Where a table lies: a Parquet file, a folder of such files, or a CSV file."""
    parquet, text, files = (folder / name for name in (f"{spec.name}.parquet", f"{spec.name}.csv", spec.name))
    found = [path for path in (parquet, text) if path.exists()] + [path for path in (files,) if path.is_dir()]
    if len(found) > 1:
        report.file(found[0].name, f"{found[1].name} is there too; keep one of the two")
        return None
    if not found and not spec.optional:
        report.file(parquet.name, f"there is no such file, nor {text.name}; a fleet needs this table")
    return found[0] if found else None


def _read_table(folder: Folder, spec: TableSpec, report: Report, part: Chosen | None) -> RawTable | None:
    file = find_table(folder, spec, report)
    if file is None:
        return None
    try:
        raw, rows = _read_rows(file, spec, report, part)
    except UNREADABLE as error:
        report.file(file.name, unreadable(file, error))
        return None
    if rows == 0 and not spec.optional:
        report.file(file.name, "has no rows; a fleet needs at least one")
    return raw


def unreadable(file: Folder, error: Exception) -> str:
    """What to say of a table's file that pyarrow cannot read."""
    kind = "CSV (UTF-8, comma-separated)" if file.suffix == ".csv" else "Parquet"
    words = " ".join(str(error).split())
    if isinstance(file, Place) and (what := cure(error)):
        return f"cannot be read: {words}; {what}"
    return f"cannot be read as {kind}, it is damaged or cut off: {words}; write it again"


def read_table_file(path: Folder, spec: TableSpec, report: Report) -> RawTable:
    """One table from a file of its own, by its suffix; raises one of `UNREADABLE` where it is damaged."""
    return _read_rows(path, spec, report, None)[0]


def _read_rows(path: Folder, spec: TableSpec, report: Report, part: Chosen | None) -> tuple[RawTable, int]:
    """A part's rows of one table, or all of them, and how many the table has."""
    if path.suffix == ".parquet" or path.is_dir():
        store = ParquetTable(path, spec)
        wanted = _check_header(path.name, spec, store.names, report)
        table, lines, rows = store.read(wanted, part)
        return RawTable(spec, path.name, table, lines, text=False), rows
    raw = _read_csv(path, spec, report)
    if part is None:
        return raw, len(raw.lines)
    mine = part.rows(raw.table)
    return replace(raw, table=raw.table.filter(pa.array(mine)), lines=raw.lines[mine]), len(raw.lines)


def _check_header(file: str, spec: TableSpec, header: list[str], report: Report) -> list[str]:
    """The columns of the spec to read; missing and doubled ones go into the report."""
    counts = Counter(header)
    known = [column for column in spec.columns if counts[column.name]]
    for column in spec.columns:
        if counts[column.name] > 1:
            report.file(file, f"occurs {counts[column.name]} times; keep one", column=column.name)
        if column.required and not counts[column.name]:
            unit = f" [{column.unit}]" if column.unit else ""
            found = ", ".join(header) if header else "no columns"
            separator = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), "")
            hint = f"separate the columns by commas, not {separator!r}" if separator else "add it"
            what = f"this column of {_kind_words(column.kind)}{unit} is missing; the file has {found}; {hint}"
            report.file(file, what, column=column.name)
    return [column.name for column in known if counts[column.name] == 1]


def _kind_words(kind: Kind) -> str:
    return {Kind.ID: "ids", Kind.WEEK: "week numbers"}.get(kind, "numbers")


def _read_csv(path: Folder, spec: TableSpec, report: Report) -> RawTable:
    data = path.read_bytes()
    header = next(csv.reader([data.split(b"\n", 1)[0].decode("utf-8-sig")]), [])
    wanted = _check_header(path.name, spec, header, report)
    odd: list[pa_csv.InvalidRow] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        odd.append(row)
        return "skip"

    # Columns that are not ours are read as bytes: whatever they hold is no error, and a line break
    # quoted in one of them still counts as a line.
    table = pa_csv.read_csv(
        pa.BufferReader(data),
        read_options=pa_csv.ReadOptions(use_threads=False),  # else odd rows come without a number
        parse_options=pa_csv.ParseOptions(
            newlines_in_values=True,
            ignore_empty_lines=False,
            # pyarrow hands odd rows over as text only; without a handler the first one is an error.
            invalid_row_handler=skip if _is_utf8(data) else None,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() if name in wanted else pa.binary() for name in header},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    lines, odd_lines = _line_numbers(table, odd)
    if odd:
        report.findings.append(_odd_rows(path.name, odd, odd_lines))
    filled = np.zeros(table.num_rows, dtype=bool)
    for column in table.columns:
        filled |= column.is_valid().to_numpy()
    return RawTable(spec, path.name, table.select(wanted).filter(pa.array(filled)), lines[filled], text=True)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line_numbers(table: pa.Table, odd: list[pa_csv.InvalidRow]) -> tuple[Positions, Positions]:
    """The line on which each row of the table, and each odd row, starts.

    Rows are counted from 1, the header's; a quoted line break pushes the rows after it down.
    """
    numbers = np.asarray([row.number for row in odd], dtype=np.int64)
    records = table.num_rows + len(odd) + 1
    kept = np.setdiff1d(np.arange(1, records), numbers - 1)
    breaks = np.zeros(records, dtype=np.int64)
    for column in table.columns:
        counts = pc.fill_null(pc.count_substring(column.cast(pa.binary()), "\n"), 0)
        breaks[kept] += counts.to_numpy()
    breaks[numbers - 1] = [row.text.count("\n") for row in odd]
    start = 1 + np.arange(records) + np.cumsum(breaks) - breaks
    return start[kept], start[numbers - 1]


def _odd_rows(file: str, odd: list[pa_csv.InvalidRow], lines: Positions) -> Finding:
    return Finding(
        file,
        "",
        what=lambda k: f"has {odd[k].actual_columns} cells where the header has {odd[k].expected_columns}",
        remedy="give every column a cell, and quote a value that holds a comma",
        many="lines with a wrong number of cells",
        lines=lines,
        products=np.full(len(odd), -1),
    )


def stream_table(folder: Folder, spec: TableSpec, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of a table, a row group at a time, as they lie in the file; those it lacks are left out.

    Nothing for a table that is not there. Raises one of `UNREADABLE` where it is damaged.
    """
    path = find_table(folder, spec, Report())
    if path is None:
        return
    if path.suffix == ".csv":
        table = _read_csv(path, spec, Report()).table
        yield table.select([name for name in columns if name in table.column_names])
    else:
        yield from ParquetTable(path, spec).stream(columns)
