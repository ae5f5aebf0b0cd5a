"""The answer depends on the fleet alone: not on row order, batch size, neighbours or the night before."""

from __future__ import annotations

import logging
from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxcpp.fleet.data import Fleet
from jaxcpp.fleet.programs import PROGRAMS, Programs
from jaxcpp.fleet.settings import Settings
from jaxcpp.fleet.solve import plan_fleet
from tests.fleet.answers import files, only
from tests.fleets import Sample, random_sample, read, shuffled, without

pytestmark = pytest.mark.slow

BATCH = 8


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Sample, Fleet]:
    """More contracts than a batch holds, few enough to solve them several times."""
    sample = random_sample(9, 60)
    return sample, read(sample.tables(), tmp_path_factory.mktemp("small") / "fleet")


def with_other_demand(fleet: Fleet, seed: int) -> Fleet:
    """The next night: the same lanes and products, every demand changed, none of them gone."""
    rng = np.random.default_rng(seed)
    units = fleet.demand.units * rng.uniform(0.5, 0.95, len(fleet.demand.units))
    return replace(fleet, demand=replace(fleet.demand, units=units))


def test_rows_in_another_order(solved, tmp_path):
    first = files(solved.run, tmp_path / "first")
    again = read(shuffled(solved.sample.tables(), 3), tmp_path / "fleet")
    assert again.fingerprint == solved.fleet.fingerprint
    second = files(plan_fleet(again, solved.settings), tmp_path / "second")
    assert set(first) == {"contracts.parquet", "plans.parquet", "flows.parquet", "prices.parquet"}
    assert first == second


@pytest.mark.parametrize("batch", [BATCH, pytest.param(64, marks=pytest.mark.exhaustive)])
def test_batches_of_another_size(small, tmp_path, batch):
    _, fleet = small
    usual = files(plan_fleet(fleet, Settings()), tmp_path / "usual")
    other = files(plan_fleet(fleet, Settings(batch=batch)), tmp_path / "other")
    assert usual == other


def test_a_second_night_compiles_nothing(solved, caplog):
    plan_fleet(solved.fleet, solved.settings)  # the first night of these shapes, if it was not the fixture's
    before = PROGRAMS.compiled
    assert before > 0
    jax.clear_caches()  # of everything compiled on the side, so that its return would be seen
    tonight = with_other_demand(solved.fleet, 5)
    with jax.log_compiles(), caplog.at_level(logging.DEBUG, logger="jax"):
        run = plan_fleet(tonight, solved.settings)
    assert PROGRAMS.compiled == before
    compiled = [record.getMessage() for record in caplog.records if "ompil" in record.getMessage()]
    assert not compiled
    assert not np.array_equal(run.contracts["gain"], solved.run.contracts["gain"], equal_nan=True)


def test_a_contract_does_not_depend_on_its_neighbours(small, tmp_path):
    """Half of a fleet solved without the other half, in other company in other batches."""
    sample, fleet = small
    vendors = sorted({id_.split(":")[0] for id_ in sample.problems})
    gone = set(vendors[::2])
    kept = {id_ for id_ in sample.problems if id_.split(":")[0] not in gone}
    half = read(without(sample.tables(), gone), tmp_path)
    whole_run, half_run = (plan_fleet(part, Settings(batch=BATCH)) for part in (fleet, half))
    assert {str(id_) for id_ in half_run.contracts["contract_id"]} == kept
    assert 0 < len(kept) < len(sample.problems)
    for name in ("contracts", "plans"):
        whole, alone = only(getattr(whole_run, name), kept), getattr(half_run, name)
        for column, values in alone.items():
            np.testing.assert_array_equal(np.asarray(whole[column]), np.asarray(values), column)


def test_memory_is_bounded_by_the_batch(small, solved, monkeypatch):
    """What a program is handed has the same size whatever the fleet's; nothing stays on the device."""
    call, handed = Programs.__call__, []

    def spy(self, step, *args, **static):
        handed.append(sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(args)))
        answer = call(self, step, *args, **static)
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(answer))
        return answer

    monkeypatch.setattr(Programs, "__call__", spy)
    live = sum(array.nbytes for array in jax.live_arrays())
    sizes = []
    for fleet in (small[1], solved.fleet):
        handed.clear()
        plan_fleet(fleet, Settings(batch=BATCH))
        sizes.append((len(handed), max(handed)))
    (few_calls, few), (many_calls, many) = sizes
    assert many_calls > 2 * few_calls
    assert many == few
    assert sum(array.nbytes for array in jax.live_arrays()) <= live
