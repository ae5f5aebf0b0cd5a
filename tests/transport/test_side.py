"""The smoothed answer of one side: value, derivatives and bounds, on problems with every kind of node."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.transport import living, path, proximal, rounding, sinkhorn
from jaxcpp.transport.side import Side, answer, bound, split, vertex
from tests.transport.sides import random_side


def random_price(seed, n=5):
    return jnp.asarray(np.random.default_rng(1000 + seed).uniform(-1.0, 1.0, n))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("epsilon", [0.3, 0.05])
def test_derivatives_are_those_of_central_differences(seed, epsilon):
    side, price = random_side(seed), random_price(seed)
    seen = answer(side, price, jnp.asarray(epsilon))
    step = 1e-5
    for i in range(len(price)):
        move = jnp.zeros_like(price).at[i].set(step)
        above, below = (answer(side, price + sign * move, jnp.asarray(epsilon)) for sign in (1.0, -1.0))
        assert float(above.value - below.value) / (2 * step) == pytest.approx(float(seen.plan[i]), abs=1e-8)
        np.testing.assert_allclose(
            (above.plan - below.plan) / (2 * step), -seen.slope[:, i], rtol=1e-6, atol=1e-7
        )
    above, below = (answer(side, price, jnp.asarray(epsilon * (1 + sign * 1e-5))) for sign in (1.0, -1.0))
    np.testing.assert_allclose((above.plan - below.plan) / (2e-5 * epsilon), seen.drift, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_value_bias_and_bound_belong_together(seed):
    side, price = random_side(seed), random_price(seed)
    for epsilon in (0.5, 1e-2, 1e-4):
        seen = answer(side, price, jnp.asarray(epsilon))
        part = split(side, price, jnp.asarray(epsilon))
        flow = part.lane * side.mass[None, :]
        cost = jnp.sum(jnp.where(flow > 0, side.cost * flow, 0.0)) + jnp.vdot(
            side.outside, part.away * side.mass
        )
        assert float(seen.value + seen.bias) == pytest.approx(
            float(cost + jnp.vdot(price, seen.plan)), abs=1e-12
        )
        assert float(seen.value) <= float(seen.bound) + 1e-12
        assert float(seen.value + seen.bias) >= float(seen.bound) - 1e-12
        assert float(seen.bound) == pytest.approx(float(bound(side, price)), abs=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_a_vertex_reaches_the_bound_and_is_what_answers_come_to(seed):
    side = random_side(seed)
    price = random_price(seed)
    plan, cost = jax.jit(vertex)(side, price)
    assert float(cost + price @ plan) == pytest.approx(float(bound(side, price)), abs=1e-12)
    smoothed = answer(side, price, jnp.asarray(1e-6)).plan
    np.testing.assert_allclose(plan, smoothed, atol=1e-9)


def test_closed_nodes_and_empty_columns_carry_nothing():
    side = random_side(3)
    seen = answer(side, random_price(3), jnp.asarray(0.1))
    assert float(seen.plan[-1]) == 0.0
    assert float(seen.unserved[0]) == 0.0
    for leaf in jax.tree.leaves(seen):
        assert bool(jnp.all(jnp.isfinite(leaf)))
    nothing = Side(side.cost, jnp.zeros_like(side.mass), side.outside, jnp.zeros_like(side.stock))
    seen = answer(nothing, random_price(3), jnp.asarray(0.1))
    assert float(jnp.abs(seen.plan).max()) == 0.0
    assert float(seen.value) == 0.0


def whole_plan(side, seed):
    """A plan the side can live with: what it answers to some price, without its stock."""
    part = split(side, random_price(seed + 50), jnp.asarray(0.2))
    return jnp.sum(part.lane * side.mass[None, :], axis=1)


@pytest.mark.parametrize("seed", range(8))
def test_settled_flows_keep_every_constraint(seed):
    side = random_side(seed)
    plan = whole_plan(side, seed)
    near = split(side, random_price(seed), jnp.asarray(0.05))
    flows = rounding.settle(side, near, plan)
    served = jnp.sum(flows.lane, axis=0) + flows.outside
    np.testing.assert_allclose(served, side.mass, atol=1e-14)
    assert float(flows.lane.min()) >= 0.0
    assert float(flows.outside.min()) >= 0.0
    assert not bool(jnp.any((flows.lane > 0) & ~jnp.isfinite(side.cost)))
    np.testing.assert_allclose(jnp.sum(flows.lane, axis=1) + flows.short, plan + flows.used, atol=1e-12)
    assert bool(jnp.all(flows.used <= side.stock + 1e-15))


@pytest.mark.parametrize("seed", range(8))
def test_the_bracket_holds_the_exact_cost(seed):
    from scipy.optimize import linprog

    side = random_side(seed)
    plan = whole_plan(side, seed)
    bracket = living.cheapest(side, plan, jnp.asarray(1e-7))
    n, m = side.cost.shape
    cost = np.asarray(side.cost)
    open_lane = np.isfinite(cost)
    at = np.arange(n * m).reshape(n, m)
    rows = np.zeros((n + m, n * m + m + n))
    for i in range(n):
        rows[i, at[i]] = 1.0
        rows[i, n * m + m + i] = -1.0
    for j in range(m):
        rows[n + j, at[:, j]] = 1.0
        rows[n + j, n * m + j] = 1.0
    top = np.concatenate(
        [np.where(open_lane, np.inf, 0.0).ravel(), np.full(m, np.inf), np.asarray(side.stock)]
    )
    objective = np.concatenate(
        [np.where(open_lane, cost, 0.0).ravel(), np.asarray(side.outside), np.zeros(n)]
    )
    exact = linprog(
        objective, A_eq=rows, b_eq=np.concatenate([np.asarray(plan), np.asarray(side.mass)]),
        bounds=np.stack([np.zeros_like(top), top], axis=1), method="highs",
    ).fun  # fmt: skip
    assert float(bracket.lower) <= exact + 1e-9
    assert exact <= float(bracket.upper) + 1e-9
    assert float(bracket.upper - bracket.lower) <= 1e-6 * exact


def test_sinkhorn_sweeps_end_where_the_plan_is_answered():
    """The price that answers a plan is a fixed point, and sweeps come back to it from nearby."""
    side = random_side(1, stock=False, holes=False)
    side = Side(side.cost, side.mass, side.outside * 0.3, side.stock)  # an outside option worth its while
    epsilon, price = jnp.asarray(0.3), random_price(1)
    plan = answer(side, price, epsilon).plan
    np.testing.assert_allclose(sinkhorn.sweep(side, plan, price, epsilon), price, atol=1e-12)
    nearby = sinkhorn.sweeps(side, plan, price + 0.2, epsilon, 2_000)
    np.testing.assert_allclose(answer(side, nearby, epsilon).plan, plan, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_proximal_answer_is_best_among_its_neighbours(seed):
    """Optimality, by the exact cost of living with the answer and with plans around it."""
    side = random_side(seed, stock=False)
    price, proposal, rho = random_price(seed), whole_plan(side, seed), jnp.asarray(3.0)
    epsilon = jnp.asarray(1e-4)
    memory = proximal.Memory(jnp.zeros_like(price), jnp.zeros((), jnp.int32))
    for _ in range(3):  # an answer has so many rounds and no more; the next goes on where it stood
        plan, memory = proximal.respond(side, price, proposal, rho, epsilon, memory, jnp.asarray(1e-10))
    assert int(memory.rounds) < 3 * proximal.MAX_ROUNDS

    def objective(x):
        cost = living.cheapest(side, x, jnp.asarray(1e-8)).lower
        return float(cost + jnp.vdot(price, x) + 0.5 * rho * jnp.sum((x - proposal) ** 2))

    best = objective(plan)
    for other in range(6):
        rival = 0.9 * plan + 0.1 * whole_plan(side, 7 * seed + other)
        assert best <= objective(rival) + 2e-4


def test_a_path_resumes_at_a_tighter_target():
    side = random_side(2)
    plan = whole_plan(side, 2)
    side = living.closed_where_idle(side, plan)
    seen = living.evaluate(side, plan)
    ended = path.follow(seen, living.begin(side, plan), jnp.asarray(1e-3), 150)
    again = path.follow(seen, path.resume(ended), jnp.asarray(1e-3), 300)
    assert bool(ended.done & again.done)
    assert float(again.gap) < float(ended.gap)
    assert float(again.gap) <= 1e-4 * float(seen(again.price, again.epsilon).spend)
