"""Several vendors of one product: complements leave the principal a deficit, substitutes a surplus."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcpp.agents.bundle import Catalogue, Vendors
from jaxcpp.mechanism import bundle, several
from jaxcpp.mechanism.bundle_fees import BundleFees, account, pose
from jaxcpp.mechanism.settlement import Settlement, settle
from jaxcpp.mechanism.status_quo import Cost

TOLERANCE = 1e-7


def product(demand: float) -> Catalogue:
    """One product, one inbound node, one region: a unit costs 1 to send on and earns 10."""
    one = jnp.ones(1)
    return Catalogue(
        outbound=jnp.ones((1, 1, 1)), demand=jnp.full((1, 1), demand), week=jnp.zeros((1, 1), jnp.int32),
        left=jnp.zeros((1, 1), bool), product=jnp.zeros(1, jnp.int32), margin=10.0 * one, holding=0.0 * one,
        backlog=jnp.inf * one, lost_sale=0.0 * one, leftover=jnp.inf * one, inventory=jnp.zeros((1, 1)),
    )  # fmt: skip


def vendors(capacity: list[float], cost: list[float]) -> Vendors:
    """One source each, that only this product draws on; a unit earns 5."""
    count = len(cost)
    return Vendors(
        slot=jnp.arange(count, dtype=jnp.int32)[None], margin=jnp.full((1, count), 5.0),
        holding=jnp.zeros((1, count)), own=jnp.zeros((1, count, 0, 1)),
        own_capacity=jnp.zeros((1, count, 0, 1)),
        shared=jnp.asarray(cost)[None, :, None], draws=jnp.ones((1, count, 1), bool),
        capacity=jnp.asarray(capacity)[:, None], owner=jnp.arange(count, dtype=jnp.int32), count=count,
    )  # fmt: skip


def contract(demand: float, capacity: list[float], cost: list[float], how: several.Absent) -> Settlement:
    """The whole mechanism by hand: the order is split evenly, and the retailer's costs are exact."""

    def solve(catalogue: Catalogue, theirs: Vendors) -> Settlement:
        known = bundle.frame(catalogue, theirs, jnp.asarray(2.0))
        fees = BundleFees(jnp.zeros(theirs.count), jnp.zeros(theirs.count))
        agents = bundle.agents(catalogue, theirs, known)
        posed = pose(fees, *agents, jnp.zeros((1, theirs.count)), known.terms)
        target = jnp.asarray(TOLERANCE)
        begun = bundle.begin(posed.retailer, posed.supplier)
        _, outcome = bundle.agree(posed.retailer, posed.supplier, begun, target, 200)
        order = jnp.full(theirs.count, demand / theirs.count)
        nobody = jnp.zeros(theirs.count, bool)
        filled, _ = bundle.fill(theirs, known, order, nobody, target, 200)
        short = filled.unfilled > 1e-6
        filled, _ = bundle.fill(theirs, known, order, short, target, 200)
        scale = known.terms.volume * known.terms.money

        def cost_of(units):
            upper = (units + 10.0 * (demand - units)) / scale
            return Cost(upper, upper, units / scale)

        zero = jnp.zeros(())
        standing = several.Standing(
            cost_of(jnp.asarray(demand)), cost_of(jnp.sum(filled.plan) * known.terms.volume), filled, zero,
            jnp.full(theirs.count, 1.0 / theirs.count),
        )  # fmt: skip
        rest = several.absent(catalogue, theirs, known, order, outcome, target, 200, how=how)
        own, here = catalogue.profit_at_no_cost(), jnp.ones(theirs.count, bool)
        found = several.Found(outcome, account(posed, outcome, known.terms), outcome.price)
        return settle(own, known, here, standing, found, rest, fees, target, how=how)

    return jax.jit(solve)(product(demand), vendors(capacity, cost))


def test_substitutes_excluded_when_absent_leave_a_surplus():
    # Either could serve all 10 units: what one pays is what the other would earn in its place.
    made = contract(10.0, [10.0, 10.0], [1.0, 2.0], "excluded")
    np.testing.assert_allclose(made.cbt, [30.0, 0.0], atol=1e-4)
    np.testing.assert_allclose(made.supplier_surplus, [10.0, 0.0], atol=1e-4)
    # The retailer's own: just in time the vendors earn 20 + 15 between them, with the plan 40.
    assert float(made.budget) == pytest.approx(30.0 - 5.0, abs=1e-4)
    assert bool(made.accepted)


def test_complements_leave_a_deficit():
    # Both are needed, each with its part of the order: nobody's place can be taken.
    made = contract(10.0, [9.0, 5.0], [1.0, 2.0], "jit")
    # While one keeps its 5 units the other ships 5, no more: the second is paid for making room.
    np.testing.assert_allclose(made.cbt, [12.0, -16.0], atol=1e-4)
    assert float(made.budget) <= 1e-6
    assert float(jnp.sum(made.gain)) == pytest.approx(4.0, abs=1e-4)


def test_rows_add_up_to_the_bundles_gain():
    made = contract(10.0, [9.0, 5.0], [1.0, 2.0], "jit")
    gain = jnp.sum(made.gain)
    assert float(gain) == pytest.approx(
        float(jnp.sum(made.retailer_utility_plan + made.supplier_utility_plan))
        - float(jnp.sum(made.retailer_utility_jit + made.supplier_utility_jit))
    )


@pytest.mark.parametrize("way", [jax.grad, jax.jacfwd])
def test_derivatives_are_refused_in_words(way):
    """Forward mode would go through the loop, and find numbers that are none."""

    def gap(margin: jax.Array) -> jax.Array:
        catalogue, theirs = product(10.0), vendors([20.0, 20.0], [1.0, 2.0])
        known = bundle.frame(catalogue, theirs, jnp.asarray(2.0))
        fees = BundleFees(jnp.zeros(2), jnp.zeros(2))
        moved = eqx.tree_at(lambda c: c.margin, catalogue, margin * catalogue.margin)
        agents = bundle.agents(moved, theirs, known)
        posed = pose(fees, *agents, jnp.zeros((1, 2)), known.terms)
        begun = bundle.begin(posed.retailer, posed.supplier)
        return bundle.agree(posed.retailer, posed.supplier, begun, jnp.asarray(TOLERANCE), 200)[1].cost

    with pytest.raises(NotImplementedError, match=r"planned together .* have no derivatives"):
        way(gap)(jnp.asarray(1.0))
