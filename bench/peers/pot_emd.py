"""POT's network simplex: exact optimal transport, which knows sources and sinks and nothing between them.

`posed` keeps the inbound nodes: each is a source and a sink of as much as may pass through it, with an arc
of no cost from itself to itself. `eliminated` uses that nothing limits an inbound node here: what a region
pays for a source's unit is the cheapest way through any of them, so that they need not be in the problem at
all. That is found inside the clock, since no other peer is given it. Unused capacity has a sink of its own.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
from dataclasses import dataclass
from functools import partial

import numpy as np

os.environ.setdefault("POT_BACKEND_DISABLE_JAX", "1")  # numpy is all it gets; importing JAX takes longer
import ot

from bench.cases import Case, Floats, Instances
from bench.network import Network, costs, network
from bench.peers.answers import Answer, main
from bench.peers.pool import solve_all

FORBIDDEN = 1e4
"""Currency a unit on an arc that is not there: far above what any plan needs."""


@dataclass(frozen=True)
class Model:
    """A transport problem without its costs, and what they are made of."""

    supply: Floats
    demand: Floats
    space: tuple[Floats, Floats]  # source to inbound, inbound to region
    time: tuple[Floats, Floats] | None  # week by week, likewise; nothing where `space` is all


@functools.cache
def _network(case: Case) -> Network:
    return network(case)


def build(instances: Instances, index: int, tolerance: float, *, posed: bool) -> Model:  # noqa: ARG001  (exact)
    """One contract as a balanced transport problem."""
    capacity, demand = instances.capacity[index].ravel(), instances.demand[index].ravel()
    idle = capacity.sum() - demand.sum()
    if not posed:
        gap = np.arange(instances.case.weeks)[None, :] - np.arange(instances.case.weeks)[:, None]
        early = np.where(gap >= 0, instances.supplier_holding * gap, np.inf)
        late = np.where(gap >= 0, instances.holding * gap, -instances.backlog * gap)
        space = instances.supplier_unit_cost[index], instances.unit_cost[index]
        return Model(capacity, np.append(demand, idle), space, (early, late))
    arcs, cost = _network(instances.case), costs(instances, index)
    through = np.full(arcs.inbound, demand.sum())
    lanes = np.full((arcs.sources + arcs.inbound, arcs.inbound + arcs.regions + 1), FORBIDDEN)
    lanes[arcs.tail, arcs.head - arcs.sources] = cost
    lanes[arcs.sources + np.arange(arcs.inbound), np.arange(arcs.inbound)] = 0.0
    lanes[: arcs.sources, -1] = 0.0
    supply, wanted = np.concatenate([capacity, through]), np.concatenate([through, demand, [idle]])
    return Model(supply, wanted, (lanes, np.zeros(0)), None)


def solve(model: Model) -> float:
    """The least cost [currency]."""
    lanes = model.space[0]
    if model.time is not None:
        lanes = eliminated(model.space, model.time)
    _, told = ot.emd(
        model.supply, model.demand, lanes, numItermax=10_000_000, log=True, check_marginals=False
    )
    if told["warning"] is not None:
        raise RuntimeError(f"POT: {told['warning']}")
    return float(told["cost"])


def eliminated(space: tuple[Floats, Floats], time: tuple[Floats, Floats]) -> Floats:
    """Cheapest way from each source and week to each region and week, and an idle one [currency / unit]."""
    ours, theirs = space
    there = np.array([(lane[:, None] + theirs).min(axis=0) for lane in ours])
    weeks = (time[0][:, :, None] + time[1][None, :, :]).min(axis=1)
    lanes = there[:, None, :, None] + weeks[None, :, None, :]
    width = lanes.shape[2] * lanes.shape[3]
    whole = np.zeros((lanes.shape[0] * lanes.shape[1], width + 1))
    whole[:, :width] = lanes.reshape(-1, width)
    return whole


def run(instances: Instances, tolerance: float, repeats: int, variant: str) -> Answer:
    """All contracts on all cores; `variant` is posed or eliminated."""
    timed = solve_all(instances, tolerance, repeats, partial(build, posed=variant == "posed"), solve)
    return timed.answer({"POT": importlib.metadata.version("POT")}, "exact")


if __name__ == "__main__":
    main(run)
