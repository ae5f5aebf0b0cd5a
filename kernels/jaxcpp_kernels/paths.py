"""Follow price paths natively: the arguments and results of the kernel, as JAX arrays.

The twins are `jaxcpp.transport.path.follow` on `jaxcpp.consensus.newton.evaluate` and
`jaxcpp.transport.living.evaluate`. Shapes are of one problem; leading dimensions, or `jax.vmap`, make
a batch, shared out over threads one problem each. The number of threads is the number of cores the
process may use, `threads` where that is given, and never more than the environment variable
JAXCPP_KERNEL_THREADS; results do not depend on it. On a CUDA device a batch is one launch, a block of
threads to a problem; prices there differ from a processor's by rounding, and are worth the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jaxcpp_kernels.library import TARGET, register

if TYPE_CHECKING:
    import jax
    from jax.typing import ArrayLike


class Side(NamedTuple):
    """One side's private problem with `n` public and `m` private nodes, in scaled units (mass 1).

    Public node `i` is place `i // weeks` in week `i % weeks`. A unit between it and private node `j`
    costs `cost[place, j] + time[week, j]`; without `time` there is one week, and `cost` is (n, m).
    """

    cost: ArrayLike  # (places, m) currency / unit; inf = missing lane
    mass: ArrayLike  # (m,) units
    outside: ArrayLike  # (m,) currency / unit, finite
    stock: ArrayLike  # (n,) units
    lost_margin: ArrayLike = 0.0  # (m,) currency / unit, part of `outside` that is not money spent
    unit_margin: ArrayLike = 0.0  # () currency / unit that `cost` was lowered by
    time: ArrayLike | None = None  # (weeks, m) currency / unit; inf = missing lane
    open: ArrayLike | None = None  # (n,) bool; a closed node has no lanes; default all open


class SettledFlows(NamedTuple):
    """Flows near those that answer the price, made to keep every constraint (`transport.rounding.settle`).

    Zero where a problem is unsound. Nothing here is proven: whoever uses flows checks them.
    """

    proposal: jax.Array  # (n,) units; what the retailer would take; of no length where there is a plan
    taken: jax.Array  # (n, m) units, the retailer's, of the proposal as far as it is shipped; or of the plan
    shipped: jax.Array  # (n, k) units, the supplier's, of the proposal


class Path(NamedTuple):
    """Where a path ended. `done` as in the twin: the gap is small enough, or no move raises the value."""

    price: jax.Array  # (n,) currency / unit, the last accepted and, where done, a Newton step on
    epsilon: jax.Array  # () smoothing at which it was accepted
    gap: jax.Array  # () currency, last estimate of the certified gap; inf where there was no round
    rounds: jax.Array  # () evaluations
    done: jax.Array  # ()
    flows: SettledFlows | None = None  # where asked for


def solve_path(
    retailer: Side,
    supplier: Side,
    start: ArrayLike,
    *,
    epsilon: ArrayLike,
    tolerance: ArrayLike,
    strict: ArrayLike = 1.0,
    max_rounds: ArrayLike = 200,
    threads: int = 0,
    flows: bool = False,
) -> Path:
    """The price at which retailer and supplier agree, from `start` (n,) [currency / unit].

    Ends when the gap estimated is within `strict * tolerance` of the chain cost, or after
    `max_rounds`; 0 leaves a problem as it is. A problem that holds numbers nobody can solve (nan,
    negative mass) comes back at its start, not done. With `flows`, what both would ship at that price
    is settled too, and contracts with fewer sources than public nodes are searched as one problem of both.

    Raises RuntimeError where the kernels are not available on the CPU, ValueError for shapes that do not fit,
    TypeError for anything but float64.
    """
    return _follow(retailer, supplier, None, start, epsilon, tolerance, strict, max_rounds, threads, flows)


def solve_living(
    side: Side,
    plan: ArrayLike,
    start: ArrayLike,
    *,
    epsilon: ArrayLike,
    tolerance: ArrayLike,
    strict: ArrayLike = 1.0,
    max_rounds: ArrayLike = 150,
    threads: int = 0,
    flows: bool = False,
) -> Path:
    """The price at which one side answers `plan` (n,) [units]; else as `solve_path`.

    The tolerance is of the side's cost of the plan, `side.cost` included as it is.
    """
    return _follow(side, None, plan, start, epsilon, tolerance, strict, max_rounds, threads, flows)


def _follow(
    retailer: Side,
    supplier: Side | None,
    plan: ArrayLike | None,
    start: ArrayLike,
    epsilon: ArrayLike,
    tolerance: ArrayLike,
    strict: ArrayLike,
    max_rounds: ArrayLike,
    threads: int,
    flows: bool,
) -> Path:
    import jax
    import jax.numpy as jnp
    import numpy as np

    register()
    begin = real("start", start)
    if begin.ndim < 1:
        raise ValueError("start must have the public nodes as its last dimension")
    batch, nodes = begin.shape[:-1], begin.shape[-1]
    if supplier is None:
        none = jnp.zeros((0,))
        supplier = Side(jnp.zeros((nodes, 0)), none, none, jnp.zeros((nodes,)))
    fixed = jnp.zeros((0,)) if plan is None else real("plan", plan)
    if plan is not None and fixed.shape[-1:] != (nodes,):
        raise ValueError(f"plan must end in ({nodes},), as start does; got {fixed.shape}")
    operands = [
        *_side("retailer" if plan is None else "side", retailer, batch, nodes),
        *_side("supplier", supplier, batch, nodes),
        jnp.broadcast_to(fixed, (*batch, fixed.shape[-1])),
        begin,
        *(
            jnp.broadcast_to(real(name, value), batch)
            for name, value in (("epsilon", epsilon), ("strict", strict), ("tolerance", tolerance))
        ),
        jnp.broadcast_to(jnp.asarray(max_rounds, jnp.int32), batch),
    ]
    scalar = jax.ShapeDtypeStruct(batch, jnp.float64)
    results = (
        jax.ShapeDtypeStruct(begin.shape, jnp.float64),
        scalar,
        scalar,
        jax.ShapeDtypeStruct(batch, jnp.int32),
        jax.ShapeDtypeStruct(batch, jnp.bool_),
        *_settled(operands[0].shape, operands[8].shape, nodes, plan is None, flows),
    )
    call = jax.ffi.ffi_call(TARGET, results, vmap_method="broadcast_all")
    found = call(*operands, threads=np.int64(threads))
    price, reached, gap, rounds, done, *settled = found
    return Path(price, reached, gap, rounds, done, SettledFlows(*settled) if flows else None)


def _settled(
    cost: tuple[int, ...], their_cost: tuple[int, ...], nodes: int, both: bool, wanted: bool
) -> list[jax.ShapeDtypeStruct]:
    """What proposal and flows look like; without length where they are not wanted."""
    import jax
    import jax.numpy as jnp

    batch = cost[:-2]
    shapes = [
        (*batch, nodes if wanted and both else 0),
        *((*batch, nodes, each[-1]) if wanted else (*batch, 0, 0) for each in (cost, their_cost)),
    ]
    return [jax.ShapeDtypeStruct(shape, jnp.float64) for shape in shapes]


def _side(name: str, side: Side, batch: tuple[int, ...], nodes: int) -> list[Any]:
    """The eight arrays of one side, batched. Raises ValueError where their shapes do not fit."""
    import jax.numpy as jnp

    cost, mass = real(f"{name}.cost", side.cost), real(f"{name}.mass", side.mass)
    columns = mass.shape[-1] if mass.ndim else 0
    weeks_cost = jnp.zeros((1, columns)) if side.time is None else real(f"{name}.time", side.time)
    weeks = weeks_cost.shape[-2] if weeks_cost.ndim > 1 else 0
    if cost.ndim < 2 or weeks < 1 or cost.shape[-2] * weeks != nodes:
        raise ValueError(
            f"{name}: cost {cost.shape} and {weeks} weeks do not make the {nodes} public nodes of start"
        )
    is_open = jnp.ones((nodes,), bool) if side.open is None else jnp.asarray(side.open, bool)
    arrays = {
        "cost": (cost, (cost.shape[-2], columns)),
        "time": (weeks_cost, (weeks, columns)),
        "open": (is_open, (nodes,)),
        "mass": (mass, (columns,)),
        "outside": (real(f"{name}.outside", side.outside), (columns,)),
        "stock": (real(f"{name}.stock", side.stock), (nodes,)),
        "lost_margin": (real(f"{name}.lost_margin", side.lost_margin), (columns,)),
        "unit_margin": (real(f"{name}.unit_margin", side.unit_margin), ()),
    }
    return fitted({f"{name}.{field}": found for field, found in arrays.items()}, batch)


def fitted(arrays: dict[str, tuple[Any, tuple[int, ...]]], batch: tuple[int, ...]) -> list[Any]:
    """Arrays by name, batched to the shapes beside them. Raises ValueError where one does not fit."""
    import jax.numpy as jnp

    out = []
    for name, (array, shape) in arrays.items():
        try:
            out.append(jnp.broadcast_to(array, (*batch, *shape)))
        except ValueError as error:
            raise ValueError(f"{name} must end in {shape}; got {array.shape}") from error
    return out


def real(name: str, value: ArrayLike) -> Any:
    """A value as an array of float64. Raises TypeError where it is one of anything else."""
    import jax.numpy as jnp

    array = jnp.asarray(value, jnp.float64) if isinstance(value, int | float) else jnp.asarray(value)
    if array.dtype != jnp.float64:
        raise TypeError(f"{name} must be float64; got {array.dtype}")
    return array
