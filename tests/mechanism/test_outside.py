"""Agents that are not ours, in every kind and pair, against exact linear programs; and every ending."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxcpp as cpp
from jaxcpp.agents.border import ANSWERS, FAULTS
from jaxcpp.mechanism.outside import ENDINGS
from tests.mechanism.batches import parties
from tests.oracles import joint_optimum, retailer_utility, supplier_utility, toy
from tests.oracles.problem import Problem
from tests.outside_twins import RETAILERS, SUPPLIERS, Proximal
from tests.strategies import Options, build

MONEY = 3.0
ALPHA = 0.25
LANES = 4


@cache
def problems(inbound: int = 3, weeks: int = 1) -> tuple[Problem, ...]:
    return tuple(
        build(Options(inbound=inbound, regions=4, sources=3, weeks=weeks, seed=seed)) for seed in range(LANES)
    )


def volume(batch):
    return np.array([problem.demand.sum() for problem in batch])


def starts(batch):
    nodes = batch[0].inbound * batch[0].weeks
    return volume(batch)[:, None] * np.full((1, nodes), 1.0 / nodes)


def solved(ours, kind, supplier=None, batch=None, **options):
    """Contracts of a batch with a retailer `ours` or outside of a kind, and a supplier of a kind."""
    batch = problems() if batch is None else batch
    seller = SUPPLIERS[kind](batch, "supplier") if supplier is None else supplier
    fee = cpp.AdditiveFee(ALPHA)
    if ours == "ours":
        return cpp.coordinate_outside([parties(problem)[0] for problem in batch], seller, fee, **options)
    buyer = RETAILERS[ours](batch, "retailer") if isinstance(ours, str) else ours
    return cpp.coordinate_outside(buyer, seller, fee, start=starts(batch), money=MONEY, **options)


@cache
def on_the_platform():
    """The same contracts with both parties ours."""
    fee = cpp.AdditiveFee(ALPHA)
    return [cpp.coordinate(*parties(problem), fee, tolerance=1e-8) for problem in problems()]


@pytest.mark.parametrize("supplier", SUPPLIERS)
@pytest.mark.parametrize("retailer", ["ours", *RETAILERS])
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


class Liar:
    """Answers prices as a twin does, but for numbers that it gets wrong at random."""

    def __init__(self, seed, often, much):
        self._twin = SUPPLIERS["dual"](problems(), "supplier")
        self._rng, self._often, self._much = np.random.default_rng(seed), often, much

    def _wrong(self, array):
        wrong = self._rng.random(array.shape) < self._often
        noise = self._rng.choice([self._much, -self._much, 1e-9, np.nan], array.shape, p=[0.4, 0.4, 0.1, 0.1])
        return np.where(wrong, array + noise, array)

    def best_plan(self, price):
        plan, utility = self._twin.best_plan(price)
        return self._wrong(plan), self._wrong(utility)

    def value(self, plan):
        return self._wrong(np.where(self._rng.random(len(plan)) < self._often, -np.inf, 1.0))


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**16), often=st.sampled_from([0.003, 0.03, 0.3]), much=st.sampled_from([0.01, 1.0])
)
def test_whatever_a_supplier_answers_no_price_is_wrong(seed, often, much):
    """The price is the retailer's exact loss by the plan and the fee, or there is none and nobody pays."""
    contracts = solved("ours", "", Liar(seed, often, much), max_rounds=12)
    assert set(contracts.status) <= set(ENDINGS)
    for i, problem in enumerate(problems()):
        if contracts.status[i] not in ("accepted", "declined"):
            assert contracts.paid[i] == 0.0
            assert not contracts.price[i] > 0.0
            np.testing.assert_array_equal(contracts.issued[i], contracts.jit[i])
            continue
        order, plan = (units[i].reshape(problem.inbound, -1) for units in (contracts.order, contracts.plan))
        loss = retailer_utility(problem, order) - retailer_utility(problem, plan)
        assert contracts.price[i] == pytest.approx(loss + ALPHA, abs=contracts.price_error[i] + 1e-7)


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


class Wrong:
    """An agent that answers as another does, but for one contract's row from its third answer on."""

    def __init__(self, agent, lane, spoil):
        self._agent, self._lane, self._spoil, self._count = agent, lane, spoil, 0

    def best_plan(self, price):
        self._count += 1
        plan, utility = self._agent.best_plan(price)
        if self._count >= 3:
            self._spoil(plan[self._lane : self._lane + 1], utility[self._lane : self._lane + 1])
        return plan, utility

    def confirm(self, order):
        return self._agent.confirm(order)


def nan_units(plan, _):
    plan[:, 0] = np.nan


def nan_utility(_, utility):
    utility[:] = np.nan


def negative(plan, _):
    plan[:, 0] = -1.0


def convex(plan, utility):
    """More is worth more and more: whatever is answered, it could not have been the best."""
    utility += plan.sum() ** 2


def perverse(plan, utility):
    """Ships although it says that it loses by it."""
    utility -= 1e3 * plan.sum()


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (nan_units, "not_finite"), (nan_utility, "not_finite"), (negative, "negative_units"),
        (convex, "inconsistent"), (perverse, "inconsistent"),
    ],
)  # fmt: skip
def test_one_wrong_contract_is_named_and_its_neighbours_are_unharmed(spoil, status):
    sound = solved("ours", "dual")
    lane = 2
    contracts = solved("ours", "", Wrong(SUPPLIERS["dual"](problems(), "supplier"), lane, spoil))
    assert contracts.status[lane] == status
    assert contracts.reason[lane].startswith("supplier: ")
    assert np.isnan(contracts.price[lane])
    assert contracts.paid[lane] == 0.0
    np.testing.assert_array_equal(contracts.issued[lane], contracts.order[lane])
    others = np.arange(LANES) != lane
    assert list(contracts.status[others]) == list(sound.status[others])
    sure = sound.price_error + 10.0 * sound.efficiency_gap
    for i in np.flatnonzero(others & np.isfinite(sound.price)):
        assert contracts.price[i] == pytest.approx(sound.price[i], abs=2.0 * sure[i])


class Raises:
    def best_plan(self, price):
        raise OSError(f"no connection for {len(price)}")


class WrongShape:
    def best_plan(self, price):
        return np.zeros((len(price), 1)), np.zeros(len(price))


class Never:
    def __init__(self, event):
        self._event = event

    def best_plan(self, price):
        self._event.wait(60.0)
        return np.zeros(price.shape), np.zeros(len(price))


def test_agents_of_their_own_fail_alone_each_with_its_name():
    batch, event = problems(), threading.Event()
    sellers = [SUPPLIERS["dual"]([batch[0]], "supplier"), Raises(), WrongShape(), Never(event)]
    contracts = solved("ours", "", sellers, deadline=1.0)
    event.set()
    assert list(contracts.status[1:]) == ["failed", "wrong_shape", "late"]
    assert "no connection" in contracts.reason[1]
    sound = solved("ours", "dual")
    assert contracts.status[0] == sound.status[0]
    sure = sound.price_error[0] + 10.0 * sound.efficiency_gap[0]
    assert contracts.price[0] == pytest.approx(sound.price[0], abs=2.0 * sure)
    assert not contracts.paid[1:].any()


def test_a_retailer_that_fails_before_there_is_an_order_pays_nothing_either():
    contracts = solved(Raises(), "dual")
    assert list(contracts.status) == ["failed"] * LANES
    assert not contracts.paid.any()
    assert all(reason.startswith("retailer: ") for reason in contracts.reason)


def deciding(answer):
    kind, offers = SUPPLIERS["dual"], []

    class Decides(kind):  # type: ignore[misc, valid-type]
        def decide(self, offer):
            offers.append(offer)
            return answer(offer)

    return Decides(problems(), "supplier"), offers


def test_the_supplier_has_the_last_word():
    sound = solved("ours", "dual")
    seller, offers = deciding(lambda offer: np.zeros(len(offer.price), bool))
    contracts = solved("ours", "", seller)
    (offer,) = offers
    priced = sound.status == "accepted"
    assert priced.any()
    np.testing.assert_array_equal(np.isfinite(offer.price), priced)
    assert list(contracts.status[priced]) == ["declined"] * int(priced.sum())
    np.testing.assert_allclose(contracts.price[priced], offer.price[priced])
    assert not contracts.paid.any()


def test_a_decision_that_fails_is_no_decision():
    seller, _ = deciding(lambda offer: np.full(len(offer.price), np.nan))
    contracts = solved("ours", "", seller)
    assert set(contracts.status) <= {"not_finite", "no_gain"}
    assert "not_finite" in contracts.status
    assert not contracts.paid.any()


def test_what_just_in_time_is_worth_must_be_known_to_decide():
    # Capacity is short of the order, and the twin does not say what it would confirm of it.
    short = toy()
    seller = RETAILERS["dual"]([short], "supplier")
    retailer = cpp.Retailer(short.unit_cost, [[200.0], [60.0]], 20.0, lost_sale_cost=1.0)
    contracts = cpp.coordinate_outside(retailer, seller)
    assert contracts.status[0] == "undecided"
    assert contracts.paid[0] == 0.0
    assert np.isnan(contracts.price[0])


def test_demand_that_must_be_served_and_cannot_is_infeasible():
    retailer = cpp.Retailer(toy().unit_cost, [[200.0], [60.0]], 20.0)
    contracts = cpp.coordinate_outside(retailer, SUPPLIERS["dual"]([toy()], "supplier"))
    assert contracts.status[0] == "infeasible"
    assert contracts.paid[0] == 0.0


def test_the_log_lists_what_crossed_and_nothing_else():
    log = cpp.BorderLog(keep=True)
    contracts = solved("ours", "dual", log=log)
    assert contracts.log is log
    asked = {(crossing.method, crossing.direction, crossing.name) for crossing in log.crossings}
    assert asked == {
        ("best_plan", "asked", "price"),
        ("best_plan", "answered", "plan"), ("best_plan", "answered", "utility"),
        ("confirm", "asked", "order"), ("confirm", "answered", "plan"),
    }  # fmt: skip
    questions = [c for c in log.crossings if c.direction == "asked" and c.agent == "supplier"]
    assert len(questions) == contracts.calls["supplier"]
    assert {crossing.agent for crossing in log.crossings} == {"supplier"}, (
        "ours is on this side of the border"
    )


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


class Watched:
    """Passes on whatever is asked for, and writes down its name."""

    def __init__(self, agent, touched):
        object.__setattr__(self, "_inside", (agent, touched))

    def __getattribute__(self, name):
        agent, touched = object.__getattribute__(self, "_inside")
        touched.add(name)
        return getattr(agent, name)


def test_nothing_of_an_agent_is_touched_but_its_answers():
    touched: set[str] = set()
    contracts = solved("ours", "", Watched(SUPPLIERS["dual"](problems(), "supplier"), touched))
    assert list(contracts.status) == list(solved("ours", "dual").status)
    assert touched - {"__class__"} <= set(ANSWERS)


def test_arguments_that_do_not_fit_are_refused_in_words():
    seller = SUPPLIERS["dual"](problems(), "supplier")
    ours = [parties(problem)[0] for problem in problems()]
    with pytest.raises(ValueError, match="use an AdditiveFee"):
        cpp.coordinate_outside(ours, seller, cpp.MultiplicativeFee(0.1))
    with pytest.raises(ValueError, match="`start` and `money`"):
        cpp.coordinate_outside(ours, seller, money=1.0)
    with pytest.raises(ValueError, match="needs `start`"):
        cpp.coordinate_outside(seller, seller)
    with pytest.raises(ValueError, match="not negative"):
        cpp.coordinate_outside(seller, seller, start=-np.ones((LANES, 3)), money=1.0)
    with pytest.raises(ValueError, match=r"must be \(contracts, inbound\)"):
        cpp.coordinate_outside(ours, seller, reached=np.ones((LANES, 2), bool))
    with pytest.raises(TypeError, match="is no agent"):
        cpp.coordinate_outside(ours, object())


def test_every_status_is_explained():
    assert set(FAULTS) < set(ENDINGS)
    assert all(words for name, words in ENDINGS.items() if name != "accepted")
