"""Just-in-time of bundles: what is ordered of each vendor, what it confirms, how the retailer lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import numpy as np

from jaxcpp.consensus.outcome import feasible
from jaxcpp.fleet import store
from jaxcpp.fleet.batch import in_batches, lanes_per_batch
from jaxcpp.fleet.bundle_pack import BundleBucket, OrderPacker, Piece
from jaxcpp.fleet.bundle_whole import whole_shares
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.layout import ROUNDING
from jaxcpp.fleet.pack import Bucket
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism.several import Standing

CHANGED = 1e-9
"""Of a product's order: less than this not confirmed is rounding."""


@dataclass(frozen=True)
class Orders:
    """What the retailer decides product by product, by position of the product in the fleet.

    `plan` [units] is (product, inbound, week); costs are in currency.
    """

    plan: Floats
    lower: Floats
    upper: Floats
    spend: Floats
    unmet: Floats  # units

    @staticmethod
    def none(fleet: Fleet) -> Orders:
        """No product has an order yet."""
        size = len(fleet.product_ids)
        plan = np.zeros((size, len(fleet.inbound_ids), fleet.weeks))
        return Orders(plan, *(np.zeros(size) for _ in range(4)))


def by_vendor(fleet: Fleet, one: Piece, lanes: Any, row: int, orders: Orders, whole: bool) -> Floats:
    """A bundle's order, (product, slot, inbound, week) [units]: each vendor its share where it delivers.

    A node's orders go to the vendors that reach it, in proportion to their shares.
    """
    products, slots = lanes.slot.shape[1:]
    order = np.zeros((products, slots, lanes.outbound.shape[2], fleet.weeks))
    place = {int(node): at for at, node in enumerate(one.nodes)}
    share = np.zeros((products, slots))
    for at, offers in enumerate(one.slots):
        share[at, : len(offers)] = fleet.offers.share[offers]
    owner, slot = lanes.owner[row], lanes.slot[row]
    ours = (owner[None, None, :] == slot[:, :, None]) & lanes.draws[row].any(axis=2)[:, None, :]
    reach = np.isfinite(lanes.own[row]).any(axis=2)
    reach = reach | (ours[:, :, :, None] & np.isfinite(lanes.shared[row])[:, None, :, :]).any(axis=2)
    part = share[:, :, None] * reach
    none = part.sum(axis=1, keepdims=True) == 0.0
    part = np.where(none, reach.astype(float), part)
    total = part.sum(axis=1, keepdims=True)
    part = part / np.where(total > 0.0, total, 1.0)
    for at, product in enumerate(one.bundle.products.tolist()):
        node, week = np.nonzero(orders.plan[product])
        here = np.asarray([place[int(i)] for i in node], np.intp)
        units, mine = orders.plan[product, node, week], part[at][:, here]
        order[at][:, here, week] = whole_shares(mine, units) if whole else mine * units[None, :]
    return order


def confirmed_by(
    lanes: Any, order: Floats, volume: Floats, step: Callable[..., Any], settings: Settings
) -> Any:
    """What vendors confirm of their orders [units] and what that costs: a part where they must or may."""
    nobody, whole = np.zeros_like(lanes.here), settings.units == "integer"
    some, short, filling = np.arange(len(order)), np.ones_like(lanes.here), None
    if settings.just_in_time == "obliged":
        filling = step("bundle_fill", lanes, order, nobody, static=(whole,))
        short = ~feasible(filling.unfilled)
        some = np.flatnonzero(short.any(axis=1))
    filling = step("bundle_fill", lanes, order, short, static=(whole,), chosen=some, into=filling)
    if whole and len(some):
        # What is confirmed in whole units may be shipped more cheaply than a part of what would have been.
        unfilled, units = filling.unfilled.copy(), filling.plan * volume[:, None]
        filling = step("bundle_fill", lanes, units, nobody, static=(whole,), chosen=some, into=filling)
        filling = eqx.tree_at(lambda f: f.unfilled, filling, unfilled)
    return filling


def standing_of(
    bucket: BundleBucket,
    packer: OrderPacker,
    products: list[Bucket],
    orders: Orders,
    agreed: Any,
    filling: Any,
    order: Floats,
    fees: Charges,
    settings: Settings,
) -> Standing:
    """Just-in-time of every bundle in its own scaled units.

    As one of the alternatives of several vendors it counts what is sure to arrive: the orders of those that
    can fill them, where whether they can is a fact. Where they fill what suits them, which is theirs to say,
    it counts the whole orders, and only under additive fees or where demand must be served: else it keeps
    nobody from anything. Where demand must be served and what is sure does not serve it, it counts the whole
    orders too, as it does for a vendor alone: each vendor has something to stay out for, whatever the others
    report.
    """
    volume = agreed.known.terms.volume
    unit = volume * agreed.known.terms.money
    lives = partial(live, bucket, packer, products, orders, settings=settings)
    confirmed = filling.plan.reshape(order.shape) * volume[:, None, None, None, None]
    lived = lives(confirmed, _cut_short(bucket, orders, order, confirmed))
    slot = np.broadcast_to(bucket.lanes.slot[:, :, :, None, None], order.shape)
    lane = np.broadcast_to(np.arange(len(order))[:, None, None, None, None], order.shape)

    def summed(known: Floats, scale: Floats) -> Any:
        return by_bundle(bucket, known) / scale

    ordered, retailer = (
        tuple(summed(column, unit) for column in (cost.lower, cost.upper, cost.spend))
        for cost in (orders, lived)
    )
    share: Any = np.zeros(bucket.lanes.here.shape)
    np.add.at(share, (lane[slot >= 0], slot[slot >= 0]), order[slot >= 0])
    share = np.where(share.sum(axis=1, keepdims=True) > 0.0, share, bucket.lanes.here)
    share = share / share.sum(axis=1, keepdims=True)
    apart = orders
    if settings.absent == "jit" and settings.just_in_time == "obliged":
        can = feasible(filling.unfilled)[lane, np.maximum(slot, 0)]
        sure = np.where(can, order, 0.0)
        apart = lives(sure, _cut_short(bucket, orders, order, sure))
    serves = summed(apart.unmet, volume) <= ROUNDING
    others = [
        np.where(serves, summed(sure, unit), whole)
        for sure, whole in zip((apart.lower, apart.upper, apart.spend), ordered, strict=True)
    ]
    counts = np.full(len(order), settings.absent == "jit")
    if settings.just_in_time == "voluntary":
        must = by_bundle(bucket, np.isinf(packer.fleet.products.lost_sale_cost)) > 0.0
        counts &= (fees.alpha > 0.0).any(axis=1) | must
    others = [np.where(counts, column, np.inf) for column in others]
    facts = ordered, retailer, filling, summed(lived.unmet, volume), share, others
    return store.fetch(in_batches(len(share), "bundle_stand", facts, ()))


def _cut_short(bucket: BundleBucket, orders: Orders, order: Floats, confirmed: Floats) -> Index:
    """Products of which not all that is ordered is confirmed."""
    cut = np.zeros(len(orders.lower), bool)
    left = np.maximum(order - confirmed, 0.0).sum(axis=(2, 3, 4))
    for row, one in enumerate(bucket.pieces):
        of, total = one.bundle.products, order[row].sum(axis=(1, 2, 3))
        cut[of] = (left[row] > CHANGED * total)[: len(of)]
    return np.flatnonzero(cut)


def by_bundle(bucket: BundleBucket, known: Floats) -> Floats:
    """Numbers by product of the fleet, added up by bundle."""
    return np.stack([known[one.bundle.products].sum() for one in bucket.pieces])


def live(
    bucket: BundleBucket,
    packer: OrderPacker,
    products: list[Bucket],
    orders: Orders,
    arrived: Floats,
    cut: Index,
    settings: Settings,
) -> Orders:
    """The retailer's life with what has `arrived` [units] of products `cut`, and its orders of all others."""
    lived = Orders(
        np.zeros_like(orders.plan),
        orders.lower.copy(),
        orders.upper.copy(),
        orders.spend.copy(),
        orders.unmet.copy(),
    )
    for row, one in enumerate(bucket.pieces):
        of = one.bundle.products
        lived.plan[np.ix_(of, one.nodes)] = arrived[row].sum(axis=1)[: len(of), : len(one.nodes)]
    for lanes in products:
        product = packer.found.product[lanes.contract]
        chosen = np.flatnonzero(np.isin(product, cut))
        if not len(chosen):
            continue
        size = lanes_per_batch(lanes.shape, len(product), settings)
        plan = lived.plan[product[:, None], lanes.nodes] * (lanes.nodes >= 0)[:, :, None]
        args = lanes.lanes, plan.reshape(len(product), -1)
        cost, unmet = store.fetch(
            in_batches(size, "live", args, (np.asarray(settings.tolerance),), chosen=chosen)
        )
        volume = lanes.lanes.demand.sum(axis=1)
        volume = np.where(volume > 0.0, volume, 1.0)
        unit, at = (volume * lanes.lanes.scale)[chosen], product[chosen]
        lived.lower[at], lived.upper[at] = cost.lower[chosen] * unit, cost.upper[chosen] * unit
        lived.spend[at], lived.unmet[at] = cost.spend[chosen] * unit, unmet[chosen] * volume[chosen]
    return lived
