"""A contract as a network of sources, inbound nodes and regions, week by week, for the exact peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from bench.cases import Case, Floats, Instances

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Network:
    """Arcs of all contracts of one size: source-weeks first, then inbound-weeks, then region-weeks."""

    case: Case
    tail: Ints
    head: Ints
    supplier_arcs: int  # the supplier's arcs come first

    @property
    def sources(self) -> int:
        """Nodes that supply."""
        return self.case.sources * self.case.weeks

    @property
    def inbound(self) -> int:
        """Nodes that pass on."""
        return self.case.inbound * self.case.weeks

    @property
    def regions(self) -> int:
        """Nodes that demand."""
        return self.case.regions * self.case.weeks


def network(case: Case) -> Network:
    """The arcs that every contract of this size shares; only their costs differ."""
    source, source_week, node, node_week = _cells(case.sources, case.inbound, case.weeks, late=False)
    inbound, inbound_week, region, region_week = _cells(case.inbound, case.regions, case.weeks, late=True)
    first_inbound = case.sources * case.weeks
    first_region = first_inbound + case.inbound * case.weeks
    tail = [source * case.weeks + source_week, first_inbound + inbound * case.weeks + inbound_week]
    head = [first_inbound + node * case.weeks + node_week, first_region + region * case.weeks + region_week]
    return Network(
        case,
        np.concatenate(tail).astype(np.int32),
        np.concatenate(head).astype(np.int32),
        supplier_arcs=len(source),
    )


def costs(instances: Instances, index: int) -> Floats:
    """Currency per unit on every arc of one contract, in the order of `network`."""
    case = instances.case
    gap = np.arange(case.weeks)[None, :] - np.arange(case.weeks)[:, None]
    early = instances.supplier_holding * gap
    weeks = np.where(gap >= 0, instances.holding * gap, -instances.backlog * gap)
    source, source_week, node, node_week = _cells(case.sources, case.inbound, case.weeks, late=False)
    inbound, inbound_week, region, region_week = _cells(case.inbound, case.regions, case.weeks, late=True)
    return np.concatenate(
        [
            instances.supplier_unit_cost[index][source, node] + early[source_week, node_week],
            instances.unit_cost[index][inbound, region] + weeks[inbound_week, region_week],
        ]
    )


def all_costs(instances: Instances) -> Floats:
    """`costs` of every contract, (contract, arc)."""
    return np.stack([costs(instances, index) for index in range(len(instances))])


def rows(arcs: Network) -> tuple[Any, Any]:
    """Sums of what arcs carry, sparse: out of every source; into every other node, less what leaves it."""
    arc = np.arange(len(arcs.tail))
    shape = arcs.sources + arcs.inbound + arcs.regions, len(arc)
    leaving = sp.csr_array((np.ones(len(arc)), (arcs.tail, arc)), shape=shape)
    entering = sp.csr_array((np.ones(len(arc)), (arcs.head, arc)), shape=shape)
    return leaving[: arcs.sources], (entering - leaving)[arcs.sources :]


def limits(instances: Instances) -> tuple[Floats, Floats]:
    """The right-hand sides of `rows`, (contract, row) [units]: at most, and exactly."""
    count, case = len(instances), instances.case
    passed_on = np.zeros((count, case.inbound * case.weeks))
    demand = instances.demand.reshape(count, -1)
    return instances.capacity.reshape(count, -1), np.concatenate([passed_on, demand], axis=1)


def unbalanced(instances: Instances, flows: Floats) -> list[float]:
    """Units by which flows (contract, arc) miss demand, capacity, balance or zero, over demand."""
    out, net = rows(network(instances.case))
    most, exactly = limits(instances)
    beyond = np.maximum((out @ flows.T).T - most, 0.0).sum(axis=1)
    off = np.abs((net @ flows.T).T - exactly).sum(axis=1)
    negative = np.maximum(-flows, 0.0).sum(axis=1)
    missed: Floats = (beyond + off + negative) / instances.demand.sum(axis=(1, 2))
    return [float(share) for share in missed]


def _cells(rows: int, columns: int, weeks: int, *, late: bool) -> tuple[NDArray[np.intp], ...]:
    """Row, week out, column and week in of every allowed arc."""
    allowed = np.ones((rows, weeks, columns, weeks), bool)
    if not late:
        allowed &= (np.arange(weeks)[None, :] >= np.arange(weeks)[:, None])[None, :, None, :]
    return np.nonzero(allowed)
