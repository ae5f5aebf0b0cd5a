"""The one door to the native kernels: who may pass, and what goes through it.

The kernels search for a price much faster than XLA's batches do, because they can skip what carries
nothing, and because no contract waits for another; flows at that price they settle as well. They
are not trusted: flows are checked against every constraint (`rounding.checked`), and what they cost and what
the price proves is computed here, as for a path of `path.follow`, which serves wherever the door is shut.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.transport.path import PathState, begin_again
from jaxcpp.transport.side import Side
from jaxcpp.transport.through import Settled

SWITCH = "JAXCPP_KERNELS"
"""Environment variable: `off` keeps the door shut."""


@functools.cache
def shut() -> str:
    """Why the kernels are not used, in one sentence; empty where they are."""
    if os.environ.get(SWITCH, "on").lower() in {"off", "0", "false"}:
        return f"{SWITCH} is off"
    if importlib.util.find_spec("jaxcpp_kernels") is None:
        return "the package jaxcpp_kernels is not installed"
    import jaxcpp_kernels

    return jaxcpp_kernels.why_not() or jaxcpp_kernels.why_not(platform())


def platform() -> str:
    """The platform of JAX's default devices; of the two kinds of "gpu", which one."""
    backend = jax.default_backend()
    if backend != "gpu":
        return backend
    return "rocm" if "rocm" in jax.devices()[0].client.platform_version.lower() else "cuda"


def usable(like: Any) -> bool:
    """Whether problems with numbers like these may go through the door."""
    return like.dtype == jnp.float64 and not shut()


def playable(like: Any) -> bool:
    """Whether rounds between two sides may be played behind the door: on a CPU only."""
    return usable(like) and platform() == "cpu"


def follow_living(
    side: Side, plan: Float[Array, " n"], state: PathState, tolerance: Float[Array, ""], max_rounds: int
) -> tuple[PathState, Float[Array, "n m"]]:
    """The twin of `path.follow` on `living.evaluate`; and flows for `plan` [units]."""
    import jaxcpp_kernels as native

    found = native.solve_living(
        _private(side), plan, state.price, epsilon=state.epsilon, tolerance=tolerance, strict=state.strict,
        max_rounds=jnp.where(state.done, 0, max_rounds - state.rounds).astype(jnp.int32), flows=True,
    )  # fmt: skip
    assert found.flows is not None  # asked for
    return _merged(state, found, state.done), found.flows.taken


def follow_joint(
    retailer: Side,
    supplier: Side,
    lost_margin: Float[Array, " m"],
    unit_margin: Float[Array, ""],
    state: PathState,
    tolerance: Float[Array, ""],
    max_rounds: Int[Array, ""],
) -> tuple[PathState, Settled]:
    """The twin of `path.follow` on the sum of both sides, the second at the negative price.

    Of `through.follow`, where contracts are smaller when joined. With the plan and flows that it names at the
    price reached.
    """
    import jaxcpp_kernels as native

    found = native.solve_path(
        _private(retailer)._replace(lost_margin=lost_margin),
        _private(supplier)._replace(unit_margin=unit_margin),
        state.price, epsilon=state.epsilon, tolerance=tolerance, strict=state.strict,
        max_rounds=jnp.where(state.done, 0, max_rounds - state.rounds).astype(jnp.int32), flows=True,
    )  # fmt: skip
    assert found.flows is not None  # asked for
    return _merged(state, found, state.done), Settled(*found.flows)


def respond(
    side: Side,
    price: Float[Array, " n"],
    proposal: Float[Array, " n"],
    rho: Float[Array, ""],
    epsilon: Float[Array, ""],
    start: Float[Array, " n"],
    accuracy: Float[Array, ""],
    max_rounds: int,
) -> tuple[Float[Array, " n"], Float[Array, " n"], Int[Array, ""]]:
    """The twin of `path.follow` on `proximal.evaluate`: a plan, the node price behind it, and rounds."""
    import jaxcpp_kernels as native

    return native.respond(
        _private(side), price, proposal, start,
        rho=rho, epsilon=epsilon, accuracy=accuracy, max_rounds=max_rounds,
    )  # fmt: skip


def play(
    retailer: Side,
    supplier: Side,
    numbers: Float[Array, " k"],
    slopes: Float[Array, "2 n n"],
    last_epsilon: Float[Array, ""],
    rounds: Int[Array, ""],
) -> tuple[Float[Array, " k"], Float[Array, "2 n n"]]:
    """The twin of some rounds of `consensus.admm.advance`: where both sides stand then, as it packs that."""
    import jaxcpp_kernels as native

    begun, sides = native.Stand(numbers, slopes), (_private(retailer), _private(supplier))
    return native.play(*sides, begun, last_epsilon=last_epsilon, rounds=rounds)


def _private(side: Side):  # type: ignore[no-untyped-def]  # a type of the optional package
    import jaxcpp_kernels as native

    return native.Side(side.cost, side.mass, side.outside, side.stock)


def _merged(state: PathState, found, done: Bool[Array, ""]) -> PathState:  # type: ignore[no-untyped-def]
    """The state of a path that begins where the kernel ended: its price is yet to be looked at."""
    fresh = begin_again(state, found.price, found.epsilon)
    return eqx.tree_at(
        lambda s: (s.gap, s.rounds, s.done),
        fresh,
        (found.gap, state.rounds + found.rounds, done | found.done),
    )
