"""Fees of a rolling week, levied on the transfers of both forms: by hand, and against linear programs.

One fleet of one shape: the two weeks of docs/horizon.md as `rum`, and random contracts with a fee each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from jaxcpp.fleet.programs import PROGRAMS
from jaxcpp.fleet.roll import Roll
from jaxcpp.fleet.roll_settings import RollSettings
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.week_fees import in_week
from jaxcpp.mechanism.status import NOT_CONVERGED
from tests import oracles
from tests.fleets import INBOUND, from_problems, read
from tests.horizon.rolls import TIGHT, hand_problem, random_problems, rolled
from tests.horizon.test_week_by_week import WEEKS, WINDOW, opening, plan_of
from tests.oracles import Problem
from tests.oracles.problem import Floats
from tests.oracles.weeks import continuation_cost

CENT = 0.005
CONTRACTS = 12
FEES = (
    FeeRule(multiplicative=0.3),
    FeeRule(multiplicative=3.0, additive=0.25),
    FeeRule(over=0.4, under=0.2),
    FeeRule(roi=0.5, over=0.2, under=0.1),
    FeeRule(roi_ex_post=0.2, multiplicative=1.0),
    FeeRule(additive=1.0),
)


def product(number: int) -> str:
    return f"p{number}"


def fee_of(name: str) -> FeeRule:
    return FEES[int(name[1:]) % len(FEES)]


def solve(*rules: FeeRule) -> Settings:
    """Deviations are always charged somewhere, so that every roll runs the same programs."""
    own = tuple(replace(fee_of(name), product=name) for name in map(product, range(CONTRACTS)))
    return replace(TIGHT, fees=(*own, *(replace(rule, product="rum") for rule in rules)))


def padded_hand() -> Problem:
    """The two weeks of docs/horizon.md with two empty ones after them, and a dock too far for anything."""
    hand = hand_problem()
    return replace(
        hand,
        unit_cost=np.array([[1.0], [3.0], [9.0]]),
        demand=np.pad(hand.demand, ((0, 0), (0, WEEKS - 2))),
        supplier_unit_cost=np.array([[6.0, 1.0, 30.0]]),
        capacity=np.pad(hand.capacity, ((0, 0), (0, WEEKS - 2))),
        inventory=np.zeros(3),
    )


@pytest.fixture(scope="module")
def problems():
    return random_problems(CONTRACTS, WEEKS)


@pytest.fixture(scope="module")
def fleet(problems, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fees") / "fleet"
    return read(from_problems({**problems, "rum": padded_hand()}).tables(), folder)


@pytest.fixture(scope="module", params=[1, WINDOW], ids=["one", "all"])
def found(fleet, request):
    return rolled(fleet, weeks=WEEKS, window=WINDOW, commit=request.param, solve=solve())


def of_rum(found: Any, name: str) -> Floats:
    (row,) = (n for n, ids in enumerate(found.weeks[0]["contracts"]["product_ids"]) if list(ids) == ["rum"])
    return found.each(name)[:, row]


BY_HAND: list[tuple[int, FeeRule, dict[str, tuple[float, ...]]]] = [
    (1, FeeRule(multiplicative=0.5), {"cbt": (50, 40), "fee": (25, 20), "efficiency_lost": (0, 0)}),
    (WINDOW, FeeRule(roi=0.5), {"cbt": (90, 0), "fee": (45, 0), "efficiency_lost": (0, 0)}),
    (1, FeeRule(over=0.5, under=0.5), {"cbt": (50, 40), "fee": (15, 20), "window_fee": (15, 20)}),
    (WINDOW, FeeRule(over=0.5, under=0.5), {"cbt": (90, 0), "fee": (40, 0)}),
    (1, FeeRule(multiplicative=1.2), {"cbt": (20, 60), "fee": (24, 72), "efficiency_lost": (10, 0)}),
    (1, FeeRule(multiplicative=2.0), {"cbt": (0, 0), "fee": (0, 0), "efficiency_lost": (130, 90)}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("commit", "fee", "expected"), BY_HAND)
def test_by_hand(fleet, commit, fee, expected):
    found = rolled(fleet, weeks=2, window=WINDOW, commit=commit, solve=solve(fee))
    for name, values in expected.items():
        np.testing.assert_allclose(of_rum(found, name), values, atol=CENT, err_msg=name)
    price = np.add(expected["cbt"], expected["fee"])
    np.testing.assert_allclose(of_rum(found, "paid"), price, atol=CENT)
    # Forecasts are perfect and the end is in sight: the retailer is left with the fees, to the cent.
    gained = of_rum(found, "retailer_profit_plan") - of_rum(found, "retailer_profit_jit") + price
    assert gained.sum() == pytest.approx(sum(expected["fee"]), abs=CENT)


@dataclass(frozen=True)
class Schedule:
    """What a vendor may choose from, in exact numbers."""

    problem: Problem
    order: Floats
    stand: float  # the retailer's utility of that order [currency]
    fee: FeeRule
    binding: int

    @property
    def rate(self) -> float:
        return self.fee.multiplicative + self.fee.roi

    def by_week(self, charge: Any) -> Floats:
        return np.where(np.arange(self.problem.weeks) < self.binding, charge, 0.0) * np.ones(self.order.shape)

    def deviation(self, plan: Floats) -> float:
        apart = plan - self.order
        more, less = self.by_week(self.fee.over), self.by_week(self.fee.under)
        return float(np.sum(more * np.maximum(apart, 0.0) + less * np.maximum(-apart, 0.0)))

    def levied(self, transfer: float, plan: Floats) -> float:
        """The fee for a plan with so high a transfer."""
        share = self.rate + self.fee.roi_ex_post
        return self.fee.additive + share * max(transfer, 0.0) + self.deviation(plan)

    def transfer(self, plan: Floats) -> float:
        return self.stand - oracles.retailer_utility(self.problem, plan)

    def worth(self, plan: Floats) -> float:
        """A plan to the vendor, but for what is charged whatever it chooses."""
        transfer = self.transfer(plan)
        paid = transfer + self.rate * max(transfer, 0.0) + self.deviation(plan)
        return oracles.supplier_utility(self.problem, plan) - paid

    def best(self) -> float:
        charges = self.by_week(self.fee.over), self.by_week(self.fee.under)
        return oracles.best_paying(self.problem, self.order, self.stand, self.rate, *charges)[0]


@pytest.mark.slow
def test_every_week_is_the_best_choice_on_its_schedule(found, problems):
    """Offers taken are the vendor's best, offers declined would not have paid; prices are what was levied."""
    taken, refused, cost, commit = 0, 0, 0, found.roll.settings.commit
    for week, row in np.ndindex(WEEKS, len(problems)):
        contracts = {name: column[row] for name, column in found.weeks[week]["contracts"].items()}
        id_, name, status = (contracts[key] for key in ("contract_id", "product_ids", "status"))
        if name[0] == "rum" or "confirm" in contracts["reason"]:
            continue
        problem, _ = opening(found, week, id_, problems[name[0]])
        issued, order = (plan_of(found, week, id_, f"{of}_units", problem) for of in ("plan", "baseline"))
        stand = oracles.retailer_utility(problem, order)
        schedule = Schedule(problem, order, stand, fee_of(name[0]), commit)
        stake = 1e-5 * max(problem.margin * problem.demand.sum(), 1.0)
        best, jit = schedule.best(), oracles.supplier_utility(problem, order)
        lost = oracles.joint_optimum(problem)[0] - oracles.supplier_utility(problem, issued)
        lost -= oracles.retailer_utility(problem, issued)
        assert contracts["efficiency_lost"] == pytest.approx(lost, abs=contracts["lost_error"] + stake)
        if status != "accepted":
            refused += 1
            assert contracts["paid"] == 0.0
            if not schedule.fee.roi_ex_post:
                assert best - jit - schedule.fee.additive <= contracts["efficiency_gap"] + stake, (week, name)
            continue
        taken += 1
        assert best - schedule.worth(issued) <= contracts["efficiency_gap"] + stake, (week, name)
        whole = schedule.transfer(issued)
        assert contracts["window_fee"] == pytest.approx(schedule.levied(whole, issued), abs=2 * stake)
        surplus = schedule.worth(issued) - jit - schedule.fee.additive
        assert surplus - schedule.fee.roi_ex_post * max(whole, 0.0) >= -stake  # nobody is made to take part
        transfer = whole
        if commit == 1:
            transfer = continuation_cost(problem, issued, 1) - continuation_cost(problem, order, 1)
        fee = schedule.levied(transfer, issued)
        assert contracts["cbt"] == pytest.approx(transfer, abs=2 * stake), (week, name)
        assert contracts["fee"] == pytest.approx(fee, abs=4 * stake), (week, name)
        assert contracts["paid"] == contracts["price"] == pytest.approx(transfer + fee, abs=6 * stake)
        cost += lost > 10 * stake
    assert taken >= 2 * WEEKS
    assert refused >= 2
    assert cost >= 1


def products_of(roll: Roll, group: Any) -> list[tuple[int, str]]:
    """The lanes that hold random contracts, with their products."""
    names = roll.fleet.product_ids[roll.found.product[group.contract]].tolist()
    return [(lane, name) for lane, name in enumerate(names) if name != "rum"]


def ahead(problem: Problem) -> Problem:
    """What the first week's window shows of a problem."""
    return replace(problem, demand=problem.demand[:, :WINDOW], capacity=problem.capacity[:, :WINDOW])


def records(roll: Roll, group: Any, problems: dict[str, Problem], seed: int) -> Floats:
    """Plans on record that neither party would make now, in the group's own axes."""
    rng = np.random.default_rng(seed)
    record = np.zeros((len(group.contract), group.nodes.shape[1], WINDOW))
    for lane, name in products_of(roll, group):
        now = ahead(problems[name])
        _, plan = oracles.joint_optimum(now)
        _, order = oracles.best_jit(now)
        assert plan is not None
        assert order is not None
        part = rng.random()
        mixed = part * (plan if seed % 2 else plan[rng.permutation(len(plan))]) + (1 - part) * order
        for at, node in enumerate(group.nodes[lane]):
            record[lane, at] = mixed[INBOUND.index(roll.fleet.inbound_ids[node])]
    return record.reshape(len(record), -1)


@pytest.mark.slow
def test_a_share_is_levied_on_what_the_vendor_pays_and_on_nothing_it_is_paid(fleet, problems):
    """All weeks binding, from records that leave something to gain for both: transfers of either sign."""
    roll = Roll(fleet, RollSettings(weeks=WEEKS, window=WINDOW, commit=WINDOW, solve=solve()))
    (run,), (start,) = roll.runs, roll.start()
    signs = {-1: 0, 0: 0, 1: 0}
    for seed in range(4):
        state = replace(start["plan"], record=records(roll, run.group, problems, seed))
        _, contract, _ = run.coordinate(run.plan(state, 0, True, True), 0, lambda *_: None)
        for lane, name in products_of(roll, run.group):
            if not contract.filled[lane]:
                continue
            now = ahead(problems[name])
            plan, order = np.zeros((2, now.inbound, WINDOW))
            for at, node in enumerate(run.group.nodes[lane]):
                i = INBOUND.index(fleet.inbound_ids[node])
                plan[i], order[i] = (
                    np.asarray(units)[lane].reshape(-1, WINDOW)[at] for units in (contract.plan, contract.jit)
                )
            stand = now.margin * now.demand.sum() - continuation_cost(now, order, WINDOW)
            schedule = Schedule(now, order, stand, fee_of(name), WINDOW)
            stake = 1e-5 * max(now.margin * now.demand.sum(), 1.0)
            gap, kept = contract.certificate.efficiency_gap[lane], np.array_equal(plan, order)
            offered = oracles.supplier_utility(now, order) if kept else schedule.worth(plan)
            assert contract.code[lane] != NOT_CONVERGED, (seed, name)
            assert -stake <= schedule.best() - offered <= gap + stake, (seed, name)
            if kept:
                continue
            transfer = schedule.transfer(plan)
            assert contract.cbt[lane] == pytest.approx(transfer, abs=stake), (seed, name)
            assert contract.fee[lane] == pytest.approx(schedule.levied(transfer, plan), abs=4 * stake)
            if schedule.rate:
                signs[int(np.sign(np.round(transfer / stake / 4)))] += 1
    assert min(signs.values()) >= 2, signs


@pytest.mark.parametrize(
    ("commit", "week", "expected"),
    [(1, 1, (20.0, 0.0, 0.0)), (3, 1, (20.0, 30.0, 40.0)), (3, 3, (40.0, 0.0, 0.0)), (1, 4, (0.0, 0.0, 0.0))],
)
def test_charges_by_week_are_those_of_the_demand_tables_weeks_that_bind(fleet, commit, week, expected):
    rule = FeeRule(over={"quay": (10.0, 20.0, 30.0, 40.0), "*": 1.0}, under=2.0)
    roll = Roll(fleet, RollSettings(weeks=1, window=WINDOW, solve=Settings(fees=(rule,))))
    (run,) = roll.runs
    fees = in_week(run.fees, run.group.shape.inbound, WINDOW, week, commit)
    assert fees.over is not None
    assert fees.under is not None
    over, under = (table.reshape(len(table), -1, WINDOW) for table in (fees.over, fees.under))
    for charges, node in zip(over[0], run.group.nodes[0], strict=True):
        others = np.where(np.asarray(expected) > 0.0, 1.0, 0.0)
        wanted = expected if roll.fleet.inbound_ids[node] == "quay" else others
        np.testing.assert_array_equal(charges, wanted)
    np.testing.assert_array_equal(under[0, 0], np.where(np.asarray(expected) > 0.0, 2.0, 0.0))


@pytest.mark.slow
def test_no_value_of_a_fee_compiles_a_program(fleet, found):
    commit = found.roll.settings.commit
    before = PROGRAMS.compiled
    rolled(fleet, weeks=2, window=WINDOW, commit=commit, solve=solve(FeeRule(multiplicative=0.7, under=2.0)))
    assert PROGRAMS.compiled == before
