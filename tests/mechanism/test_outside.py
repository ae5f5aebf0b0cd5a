"""Agents that are not ours, in every kind and pair, against exact linear programs."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import jaxcpp as cpp
from tests.mechanism.batches import parties
from tests.mechanism.outside_batches import ALPHA, LANES, MONEY, problems, solved, volume
from tests.oracles import joint_optimum, retailer_utility, supplier_utility, toy
from tests.outside_twins import RETAILERS, SUPPLIERS, Proximal
from tests.strategies import Options, build


@cache
def on_the_platform():
    """The same contracts with both parties ours."""
    fee = cpp.AdditiveFee(ALPHA)
    return [cpp.coordinate(*parties(problem), fee, tolerance=1e-8) for problem in problems()]


@pytest.mark.parametrize("supplier", SUPPLIERS)
@pytest.mark.parametrize("retailer", ["ours", *RETAILERS])
@pytest.mark.slow
def test_every_pair_of_kinds_reaches_the_exact_optimum_at_the_right_price(retailer, supplier):
    batch = problems()
    contracts = solved(retailer, supplier)
    expected = on_the_platform()
    for i, problem in enumerate(batch):
        plan = contracts.plan[i].reshape(problem.inbound, -1)
        reached = retailer_utility(problem, plan) + supplier_utility(problem, plan)
        best = joint_optimum(problem)[0]
        assert best - reached <= contracts.efficiency_gap[i] + 1e-9 * abs(best)
        assert contracts.efficiency_gap[i] <= 1.1e-6 * problem.demand.sum() * MONEY
        assert contracts.status[i] == expected[i].status
        if contracts.status[i] in ("accepted", "declined"):
            sure = contracts.price_error[i] + float(expected[i].certificate.price_error)
            # The same plan up to both gaps, so transfers differ by no more than these.
            both = contracts.efficiency_gap[i] + float(expected[i].certificate.efficiency_gap)
            assert contracts.price[i] == pytest.approx(float(expected[i].price), abs=sure + 10.0 * both)
            assert contracts.gain[i] == pytest.approx(float(expected[i].gain), abs=sure + both)
            assert contracts.supplier_surplus[i] == pytest.approx(contracts.gain[i] - ALPHA)
    paid = np.where(contracts.accepted, contracts.price, 0.0)
    np.testing.assert_array_equal(contracts.paid, paid)
    issued = np.where(contracts.accepted[:, None], contracts.plan, contracts.jit)
    np.testing.assert_array_equal(contracts.issued, issued)


@pytest.mark.parametrize("supplier", SUPPLIERS)
def test_weeks_stock_lost_sales_and_leftovers_with_tight_capacity(supplier):
    batch = tuple(
        build(Options(inbound=2, regions=2, sources=2, weeks=2, inventory=True, lost_sales=True, backlog=True,
                      leftovers=True, zeros=True, capacity="tight", seed=seed))
        for seed in range(3)
    )  # fmt: skip
    contracts = solved("ours", supplier, batch=batch)
    for i, problem in enumerate(batch):
        plan = contracts.plan[i].reshape(problem.inbound, -1)
        reached = retailer_utility(problem, plan) + supplier_utility(problem, plan)
        best = joint_optimum(problem)[0]
        assert best - reached <= contracts.efficiency_gap[i] + 1e-9 * abs(best)
        assert contracts.status[i] in ("accepted", "declined", "no_gain")


@pytest.mark.parametrize("supplier", SUPPLIERS)
def test_the_papers_example_to_the_cent(supplier):
    retailer, _ = parties(toy())
    seller = SUPPLIERS[supplier]([toy()], "supplier")
    for alpha, status, paid in (
        (50.0, "accepted", 80.0),
        (119.99, "accepted", 149.99),
        (121.0, "declined", 0.0),
    ):
        contracts = cpp.coordinate_outside(retailer, seller, cpp.AdditiveFee(alpha))
        np.testing.assert_allclose(contracts.plan, [[10.0, 90.0]], atol=1e-4)
        np.testing.assert_allclose(contracts.order, [[40.0, 60.0]], atol=1e-9)
        assert contracts.cbt[0] == pytest.approx(30.0, abs=0.005)
        assert contracts.gain[0] == pytest.approx(120.0, abs=0.005)
        assert contracts.status[0] == status
        assert contracts.paid[0] == pytest.approx(paid, abs=0.005)


def test_a_proximal_agent_that_answers_prices_too_is_certified_by_those():
    kind = type("Both", (SUPPLIERS["dual"], Proximal), {})
    contracts, sound = solved("ours", "", kind(problems(), "supplier")), solved("ours", "dual")
    assert list(contracts.status) == list(sound.status)
    sure = sound.price_error + 10.0 * (sound.efficiency_gap + contracts.efficiency_gap)
    np.testing.assert_array_less(np.abs(contracts.price - sound.price), 2.0 * sure)
    assert {"best_response", "best_plan"} <= {crossing.method for crossing in contracts.log.crossings}


@pytest.mark.slow
def test_without_reported_utilities_a_contract_says_so_and_how_far_it_still_moved():
    contracts = solved("ours", "", Proximal(problems(), "supplier"), max_rounds=400)
    assert list(contracts.status) == ["uncertified"] * LANES
    assert not contracts.paid.any()
    assert np.isnan(contracts.price).all()
    assert np.isnan(contracts.efficiency_gap).all()
    np.testing.assert_array_equal(contracts.issued, contracts.order)
    assert np.all(contracts.moved_units <= 1e-6 * volume(problems()))
    assert np.all(contracts.moved_money <= 1e-5 * volume(problems()) * MONEY)
    early = solved("ours", "", Proximal(problems(), "supplier"), max_rounds=5)
    assert list(early.status) == ["uncertified"] * LANES
    assert np.all(early.moved_units > contracts.moved_units)


def test_out_of_rounds_is_not_converged_and_nobody_pays():
    contracts = solved("ours", "primal", max_rounds=1)
    assert "not_converged" in contracts.status
    lost = contracts.status == "not_converged"
    assert np.isnan(contracts.price[lost]).all()
    assert not contracts.paid[lost].any()
    np.testing.assert_array_equal(contracts.issued[lost], contracts.order[lost])


IN_FLOAT32 = """
import jaxcpp as cpp
from tests.oracles import toy
from tests.outside_twins import SUPPLIERS
for kind in SUPPLIERS:
    seller = SUPPLIERS[kind]([toy()], "supplier")
    retailer = cpp.Retailer(unit_cost=[[1, 5], [2, 3]], demand=[40, 60], margin=20)
    made = cpp.coordinate_outside(retailer, seller, cpp.AdditiveFee(50.0), tolerance=1e-3, consistency=1e-3)
    print(kind, made.status[0], abs(made.cbt[0] - 30) <= made.price_error[0] < 0.3, made.paid[0].round(1))
"""


@pytest.mark.slow
def test_a_retailer_of_ours_in_float32_is_certified_as_far_as_that_goes():
    path = os.pathsep.join([".", *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_FLOAT32],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"PYTHONPATH": path, "JAX_ENABLE_X64": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{kind} accepted True 80.0" for kind in SUPPLIERS]
