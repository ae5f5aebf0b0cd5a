"""Follow the central path of a smoothed dual to a certified gap: safeguarded Newton, annealed.

Maximizes a concave dual whose smoothing `epsilon` is lowered in stages. Every move is a Newton step,
with one along the path (`d price / d epsilon`, a second right-hand side for the factor already there)
where a stage is left; an Armijo test on the value judges both alike. The last smoothing is no less
than the gap asked for needs. A path ends when the gap it can prove is small, not when its steps are.

Written for one problem in scaled units (mass 1, costs of order 1); `vmap` it for many. One `advance`
is one evaluation, so a lane that is done, or that starts again, never waits for another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

FIRST_EPSILON = 0.05  # of the cost scale
SHRINK = 0.5  # epsilon from one stage to the next
LEAVE_STAGE = 0.2  # imbalance (mass 1) below which a stage may be left
CLIP = 2.0  # most a node moves of its own, in epsilon: times its reach, 1 until more has proved good
SHORT = 0.1  # of epsilon: a step that changes no flow by more than a tenth
REACH = 2.0**40  # longest: a part that hardly trades with the rest has far to go
SETTLED = 1e-4  # rise that a Newton step promises, in epsilon, below which its length is no matter
ARMIJO = 1e-4
CUT = 0.25  # of a move that was rejected
STALLED = 8  # rejections in a row after which rounding error is all that is left
TIGHTEST = 5e-4  # of the tolerance: a path whose certificate fails at a tighter target than this is given up
REPAIR_PRICE = 3.0  # what moving one unit of imbalance is expected to cost when it is rounded away
ENOUGH = 0.8  # of the target: what is proven below this needs no smaller epsilon
AIM = 0.5  # of the target: what the last epsilon is chosen for

# Of rounding error: without it the factor of a flat direction fails and takes all others with it.
RIDGE = 64.0


Back = Callable[[Float[Array, " n"], Float[Array, ""]], tuple[Float[Array, " n"], Float[Array, " n"]]]
"""From what each node adds to a step, and the most that a node may, to the step and the path's tangent."""


@runtime_checkable
class Slope(Protocol):
    """A slope with a structure of its own, where a dense matrix would be too large."""

    def __add__(self, other: Any) -> Any:
        """The slope of a sum."""
        ...

    def coupled(self, between: Any, other: Any) -> Any:
        """The slope of this and `other` in a price of their own each, with `between` on the difference."""
        ...

    def eliminate(
        self, gradient: Float[Array, " n"], drift: Float[Array, " n"]
    ) -> tuple[Float[Array, " n"], Float[Array, ""], Back]:
        """What each node adds of its own to Newton's step, the most anything else adds, and the way back."""
        ...


class Evaluation(eqx.Module):
    """The smoothed dual at one price: value, derivatives, and what can be proved from it."""

    value: Float[Array, ""]
    bias: Float[Array, ""]  # value + bias = cost of the flows + price @ imbalance
    bound: Float[Array, ""]  # exact dual value
    gradient: Float[Array, " n"]  # the imbalance
    slope: Float[Array, "n n"] | Slope  # minus the Hessian
    drift: Float[Array, " n"]  # d gradient / d epsilon
    spend: Float[Array, ""]  # chain cost the gap is measured against


Evaluate = Callable[[Float[Array, " n"], Float[Array, ""]], Evaluation]


class PathState(eqx.Module):
    """Where a path stands; `price` is the last accepted point, `trial` the next to evaluate."""

    price: Float[Array, " n"]
    trial: Float[Array, " n"]
    move: Float[Array, " n"]
    value: Float[Array, ""]
    rise: Float[Array, ""]  # of the value that the Newton part of the move promises, to first order
    epsilon: Float[Array, ""]  # at which `price` was accepted
    trial_epsilon: Float[Array, ""]
    gap: Float[Array, ""]  # last estimate of the certified gap, rounding included
    rejected: Int[Array, ""]
    rounds: Int[Array, ""]
    reach: Float[Array, " n"]  # most a node moves of its own, in CLIP * epsilon
    way: Float[Array, " n"]  # 1 or -1 where a node would have moved more, upwards or downwards; else 0
    strict: Float[Array, ""]  # the target as a fraction of the tolerance asked for
    moved: Bool[Array, ""]  # is there an accepted point to compare with
    held: Bool[Array, ""]  # epsilon stays as it is
    done: Bool[Array, ""]


def start(price: Float[Array, " n"], epsilon: float | Float[Array, ""] = FIRST_EPSILON) -> PathState:
    """A path that begins at `price` with smoothing `epsilon` [both in scaled units]."""
    zero, count, no = jnp.zeros((), price.dtype), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return PathState(
        price=price, trial=price, move=jnp.zeros_like(price), value=zero, rise=zero,
        epsilon=zero + epsilon, trial_epsilon=zero + epsilon, gap=zero + jnp.inf,
        rejected=count, rounds=count, reach=jnp.ones_like(price), way=jnp.zeros_like(price),
        strict=zero + 1.0, moved=no, held=no, done=no,
    )  # fmt: skip


def begin_again(state: PathState, price: Float[Array, " n"], epsilon: Float[Array, ""]) -> PathState:
    """The same path from another point, yet to be looked at: there is nothing to compare it with."""
    fresh = start(price, epsilon)
    kept = state.gap, state.rounds, state.strict, state.held, state.done
    return eqx.tree_at(lambda s: (s.gap, s.rounds, s.strict, s.held, s.done), fresh, kept)


def resume(state: PathState) -> PathState:
    """The same path with its end lifted and a tighter target: for a certificate that came out too wide."""
    fresh = begin_again(state, state.price, state.epsilon)
    return eqx.tree_at(lambda s: (s.done, s.strict), fresh, (jnp.zeros_like(state.done), 0.1 * state.strict))


def advance(evaluate: Evaluate, state: PathState, tolerance: Float[Array, ""]) -> PathState:
    """One round: evaluate the trial, accept or reject it, choose the next trial.

    `tolerance` is the gap to reach as a fraction of `Evaluation.spend`. A finished path stays as it is.
    """
    seen = evaluate(state.trial, state.trial_epsilon)
    chosen = choose(
        _accepts(state, seen.value), _after_acceptance(state, seen, tolerance), _after_rejection(state)
    )
    chosen = eqx.tree_at(lambda s: s.rounds, chosen, state.rounds + 1)
    return choose(state.done, state, chosen)


def reached(state: PathState) -> Float[Array, " n"]:
    """The price a path stands at; where it has ended, its next Newton step, not looked at any more.

    So near the end a short step squares the imbalance. A long one may go far astray: where a node's
    flows are all decided, it rests on the smoothing's dust.
    """
    short = jnp.max(jnp.abs(state.move)) <= SHORT * state.epsilon
    return jnp.where(state.done & short & (state.rejected == 0), state.trial, state.price)


def follow(
    evaluate: Evaluate, state: PathState, tolerance: Float[Array, ""], max_rounds: int | Int[Array, ""]
) -> PathState:
    """Advance one path until it is done or has used `max_rounds`."""

    def going(now: PathState) -> Bool[Array, ""]:
        return ~now.done & (now.rounds < max_rounds)

    return jax.lax.while_loop(going, lambda now: advance(evaluate, now, tolerance), state)


def _accepts(state: PathState, value: Float[Array, ""]) -> Bool[Array, ""]:
    # Lowering epsilon alone raises the value, so one test serves Newton steps and moves along the path.
    # A rise below rounding error must not be mistaken for a fall; prices far from zero cancel in the value.
    size = 1.0 + jnp.abs(state.value) + jnp.max(jnp.abs(state.price))
    noise = 8.0 * jnp.finfo(value.dtype).eps * size
    return (~state.moved | (value >= state.value + ARMIJO * state.rise - noise)) & jnp.isfinite(value)


def _after_acceptance(state: PathState, seen: Evaluation, tolerance: Float[Array, ""]) -> PathState:
    epsilon, imbalance = state.trial_epsilon, jnp.sum(jnp.abs(seen.gradient))
    proven = seen.value + seen.bias - seen.bound
    target = state.strict * tolerance * jnp.maximum(seen.spend, 1e-6)
    gap = proven + REPAIR_PRICE * imbalance
    done = gap <= target
    step, tangent, longest, reach, way = _directions(seen, _growth(state, seen.value), state, epsilon)
    rise = jnp.vdot(seen.gradient, step)
    enough = (
        state.held | done | (proven <= ENOUGH * target) | (epsilon <= 64.0 * jnp.finfo(epsilon.dtype).eps)
    )
    near = (longest <= CLIP * epsilon) | (rise <= SETTLED * epsilon)
    lower = ~enough & (imbalance < LEAVE_STAGE) & near
    # The bias, nearly all of what is proven, falls with epsilon: go no further than needed.
    shrink = jnp.maximum(SHRINK, AIM * target / jnp.where(lower, proven, 1.0))
    trial_epsilon = jnp.where(lower, shrink * epsilon, epsilon)
    move = step + (trial_epsilon - epsilon) * tangent
    return PathState(
        price=state.trial, trial=state.trial + move, move=move, value=seen.value,
        rise=rise, epsilon=epsilon, trial_epsilon=trial_epsilon, gap=gap,
        rejected=jnp.zeros_like(state.rejected), rounds=state.rounds, reach=reach, way=way,
        strict=state.strict, moved=jnp.ones_like(state.moved), held=state.held, done=done,
    )  # fmt: skip


def _growth(state: PathState, value: Float[Array, ""]) -> Float[Array, ""]:
    """What the reach of nodes may grow by: a move that rises as promised may be longer next time."""
    kept = (value - state.value) / jnp.where(state.rise > 0.0, state.rise, 1.0)
    return jnp.where(kept > 0.7, 2.0, jnp.where(kept < 0.3, 0.5, 1.0))


def _after_rejection(state: PathState) -> PathState:
    """Price and epsilon alike go back most of the way."""
    rejected = state.rejected + 1
    return eqx.tree_at(
        lambda s: (s.move, s.trial, s.trial_epsilon, s.rise, s.reach, s.rejected, s.done),
        state,
        (
            CUT * state.move,
            state.price + CUT * state.move,
            state.epsilon + CUT * (state.trial_epsilon - state.epsilon),
            CUT * state.rise,
            jnp.maximum(CUT * state.reach, 1.0),
            rejected,
            rejected >= STALLED,
        ),
    )


def _directions(
    seen: Evaluation, growth: Float[Array, ""], state: PathState, epsilon: Float[Array, ""]
) -> tuple[Float[Array, " n"], Float[Array, " n"], Float[Array, ""], Float[Array, " n"], Float[Array, " n"]]:
    """Newton's step and the path's tangent, from one factor of the slope.

    The slope is scaled to a unit diagonal first: a node's mass may be 1e-12 of its neighbour's.
    The ridge decides only along directions in which the dual is flat (capacity exactly tight).

    In the step, what a node adds of its own to what it takes over from those it is coupled to is held
    to its reach: a part of the network that hardly trades with the rest then moves that far as a whole,
    what differs within it is kept, and the step still rises. The reach grows only for a node that is
    held back again and again on the same way, since the others would be thrown to and fro.

    Returns the step, the tangent, the most that a node would have added, and the new reach and way.
    """
    if isinstance(seen.slope, Slope):
        own, rest, back = seen.slope.eliminate(seen.gradient, seen.drift)
    else:
        own, back = _eliminate(seen.slope, seen.gradient, seen.drift)
        rest = jnp.zeros_like(epsilon)
    further = jnp.clip(growth * state.reach, 1.0, REACH)
    reach = jnp.where(state.moved, jnp.where(state.way * own > 0.0, further, 1.0), state.reach)
    limit = CLIP * epsilon * reach
    step, tangent = back(jnp.clip(own, -limit, limit), jnp.max(limit))
    way = jnp.where(jnp.abs(own) > limit, jnp.sign(own), 0.0)
    return step, tangent, jnp.maximum(jnp.max(jnp.abs(own)), rest), reach, way


def _eliminate(
    slope: Float[Array, "n n"], gradient: Float[Array, " n"], drift: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Back]:
    """Half the way through the slope's factor: what each node adds of its own, and the other half."""
    diagonal = jnp.diagonal(slope)
    precision = jnp.finfo(diagonal.dtype).eps
    # A node without slope but with an imbalance is one whose flows are all decided: it has far to go.
    # Without an imbalance beyond rounding it stays where it is.
    least = precision * jnp.max(diagonal)
    stuck = (diagonal <= least) & (jnp.abs(gradient) <= RIDGE * precision)
    root = jnp.maximum(diagonal, jnp.maximum(least, precision * precision))
    scale = jnp.where(stuck, 0.0, jax.lax.rsqrt(root))
    unit = jnp.maximum(1.0 - diagonal * scale * scale, 0.0) + RIDGE * diagonal.shape[0] * precision
    # Nodes that all but nothing ties to the rest: rounding error in their imbalance is no reason to go far,
    # nor for the stage to wait until they are there.
    unit = unit + RIDGE * least * scale * scale
    scaled = slope * scale[:, None] * scale[None, :] + jnp.diag(unit)
    factor = jnp.linalg.cholesky(scaled)
    right = jnp.stack([gradient, drift], axis=1) * scale[:, None]
    half = jax.scipy.linalg.solve_triangular(factor, right, lower=True)
    pivot = jnp.diagonal(factor)
    own = half[:, 0] * scale / pivot
    sound = jnp.all(jnp.isfinite(own))
    steepest = gradient * scale * scale

    def back(
        kept: Float[Array, " n"], farthest: Float[Array, ""]
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        del farthest
        first = jnp.where(scale > 0.0, kept * pivot / jnp.where(scale > 0.0, scale, 1.0), 0.0)
        both = half.at[:, 0].set(first)
        solved = jax.scipy.linalg.solve_triangular(factor, both, lower=True, trans=1) * scale[:, None]
        return jnp.where(sound, solved[:, 0], kept), jnp.where(sound, solved[:, 1], 0.0)

    return jnp.where(sound, own, steepest), back


def choose(which: Bool[Array, ""], yes: PathState, no: PathState) -> PathState:
    """`yes` where `which`, else `no`."""
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), yes, no)
