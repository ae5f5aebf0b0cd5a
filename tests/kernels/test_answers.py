"""The native proximal answer is its twin's: on every kind of side, in any batch, whatever it is asked."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest

from tests.kernels.contracts import batch
from tests.kernels.questions import ours, questions, twin
from tests.strategies import Options
from tests.transport.sides import random_side, stacked

LANES = 12
KINDS = {
    "plain": Options(6, 7, 4),
    "stock, lost sales, leftovers": Options(6, 7, 4, inventory=True, lost_sales=True, leftovers=True),
    "ties": Options(6, 7, 4, ties=True),
    "tight": Options(6, 7, 4, capacity="tight"),
    "one node": Options(1, 3, 2),
}


native_answer = jax.jit(jax.vmap(partial(ours, max_rounds=120)))


def agree(side, asked):
    found = native_answer(side, *asked)
    plan, price = twin(side, *asked)
    np.testing.assert_allclose(found.plan, plan, atol=1e-8)
    np.testing.assert_allclose(found.behind, price, atol=1e-6)
    assert np.all(np.asarray(found.rounds) < 120)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("party", ["retailer", "supplier"])
def test_agrees_with_its_twin(kind, party):
    side = getattr(batch(KINDS[kind], LANES), party).side
    agree(side, questions(LANES, side.cost.shape[1]))


@pytest.fixture(scope="module")
def sides():
    """Closed nodes, stock, holes and private nodes without mass."""
    return stacked([random_side(seed) for seed in range(LANES)])


@pytest.fixture(scope="module")
def asked(sides):
    return questions(LANES, sides.cost.shape[1])


@pytest.fixture(scope="module")
def answered(sides, asked):
    return ours(sides, *asked)


def same_bits(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_closed_nodes_holes_and_nothing_to_place(sides, asked):
    agree(sides, asked)


@pytest.mark.parametrize("threads", [1, 2, 40])
def test_any_number_of_threads(sides, asked, answered, threads):
    same_bits(ours(sides, *asked, threads=threads), answered)


def test_any_order_and_vmap_of_vmap(sides, asked, answered):
    order = np.random.default_rng(0).permutation(LANES)
    some, questions = jax.tree.map(lambda leaf: leaf[order], (sides, asked))
    same_bits(ours(some, *questions), [leaf[order] for leaf in answered])
    folded = jax.tree.map(lambda leaf: leaf.reshape(3, 4, *leaf.shape[1:]), (sides, asked))
    found = jax.jit(jax.vmap(jax.vmap(lambda side, asked: ours(side, *asked))))(*folded)
    same_bits([leaf.reshape(LANES, *leaf.shape[2:]) for leaf in found], answered)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-310, 1e300])
def test_garbage_stays_in_its_lane(sides, asked, answered, value):
    leaves, tree = jax.tree.flatten((sides, *asked))
    for place, leaf in enumerate(leaves):
        spoiled = np.array(leaf)
        spoiled[0] = value
        found = ours(*jax.tree.unflatten(tree, [*leaves[:place], spoiled, *leaves[place + 1 :]]))
        same_bits([leaf[1:] for leaf in found], [leaf[1:] for leaf in answered])
        assert 0 <= int(found.rounds[0]) <= 30
        assert np.all(np.asarray(found.plan[0]) >= 0.0) or np.all(np.isnan(found.plan[0]))


def test_a_question_that_nobody_can_answer_has_no_plan(sides, asked):
    price, proposal, rho, epsilon, start = asked
    found = ours(sides, price, proposal, -rho, epsilon, start)
    assert np.all(np.isnan(found.plan))
    same_bits([found.behind], [start])


@pytest.mark.parametrize("limit", [-1, 0, 1, 3])
def test_rounds_are_bounded(sides, asked, limit):
    price, proposal, rho, epsilon, start = asked
    found = ours(sides, price, proposal, rho, epsilon, start, 0.0, max_rounds=limit)
    assert np.all(np.asarray(found.rounds) <= max(limit, 0))
    assert np.all(np.asarray(found.plan) >= 0.0)


def test_misfits_are_refused(sides, asked):
    price, proposal, rho, epsilon, start = asked
    with pytest.raises(ValueError, match=r"proposal must end in \(5,\)"):
        ours(sides, price, proposal[:, :4], rho, epsilon, start)
    with pytest.raises(ValueError, match=r"side\.cost must end in"):
        ours(sides, price, proposal, rho, epsilon, start[:, :4])
    with pytest.raises(TypeError, match="float64"):
        ours(sides, price.astype(np.float32), proposal, rho, epsilon, start)
