"""An agent that also minds what a plan is charged: its own cost plus a toll, as one agent of the protocol.

Between the agent and its toll there is a price of its own, `inner`: the agent answers to it, the toll to
what is left of the coordinator's price. Its best value is where both name the same plan.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.protocol import Confirmation, Response
from jaxcpp.agents.toll import Toll
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.transport import implicit, path, proximal
from jaxcpp.transport.side import Side, answer

ACCURACY = 1e-9
"""Of the cost scale: how far `bound` may fall short of the best bound at a price."""
MAX_ROUNDS = 60


class Parts(eqx.Module):
    """An agent and its toll once the price between them, `inner`, is given."""

    agent: Any
    toll: Toll
    inner: Float[Array, " n"]

    def propose(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Float[Array, " n"]:
        """A plan the agent can live with exactly."""
        del price
        return self.agent.propose(self.inner, epsilon)

    def confirm(
        self,
        plan: Float[Array, " n"],
        price: Float[Array, " n"],
        epsilon: Float[Array, ""],
        memory: Any = None,
    ) -> Confirmation:
        """The agent's own confirmation, the toll added to its cost; a toll is not money spent."""
        del price
        own: Confirmation = self.agent.confirm(plan, self.inner, epsilon, memory)
        return eqx.tree_at(lambda c: c.cost, own, own.cost + self.toll.charge(plan))

    def bound(self, price: Float[Array, " n"]) -> Float[Array, ""]:
        """Below cost plus toll plus `price @ x` for all plans `x`, whatever the price between them."""
        return self.agent.bound(self.inner) + self.toll.bound(price - self.inner)

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """The agent's own answer to the price between it and its toll."""
        del price
        own: Response = self.agent.respond(self.inner, epsilon)
        return own


class TolledAgent(eqx.Module):
    """`agent` with `toll` on its plan; the price between them is searched wherever none is given."""

    agent: TransportAgent
    toll: Toll

    @property
    def blocks(self) -> int:
        """One contract, one block."""
        return 1

    def at(self, inner: Float[Array, " n"]) -> Parts:
        """Both with a price between them."""
        return Parts(self.agent, self.toll, inner)

    def parts(
        self, inner: Float[Array, " n"], price: Float[Array, " n"], epsilon: Float[Array, ""]
    ) -> tuple[Response, Response]:
        """The agent's answer to `inner` and the toll's to the rest of `price`."""
        return self.agent.respond(inner, epsilon), self.toll.respond(price - inner, epsilon)

    def propose(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Float[Array, " n"]:
        """A plan the agent can live with exactly."""
        return self.at(price).propose(price, epsilon)

    def confirm(
        self,
        plan: Float[Array, " n"],
        price: Float[Array, " n"],
        epsilon: Float[Array, ""],
        memory: proximal.Memory | None = None,
    ) -> Confirmation:
        """The agent's own confirmation, the toll added to its cost."""
        return self.at(price).confirm(plan, price, epsilon, memory)

    def bound(self, price: Float[Array, " n"]) -> Float[Array, ""]:
        """Least cost plus toll plus `price @ x` over all plans `x`, all but exactly."""
        return self.at(self._between(price)).bound(price)

    def dual(self, price: Float[Array, " n"]) -> path.Evaluate:
        """The smoothed dual of agent and toll together, in the price between them."""

        def at(inner: Float[Array, " n"], epsilon: Float[Array, ""]) -> path.Evaluation:
            own, toll = self.parts(inner, price, epsilon)
            value = own.value + toll.value
            return path.Evaluation(
                value=value, bias=own.bias + toll.bias, bound=own.bound + toll.bound,
                gradient=own.plan - toll.plan, slope=own.slope + toll.slope, drift=own.drift - toll.drift,
                spend=jnp.ones_like(value),
            )  # fmt: skip

        return at

    def _between(
        self, price: Float[Array, " n"], epsilon: Float[Array, ""] | None = None
    ) -> Float[Array, " n"]:
        """The price at which agent and toll agree: exactly, or both smoothed by `epsilon`."""
        if epsilon is not None:
            return path.reached(implicit.search(self.dual(price), price, epsilon))
        accuracy = jnp.asarray(ACCURACY, price.dtype)
        return path.reached(path.follow(self.dual(price), path.start(price), accuracy, MAX_ROUNDS))

    def quote(self) -> Float[Array, " n"]:
        """The agent's own; its toll has none."""
        return self.agent.quote()

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """The smoothed best plan at a price, the one between agent and toll searched first."""
        inner = self._between(price, epsilon)
        own, toll = self.parts(inner, price, epsilon)
        both = own.slope + toll.slope
        # A closed node answers nothing; the rest of the diagonal is of another order than this.
        both = both + jnp.diag(jnp.where(jnp.diagonal(both) > 0.0, 0.0, 1.0))
        turn = jnp.linalg.solve(
            both, jnp.concatenate([toll.slope, (own.drift - toll.drift)[:, None]], axis=1)
        )
        return Response(
            value=own.value + toll.value, bias=own.bias + toll.bias, bound=own.bound + toll.bound,
            plan=own.plan, slope=own.slope @ turn[:, :-1], drift=own.drift - own.slope @ turn[:, -1],
            spend=own.spend,
        )  # fmt: skip

    def value_and_gradient(self, plan: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        """Cost and toll of living with `plan`; at the baseline the value of one unit more, toll paid."""
        cost, value = self.agent.value_and_gradient(plan)
        charged = jnp.where(plan >= self.toll.baseline, self.toll.over, -self.toll.under)
        return cost + self.toll.charge(plan), value - charged

    def memory(self, price: Float[Array, " n"]) -> proximal.Memory:
        """A start for `best_response`: the price between agent and toll."""
        return self.agent.memory(price)

    def best_response(
        self,
        price: Float[Array, " n"],
        proposal: Float[Array, " n"],
        rho: Float[Array, ""],
        epsilon: Float[Array, ""],
        memory: proximal.Memory,
        accuracy: Float[Array, ""],
    ) -> tuple[Float[Array, " n"], proximal.Memory]:
        """`argmin cost(x) + toll(x) + price @ x + rho/2 |x - proposal|^2`."""
        held = _held(self.agent.side, self.toll, price, proposal, rho)
        return proximal.follow(self.agent.side, held, epsilon, memory, accuracy)


def _held(
    side: Side,
    toll: Toll,
    price: Float[Array, " n"],
    proposal: Float[Array, " n"],
    rho: Float[Array, ""],
) -> path.Evaluate:
    """As `proximal.evaluate`, with the toll beside the quadratic: both are separable, so is their answer."""

    def at(inner: Float[Array, " n"], epsilon: Float[Array, ""]) -> path.Evaluation:
        seen = answer(side, inner, epsilon)
        wanted = proposal + (inner - price) / rho
        held, moves = toll.nearest(wanted, rho)
        active = (held > 0.0) | (side.stock <= 0.0)
        held, moves = jnp.where(active, held, 0.0), moves & active
        apart = held - proposal
        value = (
            seen.value
            + toll.charge(held)
            - jnp.vdot(inner - price, held)
            + 0.5 * rho * jnp.vdot(apart, apart)
        )
        zero = jnp.zeros_like(value)
        return path.Evaluation(
            value=value, bias=zero, bound=value, gradient=seen.plan - held,
            slope=seen.slope + jnp.diag(moves.astype(rho.dtype) / rho), drift=seen.drift, spend=zero + 1.0,
        )  # fmt: skip

    return at
