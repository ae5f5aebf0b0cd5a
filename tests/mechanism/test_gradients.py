"""Derivatives without smoothing: against exact linear programs, by hand, and at the kinks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp import (
    AdditiveFee,
    Contract,
    DeviationFee,
    MultiplicativeFee,
    Retailer,
    Supplier,
    coordinate,
)
from tests import oracles
from tests.mechanism.batches import parties, stack
from tests.mechanism.differences import SHAPE, Params, by_lane, directions, moved, numbers_of, push
from tests.oracles import Problem

LANES, STEP, TOLERANCE, CLOSE = 16, 1e-3, 1e-8, 1e-5
NAMES = {
    "retailer": {
        "unit_cost": "unit_cost", "demand": "demand", "margin": "margin", "holding_cost": "holding",
        "backlog_cost": "backlog", "lost_sale_cost": "lost_sale",
    },
    "supplier": {
        "unit_cost": "supplier_unit_cost", "capacity": "capacity", "margin": "supplier_margin",
        "holding_cost": "supplier_holding",
    },
}  # fmt: skip


def generic(seed: int) -> Problem:
    """A contract whose numbers have nothing in common: neither ties nor sums that come out even."""
    rng = np.random.default_rng(seed)
    inbound, regions, sources, weeks = SHAPE
    demand = rng.uniform(1.0, 5.0, (regions, weeks))
    return Problem(
        unit_cost=rng.uniform(1.0, 6.0, (inbound, regions)),
        demand=demand,
        margin=rng.uniform(4.0, 12.0),
        supplier_unit_cost=rng.uniform(1.0, 6.0, (sources, inbound)),
        capacity=rng.uniform(0.7, 1.2, (sources, weeks)) * demand.sum() / (weeks * sources) * 1.3,
        supplier_margin=rng.uniform(4.0, 12.0),
        inventory=np.zeros(inbound),  # what stock is used for where orders are free is a matter of ties
        holding=rng.uniform(0.3, 1.0),
        backlog=rng.uniform(0.3, 2.0),
        lost_sale=rng.uniform(10.0, 20.0),
        supplier_holding=rng.uniform(0.1, 0.5),
    )


def priced(problem: Problem, fee: dict[str, Any]) -> np.ndarray:
    """Price, transfer, gain and plan as linear programs have them."""
    weight = 1.0 + fee["beta"] + fee["rate"]
    at_best, order = oracles.best_jit(problem)
    assert order is not None
    confirmed, status_quo = oracles.supplier_status_quo(problem, order)
    _, plan = oracles.best_choice(problem, order, weight, fee["over"], fee["under"])
    assert plan is not None
    ours, theirs = oracles.retailer_utility(problem, plan), oracles.supplier_utility(problem, plan)
    if np.abs(plan - order).max() <= 1e-9 * order.sum():  # just-in-time: nothing is paid
        return np.concatenate([np.zeros(3), status_quo.reshape(-1)])
    apart = plan - order
    deviation = np.sum(fee["over"] * np.maximum(apart, 0.0) + fee["under"] * np.maximum(-apart, 0.0))
    cbt = at_best - ours
    gain = ours + theirs - oracles.retailer_utility(problem, status_quo) - confirmed
    return np.concatenate([[weight * cbt + fee["alpha"] + deviation, cbt, gain], plan.reshape(-1)])


def problem_at(problem: Problem, lane: Params) -> Problem:
    """The problem with a lane's numbers in the place of its own."""
    changed: dict[str, Any] = {}
    for party, names in NAMES.items():
        for ours, theirs in names.items():
            value = np.asarray(lane[party][ours])
            value = value[:, :: SHAPE[3]] if (party, ours) == ("retailer", "unit_cost") else value
            changed[theirs] = (
                value.reshape(np.shape(getattr(problem, theirs))) if value.ndim else float(value)
            )
    return replace(problem, **changed)


@cache
def batch() -> tuple[list[Problem], Params, Any]:
    problems = [generic(seed) for seed in range(LANES)]
    retailer, supplier = stack([parties(one) for one in problems])
    return problems, numbers_of(retailer, supplier, seed=3), (retailer, supplier)


@pytest.mark.slow
def test_every_parameter_against_linear_programs():
    """Price, transfer, gain and plan: their exact differences, where they have no kink within the step."""
    problems, params, both = batch()
    forward = by_lane(push, tolerance=TOLERANCE)
    pick = np.r_[0:3, 6 : 6 + SHAPE[0] * SHAPE[3]]
    for name, along in directions(params, 11):
        analytic = np.asarray(forward(params, both, along))[:, pick]
        smooth = 0
        for lane, problem in enumerate(problems):
            values = []
            for step in (-STEP, 0.0, STEP):
                at = jax.tree.map(lambda leaf, lane=lane: np.asarray(leaf)[lane], moved(params, along, step))
                values.append(priced(problem_at(problem, at), at["fee"]))
            before, after = (values[1] - values[0]) / STEP, (values[2] - values[1]) / STEP
            scale = np.abs(after).max() + 1e-3
            if np.abs(before - after).max() > 10.0 * STEP * scale:
                continue
            smooth += 1
            wrong = np.abs(analytic[lane] - 0.5 * (before + after)).max() / scale
            assert wrong <= CLOSE, (name, lane)
        assert smooth >= LANES // 2, name


def toy(
    demand: Any = (40.0, 60.0), capacity: Any = (100.0, 10.0), costs: Any = 0.0
) -> tuple[Retailer, Supplier]:
    """The paper's example (arXiv:2605.16695 section 7), `costs` added to the supplier's first lane."""
    lanes = jnp.asarray([[10.0, 5.0], [1.0, 2.0]]).at[0, 0].add(costs)
    return Retailer([[1, 5], [2, 3]], demand, 20), Supplier(lanes, capacity, 20)


@pytest.mark.slow
def test_the_paper_s_example_by_hand():
    """A unit more at region 0 is served from node 1: 2 instead of 1. One more of the cheap source: back."""

    def numbers(demand: jax.Array, capacity: jax.Array, alpha: jax.Array) -> jax.Array:
        made = coordinate(*toy(demand, capacity), AdditiveFee(alpha))
        return jnp.append(made.plan, made.price)

    at = jnp.asarray([40.0, 60.0]), jnp.asarray([100.0, 10.0]), jnp.asarray(50.0)
    demand, capacity, alpha = jax.jit(jax.jacobian(numbers, argnums=(0, 1, 2)))(*at)
    np.testing.assert_allclose(demand[2], [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(capacity[2], [0.0, -1.0], atol=1e-6)
    assert alpha[2] == 1.0
    np.testing.assert_allclose(capacity[:2], [[0.0, 1.0], [0.0, -1.0]], atol=1e-6)


@pytest.mark.slow
def test_the_price_moves_with_an_additive_fee_one_for_one():
    """Exactly, for every contract on offer, accepted or not; where just-in-time is best there is no price."""
    problems, params, both = batch()

    def one(alpha: jax.Array, retailer: Retailer, supplier: Supplier) -> tuple[jax.Array, Contract]:
        made = coordinate(retailer, supplier, AdditiveFee(alpha))
        return made.price, made

    rate, made = jax.jit(jax.vmap(jax.jacfwd(one, has_aux=True)))(params["fee"]["alpha"], *both)
    found = np.asarray(rate)
    np.testing.assert_array_equal(found, np.where(made.status == "no_gain", 0.0, 1.0))
    assert np.sum(found) >= len(problems) // 2


@pytest.mark.exhaustive
@pytest.mark.slow
def test_forward_and_reverse_agree():
    def numbers(at: jax.Array) -> jax.Array:
        fee = MultiplicativeFee(at[0]) + DeviationFee(at[1], 0.5 * at[1])
        made = coordinate(*toy(jnp.stack([at[2], at[3]]), costs=at[4]), fee)
        return jnp.concatenate([made.plan, jnp.stack([made.price, made.gain, made.supplier_surplus])])

    at = jnp.asarray([0.1, 0.2, 41.0, 59.5, 0.3])
    forward, reverse = (jax.jit(way(numbers))(at) for way in (jax.jacfwd, jax.jacrev))
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_where_just_in_time_is_best_nothing_is_paid_and_nothing_moves_it():
    """The kink at which an offer ends: below it the price is nought, and so are its derivatives."""

    def numbers(over: jax.Array) -> jax.Array:
        made = coordinate(*toy(), DeviationFee(over=over, under=over) + AdditiveFee(over))
        return jnp.stack([made.price, made.gain])

    # 30 units away from one node and to another save 4 each, and cost the retailer 1.
    value, slope = jax.jit(lambda over: jax.jvp(numbers, (over,), (jnp.ones(()),)))(jnp.asarray(3.0))
    np.testing.assert_allclose(value, [0.0, 0.0], atol=1e-10)
    np.testing.assert_array_equal(slope, [0.0, 0.0])


@pytest.mark.slow
def test_at_the_switch_of_participation_the_offer_is_declined():
    """What is paid moves with the price while the offer is accepted, and not at all from the switch on."""

    def paid(alpha: jax.Array) -> jax.Array:
        return coordinate(*toy(), AdditiveFee(alpha)).paid

    both = jax.jit(jax.value_and_grad(paid))
    values, rates = zip(*(both(jnp.asarray(alpha)) for alpha in (119.9, 120.0, 120.1)), strict=True)
    assert rates == (1.0, 0.0, 0.0)
    np.testing.assert_allclose(values, [149.9, 0.0, 0.0], rtol=1e-6)


def test_a_node_without_deviation_is_charged_half_of_each_side():
    """At the order itself a deviation fee has two slopes; a derivative is the mean of both."""
    schedule = DeviationFee(over=3.0, under=1.0).schedule(1, 1)
    at = jnp.asarray([5.0])
    assert float(jax.grad(lambda plan: schedule.deviation(plan, at))(at)[0]) == 0.5 * (3.0 - 1.0)
