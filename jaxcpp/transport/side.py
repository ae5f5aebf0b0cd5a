"""One agent's private transport problem, seen from the public nodes.

Units flow between *public* nodes (inbound node and week, index `i`, the plan) and *private* ones:
the retailer's demand (region and week) or the supplier's sources (source and week), index `j`.
Both sides have the same form, so one set of formulas serves both:

    cost of plan x  =  min  sum_ij cost_ij P_ij + sum_j outside_j o_j
                       s.t. sum_i P_ij + o_j = mass_j          (each private node, exactly)
                            sum_j P_ij       = x_i + v_i       (each public node)
                            0 <= v_i <= stock_i                (units already there, free)

`o_j` is what private node `j` does without the public nodes: demand lost, capacity left idle, a
shelf left empty. With an entropic weight `epsilon` the private side has a closed form, a Sinkhorn
half-sweep, and what is left is a smooth concave function of the price at the public nodes (the
semi-dual). Source: arXiv:2605.16695 eq. 12-19; Peyré and Cuturi, Computational Optimal Transport
(2019), section 4.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# exp(-1000) is exactly zero in either precision, and 0 * -1000 is zero where 0 * -inf is no number.
FLOOR = -1000.0


class Side(eqx.Module):
    """An agent's private problem with `n` public and `m` private nodes.

    A padded or closed public node has only missing lanes and no stock; a padded private node has
    no mass. Neither carries anything, whatever its price.
    """

    cost: Float[Array, "n m"]  # currency / unit; inf = missing lane
    mass: Float[Array, " m"]  # units
    outside: Float[Array, " m"]  # currency / unit, finite
    stock: Float[Array, " n"]  # units at the public node that cost nothing and need not be used


def with_costs_held(side: Side) -> Side:
    """The same side, its units with derivatives and its costs without."""
    held = jax.lax.stop_gradient((side.cost, side.outside))
    return eqx.tree_at(lambda s: (s.cost, s.outside), side, held)


class Answer(eqx.Module):
    """What a side answers to a price: `max_x u(x) - price @ x`, smoothed by `epsilon`.

    `plan` is the best plan, `slope` is `-d plan / d price`, `drift` is `d plan / d epsilon`;
    `value` is the smoothed dual value, `bias` what the smoothing hides (so that `value + bias` is
    the cost of the answered flows plus `price @ plan`), and `bound` the exact dual value
    (the c-transform), a lower bound on `cost(x) + price @ x` over all plans `x`.
    """

    value: Float[Array, ""]  # currency
    bias: Float[Array, ""]  # currency
    bound: Float[Array, ""]  # currency
    plan: Float[Array, " n"]  # units
    slope: Float[Array, "n n"]  # units / (currency / unit)
    escape: Float[Array, " n"]  # the slope's row sums, which are never negative, exactly
    drift: Float[Array, " n"]  # units / (currency / unit)
    unserved: Float[Array, " m"]  # units that took the outside option


class Split(eqx.Module):
    """How each private node splits its mass over the public nodes and its outside option."""

    lane: Float[Array, "n m"]  # with `away`, sums to one over a column
    away: Float[Array, " m"]


def exponents(
    side: Side, price: Float[Array, " n"], epsilon: Float[Array, ""]
) -> tuple[Float[Array, "n m"], Float[Array, " m"], Float[Array, " m"]]:
    """Exponents of each column's softmin, zero at its best option, and that option's cost.

    That cost has no derivative: it is a mere reference, and what is made of the exponents does not change
    when all options of a column do. (A minimum's own derivative divides by how many options equal it, and
    XLA may compute both sides of that comparison differently: by none, then.)
    """
    paid = side.cost + price[:, None]
    best = jax.lax.stop_gradient(jnp.minimum(jnp.min(paid, axis=0), side.outside))
    per = 1.0 / epsilon
    lane = jnp.maximum((best[None, :] - paid) * per, FLOOR)
    return lane, jnp.maximum((best - side.outside) * per, FLOOR), best


def split(side: Side, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Split:
    """The Sinkhorn half-sweep: every private node's softmin over its lanes at these prices."""
    lane_exponent, away_exponent, _ = exponents(side, price, epsilon)
    lane, away = jnp.exp(lane_exponent), jnp.exp(away_exponent)
    total = jnp.sum(lane, axis=0) + away
    return Split(lane / total[None, :], away / total)


def answer(side: Side, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> Answer:
    """The smoothed best answer to a price [currency / unit], with value, slope and bounds.

    One pass over the lanes; `epsilon` [currency / unit] must be positive.
    """
    exponent, away_exponent, best = exponents(side, price, epsilon)
    weight, away = jnp.exp(exponent), jnp.exp(away_exponent)
    # Both matrices are read several times below: without the barrier XLA computes them each time.
    weight, weighted = jax.lax.optimization_barrier((weight, weight * exponent))
    total = jnp.sum(weight, axis=0) + away
    mean = (jnp.sum(weighted, axis=0) + away * away_exponent) / total
    log_total = jnp.log(total)
    per = side.mass / total
    shipped, spread, escaping = (weight @ jnp.stack([per, per * mean, per * away / total], axis=1)).T
    # Stock at a public node chooses between being used (worth the price) and staying (worth 0).
    per_epsilon = 1.0 / epsilon
    pull = price * per_epsilon
    chance = jax.nn.sigmoid(pull)
    softened = jax.nn.softplus(pull)
    bend = side.stock * chance * (1.0 - chance) * per_epsilon
    some = side.mass > 0.0  # a root has no derivative at nought
    root = jnp.where(some, jnp.sqrt(jnp.where(some, side.mass, 1.0)), 0.0) / total
    return Answer(
        value=jnp.sum(side.mass * (best - epsilon * log_total)) - epsilon * jnp.sum(side.stock * softened),
        bias=epsilon * jnp.sum(side.mass * (log_total - mean))
        + epsilon * jnp.sum(side.stock * (softened - pull * chance)),
        bound=bound(side, price),
        plan=shipped - side.stock * chance,
        slope=_laplacian(weight * root[None, :], escaping) * per_epsilon + jnp.diag(bend),
        escape=escaping * per_epsilon + bend,
        drift=(spread - weighted @ per) * per_epsilon + bend * pull,
        unserved=side.mass * away / total,
    )


def _laplacian(root: Float[Array, "n m"], escaping: Float[Array, " n"]) -> Float[Array, "n n"]:
    """`diag(shipped) - root @ root.T`, with the diagonal summed from what it is made of.

    Where nearly all of a node's flow is decided, the difference of the two would be rounding error;
    the sum of a row's other entries, and of what could take the outside option, is exact.
    """
    gram = root @ root.T
    others = gram * (1.0 - jnp.eye(gram.shape[0], dtype=gram.dtype))
    return jnp.diag(jnp.sum(others, axis=1) + escaping) - others


def bound(side: Side, price: Float[Array, " n"]) -> Float[Array, ""]:
    """The exact dual value at a price [currency]: `<= cost(x) + price @ x` for every plan `x`."""
    best = jnp.minimum(jnp.min(side.cost + price[:, None], axis=0), side.outside)
    return jnp.sum(side.mass * best) - jnp.sum(side.stock * jnp.maximum(price, 0.0))


def vertex(side: Side, price: Float[Array, " n"]) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """A plan that is best at a price, exactly, and its cost [currency]: `cost + price @ plan = bound`.

    Every private node takes its cheapest option; among equals the outside one, then the first lane.
    """
    paid = side.cost + price[:, None]
    lane = jnp.argmin(paid, axis=0)
    through = jnp.min(paid, axis=0) < side.outside
    taken = jnp.where(through, side.mass, 0.0)
    at = jnp.where(through, jnp.take_along_axis(side.cost, lane[None, :], axis=0)[0], side.outside)
    used = jnp.where(price > 0.0, side.stock, 0.0)
    return jnp.zeros_like(price).at[lane].add(taken) - used, jnp.vdot(at, side.mass)
