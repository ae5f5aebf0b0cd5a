"""Activity fees for a retailer that does not know its vendors' costs, only a prior over them.

To a vendor a fee is a price on each plan: `fee . units(plan)`, with one unit a contract for an additive
fee, the transfer for a share of it, the units above and below just-in-time for charges on deviations.
So all there is to know of a contract and a draw of the prior is a menu: what plans are worth to the vendor
before any fee, and what fees are charged on. It takes the plan that leaves it most, or stays.

What it keeps, `S(fee)`, is the largest of linear functions, and the fee taken is `-fee . dS/dfee`. Its
derivative is nought wherever the choice stays as it is and infinite where it changes, so fees are moved along
the derivative of a logit choice among the plans and just-in-time, of a width that shrinks, and judged by the
choice itself.

Source: arXiv:2605.16695 section 4 and Theorems 1-3; Train, Discrete Choice Methods with Simulation (2009),
chapter 3, for the logit choice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jaxtyping import Array, Float, Int

STEPS, PIECES = 30, 10
"""Adam's steps between two looks at the floor, and how many times so many."""
LEVELS = 9
"""Starts along every kind of fee, and along all of them together."""
MULTIPLES = (0.5, 1.0, 2.0)
"""Starts where a fee is known that was best on nearly the same."""
NEARBY = tuple(np.geomspace(0.7, 1.0 / 0.7, 9))
"""Times an end of Adam's: fees that are looked at beside it."""
MINIBATCH = 4096
"""Plans in the menus that a step looks at."""
RATE = 0.1
WIDE, NARROW = 0.5, 0.03
"""Width of the choice, of the contract's gain, at the first step and the last."""
FIRM = 4.0
"""Of a group's gains: what participation is worth where it is below the floor."""
RESAMPLES = 24
"""Bootstrap samples of the draws behind a fee's standard error."""
NOTHING = -1e30
"""Worth of a plan that is not there [currency]."""

Fee = Float[np.ndarray, "groups numbers"]
OnSteps = Callable[[int, float], None]
"""Told of pieces done, and of the objective of the best start in the last one [currency]."""


class Menus(NamedTuple):
    """What vendors may choose beside just-in-time, by pair of a contract and a draw of the prior."""

    worth: Float[np.ndarray, "pairs plans"]  # currency: to the vendor, before any fee
    units: Float[np.ndarray, "pairs plans numbers"]  # what each number of a fee is charged on

    def beside(self, other: Menus) -> Menus:
        """Both menus as one."""
        return Menus(*(np.concatenate(parts, axis=1) for parts in zip(self, other, strict=True)))


class Pairs(NamedTuple):
    """Whose menus they are."""

    group: Int[np.ndarray, " pairs"]
    draw: Int[np.ndarray, " pairs"]
    gain: Float[np.ndarray, " pairs"]  # currency: what the vendor gains without a fee; 0 where it stays
    groups: int
    draws: int
    each: float = 1.0  # contracts of the fleet for each one that is looked at


class Worth(NamedTuple):
    """What fees bring by group, as means over draws, with the standard errors of those means."""

    take: Float[np.ndarray, " groups"]  # currency: fees that accepting vendors pay
    kept: Float[np.ndarray, " groups"]  # currency: what accepting vendors keep
    participation: Float[np.ndarray, " groups"]  # of contracts with a gain
    take_error: Float[np.ndarray, " groups"]
    kept_error: Float[np.ndarray, " groups"]


def worth(fee: Fee, menus: Menus, pairs: Pairs) -> Worth:
    """What fees bring, with vendors that take the best of their menus or stay."""
    charged = np.einsum("pkn,pn->pk", menus.units, fee[pairs.group])
    left, rows = menus.worth - charged, np.arange(len(charged))
    best = left.argmax(axis=1)
    accepts = left[rows, best] > 0.0
    take = _totals(np.where(accepts, charged[rows, best], 0.0), pairs)
    kept = _totals(np.where(accepts, left[rows, best], 0.0), pairs)
    able = _totals((pairs.gain > 0.0).astype(float), pairs).sum(axis=1)
    share = _totals(accepts.astype(float), pairs).sum(axis=1) / np.where(able > 0.0, able, 1.0)
    errors = (
        totals.std(axis=1, ddof=1) / np.sqrt(pairs.draws) if pairs.draws > 1 else np.full(len(fee), np.nan)
        for totals in (take, kept)
    )
    return Worth(take.mean(axis=1), kept.mean(axis=1), share, *errors)


def objective(value: Worth, weight: float) -> Float[np.ndarray, " groups"]:
    """What is tuned for [currency]: the fees taken, and `weight` times what vendors keep."""
    return np.asarray(value.take + weight * value.kept)


def reach(fee: Fee, menus: Menus, pairs: Pairs, floor: float) -> Float[np.ndarray, " groups"]:
    """How many times a fee may be asked until fewer than `floor` of the contracts with a gain accept."""
    most = np.full(len(fee), np.inf)
    if floor <= 0.0:
        return most
    charged = np.einsum("pkn,pn->pk", menus.units, fee[pairs.group])
    last = _ratio(menus.worth, charged).max(axis=1)
    for each in range(len(fee)):
        able = np.sort(last[(pairs.group == each) & (pairs.gain > 0.0)])
        if len(able):
            # Strictly more than the fee: one of the contracts at the edge must still be above it.
            most[each] = able[len(able) - int(np.ceil(floor * len(able)))] * (1.0 - 1e-9)
    return most


def held(fee: Fee, menus: Menus, pairs: Pairs, floor: float) -> Fee:
    """A fee, or as much of it as keeps participation at the floor, by group."""
    return _at(fee, np.minimum(reach(fee, menus, pairs, floor), 1.0))


def scales(menus: Menus, pairs: Pairs, levels: Float[np.ndarray, " levels"]) -> Float[np.ndarray, ...]:
    """Quantiles of the numbers at which contracts would just still accept, (level, group, number)."""
    able = pairs.gain > 0.0
    last = np.stack(
        [_ratio(menus.worth, menus.units[:, :, n]).max(axis=1) for n in range(_numbers(menus))], -1
    )
    found = np.ones((len(levels), pairs.groups, last.shape[1]))
    for each in range(pairs.groups):
        for number in range(last.shape[1]):
            known = last[able & (pairs.group == each), number]
            known = known[np.isfinite(known) & (known > 0.0)]
            if len(known):
                found[:, each, number] = np.quantile(known, levels)
    return found


def tune(
    menus: Menus,
    pairs: Pairs,
    *,
    weight: float = 0.0,
    floor: float = 0.0,
    seed: int = 0,
    near: Fee | None = None,
    on_steps: OnSteps = lambda *_: None,
) -> Fee:
    """The best fee of each group on given menus, by Adam along stochastic gradients from several starts.

    Numbers are moved as `u` in `unit sinh u`, held at `u >= 0`: steps are a share of a large number, and
    reach nought. Of all starts' ends, multiples near them, and no fee at all, the one that is best on the
    menus is returned.

    Args:
        menus: what the vendors may choose.
        pairs: whose menus they are.
        weight: of what vendors keep, beside the fees that the retailer takes.
        floor: least share of the contracts with a gain that must accept.
        seed: of the minibatches.
        near: where to start, at some multiples of it; by default all over what contracts would bear.
        on_steps: told how far it is.
    """
    levels, numbers = np.linspace(0.1, 0.9, LEVELS), _numbers(menus)
    quantiles = scales(menus, pairs, levels)
    ways = np.concatenate([np.eye(numbers), np.full((1, numbers), 1.0 / numbers)])[0 if numbers > 1 else 1 :]
    begin = (quantiles[:, None] * ways[:, None, :]).reshape(-1, *quantiles.shape[1:])
    begin = begin if near is None else np.stack([times * near for times in MULTIPLES])
    unit, table = jnp.asarray(quantiles[:1]), _table(menus, pairs)
    steps = jnp.arcsinh(jnp.asarray(begin) / unit)
    state, found = _method().init(steps), np.asarray(unit * jnp.sinh(steps))
    for piece, key in enumerate(jax.random.split(jax.random.key(seed), PIECES)):
        goal = jnp.asarray(weight), jnp.asarray(floor), jnp.asarray(piece)
        steps, state, values = _descend(steps, state, unit, table, goal, key)
        found = np.asarray(unit * jnp.sinh(steps))
        if floor > 0.0:
            found = np.stack([held(fee, menus, pairs, floor) for fee in found])
            steps = jnp.arcsinh(jnp.asarray(found) / unit)
        on_steps(piece + 1, float(jnp.max(values)) * pairs.each / pairs.draws)
    # Ends are best for a choice of some width: for the choice itself the best may be a little off.
    candidates = [np.zeros(unit.shape[1:]), *(times * fee for fee in found for times in NEARBY)]
    if floor > 0.0:  # the floor's edge too: a penalty keeps some way off it
        candidates = [held(fee, menus, pairs, floor) for fee in candidates]
        candidates += [_at(fee, reach(fee, menus, pairs, floor)) for fee in found]
    values = np.stack([objective(worth(fee, menus, pairs), weight) for fee in candidates])
    return np.asarray(candidates)[values.argmax(axis=0), np.arange(pairs.groups)]


def standard_error(
    fee: Fee, menus: Menus, pairs: Pairs, *, weight: float = 0.0, floor: float = 0.0, seed: int = 0
) -> Fee:
    """Standard error of `tune`'s fees, by tuning again on the draws resampled, each with its menus."""
    rng, found = np.random.default_rng(seed), []
    of = [np.flatnonzero(pairs.draw == draw) for draw in range(pairs.draws)]
    for _ in range(RESAMPLES):
        picked = rng.integers(pairs.draws, size=pairs.draws)
        rows = np.concatenate([of[draw] for draw in picked])
        draw = np.repeat(np.arange(pairs.draws), [len(of[draw]) for draw in picked])
        again = pairs._replace(group=pairs.group[rows], draw=draw, gain=pairs.gain[rows])
        few = Menus(menus.worth[rows], menus.units[rows])
        found.append(tune(few, again, weight=weight, floor=floor, seed=seed, near=fee))
    return np.std(found, axis=0, ddof=1)


def _numbers(menus: Menus) -> int:
    return int(menus.units.shape[2])


def _ratio(value: np.ndarray, charged: np.ndarray) -> np.ndarray:
    """How many times a charge fits into what is worth something; 0 where nothing is."""
    times = np.where(charged > 0.0, value / np.where(charged > 0.0, charged, 1.0), np.inf)
    return np.where(value > 0.0, times, 0.0)


def _at(fee: Fee, times: Float[np.ndarray, " groups"]) -> Fee:
    return fee * np.where(np.isfinite(times), times, 1.0)[:, None]


def _totals(values: np.ndarray, pairs: Pairs) -> Float[np.ndarray, "groups draws"]:
    """Sums over each group's contracts, by draw."""
    totals = np.bincount(pairs.group * pairs.draws + pairs.draw, values, pairs.groups * pairs.draws)
    return pairs.each * totals.reshape(pairs.groups, pairs.draws)


class _Table(NamedTuple):
    """The menus for JAX."""

    worth: Float[Array, "pairs plans"]
    units: Float[Array, "pairs plans numbers"]
    gain: Float[Array, " pairs"]
    group: Int[Array, " pairs"]


def _table(menus: Menus, pairs: Pairs) -> _Table:
    return _Table(*(jnp.asarray(part) for part in (*menus, pairs.gain, pairs.group.astype(np.int32))))


def _method() -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(RATE, STEPS * PIECES))


@jax.jit
def _descend(
    start: Float[Array, "starts groups numbers"],
    state: optax.OptState,
    unit: Float[Array, "1 groups numbers"],
    table: _Table,
    goal: tuple[Array, Array, Array],
    key: Array,
) -> tuple[Float[Array, "starts groups numbers"], optax.OptState, Float[Array, " starts"]]:
    """So many of Adam's steps while the choice narrows; also the mean objective of each start."""
    weight, floor, piece = goal
    method, size = _method(), max(MINIBATCH // table.worth.shape[1], 1)
    size = min(size, table.gain.shape[0])

    def step(
        carry: tuple[Array, optax.OptState], at: tuple[Array, Array]
    ) -> tuple[tuple[Array, optax.OptState], Array]:
        steps, known = carry
        number, once = at
        pick = jax.random.randint(once, (size,), 0, table.gain.shape[0])
        some = _Table(*(part[pick] for part in table))
        done = (piece * STEPS + number) / (STEPS * PIECES)
        width = (WIDE * (NARROW / WIDE) ** done).astype(steps.dtype)

        def loss(moved: Array) -> tuple[Array, Array]:
            value, short = _smoothed(unit * jnp.sinh(moved), some, weight, floor, width)
            return jnp.sum(short - value), jnp.sum(value, axis=1)

        slope, value = jax.grad(loss, has_aux=True)(steps)
        with jax.numpy_dtype_promotion("standard"):  # Adam counts its steps in whole numbers
            moves, known = method.update(slope, known)
        return (jnp.maximum(optax.apply_updates(steps, moves), 0.0), known), value

    at = jnp.arange(STEPS), jax.random.split(key, STEPS)
    (end, state), values = jax.lax.scan(step, (start, state), at)
    return end, state, jnp.mean(values, axis=0) * (table.gain.shape[0] / size)


def _smoothed(
    fee: Float[Array, "starts groups numbers"], some: _Table, weight: Array, floor: Array, width: Array
) -> tuple[Float[Array, "starts groups"], Float[Array, "starts groups"]]:
    """The objective with a logit choice, and what is short of the floor on participation; by group."""
    groups, able = fee.shape[1], some.gain > 0.0
    charged = jnp.einsum("pkn,spn->spk", some.units, fee[:, some.group])
    left = some.worth[None] - charged
    spread = width * jnp.where(able, some.gain, 1.0)[None, :, None]
    stays = jnp.zeros_like(left[:, :, :1])
    chance = jax.nn.softmax(jnp.concatenate([left, stays], axis=2) / spread, axis=2)[:, :, :-1]
    value = jnp.sum(chance * (charged + weight * jnp.maximum(left, 0.0)), axis=2)
    by_group = partial(jax.ops.segment_sum, segment_ids=some.group, num_segments=groups)
    counted = jnp.where(able, 1.0, 0.0)
    value, accepts = (by_group((part * counted[None]).T).T for part in (value, jnp.sum(chance, axis=2)))
    gains, most = by_group(some.gain * counted)[None], by_group(counted)[None]
    missing = jnp.maximum(floor - accepts / jnp.maximum(most, 1.0), 0.0)
    return value, FIRM * gains * jnp.where(most > 0.0, missing, 0.0)
