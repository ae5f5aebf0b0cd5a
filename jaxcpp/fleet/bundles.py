"""Which offers must be planned together: those tied by a shared source or by a product.

A *bundle* is a connected component of the graph of products, vendors' shared sources and offers. Two
offers of a vendor are tied where both draw on one source's capacity in one week; all offers of a product
are tied. Each vendor of a bundle has one contract, for all its products there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.data import EVERY, Fleet, Floats

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Bundle:
    """Products planned together, and the rows of `fleet.offers` that speak of them."""

    products: Index  # sorted
    offers: Index  # sorted by (vendor, product)
    vendors: Index  # sorted


@dataclass(frozen=True)
class Bundles:
    """The bundles of a fleet: none where every contract stands alone."""

    items: list[Bundle]

    def __len__(self) -> int:
        return len(self.items)

    def offers(self) -> Index:
        """Every offer that is in some bundle."""
        return np.concatenate([item.offers for item in self.items]) if self.items else np.zeros(0, np.intp)


class Capacity:
    """Whose each source's capacity is, week by week: a product's own row wins over the shared one."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        rows = fleet.sources
        self._shared: dict[int, Floats] = {}
        self._own: dict[tuple[int, int], Floats] = {}
        # Sorted by (source, product, week): EVERY week comes before the weeks that differ.
        for source, product, week, units in zip(
            rows.source.tolist(),
            rows.product.tolist(),
            rows.week.tolist(),
            rows.capacity.tolist(),
            strict=True,
        ):
            table = self._shared.setdefault(source, self._unknown()) if product == EVERY else \
                self._own.setdefault((source, product), self._unknown())  # fmt: skip
            table[slice(None) if week == EVERY else week] = units
        lanes = fleet.inbound_lanes
        self._lanes = set(zip(lanes.source.tolist(), lanes.product.tolist(), strict=True))

    def _unknown(self) -> Floats:
        return np.full(self._fleet.weeks, np.nan)

    def shared(self, source: int) -> Floats:
        """A source's capacity for all products, (week,) [units]; nan where it has none."""
        return self._shared.get(source, self._unknown())

    def own(self, source: int, product: int) -> Floats:
        """A product's own capacity at a source, (week,) [units]; nan where it has none."""
        return self._own.get((source, product), self._unknown())

    def draws(self, source: int, product: int) -> NDArray[np.bool_]:
        """Weeks in which a product draws on a source's shared capacity."""
        if source not in self._shared or not {(source, EVERY), (source, product)} & self._lanes:
            return np.zeros(self._fleet.weeks, bool)
        return np.isfinite(self._shared[source]) & np.isnan(self.own(source, product))


def bundles(fleet: Fleet) -> Bundles:
    """The fleet's bundles, by their first product."""
    offers = fleet.offers
    products_of = np.bincount(offers.vendor, minlength=len(fleet.vendor_ids))
    sharing = (fleet.sources.product == EVERY) & (products_of[fleet.source_vendor[fleet.sources.source]] > 1)
    vendors_of = np.bincount(offers.product, minlength=len(fleet.product_ids))
    if not sharing.any() and not (vendors_of > 1).any():
        return Bundles([])
    parent = np.arange(len(fleet.product_ids))

    def root(product: int) -> int:
        while parent[product] != product:
            parent[product] = parent[parent[product]]
            product = int(parent[product])
        return product

    capacity = Capacity(fleet)
    for source in np.unique(fleet.sources.source[sharing]).tolist():
        mine = offers.product[offers.vendor == fleet.source_vendor[source]].tolist()
        drawing = np.stack([capacity.draws(source, product) for product in mine])
        for week in range(fleet.weeks):
            together = np.flatnonzero(drawing[:, week])
            for other in together[1:]:
                a, b = root(mine[together[0]]), root(mine[other])
                parent[max(a, b)] = min(a, b)
    roots = np.asarray([root(product) for product in offers.product.tolist()])
    order = np.argsort(roots, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(roots[order])) + 1)
    return Bundles(
        [
            Bundle(
                np.unique(offers.product[rows]).astype(np.intp),
                rows,
                np.unique(offers.vendor[rows]).astype(np.intp),
            )
            for rows in groups
            if len(rows) > 1
        ]
    )
