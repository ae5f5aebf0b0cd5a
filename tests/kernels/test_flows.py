"""Flows that a kernel names: those of the twin, every constraint kept, and none believed unseen."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest

from jaxcpp.transport import kernels, rounding
from jaxcpp.transport.side import Side, split
from tests.kernels.contracts import batch, beside_a_path, opening, sides, worth_the_same
from tests.strategies import Options
from tests.transport.sides import random_side, stacked

pytestmark = pytest.mark.slow

COUNT = 48
EXACT = 2e-14
NEAR = 1e-9
"""Units of a volume of 1: two roundings of the same shares."""


@jax.jit
@jax.vmap
def both_ways(side: Side, price, epsilon, plan):
    found = native.solve_living(
        kernels._private(side), plan, price, epsilon=epsilon, tolerance=1e-6, max_rounds=0, flows=True
    )
    assert found.flows is not None
    return found.flows.taken, rounding.settle(side, split(side, price, epsilon), plan)


@pytest.mark.parametrize("epsilon", [0.3, 1e-2, 1e-5])
@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_a_plan_is_settled_as_the_twin_does(epsilon, size):
    rng = np.random.default_rng(int(size * 10))
    side = stacked([random_side(lane, stock=lane % 2 == 0) for lane in range(COUNT)])
    nodes = side.cost.shape[1]
    price = rng.uniform(-1.0, 1.0, (COUNT, nodes))
    plan = rng.uniform(0.0, size, (COUNT, nodes)) * (rng.random((COUNT, nodes)) < 0.7) / nodes
    lane, twin = both_ways(side, price, np.full(COUNT, epsilon), plan)
    np.testing.assert_allclose(lane, twin.lane, atol=NEAR)
    assert (lane >= 0.0).all()
    assert not (lane > 0.0)[~jnp.isfinite(side.cost)].any(), "a missing lane is used"
    assert (lane.sum(axis=1) <= side.mass + EXACT).all()
    assert (lane.sum(axis=2) <= plan + side.stock + EXACT).all()


KINDS = {
    "plain": Options(6, 9, 4),
    "more sources than nodes": Options(3, 9, 5, lost_sales=True),
    "one node": Options(1, 4, 3),
    "one source": Options(5, 6, 1, holes=True),
    "tight, ties, holes": Options(5, 7, 4, capacity="tight", ties=True, holes=True),
    "weeks, stock, leftovers, lost sales, zeros": Options(
        3, 4, 3, weeks=2, inventory=True, lost_sales=True, leftovers=True, zeros=True
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_plan_and_price_are_worth_what_the_twin_s_are(kind):
    """Joined over the public nodes where that is smaller, and not where it is not."""
    _, found, turns = jax.jit(beside_a_path)(batch(KINDS[kind], lanes=16))
    worth_the_same(found, turns)


SPOILED = {
    "negative": lambda lane: lane.at[0, 0].set(-0.1),
    "not a number": lambda lane: lane.at[0, 0].set(jnp.nan),
    "infinite": lambda lane: lane.at[0, 0].set(jnp.inf),
    "more than a private node has": lambda lane: lane.at[:, 0].mul(3.0),
    "more than the plan": lambda lane: lane.at[0].mul(1.5),
}


@pytest.mark.parametrize("how", SPOILED)
def test_flows_that_break_a_constraint_count_as_none(how):
    side = Side(*(jnp.asarray(x) for x in ([[1.0, 2.0], [2.0, jnp.inf]], [0.5, 0.5], [9.0, 9.0], [0.0, 0.0])))
    plan, lane = jnp.asarray([0.8, 0.2]), jnp.asarray([[0.3, 0.5], [0.2, 0.0]])
    kept = rounding.checked(side, lane, plan)
    np.testing.assert_allclose(kept.lane, lane)
    np.testing.assert_allclose(kept.short, 0.0, atol=1e-15)
    none = rounding.checked(side, SPOILED[how](lane), plan)
    np.testing.assert_array_equal(none.lane, 0.0)
    np.testing.assert_array_equal(none.short, plan)
    np.testing.assert_array_equal(none.outside, side.mass)
    missing = rounding.checked(side, jnp.asarray([[0.5, 0.3], [0.0, 0.2]]), plan)
    np.testing.assert_array_equal(missing.lane, 0.0)


def test_flows_are_not_named_where_no_one_asks():
    both = batch(replace(KINDS["plain"], seed=3), lanes=2)
    first = opening(both)
    quiet = native.solve_path(*sides(both), first.price, epsilon=first.epsilon, tolerance=1e-6)
    assert quiet.flows is None
    loud = native.solve_path(*sides(both), first.price, epsilon=first.epsilon, tolerance=1e-6, flows=True)
    assert loud.flows is not None
    assert loud.flows.proposal.shape == first.price.shape
    assert loud.flows.taken.shape == both.retailer.side.cost.shape
    assert loud.flows.shipped.shape == both.supplier.side.cost.shape
    np.testing.assert_allclose(loud.flows.shipped.sum(axis=-1), loud.flows.proposal, atol=1e-12)
