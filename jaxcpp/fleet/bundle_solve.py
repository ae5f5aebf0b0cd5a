"""Plan a fleet's bundles: order product by product, fill, agree, price each vendor's absence, settle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import numpy as np

from jaxcpp.consensus import newton
from jaxcpp.fleet import store
from jaxcpp.fleet.batch import OnLanes, in_batches, lanes_per_batch, unknown
from jaxcpp.fleet.bundle_decide import Table, decide
from jaxcpp.fleet.bundle_fees import bundle_charges
from jaxcpp.fleet.bundle_flows import bundle_flows
from jaxcpp.fleet.bundle_pack import BundleBucket, OrderPacker, bundle_buckets
from jaxcpp.fleet.bundle_standing import Orders, by_vendor, confirmed_by, live, standing_of
from jaxcpp.fleet.bundle_steps import Agreed
from jaxcpp.fleet.bundle_whole import near_whole, whole_plans
from jaxcpp.fleet.bundles import Bundles, Capacity
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.pack import Bucket, Padding
from jaxcpp.fleet.results import Columns
from jaxcpp.fleet.settings import Absent, Settings
from jaxcpp.mechanism.settlement import Settlement
from jaxcpp.mechanism.several import Found, Standing, Without

NUMBERS = 1_000_000
"""Of a batch of bundles, that a step goes through: more would leave the cache, and take longer each."""

MOST = 64
"""Bundles solved together at most."""


@dataclass(frozen=True)
class BundleSolved:
    """A bucket of bundles with its answers, first axis the bundle; numpy leaves. Plans in units."""

    bucket: BundleBucket
    absent: Absent
    agreed: Agreed
    found: Found  # the consensus whose plan is offered: the fee-free one where no fee moves plans
    standing: Standing
    without: Without
    settlement: Settlement
    order: Floats  # (lane, product, slot, inbound, week)
    jit: Floats
    plan: Floats  # carried out
    offered: Floats  # the plan carried out, or where none is, what was offered
    unmet: Floats  # (lane,) as `bundle_decide.Decided`
    flows: Columns | None  # behind the plans, where they were asked for


@dataclass(frozen=True)
class AgreedBundles:
    """What no fee changes of a bucket of bundles: just-in-time, and the plan that is best for everybody."""

    bucket: BundleBucket
    packer: OrderPacker
    products: list[Bucket]
    orders: Orders
    agreed: Agreed
    filling: Any
    order: Floats  # (bundle, product, slot, inbound, week) [units]


def solve_bundles(
    fleet: Fleet,
    tied: Bundles,
    settings: Settings,
    on_lanes: OnLanes,
    workers: int = 1,
    padding: Padding | None = None,
) -> list[BundleSolved]:
    """Every bundle, to its certificate or to the end of its rounds."""

    def one(agreed: AgreedBundles) -> BundleSolved:
        return charge_bundles(agreed, settings, on_lanes)[0]

    agreed = agree_bundles(fleet, tied, settings, workers, padding)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, agreed))


def agree_bundles(
    fleet: Fleet, tied: Bundles, settings: Settings, workers: int = 1, padding: Padding | None = None
) -> list[AgreedBundles]:
    """What no fee changes, of every bundle."""
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
        return list(pool.map(lambda one: _agree(one, packer, products, orders, settings), buckets))


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


def _agree(
    bucket: BundleBucket, packer: OrderPacker, products: list[Bucket], orders: Orders, settings: Settings
) -> AgreedBundles:
    lanes, whole = bucket.lanes, settings.units == "integer"
    step = _stepper(bucket, packer.padding, settings)
    agreed = step("bundle_agree", lanes)
    volume = agreed.known.terms.volume
    order = np.stack(
        [by_vendor(packer.fleet, one, lanes, row, orders, whole) for row, one in enumerate(bucket.pieces)]
    )
    flat = order.reshape(len(order), -1)
    filling = confirmed_by(lanes, flat, volume, step, settings)
    issued = _issued(lanes, flat, volume, settings)(agreed.found, None, np.arange(len(order)))
    agreed = eqx.tree_at(lambda a: a.found, agreed, issued)
    return AgreedBundles(bucket, packer, products, orders, agreed, filling, order)


def charge_bundles(
    known: AgreedBundles,
    settings: Settings,
    on_lanes: OnLanes,
    fees: Charges | None = None,
    warm: Floats | None = None,
) -> tuple[BundleSolved, Floats]:
    """Bundles under some fees, by default those of the settings; and the prices that the plans were found at.

    The search for plans that fees move begins at `warm`, those prices under other fees, (bundle, 2, public
    node) [scaled money]; one that is led astray begins again.
    """
    bucket, packer, products, orders = known.bucket, known.packer, known.products, known.orders
    agreed, filling, order = known.agreed, known.filling, known.order
    lanes, count, volume = bucket.lanes, len(bucket.pieces), agreed.known.terms.volume
    step = _stepper(bucket, packer.padding, settings)
    if fees is None:
        fees = bundle_charges(settings.fees, packer.fleet, bucket.pieces, lanes)
    flat, size = order.reshape(count, -1), _size(bucket, packer.padding, settings)
    standing = standing_of(bucket, packer, products, orders, agreed, filling, order, fees, settings)
    found = agreed.found
    prices = np.stack([found.taking, found.outcome.price], axis=1)
    if fees.distorts:
        begun = np.full_like(prices, np.nan) if warm is None else warm
        found, prices = _choose(known, fees, prices, begun, settings, step)
        found = _issued(lanes, flat, volume, settings)(found, fees, fees.distorted)
    choice = found if fees.distorts else None
    without, runs = _without(bucket, standing, found, flat, fees, settings, step)
    table = Table(bucket, agreed, standing, without, runs, fees, choice, order)
    made = decide(table, partial(live, bucket, packer, products, orders, settings=settings), size, settings)
    jit, plan, offered = (
        (x * volume[:, None]).reshape(order.shape) for x in (filling.plan, made.plan, made.offered)
    )
    if settings.units == "integer":
        jit, plan = near_whole(jit), near_whole(plan)
    _tell(on_lanes, bucket, made.settlement, found, settings)
    flows = bundle_flows(packer, products, bucket, plan, settings) if settings.flows else None
    solved = BundleSolved(
        bucket, settings.absent, agreed, found, standing, without, made.settlement, order, jit, plan, offered,
        made.unmet, flows,
    )  # fmt: skip
    return solved, prices


def _choose(
    known: AgreedBundles,
    fees: Charges,
    prices: Floats,
    begun: Floats,
    settings: Settings,
    step: Callable[..., Any],
) -> tuple[Found, Floats]:
    """The plans that fees move, and their prices; where no fee does, those of the fee-free consensus."""
    lanes, flat, moved = known.bucket.lanes, known.order.reshape(len(known.order), -1), fees.distorted
    into = store.mine((known.agreed.found, prices))
    found, prices = step("bundle_choose", lanes, fees, flat, begun, chosen=moved, into=into)
    astray = np.isfinite(begun).all(axis=(1, 2)) & ~found.outcome.certified(settings.tolerance)
    left = moved[astray[moved]]
    if not len(left):
        return found, prices
    spent, afresh = found.outcome.rounds[left], np.full_like(begun, np.nan)
    found, prices = step(
        "bundle_choose", lanes, fees, flat, afresh, chosen=left, into=store.mine((found, prices))
    )
    found.outcome.rounds[left] += spent
    return found, prices


def _stepper(bucket: BundleBucket, padding: Padding | None, settings: Settings) -> Callable[..., Any]:
    """Runs one step on a bucket's lanes, or on some of them, and brings the answers back."""
    size, tolerance = _size(bucket, padding, settings), np.asarray(settings.tolerance)
    rounds = newton.MAX_ROUNDS if settings.max_rounds is None else settings.max_rounds
    limit = np.asarray(rounds, np.int32)

    def step(
        name: str, *args: Any, shared: tuple[Any, ...] = (), static: tuple[Any, ...] = (), **more: Any
    ) -> Any:
        return store.fetch(in_batches(size, name, args, (*shared, tolerance, limit), static, **more))

    return step


def _size(bucket: BundleBucket, padding: Padding | None, settings: Settings) -> int:
    count, kind = len(bucket.pieces), bucket.pieces[0].key
    return per_batch(bucket, count if padding is None else padding.bundles[kind][0], settings)


def _issued(
    lanes: Any, order: Floats, volume: Any, settings: Settings
) -> Callable[[Found, Charges | None, Index], Found]:
    """How plans are issued: in whole units, or as they were found."""
    return partial(whole_plans, lanes, order, volume) if settings.units == "integer" else _as_found


def per_batch(bucket: BundleBucket, count: int, settings: Settings) -> int:
    """How many bundles are solved together."""
    if settings.batch is not None:
        return settings.batch
    fits = int(np.clip(2 ** np.round(np.log2(NUMBERS / bucket.size)), 1, MOST))
    return min(fits, 1 << (count - 1).bit_length())


def _as_found(found: Found, fees: Charges | None, rows: Index) -> Found:
    del fees, rows
    return found


def _without(
    bucket: BundleBucket,
    standing: Standing,
    found: Found,
    order: Floats,
    fees: Charges,
    settings: Settings,
    step: Callable[..., Any],
) -> tuple[Without, Found | None]:
    """Every vendor's counterfactual; a single vendor's needs no run."""
    here = bucket.lanes.here
    if here.shape[1] == 1:
        facts = standing, found.outcome.rounds, fees
        return store.fetch(in_batches(len(here), "bundle_alone", facts, ())), None
    args = bucket.lanes, order, found.outcome, standing, fees
    both: tuple[Without, Found] = step("bundle_absent", *args, static=(settings.absent,))
    return both


def _tell(
    on_lanes: OnLanes, bucket: BundleBucket, settlement: Settlement, found: Found, settings: Settings
) -> None:
    outcome, here = found.outcome, bucket.lanes.here.sum(axis=1)
    certified = outcome.certified(settings.tolerance) | settlement.stays
    worst = np.where(certified, outcome.gap / np.maximum(outcome.spend, 1e-6), 0.0)
    on_lanes(int(here.sum()), int(here[certified].sum()), float(np.max(worst, initial=0.0)))
