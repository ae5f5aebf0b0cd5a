"""What must hold on any fleet: units are kept, transfers have their sign, nobody is worse off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jaxcpp.fleet.programs import PROGRAMS
from jaxcpp.fleet.roll import Roll
from jaxcpp.fleet.roll_layout import states_of, week_columns
from jaxcpp.fleet.roll_settings import RollError, RollSettings
from jaxcpp.fleet.solve import plan_fleet
from tests.horizon.rolls import TIGHT, random_fleet, rolled

pytestmark = pytest.mark.slow

WEEKS = 4
SLACK = 1e-4
"""Currency: the certificates of a few weeks, of contracts whose costs are about a thousand."""

KINDS: dict[str, dict[str, Any]] = {
    "perfect": {"weeks": WEEKS, "window": WEEKS},
    "binding": {"weeks": WEEKS, "window": WEEKS, "commit": WEEKS},
    "short-sighted": {"weeks": WEEKS, "window": 2},
    "trailing": {"weeks": WEEKS - 1, "window": 2, "start": 1, "forecast": "trailing", "trailing": 2},
    "trailing-binding": {
        "weeks": WEEKS - 1, "window": 2, "start": 1, "forecast": "trailing", "trailing": 2, "commit": 2,
    },
    "trailing-priced": {
        "weeks": WEEKS - 1, "window": 3, "start": 1, "forecast": "trailing", "trailing": 2, "churn": 0.2,
    },
    "target": {"weeks": WEEKS, "window": 2, "policy": "target", "cover": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return random_fleet(tmp_path_factory.mktemp("laws") / "fleet", weeks=WEEKS)


@pytest.fixture(scope="module")
def rolls(fleet):
    return {name: rolled(fleet, **kind) for name, kind in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arm", ["plan", "jit"])
def test_units_are_kept(rolls, kind, arm):
    found = rolls[kind]

    def of(name):
        return found.each(f"{name}_{arm}")

    def grown(name):
        now = of(name)
        return now - np.concatenate([np.zeros_like(now[:1]), now[:-1]])

    close: dict[str, Any] = {"atol": 1e-9, "rtol": 0.0}
    np.testing.assert_allclose(of("built"), of("delivered") + grown("vendor_stock"), **close)
    np.testing.assert_allclose(of("delivered"), of("sold") + of("left") + grown("on_hand"), **close)
    np.testing.assert_allclose(of("asked"), of("sold") + of("lost") + grown("backlog"), **close)
    for name in ("built", "delivered", "sold", "lost", "on_hand", "backlog", "vendor_stock"):
        assert of(name).min() >= -1e-9, name


@pytest.mark.parametrize("kind", ["perfect", "short-sighted", "trailing", "trailing-priced"])
def test_a_weeks_transfer_is_never_negative_where_the_vendor_fills_the_order(rolls, kind):
    found = rolls[kind]
    filled = np.asarray(
        [["confirm" not in word for word in week["contracts"]["reason"]] for week in found.weeks]
    )
    assert filled.any()
    assert found.each("cbt")[filled].min() >= -SLACK
    assert np.all(found.each("paid") <= found.each("price") + SLACK)


def test_with_perfect_forecasts_nobody_is_worse_off(rolls):
    """Where the vendor can fill every order just in time; where it cannot, there is no such promise."""
    found = rolls["perfect"]
    paid = found.each("paid") + found.each("settled")
    retailer = (found.each("retailer_profit_plan") - found.each("retailer_profit_jit") + paid).sum(axis=0)
    vendor = (found.each("supplier_profit_plan") - found.each("supplier_profit_jit") - paid).sum(axis=0)
    filled = np.all(
        [["confirm" not in w for w in week["contracts"]["reason"]] for week in found.weeks], axis=0
    )
    assert filled.sum() >= 2
    # Week by week what the vendor pays is what the retailer gave up, and the vendor is left with all
    # that the first week's plan promised.
    np.testing.assert_allclose(retailer[filled], 0.0, atol=SLACK)
    np.testing.assert_allclose(vendor[filled], found.each("gain")[0][filled], atol=SLACK)
    assert vendor.sum() >= -SLACK


def test_binding_weeks_are_paid_once(rolls):
    """With perfect forecasts and the horizon in sight, the first plan is the last: nothing is paid twice."""
    found = rolls["binding"]
    np.testing.assert_allclose(found.each("cbt")[1:], 0.0, atol=SLACK)
    np.testing.assert_allclose(found.each("churn"), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.each("cbt")[0], found.each("window_cbt")[0], atol=SLACK)


def test_changes_of_a_binding_plan_are_settled_in_words_and_currency(rolls):
    found = rolls["trailing-binding"]
    cancelled = found.each("cancelled")
    assert (cancelled > 0.0).any()
    margin = found.roll.fleet.offers.margin[found.roll.found.offer]
    vendor_pays = found.each("settled") + cancelled * margin
    assert vendor_pays.min() >= -SLACK
    for week, units in zip(found.weeks, cancelled, strict=True):
        for row in np.flatnonzero(units > 0.0):
            assert "cancelled" in week["contracts"]["reason"][row]


def test_every_contract_that_can_be_planned_is_certified(rolls):
    """A forecast may ask for more than capacity allows; what is real can always be planned."""
    for kind, found in rolls.items():
        ended = {str(status) for week in found.weeks for status in week["contracts"]["status"]}
        assert "not_converged" not in ended, kind
        assert "infeasible" not in ended or "trailing" in kind, kind


@pytest.mark.parametrize("window", [WEEKS, WEEKS + 2])
def test_one_week_of_a_roll_is_the_static_contract(fleet, window):
    """Also with weeks beyond the table's last, in which nothing is asked for or made."""
    static = plan_fleet(fleet, TIGHT).contracts
    once = rolled(fleet, weeks=1, window=window).weeks[0]["contracts"]
    np.testing.assert_array_equal(once["status"], static["status"])
    for ours, theirs in {"gain": "gain", "window_cbt": "cbt"}.items():
        np.testing.assert_allclose(once[ours], static[theirs], atol=SLACK)


def test_with_one_week_left_the_transfer_is_the_contracts(rolls):
    last = rolls["perfect"].weeks[-1]["contracts"]
    np.testing.assert_allclose(last["cbt"], last["window_cbt"], atol=SLACK)


@pytest.mark.parametrize("kind", ["short-sighted", "trailing-binding", "trailing-priced", "target"])
def test_a_roll_goes_on_from_any_week_to_the_same_numbers(rolls, kind):
    """From the tables of a week alone, every later table is the same to the last bit."""
    found = rolls[kind]
    roll, start = found.roll, found.roll.settings.start
    for number in range(len(found.weeks) - 1):
        again: list[Any] = []

        def keep(week: int, done: Any, into: list[Any] = again) -> None:
            into.append(week_columns(roll, week, done))

        states = states_of(roll, found.weeks[number]["state"])
        roll.all_weeks(states, start + number + 1, keep)
        for whole, resumed in zip(found.weeks[number + 1 :], again, strict=True):
            for table, columns in whole.items():
                for name, values in columns.items():
                    np.testing.assert_array_equal(resumed[table][name], values, err_msg=f"{table}.{name}")


def test_a_second_week_compiles_nothing(fleet):
    roll = Roll(fleet, RollSettings(weeks=WEEKS, window=WEEKS, solve=TIGHT))
    states = [done.states for done in roll.week(0, roll.start())]
    before = PROGRAMS.compiled
    states = [done.states for done in roll.week(1, states)]
    roll.week(2, states)
    assert PROGRAMS.compiled == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weeks": WEEKS + 1}, "take --weeks 4"),
        ({"weeks": 1, "start": WEEKS}, "earlier --start"),
        ({"weeks": 1, "forecast": "trailing"}, "--start 1"),
        ({"weeks": 1, "window": 3, "commit": 2}, "all 3 weeks"),
    ],
)
def test_weeks_that_do_not_fit_are_refused(fleet, settings, words):
    with pytest.raises(RollError, match=words):
        Roll(fleet, RollSettings(**settings))
