"""The public frame of a contract, from what both parties declare before the first price."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms, finite

CEILING = 20.0
"""The price of a unit that must be served and cannot, in dearest lanes of both parties. A feasible
plan never pays it: it would take a detour over more than this many lanes."""

FLOOD = 4.0
"""Times its demand: more than a retailer lets a supplier that is not ours deliver."""


def money(retailer: Retailer, supplier: Supplier) -> Float[Array, ""]:
    """The cost scale [currency / unit]: the median lane of both parties, at least something."""
    return _middle(jnp.concatenate([retailer.unit_cost.reshape(-1), supplier.unit_cost.reshape(-1)]))


def _middle(costs: Float[Array, " m"]) -> Float[Array, ""]:
    """The median of the lanes there are, at least something."""
    costs = jnp.where(jnp.isfinite(costs), costs, jnp.nan)
    median, mean = jnp.nanmedian(costs), jnp.nanmean(costs)
    return jnp.where(median > 0.0, median, jnp.where(mean > 0.0, mean, 1.0))


def frame(retailer: Retailer, supplier: Supplier, scale: Float[Array, ""]) -> Terms:
    """Terms of one contract with cost scale `scale` [currency / unit].

    A public node is open where the vendor has a lane into it and the retailer can do something with
    a unit there: ship it on, or leave it over.
    """
    reached = jnp.any(jnp.isfinite(supplier.unit_cost), axis=0)
    useful = jnp.any(jnp.isfinite(retailer.unit_cost), axis=1) | jnp.isfinite(retailer.leftover_cost)
    volume = jnp.sum(retailer.demand)
    weeks = jnp.asarray(float(retailer.weeks), volume.dtype)
    dearest = (
        jnp.max(finite(retailer.unit_cost), initial=0.0)
        + jnp.max(finite(supplier.unit_cost), initial=0.0)
        + weeks * (retailer.holding_cost + finite(retailer.backlog_cost) + supplier.holding_cost)
        + finite(retailer.leftover_cost)
        + jnp.abs(supplier.margin)
    )
    # What a contract is scaled by reaches no answer, so no derivative goes through it.
    volume, scale, dearest = jax.lax.stop_gradient((volume, scale, dearest))
    return Terms(
        open=jnp.repeat(reached & useful, retailer.weeks),
        volume=jnp.where(volume > 0.0, volume, 1.0),
        money=scale,
        ceiling=CEILING * jnp.maximum(dearest, scale),
        most=jnp.sum(supplier.capacity),
    )


def own_frame(
    retailer: Retailer, reached: Bool[Array, " i"], ceiling: Float[Array, ""] | None = None
) -> Terms:
    """Terms of a contract whose supplier is not ours, from the retailer alone.

    `reached` marks the inbound nodes that the supplier delivers to. Without a `ceiling` [currency / unit]
    it is one that suits the retailer's own lanes; no more than `FLOOD` times the demand may ever arrive.
    """
    useful = jnp.any(jnp.isfinite(retailer.unit_cost), axis=1) | jnp.isfinite(retailer.leftover_cost)
    volume, scale = jnp.sum(retailer.demand), _middle(retailer.unit_cost.reshape(-1))
    weeks = jnp.asarray(float(retailer.weeks), volume.dtype)
    dearest = (
        jnp.max(finite(retailer.unit_cost), initial=0.0)
        + weeks * (retailer.holding_cost + finite(retailer.backlog_cost))
        + finite(retailer.leftover_cost)
        + jnp.abs(retailer.margin)
    )
    volume = jnp.where(volume > 0.0, volume, 1.0)
    return Terms(
        open=jnp.repeat(reached & useful, retailer.weeks),
        volume=volume,
        money=scale,
        ceiling=CEILING * jnp.maximum(dearest, scale) if ceiling is None else ceiling,
        most=FLOOD * volume,
    )
