"""Price Newton where the retailer's side carries a toll: two prices, three answers.

The retailer answers to one price, the supplier to another, and the toll to their difference:
`pi_retailer = p`, `pi_supplier = -s`, `pi_toll = s - p` sum to zero at every round. The joint dual's
gradient holds two imbalances, of the retailer's plan and the toll's and of the toll's and the supplier's.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.protocol import Agent, Respondent, Response
from jaxcpp.consensus import newton
from jaxcpp.consensus.newton import MAX_ROUNDS, TURN, finished, judged
from jaxcpp.consensus.outcome import Outcome, settle
from jaxcpp.transport import path

__all__ = ["MAX_ROUNDS", "TURN", "begin", "finished", "turn"]


@runtime_checkable
class Parted(Protocol):
    """Two parts with a price of their own between them."""

    def parts(
        self, inner: Float[Array, " n"], price: Float[Array, " n"], epsilon: Float[Array, ""]
    ) -> tuple[Response, Response]:
        """The agent's answer to `inner` and the toll's to the rest of `price`."""
        ...


@runtime_checkable
class Tolled(Parted, Protocol):
    """Likewise, and one agent once the price between its parts is given."""

    def at(self, inner: Float[Array, " n"]) -> Any:
        """The same as one agent, with the price between its parts given."""
        ...


def evaluate(retailer: Parted, supplier: Respondent) -> path.Evaluate:
    """The joint smoothed dual in both prices, the retailer's first."""

    def at(prices: Float[Array, " two_n"], epsilon: Float[Array, ""]) -> path.Evaluation:
        inner, price = jnp.split(prices, 2)
        taken, toll = retailer.parts(inner, price, epsilon)
        shipped = supplier.respond(-price, epsilon)
        return path.Evaluation(
            value=taken.value + toll.value + shipped.value,
            bias=taken.bias + toll.bias + shipped.bias,
            bound=taken.bound + toll.bound + shipped.bound,
            gradient=jnp.concatenate([taken.plan - toll.plan, toll.plan - shipped.plan]),
            slope=jnp.block(
                [[taken.slope + toll.slope, -toll.slope], [-toll.slope, toll.slope + shipped.slope]]
            ),
            drift=jnp.concatenate([taken.drift - toll.drift, toll.drift - shipped.drift]),
            spend=taken.spend + shipped.spend,
        )

    return at


def begin(
    retailer: Any,
    supplier: Agent[Any],
    price: Float[Array, " n"] | Float[Array, " two_n"] | None = None,
    warm: Bool[Array, ""] | None = None,
) -> path.PathState:
    """Open at the supplier's quote, at a price for both sides, or at each side's, the retailer's first."""
    quote = supplier.quote()
    opening = quote if price is None else price
    both = jnp.tile(opening, 2) if opening.shape == quote.shape else opening
    return newton.begin(retailer, supplier, both, warm)


def turn(
    retailer: Any, supplier: Agent[Any], state: path.PathState, tolerance: Float[Array, ""]
) -> tuple[path.PathState, Outcome]:
    """A few rounds, then a certificate; one that fails goes on at a tighter target (see `newton`)."""
    joint = evaluate(retailer, supplier)
    state = jax.lax.fori_loop(0, TURN, lambda _, now: path.advance(joint, now, tolerance), state)
    inner, price = jnp.split(path.reached(state), 2)
    outcome = settle(retailer.at(inner), supplier, price, state.epsilon, state.rounds)
    return judged(state, outcome, tolerance), outcome
