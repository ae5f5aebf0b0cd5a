"""A fleet in a few figures, for people."""

from __future__ import annotations

import numpy as np

from jaxcpp.fleet.data import EVERY, Fleet


def describe(fleet: Fleet) -> dict[str, str | int | float]:
    """Counts and totals of a fleet, in an order to print: names, sizes, then units [units]."""
    offers, sources = fleet.offers, fleet.sources
    offered = np.bincount(offers.product, minlength=len(fleet.product_ids))
    return {
        "name": fleet.name,
        "currency": fleet.currency,
        "first_week": fleet.first_week,
        "weeks": fleet.weeks,
        "products": len(fleet.product_ids),
        "products_with_demand": len(np.unique(fleet.demand.product)),
        "products_of_several_vendors": int((offered > 1).sum()),
        "vendors": len(fleet.vendor_ids),
        "offers": len(offers.product),
        "regions": len(fleet.region_ids),
        "inbound_nodes": len(fleet.inbound_ids),
        "sources": len(fleet.source_ids),
        "sources_shared_by_products": len(np.unique(sources.source[sources.product == EVERY])),
        "outbound_lanes": len(fleet.outbound_lanes.region),
        "inbound_lanes": len(fleet.inbound_lanes.inbound),
        "demand_rows": len(fleet.demand.units),
        "demand_units": float(fleet.demand.units.sum()),
        "inventory_units": float(fleet.inventory.units.sum()),
        "fingerprint": fleet.fingerprint,
    }
