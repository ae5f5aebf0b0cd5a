"""The rounds that find a fee, on vendors whose plans are written down: nothing is solved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jaxcpp.fleet import tune
from jaxcpp.fleet.tune import Goal, best_fee, by_grid
from jaxcpp.mechanism import tuning
from jaxcpp.mechanism.tuning import Menus, Pairs

PLANS, CONTRACTS, DRAWS = 4, 10, 20


class Written:
    """Vendors with four plans each: the less is charged on one, the less it is worth."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        pairs = CONTRACTS * DRAWS
        units = np.sort(rng.uniform(0.1, 1.0, (pairs, PLANS)), axis=1)
        worth = np.sqrt(units) * rng.lognormal(0.0, 0.3, (pairs, 1))
        self.all = Menus(worth, units[:, :, None])
        self.pairs = Pairs(
            np.zeros(pairs, int), np.repeat(np.arange(DRAWS), CONTRACTS), worth[:, -1], 1, DRAWS
        )
        self.efficient = self.under(("over",), np.zeros((pairs, 1)))
        self.asked = 0

    def under(self, _: Any, fee: np.ndarray) -> Menus:
        self.asked = getattr(self, "asked", 0) + 1
        best = (self.all.worth - np.einsum("pkn,pn->pk", self.all.units, fee)).argmax(axis=1)
        rows = np.arange(len(best))
        return Menus(self.all.worth[rows, best][:, None], self.all.units[rows, best][:, None])


@pytest.fixture(scope="module")
def written() -> Any:
    return Written()


def by_brute_force(written: Any, floor: float) -> float:
    """The most that any of many fees takes with all plans known."""
    found = [
        tuning.worth(np.array([[fee]]), written.all, written.pairs) for fee in np.linspace(0.0, 6.0, 3001)
    ]
    return max(one.take[0] for one in found if one.participation[0] >= floor)


@pytest.mark.parametrize("floor", [0.0, 0.9])
def test_a_few_rounds_find_what_all_plans_would_show(written, floor):
    written.asked = 0
    fee, menus = best_fee(written, ("over",), Goal(floor=floor), seed=0)
    assert written.asked == len(tune.SPREADS)
    reached = tuning.worth(fee, written.all, written.pairs)
    assert reached.participation[0] >= floor
    assert reached.take[0] >= 0.97 * by_brute_force(written, floor)
    # No plan is in a menu twice, and none is there that its vendor does not have.
    for row in range(0, len(menus.worth), 17):
        there = menus.worth[row][menus.worth[row] > tuning.NOTHING]
        assert len(np.unique(there)) == len(there)
        assert set(there) <= set(written.all.worth[row])


def test_the_grid_is_plain_and_knows_the_floor(written):
    fee, points, curve = by_grid(written, ("over",), Goal(floor=0.9))
    assert points.shape == (tune.GRID[True], 1)
    np.testing.assert_allclose(np.diff(points[:, 0]), points[1, 0])
    takes = [one.take[0] if one.participation[0] >= 0.9 else -1.0 for one in curve]
    assert fee[0, 0] == points[int(np.argmax(takes)), 0]
    assert 0.0 < fee[0, 0] < points[-1, 0]


def test_a_lattice_goes_from_point_to_point_beside_it():
    points = tune._lattice(3, 2)
    assert sorted(map(tuple, points)) == [(a, b) for a in (0.0, 0.5, 1.0) for b in (0.0, 0.5, 1.0)]
    assert np.all(np.abs(np.diff(points, axis=0)).sum(axis=1) == 0.5)
