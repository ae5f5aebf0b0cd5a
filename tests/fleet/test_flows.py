"""The private transport plans behind the plans carried out: what they ship, and what they cost."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from tests.fleet.answers import Answer
from tests.fleets import INBOUND, REGIONS, SOURCES
from tests.oracles.problem import Floats, Problem

EXACT = 1e-7
"""Of a contract's volume: what rounding may move."""

pytestmark = pytest.mark.slow  # a whole fleet with its flows

Shipments = tuple[Floats, Floats]


@pytest.fixture(scope="module")
def shipments(solved) -> dict[str, Shipments]:
    """By product: retailer's (I, T, J, T) and supplier's (K, T, I, T) units, from and to."""
    flows, found = solved.run.flows, {}
    by_product: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for values in zip(*flows.values(), strict=True):
        row = dict(zip(flows, values, strict=True))
        by_product[str(row["product_id"])].append(row)
    for answer in solved.answers:
        product = answer.row["product_ids"][0]
        found[answer.id] = arrays(answer.problem, by_product.pop(product, []))
    assert not by_product
    return found


def arrays(problem: Problem, rows: list[dict[str, Any]]) -> Shipments:
    weeks = problem.weeks
    taken = np.zeros((problem.inbound, weeks, problem.regions, weeks))
    shipped = np.zeros((problem.sources, weeks, problem.inbound, weeks))
    for row in rows:
        retailer = row["party"] == "retailer"
        into, sources, nodes = (taken, INBOUND, REGIONS) if retailer else (shipped, SOURCES, INBOUND)
        at = sources.index(row["from_id"]), row["week_from"], nodes.index(row["to_id"]), row["week_to"]
        assert into[at] == 0.0, "two rows for one shipment"
        assert row["units"] > 0.0
        into[at] = row["units"]
    return taken, shipped


def slack(answer: Answer) -> float:
    return EXACT * max(answer.problem.demand.sum(), answer.plan.sum(), 1e-9)


def cost(units: Floats, lane: Floats, early: float, late: float) -> float:
    """Transport, and a week's cost for each week that units wait, or are waited for."""
    weeks = units.shape[1]
    wait = np.arange(weeks)[None, :] - np.arange(weeks)[:, None]  # from week, to week
    used = units > 0.0
    per_unit = np.broadcast_to(lane[:, None, :, None], units.shape)[used]
    waits = np.broadcast_to(wait[None, :, None, :], units.shape)[used]
    timing = np.where(waits >= 0, early * waits, 0.0)
    timing[waits < 0] = late * -waits[waits < 0]
    return float(((per_unit + timing) * units[used]).sum())


def test_the_supplier_ships_the_plan_from_what_it_can_make(solved, shipments):
    for answer in solved.answers:
        _, shipped = shipments[answer.id]
        np.testing.assert_allclose(
            shipped.sum(axis=(0, 1)), answer.plan, atol=slack(answer), rtol=0, err_msg=answer.id
        )
        made = shipped.sum(axis=(2, 3))
        assert (made <= answer.problem.capacity + slack(answer)).all(), answer.id


def test_the_retailer_ships_what_arrives_and_stands_there(solved, shipments):
    for answer in solved.answers:
        problem, (taken, _) = answer.problem, shipments[answer.id]
        served, left_node = taken.sum(axis=(0, 1)), taken.sum(axis=(2, 3))
        assert (served <= problem.demand + slack(answer)).all(), answer.id
        there = answer.plan.copy()
        there[:, 0] += problem.inventory
        assert (left_node <= there + slack(answer)).all(), answer.id
        if np.isinf(problem.leftover):
            assert (left_node >= answer.plan - slack(answer)).all(), answer.id
        lived = not np.isnan(answer.row["gain"]) or answer.row["status"] == "accepted"
        if np.isinf(problem.lost_sale) and lived:
            np.testing.assert_allclose(served, problem.demand, atol=slack(answer), rtol=0, err_msg=answer.id)


def test_only_lanes_that_exist_and_only_forward_in_a_vendors_time(solved, shipments):
    for answer in solved.answers:
        problem, (taken, shipped) = answer.problem, shipments[answer.id]
        assert not taken[
            ~np.isfinite(problem.unit_cost)
            .repeat(problem.weeks, 0)
            .reshape(problem.inbound, problem.weeks, problem.regions)
        ].any(), answer.id
        early = np.tri(problem.weeks, k=-1, dtype=bool)  # to a week before the one it is from
        assert not shipped.sum(axis=(0, 2))[early].any(), answer.id
        if np.isinf(problem.backlog):
            assert not taken.sum(axis=(0, 2))[early].any(), answer.id


def test_flows_cost_what_the_contract_says(solved, shipments):
    for answer in solved.answers:
        problem, (taken, shipped), row = answer.problem, shipments[answer.id], answer.row
        issued = "plan" if row["status"] == "accepted" else "jit"
        within = solved.settings.tolerance * answer.chain + row["price_error"] + answer.accuracy
        sent = cost(shipped, problem.supplier_unit_cost, problem.supplier_holding, np.inf)
        assert sent == pytest.approx(row[f"supplier_cost_{issued}"], abs=within), answer.id
        told = row[f"retailer_cost_{issued}"]
        if np.isnan(told):
            continue
        spent = cost(taken, problem.unit_cost, problem.holding, problem.backlog)
        lost = problem.demand.sum() - taken.sum()
        left = answer.plan.sum() + used_stock(answer, taken) - taken.sum()
        spent += (problem.lost_sale if np.isfinite(problem.lost_sale) else 0.0) * lost
        spent += (problem.leftover if np.isfinite(problem.leftover) else 0.0) * left
        assert spent == pytest.approx(told, abs=within), answer.id


def used_stock(answer: Answer, taken: Floats) -> float:
    """Units of the shelf that were used: what left a node in week 0 beyond what arrived there then."""
    return float(np.maximum(taken.sum(axis=(2, 3)) - answer.plan, 0.0).sum())
