"""Plan a fleet's bundles: order product by product, fill, agree, price each vendor's absence, settle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import equinox as eqx
import numpy as np

from jaxcpp.consensus import newton
from jaxcpp.consensus.outcome import feasible
from jaxcpp.fleet import store
from jaxcpp.fleet.batch import OnLanes, in_batches, lanes_per_batch, rows, unknown
from jaxcpp.fleet.bundle_fees import bundle_charges
from jaxcpp.fleet.bundle_flows import bundle_flows
from jaxcpp.fleet.bundle_pack import BundleBucket, OrderPacker, Piece, bundle_buckets
from jaxcpp.fleet.bundle_steps import Agreed
from jaxcpp.fleet.bundle_whole import issue_whole_bundles, near_whole, whole_shares
from jaxcpp.fleet.bundles import Bundles, Capacity
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.pack import Bucket, Padding
from jaxcpp.fleet.programs import PROGRAMS
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism.settlement import Settlement
from jaxcpp.mechanism.several import Found, Standing, Without

NUMBERS = 1_000_000
"""Of a batch of bundles, that a step goes through: more would leave the cache, and take longer each."""

MOST = 64
"""Bundles solved together at most."""

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


@dataclass(frozen=True)
class BundleSolved:
    """A bucket of bundles with its answers, first axis the bundle; numpy leaves. Plans in units."""

    bucket: BundleBucket
    agreed: Agreed
    found: Found  # the consensus whose plan is offered: the fee-free one where no fee moves plans
    standing: Standing
    without: Without
    settlement: Settlement
    order: Floats  # (lane, product, slot, inbound, week)
    jit: Floats
    plan: Floats
    flows: Columns | None  # behind the plans, where they were asked for


def solve_bundles(
    fleet: Fleet,
    tied: Bundles,
    settings: Settings,
    on_lanes: OnLanes,
    workers: int = 1,
    padding: Padding | None = None,
) -> list[BundleSolved]:
    """Every bundle, to its certificate or to the end of its rounds."""
    if not len(tied):
        return []
    limits = Capacity(fleet)
    packer = OrderPacker(fleet, tied, limits, settings.units == "integer", padding)
    products = packer.buckets()
    nodes_of: dict[int, Index] = {}
    for bucket in products:
        for at, nodes in zip(bucket.contract.tolist(), bucket.nodes, strict=True):
            nodes_of[int(packer.found.product[at])] = nodes[nodes >= 0].astype(np.intp)
    orders = Orders.none(fleet)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda one: _order(one, packer, settings, orders), products))
    buckets = bundle_buckets(packer, limits, tied, nodes_of)
    with ThreadPoolExecutor(workers) as pool:
        return list(
            pool.map(lambda one: _solve_bucket(one, packer, products, orders, settings, on_lanes), buckets)
        )


def _order(bucket: Bucket, packer: OrderPacker, settings: Settings, orders: Orders) -> None:
    """The just-in-time orders of a bucket of products, into `orders`."""
    size = lanes_per_batch(bucket.shape, len(bucket.contract), settings)
    whole = settings.units == "integer"
    args, tolerance = (bucket.lanes, unknown(bucket)), np.asarray(settings.tolerance)
    prepared = store.fetch(in_batches(size, "prepare", args, (tolerance,), ("newton", whole)))
    volume, unit = prepared.terms.volume, prepared.terms.volume * prepared.terms.money
    product = packer.found.product[bucket.contract]
    plan = prepared.order.plan.reshape(len(product), bucket.shape.inbound, -1) * volume[:, None, None]
    lane, node = np.nonzero(bucket.nodes >= 0)
    orders.plan[product[lane], bucket.nodes[lane, node]] = plan[lane, node]
    cost = prepared.order.cost
    orders.lower[product], orders.upper[product] = cost.lower * unit, cost.upper * unit
    orders.spend[product], orders.unmet[product] = cost.spend * unit, prepared.order.unmet * volume


def _solve_bucket(
    bucket: BundleBucket,
    packer: OrderPacker,
    products: list[Bucket],
    orders: Orders,
    settings: Settings,
    on_lanes: OnLanes,
) -> BundleSolved:
    lanes, count = bucket.lanes, len(bucket.pieces)
    padding, kind = packer.padding, bucket.pieces[0].key
    size = per_batch(bucket, count if padding is None else padding.bundles[kind][0], settings)
    tolerance = np.asarray(settings.tolerance)
    rounds = newton.MAX_ROUNDS if settings.max_rounds is None else settings.max_rounds
    limit = np.asarray(rounds, np.int32)
    fees = bundle_charges(settings.fees, packer.fleet, bucket.pieces, lanes)

    def step(
        name: str, *args: Any, shared: tuple[Any, ...] = (), static: tuple[Any, ...] = (), **more: Any
    ) -> Any:
        return store.fetch(in_batches(size, name, args, (*shared, tolerance, limit), static, **more))

    whole = settings.units == "integer"
    agreed = step("bundle_agree", lanes)
    volume = agreed.known.terms.volume
    order = np.stack(
        [_by_vendor(packer.fleet, one, lanes, row, orders, whole) for row, one in enumerate(bucket.pieces)]
    )
    flat = order.reshape(count, -1)
    filling = _confirmed(lanes, flat, volume, step, settings)
    standing = _standing(bucket, packer, products, orders, agreed, filling, order, settings)
    issue = partial(_whole, lanes, flat, volume) if whole else _as_found
    agreed = eqx.tree_at(lambda a: a.found, agreed, issue(agreed.found, None, np.arange(count)))
    found = agreed.found
    if fees.distorts:
        found, moved = store.mine(found), fees.distorted
        found = issue(step("bundle_choose", lanes, fees, flat, chosen=moved, into=found), fees, moved)
    choice = found if fees.distorts else None
    without = _without(bucket, standing, found, flat, fees, settings, step)
    args = lanes, agreed, standing, without, fees, choice
    settlement = store.fetch(in_batches(size, "bundle_settle", args, (tolerance,), (settings.absent,)))
    issued = np.where(settlement.accepted[:, None], found.outcome.plan, filling.plan)
    jit, plan = ((x * volume[:, None]).reshape(order.shape) for x in (filling.plan, issued))
    if whole:
        jit, plan = near_whole(jit), near_whole(plan)
    _tell(on_lanes, bucket, settlement, found, settings)
    flows = bundle_flows(packer, products, bucket, plan, settings) if settings.flows else None
    return BundleSolved(bucket, agreed, found, standing, without, settlement, order, jit, plan, flows)


def per_batch(bucket: BundleBucket, count: int, settings: Settings) -> int:
    """How many bundles are solved together."""
    if settings.batch is not None:
        return settings.batch
    fits = int(np.clip(2 ** np.round(np.log2(NUMBERS / bucket.size)), 1, MOST))
    return min(fits, 1 << (count - 1).bit_length())


def _confirmed(
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


def _as_found(found: Found, fees: Charges | None, rows: Index) -> Found:
    del fees, rows
    return found


def _whole(
    lanes: Any, order: Floats, volume: Floats, found: Found, fees: Charges | None, chosen: Index
) -> Found:
    """Some bundles' plans in whole units."""

    def private(row: int) -> Any:
        args = store.take((lanes, fees, order, found), np.asarray([row]))
        return rows(store.fetch(PROGRAMS("bundle_private", *args)), 0)

    return issue_whole_bundles(found, volume, chosen, private)


def _by_vendor(fleet: Fleet, one: Piece, lanes: Any, row: int, orders: Orders, whole: bool) -> Floats:
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


def _standing(
    bucket: BundleBucket,
    packer: OrderPacker,
    products: list[Bucket],
    orders: Orders,
    agreed: Any,
    filling: Any,
    order: Floats,
    settings: Settings,
) -> Standing:
    """Just-in-time of every bundle in its own scaled units."""
    volume = agreed.known.terms.volume
    unit = volume * agreed.known.terms.money
    confirmed = filling.plan.reshape(order.shape) * volume[:, None, None, None, None]
    lived = _live(bucket, packer, products, orders, order, confirmed, settings)

    def summed(known: Floats, scale: Floats) -> Any:
        return np.stack([known[one.bundle.products].sum() for one in bucket.pieces]) / scale

    ordered, retailer = (
        tuple(summed(column, unit) for column in (cost.lower, cost.upper, cost.spend))
        for cost in (orders, lived)
    )
    share: Any = np.zeros(bucket.lanes.here.shape)
    slot = np.broadcast_to(bucket.lanes.slot[:, :, :, None, None], order.shape)
    lane = np.broadcast_to(np.arange(len(share))[:, None, None, None, None], order.shape)
    np.add.at(share, (lane[slot >= 0], slot[slot >= 0]), order[slot >= 0])
    share = np.where(share.sum(axis=1, keepdims=True) > 0.0, share, bucket.lanes.here)
    share = share / share.sum(axis=1, keepdims=True)
    facts = ordered, retailer, filling, summed(lived.unmet, volume), share
    return store.fetch(in_batches(len(share), "bundle_stand", facts, ()))


def _live(
    bucket: BundleBucket,
    packer: OrderPacker,
    products: list[Bucket],
    orders: Orders,
    order: Floats,
    confirmed: Floats,
    settings: Settings,
) -> Orders:
    """The retailer's life with what is confirmed: its orders', but for products cut short."""
    lived = Orders(
        np.zeros_like(orders.plan),
        orders.lower.copy(),
        orders.upper.copy(),
        orders.spend.copy(),
        orders.unmet.copy(),
    )
    cut = np.zeros(len(orders.lower), bool)
    left = np.maximum(order - confirmed, 0.0).sum(axis=(2, 3, 4))
    for row, one in enumerate(bucket.pieces):
        of, total = one.bundle.products, order[row].sum(axis=(1, 2, 3))
        lived.plan[np.ix_(of, one.nodes)] = confirmed[row].sum(axis=1)[: len(of), : len(one.nodes)]
        cut[of] = (left[row] > CHANGED * total)[: len(of)]
    for lanes in products:
        product = packer.found.product[lanes.contract]
        chosen = np.flatnonzero(cut[product])
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


def _without(
    bucket: BundleBucket,
    standing: Standing,
    found: Found,
    order: Floats,
    fees: Charges,
    settings: Settings,
    step: Callable[..., Any],
) -> Without:
    """Every vendor's counterfactual; a single vendor's needs no run."""
    here = bucket.lanes.here
    if here.shape[1] == 1:
        facts = standing, found.outcome.rounds, fees
        return cast(Without, store.fetch(in_batches(len(here), "bundle_alone", facts, ())))
    args = bucket.lanes, order, found.outcome, standing, fees
    return cast(Without, step("bundle_absent", *args, static=(settings.absent,)))


def _tell(
    on_lanes: OnLanes, bucket: BundleBucket, settlement: Settlement, found: Found, settings: Settings
) -> None:
    outcome, here = found.outcome, bucket.lanes.here.sum(axis=1)
    certified = outcome.certified(settings.tolerance) | settlement.stays
    worst = np.where(certified, outcome.gap / np.maximum(outcome.spend, 1e-6), 0.0)
    on_lanes(int(here.sum()), int(here[certified].sum()), float(np.max(worst, initial=0.0)))
