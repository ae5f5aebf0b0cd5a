"""Anderson acceleration of a fixed-point map, safeguarded and restartable, one round at a time.

Source: Walker and Ni, Anderson Acceleration for Fixed-Point Iterations (SIAM J. Numer. Anal., 2011).
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

MEMORY = 10
SAFEGUARD = 2.0
"""An accelerated point whose residual is more than this times the least so far is taken back."""
REGULARIZATION = 1e-10


class History(eqx.Module):
    """The last few differences of points and residuals, and the best image to fall back on."""

    points: Float[Array, "k d"]
    residuals: Float[Array, "k d"]
    point: Float[Array, " d"]
    residual: Float[Array, " d"]
    refuge: Float[Array, " d"]  # the image of the point with the least residual
    least: Float[Array, ""]
    count: Int[Array, ""]  # differences held; -1 before the first point


def empty(point: Float[Array, " d"]) -> History:
    """No past."""
    table, zero = jnp.zeros((MEMORY, point.shape[0]), point.dtype), jnp.zeros_like(point)
    least = jnp.full((), jnp.inf, point.dtype)
    return History(table, table, point, zero, point, least, jnp.full((), -1, jnp.int32))


def restart(history: History, where: Bool[Array, ""]) -> History:
    """Forget the past of the map, because the map itself has changed."""
    forgotten = jnp.full_like(history.count, -1), jnp.full_like(history.least, jnp.inf)
    kept = history.count, history.least
    fields = tuple(jnp.where(where, new, old) for new, old in zip(forgotten, kept, strict=True))
    return eqx.tree_at(lambda h: (h.count, h.least), history, fields)


def step(
    history: History, point: Float[Array, " d"], image: Float[Array, " d"]
) -> tuple[Float[Array, " d"], History]:
    """The next point to try after the map took `point` to `image`."""
    residual = image - point
    size = jnp.linalg.norm(residual)
    begun = history.count >= 0
    astray = (history.count > 0) & ~(size <= SAFEGUARD * history.least)
    points = _pushed(history.points, point - history.point, begun)
    residuals = _pushed(history.residuals, residual - history.residual, begun)
    count = jnp.where(begun, jnp.minimum(history.count + 1, MEMORY), 0)
    used = (jnp.arange(MEMORY, dtype=count.dtype) < count)[:, None]
    rows = jnp.where(used, residuals, 0.0)
    gram = rows @ rows.T
    ridge = REGULARIZATION * jnp.trace(gram) + jnp.finfo(gram.dtype).tiny
    weights = jnp.linalg.solve(gram + jnp.diag(jnp.where(used[:, 0], ridge, 1.0)), rows @ residual)
    mixed = image - weights @ jnp.where(used, points + residuals, 0.0)
    sound = jnp.all(jnp.isfinite(mixed)) & (count > 0)
    better = size < history.least
    kept = History(
        points, residuals, point, residual,
        jnp.where(better, image, history.refuge), jnp.minimum(size, history.least), count,
    )  # fmt: skip
    following = jnp.where(astray, history.refuge, jnp.where(sound, mixed, image))
    return following, restart(kept, astray)


def _pushed(
    table: Float[Array, "k d"], row: Float[Array, " d"], when: Bool[Array, ""]
) -> Float[Array, "k d"]:
    return jnp.where(when, jnp.concatenate([row[None, :], table[:-1]]), table)
