"""Products that are planned together: what each party keeps to itself, in natural units.

A *bundle* is P products, each with up to V vendors, over I inbound nodes and T weeks. Its public nodes
are (product, vendor slot, inbound, week), for each vendor delivers for itself; the retailer's lanes are
the same whichever vendor a unit comes from. Plans are flat vectors in that order.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents import weeks as time
from jaxcpp.agents.bundle_agents import BundleBuyer, BundleSeller
from jaxcpp.agents.terms import Terms
from jaxcpp.transport.bundle import Pool, Tiles


class Catalogue(eqx.Module):
    """The retailer's products: demand entries in tiles of equal width. Private to the retailer.

    A tile belongs to one product. An entry is demand in one week, or, where `left`, what is left over of
    its product: a node that may take any delivered unit and needs none. Padding asks for nothing.
    """

    outbound: Float[Array, "t i w"]  # currency / unit; inf = no lane
    demand: Float[Array, "t w"]  # units
    week: Int[Array, "t w"]
    left: Bool[Array, "t w"]
    product: Int[Array, " t"]
    margin: Float[Array, " p"]  # currency / unit sold
    holding: Float[Array, " p"]  # currency / unit / week
    backlog: Float[Array, " p"]
    lost_sale: Float[Array, " p"]  # currency / unit
    leftover: Float[Array, " p"]
    inventory: Float[Array, "p i"]  # units

    def profit_at_no_cost(self) -> Float[Array, ""]:
        """What the retailer would earn if every unit were sold at no cost [currency]."""
        return jnp.sum(self.margin[self.product] * jnp.sum(self.demand, axis=1))


class Vendors(eqx.Module):
    """The vendors of a bundle and their sources. Private to each vendor.

    `slot` says which vendor has a product's slot, -1 none. A source is either a product's own or, in
    `shared`, its vendor's for all products whose `draws` allow it.
    """

    slot: Int[Array, "p v"]
    margin: Float[Array, "p v"]  # currency / unit delivered
    holding: Float[Array, "p v"]  # currency / unit / week
    own: Float[Array, "p v k i"]  # currency / unit; inf = no lane
    own_capacity: Float[Array, "p v k weeks"]  # units
    shared: Float[Array, "p K i"]
    draws: Bool[Array, "p K weeks"]
    capacity: Float[Array, "K weeks"]
    owner: Int[Array, " K"]  # vendor of a shared source
    count: int = eqx.field(static=True)  # vendors

    @property
    def weeks(self) -> int:
        """Weeks planned."""
        return self.capacity.shape[1]

    def node_vendor(self) -> Int[Array, "p n"]:
        """The vendor that delivers to each public node, or -1."""
        return jnp.repeat(self.slot, self.shared.shape[2] * self.weeks, axis=1)

    def reached(self) -> Bool[Array, "p v i"]:
        """Inbound nodes that a product's vendor has a lane into."""
        own = jnp.any(jnp.isfinite(self.own), axis=2)
        ours = (self.owner[None, None, :] == self.slot[:, :, None]) & jnp.any(self.draws, axis=2)[:, None, :]
        shared = jnp.any(ours[:, :, :, None] & jnp.isfinite(self.shared)[:, None, :, :], axis=2)
        return (own | shared) & (self.slot >= 0)[:, :, None]


class Absence(eqx.Module):
    """What a vendor's deliveries are while it takes no part: fixed, in units; and whose those are."""

    fixed: Float[Array, "p n"]
    held: Bool[Array, "p n"]

    @staticmethod
    def of_nobody(like: Float[Array, "p n"]) -> Absence:
        """Everybody takes part."""
        return Absence(jnp.zeros_like(like), jnp.zeros(like.shape, bool))


class Frame(eqx.Module):
    """What all parties of a bundle know; `most` [units] is more than could ever arrive of a product."""

    terms: Terms
    most: Float[Array, " p"]


def buyer(catalogue: Catalogue, frame: Frame, absence: Absence, weeks: int) -> BundleBuyer:
    """The retailer of a bundle as the protocol sees it, in the bundle's scaled units."""
    terms, shape = frame.terms, absence.fixed.shape
    inbound = catalogue.inventory.shape[1]
    slots = shape[1] // (inbound * weeks)
    stock = _stock(catalogue.inventory, slots, weeks)
    opened = terms.open.reshape(shape) & ~(absence.held & (absence.fixed <= 0.0))
    reachable = opened | (stock > 0.0)
    of = catalogue.product
    cost = jax.vmap(time.delivery_cost, in_axes=(0, 0, None, 0, 0))(
        catalogue.outbound, catalogue.week, weeks, catalogue.holding[of], catalogue.backlog[of]
    )
    left, lost, leftover = catalogue.left, catalogue.lost_sale[of], catalogue.leftover[of]
    cost = jnp.where(left[:, None, :], leftover[:, None, None], jnp.tile(cost, (1, slots, 1)))
    may_be_lost = jnp.isfinite(lost)
    outside = jnp.where(may_be_lost, lost + catalogue.margin[of], terms.ceiling)
    most = jnp.where(jnp.isfinite(leftover), frame.most[of], 0.0)
    asked = (~left).astype(cost.dtype)
    forgone = jnp.where(may_be_lost, catalogue.margin[of], terms.ceiling)
    return BundleBuyer(
        tiles=Tiles(
            cost=jnp.where(reachable[of][:, :, None], cost, jnp.inf) / terms.money,
            mass=jnp.where(left, most[:, None], catalogue.demand) / terms.volume,
            outside=asked * outside[:, None] / terms.money,
            product=of,
            stock=stock / terms.volume,
        ),
        lost_margin=asked * forgone[:, None] / terms.money,
        must_serve=asked * jnp.where(may_be_lost, 0.0, 1.0)[:, None],
        fixed=absence.fixed / terms.volume,
        held=absence.held,
    )


def seller(vendors: Vendors, frame: Frame, absence: Absence) -> BundleSeller:
    """All vendors of a bundle as one agent, in scaled units; an absent one's sources stand still."""
    terms, shape = frame.terms, absence.fixed.shape
    opened = terms.open.reshape(shape) & ~absence.held
    own, shared = _shipping(vendors)
    margin = jnp.repeat(vendors.margin, vendors.shared.shape[2] * vendors.weeks, axis=1)
    own, shared = (
        jnp.where(opened[:, :, None], cost - margin[:, :, None], jnp.inf) / terms.money
        for cost in (own, shared)
    )
    own_owner = jnp.repeat(vendors.slot, own.shape[2] // vendors.slot.shape[1], axis=1)
    return BundleSeller(
        pool=Pool(
            own=own,
            own_mass=vendors.own_capacity.reshape(own.shape[0], -1) / terms.volume,
            shared=shared,
            shared_mass=vendors.capacity.reshape(-1) / terms.volume,
            fixed=absence.fixed / terms.volume,
            held=absence.held,
        ),
        margin=margin / terms.money,
        node_owner=vendors.node_vendor(),
        own_owner=own_owner,
        shared_owner=jnp.repeat(vendors.owner, vendors.weeks),
        count=vendors.count,
    )


def _stock(inventory: Float[Array, "p i"], slots: int, weeks: int) -> Float[Array, "p n"]:
    """On-hand inventory as a free delivery in week 0, once, whichever vendors deliver there."""
    first = jnp.tile(jnp.arange(weeks) == 0, inventory.shape[1])
    once = jnp.where(first[None, :], jnp.repeat(inventory, weeks, axis=1), 0.0)
    return jnp.pad(once, ((0, 0), (0, (slots - 1) * once.shape[1])))


def _shipping(vendors: Vendors) -> tuple[Float[Array, "p n c"], Float[Array, "p n K"]]:
    """What a unit costs from own and shared sources and weeks to public nodes, margins left out."""
    weeks, (p, v) = vendors.weeks, vendors.slot.shape
    ship = jax.vmap(time.shipping_cost, in_axes=(0, None, 0))
    own = jax.vmap(ship, in_axes=(0, None, 0))(vendors.own, weeks, vendors.holding)  # (p, v, n, c)
    same = jnp.eye(v, dtype=bool)[None, :, None, :, None]
    own = jnp.where(same, own[:, :, :, None, :], jnp.inf).reshape(p, v * own.shape[2], v * own.shape[3])
    # A shared source ships to its own vendor's slot only, and in the weeks when the product draws on it.
    by_slot = jax.vmap(time.shipping_cost, in_axes=(None, None, 0))
    shared = jax.vmap(by_slot, in_axes=(0, None, 0))(vendors.shared, weeks, vendors.holding)
    ours = vendors.owner[None, None, :, None] == vendors.slot[:, :, None, None]
    allowed = (ours & vendors.draws[:, None, :, :]).reshape(p, v, 1, -1)
    return own, jnp.where(allowed, shared, jnp.inf).reshape(p, v * shared.shape[2], -1)
