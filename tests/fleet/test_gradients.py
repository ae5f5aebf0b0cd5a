"""A bucket as one differentiable function: every lane's derivatives are those of its contract alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp import AdditiveFee, DeviationFee, MultiplicativeFee, coordinate
from jaxcpp.fleet.contracts import CoupledContractsError
from jaxcpp.fleet.gradients import Batch, batches, contracts_of
from jaxcpp.fleet.programs import parties
from jaxcpp.fleet.rules import FeeError, FeeRule
from tests.fleets import Size, random_sample, read

SMOOTHING = 0.5
RULES = (FeeRule(additive=1.0, multiplicative=0.2, over=0.5, under=0.25),)


def of_sample(folder: Any) -> list[Batch]:
    return batches(read(random_sample(3, 6, Size(2, 3, 2, 2)).tables(), folder / "fleet"), RULES)


def test_batches_say_whose_numbers_theirs_are(tmp_path):
    found = of_sample(tmp_path)
    assert len(np.unique(np.concatenate([one.ids for one in found]))) == 6
    for one in found:
        assert len(one.ids) == len(one.lanes.demand) == len(one.fees.alpha)
        assert one.fees.over is not None
        np.testing.assert_array_equal(one.region < 0, one.lanes.demand == 0.0)
        assert one.nodes.shape[1] * one.lanes.capacity.shape[2] == one.fees.over.shape[1]
        assert one.source.shape == one.lanes.capacity.shape[:2]


def test_what_has_no_derivatives_is_refused_in_words(tmp_path):
    sample = random_sample(3, 6, Size(2, 3, 2, 2))
    fleet = read(sample.tables(), tmp_path / "fleet")
    with pytest.raises(FeeError, match="no vendor 'nobody'"):
        batches(fleet, (FeeRule(vendor="nobody", additive=1.0),))
    every = replace(fleet.sources, product=np.full_like(fleet.sources.product, -1))
    with pytest.raises(CoupledContractsError, match="done for contracts that stand alone"):
        batches(replace(fleet, sources=every))


@pytest.mark.slow
@pytest.mark.parametrize(
    "smoothing", [pytest.param(None, marks=pytest.mark.exhaustive), SMOOTHING], ids=["exact", "smoothed"]
)
def test_a_batch_s_derivatives_are_its_contracts_own(tmp_path, smoothing):
    one = of_sample(tmp_path)[0]
    lanes: Any = one.lanes
    fees: Any = one.fees

    def total(fees: Any, demand: jax.Array) -> jax.Array:
        changed = replace(lanes, demand=demand)
        return jnp.sum(contracts_of(changed, fees, smoothing=smoothing).price)

    by_fee, by_demand = jax.jit(jax.grad(total, argnums=(0, 1)))(fees, lanes.demand)

    # Forward mode along one direction of all these numbers is the reverse pass weighed with it.
    rng = np.random.default_rng(0)
    ways = jax.tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), (fees, lanes.demand))
    along = jax.jit(lambda at, way: jax.jvp(total, at, way)[1])((fees, lanes.demand), ways)
    back = jax.tree.map(lambda slope, way: np.sum(slope * way), (by_fee, by_demand), ways)
    np.testing.assert_allclose(along, sum(jax.tree.leaves(back)), rtol=1e-7)

    def alone(numbers: Any, lane: Any) -> jax.Array:
        alpha, rate, over, under, demand = numbers
        shape = over.shape[0] // lane.capacity.shape[1], lane.capacity.shape[1]
        fee = AdditiveFee(alpha) + MultiplicativeFee(rate)
        fee = fee + DeviationFee(over.reshape(shape), under.reshape(shape))
        retailer, supplier, _ = parties(replace(lane, demand=demand))
        return coordinate(retailer, supplier, fee, smoothing=smoothing).price

    slope = jax.jit(jax.grad(alone))
    for row in range(len(lanes.demand)):
        lane = jax.tree.map(lambda leaf, row=row: jnp.asarray(leaf)[row], lanes)
        numbers = fees.alpha, fees.rate, fees.over, fees.under, lanes.demand
        mine = slope(tuple(jnp.asarray(number)[row] for number in numbers), lane)
        of_batch = by_fee.alpha, by_fee.rate, by_fee.over, by_fee.under, by_demand
        for ours, theirs in zip(mine, of_batch, strict=True):
            np.testing.assert_allclose(ours, theirs[row], rtol=1e-5, atol=1e-5)
