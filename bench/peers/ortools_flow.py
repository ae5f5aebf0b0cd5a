"""OR-Tools' min-cost flow: the best specialised exact code. Costs are scaled to whole numbers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import ortools
from ortools.graph.python import min_cost_flow

from bench.cases import Case, Floats, Instances
from bench.network import Network, costs, network
from bench.peers.answers import Answer, main
from bench.peers.pool import solve_all


@dataclass(frozen=True)
class Model:
    """A flow problem and the true costs of its arcs."""

    flow: Any
    cost: Floats


@functools.cache
def _network(case: Case) -> Network:
    return network(case)


def build(instances: Instances, index: int, tolerance: float) -> Model:
    """The contract as a balanced flow: unused capacity goes to a node of its own at no cost.

    A unit's cost is rounded to the tolerance. A unit passes two arcs and costs 2 at least, so the
    plan found is at most half the tolerance dearer than the best, as a fraction of the cost.
    """
    arcs, cost = _network(instances.case), costs(instances, index)
    capacity = instances.capacity[index].ravel().astype(np.int64)
    demand = instances.demand[index].ravel().astype(np.int64)
    unused = arcs.sources + arcs.inbound + arcs.regions
    supply = np.concatenate(
        [capacity, np.zeros(arcs.inbound, np.int64), -demand, [demand.sum() - capacity.sum()]]
    )
    idle = np.arange(arcs.sources, dtype=np.int32)
    flow = min_cost_flow.SimpleMinCostFlow()
    flow.add_arcs_with_capacity_and_unit_cost(
        np.concatenate([arcs.tail, idle]),
        np.concatenate([arcs.head, np.full(arcs.sources, unused, np.int32)]),
        np.full(len(cost) + arcs.sources, capacity.sum()),
        np.concatenate([np.round(cost / tolerance).astype(np.int64), np.zeros(arcs.sources, np.int64)]),
    )
    flow.set_nodes_supplies(np.arange(len(supply), dtype=np.int32), supply)
    return Model(flow, cost)


def solve(model: Model) -> float:
    """The cost [currency] of the plan found, at the true costs."""
    status = model.flow.solve()
    if status != model.flow.OPTIMAL:
        raise RuntimeError(f"min-cost flow: {status}")
    return float(model.cost @ model.flow.flows(np.arange(len(model.cost), dtype=np.int32)))


def run(instances: Instances, tolerance: float, repeats: int, variant: str) -> Answer:  # noqa: ARG001
    """All contracts on all cores."""
    timed = solve_all(instances, tolerance, repeats, build, solve)
    return timed.answer({"ortools": ortools.__version__}, f"exact at costs rounded to {tolerance:g}")


if __name__ == "__main__":
    main(run)
