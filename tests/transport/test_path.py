"""Paths to a certified gap, where they are hard: tight, flat, single, decided, empty."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.transport import kernels, living, path
from jaxcpp.transport.side import Side

TOLERANCE = 1e-7


@pytest.fixture(params=["here", "native"], autouse=True)
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test on this code alone, and with the native kernels where they are."""
    if request.param == "here":
        monkeypatch.setattr(kernels, "usable", lambda _: False)
    elif kernels.shut():
        pytest.skip(kernels.shut())


def side(cost, mass, outside, stock=None) -> Side:
    nodes = np.shape(cost)[0]
    numbers = (cost, mass, outside, np.zeros(nodes) if stock is None else stock)
    return Side(*(jnp.asarray(x, jnp.float64) for x in numbers))


def cheapest(problem: Side, plan) -> living.Bracket:
    found = jax.jit(living.cheapest)(problem, jnp.asarray(plan, jnp.float64), jnp.asarray(TOLERANCE))
    for leaf in jax.tree.leaves(found):
        assert bool(jnp.isfinite(leaf).all())
    return found


def assert_cost(problem: Side, plan, cost: float) -> None:
    found = cheapest(problem, plan)
    assert float(found.lower) <= cost + 1e-12
    assert float(found.upper) >= cost - 1e-12
    assert float(found.upper - found.lower) <= TOLERANCE * max(abs(cost), 1e-6)


def test_one_node_and_one_entry():
    assert_cost(side([[2.0]], [1.0], [50.0]), [1.0], 2.0)


def test_a_plan_that_serves_half():
    assert_cost(side([[2.0]], [1.0], [50.0]), [0.5], 1.0 + 25.0)


def test_a_plan_of_nothing():
    assert_cost(side([[2.0], [1.0]], [1.0], [5.0]), [0.0, 0.0], 5.0)


def test_nothing_at_all():
    assert_cost(side([[2.0], [1.0]], [0.0], [5.0]), [0.0, 0.0], 0.0)


def test_every_unit_is_decided():
    """Each node serves one entry and no other lane exists: the slope vanishes altogether."""
    cost = np.where(np.eye(3) > 0, [1.0, 2.0, 3.0], np.inf)
    assert_cost(side(cost, [0.2, 0.3, 0.5], [40.0] * 3), [0.2, 0.3, 0.5], 0.2 + 0.6 + 1.5)


def test_all_lanes_cost_the_same():
    assert_cost(side(np.ones((3, 4)), [0.25] * 4, [30.0] * 4), [0.5, 0.25, 0.25], 1.0)


def test_a_node_of_a_billionth_beside_a_node_of_all():
    assert_cost(side([[1.0, 2.0], [3.0, 1.0]], [1.0 - 1e-9, 1e-9], [40.0] * 2), [1.0 - 1e-9, 1e-9], 1.0)


def test_parts_that_nothing_ties_together():
    """Two blocks, each exactly balanced: the dual is flat along the price of either."""
    cost = np.full((4, 4), np.inf)
    cost[:2, :2], cost[2:, 2:] = [[1.0, 2.0], [2.0, 1.5]], [[0.5, 4.0], [3.0, 1.0]]
    plan = [0.2, 0.3, 0.1, 0.4]
    # First block: 0.2 at 1, 0.05 at 2, 0.25 at 1.5; second: 0.1 at 0.5, 0.15 at 3, 0.25 at 1.
    exact = 0.2 + 0.05 * 2.0 + 0.25 * 1.5 + 0.05 + 0.15 * 3.0 + 0.25
    assert_cost(side(cost, [0.25] * 4, [60.0] * 4), plan, exact)


def test_stock_is_used_where_it_saves():
    """Half of the demand from stock at 1, not from the plan's node at 3; the rest of the plan is lost."""
    problem = side([[1.0], [3.0]], [1.0], [20.0], stock=[0.5, 0.0])
    assert_cost(problem, [0.0, 0.25], 0.5 + 0.75 + 0.25 * 20.0)


def test_idle_nodes_have_the_price_of_what_a_unit_there_would_save():
    problem = side([[1.0, 2.0], [3.0, 0.5]], [0.5, 0.5], [20.0, 20.0])
    found = cheapest(problem, [0.5, 0.0])
    # The first region has all it wants, the second nothing: a unit more saves it 20 - 2 or 20 - 0.5.
    for move, saved in (([0.01, 0.0], 0.01 * 18.0), ([0.0, 0.01], 0.01 * 19.5)):
        less = float(found.upper) - float(cheapest(problem, np.add([0.5, 0.0], move)).upper)
        assert less <= float(jnp.vdot(found.price, jnp.asarray(move))) + 1e-6
        assert less == pytest.approx(saved, abs=1e-5)


def test_a_finished_path_stays_as_it_is_and_a_resumed_one_gets_tighter():
    problem, plan = side([[1.0, 2.0], [2.0, 1.5]], [0.4, 0.6], [30.0] * 2), jnp.asarray([0.5, 0.5])
    at = living.evaluate(problem, plan)
    ended = path.follow(at, living.begin(problem, plan), jnp.asarray(1e-3), 100)
    assert bool(ended.done)
    still = path.advance(at, ended, jnp.asarray(1e-3))
    for one, other in zip(jax.tree.leaves(ended), jax.tree.leaves(still), strict=True):
        np.testing.assert_array_equal(one, other)
    tighter = path.follow(at, path.resume(ended), jnp.asarray(1e-3), 100)
    assert bool(tighter.done)
    assert float(tighter.gap) <= 0.1 * 1e-3 * float(at(tighter.price, tighter.epsilon).spend)


def test_rounds_are_counted_and_kept_to():
    problem, plan = side([[1.0, 2.0], [2.0, 1.5]], [0.4, 0.6], [30.0] * 2), jnp.asarray([0.5, 0.5])
    at = living.evaluate(problem, plan)
    ended = path.follow(at, living.begin(problem, plan), jnp.asarray(1e-12), 7)
    assert int(ended.rounds) == 7
    assert not bool(ended.done)


def test_a_node_that_nothing_ties_down_does_not_hold_the_others_back():
    """Rounding error in the balance of a decided pair must not shorten everyone's step.

    Two nodes share flows and a real imbalance; two others only have each other, all but decided, and
    an imbalance of rounding error between them and the rest.
    """
    slope = np.zeros((4, 4))
    slope[:2, :2] = 1e5 * np.array([[1.0, -1.0], [-1.0, 1.0]]) + 10.0 * np.eye(2)
    slope[2:, 2:] = 5e-6 * np.array([[1.0, -1.0], [-1.0, 1.0]])
    gradient = np.array([1e-5, -1e-5, 4e-12 + 1e-17, -4e-12])
    zero = jnp.zeros(())
    seen = path.Evaluation(
        zero, zero, zero, jnp.asarray(gradient), jnp.asarray(slope), jnp.zeros(4), zero + 1.0
    )

    def look(price: jax.Array, epsilon: jax.Array) -> path.Evaluation:
        del price, epsilon
        return seen

    after = path.advance(look, path.start(jnp.zeros(4), 1e-6), jnp.asarray(1e-12))
    np.testing.assert_allclose(after.move[:2], [5e-11, -5e-11], rtol=1e-3)
