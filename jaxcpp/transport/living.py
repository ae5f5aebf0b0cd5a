"""What living with a given plan costs one side, bracketed from both sides (arXiv:2605.16695 eq. 12-19).

The semi-dual with the plan as a fixed marginal: maximize `value(price) - price @ plan`. The price it
ends at is the side's marginal value of one more unit at each node.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxcpp.transport import implicit, kernels, path, rounding, sinkhorn
from jaxcpp.transport.side import Side, answer, bound, split, with_costs_held

MAX_ROUNDS = 150
MISSED = 1e-9
"""Units of a volume of 1 that flows may miss of the plan they ship."""


class Bracket(eqx.Module):
    """`lower <= cheapest cost <= upper` [currency]; `flows` reach `upper`, `price` proves `lower`."""

    lower: Float[Array, ""]
    upper: Float[Array, ""]
    price: Float[Array, " n"]  # currency / unit
    flows: rounding.Flows
    rounds: Int[Array, ""]


class _Search(eqx.Module):
    """Where the search for a bracket stands, and the best so far."""

    state: path.PathState
    bracket: Bracket
    width: Float[Array, ""]  # of the bracket; inf where its flows miss units
    far: Bool[Array, ""]  # has it begun again?
    ended: Bool[Array, ""]


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


def begin(
    side: Side, plan: Float[Array, " n"], epsilon: float | Float[Array, ""] | None = None
) -> path.PathState:
    """A path from the price that a few Sinkhorn sweeps reach at the first smoothing."""
    first = jnp.asarray(path.FIRST_EPSILON if epsilon is None else epsilon, plan.dtype)
    return path.start(sinkhorn.sweeps(side, plan, jnp.zeros_like(plan), first, 3), first)


def farthest(side: Side) -> Float[Array, ""]:
    """A smoothing for prices that must go as far as the dearest lane or outside option [currency / unit]."""
    lanes = jnp.where(jnp.isfinite(side.cost) & (side.mass > 0.0)[None, :], jnp.abs(side.cost), 0.0)
    most = jnp.maximum(jnp.max(lanes), jnp.max(jnp.where(side.mass > 0.0, jnp.abs(side.outside), 0.0)))
    return path.FIRST_EPSILON * jnp.maximum(most, 1.0)


def conclude(
    side: Side, plan: Float[Array, " n"], state: path.PathState, named: Float[Array, "n m"] | None = None
) -> Bracket:
    """Round the flows at the path's end, or take those that were `named` [units], and prove the bracket."""
    price = path.reached(state)
    if named is None:
        flows = rounding.settle(side, split(side, price, state.epsilon), plan)
    else:
        flows = rounding.checked(side, named, plan)
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
    """As `cheapest`; where `skip`, no more than a first guess, at no cost.

    A path whose bracket comes out too wide goes on at a tighter target, and one that is lost begins once
    more from a smoothing as large as its costs: what must be served and cannot be is priced far off. Flows
    move with units by the implicit function theorem, and with costs not at all: so do cheapest flows, but
    where two are as cheap.
    """
    held, fixed = implicit.still((side, plan))
    found, epsilon = _search(held, fixed, tolerance, skip)
    whole, side = side, closed_where_idle(side, plan)
    flows, lower, upper = implicit.attached(
        _moves, (found.flows, found.lower, found.upper), (side, plan), (found.flows, found.price, epsilon)
    )
    bracket = eqx.tree_at(lambda b: (b.flows, b.lower, b.upper), found, (flows, lower, upper))
    return eqx.tree_at(lambda b: b.price, bracket, _priced_where_idle(whole, side, bracket.price))


def _search(
    side: Side, plan: Float[Array, " n"], tolerance: Float[Array, ""], skip: Bool[Array, ""]
) -> tuple[Bracket, Float[Array, ""]]:
    """The bracket, and the smoothing its path has ended at."""
    side = closed_where_idle(side, plan)
    begun = eqx.tree_at(lambda s: s.done, begin(side, plan), skip)
    missed = max(MISSED, 32.0 * float(jnp.finfo(plan.dtype).eps))

    def search(state: path.PathState) -> tuple[path.PathState, Float[Array, "n m"] | None]:
        if kernels.usable(plan):
            return kernels.follow_living(side, plan, state, tolerance, MAX_ROUNDS)
        return path.follow(evaluate(side, plan), state, tolerance, MAX_ROUNDS), None

    def going(now: _Search) -> Bool[Array, ""]:
        return ~now.ended

    def prove(now: _Search) -> _Search:
        state, named = search(now.state)
        bracket = conclude(side, plan, state, named)
        width = jnp.where(jnp.sum(bracket.flows.short) > missed, jnp.inf, bracket.upper - bracket.lower)
        better = ~(width > now.width)
        bracket = jax.tree.map(lambda a, b: jnp.where(better, a, b), bracket, now.bracket)
        width = jnp.minimum(width, now.width)
        wide = (width > tolerance * jnp.maximum(jnp.abs(bracket.upper), 1e-6)) & ~skip
        again = wide & state.done & (state.strict > path.TIGHTEST) & (state.rounds < MAX_ROUNDS)
        lost = wide & ~again & ~now.far
        state = path.choose(
            again, path.resume(state), path.choose(lost, begin(side, plan, farthest(side)), state)
        )
        return _Search(state, bracket, width, now.far | lost, ~again & ~lost)

    shapes = jax.eval_shape(lambda state: conclude(side, plan, state), begun)
    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    no, unknown = jnp.zeros((), bool), jnp.asarray(jnp.inf, plan.dtype)
    ended = jax.lax.while_loop(going, prove, _Search(begun, empty, unknown, no, no))
    return ended.bracket, ended.state.epsilon


def _moves(
    params: tuple[Side, Float[Array, " n"]],
    held: tuple[rounding.Flows, Float[Array, " n"], Float[Array, ""]],
) -> tuple[rounding.Flows, Float[Array, ""], Float[Array, ""]]:
    """What has the derivatives of the cheapest flows for a plan, and of what they cost."""
    (side, plan), (cheapest_flows, price, epsilon) = params, held
    fixed = with_costs_held(side)
    flows = rounding.smoothed(fixed, implicit.optimum(evaluate, (fixed, plan), price, epsilon), epsilon)
    cost = rounding.cost_of(side, cheapest_flows) + rounding.cost_of(fixed, flows)
    return flows, cost, cost


def _priced_where_idle(whole: Side, closed: Side, price: Float[Array, " n"]) -> Float[Array, " n"]:
    """Prices at closed nodes too: what one unit there would save. At no less, nobody would ship any."""
    best = jnp.minimum(jnp.min(closed.cost + price[:, None], axis=0), closed.outside)
    saves = jnp.max(jnp.where(whole.mass[None, :] > 0.0, best[None, :] - whole.cost, -jnp.inf), axis=1)
    idle = ~jnp.any(jnp.isfinite(closed.cost), axis=1) & jnp.isfinite(saves)
    return jnp.where(idle, saves, price)
