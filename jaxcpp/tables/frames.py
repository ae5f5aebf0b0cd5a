"""From raw tables to typed ones: numbers as float64, identifiers as positions in sorted lists of names.

The lists of names are shared by all tables, one list for each identifier column, so that checks
across tables are comparisons of integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jaxcpp.fleet.data import EVERY
from jaxcpp.tables.chosen import Chosen
from jaxcpp.tables.files import RawTable
from jaxcpp.tables.problems import Finding, Positions, Report, Words
from jaxcpp.tables.schema import Column, Kind, TableSpec

Mask = NDArray[np.bool_]

NUMBER_TEXT: Final = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)$"
NULL: Final = -1
"""The code of an identifier that is absent or null; the same as EVERY where that is allowed."""


@dataclass
class Frame:
    """One typed table, rows as in the file. A column of the wrong type, or missing, is not in it."""

    spec: TableSpec
    file: str
    lines: Positions
    codes: dict[str, Positions] = field(default_factory=dict)  # ids: positions in the names, or NULL
    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    nulls: dict[str, Mask] = field(default_factory=dict)
    good: dict[str, Mask] = field(default_factory=dict)  # where a value can be used
    texts: dict[str, pa.ChunkedArray] = field(default_factory=dict)  # as written, for a message

    def has(self, *columns: str) -> bool:
        """Whether all of the columns are there, of the right type."""
        return all(column in self.good for column in columns)

    def usable(self, *columns: str) -> Mask:
        """The rows in which all of the columns hold a value that can be used."""
        return np.logical_and.reduce([self.good[column] for column in columns])

    @property
    def row_word(self) -> str:
        """What a person counts in this file."""
        return "line" if self.file.endswith(".csv") else "row"

    def products(self, rows: Positions) -> Positions:
        """The one product that each of the rows speaks of, or -1."""
        if not self.has("product_id"):
            return np.full(len(rows), -1)
        return np.where(self.good["product_id"], self.codes["product_id"], -1)[rows]

    def finding(
        self,
        column: str,
        rows: Positions,
        what: Words,
        *,
        remedy: Words,
        many: str,
    ) -> Finding:
        """A finding in the given rows (positions), each the matter of the row's own product."""
        return Finding(
            self.file,
            column,
            what=what,
            remedy=remedy,
            many=many,
            lines=self.lines[rows],
            products=self.products(rows),
        )


@dataclass(frozen=True)
class Frames:
    """The typed tables of one fleet over shared lists of names."""

    tables: Mapping[str, Frame]
    names: Mapping[str, NDArray[np.str_]]  # of each identifier column, sorted: what codes point into
    part: Chosen | None = None  # where the rows are a part's: what the whole fleet has

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table is there with all of the columns, of the right type."""
        return table in self.tables and self.tables[table].has(*columns)

    def label(self, frame: Frame, columns: Sequence[str], row: int) -> str:
        """A row's values in words, for a message."""
        parts = []
        for name in columns:
            column = frame.spec.by_name[name]
            if column.kind is Kind.ID:
                code = int(frame.codes[name][row])
                parts.append(column.empty if code == NULL else f"{name} {str(self.names[name][code])!r}")
            else:
                number = frame.numbers[name][row]
                parts.append(column.empty if number == EVERY else f"{name} {number:.0f}")
        return ", ".join(parts)


def frames_of(raw: Mapping[str, RawTable], report: Report, part: Chosen | None = None) -> Frames:
    """Typed tables over shared lists of names; wrong types go into the report."""
    frames = {name: Frame(table.spec, table.file, table.lines) for name, table in raw.items()}
    local: dict[tuple[str, str], list[str]] = {}
    for name, frame in frames.items():
        for column in frame.spec.columns:
            if column.kind is Kind.ID:
                words = _add_ids(frame, column, raw[name], report)
                if words is not None:
                    local[name, column.name] = words
            else:
                _add_numbers(frame, column, raw[name], report)
    lists: dict[str, list[str]] = {}
    for (_, name), words in local.items():
        lists.setdefault(name, []).extend(words)
    names = {name: np.unique(np.asarray(words, dtype=str)) for name, words in lists.items()}
    for (table, name), words in local.items():
        position = np.searchsorted(names[name], np.asarray(words, dtype=str))
        frames[table].codes[name] = np.append(position, NULL)[frames[table].codes[name]]
    return Frames(frames, names, part)


def _wrong_type(frame: Frame, column: Column, kind: pa.DataType, wanted: str, report: Report) -> None:
    report.file(frame.file, f"holds {kind}; store it as {wanted}", column=column.name)


def _absent(column: Column, raw: RawTable) -> bool:
    return column.name not in raw.table.column_names


def _add_ids(frame: Frame, column: Column, raw: RawTable, report: Report) -> list[str] | None:
    """Puts the column's codes, still into the list of names that is returned, into the frame."""
    rows = len(raw.lines)
    if _absent(column, raw):
        if column.required:
            return None
        _set_ids(frame, column, np.full(rows, NULL), [])
        return []
    values = raw.table[column.name]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_null(kind):
        values = values.cast(pa.string())
    elif not (_is_text(kind) or pa.types.is_integer(kind)):
        _wrong_type(frame, column, kind, "text (ids may be whole numbers, too)", report)
        return None
    encoded = values.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    words = encoded.dictionary.cast(pa.string()).to_pylist()
    codes = pc.fill_null(encoded.indices, NULL).to_numpy(zero_copy_only=False).astype(np.int64)
    _set_ids(frame, column, codes, words)
    return words


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _set_ids(frame: Frame, column: Column, codes: Positions, words: list[str]) -> None:
    name = column.name
    # numpy drops trailing NUL characters, which would make two names one.
    clean = np.asarray([bool(word) and "\0" not in word for word in words], dtype=bool)
    frame.codes[name] = codes
    frame.nulls[name] = codes == NULL
    frame.good[name] = np.append(clean, not column.required)[codes]


def _add_numbers(frame: Frame, column: Column, raw: RawTable, report: Report) -> None:
    name, rows = column.name, len(raw.lines)
    if _absent(column, raw):
        if not column.required:
            _set_numbers(frame, column, np.full(rows, math.nan), np.ones(rows, bool), np.zeros(rows, bool))
        return
    values = raw.table[name]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    odd = np.zeros(rows, dtype=bool)
    if raw.text:
        frame.texts[name] = values
        values, odd = _parse(values)
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        wanted = "whole numbers" if column.kind is Kind.WEEK else "numbers"
        _wrong_type(frame, column, kind, wanted, report)
        return
    nulls = values.is_null().to_numpy() & ~odd
    numbers = values.cast(pa.float64(), safe=False).to_numpy()
    _set_numbers(frame, column, numbers, nulls, odd)


def _set_numbers(frame: Frame, column: Column, numbers: NDArray[np.float64], nulls: Mask, odd: Mask) -> None:
    default = EVERY if column.kind is Kind.WEEK else column.default
    frame.numbers[column.name] = np.where(nulls & (not column.required), default, numbers)
    frame.nulls[column.name] = nulls
    frame.good[column.name] = ~odd & (~nulls | (not column.required))


def _parse(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Numbers written as text, and the rows that hold something else."""
    values = pc.utf8_trim_whitespace(values)
    try:
        return values.cast(pa.float64()), np.zeros(len(values), dtype=bool)
    except pa.ArrowInvalid:
        number = pc.fill_null(pc.match_substring_regex(values, NUMBER_TEXT), True)
        kept = pc.if_else(number, values, pa.scalar(None, pa.string()))
        return kept.cast(pa.float64()), ~number.to_numpy()
