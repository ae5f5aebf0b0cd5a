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

from jaxcpp.agents.protocol import Respondent, Responder, Response
from jaxcpp.consensus import newton
from jaxcpp.consensus.newton import MAX_ROUNDS, TURN, finished, judged
from jaxcpp.consensus.outcome import Outcome, settle
from jaxcpp.transport import path

__all__ = ["MAX_ROUNDS", "TURN", "begin", "finished", "together", "turn"]


@runtime_checkable
class Parted(Protocol):
    """Two parts with a price of their own between them.

    Public nodes come in `blocks` of equal size; both prices of a block stand side by side in the vector that
    the search moves, so that a slope of blocks stays one.
    """

    @property
    def blocks(self) -> int:
        """Blocks of public nodes."""
        ...

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
        inner, price = _apart(prices, retailer.blocks)
        taken, toll = retailer.parts(inner, price, epsilon)
        shipped = supplier.respond(-price, epsilon)
        return path.Evaluation(
            value=taken.value + toll.value + shipped.value,
            bias=taken.bias + toll.bias + shipped.bias,
            bound=taken.bound + toll.bound + shipped.bound,
            gradient=together(taken.plan - toll.plan, toll.plan - shipped.plan, retailer.blocks),
            slope=_coupled(taken.slope, toll.slope, shipped.slope),
            drift=together(taken.drift - toll.drift, toll.drift - shipped.drift, retailer.blocks),
            spend=taken.spend + shipped.spend,
        )

    return at


def begin(
    retailer: Any,
    supplier: Any,
    price: Float[Array, " n"] | Float[Array, " two_n"] | None = None,
    warm: Bool[Array, ""] | None = None,
) -> path.PathState:
    """Open at the supplier's quote, at a price for both sides, or at each side's, the retailer's first."""
    quote = supplier.quote()
    opening = quote if price is None else price
    both = together(opening, opening, retailer.blocks) if opening.shape == quote.shape else opening
    return newton.begin(retailer, supplier, both, warm)


def turn(
    retailer: Any, supplier: Responder, state: path.PathState, tolerance: Float[Array, ""]
) -> tuple[path.PathState, Outcome]:
    """A few rounds, then a certificate; one that fails goes on at a tighter target (see `newton`)."""
    joint = evaluate(retailer, supplier)
    state = jax.lax.fori_loop(0, TURN, lambda _, now: path.advance(joint, now, tolerance), state)
    inner, price = _apart(path.reached(state), retailer.blocks)
    outcome = settle(retailer.at(inner), supplier, price, state.epsilon, state.rounds)
    return judged(state, outcome, tolerance), outcome


def between(retailer: Any, state: path.PathState) -> Float[Array, " n"]:
    """The price between the retailer and its toll where a path stands."""
    return _apart(path.reached(state), retailer.blocks)[0]


def together(inner: Float[Array, " n"], outer: Float[Array, " n"], blocks: int) -> Float[Array, " two_n"]:
    """Two vectors of public nodes as one, block by block."""
    return jnp.concatenate([part.reshape(blocks, -1) for part in (inner, outer)], axis=1).reshape(-1)


def _apart(both: Float[Array, " two_n"], blocks: int) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """The two vectors again."""
    inner, outer = jnp.split(both.reshape(blocks, -1), 2, axis=1)
    return inner.reshape(-1), outer.reshape(-1)


def _coupled(taken: Any, toll: Any, shipped: Any) -> Any:
    """The slope in both prices: the toll pulls at their difference."""
    if isinstance(taken, path.Slope):
        return taken.coupled(toll, shipped)
    return jnp.block([[taken + toll, -toll], [-toll, toll + shipped]])
