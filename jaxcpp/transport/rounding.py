"""From smoothed flows to flows that keep every constraint, and what they cost.

After Altschuler, Weed and Rigollet (2017, Algorithm 2): scale down what exceeds its marginal, then
add what is missing in proportion to the room that is left. Missing lanes and outside options make
the second part a few passes instead of one.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.transport.side import Side, Split, split

DUST = 1e-7  # a share below this is smoothing, not shipping
STAGES, PASSES = 5, 3
FILLED = 16.0  # of rounding error in a volume of 1: what may be missing from flows that are called filled
SOUND = 256.0  # the same, of what flows from elsewhere may exceed


class Flows(eqx.Module):
    """Flows of one side that ship a plan, in units."""

    lane: Float[Array, "n m"]
    outside: Float[Array, " m"]
    used: Float[Array, " n"]  # stock used at the public node
    short: Float[Array, " n"]  # of the plan, what the side cannot ship


def smoothed(side: Side, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Flows:
    """Flows that answer a price at a smoothing, as they are: they ship that answer's own plan."""
    part = split(side, price, epsilon)
    used = side.stock * jax.nn.sigmoid(price / epsilon)
    return Flows(part.lane * side.mass[None, :], part.away * side.mass, used, jnp.zeros_like(price))


def pruned(part: Split) -> tuple[Float[Array, "n m"], Float[Array, " m"]]:
    """Shares without the smoothing's dust, each column again summing to one."""
    lane = jnp.where(part.lane > DUST, part.lane, 0.0)
    away = jnp.where(part.away > DUST, part.away, 0.0)
    total = jnp.sum(lane, axis=0) + away
    return lane / total[None, :], away / total


def settle(side: Side, part: Split, plan: Float[Array, " n"], all_stock: bool = False) -> Flows:
    """Flows that ship exactly `plan` [units], close to the smoothed `part`.

    Every private node's mass is kept, no missing lane is used, stock is not exceeded. What cannot
    be shipped at all is left in `short`; the caller decides what that means. With `all_stock` there is no
    plan but stock, which may serve at every stage.
    """
    lane, away = pruned(part)
    flow, outside = lane * side.mass[None, :], away * side.mass
    shipped = jnp.sum(flow, axis=1)
    most = plan + side.stock
    flow = flow * jnp.where(shipped > most, _ratio(most, shipped), 1.0)[:, None]
    flow = _filled(side, flow, outside, plan, all_stock)
    return _shipping(side, flow, jnp.sum(flow, axis=1), jnp.sum(flow, axis=0), plan)


def checked(side: Side, lane: Float[Array, "n m"], plan: Float[Array, " n"]) -> Flows:
    """Flows [units] that somebody else has settled on `plan`, or none where they break a constraint.

    Whoever settled them is not trusted: what is stated of flows is computed from these numbers alone.
    """
    slack = SOUND * jnp.finfo(lane.dtype).eps
    shipped, served = jnp.sum(lane, axis=1), jnp.sum(lane, axis=0)
    sound = (
        jnp.all((lane >= 0.0) & ((lane == 0.0) | jnp.isfinite(side.cost)))
        & jnp.all(served <= side.mass + slack)
        & jnp.all(shipped <= plan + side.stock + slack)
    )
    lane, shipped, served = jax.tree.map(lambda x: jnp.where(sound, x, 0.0), (lane, shipped, served))
    return _shipping(side, lane, shipped, served, plan)


def _shipping(
    side: Side,
    lane: Float[Array, "n m"],
    shipped: Float[Array, " n"],
    served: Float[Array, " m"],
    plan: Float[Array, " n"],
) -> Flows:
    """What lanes leave outside, use of stock and fall short of, given the sums of their rows and columns."""
    return Flows(
        lane=lane,
        outside=jnp.maximum(side.mass - served, 0.0),
        used=jnp.clip(shipped - plan, 0.0, side.stock),
        short=jnp.maximum(plan - shipped, 0.0),
    )


def _filled(
    side: Side,
    flow: Float[Array, "n m"],
    outside: Float[Array, " m"],
    plan: Float[Array, " n"],
    all_stock: bool,
) -> Float[Array, "n m"]:
    """Add the flow that is missing, in five stages of a few passes each.

    What the plan still holds goes first to the private nodes that were scaled down, on lanes in
    use, then on any open lane; then stock serves what they still want; then what the plan still
    holds displaces outside options. Last, private nodes that need nothing (units left over) give
    way to those that still want some. Ends as soon as nothing is missing.
    """
    least = FILLED * jnp.finfo(flow.dtype).eps
    used, open_lane, needless = flow > 0.0, jnp.isfinite(side.cost), side.outside == 0.0

    def one(stage: Int[Array, ""], now: Float[Array, "n m"]) -> Float[Array, "n m"]:
        yields = (stage == 4) & needless
        firm = jnp.where(yields[None, :], 0.0, now)
        most = jnp.where(all_stock | (stage == 2) | (stage == 4), plan + side.stock, plan)
        room = jnp.maximum(most - jnp.sum(firm, axis=1), 0.0)
        wanting = side.mass - jnp.sum(firm, axis=0) - jnp.where(stage == 3, 0.0, outside)
        wanting = jnp.where(yields, 0.0, jnp.maximum(wanting, 0.0))
        appeal = jnp.where(jnp.where(stage == 0, used, open_lane), wanting[None, :], 0.0)
        added = appeal * _ratio(room, jnp.sum(appeal, axis=1))[:, None]
        arriving = jnp.sum(added, axis=0)
        firm = firm + added * jnp.where(arriving > wanting, _ratio(wanting, arriving), 1.0)[None, :]
        spare = now - jnp.where(yields[None, :], 0.0, now)
        left, fits = jnp.sum(spare, axis=1), most - jnp.sum(firm, axis=1)
        return firm + spare * jnp.where(left > fits, _ratio(jnp.maximum(fits, 0.0), left), 1.0)[:, None]

    def going(carry: tuple[Int[Array, ""], Float[Array, "n m"]]) -> Bool[Array, ""]:
        step, now = carry
        short = jnp.sum(jnp.maximum(plan - jnp.sum(now, axis=1), 0.0))
        wanting = jnp.sum(jnp.maximum(side.mass - jnp.sum(now, axis=0) - outside, 0.0))
        return (step < STAGES * PASSES) & (jnp.maximum(short, wanting) > least)

    def one_pass(
        carry: tuple[Int[Array, ""], Float[Array, "n m"]],
    ) -> tuple[Int[Array, ""], Float[Array, "n m"]]:
        step, now = carry
        stage = step // PASSES
        following = one(stage, now)
        # A pass that changes nothing would do so again: on to the next stage.
        step = jnp.where(jnp.any(following != now), step + 1, (stage + 1) * PASSES)
        return step, following

    return jax.lax.while_loop(going, one_pass, (jnp.zeros((), jnp.int32), flow))[1]


def _ratio(part: Float[Array, " k"], whole: Float[Array, " k"]) -> Float[Array, " k"]:
    return jnp.where(whole > 0.0, part / jnp.where(whole > 0.0, whole, 1.0), 0.0)


def cost_of(side: Side, flows: Flows) -> Float[Array, ""]:
    """What flows cost this side [currency], outside options included."""
    lanes = jnp.sum(jnp.where(flows.lane > 0.0, side.cost, 0.0) * flows.lane)
    return lanes + jnp.sum(side.outside * flows.outside)
