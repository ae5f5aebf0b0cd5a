"""Fees tuned on a prior: the textbook's fee, groups that pay, a floor on participation."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.mechanism import tuning

ONE = np.zeros(1, int)


def uniform(most: float, draws: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.0, most, (1, draws))


@pytest.mark.parametrize("most", [1.0, 250.0])
def test_gains_uniform_to_b_ask_for_half_of_b(most):
    gains = uniform(most, 4000)
    fee = tuning.tune(gains, ONE, 1)[0]
    error = tuning.standard_error(gains, ONE, 1)[0]
    assert 0.0 < error < 0.1 * most
    assert abs(fee - most / 2.0) <= 3.0 * error
    fresh = tuning.worth(np.array([fee]), uniform(most, 4000, seed=1), ONE)
    assert abs(fresh.take[0] - most / 4.0) <= 4.0 * fresh.take_error[0] + 0.01 * most / 4.0


def test_no_worse_than_a_grid_on_the_same_draws():
    rng = np.random.default_rng(3)
    gains, group = rng.lognormal(1.0, 1.5, (60, 40)), np.repeat(np.arange(3), 20)
    fee = tuning.tune(gains, group, 3)
    best, _ = tuning.by_grid(gains, group, 3, np.linspace(0.0, 30.0, 301))
    reached, grid = (tuning.objective(tuning.worth(each, gains, group), 0.0) for each in (fee, best))
    assert np.all(reached >= 0.98 * grid)


def test_segments_with_costs_that_move_together_pay_for_fees_of_their_own():
    """Half of the vendors can save ten times as much: one fee for all leaves money with one half."""
    rng = np.random.default_rng(5)
    common = rng.lognormal(0.0, 0.3, (2, 400))
    scale = np.array([10.0, 100.0])
    segment = np.repeat([0, 1], 30)
    gains = scale[segment][:, None] * common[segment] * rng.lognormal(0.0, 0.2, (60, 400))
    apart = tuning.tune(gains, segment, 2)
    together = tuning.tune(gains, np.zeros(60, int), 1)
    fresh_common = rng.lognormal(0.0, 0.3, (2, 400))
    fresh = scale[segment][:, None] * fresh_common[segment] * rng.lognormal(0.0, 0.2, (60, 400))
    own = tuning.worth(apart, fresh, segment)
    one = tuning.worth(together, fresh, np.zeros(60, int))
    assert own.take.sum() - one.take.sum() > 2.0 * (np.hypot(*own.take_error) + one.take_error[0])


def test_a_floor_on_participation_holds_on_the_draws():
    gains = uniform(100.0, 2000)
    free = tuning.worth(tuning.tune(gains, ONE, 1), gains, ONE)
    assert free.participation[0] < 0.7
    fee = tuning.tune(gains, ONE, 1, floor=0.8)
    held = tuning.worth(fee, gains, ONE)
    assert held.participation[0] >= 0.8
    assert fee[0] == pytest.approx(20.0, rel=0.1)  # the floor binds: the highest fee that keeps it


def test_with_full_weight_on_the_vendors_no_fee_is_best():
    gains = uniform(10.0, 500)
    fee = tuning.tune(gains, ONE, 1, weight=1.0)
    value = tuning.objective(tuning.worth(fee, gains, ONE), 1.0)
    assert value[0] == pytest.approx(gains.mean(), rel=1e-6)


@pytest.mark.parametrize("gains", [np.zeros((2, 3)), np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 0.0]])])
def test_without_gains_no_fee_is_asked(gains):
    fee = tuning.tune(gains, np.array([0, 1]), 2, floor=0.5)
    np.testing.assert_array_equal(fee, 0.0)


def test_the_same_draws_give_the_same_fee():
    gains = uniform(10.0, 300)
    np.testing.assert_array_equal(tuning.tune(gains, ONE, 1, seed=4), tuning.tune(gains, ONE, 1, seed=4))


def test_worth_by_hand():
    gains = np.array([[10.0, 2.0], [6.0, 0.0], [1.0, 8.0]])
    value = tuning.worth(np.array([5.0, 3.0]), gains, np.array([0, 0, 1]))
    np.testing.assert_allclose(value.take, [5.0, 1.5])
    np.testing.assert_allclose(value.kept, [3.0, 2.5])
    np.testing.assert_allclose(value.participation, [2.0 / 3.0, 0.5])
    np.testing.assert_allclose(value.take_error, [5.0, 1.5])
