"""A week of a rolling horizon against exact linear programs: eq. 8 of arXiv:2605.16695, and eq. 9."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp import Retailer, Supplier
from jaxcpp.horizon import continuation, on_record, shipment
from jaxcpp.mechanism.terms import frame, money
from tests import oracles
from tests.oracles.weeks import continuation_cost
from tests.strategies import Options, build

WEEKS, TIGHT, NEAR = 3, 1e-9, 1e-6


def problem(seed: int) -> oracles.Problem:
    options = Options(
        inbound=2,
        regions=3,
        sources=2,
        weeks=WEEKS,
        backlog=seed % 2 == 0,
        lost_sales=seed % 3 > 0,
        seed=seed,
    )
    return build(options)


def parties(p: oracles.Problem):
    retailer = Retailer(
        p.unit_cost, p.demand, p.margin, holding_cost=p.holding, backlog_cost=p.backlog,
        lost_sale_cost=p.lost_sale, leftover_cost=p.leftover,
    )  # fmt: skip
    supplier = Supplier(p.supplier_unit_cost, p.capacity, p.supplier_margin, holding_cost=p.supplier_holding)
    return retailer, supplier, frame(retailer, supplier, money(retailer, supplier))


@partial(jax.jit, static_argnames="binding")
def go_on(retailer, supplier, plan, binding):
    terms = frame(retailer, supplier, money(retailer, supplier))
    return continuation(retailer, terms, plan, binding, jnp.asarray(TIGHT))


@jax.jit
def record(retailer, supplier, plan):
    terms = frame(retailer, supplier, money(retailer, supplier))
    return on_record(retailer, terms, plan, jnp.asarray(TIGHT)), terms


@jax.jit
def ship(retailer, supplier, plan, stock):
    terms = frame(retailer, supplier, money(retailer, supplier))
    return shipment(supplier, terms, plan, stock, jnp.asarray(TIGHT))


@pytest.mark.parametrize("binding", [1, WEEKS])
@pytest.mark.parametrize("seed", range(6))
def test_the_continuation_is_the_cheapest(seed, binding):
    p = problem(seed)
    _, plan = oracles.joint_optimum(p)
    assert plan is not None
    exact = continuation_cost(p, plan, binding, beyond=binding == WEEKS)
    found = go_on(*parties(p)[:2], jnp.asarray(plan.reshape(-1)), binding)
    assert float(found.upper) == pytest.approx(exact, rel=NEAR)
    assert float(found.lower) <= exact * (1 + NEAR)
    # The first week's units go somewhere, every one.
    kept = found.shipped.sum(axis=1) + found.kept.sum(axis=1) + found.left + found.spare
    np.testing.assert_allclose(kept, plan[:, 0], atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_a_transfer_for_one_week_is_never_negative_and_below_the_one_for_all(seed):
    p = problem(seed)
    _, plan = oracles.joint_optimum(p)
    best, order = oracles.best_jit(p)
    assert plan is not None
    assert order is not None
    standing = p.margin * p.demand.sum() - best
    retailer, supplier, _ = parties(p)
    flat = jnp.asarray(plan.reshape(-1))
    one, everything = (float(go_on(retailer, supplier, flat, b).upper) for b in (1, WEEKS))
    assert continuation_cost(p, order, 1) == pytest.approx(standing, rel=NEAR)
    assert one >= standing - NEAR * standing
    assert one <= everything + NEAR * standing
    assert one - standing == pytest.approx(continuation_cost(p, plan, 1) - standing, abs=NEAR * standing)


@pytest.mark.parametrize("seed", range(6))
def test_the_record_and_a_free_week(seed):
    p = problem(seed)
    _, plan = oracles.joint_optimum(p)
    assert plan is not None
    bound = plan.copy()
    bound[:, -1] = 0.0
    exact = continuation_cost(p, bound, WEEKS - 1)
    retailer, supplier, _ = parties(p)
    placed, terms = record(retailer, supplier, jnp.asarray(bound.reshape(-1)))
    unit = float(terms.money * terms.volume)
    assert float(placed.order.cost.upper) * unit == pytest.approx(exact, rel=NEAR)
    assert float(placed.order.cost.lower) * unit <= exact * (1 + NEAR)
    np.testing.assert_allclose(placed.cancelled, 0.0, atol=1e-6)
    units = np.asarray(placed.order.plan * terms.volume).reshape(plan.shape)
    np.testing.assert_allclose(units[:, :-1], bound[:, :-1], atol=1e-6)
    # With the week that was added, the plan is one the retailer can live with at that cost.
    assert continuation_cost(p, np.round(units, 9), WEEKS - 1) == pytest.approx(exact, rel=NEAR)


def test_a_record_that_no_demand_takes_is_cancelled():
    p = problem(3)
    less = replace(p, demand=p.demand * 0.0 + np.array([[1.0, 0.0, 0.0]] * p.regions))
    retailer, supplier, _ = parties(replace(less, capacity=p.capacity + 50.0))
    plan = np.zeros((p.inbound, WEEKS))
    plan[0, 0] = 10.0
    placed, terms = record(retailer, supplier, jnp.asarray(plan.reshape(-1)))
    assert float(placed.cancelled.sum()) == pytest.approx(7.0, abs=1e-6)
    assert float(placed.order.plan.sum() * terms.volume) == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_a_shipment_keeps_units_and_builds_no_more_than_it_can(seed):
    p = problem(seed)
    _, plan = oracles.joint_optimum(p)
    assert plan is not None
    retailer, _, _ = parties(p)
    stock = jnp.asarray([1.0, 0.25])
    more = Supplier(
        p.supplier_unit_cost, p.capacity + np.array([[1.0, 0.0, 0.0], [0.25, 0.0, 0.0]]), p.supplier_margin,
        holding_cost=p.supplier_holding,
    )  # fmt: skip
    sent = ship(retailer, more, jnp.asarray(plan.reshape(-1)), stock)
    np.testing.assert_allclose(sent.shipped.sum(axis=0), plan[:, 0], atol=1e-7)
    np.testing.assert_allclose(sent.built, sent.shipped.sum(axis=1) + sent.stock - stock, atol=1e-12)
    assert np.all(np.asarray(sent.built) >= -1e-9)
    assert np.all(np.asarray(sent.built) <= p.capacity[:, 0] + 1e-7)


@pytest.mark.parametrize("seed", [2, 4])
def test_demand_that_a_binding_plan_cannot_serve_waits_where_that_is_cheaper(seed):
    """Half a plan: what it leaves may wait for the week after the window, or is lost."""
    p = problem(seed)
    _, plan = oracles.joint_optimum(p)
    assert plan is not None
    for late in (0.01, 100.0):
        slow = replace(p, backlog=late)
        found = go_on(*parties(slow)[:2], jnp.asarray(0.5 * plan.reshape(-1)), WEEKS)
        exact = continuation_cost(slow, 0.5 * plan, WEEKS, beyond=True)
        assert float(found.upper) == pytest.approx(exact, rel=1e-5)
        assert (float(found.waiting.sum()) > 0.1) == (late < 1.0)
        assert (float(found.lost.sum()) > 0.1) == (late > 1.0)
