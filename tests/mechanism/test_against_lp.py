"""Contracts against exact linear programs: hundreds of random problems, degenerate ones on purpose.

No test compares plans, for best plans need not be unique: costs, payments and bounds are compared.
Every bound a contract states is taken at its word; what is added to it is `slack` (the plan keeps its
constraints to 1e-9 of its volume, and so does the oracle) or `rounding` (sums in float64).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from jaxcpp import Contract
from tests import oracles
from tests.mechanism.batches import Method, Shape, draws, lane, rounding, slack, solve
from tests.oracles import Problem
from tests.oracles.problem import Floats
from tests.strategies import Options, build

TOLERANCE: dict[Method, float] = {"newton": 1e-6, "admm": 1e-3}
CASES: list[tuple[Method, Shape, int]] = [
    ("newton", (1, 1, 1, 1), 64),
    ("newton", (2, 3, 2, 3), 128),
    ("newton", (3, 4, 3, 1), 96),
    ("newton", (4, 5, 3, 3), 96),
    ("newton", (5, 6, 4, 4), 96),
    ("admm", (2, 3, 2, 3), 64),
]
"""Inbound nodes, regions, sources and weeks of a batch, and how many contracts of it."""

# What once went wrong, shape first. Leftovers at a node without lanes out of it.
LEFT_OVER_THERE: dict[str, Any] = {"inventory": True, "leftovers": True, "holes": True}
# A stage left with an imbalance that only a long way cures, beside nodes that nothing ties to it.
FAR_TO_GO: dict[str, Any] = {"capacity": "tight", "zeros": True}
# A just-in-time plan confirmed in part, so nearly tight that living with it took a long way too.
IN_PART: dict[str, Any] = {
    "inventory": True,
    "lost_sales": True,
    "leftovers": True,
    "holes": True,
    "capacity": "tight",
}
ONCE_WRONG = [
    Options(3, 4, 3, 1, **LEFT_OVER_THERE, size=12, seed=1610486157),
    Options(
        3, 4, 3, 1, **LEFT_OVER_THERE, lost_sales=True, backlog=True, ties=True, zeros=True, seed=1930989295
    ),
    Options(5, 6, 4, 4, **FAR_TO_GO, seed=1080945133),
    Options(5, 6, 4, 4, **FAR_TO_GO, leftovers=True, ties=True, seed=1986291039),
    # A plan a billionth short of what must be served.
    Options(5, 6, 4, 4, capacity="tight", holes=True, ties=True, size=4, seed=2045049070),
    Options(2, 3, 2, 3, backlog=True, leftovers=True, holes=True, ties=True, zeros=True, seed=1062452896),
    Options(2, 3, 2, 3, **IN_PART, backlog=True, zeros=True, size=4, seed=1308727769),
    Options(2, 3, 2, 3, **IN_PART, seed=1773303262),
]


@dataclass(frozen=True)
class Truth:
    """What linear programs say of a problem, and of the plans a contract names for it [currency]."""

    best: float  # utility of the chain
    jit: float  # the retailer's, at its best plan with free deliveries
    retailer: float  # at the offered plan
    supplier: float
    retailer_jit: float  # at the just-in-time plan as confirmed
    supplier_jit: float
    confirmed: float  # the supplier's, at the part it likes best of an order it cannot fill


@dataclass(frozen=True)
class Case:
    """A solved contract beside the truth about it."""

    options: Options
    problem: Problem
    contract: Contract
    truth: Truth
    tolerance: float

    @property
    def bracket(self) -> float:
        """How far a just-in-time cost may be from its best: it is asked for as precisely as the plan."""
        contract = self.contract
        jit = contract.retailer.cost_jit + contract.supplier.cost_jit
        return self.tolerance * float(jit + contract.chain_cost) + slack(self.problem)


def truth(problem: Problem, contract: Contract) -> Truth:
    """Solve the linear programs."""
    jit, order = oracles.best_jit(problem)
    assert order is not None
    whole = order if bool(contract.filled) else oracles.supplier_status_quo(problem, order)[1]
    plan, confirmed = np.asarray(contract.plan), np.asarray(contract.jit)
    return Truth(
        best=oracles.joint_optimum(problem)[0],
        jit=jit,
        retailer=oracles.retailer_utility(problem, plan),
        supplier=oracles.supplier_utility(problem, plan),
        retailer_jit=oracles.retailer_utility(problem, confirmed),
        supplier_jit=oracles.supplier_utility(problem, confirmed),
        confirmed=oracles.supplier_utility(problem, whole),
    )


def fees(count: int) -> Floats:
    """None, small or beyond any gain, in turn."""
    return np.resize([0.0, 3.0, 0.0, 1e9], count)


@cache
def cases(method: Method, shape: Shape, count: int) -> list[Case]:
    """A batch of contracts and the truth about each."""
    known = [o for o in ONCE_WRONG if (o.inbound, o.regions, o.sources, o.weeks) == shape]
    chosen = [*known, *draws(shape, count - len(known))]
    problems = [build(options) for options in chosen]
    contracts = solve(problems, fees(count), TOLERANCE[method], method)
    each = [lane(contracts, index) for index in range(count)]
    return [
        Case(options, problem, contract, truth(problem, contract), TOLERANCE[method])
        for options, problem, contract in zip(chosen, problems, each, strict=True)
    ]


def certified(batch: tuple[Method, Shape, int]) -> list[Case]:
    """The contracts of a batch that say they are certified."""
    return [case for case in cases(*batch) if case.contract.status != "not_converged"]


def failures(found: list[Case], bad: list[bool], *numbers: str) -> str:
    """Which cases failed, with what it takes to look at them."""
    lines = [
        f"{case.options} {case.contract.status} {case.truth} "
        f"{case.contract.retailer} {case.contract.supplier} "
        f"{case.contract.certificate} cbt={case.contract.cbt} {' '.join(numbers)}"
        for case, wrong in zip(found, bad, strict=True)
        if wrong
    ]
    return "\n".join(lines)


def mark(case: tuple[Method, Shape, int]) -> tuple[pytest.MarkDecorator, ...]:
    """Whether a batch is for the quick tests, for all, or for those that take their time."""
    if case[1] in ((4, 5, 3, 3), (3, 4, 3, 1)):
        return (pytest.mark.exhaustive,)
    return () if case[:2] == ("newton", (2, 3, 2, 3)) else (pytest.mark.slow,)


@pytest.fixture(
    params=[pytest.param(case, marks=mark(case)) for case in CASES],
    ids=lambda case: f"{case[0]}-{'x'.join(map(str, case[1]))}",
    scope="module",
)
def batch(request: pytest.FixtureRequest) -> tuple[Method, Shape, int]:
    return request.param


def test_every_contract_ends_in_words_that_fit(batch):
    found = cases(*batch)
    statuses = [case.contract.status for case in found]
    # All problems are feasible. Newton certifies every one of them.
    assert "infeasible" not in statuses, failures(found, [status == "infeasible" for status in statuses])
    if batch[0] == "newton":
        assert "not_converged" not in statuses, failures(found, [s == "not_converged" for s in statuses])
    assert {"accepted", "declined", "no_gain"} <= set(statuses)


def test_the_certificate_is_within_the_tolerance(batch):
    found = certified(batch)
    # What `noise` adds to it is rounding.
    bad = [
        not case.contract.certificate.efficiency_gap
        <= case.tolerance * max(case.contract.chain_cost, 1e-6 * case.problem.demand.sum())
        + rounding(case.problem)
        for case in found
    ]
    assert not any(bad), failures(found, bad)


def test_both_parties_can_live_with_the_plans(batch):
    found = certified(batch)
    bad = [not np.isfinite(case.truth.retailer + case.truth.supplier) for case in found]
    assert not any(bad), failures(found, bad)
    bad = [bool(case.contract.filled) and not np.isfinite(case.truth.retailer_jit) for case in found]
    assert not any(bad), failures(found, bad)
    bad = [not np.isfinite(case.truth.supplier_jit) for case in found]
    assert not any(bad), failures(found, bad)


def test_the_true_gap_is_below_the_certified_one(batch):
    found = certified(batch)
    bad = []
    for case in found:
        gap = case.truth.best - case.truth.retailer - case.truth.supplier
        most = case.contract.certificate.efficiency_gap + rounding(case.problem)
        bad.append(not -slack(case.problem) <= gap <= most)
    assert not any(bad), failures(found, bad)


def test_stated_utilities_are_reached_and_within_the_certificate(batch):
    """A stated utility is that of flows that exist, so the best flows for the same plan are no worse."""
    found = certified(batch)
    bad = []
    for case in found:
        gap = float(case.contract.certificate.efficiency_gap)
        for stated, exact in (
            (case.contract.retailer.utility_plan, case.truth.retailer),
            (case.contract.supplier.utility_plan, case.truth.supplier),
        ):
            bad.append(not -rounding(case.problem) <= exact - stated <= gap + slack(case.problem))
    assert not any(bad), failures([case for case in found for _ in range(2)], bad)


def test_the_price_is_within_its_certified_error(batch):
    found = certified(batch)
    bad = []
    for case in found:
        exact = case.truth.jit - case.truth.retailer if case.contract.status != "no_gain" else 0.0
        error = abs(case.contract.cbt - exact)
        bad.append(not error <= case.contract.certificate.price_error + slack(case.problem))
    assert not any(bad), failures(found, bad)


def test_just_in_time_is_the_retailers_best(batch):
    found = [case for case in certified(batch) if case.contract.filled]
    bad = [
        not abs(case.contract.retailer.utility_jit - case.truth.jit) <= case.bracket
        or not case.truth.retailer_jit >= case.truth.jit - case.bracket
        for case in found
    ]
    assert not any(bad), failures(found, bad)
    assert len(found) > 0.5 * len(cases(*batch))


def test_the_suppliers_status_quo_is_the_cheapest_way_to_fill_the_order(batch):
    """At the package's own order: another best order of the retailer's may cost the supplier less."""
    found = certified(batch)
    bad = [
        not abs(case.contract.supplier.utility_jit - case.truth.supplier_jit) <= case.bracket
        for case in found
    ]
    assert not any(bad), failures(found, bad)


def test_a_short_supplier_confirms_what_suits_it(batch):
    """Only where the retailer has one best order, so that the supplier is asked for the same one.

    A unit on hand costs the retailer as much as a delivered one: with stock there are several.
    """
    short = [case for case in certified(batch) if not case.contract.filled]
    found = [case for case in short if not case.options.ties and not case.options.inventory]
    bad = [
        not abs(case.contract.supplier.utility_jit - case.truth.confirmed) <= case.bracket for case in found
    ]
    assert not any(bad), failures(found, bad)
    bad = [
        not case.contract.jit.sum() <= case.contract.ordered * (1.0 + 1e-9)
        or (
            np.isfinite(case.problem.lost_sale)
            and not abs(case.contract.retailer.utility_jit - case.truth.retailer_jit) <= case.bracket
        )
        for case in short
    ]
    assert not any(bad), failures(short, bad)


def test_the_gain_is_what_the_chain_gains(batch):
    """Stated utilities miss by the certificate at the plan, and by a bracket just in time."""
    found = [case for case in certified(batch) if np.isfinite(case.truth.retailer_jit)]
    bad = []
    for case in found:
        quo = case.truth.retailer_jit + case.truth.supplier_jit
        exact = case.truth.best - quo if case.contract.status != "no_gain" else 0.0
        gap = float(case.contract.certificate.efficiency_gap)
        bad.append(
            not abs(case.contract.gain - exact) <= gap + case.bracket
            or not case.contract.gain >= -gap - case.bracket
            or not case.truth.best - quo >= -slack(case.problem)
        )
    assert not any(bad), failures(found, bad)


def test_the_supplier_accepts_what_pays(batch):
    found = certified(batch)
    bad = []
    for case in found:
        contract, exact = case.contract, case.truth
        transfer = exact.jit - exact.retailer
        surplus = exact.supplier - exact.supplier_jit - transfer - contract.fee
        error = contract.certificate.efficiency_gap + contract.certificate.price_error + case.bracket
        if contract.status == "accepted":
            good = bool(surplus >= -error and contract.paid == contract.price and contract.accepted)
            good &= bool(np.all(contract.issued == contract.plan))
        else:
            good = bool(contract.paid == 0.0 and not contract.accepted)
            good &= bool(np.all(contract.issued == contract.jit))
        if contract.status == "declined":
            good &= bool(surplus <= error)
        if contract.status == "no_gain":
            good &= bool(contract.price == 0.0 and np.all(contract.plan == contract.jit))
        bad.append(not good)
    assert not any(bad), failures(found, bad)


def test_what_is_stated_adds_up(batch):
    found = cases(*batch)
    bad = []
    for case in found:
        contract, off = case.contract, rounding(case.problem)
        buyer, seller = contract.retailer, contract.supplier
        sums = [
            contract.price - contract.cbt - contract.fee,
            contract.gain
            - (buyer.utility_plan - buyer.utility_jit + seller.utility_plan - seller.utility_jit),
            contract.supplier_surplus - (seller.utility_plan - seller.utility_jit - contract.price),
            # Utility is gross profit less cost: the supplier's profit is its margin on every unit.
            seller.utility_plan + seller.cost_plan - case.problem.supplier_margin * contract.plan.sum(),
            seller.utility_jit + seller.cost_jit - case.problem.supplier_margin * contract.jit.sum(),
        ]
        bad.append(bool(max(map(abs, sums)) > off))
    assert not any(bad), failures(found, bad)


@pytest.mark.exhaustive
def test_the_batches_hold_what_the_tests_speak_of():
    """No test above passes for want of contracts of its kind."""
    found = [case for batch in CASES for case in certified(batch)]
    short = [case for case in found if not case.contract.filled]
    assert sum(not case.options.ties and not case.options.inventory for case in short) >= 5
    assert sum(bool(np.isfinite(case.problem.lost_sale)) for case in short) >= 20
    assert sum(not case.problem.demand.any() for case in found) >= 2
    assert sum(case.options.capacity == "tight" for case in found) >= 80
    assert sum(case.contract.status == "declined" for case in found) >= 20


@pytest.mark.exhaustive
def test_newton_needs_few_rounds():
    """A stalled path shows in its rounds long before it fails."""
    found = [case for batch in CASES if batch[0] == "newton" for case in cases(*batch)]
    rounds = np.asarray([case.contract.rounds for case in found])
    assert np.median(rounds) <= 40
    assert rounds.max() <= 100
