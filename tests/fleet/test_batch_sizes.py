"""How many contracts are solved together: few where each is large, and never by their number on a CPU."""

from __future__ import annotations

from dataclasses import replace

import jax
import pytest

from jaxcpp.fleet.batch import lanes_per_batch, lanes_per_small_batch
from jaxcpp.fleet.pack import Shape
from jaxcpp.fleet.settings import Settings
from jaxcpp.transport import kernels

SMALL = Shape(inbound=8, weeks=1, columns=32, sources=1, stocked=False)
WEEKS = Shape(inbound=40, weeks=6, columns=360, sources=8, stocked=False)

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="sizes of a CPU")


def test_large_contracts_go_in_small_batches():
    assert lanes_per_batch(SMALL, 1000, Settings()) > 16 * lanes_per_batch(WEEKS, 1000, Settings())
    assert lanes_per_small_batch(SMALL, 1000) > 16 * lanes_per_small_batch(WEEKS, 1000)
    # Sixteen contracts of six weeks are not filled up to hundreds.
    assert lanes_per_small_batch(WEEKS, 16) <= 16


@pytest.mark.parametrize(("shut", "share"), [("", 4), ("there are none", 16)])
def test_contracts_by_admm_wait_for_few_others(shut, share, monkeypatch):
    monkeypatch.setattr(kernels, "shut", lambda: shut)
    by_admm = Settings(method="admm")
    assert lanes_per_batch(SMALL, 1000, by_admm) < lanes_per_batch(SMALL, 1000, Settings()) // share
    assert lanes_per_batch(WEEKS, 1000, by_admm) == lanes_per_batch(WEEKS, 1000, Settings())
    assert lanes_per_batch(SMALL, 1000, replace(by_admm, batch=64)) == 64  # who asks for more gets it


@pytest.mark.parametrize("shape", [SMALL, WEEKS])
def test_the_number_of_contracts_compiles_nothing_anew(shape):
    sizes = {(lanes_per_batch(shape, n, Settings()), lanes_per_small_batch(shape, n)) for n in (1, 7, 90_000)}
    assert len(sizes) == 1


@pytest.mark.parametrize("shape", [SMALL, WEEKS])
def test_where_no_demand_is_looked_at_its_size_does_not_matter(shape):
    longer = replace(shape, columns=2 * shape.columns)
    assert lanes_per_small_batch(shape, 100) == lanes_per_small_batch(longer, 100)
