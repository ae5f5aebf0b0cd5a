"""Questions to one side near a proposal, and what pure JAX answers: for the tests of every native answer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np

from jaxcpp.transport import proximal

ACCURACY = 1e-10


def questions(count, nodes, seed=0):
    """Prices, proposals, weights and prices to begin at; rho and smoothing over two decades."""
    rng = np.random.default_rng(seed)
    price, start = rng.uniform(-1.0, 1.0, (2, count, nodes))
    proposal = rng.uniform(0.0, 0.4, (count, nodes)) * (rng.random((count, nodes)) < 0.8)
    rho, epsilon = 10.0 ** rng.uniform([[-0.5], [-3.0]], [[1.5], [-1.0]], (2, count))
    return price, proposal, rho, epsilon, start


def told(side):
    return native.Side(side.cost, side.mass, side.outside, side.stock)


def ours(side, price, proposal, rho, epsilon, start, accuracy=ACCURACY, **settings):
    return native.respond(
        told(side), price, proposal, start, rho=rho, epsilon=epsilon, accuracy=accuracy, **settings
    )


@jax.jit
@jax.vmap
def twin(side, price, proposal, rho, epsilon, start):
    """The same question to pure JAX, with all the rounds it wants."""
    held = proximal.evaluate(side, price, proposal, rho)
    memory, accuracy = proximal.Memory(start, jnp.zeros((), jnp.int32)), jnp.asarray(ACCURACY)

    def again(_, now):
        return proximal.follow(side, held, epsilon, now[1], accuracy)

    plan, memory = jax.lax.fori_loop(0, 4, again, (start, memory))
    return plan, memory.price
