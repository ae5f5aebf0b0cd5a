"""Quadratic programs over a simplex against their optimality conditions, degenerate ones among them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcpp.consensus.simplex_qp import solve


def shortfall(Q, q, e, w):
    """How far weights are from the best: by complementary slackness, relative to the numbers in `q`."""
    gradient = np.einsum("ckl,cl->ck", Q, w) + q
    level = np.where(e > 0.0, gradient, np.inf).min(axis=1)
    excess = gradient - level[:, None] * e
    assert np.all(w >= 0.0)
    np.testing.assert_allclose(w @ e, 1.0, atol=1e-12)
    feasible = np.minimum(excess, 0.0).min(axis=1)
    return (np.sum(w * np.maximum(excess, 0.0), axis=1) - feasible) / (1.0 + np.abs(q).max(axis=1))


@given(
    seed=st.integers(0, 2**16), count=st.integers(1, 9), nodes=st.integers(1, 5), free=st.integers(0, 3),
    twins=st.booleans(), weight=st.sampled_from([1e-3, 1.0, 1e3]),
)  # fmt: skip
def test_the_best_weights_are_found(seed, count, nodes, free, twins, weight):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (3, count + free, nodes)).astype(float)
    if twins:
        points[:, 0] = points[:, count - 1]
    Q = weight * np.einsum("ckn,cln->ckl", points, points)
    q = rng.normal(size=(3, count + free))
    q[:, count:] = np.abs(q[:, count:])  # weights without a sum must be worth bounding
    e = np.append(np.ones(count), np.zeros(free))
    assert np.all(shortfall(Q, q, e, solve(Q, q, e)) < 1e-9)


def test_a_single_row_has_all_the_weight():
    assert solve(np.ones((2, 1, 1)), np.zeros((2, 1)), np.ones(1)) == pytest.approx(np.ones((2, 1)))


def test_one_hard_program_does_not_spoil_its_neighbours():
    rng = np.random.default_rng(1)
    points = rng.random((4, 6, 3))
    Q, q = np.einsum("ckn,cln->ckl", points, points), rng.normal(size=(4, 6))
    alone = solve(Q[:1], q[:1], np.ones(6))
    Q[1], q[1] = 1e8 * Q[1], 1e-6
    np.testing.assert_allclose(solve(Q, q, np.ones(6))[0], alone[0], atol=1e-7)
