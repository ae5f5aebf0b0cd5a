"""Our own agents where the other side is not ours: they answer prices on the host, exactly.

A transport problem's best answer to a price has a closed form, so that its plans and utilities are exact
whatever the smoothing elsewhere: what the coordinator makes of them is as good as proven.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.outside import Kind
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.transport import living
from jaxcpp.transport.side import vertex

TOLERANCE = 1e-10
"""Relative bracket of what a given plan costs."""
SHORT = 1e-9
"""Units of a volume of 1 that may be missing from a plan that the agent lives with."""


class Platform:
    """A batch of `TransportAgent`s as the coordinator of outside agents asks them.

    Args:
        agents: with a leading contract axis, as `terms`.
        terms: what they are scaled by.
        profit: (contracts,) at no cost, which makes utilities of costs [currency].
        name: how messages call it.
    """

    kind: Kind = "dual"

    def __init__(
        self, agents: TransportAgent, terms: Terms, profit: Float[np.ndarray, " c"], name: str
    ) -> None:
        self.name, self.round, self.calls = name, 0, 0
        self.profit = profit
        self._agents = agents
        self._volume, self._money = np.asarray(terms.volume), np.asarray(terms.money)

    @property
    def agents(self) -> TransportAgent:
        """The batch, for what is done on the platform."""
        return self._agents

    @property
    def precision(self) -> float:
        """Rounding error of its arithmetic, relative."""
        return float(jnp.finfo(self._agents.side.cost.dtype).eps)

    @property
    def alive(self) -> Bool[np.ndarray, " c"]:
        """All of them: they do not fail."""
        return np.ones(len(self.profit), bool)

    def offers(self, method: str) -> bool:
        """Prices and plans."""
        return method in ("best_plan", "value")

    def blame(self, contracts: Any, fault: str, reason: str) -> None:
        """Raise: a fault of ours is an error, not a status."""
        if isinstance(contracts, int) or np.any(contracts):
            raise RuntimeError(f"{self.name}: {fault}: {reason}")

    def ask(self, method: str, **question: Float[np.ndarray, "c n"]) -> tuple[np.ndarray, ...]:
        """`best_plan(price)` or `value(plan)`, as an outside agent answers them."""
        self.calls += 1
        if method == "best_plan":
            plan, cost = _best(self._agents, jnp.asarray(question["price"] / self._money[:, None]))
            return np.asarray(plan) * self._volume[:, None], self._utility(np.asarray(cost))
        return (self.living(question["plan"])[0],)

    def living(
        self, plan: Float[np.ndarray, "c n"]
    ) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
        """Utility of a plan [currency], -inf where part of it cannot be lived with, and what stays unserved.

        The second is units that had to be served and with this plan are not.
        """
        cost, short, unmet = _living(self._agents, jnp.asarray(plan / self._volume[:, None]))
        utility = np.where(np.asarray(short) > SHORT, -np.inf, self._utility(np.asarray(cost)))
        return utility, np.asarray(unmet) * self._volume

    def _utility(self, cost: Float[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
        return self.profit - cost * self._money * self._volume


@jax.jit
@jax.vmap
def _best(agent: TransportAgent, price: Float[Array, " n"]) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    return vertex(agent.side, price)


@jax.jit
@jax.vmap
def _living(
    agent: TransportAgent, plan: Float[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    bracket = living.cheapest(agent.side, plan, jnp.asarray(TOLERANCE, plan.dtype))
    lives = agent.account(bracket.flows, plan)
    return bracket.upper, jnp.sum(bracket.flows.short), lives.unmet
