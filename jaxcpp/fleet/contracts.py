"""Cut a fleet into contracts: one vendor with those of its products that must be planned together.

Most contracts are one product with capacity of its own: they are solved one by one. Products that share
a source's capacity, and products with several vendors, tie offers together: those are left to
`fleet.bundles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.bundles import Bundles, bundles
from jaxcpp.fleet.data import Fleet

Index = NDArray[np.intp]


class CoupledContractsError(ValueError):
    """Something was asked for that is not done for contracts that are planned together."""


@dataclass(frozen=True)
class Contracts:
    """One entry a contract, in the order of `ids`; positions point into the fleet's id lists."""

    ids: NDArray[Any]
    offer: Index  # row of fleet.offers
    vendor: Index
    product: Index

    def __len__(self) -> int:
        return len(self.ids)


def contracts(fleet: Fleet, tied: Bundles | None = None) -> Contracts:
    """The fleet's contracts that stand alone, sorted by id: all but those of its bundles, `tied`."""
    tied = bundles(fleet) if tied is None else tied
    return of_offers(fleet, np.setdiff1d(np.arange(len(fleet.offers.vendor)), tied.offers()))


def contracts_alone(fleet: Fleet) -> Contracts:
    """The contracts of a fleet in which none is tied to another.

    Raises:
        CoupledContractsError: some are; names the products of the first such bundle.
    """
    tied = bundles(fleet)
    if len(tied):
        first = ", ".join(repr(str(name)) for name in fleet.product_ids[tied.items[0].products[:2]])
        raise CoupledContractsError(
            f"done for contracts that stand alone, and some products share a source's capacity or have "
            f"several vendors, as {first} ({len(tied)} such bundles in all); leave them out"
        )
    return contracts(fleet, tied)


def of_offers(fleet: Fleet, rows: Index) -> Contracts:
    """One contract for each of some rows of `fleet.offers`, sorted by id."""
    vendor = fleet.offers.vendor[rows].astype(np.intp)
    product = fleet.offers.product[rows].astype(np.intp)
    ids = contract_ids(fleet, vendor, product)
    order = np.argsort(ids, kind="stable")
    return Contracts(ids[order], rows[order].astype(np.intp), vendor[order], product[order])


ESCAPED = (("%", "%25"), (":", "%3A"))
"""In a vendor's name, in this order: the first colon ends it, so that no two contracts have one id."""


def contract_ids(fleet: Fleet, vendor: Index, product: Index) -> NDArray[Any]:
    """`vendor:product`. No product is in two contracts of a vendor, so its first one names a contract."""
    names = fleet.vendor_ids.astype(str)
    for mark, word in ESCAPED:
        names = np.char.replace(names, mark, word)
    return np.asarray(np.char.add(np.char.add(names[vendor], ":"), fleet.product_ids[product].astype(str)))
