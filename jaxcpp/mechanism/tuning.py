"""Activity fees for a retailer that does not know its vendors' costs, only a prior over them.

A vendor accepts an additive fee where the gain of its contract is above it, and the plan does not depend
on the fee: a table of gains, by contract and draw of the prior, is all there is to know. The fee is moved
along stochastic gradients of a smoothed acceptance, and judged by the acceptance itself.

Source: arXiv:2605.16695 section 4.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jaxtyping import Array, Float, Int

STEPS = 300
STARTS = 9
MINIBATCH = 4096
"""Pairs of a contract and a draw that a step looks at."""
RATE = 0.1
WIDE, NARROW = 0.5, 0.03
"""Width of the smoothed acceptance, of the fee, at the first step and the last."""
RESAMPLES = 24
"""Bootstrap samples of the draws behind a fee's standard error."""

Gains = Float[np.ndarray, "contracts draws"]
Groups = Int[np.ndarray, " contracts"]


class Worth(NamedTuple):
    """What fees bring by group, as means over draws, with the standard errors of those means."""

    take: Float[np.ndarray, " groups"]  # currency: fees that accepting vendors pay
    kept: Float[np.ndarray, " groups"]  # currency: what accepting vendors keep
    participation: Float[np.ndarray, " groups"]  # of contracts with a gain
    take_error: Float[np.ndarray, " groups"]
    kept_error: Float[np.ndarray, " groups"]


def worth(fee: Float[np.ndarray, " groups"], gains: Gains, group: Groups) -> Worth:
    """What fees [currency] bring, with vendors that accept what leaves them a surplus.

    Args:
        fee: by group of contracts.
        gains: of each contract in each draw [currency]; zero where there is none.
        group: of each contract.
    """
    count = len(fee)
    asked = fee[group][:, None]
    accepts = gains > asked
    take = _by_group(np.where(accepts, asked, 0.0), group, count)
    kept = _by_group(np.where(accepts, gains - asked, 0.0), group, count)
    able = _by_group((gains > 0.0).astype(float), group, count).sum(axis=1)
    share = _by_group(accepts.astype(float), group, count).sum(axis=1) / np.maximum(able, 1.0)
    errors = [totals.std(axis=1, ddof=1) / np.sqrt(gains.shape[1]) if gains.shape[1] > 1 else
              np.full(count, np.nan) for totals in (take, kept)]  # fmt: skip
    return Worth(take.mean(axis=1), kept.mean(axis=1), share, *errors)


def objective(value: Worth, weight: float) -> Float[np.ndarray, " groups"]:
    """What is tuned for [currency]: the fees taken, and `weight` times what vendors keep."""
    return np.asarray(value.take + weight * value.kept)


def highest(gains: Gains, group: Groups, count: int, floor: float) -> Float[np.ndarray, " groups"]:
    """The highest fee [currency] at which a share `floor` of the contracts with a gain take part."""
    most = np.full(count, np.inf)
    for each in range(count):
        able = np.sort(gains[group == each].ravel())
        able = able[able > 0.0]
        if floor > 0.0 and len(able):
            # Strictly more than the fee: one of the contracts at the edge must still be above it.
            edge = len(able) - int(np.ceil(floor * len(able)))
            most[each] = np.nextafter(able[edge], 0.0)
    return most


def tune(
    gains: Gains, group: Groups, count: int, *, weight: float = 0.0, floor: float = 0.0, seed: int = 0
) -> Float[np.ndarray, " groups"]:
    """The best additive fee of each group [currency], by stochastic gradients from several starts.

    Args:
        gains: of each contract in each draw of the prior [currency].
        group: of each contract.
        count: of groups.
        weight: of what vendors keep, beside the fees that the retailer takes.
        floor: least share of the contracts with a gain that must accept.
        seed: of the minibatches.

    Of all starts' ends, and no fee at all, the one that is best on the draws as they are is returned.
    """
    most = highest(gains, group, count, floor)
    flat = jnp.asarray(np.log(np.maximum(gains, 1e-300)).ravel())
    of = jnp.asarray(np.repeat(group, gains.shape[1]))
    starts = np.zeros((STARTS, count))
    for each in range(count):
        able = gains[group == each]
        able = able[able > 0.0]
        if len(able):
            starts[:, each] = np.log(np.quantile(able, np.linspace(0.1, 0.9, STARTS)))
    ends = _descend(
        jnp.asarray(starts), flat, of, jnp.log(jnp.asarray(most)), jnp.asarray(weight), jax.random.key(seed)
    )
    candidates = [np.zeros(count), *np.minimum(np.exp(np.asarray(ends)), most)]
    values = np.stack([objective(worth(fee, gains, group), weight) for fee in candidates])
    return np.asarray(candidates)[values.argmax(axis=0), np.arange(count)]


def standard_error(
    gains: Gains, group: Groups, count: int, *, weight: float = 0.0, floor: float = 0.0, seed: int = 0
) -> Float[np.ndarray, " groups"]:
    """Standard error of `tune`'s fees [currency], by tuning again on the draws resampled."""
    rng = np.random.default_rng(seed)
    draws = gains.shape[1]
    found = [
        tune(gains[:, rng.integers(draws, size=draws)], group, count, weight=weight, floor=floor, seed=seed)
        for _ in range(RESAMPLES)
    ]
    return np.std(found, axis=0, ddof=1)


def by_grid(
    gains: Gains, group: Groups, count: int, values: Float[np.ndarray, " values"], *, weight: float = 0.0,
    floor: float = 0.0,
) -> tuple[Float[np.ndarray, " groups"], list[Worth]]:  # fmt: skip
    """The best of some fees [currency] by group, and what each of them brings."""
    most = highest(gains, group, count, floor)
    found = [worth(np.full(count, value), gains, group) for value in values]
    scores = np.stack([objective(each, weight) for each in found])
    scores = np.where(np.asarray(values)[:, None] <= most, scores, -np.inf)
    return np.asarray(values)[scores.argmax(axis=0)], found


@partial(jax.jit, donate_argnums=0)
def _descend(
    start: Float[Array, "starts groups"], flat: Float[Array, " pairs"], of: Int[Array, " pairs"],
    most: Float[Array, " groups"], weight: Float[Array, ""], key: Array,
) -> Float[Array, "starts groups"]:  # fmt: skip
    """Logarithms of fees, moved along Adam's steps while acceptance narrows from a slope to a step."""
    schedule = optax.cosine_decay_schedule(RATE, STEPS)
    method = optax.adam(schedule)
    groups = start.shape[1]

    def loss(fee: Float[Array, "starts groups"], pick: Int[Array, " some"], width: Float[Array, ""]) -> Array:
        gain, asked = flat[pick][None, :], fee[:, of[pick]]
        accepts = jax.nn.sigmoid((gain - asked) / width)
        kept = jnp.exp(gain) - jnp.exp(asked)
        value = accepts * (jnp.exp(asked) + weight * jnp.maximum(kept, 0.0))
        return -jnp.sum(jax.ops.segment_sum(value.T, of[pick], groups))

    def step(
        carry: tuple[Array, optax.OptState], at: tuple[Array, Array]
    ) -> tuple[tuple[Array, optax.OptState], None]:
        fee, state = carry
        number, once = at
        pick = jax.random.randint(once, (min(MINIBATCH, flat.shape[0]),), 0, flat.shape[0])
        width = WIDE * (NARROW / WIDE) ** (number / STEPS)
        slope = jax.grad(loss)(fee, pick, width.astype(fee.dtype))
        with jax.numpy_dtype_promotion("standard"):  # Adam counts its steps in whole numbers
            moves, state = method.update(slope, state)
        return (jnp.minimum(optax.apply_updates(fee, moves), most[None, :]), state), None

    steps = jnp.arange(STEPS), jax.random.split(key, STEPS)
    return jax.lax.scan(step, (start, method.init(start)), steps)[0][0]


def _by_group(values: np.ndarray, group: Groups, count: int) -> Float[np.ndarray, "groups draws"]:
    """Sums over each group's contracts, by draw."""
    totals = np.zeros((count, values.shape[1]))
    np.add.at(totals, group, values)
    return totals
