"""The supplier: ships from sources with limited capacity, over weeks (arXiv:2605.16695 eq. 16-19)."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents import weeks as time
from jaxcpp.agents.arrays import Numbers, floats
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.transport.side import Side


class Supplier(eqx.Module):
    """One vendor's sources for one product, and its own costs. Private to the supplier.

    Args:
        unit_cost: (source, inbound) [currency / unit]; inf where there is no lane.
        capacity: (source,), or (source, week) [units / week].
        margin: gross profit of a unit delivered [currency / unit].
        holding_cost: a unit built a week before it is delivered [currency / unit / week].
    """

    unit_cost: Float[Array, "k i"]
    capacity: Float[Array, "k t"]
    margin: Float[Array, ""]
    holding_cost: Float[Array, ""]

    def __init__(
        self, unit_cost: Numbers, capacity: Numbers, margin: Numbers, *, holding_cost: Numbers = 0.0
    ) -> None:
        cost, most = floats(unit_cost, capacity)
        most = most[:, None] if most.ndim == 1 else most
        if cost.ndim != 2 or most.shape[0] != cost.shape[0]:
            raise ValueError(
                f"Supplier: unit_cost must be (source, inbound) and capacity (source,) or (source, week); "
                f"got {cost.shape} and {most.shape}"
            )
        self.unit_cost, self.capacity = cost, most
        self.margin, self.holding_cost = floats(margin, holding_cost)

    @property
    def nodes(self) -> int:
        """Public nodes: inbound nodes times weeks."""
        return self.unit_cost.shape[1] * self.capacity.shape[1]

    def costs(self) -> Float[Array, "n k"]:
        """From every source and week of production to every public node [currency / unit]."""
        return time.shipping_cost(self.unit_cost, self.capacity.shape[1], self.holding_cost)

    def agent(self, terms: Terms) -> TransportAgent:
        """The supplier as the protocol sees it, in the contract's scaled units.

        Private nodes are its sources in each week of production; what they leave idle costs nothing.
        """
        cost = jnp.where(terms.open[:, None], self.costs() - self.margin, jnp.inf)
        mass = self.capacity.reshape(-1) / terms.volume
        side = Side(cost / terms.money, mass, jnp.zeros_like(mass), jnp.zeros_like(cost[:, 0]))
        return TransportAgent(side, jnp.zeros_like(mass), self.margin / terms.money, jnp.zeros_like(mass))

    def filling(self, terms: Terms, order: Float[Array, " n"], unfilled: Float[Array, ""]) -> Side:
        """Filling a fixed order, seen from the sources: order lines are the private nodes.

        An order line's outside option, at `unfilled` [currency / unit], is not to be filled; a
        source's capacity is its stock. A few prices (one a source) instead of one a public node.
        """
        cost = jnp.where(terms.open[:, None], self.costs(), jnp.inf).T
        return Side(
            cost=cost / terms.money,
            mass=order / terms.volume,
            outside=jnp.full_like(order, 1.0) * unfilled / terms.money,
            stock=self.capacity.reshape(-1) / terms.volume,
        )
