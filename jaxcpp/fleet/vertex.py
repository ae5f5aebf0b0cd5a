"""Exact flows off the main path: vertices, by linear programming.

One side's cheapest flows for a plan; and both sides' cheapest in whole units on lanes already in use.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from jaxcpp.agents.toll import Toll
from jaxcpp.fleet.data import Floats
from jaxcpp.transport.side import Side

MISSED = 100.0
"""What missing a unit of the plan costs, in dearest lanes or outside options: more than any detour."""

NEAR = 1e-6
"""Units: a number this near to a whole one is that number."""

_Index = NDArray[np.intp]
_Lanes = tuple[_Index, _Index, Any]
"""Public node, private node, and currency a unit of some lanes."""


@dataclass(frozen=True)
class Units:
    """Whole units on each lane of a network, what is left unserved, and what deviations are charged."""

    served: Floats
    sent: Floats
    lost: Floats
    charged: Floats  # by public node


@dataclass(frozen=True)
class Network:
    """Both parties' lanes between public and private nodes, in a contract's or a bundle's scaled units."""

    served: _Lanes  # the retailer's, from public nodes
    sent: _Lanes  # the vendors', to them
    demand: Floats
    outside: Floats  # currency / unit
    stock: Floats  # by public node
    capacity: Floats
    toll: Toll | None
    fixed: Any = 0.0  # what arrives at public nodes whatever is sent

    def whole(self, volume: float) -> Units | None:
        """The cheapest flows in whole units of 1 / `volume`; None where there are none.

        Being a network with whole numbers, it has a vertex of whole units that costs no more than any flows.
        """
        (a, j, _), (b, k, _) = self.served, self.sent
        nodes, columns = len(self.stock), len(self.demand)
        apart = 0 if self.toll is None else nodes
        starts = np.cumsum((0, len(a), len(b), columns, nodes, apart, apart))
        served, sent, lost, used, above, below = (
            np.arange(first, last) for first, last in itertools.pairwise(starts)
        )
        size, node = int(starts[-1]), np.arange(nodes)

        def matrix(parts: list[tuple[float, _Index, _Index]], height: int) -> sp.csr_array:
            values = np.concatenate([np.full(len(columns), value) for value, _, columns in parts])
            at = tuple(np.concatenate([part[place] for part in parts]) for place in (1, 2))
            return sp.csr_array((values, at), shape=(height, size))

        equal = [
            matrix([(1.0, a, served), (-1.0, b, sent), (-1.0, node, used)], nodes),
            matrix([(1.0, j, served), (1.0, np.arange(columns), lost)], columns),
        ]
        fixed = np.rint(self.fixed * volume) * np.ones(nodes)
        right, charged = [fixed, np.rint(self.demand * volume)], []
        if (
            self.toll is not None
        ):  # a network still: units above and below the baseline are arcs beside its own
            equal.append(matrix([(1.0, b, sent), (-1.0, node, above), (1.0, node, below)], nodes))
            right.append(np.rint(self.toll.baseline * volume) - fixed)
            charged = [np.asarray(self.toll.over), np.asarray(self.toll.under)]
        cost = np.concatenate([self.served[2], self.sent[2], self.outside, np.zeros(nodes), *charged])
        top = np.full(size, np.inf)
        top[used] = np.rint(self.stock * volume)
        answer = linprog(
            cost, A_ub=matrix([(1.0, k, sent)], len(self.capacity)), b_ub=np.rint(self.capacity * volume),
            A_eq=sp.vstack(equal), b_eq=np.concatenate(right),
            bounds=np.stack([np.zeros(size), top], axis=1), method="highs-ds",
        )  # fmt: skip
        if answer.x is None or np.abs(answer.x - np.rint(answer.x)).max() > NEAR:
            return None
        units = np.rint(answer.x)
        paid = np.zeros(nodes) if self.toll is None else (cost * units)[above] + (cost * units)[below]
        return Units(units[served], units[sent], units[lost], paid)


def cheapest_shipments(lanes: _Lanes, plan: Floats, capacity: Floats) -> tuple[Floats, float]:
    """The cheapest units on each of some lanes that ship `plan`, and what of it they miss.

    As little as can be is missed, before cost; whole where plan and capacity are.
    """
    node, source, cost = lanes
    total = max(float(plan.sum()), 1e-300)
    size, nodes = len(cost), len(plan)
    dearest = max(float(np.abs(cost).max(initial=0.0)), 1.0)
    every = np.arange(nodes)
    ships = np.concatenate([node, every]), np.arange(size + nodes)
    answer = linprog(
        np.append(cost, np.full(nodes, MISSED * dearest)),
        A_eq=sp.csr_array((np.ones(size + nodes), ships), shape=(nodes, size + nodes)), b_eq=plan / total,
        A_ub=sp.csr_array((np.ones(size), (source, np.arange(size))), shape=(len(capacity), size + nodes)),
        b_ub=capacity / total, method="highs", options={"primal_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    return answer.x[:size] * total, float(answer.x[size:].sum()) * total


def cheapest_flows(side: Side, plan: Floats, lanes: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The cheapest flows (n, m) that ship `plan` on some of a side's lanes, and what of it they miss.

    Scaled units, numpy leaves. As little as can be is missed, before cost. Being a vertex, the flows are
    whole where the plan and the side's own numbers are.
    """
    i, j = np.nonzero(lanes)
    nodes, columns = side.cost.shape
    counts = len(i), columns, nodes, nodes
    lane, outside, used, missed = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])

    def matrix(parts: list[tuple[float, _Index, _Index]], height: int) -> sp.csr_array:
        values = np.concatenate([np.full(len(at), value) for value, at, _ in parts])
        at, column = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
        return sp.csr_array((values, (at, column)), shape=(height, sum(counts)))

    node, column = np.arange(nodes), np.arange(columns)
    cost = np.concatenate([side.cost[i, j], side.outside, np.zeros(nodes)])
    dearest = max(float(cost.max(initial=0.0)), 1.0)
    balance = matrix([(1.0, i, lane), (-1.0, node, used), (1.0, node, missed)], nodes)
    served = matrix([(1.0, j, lane), (1.0, column, outside)], columns)
    top = [np.full(len(i) + columns, np.inf), np.asarray(side.stock), np.full(nodes, np.inf)]
    answer = linprog(
        np.append(cost, np.full(nodes, MISSED * dearest)),
        A_eq=sp.vstack([balance, served]), b_eq=np.concatenate([plan, side.mass]),
        bounds=np.stack([np.zeros(sum(counts)), np.concatenate(top)], axis=1), method="highs",
        options={"primal_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    flow = np.zeros(side.cost.shape)
    flow[i, j] = answer.x[lane]
    return flow, float(answer.x[missed].sum())
