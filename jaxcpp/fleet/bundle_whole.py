"""Bundles in whole units: as `fleet.whole`, for products that are planned together.

Sources shared by products, and vendors of one product, are a network still: where capacity, stock, demand
and just-in-time orders are whole, so is a vertex of the flows already found.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxcpp.fleet import store
from jaxcpp.fleet.batch import rows
from jaxcpp.fleet.bundle_steps import NOBODY
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Floats
from jaxcpp.fleet.fees import Charges
from jaxcpp.fleet.programs import PROGRAMS
from jaxcpp.fleet.settings import Absent
from jaxcpp.fleet.vertex import NEAR, Network, Units
from jaxcpp.mechanism.several import Found


def whole_shares(part: Floats, order: Floats) -> Floats:
    """Each vendor's whole units of whole orders, `part` of them as near as can be; first axis the vendor.

    What is left over goes to the largest remainders, the first vendor among equals.
    """
    exact = part * order[None]
    units = np.floor(exact + NEAR)
    left = np.rint(order - units.sum(axis=0))
    rank = np.argsort(np.argsort(-(exact - units), axis=0, kind="stable"), axis=0, kind="stable")
    return np.asarray(units + ((rank < left[None]) & (part > 0.0)))


def near_whole(units: Floats) -> Floats:
    """Units without the rounding error of those that are whole."""
    return np.where(np.abs(units - np.rint(units)) <= NEAR, np.rint(units), units)


def whole_plans(
    lanes: Any,
    order: Floats,
    volume: Floats,
    found: Found,
    fees: Charges | None,
    chosen: Index,
    *,
    vendor: Index | None = None,
    how: Absent = "jit",
) -> Found:
    """Some bundles' plans in whole units: all vendors', or those without a `vendor` each."""
    out = np.full(len(order), NOBODY, np.int32) if vendor is None else vendor.astype(np.int32)

    def private(row: int) -> Any:
        args = store.take((lanes, fees, order, out, found), np.asarray([row]))
        return rows(store.fetch(PROGRAMS("bundle_private", *args, static=(how,))), 0)

    return issue_whole_bundles(found, volume, chosen, private)


def issue_whole_bundles(found: Found, volume: Floats, chosen: Index, private: Any) -> Found:
    """The plans of some bundles in whole units, with all parties' costs of them.

    `private(row)` gives a bundle's agents as its consensus was posed, and their flows: see
    `bundle_steps.private`. A plan for which no whole one is found is marked as missing everything.
    """
    found = jax.tree.map(np.array, found)
    outcome = found.outcome
    units = outcome.plan * volume[:, None]
    broken = np.max(np.abs(units - np.rint(units)), axis=1, initial=0.0) > NEAR
    for row in chosen[np.asarray(broken[chosen])]:
        if not _issue(found, int(row), float(volume[row]), private(row)):
            outcome.missing[row] = np.inf
    return found


def _issue(found: Found, row: int, volume: float, lane: Any) -> bool:
    """Put one bundle's whole plan and its costs in the place of those found."""
    posed, taken, shipped = lane
    buys = posed.retailer if posed.toll is None else posed.retailer.agent
    ships, tiles, pool, shape = posed.supplier, buys.tiles, posed.supplier.pool, posed.supplier.margin.shape
    tile, node, column = np.nonzero(taken.lane > 0.0)
    bought = (
        tiles.product[tile] * shape[1] + node,
        tile * tiles.mass.shape[1] + column,
        tiles.cost[tile, node, column],
    )
    sold, owner = _shipping(ships, pool, shipped)
    network = Network(
        bought, sold, tiles.mass.reshape(-1), tiles.outside.reshape(-1), tiles.stock.reshape(-1),
        np.concatenate([pool.own_mass.reshape(-1), pool.shared_mass]), posed.toll, pool.fixed.reshape(-1),
    )  # fmt: skip
    units = network.whole(volume)
    if units is None:
        return False
    _enter(found, row, network, units, posed, owner, volume, buys.lost_margin.reshape(-1))
    return True


def _shipping(ships: Any, pool: Any, shipped: Any) -> tuple[Any, Any]:
    """Lanes in use of own and shared sources, in one numbering; and the vendor of each."""
    n, k = pool.own.shape[1:]
    p, node, source = np.nonzero(shipped.own > 0.0)
    q, other, common = np.nonzero(shipped.shared > 0.0)
    nodes = np.concatenate([p * n + node, q * n + other])
    sources = np.concatenate([p * k + source, pool.own_mass.size + common])
    cost = np.concatenate([pool.own[p, node, source], pool.shared[q, other, common]])
    return (nodes, sources, cost), ships.node_owner.reshape(-1)[nodes]


def _enter(
    found: Found,
    row: int,
    network: Network,
    units: Units,
    posed: Any,
    owner: Any,
    volume: float,
    margins: Floats,
) -> None:
    outcome, books = found.outcome, found.accounts
    times, scale, count = posed.times, float(posed.scale), len(posed.times)
    node_owner = posed.supplier.node_owner.reshape(-1)
    plan = np.bincount(network.sent[0], units.sent, outcome.plan.shape[1]) / volume + network.fixed
    moved = outcome.price[row] * (plan - outcome.plan[row])
    bought = float(network.served[2] @ units.served + network.outside @ units.lost) / volume
    charged = units.charged / volume
    sold = np.bincount(owner, network.sent[2] * units.sent, count) / volume
    earned = posed.supplier.margin.reshape(-1)[network.sent[0]] * units.sent
    spend = sold + np.bincount(owner, earned, count) / volume
    kept = np.maximum(node_owner, 0)
    old_tolls = float((books.deviation[row] * times).sum())
    outcome.plan[row] = plan
    outcome.retailer.cost[row] = bought + charged.sum()
    outcome.retailer.spend[row] = bought - float(margins @ units.lost) / volume
    outcome.supplier.cost[row], outcome.supplier.spend[row] = sold.sum(), spend.sum()
    outcome.retailer_floor[row] -= moved.sum()
    outcome.supplier_floor[row] += moved.sum()
    books.retailer[row] = bought * scale
    books.retailer_spend[row] = outcome.retailer.spend[row] * scale
    books.retailer_floor[row] += (old_tolls - charged.sum() - moved.sum()) * scale
    books.vendors[row], books.spend[row] = sold / times, spend / times
    floors = books.floors[row] + np.bincount(kept, np.where(node_owner >= 0, moved, 0.0), count) / times
    books.floors[row] = np.minimum(floors, books.vendors[row])
    books.deviation[row] = np.bincount(kept, np.where(node_owner >= 0, charged, 0.0), count) / times
    books.dust[row] = 0.0
