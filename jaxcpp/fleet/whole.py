"""Whole units: plans a warehouse can carry out, priced as issued (`--units integer`).

Capacity and stock are rounded down before solving, demand must be whole, so an optimal plan of whole
units exists and costs no more (the constraints of a flow are totally unimodular). It is a vertex
of the flows already found: a small linear program over the lanes they use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jax
import numpy as np

from jaxcpp.agents.toll import Toll
from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus.outcome import Outcome
from jaxcpp.fleet.contracts import Index
from jaxcpp.fleet.data import Fleet, Floats
from jaxcpp.fleet.vertex import NEAR, Network
from jaxcpp.transport.rounding import Flows


class WholeUnitsError(ValueError):
    """Whole units were asked for, and the fleet's own numbers are not whole."""


def check_whole(fleet: Fleet) -> None:
    """Refuse demand or stock that is not whole.

    Raises:
        WholeUnitsError: names the first such product, region and week, and counts the others.
    """
    demand, stock = fleet.demand, fleet.inventory
    broken = np.flatnonzero(np.abs(demand.units - np.rint(demand.units)) > NEAR)
    if len(broken):
        row = broken[0]
        raise WholeUnitsError(
            f"whole units: demand for product {str(fleet.product_ids[demand.product[row]])!r} in region "
            f"{str(fleet.region_ids[demand.region[row]])!r} week {demand.week[row]} is {demand.units[row]:g} "
            f"({len(broken):,} such rows); round the demand table, or plan continuous units"
        )
    broken = np.flatnonzero(np.abs(stock.units - np.rint(stock.units)) > NEAR)
    if len(broken):
        row = broken[0]
        raise WholeUnitsError(
            f"whole units: inventory of product {str(fleet.product_ids[stock.product[row]])!r} at "
            f"{str(fleet.inbound_ids[stock.inbound[row]])!r} is {stock.units[row]:g} "
            f"({len(broken):,} such rows); round the inventory table, or plan continuous units"
        )


Lane = tuple[TransportAgent, Flows, TransportAgent, Flows, Toll | None]
"""Retailer and supplier with the flows of their plan, and what deviations are charged; scaled units,
numpy leaves."""


def issue_whole(outcome: Outcome, volume: Floats, lanes: Callable[[Index], Iterable[Lane]]) -> Outcome:
    """Every contract's plan in whole units, with both parties' costs of it.

    `lanes(rows)` gives the parties and flows of some contracts, in order; it is asked only for plans
    that are not whole already. `volume` is each contract's unit of quantity. A plan for which no
    whole one is found is marked as missing everything, so that it is never certified.
    """
    outcome = jax.tree.map(np.array, outcome)
    units = outcome.plan * volume[:, None]
    plan = np.rint(units)
    rows = np.flatnonzero((np.abs(units - plan) > NEAR).any(axis=1))
    for row, lane in zip(rows, lanes(rows), strict=True):
        found = _vertex(*lane, float(volume[row]))
        if found is None:
            plan[row], outcome.missing[row] = units[row], np.inf
            continue
        plan[row], costs = found
        for party, (cost, spend) in zip((outcome.retailer, outcome.supplier), costs, strict=True):
            party.cost[row], party.spend[row] = cost, spend
    moved = np.sum(outcome.price * (outcome.plan - plan / volume[:, None]), axis=1)
    outcome.plan[:] = plan / volume[:, None]
    outcome.retailer_floor[:] += moved
    outcome.supplier_floor[:] -= moved
    return outcome


def _vertex(
    retailer: TransportAgent,
    taken: Flows,
    supplier: TransportAgent,
    shipped: Flows,
    toll: Toll | None,
    volume: float,
) -> tuple[Floats, list[tuple[float, float]]] | None:
    """The cheapest flows in whole units on the lanes in use: the plan, and each party's cost and spend.

    Costs in scaled units, as everything else of an `Outcome`.
    """
    buys, ships = retailer.side, supplier.side
    a, j = np.nonzero(taken.lane > 0.0)
    b, k = np.nonzero(shipped.lane > 0.0)
    network = Network(
        (a, j, buys.cost[a, j]), (b, k, ships.cost[b, k]), np.asarray(buys.mass), np.asarray(buys.outside),
        np.asarray(buys.stock), np.asarray(ships.mass), toll,
    )  # fmt: skip
    units = network.whole(volume)
    if units is None:
        return None
    bought = float(network.served[2] @ units.served + network.outside @ units.lost) / volume
    forgone = float(retailer.lost_margin @ units.lost) / volume
    sold = float(network.sent[2] @ units.sent) / volume
    charged = float(np.sum(units.charged)) / volume
    plan = np.bincount(b, units.sent, len(buys.stock)).astype(np.float64)
    return plan, [
        (bought + charged, bought - forgone),
        (sold, sold + float(supplier.unit_margin) * plan.sum() / volume),
    ]
