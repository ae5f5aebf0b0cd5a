"""What the supplier likes best on a price schedule, found by consensus.

It minimizes its own cost plus the price, `cost_S(x) + weight cost_A(x) + deviation(x)`: a consensus
with the retailer's cost weighted and, where deviations are charged, a toll as a third agent. So it has
the same protocol, methods and certificates as the plan that is best for both.
"""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.terms import Terms
from jaxcpp.agents.toll import Toll
from jaxcpp.agents.tolled import TolledAgent
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus.outcome import Outcome, feasible
from jaxcpp.consensus.solve import solve
from jaxcpp.mechanism.fees import Schedule

Method = Literal["newton", "admm"]


class Posed(eqx.Module):
    """The consensus that finds the choice: costs in `scale` times the contract's unit of money."""

    retailer: TransportAgent | TolledAgent
    supplier: TransportAgent
    scale: Float[Array, ""]


def scale_of(schedule: Schedule) -> Float[Array, ""]:
    """What costs are divided by to stay of order 1, however much weight the retailer's have."""
    return 0.5 * (1.0 + schedule.weight())


def steps(tolled: bool, method: str) -> str:
    """Which of the consensus methods serves a schedule, with charges on deviations or without."""
    return "tolled" if method == "newton" and tolled else method


def pose(
    schedule: Schedule,
    retailer: TransportAgent,
    supplier: TransportAgent,
    order: Float[Array, " n"],
    terms: Terms,
) -> Posed:
    """Both sides as the schedule makes them: `order` is just-in-time, in scaled units."""
    weight, scale = schedule.weight(), scale_of(schedule)
    buys, ships = _times(retailer, weight / scale), _times(supplier, 1.0 / scale)
    toll = toll_of(schedule, retailer, order, terms, scale)
    return Posed(buys if toll is None else TolledAgent(buys, toll), ships, scale)


def certified(schedule: Schedule, outcome: Outcome, tolerance: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether a choice is feasible and proven, to `tolerance` of the chain cost as the schedule weighs it."""
    weighed = schedule.weight() * outcome.retailer.spend + outcome.supplier.spend
    # Asked of the consensus in its own scale: sums in another order are off by rounding.
    least = tolerance * jnp.maximum(weighed, 1e-6) * (1.0 + 1e-9)
    return feasible(outcome.missing) & (outcome.gap <= least)


def read(schedule: Schedule, outcome: Outcome, order: Float[Array, " n"], terms: Terms) -> Outcome:
    """A posed consensus' outcome in both parties' own costs.

    Its `bound` is then so far below its cost as the certificate says: on the schedule no plan is worth
    more to the supplier by more than `gap`.
    """
    weight, scale = schedule.weight(), scale_of(schedule)
    unit = terms.money * terms.volume
    charged = schedule.deviation(outcome.plan * terms.volume, order * terms.volume) / (scale * unit)
    back = scale / weight
    received, shipped = outcome.retailer, outcome.supplier
    retailer = eqx.tree_at(
        lambda c: (c.cost, c.spend), received, ((received.cost - charged) * back, received.spend * back)
    )
    supplier = eqx.tree_at(
        lambda c: (c.cost, c.spend), shipped, (shipped.cost * scale, shipped.spend * scale)
    )
    return eqx.tree_at(
        lambda o: (o.retailer, o.supplier, o.bound, o.retailer_floor, o.supplier_floor),
        outcome,
        (
            retailer,
            supplier,
            retailer.cost + supplier.cost - outcome.gap * scale,
            (outcome.retailer_floor - charged) * back,
            outcome.supplier_floor * scale,
        ),
    )


def choose(
    schedule: Schedule,
    retailer: TransportAgent,
    supplier: TransportAgent,
    order: Float[Array, " n"],
    terms: Terms,
    tolerance: Float[Array, ""],
    method: Method = "newton",
    max_rounds: int | None = None,
) -> Outcome:
    """The supplier's best plan on a schedule, as agents with the true costs see it: to be `read`."""
    posed = pose(schedule, retailer, supplier, order, terms)
    name: Any = steps(schedule.over is not None, method)
    return solve(posed.retailer, posed.supplier, tolerance, name, max_rounds)


def _times(agent: TransportAgent, factor: Float[Array, ""]) -> TransportAgent:
    """The same agent with all its money multiplied."""
    return eqx.tree_at(
        lambda a: (a.side.cost, a.side.outside, a.lost_margin, a.unit_margin),
        agent,
        (
            agent.side.cost * factor,
            agent.side.outside * factor,
            agent.lost_margin * factor,
            agent.unit_margin * factor,
        ),
    )


def toll_of(
    schedule: Schedule,
    retailer: TransportAgent,
    order: Float[Array, " n"],
    terms: Terms,
    scale: Float[Array, ""],
) -> Toll | None:
    """What a schedule charges on deviations from `order`, as an agent; None where it charges none."""
    if schedule.over is None or schedule.under is None:
        return None
    unit = terms.money * scale
    most = jnp.where(terms.open, jnp.sum(retailer.side.mass), 0.0)
    return Toll(order, schedule.over / unit, schedule.under / unit, most)
