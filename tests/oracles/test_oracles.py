"""The oracles against numbers worked out by hand, against each other, and against enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from tests import oracles, strategies
from tests.oracles import Problem

pytestmark = pytest.mark.slow

TOY_ACCURACY = 1e-9


def one_lane(**changes) -> Problem:
    """One node, one region, one source; two weeks with 10 units asked for in the second."""
    plain = Problem(
        unit_cost=np.array([[2.0]]),
        demand=np.array([[0.0, 10.0]]),
        margin=9.0,
        supplier_unit_cost=np.array([[3.0]]),
        capacity=np.array([[20.0, 20.0]]),
        supplier_margin=5.0,
        inventory=np.zeros(1),
        holding=1.0,
        supplier_holding=0.5,
    )
    return replace(plain, **changes)


def test_the_papers_first_best():
    utility, plan = oracles.joint_optimum(oracles.toy())
    assert plan is not None
    assert utility == pytest.approx(1750 + 1540, abs=TOY_ACCURACY)
    np.testing.assert_allclose(plan, [[10.0], [90.0]], atol=TOY_ACCURACY)


def test_the_papers_just_in_time_plan_and_transfer():
    toy = oracles.toy()
    utility, order = oracles.best_jit(toy)
    assert order is not None
    assert utility == pytest.approx(1780, abs=TOY_ACCURACY)
    np.testing.assert_allclose(order, [[40.0], [60.0]], atol=TOY_ACCURACY)
    status_quo, confirmed = oracles.supplier_status_quo(toy, order)
    assert status_quo == pytest.approx(1390, abs=TOY_ACCURACY)
    np.testing.assert_array_equal(confirmed, order)
    best, plan = oracles.joint_optimum(toy)
    assert plan is not None
    assert best - utility - status_quo == pytest.approx(120, abs=TOY_ACCURACY)
    assert utility - oracles.retailer_utility(toy, plan) == pytest.approx(30, abs=TOY_ACCURACY)


@pytest.mark.parametrize(
    ("plan", "retailer_cost", "supplier_cost"),
    [
        ((40, 60), 220, 610),
        ((30, 70), 230, 560),
        ((20, 80), 240, 510),
        ((10, 90), 250, 460),
        ((0, 100), 260, 470),
    ],
)
def test_the_papers_menu(plan, retailer_cost, supplier_cost):
    toy, units = oracles.toy(), np.array(plan, dtype=float)[:, None]
    assert oracles.retailer_utility(toy, units) == pytest.approx(2000 - retailer_cost, abs=TOY_ACCURACY)
    assert oracles.supplier_utility(toy, units) == pytest.approx(2000 - supplier_cost, abs=TOY_ACCURACY)


def test_a_plan_outside_capacity_or_demand_is_worth_nothing():
    toy = oracles.toy()
    too_much = np.array([[60.0], [60.0]])
    assert oracles.retailer_utility(toy, too_much) == -np.inf
    assert oracles.supplier_utility(toy, too_much) == -np.inf
    assert not oracles.is_feasible(toy, too_much)
    assert oracles.is_feasible(toy, np.array([[50.0], [50.0]]))
    assert oracles.is_feasible(toy)


@pytest.mark.parametrize(
    ("changes", "total"),
    [
        ({}, 10 * (9 - 2 + 5 - 3)),
        # Week 1 makes 4: the other 6 are made in week 0 and held by the supplier, who is cheaper.
        ({"capacity": np.array([[20.0, 4.0]])}, 10 * 9 - 6 * 0.5),
        # Or by the retailer, when it is the cheaper one.
        ({"capacity": np.array([[20.0, 4.0]]), "holding": 0.25}, 10 * 9 - 6 * 0.25),
        # Demand in week 0 and goods in week 1: late by a week.
        ({"demand": np.array([[10.0, 0.0]]), "capacity": np.array([[0.0, 20.0]]), "backlog": 2.0}, 10 * 7),
        # Four units on the shelf wait a week at the retailer's holding cost and need no supplier:
        # each earns 9 - 2 - 1, less than a delivered one.
        ({"inventory": np.array([4.0])}, 10 * 9),
        ({"inventory": np.array([4.0]), "capacity": np.array([[0.0, 6.0]])}, 6 * 9 + 4 * (9 - 2 - 1)),
        # Four units lost.
        ({"capacity": np.array([[0.0, 6.0]]), "lost_sale": 1.5}, 6 * 9 - 4 * 1.5),
        # The supplier's margin of 5 - 3 pays for a leftover at 0.5, on all of its capacity.
        ({"leftover": 0.5}, 10 * 9 + 30 * (5 - 3 - 0.5)),
        ({"leftover": 2.5}, 10 * 9),
    ],
)
def test_weeks_stock_lost_sales_and_leftovers_by_hand(changes, total):
    assert oracles.joint_optimum(one_lane(**changes))[0] == pytest.approx(total, abs=TOY_ACCURACY)


def test_a_short_supplier_confirms_what_suits_it():
    problem = one_lane(capacity=np.array([[4.0, 2.0]]))
    order = np.array([[0.0, 10.0]])
    utility, confirmed = oracles.supplier_status_quo(problem, order)
    assert utility == pytest.approx(2 * 2 + 4 * 1.5)
    np.testing.assert_allclose(confirmed, [[0.0, 6.0]], atol=1e-9)
    loss = replace(problem, supplier_margin=3.25)  # building a week early would cost more than it earns
    np.testing.assert_allclose(oracles.supplier_status_quo(loss, order)[1], [[0.0, 2.0]], atol=1e-9)
    unpaid = replace(problem, supplier_margin=1.0, capacity=np.array([[0.0, 20.0]]))
    assert oracles.supplier_status_quo(unpaid, order)[0] == pytest.approx(-20.0)


def test_no_source_reaches_the_only_node():
    problem = one_lane(supplier_unit_cost=np.array([[np.inf]]))
    assert oracles.joint_optimum(problem) == (-np.inf, None)
    assert oracles.best_jit_utility(problem) == -np.inf
    assert not oracles.is_feasible(problem)


@pytest.mark.parametrize("seed", range(6))
def test_joint_optimum_is_the_best_of_all_whole_plans(seed):
    """With whole numbers a transport problem has a whole best plan: enumerate them all."""
    rng = np.random.default_rng(seed)
    problem = Problem(
        unit_cost=rng.uniform(1, 6, (2, 2)),
        demand=rng.integers(0, 3, (2, 2)).astype(float),
        margin=5.0,
        supplier_unit_cost=rng.uniform(1, 6, (2, 2)),
        capacity=rng.integers(1, 3, (2, 2)).astype(float),
        supplier_margin=5.0,
        inventory=rng.integers(0, 2, 2).astype(float),
        holding=0.5,
        backlog=0.75,
        lost_sale=0.5,
        leftover=4.0,
        supplier_holding=0.25,
    )
    totals = [
        oracles.retailer_utility(problem, plan) + oracles.supplier_utility(problem, plan)
        for plan in (np.reshape(p, (2, 2)).astype(float) for p in itertools.product(range(4), repeat=4))
    ]
    assert oracles.joint_optimum(problem)[0] == pytest.approx(max(totals), abs=1e-6)


@settings(max_examples=50)
@given(strategies.problems())
def test_a_built_problem_is_feasible_and_the_oracles_agree(problem):
    best, plan = oracles.joint_optimum(problem)
    assert plan is not None
    allowance = 1e-6 * (1.0 + problem.demand.sum() * 20.0)
    parts = oracles.retailer_utility(problem, plan) + oracles.supplier_utility(problem, plan)
    assert parts == pytest.approx(best, abs=allowance)
    jit, order = oracles.best_jit(problem)
    assert order is not None
    assert jit >= oracles.retailer_utility(problem, plan) - allowance
    status_quo, confirmed = oracles.supplier_status_quo(problem, order)
    assert oracles.supplier_utility(problem, confirmed) == pytest.approx(status_quo, abs=allowance)
    assert best >= oracles.retailer_utility(problem, confirmed) + status_quo - allowance


@settings(max_examples=50)
@given(strategies.problems())
def test_spoiled_problems_are_infeasible(problem):
    if problem.demand.any():
        assert not oracles.is_feasible(strategies.short_of_capacity(problem))
    assert not oracles.is_feasible(strategies.with_unreachable_region(problem))


def test_seeds_cover_every_option_and_every_edge():
    drawn = [strategies.random_options(seed) for seed in range(200)]
    for flag in ("inventory", "lost_sales", "backlog", "leftovers", "holes", "ties", "zeros"):
        assert 60 < sum(getattr(options, flag) for options in drawn) < 140, flag
    built = [strategies.random_problem(seed) for seed in range(200)]
    assert any(min(p.inbound, p.regions, p.sources) == 1 for p in built)
    assert {p.weeks for p in built} == {1, 2, 3, 4}
    assert any(not p.public.all() for p in built)
    assert any((p.demand.sum(axis=0) == 0).any() and p.demand.any() for p in built)
    assert any((p.capacity.sum(axis=1) == 0).any() for p in built)
    assert any(p.capacity.sum() + p.inventory.sum() == p.demand.sum() > 0 for p in built)
    assert any(not p.demand.any() for p in built)
