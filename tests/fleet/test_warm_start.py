"""A second night begins at the first one's prices: fewer rounds, the same certificates, whatever they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jaxcpp.fleet.bundles import bundles
from jaxcpp.fleet.contracts import contracts
from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.pack import Packer
from jaxcpp.fleet.results import Columns, Run
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from jaxcpp.fleet.warm import Prices
from jaxcpp.tables import RunFolderError, read_prices, write_run
from tests.fleets import Size, random_sample, read

INFO = {"version": "0", "settings": {}, "fleet_fingerprint": "none"}
SETTINGS = Settings()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Fleet:
    return read(random_sample(11, 60).tables(), tmp_path_factory.mktemp("warm") / "fleet")


@pytest.fixture(scope="module")
def first(fleet) -> Run:
    return plan_fleet(fleet, SETTINGS)


@pytest.fixture(scope="module")
def tonight(fleet) -> Fleet:
    rng = np.random.default_rng(2)
    units = fleet.demand.units * rng.uniform(0.9, 1.1, len(fleet.demand.units))
    return replace(fleet, demand=replace(fleet.demand, units=units))


@pytest.fixture(scope="module")
def cold(tonight) -> Run:
    return plan_fleet(tonight, SETTINGS)


def chain_cost(run: Run) -> np.ndarray:
    return np.asarray(run.contracts["retailer_cost_plan"]) + np.asarray(run.contracts["supplier_cost_plan"])


def agrees(run: Run, other: Run) -> None:
    """Both are certified, and no gain differs by more than both gaps allow."""
    assert run.contracts["contract_id"].tolist() == other.contracts["contract_id"].tolist()
    statuses = np.asarray(other.contracts["status"])
    assert ("not_converged" in statuses) == ("not_converged" in run.contracts["status"])
    either = np.isfinite(run.contracts["gain"]) & np.isfinite(other.contracts["gain"])
    apart = np.abs(run.contracts["gain"] - other.contracts["gain"])[either]
    allowed = sum(np.asarray(each.contracts["efficiency_gap"])[either] for each in (run, other))
    assert np.all(apart <= allowed + 1e-9 * chain_cost(other)[either])
    certified = np.isin(run.contracts["status"], ("accepted", "declined"))
    gap, cost = np.asarray(run.contracts["efficiency_gap"]), chain_cost(run)
    assert np.all(gap[certified] <= SETTINGS.tolerance * cost[certified] * (1 + 1e-6))


def rounds(run: Run) -> np.ndarray:
    return np.asarray(run.contracts["rounds"])


def test_another_demand_takes_fewer_rounds_to_the_same_certificates(tonight, first, cold):
    warm = plan_fleet(tonight, SETTINGS, yesterday=first.prices)
    agrees(warm, cold)
    assert rounds(warm).mean() < 0.9 * rounds(cold).mean()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_by_admm_it_takes_fewer_rounds_too(tmp_path):
    """Few contracts of one week: the protocol for black boxes is a slow one."""
    sample = random_sample(12, 4, size=Size(weeks=1))
    fleet = read(sample.tables(), tmp_path / "fleet")
    settings = replace(SETTINGS, method="admm", tolerance=1e-4, batch=8)
    usual = plan_fleet(fleet, settings)
    warm = plan_fleet(fleet, settings, yesterday=usual.prices)
    assert warm.contracts["status"].tolist() == usual.contracts["status"].tolist()
    ended = np.asarray(usual.contracts["status"]) != "not_converged"
    assert ended.sum() >= 3
    assert rounds(warm)[ended].sum() < 0.7 * rounds(usual)[ended].sum()


def test_without_yesterday_nothing_changes(tonight, cold):
    again = plan_fleet(
        tonight, SETTINGS, yesterday={name: values[:0] for name, values in cold.prices.items()}
    )
    for name in ("gain", "price", "rounds"):
        np.testing.assert_array_equal(again.contracts[name], cold.contracts[name])


@pytest.mark.parametrize("poison", [np.nan, np.inf, -1e300, 1e9])
def test_prices_that_are_none_are_not_used(tonight, first, cold, poison):
    spoilt = {**first.prices, "price": np.full_like(first.prices["price"], poison)}
    run = plan_fleet(tonight, SETTINGS, yesterday=spoilt)
    np.testing.assert_array_equal(rounds(run), rounds(cold))
    np.testing.assert_array_equal(run.contracts["price"], cold.contracts["price"])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.slow
def test_prices_of_another_world_cost_rounds_and_nothing_else(tonight, first, cold, seed):
    rng = np.random.default_rng(seed)
    foreign = {**first.prices, "price": rng.normal(0.0, 30.0, len(first.prices["price"]))}
    agrees(plan_fleet(tonight, SETTINGS, yesterday=foreign), cold)


def test_a_search_led_astray_begins_again(tonight, first):
    """With hardly any rounds the warm search ends nowhere; what it leaves is solved as if it had not been."""
    few = replace(SETTINGS, max_rounds=3)
    run = plan_fleet(tonight, few, yesterday=first.prices)
    alone = plan_fleet(tonight, few)
    left = np.asarray(run.contracts["status"]) == "not_converged"
    assert left.any()
    np.testing.assert_array_equal(
        np.asarray(alone.contracts["gain"])[left], np.asarray(run.contracts["gain"])[left]
    )


def test_prices_come_back_to_the_lanes_they_came_from(fleet, first):
    found = contracts(fleet, bundles(fleet))
    known = Prices(fleet, found, first.prices)
    keys = ("contract_id", "inbound_id", "week")
    book = dict(
        zip(
            zip(*(first.prices[key].tolist() for key in keys), strict=True),
            first.prices["price"],
            strict=True,
        )
    )
    seen = 0
    for bucket in Packer(fleet, found).buckets():
        prices = known.of(bucket).reshape(len(bucket.contract), bucket.shape.inbound, fleet.weeks)
        for lane, contract in enumerate(bucket.contract):
            for place, node in enumerate(bucket.nodes[lane]):
                for week in range(fleet.weeks):
                    expected = book[found.ids[contract], fleet.inbound_ids[node], week] if node >= 0 else 0.0
                    assert prices[lane, place, week] == expected
                    seen += node >= 0
    assert seen == len(first.prices["price"])


def test_rows_may_be_missing_or_foreign(fleet, first):
    found = contracts(fleet, bundles(fleet))
    some: Columns = {name: values[1:].copy() for name, values in first.prices.items()}
    some["inbound_id"] = np.where(
        np.arange(len(some["week"])) == 5, "nowhere", some["inbound_id"].astype(str)
    )
    some["contract_id"] = np.where(
        np.arange(len(some["week"])) == 60, "nobody:thing", some["contract_id"].astype(str)
    )
    known = Prices(fleet, found, some)
    unknown = [np.isnan(known.of(bucket)).any(axis=1).sum() for bucket in Packer(fleet, found).buckets()]
    assert 1 <= sum(unknown) <= 3


def test_files(first, tmp_path):
    write_run(first, [], tmp_path / "run", info=INFO)
    back = read_prices(tmp_path / "run")
    for name, values in first.prices.items():
        np.testing.assert_array_equal(back[name], values)
    with pytest.raises(RunFolderError, match="earlier run"):
        read_prices(tmp_path)
    (tmp_path / "prices.parquet").write_text("no table")
    with pytest.raises(RunFolderError, match="holds no prices"):
        read_prices(tmp_path)
