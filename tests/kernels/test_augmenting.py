"""Flows and prices by augmenting paths: exact, from any price, and the path's wherever they fail."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest
from scipy.optimize import linprog

from tests.kernels.augmenting import Numbers, cheapest
from tests.kernels.test_garbage import FIELDS, GARBAGE, contract
from tests.transport.sides import random_side

EXACT = 1e-11
LANES = 24
live: Callable[..., Any] = partial(native.solve_living, epsilon=0.05, tolerance=1e-6, flows=True)
agree: Callable[..., Any] = partial(native.solve_path, epsilon=0.05, tolerance=1e-6, flows=True)


def stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def pick(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def on_device(*trees: Any) -> Any:
    return jax.tree.map(jnp.asarray, trees)


def problem(lane: int) -> tuple[Numbers, np.ndarray]:
    """A side and a plan that it can live with: holes, stock, ties, nodes without any, in turn."""
    rng = np.random.default_rng(lane)
    side = random_side(lane, n=6, m=9, stock=lane % 2 == 0, holes=lane % 3 > 0)
    cost = np.array(side.cost)
    if lane % 4 == 3:
        cost = np.where(np.isfinite(cost), np.rint(cost), np.inf)
    share = np.where(np.isfinite(cost), rng.random(cost.shape) ** 4, 0.0)
    served = np.asarray(side.mass) * (rng.random(cost.shape[1]) < 0.8) * (share.sum(axis=0) > 0.0)
    plan = (share / np.maximum(share.sum(axis=0), 1e-300)) @ served
    return Numbers(cost, np.asarray(side.mass), np.rint(side.outside), np.asarray(side.stock)), plan


@pytest.fixture(scope="module")
def problems() -> tuple[Numbers, np.ndarray]:
    sides, plans = zip(*(problem(lane) for lane in range(LANES)), strict=True)
    return stacked(list(sides)), np.stack(plans)


def least_cost(side: Numbers, plan: np.ndarray) -> float:
    """By HiGHS: lanes, outside options, stock used."""
    n, m = side.cost.shape
    node, column = np.nonzero(np.isfinite(side.cost))
    cost = np.concatenate([side.cost[node, column], side.outside, np.zeros(n)])
    rows = np.zeros((n + m, len(cost)))
    lanes = np.arange(len(node))
    rows[node, lanes], rows[n + column, lanes] = 1.0, 1.0
    rows[n + np.arange(m), len(node) + np.arange(m)] = 1.0
    rows[np.arange(n), len(node) + m + np.arange(n)] = -1.0
    most = np.concatenate([np.full(len(node) + m, np.inf), side.stock])
    found = linprog(
        cost,
        A_eq=rows,
        b_eq=np.concatenate([plan, side.mass]),
        bounds=np.stack([np.zeros_like(most), most], axis=1),
    )
    assert found.success
    return float(found.fun)


def proven(side: Numbers, plan: np.ndarray, price: np.ndarray) -> float:
    """What a price proves: no flows are cheaper."""
    best = np.minimum(np.min(side.cost + price[:, None], axis=0), side.outside)
    return float(side.mass @ best - side.stock @ np.maximum(price, 0.0) - price @ plan)


def paid(side: Numbers, lane: np.ndarray) -> float:
    """What flows cost."""
    lanes = np.where(lane > 0.0, side.cost, 0.0)
    return float(np.sum(lanes * lane) + side.outside @ (side.mass - lane.sum(axis=0)))


def test_cost_and_bound_are_those_of_a_linear_program_from_any_price(problems):
    sides, plans = problems
    rng = np.random.default_rng(1)
    for start in (np.zeros_like(plans), rng.normal(0.0, 1.0, plans.shape), np.full_like(plans, 1e3)):
        found = live(native.Side(*on_device(*sides)), *on_device(plans, start))
        assert np.all(found.done)
        taken, price = np.asarray(found.flows.taken), np.asarray(found.price)
        for lane in range(LANES):
            side, plan = pick(sides, lane), plans[lane]
            known = least_cost(side, plan)
            assert abs(paid(side, taken[lane]) - known) <= EXACT
            assert abs(proven(side, plan, price[lane]) - known) <= EXACT
            assert np.all(taken[lane] >= 0.0)
            assert np.all(np.abs(taken[lane].sum(axis=1) - plan) <= side.stock + EXACT)
            assert np.all(taken[lane].sum(axis=0) <= side.mass + EXACT)
            assert not np.any(taken[lane][~np.isfinite(side.cost)])


def test_the_twin_finds_the_same(problems):
    sides, plans = problems
    start = np.random.default_rng(1).normal(0.0, 1.0, plans.shape)
    found = live(native.Side(*on_device(*sides)), *on_device(plans, start))
    for lane in range(LANES):
        side, plan = pick(sides, lane), plans[lane]
        twin = cheapest(side, plan, start[lane])
        assert twin is not None
        price, flow = twin
        assert abs(paid(side, flow) - paid(side, np.asarray(found.flows.taken)[lane])) <= EXACT
        assert abs(proven(side, plan, price) - proven(side, plan, np.asarray(found.price)[lane])) <= EXACT


def both_sides(lanes: int) -> Any:
    return contract(np.random.default_rng(5), 12, 40, 6, lanes=lanes)


def gaps(ours: Any, theirs: Any, found: Any) -> np.ndarray:
    """What flows through the public nodes cost, less what the price proves of both sides."""
    out = []
    for lane in range(len(found.price)):
        buys, ships = (pick(side, lane) for side in (ours, theirs))
        price = np.asarray(found.price)[lane]
        taken, shipped = np.asarray(found.flows.taken)[lane], np.asarray(found.flows.shipped)[lane]
        proposal = np.asarray(found.flows.proposal)[lane]
        from_stock = taken.sum(axis=1) - proposal
        assert np.all((from_stock >= -EXACT) & (from_stock <= buys.stock + EXACT))
        np.testing.assert_allclose(shipped.sum(axis=1), proposal, atol=EXACT)
        bound = proven(buys, proposal, price) + proven(ships, proposal, -price)
        out.append(paid(buys, taken) + paid(ships, shipped) - bound)
    return np.asarray(out)


def test_contracts_joined_over_their_nodes_leave_no_gap_cold_or_warm():
    ours, theirs, start = both_sides(LANES)
    cold = agree(*on_device(ours, theirs, start))
    rng = np.random.default_rng(3)
    tonight = ours._replace(mass=ours.mass * rng.uniform(0.9, 1.1, ours.mass.shape))
    again = agree(*on_device(tonight, theirs, start))
    warm = agree(*on_device(tonight, theirs), cold.price)
    for side, found in ((ours, cold), (tonight, again), (tonight, warm)):
        assert np.all(found.done)
        assert np.all(np.abs(gaps(side, theirs, found)) <= EXACT)
    assert np.mean(warm.rounds) <= 0.6 * np.mean(again.rounds)
    # The path takes up what a first answer has not settled to satisfaction.
    path = agree(*on_device(tonight, theirs, start), strict=0.9)
    assert np.all(path.done)
    assert np.all(np.abs(gaps(tonight, theirs, path)) <= 1e-4)
    assert np.mean(warm.rounds) <= np.mean(path.rounds) / 3.0


def test_more_sources_and_stock_than_nodes_are_joined_all_the_same():
    rng = np.random.default_rng(4)
    ours, theirs, start = contract(rng, 3, 12, 9, lanes=LANES)
    ours = ours._replace(stock=rng.uniform(0.0, 0.1, ours.stock.shape))
    found = agree(*on_device(ours, theirs, start))
    assert np.all(found.done)
    assert np.all(np.abs(gaps(ours, theirs, found)) <= EXACT)


def test_ties_and_tight_capacity_end():
    """Whole costs, all alike in part, and capacity as much as demand: every step may be degenerate."""
    rng = np.random.default_rng(8)
    ours, theirs, start = both_sides(LANES)
    ours = ours._replace(cost=np.rint(ours.cost), mass=np.full_like(ours.mass, 1.0 / ours.mass.shape[1]))
    theirs = theirs._replace(
        cost=np.where(rng.random(theirs.cost.shape) < 0.3, np.inf, np.rint(theirs.cost)),
        mass=np.full_like(theirs.mass, 1.0 / theirs.mass.shape[1]),
    )
    found = agree(*on_device(ours, theirs, start))
    assert np.all(found.done)
    assert np.all(np.abs(gaps(ours, theirs, found)) <= EXACT)


@pytest.mark.parametrize("limit", [0, 1, 2, 4, 9])
def test_rounds_are_bounded(limit):
    found = agree(*on_device(*both_sides(LANES)), max_rounds=limit)
    assert np.all(np.asarray(found.rounds) <= limit)
    if limit <= 1:
        assert not np.any(found.done)
    assert np.all(np.isfinite(found.price))


def test_the_same_bits_in_any_order_on_any_number_of_threads():
    given = both_sides(LANES)
    alone = agree(*on_device(*given), threads=1)
    order = np.random.default_rng(0).permutation(LANES)
    turned = agree(*on_device(*pick(given, order)), threads=2)
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(turned), strict=True):
        np.testing.assert_array_equal(np.asarray(one)[order], np.asarray(other))


def test_garbage_spoils_nobody_else():
    ours, theirs, start = contract(np.random.default_rng(7), 5, 6, 3, lanes=1)
    lanes = [(who, field, value) for who in (0, 1) for field in FIELDS for value in GARBAGE]
    given = [np.repeat(leaf, 1 + len(lanes), axis=0) for leaf in jax.tree.leaves((ours, theirs, start))]
    ours, theirs, start = jax.tree.unflatten(jax.tree.structure((ours, theirs, start)), given)
    for lane, (who, field, value) in enumerate(lanes):
        spoilt = getattr((ours, theirs)[who], field)[1 + lane : 2 + lane]
        spoilt.flat[:: 2 if spoilt.size > 1 else 1] = value
    found = agree(*on_device(ours, theirs, start))
    assert np.all(np.isfinite(found.price))
    assert bool(found.done[0])
    sound = agree(*on_device(*(pick(tree, slice(0, 1)) for tree in (ours, theirs, start))))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(sound), strict=True):
        np.testing.assert_array_equal(np.asarray(one)[:1], np.asarray(other))


def test_more_than_there_is_to_ship_goes_to_the_path():
    side = native.Side(np.array([[1.0, 2.0], [1.5, 1.0]]), np.array([0.6, 0.4]), np.full(2, 5.0), np.zeros(2))
    found = live(side, jnp.array([0.9, 0.4]), jnp.zeros(2), max_rounds=40)
    assert float(found.gap) > 0.1
    assert np.all(np.isfinite(found.price))
