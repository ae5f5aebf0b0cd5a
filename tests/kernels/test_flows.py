"""Flows that a kernel names: those of the twin, every constraint kept, and none believed unseen."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest

from jaxcpp.consensus import outcome as ended
from jaxcpp.fleet import programs
from jaxcpp.transport import kernels, path, rounding
from jaxcpp.transport.side import Side, split
from tests.kernels.contracts import Parties, batch, opening, sides
from tests.strategies import Options
from tests.transport.sides import random_side, stacked

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
    "tight, ties, holes": Options(5, 7, 4, capacity="tight", ties=True, holes=True),
    "weeks, stock, leftovers, lost sales, zeros": Options(
        3, 4, 3, weeks=2, inventory=True, lost_sales=True, leftovers=True, zeros=True
    ),
}


def state_of(both: Parties, epsilon: float) -> path.PathState:
    first = opening(both)
    return jax.vmap(path.start)(first.price, jnp.full_like(first.epsilon, epsilon))


@jax.jit
def judged(both: Parties, state: path.PathState) -> tuple[ended.Outcome, ended.Outcome, ended.Outcome]:
    """What a search says of its own flows, what the twin says at the same price, and that of the start."""

    def one(both: Parties, state: path.PathState):
        buys, ships = both
        after, found = programs._searched(buys, ships, state, jnp.asarray(1e-6), jnp.asarray(200, jnp.int32))
        price = found.price
        twin = ended.settle(buys, ships, price, found.epsilon, found.rounds)
        return found, twin, after.done

    return jax.vmap(one)(both, state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_contract_ends_as_with_the_twin_s_flows(kind):
    both = batch(KINDS[kind], lanes=12)
    found, twin, done = judged(both, state_of(both, 0.05))
    assert done.all()
    np.testing.assert_allclose(found.plan, twin.plan, atol=NEAR)
    np.testing.assert_allclose(found.cost, twin.cost, atol=1e-8)
    np.testing.assert_allclose(found.spend, twin.spend, atol=1e-8)
    np.testing.assert_allclose(found.missing, twin.missing, atol=1e-12)
    assert (found.gap <= 1e-6 * np.maximum(found.spend, 1e-6)).mean() > 0.8


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
    np.testing.assert_array_equal(loud.price, quiet.price)
