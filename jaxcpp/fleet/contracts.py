"""Cut a fleet into contracts: one vendor with those of its products that must be planned together.

Here every contract is one product with capacity of its own. Products that share a source's capacity,
and products with several vendors, tie contracts together; such fleets are refused in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.data import EVERY, Fleet

Index = NDArray[np.intp]


class CoupledContractsError(ValueError):
    """The fleet has contracts that are tied together, which this version does not plan."""


@dataclass(frozen=True)
class Contracts:
    """One entry a contract, in the order of `ids`; positions point into the fleet's id lists."""

    ids: NDArray[Any]
    offer: Index  # row of fleet.offers
    vendor: Index
    product: Index

    def __len__(self) -> int:
        return len(self.ids)


def contracts(fleet: Fleet) -> Contracts:
    """The fleet's contracts, sorted by id.

    Raises:
        CoupledContractsError: a source's capacity is shared by several products, or a product has
            several vendors.
    """
    _refuse_coupled(fleet)
    vendor = fleet.offers.vendor.astype(np.intp)
    product = fleet.offers.product.astype(np.intp)
    # The first colon ends the vendor: no two contracts have one id, whatever the names hold.
    names = np.char.replace(np.char.replace(fleet.vendor_ids.astype(str), "%", "%25"), ":", "%3A")
    ids = np.char.add(np.char.add(names[vendor], ":"), fleet.product_ids[product].astype(str))
    order = np.argsort(ids, kind="stable")
    return Contracts(ids[order], order, vendor[order], product[order])


def _refuse_coupled(fleet: Fleet) -> None:
    products_of = np.bincount(fleet.offers.vendor, minlength=len(fleet.vendor_ids))
    shared = (fleet.sources.product == EVERY) & (products_of[fleet.source_vendor[fleet.sources.source]] > 1)
    problems = []
    if shared.any():
        source = int(fleet.sources.source[shared][0])
        vendor = int(fleet.source_vendor[source])
        problems.append(
            f"sources: the capacity of {str(fleet.source_ids[source])!r} is shared by {products_of[vendor]} "
            f"products of vendor {str(fleet.vendor_ids[vendor])!r} "
            f"({len(np.unique(fleet.sources.source[shared]))} such sources in all); give each product a "
            f"capacity of its own in `product_id`"
        )
    vendors_of = np.bincount(fleet.offers.product, minlength=len(fleet.product_ids))
    if (vendors_of > 1).any():
        product = int(np.argmax(vendors_of > 1))
        problems.append(
            f"offers: product {str(fleet.product_ids[product])!r} is offered by "
            f"{vendors_of[product]} vendors ({int((vendors_of > 1).sum())} such products in all); "
            f"keep one offer a product"
        )
    if problems:
        raise CoupledContractsError(
            "This version plans contracts one by one, and some of these are tied together:\n  "
            + "\n  ".join(problems)
        )
