"""Truthfulness as theory says it: no misreport gains a supplier more than what is certified.

What a supplier has of a report is its true utility of the plan carried out, less what it pays. Where it is
obliged to fill the just-in-time orders that it can fill, a lie that changes whether it can is not looked at:
understated capacity is a way out of an order at a loss. Where orders are voluntary, every lie is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcpp import Contract
from jaxcpp.mechanism.status_quo import JustInTime
from tests import oracles
from tests.mechanism.batches import LANES, everything, lane, problems_of, rounding, slack, solve
from tests.oracles import Problem
from tests.oracles.problem import Floats

SHAPE = (2, 3, 2, 3)
TOLERANCE = 1e-6
examples = settings(max_examples=4)


def lie(problem: Problem, rng: np.random.Generator) -> Problem:
    """The supplier's numbers misreported: costs, margin or capacity, by a little or a lot."""
    size = rng.choice((0.1, 0.5, 2.0))
    costs = problem.supplier_unit_cost * np.exp(size * rng.normal(size=problem.supplier_unit_cost.shape))
    capacity = problem.capacity * rng.choice((0.7, 1.0, 1.5))
    margin = problem.supplier_margin + size * rng.normal()
    kinds = (
        {"supplier_unit_cost": costs},
        {"supplier_margin": margin},
        {"capacity": capacity},
        {"supplier_unit_cost": costs, "supplier_margin": margin, "capacity": capacity},
    )
    return replace(problem, **kinds[rng.integers(len(kinds))])


def has(problem: Problem, contract: Contract) -> float:
    """True utility of the plan carried out, less what is paid for it."""
    return oracles.supplier_utility(problem, np.asarray(contract.issued)) - float(contract.paid)


def understated(problem: Problem, rng: np.random.Generator) -> Problem:
    """Less capacity than there is, down to none."""
    return replace(problem, capacity=problem.capacity * rng.choice((0.0, 0.3, 0.7, 0.95)))


def at_a_loss(problem: Problem) -> Problem:
    """A supplier whose margin pays for few of its orders, and for some capacity to spare."""
    return replace(problem, supplier_margin=0.3 * problem.supplier_margin, capacity=1.2 * problem.capacity)


def regrets(
    problems: list[Problem],
    fees: Floats,
    seed: int,
    tell: Callable[[Problem, np.random.Generator], Problem] = lie,
    just_in_time: JustInTime = "obliged",
    *,
    every: bool = False,
) -> list[tuple[float, float, Problem]]:
    """What a lie gained each supplier over the truth, beside the certified slack; of `every` lie if asked."""
    rng = np.random.default_rng(seed)
    honest = solve(problems, fees, TOLERANCE, make=everything, just_in_time=just_in_time)
    told = [tell(problem, rng) for problem in problems]
    lied = solve(told, fees, TOLERANCE, make=everything, just_in_time=just_in_time)
    found = []
    for index, problem in enumerate(problems):
        truth, other = lane(honest, index), lane(lied, index)
        if "infeasible" in (truth.status, other.status) or not (every or truth.filled == other.filled):
            continue
        spent = truth.chain_cost + truth.supplier.cost_jit + truth.retailer.cost_jit
        unsure = (
            truth.certificate.efficiency_gap + truth.certificate.price_error + other.certificate.price_error
        )
        weight = 1.0 + fees[index, 1] + fees[index, 2]
        allowed = float(unsure) + 2.0 * TOLERANCE * float(spent) + 3.0 * weight * slack(problem)
        found.append((has(problem, other) - has(problem, truth), allowed, problem))
    return found


def charged(alpha: float, beta: float, rate: float, over: float) -> Floats:
    return np.tile(np.array([alpha, beta, rate, over, 0.5 * over]), (LANES, 1))


@pytest.mark.slow
@examples
@given(
    st.integers(0, 2**16),
    st.sampled_from([(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.4), (1.0, 0.2, 0.2)]),
)
def test_no_lie_gains_more_than_the_certified_slack(seed, fee):
    alpha, beta, over = fee
    found = regrets(problems_of(SHAPE, LANES, seed), charged(alpha, beta, 0.0, over), seed)
    assert len(found) >= LANES // 3
    bad = [one for one in found if not one[0] <= one[1]]
    assert not bad, bad[:2]


def test_understating_capacity_pays_where_orders_must_be_filled():
    gained = []
    for seed in range(2):
        problems = [at_a_loss(problem) for problem in problems_of(SHAPE, LANES, seed)]
        found = regrets(problems, charged(0.0, 0.0, 0.0, 0.0), seed, understated, every=True)
        gained += [regret - 100.0 * allowed for regret, allowed, _ in found]
    assert max(gained) > 1.0


@settings(max_examples=3)
@given(st.integers(0, 2**16), st.sampled_from([lie, understated]), st.sampled_from([0.0, 0.3]))
@pytest.mark.slow
def test_no_lie_pays_where_orders_are_voluntary(seed, tell, beta):
    problems = [at_a_loss(problem) for problem in problems_of(SHAPE, LANES, seed)]
    fees = charged(0.5 * beta, beta, 0.0, beta)
    found = regrets(problems, fees, seed, tell, "voluntary", every=True)
    assert len(found) >= LANES // 2
    bad = [one for one in found if not one[0] <= one[1]]
    assert not bad, bad[:2]


@pytest.mark.slow
def test_voluntary_orders_are_the_suppliers_best_part_of_them():
    problems = [at_a_loss(problem) for problem in problems_of(SHAPE, LANES, 3)]
    fees = charged(0.2, 0.0, 0.0, 0.0)
    contracts = solve(problems, fees, TOLERANCE, make=everything, just_in_time="voluntary")
    parts = 0
    for index, problem in enumerate(problems):
        contract, off = lane(contracts, index), slack(problem)
        best, _ = oracles.best_part(problem, np.asarray(contract.order))
        assert np.all(contract.jit <= contract.order + 1e-9 * problem.demand.sum())
        told = float(contract.supplier.utility_jit)
        has_it = oracles.supplier_utility(problem, np.asarray(contract.jit))
        spent = float(contract.supplier.cost_jit) + problem.supplier_margin * float(contract.ordered)
        assert told == pytest.approx(has_it, abs=TOLERANCE * spent + off), problem
        assert has_it - off <= best <= has_it + TOLERANCE * spent + off, problem
        parts += bool(contract.jit.sum() < 0.9 * contract.ordered)
        if contract.accepted:
            assert contract.supplier_surplus > 0.0
            assert contract.gain > -float(contract.certificate.price_error) - off
    assert parts >= LANES // 4


@pytest.mark.slow
def test_a_fee_charged_afterwards_pays_for_lies():
    """The ex-post ROI fee is on no schedule: some lie gains far more than any certificate allows."""
    gained = []
    for seed in range(6):
        found = regrets(problems_of(SHAPE, LANES, seed), charged(0.0, 0.0, 3.0, 0.0), seed)
        gained += [regret - 100.0 * allowed for regret, allowed, _ in found]
    assert max(gained) > 0.0


@examples
@given(st.integers(0, 2**16), st.floats(0.0, 3.0), st.floats(0.0, 2.0))
def test_nobody_pays_to_take_part(seed, beta, over):
    problems = problems_of(SHAPE, LANES, seed)
    contracts = solve(problems, charged(0.5, beta, 0.0, over), TOLERANCE, make=everything)
    for index, problem in enumerate(problems):
        contract = lane(contracts, index)
        error, off = float(contract.certificate.price_error), rounding(problem)
        assert contract.cbt >= -error - off, problem
        assert contract.fee >= -(1.0 + beta) * error - off, problem
        if contract.accepted:
            assert contract.supplier_surplus > 0.0
            worse = oracles.supplier_utility(problem, np.asarray(contract.jit)) - has(problem, contract)
            spent = contract.supplier.cost_jit + contract.supplier.cost_plan
            assert worse <= error + TOLERANCE * float(spent) + slack(problem), problem


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("column", [0, 1, 3], ids=["alpha", "beta", "deviation"])
def test_a_dearer_schedule_leaves_the_supplier_less_and_the_chain_no_more(seed, column):
    """Along a ray of one fee: the surplus falls, and so does what the fee is charged on."""
    problem = problems_of(SHAPE, 8, seed)[5]
    fees = np.zeros((LANES, 5))
    fees[:, column] = np.linspace(0.0, 3.0, LANES)
    if column == 3:
        fees[:, 4] = fees[:, 3]
    contracts = solve([problem] * LANES, fees, TOLERANCE, make=everything)
    certificate = contracts.certificate
    error = certificate.efficiency_gap + certificate.price_error + certificate.lost_error + rounding(problem)
    keeps = np.where(contracts.accepted, contracts.supplier_surplus, 0.0)
    assert np.all(np.diff(keeps) <= error[1:] + error[:-1])
    # By revealed preference, to within what the errors allow over so small a change of the fee.
    if column == 0:
        assert np.all((contracts.efficiency_lost <= error)[contracts.accepted])
    taken = contracts.accepted.astype(int)
    assert np.all(np.diff(taken) <= 0) or np.min(np.abs(keeps[taken == 1])) <= 2.0 * error.max()
