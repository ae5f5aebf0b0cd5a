"""Rows compared by several columns at once: many integer columns folded into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxcpp.tables.frames import Frame, Mask
from jaxcpp.tables.problems import Positions
from jaxcpp.tables.schema import Kind

ROOM = 2**62


def key_columns(frame: Frame, columns: Sequence[str]) -> list[Positions]:
    """The columns as integers of at least -1; only rows whose values are good mean anything."""
    parts = []
    for name in columns:
        if frame.spec.by_name[name].kind is Kind.ID:
            parts.append(frame.codes[name])
        else:
            parts.append(np.where(frame.good[name], frame.numbers[name], -1).astype(np.int64))
    return parts


def fold(parts: Sequence[Positions]) -> Positions:
    """One integer a row, equal for two rows exactly when all parts (each at least -1) are."""
    key, size = np.zeros(len(parts[0]), dtype=np.int64), 1
    for part in parts:
        width = int(part.max(initial=-1)) + 2
        if size * width > ROOM:
            unique, key = np.unique(key, return_inverse=True)
            size = len(unique)
        key = key * width + part
        size *= width
    return key


def occurs(rows: Sequence[Positions], among: Sequence[Positions]) -> Mask:
    """For each of `rows` whether an equal one is among the others; both as columns."""
    count = len(rows[0])
    key = fold([np.concatenate(both) for both in zip(rows, among, strict=True)])
    return np.isin(key[:count], key[count:])


def first_rows(parts: Sequence[Positions], rows: Positions) -> tuple[Positions, Positions]:
    """Of each group of equal rows the first position, and the number of rows in the group."""
    _, first, counts = np.unique(fold([part[rows] for part in parts]), return_index=True, return_counts=True)
    order = np.argsort(first)
    return rows[first[order]], counts[order]
