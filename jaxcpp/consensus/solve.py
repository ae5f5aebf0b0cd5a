"""Run a consensus method on one contract until its certificate holds."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.protocol import Agent
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus import admm, newton, played, tolled
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.transport import kernels

METHODS: dict[str, ModuleType] = {"newton": newton, "admm": admm, "tolled": tolled}
"""Each offers `begin`, `turn`, `finished` and `MAX_ROUNDS`; `tolled` is `newton` for a tolled retailer."""


def turned(
    method: str, retailer: Agent[Any], supplier: Agent[Any], state: Any, tolerance: Float[Array, ""]
) -> tuple[Any, Outcome]:
    """A turn of a method; where the platform runs both agents and has kernels, rounds of ADMM are theirs."""
    steps = METHODS[method]
    if steps is not admm or not kernels.playable(state.price):
        return steps.turn(retailer, supplier, state, tolerance)
    # Types, not kinds of them: an agent made from ours may answer in its own way.
    if type(retailer) is not TransportAgent or type(supplier) is not TransportAgent:
        return admm.turn(retailer, supplier, state, tolerance)
    return admm.turn(retailer, supplier, state, tolerance, partial(played.play, retailer, supplier))


def solve(
    retailer: Agent[Any],
    supplier: Agent[Any],
    tolerance: Float[Array, ""],
    method: Literal["newton", "admm", "tolled"] = "newton",
    max_rounds: int | None = None,
) -> Outcome:
    """Consensus of two agents, to a certified gap of `tolerance` times chain cost.

    Always returns the last plan with its certificate; ask `Outcome.certified` whether it holds.
    """
    steps = METHODS[method]
    limit = steps.MAX_ROUNDS if max_rounds is None else max_rounds

    def going(carry: tuple[Any, Outcome]) -> Any:
        return ~steps.finished(carry[0], limit)

    def body(carry: tuple[Any, Outcome]) -> tuple[Any, Outcome]:
        state, outcome = turned(method, retailer, supplier, carry[0], tolerance)
        return state, outcome

    begun = steps.begin(retailer, supplier)
    shapes = jax.eval_shape(lambda s: turned(method, retailer, supplier, s, tolerance)[1], begun)
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return jax.lax.while_loop(going, body, (begun, empty))[1]
