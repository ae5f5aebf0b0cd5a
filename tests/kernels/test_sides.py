"""One side at a fixed plan, and costs given as space plus time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest

from jaxcpp.transport import living, rounding
from jaxcpp.transport.side import bound, split
from tests.kernels.contracts import FIRST_EPSILON, batch, solve
from tests.strategies import Options

TIGHT = 1e-8


@jax.jit
@jax.vmap
def bracket(side, plan):
    """Bounds on what living with the plan costs, by a native price, and the path."""
    side = living.closed_where_idle(side, plan)
    path = native.solve_living(
        native.Side(side.cost, side.mass, side.outside, side.stock), plan, jnp.zeros_like(plan),
        epsilon=FIRST_EPSILON, tolerance=TIGHT,
    )  # fmt: skip
    flows = rounding.settle(side, split(side, path.price, path.epsilon), plan)
    return bound(side, path.price) - jnp.vdot(path.price, plan), rounding.cost_of(side, flows), flows, path


@pytest.mark.parametrize("party", ["retailer", "supplier"])
@pytest.mark.parametrize(
    "options",
    [
        Options(6, 9, 4),
        Options(6, 7, 4, inventory=True, lost_sales=True, leftovers=True),
        Options(6, 7, 4, ties=True),
        Options(6, 7, 4, capacity="tight"),
    ],
    ids=["plain", "stock, lost sales, leftovers", "ties", "tight"],
)
@pytest.mark.slow
def test_living_with_an_agreed_plan(options, party):
    both = batch(options, lanes=8)
    _, outcome = solve(both)
    lower, upper, flows, path = bracket(getattr(both, party).side, outcome.plan)
    np.testing.assert_allclose(flows.short, 0.0, atol=1e-9)
    assert np.all(np.asarray(lower) <= np.asarray(upper) + 1e-12 * (1.0 + np.abs(np.asarray(upper))))
    assert np.all(np.asarray(upper - lower) <= 3.0 * TIGHT * np.abs(np.asarray(upper)) + 1e-9)
    assert np.all(np.asarray(path.gap) < 1e-6)
    # What the contract's own certificate says of this party, no more and no less.
    confirmed = getattr(outcome, party).cost
    floor = getattr(outcome, f"{party}_floor")
    assert np.all(np.asarray(lower) <= np.asarray(confirmed) + 1e-9)
    assert np.all(np.asarray(floor) <= np.asarray(upper) + 1e-9)


def test_a_plan_at_a_node_that_nothing_reaches_is_in_the_gap():
    cost = jnp.array([[1.0, 2.0], [jnp.inf, jnp.inf]])
    side = native.Side(cost, jnp.array([0.6, 0.4]), jnp.array([5.0, 5.0]), jnp.zeros(2))
    path = native.solve_living(side, jnp.array([0.75, 0.25]), jnp.zeros(2), epsilon=0.05, tolerance=1e-6)
    assert path.gap > 0.25
    assert path.rounds < 150


@pytest.mark.parametrize("backlog", [True, False])
def test_space_plus_time_is_the_same_as_one_matrix(backlog):
    rng = np.random.default_rng(1)
    places, weeks, regions, sources, lanes = 5, 3, 6, 3, 4
    nodes = places * weeks
    week = np.arange(weeks)
    needed = np.tile(week, regions)
    early = needed[None, :] - week[:, None]
    time = np.where(early >= 0, 0.05 * early, -0.3 * early if backlog else np.inf)
    wait = week[:, None] - np.tile(week, sources)[None, :]
    ships = np.where(wait >= 0, 0.03 * np.maximum(wait, 0), np.inf)
    ours = rng.uniform(0.3, 2.0, (lanes, places, regions * weeks))
    theirs = np.repeat(rng.uniform(0.3, 2.0, (lanes, places, sources)), weeks, axis=2)
    theirs[:, 1, : 2 * weeks] = np.inf
    is_open = np.repeat(np.arange(places) != 3, weeks)
    mass = rng.dirichlet(np.ones(regions * weeks), lanes)
    capacity = 1.5 * rng.dirichlet(np.full(sources * weeks, 8.0), lanes) + 0.1

    def pair(whole):
        rest = np.zeros((lanes, nodes))
        kwargs = [{"time": jnp.asarray(time), "open": jnp.asarray(is_open)}, {"time": jnp.asarray(ships)}]
        costs = [ours, theirs]
        if whole:
            apart = zip(costs, (time, ships), strict=True)
            costs = [(cost[:, :, None, :] + by[None, None]).reshape(lanes, nodes, -1) for cost, by in apart]
            costs[0][:, ~is_open] = np.inf
            kwargs = [{}, {}]
        outside = (np.full((lanes, regions * weeks), 40.0), np.zeros((lanes, sources * weeks)))
        buyer, seller = (
            native.Side(jnp.asarray(cost), jnp.asarray(units), jnp.asarray(away), jnp.asarray(rest), **more)
            for cost, units, away, more in zip(costs, (mass, capacity), outside, kwargs, strict=True)
        )
        return native.solve_path(buyer, seller, jnp.asarray(rest), epsilon=0.05, tolerance=1e-6)

    dense, factored = pair(True), pair(False)
    for one, other in zip(jax.tree.leaves(dense), jax.tree.leaves(factored), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert np.all(np.asarray(dense.done))
