"""Why a contract has no plan: the least shortage, where it is, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from jaxcpp.fleet.contracts import Contracts
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.pack import Lane, Packer

SLACK = 1e-7
"""Of demand: less than this is rounding, and the contract is feasible."""


@dataclass(frozen=True)
class Shortage:
    """The least demand that any plan leaves unserved."""

    units: float
    reason: str  # in words; empty where there is no shortage


def shortage(fleet: Fleet, found: Contracts, packer: Packer, contract: int) -> Shortage:
    """Find the least shortage of one contract by a linear program over the lanes that exist.

    Rare and off the main path, so an LP library does it: sources and stock to inbound nodes to
    demand, over weeks, each unit unserved costing one.
    """
    lane = packer.lane(contract)
    product = int(found.product[contract])
    weeks = fleet.weeks
    inbound, sources, entries = len(lane.nodes), len(lane.source), len(lane.demand)
    late = np.isfinite(fleet.products.backlog_cost[product])
    # Lanes as (from, to) pairs: source-week to node-week, and node-week to demand entry.
    k, i, made, due = np.nonzero(
        np.isfinite(lane.inbound)[:, :, None, None]
        & (np.arange(weeks)[:, None] <= np.arange(weeks))[None, None]
    )
    a, j, week = np.nonzero(
        np.isfinite(lane.outbound)[:, :, None]
        & (late | (np.arange(weeks)[None, :] <= lane.week[:, None]))[None]
    )
    ship, serve, stock = len(k), len(a), inbound
    node_of_ship, node_of_serve = i * weeks + due, a * weeks + week
    size = ship + serve + stock + entries
    balance = sp.csr_array(
        (
            np.concatenate([np.ones(ship), -np.ones(serve), np.ones(stock)]),
            (
                np.concatenate([node_of_ship, node_of_serve, np.arange(inbound) * weeks]),
                np.arange(ship + serve + stock),
            ),
        ),
        shape=(inbound * weeks, size),
    )
    demand = sp.csr_array(
        (
            np.ones(serve + entries),
            (
                np.concatenate([j, np.arange(entries)]),
                np.concatenate([ship + np.arange(serve), size - entries + np.arange(entries)]),
            ),
        ),
        shape=(entries, size),
    )
    limit = sp.csr_array((np.ones(ship), (k * weeks + made, np.arange(ship))), shape=(sources * weeks, size))
    cost = np.concatenate([np.zeros(size - entries), np.ones(entries)])
    top = np.concatenate([np.full(ship + serve, np.inf), lane.inventory, np.full(entries, np.inf)])
    answer = linprog(
        cost, A_ub=limit if sources else None, b_ub=lane.capacity.reshape(-1) if sources else None,
        A_eq=sp.vstack([balance, demand]), b_eq=np.concatenate([np.zeros(inbound * weeks), lane.demand]),
        bounds=np.stack([np.zeros(size), top], axis=1), method="highs",
    )  # fmt: skip
    unserved = answer.x[size - entries :]
    missing = float(unserved.sum())
    if missing <= SLACK * max(lane.demand.sum(), 1.0):
        return Shortage(0.0, "")
    reachable = np.zeros(entries, bool)
    reachable[j[np.isin(a, np.unique(i))]] = True
    shipped = np.bincount(k * weeks + made, answer.x[:ship], sources * weeks).reshape(sources, weeks)
    # While units go unserved, every source that could still make them in time is used up.
    full = shipped >= lane.capacity * (1.0 - SLACK)
    return Shortage(missing, _words(fleet, lane, unserved, reachable, full, weeks if late else 0))


def _words(
    fleet: Fleet, lane: Lane, unserved: Floats, reachable: np.ndarray, full: np.ndarray, late: int
) -> str:
    """`full` marks sources and weeks that are used up, `late` is by how many weeks demand may wait."""
    some = unserved > SLACK * lane.demand.sum()
    entry = int(np.argmax(some))
    cut = np.flatnonzero(some & ~reachable)
    if len(cut):
        where = str(fleet.region_ids[lane.region[cut[0]]])
        return (
            f"region {where!r} cannot be reached: no inbound node that serves it has a lane from the "
            f"vendor; add an inbound or an outbound lane, or a lost_sale_cost ({unserved.sum():,.10g} units "
            f"unserved)"
        )
    where, week = str(fleet.region_ids[lane.region[entry]]), int(lane.week[entry])
    sources = lane.source[full[:, : week + late + 1].all(axis=1)]
    names = ", ".join(repr(str(fleet.source_ids[source])) for source in sources)
    return (
        f"{unserved.sum():,.10g} of {lane.demand.sum():,.10g} units cannot be served, first in region "
        f"{where!r} week {week}: the capacity of {names} is used up; raise capacity, allow backlog, or "
        f"give a lost_sale_cost"
    )
