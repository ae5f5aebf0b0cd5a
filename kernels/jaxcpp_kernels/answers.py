"""Ask one side natively for its best plan near a proposal: the kernel's arguments and results, as JAX arrays.

The twin is `jaxcpp.transport.proximal.respond`. Batches, devices, threads and their limits as in `paths`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jaxcpp_kernels.library import RESPOND, register
from jaxcpp_kernels.paths import Side, fitted, real

if TYPE_CHECKING:
    import jax
    from jax.typing import ArrayLike


class Reply(NamedTuple):
    """What a side answers. Not a number where it holds numbers that nobody can solve."""

    plan: jax.Array  # (n,) units
    behind: jax.Array  # (n,) currency / unit, the price to which the plan is the best answer alone
    rounds: jax.Array  # () evaluations


def respond(
    side: Side,
    price: ArrayLike,
    proposal: ArrayLike,
    start: ArrayLike,
    *,
    rho: ArrayLike,
    epsilon: ArrayLike,
    accuracy: ArrayLike,
    max_rounds: ArrayLike = 30,
    threads: int = 0,
) -> Reply:
    """`argmin_x cost(x) + price @ x + rho/2 |x - proposal|^2` of one side, smoothed by `epsilon`.

    `price` and `start`, a price behind an answer like it, are (n,) [currency / unit], `proposal` is (n,)
    [units]; of the side, costs, masses, outside options and stock are looked at. The plan is off by
    `accuracy` units at most, all nodes together, unless `max_rounds` end before.

    Raises RuntimeError where the kernels are not available on the CPU, ValueError for shapes that do not fit,
    TypeError for anything but float64.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    register()
    begin = real("start", start)
    if begin.ndim < 1:
        raise ValueError("start must have the public nodes as its last dimension")
    batch, nodes = begin.shape[:-1], begin.shape[-1]
    cost, mass = real("side.cost", side.cost), real("side.mass", side.mass)
    columns = mass.shape[-1] if mass.ndim else 0
    arrays = {
        "side.cost": (cost, (nodes, columns)),
        "side.mass": (mass, (columns,)),
        "side.outside": (real("side.outside", side.outside), (columns,)),
        "side.stock": (real("side.stock", side.stock), (nodes,)),
        "price": (real("price", price), (nodes,)),
        "proposal": (real("proposal", proposal), (nodes,)),
        "start": (begin, (nodes,)),
        "rho": (real("rho", rho), ()),
        "epsilon": (real("epsilon", epsilon), ()),
        "accuracy": (real("accuracy", accuracy), ()),
        "max_rounds": (jnp.asarray(max_rounds, jnp.int32), ()),
    }
    results = (
        jax.ShapeDtypeStruct(begin.shape, jnp.float64),
        jax.ShapeDtypeStruct(begin.shape, jnp.float64),
        jax.ShapeDtypeStruct(batch, jnp.int32),
    )
    call = jax.ffi.ffi_call(RESPOND, results, vmap_method="broadcast_all")
    return Reply(*call(*fitted(arrays, batch), threads=np.int64(threads)))
