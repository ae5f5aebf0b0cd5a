"""A second night is told beside a first one, once both are known to agree."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import second_night
from jaxcpp.transport import kernels
from tests.fleets import random_sample, read


@pytest.mark.slow
def test_what_is_stored_of_both_nights(tmp_path):
    read(random_sample(4, 6).tables(), tmp_path / "small")
    asked = [str(tmp_path / "small"), "--results", str(tmp_path), "--tolerance", "1e-5"]
    assert second_night.main(asked) == 0
    found = json.loads((tmp_path / "second-night-small-cpu.json").read_text("utf-8"))
    assert found["change"] == 0.1
    assert found["cold"]["status"] == found["warm"]["status"]
    assert ("search" in found) == (not kernels.shut())
    for row in found.get("search", {}).values():
        assert 0.0 < row["rounds_median"] <= row["rounds_most"]
        assert row["microseconds"] > 0.0


def test_demand_changes_by_no_more_than_the_share(tmp_path):
    fleet = read(random_sample(4, 2).tables(), tmp_path / "small")
    ratio = second_night.changed(fleet, 0.1, seed=0).demand.units / np.where(
        fleet.demand.units > 0.0, fleet.demand.units, np.nan
    )
    assert np.nanmin(ratio) >= 0.9
    assert np.nanmax(ratio) <= 1.1
    assert np.nanstd(ratio) > 0.01
