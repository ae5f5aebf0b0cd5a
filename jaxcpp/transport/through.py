"""Two sides joined over their public nodes, which limit and charge nothing themselves.

A unit from source `k` to private node `j` takes the cheapest public node on its way, so the contract is
one transport problem from sources to private nodes: a side whose public nodes are the sources, with their
capacity as stock, that lives with a plan of nothing. There are far fewer sources than public nodes, and the
price at a node is what its cheapest source asks. What comes of it is a price and flows for somebody else to
judge, as with the native kernels (`kernels/jaxcpp_kernels/src/through.h`), whose twin this is.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.transport import path, rounding
from jaxcpp.transport.side import Side, answer, split


class Settled(eqx.Module):
    """A proposal and flows for it, as a search names them: to be checked (`rounding.checked`)."""

    proposal: Float[Array, " n"]  # units
    taken: Float[Array, "n m"]  # units, the retailer's, of as much of it as is shipped
    shipped: Float[Array, "n k"]  # units, the supplier's


def worth_joining(nodes: int, sources: int, stocked: bool) -> bool:
    """Whether a contract is smaller when joined; not where the retailer's stock makes every node a source."""
    return not stocked and sources < nodes


def join(retailer: Side, supplier: Side) -> Side:
    """One side from sources to private nodes; a source's price is what its capacity is worth."""
    asks = _asks(supplier)
    return Side(
        jnp.min(asks[:, :, None] + retailer.cost[None, :, :], axis=1),
        retailer.mass,
        retailer.outside,
        supplier.mass,
    )


def follow(
    retailer: Side,
    supplier: Side,
    lost_margin: Float[Array, " m"],
    unit_margin: Float[Array, ""],
    state: path.PathState,
    tolerance: Float[Array, ""],
    max_rounds: Int[Array, ""],
) -> tuple[path.PathState, Settled]:
    """A whole path of the joined sides, from and to a price at the public nodes, and flows at its end.

    Neither side may hold stock. Arguments as `kernels.follow_joint`.
    """
    joined, asks = join(retailer, supplier), _asks(supplier)
    nothing = jnp.zeros_like(joined.stock)

    def at(price: Float[Array, " k"], epsilon: Float[Array, ""]) -> path.Evaluation:
        seen = answer(joined, price, epsilon)
        cost = seen.value + seen.bias - jnp.vdot(price, seen.plan)
        margins = unit_margin * jnp.sum(joined.mass - seen.unserved) - jnp.vdot(lost_margin, seen.unserved)
        return path.Evaluation(
            seen.value, seen.bias, seen.bound, seen.plan, seen.slope, seen.drift, jnp.abs(cost + margins)
        )

    worth = jnp.max(jnp.where(jnp.isfinite(asks), state.price[None, :] - asks, 0.0), axis=1)
    begun = path.begin_again(state, jnp.maximum(worth, 0.0), state.epsilon)
    ended = path.follow(at, begun, tolerance, max_rounds)
    price = path.reached(ended)
    flows = rounding.settle(joined, split(joined, price, ended.epsilon), nothing, all_stock=True)
    after = path.begin_again(state, _at_nodes(retailer, joined, asks, price), ended.epsilon)
    after = eqx.tree_at(
        lambda s: (s.gap, s.rounds, s.done), after, (ended.gap, ended.rounds, state.done | ended.done)
    )
    return after, _through(retailer, asks, flows.lane)


def _asks(supplier: Side) -> Float[Array, "k n"]:
    """What a unit from each source costs at each public node, less what an idle one costs."""
    open_lane = jnp.isfinite(supplier.cost) & (supplier.mass > 0.0)[None, :]
    return jnp.where(open_lane, supplier.cost - supplier.outside[None, :], jnp.inf).T


def _at_nodes(
    retailer: Side, joined: Side, asks: Float[Array, "k n"], price: Float[Array, " k"]
) -> Float[Array, " n"]:
    """Prices at the public nodes; where no source comes, what no private node would pay."""
    least = jnp.min(asks + price[:, None], axis=0)
    best = jnp.minimum(jnp.min(joined.cost + price[:, None], axis=0), joined.outside)
    saves = jnp.where(retailer.mass[None, :] > 0.0, best[None, :] - retailer.cost, -jnp.inf)
    most = jnp.max(saves, axis=1)
    return jnp.where(jnp.isfinite(least), least, jnp.where(jnp.isfinite(most), most, 0.0))


def _through(retailer: Side, asks: Float[Array, "k n"], lane: Float[Array, "k m"]) -> Settled:
    """Flows from sources to private nodes as flows of both sides, each through its cheapest public node."""
    way = jnp.argmin(asks[:, :, None] + retailer.cost[None, :, :], axis=1)
    nodes = jnp.arange(asks.shape[1])
    through = jnp.where(way[:, None, :] == nodes[None, :, None], lane[:, None, :], 0.0)
    taken, shipped = jnp.sum(through, axis=0), jnp.sum(through, axis=2).T
    return Settled(jnp.sum(shipped, axis=1), taken, shipped)
