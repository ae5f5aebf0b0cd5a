"""Derivatives of what a search has found, by the implicit function theorem: no round is unrolled.

Where the imbalance `F(price, params)` of a smoothed dual is nought, `d price = slope^-1 dF/dparams d params`:
one evaluation and one factor of the slope that the search itself uses, however many rounds it took. The
rules are written for forward mode in operations that JAX transposes, so reverse mode and `vmap` follow.

Source: Blondel et al., Efficient and Modular Implicit Differentiation, arXiv:2105.15183; for transport,
Cuturi et al., Optimal Transport Tools, arXiv:2201.12324.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcpp.transport import path

RIDGE = 4.0
"""Of rounding error and the number of nodes: what keeps the factor of a flat direction sound."""
REFINEMENTS = 2
"""Solves again for what the ridge has left over."""
ACCURACY = {8: 1e-11, 4: 1e-5}
"""Imbalance of a volume of 1 at which `search` ends, by bytes of a number; one Newton step follows."""
MAX_ROUNDS = 300

Params = tuple[Any, ...]
Family = Callable[..., path.Evaluate]
"""From parameters to a smoothed dual: `newton.evaluate`, `tolled.evaluate`, `living.evaluate`."""

Value = TypeVar("Value")


def search(evaluate: path.Evaluate, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> path.PathState:
    """Follow the central path from `price` down to the smoothing `epsilon`, and there to the very optimum.

    In scaled units (mass 1, costs of order 1). `path.reached` of what comes back is the optimal price.
    """

    def at(trial: Float[Array, " n"], smoothing: Float[Array, ""]) -> path.Evaluation:
        seen = evaluate(trial, jnp.maximum(smoothing, epsilon))
        # The path ends where nothing is left to prove: above the last smoothing, there is.
        above = jnp.maximum(smoothing - epsilon, 0.0)
        return eqx.tree_at(
            lambda e: (e.bias, e.bound, e.spend), seen, (above, seen.value, jnp.ones_like(seen.value))
        )

    begun = path.start(price, jnp.maximum(epsilon, path.FIRST_EPSILON))
    accuracy = jnp.asarray(ACCURACY[price.dtype.itemsize], price.dtype)
    return path.follow(at, begun, accuracy, MAX_ROUNDS)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def optimum(
    family: Family, params: Params, price: Float[Array, " n"], epsilon: Float[Array, ""]
) -> Float[Array, " n"]:
    """`price`, known to be optimal for `family(*params)` at smoothing `epsilon`, as a function of `params`.

    May be differentiated again. Neither `price` nor `epsilon` carries a derivative.
    """
    del family, params, epsilon
    return price


@optimum.defjvp
def _optimum_moves(family: Family, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    params, found, epsilon = primals
    price = optimum(family, params, found, epsilon)

    def imbalance(moved: Params) -> Float[Array, " n"]:
        return family(*moved)(price, epsilon).gradient

    _, change = jax.jvp(imbalance, (params,), (tangents[0],))
    return price, solve(family(*params)(price, epsilon).slope, change)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def attached(derivative: Callable[[Params, Any], Value], value: Value, params: Params, held: Any) -> Value:
    """`value`, with the derivative of `derivative(params, held)` with respect to `params` as its own.

    For what a search found on numbers without derivatives; nothing is computed until one is asked for.
    """
    del derivative, params, held
    return value


@attached.defjvp
def _attached_moves(
    derivative: Callable[[Params, Any], Value], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> Any:
    value, params, held = primals
    _, change = jax.jvp(lambda moved: derivative(moved, held), (params,), (tangents[1],))
    return value, change


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def refused(words: str, tree: Value) -> Value:
    """`tree`, of which nothing may be differentiated: that raises NotImplementedError(words)."""
    del words
    return tree


@refused.defjvp
def _refused_moves(words: str, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    raise NotImplementedError(words)


def solve(slope: Any, right: Float[Array, " n"]) -> Float[Array, " n"]:
    """`slope^-1 right`, the slope a matrix; no step at a node that nothing moves, or without a factor."""
    diagonal = jnp.diagonal(slope)
    moves = diagonal > 0.0
    scale = jnp.where(moves, jax.lax.rsqrt(jnp.where(moves, diagonal, 1.0)), 0.0)
    unit = jnp.where(moves, 0.0, 1.0)
    scaled = slope * scale[:, None] * scale[None, :] + jnp.diag(unit)
    ridge = RIDGE * diagonal.shape[0] * float(jnp.finfo(diagonal.dtype).eps)
    eye = jnp.eye(diagonal.shape[0], dtype=diagonal.dtype)
    factor = jnp.linalg.cholesky(scaled + ridge * eye)
    # A factor of no number would spoil even what is multiplied by nought afterwards.
    sound = jnp.all(jnp.isfinite(factor))
    factor, scaled = jnp.where(sound, factor, eye), jnp.where(sound, scaled, eye)
    wanted = jnp.where(sound, right * scale, 0.0)
    found = jnp.zeros_like(wanted)
    for _ in range(1 + REFINEMENTS):
        found = found + jax.scipy.linalg.cho_solve((factor, True), wanted - scaled @ found)
    return found * scale


def still(tree: Any) -> Any:
    """The same numbers without derivatives."""
    return jax.lax.stop_gradient(tree)
