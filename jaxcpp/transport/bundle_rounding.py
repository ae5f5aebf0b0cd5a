"""From a bundle's smoothed flows to flows that keep every constraint: `rounding`, over products.

Shared sources make a column run over the nodes of all products, and a product's nodes see columns of
several tiles; otherwise this is the same scaling down and filling up, in the same order.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.transport.bundle import Pool, Shares, Tiles
from jaxcpp.transport.rounding import DUST, PASSES

USED, OPEN, STOCKED, DISPLACING, YIELDING = range(5)
"""Stages of filling up what a retailer still wants: see `rounding`."""


class Taken(eqx.Module):
    """A retailer's flows behind a plan, in units."""

    lane: Float[Array, "t n w"]
    outside: Float[Array, "t w"]
    used: Float[Array, "p n"]  # stock used at the public node
    short: Float[Array, "p n"]  # of the plan, what the retailer has no use for


class Shipped(eqx.Module):
    """Vendors' flows behind a plan, in units; what is fixed needs none."""

    own: Float[Array, "p n k"]
    shared: Float[Array, "p n K"]
    short: Float[Array, "p n"]  # of the plan, what cannot be shipped


def pruned_tiles(
    lane: Float[Array, "t n w"], away: Float[Array, "t w"]
) -> tuple[Float[Array, "t n w"], Float[Array, "t w"]]:
    """Shares without the smoothing's dust, each column again summing to one."""
    lane, away = jnp.where(lane > DUST, lane, 0.0), jnp.where(away > DUST, away, 0.0)
    total = jnp.sum(lane, axis=1) + away
    return lane / total[:, None, :], away / total


def settle_tiles(
    tiles: Tiles, lane: Float[Array, "t n w"], away: Float[Array, "t w"], plan: Float[Array, "p n"]
) -> Taken:
    """Flows that take exactly `plan` [units], close to the smoothed shares."""
    lane, away = pruned_tiles(lane, away)
    flow, outside = lane * tiles.mass[:, None, :], away * tiles.mass
    taken = tiles.by_product(jnp.sum(flow, axis=2))
    most = plan + tiles.stock
    flow = flow * jnp.where(taken > most, _ratio(most, taken), 1.0)[tiles.product][:, :, None]
    used, open_lane, needless = flow > 0.0, jnp.isfinite(tiles.cost), tiles.outside == 0.0

    def rows(values: Float[Array, "t n w"]) -> Float[Array, "p n"]:
        return tiles.by_product(jnp.sum(values, axis=2))

    def one(step: Int[Array, ""], now: Float[Array, "t n w"]) -> Float[Array, "t n w"]:
        stage = step // PASSES
        yields = (stage == YIELDING) & needless
        firm = jnp.where(yields[:, None, :], 0.0, now)
        most = jnp.where((stage == STOCKED) | (stage == YIELDING), plan + tiles.stock, plan)
        room = jnp.maximum(most - rows(firm), 0.0)
        wanting = tiles.mass - jnp.sum(firm, axis=1) - jnp.where(stage == DISPLACING, 0.0, outside)
        wanting = jnp.where(yields, 0.0, jnp.maximum(wanting, 0.0))
        appeal = jnp.where(jnp.where(stage == USED, used, open_lane), wanting[:, None, :], 0.0)
        added = appeal * _ratio(room, rows(appeal))[tiles.product][:, :, None]
        arriving = jnp.sum(added, axis=1)
        firm = firm + added * jnp.where(arriving > wanting, _ratio(wanting, arriving), 1.0)[:, None, :]
        spare = now - jnp.where(yields[:, None, :], 0.0, now)
        left, fits = rows(spare), jnp.maximum(most - rows(firm), 0.0)
        return firm + spare * jnp.where(left > fits, _ratio(fits, left), 1.0)[tiles.product][:, :, None]

    flow = jax.lax.fori_loop(0, 5 * PASSES, one, flow)
    taken = rows(flow)
    return Taken(
        lane=flow,
        outside=jnp.maximum(tiles.mass - jnp.sum(flow, axis=1), 0.0),
        used=jnp.clip(taken - plan, 0.0, tiles.stock),
        short=jnp.maximum(plan - taken, 0.0),
    )


def settle_pool(pool: Pool, shares: Shares, plan: Float[Array, "p n"]) -> Shipped:
    """Flows that ship `plan` [units] less what is fixed of it, close to the smoothed shares."""
    k = pool.own_mass.shape[1]
    mass = _columns_mass(pool)
    wanted = jnp.maximum(plan - pool.fixed, 0.0)
    share = jnp.concatenate([shares.own, shares.shared], axis=2)
    flow = share * mass[:, None, :]
    shipped = jnp.sum(flow, axis=2)
    # A small product's part of a shared source is no dust: what counts is its part of the node.
    flow = jnp.where(flow > DUST * shipped[:, :, None], flow, 0.0)
    shipped = jnp.sum(flow, axis=2)
    flow = flow * jnp.where(shipped > wanted, _ratio(wanted, shipped), 1.0)[:, :, None]
    used = flow > 0.0
    open_lane = jnp.isfinite(jnp.concatenate([pool.own, pool.shared], axis=2))

    def one(step: Int[Array, ""], now: Float[Array, "p n c"]) -> Float[Array, "p n c"]:
        room = jnp.maximum(wanted - jnp.sum(now, axis=2), 0.0)
        spare = jnp.maximum(mass - _column_sums(now, k), 0.0)
        appeal = jnp.where(jnp.where(step < PASSES, used, open_lane), spare[:, None, :], 0.0)
        added = appeal * _ratio(room, jnp.sum(appeal, axis=2))[:, :, None]
        arriving = _column_sums(added, k)
        return now + added * jnp.where(arriving > spare, _ratio(spare, arriving), 1.0)[:, None, :]

    flow = jax.lax.fori_loop(0, 3 * PASSES, one, flow)
    short = jnp.maximum(wanted - jnp.sum(flow, axis=2), 0.0)
    return Shipped(flow[:, :, :k], flow[:, :, k:], short)


def _columns_mass(pool: Pool) -> Float[Array, "p c"]:
    """Every product's view of the sources' mass: its own, then the shared ones."""
    shared = jnp.broadcast_to(pool.shared_mass[None, :], (pool.own.shape[0], pool.shared_mass.shape[0]))
    return jnp.concatenate([pool.own_mass, shared], axis=1)


def _column_sums(flow: Float[Array, "p n c"], own: int) -> Float[Array, "p c"]:
    """What leaves each source, the shared ones' summed over products."""
    by_product = jnp.sum(flow, axis=1)
    shared = jnp.sum(by_product[:, own:], axis=0)
    shared = jnp.broadcast_to(shared[None, :], (flow.shape[0], shared.shape[0]))
    return jnp.concatenate([by_product[:, :own], shared], axis=1)


def _ratio(part: Float[Array, ...], whole: Float[Array, ...]) -> Float[Array, ...]:
    return jnp.where(whole > 0.0, part / jnp.where(whole > 0.0, whole, 1.0), 0.0)
