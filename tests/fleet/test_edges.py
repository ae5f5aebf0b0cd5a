"""What cannot be planned, what need not be, and the smallest fleets; each beside contracts that are fine."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from jaxcpp.fleet.contracts import contracts
from jaxcpp.fleet.infeasible import shortage
from jaxcpp.fleet.pack import Packer
from jaxcpp.fleet.results import Run
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from tests import oracles
from tests.fleet.answers import LP, only, row_of
from tests.fleets import SOURCES, Sample, from_problems, read
from tests.oracles import Problem
from tests.strategies import Options, build, short_of_capacity

PLAIN = Options(inbound=4, regions=6, sources=3, weeks=3)
"""The shapes of the random fleets: no further program is compiled."""

CENT = 1e-5
"""Relative: the default tolerance, in which every cost is to be had."""


def unreachable() -> Problem:
    """Demand in a region that only the one node serves that the vendor does not deliver to."""
    problem = build(replace(PLAIN, seed=1))
    unit_cost, theirs = problem.unit_cost.copy(), problem.supplier_unit_cost.copy()
    unit_cost[:3, 2], theirs[:, 3] = np.inf, np.inf
    return replace(problem, unit_cost=unit_cost, supplier_unit_cost=theirs)


def confirmed_in_part(**changes) -> Problem:
    """Ten units wanted, best through node 0, whose source has four; node 1 has a larger source of its own."""
    unit_cost, theirs = np.full((4, 6), np.inf), np.full((3, 4), np.inf)
    unit_cost[:, 0] = 1.0, 2.0, 8.0, 8.0
    theirs[0], theirs[1] = [2.0, np.inf, 9.0, 9.0], [np.inf, 4.0, 9.0, 9.0]
    demand, capacity = np.zeros((6, 3)), np.zeros((3, 3))
    demand[0, 1] = 10.0
    capacity[0, 1], capacity[1, 1] = 4.0, 20.0
    plain = Problem(
        unit_cost=unit_cost, demand=demand, margin=12.0, supplier_unit_cost=theirs, capacity=capacity,
        supplier_margin=10.0, inventory=np.zeros(4), lost_sale=1.0,
    )  # fmt: skip
    return replace(plain, **changes)


BAD = {
    "m-short": short_of_capacity(build(replace(PLAIN, seed=2))),
    "m-cut": unreachable(),
    "m-part": confirmed_in_part(),
    "m-left": confirmed_in_part(lost_sale=np.inf),
    "m-hard": build(replace(PLAIN, seed=3, ties=True, zeros=True, capacity="tight", backlog=True, size=12)),
}
GOOD = {
    f"{letter}-fine": build(replace(PLAIN, seed=seed, lost_sales=seed % 2 == 0, backlog=seed % 3 == 0))
    for seed, letter in enumerate("abcdefghijklnopqrstuv")
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> tuple[Run, Sample]:
    """Good contracts with bad ones in their midst."""
    sample = from_problems(GOOD | BAD)
    return plan_fleet(read(sample.tables(), tmp_path_factory.mktemp("mixed")), Settings()), sample


def row(run: Run, product: str) -> dict:
    return row_of(run, f"vendor-of-{product}:{product}")


def test_bad_contracts_do_not_spoil_their_neighbours(mixed, tmp_path):
    run, _ = mixed
    alone = plan_fleet(read(from_problems(GOOD).tables(), tmp_path), Settings())
    fine = {str(id_) for id_ in alone.contracts["contract_id"]}
    assert len(fine) == len(GOOD)
    assert set(alone.contracts["status"]) <= {"accepted", "no_gain", "declined"}
    for name in ("contracts", "plans"):
        beside = only(getattr(run, name), fine)
        for column, values in getattr(alone, name).items():
            np.testing.assert_array_equal(np.asarray(beside[column]), np.asarray(values), column)


def test_a_contract_without_capacity_names_region_and_source(mixed):
    found, problem = row(mixed[0], "m-short"), BAD["m-short"]
    assert found["status"] == "infeasible"
    assert re.search(
        r"first in region '(north|east|south|west|coast|inland)' week \d: the capacity of '", found["reason"]
    )
    missing = problem.demand.sum() - served(problem)
    assert found["reason"].startswith(
        f"{missing:,.10g} of {problem.demand.sum():,.10g} units cannot be served"
    )
    assert "np." not in found["reason"]


def test_a_region_the_vendor_cannot_reach_is_named(mixed):
    found = row(mixed[0], "m-cut")
    assert found["status"] == "infeasible"
    assert found["reason"].startswith("region 'south' cannot be reached")
    assert f"({BAD['m-cut'].demand[2].sum():,.10g} units unserved)" in found["reason"]


def test_an_infeasible_contract_has_no_numbers_and_pays_nothing(mixed):
    for product in ("m-short", "m-cut"):
        found = row(mixed[0], product)
        assert found["paid"] == 0.0
        for name, value in found.items():
            if isinstance(value, np.floating) and name != "paid":
                assert np.isnan(value), name


def test_a_hard_contract_is_solved(mixed):
    found, problem = row(mixed[0], "m-hard"), BAD["m-hard"]
    best, _ = oracles.joint_optimum(problem)
    gap = best - found["retailer_utility_plan"] - found["supplier_utility_plan"]
    assert gap <= found["efficiency_gap"] + LP * abs(best)
    assert found["status"] in ("accepted", "no_gain", "declined")


def test_a_part_confirmed_by_hand(mixed):
    """Source 0 has 4 of the 10 units ordered at node 0; six are lost, although node 1 could have had them."""
    found, problem = row(mixed[0], "m-part"), BAD["m-part"]
    assert found["reason"] == "the vendor can confirm 4 of the 10 units ordered just in time"
    assert found["status"] == "accepted"
    expected = {
        "retailer_cost_jit": 4 * 1.0 + 6 * 1.0,
        "supplier_cost_jit": 4 * 2.0,
        "retailer_utility_jit": 4 * (12.0 - 1.0) - 6 * 1.0,
        "supplier_utility_jit": 4 * (10.0 - 2.0),
        # Best for the chain: four through node 0, six through node 1.
        "retailer_cost_plan": 4 * 1.0 + 6 * 2.0,
        "supplier_cost_plan": 4 * 2.0 + 6 * 4.0,
        # Against the order as the retailer would have had it: ten units through node 0.
        "cbt": 6 * (2.0 - 1.0),
        "supplier_surplus": 6 * (10.0 - 4.0) - 6.0,
        "gain": 6 * (12.0 - 2.0 + 1.0) + 6 * (10.0 - 4.0),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=CENT)
    jit, _ = oracles.best_jit(problem)
    order = np.zeros((4, 3))
    order[0, 1] = 10.0
    assert oracles.retailer_utility(problem, order) == pytest.approx(jit)
    utility, confirmed = oracles.supplier_status_quo(problem, order)
    assert found["supplier_utility_jit"] == pytest.approx(utility, rel=CENT)
    assert found["retailer_utility_jit"] == pytest.approx(
        oracles.retailer_utility(problem, confirmed), rel=CENT
    )


def test_just_in_time_that_leaves_demand_unserved_has_no_worth(mixed):
    """The same where all demand must be served: the plan can, just-in-time cannot."""
    found = row(mixed[0], "m-left")
    assert found["status"] == "accepted"
    confirmed, left = found["reason"].split(", which leaves ")
    assert confirmed == "the vendor can confirm 4 of the 10 units ordered just in time"
    assert left == "6 units unserved that must be served"
    for name in ("retailer_cost_jit", "retailer_utility_jit", "gain"):
        assert np.isnan(found[name])
    assert found["cbt"] == pytest.approx(6.0, rel=CENT)
    assert found["supplier_surplus"] == pytest.approx(30.0, rel=CENT)


def served(problem: Problem) -> float:
    """The most units that can be served: worth 1 each, at no cost."""
    free = replace(
        problem,
        unit_cost=np.where(np.isfinite(problem.unit_cost), 0.0, np.inf),
        supplier_unit_cost=np.where(np.isfinite(problem.supplier_unit_cost), 0.0, np.inf),
        margin=1.0,
        supplier_margin=0.0,
        holding=0.0,
        supplier_holding=0.0,
        backlog=0.0 if np.isfinite(problem.backlog) else np.inf,
        lost_sale=0.0,
        leftover=0.0,
    )
    return oracles.joint_optimum(free)[0]


def test_shortages_are_the_least_there_are(tmp_path):
    """Of spoiled contracts with every option on, and of contracts that are short of nothing."""
    options = [
        replace(
            PLAIN, seed=seed, inventory=seed % 2 == 0, backlog=seed % 3 == 0, holes=seed % 5 == 0,
            zeros=seed % 7 == 0, capacity="tight",
        )
        for seed in range(40)
    ]  # fmt: skip
    problems = {f"{n:02d}": build(one) for n, one in enumerate(options)}
    problems |= {f"{n:02d}": short_of_capacity(p) for n, p in enumerate(problems.values()) if n % 4}
    fleet = read(from_problems(problems).tables(), tmp_path)
    found = contracts(fleet)
    packer = Packer(fleet, found)
    short = 0
    for n, problem in enumerate(problems.values()):
        answer = shortage(fleet, found, packer, n)
        missing = problem.demand.sum() - served(problem)
        assert answer.units == pytest.approx(missing, abs=1e-6 * problem.demand.sum())
        assert bool(answer.reason) == (missing > 1e-6)
        if "used up" in answer.reason:
            short += 1
            named = re.findall(r"'([a-z]+)'", answer.reason.split("the capacity of ")[1])
            assert named
            assert set(named) <= set(SOURCES)
    assert short > 10


def one(**changes) -> Problem:
    """One node, one region, one source, one week."""
    plain = Problem(
        unit_cost=np.array([[2.0]]), demand=np.array([[10.0]]), margin=9.0,
        supplier_unit_cost=np.array([[3.0]]), capacity=np.array([[12.0]]), supplier_margin=5.0,
        inventory=np.zeros(1),
    )  # fmt: skip
    return replace(plain, **changes)


def test_the_smallest_fleet(tmp_path):
    """One node, one week, one region: nothing to coordinate, but all to account for."""
    problems = {
        "fits": one(),
        "lost": one(capacity=np.array([[6.0]]), lost_sale=1.5),
        "none": one(demand=np.zeros((1, 1))),
        "short": one(capacity=np.array([[6.0]])),
        "tight": one(capacity=np.array([[10.0]])),
        "unmade": one(capacity=np.zeros((1, 1)), lost_sale=1.5),
    }
    run = plan_fleet(
        read(from_problems(problems).tables(), tmp_path), Settings(fees=(FeeRule(additive=3.0),))
    )
    status = {
        str(ids[0]): str(s)
        for ids, s in zip(run.contracts["product_ids"], run.contracts["status"], strict=True)
    }
    assert status == dict.fromkeys(problems, "no_gain") | {"short": "infeasible"}
    # (retailer's cost and utility, supplier's cost and utility)
    by_hand = {
        "fits": (20.0, 70.0, 30.0, 20.0),
        "tight": (20.0, 70.0, 30.0, 20.0),
        "lost": (6 * 2.0 + 4 * 1.5, 6 * 7.0 - 4 * 1.5, 18.0, 12.0),
        "none": (0.0, 0.0, 0.0, 0.0),
        "unmade": (15.0, -15.0, 0.0, 0.0),
    }
    for product, numbers in by_hand.items():
        found = row(run, product)
        for when in ("jit", "plan"):
            columns = [
                f"{party}_{kind}_{when}" for party in ("retailer", "supplier") for kind in ("cost", "utility")
            ]
            assert [found[name] for name in columns] == pytest.approx(numbers, rel=CENT, abs=1e-9), product
        for name in ("gain", "cbt", "fee", "price", "paid", "supplier_surplus"):
            assert found[name] == 0.0, (product, name)
        assert found["efficiency_gap"] <= CENT * (numbers[0] + numbers[2])
    assert "can confirm 6 of the 10 units" in row(run, "lost")["reason"]
    assert "can confirm 0 of the 10 units" in row(run, "unmade")["reason"]
    assert (
        "4 of 10 units cannot be served, first in region 'north' week 0: the capacity of 'works'"
        in row(run, "short")["reason"]
    )
    assert row(run, "none")["efficiency_gap"] == row(run, "none")["price_error"] == 0.0
    shipped = dict(zip(map(str, run.plans["product_id"]), run.plans["plan_units"], strict=True))
    assert "none" not in shipped
    assert shipped["fits"] == shipped["tight"] == pytest.approx(10.0)
    assert shipped["lost"] == pytest.approx(6.0)
