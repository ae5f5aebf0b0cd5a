"""Fees on products that are planned together: price schedules of one vendor or several.

With one vendor a schedule is `mechanism.fees`': it minds the retailer's cost `1 + rate` times, and its own
deviations at what they are charged. With several, each with a rate of its own, the plan is the one that is
best with every vendor's utility, its charges on deviations taken off, counted `w_m = 1 / (1 + rate_m)` times
beside the retailer's:

    x* = argmax  u_A(x) + sum of w_m (u_m(x) - deviation_m(x))

and vendor m is asked for `deviation_m(x*)` and `1 / w_m` times what all others, so counted, would gain
without it. What it is left with is then `1 / w_m` times the maximum itself less something it has no part in:
a weighted Vickrey-Clarke-Groves mechanism, as truthful as the unweighted one (Roberts 1979, affine
maximizers). Without fees it is that of `mechanism.several`; with one vendor it is the schedule.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.agents.bundle_agents import BundleBuyer, BundleSeller, TolledBuyer
from jaxcpp.agents.terms import Terms
from jaxcpp.agents.toll import Toll
from jaxcpp.consensus.outcome import Outcome


class BundleFees(eqx.Module):
    """What each vendor of a bundle is charged; None is known to be nothing, as in `fees.Schedule`."""

    alpha: Float[Array, " m"]  # currency
    after: Float[Array, " m"]  # of the transfer's size, once the plan is chosen without it
    rate: Float[Array, " m"] | None = None  # of the transfer
    over: Float[Array, "p n"] | None = None  # currency / unit of a vendor's own deliveries, by public node
    under: Float[Array, "p n"] | None = None

    @property
    def distorts(self) -> bool:
        """Whether the plan may be another than the efficient one."""
        return self.rate is not None or self.over is not None

    def weight(self) -> Float[Array, " m"]:
        """How much a vendor's utility counts beside the retailer's."""
        return jnp.ones_like(self.alpha) if self.rate is None else 1.0 / (1.0 + self.rate)

    def scale(self) -> Float[Array, ""]:
        """What all costs are divided by to stay of order 1, however little a vendor counts."""
        return 0.5 * (1.0 + jnp.min(self.weight()))


class PosedBundle(eqx.Module):
    """The consensus whose plan is carried out: the retailer's costs over `scale`, vendors' times `times`."""

    retailer: BundleBuyer | TolledBuyer
    supplier: BundleSeller
    scale: Float[Array, ""]
    times: Float[Array, " m"]

    @property
    def toll(self) -> Toll | None:
        """What deviations are charged in the consensus' own money."""
        return self.retailer.toll if isinstance(self.retailer, TolledBuyer) else None


class Accounts(eqx.Module):
    """What a plan costs each party in its own costs, from below and above, in scaled units."""

    retailer: Float[Array, ""]
    retailer_floor: Float[Array, ""]
    retailer_spend: Float[Array, ""]
    vendors: Float[Array, " m"]  # margins netted out
    floors: Float[Array, " m"]
    spend: Float[Array, " m"]
    deviation: Float[Array, " m"]  # what each vendor's own deviations are charged
    dust: Float[Array, ""]  # what units that rounding left unshipped might cost

    @property
    def cost(self) -> Float[Array, ""]:
        """All parties' cost of the plan."""
        return self.retailer + jnp.sum(self.vendors)

    @property
    def floor(self) -> Float[Array, ""]:
        """Below all parties' cheapest cost of the plan."""
        return self.retailer_floor + jnp.sum(self.floors)


def pose(
    fees: BundleFees | None,
    retailer: BundleBuyer,
    supplier: BundleSeller,
    order: Float[Array, "p n"],
    terms: Terms,
) -> PosedBundle:
    """Both sides as the fees make them; `order` is just-in-time by vendor, in scaled units.

    Who takes no part is charged nothing for what it delivers.
    """
    if fees is None or not fees.distorts:
        one = jnp.ones((), order.dtype)
        return PosedBundle(retailer, supplier, one, jnp.ones(supplier.count, order.dtype))
    scale = fees.scale()
    times = fees.weight() / scale
    by_node = jnp.where(supplier.node_owner >= 0, times[jnp.maximum(supplier.node_owner, 0)], 1.0)
    ships = eqx.tree_at(
        lambda s: (s.pool.own, s.pool.shared, s.margin),
        supplier,
        (supplier.pool.own * by_node[:, :, None], supplier.pool.shared * by_node[:, :, None],
         supplier.margin * by_node),
    )  # fmt: skip
    tiles = retailer.tiles
    buys = eqx.tree_at(
        lambda r: (r.tiles.cost, r.tiles.outside, r.lost_margin),
        retailer,
        (tiles.cost / scale, tiles.outside / scale, retailer.lost_margin / scale),
    )
    if fees.over is None or fees.under is None:
        return PosedBundle(buys, ships, scale, times)
    held = retailer.held
    most = tiles.by_product(jnp.sum(tiles.mass, axis=1))[:, None]
    most = jnp.where(terms.open.reshape(held.shape) & ~held, most, 0.0)
    fast = terms.ceiling / terms.money
    over, under = (
        jnp.where(held, fast, charge / terms.money * by_node).reshape(-1)
        for charge in (fees.over, fees.under)
    )
    # Moving a unit costs a charge above and one below: demand that must be served is dearer still to leave.
    never = jnp.where(held, 0.0, jnp.maximum(fees.over, fees.under) / terms.money * by_node)
    never = 2.0 * jnp.max(never) * buys.must_serve
    buys = eqx.tree_at(
        lambda r: (r.tiles.outside, r.lost_margin),
        buys,
        (buys.tiles.outside + never, buys.lost_margin + never),
    )
    baseline = jnp.where(held, retailer.fixed, order).reshape(-1)
    return PosedBundle(TolledBuyer(buys, Toll(baseline, over, under, most.reshape(-1))), ships, scale, times)


def account(posed: PosedBundle, outcome: Outcome, terms: Terms) -> Accounts:
    """Every party's own cost of a posed consensus' plan."""
    supplier, times = posed.supplier, posed.times
    flows = supplier.flows(outcome.plan, -outcome.price, outcome.epsilon)
    cost, spend = supplier.accounts(flows)
    floors = jnp.minimum(supplier.floors(outcome.plan, -outcome.price), cost)
    charged = jnp.zeros_like(cost) if posed.toll is None else deviations(posed, outcome.plan)
    tolls = jnp.sum(charged)
    return Accounts(
        retailer=(outcome.retailer.cost - tolls) * posed.scale,
        retailer_floor=(outcome.retailer_floor - tolls) * posed.scale,
        retailer_spend=outcome.retailer.spend * posed.scale,
        vendors=cost / times,
        floors=floors / times,
        spend=spend / times,
        deviation=charged / times,
        dust=jnp.sum(flows.short) * terms.ceiling / terms.money,
    )


def deviations(posed: PosedBundle, plan: Float[Array, " N"]) -> Float[Array, " m"]:
    """What each vendor's deviations are charged, in the consensus' own money."""
    toll, shape = posed.toll, posed.supplier.margin.shape
    assert toll is not None, "asked for where deviations are charged"
    return posed.supplier.by_node(toll.by_node(plan).reshape(shape))
