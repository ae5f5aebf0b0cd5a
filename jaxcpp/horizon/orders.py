"""The orders that a new plan is weighed against: the retailer's policy, or the plan of record."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.terms import Terms
from jaxcpp.horizon.continuation import fixed_weeks
from jaxcpp.mechanism import status_quo as quo
from jaxcpp.transport import living


class Placed(eqx.Module):
    """An order over the window, and what of it had to be given up since no demand takes it."""

    order: quo.Order
    cancelled: Float[Array, " n"]  # units


def just_in_time(retailer: Retailer, terms: Terms, tolerance: Float[Array, ""]) -> Placed:
    """The retailer's own best plan."""
    order = quo.just_in_time(retailer, retailer.agent(terms), terms, tolerance)
    return Placed(order, jnp.zeros_like(order.plan))


def base_stock(
    retailer: Retailer, terms: Terms, target: Float[Array, "i t"], tolerance: Float[Array, ""]
) -> Placed:
    """Bring every inbound node's position up to its target, week by week (section 5.1).

    The position is what is on hand and spare, less the demand that each node is nearest to, and below
    zero only where demand waits; what is kept for a demand entry counts neither as stock nor as demand.
    `target` [units] is the position wanted after ordering.
    """
    asked = nearest_demand(retailer, terms)
    spare = jnp.zeros_like(asked[:, 0]) if retailer.inventory is None else retailer.inventory

    def week(
        position: Float[Array, " i"], now: tuple[Float[Array, " i"], Float[Array, " i"]]
    ) -> tuple[Float[Array, " i"], Float[Array, " i"]]:
        wanted, leaves = now
        ordered = jnp.maximum(wanted - position, 0.0)
        left = position + ordered - leaves
        return jnp.where(jnp.isfinite(retailer.backlog_cost), left, jnp.maximum(left, 0.0)), ordered

    plan = jax.lax.scan(week, spare, (target.T, asked.T))[1].T.reshape(-1)
    return placed(retailer, terms, jnp.where(terms.open, plan, 0.0), retailer.weeks, tolerance)


def cover_target(retailer: Retailer, terms: Terms, cover: Int[Array, ""]) -> Float[Array, "i t"]:
    """The target that covers the forecast of `cover` weeks, this one first [units]."""
    before = jnp.cumsum(jnp.pad(nearest_demand(retailer, terms), ((0, 0), (1, 0))), axis=1)
    first = jnp.arange(retailer.weeks, dtype=jnp.int32)
    last = jnp.minimum(first + cover, retailer.weeks)
    return before[:, last] - before[:, first]


def nearest_demand(retailer: Retailer, terms: Terms) -> Float[Array, "i t"]:
    """Demand by the open inbound node with its cheapest lane, evenly where some tie [units].

    Past-due demand is demand of the first week.
    """
    inbound, weeks = retailer.unit_cost.shape[0], retailer.weeks
    open_node = jnp.any(terms.open.reshape(inbound, weeks), axis=1)
    cost = jnp.where(open_node[:, None], retailer.unit_cost, jnp.inf)
    best = jnp.min(cost, axis=0)
    nearest = (jnp.isfinite(cost) & (cost <= best[None, :])).astype(cost.dtype)
    share = nearest / jnp.maximum(jnp.sum(nearest, axis=0), 1.0)[None, :]
    in_week = jnp.maximum(retailer.needed, 0)[:, None] == jnp.arange(weeks, dtype=jnp.int32)[None, :]
    return (share * retailer.demand[None, :]) @ in_week.astype(cost.dtype)


def on_record(
    retailer: Retailer, terms: Terms, record: Float[Array, " n"], tolerance: Float[Array, ""]
) -> Placed:
    """The plan of record [units], and one more week that the retailer chooses freely (eq. 9)."""
    return placed(retailer, terms, record, retailer.weeks - 1, tolerance)


def placed(
    retailer: Retailer, terms: Terms, plan: Float[Array, " n"], binding: int, tolerance: Float[Array, ""]
) -> Placed:
    """An order whose first `binding` weeks are given and whose last ones are the retailer's best.

    What no demand of the window takes is cancelled, and the cost is that of the order without it.
    """
    agent = retailer.agent(terms)
    inbound, weeks = retailer.unit_cost.shape[0], retailer.weeks
    side, fixed, later = fixed_weeks(retailer, terms, plan, binding)
    bracket = living.cheapest(side, fixed, tolerance)
    unserved = bracket.flows.outside[:-1]
    free = agent.side.cost.reshape(inbound, weeks, -1)[:, binding:, :-1].reshape(-1, later.shape[0])
    served = jnp.isfinite(later) & (later <= agent.side.outside[:-1])
    if binding < weeks:  # among equals the first
        chosen = jax.nn.one_hot(jnp.argmin(free, axis=0), free.shape[0], axis=0, dtype=free.dtype)
        added = chosen @ jnp.where(served, unserved, 0.0)
    else:
        added = jnp.zeros(free.shape[0], free.dtype)
    given_up = jnp.where(jnp.isfinite(retailer.leftover_cost), 0.0, bracket.flows.lane[:, -1])
    given_up = given_up + bracket.flows.short
    goes = jnp.concatenate(
        [jnp.maximum(fixed - given_up, 0.0).reshape(inbound, -1), added.reshape(inbound, -1)], axis=1
    ).reshape(-1)
    lost = jnp.where(served, 0.0, unserved)
    penalty = jnp.where(jnp.isfinite(retailer.leftover_cost), 0.0, terms.ceiling / terms.money)
    upper = bracket.upper - penalty * jnp.sum(bracket.flows.lane[:, -1])
    # The price proves a bound for every plan: also for the one without what is cancelled.
    lower = jnp.minimum(bracket.lower + jnp.vdot(bracket.price, given_up), upper)
    spend = upper - jnp.vdot(agent.lost_margin[:-1], lost)
    cancelled = jnp.pad(given_up.reshape(inbound, -1), ((0, 0), (0, weeks - binding)))
    order = quo.Order(
        plan=goes,
        cost=quo.Cost(lower, upper, spend),
        unmet=jnp.vdot(agent.must_serve[:-1], lost),
    )
    return Placed(order, cancelled.reshape(-1) * terms.volume)
