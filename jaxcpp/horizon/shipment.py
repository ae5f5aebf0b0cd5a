"""The vendor's week: what it ships of the order, and what it builds for later orders."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.transport import living


class Shipment(eqx.Module):
    """The first week of the vendor's flows [units]; `built = shipped + closing stock - stock`."""

    shipped: Float[Array, "k i"]
    stock: Float[Array, " k"]  # at the sources, at the end of the week
    built: Float[Array, " k"]


def shipment(
    supplier: Supplier,
    terms: Terms,
    plan: Float[Array, " n"],
    stock: Float[Array, " k"],
    tolerance: Float[Array, ""],
) -> Shipment:
    """The vendor's cheapest way to fill `plan` [units], and its first week.

    `supplier.capacity` holds `stock` already, as capacity of the first week. Stock leaves first;
    what the plan has no use for stays.
    """
    side = supplier.filling(terms, plan, terms.ceiling)
    flows = living.cheapest(side, jnp.zeros_like(side.stock), tolerance).flows.lane * terms.volume
    sources, inbound = supplier.unit_cost.shape
    weeks = supplier.capacity.shape[1]
    first = flows.reshape(sources, weeks, inbound, weeks)[:, 0]
    shipped, for_later = first[:, :, 0], jnp.sum(first[:, :, 1:], axis=(1, 2))
    gone = jnp.sum(shipped, axis=1)
    closing = jnp.maximum(for_later, stock - gone)
    return Shipment(shipped, closing, gone + closing - stock)
