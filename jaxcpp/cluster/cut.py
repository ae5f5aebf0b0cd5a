"""A fleet cut into parts of about one size; contracts that must be planned together stay together.

Parts follow the order of contract ids, so that their tables, one after the other, are the run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jaxcpp.cluster.ids import Ids, columns_of, distinct, texts, weeks_of
from jaxcpp.fleet.contracts import ESCAPED
from jaxcpp.tables.chosen import Chosen
from jaxcpp.tables.files import stream_table
from jaxcpp.tables.places import Folder, opened
from jaxcpp.tables.schema import FLEET
from jaxcpp.tables.whole import write_stream

Codes = NDArray[np.int64]

SCHEMA: Final = pa.schema(
    [
        ("contracts", pa.int64()),
        ("weeks", pa.int32()),
        ("products", pa.list_(pa.string())),
        ("vendors", pa.list_(pa.string())),
        ("inbound_ids", pa.list_(pa.string())),
        ("source_vendors", pa.list_(pa.string())),
        ("source_ids", pa.list_(pa.string())),
    ]
)
"""A row a part, in a row group of its own: what `Chosen` holds, and about how many contracts."""


def write_cut(fleet: Folder, ids: Ids, size: int, path: Folder) -> list[int]:
    """Cut a fleet into parts of about `size` contracts, and write a row for each.

    The cut depends on the fleet's rows and the size alone; a bundle of more than `size` is a part of its own.
    Returns the number of contracts (offers, to be exact) of every part.
    """
    products = pc.unique(ids.offers["product_id"])
    vendors = pc.unique(ids.offers["vendor_id"])
    product = _codes(ids.offers["product_id"], products)
    vendor = _codes(ids.offers["vendor_id"], vendors)
    group = _groups(fleet, ids, (product, products), (vendor, vendors))
    part, sizes = _parts(_order(ids.offers), group[product], size)
    spare = np.arange(len(ids.spare_products)) // size + len(sizes)
    counts = [*sizes, *np.zeros(spare.max(initial=len(sizes) - 1) + 1 - len(sizes), dtype=int).tolist()]
    if ids.spare_vendors and not counts:
        counts = [0]
    rows = _rows(ids, part, (product, products), (vendor, vendors), spare, counts)
    write_stream((pa.Table.from_pylist([row], schema=SCHEMA) for row in rows), SCHEMA, path, rows=1)
    return counts


def read_cut(path: Folder, part: int) -> Chosen:
    """One part, none of the others read."""
    with pq.ParquetFile(opened(path)) as file:
        row = file.read_row_group(part).to_pylist()[0]
    return Chosen(
        row["products"],
        row["vendors"],
        row["weeks"],
        frozenset(row["inbound_ids"]),
        frozenset(zip(row["source_vendors"], row["source_ids"], strict=True)),
    )


def read_sizes(path: Folder) -> list[int]:
    """About how many contracts each part has."""
    with pq.ParquetFile(opened(path)) as file:
        return list(file.read(columns=["contracts"])["contracts"].to_pylist())


def _codes(values: Any, among: pa.Array) -> Codes:
    """Positions among some values; -1 for others."""
    return np.asarray(pc.fill_null(pc.index_in(values, value_set=among), -1)).astype(np.int64)


def _pair(table: pa.Table) -> Any:
    return pc.binary_join_element_wise(table["vendor_id"], table["source_id"], "\0")  # ids hold no NUL


def _groups(
    fleet: Folder, ids: Ids, products: tuple[Codes, pa.Array], vendors: tuple[Codes, pa.Array]
) -> NDArray[np.int32]:
    """For each product the number of its group: at least what `fleet.bundles` ties together.

    A product is tied to a shared source that it may draw on: it has no capacity of its own there, in some
    week, and a lane reaches.
    """
    (product, names), (vendor, vendor_names) = products, vendors
    several = vendor_names.filter(pa.array(np.bincount(vendor, minlength=len(vendor_names)) > 1))
    shared = distinct(_shared(fleet, several), "vendor_id", "source_id")
    pairs = _pair(shared).combine_chunks() if shared.num_rows else pa.array([], pa.string())
    count = len(names)
    open_, lane = _rows_of(fleet, "inbound_lanes", pairs, names)
    all_products = np.zeros(len(pairs), bool)
    all_products[open_] = True
    whole, own = _own_capacity(fleet, ids.weeks, pairs, names)
    # Every pair of a vendor's sources with a capacity for all, and its offers.
    order = np.argsort(vendor, kind="stable")
    first = np.searchsorted(vendor[order], np.arange(len(vendor_names) + 1))
    owner = _codes(shared["vendor_id"], vendor_names)
    length = first[owner + 1] - first[owner]
    source = np.repeat(np.arange(len(pairs)), length)
    start = np.repeat(first[owner] - (np.cumsum(length) - length), length)
    drawn = product[order[start + np.arange(len(source))]] if len(source) else np.zeros(0, np.int64)
    key = source * count + drawn
    ties = (all_products[source] | np.isin(key, lane)) & ~np.isin(key, np.concatenate([whole, own]))
    size = count + len(pairs)
    links = coo_array(
        (np.ones(int(ties.sum()), np.int8), (drawn[ties], count + source[ties])), shape=(size, size)
    )
    return np.asarray(connected_components(links, directed=False)[1][:count], dtype=np.int32)


def _shared(fleet: Folder, several: pa.Array) -> Iterator[pa.Table]:
    """Sources, of vendors with several offers, with a capacity for every product."""
    for piece in columns_of(fleet, "sources", "vendor_id", "source_id", "product_id"):
        ours = pc.and_(pc.is_null(piece["product_id"]), pc.is_in(piece["vendor_id"], value_set=several))
        yield piece.filter(ours).select(["vendor_id", "source_id"]).drop_null()


def _rows_of(fleet: Folder, table: str, pairs: pa.Array, names: pa.Array) -> tuple[Codes, Codes]:
    """Which of the sources have a row for every product, and (source, product) of the other rows, as one."""
    every, own = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for piece in columns_of(fleet, table, "vendor_id", "source_id", "product_id") if len(pairs) else ():
        source = _codes(_pair(piece), pairs)
        product = _codes(piece["product_id"], names)
        null = np.asarray(pc.is_null(piece["product_id"]))
        every.append(np.unique(source[(source >= 0) & null]))
        mine = (source >= 0) & (product >= 0)
        own.append(np.unique(source[mine] * len(names) + product[mine]))
    return np.unique(np.concatenate(every)), np.unique(np.concatenate(own))


def _own_capacity(fleet: Folder, weeks: int, pairs: pa.Array, names: pa.Array) -> tuple[Codes, Codes]:
    """(source, product) as one, of products with a capacity of their own: for every week, or each week."""
    every, some = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)]
    columns = ("vendor_id", "source_id", "product_id")
    for raw in stream_table(fleet, FLEET["sources"], (*columns, "week")) if len(pairs) else ():
        piece, week = texts(raw, columns), weeks_of(raw)
        source, product = _codes(_pair(piece), pairs), _codes(piece["product_id"], names)
        mine = (source >= 0) & (product >= 0)
        key = source * len(names) + product
        every.append(np.unique(key[mine & np.isnan(week)]))
        dated = mine & (week >= 0) & (week < weeks)
        some.append(np.stack([key[dated], week[dated].astype(np.int64)], axis=1))
    keys, counts = np.unique(np.unique(np.concatenate(some), axis=0)[:, 0], return_counts=True)
    return np.unique(np.concatenate(every)), keys[counts >= weeks]


def _order(offers: pa.Table) -> Codes:
    """The place of each offer in the order of contract ids."""
    vendor = offers["vendor_id"]
    for mark, word in ESCAPED:
        vendor = pc.replace_substring(vendor, mark, word)
    names = pc.binary_join_element_wise(vendor, offers["product_id"], ":")
    place = np.empty(offers.num_rows, dtype=np.int64)
    place[np.asarray(pc.sort_indices(names))] = np.arange(offers.num_rows)
    return place


def _parts(place: Codes, group: NDArray[np.int32], size: int) -> tuple[Codes, list[int]]:
    """For each offer its part, and the offers of every part; groups in the order of their first contract."""
    count = int(group.max(initial=-1)) + 1
    first = np.full(count, len(place), dtype=np.int64)
    np.minimum.at(first, group, place)
    sizes: list[int] = []
    of_group = np.zeros(count, dtype=np.int64)
    members = np.bincount(group, minlength=count)
    for at in np.argsort(first, kind="stable").tolist():
        if not members[at]:
            continue
        if not sizes or sizes[-1] + members[at] > size:
            sizes.append(0)
        sizes[-1] += int(members[at])
        of_group[at] = len(sizes) - 1
    return of_group[group], sizes


def _rows(
    ids: Ids,
    part: Codes,
    products: tuple[Codes, pa.Array],
    vendors: tuple[Codes, pa.Array],
    spare: Codes,
    counts: list[int],
) -> Iterator[dict[str, Any]]:
    """What is written of every part, in order."""
    (product, names), (vendor, vendor_names) = products, vendors
    order = np.argsort(part, kind="stable")
    ends = np.searchsorted(part[order], np.arange(len(counts) + 1))
    owner = _codes(ids.sources["vendor_id"], vendor_names)
    by_owner = np.argsort(owner, kind="stable")
    held = np.searchsorted(owner[by_owner], np.arange(len(vendor_names) + 1))
    for at, count in enumerate(counts):
        mine = order[ends[at] : ends[at + 1]]
        ours = np.unique(vendor[mine])
        rows = np.concatenate([by_owner[held[v] : held[v + 1]] for v in ours.tolist()] or [ours])
        sources = ids.sources.take(rows)
        extra = [ids.spare_products[k] for k in np.flatnonzero(spare == at).tolist()]
        yield {
            "contracts": count,
            "weeks": ids.weeks,
            "products": sorted([*names.take(np.unique(product[mine])).to_pylist(), *extra]),
            "vendors": sorted([*vendor_names.take(ours).to_pylist(), *ids.spare_vendors]),
            "inbound_ids": ids.inbound_ids,
            "source_vendors": sources["vendor_id"].to_pylist(),
            "source_ids": sources["source_id"].to_pylist(),
        }
