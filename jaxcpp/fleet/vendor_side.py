"""A vendor's own side of a fleet as an outside agent: its tables answer, and stay where they are.

The utility reported is profit less the cheapest cost of shipping, proven to be within its reach.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcpp.agents.border import AgentFault
from jaxcpp.agents.outside import Smoothed
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms
from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import CoupledContractsError, of_offers
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.pack import Packer, scales
from jaxcpp.fleet.vendors import Frame, Mask, Opened
from jaxcpp.mechanism import status_quo as quo
from jaxcpp.mechanism.terms import CEILING
from jaxcpp.transport.side import vertex

TOLERANCE = 1e-8
"""Relative bracket of what shipping a plan costs; one that is much tighter is made of rounding."""
SHORT = 2e-8
"""Of a plan: what may be asked for beyond a capacity by rounding."""


class VendorSide:
    """The supplier tables of one vendor.

    Raises:
        ValueError: the tables are of no vendor, or of several.
        CoupledContractsError: products share a source's capacity: they cannot answer one by one.
    """

    def __init__(self, side: Fleet) -> None:
        if len(side.vendor_ids) != 1:
            names = ", ".join(map(repr, side.vendor_ids.tolist()[:3])) or "none"
            raise ValueError(f"offers must be those of one vendor; it has {len(side.vendor_ids)}: {names}")
        tied = bundles(side)
        if len(tied):
            first = ", ".join(repr(str(name)) for name in side.product_ids[tied.items[0].products[:2]])
            raise CoupledContractsError(
                f"products share a source's capacity, as {first}, and an agent answers for each product by "
                "itself; give each product a capacity of its own in sources"
            )
        self.vendor_id = str(side.vendor_ids[0])
        self._side = side

    def open(self, frame: Frame) -> Opened:
        """An agent for some of the vendor's products, of which it need not offer all."""
        side = self._side
        for what, own, asked in (
            ("currency", side.currency, frame.currency),
            ("first_week", side.first_week, frame.first_week),
        ):
            if own and asked and own != asked:
                raise AgentFault("refused", f"its {what} is {own}, not {asked}")
        rows = np.flatnonzero((side.sources.week < frame.weeks) & (side.sources.week >= -1))
        sources = replace(side.sources, **{k: v[rows] for k, v in vars(side.sources).items()})
        side = replace(side, weeks=frame.weeks, sources=sources)
        packer = Packer(side, of_offers(side, np.arange(len(side.offers.vendor))))
        count, width, most = len(frame.contract_ids), frame.width, max(packer.most_sources, 1)
        cost, capacity = np.full((count, most, width), np.inf), np.zeros((count, most, frame.weeks))
        numbers = np.zeros((count, 2))
        product_at = dict(zip(side.product_ids.tolist(), range(len(side.product_ids)), strict=True))
        node_at = dict(zip(side.inbound_ids.tolist(), range(len(side.inbound_ids)), strict=True))
        offer_of = {int(product): row for row, product in enumerate(side.offers.product)}
        for lane, (name, nodes) in enumerate(zip(frame.product_ids, frame.inbound_ids, strict=True)):
            product = product_at.get(name)
            if product is None:
                continue  # reached nowhere
            _, lanes, units = packer.sources(0, product)
            here = [(slot, node_at[node]) for slot, node in enumerate(nodes) if node in node_at]
            for slot, mine in here:
                cost[lane, : len(lanes), slot] = lanes[:, mine]
            capacity[lane, : len(units)] = units
            offer = offer_of[product]
            numbers[lane] = side.offers.margin[offer], side.offers.holding_cost[offer]
        capacity = np.minimum(capacity, frame.most[:, None, None])  # a plan never needs more of a source
        agent = PlatformSupplier(cost, capacity, numbers)
        return Opened(agent, agent.reached)


class PlatformSupplier:
    """Answers prices, smoothed or not, plans and orders for a batch of products, by our own transport code.

    Args:
        cost: (product, source, inbound) [currency / unit]; inf where there is no lane.
        capacity: (product, source, week) [units].
        numbers: (product, 2) margin of a unit [currency] and cost of holding it a week [currency / week].
    """

    def __init__(self, cost: Floats, capacity: Floats, numbers: Floats) -> None:
        weeks = capacity.shape[2]
        self.reached: Mask = np.any(np.isfinite(cost), axis=1)
        self._supplier = jax.vmap(lambda c, k, n: Supplier(c, k, n[0], holding_cost=n[1]))(
            *map(jnp.asarray, (cost, capacity, numbers))
        )
        total = capacity.sum(axis=(1, 2))
        money = scales(np.full((len(cost), 1, 1), np.inf), cost)
        dearest = np.max(np.where(np.isfinite(cost), cost, 0.0), axis=(1, 2), initial=0.0)
        dearest += weeks * numbers[:, 1] + np.abs(numbers[:, 0])
        frame = (  # in the order of a contract's `Terms`
            np.repeat(self.reached, weeks, axis=1),
            np.where(total > 0.0, total, 1.0),
            money,
            CEILING * np.maximum(dearest, money),
            total,
        )
        self._terms = jax.vmap(Terms)(*map(jnp.asarray, frame))

    def best_plan(self, price: Floats) -> tuple[Floats, Floats]:
        """The plan that earns most at a price, exactly, and what it earns before the price."""
        plan, utility = _best(self._supplier, self._terms, jnp.asarray(price))
        return np.asarray(plan), np.asarray(utility)

    def smoothed_plan(self, price: Floats, smoothing: Floats) -> Smoothed:
        """The plan at a price that leaves nothing quite undone, and how it moves."""
        numbers = _smoothed(self._supplier, self._terms, jnp.asarray(price), jnp.asarray(smoothing))
        return Smoothed(*map(np.asarray, numbers))

    def value(self, plan: Floats) -> Floats:
        """What a plan earns; -inf where capacity or lanes do not allow it."""
        return np.asarray(_value(self._supplier, self._terms, jnp.asarray(plan)))

    def confirm(self, order: Floats) -> Floats:
        """The whole order where capacity allows it, else the part that earns most."""
        return np.asarray(_confirm(self._supplier, self._terms, jnp.asarray(order)))


def _sized(terms: Terms, units: Float[Array, " n"]) -> Terms:
    """The frame scaled to the units in question."""
    total = jnp.sum(units)
    return replace(terms, volume=jnp.where(total > 0.0, total, 1.0))


@jax.jit
@jax.vmap
def _best(
    supplier: Supplier, terms: Terms, price: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    plan, cost = vertex(supplier.agent(terms).side, price / terms.money)
    return plan * terms.volume, -cost * terms.money * terms.volume


@jax.jit
@jax.vmap
def _smoothed(
    supplier: Supplier, terms: Terms, price: Float[Array, " n"], smoothing: Float[Array, ""]
) -> tuple[Array, ...]:
    # A lane that is done may be asked about with no smoothing at all.
    epsilon = jnp.where(smoothing > 0.0, smoothing, terms.money) / terms.money
    scaled, volume, unit = price / terms.money, terms.volume, terms.money * terms.volume
    seen = supplier.agent(terms).respond(scaled, epsilon)
    cost = seen.value + seen.bias - jnp.vdot(scaled, seen.plan)
    bend = volume / terms.money
    return (
        seen.plan * volume, -cost * unit, -seen.value * unit, -seen.bound * unit, seen.drift * bend,
        seen.slope * bend,
    )  # fmt: skip


@jax.jit
@jax.vmap
def _value(supplier: Supplier, terms: Terms, plan: Float[Array, " n"]) -> Float[Array, ""]:
    cost, short, _ = _filled(supplier, terms, plan)
    return jnp.where(short, -jnp.inf, -cost)


@jax.jit
@jax.vmap
def _confirm(supplier: Supplier, terms: Terms, order: Float[Array, " n"]) -> Float[Array, " n"]:
    _, short, sized = _filled(supplier, terms, order)
    tolerance = jnp.asarray(TOLERANCE, order.dtype)
    _, unfilled = quo.confirmed_part(supplier, sized, order, tolerance, ~short)
    return jnp.where(short, jnp.clip(order - unfilled * sized.volume, 0.0, order), order)


def _filled(
    supplier: Supplier, terms: Terms, plan: Float[Array, " n"]
) -> tuple[Float[Array, ""], Bool[Array, ""], Terms]:
    """What shipping a plan costs, the profit netted out [currency], and whether it cannot be shipped."""
    sized = _sized(terms, plan)
    cost, unfilled = quo.filling(supplier, sized, plan, jnp.asarray(TOLERANCE, plan.dtype))
    return cost.upper * sized.money * sized.volume, jnp.sum(unfilled) > SHORT, sized
