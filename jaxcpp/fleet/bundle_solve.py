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
        [by_vendor(packer.fleet, one, lanes, row, orders, whole) for row, one in enumerate(bucket.pieces)]
    )
    flat = order.reshape(count, -1)
    filling = confirmed_by(lanes, flat, volume, step, settings)
    standing = standing_of(bucket, packer, products, orders, agreed, filling, order, fees, settings)
    issue = partial(whole_plans, lanes, flat, volume) if whole else _as_found
    agreed = eqx.tree_at(lambda a: a.found, agreed, issue(agreed.found, None, np.arange(count)))
    found = agreed.found
    if fees.distorts:
        found, moved = store.mine(found), fees.distorted
        found = issue(step("bundle_choose", lanes, fees, flat, chosen=moved, into=found), fees, moved)
    choice = found if fees.distorts else None
    without, runs = _without(bucket, standing, found, flat, fees, settings, step)
    table = Table(bucket, agreed, standing, without, runs, fees, choice, order)
    made = decide(table, partial(live, bucket, packer, products, orders, settings=settings), size, settings)
    jit, plan, offered = (
        (x * volume[:, None]).reshape(order.shape) for x in (filling.plan, made.plan, made.offered)
    )
    if whole:
        jit, plan = near_whole(jit), near_whole(plan)
    _tell(on_lanes, bucket, made.settlement, found, settings)
    flows = bundle_flows(packer, products, bucket, plan, settings) if settings.flows else None
    return BundleSolved(
        bucket, settings.absent, agreed, found, standing, without, made.settlement, order, jit, plan, offered,
        made.unmet, flows,
    )  # fmt: skip


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
