"""What a fleet is once its tables are read: columns of numbers, no files, no JAX.

`tables` fills a :class:`Fleet`; `fleet.contracts` cuts it into contracts. Identifiers are replaced
by positions in the sorted lists of ids, so the order of rows in a file cannot reach the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

EVERY = -1
"""In a `product` or `week` column: the row speaks for every product, or for every week."""


@dataclass(frozen=True)
class Products:
    """One entry a product, in the order of `Fleet.product_ids`."""

    weight: Floats  # kg / unit
    margin: Floats  # currency / unit sold, the retailer's gross profit
    holding_cost: Floats  # currency / unit / week
    backlog_cost: Floats  # currency / unit / week; inf = never late
    lost_sale_cost: Floats  # currency / unit beyond the lost margin; inf = all demand must be met
    leftover_cost: Floats  # currency / unit delivered and not sold; inf = none may be left over


@dataclass(frozen=True)
class Demand:
    """Units asked for; rows sorted by (product, week, region), zeros left out."""

    product: Ints
    region: Ints
    week: Ints
    units: Floats


@dataclass(frozen=True)
class Inventory:
    """Units on hand at the start of week 0; rows sorted by (product, inbound), zeros left out."""

    product: Ints
    inbound: Ints
    units: Floats


@dataclass(frozen=True)
class Targets:
    """Inventory positions wanted after ordering; rows sorted by (product, inbound, week)."""

    product: Ints
    inbound: Ints
    week: Ints  # or EVERY
    units: Floats


@dataclass(frozen=True)
class Forecasts:
    """What was expected, and when; rows sorted by (product, week made in, week, region).

    Zeros stay: a week in which nothing is expected may be all that a forecast says.
    """

    product: Ints
    region: Ints
    made_in: Ints
    week: Ints
    units: Floats


@dataclass(frozen=True)
class OutboundLanes:
    """The retailer's lanes; a unit costs `unit_cost + cost_per_kg * weight` [currency].

    Rows sorted by (product, inbound, region). A row with a product of its own wins over the
    row for `EVERY` product on the same lane.
    """

    product: Ints  # or EVERY
    inbound: Ints
    region: Ints
    unit_cost: Floats
    cost_per_kg: Floats


@dataclass(frozen=True)
class Offers:
    """Which vendor supplies which product; rows sorted by (vendor, product)."""

    vendor: Ints
    product: Ints
    margin: Floats  # currency / unit delivered, the supplier's gross profit
    holding_cost: Floats  # currency / unit / week
    share: Floats  # of the product's just-in-time orders; a product's shares sum to 1


@dataclass(frozen=True)
class Sources:
    """Where vendors ship from and how much a week; rows sorted by (source, product, week).

    `source` is a position in `Fleet.source_ids`, whose entries are (vendor, source) pairs: two
    vendors may use the same name for a source of their own.
    """

    source: Ints
    product: Ints  # or EVERY = the capacity is shared by all of the vendor's products
    week: Ints  # or EVERY
    capacity: Floats  # units / week


@dataclass(frozen=True)
class InboundLanes:
    """The vendors' lanes; rows sorted by (source, product, inbound). A product's own row wins."""

    source: Ints
    product: Ints  # or EVERY
    inbound: Ints
    unit_cost: Floats
    cost_per_kg: Floats


@dataclass(frozen=True)
class Fleet:
    """Every table of a fleet, validated, with ids replaced by positions in sorted id lists."""

    name: str
    currency: str
    first_week: str  # ISO date, or "" where the fleet has none
    weeks: int  # weeks run 0 .. weeks - 1
    product_ids: NDArray[Any]
    region_ids: NDArray[Any]
    inbound_ids: NDArray[Any]
    vendor_ids: NDArray[Any]
    source_ids: NDArray[Any]  # the source's own name, one entry a (vendor, source) pair
    source_vendor: Ints  # the vendor of each entry of source_ids
    products: Products
    demand: Demand
    inventory: Inventory
    targets: Targets
    forecast: Forecasts
    outbound_lanes: OutboundLanes
    offers: Offers
    sources: Sources
    inbound_lanes: InboundLanes
    fingerprint: str  # sha256 over the canonical columns: equal fleets, equal fingerprints
