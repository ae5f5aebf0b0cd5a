"""The proximal answer, proved best by weak duality, on sides with every kind of node.

For every inner price `q`, with `y = proposal + (q - price) / rho`,

    bound(q) + rho/2 (|proposal|^2 - |y|^2) <= cost(x) + price @ x + rho/2 |x - proposal|^2

for every plan `x >= 0` (where there is stock, `y` is cut at zero). So the answer and the inner price
behind it bracket the best, and the distance between them is all that smoothing and accuracy leave.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jaxcpp.transport import kernels, living, proximal
from jaxcpp.transport.side import Side, answer, bound
from tests.transport.sides import random_side, stacked

COUNT = 32
STAGES = 6


@partial(jax.jit, static_argnums=0)
@partial(jax.vmap, in_axes=(None, 0, 0, 0, 0, 0))
def respond(door: bool, side: Side, price: Array, proposal: Array, rho: Array, epsilon: Array):
    """The answer, and what it and its inner price prove; the smoothing is lowered in stages.

    Through the door to the native kernels, where it is open, or past it.
    """

    def ask(epsilon: Array, memory: proximal.Memory, accuracy: float) -> tuple[Array, proximal.Memory]:
        if door:
            return proximal.respond(side, price, proposal, rho, epsilon, memory, jnp.asarray(accuracy))
        held = proximal.evaluate(side, price, proposal, rho)
        return proximal.follow(side, held, epsilon, memory, jnp.asarray(accuracy))

    def stage(number: int, memory: proximal.Memory) -> proximal.Memory:
        return ask(epsilon * 4.0 ** (STAGES - number), memory, 1e-6)[1]

    near = jax.lax.fori_loop(0, STAGES, stage, proximal.Memory(price, jnp.zeros((), jnp.int32)))
    plan, memory = ask(epsilon, near, 1e-10)
    again, warm = ask(epsilon, memory, 1e-10)
    held = proposal + (memory.price - price) / rho
    held = jnp.where((held > 0.0) | (side.stock <= 0.0), held, 0.0)
    lower = bound(side, memory.price) + 0.5 * rho * (jnp.vdot(proposal, proposal) - jnp.vdot(held, held))
    bracket = living.cheapest(side, plan, jnp.asarray(1e-9))
    upper = bracket.upper + jnp.vdot(price, plan) + 0.5 * rho * jnp.sum((plan - proposal) ** 2)
    imbalance = jnp.sum(jnp.abs(answer(side, memory.price, epsilon).plan - held))
    return plan, again, lower, upper, imbalance, memory.rounds - near.rounds, warm.rounds - memory.rounds


@pytest.mark.parametrize("epsilon", [1e-2, 1e-4])
@pytest.mark.parametrize("rho", [0.5, 20.0])
@pytest.mark.parametrize("door", [False, True], ids=["past the door", "through the door"])
def test_no_plan_is_better_by_more_than_the_smoothing(epsilon, rho, door):
    if door and not kernels.usable(jnp.zeros(())):
        pytest.skip(f"native kernels: {kernels.shut()}")
    rng = np.random.default_rng(0)
    sides = [random_side(seed) for seed in range(COUNT)]
    side = stacked(sides)
    nodes = side.cost.shape[1]
    price = rng.uniform(-1.0, 1.0, (COUNT, nodes))
    proposal = rng.uniform(0.0, 0.4, (COUNT, nodes))
    full = np.full(COUNT, 1.0)
    plan, again, lower, upper, imbalance, rounds, more = respond(
        door, side, price, proposal, rho * full, epsilon * full
    )
    assert (imbalance <= 1e-9).all(), imbalance
    assert (plan >= 0.0).all()
    # What smoothing costs: epsilon times the entropy of every private node, and of stock used or not.
    mass = side.mass.sum(axis=1) * np.log(nodes + 1.0) + side.stock.sum(axis=1) * np.log(2.0)
    off = 1e-8 * (1.0 + np.abs(upper))
    assert (lower <= upper + off).all()
    assert (upper - lower <= epsilon * mass + off).all(), np.max((upper - lower) / (epsilon * mass))
    # From its own memory the answer is the same, and costs a look or two.
    np.testing.assert_allclose(again, plan, atol=1e-9)
    assert (more <= 2).all()
    assert (rounds < proximal.MAX_ROUNDS).all(), rounds


def test_a_stiff_proposal_is_kept_and_a_soft_one_is_not():
    """As rho grows the answer goes to the proposal; as it vanishes, to the best plan at the price."""
    side = random_side(5, stock=False)
    nodes = side.cost.shape[0]
    price, proposal = jnp.asarray(np.random.default_rng(5).uniform(-1.0, 1.0, nodes)), jnp.full(nodes, 0.2)
    epsilon = jnp.asarray(0.05)

    def at(rho: float) -> jax.Array:
        cold = proximal.Memory(price, jnp.zeros((), jnp.int32))
        return proximal.respond(side, price, proposal, jnp.asarray(rho), epsilon, cold, jnp.asarray(1e-11))[0]

    best = answer(side, price, epsilon).plan
    np.testing.assert_allclose(at(1e-6), best, atol=1e-4)
    far, near = (float(jnp.max(jnp.abs(at(rho) - proposal)[:-1])) for rho in (1.0, 1e4))
    assert near < 1e-3 < far
