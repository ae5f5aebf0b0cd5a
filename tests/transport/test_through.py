"""Two sides joined over their public nodes: the same contract, smaller."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.transport import kernels, through
from jaxcpp.transport.side import bound
from tests.kernels.contracts import Parties, batch, beside_a_path, worth_the_same
from tests.strategies import Options

pytestmark = pytest.mark.slow

LANES = 16
KINDS = {
    "plain": Options(6, 9, 4),
    "tight, ties, holes, lost sales": Options(
        6, 9, 4, capacity="tight", ties=True, holes=True, lost_sales=True, zeros=True
    ),
    "weeks, leftovers": Options(4, 3, 2, weeks=2, leftovers=True, backlog=True),
}


@pytest.fixture(autouse=True)
def _pure(monkeypatch):
    jax.clear_caches()  # the kernels' tests may have made a program of the same function
    monkeypatch.setattr(kernels, "shut", lambda: "shut for this test")


@pytest.mark.parametrize("kind", KINDS)
def test_plan_and_price_are_worth_what_two_parties_find(kind):
    after, found, turns = jax.jit(beside_a_path)(batch(KINDS[kind], lanes=LANES))
    worth_the_same(found, turns)
    assert np.all(after.rounds <= 60)


def test_a_joined_side_is_bounded_as_both_are():
    """At prices of the sources, and at what those ask at the nodes, the dual is one number."""
    both = batch(KINDS["plain"], lanes=LANES)

    def one(both: Parties, price: jax.Array):
        ours, theirs = both.retailer.side, both.supplier.side
        asks = through._asks(theirs)
        nodes = jnp.min(asks + price[:, None], axis=0)
        return bound(through.join(ours, theirs), price), bound(ours, nodes) + bound(theirs, -nodes)

    price = np.abs(np.random.default_rng(1).normal(0.0, 0.3, (LANES, both.supplier.side.mass.shape[1])))
    whole, parts = jax.vmap(one)(both, jnp.asarray(price))
    # A source's own price may be more than its best node pays: the nodes' prices are never worse.
    assert np.all(parts >= whole - 1e-12)
    assert np.mean(parts - whole) < 0.2


def test_where_it_is_not_worth_it():
    assert through.worth_joining(5, 4, stocked=False)
    assert not through.worth_joining(4, 4, stocked=False)
    assert not through.worth_joining(50, 4, stocked=True)
