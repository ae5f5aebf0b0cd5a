"""Consensus ADMM: the protocol for agents that answer proximally and return nothing else.

Round: the coordinator sends each agent its price `pi_m`, the proposal `z` and the weight `rho`; each
answers `x_m = argmin cost_m(x) + pi_m @ x + rho/2 |x - z|^2`; then ADMM's step

    z <- mean of x_m,    pi_m <- pi_m + rho (x_m - z)

is where what the coordinator has learned of both agents' answers begins (`consensus.reflections`): it asks
at the plan and price where it expects them to agree. The smoothing is lowered in stages, and `rho` with its
root. The longer a stage lasts, the more is dared, up to a point and then from the beginning: a part of a
network that hardly trades with the rest has a long way to go, and nothing but small imbalances says so.
The prices of the two agents are `p` and `-p`: they sum to zero at every round.

Source: arXiv:2605.16695 section 2.2; Boyd et al. (2011), section 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.protocol import Agent
from jaxcpp.consensus import reflections
from jaxcpp.consensus.outcome import Outcome, settle
from jaxcpp.consensus.reflections import Learned

MAX_ROUNDS = 800
TURN = 10
"""Rounds between two certificates."""
FIRST_EPSILON = 0.1
FIRST_RHO = 0.2
"""Of (cost) / (units a node), at the first smoothing."""
WARM_EPSILON = 1e-4
"""Smoothing at which a price known from before is taken up."""
SHRINK = 0.1
LEAVE_STAGE = 0.03
"""Residual (of a volume of 1) at which the smoothing is lowered,"""
SETTLED_STAGE = 1.0
"""and never before it is below the smoothing times this."""
ASTRAY = 0.3
"""Residual at which the smoothing is raised again,"""
ASTRAY_AFTER = 20
"""after so many rounds of a stage: where answers are sharp and far from each other, lines say nothing."""
LAST_EPSILON = 0.2
"""Of the gap asked for: a smoothing below this is not what keeps a certificate wide."""
ACCURACY = 0.03
"""Of the residual: the error allowed in an agent's answer."""
DOUBT = 0.03
"""Share of what was learned that is not relied on: without it steps never end where answers do not bend."""
BOLDER = 10
"""Rounds of a stage after which it dares more,"""
DARES = 6
"""and begins again after as many times:"""
WEIGHTIER = 2.0
"""times its weight,"""
SURER = 0.6
"""times its doubt."""
LONGEST = 0.5
"""Of the cost scale: the most that a price moves in a round."""


class AdmmState(eqx.Module):
    """Where the protocol stands."""

    proposal: Float[Array, " n"]
    price: Float[Array, " n"]
    plan: Float[Array, " n"]  # the retailer's last answer
    rho: Float[Array, ""]  # of this smoothing, before it dares more
    epsilon: Float[Array, ""]
    residual: Float[Array, ""]
    stage: Int[Array, ""]  # rounds of this smoothing
    taking: Learned  # of the retailer, asked at plan - price / rho
    shipping: Learned  # of the supplier, asked at plan + price / rho
    left: Float[Array, " d"]  # proposal and price where the last stage was left
    left_epsilon: Float[Array, ""]  # its smoothing; 0 in the first
    retailer: Any  # the agents' own memories, opaque here
    supplier: Any
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
    # Of the order of (cost) / (units a node): both are 1 / nodes of the contract's scale.
    rho = FIRST_RHO * jnp.maximum(jnp.sum(plan > 0.0), 1).astype(price.dtype)
    learned = reflections.nothing(price)
    return AdmmState(
        proposal=plan, price=price, plan=plan, rho=_softened(rho, epsilon / FIRST_EPSILON), epsilon=epsilon,
        residual=jnp.ones_like(epsilon), stage=jnp.zeros((), jnp.int32), taking=learned, shipping=learned,
        left=jnp.concatenate([plan, price]), left_epsilon=jnp.zeros_like(epsilon),
        retailer=retailer.memory(price), supplier=supplier.memory(-price),
        rounds=jnp.zeros((), jnp.int32), done=jnp.zeros((), bool),
    )  # fmt: skip


def advance(
    retailer: Agent[Any], supplier: Agent[Any], state: AdmmState, last_epsilon: Float[Array, ""]
) -> AdmmState:
    """One round: two questions, two answers, and what to ask next."""
    accuracy = jnp.clip(ACCURACY * state.residual, 1e-11, 1e-3)
    price, proposal, epsilon = state.price, state.proposal, state.epsilon
    dared = (state.stage // BOLDER % DARES).astype(price.dtype)
    rho, trusted = state.rho * WEIGHTIER**dared, 1.0 - DOUBT * SURER**dared
    taken, own = retailer.best_response(price, proposal, rho, epsilon, state.retailer, accuracy)
    # One answer after the other: XLA's CPU back end can lock up on two independent factorizations.
    taken, own, price = jax.lax.optimization_barrier((taken, own, price))
    shipped, other = supplier.best_response(-price, proposal, rho, epsilon, state.supplier, accuracy)
    low, high = proposal - price / rho, proposal + price / rho
    taking = reflections.learn(state.taking, low, 2.0 * taken - low)
    shipping = reflections.learn(state.shipping, high, 2.0 * shipped - high)
    # How far apart plans are, and the prices to which they are the best answers alone.
    primal = jnp.sum(jnp.abs(taken - shipped))
    dual = jnp.sum(jnp.abs(taken + shipped - 2.0 * proposal))
    residual = primal + dual

    lower = (residual < jnp.minimum(LEAVE_STAGE, SETTLED_STAGE * epsilon)) & (epsilon > last_epsilon)
    low, high = reflections.crossing(taking, shipping, trusted)
    moves = 0.5 * jnp.stack([low + high, rho * (high - low)]) - jnp.stack([proposal, price])
    share = jnp.minimum(1.0, LONGEST / jnp.maximum(jnp.max(jnp.abs(moves[1])), LONGEST))
    following = jnp.concatenate([proposal, price]) + share * moves.reshape(-1)
    higher = (state.stage >= ASTRAY_AFTER) & (residual > ASTRAY) & (epsilon < FIRST_EPSILON)
    changed = lower | higher
    stage = jnp.where(changed, 0, state.stage + 1)
    # Answers under another weight are no answers to what is asked now.
    anew = stage % BOLDER == 0
    raised = jnp.where(higher, jnp.minimum(epsilon / SHRINK, FIRST_EPSILON), epsilon)
    then = jnp.where(lower, jnp.maximum(SHRINK * epsilon, last_epsilon), raised)
    ahead = jnp.where(lower, _ahead(state, following, then), following)
    return AdmmState(
        proposal=ahead[: price.shape[0]], price=ahead[price.shape[0] :], plan=taken,
        rho=_softened(state.rho, then / epsilon), epsilon=then,
        residual=jnp.where(changed, 1.0, residual), stage=stage,
        taking=reflections.set_aside(taking, anew), shipping=reflections.set_aside(shipping, anew),
        left=jnp.where(changed, following, state.left),
        left_epsilon=jnp.where(lower, epsilon, jnp.where(higher, 0.0, state.left_epsilon)),
        retailer=own, supplier=other, rounds=state.rounds + 1, done=state.done,
    )  # fmt: skip


def _ahead(state: AdmmState, point: Float[Array, " d"], epsilon: Float[Array, ""]) -> Float[Array, " d"]:
    """Where a stage begins, on the straight line in `epsilon` through where the last two were left."""
    known = state.left_epsilon > 0.0
    share = (epsilon - state.epsilon) / jnp.where(known, state.epsilon - state.left_epsilon, 1.0)
    return point + jnp.where(known, share * (point - state.left), 0.0)


def _softened(rho: Float[Array, ""], share: Float[Array, ""]) -> Float[Array, ""]:
    """`rho` where the smoothing is `share` of what it was: prices are looked for on a smaller scale."""
    return rho * jnp.sqrt(share)


Play = Callable[[AdmmState, Float[Array, ""], Int[Array, ""]], AdmmState]
"""From a state, the last smoothing and a number of rounds, to the state so many rounds later."""


def turn(
    retailer: Agent[Any],
    supplier: Agent[Any],
    state: AdmmState,
    tolerance: Float[Array, ""],
    play: Play | None = None,
) -> tuple[AdmmState, Outcome]:
    """A few rounds, then a certificate: the agents' exact answers to the price, and to a plan.

    The rounds are those of `advance`, or of `play`, which is faster at the same.
    """
    last = LAST_EPSILON * tolerance
    if play is None:
        begun = state
        state = jax.lax.fori_loop(0, TURN, lambda _, now: advance(retailer, supplier, now, last), state)
        state = jax.tree.map(lambda old, new: jnp.where(begun.done, old, new), begun, state)
    else:
        state = play(state, last, jnp.where(state.done, 0, TURN))
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
