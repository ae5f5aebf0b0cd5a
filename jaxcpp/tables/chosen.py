"""Which rows of a fleet's tables are one part's, and what such a part must know of the others."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class Chosen:
    """The products and vendors of one part of a fleet; both sorted, as text.

    What a row may lean on beyond the part's own rows: the fleet's weeks, all inbound nodes that outbound
    lanes leave from, and the sources (vendor_id, source_id) of the part's vendors that have a capacity.
    """

    products: list[str]
    vendors: list[str]
    weeks: int
    inbound_ids: frozenset[str]
    sources: frozenset[tuple[str, str]]

    @cached_property
    def _arrays(self) -> dict[str, pa.Array]:
        names = {"product_id": self.products, "vendor_id": self.vendors}
        return {name: pa.array(values, pa.string()) for name, values in names.items()}

    def rows(self, table: pa.Table) -> NDArray[np.bool_]:
        """Which of a table's rows are the part's: its products' and those for every product, its vendors'."""
        mine = np.ones(table.num_rows, dtype=bool)
        for column, among in self._arrays.items():
            if column in table.column_names:
                values = as_text(table[column])
                ours = pc.is_in(values, value_set=among)
                mine &= pc.or_(ours, pc.is_null(values)).to_numpy()
        return mine

    def may_hold(self, column: str, low: Any, high: Any) -> bool:
        """Whether some of the part's ids lie between two."""
        ours = self.products if column == "product_id" else self.vendors
        at = bisect_left(ours, low)
        return at < len(ours) and bool(ours[at] <= high)

    def knows(self, columns: tuple[str, ...], values: tuple[str, ...]) -> bool:
        """Whether the whole fleet has what a row of the part refers to."""
        if columns == ("inbound_id",):
            return values[0] in self.inbound_ids
        return columns == ("vendor_id", "source_id") and values in self.sources


def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of ids as text; of a type that ids do not have, nulls."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_integer(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    return pa.chunked_array([pa.nulls(len(values), pa.string())])
