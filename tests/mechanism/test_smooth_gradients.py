"""Smoothed contracts: derivatives by central differences for every parameter, and the laws that hold."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp import (
    AdditiveFee,
    Contract,
    DeviationFee,
    MultiplicativeFee,
    Retailer,
    Supplier,
    coordinate,
)
from tests.mechanism.differences import Params, by_lane, contracts, directions, fee_of, moved, outputs, push

SMOOTHING, STEP, CLOSE, LANES = 0.4, 1e-3, 1e-5, 12
FLAGS: dict[str, dict[str, bool]] = {
    "stock": {"inventory": True, "backlog": True, "lost_sales": True},
    "holes": {"holes": True, "leftovers": True},
}
TOY = (
    Retailer(unit_cost=[[1, 5], [2, 3]], demand=[40, 60], margin=20),
    Supplier(unit_cost=[[10, 5], [1, 2]], capacity=[100, 10], margin=20),
)


@cache
def program(**options: Any) -> Any:
    return by_lane(outputs, **options)


def extrapolated(params: Params, both: Any, along: Params) -> np.ndarray:
    """Central differences at two steps, what is of the step's second order taken out."""
    run = program(smoothing=SMOOTHING)
    near, far = (
        (run(moved(params, along, step), both) - run(moved(params, along, -step), both)) / (2.0 * step)
        for step in (STEP, 2.0 * STEP)
    )
    return np.asarray(4.0 * near - far) / 3.0


@pytest.mark.slow
@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_central_differences_for_every_parameter(flags):
    params, both = contracts(LANES, 5, **flags)
    forward = by_lane(push, smoothing=SMOOTHING)
    for name, along in directions(params, 7):
        analytic, numeric = np.asarray(forward(params, both, along)), extrapolated(params, both, along)
        scale = np.abs(numeric).max(axis=1, keepdims=True) + 1e-3
        assert np.max(np.abs(analytic - numeric) / scale) <= CLOSE, name
        if name == "fee.alpha":  # the price moves with it one for one, exactly, and the transfer not at all
            offered = np.asarray(program(smoothing=SMOOTHING)(params, both))[:, 0] != 0.0
            assert offered.any()
            np.testing.assert_array_equal(analytic[:, 0], np.where(offered, along["fee"]["alpha"], 0.0))
            np.testing.assert_array_equal(analytic[:, 1], 0.0)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_forward_and_reverse_agree_and_a_batch_is_its_lanes():
    """`w (J v) = (w J) v` for every leaf, and `vmap` of the reverse pass is a loop over it."""
    params, both = contracts(3, 6, lost_sales=True)

    def pull(numbers: Params, parties: Any, weights: jax.Array) -> Params:
        return jax.vjp(lambda p: outputs(p, parties, smoothing=SMOOTHING), numbers)[1](weights)[0]

    weights = np.random.default_rng(0).normal(size=program(smoothing=SMOOTHING)(params, both).shape)
    back = jax.jit(jax.vmap(pull))(params, both, weights)
    one = jax.jit(pull)
    for lane in range(3):
        alone = one(*jax.tree.map(lambda leaf, lane=lane: jnp.asarray(leaf)[lane], (params, both, weights)))
        jax.tree.map(
            lambda a, b, lane=lane: np.testing.assert_allclose(a[lane], b, rtol=1e-7, atol=1e-9), back, alone
        )
    forward = by_lane(push, smoothing=SMOOTHING)
    for _, along in directions(params, 8):
        there = np.sum(weights * forward(params, both, along), axis=1)
        here = sum(
            np.sum(np.asarray(a * b).reshape(3, -1), axis=1)
            for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(along), strict=True)
        )
        np.testing.assert_allclose(there, here, rtol=1e-8, atol=1e-8)


@cache
def batch(smoothing: float) -> Contract:
    """Contracts without a shortage, and any fees."""
    params, (retailer, supplier) = contracts(LANES, 9, lost_sales=True)

    def one(r: Retailer, s: Supplier, fee: dict[str, Any], amount: jax.Array) -> Contract:
        return coordinate(r, s, fee_of(fee), smoothing=amount)

    run = jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None)))
    return run(retailer, supplier, params["fee"], jnp.asarray(smoothing))


@cache
def unsmoothed() -> Contract:
    params, (retailer, supplier) = contracts(LANES, 9, lost_sales=True)
    return jax.jit(jax.vmap(lambda r, s, f: coordinate(r, s, fee_of(f))))(retailer, supplier, params["fee"])


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.02, 0.2, 1.0])
def test_the_mechanism_s_laws_hold_between_smoothed_parties(smoothing):
    """Transfer, efficiency lost and a fee-free gain are never negative; price is transfer and fee."""
    made = batch(smoothing)
    least = -1e-7
    assert not np.any(made.status == "not_converged")
    assert np.all(made.cbt >= least)
    assert np.all(made.efficiency_lost >= least)
    np.testing.assert_allclose(made.price, made.cbt + made.fee, rtol=1e-12)
    np.testing.assert_allclose(
        made.supplier_surplus,
        made.supplier.utility_plan - made.supplier.utility_jit - made.price,
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.slow
def test_the_certificate_says_how_far_smoothing_can_shift_the_plan_s_cost():
    """Money spent by the flows of the efficient plan is within `efficiency_gap` of the least there is."""
    amounts = [1.0, 0.3, 0.1, 0.03, 0.01]
    made = [coordinate(*TOY, AdditiveFee(1.0), smoothing=amount) for amount in amounts]
    for one, amount in zip(made, amounts, strict=True):
        gap = float(one.certificate.efficiency_gap)
        assert -1e-6 <= float(one.chain_cost) - 710.0 <= gap
        assert gap <= amount * 210.0 * np.log(3.0)  # both parties' units, three options each at most
        assert abs(float(one.price) - 31.0) <= one.certificate.price_error + gap


@pytest.mark.slow
def test_as_smoothing_goes_so_does_what_it_changes():
    exact, near = unsmoothed(), batch(1e-3)
    same = np.asarray(exact.accepted == near.accepted) & (exact.status == near.status)
    assert np.mean(same) > 0.8
    for name in ("cbt", "gain", "supplier_surplus"):
        np.testing.assert_allclose(getattr(near, name)[same], getattr(exact, name)[same], atol=0.2)


@pytest.mark.slow
def test_second_derivatives_are_symmetric_and_those_of_differences():
    """The price's Hessian in a share, two charges, one lane's cost, demand and capacity."""

    def price(at: jax.Array) -> jax.Array:
        demand, capacity = jnp.asarray([40.0, 60.0]) + at[4], jnp.asarray([100.0, 10.0]) + at[5]
        retailer = Retailer([[1, 5], [2, 3 + at[3]]], demand, 20)
        fee = MultiplicativeFee(at[0]) + DeviationFee(at[1], at[2])
        return coordinate(retailer, Supplier([[10, 5], [1, 2]], capacity, 20), fee, smoothing=1.0).price

    at, step = jnp.asarray([0.1, 0.5, 0.2, 0.1, 0.3, -0.2]), 1e-4
    hessian, slope = np.asarray(jax.jit(jax.hessian(price))(at)), jax.jit(jax.grad(price))
    numeric = np.stack(
        [(slope(at + step * way) - slope(at - step * way)) / (2.0 * step) for way in jnp.eye(6)]
    )
    assert np.abs(hessian - hessian.T).max() <= 1e-9 * np.abs(numeric).max()
    assert np.abs(hessian - numeric).max() <= CLOSE * np.abs(numeric).max()


@pytest.mark.slow
def test_the_linear_map_holds_no_round():
    """What a reverse pass keeps is of one evaluation: no loop is left in it, however long the search."""

    def price(margin: jax.Array, demand: jax.Array) -> jax.Array:
        retailer = Retailer(unit_cost=[[1, 5], [2, 3]], demand=demand, margin=margin)
        return coordinate(retailer, TOY[1], DeviationFee(0.5, 0.2), smoothing=0.5).price

    at = (jnp.asarray(20.0), jnp.asarray([40.0, 60.0]))
    _, along = jax.linearize(price, *at)
    text = str(jax.make_jaxpr(along)(*at))
    assert "while" not in text
    assert "scan" not in text
    assert "cholesky" not in text  # the factor is there already


@pytest.mark.slow
def test_smoothing_and_fees_are_numbers_of_one_program():
    coordinate(*TOY, MultiplicativeFee(0.3), smoothing=0.5)
    with jax.no_tracing(True):
        prices = [
            float(coordinate(*TOY, MultiplicativeFee(share), smoothing=amount).price)
            for share, amount in ((0.0, 0.1), (0.2, 1.0), (1.0, 0.05))
        ]
    assert len(set(prices)) == 3


def test_smoothing_is_refused_in_words():
    with pytest.raises(ValueError, match=r"smoothing must be above 0 \[currency / unit\]; got 0"):
        coordinate(*TOY, smoothing=0.0)
    with pytest.raises(ValueError, match="leave `method`, `max_rounds` and `just_in_time`"):
        coordinate(*TOY, smoothing=0.1, method="admm")
