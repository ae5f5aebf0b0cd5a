"""The audit finds no lie that pays on a price schedule, and finds those that an ex-post fee pays for."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.fleet.audit import audit_fleet
from jaxcpp.fleet.misreports import misreported
from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from tests.fleets import random_sample, read

pytestmark = pytest.mark.slow

CONTRACTS = 48


def test_only_a_fee_charged_afterwards_pays_for_lies(tmp_path):
    fleet = read(random_sample(7, CONTRACTS).tables(), tmp_path / "fleet")
    schedule = audit_fleet(fleet, Settings(fees=(FeeRule(additive=1.0, multiplicative=0.3),)), 4)
    assert schedule["tried"].sum() >= 2 * CONTRACTS
    assert not schedule["gained"].any()
    tried = schedule["tried"] > 0
    assert (schedule["regret"] <= schedule["slack"])[tried].all()
    after = audit_fleet(fleet, Settings(fees=(FeeRule(roi_ex_post=3.0),)), 4)
    assert after["gained"].any()
    assert np.max(after["regret"][after["gained"]]) > 1.0


def test_no_lie_about_capacity_pays_where_orders_are_voluntary(tmp_path):
    sample = random_sample(7, CONTRACTS)
    for row in sample.rows["offers"]:
        row["margin"] = 0.3 * row["margin"]  # many orders are filled at a loss, if they must be
    fleet = read(sample.tables(), tmp_path / "fleet")
    found = audit_fleet(fleet, Settings(fees=(FeeRule(additive=1.0),), just_in_time="voluntary"), 6)
    assert not found["gained"].any()
    assert found["tried"].sum() >= 3 * CONTRACTS


def test_lies_are_about_the_vendors_own_numbers(tmp_path):
    fleet = read(random_sample(7, 8).tables(), tmp_path / "fleet")
    seen = set()
    for seed in range(12):
        lied = misreported(fleet, np.random.default_rng(seed))
        assert lied.products is fleet.products
        assert lied.demand is fleet.demand
        assert lied.outbound_lanes is fleet.outbound_lanes
        seen |= {name for name, one, other in (
            ("costs", fleet.inbound_lanes.unit_cost, lied.inbound_lanes.unit_cost),
            ("margins", fleet.offers.margin, lied.offers.margin),
            ("capacity", fleet.sources.capacity, lied.sources.capacity),
        ) if not np.array_equal(one, other)}  # fmt: skip
    assert seen == {"costs", "margins", "capacity"}
