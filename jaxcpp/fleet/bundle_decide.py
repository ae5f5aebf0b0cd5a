"""Which plan of a bundle is carried out, as it is issued: all vendors', all but one's, or just-in-time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from jaxcpp.consensus.outcome import feasible
from jaxcpp.fleet import store
from jaxcpp.fleet.batch import in_batches
from jaxcpp.fleet.bundle_pack import BundleBucket
from jaxcpp.fleet.bundle_standing import Orders, by_bundle
from jaxcpp.fleet.bundle_whole import whole_plans
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.settings import Settings
from jaxcpp.mechanism.settlement import Settlement
from jaxcpp.mechanism.several import Found, Standing, Without

Lives = Callable[[Floats, Index], Orders]
"""The retailer's life with what arrives (bundle, product, slot, inbound, week) [units] of some products."""


@dataclass(frozen=True)
class Table:
    """All that a bucket of bundles is decided on; first axis the bundle, numpy leaves."""

    bucket: BundleBucket
    agreed: Any
    standing: Standing
    without: Without
    runs: Found | None  # without each vendor; None: there is one vendor
    fees: Charges
    choice: Found | None
    order: Floats  # (bundle, product, slot, inbound, week) [units]


@dataclass(frozen=True)
class Decided:
    """What is carried out, and what was offered; plans in scaled units."""

    settlement: Settlement
    plan: Floats  # (bundle, public node)
    offered: Floats
    unmet: Floats  # units that had to be served and with the plan carried out are not, beyond just-in-time's


def decide(table: Table, lives: Lives, size: int, settings: Settings) -> Decided:
    """Settle every bundle.

    The plan without a vendor is settled once more where it is not yet what it will be: in whole units, or
    where the vendor that stays out delivers less than its share.
    """
    settlement = _settled(table, size, settings)
    standing, found = table.standing, table.agreed.found if table.choice is None else table.choice
    jit, count = np.asarray(standing.vendors.plan), len(table.order)
    unmet = np.zeros(count)
    if table.runs is None:
        plan = np.where((settlement.which == 0)[:, None], found.outcome.plan, jit)
        return Decided(settlement, plan, np.asarray(found.outcome.plan), unmet)
    vendors = table.bucket.lanes.here.shape[1]
    left_out = np.flatnonzero((settlement.which >= 1) & (settlement.which <= vendors))
    vendor = np.clip(settlement.which - 1, 0, vendors - 1).astype(np.intp)
    short = ~feasible(standing.vendors.unfilled[np.arange(count), vendor]) & (settings.absent == "jit")
    whole = settings.units == "integer"
    again = left_out if whole else left_out[short[left_out]]
    lived = np.zeros((3, count))
    if whole and len(left_out):
        table = _in_whole_units(table, left_out, vendor, settings)
    plan = _plans(table, settlement.which, vendor, found, settings)
    cut = left_out[short[left_out]]
    if len(cut):
        lived[:, cut], unmet[cut] = _live(table, plan, cut, lives)
    if len(again):
        carried = np.array(settlement.which), tuple(lived), np.isin(np.arange(count), cut)
        settlement = _settled(table, size, settings, carried, again, store.mine(settlement))
        plan = _plans(table, settlement.which, vendor, found, settings)
    offered = np.where((settlement.which > vendors)[:, None], found.outcome.plan, plan)
    return Decided(settlement, plan, offered, unmet)


def _settled(
    table: Table,
    size: int,
    settings: Settings,
    carried: Any = None,
    chosen: Index | None = None,
    into: Settlement | None = None,
) -> Settlement:
    args = (
        table.bucket.lanes, table.agreed, table.standing, table.without, table.fees, table.choice, carried,
    )  # fmt: skip
    shared, static = (np.asarray(settings.tolerance),), (settings.absent,)
    made: Settlement = store.fetch(in_batches(size, "bundle_settle", args, shared, static, chosen, into))
    return made


def _plans(table: Table, which: Any, vendor: Index, found: Found, settings: Settings) -> Floats:
    """What is carried out: who stays out delivers what it confirms of its order, or nothing."""
    assert table.runs is not None, "there are others"
    lanes, jit = table.bucket.lanes, table.standing.vendors.plan
    owner = np.repeat(lanes.slot, np.prod(table.order.shape[3:]), axis=2).reshape(len(jit), -1)
    apart = np.where(owner == vendor[:, None], jit if settings.absent == "jit" else 0.0,
                     table.runs.outcome.plan[np.arange(len(jit)), vendor])  # fmt: skip
    none = which > lanes.here.shape[1]
    return np.where((which == 0)[:, None], found.outcome.plan, np.where(none[:, None], jit, apart))


def _in_whole_units(table: Table, rows: Index, vendor: Index, settings: Settings) -> Table:
    """The table with some bundles' plans without one vendor in whole units."""
    runs, without = store.mine(table.runs), store.mine(table.without)
    volume, lane = table.agreed.known.terms.volume, np.arange(len(vendor))
    one = jax.tree.map(lambda leaf: leaf[lane, vendor], runs)
    flat = table.order.reshape(len(vendor), -1)
    one = whole_plans(
        table.bucket.lanes, flat, volume, one, table.fees, rows, vendor=vendor, how=settings.absent
    )
    for into, leaf in zip(jax.tree.leaves(runs), jax.tree.leaves(one), strict=True):
        into[rows, vendor[rows]] = leaf[rows]
    without.missing[rows, vendor[rows]] = one.outcome.missing[rows]
    without = eqx.tree_at(lambda w: w.books, without, runs.accounts)
    return replace(table, runs=runs, without=without)


def _live(table: Table, plan: Floats, rows: Index, lives: Lives) -> tuple[Floats, Floats]:
    """The retailer's life where a vendor that stays out delivers less than its share.

    A bracket of its cost and what it spends, in scaled units; what it leaves unserved that had to be served
    [units].
    """
    terms, pieces = table.agreed.known.terms, table.bucket.pieces
    units = (plan * terms.volume[:, None]).reshape(table.order.shape)
    lived = lives(units, np.concatenate([pieces[row].bundle.products for row in rows.tolist()]))
    scale = terms.volume * terms.money
    cost = np.stack([by_bundle(table.bucket, part) for part in (lived.lower, lived.upper, lived.spend)])
    return (cost / scale)[:, rows], by_bundle(table.bucket, lived.unmet)[rows]
