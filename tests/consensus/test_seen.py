"""What answers prove, and which answers cannot all be true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcpp.consensus import bounds
from jaxcpp.consensus.seen import Answers, Rows, Seen

ALL = np.ones(1, bool)


def concave(seed, nodes):
    """A random utility `-1/2 x @ A @ x + b @ x`, its best plan at a price and its worth."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(nodes, nodes))
    A, b = root @ root.T + 0.1 * np.eye(nodes), rng.normal(size=nodes)
    return (lambda price: np.linalg.solve(A, b - price)), (lambda x: -0.5 * x @ A @ x + b @ x)


@given(seed=st.integers(0, 2**16), nodes=st.integers(1, 4), count=st.integers(2, 12))
def test_best_answers_of_a_concave_utility_never_contradict_each_other(seed, nodes, count):
    best, worth = concave(seed, nodes)
    prices = np.random.default_rng([seed, 1]).normal(size=(count, nodes))
    answers, seen = Answers(1, nodes), Seen(1, nodes)
    for price in prices:
        plan = best(price)
        answers.add(price[None], plan[None], ALL)
        seen.point(plan[None], np.array([worth(plan)]), ALL)
        seen.cut(price[None], plan[None], np.array([worth(plan)]), ALL)
    size = 1.0 + np.abs(prices).max() ** 2 * 10.0 * nodes
    assert answers.contradiction()[0] <= 1e-9 * size
    assert seen.contradiction()[0] <= 1e-9 * size
    assert not answers.cycle(1e-7 * size)[0]
    plan = best(prices.mean(axis=0))
    assert seen.above(plan[None])[0] >= worth(plan) - 1e-9 * size


def test_taking_more_of_what_is_dearer_is_found():
    answers = Answers(1, 1)
    answers.add(np.array([[1.0]]), np.array([[2.0]]), ALL)
    answers.add(np.array([[2.0]]), np.array([[5.0]]), ALL)
    assert answers.contradiction()[0] == pytest.approx(3.0)
    assert answers.cycle(1e-6)[0]


def test_a_circle_of_three_that_no_pair_shows_is_found():
    # A rotation: every pair is monotone, yet it is no utility's gradient.
    turn = np.array([[-0.1, 1.0], [-1.0, -0.1]])
    angles = 2.0 * np.pi * np.arange(3) / 3.0
    plans = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    answers = Answers(1, 2)
    for plan in plans:
        answers.add((turn @ plan)[None], plan[None], ALL)
    assert answers.contradiction()[0] == 0.0
    assert answers.cycle(1e-6)[0]


def test_a_plan_worth_more_than_a_cut_allows_is_found():
    seen = Seen(2, 1)
    both = np.ones(2, bool)
    seen.cut(np.zeros((2, 1)), np.ones((2, 1)), np.array([3.0, 3.0]), both)
    seen.point(np.full((2, 1), 2.0), np.array([3.0, 3.5]), both)
    np.testing.assert_allclose(seen.contradiction(), [0.0, 0.5])


def test_rows_know_what_they_have_and_drop_what_is_of_no_use():
    rows = Rows(1, 1)
    numbers = np.arange(40.0)
    first = rows.add(np.array([[0.0]]), np.array([0.0]), ALL)
    again = rows.add(np.array([[0.0]]), np.array([0.0]), ALL)
    assert first[0]
    assert not again[0]
    for number in numbers[1:]:
        rows.use(np.ones((1, 1)))  # the first is in use all the time
        rows.add(np.array([[number]]), np.array([number]), ALL)
    kept = set(rows.number[0])
    assert {0.0, 39.0} <= kept
    assert 1.0 not in kept
    assert rows.most == len(kept) < len(numbers)


def test_points_and_cuts_enclose_the_best_joint_plan():
    # One node: the retailer earns 3 a unit up to 2 units, the supplier loses 1 a unit up to 1.5.
    buys, sells = Seen(1, 1), Seen(1, 1)
    for price, plan, utility in ((1.0, 2.0, 6.0), (4.0, 0.0, 0.0)):
        buys.point(np.array([[plan]]), np.array([utility]), ALL)
        buys.cut(np.array([[price]]), np.array([[plan]]), np.array([utility]), ALL)
    for price, plan, utility in ((-2.0, 1.5, -1.5), (0.0, 0.0, 0.0)):
        sells.point(np.array([[plan]]), np.array([utility]), ALL)
        sells.cut(np.array([[price]]), np.array([[plan]]), np.array([utility]), ALL)
    mixture = bounds.best_mixture(buys, sells, 0, 100.0)
    assert mixture is not None
    assert mixture.taken == pytest.approx([1.5])
    assert mixture.apart == pytest.approx(0.0)
    assert mixture.utility == pytest.approx(3.0)
    assert bounds.ceiling([buys, sells], 0) >= 3.0 - 1e-9


def test_nothing_is_proved_by_nothing():
    assert bounds.best_mixture(Seen(1, 1), Seen(1, 1), 0, 1.0) is None
    assert bounds.ceiling([Seen(1, 1), Seen(1, 1)], 0) == np.inf
