"""Fleets of the bench are the bundled one's: its first week, and as many products as asked for."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from rich.console import Console

from bench import cold, fleets
from jaxcpp.fleet.contracts import contracts
from jaxcpp.fleet.pack import Packer
from jaxcpp.fleet.settings import Progress


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


def test_a_cold_start_ends_its_first_batch_when_the_command_says_so(tmp_path, monkeypatch):
    from jaxcpp.cli import app, progress

    out = tmp_path / "first.json"

    def run():
        with progress.progress_bar(Console()) as note:
            note(Progress(total=3, done=0, certified=0, worst_gap=0.0))
            assert not out.exists()
            note(Progress(total=3, done=2, certified=2, worst_gap=0.0))
            first = out.read_text()
            note(Progress(total=3, done=3, certified=3, worst_gap=0.0))
            assert out.read_text() == first

    monkeypatch.setattr(progress, "progress_bar", progress.progress_bar)  # put back afterwards
    monkeypatch.setattr("sys.argv", [])
    monkeypatch.setattr(app, "main", run)
    before = time.time()
    cold.command("fleet", "run", str(out))
    told = json.loads(out.read_text())
    assert told["total"] == 3
    assert before <= told["at"] <= time.time()


def test_cold_starts_are_told_by_cache():
    runs = [{"first": 2.0, "all": 3.0, "contracts": 1, "platform": "cpu", "device": "cpu (cpu)"}]
    line = cold.row("toy", "empty", runs)
    assert (line["label"], line["solve"], line["all"]) == ("toy, cache empty", [2.0], [3.0])
