"""The proximal best response: what ADMM asks of an agent (arXiv:2605.16695 section 2.2, sign corrected).

    argmin_x  cost(x) + price @ x + rho/2 |x - proposal|^2

In the semi-dual the quadratic is one more concave term that adds `1/rho` to the slope's diagonal, so
Newton from the last answer's price needs a few steps.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.transport import kernels, path
from jaxcpp.transport.side import Side, answer

MAX_ROUNDS = 30
LONGEST = 0.05
"""Of the cost scale: the first step of an answer may move a price by as much."""


class Memory(eqx.Module):
    """An agent's own warm start: the node prices behind its last answer, and rounds spent so far."""

    price: Float[Array, " n"]
    rounds: Int[Array, ""]


def evaluate(
    side: Side, price: Float[Array, " n"], proposal: Float[Array, " n"], rho: Float[Array, ""]
) -> path.Evaluate:
    """The smoothed dual of the proximal problem, in the node price behind the answer.

    Without stock a plan cannot be negative; where there is stock, `x >= 0` must be kept.
    """

    def at(inner: Float[Array, " n"], epsilon: Float[Array, ""]) -> path.Evaluation:
        seen = answer(side, inner, epsilon)
        held = proposal + (inner - price) / rho
        active = (held > 0.0) | (side.stock <= 0.0)
        held = jnp.where(active, held, 0.0)
        zero = jnp.zeros_like(seen.value)
        return path.Evaluation(
            value=seen.value - 0.5 * rho * jnp.vdot(held, held),
            bias=zero,
            bound=seen.value - 0.5 * rho * jnp.vdot(held, held),
            gradient=seen.plan - held,
            slope=seen.slope + jnp.diag(active.astype(rho.dtype) / rho),
            drift=seen.drift,
            spend=zero + 1.0,
        )

    return at


def respond(
    side: Side,
    price: Float[Array, " n"],
    proposal: Float[Array, " n"],
    rho: Float[Array, ""],
    epsilon: Float[Array, ""],
    memory: Memory,
    tolerance: Float[Array, ""],
) -> tuple[Float[Array, " n"], Memory]:
    """The best response [units] and the memory for the next round."""
    if kernels.usable(price):
        begun = memory.price, tolerance, MAX_ROUNDS
        plan, behind, rounds = kernels.respond(side, price, proposal, rho, epsilon, *begun)
        return plan, Memory(behind, memory.rounds + rounds)
    return follow(side, evaluate(side, price, proposal, rho), epsilon, memory, tolerance)


def follow(
    side: Side,
    held: path.Evaluate,
    epsilon: Float[Array, ""],
    memory: Memory,
    tolerance: Float[Array, ""],
) -> tuple[Float[Array, " n"], Memory]:
    """A side's plan where its proximal dual `held` is greatest, and the memory for the next round."""
    begun = path.start(memory.price, epsilon)
    # The quadratic is a guard of its own: however small the smoothing, a step may go this far.
    reach = jnp.maximum(LONGEST / (path.CLIP * epsilon), 1.0)
    begun = eqx.tree_at(lambda s: (s.held, s.reach), begun, (jnp.ones_like(begun.held), reach * begun.reach))
    ended = path.follow(held, begun, tolerance, MAX_ROUNDS)
    plan = jnp.maximum(answer(side, ended.price, epsilon).plan, 0.0)
    return plan, Memory(ended.price, memory.rounds + ended.rounds)
