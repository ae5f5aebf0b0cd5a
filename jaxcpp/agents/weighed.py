"""An agent whose whole utility counts several times: its costs, and what smoothing makes of them."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

from jaxcpp.agents.protocol import Response
from jaxcpp.agents.toll import Toll
from jaxcpp.agents.transport_agent import TransportAgent


class WeighedAgent(eqx.Module):
    """`agent`, every utility of its own times `weight`; it answers prices."""

    agent: TransportAgent
    weight: Float[Array, ""]

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """The agent's answer to its share of the price, what it is worth counted `weight` times."""
        seen, weight = self.agent.respond(price / self.weight, epsilon), self.weight
        return Response(
            value=weight * seen.value, bias=weight * seen.bias, bound=weight * seen.bound, plan=seen.plan,
            slope=seen.slope / weight, drift=seen.drift, spend=weight * seen.spend,
        )  # fmt: skip


class WeighedBesideToll(eqx.Module):
    """A weighed agent with a toll on its plan, and a price between the two."""

    agent: WeighedAgent
    toll: Toll

    @property
    def blocks(self) -> int:
        """One contract, one block."""
        return 1

    def parts(
        self, inner: Float[Array, " n"], price: Float[Array, " n"], epsilon: Float[Array, ""]
    ) -> tuple[Response, Response]:
        """The agent's answer to `inner` and the toll's to the rest of `price`."""
        return self.agent.respond(inner, epsilon), self.toll.respond(price - inner, epsilon)
