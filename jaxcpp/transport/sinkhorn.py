"""Sinkhorn sweeps: exact ascent in the private prices, then in the public ones, in turn.

Cheaper than a Newton step (no factor) and never astray, but slow once the smoothing is small: they
open a path, Newton ends it. Source: Peyré and Cuturi (2019), section 4.2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.transport.side import Side, split


def sweep(
    side: Side, plan: Float[Array, " n"], price: Float[Array, " n"], epsilon: Float[Array, ""]
) -> Float[Array, " n"]:
    """One sweep towards shipping `plan` [units]: the new price [currency / unit].

    A node with stock has no closed form for what it leaves on the shelf; its stock is taken as it
    answers now, which keeps the fixed point. A node whose plan is zero keeps its price.
    """
    part = split(side, price, epsilon)
    shipped = jnp.sum(part.lane * side.mass[None, :], axis=1)
    wanted = plan + side.stock * jax.nn.sigmoid(price / epsilon)
    moves = (wanted > 0.0) & (shipped > 0.0)
    ratio = jnp.where(moves, shipped, 1.0) / jnp.where(moves, wanted, 1.0)
    return price + epsilon * jnp.log(ratio)


def sweeps(
    side: Side, plan: Float[Array, " n"], price: Float[Array, " n"], epsilon: Float[Array, ""], count: int
) -> Float[Array, " n"]:
    """`count` sweeps at one `epsilon`."""
    return jax.lax.fori_loop(0, count, lambda _, now: sweep(side, plan, now, epsilon), price)
