"""Whether a bundle has no plan at all: the least shortage, by a linear program, off the main path."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from jaxcpp.fleet.bundle_pack import BundleLanes, Piece
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.infeasible import SLACK

REMEDY = "raise a capacity, add a lane, allow backlog, or give a lost_sale_cost"


class _Program:
    """Columns of a program that moves units between rows; every column costs nothing or one."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, Any, float]] = []
        self.size = 0

    def columns(self, count: int) -> Any:
        first, self.size = self.size, self.size + count
        return np.arange(first, self.size)

    def put(self, rows: Any, columns: Any, value: float) -> None:
        self.entries.append((np.asarray(rows), np.asarray(columns), value))

    def matrix(self, height: int) -> sp.csr_array:
        rows, columns = (np.concatenate([np.ravel(entry[at]) for entry in self.entries]) for at in (0, 1))
        values = np.concatenate([np.full(entry[0].size, entry[2]) for entry in self.entries])
        return sp.csr_array((values, (rows, columns)), shape=(height, self.size))


def bundle_shortage(fleet: Fleet, piece: Piece, lanes: BundleLanes, row: int) -> str:
    """In words, what any plan of a bundle leaves unserved at least; empty where nothing has to be.

    Rows are source-weeks (what they have), node-weeks of a product (what arrives leaves) and demand
    entries (what is asked for); vendors of a product need no nodes of their own here.
    """
    weeks, products, inbound = fleet.weeks, len(piece.bundle.products), len(piece.nodes)
    nodes = products * inbound * weeks
    entries = [(tile, k) for tile, (_, rows) in enumerate(piece.tiles) for k in range(len(rows))]
    program, limits = _Program(), list[Any]()
    early = np.arange(weeks)[:, None] <= np.arange(weeks)[None, :]

    def ship(product: int, cost: Any, allowed: Any, first: int) -> None:
        i, made, due = np.nonzero(np.isfinite(cost)[:, None, None] & (early & allowed[:, None])[None])
        column = program.columns(len(i))
        program.put(nodes + len(entries) + first + made, column, 1.0)
        program.put((product * inbound + i) * weeks + due, column, 1.0)

    every = np.ones(weeks, bool)
    for (product, _), supplied in piece.own.items():
        for _, cost, units in supplied:
            ship(product, cost, every, weeks * len(limits))
            limits.append(units)
    for _, costs, draws, units in piece.shared:
        for product in range(products):
            ship(product, costs[product], draws[product], weeks * len(limits))
        limits.append(units)
    demand = np.asarray([lanes.demand[row, tile, k] for tile, k in entries])
    late = np.isfinite(fleet.products.backlog_cost[piece.bundle.products])
    for at, (tile, k) in enumerate(entries):
        product = piece.tiles[tile][0]
        open_week = np.ones(weeks, bool) if late[product] else np.arange(weeks) <= lanes.week[row, tile, k]
        reach = np.isfinite(lanes.outbound[row, tile, :inbound, k])
        i, week = np.nonzero(reach[:, None] & open_week[None, :])
        column = program.columns(len(i))
        program.put((product * inbound + i) * weeks + week, column, -1.0)
        program.put(np.full(len(i), nodes + at), column, 1.0)
    stock = program.columns(products * inbound)
    program.put(np.arange(products * inbound) * weeks, stock, 1.0)
    unserved = program.columns(len(entries))
    program.put(nodes + np.arange(len(entries)), unserved, 1.0)
    height = nodes + len(entries) + weeks * len(limits)
    matrix = program.matrix(height)
    top = np.full(program.size, np.inf)
    top[stock] = lanes.inventory[row, :products, :inbound].reshape(-1)
    cost = np.zeros(program.size)
    cost[unserved] = 1.0
    fixed = nodes + len(entries)
    answer = linprog(
        cost, A_eq=matrix[:fixed], b_eq=np.concatenate([np.zeros(nodes), demand]),
        A_ub=matrix[fixed:] if limits else None, b_ub=np.concatenate(limits) if limits else None,
        bounds=np.stack([np.zeros(program.size), top], axis=1), method="highs",
    )  # fmt: skip
    missing = np.asarray(answer.x[unserved])
    if missing.sum() <= SLACK * max(float(demand.sum()), 1.0):
        return ""
    first = int(np.argmax(missing > SLACK * demand.sum()))
    at, rows = piece.tiles[entries[first][0]]
    fact = fleet.demand.region[rows[entries[first][1]]], fleet.demand.week[rows[entries[first][1]]]
    name = str(fleet.product_ids[piece.bundle.products[at]])
    return (
        f"{missing.sum():,.10g} of {demand.sum():,.10g} units of products planned together cannot be served, "
        f"first product {name!r} in region {str(fleet.region_ids[fact[0]])!r} week {fact[1]}; {REMEDY}"
    )
