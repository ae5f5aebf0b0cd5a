"""What is learned of agents from reflected answers, and where both are expected to agree."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.consensus import reflections

N = 5
TRUSTED = jnp.asarray(1.0)


def symmetric(rng: np.random.Generator, longest: float) -> np.ndarray:
    """A symmetric matrix whose longest bend is `longest`, to either side."""
    turned, _ = np.linalg.qr(rng.normal(size=(N, N)))
    bends = rng.uniform(-longest, longest, N)
    bends[:2] = [longest, -longest]
    return turned @ np.diag(bends) @ turned.T


@jax.jit
def taught(slope, shift, questions):
    """What is known of an agent that answers `slope @ asked + shift`, after some questions."""

    def one(learned, asked):
        return reflections.learn(learned, asked, slope @ asked + shift), None

    return jax.lax.scan(one, reflections.nothing(shift), questions)[0]


def questions(rng: np.random.Generator, count: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=(count, N)))


@jax.jit
def boxed(turned, questions):
    """What is known of an agent whose best plan is the nearest in a box, seen from askew."""

    def one(learned, asked):
        inside = turned @ jnp.clip(turned.T @ asked, -0.5, 0.5)
        learned = reflections.learn(learned, asked, 2.0 * inside - asked)
        return learned, learned.slope

    return jax.lax.scan(one, reflections.nothing(questions[0]), questions)[1]


@pytest.mark.parametrize("seed", range(5))
def test_no_bend_is_longer_than_one_though_answers_have_kinks(seed):
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(N, N)))
    slopes = np.asarray(boxed(jnp.asarray(turned), questions(rng, 60)))
    np.testing.assert_allclose(slopes, np.swapaxes(slopes, 1, 2), atol=1e-12)
    longest = np.abs(np.linalg.eigvalsh(slopes)).max(axis=1)
    assert longest.max() < 1.12, longest  # what stands out is cut, round by round


@pytest.mark.parametrize("seed", range(5))
def test_the_last_answer_is_explained(seed):
    rng = np.random.default_rng(seed)
    slope, asked = symmetric(rng, 0.5), questions(rng, 12)
    found = np.asarray(taught(jnp.asarray(slope), jnp.zeros(N), asked).slope)
    way = np.asarray(asked[-1] - asked[-2])
    np.testing.assert_allclose(found @ way, slope @ way, atol=1e-12)


@pytest.mark.parametrize("longest", [1.0, 0.5])
def test_an_agent_with_one_bend_is_known_in_the_end(longest):
    rng = np.random.default_rng(1)
    slope = symmetric(rng, longest)
    learned = taught(jnp.asarray(slope), jnp.asarray(rng.normal(size=N)), questions(rng, 400))
    np.testing.assert_allclose(learned.slope, slope, atol=1e-6)


def test_two_known_agents_agree_at_the_next_question():
    rng = np.random.default_rng(2)
    slopes = [jnp.asarray(symmetric(rng, 0.9)) for _ in range(2)]
    shifts = [jnp.asarray(rng.normal(size=N)) for _ in range(2)]
    both = []
    for slope, shift in zip(slopes, shifts, strict=True):
        asked = jnp.asarray(rng.normal(size=N))
        both.append(reflections.Learned(slope, asked, slope @ asked + shift, jnp.ones((), bool)))
    low, high = reflections.crossing(both[0], both[1], TRUSTED)
    np.testing.assert_allclose(slopes[0] @ low + shifts[0], high, atol=1e-10)
    np.testing.assert_allclose(slopes[1] @ high + shifts[1], low, atol=1e-10)


def test_where_lines_never_cross_each_is_asked_what_the_other_answered():
    still = jnp.eye(N)
    one = reflections.Learned(still, jnp.zeros(N), jnp.ones(N), jnp.ones((), bool))
    other = reflections.Learned(still, jnp.zeros(N), 2.0 * jnp.ones(N), jnp.ones((), bool))
    low, high = reflections.crossing(one, other, TRUSTED)
    np.testing.assert_array_equal(low, other.heard)
    np.testing.assert_array_equal(high, one.heard)
    low, high = reflections.crossing(one, other, jnp.asarray(0.97))
    assert np.all(np.isfinite(np.stack([low, high])))


def test_an_answer_that_is_no_number_teaches_nothing():
    rng = np.random.default_rng(3)
    learned = taught(jnp.asarray(symmetric(rng, 0.9)), jnp.zeros(N), questions(rng, 3))
    told = reflections.learn(learned, jnp.ones(N), jnp.full(N, jnp.nan))
    np.testing.assert_array_equal(told.slope, learned.slope)
    again = reflections.learn(learned, learned.asked, learned.heard)  # nor does the same question
    np.testing.assert_array_equal(again.slope, learned.slope)
