"""Prices found natively are worth what the pure-JAX path's are, whatever the contract is made of."""

from __future__ import annotations

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.kernels.contracts import TOLERANCE, batch, relative_gap, solve, twin
from tests.strategies import Options

pytestmark = pytest.mark.slow

EVERYTHING = Options(
    6, 8, 4, weeks=2, inventory=True, lost_sales=True, backlog=True, leftovers=True, holes=True, ties=True,
    zeros=True,
)  # fmt: skip

CASES = {
    "one of each": Options(1, 1, 1),
    "one node": Options(1, 5, 3),
    "one region": Options(5, 1, 3),
    "one source": Options(5, 6, 1),
    "plain": Options(6, 9, 4),
    "ties": Options(6, 7, 4, ties=True),
    "holes": Options(6, 7, 4, holes=True),
    "zeros": Options(6, 7, 4, zeros=True),
    "inventory": Options(6, 7, 4, inventory=True),
    "lost sales": Options(6, 7, 4, lost_sales=True),
    "leftovers": Options(6, 7, 4, leftovers=True),
    "tight": Options(6, 7, 4, capacity="tight"),
    "tight ties": Options(6, 7, 4, capacity="tight", ties=True),
    "weeks": Options(4, 5, 3, weeks=3, backlog=True),
    "everything": EVERYTHING,
    "everything, tight": replace(EVERYTHING, capacity="tight", size=12),
    "many nodes": Options(60, 40, 9),
}


MORE = ("one region", "one source", "many nodes")
"""What `everything` and the emptier sides come to as well."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive) if name in MORE else name for name in CASES]
)
def test_certified_like_the_twin(name):
    both = batch(CASES[name], lanes=16 if name != "many nodes" else 4)
    found, outcome = solve(both)
    assert np.all(np.asarray(outcome.missing) <= 1e-9)
    assert np.all(relative_gap(outcome) <= TOLERANCE)
    # Two certified plans bracket one optimum: neither's bound is above the other's cost.
    other = twin(both)
    noise = 1e-12 * (1.0 + np.abs(np.asarray(outcome.cost)))
    assert np.all(np.asarray(outcome.bound) <= np.asarray(other.cost) + noise)
    assert np.all(np.asarray(other.bound) <= np.asarray(outcome.cost) + noise)
    assert np.all(np.asarray(found.rounds) <= 200)


def test_no_demand_ends_at_once():
    both = batch(Options(3, 4, 2), lanes=3)
    empty = jnp.zeros_like(both.retailer.side.mass)
    both = eqx.tree_at(lambda pair: pair.retailer.side.mass, both, empty)
    found, outcome = solve(both)
    assert np.all(np.asarray(found.done))
    np.testing.assert_allclose(outcome.plan, 0.0, atol=1e-9)
