"""What an agent answers, against exact linear programs of its own problem at the same plan.

Both agents of a batch of random problems, at plans of three kinds: just in time, the chain's best,
and a mixture of the two. The first two lie on faces of what the parties can live with, where prices
run away and dual answers are not unique; the last may lie anywhere between.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp import Contract, Retailer, Supplier
from jaxcpp.agents.protocol import Confirmation, Response
from jaxcpp.mechanism.terms import frame, money
from jaxcpp.transport import living
from tests import oracles
from tests.mechanism.batches import draws, parties, rounding, slack, solve, stack
from tests.oracles import Problem
from tests.oracles.problem import Floats
from tests.strategies import Options, build

SHAPE = (3, 4, 3, 2)
COUNT = 96
TOLERANCE = 1e-6
NODES = SHAPE[0] * SHAPE[3]


class Answers(NamedTuple):
    """One agent's answers, in scaled units."""

    bracket: living.Bracket
    value: jax.Array
    gradient: jax.Array
    confirmed: Confirmation  # near the price that living with the plan ended at
    astray: Confirmation  # near a price that has nothing to do with the plan
    response: Response  # to that price
    bound: jax.Array
    price: jax.Array
    quote: jax.Array
    unit: jax.Array  # currency
    volume: jax.Array  # units
    own: jax.Array  # currency: utility = own - cost


class Case(NamedTuple):
    """A problem, a plan that both of its parties can live with, and both agents' answers to it."""

    options: Options
    problem: Problem
    plan: Floats
    retailer: Answers
    supplier: Answers


@jax.jit
@jax.vmap
def answers(
    retailer: Retailer, supplier: Supplier, plan: jax.Array, price: jax.Array
) -> tuple[Answers, Answers]:
    """Both agents' answers at a plan [units] and at a price [scaled]."""
    terms = frame(retailer, supplier, money(retailer, supplier))
    scaled, unit, epsilon = plan.reshape(-1) / terms.volume, terms.money * terms.volume, jnp.asarray(1e-3)
    found = []
    for party, sign in ((retailer, 1.0), (supplier, -1.0)):
        agent, at = party.agent(terms), sign * price
        bracket = living.cheapest(agent.side, scaled, jnp.asarray(TOLERANCE))
        value, gradient = agent.value_and_gradient(scaled)
        own = retailer.profit_at_no_cost() if party is retailer else jnp.zeros_like(unit)
        found.append(
            Answers(
                bracket,
                value,
                gradient,
                agent.confirm(scaled, bracket.price, epsilon),
                agent.confirm(scaled, at, epsilon),
                agent.respond(at, epsilon),
                agent.bound(at),
                at,
                agent.quote(),
                unit,
                terms.volume,
                own,
            )
        )
    return found[0], found[1]


def live_with_both(problem: Problem, contract: Contract, index: int) -> list[Floats]:
    """Plans of all three kinds that the linear programs find feasible."""
    first, last = contract.jit[index], contract.plan[index]
    mixtures = [first, last, 0.25 * first + 0.75 * last]
    return [plan for plan in map(np.asarray, mixtures) if oracles.is_feasible(problem, plan)]


@cache
def cases() -> list[Case]:
    chosen = draws(SHAPE, COUNT, seed=2)
    problems = [build(options) for options in chosen]
    contracts = solve(problems)
    feasible = [live_with_both(problem, contracts, index) for index, problem in enumerate(problems)]
    at = [(index, plan) for index, plans in enumerate(feasible) for plan in plans][: 2 * COUNT]
    assert len(at) == 2 * COUNT
    prices = np.random.default_rng(0).uniform(-2.0, 2.0, (len(at), NODES))
    both = answers(
        *stack([parties(problems[index]) for index, _ in at]), np.stack([plan for _, plan in at]), prices
    )
    both = jax.tree.map(np.asarray, both)
    lanes = [jax.tree.map(lambda leaf, row=row: leaf[row], both) for row in range(len(at))]
    return [
        Case(chosen[index], problems[index], plan, *lane)
        for (index, plan), lane in zip(at, lanes, strict=True)
    ]


SIDES = ("retailer", "supplier")


def cost(case: Case, side: str) -> float:
    """The exact cost of living with the plan, as the agent counts it [scaled]."""
    answer: Answers = getattr(case, side)
    utility = {"retailer": oracles.retailer_utility, "supplier": oracles.supplier_utility}[side]
    return float((answer.own - utility(case.problem, case.plan)) / answer.unit)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.slow
def test_the_bracket_holds_the_exact_cost_and_is_tight(side):
    wide = []
    for case in cases():
        answer: Answers = getattr(case, side)
        bracket, exact, off = answer.bracket, cost(case, side), slack(case.problem) / answer.unit
        assert bracket.lower - off <= exact <= bracket.upper + off, case
        wide.append(bracket.upper - bracket.lower > TOLERANCE * max(abs(float(bracket.upper)), 1e-6) + off)
    # On a face of the plans a party can live with, a path may use up its rounds: the bracket then says so.
    assert np.sum(wide) <= 0.01 * len(wide), [case for case, bad in zip(cases(), wide, strict=True) if bad]


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_the_flows_behind_a_bracket_ship_the_plan(side):
    for case in cases():
        answer: Answers = getattr(case, side)
        flows = answer.bracket.flows
        shipped = flows.lane.sum(axis=1) + flows.short
        np.testing.assert_allclose(shipped, case.plan.ravel() / answer.volume + flows.used, atol=1e-12)
        assert flows.short.sum() <= 1e-9, case
        assert flows.lane.min() >= 0.0


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_the_value_is_the_cost_and_the_gradient_what_a_unit_more_saves(side):
    """`cost(y) >= cost(x) - gradient @ (y - x)` for every other plan `y` of the same problem."""
    others: dict[int, list[Case]] = {}
    for case in cases():
        others.setdefault(id(case.problem), []).append(case)
    compared = 0
    for case in cases():
        answer: Answers = getattr(case, side)
        exact, off = cost(case, side), slack(case.problem) / answer.unit
        width = answer.bracket.upper - answer.bracket.lower + off
        assert abs(answer.value - exact) <= width, case
        for other in others[id(case.problem)]:
            move = (other.plan - case.plan).ravel() / answer.volume
            reach = np.abs(answer.gradient).max() * 1e-9
            assert cost(other, side) >= exact - answer.gradient @ move - 2.0 * width - reach, case
            compared += other is not case
    assert compared >= COUNT


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_a_confirmation_is_reached_by_flows_wherever_the_price_is(side):
    """Near any price, the confirmed cost is that of flows that exist: never below the cheapest."""
    for case in cases():
        answer: Answers = getattr(case, side)
        exact, off = cost(case, side), slack(case.problem) / answer.unit
        for confirmed in (answer.confirmed, answer.astray):
            if confirmed.short.sum() + confirmed.unmet <= 1e-12:
                assert confirmed.cost >= exact - off, case


@pytest.mark.parametrize("side", SIDES)
def test_no_plan_beats_the_bound_at_any_price(side):
    for case in cases():
        answer: Answers = getattr(case, side)
        plan, off = case.plan.ravel() / answer.volume, rounding(case.problem) / answer.unit
        assert answer.bound <= cost(case, side) + answer.price @ plan + slack(case.problem) / answer.unit, (
            case
        )
        assert abs(answer.bound - answer.response.bound) <= off
        assert answer.response.value <= answer.bound + off
        assert answer.response.value + answer.response.bias >= answer.bound - off


def test_the_supplier_spends_what_it_costs_before_its_margin():
    for case in cases():
        answer = case.supplier
        margin = case.problem.supplier_margin * answer.volume / answer.unit
        earned = margin * (case.plan.sum() / answer.volume - answer.confirmed.short.sum())
        assert answer.confirmed.spend == pytest.approx(answer.confirmed.cost + earned, abs=1e-12)
        assert answer.confirmed.unmet == 0.0


def test_a_quote_is_the_best_lane_into_a_node():
    for case in cases():
        problem, answer = case.problem, case.supplier
        best = problem.supplier_unit_cost.min(axis=0) - problem.supplier_margin
        usable = np.isfinite(best) & (
            np.isfinite(problem.unit_cost).any(axis=1) | np.isfinite(problem.leftover)
        )
        quote = answer.quote.reshape(problem.inbound, problem.weeks) * answer.unit / answer.volume
        np.testing.assert_allclose(
            quote[usable], np.repeat(best[usable, None], problem.weeks, axis=1), rtol=1e-12
        )
        assert (quote[~usable] == 0.0).all()
