"""The agent both parties are: a private transport problem that answers as `Agent` asks.

Scaled so that the contract's volume is 1 and its costs are of order 1; `mechanism.terms` holds the
two units and turns answers back into currency.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.protocol import Confirmation, Response
from jaxcpp.transport import living, proximal, rounding
from jaxcpp.transport.side import Side, answer, bound, split, with_costs_held

TOLERANCE = 1e-9
"""Relative bracket of `value_and_gradient`."""


class TransportAgent(eqx.Module):
    """Cost to minimize: `side`'s, margins netted out of it so that utility = constant - cost.

    `lost_margin` is the part of `side.outside` that is not money spent (profit forgone);
    `unit_margin` is profit that `side.cost` was lowered by, per unit of the plan; `must_serve` marks
    private nodes whose outside option only keeps the problem finite: using it is a failure.
    """

    side: Side
    lost_margin: Float[Array, " m"]  # currency / unit
    unit_margin: Float[Array, ""]  # currency / unit
    must_serve: Float[Array, " m"]  # 1 or 0

    def quote(self) -> Float[Array, " n"]:
        """Price at which the agent would part with the first unit: its best lane [currency / unit]."""
        best = jnp.min(self.side.cost, axis=1)
        return jnp.where(jnp.isfinite(best), best, 0.0)

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """Best plan at a price, smoothed, with value, slope and bound."""
        seen = answer(self.side, price, epsilon)
        cost = seen.value + seen.bias - jnp.vdot(price, seen.plan)
        spend = cost - jnp.vdot(self.lost_margin, seen.unserved) + self.unit_margin * jnp.sum(seen.plan)
        return Response(seen.value, seen.bias, seen.bound, seen.plan, seen.slope, seen.drift, spend)

    def bound(self, price: Float[Array, " n"]) -> Float[Array, ""]:
        """Least cost plus `price @ x` over all plans `x`, exactly."""
        return bound(self.side, price)

    def propose(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Float[Array, " n"]:
        """The smoothed best plan without the smoothing's dust: one the agent can live with exactly."""
        lane, _ = rounding.pruned(split(self.side, price, epsilon))
        shipped = jnp.sum(lane * self.side.mass[None, :], axis=1)
        return jnp.maximum(shipped - self.side.stock * jax.nn.sigmoid(price / epsilon), 0.0)

    def flows(
        self, plan: Float[Array, " n"], price: Float[Array, " n"], epsilon: Float[Array, ""]
    ) -> rounding.Flows:
        """Private flows that ship `plan`, near those that answer `price`."""
        return rounding.settle(self.side, split(self.side, price, epsilon), plan)

    def answered(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> rounding.Flows:
        """Private flows of the smoothed answer to a price, as they are."""
        return rounding.smoothed(self.side, price, epsilon)

    def confirm(
        self,
        plan: Float[Array, " n"],
        price: Float[Array, " n"],
        epsilon: Float[Array, ""],
        memory: proximal.Memory | None = None,
    ) -> Confirmation:
        """What living with exactly `plan` costs, by flows near those that answer `price`.

        With a `memory`, near those of the agent's last proximal answer.
        """
        near = price if memory is None else memory.price
        return self.account(self.flows(plan, near, epsilon), plan)

    def with_costs_held(self) -> TransportAgent:
        """The same agent, its units with derivatives and its costs and margins without."""
        margins = jax.lax.stop_gradient((self.lost_margin, self.unit_margin))
        return TransportAgent(with_costs_held(self.side), *margins, self.must_serve)

    def account(self, flows: rounding.Flows, plan: Float[Array, " n"]) -> Confirmation:
        """Cost and money spent of given flows."""
        cost = rounding.cost_of(self.side, flows)
        spend = (
            cost - jnp.vdot(self.lost_margin, flows.outside) + self.unit_margin * jnp.sum(plan - flows.short)
        )
        return Confirmation(cost, spend, flows.short, jnp.vdot(self.must_serve, flows.outside))

    def value_and_gradient(self, plan: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        """Cost of living with `plan`, and the value of one more unit at each node."""
        bracket = living.cheapest(self.side, plan, jnp.asarray(TOLERANCE, plan.dtype))
        return bracket.upper, bracket.price

    def memory(self, price: Float[Array, " n"]) -> proximal.Memory:
        """A start for `best_response`, near the answer to `price`."""
        return proximal.Memory(price, jnp.zeros((), jnp.int32))

    def best_response(
        self,
        price: Float[Array, " n"],
        proposal: Float[Array, " n"],
        rho: Float[Array, ""],
        epsilon: Float[Array, ""],
        memory: proximal.Memory,
        accuracy: Float[Array, ""],
    ) -> tuple[Float[Array, " n"], proximal.Memory]:
        """`argmin cost(x) + price @ x + rho/2 |x - proposal|^2` (arXiv:2605.16695 section 2.2)."""
        return proximal.respond(self.side, price, proposal, rho, epsilon, memory, accuracy)
