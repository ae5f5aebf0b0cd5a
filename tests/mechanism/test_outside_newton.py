"""Suppliers that tell their slopes: Newton steps against exact linear programs, whatever is answered."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import jaxcpp as cpp
from jaxcpp.agents.border import FAULTS
from jaxcpp.agents.outside import Smoothed
from jaxcpp.fleet.vendor_side import PlatformSupplier
from jaxcpp.mechanism.outside import ENDINGS
from tests.mechanism.batches import parties, problems_of, stack
from tests.oracles import joint_optimum, retailer_utility, supplier_utility
from tests.oracles.lp import is_feasible

ALPHA, COUNT, TOLERANCE = 0.25, 12, 1e-6
PRICED = ("accepted", "declined")


@cache
def batch():
    """Random contracts of two weeks: ties, gaps, stock, lost sales, capacity without anything to spare."""
    return problems_of((3, 4, 3, 2), COUNT, seed=7)


def seller():
    """The suppliers of the batch, as the agent that a vendor runs."""
    supplier = stack([parties(problem)[1] for problem in batch()])
    numbers = np.stack([supplier.margin, supplier.holding_cost], axis=1)
    return PlatformSupplier(np.asarray(supplier.unit_cost), np.asarray(supplier.capacity), numbers)


def solved(agent, **options):
    buyers = [parties(problem)[0] for problem in batch()]
    options = {"reached": seller().reached, "tolerance": TOLERANCE, **options}
    return cpp.coordinate_outside(buyers, agent, cpp.AdditiveFee(ALPHA), **options)


@cache
def sound():
    return solved(Counting(seller()))


class Counting:
    """Passes questions on and counts them; what it does not offer is not there."""

    def __init__(self, agent, spoil=None, without=()):
        self.count, self._agent, self._spoil = {}, agent, spoil
        for name in {"best_plan", "smoothed_plan", "value", "confirm"} - set(without):
            setattr(self, name, lambda name=name, **question: self._ask(name, question))

    def _ask(self, name, question):
        self.count[name] = self.count.get(name, 0) + 1
        answer = getattr(self._agent, name)(**question)
        return self._spoil(name, self.count[name], answer) if self._spoil else answer


def is_sound(contracts):
    """No plan is further from the best than is certified, and no price is wrong."""
    for i, problem in enumerate(batch()):
        if contracts.status[i] not in (*PRICED, "no_gain"):
            assert contracts.paid[i] == 0.0
            continue
        order, plan = (units[i].reshape(problem.inbound, -1) for units in (contracts.order, contracts.plan))
        best, mine = joint_optimum(problem)[0], retailer_utility(problem, plan)
        rounding = 1e-8 * abs(best)
        assert best - mine - supplier_utility(problem, plan) <= contracts.efficiency_gap[i] + rounding
        if contracts.status[i] in PRICED:
            transfer = retailer_utility(problem, order) - mine
            assert contracts.price[i] == pytest.approx(
                transfer + ALPHA, abs=contracts.price_error[i] + rounding
            )


@pytest.mark.slow
def test_the_exact_optimum_is_certified_and_priced_in_few_questions():
    contracts = sound()
    is_sound(contracts)
    for i, problem in enumerate(batch()):
        assert (contracts.status[i] in (*PRICED, "no_gain")) == is_feasible(problem), contracts.status[i]
    assert {"accepted", "no_gain"} <= set(contracts.status)
    assert contracts.calls["supplier"] < 120


def test_slopes_are_those_of_the_plan_and_the_entropy_only_adds():
    agent, rng = seller(), np.random.default_rng(3)
    nodes, smoothing = 6, np.linspace(0.5, 2.0, COUNT)
    price, step = rng.normal(size=(COUNT, nodes)), 1e-5
    seen = Smoothed(*agent.smoothed_plan(price, smoothing))

    def moved(of, way=0.0, softer=0.0):
        ahead, behind = (
            getattr(agent.smoothed_plan(price + sign * step * way, smoothing + sign * step * softer), of)
            for sign in (1.0, -1.0)
        )
        return (ahead - behind) / (2.0 * step)

    for node, way in enumerate(np.eye(nodes)):
        np.testing.assert_allclose(seen.slope[:, :, node], -moved("plan", way), atol=1e-6)
        np.testing.assert_allclose(seen.plan[:, node], -moved("surplus", way), atol=1e-6)
    np.testing.assert_allclose(seen.drift, moved("plan", softer=1.0), atol=1e-6)
    plan, utility = agent.best_plan(price)
    np.testing.assert_allclose(seen.best, utility - np.sum(price * plan, axis=1))
    net = seen.utility - np.sum(price * seen.plan, axis=1)
    assert np.all(net <= seen.best + 1e-9)
    assert np.all(seen.best <= seen.surplus + 1e-9)


def noisy(name, count, answer):
    if name != "smoothed_plan":
        return answer
    rng = np.random.default_rng(count)
    return Smoothed(*(part * rng.uniform(0.0, 2.0, part.shape) for part in answer))


def uphill(name, _, answer):
    return answer._replace(slope=-answer.slope) if name == "smoothed_plan" else answer


def huge(name, count, answer):
    return Smoothed(*(part * 1e30 for part in answer)) if name == "smoothed_plan" and count > 4 else answer


@pytest.mark.parametrize("spoil", [noisy, uphill, huge])
@pytest.mark.slow
def test_answers_that_lead_astray_make_no_price_wrong(spoil):
    contracts = solved(Counting(seller(), spoil), max_rounds=40)
    assert set(contracts.status) <= set(ENDINGS)
    is_sound(contracts)


@pytest.mark.slow
def test_a_slope_that_is_no_number_fails_its_own_contract_alone():
    lane = int(np.flatnonzero(sound().status == "accepted")[0])

    def spoil(name, count, answer):
        if name == "smoothed_plan" and count > 2:
            slope = answer.slope.copy()
            slope[lane, 0, 1] = np.nan
            return answer._replace(slope=slope)
        return answer

    contracts = solved(Counting(seller(), spoil))
    assert contracts.status[lane] == "not_finite"
    assert np.isnan(contracts.price[lane])
    others = np.arange(COUNT) != lane
    assert list(contracts.status[others]) == list(sound().status[others])
    assert not set(contracts.status[others]) & set(FAULTS)


def test_a_plan_that_is_refused_is_cut_down_to_what_the_supplier_would_ship():
    def spoil(name, count, answer):
        return np.full_like(answer, -np.inf) if name == "value" and count == 1 else answer

    agent = Counting(seller(), spoil)
    contracts = solved(agent)
    is_sound(contracts)
    assert agent.count["confirm"] == 2, "of the plans that were refused, and of just-in-time orders"
    assert list(contracts.status) == list(sound().status)


def test_without_values_an_agent_is_asked_in_the_ways_that_are_left():
    agent = Counting(seller(), without=("value",))
    contracts = solved(agent, max_rounds=2)
    assert "smoothed_plan" not in agent.count
    assert agent.count["best_plan"] > 2
    is_sound(contracts)
