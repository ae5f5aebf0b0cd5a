"""What a coordinator learns of two agents from proximal answers, and where it expects them to agree.

With a weight `rho`, a plan `x` and a price `p` are two sums `x + p / rho` and `x - p / rho`. A proximal agent
that is asked at one of them answers with the other: its answer reflected, which never lies further from
another than the questions do, and bends by a symmetric matrix. So each agent's matrix is learned from its
answers, by the least symmetric change that explains the last one, kept as short as reflections are, and both
agents' lines are crossed. With nothing learned yet that crossing is Peaceman and Rachford's step.

Source: Lions and Mercier, Splitting Algorithms for the Sum of Two Nonlinear Operators (1979); Powell, A New
Algorithm for Unconstrained Optimization (1970), for the update.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

NOTHING_NEW = 1e-13
"""Distance of two questions below which their answers say nothing."""
SQUARINGS = 8
"""On the way to the longest bend: enough for one that stands out, and others have their turn next round."""


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
    """The same with one more answer: Powell's symmetric update of the slope, kept short."""
    apart = asked - learned.asked
    length = _length(apart)
    sound = learned.known & (length > NOTHING_NEW) & jnp.all(jnp.isfinite(heard))
    length = jnp.where(sound, length, 1.0)
    way = jnp.where(sound, apart / length, 0.0)
    missed = jnp.where(sound, heard - learned.heard, 0.0) / length - learned.slope @ way
    half = missed - 0.5 * jnp.vdot(missed, way) * way
    change = half[:, None] * way[None, :]
    slope = _shortened(learned.slope + change + change.T, way)
    return Learned(slope, asked, heard, jnp.ones_like(learned.known))


def _shortened(slope: Float[Array, "n n"], way: Float[Array, " n"]) -> Float[Array, "n n"]:
    """A slope whose longest bend, looked for from a `way` that has just changed, is cut to length one.

    No two reflected answers lie further apart than their questions: a longer bend is not the agent's, and
    where two agents' lines were crossed along it, prices would go the wrong way.
    """

    def squared(_: Int[Array, ""], now: Float[Array, " n"]) -> Float[Array, " n"]:
        return _unit(slope @ (slope @ now))

    way = jax.lax.fori_loop(0, SQUARINGS, squared, way)
    bent = slope @ way
    # Squares do not tell a bend from its opposite: of both parts the longer.
    sign = jnp.where(jnp.vdot(way, bent) < 0.0, -1.0, 1.0)
    way = _unit(bent + sign * _length(bent) * way)
    bend = jnp.vdot(way, slope @ way)
    return slope - (bend - jnp.clip(bend, -1.0, 1.0)) * way[:, None] * way[None, :]


def _length(vector: Float[Array, " n"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.vdot(vector, vector))


def _unit(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    """Of length one, or nothing where there is no direction."""
    length = _length(vector)
    return jnp.where(length > 0.0, vector / jnp.where(length > 0.0, length, 1.0), 0.0)


def set_aside(learned: Learned, where: Bool[Array, ""]) -> Learned:
    """Keep the slope and not the last answer, because what is asked has changed."""
    return eqx.tree_at(lambda one: one.known, learned, learned.known & ~where)


def crossing(
    first: Learned, second: Learned, trusted: Float[Array, ""]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """What to ask the first and the second agent next: each what the other is expected to answer.

    Only a `trusted` share of what was learned is relied on: below 1, for where both lines are one, steps
    have no end.
    """
    one, other = trusted * first.slope, trusted * second.slope
    over, under = first.heard - second.asked, second.heard - first.asked
    system = jnp.eye(over.shape[0], dtype=over.dtype) - other @ one
    step = jnp.linalg.solve(system, under + other @ over)
    ask_first, ask_second = first.asked + step, first.heard + one @ step
    sound = jnp.all(jnp.isfinite(ask_first)) & jnp.all(jnp.isfinite(ask_second))
    return jnp.where(sound, ask_first, second.heard), jnp.where(sound, ask_second, first.heard)
