"""Anderson acceleration, safeguarded and restartable, one round at a time.

A round is a point and a residual that vanishes at the point looked for; a mixture of the last rounds is made
whose residual is the least. What to try next is the caller's to say, from the mixture: so the past stays good
where only the caller's way of stepping changes. Source: Walker and Ni, Anderson Acceleration for Fixed-Point
Iterations (SIAM J. Numer. Anal., 2011), with residuals kept apart from steps.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

MEMORY = 10
SAFEGUARD = 2.0
"""A round whose residual is more than this times the least so far is taken back."""
REGULARIZATION = 1e-4
"""Of each difference's square: answers are only so accurate, and what they say holds only so far."""


class History(eqx.Module):
    """The last few differences of points and residuals, and the best round to fall back on."""

    points: Float[Array, "k d"]
    residuals: Float[Array, "k d"]
    point: Float[Array, " d"]
    residual: Float[Array, " d"]
    refuge: Float[Array, "2 d"]  # point and residual of the round with the least residual
    least: Float[Array, ""]
    count: Int[Array, ""]  # differences held; -1 before the first round


def empty(point: Float[Array, " d"]) -> History:
    """No past."""
    table, zero = jnp.zeros((MEMORY, point.shape[0]), point.dtype), jnp.zeros_like(point)
    least = jnp.full((), jnp.inf, point.dtype)
    return History(table, table, zero, zero, table[:2], least, jnp.full((), -1, jnp.int32))


def restart(history: History, where: Bool[Array, ""]) -> History:
    """Forget the past, because what makes residuals of points has changed."""
    count = jnp.where(where, -1, history.count)
    return eqx.tree_at(lambda h: h.count, measure_anew(history, where), count)


def measure_anew(history: History, where: Bool[Array, ""]) -> History:
    """Forget how small residuals have been, because the scale they are measured by has changed."""
    return eqx.tree_at(lambda h: h.least, history, jnp.where(where, jnp.inf, history.least))


def step(
    history: History, point: Float[Array, " d"], residual: Float[Array, " d"], scale: Float[Array, " d"]
) -> tuple[Float[Array, " d"], Float[Array, " d"], History]:
    """Point and residual to go on from after a round, and the history; `scale` is how residuals count."""
    size = jnp.linalg.norm(residual * scale)
    begun = history.count >= 0
    astray = (history.count > 0) & ~(size <= SAFEGUARD * history.least)
    points = _pushed(history.points, point - history.point, begun)
    residuals = _pushed(history.residuals, residual - history.residual, begun)
    count = jnp.where(begun, jnp.minimum(history.count + 1, MEMORY), 0)
    used = (jnp.arange(MEMORY, dtype=count.dtype) < count)[:, None]
    weights = _weights(jnp.where(used, residuals * scale[None, :], 0.0), residual * scale)
    now = jnp.stack([point, residual])
    past = jnp.where(used[None, :, :], jnp.stack([points, residuals]), 0.0)
    mixed = now - jnp.einsum("k,akd->ad", weights, past)
    sound = jnp.all(jnp.isfinite(mixed)) & (count > 0)
    better = size < history.least
    refuge, least = jnp.where(better, now, history.refuge), jnp.minimum(size, history.least)
    following = jnp.where(astray, history.refuge, jnp.where(sound, mixed, now))
    kept = History(points, residuals, point, residual, refuge, least, count)
    return following[0], following[1], restart(kept, astray)


def _weights(rows: Float[Array, "k d"], target: Float[Array, " d"]) -> Float[Array, " k"]:
    """How much of each row makes up `target`, by least squares; nought of rows of nought."""
    gram = rows @ rows.T
    square = jnp.diagonal(gram)
    unit = jnp.where(square > 0.0, jax.lax.rsqrt(jnp.where(square > 0.0, square, 1.0)), 0.0)
    ridge = jnp.where(square > 0.0, REGULARIZATION, 1.0)
    scaled = gram * unit[:, None] * unit[None, :] + jnp.diag(ridge)
    return unit * _solved(scaled, unit * (rows @ target))


def _solved(matrix: Float[Array, "k k"], right: Float[Array, " k"]) -> Float[Array, " k"]:
    """Solution of a small positive definite system, without LAPACK: its batches wait for one another."""
    table = jnp.concatenate([matrix, right[:, None]], axis=1)
    for pivot in range(MEMORY):
        row = table[pivot] / table[pivot, pivot]
        others = jnp.arange(MEMORY) != pivot
        table = jnp.where(others[:, None], table - table[:, pivot, None] * row[None, :], row[None, :])
    return table[:, -1]


def _pushed(
    table: Float[Array, "k d"], row: Float[Array, " d"], when: Bool[Array, ""]
) -> Float[Array, "k d"]:
    return jnp.where(when, jnp.concatenate([row[None, :], table[:-1]]), table)
