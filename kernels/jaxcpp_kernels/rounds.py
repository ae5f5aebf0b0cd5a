"""Play rounds of the protocol for black boxes natively: the kernel's arguments and results, as JAX arrays.

The twin is `jaxcpp.consensus.admm.advance`. Batches, threads and their limits as in `paths`; CPU only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jaxcpp_kernels.library import PLAY, register
from jaxcpp_kernels.paths import Side, fitted, real

if TYPE_CHECKING:
    import jax
    from jax.typing import ArrayLike

ROWS, SCALARS = 11, 9
"""Vectors (n,) and numbers of a state: in which order, `core.h` says at `Talk`."""


class Stand(NamedTuple):
    """Where two sides stand: all of the state but its matrices, and what was learned of both."""

    numbers: jax.Array  # (ROWS * n + SCALARS,)
    slopes: jax.Array  # (2, n, n)


def play(
    retailer: Side,
    supplier: Side,
    begun: Stand,
    *,
    last_epsilon: ArrayLike,
    rounds: ArrayLike,
    threads: int = 0,
) -> Stand:
    """Where both sides stand `rounds` later; of them, costs, masses, outside options and stock are looked at.

    Where they hold numbers that nobody can solve, the retailer's plan is not a number.

    Raises RuntimeError where the kernels are not available on the CPU, ValueError for shapes that do not fit,
    TypeError for anything but float64.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    register()
    slopes = real("slopes", begun.slopes)
    if slopes.ndim < 3:
        raise ValueError(f"slopes must end in (2, n, n); got {slopes.shape}")
    batch, nodes = slopes.shape[:-3], slopes.shape[-1]
    arrays: dict[str, tuple[jax.Array, tuple[int, ...]]] = {}
    for name, side in (("retailer", retailer), ("supplier", supplier)):
        mass = real(f"{name}.mass", side.mass)
        columns = mass.shape[-1] if mass.ndim else 0
        arrays |= {
            f"{name}.cost": (real(f"{name}.cost", side.cost), (nodes, columns)),
            f"{name}.mass": (mass, (columns,)),
            f"{name}.outside": (real(f"{name}.outside", side.outside), (columns,)),
            f"{name}.stock": (real(f"{name}.stock", side.stock), (nodes,)),
        }
    arrays |= {
        "numbers": (real("numbers", begun.numbers), (ROWS * nodes + SCALARS,)),
        "slopes": (slopes.reshape(*batch, 2 * nodes, nodes), (2 * nodes, nodes)),
        "last_epsilon": (real("last_epsilon", last_epsilon), ()),
        "rounds": (jnp.asarray(rounds, jnp.int32), ()),
    }
    results = (
        jax.ShapeDtypeStruct((*batch, ROWS * nodes + SCALARS), jnp.float64),
        jax.ShapeDtypeStruct((*batch, 2 * nodes, nodes), jnp.float64),
    )
    call = jax.ffi.ffi_call(PLAY, results, vmap_method="broadcast_all")
    numbers, learned = call(*fitted(arrays, batch), threads=np.int64(threads))
    return Stand(numbers, learned.reshape(*batch, 2, nodes, nodes))
