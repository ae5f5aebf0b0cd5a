"""Price Newton: the coordinator sums the agents' responses and slopes and corrects the price.

For agents that return their local slope. At a price `p` the retailer pays for what it takes and the
supplier is paid for what it ships, `pi_retailer = p = -pi_supplier`: the prices sum to zero at
every round, and the joint dual's gradient is the imbalance of the two plans.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.protocol import Respondent, Responder
from jaxcpp.consensus.outcome import Outcome, settle
from jaxcpp.transport import path

MAX_ROUNDS = 200
WARM_EPSILON = 0.01
"""Smoothing at which a price known from before is taken up: what it gets wrong is found from here."""
TURN = 8
"""Rounds between two certificates."""


def evaluate(retailer: Respondent, supplier: Respondent) -> path.Evaluate:
    """The joint smoothed dual, from two answers."""

    def at(price: Float[Array, " n"], epsilon: Float[Array, ""]) -> path.Evaluation:
        taken, shipped = retailer.respond(price, epsilon), supplier.respond(-price, epsilon)
        return path.Evaluation(
            value=taken.value + shipped.value,
            bias=taken.bias + shipped.bias,
            bound=taken.bound + shipped.bound,
            gradient=taken.plan - shipped.plan,
            slope=taken.slope + shipped.slope,
            drift=taken.drift - shipped.drift,
            spend=taken.spend + shipped.spend,
        )

    return at


def begin(
    retailer: Any,
    supplier: Any,
    price: Float[Array, " n"] | None = None,
    warm: Bool[Array, ""] | None = None,
) -> path.PathState:
    """Open at the supplier's quote, or at a `price`: where `warm`, near the best, with less smoothing."""
    del retailer
    price = supplier.quote() if price is None else price
    if warm is None:
        return path.start(price)
    return path.start(price, jnp.where(warm, WARM_EPSILON, path.FIRST_EPSILON).astype(price.dtype))


def turn(
    retailer: Responder, supplier: Responder, state: path.PathState, tolerance: Float[Array, ""]
) -> tuple[path.PathState, Outcome]:
    """A few rounds, then a certificate, which ends the path; one that fails goes on at a tighter target."""
    joint = evaluate(retailer, supplier)
    state = jax.lax.fori_loop(0, TURN, lambda _, now: path.advance(joint, now, tolerance), state)
    return certify(retailer, supplier, state, tolerance)


def certify(
    retailer: Responder, supplier: Responder, state: path.PathState, tolerance: Float[Array, ""]
) -> tuple[path.PathState, Outcome]:
    """What the price is worth; where a path has ended and its certificate fails, the path goes on."""
    outcome = settle(retailer, supplier, path.reached(state), state.epsilon, state.rounds)
    return judged(state, outcome, tolerance), outcome


def judged(state: path.PathState, outcome: Outcome, tolerance: Float[Array, ""]) -> path.PathState:
    """A path that its certificate ends, or that goes on at a tighter target where it has failed."""
    return ended(state, outcome, outcome.certified(tolerance), tolerance * outcome.spend)


def ended(
    state: path.PathState, outcome: Outcome, certified: Bool[Array, ""], least: Float[Array, ""]
) -> path.PathState:
    """As `judged`, where `certified` or not to a gap of `least`."""
    # Near the best and still short of units: there are none to be had, and no target would find them.
    hopeless = (outcome.gap <= least) & (outcome.missing > least)
    failed = state.done & ~certified & ~hopeless & (state.strict > path.TIGHTEST)
    state = path.choose(failed, path.resume(state), state)
    return eqx.tree_at(lambda s: s.done, state, state.done | certified)


def finished(state: path.PathState, max_rounds: Any) -> Any:
    """Whether nothing is left to do: certified, given up, or out of rounds; one state or a batch."""
    return state.done | (state.rounds >= max_rounds)
