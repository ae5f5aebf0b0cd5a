"""Draws of a prior over a fleet: which contracts they look at, and whose numbers fill a batch."""

from __future__ import annotations

import numpy as np
import pytest

from jaxcpp.fleet import worlds
from jaxcpp.fleet.contracts import contracts_alone
from jaxcpp.fleet.pack import Bucket, Packer
from jaxcpp.fleet.prior import Prior, drawn
from jaxcpp.fleet.settings import Settings
from tests.fleets import Size, random_sample, read

DRAWS, SAMPLE, CONTRACTS = 3, 5, 12
PRIOR = Prior(common=0.1, own=0.2)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    sample = random_sample(4, CONTRACTS, Size(3, 4, 2, 2))
    return read(sample.tables(), tmp_path_factory.mktemp("worlds") / "fleet")


@pytest.fixture
def seen(fleet, monkeypatch) -> tuple[worlds.Worlds, list[Bucket]]:
    """What is drawn, and the buckets that would be agreed on."""
    buckets: list[Bucket] = []

    def agreed(some, *_):
        buckets.extend(some)
        return []

    monkeypatch.setattr(worlds, "_agreed", agreed)
    of = np.arange(CONTRACTS, dtype=np.int32) % 2
    made = worlds.draw_worlds(fleet, PRIOR, DRAWS, 7, Settings(), ("over",), (of, 2), SAMPLE)
    return made, buckets


def test_every_draw_looks_at_as_many_contracts_and_is_multiplied_up(seen):
    made, _ = seen
    np.testing.assert_array_equal(made.pairs.draw, np.repeat(np.arange(DRAWS), SAMPLE))
    assert made.pairs.each == CONTRACTS / SAMPLE
    np.testing.assert_array_equal(made.contracts, [CONTRACTS / 2, CONTRACTS / 2])
    assert set(made.pairs.group.tolist()) <= {0, 1}


def test_buckets_of_one_shape_are_one_and_hold_every_pair_once(seen):
    made, buckets = seen
    assert len({bucket.shape for bucket in buckets}) == len(buckets)
    rows = np.concatenate([bucket.contract for bucket in buckets])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(made.pairs.draw)))


def test_a_pair_s_lanes_are_those_of_its_draw(fleet, seen):
    """The numbers in a batch, beside a fleet drawn by hand."""
    _, buckets = seen
    found, known = contracts_alone(fleet), set()
    for draw in range(DRAWS):
        rng = np.random.default_rng([7, draw])
        world = drawn(PRIOR, fleet, rng)
        picked = np.sort(rng.permutation(CONTRACTS)[:SAMPLE])
        packer = Packer(world, found)
        for bucket in buckets:
            for lane, pair in enumerate(bucket.contract):
                if pair // SAMPLE != draw:
                    continue
                own = packer.lane(int(picked[pair % SAMPLE]))
                inbound = bucket.lanes.inbound[lane, : len(own.source), : len(own.nodes)]
                np.testing.assert_array_equal(inbound, own.inbound)
                known.add(int(pair))
    assert len(known) == DRAWS * SAMPLE


def test_charges_are_nought_where_a_lane_is_padded(seen):
    _, buckets = seen
    bucket = buckets[0]
    count = len(bucket.contract)
    charges = worlds._charges(bucket, {"over": np.full(count, 2.0), "roi": np.full(count, 0.5)})
    real = np.repeat(bucket.nodes >= 0, bucket.shape.weeks, axis=1)
    np.testing.assert_array_equal(charges.over, np.where(real, 2.0, 0.0))
    np.testing.assert_array_equal(charges.under, np.zeros_like(real, float))
    np.testing.assert_array_equal(charges.rate, np.full(count, 0.5))
    np.testing.assert_array_equal(charges.alpha, np.zeros(count))
