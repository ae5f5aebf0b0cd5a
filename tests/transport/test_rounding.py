"""Rounded flows keep every constraint, whatever plan and price they are asked for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcpp.transport import rounding
from jaxcpp.transport.side import Side, Split, bound, split
from tests.transport.sides import random_side, stacked

COUNT = 64
EXACT = 1e-14
"""Sums of a volume of 1."""


@jax.jit
@jax.vmap
def settled(side: Side, price: jax.Array, epsilon: jax.Array, plan: jax.Array):
    flows = rounding.settle(side, split(side, price, epsilon), plan)
    return flows, rounding.cost_of(side, flows), bound(side, price) - jnp.vdot(price, plan)


@settings(max_examples=20)
@given(st.integers(0, 2**20), st.sampled_from((0.3, 1e-2, 1e-4)), st.floats(0.0, 3.0))
@pytest.mark.slow
def test_every_constraint_is_kept_for_any_plan_and_price(seed, epsilon, size):
    rng = np.random.default_rng(seed)
    side = stacked([random_side(seed + lane, stock=lane % 2 == 0) for lane in range(COUNT)])
    nodes = side.cost.shape[1]
    price = rng.uniform(-2.0, 2.0, (COUNT, nodes))
    plan = rng.uniform(0.0, size + 1e-3, (COUNT, nodes)) * (rng.random((COUNT, nodes)) < 0.7) / nodes
    flows, cost, lower = settled(side, price, np.full(COUNT, epsilon), plan)
    shipped = flows.lane.sum(axis=2)
    assert (flows.lane >= 0.0).all()
    assert (flows.outside >= 0.0).all()
    assert (flows.short >= 0.0).all()
    assert not (flows.lane > 0.0)[~jnp.isfinite(side.cost)].any(), "a missing lane is used"
    np.testing.assert_allclose(flows.lane.sum(axis=1) + flows.outside, side.mass, atol=EXACT)
    np.testing.assert_allclose(shipped + flows.short, plan + flows.used, atol=EXACT)
    assert (flows.used <= side.stock).all()
    assert jnp.isfinite(cost).all()
    # Where the whole plan is shipped, its cost is that of flows that exist: above every bound.
    whole = flows.short.sum(axis=1) <= EXACT
    assert (cost[whole] >= lower[whole] - 1e-12).all()


def one_lane_each(cost, mass, outside, stock=(0.0, 0.0)) -> Side:
    return Side(*(jnp.asarray(x, jnp.float64) for x in (cost, mass, outside, stock)))


def test_units_left_over_give_way_to_demand_that_is_short():
    """The last private node needs nothing: what it was given goes to the node that still wants some."""
    side = one_lane_each([[1.0, 0.5], [2.0, 0.5]], [0.6, 1.0], [100.0, 0.0])
    # The smoothed flows leave over what the demand node now needs.
    part = Split(jnp.asarray([[0.5, 0.25], [0.5, 0.25]]), jnp.asarray([0.0, 0.5]))
    flows = rounding.settle(side, part, jnp.asarray([0.5, 0.1]))
    np.testing.assert_allclose(flows.outside, [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(flows.lane.sum(axis=1), [0.5, 0.1], atol=1e-12)
    assert float(flows.short.sum()) <= 1e-12


def test_stock_serves_what_the_plan_does_not():
    side = one_lane_each([[1.0], [2.0]], [1.0], [100.0], stock=[0.0, 0.75])
    flows = rounding.settle(side, Split(jnp.full((2, 1), 0.5), jnp.zeros(1)), jnp.asarray([0.25, 0.0]))
    np.testing.assert_allclose(flows.lane, [[0.25], [0.75]], atol=1e-12)
    np.testing.assert_allclose(flows.used, [0.0, 0.75], atol=1e-12)
    np.testing.assert_allclose(flows.outside, [0.0], atol=1e-12)


@pytest.mark.parametrize("plan", [[0.0, 0.0], [0.3, 0.9]])
def test_what_cannot_be_shipped_is_short(plan):
    """No lane leads from the second node, and the first has one to a node without mass to spare."""
    side = one_lane_each([[1.0], [np.inf]], [0.2], [5.0])
    flows = rounding.settle(side, Split(jnp.asarray([[1.0], [0.0]]), jnp.zeros(1)), jnp.asarray(plan))
    np.testing.assert_allclose(flows.short, np.maximum(np.asarray(plan) - [0.2, 0.0], 0.0), atol=1e-15)
    np.testing.assert_allclose(flows.outside, [0.2 - min(plan[0], 0.2)], atol=1e-15)


def test_dust_is_swept_up():
    part = Split(jnp.asarray([[1.0 - 1e-9, 0.5], [1e-9, 0.5 - 1e-8]]), jnp.asarray([0.0, 1e-8]))
    lane, away = rounding.pruned(part)
    np.testing.assert_allclose(lane, [[1.0, 0.5], [0.0, 0.5]], atol=1e-8)
    assert float(lane[1, 0]) == 0.0
    assert float(away[1]) == 0.0
    np.testing.assert_allclose(lane.sum(axis=0) + away, 1.0, atol=EXACT)
