"""Fees tuned on menus: the textbook's fee, choices that move, groups that pay, a floor on participation."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.mechanism import tuning
from jaxcpp.mechanism.tuning import NOTHING, Menus, Pairs

pytestmark = pytest.mark.slow

DRAWS = 1000


def table(gains: np.ndarray, group: np.ndarray | None = None) -> tuple[Menus, Pairs]:
    """One plan a contract, whatever the fee: (contract, draw) gains, as an additive fee meets them."""
    contracts, draws = gains.shape
    of = np.zeros(contracts, int) if group is None else group
    menus = Menus(gains.reshape(-1, 1), np.ones((gains.size, 1, 1)))
    pairs = Pairs(
        np.repeat(of, draws), np.tile(np.arange(draws), contracts), np.maximum(gains.ravel(), 0.0),
        int(of.max()) + 1, draws,
    )  # fmt: skip
    return menus, pairs


def uniform(most: float, draws: int, seed: int = 0) -> tuple[Menus, Pairs]:
    return table(np.random.default_rng(seed).uniform(0.0, most, (1, draws)))


@pytest.mark.parametrize("most", [1.0, 250.0])
def test_gains_uniform_to_b_ask_for_half_of_b(most):
    seen = uniform(most, DRAWS)
    fee = tuning.tune(*seen)
    error = tuning.standard_error(fee, *seen)
    assert 0.0 < error[0, 0] < 0.1 * most
    assert abs(fee[0, 0] - most / 2.0) <= 3.0 * error[0, 0]
    fresh = tuning.worth(fee, *uniform(most, DRAWS, seed=1))
    assert abs(fresh.take[0] - most / 4.0) <= 4.0 * fresh.take_error[0] + 0.01 * most / 4.0


def test_no_worse_than_a_grid_on_the_same_draws():
    rng = np.random.default_rng(3)
    seen = table(rng.lognormal(1.0, 1.5, (60, 40)), np.repeat(np.arange(3), 20))
    reached = tuning.objective(tuning.worth(tuning.tune(*seen), *seen), 0.0)
    grid = [tuning.worth(np.full((3, 1), fee), *seen).take for fee in np.linspace(0.0, 30.0, 301)]
    assert np.all(reached >= 0.98 * np.max(grid, axis=0))


def test_segments_with_costs_that_move_together_pay_for_fees_of_their_own():
    """Half of the vendors can save ten times as much: one fee for all leaves money with one half."""
    rng = np.random.default_rng(5)
    scale, segment = np.array([10.0, 100.0]), np.repeat([0, 1], 5)

    def gains() -> np.ndarray:
        common = rng.lognormal(0.0, 0.3, (2, 200))
        return scale[segment][:, None] * common[segment] * rng.lognormal(0.0, 0.2, (10, 200))

    seen, fresh = gains(), gains()
    apart, together = tuning.tune(*table(seen, segment)), tuning.tune(*table(seen))
    own, one = tuning.worth(apart, *table(fresh, segment)), tuning.worth(together, *table(fresh))
    assert own.take.sum() - one.take.sum() > 2.0 * (np.hypot(*own.take_error) + one.take_error[0])


def test_a_floor_on_participation_holds_on_the_draws():
    seen = uniform(100.0, DRAWS)
    assert tuning.worth(tuning.tune(*seen), *seen).participation[0] < 0.7
    fee = tuning.tune(*seen, floor=0.8)
    assert tuning.worth(fee, *seen).participation[0] >= 0.8
    # The floor binds: the highest fee that keeps it.
    assert fee[0, 0] == pytest.approx(np.quantile(seen[0].worth, 0.2), rel=1e-2)


def test_with_full_weight_on_the_vendors_no_fee_is_best():
    seen = uniform(10.0, DRAWS)
    value = tuning.objective(tuning.worth(tuning.tune(*seen, weight=1.0), *seen), 1.0)
    assert value[0] == pytest.approx(seen[0].worth.mean(), rel=1e-6)


@pytest.mark.parametrize("gains", [np.zeros((2, 3)), np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 0.0]])])
def test_without_gains_no_fee_is_asked(gains):
    fee = tuning.tune(*table(gains, np.array([0, 1])), floor=0.5)
    np.testing.assert_array_equal(fee, 0.0)


def test_the_same_draws_give_the_same_fee():
    seen = uniform(10.0, DRAWS)
    np.testing.assert_array_equal(tuning.tune(*seen, seed=4), tuning.tune(*seen, seed=4))


def test_worth_by_hand():
    seen = table(np.array([[10.0, 2.0], [6.0, 0.0], [1.0, 8.0]]), np.array([0, 0, 1]))
    value = tuning.worth(np.array([[5.0], [3.0]]), *seen)
    np.testing.assert_allclose(value.take, [5.0, 1.5])
    np.testing.assert_allclose(value.kept, [3.0, 2.5])
    np.testing.assert_allclose(value.participation, [2.0 / 3.0, 0.5])
    np.testing.assert_allclose(value.take_error, [5.0, 1.5])


def two_plans() -> tuple[Menus, Pairs]:
    """A far plan, worth 12 and charged on 3 units; a near one, worth 8 and charged on 1; one not there."""
    menus = Menus(np.array([[12.0, 8.0, NOTHING]]), np.array([[[3.0], [1.0], [0.0]]]))
    return menus, Pairs(np.zeros(1, int), np.zeros(1, int), np.array([12.0]), 1, 1)


@pytest.mark.parametrize(
    ("charge", "take", "kept"), [(1.0, 3.0, 9.0), (1.99, 5.97, 6.03), (2.01, 2.01, 5.99), (8.01, 0.0, 0.0)]
)
def test_a_vendor_moves_to_the_plan_that_is_charged_less(charge, take, kept):
    value = tuning.worth(np.array([[charge]]), *two_plans())
    assert (value.take[0], value.kept[0]) == pytest.approx((take, kept))


def test_the_best_charge_is_below_the_one_at_which_no_plan_is_left():
    """Up to 2 the far plan brings 6, up to 8 the near one brings 8: the second is better, and found."""
    fee = tuning.tune(*two_plans())
    assert 0.8 * 8.0 < tuning.worth(fee, *two_plans()).take[0] <= 8.0


def test_a_number_that_only_drives_vendors_away_is_left_at_nought():
    """Charged a contract and a unit: half of the contracts have units without end and are worth as much."""
    rng = np.random.default_rng(2)
    units = np.stack([np.ones(400), np.where(rng.random(400) < 0.5, 1000.0, 0.0)], axis=1)[:, None, :]
    menus = Menus(np.full((400, 1), 10.0), units)
    pairs = Pairs(np.zeros(400, int), np.repeat(np.arange(8), 50), np.full(400, 10.0), 1, 8)
    fee = tuning.tune(menus, pairs)[0]
    assert 8.0 < fee[0] <= 10.0
    assert 1000.0 * fee[1] + fee[0] < 10.0
    held = tuning.tune(menus, pairs, floor=1.0)
    assert tuning.worth(held, menus, pairs).participation[0] == 1.0


def test_a_floor_over_several_numbers_scales_all_of_them():
    menus, pairs = two_plans()
    wide = Menus(menus.worth, np.concatenate([menus.units, np.ones((1, 3, 1))], axis=2))
    times = tuning.reach(np.array([[1.0, 3.0]]), wide, pairs, 1.0)
    assert times[0] == pytest.approx(2.0)  # (12 / 6, 8 / 4)
    assert np.isinf(tuning.reach(np.array([[1.0, 3.0]]), wide, pairs, 0.0)[0])


def test_a_sample_stands_for_the_fleet():
    menus, pairs = two_plans()
    whole = tuning.worth(np.array([[1.0]]), menus, pairs._replace(each=4.0))
    assert (whole.take[0], whole.kept[0], whole.participation[0]) == pytest.approx((12.0, 36.0, 1.0))
