"""What a coordinator may ask of an agent, and all it may ever see.

After Maggiar, Dicker and Mahoney, arXiv:2408.16462: an agent answers *proximally* (its best plan at
a price, held near a proposal), to a *price* alone, or with its *value* at a plan. An agent whose
model runs on the platform also returns its local slope, which is what the price Newton method
needs. Costs, lanes, capacity, demand, stock and flows are in no answer.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float


class Response(eqx.Module):
    """A smoothed answer to a price: see `jaxcpp.transport.side.Answer` for the terms."""

    value: Float[Array, ""]  # currency
    bias: Float[Array, ""]  # currency
    bound: Float[Array, ""]  # currency
    plan: Float[Array, " n"]  # units
    slope: Any  # a matrix (n, n), or a `Slope` of its own structure
    drift: Float[Array, " n"]
    spend: Float[Array, ""]  # currency: transport, holding, backlog and lost-sale cost at the plan


class Confirmation(eqx.Module):
    """What an agent says of one plan: what living with it costs, and what it cannot do of it.

    `cost` is reached by flows that keep every constraint, so it is an upper bound on the agent's
    cheapest cost; `spend` is the part of it that is money spent, lost and earned margins left out.
    """

    cost: Float[Array, ""]  # currency, minus the agent's utility up to a constant of its own
    spend: Float[Array, ""]  # currency
    short: Float[Array, " n"]  # units of the plan the agent cannot ship or take
    unmet: Float[Array, ""]  # units the agent had to serve and, with this plan, cannot


State = TypeVar("State")


@runtime_checkable
class ProximalAgent(Protocol[State]):
    """Answers `argmax_x u(x) - price @ x - rho/2 |x - proposal|^2`.

    `epsilon` is the smoothing and `accuracy` [units] the error the coordinator can live with; an
    exact agent ignores both. `memory` is the agent's own warm start, opaque to the coordinator.
    """

    def memory(self, price: Float[Array, " n"]) -> State:
        """A start for `best_response`, near the answer to `price` [currency / unit]."""
        ...

    def best_response(
        self,
        price: Float[Array, " n"],
        proposal: Float[Array, " n"],
        rho: Float[Array, ""],
        epsilon: Float[Array, ""],
        memory: State,
        accuracy: Float[Array, ""],
    ) -> tuple[Float[Array, " n"], State]:
        """The best plan [units] at a price, held near a proposal, and the memory to come back with."""
        ...


@runtime_checkable
class PriceAgent(Protocol):
    """Answers a price alone: `max_x u(x) - price @ x`, exactly, as a bound on its cost."""

    def bound(self, price: Float[Array, " n"]) -> Float[Array, ""]:
        """Least cost plus `price @ x` over all plans `x` [currency]."""
        ...


@runtime_checkable
class ValueAgent(Protocol):
    """Answers a plan: what it costs, and the marginal value of one more unit at each node."""

    def value_and_gradient(self, plan: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        """Cost of living with a plan [currency], and the value of one more unit at each node."""
        ...


@runtime_checkable
class Respondent(Protocol):
    """Answers a price with its smoothed best plan and its slope: all that a search of the price asks for."""

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """The smoothed best plan at a price, with value, slope and bound."""
        ...


@runtime_checkable
class Confirmer(PriceAgent, Protocol):
    """Says what a plan costs, and what no plan costs less than: all that a certificate asks of a supplier."""

    def confirm(
        self,
        plan: Float[Array, " n"],
        price: Float[Array, " n"],
        epsilon: Float[Array, ""],
        memory: Any = None,
    ) -> Confirmation:
        """What living with exactly `plan` costs, by flows near the answer to `price` or to `memory`."""
        ...


@runtime_checkable
class Responder(Respondent, Confirmer, Protocol):
    """What price Newton asks of an agent, whether it speaks for one contract or for a bundle of them."""

    def propose(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Float[Array, " n"]:
        """A plan near the answer to a price that the agent can live with exactly [units]."""
        ...


@runtime_checkable
class Agent(ProximalAgent[State], PriceAgent, ValueAgent, Protocol[State]):
    """An agent on the platform: answers in all three ways, with its slope, and confirms plans."""

    def quote(self) -> Float[Array, " n"]:
        """The price at which the agent would part with its first unit at each node [currency / unit]."""
        ...

    def respond(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Response:
        """The smoothed best plan at a price, with value, slope and bound."""
        ...

    def propose(self, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Float[Array, " n"]:
        """A plan near the answer to a price that the agent can live with exactly [units]."""
        ...

    def confirm(
        self,
        plan: Float[Array, " n"],
        price: Float[Array, " n"],
        epsilon: Float[Array, ""],
        memory: State | None = None,
    ) -> Confirmation:
        """What living with exactly `plan` costs, by flows near the answer to `price` or to `memory`."""
        ...
