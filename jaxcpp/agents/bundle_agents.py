"""The agents of a bundle: a retailer with several products, its vendors, and a list of order lines.

They answer prices and confirm plans as `TransportAgent` does, for flat vectors of all public nodes.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.agents.protocol import Confirmation, Response
from jaxcpp.agents.toll import Toll
from jaxcpp.agents.tolled import Parts
from jaxcpp.transport import bundle, bundle_rounding
from jaxcpp.transport.bordered import Bordered
from jaxcpp.transport.bundle import Pool, Tiles

NEARLY = 1e-2
"""An order line filled but for less than this share of it is asked for in full."""


class BundleBuyer(eqx.Module):
    """The retailer: its private columns, and what arrives whatever it says. Terms as `TransportAgent`."""

    tiles: Tiles
    lost_margin: Float[Array, "t w"]  # currency / unit
    must_serve: Float[Array, "t w"]  # 1 or 0
    fixed: Float[Array, "p n"]
    held: Bool[Array, "p n"]

    def respond(self, price: Float[Array, " N"], epsilon: Float[Array, ""]) -> Response:
        """Best plan at a price, smoothed, with value, slope and bound."""
        seen, unserved = bundle.serve(self.tiles, price.reshape(self.fixed.shape), epsilon)
        plan = seen.plan.reshape(-1)
        spend = seen.value + seen.bias - jnp.vdot(price, plan) - jnp.sum(self.lost_margin * unserved)
        return Response(seen.value, seen.bias, seen.bound, plan, seen.slope, seen.drift.reshape(-1), spend)

    def bound(self, price: Float[Array, " N"]) -> Float[Array, ""]:
        """Least cost plus `price @ x` over all plans `x`, exactly."""
        return jnp.sum(bundle.serve_bound(self.tiles, price.reshape(self.fixed.shape)))

    def propose(self, price: Float[Array, " N"], epsilon: Float[Array, ""]) -> Float[Array, " N"]:
        """The smoothed best plan without the smoothing's dust, and exactly what is fixed."""
        prices = price.reshape(self.fixed.shape)
        lane, _ = bundle_rounding.pruned_tiles(*bundle.serve_split(self.tiles, prices, epsilon))
        taken = self.tiles.by_product(jnp.sum(lane * self.tiles.mass[:, None, :], axis=2))
        taken = jnp.maximum(taken - self.tiles.stock * jax.nn.sigmoid(prices / epsilon), 0.0)
        return jnp.where(self.held, self.fixed, taken).reshape(-1)

    def flows(
        self, plan: Float[Array, " N"], price: Float[Array, " N"], epsilon: Float[Array, ""]
    ) -> bundle_rounding.Taken:
        """Private flows that take `plan`, near those that answer `price`."""
        shape = self.fixed.shape
        parts = bundle.serve_split(self.tiles, price.reshape(shape), epsilon)
        return bundle_rounding.settle_tiles(self.tiles, *parts, plan.reshape(shape))

    def confirm(
        self,
        plan: Float[Array, " N"],
        price: Float[Array, " N"],
        epsilon: Float[Array, ""],
        memory: Any = None,
    ) -> Confirmation:
        """What living with exactly `plan` costs, by flows near those that answer `price`."""
        del memory
        flows = self.flows(plan, price, epsilon)
        cost = jnp.sum(_paid(self.tiles.cost, flows.lane)) + jnp.sum(self.tiles.outside * flows.outside)
        spend = cost - jnp.sum(self.lost_margin * flows.outside)
        unmet = jnp.sum(self.must_serve * flows.outside)
        return Confirmation(cost, spend, flows.short.reshape(-1), unmet)


class TolledBuyer(eqx.Module):
    """The retailer with a toll on its plan; what it answers, and between which prices, as `TolledAgent`."""

    agent: BundleBuyer
    toll: Toll

    @property
    def blocks(self) -> int:
        """Products."""
        return self.agent.fixed.shape[0]

    def at(self, inner: Float[Array, " N"]) -> Parts:
        """Both with a price between them."""
        return Parts(self.agent, self.toll, inner)

    def parts(
        self, inner: Float[Array, " N"], price: Float[Array, " N"], epsilon: Float[Array, ""]
    ) -> tuple[Response, Response]:
        """The retailer's answer to `inner` and the toll's to the rest of `price`."""
        charged = self.toll.answer(price - inner, epsilon)
        escape = charged.slope.reshape(self.agent.fixed.shape)
        nothing = jnp.zeros((*escape.shape, 0), escape.dtype)
        diagonal = Bordered(None, escape, nothing, nothing[0, 0])
        return self.agent.respond(inner, epsilon), eqx.tree_at(lambda r: r.slope, charged, diagonal)


class Lines(eqx.Module):
    """An order to be filled: one line a public node, each of which may be left unfilled at a cost.

    In the place of the retailer this makes filling an order a consensus like any other.
    """

    order: Float[Array, "p n"]
    unfilled: Float[Array, "p n"]  # currency / unit

    def respond(self, price: Float[Array, " N"], epsilon: Float[Array, ""]) -> Response:
        """What is asked for at a price, smoothed: each line on its own."""
        gap = (self.unfilled - price.reshape(self.order.shape)) / epsilon
        share, soft = jax.nn.sigmoid(gap), jax.nn.softplus(gap)
        plan = self.order * share
        bend = plan * (1.0 - share) / epsilon
        value = jnp.sum(self.order * (self.unfilled - epsilon * soft))
        bias = epsilon * jnp.sum(self.order * (soft - gap * share))
        nothing = jnp.zeros((*bend.shape, 0), bend.dtype)
        slope = Bordered(None, bend, nothing, nothing[0, 0])
        zero = jnp.zeros_like(value)
        return Response(
            value, bias, self.bound(price), plan.reshape(-1), slope, (-bend * gap).reshape(-1), zero
        )

    def bound(self, price: Float[Array, " N"]) -> Float[Array, ""]:
        """Least cost plus `price @ x` over all fillings `x`, exactly."""
        return jnp.sum(self.by_line(price))

    def by_line(self, price: Float[Array, " N"]) -> Float[Array, "p n"]:
        """`bound`, line by line."""
        return self.order * jnp.minimum(price.reshape(self.order.shape), self.unfilled)

    def propose(self, price: Float[Array, " N"], epsilon: Float[Array, ""]) -> Float[Array, " N"]:
        """What is asked for at a price; lines that are all but filled, in full."""
        share = jax.nn.sigmoid((self.unfilled - price.reshape(self.order.shape)) / epsilon)
        share = jnp.where(share > 1.0 - NEARLY, 1.0, share)
        return (self.order * share).reshape(-1)

    def confirm(
        self,
        plan: Float[Array, " N"],
        price: Float[Array, " N"],
        epsilon: Float[Array, ""],
        memory: Any = None,
    ) -> Confirmation:
        """What the lines left unfilled cost: all of it lost, none spent."""
        del price, epsilon, memory
        left = jnp.maximum(self.order.reshape(-1) - plan, 0.0)
        zero = jnp.zeros((), plan.dtype)
        return Confirmation(jnp.vdot(self.unfilled.reshape(-1), left), zero, jnp.zeros_like(plan), zero)


class BundleSeller(eqx.Module):
    """The vendors of a bundle: they answer one price together, and each has an account of its own.

    `margin` is profit that the lanes' costs were lowered by; the owners number the vendors, -1 none.
    """

    pool: Pool
    margin: Float[Array, "p n"]  # currency / unit
    node_owner: Int[Array, "p n"]
    own_owner: Int[Array, "p k"]
    shared_owner: Int[Array, " K"]
    count: int = eqx.field(static=True)

    def quote(self) -> Float[Array, " N"]:
        """Price at which a vendor would part with the first unit: its best lane [currency / unit]."""
        best = jnp.minimum(
            jnp.min(self.pool.own, axis=2, initial=jnp.inf),
            jnp.min(self.pool.shared, axis=2, initial=jnp.inf),
        )
        return jnp.where(jnp.isfinite(best), best, 0.0).reshape(-1)

    def respond(self, price: Float[Array, " N"], epsilon: Float[Array, ""]) -> Response:
        """Best plan at a price, smoothed, with value, slope and bound."""
        seen = bundle.ship(self.pool, price.reshape(self.margin.shape), epsilon)
        plan = seen.plan.reshape(-1)
        earned = jnp.sum(self.margin * (seen.plan - self.pool.fixed))
        spend = seen.value + seen.bias - jnp.vdot(price, plan) + earned
        return Response(seen.value, seen.bias, seen.bound, plan, seen.slope, seen.drift.reshape(-1), spend)

    def bound(self, price: Float[Array, " N"]) -> Float[Array, ""]:
        """Least cost plus `price @ x` over all plans `x`, exactly."""
        own, shared, fixed = bundle.ship_bound(self.pool, price.reshape(self.margin.shape))
        return jnp.sum(own) + jnp.sum(shared) + jnp.sum(fixed)

    def propose(self, price: Float[Array, " N"], epsilon: Float[Array, ""]) -> Float[Array, " N"]:
        """The smoothed best plan: what sources ship at a price."""
        return bundle.ship(self.pool, price.reshape(self.margin.shape), epsilon).plan.reshape(-1)

    def flows(
        self, plan: Float[Array, " N"], price: Float[Array, " N"], epsilon: Float[Array, ""]
    ) -> bundle_rounding.Shipped:
        """Private flows that ship `plan`, near those that answer `price`."""
        shares = bundle.ship_split(self.pool, price.reshape(self.margin.shape), epsilon)
        return bundle_rounding.settle_pool(self.pool, shares, plan.reshape(self.margin.shape))

    def confirm(
        self,
        plan: Float[Array, " N"],
        price: Float[Array, " N"],
        epsilon: Float[Array, ""],
        memory: Any = None,
    ) -> Confirmation:
        """What shipping `plan` costs, by flows near those that answer `price`."""
        del memory
        flows = self.flows(plan, price, epsilon)
        cost = jnp.sum(_paid(self.pool.own, flows.own)) + jnp.sum(_paid(self.pool.shared, flows.shared))
        sent = jnp.sum(flows.own, axis=2) + jnp.sum(flows.shared, axis=2)
        zero = jnp.zeros_like(cost)
        return Confirmation(cost, cost + jnp.sum(self.margin * sent), flows.short.reshape(-1), zero)

    def accounts(self, flows: bundle_rounding.Shipped) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
        """Each vendor's cost of its flows, its margin netted out, and the money it spends."""
        paid = jnp.sum(_paid(self.pool.own, flows.own), axis=2)
        paid = paid + jnp.sum(_paid(self.pool.shared, flows.shared), axis=2)
        sent = jnp.sum(flows.own, axis=2) + jnp.sum(flows.shared, axis=2)
        cost = self.by_node(paid)
        return cost, cost + self.by_node(self.margin * sent)

    def floors(self, plan: Float[Array, " N"], price: Float[Array, " N"]) -> Float[Array, " m"]:
        """Below each vendor's cheapest cost of its part of a plan, margin netted out; see `bound`."""
        prices = price.reshape(self.margin.shape)
        own, shared, _ = bundle.ship_bound(self.pool, prices)
        paid = self.by_node(prices * (plan.reshape(prices.shape) - self.pool.fixed))
        return _by(self.own_owner, own, self.count) + _by(self.shared_owner, shared, self.count) - paid

    def by_node(self, values: Float[Array, "p n"]) -> Float[Array, " m"]:
        """Sum over each vendor's public nodes."""
        return _by(self.node_owner, values, self.count)


def _by(owner: Int[Array, ...], values: Float[Array, ...], count: int) -> Float[Array, " m"]:
    """Sum by vendor; -1 is nobody."""
    kept = jnp.where(owner >= 0, values, 0.0)
    return jax.ops.segment_sum(kept.reshape(-1), jnp.maximum(owner, 0).reshape(-1), count)


def _paid(cost: Float[Array, ...], flow: Float[Array, ...]) -> Float[Array, ...]:
    return jnp.where(flow > 0.0, cost, 0.0) * flow
