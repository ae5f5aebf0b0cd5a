"""Two sides joined over their public nodes: the same contract, smaller."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.consensus import newton
from jaxcpp.consensus import outcome as ended
from jaxcpp.fleet import programs
from jaxcpp.transport import kernels, path, through
from jaxcpp.transport.side import bound
from tests.kernels.contracts import TOLERANCE, Parties, batch
from tests.strategies import Options

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
    monkeypatch.setattr(kernels, "shut", lambda: "shut for this test")


def joined(both: Parties) -> tuple[path.PathState, ended.Outcome, ended.Outcome]:
    """A search of the joined sides, and a path that asks both parties round by round."""

    def one(both: Parties):
        buys, ships = both
        state, tolerance = newton.begin(buys, ships), jnp.asarray(TOLERANCE)
        after, found = programs.searched(buys, ships, state, tolerance, jnp.asarray(200, jnp.int32))
        way = path.follow(newton.evaluate(buys, ships), state, jnp.asarray(0.5 * TOLERANCE), 200)
        return after, found, ended.settle(buys, ships, path.reached(way), way.epsilon, way.rounds)

    return jax.jit(jax.vmap(one))(both)


@pytest.mark.parametrize("kind", KINDS)
def test_plan_and_price_are_worth_what_two_parties_find(kind):
    both = batch(KINDS[kind], lanes=LANES)
    after, found, turns = joined(both)
    noise = 1e-12 * (1.0 + np.abs(np.asarray(found.cost)))
    assert np.all(found.bound <= turns.cost + noise)
    assert np.all(turns.bound <= found.cost + noise)
    assert np.all(found.missing <= 1e-12)
    assert np.mean(found.gap <= TOLERANCE * np.maximum(found.spend, 1e-6)) > 0.8
    assert np.all(found.gap <= 20.0 * TOLERANCE * np.maximum(found.spend, 1e-6))
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
