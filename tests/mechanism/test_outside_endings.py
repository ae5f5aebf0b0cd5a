"""What outside agents may get wrong, each with its named ending, and what of them is ever touched."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxcpp as cpp
from jaxcpp.agents.border import ANSWERS, FAULTS
from jaxcpp.mechanism.outside import ENDINGS
from tests.mechanism.batches import parties
from tests.mechanism.outside_batches import ALPHA, LANES, problems, solved
from tests.oracles import retailer_utility, toy
from tests.outside_twins import RETAILERS, SUPPLIERS

pytestmark = pytest.mark.slow


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
