"""Consensus ADMM: the protocol for agents that answer proximally and return nothing else.

Round: the coordinator sends each agent its price `pi_m`, the proposal `z` and the weight `rho`; each
answers `x_m = argmin cost_m(x) + pi_m @ x + rho/2 |x - z|^2`; then

    z <- mean of x_m,    pi_m <- pi_m + rho (x_m - z)

with over-relaxation, residual balancing of `rho`, Anderson acceleration of the map `(z, pi / rho)`,
and a smoothing that is lowered in stages. The prices of the two agents are `p` and `-p`: they sum to
zero at every round. Source: arXiv:2605.16695 section 2.2; Boyd et al. (2011), section 7.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.protocol import Agent
from jaxcpp.consensus import anderson
from jaxcpp.consensus.outcome import Outcome, settle

MAX_ROUNDS = 800
TURN = 10
"""Rounds between two certificates."""
RELAXATION = 1.6
FIRST_EPSILON = 0.1
WARM_EPSILON = 1e-4
"""Smoothing at which a price known from before is taken up."""
SHRINK = 0.25
LEAVE_STAGE = 4e-3
"""Residual (of a volume of 1) at which the smoothing is lowered, and never before it is below it."""
LAST_EPSILON = 0.2
"""Of the gap asked for: a smoothing below this is not what keeps a certificate wide."""
BALANCE = 5.0
"""Ratio of the residuals at which `rho` is changed."""
PATIENCE = 10
"""Rounds between two changes of `rho`."""
ROUNDING = 1e-8
"""Residual below which the ratio of its parts says nothing about `rho`."""
ACCURACY = 0.03
"""Of the residual: the error allowed in an agent's answer."""


class AdmmState(eqx.Module):
    """Where the protocol stands."""

    proposal: Float[Array, " n"]
    price: Float[Array, " n"]
    plan: Float[Array, " n"]  # the retailer's last answer
    rho: Float[Array, ""]
    epsilon: Float[Array, ""]
    residual: Float[Array, ""]
    history: anderson.History
    retailer: Any  # the agents' own memories, opaque here
    supplier: Any
    since: Int[Array, ""]  # rounds since rho or epsilon last changed
    rounds: Int[Array, ""]
    done: Bool[Array, ""]


def begin(
    retailer: Agent[Any],
    supplier: Agent[Any],
    price: Float[Array, " n"] | None = None,
    warm: Bool[Array, ""] | None = None,
) -> AdmmState:
    """Open at the supplier's quote, or a `price`, and the retailer's answer to it.

    Where the price is `warm`, near the best, there is less smoothing from the start.
    """
    price = supplier.quote() if price is None else price
    epsilon = jnp.full((), FIRST_EPSILON, price.dtype)
    if warm is not None:
        epsilon = jnp.where(warm, jnp.asarray(WARM_EPSILON, price.dtype), epsilon)
    plan = retailer.propose(price, epsilon)
    count = jnp.zeros((), jnp.int32)
    # Of the order of (cost) / (units a node): both are 1 / nodes of the contract's scale.
    rho = jnp.maximum(jnp.sum(plan > 0.0), 1).astype(price.dtype)
    return AdmmState(
        proposal=plan, price=price, plan=plan, rho=rho, epsilon=epsilon, residual=jnp.ones_like(epsilon),
        history=anderson.empty(jnp.concatenate([plan, price / rho])),
        retailer=retailer.memory(price), supplier=supplier.memory(-price),
        since=count, rounds=count, done=jnp.zeros((), bool),
    )  # fmt: skip


def advance(
    retailer: Agent[Any], supplier: Agent[Any], state: AdmmState, last_epsilon: Float[Array, ""]
) -> AdmmState:
    """One round: two questions, two answers, new prices and a new proposal."""
    accuracy = jnp.clip(ACCURACY * state.residual, 1e-11, 1e-3)
    price, proposal, rho, epsilon = state.price, state.proposal, state.rho, state.epsilon
    taken, own = retailer.best_response(price, proposal, rho, epsilon, state.retailer, accuracy)
    # One answer after the other: XLA's CPU back end can lock up on two independent factorizations.
    taken, own, price = jax.lax.optimization_barrier((taken, own, price))
    shipped, other = supplier.best_response(-price, proposal, rho, epsilon, state.supplier, accuracy)
    relaxed = [RELAXATION * plan + (1.0 - RELAXATION) * proposal for plan in (taken, shipped)]
    mean = 0.5 * (relaxed[0] + relaxed[1])
    raised = price + rho * (relaxed[0] - mean)
    primal, dual = jnp.sum(jnp.abs(taken - shipped)), 2.0 * jnp.sum(jnp.abs(mean - proposal))
    residual = primal + dual

    lower = (residual < jnp.minimum(LEAVE_STAGE, epsilon)) & (epsilon > last_epsilon)
    due = (state.since >= PATIENCE) & ~lower & (residual > ROUNDING)
    stiffer, softer = due & (primal > BALANCE * dual), due & (dual > BALANCE * primal)
    changed = lower | stiffer | softer
    point, image = jnp.concatenate([proposal, price / rho]), jnp.concatenate([mean, raised / rho])
    following, history = anderson.step(state.history, point, image)
    following = jnp.where(changed, image, following)
    count = proposal.shape[0]
    return AdmmState(
        proposal=following[:count], price=following[count:] * rho, plan=taken,
        rho=jnp.where(stiffer, 2.0 * rho, jnp.where(softer, 0.5 * rho, rho)),
        epsilon=jnp.where(lower, jnp.maximum(SHRINK * epsilon, last_epsilon), epsilon),
        residual=jnp.where(lower, 1.0, residual), history=anderson.restart(history, changed),
        retailer=own, supplier=other, since=jnp.where(changed, 0, state.since + 1),
        rounds=state.rounds + 1, done=state.done,
    )  # fmt: skip


def turn(
    retailer: Agent[Any], supplier: Agent[Any], state: AdmmState, tolerance: Float[Array, ""]
) -> tuple[AdmmState, Outcome]:
    """A few rounds, then a certificate: the agents' exact answers to the price, and to a plan."""
    last = LAST_EPSILON * tolerance

    def one(_: Any, now: AdmmState) -> AdmmState:
        following = advance(retailer, supplier, now, last)
        return jax.tree.map(lambda old, new: jnp.where(now.done, old, new), now, following)

    state = jax.lax.fori_loop(0, TURN, one, state)
    outcome = settle(
        retailer,
        supplier,
        state.price,
        state.epsilon,
        state.rounds,
        state.plan,
        (state.retailer, state.supplier),
    )
    return eqx.tree_at(lambda s: s.done, state, outcome.certified(tolerance)), outcome


def finished(state: AdmmState, max_rounds: Any) -> Any:
    """Whether there is nothing left to do: certified, or out of rounds; for one state or a batch."""
    return state.done | (state.rounds >= max_rounds)
