"""What changing the plan of record costs: a price on every unit that a plan moves from it.

The retailer's cost. The week that a window has gained is on no record, and free.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.toll import Toll
from jaxcpp.horizon.orders import Placed
from jaxcpp.mechanism.status_quo import Cost, Order
from jaxcpp.transport import living
from jaxcpp.transport.side import Side


class Record(eqx.Module):
    """What leaving the plan of record costs, in scaled units."""

    toll: Toll
    gone: Float[Array, ""]  # currency: for units on record at nodes that nothing can use any more

    def charge(self, plan: Float[Array, " n"]) -> Float[Array, ""]:
        """What a plan is charged [currency]."""
        return self.toll.charge(plan) + self.gone


def on_record(
    retailer: Retailer, terms: Terms, record: Float[Array, " n"], price: Float[Array, ""]
) -> Record:
    """The plan of `record` [units], at `price` [currency / unit] for every unit a plan moves from it."""
    weeks = retailer.weeks
    known = jnp.arange(retailer.nodes, dtype=jnp.int32) % weeks < weeks - 1
    each = jnp.where(known, price / terms.money, 0.0)
    units = jnp.where(known, record / terms.volume, 0.0)
    most = jnp.where(terms.open, jnp.sum(retailer.agent(terms).side.mass), 0.0)
    toll = Toll(jnp.where(terms.open, units, 0.0), each, each, most)
    return Record(toll, jnp.vdot(each, jnp.where(terms.open, 0.0, units)))


def just_in_time(retailer: Retailer, terms: Terms, record: Record, tolerance: Float[Array, ""]) -> Placed:
    """The retailer's own best plan where leaving the plan of record costs something.

    A transport problem of its own: units on record are stock that costs a charge less than its lane, any
    further unit costs a charge more.
    """
    agent, kept = retailer.agent(terms), record.toll
    side = agent.side
    open_lane = jnp.where(terms.open[:, None], side.cost, jnp.inf)
    fresh = open_lane + kept.over[:, None]
    best = jnp.minimum(jnp.min(fresh, axis=0), side.outside)
    needs = side.mass.at[-1].set(0.0)  # nothing is left over, when just in time
    options = Side(
        cost=jnp.concatenate([side.cost, open_lane - kept.under[:, None]]),
        mass=needs,
        outside=best,
        stock=jnp.concatenate([side.stock, kept.baseline]),
    )
    bracket = living.cheapest(options, jnp.zeros_like(options.stock), tolerance)
    from_stock, on_record = jnp.split(bracket.flows.lane, 2)
    left = bracket.flows.outside
    serve = jnp.min(fresh, axis=0) <= side.outside
    first = jax.nn.one_hot(jnp.argmin(fresh, axis=0), fresh.shape[0], axis=0, dtype=fresh.dtype)
    added = first * jnp.where(serve, left, 0.0)[None, :]
    lost = jnp.where(serve, 0.0, left)
    shipped = from_stock + on_record + added
    plan = jnp.sum(on_record + added, axis=1)
    charge = record.charge(plan)
    lanes = jnp.sum(jnp.where(shipped > 0.0, side.cost, 0.0) * shipped)
    upper = lanes + jnp.vdot(side.outside, lost) + charge
    unused = jnp.vdot(kept.under, kept.baseline) + record.gone
    lower = jnp.minimum(bracket.lower + unused, upper)
    spend = upper - charge - jnp.vdot(agent.lost_margin, lost)
    order = Order(plan, Cost(lower, upper, spend), jnp.vdot(agent.must_serve, lost))
    return Placed(order, jnp.zeros_like(plan))


def charged(placed: Placed, record: Record) -> Placed:
    """A given order with what it costs to leave the plan of record for it."""
    charge = record.charge(placed.order.plan)
    cost = placed.order.cost
    return eqx.tree_at(
        lambda p: p.order.cost, placed, Cost(cost.lower + charge, cost.upper + charge, cost.spend)
    )
