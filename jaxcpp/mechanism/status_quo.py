"""What happens without coordination: the retailer orders just in time, the vendor ships.

The retailer's order `x_A` is its own best plan (deliveries are free to it); the supplier fills it in
full where its capacity allows, and otherwise confirms a part `z * x_A` of each order line, its own
best reply (arXiv:2605.16695 section 3.1). So it is obliged; where just-in-time is voluntary, it confirms its
best reply whatever its capacity.

Only then does no lie about capacity pay. What a supplier can have is a list that no report of its own
changes: every plan `x` at its price `P(x)`, and every part of the order at none. The truth takes the best of
the list; a lie takes something else of it, or a plan that the supplier cannot ship. Where it is obliged,
whether a part of the order is on the list depends on the capacity that it reports. With `q` the part it likes
best, it accepts a plan only if `u_S(x) - P(x) > u_S(q)`, so that without a fee
`u_S(x) + u_A(x) > u_S(q) + u_A(x_A) >= u_S(q) + u_A(q)`: there is still a gain, and a fee only asks for more.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus.outcome import feasible
from jaxcpp.transport import living
from jaxcpp.transport.side import Side

JustInTime = Literal["obliged", "voluntary"]
"""Whether a supplier has to fill the orders that its capacity allows, or confirms what suits it best."""

WHOLE = 1e-6
"""Units: a number this near to a whole one is that number."""

TIE = 1e-12
"""Lanes whose costs differ by less than this, of the dearest, tie."""


class Cost(eqx.Module):
    """A cost known to lie in `[lower, upper]`, and the money spent at `upper`, in scaled units."""

    lower: Float[Array, ""]
    upper: Float[Array, ""]
    spend: Float[Array, ""]


class Order(eqx.Module):
    """The retailer's just-in-time order, and what living with it costs the retailer."""

    plan: Float[Array, " n"]
    cost: Cost
    unmet: Float[Array, ""]  # units that had to be served and no open node can


class StatusQuo(eqx.Module):
    """The just-in-time order as confirmed by the supplier, and both parties' costs of it."""

    order: Order
    plan: Float[Array, " n"]
    filled: Bool[Array, ""]  # in full
    retailer: Cost
    supplier: Cost
    unmet: Float[Array, ""]  # units that had to be served and with this plan are not


def just_in_time(
    retailer: Retailer, agent: TransportAgent, terms: Terms, tolerance: Float[Array, ""], whole: bool = False
) -> Order:
    """The retailer's best plan when deliveries are free at every open node.

    Each demand entry takes its cheapest open lane; among equals the one with the least time between
    delivery and use, then evenly. Stock on hand is used where it is worth using, and before an order
    where it costs the same. With `whole` units, ties go to the first lane, and what stock would serve
    only a part of a unit of is ordered.
    """
    side = agent.side
    fresh = jnp.where(terms.open[:, None], side.cost, jnp.inf)
    cheapest = jnp.min(fresh, axis=0)
    serve = cheapest <= side.outside
    best = jnp.minimum(cheapest, side.outside)
    needs = side.mass.at[-1].set(0.0)  # the last private node is what is left over: none, when just in time
    if retailer.inventory is None:
        from_stock, kept = jnp.zeros_like(side.cost), side.stock
        remaining, lower = needs, jnp.vdot(needs, best)
    else:
        stocked = jnp.where(side.stock[:, None] > 0.0, side.cost, jnp.inf)
        bracket = living.cheapest(
            Side(stocked, needs, best, side.stock), jnp.zeros_like(side.stock), tolerance
        )
        from_stock, remaining, lower = bracket.flows.lane, bracket.flows.outside, bracket.lower
        kept = side.stock - bracket.flows.used
    if whole:
        ordered = jnp.where(serve, jnp.ceil(remaining * terms.volume - WHOLE) / terms.volume, remaining)
        ordered = jnp.minimum(ordered, needs)
        fed = jnp.sum(from_stock, axis=0)
        from_stock = (
            from_stock
            * jnp.where(fed > 0.0, (needs - ordered) / jnp.where(fed > 0.0, fed, 1.0), 0.0)[None, :]
        )
        remaining = ordered
        kept = jnp.floor((side.stock - jnp.sum(from_stock, axis=1)) * terms.volume + WHOLE) / terms.volume
    share = _ties(fresh, cheapest, retailer.lag(), whole)
    plan = share @ jnp.where(serve, remaining, 0.0)
    plan = jnp.where(terms.open, jnp.maximum(plan - kept, 0.0), 0.0)
    lost = jnp.where(serve, 0.0, remaining)
    upper = jnp.vdot(remaining, best)
    if retailer.inventory is not None:  # else XLA would add up all those zeros while it compiles
        upper = jnp.sum(jnp.where(from_stock > 0.0, side.cost, 0.0) * from_stock) + upper
    cost = Cost(jnp.minimum(lower, upper), upper, upper - jnp.vdot(agent.lost_margin, lost))
    return Order(plan, cost, jnp.vdot(agent.must_serve, lost))


def _ties(
    fresh: Float[Array, "n m"], cheapest: Float[Array, " m"], lag: Int[Array, "n k"], first: bool
) -> Float[Array, "n m"]:
    """Even shares over each column's cheapest lanes, those with the least lag; or all to the first."""
    slack = TIE * jnp.max(jnp.where(jnp.isfinite(fresh), jnp.abs(fresh), 0.0))
    tied = jnp.isfinite(fresh) & (fresh <= cheapest[None, :] + slack)
    late = jnp.concatenate([lag, jnp.zeros_like(lag[:, :1])], axis=1)  # and what is left over
    least = jnp.min(jnp.where(tied, late, jnp.iinfo(late.dtype).max), axis=0)
    tied = tied & (late == least[None, :])
    if first:
        tied = tied & (jnp.cumsum(tied, axis=0) == 1)
    count = jnp.sum(tied, axis=0)
    return tied.astype(fresh.dtype) / jnp.maximum(count, 1).astype(fresh.dtype)[None, :]


def filling(
    supplier: Supplier, terms: Terms, order: Float[Array, " n"], tolerance: Float[Array, ""]
) -> tuple[Cost, Float[Array, " n"]]:
    """What filling an order costs the supplier, and what of it capacity does not allow.

    The cost has the margin of what is shipped netted out.
    """
    side = supplier.filling(terms, order, terms.ceiling)
    bracket = living.cheapest(side, jnp.zeros_like(side.stock), tolerance)
    unfilled = bracket.flows.outside
    penalty = jnp.vdot(side.outside, unfilled)
    earned = supplier.margin / terms.money * jnp.sum(order / terms.volume - unfilled)
    spend = bracket.upper - penalty
    return Cost(bracket.lower - penalty - earned, spend - earned, spend), unfilled


def confirmed_part(
    supplier: Supplier,
    terms: Terms,
    order: Float[Array, " n"],
    tolerance: Float[Array, ""],
    skip: Bool[Array, ""],
    whole: bool = False,
) -> tuple[Cost, Float[Array, " n"]]:
    """The part of an order that the supplier likes best to fill, and its cost (section 3.1).

    `skip` spares the work where the order is filled in full; with `whole` units, a part of a unit is
    not confirmed.
    """
    margin = jnp.maximum(supplier.margin, 0.0)
    side = supplier.filling(terms, order, margin)
    bracket = living.follow(side, jnp.zeros_like(side.stock), tolerance, skip)
    lines, unfilled = order / terms.volume, bracket.flows.outside
    unfilled = jnp.where(supplier.margin < 0.0, lines, unfilled)  # a lane at no cost is a loss all the same
    lower = bracket.lower - supplier.margin / terms.money * jnp.sum(lines)
    spend = bracket.upper - jnp.vdot(side.outside, unfilled)
    if whole:
        filled = jnp.floor((lines - unfilled) * terms.volume + WHOLE) / terms.volume
        kept = jnp.where(lines > unfilled, filled / jnp.where(lines > unfilled, lines - unfilled, 1.0), 0.0)
        costs = jnp.where(bracket.flows.lane > 0.0, side.cost, 0.0) * bracket.flows.lane
        spend, unfilled = jnp.vdot(jnp.sum(costs, axis=0), kept), lines - filled
    earned = supplier.margin / terms.money * jnp.sum(lines - unfilled)
    return Cost(jnp.minimum(lower, spend - earned), spend - earned, spend), unfilled


def in_part(
    agent: TransportAgent,
    supplier: Supplier,
    terms: Terms,
    order: Order,
    tolerance: Float[Array, ""],
    skip: Bool[Array, ""],
    whole: bool = False,
) -> StatusQuo:
    """The status quo where capacity does not allow the whole order, or none of it has to be filled."""
    cost, unfilled = confirmed_part(supplier, terms, order.plan * terms.volume, tolerance, skip, whole)
    plan = jnp.maximum(order.plan - unfilled, 0.0)
    retailer, unmet = living_with(agent, plan, tolerance, skip)
    part = StatusQuo(order, plan, jnp.zeros((), bool), retailer, cost, unmet)
    full = in_full(order, cost, unfilled)
    return jax.tree.map(lambda a, b: jnp.where(full.filled, a, b), full, part)


def living_with(
    agent: TransportAgent, plan: Float[Array, " n"], tolerance: Float[Array, ""], skip: Bool[Array, ""]
) -> tuple[Cost, Float[Array, ""]]:
    """What living with a plan costs the retailer, and the units it leaves unserved that had to be served."""
    bracket = living.follow(agent.side, plan, tolerance, skip)
    lives = agent.account(bracket.flows, plan)
    return Cost(bracket.lower, bracket.upper, lives.spend), lives.unmet + jnp.sum(bracket.flows.short)


def in_full(order: Order, cost: Cost, unfilled: Float[Array, " n"]) -> StatusQuo:
    """The status quo where the supplier fills the whole order."""
    return StatusQuo(order, order.plan, feasible(jnp.sum(unfilled)), order.cost, cost, order.unmet)
