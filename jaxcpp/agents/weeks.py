"""Space and time: what a unit costs from one node and week to another (arXiv:2605.16695 section 2.1, 7).

Public nodes are numbered `inbound * weeks + week`. Cost is space plus time, so lanes are kept per
inbound node and spread over weeks only when a side is built.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def delivery_cost(
    unit_cost: Float[Array, "i m"],
    needed: Int[Array, " m"],
    weeks: int,
    holding: Float[Array, ""],
    backlog: Float[Array, ""],
) -> Float[Array, "n m"]:
    """From every public node to every demand entry [currency / unit]; inf = not allowed.

    A unit that arrives early is held, one that arrives late is backlogged.
    """
    early = (needed[None, :] - jnp.arange(weeks, dtype=jnp.int32)[:, None]).astype(unit_cost.dtype)
    held = holding * jnp.maximum(early, 0.0)
    late = jnp.where(early < 0.0, backlog, 0.0) * jnp.where(early < 0.0, -early, 1.0)
    cost = unit_cost[:, None, :] + (held + late)[None, :, :]
    return cost.reshape(-1, unit_cost.shape[1])


def shipping_cost(
    unit_cost: Float[Array, "k i"], weeks: int, holding: Float[Array, ""]
) -> Float[Array, "n km"]:
    """From every source and week of production to every public node [currency / unit].

    A vendor may build early and hold, never late. Columns are numbered `source * weeks + week`.
    """
    week = jnp.arange(weeks).astype(unit_cost.dtype)
    wait = week[:, None] - week[None, :]  # delivery week, production week
    time = jnp.where(wait >= 0.0, holding * jnp.maximum(wait, 0.0), jnp.inf)
    cost = unit_cost.T[:, None, :, None] + time[None, :, None, :]
    sources, inbound = unit_cost.shape
    return cost.reshape(inbound * weeks, sources * weeks)


def lag(needed: Int[Array, " m"], inbound: int, weeks: int) -> Int[Array, "n m"]:
    """Weeks between delivery at a public node and the demand it serves, early or late."""
    return jnp.tile(jnp.abs(needed[None, :] - jnp.arange(weeks, dtype=jnp.int32)[:, None]), (inbound, 1))
