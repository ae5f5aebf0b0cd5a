"""Menus: section 7.7 to the cent, and the theorems that menu, consensus and direct VCG are one mechanism."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp import AdditiveFee, DeviationFee, MultiplicativeFee, Retailer, Supplier, coordinate
from jaxcpp.mechanism.menu import hinted, menu
from tests import oracles
from tests.mechanism.batches import parties, problems_of, slack

pytestmark = pytest.mark.slow

CENT = 0.005
RETAILER = Retailer(unit_cost=[[1, 5], [2, 3]], demand=[40, 60], margin=20)
SUPPLIER = Supplier(unit_cost=[[10, 5], [1, 2]], capacity=[100, 10], margin=20)
PLANS = [[30.0, 70.0], [20.0, 80.0], [10.0, 90.0], [0.0, 100.0]]


def test_section_7_7_to_the_cent():
    """The net utilities are the corrected ones: the paper subtracts the additive part of the fee only."""
    found, pick = menu(RETAILER, SUPPLIER, PLANS, AdditiveFee(50.0))
    np.testing.assert_allclose(np.asarray(found.price), [60, 70, 80, 90], atol=CENT)
    np.testing.assert_allclose(np.asarray(found.cbt), [10, 20, 30, 40], atol=CENT)
    np.testing.assert_allclose(np.asarray(found.retailer_cost), [230, 240, 250, 260], atol=CENT)
    np.testing.assert_allclose(np.asarray(pick.supplier_cost), [560, 510, 460, 470], atol=CENT)
    np.testing.assert_allclose(np.asarray(pick.net), [1380, 1420, 1460, 1440], atol=CENT)
    assert pick.opting_out == pytest.approx(1390, abs=CENT)
    assert pick.choice == 2
    assert float(found.price_error.max()) < CENT


def test_a_hint_towards_the_second_node_makes_the_papers_list():
    np.testing.assert_allclose(np.asarray(hinted(jnp.asarray([[40.0], [60.0]]), 1))[:, :, 0], PLANS)


def test_a_hint_keeps_every_week():
    order = np.array([[4.0, 1.0], [2.0, 8.0], [0.0, 3.0]])
    plans = np.asarray(hinted(jnp.asarray(order), 2, 5))
    np.testing.assert_allclose(plans.sum(axis=1), np.tile(order.sum(axis=0), (5, 1)))
    np.testing.assert_allclose(plans[-1, 2], order.sum(axis=0))
    assert (plans >= 0.0).all()


def test_opting_out_where_no_plan_pays():
    _, pick = menu(RETAILER, SUPPLIER, PLANS, AdditiveFee(120.5))
    assert pick.choice == -1
    _, pick = menu(RETAILER, SUPPLIER, [[40.0, 60.0]], AdditiveFee(0.0))
    assert pick.choice == -1, "just-in-time is not a deviation from itself"


def test_prices_do_not_depend_on_what_the_supplier_says():
    honest, _ = menu(RETAILER, SUPPLIER, PLANS, MultiplicativeFee(0.2))
    liar = Supplier(unit_cost=[[3, 9], [7, 7]], capacity=[20, 30], margin=1)
    other, _ = menu(RETAILER, liar, PLANS, MultiplicativeFee(0.2))
    np.testing.assert_allclose(np.asarray(honest.price), np.asarray(other.price), rtol=1e-9)


def test_plans_that_one_party_cannot_carry_out():
    found, pick = menu(RETAILER, SUPPLIER, [[50.0, 60.0], [30.0, 60.0]], MultiplicativeFee(0.0))
    assert np.isinf(np.asarray(found.price)).all()  # ten units that nobody buys, ten that must be served
    assert pick.choice == -1
    small = Supplier(unit_cost=[[10, 5], [1, 2]], capacity=[50, 60], margin=20)
    found, pick = menu(RETAILER, Supplier([[10, 5]], [99], 20), PLANS)
    assert np.isneginf(np.asarray(pick.utility)).all()
    assert pick.choice == -1
    assert np.isfinite(np.asarray(menu(RETAILER, small, PLANS)[1].net)).all()


@pytest.mark.parametrize(
    "fee",
    [
        pytest.param(AdditiveFee(50.0), marks=pytest.mark.exhaustive),
        pytest.param(MultiplicativeFee(1.0), marks=pytest.mark.exhaustive),
        DeviationFee(0.5, 0.25),
    ],
    ids=["add", "mult", "dev"],
)
def test_the_whole_menu_consensus_and_direct_vcg_are_one_mechanism(fee):
    """Theorems 1-3 on the paper's example: every whole plan on the menu, and the same plan and price."""
    every = [[float(units), 100.0 - units] for units in range(101)]
    found, pick = menu(RETAILER, SUPPLIER, every, fee)
    contract = coordinate(RETAILER, SUPPLIER, fee)
    chosen = int(pick.choice)
    np.testing.assert_allclose(every[chosen], np.asarray(contract.plan), atol=1e-3)
    assert float(found.price[chosen]) == pytest.approx(float(contract.price), abs=CENT)
    assert float(found.cbt[chosen]) == pytest.approx(30.0, abs=CENT), "direct VCG: 1780 - 1750"


def test_menu_consensus_and_direct_vcg_agree_on_random_problems():
    """The efficient plan among others on a fee-free menu is chosen, at its VCG price."""
    rng = np.random.default_rng(5)
    chosen = 0
    for problem in problems_of((2, 3, 2, 3), 12, seed=21):
        best, plan = oracles.joint_optimum(problem)
        jit, order = oracles.best_jit(problem)
        assert plan is not None
        assert order is not None
        weights = rng.random((7, 1, 1))
        plans = np.concatenate([weights * plan + (1 - weights) * order, plan[None]])
        retailer, supplier = parties(problem)
        found, pick = menu(retailer, supplier, plans)
        contract = coordinate(retailer, supplier)
        error = float(contract.certificate.efficiency_gap + contract.certificate.price_error)
        off = error + float(np.max(np.asarray(pick.error))) + slack(problem)
        vcg = jit - oracles.retailer_utility(problem, plan)
        assert abs(found.price[-1] - vcg) <= off
        keeps = contract.supplier.utility_plan - contract.price
        assert best - jit - keeps <= off, "what is left to the supplier is the chain's best less stand-alone"
        if pick.choice >= 0:
            chosen += 1
            assert abs(best - jit - float(pick.net[pick.choice])) <= off
        else:
            assert contract.status == "no_gain" or contract.gain <= 2.0 * off
    assert chosen >= 4
