"""The retailer: ships from inbound nodes to demand, over weeks (arXiv:2605.16695 eq. 12-15)."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcpp.agents import weeks as time
from jaxcpp.agents.arrays import Numbers, floats
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.transport.side import Side


class Retailer(eqx.Module):
    """One product's demand and the retailer's own costs of meeting it. Private to the retailer.

    Args:
        unit_cost: (inbound, region) [currency / unit]; inf where there is no lane.
        demand: (region,), or (region, week) for a plan over weeks [units].
        margin: gross profit of a unit sold [currency / unit].
        holding_cost: a unit kept a week before it is sold [currency / unit / week].
        backlog_cost: a unit of demand served a week late [currency / unit / week]; inf = never late.
        lost_sale_cost: a unit of demand not served, beyond the lost margin [currency / unit];
            inf = all demand must be met.
        leftover_cost: a unit delivered and not sold in the window [currency / unit]; inf = none.
        inventory: (inbound,) on hand at the start of week 0 [units].
        week: where given, `demand` is a list of entries (m,), each in this week, `unit_cost` is
            (inbound, m), and `weeks` says how many weeks the plan has.
    """

    unit_cost: Float[Array, "i m"]
    demand: Float[Array, " m"]
    needed: Int[Array, " m"]
    margin: Float[Array, ""]
    holding_cost: Float[Array, ""]
    backlog_cost: Float[Array, ""]
    lost_sale_cost: Float[Array, ""]
    leftover_cost: Float[Array, ""]
    inventory: Float[Array, " i"] | None  # None: nothing on hand, and none is looked for
    weeks: int = eqx.field(static=True)
    weekly: bool = eqx.field(static=True)  # plans are (inbound, week), not (inbound,)

    def __init__(
        self,
        unit_cost: Numbers,
        demand: Numbers,
        margin: Numbers,
        *,
        holding_cost: Numbers = 0.0,
        backlog_cost: Numbers = jnp.inf,
        lost_sale_cost: Numbers = jnp.inf,
        leftover_cost: Numbers = jnp.inf,
        inventory: Numbers | None = None,
        week: Numbers | None = None,
        weeks: int | None = None,
    ) -> None:
        cost, asked = floats(unit_cost, demand)
        if week is not None:
            if weeks is None:
                raise ValueError("Retailer: with `week`, say how many `weeks` the plan has")
            self.weeks, self.weekly, self.needed = weeks, True, jnp.asarray(week, jnp.int32)
        else:
            self.weekly = asked.ndim == 2
            self.weeks = asked.shape[1] if self.weekly else 1
            self.needed = jnp.tile(jnp.arange(self.weeks, dtype=jnp.int32), asked.shape[0])
            if cost.ndim == 2:
                cost = jnp.repeat(cost, self.weeks, axis=1)
        asked = asked.reshape(-1)
        if cost.ndim != 2 or cost.shape[1] != asked.shape[0]:
            raise ValueError(
                f"Retailer: unit_cost must be (inbound, region) and demand (region,) or (region, week); "
                f"got {np.shape(unit_cost)} and {np.shape(demand)}"
            )
        self.unit_cost, self.demand = cost, asked
        self.inventory = None if inventory is None else floats(inventory)[0]
        self.margin, self.holding_cost, self.backlog_cost, self.lost_sale_cost, self.leftover_cost = floats(
            margin, holding_cost, backlog_cost, lost_sale_cost, leftover_cost
        )

    @property
    def nodes(self) -> int:
        """Public nodes: inbound nodes times weeks."""
        return self.unit_cost.shape[0] * self.weeks

    def profit_at_no_cost(self) -> Float[Array, ""]:
        """What the retailer would earn if every unit were sold at no cost [currency]."""
        return self.margin * jnp.sum(self.demand)

    def agent(self, terms: Terms) -> TransportAgent:
        """The retailer as the protocol sees it, in the contract's scaled units.

        Private nodes are the demand entries and, last, what is left over: a node that may take any
        delivered unit at `leftover_cost` and needs none.
        """
        cost = time.delivery_cost(
            self.unit_cost, self.needed, self.weeks, self.holding_cost, self.backlog_cost
        )
        stock = self._stock()
        reachable = terms.open | (stock > 0.0)
        may_be_left = jnp.isfinite(self.leftover_cost)
        may_be_lost = jnp.isfinite(self.lost_sale_cost)
        leftover = jnp.where(may_be_left, self.leftover_cost, jnp.inf)
        cost = jnp.concatenate([cost, jnp.full((self.nodes, 1), leftover)], axis=1)
        lost = jnp.where(may_be_lost, self.lost_sale_cost + self.margin, terms.ceiling)
        outside = jnp.append(jnp.full_like(self.demand, 1.0) * lost, 0.0)
        mass = jnp.append(self.demand, jnp.where(may_be_left, terms.most, 0.0))
        forgone = jnp.where(may_be_lost, self.margin, terms.ceiling)
        side = Side(
            cost=jnp.where(reachable[:, None], cost, jnp.inf) / terms.money,
            mass=mass / terms.volume,
            outside=outside / terms.money,
            stock=stock / terms.volume,
        )
        return TransportAgent(
            side=side,
            lost_margin=jnp.append(jnp.ones_like(self.demand), 0.0) * forgone / terms.money,
            unit_margin=jnp.zeros_like(terms.money),
            must_serve=jnp.append(jnp.ones_like(self.demand), 0.0) * jnp.where(may_be_lost, 0.0, 1.0),
        )

    def lag(self) -> Int[Array, "n m"]:
        """Weeks between delivery at each public node and the demand entry it could serve."""
        return time.lag(self.needed, self.unit_cost.shape[0], self.weeks)

    def _stock(self) -> Float[Array, " n"]:
        """On-hand inventory as a free delivery in week 0, by public node [units]."""
        if self.inventory is None:
            return jnp.zeros(self.nodes, self.demand.dtype)
        first = jnp.tile(jnp.arange(self.weeks) == 0, self.unit_cost.shape[0])
        return jnp.where(first, jnp.repeat(self.inventory, self.weeks), 0.0)
