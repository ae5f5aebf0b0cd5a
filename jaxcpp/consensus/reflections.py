"""What a coordinator learns of two agents from proximal answers, and where it expects them to agree.

With a weight `rho`, a plan `x` and a price `p` are two sums `x + p / rho` and `x - p / rho`. A proximal agent
that is asked at one of them answers with the other: its answer reflected, which never lies further from
another than the questions do, and bends by a symmetric matrix. So each agent's matrix is learned from its
answers, by the least symmetric change that explains the last one, and both agents' lines are crossed. With
nothing learned yet that crossing is Peaceman and Rachford's step.

Source: Lions and Mercier, Splitting Algorithms for the Sum of Two Nonlinear Operators (1979); Powell, A New
Algorithm for Unconstrained Optimization (1970), for the update.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

TRUSTED = 0.97
"""Of a learned matrix: no less and steps hardly grow where answers hardly bend, no more and they never end."""
NOTHING_NEW = 1e-13
"""Distance of two questions below which their answers say nothing."""


class Learned(eqx.Module):
    """How an agent's reflected answers bend, and the last of them."""

    slope: Float[Array, "n n"]
    asked: Float[Array, " n"]
    heard: Float[Array, " n"]
    known: Bool[Array, ""]  # whether there is a last answer


def nothing(like: Float[Array, " n"]) -> Learned:
    """Before the first answer."""
    zero = jnp.zeros_like(like)
    return Learned(zero[:, None] * zero[None, :], zero, zero, jnp.zeros((), bool))


def learn(learned: Learned, asked: Float[Array, " n"], heard: Float[Array, " n"]) -> Learned:
    """The same with one more answer: Powell's symmetric update of the slope."""
    apart = asked - learned.asked
    length = jnp.linalg.norm(apart)
    sound = learned.known & (length > NOTHING_NEW) & jnp.all(jnp.isfinite(heard))
    length = jnp.where(sound, length, 1.0)
    way = jnp.where(sound, apart / length, 0.0)
    missed = jnp.where(sound, heard - learned.heard, 0.0) / length - learned.slope @ way
    half = missed - 0.5 * jnp.vdot(missed, way) * way
    change = half[:, None] * way[None, :]
    return Learned(learned.slope + change + change.T, asked, heard, jnp.ones_like(learned.known))


def set_aside(learned: Learned, where: Bool[Array, ""]) -> Learned:
    """Keep the slope and not the last answer, because what is asked has changed."""
    return eqx.tree_at(lambda one: one.known, learned, learned.known & ~where)


def crossing(first: Learned, second: Learned) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """What to ask the first and the second agent next: each what the other is expected to answer."""
    one, other = TRUSTED * first.slope, TRUSTED * second.slope
    over, under = first.heard - second.asked, second.heard - first.asked
    system = jnp.eye(over.shape[0], dtype=over.dtype) - other @ one
    step = jnp.linalg.solve(system, under + other @ over)
    ask_first, ask_second = first.asked + step, first.heard + one @ step
    sound = jnp.all(jnp.isfinite(ask_first)) & jnp.all(jnp.isfinite(ask_second))
    return jnp.where(sound, ask_first, second.heard), jnp.where(sound, ask_second, first.heard)


def between(first: Learned, second: Learned) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """What to ask next where lines mislead: half way to the other's answer, which gets nearer to agreement
    whatever the agents are, if slowly (Krasnosel'skii 1955)."""
    return 0.5 * (first.asked + second.heard), 0.5 * (second.asked + first.heard)
