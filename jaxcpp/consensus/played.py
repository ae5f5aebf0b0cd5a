"""Rounds between two agents that the platform runs, in one native call: the twin of `admm.advance`.

The kernel asks each side as anybody would, and coordinates by its answers alone; what is stated of the plan
is proven by `admm.turn`, in JAX, as ever.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxcpp.agents.transport_agent import TransportAgent
from jaxcpp.consensus.admm import AdmmState
from jaxcpp.consensus.reflections import Learned
from jaxcpp.transport import kernels
from jaxcpp.transport.proximal import Memory

ROWS = 11
"""Vectors of a state: the kernel's `core.h` says in which order."""


def play(
    retailer: TransportAgent,
    supplier: TransportAgent,
    state: AdmmState,
    last_epsilon: Float[Array, ""],
    rounds: Int[Array, ""],
) -> AdmmState:
    """Where the protocol stands so many rounds later."""
    both = jnp.stack([state.taking.slope, state.shipping.slope])
    numbers, both = kernels.play(retailer.side, supplier.side, packed(state), both, last_epsilon, rounds)
    ended = unpacked(numbers, both, state)
    return eqx.tree_at(lambda s: s.rounds, ended, state.rounds + rounds)


def packed(state: AdmmState) -> Float[Array, " k"]:
    """All of a state but what was learned, as the kernel lays it out."""
    one, other, buys, ships = state.taking, state.shipping, state.retailer, state.supplier
    vectors = [
        state.proposal, state.price, state.plan, state.left, one.asked, one.heard, other.asked, other.heard,
        buys.price, ships.price,
    ]  # fmt: skip
    scalars = [
        state.rho, state.epsilon, state.residual, state.left_epsilon, one.known, other.known,
        buys.rounds, ships.rounds, state.stage,
    ]  # fmt: skip
    return jnp.concatenate([*vectors, jnp.stack([each.astype(state.price.dtype) for each in scalars])])


def unpacked(numbers: Float[Array, " k"], slopes: Float[Array, "2 n n"], like: AdmmState) -> AdmmState:
    """The state that `packed` has packed; its rounds and whether it is done are those of `like`."""
    nodes = slopes.shape[-1]
    rows, scalars = numbers[: ROWS * nodes].reshape(ROWS, nodes), numbers[ROWS * nodes :]
    rho, epsilon, residual, left_epsilon = scalars[:4]
    known, looks = scalars[4:6] != 0.0, scalars[6:8].astype(jnp.int32)
    return AdmmState(
        proposal=rows[0], price=rows[1], plan=rows[2], rho=rho, epsilon=epsilon, residual=residual,
        stage=scalars[8].astype(jnp.int32),
        taking=Learned(slopes[0], rows[5], rows[6], known[0]),
        shipping=Learned(slopes[1], rows[7], rows[8], known[1]),
        left=rows[3:5].reshape(-1), left_epsilon=left_epsilon,
        retailer=Memory(rows[9], looks[0]), supplier=Memory(rows[10], looks[1]),
        rounds=like.rounds, done=like.done,
    )  # fmt: skip
