"""A price on leaving the plan of record, against linear programs: orders, plans, transfers, accounts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.fleet.roll_settings import RollError
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.horizon import changes, continuation
from jaxcpp.mechanism.terms import frame, money
from tests import oracles
from tests.fleets import from_problems, read
from tests.horizon.rolls import TIGHT as TIGHT_ROLL
from tests.horizon.rolls import hand_problem, random_fleet, random_problems, rolled
from tests.horizon.test_against_lp import NEAR, TIGHT, WEEKS, parties, problem
from tests.horizon.test_week_by_week import opening, plan_of
from tests.oracles.lp import best_choice, best_paying
from tests.oracles.weeks import best_on_record, continuation_cost

CENT = 0.005
PRICES = (0.05, 0.7, 20.0)


@jax.jit
def order(retailer, supplier, record, price):
    terms = frame(retailer, supplier, money(retailer, supplier))
    kept = changes.on_record(retailer, terms, record, price)
    placed = changes.just_in_time(retailer, terms, kept, jnp.asarray(TIGHT))
    return placed.order, terms


@partial(jax.jit, static_argnames="binding")
def go_on(retailer, supplier, plan, binding, churn):
    terms = frame(retailer, supplier, money(retailer, supplier))
    return continuation(retailer, terms, plan, binding, jnp.asarray(TIGHT), churn)


def by_week(shape, price, weeks):
    """The price (I, T): nothing in the last of `weeks`, which is on no record."""
    return np.where(np.arange(shape[1]) < weeks - 1, price, 0.0) * np.ones(shape)


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("seed", range(4))
def test_the_order_just_in_time_is_the_cheapest_with_its_changes(seed, price):
    p = problem(seed)
    _, record = oracles.joint_optimum(p)
    assert record is not None
    record = record[:, ::-1].copy()  # of other weeks, so that something has to change
    exact, _ = best_on_record(p, record, by_week(record.shape, price, WEEKS))
    retailer, supplier, _ = parties(p)
    found, terms = order(retailer, supplier, jnp.asarray(record.reshape(-1)), jnp.asarray(price))
    unit = float(terms.money * terms.volume)
    assert float(found.cost.upper) * unit == pytest.approx(exact, rel=NEAR)
    assert float(found.cost.lower) * unit <= exact * (1 + NEAR)
    # The plan alone has that cost.
    plan = np.asarray(found.plan * terms.volume).reshape(record.shape)
    moved = np.sum(by_week(record.shape, price, WEEKS) * np.abs(plan - record))
    assert continuation_cost(p, plan, WEEKS) + moved == pytest.approx(exact, rel=10 * NEAR)


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("seed", range(4))
def test_the_continuation_counts_what_it_changes(seed, price):
    p = problem(seed)
    _, plan = oracles.joint_optimum(p)
    assert plan is not None
    retailer, supplier, _ = parties(p)
    found = go_on(retailer, supplier, jnp.asarray(plan.reshape(-1)), 1, jnp.asarray(price))
    exact = continuation_cost(p, plan, 1, price)
    assert float(found.upper) == pytest.approx(exact, rel=NEAR)
    assert float(found.lower) <= exact * (1 + NEAR)
    free = continuation_cost(p, plan, 1)
    assert free - NEAR <= exact <= continuation_cost(p, plan, WEEKS) + NEAR


def test_at_a_price_so_high_the_plan_stands():
    p = problem(0)
    _, plan = oracles.joint_optimum(p)
    assert plan is not None
    plan[:, -1] = 0.0  # on no record
    retailer, supplier, _ = parties(p)
    found, terms = order(retailer, supplier, jnp.asarray(plan.reshape(-1)), jnp.asarray(1e3))
    units = np.asarray(found.plan * terms.volume).reshape(plan.shape)
    np.testing.assert_allclose(units[:, :-1], plan[:, :-1], atol=1e-6)


def test_by_hand(tmp_path):
    """With two weeks in sight and 2 a unit for changes, the plan of docs/horizon.md stands in week 1.

    20 are on record at the far node. Just in time, all 20 still needed would move to the near one: that
    saves the retailer 2 each and costs 2 + 2 for every unit moved, so its own order stays as it is.
    """
    fleet = read(from_problems({"rum": hand_problem()}).tables(), tmp_path / "fleet")
    found = rolled(fleet, weeks=2, window=2, churn=2.0)
    np.testing.assert_allclose(found.each("churn")[:, 0], 0.0, atol=CENT)
    # Week 0: given 20 at the far node now, the 20 of week 1 on record there are kept, at 60 and not 20.
    np.testing.assert_allclose(found.each("cbt")[:, 0], (90.0, 0.0), atol=CENT)
    np.testing.assert_allclose(found.each("churn_cost_plan")[:, 0], 0.0, atol=CENT)
    assert found.summary["cumulative_supplier_surplus"][-1] == pytest.approx(130.0, abs=CENT)


@pytest.mark.exhaustive
def test_a_price_of_next_to_nothing_changes_next_to_nothing(tmp_path):
    fleet = random_fleet(tmp_path / "fleet", contracts=1, weeks=3)
    free, dear = (rolled(fleet, weeks=2, window=2, churn=price) for price in (0.0, 1e-7))
    for name in ("gain", "cbt", "retailer_profit_plan", "supplier_profit_plan", "retailer_profit_jit"):
        np.testing.assert_allclose(dear.each(name), free.each(name), atol=1e-3, err_msg=name)
    assert not free.each("churn_cost_plan").any()


@pytest.mark.slow
@pytest.mark.parametrize(("price", "commit"), [(0.02, 1), (0.1, 1), (0.02, 3)])
def test_every_week_is_what_the_programs_say(tmp_path, price, commit):
    weeks, window = 4, 3
    problems = random_problems(weeks=weeks)
    fleet = random_fleet(tmp_path / "fleet", weeks=weeks)
    found = rolled(fleet, weeks=weeks, window=window, commit=commit, churn=price)
    looked = moving = 0
    for week, row in np.ndindex(weeks, len(problems)):
        contracts = found.weeks[week]["contracts"]
        name, product = contracts["contract_id"][row], contracts["product_ids"][row][0]
        problem_, record = opening(found, week, name, problems[product])
        record = record[:, : problem_.weeks]
        cost = by_week(record.shape, price if week else 0.0, window)
        plan = plan_of(found, week, name, "plan_units", problem_)
        moved = np.sum(cost * np.abs(plan - record))
        assert contracts["churn_cost_plan"][row] == pytest.approx(moved, abs=1e-5)
        assert contracts["churn_cost_plan"][row] == pytest.approx(price * contracts["churn"][row], abs=1e-9)
        moving += moved > 1e-3
        status = contracts["status"][row]
        if "confirm" in contracts["reason"][row] or status == "declined":
            continue
        looked += 1
        baseline = plan_of(found, week, name, "baseline_units", problem_)
        if commit > 1 and week > 0:  # the plan of record stands, and to leave it as it is costs no change
            standing = continuation_cost(problem_, record, min(window - 1, problem_.weeks))
        else:
            standing, _ = best_on_record(problem_, record, cost)
        stake = 1e-5 * max(standing, 1.0)
        own = continuation_cost(problem_, baseline, problem_.weeks)
        assert own + np.sum(cost * np.abs(baseline - record)) == pytest.approx(standing, abs=stake)
        vendor, _ = oracles.supplier_status_quo(problem_, baseline)
        best, _ = best_choice(problem_, record, 1.0, cost, cost)
        gain = best - (problem_.margin * problem_.demand.sum() - standing) - vendor
        assert contracts["gain"][row] == pytest.approx(gain, abs=2 * stake + 2e-5 * abs(vendor)), (week, name)
        binding = min(commit, problem_.weeks)
        given = continuation_cost(problem_, plan, binding, price if binding < problem_.weeks else 0.0) + moved
        transfer = 0.0 if status == "no_gain" else given - standing
        assert contracts["cbt"][row] == pytest.approx(transfer, abs=2 * stake), (week, name)
        assert commit > 1 or contracts["cbt"][row] >= -2 * stake
    assert looked >= 2 * weeks
    assert moving >= 3


def test_a_share_by_hand(tmp_path):
    """The plan of docs/horizon.md stands here too: a share of 0.5 is levied on the transfer of 90."""
    fleet = read(from_problems({"rum": hand_problem()}).tables(), tmp_path / "fleet")
    solve = replace(TIGHT_ROLL, fees=(FeeRule(multiplicative=0.5),))
    found = rolled(fleet, weeks=2, window=2, churn=2.0, solve=solve)
    for name, expected in {"cbt": (90.0, 0.0), "fee": (45.0, 0.0), "churn": (0.0, 0.0)}.items():
        np.testing.assert_allclose(found.each(name)[:, 0], expected, atol=CENT, err_msg=name)


RATE, ALPHA = 0.6, 0.1


@pytest.mark.slow
@pytest.mark.parametrize("commit", [1, 3])
def test_every_week_under_a_share_is_the_best_choice(tmp_path, commit):
    """The vendor's plan against a linear program of its schedule; the fee is levied on what it pays."""
    weeks, window, price = 4, 3, 0.05
    problems = random_problems(weeks=weeks)
    fleet = random_fleet(tmp_path / "fleet", weeks=weeks)
    solve = replace(TIGHT_ROLL, fees=(FeeRule(additive=ALPHA, multiplicative=RATE),))
    found = rolled(fleet, weeks=weeks, window=window, commit=commit, churn=price, solve=solve)
    taken = moved = 0
    for week, row in np.ndindex(weeks, len(problems)):
        contracts = {name: column[row] for name, column in found.weeks[week]["contracts"].items()}
        name, status = contracts["contract_id"], contracts["status"]
        assert status != "not_converged", (week, name)
        if "confirm" in contracts["reason"]:
            continue
        problem_, record = opening(found, week, name, problems[contracts["product_ids"][0]])
        record = record[:, : problem_.weeks]
        cost = by_week(record.shape, price if week else 0.0, window)

        def own(plan, problem_=problem_, record=record, cost=cost):
            return oracles.retailer_utility(problem_, plan) - np.sum(cost * np.abs(plan - record))

        issued, order = (plan_of(found, week, name, f"{of}_units", problem_) for of in ("plan", "baseline"))
        stand, none = own(order), np.zeros(record.shape)
        stake = 1e-5 * max(problem_.margin * problem_.demand.sum(), 1.0)
        best, _ = best_paying(problem_, order, stand, RATE, none, none, (record, cost))
        stays = oracles.supplier_utility(problem_, order)
        if status != "accepted":
            assert best - ALPHA <= stays + stake, (week, name)
            continue
        transfer = stand - own(issued)
        fee = ALPHA + RATE * max(transfer, 0.0)
        worth = oracles.supplier_utility(problem_, issued) - transfer - fee
        gap = contracts["efficiency_gap"]
        assert -stake <= best - ALPHA - worth <= gap + stake, (week, name)
        assert contracts["window_cbt"] == pytest.approx(transfer, abs=stake), (week, name)
        assert contracts["window_fee"] == pytest.approx(fee, abs=2 * stake), (week, name)
        taken, moved = taken + 1, moved + (np.sum(cost * np.abs(issued - record)) > 1e-3)
    assert taken >= weeks
    assert moved >= 1


def test_charges_on_deviations_beside_it_are_refused(tmp_path):
    fleet = read(from_problems({"rum": hand_problem()}).tables(), tmp_path / "fleet")
    fees = replace(TIGHT_ROLL, fees=(FeeRule(under=0.1),))
    with pytest.raises(RollError, match="not go with charges on deviations"):
        rolled(fleet, weeks=1, window=2, churn=0.1, solve=fees)
