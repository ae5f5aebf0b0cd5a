"""The two weeks worked out by hand in docs/horizon.md, to the cent."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.fleet.rules import FeeRule
from jaxcpp.fleet.settings import Settings
from tests.fleets import from_problems, read
from tests.horizon.rolls import hand_problem, rolled

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
    found = rolled(fleet, weeks=2, window=2, solve=Settings(fees=(FeeRule(additive=5.0),), tolerance=1e-7))
    np.testing.assert_allclose(found.each("price")[:, 0], (55.0, 45.0), atol=CENT)
    assert found.summary["cumulative_retailer_gain"][-1] == pytest.approx(10.0, abs=CENT)


def test_base_stock_that_covers_two_weeks(fleet):
    """Position up to 40 in week 0: all of both weeks' demand at the near node; nothing in week 1."""
    found = rolled(fleet, weeks=2, window=2, policy="target", cover=2)
    np.testing.assert_allclose(found.each("delivered_jit")[:, 0], (20.0, 20.0), atol=CENT)
    assert "confirm 20 of the 40" in found.weeks[0]["contracts"]["reason"][0]
