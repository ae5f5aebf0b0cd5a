"""The scaling step of a marginal held near a proposal by a quadratic, in closed form."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def log_omega(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """`log w` where `w + log w = x`: the logarithm of Wright's omega, by Newton from either asymptote."""
    y = jnp.where(x > 1.0, jnp.log(jnp.maximum(x, 1.0)), x - jnp.log1p(jnp.exp(jnp.minimum(x, 1.0))))
    for _ in range(4):
        w = jnp.exp(y)
        y = y - (w + y - x) / (w + 1.0)
    return y
