"""Base-stock to the fleet's own target positions, by hand (arXiv:2605.16695 section 5.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest

from jaxcpp.horizon import orders
from jaxcpp.mechanism.terms import frame, money
from jaxcpp.tables.schema import FLEET
from tests.fleets import from_problems, read
from tests.horizon.rolls import hand_problem, rolled
from tests.horizon.test_against_lp import WEEKS, parties, problem
from tests.oracles.weeks import continuation_cost

CENT = 0.005


def fleet_with(folder, targets: list[tuple[str, int | None, float]], **changes: Any):
    """The fleet of docs/horizon.md, its vendor able to make anything, with targets (node, week, units)."""
    problem = replace(hand_problem(), capacity=np.full((1, 2), 100.0), **changes)
    tables = from_problems({"rum": problem}).tables()
    rows = [
        {"product_id": "rum", "inbound_id": node, "week": week, "units": units}
        for node, week, units in targets
    ]
    tables["targets"] = pa.Table.from_pylist(rows, schema=FLEET["targets"].arrow)
    return read(tables, folder)


def jit_orders(found) -> dict[tuple[int, str, int], float]:
    """What was ordered without coordination: units by week of order, node and week of delivery."""
    return {
        (week, node, int(at)): float(units)
        for week, tables in enumerate(found.weeks)
        for node, at, units in zip(
            *(tables["plans"][name] for name in ("inbound_id", "week", "jit_units")), strict=True
        )
        if units > 0.0
    }


def approx(orders: dict[tuple[int, str, int], float]):
    return {key: pytest.approx(units, abs=CENT) for key, units in orders.items()}


# Demand is 10 in week 0 and 30 in week 1; the region is nearest to the quay (1 a unit, from the depot 3).
HAND: dict[str, tuple[list[tuple[str, int | None, float]], dict[str, tuple[float, float]]]] = {
    # Up to 25, of which 10 leave; then 15 are there of the 30 that are wanted.
    "more in the first week": ([("quay", 0, 25.0), ("quay", 1, 30.0)], {"quay": (25.0, 15.0)}),
    # Every week up to 12: 2 are left of the first, and in the second 18 are lost, at a price.
    "every week": ([("quay", None, 12.0)], {"quay": (12.0, 10.0)}),
    "a week's own row wins": ([("quay", None, 12.0), ("quay", 1, 30.0)], {"quay": (12.0, 28.0)}),
    # All of the demand is the quay's, so nothing ever leaves the depot's position.
    "at the far node": ([("depot", 0, 10.0), ("depot", 1, 40.0)], {"depot": (10.0, 30.0)}),
    # Where the table is silent nothing is wanted: not even what the forecast would ask for.
    "only later": ([("quay", 1, 30.0)], {"quay": (0.0, 30.0)}),
}


@pytest.mark.parametrize("case", HAND)
def test_orders_bring_positions_up_to_their_targets(tmp_path, case):
    targets, wanted = HAND[case]
    fleet = fleet_with(tmp_path / "fleet", targets, lost_sale=1.0)
    found = rolled(fleet, weeks=1, window=2, policy="target")
    expected = {
        (0, node, week): units
        for node, by_week in wanted.items()
        for week, units in enumerate(by_week)
        if units
    }
    assert jit_orders(found) == approx(expected)


def test_what_is_past_due_is_ordered_on_top(tmp_path):
    """10 of week 0 wait, so the position is -10 when week 1 orders up to 30."""
    fleet = fleet_with(tmp_path / "fleet", [("quay", 1, 30.0)], lost_sale=1.0, backlog=2.0)
    found = rolled(fleet, weeks=1, window=2, policy="target")
    assert jit_orders(found) == approx({(0, "quay", 1): 40.0})


def test_the_next_week_counts_what_is_on_hand(tmp_path):
    """25 come in week 0 and 10 are sold: the 15 left are kept for week 1, whose order fills up to 30."""
    fleet = fleet_with(tmp_path / "fleet", [("quay", 0, 25.0), ("quay", 1, 30.0)])
    found = rolled(fleet, weeks=2, window=2, policy="target")
    np.testing.assert_allclose(found.each("delivered_jit")[:, 0], (25.0, 15.0), atol=CENT)
    np.testing.assert_allclose(found.each("on_hand_jit")[:, 0], (15.0, 0.0), atol=CENT)
    np.testing.assert_allclose(found.each("retailer_shipping_jit")[:, 0], (10.0, 30.0), atol=CENT)
    np.testing.assert_allclose(found.each("retailer_holding_jit")[:, 0], (15.0, 0.0), atol=CENT)


def test_what_no_expected_demand_takes_is_not_ordered(tmp_path):
    """1000 and then 10 more for a demand of 40: what comes later is not held, so it stays."""
    fleet = fleet_with(tmp_path / "fleet", [("quay", None, 1000.0)])
    found = rolled(fleet, weeks=1, window=2, policy="target")
    assert jit_orders(found) == approx({(0, "quay", 0): 30.0, (0, "quay", 1): 10.0})


def test_a_product_without_a_target_covers_its_forecast(tmp_path):
    tables = from_problems({"gin": hand_problem(), "rum": hand_problem()}).tables()
    row = {"product_id": "rum", "inbound_id": "quay", "week": None, "units": 12.0}
    tables["targets"] = pa.Table.from_pylist([row], schema=FLEET["targets"].arrow)
    with_table = rolled(read(tables, tmp_path / "one"), weeks=1, window=2, policy="target", cover=2)
    gin, rum = with_table.each("asked_jit")[0], with_table.each("delivered_jit")[0]
    np.testing.assert_allclose(gin, 10.0)
    del tables["targets"]
    without = rolled(read(tables, tmp_path / "two"), weeks=1, window=2, policy="target", cover=2)
    assert rum[0] == pytest.approx(without.each("delivered_jit")[0, 0], abs=CENT)  # gin
    assert rum[1] == pytest.approx(12.0, abs=CENT)


def test_without_the_policy_targets_change_nothing(tmp_path):
    fleet = fleet_with(tmp_path / "fleet", [("depot", None, 1000.0)])
    assert jit_orders(rolled(fleet, weeks=1, window=2)) == approx(
        {(0, "quay", 0): 10.0, (0, "quay", 1): 30.0}
    )


@jax.jit
def base_stock(retailer, supplier, target):
    terms = frame(retailer, supplier, money(retailer, supplier))
    return orders.base_stock(retailer, terms, target, jnp.asarray(1e-9)), terms


@pytest.mark.parametrize("seed", [1, 2, 4, 5])
def test_an_order_up_to_any_target_costs_what_the_program_says(seed):
    """Against the recursion of section 5.1 written out, and the linear program of living with the order."""
    p = problem(seed)
    retailer, supplier, terms = parties(p)
    target = np.random.default_rng(seed).uniform(0.0, 0.7, (p.inbound, WEEKS)) * p.demand.sum() / p.inbound
    target[~p.public] = 0.0
    found, terms = base_stock(retailer, supplier, jnp.asarray(target))
    plan = np.asarray(found.order.plan * terms.volume).reshape(target.shape)
    leaves = np.asarray(orders.nearest_demand(retailer, terms))
    position, wanted = np.zeros(p.inbound), np.zeros_like(target)
    for week in range(WEEKS):
        wanted[:, week] = np.maximum(target[:, week] - position, 0.0)
        position = position + wanted[:, week] - leaves[:, week]
        if not np.isfinite(p.backlog):
            position = np.maximum(position, 0.0)
    cancelled = np.asarray(found.cancelled).reshape(target.shape)
    np.testing.assert_allclose(plan + cancelled, wanted, atol=1e-6)
    exact = continuation_cost(p, plan, WEEKS)
    unit = float(terms.money * terms.volume)
    assert float(found.order.cost.upper) * unit == pytest.approx(exact, rel=1e-5)
    assert float(found.order.cost.lower) * unit <= exact * (1 + 1e-6)
