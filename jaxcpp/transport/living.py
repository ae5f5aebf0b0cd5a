"""What living with a given plan costs one side, bracketed from both sides (arXiv:2605.16695 eq. 12-19).

The semi-dual with the plan as a fixed marginal: maximize `value(price) - price @ plan`. The price it
ends at is the side's marginal value of one more unit at each node.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.transport import kernels, path, rounding, sinkhorn
from jaxcpp.transport.side import Side, answer, bound, split

MAX_ROUNDS = 150


class Bracket(eqx.Module):
    """`lower <= cheapest cost <= upper` [currency]; `flows` reach `upper`, `price` proves `lower`."""

    lower: Float[Array, ""]
    upper: Float[Array, ""]
    price: Float[Array, " n"]  # currency / unit
    flows: rounding.Flows
    rounds: Int[Array, ""]


def evaluate(side: Side, plan: Float[Array, " n"]) -> path.Evaluate:
    """The smoothed dual of living with `plan` (mass 1, costs of order 1)."""

    def at(price: Float[Array, " n"], epsilon: Float[Array, ""]) -> path.Evaluation:
        seen = answer(side, price, epsilon)
        paid = jnp.vdot(price, plan)
        cost = seen.value + seen.bias - jnp.vdot(price, seen.plan)
        return path.Evaluation(
            value=seen.value - paid,
            bias=seen.bias,
            bound=seen.bound - paid,
            gradient=seen.plan - plan,
            slope=seen.slope,
            drift=seen.drift,
            spend=jnp.abs(cost),
        )

    return at


def begin(side: Side, plan: Float[Array, " n"]) -> path.PathState:
    """A path from the price that a few Sinkhorn sweeps reach at the first smoothing."""
    price = jnp.zeros_like(plan)
    return path.start(sinkhorn.sweeps(side, plan, price, jnp.asarray(path.FIRST_EPSILON, plan.dtype), 3))


def conclude(side: Side, plan: Float[Array, " n"], state: path.PathState) -> Bracket:
    """Round the flows at the path's end and prove the bracket."""
    price = path.reached(state)
    flows = rounding.settle(side, split(side, price, state.epsilon), plan)
    return Bracket(
        lower=bound(side, price) - jnp.vdot(price, plan),
        upper=rounding.cost_of(side, flows),
        price=price,
        flows=flows,
        rounds=state.rounds,
    )


def closed_where_idle(side: Side, plan: Float[Array, " n"]) -> Side:
    """The side without the public nodes that hold nothing: their prices would run away."""
    idle: Bool[Array, " n"] = (plan <= 0.0) & (side.stock <= 0.0)
    return eqx.tree_at(lambda s: s.cost, side, jnp.where(idle[:, None], jnp.inf, side.cost))


def cheapest(side: Side, plan: Float[Array, " n"], tolerance: Float[Array, ""]) -> Bracket:
    """The cheapest way to live with `plan`, to a bracket of `tolerance` times its cost."""
    return follow(side, plan, tolerance, jnp.zeros((), bool))


def follow(
    side: Side, plan: Float[Array, " n"], tolerance: Float[Array, ""], skip: Bool[Array, ""]
) -> Bracket:
    """As `cheapest`; where `skip`, no more than a first guess, at no cost."""
    side = closed_where_idle(side, plan)
    begun = eqx.tree_at(lambda s: s.done, begin(side, plan), skip)
    if kernels.usable(plan):
        ended = kernels.follow_living(side, plan, begun, tolerance, MAX_ROUNDS)
    else:
        ended = path.follow(evaluate(side, plan), begun, tolerance, MAX_ROUNDS)
    return conclude(side, plan, ended)
