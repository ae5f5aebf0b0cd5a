"""Rows compared by several columns at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxcpp.tables.keys import first_rows, fold, occurs

CODES = st.one_of(st.integers(-1, 3), st.sampled_from([10**9, 2**31 - 1, 2**40]))
ROWS = st.lists(st.tuples(CODES, CODES, CODES), min_size=1, max_size=12)


def columns(rows: list[tuple[int, ...]]) -> list[np.ndarray]:
    return [np.asarray(part, dtype=np.int64) for part in zip(*rows, strict=True)]


@given(ROWS)
def test_folded_keys_are_equal_exactly_where_rows_are(rows: list[tuple[int, ...]]) -> None:
    key = fold(columns(rows))
    for one in range(len(rows)):
        for other in range(len(rows)):
            assert (key[one] == key[other]) == (rows[one] == rows[other])


def test_a_key_that_would_not_fit_is_not_wrapped_around() -> None:
    """2**32 ways in the second part: 2**32 in the first one would come around to 0 again."""
    key = fold(columns([(-1, 0), (2**32 - 1, 0), (0, 2**32 - 2)]))
    assert len(set(key.tolist())) == 3


@given(ROWS, ROWS)
def test_occurs(rows: list[tuple[int, ...]], among: list[tuple[int, ...]]) -> None:
    assert occurs(columns(rows), columns(among)).tolist() == [row in among for row in rows]


@given(ROWS)
def test_first_rows(rows: list[tuple[int, ...]]) -> None:
    first, counts = first_rows(columns(rows), np.arange(len(rows)))
    assert first.tolist() == sorted({rows.index(row) for row in rows})
    assert counts.tolist() == [rows.count(rows[place]) for place in first]
