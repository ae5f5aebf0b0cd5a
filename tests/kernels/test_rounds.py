"""Rounds of the protocol played natively are the twin's: whoever the two sides are, and whatever is asked."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxcpp_kernels as native
import numpy as np
import pytest

from jaxcpp.consensus import admm, played
from tests.kernels.contracts import batch, side
from tests.strategies import Options

LANES = 8
LAST = 2e-5
KINDS = {
    "plain": Options(6, 7, 4),
    "stock, lost sales, leftovers": Options(6, 7, 4, inventory=True, lost_sales=True, leftovers=True),
    "ties": Options(6, 7, 4, ties=True),
    "one node": Options(1, 3, 2),
}


@jax.jit
@jax.vmap
def begun(both):
    """A few rounds on, so that something is learned already."""
    nowhere = jnp.zeros(both.retailer.side.cost.shape[0])
    state = admm.begin(both.retailer, both.supplier, nowhere)
    return jax.lax.fori_loop(0, 4, lambda _, now: twin_round(both, now), state)


def twin_round(both, state):
    return admm.advance(both.retailer, both.supplier, state, jnp.asarray(LAST))


@jax.jit
def twin(both, state, rounds):
    """The same rounds in pure JAX, agents included."""

    def one(both, state):
        return jax.lax.fori_loop(0, rounds, lambda _, now: twin_round(both, now), state)

    return jax.vmap(one)(both, state)


@jax.jit
@jax.vmap
def ours(both, state, rounds):
    return played.play(both.retailer, both.supplier, state, jnp.asarray(LAST), rounds)


def rounds_of(count, lanes=LANES):
    return jnp.full(lanes, count, jnp.int32)


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    both = batch(KINDS[request.param], LANES)
    return both, begun(both)


def test_a_few_rounds_are_the_twins(kind):
    both, state = kind
    found, wanted = ours(both, state, rounds_of(2)), twin(both, state, 2)
    for name in ("proposal", "price", "plan", "rho", "epsilon", "residual", "left", "left_epsilon"):
        one, other = getattr(found, name), getattr(wanted, name)
        # Answers are as exact as the coordinator asks for, and it goes on from there.
        np.testing.assert_allclose(one, other, atol=2e-3 * (1.0 + np.abs(other).max()), err_msg=name)
    np.testing.assert_array_equal(found.rounds, wanted.rounds)


def test_many_rounds_end_where_the_twins_do(kind):
    both, state = kind
    found, wanted = ours(both, state, rounds_of(300)), twin(both, state, 300)
    np.testing.assert_allclose(found.epsilon, LAST)
    assert np.all(np.asarray(found.residual) < 1e-6), found.residual
    np.testing.assert_allclose(found.plan, wanted.plan, atol=1e-5)


def test_who_is_astray_begins_smoother_and_dares_less(some):
    """Sharp answers to a price that is far off, and a stage that has dared more already."""
    both, state = some
    lost = eqx.tree_at(
        lambda s: (s.price, s.epsilon, s.stage),
        state,
        (
            np.asarray(state.price) + 3.0 * np.cos(np.arange(6.0)),
            jnp.full(LANES, 1e-3),
            jnp.full(LANES, 25, jnp.int32),
        ),
    )
    found, wanted = ours(both, lost, rounds_of(1)), twin(both, lost, 1)
    for state in (found, wanted):
        np.testing.assert_allclose(state.epsilon, 10 * 1e-3)
        np.testing.assert_allclose(state.rho, np.sqrt(10) * lost.rho)
        np.testing.assert_array_equal(state.stage, 0)
        np.testing.assert_array_equal(state.left_epsilon, 0.0)
    np.testing.assert_allclose(found.price, wanted.price, atol=1e-2)
    ended = ours(both, found, rounds_of(300))
    assert np.all(np.asarray(ended.residual) < 1e-6), ended.residual


@pytest.fixture(scope="module")
def some():
    both = batch(KINDS["stock, lost sales, leftovers"], LANES)
    return both, begun(both)


def same_bits(left, right):
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_no_round_changes_nothing_and_lanes_count_their_own(some):
    both, state = some
    same_bits(ours(both, state, rounds_of(0)), state)
    mixed = ours(both, state, rounds_of(5).at[1].set(0))
    same_bits(jax.tree.map(lambda leaf: leaf[1], mixed), jax.tree.map(lambda leaf: leaf[1], state))


def test_any_order_and_any_company(some):
    both, state = some
    whole = ours(both, state, rounds_of(10))
    order = np.random.default_rng(0).permutation(LANES)
    turned = ours(*jax.tree.map(lambda leaf: leaf[order], (both, state)), rounds_of(10))
    same_bits(turned, jax.tree.map(lambda leaf: leaf[order], whole))
    one = ours(*jax.tree.map(lambda leaf: leaf[:1], (both, state)), rounds_of(10, 1))
    same_bits(one, jax.tree.map(lambda leaf: leaf[:1], whole))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0, 1e300])
def test_garbage_stays_in_its_lane(some, value):
    both, state = some
    whole = jax.tree.map(lambda leaf: leaf[1:], ours(both, state, rounds_of(4)))
    leaves, tree = jax.tree.flatten((both, state))
    for place, leaf in enumerate(leaves):
        if not np.issubdtype(leaf.dtype, np.floating):
            continue
        spoiled = np.array(leaf)
        spoiled[0] = value
        garbage = jax.tree.unflatten(tree, [*leaves[:place], spoiled, *leaves[place + 1 :]])
        found = ours(*garbage, rounds_of(4))
        same_bits(jax.tree.map(lambda leaf: leaf[1:], found), whole)


def test_misfits_are_refused(some):
    both, state = some
    sides = side(both.retailer), side(both.supplier)
    numbers = jax.vmap(played.packed)(state)
    slopes = jnp.stack([state.taking.slope, state.shipping.slope], axis=1)
    asked = {"last_epsilon": LAST, "rounds": rounds_of(1)}
    with pytest.raises(ValueError, match="numbers must end in"):
        native.play(*sides, native.Stand(numbers[:, 1:], slopes), **asked)
    with pytest.raises(ValueError, match="slopes must end in"):
        native.play(*sides, native.Stand(numbers, slopes[0, 0]), **asked)
    with pytest.raises(TypeError, match="float64"):
        native.play(*sides, native.Stand(numbers.astype(jnp.float32), slopes), **asked)
