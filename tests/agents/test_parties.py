"""Both parties as they are given and as the protocol sees them: weeks, lanes, options, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.agents import weeks
from jaxcpp.agents.retailer import Retailer
from jaxcpp.agents.supplier import Supplier
from jaxcpp.agents.terms import Terms, finite
from jaxcpp.mechanism.terms import CEILING, frame, money

INF = np.inf


def plain(nodes: int, **changes: float) -> Terms:
    """Terms that scale nothing: volume and money one, every node open."""
    numbers = {"volume": 1.0, "money": 1.0, "ceiling": 1000.0, "most": 50.0, **changes}
    return Terms(jnp.ones(nodes, bool), **{name: jnp.asarray(value) for name, value in numbers.items()})


def test_a_unit_early_is_held_and_a_unit_late_is_backlogged():
    cost = weeks.delivery_cost(
        jnp.asarray([[2.0, 5.0, 7.0]]),
        jnp.asarray([0, 2, 1], jnp.int32),
        3,
        jnp.asarray(1.0),
        jnp.asarray(10.0),
    )
    # Rows are the weeks of delivery at the one node, columns the entries, needed in weeks 0, 2 and 1.
    np.testing.assert_array_equal(cost, [[2.0, 7.0, 8.0], [12.0, 6.0, 7.0], [22.0, 5.0, 17.0]])


def test_never_late_is_no_lane():
    cost = weeks.delivery_cost(
        jnp.asarray([[2.0]]), jnp.asarray([0], jnp.int32), 2, jnp.asarray(1.0), jnp.asarray(INF)
    )
    np.testing.assert_array_equal(cost, [[2.0], [INF]])


def test_a_vendor_builds_early_and_never_late():
    cost = weeks.shipping_cost(jnp.asarray([[2.0, INF], [3.0, 4.0]]), 2, jnp.asarray(0.5))
    # Rows (node, week of delivery), columns (source, week of production).
    expected = [[2.0, INF, 3.0, INF], [2.5, 2.0, 3.5, 3.0], [INF, INF, 4.0, INF], [INF, INF, 4.5, 4.0]]
    np.testing.assert_array_equal(cost, expected)


def test_lag_counts_weeks_early_or_late():
    lag = weeks.lag(jnp.asarray([0, 2], jnp.int32), 2, 3)
    np.testing.assert_array_equal(lag, [[0, 2], [1, 1], [2, 0]] * 2)


def test_a_grid_and_a_list_of_demand_are_one_retailer():
    """Demand by region and week, and as entries in any order, with the rows that are zero left out."""
    unit_cost, demand = np.array([[1.0, 5.0], [2.0, 3.0]]), np.array([[4.0, 0.0, 2.0], [1.0, 3.0, 0.0]])
    options: Any = {"holding_cost": 0.5, "backlog_cost": 2.0, "leftover_cost": 1.0, "lost_sale_cost": 3.0}
    grid = Retailer(unit_cost, demand, 9.0, inventory=[1.0, 0.0], **options)
    entries = [(1, 1), (0, 2), (0, 0), (1, 0)]
    region, week = np.array(entries).T
    listed = Retailer(
        unit_cost[:, region], demand[region, week], 9.0, inventory=[1.0, 0.0], week=week, weeks=3, **options
    )
    assert grid.nodes == listed.nodes == 6
    assert grid.profit_at_no_cost() == listed.profit_at_no_cost() == 90.0
    terms = plain(6)
    price = jnp.asarray(np.random.default_rng(0).uniform(-2.0, 2.0, 6))
    ours, theirs = (party.agent(terms).respond(price, jnp.asarray(0.1)) for party in (grid, listed))
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize(
    ("lost", "left", "backlog"), list(itertools.product((3.0, INF), (1.0, INF), (2.0, INF)))
)
def test_the_retailers_private_problem(lost, left, backlog):
    retailer = Retailer(
        [[1.0, INF], [2.0, 3.0]], [4.0, 6.0], 9.0,
        lost_sale_cost=lost, leftover_cost=left, backlog_cost=backlog, inventory=[0.0, 5.0],
    )  # fmt: skip
    agent = retailer.agent(plain(2, most=70.0))
    side = agent.side
    np.testing.assert_array_equal(side.cost, [[1.0, INF, left], [2.0, 3.0, left]])
    np.testing.assert_array_equal(side.mass, [4.0, 6.0, 70.0 if np.isfinite(left) else 0.0])
    unserved = 3.0 + 9.0 if np.isfinite(lost) else 1000.0
    np.testing.assert_array_equal(side.outside, [unserved, unserved, 0.0])
    np.testing.assert_array_equal(side.stock, [0.0, 5.0])
    # What is not money spent: the margin of a lost sale; all of what only keeps the problem finite.
    np.testing.assert_array_equal(agent.lost_margin, [*[9.0 if np.isfinite(lost) else 1000.0] * 2, 0.0])
    np.testing.assert_array_equal(agent.must_serve, [*[0.0 if np.isfinite(lost) else 1.0] * 2, 0.0])


def test_stock_keeps_a_closed_node_of_the_retailers_own_open():
    retailer = Retailer([[1.0], [2.0]], [4.0], 9.0, inventory=[0.0, 5.0])
    terms = Terms(jnp.zeros(2, bool), *(jnp.asarray(1.0) for _ in range(4)))
    np.testing.assert_array_equal(retailer.agent(terms).side.cost, [[INF, INF], [2.0, INF]])


def test_the_suppliers_private_problem():
    supplier = Supplier([[10.0, 5.0], [1.0, INF]], [100.0, 10.0], 20.0)
    assert supplier.nodes == 2
    agent = supplier.agent(plain(2))
    np.testing.assert_array_equal(agent.side.cost, [[-10.0, -19.0], [-15.0, INF]])
    np.testing.assert_array_equal(agent.side.mass, [100.0, 10.0])
    assert not agent.side.stock.any()
    assert not agent.side.outside.any()
    order = supplier.filling(plain(2), jnp.asarray([3.0, 4.0]), jnp.asarray(50.0))
    np.testing.assert_array_equal(order.cost, [[10.0, 5.0], [1.0, INF]])
    np.testing.assert_array_equal(order.mass, [3.0, 4.0])
    np.testing.assert_array_equal(order.stock, [100.0, 10.0])
    np.testing.assert_array_equal(order.outside, [50.0, 50.0])


def test_scaling_divides_units_and_money():
    retailer = Retailer([[1.0, 4.0]], [4.0, 6.0], 9.0, lost_sale_cost=1.0)
    side = retailer.agent(plain(1, volume=10.0, money=2.0)).side
    np.testing.assert_array_equal(side.cost, [[0.5, 2.0, INF]])
    np.testing.assert_allclose(side.mass, [0.4, 0.6, 0.0], rtol=1e-15)
    np.testing.assert_array_equal(side.outside, [5.0, 5.0, 0.0])


def test_what_is_open():
    """A vendor's lane in, and a retailer's lane out or leave to keep what is left over."""
    supplier = Supplier([[1.0, 1.0, INF]], [10.0], 5.0)
    lanes = [[1.0], [INF], [1.0]]
    for leftover, expected in ((INF, [True, False, False]), (2.0, [True, True, False])):
        retailer = Retailer(lanes, [4.0], 5.0, leftover_cost=leftover)
        np.testing.assert_array_equal(frame(retailer, supplier, jnp.asarray(1.0)).open, expected)


def test_the_units_of_a_contract():
    retailer = Retailer([[1.0, 3.0], [2.0, INF]], [4.0, 6.0], 9.0)
    supplier = Supplier([[8.0, 4.0]], [30.0], 5.0)
    scale = money(retailer, supplier)
    assert scale == 3.0  # the median of 1, 2, 3, 4, 8
    terms = frame(retailer, supplier, scale)
    assert terms.volume == 10.0
    assert terms.most == 30.0
    assert terms.ceiling == CEILING * (3.0 + 8.0 + 5.0)


def test_a_contract_without_demand_costs_or_lanes_still_has_units():
    retailer = Retailer([[INF]], [0.0], 5.0)
    supplier = Supplier([[INF]], [0.0], 5.0)
    terms = frame(retailer, supplier, money(retailer, supplier))
    assert terms.volume == 1.0
    assert terms.money == 1.0
    assert not terms.open.any()
    free = Retailer([[0.0]], [1.0], 5.0), Supplier([[0.0]], [1.0], 5.0)
    assert money(*free) == 1.0


def test_finite_leaves_missing_lanes_out():
    np.testing.assert_array_equal(finite(jnp.asarray([1.0, INF])), [1.0, 0.0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1.0, 2.0]], [1.0], 5.0), r"unit_cost must be .* got \(1, 2\) and \(1,\)"),
        (([1.0, 2.0], [1.0, 2.0], 5.0), r"unit_cost must be"),
        (([[1.0, 2.0]], [[1.0], [2.0], [3.0]], 5.0), r"unit_cost must be"),
    ],
)
def test_a_retailer_that_does_not_fit_together_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Retailer(*arguments)


def test_entries_need_to_know_the_weeks_of_the_plan():
    with pytest.raises(ValueError, match="weeks"):
        Retailer([[1.0]], [1.0], 5.0, week=[0])


@pytest.mark.parametrize(("cost", "capacity"), [([[1.0]], [1.0, 2.0]), ([1.0], [1.0])])
def test_a_supplier_that_does_not_fit_together_is_refused(cost, capacity):
    with pytest.raises(ValueError, match=r"unit_cost must be \(source, inbound\)"):
        Supplier(cost, capacity, 5.0)
