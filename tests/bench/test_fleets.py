"""Fleets of the bench are the bundled one's: its first week, and as many products as asked for."""

from __future__ import annotations

import numpy as np
import pytest

from bench import cold, fleets
from jaxcpp.fleet.contracts import contracts
from jaxcpp.fleet.pack import Packer


@pytest.fixture(scope="module")
def iowa():
    return fleets.fleet_called("iowa")


def lanes(fleet):
    packer = Packer(fleet, contracts(fleet))
    return [packer.lane(index) for index in range(len(packer.found))]


def test_a_few_products_are_those_of_the_fleet(iowa):
    few = fleets.of_size(iowa, 7)
    chosen = np.arange(7) * len(iowa.product_ids) // 7
    assert [name.split("~")[0] for name in few.product_ids] == list(iowa.product_ids[chosen])
    whole = Packer(iowa, contracts(iowa))
    for found, product in zip(lanes(few), few.product_ids[contracts(few).product], strict=True):
        original = int(np.flatnonzero(iowa.product_ids[whole.found.product] == product.split("~")[0])[0])
        expected = whole.lane(original)
        for name in ("nodes", "region", "demand", "week", "outbound", "inbound", "capacity"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_more_products_than_there_are_repeat(iowa):
    few = fleets.of_size(iowa, 3)
    many = fleets.of_size(few, 7)
    assert len(set(many.product_ids)) == 7
    assert list(many.product_ids) == sorted(many.product_ids)
    total = np.bincount(few.demand.product, few.demand.units)
    found = np.bincount(many.demand.product, many.demand.units)
    np.testing.assert_array_equal(found, total[[0, 0, 0, 1, 1, 2, 2]])
    assert len(lanes(many)) == 7


def test_one_week_is_the_first(iowa):
    few = fleets.of_size(iowa, 40)
    week = fleets.one_week(few)
    first = few.demand.week == 0
    assert week.weeks == 1
    assert week.demand.units.sum() == few.demand.units[first].sum()
    assert len(week.product_ids) == len(np.unique(few.demand.product[first]))
    for lane in lanes(week):
        assert lane.capacity.shape[1] == 1
        assert (lane.week == 0).all()


def test_a_name_that_is_no_fleet_is_refused():
    with pytest.raises(ValueError, match="iowa-N"):
        fleets.fleet_called("ohio-3")


@pytest.mark.slow
def test_a_cold_start_is_timed_to_its_first_batch(tmp_path):
    found = cold.one("toy", tmp_path)
    assert 0.0 < found["first"] <= found["all"]
    assert found["contracts"] == 1
