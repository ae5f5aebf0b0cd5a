"""What both parties of a contract know before they start: nothing that is private to one of them."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Terms(eqx.Module):
    """The public frame of one contract.

    `open` marks the public nodes the vendor delivers to at all, `volume` [units] and `money`
    [currency / unit] are the units the contract is scaled by, `ceiling` [currency / unit] is what a
    unit that must be served and cannot be is priced at, to keep every problem finite, and `most`
    [units] is more than could ever arrive.
    """

    open: Bool[Array, " n"]
    volume: Float[Array, ""]
    money: Float[Array, ""]
    ceiling: Float[Array, ""]
    most: Float[Array, ""]


def finite(cost: Float[Array, ...]) -> Float[Array, ...]:
    """Costs with missing lanes as zero, for sums and maxima."""
    return jnp.where(jnp.isfinite(cost), cost, 0.0)
