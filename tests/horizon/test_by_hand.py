"""The two weeks worked out by hand in docs/horizon.md, to the cent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxcpp.fleet.roll import Roll
from jaxcpp.fleet.roll_layout import week_columns
from jaxcpp.fleet.roll_settings import RollSettings
from jaxcpp.fleet.rules import FeeRule
from tests.fleets import from_problems, read
from tests.horizon.rolls import TIGHT, hand_problem, rolled

CENT = 0.005


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return read(from_problems({"rum": hand_problem()}).tables(), tmp_path_factory.mktemp("hand") / "fleet")


def test_one_week_binds(fleet):
    found = rolled(fleet, weeks=2, window=2)
    for name, expected in {
        "cbt": (50.0, 40.0),
        "paid": (50.0, 40.0),
        "window_cbt": (90.0, 40.0),
        "retailer_shipping_plan": (30.0, 90.0),
        "retailer_holding_plan": (10.0, 0.0),
        "supplier_shipping_plan": (20.0, 20.0),
        "supplier_holding_plan": (0.0, 0.0),
        "on_hand_plan": (10.0, 0.0),
        "delivered_plan": (20.0, 20.0),
        "retailer_shipping_jit": (10.0, 30.0),
        "supplier_shipping_jit": (60.0, 180.0),
        "supplier_holding_jit": (20.0, 0.0),
        "vendor_stock_jit": (10.0, 0.0),
        "built_jit": (20.0, 20.0),
    }.items():
        np.testing.assert_allclose(found.each(name)[:, 0], expected, atol=CENT, err_msg=name)
    assert found.summary["cumulative_gain"][-1] == pytest.approx(130.0, abs=CENT)
    assert found.summary["cumulative_supplier_surplus"][-1] == pytest.approx(130.0, abs=CENT)
    assert found.summary["cumulative_retailer_gain"] == pytest.approx([0.0, 0.0], abs=CENT)


def test_all_weeks_bind(fleet):
    found = rolled(fleet, weeks=2, window=2, commit=2)
    np.testing.assert_allclose(found.each("cbt")[:, 0], (90.0, 0.0), atol=CENT)
    np.testing.assert_allclose(found.each("settled")[:, 0], 0.0, atol=CENT)
    np.testing.assert_allclose(found.each("churn")[:, 0], 0.0, atol=CENT)
    plans = found.weeks[1]["plans"]
    baseline = dict(zip(plans["inbound_id"], plans["baseline_units"], strict=True))
    assert baseline["depot"] == pytest.approx(20.0, abs=CENT)  # the plan of record stands
    assert found.summary["cumulative_supplier_surplus"][-1] == pytest.approx(130.0, abs=CENT)


def test_a_fee_is_charged_each_week(fleet):
    found = rolled(fleet, weeks=2, window=2, solve=replace(TIGHT, fees=(FeeRule(additive=5.0),)))
    np.testing.assert_allclose(found.each("price")[:, 0], (55.0, 45.0), atol=CENT)
    assert found.summary["cumulative_retailer_gain"][-1] == pytest.approx(10.0, abs=CENT)


@pytest.mark.slow
def test_base_stock_that_covers_two_weeks(fleet):
    """Position up to 40 in week 0: all of both weeks' demand at the near node; nothing in week 1."""
    found = rolled(fleet, weeks=2, window=2, policy="target", cover=2)
    np.testing.assert_allclose(found.each("delivered_jit")[:, 0], (20.0, 20.0), atol=CENT)
    assert "confirm 20 of the 40" in found.weeks[0]["contracts"]["reason"][0]


def test_a_commitment_that_cannot_be_kept_is_settled(tmp_path):
    """20 are on record at the far node for week 1 when the vendor finds that it can make 5.

    15 units are lost: the margin of 20 and the cost of 1, less the 3 that shipping them would have cost.
    """
    problem = replace(hand_problem(), lost_sale=1.0)
    fleet = read(from_problems({"rum": problem}).tables(), tmp_path / "fleet")
    roll = Roll(replace(fleet, currency="USD"), RollSettings(weeks=2, window=2, commit=2, solve=TIGHT))
    done = roll.week(0, roll.start())
    roll.groups[0].capacity[0, :, 1] = [5.0]
    states = [group.states for group in done]
    contracts = week_columns(roll, 1, roll.week(1, states))["contracts"]
    assert contracts["settled"][0] == pytest.approx(15 * (20 + 1 - 3), abs=CENT)
    assert "the vendor pays 270.00 USD, what it costs the retailer" in contracts["reason"][0]
    assert contracts["cbt"][0] == pytest.approx(0.0, abs=CENT)
    assert contracts["sold_plan"][0] == pytest.approx(15.0, abs=CENT)


def test_a_commitment_that_nobody_wants_any_more_is_settled(tmp_path):
    """20 are on record for week 1, 10 are kept, and demand turns out to be 12: 18 units are cancelled."""
    fleet = read(from_problems({"rum": hand_problem()}).tables(), tmp_path / "fleet")
    roll = Roll(replace(fleet, currency="USD"), RollSettings(weeks=2, window=2, commit=2, solve=TIGHT))
    done = roll.week(0, roll.start())
    roll.groups[0].demand[0, 0, 1] = 12.0
    contracts = week_columns(roll, 1, roll.week(1, [group.states for group in done]))["contracts"]
    assert contracts["cancelled"][0] == pytest.approx(18.0, abs=CENT)
    assert contracts["settled"][0] == pytest.approx(-18 * 20.0, abs=CENT)
    assert "18 units of the plan of record are cancelled" in contracts["reason"][0]
    assert "the vendor's margin on them, 360.00 USD" in contracts["reason"][0]
    assert contracts["sold_plan"][0] == pytest.approx(12.0, abs=CENT)
