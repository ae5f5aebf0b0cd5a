"""Every fee against exact linear programs: the supplier's best choice, price, decision, efficiency lost.

As in `test_against_lp`, no plans are compared, and every bound a contract states is taken at its word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from jaxcpp import Contract
from tests import oracles
from tests.mechanism import batches
from tests.mechanism.batches import Method, Shape, draws, lane, rounding, slack, solve
from tests.oracles import Problem
from tests.oracles.problem import Floats
from tests.strategies import Options, build

pytestmark = pytest.mark.slow

TOLERANCE: dict[Method, float] = {"newton": 1e-6, "admm": 1e-3}
MAKERS = {make.__name__: make for make in (batches.weighted, batches.deviating, batches.everything)}
CASES: list[tuple[Method, str, Shape, int]] = [
    ("newton", "everything", (1, 1, 1, 1), 32),
    ("newton", "weighted", (2, 3, 2, 3), 96),
    ("newton", "everything", (2, 3, 2, 3), 128),
    ("newton", "deviating", (3, 4, 3, 1), 64),
    ("newton", "everything", (4, 5, 3, 3), 64),
    ("admm", "everything", (2, 3, 2, 3), 32),
]
"""Method, fees, shape of a batch, and how many contracts of it."""


@dataclass(frozen=True)
class Charged:
    """What of a fee's numbers its maker uses."""

    alpha: float
    weight: float
    after: float
    over: Floats | float
    under: Floats | float

    def deviation(self, plan: Floats, order: Floats) -> float:
        apart = plan - order
        return float(np.sum(self.over * np.maximum(apart, 0.0) + self.under * np.maximum(-apart, 0.0)))


def charged(name: str, numbers: Floats) -> Charged:
    alpha, beta, rate, over, under = map(float, numbers)
    if name == "weighted":
        return Charged(alpha, 1.0 + beta, 0.0, 0.0, 0.0)
    if name == "deviating":
        return Charged(0.0, 1.0, 0.0, over, under)
    return Charged(alpha, 1.0 + beta, rate, over, under)


def fees(count: int) -> Floats:
    """Alpha, beta, rate, over and under of each lane: nothing, a little, a lot, and prohibitive."""
    rng = np.random.default_rng(count)
    choices = ((0.0, 0.0, 1.0, 5.0), (0.0, 0.1, 1.0, 20.0), (0.0, 0.2), (0.0, 0.25, 1.0, 8.0))
    alpha, beta, rate, over = (rng.choice(values, count) for values in choices)
    return np.stack([alpha, beta, rate, over, over * rng.choice((0.0, 0.5, 1.0), count)], axis=1)


@dataclass(frozen=True)
class Case:
    """A solved contract, and what linear programs say of it [currency]."""

    options: Options
    problem: Problem
    fee: Charged
    contract: Contract
    best: float  # the chain's utility
    chosen: float  # the supplier's at its best choice, alpha and what is charged afterwards left out
    kept: float  # the same at the plan offered
    price: float  # of the plan offered
    jit: float  # the supplier's utility at just-in-time as confirmed
    issued: float  # the chain's utility at the plan carried out

    @property
    def off(self) -> float:
        """What exact utilities at plans may be off by."""
        return (1.0 + self.fee.weight + self.fee.after) * slack(self.problem)


def truth(options: Options, problem: Problem, fee: Charged, contract: Contract) -> Case:
    plan, jit, order, issued = (
        np.asarray(x) for x in (contract.plan, contract.jit, contract.order, contract.issued)
    )
    stand_alone = oracles.best_jit_utility(problem)
    retailer, supplier = oracles.retailer_utility(problem, plan), oracles.supplier_utility(problem, plan)
    deviation = fee.deviation(plan, order)
    choice, _ = oracles.best_choice(problem, order, fee.weight, fee.over, fee.under)
    cbt = stand_alone - retailer
    offered = supplier - fee.weight * cbt - deviation
    price = (fee.weight + fee.after) * cbt + deviation + fee.alpha
    status_quo = oracles.supplier_utility(problem, jit)
    kept = contract.price == 0.0 and np.array_equal(plan, jit)
    if kept:  # just-in-time costs nothing, whatever a schedule says of a part of it
        offered, price = status_quo, 0.0
    return Case(
        options, problem, fee, contract,
        best=oracles.joint_optimum(problem)[0],
        chosen=max(choice - fee.weight * stand_alone, status_quo if kept else -np.inf),
        kept=offered, price=price, jit=status_quo,
        issued=oracles.retailer_utility(problem, issued) + oracles.supplier_utility(problem, issued),
    )  # fmt: skip


@cache
def cases(method: Method, name: str, shape: Shape, count: int) -> list[Case]:
    options = draws(shape, count, seed=11)
    problems, numbers = [build(one) for one in options], fees(count)
    contracts = solve(problems, numbers, TOLERANCE[method], method, MAKERS[name])
    return [
        truth(one, problem, charged(name, row), lane(contracts, index))
        for index, (one, problem, row) in enumerate(zip(options, problems, numbers, strict=True))
    ]


def certified(batch: tuple[Method, str, Shape, int]) -> list[Case]:
    return [case for case in cases(*batch) if case.contract.status != "not_converged"]


def complain(found: list[Case], wrong: Callable[[Case], bool]) -> None:
    bad = [
        f"{c.options} {c.fee} {c.contract.status} best={c.best} chosen={c.chosen} kept={c.kept} "
        f"price={c.price}/{c.contract.price} jit={c.jit} issued={c.issued} "
        f"lost={c.contract.efficiency_lost} surplus={c.contract.supplier_surplus} "
        f"gap={c.contract.certificate.efficiency_gap} error={c.contract.certificate.price_error} "
        f"lost_error={c.contract.certificate.lost_error} rounds={c.contract.rounds}"
        for c in found
        if wrong(c)
    ]
    assert not bad, f"{len(bad)} of {len(found)}:\n" + "\n".join(bad[:4])


MORE = (
    ("newton", "weighted", (2, 3, 2, 3), 96),
    ("newton", "deviating", (3, 4, 3, 1), 64),
    ("newton", "everything", (4, 5, 3, 3), 64),
)


@pytest.fixture(
    params=[pytest.param(case, marks=pytest.mark.exhaustive) if case in MORE else case for case in CASES],
    ids=lambda case: f"{case[0]}-{case[1]}-{'x'.join(map(str, case[2]))}",
    scope="module",
)
def batch(request: pytest.FixtureRequest) -> tuple[Method, str, Shape, int]:
    return request.param


def test_newton_certifies_every_choice_and_admm_nearly_every(batch):
    found = cases(*batch)
    unproven = [case for case in found if case.contract.status == "not_converged"]
    allowed = 0 if batch[0] == "newton" else len(found) // 4
    assert len(unproven) <= allowed, [(c.options, c.fee, c.contract.rounds) for c in unproven]
    assert all(case.contract.status != "infeasible" for case in found)


def test_no_plan_on_the_schedule_is_worth_more_to_the_supplier_beyond_the_gap(batch):
    complain(
        certified(batch),
        lambda c: not -c.off <= c.chosen - c.kept <= float(c.contract.certificate.efficiency_gap) + c.off,
    )


def test_the_gap_is_within_the_tolerance(batch):
    def wrong(case: Case) -> bool:
        contract = case.contract
        spent = case.fee.weight * contract.retailer.cost_plan + contract.supplier.cost_plan
        most = TOLERANCE[batch[0]] * max(float(spent), 1e-6 * case.problem.demand.sum())
        off = (1.0 + case.fee.weight) * rounding(case.problem)
        return not contract.certificate.efficiency_gap <= most * (1 + 1e-9) + off

    complain(certified(batch), wrong)


def test_the_price_is_the_transfer_and_the_fee_to_its_certified_error(batch):
    def wrong(case: Case) -> bool:
        contract = case.contract
        sums = abs(contract.price - contract.cbt - contract.fee) > rounding(case.problem)
        error = float(contract.certificate.price_error) + case.off
        return bool(sums) or not abs(float(contract.price) - case.price) <= error

    complain(certified(batch), wrong)


def test_the_supplier_accepts_what_pays(batch):
    """Its exact surplus, and what it could make of the schedule at best, against what it did."""

    def wrong(case: Case) -> bool:
        contract = case.contract
        error = float(contract.certificate.price_error + contract.certificate.efficiency_gap)
        error += TOLERANCE[batch[0]] * float(contract.chain_cost + contract.supplier.cost_jit) + case.off
        if contract.accepted:
            return not contract.supplier_surplus > 0.0 or case.kept - case.jit < -error
        # Declining or staying at just-in-time forgoes nothing, alpha and what comes after included.
        if contract.status == "no_gain":
            return False
        surplus = case.chosen - case.jit - case.fee.alpha - case.fee.after * float(contract.cbt)
        return not surplus <= error

    complain(certified(batch), wrong)


def test_the_efficiency_lost_is_within_its_certified_error(batch):
    def wrong(case: Case) -> bool:
        if not np.isfinite(case.issued):
            return False  # the part confirmed just in time does not serve all that must be served
        contract = case.contract
        lost = case.best - case.issued
        stated, error = float(contract.efficiency_lost), float(contract.certificate.lost_error) + case.off
        return not (stated - error <= lost <= stated + error and stated >= 0.0)

    complain(certified(batch), wrong)


@pytest.mark.exhaustive
def test_the_batches_hold_what_the_tests_speak_of():
    found = [case for batch in CASES for case in certified(batch)]
    accepted = [case for case in found if case.contract.accepted]
    assert sum(case.contract.status == "declined" for case in found) >= 50
    assert len(accepted) >= 100
    assert sum(case.contract.efficiency_lost > 0.01 for case in accepted) >= 20
    assert sum(not case.contract.filled for case in found) >= 20
    assert sum(case.contract.status == "no_gain" for case in found) >= 20
