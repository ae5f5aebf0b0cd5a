"""The private problems of products that are planned together, seen from their public nodes.

A public node is a (product, node) pair. Two private problems, each a smoothed dual in closed form as in
`side`, whose notation this keeps:

- `Tiles`: what a retailer must serve. Its private columns each belong to one product; they are kept in
  tiles of equal width, a product having as many as it needs, so that one with many columns does not pad
  all others.
- `Pool`: what vendors can ship, from sources that belong to one product and from *shared* ones, whose
  softmax runs over the nodes of all products.

Source: as `side`; the sources' coupling is arXiv:2605.16695 eq. 17 summed over products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.transport.bordered import Bordered
from jaxcpp.transport.side import FLOOR, Side, answer, exponents, split


class Tiles(eqx.Module):
    """Private columns of all products in tiles; padding has no mass and no lanes."""

    cost: Float[Array, "t n w"]  # currency / unit; inf = missing lane
    mass: Float[Array, "t w"]  # units
    outside: Float[Array, "t w"]  # currency / unit, finite
    product: Int[Array, " t"]
    stock: Float[Array, "p n"]  # units at the public node that cost nothing and need not be used

    def by_product(self, values: Float[Array, "t ..."]) -> Float[Array, "p ..."]:
        """Sum over each product's tiles."""
        return jax.ops.segment_sum(values, self.product, self.stock.shape[0])


class Pool(eqx.Module):
    """Sources of one product (`own`, left idle at no cost) and of all products (`shared`)."""

    own: Float[Array, "p n k"]  # currency / unit; inf = missing lane
    own_mass: Float[Array, "p k"]  # units
    shared: Float[Array, "p n K"]
    shared_mass: Float[Array, " K"]
    fixed: Float[Array, "p n"]  # units that arrive whatever the price
    held: Bool[Array, "p n"]  # nodes where nothing else arrives


class Reply(eqx.Module):
    """A smoothed answer of a bundle's private problem to a price; terms as in `side.Answer`."""

    value: Float[Array, ""]
    bias: Float[Array, ""]
    bound: Float[Array, ""]
    plan: Float[Array, "p n"]
    slope: Bordered
    drift: Float[Array, "p n"]


class Shares(eqx.Module):
    """How the sources of a pool split their mass; what is missing to one is idle."""

    own: Float[Array, "p n k"]
    own_idle: Float[Array, "p k"]
    shared: Float[Array, "p n K"]
    shared_idle: Float[Array, " K"]


def serve(
    tiles: Tiles, price: Float[Array, "p n"], epsilon: Float[Array, ""]
) -> tuple[Reply, Float[Array, "t w"]]:
    """The retailer's answer to a price, and the units that took the outside option."""
    exponent, away_exponent, best = _by_tile(tiles, price, epsilon, exponents)
    weight, away = jnp.exp(exponent), jnp.exp(away_exponent)
    # Both are read several times below: without the barrier XLA computes them each time.
    weight, weighted = jax.lax.optimization_barrier((weight, weight * exponent))
    total = jnp.sum(weight, axis=1) + away
    mean = (jnp.sum(weighted, axis=1) + away * away_exponent) / total
    log_total, per = jnp.log(total), tiles.mass / total
    sums = jnp.einsum("tnw,twc->tnc", weight, jnp.stack([per, per * mean, per * away / total], axis=2))
    drifts = sums[:, :, 1] - jnp.einsum("tnw,tw->tn", weighted, per)
    shipped, escaping, drift = (tiles.by_product(part) for part in (sums[:, :, 0], sums[:, :, 2], drifts))
    root = weight * (jnp.sqrt(tiles.mass) / total)[:, None, :]
    gram = tiles.by_product(jnp.einsum("tnw,tmw->tnm", root, root))
    # Stock at a public node chooses between being used (worth the price) and staying (worth 0).
    pull = price / epsilon
    chance, softened = jax.nn.sigmoid(pull), jax.nn.softplus(pull)
    escape = (escaping + tiles.stock * chance * (1.0 - chance)) / epsilon
    bend = tiles.stock * chance * (1.0 - chance) / epsilon
    nothing = jnp.zeros((*price.shape, 0), price.dtype)
    reply = Reply(
        value=jnp.sum(tiles.mass * (best - epsilon * log_total)) - epsilon * jnp.sum(tiles.stock * softened),
        bias=epsilon * jnp.sum(tiles.mass * (log_total - mean))
        + epsilon * jnp.sum(tiles.stock * (softened - pull * chance)),
        bound=jnp.sum(tiles.mass * best) - jnp.sum(tiles.stock * jnp.maximum(price, 0.0)),
        plan=shipped - tiles.stock * chance,
        slope=Bordered(_laplacians(gram / epsilon, escape), escape, nothing, nothing[0, 0]),
        drift=drift / epsilon + bend * pull,
    )
    return reply, tiles.mass * away / total


def _laplacians(gram: Float[Array, "p n n"], escape: Float[Array, "p n"]) -> Float[Array, "p n n"]:
    """Blocks whose rows sum to `escape`, the diagonals summed from what they are made of: see `side`."""
    eye = jnp.eye(gram.shape[1], dtype=gram.dtype)[None, :, :]
    others = gram * (1.0 - eye)
    return (jnp.sum(others, axis=2) + escape)[:, :, None] * eye - others


def ship(pool: Pool, price: Float[Array, "p n"], epsilon: Float[Array, ""]) -> Reply:
    """The vendors' answer to a price at which a plan costs them: minus what they are paid."""
    own = _by_product(pool, price, epsilon, answer)
    blocks = own.slope if pool.own_mass.shape[1] else None
    exponent, away_exponent, best = _exponents(pool, price, epsilon)
    weight, away = jnp.exp(exponent), jnp.exp(away_exponent)
    total = jnp.sum(weight, axis=(0, 1)) + away
    mean = (jnp.sum(weight * exponent, axis=(0, 1)) + away * away_exponent) / total
    log_total, per = jnp.log(total), pool.shared_mass / total
    flow = weight * per[None, None, :]
    return Reply(
        value=jnp.sum(own.value)
        + jnp.sum(pool.shared_mass * (best - epsilon * log_total))
        + jnp.sum(price * pool.fixed),
        bias=jnp.sum(own.bias) + epsilon * jnp.sum(pool.shared_mass * (log_total - mean)),
        bound=jnp.sum(own.bound) + jnp.sum(pool.shared_mass * best) + jnp.sum(price * pool.fixed),
        plan=own.plan + jnp.sum(flow, axis=2) + pool.fixed,
        slope=Bordered(blocks, own.escape, flow / epsilon, per * away / epsilon),
        drift=own.drift + jnp.sum(flow * (mean[None, None, :] - exponent), axis=2) / epsilon,
    )


def serve_bound(tiles: Tiles, price: Float[Array, "p n"]) -> Float[Array, " p"]:
    """Each product's exact dual value at a price: below `cost(x) + price @ x` for every plan `x`."""
    paid = tiles.cost + price[tiles.product][:, :, None]
    best = jnp.minimum(jnp.min(paid, axis=1), tiles.outside)
    served = tiles.by_product(jnp.sum(tiles.mass * best, axis=1))
    return served - jnp.sum(tiles.stock * jnp.maximum(price, 0.0), axis=1)


def ship_bound(
    pool: Pool, price: Float[Array, "p n"]
) -> tuple[Float[Array, "p k"], Float[Array, " K"], Float[Array, "p n"]]:
    """The exact dual value of each own source, of each shared source, and of what is fixed."""
    own = pool.own_mass * jnp.minimum(jnp.min(pool.own + price[:, :, None], axis=1), 0.0)
    best = jnp.minimum(jnp.min(pool.shared + price[:, :, None], axis=(0, 1)), 0.0)
    return own, pool.shared_mass * best, price * pool.fixed


def serve_split(
    tiles: Tiles, price: Float[Array, "p n"], epsilon: Float[Array, ""]
) -> tuple[Float[Array, "t n w"], Float[Array, "t w"]]:
    """How each private column splits over its lanes and its outside option at a price."""
    part = _by_tile(tiles, price, epsilon, split)
    return part.lane, part.away


def ship_split(pool: Pool, price: Float[Array, "p n"], epsilon: Float[Array, ""]) -> Shares:
    """How each source splits over its lanes and staying idle at a price."""
    own = _by_product(pool, price, epsilon, split)
    exponent, away_exponent, _ = _exponents(pool, price, epsilon)
    weight, away = jnp.exp(exponent), jnp.exp(away_exponent)
    total = jnp.sum(weight, axis=(0, 1)) + away
    return Shares(own.lane, own.away, weight / total[None, None, :], away / total)


Part = TypeVar("Part")
_On = Callable[[Side, Float[Array, " n"], Float[Array, ""]], Part]


def _by_tile(tiles: Tiles, price: Float[Array, "p n"], epsilon: Float[Array, ""], one: _On[Part]) -> Part:
    """What `one` says of each tile, as a side without stock."""

    def at(
        cost: Float[Array, "n w"],
        mass: Float[Array, " w"],
        outside: Float[Array, " w"],
        of: Float[Array, " n"],
    ) -> Part:
        return one(Side(cost, mass, outside, jnp.zeros_like(of)), of, epsilon)

    return jax.vmap(at)(tiles.cost, tiles.mass, tiles.outside, price[tiles.product])


def _by_product(pool: Pool, price: Float[Array, "p n"], epsilon: Float[Array, ""], one: _On[Part]) -> Part:
    """What `one` says of each product's own sources, as a side."""

    def at(cost: Float[Array, "n k"], mass: Float[Array, " k"], of: Float[Array, " n"]) -> Part:
        return one(Side(cost, mass, jnp.zeros_like(mass), jnp.zeros_like(of)), of, epsilon)

    return jax.vmap(at)(pool.own, pool.own_mass, price)


def _exponents(
    pool: Pool, price: Float[Array, "p n"], epsilon: Float[Array, ""]
) -> tuple[Float[Array, "p n K"], Float[Array, " K"], Float[Array, " K"]]:
    """Exponents of each shared source's softmin, zero at its best option, and that option's cost."""
    paid = pool.shared + price[:, :, None]
    best = jnp.minimum(jnp.min(paid, axis=(0, 1)), 0.0)
    per = 1.0 / epsilon
    exponent = jnp.maximum((best[None, None, :] - paid) * per, FLOOR)
    return exponent, jnp.maximum(best * per, FLOOR), best
