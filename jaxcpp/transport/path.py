"""Follow the central path of a smoothed dual to a certified gap: safeguarded Newton, annealed.

Maximizes a concave dual whose smoothing `epsilon` is lowered in stages. Within a stage, Newton
steps with an Armijo test on the value. Between stages, a predictor moves the price along the path
(`d price / d epsilon`, a second right-hand side for the factor already there), checked before it is
trusted. A path ends when the gap it can prove is small, not when its steps are.

Written for one problem in scaled units (mass 1, costs of order 1); `vmap` it for many. One `advance`
is one evaluation, so a lane that is done, or that starts again, never waits for another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

FIRST_EPSILON = 0.2  # of the cost scale
SHRINK = 0.25  # epsilon from one stage to the next
LEAVE_STAGE = 3e-3  # imbalance (mass 1) below which a stage is left
TRUST_JUMP = 0.1  # imbalance above which a predicted point is checked against the unpredicted one
SHORT = 0.1  # of epsilon: a step that changes no flow by more than a tenth
CLIP = 6.0  # longest Newton step, in epsilon: the flows change by at most exp(6)
REACH = 256.0  # most that CLIP may grow: a node whose flows are all decided feels no slope for a while
APART = 8.0  # of REACH: from here on a step's nodes are clipped one by one
ARMIJO = 1e-4
CUT = 0.25  # of a step that was rejected
STALLED = 8  # rejected Newton steps in a row after which rounding error is all that is left
TIGHTEST = 5e-4  # of the tolerance: a path whose certificate fails at a tighter target than this is given up
REPAIR_PRICE = 3.0  # what moving one unit of imbalance is expected to cost when it is rounded away

RIDGE = (
    64.0  # of rounding error: without it the factor of a flat direction fails and takes all others with it
)

NEWTON, JUMP, COMPARE, FORCED = 0, 1, 2, 3


@runtime_checkable
class Slope(Protocol):
    """A slope with a structure of its own, where a dense matrix would be too large."""

    def directions(
        self, gradient: Float[Array, " n"], drift: Float[Array, " n"]
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Newton's step and the path's tangent."""
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
    rival: Float[Array, " n"]
    value: Float[Array, ""]
    rival_value: Float[Array, ""]
    rise: Float[Array, ""]
    epsilon: Float[Array, ""]
    gap: Float[Array, ""]  # last estimate of the certified gap, rounding included
    mode: Int[Array, ""]
    rejected: Int[Array, ""]
    rounds: Int[Array, ""]
    reach: Float[Array, ""]  # longest step, in CLIP * epsilon: grows while steps that long are accepted
    strict: Float[Array, ""]  # the target as a fraction of the tolerance asked for
    held: Bool[Array, ""]  # epsilon stays as it is
    done: Bool[Array, ""]


def start(price: Float[Array, " n"], epsilon: float = FIRST_EPSILON) -> PathState:
    """A path that begins at `price` with smoothing `epsilon` [both in scaled units]."""
    zero, count, no = jnp.zeros((), price.dtype), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return PathState(
        price=price, trial=price, move=jnp.zeros_like(price), rival=price,
        value=zero, rival_value=zero, rise=zero, epsilon=zero + epsilon, gap=zero + jnp.inf,
        mode=count + FORCED, rejected=count, rounds=count,
        reach=zero + 1.0, strict=zero + 1.0, held=no, done=no,
    )  # fmt: skip


def resume(state: PathState) -> PathState:
    """The same path with its end lifted and a tighter target: for a certificate that came out too wide."""
    no = jnp.zeros_like(state.done)
    return eqx.tree_at(
        lambda s: (s.trial, s.done, s.mode, s.rejected, s.strict),
        state,
        (
            state.price,
            no,
            jnp.full_like(state.mode, FORCED),
            jnp.zeros_like(state.rejected),
            0.1 * state.strict,
        ),
    )


def advance(evaluate: Evaluate, state: PathState, tolerance: Float[Array, ""]) -> PathState:
    """One round: evaluate the trial, accept or reject it, choose the next trial.

    `tolerance` is the gap to reach as a fraction of `Evaluation.spend`. A finished path stays as it is.
    """
    seen = evaluate(state.trial, state.epsilon)
    imbalance = jnp.sum(jnp.abs(seen.gradient))
    accepted = _accepts(state, seen.value, imbalance)
    kept = _after_acceptance(state, seen, imbalance, tolerance)
    turned = _after_rejection(state, seen.value)
    chosen = choose(accepted, kept, turned)
    chosen = eqx.tree_at(lambda s: s.rounds, chosen, state.rounds + 1)
    return choose(state.done, state, chosen)


def reached(state: PathState) -> Float[Array, " n"]:
    """The price a path stands at; where it has ended, its next Newton step, not looked at any more.

    So near the end a short step squares the imbalance. A long one may go far astray: where a node's
    flows are all decided, it rests on the smoothing's dust.
    """
    short = jnp.max(jnp.abs(state.move)) <= SHORT * state.epsilon
    ended = state.done & (state.mode == NEWTON) & (state.rejected == 0)
    return jnp.where(ended & short, state.trial, state.price)


def follow(
    evaluate: Evaluate, state: PathState, tolerance: Float[Array, ""], max_rounds: int | Int[Array, ""]
) -> PathState:
    """Advance one path until it is done or has used `max_rounds`."""

    def going(now: PathState) -> Bool[Array, ""]:
        return ~now.done & (now.rounds < max_rounds)

    return jax.lax.while_loop(going, lambda now: advance(evaluate, now, tolerance), state)


def _accepts(state: PathState, value: Float[Array, ""], imbalance: Float[Array, ""]) -> Bool[Array, ""]:
    # A rise below rounding error must not be mistaken for a fall; prices far from zero cancel in the value.
    noise = 8.0 * jnp.finfo(value.dtype).eps * (1.0 + jnp.abs(state.value) + jnp.max(jnp.abs(state.price)))
    rises = value >= state.value + ARMIJO * state.rise - noise
    tests = [rises, imbalance <= TRUST_JUMP, value >= state.rival_value, jnp.ones_like(rises)]
    which = [state.mode == mode for mode in (NEWTON, JUMP, COMPARE, FORCED)]
    return jnp.select(which, tests, jnp.zeros((), bool)) & jnp.isfinite(value)


def _after_acceptance(
    state: PathState, seen: Evaluation, imbalance: Float[Array, ""], tolerance: Float[Array, ""]
) -> PathState:
    step, tangent = _directions(seen)
    proven = seen.value + seen.bias - seen.bound
    target = state.strict * tolerance * jnp.maximum(seen.spend, 1e-6)
    floor = 64.0 * jnp.finfo(seen.value.dtype).eps
    enough = state.held | (proven <= 0.5 * target) | (state.epsilon <= floor)
    gap = proven + REPAIR_PRICE * imbalance
    done = gap <= target
    lower = ~enough & ~done & (imbalance < LEAVE_STAGE)
    epsilon = jnp.where(lower, SHRINK * state.epsilon, state.epsilon)
    longest = CLIP * state.epsilon * state.reach
    size = jnp.max(jnp.abs(step))
    scaled = step * jnp.minimum(1.0, longest / jnp.maximum(size, longest))
    # Long steps again and again: some nodes have far to go, and the others should not wait for them.
    clipped = jnp.clip(step, -longest, longest)
    apart = (state.reach >= APART) & (jnp.vdot(seen.gradient, clipped) >= jnp.vdot(seen.gradient, scaled))
    step = jnp.where(apart, clipped, scaled)
    reach = jnp.where((size > longest) & ~lower, jnp.minimum(2.0 * state.reach, REACH), 1.0)
    move = step + (epsilon - state.epsilon) * tangent
    return PathState(
        price=state.trial, trial=state.trial + move, move=move, rival=state.rival,
        value=seen.value, rival_value=state.rival_value, rise=jnp.vdot(seen.gradient, step),
        epsilon=epsilon, gap=gap, mode=jnp.where(lower, JUMP, NEWTON).astype(state.mode.dtype),
        rejected=jnp.zeros_like(state.rejected), rounds=state.rounds, reach=reach,
        strict=state.strict, held=state.held, done=done,
    )  # fmt: skip


def _after_rejection(state: PathState, value: Float[Array, ""]) -> PathState:
    newton, jump = state.mode == NEWTON, state.mode == JUMP
    move = CUT * state.move
    trial = jnp.where(newton, state.price + move, jnp.where(jump, state.price, state.rival))
    rejected = state.rejected + newton.astype(state.rejected.dtype)
    return PathState(
        price=state.price, trial=trial, move=move, rival=jnp.where(jump, state.trial, state.rival),
        value=state.value,
        rival_value=jnp.where(jump, jnp.where(jnp.isfinite(value), value, -jnp.inf), state.rival_value),
        rise=CUT * state.rise, epsilon=state.epsilon, gap=state.gap,
        mode=jnp.where(newton, NEWTON, jnp.where(jump, COMPARE, FORCED)).astype(state.mode.dtype),
        rejected=rejected, rounds=state.rounds, reach=jnp.maximum(CUT * state.reach, 1.0),
        strict=state.strict, held=state.held, done=rejected >= STALLED,
    )  # fmt: skip


def _directions(seen: Evaluation) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Newton's step and the path's tangent, from one factor of the slope.

    The slope is scaled to a unit diagonal first: a node's mass may be 1e-12 of its neighbour's.
    The ridge decides only along directions in which the dual is flat (capacity exactly tight).
    """
    if isinstance(seen.slope, Slope):
        return seen.slope.directions(seen.gradient, seen.drift)
    diagonal = jnp.diagonal(seen.slope)
    precision = jnp.finfo(diagonal.dtype).eps
    # A node without slope but with an imbalance is one whose flows are all decided: it has far to go.
    # Without an imbalance beyond rounding it stays where it is.
    least = precision * jnp.max(diagonal)
    stuck = (diagonal <= least) & (jnp.abs(seen.gradient) <= RIDGE * precision)
    root = jnp.maximum(diagonal, jnp.maximum(least, precision * precision))
    scale = jnp.where(stuck, 0.0, jax.lax.rsqrt(root))
    unit = jnp.maximum(1.0 - diagonal * scale * scale, 0.0) + RIDGE * diagonal.shape[0] * precision
    # Nodes that all but nothing ties to the rest: rounding error in their imbalance is no reason to go far,
    # since the longest step shortens all others with it.
    unit = unit + RIDGE * least * scale * scale
    scaled = seen.slope * scale[:, None] * scale[None, :] + jnp.diag(unit)
    factor = jnp.linalg.cholesky(scaled)
    right = jnp.stack([seen.gradient, seen.drift], axis=1) * scale[:, None]
    solved = jax.scipy.linalg.cho_solve((factor, True), right) * scale[:, None]
    steepest = seen.gradient * scale * scale
    sound = jnp.all(jnp.isfinite(solved))
    return jnp.where(sound, solved[:, 0], steepest), jnp.where(sound, solved[:, 1], 0.0)


def choose(which: Bool[Array, ""], yes: PathState, no: PathState) -> PathState:
    """`yes` where `which`, else `no`."""
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), yes, no)
