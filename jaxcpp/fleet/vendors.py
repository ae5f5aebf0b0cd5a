"""What a vendor that keeps its tables at home is asked before the first price, and what it is then.

No JAX: the coordinator's fleet, a vendor's own side and the wire between them all go by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.rules import FeeRule

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """Contracts of one vendor, and the inbound nodes at which the retailer can use each one's product.

    Arrays that speak of a contract's nodes are (contracts, width * weeks): its nodes in the order of
    `inbound_ids`, week fastest, and after the last of them padding. `most` is (contracts,) [units]: no plan
    will ever hold more.
    """

    contract_ids: tuple[str, ...]
    product_ids: tuple[str, ...]
    inbound_ids: tuple[tuple[str, ...], ...]
    weeks: int
    most: Floats
    width: int  # nodes that arrays have room for, at least those of the contract that has most
    currency: str = ""  # "" where the fleet does not say
    first_week: str = ""

    @property
    def known(self) -> Mask:
        """(contracts, width) where there is a node and no padding."""
        return np.arange(self.width)[None, :] < np.asarray([len(ids) for ids in self.inbound_ids])[:, None]


class Opened(NamedTuple):
    """A vendor's agent for the contracts of a frame, and the nodes that it delivers to.

    `agent` answers as `jaxcpp.agents.outside` says, in the frame's layout; `reached` is (contracts, width),
    and false where there is padding.
    """

    agent: object
    reached: Mask


class OutsideVendor(Protocol):
    """A vendor whose tables the fleet does not hold."""

    def open(self, frame: Frame) -> Opened:
        """Get ready for the contracts of a frame. Raises `AgentFault` where there is no agent to be had."""
        ...


class OutsideVendorsError(ValueError):
    """Something was asked for that vendors who keep their tables at home cannot be asked."""


def check_outside(
    fleet: Fleet, vendors: Sequence[str], fees: tuple[FeeRule, ...], units: str, flows: bool
) -> None:
    """Refuse what is not done for outside vendors, in words.

    Raises:
        OutsideVendorsError: names the vendor, and the product where it is one product's matter.
    """
    missing = sorted(set(vendors) - set(fleet.vendor_ids.tolist()))
    if missing:
        raise OutsideVendorsError(
            f"vendor {missing[0]!r} has an agent, but no row in offers; add its products"
        )
    theirs = outside_offers(fleet, vendors)
    held = np.isin(fleet.source_vendor, fleet.offers.vendor[theirs])
    if held.any():
        name = fleet.vendor_ids[fleet.source_vendor[held][0]]
        raise OutsideVendorsError(
            f"vendor {str(name)!r} has an agent, and the fleet holds its sources too; take its rows out of "
            "sources and inbound_lanes, or its agent out of the file of agents"
        )
    several = np.bincount(fleet.offers.product, minlength=len(fleet.product_ids))[
        fleet.offers.product[theirs]
    ]
    if (several > 1).any():
        name = fleet.product_ids[fleet.offers.product[theirs][several > 1][0]]
        raise OutsideVendorsError(
            f"product {str(name)!r} has several vendors, of whom one has an agent of its own; leave it out"
        )
    if units != "continuous" or flows:
        raise OutsideVendorsError(
            "whole units and flows are not asked of vendors with agents of their own; leave them out"
        )
    if not all(rule.only_additive for rule in fees):
        raise OutsideVendorsError(
            "only additive fees can be charged where vendors have agents of their own: others move plans"
        )


def outside_offers(fleet: Fleet, vendors: Sequence[str]) -> NDArray[np.intp]:
    """The rows of `fleet.offers` that belong to outside vendors."""
    return np.flatnonzero(np.isin(fleet.vendor_ids[fleet.offers.vendor], list(vendors)))


def without_offers(fleet: Fleet, rows: NDArray[np.intp]) -> Fleet:
    """The fleet without some of its offers; ids, positions and fingerprint stay."""
    kept = np.setdiff1d(np.arange(len(fleet.offers.vendor)), rows)
    offers = replace(fleet.offers, **{name: column[kept] for name, column in vars(fleet.offers).items()})
    return replace(fleet, offers=offers)
