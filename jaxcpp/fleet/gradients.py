"""The contracts of a bucket as one function of its numbers and fees, to be differentiated.

`plan_fleet` runs batches from the host, where lanes come and go. Here a whole batch is one function of JAX:
`jit`, `grad`, `jvp` and `vmap` go through it, for as many lanes as are given.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.pack import Lanes
from jaxcpp.fleet.programs import as_they_are, smoothed
from jaxcpp.mechanism.contract import Contract


def contracts_of(
    lanes: Lanes, fees: Charges, *, smoothing: ArrayLike | None = None, tolerance: float = 1e-6
) -> Contract:
    """Every lane's contract, first axis the lane; its plans are flat vectors of public nodes.

    Args:
        lanes: a bucket's lanes, or some of them.
        fees: what each is charged.
        smoothing: above 0 [currency / unit], one number for all; by default none (see `coordinate`).
        tolerance: certified efficiency gap without smoothing, as a fraction of chain cost.
    """
    if smoothing is None:
        one = partial(as_they_are, tolerance=jnp.asarray(tolerance))
    else:
        one = partial(smoothed, smoothing=jnp.asarray(smoothing, float))
    return jax.vmap(one)(lanes, fees)
