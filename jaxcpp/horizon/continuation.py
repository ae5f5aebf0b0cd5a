"""The retailer's best continuation, given what is delivered (arXiv:2605.16695 eq. 8).

The same program prices a week's order and carries the week out: before demand is known it is solved
for the forecast, and its cost is what eq. 8 compares; then for the demand that came, and its flows
of the first week are what happens.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.terms import Terms
from jaxcpp.transport import living
from jaxcpp.transport.side import Side


class Continuation(eqx.Module):
    """Cost of the window from here on [currency], and what happens in its first week [units].

    `lower <= cost <= upper`, lost margins included. Demand entries due now or before are shipped to,
    wait, or are lost; deliveries of the first week are shipped, kept for an entry to come, left over
    at the retailer's cost, or spare. `beyond_price` is what the ceiling charges for demand that must be
    served and is not, over its margin, and for deliveries that nobody takes and nobody may leave over.
    """

    lower: Float[Array, ""]
    upper: Float[Array, ""]
    shipped: Float[Array, "i m"]
    kept: Float[Array, "i m"]
    left: Float[Array, " i"]
    spare: Float[Array, " i"]
    waiting: Float[Array, " m"]
    lost: Float[Array, " m"]
    unmet: Float[Array, ""]  # part of `lost` that had to be served
    beyond_price: Float[Array, ""]  # currency: part of `upper` that only keeps the problem finite


def fixed_weeks(
    retailer: Retailer,
    terms: Terms,
    plan: Float[Array, " n"],
    binding: int,
    churn: Float[Array, ""] | None = None,
    beyond: bool = False,
) -> tuple[Side, Float[Array, " b"], Float[Array, " m"]]:
    """The retailer's problem where the first `binding` weeks of `plan` [units] are fixed, scaled.

    A demand entry's outside option is to be lost or to be served by a delivery of a free week, at
    the best lane of any open node: deliveries are free to the retailer. A fixed delivery that no
    demand of the window takes is left over or, where none may be, priced at the ceiling to keep the
    problem finite. Returns the side, the fixed plan, and each entry's best free lane; `beyond` makes the
    week after the window a free one too, for demand that waits so long.

    With a price on `churn` [currency / unit] the plan's later weeks are on record: their nodes follow
    those of the fixed weeks, week by week, as stock that costs so much less than its lanes, and any other
    delivery costs so much more. The side's cost is then without the constant `churn` times what is on
    record.
    """
    side = retailer.agent(terms).side
    inbound, weeks = retailer.unit_cost.shape[0], retailer.weeks
    grid = side.cost.reshape(inbound, weeks, -1)
    moved = 0.0 if churn is None else churn / terms.money
    later = jnp.min(grid[:, binding:, :-1], axis=(0, 1), initial=jnp.inf) + moved
    if beyond:
        late = retailer.backlog_cost * (weeks - retailer.needed).astype(plan.dtype)
        nodes = jnp.any(terms.open.reshape(inbound, weeks), axis=1)
        nearest = jnp.min(jnp.where(nodes[:, None], retailer.unit_cost, jnp.inf), axis=0)
        later = jnp.minimum(later, (nearest + late) / terms.money)
    fixed = (plan / terms.volume).reshape(inbound, weeks)[:, :binding].reshape(-1)
    stock = side.stock.reshape(inbound, weeks)[:, :binding].reshape(-1)
    cost = grid[:, :binding, :].reshape(inbound * binding, -1)
    leftover = jnp.where(jnp.isfinite(retailer.leftover_cost), retailer.leftover_cost, terms.ceiling)
    cost = cost.at[:, -1].set(leftover / terms.money)
    mass = side.mass.at[-1].set(jnp.sum(fixed) + jnp.sum(stock))
    outside = side.outside.at[:-1].set(jnp.minimum(side.outside[:-1], later))
    if churn is None or binding == weeks:
        return Side(cost, mass, outside, stock), fixed, later
    known = jnp.where(terms.open, plan / terms.volume, 0.0).reshape(inbound, weeks)[:, binding:].reshape(-1)
    lanes = grid[:, binding:].reshape(known.shape[0], -1) - moved
    lanes = lanes.at[:, -1].set(jnp.inf)
    kept = Side(jnp.concatenate([cost, lanes]), mass, outside, jnp.concatenate([stock, known]))
    return kept, jnp.concatenate([fixed, jnp.zeros_like(known)]), later


def continuation(
    retailer: Retailer,
    terms: Terms,
    plan: Float[Array, " n"],
    binding: int,
    tolerance: Float[Array, ""],
    churn: Float[Array, ""] | None = None,
) -> Continuation:
    """The retailer's cheapest way on, with the first `binding` weeks of `plan` [units] delivered.

    With `binding = 1` only this week's order is issued, and later deliveries are free to choose, at
    `churn` [currency / unit] for every unit that they move from `plan`, where it is given; with all weeks
    binding the whole plan is delivered as it stands, and demand may wait for the week after the window.
    """
    side, fixed, later = fixed_weeks(retailer, terms, plan, binding, churn, binding == retailer.weeks)
    bracket = living.cheapest(side, fixed, tolerance)
    inbound = retailer.unit_cost.shape[0]
    size = inbound * binding
    flows = bracket.flows.lane[:size].reshape(inbound, binding, -1) * terms.volume
    on_record = jnp.sum(bracket.flows.lane[size:, :-1], axis=0) * terms.volume
    given = (
        jnp.asarray(0.0, plan.dtype) if churn is None else churn * jnp.sum(side.stock[size:]) * terms.volume
    )
    due = retailer.needed <= 0
    may_be_lost, may_be_left = jnp.isfinite(retailer.lost_sale_cost), jnp.isfinite(retailer.leftover_cost)
    # What is not served this week and not given up waits: for a later fixed delivery, or a free one.
    own = retailer.agent(terms).side.outside[:-1]
    waits = (jnp.isfinite(later) & (later <= own)) | (~may_be_lost & jnp.isfinite(retailer.backlog_cost))
    unserved = bracket.flows.outside[:-1] * terms.volume
    served_later = jnp.sum(flows[:, 1:, :-1], axis=(0, 1)) + on_record
    now, on_hand = flows[:, 0, :-1], plan.reshape(inbound, -1)[:, 0]
    if retailer.inventory is not None:
        on_hand = on_hand + retailer.inventory
    left = jnp.where(may_be_left, flows[:, 0, -1], 0.0)
    lost = jnp.where(due & ~waits, unserved, 0.0)
    unit = terms.money * terms.volume
    failed = jnp.where(may_be_lost | (later <= own), 0.0, unserved)
    idle = jnp.where(may_be_left, 0.0, jnp.sum(flows[:, :, -1]))
    return Continuation(
        lower=bracket.lower * unit + given,
        upper=bracket.upper * unit + given,
        shipped=jnp.where(due[None, :], now, 0.0),
        kept=jnp.where(due[None, :], 0.0, now),
        left=left,
        spare=jnp.maximum(on_hand - jnp.sum(now, axis=1) - left, 0.0),
        waiting=jnp.where(due, served_later + jnp.where(waits, unserved, 0.0), 0.0),
        lost=lost,
        unmet=jnp.where(may_be_lost, 0.0, jnp.sum(lost)),
        beyond_price=(terms.ceiling - retailer.margin) * jnp.sum(failed) + terms.ceiling * idle,
    )
