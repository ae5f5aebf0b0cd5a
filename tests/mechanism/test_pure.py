"""`coordinate` is pure: jit and vmap go through it, and numbers are no reason to compile again."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxcpp import (
    AdditiveFee,
    DeviationFee,
    MultiplicativeFee,
    Retailer,
    RoiFee,
    Supplier,
    coordinate,
)
from jaxcpp.agents.arrays import floats
from jaxcpp.mechanism.fees import Fee
from tests.mechanism.batches import LANES, lane, parties, problems_of, program, rounding, solve, stack

SHAPE = (2, 3, 2, 3)


def same(one: object, other: object) -> bool:
    """Every number equal, to the last bit."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_a_batch_is_its_contracts_one_by_one():
    """Sums may be taken in another order, so both are compared within what both certify."""
    problems = problems_of(SHAPE, 12, seed=3)
    batch = solve(problems)
    for index, problem in enumerate(problems):
        one, many = coordinate(*parties(problem), tolerance=1e-6), lane(batch, index)
        off = rounding(problem)
        gap = float(one.certificate.efficiency_gap + many.certificate.efficiency_gap)
        error = float(one.certificate.price_error + many.certificate.price_error)
        if one.status != many.status:
            # Only where the chain gains no more than the certificates can tell.
            assert {one.status, many.status} <= {"accepted", "no_gain"}
            assert abs(one.gain) + abs(many.gain) <= 2.0 * (gap + error) + off
            continue
        assert abs(one.cbt - many.cbt) <= error + gap + off
        for name in ("utility_plan", "utility_jit"):
            joint = [getattr(c.retailer, name) + getattr(c.supplier, name) for c in (one, many)]
            bracket = 2e-6 * (one.chain_cost + one.retailer.cost_jit + one.supplier.cost_jit)
            assert abs(joint[0] - joint[1]) <= (gap if name == "utility_plan" else bracket) + off


def test_a_lane_does_not_feel_its_neighbours():
    """The same contract in another lane, among others: the same numbers to the last bit."""
    problems = problems_of(SHAPE, LANES, seed=4)
    moved = [problems[index] for index in np.random.default_rng(0).permutation(LANES)]
    before, after = solve(problems), solve(moved)
    for index, problem in enumerate(problems):
        where = next(place for place, other in enumerate(moved) if other is problem)
        assert same(lane(before, index), lane(after, where)), problem


def test_equal_arguments_give_equal_contracts():
    problems = problems_of(SHAPE, 4, seed=5)
    assert same(solve(problems), solve(problems))


@pytest.mark.parametrize("tolerance", [1e-6, 1e-4])
def test_other_numbers_compile_nothing(tolerance):
    problems = problems_of(SHAPE, LANES, seed=6)
    solve(problems)
    dearer = [replace(p, unit_cost=p.unit_cost * 1.25, capacity=p.capacity * 2.0) for p in problems]
    batch = stack([parties(problem) for problem in dearer])
    fees = np.linspace(0.0, 40.0, LANES)
    with jax.no_tracing(True):
        contract = program("newton", AdditiveFee, "obliged")(*batch, fees, np.float64(tolerance))
    assert np.isin(contract.status, ("accepted", "declined", "no_gain")).all()


def test_a_call_without_jit_compiles_once():
    """`coordinate` holds its own compiled program; other numbers run it again."""
    retailer, supplier = parties(problems_of(SHAPE, 1, seed=7)[0])
    coordinate(retailer, supplier, AdditiveFee(1.0))
    other = [parties(problem) for problem in problems_of(SHAPE, 3, seed=8)]
    fees = [AdditiveFee(alpha) for alpha in (0.0, 2.0, 5.0)]
    floats(1e-6)  # whatever a conversion of numbers compiles
    with jax.no_tracing(True):
        contracts = [coordinate(*both, fee) for both, fee in zip(other, fees, strict=True)]
    assert all(contract.fee in (0.0, fee.alpha) for contract, fee in zip(contracts, fees, strict=True))


@pytest.mark.slow
def test_a_sweep_over_any_fee_compiles_once():
    """Fee parameters are numbers like all others."""
    retailer, supplier = parties(problems_of(SHAPE, 1, seed=7)[0])

    def fee(size: float) -> Fee:
        parts = MultiplicativeFee(size) + RoiFee(size, "efficient") + DeviationFee(size, 0.5 * size)
        return AdditiveFee(size) + parts

    fees = [fee(size) for size in (0.0, 0.1, 1.0)]
    coordinate(retailer, supplier, fee(0.3))
    with jax.no_tracing(True):
        contracts = [coordinate(retailer, supplier, one) for one in fees]
    plain = coordinate(retailer, supplier, AdditiveFee(0.0))
    certified = plain.certificate.efficiency_gap + contracts[0].certificate.efficiency_gap
    assert abs(contracts[0].gain - plain.gain) <= certified + rounding(problems_of(SHAPE, 1, seed=7)[0])


@pytest.mark.slow
def test_the_price_changes_with_a_deviation_fee_as_its_schedule_does():
    """Forward, by differences and by hand: 30 units more at one dock and 30 less at the other."""
    retailer = Retailer(unit_cost=[[1, 5], [2, 3]], demand=[40, 60], margin=20)
    supplier = Supplier(unit_cost=[[10, 5], [1, 2]], capacity=[100, 10], margin=20)

    def price(charge: float | jax.Array) -> jax.Array:
        return coordinate(retailer, supplier, DeviationFee(over=charge, under=charge)).price

    at, step = 0.5, 1e-3
    slope = float(jax.grad(price)(at))
    assert slope == pytest.approx(60.0, abs=1e-3)
    assert (price(at + step) - price(at - step)) / (2 * step) == pytest.approx(slope, abs=1e-2)
