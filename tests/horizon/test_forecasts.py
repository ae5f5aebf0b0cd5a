"""A roll on forecasts from the fleet's own table: what is planned is what was said, and when."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jaxcpp.fleet.roll import Roll
from jaxcpp.fleet.roll_settings import RollError, RollSettings
from jaxcpp.tables.schema import FLEET
from tests.fleets import from_problems, read
from tests.horizon.rolls import hand_problem, random_problems, rolled

pytestmark = pytest.mark.slow

CENT = 0.005
WEEKS = 4


def fleet_with(folder, problems, rows):
    """A fleet with forecasts (product, region, made in, week, units)."""
    tables = from_problems(problems).tables()
    names = FLEET["forecast"].by_name
    tables["forecast"] = pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows], schema=FLEET["forecast"].arrow
    )
    return read(tables, folder)


def ordered(found, week):
    """Units just in time by week of delivery, as ordered in a week."""
    plans = found.weeks[week]["plans"]
    return dict(zip(plans["week"].tolist(), plans["jit_units"].tolist(), strict=True))


def test_a_perfect_table_is_a_perfect_forecast(tmp_path):
    problems = random_problems(contracts=3, weeks=WEEKS)
    said = [
        (row["product_id"], row["region_id"], 0, row["week"], row["units"])
        for row in from_problems(problems).rows["demand"]
    ]
    fleet = fleet_with(tmp_path / "fleet", problems, said)
    settings = {"weeks": WEEKS, "window": 3}
    table, perfect = (rolled(fleet, forecast=kind, **settings) for kind in ("table", "perfect"))
    for name in ("gain", "cbt", "sold_plan", "delivered_plan", "retailer_profit_plan", "supplier_profit_jit"):
        np.testing.assert_allclose(table.each(name), perfect.each(name), atol=1e-4, err_msg=name)


def test_the_last_forecast_made_is_the_one_that_counts(tmp_path):
    """Week 0 expects 8 and 20; week 1 knows better, and is silent about week 0 for good."""
    said = [("rum", "north", 0, 0, 8.0), ("rum", "north", 0, 1, 20.0), ("rum", "north", 1, 1, 26.0)]
    found = rolled(
        fleet_with(tmp_path / "fleet", {"rum": hand_problem()}, said), weeks=2, window=2, forecast="table"
    )
    assert ordered(found, 0) == {0: pytest.approx(8.0, abs=CENT), 1: pytest.approx(20.0, abs=CENT)}
    assert found.each("sold_jit")[0, 0] == pytest.approx(8.0, abs=CENT)  # of the 10 that came
    # Two are past due, where that may be; here they are lost, and 20 of the 26 can be made.
    assert ordered(found, 1)[1] == pytest.approx(20.0, abs=CENT)


def test_a_forecast_is_not_known_before_it_is_made(tmp_path):
    said = [("rum", "north", 0, 1, 5.0), ("rum", "north", 1, 1, 30.0)]
    problem = hand_problem()
    found = rolled(
        fleet_with(tmp_path / "fleet", {"rum": problem}, said), weeks=1, window=2, forecast="table"
    )
    assert ordered(found, 0) == {1: pytest.approx(5.0, abs=CENT)}


def test_a_new_forecast_drops_what_it_does_not_speak_of(tmp_path):
    said = [("rum", "north", 0, 0, 10.0), ("rum", "north", 0, 1, 30.0), ("rum", "north", 1, 1, 0.0)]
    found = rolled(
        fleet_with(tmp_path / "fleet", {"rum": hand_problem()}, said), weeks=2, window=2, forecast="table"
    )
    assert sum(ordered(found, 1).values()) == pytest.approx(0.0, abs=CENT)


def test_a_region_that_only_the_forecast_knows_is_planned_for(tmp_path):
    tables = from_problems({"rum": hand_problem()}).tables()
    lanes = tables["outbound_lanes"].to_pylist()
    lanes.append({**lanes[0], "inbound_id": "quay", "region_id": "isle", "unit_cost": 2.0})
    tables["outbound_lanes"] = pa.Table.from_pylist(lanes, schema=FLEET["outbound_lanes"].arrow)
    rows = [{"product_id": "rum", "region_id": "isle", "made_in": 0, "week": 0, "units": 4.0}]
    tables["forecast"] = pa.Table.from_pylist(rows, schema=FLEET["forecast"].arrow)
    found = rolled(read(tables, tmp_path / "fleet"), weeks=1, window=2, forecast="table")
    assert ordered(found, 0) == {0: pytest.approx(4.0, abs=CENT)}
    # The 4 come and serve those who really ask.
    assert found.each("sold_jit")[0, 0] == pytest.approx(4.0, abs=CENT)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no forecast table; add forecast.parquet"),
        ([("rum", "north", 1, 1, 1.0)], "no row made in week 0 or before for product_id 'rum'"),
    ],
)
def test_a_roll_without_forecasts_is_refused(tmp_path, rows, words):
    fleet = fleet_with(tmp_path / "fleet", {"rum": hand_problem()}, rows)
    with pytest.raises(RollError, match=words):
        Roll(fleet, RollSettings(weeks=1, window=2, forecast="table"))
