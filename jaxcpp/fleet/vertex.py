"""One side's cheapest flows for a plan, exactly: a vertex, by linear programming, off the main path."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from jaxcpp.fleet.data import Floats
from jaxcpp.transport.side import Side

MISSED = 100.0
"""What missing a unit of the plan costs, in dearest lanes or outside options: more than any detour."""

_Index = NDArray[np.intp]


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
