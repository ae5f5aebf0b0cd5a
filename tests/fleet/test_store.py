"""Lanes kept on a device: the same answers as with lanes on the host, and little of it comes back."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxcpp.fleet import store
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from tests.fleet.answers import files
from tests.fleets import random_sample, read


@pytest.fixture(params=["host", "device"])
def place(request, monkeypatch):
    """Lanes on the host, and as on any device with a memory of its own."""
    monkeypatch.setattr(store, "away", lambda: request.param == "device")
    return store.place


def test_some_lanes_taken_and_put_back(place):
    tree = place({"a": np.arange(6.0), "b": np.arange(12, dtype=np.int32).reshape(6, 2)})
    assert store.count(tree) == 6
    index = np.array([4, 1, 1])
    taken = store.take(tree, index)
    np.testing.assert_array_equal(taken["a"], [4.0, 1.0, 1.0])
    changed = store.put(store.mine(tree), jax.tree.map(lambda leaf: -leaf, taken), index, 6)
    np.testing.assert_array_equal(changed["a"], [0.0, -1.0, 2.0, 3.0, -4.0, 5.0])
    np.testing.assert_array_equal(changed["b"][4], [-8, -9])
    fresh = store.put(None, taken, index, 7)
    np.testing.assert_array_equal(fresh["a"], [0.0, 1.0, 0.0, 0.0, 4.0, 0.0, 0.0])
    np.testing.assert_array_equal(tree["a"], np.arange(6.0))
    filled_up = store.put(store.mine(tree), taken, np.array([0, store.NOWHERE, store.NOWHERE]), 6)
    np.testing.assert_array_equal(filled_up["a"], [4.0, 1.0, 2.0, 3.0, 4.0, 5.0])


def test_all_lanes_in_order_are_the_tree_itself_on_a_device(monkeypatch):
    monkeypatch.setattr(store, "away", lambda: True)
    tree = store.place({"a": np.arange(3.0)})
    assert store.take(tree, np.arange(3)) is tree
    assert store.take(tree, np.array([0, 2, 1])) is not tree


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        pytest.param(Settings(batch=8, method="admm", tolerance=1e-4), marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.slow
def test_a_fleet_on_a_device_is_planned_as_on_the_host(tmp_path, monkeypatch, settings):
    fleet = read(random_sample(3, 12).tables(), tmp_path / "fleet")
    here = files(plan_fleet(fleet, settings), tmp_path / "here")
    monkeypatch.setattr(store, "away", lambda: True)
    there = files(plan_fleet(fleet, settings), tmp_path / "there")
    assert here == there
