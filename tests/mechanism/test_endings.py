"""How contracts end that do not end well, and what is refused before it starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxcpp import AdditiveFee, Retailer, Supplier, coordinate
from jaxcpp.mechanism import status
from tests import oracles, strategies
from tests.mechanism.batches import Method, Shape, lane, parties, problems_of, solve
from tests.oracles import Problem

SHAPE: Shape = (2, 3, 2, 3)
TOLERANCE: dict[Method, float] = {"newton": 1e-6, "admm": 1e-3}


def least_shortage(problem: Problem) -> float:
    """Units that no plan can serve: what is lost where losing a unit costs more than any way to serve it."""
    ceiling = 1e4
    lost = replace(problem, lost_sale=ceiling, margin=0.0, supplier_margin=0.0, leftover=np.inf)
    free = replace(lost, unit_cost=np.where(np.isfinite(lost.unit_cost), 0.0, np.inf), holding=0.0,
                   supplier_unit_cost=np.where(np.isfinite(lost.supplier_unit_cost), 0.0, np.inf),
                   supplier_holding=0.0, backlog=0.0 if np.isfinite(lost.backlog) else np.inf)  # fmt: skip
    return -oracles.joint_optimum(free)[0] / ceiling


@pytest.fixture(params=["short", "unreachable"], scope="module")
def spoiled(request: pytest.FixtureRequest) -> list[Problem]:
    problems = problems_of(SHAPE, 64, seed=6)
    if request.param == "unreachable":
        return [strategies.with_unreachable_region(problem) for problem in problems]
    return [strategies.short_of_capacity(problem) for problem in problems if problem.demand.any()]


def test_what_cannot_be_served_is_infeasible(spoiled):
    contracts = solve(spoiled, 1.0, 1e-6)
    np.testing.assert_array_equal(contracts.status, "infeasible")
    assert not contracts.accepted.any()
    assert (contracts.paid == 0.0).all()
    np.testing.assert_array_equal(contracts.issued, contracts.jit)
    for index, problem in enumerate(spoiled):
        # Leaving a unit unserved is dearer than any way to serve it, so none is left that need not be.
        least = least_shortage(problem)
        volume = problem.demand.sum()
        assert lane(contracts, index).unmet == pytest.approx(least, abs=1e-5 * volume), problem


@pytest.mark.slow
def test_admm_calls_nothing_carried_out_that_cannot_be(spoiled):
    contracts = solve(spoiled, 1.0, 1e-3, "admm")
    assert np.isin(contracts.status, ("infeasible", "not_converged")).all(), contracts.status
    assert (contracts.paid == 0.0).all()


def test_the_good_contracts_of_a_batch_do_not_feel_the_bad_ones(spoiled):
    good = problems_of(SHAPE, 16, seed=6)
    mixed = solve([*good, *spoiled[:16]])
    alone = solve(good)
    np.testing.assert_array_equal(mixed.price[:16], alone.price)
    np.testing.assert_array_equal(mixed.status[:16], alone.status)
    np.testing.assert_array_equal(mixed.status[16:], "infeasible")


@pytest.mark.parametrize("method", ["newton", "admm"])
@pytest.mark.slow
def test_too_few_rounds_are_said_to_be_too_few(method):
    """A feasible contract cut short is not converged, never infeasible and never accepted."""
    problem = replace(problems_of(SHAPE, 1, seed=9)[0], lost_sale=np.inf)
    assert oracles.is_feasible(problem)
    contract = coordinate(*parties(problem), AdditiveFee(1.0), method=method, max_rounds=1, tolerance=1e-12)
    assert contract.status == "not_converged"
    assert contract.paid == 0.0
    np.testing.assert_array_equal(contract.issued, contract.jit)
    best = oracles.joint_optimum(problem)[0]
    joint = contract.retailer.utility_plan + contract.supplier.utility_plan
    assert best - joint <= contract.certificate.efficiency_gap, "the certificate holds wherever it stops"


def test_no_gain_where_just_in_time_is_best():
    """One node, one region, one source: there is nothing to choose but the week, and holding is dear."""
    problem = Problem(
        unit_cost=np.array([[2.0]]), demand=np.array([[5.0, 7.0]]), margin=9.0,
        supplier_unit_cost=np.array([[3.0]]), capacity=np.array([[10.0, 10.0]]), supplier_margin=5.0,
        inventory=np.zeros(1), holding=1.0, supplier_holding=1.0,
    )  # fmt: skip
    contract = coordinate(*parties(problem), AdditiveFee(3.0))
    assert contract.status == "no_gain"
    assert contract.price == contract.paid == contract.fee == contract.cbt == 0.0
    np.testing.assert_allclose(contract.plan, [[5.0, 7.0]], rtol=1e-12)
    np.testing.assert_array_equal(contract.plan, contract.jit)


def test_nothing_asked_for_is_no_gain():
    contract = coordinate(Retailer([[1.0, 2.0]], [0.0, 0.0], 5.0), Supplier([[1.0]], [10.0], 5.0))
    assert contract.status == "no_gain"
    assert contract.gain == 0.0
    assert np.all(contract.plan == 0.0)


def test_every_status_has_a_name_and_a_meaning():
    assert len(status.NAMES) == len(status.REASONS) == 5
    assert [name for name, words in zip(status.NAMES, status.REASONS, strict=True) if not words] == [
        "accepted"
    ]


@pytest.mark.parametrize(
    ("retailer", "supplier"),
    [
        (Retailer([[1.0], [2.0]], [4.0], 5.0), Supplier([[1.0]], [10.0], 5.0)),
        (Retailer([[1.0]], [[4.0, 5.0]], 5.0), Supplier([[1.0]], [10.0], 5.0)),
        (Retailer([[1.0]], [4.0], 5.0), Supplier([[1.0]], [[10.0, 10.0]], 5.0)),
    ],
    ids=["nodes", "retailer's weeks", "supplier's weeks"],
)
def test_parties_that_speak_of_different_nodes_are_refused(retailer, supplier):
    with pytest.raises(ValueError, match=r"inbound nodes .* weeks"):
        coordinate(retailer, supplier)
