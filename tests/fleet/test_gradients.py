"""A bucket as one differentiable function: every lane's derivatives are those of its contract alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp import AdditiveFee, DeviationFee, MultiplicativeFee, coordinate
from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.fees import charges
from jaxcpp.fleet.gradients import contracts_of
from jaxcpp.fleet.pack import Bucket, Packer
from jaxcpp.fleet.programs import parties
from jaxcpp.fleet.rules import FeeRule
from tests.fleets import Size, random_sample, read

SMOOTHING = 0.5
RULES = (FeeRule(additive=1.0, multiplicative=0.2, over=0.5, under=0.25),)


def bucket(folder: Any) -> tuple[Bucket, Any]:
    fleet = read(random_sample(3, 6, Size(2, 3, 2, 2)).tables(), folder / "fleet")
    found = contracts_alone(fleet)
    one = Packer(fleet, found).buckets()[0]
    return one, charges(RULES, fleet, found, one.contract, one.nodes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "smoothing", [pytest.param(None, marks=pytest.mark.exhaustive), SMOOTHING], ids=["exact", "smoothed"]
)
def test_a_batch_s_derivatives_are_its_contracts_own(tmp_path, smoothing):
    one, fees = bucket(tmp_path)
    lanes: Any = one.lanes

    def total(fees: Any, demand: jax.Array) -> jax.Array:
        changed = replace(lanes, demand=demand)
        return jnp.sum(contracts_of(changed, fees, smoothing=smoothing).price)

    by_fee, by_demand = jax.jit(jax.grad(total, argnums=(0, 1)))(fees, lanes.demand)

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
